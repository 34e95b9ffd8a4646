/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trial.c - see trial.h.
 */
#include "trial.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

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
               const struct sequence *sequence, FILE *print, struct trial *trial) {
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

static void be_quiet(void) {
    int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere >= 0)
        dup2(nowhere, STDERR_FILENO);
}

static void crashed(struct trial *trial, int status) {
    struct report *report = &trial->report;
    bool hangs = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    report->failure = hangs ? FAILURE_HANG : FAILURE_CRASH;
    if (WIFSIGNALED(status))
        snprintf(report->message, sizeof(report->message), "%s",
                 hangs ? "it goes on and on" : strsignal(WTERMSIG(status)));
    else
        snprintf(report->message, sizeof(report->message), "it exits with %d", WEXITSTATUS(status));
}

void trial_run_apart(const struct choice *choice, const struct plan *plan,
                     const struct sequence *sequence, FILE *print, enum trial_noise noise,
                     struct trial *trial) {
    struct trial *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        abort();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (noise == TRIAL_QUIET)
            be_quiet();
        alarm(trial_patience(choice, sequence->count));
        trial_run(choice, plan, sequence, print, shared);
        if (print)
            fflush(print);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    *trial = *shared;
    munmap(shared, sizeof(*shared));
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        crashed(trial, status);
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

static bool fails_without(struct shrinking *shrinking, size_t first, size_t count) {
    struct sequence *all = shrinking->sequence, less = { 0 };
    for (size_t i = 0; i < all->count; i++)
        if (i < first || i >= first + count)
            sequence_add(&less, &all->ops[i]);
    if (less.count && still_fails(shrinking, shrinking->plan, &less)) {
        sequence_free(all);
        *all = less;
        return true;
    }
    sequence_free(&less);
    return false;
}

/* Leaves out pieces, large ones first, from the end, where a failing op has no consequences. */
static bool leave_out(struct shrinking *shrinking) {
    size_t begin = shrinking->sequence->count;
    for (size_t piece = begin / 2; piece; piece /= 2)
        for (size_t at = shrinking->sequence->count; at;) {
            at = at > piece ? at - piece : 0;
            fails_without(shrinking, at, piece);
            if (at > shrinking->sequence->count)
                at = shrinking->sequence->count;
        }
    return shrinking->sequence->count < begin;
}

/* One number of one op: 0, 1, half, one less; the first that still fails. */
static bool make_number_smaller(struct shrinking *shrinking, uint64_t *number) {
    uint64_t old = *number;
    const uint64_t tries[] = { 0, 1, old / 2, old - 1 };
    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        if (tries[i] >= old)
            continue;
        *number = tries[i];
        if (still_fails(shrinking, shrinking->plan, shrinking->sequence))
            return true;
    }
    *number = old;
    return false;
}

static bool make_numbers_smaller(struct shrinking *shrinking) {
    bool smaller = false;
    for (size_t i = 0; i < shrinking->sequence->count; i++)
        for (unsigned field = 0; field < OP_FIELDS; field++)
            while (make_number_smaller(shrinking, op_field(&shrinking->sequence->ops[i], field)))
                smaller = true;
    return smaller;
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
    while (leave_out(&shrinking) || make_numbers_smaller(&shrinking));
    *choice = shrinking.choice;
}
