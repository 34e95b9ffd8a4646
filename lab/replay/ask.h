/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ask.h - who maps these pages? Asked of the machine's design, and what the answers have cost.
 *
 * The machine is left as it was, but for its counts of walks: whoever reports those takes off what
 * was asked here. The time is that of the walks, the first of which find cold caches.
 */
#ifndef OBJRMAP_LAB_REPLAY_ASK_H
#define OBJRMAP_LAB_REPLAY_ASK_H

#include "replay/player.h"

#include <objrmap/stats.h>

struct ask {
    bool all; /* every page in memory that is mapped, instead */
    uint32_t pid;
    uint64_t address, pages;
};

struct asked {
    uint64_t pages;  /* that were asked about */
    uint64_t absent; /* not in memory, so not asked about */
    uint64_t hits, object_visits, empty_walks, range_rejects, swept;
    uint64_t most_visits; /* for one page */
    uint64_t ns;
};

/* "PID ADDR N" with a separator between, as in the lines r and w: ADDR hexadecimal, the others not. */
bool ask_parse(const char *text, char separator, struct ask *ask);

/* Adds to `asked`. False: there is no such process. => flushed */
bool ask_player(struct player *player, const struct ask *ask, struct asked *asked);

/* What is asked stays out of the counts of what the machine did. */
void ask_take_off(const struct asked *asked, struct vm_stats *stats);

#endif
