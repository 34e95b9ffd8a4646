/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is just possible and what just is not: limits of a space, ends of the address space, stacks and
 * their guards, lengths that overflow, and memory without contents.
 */
#include "world.h"

#define HUGE_LENGTH (UINT64_MAX - 100)
#define LAST        (VM_ADDRESS_END - VM_PAGE_SIZE)
#define STACK       (VM_MAP_PRIVATE | VM_MAP_FIXED | VM_MAP_GROWSDOWN)
#define GUARD       256

static struct world world;

static void begin(struct vm_machine_config config) {
    begin_world(&world, config);
}

static int touch(uint64_t address) {
    return vm_touch(world.space, address, 1, VM_WRITE, NULL);
}

static int map_anywhere(uint64_t hint, uint64_t length, uint64_t *at) {
    return vm_mmap(world.space, hint, length, R, VM_MAP_PRIVATE, NULL, 0, at);
}

static int map_exactly(uint64_t start, uint64_t length, unsigned flags) {
    uint64_t at;
    return vm_mmap(world.space, start, length, RW, flags, NULL, 0, &at);
}

/* ---------------------------------------------------------------- stacks */

static void a_stack_grows_to_its_limit(void **state) {
    (void)state;
    begin((struct vm_machine_config){ .stack_limit = PAGES(64) });
    succeeds(map_exactly(AT(600), PAGES(4), STACK));
    expect(touch(AT(600 + 4 - 65)), VM_SIGSEGV);
    succeeds(touch(AT(600 + 4 - 64)));
    end_world(&world);
}

static void a_stack_keeps_away_from_what_lies_below(void **state) {
    (void)state;
    begin((struct vm_machine_config){ 0 });
    succeeds(map_exactly(AT(600), PAGES(1), STACK));
    map_private(&world, 300, 1, RW);
    expect(touch(AT(301 + GUARD - 1)), VM_SIGSEGV);
    succeeds(touch(AT(301 + GUARD)));
    /* Other stacks, and what nobody can touch, guard themselves. */
    map_private(&world, 300, 1, NONE);
    succeeds(touch(AT(301 + GUARD - 1)));
    succeeds(touch(AT(301)));
    check_world(&world);
    succeeds(vm_munmap(world.space, AT(300), PAGES(100)));
    succeeds(map_exactly(AT(300), PAGES(1), STACK));
    succeeds(touch(AT(310)));
    /* Below what is no stack, nothing grows. */
    map_private(&world, 1000, 1, RW);
    expect(touch(AT(999)), VM_SIGSEGV);
    end_world(&world);
}

static void a_stack_counts_against_the_address_limit(void **state) {
    (void)state;
    begin((struct vm_machine_config){ .address_limit = PAGES(20) });
    succeeds(map_exactly(AT(600), PAGES(1), STACK));
    map_private(&world, 700, 10, RW);
    expect(touch(AT(590)), VM_SIGSEGV);
    succeeds(touch(AT(591)));
    end_world(&world);
}

/* ---------------------------------------------------------------- ends of the address space */

static void nothing_is_behind_the_end(void **state) {
    (void)state;
    unsigned char byte = 1, resident;
    uint64_t moved = 42, touched = 42;
    begin((struct vm_machine_config){ 0 });
    succeeds(map_exactly(LAST, PAGES(1), PRIVATE));
    succeeds(touch(LAST));
    expect(vm_fault(world.space, VM_ADDRESS_END, VM_READ), VM_SIGSEGV);
    expect(vm_read(world.space, VM_ADDRESS_END, &byte, 1), VM_SIGSEGV);
    expect(vm_touch(world.space, LAST, 2, VM_READ, &touched), VM_SIGSEGV);
    assert_int_equal(touched, 1);
    expect(vm_touch(world.space, VM_ADDRESS_END, 1, VM_READ, &touched), VM_SIGSEGV);
    assert_int_equal(touched, 0);
    expect(vm_mincore(world.space, AT(0), HUGE_LENGTH, &resident), VM_ENOMEM);
    expect(vm_munlock(world.space, AT(0), HUGE_LENGTH), VM_EINVAL);
    expect(vm_mlock(world.space, AT(0) + 200, HUGE_LENGTH), VM_EINVAL);
    expect(vm_move_pages(world.space, AT(0), HUGE_LENGTH, 0, &moved), VM_EINVAL);
    assert_int_equal(moved, 0);
    end_world(&world);
}

/* What is before the end goes, and so do the tables that this leaves empty. */
static void advice_reaches_across_the_end(void **state) {
    (void)state;
    begin((struct vm_machine_config){ 0 });
    succeeds(map_exactly(LAST, PAGES(1), PRIVATE));
    succeeds(touch(LAST));
    expect(vm_madvise(world.space, LAST, PAGES(2), VM_MADV_DONTNEED), VM_ENOMEM);
    assert_int_equal(vm_frame_at(world.space, LAST), VM_NO_FRAME);
    check_world(&world);
    expect(vm_madvise(world.space, VM_ADDRESS_END, PAGES(2), VM_MADV_DONTNEED), VM_ENOMEM);
    end_world(&world);
}

static bool count_page(const struct vm_page_view *view, void *context) {
    (void)view;
    (*(unsigned *)context)++;
    return true;
}

static void looking_ends_with_the_address_space(void **state) {
    (void)state;
    unsigned pages = 0;
    begin((struct vm_machine_config){ 0 });
    succeeds(map_exactly(LAST, PAGES(1), PRIVATE));
    succeeds(touch(LAST));
    vm_page_each(world.space, LAST, UINT64_MAX, count_page, &pages);
    assert_int_equal(pages, 1);
    end_world(&world);
}

static void mappings_grow_to_the_end_and_no_further(void **state) {
    (void)state;
    uint64_t at;
    begin((struct vm_machine_config){ 0 });
    succeeds(map_exactly(LAST - PAGES(1), PAGES(1), PRIVATE));
    succeeds(vm_mremap(world.space, LAST - PAGES(1), PAGES(1), PAGES(2), 0, 0, &at));
    expect(vm_mremap(world.space, LAST - PAGES(1), PAGES(2), PAGES(3), 0, 0, &at), VM_ENOMEM);
    /* A tail that no range could be. */
    map_private(&world, 0, 2, RW);
    expect(vm_mremap(world.space, AT(0), VM_ADDRESS_END, PAGES(1), 0, 0, &at), VM_EINVAL);
    expect_drawing(&world, "ww.");
    end_world(&world);
}

static void hints_that_do_not_fit_are_forgotten(void **state) {
    (void)state;
    uint64_t at, there;
    begin((struct vm_machine_config){ 0 });
    succeeds(map_anywhere(VM_ADDRESS_END + PAGES(1), PAGES(1), &at));
    assert_true(at < VM_ADDRESS_END);
    succeeds(map_anywhere(LAST, PAGES(2), &at));
    assert_true(at + PAGES(2) <= VM_ADDRESS_END);
    succeeds(map_anywhere(AT(3), PAGES(1), &at));
    assert_int_equal(at, AT(3));
    succeeds(map_anywhere(AT(3), PAGES(1), &there)); /* taken */
    assert_int_not_equal(there, AT(3));
    expect(map_anywhere(0, VM_ADDRESS_END + PAGES(1), &at), VM_ENOMEM);
    end_world(&world);
}

/* First below where stacks are expected, then anywhere, then nowhere. */
static void space_runs_out_from_the_middle(void **state) {
    (void)state;
    uint64_t base, at;
    begin((struct vm_machine_config){ 0 });
    succeeds(map_anywhere(0, PAGES(1), &base));
    base += PAGES(1);
    succeeds(map_exactly(PAGES(16), base - PAGES(16), PRIVATE));
    succeeds(map_anywhere(0, PAGES(1), &at));
    assert_true(at >= base);
    succeeds(map_exactly(PAGES(16), VM_ADDRESS_END - PAGES(16), PRIVATE));
    expect(map_anywhere(0, PAGES(1), &at), VM_ENOMEM);
    succeeds(vm_munmap(world.space, AT(5), PAGES(2)));
    expect(map_anywhere(0, PAGES(3), &at), VM_ENOMEM);
    succeeds(map_anywhere(0, PAGES(2), &at));
    assert_int_equal(at, AT(5));
    end_world(&world);
}

static uint64_t first_place(uint64_t stack_limit) {
    uint64_t at;
    begin((struct vm_machine_config){ .stack_limit = stack_limit });
    succeeds(map_anywhere(0, PAGES(1), &at));
    end_world(&world);
    return at;
}

static void room_for_the_stack_has_a_least_and_a_most(void **state) {
    (void)state;
    assert_int_equal(first_place(PAGES(1)), first_place(PAGES(2)));
    assert_true(first_place(UINT64_C(1) << 40) < first_place(PAGES(1)));
    assert_int_equal(first_place(UINT64_MAX), first_place(VM_ADDRESS_END));
}

/* ---------------------------------------------------------------- limits */

static void the_heap_has_an_end(void **state) {
    (void)state;
    uint64_t end;
    begin((struct vm_machine_config){ 0 });
    expect(vm_brk(world.space, AT(1), &end), VM_EINVAL); /* no heap yet */
    expect(vm_brk_start(world.space, 0), VM_EINVAL);
    expect(vm_brk_start(world.space, VM_ADDRESS_END + 1), VM_EINVAL);
    succeeds(vm_brk_start(world.space, AT(0) + 8));
    succeeds(vm_brk(world.space, AT(1) + 8, &end));
    expect(vm_brk_start(world.space, AT(9)), VM_EINVAL); /* too late */
    expect(vm_brk(world.space, VM_ADDRESS_END + 1, &end), VM_ENOMEM);
    expect(vm_brk(world.space, AT(0), &end), VM_EINVAL);
    succeeds(vm_brk(world.space, AT(1) + 16, &end)); /* within its last page */
    assert_int_equal(end, AT(1) + 16);
    expect_drawing(&world, ".w..");
    end_world(&world);
}

/* Five areas at most, and a sixth that the fifth may become. */
static void begin_full(void) {
    uint64_t end;
    begin((struct vm_machine_config){ .area_limit = 5 });
    succeeds(vm_brk_start(world.space, AT(200)));
    map_drawing(&world, "www.r.w.r");
    for (unsigned page = 20; world.space->area_count < 6; page += 2)
        map_private(&world, page, 1, RW);
    expect(vm_brk(world.space, AT(203), &end), VM_ENOMEM);
}

static void no_areas_are_made_beyond_the_limit(void **state) {
    (void)state;
    uint64_t at;
    begin_full();
    expect(map_anywhere(0, PAGES(1), &at), VM_ENOMEM);
    expect(vm_munmap(world.space, AT(1), PAGES(1)), VM_ENOMEM);
    expect(vm_mprotect(world.space, AT(1), PAGES(1), R), VM_ENOMEM);
    expect(vm_madvise(world.space, AT(1), PAGES(1), VM_MADV_DONTFORK), VM_EAGAIN);
    expect(vm_mlock(world.space, AT(1), PAGES(1)), VM_ENOMEM);
    expect(vm_mremap(world.space, AT(0), PAGES(3), PAGES(5), VM_MREMAP_MAYMOVE, 0, &at), VM_ENOMEM);
    expect(vm_mremap(world.space, AT(0), PAGES(3), PAGES(3), VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED,
                     AT(50), &at),
           VM_ENOMEM);
    expect_drawing(&world, "www.r.w.r");
    end_world(&world);
}

static void a_copy_that_stays_counts_against_the_limit(void **state) {
    (void)state;
    enum { STAYS = VM_MREMAP_MAYMOVE | VM_MREMAP_DONTUNMAP };
    uint64_t at = 0;
    begin((struct vm_machine_config){ .address_limit = PAGES(20) });
    map_private(&world, 0, 11, RW);
    expect(vm_mremap(world.space, AT(0), PAGES(11), PAGES(11), STAYS, AT(30), &at), VM_ENOMEM);
    succeeds(vm_mremap(world.space, AT(0), PAGES(9), PAGES(9), STAYS, AT(30), &at));
    assert_int_equal(at, AT(30));
    end_world(&world);
}

static void file_offsets_end(void **state) {
    (void)state;
    begin((struct vm_machine_config){ .lock_limit = PAGES(2) });
    map_pages_(&world, 0, 2, RW, SHARED, NULL, 0);
    expect(vm_remap_file_pages(world.space, AT(0), PAGES(1), UINT64_C(1) << 52), VM_EOVERFLOW);
    succeeds(vm_mlock(world.space, AT(0), PAGES(2)));
    expect(vm_remap_file_pages(world.space, AT(0), PAGES(1), 1), VM_EAGAIN);
    succeeds(vm_munlock(world.space, AT(1), PAGES(1)));
    succeeds(vm_remap_file_pages(world.space, AT(0), PAGES(1), 1));
    end_world(&world);
}

/* ---------------------------------------------------------------- faulting in */

/* What cannot be touched stays locked, and what lies behind it is not brought in. */
static void locking_stops_at_what_cannot_be_touched(void **state) {
    (void)state;
    begin((struct vm_machine_config){ 0 });
    map_drawing(&world, "wnw");
    expect(vm_mlock(world.space, AT(0), PAGES(3)), VM_ENOMEM);
    assert_int_equal(world.space->locked_pages, 3);
    assert_int_not_equal(vm_frame_at(world.space, AT(0)), VM_NO_FRAME);
    assert_int_equal(vm_frame_at(world.space, AT(2)), VM_NO_FRAME);
    end_world(&world);
}

static void populating_asks_for_what_is_allowed(void **state) {
    (void)state;
    const unsigned protections[] = { VM_PROT_EXEC, VM_PROT_WRITE, VM_PROT_READ };
    begin((struct vm_machine_config){ 0 });
    for (unsigned i = 0; i < 3; i++) {
        map_pages_(&world, 2 * i, 1, protections[i], SHARED | VM_MAP_POPULATE, NULL, 0);
        assert_int_not_equal(vm_frame_at(world.space, AT(2 * i)), VM_NO_FRAME);
    }
    end_world(&world);
}

/* ---------------------------------------------------------------- memory without contents */

static void memory_without_contents_reads_as_zeroes(void **state) {
    (void)state;
    uint32_t value = 7;
    char page[VM_PAGE_SIZE] = { 1 };
    begin((struct vm_machine_config){ .contents = VM_METADATA_ONLY });
    map_private(&world, 0, 4, RW);
    fill(&world, 0, 4, 50);
    succeeds(vm_read(world.space, AT(1), &value, sizeof value));
    assert_int_equal(value, 0);
    assert_int_equal(value_at(&world, 2), 0);
    succeeds(vm_madvise(world.space, AT(0), PAGES(4), VM_MADV_PAGEOUT));
    assert_int_equal(value_at(&world, 2), 0);
    succeeds(vm_peek(world.space, AT(3), page, sizeof page));
    assert_int_equal(page[0], 0);
    end_world(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stack_grows_to_its_limit),
        cmocka_unit_test(a_stack_keeps_away_from_what_lies_below),
        cmocka_unit_test(a_stack_counts_against_the_address_limit),
        cmocka_unit_test(nothing_is_behind_the_end),
        cmocka_unit_test(advice_reaches_across_the_end),
        cmocka_unit_test(looking_ends_with_the_address_space),
        cmocka_unit_test(mappings_grow_to_the_end_and_no_further),
        cmocka_unit_test(hints_that_do_not_fit_are_forgotten),
        cmocka_unit_test(space_runs_out_from_the_middle),
        cmocka_unit_test(room_for_the_stack_has_a_least_and_a_most),
        cmocka_unit_test(the_heap_has_an_end),
        cmocka_unit_test(no_areas_are_made_beyond_the_limit),
        cmocka_unit_test(a_copy_that_stays_counts_against_the_limit),
        cmocka_unit_test(file_offsets_end),
        cmocka_unit_test(locking_stops_at_what_cannot_be_touched),
        cmocka_unit_test(populating_asks_for_what_is_allowed),
        cmocka_unit_test(memory_without_contents_reads_as_zeroes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
