/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * progress.c - see progress.h.
 */
#include "progress.h"

#include "replay/player.h"
#include "terminal.h"

#include <stdio.h>

#define INTERVAL_NS UINT64_C(200000000)

void progress_begin(struct progress *progress, const char *label) {
    *progress = (struct progress){ .label = terminal_draws() ? label : NULL };
    progress->begin_ns = player_now();
    progress->next_ns = progress->begin_ns + INTERVAL_NS;
}

void progress_show(struct progress *progress, const struct trace_reader *reader) {
    uint64_t now = player_now();
    if (now < progress->next_ns)
        return;
    double events = (double)trace_events(reader), part = trace_progress(reader);
    double seconds = (double)(now - progress->begin_ns) / 1e9;
    progress->next_ns = now + INTERVAL_NS;
    progress->shown = true;
    fprintf(stderr, "\r%s: %.1f million events, %.2f million a second", progress->label,
            events / 1e6, events / 1e6 / seconds);
    if (part >= 0)
        fprintf(stderr, ", %.0f%%", part * 100);
    fputs("   ", stderr);
    fflush(stderr);
}

void progress_end(struct progress *progress) {
    if (progress->shown)
        fputs("\r\033[K", stderr);
}
