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

#include <inttypes.h>

struct making {
    uint64_t state;
    uint64_t weights[RANDOM_KINDS], total;
    bool lives[PROCESS_SLOTS];
    bool gives_away; /* MADV_FREE, else PAGEOUT and reclaim */
    uint64_t page, pages, process;
};

/* splitmix64 */
static uint64_t roll(struct making *making) {
    uint64_t mixed = making->state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

static uint64_t below(struct making *making, uint64_t limit) {
    return roll(making) % limit;
}

static bool one_in(struct making *making, uint64_t n) {
    return below(making, n) == 0;
}

#define PICK(making, ...)                                                                          \
    ((const uint64_t[]){ __VA_ARGS__ }[below(making, sizeof((const uint64_t[]){ __VA_ARGS__ }) /   \
                                                         sizeof(uint64_t))])

static const uint64_t usual_weights[RANDOM_KINDS] = {
    [RANDOM_FORK] = 14,   [RANDOM_EXIT] = 6,     [RANDOM_TRUNCATE] = 5, [RANDOM_MAP] = 30,
    [RANDOM_UNMAP] = 8,   [RANDOM_PROTECT] = 14, [RANDOM_MOVE] = 20,    [RANDOM_REARRANGE] = 8,
    [RANDOM_ADVISE] = 16, [RANDOM_LOCK] = 3,     [RANDOM_UNLOCK] = 3,   [RANDOM_SYNC] = 3,
    [RANDOM_READ] = 24,   [RANDOM_WRITE] = 44,   [RANDOM_RECLAIM] = 8,
};

static void choose_weights(struct making *making) {
    making->gives_away = one_in(making, 3);
    for (unsigned i = 0; i < RANDOM_KINDS; i++)
        making->weights[i] = usual_weights[i] * PICK(making, 0, 1, 1, 2, 4);
    making->weights[RANDOM_MAP] += 24;
    making->weights[RANDOM_WRITE] += 20;
    making->weights[RANDOM_FORK] += 4;
    if (making->gives_away)
        making->weights[RANDOM_RECLAIM] = 0;
    for (unsigned i = 0; i < RANDOM_KINDS; i++)
        making->total += making->weights[i];
}

static enum op_kind choose_kind(struct making *making) {
    uint64_t at = below(making, making->total);
    unsigned kind = 0;
    while (at >= making->weights[kind])
        at -= making->weights[kind++];
    return (enum op_kind)kind;
}

static uint64_t choose_living(struct making *making) {
    if (making->lives[making->process] && !one_in(making, 3))
        return making->process;
    for (;;) {
        uint64_t process = below(making, PROCESS_SLOTS);
        if (making->lives[process])
            return making->process = process;
    }
}

static void choose_range(struct making *making, struct random_op *op) {
    if (!one_in(making, 3) && making->pages) {
        op->page = making->page + below(making, 3) * below(making, making->pages) / 2;
        op->pages = PICK(making, making->pages, making->pages, 1, 1 + below(making, making->pages));
    } else {
        op->page =
            one_in(making, 3) ? WINDOW_PAGES / 2 - below(making, 10) : below(making, WINDOW_PAGES);
        op->pages = one_in(making, 16) ? 1 + below(making, 40) : 1 + below(making, 12);
    }
    if (op->page >= WINDOW_PAGES)
        op->page = WINDOW_PAGES - 1;
    op->pages = pages_in_window(op->page, op->pages);
    making->page = op->page;
    making->pages = op->pages;
}

static uint64_t choose_protection(struct making *making) {
    return PICK(making, VM_PROT_READ | VM_PROT_WRITE, VM_PROT_READ | VM_PROT_WRITE,
                VM_PROT_READ | VM_PROT_WRITE, VM_PROT_READ | VM_PROT_WRITE, VM_PROT_READ,
                VM_PROT_READ, VM_PROT_READ | VM_PROT_EXEC, VM_PROT_NONE, VM_PROT_WRITE);
}

static void make_map(struct making *making, struct random_op *op) {
    choose_range(making, op);
    op->pages = PICK(making, op->pages, op->pages, pages_in_window(op->page, 16));
    making->pages = op->pages;
    op->object = PICK(making, 0, 0, 0, 1, 1, 2, 3);
    if (op->object)
        op->pgoff = one_in(making, 3) ? op->page % 8 : below(making, OBJECT_PAGES + 4);
    op->protection = choose_protection(making);
    op->flags = PICK(making, VM_MAP_PRIVATE, VM_MAP_PRIVATE, VM_MAP_SHARED);
    op->flags |= PICK(making, VM_MAP_FIXED, VM_MAP_FIXED, VM_MAP_FIXED, VM_MAP_FIXED, VM_MAP_FIXED,
                      VM_MAP_FIXED_NOREPLACE, 0);
    if (one_in(making, 20))
        op->flags |= VM_MAP_LOCKED;
    if (one_in(making, 16))
        op->flags |= VM_MAP_POPULATE;
}

static void make_move(struct making *making, struct random_op *op) {
    choose_range(making, op);
    op->to_page = below(making, WINDOW_PAGES);
    op->to_pages = PICK(making, op->pages, op->pages, op->pages, op->pages, op->pages + 1,
                        op->pages + 6, (op->pages + 1) / 2);
    op->flags =
        PICK(making, VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED,
             VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, VM_MREMAP_MAYMOVE, 0,
             VM_MREMAP_MAYMOVE | VM_MREMAP_DONTUNMAP | VM_MREMAP_FIXED);
    if (one_in(making, 16))
        op->pages = 0;
    if (op->flags & VM_MREMAP_FIXED)
        op->to_pages = pages_in_window(op->to_page, op->to_pages);
    if (op->flags & VM_MREMAP_FIXED && !one_in(making, 3)) {
        making->page = op->to_page;
        making->pages = op->to_pages;
    }
}

static void make_advice(struct making *making, struct random_op *op) {
    choose_range(making, op);
    op->value = PICK(making, VM_MADV_DONTNEED, VM_MADV_DONTNEED, VM_MADV_DONTFORK, VM_MADV_DOFORK,
                     VM_MADV_WILLNEED, VM_MADV_COLD, VM_MADV_NORMAL, VM_MADV_RANDOM,
                     VM_MADV_SEQUENTIAL, VM_MADV_FREE, VM_MADV_FREE);
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
    struct random_op op = { .kind = choose_kind(making) };
    op.process = choose_living(making);
    switch (op.kind) {
    case RANDOM_FORK:
        make_fork(making, &op);
        break;
    case RANDOM_EXIT:
        make_exit(making, &op);
        break;
    case RANDOM_TRUNCATE: /* value: bytes beyond the last whole page */
        op.object = 1 + below(making, JUDGED_OBJECTS);
        op.pages = below(making, OBJECT_PAGES + 8);
        op.value = PICK(making, 0, 0, 1000, 4095);
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
        op.pgoff = below(making, OBJECT_PAGES + 2);
        break;
    case RANDOM_ADVISE:
        make_advice(making, &op);
        break;
    case RANDOM_SYNC:
        choose_range(making, &op);
        op.flags = PICK(making, VM_MS_SYNC, VM_MS_ASYNC, VM_MS_SYNC | VM_MS_INVALIDATE);
        break;
    case RANDOM_RECLAIM:
        op.value = PICK(making, 1, 8, 50, 10000);
        break;
    default:
        choose_range(making, &op);
    }
    return op;
}

void program_make(struct sequence *program, uint64_t seed, uint64_t number, uint64_t steps) {
    struct making making = { .state = seed * UINT64_C(0x100000001b3) + 1, .lives = { true } };
    making.state = roll(&making) ^ number;
    *program = (struct sequence){ 0 };
    choose_weights(&making);
    for (uint64_t i = 0; i < steps; i++) {
        struct random_op op = make_op(&making);
        sequence_add(program, &op);
    }
}

/* ---------------------------------------------------------------- as traces */

static const char *const advice_words[] = {
    [VM_MADV_NORMAL] = "normal",
    [VM_MADV_RANDOM] = "random",
    [VM_MADV_SEQUENTIAL] = "sequential",
    [VM_MADV_WILLNEED] = "willneed",
    [VM_MADV_DONTNEED] = "dontneed",
    [VM_MADV_FREE] = "free",
    [VM_MADV_COLD] = "cold",
    [VM_MADV_PAGEOUT] = "pageout",
    [VM_MADV_DONTFORK] = "dontfork",
    [VM_MADV_DOFORK] = "dofork",
};

static void print_protection(const struct random_op *op, FILE *file) {
    fprintf(file, " %c%c%c", op->protection & VM_PROT_READ ? 'r' : '-',
            op->protection & VM_PROT_WRITE ? 'w' : '-', op->protection & VM_PROT_EXEC ? 'x' : '-');
}

static void print_range(const struct random_op *op, char letter, FILE *file) {
    fprintf(file, "%c %" PRIu64 " %" PRIx64 " %" PRIx64, letter, op->process + 1, PAGE_AT(op->page),
            PAGES(op->pages));
}

static void print_event(const struct random_op *op, FILE *file) {
    static const char letters[RANDOM_KINDS] = {
        [RANDOM_MAP] = 'm',       [RANDOM_UNMAP] = 'u',  [RANDOM_PROTECT] = 'd',
        [RANDOM_REARRANGE] = 'n', [RANDOM_ADVISE] = 'a', [RANDOM_LOCK] = 'l',
        [RANDOM_UNLOCK] = 'k',    [RANDOM_SYNC] = 's',
    };
    uint64_t to = op->flags & VM_MREMAP_FIXED ? op->to_page : op->page;

    switch (op->kind) {
    case RANDOM_FORK:
        fprintf(file, "f %" PRIu64 " %" PRIu64, op->process + 1, op->child + 1);
        break;
    case RANDOM_EXIT:
        fprintf(file, "e %" PRIu64, op->process + 1);
        break;
    case RANDOM_TRUNCATE:
        fprintf(file, "g %" PRIu64 " %" PRIx64, op->object, PAGES(op->pages) + op->value);
        break;
    case RANDOM_MOVE:
        fprintf(file, "v %" PRIu64 " %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64, op->process + 1,
                PAGE_AT(op->page), PAGES(op->pages), PAGE_AT(to), PAGES(op->to_pages));
        break;
    case RANDOM_READ:
    case RANDOM_WRITE:
        fprintf(file, "%c %" PRIu64 " %" PRIx64 " %" PRIu64, op->kind == RANDOM_READ ? 'r' : 'w',
                op->process + 1, PAGE_AT(op->page), op->pages);
        break;
    case RANDOM_RECLAIM:
        return;
    default:
        print_range(op, letters[op->kind], file);
        if (op->kind == RANDOM_MAP || op->kind == RANDOM_PROTECT)
            print_protection(op, file);
        if (op->kind == RANDOM_MAP && !op->object)
            fprintf(file, "%c - 0", op->flags & VM_MAP_SHARED ? 's' : 'p');
        else if (op->kind == RANDOM_MAP)
            fprintf(file, "%c %" PRIu64 " %" PRIx64, op->flags & VM_MAP_SHARED ? 's' : 'p',
                    op->object, op->pgoff);
        else if (op->kind == RANDOM_REARRANGE)
            fprintf(file, " %" PRIx64, op->pgoff);
        else if (op->kind == RANDOM_ADVISE)
            fprintf(file, " %s", advice_words[op->value]);
    }
    fputc('\n', file);
}

void program_print(const struct sequence *program, FILE *file) {
    char text[OP_TEXT_BYTES];
    fprintf(file, "o 1 shm %" PRIx64 " memory\n", PAGES(OBJECT_PAGES));
    fprintf(file, "o 2 file %" PRIx64 " disk\n", PAGES(OBJECT_PAGES));
    fprintf(file, "o 3 file %" PRIx64 " read-only\np 1 program\n", PAGES(OBJECT_PAGES));
    for (size_t i = 0; i < program->count; i++) {
        fprintf(file, "# op %s\n", op_text(&program->ops[i], text));
        print_event(&program->ops[i], file);
    }
}
