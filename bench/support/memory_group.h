/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory_group.h - a memory cgroup of one's own, of version 1 or 2, to see the kernel reclaim in.
 *
 * Version 1 reclaims all that it can on a write to memory.force_empty, version 2 as much as it is
 * told by one to memory.reclaim. Only root (or whom the group was delegated to) may have one.
 */
#ifndef BENCH_MEMORY_GROUP_H
#define BENCH_MEMORY_GROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct memory_group {
    unsigned version; /* 0: there is none */
    char path[PATH_MAX];
    char parent[PATH_MAX];
};

/* NULL, or why there can be none, in words that may follow "skipped: ". */
const char *memory_group_make(struct memory_group *group);

/* Moves a process into the group; 0 is the caller. */
bool memory_group_enter(const struct memory_group *group, pid_t process);
/* ... and out of it, to where the group's maker is. */
bool memory_group_leave(const struct memory_group *group, pid_t process);

/* The most bytes it may hold. */
bool memory_group_limit(const struct memory_group *group, uint64_t bytes);

/* Takes up to so many bytes away from it; false if the kernel says that not all went. */
bool memory_group_reclaim(const struct memory_group *group, uint64_t bytes);

/* A line of memory.stat; 0 if there is none of this name. */
uint64_t memory_group_stat(const struct memory_group *group, const char *name);

/* The most bytes it has held so far. */
uint64_t memory_group_peak(const struct memory_group *group);

/* Of the bytes that it holds now, the kernel's own: page tables, stacks, records. */
uint64_t memory_group_kernel(const struct memory_group *group);

/* Processes that the kernel has killed for want of memory. */
uint64_t memory_group_kills(const struct memory_group *group);

/* => nobody is in it any more */
void memory_group_remove(struct memory_group *group);

/* Bytes of swap that are free on this machine. */
uint64_t kernel_swap_free(void);

#endif
