/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * progress.h - how far a replay is: one line on stderr, rewritten a few times a second, and only when
 * stderr is a terminal that can be drawn on.
 */
#ifndef OBJRMAP_LAB_PROGRESS_H
#define OBJRMAP_LAB_PROGRESS_H

#include "trace/reader.h"

struct progress {
    const char *label; /* NULL: nothing is shown */
    unsigned steps;
    uint64_t next_ns, begin_ns;
    bool shown;
};

void progress_begin(struct progress *progress, const char *label);
void progress_show(struct progress *progress, const struct trace_reader *reader);

/* Clears the line. */
void progress_end(struct progress *progress);

/* Once an event. */
static inline void progress_step(struct progress *progress, const struct trace_reader *reader) {
    if (progress->label && (++progress->steps & 0xfff) == 0)
        progress_show(progress, reader);
}

#endif
