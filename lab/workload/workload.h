/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workload.h - programs that never were: traces made by rule, each to tell designs apart.
 *
 *   fork.c       servers, orphans and generations: who inherits whose pages
 *   file.c       many areas over one file or one piece of shared memory
 *   area.c       areas that are moved, cut and rearranged
 *   program.c    mixes of fork, exec and exit, as benchmarks make them
 *
 * A plan is a workload with a value for each parameter. It is written by the trace writer, to a file
 * or straight into a reader: the reader checks a workload as strictly as a recording. The same
 * plan always gives the same trace.
 *
 * A workload ends with its question. The note `! ask PID ADDR N` stands where one would like to know
 * who maps those N pages; a replay then asks its design, and reports what the answer cost. Asking
 * disturbs nothing, so that the replay stays the same with or without it.
 */
#ifndef OBJRMAP_LAB_WORKLOAD_H
#define OBJRMAP_LAB_WORKLOAD_H

#include "trace/reader.h"
#include "trace/writer.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { WORKLOAD_PARAMETERS = 6 };

struct workload_parameter {
    const char *name; /* NULL: there are no more */
    const char *help;
    uint64_t initial;
    uint64_t least, most;
    const char *choices[4]; /* words instead of a number: the value is an index; NULL: a number */
};

/* A parameter that is a number, in the families' tables; and the one of all that leave something to
 * chance. */
#define WORKLOAD_NUMBER(name, text, initial, least, most)                                          \
    {                                                                                              \
        name, text, (initial), (least), (most), {                                                  \
            NULL                                                                                   \
        }                                                                                          \
    }
#define WORKLOAD_SEED WORKLOAD_NUMBER("seed", "of what is left to chance", 1, 1, UINT32_MAX)

struct workload_plan;

struct workload {
    const char *name;
    const char *help;      /* what happens: half a line */
    const char *separates; /* what tells the designs apart: a line or two */
    struct workload_parameter parameters[WORKLOAD_PARAMETERS];
    void (*write)(struct trace_writer *writer, const struct workload_plan *plan);
    /* What is wrong with these values together, or NULL. May be NULL itself. */
    const char *(*check)(const struct workload_plan *plan);
};

enum { WORKLOAD_TEXT = 256 };

struct workload_plan {
    const struct workload *workload;
    uint64_t value[WORKLOAD_PARAMETERS];
    char text[WORKLOAD_TEXT]; /* NAME:key=value,... as it was given: names the plan in reports */
};

/* All of them, family after family; `index` counts from 0. NULL behind the last. */
const struct workload *workload_at(size_t index);

/* The workload with its initial values. False after a complaint. */
bool workload_find(const char *name, struct workload_plan *plan);

/* Takes "key=value". False after a complaint that names the parameter. */
bool workload_set(struct workload_plan *plan, const char *setting);

/* Once all is set. False after a complaint. */
bool workload_check(const struct workload_plan *plan);

/* "NAME" or "NAME:key=value,...": the three above in one. */
bool workload_parse(const char *spec, struct workload_plan *plan);

/* Values by name, for those who write the trace. => the workload has this parameter (and word) */
uint64_t workload_value(const struct workload_plan *plan, const char *name);
bool workload_chose(const struct workload_plan *plan, const char *name, const char *word);

/* The whole trace but for its first line, which the writer has written. */
void workload_write(struct trace_writer *writer, const struct workload_plan *plan);

/* The trace as it is written, by a thread of its own. NULL after a complaint. */
struct trace_reader *workload_open(const struct workload_plan *plan);

/* The families' tables, each ended by a workload without a name. */
extern const struct workload fork_workloads[];
extern const struct workload file_workloads[];
extern const struct workload area_workloads[];
extern const struct workload program_workloads[];

#endif
