/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * balance.c - who reclaims, from which zones, and until when.
 *
 *   direct       a call that finds all its zones at min: some frames, of any of these zones
 *   a node's     until each zone of the node stands at high; for a thread that is woken at low
 *   on request   vm_reclaim(): so many frames, wherever they are
 *
 * All go in rounds, and look at ever more of the lists: priority falls from 12 to 0 until enough is
 * free. A node's thread begins again at 12 as long as that frees anything at all.
 *
 * Without such threads (port->wake_reclaim NULL) direct reclaim is all there is. Then what is evicted,
 * and when, depends on the calls alone, and a machine of one CPU can be replayed.
 *
 * Bligh & Hansen 2003, section 7: a thread a node, which looks at its own node's pages only.
 */
#include "vm/reclaim/scan.h"

/* Entries that went while others were wanted: their pages may have been looked at before. */
static uint64_t unmapped_in_passing(struct vm_machine *machine) {
    return vm_this_cpu(machine)->counts.reclaim.nonlinear_unmapped;
}

/* ---- so many frames */

static void scan_zones(struct vm_scan *scan, const struct vm_zonelist *zones) {
    for (unsigned i = 0; i < zones->count && scan->freed < scan->wanted; i++)
        vm_scan_zone(scan, zones->zones[i]);
}

/* Once through a share of the zones; at priority 0 again as long as that brings pages within reach. */
static void scan_round(struct vm_scan *scan, const struct vm_zonelist *zones) {
    struct vm_machine *machine = scan->machine;
    uint64_t unmapped;

    do {
        unmapped = unmapped_in_passing(machine);
        vm_scan_sweep(scan);
        scan_zones(scan, zones);
        unmapped = unmapped_in_passing(machine) - unmapped;
    } while (scan->priority == 0 && scan->freed < scan->wanted &&
             (scan->loose > 0 || unmapped > 0));
}

uint64_t vm_reclaim_frames(struct vm_machine *machine, const struct vm_zonelist *zones,
                           uint64_t frames) {
    struct vm_scan scan = { .machine = machine, .wanted = frames };
    uint64_t start = machine->port->clock_ns(machine->port);

    for (int priority = VM_PRIORITY_START; priority >= 0 && scan.freed < frames; priority--) {
        scan.priority = (unsigned)priority;
        scan_round(&scan, zones);
    }
    vm_count(machine, reclaim.runs, 1);
    vm_count(machine, reclaim.ns, machine->port->clock_ns(machine->port) - start);
    return scan.freed;
}

uint64_t vm_reclaim(struct vm_machine *machine, uint64_t frames) {
    uint64_t freed = vm_reclaim_frames(machine, &machine->nodes[0].data, frames);

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

/* Each zone by itself: what one has too many of is no help to another. Returns frames freed. */
static uint64_t balance_round(struct vm_machine *machine, const struct vm_zonelist *zones,
                              unsigned priority) {
    uint64_t freed = 0;
    for (unsigned i = 0; i < zones->count; i++) {
        struct vm_zonelist one = { .zones = { zones->zones[i] }, .count = 1 };
        struct vm_scan scan = { .machine = machine,
                                .priority = priority,
                                .wanted = missing(zones->zones[i]) };
        if (scan.wanted)
            scan_round(&scan, &one);
        freed += scan.freed;
    }
    return freed;
}

/* From a small share of the lists to all of them. Returns frames freed. */
static uint64_t balance(struct vm_machine *machine, const struct vm_zonelist *zones) {
    uint64_t freed = 0;
    for (int priority = VM_PRIORITY_START; priority >= 0 && missing_in(zones); priority--)
        freed += balance_round(machine, zones, (unsigned)priority);
    return freed;
}

uint64_t vm_reclaim_node(struct vm_machine *machine, unsigned n) {
    VM_ASSERT(machine, n < machine->node_count);
    struct vm_node *node = &machine->nodes[n];
    struct vm_cpu *cpu = vm_this_cpu(machine);
    uint64_t start = machine->port->clock_ns(machine->port);
    uint64_t sum = 0, freed;

    cpu->in_shortage = true; /* it may use the last frames, and leaves cold ones */
    do {
        freed = balance(machine, &node->own);
        sum += freed;
    } while (freed && missing_in(&node->own));
    cpu->in_shortage = false;

    vm_count(machine, reclaim.runs, 1);
    vm_count(machine, reclaim.ns, machine->port->clock_ns(machine->port) - start);
    atomic_store_explicit(&node->woken, 0, memory_order_release);
    vm_settle(machine);
    return sum;
}
