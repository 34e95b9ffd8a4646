/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * threads_test.c - one thread moves pages from node to node all the time, while others write, read,
 * fork, exec, exit, unmap, move, give away, push out and truncate them. Every read must see what the
 * last write put there: of private memory the thread's own, of shared memory its own word in each page,
 * written at one address and read at another.
 *
 * In debug builds the port lets others go first where they could come between, now and then: what is a
 * window of a few instructions for real CPUs becomes one that somebody gets into.
 */
#include "stage.h"

#include "harness/dice.h"
#include "harness/each_design.h"

#include <pthread.h>
#include <unistd.h>

#define SHM   UINT64_C(0x8000000)
#define AGAIN UINT64_C(0x18000000) /* the same memory once more */
#define CUT   UINT64_C(0x28000000)
#define AWAY  UINT64_C(0x40000000)

enum { THREADS = 3, MOVER = THREADS + 1, CPUS = THREADS + 2, PAGES = 48, ROUNDS = 500 };

struct play {
    struct stage stage;
    struct vm_object *shm, *cut;
    pthread_mutex_t cutting; /* as a file system would have */
    struct vm_space *spaces[THREADS];
    _Atomic unsigned acting;
};

struct actor {
    struct play *play;
    struct vm_space *space;
    unsigned cpu;
    struct dice dice;
    uint64_t written; /* the words count up */
    uint64_t words[PAGES], shared[PAGES];
    pthread_t thread;
};

static unsigned draw(struct dice *dice, unsigned below) {
    return (unsigned)dice_below(dice, below);
}

static void check(struct vm_space *space, uint64_t address, uint64_t expected) {
    uint64_t word = 0;
    int error = vm_read(space, address, &word, sizeof word);

    if (error || word != expected) {
        print_error("space %d, address 0x%llx: %s, %llu instead of %llu\n", (int)vm_space_id(space),
                    (unsigned long long)address, vm_result_text(error), (unsigned long long)word,
                    (unsigned long long)expected);
        abort();
    }
}

static void must(int error) {
    if (error) {
        print_error("%s\n", vm_result_text(error));
        abort();
    }
}

static void use_private(struct actor *actor) {
    unsigned page = draw(&actor->dice, PAGES);
    uint64_t word = ++actor->written;

    check(actor->space, AT + page * PAGE, actor->words[page]);
    must(vm_write(actor->space, AT + page * PAGE, &word, sizeof word));
    actor->words[page] = word;
}

static void use_shared(struct actor *actor) {
    unsigned page = draw(&actor->dice, PAGES);
    uint64_t word = ++actor->written, at = page * PAGE + 8 * actor->cpu;

    check(actor->space, AGAIN + at, actor->shared[page]);
    must(vm_write(actor->space, SHM + at, &word, sizeof word));
    actor->shared[page] = word;
    check(actor->space, AGAIN + at, word);
}

static void fork_and_exit(struct actor *actor) {
    struct vm_space *child;
    unsigned page = draw(&actor->dice, PAGES);
    uint64_t word = 1, inherited[PAGES];

    memcpy(inherited, actor->words, sizeof inherited);
    must(vm_fork(actor->space, actor->cpu * 1000, &child));
    for (unsigned i = 0; i < 6; i++) {
        unsigned any = draw(&actor->dice, PAGES);
        check(child, AT + any * PAGE, inherited[any]);
        use_private(actor);
    }
    must(vm_write(child, AT + page * PAGE, &word, sizeof word));
    check(actor->space, AT + page * PAGE, actor->words[page]);
    check(child, AT + page * PAGE, word);
    if (draw(&actor->dice, 2))
        must(vm_exec(child));
    vm_exit(child);
}

static void move_to_and_fro(struct actor *actor) {
    unsigned first = draw(&actor->dice, PAGES - 16), flags = VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED;
    uint64_t from = AT + first * PAGE, result;

    must(vm_mremap(actor->space, from, 16 * PAGE, 16 * PAGE, flags, AWAY, &result));
    for (unsigned i = 0; i < 16; i++)
        check(actor->space, AWAY + i * PAGE, actor->words[first + i]);
    must(vm_mremap(actor->space, AWAY, 16 * PAGE, 16 * PAGE, flags, from, &result));
}

static void begin_anew(struct actor *actor) {
    unsigned first = draw(&actor->dice, PAGES - 4);
    uint64_t at = AT + first * PAGE, result;

    if (draw(&actor->dice, 2)) {
        must(vm_madvise(actor->space, at, 4 * PAGE, VM_MADV_DONTNEED));
    } else {
        must(vm_munmap(actor->space, at, 4 * PAGE));
        must(vm_mmap(actor->space, at, 4 * PAGE, RW, VM_MAP_PRIVATE | VM_MAP_FIXED, NULL, 0,
                     &result));
    }
    for (unsigned i = 0; i < 4; i++)
        actor->words[first + i] = 0;
}

static void push_out(struct actor *actor) {
    switch (draw(&actor->dice, 3)) {
    case 0:
        vm_reclaim(actor->play->stage.machine, 16);
        break;
    case 1:
        must(vm_madvise(actor->space, AT, PAGES * PAGE, VM_MADV_PAGEOUT));
        break;
    default:
        must(vm_madvise(actor->space, SHM, PAGES * PAGE, VM_MADV_PAGEOUT));
    }
}

/* What lies behind the end is a SIGBUS; who truncates cannot know what the others do. */
static void truncate_and_touch(struct actor *actor) {
    if (draw(&actor->dice, 3) == 0) {
        pthread_mutex_lock(&actor->play->cutting);
        must(vm_object_truncate(actor->play->cut, draw(&actor->dice, PAGES) * PAGE + 100));
        pthread_mutex_unlock(&actor->play->cutting);
    }
    for (unsigned i = 0; i < 4; i++)
        vm_touch(actor->space, CUT + draw(&actor->dice, PAGES) * PAGE, 1,
                 draw(&actor->dice, 2) ? VM_WRITE : VM_READ, NULL);
}

static void *act(void *context) {
    struct actor *actor = context;

    posix_cpu_set(actor->cpu);
    for (unsigned round = 0; round < ROUNDS; round++) {
        use_private(actor);
        use_shared(actor);
        switch (draw(&actor->dice, 8)) {
        case 0:
        case 1:
            fork_and_exit(actor);
            break;
        case 2:
            move_to_and_fro(actor);
            break;
        case 3:
            begin_anew(actor);
            break;
        case 4:
            push_out(actor);
            break;
        case 5:
            truncate_and_touch(actor);
            break;
        default:
            break;
        }
    }
    for (unsigned page = 0; page < PAGES; page++)
        check(actor->space, AT + page * PAGE, actor->words[page]);
    atomic_fetch_sub(&actor->play->acting, 1);
    return NULL;
}

/* From whichever space it is asked for, pages move in all. */
static void *keep_moving(void *context) {
    static const uint64_t starts[] = { AT, SHM, AGAIN, CUT, AWAY };
    struct play *play = context;
    struct dice dice = { 5 };

    posix_cpu_set(MOVER);
    while (atomic_load(&play->acting)) {
        struct vm_space *space = play->spaces[draw(&dice, THREADS)];
        uint64_t start = starts[draw(&dice, 5)];
        vm_move_pages(space, start, PAGES * PAGE, draw(&dice, 2), NULL);
    }
    return NULL;
}

static void let_others_go_first(struct vm_port *port, const volatile void *what) {
    static _Thread_local struct dice dice;

    (void)port;
    (void)what;
    if (dice.state == 0)
        dice.state = (uintptr_t)&dice;
    if (draw(&dice, 512) == 0)
        usleep(20);
}

static void raise_curtain(struct play *play, const char *design) {
    stage_open_as(&play->stage, (struct vm_machine_config){ .design = design, .cpus = CPUS });
    play->stage.port.port.preempt = let_others_go_first;
    must(vm_object_create_shm(play->stage.machine, PAGES * PAGE, 1, &play->shm));
    must(vm_object_create_shm(play->stage.machine, PAGES * PAGE, 2, &play->cut));
    for (unsigned i = 0; i < THREADS; i++) {
        play->spaces[i] = new_space(&play->stage, i + 1);
        map(play->spaces[i], AT, PAGES, RW, VM_MAP_PRIVATE, NULL, 0);
        map(play->spaces[i], SHM, PAGES, RW, VM_MAP_SHARED, play->shm, 0);
        map(play->spaces[i], AGAIN, PAGES, RW, VM_MAP_SHARED, play->shm, 0);
        map(play->spaces[i], CUT, PAGES, RW, VM_MAP_SHARED, play->cut, 0);
    }
    pthread_mutex_init(&play->cutting, NULL);
    atomic_init(&play->acting, THREADS);
}

static void moving_under_everything(void **state) {
    struct play *play = calloc(1, sizeof *play);
    struct actor *actors = calloc(THREADS, sizeof *actors);
    pthread_t mover;

    raise_curtain(play, *state);
    for (unsigned i = 0; i < THREADS; i++) {
        actors[i] = (struct actor){ play, play->spaces[i], .cpu = i + 1, .dice = { 99 * i } };
        assert_int_equal(pthread_create(&actors[i].thread, NULL, act, &actors[i]), 0);
    }
    assert_int_equal(pthread_create(&mover, NULL, keep_moving, play), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(actors[i].thread, NULL);
    pthread_join(mover, NULL);

    vm_settle(play->stage.machine); /* it only tries, while others work */
    stage_check(&play->stage);
    struct vm_stats stats = stage_stats(&play->stage);
    print_message(
        "    %llu pages moved, %llu busy, %llu entries; %llu faults waited\n",
        (unsigned long long)stats.migration.moved, (unsigned long long)stats.migration.busy,
        (unsigned long long)stats.migration.entries, (unsigned long long)stats.faults.frozen);
    assert_true(stats.migration.moved > 0);
    for (unsigned i = 0; i < THREADS; i++)
        vm_exit(play->spaces[i]);
    vm_object_put(play->shm);
    vm_object_put(play->cut);
    stage_close(&play->stage);
    free(actors);
    free(play);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_EACH_DESIGN(moving_under_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
