/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anon_vma.c - the design "anon-vma" of Linux 2.6.7: object pages are found by their object's areas,
 * anonymous pages by an anon_vma, the list of all areas related by fork, split or move.
 *
 * Nothing is kept per entry, so no run call is needed. The first anonymous page of an area gives the
 * area an anon_vma (a neighbour's, if the two could become one area); children and copies of the
 * area join its list. A page names the anon_vma of the area it was born in, and the linear rule
 * leads to its address in each area listed. Children go to the head of the list: a page that a
 * parent touches after it has forked N children is found on visit N + 1.
 *
 * Locks, and why a walk finds its anon_vma alive: anon_list.h. Publishing one in an area also takes
 * space->areas_lock, since two faults in one space may come with different ones.
 */
#include "vm/rmap/anon_list.h"
#include "vm/rmap/anon_share.h"
#include "vm/space/space.h"

extern const struct vm_design vm_design_anon_vma;

/* ---------------------------------------------------------------- areas */

/* A neighbour's anon_vma, with one more user; NULL if there is none to share. */
static struct anon_vma *share_with_neighbour(struct vm_area *area) {
    struct vm_space *space = area->space;
    struct vm_machine *machine = space->machine;
    struct vm_area *next = vm_area_next(area), *previous = vm_area_previous(area);
    struct anon_vma *anon = NULL;

    vm_lock(machine, &space->areas_lock, VM_RANK_AREAS); /* a stack may be growing */
    if (next && anon_could_merge(area, next))
        anon = anon_of(next);
    if (!anon && previous && anon_could_merge(previous, area))
        anon = anon_of(previous);
    if (anon)
        anon_use(machine, anon); /* the neighbour stays: the space lock is held */
    vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);
    return anon;
}

/* Gives the area the anon_vma, along with the caller's use of it; false if another fault was first.
 * The lock is taken even if the anon_vma is fresh: once published, others may look for it. */
static bool publish(struct vm_area *area, struct anon_vma *anon) {
    struct vm_space *space = area->space;
    struct vm_machine *machine = space->machine;
    struct anon_area *record = anon_record_of(area);

    vm_lock(machine, &anon->lock, VM_RANK_ANON);
    vm_lock(machine, &space->areas_lock, VM_RANK_AREAS);
    bool first = !anon_of(area);
    if (first) {
        vm_link_add(&anon->areas, &record->link);
        atomic_store_explicit(&record->anon, anon, memory_order_release);
    }
    vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);
    vm_unlock(machine, &anon->lock, VM_RANK_ANON);
    return first;
}

static int area_prepare(struct vm_area *area) {
    struct vm_machine *machine = area->space->machine;

    if (anon_of(area))
        return VM_OK;
    struct anon_vma *anon = share_with_neighbour(area);
    if (!anon)
        anon = anon_create(machine);
    if (!anon)
        return VM_ENOMEM;
    if (!publish(area, anon))
        anon_drop(machine, anon);
    return VM_OK;
}

static int area_forked(struct vm_area *parent, struct vm_area *child) {
    struct anon_vma *anon = anon_of(parent);

    if (anon)
        anon_join(child, anon);
    return VM_OK;
}

static int area_copied(struct vm_area *area, struct vm_area *copy) {
    anon_join_behind(copy, area);
    return VM_OK;
}

/* ---------------------------------------------------------------- pages */

/* Relatives of the area that may hold the page's swap entry are in the same list, so it makes no
 * difference which of them the page comes back to. */
static void born(struct vm_area *area, struct vm_page *page, enum vm_birth birth) {
    (void)birth;
    page->owner = anon_of(area);
}

/* The anon_vma that the page names, to be dropped again; NULL if nothing maps the page any more. */
static struct anon_vma *use_anon_of(struct vm_machine *machine, const struct vm_page *page) {
    struct anon_naming *naming = &anon_design_of(machine)->naming;
    struct anon_vma *anon = anon_lock_owner_of(machine, naming, page);

    if (anon) {
        anon_use(machine, anon);
        vm_unlock(machine, anon_naming_of(naming, (uintptr_t)anon), VM_RANK_ANON);
    }
    return anon;
}

static enum vm_walked walk(struct vm_machine *machine, struct vm_page *page, enum vm_walk_kind kind,
                           vm_mapping_visit *visit, void *context) {
    if (!vm_page_is(page, VM_PAGE_ANON))
        return vm_rmap_walk_object(machine, page, kind, visit, context);
    struct vm_area_walk areas = { .machine = machine,
                                  .page = page,
                                  .kind = kind,
                                  .visit = visit,
                                  .context = context,
                                  .walked = VM_WALKED_ALL };
    struct anon_vma *anon = use_anon_of(machine, page);
    if (anon)
        anon_walk(&areas, anon);
    return areas.walked;
}

/* ---------------------------------------------------------------- check */

/* An area that has had anonymous pages has an anon_vma, which is in order. */
static uint64_t check(struct vm_machine *machine) {
    uint64_t differences = anon_check(machine);

    for (struct vm_space *space = vm_space_first(machine); space; space = vm_space_after(space)) {
        for (struct vm_area *area = vm_area_first(space); area; area = vm_area_next(area))
            differences += !anon_of(area) && (vm_area_flags(area) & VM_AREA_HAS_ANON);
    }
    return differences;
}

const struct vm_design vm_design_anon_vma = {
    .info = { .name = "anon-vma",
              .origin = "Linux 2.6.7 (2004): objrmap for files, anon_vma for anonymous memory",
              .area_bytes = sizeof(struct anon_area),
              .mapping_cost = "nothing" },
    .finds_objects_by_area = true,
    .init = anon_design_init,
    .fini = anon_design_fini,
    .area_prepare = area_prepare,
    .area_forked = area_forked,
    .area_copied = area_copied,
    .area_mergeable = anon_mergeable,
    .area_merged = anon_merge,
    .area_ended = anon_leave,
    .born = born,
    .walk = walk,
    .check = check,
};
