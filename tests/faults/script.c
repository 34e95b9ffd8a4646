/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * script.c - see script.h.
 */
#include "script.h"

#include "memory.h"
#include "trace/reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct script *script, const struct step *step) {
    script->steps =
        grow_array(script->steps, &script->room, script->count + 1, sizeof(*script->steps));
    script->steps[script->count++] = *step;
}

static bool touches(enum op_kind kind) {
    return kind == RANDOM_READ || kind == RANDOM_WRITE || kind == RANDOM_EXECUTE ||
           kind == RANDOM_FAULT;
}

void script_add_op(struct script *script, const struct random_op *op, uint64_t line) {
    struct step step = { .is_op = true, .op = *op, .line = line };
    if (!touches(op->kind)) {
        add(script, &step);
        return;
    }
    step.op.pages = 1;
    for (uint64_t i = 0; i < op->pages; i++, step.op.page++)
        add(script, &step);
}

/* ---------------------------------------------------------------- files */

static void add_event(struct script *script, const struct trace_event *event) {
    struct step step = { .event = *event, .line = event->line };
    switch (event->kind) {
    case EVENT_OBJECT: /* names are the reader's, and soon gone */
        step.event.declare.name = "object";
        break;
    case EVENT_PROCESS:
    case EVENT_EXEC:
        step.event.program.name = "program";
        break;
    case EVENT_TIME:
    case EVENT_CPU:
    case EVENT_NOTE:
        return;
    case EVENT_READ:
    case EVENT_WRITE:
        step.event.touch.pages = 1;
        for (uint64_t i = 0; i < event->touch.pages; i++, step.event.touch.address += VM_PAGE_SIZE)
            add(script, &step);
        return;
    default:
        break;
    }
    add(script, &step);
}

static bool read_trace(struct script *script, const char *path) {
    struct trace_reader *reader = trace_open(path);
    struct trace_event event;
    enum trace_status status;
    if (!reader)
        return false;
    while ((status = trace_next(reader, &event)) == TRACE_EVENT)
        add_event(script, &event);
    if (status == TRACE_INVALID)
        fprintf(stderr, "%s\n", trace_error(reader));
    trace_close(reader);
    return status == TRACE_END;
}

static bool holds_ops(const char *path) {
    char line[1000];
    bool found = false;
    FILE *file = fopen(path, "r");
    while (file && !found && fgets(line, sizeof(line), file))
        found = strncmp(line, "# op ", 5) == 0;
    if (file)
        fclose(file);
    return found;
}

bool script_read(struct script *script, const char *path) {
    struct sequence sequence = { 0 };
    *script = (struct script){ .name = path };
    if (!holds_ops(path))
        return read_trace(script, path);
    if (!plan_read(path, &script->machine, &sequence))
        return false;
    for (size_t i = 0; i < sequence.count; i++)
        script_add_op(script, &sequence.ops[i], i + 1);
    sequence_free(&sequence);
    return true;
}

void script_free(struct script *script) {
    free(script->steps);
    *script = (struct script){ 0 };
}

const char *step_text(const struct step *step, char text[STEP_TEXT_BYTES]) {
    char op[OP_TEXT_BYTES];
    if (step->is_op)
        snprintf(text, STEP_TEXT_BYTES, "op %" PRIu64 " (%s)", step->line, op_text(&step->op, op));
    else
        snprintf(text, STEP_TEXT_BYTES, "line %" PRIu64 " (%c)", step->line,
                 (char)step->event.kind);
    return text;
}
