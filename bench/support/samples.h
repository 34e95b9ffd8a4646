/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * samples.h - time, and what is said about many measurements of it.
 *
 * Both sides of a comparison are measured in turns, on one core, in one run: the speed of a core
 * drifts by tens of percent, but little from one turn to the next. So the figure to trust is the
 * median of the ratios of neighbours, not the ratio of two medians.
 */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stdbool.h>
#include <stdint.h>

enum { SAMPLES_MAX = 256 };

struct samples {
    double values[SAMPLES_MAX];
    unsigned count;
};

uint64_t nanoseconds(void);

/* Where this process, and those that it starts from then on, are measured. */
struct place {
    int core;      /* -1: wherever the kernel likes */
    bool realtime; /* nothing else runs there meanwhile; only root may ask for that */
};

struct place take_one_core(void);

/* What comes after SAMPLES_MAX is dropped. */
void samples_add(struct samples *samples, double value);

/* NAN when there are none. */
double samples_median(const struct samples *samples);

/* The median over ours[i] / theirs[i]. Pairs without a positive divisor do not count. */
double samples_ratio(const struct samples *ours, const struct samples *theirs);

/* Small, fast, and the same in each run. */
uint64_t next_random(uint64_t *state);

#endif
