/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * walk.h - from a root table down to a leaf: what the files of this room share.
 */
#ifndef VM_WALK_H
#define VM_WALK_H

#include "vm/table/table.h"

#define VM_UPPER_BITS (VM_PTE_PRESENT | VM_PTE_WRITE | VM_PTE_USER | VM_PTE_ACCESSED)

/* Bytes that a table of this level covers. */
static inline uint64_t vm_table_span(unsigned level) {
    return VM_LEAF_SPAN << (9 * level);
}

/* Who reads an upper entry sees the table behind it as it was when the entry was written. */
static inline vm_pte vm_upper_read(const vm_pte_slot *slot) {
    return atomic_load_explicit(slot, memory_order_acquire);
}

/*
 * Follows the upper entries towards the leaf that covers the address. Returns 0 and the entry that
 * names the leaf, or the level of the table whose entry is not present.
 */
static inline unsigned vm_walk(const struct vm_machine *machine, const vm_pte_slot *root,
                               uint64_t address, vm_pte *upper) {
    const vm_pte_slot *entries = root;
    for (unsigned level = VM_LEVELS - 1; level > 0; level--) {
        *upper = vm_upper_read(entries + vm_table_index(address, level));
        if (!vm_pte_present(*upper))
            return level;
        entries = vm_frame_map_number(machine, vm_pte_frame(*upper));
    }
    return 0;
}

#endif
