/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * largest.h - the processes of a world with the most pages in memory.
 *
 * The library keeps no such count: every page table is read, which takes its time in a large world.
 */
#ifndef OBJRMAP_LAB_LARGEST_H
#define OBJRMAP_LAB_LARGEST_H

#include "replay/world.h"

enum { LARGEST = 5 };

struct largest {
    unsigned count;
    struct large_process {
        uint32_t pid;
        char name[24];
        uint64_t pages; /* that it maps, shared ones too; without the zero page */
    } process[LARGEST]; /* the largest one first */
};

/* => nobody plays */
void largest_find(struct largest *largest, const struct world *world);

#endif
