/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * advise.c - madvise.
 *
 * Advice is either a flag of areas, kept under the space lock for writing, or work on the pages of
 * a range, done under the space lock for reading. Work that sleeps (bringing pages in, pushing
 * them out) first takes down what it is about under the leaf table's lock, a batch at a time, and
 * is done with no spinning lock held.
 *
 * Pages that a relative shares are nobody's to age, discard or push out alone: COLD, FREE and
 * PAGEOUT leave them as they are. Over holes all advice goes on, and VM_ENOMEM is told at the end;
 * an area that the advice is not for ends the call with VM_EINVAL.
 */
#include "vm/object/swap.h"
#include "vm/reclaim/reclaim.h"
#include "vm/space/space.h"

#define BATCH 64

/* ---------------------------------------------------------------- flags */

struct flag_advice {
    uint32_t set, clear;
};

static bool flag_advice(enum vm_advice advice, struct flag_advice *change) {
    switch (advice) {
    case VM_MADV_NORMAL:
        *change = (struct flag_advice){ 0, VM_AREA_RANDOM | VM_AREA_SEQUENTIAL };
        return true;
    case VM_MADV_RANDOM:
        *change = (struct flag_advice){ VM_AREA_RANDOM, VM_AREA_SEQUENTIAL };
        return true;
    case VM_MADV_SEQUENTIAL:
        *change = (struct flag_advice){ VM_AREA_SEQUENTIAL, VM_AREA_RANDOM };
        return true;
    case VM_MADV_DONTFORK:
        *change = (struct flag_advice){ VM_AREA_DONTFORK, 0 };
        return true;
    case VM_MADV_DOFORK:
        *change = (struct flag_advice){ 0, VM_AREA_DONTFORK };
        return true;
    case VM_MADV_HUGEPAGE:
        *change = (struct flag_advice){ VM_AREA_HUGEPAGE, VM_AREA_NOHUGEPAGE };
        return true;
    case VM_MADV_NOHUGEPAGE:
        *change = (struct flag_advice){ VM_AREA_NOHUGEPAGE, VM_AREA_HUGEPAGE };
        return true;
    default:
        return false;
    }
}

static int flag_piece(struct vm_area *area, uint64_t start, uint64_t end,
                      const struct flag_advice *change) {
    uint32_t flags = (vm_area_flags(area) & ~change->clear) | change->set;

    if (flags == vm_area_flags(area))
        return VM_OK;
    if (vm_area_isolate(area, start, end, &area) != VM_OK)
        return VM_EAGAIN; /* as Linux, where VM_ENOMEM is for holes */
    vm_area_set_flags(area, flags);
    return VM_OK;
}

static int flag_range(struct vm_space *space, uint64_t start, uint64_t end,
                      const struct flag_advice *change) {
    uint64_t position = start;
    bool hole = false;
    int error = VM_OK;

    while (position < end && !error) {
        struct vm_area *area = vm_area_find(space, position);
        if (!area || area->start >= end) {
            hole = true;
            break;
        }
        if (area->start > position) {
            hole = true;
            position = area->start;
        }
        uint64_t piece_end = area->end < end ? area->end : end;
        error = flag_piece(area, position, piece_end, change);
        position = piece_end;
    }
    vm_area_merge(space, start, end);
    return error || !hole ? error : VM_ENOMEM;
}

/* ---------------------------------------------------------------- cold, free */

/* The page of an entry, if this entry is all that maps it. => leaf locked */
static struct vm_page *page_mapped_here_only(struct vm_machine *machine, vm_pte entry) {
    if (!vm_pte_present(entry))
        return NULL;
    struct vm_page *page = vm_page_of(machine, vm_pte_frame(entry));
    if (vm_page_is(page, VM_PAGE_RESERVED) || vm_page_mapcount(page) != 1)
        return NULL;
    return page;
}

static bool cool_entry(struct vm_machine *machine, vm_pte_slot *slot) {
    struct vm_page *page = page_mapped_here_only(machine, vm_pte_read(slot));

    if (!page)
        return false;
    vm_pte_clear_bits(machine, slot, VM_PTE_ACCESSED);
    vm_page_clear(machine, page, VM_PAGE_REFERENCED);
    if (vm_page_is(page, VM_PAGE_LISTED | VM_PAGE_ON_CPU))
        vm_lru_move(machine, page, VM_LRU_INACTIVE);
    return true;
}

static void cool_piece(struct vm_area *area, uint64_t start, uint64_t end) {
    struct vm_machine *machine = area->space->machine;
    struct vm_table_cursor at = vm_table_cursor(area->space->root, start, end);
    bool changed = false;

    while (vm_table_next(machine, &at)) {
        vm_lock(machine, &at.table->lock, VM_RANK_TABLE);
        for (unsigned i = 0; i < at.count; i++)
            changed |= cool_entry(machine, &at.entries[i]);
        vm_unlock(machine, &at.table->lock, VM_RANK_TABLE);
    }
    if (changed)
        vm_space_flush(area->space, start, end);
}

/* Nobody but this entry and the swap cache has the page, and no other entry its slot.
 * => page and leaf locked */
static bool page_is_alone(struct vm_machine *machine, struct vm_page *page) {
    bool cached = vm_page_is(page, VM_PAGE_SWAPCACHE);

    if (vm_page_counts(page) != VM_ONE_MAPPING + (cached ? VM_ONE_REFERENCE : 0))
        return false;
    return !cached || vm_swap_count(machine, page->swap) == 0;
}

/* From here on the page may vanish until it is written to, which the entry's D bit will tell.
 * => page locked, alone */
static void make_discardable(struct vm_machine *machine, struct vm_page *page, vm_pte_slot *slot) {
    if (vm_page_is(page, VM_PAGE_SWAPCACHE))
        vm_swap_cache_remove(machine, page);
    vm_page_clear(machine, page, VM_PAGE_DIRTY | VM_PAGE_REFERENCED);
    vm_page_set(machine, page, VM_PAGE_DISCARDABLE);
    vm_pte_clear_bits(machine, slot, VM_PTE_DIRTY | VM_PTE_ACCESSED);
    if (vm_page_is(page, VM_PAGE_LISTED | VM_PAGE_ON_CPU))
        vm_lru_move_to_tail(machine, page);
}

/* Whoever holds the page lock is at work on the page: then it is not ours to give away. */
static bool free_present(struct vm_machine *machine, vm_pte_slot *slot, vm_pte entry) {
    struct vm_page *page = page_mapped_here_only(machine, entry);

    if (!page || !vm_page_is(page, VM_PAGE_ANON) || !vm_page_trylock(machine, page))
        return false;
    bool alone = page_is_alone(machine, page);
    if (alone)
        make_discardable(machine, page, slot);
    vm_page_unlock(machine, page);
    return alone;
}

static void free_leaf(struct vm_area *area, const struct vm_table_cursor *at, bool *changed) {
    struct vm_machine *machine = area->space->machine;

    vm_lock(machine, &at->table->lock, VM_RANK_TABLE);
    for (unsigned i = 0; i < at->count; i++) {
        vm_pte entry = vm_pte_read(&at->entries[i]);
        if (vm_pte_present(entry)) {
            *changed |= free_present(machine, &at->entries[i], entry);
        } else if (vm_pte_is_swap(entry) && vm_swap_count(machine, vm_pte_swap_slot(entry)) == 1) {
            vm_preempt(machine, &at->entries[i]);
            vm_pte_write(&at->entries[i], 0);
            vm_table_account(at->table, -1, 0);
            vm_swap_free(machine, vm_pte_swap_slot(entry));
        }
    }
    vm_unlock(machine, &at->table->lock, VM_RANK_TABLE);
}

static void free_piece(struct vm_area *area, uint64_t start, uint64_t end) {
    struct vm_table_cursor at = vm_table_cursor(area->space->root, start, end);
    bool changed = false;

    while (vm_table_next(area->space->machine, &at))
        free_leaf(area, &at, &changed);
    if (changed)
        vm_space_flush(area->space, start, end);
}

/* ---------------------------------------------------------------- out and in */

/* Up to BATCH pages of a run that only this area maps, each with a reference of ours; *position
 * becomes where to go on. */
static unsigned collect_pages(struct vm_machine *machine, const struct vm_table_cursor *at,
                              unsigned *position, struct vm_page **pages) {
    unsigned n = 0, i = *position;

    vm_lock(machine, &at->table->lock, VM_RANK_TABLE);
    for (; i < at->count && n < BATCH; i++) {
        struct vm_page *page = page_mapped_here_only(machine, vm_pte_read(&at->entries[i]));
        if (!page)
            continue;
        vm_page_get(machine, page);
        pages[n++] = page;
    }
    vm_unlock(machine, &at->table->lock, VM_RANK_TABLE);
    *position = i;
    return n;
}

static void push_out(struct vm_machine *machine, struct vm_page *page) {
    if (vm_lru_remove(machine, page))
        (void)vm_pageout_page(machine, page);
    else
        vm_page_put(machine, page);
}

static void push_out_piece(struct vm_area *area, uint64_t start, uint64_t end) {
    struct vm_machine *machine = area->space->machine;
    struct vm_table_cursor at = vm_table_cursor(area->space->root, start, end);
    struct vm_page *pages[BATCH];

    while (vm_table_next(machine, &at)) {
        for (unsigned position = 0; position < at.count;) {
            unsigned n = collect_pages(machine, &at, &position, pages);
            for (unsigned i = 0; i < n; i++)
                push_out(machine, pages[i]);
        }
    }
}

static unsigned collect_slots(struct vm_machine *machine, const struct vm_table_cursor *at,
                              unsigned *position, uint32_t *slots) {
    unsigned n = 0, i = *position;

    vm_lock(machine, &at->table->lock, VM_RANK_TABLE);
    for (; i < at->count && n < BATCH; i++) {
        vm_pte entry = vm_pte_read(&at->entries[i]);
        if (vm_pte_is_swap(entry))
            slots[n++] = vm_pte_swap_slot(entry);
    }
    vm_unlock(machine, &at->table->lock, VM_RANK_TABLE);
    *position = i;
    return n;
}

/* The page waits in the swap cache for the fault to come. It may already have come, or the slot
 * have been freed: then it is somebody else's page that waits, without harm. */
static int swap_in_ahead(struct vm_machine *machine, uint32_t slot) {
    struct vm_page *page;
    int error = vm_swap_in(machine, slot, &page);

    if (error)
        return error == VM_EAGAIN ? VM_OK : error;
    if (!vm_page_is(page, VM_PAGE_ANON)) {
        vm_page_set(machine, page, VM_PAGE_ANON);
        vm_count(machine, memory.anonymous, 1);
    }
    if (!vm_page_is(page, VM_PAGE_LISTED))
        vm_lru_add(machine, page, VM_LRU_INACTIVE);
    vm_page_unlock(machine, page);
    vm_swap_page_put(machine, page);
    return VM_OK;
}

static int swap_in_piece(struct vm_area *area, uint64_t start, uint64_t end) {
    struct vm_machine *machine = area->space->machine;
    struct vm_table_cursor at = vm_table_cursor(area->space->root, start, end);
    uint32_t slots[BATCH];
    int error = VM_OK;

    while (!error && vm_table_next(machine, &at)) {
        for (unsigned position = 0; position < at.count && !error;) {
            unsigned n = collect_slots(machine, &at, &position, slots);
            for (unsigned i = 0; i < n && !error; i++)
                error = swap_in_ahead(machine, slots[i]);
        }
    }
    return error;
}

static int read_run_ahead(struct vm_object *object, uint64_t first, uint64_t pages) {
    int error = VM_OK;

    for (uint64_t index = first; index - first < pages; index++) {
        struct vm_page *page;
        if (index >= vm_object_page_end(object))
            break;
        error = vm_object_page(object, index, &page);
        if (error)
            break;
        vm_page_unlock(object->machine, page);
        vm_page_put(object->machine, page);
    }
    return error;
}

static void read_object_ahead(struct vm_area *area, uint64_t start, uint64_t end) {
    uint64_t run_end, index;

    for (uint64_t at = start; at < end; at = run_end) {
        run_end = vm_area_run(area, at, end, &index);
        (void)read_run_ahead(area->object, index, (run_end - at) >> VM_PAGE_SHIFT);
    }
}

/* Only advice: what cannot be brought in now is left to the faults. */
static void bring_in_piece(struct vm_area *area, uint64_t start, uint64_t end) {
    if (area->object)
        read_object_ahead(area, start, end);
    if (!vm_area_shared(area))
        (void)swap_in_piece(area, start, end);
}

/* ---------------------------------------------------------------- the range */

static void zap_piece(struct vm_area *area, uint64_t start, uint64_t end) {
    struct vm_gather gather;

    vm_gather_init(&gather, area->space);
    if (vm_area_is_nonlinear(area))
        vm_zap_keeping_offsets(area, start, end, 0, &gather);
    else
        vm_zap(area, start, end, &gather);
    vm_gather_finish(&gather);
}

static bool advice_is_for(const struct vm_area *area, enum vm_advice advice) {
    if (advice == VM_MADV_WILLNEED)
        return true;
    if (advice == VM_MADV_FREE && area->object)
        return false;
    return !(vm_area_flags(area) & VM_AREA_LOCKED);
}

static int work_on_piece(struct vm_area *area, uint64_t start, uint64_t end,
                         enum vm_advice advice) {
    if (!advice_is_for(area, advice))
        return VM_EINVAL;
    switch (advice) {
    case VM_MADV_WILLNEED:
        bring_in_piece(area, start, end);
        break;
    case VM_MADV_DONTNEED:
        zap_piece(area, start, end);
        break;
    case VM_MADV_FREE:
        free_piece(area, start, end);
        break;
    case VM_MADV_COLD:
        cool_piece(area, start, end);
        break;
    case VM_MADV_PAGEOUT:
        push_out_piece(area, start, end);
        break;
    default:
        return VM_EINVAL;
    }
    return VM_OK;
}

static int work_on_range(struct vm_space *space, uint64_t start, uint64_t end,
                         enum vm_advice advice) {
    uint64_t position = start;
    bool hole = false;

    for (struct vm_area *area = vm_area_find(space, start); area && area->start < end;
         area = vm_area_next(area)) {
        uint64_t from = area->start > start ? area->start : start;
        uint64_t to = area->end < end ? area->end : end;
        hole |= from > position;
        int error = work_on_piece(area, from, to, advice);
        if (error)
            return error;
        position = to;
    }
    return hole || position < end ? VM_ENOMEM : VM_OK;
}

static bool holds_empty_table(struct vm_space *space, uint64_t start, uint64_t end) {
    struct vm_machine *machine = space->machine;
    struct vm_table_cursor at = vm_table_cursor(space->root, start, end);
    bool empty = false;

    while (!empty && vm_table_next(machine, &at)) {
        vm_lock(machine, &at.table->lock, VM_RANK_TABLE);
        empty = at.table->used == 0;
        vm_unlock(machine, &at.table->lock, VM_RANK_TABLE);
    }
    return empty;
}

/* Tables go under the space lock held for writing only, which DONTNEED and FREE do without. */
static void prune_tables(struct vm_space *space, uint64_t start, uint64_t end) {
    vm_write_lock(space->machine, &space->lock, VM_RANK_SPACE);
    vm_space_prune(space, start, end);
    vm_write_unlock(space->machine, &space->lock, VM_RANK_SPACE);
}

static int work_unlocked(struct vm_space *space, uint64_t start, uint64_t end,
                         enum vm_advice advice) {
    bool cleared = advice == VM_MADV_DONTNEED || advice == VM_MADV_FREE;

    vm_read_lock(space->machine, &space->lock, VM_RANK_SPACE);
    int error = work_on_range(space, start, end, advice);
    if (end > VM_ADDRESS_END)
        end = VM_ADDRESS_END; /* no table is behind it, but some may be before */
    cleared = cleared && start < end && holds_empty_table(space, start, end);
    vm_read_unlock(space->machine, &space->lock, VM_RANK_SPACE);
    if (cleared)
        prune_tables(space, start, end);
    return error;
}

static int flag_unlocked(struct vm_space *space, uint64_t start, uint64_t end,
                         const struct flag_advice *change) {
    vm_write_lock(space->machine, &space->lock, VM_RANK_SPACE);
    int error = flag_range(space, start, end, change);
    vm_write_unlock(space->machine, &space->lock, VM_RANK_SPACE);
    return error;
}

int vm_madvise(struct vm_space *space, uint64_t address, uint64_t length, enum vm_advice advice) {
    struct flag_advice change;
    uint64_t end;
    int error;

    if ((unsigned)advice > VM_MADV_NOHUGEPAGE || address & (VM_PAGE_SIZE - 1) ||
        !vm_range_round(address, length, &end))
        return VM_EINVAL;
    if (end == address)
        return VM_OK;
    if (flag_advice(advice, &change))
        error = flag_unlocked(space, address, end, &change);
    else
        error = work_unlocked(space, address, end, advice);
    vm_settle(space->machine);
    return error;
}
