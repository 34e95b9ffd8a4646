/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * play.h - a sequence lived through by one machine, judged after each step.
 *
 *   play.c    one sequence: machine, steps, judgement, and the end, when nothing may be left
 *   calls.c   one op: to the lab's player where a trace can say it, else here, with the model told
 *
 * The judges: vm_verify() (the oracle and the rooms' own checks), the lab's model for all areas and
 * contents, and the results that another design gave at the same steps.
 *
 * A call that fails for want of memory must have changed no area, apart from those that vm.h allows
 * to stop half-way. After one of those the model no longer knows what to expect and retires; the
 * oracle goes on. That is counted, as it should be rare.
 */
#ifndef TESTS_RANDOM_PLAY_H
#define TESTS_RANDOM_PLAY_H

#include "plan.h"

#include "replay/player.h"
#include "trace/writer.h"

/* What a step came to: equal for every design. */
struct verdict {
    int result; /* of a call; VM_OK for touches */
    bool out_of_memory;
    uint64_t where; /* what the call gave back */
    uint64_t touched, segv, bus;
};

enum failure {
    FAILURE_NONE,
    FAILURE_ORACLE,    /* vm_verify() */
    FAILURE_CONTENTS,  /* the model: areas, pages, results of touches */
    FAILURE_HALF_WAY,  /* a failed call has changed something */
    FAILURE_RESULTS,   /* another design gave another result */
    FAILURE_STATE,     /* ... or ended in another state */
    FAILURE_LEFT_OVER, /* something is left when all is over */
    FAILURE_CRASH,     /* a signal, an assertion, a sanitizer */
    FAILURE_HANG,
};

const char *failure_name(enum failure failure);

/* Where the verdicts of one design are kept for the next. */
struct verdicts {
    struct verdict *list; /* one a step */
    uint64_t hash;        /* of the state at the end */
    bool filled;
    bool apart; /* lack of memory struck the designs differently: nothing more to compare */
};

struct request {
    const struct sequence *sequence;
    const struct plan *plan;
    const char *design, *file_index;
    bool has_chains;     /* the design may be told which lock protects them */
    bool chains_objects; /* ... of which objects' pages have some, too */
    uint64_t check_every;
    struct verdicts *verdicts;  /* NULL: nothing to compare with */
    bool frames_may_differ;     /* the design may need other frames than the others, and run out */
    struct trace_writer *print; /* NULL: nothing is printed */
};

struct report {
    enum failure failure;
    char message[800];
    uint64_t steps, refused, out_of_memory, injected;
    bool model_retired;
    size_t failed_at; /* the op's number */
};

void play_sequence(const struct request *request, struct report *report);

/* ---------------------------------------------------------------- between these files */

/* One sequence under way. */
struct play_state {
    const struct request *request;
    struct report *report;
    struct player *player;
    uint32_t pids[PROCESS_SLOTS]; /* 0: nobody there */
    uint32_t next_pid;
    uint64_t last[PROCESS_SLOTS]; /* PLACE_LAST */
    bool declared[OBJECT_SLOTS];  /* once and for all, even if let go of */
    uint64_t object_ids;
    size_t step;
};

uint64_t place_address(const struct play_state *state, const struct random_op *op);
uint64_t place_target(const struct play_state *state, const struct random_op *op);
struct world_object *play_object(const struct play_state *state, const struct random_op *op);
bool play_exists(const struct play_state *state, const struct random_op *op);

/* Plays the event, and touches at once. *play tells what the player said of it. */
struct verdict play_event(struct play_state *state, const struct trace_event *event,
                          enum play *play);

/* Whether the process that the op is of is there. */
bool play_possible(const struct play_state *state, const struct random_op *op);

/* Plays the op like an event. */
struct verdict play_op(struct play_state *state, const struct random_op *op, enum play *play);

#endif
