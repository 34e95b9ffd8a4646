/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * real.h - processes that play a program by system calls.
 *
 * A nursery is forked before anything else, so that it is small. For each program it forks process
 * 0; the others come by the program's own forks. The nursery waits until all of them have gone.
 *
 * mremap() that ends in EFAULT is followed by munmap() of the ranges it named: see judge.c, the rule
 * on alike neighbours.
 */
#ifndef TESTS_JUDGE_REAL_H
#define TESTS_JUDGE_REAL_H

#include "stage.h"

#include <stdbool.h>

struct real {
    struct stage *stage;
    int files[JUDGED_OBJECTS + 1];   /* as processes map them */
    int handles[JUDGED_OBJECTS + 1]; /* open for writing */
    pid_t nursery;
};

/* Files go into `folder`. False after a complaint. */
bool real_begin(struct real *real, const char *folder);
void real_end(struct real *real);

/* The program on the stage begins: files are as new, process 0 is there. */
bool real_program_begin(struct real *real);
void real_program_end(struct real *real);

/* Plays up to this step. False: the processes do not answer. */
bool real_play(struct real *real, uint32_t until);

/* When they did not answer. Nothing of this can be used any more. */
void real_kill(struct real *real);

#endif
