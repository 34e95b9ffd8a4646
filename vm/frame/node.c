/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * node.c - the machine's frames: nodes, zones, sections with their descriptors, contents.
 *
 * Frames are not described, nor on any free list, before they are needed. A zone's `untouched` mark
 * moves up when no free block is left, by one block of the largest order, and a section gets its
 * descriptors when the mark enters it. So a machine costs what it has used at most.
 *
 * Today there is one node of one zone. Whoever looks for a frame goes through all there are, and a
 * zone consists of whole sections, so that a page finds its zone through its section.
 */
#include "vm/frame/cache.h"
#include "vm/frame/zone.h"
#include "vm/memory.h"

#define BLOCK_FRAMES_MOST (UINT64_C(1) << (VM_ORDERS - 1))

/* ---------------------------------------------------------------- sections */

static uint64_t section_frames(const struct vm_machine *machine, uint64_t section) {
    uint64_t left = machine->config.frames - (section << VM_SECTION_SHIFT);
    return left < VM_SECTION_PAGES ? left : VM_SECTION_PAGES;
}

static bool describe_section(struct vm_machine *machine, uint32_t section) {
    size_t frames = (size_t)section_frames(machine, section);
    size_t bytes = frames * sizeof(struct vm_page);
    struct vm_page *pages = vm_cache_allocate_bytes(machine, machine->descriptor_cache, bytes, 64);
    if (!pages)
        return false;
    memset(pages, 0, bytes);
    for (size_t i = 0; i < frames; i++)
        atomic_init(&pages[i].flags, section << VM_PAGE_FLAG_BITS);
    machine->sections[section].pages = pages;
    return true;
}

static void forget_sections(struct vm_machine *machine) {
    for (uint32_t i = 0; i < machine->section_count; i++) {
        size_t bytes = (size_t)section_frames(machine, i) * sizeof(struct vm_page);
        if (machine->sections[i].pages)
            vm_cache_free_bytes(machine, machine->descriptor_cache, machine->sections[i].pages,
                                bytes);
    }
}

/* ---------------------------------------------------------------- zones */

/* The largest block that may begin at this frame and has no more than `left` frames. */
static unsigned order_at(uint64_t frame, uint64_t left) {
    unsigned order = 0;
    while (order + 1 < VM_ORDERS && !(frame >> order & 1) && UINT64_C(2) << order <= left)
        order++;
    return order;
}

bool vm_zone_grow(struct vm_machine *machine, struct vm_zone *zone) {
    uint64_t frame = zone->untouched;
    uint64_t zone_end = zone->first_frame + zone->frames;
    uint32_t section = (uint32_t)(frame >> VM_SECTION_SHIFT);
    if (frame == zone_end ||
        (!machine->sections[section].pages && !describe_section(machine, section)))
        return false;
    uint64_t end = (frame | (BLOCK_FRAMES_MOST - 1)) + 1;
    zone->untouched = end < zone_end ? end : zone_end;
    while (frame < zone->untouched) {
        unsigned order = order_at(frame, zone->untouched - frame);
        vm_buddy_give(machine, zone, (uint32_t)frame, order);
        frame += UINT64_C(1) << order;
    }
    return true;
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most) {
    return value < least ? least : value > most ? most : value;
}

/* The marks of Linux 2.5, with a smaller floor: a machine of 64 frames must be able to run. */
static void set_watermarks(struct vm_zone *zone) {
    uint64_t min = clamp(zone->frames / 128, 4, 255);
    zone->watermark_min = min < zone->frames / 16 ? min : zone->frames / 16;
    zone->watermark_low = 2 * zone->watermark_min;
    zone->watermark_high = 3 * zone->watermark_min;
}

static void zone_init(struct vm_node *node, struct vm_zone *zone, uint64_t first, uint64_t frames,
                      unsigned cpus) {
    zone->node = node;
    zone->first_frame = zone->untouched = first;
    zone->frames = frames;
    atomic_init(&zone->free_frames, frames);
    for (unsigned order = 0; order < VM_ORDERS; order++)
        zone->free_heads[order] = VM_NO_LINK;
    for (unsigned list = 0; list < VM_LRU_LISTS; list++)
        zone->lru[list].head = zone->lru[list].tail = VM_NO_LINK;
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        vm_hot_lists_init(zone, cpu);
    set_watermarks(zone);
}

/* ---------------------------------------------------------------- life */

static void *allocate_zeroed(struct vm_machine *machine, size_t bytes) {
    void *memory = machine->port->allocate(machine->port, bytes, 64);
    return memory ? memset(memory, 0, bytes) : NULL;
}

static size_t sections_bytes(const struct vm_machine *machine) {
    return machine->section_count * sizeof(struct vm_section);
}

static bool make_tables_of_frames(struct vm_machine *machine) {
    uint64_t frames = machine->config.frames;
    machine->section_count = (uint32_t)((frames + VM_SECTION_PAGES - 1) >> VM_SECTION_SHIFT);
    machine->node_count = 1;
    machine->descriptor_cache =
        vm_cache_create(machine, "frame descriptors", VM_COST_DESCRIPTORS, 0, 64);
    machine->sections = allocate_zeroed(machine, sections_bytes(machine));
    machine->nodes = allocate_zeroed(machine, sizeof(struct vm_node));
    machine->frames = machine->port->frames_reserve(machine->port, frames << VM_PAGE_SHIFT);
    return machine->descriptor_cache && machine->sections && machine->nodes && machine->frames;
}

int vm_frames_init(struct vm_machine *machine) {
    VM_ASSERT(machine, machine->config.frames <= VM_FRAMES_MAX);
    if (!make_tables_of_frames(machine)) {
        vm_frames_fini(machine);
        return VM_ENOMEM;
    }
    struct vm_node *node = machine->nodes;
    struct vm_zone *zone = &node->zones[0];
    node->zone_count = 1;
    zone_init(node, zone, 0, machine->config.frames, machine->config.cpus);
    for (uint32_t i = 0; i < machine->section_count; i++)
        machine->sections[i].zone = zone;

    machine->zero_page = vm_frame_alloc(machine, VM_FRAME_ZEROED);
    if (!machine->zero_page) {
        vm_frames_fini(machine);
        return VM_ENOMEM;
    }
    vm_page_set(machine, machine->zero_page, VM_PAGE_RESERVED);
    return VM_OK;
}

/* Also undoes an init that went half way. */
void vm_frames_fini(struct vm_machine *machine) {
    struct vm_port *port = machine->port;
    if (machine->frames)
        port->frames_release(port, machine->frames, machine->config.frames << VM_PAGE_SHIFT);
    if (machine->nodes)
        port->release(port, machine->nodes, sizeof(struct vm_node));
    if (machine->sections) {
        forget_sections(machine);
        port->release(port, machine->sections, sections_bytes(machine));
    }
    if (machine->descriptor_cache)
        vm_cache_destroy(machine, machine->descriptor_cache);
    machine->frames = NULL;
    machine->nodes = NULL;
    machine->sections = NULL;
    machine->descriptor_cache = NULL;
    machine->zero_page = NULL;
}

/* ---------------------------------------------------------------- contents */

void vm_frame_zero(struct vm_machine *machine, struct vm_page *page, uint64_t from,
                   uint64_t bytes) {
    char *contents = vm_frame_map(machine, page);
    if (!contents)
        return;
    memset(contents + from, 0, (size_t)bytes);
    vm_frame_unmap(machine, contents);
}

void vm_frame_copy(struct vm_machine *machine, struct vm_page *to, const struct vm_page *from) {
    void *target = vm_frame_map(machine, to);
    void *source = vm_frame_map(machine, from);
    if (target && source)
        memcpy(target, source, VM_PAGE_SIZE);
    vm_frame_unmap(machine, source);
    vm_frame_unmap(machine, target);
}
