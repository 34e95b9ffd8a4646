/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.h - what a benchmark prints: a table for people, or one JSON document.
 *
 * A table has a line for each thing measured and a column for each of our machines, beside the
 * kernel's. The JSON document has a row for each of the cells:
 *
 *   {"benchmark", "core", "realtime", "rows": [{"operation", "size", "unit", "design", "cpus",
 *     "contents", "ours", "kernel", "kernel_bytes", "ratio", "goal", "reached"}], "notes": [...]}
 *
 * kernel_bytes is what clearing or copying took of the kernel's time, and is taken off it in the
 * ratio of machines without contents. What does not apply is null.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>

#include "support/machine.h"
#include "support/samples.h"

struct options {
    bool json;
    bool large;
    unsigned rounds;    /* 0: the benchmark's own choice */
    const char *versus; /* the design that stands beside anon-vma */
};

/* Reads --json, --large, --rounds N, --versus DESIGN, --help; ends the program where it must. */
struct options options_read(int argc, char **argv, const char *purpose);

/* Columns without a design are for --versus. */
void options_apply(const struct options *options, struct bench_config *columns, unsigned count);

enum goal {
    GOAL_NONE,
    GOAL_RATIO, /* ours / kernel at most so much */
    GOAL_TIME,  /* ours at most so much */
};

struct line {
    const char *operation;
    const char *size;
    const char *unit;
    const struct samples *ours;         /* one for each column */
    const struct samples *kernel;       /* NULL: it cannot be made to do this */
    const struct samples *kernel_bytes; /* NULL: no bytes are cleared or copied */
    enum goal goal;
    double limit;
    unsigned judged; /* a bit for each column that the goal is for */
};

struct report {
    bool json;
    const struct bench_config *columns;
    unsigned column_count;
    unsigned rows;
    char last_operation[64];
};

void report_open(struct report *report, const char *benchmark, const struct options *options,
                 const struct place *place, const struct bench_config *columns,
                 unsigned column_count);
void report_line(struct report *report, const struct line *line);

/* What the table does not say by itself; ends the JSON document. `notes` ends with NULL. */
void notes_print(bool json, const char *const notes[]);

#endif
