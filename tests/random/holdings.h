/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * holdings.h - what a machine holds before the first process begins, all of which must be back after
 * the last has ended.
 */
#ifndef TESTS_RANDOM_HOLDINGS_H
#define TESTS_RANDOM_HOLDINGS_H

#include "replay/world.h"

enum { HOLDINGS_CACHES = 64 };

struct holdings {
    uint64_t live[HOLDINGS_CACHES];
    unsigned caches;
    uint64_t frames_free;
};

struct holdings holdings_of(const struct world *world);

/* False: `left` says what is not. => world_clear() has been called */
bool holdings_are_back(const struct world *world, const struct holdings *start, char *left,
                       size_t bytes);

#endif
