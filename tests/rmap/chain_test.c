/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chain_test.c - the design "pte-chain": how chains grow and shrink, what they cost, and that a walk
 * that unmaps on its way neither loses nor repeats an entry.
 */
#include "orders.h"
#include "rig.h"

#define MANY 40
#define AT   UINT64_C(0x10000)

/* A page of shared memory, and spaces to map it in. */
struct crowd {
    struct rig *rig;
    struct vm_object *object;
    struct vm_space *spaces[MANY];
    bool in[MANY];
    uint64_t frame;
};

static void enter(struct crowd *crowd, unsigned i) {
    rig_touch(crowd->spaces[i], AT, 1);
    crowd->in[i] = true;
    crowd->frame = vm_frame_at(crowd->spaces[i], AT);
}

static void leave(struct crowd *crowd, unsigned i) {
    assert_int_equal(vm_madvise(crowd->spaces[i], AT, PAGE, VM_MADV_DONTNEED), VM_OK);
    crowd->in[i] = false;
}

static struct crowd crowd_create(void) {
    struct crowd crowd = { .rig = rig_create("pte-chain", 1024) };
    assert_int_equal(vm_object_create_shm(crowd.rig->machine, PAGE, 1, &crowd.object), VM_OK);
    for (unsigned i = 0; i < MANY; i++) {
        crowd.spaces[i] = rig_space(crowd.rig, i);
        rig_map(crowd.spaces[i], AT, 1, crowd.object);
    }
    return crowd;
}

static void crowd_destroy(struct crowd *crowd) {
    vm_object_put(crowd->object);
    for (unsigned i = 0; i < MANY; i++)
        vm_exit(crowd->spaces[i]);
    assert_int_equal(rig_cache(crowd->rig, "pte chains").live, 0);
    rig_destroy(crowd->rig);
}

static uint64_t nodes(const struct crowd *crowd) {
    return rig_cache(crowd->rig, "pte chains").live;
}

struct seen {
    unsigned times[MANY];
};

static void note_space(const struct vm_mapped_at *place, void *context) {
    struct seen *seen = context;
    assert_int_equal(place->address, AT);
    seen->times[vm_space_id(place->space)]++;
}

/* The design names exactly the spaces that are in, each once. */
static void check_crowd(const struct crowd *crowd) {
    struct seen seen = { { 0 } };
    vm_page_mappings(crowd->rig->machine, crowd->frame, note_space, &seen);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(seen.times[i], crowd->in[i]);
}

/* Nothing for the first mapping, two in a node for the second, seven to a node after that. */
static void chains_grow_by_nodes_of_seven(void **state) {
    (void)state;
    struct crowd crowd = crowd_create();

    for (unsigned i = 0; i < MANY; i++) {
        enter(&crowd, i);
        uint64_t mappings = i + 1, expected = mappings == 1 ? 0 : (mappings + 6) / 7;
        assert_int_equal(nodes(&crowd), expected);
        assert_int_equal(rig_cache(crowd.rig, "pte chains").bytes, expected * 64);
        check_crowd(&crowd);
    }
    rig_verify(crowd.rig);

    struct vm_stats cost;
    assert_int_equal(rig_ask(crowd.rig, crowd.frame, &cost), MANY);
    assert_int_equal(cost.rmap.hits, MANY);
    assert_int_equal(cost.rmap.empty_walks, 0);
    assert_int_equal(cost.rmap.object_visits, (MANY + 6) / 7);
    crowd_destroy(&crowd);
}

/* 64 bytes for seven entries: 9.14 bytes each, as in the table of line sizes. */
static void a_full_node_costs_nine_bytes_an_entry(void **state) {
    (void)state;
    struct crowd crowd = crowd_create();

    for (unsigned i = 0; i < 35; i++)
        enter(&crowd, i);
    assert_int_equal(rig_cache(crowd.rig, "pte chains").bytes * 100 / 35, 914);
    crowd_destroy(&crowd);
}

/* Pages that are mapped once cost nothing at all. */
static void direct_pages_cost_nothing(void **state) {
    (void)state;
    struct rig *rig = rig_create("pte-chain", 1024);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, 200, NULL);
    rig_touch(space, AT, 200);
    assert_int_equal(rig_cache(rig, "pte chains").live, 0);
    struct vm_stats cost;
    assert_int_equal(rig_ask(rig, vm_frame_at(space, AT), &cost), 1);
    assert_int_equal(cost.rmap.object_visits, 1);
    rig_verify(rig);
    rig_destroy(rig);
}

/* Removal keeps chains packed, whatever the order. */
static void entries_leave_in_any_order(void **state) {
    (void)state;
    struct crowd crowd = crowd_create();

    for (unsigned stride = 1; stride < 8; stride++) {
        for (unsigned i = 0; i < 17; i++)
            enter(&crowd, i);
        for (unsigned k = 0; k < 17; k++) { /* 17 is prime: every stride visits all */
            leave(&crowd, k * stride % 17);
            uint64_t left = 16 - k;
            assert_int_equal(nodes(&crowd), (left + 6) / 7);
            check_crowd(&crowd);
        }
        assert_int_equal(nodes(&crowd), 0);
        rig_verify(crowd.rig);
    }
    crowd_destroy(&crowd);
}

static void leave_in_order(const unsigned order[ORDERED], void *context) {
    struct crowd *crowd = context;
    for (unsigned i = 0; i < ORDERED; i++)
        enter(crowd, i);
    for (unsigned i = 0; i < ORDERED; i++) {
        leave(crowd, order[i]);
        check_crowd(crowd);
    }
}

/* They live in one node. */
static void five_leave_in_every_order(void **state) {
    (void)state;
    struct crowd crowd = crowd_create();
    unsigned order[ORDERED] = { 0, 1, 2, 3, 4 };

    each_order(order, 0, leave_in_order, &crowd);
    assert_int_equal(nodes(&crowd), 0);
    crowd_destroy(&crowd);
}

/* ---- walks that change the chain */

struct unmapping {
    struct crowd *crowd;
    unsigned keep_every; /* 0: keep none */
    unsigned shown;
};

static enum vm_step unmap_some(const struct vm_mapping *mapping, void *context) {
    struct unmapping *unmapping = context;
    struct vm_machine *machine = unmapping->crowd->rig->machine;
    unsigned id = (unsigned)mapping->area->space->id;

    unmapping->shown++;
    assert_true(unmapping->crowd->in[id]);
    if (unmapping->keep_every && id % unmapping->keep_every == 0)
        return VM_STEP_ON;
    vm_pte_exchange(machine, mapping->entry, 0);
    vm_table_account(mapping->leaf.table, -1, -1);
    vm_page_adjust(machine, vm_page_of(machine, unmapping->crowd->frame),
                   (uint64_t)0 - VM_ONE_MAPPING);
    unmapping->crowd->in[id] = false;
    return VM_STEP_UNMAPPED;
}

static void walk(struct crowd *crowd, enum vm_walk_kind kind, vm_mapping_visit *visit,
                 void *context) {
    struct vm_machine *machine = crowd->rig->machine;
    struct vm_page *page = vm_page_of(machine, crowd->frame);
    vm_page_lock(machine, page);
    assert_int_equal(vm_rmap_walk(machine, page, kind, visit, context), VM_WALKED_ALL);
    vm_page_unlock(machine, page);
}

/* Each entry is shown once, though removals move others about behind the walker. */
static void a_walk_may_unmap_on_its_way(void **state) {
    (void)state;
    struct crowd crowd = crowd_create();

    for (unsigned members = 1; members <= MANY; members++)
        for (unsigned keep_every = 0; keep_every < 6; keep_every++) {
            for (unsigned i = 0; i < members; i++)
                enter(&crowd, i);
            struct unmapping unmapping = { &crowd, keep_every, 0 };
            walk(&crowd, VM_WALK_ALL, unmap_some, &unmapping);
            assert_int_equal(unmapping.shown, members);
            unsigned kept = keep_every ? (members + keep_every - 1) / keep_every : 0;
            assert_int_equal(nodes(&crowd), kept == 1 ? 0 : (kept + 6) / 7);
            check_crowd(&crowd);
            for (unsigned i = 0; i < members; i++)
                if (crowd.in[i])
                    leave(&crowd, i);
        }
    crowd_destroy(&crowd);
}

static enum vm_step stop_at_third(const struct vm_mapping *mapping, void *context) {
    (void)mapping;
    return ++*(unsigned *)context == 3 ? VM_STEP_STOP : VM_STEP_ON;
}

static void a_walk_may_stop(void **state) {
    (void)state;
    struct crowd crowd = crowd_create();
    unsigned shown = 0;

    for (unsigned i = 0; i < 20; i++)
        enter(&crowd, i);
    walk(&crowd, VM_WALK_ALL, stop_at_third, &shown);
    assert_int_equal(shown, 3);
    rig_verify(crowd.rig); /* no mark was left behind */
    crowd_destroy(&crowd);
}

static enum vm_step count_step(const struct vm_mapping *mapping, void *context) {
    (void)mapping;
    ++*(uint64_t *)context;
    return VM_STEP_ON;
}

static uint64_t age(struct crowd *crowd) {
    uint64_t shown = 0;
    walk(crowd, VM_WALK_ALL, count_step, &shown);
    return shown;
}

/* From two entries to one nothing changes, until a walk comes by that is not just looking. */
static void a_walk_makes_a_lone_entry_direct_again(void **state) {
    (void)state;
    struct crowd crowd = crowd_create();

    enter(&crowd, 0);
    enter(&crowd, 1);
    leave(&crowd, 0);
    assert_int_equal(nodes(&crowd), 1);
    check_crowd(&crowd);
    rig_verify(crowd.rig);
    assert_int_equal(nodes(&crowd), 1);
    assert_int_equal(age(&crowd), 1);
    assert_int_equal(nodes(&crowd), 0);
    check_crowd(&crowd);
    enter(&crowd, 2);
    check_crowd(&crowd);
    assert_int_equal(nodes(&crowd), 1);
    crowd_destroy(&crowd);
}

/* ---- the engine's own events */

/* mremap renames entries in place: no node more, no node less. */
static void moving_renames_entries(void **state) {
    (void)state;
    struct rig *rig = rig_create("pte-chain", 2048);
    struct vm_space *parent = rig_space(rig, 1);
    uint64_t to = AT + 600 * PAGE, result;

    rig_map(parent, AT, 100, NULL);
    rig_touch(parent, AT, 100);
    struct vm_space *child = rig_fork(parent, 2);
    uint64_t chained = rig_cache(rig, "pte chains").live;
    assert_int_equal(chained, 100);
    assert_int_equal(vm_mremap(child, AT, 100 * PAGE, 100 * PAGE,
                               VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, to, &result),
                     VM_OK);
    assert_int_equal(rig_cache(rig, "pte chains").live, chained);
    assert_int_equal(vm_frame_at(child, to), vm_frame_at(parent, AT));
    struct vm_stats cost;
    assert_int_equal(rig_ask(rig, vm_frame_at(parent, AT), &cost), 2);
    rig_verify(rig);
    rig_destroy(rig);
}

/* Every page of a parent with many children, taken away by reclaim through its chain. */
static void reclaim_empties_chains(void **state) {
    (void)state;
    struct rig *rig = rig_create("pte-chain", 2048);
    struct vm_space *parent = rig_space(rig, 100), *children[20];

    rig_map(parent, AT, 100, NULL);
    rig_touch(parent, AT, 100);
    for (unsigned i = 0; i < 20; i++)
        children[i] = rig_fork(parent, i);
    assert_int_equal(rig_cache(rig, "pte chains").live, 300);
    rig_verify(rig);
    vm_reclaim(rig->machine, 2048);
    rig_verify(rig);
    assert_int_equal(rig_cache(rig, "pte chains").live, 0);
    for (unsigned i = 0; i < 20; i++) {
        rig_touch(children[i], AT, 50);
        vm_exit(children[i]);
        rig_verify(rig);
    }
    vm_exit(parent);
    rig_destroy(rig);
}

/* A parent's page from after its children were born is its alone: one look. */
static void late_pages_of_a_parent_take_one_look(void **state) {
    (void)state;
    struct rig *rig = rig_create("pte-chain", 2048);
    struct vm_space *parent = rig_space(rig, 1000);

    rig_map(parent, AT, 2, NULL);
    rig_touch(parent, AT, 1);
    for (unsigned i = 0; i < 50; i++)
        rig_fork(parent, i);
    rig_touch(parent, AT + PAGE, 1);
    struct vm_stats cost;
    assert_int_equal(rig_ask(rig, vm_frame_at(parent, AT + PAGE), &cost), 1);
    assert_int_equal(cost.rmap.object_visits, 1);
    assert_int_equal(cost.rmap.empty_walks, 0);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_grow_by_nodes_of_seven),
        cmocka_unit_test(a_full_node_costs_nine_bytes_an_entry),
        cmocka_unit_test(direct_pages_cost_nothing),
        cmocka_unit_test(entries_leave_in_any_order),
        cmocka_unit_test(five_leave_in_every_order),
        cmocka_unit_test(a_walk_may_unmap_on_its_way),
        cmocka_unit_test(a_walk_may_stop),
        cmocka_unit_test(a_walk_makes_a_lone_entry_direct_again),
        cmocka_unit_test(moving_renames_entries),
        cmocka_unit_test(reclaim_empties_chains),
        cmocka_unit_test(late_pages_of_a_parent_take_one_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
