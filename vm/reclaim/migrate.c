/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * migrate.c - moving a page to another frame under all its mappings.
 *
 *   1. Freeze. Exact walks make every entry that maps the page one that the hardware finds not
 *      present. Who touches it waits in the fault for the page lock; fork and mremap, which would
 *      copy or move it, wait, too; unmapping does not. While the page is
 *      locked no other is counted: see object/pages.c.
 *   2. Check that nobody else is at work on the page, and set aside what the design needs for as many
 *      mappings. If either fails, entries are thawed, and nothing has happened.
 *   3. Copy the contents. The new page becomes what the old one is, and takes its place in the page
 *      cache or swap cache.
 *   4. Rewrite. Exact walks of the old page make each frozen entry map the new one, until no entry of
 *      the old is left. What unmapping has told the old page meanwhile, the new one learns at last.
 *
 * Nobody sees stale data: contents are copied while no entry lets anybody at them, and no entry leads
 * to the old frame any more when the first leads to the new one.
 *
 * When is every entry frozen? This CPU counts them, for no longer than the page counts them as mappings.
 * So if the frozen ones are as many as the mappings were a moment before, every entry was frozen then;
 * and no other has come since, for fork copies what is not frozen only.
 *
 * Locks: the old page is locked and on no list from beginning to end, the new one from before others
 * can find it. Fork and mremap wait for the page lock with space locks held, so none is taken here.
 */
#include "vm/object/swap.h"
#include "vm/reclaim/reclaim.h"
#include "vm/sum.h"

/* Walks to freeze a page that others fork and unmap all the time. */
#define FREEZE_ROUNDS 16

struct migration {
    struct vm_machine *machine;
    unsigned cpu;
    struct vm_page *from, *to;
    struct vm_reserve reserve;
};

/* ---- freezing */

static void flush_entry(const struct vm_mapping *mapping) {
    vm_space_flush(mapping->area->space, mapping->address, mapping->address + VM_PAGE_SIZE);
}

static enum vm_step freeze_entry(const struct vm_mapping *mapping, void *context) {
    struct migration *m = context;

    if (!vm_pte_frozen(vm_pte_read(mapping->entry))) {
        vm_frozen_adjust(m->machine, m->cpu, 1);
        vm_pte_toggle_frozen(m->machine, mapping->entry, m->cpu);
        flush_entry(mapping);
    }
    return VM_STEP_ON;
}

static enum vm_step thaw_entry(const struct vm_mapping *mapping, void *context) {
    struct migration *m = context;

    if (vm_pte_frozen(vm_pte_read(mapping->entry))) {
        vm_pte_toggle_frozen(m->machine, mapping->entry, m->cpu);
        vm_frozen_adjust(m->machine, m->cpu, UINT32_MAX);
    }
    return VM_STEP_ON;
}

static uint32_t frozen_entries(const struct migration *m) {
    vm_preempt(m->machine, &m->machine->cpus[m->cpu].frozen);
    return atomic_load_explicit(&m->machine->cpus[m->cpu].frozen, memory_order_acquire);
}

/* The mappings are read first: see above. */
static bool all_frozen(const struct migration *m) {
    vm_preempt(m->machine, m->from);
    uint64_t counts = atomic_load_explicit(&m->from->counts, memory_order_acquire);

    return frozen_entries(m) == counts >> 32;
}

static bool freeze(struct migration *m) {
    for (unsigned round = 0; round < FREEZE_ROUNDS && !all_frozen(m); round++)
        vm_rmap_walk(m->machine, m->from, VM_WALK_ALL, freeze_entry, m);
    return all_frozen(m);
}

static void thaw(struct migration *m) {
    while (frozen_entries(m))
        vm_rmap_walk(m->machine, m->from, VM_WALK_ALL, thaw_entry, m);
}

/* ---- the new page */

static bool is_object_page(const struct vm_page *page) {
    return !vm_page_is(page, VM_PAGE_ANON);
}

/* Ours, and that of the cache it is in. */
static bool only_expected_references(const struct vm_page *page) {
    bool cached = is_object_page(page) || vm_page_is(page, VM_PAGE_SWAPCACHE);

    return vm_page_references(page) == (cached ? 2 : 1);
}

/* What it takes, and what may fail. => frozen */
static int prepare(struct migration *m) {
    if (!only_expected_references(m->from))
        return VM_EAGAIN;
    return vm_rmap_reserve(m->machine, &m->reserve,
                           is_object_page(m->from) ? VM_RESERVE_OBJECT : VM_RESERVE_ANY,
                           vm_page_mapcount(m->from));
}

static void take_over_flags(struct migration *m, uint32_t flags) {
    vm_page_set(m->machine, m->to, vm_page_flags(m->from) & flags);
}

static void take_over_identity(struct migration *m) {
    struct vm_machine *machine = m->machine;

    vm_frame_copy(machine, m->to, m->from);
    m->to->index = m->from->index;
    take_over_flags(m, VM_PAGE_DIRTY | VM_PAGE_REFERENCED | VM_PAGE_ACTIVE | VM_PAGE_ANON |
                           VM_PAGE_DISCARDABLE | VM_PAGE_DESIGN_2);
    if (is_object_page(m->from))
        vm_object_page_replace(m->from->object, m->from, m->to);
    else
        vm_count(machine, memory.anonymous, 1);
    if (vm_page_is(m->from, VM_PAGE_SWAPCACHE))
        vm_swap_cache_replace(machine, m->from, m->to);
}

/* ---- rewriting */

/* The record is taken off the old page first: a design may keep it in one place for both. */
static enum vm_step rewrite_entry(const struct vm_mapping *mapping, void *context) {
    struct migration *m = context;
    struct vm_machine *machine = m->machine;
    vm_pte frozen = vm_pte_read(mapping->entry);
    vm_pte thawed = vm_pte_thawed_onto(frozen, vm_page_frame(machine, m->to));
    struct vm_run run = { .area = mapping->area,
                          .table = mapping->leaf.table,
                          .address = mapping->address,
                          .first = vm_table_index(mapping->address, 0),
                          .count = 1,
                          .entries = &frozen };

    VM_ASSERT(machine, vm_pte_frozen(frozen));
    vm_rmap_remove(machine, &run);
    if (!is_object_page(m->from))
        vm_rmap_replaced(machine, m->from, m->to);
    if (vm_page_adjust(machine, m->to, VM_ONE_MAPPING) >> 32 == 1)
        vm_share_add(machine, VM_SUM_MAPPED, 1);
    run.entries = &thawed;
    vm_rmap_add(machine, &run, &m->reserve);
    vm_pte_write(mapping->entry, thawed);
    vm_frozen_adjust(machine, m->cpu, UINT32_MAX);
    if (vm_page_adjust(machine, m->from, (uint64_t)0 - VM_ONE_MAPPING) >> 32 == 0)
        vm_share_add(machine, VM_SUM_MAPPED, -1);
    vm_count(machine, migration.entries, 1);
    return VM_STEP_REPLACED;
}

static void rewrite(struct migration *m) {
    while (vm_page_mapcount(m->from))
        vm_rmap_walk(m->machine, m->from, VM_WALK_ALL, rewrite_entry, m);
    take_over_flags(m, VM_PAGE_DIRTY | VM_PAGE_REFERENCED);
    if (is_object_page(m->from))
        m->from->object = NULL;
}

/* ---- one page */

/* Nobody needs a page that only we hold, and one whose object has let go of it will go, too. */
static bool is_worth_moving(const struct vm_page *page) {
    if (is_object_page(page))
        return page->object != NULL;
    return vm_page_mapcount(page) > 0 || vm_page_is(page, VM_PAGE_SWAPCACHE);
}

/* => both locked, the old one isolated */
static int migrate(struct migration *m) {
    int error = is_worth_moving(m->from) && freeze(m) ? prepare(m) : VM_EAGAIN;

    if (error) {
        thaw(m);
    } else {
        take_over_identity(m);
        rewrite(m);
    }
    VM_ASSERT(m->machine, frozen_entries(m) == 0);
    vm_rmap_unreserve(m->machine, &m->reserve);
    return error;
}

/* Somebody who looks at frames by their numbers may have it for a moment; he waits for nobody. */
static void lock_new_page(struct migration *m) {
    while (!vm_page_trylock(m->machine, m->to))
        m->machine->port->relax(m->machine->port);
}

/* What others have let go of meanwhile is freed. */
static int migrate_isolated(struct vm_machine *machine, struct vm_page *page, unsigned node) {
    struct migration m = { .machine = machine, .cpu = vm_cpu_number(machine), .from = page };

    m.to = vm_frame_alloc_on(machine, node, VM_FRAME_AS_IS);
    if (!m.to) {
        vm_lru_put_back(machine, page);
        return VM_OOM;
    }
    vm_page_lock(machine, page);
    lock_new_page(&m);
    int error = migrate(&m);
    vm_lru_put_back(machine, error ? m.from : m.to);
    vm_page_unlock(machine, m.to);
    vm_page_unlock(machine, m.from);
    vm_swap_page_put(machine, m.to);
    return error;
}

int vm_page_migrate(struct vm_machine *machine, struct vm_page *page, unsigned node) {
    int error = VM_EAGAIN;

    if (vm_lru_remove(machine, page))
        error = migrate_isolated(machine, page, node);
    if (error)
        vm_count(machine, migration.busy, error == VM_EAGAIN);
    else
        vm_count(machine, migration.moved, 1);
    return error;
}
