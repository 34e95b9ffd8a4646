/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scan.c - which pages to take: an active and an inactive list per zone, aged by referenced bits.
 *
 * Pages leave the inactive list at its tail: those in use since they were last looked at go to the
 * active list, the others go out. The active list is trimmed at its tail in the same measure, so
 * that it holds no more than the inactive one and half. Each round looks at a share of the lists,
 * size >> priority, and priority falls from 12 to 0 until enough frames are free: only at 0 is
 * everything looked at, and there a page is taken even if it is in use.
 *
 * Bligh & Hansen 2003, section 7 (physical scanning); the constants are those of Linux 2.5.
 */
#include "vm/reclaim/reclaim.h"

#define PRIORITY_START 12
#define BATCH          32

struct scan {
    struct vm_machine *machine;
    struct vm_zone *zone;
    unsigned priority;
    uint64_t wanted, freed;
};

/* ---- the inactive list */

static bool in_use(const struct scan *scan, struct vm_page *page, const struct vm_page_use *use) {
    if (scan->priority == 0)
        return false;
    if (use->accessed > 0)
        return true;
    /* Touched through a mapping that is gone: it is kept for one more round. */
    return (vm_page_clear(scan->machine, page, VM_PAGE_REFERENCED) & VM_PAGE_REFERENCED) != 0;
}

static void look_at_inactive(struct scan *scan, struct vm_page *page) {
    struct vm_machine *machine = scan->machine;
    enum vm_pageout result = VM_PAGEOUT_KEPT;

    vm_count(machine, reclaim.scanned, 1);
    if (vm_page_trylock(machine, page)) {
        struct vm_page_use use = vm_page_age(machine, page);
        if (use.locked || in_use(scan, page, &use)) {
            result = VM_PAGEOUT_IN_USE;
            vm_count(machine, reclaim.activated, 1);
        } else {
            result = vm_pageout_locked(machine, page, &use);
        }
        vm_page_unlock(machine, page);
    }
    scan->freed += result == VM_PAGEOUT_FREED;
    vm_pageout_done(machine, page, result);
}

static void shrink_inactive(struct scan *scan, uint64_t pages) {
    struct vm_page *batch[BATCH];

    while (pages > 0 && scan->freed < scan->wanted) {
        unsigned want = pages < BATCH ? (unsigned)pages : BATCH;
        unsigned got = vm_lru_isolate(scan->machine, scan->zone, VM_LRU_INACTIVE, want, batch);
        for (unsigned i = 0; i < got; i++)
            look_at_inactive(scan, batch[i]);
        if (got < want)
            return;
        pages -= got;
    }
}

/* ---- the active list */

static void look_at_active(struct scan *scan, struct vm_page *page) {
    struct vm_machine *machine = scan->machine;
    bool stay = true;

    if (vm_page_trylock(machine, page)) {
        struct vm_page_use use = vm_page_age(machine, page);
        stay = use.locked || (use.accessed > 0 && scan->priority > 0);
        vm_page_unlock(machine, page);
    }
    vm_lru_add(machine, page, stay ? VM_LRU_ACTIVE : VM_LRU_INACTIVE);
    vm_page_put(machine, page);
}

static void shrink_active(struct scan *scan, uint64_t pages) {
    struct vm_page *batch[BATCH];

    while (pages > 0) {
        unsigned want = pages < BATCH ? (unsigned)pages : BATCH;
        unsigned got = vm_lru_isolate(scan->machine, scan->zone, VM_LRU_ACTIVE, want, batch);
        for (unsigned i = 0; i < got; i++)
            look_at_active(scan, batch[i]);
        if (got < want)
            return;
        pages -= got;
    }
}

/* ---- rounds */

static uint64_t share(uint64_t pages, unsigned priority) {
    return (pages >> priority) + 1;
}

static void shrink_zone(struct scan *scan) {
    struct vm_lru *active = &scan->zone->lru[VM_LRU_ACTIVE];
    struct vm_lru *inactive = &scan->zone->lru[VM_LRU_INACTIVE];

    if (active->pages > inactive->pages / 2)
        shrink_active(scan, share(active->pages, scan->priority));
    shrink_inactive(scan, share(inactive->pages, scan->priority));
}

static void shrink_all_zones(struct scan *scan) {
    struct vm_machine *machine = scan->machine;

    for (unsigned n = 0; n < machine->node_count; n++)
        for (unsigned z = 0; z < machine->nodes[n].zone_count && scan->freed < scan->wanted; z++) {
            scan->zone = &machine->nodes[n].zones[z];
            shrink_zone(scan);
        }
}

uint64_t vm_reclaim_frames(struct vm_machine *machine, uint64_t frames) {
    struct scan scan = { .machine = machine, .wanted = frames };
    uint64_t start = machine->port->clock_ns(machine->port);

    for (int priority = PRIORITY_START; priority >= 0 && scan.freed < frames; priority--) {
        scan.priority = (unsigned)priority;
        shrink_all_zones(&scan);
    }
    vm_count(machine, reclaim.runs, 1);
    vm_count(machine, reclaim.ns, machine->port->clock_ns(machine->port) - start);
    return scan.freed;
}

uint64_t vm_reclaim(struct vm_machine *machine, uint64_t frames) {
    uint64_t freed = vm_reclaim_frames(machine, frames);

    vm_settle(machine);
    return freed;
}
