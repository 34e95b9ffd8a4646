/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scheduler.h - runs a machine's CPUs by turns on one thread, and decides whose turn it is.
 *
 * A port whose CPUs are coroutines ("actors"). Before each operation on something shared the library
 * calls port->preempt(), and here is a decision: the actor goes on, or another one comes between. What
 * an actor does up to its next call is one step. An actor that meets a held lock cannot go on before
 * the lock has changed; one that sleeps, before it is woken; one that tries again what it cannot have,
 * before somebody else has done something. So the list of decisions tells all that happened, and the
 * same decisions make it happen again.
 *
 * Without a decision against it, an actor runs until it has to wait, then the first that can go on.
 * A schedule is written as its deviations from that: "12:1,40:0" is to let actor 1 do step 12, and
 * actor 0 step 40. An actor that keeps turning without end gives way after a while. One that has tried
 * twice while another did nothing waits for that one's step, so that two cannot try by turns for ever.
 */
#ifndef OBJRMAP_TESTS_SCHEDULER_H
#define OBJRMAP_TESTS_SCHEDULER_H

#include <objrmap/port.h>

#include <stdbool.h>
#include <stdint.h>

enum { ACTORS_MOST = 3, SCHEDULER_CPUS = ACTORS_MOST + 1, NOBODY = 255 };

/* Who acts, and who is heard afterwards. The memory they work on is the arena's. */
struct play {
    unsigned actor_count;
    void (*act)(void *context, unsigned actor);
    void (*judge)(void *context);
    void *context;
};

enum { DEVIATIONS_MOST = 96 };

struct deviation {
    uint16_t step, actor;
};

struct schedule {
    unsigned length;
    struct deviation at[DEVIATIONS_MOST];
};

struct step {
    uint8_t current; /* who could have gone on, or NOBODY */
    uint8_t chosen;
    uint8_t enabled;             /* a bit for each actor that could have been chosen */
    uint8_t yielded;             /* who gave way to end the step before, or NOBODY */
    const volatile void *wanted; /* what `current` was about to touch */
    const volatile void *what;   /* what `chosen` touched */
};

struct performance {
    bool failed;
    char why[256];
    const struct step *steps;
    unsigned step_count, preemptions;
    struct schedule schedule; /* what to decide to see it again */
};

/* Decides a step: one of `enabled`. `usual` is who would have it without a decision. */
typedef unsigned scheduler_choice(void *context, unsigned number, const struct step *step,
                                  unsigned usual);

/* For scheduler_perform(): the deviations of a struct schedule. */
unsigned scheduler_follow(void *schedule, unsigned number, const struct step *step, unsigned usual);

enum telling { TELL_NOTHING, TELL_SWITCHES };

/* Once in a program. */
void scheduler_create(void);
struct vm_port *scheduler_port(void);

/* Runs a function alone, with nobody to come between: false, and why, if that fails. */
bool scheduler_run_alone(void (*run)(void *context), void *context, char why[256]);

/* The actors by turns, then the judge. The result is good until the next call. */
const struct performance *scheduler_perform(const struct play *play, scheduler_choice *choose,
                                            void *context, enum telling telling);

/* So far, for a program that is about to crash. */
const struct performance *scheduler_current(void);

/* ---- for actors and judges */

/* Ends the performance as a failure. */
_Noreturn void scheduler_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A step: what a device, or a toy, shares. */
void scheduler_preempt(const volatile void *what);

/* The calling actor's allocations fail from here on, or succeed again. */
void scheduler_fail_allocations(bool fail);

#endif
