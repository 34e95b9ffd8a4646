/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * source.h - the bytes of a trace: plain or compressed by zstd (told by the content), from a file,
 * from standard input or from memory, never as a whole in memory.
 *
 * A compressed file is decoded by a thread of its own, a few blocks ahead of the reader.
 */
#ifndef OBJRMAP_LAB_TRACE_SOURCE_H
#define OBJRMAP_LAB_TRACE_SOURCE_H

#include <stddef.h>
#include <stdint.h>

struct trace_source;

/* "-" is standard input. NULL with errno set when the file cannot be opened. */
struct trace_source *trace_source_open(const char *path);

/* An open descriptor, which is the source's from then on, unless it gives NULL. */
struct trace_source *trace_source_descriptor(int fd);

/* The memory stays the caller's and is read until the source is closed. No thread is started. */
struct trace_source *trace_source_memory(const void *data, size_t bytes);

void trace_source_close(struct trace_source *source);

/* Up to `capacity` bytes. 0 at the end; negative when the stream is damaged or cannot be read. */
int64_t trace_source_read(struct trace_source *source, char *buffer, size_t capacity);

/* After a negative result: what was wrong, and what was expected. */
const char *trace_source_error(const struct trace_source *source);

/* How much of the file has been taken in, and its size (0 when unknown): for progress. */
void trace_source_progress(const struct trace_source *source, uint64_t *taken, uint64_t *total);

#endif
