/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * id_map.h - from the ids that a trace uses (PIDs, object ids) to dense indices: a hash table with
 * linear probing, half full at most.
 */
#ifndef OBJRMAP_LAB_TRACE_ID_MAP_H
#define OBJRMAP_LAB_TRACE_ID_MAP_H

#include <stdbool.h>
#include <stdint.h>

#define ID_MAP_NONE UINT32_MAX

struct id_map {
    struct id_map_slot {
        uint32_t id, index_plus_one; /* 0: free */
    } * slots;                       /* NULL while empty */
    uint32_t mask, used;
};

/* The index, or ID_MAP_NONE. */
uint32_t id_map_find(const struct id_map *map, uint32_t id);

/* => the id is not in the map, index is below ID_MAP_NONE. False when out of memory. */
bool id_map_add(struct id_map *map, uint32_t id, uint32_t index);

/* => the id is in the map. */
void id_map_remove(struct id_map *map, uint32_t id);

void id_map_free(struct id_map *map);

#endif
