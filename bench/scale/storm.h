/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * storm.h - what CPUs do at once in the benchmarks of scale: the same few operations, over and over.
 *
 *   fault     16 fresh private pages are mapped, written, and unmapped
 *   share     16 pages that are in the cache, of a file that all CPUs map, are mapped, read, unmapped
 *   fork      a space with 64 written pages and 16 of a library is forked, and the child exits
 *   exec      fork, exec, a program and a library mapped, 24 pages touched, exit: a shell's command
 *   reclaim   16 pages more are written than there is memory for: others go to swap
 *
 * Each CPU has spaces of its own; files, frames, and designs' records are everybody's. Only public
 * calls are made, so that the same file serves libraries built either way.
 */
#ifndef BENCH_STORM_H
#define BENCH_STORM_H

#include <objrmap/posix.h>
#include <objrmap/rmap.h>
#include <objrmap/vm.h>

enum storm { STORM_FAULT, STORM_SHARE, STORM_FORK, STORM_EXEC, STORM_RECLAIM, STORMS };

extern const char *const storm_names[STORMS];

enum { STORM_CPUS_MOST = 64 };

struct storm_world {
    struct posix_port posix;
    struct vm_machine *machine;
    struct vm_backing *swap;
    struct vm_object *library;
    enum storm storm;
    struct vm_space *spaces[STORM_CPUS_MOST];
    uint64_t memory[STORM_CPUS_MOST], pages[STORM_CPUS_MOST], next[STORM_CPUS_MOST];
};

struct storm_config {
    const char *design;
    enum vm_chain_lock chain_lock;
    unsigned cpus; /* of the machine, and spaces that are made */
    bool lock_stats;
};

/* Each design, and those with chains under either lock. */
enum { VARIANTS_MOST = 32 };

struct variants {
    struct {
        const char *design;
        enum vm_chain_lock chain_lock;
    } of[VARIANTS_MOST];
    unsigned count;
};

/* For vm_design_each(): adds a design's variants to the struct variants that is the context. */
void add_variants(const struct vm_design_info *info, void *context);

/* A machine on world->posix, which posix_port_init() has filled in, and what the storm needs. Ends the
 * program when there is no memory. */
void storm_begin(struct storm_world *world, enum storm storm, const struct storm_config *config);
void storm_end(struct storm_world *world);

/* One operation of this CPU. */
void storm_once(struct storm_world *world, unsigned cpu);

#endif
