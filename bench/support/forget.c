/* SPDX-License-Identifier: BSD-2-Clause */
/* forget.c - see forget.h. */
#include "support/forget.h"

#include "vm/space/space.h"

void forget_use(struct vm_space *space, uint64_t address, uint64_t pages) {
    struct vm_table_cursor at =
        vm_table_cursor(space->root, address, address + pages * VM_PAGE_SIZE);

    while (vm_table_next(space->machine, &at))
        for (unsigned i = 0; i < at.count; i++)
            if (vm_pte_present(vm_pte_read(&at.entries[i])))
                vm_pte_clear_bits(space->machine, &at.entries[i], VM_PTE_ACCESSED);
}
