/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes traces, format version 1: one function for each kind of line, and one for any event.
 *
 * Touches of consecutive pages by one process become one line; any other line, and the end, closes
 * such a run, so the order of the calls is the order of the trace. Names are cleaned of line
 * breaks.
 *
 * The calls do not fail one by one. The first error is kept, nothing is written after it, and
 * trace_writer_close() tells it, so that a cut trace is never taken for a whole one. A writer is
 * used by one thread at a time.
 */
#ifndef OBJRMAP_LAB_TRACE_WRITER_H
#define OBJRMAP_LAB_TRACE_WRITER_H

#include "trace/event.h"

struct trace_writer;

enum trace_packing { TRACE_PLAIN, TRACE_ZSTD };
enum trace_sharing { TRACE_PRIVATE, TRACE_SHARED };

/* An area as an `m` line tells it; object 0 is anonymous memory. */
struct trace_area {
    uint64_t address;
    uint64_t length;
    uint64_t pgoff;
    uint32_t object;
    unsigned prot; /* enum vm_protection */
    enum trace_sharing sharing;
};

/* NULL and errno when the file cannot be made; an existing one is replaced. */
struct trace_writer *trace_writer_open(const char *path, enum trace_packing packing);
/* The same to an open descriptor, which is the writer's from then on, unless it gives NULL. */
struct trace_writer *trace_writer_open_descriptor(int fd, enum trace_packing packing);
/* Writes what is left and frees the writer; 0 or the errno of the first failure. */
int trace_writer_close(struct trace_writer *writer);

void trace_note(struct trace_writer *writer, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void trace_object(struct trace_writer *writer, uint32_t id, enum object_kind kind, uint64_t size,
                  const char *name);
void trace_resize(struct trace_writer *writer, uint32_t id, uint64_t size);
void trace_time(struct trace_writer *writer, uint64_t nanoseconds);
void trace_cpu(struct trace_writer *writer, unsigned cpu);

void trace_process(struct trace_writer *writer, uint32_t pid, const char *name);
void trace_fork(struct trace_writer *writer, uint32_t pid, uint32_t child);
void trace_exec(struct trace_writer *writer, uint32_t pid, const char *name);
void trace_exit(struct trace_writer *writer, uint32_t pid);

void trace_map(struct trace_writer *writer, uint32_t pid, const struct trace_area *area);
void trace_unmap(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t length);
void trace_protect(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t length,
                   unsigned prot);
void trace_move(struct trace_writer *writer, uint32_t pid, uint64_t old_address,
                uint64_t old_length, uint64_t new_address, uint64_t new_length);
void trace_nonlinear(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t length,
                     uint64_t pgoff);
void trace_advise(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t length,
                  enum vm_advice advice);
void trace_lock(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t length);
void trace_unlock(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t length);
void trace_sync(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t length);
/* `kind` is EVENT_READ or EVENT_WRITE. */
void trace_touch(struct trace_writer *writer, uint32_t pid, enum event_kind kind, uint64_t address,
                 uint64_t pages);

/* Any event, as the reader hands it out; dense indices and the line's number do not matter. */
void trace_write(struct trace_writer *writer, const struct trace_event *event);

/* A line that readers pass over. */
void trace_comment(struct trace_writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* To the file with what has been told so far: whoever may crash, and shall be read afterwards. */
void trace_flush(struct trace_writer *writer);

#endif
