/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * watch.h - a run as one looks on: memory by kind, what happens a second, the largest processes.
 *
 * Drawn on stderr ten times a second, if it can be drawn on: terminal.h. The picture fits the window,
 * down to 40 columns; what does not fit below is left out. The last picture stays when the run is
 * over.
 */
#ifndef OBJRMAP_LAB_WATCH_H
#define OBJRMAP_LAB_WATCH_H

#include "largest.h"
#include "series.h"

struct watch;

/* NULL when there is nothing to draw on. `title` is borrowed. */
struct watch *watch_begin(const char *title);

/* Once an event: whether it is time for a picture. */
bool watch_is_due(struct watch *watch);

/* Whether the next picture is to have new sizes of processes: not always, lest looking at them takes
 * more than a small part of the time. */
bool watch_wants_processes(const struct watch *watch);

/* Reads them. => nobody plays */
void watch_take_processes(struct watch *watch, const struct world *world);

/* A picture. `part` of the trace has been read; negative: unknown. */
void watch_draw(struct watch *watch, const struct sample *sample, double part);

/* Leaves the last picture behind. */
void watch_end(struct watch *watch, const struct sample *sample);

#endif
