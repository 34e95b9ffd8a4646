/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * explorer.h - tries the schedules of a play: all with few preemptions first, then random ones.
 *
 * A preemption is to stop an actor that could go on. Most races need one or two of them (Musuvathi &
 * Qadeer 2007, "Iterative context bounding"), so all schedules with none are tried, then all with one,
 * then all with two: what is found first is as simple as can be. Every schedule begins anew from the
 * saved arena and is told by its deviations from the usual course (scheduler.h); its successors are
 * those with one deviation more, further on.
 *
 * Left out is what cannot make a difference: preempting an actor before it touches something that
 * nobody else ever touches; and preempting it before it touches X for somebody who does not touch X
 * before the actor is back: one step later the same happens. That is right as far as the library tells
 * truly what it touches (port->preempt); `everything` leaves nothing out.
 *
 * Random schedules give each actor a priority by lot and change it at a few steps drawn by lot
 * (Burckhardt et al. 2010). One that fails is made shorter before it is told.
 */
#ifndef OBJRMAP_TESTS_EXPLORER_H
#define OBJRMAP_TESTS_EXPLORER_H

#include "scheduler.h"

struct exploration {
    unsigned preemptions; /* all schedules with up to so many */
    uint64_t most;        /* ... but no more than so many altogether; 0: no limit */
    bool everything;
    uint64_t random; /* then so many by lot */
    uint64_t seed;
};

struct finding {
    bool failed;
    char why[256];
    struct schedule schedule;
    unsigned preemptions;
    uint64_t tried[4]; /* schedules by their preemptions */
    uint64_t left_out;
    bool stopped_early; /* by `most`, or by a schedule too long for its node */
    uint64_t random_tried;
    uint64_t failing_seed; /* of the random schedule that failed; 0: a systematic one did */
    unsigned longest;      /* steps */
};

/* => the arena has been saved */
void explore(const struct play *play, const struct exploration *exploration,
             struct finding *finding);

/* "12:1,40:0", or "-" if there is nothing to decide. */
void schedule_print(const struct schedule *schedule, char *text, size_t bytes);
bool schedule_parse(const char *text, struct schedule *schedule);

#endif
