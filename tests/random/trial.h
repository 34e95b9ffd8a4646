/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trial.h - one sequence through all designs, and the same in a process of its own, where crashes and
 * hangs are failures like others.
 */
#ifndef TESTS_RANDOM_TRIAL_H
#define TESTS_RANDOM_TRIAL_H

#include "play.h"

enum { DESIGNS_MOST = 32, INDEXES_MOST = 16, NAME_BYTES = 64 };

/* Which machines a sequence is played on. */
struct choice {
    char designs[DESIGNS_MOST][NAME_BYTES];
    bool frames_may_differ[DESIGNS_MOST], has_chains[DESIGNS_MOST];
    bool chains_objects[DESIGNS_MOST];
    unsigned count;
    char indexes[INDEXES_MOST][NAME_BYTES]; /* ways for objects to keep their areas; at least one */
    unsigned index_count;
    uint64_t check_every;
};

struct trial {
    struct report report;    /* sums over all designs; the failure is the first one's */
    char design[NAME_BYTES]; /* that failed */
    uint64_t apart;          /* lack of memory struck the designs differently */
};

/* Each design in turn; results and states are compared when nothing is made to fail. Prints the
 * sequence as played by the first design, unless `print` is NULL. */
void trial_run(const struct choice *choice, const struct plan *plan,
               const struct sequence *sequence, struct trace_writer *print, struct trial *trial);

enum trial_noise { TRIAL_QUIET, TRIAL_LOUD };

/* The same apart. What the sequence writes to stderr is thrown away if QUIET. */
void trial_run_apart(const struct choice *choice, const struct plan *plan,
                     const struct sequence *sequence, struct trace_writer *print,
                     enum trial_noise noise, struct trial *trial);

/* Makes a failing sequence, its plan and the list of designs as small as it can, so that it
 * still fails alike. */
void trial_shrink(struct choice *choice, struct plan *plan, struct sequence *sequence,
                  enum failure failure, double seconds);

/* After so many seconds a trial hangs: ample under a sanitizer on a busy computer. */
unsigned trial_patience(const struct choice *choice, uint64_t steps);

#endif
