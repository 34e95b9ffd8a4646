/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * look.h - what the processes' memory looks like, to the kernel and to the library.
 */
#ifndef TESTS_JUDGE_LOOK_H
#define TESTS_JUDGE_LOOK_H

#include "library.h"
#include "real.h"

struct look_page {
    char protection[5]; /* as in maps: rwxp or rwxs; empty: nothing mapped */
    unsigned object;    /* 0: anonymous; shared anonymous memory counts as one more object */
    uint64_t pgoff;     /* of memory that has an object */
    uint64_t identity;  /* of what is there; 0: nobody knows. Only equality means anything */
};

struct look {
    bool lives[PROCESS_SLOTS];
    bool identities; /* the kernel tells them to root */
    struct look_page pages[PROCESS_SLOTS][WINDOW_PAGES];
};

/* False after writing why into `text`. */
bool look_at_kernel(const struct real *real, struct look *look, char *text, size_t bytes);
void look_at_library(struct library *library, struct look *look);

/* Which differences in sharing are allowed. */
enum sharing { SHARING_EQUAL, SHARING_MAY_BE_LESS };

/* The first difference in words, or an empty text. Adds the pages held against each other. */
void look_compare_areas(const struct look *theirs, const struct look *ours, char *text,
                        size_t bytes);
void look_compare_groups(const struct look *theirs, const struct look *ours, enum sharing sharing,
                         uint64_t *compared, char *text, size_t bytes);

/* The same for contents of pages that the processes themselves may not read. */
void look_compare_hidden(const struct real *real, struct library *library, const struct look *look,
                         uint64_t *compared, char *text, size_t bytes);

#endif
