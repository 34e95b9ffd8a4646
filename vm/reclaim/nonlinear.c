/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nonlinear.c - unmapping pages from nonlinear areas, where nobody can tell which entry maps which
 * page without looking at all of them.
 *
 *   draconian   Arcangeli 2004: every page of one area after the other is unmapped, until the page
 *               that is wanted is mapped in none. Programs fault the others in again.
 *   cluster     Dickins 2004 (Linux 2.6.7): it does not matter which page goes, so a cluster of 32
 *               pages is unmapped of one area after the other, those in use left out. Each area
 *               keeps a cursor. A call ends when as many entries are gone as the page wanted
 *               has there; they may all be of other pages, whose turn will come.
 *
 * Areas locked in memory are left alone; where all of them are, the page counts as locked (what an
 * area's lock means for one of its pages, nobody can tell either). Nonlinear areas come first: as long
 * as the page is mapped in one of them, no linear entry is taken away for nothing.
 *
 * Locks: the page asked for is locked; the object's areas_lock is held throughout, and protects the
 * cursors. Other pages' locks are only tried for, as in a sweep.
 */
#include "vm/reclaim/reclaim.h"

#define CLUSTER 32u

struct hunt {
    struct vm_machine *machine;
    struct vm_page *page;
    uint32_t linear; /* entries of the page that are not in nonlinear areas */
    enum { EVERY_PAGE, IDLE_PAGES } which;
    uint64_t looked, unmapped;
};

static struct vm_area *area_of(struct vm_link *link) {
    return vm_link_entry(link, struct vm_nonlinear_area, link)->area;
}

static uint64_t *cursor_of(struct vm_area *area) {
    return &(*vm_area_nonlinear(area->space->machine, area))->cursor;
}

/* The first unlocked area from this link on; NULL if there is none. */
static struct vm_area *unlocked_from(struct vm_object *object, struct vm_link *link) {
    while (link != &object->nonlinear && vm_area_flags(area_of(link)) & VM_AREA_LOCKED)
        link = link->next;
    return link == &object->nonlinear ? NULL : area_of(link);
}

static struct vm_area *first_unlocked(struct vm_object *object) {
    return unlocked_from(object, object->nonlinear.next);
}

static struct vm_area *next_unlocked(struct vm_area *area) {
    struct vm_link *link = &(*vm_area_nonlinear(area->space->machine, area))->link;
    return unlocked_from(area->object, link->next);
}

bool vm_nonlinear_all_locked(struct vm_object *object) {
    struct vm_machine *machine = object->machine;

    vm_lock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
    bool locked = !vm_link_empty(&object->nonlinear) && !first_unlocked(object);
    vm_unlock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
    return locked;
}

/* ---------------------------------------------------------------- entries of a range */

static bool may_go(const struct hunt *hunt, vm_pte_slot *slot, vm_pte entry) {
    if (!vm_pte_present(entry))
        return false;
    if (hunt->which == EVERY_PAGE || !vm_pte_accessed(entry))
        return true;
    vm_pte_clear_bits(hunt->machine, slot, VM_PTE_ACCESSED);
    return false;
}

static void unmap_leaf(struct hunt *hunt, struct vm_area *area, const struct vm_table_cursor *at) {
    struct vm_machine *machine = hunt->machine;
    struct vm_mapping mapping = { .area = area, .leaf = { at->table, at->entries - at->first } };

    vm_lock(machine, &at->table->lock, VM_RANK_TABLE);
    for (unsigned i = 0; i < at->count; i++) {
        mapping.address = at->address + i * VM_PAGE_SIZE;
        mapping.entry = &at->entries[i];
        hunt->looked++;
        if (may_go(hunt, mapping.entry, vm_pte_read(mapping.entry)))
            hunt->unmapped += vm_pageout_entry(&mapping, hunt->page) != VM_SWEPT_KEPT;
    }
    vm_unlock(machine, &at->table->lock, VM_RANK_TABLE);
}

static void unmap_range(struct hunt *hunt, struct vm_area *area, uint64_t start, uint64_t end) {
    struct vm_machine *machine = hunt->machine;
    struct vm_space *space = area->space;
    struct vm_table_cursor at = vm_table_cursor(space->root, start, end);

    vm_lock(machine, &space->areas_lock, VM_RANK_AREAS);
    while (vm_table_next(machine, &at))
        unmap_leaf(hunt, area, &at);
    vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);
}

/* ---------------------------------------------------------------- draconian */

static bool found(const struct hunt *hunt) {
    return vm_page_mapcount(hunt->page) <= hunt->linear;
}

static void unmap_whole_areas(struct hunt *hunt, struct vm_object *object) {
    struct vm_area *area = first_unlocked(object);

    for (; area && !found(hunt); area = next_unlocked(area)) {
        vm_count(hunt->machine, rmap.object_visits, 1);
        unmap_range(hunt, area, area->start, area->end);
    }
}

/* ---------------------------------------------------------------- cluster */

/* How far cursors have come, and how far they can go. */
static void survey(struct vm_object *object, uint64_t *farthest, uint64_t *largest) {
    *farthest = *largest = 0;
    for (struct vm_area *area = first_unlocked(object); area; area = next_unlocked(area)) {
        uint64_t cursor = *cursor_of(area), pages = vm_area_pages(area);
        *farthest = cursor > *farthest ? cursor : *farthest;
        *largest = pages > *largest ? pages : *largest;
    }
}

static void unmap_cluster(struct hunt *hunt, struct vm_area *area) {
    uint64_t *cursor = cursor_of(area);
    uint64_t start = area->start + *cursor * VM_PAGE_SIZE, end = start + CLUSTER * VM_PAGE_SIZE;

    vm_count(hunt->machine, rmap.object_visits, 1);
    unmap_range(hunt, area, start, end < area->end ? end : area->end);
    *cursor += CLUSTER;
}

/* Brings every cursor up to `line`; false if the budget was spent on the way. */
static bool catch_up(struct hunt *hunt, struct vm_object *object, uint64_t line, uint64_t budget) {
    for (struct vm_area *area = first_unlocked(object); area; area = next_unlocked(area))
        while (*cursor_of(area) < line && *cursor_of(area) < vm_area_pages(area)) {
            unmap_cluster(hunt, area);
            if (hunt->unmapped >= budget)
                return false;
        }
    return true;
}

static void rewind_cursors(struct vm_object *object) {
    for (struct vm_link *link = object->nonlinear.next; link != &object->nonlinear;
         link = link->next)
        *cursor_of(area_of(link)) = 0;
}

/* All cursors advance in step, so that each area loses as much as the others, and begin anew when
 * the largest area is done. False if the budget was spent before. */
static bool go_round(struct hunt *hunt, struct vm_object *object, uint64_t budget) {
    uint64_t line, largest;

    survey(object, &line, &largest);
    line = line > CLUSTER ? line : CLUSTER;
    for (; line < largest + CLUSTER; line += CLUSTER)
        if (!catch_up(hunt, object, line, budget))
            return false;
    rewind_cursors(object);
    return true;
}

/* The last area that is not locked must not wait for a call that only finds its cursor at the end. */
static void unmap_clusters(struct hunt *hunt, struct vm_object *object) {
    uint64_t budget = vm_page_mapcount(hunt->page) - hunt->linear;

    if (go_round(hunt, object, budget) && hunt->looked == 0)
        go_round(hunt, object, budget);
}

/* ---------------------------------------------------------------- the call */

bool vm_pageout_nonlinear(struct vm_machine *machine, struct vm_page *page, uint32_t linear) {
    struct vm_object *object = page->object;
    struct hunt hunt = { .machine = machine, .page = page, .linear = linear };

    vm_lock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
    bool none = vm_link_empty(&object->nonlinear);
    if (machine->config.nonlinear == VM_NONLINEAR_CLUSTER) {
        hunt.which = IDLE_PAGES;
        if (!found(&hunt))
            unmap_clusters(&hunt, object);
    } else {
        hunt.which = EVERY_PAGE;
        unmap_whole_areas(&hunt, object);
    }
    vm_unlock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
    vm_count(machine, rmap.nonlinear_entries, hunt.looked);
    vm_count(machine, reclaim.nonlinear_unmapped, hunt.unmapped);
    return none || found(&hunt);
}
