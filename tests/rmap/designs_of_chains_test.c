/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * designs_of_chains_test.c - the designs that list each page's entries, side by side: bytes a mapping
 * costs, what removal costs in which order, and mistakes that others have made with them.
 */
#include "orders.h"
#include "rig.h"

#include "posix/failing.h"

#define MANY 40
#define AT   UINT64_C(0x10000)

static const char *const designs[] = { "pte-chain-list", "pte-chain-direct", "pte-chain", "shadow",
                                       "objrmap-partial" };

#define DESIGNS (sizeof designs / sizeof designs[0])

static bool is(const char *design, const char *name) {
    return strcmp(design, name) == 0;
}

static struct rig_cache records(struct rig *rig, const char *design) {
    return rig_cache(rig, is(design, "shadow") ? "shadow pages" : "pte chains");
}

static uint64_t removal_visits(struct rig *rig) {
    return rig_stats(rig).rmap.removal_visits;
}

/* ---------------------------------------------------------------- a family: all map the same pages */

struct family {
    struct rig *rig;
    struct vm_space *parent, *child[MANY];
};

static struct family family_create(const char *design, unsigned children, uint64_t pages) {
    struct family family = { .rig = rig_create(design, 2048) };

    family.parent = rig_space(family.rig, 1000);
    rig_map(family.parent, AT, pages, NULL);
    rig_touch(family.parent, AT, pages);
    for (unsigned i = 0; i < children; i++)
        family.child[i] = rig_fork(family.parent, i);
    return family;
}

/* => the children are gone */
static void family_destroy(struct family *family, const char *design) {
    vm_exit(family->parent);
    assert_int_equal(records(family->rig, design).live, 0);
    rig_verify(family->rig);
    rig_destroy(family->rig);
}

static uint64_t bytes_for(const char *design, uint64_t mappings) {
    if (is(design, "pte-chain-list"))
        return 16 * mappings;
    if (is(design, "pte-chain-direct"))
        return mappings == 1 ? 0 : 16 * mappings;
    if (is(design, "shadow"))
        return 8192 * mappings; /* each space here has one leaf table */
    return mappings == 1 ? 0 : 64 * ((mappings + 6) / 7);
}

static void a_mapping_costs_what_the_table_says(void **state) {
    (void)state;
    for (size_t d = 0; d < DESIGNS; d++) {
        struct family family = family_create(designs[d], 0, 1);
        assert_int_equal(records(family.rig, designs[d]).bytes, bytes_for(designs[d], 1));
        for (unsigned i = 0; i < 34; i++) {
            family.child[i] = rig_fork(family.parent, i);
            assert_int_equal(records(family.rig, designs[d]).bytes, bytes_for(designs[d], i + 2));
        }
        rig_verify(family.rig);
        for (unsigned i = 0; i < 34; i++)
            vm_exit(family.child[i]);
        family_destroy(&family, designs[d]);
    }
}

/* Full nodes of a 64-byte line: 9.14 bytes an entry. */
static void full_lines_cost_nine_bytes_an_entry(void **state) {
    (void)state;
    assert_int_equal(bytes_for("pte-chain", 35) * 100 / 35, 914);
    struct family family = family_create("objrmap-partial", 34, 1);
    assert_int_equal(records(family.rig, "objrmap-partial").bytes * 100 / 35, 914);
    for (unsigned i = 0; i < 34; i++)
        vm_exit(family.child[i]);
    family_destroy(&family, "objrmap-partial");
}

static void pages_of_objects_cost_objrmap_nothing(void **state) {
    (void)state;
    struct rig *rig = rig_create("objrmap-partial", 2048);
    struct vm_object *object;
    struct vm_space *spaces[MANY];
    struct vm_stats cost;

    assert_int_equal(vm_object_create_shm(rig->machine, 8 * PAGE, 1, &object), VM_OK);
    for (unsigned i = 0; i < MANY; i++) {
        spaces[i] = rig_space(rig, i);
        rig_map(spaces[i], AT, 8, object);
        rig_touch(spaces[i], AT, 8);
    }
    assert_int_equal(records(rig, "objrmap-partial").live, 0);
    assert_int_equal(rig_stats(rig).rmap.chain_locks, 0);
    assert_int_equal(rig_ask(rig, vm_frame_at(spaces[0], AT), &cost), MANY);
    assert_int_equal(cost.rmap.hits, MANY);
    rig_verify(rig);
    for (unsigned i = 0; i < MANY; i++)
        vm_exit(spaces[i]);
    assert_int_equal(rig_stats(rig).rmap.chain_locks, 0);
    vm_object_put(object);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- the order of leaving */

enum order { LAST_FIRST, FIRST_FIRST };

/* Nodes looked at while all children of one page's family exit. */
static uint64_t cost_of_exits(const char *design, unsigned children, enum order order) {
    struct family family = family_create(design, children, 1);
    uint64_t before = removal_visits(family.rig);

    for (unsigned i = 0; i < children; i++)
        vm_exit(family.child[order == FIRST_FIRST ? i : children - 1 - i]);
    uint64_t visits = removal_visits(family.rig) - before;
    family_destroy(&family, design);
    return visits;
}

/* Newest first: whoever came last is found at once, whoever came first last of all. */
static void lists_are_quadratic_in_the_order_of_arrival(void **state) {
    (void)state;
    for (size_t d = 0; d < 2; d++)
        for (unsigned n = 10; n <= MANY; n += 10) {
            assert_int_equal(cost_of_exits(designs[d], n, LAST_FIRST), n);
            assert_int_equal(cost_of_exits(designs[d], n, FIRST_FIRST), n * (n + 1) / 2);
        }
}

/* Seven entries a look; and what fills the gaps at the end came last, so gaps are not found last. */
static void lines_divide_that_by_more_than_seven(void **state) {
    (void)state;
    assert_int_equal(cost_of_exits("pte-chain", MANY, LAST_FIRST), MANY);
    uint64_t visits = cost_of_exits("pte-chain", MANY, FIRST_FIRST);
    assert_in_range(visits, 2 * MANY, MANY * (MANY + 1) / 2 / 7);
}

static void shadow_pages_take_one_look_in_any_order(void **state) {
    (void)state;
    for (unsigned n = 1; n <= MANY; n++) {
        assert_int_equal(cost_of_exits("shadow", n, LAST_FIRST), n);
        assert_int_equal(cost_of_exits("shadow", n, FIRST_FIRST), n);
    }
}

/* ---------------------------------------------------------------- leaving in every order */

struct crowd {
    const char *design;
    struct rig *rig;
    struct vm_space *spaces[MANY];
    bool in[MANY];
    uint64_t frame; /* an anonymous page that all spaces map, the first one always */
};

static void note_space(const struct vm_mapped_at *place, void *context) {
    unsigned *times = context;
    assert_int_equal(place->address, AT);
    times[vm_space_id(place->space)]++;
}

/* The design names exactly the spaces that are in, each once. */
static void check_crowd(const struct crowd *crowd) {
    unsigned times[MANY] = { 0 };

    vm_page_mappings(crowd->rig->machine, crowd->frame, note_space, times);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(times[i], crowd->in[i]);
}

static void leave(struct crowd *crowd, unsigned i) {
    vm_exit(crowd->spaces[i]);
    crowd->in[i] = false;
}

static void fill(struct crowd *crowd, unsigned members) {
    for (unsigned i = 1; i < members; i++) {
        crowd->spaces[i] = rig_fork(crowd->spaces[0], i);
        crowd->in[i] = true;
    }
}

static struct crowd crowd_create(const char *design) {
    struct crowd crowd = { .design = design, .rig = rig_create(design, 2048) };

    crowd.spaces[0] = rig_space(crowd.rig, 0);
    rig_map(crowd.spaces[0], AT, 1, NULL);
    rig_touch(crowd.spaces[0], AT, 1);
    crowd.in[0] = true;
    crowd.frame = vm_frame_at(crowd.spaces[0], AT);
    return crowd;
}

static void leave_in_order(const unsigned order[ORDERED], void *context) {
    struct crowd *crowd = context;
    fill(crowd, 6);
    for (unsigned i = 0; i < ORDERED; i++) {
        leave(crowd, order[i]);
        check_crowd(crowd);
    }
}

static void five_leave_in_every_order(void **state) {
    (void)state;
    for (size_t d = 0; d < DESIGNS; d++) {
        struct crowd crowd = crowd_create(designs[d]);
        unsigned order[ORDERED] = { 1, 2, 3, 4, 5 };
        each_order(order, 0, leave_in_order, &crowd);
        rig_verify(crowd.rig);
        vm_exit(crowd.spaces[0]);
        assert_int_equal(records(crowd.rig, designs[d]).live, 0);
        rig_destroy(crowd.rig);
    }
}

/* ---------------------------------------------------------------- walks that change the chain */

struct unmapping {
    struct crowd *crowd;
    unsigned keep_every, shown;
};

static enum vm_step unmap_some(const struct vm_mapping *mapping, void *context) {
    struct unmapping *unmapping = context;
    struct vm_machine *machine = unmapping->crowd->rig->machine;
    unsigned id = (unsigned)mapping->area->space->id;

    unmapping->shown++;
    assert_true(unmapping->crowd->in[id]);
    if (id % unmapping->keep_every == 0)
        return VM_STEP_ON;
    vm_pte_exchange(machine, mapping->entry, 0);
    vm_table_account(mapping->leaf.table, -1, -1);
    vm_page_adjust(machine, vm_page_of(machine, unmapping->crowd->frame),
                   (uint64_t)0 - VM_ONE_MAPPING);
    unmapping->crowd->in[id] = false;
    return VM_STEP_UNMAPPED;
}

static void a_walk_may_unmap_on_its_way(void **state) {
    (void)state;
    for (size_t d = 0; d < DESIGNS; d++)
        for (unsigned keep_every = 1; keep_every < 6; keep_every++) {
            struct crowd crowd = crowd_create(designs[d]);
            struct unmapping unmapping = { &crowd, keep_every, 0 };
            struct vm_page *page = vm_page_of(crowd.rig->machine, crowd.frame);
            fill(&crowd, 20);
            vm_page_lock(crowd.rig->machine, page);
            assert_int_equal(
                vm_rmap_walk(crowd.rig->machine, page, VM_WALK_ALL, unmap_some, &unmapping),
                VM_WALKED_ALL);
            vm_page_unlock(crowd.rig->machine, page);
            assert_int_equal(unmapping.shown, 20);
            check_crowd(&crowd);
            for (unsigned i = 0; i < 20; i++)
                vm_exit(crowd.spaces[i]);
            assert_int_equal(records(crowd.rig, designs[d]).live, 0);
            rig_destroy(crowd.rig);
        }
}

/* Splits, moves within and between tables, and reclaim, with everything checked after each. */
static void entries_follow_their_pages(void **state) {
    (void)state;
    for (size_t d = 0; d < DESIGNS; d++) {
        struct family family = family_create(designs[d], 10, 100);
        struct vm_space *child = family.child[3];
        uint64_t far = AT + 600 * PAGE, result;

        assert_int_equal(vm_mremap(child, AT + 10 * PAGE, 50 * PAGE, 50 * PAGE,
                                   VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, far, &result),
                         VM_OK);
        rig_verify(family.rig);
        rig_touch(child, far, 20);
        assert_int_equal(vm_munmap(family.parent, AT + 20 * PAGE, 30 * PAGE), VM_OK);
        rig_verify(family.rig);
        vm_reclaim(family.rig->machine, 2048);
        rig_verify(family.rig);
        for (unsigned i = 0; i < 10; i++) {
            rig_touch(family.child[i], AT, 10);
            vm_exit(family.child[i]);
            rig_verify(family.rig);
        }
        family_destroy(&family, designs[d]);
    }
}

/* ---------------------------------------------------------------- shadow pages */

/* Memory is asked for when a table is made, and never when a page is mapped into it. */
static void shadow_pages_come_with_tables(void **state) {
    (void)state;
    struct rig *rig = rig_create("shadow", 2048);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, 0, 1024, NULL);
    assert_int_equal(records(rig, "shadow").live, 0);
    rig_touch(space, 0, 1);
    assert_int_equal(records(rig, "shadow").live, 1);
    rig_touch(space, 0, 512);
    assert_int_equal(records(rig, "shadow").live, 1);
    rig_touch(space, 512 * PAGE, 1);
    assert_int_equal(records(rig, "shadow").bytes, 2 * 8192);
    assert_int_equal(vm_munmap(space, 0, 512 * PAGE), VM_OK);
    assert_int_equal(records(rig, "shadow").live, 1);
    rig_verify(rig);
    rig_destroy(rig);
}

static void without_a_companion_there_is_no_table(void **state) {
    (void)state;
    struct posix_port posix;
    struct failing_port failing;
    struct vm_machine *machine;
    struct vm_space *space;
    uint64_t at;

    posix_port_init(&posix, 1);
    failing_port_init(&failing, &posix.port);
    struct vm_machine_config config = { .port = &failing.port, .frames = 1024, .design = "shadow" };
    assert_int_equal(vm_machine_create(&config, &machine, NULL), VM_OK);
    assert_int_equal(vm_space_create(machine, 1, &space), VM_OK);
    assert_int_equal(vm_mmap(space, 0, 512 * PAGE, RW, VM_MAP_PRIVATE | VM_MAP_FIXED, NULL, 0, &at),
                     VM_OK);
    failing_plan_set(&failing.allocate, FAIL_FROM_THERE_ON, 0);
    assert_int_equal(vm_touch(space, 0, 1, VM_WRITE, NULL), VM_OOM);
    assert_int_equal(vm_verify(machine, rig_print, NULL), 1); /* it has no memory, either */
    failing_plan_set(&failing.allocate, FAIL_NEVER, 0);
    assert_int_equal(vm_verify(machine, rig_print, NULL), 0);
    assert_int_equal(vm_touch(space, 0, 1, VM_WRITE, NULL), VM_OK);
    failing_plan_set(&failing.allocate, FAIL_FROM_THERE_ON, 0);
    assert_int_equal(vm_touch(space, 0, 512, VM_WRITE, NULL), VM_OK); /* the table is there */
    failing_plan_set(&failing.allocate, FAIL_NEVER, 0);
    assert_int_equal(vm_verify(machine, rig_print, NULL), 0);
    vm_machine_destroy(machine);
}

/* ---------------------------------------------------------------- the chain's lock */

static void one_lock_for_all_is_taken_as_often(void **state) {
    (void)state;
    uint64_t rounds[2];
    for (int lock = VM_CHAIN_LOCK_PAGE; lock <= VM_CHAIN_LOCK_GLOBAL; lock++) {
        struct posix_port posix;
        struct vm_machine *machine;
        struct vm_space *space, *child;
        struct vm_stats stats;
        uint64_t at;
        posix_port_init(&posix, 1);
        struct vm_machine_config config = { .port = &posix.port,
                                            .frames = 1024,
                                            .design = "pte-chain",
                                            .chain_lock = (enum vm_chain_lock)lock };
        assert_int_equal(vm_machine_create(&config, &machine, NULL), VM_OK);
        assert_int_equal(vm_space_create(machine, 1, &space), VM_OK);
        assert_int_equal(vm_mmap(space, AT, 10 * PAGE, RW, VM_MAP_PRIVATE, NULL, 0, &at), VM_OK);
        assert_int_equal(vm_touch(space, at, 10, VM_WRITE, NULL), VM_OK);
        assert_int_equal(vm_fork(space, 2, &child), VM_OK);
        vm_exit(child);
        assert_int_equal(vm_verify(machine, rig_print, NULL), 0);
        vm_stats_read(machine, &stats);
        rounds[lock] = stats.rmap.chain_locks;
        vm_machine_destroy(machine);
    }
    assert_int_equal(rounds[0], 30); /* ten pages mapped, copied, unmapped */
    assert_int_equal(rounds[1], rounds[0]);
}

static void designs_without_chains_refuse_a_lock_for_them(void **state) {
    (void)state;
    static const char *const others[] = { "virtual-scan", "anon-vma" };
    for (int i = 0; i < 2; i++) {
        struct posix_port posix;
        struct vm_machine *machine;
        const char *why = NULL;
        posix_port_init(&posix, 1);
        struct vm_machine_config config = { .port = &posix.port,
                                            .frames = 1024,
                                            .design = others[i],
                                            .chain_lock = VM_CHAIN_LOCK_GLOBAL };
        assert_int_equal(vm_machine_create(&config, &machine, &why), VM_EINVAL);
        assert_non_null(strstr(why, "no chains"));
    }
}

/* ---------------------------------------------------------------- what others got wrong */

/* Catalogue 1. Unmapping clears the entry first, so removal must not look there for the page. */
static void bug_1_entry_is_removed_after_it_was_cleared(void **state) {
    (void)state;
    for (size_t d = 0; d < DESIGNS; d++) {
        struct family family = family_create(designs[d], 3, 20);
        uint64_t frame = vm_frame_at(family.parent, AT + 5 * PAGE);
        assert_int_equal(vm_munmap(family.child[1], AT, 20 * PAGE), VM_OK);
        assert_int_equal(vm_page_mappings(family.rig->machine, frame, NULL, NULL), 3);
        assert_int_equal(vm_madvise(family.child[2], AT, 20 * PAGE, VM_MADV_DONTNEED), VM_OK);
        assert_int_equal(vm_page_mappings(family.rig->machine, frame, NULL, NULL), 2);
        rig_verify(family.rig);
        for (unsigned i = 0; i < 3; i++)
            vm_exit(family.child[i]);
        family_destroy(&family, designs[d]);
    }
}

#if VM_DEBUG >= 2
static const struct vm_design *watched;
static unsigned watched_calls;

static void watch(const struct vm_run *run) {
    const struct vm_cpu *cpu = vm_this_cpu(run->area->space->machine);
    assert_true(cpu->ranks_held[VM_RANK_TABLE] || cpu->ranks_held[VM_RANK_TABLE_SECOND]);
    watched_calls++;
}

static void watch_add(const struct vm_run *run, struct vm_reserve *reserve) {
    watch(run);
    watched->add(run, reserve);
}

static void watch_remove(const struct vm_run *run) {
    watch(run);
    watched->remove(run);
}

static void watch_duplicate(const struct vm_run *parent, const struct vm_run *child,
                            struct vm_reserve *reserve) {
    watch(child);
    assert_true(vm_this_cpu(child->area->space->machine)->ranks_held[VM_RANK_TABLE_SECOND]);
    watched->duplicate(parent, child, reserve);
}

static void watch_moved(const struct vm_run *from, const struct vm_run *to) {
    watch(to);
    watched->moved(from, to);
}
#endif

/* Catalogue 2. Entry and record change in one section of the table's lock. */
static void bug_2_entries_are_recorded_under_the_tables_lock(void **state) {
    (void)state;
#if VM_DEBUG >= 2
    struct rig *rig = rig_create("pte-chain-list", 2048);
    struct vm_design watching = *(watched = rig->machine->design);
    uint64_t result;

    watching.add = watch_add;
    watching.remove = watch_remove;
    watching.duplicate = watch_duplicate;
    watching.moved = watch_moved;
    rig->machine->design = &watching;
    struct vm_space *parent = rig_space(rig, 1);
    rig_map(parent, AT, 20, NULL);
    rig_touch(parent, AT, 20);
    struct vm_space *child = rig_fork(parent, 2);
    rig_touch(child, AT, 5);
    assert_int_equal(vm_mremap(child, AT, 20 * PAGE, 20 * PAGE, VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED,
                               AT + 600 * PAGE, &result),
                     VM_OK);
    vm_reclaim(rig->machine, 2048);
    rig_touch(child, result, 20);
    vm_exit(child);
    vm_exit(parent);
    assert_true(watched_calls > 30);
    rig->machine->design = watched;
    rig_destroy(rig);
#else
    skip(); /* only debug builds know which locks are held */
#endif
}

/* Catalogue 15. Truncation takes mapped pages away from their object: they must have been unmapped
 * everywhere by then, private copies included. */
static void bug_15_truncated_pages_are_mapped_nowhere(void **state) {
    (void)state;
    for (size_t d = 0; d < DESIGNS; d++) {
        struct rig *rig = rig_create(designs[d], 2048);
        struct vm_space *spaces[5];
        struct vm_object *object;
        uint64_t result;
        assert_int_equal(vm_object_create_shm(rig->machine, 20 * PAGE, 1, &object), VM_OK);
        for (unsigned i = 0; i < 5; i++) {
            spaces[i] = rig_space(rig, i);
            rig_map(spaces[i], AT, 20, object);
            rig_touch(spaces[i], AT, 20);
            assert_int_equal(vm_mmap(spaces[i], AT + 100 * PAGE, 20 * PAGE, RW,
                                     VM_MAP_PRIVATE | VM_MAP_FIXED, object, 0, &result),
                             VM_OK);
            rig_touch(spaces[i], result + 10 * PAGE, 5);
        }
        uint64_t frame = vm_frame_at(spaces[0], AT + 10 * PAGE);
        uint64_t copy = vm_frame_at(spaces[0], result + 10 * PAGE);
        assert_int_equal(vm_object_truncate(object, 10 * PAGE), VM_OK);
        assert_int_equal(vm_page_mappings(rig->machine, frame, NULL, NULL), 0);
        assert_int_equal(vm_page_mappings(rig->machine, copy, NULL, NULL), 0);
        assert_int_equal(vm_frame_at(spaces[3], AT + 10 * PAGE), VM_NO_FRAME);
        rig_verify(rig);
        for (unsigned i = 0; i < 5; i++)
            vm_exit(spaces[i]);
        assert_int_equal(records(rig, designs[d]).live, 0);
        vm_object_put(object);
        rig_destroy(rig);
    }
}

/* Catalogue 22. The zero page is mapped everywhere and recorded nowhere, coming and going. */
static void bug_22_the_zero_page_is_not_kept_track_of(void **state) {
    (void)state;
    for (size_t d = 0; d < DESIGNS; d++) {
        struct family family = family_create(designs[d], 0, 1);
        struct vm_page *zero = family.rig->machine->zero_page;
        uint64_t before = rig_stats(family.rig).rmap.chain_locks, result;

        rig_map(family.parent, AT + 20 * PAGE, 20, NULL);
        assert_int_equal(vm_touch(family.parent, AT + 20 * PAGE, 20, VM_READ, NULL), VM_OK);
        assert_int_equal(rig_stats(family.rig).rmap.chain_locks, before);
        struct vm_space *child = rig_fork(family.parent, 1);
        assert_int_equal(vm_mremap(child, AT + 20 * PAGE, 20 * PAGE, 20 * PAGE,
                                   VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, AT + 600 * PAGE, &result),
                         VM_OK);
        assert_int_equal(zero->rmap, 0);
        assert_int_equal(vm_page_mapcount(zero), 0);
        rig_touch(family.parent, AT + 20 * PAGE, 10); /* a real page takes its place */
        rig_verify(family.rig);
        vm_exit(child);
        assert_int_equal(zero->rmap, 0);
        family_destroy(&family, designs[d]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mapping_costs_what_the_table_says),
        cmocka_unit_test(full_lines_cost_nine_bytes_an_entry),
        cmocka_unit_test(pages_of_objects_cost_objrmap_nothing),
        cmocka_unit_test(lists_are_quadratic_in_the_order_of_arrival),
        cmocka_unit_test(lines_divide_that_by_more_than_seven),
        cmocka_unit_test(shadow_pages_take_one_look_in_any_order),
        cmocka_unit_test(five_leave_in_every_order),
        cmocka_unit_test(a_walk_may_unmap_on_its_way),
        cmocka_unit_test(entries_follow_their_pages),
        cmocka_unit_test(shadow_pages_come_with_tables),
        cmocka_unit_test(without_a_companion_there_is_no_table),
        cmocka_unit_test(one_lock_for_all_is_taken_as_often),
        cmocka_unit_test(designs_without_chains_refuse_a_lock_for_them),
        cmocka_unit_test(bug_1_entry_is_removed_after_it_was_cleared),
        cmocka_unit_test(bug_2_entries_are_recorded_under_the_tables_lock),
        cmocka_unit_test(bug_15_truncated_pages_are_mapped_nowhere),
        cmocka_unit_test(bug_22_the_zero_page_is_not_kept_track_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
