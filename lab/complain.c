/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * complain.c - messages for people on stderr, and the guess at what they meant to type.
 */
#include "command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST_NAME = 32, NEAR_ENOUGH = 2 };

void complain(const char *format, ...) {
    va_list values;
    va_start(values, format);
    flockfile(stderr);
    fputs("objrmap: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    funlockfile(stderr);
    va_end(values);
}

static size_t smallest(size_t a, size_t b, size_t c) {
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Levenshtein's distance, one row at a time. */
static size_t edit_distance(const char *a, const char *b) {
    size_t a_length = strlen(a), b_length = strlen(b);
    size_t row[LONGEST_NAME + 1];
    if (a_length > LONGEST_NAME || b_length > LONGEST_NAME)
        return LONGEST_NAME;
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = smallest(row[j] + 1, row[j - 1] + 1, change);
        }
    }
    return row[b_length];
}

const char *nearest_name(const char *typed, const char *const *candidates) {
    const char *best = NULL;
    size_t best_distance = NEAR_ENOUGH + 1;
    for (; *candidates; candidates++) {
        size_t distance = edit_distance(typed, *candidates);
        if (distance < best_distance && distance < strlen(*candidates)) {
            best_distance = distance;
            best = *candidates;
        }
    }
    return best;
}
