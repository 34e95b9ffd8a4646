/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cache.c - equal-sized records from aligned blocks (slabs, Bonwick 1994), and their accounts.
 *
 * A block is as large as its alignment, so the block of a record is found by masking the record's
 * address; neither needs a word for the other. Free records of a block are linked through their
 * first word. Blocks with room form a ring, the one last freed into in front, so the record freed
 * last is handed out first. Records beyond `carved` have never been used: a fresh block costs
 * nothing but its header.
 *
 * On a machine of many CPUs each has a magazine of a few records in front of the blocks (Bonwick and
 * Adams 2001, without the depot), so that most calls touch nothing that another CPU does. What is live
 * is the sum of what CPUs handed out and took back: exact. The peak is noted when a magazine is filled
 * or emptied, so it may be MAGAZINE_RECORDS a CPU too low.
 *
 * Locks: each cache has its own (VM_RANK_CACHE); the port is called under it. A magazine is its CPU's.
 * Caches are made and destroyed only while the machine is, so looking at all of them takes no lock.
 *
 * Debug builds fill free records with a pattern and know which are free: freeing twice, freeing to
 * the wrong cache and writing after freeing end in a panic.
 */
#include "vm/frame/cache.h"
#include "vm/memory.h"
#include "vm/sum.h"

#define BLOCK_BYTES_LEAST  ((size_t)16384)
#define RECORDS_LEAST      8u /* in a block */
#define RECORD_BYTES_LEAST sizeof(void *)
#define RECORDS_MOST       (BLOCK_BYTES_LEAST / RECORD_BYTES_LEAST)
#define MAGAZINE_RECORDS   64u
#define MAGAZINE_STRIDE    ((size_t)1024) /* larger records are rare, and too large to keep idle */
#define POISON             0x5f

struct free_record {
    struct free_record *next;
};

struct block {
    struct vm_link link; /* among the cache's blocks with room; alone when full */
    struct vm_cache *cache;
    struct free_record *free;
    uint32_t used, carved;
#if VM_DEBUG >= 2
    uint64_t in_use[RECORDS_MOST / 64];
#endif
};

/* A CPU's own. */
struct magazine {
    _Alignas(64) _Atomic uint64_t live; /* handed out here less taken back here, modulo 2^64 */
    uint32_t count;
    void *records[MAGAZINE_RECORDS]; /* the one last freed last */
};

struct vm_cache {
    const char *name;
    enum vm_cost cost;
    size_t object_bytes;
    size_t stride; /* from one record to the next; 0: records of different sizes */
    size_t first;  /* where in a block the first record lies */
    size_t block_bytes;
    uint32_t per_block;

    struct magazine *magazines; /* one a CPU; NULL: records of different sizes, or only one CPU */
    unsigned magazine_count;

    struct vm_lock lock;
    struct vm_link roomy; /* blocks with room */
    struct block *spare;  /* an empty block, kept */
    /* Written under the lock, read without. With magazines, `live` is not used, and live_bytes is
     * what it was when the peak was noted last. */
    _Atomic uint64_t live, live_bytes, peak_bytes, held_bytes;

    struct vm_cache *older; /* machine->caches; caches_lock */
};

/* ---------------------------------------------------------------- accounts */

static inline uint64_t read(const _Atomic uint64_t *sum) {
    return atomic_load_explicit(sum, memory_order_relaxed);
}

static inline void write(_Atomic uint64_t *sum, uint64_t value) {
    atomic_store_explicit(sum, value, memory_order_relaxed);
}

/* => the cache's lock is held */
static inline void count_in(struct vm_machine *machine, struct vm_cache *cache, size_t bytes) {
    uint64_t live = read(&cache->live_bytes) + bytes;
    write(&cache->live, read(&cache->live) + 1);
    write(&cache->live_bytes, live);
    if (live > read(&cache->peak_bytes))
        write(&cache->peak_bytes, live);
    vm_sum_add(machine, &machine->costs[cache->cost], (int64_t)bytes);
}

static inline void count_out(struct vm_machine *machine, struct vm_cache *cache, size_t bytes) {
    write(&cache->live, read(&cache->live) - 1);
    write(&cache->live_bytes, read(&cache->live_bytes) - bytes);
    vm_sum_add(machine, &machine->costs[cache->cost], -(int64_t)bytes);
}

static void *take_from_port(struct vm_machine *machine, struct vm_cache *cache, size_t bytes,
                            size_t alignment) {
    void *memory = machine->port->allocate(machine->port, bytes, alignment);
    if (memory)
        write(&cache->held_bytes, read(&cache->held_bytes) + bytes);
    return memory;
}

static void return_to_port(struct vm_machine *machine, struct vm_cache *cache, void *memory,
                           size_t bytes) {
    write(&cache->held_bytes, read(&cache->held_bytes) - bytes);
    machine->port->release(machine->port, memory, bytes);
}

uint64_t vm_cache_live(const struct vm_cache *cache) {
    uint64_t live = read(&cache->live);

    for (unsigned i = 0; i < cache->magazine_count; i++)
        live += read(&cache->magazines[i].live);
    return live;
}

static uint64_t live_bytes(const struct vm_cache *cache) {
    return cache->magazines ? vm_cache_live(cache) * cache->stride : read(&cache->live_bytes);
}

/* => the cache's lock is held */
static void note_peak(struct vm_machine *machine, struct vm_cache *cache) {
    uint64_t before = read(&cache->live_bytes), now = live_bytes(cache);

    write(&cache->live_bytes, now);
    if (now > read(&cache->peak_bytes))
        write(&cache->peak_bytes, now);
    vm_sum_add(machine, &machine->costs[cache->cost], (int64_t)(now - before));
}

static uint64_t max_u64(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

void vm_cache_each(const struct vm_machine *machine,
                   void (*visit)(const struct vm_cache_view *cache, void *context), void *context) {
    for (const struct vm_cache *cache = machine->caches; cache; cache = cache->older) {
        struct vm_cache_view view = {
            .name = cache->name,
            .cost = cache->cost,
            .object_bytes = cache->object_bytes,
            .live = vm_cache_live(cache),
            .live_bytes = live_bytes(cache),
            .peak_bytes = max_u64(read(&cache->peak_bytes), live_bytes(cache)),
            .held_bytes = read(&cache->held_bytes),
        };
        visit(&view, context);
    }
}

uint64_t vm_cost_peak(const struct vm_machine *machine, enum vm_cost cost) {
    return vm_sum_peak(&machine->costs[cost]);
}

/* ---------------------------------------------------------------- checks of debug builds */

#if VM_DEBUG >= 2

static size_t number_of(const struct vm_cache *cache, const struct block *block,
                        const void *record) {
    return ((size_t)((const char *)record - (const char *)block) - cache->first) / cache->stride;
}

static void mark_used(struct vm_machine *machine, struct vm_cache *cache, struct block *block,
                      void *record) {
    size_t n = number_of(cache, block, record);
    VM_ASSERT_INTERNAL(machine, !(block->in_use[n / 64] >> n % 64 & 1));
    block->in_use[n / 64] |= UINT64_C(1) << n % 64;
}

static void check_poison(struct vm_machine *machine, const struct vm_cache *cache,
                         const void *record) {
    const unsigned char *bytes = record;
    for (size_t i = sizeof(struct free_record); i < cache->stride; i++)
        if (bytes[i] != POISON)
            vm_panic(machine, __FILE__, __LINE__, "a record was written to after it was freed");
}

static void mark_free(struct vm_machine *machine, struct vm_cache *cache, struct block *block,
                      void *record) {
    size_t n = number_of(cache, block, record);
    if (block->cache != cache)
        vm_panic(machine, __FILE__, __LINE__, "a record is freed to a cache it is not from");
    if (!(block->in_use[n / 64] >> n % 64 & 1))
        vm_panic(machine, __FILE__, __LINE__, "a record is freed twice");
    block->in_use[n / 64] &= ~(UINT64_C(1) << n % 64);
    memset(record, POISON, cache->stride);
}

#else

static inline void mark_used(struct vm_machine *machine, struct vm_cache *cache,
                             struct block *block, void *record) {
    (void)machine;
    (void)cache;
    (void)block;
    (void)record;
}

static inline void check_poison(struct vm_machine *machine, const struct vm_cache *cache,
                                const void *record) {
    (void)machine;
    (void)cache;
    (void)record;
}

static inline void mark_free(struct vm_machine *machine, struct vm_cache *cache,
                             struct block *block, void *record) {
    (void)machine;
    (void)cache;
    (void)block;
    (void)record;
}

#endif

/* ---------------------------------------------------------------- blocks */

static inline struct block *block_of(const struct vm_cache *cache, const void *record) {
    return (struct block *)((uintptr_t)record & ~((uintptr_t)cache->block_bytes - 1));
}

/* An empty block in front of those with room. NULL: the port has no memory. */
static struct block *add_block(struct vm_machine *machine, struct vm_cache *cache) {
    struct block *block = cache->spare;
    if (block)
        cache->spare = NULL;
    else {
        block = take_from_port(machine, cache, cache->block_bytes, cache->block_bytes);
        if (!block)
            return NULL;
        memset(block, 0, sizeof(*block));
        block->cache = cache;
    }
    vm_link_add(&cache->roomy, &block->link);
    return block;
}

static void retire_block(struct vm_machine *machine, struct vm_cache *cache, struct block *block) {
    vm_link_remove(&block->link);
    if (cache->spare)
        return_to_port(machine, cache, block, cache->block_bytes);
    else
        cache->spare = block;
}

static inline void *take_record(struct vm_machine *machine, struct vm_cache *cache,
                                struct block *block) {
    struct free_record *record = block->free;
    if (record) {
        check_poison(machine, cache, record);
        block->free = record->next;
    } else
        record = (void *)((char *)block + cache->first + block->carved++ * cache->stride);
    if (++block->used == cache->per_block)
        vm_link_remove(&block->link);
    mark_used(machine, cache, block, record);
    return record;
}

/* => the block has room now; brings it to the front */
static inline void put_record(struct vm_machine *machine, struct vm_cache *cache,
                              struct block *block, void *object) {
    mark_free(machine, cache, block, object);
    struct free_record *record = object;
    record->next = block->free;
    block->free = record;
    block->used--;
    if (cache->roomy.next != &block->link) {
        vm_link_remove(&block->link); /* a full block is a ring of its own: harmless */
        vm_link_add(&cache->roomy, &block->link);
    }
}

/* => the cache's lock is held. NULL: the port has no memory */
static void *take_from_blocks(struct vm_machine *machine, struct vm_cache *cache) {
    struct block *block = vm_link_empty(&cache->roomy)
                              ? add_block(machine, cache)
                              : vm_link_entry(cache->roomy.next, struct block, link);
    return block ? take_record(machine, cache, block) : NULL;
}

static void give_to_block(struct vm_machine *machine, struct vm_cache *cache, void *record) {
    struct block *block = block_of(cache, record);

    put_record(machine, cache, block, record);
    if (block->used == 0)
        retire_block(machine, cache, block);
}

/* ---------------------------------------------------------------- magazines */

static inline struct magazine *own_magazine(struct vm_machine *machine, struct vm_cache *cache) {
    return &cache->magazines[vm_cpu_number(machine)];
}

/* In debug builds records in a magazine are filled with the pattern, as those in blocks are. */
static void poison(const struct vm_cache *cache, void *record) {
#if VM_DEBUG >= 2
    memset(record, POISON, cache->stride);
#endif
    (void)cache;
    (void)record;
}

static void check_not_there(struct vm_machine *machine, const struct vm_cache *cache,
                            const struct magazine *magazine, const void *record) {
#if VM_DEBUG >= 2
    if (block_of(cache, record)->cache != cache)
        vm_panic(machine, __FILE__, __LINE__, "a record is freed to a cache it is not from");
    for (uint32_t i = 0; i < magazine->count; i++)
        if (magazine->records[i] == record)
            vm_panic(machine, __FILE__, __LINE__, "a record is freed twice");
#endif
    (void)machine;
    (void)cache;
    (void)magazine;
    (void)record;
}

/* To the half, as far as the port has memory. */
static void fill(struct vm_machine *machine, struct vm_cache *cache, struct magazine *magazine) {
    void *record;

    vm_lock(machine, &cache->lock, VM_RANK_CACHE);
    while (magazine->count < MAGAZINE_RECORDS / 2 && (record = take_from_blocks(machine, cache))) {
        poison(cache, record);
        magazine->records[magazine->count++] = record;
    }
    note_peak(machine, cache);
    vm_unlock(machine, &cache->lock, VM_RANK_CACHE);
}

/* Those that have lain there longest go. */
static void empty(struct vm_machine *machine, struct vm_cache *cache, struct magazine *magazine,
                  uint32_t records) {
    vm_lock(machine, &cache->lock, VM_RANK_CACHE);
    for (uint32_t i = 0; i < records; i++)
        give_to_block(machine, cache, magazine->records[i]);
    note_peak(machine, cache);
    vm_unlock(machine, &cache->lock, VM_RANK_CACHE);
    magazine->count -= records;
    memmove(magazine->records, magazine->records + records,
            magazine->count * sizeof *magazine->records);
}

static void *take_from_magazine(struct vm_machine *machine, struct vm_cache *cache) {
    struct magazine *magazine = own_magazine(machine, cache);

    if (magazine->count == 0)
        fill(machine, cache, magazine);
    if (magazine->count == 0)
        return NULL;
    void *record = magazine->records[magazine->count - 1];
    check_poison(machine, cache, record);
    magazine->count--;
    write(&magazine->live, read(&magazine->live) + 1);
    return record;
}

static void give_to_magazine(struct vm_machine *machine, struct vm_cache *cache, void *record) {
    struct magazine *magazine = own_magazine(machine, cache);

    check_not_there(machine, cache, magazine, record);
    if (magazine->count == MAGAZINE_RECORDS)
        empty(machine, cache, magazine, MAGAZINE_RECORDS / 2);
    write(&magazine->live, read(&magazine->live) - 1);
    poison(cache, record);
    magazine->records[magazine->count++] = record;
}

/* ---------------------------------------------------------------- records of one size */

void *vm_cache_allocate(struct vm_machine *machine, struct vm_cache *cache) {
    VM_ASSERT(machine, cache->stride != 0);
    if (cache->magazines)
        return take_from_magazine(machine, cache);
    vm_lock(machine, &cache->lock, VM_RANK_CACHE);
    void *record = take_from_blocks(machine, cache);
    if (record)
        count_in(machine, cache, cache->stride);
    vm_unlock(machine, &cache->lock, VM_RANK_CACHE);
    return record;
}

void vm_cache_free(struct vm_machine *machine, struct vm_cache *cache, void *object) {
    if (cache->magazines) {
        give_to_magazine(machine, cache, object);
        return;
    }
    vm_lock(machine, &cache->lock, VM_RANK_CACHE);
    give_to_block(machine, cache, object);
    count_out(machine, cache, cache->stride);
    vm_unlock(machine, &cache->lock, VM_RANK_CACHE);
}

/* ---------------------------------------------------------------- records of different sizes */

static size_t port_alignment(size_t alignment) {
    return alignment < 16 ? 16 : alignment;
}

void *vm_cache_allocate_bytes(struct vm_machine *machine, struct vm_cache *cache, size_t bytes,
                              size_t alignment) {
    VM_ASSERT(machine, cache->stride == 0);
    vm_lock(machine, &cache->lock, VM_RANK_CACHE);
    void *object = take_from_port(machine, cache, bytes, port_alignment(alignment));
    if (object)
        count_in(machine, cache, bytes);
    vm_unlock(machine, &cache->lock, VM_RANK_CACHE);
    return object;
}

void vm_cache_free_bytes(struct vm_machine *machine, struct vm_cache *cache, void *object,
                         size_t bytes) {
    vm_lock(machine, &cache->lock, VM_RANK_CACHE);
    return_to_port(machine, cache, object, bytes);
    count_out(machine, cache, bytes);
    vm_unlock(machine, &cache->lock, VM_RANK_CACHE);
}

/* ---------------------------------------------------------------- making caches */

static size_t round_up(size_t bytes, size_t alignment) {
    return (bytes + alignment - 1) / alignment * alignment;
}

static void lay_out(struct vm_cache *cache, size_t object_bytes, size_t alignment) {
    if (object_bytes == 0)
        return;
    if (alignment < _Alignof(struct free_record))
        alignment = _Alignof(struct free_record);
    cache->stride = round_up(object_bytes, alignment);
    cache->first = round_up(sizeof(struct block), alignment);
    cache->block_bytes = BLOCK_BYTES_LEAST;
    while ((cache->block_bytes - cache->first) / cache->stride < RECORDS_LEAST ||
           cache->block_bytes < cache->first)
        cache->block_bytes *= 2;
    cache->per_block = (uint32_t)((cache->block_bytes - cache->first) / cache->stride);
}

static size_t magazines_bytes(const struct vm_cache *cache) {
    return cache->magazine_count * sizeof *cache->magazines;
}

/* False: no memory. */
static bool make_magazines(struct vm_machine *machine, struct vm_cache *cache) {
    if (machine->config.cpus <= 1 || cache->stride == 0 || cache->stride > MAGAZINE_STRIDE)
        return true;
    cache->magazine_count = machine->config.cpus;
    cache->magazines =
        machine->port->allocate(machine->port, magazines_bytes(cache), _Alignof(struct magazine));
    if (cache->magazines)
        memset(cache->magazines, 0, magazines_bytes(cache));
    return cache->magazines != NULL;
}

static void end_magazines(struct vm_machine *machine, struct vm_cache *cache) {
    if (!cache->magazines)
        return;
    for (unsigned i = 0; i < cache->magazine_count; i++)
        empty(machine, cache, &cache->magazines[i], cache->magazines[i].count);
    machine->port->release(machine->port, cache->magazines, magazines_bytes(cache));
}

struct vm_cache *vm_cache_create(struct vm_machine *machine, const char *name, enum vm_cost cost,
                                 size_t object_bytes, size_t alignment) {
    struct vm_cache *cache =
        machine->port->allocate(machine->port, sizeof(*cache), port_alignment(0));
    if (!cache)
        return NULL;
    *cache = (struct vm_cache){ .name = name, .cost = cost, .object_bytes = object_bytes };
    lay_out(cache, object_bytes, alignment);
    vm_link_init(&cache->roomy);
    if (!make_magazines(machine, cache)) {
        machine->port->release(machine->port, cache, sizeof(*cache));
        return NULL;
    }
    vm_lock(machine, &machine->caches_lock, VM_RANK_CACHE);
    cache->older = machine->caches;
    machine->caches = cache;
    vm_unlock(machine, &machine->caches_lock, VM_RANK_CACHE);
    return cache;
}

static void forget(struct vm_machine *machine, const struct vm_cache *cache) {
    vm_lock(machine, &machine->caches_lock, VM_RANK_CACHE);
    struct vm_cache **at = &machine->caches;
    while (*at != cache)
        at = &(*at)->older;
    *at = cache->older;
    vm_unlock(machine, &machine->caches_lock, VM_RANK_CACHE);
}

void vm_cache_destroy(struct vm_machine *machine, struct vm_cache *cache) {
    VM_ASSERT(machine, vm_cache_live(cache) == 0);
    forget(machine, cache);
    end_magazines(machine, cache);
    if (cache->spare)
        return_to_port(machine, cache, cache->spare, cache->block_bytes);
    machine->port->release(machine->port, cache, sizeof(*cache));
}
