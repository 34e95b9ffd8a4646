/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * life.h - one machine that lives through a script, judged at each step that meets a failure.
 *
 *   life.c     the machine, one step after the other, and the end
 *   promise.c  what a step may have done: vm.h's promises, one by one
 *
 * Nothing that is checked here disturbs the machine, and nothing fails while it is checked.
 */
#ifndef TESTS_FAULTS_LIFE_H
#define TESTS_FAULTS_LIFE_H

#include "gate.h"
#include "holdings.h"
#include "play.h"
#include "script.h"

struct setup {
    const char *design, *file_index;
    bool chains_objects;
    struct plan plan;
    uint64_t low_frames; /* 0: none is special */
    bool reclaim_thread; /* a node that is low on memory has a thread for that: see gate_woken() */
    bool
        short_of_memory; /* calls may fail for want of frames, or areas, though nothing else fails */
};

/* What a step came to. */
struct outcome {
    bool played; /* else there was nobody to make the call */
    int result;  /* of a call, or of a touch */
    uint64_t where;
    uint64_t injected;
    bool told_late; /* msync tells of a write that has failed, now or earlier */
    uint64_t calls[GATE_KINDS];
};

enum { LIFE_TEXT_BYTES = 1200 };

struct life {
    const struct script *script;
    const struct setup *setup;
    struct request request;
    struct report report;
    struct play_state state;
    struct holdings start;
    bool apart; /* a failure has changed something, so results need not be those of other lives */
    char failure[LIFE_TEXT_BYTES]; /* empty: all is well */
};

/* False after a complaint: the machine cannot be made. */
bool life_begin(struct life *life, const struct script *script, const struct setup *setup);

enum life_check { LIFE_CHECK_TOUCHED, LIFE_CHECK_ALL };

/* Plays the step and judges it; everything that is there with CHECK_ALL, and whenever something has
 * failed. False: life->failure. */
bool life_step(struct life *life, size_t step, enum life_check check, struct outcome *outcome);

/* The same, and then once more, with nothing failing: what has failed must then succeed as in
 * `expected`, unless a part of it had been done. */
bool life_step_twice(struct life *life, size_t step, const struct outcome *expected,
                     struct outcome *outcome);

/* Whether the step came to the same as in another life; else life->failure. */
bool life_same(struct life *life, size_t step, const struct outcome *expected,
               const struct outcome *outcome);

/* Checks all, ends all, and sees that nothing is left. *hash is of the state before. */
bool life_end(struct life *life, uint64_t *hash);

void life_destroy(struct life *life);

bool life_fails(struct life *life, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---------------------------------------------------------------- promise.c */

/* A step as the call it makes. */
struct call {
    enum op_kind kind;
    uint32_t process;
    struct vm_space *space; /* NULL: it needs none */
    uint64_t start, length, to, to_length;
    unsigned flags, protection;
    uint64_t value;
    struct vm_object *object;
};

struct area_run {
    uint64_t start, end;
    uint32_t flags;
};

/* How things stood before a step. */
struct before {
    struct model *model; /* a copy; NULL: not needed, nothing can fail */
    struct area_run *runs;
    size_t run_count, run_room;
    uint64_t heap_end;
};

struct call call_of(const struct life *life, const struct step *step);

void before_take(struct before *before, const struct life *life, const struct call *call);
void before_free(struct before *before);

/* Judges a step that has met a failure, or failed: its result, and what it has left. `play` is what
 * the player said. *part: it has failed with a part of it done, as vm.h allows. */
bool promise_kept(struct life *life, const struct call *call, struct before *before,
                  const struct outcome *outcome, enum play play, bool *part);

/* msync says VM_EIO: some file of its range has a failed write that nobody was told of yet. */
bool promise_of_msync(struct life *life, const struct call *call);

/* What a successful call must have come to, whatever has failed meanwhile. */
bool promise_of_success(struct life *life, const struct call *call);

/* What must be on a file's device when the object has gone. */
void promise_at_close(struct gate_device *device, void *life);

#endif
