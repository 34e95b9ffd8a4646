/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How areas are cut and joined, in drawings; where mmap finds room; many areas.
 */
#include "world.h"

#include "harness/dice.h"

static struct world world;

static void protect(unsigned page, unsigned count, unsigned protection) {
    succeeds(vm_mprotect(world.space, AT(page), PAGES(count), protection));
}

static void unmap(unsigned page, unsigned count) {
    succeeds(vm_munmap(world.space, AT(page), PAGES(count)));
}

static void neighbours_become_one(void **state) {
    (void)state;
    map_private(&world, 0, 2, RW);
    map_private(&world, 4, 2, RW);
    expect_drawing(&world, "ww..ww");
    map_private(&world, 2, 2, RW);
    expect_drawing(&world, "wwwwww");
    map_private(&world, 6, 2, R);
    expect_drawing(&world, "wwwwww|rr");
    assert_int_equal(world.space->area_count, 2);
}

static void a_fixed_mapping_replaces(void **state) {
    (void)state;
    map_drawing(&world, "wwwwwwww");
    map_private(&world, 2, 3, R);
    expect_drawing(&world, "ww|rrr|www");
    map_private(&world, 1, 5, RW);
    expect_drawing(&world, "wwwwwwww");
}

static void unmapping_cuts(void **state) {
    (void)state;
    map_drawing(&world, "wwwwwwwwww");
    unmap(4, 2);
    expect_drawing(&world, "wwww..wwww");
    unmap(3, 4);
    expect_drawing(&world, "www....www");
    unmap(0, 1);
    expect_drawing(&world, ".ww....www");
    unmap(0, 20);
    expect_drawing(&world, "..........");
}

static void protecting_cuts_and_joins(void **state) {
    (void)state;
    map_drawing(&world, "wwwwwwww");
    protect(2, 2, R);
    expect_drawing(&world, "ww|rr|wwww");
    protect(4, 2, R);
    expect_drawing(&world, "ww|rrrr|ww");
    protect(3, 1, NONE);
    expect_drawing(&world, "ww|r|n|rr|ww");
    protect(0, 8, RW);
    expect_drawing(&world, "wwwwwwww");
}

static void touched_areas_join_too(void **state) {
    (void)state;
    map_drawing(&world, "wwwwwwww");
    fill(&world, 0, 8, 100);
    protect(2, 4, R);
    expect_drawing(&world, "ww|rrrr|ww");
    protect(2, 4, RW);
    expect_drawing(&world, "wwwwwwww");
    expect_filled(&world, 0, 8, 100);
    fill(&world, 0, 8, 200);
    expect_filled(&world, 0, 8, 200);
}

static void advice_and_locks_keep_areas_apart(void **state) {
    (void)state;
    map_drawing(&world, "wwwwww");
    fill(&world, 0, 6, 1); /* while they are one, so that no design keeps them apart */
    succeeds(vm_madvise(world.space, AT(1), PAGES(2), VM_MADV_DONTFORK));
    expect_drawing(&world, "w|ww|www");
    succeeds(vm_mlock(world.space, AT(2), PAGES(2)));
    expect_drawing(&world, "w|w|w|w|ww");
    assert_int_equal(world.space->locked_pages, 2);
    succeeds(vm_munlock(world.space, AT(0), PAGES(6)));
    expect_drawing(&world, "w|ww|www");
    succeeds(vm_madvise(world.space, AT(0), PAGES(6), VM_MADV_DOFORK));
    expect_drawing(&world, "wwwwww");
    succeeds(vm_madvise(world.space, AT(0), PAGES(2), VM_MADV_RANDOM));
    succeeds(vm_madvise(world.space, AT(2), PAGES(2), VM_MADV_SEQUENTIAL));
    succeeds(vm_madvise(world.space, AT(4), PAGES(2), VM_MADV_HUGEPAGE));
    expect_drawing(&world, "ww|ww|ww");
    succeeds(vm_madvise(world.space, AT(0), PAGES(4), VM_MADV_NORMAL));
    expect_drawing(&world, "wwww|ww");
    succeeds(vm_madvise(world.space, AT(0), PAGES(6), VM_MADV_NOHUGEPAGE));
    expect_drawing(&world, "wwwwww");
}

static void object_areas_join_where_offsets_meet(void **state) {
    (void)state;
    struct vm_object *shm;
    succeeds(vm_object_create_shm(world.machine, PAGES(16), 7, &shm));
    map_pages_(&world, 0, 2, RW, SHARED, shm, 0);
    map_pages_(&world, 2, 2, RW, SHARED, shm, 2);
    expect_drawing(&world, "WWWW");
    map_pages_(&world, 4, 2, RW, SHARED, shm, 5);
    expect_drawing(&world, "WWWW|WW");
    map_pages_(&world, 6, 2, RW, PRIVATE, shm, 7);
    expect_drawing(&world, "WWWW|WW|ww");
    map_pages_(&world, 4, 2, RW, SHARED, shm, 4);
    expect_drawing(&world, "WWWWWW|ww");
    vm_object_put(shm);
}

static void remap_file_pages_makes_areas(void **state) {
    (void)state;
    map_pages_(&world, 0, 8, RW, SHARED, NULL, 0);
    fill(&world, 0, 8, 10);
    succeeds(vm_remap_file_pages(world.space, AT(2), PAGES(2), 5));
    expect_drawing(&world, "WW|WW|WWWW");
    expect_filled(&world, 2, 2, 15);
    expect_filled(&world, 0, 2, 10);
    /* Across areas of one object, back into order: one area again. */
    succeeds(vm_remap_file_pages(world.space, AT(1), PAGES(5), 1));
    expect_drawing(&world, "WWWWWWWW");
    expect_filled(&world, 0, 8, 10);
}

static void heap_grows_and_shrinks(void **state) {
    (void)state;
    uint64_t at;
    expect(vm_brk(world.space, AT(1), &at), VM_EINVAL);
    succeeds(vm_brk_start(world.space, AT(0) + 100));
    succeeds(vm_brk(world.space, 0, &at));
    assert_int_equal(at, AT(0) + 100);
    succeeds(vm_brk(world.space, AT(4) + 1, &at));
    assert_int_equal(at, AT(4) + 1);
    expect_drawing(&world, ".wwww.");
    succeeds(vm_brk(world.space, AT(2), &at));
    expect_drawing(&world, ".w....");
    map_private(&world, 5, 1, R);
    expect(vm_brk(world.space, AT(5), &at), VM_ENOMEM); /* it would touch the next area */
    assert_int_equal(at, AT(2));
    succeeds(vm_brk(world.space, AT(4), &at));
    expect_drawing(&world, ".www.r");
    expect(vm_brk(world.space, AT(0), &at), VM_EINVAL);
    assert_int_equal(at, AT(4));
    expect(vm_brk_start(world.space, AT(9)), VM_EINVAL);
}

static uint64_t map_anywhere(uint64_t hint, unsigned pages, unsigned flags) {
    uint64_t at = 0;
    succeeds(vm_mmap(world.space, hint, PAGES(pages), RW, VM_MAP_PRIVATE | flags, NULL, 0, &at));
    return at;
}

static void room_is_found_from_above(void **state) {
    (void)state;
    uint64_t first = map_anywhere(0, 4, 0), second = map_anywhere(0, 4, 0);
    assert_int_equal(second, first - PAGES(4));
    assert_int_equal(world.space->area_count, 1);
    /* The highest gap that is large enough. */
    succeeds(vm_munmap(world.space, second, PAGES(1)));
    succeeds(vm_munmap(world.space, first + PAGES(1), PAGES(2)));
    assert_int_equal(map_anywhere(0, 1, 0), first + PAGES(2));
    assert_int_equal(map_anywhere(0, 2, 0), second - PAGES(1));
    assert_int_equal(map_anywhere(0, 1, 0), first + PAGES(1));
}

static void hints_are_taken_where_free(void **state) {
    (void)state;
    assert_int_equal(map_anywhere(AT(3) + 5, 2, 0), AT(3));
    assert_int_not_equal(map_anywhere(AT(4), 2, 0), AT(4));
    assert_int_equal(map_anywhere(PAGES(1), 1, 0), UINT64_C(0x10000));
}

static void stacks_keep_a_guard_below(void **state) {
    (void)state;
    uint64_t stack = AT(1000);
    map_pages_(&world, 1000, 4, RW, PRIVATE | VM_MAP_GROWSDOWN, NULL, 0);
    assert_int_not_equal(map_anywhere(stack - PAGES(256), 1, 0), stack - PAGES(256));
    assert_int_equal(map_anywhere(stack - PAGES(257), 1, 0), stack - PAGES(257));
    map_pages_(&world, 999, 1, RW, PRIVATE, NULL, 0); /* FIXED is asked no questions */
    assert_int_equal(world.space->area_count, 4);
}

static void guards_count_in_the_search(void **state) {
    (void)state;
    uint64_t top = map_anywhere(0, 1, 0);
    uint64_t stack = top - PAGES(400), at;
    succeeds(vm_mmap(world.space, stack, PAGES(2), RW, PRIVATE | VM_MAP_GROWSDOWN, NULL, 0, &at));
    succeeds(vm_mmap(world.space, stack - PAGES(258), PAGES(1), R, PRIVATE, NULL, 0, &at));
    /* Between stack and guard one page is free: the gap above serves larger wishes. */
    assert_int_equal(map_anywhere(0, 398, 0), stack + PAGES(2));
    assert_int_equal(map_anywhere(0, 1, 0), stack - PAGES(257));
    assert_int_equal(map_anywhere(0, 1, 0), stack - PAGES(259));
}

static void sixty_thousand_areas(void **state) {
    (void)state;
    enum { AREAS = 60000 };
    uint64_t at;
    for (unsigned i = 0; i < AREAS; i++)
        succeeds(vm_mmap(world.space, AT(2 * i), PAGES(1), R, PRIVATE, NULL, 0, &at));
    assert_int_equal(world.space->area_count, AREAS);
    assert_int_equal(vm_space_check(world.space), 0);
    for (unsigned i = 0; i < AREAS; i += 2)
        succeeds(vm_munmap(world.space, AT(2 * i), PAGES(1)));
    assert_int_equal(world.space->area_count, AREAS / 2);
    assert_int_equal(vm_space_check(world.space), 0);
    for (unsigned i = 0; i < AREAS / 2 - 1; i++) /* only holes of three pages fit */
        succeeds(vm_mmap(world.space, AT(4 * i + 3), PAGES(3), R, PRIVATE | VM_MAP_FIXED_NOREPLACE,
                         NULL, 0, &at));
    assert_int_equal(world.space->area_count, 1);
    assert_int_equal(vm_space_check(world.space), 0);
}

/* Any sequence of calls keeps the tree in order, and each page what a plain array says it has. */
static struct dice dice = { 1 };

static unsigned below(unsigned n) {
    return (unsigned)dice_below(&dice, n);
}

static void random_calls_match_an_array(void **state) {
    (void)state;
    enum { SIZE = 200 };
    static const char letters[] = "nrwx";
    static const unsigned protections[] = { NONE, R, RW, RX };
    char expected[SIZE + 1], drawn[2 * SIZE + 1], *out;
    memset(expected, '.', SIZE);
    expected[SIZE] = 0;
    for (unsigned round = 0; round < 4000; round++) {
        unsigned page = below(SIZE - 12), count = 1 + below(12), kind = below(4);
        bool whole = memchr(expected + page, '.', count) == NULL;
        switch (below(3)) {
        case 0:
            map_private(&world, page, count, protections[kind]);
            memset(expected + page, letters[kind], count);
            break;
        case 1:
            succeeds(vm_munmap(world.space, AT(page), PAGES(count)));
            memset(expected + page, '.', count);
            break;
        default:
            expect(vm_mprotect(world.space, AT(page), PAGES(count), protections[kind]),
                   whole ? VM_OK : VM_ENOMEM);
            for (unsigned i = 0; i < count && expected[page + i] != '.'; i++)
                expected[page + i] = letters[kind];
        }
        draw(world.space, SIZE, drawn);
        assert_null(strstr(drawn, "w|w")); /* whatever could be one is one */
        assert_null(strstr(drawn, "r|r"));
        out = drawn;
        for (char *in = drawn; (*out = *in); in++)
            out += *in != '|';
        assert_string_equal(drawn, expected);
        assert_int_equal(vm_space_check(world.space), 0);
    }
}

#define areas_test(name) test_in_world(name, &world)

int main(void) {
    const struct CMUnitTest tests[] = {
        areas_test(neighbours_become_one),
        areas_test(a_fixed_mapping_replaces),
        areas_test(unmapping_cuts),
        areas_test(protecting_cuts_and_joins),
        areas_test(touched_areas_join_too),
        areas_test(advice_and_locks_keep_areas_apart),
        areas_test(object_areas_join_where_offsets_meet),
        areas_test(remap_file_pages_makes_areas),
        areas_test(heap_grows_and_shrinks),
        areas_test(room_is_found_from_above),
        areas_test(hints_are_taken_where_free),
        areas_test(stacks_keep_a_guard_below),
        areas_test(guards_count_in_the_search),
        areas_test(sixty_thousand_areas),
        areas_test(random_calls_match_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
