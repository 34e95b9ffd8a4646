/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cursor.c - going through a range of addresses run by run, a run being what one leaf covers of it.
 *
 * Each step walks from the root: three loads that are in the cache anyway, for up to 512 entries.
 * Nothing is remembered between steps but the address, so tables may come and go meanwhile. Where
 * an upper entry is missing, all that it would cover is skipped at once.
 */
#include "vm/table/walk.h"

static void set_run(struct vm_machine *machine, struct vm_table_cursor *cursor, vm_pte upper) {
    uint64_t frame = vm_pte_frame(upper);
    uint64_t pages = (cursor->end - cursor->next + VM_PAGE_SIZE - 1) >> VM_PAGE_SHIFT;
    cursor->table = vm_table_of_page(vm_page_of(machine, frame));
    cursor->address = cursor->next;
    cursor->first = vm_table_index(cursor->next, 0);
    cursor->count = VM_TABLE_ENTRIES - cursor->first;
    if (cursor->count > pages)
        cursor->count = (unsigned)pages;
    cursor->entries = (vm_pte_slot *)vm_frame_map_number(machine, frame) + cursor->first;
    cursor->next += (uint64_t)cursor->count << VM_PAGE_SHIFT;
}

bool vm_table_next(struct vm_machine *machine, struct vm_table_cursor *cursor) {
    const vm_pte_slot *root = vm_table_entries(machine, cursor->root);
    while (cursor->next < cursor->end) {
        vm_pte upper;
        unsigned missing = vm_walk(machine, root, cursor->next, &upper);
        if (missing == 0) {
            set_run(machine, cursor, upper);
            return true;
        }
        cursor->next = (cursor->next | (vm_table_span(missing - 1) - 1)) + 1;
    }
    return false;
}
