/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * zap.c - clearing entries, and letting go of what they mapped.
 *
 * Each leaf table is done under its lock in three steps: take all entries out; tell the design, in
 * one run; take the mappings off the pages' counts. The pages wait in the gather until the range has
 * been flushed from every TLB (gather.c).
 *
 * Where entries alone tell which pages an area shows (nonlinear.c), they leave that behind.
 */
#include "vm/object/swap.h"
#include "vm/space/space.h"
#include "vm/sum.h"

#define PREFETCH_AHEAD 8

/* An anonymous page that has never been to swap differs from it, and need not say so. */
static bool dirty_without_saying(uint32_t flags) {
    return (flags & (VM_PAGE_ANON | VM_PAGE_SWAPCACHE | VM_PAGE_DISCARDABLE)) == VM_PAGE_ANON;
}

void vm_page_keep_bits(struct vm_machine *machine, struct vm_page *page, vm_pte entry) {
    uint32_t flags = vm_page_flags(page), note = 0;

    if (vm_pte_dirty(entry) && !dirty_without_saying(flags))
        note |= VM_PAGE_DIRTY;
    if (vm_pte_accessed(entry))
        note |= VM_PAGE_REFERENCED;
    if (note & ~flags)
        vm_page_set(machine, page, note);
}

/* Whether the entry was all that held the page; then nothing does now. */
static bool was_all(const struct vm_machine *machine, struct vm_page *page) {
    uint64_t counts = VM_ONE_MAPPING;

    vm_preempt(machine, page);
    if (vm_page_counts(page) != counts)
        return false;
    if (machine->smp)
        return atomic_compare_exchange_strong_explicit(&page->counts, &counts, 0,
                                                       memory_order_acq_rel, memory_order_relaxed);
    atomic_store_explicit(&page->counts, 0, memory_order_relaxed);
    return true;
}

/* Where others could let go of the page before our flush, and so free it, the entry's hold becomes the
 * gather's. So it does in the swap cache, which may find that nobody needs the page. Returns whether
 * that was the last entry that mapped it. */
static bool let_go_of_page(struct vm_machine *machine, struct vm_page *page, vm_pte entry,
                           struct vm_gather *gather) {
    if (vm_pte_frozen(entry))
        vm_frozen_adjust(machine, vm_pte_freezer(entry), UINT32_MAX);
    if (was_all(machine, page)) {
        vm_gather_page(gather, page);
        return true;
    }
    vm_page_keep_bits(machine, page, entry);
    bool hold = machine->smp || vm_page_is(page, VM_PAGE_SWAPCACHE);
    uint64_t counts = vm_page_adjust(machine, page,
                                     hold ? VM_ONE_REFERENCE - VM_ONE_MAPPING : 0 - VM_ONE_MAPPING);
    if (hold)
        vm_gather_page(gather, page);
    return counts < VM_ONE_MAPPING;
}

static bool let_go(struct vm_machine *machine, vm_pte entry, struct vm_gather *gather) {
    if (vm_pte_present(entry)) {
        struct vm_page *page = vm_page_of(machine, vm_pte_frame(entry));
        return !vm_page_is(page, VM_PAGE_RESERVED) && let_go_of_page(machine, page, entry, gather);
    }
    if (vm_pte_is_swap(entry))
        vm_swap_free(machine, vm_pte_swap_slot(entry));
    return false;
}

static void prefetch_descriptor(struct vm_machine *machine, vm_pte entry) {
    if (vm_pte_present(entry))
        __builtin_prefetch(vm_page_of(machine, vm_pte_frame(entry)), 1);
}

enum leaving { LEAVE_NOTHING, LEAVE_OFFSETS, LEAVE_NEW_OFFSETS };

struct zap {
    struct vm_area *area;
    struct vm_gather *gather;
    enum leaving leaving;
    uint64_t first; /* OFFSETS: the first page to go. NEW_OFFSETS: what `start` will show */
    uint64_t start;
};

/* Whether the entry changes, and to what. => leaf locked */
static bool leave(const struct zap *zap, uint64_t address, vm_pte old, vm_pte *left) {
    uint64_t index;

    if (zap->leaving == LEAVE_NEW_OFFSETS) {
        index = zap->first + ((address - zap->start) >> VM_PAGE_SHIFT);
    } else {
        index = vm_entry_page_index(zap->area, address, old);
        if (!vm_pte_present(old) || index < zap->first)
            return false;
    }
    *left = vm_entry_for_index(zap->area, address, index);
    return *left != old;
}

static void zap_leaf(const struct zap *zap, const struct vm_table_cursor *at) {
    struct vm_area *area = zap->area;
    struct vm_machine *machine = area->space->machine;
    struct vm_gather *gather = zap->gather;
    vm_pte old[VM_TABLE_ENTRIES];
    int used = 0, present = 0, left_used = 0, unmapped = 0;

    vm_lock(machine, &at->table->lock, VM_RANK_TABLE);
    for (unsigned i = 0; i < at->count; i++) {
        vm_pte left = 0;
        old[i] = vm_pte_read(&at->entries[i]);
        if (zap->leaving == LEAVE_NOTHING) {
            if (!old[i])
                continue;
        } else if (!leave(zap, at->address + i * VM_PAGE_SIZE, old[i], &left)) {
            old[i] = 0;
            continue;
        }
        old[i] = vm_pte_exchange(machine, &at->entries[i], left);
        left_used += left != 0;
        used += old[i] != 0;
        present += vm_pte_present(old[i]);
    }
    if (left_used)
        vm_table_account(at->table, left_used, 0);
    if (used) {
        struct vm_run run = { .area = area,
                              .table = at->table,
                              .address = at->address,
                              .first = at->first,
                              .count = at->count,
                              .entries = old };
        vm_table_account(at->table, -used, -present);
        vm_rmap_remove(machine, &run);
        vm_gather_range(gather, at->address, at->address + at->count * VM_PAGE_SIZE);
        for (unsigned i = 0; i < at->count; i++) {
            if (i + PREFETCH_AHEAD < at->count)
                prefetch_descriptor(machine, old[i + PREFETCH_AHEAD]);
            if (old[i])
                unmapped += let_go(machine, old[i], gather);
        }
        if (unmapped)
            vm_share_add(machine, VM_SUM_MAPPED, -unmapped);
        vm_count(machine, entries.cleared, (uint64_t)used);
    }
    vm_unlock(machine, &at->table->lock, VM_RANK_TABLE);
}

static void zap_range(const struct zap *zap, uint64_t start, uint64_t end) {
    struct vm_space *space = zap->area->space;
    struct vm_table_cursor cursor = vm_table_cursor(space->root, start, end);

    while (vm_table_next(space->machine, &cursor))
        zap_leaf(zap, &cursor);
}

void vm_zap(struct vm_area *area, uint64_t start, uint64_t end, struct vm_gather *gather) {
    zap_range(&(struct zap){ .area = area, .gather = gather, .leaving = LEAVE_NOTHING }, start,
              end);
}

void vm_zap_keeping_offsets(struct vm_area *area, uint64_t start, uint64_t end, uint64_t first,
                            struct vm_gather *gather) {
    zap_range(
        &(struct zap){ .area = area, .gather = gather, .leaving = LEAVE_OFFSETS, .first = first },
        start, end);
}

void vm_zap_setting_offsets(struct vm_area *area, uint64_t start, uint64_t end, uint64_t pgoff,
                            struct vm_gather *gather) {
    zap_range(&(struct zap){ .area = area,
                             .gather = gather,
                             .leaving = LEAVE_NEW_OFFSETS,
                             .first = pgoff,
                             .start = start },
              start, end);
}

void vm_unmap_range(struct vm_space *space, uint64_t start, uint64_t end) {
    struct vm_gather gather;
    struct vm_area *area = vm_area_find(space, start);

    vm_gather_init(&gather, space);
    while (area && area->start < end) {
        struct vm_area *next = vm_area_next(area);
        vm_zap(area, area->start, area->end, &gather);
        vm_area_remove(area);
        vm_area_free(area);
        area = next;
    }
    vm_gather_empty_tables(&gather, start, end);
    vm_gather_finish(&gather);
}
