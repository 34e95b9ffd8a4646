/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmu.c - the software MMU: what the x86-64 hardware does with these tables on an access.
 *
 * An access is allowed if the leaf entry is present and the user's, writable for a write, and not NX
 * for an instruction fetch. Then A is set, and D by a write, unless they are set already: an entry in
 * use is only read. Setting is a compare-and-exchange, as in hardware: an entry that changes under
 * our eyes is looked at again, never resurrected.
 *
 * => the caller keeps the tables from being freed: space lock held, for reading at least. Entries may
 * change meanwhile, as they may after a real access was let through.
 */
#include "vm/table/walk.h"

/* What an entry must show, and what the access leaves in it. */
struct demand {
    vm_pte mask, value, mark;
};

static inline struct demand demand_of(enum vm_access access) {
    struct demand d = { .mask = VM_PTE_PRESENT | VM_PTE_USER, .mark = VM_PTE_ACCESSED };
    d.value = d.mask;
    if (access == VM_WRITE) {
        d.mask |= VM_PTE_WRITE;
        d.value |= VM_PTE_WRITE;
        d.mark |= VM_PTE_DIRTY;
    } else if (access == VM_EXECUTE)
        d.mask |= VM_PTE_NX;
    return d;
}

static inline bool mark(const struct vm_machine *machine, vm_pte_slot *slot, vm_pte *seen,
                        vm_pte marked) {
    if (machine->smp)
        return atomic_compare_exchange_weak_explicit(slot, seen, marked, memory_order_relaxed,
                                                     memory_order_relaxed);
    vm_pte_write(slot, marked);
    return true;
}

/* The access to one entry: 0 if it faults, else the entry. */
static inline vm_pte access_entry(const struct vm_machine *machine, vm_pte_slot *slot,
                                  const struct demand *demand) {
    vm_preempt(machine, slot);
    vm_pte e = vm_pte_read(slot);
    while ((e & demand->mask) == demand->value)
        if ((e & demand->mark) == demand->mark || mark(machine, slot, &e, e | demand->mark))
            return e;
    return 0;
}

/* The slot of the address, or NULL where there is no leaf. */
static inline vm_pte_slot *find_slot(const struct vm_machine *machine, const struct vm_table *root,
                                     uint64_t address) {
    vm_pte upper;
    if (vm_walk(machine, vm_table_entries(machine, root), address, &upper) > 0)
        return NULL;
    vm_pte_slot *entries = vm_frame_map_number(machine, vm_pte_frame(upper));
    return entries + vm_table_index(address, 0);
}

bool vm_mmu_access(struct vm_machine *machine, struct vm_table *root, uint64_t address,
                   enum vm_access access, uint64_t *frame) {
    vm_pte_slot *slot = find_slot(machine, root, address);
    if (!slot)
        return false;
    struct demand demand = demand_of(access);
    vm_pte e = access_entry(machine, slot, &demand);
    if (!e)
        return false;
    if (frame)
        *frame = vm_pte_frame(e);
    return true;
}

unsigned vm_mmu_access_run(struct vm_machine *machine, struct vm_table *root, uint64_t address,
                           unsigned n, enum vm_access access) {
    VM_ASSERT(machine, vm_table_index(address, 0) + n <= VM_TABLE_ENTRIES);
    vm_pte_slot *slot = find_slot(machine, root, address);
    if (!slot)
        return 0;
    struct demand demand = demand_of(access);
    unsigned done = 0;
    while (done < n && access_entry(machine, slot + done, &demand))
        done++;
    return done;
}
