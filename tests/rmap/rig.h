/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rig.h - a whole machine of one design to ask about pages, with swap, on the POSIX port.
 */
#ifndef OBJRMAP_TESTS_RMAP_RIG_H
#define OBJRMAP_TESTS_RMAP_RIG_H

#include <objrmap/posix.h>
#include <objrmap/rmap.h>
#include <objrmap/stats.h>

#include "vm/frame/cache.h"
#include "vm/space/space.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGE VM_PAGE_SIZE
#define RW   (VM_PROT_READ | VM_PROT_WRITE)

struct rig {
    struct posix_port posix;
    struct vm_backing *swap;
    struct vm_machine *machine;
};

/* What the plan leaves open is filled in: port, frames, swap. */
static inline struct rig *rig_create_as(struct vm_machine_config plan) {
    struct rig *rig = calloc(1, sizeof *rig);
    posix_port_init(&rig->posix, plan.cpus ? plan.cpus : 1);
    rig->swap = posix_memory_open(4096 * PAGE);
    plan.port = &rig->posix.port;
    plan.frames = plan.frames ? plan.frames : 1024;
    plan.swap = rig->swap;
    plan.swap_pages = 4096;
    const char *why = NULL;
    if (vm_machine_create(&plan, &rig->machine, &why) != VM_OK)
        fail_msg("no machine: %s", why ? why : "no memory");
    return rig;
}

static inline struct rig *rig_create_cpus(const char *design, uint64_t frames, unsigned cpus) {
    return rig_create_as(
        (struct vm_machine_config){ .design = design, .frames = frames, .cpus = cpus });
}

static inline struct rig *rig_create(const char *design, uint64_t frames) {
    return rig_create_cpus(design, frames, 1);
}

static inline void rig_destroy(struct rig *rig) {
    vm_machine_destroy(rig->machine);
    rig->swap->close(rig->swap);
    free(rig);
}

static inline void rig_print(const char *difference, void *context) {
    (void)context;
    print_error("%s\n", difference);
}

static inline void rig_verify(struct rig *rig) {
    assert_int_equal(vm_verify(rig->machine, rig_print, NULL), 0);
}

static inline struct vm_space *rig_space(struct rig *rig, uint64_t id) {
    struct vm_space *space;
    assert_int_equal(vm_space_create(rig->machine, id, &space), VM_OK);
    return space;
}

static inline struct vm_space *rig_fork(struct vm_space *parent, uint64_t id) {
    struct vm_space *child;
    assert_int_equal(vm_fork(parent, id, &child), VM_OK);
    return child;
}

/* Private anonymous memory, or the object's first pages shared, where the caller wants it. */
static inline void rig_map(struct vm_space *space, uint64_t address, uint64_t pages,
                           struct vm_object *object) {
    uint64_t result;
    unsigned sharing = object ? VM_MAP_SHARED : VM_MAP_PRIVATE;
    assert_int_equal(
        vm_mmap(space, address, pages * PAGE, RW, sharing | VM_MAP_FIXED, object, 0, &result),
        VM_OK);
}

static inline void rig_touch(struct vm_space *space, uint64_t address, uint64_t pages) {
    assert_int_equal(vm_touch(space, address, pages, VM_WRITE, NULL), VM_OK);
}

static inline struct vm_stats rig_stats(struct rig *rig) {
    struct vm_stats stats;
    vm_stats_read(rig->machine, &stats);
    return stats;
}

/* Asks the design who maps the frame, and tells what that took. */
static inline uint64_t rig_ask(struct rig *rig, uint64_t frame, struct vm_stats *cost) {
    struct vm_stats before = rig_stats(rig);
    uint64_t found = vm_page_mappings(rig->machine, frame, NULL, NULL);
    struct vm_stats after = rig_stats(rig);
    cost->rmap.walks = after.rmap.walks - before.rmap.walks;
    cost->rmap.hits = after.rmap.hits - before.rmap.hits;
    cost->rmap.empty_walks = after.rmap.empty_walks - before.rmap.empty_walks;
    cost->rmap.range_rejects = after.rmap.range_rejects - before.rmap.range_rejects;
    cost->rmap.object_visits = after.rmap.object_visits - before.rmap.object_visits;
    return found;
}

struct rig_cache {
    const char *name;
    uint64_t live, bytes, peak;
};

static inline void rig_match_cache(const struct vm_cache_view *cache, void *context) {
    struct rig_cache *wanted = context;
    if (strcmp(cache->name, wanted->name) == 0) {
        wanted->live = cache->live;
        wanted->bytes = cache->live_bytes;
        wanted->peak = cache->peak_bytes;
    }
}

static inline struct rig_cache rig_cache(struct rig *rig, const char *name) {
    struct rig_cache wanted = { name, UINT64_MAX, UINT64_MAX, UINT64_MAX };
    vm_cache_each(rig->machine, rig_match_cache, &wanted);
    return wanted;
}

#endif
