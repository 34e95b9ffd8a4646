/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * life.c - see life.h.
 */
#include "life.h"

#include "state.h"

#include <objrmap/rmap.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool life_fails(struct life *life, const char *format, ...) {
    va_list values;
    char step[STEP_TEXT_BYTES] = "the end", text[650];
    if (life->failure[0])
        return false;
    if (life->state.step < life->script->count)
        step_text(&life->script->steps[life->state.step], step);
    va_start(values, format);
    vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    snprintf(life->failure, sizeof(life->failure), "%s: %s", step, text);
    return false;
}

static void note_difference(const char *difference, void *context) {
    life_fails(context, "the oracle disagrees: %s", difference);
}

static bool check_all(struct life *life) {
    struct player *player = life->state.player;
    if (vm_verify(player->world->machine, note_difference, life))
        return life_fails(life, "vm_verify() finds differences without telling them");
    if (player_check(player, life->state.step + 1) != PLAY_ON)
        return life_fails(life, "%s", player->failure);
    return true;
}

/* ---------------------------------------------------------------- beginning */

static struct vm_machine_config config_of(const struct setup *setup) {
    const struct plan *plan = &setup->plan;
    enum vm_nonlinear nonlinear = (enum vm_nonlinear)plan->nonlinear;
    if (nonlinear == VM_NONLINEAR_CHAIN && !setup->chains_objects)
        nonlinear = VM_NONLINEAR_CLUSTER;
    return (struct vm_machine_config){
        .frames = plan->frames,
        .nodes = (unsigned)plan->nodes,
        .low_frames = setup->low_frames,
        .contents = VM_CONTENTS_KEPT,
        .cpus = plan->cpus ? (unsigned)plan->cpus : 1,
        .design = setup->design,
        .file_index = setup->file_index,
        .fork_copy = plan->eager ? VM_FORK_EAGER : VM_FORK_LAZY,
        .nonlinear = nonlinear,
        .swap_pages = plan->swap,
        .area_limit = plan->areas,
        .address_limit = plan->addresses * VM_PAGE_SIZE,
        .lock_limit = plan->locked * VM_PAGE_SIZE,
        .fault_around = (unsigned)plan->around,
    };
}

bool life_begin(struct life *life, const struct script *script, const struct setup *setup) {
    struct vm_machine_config config = config_of(setup);
    *life = (struct life){ .script = script, .setup = setup };
    life->request = (struct request){ .plan = &life->setup->plan, .design = setup->design };
    life->state.request = &life->request;
    life->state.report = &life->report;
    life->state.next_pid = 1;
    life->state.player = player_create(&config, script->name);
    if (!life->state.player)
        return false;
    gate_begin(life->state.player, promise_at_close, life);
    if (setup->reclaim_thread)
        gate_listen(life->state.player);
    life->start = holdings_of(life->state.player->world);
    return true;
}

/* ---------------------------------------------------------------- one step */

static bool process_is_there(const struct player *player, uint32_t process) {
    return process < player->world->process_room && player->world->processes[process].space;
}

static bool object_is_there(const struct player *player, uint32_t object) {
    return object == TRACE_ANONYMOUS ||
           (object < player->world->object_room && player->world->objects[object].object);
}

/* A trace goes on although a process or object that it names could not be made. */
static bool event_is_possible(const struct player *player, const struct trace_event *event) {
    switch (event->kind) {
    case EVENT_OBJECT:
    case EVENT_PROCESS:
        return true;
    case EVENT_RESIZE:
        return object_is_there(player, event->object);
    case EVENT_MAP:
        return process_is_there(player, event->process) && object_is_there(player, event->object);
    default:
        return process_is_there(player, event->process);
    }
}

static struct verdict play_one(struct life *life, const struct step *step, struct outcome *outcome,
                               enum play *play) {
    struct player *player = life->state.player;
    struct verdict verdict = { 0 };
    *play = PLAY_ON;
    if (step->is_op ? !play_possible(&life->state, &step->op)
                    : !event_is_possible(player, &step->event))
        return verdict;
    outcome->played = true;
    gate_open();
    verdict = step->is_op ? play_op(&life->state, &step->op, play)
                          : play_event(&life->state, &step->event, play);
    for (unsigned node; gate_woken(&node);)
        vm_reclaim_node(player->world->machine, node);
    gate_shut();
    return verdict;
}

static void new_files_through_gate(struct player *player) {
    for (size_t i = 0; i < player->world->object_room; i++)
        if (player->world->objects[i].object)
            gate_file(player, (uint32_t)i);
}

static bool is_touch(const struct call *call) {
    return call->kind == RANDOM_READ || call->kind == RANDOM_WRITE ||
           call->kind == RANDOM_EXECUTE || call->kind == RANDOM_FAULT;
}

static enum play play_step(struct life *life, const struct step *step, const struct call *call,
                           struct outcome *outcome) {
    struct player *player = life->state.player;
    enum play play;
    *outcome = (struct outcome){ 0 };
    for (enum gate_kind kind = 0; kind < GATE_KINDS; kind++)
        outcome->calls[kind] = gate_calls(kind);
    player->touch_result = VM_OK;
    struct verdict verdict = play_one(life, step, outcome, &play);
    outcome->result = is_touch(call) ? player->touch_result : verdict.result;
    if (verdict.out_of_memory && !outcome->result)
        outcome->result = VM_OOM;
    if (call->kind == RANDOM_DECLARE && play == PLAY_DIFFERENT)
        outcome->result = VM_ENOMEM; /* the player says no more than that it cannot be opened */
    outcome->where = verdict.where;
    outcome->injected = outcome->played ? gate_failed() : 0;
    for (enum gate_kind kind = 0; kind < GATE_KINDS; kind++)
        outcome->calls[kind] = gate_calls(kind) - outcome->calls[kind];
    new_files_through_gate(player);
    return play;
}

/* Counts of names and versions: what has failed has used none up. */
struct numbers {
    uint32_t next_pid;
    uint64_t version, object_ids;
    bool declared[OBJECT_SLOTS];
};

static struct numbers numbers_of(const struct life *life) {
    struct numbers numbers = {
        life->state.next_pid, life->state.player->world->versions, life->state.object_ids, { 0 }
    };
    memcpy(numbers.declared, life->state.declared, sizeof(numbers.declared));
    return numbers;
}

static void set_numbers(struct life *life, const struct numbers *numbers) {
    life->state.next_pid = numbers->next_pid;
    life->state.player->world->versions = numbers->version;
    life->state.object_ids = numbers->object_ids;
    memcpy(life->state.declared, numbers->declared, sizeof(numbers->declared));
}

static bool judge(struct life *life, const struct call *call, struct before *before,
                  struct outcome *outcome, enum play play, bool *part) {
    *part = false;
    bool met_failure = outcome->injected || life->setup->short_of_memory;
    outcome->told_late = call->kind == RANDOM_SYNC && outcome->result == VM_EIO;
    if (outcome->told_late)
        return promise_of_msync(life, call);
    if (!met_failure && play == PLAY_DIFFERENT)
        return life_fails(life, "%s", life->state.player->failure);
    if (met_failure && !promise_kept(life, call, before, outcome, play, part))
        return false;
    life->apart |= *part;
    if (outcome->played && outcome->result == VM_OK && play == PLAY_ON)
        return promise_of_success(life, call);
    return true;
}

static bool step_with(struct life *life, size_t number, enum life_check check,
                      struct before *before, struct outcome *outcome, bool *part) {
    const struct step *step = &life->script->steps[number];
    life->state.step = number;
    struct call call = call_of(life, step);
    if (gate_armed() || life->setup->short_of_memory)
        before_take(before, life, &call);
    enum play play = play_step(life, step, &call, outcome);
    if (!judge(life, &call, before, outcome, play, part))
        return false;
    bool due = check == LIFE_CHECK_ALL || outcome->injected ||
               (life->setup->short_of_memory && outcome->result != VM_OK);
    return !due || check_all(life);
}

bool life_step(struct life *life, size_t number, enum life_check check, struct outcome *outcome) {
    struct before before = { 0 };
    bool part;
    bool kept = step_with(life, number, check, &before, outcome, &part);
    before_free(&before);
    return kept;
}

/* A map that is to be populated or locked, and whatever is done to a process that has locked memory,
 * may copy pages of a private mapping ahead, or not: then contents may differ later on. */
static bool may_copy_ahead(const struct life *life, const struct step *step) {
    struct call call = call_of(life, step);
    const struct player *player = life->state.player;
    bool locks =
        call.process < player->world->process_room && player->world->processes[call.process].locks;
    return locks || (call.kind == RANDOM_MAP && call.flags & (VM_MAP_LOCKED | VM_MAP_POPULATE));
}

bool life_step_twice(struct life *life, size_t number, const struct outcome *expected,
                     struct outcome *outcome) {
    const struct step *step = &life->script->steps[number];
    struct before before = { 0 };
    struct numbers numbers = numbers_of(life);
    bool part;
    bool kept = step_with(life, number, LIFE_CHECK_ALL, &before, outcome, &part);
    before_free(&before);
    if (!kept)
        return false;
    if (outcome->injected == 0)
        return life_fails(life, "what was to fail has not happened: two lives differ");
    gate_plan(gate_failing(), GATE_NEVER, 0);
    if (outcome->result == expected->result && outcome->where == expected->where) {
        life->apart |= may_copy_ahead(life, step);
        return true;
    }
    if (outcome->result == VM_OK)
        return life_fails(life, "it succeeds, but otherwise than when nothing fails");
    if (part)
        return true;
    set_numbers(life, &numbers);
    struct outcome again;
    return life_step(life, number, LIFE_CHECK_ALL, &again) &&
           life_same(life, number, expected, &again);
}

bool life_same(struct life *life, size_t number, const struct outcome *expected,
               const struct outcome *outcome) {
    const struct step *step = &life->script->steps[number];
    /* Moving pages does not reclaim: a node may be full because of what came in, or did not, before. */
    if (step->is_op && step->op.kind == RANDOM_MIGRATE &&
        (outcome->result == VM_OOM || expected->result == VM_OOM))
        return true;
    if (life->apart || (outcome->told_late && !outcome->injected) ||
        (outcome->played == expected->played && outcome->result == expected->result &&
         outcome->where == expected->where))
        return true;
    return life_fails(life,
                      "it comes to %s at %" PRIx64 ", where nothing has failed to %s at "
                      "%" PRIx64,
                      vm_result_text(outcome->result), outcome->where,
                      vm_result_text(expected->result), expected->where);
}

/* ---------------------------------------------------------------- the end */

bool life_end(struct life *life, uint64_t *hash) {
    struct player *player = life->state.player;
    char left[200];
    life->state.step = life->script->count;
    if (!check_all(life))
        return false;
    *hash = state_write(player, NULL);
    world_clear(player->world);
    if (!holdings_are_back(player->world, &life->start, left, sizeof(left)))
        return life_fails(life, "%s", left);
    if (vm_verify(player->world->machine, note_difference, life))
        return life_fails(life, "vm_verify() of an empty machine finds differences");
    return !life->failure[0];
}

void life_destroy(struct life *life) {
    player_destroy(life->state.player);
}
