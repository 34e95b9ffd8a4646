/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sweep.c - reclaim where there is no reverse map: virtual scanning, as in Linux 2.4.
 *
 * A design without a reverse map cannot say who maps a page. Then each round first sweeps over the
 * entries of all spaces, a share of them as of pages, and takes out those that are not in use; the
 * lists only give up pages that have no entry left. Where the sweep begins is the design's to
 * remember, so that all spaces have their turn.
 *
 * Bligh & Hansen 2003, section 8.
 */
#include "vm/reclaim/scan.h"

struct sweep {
    struct vm_scan *scan;
    uint64_t left; /* entries that may still be looked at */
};

static enum vm_step look_at_swept(const struct vm_mapping *mapping, void *context) {
    struct sweep *sweep = context;
    struct vm_scan *scan = sweep->scan;
    enum vm_swept swept = VM_SWEPT_KEPT;

    if (sweep->left == 0 || scan->freed + scan->loose >= scan->wanted)
        return VM_STEP_STOP;
    sweep->left--;
    if (scan->priority > 0 && vm_pte_accessed(vm_pte_read(mapping->entry)))
        vm_pte_clear_bits(scan->machine, mapping->entry, VM_PTE_ACCESSED);
    else
        swept = vm_pageout_entry(mapping, NULL);
    scan->loose += swept == VM_SWEPT_LOOSE;
    scan->freed += swept == VM_SWEPT_FREED;
    return swept == VM_SWEPT_KEPT ? VM_STEP_ON : VM_STEP_UNMAPPED;
}

static uint64_t listed_pages(struct vm_machine *machine) {
    uint64_t pages = 0;

    for (unsigned z = 0; z < machine->zone_count; z++)
        for (enum vm_lru_list list = 0; list < VM_LRU_LISTS; list++)
            pages += vm_lru_pages(&machine->zones[z], list);
    return pages;
}

void vm_scan_sweep(struct vm_scan *scan) {
    struct vm_machine *machine = scan->machine;
    struct sweep sweep = { .scan = scan, .left = UINT64_MAX };

    scan->loose = 0;
    if (!machine->design->sweep)
        return;
    if (scan->priority > 0)
        sweep.left = vm_scan_share(listed_pages(machine), scan->priority);
    machine->design->sweep(machine, look_at_swept, &sweep);
}
