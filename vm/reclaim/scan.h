/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scan.h - what the files of this room offer each other: one look at a share of a zone's pages.
 */
#ifndef VM_SCAN_H
#define VM_SCAN_H

#include "vm/reclaim/reclaim.h"

struct vm_scan {
    struct vm_machine *machine;
    unsigned priority;      /* VM_PRIORITY_START .. 0 */
    uint64_t wanted, freed; /* it ends when enough frames are free */
    uint64_t loose;         /* pages that this round's sweep has made free to go */
};

/* How much of so many pages or entries one round looks at. */
static inline uint64_t vm_scan_share(uint64_t pages, unsigned priority) {
    return (pages >> priority) + 1;
}

/* Where there is no reverse map: takes entries out of a share of all spaces. Else does nothing. */
void vm_scan_sweep(struct vm_scan *scan);

/* Looks at a share of the zone's lists, until it has freed `most` frames there. */
void vm_scan_zone(struct vm_scan *scan, struct vm_zone *zone, uint64_t most);

/* Whether pages that entries map are taken, too, or only those that nobody maps. */
bool vm_scan_takes_mapped(const struct vm_scan *scan, const struct vm_zone *zone);

#endif
