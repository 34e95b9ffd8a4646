/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * advice_test.c - what madvise and truncation do to pages that several processes have: relatives, those
 * who share a file, who has a copy of his own, who has them locked or in swap. With every design.
 */
#include "harness/each_machine.h"
#include "rmap/rig.h"

#define AT UINT64_C(0x10000000)

enum { PAGES = 8, FAMILY = 4 };

static void fill(struct vm_space *space, uint64_t first, uint64_t n, unsigned char byte) {
    for (uint64_t page = first; page < first + n; page++)
        assert_int_equal(vm_write(space, AT + page * PAGE, &byte, 1), VM_OK);
}

static void expect_bytes(struct vm_space *space, uint64_t first, uint64_t n, unsigned char byte) {
    for (uint64_t page = first; page < first + n; page++) {
        unsigned char found;
        assert_int_equal(vm_read(space, AT + page * PAGE, &found, 1), VM_OK);
        assert_int_equal(found, byte);
    }
}

static uint64_t resident(struct vm_space *space, uint64_t pages) {
    uint64_t n = 0;
    for (uint64_t i = 0; i < pages; i++)
        n += vm_frame_at(space, AT + i * PAGE) != VM_NO_FRAME;
    return n;
}

static int advise(struct vm_space *space, enum vm_advice advice) {
    return vm_madvise(space, AT, PAGES * PAGE, advice);
}

static void expect_mappings(struct rig *rig, struct vm_space *space, uint64_t mappings) {
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(
            vm_page_mappings(rig->machine, vm_frame_at(space, AT + i * PAGE), NULL, NULL),
            mappings);
}

static void make_family(struct rig *rig, struct vm_space **family) {
    family[0] = rig_space(rig, 1);
    rig_map(family[0], AT, PAGES, NULL);
    fill(family[0], 0, PAGES, 'a');
    for (unsigned i = 1; i < FAMILY; i++)
        family[i] = rig_fork(family[0], i + 1);
}

static void what_relatives_share_is_left_alone(struct vm_machine_config plan) {
    struct rig *rig = rig_create_as(plan);
    static const enum vm_advice mild[] = { VM_MADV_COLD, VM_MADV_PAGEOUT, VM_MADV_FREE };
    struct vm_space *family[FAMILY];

    make_family(rig, family);
    for (unsigned i = 0; i < sizeof mild / sizeof mild[0]; i++)
        assert_int_equal(advise(family[i], mild[i]), VM_OK);
    for (unsigned i = 0; i < FAMILY; i++)
        assert_int_equal(resident(family[i], PAGES), PAGES);
    expect_mappings(rig, family[0], FAMILY);

    assert_int_equal(advise(family[1], VM_MADV_DONTNEED), VM_OK); /* it alone */
    assert_int_equal(resident(family[1], PAGES), 0);
    expect_mappings(rig, family[0], FAMILY - 1);
    expect_bytes(family[1], 0, PAGES, 0);
    vm_reclaim(rig->machine, 1024);
    expect_bytes(family[2], 0, PAGES, 'a'); /* nor was it given away */
    rig_verify(rig);
    rig_destroy(rig);
}

static void what_one_has_alone_goes(struct vm_machine_config plan) {
    struct rig *rig = rig_create_as(plan);
    struct vm_space *family[FAMILY];

    make_family(rig, family);
    fill(family[1], 0, PAGES, 'b'); /* copies of its own */
    assert_int_equal(advise(family[1], VM_MADV_PAGEOUT), VM_OK);
    assert_int_equal(resident(family[1], PAGES), 0);
    assert_int_equal(resident(family[0], PAGES), PAGES);
    assert_int_equal(rig_stats(rig).memory.swap_used, PAGES);
    expect_bytes(family[1], 0, PAGES, 'b');

    assert_int_equal(advise(family[1], VM_MADV_PAGEOUT), VM_OK);
    assert_int_equal(advise(family[1], VM_MADV_FREE), VM_OK); /* slots go at once */
    assert_int_equal(rig_stats(rig).memory.swap_used, 0);
    expect_bytes(family[1], 0, PAGES, 0);

    fill(family[1], 0, PAGES, 'c');
    assert_int_equal(advise(family[1], VM_MADV_FREE), VM_OK);
    fill(family[1], 0, 3, 'd'); /* wanted after all */
    vm_reclaim(rig->machine, 1024);
    expect_bytes(family[1], 0, 3, 'd');
    expect_bytes(family[1], 3, PAGES - 3, 0);
    expect_bytes(family[0], 0, PAGES, 'a');
    rig_verify(rig);
    rig_destroy(rig);
}

/* Slots that relatives share are theirs, too. */
static void slots_that_relatives_share_are_kept(struct vm_machine_config plan) {
    struct rig *rig = rig_create_as(plan);
    struct vm_space *family[FAMILY];

    make_family(rig, family);
    vm_reclaim(rig->machine, 1024);
    assert_int_equal(rig_stats(rig).memory.swap_used, PAGES);
    assert_int_equal(advise(family[1], VM_MADV_FREE), VM_OK);
    expect_bytes(family[1], 0, PAGES, 'a');
    assert_int_equal(advise(family[2], VM_MADV_DONTNEED), VM_OK);
    expect_bytes(family[2], 0, PAGES, 0);
    expect_bytes(family[3], 0, PAGES, 'a');
    expect_bytes(family[0], 0, PAGES, 'a');
    rig_verify(rig);
    rig_destroy(rig);
}

static void locked_memory_refuses(struct vm_machine_config plan) {
    struct rig *rig = rig_create_as(plan);
    static const enum vm_advice all[] = { VM_MADV_COLD, VM_MADV_PAGEOUT, VM_MADV_FREE,
                                          VM_MADV_DONTNEED };
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, PAGES, NULL);
    fill(space, 0, PAGES, 'l');
    assert_int_equal(vm_mlock(space, AT + 5 * PAGE, PAGE), VM_OK);
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        fill(space, 0, PAGES, 'l');
        assert_int_equal(advise(space, all[i]), VM_EINVAL);
        expect_bytes(space, 5, 3, 'l'); /* it ends there */
    }
    expect_bytes(space, 0, 5, 0); /* DONTNEED had come as far */
    rig_verify(rig);
    rig_destroy(rig);
}

static void holes_are_passed_over(struct vm_machine_config plan) {
    struct rig *rig = rig_create_as(plan);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, PAGES, NULL);
    fill(space, 0, PAGES, 'h');
    assert_int_equal(vm_munmap(space, AT + 3 * PAGE, 2 * PAGE), VM_OK);
    assert_int_equal(advise(space, VM_MADV_PAGEOUT), VM_ENOMEM);
    assert_int_equal(resident(space, PAGES), 0);
    expect_bytes(space, 5, 3, 'h');
    assert_int_equal(advise(space, VM_MADV_DONTNEED), VM_ENOMEM);
    expect_bytes(space, 0, 3, 0);
    expect_bytes(space, 5, 3, 0);
    rig_verify(rig);
    rig_destroy(rig);
}

static void open_file(struct rig *rig, struct vm_object **object) {
    struct vm_backing *file = posix_memory_open(PAGES * PAGE);

    assert_non_null(file);
    assert_int_equal(vm_object_open(rig->machine, file, 1, object), VM_OK);
}

static void files_pages_are_everybodys(struct vm_machine_config plan) {
    struct rig *rig = rig_create_as(plan);
    struct vm_space *spaces[FAMILY];
    struct vm_object *object;

    open_file(rig, &object);
    for (unsigned i = 0; i < FAMILY; i++) {
        spaces[i] = rig_space(rig, i + 1);
        rig_map(spaces[i], AT, PAGES, object);
        fill(spaces[i], 0, PAGES, 'f');
    }
    assert_int_equal(advise(spaces[0], VM_MADV_FREE), VM_EINVAL); /* for private memory only */
    assert_int_equal(advise(spaces[0], VM_MADV_PAGEOUT), VM_OK);
    expect_mappings(rig, spaces[0], FAMILY);
    for (unsigned i = 1; i < FAMILY; i++)
        assert_int_equal(advise(spaces[i], VM_MADV_DONTNEED), VM_OK);
    expect_mappings(rig, spaces[0], 1);
    assert_int_equal(advise(spaces[0], VM_MADV_PAGEOUT), VM_OK);
    assert_int_equal(rig_stats(rig).memory.file, 0);
    expect_bytes(spaces[3], 0, PAGES, 'f'); /* from the file */
    rig_verify(rig);
    vm_object_put(object);
    rig_destroy(rig);
}

/* Whether they are mapped, evicted, or copied: nothing beyond the end is left. */
static void truncation_finds_what_reclaim_left(struct vm_machine_config plan) {
    struct rig *rig = rig_create_as(plan);
    struct vm_space *spaces[FAMILY];
    struct vm_object *object;
    uint64_t result;

    open_file(rig, &object);
    for (unsigned i = 0; i < FAMILY; i++) {
        spaces[i] = rig_space(rig, i + 1);
        assert_int_equal(vm_mmap(spaces[i], AT, PAGES * PAGE, RW,
                                 VM_MAP_FIXED | (i == 3 ? VM_MAP_PRIVATE : VM_MAP_SHARED), object,
                                 0, &result),
                         VM_OK);
        fill(spaces[i], 0, PAGES, i == 3 ? 'p' : 't');
    }
    vm_reclaim(rig->machine, PAGES);
    expect_bytes(spaces[1], 3, 4, 't');
    assert_int_equal(vm_object_truncate(object, 4 * PAGE), VM_OK);
    for (unsigned i = 0; i < FAMILY; i++) {
        unsigned char byte;
        for (uint64_t page = 4; page < PAGES; page++)
            assert_true(vm_frame_at(spaces[i], AT + page * PAGE) == VM_NO_FRAME);
        expect_bytes(spaces[i], 0, 4, i == 3 ? 'p' : 't');
        assert_true(vm_read(spaces[i], AT + 4 * PAGE, &byte, 1) != VM_OK);
    }
    assert_true(rig_stats(rig).memory.swap_used <= 4);
    rig_verify(rig);
    vm_object_put(object);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_EACH_MACHINE(what_relatives_share_is_left_alone),
        ON_EACH_MACHINE(what_one_has_alone_goes),
        ON_EACH_MACHINE(slots_that_relatives_share_are_kept),
        ON_EACH_MACHINE(locked_memory_refuses),
        ON_EACH_MACHINE(holes_are_passed_over),
        ON_EACH_MACHINE(files_pages_are_everybodys),
        ON_EACH_MACHINE(truncation_finds_what_reclaim_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
