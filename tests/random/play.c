/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * play.c - see play.h.
 */
#include "play.h"

#include "failing_calls.h"
#include "holdings.h"
#include "state.h"

#include <objrmap/rmap.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const failure_names[] = {
    [FAILURE_NONE] = "none",
    [FAILURE_ORACLE] = "the oracle disagrees",
    [FAILURE_CONTENTS] = "areas, contents or results are not what the model expects",
    [FAILURE_HALF_WAY] = "a failed call has changed something",
    [FAILURE_RESULTS] = "designs give different results",
    [FAILURE_STATE] = "designs end in different states",
    [FAILURE_LEFT_OVER] = "something is left over",
    [FAILURE_CRASH] = "crash",
    [FAILURE_HANG] = "hang",
};

const char *failure_name(enum failure failure) {
    return failure_names[failure];
}

static void fail(struct play_state *state, enum failure failure, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The first failure counts. */
static void fail(struct play_state *state, enum failure failure, const char *format, ...) {
    struct report *report = state->report;
    va_list values;
    if (report->failure)
        return;
    report->failure = failure;
    report->failed_at = state->step;
    va_start(values, format);
    vsnprintf(report->message, sizeof(report->message), format, values);
    va_end(values);
}

/* ---------------------------------------------------------------- judges */

static void check_nothing_left(struct play_state *state, const struct holdings *start) {
    char left[200];
    if (!holdings_are_back(state->player->world, start, left, sizeof(left)))
        fail(state, FAILURE_LEFT_OVER, "%s", left);
}

static void note_difference(const char *difference, void *context) {
    fail(context, FAILURE_ORACLE, "%s", difference);
}

static void check_all(struct play_state *state) {
    if (vm_verify(state->player->world->machine, note_difference, state))
        fail(state, FAILURE_ORACLE, "vm_verify() finds differences without telling them");
    if (state->report->failure)
        return;
    if (player_check(state->player, state->step + 1) != PLAY_ON)
        fail(state, FAILURE_CONTENTS, "%s", state->player->failure);
}

static void retire_model(struct play_state *state) {
    model_destroy(state->player->world->model);
    state->player->world->model = NULL;
    state->report->model_retired = true;
    if (state->request->verdicts)
        state->request->verdicts->apart = true; /* contents are part of a state's number */
}

/* A number that differs when anything about areas does that programs or forks can notice. */
static bool mix_area(const struct vm_area_view *area, void *context) {
    uint64_t *hash = context;
    const uint64_t seen[] = {
        area->start,     area->end,      area->protection,        area->shared,
        area->growsdown, area->dontfork, (uintptr_t)area->object, area->object ? area->pgoff : 0
    };
    for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
        *hash = (*hash ^ seen[i]) * UINT64_C(0x9e3779b97f4a7c15) + (*hash >> 31);
    return true;
}

/* Neighbours that could be one count as they stand: a failed call may leave an area in two. So areas
 * are looked at page by page. */
static bool mix_pages(const struct vm_area_view *area, void *context) {
    struct vm_area_view page = *area;
    for (uint64_t at = area->start; at < area->end; at += VM_PAGE_SIZE) {
        page.start = at;
        page.end = at + VM_PAGE_SIZE;
        page.pgoff = area->pgoff + ((at - area->start) >> VM_PAGE_SHIFT);
        mix_area(&page, context);
    }
    return true;
}

static uint64_t areas_of(const struct play_state *state, const struct random_op *op) {
    uint64_t hash = 1;
    struct player *player = state->player;
    if (op->process < player->world->process_room && player->world->processes[op->process].space)
        vm_area_each(player->world->processes[op->process].space, mix_pages, &hash);
    return hash;
}

static bool is_want_of_memory(int result) {
    return result == VM_ENOMEM || result == VM_EAGAIN || result == VM_OOM;
}

/* The calls that vm.h lets stop half-way. */
static bool may_stop_half_way(const struct random_op *op) {
    return op->kind == RANDOM_PROTECT || op->kind == RANDOM_ADVISE || op->kind == RANDOM_MOVE;
}

static bool is_touch(const struct random_op *op) {
    return op->kind == RANDOM_READ || op->kind == RANDOM_WRITE || op->kind == RANDOM_EXECUTE ||
           op->kind == RANDOM_FAULT;
}

/* Advice that a later fork obeys: no check of areas and contents tells yet what became of it. */
static bool advised_half_way(const struct play_state *state, const struct random_op *op, int result,
                             uint64_t areas_before) {
    return op->kind == RANDOM_ADVISE && result == VM_EAGAIN && areas_of(state, op) != areas_before;
}

/* A call has failed for want of memory. How far one came that stops half-way is not told by its
 * result: if the model has guessed wrong, it retires. */
static void judge_half_way(struct play_state *state, const struct random_op *op, int result,
                           uint64_t areas_before) {
    if (may_stop_half_way(op)) {
        if (plan_is_tight(state->request->plan) && state->player->world->model &&
            (advised_half_way(state, op, result, areas_before) ||
             player_check(state->player, state->step + 1) == PLAY_DIFFERENT))
            retire_model(state);
    } else if (areas_of(state, op) != areas_before) {
        fail(state, FAILURE_HALF_WAY, "%s fails with \"%s\" and has changed areas all the same",
             op_kind_name(op->kind), vm_result_text(result));
    }
}

/* ---------------------------------------------------------------- other designs */

static bool same_verdict(const struct verdict *a, const struct verdict *b) {
    return a->result == b->result && a->where == b->where && a->touched == b->touched &&
           a->segv == b->segv && a->bus == b->bus;
}

static void compare_verdicts(struct play_state *state, const struct random_op *op,
                             const struct verdict *verdict) {
    struct verdicts *all = state->request->verdicts;
    if (!all || all->apart)
        return;
    struct verdict *first = &all->list[state->step];
    if (!all->filled) {
        *first = *verdict;
        return;
    }
    bool short_of_memory = first->out_of_memory || verdict->out_of_memory ||
                           is_want_of_memory(first->result) || is_want_of_memory(verdict->result);
    bool same = first->out_of_memory == verdict->out_of_memory && same_verdict(first, verdict);
    if (!same && short_of_memory && state->request->frames_may_differ)
        all->apart = true;
    else if (!same)
        fail(state, FAILURE_RESULTS,
             "%s gives %s at %" PRIx64 " (%" PRIu64 " pages touched, %" PRIu64 " SIGSEGV, %" PRIu64
             " SIGBUS%s), the first design %s at %" PRIx64 " (%" PRIu64 ", %" PRIu64 ", %" PRIu64
             "%s)",
             op_kind_name(op->kind), vm_result_text(verdict->result), verdict->where,
             verdict->touched, verdict->segv, verdict->bus,
             verdict->out_of_memory ? ", out of memory" : "", vm_result_text(first->result),
             first->where, first->touched, first->segv, first->bus,
             first->out_of_memory ? ", out of memory" : "");
}

static void compare_states(struct play_state *state) {
    struct verdicts *all = state->request->verdicts;
    if (!all || all->apart)
        return;
    /* Even without a call that failed, one of the two may have populated less. */
    if (state->request->frames_may_differ && plan_is_tight(state->request->plan))
        return;
    uint64_t hash = state_write(state->player, NULL);
    if (!all->filled)
        all->hash = hash;
    else if (all->hash != hash)
        fail(state, FAILURE_STATE, "state %016" PRIx64 ", the first design's is %016" PRIx64, hash,
             all->hash);
    all->filled = true;
}

/* ---------------------------------------------------------------- steps */

/* A page that could not be read from its device is a SIGBUS that the model does not expect. */
static bool is_excused(const struct random_op *op, uint64_t injected) {
    return injected && is_touch(op);
}

static void judge_step(struct play_state *state, const struct random_op *op,
                       const struct verdict *verdict, uint64_t areas_before) {
    const struct request *request = state->request;
    bool refused = verdict->result != VM_OK;
    state->report->refused += refused;
    state->report->out_of_memory += verdict->out_of_memory;
    if ((is_want_of_memory(verdict->result) || verdict->out_of_memory) && !is_touch(op))
        judge_half_way(state, op, verdict->result, areas_before);
    compare_verdicts(state, op, verdict);
    if (request->check_every && (state->step + 1) % request->check_every == 0)
        check_all(state);
}

/* Without its objects a sequence is not worth much: nothing fails yet. */
static struct verdict play_declaration(struct play_state *state, const struct random_op *op,
                                       enum play *play) {
    struct verdict verdict = play_op(state, op, play);
    struct world_object *object = play_object(state, op);
    if (object && object->store)
        failing_calls_in_store(object->store);
    return verdict;
}

/* The op in its own words, before it is played. */
static void print_op(const struct play_state *state, const struct random_op *op) {
    struct trace_writer *print = state->request->print;
    char text[OP_TEXT_BYTES];
    if (!print)
        return;
    trace_comment(print, "op %s", op_text(op, text));
    trace_flush(print);
}

static void play_step(struct play_state *state, const struct random_op *op) {
    enum play play = PLAY_ON;
    struct verdict verdict = { 0 };
    if (!play_possible(state, op)) {
        compare_verdicts(state, op, &verdict);
        return;
    }
    print_op(state, op);
    uint64_t before = areas_of(state, op), injected = 0;
    if (op->kind == RANDOM_DECLARE) {
        verdict = play_declaration(state, op, &play);
    } else {
        failing_calls_on();
        verdict = play_op(state, op, &play);
        injected = failing_calls_off();
    }
    state->report->steps++;
    state->report->injected += injected;
    if (play == PLAY_DIFFERENT && !is_excused(op, injected))
        fail(state, FAILURE_CONTENTS, "%s", state->player->failure);
    else
        judge_step(state, op, &verdict, before);
}

/* A design that has no chains of objects' pages plays the fourth answer as cluster. */
static enum vm_nonlinear nonlinear_for(const struct request *request) {
    enum vm_nonlinear wanted = (enum vm_nonlinear)(request->plan->nonlinear % 4);
    bool can = wanted != VM_NONLINEAR_CHAIN || request->chains_objects;
    return can ? wanted : VM_NONLINEAR_CLUSTER;
}

static struct vm_machine_config config_for(const struct request *request) {
    const struct plan *plan = request->plan;
    return (struct vm_machine_config){
        .frames = plan->frames,
        .contents = plan->metadata ? VM_METADATA_ONLY : VM_CONTENTS_KEPT,
        .cpus = (unsigned)plan->cpus,
        .nodes = (unsigned)plan->nodes,
        .low_frames = plan->low,
        .swappiness = (unsigned)plan->swappiness,
        .design = request->design,
        .file_index = request->file_index,
        .fork_copy = plan->eager ? VM_FORK_EAGER : VM_FORK_LAZY,
        .chain_lock =
            plan->global && request->has_chains ? VM_CHAIN_LOCK_GLOBAL : VM_CHAIN_LOCK_PAGE,
        .nonlinear = nonlinear_for(request),
        .swap_pages = plan->swap,
        .area_limit = plan->areas,
        .address_limit = plan->addresses * VM_PAGE_SIZE,
        .lock_limit = plan->locked * VM_PAGE_SIZE,
        .fault_around = (unsigned)plan->around,
    };
}

void play_sequence(const struct request *request, struct report *report) {
    struct vm_machine_config config = config_for(request);
    struct play_state state = { .request = request, .report = report, .next_pid = 1 };
    *report = (struct report){ 0 };
    state.player = player_create(&config, request->design);
    if (!state.player) {
        fail(&state, FAILURE_CONTENTS, "the machine cannot be made");
        return;
    }
    failing_calls_begin(&request->plan->failures, state.player);
    struct holdings start = holdings_of(state.player->world);
    for (; state.step < request->sequence->count && !report->failure; state.step++)
        play_step(&state, &request->sequence->ops[state.step]);
    if (!report->failure)
        check_all(&state);
    if (!report->failure)
        compare_states(&state);
    world_clear(state.player->world);
    if (!report->failure)
        check_nothing_left(&state, &start);
    if (!report->failure && vm_verify(state.player->world->machine, note_difference, &state))
        fail(&state, FAILURE_ORACLE, "vm_verify() of an empty machine finds differences");
    player_destroy(state.player);
}
