/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swap.c - counting who names a slot, finding free slots, and the swap cache.
 *
 *     chunks[]   slots in use, and 512 slots of { entries that name it, frame in the swap cache }
 *     cursors[]  where each CPU takes its next slot: in a cluster of 256 that it came to last
 *
 * A slot is free when no entry names it and it has no frame. Chunks come with their first slot and
 * go with their last, so that counts cost memory for swap in use only.
 *
 * CPUs go round the clusters, each taking the next one when its own is used up: pages that a CPU evicts
 * one after another lie side by side, two CPUs do not fight for one place, and slots just freed are
 * left alone for a while. A cluster belongs to nobody: who finds no other takes slots of any.
 *
 * A chunk's lock guards its slots, the cache's side of their pages included: page->swap and
 * VM_PAGE_SWAPCACHE change with the page lock and the slot's lock held, and may be read with either.
 * A page is only taken out when its lock can be had: who has it locked relies on its place. With
 * a chunk's lock held that is asked for, never waited for.
 */
#include "vm/object/swap.h"

#include "vm/frame/cache.h"
#include "vm/memory.h"
#include "vm/object/transfer.h"
#include "vm/sum.h"

#define CHUNK_SLOTS   512u
#define CLUSTER_SLOTS 256u
#define NO_FRAME      VM_NO_LINK

/* The index of a page of the cache that was read ahead, and that nobody has asked for yet. */
#define READ_AHEAD UINT64_MAX

struct slot {
    uint32_t count; /* entries that name it */
    uint32_t frame; /* its page in the swap cache */
};

struct chunk {
    struct vm_lock lock; /* VM_RANK_SWAP */
    uint32_t used;
    struct slot *slots; /* NULL: all free */
};

/* The slots that are left of a CPU's cluster; only the CPU itself changes it. */
struct cursor {
    _Atomic uint32_t at; /* slot - 1 to try next */
    uint32_t left;
};

struct vm_swap {
    struct vm_backing *backing;
    struct vm_cache *cache;
    uint32_t pages; /* slots there are */
    uint32_t chunk_count, cluster_count;

    _Atomic uint32_t next_cluster; /* to be taken by a cursor, modulo cluster_count */
    struct vm_sum used;            /* slots */
    struct cursor cursors[VM_CPUS_MAX];
    struct chunk chunks[];
};

static struct chunk *chunk_of(const struct vm_machine *machine, uint32_t number) {
    return &machine->swap->chunks[(number - 1) / CHUNK_SLOTS];
}

/* Whether there is a slot of this number. */
static bool slot_exists(const struct vm_machine *machine, uint32_t number) {
    return number >= 1 && number <= machine->swap->pages;
}

/* => slot_exists() */
static void lock(struct vm_machine *machine, uint32_t number) {
    vm_lock(machine, &chunk_of(machine, number)->lock, VM_RANK_SWAP);
}

static void unlock(struct vm_machine *machine, uint32_t number) {
    vm_unlock(machine, &chunk_of(machine, number)->lock, VM_RANK_SWAP);
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
    swap->cluster_count = pages / CLUSTER_SLOTS + (pages % CLUSTER_SLOTS != 0);
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

/* ---------------------------------------------------------------- slots; all => slot's lock held */

static struct slot *slot_at(const struct vm_machine *machine, uint32_t number) {
    return &chunk_of(machine, number)->slots[(number - 1) % CHUNK_SLOTS];
}

/* Whether the slot has something to say. */
static bool slot_is_kept(const struct vm_machine *machine, uint32_t number) {
    return chunk_of(machine, number)->slots != NULL;
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

static struct cursor *this_cursor(struct vm_machine *machine) {
    return &machine->swap->cursors[vm_cpu_number(machine)];
}

static uint32_t position_of(const struct cursor *cursor) {
    return atomic_load_explicit(&cursor->at, memory_order_relaxed);
}

/* This CPU's chunk is kept, since it is about to be used again, until no slot at all is used. */
static void chunk_free_if_empty(struct vm_machine *machine, struct chunk *chunk) {
    struct vm_swap *swap = machine->swap;
    bool wanted = chunk == &swap->chunks[position_of(this_cursor(machine)) / CHUNK_SLOTS] &&
                  vm_sum_now(&swap->used) > 0;

    if (!chunk->used && chunk->slots && !wanted)
        free_chunk(machine, chunk);
}

static bool slot_is_free(const struct slot *slot) {
    return slot->count == 0 && slot->frame == NO_FRAME;
}

/* The page's slot may be asked for without a lock, by who then looks again. */
static uint32_t slot_of(const struct vm_page *page) {
    return __atomic_load_n(&page->swap, __ATOMIC_RELAXED);
}

static void set_slot_of(struct vm_page *page, uint32_t number) {
    __atomic_store_n(&page->swap, number, __ATOMIC_RELAXED);
}

/* The slot gets the page, and the cache a reference to it. => page locked */
static void attach(struct vm_machine *machine, struct vm_page *page, uint32_t number) {
    slot_at(machine, number)->frame = (uint32_t)vm_page_frame(machine, page);
    set_slot_of(page, number);
    vm_page_set(machine, page, VM_PAGE_SWAPCACHE);
    vm_page_get(machine, page);
}

static void slot_free_if_unused(struct vm_machine *machine, uint32_t number) {
    struct chunk *chunk = chunk_of(machine, number);

    if (!slot_is_free(slot_at(machine, number)))
        return;
    chunk->used--;
    vm_sum_add(machine, &machine->swap->used, -1);
    chunk_free_if_empty(machine, chunk);
}

/* ---------------------------------------------------------------- taking a slot; no lock held */

static void free_if_empty(struct vm_machine *machine, uint32_t chunk_number) {
    struct chunk *chunk = &machine->swap->chunks[chunk_number];

    vm_lock(machine, &chunk->lock, VM_RANK_SWAP);
    chunk_free_if_empty(machine, chunk);
    vm_unlock(machine, &chunk->lock, VM_RANK_SWAP);
}

/* When the last slot has been freed, chunks that CPUs have kept go, too. */
static void free_kept_chunks(struct vm_machine *machine) {
    if (vm_swap_used(machine))
        return;
    for (unsigned cpu = 0; cpu < machine->config.cpus; cpu++)
        free_if_empty(machine, position_of(&machine->swap->cursors[cpu]) / CHUNK_SLOTS);
}

/* The cursor goes on at `at`, with so many slots left. */
static void cursor_move(struct vm_machine *machine, struct cursor *cursor, uint32_t at,
                        uint32_t left) {
    uint32_t before = position_of(cursor) / CHUNK_SLOTS;

    atomic_store_explicit(&cursor->at, at, memory_order_relaxed);
    cursor->left = left;
    if (before != at / CHUNK_SLOTS)
        free_if_empty(machine, before);
}

static void cursor_next_cluster(struct vm_machine *machine, struct cursor *cursor) {
    struct vm_swap *swap = machine->swap;
    uint32_t cluster = atomic_load_explicit(&swap->next_cluster, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(
        &swap->next_cluster, &cluster, cluster + 1 < swap->cluster_count ? cluster + 1 : 0,
        memory_order_relaxed, memory_order_relaxed)) {
    }
    uint32_t first = cluster * CLUSTER_SLOTS, left = swap->pages - first;
    cursor_move(machine, cursor, first, left < CLUSTER_SLOTS ? left : CLUSTER_SLOTS);
}

/* The first free slot of [at, at + n), all of one chunk, gets the page; 0 if none is free. */
static uint32_t take_of(struct vm_machine *machine, uint32_t at, uint32_t n, struct vm_page *page) {
    struct vm_swap *swap = machine->swap;
    struct chunk *chunk = &swap->chunks[at / CHUNK_SLOTS];
    uint32_t taken = 0;

    vm_lock(machine, &chunk->lock, VM_RANK_SWAP);
    if (chunk->used < CHUNK_SLOTS && chunk_make(machine, chunk))
        for (uint32_t i = at; i < at + n && !taken; i++)
            if (slot_is_free(&chunk->slots[i % CHUNK_SLOTS]))
                taken = i + 1;
    if (taken) {
        chunk->used++;
        attach(machine, page, taken);
        vm_sum_add(machine, &swap->used, 1);
    } else {
        chunk_free_if_empty(machine, chunk);
    }
    vm_unlock(machine, &chunk->lock, VM_RANK_SWAP);
    return taken;
}

/* From this CPU's cluster, or the next ones, all the way round. */
static uint32_t take_at_cursor(struct vm_machine *machine, struct vm_page *page) {
    struct cursor *cursor = this_cursor(machine);
    uint32_t left = cursor->left, at = position_of(cursor);

    for (uint32_t tried = 0; tried <= machine->swap->cluster_count; tried++) {
        uint32_t taken = left ? take_of(machine, at, left, page) : 0;
        if (taken) {
            left -= taken - at;
            cursor_move(machine, cursor, left ? taken : taken - 1, left);
            return taken;
        }
        cursor_next_cluster(machine, cursor);
        left = cursor->left;
        at = position_of(cursor);
    }
    return 0;
}

/* From whichever cluster has one: those that other CPUs came to first, while we went round. */
static uint32_t take_anywhere(struct vm_machine *machine, struct vm_page *page) {
    struct vm_swap *swap = machine->swap;
    uint32_t taken = 0;

    for (uint32_t at = 0; at < swap->pages && !taken; at += CLUSTER_SLOTS) {
        uint32_t left = swap->pages - at;
        taken = take_of(machine, at, left < CLUSTER_SLOTS ? left : CLUSTER_SLOTS, page);
    }
    return taken;
}

/* A slot that was free gets the page; 0 if there is none. */
static uint32_t slot_take(struct vm_machine *machine, struct vm_page *page) {
    if (vm_swap_used(machine) == machine->swap->pages)
        return 0;
    uint32_t number = take_at_cursor(machine, page);
    return number || machine->config.cpus == 1 ? number : take_anywhere(machine, page);
}

/* ---------------------------------------------------------------- the swap cache */

/* The cache's reference is left to the caller. => lock held, page locked */
static void detach(struct vm_machine *machine, struct vm_page *page) {
    uint32_t number = page->swap;

    slot_at(machine, number)->frame = NO_FRAME;
    set_slot_of(page, 0);
    vm_page_clear(machine, page, VM_PAGE_SWAPCACHE);
    slot_free_if_unused(machine, number);
}

static bool page_is_of_slot(const struct vm_page *page, uint32_t number) {
    return vm_page_is(page, VM_PAGE_SWAPCACHE) && slot_of(page) == number;
}

int vm_swap_cache_add(struct vm_machine *machine, struct vm_page *page) {
    if (!machine->swap)
        return VM_ENOMEM;
    VM_ASSERT(machine, !vm_page_is(page, VM_PAGE_SWAPCACHE));
    if (!slot_take(machine, page))
        return VM_ENOMEM;
    vm_page_set(machine, page, VM_PAGE_DIRTY);
    return VM_OK;
}

void vm_swap_cache_remove(struct vm_machine *machine, struct vm_page *page) {
    uint32_t number = page->swap;

    VM_ASSERT(machine, vm_page_is(page, VM_PAGE_SWAPCACHE));
    lock(machine, number);
    detach(machine, page);
    unlock(machine, number);
    free_kept_chunks(machine);
    vm_page_put(machine, page);
}

void vm_swap_cache_replace(struct vm_machine *machine, struct vm_page *from, struct vm_page *to) {
    uint32_t number = from->swap;

    VM_ASSERT(machine, vm_page_is(from, VM_PAGE_SWAPCACHE));
    lock(machine, number);
    set_slot_of(from, 0);
    vm_page_clear(machine, from, VM_PAGE_SWAPCACHE);
    attach(machine, to, number);
    unlock(machine, number);
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

void vm_swap_cache_drop_unused(struct vm_machine *machine, struct vm_page *page) {
    struct vm_page *unused = NULL;
    uint32_t number = slot_of(page);

    if (!machine->swap || !slot_exists(machine, number))
        return;
    lock(machine, number);
    if (page_is_of_slot(page, number))
        unused = take_out_unused(machine, number);
    unlock(machine, number);
    free_kept_chunks(machine);
    let_go(machine, unused);
}

void vm_swap_page_put(struct vm_machine *machine, struct vm_page *page) {
    if (vm_page_mapcount(page) == 0 && vm_page_is(page, VM_PAGE_SWAPCACHE))
        vm_swap_cache_drop_unused(machine, page);
    vm_page_put(machine, page);
}

struct vm_page *vm_swap_cache_find(struct vm_machine *machine, uint32_t number) {
    struct vm_page *page = NULL;

    if (!slot_exists(machine, number))
        return NULL;
    lock(machine, number);
    if (slot_is_kept(machine, number) && slot_at(machine, number)->frame != NO_FRAME) {
        page = vm_page_of(machine, slot_at(machine, number)->frame);
        vm_page_get(machine, page);
    }
    unlock(machine, number);
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
    VM_ASSERT(machine, slot_exists(machine, number));
    lock(machine, number);
    VM_ASSERT(machine, slot_is_kept(machine, number) && !slot_is_free(slot_at(machine, number)));
    slot_at(machine, number)->count += n;
    unlock(machine, number);
}

void vm_swap_free(struct vm_machine *machine, uint32_t number) {
    struct vm_page *unused = NULL;

    VM_ASSERT(machine, slot_exists(machine, number));
    lock(machine, number);
    VM_ASSERT(machine, slot_is_kept(machine, number) && slot_at(machine, number)->count > 0);
    if (--slot_at(machine, number)->count == 0) {
        if (slot_at(machine, number)->frame == NO_FRAME)
            slot_free_if_unused(machine, number);
        else
            unused = take_out_unused(machine, number);
    }
    unlock(machine, number);
    free_kept_chunks(machine);
    let_go(machine, unused);
}

uint32_t vm_swap_count(struct vm_machine *machine, uint32_t number) {
    uint32_t count = 0;

    if (!slot_exists(machine, number))
        return 0;
    lock(machine, number);
    if (slot_is_kept(machine, number))
        count = slot_at(machine, number)->count;
    unlock(machine, number);
    return count;
}

/* ---------------------------------------------------------------- transfers */

static int read_slot(struct vm_machine *machine, uint32_t number, void *data) {
    struct vm_backing *backing = machine->swap->backing;

    return backing->read(backing, number - 1, data) < 0 ? VM_EIO : VM_OK;
}

static int fill_from_slot(struct vm_machine *machine, uint32_t number, struct vm_page *page) {
    void *data = vm_frame_map(machine, page);
    int error = read_slot(machine, number, data);

    vm_frame_unmap(machine, data);
    if (!error)
        vm_count(machine, reclaim.swapped_in, 1);
    return error;
}

/* How many pages from the first on are dirty and have neighbouring slots. */
static unsigned dirty_run(struct vm_page *const *pages, unsigned n) {
    unsigned run = 0;

    while (run < n && run < VM_WRITE_PAGES && vm_page_is(pages[run], VM_PAGE_DIRTY) &&
           pages[run]->swap == pages[0]->swap + run)
        run++;
    return run;
}

static int write_run(struct vm_machine *machine, struct vm_page *const *pages, unsigned run) {
    uint32_t first = pages[0]->swap;
    unsigned lost = 0;

    for (unsigned i = 0; i < run; i++) {
        VM_ASSERT(machine, vm_page_is(pages[i], VM_PAGE_SWAPCACHE));
        vm_page_clear(machine, pages[i], VM_PAGE_DIRTY);
    }
    struct vm_transfer transfer =
        vm_transfer_out(machine, machine->swap->backing, first - 1, pages, run);
    for (unsigned i = 0; i < run; i++) {
        if (!(transfer.lost >> i & 1))
            continue;
        vm_page_set(machine, pages[i], VM_PAGE_DIRTY);
        lost++;
    }
    vm_count(machine, reclaim.swap_writes, transfer.writes);
    vm_count(machine, reclaim.swapped_out, run - lost);
    return lost ? VM_EIO : VM_OK;
}

/* Mostly they are in order, up or down, as they got their slots. */
static void sort_by_slot(struct vm_page **pages, unsigned n) {
    for (unsigned i = 1; i < n; i++) {
        struct vm_page *page = pages[i];
        unsigned at = i;
        for (; at > 0 && pages[at - 1]->swap > page->swap; at--)
            pages[at] = pages[at - 1];
        pages[at] = page;
    }
}

int vm_swap_write(struct vm_machine *machine, struct vm_page **pages, unsigned n) {
    int error = VM_OK;

    sort_by_slot(pages, n);
    for (unsigned i = 0, run; i < n; i += run ? run : 1) {
        run = dirty_run(pages + i, n - i);
        if (run > 0 && write_run(machine, pages + i, run) != VM_OK)
            error = VM_EIO;
    }
    return error;
}

enum insertion { INSERTED, SLOT_HAS_PAGE, SLOT_UNUSED };

static enum insertion insert(struct vm_machine *machine, uint32_t number, struct vm_page *page) {
    enum insertion result = SLOT_UNUSED;

    lock(machine, number);
    if (slot_is_kept(machine, number)) {
        const struct slot *slot = slot_at(machine, number);
        if (slot->frame != NO_FRAME) {
            result = SLOT_HAS_PAGE;
        } else if (slot->count > 0) {
            attach(machine, page, number);
            result = INSERTED;
        }
    }
    unlock(machine, number);
    return result;
}

/* ---------------------------------------------------------------- reading ahead */

/* => page locked */
static void note_asked_for(struct vm_machine *machine, struct vm_page *page) {
    if (page->index != READ_AHEAD)
        return;
    page->index = 0;
    vm_count(machine, reclaim.read_ahead_hits, 1);
}

/* Whether there is something to read: entries that name it, and no page. */
static bool slot_waits(struct vm_machine *machine, uint32_t number) {
    lock(machine, number);
    bool waits = slot_is_kept(machine, number) && slot_at(machine, number)->count > 0 &&
                 slot_at(machine, number)->frame == NO_FRAME;
    unlock(machine, number);
    return waits;
}

/* Nobody's yet, as after vm_swap_in(), but on a list, so that it goes if nobody asks for it. */
static void keep_read_ahead(struct vm_machine *machine, struct vm_page *page) {
    page->index = READ_AHEAD;
    vm_page_set(machine, page, VM_PAGE_ANON);
    vm_count(machine, memory.anonymous, 1);
    vm_count(machine, reclaim.read_ahead, 1);
    vm_lru_add(machine, page, VM_LRU_INACTIVE);
}

/* False: there is no frame to spare. A failed read is told to who really wants the page. */
static bool read_one_ahead(struct vm_machine *machine, uint32_t number) {
    if (!slot_waits(machine, number))
        return true;
    struct vm_page *page = vm_frame_alloc_spare(machine, VM_FRAME_AS_IS);
    if (!page)
        return false;
    if (!vm_page_trylock(machine, page)) { /* somebody looks at frames by their numbers */
        vm_page_put(machine, page);
        return true;
    }
    bool inserted = insert(machine, number, page) == INSERTED;
    if (inserted && fill_from_slot(machine, number, page) == VM_OK)
        keep_read_ahead(machine, page);
    else if (inserted)
        vm_swap_cache_remove(machine, page);
    vm_page_unlock(machine, page);
    vm_swap_page_put(machine, page);
    return true;
}

/* The slot's neighbours within an aligned window: what was evicted together is wanted together. */
static void read_around(struct vm_machine *machine, uint32_t number) {
    uint32_t window = machine->config.swap_readahead;
    uint32_t first = (number - 1) / window * window + 1;

    for (uint32_t at = first; at < first + window && slot_exists(machine, at); at++)
        if (at != number && !read_one_ahead(machine, at))
            return;
}

/* ---------------------------------------------------------------- bringing in */

/*
 * The page is in the cache, locked, before it is read: all who want the slot meanwhile find it and
 * wait. The frame is allocated first, because that may reclaim; somebody else may have brought the
 * slot in by then, or freed it.
 */
int vm_swap_in(struct vm_machine *machine, uint32_t number, struct vm_page **result) {
    for (;;) {
        *result = find_and_lock(machine, number);
        if (*result) {
            note_asked_for(machine, *result);
            return VM_OK;
        }
        struct vm_page *page = vm_frame_alloc(machine, VM_FRAME_AS_IS);
        if (!page)
            return VM_OOM;
        vm_page_lock(machine, page); /* at once, unless somebody looks at frames by their numbers */
        enum insertion insertion = insert(machine, number, page);
        if (insertion == INSERTED && fill_from_slot(machine, number, page) == VM_OK) {
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

int vm_swap_in_for_fault(struct vm_machine *machine, uint32_t number, struct vm_page **result) {
    bool waits = slot_waits(machine, number);
    int error = vm_swap_in(machine, number, result);

    if (waits && !error)
        read_around(machine, number);
    return error;
}

/* Copies the slot's page, if it has been read ahead. */
static bool copy_cached(struct vm_machine *machine, uint32_t number, struct vm_page *page) {
    struct vm_page *cached = vm_swap_cache_find(machine, number);
    bool copied = false;

    if (!cached)
        return false;
    if (vm_page_trylock(machine, cached)) {
        copied = page_is_of_slot(cached, number);
        if (copied) {
            vm_frame_copy(machine, page, cached);
            note_asked_for(machine, cached);
        }
        vm_page_unlock(machine, cached);
    }
    vm_swap_page_put(machine, cached);
    return copied;
}

int vm_swap_read(struct vm_machine *machine, uint32_t number, struct vm_page *page) {
    if (copy_cached(machine, number, page))
        return VM_OK;
    int error = fill_from_slot(machine, number, page);
    if (!error)
        read_around(machine, number);
    return error;
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
    return machine->swap ? vm_sum_now(&machine->swap->used) : 0;
}

uint64_t vm_swap_used_peak(const struct vm_machine *machine) {
    return machine->swap ? vm_sum_peak(&machine->swap->used) : 0;
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
    for (uint32_t chunk = 0; chunk < machine->swap->chunk_count; chunk++)
        differences += chunk_check(machine, chunk, &names, &used);
    return differences + (names != entries) + (used != vm_swap_used(machine));
}
