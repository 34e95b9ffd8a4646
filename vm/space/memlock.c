/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memlock.c - mlock, munlock.
 *
 * Locking is a flag of areas: reclaim finds it through the reverse map and leaves the page alone.
 * vm_mlock() sets it under the space lock held for writing, then faults the range in with the lock
 * held for reading. At a hole it stops with VM_ENOMEM: what lies before is locked, but has not
 * been faulted in. The address is rounded down to a page.
 */
#include "vm/space/space.h"

enum locking { MLOCK, MUNLOCK };

/* Pages of the range that count against the limit already. */
static uint64_t locked_pages_within(struct vm_space *space, uint64_t start, uint64_t end) {
    uint64_t pages = 0;

    for (struct vm_area *area = vm_area_find(space, start); area && area->start < end;
         area = vm_area_next(area)) {
        uint64_t from = area->start > start ? area->start : start;
        uint64_t to = area->end < end ? area->end : end;
        if (vm_area_flags(area) & VM_AREA_LOCKED)
            pages += (to - from) >> VM_PAGE_SHIFT;
    }
    return pages;
}

static int lock_piece(struct vm_area *area, uint64_t start, uint64_t end, enum locking locking) {
    uint32_t flags = vm_area_flags(area) & ~(uint32_t)VM_AREA_LOCKED;

    if (locking == MLOCK)
        flags |= VM_AREA_LOCKED;
    if (flags == vm_area_flags(area))
        return VM_OK;
    int error = vm_area_isolate(area, start, end, &area);
    if (!error)
        vm_area_set_flags(area, flags);
    return error;
}

static int lock_areas(struct vm_space *space, uint64_t start, uint64_t end, enum locking locking) {
    uint64_t position = start;
    int error = VM_OK;

    while (position < end && !error) {
        struct vm_area *area = vm_area_at(space, position);
        if (!area) {
            error = VM_ENOMEM;
            break;
        }
        uint64_t piece_end = area->end < end ? area->end : end;
        error = lock_piece(area, position, piece_end, locking);
        position = piece_end;
    }
    vm_area_merge(space, start, position);
    return error;
}

static bool within_limit(struct vm_space *space, uint64_t start, uint64_t end) {
    uint64_t pages = (end - start) >> VM_PAGE_SHIFT;
    return vm_may_lock(space, pages - locked_pages_within(space, start, end));
}

static int change_locking(struct vm_space *space, uint64_t start, uint64_t end,
                          enum locking locking) {
    int error = VM_ENOMEM;

    vm_write_lock(space->machine, &space->lock, VM_RANK_SPACE);
    if (locking == MUNLOCK || within_limit(space, start, end))
        error = lock_areas(space, start, end, locking);
    vm_write_unlock(space->machine, &space->lock, VM_RANK_SPACE);
    return error;
}

/* The first area that cannot be faulted in ends it: what lies behind stays as it is. */
static int populate_in_order(struct vm_space *space, uint64_t start, uint64_t end) {
    int error = VM_OK;

    vm_read_lock(space->machine, &space->lock, VM_RANK_SPACE);
    for (struct vm_area *area = vm_area_find(space, start); area && area->start < end && !error;
         area = vm_area_next(area))
        error = vm_populate(space, area->start > start ? area->start : start,
                            area->end < end ? area->end : end);
    vm_read_unlock(space->machine, &space->lock, VM_RANK_SPACE);
    return error;
}

/* Out of memory is worth another try; whatever else keeps a page out will keep it out. */
static int fault_in(struct vm_space *space, uint64_t start, uint64_t end) {
    switch (populate_in_order(space, start, end)) {
    case VM_OK:
        return VM_OK;
    case VM_OOM:
    case VM_ENOMEM:
        return VM_EAGAIN;
    default:
        return VM_ENOMEM;
    }
}

static bool page_range(uint64_t address, uint64_t length, uint64_t *start, uint64_t *end) {
    uint64_t offset = address & (VM_PAGE_SIZE - 1);

    *start = address - offset;
    return length <= UINT64_MAX - offset && vm_range_round(*start, length + offset, end);
}

int vm_mlock(struct vm_space *space, uint64_t address, uint64_t length) {
    uint64_t start, end;

    if (!page_range(address, length, &start, &end))
        return VM_EINVAL;
    int error = change_locking(space, start, end, MLOCK);
    if (!error && start < end)
        error = fault_in(space, start, end);
    vm_settle(space->machine);
    return error;
}

int vm_munlock(struct vm_space *space, uint64_t address, uint64_t length) {
    uint64_t start, end;

    if (!page_range(address, length, &start, &end))
        return VM_EINVAL;
    int error = change_locking(space, start, end, MUNLOCK);
    vm_settle(space->machine);
    return error;
}
