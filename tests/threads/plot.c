/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plot.c - see plot.h. Each call is made, its result held against what the cells allow, and then the
 * cells are made to say what it did. Where a call may stop half-way for want of memory, it is made
 * again until it succeeds, or (mremap) each page is asked where it is.
 */
#include "plot.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* The lanes lie across the end of a page table. */
#define PLOT_START (UINT64_C(0x40000000) - 2 * PLOT_PAGES * PAGE)
#define STACK_END  UINT64_C(0x7fff00000000)
#define RW         (VM_PROT_READ | VM_PROT_WRITE)

uint64_t draw(struct worker *worker, uint64_t below) {
    return dice_below(&worker->dice, below);
}

static uint64_t address_of(const struct plot *plot, unsigned page) {
    return PLOT_START + (plot->lane * (uint64_t)PLOT_PAGES + page) * PAGE;
}

static struct vm_space *space_of(const struct plot *plot) {
    return plot->process->space;
}

/* Only a shortage of memory may have been in the way. Returns whether it was not. */
static bool check_call(struct worker *worker, const struct plot *plot, const char *call,
                       int result) {
    worker->calls++;
    if (result == VM_OK)
        return true;
    worker->short_of_memory++;
    if (!out_of_memory(result))
        soak_fail(worker->world, "%s in lane %u: %s", call, plot->lane, vm_result_text(result));
    return false;
}

/* ---------------------------------------------------------------- ranges */

struct range {
    unsigned first, count;
};

static struct range draw_range(struct worker *worker, unsigned most) {
    struct range range;
    range.first = (unsigned)draw(worker, PLOT_PAGES);
    range.count = 1 + (unsigned)draw(worker, most);
    if (range.count > PLOT_PAGES - range.first)
        range.count = PLOT_PAGES - range.first;
    return range;
}

/* The part of the range, from its first page on, whose pages `same` holds to go together. */
static struct range alike(const struct plot *plot, struct range range,
                          bool (*same)(const struct cell *a, const struct cell *b)) {
    unsigned count = 1;
    while (count < range.count &&
           same(&plot->cells[range.first], &plot->cells[range.first + count]))
        count++;
    range.count = count;
    return range;
}

static bool any_locked(const struct plot *plot, struct range range) {
    for (unsigned i = 0; i < range.count; i++)
        if (plot->cells[range.first + i].locked)
            return true;
    return false;
}

static bool both_mapped(const struct cell *a, const struct cell *b) {
    return (a->kind == HOLE) == (b->kind == HOLE);
}

static bool same_kind(const struct cell *a, const struct cell *b) {
    return a->kind == b->kind;
}

/* ---------------------------------------------------------------- reading and writing */

static void forget_words(struct cell *cell) {
    cell->may_be_gone = false;
    for (unsigned word = 0; word < WORDS; word++)
        cell->words[word] = cell->kind == BOOK ? book_word(cell->index, word) : 0;
}

/* The page has this at the word. Either it is what was written, or all of the page is gone. */
static void saw_word(struct worker *worker, const struct plot *plot, struct cell *cell,
                     unsigned word, uint64_t value) {
    if (value == cell->words[word])
        return;
    if (!cell->may_be_gone || value != 0)
        soak_fail(worker->world, "lane %u, page %u (kind %d), word %u: %llx instead of %llx",
                  plot->lane, (unsigned)(cell - plot->cells), (int)cell->kind, word,
                  (unsigned long long)value, (unsigned long long)cell->words[word]);
    forget_words(cell);
}

static void expect_fault(struct worker *worker, const struct plot *plot, const struct cell *cell,
                         const char *access, int result) {
    if (result != VM_SIGSEGV && !out_of_memory(result))
        soak_fail(worker->world, "%s lane %u, page %u, where nothing allows it: %s", access,
                  plot->lane, (unsigned)(cell - plot->cells), vm_result_text(result));
}

/* Returns whether memory was not too short to see it. */
static bool read_word(struct worker *worker, struct plot *plot, unsigned page, unsigned word) {
    struct cell *cell = &plot->cells[page];
    uint64_t value;
    int result =
        vm_read(space_of(plot), address_of(plot, page) + word_offset(word), &value, sizeof value);

    if (cell->kind == HOLE || !cell->read) {
        expect_fault(worker, plot, cell, "a read of", result);
        return true;
    }
    if (!check_call(worker, plot, "a read", result))
        return false;
    saw_word(worker, plot, cell, word, value);
    return true;
}

static void write_word(struct worker *worker, struct plot *plot, unsigned page, unsigned word) {
    struct cell *cell = &plot->cells[page];
    uint64_t value = worker->dice.state << 8 | worker->thread;
    int result =
        vm_write(space_of(plot), address_of(plot, page) + word_offset(word), &value, sizeof value);

    if (cell->kind == HOLE || !cell->write) {
        expect_fault(worker, plot, cell, "a write to", result);
        return;
    }
    if (!check_call(worker, plot, "a write", result))
        return;
    if (cell->may_be_gone) /* gone or not, from now on it stays: the other words tell */
        for (unsigned other = 0; other < WORDS; other++)
            while (other != word && !read_word(worker, plot, page, other))
                sched_yield();
    cell->may_be_gone = false;
    cell->words[word] = value;
}

static struct board *board_of(const struct worker *worker, const struct cell *cell) {
    return &worker->world->boards[cell->board];
}

static void access_board(struct worker *worker, struct plot *plot, unsigned page) {
    struct cell *cell = &plot->cells[page];
    unsigned other = (unsigned)draw(worker, worker->world->plan.threads);
    uint64_t address = address_of(plot, page);

    worker->calls++;
    if (cell->write && draw(worker, 2))
        board_write(worker->world, space_of(plot), address, board_of(worker, cell), cell->index,
                    worker->thread);
    else if (cell->read && READ_OTHERS && other != worker->thread)
        board_read_other(worker->world, space_of(plot), address, board_of(worker, cell),
                         cell->index, other);
    else if (cell->read)
        board_read(worker->world, space_of(plot), address, board_of(worker, cell), cell->index,
                   worker->thread);
}

static void access_page(struct worker *worker, struct plot *plot, unsigned page) {
    if (plot->cells[page].kind == BOARD)
        access_board(worker, plot, page);
    else if (draw(worker, 2))
        write_word(worker, plot, page, (unsigned)draw(worker, WORDS));
    else
        read_word(worker, plot, page, (unsigned)draw(worker, WORDS));
}

static void access_some(struct worker *worker, struct plot *plot) {
    struct range range = draw_range(worker, 12);
    for (unsigned i = 0; i < range.count; i++)
        access_page(worker, plot, range.first + i);
}

void plot_check(struct worker *worker, struct plot *plot) {
    for (unsigned page = 0; page < PLOT_PAGES; page++) {
        struct cell *cell = &plot->cells[page];
        if (cell->kind == BOARD && cell->read)
            board_read(worker->world, space_of(plot), address_of(plot, page),
                       board_of(worker, cell), cell->index, worker->thread);
        else if (cell->kind != BOARD && cell->kind != HOLE)
            for (unsigned word = 0; word < WORDS; word++)
                read_word(worker, plot, page, word);
    }
}

/* ---------------------------------------------------------------- mapping */

static void set_cells(struct plot *plot, struct range range, struct cell like) {
    for (unsigned i = 0; i < range.count; i++, like.index++) {
        plot->cells[range.first + i] = like;
        forget_words(&plot->cells[range.first + i]);
    }
}

static void map(struct worker *worker, struct plot *plot, struct range range) {
    struct world *world = worker->world;
    struct cell like = { .kind = (enum cell_kind)(1 + draw(worker, 3)), .read = true };
    struct vm_object *object = NULL;
    uint64_t result;

    like.write = draw(worker, 8) != 0;
    if (like.kind == BOOK) {
        object = world->book;
        like.index = (unsigned)draw(worker, BOOK_PAGES - range.count);
    } else if (like.kind == BOARD) {
        like.board = (unsigned)draw(worker, BOARDS);
        object = world->boards[like.board].object;
        if (range.count > BOARD_PAGES / 2)
            range.count = BOARD_PAGES / 2;
        like.index = (unsigned)draw(worker, BOARD_PAGES - range.count);
    }
    unsigned flags = (like.kind == BOARD ? VM_MAP_SHARED : VM_MAP_PRIVATE) | VM_MAP_FIXED;
    if (draw(worker, 8) == 0)
        flags |= VM_MAP_POPULATE;
    int error = vm_mmap(space_of(plot), address_of(plot, range.first), range.count * PAGE,
                        like.write ? RW : VM_PROT_READ, flags, object, like.index, &result);
    if (check_call(worker, plot, "mmap", error))
        set_cells(plot, range, like);
}

static void unmap(struct worker *worker, struct plot *plot, struct range range) {
    int error;

    while (!check_call(
        worker, plot, "munmap",
        error = vm_munmap(space_of(plot), address_of(plot, range.first), range.count * PAGE)))
        sched_yield();
    (void)error;
    set_cells(plot, range, (struct cell){ .kind = HOLE });
}

static void protect(struct worker *worker, struct plot *plot, struct range range) {
    static const unsigned protections[] = { RW, RW, RW, VM_PROT_READ, VM_PROT_NONE };
    unsigned protection = protections[draw(worker, 5)];

    range = alike(plot, range, both_mapped);
    if (plot->cells[range.first].kind == HOLE)
        return;
    while (!check_call(
        worker, plot, "mprotect",
        vm_mprotect(space_of(plot), address_of(plot, range.first), range.count * PAGE, protection)))
        sched_yield();
    for (unsigned i = 0; i < range.count; i++) {
        plot->cells[range.first + i].read = protection != VM_PROT_NONE;
        plot->cells[range.first + i].write = (protection & VM_PROT_WRITE) != 0;
    }
}

/* Where is the page that was at `from`? After a call that failed, each page is asked. */
static bool is_mapped(const struct plot *plot, unsigned page) {
    unsigned char resident;
    return vm_mincore(space_of(plot), address_of(plot, page), PAGE, &resident) == VM_OK;
}

static void move(struct worker *worker, struct plot *plot, struct range range) {
    unsigned to = (unsigned)draw(worker, PLOT_PAGES - range.count + 1);
    bool disjoint = to + range.count <= range.first || range.first + range.count <= to;
    uint64_t bytes = range.count * PAGE, result;

    range = alike(plot, range, both_mapped);
    bytes = range.count * PAGE;
    if (!disjoint || plot->cells[range.first].kind == HOLE || any_locked(plot, range))
        return;
    unmap(worker, plot, (struct range){ to, range.count });
    int error = vm_mremap(space_of(plot), address_of(plot, range.first), bytes, bytes,
                          VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, address_of(plot, to), &result);
    check_call(worker, plot, "mremap", error);
    for (unsigned i = 0; i < range.count; i++) {
        struct cell *from = &plot->cells[range.first + i];
        if (error && is_mapped(plot, range.first + i))
            continue;
        plot->cells[to + i] = *from;
        *from = (struct cell){ .kind = HOLE };
    }
}

/* The pages go, what they lay in stays, empty. */
static void move_pages_only(struct worker *worker, struct plot *plot, struct range range) {
    unsigned to = (unsigned)draw(worker, PLOT_PAGES - range.count + 1);
    bool disjoint = to + range.count <= range.first || range.first + range.count <= to;
    uint64_t result;

    range = alike(plot, range, same_kind);
    if (!disjoint || plot->cells[range.first].kind != ANONYMOUS || any_locked(plot, range))
        return;
    unmap(worker, plot, (struct range){ to, range.count });
    for (unsigned i = 0; i < range.count; i++) {
        struct cell *from = &plot->cells[range.first + i];
        int error = vm_mremap(space_of(plot), address_of(plot, range.first + i), PAGE, PAGE,
                              VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED | VM_MREMAP_DONTUNMAP,
                              address_of(plot, to + i), &result);
        if (!check_call(worker, plot, "mremap", error))
            continue;
        plot->cells[to + i] = *from;
        forget_words(from);
    }
}

static void rearrange(struct worker *worker, struct plot *plot, struct range range) {
    struct cell *first = &plot->cells[range.first];
    unsigned index = (unsigned)draw(worker, BOARD_PAGES - range.count);
    unsigned count = 1;

    if (first->kind != BOARD || first->locked)
        return;
    while (count < range.count && first[count].kind == BOARD &&
           first[count].board == first->board && first[count].read == first->read &&
           first[count].write == first->write && !first[count].locked)
        count++;
    int error =
        vm_remap_file_pages(space_of(plot), address_of(plot, range.first), count * PAGE, index);
    if (error == VM_EINVAL) /* to the library they are not one mapping: advice, another's file */
        return;
    if (!check_call(worker, plot, "remap_file_pages", error)) {
        unmap(worker, plot, (struct range){ range.first, count });
        return;
    }
    for (unsigned i = 0; i < count; i++)
        first[i].index = index + i;
}

/* ---------------------------------------------------------------- advice, locking */

static void advise(struct worker *worker, struct plot *plot, struct range range) {
    static const enum vm_advice kinds[] = { VM_MADV_WILLNEED, VM_MADV_COLD,   VM_MADV_PAGEOUT,
                                            VM_MADV_PAGEOUT,  VM_MADV_RANDOM, VM_MADV_NORMAL };
    enum vm_advice advice = kinds[draw(worker, 6)];

    range = alike(plot, range, both_mapped);
    if (plot->cells[range.first].kind == HOLE || any_locked(plot, range))
        return;
    int error =
        vm_madvise(space_of(plot), address_of(plot, range.first), range.count * PAGE, advice);
    if (error != VM_EAGAIN)
        check_call(worker, plot, "madvise", error);
}

static void drop(struct worker *worker, struct plot *plot, struct range range) {
    range = alike(plot, range, both_mapped);
    if (plot->cells[range.first].kind == HOLE || any_locked(plot, range))
        return;
    if (!check_call(worker, plot, "MADV_DONTNEED",
                    vm_madvise(space_of(plot), address_of(plot, range.first), range.count * PAGE,
                               VM_MADV_DONTNEED)))
        soak_fail(worker->world, "MADV_DONTNEED asks for memory");
    for (unsigned i = 0; i < range.count; i++)
        if (plot->cells[range.first + i].kind != BOARD)
            forget_words(&plot->cells[range.first + i]);
}

static void give_away(struct worker *worker, struct plot *plot, struct range range) {
    range = alike(plot, range, same_kind);
    if (plot->cells[range.first].kind != ANONYMOUS || any_locked(plot, range))
        return;
    check_call(worker, plot, "MADV_FREE",
               vm_madvise(space_of(plot), address_of(plot, range.first), range.count * PAGE,
                          VM_MADV_FREE));
    for (unsigned i = 0; i < range.count; i++)
        plot->cells[range.first + i].may_be_gone = true;
}

/* While a range is locked all of it stays in memory, whatever reclaim does. */
static void check_resident(struct worker *worker, struct plot *plot, struct range range) {
    unsigned char resident[PLOT_PAGES];
    int error =
        vm_mincore(space_of(plot), address_of(plot, range.first), range.count * PAGE, resident);

    for (unsigned i = 0; i < range.count && !error; i++)
        if (!resident[i])
            soak_fail(worker->world, "lane %u, page %u is locked, but not in memory", plot->lane,
                      range.first + i);
}

static void lock_for_a_while(struct worker *worker, struct plot *plot, struct range range) {
    unsigned count = 0;

    while (count < range.count && count < 4 && plot->cells[range.first + count].kind != HOLE &&
           plot->cells[range.first + count].kind != BOARD && plot->cells[range.first + count].read)
        count++;
    range.count = count;
    if (!count)
        return;
    uint64_t start = address_of(plot, range.first), bytes = range.count * PAGE;
    int error = vm_mlock(space_of(plot), start, bytes);
    worker->calls++;
    if (error && error != VM_EAGAIN && !out_of_memory(error))
        soak_fail(worker->world, "mlock: %s", vm_result_text(error));
    if (!error) {
        check_resident(worker, plot, range);
        access_page(worker, plot, range.first);
        vm_reclaim(worker->world->machine, 8);
        check_resident(worker, plot, range);
    }
    while (!check_call(worker, plot, "munlock", vm_munlock(space_of(plot), start, bytes)))
        sched_yield();
}

static void sync_some(struct worker *worker, struct plot *plot, struct range range) {
    int error =
        vm_msync(space_of(plot), address_of(plot, range.first), range.count * PAGE, VM_MS_SYNC);

    worker->calls++;
    if (error && error != VM_ENOMEM)
        soak_fail(worker->world, "msync: %s", vm_result_text(error));
}

static void migrate(struct worker *worker, struct plot *plot, struct range range) {
    unsigned node = (unsigned)draw(worker, worker->world->plan.nodes);
    int error;

    range = alike(plot, range, both_mapped);
    if (plot->cells[range.first].kind == HOLE)
        return;
    error = vm_move_pages(space_of(plot), address_of(plot, range.first), range.count * PAGE, node,
                          NULL);
    if (error != VM_EAGAIN)
        check_call(worker, plot, "a move to another node", error);
}

/* The stack is everybody's in the process: whoever touches it first makes it grow. */
static void touch_stack(struct worker *worker, struct plot *plot) {
    uint64_t address = STACK_END - (1 + draw(worker, 48)) * PAGE;
    uint64_t ignored;
    int error = vm_touch(space_of(plot), address, 1, VM_WRITE, NULL);

    if (error == VM_SIGSEGV) { /* there is none yet */
        vm_mmap(space_of(plot), STACK_END - PAGE, PAGE, RW,
                VM_MAP_PRIVATE | VM_MAP_FIXED_NOREPLACE | VM_MAP_GROWSDOWN, NULL, 0, &ignored);
        return;
    }
    check_call(worker, plot, "a touch of the stack", error);
}

void plot_work(struct worker *worker, struct plot *plot) {
    struct range range = draw_range(worker, draw(worker, 4) ? 12 : PLOT_PAGES);
    struct world *world = worker->world;

    switch (draw(worker, 40)) {
    case 0:
    case 1:
    case 2:
        map(worker, plot, range);
        break;
    case 3:
        unmap(worker, plot, range);
        break;
    case 4:
    case 5:
        protect(worker, plot, range);
        break;
    case 6:
    case 7:
        move(worker, plot, range);
        break;
    case 8:
        move_pages_only(worker, plot, range);
        break;
    case 9:
        drop(worker, plot, range);
        break;
    case 10:
        give_away(worker, plot, range);
        break;
    case 11:
    case 12:
    case 13:
        advise(worker, plot, range);
        break;
    case 14:
        lock_for_a_while(worker, plot, range);
        break;
    case 15:
        sync_some(worker, plot, range);
        break;
    case 16:
        touch_stack(worker, plot);
        break;
    case 17:
        rearrange(worker, plot, draw_range(worker, 8));
        break;
    case 18:
        if (draw(worker, 2) == 0)
            board_cut(&world->boards[CUT_BOARD],
                      CUT_PAGES + (unsigned)draw(worker, BOARD_PAGES - CUT_PAGES));
        break;
    case 19:
    case 20:
        migrate(worker, plot, range);
        break;
    default:
        access_some(worker, plot);
    }
}

/* ---------------------------------------------------------------- processes */

static struct plot *new_plot(struct process *process, unsigned lane) {
    struct plot *plot = calloc(1, sizeof *plot);
    plot->process = process;
    plot->lane = lane;
    return plot;
}

static void post(struct worker *worker, struct plot *plot) {
    struct inbox *inbox = &worker->world->inboxes[draw(worker, worker->world->plan.threads)];

    pthread_mutex_lock(&inbox->lock);
    plot->next = inbox->plots;
    inbox->plots = plot;
    pthread_mutex_unlock(&inbox->lock);
}

static uint64_t new_id(struct worker *worker) {
    return atomic_fetch_add(&worker->world->next_id, 1);
}

static struct process *new_process(struct vm_space *space, unsigned plots) {
    struct process *process = calloc(1, sizeof *process);
    process->space = space;
    atomic_store(&process->plots, plots);
    return process;
}

struct plot *plot_of_new_process(struct worker *worker, unsigned lanes) {
    struct vm_space *space;
    int error = vm_space_create(worker->world->machine, new_id(worker), &space);

    worker->calls++;
    if (error && !out_of_memory(error))
        soak_fail(worker->world, "no space: %s", vm_result_text(error));
    if (error)
        return NULL;
    struct process *process = new_process(space, lanes);
    for (unsigned lane = 1; lane < lanes; lane++)
        post(worker, new_plot(process, lane));
    return new_plot(process, 0);
}

void plot_let_go(struct plot *plot) {
    struct process *process = plot->process;

    free(plot);
    if (atomic_fetch_sub(&process->plots, 1) != 1)
        return;
    vm_exit(process->space);
    free(process);
}

/* The child has no use for what its parent's other threads were doing. */
static void unmap_others(struct worker *worker, struct plot *child) {
    uint64_t start = address_of(child, 0), end = address_of(child, PLOT_PAGES);
    uint64_t all = PLOT_START + LANES * (uint64_t)PLOT_PAGES * PAGE;

    while (start > PLOT_START &&
           !check_call(worker, child, "munmap",
                       vm_munmap(space_of(child), PLOT_START, start - PLOT_START)))
        sched_yield();
    while (end < all &&
           !check_call(worker, child, "munmap", vm_munmap(space_of(child), end, all - end)))
        sched_yield();
}

struct plot *plot_fork(struct worker *worker, struct plot *plot) {
    struct vm_space *space;
    int error = vm_fork(space_of(plot), new_id(worker), &space);

    if (!check_call(worker, plot, "fork", error))
        return NULL;
    struct plot *child = new_plot(new_process(space, 1), plot->lane);
    memcpy(child->cells, plot->cells, sizeof plot->cells);
    for (unsigned page = 0; page < PLOT_PAGES; page++)
        child->cells[page].locked = false;
    unmap_others(worker, child);
    return child;
}

void plot_exec(struct worker *worker, struct plot *plot) {
    if (atomic_load(&plot->process->plots) != 1)
        return;
    check_call(worker, plot, "exec", vm_exec(space_of(plot)));
    set_cells(plot, (struct range){ 0, PLOT_PAGES }, (struct cell){ .kind = HOLE });
}
