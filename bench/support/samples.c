/* SPDX-License-Identifier: BSD-2-Clause */
/* samples.c - a clock, a core, medians. */
#include "support/samples.h"

#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The last core: the first is where interrupts tend to go. */
static int pin_to_last_core(void) {
    cpu_set_t allowed, one;
    size_t core = CPU_SETSIZE;

    if (sched_getaffinity(0, sizeof(allowed), &allowed))
        return -1;
    for (size_t i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &allowed))
            core = i;
    if (core == CPU_SETSIZE)
        return -1;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    return sched_setaffinity(0, sizeof(one), &one) ? -1 : (int)core;
}

struct place take_one_core(void) {
    struct sched_param lowest = { .sched_priority = 1 };
    return (struct place){ .core = pin_to_last_core(),
                           .realtime = sched_setscheduler(0, SCHED_FIFO, &lowest) == 0 };
}

void samples_add(struct samples *samples, double value) {
    if (samples->count < SAMPLES_MAX)
        samples->values[samples->count++] = value;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double samples_median(const struct samples *samples) {
    double sorted[SAMPLES_MAX];
    unsigned n = samples->count;

    if (n == 0)
        return NAN;
    memcpy(sorted, samples->values, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), by_size);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

double samples_ratio(const struct samples *ours, const struct samples *theirs) {
    struct samples ratios = { .count = 0 };

    for (unsigned i = 0; i < ours->count && i < theirs->count; i++)
        if (theirs->values[i] > 0)
            samples_add(&ratios, ours->values[i] / theirs->values[i]);
    return samples_median(&ratios);
}

uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
