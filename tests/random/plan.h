/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plan.h - which machine a sequence is played on, what fails under it, and its steps.
 *
 * All of it follows from a seed and the sequence's number, except where an option decides. A plan is
 * printed as one comment line, "# machine frames=128 swap=512 ...", and read back from it.
 */
#ifndef TESTS_RANDOM_PLAN_H
#define TESTS_RANDOM_PLAN_H

#include "op.h"

/* What fails: of allocations every other n, of transfers every nth; 0: none. */
struct failures {
    uint64_t allocate, read, write;
};

struct plan {
    uint64_t frames, swap;
    uint64_t metadata;  /* 1: a machine without contents */
    uint64_t eager;     /* 1: fork copies all entries */
    uint64_t around;    /* fault-around */
    uint64_t index;     /* how objects keep their areas: a number, counted round */
    uint64_t global;    /* 1: one lock for all chains, in designs that have them */
    uint64_t nonlinear; /* enum vm_nonlinear; designs that cannot chain do the next best */
    uint64_t cpus;      /* more than 1: locks are taken, though nobody competes */
    uint64_t nodes;     /* 0: one */
    uint64_t low;       /* frames that page tables can lie in; 0: all */
    uint64_t swappiness;
    uint64_t areas;     /* limits; 0: none of our own */
    uint64_t locked;    /* ... in pages */
    uint64_t addresses; /* ... in pages */
    struct failures failures;
};

/* Not changed by who asks when: the same seed and number give the same. */
void plan_make(struct plan *plan, uint64_t seed, uint64_t number);
void sequence_make(struct sequence *sequence, uint64_t seed, uint64_t number, uint64_t steps);

/* Whether a call may fail for want of memory half-way, as it could not with memory in plenty. */
bool plan_is_tight(const struct plan *plan);
bool plan_injects(const struct plan *plan);

/* Writes it into `text` and returns that. */
const char *plan_text(const struct plan *plan, char text[OP_TEXT_BYTES]);

/* Takes "name=number ..."; false when it is something else. */
bool plan_parse(const char *text, struct plan *plan);

/* Reads back a printed sequence with its machine. False after a complaint. */
bool plan_read(const char *path, struct plan *plan, struct sequence *sequence);

#endif
