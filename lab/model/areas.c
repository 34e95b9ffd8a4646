/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * areas.c - see areas.h.
 */
#include "model/areas.h"

#include "memory.h"

#include <stdlib.h>
#include <string.h>

struct model_object *model_object_get(struct model_object *object) {
    if (object)
        object->references++;
    return object;
}

void model_object_put(struct model_object *object) {
    if (!object || --object->references)
        return;
    pthread_mutex_destroy(&object->lock);
    page_map_free(&object->written);
    free(object);
}

size_t areas_find(struct model_areas *areas, uint64_t address) {
    size_t last = areas->last;
    if (last < areas->count && areas->list[last].start <= address &&
        address < areas->list[last].end)
        return last;
    size_t low = 0, high = areas->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (areas->list[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return areas->last = low;
}

struct model_area *areas_at(struct model_areas *areas, uint64_t address) {
    size_t i = areas_find(areas, address);
    return i < areas->count && areas->list[i].start <= address ? &areas->list[i] : NULL;
}

static void make_room(struct model_areas *areas, size_t at) {
    areas->list = grow_array(areas->list, &areas->room, areas->count + 1, sizeof(*areas->list));
    memmove(&areas->list[at + 1], &areas->list[at], (areas->count - at) * sizeof(*areas->list));
    areas->count++;
}

/* [start...|...end) becomes [start...address) [address...end) if an area lies across the address. */
static void cut_at(struct model_areas *areas, uint64_t address) {
    size_t i = areas_find(areas, address);
    if (i == areas->count || areas->list[i].start >= address)
        return;
    make_room(areas, i);
    struct model_area *lower = &areas->list[i], *upper = &areas->list[i + 1];
    *lower = *upper;
    model_object_get(upper->object);
    lower->end = upper->start = address;
    if (upper->object)
        upper->pgoff += (lower->end - lower->start) >> VM_PAGE_SHIFT;
}

size_t areas_cut(struct model_areas *areas, uint64_t start, uint64_t end, size_t *first) {
    cut_at(areas, start);
    cut_at(areas, end);
    *first = areas_find(areas, start);
    size_t behind = *first;
    while (behind < areas->count && areas->list[behind].start < end)
        behind++;
    return behind;
}

void areas_insert(struct model_areas *areas, const struct model_area *area) {
    size_t at = areas_find(areas, area->start);
    make_room(areas, at);
    areas->list[at] = *area;
}

void areas_remove(struct model_areas *areas, size_t first, size_t end) {
    if (first == end)
        return;
    for (size_t i = first; i < end; i++)
        model_object_put(areas->list[i].object);
    memmove(&areas->list[first], &areas->list[end], (areas->count - end) * sizeof(*areas->list));
    areas->count -= end - first;
}

void areas_copy(struct model_areas *to, const struct model_areas *from) {
    for (size_t i = 0; i < from->count; i++) {
        if (from->list[i].dontfork)
            continue;
        to->list = grow_array(to->list, &to->room, to->count + 1, sizeof(*to->list));
        to->list[to->count] = from->list[i];
        model_object_get(to->list[to->count++].object);
    }
}

void areas_clear(struct model_areas *areas) {
    areas_remove(areas, 0, areas->count);
    free(areas->list);
    *areas = (struct model_areas){ 0 };
}
