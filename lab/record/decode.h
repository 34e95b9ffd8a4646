/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Turns the kernel's records, in order of time, into the lines of a trace.
 *
 * decode.c reads the records and follows tasks: birth, exec, exit, faults. load.c knows what an
 * exec maps, call.c what each system call did. All work on the one struct decoder below and write
 * through emit.c, which keeps the recorder's own picture of each space in step with the trace.
 */
#ifndef OBJRMAP_LAB_RECORD_DECODE_H
#define OBJRMAP_LAB_RECORD_DECODE_H

#include <stdbool.h>
#include <stdint.h>

#include "object.h"
#include "process.h"
#include "ring.h"
#include "trace/writer.h"
#include "tracepoint.h"

struct decode_totals {
    uint64_t events;
    uint64_t lost; /* as the rings themselves reported */
    uint64_t faults_user;
    uint64_t faults_kernel;
    uint64_t strays; /* records of tasks nobody knows: only after losses */
};

enum cpu_lines { CPU_LINES_OFF, CPU_LINES_ON };

struct decoder {
    struct trace_writer *writer;
    const struct tracepoints *points;
    int16_t *point_by_id; /* index in points, or -1; for each of the 65536 numbers */
    uint64_t *received;   /* samples, one count a tracepoint */
    struct processes processes;
    struct objects objects;
    struct decode_totals totals;
    uint32_t root; /* the command's PID; nothing counts before it has exec'd */
    bool started;
    bool out_of_memory;
    enum cpu_lines cpu_lines;
    unsigned cpu;
    uint64_t start_time;
    uint64_t last_time_line;
};

/* 0, or -1 when memory is short. */
int decoder_create(struct decoder *decoder, struct trace_writer *writer,
                   const struct tracepoints *points, uint32_t root, enum cpu_lines cpu_lines);
/* Fits ring_reader; context is the decoder. */
void decoder_read(void *context, const struct ring_record *record);
/* After the last record: settles what still waits for one. */
void decoder_finish(struct decoder *decoder);
void decoder_free(struct decoder *decoder);

/* ---- between the parts of the decoder ---- */

/* A mapping record: PERF_RECORD_MMAP2 without its header. */
struct mapping_record {
    uint32_t pid;
    uint32_t tid;
    uint64_t address;
    uint64_t length;
    uint64_t offset;
    uint32_t major;
    uint32_t minor;
    uint64_t inode;
    uint64_t generation;
    uint32_t prot;
    uint32_t flags;
    char name[];
};

/* emit.c: each changes the picture of the space and writes the line. */
void emit_map(struct decoder *decoder, struct space *space, const struct area *area);
void emit_unmap(struct decoder *decoder, struct space *space, uint64_t start, uint64_t end);
void emit_touches(struct decoder *decoder, struct space *space, enum event_kind kind,
                  uint64_t start, uint64_t end);
void emit_touch(struct decoder *decoder, struct space *space, enum event_kind kind, uint64_t page);
/* A change of the picture alone that failed for want of memory ends the recording. */
void expect(struct decoder *decoder, int result);
/* The area a mapping record describes, its object declared. */
struct area mapped_area(struct decoder *decoder, const struct mapping *mapping, uint32_t pid);

/* call.c */
void call_enter(struct decoder *decoder, struct task *task, const struct tracepoint *point,
                const unsigned char *raw);
void call_exit(struct decoder *decoder, struct task *task, enum call call, int64_t result);

/* load.c: a mapping made by exec, or by the kernel outside any call (a grown stack). */
void load_mapping(struct decoder *decoder, struct task *task, const struct mapping *mapping);
void adopt_mapping(struct decoder *decoder, struct task *task, const struct mapping *mapping);

#endif
