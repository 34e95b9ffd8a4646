/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * beside.h - a process beside this one, in which the real kernel is measured.
 *
 * It is started before the benchmark owns any memory to speak of, so that what the kernel copies at
 * fork is what the measurement put there, and not our machines' frames. It runs on the same core,
 * and only while its question is being answered; huge pages are off.
 */
#ifndef BENCH_BESIDE_H
#define BENCH_BESIDE_H

#include <stdint.h>
#include <sys/types.h>

enum { BESIDE_ANSWERS = 8 };

struct beside_question {
    unsigned operation;
    uint64_t pages;
};

struct beside_answer {
    double ns[BESIDE_ANSWERS];
};

typedef struct beside_answer beside_work(struct beside_question question);

struct beside {
    pid_t process;
    int questions, answers;
};

/* Ends the program when there is no process to be had. */
void beside_start(struct beside *beside, beside_work *work);
struct beside_answer beside_ask(struct beside *beside, unsigned operation, uint64_t pages);
void beside_end(struct beside *beside);

/* ---------------------------------------------------------------- for the work */

/* Fresh private anonymous memory; 0 pages are NULL. Ends the program when there is none. */
char *kernel_map(uint64_t pages);
void kernel_unmap(char *memory, uint64_t pages);

/* One byte written to, or read from, each page. */
void kernel_write_pages(char *memory, uint64_t pages);
void kernel_read_pages(const char *memory, uint64_t pages);

/* A forked child that does nothing until it is told to exit. */
struct waiting_child {
    pid_t process;
    int gate;
    double fork_ns;
};

struct waiting_child kernel_fork(void);
/* How long it took from the word to the end of the child. */
double kernel_child_exit(struct waiting_child *child);

/* Ends the program: what was tried, errno, what to do next. */
_Noreturn void give_up(const char *tried);

#endif
