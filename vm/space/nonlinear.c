/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nonlinear.c - areas whose entries tell which pages they show, for vm_remap_file_pages().
 *
 *     entry           shows
 *     none            the page that the linear rule says
 *     file offset     that page of the object, which is not the linear one
 *     present         the page it maps, linear or not
 *
 * So nothing but entries knows the offsets: fork copies them, mremap moves them, and whoever takes a
 * page out (eviction, truncation, MADV_DONTNEED) leaves its offset behind. Splitting keeps the linear
 * rule of both halves, and two nonlinear areas are joined if they meet like such halves; a linear
 * neighbour stays apart, for it is found by the object's index.
 *
 * To programs each run of consecutive pages is a mapping of its own, as it would be an area if
 * remap_file_pages were emulated: views show runs, and calls whose answer depends on what is one
 * mapping (mremap) make the run an area first.
 *
 * Locks: as for entries. An area becomes nonlinear, under its object's areas_lock, before the first
 * page is out of line, and leaves the index in the same section; becoming linear is the reverse.
 */
#include "vm/space/space.h"

/* ---------------------------------------------------------------- runs */

/* How far the run goes in one leaf: true if it may go on behind it. */
static bool follow_run(struct vm_area *area, const struct vm_table_cursor *at, uint64_t start,
                       uint64_t index, uint64_t *end) {
    struct vm_machine *machine = area->space->machine;
    unsigned i = 0;

    vm_lock(machine, &at->table->lock, VM_RANK_TABLE);
    for (; i < at->count; i++) {
        uint64_t address = at->address + i * VM_PAGE_SIZE;
        if (vm_entry_page_index(area, address, vm_pte_read(&at->entries[i])) !=
            index + ((address - start) >> VM_PAGE_SHIFT))
            break;
    }
    vm_unlock(machine, &at->table->lock, VM_RANK_TABLE);
    *end = at->address + i * VM_PAGE_SIZE;
    return i == at->count;
}

static uint64_t index_at(struct vm_area *area, uint64_t address) {
    struct vm_machine *machine = area->space->machine;
    struct vm_leaf leaf;

    if (!vm_table_find(machine, area->space->root, address, &leaf))
        return vm_area_page_index(area, address);
    vm_lock(machine, &leaf.table->lock, VM_RANK_TABLE);
    uint64_t index =
        vm_entry_page_index(area, address, vm_pte_read(&leaf.entries[vm_table_index(address, 0)]));
    vm_unlock(machine, &leaf.table->lock, VM_RANK_TABLE);
    return index;
}

/* Where there is no table, the area is linear. */
uint64_t vm_area_run(struct vm_area *area, uint64_t start, uint64_t end, uint64_t *index) {
    struct vm_table_cursor at = vm_table_cursor(area->space->root, start, end);
    uint64_t run_end = start;

    *index = vm_area_page_index(area, start);
    if (!vm_area_is_nonlinear(area))
        return end;
    *index = index_at(area, start);
    bool linear = *index == vm_area_page_index(area, start);
    while (vm_table_next(area->space->machine, &at)) {
        if (at.address > run_end && !linear)
            return run_end;
        if (!follow_run(area, &at, start, *index, &run_end))
            return run_end;
    }
    return linear ? end : run_end;
}

/* ---------------------------------------------------------------- back to linear areas */

/* The run that the address lies in. */
static uint64_t run_around(struct vm_area *area, uint64_t address, uint64_t *start,
                           uint64_t *index) {
    uint64_t end = area->start;

    do {
        *start = end;
        end = vm_area_run(area, *start, area->end, index);
    } while (end <= address);
    return end;
}

static void clear_offsets(struct vm_area *area) {
    struct vm_machine *machine = area->space->machine;
    struct vm_table_cursor at = vm_table_cursor(area->space->root, area->start, area->end);

    while (vm_table_next(machine, &at)) {
        vm_lock(machine, &at.table->lock, VM_RANK_TABLE);
        for (unsigned i = 0; i < at.count; i++)
            if (vm_pte_is_file(vm_pte_read(&at.entries[i]))) {
                vm_pte_write(&at.entries[i], 0);
                vm_table_account(at.table, -1, 0);
            }
        vm_unlock(machine, &at.table->lock, VM_RANK_TABLE);
    }
    vm_space_prune(area->space, area->start, area->end);
}

/* Reclaim may leave offsets until the area is linear, so they are cleared after that. */
static int straighten_at(struct vm_area *area, uint64_t address) {
    uint64_t start, index, end = run_around(area, address, &start, &index);
    int error = vm_area_isolate(area, start, end, &area);

    if (error)
        return error;
    vm_area_set_linear(area, index);
    clear_offsets(area);
    return VM_OK;
}

/* Whether the area's neighbour, which is nonlinear, goes on where the area ends. */
static bool continues(struct vm_area *lower, struct vm_area *upper, const struct vm_area *linear) {
    if (!lower || !upper || lower->end != upper->start || lower->object != upper->object ||
        (vm_area_flags(lower) ^ vm_area_flags(upper)) & ~VM_AREA_INVISIBLE)
        return false;
    if (!vm_area_is_nonlinear(linear == lower ? upper : lower))
        return false;
    return index_at(lower, lower->end - VM_PAGE_SIZE) + 1 == index_at(upper, upper->start);
}

int vm_area_straighten(struct vm_space *space, uint64_t address) {
    struct vm_area *area = vm_area_at(space, address);
    int error = VM_OK;

    if (space->machine->config.nonlinear == VM_NONLINEAR_EMULATE || !area || !area->object)
        return VM_OK;
    if (vm_area_is_nonlinear(area))
        error = straighten_at(area, address);
    while (!error) {
        vm_area_merge(space, area->start, area->end);
        area = vm_area_at(space, address);
        if (continues(area, vm_area_next(area), area))
            error = straighten_at(vm_area_next(area), area->end);
        else if (continues(vm_area_previous(area), area, area))
            error = straighten_at(vm_area_previous(area), area->start - VM_PAGE_SIZE);
        else
            break;
    }
    return error;
}

/* ---------------------------------------------------------------- rearranging */

/* Entries that tell offsets need their tables. */
static int ensure_tables(struct vm_space *space, uint64_t start, uint64_t end) {
    struct vm_leaf leaf;
    int error = VM_OK;

    for (uint64_t at = start; at < end && !error; at = (at | (VM_LEAF_SPAN - 1)) + 1)
        error = vm_table_ensure(space->machine, space->root, at, &leaf);
    return error ? VM_ENOMEM : VM_OK;
}

/* Being nonlinear changes nothing yet. */
static int prepare_piece(struct vm_area *area, uint64_t start, uint64_t end, uint64_t pgoff) {
    if (vm_area_page_index(area, start) == pgoff)
        return VM_OK;
    int error = vm_area_is_nonlinear(area) ? VM_OK : vm_area_set_nonlinear(area);
    return error ? error : ensure_tables(area->space, start, end);
}

static int prepare(struct vm_space *space, uint64_t start, uint64_t end, uint64_t pgoff) {
    int error = VM_OK;

    for (uint64_t at = start, piece_end; at < end && !error; at = piece_end) {
        struct vm_area *area = vm_area_at(space, at);
        piece_end = area->end < end ? area->end : end;
        error = prepare_piece(area, at, piece_end, pgoff + ((at - start) >> VM_PAGE_SHIFT));
    }
    return error;
}

static void set_offsets(struct vm_space *space, uint64_t start, uint64_t end, uint64_t pgoff) {
    struct vm_gather gather;

    vm_gather_init(&gather, space);
    for (uint64_t at = start, piece_end; at < end; at = piece_end) {
        struct vm_area *area = vm_area_at(space, at);
        piece_end = area->end < end ? area->end : end;
        if (vm_area_is_nonlinear(area))
            vm_zap_setting_offsets(area, at, piece_end, pgoff + ((at - start) >> VM_PAGE_SHIFT),
                                   &gather);
    }
    vm_gather_finish(&gather);
}

int vm_area_rearrange(struct vm_space *space, uint64_t start, uint64_t end, uint64_t pgoff) {
    int error = prepare(space, start, end, pgoff);

    if (!error)
        set_offsets(space, start, end, pgoff);
    vm_space_prune(space, start, end);
    return error;
}
