/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world.h - what the threads of a soak share: a machine too small for them, objects they all write
 * to, and the places where one hands a process to another.
 *
 * Who knows what is in memory:
 *
 *   a plot     64 pages of a process. One thread at a time has it: it makes the calls there, and knows
 *              what each page holds. A process may have plots of several threads (plot.h)
 *   a board    an object. Each of its pages has a word for every thread, which that thread alone
 *              writes. The others know how far it has come, between `started` and `done`
 *
 * All else may change under everybody's eyes: reclaim runs all the time, processes fork and exit.
 */
#ifndef OBJRMAP_TESTS_THREADS_WORLD_H
#define OBJRMAP_TESTS_THREADS_WORLD_H

#include <objrmap/posix.h>
#include <objrmap/rmap.h>
#include <objrmap/stats.h>

#include <pthread.h>
#include <stdatomic.h>

#define PAGE VM_PAGE_SIZE

enum {
    THREADS_MOST = 8,
    HELPERS = 3, /* CPUs besides the threads': the reclaimer's, the onlooker's, main's */
    PLOT_PAGES = 64,
    PLOTS_MOST = 5, /* of one thread, before it lets go of one */
    LANES = 4,      /* places for plots in a process */
    BOARDS = 4,
    BOARD_PAGES = 48, /* of which those of CUT_BOARD behind CUT_PAGES come and go */
    CUT_BOARD = 3,
    CUT_PAGES = 16,
    BOOK_PAGES = 96, /* a file that nobody writes to: private mappings of it */
    WORDS = 4,       /* of a private page that are looked at */
};

/* With the thread sanitizer a word that another thread may be writing is not read: on real hardware
 * that is the program's own race, too. */
#if defined(__SANITIZE_THREAD__)
#define READ_OTHERS 0
#else
#define READ_OTHERS 1
#endif

struct plan {
    const char *design;
    enum vm_nonlinear nonlinear;
    enum vm_fork_copy fork_copy;
    unsigned threads, nodes, seed;
    unsigned percent;    /* of the memory that they want */
    unsigned fail_every; /* one allocation in so many fails; 0: none */
    double seconds;
};

struct board {
    struct vm_object *object;
    struct vm_backing *file; /* NULL: shared memory */
    pthread_mutex_t cutting;
    _Atomic uint64_t generation; /* odd while it is being cut */
    _Atomic uint64_t started[BOARD_PAGES][THREADS_MOST], done[BOARD_PAGES][THREADS_MOST];
    uint64_t known_since[BOARD_PAGES][THREADS_MOST]; /* the generation; the thread's own */
};

struct plot;

struct inbox {
    pthread_mutex_t lock;
    struct plot *plots;
};

/* A port whose allocations fail now and then. */
struct soak_port {
    struct posix_port posix;
    void *(*allocate)(struct vm_port *port, size_t bytes, size_t alignment);
    _Atomic unsigned fail_every;
    _Atomic uint64_t allocations;
    _Atomic unsigned woken; /* nodes that ask for their reclaim thread, a bit each */
};

struct world {
    struct plan plan;
    struct soak_port port;
    struct vm_backing *swap, *book_file;
    struct vm_machine *machine;
    struct vm_object *book;
    struct board boards[BOARDS];
    struct inbox inboxes[THREADS_MOST];
    _Atomic uint64_t next_id;
    _Atomic bool stop, pause;
    pthread_barrier_t meeting; /* threads, helpers and main */
};

void world_create(struct world *world, const struct plan *plan);
/* => every process has ended. Looks into the files, too: what was written must be there. */
void world_destroy(struct world *world);

/* Allocations fail as planned, or not at all. */
void world_let_fail(struct world *world, bool fail);

/* Where everybody waits while main looks at the machine. */
void world_pause_point(struct world *world);

/* The machine must agree with the oracle. => nobody else is at work */
void world_verify(struct world *world);

/* What page `index` of the book has at this word. */
uint64_t book_word(uint64_t index, unsigned word);
/* Where in a page the words lie. */
uint64_t word_offset(unsigned word);

/* ---- boards; `thread` is the caller. `address` shows page `index` of the board. */

void board_write(struct world *world, struct vm_space *space, uint64_t address, struct board *board,
                 unsigned index, unsigned thread);
void board_read(struct world *world, struct vm_space *space, uint64_t address, struct board *board,
                unsigned index, unsigned thread);
/* Somebody else's word. */
void board_read_other(struct world *world, struct vm_space *space, uint64_t address,
                      struct board *board, unsigned index, unsigned other);
/* Shortens the object and makes it as long as it was. */
void board_cut(struct board *board, unsigned pages);

/* ---- failing: says what, where and on which machine, and ends the program */
_Noreturn void soak_fail(const struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Results that a short memory explains. */
bool out_of_memory(int result);

#endif
