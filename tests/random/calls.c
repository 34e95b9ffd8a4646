/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * calls.c - one op on a player's machine.
 *
 * What a trace can say goes to the player as the event it would be read as, and is printed as that
 * beforehand. The rest is called here; then the model is told, and the print gets the events that
 * come to the same.
 *
 * A touch below a stack makes it grow. Whether it must is worked out here, from the rules and the
 * areas alone, and told to the model before the machine is asked: if the machine thinks otherwise,
 * the touch's result differs from the model's.
 */
#include "play.h"

#include "model/areas.h"

#include <objrmap/rmap.h>
#include <stdio.h>

#include <stdlib.h>
#include <string.h>

#define LOW_BASE    (UINT64_C(0x40000000) - WINDOW_PAGES / 2 * VM_PAGE_SIZE)
#define HIGH_BASE   (UINT64_C(0x7f0000200000) - WINDOW_PAGES / 2 * VM_PAGE_SIZE)
#define HEAP_BASE   UINT64_C(0x555555554000)
#define STACK_LIMIT (UINT64_C(8) << 20)
#define STACK_GAP   (256 * VM_PAGE_SIZE)

static uint64_t base_of(const struct play_state *state, uint64_t process, uint64_t place) {
    switch (place) {
    case PLACE_LOW:
        return LOW_BASE;
    case PLACE_HIGH:
        return HIGH_BASE;
    case PLACE_LAST:
        return state->last[process] ? state->last[process] : LOW_BASE;
    default:
        return HEAP_BASE;
    }
}

/* Kept so far below the end that no range reaches over it. */
static uint64_t below_end(uint64_t address) {
    uint64_t most = VM_ADDRESS_END - 2 * PAGES_MOST * VM_PAGE_SIZE;
    return address < most ? address : most;
}

uint64_t place_address(const struct play_state *state, const struct random_op *op) {
    return below_end(base_of(state, op->process, op->place) + op->page * VM_PAGE_SIZE);
}

uint64_t place_target(const struct play_state *state, const struct random_op *op) {
    return below_end(base_of(state, op->process, op->to_place) + op->to_page * VM_PAGE_SIZE);
}

/* NULL: anonymous memory is meant, or the object is not there. */
struct world_object *play_object(const struct play_state *state, const struct random_op *op) {
    size_t slot = (size_t)op->object - 1;
    if (!op->object || slot >= state->player->world->object_room ||
        !state->player->world->objects[slot].object)
        return NULL;
    return &state->player->world->objects[slot];
}

bool play_exists(const struct play_state *state, const struct random_op *op) {
    return state->pids[op->process] != 0;
}

static struct vm_space *space_of(const struct play_state *state, const struct random_op *op) {
    return state->player->world->processes[op->process].space;
}

static uint64_t bytes(uint64_t pages) {
    return pages * VM_PAGE_SIZE;
}

/* ---------------------------------------------------------------- events */

static struct trace_event event_of(const struct play_state *state, const struct random_op *op,
                                   enum event_kind kind) {
    return (struct trace_event){
        .kind = kind,
        .pid = state->pids[op->process],
        .process = (uint32_t)op->process,
        .object = TRACE_ANONYMOUS,
        .line = state->step + 1,
    };
}

/* The player counts refusals and remembers the first one's result. */
static int refusal_of(struct player *player) {
    int result = VM_OK;
    for (int op = 0; op < OPS; op++) {
        if (player->ops[op].refused)
            result = player->ops[op].refusal;
        player->ops[op].refused = 0;
    }
    return result;
}

/* As far as the library may crash: at once. */
static void print_event(const struct play_state *state, const struct trace_event *event) {
    struct trace_writer *print = state->request->print;
    if (!print)
        return;
    trace_write(print, event);
    trace_flush(print);
}

struct verdict play_event(struct play_state *state, const struct trace_event *event,
                          enum play *play) {
    struct player *player = state->player;
    print_event(state, event);
    (void)refusal_of(player);
    *play = player_event(player, event);
    if (*play == PLAY_ON)
        *play = player_flush(player);
    return (struct verdict){ .result = refusal_of(player),
                             .out_of_memory = *play == PLAY_OUT_OF_MEMORY };
}

static struct trace_event range_event(const struct play_state *state, const struct random_op *op,
                                      enum event_kind kind) {
    struct trace_event event = event_of(state, op, kind);
    event.range.address = place_address(state, op);
    event.range.length = bytes(op->pages);
    return event;
}

/* ---------------------------------------------------------------- life */

static struct verdict play_begin(struct play_state *state, const struct random_op *op,
                                 enum play *play) {
    if (play_exists(state, op))
        return (struct verdict){ 0 };
    state->pids[op->process] = state->next_pid++;
    state->last[op->process] = 0;
    struct trace_event event = event_of(state, op, EVENT_PROCESS);
    event.program.name = "program";
    struct verdict verdict = play_event(state, &event, play);
    if (!space_of(state, op))
        state->pids[op->process] = 0;
    else if (vm_brk_start(space_of(state, op), HEAP_BASE) != VM_OK)
        *play = player_different(state->player, "the heap of a new space cannot begin");
    return verdict;
}

static struct verdict play_fork(struct play_state *state, const struct random_op *op,
                                enum play *play) {
    if (state->pids[op->child])
        return (struct verdict){ 0 };
    struct trace_event event = event_of(state, op, EVENT_FORK);
    event.child.pid = state->next_pid++;
    event.child.process = (uint32_t)op->child;
    struct verdict verdict = play_event(state, &event, play);
    if (state->player->world->processes[op->child].space) {
        state->pids[op->child] = event.child.pid;
        state->last[op->child] = state->last[op->process];
    }
    return verdict;
}

static struct verdict play_exec(struct play_state *state, const struct random_op *op,
                                enum play *play) {
    struct trace_event event = event_of(state, op, EVENT_EXEC);
    event.program.name = "program";
    struct verdict verdict = play_event(state, &event, play);
    if (verdict.result == VM_OK && vm_brk_start(space_of(state, op), HEAP_BASE) != VM_OK)
        *play = player_different(state->player, "the heap of an emptied space cannot begin");
    return verdict;
}

static struct verdict play_exit(struct play_state *state, const struct random_op *op,
                                enum play *play) {
    struct trace_event event = event_of(state, op, EVENT_EXIT);
    struct verdict verdict = play_event(state, &event, play);
    state->pids[op->process] = 0;
    return verdict;
}

/* ---------------------------------------------------------------- objects */

static struct verdict play_declare(struct play_state *state, const struct random_op *op,
                                   enum play *play) {
    if (!op->object || state->declared[op->object - 1])
        return (struct verdict){ 0 };
    state->declared[op->object - 1] = true;
    struct trace_event event = event_of(state, op, EVENT_OBJECT);
    event.object = (uint32_t)op->object - 1;
    event.declare.id = (uint32_t)++state->object_ids;
    event.declare.kind = op->flags & 1 ? OBJECT_SHM : OBJECT_FILE;
    event.declare.size = bytes(op->pages);
    event.declare.name = "object";
    return play_event(state, &event, play);
}

static struct verdict play_let_go(struct play_state *state, const struct random_op *op) {
    struct world_object *object = play_object(state, op);
    if (object) {
        vm_object_put(object->object);
        *object = (struct world_object){ 0 };
    }
    return (struct verdict){ 0 };
}

static struct verdict play_truncate(struct play_state *state, const struct random_op *op,
                                    enum play *play) {
    struct world_object *object = play_object(state, op);
    if (!object)
        return (struct verdict){ 0 };
    struct trace_event event = event_of(state, op, EVENT_RESIZE);
    event.object = (uint32_t)op->object - 1;
    event.resize.id = object->id;
    event.resize.size = bytes(op->pages);
    return play_event(state, &event, play);
}

/* ---------------------------------------------------------------- mapping */

struct adoption {
    struct model *model;
    uint32_t process;
};

static bool adopt_page(const struct vm_page_view *page, void *context) {
    const struct adoption *adoption = context;
    if (page->kind == VM_PAGE_ANONYMOUS &&
        model_view(adoption->model, adoption->process, page->address, VM_READ).private_file)
        model_copy_privately(adoption->model, adoption->process, page->address);
    return true;
}

/* Populating and write faults without a write copy private pages; the model asks the machine. */
static void adopt_copies(const struct play_state *state, const struct random_op *op, uint64_t start,
                         uint64_t length) {
    struct adoption adoption = { state->player->world->model, (uint32_t)op->process };
    if (adoption.model)
        vm_page_each(space_of(state, op), start, start + length, adopt_page, &adoption);
}

static struct trace_event map_event(const struct play_state *state, const struct random_op *op) {
    struct trace_event event = event_of(state, op, EVENT_MAP);
    struct world_object *object = play_object(state, op);
    event.map.address = place_address(state, op);
    event.map.length = bytes(op->pages);
    event.map.protection = (unsigned)op->protection;
    event.map.shared = op->flags & VM_MAP_SHARED;
    event.map.id = TRACE_ANONYMOUS;
    if (object) {
        event.object = (uint32_t)op->object - 1;
        event.map.id = object->id;
        event.map.pgoff = op->pgoff;
    }
    return event;
}

/* What the machine has mapped, for model and print. */
static void tell_mapping(struct play_state *state, const struct trace_event *event) {
    struct model_mapping mapping = { event->map.address,    event->map.address + event->map.length,
                                     event->map.protection, event->map.shared,
                                     event->object,         event->map.pgoff };
    print_event(state, event);
    if (state->player->world->model)
        model_map(state->player->world->model, event->process, &mapping);
}

static struct verdict play_map(struct play_state *state, const struct random_op *op,
                               enum play *play) {
    struct trace_event event = map_event(state, op);
    struct world_object *object = play_object(state, op);
    struct verdict verdict = { 0 };
    unsigned flags = (unsigned)op->flags;
    if (!op->pages || (op->object && !object))
        return verdict;
    if ((flags & ~(unsigned)(VM_MAP_SHARED | VM_MAP_PRIVATE)) == VM_MAP_FIXED)
        return play_event(state, &event, play);
    verdict.result =
        vm_mmap(space_of(state, op), event.map.address, event.map.length, event.map.protection,
                flags, object ? object->object : NULL, event.map.pgoff, &verdict.where);
    if (verdict.result != VM_OK)
        return verdict;
    state->last[op->process] = event.map.address = verdict.where;
    tell_mapping(state, &event);
    if (flags & VM_MAP_LOCKED)
        state->player->world->processes[op->process].locks = true;
    if (flags & (VM_MAP_LOCKED | VM_MAP_POPULATE))
        adopt_copies(state, op, event.map.address, event.map.length);
    return verdict;
}

static struct verdict play_range(struct play_state *state, const struct random_op *op,
                                 enum event_kind kind, enum play *play) {
    struct trace_event event = range_event(state, op, kind);
    if (!op->pages)
        return (struct verdict){ 0 };
    if (kind == EVENT_PROTECT)
        event.protect.protection = (unsigned)op->protection;
    else if (kind == EVENT_REARRANGE)
        event.rearrange.pgoff = op->pgoff;
    else if (kind == EVENT_ADVISE)
        event.advise.advice = (enum vm_advice)op->value;
    return play_event(state, &event, play);
}

static struct verdict play_sync(struct play_state *state, const struct random_op *op,
                                enum play *play) {
    if (op->flags == VM_MS_SYNC)
        return play_range(state, op, EVENT_SYNC, play);
    return (struct verdict){ .result = vm_msync(space_of(state, op), place_address(state, op),
                                                bytes(op->pages), (unsigned)op->flags) };
}

static struct trace_event move_event(const struct play_state *state, const struct random_op *op) {
    struct trace_event event = event_of(state, op, EVENT_MOVE);
    event.move.old_address = place_address(state, op);
    event.move.old_length = bytes(op->pages);
    event.move.new_address = place_target(state, op);
    event.move.new_length = bytes(op->to_pages);
    if (!(op->flags & VM_MREMAP_MAYMOVE))
        event.move.new_address = event.move.old_address;
    return event;
}

/* A trace says both "grow or shrink where it is" and "move there". */
static bool is_event(const struct random_op *op, const struct trace_event *event) {
    bool moves = event->move.old_address != event->move.new_address;
    return (op->flags == 0 && !moves && event->move.old_length) ||
           (op->flags == (VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED) && moves);
}

/* A duplicate that would replace what it is made of fails with its target gone, half done as in Linux;
 * the kernel judges that, not the model, for which a call that fails has changed nothing. */
static bool eats_its_source(const struct random_op *op, const struct trace_event *event) {
    return op->flags & VM_MREMAP_FIXED && !event->move.old_length &&
           event->move.old_address - event->move.new_address < event->move.new_length;
}

static struct verdict play_move(struct play_state *state, const struct random_op *op,
                                enum play *play) {
    struct trace_event event = move_event(state, op);
    struct model *model = state->player->world->model;
    uint32_t process = (uint32_t)op->process;
    struct verdict verdict = { 0 };
    if (!op->to_pages || eats_its_source(op, &event))
        return verdict;
    if (is_event(op, &event))
        return play_event(state, &event, play);
    verdict.result = vm_mremap(space_of(state, op), event.move.old_address, event.move.old_length,
                               event.move.new_length, (unsigned)op->flags, event.move.new_address,
                               &verdict.where);
    if (verdict.result != VM_OK)
        return verdict;
    state->last[process] = event.move.new_address = verdict.where;
    print_event(state, &event);
    if (model && op->flags & VM_MREMAP_DONTUNMAP)
        model_move_keeping(model, process, event.move.old_address, event.move.old_length,
                           event.move.new_address);
    else if (model)
        model_move(model, process, event.move.old_address, event.move.old_length,
                   event.move.new_address, event.move.new_length);
    if (state->player->world->processes[process].locks)
        adopt_copies(state, op, event.move.new_address, event.move.new_length);
    return verdict;
}

/* The heap grows by a mapping, and shrinks by an unmapping, of what lies between. */
static struct verdict play_brk(struct play_state *state, const struct random_op *op) {
    struct random_op change = *op;
    uint64_t old;
    struct verdict verdict = { 0 };
    vm_brk(space_of(state, op), 0, &old);
    verdict.result = vm_brk(space_of(state, op), HEAP_BASE + bytes(op->pages), &verdict.where);
    uint64_t new = verdict.where;
    if (verdict.result != VM_OK || new == old)
        return verdict;
    change.object = 0;
    change.flags = VM_MAP_PRIVATE;
    struct trace_event event = map_event(state, &change);
    if (new > old) {
        event.map.address = old;
        event.map.length = new - old;
        event.map.protection = VM_PROT_READ | VM_PROT_WRITE;
        tell_mapping(state, &event);
        return verdict;
    }
    event = event_of(state, op, EVENT_UNMAP);
    event.range.address = new;
    event.range.length = old - new;
    print_event(state, &event);
    if (state->player->world->model)
        model_unmap(state->player->world->model, event.process, new, old);
    return verdict;
}

/* => VM_ENOMEM exactly at a hole */
static struct verdict play_mincore(struct play_state *state, const struct random_op *op,
                                   enum play *play) {
    static unsigned char resident[PAGES_MOST + 1];
    uint64_t start = place_address(state, op);
    struct verdict verdict = { 0 };
    memset(resident, 2, sizeof(resident));
    verdict.result = vm_mincore(space_of(state, op), start, bytes(op->pages), resident);
    for (uint64_t i = 0; i < op->pages && verdict.result == VM_OK; i++)
        if (resident[i] > 1)
            *play = player_different(state->player, "mincore says nothing of page %u of a range",
                                     (unsigned)i);
    if (resident[op->pages] != 2)
        *play = player_different(state->player, "mincore writes behind its result");
    return verdict;
}

/* ---------------------------------------------------------------- stacks */

struct neighbours {
    uint64_t address;
    struct vm_area_view below, above;
    bool has_below, has_above;
};

static bool visit_neighbour(const struct vm_area_view *area, void *context) {
    struct neighbours *around = context;
    if (area->end <= around->address) {
        around->below = *area;
        around->has_below = true;
        return true;
    }
    around->above = *area;
    around->has_above = true;
    return false;
}

static bool stack_must_grow(const struct neighbours *around) {
    const struct vm_area_view *stack = &around->above, *below = &around->below;
    if (!around->has_above || stack->start <= around->address || !stack->growsdown)
        return false;
    if (stack->end - around->address > STACK_LIMIT)
        return false;
    if (!around->has_below || below->growsdown || below->protection == VM_PROT_NONE)
        return true;
    return around->address - below->end >= STACK_GAP;
}

struct total {
    uint64_t pages;
};

static bool add_pages(const struct vm_area_view *area, void *context) {
    ((struct total *)context)->pages += (area->end - area->start) >> VM_PAGE_SHIFT;
    return true;
}

static bool within_address_limit(const struct play_state *state, struct vm_space *space,
                                 uint64_t more) {
    struct total total = { 0 };
    if (!state->request->plan->addresses)
        return true;
    vm_area_each(space, add_pages, &total);
    return total.pages + more <= state->request->plan->addresses;
}

/* What has been advised of a stack holds for what it grows by. */
static void tell_advice(struct play_state *state, const struct random_op *op,
                        const struct trace_event *growth) {
    struct trace_event event = { .kind = EVENT_ADVISE, .process = (uint32_t)op->process };
    event.advise.address = growth->map.address;
    event.advise.length = growth->map.length;
    event.advise.advice = VM_MADV_DONTFORK;
    print_event(state, &event);
    if (state->player->world->model)
        model_advise(state->player->world->model, event.process, event.advise.address,
                     event.advise.address + event.advise.length, event.advise.advice);
}

static void grow_stack(struct play_state *state, const struct random_op *op, uint64_t address) {
    struct neighbours around = { .address = address };
    struct vm_space *space = space_of(state, op);
    vm_area_each(space, visit_neighbour, &around);
    if (!stack_must_grow(&around) ||
        !within_address_limit(state, space, (around.above.start - address) >> VM_PAGE_SHIFT))
        return;
    struct random_op map = { .kind = RANDOM_MAP, .process = op->process, .flags = VM_MAP_PRIVATE };
    struct trace_event event = map_event(state, &map);
    event.map.address = address;
    event.map.length = around.above.start - address;
    event.map.protection = around.above.protection;
    tell_mapping(state, &event);
    if (around.above.dontfork)
        tell_advice(state, op, &event);
}

/* ---------------------------------------------------------------- touches */

static bool is_readable_anyway(int result) {
    return result == VM_OK || result == VM_SIGSEGV || result == VM_SIGBUS;
}

/* A fault, or a fetch of an instruction, at one page. */
static int touch_directly(struct play_state *state, const struct random_op *op, uint64_t address,
                          enum play *play) {
    struct player *player = state->player;
    uint32_t process = (uint32_t)op->process;
    enum vm_access access = op->kind == RANDOM_EXECUTE ? VM_EXECUTE : (enum vm_access)op->value;
    int result, expected = VM_OK;
    if (player->world->model)
        expected = model_view(player->world->model, process, address, access).outcome;
    if (op->kind == RANDOM_FAULT)
        result = vm_fault(space_of(state, op), address, access);
    else
        result = vm_touch(space_of(state, op), address, 1, access, NULL);
    player->touch_result = result;
    if (player->world->model && is_readable_anyway(result) && result != expected)
        *play = player_different(player, "%s at %lx ends in %s, expected %s",
                                 op_kind_name(op->kind), (unsigned long)address,
                                 vm_result_text(result), vm_result_text(expected));
    if (result == VM_OK && access == VM_WRITE)
        adopt_copies(state, op, address, VM_PAGE_SIZE);
    return result;
}

static struct verdict touch_page(struct play_state *state, const struct random_op *op,
                                 uint64_t address, enum play *play) {
    if (op->kind == RANDOM_EXECUTE || op->kind == RANDOM_FAULT) {
        int result = touch_directly(state, op, address, play);
        return (struct verdict){ .out_of_memory = result == VM_OOM,
                                 .touched = result == VM_OK,
                                 .segv = result == VM_SIGSEGV,
                                 .bus = result == VM_SIGBUS };
    }
    struct player *player = state->player;
    uint64_t segv = player->segv, bus = player->bus, touched = player->pages_touched;
    struct trace_event event =
        event_of(state, op, op->kind == RANDOM_WRITE ? EVENT_WRITE : EVENT_READ);
    event.touch.address = address;
    event.touch.pages = 1;
    struct verdict verdict = play_event(state, &event, play);
    verdict.touched = player->pages_touched - touched;
    verdict.segv = player->segv - segv;
    verdict.bus = player->bus - bus;
    return verdict;
}

/* Page by page, since a stack may grow at each. */
static struct verdict play_touches(struct play_state *state, const struct random_op *op,
                                   enum play *play) {
    struct verdict all = { 0 };
    uint64_t address = place_address(state, op);
    for (uint64_t i = 0; i < op->pages && *play == PLAY_ON; i++, address += VM_PAGE_SIZE) {
        grow_stack(state, op, address);
        struct verdict one = touch_page(state, op, address, play);
        all.out_of_memory |= one.out_of_memory;
        all.touched += one.touched;
        all.segv += one.segv;
        all.bus += one.bus;
        if (one.out_of_memory)
            break;
    }
    return all;
}

/* ---------------------------------------------------------------- reclaim */

struct locked_pages {
    struct vm_space *space;
    uint64_t resident;
};

static bool count_resident(const struct vm_page_view *page, void *context) {
    ((struct locked_pages *)context)->resident += page->present;
    return true;
}

static bool visit_locked_area(const struct vm_area_view *area, void *context) {
    struct locked_pages *locked = context;
    if (area->locked)
        vm_page_each(locked->space, area->start, area->end, count_resident, locked);
    return true;
}

/* Pages that locked areas have in memory, all processes together. */
static uint64_t count_locked(const struct play_state *state) {
    struct locked_pages locked = { 0 };
    for (size_t i = 0; i < state->player->world->process_room; i++)
        if ((locked.space = state->player->world->processes[i].space))
            vm_area_each(locked.space, visit_locked_area, &locked);
    return locked.resident;
}

static struct verdict play_reclaim(struct play_state *state, const struct random_op *op,
                                   enum play *play) {
    uint64_t locked = count_locked(state);
    vm_reclaim(state->player->world->machine, op->value);
    if (count_locked(state) < locked)
        *play = player_different(state->player, "reclaim takes pages of locked areas");
    return (struct verdict){ 0 };
}

/* Nothing changes for programs. */
static struct verdict play_migrate(struct play_state *state, const struct random_op *op) {
    unsigned nodes = state->request->plan->nodes ? (unsigned)state->request->plan->nodes : 1;
    return (struct verdict){ .result = vm_move_pages(space_of(state, op), place_address(state, op),
                                                     bytes(op->pages),
                                                     (unsigned)(op->value % nodes), NULL) };
}

/* ---------------------------------------------------------------- all of them */

bool play_possible(const struct play_state *state, const struct random_op *op) {
    switch (op->kind) {
    case RANDOM_BEGIN:
    case RANDOM_DECLARE:
    case RANDOM_LET_GO:
    case RANDOM_TRUNCATE:
    case RANDOM_RECLAIM:
        return true;
    default:
        return play_exists(state, op);
    }
}

struct verdict play_op(struct play_state *state, const struct random_op *op, enum play *play) {
    *play = PLAY_ON;
    switch (op->kind) {
    case RANDOM_BEGIN:
        return play_begin(state, op, play);
    case RANDOM_FORK:
        return play_fork(state, op, play);
    case RANDOM_EXEC:
        return play_exec(state, op, play);
    case RANDOM_EXIT:
        return play_exit(state, op, play);
    case RANDOM_DECLARE:
        return play_declare(state, op, play);
    case RANDOM_LET_GO:
        return play_let_go(state, op);
    case RANDOM_TRUNCATE:
        return play_truncate(state, op, play);
    case RANDOM_MAP:
        return play_map(state, op, play);
    case RANDOM_UNMAP:
        return play_range(state, op, EVENT_UNMAP, play);
    case RANDOM_PROTECT:
        return play_range(state, op, EVENT_PROTECT, play);
    case RANDOM_MOVE:
        return play_move(state, op, play);
    case RANDOM_REARRANGE:
        return play_range(state, op, EVENT_REARRANGE, play);
    case RANDOM_BRK:
        return play_brk(state, op);
    case RANDOM_ADVISE:
        return play_range(state, op, EVENT_ADVISE, play);
    case RANDOM_LOCK:
        return play_range(state, op, EVENT_LOCK, play);
    case RANDOM_UNLOCK:
        return play_range(state, op, EVENT_UNLOCK, play);
    case RANDOM_SYNC:
        return play_sync(state, op, play);
    case RANDOM_MINCORE:
        return play_mincore(state, op, play);
    case RANDOM_READ:
    case RANDOM_WRITE:
    case RANDOM_EXECUTE:
    case RANDOM_FAULT:
        return play_touches(state, op, play);
    case RANDOM_RECLAIM:
        return play_reclaim(state, op, play);
    case RANDOM_MIGRATE:
        return play_migrate(state, op);
    case RANDOM_KINDS:
        break;
    }
    return (struct verdict){ 0 };
}
