/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anon_vma_direct.c - the design "anon-vma-direct", Andrea Arcangeli's first anon_vma (March 2004): an
 * anonymous page names its area itself until a fork, and only then an anon_vma.
 *
 *     page -> area                        born here and known to nobody else: direct
 *     page -> anon_vma -> area, area      met by a fork: indirect, for good
 *
 * A fault allocates nothing. The first fork of an area that has had private pages gives it an
 * anon_vma, which the child's copy joins; each direct page that fork copies an entry of is flipped to
 * name that. Nothing leads from an area to its pages, so there is no way back, but pages born
 * after the fork are direct again. A page that comes back from swap may be a relative's, too: it
 * names the anon_vma if the area has one; if not, no relative can have its slot.
 *
 * The price is paid where areas change: pages that name an area must be told when they come into
 * another one. Splits, merges and moves go through the page tables of what changes its area
 * (rmap.repointed counts the pages). That is why this design was given up within two days.
 *
 * page->owner is one word, an area with its lowest bit set or an anon_vma, and changes under the lock
 * of the leaf that maps the page, or with the page locked. What a walk, which holds the page's lock,
 * reads there may be out of date; so it holds `naming` until it has the area's space->areas_lock,
 * and reads again. An area that ends waits for both, after its pages have been told of
 * another or have gone. Indirect pages: anon_list.h.
 */
#include "vm/rmap/anon_list.h"
#include "vm/space/space.h"

extern const struct vm_design vm_design_anon_vma_direct;

#define DIRECT UINT64_C(1)

static uintptr_t name_of(const struct vm_page *page) {
    return (uintptr_t)__atomic_load_n(&page->owner, __ATOMIC_ACQUIRE);
}

static uintptr_t name_of_area(const struct vm_area *area) {
    return (uintptr_t)area | DIRECT;
}

static void set_name(struct vm_page *page, uintptr_t name) {
    __atomic_store_n(&page->owner, (void *)name, __ATOMIC_RELEASE);
}

static bool is_direct(uintptr_t name) {
    return (name & DIRECT) != 0;
}

/* ---------------------------------------------------------------- telling pages another name */

/* The entry's page, if it has this name. */
static struct vm_page *named_page(const struct vm_machine *machine, vm_pte entry, uintptr_t name) {
    if (!vm_pte_present(entry))
        return NULL;
    struct vm_page *page = vm_page_of(machine, vm_pte_frame(entry));
    return vm_page_is(page, VM_PAGE_ANON) && name_of(page) == name ? page : NULL;
}

static void repoint(struct vm_machine *machine, struct vm_page *page, const struct vm_area *to) {
    if (!page)
        return;
    set_name(page, name_of_area(to));
    vm_count(machine, rmap.repointed, 1);
}

/* The direct pages in [start, end) of one area come into another. */
static void repoint_range(const struct vm_area *from, const struct vm_area *to, uint64_t start,
                          uint64_t end) {
    struct vm_machine *machine = from->space->machine;
    struct vm_table_cursor at = vm_table_cursor(from->space->root, start, end);

    while (vm_area_is(from, VM_AREA_HAS_ANON) && vm_table_next(machine, &at)) {
        vm_lock(machine, &at.table->lock, VM_RANK_TABLE);
        for (unsigned i = 0; i < at.count; i++)
            repoint(machine, named_page(machine, vm_pte_read(&at.entries[i]), name_of_area(from)),
                    to);
        vm_unlock(machine, &at.table->lock, VM_RANK_TABLE);
    }
}

/* ---------------------------------------------------------------- areas */

/* An area that never had a private page has none to flip, and needs no anon_vma yet. */
static int area_forked(struct vm_area *parent, struct vm_area *child) {
    struct vm_machine *machine = parent->space->machine;

    if (!anon_of(parent)) {
        if (!(vm_area_flags(parent) & VM_AREA_HAS_ANON))
            return VM_OK;
        struct anon_vma *anon = anon_create(machine);
        if (!anon)
            return VM_ENOMEM;
        anon_join(parent, anon);
        anon_drop(machine, anon);
    }
    anon_join(child, anon_of(parent));
    return VM_OK;
}

/* A copy for a split lies within the area, and its pages are there already. Those of a move follow
 * with their entries. */
static int area_copied(struct vm_area *area, struct vm_area *copy) {
    anon_join_behind(copy, area);
    if (copy->start > area->start && copy->end <= area->end)
        repoint_range(area, copy, copy->start, copy->end);
    return VM_OK;
}

static void area_merged(struct vm_area *kept, struct vm_area *gone) {
    anon_merge(kept, gone);
    repoint_range(gone, kept, gone->start, gone->end);
}

static void area_ended(struct vm_area *area) {
    struct vm_space *space = area->space;
    struct vm_machine *machine = space->machine;
    struct vm_lock *naming = anon_naming_of(&anon_design_of(machine)->naming, name_of_area(area));

    anon_leave(area);
    /* Walks that found it have looked by now. */
    vm_lock(machine, naming, VM_RANK_ANON);
    vm_lock(machine, &space->areas_lock, VM_RANK_AREAS);
    vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);
    vm_unlock(machine, naming, VM_RANK_ANON);
}

/* ---------------------------------------------------------------- pages */

static void born(struct vm_area *area, struct vm_page *page, enum vm_birth birth) {
    struct anon_vma *anon = birth == VM_BIRTH_RETURNED ? anon_of(area) : NULL;

    set_name(page, anon ? (uintptr_t)anon : name_of_area(area));
}

static void duplicate(const struct vm_run *parent, const struct vm_run *child,
                      struct vm_reserve *reserve) {
    struct vm_machine *machine = parent->area->space->machine;

    (void)child;
    (void)reserve;
    if (!vm_area_is(parent->area, VM_AREA_HAS_ANON))
        return;
    for (unsigned i = 0; i < parent->count; i++) {
        struct vm_page *page = named_page(machine, parent->entries[i], name_of_area(parent->area));
        if (page)
            set_name(page, (uintptr_t)anon_of(parent->area));
    }
}

static void moved(const struct vm_run *from, const struct vm_run *to) {
    struct vm_machine *machine = from->area->space->machine;

    if (!vm_area_is(from->area, VM_AREA_HAS_ANON))
        return;
    for (unsigned i = 0; i < from->count; i++)
        repoint(machine, named_page(machine, from->entries[i], name_of_area(from->area)), to->area);
}

/* ---------------------------------------------------------------- walking */

/* The page's name, with what makes it good to follow: the area's space->areas_lock, or a use of
 * the anon_vma. 0: the page has another name by now. => the name's naming lock is held */
static uintptr_t hold_name(struct vm_area_walk *walk, uintptr_t name) {
    struct vm_machine *machine = walk->machine;

    vm_preempt(machine, walk->page);
    if (!anon_page_is_mapped(walk->page) || name_of(walk->page) != name)
        return 0;
    if (!is_direct(name)) {
        anon_use(machine, (struct anon_vma *)name);
        return name;
    }
    struct vm_space *space = ((struct vm_area *)(name - DIRECT))->space;
    vm_lock(machine, &space->areas_lock, VM_RANK_AREAS);
    if (name_of(walk->page) == name)
        return name;
    vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);
    return 0;
}

/* Looks where the page's name leads. False ends the walk: nothing maps the page any more, or all that
 * the name stands for has been seen. */
static bool follow_name(struct vm_area_walk *walk) {
    struct vm_machine *machine = walk->machine;
    uintptr_t name = anon_page_is_mapped(walk->page) ? name_of(walk->page) : 0;
    struct vm_lock *naming = anon_naming_of(&anon_design_of(machine)->naming, name);

    if (!name)
        return false;
    vm_lock(machine, naming, VM_RANK_ANON);
    name = hold_name(walk, name);
    vm_unlock(machine, naming, VM_RANK_ANON);
    if (!name)
        return true;
    if (!is_direct(name)) {
        anon_walk(walk, (struct anon_vma *)name);
        return false;
    }
    vm_count(machine, rmap.object_visits, 1);
    return vm_rmap_walk_held_area(walk, (struct vm_area *)(name - DIRECT));
}

/* A direct page has one entry. If it is not there, the page is just moving to another area, or a
 * fork has made it indirect: then its name has changed, or will at once. */
static void walk_anonymous(struct vm_area_walk *walk) {
    while (follow_name(walk) && walk->machine->config.cpus > 1 && walk->kept == 0 &&
           vm_page_mapcount(walk->page) > 0)
        walk->machine->port->relax(walk->machine->port);
    if (walk->machine->config.cpus > 1 && walk->kept == 0 && vm_page_mapcount(walk->page) > 0)
        walk->walked = VM_WALKED_SOME;
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
    walk_anonymous(&areas);
    return areas.walked;
}

/* ---------------------------------------------------------------- check */

/* Each private page of the area names it, or its anon_vma; the former only while it has one entry. */
static uint64_t check_area(struct vm_area *area) {
    struct vm_machine *machine = area->space->machine;
    struct vm_table_cursor at = vm_table_cursor(area->space->root, area->start, area->end);
    uint64_t differences = 0;

    while (vm_table_next(machine, &at)) {
        for (unsigned i = 0; i < at.count; i++) {
            vm_pte entry = vm_pte_read(&at.entries[i]);
            if (!vm_pte_present(entry))
                continue;
            const struct vm_page *page = vm_page_of(machine, vm_pte_frame(entry));
            if (!vm_page_is(page, VM_PAGE_ANON))
                continue;
            uintptr_t name = name_of(page);
            if (is_direct(name))
                differences += name != name_of_area(area) || vm_page_mapcount(page) != 1;
            else
                differences += !name || name != (uintptr_t)anon_of(area);
        }
    }
    return differences;
}

static uint64_t check(struct vm_machine *machine) {
    uint64_t differences = anon_check(machine);

    for (struct vm_space *space = vm_space_first(machine); space; space = vm_space_after(space)) {
        for (struct vm_area *area = vm_area_first(space); area; area = vm_area_next(area))
            differences += check_area(area);
    }
    return differences;
}

const struct vm_design vm_design_anon_vma_direct = {
    .info = { .name = "anon-vma-direct",
              .origin =
                  "Arcangeli's first anon_vma (March 2004): pages name their area until a fork",
              .area_bytes = sizeof(struct anon_area),
              .mapping_cost = "nothing; splits, merges and moves tell each page its new area" },
    .finds_objects_by_area = true,
    .init = anon_design_init,
    .fini = anon_design_fini,
    .area_forked = area_forked,
    .area_copied = area_copied,
    .area_mergeable = anon_mergeable,
    .area_merged = area_merged,
    .area_ended = area_ended,
    .born = born,
    .duplicate = duplicate,
    .moved = moved,
    .walk = walk,
    .check = check,
};
