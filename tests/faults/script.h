/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * script.h - what is played again and again with one failure more: ops of tests/random, or a trace.
 *
 *   script.c      steps from either; a step touches one page at most, so that each is judged
 *   every_call.c  the script that makes every call, on every kind of page
 */
#ifndef TESTS_FAULTS_SCRIPT_H
#define TESTS_FAULTS_SCRIPT_H

#include "plan.h"

#include "trace/event.h"

struct step {
    bool is_op;
    struct random_op op;
    struct trace_event event;
    uint64_t line; /* of the file, or the op's number; from 1 */
};

struct script {
    const char *name;
    struct step *steps;
    size_t count, room;
    struct plan machine; /* frames 0: it does not say */
};

void script_every_call(struct script *script);

/* A trace, or a sequence that random-ops has printed. False after a complaint. */
bool script_read(struct script *script, const char *path);

/* Each op of a touch becomes one op a page. */
void script_add_op(struct script *script, const struct random_op *op, uint64_t line);

void script_free(struct script *script);

/* In words, for messages. */
enum { STEP_TEXT_BYTES = 500 };
const char *step_text(const struct step *step, char text[STEP_TEXT_BYTES]);

#endif
