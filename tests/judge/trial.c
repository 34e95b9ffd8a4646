/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trial.c - see trial.h.
 *
 * The processes go first: a step after which they do something more, because of its result, is then
 * known when the library plays it.
 */
#include "trial.h"

#include "../random/shrink.h"

#include "harness/apart.h"
#include "harness/clock.h"

#include "look.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *rule_name(enum rule rule) {
    static const char *const names[RULES] = {
        [RULE_ALIKE_NEIGHBOURS] = "alike neighbours",
        [RULE_FORCED_COPIES] = "forced copies",
        [RULE_BEHIND_THE_END] = "behind the end",
    };
    return names[rule];
}

const char *failure_name(enum failure failure) {
    static const char *const names[FAILURES] = {
        [FAILURE_NONE] = "no difference",
        [FAILURE_RESULT] = "different results",
        [FAILURE_TOUCH] = "different touches",
        [FAILURE_AREAS] = "different areas",
        [FAILURE_GROUPS] = "different sharing",
        [FAILURE_HIDDEN] = "different hidden pages",
        [FAILURE_LIBRARY] = "the library is broken",
        [FAILURE_KERNEL] = "the processes cannot be run",
        [FAILURE_CRASH] = "a crash",
    };
    return names[failure];
}

static void fails(struct report *report, enum failure failure, uint32_t step, const char *format,
                  ...) __attribute__((format(printf, 4, 5)));

static void fails(struct report *report, enum failure failure, uint32_t step, const char *format,
                  ...) {
    va_list values;
    report->failure = failure;
    report->ours = report->theirs = VM_OK;
    report->step = step;
    va_start(values, format);
    vsnprintf(report->text, sizeof(report->text), format, values);
    va_end(values);
}

/* ---------------------------------------------------------------- one step */

struct trial {
    struct real *real;
    struct library library;
    const struct library_kind *kind;
    struct report *report;
};

/* The kernel leaves neighbours apart that differ in nothing, because their pages have different
 * owners or because nothing has joined them since, and refuses to resize both at once. The library
 * never lets that show. */
static bool alike_neighbours(struct trial *trial, const struct random_op *op, int ours,
                             int theirs) {
    if (op->kind != RANDOM_MOVE || theirs != VM_EFAULT)
        return false;
    return ours == VM_OK
               ? op->pages > 1
               : ours == VM_ENOMEM &&
                     library_shows_one_area(&trial->library, op->process, PAGE_AT(op->page),
                                            PAGE_AT(op->page + op->pages));
}

static void compare_results(struct trial *trial, uint32_t step) {
    const struct random_op *op = &trial->real->stage->ops[step];
    const struct outcome *theirs = &trial->real->stage->outcomes[step];
    const struct outcome *ours = &trial->library.outcomes[step];
    char text[OP_TEXT_BYTES];

    if (alike_neighbours(trial, op, ours->result, theirs->result))
        trial->report->by_rule[RULE_ALIKE_NEIGHBOURS]++;
    else if (ours->result != theirs->result)
        fails(trial->report, FAILURE_RESULT, step, "%s: %s, to the kernel %s (%d)",
              op_text(op, text),
              ours->result == NOT_PLAYED ? "no process" : vm_result_text(ours->result),
              theirs->result == NOT_PLAYED ? "no process" : vm_result_text(theirs->result),
              theirs->result);
    else if (ours->where != theirs->where)
        fails(trial->report, FAILURE_RESULT, step, "%s: it went to a different place",
              op_text(op, text));
    if (trial->report->failure) {
        trial->report->ours = ours->result;
        trial->report->theirs = theirs->result;
    }
    if (op->kind == RANDOM_MOVE && theirs->result == VM_EFAULT)
        library_forgo_move(&trial->library, op);
}

/* What lies behind the end of an object in its last page is zero as long as nobody writes there. When
 * somebody does, it is zero again at some time, which is nobody's business. */
static bool behind_the_end(const struct stage *stage, uint32_t step, uint32_t offset, uint32_t ours,
                           uint32_t theirs) {
    if (ours && theirs)
        return false;
    for (uint32_t i = 0; i < step; i++)
        if (stage->ops[i].kind == RANDOM_TRUNCATE && stage->ops[i].value &&
            stage->ops[i].value < offset + sizeof(uint32_t))
            return true;
    return false;
}

static bool same_word(struct trial *trial, uint32_t step, uint32_t offset, uint32_t ours,
                      uint32_t theirs) {
    if (ours == theirs)
        return true;
    if (!behind_the_end(trial->real->stage, step, offset, ours, theirs))
        return false;
    trial->report->by_rule[RULE_BEHIND_THE_END]++;
    return true;
}

static void compare_touches(struct trial *trial, uint32_t step) {
    const struct random_op *op = &trial->real->stage->ops[step];
    for (unsigned i = 0; i < op->pages; i++) {
        const struct touched *theirs = &trial->real->stage->outcomes[step].pages[i];
        const struct touched *ours = &trial->library.outcomes[step].pages[i];
        if (ours->result == theirs->result &&
            same_word(trial, step, FIRST_OFFSET, ours->first, theirs->first) &&
            same_word(trial, step, LAST_OFFSET, ours->last, theirs->last))
            continue;
        fails(trial->report, FAILURE_TOUCH, step,
              "process %" PRIu64 " %s page %" PRIu64 ": %s %x %x, to the kernel %s %x %x",
              op->process + 1, op->kind == RANDOM_WRITE ? "writes" : "reads", op->page + i,
              vm_result_text(ours->result), ours->first, ours->last, vm_result_text(theirs->result),
              theirs->first, theirs->last);
        return;
    }
    trial->report->touches += op->pages;
}

static void compare_step(struct trial *trial, uint32_t step) {
    const struct random_op *op = &trial->real->stage->ops[step];
    library_play(&trial->library, trial->real->stage, step);
    if (trial->library.outcomes[step].result != NOT_PLAYED && op->kind != RANDOM_RECLAIM)
        trial->report->calls++;
    compare_results(trial, step);
    if (!trial->report->failure && (op->kind == RANDOM_READ || op->kind == RANDOM_WRITE))
        compare_touches(trial, step);
}

/* ---------------------------------------------------------------- looking */

/* Frames may be exchanged under the processes, so that a difference must be seen twice. */
static void compare_looks(struct trial *trial, uint32_t step) {
    static struct look theirs, ours;
    struct report *report = trial->report;
    bool copies = strcmp(trial->kind->design, "anonmm") == 0;
    char text[400] = "";

    look_at_library(&trial->library, &ours);
    for (int tries = 0; tries < 3; tries++) {
        if (!look_at_kernel(trial->real, &theirs, text, sizeof(text))) {
            fails(report, FAILURE_KERNEL, step, "%s", text);
            return;
        }
        look_compare_areas(&theirs, &ours, text, sizeof(text));
        if (text[0]) {
            fails(report, FAILURE_AREAS, step, "%s", text);
            return;
        }
        look_compare_groups(&theirs, &ours, SHARING_EQUAL, &report->shared_pages, text,
                            sizeof(text));
        if (!text[0])
            break;
    }
    if (text[0] && copies) {
        look_compare_groups(&theirs, &ours, SHARING_MAY_BE_LESS, &report->shared_pages, text,
                            sizeof(text));
        report->by_rule[RULE_FORCED_COPIES]++;
    }
    if (text[0]) {
        fails(report, FAILURE_GROUPS, step, "%s", text);
        return;
    }
    report->looks++;
    if (step + 1 == trial->real->stage->count) {
        report->unnamed += !theirs.identities;
        look_compare_hidden(trial->real, &trial->library, &theirs, &report->hidden_pages, text,
                            sizeof(text));
        if (text[0])
            fails(report, FAILURE_HIDDEN, step, "%s", text);
    }
}

/* ---------------------------------------------------------------- a program */

/* Then each process reads the whole window. */
static void set_stage(struct stage *stage, const struct sequence *program) {
    uint32_t count = 0;
    while (count < program->count && count < STEPS_MOST - PROCESS_SLOTS) {
        stage->ops[count] = program->ops[count];
        count++;
    }
    for (unsigned i = 0; i < PROCESS_SLOTS; i++)
        stage->ops[count++] =
            (struct random_op){ .kind = RANDOM_READ, .process = i, .pages = WINDOW_PAGES };
    stage->count = count;
}

static void play(struct trial *trial, enum looks looks) {
    struct stage *stage = trial->real->stage;
    struct report *report = trial->report;
    for (uint32_t step = 0; step < stage->count && !report->failure;) {
        uint32_t until = looks == LOOK_AFTER_EACH_STEP ? step + 1 : stage->count;
        if (!real_play(trial->real, until)) {
            fails(report, FAILURE_KERNEL, stage->at, "the processes do not answer");
            return;
        }
        for (; step < until && !report->failure; step++)
            compare_step(trial, step);
        if (!report->failure)
            compare_looks(trial, until - 1);
    }
}

void trial_run(struct real *real, const struct library_kind *kind, const struct sequence *program,
               enum looks looks, struct report *report) {
    static struct trial trial;
    trial.real = real;
    trial.kind = kind;
    trial.report = report;
    report->failure = FAILURE_NONE;
    set_stage(real->stage, program);
    if (!real_program_begin(real)) {
        fails(report, FAILURE_KERNEL, 0, "process 1 cannot begin");
        return;
    }
    if (!library_begin(&trial.library, kind)) {
        fails(report, FAILURE_LIBRARY, 0, "there is no machine");
        return;
    }
    play(&trial, looks);
    if (report->failure != FAILURE_KERNEL)
        real_program_end(real);
    const char *broken = library_end(&trial.library);
    if (!report->failure && broken)
        fails(report, FAILURE_LIBRARY, real->stage->count - 1, "%s", broken);
    report->programs++;
}

/* ---------------------------------------------------------------- apart */

struct playing {
    const char *folder;
    const struct library_kind *kind;
    const struct sequence *program;
    enum looks looks;
    struct report *report;
};

static void play_quietly(void *context) {
    const struct playing *playing = context;
    struct real real;
    apart_be_quiet();
    if (!real_begin(&real, playing->folder))
        _exit(1);
    trial_run(&real, playing->kind, playing->program, playing->looks, playing->report);
    if (playing->report->failure == FAILURE_KERNEL)
        real_kill(&real);
    else
        real_end(&real);
}

void trial_run_apart(const char *folder, const struct library_kind *kind,
                     const struct sequence *program, enum looks looks, struct report *report) {
    struct report *shared = apart_share(sizeof(*shared));
    struct playing playing = { folder, kind, program, looks, shared };
    struct apart apart = apart_play(play_quietly, &playing, 0);
    *report = *shared;
    apart_unshare(shared, sizeof(*shared));
    if (apart.end != APART_WELL)
        fails(report, FAILURE_CRASH, 0, "%s", apart.why);
}

/* ---------------------------------------------------------------- shrinking */

struct shrinking {
    const char *folder;
    const struct library_kind *kind;
    enum looks looks;
    struct report found;
    double until;
};

static bool still_fails(const struct sequence *program, void *context) {
    const struct shrinking *shrinking = context;
    struct report report;
    if (seconds_now() > shrinking->until)
        return false;
    trial_run_apart(shrinking->folder, shrinking->kind, program, shrinking->looks, &report);
    return report.failure == shrinking->found.failure && report.ours == shrinking->found.ours &&
           report.theirs == shrinking->found.theirs;
}

void trial_shrink(const char *folder, const struct library_kind *kind, struct sequence *program,
                  enum looks looks, const struct report *found, double seconds) {
    struct shrinking shrinking = { folder, kind, looks, *found, seconds_now() + seconds };
    while (sequence_shrink(program, still_fails, &shrinking))
        ;
}
