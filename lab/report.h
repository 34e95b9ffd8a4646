/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.h - what replays have found out, as a JSON document and as a table for people.
 *
 * {"trace": {...}, "machine": {...}, "designs": [{...}, ...]}: replay prints one design, compare
 * several; the table is made from the document, so the two never differ. Names are an interface.
 *
 *   trace     file, events, processes, peak_pages (null: not measured), lost, recorded_seconds (null)
 *   machine   memory_bytes, swap_bytes, cpus, contents; memory_percent (null), fork, fault_around,
 *             swap_readahead
 *   designs   name, file_index, verified, and
 *     state_hash     what processes saw, at their ends and at the trace's: equal for all designs
 *     seconds        spent within the machine's calls; wall_seconds also reads the trace
 *     ops            a call's count and ns. `fault`: count of faults, ns of all touches, since faults
 *                    are timed in runs, together with touches that hit; `touch`: pages, and runs in
 *                    the trace. `reclaim`: runs, part of the time of whoever needed memory.
 *     asked          null, or what the trace's own questions and --ask cost: `pages`, and for each of
 *                    them what was found, looked at and searched in vain, and ns. Not part of `rmap`.
 *     faults, rmap, reclaim, migration, entries, memory    the library's counters (objrmap/stats.h)
 *     bytes          peaks: rmap, areas, descriptors, other; page_tables_peak, in frames of the machine
 *     caches         each cache of records; live_after is after the last exit, live_before the start
 *     series         null, or samples of memory and counts as the run went (replay --watch)
 *     refused        calls that failed as they would in Linux, with the first one's line
 *     end, failure   "complete", or why the replay ended early
 */
#ifndef OBJRMAP_LAB_REPORT_H
#define OBJRMAP_LAB_REPORT_H

#include "run.h"

#include <jansson.h>
#include <stdio.h>

json_t *report_trace(const char *file, const struct run_result *result, const struct peak *peak);
json_t *report_machine(const struct settings *settings, const struct run_request *request);
json_t *report_design(const struct run_request *request, const struct run_result *result);

/* The document; takes over the three. */
json_t *report_document(json_t *trace, json_t *machine, json_t *designs);

void report_print_json(const json_t *document);

/* The table: a column a design, and what each row means. */
void report_print_table(const json_t *document, FILE *stream);

#endif
