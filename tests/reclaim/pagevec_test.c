/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pagevec_test.c - pages on their way to the lists: how many locks that saves, and that nobody misses
 * them there.
 */
#include "rmap/rig.h"

#include <pthread.h>

#define AT UINT64_C(0x10000000)

static struct rig *rig_of(unsigned cpus, uint64_t frames) {
    return rig_create_as(
        (struct vm_machine_config){ .frames = frames, .cpus = cpus, .lock_stats = true });
}

static void find_lists(const struct vm_lock_view *lock, void *context) {
    if (strcmp(lock->name, "active and inactive lists") == 0)
        *(uint64_t *)context = lock->acquired;
}

static uint64_t list_locks(struct rig *rig) {
    uint64_t acquired = 0;
    vm_lock_each(rig->machine, find_lists, &acquired);
    return acquired;
}

static unsigned parked(struct rig *rig, unsigned cpu) {
    return rig->machine->cpus[cpu].pagevec.count;
}

static void sixteen_pages_take_one_lock(void **state) {
    (void)state;
    struct rig *rig = rig_of(2, 4096);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, 1600, NULL);
    rig_touch(space, AT, 1600);
    assert_int_equal(list_locks(rig), 100);
    assert_int_equal(rig_stats(rig).reclaim.lru_batches, 100);
    rig_verify(rig);
    rig_destroy(rig);
}

/* Whichever CPU frees them: they leave the pagevec, and others stay. */
static void pages_may_die_on_their_way(void **state) {
    (void)state;
    struct rig *rig = rig_of(2, 128);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, 10, NULL);
    rig_touch(space, AT, 5);
    assert_int_equal(parked(rig, 0), 5);
    assert_int_equal(vm_madvise(space, AT, 5 * PAGE, VM_MADV_DONTNEED), VM_OK);
    assert_int_equal(parked(rig, 0), 0);
    rig_touch(space, AT, 5);
    posix_cpu_set(1);
    rig_touch(space, AT + 5 * PAGE, 5);
    assert_int_equal(vm_madvise(space, AT, 8 * PAGE, VM_MADV_DONTNEED), VM_OK);
    assert_int_equal(parked(rig, 0), 0);
    assert_int_equal(parked(rig, 1), 2);
    vm_exit(space);
    assert_int_equal(rig_stats(rig).memory.frames_free, 127);
    while (vm_frame_alloc(rig->machine, VM_FRAME_AS_IS)) {
    }
    assert_int_equal(rig_stats(rig).memory.frames_free, 0);
    assert_int_equal(parked(rig, 0), 0);
    assert_int_equal(vm_frames_check(rig->machine), 0);
    posix_cpu_set(0);
    rig_destroy(rig);
}

static void reclaim_finds_pages_on_their_way(void **state) {
    (void)state;
    struct rig *rig = rig_of(3, 256);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, 10, NULL);
    rig_touch(space, AT, 5);
    posix_cpu_set(2);
    rig_touch(space, AT + 5 * PAGE, 5);
    posix_cpu_set(1);
    assert_int_equal(vm_reclaim(rig->machine, 10), 10);
    posix_cpu_set(0);
    rig_verify(rig);
    rig_destroy(rig);
}

static void advice_reaches_pages_on_their_way(void **state) {
    (void)state;
    struct rig *rig = rig_of(2, 256);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, 10, NULL);
    rig_touch(space, AT, 10);
    assert_int_equal(parked(rig, 0), 10);
    posix_cpu_set(1);
    assert_int_equal(vm_madvise(space, AT, 5 * PAGE, VM_MADV_COLD), VM_OK);
    assert_int_equal(vm_lru_pages(&rig->machine->zones[0], VM_LRU_INACTIVE), 5);
    assert_int_equal(vm_madvise(space, AT + 5 * PAGE, 5 * PAGE, VM_MADV_PAGEOUT), VM_OK);
    assert_int_equal(rig_stats(rig).reclaim.freed, 5);
    posix_cpu_set(0);
    rig_verify(rig);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- all at once */

enum { THREADS = 3, ROUNDS = 300 };

struct worker {
    pthread_t thread;
    struct rig *rig;
    struct vm_space *space; /* the next one's pages are what this one drops */
    unsigned cpu;
};

static void *work(void *context) {
    struct worker *self = context, *next = self->cpu + 1 < THREADS ? self + 1 : self + 1 - THREADS;

    posix_cpu_set(self->cpu);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t first = AT + (i % 7) * 8 * PAGE;
        if (vm_touch(self->space, first, 8, VM_WRITE, NULL) != VM_OK)
            return self;
        if (vm_madvise(next->space, first, 8 * PAGE, i % 3 ? VM_MADV_DONTNEED : VM_MADV_COLD) !=
            VM_OK)
            return self;
        if (i % 16 == 0)
            vm_reclaim(self->rig->machine, 4);
    }
    return NULL;
}

static void pages_arrive_once_or_die(void **state) {
    (void)state;
    struct rig *rig = rig_of(THREADS, 256);
    struct worker workers[THREADS];
    void *failed;

    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){ .rig = rig, .cpu = i, .space = rig_space(rig, i + 1) };
        rig_map(workers[i].space, AT, 64, NULL);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, &failed);
        assert_null(failed);
    }
    rig_verify(rig);
    for (unsigned i = 0; i < THREADS; i++)
        vm_exit(workers[i].space);
    assert_int_equal(rig_stats(rig).memory.frames_free, 255);
    rig_verify(rig);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixteen_pages_take_one_lock),
        cmocka_unit_test(pages_may_die_on_their_way),
        cmocka_unit_test(reclaim_finds_pages_on_their_way),
        cmocka_unit_test(advice_reaches_pages_on_their_way),
        cmocka_unit_test(pages_arrive_once_or_die),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
