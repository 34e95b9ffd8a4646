/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plot.h - 64 pages of a process that one thread works on, knowing what each of them holds.
 *
 * In one process up to LANES threads have plots side by side: their areas are neighbours and join,
 * their page tables are the same, their calls wait for each other's locks. No call of one changes
 * what another's plot holds. A process forks with all its plots; the child keeps the one of the
 * thread that forked, since the others' owners were at work meanwhile.
 *
 * A page is a hole, private (anonymous memory, or the book), or shows a page of a board. What may
 * not be known is whether a page given to MADV_FREE has been dropped: until it is seen, both will do.
 */
#ifndef OBJRMAP_TESTS_THREADS_PLOT_H
#define OBJRMAP_TESTS_THREADS_PLOT_H

#include "world.h"

#include "harness/dice.h"

struct process {
    struct vm_space *space;
    _Atomic unsigned plots;
};

enum cell_kind { HOLE, ANONYMOUS, BOOK, BOARD };

struct cell {
    enum cell_kind kind;
    bool read, write, locked;
    bool may_be_gone;      /* MADV_FREE: all words are as they were, or all zero */
    unsigned board, index; /* of a board's page; the book's page */
    uint64_t words[WORDS]; /* of a private page */
};

struct plot {
    struct process *process;
    unsigned lane;
    struct plot *next; /* in an inbox */
    struct cell cells[PLOT_PAGES];
};

/* What one thread is. */
struct worker {
    struct world *world;
    unsigned thread;
    struct dice dice;
    struct plot *plots[PLOTS_MOST + 1];
    unsigned plot_count;
    uint64_t calls, short_of_memory;
};

uint64_t draw(struct worker *worker, uint64_t below);

/* A process of its own, or NULL if memory is short; with more than one plot, the others go to other
 * threads' inboxes. */
struct plot *plot_of_new_process(struct worker *worker, unsigned lanes);

/* The last one to let go of a process ends it. */
void plot_let_go(struct plot *plot);

/* Some call or access, drawn by lot. */
void plot_work(struct worker *worker, struct plot *plot);

/* A forked child's; NULL if memory is short. */
struct plot *plot_fork(struct worker *worker, struct plot *plot);

/* Exec, if the process has no other plot: everything is a hole then. */
void plot_exec(struct worker *worker, struct plot *plot);

/* Reads every page. */
void plot_check(struct worker *worker, struct plot *plot);

#endif
