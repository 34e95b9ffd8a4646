/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mappers.h - processes of the real kernel that all map the same pages, and the kernel taking those
 * pages away from them through a memory cgroup.
 *
 * The pages belong to the group because a process inside it read them in (or wrote them) first. The
 * processes that map them are in the group as well, or elsewhere; the kernel asks only those inside
 * whether they have used a page, but must unmap it from all.
 */
#ifndef BENCH_MAPPERS_H
#define BENCH_MAPPERS_H

#include <stdbool.h>
#include <stdint.h>

#include "support/memory_group.h"

enum mapped_kind {
    MAPPED_FILE,   /* clean pages of a file on a disk, in the page cache one by one */
    MAPPED_SHM,    /* shared memory; goes to swap */
    MAPPED_FORKED, /* private memory written before the forks; goes to swap */
};

enum mapper_place { MAPPERS_ELSEWHERE, MAPPERS_INSIDE };

struct mappers;

/* NULL: there is no room for the file on a disk. Ends the program when processes cannot be made.
 * FORKED: they are inside. */
struct mappers *mappers_start(const struct memory_group *group, enum mapped_kind kind,
                              enum mapper_place place, unsigned processes, uint64_t pages);
void mappers_end(struct mappers *mappers);

/* Every process reads every page; then none has used any for a while. */
void mappers_touch(struct mappers *mappers);

/* How many of the pages are in memory. */
uint64_t mappers_resident(struct mappers *mappers);

#endif
