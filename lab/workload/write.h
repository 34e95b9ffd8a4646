/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * write.h - the words in which workloads are written. Addresses are in bytes, lengths in pages.
 */
#ifndef OBJRMAP_LAB_WORKLOAD_WRITE_H
#define OBJRMAP_LAB_WORKLOAD_WRITE_H

#include "trace/writer.h"

#include <stdint.h>

#define PAGE UINT64_C(4096)

/* Where workloads put their areas: far enough apart that none merge by accident. */
#define PLACE(number) (UINT64_C(0x10000000000) + (uint64_t)(number)*UINT64_C(0x1000000000))

/* The first process. */
enum { PARENT = 1 };

/* Private anonymous memory, readable and writable. */
void map_anonymous(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t pages);

enum mapping { SHARED_READ_WRITE, PRIVATE_READ_WRITE, PRIVATE_READ_EXEC };

void map_object(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t pages,
                uint32_t object, uint64_t pgoff, enum mapping mapping);

void read_pages(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t pages);
void write_pages(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t pages);

/* Who maps these pages? */
void ask(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t pages);

/* About `samples` of the area's pages, evenly spread. */
void ask_some(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t pages,
              uint64_t samples);

/* Chance that is the same each time: never 0 as a seed. */
struct draw {
    uint64_t state;
};

struct draw draw_begin(uint64_t seed);
uint64_t draw_below(struct draw *draw, uint64_t bound);

/* The order in which `count` living processes PARENT + 1, ... end. */
enum leaving { NOBODY_LEAVES, OLDEST_FIRST, NEWEST_FIRST };

void leave(struct trace_writer *writer, uint32_t first, uint32_t count, enum leaving order);

#endif
