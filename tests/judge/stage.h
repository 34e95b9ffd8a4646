/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stage.h - a program of several processes, and what each of its steps came to.
 *
 * The stage lies in memory that the judge shares with the processes that play the program for the
 * kernel. Whoever's turn it is plays the steps that are its own, and passes the turn on; nobody else
 * runs meanwhile. The library's results come to lie in an array of the same kind.
 *
 * All addresses lie in one window, which two page tables share. Where a call may choose an
 * address outside, what it made there is unmapped again, and only that it went there is compared.
 */
#ifndef TESTS_JUDGE_STAGE_H
#define TESTS_JUDGE_STAGE_H

#include "../random/op.h"

#include <objrmap/vm.h>
#include <stdatomic.h>
#include <sys/types.h>

#define WINDOW_BASE  (UINT64_C(0x200000200000) - WINDOW_PAGES / 2 * VM_PAGE_SIZE)
#define WINDOW_END   (WINDOW_BASE + WINDOW_PAGES * VM_PAGE_SIZE)
#define PAGE_AT(n)   (WINDOW_BASE + (uint64_t)(n)*VM_PAGE_SIZE)
#define PAGES(n)     ((uint64_t)(n)*VM_PAGE_SIZE)
#define FIRST_OFFSET 16 /* of the two words of a page that are written and read */
#define LAST_OFFSET  3000

enum { STEPS_MOST = 256, JUDGED_OBJECTS = 3, OBJECT_PAGES = 40 };

/* Object 1 is shared memory, 2 a file on a disk, 3 one that is open for reading only. */
enum judged_object { OBJECT_NONE, OBJECT_MEMORY, OBJECT_DISK, OBJECT_READ_ONLY };

enum { NOT_PLAYED = 1 }; /* beside enum vm_result: the step's process does not live */

enum where { WHERE_ASKED, WHERE_ELSE_INSIDE, WHERE_OUTSIDE };

/* What one page's touch came to. */
struct touched {
    int result; /* VM_OK, VM_SIGSEGV, VM_SIGBUS */
    uint32_t first, last;
};

struct outcome {
    int result;
    enum where where; /* of mmap and mremap */
    struct touched pages[WINDOW_PAGES];
};

enum leaving { STAY, LEAVE, LEAVE_FOR_GOOD };

/* Players of turns beside the processes. */
enum { TURN_JUDGE = PROCESS_SLOTS, TURN_NURSERY, TURNS };

struct stage {
    _Atomic uint32_t turns[TURNS];
    _Atomic uint32_t at, pause_at; /* the next step, and the one before which the judge looks */
    _Atomic int pids[PROCESS_SLOTS];
    _Atomic uint32_t leaving; /* enum leaving: all processes shall end */
    pid_t judge;
    uint32_t count;
    struct random_op ops[STEPS_MOST];
    struct outcome outcomes[STEPS_MOST];
};

/* Never the same value twice in a program; never 0. */
static inline uint32_t value_of(uint32_t step, unsigned page, uint32_t offset) {
    return (step + 1) << 16 | page << 4 | (offset == FIRST_OFFSET ? 1 : 2);
}

/* What files hold at first. */
static inline uint32_t file_value(unsigned object, unsigned page, uint32_t offset) {
    return 0x80000000u | object << 20 | page << 4 | (offset == FIRST_OFFSET ? 1 : 2);
}

/* A range, cut at the window's end. */
static inline uint64_t pages_in_window(uint64_t page, uint64_t pages) {
    return page + pages > WINDOW_PAGES ? WINDOW_PAGES - page : pages;
}

/* After mremap() ended in EFAULT this much is unmapped where it was to move from. */
static inline uint64_t pages_forgone(const struct random_op *op) {
    return op->pages > op->to_pages ? op->pages : op->to_pages;
}

#endif
