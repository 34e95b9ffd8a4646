/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing what changes a space: the line in the trace and the recorder's own picture of that space,
 * always together.
 */
#include "decode.h"

#include <string.h>

void expect(struct decoder *decoder, int result) {
    if (result)
        decoder->out_of_memory = true;
}

void emit_map(struct decoder *decoder, struct space *space, const struct area *area) {
    if (area->start >= area->end)
        return;
    expect(decoder, layout_put(&space->layout, area));
    trace_map(decoder->writer, space->pid,
              &(struct trace_area){ .address = area->start,
                                    .length = area->end - area->start,
                                    .pgoff = area->pgoff,
                                    .object = area->object,
                                    .prot = area->prot,
                                    .sharing = area->sharing });
    if (space->locks_future)
        trace_lock(decoder->writer, space->pid, area->start, area->end - area->start);
}

void emit_unmap(struct decoder *decoder, struct space *space, uint64_t start, uint64_t end) {
    if (start >= end)
        return;
    expect(decoder, layout_cut(&space->layout, start, end));
    trace_unmap(decoder->writer, space->pid, start, end - start);
}

void emit_touch(struct decoder *decoder, struct space *space, enum event_kind kind, uint64_t page) {
    const struct area *area = layout_find(&space->layout, page);
    if (area && area->object)
        object_touched(&decoder->objects, objects_by_id(&decoder->objects, area->object),
                       area->pgoff * PAGE + (page - area->start));
    trace_touch(decoder->writer, space->pid, kind, page, 1);
}

/* The kernel fills in no page beyond an object's end; a program that asks for it gets what there
 * is. */
static uint64_t end_of_contents(const struct decoder *decoder, const struct area *area) {
    if (!area->object)
        return area->end;
    uint64_t contents = page_ceiling(objects_by_id(&decoder->objects, area->object)->size);
    uint64_t before = area->pgoff * PAGE;
    uint64_t inside = contents > before ? contents - before : 0;
    return inside < area->end - area->start ? area->start + inside : area->end;
}

void emit_touches(struct decoder *decoder, struct space *space, enum event_kind kind,
                  uint64_t start, uint64_t end) {
    for (const struct area *area = layout_next(&space->layout, start); area && area->start < end;
         area = layout_next(&space->layout, area->end)) {
        struct area part = area_within(area, start, end);
        uint64_t last = end_of_contents(decoder, &part);
        if (last > part.start)
            trace_touch(decoder->writer, space->pid, kind, part.start, (last - part.start) / PAGE);
    }
}

/* The kernel's names for memory without a file; other bracketed names are its special mappings. */
static bool is_anonymous(const struct mapping *mapping) {
    if (mapping->inode == 0 && mapping->major == 0 && mapping->minor == 0)
        return strcmp(mapping->name, "//anon") == 0 || strcmp(mapping->name, "[heap]") == 0 ||
               strncmp(mapping->name, "[stack", 6) == 0 || strncmp(mapping->name, "[anon", 5) == 0;
    return !mapping->shared && strcmp(mapping->name, "/dev/zero") == 0;
}

struct area mapped_area(struct decoder *decoder, const struct mapping *mapping, uint32_t pid) {
    struct area area = { .start = mapping->start,
                         .end = mapping->end,
                         .prot = mapping->prot,
                         .sharing = mapping->shared ? TRACE_SHARED : TRACE_PRIVATE };
    if (is_anonymous(mapping))
        return area;
    struct object_identity identity = { .major = mapping->major,
                                        .minor = mapping->minor,
                                        .inode = mapping->inode,
                                        .generation = mapping->generation,
                                        .name = mapping->name };
    struct object_use use = { .pid = pid,
                              .start = mapping->start,
                              .end = mapping->end,
                              .pgoff = mapping->pgoff,
                              .sharing = area.sharing };
    struct object *object = objects_map(&decoder->objects, &identity, &use);
    expect(decoder, object ? 0 : -1);
    area.object = object ? object->id : 0;
    area.pgoff = object ? mapping->pgoff : 0;
    return area;
}
