/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What advice, locking, mincore and msync do to pages.
 */
#include "world.h"

#include "port/posix/failing.h"

static struct world world;

static int advise(unsigned page, unsigned count, enum vm_advice advice) {
    return vm_madvise(world.space, AT(page), PAGES(count), advice);
}

static void expect_resident_(unsigned page, const char *expected, const char *file, int line) {
    unsigned char resident[64];
    char text[65] = { 0 };
    size_t count = strlen(expected);
    succeeds(vm_mincore(world.space, AT(page), PAGES(count), resident));
    for (size_t i = 0; i < count; i++)
        text[i] = resident[i] ? '#' : '-';
    _assert_string_equal(text, expected, file, line);
}
#define expect_resident(page, expected) expect_resident_(page, expected, __FILE__, __LINE__)

static void dontneed_forgets_private_pages(void **state) {
    (void)state;
    map_private(&world, 0, 6, RW);
    fill(&world, 0, 6, 10);
    expect_resident(0, "######");
    succeeds(advise(1, 3, VM_MADV_DONTNEED));
    expect_resident(0, "#---##");
    assert_int_equal(value_at(&world, 2), 0);
    expect_filled(&world, 4, 2, 14);
    check_world(&world);
}

static void dontneed_keeps_shared_pages(void **state) {
    (void)state;
    map_pages_(&world, 0, 4, RW, SHARED, NULL, 0);
    fill(&world, 0, 4, 10);
    succeeds(advise(0, 4, VM_MADV_DONTNEED));
    assert_int_equal(vm_frame_at(world.space, AT(1)), VM_NO_FRAME);
    expect_resident(0, "####"); /* the object has them */
    expect_filled(&world, 0, 4, 10);
    check_world(&world);
}

static void dontneed_frees_empty_tables(void **state) {
    (void)state;
    struct vm_stats before, after;
    map_private(&world, 0, 4096, RW);
    vm_stats_read(world.machine, &before);
    fill(&world, 0, 1, 1);
    fill(&world, 2000, 1, 1);
    succeeds(advise(0, 4096, VM_MADV_DONTNEED));
    vm_stats_read(world.machine, &after);
    assert_int_equal(after.memory.tables, before.memory.tables);
    check_world(&world);
}

static void pageout_and_willneed(void **state) {
    (void)state;
    map_private(&world, 0, 200, RW);
    fill(&world, 0, 200, 500);
    succeeds(advise(0, 200, VM_MADV_PAGEOUT));
    expect_resident(98, "----");
    check_world(&world);
    succeeds(advise(99, 2, VM_MADV_WILLNEED));
    expect_resident(98, "-##-");
    check_world(&world);
    expect_filled(&world, 0, 200, 500);
    fill(&world, 99, 2, 1);
    succeeds(advise(0, 200, VM_MADV_WILLNEED));
    succeeds(advise(0, 200, VM_MADV_PAGEOUT));
    expect_filled(&world, 99, 2, 1);
    check_world(&world);
}

static void pages_ahead_can_be_reclaimed_again(void **state) {
    (void)state;
    map_private(&world, 0, 50, RW);
    fill(&world, 0, 50, 3);
    succeeds(advise(0, 50, VM_MADV_PAGEOUT));
    succeeds(advise(0, 50, VM_MADV_WILLNEED));
    vm_reclaim(world.machine, 50);
    check_world(&world);
    succeeds(advise(0, 50, VM_MADV_WILLNEED));
    succeeds(vm_munmap(world.space, AT(0), PAGES(50)));
    check_world(&world);
}

static void shared_pages_are_not_pushed_out(void **state) {
    (void)state;
    struct vm_space *child;
    map_private(&world, 0, 4, RW);
    fill(&world, 0, 4, 1);
    succeeds(vm_fork(world.space, 2, &child));
    fill(&world, 0, 1, 50);
    succeeds(advise(0, 4, VM_MADV_PAGEOUT));
    expect_resident(0, "-###");
    succeeds(advise(0, 4, VM_MADV_FREE));
    vm_exit(child);
    expect_filled(&world, 1, 3, 2);
    check_world(&world);
}

static bool count_discardable(const struct vm_page_view *page, void *context) {
    *(unsigned *)context += page->discardable;
    return true;
}

static void freed_pages_may_vanish_until_written(void **state) {
    (void)state;
    unsigned discardable = 0;
    map_private(&world, 0, 8, RW);
    fill(&world, 0, 8, 20);
    succeeds(advise(0, 6, VM_MADV_FREE));
    vm_page_each(world.space, AT(0), AT(8), count_discardable, &discardable);
    assert_int_equal(discardable, 6);
    expect_filled(&world, 0, 8, 20);
    fill(&world, 1, 1, 90); /* wanted after all */
    succeeds(advise(0, 6, VM_MADV_PAGEOUT));
    check_world(&world);
    assert_int_equal(value_at(&world, 0), 0);
    assert_int_equal(value_at(&world, 1), 90);
    assert_int_equal(value_at(&world, 5), 0);
    expect_filled(&world, 6, 2, 26);
}

static void free_drops_what_is_in_swap(void **state) {
    (void)state;
    struct vm_stats stats;
    map_private(&world, 0, 4, RW);
    fill(&world, 0, 4, 20);
    succeeds(advise(0, 4, VM_MADV_PAGEOUT));
    succeeds(advise(0, 4, VM_MADV_FREE));
    vm_stats_read(world.machine, &stats);
    assert_int_equal(stats.memory.swap_used, 0);
    assert_int_equal(value_at(&world, 0), 0);
    check_world(&world);
}

static void cold_pages_go_first(void **state) {
    (void)state;
    map_private(&world, 0, 20, RW);
    fill(&world, 0, 20, 1);
    succeeds(advise(4, 4, VM_MADV_COLD));
    vm_reclaim(world.machine, 4);
    expect_resident(0, "####----############");
    check_world(&world);
}

static void locked_pages_are_never_pushed_out(void **state) {
    (void)state;
    map_private(&world, 0, 8, RW);
    succeeds(vm_mlock(world.space, AT(2), PAGES(3)));
    expect_resident(0, "--###---");
    vm_reclaim(world.machine, 100);
    expect_resident(0, "--###---");
    succeeds(vm_munlock(world.space, AT(0), PAGES(8)));
    vm_reclaim(world.machine, 100);
    expect_resident(0, "--------");
}

static void locked_memory_made_writable_is_copied_at_once(void **state) {
    (void)state;
    struct vm_stats before, after;
    map_private(&world, 0, 4, R);
    succeeds(vm_mlock(world.space, AT(0), PAGES(4)));
    succeeds(vm_mprotect(world.space, AT(0), PAGES(4), RW));
    vm_stats_read(world.machine, &before);
    fill(&world, 0, 4, 1);
    vm_stats_read(world.machine, &after);
    assert_memory_equal(&before.faults, &after.faults, sizeof before.faults);
}

/* The areas are locked all the same. */
static void locking_ends_at_what_cannot_be_touched(void **state) {
    (void)state;
    map_private(&world, 0, 1, RW);
    map_private(&world, 1, 1, NONE);
    map_private(&world, 2, 1, RW);
    expect(vm_mlock(world.space, AT(0), PAGES(3)), VM_ENOMEM);
    assert_int_equal(world.space->locked_pages, 3);
    expect_resident(0, "#--");
}

static void populate_touches_every_page(void **state) {
    (void)state;
    map_pages_(&world, 0, 4, RW, PRIVATE | VM_MAP_POPULATE, NULL, 0);
    map_pages_(&world, 4, 2, R, PRIVATE | VM_MAP_POPULATE, NULL, 0);
    map_pages_(&world, 6, 2, NONE, PRIVATE | VM_MAP_POPULATE, NULL, 0);
    map_pages_(&world, 8, 2, RW, SHARED | VM_MAP_LOCKED, NULL, 0);
    expect_resident(0, "######--##");
    check_world(&world);
}

static void protection_holds_for_present_pages(void **state) {
    (void)state;
    map_private(&world, 0, 4, RW);
    fill(&world, 0, 4, 10);
    succeeds(vm_mprotect(world.space, AT(0), PAGES(2), R));
    expect(vm_touch(world.space, AT(0), 1, VM_WRITE, NULL), VM_SIGSEGV);
    succeeds(vm_touch(world.space, AT(0), 1, VM_READ, NULL));
    expect(vm_touch(world.space, AT(0), 1, VM_EXECUTE, NULL), VM_SIGSEGV);
    succeeds(vm_mprotect(world.space, AT(0), PAGES(2), NONE));
    expect(vm_touch(world.space, AT(0), 1, VM_READ, NULL), VM_SIGSEGV);
    succeeds(vm_mprotect(world.space, AT(0), PAGES(2), RX));
    succeeds(vm_touch(world.space, AT(0), 1, VM_EXECUTE, NULL));
    succeeds(vm_mprotect(world.space, AT(0), PAGES(2), RW));
    expect_filled(&world, 0, 4, 10);
    fill(&world, 0, 4, 30);
    check_world(&world);
}

/* ---- msync, on a file that can fail. Neighbours are written in one go: tests/reclaim/writeback_test.c */

static void msync_writes_dirty_pages_once(void **state) {
    (void)state;
    struct vm_object *object;
    struct failing_backing file;
    uint32_t stored[VM_PAGE_SIZE / 4];
    struct vm_backing *memory = posix_memory_open(PAGES(8));

    failing_backing_init(&file, memory);
    failing_plan_set(&file.write, FAIL_NEVER, 0);
    succeeds(vm_object_open(world.machine, &file.backing, 5, &object));
    map_pages_(&world, 0, 8, RW, SHARED, object, 0);
    fill(&world, 1, 3, 70);
    succeeds(vm_touch(world.space, AT(5), 1, VM_READ, NULL));
    succeeds(vm_msync(world.space, AT(0), PAGES(8), VM_MS_ASYNC));
    succeeds(vm_msync(world.space, AT(0), PAGES(8), VM_MS_SYNC));
    assert_int_equal(file.write.calls, 1);
    assert_int_equal(memory->read(memory, 2, stored), 0);
    assert_int_equal(stored[2], 71);
    succeeds(vm_msync(world.space, AT(0), PAGES(8), VM_MS_SYNC));
    assert_int_equal(file.write.calls, 1);

    fill(&world, 2, 1, 90); /* dirty again; its write fails, which is told once */
    failing_plan_set(&file.write, FAIL_ONCE, 0);
    expect(vm_msync(world.space, AT(0), PAGES(8), VM_MS_SYNC), VM_EIO);
    succeeds(vm_msync(world.space, AT(0), PAGES(8), VM_MS_SYNC));
    assert_int_equal(memory->read(memory, 2, stored), 0);
    assert_int_equal(stored[2], 90);
    check_world(&world);
    succeeds(vm_munmap(world.space, AT(0), PAGES(8)));
    vm_object_put(object);
}

static void willneed_reads_files_ahead(void **state) {
    (void)state;
    struct vm_object *object;
    struct vm_backing *memory = posix_memory_open(PAGES(3));
    succeeds(vm_object_open(world.machine, memory, 5, &object));
    map_pages_(&world, 0, 6, R, PRIVATE, object, 0);
    expect_resident(0, "------");
    succeeds(advise(0, 6, VM_MADV_WILLNEED));
    expect_resident(0, "###---"); /* the file ends there */
    check_world(&world);
    vm_object_put(object);
}

/* A page that cannot be written stays, dirty, and is written when it can be. */
static void a_failed_write_keeps_the_page(void **state) {
    (void)state;
    struct vm_object *object;
    struct failing_backing file;
    struct vm_backing *memory = posix_memory_open(PAGES(4));

    failing_backing_init(&file, memory);
    succeeds(vm_object_open(world.machine, &file.backing, 5, &object));
    map_pages_(&world, 0, 4, RW, SHARED, object, 0);
    fill(&world, 0, 1, 60);
    failing_plan_set(&file.write, FAIL_ONCE, 0);
    succeeds(advise(0, 1, VM_MADV_PAGEOUT));
    assert_int_equal(file.write.failed, 1);
    expect_resident(0, "#");
    check_world(&world);
    succeeds(
        vm_touch(world.space, AT(0), 1, VM_READ, NULL)); /* else there is nothing to push out */
    succeeds(advise(0, 1, VM_MADV_PAGEOUT));
    expect_resident(0, "-");
    expect_filled(&world, 0, 1, 60);
    succeeds(vm_munmap(world.space, AT(0), PAGES(4)));
    vm_object_put(object);
}

/* Locked in one place, a page stays in all of them. */
static void a_page_locked_elsewhere_stays(void **state) {
    (void)state;
    struct vm_object *object;
    succeeds(vm_object_create_shm(world.machine, PAGES(2), 5, &object));
    map_pages_(&world, 0, 2, RW, SHARED, object, 0);
    map_pages_(&world, 8, 2, RW, SHARED, object, 0);
    fill(&world, 0, 2, 60);
    succeeds(vm_mlock(world.space, AT(8), PAGES(1)));
    (void)vm_reclaim(world.machine, 1000);
    assert_int_not_equal(vm_frame_at(world.space, AT(0)), VM_NO_FRAME);
    assert_int_not_equal(vm_frame_at(world.space, AT(8)), VM_NO_FRAME);
    assert_int_equal(vm_frame_at(world.space, AT(1)), VM_NO_FRAME);
    check_world(&world);
    vm_object_put(object);
}

/* Read back in, a page is still in the swap cache; given up, it leaves that, too, unless a relative's
 * entry still names the slot. */
static void pages_in_the_swap_cache_can_be_given_up(void **state) {
    (void)state;
    struct vm_space *child;
    uint32_t value;
    map_private(&world, 0, 4, RW);
    fill(&world, 0, 4, 60);
    succeeds(advise(0, 2, VM_MADV_PAGEOUT));
    succeeds(vm_touch(world.space, AT(0), 1, VM_READ, NULL));
    succeeds(advise(0, 4, VM_MADV_FREE));
    (void)vm_reclaim(world.machine, 1000);
    assert_int_equal(value_at(&world, 0), 0);
    check_world(&world);

    fill(&world, 0, 4, 80);
    succeeds(advise(0, 4, VM_MADV_PAGEOUT));
    succeeds(vm_fork(world.space, 2, &child));
    succeeds(vm_touch(world.space, AT(0), 4, VM_READ, NULL));
    succeeds(advise(0, 4, VM_MADV_FREE));
    (void)vm_reclaim(world.machine, 1000);
    for (unsigned i = 0; i < 4; i++) {
        succeeds(vm_read(child, AT(i) + 8, &value, sizeof value));
        assert_int_equal(value, 80 + i);
    }
    check_world(&world);
    vm_exit(child);
}

#define advice_test(name) test_in_world(name, &world)

int main(void) {
    const struct CMUnitTest tests[] = {
        advice_test(dontneed_forgets_private_pages),
        advice_test(dontneed_keeps_shared_pages),
        advice_test(dontneed_frees_empty_tables),
        advice_test(pageout_and_willneed),
        advice_test(pages_ahead_can_be_reclaimed_again),
        advice_test(shared_pages_are_not_pushed_out),
        advice_test(freed_pages_may_vanish_until_written),
        advice_test(free_drops_what_is_in_swap),
        advice_test(cold_pages_go_first),
        advice_test(locked_pages_are_never_pushed_out),
        advice_test(locked_memory_made_writable_is_copied_at_once),
        advice_test(locking_ends_at_what_cannot_be_touched),
        advice_test(populate_touches_every_page),
        advice_test(protection_holds_for_present_pages),
        advice_test(msync_writes_dirty_pages_once),
        advice_test(willneed_reads_files_ahead),
        advice_test(a_failed_write_keeps_the_page),
        advice_test(a_page_locked_elsewhere_stays),
        advice_test(pages_in_the_swap_cache_can_be_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
