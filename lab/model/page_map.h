/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page_map.h - a sparse map from page numbers to 64-bit values, of which 0 means "nothing here".
 *
 * A sorted array of chunks of 64 pages. Copies share chunks until one of them writes, so copying a
 * process's pages at every fork costs little. Two maps may be used by two threads, whatever they share;
 * one map, even to look at it, by one.
 */
#ifndef OBJRMAP_LAB_MODEL_PAGE_MAP_H
#define OBJRMAP_LAB_MODEL_PAGE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct page_chunk;

/* All zero is an empty map. */
struct page_map {
    struct page_map_slot {
        uint64_t key; /* page number / pages of a chunk */
        struct page_chunk *chunk;
    } * slots;
    size_t count, room;
    size_t last; /* the slot found last */
};

uint64_t page_map_get(struct page_map *map, uint64_t page);
void page_map_set(struct page_map *map, uint64_t page, uint64_t value);

/* Pages of [first, end) become nothing. */
void page_map_clear(struct page_map *map, uint64_t first, uint64_t end);

/* Values of [from, from + pages) go to [to, to + pages), which held nothing; the two are disjoint. */
void page_map_move(struct page_map *map, uint64_t from, uint64_t pages, uint64_t to);

/* `to` was empty. */
void page_map_copy(struct page_map *to, const struct page_map *from);

/* Finds the first page at or after *page that has a value. */
bool page_map_next(struct page_map *map, uint64_t *page, uint64_t *value);

void page_map_free(struct page_map *map);

#endif
