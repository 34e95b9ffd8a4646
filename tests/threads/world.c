/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world.c - see world.h.
 */
#include "world.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void soak_fail(const struct world *world, const char *format, ...) {
    va_list arguments;

    fflush(stdout);
    fprintf(stderr,
            "soak: design %s, seed %u, %u threads, %u nodes, %u %% of memory, nonlinear %d, "
            "fork %d, failing %u: ",
            world->plan.design, world->plan.seed, world->plan.threads, world->plan.nodes,
            world->plan.percent, (int)world->plan.nonlinear, (int)world->plan.fork_copy,
            world->plan.fail_every);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    abort();
}

bool out_of_memory(int result) {
    return result == VM_OOM || result == VM_ENOMEM;
}

/* ---------------------------------------------------------------- the machine */

static void *allocate_or_fail(struct vm_port *port, size_t bytes, size_t alignment) {
    struct soak_port *soak = (struct soak_port *)port;
    uint64_t n = atomic_fetch_add_explicit(&soak->allocations, 1, memory_order_relaxed);
    unsigned every = atomic_load_explicit(&soak->fail_every, memory_order_relaxed);

    if (every && n % every == every - 1)
        return NULL;
    return soak->allocate(port, bytes, alignment);
}

/* Threads lose the processor where it matters: between a look and what follows from it. */
static void yield_now_and_then(struct vm_port *port, const volatile void *what) {
    static _Thread_local uint32_t turns = 1;

    (void)port;
    (void)what;
    turns = turns * 1664525u + 1013904223u;
    if (turns >> 24 == 0)
        sched_yield();
}

/* The reclaimer looks in time. */
static void wake_reclaim(struct vm_port *port, unsigned node) {
    struct soak_port *soak = (struct soak_port *)port;
    atomic_fetch_or_explicit(&soak->woken, 1u << node, memory_order_relaxed);
}

static void port_init(struct world *world) {
    struct soak_port *port = &world->port;

    posix_port_init(&port->posix, world->plan.threads + HELPERS);
    port->allocate = port->posix.port.allocate;
    port->posix.port.allocate = allocate_or_fail;
    port->posix.port.preempt = yield_now_and_then;
    port->posix.port.wake_reclaim = wake_reclaim;
}

/* What all plots want when all their pages are in memory, page tables left out. */
static uint64_t frames_for(const struct plan *plan) {
    uint64_t wanted = (uint64_t)plan->threads * PLOTS_MOST * PLOT_PAGES;
    uint64_t tables = (uint64_t)plan->threads * PLOTS_MOST * 5;
    return tables + wanted * plan->percent / 100 + 64;
}

uint64_t word_offset(unsigned word) {
    static const uint64_t offsets[WORDS] = { 0, 1000, 2048, PAGE - 8 };
    return offsets[word];
}

uint64_t book_word(uint64_t index, unsigned word) {
    return (index + 1) * UINT64_C(0x9e3779b97f4a7c15) + word;
}

static void write_book(struct world *world) {
    char page[PAGE] = { 0 };

    for (uint64_t index = 0; index < BOOK_PAGES; index++) {
        for (unsigned word = 0; word < WORDS; word++) {
            uint64_t value = book_word(index, word);
            memcpy(page + word_offset(word), &value, sizeof value);
        }
        world->book_file->write(world->book_file, index, page);
    }
}

static void open_board(struct world *world, unsigned n) {
    struct board *board = &world->boards[n];
    int error;

    pthread_mutex_init(&board->cutting, NULL);
    if (n % 2) {
        board->file = posix_memory_open(BOARD_PAGES * PAGE);
        error = vm_object_open(world->machine, board->file, n + 1, &board->object);
    } else {
        error = vm_object_create_shm(world->machine, BOARD_PAGES * PAGE, n + 1, &board->object);
    }
    if (error)
        soak_fail(world, "no board: %s", vm_result_text(error));
}

void world_create(struct world *world, const struct plan *plan) {
    const char *why = NULL;

    memset(world, 0, sizeof *world);
    world->plan = *plan;
    port_init(world);
    world->swap = posix_memory_open(16384 * PAGE);
    struct vm_machine_config config = { .port = &world->port.posix.port,
                                        .frames = frames_for(plan),
                                        .cpus = plan->threads + HELPERS,
                                        .nodes = plan->nodes,
                                        .design = plan->design,
                                        .fork_copy = plan->fork_copy,
                                        .nonlinear = plan->nonlinear,
                                        .swap = world->swap,
                                        .swap_pages = 16384 };
    int error = vm_machine_create(&config, &world->machine, &why);
    if (error)
        soak_fail(world, "no machine: %s", why ? why : vm_result_text(error));
    world->book_file = posix_memory_open(BOOK_PAGES * PAGE);
    write_book(world);
    if (vm_object_open(world->machine, world->book_file, 100, &world->book) != VM_OK)
        soak_fail(world, "no book");
    for (unsigned n = 0; n < BOARDS; n++)
        open_board(world, n);
    for (unsigned n = 0; n < THREADS_MOST; n++)
        pthread_mutex_init(&world->inboxes[n].lock, NULL);
    pthread_barrier_init(&world->meeting, NULL, plan->threads + HELPERS);
    atomic_store(&world->next_id, 1);
    world_let_fail(world, true);
}

void world_let_fail(struct world *world, bool fail) {
    atomic_store(&world->port.fail_every, fail ? world->plan.fail_every : 0);
}

/* After the last page has been written back the file has what each thread wrote last. */
static void check_file(struct world *world, unsigned n) {
    struct board *board = &world->boards[n];
    uint64_t words[PAGE / 8];

    for (unsigned index = 0; index < BOARD_PAGES; index++) {
        board->file->read(board->file, index, words);
        for (unsigned thread = 0; thread < world->plan.threads; thread++) {
            uint64_t done = atomic_load(&board->done[index][thread]);
            bool cut = n == CUT_BOARD && index >= CUT_PAGES;
            if (words[thread] != done && !(cut && words[thread] == 0))
                soak_fail(world, "file %u, page %u: thread %u wrote %llu last, the file has %llu",
                          n, index, thread, (unsigned long long)done,
                          (unsigned long long)words[thread]);
        }
    }
}

static void close_later(struct vm_backing *file) {
    (void)file;
}

void world_destroy(struct world *world) {
    struct vm_stats stats;

    world_let_fail(world, false);
    for (unsigned n = 0; n < BOARDS; n++) {
        struct board *board = &world->boards[n];
        void (*close)(struct vm_backing *) = board->file ? board->file->close : NULL;
        if (board->file)
            board->file->close = close_later;
        vm_object_put(board->object);
        if (board->file) {
            check_file(world, n);
            close(board->file);
        }
        pthread_mutex_destroy(&board->cutting);
    }
    vm_object_put(world->book);
    vm_stats_read(world->machine, &stats);
    if (stats.memory.swap_used || stats.memory.spaces || stats.memory.areas || stats.memory.tables)
        soak_fail(world, "left over: %llu slots, %llu spaces, %llu areas, %llu tables",
                  (unsigned long long)stats.memory.swap_used,
                  (unsigned long long)stats.memory.spaces, (unsigned long long)stats.memory.areas,
                  (unsigned long long)stats.memory.tables);
    if (stats.memory.frames_free + 1 != stats.memory.frames_total)
        soak_fail(world, "left over: %llu frames",
                  (unsigned long long)(stats.memory.frames_total - stats.memory.frames_free - 1));
    vm_machine_destroy(world->machine);
    world->swap->close(world->swap);
    pthread_barrier_destroy(&world->meeting);
}

/* ---------------------------------------------------------------- meeting */

void world_pause_point(struct world *world) {
    if (!atomic_load_explicit(&world->pause, memory_order_acquire))
        return;
    pthread_barrier_wait(&world->meeting); /* all have come */
    pthread_barrier_wait(&world->meeting); /* main has looked */
}

static void print_difference(const char *difference, void *context) {
    (void)context;
    fprintf(stderr, "soak: %s\n", difference);
}

void world_verify(struct world *world) {
    uint64_t differences = vm_verify(world->machine, print_difference, NULL);
    if (differences)
        soak_fail(world, "the oracle disagrees, %llu times", (unsigned long long)differences);
}

/* ---------------------------------------------------------------- boards */

#define NOT_KNOWN UINT64_MAX

static bool may_be_cut(const struct world *world, const struct board *board, unsigned index) {
    return board == &world->boards[CUT_BOARD] && index >= CUT_PAGES;
}

static uint64_t generation(const struct board *board) {
    return atomic_load_explicit(&board->generation, memory_order_acquire);
}

static void check_result(struct world *world, const struct board *board, unsigned index,
                         int result) {
    if (result == VM_OK || out_of_memory(result))
        return;
    if (result == VM_SIGBUS && may_be_cut(world, board, index))
        return;
    soak_fail(world, "board %u, page %u: %s", (unsigned)(board - world->boards), index,
              vm_result_text(result));
}

/* A write during which the board was cut may have been lost: `known_since` tells, by not being the
 * present generation. */
void board_write(struct world *world, struct vm_space *space, uint64_t address, struct board *board,
                 unsigned index, unsigned thread) {
    uint64_t value = atomic_load(&board->started[index][thread]) + 1;
    uint64_t since = generation(board);

    atomic_store(&board->started[index][thread], value);
    int result = vm_write(space, address + thread * 8, &value, sizeof value);
    check_result(world, board, index, result);
    if (result != VM_OK)
        return;
    atomic_store(&board->done[index][thread], value);
    board->known_since[index][thread] = since;
}

void board_read(struct world *world, struct vm_space *space, uint64_t address, struct board *board,
                unsigned index, unsigned thread) {
    uint64_t expected = atomic_load(&board->done[index][thread]), value;
    uint64_t before = generation(board);
    int result = vm_read(space, address + thread * 8, &value, sizeof value);
    uint64_t after = generation(board);

    check_result(world, board, index, result);
    if (result != VM_OK || value == expected)
        return;
    bool cut = may_be_cut(world, board, index) &&
               (after != board->known_since[index][thread] || after % 2);
    if (!cut || value != 0)
        soak_fail(world, "board %u, page %u: thread %u reads %llu instead of %llu",
                  (unsigned)(board - world->boards), index, thread, (unsigned long long)value,
                  (unsigned long long)expected);
    atomic_store(&board->done[index][thread], 0);
    board->known_since[index][thread] = before % 2 || before != after ? NOT_KNOWN : before;
}

void board_read_other(struct world *world, struct vm_space *space, uint64_t address,
                      struct board *board, unsigned index, unsigned other) {
    bool cut = may_be_cut(world, board, index);
    uint64_t least = cut ? 0 : atomic_load(&board->done[index][other]), value;
    int result = vm_read(space, address + other * 8, &value, sizeof value);
    uint64_t most = atomic_load(&board->started[index][other]);

    check_result(world, board, index, result);
    if (result == VM_OK && (value < least || value > most))
        soak_fail(world, "board %u, page %u: thread %u's word is %llu, not within %llu..%llu",
                  (unsigned)(board - world->boards), index, other, (unsigned long long)value,
                  (unsigned long long)least, (unsigned long long)most);
}

void board_cut(struct board *board, unsigned pages) {
    pthread_mutex_lock(&board->cutting);
    atomic_fetch_add(&board->generation, 1);
    vm_object_truncate(board->object, pages * PAGE);
    if (board->file) {
        posix_memory_truncate(board->file, pages * PAGE);
        posix_memory_truncate(board->file, BOARD_PAGES * PAGE);
    }
    vm_object_truncate(board->object, BOARD_PAGES * PAGE);
    atomic_fetch_add(&board->generation, 1);
    pthread_mutex_unlock(&board->cutting);
}
