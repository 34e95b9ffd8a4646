/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * print.c - programs as traces: each op stands as a comment, and below it the event that it is.
 */
#include "program.h"

static struct trace_event move_of(const struct random_op *op) {
    struct trace_event event = { .kind = EVENT_MOVE };
    event.move.old_address = PAGE_AT(op->page);
    event.move.old_length = PAGES(op->pages);
    event.move.new_address = PAGE_AT(op->flags & VM_MREMAP_FIXED ? op->to_page : op->page);
    event.move.new_length = PAGES(op->to_pages);
    return event;
}

static struct trace_event map_of(const struct random_op *op) {
    struct trace_event event = { .kind = EVENT_MAP };
    event.map.address = PAGE_AT(op->page);
    event.map.length = PAGES(op->pages);
    event.map.protection = (unsigned)op->protection;
    event.map.shared = op->flags & VM_MAP_SHARED;
    event.map.id = op->object ? (uint32_t)op->object : TRACE_ANONYMOUS;
    event.map.pgoff = op->pgoff;
    return event;
}

/* Of kinds whose words begin alike: address and length. */
static struct trace_event range_of(const struct random_op *op, enum event_kind kind) {
    struct trace_event event = { .kind = kind };
    event.range.address = PAGE_AT(op->page);
    event.range.length = PAGES(op->pages);
    return event;
}

static struct trace_event touch_of(const struct random_op *op, enum event_kind kind) {
    struct trace_event event = { .kind = kind };
    event.touch.address = PAGE_AT(op->page);
    event.touch.pages = op->pages;
    return event;
}

/* False: traces have no word for it. */
static bool event_of(const struct random_op *op, struct trace_event *event) {
    *event = (struct trace_event){ .kind = EVENT_EXIT };
    switch (op->kind) {
    case RANDOM_FORK:
        event->kind = EVENT_FORK;
        event->child.pid = (uint32_t)op->child + 1;
        break;
    case RANDOM_EXIT:
        break;
    case RANDOM_TRUNCATE:
        event->kind = EVENT_RESIZE;
        event->resize.id = (uint32_t)op->object;
        event->resize.size = PAGES(op->pages) + op->value;
        break;
    case RANDOM_MAP:
        *event = map_of(op);
        break;
    case RANDOM_MOVE:
        *event = move_of(op);
        if (!op->pages && event->move.new_address == event->move.old_address)
            return false; /* where the second one goes is not known before */
        break;
    case RANDOM_UNMAP:
        *event = range_of(op, EVENT_UNMAP);
        break;
    case RANDOM_LOCK:
        *event = range_of(op, EVENT_LOCK);
        break;
    case RANDOM_UNLOCK:
        *event = range_of(op, EVENT_UNLOCK);
        break;
    case RANDOM_SYNC:
        *event = range_of(op, EVENT_SYNC);
        break;
    case RANDOM_PROTECT:
        *event = range_of(op, EVENT_PROTECT);
        event->protect.protection = (unsigned)op->protection;
        break;
    case RANDOM_REARRANGE:
        *event = range_of(op, EVENT_REARRANGE);
        event->rearrange.pgoff = op->pgoff;
        break;
    case RANDOM_ADVISE:
        *event = range_of(op, EVENT_ADVISE);
        event->advise.advice = (enum vm_advice)op->value;
        break;
    case RANDOM_READ:
        *event = touch_of(op, EVENT_READ);
        break;
    case RANDOM_WRITE:
        *event = touch_of(op, EVENT_WRITE);
        break;
    default:
        return false;
    }
    event->pid = (uint32_t)op->process + 1;
    return true;
}

void program_print(const struct sequence *program, struct trace_writer *writer) {
    static const char *const names[] = { "memory", "disk", "read-only" };
    char text[OP_TEXT_BYTES];
    for (uint32_t id = OBJECT_MEMORY; id <= JUDGED_OBJECTS; id++)
        trace_object(writer, id, id == OBJECT_MEMORY ? OBJECT_SHM : OBJECT_FILE,
                     PAGES(OBJECT_PAGES), names[id - 1]);
    trace_process(writer, 1, "program");
    for (size_t i = 0; i < program->count; i++) {
        struct trace_event event;
        trace_comment(writer, "op %s", op_text(&program->ops[i], text));
        if (event_of(&program->ops[i], &event))
            trace_write(writer, &event);
    }
}
