/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page_map.c - see page_map.h. A chunk of which all values are 0 may stay; it does no harm.
 */
#include "model/page_map.h"

#include "memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_SHIFT = 6, CHUNK_PAGES = 1 << CHUNK_SHIFT };

struct page_chunk {
    _Atomic size_t owners; /* maps that share it: while there are several, nobody writes to it */
    uint64_t values[CHUNK_PAGES];
};

/* The first slot whose key is not below `key`. */
static size_t lower_bound(struct page_map *map, uint64_t key) {
    size_t last = map->last;
    if (last < map->count && map->slots[last].key == key)
        return last;
    size_t low = 0, high = map->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->slots[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return map->last = low;
}

static struct page_chunk *chunk_of(struct page_map *map, uint64_t page) {
    size_t slot = lower_bound(map, page >> CHUNK_SHIFT);
    bool found = slot < map->count && map->slots[slot].key == page >> CHUNK_SHIFT;
    return found ? map->slots[slot].chunk : NULL;
}

static void release_chunk(struct page_chunk *chunk) {
    if (atomic_fetch_sub_explicit(&chunk->owners, 1, memory_order_acq_rel) == 1)
        free(chunk);
}

/* The slot's chunk, which no other map shares any more. */
static struct page_chunk *own_chunk(struct page_map *map, size_t slot) {
    struct page_chunk *chunk = map->slots[slot].chunk;
    if (atomic_load_explicit(&chunk->owners, memory_order_acquire) == 1)
        return chunk;
    struct page_chunk *copy = new_array(1, sizeof(*copy));
    memcpy(copy->values, chunk->values, sizeof(copy->values));
    copy->owners = 1;
    release_chunk(chunk);
    return map->slots[slot].chunk = copy;
}

static struct page_chunk *add_chunk(struct page_map *map, size_t slot, uint64_t key) {
    map->slots = grow_array(map->slots, &map->room, map->count + 1, sizeof(*map->slots));
    memmove(&map->slots[slot + 1], &map->slots[slot], (map->count - slot) * sizeof(*map->slots));
    map->count++;
    struct page_chunk *chunk = new_array(1, sizeof(*chunk));
    chunk->owners = 1;
    map->slots[slot] = (struct page_map_slot){ key, chunk };
    return chunk;
}

uint64_t page_map_get(struct page_map *map, uint64_t page) {
    struct page_chunk *chunk = chunk_of(map, page);
    return chunk ? chunk->values[page % CHUNK_PAGES] : 0;
}

void page_map_set(struct page_map *map, uint64_t page, uint64_t value) {
    uint64_t key = page >> CHUNK_SHIFT;
    size_t slot = lower_bound(map, key);
    bool found = slot < map->count && map->slots[slot].key == key;
    if (!found && !value)
        return;
    struct page_chunk *chunk = found ? own_chunk(map, slot) : add_chunk(map, slot, key);
    chunk->values[page % CHUNK_PAGES] = value;
}

/* Slots [first, end) go away. */
static void drop_slots(struct page_map *map, size_t first, size_t end) {
    for (size_t i = first; i < end; i++)
        release_chunk(map->slots[i].chunk);
    memmove(&map->slots[first], &map->slots[end], (map->count - end) * sizeof(*map->slots));
    map->count -= end - first;
}

static void clear_within_chunk(struct page_map *map, uint64_t first, uint64_t end) {
    if (first == end || !chunk_of(map, first))
        return;
    struct page_chunk *chunk = own_chunk(map, lower_bound(map, first >> CHUNK_SHIFT));
    memset(&chunk->values[first % CHUNK_PAGES], 0, (end - first) * sizeof(chunk->values[0]));
}

void page_map_clear(struct page_map *map, uint64_t first, uint64_t end) {
    uint64_t whole_first = (first + CHUNK_PAGES - 1) >> CHUNK_SHIFT, whole_end = end >> CHUNK_SHIFT;
    if (!map->count || first >= end)
        return;
    if (whole_first > whole_end) {
        clear_within_chunk(map, first, end);
        return;
    }
    clear_within_chunk(map, first, whole_first << CHUNK_SHIFT);
    clear_within_chunk(map, whole_end << CHUNK_SHIFT, end);
    size_t slot = lower_bound(map, whole_first);
    size_t end_slot = slot;
    while (end_slot < map->count && map->slots[end_slot].key < whole_end)
        end_slot++;
    if (end_slot > slot)
        drop_slots(map, slot, end_slot);
}

void page_map_move(struct page_map *map, uint64_t from, uint64_t pages, uint64_t to) {
    uint64_t value;
    for (uint64_t page = from; page_map_next(map, &page, &value) && page < from + pages; page++)
        page_map_set(map, to + (page - from), value);
    page_map_clear(map, from, from + pages);
}

void page_map_copy(struct page_map *to, const struct page_map *from) {
    to->slots = grow_array(NULL, &to->room, from->count, sizeof(*to->slots));
    to->count = from->count;
    for (size_t i = 0; i < from->count; i++) {
        to->slots[i] = from->slots[i];
        atomic_fetch_add_explicit(&to->slots[i].chunk->owners, 1, memory_order_relaxed);
    }
}

bool page_map_next(struct page_map *map, uint64_t *page, uint64_t *value) {
    uint64_t key = *page >> CHUNK_SHIFT;
    for (size_t slot = lower_bound(map, key); slot < map->count; slot++) {
        const struct page_map_slot *at = &map->slots[slot];
        for (unsigned i = at->key == key ? *page % CHUNK_PAGES : 0; i < CHUNK_PAGES; i++)
            if (at->chunk->values[i]) {
                *page = (at->key << CHUNK_SHIFT) + i;
                *value = at->chunk->values[i];
                map->last = slot;
                return true;
            }
    }
    return false;
}

void page_map_free(struct page_map *map) {
    for (size_t i = 0; i < map->count; i++)
        release_chunk(map->slots[i].chunk);
    free(map->slots);
    *map = (struct page_map){ 0 };
}
