/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * failing_calls.h - makes every nth allocation, read or write under a player's machine fail.
 *
 * The functions of the player's port and stores are replaced where they stand. There is one plan at
 * a time, as there is one machine at a time.
 */
#ifndef TESTS_RANDOM_FAILING_CALLS_H
#define TESTS_RANDOM_FAILING_CALLS_H

#include "plan.h"

#include "replay/player.h"

/* Begins to count. Nothing fails outside failing_calls_on() ... off(). */
void failing_calls_begin(const struct failures *failures, struct player *player);
void failing_calls_in_store(struct store *store);

void failing_calls_on(void);

/* Returns how many failed since they were switched on. */
uint64_t failing_calls_off(void);

#endif
