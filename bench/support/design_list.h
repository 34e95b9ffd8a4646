/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * design_list.h - the names of all designs that are built in, in the order of their history.
 */
#ifndef BENCH_DESIGN_LIST_H
#define BENCH_DESIGN_LIST_H

#include <objrmap/rmap.h>

enum { DESIGNS_MOST = 32 };

struct design_list {
    const char *names[DESIGNS_MOST];
    unsigned count;
};

struct design_list design_list(void);

/* A table's first line: what the rows are, and a column for each design. */
void design_list_print_heads(const struct design_list *designs, const char *what);

enum { DESIGN_COLUMN = 17, DESIGN_ROW_NAME = 30 };

#endif
