/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * truncate.c - clearing the entries that map an object's pages from some page on, in every space.
 *
 * No space lock is held: the object's areas lock keeps the area there, its space's keeps the tables,
 * since neighbours of the area, with entries in the same tables, may be going.
 */
#include "vm/space/space.h"

struct unmap_from {
    uint64_t first;
};

static bool unmap_area_from(struct vm_area *area, void *context) {
    const struct unmap_from *from = context;
    struct vm_space *space = area->space;
    struct vm_gather gather;
    uint64_t start =
        from->first > area->pgoff ? vm_area_address_of(area, from->first) : area->start;

    vm_gather_init(&gather, space);
    vm_lock(space->machine, &space->areas_lock, VM_RANK_AREAS);
    vm_zap(area, start, area->end, &gather);
    vm_unlock(space->machine, &space->areas_lock, VM_RANK_AREAS);
    vm_gather_finish(&gather);
    vm_space_note_empty_table(space);
    return true;
}

/* Which pages a nonlinear area shows only its entries tell, all of them. */
static void unmap_nonlinear_from(struct vm_area *area, uint64_t first) {
    struct vm_space *space = area->space;
    struct vm_gather gather;

    vm_gather_init(&gather, space);
    vm_lock(space->machine, &space->areas_lock, VM_RANK_AREAS);
    vm_zap_keeping_offsets(area, area->start, area->end, first, &gather);
    vm_unlock(space->machine, &space->areas_lock, VM_RANK_AREAS);
    vm_gather_finish(&gather);
    vm_space_note_empty_table(space);
}

void vm_object_unmap_from(struct vm_object *object, uint64_t first) {
    struct vm_machine *machine = object->machine;
    struct unmap_from from = { first };

    vm_lock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
    machine->index_kind->each(machine, vm_object_areas(object), first, UINT64_MAX, unmap_area_from,
                              &from);
    for (struct vm_link *link = object->nonlinear.next; link != &object->nonlinear;
         link = link->next)
        unmap_nonlinear_from(vm_link_entry(link, struct vm_nonlinear_area, link)->area, first);
    vm_unlock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
}
