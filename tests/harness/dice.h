/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dice.h - chance that is the same each time: whatever a test draws by lot follows from a seed that it
 * prints, or that stands in its source.
 */
#ifndef TESTS_HARNESS_DICE_H
#define TESTS_HARNESS_DICE_H

#include <stdbool.h>
#include <stdint.h>

struct dice {
    uint64_t state;
};

/* splitmix64 (Steele, Lea and Flood 2014) */
static inline uint64_t dice_roll(struct dice *dice) {
    uint64_t mixed = dice->state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

static inline uint64_t dice_below(struct dice *dice, uint64_t limit) {
    return dice_roll(dice) % limit;
}

static inline bool dice_one_in(struct dice *dice, uint64_t n) {
    return dice_below(dice, n) == 0;
}

/* One of the numbers. */
#define DICE_PICK(dice, ...)                                                                       \
    ((const uint64_t[]){ __VA_ARGS__ }[dice_below(                                                 \
        dice, sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))])

/* A number below `count`, each as often as its weight says. */
static inline unsigned dice_weigh(struct dice *dice, const uint64_t *weights, unsigned count) {
    uint64_t total = 0;
    unsigned which = 0;
    for (unsigned i = 0; i < count; i++)
        total += weights[i];
    uint64_t at = dice_below(dice, total);
    while (at >= weights[which])
        at -= weights[which++];
    return which;
}

/* Those of one of a run's many plays; what is drawn for one purpose does not change another's. */
static inline struct dice dice_for(uint64_t seed, uint64_t number, uint64_t purpose) {
    struct dice dice = { seed * 3 + purpose };
    dice.state = dice_roll(&dice) ^ number;
    dice_roll(&dice);
    return dice;
}

#endif
