/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * player.c - see player.h.
 */
#include "replay/player.h"

#include "command.h"
#include "memory.h"
#include "replay/store.h"

#include <objrmap/rmap.h>
#include <objrmap/stats.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const op_names[OPS] = {
    [OP_MMAP] = "mmap",         [OP_MUNMAP] = "munmap",
    [OP_MPROTECT] = "mprotect", [OP_MREMAP] = "mremap",
    [OP_MADVISE] = "madvise",   [OP_REMAP_FILE_PAGES] = "remap_file_pages",
    [OP_MLOCK] = "mlock",       [OP_MUNLOCK] = "munlock",
    [OP_MSYNC] = "msync",       [OP_TRUNCATE] = "truncate",
    [OP_FORK] = "fork",         [OP_EXEC] = "exec",
    [OP_EXIT] = "exit",         [OP_TOUCH] = "touch",
};

const char *op_name(enum op op) {
    return op_names[op];
}

uint64_t player_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---------------------------------------------------------------- how play ends */

enum play player_different(struct player *player, const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(player->failure, sizeof(player->failure), format, values);
    va_end(values);
    return PLAY_DIFFERENT;
}

enum play player_out_of_memory(struct player *player, uint32_t process, uint64_t line,
                               const char *doing) {
    const struct world_process *victim = &player->world->processes[process];
    struct vm_stats stats;
    vm_stats_read(player->world->machine, &stats);
    snprintf(
        player->failure, sizeof(player->failure),
        "%s:%" PRIu64 ": out of memory: process %" PRIu32 " (%s) needs memory for %s, and nothing "
        "can be freed. Of %" PRIu64 " pages of memory %" PRIu64 " are page tables, %" PRIu64
        " locked, %" PRIu64 " free; %" PRIu64 " pages of swap are used. Try a larger --memory "
        "or --swap%s.",
        player->world->trace_name, line, victim->pid, victim->name ? victim->name : "?", doing,
        stats.memory.frames_total, stats.memory.tables, stats.memory.locked,
        stats.memory.frames_free, stats.memory.swap_used,
        player->lane ? ", or fewer --cpus: processes that follow each other now live at once" : "");
    return PLAY_OUT_OF_MEMORY;
}

/* ---------------------------------------------------------------- life */

struct player *player_create(const struct vm_machine_config *config, const char *trace_name) {
    struct world *world = world_create(config, trace_name);
    struct player *player = world ? new_array(1, sizeof(*player)) : NULL;
    if (player)
        player->world = world;
    return player;
}

void player_destroy(struct player *player) {
    if (player)
        world_destroy(player->world);
    free(player);
}

static void add_op(struct op_count *op, const struct op_count *other) {
    op->count += other->count;
    op->ns += other->ns;
    if (other->refused && (!op->refused || other->refused_line < op->refused_line)) {
        op->refused_line = other->refused_line;
        op->refusal = other->refusal;
    }
    op->refused += other->refused;
}

void player_add(struct player *player, const struct player *other) {
    for (int op = 0; op < OPS; op++)
        add_op(&player->ops[op], &other->ops[op]);
    player->pages_touched += other->pages_touched;
    player->segv += other->segv;
    player->bus += other->bus;
    player->checks += other->checks;
    player->lives += other->lives;
    player->aside_ns += other->aside_ns;
}

/* ---------------------------------------------------------------- among other players */

void player_take_turn(struct player *player) {
    if (player->take_turn)
        player->take_turn(player);
}

bool player_try_again(struct player *player, int result) {
    return result == VM_OOM && player->take_all && player->take_all(player);
}

/* ---------------------------------------------------------------- calls and their results */

/* One event under way: what it is, when it began. */
struct call {
    struct player *player;
    const struct trace_event *event;
    struct world_process *process;
    struct vm_space *space;
    enum op op;
    uint64_t begin, waited;
};

static struct call call_begin(struct player *player, const struct trace_event *event, enum op op) {
    struct call call = { .player = player, .event = event, .op = op };
    if (op != OP_TRUNCATE) {
        call.process = &player->world->processes[event->process];
        call.space = call.process->space;
    }
    if (call.process && player->world->model && (call.process->locks || op == OP_MLOCK))
        player_take_turn(player); /* what is locked is looked at, and may be copied, now */
    call.begin = player_now();
    call.waited = player->waited_ns;
    return call;
}

static enum play call_end(const struct call *call, int result) {
    struct op_count *count = &call->player->ops[call->op];
    count->ns += player_now() - call->begin - (call->player->waited_ns - call->waited);
    count->count++;
    if (result == VM_OK)
        return PLAY_ON;
    if (result == VM_OOM && call->process)
        return player_out_of_memory(call->player, call->event->process, call->event->line,
                                    op_names[call->op]);
    if (!count->refused++) {
        count->refused_line = call->event->line;
        count->refusal = result;
    }
    return PLAY_ON;
}

/* ---------------------------------------------------------------- objects */

/* Sizes count in whole pages: a touch says which page, not which byte of it. */
static uint64_t whole_pages(uint64_t bytes) {
    uint64_t most = (uint64_t)INT64_MAX >> VM_PAGE_SHIFT;
    uint64_t pages = (bytes + VM_PAGE_SIZE - 1) >> VM_PAGE_SHIFT;
    return pages < most ? pages : most;
}

static enum play declare_object(struct player *player, const struct trace_event *event) {
    uint64_t pages = whole_pages(event->declare.size);
    bool file = event->declare.kind == OBJECT_FILE;
    world_make_room(player->world, event);
    struct world_object *object = &player->world->objects[event->object];
    int result;
    object->id = event->declare.id;
    if (file) {
        object->store = store_new_file(object->id, pages);
        result = vm_object_open(player->world->machine, store_backing(object->store), object->id,
                                &object->object);
    } else {
        result = vm_object_create_shm(player->world->machine, pages << VM_PAGE_SHIFT, object->id,
                                      &object->object);
    }
    if (result != VM_OK) {
        struct vm_backing *backing = object->store ? store_backing(object->store) : NULL;
        if (backing)
            backing->close(backing);
        *object = (struct world_object){ 0 };
        return player_different(player, "%s:%" PRIu64 ": object %" PRIu32 " cannot be opened: %s",
                                player->world->trace_name, event->line, event->declare.id,
                                vm_result_text(result));
    }
    if (player->world->model)
        model_object_declare(player->world->model, event->object, object->id, file, pages);
    return PLAY_ON;
}

/* The store is cut once the machine has let go of what lies beyond. */
static enum play resize_object(struct player *player, const struct trace_event *event) {
    struct world_object *object = &player->world->objects[event->object];
    uint64_t pages = whole_pages(event->resize.size);
    struct call call = call_begin(player, event, OP_TRUNCATE);
    int result = vm_object_truncate(object->object, pages << VM_PAGE_SHIFT);
    enum play play = call_end(&call, result);
    if (result != VM_OK)
        return play;
    if (object->store)
        store_resize(object->store, pages);
    if (player->world->model)
        model_object_resize(player->world->model, event->object, pages);
    return play;
}

/* ---------------------------------------------------------------- processes */

static struct world_process *new_process(struct player *player, uint32_t index, uint32_t pid,
                                         const char *name) {
    struct world_process *process = &player->world->processes[index];
    *process = (struct world_process){ .pid = pid, .name = new_text(name) };
    return process;
}

static enum play begin_process(struct player *player, const struct trace_event *event) {
    world_make_room(player->world, event);
    struct world_process *process =
        new_process(player, event->process, event->pid, event->program.name);
    int result;
    do
        result = vm_space_create(player->world->machine, event->pid, &process->space);
    while (player_try_again(player, result));
    if (result != VM_OK) {
        process->space = NULL;
        enum play play =
            player_out_of_memory(player, event->process, event->line, "its page table");
        world_forget_process(process);
        return play;
    }
    if (player->world->model)
        model_process_begin(player->world->model, event->process);
    return PLAY_ON;
}

static enum play fork_process(struct player *player, const struct trace_event *event) {
    world_make_room(player->world, event);
    struct world_process *child = new_process(player, event->child.process, event->child.pid,
                                              player->world->processes[event->process].name);
    struct call call = call_begin(player, event, OP_FORK);
    int result;
    do
        result = vm_fork(call.space, event->child.pid, &child->space);
    while (player_try_again(player, result));
    /* Later events name the child: without it the trace cannot go on. */
    enum play play = call_end(&call, result == VM_ENOMEM ? VM_OOM : result);
    if (result != VM_OK) {
        child->space = NULL;
        world_forget_process(child);
        return play == PLAY_ON ? player_different(player, "%s:%" PRIu64 ": fork fails: %s",
                                                  player->world->trace_name, event->line,
                                                  vm_result_text(result))
                               : play;
    }
    if (player->world->model)
        model_fork(player->world->model, event->process, event->child.process);
    return play;
}

static enum play exec_process(struct player *player, const struct trace_event *event) {
    struct call call = call_begin(player, event, OP_EXEC);
    int result;
    do
        result = vm_exec(call.space);
    while (player_try_again(player, result));
    enum play play = call_end(&call, result);
    if (result == VM_OK && player->world->model)
        model_exec(player->world->model, event->process);
    call.process->locks = false;
    free(call.process->name);
    call.process->name = new_text(event->program.name);
    return play;
}

static enum play exit_process(struct player *player, const struct trace_event *event) {
    struct call call = call_begin(player, event, OP_EXIT);
    vm_exit(call.space);
    enum play play = call_end(&call, VM_OK);
    if (player->world->model)
        model_exit(player->world->model, event->process);
    world_forget_process(call.process);
    return play;
}

/* ---------------------------------------------------------------- mapping calls */

struct adoption {
    struct player *player;
    uint32_t process;
};

static bool adopt_page(const struct vm_page_view *page, void *context) {
    const struct adoption *adoption = context;
    struct model *model = adoption->player->world->model;
    if (page->kind == VM_PAGE_ANONYMOUS &&
        model_view(model, adoption->process, page->address, VM_READ).private_file)
        model_copy_privately(model, adoption->process, page->address);
    return true;
}

/* Locked memory may be copied ahead of the first write, and whether it is no program may rely on:
 * so the model asks the machine. */
static void adopt_copies(const struct call *call, uint64_t start, uint64_t length) {
    if (!call->player->world->model || !call->process->locks)
        return;
    struct adoption adoption = { call->player, call->event->process };
    vm_page_each(call->space, start, start + length, adopt_page, &adoption);
}

static enum play map(struct player *player, const struct trace_event *event) {
    uint64_t start = event->map.address, end = start + event->map.length, where;
    struct vm_object *object = NULL;
    if (event->object != TRACE_ANONYMOUS)
        object = player->world->objects[event->object].object;
    unsigned flags = VM_MAP_FIXED | (event->map.shared ? VM_MAP_SHARED : VM_MAP_PRIVATE);
    struct call call = call_begin(player, event, OP_MMAP);
    int result;
    do
        result = vm_mmap(call.space, start, event->map.length, event->map.protection, flags, object,
                         event->map.pgoff, &where);
    while (player_try_again(player, result));
    enum play play = call_end(&call, result);
    struct model_mapping mapping = {
        start, end, event->map.protection, event->map.shared, event->object, event->map.pgoff
    };
    if (result == VM_OK && player->world->model)
        model_map(player->world->model, event->process, &mapping);
    return play;
}

static enum play unmap(struct player *player, const struct trace_event *event) {
    uint64_t start = event->range.address, length = event->range.length;
    struct call call = call_begin(player, event, OP_MUNMAP);
    int result;
    do
        result = vm_munmap(call.space, start, length);
    while (player_try_again(player, result));
    enum play play = call_end(&call, result);
    if (result == VM_OK && player->world->model)
        model_unmap(player->world->model, event->process, start, start + length);
    return play;
}

static enum play protect(struct player *player, const struct trace_event *event) {
    uint64_t start = event->protect.address, length = event->protect.length;
    struct call call = call_begin(player, event, OP_MPROTECT);
    int result;
    do
        result = vm_mprotect(call.space, start, length, event->protect.protection);
    while (player_try_again(player, result));
    enum play play = call_end(&call, result);
    if (player->world->model)
        model_protect(player->world->model, event->process, start, start + length,
                      event->protect.protection, result);
    adopt_copies(&call, start, length);
    return play;
}

static enum play move(struct player *player, const struct trace_event *event) {
    uint64_t old = event->move.old_address, old_length = event->move.old_length;
    uint64_t new = event->move.new_address, new_length = event->move.new_length, where;
    unsigned flags = old == new ? 0 : VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED;
    struct call call = call_begin(player, event, OP_MREMAP);
    int result;
    do
        result = vm_mremap(call.space, old, old_length, new_length, flags, new, &where);
    while (player_try_again(player, result));
    enum play play = call_end(&call, result);
    if (result == VM_OK && player->world->model) {
        model_move(player->world->model, event->process, old, old_length, new, new_length);
        adopt_copies(&call, new, new_length);
    }
    return play;
}

static enum play rearrange(struct player *player, const struct trace_event *event) {
    uint64_t start = event->rearrange.address, length = event->rearrange.length;
    struct call call = call_begin(player, event, OP_REMAP_FILE_PAGES);
    int result;
    do
        result = vm_remap_file_pages(call.space, start, length, event->rearrange.pgoff);
    while (player_try_again(player, result));
    enum play play = call_end(&call, result);
    if (result == VM_OK && player->world->model)
        model_rearrange(player->world->model, event->process, start, start + length,
                        event->rearrange.pgoff);
    return play;
}

/* Where a range stops to be of areas that the advice is for. */
struct advisable {
    enum vm_advice advice;
    uint64_t start, end;
};

static bool visit_advised(const struct vm_area_view *area, void *context) {
    struct advisable *range = context;
    bool refused = area->locked || (range->advice == VM_MADV_FREE && area->object);
    if (!refused)
        return area->end < range->end;
    if (area->start < range->end)
        range->end = area->start > range->start ? area->start : range->start;
    return false;
}

/* An area that the advice is not for ends the call with VM_EINVAL; those before it are advised. */
static uint64_t end_of_advised(const struct call *call, uint64_t start, uint64_t end, int result) {
    struct advisable range = { call->event->advise.advice, start, end };
    if (result == VM_EINVAL)
        vm_area_each_from(call->space, start, visit_advised, &range);
    return range.end;
}

static enum play advise(struct player *player, const struct trace_event *event) {
    uint64_t start = event->advise.address, end = start + event->advise.length;
    struct call call = call_begin(player, event, OP_MADVISE);
    int result;
    do
        result = vm_madvise(call.space, start, end - start, event->advise.advice);
    while (player_try_again(player, result));
    enum play play = call_end(&call, result);
    if ((result == VM_OK || result == VM_ENOMEM || result == VM_EINVAL) && player->world->model)
        model_advise(player->world->model, event->process, start,
                     end_of_advised(&call, start, end, result), event->advise.advice);
    return play;
}

static enum play lock(struct player *player, const struct trace_event *event) {
    uint64_t start = event->range.address, length = event->range.length;
    struct call call = call_begin(player, event, OP_MLOCK);
    call.process->locks = true;
    int result;
    do
        result = vm_mlock(call.space, start, length);
    while (player_try_again(player, result));
    enum play play = call_end(&call, result);
    adopt_copies(&call, start, length);
    return play;
}

static enum play unlock(struct player *player, const struct trace_event *event) {
    struct call call = call_begin(player, event, OP_MUNLOCK);
    return call_end(&call, vm_munlock(call.space, event->range.address, event->range.length));
}

static enum play sync_pages(struct player *player, const struct trace_event *event) {
    struct call call = call_begin(player, event, OP_MSYNC);
    return call_end(&call,
                    vm_msync(call.space, event->range.address, event->range.length, VM_MS_SYNC));
}

/* ---------------------------------------------------------------- events */

struct player_touch player_touch_of(const struct trace_event *event, uint64_t version) {
    return (struct player_touch){
        .address = event->touch.address,
        .pages = event->touch.pages,
        .line = event->line,
        .version = version,
        .process = event->process,
        .access = event->kind == EVENT_WRITE ? VM_WRITE : VM_READ,
    };
}

enum play player_touch(struct player *player, const struct player_touch *touch) {
    if (!player->touches_begun) {
        player->touches_begun = player_now();
        player->waited_before = player->waited_ns;
    }
    player->ops[OP_TOUCH].count++;
    return touch_pages(player, touch);
}

void player_touches_end(struct player *player) {
    if (player->touches_begun)
        player->ops[OP_TOUCH].ns +=
            player_now() - player->touches_begun - (player->waited_ns - player->waited_before);
    player->touches_begun = 0;
}

enum play player_flush(struct player *player) {
    enum play play = PLAY_ON;
    for (unsigned i = 0; i < player->waiting && play == PLAY_ON; i++)
        play = player_touch(player, &player->touches[i]);
    player_touches_end(player);
    player->waiting = 0;
    return play;
}

static enum play gather(struct player *player, const struct trace_event *event) {
    uint64_t version =
        event->kind == EVENT_WRITE ? world_take_versions(player->world, event->touch.pages) : 0;
    player->touches[player->waiting++] = player_touch_of(event, version);
    return player->waiting == PLAYER_TOUCHES ? player_flush(player) : PLAY_ON;
}

static enum play play_call(struct player *player, const struct trace_event *event) {
    switch (event->kind) {
    case EVENT_OBJECT:
        return declare_object(player, event);
    case EVENT_RESIZE:
        return resize_object(player, event);
    case EVENT_PROCESS:
        return begin_process(player, event);
    case EVENT_FORK:
        return fork_process(player, event);
    case EVENT_EXEC:
        return exec_process(player, event);
    case EVENT_EXIT:
        return exit_process(player, event);
    case EVENT_MAP:
        return map(player, event);
    case EVENT_UNMAP:
        return unmap(player, event);
    case EVENT_PROTECT:
        return protect(player, event);
    case EVENT_MOVE:
        return move(player, event);
    case EVENT_REARRANGE:
        return rearrange(player, event);
    case EVENT_ADVISE:
        return advise(player, event);
    case EVENT_LOCK:
        return lock(player, event);
    case EVENT_UNLOCK:
        return unlock(player, event);
    case EVENT_SYNC:
        return sync_pages(player, event);
    case EVENT_TIME:
    case EVENT_CPU:
    case EVENT_NOTE:
    case EVENT_READ:
    case EVENT_WRITE:
        break;
    }
    return PLAY_ON;
}

enum play player_event(struct player *player, const struct trace_event *event) {
    if (event->kind == EVENT_READ || event->kind == EVENT_WRITE)
        return gather(player, event);
    if (event->kind == EVENT_TIME || event->kind == EVENT_CPU || event->kind == EVENT_NOTE)
        return PLAY_ON;
    enum play play = player_flush(player);
    return play == PLAY_ON ? play_call(player, event) : play;
}
