/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * buddy.c - free blocks of 2^order frames in a zone (Knowlton 1965).
 *
 * A block of order n begins at a multiple of 2^n; its buddy is the block with which it makes one of
 * order n + 1, and differs from it in one bit. The first frame of a free block carries VM_PAGE_FREE
 * and the order, so that whether two can be joined is read off the buddy's descriptor. That flag is
 * set and cleared under the zone's lock only; frames on a CPU's list change without it, and carry
 * another, VM_PAGE_ON_CPU.
 *
 * A block is split from below: its first half is used, so fresh memory is handed out in ascending
 * order, and pages touched one after the other have descriptors one after the other.
 */
#include "vm/frame/zone.h"

static void list_block(struct vm_machine *machine, struct vm_zone *zone, uint32_t frame,
                       unsigned order) {
    struct vm_page *page = vm_page_of(machine, frame);
    uint32_t next = zone->free_heads[order];
    page->swap = order;
    page->next = next;
    page->previous = VM_NO_LINK;
    vm_page_reset_flags(page, VM_PAGE_FREE);
    if (next != VM_NO_LINK)
        vm_page_of(machine, next)->previous = frame;
    zone->free_heads[order] = frame;
    zone->free_blocks[order]++;
}

static void unlist_block(struct vm_machine *machine, struct vm_zone *zone, uint32_t frame,
                         unsigned order) {
    struct vm_page *page = vm_page_of(machine, frame);
    if (page->next != VM_NO_LINK)
        vm_page_of(machine, page->next)->previous = page->previous;
    if (page->previous != VM_NO_LINK)
        vm_page_of(machine, page->previous)->next = page->next;
    else
        zone->free_heads[order] = page->next;
    vm_page_reset_flags(page, 0);
    zone->free_blocks[order]--;
}

static bool is_free_block(const struct vm_machine *machine, const struct vm_zone *zone,
                          uint64_t frame, unsigned order) {
    if (frame < zone->first_frame || frame >= zone->untouched)
        return false;
    const struct vm_page *page = vm_page_of(machine, frame);
    return vm_page_is(page, VM_PAGE_FREE) && page->swap == order;
}

uint32_t vm_buddy_take(struct vm_machine *machine, struct vm_zone *zone, unsigned *order) {
    unsigned found = 0;
    while (found < VM_ORDERS && zone->free_heads[found] == VM_NO_LINK)
        found++;
    if (found == VM_ORDERS)
        return vm_zone_grow(machine, zone) ? vm_buddy_take(machine, zone, order) : VM_NO_LINK;

    uint32_t frame = zone->free_heads[found];
    unlist_block(machine, zone, frame, found);
    while (found > *order) {
        found--;
        list_block(machine, zone, frame + (1u << found), found);
    }
    *order = found;
    return frame;
}

void vm_buddy_give(struct vm_machine *machine, struct vm_zone *zone, uint32_t frame,
                   unsigned order) {
    vm_page_reset_flags(vm_page_of(machine, frame), 0);
    for (; order + 1 < VM_ORDERS; order++) {
        uint32_t buddy = frame ^ (1u << order);
        if (!is_free_block(machine, zone, buddy, order))
            break;
        unlist_block(machine, zone, buddy, order);
        frame &= ~(1u << order);
    }
    list_block(machine, zone, frame, order);
}
