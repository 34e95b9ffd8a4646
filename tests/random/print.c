/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * print.c - ops as lines of a trace. What the format lacks stands as the event that comes to the same.
 */
#include "play.h"

#include <inttypes.h>

static const char *const advice_words[] = {
    [VM_MADV_NORMAL] = "normal",
    [VM_MADV_RANDOM] = "random",
    [VM_MADV_SEQUENTIAL] = "sequential",
    [VM_MADV_WILLNEED] = "willneed",
    [VM_MADV_DONTNEED] = "dontneed",
    [VM_MADV_FREE] = "free",
    [VM_MADV_COLD] = "cold",
    [VM_MADV_PAGEOUT] = "pageout",
    [VM_MADV_DONTFORK] = "dontfork",
    [VM_MADV_DOFORK] = "dofork",
    [VM_MADV_HUGEPAGE] = "hugepage",
    [VM_MADV_NOHUGEPAGE] = "nohugepage",
};

void print_op(const struct play_state *state, const struct random_op *op) {
    char text[OP_TEXT_BYTES];
    if (!state->request->print)
        return;
    fprintf(state->request->print, "# op %s\n", op_text(op, text));
    fflush(state->request->print);
}

static void print_protection(FILE *file, unsigned protection) {
    fprintf(file, " %c%c%c", protection & VM_PROT_READ ? 'r' : '-',
            protection & VM_PROT_WRITE ? 'w' : '-', protection & VM_PROT_EXEC ? 'x' : '-');
}

static void print_map(FILE *file, const struct trace_event *event) {
    fprintf(file, "m %" PRIu32 " %" PRIx64 " %" PRIx64, event->pid, event->map.address,
            event->map.length);
    print_protection(file, event->map.protection);
    fputc(event->map.shared ? 's' : 'p', file);
    if (event->map.id == TRACE_ANONYMOUS)
        fputs(" - 0\n", file);
    else
        fprintf(file, " %" PRIu32 " %" PRIx64 "\n", event->map.id, event->map.pgoff);
}

static void print_range(FILE *file, const struct trace_event *event) {
    fprintf(file, "%c %" PRIu32 " %" PRIx64 " %" PRIx64, (char)event->kind, event->pid,
            event->range.address, event->range.length);
}

void print_event(const struct play_state *state, const struct trace_event *event) {
    FILE *file = state->request->print;
    if (!file)
        return;
    switch (event->kind) {
    case EVENT_OBJECT:
        fprintf(file, "o %" PRIu32 " %s %" PRIx64 " object\n", event->declare.id,
                event->declare.kind == OBJECT_FILE ? "file" : "shm", event->declare.size);
        break;
    case EVENT_RESIZE:
        fprintf(file, "g %" PRIu32 " %" PRIx64 "\n", event->resize.id, event->resize.size);
        break;
    case EVENT_PROCESS:
    case EVENT_EXEC:
        fprintf(file, "%c %" PRIu32 " program\n", (char)event->kind, event->pid);
        break;
    case EVENT_FORK:
        fprintf(file, "f %" PRIu32 " %" PRIu32 "\n", event->pid, event->child.pid);
        break;
    case EVENT_EXIT:
        fprintf(file, "e %" PRIu32 "\n", event->pid);
        break;
    case EVENT_MAP:
        print_map(file, event);
        break;
    case EVENT_PROTECT:
        print_range(file, event);
        print_protection(file, event->protect.protection);
        fputc('\n', file);
        break;
    case EVENT_MOVE:
        fprintf(file, "v %" PRIu32 " %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 "\n", event->pid,
                event->move.old_address, event->move.old_length, event->move.new_address,
                event->move.new_length);
        break;
    case EVENT_REARRANGE:
        print_range(file, event);
        fprintf(file, " %" PRIx64 "\n", event->rearrange.pgoff);
        break;
    case EVENT_ADVISE:
        print_range(file, event);
        fprintf(file, " %s\n", advice_words[event->advise.advice]);
        break;
    case EVENT_READ:
    case EVENT_WRITE:
        fprintf(file, "%c %" PRIu32 " %" PRIx64 " %" PRIu64 "\n", (char)event->kind, event->pid,
                event->touch.address, event->touch.pages);
        break;
    default:
        print_range(file, event);
        fputc('\n', file);
    }
    fflush(file);
}
