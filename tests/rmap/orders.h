/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * orders.h - something tried with five things in every order.
 */
#ifndef OBJRMAP_TESTS_RMAP_ORDERS_H
#define OBJRMAP_TESTS_RMAP_ORDERS_H

enum { ORDERED = 5 };

/* All orders of what stands from `fixed` on; calls `try` with each, 120 times from 0. */
static inline void each_order(unsigned order[ORDERED], unsigned fixed,
                              void (*try)(const unsigned order[ORDERED], void *context),
                              void *context) {
    if (fixed == ORDERED) {
        try(order, context);
        return;
    }
    for (unsigned i = fixed; i < ORDERED; i++) {
        unsigned other = order[fixed];
        order[fixed] = order[i];
        order[i] = other;
        each_order(order, fixed + 1, try, context);
        order[i] = order[fixed];
        order[fixed] = other;
    }
}

#endif
