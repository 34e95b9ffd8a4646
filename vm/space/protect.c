/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * protect.c - mprotect.
 *
 * Rights are taken away from present entries at once, and given back by the next fault: whether a
 * page may be written where it is, or must be copied, marked dirty or noticed by its file first,
 * only a write fault decides. So W survives where the entry had it, and comes anew only where none
 * of this matters: pages of shared memory objects, whose entries' dirty bits are all there is to
 * know. U and NX follow the protection both ways. A and D are never lost: bits are set and
 * cleared one atomic step each.
 *
 * Where an area ends before the range does, what lies before the hole has been changed.
 */
#include "vm/space/space.h"

struct change {
    struct vm_machine *machine;
    vm_pte clear, set; /* in entries that are present */
    bool changed;
};

static struct change change_for(const struct vm_area *area, uint32_t flags) {
    vm_pte want = vm_pte_protection(flags & VM_AREA_PROTECTION);
    struct change change = { .machine = area->space->machine };

    change.clear = ~want & (VM_PTE_WRITE | VM_PTE_USER | VM_PTE_NX);
    change.set = want & (VM_PTE_USER | VM_PTE_NX);
    if (vm_area_shared(area) && area->object->kind == VM_OBJECT_SHM)
        change.set |= want & VM_PTE_WRITE;
    return change;
}

static void change_entry(struct change *change, vm_pte_slot *slot) {
    vm_pte entry = vm_pte_read(slot);

    if (!vm_pte_present(entry))
        return;
    if (entry & change->clear) {
        vm_pte_clear_bits(change->machine, slot, change->clear);
        change->changed = true;
    }
    if (~entry & change->set) {
        vm_pte_set_bits(change->machine, slot, change->set);
        change->changed = true;
    }
}

static void change_entries(struct vm_area *area, uint32_t flags) {
    struct change change = change_for(area, flags);
    struct vm_space *space = area->space;
    struct vm_table_cursor at = vm_table_cursor(space->root, area->start, area->end);

    while (vm_table_next(change.machine, &at)) {
        vm_lock(change.machine, &at.table->lock, VM_RANK_TABLE);
        for (unsigned i = 0; i < at.count; i++)
            change_entry(&change, &at.entries[i]);
        vm_unlock(change.machine, &at.table->lock, VM_RANK_TABLE);
    }
    if (change.changed)
        vm_space_flush(space, area->start, area->end);
}

/* Memory locked in memory must not fault for having become writable. */
static bool must_be_populated(const struct vm_area *area, uint32_t before) {
    uint32_t gained = vm_area_flags(area) & ~before;
    return vm_area_flags(area) & VM_AREA_LOCKED && !vm_area_shared(area) && gained & VM_AREA_WRITE;
}

static int protect_piece(struct vm_area *area, uint64_t start, uint64_t end, uint32_t flags) {
    uint32_t before = vm_area_flags(area);

    if (flags == before)
        return VM_OK;
    if (vm_object_refuses(area->object, flags))
        return VM_EACCES;
    int error = vm_area_isolate(area, start, end, &area);
    if (error)
        return error;
    change_entries(area, flags);
    vm_area_set_flags(area, flags);
    if (must_be_populated(area, before))
        vm_populate(area->space, start, end);
    return VM_OK;
}

static int protect_locked(struct vm_space *space, uint64_t start, uint64_t end,
                          unsigned protection) {
    uint64_t position = start;
    int error = VM_OK;

    while (position < end && !error) {
        struct vm_area *area = vm_area_at(space, position);
        if (!area) {
            error = VM_ENOMEM;
            break;
        }
        uint64_t piece_end = area->end < end ? area->end : end;
        uint32_t flags = (vm_area_flags(area) & ~(uint32_t)VM_AREA_PROTECTION) | protection;
        error = protect_piece(area, position, piece_end, flags);
        position = piece_end;
    }
    vm_area_merge(space, start, position);
    return error;
}

int vm_mprotect(struct vm_space *space, uint64_t address, uint64_t length, unsigned protection) {
    uint64_t end;

    if (address & (VM_PAGE_SIZE - 1) || protection & ~(unsigned)VM_AREA_PROTECTION)
        return VM_EINVAL;
    if (!vm_range_round(address, length, &end))
        return VM_ENOMEM;
    vm_write_lock(space->machine, &space->lock, VM_RANK_SPACE);
    int error = protect_locked(space, address, end, protection);
    vm_write_unlock(space->machine, &space->lock, VM_RANK_SPACE);
    vm_settle(space->machine);
    return error;
}
