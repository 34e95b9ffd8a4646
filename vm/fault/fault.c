/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault.c - the page fault.
 *
 *   entry           area        access   case
 *   none            anonymous   read     zero page       the one frame of zeroes, for all
 *   none            anonymous   write    first write     a fresh page
 *   none, offset    object      read     object read     the object's page, and cached neighbours
 *   none, offset    shared      write    shared write    ... made writable and dirty
 *   none, offset    private     write    private copy    a copy of it
 *   swap            private     any      swap-in         the page from swap, or still in its cache
 *   present, r/o    shared      write    shared write    the page becomes writable and dirty
 *   present, r/o    private     write    copy-on-write   reuse if nobody else has the page, else a copy
 *   present         any         any      spurious        somebody else has been here
 *   frozen          any         any      frozen          its page is being moved to another frame
 *
 * The space lock is held for reading throughout. Frames and records are made first, while nothing
 * spins; then, under the leaf table's lock, the entry is compared with the one that named the case.
 * If it has changed, all is put back, and the program simply tries again. Page locks are taken
 * before the table lock and keep a page's identity (object or swap slot) as it is meanwhile. Only who
 * maps an object's page to read it, in line, needs none: see object/pages.c.
 */
#include "vm/fault/fault.h"

#include "vm/object/swap.h"
#include "vm/sum.h"

struct fault {
    struct vm_machine *machine;
    struct vm_space *space;
    struct vm_area *area;
    uint64_t address; /* of the page */
    bool write;
    struct vm_leaf leaf;
    vm_pte_slot *slot;
    vm_pte entry; /* what was there when the case was named */
};

static uint64_t fault_index(const struct fault *f) {
    return vm_area_page_index(f->area, f->address);
}

/* The leaf's lock, if the entry is still the one that named the case. */
static bool lock_if_unchanged(const struct fault *f) {
    vm_lock(f->machine, &f->leaf.table->lock, VM_RANK_TABLE);
    if (vm_pte_read(f->slot) == f->entry)
        return true;
    vm_unlock(f->machine, &f->leaf.table->lock, VM_RANK_TABLE);
    return false;
}

static void unlock(const struct fault *f) {
    vm_unlock(f->machine, &f->leaf.table->lock, VM_RANK_TABLE);
}

static struct vm_run run_of_one(const struct fault *f, const vm_pte *entry) {
    return (struct vm_run){ .area = f->area,
                            .table = f->leaf.table,
                            .address = f->address,
                            .first = vm_table_index(f->address, 0),
                            .count = 1,
                            .entries = entry };
}

/* An entry that was present has been replaced. */
static void flush(const struct fault *f) {
    if (vm_pte_present(f->entry))
        vm_space_flush(f->space, f->address, f->address + VM_PAGE_SIZE);
}

/* The entry as this fault leaves it: what the area allows, W only where asked for, A and D as the
 * access sets them. */
static vm_pte entry_for(const struct fault *f, const struct vm_page *page, bool writable) {
    vm_pte bits = vm_pte_protection(vm_area_protection(f->area)) | VM_PTE_ACCESSED;
    if (!writable)
        bits &= ~VM_PTE_WRITE;
    else if (f->write)
        bits |= VM_PTE_DIRTY;
    return vm_pte_make(vm_page_frame(f->machine, page), bits);
}

/* Writes the entry in place of the faulting one and tells the design.
 * => leaf locked; the page's counts are the caller's business */
static void install(const struct fault *f, vm_pte entry, struct vm_reserve *reserve) {
    struct vm_run run = run_of_one(f, &entry);

    vm_rmap_add(f->machine, &run, reserve);
    vm_preempt(f->machine, f->slot);
    vm_pte_write(f->slot, entry);
    vm_table_account(f->leaf.table, f->entry == 0, !vm_pte_present(f->entry));
}

/* ---- anonymous memory */

static int zero_page(struct fault *f) {
    if (!lock_if_unchanged(f))
        return VM_OK;
    vm_preempt(f->machine, f->slot);
    vm_pte_write(f->slot, entry_for(f, f->machine->zero_page, false));
    vm_table_account(f->leaf.table, 1, 1);
    unlock(f);
    vm_count(f->machine, faults.zero, 1);
    return VM_OK;
}

/* A private page of this area that nobody else knows, mapped writable; the caller's reference
 * becomes the mapping. => leaf locked */
static void install_new_page(const struct fault *f, struct vm_page *page,
                             struct vm_reserve *reserve) {
    struct vm_machine *machine = f->machine;

    page->index = fault_index(f);
    vm_page_set(machine, page, VM_PAGE_ANON);
    vm_rmap_born(machine, f->area, page, VM_BIRTH_NEW);
    vm_page_adjust(machine, page, VM_ONE_MAPPING - VM_ONE_REFERENCE);
    vm_share_add(machine, VM_SUM_MAPPED, 1);
    install(f, entry_for(f, page, true), reserve);
    vm_lru_add(machine, page, VM_LRU_ACTIVE);
    vm_count(machine, memory.anonymous, 1);
}

/* What a new private page needs before any lock: the area's readiness, records, a frame. */
static int prepare_new_page(const struct fault *f, enum vm_frame_want want,
                            struct vm_reserve *reserve, struct vm_page **page) {
    int error = vm_rmap_prepare(f->machine, f->area);
    if (!error)
        error = vm_rmap_reserve(f->machine, reserve, VM_RESERVE_NEW, 1);
    if (error)
        return error;
    *page = vm_frame_alloc(f->machine, want);
    if (*page)
        return VM_OK;
    vm_rmap_unreserve(f->machine, reserve);
    return VM_OOM;
}

static void mark_has_anon(const struct fault *f) {
    vm_preempt(f->machine, &f->area->flags);
    if (!vm_area_is(f->area, VM_AREA_HAS_ANON))
        vm_area_add_flags(f->area, VM_AREA_HAS_ANON);
}

/* Also where a read has put the zero page before. */
static int first_write(struct fault *f) {
    struct vm_reserve reserve = { 0 };
    struct vm_page *page;
    int error = prepare_new_page(f, VM_FRAME_ZEROED, &reserve, &page);
    if (error)
        return error;

    mark_has_anon(f);
    if (lock_if_unchanged(f)) {
        install_new_page(f, page, &reserve);
        unlock(f);
        flush(f);
        vm_count(f->machine, faults.first_write, 1);
    } else {
        vm_page_put(f->machine, page);
    }
    vm_rmap_unreserve(f->machine, &reserve);
    return VM_OK;
}

/* ---- copy-on-write */

/* Whether this entry is all that keeps the page. => page locked, with a reference of ours */
static bool page_is_alone(const struct fault *f, struct vm_page *page) {
    bool cached = vm_page_is(page, VM_PAGE_SWAPCACHE);

    if (vm_page_counts(page) != VM_ONE_MAPPING + VM_ONE_REFERENCE * (cached ? 2 : 1))
        return false;
    return !cached || vm_swap_count(f->machine, page->swap) == 0;
}

enum copy_reason {
    COPY_WRITE, /* somebody writes */
    COPY_FORCED /* the reverse map cannot have the page shared: vm_design.may_share */
};

/* Copies `source` into a fresh page and puts that in the place of the entry, or swap entry.
 * => source locked, so that it stays in memory, with a reference of ours */
static int copy_page(struct fault *f, struct vm_page *source, enum copy_reason why) {
    struct vm_machine *machine = f->machine;
    struct vm_reserve reserve = { 0 };
    struct vm_page *copy;
    int error = prepare_new_page(f, VM_FRAME_AS_IS, &reserve, &copy);
    if (error)
        return error;

    mark_has_anon(f);
    vm_frame_copy(machine, copy, source);
    if (lock_if_unchanged(f)) {
        if (vm_pte_present(f->entry)) {
            struct vm_run run = run_of_one(f, &f->entry);
            vm_rmap_remove(machine, &run);
            vm_page_keep_bits(machine, source, f->entry);
            if (vm_page_adjust(machine, source, (uint64_t)0 - VM_ONE_MAPPING) < VM_ONE_MAPPING)
                vm_share_add(machine, VM_SUM_MAPPED, -1);
        }
        install_new_page(f, copy, &reserve);
        unlock(f);
        flush(f);
        if (vm_pte_is_swap(f->entry))
            vm_swap_free(machine, vm_pte_swap_slot(f->entry));
        vm_count(machine, faults.cow, 1);
        if (why == COPY_FORCED)
            vm_count(machine, rmap.forced_copies, 1);
    } else {
        vm_page_put(machine, copy);
    }
    vm_rmap_unreserve(machine, &reserve);
    return VM_OK;
}

/* The page is ours alone: it only needs its write bit back. => page locked */
static void reuse_page(struct fault *f, struct vm_page *page) {
    if (vm_page_is(page, VM_PAGE_SWAPCACHE))
        vm_swap_cache_remove(f->machine, page);
    if (!lock_if_unchanged(f))
        return;
    vm_rmap_owned(f->machine, f->area, page);
    vm_pte_set_bits(f->machine, f->slot, VM_PTE_WRITE | VM_PTE_DIRTY | VM_PTE_ACCESSED);
    unlock(f);
    vm_count(f->machine, faults.reuse, 1);
}

/* Done with a page that others may have let go of meanwhile. */
static void unlock_and_put(struct vm_machine *machine, struct vm_page *page) {
    vm_page_unlock(machine, page);
    vm_swap_page_put(machine, page);
}

/* The page a present entry maps, referenced; NULL if the entry has changed. */
static struct vm_page *get_mapped_page(const struct fault *f) {
    if (!lock_if_unchanged(f))
        return NULL;
    struct vm_page *page = vm_page_of(f->machine, vm_pte_frame(f->entry));
    vm_page_get(f->machine, page);
    unlock(f);
    return page;
}

static int copy_on_write(struct fault *f) {
    if (vm_pte_frame(f->entry) == vm_page_frame(f->machine, f->machine->zero_page))
        return first_write(f);

    int error = VM_OK;
    struct vm_page *page = get_mapped_page(f);
    if (!page)
        return VM_OK;
    vm_page_lock(f->machine, page);
    if (vm_page_is(page, VM_PAGE_ANON) && page_is_alone(f, page))
        reuse_page(f, page);
    else
        error = copy_page(f, page, COPY_WRITE);
    unlock_and_put(f->machine, page);
    return error;
}

/* ---- making pages this space's own */

/* The entry's page, referenced, if other spaces may have it too; NULL if they cannot. One that is locked
 * may be on its way to another frame, where it is mapped once until the others' entries follow. */
static struct vm_page *get_shared_page(struct fault *f) {
    struct vm_page *shared = NULL;

    vm_lock(f->machine, &f->leaf.table->lock, VM_RANK_TABLE);
    f->entry = vm_pte_read(f->slot);
    if (vm_pte_present(f->entry)) {
        struct vm_page *page = vm_page_of(f->machine, vm_pte_frame(f->entry));
        if (vm_page_is(page, VM_PAGE_ANON) &&
            (vm_page_mapcount(page) > 1 || vm_page_is(page, VM_PAGE_SWAPCACHE | VM_PAGE_LOCKED)))
            shared = page;
    }
    if (shared)
        vm_page_get(f->machine, shared);
    unlock(f);
    return shared;
}

/* No other entry names the page or its slot. => page locked */
static bool only_we_name(const struct fault *f, const struct vm_page *page) {
    return vm_page_mapcount(page) == 1 &&
           (!vm_page_is(page, VM_PAGE_SWAPCACHE) || vm_swap_count(f->machine, page->swap) == 0);
}

/* Again and again, as reclaim may take the page away and the MMU may mark its entry meanwhile. */
static int unshare_entry(struct vm_space *space, const struct vm_table_cursor *at, unsigned i) {
    uint64_t address = at->address + i * VM_PAGE_SIZE;
    struct fault f = { .machine = space->machine,
                       .space = space,
                       .area = vm_area_at(space, address),
                       .address = address,
                       .leaf = { at->table, at->entries - at->first },
                       .slot = &at->entries[i] };
    struct vm_page *page;
    bool ours = false;
    int error = VM_OK;

    while (!ours && !error && (page = get_shared_page(&f))) {
        vm_page_lock(f.machine, page);
        ours = only_we_name(&f, page);
        if (!ours)
            error = copy_page(&f, page, COPY_FORCED);
        unlock_and_put(f.machine, page);
    }
    return error;
}

int vm_fault_unshare(struct vm_space *space, uint64_t start, uint64_t end) {
    struct vm_machine *machine = space->machine;
    struct vm_table_cursor at = vm_table_cursor(space->root, start, end);
    int error = VM_OK;

    while (!error && vm_table_next(machine, &at)) {
        for (unsigned i = 0; i < at.count && !error; i++)
            if (vm_pte_present(vm_pte_read(&at.entries[i])))
                error = unshare_entry(space, &at, i);
    }
    return error;
}

/* ---- swap */

/* A page nobody else can reach needs no slot any more once it is written to. */
static bool take_out_of_swap(const struct fault *f, struct vm_page *page) {
    if (!f->write || vm_page_mapcount(page) || vm_swap_count(f->machine, page->swap) != 1)
        return false;
    return vm_page_counts(page) == 2 * VM_ONE_REFERENCE; /* the cache's and ours */
}

/* => page locked, in the swap cache */
static void install_swapped_in(struct fault *f, struct vm_page *page, struct vm_reserve *reserve) {
    struct vm_machine *machine = f->machine;
    bool exclusive = take_out_of_swap(f, page);
    bool first = vm_page_mapcount(page) == 0;

    if (first) {
        page->index = fault_index(f);
        if (!vm_page_is(page, VM_PAGE_ANON))
            vm_count(machine, memory.anonymous, 1);
        vm_page_set(machine, page, VM_PAGE_ANON);
    }
    if (first)
        vm_rmap_born(machine, f->area, page, exclusive ? VM_BIRTH_NEW : VM_BIRTH_RETURNED);
    if (vm_page_adjust(machine, page, VM_ONE_MAPPING) < 2 * VM_ONE_MAPPING)
        vm_share_add(machine, VM_SUM_MAPPED, 1);
    install(f, entry_for(f, page, exclusive), reserve);
    vm_lru_add(machine, page, VM_LRU_ACTIVE);
}

/* Relatives map the page where this area does not have it. => page locked, in the swap cache */
static int swap_in_copy(struct fault *f, struct vm_page *page) {
    int error = copy_page(f, page, COPY_FORCED);

    unlock_and_put(f->machine, page);
    if (!error)
        vm_count(f->machine, faults.swap_in, 1);
    return error;
}

static int swap_in(struct fault *f) {
    struct vm_machine *machine = f->machine;
    struct vm_reserve reserve = { 0 };
    struct vm_page *page;
    uint32_t slot = vm_pte_swap_slot(f->entry);
    int error = vm_rmap_prepare(machine, f->area);
    if (!error)
        error = vm_rmap_reserve(machine, &reserve, VM_RESERVE_ANY, 1);
    if (!error)
        error = vm_swap_in_for_fault(machine, slot, &page);
    if (error) {
        vm_rmap_unreserve(machine, &reserve);
        return error == VM_EAGAIN ? VM_OK : error; /* the slot has gone, so the entry has changed */
    }

    if (vm_page_mapcount(page) && !vm_rmap_may_share(machine, f->area, page)) {
        vm_rmap_unreserve(machine, &reserve);
        return swap_in_copy(f, page);
    }
    mark_has_anon(f);
    if (lock_if_unchanged(f)) {
        install_swapped_in(f, page, &reserve);
        f->entry = vm_pte_read(f->slot);
        unlock(f);
        if (vm_pte_writable(f->entry))
            vm_swap_cache_remove(machine, page);
        vm_swap_free(machine, slot);
        vm_count(machine, faults.swap_in, 1);
    } else if (!vm_page_mapcount(page) && !vm_page_is(page, VM_PAGE_DIRTY)) {
        vm_swap_cache_remove(machine, page); /* read for nothing; the slot still has it */
    }
    unlock_and_put(machine, page);
    vm_rmap_unreserve(machine, &reserve);
    /* A shared page that is written to is copied in the same fault. */
    if (f->write && vm_pte_present(f->entry) && !vm_pte_writable(f->entry))
        return copy_on_write(f);
    return VM_OK;
}

/* ---- objects */

/* Shared memory has no write-back to wait for, so its pages are mapped writable at once; a file's
 * page must first be known to be dirty. */
static bool map_writable(const struct fault *f) {
    if (!vm_area_shared(f->area) || !(vm_area_flags(f->area) & VM_AREA_WRITE))
        return false;
    return f->write || f->area->object->kind == VM_OBJECT_SHM;
}

/* The pages around the faulting one that the same fault may map. */
struct around {
    uint64_t address; /* of the first */
    unsigned count, here;
    struct vm_page *pages[VM_FAULT_AROUND_MAX]; /* NULL: not this one */
    vm_pte entries[VM_FAULT_AROUND_MAX];
};

static uint64_t max_u64(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}
static uint64_t min_u64(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* An aligned window, within the area and the object's pages that the faulting one, `index`, is among;
 * it lies within one leaf because it is aligned. */
static void choose_window(const struct fault *f, struct around *around, uint64_t index) {
    uint64_t window = f->machine->config.fault_around * VM_PAGE_SIZE;
    uint64_t start = f->address & ~(window - 1);
    uint64_t end = min_u64(start + window, f->area->end);

    start = max_u64(start, f->area->start);
    start = max_u64(start, f->address - min_u64(index * VM_PAGE_SIZE, f->address - start));
    around->address = start;
    around->count = (unsigned)((end - start) >> VM_PAGE_SHIFT);
    around->here = (unsigned)((f->address - start) >> VM_PAGE_SHIFT);
}

/* Writes the entries of pages that count as mapped, and tells the design. Neighbours are mapped without
 * A and D: nobody has used them yet. => leaf locked */
static void install_around(struct fault *f, struct around *around, struct vm_reserve *reserve) {
    struct vm_machine *machine = f->machine;
    vm_pte_slot *slots = f->slot - around->here;
    vm_pte bits = entry_for(f, around->pages[around->here], map_writable(f)) & ~VM_PTE_FRAME_MASK;
    int mapped = 0, offsets = 0;

    for (unsigned i = 0; i < around->count; i++) {
        around->entries[i] = 0;
        if (!around->pages[i])
            continue;
        offsets += vm_pte_read(&slots[i]) != 0;
        vm_pte own = i == around->here ? bits : bits & ~(VM_PTE_ACCESSED | VM_PTE_DIRTY);
        around->entries[i] = vm_pte_make(vm_page_frame(machine, around->pages[i]), own);
        mapped++;
    }
    struct vm_run run = { .area = f->area,
                          .table = f->leaf.table,
                          .address = around->address,
                          .first = vm_table_index(around->address, 0),
                          .count = around->count,
                          .entries = around->entries };
    vm_rmap_add(machine, &run, reserve);
    vm_preempt(machine, f->slot);
    for (unsigned i = 0; i < around->count; i++)
        if (around->entries[i])
            vm_pte_write(&slots[i], around->entries[i]);
    vm_table_account(f->leaf.table, mapped - offsets, mapped);
    vm_count(machine, faults.around, (uint64_t)mapped - 1);
    vm_count(machine, faults.file, !f->write);
    vm_count(machine, faults.shared_write, f->write);
}

/* ---- ... in line: without page locks */

static struct vm_object_window window_of(const struct around *around, uint64_t index,
                                         const struct vm_page *own) {
    return (struct vm_object_window){
        .first = index - around->here, .count = around->count, .here = around->here, .own = own
    };
}

/* Entries that wait for a page. => leaf locked */
static uint64_t empty_entries(const struct fault *f, const struct around *around) {
    const vm_pte_slot *slots = f->slot - around->here;
    uint64_t empty = 0;

    for (unsigned i = 0; i < around->count; i++)
        empty |= (uint64_t)(vm_pte_read(&slots[i]) == 0) << i;
    return empty;
}

/* Records for the pages that are there now; if more come, they are left out. */
static int reserve_for(const struct fault *f, const struct vm_object_window *window,
                       struct vm_reserve *reserve, unsigned *pages) {
    *pages = window->count;
    if (!f->machine->design->reserve)
        return VM_OK;
    if (window->count > 1)
        *pages = vm_object_pages_resident(f->area->object, window->first, window->count);
    if (*pages == 0)
        *pages = 1;
    return vm_rmap_reserve(f->machine, reserve, VM_RESERVE_OBJECT, *pages);
}

/* Maps the object's page, and for reads its neighbours. `own` is the page, if it is locked by us; if not,
 * VM_EAGAIN: it is not in memory, or somebody else has it locked. */
static int map_in_line(struct fault *f, uint64_t index, struct vm_page *own) {
    struct around around = { .address = f->address, .count = 1, .here = 0 };
    struct vm_reserve reserve = { 0 };
    unsigned most;

    if (!f->write)
        choose_window(f, &around, index);
    struct vm_object_window window = window_of(&around, index, own);
    int error = reserve_for(f, &window, &reserve, &most);
    if (!error && lock_if_unchanged(f)) {
        window.wanted = empty_entries(f, &around);
        if (vm_object_pages_map(f->area->object, &window, most, around.pages)) {
            if (f->write)
                vm_page_set(f->machine, own, VM_PAGE_DIRTY);
            install_around(f, &around, &reserve);
        } else {
            error = VM_EAGAIN;
        }
        unlock(f);
    }
    vm_rmap_unreserve(f->machine, &reserve);
    return error;
}

/* ---- ... out of line: the design must know of each page before, and nobody else may tell it */

/* Whether a fault on this entry would find the page. Swap entries are for private pages. */
static bool awaits(const struct fault *f, uint64_t address, vm_pte entry,
                   const struct vm_page *page) {
    return !vm_pte_present(entry) && vm_entry_page_index(f->area, address, entry) == page->index;
}

static void release(const struct fault *f, struct vm_page *page) {
    vm_page_unlock(f->machine, page);
    vm_page_put(f->machine, page);
}

static void release_all(const struct fault *f, const struct around *held) {
    for (unsigned i = 0; i < held->count; i++)
        if (held->pages[i] && i != held->here)
            release(f, held->pages[i]);
}

/* Neighbours that their entries do not ask for now are left out. */
static int announce_out_of_line(const struct fault *f, struct around *held) {
    int error = VM_OK;

    for (unsigned i = 0; i < held->count && !error; i++) {
        struct vm_page *page = held->pages[i];
        uint64_t address = held->address + i * VM_PAGE_SIZE;
        vm_pte entry = vm_pte_read(f->slot - held->here + i);
        if (page && i != held->here && !awaits(f, address, entry, page)) {
            release(f, page);
            held->pages[i] = NULL;
        } else if (page && vm_area_page_index(f->area, address) != page->index) {
            error = vm_rmap_out_of_line(f->machine, page);
        }
    }
    return error;
}

/* Of the pages that are held, those whose entries still ask for them count as mapped. => leaf locked */
static void map_held(const struct fault *f, const struct around *held, struct around *around) {
    int mapped = 0;

    *around = *held;
    for (unsigned i = 0; i < held->count; i++) {
        struct vm_page *page = held->pages[i];
        vm_pte entry = vm_pte_read(f->slot - held->here + i);
        if (page && i != held->here && !awaits(f, held->address + i * VM_PAGE_SIZE, entry, page))
            around->pages[i] = NULL;
        else if (page)
            mapped += vm_page_adjust(f->machine, page, VM_ONE_MAPPING) < 2 * VM_ONE_MAPPING;
    }
    vm_share_add(f->machine, VM_SUM_MAPPED, mapped);
}

/* => page locked, referenced */
static int map_out_of_line(struct fault *f, struct vm_page *page) {
    struct around held = { .address = f->address, .count = 1, .here = 0 }, around;
    struct vm_reserve reserve = { 0 };
    unsigned pages = 1;

    if (!f->write) {
        choose_window(f, &held, page->index);
        pages += vm_object_pages_cached(f->area->object, page->index - held.here, held.count,
                                        held.pages);
    }
    held.pages[held.here] = page;
    int error = announce_out_of_line(f, &held);
    if (!error)
        error = vm_rmap_reserve(f->machine, &reserve, VM_RESERVE_OBJECT, pages);
    if (!error && lock_if_unchanged(f)) {
        map_held(f, &held, &around);
        if (f->write)
            vm_page_set(f->machine, page, VM_PAGE_DIRTY);
        install_around(f, &around, &reserve);
        unlock(f);
    }
    release_all(f, &held);
    vm_rmap_unreserve(f->machine, &reserve);
    return error;
}

/* ---- object read, shared write, private copy */

/* With the page itself, read in if need be, and locked. */
static int object_page_locked(struct fault *f, uint64_t index) {
    struct vm_page *page;
    int error = vm_object_page(f->area->object, index, &page);
    if (error)
        return error;

    if (f->write && !vm_area_shared(f->area))
        error = copy_page(f, page, COPY_WRITE);
    else if (vm_area_is_nonlinear(f->area))
        error = map_out_of_line(f, page);
    else
        error = map_in_line(f, index, page);
    release(f, page);
    return error == VM_EAGAIN ? VM_OK : error; /* cut off just now: the next fault is told so */
}

static int object_page(struct fault *f) {
    uint64_t index = vm_pte_is_file(f->entry) ? vm_pte_file_offset(f->entry) : fault_index(f);

    if (!f->write && !vm_area_is_nonlinear(f->area)) {
        int error = map_in_line(f, index, NULL);
        if (error != VM_EAGAIN)
            return error;
    }
    return object_page_locked(f, index);
}

/* Somebody is about to change a shared page that was clean: from here on it is dirty. */
static int shared_write(struct fault *f) {
    struct vm_page *page = get_mapped_page(f);
    if (!page)
        return VM_OK;
    vm_page_lock(f->machine, page);
    if (lock_if_unchanged(f)) {
        vm_page_set(f->machine, page, VM_PAGE_DIRTY);
        vm_pte_set_bits(f->machine, f->slot, VM_PTE_WRITE | VM_PTE_DIRTY | VM_PTE_ACCESSED);
        unlock(f);
        vm_count(f->machine, faults.shared_write, 1);
    }
    vm_page_unlock(f->machine, page);
    vm_page_put(f->machine, page);
    return VM_OK;
}

static int spurious(struct fault *f) {
    if (lock_if_unchanged(f)) {
        vm_pte_set_bits(f->machine, f->slot,
                        f->write ? VM_PTE_ACCESSED | VM_PTE_DIRTY : VM_PTE_ACCESSED);
        unlock(f);
    }
    vm_count(f->machine, faults.spurious, 1);
    return VM_OK;
}

/* No reference: whoever moves the page would take it for somebody at work on the page. */
static int frozen(struct fault *f) {
    vm_page_wait_unlocked(f->machine, vm_page_of(f->machine, vm_pte_frame(f->entry)));
    vm_count(f->machine, faults.frozen, 1);
    return VM_OK;
}

/* ---- naming the case */

static int serve(struct fault *f) {
    if (vm_pte_is_swap(f->entry))
        return swap_in(f);
    if (!vm_pte_present(f->entry)) {
        if (f->area->object)
            return object_page(f);
        return f->write ? first_write(f) : zero_page(f);
    }
    if (vm_pte_frozen(f->entry))
        return frozen(f);
    if (!f->write || vm_pte_writable(f->entry))
        return spurious(f);
    return vm_area_shared(f->area) ? shared_write(f) : copy_on_write(f);
}

static bool area_allows(const struct vm_area *area, enum vm_access access) {
    switch (access) {
    case VM_WRITE:
        return vm_area_flags(area) & VM_AREA_WRITE;
    case VM_EXECUTE:
        return vm_area_flags(area) & VM_AREA_EXEC;
    default: /* the hardware cannot grant writing or executing without reading */
        return vm_area_flags(area) & VM_AREA_PROTECTION;
    }
}

int vm_fault_locked(struct vm_space *space, uint64_t address, enum vm_access access) {
    struct vm_area *area = vm_area_at(space, address);
    if (!area || !area_allows(area, access))
        return VM_SIGSEGV;

    struct fault f = { .machine = space->machine,
                       .space = space,
                       .area = area,
                       .address = address & ~(VM_PAGE_SIZE - 1),
                       .write = access == VM_WRITE };
    int error = vm_table_ensure(f.machine, space->root, f.address, &f.leaf);
    if (error) { /* upper tables may have been made */
        vm_space_note_empty_table(space);
        return error;
    }
    f.slot = &f.leaf.entries[vm_table_index(f.address, 0)];
    vm_preempt(f.machine, f.slot);
    f.entry = vm_pte_read(f.slot);
    error = serve(&f);
    if (error && vm_table_seems_empty(f.leaf.table))
        vm_space_note_empty_table(space);
    return error == VM_ENOMEM ? VM_OOM : error;
}

/* ---- from outside */

static void count_failure(struct vm_machine *machine, int error) {
    if (error == VM_SIGSEGV)
        vm_count(machine, faults.segv, 1);
    else if (error == VM_SIGBUS)
        vm_count(machine, faults.bus, 1);
    else
        vm_count(machine, faults.oom, 1);
}

static bool outside_every_area(struct vm_space *space, uint64_t address) {
    return address < VM_ADDRESS_END && !vm_area_at(space, address);
}

int vm_fault(struct vm_space *space, uint64_t address, enum vm_access access) {
    struct vm_machine *machine = space->machine;

    vm_read_lock(machine, &space->lock, VM_RANK_SPACE);
    int error = vm_fault_locked(space, address, access);
    bool outside = error == VM_SIGSEGV && outside_every_area(space, address);
    vm_read_unlock(machine, &space->lock, VM_RANK_SPACE);

    if (outside && vm_stack_grow(space, address)) {
        vm_read_lock(machine, &space->lock, VM_RANK_SPACE);
        error = vm_fault_locked(space, address, access);
        vm_read_unlock(machine, &space->lock, VM_RANK_SPACE);
    }
    vm_settle(machine);
    if (error)
        count_failure(machine, error);
    return error;
}
