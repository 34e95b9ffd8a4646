/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anon_list.c - see anon_list.h.
 */
#include "vm/rmap/anon_list.h"

#include "vm/frame/cache.h"
#include "vm/rmap/anon_share.h"
#include "vm/space/space.h"

struct anon_area *anon_record_of(const struct vm_area *area) {
    size_t offset = area->space->machine->area_design_offset;
    return (struct anon_area *)((uintptr_t)area + offset);
}

static struct vm_area *area_of(const struct vm_machine *machine, struct vm_link *link) {
    struct anon_area *record = vm_link_entry(link, struct anon_area, link);
    return (struct vm_area *)((char *)record - machine->area_design_offset);
}

struct anon_vma *anon_of(const struct vm_area *area) {
    return atomic_load_explicit(&anon_record_of(area)->anon, memory_order_acquire);
}

/* ---------------------------------------------------------------- life */

void anon_use(const struct vm_machine *machine, struct anon_vma *anon) {
    anon_users_adjust(machine, &anon->users, 1);
}

void anon_drop(struct vm_machine *machine, struct anon_vma *anon) {
    struct anon_design *design = anon_design_of(machine);

    if (anon_users_drop(machine, anon_naming_of(&design->naming, (uintptr_t)anon), &anon->users))
        vm_cache_free(machine, design->cache, anon);
}

struct anon_vma *anon_create(struct vm_machine *machine) {
    struct anon_vma *anon = vm_cache_allocate(machine, anon_design_of(machine)->cache);

    if (anon) {
        atomic_init(&anon->lock.word, 0);
        atomic_init(&anon->users, 1);
        vm_link_init(&anon->areas);
    }
    return anon;
}

/* ---------------------------------------------------------------- areas */

static void join(struct vm_area *area, struct anon_vma *anon, struct vm_link *behind) {
    struct vm_machine *machine = area->space->machine;
    struct anon_area *record = anon_record_of(area);

    anon_use(machine, anon);
    vm_lock(machine, &anon->lock, VM_RANK_ANON);
    vm_link_add(behind, &record->link);
    atomic_store_explicit(&record->anon, anon, memory_order_release);
    vm_unlock(machine, &anon->lock, VM_RANK_ANON);
}

void anon_join(struct vm_area *area, struct anon_vma *anon) {
    join(area, anon, &anon->areas);
}

void anon_join_behind(struct vm_area *copy, struct vm_area *area) {
    struct anon_vma *anon = anon_of(area);

    if (anon)
        join(copy, anon, &anon_record_of(area)->link);
}

void anon_leave(struct vm_area *area) {
    struct vm_machine *machine = area->space->machine;
    struct anon_area *record = anon_record_of(area);
    struct anon_vma *anon = anon_of(area);

    if (!anon)
        return;
    vm_lock(machine, &anon->lock, VM_RANK_ANON);
    vm_link_remove(&record->link);
    atomic_store_explicit(&record->anon, NULL, memory_order_relaxed);
    vm_unlock(machine, &anon->lock, VM_RANK_ANON);
    anon_drop(machine, anon);
}

bool anon_mergeable(const struct vm_area *lower, const struct vm_area *upper) {
    struct anon_vma *a = anon_of(lower), *b = anon_of(upper);
    return !a || !b || a == b;
}

void anon_merge(struct vm_area *kept, struct vm_area *gone) {
    if (!anon_of(kept) && anon_of(gone))
        anon_join(kept, anon_of(gone));
}

/* ---------------------------------------------------------------- walking */

void anon_walk(struct vm_area_walk *walk, struct anon_vma *anon) {
    struct vm_machine *machine = walk->machine;

    vm_lock(machine, &anon->lock, VM_RANK_ANON);
    for (struct vm_link *link = anon->areas.next; link != &anon->areas; link = link->next) {
        vm_count(machine, rmap.object_visits, 1);
        if (!vm_rmap_walk_area(walk, area_of(machine, link)))
            break;
    }
    vm_unlock(machine, &anon->lock, VM_RANK_ANON);
    anon_drop(machine, anon);
}

/* ---------------------------------------------------------------- the machine */

int anon_design_init(struct vm_machine *machine) {
    struct vm_port *port = machine->port;
    struct anon_design *design = port->allocate(port, sizeof *design, _Alignof(struct anon_design));

    if (!design)
        return VM_ENOMEM;
    anon_naming_init(&design->naming);
    design->cache = vm_cache_create(machine, "anon_vma", VM_COST_RMAP, sizeof(struct anon_vma), 8);
    if (!design->cache) {
        port->release(port, design, sizeof *design);
        return VM_ENOMEM;
    }
    machine->design_data = design;
    return VM_OK;
}

void anon_design_fini(struct vm_machine *machine) {
    struct anon_design *design = anon_design_of(machine);

    vm_cache_destroy(machine, design->cache);
    machine->port->release(machine->port, design, sizeof *design);
    machine->design_data = NULL;
}

/* ---------------------------------------------------------------- check */

struct census {
    struct vm_machine *machine;
    uint64_t lists, listed; /* anon_vmas met at their first area; areas in their lists */
    uint64_t differences;
};

static void check_list(struct census *census, struct anon_vma *anon) {
    uint64_t length = 0;

    for (struct vm_link *link = anon->areas.next; link != &anon->areas;
         link = link->next, length++) {
        census->differences += link->next->previous != link;
        census->differences += anon_of(area_of(census->machine, link)) != anon;
    }
    census->differences += atomic_load_explicit(&anon->users, memory_order_relaxed) != length;
    census->lists++;
    census->listed += length;
}

static void check_area(struct census *census, struct vm_area *area, uint64_t *members) {
    struct anon_vma *anon = anon_of(area);

    if (!anon)
        return;
    (*members)++;
    if (anon->areas.next == &anon_record_of(area)->link)
        check_list(census, anon);
}

uint64_t anon_check(struct vm_machine *machine) {
    struct census census = { .machine = machine };
    uint64_t members = 0;

    for (struct vm_space *space = vm_space_first(machine); space; space = vm_space_after(space)) {
        for (struct vm_area *area = vm_area_first(space); area; area = vm_area_next(area))
            check_area(&census, area, &members);
    }
    census.differences += census.listed != members;
    census.differences += census.lists != vm_cache_live(anon_design_of(machine)->cache);
    return census.differences;
}
