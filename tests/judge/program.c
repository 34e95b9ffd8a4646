/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * program.c - see program.h.
 *
 * As with the random sequences for the library alone, a program prefers some kinds of calls by lot.
 * Ranges are short, and often those of an earlier step, so that calls meet on the same pages.
 *
 * A program either gives pages away with MADV_FREE or pushes pages out, never both: when the
 * kernel lets go of a page that was given away depends on what its CPUs happen to hold back.
 */
#include "program.h"

#include "../random/nearby.h"

struct making {
    struct dice dice;
    uint64_t weights[RANDOM_KINDS];
    bool lives[PROCESS_SLOTS];
    bool gives_away; /* MADV_FREE, else PAGEOUT and reclaim */
    struct nearby nearby;
    uint64_t process;
};

static const uint64_t usual_weights[RANDOM_KINDS] = {
    [RANDOM_FORK] = 14,   [RANDOM_EXIT] = 6,     [RANDOM_TRUNCATE] = 5, [RANDOM_MAP] = 30,
    [RANDOM_UNMAP] = 8,   [RANDOM_PROTECT] = 14, [RANDOM_MOVE] = 20,    [RANDOM_REARRANGE] = 8,
    [RANDOM_ADVISE] = 16, [RANDOM_LOCK] = 3,     [RANDOM_UNLOCK] = 3,   [RANDOM_SYNC] = 3,
    [RANDOM_READ] = 24,   [RANDOM_WRITE] = 44,   [RANDOM_RECLAIM] = 8,
};

static void choose_weights(struct making *making) {
    struct dice *dice = &making->dice;
    making->gives_away = dice_one_in(dice, 3);
    for (unsigned i = 0; i < RANDOM_KINDS; i++)
        making->weights[i] = usual_weights[i] * DICE_PICK(dice, 0, 1, 1, 2, 4);
    making->weights[RANDOM_MAP] += 24;
    making->weights[RANDOM_WRITE] += 20;
    making->weights[RANDOM_FORK] += 4;
    if (making->gives_away)
        making->weights[RANDOM_RECLAIM] = 0;
}

static uint64_t choose_living(struct making *making) {
    struct dice *dice = &making->dice;
    if (making->lives[making->process] && !dice_one_in(dice, 3))
        return making->process;
    for (;;) {
        uint64_t process = dice_below(dice, PROCESS_SLOTS);
        if (making->lives[process])
            return making->process = process;
    }
}

static void choose_range(struct making *making, struct random_op *op) {
    struct dice *dice = &making->dice;
    if (!nearby_draw(&making->nearby, dice, op)) {
        op->page = dice_one_in(dice, 3) ? WINDOW_PAGES / 2 - dice_below(dice, 10)
                                        : dice_below(dice, WINDOW_PAGES);
        op->pages = 1 + dice_below(dice, dice_one_in(dice, 16) ? 40 : 12);
    }
    if (op->page >= WINDOW_PAGES)
        op->page = WINDOW_PAGES - 1;
    op->pages = pages_in_window(op->page, op->pages);
    nearby_remember(&making->nearby, PLACE_LOW, op->page, op->pages);
}

static uint64_t choose_protection(struct making *making) {
    return DICE_PICK(&making->dice, VM_PROT_READ | VM_PROT_WRITE, VM_PROT_READ | VM_PROT_WRITE,
                     VM_PROT_READ | VM_PROT_WRITE, VM_PROT_READ | VM_PROT_WRITE, VM_PROT_READ,
                     VM_PROT_READ, VM_PROT_READ | VM_PROT_EXEC, VM_PROT_NONE, VM_PROT_WRITE);
}

static void make_map(struct making *making, struct random_op *op) {
    struct dice *dice = &making->dice;
    choose_range(making, op);
    op->pages = DICE_PICK(dice, op->pages, op->pages, pages_in_window(op->page, 16));
    nearby_remember(&making->nearby, PLACE_LOW, op->page, op->pages);
    op->object = DICE_PICK(dice, 0, 0, 0, 1, 1, 2, 3);
    if (op->object)
        op->pgoff = dice_one_in(dice, 3) ? op->page % 8 : dice_below(dice, OBJECT_PAGES + 4);
    op->protection = choose_protection(making);
    op->flags = DICE_PICK(dice, VM_MAP_PRIVATE, VM_MAP_PRIVATE, VM_MAP_SHARED);
    op->flags |= DICE_PICK(dice, VM_MAP_FIXED, VM_MAP_FIXED, VM_MAP_FIXED, VM_MAP_FIXED,
                           VM_MAP_FIXED, VM_MAP_FIXED_NOREPLACE, 0);
    if (dice_one_in(dice, 20))
        op->flags |= VM_MAP_LOCKED;
    if (dice_one_in(dice, 16))
        op->flags |= VM_MAP_POPULATE;
}

static void make_move(struct making *making, struct random_op *op) {
    struct dice *dice = &making->dice;
    choose_range(making, op);
    op->to_page = dice_below(dice, WINDOW_PAGES);
    op->to_pages = DICE_PICK(dice, op->pages, op->pages, op->pages, op->pages, op->pages + 1,
                             op->pages + 6, (op->pages + 1) / 2);
    op->flags =
        DICE_PICK(dice, VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED,
                  VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, VM_MREMAP_MAYMOVE, 0,
                  VM_MREMAP_MAYMOVE | VM_MREMAP_DONTUNMAP | VM_MREMAP_FIXED);
    if (dice_one_in(dice, 16))
        op->pages = 0;
    if (op->flags & VM_MREMAP_FIXED)
        op->to_pages = pages_in_window(op->to_page, op->to_pages);
    if (op->flags & VM_MREMAP_FIXED && !dice_one_in(dice, 3)) {
        nearby_remember(&making->nearby, PLACE_LOW, op->to_page, op->to_pages);
    }
}

static void make_advice(struct making *making, struct random_op *op) {
    choose_range(making, op);
    op->value = DICE_PICK(&making->dice, VM_MADV_DONTNEED, VM_MADV_DONTNEED, VM_MADV_DONTFORK,
                          VM_MADV_DOFORK, VM_MADV_WILLNEED, VM_MADV_COLD, VM_MADV_NORMAL,
                          VM_MADV_RANDOM, VM_MADV_SEQUENTIAL, VM_MADV_FREE, VM_MADV_FREE);
    if (op->value == VM_MADV_FREE && !making->gives_away)
        op->value = VM_MADV_PAGEOUT;
}

static void make_fork(struct making *making, struct random_op *op) {
    for (op->child = 0; op->child + 1 < PROCESS_SLOTS && making->lives[op->child];)
        op->child++;
    making->lives[op->child] = true;
}

/* The last one stays. */
static void make_exit(struct making *making, struct random_op *op) {
    unsigned living = 0;
    for (unsigned i = 0; i < PROCESS_SLOTS; i++)
        living += making->lives[i];
    if (living == 1)
        op->kind = RANDOM_READ, choose_range(making, op);
    else
        making->lives[op->process] = false;
}

static struct random_op make_op(struct making *making) {
    struct dice *dice = &making->dice;
    struct random_op op = { .kind = (enum op_kind)dice_weigh(dice, making->weights, RANDOM_KINDS) };
    op.process = choose_living(making);
    switch (op.kind) {
    case RANDOM_FORK:
        make_fork(making, &op);
        break;
    case RANDOM_EXIT:
        make_exit(making, &op);
        break;
    case RANDOM_TRUNCATE: /* value: bytes beyond the last whole page */
        op.object = 1 + dice_below(dice, JUDGED_OBJECTS);
        op.pages = dice_below(dice, OBJECT_PAGES + 8);
        op.value = DICE_PICK(dice, 0, 0, 1000, 4095);
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
        op.pgoff = dice_below(dice, OBJECT_PAGES + 2);
        break;
    case RANDOM_ADVISE:
        make_advice(making, &op);
        break;
    case RANDOM_SYNC:
        choose_range(making, &op);
        op.flags = DICE_PICK(dice, VM_MS_SYNC, VM_MS_ASYNC, VM_MS_SYNC | VM_MS_INVALIDATE);
        break;
    case RANDOM_RECLAIM:
        op.value = DICE_PICK(dice, 1, 8, 50, 10000);
        break;
    default:
        choose_range(making, &op);
    }
    return op;
}

void program_make(struct sequence *program, uint64_t seed, uint64_t number, uint64_t steps) {
    struct making making = { .dice = dice_for(seed, number, 3), .lives = { true } };
    *program = (struct sequence){ 0 };
    choose_weights(&making);
    for (uint64_t i = 0; i < steps; i++) {
        struct random_op op = make_op(&making);
        sequence_add(program, &op);
    }
}
