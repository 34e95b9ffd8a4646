/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * visits_test.c - what it takes to find a page's mappings, counted, in the cases where designs and
 * file indexes differ most. docs/designs and docs/file-index.md quote these numbers.
 */
#include "rig.h"

#define AT UINT64_C(0x10000000)

/* Areas, spaces or nodes looked at for the page at this address, which `found` entries map. */
static uint64_t visits(struct rig *rig, struct vm_space *space, uint64_t address, uint64_t found) {
    struct vm_stats cost;

    assert_int_equal(rig_ask(rig, vm_frame_at(space, address), &cost), found);
    return cost.rmap.object_visits;
}

/* ---------------------------------------------------------------- one file, many areas */

enum { SIDE = 100, WINDOW_PAGES = 4 };

/* Window w of the file, at an address of its own. */
static void map_window(struct vm_space *space, struct vm_object *object, uint64_t w) {
    uint64_t result;
    assert_int_equal(vm_mmap(space, AT + w * 2 * WINDOW_PAGES * PAGE, WINDOW_PAGES * PAGE, RW,
                             VM_MAP_SHARED | VM_MAP_FIXED, object, w * WINDOW_PAGES, &result),
                     VM_OK);
}

static uint64_t window_page(uint64_t w) {
    return AT + (w * 2 * WINDOW_PAGES + 1) * PAGE;
}

/* One process after the other maps the same hundred windows of a file. */
static struct rig *hundred_by_hundred(const char *file_index, struct vm_space **spaces) {
    static const uint64_t touched[] = { 0, SIDE / 2, SIDE - 1 };
    struct rig *rig = rig_create_as((struct vm_machine_config){
        .design = "anon-vma-chain", .file_index = file_index, .frames = 4096 });
    struct vm_object *object;

    assert_int_equal(vm_object_create_shm(rig->machine, SIDE * WINDOW_PAGES * PAGE, 1, &object),
                     VM_OK);
    for (uint64_t i = 0; i < SIDE; i++) {
        spaces[i] = rig_space(rig, i);
        for (uint64_t w = 0; w < SIDE; w++)
            map_window(spaces[i], object, w);
        for (unsigned j = 0; j < 3; j++)
            rig_touch(spaces[i], window_page(touched[j]), 1);
    }
    vm_object_put(object);
    return rig;
}

static void hundred_processes_by_hundred_windows(void **state) {
    (void)state;
    /* Looked at for a page of the first, the middle and the last window, at least and at most. */
    static const struct {
        const char *file_index;
        uint64_t least[3], most[3];
    } rows[] = {
        { "list", { 10000, 9950, 9901 }, { 10000, 9950, 9901 } },
        { "sorted", { 100, 5100, 10000 }, { 100, 5100, 10000 } },
        { "list-of-lists", { 100, 150, 199 }, { 100, 150, 199 } },
        { "prio-tree", { 100, 100, 100 }, { 110, 110, 110 } },
        { "interval-tree", { 100, 100, 100 }, { 110, 110, 110 } },
    };

    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vm_space *spaces[SIDE];
        struct rig *rig = hundred_by_hundred(rows[i].file_index, spaces);
        uint64_t seen[3] = { visits(rig, spaces[7], window_page(0), SIDE),
                             visits(rig, spaces[7], window_page(SIDE / 2), SIDE),
                             visits(rig, spaces[7], window_page(SIDE - 1), SIDE) };
        print_message("%-14s %5d %5d %5d\n", rows[i].file_index, (int)seen[0], (int)seen[1],
                      (int)seen[2]);
        for (unsigned j = 0; j < 3; j++)
            assert_in_range(seen[j], rows[i].least[j], rows[i].most[j]);
        rig_destroy(rig);
    }
}

/* One process, as many areas, no two alike: what trees are for. */
static void thousands_of_distinct_windows(void **state) {
    (void)state;
    enum { WINDOWS = 10000 };
    static const struct {
        const char *file_index;
        uint64_t first, middle, last; /* at most */
    } rows[] = {
        { "list", 10000, 5000, 1 },          { "sorted", 1, 5001, 10000 },
        { "list-of-lists", 1, 5001, 10000 }, { "prio-tree", 40, 40, 40 },
        { "interval-tree", 20, 20, 20 },
    };

    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig *rig = rig_create_as((struct vm_machine_config){
            .design = "anon-vma-chain", .file_index = rows[i].file_index, .frames = 4096 });
        struct vm_space *space = rig_space(rig, 1);
        struct vm_object *object;
        assert_int_equal(
            vm_object_create_shm(rig->machine, WINDOWS * WINDOW_PAGES * PAGE, 1, &object), VM_OK);
        for (uint64_t w = 0; w < WINDOWS; w++)
            map_window(space, object, w);
        rig_touch(space, window_page(0), 1);
        rig_touch(space, window_page(WINDOWS / 2), 1);
        rig_touch(space, window_page(WINDOWS - 1), 1);
        uint64_t first = visits(rig, space, window_page(0), 1);
        uint64_t middle = visits(rig, space, window_page(WINDOWS / 2), 1);
        uint64_t last = visits(rig, space, window_page(WINDOWS - 1), 1);
        print_message("%-14s %5d %5d %5d\n", rows[i].file_index, (int)first, (int)middle,
                      (int)last);
        assert_in_range(first, 1, rows[i].first);
        assert_in_range(middle, 1, rows[i].middle);
        assert_in_range(last, 1, rows[i].last);
        vm_object_put(object);
        rig_destroy(rig);
    }
}

/* ---------------------------------------------------------------- families */

enum { CHILDREN = 64 };

struct family {
    struct rig *rig;
    struct vm_space *parent, *children[CHILDREN];
};

/* The parent has touched the first page when it forks, and touches the second afterwards. */
static struct family family_create(const char *design) {
    struct family family = { .rig = rig_create(design, 4096) };

    family.parent = rig_space(family.rig, 1000);
    rig_map(family.parent, AT, 4, NULL);
    rig_touch(family.parent, AT, 1);
    for (unsigned i = 0; i < CHILDREN; i++)
        family.children[i] = rig_fork(family.parent, i);
    rig_touch(family.parent, AT + PAGE, 1);
    return family;
}

/* Everybody but the keeper writes to the first page, and so has a copy. */
static uint64_t kept_by_one_child(const char *design, unsigned keeper) {
    struct family family = family_create(design);

    rig_touch(family.parent, AT, 1);
    for (unsigned i = 0; i < CHILDREN; i++)
        if (i != keeper)
            rig_touch(family.children[i], AT, 1);
    uint64_t looked_at = visits(family.rig, family.children[keeper], AT, 1);
    rig_verify(family.rig);
    rig_destroy(family.rig);
    return looked_at;
}

/* A page that the parent touched after the forks; a copy that a child made of an early one; and an
 * early one that only the first, a middle or the last child still has. */
static void forking_server(void **state) {
    (void)state;
    static const struct {
        const char *design;
        uint64_t late_parent, childs_copy, first_child, middle_child, last_child;
    } rows[] = {
        { "anon-vma", CHILDREN + 1, CHILDREN / 2, CHILDREN, CHILDREN / 2, 1 },
        { "anon-vma-chain", 1, 1, 2, CHILDREN / 2 + 2, CHILDREN + 1 },
    };

    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct family family = family_create(rows[i].design);
        assert_int_equal(visits(family.rig, family.parent, AT + PAGE, 1), rows[i].late_parent);
        rig_touch(family.children[CHILDREN / 2], AT, 1);
        assert_int_equal(visits(family.rig, family.children[CHILDREN / 2], AT, 1),
                         rows[i].childs_copy);
        assert_int_equal(visits(family.rig, family.parent, AT, CHILDREN), CHILDREN + 1);
        rig_destroy(family.rig);

        assert_int_equal(kept_by_one_child(rows[i].design, 0), rows[i].first_child);
        assert_int_equal(kept_by_one_child(rows[i].design, CHILDREN / 2), rows[i].middle_child);
        assert_int_equal(kept_by_one_child(rows[i].design, CHILDREN - 1), rows[i].last_child);
    }
}

/* What the last child inherited and all others have replaced costs a visit to each of them, until the
 * child writes: then it is known to be its own. */
static void inherited_page_is_written(void **state) {
    (void)state;
    struct family family = family_create("anon-vma-chain");
    struct vm_space *keeper = family.children[CHILDREN - 1];

    rig_touch(family.parent, AT, 1);
    for (unsigned i = 0; i < CHILDREN - 1; i++)
        rig_touch(family.children[i], AT, 1);
    assert_int_equal(visits(family.rig, keeper, AT, 1), CHILDREN + 1);
    rig_touch(keeper, AT, 1);
    assert_int_equal(visits(family.rig, keeper, AT, 1), 1);
    rig_verify(family.rig);
    rig_destroy(family.rig);
}

/* A thousand generations, each the only child of the one before, which then goes: the bytes that the
 * chains need do not grow, and each page is found at the first look. */
static void deep_fork(void **state) {
    (void)state;
    enum { GENERATIONS = 1000 };
    struct rig *rig = rig_create("anon-vma-chain", 1024);
    struct vm_space *space = rig_space(rig, 0);

    rig_map(space, AT, 4, NULL);
    rig_touch(space, AT, 4);
    for (unsigned generation = 1; generation <= GENERATIONS; generation++) {
        struct vm_space *child = rig_fork(space, generation);
        vm_exit(space);
        space = child;
        rig_touch(space, AT + generation % 4 * PAGE, 1);
        assert_true(rig_cache(rig, "anon_vma").bytes <= 3 * 40);
        assert_true(rig_cache(rig, "anon_vma_chain").bytes <= 3 * 56);
    }
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(visits(rig, space, AT + i * PAGE, 1), 1);
    rig_verify(rig);
    rig_destroy(rig);
}

/* All generations live on: what the root touched, and only the leaf still has, costs a look each. */
static void living_generations(void **state) {
    (void)state;
    enum { GENERATIONS = 16 };
    struct rig *rig = rig_create("anon-vma-chain", 1024);
    struct vm_space *spaces[GENERATIONS + 1];

    spaces[0] = rig_space(rig, 0);
    rig_map(spaces[0], AT, 4, NULL);
    rig_touch(spaces[0], AT, 1);
    for (unsigned i = 1; i <= GENERATIONS; i++)
        spaces[i] = rig_fork(spaces[i - 1], i);
    for (unsigned i = 0; i < GENERATIONS; i++)
        rig_touch(spaces[i], AT, 1);
    assert_int_equal(visits(rig, spaces[GENERATIONS], AT, 1), GENERATIONS + 1);
    rig_touch(spaces[GENERATIONS], AT + PAGE, 1);
    assert_int_equal(visits(rig, spaces[GENERATIONS], AT + PAGE, 1), 1);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hundred_processes_by_hundred_windows),
        cmocka_unit_test(thousands_of_distinct_windows),
        cmocka_unit_test(forking_server),
        cmocka_unit_test(inherited_page_is_written),
        cmocka_unit_test(deep_fork),
        cmocka_unit_test(living_generations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
