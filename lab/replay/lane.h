/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane.h - one CPU of a crew: a queue of events in the trace's order, and how far it has come.
 *
 * Events are numbered as they are handed out. The crew's owner puts events in; the lane's thread takes
 * one out when it has been played; everybody may look how far a lane has come. Waiting is always for
 * events of lower numbers, and a full queue makes only the owner wait: so the lowest number that has
 * not been played can always be played, and nobody waits for ever.
 */
#ifndef OBJRMAP_LAB_REPLAY_LANE_H
#define OBJRMAP_LAB_REPLAY_LANE_H

#include "replay/player.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LANE_ITEMS = 1024 };

struct lane_item {
    uint64_t number;         /* of the event, or of the one that follows */
    const struct lane *past; /* no event: wait until this lane has passed `until` */
    uint64_t until;
    uint64_t version; /* of a write */
    struct trace_event event;
};

struct lane {
    struct crew *crew;
    struct player *player;
    unsigned cpu;
    pthread_t thread;

    struct lane_item *items;
    _Atomic uint64_t put, taken; /* how many, since the beginning */
    _Atomic uint64_t reached;    /* all of the lane's events below this number have been played */
    _Atomic bool playing;        /* the thread may be in the machine, or is about to be */
    _Atomic bool ending;

    pthread_mutex_t lock; /* for sleeping while the queue is empty */
    pthread_cond_t wake;
    _Atomic bool asleep;

    /* The thread's. */
    uint64_t number; /* of the event under way */
    bool has_turn;
    enum play play; /* why the lane has failed, and where */
    uint64_t failed;

    /* The owner's. */
    unsigned processes;
    uint64_t *past; /* of each lane the highest number that has been waited for */
};

/* All but crew, player and thread. */
void lane_init(struct lane *lane, unsigned cpu, unsigned cpus);
void lane_free(struct lane *lane);

/* ---- for the owner */

/* A place for an item, filled in before lane_put(). Waits while there is none. */
struct lane_item *lane_place(struct lane *lane);
void lane_put(struct lane *lane);

/* Everything that was put in has been played. */
bool lane_is_empty(const struct lane *lane);
void lane_wait_empty(const struct lane *lane);

/* The thread is to end when it finds the queue empty. */
void lane_stop(struct lane *lane);

/* ---- for the thread */

/* The next item, or NULL when there is none yet. */
const struct lane_item *lane_front(struct lane *lane);

/* The next item, after sleeping; NULL when the lane is to end. */
const struct lane_item *lane_wait_front(struct lane *lane);
void lane_take(struct lane *lane);

/* ---- for everybody */

/* Items put in and not taken, for the owner or the thread. */
uint64_t lane_load(const struct lane *lane);

/* All of the lane's events below this number have been played. => the number has been handed out */
bool lane_has_passed(const struct lane *lane, uint64_t number);
void lane_wait_passed(const struct lane *lane, uint64_t number);

/* One turn of waiting: soon asleep for a moment. */
void lane_pause(unsigned *turns);

#endif
