/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * largest.c - see largest.h.
 */
#include "largest.h"

#include <objrmap/rmap.h>

#include <stdio.h>

static bool count_page(const struct vm_page_view *page, void *context) {
    uint64_t *pages = context;
    *pages += page->present && page->kind != VM_PAGE_ZERO;
    return true;
}

/* Among equals the first one found stays the first. */
static void take(struct largest *largest, const struct world_process *process, uint64_t pages) {
    unsigned at = largest->count;
    while (at && largest->process[at - 1].pages < pages)
        at--;
    if (at == LARGEST)
        return;
    if (largest->count < LARGEST)
        largest->count++;
    for (unsigned i = largest->count - 1; i > at; i--)
        largest->process[i] = largest->process[i - 1];
    largest->process[at] = (struct large_process){ .pid = process->pid, .pages = pages };
    snprintf(largest->process[at].name, sizeof(largest->process[at].name), "%s",
             process->name ? process->name : "?");
}

void largest_find(struct largest *largest, const struct world *world) {
    largest->count = 0;
    for (size_t i = 0; i < world->process_room; i++) {
        uint64_t pages = 0;
        if (!world->processes[i].space)
            continue;
        vm_page_each(world->processes[i].space, 0, VM_ADDRESS_END, count_page, &pages);
        take(largest, &world->processes[i], pages);
    }
}
