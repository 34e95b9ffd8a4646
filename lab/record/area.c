/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sorted array: spaces have tens of areas, the largest some ten thousand, and almost every look-up ends in a fault
 * or a call that costs the kernel far more than moving the array's tail.
 */
#include "area.h"

#include <stdlib.h>
#include <string.h>

static size_t index_of(const struct areas *areas, uint64_t address) {
    size_t low = 0;
    size_t high = areas->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (areas->list[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct area *areas_next(const struct areas *areas, uint64_t address) {
    size_t index = index_of(areas, address);
    return index < areas->count ? &areas->list[index] : NULL;
}

struct area *areas_find(const struct areas *areas, uint64_t address) {
    struct area *area = areas_next(areas, address);
    return area && area->start <= address ? area : NULL;
}

struct area area_within(const struct area *area, uint64_t start, uint64_t end) {
    struct area part = *area;
    if (start > area->start) {
        part.start = start;
        if (area->object)
            part.pgoff += (start - area->start) / PAGE;
    }
    if (end < area->end)
        part.end = end;
    return part;
}

static int make_room(struct areas *areas, size_t more) {
    if (areas->count + more <= areas->room)
        return 0;
    size_t room = (areas->count + more) * 2;
    struct area *list = realloc(areas->list, room * sizeof(*list));
    if (!list)
        return -1;
    areas->list = list;
    areas->room = room;
    return 0;
}

static void insert_at(struct areas *areas, size_t index, const struct area *area) {
    memmove(&areas->list[index + 1], &areas->list[index], (areas->count - index) * sizeof(*area));
    areas->list[index] = *area;
    areas->count++;
}

static void remove_at(struct areas *areas, size_t index, size_t count) {
    memmove(&areas->list[index], &areas->list[index + count],
            (areas->count - index - count) * sizeof(struct area));
    areas->count -= count;
}

/* => room for one more. Makes address the edge of an area, should it lie within one. */
static void split(struct areas *areas, uint64_t address) {
    size_t index = index_of(areas, address);
    if (index == areas->count || areas->list[index].start >= address)
        return;
    struct area upper = area_within(&areas->list[index], address, UINT64_MAX);
    areas->list[index].end = address;
    insert_at(areas, index + 1, &upper);
}

static bool continues(const struct area *low, const struct area *high) {
    if (low->end != high->start || low->object != high->object || low->prot != high->prot ||
        low->sharing != high->sharing || low->growth != high->growth ||
        low->inheritance != high->inheritance)
        return false;
    return !low->object || low->pgoff + (low->end - low->start) / PAGE == high->pgoff;
}

static void join(struct areas *areas, size_t index) {
    if (index == 0 || index >= areas->count ||
        !continues(&areas->list[index - 1], &areas->list[index]))
        return;
    areas->list[index - 1].end = areas->list[index].end;
    remove_at(areas, index, 1);
}

static void cut(struct areas *areas, uint64_t start, uint64_t end) {
    split(areas, start);
    split(areas, end);
    size_t first = index_of(areas, start);
    size_t last = first;
    while (last < areas->count && areas->list[last].start < end)
        last++;
    remove_at(areas, first, last - first);
}

int areas_cut(struct areas *areas, uint64_t start, uint64_t end) {
    if (make_room(areas, 2))
        return -1;
    cut(areas, start, end);
    return 0;
}

int areas_put(struct areas *areas, const struct area *area) {
    if (make_room(areas, 3))
        return -1;
    cut(areas, area->start, area->end);
    size_t index = index_of(areas, area->start);
    insert_at(areas, index, area);
    join(areas, index + 1);
    join(areas, index);
    return 0;
}

/* Calls change() on each area of the range, cut to it, and joins again what then is alike. */
static int change_range(struct areas *areas, uint64_t start, uint64_t end,
                        void (*change)(struct area *area, unsigned value), unsigned value) {
    if (make_room(areas, 2))
        return -1;
    split(areas, start);
    split(areas, end);
    size_t first = index_of(areas, start);
    size_t last = first;
    for (; last < areas->count && areas->list[last].start < end; last++)
        change(&areas->list[last], value);
    for (size_t index = last + 1; index-- > first;)
        join(areas, index);
    return 0;
}

static void change_prot(struct area *area, unsigned prot) {
    area->prot = prot;
}

static void change_inheritance(struct area *area, unsigned inheritance) {
    area->inheritance = (enum area_inheritance)inheritance;
}

int areas_protect(struct areas *areas, uint64_t start, uint64_t end, unsigned prot) {
    return change_range(areas, start, end, change_prot, prot);
}

int areas_set_inheritance(struct areas *areas, uint64_t start, uint64_t end,
                          enum area_inheritance inheritance) {
    return change_range(areas, start, end, change_inheritance, inheritance);
}

int areas_inherit(struct areas *child, const struct areas *parent) {
    if (make_room(child, parent->count + 1))
        return -1;
    for (size_t i = 0; i < parent->count; i++) {
        if (parent->list[i].inheritance == AREA_INHERITED)
            child->list[child->count++] = parent->list[i];
    }
    return 0;
}

void areas_clear(struct areas *areas) {
    free(areas->list);
    *areas = (struct areas){ 0 };
}
