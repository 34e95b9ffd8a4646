/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anon_vma_direct_test.c - the design "anon-vma-direct": which pages name their area and which an
 * anon_vma, and how many must be told when areas are split, joined or moved.
 */
#include "rig.h"

#define AT UINT64_C(0x100000)
#define TO UINT64_C(0x40000000)

static uint64_t anon_vmas(struct rig *rig) {
    return rig_cache(rig, "anon_vma").live;
}

static uint64_t repointed(struct rig *rig) {
    return rig_stats(rig).rmap.repointed;
}

static uint64_t visits(struct rig *rig, struct vm_space *space, uint64_t address) {
    struct vm_stats cost;
    rig_ask(rig, vm_frame_at(space, address), &cost);
    return cost.rmap.object_visits;
}

static void protect(struct vm_space *space, uint64_t page, uint64_t pages, unsigned protection) {
    assert_int_equal(vm_mprotect(space, AT + page * PAGE, pages * PAGE, protection), VM_OK);
}

/* No fault makes an anon_vma, nor does the fork of an area that has had no private page. */
static void fork_makes_an_anon_vma_where_pages_are(void **state) {
    (void)state;
    struct rig *rig = rig_create("anon-vma-direct", 1024);
    struct vm_space *parent = rig_space(rig, 1);

    for (unsigned i = 0; i < 10; i++)
        rig_map(parent, AT + 8 * i * PAGE, 4, NULL);
    for (unsigned i = 0; i < 5; i++)
        rig_touch(parent, AT + 8 * i * PAGE, 4);
    assert_int_equal(anon_vmas(rig), 0);
    struct vm_space *child = rig_fork(parent, 2);
    assert_int_equal(anon_vmas(rig), 5);
    rig_fork(parent, 3);
    assert_int_equal(anon_vmas(rig), 5);
    rig_verify(rig);
    vm_exit(parent);
    assert_int_equal(anon_vmas(rig), 5);
    vm_exit(child);
    rig_verify(rig);
    rig_destroy(rig);
}

/* Pages born after a fork are found in one visit, in the parent too, where "anon-vma" looks into all
 * children first. Pages from before the fork take the list. */
static void pages_born_after_a_fork_are_direct(void **state) {
    (void)state;
    enum { CHILDREN = 50 };
    struct rig *rig = rig_create("anon-vma-direct", 2048);
    struct vm_space *parent = rig_space(rig, 1000), *last = NULL;
    struct vm_stats cost;

    rig_map(parent, AT, 4, NULL);
    rig_touch(parent, AT, 2);
    for (unsigned i = 0; i < CHILDREN; i++)
        last = rig_fork(parent, i);
    rig_touch(parent, AT + 2 * PAGE, 1);
    rig_touch(last, AT + PAGE, 1);
    assert_int_equal(rig_ask(rig, vm_frame_at(parent, AT), &cost), CHILDREN + 1);
    assert_int_equal(cost.rmap.object_visits, CHILDREN + 1);
    assert_int_equal(visits(rig, parent, AT + 2 * PAGE), 1);
    assert_int_equal(visits(rig, last, AT + PAGE), 1);

    rig_fork(parent, 2000); /* and so the parent's is direct no longer */
    assert_int_equal(visits(rig, parent, AT + 2 * PAGE), CHILDREN + 2);
    rig_verify(rig);
    rig_destroy(rig);
}

/* Bug catalogue 4: pages in the half that a split cuts off must not go on naming the other half.
 *  AAAAAAAAA  ->  AAA rrr AAA  ->  AAAAAAAAA */
static void split_with_pages_that_name_the_area(void **state) {
    (void)state;
    struct rig *rig = rig_create("anon-vma-direct", 1024);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, 9, NULL);
    rig_touch(space, AT, 9);
    protect(space, 3, 3, VM_PROT_READ);
    assert_int_equal(space->area_count, 3);
    assert_int_equal(repointed(rig), 6 + 3); /* 3..8 by the first cut, 6..8 by the second */
    rig_verify(rig);
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(visits(rig, space, AT + i * PAGE), 1);
    protect(space, 3, 3, RW);
    assert_int_equal(space->area_count, 1);
    assert_int_equal(repointed(rig), 9 + 6);
    rig_verify(rig);

    assert_int_equal(vm_munmap(space, AT + 4 * PAGE, PAGE), VM_OK);
    rig_verify(rig);
    vm_reclaim(rig->machine, 1024);
    assert_int_equal(vm_frame_at(space, AT), VM_NO_FRAME);
    rig_touch(space, AT, 4);
    rig_verify(rig);
    vm_exit(space);
    assert_int_equal(anon_vmas(rig), 0);
    rig_destroy(rig);
}

/* Every second page is cut out from below: each cut tells all pages above it, so n pages cost n
 * squared halves; and joining them again, from below, two at a time. */
static void a_checkerboard_tells_pages_over_and_over(void **state) {
    (void)state;
    enum { PAGES = 64 };
    struct rig *rig = rig_create("anon-vma-direct", 1024);
    struct vm_space *space = rig_space(rig, 1);
    uint64_t expected = 0;

    rig_map(space, AT, PAGES, NULL);
    rig_touch(space, AT, PAGES);
    for (unsigned i = 0; i < PAGES; i += 2) {
        protect(space, i, 1, VM_PROT_READ);
        expected += (i ? PAGES - i : 0) + (PAGES - i - 1);
    }
    assert_int_equal(space->area_count, PAGES);
    assert_int_equal(repointed(rig), expected);
    rig_verify(rig);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(visits(rig, space, AT + i * PAGE), 1);
    for (unsigned i = 0; i < PAGES; i += 2)
        protect(space, i, 1, RW);
    assert_int_equal(space->area_count, 1);
    rig_verify(rig);
    vm_exit(space);
    rig_destroy(rig);
}

/* After a fork pages are indirect, and areas change as they do in "anon-vma". */
static void indirect_pages_need_not_be_told(void **state) {
    (void)state;
    struct rig *rig = rig_create("anon-vma-direct", 1024);
    struct vm_space *parent = rig_space(rig, 1);
    struct vm_stats cost;
    uint64_t result;

    rig_map(parent, AT, 16, NULL);
    rig_touch(parent, AT, 8);
    struct vm_space *child = rig_fork(parent, 2);
    rig_touch(child, AT + 8 * PAGE, 2);
    protect(child, 2, 4, VM_PROT_READ);
    assert_int_equal(repointed(rig), 2 + 2);
    assert_int_equal(vm_mremap(child, AT + 6 * PAGE, 4 * PAGE, 4 * PAGE,
                               VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, TO, &result),
                     VM_OK);
    assert_int_equal(rig_ask(rig, vm_frame_at(child, TO), &cost), 2);
    assert_int_equal(rig_ask(rig, vm_frame_at(child, TO + 2 * PAGE), &cost), 1);
    assert_int_equal(cost.rmap.object_visits, 1);
    assert_int_equal(anon_vmas(rig), 1);
    rig_verify(rig);
    rig_destroy(rig);
}

static void moved_pages_are_told(void **state) {
    (void)state;
    struct rig *rig = rig_create("anon-vma-direct", 1024);
    struct vm_space *space = rig_space(rig, 1);
    uint64_t result;

    rig_map(space, AT, 8, NULL);
    rig_touch(space, AT, 8);
    assert_int_equal(
        vm_mremap(space, AT, 8 * PAGE, 8 * PAGE, VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, TO, &result),
        VM_OK);
    assert_int_equal(repointed(rig), 8);
    assert_int_equal(visits(rig, space, TO), 1);
    rig_verify(rig);
    rig_destroy(rig);
}

/* Bug catalogue 7: a page comes back from swap to a child that soon goes. It names the list, though
 * it has one entry only. */
static void swap_in_by_a_child_names_a_short_lived_area(void **state) {
    (void)state;
    struct rig *rig = rig_create("anon-vma-direct", 1024);
    struct vm_space *parent = rig_space(rig, 1);
    struct vm_stats cost;

    rig_map(parent, AT, 4, NULL);
    rig_touch(parent, AT, 4);
    vm_reclaim(rig->machine, 1024);
    assert_int_equal(vm_frame_at(parent, AT), VM_NO_FRAME);
    struct vm_space *child = rig_fork(parent, 2); /* of an area whose pages are all in swap */
    assert_int_equal(vm_touch(child, AT, 4, VM_READ, NULL), VM_OK);
    assert_int_equal(vm_touch(parent, AT, 4, VM_READ, NULL), VM_OK);
    assert_int_equal(rig_ask(rig, vm_frame_at(parent, AT), &cost), 2);
    vm_exit(child);
    assert_int_equal(rig_ask(rig, vm_frame_at(parent, AT), &cost), 1);
    rig_verify(rig);
    rig_destroy(rig);
}

/* A private mapping of an object has pages of both kinds, side by side. */
static void a_private_copy_is_not_looked_for_in_the_object(void **state) {
    (void)state;
    struct rig *rig = rig_create("anon-vma-direct", 1024);
    struct vm_space *one = rig_space(rig, 1), *other = rig_space(rig, 2);
    struct vm_object *object;
    struct vm_stats cost;
    uint64_t result;

    assert_int_equal(vm_object_create_shm(rig->machine, 16 * PAGE, 1, &object), VM_OK);
    assert_int_equal(
        vm_mmap(one, AT, 16 * PAGE, RW, VM_MAP_PRIVATE | VM_MAP_FIXED, object, 0, &result), VM_OK);
    rig_map(other, AT, 16, object);
    rig_touch(other, AT, 16);
    assert_int_equal(vm_touch(one, AT, 16, VM_READ, NULL), VM_OK);
    rig_touch(one, AT + 5 * PAGE, 3);
    protect(one, 6, 10, VM_PROT_READ);
    assert_int_equal(repointed(rig), 2);
    assert_int_equal(rig_ask(rig, vm_frame_at(one, AT + 6 * PAGE), &cost), 1);
    assert_int_equal(cost.rmap.object_visits, 1);
    assert_int_equal(rig_ask(rig, vm_frame_at(one, AT), &cost), 2);
    rig_verify(rig);
    struct vm_space *child = rig_fork(one, 3);
    assert_int_equal(rig_ask(rig, vm_frame_at(one, AT + 6 * PAGE), &cost), 2);
    rig_verify(rig);
    vm_exit(one);
    vm_exit(child);
    assert_int_equal(anon_vmas(rig), 0);
    vm_object_put(object);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fork_makes_an_anon_vma_where_pages_are),
        cmocka_unit_test(pages_born_after_a_fork_are_direct),
        cmocka_unit_test(split_with_pages_that_name_the_area),
        cmocka_unit_test(a_checkerboard_tells_pages_over_and_over),
        cmocka_unit_test(indirect_pages_need_not_be_told),
        cmocka_unit_test(moved_pages_are_told),
        cmocka_unit_test(swap_in_by_a_child_names_a_short_lived_area),
        cmocka_unit_test(a_private_copy_is_not_looked_for_in_the_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
