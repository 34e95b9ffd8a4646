/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel.h - the same operations in the running kernel: a process on each of the first CPUs, at once.
 *
 * It makes system calls, takes real faults and ends real processes for each of ours, so what one process
 * does in a second says little beside ours; how two fare together does.
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
