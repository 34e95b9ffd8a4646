/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sync.c - msync, mincore.
 *
 * VM_MS_SYNC writes the dirty pages of shared file mappings to their backing, neighbours in one go
 * (reclaim/writeback.c). The space lock is held for reading meanwhile. VM_MS_ASYNC starts nothing: dirty pages
 * are written when they are synced or reclaimed. A hole in the range is told as VM_ENOMEM after
 * all else is done.
 */
#include "vm/object/swap.h"
#include "vm/reclaim/reclaim.h"
#include "vm/space/space.h"

/* ---------------------------------------------------------------- msync */

static int sync_piece(struct vm_area *area, uint64_t start, uint64_t end) {
    struct vm_object *object = area->object;

    if (!vm_area_shared(area) || object->kind != VM_OBJECT_FILE)
        return VM_OK;
    for (uint64_t at = start, run_end, first; at < end; at = run_end) {
        run_end = vm_area_run(area, at, end, &first);
        uint64_t last = first + ((run_end - at) >> VM_PAGE_SHIFT) - 1;
        vm_object_write_back(object, first, last);
    }
    bool failed = atomic_exchange_explicit(&object->write_failed, 0, memory_order_relaxed) != 0;
    return failed ? VM_EIO : VM_OK;
}

static int sync_locked(struct vm_space *space, uint64_t start, uint64_t end, unsigned flags) {
    uint64_t position = start;
    bool hole = false;

    for (struct vm_area *area = vm_area_find(space, start); area && area->start < end;
         area = vm_area_next(area)) {
        uint64_t from = area->start > start ? area->start : start;
        uint64_t to = area->end < end ? area->end : end;
        int error = VM_OK;
        hole |= from > position;
        if (hole && flags == VM_MS_ASYNC)
            return VM_ENOMEM;
        if (flags & VM_MS_INVALIDATE && vm_area_flags(area) & VM_AREA_LOCKED)
            return VM_EBUSY;
        if (flags & VM_MS_SYNC)
            error = sync_piece(area, from, to);
        if (error)
            return error;
        position = to;
    }
    return hole || position < end ? VM_ENOMEM : VM_OK;
}

int vm_msync(struct vm_space *space, uint64_t address, uint64_t length, unsigned flags) {
    uint64_t end;

    if (flags & ~(unsigned)(VM_MS_ASYNC | VM_MS_INVALIDATE | VM_MS_SYNC) ||
        (flags & VM_MS_ASYNC && flags & VM_MS_SYNC) || address & (VM_PAGE_SIZE - 1))
        return VM_EINVAL;
    if (!vm_range_round(address, length, &end))
        return VM_ENOMEM;
    if (end == address)
        return VM_OK;
    vm_read_lock(space->machine, &space->lock, VM_RANK_SPACE);
    int error = sync_locked(space, address, end, flags);
    vm_read_unlock(space->machine, &space->lock, VM_RANK_SPACE);
    vm_settle(space->machine);
    return error;
}

/* ---------------------------------------------------------------- mincore */

/* What the object has in memory shows through wherever no entry says otherwise. */
static void look_at_object(struct vm_area *area, uint64_t start, uint64_t end,
                           unsigned char *resident) {
    uint64_t run_end, index;

    for (uint64_t at = start; at < end; at = run_end) {
        run_end = vm_area_run(area, at, end, &index);
        for (; at < run_end; at += VM_PAGE_SIZE, index++)
            *resident++ = area->object && vm_object_page_resident(area->object, index);
    }
}

static bool swap_slot_in_memory(struct vm_machine *machine, uint32_t slot) {
    struct vm_page *page = vm_swap_cache_find(machine, slot);

    if (page)
        vm_page_put(machine, page);
    return page != NULL;
}

static void look_at_entries(struct vm_area *area, uint64_t start, uint64_t end,
                            unsigned char *resident) {
    struct vm_machine *machine = area->space->machine;
    struct vm_table_cursor at = vm_table_cursor(area->space->root, start, end);

    while (vm_table_next(machine, &at)) {
        unsigned char *out = resident + ((at.address - start) >> VM_PAGE_SHIFT);
        vm_lock(machine, &at.table->lock, VM_RANK_TABLE);
        for (unsigned i = 0; i < at.count; i++) {
            vm_pte entry = vm_pte_read(&at.entries[i]);
            if (vm_pte_present(entry))
                out[i] = 1;
            else if (vm_pte_is_swap(entry))
                out[i] = swap_slot_in_memory(machine, vm_pte_swap_slot(entry));
        }
        vm_unlock(machine, &at.table->lock, VM_RANK_TABLE);
    }
}

static int mincore_locked(struct vm_space *space, uint64_t start, uint64_t end,
                          unsigned char *resident) {
    for (uint64_t position = start; position < end;) {
        struct vm_area *area = vm_area_at(space, position);
        if (!area)
            return VM_ENOMEM;
        uint64_t piece_end = area->end < end ? area->end : end;
        unsigned char *out = resident + ((position - start) >> VM_PAGE_SHIFT);
        look_at_object(area, position, piece_end, out);
        look_at_entries(area, position, piece_end, out);
        position = piece_end;
    }
    return VM_OK;
}

int vm_mincore(struct vm_space *space, uint64_t address, uint64_t length, unsigned char *resident) {
    uint64_t end;

    if (address & (VM_PAGE_SIZE - 1))
        return VM_EINVAL;
    if (!vm_range_round(address, length, &end))
        return VM_ENOMEM;
    vm_read_lock(space->machine, &space->lock, VM_RANK_SPACE);
    int error = mincore_locked(space, address, end, resident);
    vm_read_unlock(space->machine, &space->lock, VM_RANK_SPACE);
    return error;
}
