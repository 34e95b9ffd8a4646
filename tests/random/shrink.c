/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shrink.c - see shrink.h.
 */
#include "shrink.h"

struct shrinking {
    struct sequence *sequence;
    sequence_fails *fails;
    void *context;
};

static bool still_fails(const struct shrinking *shrinking) {
    return shrinking->fails(shrinking->sequence, shrinking->context);
}

static void try_without(struct shrinking *shrinking, size_t first, size_t count) {
    struct sequence *all = shrinking->sequence, less = { 0 };
    for (size_t i = 0; i < all->count; i++)
        if (i < first || i >= first + count)
            sequence_add(&less, &all->ops[i]);
    if (less.count && shrinking->fails(&less, shrinking->context)) {
        sequence_free(all);
        *all = less;
    } else {
        sequence_free(&less);
    }
}

/* Pieces, large ones first, from the end, where steps have no consequences. */
static bool leave_out(struct shrinking *shrinking) {
    size_t begin = shrinking->sequence->count;
    for (size_t piece = begin / 2 + 1; piece; piece /= 2)
        for (size_t at = shrinking->sequence->count; at;) {
            at = at > piece ? at - piece : 0;
            try_without(shrinking, at, piece);
            if (at > shrinking->sequence->count)
                at = shrinking->sequence->count;
        }
    return shrinking->sequence->count < begin;
}

/* 0, 1, half, one less; the first that still fails. */
static bool make_number_smaller(struct shrinking *shrinking, uint64_t *number) {
    uint64_t old = *number;
    const uint64_t tries[] = { 0, 1, old / 2, old - 1 };
    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        if (tries[i] >= old)
            continue;
        *number = tries[i];
        if (still_fails(shrinking))
            return true;
    }
    *number = old;
    return false;
}

static bool make_numbers_smaller(struct shrinking *shrinking) {
    bool smaller = false;
    for (size_t i = 0; i < shrinking->sequence->count; i++)
        for (unsigned field = 0; field < OP_FIELDS; field++)
            while (make_number_smaller(shrinking, op_field(&shrinking->sequence->ops[i], field)))
                smaller = true;
    return smaller;
}

bool sequence_shrink(struct sequence *sequence, sequence_fails *fails, void *context) {
    struct shrinking shrinking = { sequence, fails, context };
    return leave_out(&shrinking) || make_numbers_smaller(&shrinking);
}
