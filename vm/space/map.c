/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * map.c - mmap, munmap, brk, remap_file_pages, and faulting ranges in.
 *
 * A new mapping is an area of its own at first, and is then joined with neighbours it continues.
 * What stands in its way is taken out only when nothing can fail any more.
 *
 * Errors and their order are those of Linux 6.x, seen from a process that is allowed everything:
 * address 0 may be mapped with VM_MAP_FIXED. Memory that is locked is faulted in after the call's
 * own work, under the space lock for reading; that failing is no failure of the call.
 */
#include "vm/fault/fault.h"
#include "vm/space/space.h"

#define LOWEST_ADDRESS  UINT64_C(0x10000) /* for mappings that leave the address to us */
#define STACK_GUARD_GAP (UINT64_C(256) * VM_PAGE_SIZE)
#define STACK_RESERVE   (UINT64_C(128) << 20)
#define FILE_END        (UINT64_C(1) << 63)
#define KNOWN_FLAGS                                                                                \
    (VM_MAP_SHARED | VM_MAP_PRIVATE | VM_MAP_FIXED | VM_MAP_FIXED_NOREPLACE | VM_MAP_GROWSDOWN |   \
     VM_MAP_LOCKED | VM_MAP_POPULATE)
#define IN_PAGE (VM_PAGE_SIZE - 1)

/* ---------------------------------------------------------------- ranges and limits */

bool vm_range_round(uint64_t address, uint64_t length, uint64_t *end) {
    if (length > UINT64_MAX - IN_PAGE)
        return false;
    *end = address + ((length + IN_PAGE) & ~IN_PAGE);
    return *end >= address;
}

int vm_range_check(uint64_t address, uint64_t length, uint64_t *end) {
    if (address & IN_PAGE || !vm_range_round(address, length, end) || *end > VM_ADDRESS_END)
        return VM_EINVAL;
    return VM_OK;
}

bool vm_may_map(const struct vm_space *space, uint64_t pages) {
    uint64_t limit = space->machine->config.address_limit >> VM_PAGE_SHIFT;
    return space->mapped_pages + pages <= limit;
}

bool vm_may_lock(const struct vm_space *space, uint64_t pages) {
    uint64_t limit = space->machine->config.lock_limit >> VM_PAGE_SHIFT;
    return space->locked_pages + pages <= limit;
}

bool vm_object_refuses(const struct vm_object *object, uint32_t flags) {
    return object && object->kind == VM_OBJECT_FILE && !object->backing->write &&
           (flags & (VM_AREA_SHARED | VM_AREA_WRITE)) == (VM_AREA_SHARED | VM_AREA_WRITE);
}

static uint64_t mapped_pages_within(struct vm_space *space, uint64_t start, uint64_t end) {
    uint64_t pages = 0;

    for (struct vm_area *area = vm_area_find(space, start); area && area->start < end;
         area = vm_area_next(area)) {
        uint64_t from = area->start > start ? area->start : start;
        uint64_t to = area->end < end ? area->end : end;
        pages += (to - from) >> VM_PAGE_SHIFT;
    }
    return pages;
}

/* ---------------------------------------------------------------- faulting in */

/* A load stands for an access that any protection but none allows, as far as it can. */
static enum vm_access access_to_populate(const struct vm_area *area) {
    if ((vm_area_flags(area) & (VM_AREA_SHARED | VM_AREA_WRITE)) == VM_AREA_WRITE)
        return VM_WRITE;
    if (vm_area_flags(area) & VM_AREA_READ)
        return VM_READ;
    return vm_area_flags(area) & VM_AREA_EXEC ? VM_EXECUTE : VM_WRITE;
}

static bool is_populated(struct vm_space *space, uint64_t address, enum vm_access access) {
    struct vm_leaf leaf;

    if (!vm_table_find(space->machine, space->root, address, &leaf))
        return false;
    vm_pte entry = vm_pte_read(&leaf.entries[vm_table_index(address, 0)]);
    return vm_pte_present(entry) && (access != VM_WRITE || vm_pte_writable(entry));
}

static int populate_area(struct vm_area *area, uint64_t start, uint64_t end) {
    enum vm_access access = access_to_populate(area);
    int error = VM_OK;

    if (vm_area_protection(area) == VM_PROT_NONE)
        return VM_SIGSEGV;
    for (uint64_t address = start; address < end && !error; address += VM_PAGE_SIZE)
        while (!error && !is_populated(area->space, address, access))
            error = vm_fault_locked(area->space, address, access);
    return error;
}

/* An area that cannot be faulted in does not keep the next one from it. */
int vm_populate(struct vm_space *space, uint64_t start, uint64_t end) {
    int result = VM_OK;

    for (struct vm_area *area = vm_area_find(space, start); area && area->start < end;
         area = vm_area_next(area)) {
        uint64_t from = area->start > start ? area->start : start;
        uint64_t to = area->end < end ? area->end : end;
        int error = populate_area(area, from, to);
        if (error)
            result = error;
    }
    return result;
}

int vm_populate_unlocked(struct vm_space *space, uint64_t start, uint64_t end) {
    vm_read_lock(space->machine, &space->lock, VM_RANK_SPACE);
    int error = vm_populate(space, start, end);
    vm_read_unlock(space->machine, &space->lock, VM_RANK_SPACE);
    return error;
}

/* ---------------------------------------------------------------- munmap */

int vm_munmap_locked(struct vm_space *space, uint64_t start, uint64_t end) {
    struct vm_area *area = vm_area_find(space, start);

    if (!area || area->start >= end)
        return VM_OK;
    int error = vm_area_cut(space, start, end);
    if (error)
        vm_area_merge(space, start, end);
    else
        vm_unmap_range(space, start, end);
    return error;
}

int vm_munmap(struct vm_space *space, uint64_t address, uint64_t length) {
    uint64_t end;
    int error = vm_range_check(address, length, &end);

    if (error || end == address)
        return VM_EINVAL;
    vm_write_lock(space->machine, &space->lock, VM_RANK_SPACE);
    error = vm_munmap_locked(space, address, end);
    vm_write_unlock(space->machine, &space->lock, VM_RANK_SPACE);
    vm_settle(space->machine);
    return error;
}

/* ---------------------------------------------------------------- mmap */

static bool is_free(struct vm_space *space, uint64_t start, uint64_t end) {
    struct vm_area *area = vm_area_find(space, start);
    return !area || area->start >= end;
}

/* The same, and far enough below a stack that it can grow into its guard without harm. */
static bool is_free_with_guard(struct vm_space *space, uint64_t start, uint64_t end) {
    struct vm_area *area = vm_area_find(space, start);

    if (!area)
        return true;
    uint64_t guard = vm_area_flags(area) & VM_AREA_GROWSDOWN ? STACK_GUARD_GAP : 0;
    return area->start >= end && area->start - end >= guard;
}

/* Below this, mappings grow down; above, the first stack may. */
static uint64_t mmap_base(const struct vm_space *space) {
    uint64_t stack = space->machine->config.stack_limit;

    if (stack < STACK_RESERVE)
        stack = STACK_RESERVE;
    if (stack > VM_ADDRESS_END / 2)
        stack = VM_ADDRESS_END / 2;
    return VM_ADDRESS_END - STACK_GUARD_GAP - (stack & ~IN_PAGE);
}

int vm_mmap_place(struct vm_space *space, uint64_t hint, uint64_t length, uint64_t *start) {
    hint &= ~IN_PAGE;
    if (hint && hint < LOWEST_ADDRESS)
        hint = LOWEST_ADDRESS;
    if (hint && hint <= VM_ADDRESS_END && length <= VM_ADDRESS_END - hint &&
        is_free_with_guard(space, hint, hint + length)) {
        *start = hint;
        return VM_OK;
    }
    if (vm_area_gap(space, length, LOWEST_ADDRESS, mmap_base(space), start) == VM_OK)
        return VM_OK;
    return vm_area_gap(space, length, LOWEST_ADDRESS, VM_ADDRESS_END, start);
}

int vm_mmap_locked(struct vm_space *space, uint64_t start, uint64_t end, uint32_t flags,
                   struct vm_object *object, uint64_t pgoff) {
    uint64_t pages = (end - start) >> VM_PAGE_SHIFT;

    if (space->area_count > space->machine->config.area_limit ||
        !vm_may_map(space, pages - mapped_pages_within(space, start, end)))
        return VM_ENOMEM;
    struct vm_area *area = vm_area_allocate(space, start, end, flags, object, pgoff);
    if (!area)
        return VM_ENOMEM;
    int error = vm_munmap_locked(space, start, end);
    if (error) {
        vm_area_free(area);
        return error;
    }
    vm_area_insert(area);
    vm_area_merge(space, start, end);
    return VM_OK;
}

struct mmap {
    struct vm_space *space;
    uint64_t address, length; /* length rounded up to pages */
    unsigned protection, flags;
    struct vm_object *object;
    uint64_t pgoff;
};

static int check_form(struct mmap *call) {
    unsigned sharing = call->flags & (VM_MAP_SHARED | VM_MAP_PRIVATE);
    uint64_t end;

    if (call->flags & ~(unsigned)KNOWN_FLAGS || call->protection & ~(unsigned)VM_AREA_PROTECTION)
        return VM_EINVAL;
    if (sharing != VM_MAP_SHARED && sharing != VM_MAP_PRIVATE)
        return VM_EINVAL;
    if (call->length == 0)
        return VM_EINVAL;
    if (!vm_range_round(0, call->length, &end) || end > VM_ADDRESS_END)
        return VM_ENOMEM;
    call->length = end;
    if (call->object &&
        (call->length >= FILE_END || call->pgoff > (FILE_END - 1 - call->length) >> VM_PAGE_SHIFT))
        return VM_EOVERFLOW;
    return VM_OK;
}

static int choose_address(struct mmap *call) {
    if (!(call->flags & (VM_MAP_FIXED | VM_MAP_FIXED_NOREPLACE)))
        return vm_mmap_place(call->space, call->address, call->length, &call->address);
    if (call->address > VM_ADDRESS_END - call->length)
        return VM_ENOMEM;
    if (call->address & IN_PAGE)
        return VM_EINVAL;
    if (call->flags & VM_MAP_FIXED_NOREPLACE &&
        !is_free(call->space, call->address, call->address + call->length))
        return VM_EEXIST;
    return VM_OK;
}

static uint32_t area_flags(const struct mmap *call) {
    uint32_t flags = call->protection;

    if (call->flags & VM_MAP_SHARED)
        flags |= VM_AREA_SHARED;
    if (call->flags & VM_MAP_GROWSDOWN)
        flags |= VM_AREA_GROWSDOWN;
    if (call->flags & VM_MAP_LOCKED)
        flags |= VM_AREA_LOCKED;
    return flags;
}

static int check_rights(const struct mmap *call) {
    uint32_t flags = area_flags(call);

    if (flags & VM_AREA_LOCKED && !vm_may_lock(call->space, call->length >> VM_PAGE_SHIFT))
        return VM_EAGAIN;
    if (vm_object_refuses(call->object, flags))
        return VM_EACCES;
    if (flags & VM_AREA_GROWSDOWN && (call->object || flags & VM_AREA_SHARED))
        return VM_EINVAL;
    return VM_OK;
}

/* Shared anonymous memory is an object of its own, which lives as long as areas map it. */
static int map_shared_anonymous(const struct mmap *call) {
    struct vm_object *object;
    int error = vm_object_create_shm(call->space->machine, call->length, 0, &object);

    if (error)
        return error;
    object->anonymous = true;
    error = vm_mmap_locked(call->space, call->address, call->address + call->length,
                           area_flags(call), object, 0);
    vm_object_put(object);
    return error;
}

static int mmap_locked(struct mmap *call) {
    if (call->space->area_count > call->space->machine->config.area_limit)
        return VM_ENOMEM;
    int error = choose_address(call);
    if (!error)
        error = check_rights(call);
    if (error)
        return error;
    if (!call->object && call->flags & VM_MAP_SHARED)
        return map_shared_anonymous(call);
    return vm_mmap_locked(call->space, call->address, call->address + call->length,
                          area_flags(call), call->object,
                          call->object ? call->pgoff : call->address >> VM_PAGE_SHIFT);
}

int vm_mmap(struct vm_space *space, uint64_t address, uint64_t length, unsigned protection,
            unsigned flags, struct vm_object *object, uint64_t pgoff, uint64_t *result) {
    struct mmap call = { space, address, length, protection, flags, object, pgoff };
    int error = check_form(&call);

    if (error)
        return error;
    vm_write_lock(space->machine, &space->lock, VM_RANK_SPACE);
    error = mmap_locked(&call);
    vm_write_unlock(space->machine, &space->lock, VM_RANK_SPACE);
    if (!error) {
        if (flags & (VM_MAP_LOCKED | VM_MAP_POPULATE))
            vm_populate_unlocked(space, call.address, call.address + call.length);
        *result = call.address;
    }
    vm_settle(space->machine);
    return error;
}

/* ---------------------------------------------------------------- brk */

static uint64_t page_up(uint64_t address) {
    return (address + IN_PAGE) & ~IN_PAGE;
}

int vm_brk_start(struct vm_space *space, uint64_t address) {
    int error = VM_EINVAL;

    vm_write_lock(space->machine, &space->lock, VM_RANK_SPACE);
    if (address && address <= VM_ADDRESS_END && space->heap_start == space->heap_end) {
        space->heap_start = space->heap_end = address;
        error = VM_OK;
    }
    vm_write_unlock(space->machine, &space->lock, VM_RANK_SPACE);
    return error;
}

/* The heap keeps a page, and a stack's guard, free above it. */
static int grow_heap(struct vm_space *space, uint64_t from, uint64_t to) {
    if (!is_free_with_guard(space, from, to + VM_PAGE_SIZE))
        return VM_ENOMEM;
    return vm_mmap_locked(space, from, to, VM_AREA_READ | VM_AREA_WRITE, NULL,
                          from >> VM_PAGE_SHIFT);
}

static int move_heap_end(struct vm_space *space, uint64_t end) {
    if (space->heap_start == 0 || end < space->heap_start)
        return VM_EINVAL;
    if (end > VM_ADDRESS_END)
        return VM_ENOMEM;
    uint64_t from = page_up(space->heap_end), to = page_up(end);
    int error = VM_OK;
    if (to > from)
        error = grow_heap(space, from, to);
    else if (to < from)
        error = vm_munmap_locked(space, to, from);
    if (!error)
        space->heap_end = end;
    return error;
}

int vm_brk(struct vm_space *space, uint64_t end, uint64_t *result) {
    vm_write_lock(space->machine, &space->lock, VM_RANK_SPACE);
    int error = end ? move_heap_end(space, end) : VM_OK;
    *result = space->heap_end;
    vm_write_unlock(space->machine, &space->lock, VM_RANK_SPACE);
    vm_settle(space->machine);
    return error;
}

/* ---------------------------------------------------------------- remap_file_pages */

/* Areas that meet, with one object and equal flags, whatever their offsets, cover the range. */
static bool covered_by_one_mapping(struct vm_area *area, uint64_t end) {
    while (area->end < end) {
        struct vm_area *next = vm_area_next(area);
        if (!next || next->start != area->end || next->object != area->object ||
            (vm_area_flags(next) ^ vm_area_flags(area)) & ~VM_AREA_INVISIBLE)
            return false;
        area = next;
    }
    return true;
}

#define KEPT_FLAGS                                                                                 \
    ((uint32_t)VM_AREA_PROTECTION | (uint32_t)VM_AREA_SHARED | (uint32_t)VM_AREA_LOCKED)

/* Without nonlinear areas, the piece becomes an area with the offset asked for. It is a new one, for
 * which no advice has been given; so where there is advice to forget, it is one in any case. */
static bool rearranged_by_areas(const struct vm_area *area) {
    return area->space->machine->config.nonlinear == VM_NONLINEAR_EMULATE ||
           vm_area_flags(area) & ~(KEPT_FLAGS | VM_AREA_INVISIBLE);
}

static int remap_locked(struct vm_space *space, uint64_t start, uint64_t end, uint64_t pgoff) {
    struct vm_area *area = vm_area_at(space, start);

    if (!area || !vm_area_shared(area) || !covered_by_one_mapping(area, end))
        return VM_EINVAL;
    if (vm_object_refuses(area->object, VM_AREA_SHARED | VM_AREA_WRITE))
        return VM_EINVAL; /* to Linux, a file that nobody can write to is not shared */
    if (vm_area_flags(area) & VM_AREA_LOCKED && !vm_may_lock(space, (end - start) >> VM_PAGE_SHIFT))
        return VM_EAGAIN;
    if (!rearranged_by_areas(area))
        return vm_area_rearrange(space, start, end, pgoff);
    return vm_mmap_locked(space, start, end, vm_area_flags(area) & KEPT_FLAGS, area->object, pgoff);
}

int vm_remap_file_pages(struct vm_space *space, uint64_t address, uint64_t length, uint64_t pgoff) {
    uint64_t start = address & ~IN_PAGE, bytes = length & ~IN_PAGE, end = start + bytes;

    if (end <= start || pgoff + (bytes >> VM_PAGE_SHIFT) < pgoff)
        return VM_EINVAL;
    if (pgoff > (FILE_END - 1 - (bytes & (FILE_END - 1))) >> VM_PAGE_SHIFT)
        return VM_EOVERFLOW;
    vm_write_lock(space->machine, &space->lock, VM_RANK_SPACE);
    int error = remap_locked(space, start, end, pgoff);
    vm_write_unlock(space->machine, &space->lock, VM_RANK_SPACE);
    if (!error)
        vm_populate_unlocked(space, start, end);
    vm_settle(space->machine);
    return error;
}
