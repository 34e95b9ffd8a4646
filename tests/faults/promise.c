/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * promise.c - what vm.h and port.h promise of a call that meets a failure, and whether it was kept.
 *
 *   result     one that this kind of failure may give this call, and not without a failure
 *   changes    none. mprotect, mlock, munlock and advice that is kept in areas may have done the first
 *              pages of their range. mremap may have moved the first of several mappings, and, with
 *              VM_MREMAP_FIXED, emptied the target of the next. mlock may have locked all of the
 *              range, and brought in some of it.
 *   success    mlock: all is in memory. msync: all is on the device, and no failed write is untold.
 *   contents   of all pages are what the model says, wherever they are; a file that is closed has on
 *              its device all pages but those whose last write failed.
 *
 * What a call that fails in part has done is told by the areas: as many of the first pages as have
 * changed. The model, as it was before, is then told of just that, and must agree in everything.
 */
#include "life.h"

#include "memory.h"
#include "model/areas.h"

#include <objrmap/rmap.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- steps as calls */

static enum op_kind kind_of(enum event_kind kind) {
    switch (kind) {
    case EVENT_OBJECT:
        return RANDOM_DECLARE;
    case EVENT_RESIZE:
        return RANDOM_TRUNCATE;
    case EVENT_PROCESS:
        return RANDOM_BEGIN;
    case EVENT_FORK:
        return RANDOM_FORK;
    case EVENT_EXEC:
        return RANDOM_EXEC;
    case EVENT_EXIT:
        return RANDOM_EXIT;
    case EVENT_MAP:
        return RANDOM_MAP;
    case EVENT_UNMAP:
        return RANDOM_UNMAP;
    case EVENT_PROTECT:
        return RANDOM_PROTECT;
    case EVENT_MOVE:
        return RANDOM_MOVE;
    case EVENT_REARRANGE:
        return RANDOM_REARRANGE;
    case EVENT_ADVISE:
        return RANDOM_ADVISE;
    case EVENT_LOCK:
        return RANDOM_LOCK;
    case EVENT_UNLOCK:
        return RANDOM_UNLOCK;
    case EVENT_SYNC:
        return RANDOM_SYNC;
    case EVENT_READ:
        return RANDOM_READ;
    case EVENT_WRITE:
        return RANDOM_WRITE;
    default:
        return RANDOM_KINDS;
    }
}

static struct call call_of_event(const struct life *life, const struct trace_event *event) {
    const struct player *player = life->state.player;
    struct call call = { .kind = kind_of(event->kind), .process = event->process };
    call.start = event->range.address; /* first of all that have one */
    call.length = event->range.length;
    switch (event->kind) {
    case EVENT_MOVE:
        call.start = event->move.old_address;
        call.length = event->move.old_length;
        call.to = event->move.new_address;
        call.to_length = event->move.new_length;
        call.flags = call.to == call.start ? 0 : VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED;
        break;
    case EVENT_PROTECT:
        call.protection = event->protect.protection;
        break;
    case EVENT_ADVISE:
        call.value = event->advise.advice;
        break;
    case EVENT_SYNC:
        call.flags = VM_MS_SYNC;
        break;
    case EVENT_RESIZE:
        if (event->object < player->world->object_room)
            call.object = player->world->objects[event->object].object;
        break;
    case EVENT_READ:
    case EVENT_WRITE:
        call.start = event->touch.address;
        call.length = VM_PAGE_SIZE;
        break;
    default:
        break;
    }
    return call;
}

static struct call call_of_op(const struct life *life, const struct random_op *op) {
    struct world_object *object = play_object(&life->state, op);
    return (struct call){ .kind = op->kind,
                          .process = (uint32_t)op->process,
                          .start = place_address(&life->state, op),
                          .length = op->pages * VM_PAGE_SIZE,
                          .to = place_target(&life->state, op),
                          .to_length = op->to_pages * VM_PAGE_SIZE,
                          .flags = (unsigned)op->flags,
                          .protection = (unsigned)op->protection,
                          .value = op->value,
                          .object = object ? object->object : NULL };
}

struct call call_of(const struct life *life, const struct step *step) {
    const struct player *player = life->state.player;
    struct call call =
        step->is_op ? call_of_op(life, &step->op) : call_of_event(life, &step->event);
    if (call.process < player->world->process_room)
        call.space = player->world->processes[call.process].space;
    return call;
}

/* ---------------------------------------------------------------- areas, as runs of equal flags */

enum { RUN_SHARED = 8, RUN_LOCKED = 16, RUN_GROWSDOWN = 32, RUN_DONTFORK = 64 };

struct runs {
    struct area_run *list;
    size_t count, room;
};

static void add_run(struct runs *runs, uint64_t start, uint64_t end, uint32_t flags) {
    if (start >= end)
        return;
    if (runs->count) {
        struct area_run *last = &runs->list[runs->count - 1];
        if (last->end == start && last->flags == flags) {
            last->end = end;
            return;
        }
    }
    runs->list = grow_array(runs->list, &runs->room, runs->count + 1, sizeof(*runs->list));
    runs->list[runs->count++] = (struct area_run){ start, end, flags };
}

static bool visit_area(const struct vm_area_view *area, void *context) {
    uint32_t flags = area->protection;
    flags |= area->shared ? RUN_SHARED : 0u;
    flags |= area->locked ? RUN_LOCKED : 0u;
    flags |= area->growsdown ? RUN_GROWSDOWN : 0u;
    flags |= area->dontfork ? RUN_DONTFORK : 0u;
    add_run(context, area->start, area->end, flags);
    return true;
}

static struct runs runs_of(struct vm_space *space) {
    struct runs runs = { 0 };
    if (space)
        vm_area_each(space, visit_area, &runs);
    return runs;
}

static bool same_runs(const struct runs *a, const struct runs *b) {
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->list[i].start != b->list[i].start || a->list[i].end != b->list[i].end ||
            a->list[i].flags != b->list[i].flags)
            return false;
    return true;
}

/* Which flags a call changes, and to what. */
struct change {
    uint32_t mask, set;
};

static bool changes_flags(const struct call *call, struct change *change) {
    *change = (struct change){ 0 };
    switch (call->kind) {
    case RANDOM_PROTECT:
        *change = (struct change){ 7, call->protection };
        return true;
    case RANDOM_LOCK:
        *change = (struct change){ RUN_LOCKED, RUN_LOCKED };
        return true;
    case RANDOM_UNLOCK:
        *change = (struct change){ RUN_LOCKED, 0 };
        return true;
    case RANDOM_ADVISE:
        if (call->value == VM_MADV_DONTFORK)
            *change = (struct change){ RUN_DONTFORK, RUN_DONTFORK };
        else if (call->value == VM_MADV_DOFORK)
            *change = (struct change){ RUN_DONTFORK, 0 };
        return change->mask != 0;
    default:
        return false;
    }
}

static struct runs changed_runs(const struct before *before, uint64_t start, uint64_t end,
                                const struct change *change) {
    struct runs runs = { 0 };
    for (size_t i = 0; i < before->run_count; i++) {
        const struct area_run *run = &before->runs[i];
        uint64_t from = run->start > start ? run->start : start;
        uint64_t to = run->end < end ? run->end : end;
        if (from >= to) {
            add_run(&runs, run->start, run->end, run->flags);
            continue;
        }
        add_run(&runs, run->start, from, run->flags);
        add_run(&runs, from, to, (run->flags & ~change->mask) | change->set);
        add_run(&runs, to, run->end, run->flags);
    }
    return runs;
}

/* How much of the range, from its start, has changed. False: something else has. */
static bool measure_change(const struct before *before, const struct call *call,
                           const struct change *change, uint64_t *length) {
    struct runs after = runs_of(call->space);
    bool found = false;
    for (uint64_t tried = 0; !found && tried <= call->length; tried += VM_PAGE_SIZE) {
        struct runs wanted = changed_runs(before, call->start, call->start + tried, change);
        found = same_runs(&after, &wanted);
        *length = tried;
        free(wanted.list);
    }
    free(after.list);
    return found;
}

/* ---------------------------------------------------------------- before */

static uint64_t heap_end_of(struct vm_space *space) {
    uint64_t end = 0;
    if (space)
        vm_brk(space, 0, &end);
    return end;
}

void before_take(struct before *before, const struct life *life, const struct call *call) {
    const struct model *model = life->state.player->world->model;
    struct runs runs = runs_of(call->space);
    before->model = model_copy(model);
    before->runs = runs.list;
    before->run_count = runs.count;
    before->run_room = runs.room;
    before->heap_end = heap_end_of(call->space);
}

void before_free(struct before *before) {
    model_destroy(before->model);
    free(before->runs);
    *before = (struct before){ 0 };
}

/* ---------------------------------------------------------------- results */

static bool is_touch(const struct call *call) {
    return call->kind == RANDOM_READ || call->kind == RANDOM_WRITE ||
           call->kind == RANDOM_EXECUTE || call->kind == RANDOM_FAULT;
}

/* What a call may say if there is no memory for a record, or no frame. */
static bool tells_want_of_memory(const struct call *call, int result) {
    if (is_touch(call) || call->kind == RANDOM_BEGIN)
        return result == VM_OOM;
    switch (call->kind) {
    case RANDOM_FORK:
    case RANDOM_TRUNCATE:
    case RANDOM_MIGRATE:
        return result == VM_ENOMEM || result == VM_OOM;
    case RANDOM_LOCK:
        return result == VM_ENOMEM || result == VM_EAGAIN;
    case RANDOM_ADVISE:
        return result == VM_EAGAIN;
    case RANDOM_DECLARE:
    case RANDOM_MAP:
    case RANDOM_UNMAP:
    case RANDOM_UNLOCK:
    case RANDOM_PROTECT:
    case RANDOM_MOVE:
    case RANDOM_REARRANGE:
    case RANDOM_BRK:
        return result == VM_ENOMEM;
    default:
        return false;
    }
}

static bool tells_failed_read(const struct call *call, int result) {
    if (is_touch(call))
        return result == VM_SIGBUS;
    if (call->kind == RANDOM_LOCK)
        return result == VM_ENOMEM;
    return call->kind == RANDOM_TRUNCATE && result == VM_EIO;
}

/* Pages that cannot be written stay, and so there may be too few frames for others. */
static bool tells_failed_write(const struct call *call, int result) {
    return tells_want_of_memory(call, result);
}

static bool may_say(const struct life *life, const struct call *call,
                    const struct outcome *outcome) {
    int result = outcome->result;
    if (life->setup->short_of_memory && tells_want_of_memory(call, result))
        return true;
    if (!outcome->injected)
        return false;
    switch (gate_failing()) {
    case GATE_SWAP_READ:
    case GATE_FILE_READ:
        return tells_failed_read(call, result);
    case GATE_SWAP_WRITE:
    case GATE_FILE_WRITE:
        return tells_failed_write(call, result);
    default:
        return tells_want_of_memory(call, result);
    }
}

/* A touch that the model expects to succeed has failed. */
static bool judge_touch(struct life *life, const struct call *call, const struct outcome *outcome) {
    struct player *player = life->state.player;
    enum vm_access access = call->kind == RANDOM_WRITE     ? VM_WRITE
                            : call->kind == RANDOM_EXECUTE ? VM_EXECUTE
                            : call->kind == RANDOM_FAULT   ? (enum vm_access)call->value
                                                           : VM_READ;
    int expected = model_view(player->world->model, call->process, call->start, access).outcome;
    bool unknown =
        expected == VM_SIGBUS && outcome->result == VM_OOM; /* it has not come that far */
    if ((expected == VM_OK || unknown) && may_say(life, call, outcome))
        return true;
    return life_fails(life, "a touch ends in %s, expected %s: %s", vm_result_text(outcome->result),
                      vm_result_text(expected), player->failure);
}

/* Processes that begin, and objects, are nobody's before: the player takes their failing hard. */
static bool player_objects_to(const struct call *call) {
    return call->kind == RANDOM_DECLARE;
}

/* ---------------------------------------------------------------- failed in part */

static void restore_model(struct life *life, const struct before *before) {
    model_destroy(life->state.player->world->model);
    life->state.player->world->model = model_copy(before->model);
}

static bool agrees(struct life *life) {
    return player_check(life->state.player, life->state.step + 1) == PLAY_ON;
}

static bool judge_flags(struct life *life, const struct call *call, const struct before *before,
                        const struct change *change, bool *part) {
    struct model *model;
    uint64_t length;
    if (!measure_change(before, call, change, &length))
        return life_fails(life, "a failed call has changed areas, and not from its start on");
    *part = length != 0;
    restore_model(life, before);
    model = life->state.player->world->model;
    if (length && call->kind == RANDOM_PROTECT)
        model_protect(model, call->process, call->start, call->start + length, call->protection,
                      VM_OK);
    else if (length && call->kind == RANDOM_ADVISE)
        model_advise(model, call->process, call->start, call->start + length,
                     (enum vm_advice)call->value);
    return true;
}

/* [start, start + moved) has moved; of what was behind the target of that, `emptied` bytes have gone;
 * and the source has been cut to what there is room for, or not. */
struct part_of_move {
    uint64_t moved, emptied;
    bool cut;
};

static void tell_part_of_move(struct life *life, const struct call *call,
                              const struct before *before, const struct part_of_move *part) {
    restore_model(life, before);
    struct model *model = life->state.player->world->model;
    uint64_t target = call->to + part->moved;
    if (part->moved)
        model_move(model, call->process, call->start, part->moved, call->to, part->moved);
    model_unmap(model, call->process, target, target + part->emptied);
    if (part->cut)
        model_unmap(model, call->process, call->start + call->to_length,
                    call->start + call->length);
}

static bool agrees_with_part(struct life *life, const struct call *call,
                             const struct before *before, const struct part_of_move *part) {
    tell_part_of_move(life, call, before, part);
    return agrees(life);
}

/* Which mappings the range holds, neither areas nor model tell: advice keeps them apart as well. So
 * every page may be where the next began. */
static bool agrees_with_some_part(struct life *life, const struct call *call,
                                  const struct before *before) {
    bool several = call->length == call->to_length;
    struct part_of_move part = { .emptied = call->to_length };
    if (!(call->flags & VM_MREMAP_FIXED))
        return false;
    part.cut = call->to_length < call->length;
    if (agrees_with_part(life, call, before, &part))
        return true;
    part.cut = false;
    for (part.moved = 0; part.moved < call->to_length; part.moved += VM_PAGE_SIZE) {
        uint64_t rest = call->to_length - part.moved;
        for (part.emptied = 0; part.emptied <= rest; part.emptied += VM_PAGE_SIZE)
            if (agrees_with_part(life, call, before, &part))
                return true;
        if (!several)
            break;
    }
    return false;
}

static bool judge_move(struct life *life, const struct call *call, const struct before *before,
                       bool *part) {
    char first[sizeof(life->state.player->failure)];
    *part = !agrees(life);
    if (!*part)
        return true;
    memcpy(first, life->state.player->failure, sizeof(first));
    return agrees_with_some_part(life, call, before) ||
           life_fails(life, "a failed move has changed something: %s", first);
}

/* ---------------------------------------------------------------- failed */

static bool judge_unchanged(struct life *life, const struct call *call,
                            const struct before *before) {
    struct runs after = runs_of(call->space), wanted = { before->runs, before->run_count, 0 };
    bool same = same_runs(&after, &wanted);
    free(after.list);
    if (!same && !is_touch(call)) /* a stack may have grown: that the model knows */
        return life_fails(life, "a failed call has changed areas");
    if (heap_end_of(call->space) != before->heap_end)
        return life_fails(life, "a failed call has moved the end of the heap");
    return true;
}

static bool judge_failed(struct life *life, const struct call *call, const struct before *before,
                         bool *part) {
    struct change change;
    if (changes_flags(call, &change))
        return judge_flags(life, call, before, &change, part);
    if (call->kind == RANDOM_MOVE)
        return judge_move(life, call, before, part);
    return judge_unchanged(life, call, before);
}

/* ---------------------------------------------------------------- msync */

struct synced {
    struct life *life;
    const struct call *call;
    int result;
    bool explained; /* for VM_EIO: some write to a file of the range had failed */
    bool untold;    /* a file of the range has a failed write that nobody was told of */
    bool on_device;
};

static bool page_is_on(struct gate_device *device, uint64_t page, uint64_t version) {
    static unsigned char data[VM_PAGE_SIZE];
    uint64_t head, tail;
    if (gate_peek(device, page, data) != 0)
        return false;
    memcpy(&head, data, sizeof(head));
    memcpy(&tail, data + STAMP_TAIL_OFFSET, sizeof(tail));
    return head == version && tail == stamp_tail(version);
}

static bool pages_are_on(const struct synced *synced, struct gate_device *device, uint64_t first,
                         uint64_t pages) {
    struct model_object *object =
        model_object(synced->life->state.player->world->model, device->index);
    uint64_t version;
    for (uint64_t page = first; model_next_written(object, &page, &version) && page < first + pages;
         page++)
        if (!page_is_on(device, page, version))
            return false;
    return true;
}

static bool visit_synced(const struct vm_area_view *area, void *context) {
    struct synced *synced = context;
    uint64_t start = synced->call->start, end = start + synced->call->length;
    uint64_t from = area->start > start ? area->start : start;
    uint64_t to = area->end < end ? area->end : end;
    struct gate_device *device = NULL;
    if (from < to && area->shared && area->object)
        device = gate_device_of(area->object);
    if (!device)
        return true;
    if (synced->result == VM_EIO) {
        if (!synced->explained && !device->told)
            synced->explained = device->told = true;
        return true;
    }
    synced->untold |= !device->told;
    synced->on_device &=
        pages_are_on(synced, device, area->pgoff + ((from - area->start) >> VM_PAGE_SHIFT),
                     (to - from) >> VM_PAGE_SHIFT);
    return true;
}

static struct synced look_at_synced(struct life *life, const struct call *call, int result) {
    struct synced synced = { .life = life, .call = call, .result = result, .on_device = true };
    vm_area_each(call->space, visit_synced, &synced);
    return synced;
}

bool promise_of_msync(struct life *life, const struct call *call) {
    return look_at_synced(life, call, VM_EIO).explained ||
           life_fails(life, "msync tells of a failed write where none has failed");
}

/* ---------------------------------------------------------------- success */

struct locked {
    const struct call *call;
    uint64_t missing; /* an address; 0: none */
};

static bool visit_locked(const struct vm_area_view *area, void *context) {
    struct locked *locked = context;
    uint64_t start = locked->call->start, end = start + locked->call->length;
    uint64_t at = area->start > start ? area->start : start;
    for (; at < area->end && at < end; at += VM_PAGE_SIZE)
        if (vm_frame_at(locked->call->space, at) == VM_NO_FRAME)
            locked->missing = at;
    return true;
}

bool promise_of_success(struct life *life, const struct call *call) {
    struct locked locked = { .call = call };
    if (call->kind == RANDOM_LOCK && call->length)
        vm_area_each(call->space, visit_locked, &locked);
    if (locked.missing)
        return life_fails(life, "mlock succeeds, but the page at %" PRIx64 " is not in memory",
                          locked.missing);
    if (call->kind != RANDOM_SYNC || !(call->flags & VM_MS_SYNC))
        return true;
    struct synced synced = look_at_synced(life, call, VM_OK);
    if (synced.untold)
        return life_fails(life, "msync succeeds, but a write had failed and nobody was told");
    return synced.on_device || life_fails(life, "msync succeeds, but a page is not on its device");
}

/* ---------------------------------------------------------------- all of it */

static bool judge_size(struct life *life, const struct call *call) {
    const struct player *player = life->state.player;
    for (uint32_t i = 0; call->object && i < player->world->object_room; i++)
        if (player->world->objects[i].object == call->object &&
            vm_object_size(call->object) >> VM_PAGE_SHIFT !=
                model_object_pages(model_object(player->world->model, i)))
            return life_fails(life, "a failed truncation has changed the object's size");
    return true;
}

bool promise_kept(struct life *life, const struct call *call, struct before *before,
                  const struct outcome *outcome, enum play play, bool *part) {
    if (!outcome->played)
        return true;
    if (play == PLAY_DIFFERENT && !is_touch(call) && !player_objects_to(call))
        return life_fails(life, "%s", life->state.player->failure);
    if (is_touch(call) && (play == PLAY_DIFFERENT || outcome->result == VM_OOM))
        return judge_touch(life, call, outcome) && judge_unchanged(life, call, before);
    if (outcome->result == VM_OK || is_touch(call))
        return true;
    if (!may_say(life, call, outcome))
        return true; /* refused for another reason; the model judges that */
    return judge_failed(life, call, before, part) && judge_size(life, call);
}

void promise_at_close(struct gate_device *device, void *context) {
    struct life *life = context;
    struct model_object *object = model_object(life->state.player->world->model, device->index);
    uint64_t version;
    for (uint64_t page = 0; model_next_written(object, &page, &version); page++)
        if (!gate_has_lost(device, page) && !page_is_on(device, page, version))
            life_fails(life,
                       "a file is closed, and its page %" PRIu64 " is lost, though no write "
                       "of it has failed",
                       page);
}
