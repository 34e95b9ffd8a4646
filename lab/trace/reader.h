/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reader.h - reads a trace, event by event, and lets nothing pass that is not valid.
 *
 * What a single line must be is line.h's; this adds what lines must be to each other: processes
 * exist once while events name them, objects are declared once and first, time does not go back. So
 * a consumer may trust every event it gets. Memory use does not depend on the trace's length.
 */
#ifndef OBJRMAP_LAB_TRACE_READER_H
#define OBJRMAP_LAB_TRACE_READER_H

#include "trace/event.h"

struct trace_reader;

enum trace_status { TRACE_EVENT, TRACE_END, TRACE_INVALID };

/*
 * "-" is standard input. NULL after a complaint on stderr. The header is checked by the first
 * trace_next().
 */
struct trace_reader *trace_open(const char *path);

/* An open descriptor, which is the reader's from then on even when it gives NULL: out of memory. */
struct trace_reader *trace_open_descriptor(int fd, const char *name);

/* A trace in memory, which stays the caller's; `name` is for messages. NULL: out of memory. */
struct trace_reader *trace_open_memory(const char *name, const void *data, size_t bytes);

void trace_close(struct trace_reader *reader);

/* After TRACE_END or TRACE_INVALID every further call gives the same. */
enum trace_status trace_next(struct trace_reader *reader, struct trace_event *event);

/* After TRACE_INVALID: "file:line: what is wrong, what was expected". */
const char *trace_error(const struct trace_reader *reader);

const char *trace_file_name(const struct trace_reader *reader);

/* Events so far; notes are not counted. */
uint64_t trace_events(const struct trace_reader *reader);

/* Processes so far, ended ones included. */
uint64_t trace_processes(const struct trace_reader *reader);

/* How far reading is, from 0 to 1; negative when the size is unknown. */
double trace_progress(const struct trace_reader *reader);

#endif
