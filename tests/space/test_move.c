/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mremap: what moves, what it looks like afterwards, and that a failure leaves all as it was.
 */
#include "world.h"

#include "port/posix/failing.h"

static struct world world;

static int remap(unsigned from, unsigned old_pages, unsigned new_pages, unsigned flags, unsigned to,
                 uint64_t *at) {
    return vm_mremap(world.space, AT(from), PAGES(old_pages), PAGES(new_pages), flags, AT(to), at);
}

#define FIXED     (VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED)
#define DONTUNMAP (VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED | VM_MREMAP_DONTUNMAP)

static void move(unsigned from, unsigned pages, unsigned to) {
    uint64_t at = 0;
    succeeds(remap(from, pages, pages, FIXED, to, &at));
    assert_int_equal(at, AT(to));
}

static uint64_t entries_moved(void) {
    struct vm_stats stats;
    vm_stats_read(world.machine, &stats);
    return stats.entries.moved;
}

static void pages_move_with_their_contents(void **state) {
    (void)state;
    map_private(&world, 0, 8, RW);
    fill(&world, 0, 8, 40);
    uint64_t frame = vm_frame_at(world.space, AT(3));
    move(2, 4, 12);
    expect_drawing(&world, "ww....ww....wwww..");
    expect_filled(&world, 12, 4, 42);
    expect_filled(&world, 0, 2, 40);
    assert_int_equal(vm_frame_at(world.space, AT(13)), frame);
    assert_int_equal(entries_moved(), 4);
    fill(&world, 12, 4, 90);
    /* Back where they came from, they are one area again. */
    move(12, 4, 2);
    expect_drawing(&world, "wwwwwwww..........");
    expect_filled(&world, 2, 4, 90);
}

static void untouched_areas_are_numbered_anew(void **state) {
    (void)state;
    map_private(&world, 0, 2, RW);
    map_private(&world, 8, 4, RW);
    move(8, 4, 2);
    expect_drawing(&world, "wwwwww......");
    fill(&world, 0, 6, 1);
    map_private(&world, 8, 2, RW);
    move(8, 2, 6);
    expect_drawing(&world, "wwwwwwww....");
    map_private(&world, 10, 2, RW);
    fill(&world, 10, 2, 1);
    move(10, 2, 8); /* pages have their numbers, which do not fit here */
    expect_drawing(&world, "wwwwwwww|ww..");
}

static void moves_cross_table_borders_anywhere(void **state) {
    (void)state;
    enum { MANY = 1100 };
    map_private(&world, 300, MANY, RW);
    fill(&world, 300, MANY, 7);
    move(300, MANY, 5000 + 17);
    check_world(&world);
    expect_filled(&world, 5017, MANY, 7);
    assert_int_equal(entries_moved(), MANY);
    move(5017, MANY, 5017 + 1200 + 200);
    expect_filled(&world, 6417, MANY, 7);
    check_world(&world);
    /* Within one leaf table. */
    map_private(&world, 0, 4, RW);
    fill(&world, 0, 4, 3);
    move(0, 4, 6);
    expect_filled(&world, 6, 4, 3);
    check_world(&world);
}

static void relatives_keep_their_pages(void **state) {
    (void)state;
    struct vm_space *child;
    map_private(&world, 0, 6, RW);
    fill(&world, 0, 6, 20);
    succeeds(vm_fork(world.space, 2, &child));
    move(0, 3, 10);
    check_world(&world);
    uint32_t value = 0;
    succeeds(vm_read(child, AT(1) + 8, &value, sizeof value));
    assert_int_equal(value, 21);
    fill(&world, 10, 3, 70);
    succeeds(vm_read(child, AT(1) + 8, &value, sizeof value));
    assert_int_equal(value, 21);
    assert_int_equal(vm_space_check(child), 0);
    vm_exit(child);
    expect_filled(&world, 10, 3, 70);
}

static void swapped_pages_move(void **state) {
    (void)state;
    map_private(&world, 0, 4, RW);
    fill(&world, 0, 4, 60);
    succeeds(vm_madvise(world.space, AT(0), PAGES(4), VM_MADV_PAGEOUT));
    assert_int_equal(vm_frame_at(world.space, AT(1)), VM_NO_FRAME);
    move(0, 4, 8);
    expect_filled(&world, 8, 4, 60);
    check_world(&world);
    fill(&world, 8, 1, 61);
    check_world(&world);
}

static void growing(void **state) {
    (void)state;
    uint64_t at;
    map_private(&world, 0, 2, RW);
    fill(&world, 0, 2, 5);
    succeeds(remap(0, 2, 4, 0, 0, &at));
    assert_int_equal(at, AT(0));
    expect_drawing(&world, "wwww..");
    map_private(&world, 4, 1, R);
    expect(remap(0, 4, 5, 0, 0, &at), VM_ENOMEM);
    expect_drawing(&world, "wwww|r.");
    succeeds(remap(0, 4, 6, VM_MREMAP_MAYMOVE, 0, &at));
    assert_int_not_equal(at, AT(0));
    expect_drawing(&world, "....r.");
    uint32_t value;
    succeeds(vm_peek(world.space, at + PAGES(1) + 8, &value, sizeof value));
    assert_int_equal(value, 6);
    /* Growing from the middle cannot be done in place. */
    map_private(&world, 10, 4, RW);
    expect(remap(10, 2, 3, 0, 0, &at), VM_ENOMEM);
    succeeds(remap(10, 2, 3, FIXED, 20, &at));
    expect_drawing(&world, "....r.......ww......www.");
}

static void shrinking(void **state) {
    (void)state;
    uint64_t at;
    map_drawing(&world, "wwwwrr..ww");
    succeeds(remap(0, 9, 1, 0, 0, &at)); /* the tail may hold anything */
    expect_drawing(&world, "w........w");
    map_private(&world, 0, 4, RW);
    fill(&world, 0, 4, 11);
    succeeds(remap(0, 4, 2, FIXED, 6, &at));
    expect_drawing(&world, "......ww.w");
    expect_filled(&world, 6, 2, 11);
}

static void fixed_replaces_the_target(void **state) {
    (void)state;
    map_drawing(&world, "ww..rrrr");
    fill(&world, 0, 2, 1);
    move(0, 2, 5);
    expect_drawing(&world, "....r|ww|r");
    expect_filled(&world, 5, 2, 1);
}

static void dontunmap_leaves_the_area_empty(void **state) {
    (void)state;
    uint64_t at;
    map_private(&world, 0, 4, RW);
    fill(&world, 0, 4, 30);
    succeeds(vm_mlock(world.space, AT(0), PAGES(4)));
    succeeds(remap(0, 4, 4, DONTUNMAP, 8, &at));
    expect_drawing(&world, "wwww....wwww");
    expect_filled(&world, 8, 4, 30);
    assert_int_equal(value_at(&world, 0), 0);
    assert_int_equal(world.space->locked_pages, 4);
    fill(&world, 0, 4, 50);
    expect_filled(&world, 8, 4, 30);
    check_world(&world);
}

static void dontunmap_of_a_part(void **state) {
    (void)state;
    uint64_t at;
    map_private(&world, 0, 6, RW);
    fill(&world, 0, 6, 30);
    succeeds(remap(2, 2, 2, DONTUNMAP, 8, &at));
    expect_drawing(&world, "wwwwww..ww");
    expect_filled(&world, 8, 2, 32);
    expect_filled(&world, 4, 2, 34);
    assert_int_equal(value_at(&world, 2), 0);
}

static void old_length_zero_duplicates_shared_memory(void **state) {
    (void)state;
    uint64_t at;
    map_pages_(&world, 0, 4, RW, SHARED, NULL, 0);
    fill(&world, 0, 4, 80);
    expect(remap(0, 0, 2, 0, 0, &at), VM_ENOMEM);
    succeeds(remap(1, 0, 2, FIXED, 8, &at));
    expect_drawing(&world, "WWWW....WW");
    fill(&world, 8, 2, 100);
    expect_filled(&world, 1, 2, 100);
    map_private(&world, 4, 1, RW);
    expect(remap(4, 0, 2, FIXED, 12, &at), VM_EINVAL);
}

/* What is there gives way before the source is looked at. */
static void a_duplicate_cannot_replace_its_source(void **state) {
    (void)state;
    uint64_t at;
    map_pages_(&world, 0, 4, RW, SHARED, NULL, 0);
    expect(remap(3, 0, 1, FIXED, 3, &at), VM_EFAULT);
    expect_drawing(&world, "WWW.");
}

static void several_areas_move_with_their_gaps(void **state) {
    (void)state;
    map_drawing(&world, "ww|rr.xx.n");
    map_private(&world, 23, 1, NONE); /* across from a gap: it stays */
    fill(&world, 0, 2, 9);
    move(1, 9, 20);
    expect_drawing(&world, "w...................w|rr|n|xx.n");
    expect_filled(&world, 20, 1, 10);
    uint64_t at;
    expect(remap(1, 2, 2, FIXED, 40, &at), VM_EFAULT);
}

static void locked_memory_stays_locked(void **state) {
    (void)state;
    uint64_t at;
    unsigned char resident[6];
    struct vm_stats stats;
    map_private(&world, 0, 4, RW);
    succeeds(vm_mlock(world.space, AT(0), PAGES(4)));
    succeeds(remap(0, 4, 6, FIXED, 8, &at));
    assert_int_equal(world.space->locked_pages, 6);
    succeeds(vm_mincore(world.space, AT(8), PAGES(6), resident));
    assert_memory_equal(resident, "\1\1\1\1\1\1", 6);
    vm_stats_read(world.machine, &stats);
    assert_int_equal(stats.memory.locked_peak, 6);
}

/* Neighbours that the design will not join are one area to programs: here, pages of two origins. */
static void alike_neighbours_count_as_one(void **state) {
    (void)state;
    uint64_t at;
    map_drawing(&world, "ww.ww");
    fill(&world, 0, 2, 1);
    fill(&world, 3, 2, 4);
    map_private(&world, 2, 1, RW);
    fill(&world, 2, 1, 3);
    succeeds(remap(0, 5, 6, FIXED, 10, &at));
    expect_filled(&world, 10, 5, 1);
    assert_int_equal(value_at(&world, 15), 0);
    succeeds(remap(10, 6, 7, 0, 0, &at));
    check_world(&world);
}

static void the_area_limit_holds(void **state) {
    (void)state;
    uint64_t at;
    end_world(&world);
    begin_world(&world, (struct vm_machine_config){ .area_limit = 8 });
    for (unsigned i = 0; i < 8; i++)
        map_private(&world, 2 * i, 1, R);
    map_private(&world, 16, 5, R); /* Linux lets mmap reach one more than the limit */
    expect(vm_mmap(world.space, AT(30), PAGES(1), R, PRIVATE, NULL, 0, &at), VM_ENOMEM);
    expect(vm_munmap(world.space, AT(18), PAGES(1)), VM_ENOMEM);
    expect(vm_mprotect(world.space, AT(18), PAGES(1), RW), VM_ENOMEM);
    expect(remap(18, 1, 1, FIXED, 40, &at), VM_ENOMEM);
    assert_int_equal(world.space->area_count, 9);
    succeeds(vm_munmap(world.space, AT(20), PAGES(1)));
    check_world(&world);
}

/* Each of three pieces lands in the middle of another area, which makes one more. */
static int move_into_the_middles(unsigned others) {
    uint64_t at;
    end_world(&world);
    begin_world(&world, (struct vm_machine_config){ .area_limit = 20 });
    for (unsigned i = 0; i < 3; i++) {
        map_private(&world, 10 * i, 1, R);
        map_private(&world, 98 + 10 * i, 6, RW);
    }
    for (unsigned i = 0; i < others; i++)
        map_private(&world, 200 + 2 * i, 1, R);
    return remap(0, 21, 21, FIXED, 100, &at);
}

static void the_area_limit_stops_half_way(void **state) {
    (void)state;
    unsigned others = 0;
    while (move_into_the_middles(others) == VM_OK)
        others++;
    check_world(&world);
    assert_int_equal(others, 8);
    assert_true(others > 0);
    expect(vm_touch(world.space, AT(100), 1, VM_WRITE, NULL), VM_SIGSEGV); /* has come */
    expect(vm_touch(world.space, AT(120), 1, VM_WRITE, NULL), VM_SIGSEGV); /* room for the last */
    succeeds(vm_touch(world.space, AT(20), 1, VM_READ, NULL));             /* has stayed */
}

/* All that is free is mapped, in larger and then smaller pieces. */
static void no_room_to_grow_elsewhere(void **state) {
    (void)state;
    uint64_t at;
    map_private(&world, 0, 1, RW);
    map_private(&world, 1, 1, R);
    for (uint64_t bytes = VM_ADDRESS_END / 2; bytes >= PAGES(1); bytes /= 2)
        while (vm_mmap(world.space, 0, bytes, NONE, VM_MAP_PRIVATE, NULL, 0, &at) == VM_OK)
            ;
    expect(vm_mremap(world.space, AT(0), PAGES(1), PAGES(2), VM_MREMAP_MAYMOVE, 0, &at), VM_ENOMEM);
    check_world(&world);
}

/* A machine without swap, whose records come from a port that can be told to fail. */
struct failing_world {
    struct world world;
    struct failing_port port;
};

static void begin_failing_world(struct failing_world *failing, uint64_t frames) {
    posix_port_init(&failing->world.posix, 1);
    failing_port_init(&failing->port, &failing->world.posix.port);
    struct vm_machine_config config = { .port = &failing->port.port, .frames = frames };
    assert_int_equal(vm_machine_create(&config, &failing->world.machine, NULL), VM_OK);
    assert_int_equal(vm_space_create(failing->world.machine, 1, &failing->world.space), VM_OK);
}

/* Each page is where it was, or where it should go: all of them, and nowhere twice. */
static void expect_all_at(struct world *w, int moved) {
    expect_filled(w, moved ? 5000 : 1, 7, 11);
    expect_filled(w, 0, 1, 10);
    uint32_t value;
    expect(vm_peek(w->space, AT(moved ? 3 : 5002), &value, sizeof value), VM_SIGSEGV);
    check_world(w);
}

static int move_far(struct world *w) {
    uint64_t at;
    return vm_mremap(w->space, AT(1), PAGES(7), PAGES(7), FIXED, AT(5000), &at);
}

static void map_source(struct world *w) {
    map_private(w, 0, 8, RW);
    fill(w, 0, 8, 10);
}

/* With ever more records left, the call fails at each of its allocations in turn. */
static void without_records_nothing_changes(void **state) {
    (void)state;
    enum { SPARE = 10000 };
    struct failing_world failing;
    unsigned failures = 0;
    int error = VM_ENOMEM;

    for (unsigned left = 0; error; left++) {
        uint64_t at;
        unsigned used = 0;
        begin_failing_world(&failing, 512);
        map_source(&failing.world);
        failing_plan_set(&failing.port.allocate, FAIL_FROM_THERE_ON, 0);
        while (vm_mmap(failing.world.space, AT(SPARE + 2 * used), PAGES(1), R, PRIVATE, NULL, 0,
                       &at) == VM_OK)
            used++;
        assert_true(left <= used);
        for (unsigned i = 0; i < left; i++)
            succeeds(vm_munmap(failing.world.space, AT(SPARE + 2 * i), PAGES(1)));
        error = move_far(&failing.world);
        failing_plan_set(&failing.port.allocate, FAIL_NEVER, 0);
        if (error)
            expect(error, VM_ENOMEM);
        failures += error != VM_OK;
        expect_all_at(&failing.world, !error);
        vm_machine_destroy(failing.world.machine);
    }
    assert_true(failures >= 2); /* the cut, the copy */
}

/* With ever more frames left, the target's tables fail one after the other. */
static void without_frames_nothing_changes(void **state) {
    (void)state;
    enum { SPARE = 100 };
    struct failing_world failing;
    unsigned failures = 0;
    int error = VM_ENOMEM;

    for (unsigned left = 0; error; left++) {
        uint64_t touched = 0;
        begin_failing_world(&failing, 128);
        map_source(&failing.world);
        map_private(&failing.world, SPARE, 128, RW);
        expect(vm_touch(failing.world.space, AT(SPARE), 128, VM_WRITE, &touched), VM_OOM);
        succeeds(vm_madvise(failing.world.space, AT(SPARE), PAGES(left), VM_MADV_DONTNEED));
        error = move_far(&failing.world);
        if (error)
            expect(error, VM_ENOMEM);
        failures += error != VM_OK;
        expect_all_at(&failing.world, !error);
        vm_machine_destroy(failing.world.machine);
    }
    assert_true(failures >= 1);
}

#define move_test(name) test_in_world(name, &world)

int main(void) {
    const struct CMUnitTest tests[] = {
        move_test(pages_move_with_their_contents),
        move_test(untouched_areas_are_numbered_anew),
        move_test(moves_cross_table_borders_anywhere),
        move_test(relatives_keep_their_pages),
        move_test(swapped_pages_move),
        move_test(growing),
        move_test(shrinking),
        move_test(fixed_replaces_the_target),
        move_test(dontunmap_leaves_the_area_empty),
        move_test(dontunmap_of_a_part),
        move_test(old_length_zero_duplicates_shared_memory),
        move_test(a_duplicate_cannot_replace_its_source),
        move_test(several_areas_move_with_their_gaps),
        move_test(locked_memory_stays_locked),
        move_test(alike_neighbours_count_as_one),
        move_test(the_area_limit_holds),
        move_test(the_area_limit_stops_half_way),
        move_test(no_room_to_grow_elsewhere),
        move_test(without_records_nothing_changes),
        move_test(without_frames_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
