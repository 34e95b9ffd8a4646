/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * holdings.c - see holdings.h.
 */
#include "holdings.h"

#include <objrmap/stats.h>

#include <inttypes.h>
#include <stdio.h>

/* The caches of a machine, compared with `start` when `left` is not NULL. */
struct count {
    struct holdings now;
    const struct holdings *start;
    char *left;
    size_t bytes;
    bool back;
};

static void tell(struct count *count, const char *what, uint64_t now, uint64_t before) {
    if (count->back && count->left)
        snprintf(count->left, count->bytes,
                 "after the last exit there are %s: %" PRIu64 ", %" PRIu64 " at the start", what,
                 now, before);
    count->back = false;
}

static void count_cache(const struct vm_cache_view *cache, void *context) {
    struct count *count = context;
    char what[80];
    unsigned i = count->now.caches;
    if (i == HOLDINGS_CACHES)
        return;
    count->now.live[i] = cache->live;
    count->now.caches++;
    if (!count->start)
        return;
    uint64_t before = i < count->start->caches ? count->start->live[i] : 0;
    snprintf(what, sizeof(what), "records in the cache \"%s\"", cache->name);
    if (cache->live != before)
        tell(count, what, cache->live, before);
}

struct holdings holdings_of(const struct world *world) {
    struct count count = { .back = true };
    struct vm_stats stats;
    vm_stats_read(world->machine, &stats);
    count.now.frames_free = stats.memory.frames_free;
    vm_cache_each(world->machine, count_cache, &count);
    return count.now;
}

bool holdings_are_back(const struct world *world, const struct holdings *start, char *left,
                       size_t bytes) {
    struct count count = { .start = start, .left = left, .bytes = bytes, .back = true };
    struct vm_stats stats;
    vm_stats_read(world->machine, &stats);
    const struct {
        const char *name;
        uint64_t count;
    } none[] = {
        { "areas", stats.memory.areas },
        { "spaces", stats.memory.spaces },
        { "anonymous pages", stats.memory.anonymous },
        { "pages of files", stats.memory.file },
        { "pages of shared memory", stats.memory.shm },
        { "used slots of swap", stats.memory.swap_used },
        { "locked pages", stats.memory.locked },
        { "page tables", stats.memory.tables },
    };
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        if (none[i].count)
            tell(&count, none[i].name, none[i].count, 0);
    vm_cache_each(world->machine, count_cache, &count);
    if (stats.memory.frames_free != start->frames_free)
        tell(&count, "free frames", stats.memory.frames_free, start->frames_free);
    return count.back;
}
