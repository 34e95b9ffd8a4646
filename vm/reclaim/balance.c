/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * balance.c - who reclaims, from which zones, and until when.
 *
 *   direct       a call that finds all its zones at min: some frames, of any of these zones
 *   a node's     until each zone of the node stands at high; for a thread that is woken at low
 *   on request   vm_reclaim(): so many frames, wherever they are
 *
 * All go in rounds, and look at ever more of the lists: priority falls from 12 to 0 until enough is
 * free. A node's thread begins again at 12 as long as that frees anything at all. In a zone where
 * nothing came of looking at every page four times over it only tries the first round, so that a
 * machine full of locked pages does not spend its time on them; direct reclaim tries all rounds
 * even then, since the call would fail otherwise.
 *
 * Without such threads (port->wake_reclaim NULL) direct reclaim is all there is. Then what is evicted,
 * and when, depends on the calls alone, and a machine of one CPU can be replayed.
 *
 * Bligh & Hansen 2003, section 7: a thread a node, which looks at its own node's pages only.
 */
#include "vm/reclaim/scan.h"

#define TURNS_TO_WAIT 16384 /* of port->relax() */

/* Entries that went while others were wanted: their pages may have been looked at before. */
static uint64_t unmapped_in_passing(struct vm_machine *machine) {
    return vm_this_cpu(machine)->counts.reclaim.nonlinear_unmapped;
}

/* One who reclaims uses frames down to the last, and is not asked for more by himself. */
static uint64_t begin(struct vm_machine *machine, bool *nested) {
    struct vm_cpu *cpu = vm_this_cpu(machine);

    *nested = cpu->in_shortage;
    cpu->in_shortage = true;
    return machine->port->clock_ns(machine->port);
}

static void end(struct vm_machine *machine, uint64_t start, bool nested) {
    vm_this_cpu(machine)->in_shortage = nested;
    vm_count(machine, reclaim.runs, 1);
    vm_count(machine, reclaim.ns, machine->port->clock_ns(machine->port) - start);
}

static void note_priority(const struct vm_zonelist *zones, unsigned priority) {
    for (unsigned i = 0; i < zones->count; i++)
        atomic_store_explicit(&zones->zones[i]->last_priority, priority, memory_order_relaxed);
}

/* ---- so many frames */

static uint64_t pages_of(const struct vm_zone *zone) {
    return vm_lru_pages(zone, VM_LRU_ACTIVE) + vm_lru_pages(zone, VM_LRU_INACTIVE);
}

static uint64_t pages_of_all(const struct vm_zonelist *zones) {
    uint64_t pages = 0;

    for (unsigned i = 0; i < zones->count; i++)
        pages += pages_of(zones->zones[i]);
    return pages;
}

enum giving { GIVE_A_SHARE, GIVE_ALL };

/* Each zone gives in the measure of its pages, or else the first in the list would have to give all. */
static void scan_zones(struct vm_scan *scan, const struct vm_zonelist *zones, enum giving giving) {
    uint64_t wanted = scan->wanted - scan->freed, all = pages_of_all(zones);

    for (unsigned i = 0; i < zones->count && scan->freed < scan->wanted; i++) {
        struct vm_zone *zone = zones->zones[i];
        uint64_t left = scan->wanted - scan->freed;
        uint64_t share = giving == GIVE_ALL ? left : wanted * pages_of(zone) / (all + 1) + 1;
        vm_scan_zone(scan, zone, share < left ? share : left);
    }
}

/* Once through a share of the zones; at priority 0 again as long as that brings pages within reach, and
 * with those that CPUs have parked. */
static void scan_round(struct vm_scan *scan, const struct vm_zonelist *zones) {
    struct vm_machine *machine = scan->machine;
    uint64_t unmapped;

    if (scan->priority == 0)
        vm_lru_drain(machine);
    do {
        unmapped = unmapped_in_passing(machine);
        vm_scan_sweep(scan);
        scan_zones(scan, zones, GIVE_A_SHARE);
        if (scan->priority == 0)
            scan_zones(scan, zones, GIVE_ALL);
        unmapped = unmapped_in_passing(machine) - unmapped;
    } while (scan->priority == 0 && scan->freed < scan->wanted &&
             (scan->loose > 0 || unmapped > 0));
}

static uint64_t free_frames(struct vm_machine *machine, const struct vm_zonelist *zones,
                            uint64_t frames) {
    struct vm_scan scan = { .machine = machine, .wanted = frames, .priority = VM_PRIORITY_START };

    scan_round(&scan, zones);
    while (scan.freed < frames && scan.priority > 0) {
        scan.priority--;
        scan_round(&scan, zones);
    }
    note_priority(zones, scan.priority);
    return scan.freed;
}

/* ---- waiting for a node */

static bool has_frame(const struct vm_zonelist *zones) {
    for (unsigned i = 0; i < zones->count; i++)
        if (vm_zone_free(zones->zones[i]) > zones->zones[i]->watermark[VM_WATERMARK_MIN])
            return true;
    return false;
}

static bool is_at_work(const struct vm_zonelist *zones) {
    for (unsigned i = 0; i < zones->count; i++)
        if (atomic_load_explicit(&zones->zones[i]->node->woken, memory_order_relaxed))
            return true;
    return false;
}

/* Whether the thread of a node has made a frame free, for which a call waits a while: it was woken only
 * a few frames ago, and one that frees hundreds is better than many that free a few each, at the cost
 * of each other's pages. But it may be kept from running, or find nothing. */
static bool node_frees(struct vm_machine *machine, const struct vm_zonelist *zones) {
    if (!machine->port->wake_reclaim || machine->config.cpus == 1)
        return false;
    for (unsigned turn = 0; turn < TURNS_TO_WAIT && is_at_work(zones); turn++) {
        if (has_frame(zones))
            return true;
        machine->port->relax(machine->port);
    }
    return has_frame(zones);
}

uint64_t vm_reclaim_direct(struct vm_machine *machine, const struct vm_zonelist *zones,
                           uint64_t frames) {
    bool nested;

    if (node_frees(machine, zones)) {
        vm_count(machine, reclaim.waited, 1);
        return 1;
    }
    uint64_t start = begin(machine, &nested);
    uint64_t freed = free_frames(machine, zones, frames);

    end(machine, start, nested);
    vm_count(machine, reclaim.direct, 1);
    return freed;
}

uint64_t vm_reclaim(struct vm_machine *machine, uint64_t frames) {
    bool nested;
    uint64_t start = begin(machine, &nested);
    uint64_t freed = free_frames(machine, &machine->nodes[0].data, frames);

    end(machine, start, nested);
    vm_settle(machine);
    return freed;
}

/* ---- a node */

static uint64_t missing(const struct vm_zone *zone) {
    uint64_t high = zone->watermark[VM_WATERMARK_HIGH], free = vm_zone_free(zone);

    return free < high ? high - free : 0;
}

static uint64_t missing_in(const struct vm_zonelist *zones) {
    uint64_t sum = 0;

    for (unsigned i = 0; i < zones->count; i++)
        sum += missing(zones->zones[i]);
    return sum;
}

static bool seems_hopeless(const struct vm_zone *zone) {
    return atomic_load_explicit(&zone->fruitless, memory_order_relaxed) > 4 * pages_of(zone);
}

/* From a small share of the zone to all of it: what one zone has too many of is no help to another. */
static uint64_t balance(struct vm_machine *machine, struct vm_zone *zone) {
    struct vm_zonelist one = { .zones = { zone }, .count = 1 };
    struct vm_scan scan = { .machine = machine,
                            .wanted = missing(zone),
                            .priority = VM_PRIORITY_START };

    if (!scan.wanted)
        return 0;
    scan_round(&scan, &one);
    while (missing(zone) && scan.priority > 0 && !seems_hopeless(zone)) {
        scan.priority--;
        scan.wanted = scan.freed + missing(zone);
        scan_round(&scan, &one);
    }
    note_priority(&one, scan.priority);
    return scan.freed;
}

uint64_t vm_reclaim_node(struct vm_machine *machine, unsigned n) {
    VM_ASSERT(machine, n < machine->node_count);
    struct vm_node *node = &machine->nodes[n];
    uint64_t sum = 0, freed;
    bool nested;
    uint64_t start = begin(machine, &nested);

    do {
        freed = 0;
        for (unsigned z = 0; z < node->zone_count; z++)
            freed += balance(machine, &node->zones[z]);
        sum += freed;
    } while (freed && missing_in(&node->own));
    end(machine, start, nested);
    vm_count(machine, reclaim.node, 1);
    atomic_store_explicit(&node->woken, 0, memory_order_release);
    vm_settle(machine);
    return sum;
}
