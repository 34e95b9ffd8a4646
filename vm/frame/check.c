/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check.c - whether lists, counts and descriptors of all frames tell the same story.
 *
 * The descriptors are gone through once and counted by what they say; then each list is followed
 * and must hold exactly as many. => nobody else uses the machine meanwhile
 */
#include "vm/frame/zone.h"
#include "vm/sum.h"

/* The bits that say where among the LRU lists a page is. */
#define PART_AND_LIST                                                                              \
    (((1u << VM_PAGE_PART_BITS) - 1) << VM_PAGE_PART_SHIFT | VM_PAGE_LISTED | VM_PAGE_ACTIVE)

/* What the descriptors of a zone say. */
struct census {
    uint64_t blocks[VM_ORDERS];
    uint64_t on_cpu_lists;
    uint64_t in_lru[VM_LRU_LISTS];
    uint64_t free, mapped;
    uint64_t differences;
};

static uint64_t differs(uint64_t a, uint64_t b) {
    return a != b;
}

/* A free block: inside it no frame is anything. Returns its frames. */
static uint64_t count_block(const struct vm_machine *machine, const struct vm_zone *zone,
                            uint64_t frame, struct census *census) {
    uint32_t order = vm_page_of(machine, frame)->swap;
    uint64_t frames = order < VM_ORDERS ? UINT64_C(1) << order : 1;
    if (order >= VM_ORDERS || frame % frames != 0 || frame + frames > zone->untouched) {
        census->differences++;
        return 1;
    }
    census->blocks[order]++;
    census->free += frames;
    for (uint64_t i = 0; i < frames; i++) {
        const struct vm_page *page = vm_page_of(machine, frame + i);
        census->differences += vm_page_zone(machine, page) != zone;
        census->differences += vm_page_counts(page) != 0 || page->owner || page->rmap ||
                               (i && vm_page_is(page, (1u << VM_PAGE_SECTION_SHIFT) - 1));
    }
    return frames;
}

/* Counts the frame, or the free block that begins there. Returns how many frames that was. */
static uint64_t count_frame(const struct vm_machine *machine, const struct vm_zone *zone,
                            uint64_t frame, struct census *census) {
    const struct vm_page *page = vm_page_of(machine, frame);
    if (vm_page_is(page, VM_PAGE_FREE))
        return count_block(machine, zone, frame, census);
    if (vm_page_is(page, VM_PAGE_LISTED))
        census->in_lru[vm_page_is(page, VM_PAGE_ACTIVE) ? VM_LRU_ACTIVE : VM_LRU_INACTIVE]++;
    census->mapped += vm_page_mapcount(page) != 0 && !vm_page_is(page, VM_PAGE_TABLE);
    bool on_cpu_list = vm_page_is(page, VM_PAGE_ON_CPU);
    census->on_cpu_lists += on_cpu_list;
    census->free += on_cpu_list;
    bool counted = !on_cpu_list && !vm_page_is(page, VM_PAGE_TABLE);
    census->differences += counted != (vm_page_counts(page) != 0);
    return 1;
}

static struct census take_census(const struct vm_machine *machine, const struct vm_zone *zone) {
    struct census census = { .free = zone->first_frame + zone->frames - zone->untouched };
    for (uint64_t frame = zone->first_frame; frame < zone->untouched;)
        frame += count_frame(machine, zone, frame, &census);
    return census;
}

/* Follows a doubly linked list of at most `limit` frames; of the flags in `mask` each must have
 * just `flags`. Sets *length. */
static uint64_t follow(const struct vm_machine *machine, uint32_t head, uint64_t limit,
                       uint32_t mask, uint32_t flags, uint64_t *length) {
    uint64_t differences = 0, count = 0;
    uint32_t previous = VM_NO_LINK;
    for (uint32_t frame = head; frame != VM_NO_LINK && count <= limit; count++) {
        const struct vm_page *page = vm_page_of(machine, frame);
        differences += page->previous != previous || (vm_page_flags(page) & mask) != flags;
        previous = frame;
        frame = page->next;
    }
    *length = count;
    return differences;
}

static uint64_t check_blocks(const struct vm_machine *machine, const struct vm_zone *zone,
                             const struct census *census) {
    uint64_t differences = 0, length;
    for (unsigned order = 0; order < VM_ORDERS; order++) {
        differences += follow(machine, zone->free_heads[order], zone->frames, VM_PAGE_FREE,
                              VM_PAGE_FREE, &length);
        differences += differs(length, zone->free_blocks[order]);
        differences += differs(length, census->blocks[order]);
    }
    return differences;
}

static uint64_t check_cpu_list(const struct vm_machine *machine, const struct vm_hot_list *list,
                               uint64_t *sum) {
    uint64_t differences = 0;
    uint32_t frame = list->head;
    for (uint32_t i = 0; i < list->count; i++) {
        const struct vm_page *page = vm_page_of(machine, frame);
        differences += !vm_page_is(page, VM_PAGE_ON_CPU);
        differences += i + 1 == list->count && frame != list->tail;
        frame = page->next;
    }
    *sum += list->count;
    return differences + (list->count >= list->high);
}

static uint64_t check_cpu_lists(const struct vm_machine *machine, const struct vm_zone *zone,
                                const struct census *census) {
    uint64_t differences = 0, sum = 0;
    for (unsigned cpu = 0; cpu < machine->config.cpus; cpu++) {
        uint64_t before = sum;
        differences += check_cpu_list(machine, &zone->cpu[cpu].hot, &sum);
        differences += check_cpu_list(machine, &zone->cpu[cpu].cold, &sum);
        differences += check_cpu_list(machine, &zone->cpu[cpu].tables, &sum);
        differences += differs(sum - before, zone->cpu[cpu].listed);
    }
    return differences + differs(sum, census->on_cpu_lists);
}

static uint64_t check_lru(const struct vm_machine *machine, const struct vm_zone *zone,
                          const struct census *census) {
    uint64_t differences = 0, length;
    for (unsigned list = 0; list < VM_LRU_LISTS; list++) {
        uint32_t flags = VM_PAGE_LISTED | (list == VM_LRU_ACTIVE ? VM_PAGE_ACTIVE : 0);
        uint64_t sum = 0;
        for (unsigned part = 0; part < zone->part_count; part++) {
            const struct vm_lru *lru = &zone->lru[part].lists[list];
            differences += follow(machine, lru->head, zone->frames, PART_AND_LIST,
                                  part << VM_PAGE_PART_SHIFT | flags, &length);
            differences += differs(length, lru->pages);
            sum += length;
        }
        differences += differs(sum, census->in_lru[list]);
    }
    return differences;
}

static uint64_t check_zone(const struct vm_machine *machine, const struct vm_zone *zone,
                           uint64_t *mapped) {
    struct census census = take_census(machine, zone);
    *mapped += census.mapped;
    return census.differences + check_blocks(machine, zone, &census) +
           check_cpu_lists(machine, zone, &census) + check_lru(machine, zone, &census) +
           differs(census.free, vm_zone_free(zone));
}

/* Before it is drained: each page of a pagevec says so. */
static uint64_t check_pagevec(const struct vm_pagevec *vec) {
    uint64_t differences = vec->count > VM_PAGEVEC_PAGES;

    for (unsigned i = 0; i < vec->count && !differences; i++) {
        const struct vm_page *page = vec->pages[i];
        differences += vm_page_is(page, VM_PAGE_LISTED | VM_PAGE_FREE);
        differences += !vm_page_is(page, VM_PAGE_ON_CPU) || vm_page_counts(page) == 0;
    }
    return differences;
}

uint64_t vm_frames_check(struct vm_machine *machine) {
    uint64_t differences = 0, mapped = 0;
    for (unsigned cpu = 0; cpu < machine->config.cpus; cpu++)
        differences += check_pagevec(&machine->cpus[cpu].pagevec);
    vm_lru_drain(machine);
    for (unsigned z = 0; z < machine->zone_count; z++)
        differences += check_zone(machine, &machine->zones[z], &mapped);
    return differences + differs(mapped, vm_shares_now(machine, VM_SUM_MAPPED));
}
