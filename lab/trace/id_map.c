/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * id_map.c - removal shifts later entries of the same probe sequence back, so there are no
 * tombstones and a table that processes come to and leave from for hours stays as fast as new.
 */
#include "trace/id_map.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 64 };

static uint32_t home(const struct id_map *map, uint32_t id) {
    return (uint32_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & map->mask;
}

uint32_t id_map_find(const struct id_map *map, uint32_t id) {
    if (!map->slots)
        return ID_MAP_NONE;
    for (uint32_t i = home(map, id); map->slots[i].index_plus_one; i = (i + 1) & map->mask)
        if (map->slots[i].id == id)
            return map->slots[i].index_plus_one - 1;
    return ID_MAP_NONE;
}

static void place(struct id_map *map, struct id_map_slot slot) {
    uint32_t i = home(map, slot.id);
    while (map->slots[i].index_plus_one)
        i = (i + 1) & map->mask;
    map->slots[i] = slot;
}

static bool grow(struct id_map *map) {
    uint32_t count = map->slots ? (map->mask + 1) * 2 : FIRST_SLOTS;
    struct id_map bigger = { calloc(count, sizeof(struct id_map_slot)), count - 1, map->used };
    if (!bigger.slots)
        return false;
    for (uint32_t i = 0; map->slots && i <= map->mask; i++)
        if (map->slots[i].index_plus_one)
            place(&bigger, map->slots[i]);
    free(map->slots);
    *map = bigger;
    return true;
}

bool id_map_add(struct id_map *map, uint32_t id, uint32_t index) {
    if ((!map->slots || map->used * 2 > map->mask) && !grow(map))
        return false;
    place(map, (struct id_map_slot){ id, index + 1 });
    map->used++;
    return true;
}

void id_map_remove(struct id_map *map, uint32_t id) {
    uint32_t hole = home(map, id);
    while (map->slots[hole].id != id || !map->slots[hole].index_plus_one)
        hole = (hole + 1) & map->mask;
    for (uint32_t i = (hole + 1) & map->mask; map->slots[i].index_plus_one;
         i = (i + 1) & map->mask) {
        uint32_t distance_from_home = (i - home(map, map->slots[i].id)) & map->mask;
        uint32_t distance_from_hole = (i - hole) & map->mask;
        if (distance_from_home < distance_from_hole)
            continue;
        map->slots[hole] = map->slots[i];
        hole = i;
    }
    map->slots[hole].index_plus_one = 0;
    map->used--;
}

void id_map_free(struct id_map *map) {
    free(map->slots);
    *map = (struct id_map){ 0 };
}
