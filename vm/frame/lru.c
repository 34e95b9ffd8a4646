/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lru.c - a zone's active and inactive lists of pages.
 *
 * VM_PAGE_LISTED and VM_PAGE_ACTIVE say which list a page is on; both, and the links, change under
 * the zone's lru_lock. A list holds no reference: vm_page_free() takes a page off that nobody holds
 * any more. Between the last reference and that, reclaim may find the page on its list; a count
 * of zero tells it to leave the page alone.
 *
 * Machines of several CPUs come here by way of their pagevecs (pagevec.c).
 */
#include "vm/frame/zone.h"

static enum vm_lru_list list_of(const struct vm_page *page) {
    return vm_page_is(page, VM_PAGE_ACTIVE) ? VM_LRU_ACTIVE : VM_LRU_INACTIVE;
}

/* => lru_lock held */
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

void vm_lru_link(struct vm_machine *machine, struct vm_zone *zone, struct vm_page *page,
                 enum vm_lru_list list) {
    vm_page_clear(machine, page, VM_PAGE_ACTIVE);
    vm_page_set(machine, page,
                list == VM_LRU_ACTIVE ? VM_PAGE_LISTED | VM_PAGE_ACTIVE : VM_PAGE_LISTED);
    link_head(machine, &zone->lru[list], page);
}

void vm_lru_add(struct vm_machine *machine, struct vm_page *page, enum vm_lru_list list) {
    VM_ASSERT(machine, !vm_page_is(page, VM_PAGE_FREE | VM_PAGE_RESERVED));
    if (machine->smp) {
        vm_lru_park(machine, page, list);
        return;
    }
    struct vm_zone *zone = vm_page_zone(machine, page);
    vm_lock(machine, &zone->lru_lock, VM_RANK_LRU);
    if (!vm_page_is(page, VM_PAGE_LISTED))
        vm_lru_link(machine, zone, page, list);
    vm_unlock(machine, &zone->lru_lock, VM_RANK_LRU);
}

void vm_lru_put_back(struct vm_machine *machine, struct vm_page *page) {
    vm_lru_add(machine, page, list_of(page));
}

/* Who wants to take or move a page that is on its way has it arrive first. */
static inline void have_arrive(struct vm_machine *machine, const struct vm_page *page) {
    if (vm_page_is(page, VM_PAGE_ON_CPU))
        vm_lru_drain(machine);
}

bool vm_lru_remove(struct vm_machine *machine, struct vm_page *page) {
    struct vm_zone *zone = vm_page_zone(machine, page);
    have_arrive(machine, page);
    vm_lock(machine, &zone->lru_lock, VM_RANK_LRU);
    bool listed = vm_page_is(page, VM_PAGE_LISTED);
    if (listed) {
        unlink_page(machine, &zone->lru[list_of(page)], page);
        vm_page_clear(machine, page, VM_PAGE_LISTED);
    }
    vm_unlock(machine, &zone->lru_lock, VM_RANK_LRU);
    return listed;
}

/* Nobody holds these pages, so their flags are nobody else's to change: a plain store will do. True:
 * it can be freed; false: it is in a CPU's pagevec, and no longer says so. Then it is the pagevec's. */
static bool remove_dead(struct vm_machine *machine, struct vm_zone *zone, struct vm_page *page) {
    uint32_t flags = vm_page_flags(page);
    if (flags & VM_PAGE_LISTED)
        unlink_page(machine, &zone->lru[list_of(page)], page);
    atomic_store_explicit(&page->flags, flags & ~(uint32_t)(VM_PAGE_LISTED | VM_PAGE_ON_CPU),
                          memory_order_relaxed);
    return !(flags & VM_PAGE_ON_CPU);
}

static bool all_unlisted(struct vm_page *const *pages, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        if (vm_page_is(pages[i], VM_PAGE_LISTED | VM_PAGE_ON_CPU))
            return false;
    return true;
}

unsigned vm_lru_remove_dead(struct vm_machine *machine, struct vm_zone *zone,
                            struct vm_page **pages, unsigned n) {
    unsigned free = 0;
    if (all_unlisted(pages, n))
        return n;
    vm_lock(machine, &zone->lru_lock, VM_RANK_LRU);
    for (unsigned i = 0; i < n; i++)
        if (remove_dead(machine, zone, pages[i]))
            pages[free++] = pages[i];
    vm_unlock(machine, &zone->lru_lock, VM_RANK_LRU);
    return free;
}

enum end { HEAD, TAIL };

/* A page that reclaim has isolated meanwhile stays off the lists. */
static void move(struct vm_machine *machine, struct vm_page *page, enum vm_lru_list list,
                 enum end end) {
    struct vm_zone *zone = vm_page_zone(machine, page);
    have_arrive(machine, page);
    vm_lock(machine, &zone->lru_lock, VM_RANK_LRU);
    if (vm_page_is(page, VM_PAGE_LISTED)) {
        unlink_page(machine, &zone->lru[list_of(page)], page);
        if (list == VM_LRU_ACTIVE)
            vm_page_set(machine, page, VM_PAGE_ACTIVE);
        else
            vm_page_clear(machine, page, VM_PAGE_ACTIVE);
        if (end == HEAD)
            link_head(machine, &zone->lru[list], page);
        else
            link_tail(machine, &zone->lru[list], page);
    }
    vm_unlock(machine, &zone->lru_lock, VM_RANK_LRU);
}

void vm_lru_move(struct vm_machine *machine, struct vm_page *page, enum vm_lru_list list) {
    move(machine, page, list, HEAD);
}

void vm_lru_move_to_tail(struct vm_machine *machine, struct vm_page *page) {
    move(machine, page, VM_LRU_INACTIVE, TAIL);
}

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

static unsigned isolate(struct vm_machine *machine, struct vm_zone *zone, enum vm_lru_list list,
                        unsigned n, struct vm_page **pages) {
    struct vm_lru *lru = &zone->lru[list];
    unsigned taken = 0;
    vm_lock(machine, &zone->lru_lock, VM_RANK_LRU);
    for (uint32_t frame = lru->tail; frame != VM_NO_LINK && taken < n;) {
        struct vm_page *page = vm_page_of(machine, frame);
        frame = page->previous;
        if (!get_unless_free(machine, page))
            continue;
        unlink_page(machine, lru, page);
        vm_page_clear(machine, page, VM_PAGE_LISTED);
        pages[taken++] = page;
    }
    vm_unlock(machine, &zone->lru_lock, VM_RANK_LRU);
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
