/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * interval_tree_test.c - the areas found for a range, against looking at all of them.
 */
#include "rig.h"

void vm_object_unmap_from(struct vm_object *object, uint64_t first) {
    (void)object;
    (void)first;
    fail();
}

enum { AREAS = 300, OFFSETS = 3000, LONGEST = 200, STEPS = 20000 };

struct bench {
    struct rig *rig;
    const struct vm_index_kind *kind;
    struct vm_area_index *index;
    struct vm_area *areas[AREAS];
    bool inside[AREAS];
};

static struct vm_area *new_area(const struct vm_index_kind *kind) {
    struct vm_area *area = calloc(1, sizeof *area + kind->area_bytes);
    assert_non_null(area);
    return area;
}

static void set_range(struct vm_area *area, uint64_t pgoff, uint64_t pages) {
    area->pgoff = pgoff;
    area->start = UINT64_C(0x10000000);
    area->end = area->start + pages * VM_PAGE_SIZE;
}

static void bench_init(struct bench *bench) {
    bench->rig = rig_create((struct rig_plan){ .frames = 64, .cpus = 1 });
    bench->kind = vm_index_kind_named("interval-tree");
    assert_ptr_equal(bench->kind, vm_index_kind_named(NULL));
    bench->index = malloc(bench->kind->object_bytes);
    assert_non_null(bench->index);
    bench->kind->init(bench->index);
    for (unsigned i = 0; i < AREAS; i++) {
        bench->areas[i] = new_area(bench->kind);
        bench->inside[i] = false;
    }
}

static void bench_fini(struct bench *bench) {
    for (unsigned i = 0; i < AREAS; i++) {
        if (bench->inside[i])
            bench->kind->remove(bench->rig->machine, bench->index, bench->areas[i]);
        assert_true(bench->kind->check(bench->index));
        free(bench->areas[i]);
    }
    free(bench->index);
    rig_destroy(bench->rig);
}

struct found {
    struct vm_area *areas[AREAS];
    unsigned count, stop_at;
};

static bool collect(struct vm_area *area, void *context) {
    struct found *found = context;
    found->areas[found->count++] = area;
    return found->count != found->stop_at;
}

static struct found look(struct bench *bench, uint64_t first, uint64_t last, unsigned stop_at) {
    struct found found = { .stop_at = stop_at };
    bench->kind->each(bench->rig->machine, bench->index, first, last, collect, &found);
    return found;
}

static bool overlaps(const struct vm_area *area, uint64_t first, uint64_t last) {
    return area->pgoff <= last && vm_area_last_index(area) >= first;
}

static void compare_with_all(struct bench *bench, uint64_t first, uint64_t last) {
    struct vm_stats *counts = &bench->rig->machine->cpus[0].counts;
    uint64_t visits = counts->rmap.object_visits, rejects = counts->rmap.range_rejects;
    struct found found = look(bench, first, last, 0);
    unsigned expected = 0, inside = 0, depth = 1;

    for (unsigned i = 0; i < AREAS; i++) {
        inside += bench->inside[i];
        expected += bench->inside[i] && overlaps(bench->areas[i], first, last);
    }
    assert_int_equal(found.count, expected);
    for (unsigned i = 0; i < found.count; i++) {
        assert_true(overlaps(found.areas[i], first, last));
        assert_true(i == 0 || found.areas[i - 1]->pgoff <= found.areas[i]->pgoff);
        for (unsigned j = 0; j < i; j++)
            assert_ptr_not_equal(found.areas[j], found.areas[i]);
    }
    visits = counts->rmap.object_visits - visits;
    rejects = counts->rmap.range_rejects - rejects;
    assert_int_equal(visits, expected + rejects);
    while (1u << depth <= inside)
        depth++;
    assert_true(rejects <= (expected + 1) * (depth * 3 / 2)); /* an AVL tree's height */
}

static void change_one(struct bench *bench, struct rig_random *random) {
    struct vm_machine *machine = bench->rig->machine;
    unsigned i = (unsigned)rig_below(random, AREAS);

    if (bench->inside[i]) {
        bench->kind->remove(machine, bench->index, bench->areas[i]);
    } else {
        uint64_t pages = rig_below(random, 20) ? 1 + rig_below(random, 8) : LONGEST;
        set_range(bench->areas[i], rig_below(random, OFFSETS), pages);
        bench->kind->insert(machine, bench->index, bench->areas[i]);
    }
    bench->inside[i] = !bench->inside[i];
}

static void it_finds_what_is_there(void **state) {
    (void)state;
    struct bench bench;
    struct rig_random random = { 3 };

    bench_init(&bench);
    compare_with_all(&bench, 0, UINT64_MAX);
    for (int i = 0; i < STEPS; i++) {
        change_one(&bench, &random);
        uint64_t first = rig_below(&random, OFFSETS + LONGEST);
        uint64_t pages = rig_below(&random, 4) ? 0 : rig_below(&random, OFFSETS);
        compare_with_all(&bench, first, first + pages);
        if (i % 64 == 0)
            assert_true(bench.kind->check(bench.index));
    }
    compare_with_all(&bench, 0, UINT64_MAX);
    bench_fini(&bench);
}

static void it_reaches_the_last_offset(void **state) {
    (void)state;
    struct bench bench;

    bench_init(&bench);
    set_range(bench.areas[0], UINT64_MAX, 1);
    set_range(bench.areas[1], UINT64_MAX - 9, 10);
    set_range(bench.areas[2], 0, 1);
    for (unsigned i = 0; i < 3; i++) {
        bench.kind->insert(bench.rig->machine, bench.index, bench.areas[i]);
        bench.inside[i] = true;
    }
    compare_with_all(&bench, UINT64_MAX, UINT64_MAX);
    assert_int_equal(look(&bench, UINT64_MAX, UINT64_MAX, 0).count, 2);
    assert_int_equal(look(&bench, 0, 0, 0).count, 1);
    assert_int_equal(look(&bench, 1, UINT64_MAX - 10, 0).count, 0);
    bench_fini(&bench);
}

/* Processes that map the same file at the same offset: the oldest first, and no rejects. */
static void equal_ranges_come_in_their_order(void **state) {
    (void)state;
    struct bench bench;

    bench_init(&bench);
    for (unsigned i = 0; i < AREAS; i++) {
        set_range(bench.areas[i], 5, 10);
        bench.kind->insert(bench.rig->machine, bench.index, bench.areas[i]);
        bench.inside[i] = true;
    }
    struct found found = look(&bench, 14, 14, 0);
    assert_int_equal(found.count, AREAS);
    assert_memory_equal(found.areas, bench.areas, sizeof bench.areas);
    assert_int_equal(bench.rig->machine->cpus[0].counts.rmap.range_rejects, 0);
    bench_fini(&bench);
}

static void the_visitor_may_stop(void **state) {
    (void)state;
    struct bench bench;

    bench_init(&bench);
    for (unsigned i = 0; i < AREAS; i++) {
        set_range(bench.areas[i], i, 50);
        bench.kind->insert(bench.rig->machine, bench.index, bench.areas[i]);
        bench.inside[i] = true;
    }
    for (unsigned stop_at = 1; stop_at <= 50; stop_at++)
        assert_int_equal(look(&bench, 100, 100, stop_at).count, stop_at);
    assert_int_equal(look(&bench, 100, 100, 51).count, 50);
    bench_fini(&bench);
}

static void names_are_known(void **state) {
    (void)state;
    assert_null(vm_index_kind_named("interval"));
    assert_null(vm_index_kind_named("interval-trees"));
    assert_null(vm_index_kind_named(""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_finds_what_is_there),
        cmocka_unit_test(it_reaches_the_last_offset),
        cmocka_unit_test(equal_ranges_come_in_their_order),
        cmocka_unit_test(the_visitor_may_stop),
        cmocka_unit_test(names_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
