/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hot.c - allocation and freeing of frames, by way of each CPU's own lists.
 *
 * In front of a zone's free blocks every CPU has a hot list, a cold list and a list of cleared
 * tables (Linux 2.5.45). Most calls only touch the head of one; b frames at a time move between
 * list and zone under one lock. Frames freed by reclaim go to the cold list: nobody has read them
 * for long, and the hot list's are worth more. A freed page table is all zeroes and waits for the
 * next one, which then needs no clearing.
 *
 * Zones are tried in the order of the node's list: first for one above its low watermark; if there
 * is none the nodes' reclaim threads are woken, and min will do. Who finds all at min asks for
 * reclaim first. Reclaim allocates, too: for that, and when nothing could be freed, frames go down to
 * the last one. Who finds a zone empty gives all CPUs' lists of it back and looks again, so a
 * machine of 64 frames uses all 64. That is what a CPU's lists have a lock for, which nobody else
 * wants otherwise.
 *
 * Free frames are counted where they are: zone->free_frames changes with a batch, under the zone's lock,
 * and each CPU counts what it has listed. Whether a zone is above a mark is usually clear from the zone
 * and this CPU's lists alone; only when it is not, the others' are looked at.
 */
#include "vm/frame/zone.h"
#include "vm/memory.h"
#include "vm/sum.h"

#define SPARE_TABLES_MOST 64
#define IN_VAIN_MOST      8
#define TURNS_TO_WAIT     10000

/* ---------------------------------------------------------------- one list */

static void list_init(struct vm_hot_list *list, uint32_t low, uint32_t high, uint32_t batch) {
    *list = (struct vm_hot_list){
        .head = VM_NO_LINK, .tail = VM_NO_LINK, .low = low, .high = high, .batch = batch
    };
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* Linux 2.5's, which is 1 below 32 MiB. Several CPUs would meet at the zone's lock for each frame then,
 * so they get more, as long as their hot and cold lists hold no more than an 8th of the zone together. */
static uint32_t batch_of(const struct vm_zone *zone) {
    uint64_t batch = least(zone->frames / 1024, 64) / 4;
    uint64_t share = zone->cpu_count > 1 ? zone->frames / (64 * (uint64_t)zone->cpu_count) : 1;
    uint64_t floor = least(share, 16);
    batch = batch > floor ? batch : floor;
    return (uint32_t)(batch > 0 ? batch : 1);
}

void vm_hot_lists_init(struct vm_zone *zone, unsigned cpu) {
    uint32_t batch = batch_of(zone);
    list_init(&zone->cpu[cpu].hot, 2 * batch, 6 * batch, batch);
    list_init(&zone->cpu[cpu].cold, 0, 2 * batch, batch);
    list_init(&zone->cpu[cpu].tables, 0, SPARE_TABLES_MOST, batch);
}

static inline void push_head(struct vm_machine *machine, struct vm_hot_list *list,
                             struct vm_page *page, uint32_t frame) {
    vm_page_reset_flags(page, VM_PAGE_ON_CPU);
    page->next = list->head;
    page->previous = VM_NO_LINK;
    if (list->count++)
        vm_page_of(machine, list->head)->previous = frame;
    else
        list->tail = frame;
    list->head = frame;
}

static void push_tail(struct vm_machine *machine, struct vm_hot_list *list, uint32_t frame) {
    struct vm_page *page = vm_page_of(machine, frame);
    vm_page_reset_flags(page, VM_PAGE_ON_CPU);
    page->next = VM_NO_LINK;
    page->previous = list->tail;
    if (list->count++)
        vm_page_of(machine, list->tail)->next = frame;
    else
        list->head = frame;
    list->tail = frame;
}

/* The new head's `previous` is left as it is: the list is only followed for `count` frames. */
static inline struct vm_page *pop_head(struct vm_machine *machine, struct vm_hot_list *list) {
    struct vm_page *page = vm_page_of(machine, list->head);
    list->head = page->next;
    list->count--;
    return page;
}

static uint32_t pop_tail(struct vm_machine *machine, struct vm_hot_list *list) {
    uint32_t frame = list->tail;
    list->tail = vm_page_of(machine, frame)->previous;
    list->count--;
    return frame;
}

/* ---------------------------------------------------------------- between list and zone */

/* The largest order of which a block has no more than n frames. => n > 0 */
static unsigned order_within(uint32_t n) {
    unsigned order = 0;
    while (n >>= 1)
        order++;
    return order;
}

static inline void count_listed(struct vm_zone_cpu *lists) {
    atomic_store_explicit(&lists->listed,
                          lists->hot.count + lists->cold.count + lists->tables.count,
                          memory_order_relaxed);
}

/* A machine of one CPU has nothing to lock, but keeps to the order where that is checked. */
static inline void lock_lists(struct vm_machine *machine, struct vm_zone_cpu *lists) {
    if (machine->smp || VM_DEBUG >= 2)
        vm_lock(machine, &lists->lock, VM_RANK_CPU_FRAMES);
}

static inline void unlock_lists(struct vm_machine *machine, struct vm_zone_cpu *lists) {
    count_listed(lists);
    if (machine->smp || VM_DEBUG >= 2)
        vm_unlock(machine, &lists->lock, VM_RANK_CPU_FRAMES);
}

static inline uint64_t load(const _Atomic uint64_t *word) {
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* n more frames, or by two's complement fewer, that are on no CPU's list. => the zone's lock held */
static inline void count_in_zone(struct vm_zone *zone, uint64_t n) {
    atomic_store_explicit(&zone->free_frames, load(&zone->free_frames) + n, memory_order_release);
}

/* Whole blocks where there are any: the frames of one are listed without splitting it. They count on the
 * list first, so that nobody misses them who adds up both.
 * => lists locked, as for all of these */
static void refill(struct vm_machine *machine, struct vm_zone *zone, struct vm_zone_cpu *lists,
                   struct vm_hot_list *list) {
    uint32_t before = list->count;
    vm_lock(machine, &zone->lock, VM_RANK_ZONE);
    for (uint32_t wanted = list->batch; wanted;) {
        unsigned order = order_within(wanted);
        uint32_t frame = vm_buddy_take(machine, zone, &order);
        if (frame == VM_NO_LINK)
            break;
        for (uint32_t i = 0; i < 1u << order; i++)
            push_tail(machine, list, frame + i);
        wanted -= 1u << order;
    }
    count_listed(lists);
    count_in_zone(zone, (uint64_t)before - list->count);
    vm_unlock(machine, &zone->lock, VM_RANK_ZONE);
}

static void drain(struct vm_machine *machine, struct vm_zone *zone, struct vm_hot_list *list,
                  uint32_t frames) {
    uint32_t before = list->count;
    if (list->count == 0)
        return;
    vm_lock(machine, &zone->lock, VM_RANK_ZONE);
    for (; frames && list->count; frames--)
        vm_buddy_give(machine, zone, pop_tail(machine, list), 0);
    count_in_zone(zone, before - list->count);
    vm_unlock(machine, &zone->lock, VM_RANK_ZONE);
}

static void drain_zone(struct vm_machine *machine, struct vm_zone *zone) {
    for (unsigned cpu = 0; cpu < machine->config.cpus; cpu++) {
        struct vm_zone_cpu *lists = &zone->cpu[cpu];
        lock_lists(machine, lists);
        drain(machine, zone, &lists->hot, UINT32_MAX);
        drain(machine, zone, &lists->cold, UINT32_MAX);
        drain(machine, zone, &lists->tables, UINT32_MAX);
        unlock_lists(machine, lists);
    }
}

void vm_frames_drain(struct vm_machine *machine) {
    for (unsigned z = 0; z < machine->zone_count; z++)
        drain_zone(machine, &machine->zones[z]);
}

/* ---------------------------------------------------------------- counting */

static inline uint64_t listed(const struct vm_zone *zone, unsigned cpu) {
    return atomic_load_explicit(&zone->cpu[cpu].listed, memory_order_relaxed);
}

uint64_t vm_zone_free(const struct vm_zone *zone) {
    uint64_t sum = atomic_load_explicit(&zone->free_frames, memory_order_acquire);
    for (unsigned cpu = 0; cpu < zone->cpu_count; cpu++)
        sum += listed(zone, cpu);
    return sum;
}

uint64_t vm_frames_free(const struct vm_machine *machine) {
    uint64_t sum = 0;
    for (unsigned z = 0; z < machine->zone_count; z++)
        sum += vm_zone_free(&machine->zones[z]);
    return sum;
}

/* More frames in use, or fewer, for data or tables. */
static inline void count_used(struct vm_machine *machine, enum vm_shared_sum kind, int64_t n) {
    vm_share_add(machine, VM_SUM_FRAMES, n);
    vm_share_add(machine, kind, n);
}

/* ---------------------------------------------------------------- taking */

enum purpose { DATA, COLD_DATA, TABLE };

/* A table comes cleared if *cleared is true. */
static inline struct vm_page *take_listed(struct vm_machine *machine, struct vm_zone *zone,
                                          unsigned cpu, enum purpose purpose, bool *cleared) {
    struct vm_zone_cpu *lists = &zone->cpu[cpu];
    struct vm_hot_list *list = purpose == COLD_DATA ? &lists->cold : &lists->hot;
    lock_lists(machine, lists);
    *cleared = purpose == TABLE && lists->tables.count;
    if (*cleared)
        list = &lists->tables;
    else if (list->count <= list->low)
        refill(machine, zone, lists, list);
    struct vm_page *page = list->count ? pop_head(machine, list) : NULL;
    unlock_lists(machine, lists);
    return page;
}

/* On a metadata-only machine only tables have contents, and they leave zeroes behind. */
static void clear_table(struct vm_machine *machine, const struct vm_page *page) {
    if (machine->config.contents == VM_METADATA_ONLY)
        return;
    memset(vm_frame_map_number(machine, vm_page_frame(machine, page)), 0, VM_PAGE_SIZE);
}

static inline struct vm_page *take_from_zone(struct vm_machine *machine, struct vm_zone *zone,
                                             unsigned cpu, enum purpose purpose) {
    bool cleared;
    struct vm_page *page = take_listed(machine, zone, cpu, purpose, &cleared);
    if (!page) {
        drain_zone(machine, zone);
        page = take_listed(machine, zone, cpu, purpose, &cleared);
    }
    if (page && purpose == TABLE && !cleared)
        clear_table(machine, page);
    return page;
}

static inline uint64_t frames_to_leave(const struct vm_zone *zone, enum purpose purpose,
                                       enum vm_watermark mark) {
    return zone->watermark[mark] + (purpose == TABLE ? 0 : zone->for_tables);
}

static inline bool is_above(const struct vm_zone *zone, unsigned cpu, uint64_t frames) {
    return load(&zone->free_frames) + listed(zone, cpu) > frames || vm_zone_free(zone) > frames;
}

/* From the first of the zones that is above the mark. */
static inline struct vm_page *take(struct vm_machine *machine, const struct vm_zonelist *zones,
                                   enum purpose purpose, enum vm_watermark mark) {
    unsigned cpu = vm_cpu_number(machine);
    for (unsigned i = 0; i < zones->count; i++) {
        struct vm_zone *zone = zones->zones[i];
        if (mark != VM_WATERMARK_NONE && !is_above(zone, cpu, frames_to_leave(zone, purpose, mark)))
            continue;
        struct vm_page *page = take_from_zone(machine, zone, cpu, purpose);
        if (page)
            return page;
    }
    return NULL;
}

static void wake_reclaim(struct vm_machine *machine, struct vm_node *node) {
    if (atomic_load_explicit(&node->woken, memory_order_relaxed) ||
        atomic_exchange_explicit(&node->woken, 1, memory_order_acq_rel))
        return;
    machine->port->wake_reclaim(machine->port, (unsigned)(node - machine->nodes));
}

/* All of these zones are low. */
static void wake_nodes(struct vm_machine *machine, const struct vm_zonelist *zones) {
    if (!machine->port->wake_reclaim)
        return;
    for (unsigned i = 0; i < zones->count; i++)
        wake_reclaim(machine, zones->zones[i]->node);
}

/* 0 also when this CPU is freeing frames already. *alone: no other CPU was freeing some meanwhile,
 * and had pages in hand that we then did not find. */
static uint64_t ask_for_frames(struct vm_machine *machine, const struct vm_zonelist *zones,
                               bool *alone) {
    struct vm_cpu *cpu = vm_this_cpu(machine);
    *alone = true;
    if (!machine->shortage || cpu->in_shortage)
        return 0;
    uint64_t ended = load(&machine->shortages_ended);
    uint64_t begun = vm_fetch_add(machine, &machine->shortages_begun, 1);
    cpu->in_shortage = true;
    uint64_t freed =
        machine->shortage(machine, zones, zones->zones[0]->cpu[vm_cpu_number(machine)].hot.batch);
    cpu->in_shortage = false;
    *alone = begun == ended && load(&machine->shortages_begun) == begun + 1;
    vm_fetch_add(machine, &machine->shortages_ended, 1);
    return freed;
}

static void let_others_end(struct vm_machine *machine) {
    for (unsigned turn = 0; turn < TURNS_TO_WAIT; turn++) {
        if (load(&machine->shortages_begun) == load(&machine->shortages_ended))
            return;
        machine->port->relax(machine->port);
    }
}

/* Other CPUs may take what was freed for us, so it may need several turns while there is progress.
 * In vain counts only what nobody disturbed: two who reclaim hide pages from each other. Reclaim only
 * tries for what we may hold, so those we wait for do not wait for us. */
static struct vm_page *take_scarce(struct vm_machine *machine, const struct vm_zonelist *zones,
                                   enum purpose purpose) {
    for (unsigned in_vain = 0;;) {
        bool alone;
        uint64_t freed = ask_for_frames(machine, zones, &alone);
        struct vm_page *page = take(machine, zones, purpose, VM_WATERMARK_NONE);
        if (page || (!freed && (alone || ++in_vain == IN_VAIN_MOST)))
            return page;
        if (!freed)
            let_others_end(machine);
    }
}

static inline struct vm_page *
take_above_min(struct vm_machine *machine, const struct vm_zonelist *zones, enum purpose purpose) {
    struct vm_page *page = take(machine, zones, purpose, VM_WATERMARK_LOW);
    if (page)
        return page;
    wake_nodes(machine, zones);
    return take(machine, zones, purpose, VM_WATERMARK_MIN);
}

static inline struct vm_node *this_node(const struct vm_machine *machine) {
    return &machine
                ->nodes[machine->node_count > 1 ? vm_cpu_number(machine) % machine->node_count : 0];
}

static inline struct vm_page *take_frame(struct vm_machine *machine,
                                         const struct vm_zonelist *zones, enum purpose purpose) {
    VM_ASSERT_INTERNAL(machine, vm_may_sleep(machine));
    struct vm_page *page = take_above_min(machine, zones, purpose);
    return page ? page : take_scarce(machine, zones, purpose);
}

/* ---------------------------------------------------------------- frames */

static inline enum purpose purpose_of(enum vm_frame_want want) {
    return want == VM_FRAME_COLD ? COLD_DATA : DATA;
}

static inline struct vm_page *begin_life(struct vm_machine *machine, struct vm_page *page,
                                         enum vm_frame_want want) {
    if (!page)
        return NULL;
    page->swap = 0;
    vm_page_reset_flags(page, 0);
    /* Last: from here on whoever comes by its number may take a reference. */
    atomic_store_explicit(&page->counts, VM_ONE_REFERENCE, memory_order_release);
    count_used(machine, VM_SUM_DATA, 1);
    if (want == VM_FRAME_ZEROED)
        vm_frame_zero(machine, page, 0, VM_PAGE_SIZE);
    return page;
}

struct vm_page *vm_frame_alloc(struct vm_machine *machine, enum vm_frame_want want) {
    const struct vm_zonelist *zones = &this_node(machine)->data;
    return begin_life(machine, take_frame(machine, zones, purpose_of(want)), want);
}

struct vm_page *vm_frame_alloc_spare(struct vm_machine *machine, enum vm_frame_want want) {
    const struct vm_zonelist *zones = &this_node(machine)->data;
    return begin_life(machine, take_above_min(machine, zones, purpose_of(want)), want);
}

struct vm_page *vm_frame_alloc_on(struct vm_machine *machine, unsigned node,
                                  enum vm_frame_want want) {
    VM_ASSERT(machine, node < machine->node_count);
    const struct vm_zonelist *zones = &machine->nodes[node].own;
    return begin_life(machine, take_above_min(machine, zones, purpose_of(want)), want);
}

/* => lists locked */
static inline void put_listed(struct vm_machine *machine, struct vm_zone *zone,
                              struct vm_hot_list *list, struct vm_page *page) {
    push_head(machine, list, page, (uint32_t)vm_page_frame(machine, page));
    if (list->count >= list->high)
        drain(machine, zone, list, list->batch);
}

static inline void check_unused(struct vm_machine *machine, const struct vm_page *page) {
    VM_ASSERT(machine, vm_page_counts(page) == 0);
    VM_ASSERT(machine, page->rmap == 0);
    VM_ASSERT(machine,
              !vm_page_is(page, VM_PAGE_FREE | VM_PAGE_ON_CPU | VM_PAGE_LISTED | VM_PAGE_SWAPCACHE |
                                    VM_PAGE_TABLE | VM_PAGE_RESERVED | VM_PAGE_LOCKED));
    (void)machine;
    (void)page;
}

/* Lists frames of the zone as free that nobody holds. */
static void list_free(struct vm_machine *machine, struct vm_zone *zone,
                      struct vm_page *const *pages, unsigned n) {
    unsigned cpu = vm_cpu_number(machine);
    struct vm_zone_cpu *lists = &zone->cpu[cpu];
    struct vm_hot_list *list = machine->cpus[cpu].in_shortage ? &lists->cold : &lists->hot;

    for (unsigned i = 0; i < n; i++) {
        check_unused(machine, pages[i]);
        pages[i]->owner = NULL;
        pages[i]->index = 0;
    }
    lock_lists(machine, lists);
    for (unsigned i = 0; i < n; i++)
        put_listed(machine, zone, list, pages[i]);
    unlock_lists(machine, lists);
    count_used(machine, VM_SUM_DATA, -(int64_t)n);
}

void vm_frame_free(struct vm_machine *machine, struct vm_page *page) {
    list_free(machine, vm_page_zone(machine, page), &page, 1);
}

/* How many of the n pages, from the first on, are of the first one's zone. */
static unsigned pages_of_one_zone(const struct vm_machine *machine, struct vm_page *const *pages,
                                  unsigned n) {
    unsigned same = 1;
    while (same < n && vm_page_zone(machine, pages[same]) == vm_page_zone(machine, pages[0]))
        same++;
    return same;
}

static void count_anonymous_out(struct vm_machine *machine, struct vm_page *const *pages,
                                unsigned n) {
    uint64_t anonymous = 0;
    for (unsigned i = 0; i < n; i++)
        anonymous += vm_page_is(pages[i], VM_PAGE_ANON);
    vm_count(machine, memory.anonymous, 0 - anonymous);
}

void vm_pages_free(struct vm_machine *machine, struct vm_page *const *pages, unsigned n) {
    count_anonymous_out(machine, pages, n);
    if (machine->pages_freed)
        machine->pages_freed(machine, pages, n);
    while (n) {
        struct vm_zone *zone = vm_page_zone(machine, pages[0]);
        unsigned same = pages_of_one_zone(machine, pages, n);
        vm_lru_remove_dead(machine, zone, pages, same);
        list_free(machine, zone, pages, same);
        pages += same;
        n -= same;
    }
}

/* ---------------------------------------------------------------- page tables */

/* In debug builds: the table has no entry. */
static inline void check_zero(struct vm_machine *machine, const struct vm_page *page) {
#if VM_DEBUG >= 2
    const uint64_t *words = vm_frame_map_number(machine, vm_page_frame(machine, page));
    for (size_t i = 0; i < VM_PAGE_SIZE / sizeof(*words); i++)
        VM_ASSERT_INTERNAL(machine, words[i] == 0);
#endif
    (void)machine;
    (void)page;
}

struct vm_page *vm_frame_alloc_table(struct vm_machine *machine) {
    struct vm_page *page = take_frame(machine, &this_node(machine)->tables, TABLE);
    if (!page)
        return NULL;
    check_zero(machine, page);
    page->swap = 0;
    vm_page_reset_flags(page, VM_PAGE_TABLE);
    count_used(machine, VM_SUM_TABLES, 1);
    return page;
}

void vm_frame_free_table(struct vm_machine *machine, struct vm_page *page) {
    VM_ASSERT(machine, vm_page_is(page, VM_PAGE_TABLE));
    check_zero(machine, page);
    struct vm_zone *zone = vm_page_zone(machine, page);
    VM_ASSERT(machine, vm_page_counts(page) == 0);
    page->owner = NULL;
    page->index = 0;
    page->rmap = 0;
    count_used(machine, VM_SUM_TABLES, -1);
    struct vm_zone_cpu *lists = &zone->cpu[vm_cpu_number(machine)];
    lock_lists(machine, lists);
    put_listed(machine, zone, &lists->tables, page);
    unlock_lists(machine, lists);
}
