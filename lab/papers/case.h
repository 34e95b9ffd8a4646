/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * case.h - one result of a paper beside ours.
 *
 *   case.c      what a case is: how it is run, and how it is told
 *   cases.c     the cases
 *
 * A case is a JSON object, of which the text is printed:
 *
 *   title, source        the paper, and where in it
 *   scale, runs          what was run here, and as an `objrmap replay` would be told
 *   figures              a list of {what, paper, here, value}: `value` is `here` as a number
 *   remark               in words, what differs and why
 */
#ifndef OBJRMAP_LAB_PAPERS_CASE_H
#define OBJRMAP_LAB_PAPERS_CASE_H

#include "run.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* How a case is run. Memory is ample, unless `memory_percent` says how much of its peak it gets. */
struct setup {
    char workload[120];
    const char *trace; /* instead, if not NULL */
    const char *file_index;
    enum vm_fork_copy fork_copy;
    unsigned fault_around;
    double memory_percent;
    unsigned rounds;
};

/*
 * Each design's fastest round; the rounds go through all designs in turn, so that a busy moment of
 * this computer hits all alike. False after a complaint.
 */
bool case_run(const struct setup *setup, const char *const *designs, unsigned count,
              struct run_result *results);

/* The bundled recording of that name, if it is where a checkout or an installation has it; else
 * NULL. */
const char *case_recording(const char *name, char *room, size_t bytes);

json_t *case_begin(const char *title, const char *source);

/* Says what is run, by the setup and in words. */
void case_scale(json_t *paper_case, const struct setup *setup, const char *words);

/* A figure; `paper` NULL: the paper has none. The text is the value, as the format prints it. */
void case_figure(json_t *paper_case, const char *what, const char *paper, const char *format,
                 double value);

void case_remark(json_t *paper_case, const char *format, ...) __attribute__((format(printf, 2, 3)));

void case_print(const json_t *paper_case, FILE *stream);

struct paper_case {
    const char *name;
    json_t *(*run)(uint64_t scale); /* NULL after a complaint */
};

extern const struct paper_case paper_cases[]; /* ended by one without a name */

#endif
