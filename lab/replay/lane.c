/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane.c - see lane.h. The queue is a ring between two threads; only a thread that finds it empty for
 * long goes to sleep for good, all others wait for what will come soon.
 */
#include "replay/lane.h"

#include "memory.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>

enum { TURNS_AWAKE = 100, TURNS_BEFORE_NAP = 200, NAP_NS = 50000 };

void lane_pause(unsigned *turns) {
    ++*turns;
    if (*turns < TURNS_AWAKE)
        atomic_signal_fence(memory_order_seq_cst);
    else if (*turns < TURNS_BEFORE_NAP)
        sched_yield();
    else
        nanosleep(&(struct timespec){ 0, NAP_NS }, NULL);
}

void lane_init(struct lane *lane, unsigned cpu, unsigned cpus) {
    lane->cpu = cpu;
    lane->items = new_array(LANE_ITEMS, sizeof(*lane->items));
    lane->past = new_array(cpus, sizeof(*lane->past));
    lane->failed = UINT64_MAX;
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->wake, NULL);
}

void lane_free(struct lane *lane) {
    pthread_cond_destroy(&lane->wake);
    pthread_mutex_destroy(&lane->lock);
    free(lane->past);
    free(lane->items);
}

/* ---------------------------------------------------------------- the owner */

static uint64_t taken_of(const struct lane *lane) {
    return atomic_load_explicit(&lane->taken, memory_order_acquire);
}

static uint64_t put_of(const struct lane *lane) {
    return atomic_load_explicit(&lane->put, memory_order_acquire);
}

struct lane_item *lane_place(struct lane *lane) {
    uint64_t put = put_of(lane);
    for (unsigned turns = 0; put - taken_of(lane) == LANE_ITEMS;)
        lane_pause(&turns);
    return &lane->items[put % LANE_ITEMS];
}

/* Either the thread sees what was put in, or we see that it is going to sleep. */
static void wake_up(struct lane *lane) {
    if (!atomic_load(&lane->asleep))
        return;
    pthread_mutex_lock(&lane->lock);
    pthread_cond_signal(&lane->wake);
    pthread_mutex_unlock(&lane->lock);
}

void lane_put(struct lane *lane) {
    atomic_store(&lane->put, put_of(lane) + 1);
    wake_up(lane);
}

uint64_t lane_load(const struct lane *lane) {
    return put_of(lane) - taken_of(lane);
}

void lane_stop(struct lane *lane) {
    atomic_store(&lane->ending, true);
    wake_up(lane);
}

/* What was put in is read first: the answer is about nothing that came later. */
bool lane_is_empty(const struct lane *lane) {
    uint64_t put = put_of(lane);
    return taken_of(lane) >= put;
}

void lane_wait_empty(const struct lane *lane) {
    for (unsigned turns = 0; !lane_is_empty(lane);)
        lane_pause(&turns);
}

/* ---------------------------------------------------------------- the thread */

const struct lane_item *lane_front(struct lane *lane) {
    uint64_t taken = taken_of(lane);
    return put_of(lane) == taken ? NULL : &lane->items[taken % LANE_ITEMS];
}

static bool has_reason_to_wake(struct lane *lane) {
    return atomic_load(&lane->put) != taken_of(lane) || atomic_load(&lane->ending);
}

const struct lane_item *lane_wait_front(struct lane *lane) {
    for (unsigned turns = 0; turns < TURNS_BEFORE_NAP && !has_reason_to_wake(lane);)
        lane_pause(&turns);
    if (has_reason_to_wake(lane))
        return lane_front(lane);
    pthread_mutex_lock(&lane->lock);
    atomic_store(&lane->asleep, true);
    while (!has_reason_to_wake(lane))
        pthread_cond_wait(&lane->wake, &lane->lock);
    atomic_store(&lane->asleep, false);
    pthread_mutex_unlock(&lane->lock);
    return lane_front(lane);
}

void lane_take(struct lane *lane) {
    atomic_store_explicit(&lane->taken, taken_of(lane) + 1, memory_order_release);
}

/* ---------------------------------------------------------------- everybody */

bool lane_has_passed(const struct lane *lane, uint64_t number) {
    return atomic_load_explicit(&lane->reached, memory_order_acquire) >= number ||
           lane_is_empty(lane);
}

void lane_wait_passed(const struct lane *lane, uint64_t number) {
    for (unsigned turns = 0; !lane_has_passed(lane, number);)
        lane_pause(&turns);
}
