/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swap.c - counting who names a slot, finding free slots, and the swap cache.
 *
 *     chunks[]   slots in use, and 512 slots of { entries that name it, frame in the swap cache }
 *
 * A slot is free when no entry names it and it has no frame. Chunks come with their first slot and
 * go with their last, so that counts cost memory for swap in use only.
 *
 * Free slots are taken at a cursor that goes round: pages evicted one after another lie side by
 * side, and slots just freed are left alone for a while.
 *
 * The swap lock guards everything here, the cache's side of a page included: page->swap and
 * VM_PAGE_SWAPCACHE change with the page lock and the swap lock held, and may be read with either.
 * A page is only taken out when its lock can be had: who has it locked relies on its place. With
 * the swap lock held that is asked for, never waited for.
 */
#include "vm/object/swap.h"

#include "vm/frame/cache.h"
#include "vm/memory.h"

#define CHUNK_SLOTS 512u
#define NO_FRAME    VM_NO_LINK

struct slot {
    uint32_t count; /* entries that name it */
    uint32_t frame; /* its page in the swap cache */
};

struct chunk {
    struct slot *slots; /* NULL: all free */
    uint32_t used;
};

struct vm_swap {
    struct vm_backing *backing;
    struct vm_cache *cache;
    uint32_t pages; /* slots there are */
    uint32_t chunk_count;

    struct vm_lock lock;         /* VM_RANK_SWAP: everything below */
    uint32_t cursor;             /* slot - 1 to try next */
    _Atomic uint64_t used, peak; /* may be read without */
    struct chunk chunks[];
};

static void lock(struct vm_machine *machine) {
    vm_lock(machine, &machine->swap->lock, VM_RANK_SWAP);
}

static void unlock(struct vm_machine *machine) {
    vm_unlock(machine, &machine->swap->lock, VM_RANK_SWAP);
}

/* ---------------------------------------------------------------- life */

static size_t swap_bytes(uint32_t chunk_count) {
    return sizeof(struct vm_swap) + chunk_count * sizeof(struct chunk);
}

int vm_swap_init(struct vm_machine *machine) {
    uint32_t pages = (uint32_t)machine->config.swap_pages;
    uint32_t chunk_count = pages / CHUNK_SLOTS + (pages % CHUNK_SLOTS != 0);

    machine->swap = NULL;
    if (!machine->config.swap || !pages)
        return VM_OK;
    struct vm_cache *cache = vm_cache_create(machine, "swap slots", VM_COST_OTHER, 0, 16);
    if (!cache)
        return VM_ENOMEM;
    struct vm_swap *swap = vm_cache_allocate_bytes(machine, cache, swap_bytes(chunk_count), 16);
    if (!swap) {
        vm_cache_destroy(machine, cache);
        return VM_ENOMEM;
    }
    memset(swap, 0, swap_bytes(chunk_count));
    swap->backing = machine->config.swap;
    swap->cache = cache;
    swap->pages = pages;
    swap->chunk_count = chunk_count;
    machine->swap = swap;
    return VM_OK;
}

static void free_chunk(struct vm_machine *machine, struct chunk *chunk) {
    vm_cache_free_bytes(machine, machine->swap->cache, chunk->slots,
                        CHUNK_SLOTS * sizeof *chunk->slots);
    chunk->slots = NULL;
}

void vm_swap_fini(struct vm_machine *machine) {
    struct vm_swap *swap = machine->swap;

    if (!swap)
        return;
    for (uint32_t i = 0; i < swap->chunk_count; i++)
        if (swap->chunks[i].slots)
            free_chunk(machine, &swap->chunks[i]);
    struct vm_cache *cache = swap->cache;
    vm_cache_free_bytes(machine, cache, swap, swap_bytes(swap->chunk_count));
    vm_cache_destroy(machine, cache);
    machine->swap = NULL;
}

/* ---------------------------------------------------------------- slots; all => lock held */

static struct slot *slot_at(const struct vm_machine *machine, uint32_t number) {
    return &machine->swap->chunks[(number - 1) / CHUNK_SLOTS].slots[(number - 1) % CHUNK_SLOTS];
}

/* Whether there is a slot of this number, with something to say. */
static bool slot_is_kept(const struct vm_machine *machine, uint32_t number) {
    const struct vm_swap *swap = machine->swap;

    return number >= 1 && number <= swap->pages && swap->chunks[(number - 1) / CHUNK_SLOTS].slots;
}

static uint32_t chunk_capacity(const struct vm_swap *swap, uint32_t chunk) {
    uint32_t from = chunk * CHUNK_SLOTS;

    return swap->pages - from < CHUNK_SLOTS ? swap->pages - from : CHUNK_SLOTS;
}

/* Makes a chunk's slots if they are not there. False: no memory. */
static bool chunk_make(struct vm_machine *machine, struct chunk *chunk) {
    size_t bytes = CHUNK_SLOTS * sizeof *chunk->slots;

    if (chunk->slots)
        return true;
    chunk->slots = vm_cache_allocate_bytes(machine, machine->swap->cache, bytes, 16);
    if (!chunk->slots)
        return false;
    for (uint32_t i = 0; i < CHUNK_SLOTS; i++)
        chunk->slots[i] = (struct slot){ .count = 0, .frame = NO_FRAME };
    return true;
}

/* The cursor's chunk is kept, since it is about to be used again, until no slot at all is used. */
static void chunk_free_if_empty(struct vm_machine *machine, uint32_t chunk) {
    struct vm_swap *swap = machine->swap;
    bool wanted = chunk == swap->cursor / CHUNK_SLOTS &&
                  atomic_load_explicit(&swap->used, memory_order_relaxed) > 0;

    if (!swap->chunks[chunk].used && swap->chunks[chunk].slots && !wanted)
        free_chunk(machine, &swap->chunks[chunk]);
}

static bool slot_is_free(const struct slot *slot) {
    return slot->count == 0 && slot->frame == NO_FRAME;
}

/* The first free slot of the chunk at or after `from`; CHUNK_SLOTS if there is none. */
static uint32_t chunk_find_free(struct vm_machine *machine, uint32_t chunk, uint32_t from) {
    struct vm_swap *swap = machine->swap;
    uint32_t capacity = chunk_capacity(swap, chunk);

    if (swap->chunks[chunk].used == capacity || !chunk_make(machine, &swap->chunks[chunk]))
        return CHUNK_SLOTS;
    for (uint32_t i = from; i < capacity; i++)
        if (slot_is_free(&swap->chunks[chunk].slots[i]))
            return i;
    return CHUNK_SLOTS;
}

static void cursor_move(struct vm_machine *machine, uint32_t to) {
    struct vm_swap *swap = machine->swap;
    uint32_t left = swap->cursor / CHUNK_SLOTS;

    swap->cursor = to == swap->pages ? 0 : to;
    chunk_free_if_empty(machine, left);
}

/* A slot that was free, with this frame; 0 if there is none. The cursor's chunk is tried twice: from
 * the cursor on, and at last, having gone round, from its beginning. */
static uint32_t slot_take(struct vm_machine *machine, uint32_t frame) {
    struct vm_swap *swap = machine->swap;
    uint32_t chunk = swap->cursor / CHUNK_SLOTS, from = swap->cursor % CHUNK_SLOTS;

    for (uint32_t tried = 0; tried <= swap->chunk_count; tried++) {
        uint32_t found = chunk_find_free(machine, chunk, from);
        if (found < CHUNK_SLOTS) {
            uint32_t number = chunk * CHUNK_SLOTS + found + 1;
            swap->chunks[chunk].slots[found].frame = frame;
            swap->chunks[chunk].used++;
            vm_sum_add(machine, &swap->used, &swap->peak, 1);
            cursor_move(machine, number);
            return number;
        }
        chunk = chunk + 1 == swap->chunk_count ? 0 : chunk + 1;
        from = 0;
    }
    return 0;
}

static void slot_free_if_unused(struct vm_machine *machine, uint32_t number) {
    struct vm_swap *swap = machine->swap;
    uint32_t chunk = (number - 1) / CHUNK_SLOTS;

    if (!slot_is_free(slot_at(machine, number)))
        return;
    swap->chunks[chunk].used--;
    vm_sum_subtract(machine, &swap->used, 1);
    chunk_free_if_empty(machine, chunk);
    chunk_free_if_empty(machine, swap->cursor / CHUNK_SLOTS);
}

/* ---------------------------------------------------------------- the swap cache */

static void attach(struct vm_machine *machine, struct vm_page *page, uint32_t number) {
    page->swap = number;
    vm_page_set(machine, page, VM_PAGE_SWAPCACHE);
    vm_page_get(machine, page);
}

/* The cache's reference is left to the caller. => lock held, page locked */
static void detach(struct vm_machine *machine, struct vm_page *page) {
    uint32_t number = page->swap;

    slot_at(machine, number)->frame = NO_FRAME;
    page->swap = 0;
    vm_page_clear(machine, page, VM_PAGE_SWAPCACHE);
    slot_free_if_unused(machine, number);
}

static bool page_is_of_slot(const struct vm_page *page, uint32_t number) {
    return vm_page_is(page, VM_PAGE_SWAPCACHE) && page->swap == number;
}

int vm_swap_cache_add(struct vm_machine *machine, struct vm_page *page) {
    if (!machine->swap)
        return VM_ENOMEM;
    VM_ASSERT(machine, !vm_page_is(page, VM_PAGE_SWAPCACHE));
    lock(machine);
    uint32_t number = slot_take(machine, (uint32_t)vm_page_frame(machine, page));
    if (number)
        attach(machine, page, number);
    unlock(machine);
    if (!number)
        return VM_ENOMEM;
    vm_page_set(machine, page, VM_PAGE_DIRTY);
    return VM_OK;
}

void vm_swap_cache_remove(struct vm_machine *machine, struct vm_page *page) {
    VM_ASSERT(machine, vm_page_is(page, VM_PAGE_SWAPCACHE));
    lock(machine);
    detach(machine, page);
    unlock(machine);
    vm_page_put(machine, page);
}

void vm_swap_cache_replace(struct vm_machine *machine, struct vm_page *from, struct vm_page *to) {
    VM_ASSERT(machine, vm_page_is(from, VM_PAGE_SWAPCACHE));
    lock(machine);
    uint32_t number = from->swap;
    slot_at(machine, number)->frame = (uint32_t)vm_page_frame(machine, to);
    from->swap = 0;
    vm_page_clear(machine, from, VM_PAGE_SWAPCACHE);
    attach(machine, to, number);
    unlock(machine);
    vm_page_put(machine, from);
}

/*
 * Takes the slot's page out if no entry names the slot and none maps the page. The page is returned
 * locked, with the cache's reference; NULL if it stays. => lock held, the slot has a frame
 *
 * Whoever maps a page of the cache has it locked meanwhile, so an unmapped page that we have locked
 * stays unmapped. If somebody else has it locked, he will find that it is not used.
 */
static struct vm_page *take_out_unused(struct vm_machine *machine, uint32_t number) {
    const struct slot *slot = slot_at(machine, number);
    struct vm_page *page = vm_page_of(machine, slot->frame);

    if (slot->count || vm_page_mapcount(page) || !vm_page_trylock(machine, page))
        return NULL;
    if (vm_page_mapcount(page)) {
        vm_page_unlock(machine, page);
        return NULL;
    }
    detach(machine, page);
    return page;
}

static void let_go(struct vm_machine *machine, struct vm_page *page) {
    if (!page)
        return;
    vm_page_unlock(machine, page);
    vm_page_put(machine, page);
}

/* A caller that holds no reference may come too late: the frame may be free, or another's. Only the
 * slot can tell whether the page is in the cache. */
void vm_swap_cache_drop_unused(struct vm_machine *machine, struct vm_page *page) {
    struct vm_page *unused = NULL;

    lock(machine);
    uint32_t number = page->swap;
    if (vm_page_is(page, VM_PAGE_SWAPCACHE) && slot_is_kept(machine, number) &&
        slot_at(machine, number)->frame == vm_page_frame(machine, page))
        unused = take_out_unused(machine, number);
    unlock(machine);
    let_go(machine, unused);
}

void vm_swap_page_put(struct vm_machine *machine, struct vm_page *page) {
    if (vm_page_mapcount(page) == 0 && vm_page_is(page, VM_PAGE_SWAPCACHE))
        vm_swap_cache_drop_unused(machine, page);
    vm_page_put(machine, page);
}

struct vm_page *vm_swap_cache_find(struct vm_machine *machine, uint32_t number) {
    struct vm_page *page = NULL;

    lock(machine);
    if (slot_is_kept(machine, number) && slot_at(machine, number)->frame != NO_FRAME) {
        page = vm_page_of(machine, slot_at(machine, number)->frame);
        vm_page_get(machine, page);
    }
    unlock(machine);
    return page;
}

/* The same, locked; what was found may have left the cache while we waited. */
static struct vm_page *find_and_lock(struct vm_machine *machine, uint32_t number) {
    for (;;) {
        struct vm_page *page = vm_swap_cache_find(machine, number);
        if (!page)
            return NULL;
        vm_page_lock(machine, page);
        if (page_is_of_slot(page, number))
            return page;
        let_go(machine, page);
    }
}

/* ---------------------------------------------------------------- names */

void vm_swap_duplicate(struct vm_machine *machine, uint32_t number, uint32_t n) {
    lock(machine);
    VM_ASSERT(machine, slot_is_kept(machine, number) && !slot_is_free(slot_at(machine, number)));
    slot_at(machine, number)->count += n;
    unlock(machine);
}

void vm_swap_free(struct vm_machine *machine, uint32_t number) {
    struct vm_page *unused = NULL;

    lock(machine);
    VM_ASSERT(machine, slot_is_kept(machine, number) && slot_at(machine, number)->count > 0);
    if (--slot_at(machine, number)->count == 0) {
        if (slot_at(machine, number)->frame == NO_FRAME)
            slot_free_if_unused(machine, number);
        else
            unused = take_out_unused(machine, number);
    }
    unlock(machine);
    let_go(machine, unused);
}

uint32_t vm_swap_count(struct vm_machine *machine, uint32_t number) {
    uint32_t count = 0;

    lock(machine);
    if (slot_is_kept(machine, number))
        count = slot_at(machine, number)->count;
    unlock(machine);
    return count;
}

/* ---------------------------------------------------------------- transfers */

static int read_slot(struct vm_machine *machine, uint32_t number, void *data) {
    struct vm_backing *backing = machine->swap->backing;

    return backing->read(backing, number - 1, data) < 0 ? VM_EIO : VM_OK;
}

int vm_swap_read(struct vm_machine *machine, uint32_t number, struct vm_page *page) {
    void *data = vm_frame_map(machine, page);
    int error = read_slot(machine, number, data);

    vm_frame_unmap(machine, data);
    if (!error)
        vm_count(machine, reclaim.swapped_in, 1);
    return error;
}

int vm_swap_write(struct vm_machine *machine, struct vm_page *page) {
    struct vm_backing *backing = machine->swap->backing;
    void *data = vm_frame_map(machine, page);

    VM_ASSERT(machine, vm_page_is(page, VM_PAGE_SWAPCACHE));
    vm_page_clear(machine, page, VM_PAGE_DIRTY);
    int failed = backing->write(backing, page->swap - 1, data);
    vm_frame_unmap(machine, data);
    if (failed < 0) {
        vm_page_set(machine, page, VM_PAGE_DIRTY);
        return VM_EIO;
    }
    vm_count(machine, reclaim.swapped_out, 1);
    return VM_OK;
}

enum insertion { INSERTED, SLOT_HAS_PAGE, SLOT_UNUSED };

static enum insertion insert(struct vm_machine *machine, uint32_t number, struct vm_page *page) {
    enum insertion result = SLOT_UNUSED;

    lock(machine);
    if (slot_is_kept(machine, number)) {
        struct slot *slot = slot_at(machine, number);
        if (slot->frame != NO_FRAME) {
            result = SLOT_HAS_PAGE;
        } else if (slot->count > 0) {
            slot->frame = (uint32_t)vm_page_frame(machine, page);
            attach(machine, page, number);
            result = INSERTED;
        }
    }
    unlock(machine);
    return result;
}

/*
 * The page is in the cache, locked, before it is read: all who want the slot meanwhile find it and
 * wait. The frame is allocated first, because that may reclaim; somebody else may have brought the
 * slot in by then, or freed it.
 */
int vm_swap_in(struct vm_machine *machine, uint32_t number, struct vm_page **result) {
    for (;;) {
        *result = find_and_lock(machine, number);
        if (*result)
            return VM_OK;
        struct vm_page *page = vm_frame_alloc(machine, VM_FRAME_AS_IS);
        if (!page)
            return VM_OOM;
        vm_page_lock(machine, page); /* at once, unless somebody looks at frames by number */
        enum insertion insertion = insert(machine, number, page);
        if (insertion == INSERTED && vm_swap_read(machine, number, page) == VM_OK) {
            *result = page;
            return VM_OK;
        }
        if (insertion == INSERTED)
            vm_swap_cache_remove(machine, page);
        let_go(machine, page);
        if (insertion != SLOT_HAS_PAGE)
            return insertion == INSERTED ? VM_SIGBUS : VM_EAGAIN;
    }
}

int vm_swap_peek(struct vm_machine *machine, uint32_t number, void *data) {
    if (machine->config.contents == VM_METADATA_ONLY) {
        memset(data, 0, VM_PAGE_SIZE);
        return VM_OK;
    }
    struct vm_page *page = find_and_lock(machine, number);
    if (!page)
        return read_slot(machine, number, data);
    void *contents = vm_frame_map(machine, page);
    memcpy(data, contents, VM_PAGE_SIZE);
    vm_frame_unmap(machine, contents);
    vm_page_unlock(machine, page);
    vm_swap_cache_drop_unused(machine, page);
    vm_page_put(machine, page);
    return VM_OK;
}

/* ---------------------------------------------------------------- accounts */

uint64_t vm_swap_used(const struct vm_machine *machine) {
    return machine->swap ? atomic_load_explicit(&machine->swap->used, memory_order_relaxed) : 0;
}

uint64_t vm_swap_used_peak(const struct vm_machine *machine) {
    return machine->swap ? atomic_load_explicit(&machine->swap->peak, memory_order_relaxed) : 0;
}

static uint64_t chunk_check(struct vm_machine *machine, uint32_t chunk, uint64_t *names,
                            uint64_t *used) {
    struct vm_swap *swap = machine->swap;
    uint64_t differences = 0;
    uint32_t used_here = 0;

    for (uint32_t i = 0; swap->chunks[chunk].slots && i < CHUNK_SLOTS; i++) {
        const struct slot *slot = &swap->chunks[chunk].slots[i];
        *names += slot->count;
        used_here += !slot_is_free(slot);
        if (slot->frame == NO_FRAME)
            continue;
        const struct vm_page *page = vm_page_of(machine, slot->frame);
        differences += !page_is_of_slot(page, chunk * CHUNK_SLOTS + i + 1);
        differences += vm_page_references(page) == 0;
        differences += slot->count == 0 && vm_page_mapcount(page) == 0;
    }
    *used += used_here;
    return differences + (used_here != swap->chunks[chunk].used);
}

uint64_t vm_swap_check(struct vm_machine *machine, uint64_t entries) {
    uint64_t differences = 0, names = 0, used = 0;

    if (!machine->swap)
        return entries != 0;
    lock(machine);
    for (uint32_t chunk = 0; chunk < machine->swap->chunk_count; chunk++)
        differences += chunk_check(machine, chunk, &names, &used);
    unlock(machine);
    return differences + (names != entries) + (used != vm_swap_used(machine));
}
