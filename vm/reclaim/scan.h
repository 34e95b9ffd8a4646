/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scan.h - what the files of this room offer each other: one look at a share of a zone's pages.
 */
#ifndef VM_SCAN_H
#define VM_SCAN_H

#include "vm/reclaim/reclaim.h"

#define VM_PRIORITY_START 12 /* a 4096th of each list is looked at */

struct vm_scan {
    struct vm_machine *machine;
    unsigned priority;      /* VM_PRIORITY_START .. 0 */
    uint64_t wanted, freed; /* it ends when enough frames are free */
    uint64_t loose;         /* pages that this round's sweep has made free to go */
    struct vm_zone *zone;   /* the one that is looked at */
};

/* Where there is no reverse map: takes entries out of a share of all spaces. Else does nothing. */
void vm_scan_sweep(struct vm_scan *scan);

/* Looks at a share of the zone's lists. */
void vm_scan_zone(struct vm_scan *scan, struct vm_zone *zone);

#endif
