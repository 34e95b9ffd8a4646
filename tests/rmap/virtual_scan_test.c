/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtual_scan_test.c - the design "virtual-scan": it keeps nothing, finds its way through the spaces
 * by sweeping, and lives in the same memory as those that know who maps a page.
 */
#include "rig.h"

#define AT UINT64_C(0x10000)

static unsigned resident(struct vm_space *space, uint64_t address, uint64_t pages) {
    unsigned n = 0;
    for (uint64_t i = 0; i < pages; i++)
        n += vm_frame_at(space, address + i * PAGE) != VM_NO_FRAME;
    return n;
}

static void nothing_is_kept(void **state) {
    (void)state;
    struct rig *rig = rig_create("virtual-scan", 1024);
    struct vm_space *parent = rig_space(rig, 1);

    rig_map(parent, AT, 100, NULL);
    rig_touch(parent, AT, 100);
    for (unsigned i = 0; i < 10; i++)
        rig_fork(parent, i + 2);
    vm_reclaim(rig->machine, 50);
    assert_int_equal(vm_cost_peak(rig->machine, VM_COST_RMAP), 0);
    rig_verify(rig);
    rig_destroy(rig);
}

/* Who wants to know of one page pays for every space and area. */
static void asking_for_a_page_scans_the_spaces(void **state) {
    (void)state;
    struct rig *rig = rig_create("virtual-scan", 2048);
    struct vm_space *first = rig_space(rig, 1), *last = NULL;
    struct vm_stats cost;

    rig_map(first, AT, 1, NULL);
    rig_touch(first, AT, 1);
    for (unsigned i = 0; i < 50; i++) {
        last = rig_space(rig, i + 2);
        rig_map(last, AT + 100 * PAGE, 1, NULL);
        rig_map(last, AT + 300 * PAGE, 1, NULL);
        rig_touch(last, AT + 300 * PAGE, 1);
    }
    assert_int_equal(rig_ask(rig, vm_frame_at(first, AT), &cost), 1);
    assert_int_equal(cost.rmap.object_visits, 1); /* it happens to be the first */
    assert_int_equal(rig_ask(rig, vm_frame_at(last, AT + 300 * PAGE), &cost), 1);
    assert_int_equal(cost.rmap.object_visits, 1 + 50 * 2); /* every area */
    assert_int_equal(cost.rmap.range_rejects + cost.rmap.empty_walks, 1 + 50 + 49);
    rig_destroy(rig);
}

/* What has been used since the last sweep is passed over once; what has not goes first. */
static void unused_entries_go_first(void **state) {
    (void)state;
    struct rig *rig = rig_create("virtual-scan", 1024);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, 200, NULL);
    rig_touch(space, AT, 200);
    vm_reclaim(rig->machine, 1); /* all accessed bits have been seen and cleared on the way */
    rig_touch(space, AT, 100);
    vm_reclaim(rig->machine, 60);
    assert_in_range(resident(space, AT, 100), 90, 100);
    assert_in_range(resident(space, AT + 100 * PAGE, 100), 30, 60);
    rig_verify(rig);
    rig_destroy(rig);
}

/* A page with many entries goes when the last has been taken, and a sweep goes all round for it. */
static void shared_pages_go_with_their_last_entry(void **state) {
    (void)state;
    struct rig *rig = rig_create("virtual-scan", 1024);
    struct vm_space *parent = rig_space(rig, 1), *child[20];

    rig_map(parent, AT, 50, NULL);
    rig_touch(parent, AT, 50);
    for (unsigned i = 0; i < 20; i++)
        child[i] = rig_fork(parent, i + 2);
    assert_int_equal(vm_reclaim(rig->machine, 50), 50);
    assert_int_equal(rig_stats(rig).reclaim.unmapped, 50 * 21);
    rig_verify(rig);
    for (unsigned i = 0; i < 20; i++) {
        rig_touch(child[i], AT, 50);
        vm_exit(child[i]);
    }
    rig_verify(rig);
    rig_destroy(rig);
}

static void memory_may_be_a_fraction_of_what_is_used(void **state) {
    (void)state;
    struct rig *rig = rig_create("virtual-scan", 128);
    struct vm_space *parent = rig_space(rig, 1);
    enum { PAGES = 600 };

    rig_map(parent, AT, PAGES, NULL);
    for (int round = 0; round < 3; round++)
        rig_touch(parent, AT, PAGES);
    struct vm_space *child = rig_fork(parent, 2);
    rig_verify(rig);
    for (int round = 0; round < 3; round++) {
        rig_touch(child, AT, PAGES);
        rig_touch(parent, AT, PAGES);
        rig_verify(rig);
    }
    vm_exit(parent);
    rig_touch(child, AT, PAGES);
    rig_verify(rig);
    rig_destroy(rig);
}

static void locked_areas_are_left_out(void **state) {
    (void)state;
    struct rig *rig = rig_create("virtual-scan", 512);
    struct vm_space *space = rig_space(rig, 1), *child;

    rig_map(space, AT, 100, NULL);
    rig_touch(space, AT, 100);
    child = rig_fork(space, 2);
    assert_int_equal(vm_mlock(space, AT, 50 * PAGE), VM_OK);
    vm_reclaim(rig->machine, 512);
    assert_int_equal(resident(space, AT, 50), 50);
    assert_int_equal(resident(space, AT + 50 * PAGE, 50), 0);
    assert_int_equal(resident(child, AT, 100), 0);
    rig_verify(rig);
    rig_touch(child, AT, 100);
    rig_verify(rig);
    rig_destroy(rig);
}

/* When everything is locked the sweep comes round, finds nothing, and says so. */
static void running_out_of_memory_ends(void **state) {
    (void)state;
    struct rig *rig = rig_create("virtual-scan", 128);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, 500, NULL);
    assert_int_equal(vm_mlock(space, AT, 500 * PAGE), VM_EAGAIN);
    assert_int_equal(vm_touch(space, AT, 500, VM_WRITE, NULL), VM_OOM);
    assert_int_equal(vm_munlock(space, AT, 500 * PAGE), VM_OK);
    rig_touch(space, AT, 500);
    rig_verify(rig);
    rig_destroy(rig);
}

/* The space at which the sweep stands may end; the next one goes on behind it. */
static void the_cursor_survives_its_space(void **state) {
    (void)state;
    struct rig *rig = rig_create("virtual-scan", 1024);
    struct vm_space *spaces[10];

    for (unsigned i = 0; i < 10; i++) {
        spaces[i] = rig_space(rig, i);
        rig_map(spaces[i], AT, 40, NULL);
        rig_touch(spaces[i], AT, 40);
    }
    for (unsigned i = 0; i < 10; i++) {
        vm_reclaim(rig->machine, 5);
        rig_verify(rig);
        vm_exit(spaces[i]);
        rig_verify(rig);
    }
    vm_reclaim(rig->machine, 5);
    rig_verify(rig);
    rig_destroy(rig);
}

/* Dirty pages of a file are found by a scan, written once, and clean in every space. */
static void msync_finds_every_entry(void **state) {
    (void)state;
    struct rig *rig = rig_create("virtual-scan", 1024);
    struct vm_backing *file = posix_memory_open(20 * PAGE);
    struct vm_object *object;
    struct vm_space *spaces[5];

    assert_int_equal(vm_object_open(rig->machine, file, 1, &object), VM_OK);
    for (unsigned i = 0; i < 5; i++) {
        spaces[i] = rig_space(rig, i);
        rig_map(spaces[i], AT, 20, object);
        rig_touch(spaces[i], AT, 20);
    }
    assert_int_equal(vm_msync(spaces[2], AT, 20 * PAGE, VM_MS_SYNC), VM_OK);
    assert_int_equal(rig_stats(rig).reclaim.written, 20);
    assert_int_equal(rig_stats(rig).rmap.hits, 20 * 5);
    assert_int_equal(vm_msync(spaces[4], AT, 20 * PAGE, VM_MS_SYNC), VM_OK);
    assert_int_equal(rig_stats(rig).reclaim.written, 20);
    rig_verify(rig);
    vm_object_put(object);
    rig_destroy(rig); /* and with the object its file */
}

/* Given away and not written since: dropped without swap, and the frame is free at once. */
static void given_away_pages_are_dropped(void **state) {
    (void)state;
    struct rig *rig = rig_create("virtual-scan", 1024);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, 50, NULL);
    rig_touch(space, AT, 50);
    assert_int_equal(vm_madvise(space, AT, 50 * PAGE, VM_MADV_FREE), VM_OK);
    rig_touch(space, AT, 10);
    vm_reclaim(rig->machine, 1024);
    assert_int_equal(rig_stats(rig).reclaim.swapped_out, 10);
    assert_int_equal(rig_stats(rig).memory.swap_used, 10);
    rig_verify(rig);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_kept),
        cmocka_unit_test(asking_for_a_page_scans_the_spaces),
        cmocka_unit_test(unused_entries_go_first),
        cmocka_unit_test(shared_pages_go_with_their_last_entry),
        cmocka_unit_test(memory_may_be_a_fraction_of_what_is_used),
        cmocka_unit_test(locked_areas_are_left_out),
        cmocka_unit_test(running_out_of_memory_ends),
        cmocka_unit_test(the_cursor_survives_its_space),
        cmocka_unit_test(msync_finds_every_entry),
        cmocka_unit_test(given_away_pages_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
