/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * zone.h - what the files of this room offer each other.
 */
#ifndef VM_ZONE_H
#define VM_ZONE_H

#include "vm/frame/frame.h"

/* ---- free blocks. => the zone's lock is held */

/* Takes the smallest free block, or the first part of it: 2^*order frames, *order at most as given.
 * Returns the first one's number; VM_NO_LINK if nothing is free. */
uint32_t vm_buddy_take(struct vm_machine *machine, struct vm_zone *zone, unsigned *order);

/* Gives a block back, joining it with its neighbours. => it is aligned to its size */
void vm_buddy_give(struct vm_machine *machine, struct vm_zone *zone, uint32_t frame,
                   unsigned order);

/* Gives the next untouched frames to the buddy allocator. False: none is left, or their descriptors
 * find no memory. */
bool vm_zone_grow(struct vm_machine *machine, struct vm_zone *zone);

/* ---- => no lock of the ranks that are taken, or a later one, is held */

/* Parks the page for this CPU, unless it is parked or LISTED. */
void vm_lru_park(struct vm_machine *machine, struct vm_page *page, enum vm_lru_list list);

/* Has this page, if it is parked, put on its list, with others that are parked beside it. */
void vm_lru_have_arrive(struct vm_machine *machine, const struct vm_page *page);

/* Takes this page, that nobody holds any more, out of the pagevec it is parked in, with others that
 * nobody holds; unless it has been put on its list. Then it is not parked. */
void vm_lru_unpark_dead(struct vm_machine *machine, const struct vm_page *page);

/* Puts the page at the head of the list. => its part's lock is held; not LISTED */
void vm_lru_link(struct vm_machine *machine, struct vm_lru_part *part, struct vm_page *page,
                 enum vm_lru_list list);

/* The number of the part in which a CPU lists its pages. */
static inline unsigned vm_lru_part_of_cpu(const struct vm_machine *machine,
                                          const struct vm_zone *zone, unsigned cpu) {
    return cpu / machine->node_count % zone->part_count;
}

/* The part that the page is on, or on its way to. */
static inline struct vm_lru_part *vm_lru_part_of(struct vm_zone *zone, const struct vm_page *page) {
    return &zone->lru[vm_page_part(page)];
}

/* The lists of a new zone, and a CPU's. */
void vm_lru_init(struct vm_zone *zone);
void vm_hot_lists_init(struct vm_zone *zone, unsigned cpu);

/* Sets the flags of a page that nobody else can reach, leaving its section's number. */
static inline void vm_page_reset_flags(struct vm_page *page, uint32_t flags) {
    uint32_t section = vm_page_flags(page) & ~((1u << VM_PAGE_SECTION_SHIFT) - 1);
    atomic_store_explicit(&page->flags, section | flags, memory_order_relaxed);
}

#endif
