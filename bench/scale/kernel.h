/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel.h - the same operations in the running kernel: a process on each of the first CPUs, at once.
 *
 * A process is ended, and a system call made, for each of ours, which is most of what these take; so only how
 * they fare together says something here.
 */
#ifndef BENCH_SCALE_KERNEL_H
#define BENCH_SCALE_KERNEL_H

#include <stdbool.h>

#include "storm.h"

/* Faults, shares and forks. */
bool kernel_has(enum storm storm);

/* Operations a second of so many processes together. Ends the program when there is no process. */
double kernel_throughput(enum storm storm, unsigned processes, unsigned times);

#endif
