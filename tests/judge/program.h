/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * program.h - random programs for the judge, and what they look like as traces.
 *
 *   program.c  drawn by lot
 *   print.c    as traces
 */
#ifndef TESTS_JUDGE_PROGRAM_H
#define TESTS_JUDGE_PROGRAM_H

#include "stage.h"

#include "trace/writer.h"

/* The same for the same seed and number. Begins with process 0 and nothing mapped. */
void program_make(struct sequence *program, uint64_t seed, uint64_t number, uint64_t steps);

/* As a trace with the ops as comments, from which it can be played again. What traces cannot say
 * stands there as the nearest event that they can. */
void program_print(const struct sequence *program, struct trace_writer *writer);

#endif
