/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anon_vma_test.c - the design "anon-vma": who shares an anon_vma after fork, split, merge and move,
 * what a walk then costs, and that all of them are gone in the end.
 */
#include "rig.h"

#define AT UINT64_C(0x100000)

static uint64_t anon_vmas(struct rig *rig) {
    return rig_cache(rig, "anon_vma").live;
}

static uint64_t visits(struct rig *rig, struct vm_space *space, uint64_t address) {
    struct vm_stats cost;
    rig_ask(rig, vm_frame_at(space, address), &cost);
    return cost.rmap.object_visits;
}

static void first_write_makes_one_for_the_area(void **state) {
    (void)state;
    struct rig *rig = rig_create("anon-vma", 1024);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, 10, NULL);
    assert_int_equal(vm_touch(space, AT, 10, VM_READ, NULL), VM_OK);
    assert_int_equal(anon_vmas(rig), 0);
    rig_touch(space, AT, 10);
    assert_int_equal(anon_vmas(rig), 1);
    assert_int_equal(rig_cache(rig, "anon_vma").bytes, 24);
    rig_verify(rig);
    vm_exit(space);
    assert_int_equal(anon_vmas(rig), 0);
    rig_destroy(rig);
}

/* A page from before the fork is found at once in all; one the parent touches after it has N
 * children is found on visit N + 1, since children stand before their parent. */
static void late_pages_of_a_parent_are_found_last(void **state) {
    (void)state;
    struct rig *rig = rig_create("anon-vma", 2048);
    struct vm_space *parent = rig_space(rig, 1000), *last = NULL;
    enum { CHILDREN = 50 };
    struct vm_stats cost;

    rig_map(parent, AT, 3, NULL);
    rig_touch(parent, AT, 1);
    for (unsigned i = 0; i < CHILDREN; i++)
        last = rig_fork(parent, i);
    rig_touch(parent, AT + PAGE, 1);
    rig_touch(last, AT + 2 * PAGE, 1);

    assert_int_equal(rig_ask(rig, vm_frame_at(parent, AT), &cost), CHILDREN + 1);
    assert_int_equal(cost.rmap.object_visits, CHILDREN + 1);
    assert_int_equal(cost.rmap.empty_walks, 0);

    assert_int_equal(rig_ask(rig, vm_frame_at(parent, AT + PAGE), &cost), 1);
    assert_int_equal(cost.rmap.object_visits, CHILDREN + 1);
    assert_int_equal(cost.rmap.empty_walks, CHILDREN);

    assert_int_equal(rig_ask(rig, vm_frame_at(last, AT + 2 * PAGE), &cost), 1);
    assert_int_equal(cost.rmap.object_visits, 1);
    assert_int_equal(anon_vmas(rig), 1);
    rig_verify(rig);
    rig_destroy(rig);
}

/*  AAAAAAAAA  ->  AAA rrr AAA  ->  AAAAAAAAA
 * Pieces share one anon_vma, and a page outside a piece costs a range reject there. */
static void pieces_share_and_join_again(void **state) {
    (void)state;
    struct rig *rig = rig_create("anon-vma", 1024);
    struct vm_space *space = rig_space(rig, 1);
    struct vm_stats cost;

    rig_map(space, AT, 9, NULL);
    rig_touch(space, AT, 9);
    assert_int_equal(vm_mprotect(space, AT + 3 * PAGE, 3 * PAGE, VM_PROT_READ), VM_OK);
    assert_int_equal(space->area_count, 3);
    assert_int_equal(anon_vmas(rig), 1);
    rig_verify(rig);
    uint64_t looked_at = 0;
    for (unsigned i = 0; i < 9; i += 3) {
        assert_int_equal(rig_ask(rig, vm_frame_at(space, AT + i * PAGE), &cost), 1);
        assert_int_equal(cost.rmap.object_visits, cost.rmap.range_rejects + 1);
        assert_int_equal(cost.rmap.empty_walks, 0);
        looked_at += cost.rmap.object_visits;
    }
    assert_int_equal(looked_at, 1 + 2 + 3);

    assert_int_equal(vm_mprotect(space, AT + 3 * PAGE, 3 * PAGE, RW), VM_OK);
    assert_int_equal(space->area_count, 1);
    assert_int_equal(visits(rig, space, AT), 1);
    assert_int_equal(anon_vmas(rig), 1);
    rig_verify(rig);
    rig_destroy(rig);
}

/* Neighbours that differ in protection only could be one area later: the second to be touched
 * takes the anon_vma of the first, so that they can. */
static void neighbours_share_before_they_can_merge(void **state) {
    (void)state;
    struct rig *rig = rig_create("anon-vma", 1024);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, 9, NULL);
    assert_int_equal(vm_mprotect(space, AT + 3 * PAGE, 3 * PAGE, RW | VM_PROT_EXEC), VM_OK);
    assert_int_equal(space->area_count, 3);
    rig_touch(space, AT + 3 * PAGE, 1);
    rig_touch(space, AT, 1);            /* its next has one */
    rig_touch(space, AT + 6 * PAGE, 1); /* its previous has one */
    assert_int_equal(anon_vmas(rig), 1);
    assert_int_equal(vm_mprotect(space, AT, 9 * PAGE, RW), VM_OK);
    assert_int_equal(space->area_count, 1);
    rig_verify(rig);
    rig_destroy(rig);
}

/* Two areas that were touched apart have pages naming different anon_vmas and must stay apart. */
static void strangers_do_not_merge(void **state) {
    (void)state;
    struct rig *rig = rig_create("anon-vma", 1024);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, 1, NULL);
    rig_map(space, AT + 2 * PAGE, 1, NULL);
    rig_touch(space, AT, 1);
    rig_touch(space, AT + 2 * PAGE, 1);
    assert_int_equal(anon_vmas(rig), 2);
    rig_map(space, AT + PAGE, 1, NULL); /* joins one of them, and not the other through it */
    assert_int_equal(space->area_count, 2);
    rig_touch(space, AT, 3);
    rig_verify(rig);
    assert_int_equal(vm_munmap(space, AT, 3 * PAGE), VM_OK);
    assert_int_equal(anon_vmas(rig), 0);
    rig_destroy(rig);
}

/* An area that has none adopts its neighbour's when they become one. */
static void merging_adopts(void **state) {
    (void)state;
    struct rig *rig = rig_create("anon-vma", 1024);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT + PAGE, 1, NULL);
    rig_touch(space, AT + PAGE, 1);
    rig_map(space, AT, 1, NULL);
    assert_int_equal(space->area_count, 1);
    assert_int_equal(visits(rig, space, AT + PAGE), 1);
    rig_touch(space, AT, 1);
    assert_int_equal(anon_vmas(rig), 1);
    rig_verify(rig);
    rig_destroy(rig);
}

/* Moved pages keep their index: parent and child still find each other's. */
static void moved_areas_keep_their_anon_vma(void **state) {
    (void)state;
    struct rig *rig = rig_create("anon-vma", 1024);
    struct vm_space *parent = rig_space(rig, 1);
    uint64_t to = AT + 700 * PAGE, result;
    struct vm_stats cost;

    rig_map(parent, AT, 8, NULL);
    rig_touch(parent, AT, 8);
    struct vm_space *child = rig_fork(parent, 2);
    assert_int_equal(vm_mremap(child, AT + 2 * PAGE, 4 * PAGE, 4 * PAGE,
                               VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, to, &result),
                     VM_OK);
    assert_int_equal(vm_frame_at(child, to), vm_frame_at(parent, AT + 2 * PAGE));
    assert_int_equal(rig_ask(rig, vm_frame_at(child, to), &cost), 2);
    assert_int_equal(anon_vmas(rig), 1);
    rig_verify(rig);
    vm_reclaim(rig->machine, 1024);
    rig_verify(rig);
    rig_touch(child, to, 4);
    rig_touch(parent, AT, 8);
    rig_verify(rig);
    rig_destroy(rig);
}

/* The family's anon_vma lives as long as any member, whoever made it. */
static void a_child_may_outlive_its_parent(void **state) {
    (void)state;
    struct rig *rig = rig_create("anon-vma", 1024);
    struct vm_space *parent = rig_space(rig, 1);

    rig_map(parent, AT, 8, NULL);
    rig_touch(parent, AT, 8);
    for (unsigned generation = 2; generation < 20; generation++) {
        struct vm_space *child = rig_fork(parent, generation);
        vm_exit(parent);
        parent = child;
        rig_touch(child, AT, generation % 8 + 1);
        assert_int_equal(anon_vmas(rig), 1);
        rig_verify(rig);
    }
    assert_int_equal(vm_exec(parent), VM_OK);
    assert_int_equal(anon_vmas(rig), 0);
    rig_destroy(rig);
}

/* A page comes back from swap first to a child that soon goes: the parent still finds it. */
static void a_page_returned_to_a_child_is_found_by_all(void **state) {
    (void)state;
    struct rig *rig = rig_create("anon-vma", 1024);
    struct vm_space *parent = rig_space(rig, 1);
    struct vm_stats cost;

    rig_map(parent, AT, 4, NULL);
    rig_touch(parent, AT, 4);
    struct vm_space *child = rig_fork(parent, 2);
    vm_reclaim(rig->machine, 1024);
    assert_int_equal(vm_frame_at(parent, AT), VM_NO_FRAME);
    assert_int_equal(vm_touch(child, AT, 4, VM_READ, NULL), VM_OK);
    assert_int_equal(vm_touch(parent, AT, 4, VM_READ, NULL), VM_OK);
    assert_int_equal(rig_ask(rig, vm_frame_at(parent, AT), &cost), 2);
    vm_exit(child);
    assert_int_equal(rig_ask(rig, vm_frame_at(parent, AT), &cost), 1);
    rig_verify(rig);
    rig_destroy(rig);
}

/* Object pages are found through the object; private copies of them through the anon_vma. */
static void a_private_copy_is_not_looked_for_in_the_object(void **state) {
    (void)state;
    struct rig *rig = rig_create("anon-vma", 1024);
    struct vm_space *one = rig_space(rig, 1), *other = rig_space(rig, 2);
    struct vm_object *object;
    struct vm_stats cost;
    uint64_t result;

    assert_int_equal(vm_object_create_shm(rig->machine, 16 * PAGE, 1, &object), VM_OK);
    assert_int_equal(
        vm_mmap(one, AT, 16 * PAGE, RW, VM_MAP_PRIVATE | VM_MAP_FIXED, object, 0, &result), VM_OK);
    rig_map(other, AT, 16, object);
    assert_int_equal(vm_touch(one, AT, 16, VM_READ, NULL), VM_OK);
    rig_touch(other, AT, 16);
    assert_int_equal(anon_vmas(rig), 0);
    assert_int_equal(rig_ask(rig, vm_frame_at(other, AT), &cost), 2);
    rig_touch(one, AT, 1);
    assert_int_equal(anon_vmas(rig), 1);
    assert_int_equal(rig_ask(rig, vm_frame_at(one, AT), &cost), 1);
    assert_int_equal(cost.rmap.object_visits, 1);
    assert_int_equal(rig_ask(rig, vm_frame_at(other, AT), &cost), 1);
    rig_verify(rig);
    vm_object_put(object);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_write_makes_one_for_the_area),
        cmocka_unit_test(late_pages_of_a_parent_are_found_last),
        cmocka_unit_test(pieces_share_and_join_again),
        cmocka_unit_test(neighbours_share_before_they_can_merge),
        cmocka_unit_test(strangers_do_not_merge),
        cmocka_unit_test(merging_adopts),
        cmocka_unit_test(moved_areas_keep_their_anon_vma),
        cmocka_unit_test(a_child_may_outlive_its_parent),
        cmocka_unit_test(a_page_returned_to_a_child_is_found_by_all),
        cmocka_unit_test(a_private_copy_is_not_looked_for_in_the_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
