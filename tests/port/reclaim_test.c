/* SPDX-License-Identifier: BSD-2-Clause */
/* reclaim_test.c - the nodes' threads are woken, free frames, and end when they are told to. */
#include "rmap/rig.h"

#include <sched.h>
#include <unistd.h>

#define AT UINT64_C(0x10000000)

static void threads_keep_frames_free(void **state) {
    (void)state;
    struct rig *rig =
        rig_create_as((struct vm_machine_config){ .frames = 2048, .cpus = 3, .nodes = 2 });
    struct vm_space *space = rig_space(rig, 1);

    struct posix_reclaim *threads = posix_reclaim_start(&rig->posix, rig->machine, 2, 1);
    assert_non_null(threads);
    rig_map(space, AT, 4000, NULL);
    for (uint64_t i = 0; i < 4000; i++) {
        rig_touch(space, AT + i * PAGE, 1);
        sched_yield();
    }
    posix_reclaim_stop(threads);
    assert_null(rig->posix.port.wake_reclaim);
    assert_true(rig_stats(rig).reclaim.node > 0);
    assert_true(rig_stats(rig).reclaim.freed >= 4000 - 2048);
    rig_verify(rig);
    /* Nobody comes any more, and nobody is missed. */
    uint64_t runs = rig_stats(rig).reclaim.node;
    rig_touch(space, AT, 4000);
    assert_int_equal(rig_stats(rig).reclaim.node, runs);
    rig_verify(rig);
    rig_destroy(rig);
}

static void threads_that_were_never_woken_end(void **state) {
    (void)state;
    struct rig *rig = rig_create_as((struct vm_machine_config){ .frames = 256, .cpus = 2 });
    struct posix_reclaim *threads = posix_reclaim_start(&rig->posix, rig->machine, 1, 1);

    assert_non_null(threads);
    posix_reclaim_stop(threads);
    assert_int_equal(rig_stats(rig).reclaim.node, 0);
    rig_destroy(rig);
}

/* Verifying wants the machine for itself, and whoever is woken meanwhile comes later. */
static void paused_threads_are_not_in_the_machine(void **state) {
    (void)state;
    struct rig *rig = rig_create_as((struct vm_machine_config){ .frames = 512, .cpus = 2 });
    struct vm_space *space = rig_space(rig, 1);
    struct posix_reclaim *threads = posix_reclaim_start(&rig->posix, rig->machine, 1, 1);

    assert_non_null(threads);
    rig_map(space, AT, 4000, NULL);
    for (uint64_t i = 0; i < 4000; i += 100) {
        rig_touch(space, AT + i * PAGE, 100);
        posix_reclaim_pause(threads);
        posix_reclaim_pause(threads);
        rig_verify(rig);
        posix_reclaim_resume(threads);
        uint64_t runs = rig_stats(rig).reclaim.node;
        rig_touch(space, AT + (3999 - i) * PAGE, 1);
        sched_yield();
        assert_int_equal(rig_stats(rig).reclaim.node, runs);
        posix_reclaim_resume(threads);
    }
    uint64_t runs = rig_stats(rig).reclaim.node;
    posix_reclaim_pause(threads);
    rig_touch(space, AT, 4000);
    posix_reclaim_resume(threads);
    for (int tries = 0; rig_stats(rig).reclaim.node == runs && tries < 5000; tries++)
        usleep(1000);
    assert_true(rig_stats(rig).reclaim.node > runs);
    posix_reclaim_pause(threads); /* stopping ends a pause */
    posix_reclaim_stop(threads);
    rig_verify(rig);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_keep_frames_free),
        cmocka_unit_test(paused_threads_are_not_in_the_machine),
        cmocka_unit_test(threads_that_were_never_woken_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
