/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lru.c - a zone's active and inactive lists of pages.
 *
 * With several CPUs a zone has several parts, each with a lock, an active and an inactive list; a CPU's
 * pages go to its own part, by way of its pagevec (pagevec.c). So CPUs that fault and exit meet only
 * where one frees what another has listed. Reclaim goes through the parts by turns.
 *
 * VM_PAGE_LISTED and VM_PAGE_ACTIVE say which list of its part a page is on; both, and the links, change
 * under the part's lock. Which part it is stands in the page's flags, and changes only while the page is
 * neither listed nor parked; who has waited for the lock looks again. A list holds no reference:
 * vm_page_free() takes a page off that nobody holds any more. Between the last reference and that,
 * reclaim may find the page on its list; a count of zero tells it to leave the page alone.
 */
#include "vm/frame/zone.h"

static enum vm_lru_list list_of(const struct vm_page *page) {
    return vm_page_is(page, VM_PAGE_ACTIVE) ? VM_LRU_ACTIVE : VM_LRU_INACTIVE;
}

/* => the part locked */
static void count(struct vm_lru *list, uint64_t n) {
    uint64_t pages = atomic_load_explicit(&list->pages, memory_order_relaxed);
    atomic_store_explicit(&list->pages, pages + n, memory_order_relaxed);
}

static void link_head(struct vm_machine *machine, struct vm_lru *list, struct vm_page *page) {
    uint32_t frame = (uint32_t)vm_page_frame(machine, page);
    page->previous = VM_NO_LINK;
    page->next = list->head;
    if (list->head != VM_NO_LINK)
        vm_page_of(machine, list->head)->previous = frame;
    else
        list->tail = frame;
    list->head = frame;
    count(list, 1);
}

static void link_tail(struct vm_machine *machine, struct vm_lru *list, struct vm_page *page) {
    uint32_t frame = (uint32_t)vm_page_frame(machine, page);
    page->next = VM_NO_LINK;
    page->previous = list->tail;
    if (list->tail != VM_NO_LINK)
        vm_page_of(machine, list->tail)->next = frame;
    else
        list->head = frame;
    list->tail = frame;
    count(list, 1);
}

static void unlink_page(struct vm_machine *machine, struct vm_lru *list, struct vm_page *page) {
    if (page->previous != VM_NO_LINK)
        vm_page_of(machine, page->previous)->next = page->next;
    else
        list->head = page->next;
    if (page->next != VM_NO_LINK)
        vm_page_of(machine, page->next)->previous = page->previous;
    else
        list->tail = page->previous;
    count(list, (uint64_t)0 - 1);
}

void vm_lru_init(struct vm_zone *zone) {
    for (unsigned part = 0; part < zone->part_count; part++)
        for (unsigned list = 0; list < VM_LRU_LISTS; list++)
            zone->lru[part].lists[list].head = zone->lru[part].lists[list].tail = VM_NO_LINK;
}

/* ---------------------------------------------------------------- parts */

static struct vm_lru_part *lock_part(struct vm_machine *machine, const struct vm_page *page) {
    struct vm_zone *zone = vm_page_zone(machine, page);
    for (;;) {
        struct vm_lru_part *part = vm_lru_part_of(zone, page);
        vm_lock(machine, &part->lock, VM_RANK_LRU);
        if (vm_lru_part_of(zone, page) == part)
            return part;
        vm_unlock(machine, &part->lock, VM_RANK_LRU);
    }
}

static void unlock_part(struct vm_machine *machine, struct vm_lru_part *part) {
    vm_unlock(machine, &part->lock, VM_RANK_LRU);
}

/* ---------------------------------------------------------------- coming and going */

void vm_lru_link(struct vm_machine *machine, struct vm_lru_part *part, struct vm_page *page,
                 enum vm_lru_list list) {
    vm_page_clear(machine, page, VM_PAGE_ACTIVE);
    vm_page_set(machine, page,
                list == VM_LRU_ACTIVE ? VM_PAGE_LISTED | VM_PAGE_ACTIVE : VM_PAGE_LISTED);
    link_head(machine, &part->lists[list], page);
}

void vm_lru_add(struct vm_machine *machine, struct vm_page *page, enum vm_lru_list list) {
    VM_ASSERT(machine, !vm_page_is(page, VM_PAGE_FREE | VM_PAGE_RESERVED));
    if (machine->smp) {
        vm_lru_park(machine, page, list);
        return;
    }
    struct vm_lru_part *part = lock_part(machine, page);
    if (!vm_page_is(page, VM_PAGE_LISTED))
        vm_lru_link(machine, part, page, list);
    unlock_part(machine, part);
}

void vm_lru_put_back(struct vm_machine *machine, struct vm_page *page) {
    vm_lru_add(machine, page, list_of(page));
}

bool vm_lru_remove(struct vm_machine *machine, struct vm_page *page) {
    vm_lru_have_arrive(machine, page);
    struct vm_lru_part *part = lock_part(machine, page);
    bool listed = vm_page_is(page, VM_PAGE_LISTED);
    if (listed) {
        unlink_page(machine, &part->lists[list_of(page)], page);
        vm_page_clear(machine, page, VM_PAGE_LISTED);
    }
    unlock_part(machine, part);
    return listed;
}

/* Nobody holds these pages, so where they are listed, they stay; and their flags are nobody else's to
 * change: a plain store will do. */
static void remove_dead(struct vm_machine *machine, struct vm_lru_part *part,
                        struct vm_page *page) {
    unlink_page(machine, &part->lists[list_of(page)], page);
    atomic_store_explicit(&page->flags, vm_page_flags(page) & ~(uint32_t)VM_PAGE_LISTED,
                          memory_order_relaxed);
}

/* One after the other, and the part's lock is kept as long as they are in the same one. */
void vm_lru_remove_dead(struct vm_machine *machine, struct vm_zone *zone,
                        struct vm_page *const *pages, unsigned n) {
    struct vm_lru_part *locked = NULL;
    for (unsigned i = 0; i < n; i++)
        if (vm_page_is(pages[i], VM_PAGE_ON_CPU))
            vm_lru_unpark_dead(machine, pages[i]);
    for (unsigned i = 0; i < n; i++) {
        if (!vm_page_is(pages[i], VM_PAGE_LISTED))
            continue;
        struct vm_lru_part *part = vm_lru_part_of(zone, pages[i]);
        if (locked && locked != part)
            unlock_part(machine, locked);
        if (locked != part)
            vm_lock(machine, &part->lock, VM_RANK_LRU);
        locked = part;
        remove_dead(machine, part, pages[i]);
    }
    if (locked)
        unlock_part(machine, locked);
}

enum end { HEAD, TAIL };

/* A page that reclaim has isolated meanwhile stays off the lists. */
static void move(struct vm_machine *machine, struct vm_page *page, enum vm_lru_list list,
                 enum end end) {
    vm_lru_have_arrive(machine, page);
    struct vm_lru_part *part = lock_part(machine, page);
    if (vm_page_is(page, VM_PAGE_LISTED)) {
        unlink_page(machine, &part->lists[list_of(page)], page);
        if (list == VM_LRU_ACTIVE)
            vm_page_set(machine, page, VM_PAGE_ACTIVE);
        else
            vm_page_clear(machine, page, VM_PAGE_ACTIVE);
        if (end == HEAD)
            link_head(machine, &part->lists[list], page);
        else
            link_tail(machine, &part->lists[list], page);
    }
    unlock_part(machine, part);
}

void vm_lru_move(struct vm_machine *machine, struct vm_page *page, enum vm_lru_list list) {
    move(machine, page, list, HEAD);
}

void vm_lru_move_to_tail(struct vm_machine *machine, struct vm_page *page) {
    move(machine, page, VM_LRU_INACTIVE, TAIL);
}

/* ---------------------------------------------------------------- isolating */

/* Takes a reference unless the page is being freed. */
static bool get_unless_free(const struct vm_machine *machine, struct vm_page *page) {
    vm_preempt(machine, page);
    uint64_t counts = vm_page_counts(page);
    if (!machine->smp) {
        if (counts)
            vm_page_get(machine, page);
        return counts != 0;
    }
    while (counts)
        if (atomic_compare_exchange_weak_explicit(&page->counts, &counts, counts + VM_ONE_REFERENCE,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    return false;
}

static unsigned isolate_of_part(struct vm_machine *machine, struct vm_lru_part *part,
                                enum vm_lru_list list, unsigned n, struct vm_page **pages) {
    struct vm_lru *lru = &part->lists[list];
    unsigned taken = 0;
    vm_lock(machine, &part->lock, VM_RANK_LRU);
    for (uint32_t frame = lru->tail; frame != VM_NO_LINK && taken < n;) {
        struct vm_page *page = vm_page_of(machine, frame);
        frame = page->previous;
        if (!get_unless_free(machine, page))
            continue;
        unlink_page(machine, lru, page);
        vm_page_clear(machine, page, VM_PAGE_LISTED);
        pages[taken++] = page;
    }
    unlock_part(machine, part);
    return taken;
}

static uint64_t pages_of_part(const struct vm_zone *zone, unsigned part, enum vm_lru_list list) {
    return atomic_load_explicit(&zone->lru[part].lists[list].pages, memory_order_relaxed);
}

/* The part of the page that is turn / 2^32 of the way through the pages of all parts. Turns are a golden
 * section apart, so they come down evenly, and on each part as often as it has pages. */
static unsigned part_by_turn(const struct vm_zone *zone, enum vm_lru_list list, uint32_t turn) {
    uint64_t at = vm_lru_pages(zone, list) * turn >> 32, pages;
    unsigned part = 0;
    while (part + 1 < zone->part_count && at >= (pages = pages_of_part(zone, part, list))) {
        at -= pages;
        part++;
    }
    return part;
}

static unsigned isolate(struct vm_machine *machine, struct vm_zone *zone, enum vm_lru_list list,
                        unsigned n, struct vm_page **pages) {
    unsigned taken = 0, part = 0;
    if (zone->part_count > 1)
        part = part_by_turn(zone, list,
                            (uint32_t)vm_fetch_add(machine, &zone->turns, UINT64_C(0x9e3779b9)));
    for (unsigned i = 0; i < zone->part_count && taken < n; i++) {
        taken += isolate_of_part(machine, &zone->lru[part], list, n - taken, pages + taken);
        part = (part + 1) % zone->part_count;
    }
    return taken;
}

/* Pages that are on their way are the youngest, and only wanted when there are no others. */
unsigned vm_lru_isolate(struct vm_machine *machine, struct vm_zone *zone, enum vm_lru_list list,
                        unsigned n, struct vm_page **pages) {
    unsigned taken = isolate(machine, zone, list, n, pages);
    if (taken == n || !machine->smp)
        return taken;
    vm_lru_drain(machine);
    return taken + isolate(machine, zone, list, n - taken, pages + taken);
}
