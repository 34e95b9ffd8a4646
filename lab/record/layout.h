/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The areas of one recorded address space: sorted, never overlapping, neighbours that continue each
 * other joined.
 *
 * The recorder needs them only to complete what events leave out: where a growing stack ended, what
 * mlockall covers, what stays behind a mremap, whether a fault lies beyond a file's known end.
 * Functions that return int give 0, or -1 when memory is short and nothing was changed.
 */
#ifndef OBJRMAP_LAB_RECORD_LAYOUT_H
#define OBJRMAP_LAB_RECORD_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace/writer.h"

enum { PAGE = 4096 };

static inline uint64_t page_floor(uint64_t address) {
    return address & ~(uint64_t)(PAGE - 1);
}

static inline uint64_t page_ceiling(uint64_t address) {
    return page_floor(address + PAGE - 1);
}

enum area_growth { AREA_FIXED, AREA_GROWS_DOWN };
enum area_inheritance { AREA_INHERITED, AREA_NOT_INHERITED };

struct area {
    uint64_t start;
    uint64_t end;
    uint64_t pgoff;  /* of start; 0 in anonymous memory */
    uint32_t object; /* 0 for anonymous memory */
    unsigned prot;
    enum trace_sharing sharing;
    enum area_growth growth;
    enum area_inheritance inheritance;
};

struct layout {
    struct area *list;
    size_t count;
    size_t room;
};

/* The first area that ends behind address, whether it holds it or lies above; NULL when there is
 * none. */
struct area *layout_next(const struct layout *layout, uint64_t address);
/* The area that holds address, or NULL. */
struct area *layout_find(const struct layout *layout, uint64_t address);
/* The part of an area that lies in a range; empty (start >= end) when none does. */
struct area area_within(const struct area *area, uint64_t start, uint64_t end);

int layout_cut(struct layout *layout, uint64_t start, uint64_t end);
int layout_put(struct layout *layout, const struct area *area);
int layout_protect(struct layout *layout, uint64_t start, uint64_t end, unsigned prot);
int layout_set_inheritance(struct layout *layout, uint64_t start, uint64_t end,
                           enum area_inheritance inheritance);
/* What a child gets at fork. */
int layout_inherit(struct layout *child, const struct layout *parent);
void layout_clear(struct layout *layout);

#endif
