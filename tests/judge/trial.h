/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trial.h - one program, played by processes and by the library, and held against each other.
 */
#ifndef TESTS_JUDGE_TRIAL_H
#define TESTS_JUDGE_TRIAL_H

#include "library.h"
#include "program.h"
#include "real.h"

/* How the two may differ. docs/testing.md has the reasons. */
enum rule { RULE_ALIKE_NEIGHBOURS, RULE_FORCED_COPIES, RULE_BEHIND_THE_END, RULES };

const char *rule_name(enum rule rule);

enum failure {
    FAILURE_NONE,
    FAILURE_RESULT, /* of a call */
    FAILURE_TOUCH,  /* a value or a signal */
    FAILURE_AREAS,
    FAILURE_GROUPS,  /* who shares a page with whom */
    FAILURE_HIDDEN,  /* contents of pages that may not be read */
    FAILURE_LIBRARY, /* the oracle, or something is left over */
    FAILURE_KERNEL,  /* the processes could not be run, or did not answer */
    FAILURE_CRASH,
    FAILURES
};

const char *failure_name(enum failure failure);

enum looks { LOOK_AT_THE_END, LOOK_AFTER_EACH_STEP };

struct report {
    enum failure failure;
    int ours, theirs; /* results, if they differ */
    uint32_t step;    /* after which it was seen */
    char text[600];
    uint64_t programs, calls, touches, looks, shared_pages, hidden_pages;
    uint64_t unnamed; /* programs whose frames the kernel did not tell */
    uint64_t by_rule[RULES];
};

/* What `report` counts is added to. */
void trial_run(struct real *real, const struct library_kind *kind, const struct sequence *program,
               enum looks looks, struct report *report);

/* The same in a process of its own: a crash is a failure like others. */
void trial_run_apart(const char *folder, const struct library_kind *kind,
                     const struct sequence *program, enum looks looks, struct report *report);

/* Makes a failing program as small as it can within the time, so that it still fails alike. */
void trial_shrink(const char *folder, const struct library_kind *kind, struct sequence *program,
                  enum looks looks, const struct report *found, double seconds);

#endif
