/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * oracle.c - scanning page tables. It uses nothing but the tables, so that it agrees with a design
 * only if the design is right.
 */
#include <objrmap/rmap.h>

#include "vm/rmap/oracle.h"

void vm_oracle_scan(struct vm_space *space, vm_seen_visit *visit, void *context) {
    struct vm_machine *machine = space->machine;
    struct vm_table_cursor cursor = vm_table_cursor(space->root, 0, VM_ADDRESS_END);

    while (vm_table_next(machine, &cursor))
        for (unsigned i = 0; i < cursor.count; i++) {
            struct vm_seen seen = { space, cursor.address + i * VM_PAGE_SIZE,
                                    vm_pte_read(&cursor.entries[i]) };
            if (seen.entry)
                visit(&seen, context);
        }
}

struct search {
    uint64_t frame;
    vm_mapped_visit *visit;
    void *context;
    uint64_t found;
};

static void match(const struct vm_seen *seen, void *context) {
    struct search *search = context;

    if (!vm_pte_present(seen->entry) || vm_pte_frame(seen->entry) != search->frame)
        return;
    struct vm_mapped_at place = { .space = seen->space,
                                  .address = seen->address,
                                  .writable = vm_pte_writable(seen->entry),
                                  .accessed = vm_pte_accessed(seen->entry),
                                  .dirty = vm_pte_dirty(seen->entry) };
    search->found++;
    if (search->visit)
        search->visit(&place, search->context);
}

uint64_t vm_oracle_mappings(struct vm_machine *machine, uint64_t frame, vm_mapped_visit *visit,
                            void *context) {
    struct search search = { frame, visit, context, 0 };

    for (struct vm_space *space = vm_space_first(machine); space; space = vm_space_after(space))
        vm_oracle_scan(space, match, &search);
    return search.found;
}
