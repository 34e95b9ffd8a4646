/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plan.c - see plan.h.
 *
 * Within one sequence some kinds of calls are frequent and others rare, in another the other way
 * round: what happens only when two rare things meet happens in some sequence.
 */
#include "plan.h"

#include "nearby.h"
#include "printed.h"

#include <inttypes.h>
#include <objrmap/vm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- machines */

void plan_make(struct plan *plan, uint64_t seed, uint64_t number) {
    struct dice dice = dice_for(seed, number, 1);
    *plan = (struct plan){
        .frames = DICE_PICK(&dice, 2048, 2048, 2048, 400, 200, 150, 120, 96, 80, 64),
        .swap = DICE_PICK(&dice, 8192, 8192, 8192, 1000, 100, 0),
        .metadata = dice_one_in(&dice, 5),
        .eager = number & 1,
        .around = DICE_PICK(&dice, 16, 16, 1, 4, 64),
        .index = dice_below(&dice, 60),
        .global = dice_one_in(&dice, 6),
        .nonlinear = dice_below(&dice, 4),
        .cpus = dice_one_in(&dice, 4) ? 2 : 1,
        .areas = dice_one_in(&dice, 8) ? 8 + dice_below(&dice, 40) : 0,
        .locked = dice_one_in(&dice, 8) ? 1 + dice_below(&dice, 100) : 0,
        .addresses = dice_one_in(&dice, 12) ? 50 + dice_below(&dice, 500) : 0,
    };
    if (dice_one_in(&dice, 6))
        plan->failures.allocate = 1 + dice_below(&dice, 20);
    if (dice_one_in(&dice, 12))
        plan->failures.read = 1 + dice_below(&dice, 20);
    if (dice_one_in(&dice, 12))
        plan->failures.write = 1 + dice_below(&dice, 20);
    plan->nodes = dice_one_in(&dice, 3) ? 2 : 1;
    plan->low = dice_one_in(&dice, 4) ? plan->frames / (1 + dice_below(&dice, 4)) : 0;
    plan->swappiness = DICE_PICK(&dice, 0, 0, 1, 100);
}

bool plan_injects(const struct plan *plan) {
    return plan->failures.allocate || plan->failures.read || plan->failures.write;
}

bool plan_is_tight(const struct plan *plan) {
    return plan_injects(plan) || plan->areas || plan->low || plan->frames < 2048;
}

static const struct {
    const char *name;
    size_t offset;
} fields[] = {
    { "frames", offsetof(struct plan, frames) },
    { "swap", offsetof(struct plan, swap) },
    { "metadata", offsetof(struct plan, metadata) },
    { "eager", offsetof(struct plan, eager) },
    { "around", offsetof(struct plan, around) },
    { "index", offsetof(struct plan, index) },
    { "global", offsetof(struct plan, global) },
    { "nonlinear", offsetof(struct plan, nonlinear) },
    { "cpus", offsetof(struct plan, cpus) },
    { "nodes", offsetof(struct plan, nodes) },
    { "low", offsetof(struct plan, low) },
    { "swappiness", offsetof(struct plan, swappiness) },
    { "areas", offsetof(struct plan, areas) },
    { "locked", offsetof(struct plan, locked) },
    { "addresses", offsetof(struct plan, addresses) },
    { "fail-allocate", offsetof(struct plan, failures.allocate) },
    { "fail-read", offsetof(struct plan, failures.read) },
    { "fail-write", offsetof(struct plan, failures.write) },
};

enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

static uint64_t *field(struct plan *plan, size_t i) {
    return (uint64_t *)(void *)((char *)plan + fields[i].offset);
}

const char *plan_text(const struct plan *plan, char text[OP_TEXT_BYTES]) {
    struct plan copy = *plan;
    int used = 0;
    for (size_t i = 0; i < FIELDS; i++)
        used += snprintf(text + used, (size_t)(OP_TEXT_BYTES - used), "%s%s=%" PRIu64, i ? " " : "",
                         fields[i].name, *field(&copy, i));
    return text;
}

static bool parse_word(char *word, struct plan *plan) {
    char *equals = strchr(word, '='), *end;
    if (!equals)
        return false;
    *equals = '\0';
    uint64_t number = strtoull(equals + 1, &end, 10);
    for (size_t i = 0; i < FIELDS && *end == '\0'; i++)
        if (strcmp(word, fields[i].name) == 0) {
            *field(plan, i) = number;
            return true;
        }
    return false;
}

bool plan_parse(const char *text, struct plan *plan) {
    char *copy = strdup(text), *rest, *word;
    bool good = copy != NULL;
    *plan = (struct plan){ 0 };
    if (good)
        for (word = strtok_r(copy, " \t\n", &rest); word && good;
             word = strtok_r(NULL, " \t\n", &rest))
            good = parse_word(word, plan);
    free(copy);
    return good;
}

bool plan_read(const char *path, struct plan *plan, struct sequence *sequence) {
    char machine[PRINTED_LINE_BYTES];
    if (!printed_read(path, sequence, machine))
        return false;
    if (plan_parse(machine, plan) && plan->frames)
        return true;
    fprintf(stderr, "%s: \"%s\" is no machine, expected a line \"# machine frames=N ...\"\n", path,
            machine);
    return false;
}

/* ---------------------------------------------------------------- sequences */

/* How often each kind comes up in a sequence that prefers nothing. */
static const uint64_t weights[RANDOM_KINDS] = {
    [RANDOM_BEGIN] = 2,   [RANDOM_FORK] = 12,    [RANDOM_EXEC] = 3,     [RANDOM_EXIT] = 8,
    [RANDOM_DECLARE] = 1, [RANDOM_LET_GO] = 1,   [RANDOM_TRUNCATE] = 6, [RANDOM_MAP] = 40,
    [RANDOM_UNMAP] = 12,  [RANDOM_PROTECT] = 16, [RANDOM_MOVE] = 20,    [RANDOM_REARRANGE] = 6,
    [RANDOM_BRK] = 3,     [RANDOM_ADVISE] = 20,  [RANDOM_LOCK] = 5,     [RANDOM_UNLOCK] = 5,
    [RANDOM_SYNC] = 4,    [RANDOM_MINCORE] = 2,  [RANDOM_READ] = 40,    [RANDOM_WRITE] = 60,
    [RANDOM_EXECUTE] = 4, [RANDOM_FAULT] = 4,    [RANDOM_RECLAIM] = 16, [RANDOM_MIGRATE] = 8,
};

struct making {
    struct dice dice;
    uint64_t weights[RANDOM_KINDS];
    bool lives[PROCESS_SLOTS]; /* as far as one can tell without a machine */
    struct nearby nearby[PROCESS_SLOTS];
    uint64_t objects, process;
};

static void choose_weights(struct making *making) {
    for (unsigned i = 0; i < RANDOM_KINDS; i++)
        making->weights[i] = weights[i] * DICE_PICK(&making->dice, 0, 1, 1, 2, 4, 4, 16);
    making->weights[RANDOM_MAP] += 64;
    making->weights[RANDOM_WRITE] += 32;
}

/* Mostly the last one, or one that lives; now and then any. */
static uint64_t choose_process(struct making *making) {
    uint64_t process = making->process;
    if (making->lives[process] && !dice_one_in(&making->dice, 3))
        return process;
    for (int tries = 0; tries < 12; tries++) {
        process = dice_below(&making->dice, PROCESS_SLOTS);
        if (making->lives[process])
            break;
    }
    return making->process = process;
}

static uint64_t choose_free(struct making *making) {
    uint64_t first = dice_below(&making->dice, PROCESS_SLOTS);
    for (uint64_t i = 0; i < PROCESS_SLOTS; i++)
        if (!making->lives[(first + i) % PROCESS_SLOTS])
            return (first + i) % PROCESS_SLOTS;
    return first;
}

static uint64_t choose_pages(struct making *making) {
    struct dice *dice = &making->dice;
    switch (dice_below(dice, 20)) {
    case 0:
        return WINDOW_PAGES;
    case 1:
        return dice_one_in(dice, 4) ? 500 + dice_below(dice, 600) : 64;
    case 2:
    case 3:
    case 4:
        return 1 + dice_below(dice, 48);
    case 5:
    case 6:
    case 7:
    case 8:
        return 1;
    default:
        return 1 + dice_below(dice, 10);
    }
}

static void choose_range(struct making *making, struct random_op *op) {
    struct dice *dice = &making->dice;
    if (!nearby_draw(&making->nearby[op->process], dice, op)) {
        op->place = DICE_PICK(dice, PLACE_LOW, PLACE_LOW, PLACE_LOW, PLACE_HIGH, PLACE_HIGH,
                              PLACE_LAST, PLACE_LAST, PLACE_HEAP);
        op->page = dice_below(dice, op->place == PLACE_LAST ? 12 : WINDOW_PAGES);
        op->pages = choose_pages(making);
    }
    if (op->pages >= WINDOW_PAGES)
        op->page = 0;
}

/* What may not be written keeps most of the other calls from meaning much. */
static uint64_t choose_protection(struct making *making) {
    if (!dice_one_in(&making->dice, 4))
        return VM_PROT_READ | VM_PROT_WRITE;
    return DICE_PICK(&making->dice, VM_PROT_READ, VM_PROT_READ, VM_PROT_READ | VM_PROT_EXEC,
                     VM_PROT_NONE, VM_PROT_WRITE, VM_PROT_EXEC, 7);
}

static uint64_t choose_map_flags(struct making *making, const struct random_op *op) {
    struct dice *dice = &making->dice;
    uint64_t flags = dice_one_in(dice, 3) ? VM_MAP_SHARED : VM_MAP_PRIVATE;
    switch (dice_below(dice, 12)) {
    case 0:
    case 1:
        break; /* a hint */
    case 2:
        flags |= VM_MAP_FIXED_NOREPLACE;
        break;
    default:
        flags |= VM_MAP_FIXED;
    }
    if (dice_one_in(dice, 12))
        flags |= VM_MAP_LOCKED;
    if (dice_one_in(dice, 12))
        flags |= VM_MAP_POPULATE;
    if (dice_one_in(dice, 10) && (!op->object || dice_one_in(dice, 8)))
        flags |= VM_MAP_GROWSDOWN;
    return flags;
}

static void make_map(struct making *making, struct random_op *op) {
    struct dice *dice = &making->dice;
    choose_range(making, op);
    op->pages = DICE_PICK(dice, op->pages, op->pages, 16, 40);
    if (!dice_one_in(dice, 3))
        op->object = 1 + dice_below(dice, making->objects);
    if (op->object)
        op->pgoff = dice_one_in(dice, 4) ? 0 : dice_below(dice, dice_one_in(dice, 8) ? 700 : 100);
    op->protection = choose_protection(making);
    op->flags = choose_map_flags(making, op);
    bool hint = !(op->flags & (VM_MAP_FIXED | VM_MAP_FIXED_NOREPLACE));
    nearby_remember(&making->nearby[op->process], hint ? PLACE_LAST : op->place,
                    hint ? 0 : op->page, op->pages);
}

static void make_move(struct making *making, struct random_op *op) {
    struct dice *dice = &making->dice;
    choose_range(making, op);
    uint64_t pages = op->pages;
    op->to_place = DICE_PICK(dice, PLACE_LOW, PLACE_LOW, PLACE_HIGH, PLACE_LAST);
    op->to_page = dice_below(dice, WINDOW_PAGES);
    op->to_pages =
        DICE_PICK(dice, pages, pages, pages, choose_pages(making), pages + 1, 1, pages + 8);
    op->flags =
        DICE_PICK(dice, VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED,
                  VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, VM_MREMAP_MAYMOVE, VM_MREMAP_MAYMOVE, 0,
                  VM_MREMAP_MAYMOVE | VM_MREMAP_DONTUNMAP,
                  VM_MREMAP_MAYMOVE | VM_MREMAP_DONTUNMAP | VM_MREMAP_FIXED);
    if (dice_one_in(dice, 8))
        op->pages = 0;
    if (op->flags & VM_MREMAP_DONTUNMAP && !dice_one_in(dice, 10))
        op->to_pages = op->pages ? op->pages : 1;
    if (op->flags & VM_MREMAP_FIXED && dice_one_in(dice, 2))
        nearby_remember(&making->nearby[op->process], op->to_place, op->to_page, op->to_pages);
}

static void make_object_op(struct making *making, struct random_op *op) {
    struct dice *dice = &making->dice;
    if (op->kind == RANDOM_DECLARE) {
        if (making->objects < OBJECT_SLOTS)
            op->object = ++making->objects;
        op->pages = dice_below(dice, 100);
        op->flags = dice_below(dice, 2);
        return;
    }
    op->object = 1 + dice_below(dice, making->objects);
    op->pages =
        op->kind == RANDOM_TRUNCATE ? dice_below(dice, dice_one_in(dice, 4) ? 700 : 100) : 0;
}

static void make_life(struct making *making, struct random_op *op) {
    if (op->kind == RANDOM_BEGIN) {
        op->process = choose_free(making);
        making->lives[op->process] = true;
        making->nearby[op->process] = (struct nearby){ 0 };
    } else if (op->kind == RANDOM_FORK) {
        op->child = choose_free(making);
        making->lives[op->child] = true;
        making->nearby[op->child] = making->nearby[op->process];
    } else if (op->kind == RANDOM_EXIT) {
        making->lives[op->process] = false;
    }
}

static void make_touch(struct making *making, struct random_op *op) {
    choose_range(making, op);
    op->value = op->kind == RANDOM_FAULT ? dice_below(&making->dice, 3) : 0;
    if (op->kind == RANDOM_FAULT)
        op->pages = 1;
}

static struct random_op make_op(struct making *making) {
    struct dice *dice = &making->dice;
    struct random_op op = { .kind = (enum op_kind)dice_weigh(dice, making->weights, RANDOM_KINDS) };
    op.process = choose_process(making);
    switch (op.kind) {
    case RANDOM_BEGIN:
    case RANDOM_FORK:
    case RANDOM_EXEC:
    case RANDOM_EXIT:
        make_life(making, &op);
        break;
    case RANDOM_DECLARE:
    case RANDOM_LET_GO:
    case RANDOM_TRUNCATE:
        op.process = 0;
        make_object_op(making, &op);
        break;
    case RANDOM_MAP:
        make_map(making, &op);
        break;
    case RANDOM_MOVE:
        make_move(making, &op);
        break;
    case RANDOM_PROTECT:
        choose_range(making, &op);
        op.protection = choose_protection(making);
        break;
    case RANDOM_REARRANGE:
        choose_range(making, &op);
        op.pgoff = dice_below(dice, 100);
        break;
    case RANDOM_MIGRATE:
        choose_range(making, &op);
        op.value = dice_below(dice, 4);
        break;
    case RANDOM_BRK:
        op.place = PLACE_HEAP;
        op.pages = dice_below(dice, WINDOW_PAGES);
        break;
    case RANDOM_ADVISE:
        choose_range(making, &op);
        op.value = DICE_PICK(dice, VM_MADV_DONTNEED, VM_MADV_FREE, VM_MADV_COLD, VM_MADV_PAGEOUT,
                             dice_below(dice, VM_MADV_NOHUGEPAGE + 1));
        break;
    case RANDOM_SYNC:
        choose_range(making, &op);
        op.flags =
            DICE_PICK(dice, VM_MS_SYNC, VM_MS_SYNC, VM_MS_ASYNC, VM_MS_SYNC | VM_MS_INVALIDATE);
        break;
    case RANDOM_RECLAIM:
        op.process = 0;
        op.value = DICE_PICK(dice, 1, 4, 16, 50, 10000);
        break;
    case RANDOM_READ:
    case RANDOM_WRITE:
    case RANDOM_EXECUTE:
    case RANDOM_FAULT:
        make_touch(making, &op);
        break;
    default:
        choose_range(making, &op);
    }
    return op;
}

void sequence_make(struct sequence *sequence, uint64_t seed, uint64_t number, uint64_t steps) {
    struct making making = { .dice = dice_for(seed, number, 2) };
    *sequence = (struct sequence){ 0 };
    for (uint64_t i = 0; i < FIRST_OBJECTS; i++) {
        struct random_op declare = { .kind = RANDOM_DECLARE, .object = i + 1, .flags = i & 1 };
        declare.pages = i < 2 ? 90 : 650;
        sequence_add(sequence, &declare);
    }
    making.objects = FIRST_OBJECTS;
    making.lives[0] = true;
    choose_weights(&making);
    struct random_op begin = { .kind = RANDOM_BEGIN };
    sequence_add(sequence, &begin);
    for (uint64_t i = 0; i < steps; i++) {
        struct random_op op = make_op(&making);
        sequence_add(sequence, &op);
    }
}
