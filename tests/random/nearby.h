/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nearby.h - ranges by lot that are often near earlier ones, so that calls meet on the same pages, and
 * mostly on such as are mapped.
 */
#ifndef TESTS_RANDOM_NEARBY_H
#define TESTS_RANDOM_NEARBY_H

#include "op.h"

#include "harness/dice.h"

enum { NEARBY_RANGES = 4 };

/* Where the last few ranges were; nowhere at first. */
struct nearby {
    struct {
        uint64_t place, page, pages;
    } ranges[NEARBY_RANGES];
    unsigned count;
};

static inline void nearby_remember(struct nearby *nearby, uint64_t place, uint64_t page,
                                   uint64_t pages) {
    unsigned at = nearby->count++ % NEARBY_RANGES;
    nearby->ranges[at].place = place;
    nearby->ranges[at].page = page;
    nearby->ranges[at].pages = pages;
}

/* Mostly fills in the op's place, page and pages: one of the last ranges, a part of it, or what
 * overlaps it or lies behind it. False: the caller draws them. */
static inline bool nearby_draw(const struct nearby *nearby, struct dice *dice,
                               struct random_op *op) {
    unsigned known = nearby->count < NEARBY_RANGES ? nearby->count : NEARBY_RANGES;
    if (!known || dice_one_in(dice, 4))
        return false;
    unsigned at = (unsigned)dice_below(dice, known);
    uint64_t pages = nearby->ranges[at].pages;
    if (!pages)
        return false;
    op->place = nearby->ranges[at].place;
    op->page = nearby->ranges[at].page + DICE_PICK(dice, 0, 0, dice_below(dice, pages));
    op->pages = DICE_PICK(dice, pages, 1, 1 + dice_below(dice, pages));
    return true;
}

#endif
