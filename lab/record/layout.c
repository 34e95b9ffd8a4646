/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sorted array: spaces have tens of areas, the largest some ten thousand, and almost every
 * look-up ends in a fault or a call that costs the kernel far more than moving the array's tail.
 */
#include "layout.h"

#include <stdlib.h>
#include <string.h>

static size_t index_of(const struct layout *layout, uint64_t address) {
    size_t low = 0;
    size_t high = layout->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (layout->list[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct area *layout_next(const struct layout *layout, uint64_t address) {
    size_t index = index_of(layout, address);
    return index < layout->count ? &layout->list[index] : NULL;
}

struct area *layout_find(const struct layout *layout, uint64_t address) {
    struct area *area = layout_next(layout, address);
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

static int make_room(struct layout *layout, size_t more) {
    if (layout->count + more <= layout->room)
        return 0;
    size_t room = (layout->count + more) * 2;
    struct area *list = realloc(layout->list, room * sizeof(*list));
    if (!list)
        return -1;
    layout->list = list;
    layout->room = room;
    return 0;
}

static void insert_at(struct layout *layout, size_t index, const struct area *area) {
    memmove(&layout->list[index + 1], &layout->list[index],
            (layout->count - index) * sizeof(*area));
    layout->list[index] = *area;
    layout->count++;
}

static void remove_at(struct layout *layout, size_t index, size_t count) {
    memmove(&layout->list[index], &layout->list[index + count],
            (layout->count - index - count) * sizeof(struct area));
    layout->count -= count;
}

/* => room for one more. Makes address the edge of an area, should it lie within one. */
static void split(struct layout *layout, uint64_t address) {
    size_t index = index_of(layout, address);
    if (index == layout->count || layout->list[index].start >= address)
        return;
    struct area upper = area_within(&layout->list[index], address, UINT64_MAX);
    layout->list[index].end = address;
    insert_at(layout, index + 1, &upper);
}

static bool continues(const struct area *low, const struct area *high) {
    if (low->end != high->start || low->object != high->object || low->prot != high->prot ||
        low->sharing != high->sharing || low->growth != high->growth ||
        low->inheritance != high->inheritance)
        return false;
    return !low->object || low->pgoff + (low->end - low->start) / PAGE == high->pgoff;
}

static void join(struct layout *layout, size_t index) {
    if (index == 0 || index >= layout->count ||
        !continues(&layout->list[index - 1], &layout->list[index]))
        return;
    layout->list[index - 1].end = layout->list[index].end;
    remove_at(layout, index, 1);
}

static void cut(struct layout *layout, uint64_t start, uint64_t end) {
    split(layout, start);
    split(layout, end);
    size_t first = index_of(layout, start);
    size_t last = first;
    while (last < layout->count && layout->list[last].start < end)
        last++;
    remove_at(layout, first, last - first);
}

int layout_cut(struct layout *layout, uint64_t start, uint64_t end) {
    if (make_room(layout, 2))
        return -1;
    cut(layout, start, end);
    return 0;
}

int layout_put(struct layout *layout, const struct area *area) {
    if (make_room(layout, 3))
        return -1;
    cut(layout, area->start, area->end);
    size_t index = index_of(layout, area->start);
    insert_at(layout, index, area);
    join(layout, index + 1);
    join(layout, index);
    return 0;
}

/* Calls change() on each area of the range, cut to it, and joins again what then is alike. */
static int change_range(struct layout *layout, uint64_t start, uint64_t end,
                        void (*change)(struct area *area, unsigned value), unsigned value) {
    if (make_room(layout, 2))
        return -1;
    split(layout, start);
    split(layout, end);
    size_t first = index_of(layout, start);
    size_t last = first;
    for (; last < layout->count && layout->list[last].start < end; last++)
        change(&layout->list[last], value);
    for (size_t index = last + 1; index-- > first;)
        join(layout, index);
    return 0;
}

static void change_prot(struct area *area, unsigned prot) {
    area->prot = prot;
}

static void change_inheritance(struct area *area, unsigned inheritance) {
    area->inheritance = (enum area_inheritance)inheritance;
}

int layout_protect(struct layout *layout, uint64_t start, uint64_t end, unsigned prot) {
    return change_range(layout, start, end, change_prot, prot);
}

int layout_set_inheritance(struct layout *layout, uint64_t start, uint64_t end,
                           enum area_inheritance inheritance) {
    return change_range(layout, start, end, change_inheritance, inheritance);
}

int layout_inherit(struct layout *child, const struct layout *parent) {
    if (make_room(child, parent->count + 1))
        return -1;
    for (size_t i = 0; i < parent->count; i++) {
        if (parent->list[i].inheritance == AREA_INHERITED)
            child->list[child->count++] = parent->list[i];
    }
    return 0;
}

void layout_clear(struct layout *layout) {
    free(layout->list);
    *layout = (struct layout){ 0 };
}
