/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trial.c - see trial.h.
 */
#include "trial.h"

#include "shrink.h"

#include "harness/apart.h"
#include "harness/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned trial_patience(const struct choice *choice, uint64_t steps) {
    return 60 + (unsigned)(steps * choice->count / 20);
}

static void add_report(struct report *sum, const struct report *report) {
    sum->steps += report->steps;
    sum->refused += report->refused;
    sum->out_of_memory += report->out_of_memory;
    sum->injected += report->injected;
    sum->model_retired |= report->model_retired;
    sum->failure = report->failure;
    sum->failed_at = report->failed_at;
    memcpy(sum->message, report->message, sizeof(sum->message));
}

void trial_run(const struct choice *choice, const struct plan *plan,
               const struct sequence *sequence, struct trace_writer *print, struct trial *trial) {
    struct verdicts verdicts = { .list = calloc(sequence->count + 1, sizeof(struct verdict)) };
    if (!verdicts.list)
        abort();
    *trial = (struct trial){ 0 };
    bool compares = !plan_injects(plan); /* each design allocates what it needs */
    for (unsigned i = 0; i < choice->count && !trial->report.failure; i++) {
        struct request request = {
            .sequence = sequence,
            .plan = plan,
            .design = choice->designs[i],
            .file_index = choice->indexes[plan->index % choice->index_count],
            .has_chains = choice->has_chains[i],
            .chains_objects = choice->chains_objects[i],
            .check_every = choice->check_every,
            .verdicts = compares ? &verdicts : NULL,
            /* Answers to nonlinear areas differ in which pages go. */
            .frames_may_differ = choice->frames_may_differ[i] || plan->nonlinear,
            .print = i == 0 ? print : NULL,
        };
        struct report report;
        memcpy(trial->design, choice->designs[i], NAME_BYTES);
        play_sequence(&request, &report);
        add_report(&trial->report, &report);
        trial->apart += verdicts.apart;
        compares = compares && verdicts.filled;
        verdicts.apart = false;
    }
    free(verdicts.list);
}

/* ---------------------------------------------------------------- apart */

struct playing {
    const struct choice *choice;
    const struct plan *plan;
    const struct sequence *sequence;
    struct trace_writer *print;
    enum trial_noise noise;
    struct trial *trial;
};

static void play(void *context) {
    const struct playing *playing = context;
    if (playing->noise == TRIAL_QUIET)
        apart_be_quiet();
    trial_run(playing->choice, playing->plan, playing->sequence, playing->print, playing->trial);
}

void trial_run_apart(const struct choice *choice, const struct plan *plan,
                     const struct sequence *sequence, struct trace_writer *print,
                     enum trial_noise noise, struct trial *trial) {
    struct trial *shared = apart_share(sizeof(*shared));
    struct playing playing = { choice, plan, sequence, print, noise, shared };
    struct apart apart = apart_play(play, &playing, trial_patience(choice, sequence->count));
    *trial = *shared;
    apart_unshare(shared, sizeof(*shared));
    if (apart.end == APART_WELL)
        return;
    trial->report.failure = apart.end == APART_HUNG ? FAILURE_HANG : FAILURE_CRASH;
    snprintf(trial->report.message, sizeof(trial->report.message), "%s", apart.why);
}

/* ---------------------------------------------------------------- shrinking */

struct shrinking {
    struct choice choice;
    struct plan *plan;
    struct sequence *sequence;
    enum failure failure;
    double until;
};

static bool still_fails(const struct shrinking *shrinking, const struct plan *plan,
                        const struct sequence *sequence) {
    struct trial trial;
    if (seconds_now() > shrinking->until)
        return false;
    trial_run_apart(&shrinking->choice, plan, sequence, NULL, TRIAL_QUIET, &trial);
    return trial.report.failure == shrinking->failure;
}

static bool sequence_still_fails(const struct sequence *sequence, void *context) {
    const struct shrinking *shrinking = context;
    return still_fails(shrinking, shrinking->plan, sequence);
}

static void try_plan(struct shrinking *shrinking, struct plan plan) {
    if (still_fails(shrinking, &plan, shrinking->sequence))
        *shrinking->plan = plan;
}

/* Towards a machine with memory in plenty, one CPU, no limits, on which nothing fails. */
static void simplify_plan(struct shrinking *shrinking) {
    struct plan *plan = shrinking->plan;
    struct plan simpler = *plan;
    simpler.cpus = 1;
    try_plan(shrinking, simpler);
    simpler = *plan;
    simpler.failures = (struct failures){ 0 };
    try_plan(shrinking, simpler);
    simpler = *plan;
    simpler.areas = simpler.locked = simpler.addresses = 0;
    try_plan(shrinking, simpler);
    simpler = *plan;
    simpler.eager = 0;
    try_plan(shrinking, simpler);
    simpler = *plan;
    simpler.nodes = simpler.low = simpler.swappiness = 0;
    try_plan(shrinking, simpler);
    simpler = *plan;
    simpler.index = simpler.global = simpler.nonlinear = 0;
    try_plan(shrinking, simpler);
    simpler = *plan;
    simpler.around = 1;
    try_plan(shrinking, simpler);
    simpler = *plan;
    simpler.frames = 2048;
    simpler.swap = 8192;
    try_plan(shrinking, simpler);
}

/* The fewest designs with which it fails: one by itself, or the first with one other. */
static void choose_designs(struct shrinking *shrinking, const struct choice *all) {
    for (unsigned i = 0; i < all->count; i++)
        for (unsigned j = 0; j <= i; j++) {
            struct choice *few = &shrinking->choice;
            *few = *all;
            few->count = 0;
            for (unsigned k = 0; k <= i; k++)
                if (k == i || (k == j && j < i)) {
                    memcpy(few->designs[few->count], all->designs[k], NAME_BYTES);
                    few->has_chains[few->count] = all->has_chains[k];
                    few->chains_objects[few->count] = all->chains_objects[k];
                    few->frames_may_differ[few->count++] = all->frames_may_differ[k];
                }
            if (still_fails(shrinking, shrinking->plan, shrinking->sequence))
                return;
        }
    shrinking->choice = *all;
}

void trial_shrink(struct choice *choice, struct plan *plan, struct sequence *sequence,
                  enum failure failure, double seconds) {
    struct shrinking shrinking = { *choice, plan, sequence, failure, seconds_now() + seconds };
    choose_designs(&shrinking, choice);
    do
        simplify_plan(&shrinking);
    while (sequence_shrink(sequence, sequence_still_fails, &shrinking));
    *choice = shrinking.choice;
}
