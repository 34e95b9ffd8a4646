/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock.h - how long something has taken.
 */
#ifndef TESTS_HARNESS_CLOCK_H
#define TESTS_HARNESS_CLOCK_H

#include <time.h>

static inline double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#endif
