/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mappings that no system call of the program's own asked for: those of exec, and stacks that grew.
 *
 * What the kernel maps in an exec is known only from its mapping records, in this order:
 *
 *     //anon    the stack where it was built, before it moved to its place: told only when it is
 *               executable, and ignored
 *     [stack]   in place, and already grown by the 128 KiB that the kernel gives at the start
 *     FILE      the program's segments. A position-independent image comes first as one mapping of
 *               its whole length, whose part behind the first segment is taken away again without
 *               a record; so that is cut off here
 *     FILE      the interpreter's, likewise; then memory behind segments, [vdso], [vvar]
 *
 * Argument strings were written while the stack was built, unseen by any fault, so those pages are
 * touched here.
 */
#include "decode.h"

#include <string.h>

enum { STACK_GROWN_AT_START = 128 * 1024 };

static void load_stack(struct decoder *decoder, struct space *space, struct area area) {
    uint64_t length = area.end - area.start;
    uint64_t built = length > STACK_GROWN_AT_START ? length - STACK_GROWN_AT_START : PAGE;
    area.growth = AREA_GROWS_DOWN;
    emit_map(decoder, space, &area);
    emit_touches(decoder, space, EVENT_WRITE, area.end - built, area.end);
}

static void keep_first_segment(struct decoder *decoder, struct task *task, struct area *area) {
    if (!area->object || area->object == task->loaded_object)
        return;
    task->loaded_object = area->object;
    struct object *object = objects_by_id(&decoder->objects, area->object);
    uint64_t segment = object_first_segment(object, task->process->pid);
    if (segment > 0 && segment < area->end - area->start)
        area->end = area->start + segment;
}

void load_mapping(struct decoder *decoder, struct task *task, const struct mapping *mapping) {
    struct space *space = task->process->space;
    bool stack = strcmp(mapping->name, "[stack]") == 0;
    if (task->exec == EXEC_BEFORE_STACK && !stack && mapping->inode == 0)
        return;
    task->exec = EXEC_LOADING;
    struct area area = mapped_area(decoder, mapping, task->process->pid);
    if (stack) {
        load_stack(decoder, space, area);
        return;
    }
    keep_first_segment(decoder, task, &area);
    emit_map(decoder, space, &area);
}

/* What the record covers and the picture does not have yet; the record shows neighbours that were
 * joined as one. */
void adopt_mapping(struct decoder *decoder, struct task *task, const struct mapping *mapping) {
    struct space *space = task->process->space;
    const struct area *top = layout_find(&space->layout, mapping->end - 1);
    struct area area;
    if (top && top->growth == AREA_GROWS_DOWN) {
        area = *top;
        area.start = mapping->start;
    } else {
        area = mapped_area(decoder, mapping, task->process->pid);
    }
    uint64_t at = mapping->start;
    while (at < mapping->end) {
        const struct area *next = layout_next(&space->layout, at);
        uint64_t gap_end = next && next->start < mapping->end ? next->start : mapping->end;
        uint64_t after = next && next->start < mapping->end ? next->end : mapping->end;
        if (gap_end > at) {
            struct area gap = area_within(&area, at, gap_end);
            emit_map(decoder, space, &gap);
        }
        at = after;
    }
}
