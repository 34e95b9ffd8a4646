/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anon_vma_chain_test.c - the design "anon-vma-chain": who is linked to what after fork, split, merge
 * and move, which anon_vma a page names, when one is taken over, and that all end.
 */
#include "rig.h"

#include "posix/failing.h"

#define AT     UINT64_C(0x100000)
#define DESIGN "anon-vma-chain"

static void expect_records(struct rig *rig, uint64_t anon_vmas, uint64_t links) {
    assert_int_equal(rig_cache(rig, "anon_vma").live, anon_vmas);
    assert_int_equal(rig_cache(rig, "anon_vma_chain").live, links);
}

/* Areas looked at to find all entries of the page at this address. */
static uint64_t visits(struct rig *rig, struct vm_space *space, uint64_t address) {
    struct vm_stats cost;
    rig_ask(rig, vm_frame_at(space, address), &cost);
    return cost.rmap.object_visits;
}

static uint64_t mappings(struct rig *rig, struct vm_space *space, uint64_t address) {
    struct vm_stats cost;
    return rig_ask(rig, vm_frame_at(space, address), &cost);
}

static void sizes_are_as_documented(void **state) {
    (void)state;
    struct rig *rig = rig_create(DESIGN, 1024);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, 10, NULL);
    assert_int_equal(vm_touch(space, AT, 10, VM_READ, NULL), VM_OK);
    expect_records(rig, 0, 0);
    rig_touch(space, AT, 10);
    expect_records(rig, 1, 1);
    if (sizeof(void *) == 8) {
        assert_int_equal(rig_cache(rig, "anon_vma").bytes, 40);
        assert_int_equal(rig_cache(rig, "anon_vma_chain").bytes, 56);
        assert_int_equal(rig->machine->design->info.area_bytes, 16);
    }
    vm_exit(space);
    expect_records(rig, 0, 0);
    rig_destroy(rig);
}

/* Each generation has the chain of the one before, and an anon_vma more. */
static void a_child_gets_a_chain_and_its_own(void **state) {
    (void)state;
    struct rig *rig = rig_create(DESIGN, 1024);
    struct vm_space *parent = rig_space(rig, 1);

    rig_map(parent, AT, 4, NULL);
    rig_touch(parent, AT, 1);
    struct vm_space *child = rig_fork(parent, 2);
    expect_records(rig, 2, 1 + 2);
    struct vm_space *grandchild = rig_fork(child, 3);
    expect_records(rig, 3, 1 + 2 + 3);
    rig_touch(child, AT + PAGE, 1);
    rig_touch(grandchild, AT + 2 * PAGE, 1);
    assert_int_equal(visits(rig, parent, AT), 3);
    assert_int_equal(visits(rig, child, AT + PAGE),
                     1); /* the first of two: all entries are found */
    assert_int_equal(visits(rig, grandchild, AT + 2 * PAGE), 1);
    rig_touch(grandchild, AT, 1);
    assert_int_equal(visits(rig, grandchild, AT), 1);
    rig_verify(rig);

    vm_exit(child);
    expect_records(rig, 3, 1 + 3);
    assert_int_equal(mappings(rig, parent, AT), 1);
    vm_exit(parent);
    expect_records(rig, 3, 3);
    rig_verify(rig);
    vm_exit(grandchild);
    expect_records(rig, 0, 0);
    rig_destroy(rig);
}

/* No page yet, no chain to inherit: both begin a family of their own. */
static void untouched_areas_inherit_nothing(void **state) {
    (void)state;
    struct rig *rig = rig_create(DESIGN, 1024);
    struct vm_space *parent = rig_space(rig, 1);

    rig_map(parent, AT, 4, NULL);
    struct vm_space *child = rig_fork(parent, 2);
    expect_records(rig, 0, 0);
    rig_touch(parent, AT, 1);
    rig_touch(child, AT, 1);
    expect_records(rig, 2, 2);
    assert_int_equal(visits(rig, parent, AT), 1);
    assert_int_equal(visits(rig, child, AT), 1);
    rig_destroy(rig);
}

/* The parent goes, its child forks, and so on: the second generation's anon_vma is taken over again
 * and again, and neither memory nor walks grow. */
static void generations_stay_flat(void **state) {
    (void)state;
    struct rig *rig = rig_create(DESIGN, 2048);
    struct vm_space *space = rig_space(rig, 0);
    enum { GENERATIONS = 1000 };
    uint64_t anon_vmas = 0, links = 0, most = 0;

    rig_map(space, AT, 4, NULL);
    rig_touch(space, AT, 4);
    for (unsigned generation = 1; generation <= GENERATIONS; generation++) {
        struct vm_space *child = rig_fork(space, generation);
        vm_exit(space);
        space = child;
        rig_touch(space, AT + generation % 4 * PAGE, 1);
        anon_vmas = rig_cache(rig, "anon_vma").live;
        links = rig_cache(rig, "anon_vma_chain").live;
        most = links > most ? links : most;
        if (generation % 100 == 0)
            rig_verify(rig);
    }
    assert_true(anon_vmas <= 3);
    assert_true(most <= 3);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(visits(rig, space, AT + i * PAGE), 1);
    vm_exit(space);
    expect_records(rig, 0, 0);
    rig_destroy(rig);
}

/* With an idle sibling in each generation none lies idle with one child at most: chains grow by one a
 * generation, which the rule does not promise to prevent. */
static void siblings_defeat_the_rule(void **state) {
    (void)state;
    struct rig *rig = rig_create(DESIGN, 4096);
    struct vm_space *space = rig_space(rig, 0);
    enum { GENERATIONS = 40 };

    rig_map(space, AT, 4, NULL);
    rig_touch(space, AT, 4);
    for (unsigned generation = 1; generation <= GENERATIONS; generation++) {
        rig_fork(space, 1000 + generation);
        struct vm_space *child = rig_fork(space, generation);
        vm_exit(space);
        space = child;
        rig_touch(space, AT + generation % 4 * PAGE, 1);
    }
    expect_records(rig, 1 + 2 * GENERATIONS,
                   /* siblings' chains: 2, 3, ..., and the last child's */
                   (GENERATIONS + 1) * (GENERATIONS + 2) / 2 - 1 + GENERATIONS + 1);
    rig_verify(rig);
    vm_reclaim(rig->machine, 4096);
    rig_verify(rig);
    rig_destroy(rig);
}

/* One that is some area's own is not taken over, however few children it has; and it is taken over
 * by one only, so that equal anon_vmas mean equal chains. */
static void nobody_takes_what_is_in_use(void **state) {
    (void)state;
    struct rig *rig = rig_create(DESIGN, 1024);
    struct vm_space *root = rig_space(rig, 1);

    rig_map(root, AT, 4, NULL);
    rig_touch(root, AT, 4);
    struct vm_space *b = rig_fork(root, 2);
    struct vm_space *c = rig_fork(b, 3);
    expect_records(rig, 3, 1 + 2 + 3);
    vm_exit(b);
    struct vm_space *d = rig_fork(c, 4); /* takes b's */
    expect_records(rig, 3, 1 + 3 + 3);
    struct vm_space *e = rig_fork(c, 5); /* b's is d's own now */
    expect_records(rig, 4, 1 + 3 + 3 + 4);
    rig_touch(d, AT, 1);
    rig_touch(e, AT, 1);
    rig_touch(c, AT, 1);
    rig_verify(rig);
    vm_exit(d); /* and b's is idle again */
    struct vm_space *f = rig_fork(e, 6);
    expect_records(rig, 4, 1 + 3 + 4 + 4);
    rig_verify(rig);
    vm_exit(root);
    vm_exit(c);
    vm_exit(e);
    rig_verify(rig);
    vm_exit(f);
    expect_records(rig, 0, 0);
    rig_destroy(rig);
}

/* The root lies idle, with one child: its tree has the whole family, and nobody's new pages go there. */
static void the_root_is_not_taken_over(void **state) {
    (void)state;
    struct rig *rig = rig_create(DESIGN, 1024);
    struct vm_space *root = rig_space(rig, 1);

    rig_map(root, AT, 4, NULL);
    rig_touch(root, AT, 4);
    struct vm_space *child = rig_fork(root, 2);
    vm_exit(root);
    struct vm_space *grandchild = rig_fork(child, 3);
    expect_records(rig, 3, 2 + 3);
    rig_touch(grandchild, AT, 1);
    assert_int_equal(visits(rig, grandchild, AT), 1);
    rig_verify(rig);
    rig_destroy(rig);
}

/* Only fork takes over: a split copy of an area has the same anon_vma. */
static void pieces_share_and_join_again(void **state) {
    (void)state;
    struct rig *rig = rig_create(DESIGN, 1024);
    struct vm_space *parent = rig_space(rig, 1);

    rig_map(parent, AT, 9, NULL);
    rig_touch(parent, AT, 9);
    struct vm_space *space = rig_fork(parent, 2);
    assert_int_equal(vm_mprotect(space, AT + 3 * PAGE, 3 * PAGE, VM_PROT_READ), VM_OK);
    assert_int_equal(space->area_count, 3);
    expect_records(rig, 2, 1 + 3 * 2);
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(mappings(rig, space, AT + i * PAGE), 2);
    rig_verify(rig);
    rig_touch(space, AT, 3);
    assert_int_equal(visits(rig, space, AT), 1);
    assert_int_equal(vm_mprotect(space, AT + 3 * PAGE, 3 * PAGE, RW), VM_OK);
    assert_int_equal(space->area_count, 1);
    expect_records(rig, 2, 1 + 2);
    rig_verify(rig);
    rig_destroy(rig);
}

/* A neighbour's anon_vma is shared before the two can merge, unless its chain is longer. */
static void only_single_chains_are_shared(void **state) {
    (void)state;
    struct rig *rig = rig_create(DESIGN, 1024);
    struct vm_space *parent = rig_space(rig, 1);

    rig_map(parent, AT + 3 * PAGE, 3, NULL);
    rig_touch(parent, AT + 3 * PAGE, 1);
    struct vm_space *child = rig_fork(parent, 2);
    uint64_t result;
    for (unsigned i = 0; i < 2; i++) {
        struct vm_space *space = i ? child : parent;
        assert_int_equal(vm_mmap(space, AT, 3 * PAGE, RW | VM_PROT_EXEC,
                                 VM_MAP_PRIVATE | VM_MAP_FIXED, NULL, 0, &result),
                         VM_OK);
        assert_int_equal(space->area_count, 2);
    }
    expect_records(rig, 2, 1 + 2);
    rig_touch(parent, AT, 1);
    expect_records(rig, 2, 2 + 2);
    rig_touch(child, AT, 1);
    expect_records(rig, 3, 2 + 3);
    assert_int_equal(vm_mprotect(parent, AT, 3 * PAGE, RW), VM_OK);
    assert_int_equal(vm_mprotect(child, AT, 3 * PAGE, RW), VM_OK);
    assert_int_equal(parent->area_count, 1);
    assert_int_equal(child->area_count, 2);
    rig_verify(rig);
    rig_destroy(rig);
}

/* The lower area has no page yet and takes over the upper one's chain, or the other way round. */
static void merging_adopts_a_whole_chain(void **state) {
    (void)state;
    struct rig *rig = rig_create(DESIGN, 1024);
    struct vm_space *parent = rig_space(rig, 1);

    rig_map(parent, AT + 3 * PAGE, 3, NULL);
    rig_touch(parent, AT + 3 * PAGE, 3);
    struct vm_space *child = rig_fork(parent, 2);
    rig_map(child, AT, 3, NULL);
    assert_int_equal(child->area_count, 1);
    rig_map(child, AT + 6 * PAGE, 3, NULL);
    assert_int_equal(child->area_count, 1);
    expect_records(rig, 2, 1 + 2);
    assert_int_equal(mappings(rig, child, AT + 4 * PAGE), 2);
    rig_touch(child, AT, 9);
    rig_verify(rig);
    vm_exit(parent);
    vm_reclaim(rig->machine, 1024);
    rig_touch(child, AT, 9);
    rig_verify(rig);
    vm_exit(child);
    expect_records(rig, 0, 0);
    rig_destroy(rig);
}

static void moved_areas_keep_their_chain(void **state) {
    (void)state;
    struct rig *rig = rig_create(DESIGN, 1024);
    struct vm_space *parent = rig_space(rig, 1);
    uint64_t to = AT + 700 * PAGE, result;

    rig_map(parent, AT, 8, NULL);
    rig_touch(parent, AT, 8);
    struct vm_space *child = rig_fork(parent, 2);
    assert_int_equal(vm_mremap(child, AT + 2 * PAGE, 4 * PAGE, 4 * PAGE,
                               VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, to, &result),
                     VM_OK);
    expect_records(rig, 2, 1 + 3 * 2);
    assert_int_equal(vm_frame_at(child, to), vm_frame_at(parent, AT + 2 * PAGE));
    assert_int_equal(mappings(rig, child, to), 2);
    rig_verify(rig);
    vm_reclaim(rig->machine, 1024);
    rig_verify(rig);
    rig_touch(child, to, 4);
    rig_touch(parent, AT, 8);
    rig_verify(rig);
    rig_destroy(rig);
}

/* The oops of 2010: a shared page comes back from swap to a child first, its parent maps it too, and
 * the child goes. The page must not name what is the child's alone. */
static void a_page_returned_to_a_child_is_found_by_all(void **state) {
    (void)state;
    struct rig *rig = rig_create(DESIGN, 1024);
    struct vm_space *parent = rig_space(rig, 1);

    rig_map(parent, AT, 4, NULL);
    rig_touch(parent, AT, 4);
    struct vm_space *child = rig_fork(parent, 2), *sibling = rig_fork(parent, 3);
    vm_reclaim(rig->machine, 1024);
    assert_int_equal(vm_frame_at(parent, AT), VM_NO_FRAME);
    assert_int_equal(vm_touch(child, AT, 4, VM_READ, NULL), VM_OK);
    assert_int_equal(vm_touch(parent, AT, 4, VM_READ, NULL), VM_OK);
    assert_int_equal(mappings(rig, parent, AT), 2);
    rig_verify(rig);
    vm_exit(child);
    assert_int_equal(mappings(rig, parent, AT), 1);
    assert_int_equal(vm_touch(sibling, AT, 4, VM_READ, NULL), VM_OK);
    vm_exit(parent);
    assert_int_equal(mappings(rig, sibling, AT), 1);
    rig_verify(rig);
    rig_destroy(rig);
}

/* Fork fails at each of its allocations in turn, half way through the areas: nothing stays. */
static void a_fork_that_fails_leaves_nothing(void **state) {
    (void)state;
    struct rig *rig = rig_create(DESIGN, 4096);
    struct vm_space *parent = rig_space(rig, 1), *child = NULL;
    enum { AREAS = 1500 };
    struct failing_port failing;
    unsigned failed = 0;

    for (unsigned i = 0; i < AREAS; i++) {
        rig_map(parent, AT + 2 * i * PAGE, 1, NULL);
        rig_touch(parent, AT + 2 * i * PAGE, 1);
    }
    expect_records(rig, AREAS, AREAS);
    failing_port_init(&failing, rig->machine->port);
    struct vm_port *port = rig->machine->port;
    rig->machine->port = &failing.port;
    for (uint64_t nth = 0; !child; nth++) {
        failing_plan_set(&failing.allocate, FAIL_FROM_THERE_ON, nth);
        int error = vm_fork(parent, 2, &child);
        failing_plan_set(&failing.allocate, FAIL_NEVER, 0);
        assert_int_equal(error == VM_OK, child != NULL);
        if (child)
            break;
        failed++;
        expect_records(rig, AREAS, AREAS);
        rig_verify(rig);
    }
    assert_true(failed > 3);
    expect_records(rig, 2 * AREAS, 3 * AREAS);
    vm_exit(child);
    vm_exit(parent);
    expect_records(rig, 0, 0);
    rig->machine->port = port;
    rig_destroy(rig);
}

/* A long chain makes it the links that are short: areas are to be had. */
static void a_cut_and_a_move_that_fail_leave_nothing(void **state) {
    (void)state;
    enum { PAGES = 64, GENERATIONS = 20, SPARE = 1000, SPARES = 64 };
    struct rig *rig = rig_create(DESIGN, 4096);
    struct vm_space *space[GENERATIONS] = { rig_space(rig, 1) };
    struct vm_space *youngest;
    struct failing_port failing;
    uint64_t at;
    unsigned cut = 0;

    rig_map(space[0], AT, PAGES, NULL);
    rig_touch(space[0], AT, PAGES);
    for (unsigned i = 1; i < GENERATIONS; i++)
        space[i] = rig_fork(space[i - 1], i + 1);
    youngest = space[GENERATIONS - 1];
    for (unsigned i = 0; i < SPARES; i++)
        rig_map(youngest, AT + (SPARE + 2 * i) * PAGE, 1, NULL);
    failing_port_init(&failing, rig->machine->port);
    struct vm_port *port = rig->machine->port;
    rig->machine->port = &failing.port;
    failing_plan_set(&failing.allocate, FAIL_FROM_THERE_ON, 0);
    for (unsigned i = 0; i < SPARES; i++)
        assert_int_equal(vm_munmap(youngest, AT + (SPARE + 2 * i) * PAGE, PAGE), VM_OK);

    int error = VM_OK;
    while (!error && cut + 1 < PAGES) { /* one more area for each cut */
        cut++;
        error = vm_mprotect(youngest, AT + cut * PAGE, (PAGES - cut) * PAGE,
                            cut % 2 ? VM_PROT_READ : VM_PROT_READ | VM_PROT_EXEC);
    }
    assert_int_equal(error, VM_ENOMEM);
    assert_true(cut > 2);
    uint64_t links = rig_cache(rig, "anon_vma_chain").live;
    assert_int_equal(vm_mremap(youngest, AT + (cut - 2) * PAGE, PAGE, PAGE,
                               VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, AT + 100 * PAGE, &at),
                     VM_ENOMEM);
    assert_int_equal(rig_cache(rig, "anon_vma_chain").live, links);
    assert_int_equal(mappings(rig, youngest, AT + (cut - 2) * PAGE), GENERATIONS);

    failing_plan_set(&failing.allocate, FAIL_NEVER, 0);
    rig_verify(rig);
    for (unsigned i = 0; i < GENERATIONS; i++)
        vm_exit(space[i]);
    expect_records(rig, 0, 0);
    rig->machine->port = port;
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_as_documented),
        cmocka_unit_test(a_child_gets_a_chain_and_its_own),
        cmocka_unit_test(untouched_areas_inherit_nothing),
        cmocka_unit_test(generations_stay_flat),
        cmocka_unit_test(siblings_defeat_the_rule),
        cmocka_unit_test(nobody_takes_what_is_in_use),
        cmocka_unit_test(the_root_is_not_taken_over),
        cmocka_unit_test(pieces_share_and_join_again),
        cmocka_unit_test(only_single_chains_are_shared),
        cmocka_unit_test(merging_adopts_a_whole_chain),
        cmocka_unit_test(moved_areas_keep_their_chain),
        cmocka_unit_test(a_page_returned_to_a_child_is_found_by_all),
        cmocka_unit_test(a_fork_that_fails_leaves_nothing),
        cmocka_unit_test(a_cut_and_a_move_that_fail_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
