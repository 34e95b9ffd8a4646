/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * node.c - the machine's frames: nodes, zones, sections with their descriptors, contents.
 *
 * Frames are not described, nor on any free list, before they are needed. A zone's `untouched` mark
 * moves up when no free block is left, by one block of the largest order, and a section gets its
 * descriptors when the mark enters it. So a machine costs what it has used at most.
 *
 * Nodes divide the frames evenly, in order. A node is one zone, or two where low memory ends inside
 * it. A page finds its zone through its section; where zones meet inside a section, that one is
 * described at once, for the zones' locks do not keep two zones from describing it twice.
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
        atomic_init(&pages[i].flags, section << VM_PAGE_SECTION_SHIFT);
    __atomic_store_n(&machine->sections[section].pages, pages, __ATOMIC_RELEASE);
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
    if (min > zone->frames / 16)
        min = zone->frames / 16;
    for (unsigned mark = VM_WATERMARK_NONE; mark < VM_WATERMARKS; mark++)
        zone->watermark[mark] = mark * min;
}

/* So much of low memory, for each frame of high memory that tables may map, is kept for tables. */
#define HIGH_FRAMES_PER_TABLE 32

static uint64_t frames_for_tables(const struct vm_machine *machine, const struct vm_zone *zone) {
    uint64_t high = machine->config.frames - machine->config.low_frames;
    uint64_t most = zone->frames / 4;
    return high / HIGH_FRAMES_PER_TABLE < most ? high / HIGH_FRAMES_PER_TABLE : most;
}

static enum vm_zone_kind kind_at(const struct vm_machine *machine, uint64_t frame) {
    if (!machine->config.low_frames)
        return VM_ZONE_NORMAL;
    return frame < machine->config.low_frames ? VM_ZONE_LOW : VM_ZONE_HIGH;
}

/* One for each of the CPUs of a node, which have numbers that far apart: see vm_lru_part_of_cpu(). */
static unsigned parts_needed(const struct vm_machine *machine) {
    unsigned cpus = (machine->config.cpus + machine->node_count - 1) / machine->node_count;
    return cpus < VM_LRU_PARTS_MOST ? cpus : VM_LRU_PARTS_MOST;
}

static void add_zone(struct vm_machine *machine, struct vm_node *node, uint64_t first,
                     uint64_t end) {
    struct vm_zone *zone = &machine->zones[machine->zone_count++];
    if (!node->zones)
        node->zones = zone;
    node->zone_count++;
    zone->node = node;
    zone->kind = kind_at(machine, first);
    zone->first_frame = zone->untouched = first;
    zone->frames = end - first;
    atomic_init(&zone->free_frames, zone->frames);
    for (unsigned order = 0; order < VM_ORDERS; order++)
        zone->free_heads[order] = VM_NO_LINK;
    zone->cpu_count = machine->config.cpus;
    zone->part_count = parts_needed(machine);
    vm_lru_init(zone);
    for (unsigned cpu = 0; cpu < zone->cpu_count; cpu++)
        vm_hot_lists_init(zone, cpu);
    atomic_init(&zone->last_priority, VM_PRIORITY_START);
    set_watermarks(zone);
    if (zone->kind == VM_ZONE_LOW)
        zone->for_tables = frames_for_tables(machine, zone);
}

/* ---------------------------------------------------------------- nodes */

/* Where the node begins: at a whole section, or a good part of one where nodes are small. */
static uint64_t node_border(const struct vm_machine *machine, unsigned node) {
    uint64_t share = machine->config.frames / machine->node_count, unit = 1;
    if (node == machine->node_count)
        return machine->config.frames;
    while (unit < VM_SECTION_PAGES && 32 * unit <= share)
        unit *= 2;
    return machine->config.frames * node / machine->node_count & ~(unit - 1);
}

static void add_zones_of_node(struct vm_machine *machine, unsigned n) {
    uint64_t first = node_border(machine, n), end = node_border(machine, n + 1);
    uint64_t low = machine->config.low_frames;
    if (first < low && low < end) {
        add_zone(machine, &machine->nodes[n], first, low);
        first = low;
    }
    add_zone(machine, &machine->nodes[n], first, end);
}

static void append(struct vm_zonelist *list, struct vm_zone *zone) {
    list->zones[list->count++] = zone;
}

static void append_node(struct vm_node *node, const struct vm_node *other) {
    for (unsigned z = other->zone_count; z-- > 0;) {
        struct vm_zone *zone = &other->zones[z];
        append(&node->data, zone);
        if (zone->kind != VM_ZONE_HIGH)
            append(&node->tables, zone);
        if (other == node)
            append(&node->own, zone);
    }
}

static void make_zonelists(struct vm_machine *machine) {
    for (unsigned n = 0; n < machine->node_count; n++)
        for (unsigned i = 0; i < machine->node_count; i++)
            append_node(&machine->nodes[n], &machine->nodes[(n + i) % machine->node_count]);
}

/* False: no memory for the descriptors of a section in which zones meet. */
static bool give_sections_zones(struct vm_machine *machine) {
    struct vm_zone *zone = machine->zones;
    for (uint32_t i = 0; i < machine->section_count; i++) {
        uint64_t first = (uint64_t)i << VM_SECTION_SHIFT, frames = section_frames(machine, i);
        while (first >= zone->first_frame + zone->frames)
            zone++;
        machine->sections[i].zone = zone;
        machine->sections[i].mixed = first + frames > zone->first_frame + zone->frames;
        if (machine->sections[i].mixed && !describe_section(machine, i))
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------- life */

static void *allocate_zeroed(struct vm_machine *machine, size_t bytes) {
    void *memory = machine->port->allocate(machine->port, bytes, 64);
    return memory ? memset(memory, 0, bytes) : NULL;
}

static size_t sections_bytes(const struct vm_machine *machine) {
    return machine->section_count * sizeof(struct vm_section);
}

static size_t nodes_bytes(const struct vm_machine *machine) {
    return machine->node_count * sizeof(struct vm_node);
}

/* Low memory may end inside a node. */
static size_t zones_bytes(const struct vm_machine *machine) {
    return (machine->node_count + 1) * sizeof(struct vm_zone);
}

static bool make_tables_of_frames(struct vm_machine *machine) {
    uint64_t frames = machine->config.frames;
    machine->section_count = (uint32_t)((frames + VM_SECTION_PAGES - 1) >> VM_SECTION_SHIFT);
    machine->node_count = machine->config.nodes ? machine->config.nodes : 1;
    machine->descriptor_cache =
        vm_cache_create(machine, "frame descriptors", VM_COST_DESCRIPTORS, 0, 64);
    machine->sections = allocate_zeroed(machine, sections_bytes(machine));
    machine->nodes = allocate_zeroed(machine, nodes_bytes(machine));
    machine->zones = allocate_zeroed(machine, zones_bytes(machine));
    machine->frames = machine->port->frames_reserve(machine->port, frames << VM_PAGE_SHIFT);
    return machine->descriptor_cache && machine->sections && machine->nodes && machine->zones &&
           machine->frames;
}

int vm_frames_init(struct vm_machine *machine) {
    VM_ASSERT(machine, machine->config.frames <= VM_FRAMES_MAX);
    VM_ASSERT(machine, machine->config.nodes <= VM_NODES_MAX);
    if (!make_tables_of_frames(machine)) {
        vm_frames_fini(machine);
        return VM_ENOMEM;
    }
    for (unsigned n = 0; n < machine->node_count; n++)
        add_zones_of_node(machine, n);
    make_zonelists(machine);
    if (!give_sections_zones(machine)) {
        vm_frames_fini(machine);
        return VM_ENOMEM;
    }

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
        port->release(port, machine->nodes, nodes_bytes(machine));
    if (machine->zones)
        port->release(port, machine->zones, zones_bytes(machine));
    if (machine->sections) {
        forget_sections(machine);
        port->release(port, machine->sections, sections_bytes(machine));
    }
    if (machine->descriptor_cache)
        vm_cache_destroy(machine, machine->descriptor_cache);
    machine->frames = NULL;
    machine->nodes = NULL;
    machine->zones = NULL;
    machine->zone_count = 0;
    machine->sections = NULL;
    machine->descriptor_cache = NULL;
    machine->zero_page = NULL;
}

/* ---------------------------------------------------------------- looking */

static uint64_t load(const _Atomic uint64_t *count) {
    return atomic_load_explicit(count, memory_order_relaxed);
}

void vm_zone_each(const struct vm_machine *machine,
                  void (*visit)(const struct vm_zone_view *zone, void *context), void *context) {
    static const char *const names[] = {
        [VM_ZONE_NORMAL] = "normal", [VM_ZONE_LOW] = "low", [VM_ZONE_HIGH] = "high"
    };
    for (unsigned z = 0; z < machine->zone_count; z++) {
        const struct vm_zone *zone = &machine->zones[z];
        struct vm_zone_view view = { .name = names[zone->kind],
                                     .node = (unsigned)(zone->node - machine->nodes),
                                     .first_frame = zone->first_frame,
                                     .frames = zone->frames,
                                     .free = vm_zone_free(zone),
                                     .min = zone->watermark[VM_WATERMARK_MIN],
                                     .low = zone->watermark[VM_WATERMARK_LOW],
                                     .high = zone->watermark[VM_WATERMARK_HIGH],
                                     .active = vm_lru_pages(zone, VM_LRU_ACTIVE),
                                     .inactive = vm_lru_pages(zone, VM_LRU_INACTIVE),
                                     .scanned = load(&zone->scanned),
                                     .freed = load(&zone->freed) };
        visit(&view, context);
    }
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
