/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * space.c - the life of a space, up to its first area and after its last.
 */
#include "vm/space/space.h"

#include "vm/frame/cache.h"
#include "vm/memory.h"
#include "vm/sum.h"

int vm_spaces_init(struct vm_machine *machine) {
    const struct vm_design_info *design = &machine->design->info;

    machine->space_cache = vm_cache_create(machine, "spaces", VM_COST_OTHER,
                                           sizeof(struct vm_space) + design->space_bytes, 16);
    machine->area_cache = vm_cache_create(machine, "areas", VM_COST_AREAS,
                                          machine->area_design_offset + design->area_bytes, 16);
    bool nonlinear = machine->config.nonlinear != VM_NONLINEAR_EMULATE;
    if (nonlinear)
        machine->nonlinear_cache = vm_cache_create(machine, "nonlinear areas", VM_COST_AREAS,
                                                   sizeof(struct vm_nonlinear_area), 16);
    if (machine->space_cache && machine->area_cache && (machine->nonlinear_cache || !nonlinear))
        return VM_OK;
    vm_spaces_fini(machine);
    return VM_ENOMEM;
}

void vm_spaces_fini(struct vm_machine *machine) {
    if (machine->nonlinear_cache)
        vm_cache_destroy(machine, machine->nonlinear_cache);
    if (machine->area_cache)
        vm_cache_destroy(machine, machine->area_cache);
    if (machine->space_cache)
        vm_cache_destroy(machine, machine->space_cache);
}

int vm_space_allocate(struct vm_machine *machine, uint64_t id, struct vm_space *parent,
                      struct vm_space **result) {
    struct vm_space *space = vm_cache_allocate(machine, machine->space_cache);
    if (!space)
        return VM_ENOMEM;
    memset(space, 0, sizeof *space + machine->design->info.space_bytes);
    space->machine = machine;
    space->id = id;
    space->home = VM_SPACE_UNPUBLISHED;
    vm_link_init(&space->link);
    vm_link_init(&space->emptied);

    int error = VM_OOM;
    space->root = vm_table_create_root(machine, space);
    if (space->root)
        error =
            machine->design->space_created ? machine->design->space_created(space, parent) : VM_OK;
    if (error) {
        if (space->root)
            vm_table_free_root(machine, space->root);
        vm_cache_free(machine, machine->space_cache, space);
        return error;
    }
    vm_share_add(machine, VM_SUM_SPACES, 1);
    *result = space;
    return VM_OK;
}

void vm_space_free(struct vm_space *space) {
    struct vm_machine *machine = space->machine;

    VM_ASSERT(machine, space->area_count == 0);
    if (machine->design->space_ended)
        machine->design->space_ended(space);
    vm_table_free_root(machine, space->root);
    vm_cache_free(machine, machine->space_cache, space);
    vm_share_add(machine, VM_SUM_SPACES, -1);
}

/* ---------------------------------------------------------------- the machine's spaces */

void vm_space_publish(struct vm_space *space) {
    struct vm_machine *machine = space->machine;
    struct vm_cpu *home = vm_this_cpu(machine);

    space->home = vm_cpu_number(machine);
    vm_lock(machine, &home->spaces_lock, VM_RANK_MACHINE);
    vm_link_add_last(&home->spaces, &space->link);
    vm_unlock(machine, &home->spaces_lock, VM_RANK_MACHINE);
}

static void unpublish(struct vm_space *space) {
    struct vm_machine *machine = space->machine;
    struct vm_cpu *home = &machine->cpus[space->home];

    vm_lock(machine, &home->spaces_lock, VM_RANK_MACHINE);
    vm_link_remove(&space->link);
    vm_unlock(machine, &home->spaces_lock, VM_RANK_MACHINE);
}

static struct vm_space *first_from(struct vm_machine *machine, unsigned cpu) {
    for (; cpu < machine->config.cpus; cpu++)
        if (!vm_link_empty(&machine->cpus[cpu].spaces))
            return vm_link_entry(machine->cpus[cpu].spaces.next, struct vm_space, link);
    return NULL;
}

struct vm_space *vm_space_first(struct vm_machine *machine) {
    return first_from(machine, 0);
}

struct vm_space *vm_space_after(struct vm_space *space) {
    struct vm_machine *machine = space->machine;

    if (space->link.next == &machine->cpus[space->home].spaces)
        return first_from(machine, space->home + 1);
    return vm_link_entry(space->link.next, struct vm_space, link);
}

int vm_space_create(struct vm_machine *machine, uint64_t id, struct vm_space **result) {
    struct vm_space *space;
    int error = vm_space_allocate(machine, id, NULL, &space);
    if (error)
        return error;
    vm_space_publish(space);
    vm_settle(machine);
    *result = space;
    return VM_OK;
}

uint64_t vm_space_id(const struct vm_space *space) {
    return space->id;
}

/* ---------------------------------------------------------------- emptied tables */

/* => lists_lock held */
static void link_emptied(struct vm_space *space) {
    struct vm_machine *machine = space->machine;

    if (!space->ending && vm_link_empty(&space->emptied)) {
        vm_link_add_last(&machine->emptied, &space->emptied);
        atomic_store_explicit(&machine->empty_tables, 1, memory_order_relaxed);
    }
}

void vm_space_note_empty_table(struct vm_space *space) {
    struct vm_machine *machine = space->machine;

    vm_preempt(machine, &space->empty_tables);
    if (atomic_load_explicit(&space->empty_tables, memory_order_relaxed) ||
        atomic_exchange_explicit(&space->empty_tables, 1, memory_order_relaxed))
        return;
    vm_lock(machine, &machine->lists_lock, VM_RANK_MACHINE);
    link_emptied(space);
    vm_unlock(machine, &machine->lists_lock, VM_RANK_MACHINE);
}

/* Whoever has the space locked for writing keeps its tables himself. He looks at machine->empty_tables
 * after he has let go of the lock; so we may go when it says 1 before we find him there. */
static struct vm_space *lock_emptied(struct vm_machine *machine) {
    struct vm_space *found = NULL;

    vm_lock(machine, &machine->lists_lock, VM_RANK_MACHINE);
    for (struct vm_link *link = machine->emptied.next; link != &machine->emptied && !found;
         link = link->next) {
        struct vm_space *space = vm_link_entry(link, struct vm_space, emptied);
        if (vm_write_trylock(machine, &space->lock, VM_RANK_SPACE))
            found = space;
    }
    if (found) {
        vm_link_remove(&found->emptied);
        atomic_store_explicit(&found->empty_tables, 0, memory_order_relaxed);
    }
    if (vm_link_empty(&machine->emptied))
        atomic_store_explicit(&machine->empty_tables, 0, memory_order_relaxed);
    vm_unlock(machine, &machine->lists_lock, VM_RANK_MACHINE);
    return found;
}

void vm_settle(struct vm_machine *machine) {
    struct vm_space *space;

    while (atomic_load_explicit(&machine->empty_tables, memory_order_relaxed) &&
           (space = lock_emptied(machine))) {
        vm_space_prune(space, 0, VM_ADDRESS_END);
        vm_write_unlock(machine, &space->lock, VM_RANK_SPACE);
    }
}

static void unlink_emptied(struct vm_space *space) {
    struct vm_machine *machine = space->machine;

    vm_lock(machine, &machine->lists_lock, VM_RANK_MACHINE);
    space->ending = true;
    if (!vm_link_empty(&space->emptied))
        vm_link_remove(&space->emptied);
    vm_unlock(machine, &machine->lists_lock, VM_RANK_MACHINE);
}

/* Whoever empties a table from here on finds that it has been noted, and leaves it at that; so only a
 * space that somebody noted before can be in the machine's list, and only it needs the list's lock. */
void vm_space_retire(struct vm_space *space) {
    vm_preempt(space->machine, &space->empty_tables);
    if (atomic_exchange_explicit(&space->empty_tables, 1, memory_order_relaxed))
        unlink_emptied(space);
    if (space->home != VM_SPACE_UNPUBLISHED)
        unpublish(space);
}
