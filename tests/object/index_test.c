/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_test.c - every kind of area index: the areas found for a range, and what finding them cost,
 * against looking at all of them.
 *
 * Each test runs for each row of the table below. A row also says how many areas a search of that
 * kind may look at in vain.
 */
#include "rig.h"

#include "harness/dice.h"

enum { AREAS = 4000, STEPS = 6000, FEW = 300 };

struct kind;

struct bench {
    struct rig *rig;
    const struct kind *row;
    const struct vm_index_kind *kind;
    struct vm_area_index *index;
    unsigned count; /* of areas in use by the test */
    struct vm_area *areas[AREAS];
    bool inside[AREAS];
};

/* What there is, as seen without the index. */
struct survey {
    uint64_t inside, matching;
    uint64_t before;    /* inside that start at `last` or before */
    uint64_t later;     /* one if some start later */
    uint64_t not_equal; /* distinct ranges that start at `last` or before and do not match */
};

struct kind {
    const char *name;
    size_t object_bytes, area_bytes;
    bool by_first; /* visits by rising first offset */
    bool oldest_first;
    bool exact; /* else `rejects` is a limit */
    uint64_t (*rejects)(const struct survey *survey);
};

static uint64_t log2_up(uint64_t n) {
    uint64_t bits = 0;
    while (n >> bits)
        bits++;
    return bits;
}

static uint64_t all_others(const struct survey *survey) {
    return survey->inside - survey->matching;
}

static uint64_t all_up_to_the_first_behind(const struct survey *survey) {
    return survey->before - survey->matching + survey->later;
}

static uint64_t ranges_up_to_the_first_behind(const struct survey *survey) {
    return survey->not_equal + survey->later;
}

/* A path where starts straddle the end of the search, and two children for what was found. */
static uint64_t twice_the_bits(const struct survey *survey) {
    return 2 * (survey->matching + 64 + 64);
}

static uint64_t height_of_a_balanced_tree(const struct survey *survey) {
    return (survey->matching + 1) * (log2_up(survey->inside) * 3 / 2 + 1);
}

static const struct kind kinds[] = {
    { "list", 32, 16, false, false, true, all_others },
    { "sorted", 16, 16, true, true, true, all_up_to_the_first_behind },
    { "list-of-lists", 16, 32, true, true, true, ranges_up_to_the_first_behind },
    { "prio-tree", 16, 32, false, true, false, twice_the_bits },
    { "interval-tree", 8, 32, true, true, false, height_of_a_balanced_tree },
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

static struct vm_area *new_area(const struct vm_index_kind *kind) {
    struct vm_area *area = calloc(1, sizeof *area + kind->area_bytes);
    assert_non_null(area);
    memset(area + 1, 0xa5, kind->area_bytes);
    return area;
}

static void set_range(struct vm_area *area, uint64_t pgoff, uint64_t pages) {
    area->pgoff = pgoff;
    area->start = UINT64_C(0x10000000);
    area->end = area->start + pages * VM_PAGE_SIZE;
}

static void bench_init(struct bench *bench, const struct kind *row) {
    memset(bench, 0, sizeof *bench);
    bench->rig = rig_create((struct rig_plan){ .frames = 64, .cpus = 1 });
    bench->row = row;
    bench->kind = vm_index_kind_named(row->name);
    assert_non_null(bench->kind);
    assert_string_equal(bench->kind->name, row->name);
    bench->index = malloc(bench->kind->object_bytes);
    assert_non_null(bench->index);
    bench->kind->init(bench->index);
    assert_true(bench->kind->check(bench->index));
}

static struct vm_area *area_at(struct bench *bench, unsigned i) {
    while (bench->count <= i)
        bench->areas[bench->count++] = new_area(bench->kind);
    return bench->areas[i];
}

static void put_in(struct bench *bench, unsigned i, uint64_t pgoff, uint64_t pages) {
    assert_false(bench->inside[i]);
    set_range(area_at(bench, i), pgoff, pages);
    bench->kind->insert(bench->rig->machine, bench->index, bench->areas[i]);
    bench->inside[i] = true;
}

static void take_out(struct bench *bench, unsigned i) {
    bench->kind->remove(bench->rig->machine, bench->index, bench->areas[i]);
    bench->inside[i] = false;
}

static void bench_fini(struct bench *bench) {
    for (unsigned i = 0; i < bench->count; i++) {
        if (bench->inside[i])
            take_out(bench, i);
        if (i % 64 == 0 || bench->count < FEW)
            assert_true(bench->kind->check(bench->index));
        free(bench->areas[i]);
    }
    assert_true(bench->kind->check(bench->index));
    free(bench->index);
    rig_destroy(bench->rig);
}

static struct found {
    struct vm_area *areas[AREAS];
    unsigned count, stop_at;
} found;

static bool collect(struct vm_area *area, void *context) {
    struct found *into = context;
    assert_true(into->count < AREAS);
    into->areas[into->count++] = area;
    return into->count != into->stop_at;
}

static unsigned look(struct bench *bench, uint64_t first, uint64_t last, unsigned stop_at) {
    found.count = 0;
    found.stop_at = stop_at;
    bench->kind->each(bench->rig->machine, bench->index, first, last, collect, &found);
    return found.count;
}

static bool overlaps(const struct vm_area *area, uint64_t first, uint64_t last) {
    return area->pgoff <= last && vm_area_last_index(area) >= first;
}

static bool same_range(const struct vm_area *a, const struct vm_area *b) {
    return a->pgoff == b->pgoff && vm_area_last_index(a) == vm_area_last_index(b);
}

static bool is_first_of_its_range(const struct bench *bench, unsigned i) {
    for (unsigned j = 0; j < i; j++)
        if (bench->inside[j] && same_range(bench->areas[i], bench->areas[j]))
            return false;
    return true;
}

static struct survey survey_all(const struct bench *bench, uint64_t first, uint64_t last) {
    bool count_ranges = bench->row->rejects == ranges_up_to_the_first_behind;
    struct survey survey = { 0 };

    for (unsigned i = 0; i < bench->count; i++) {
        if (!bench->inside[i])
            continue;
        bool matches = overlaps(bench->areas[i], first, last);
        bool before = bench->areas[i]->pgoff <= last;
        survey.inside++;
        survey.matching += matches;
        survey.before += before;
        survey.later |= !before;
        survey.not_equal += count_ranges && before && !matches && is_first_of_its_range(bench, i);
    }
    return survey;
}

static int by_address(const void *a, const void *b) {
    uintptr_t x = (uintptr_t) * (void *const *)a, y = (uintptr_t) * (void *const *)b;
    return x < y ? -1 : x > y;
}

static void check_found(struct bench *bench, uint64_t first, uint64_t last) {
    for (unsigned i = 0; i < found.count; i++) {
        assert_true(overlaps(found.areas[i], first, last));
        if (bench->row->by_first && i > 0)
            assert_true(found.areas[i - 1]->pgoff <= found.areas[i]->pgoff);
    }
    qsort(found.areas, found.count, sizeof found.areas[0], by_address);
    for (unsigned i = 1; i < found.count; i++)
        assert_ptr_not_equal(found.areas[i - 1], found.areas[i]);
}

static void compare_with_all(struct bench *bench, uint64_t first, uint64_t last) {
    struct vm_stats *counts = &bench->rig->machine->cpus[0].counts;
    uint64_t visits = counts->rmap.object_visits, rejects = counts->rmap.range_rejects;
    struct survey survey = survey_all(bench, first, last);

    assert_int_equal(look(bench, first, last, 0), survey.matching);
    check_found(bench, first, last);
    visits = counts->rmap.object_visits - visits;
    rejects = counts->rmap.range_rejects - rejects;
    assert_int_equal(visits, survey.matching + rejects);
    if (bench->row->exact)
        assert_int_equal(rejects, bench->row->rejects(&survey));
    else
        assert_true(rejects <= bench->row->rejects(&survey));
}

/* ---------------------------------------------------------------- drawings */

/* How a random area is drawn. */
struct mix {
    unsigned areas;
    uint64_t offsets; /* firsts are below this */
    uint64_t longest; /* one in twenty is that long, the others up to 8 pages */
    uint64_t grain;   /* firsts are multiples: few distinct ranges */
    bool huge;        /* offsets of all magnitudes */
};

static void draw_area(struct bench *bench, unsigned i, const struct mix *mix, struct dice *random) {
    uint64_t first = dice_below(random, mix->offsets) / mix->grain * mix->grain;
    uint64_t pages = dice_below(random, 20) ? 1 + dice_below(random, 8) : mix->longest;

    if (mix->huge) {
        first = dice_roll(random) >> dice_below(random, 64);
        pages = 1 + (dice_roll(random) >> (12 + dice_below(random, 52)));
        if (first + (pages - 1) < first)
            pages = 1 + (UINT64_MAX - first) % (UINT64_C(1) << 50);
    }
    area_at(bench, i)->flags = dice_below(random, 2) ? VM_AREA_SHARED : 0;
    put_in(bench, i, first, pages);
}

/* Areas come and go at random, and each look is compared. */
static void run_mix(const struct kind *row, const struct mix *mix) {
    static struct bench bench;
    struct dice random = { 3 };
    unsigned steps = mix->areas > FEW ? STEPS / 10 : STEPS;

    bench_init(&bench, row);
    compare_with_all(&bench, 0, UINT64_MAX);
    for (unsigned i = 0; i < mix->areas; i += 1 + mix->areas / FEW)
        draw_area(&bench, i, mix, &random);
    for (unsigned i = 0; i < steps; i++) {
        unsigned which = (unsigned)dice_below(&random, mix->areas);
        if (which < bench.count && bench.inside[which])
            take_out(&bench, which);
        else
            draw_area(&bench, which, mix, &random);
        uint64_t first = mix->huge ? dice_roll(&random) >> dice_below(&random, 64)
                                   : dice_below(&random, mix->offsets + mix->longest);
        uint64_t more = dice_below(&random, 4) ? 0 : dice_below(&random, mix->offsets);
        compare_with_all(&bench, first, first + more < first ? UINT64_MAX : first + more);
        if (i % 16 == 0)
            assert_true(bench.kind->check(bench.index));
    }
    compare_with_all(&bench, 0, UINT64_MAX);
    bench_fini(&bench);
}

static void all_kinds_find_what_is_there(void **state) {
    (void)state;
    static const struct mix mixes[] = {
        { FEW, 3000, 200, 1, false },      { FEW, 40, 30, 1, false },
        { FEW, 3000, 200, 100, false },    { FEW, 1, 1 << 20, 1, false },
        { FEW, UINT32_MAX, 1, 1, true },   { 20, 64, 64, 1, false },
        { AREAS, 1 << 20, 999, 1, false },
    };
    for (unsigned i = 0; i < KINDS; i++)
        for (unsigned j = 0; j < sizeof mixes / sizeof mixes[0]; j++)
            run_mix(&kinds[i], &mixes[j]);
}

/* ---------------------------------------------------------------- single cases */

static void each_kind(void (*test)(struct bench *bench)) {
    static struct bench bench;

    for (unsigned i = 0; i < KINDS; i++) {
        bench_init(&bench, &kinds[i]);
        test(&bench);
        assert_true(bench.kind->check(bench.index));
        bench_fini(&bench);
    }
}

static void last_offset(struct bench *bench) {
    put_in(bench, 0, 0, 1);
    put_in(bench, 1, UINT64_MAX, 1);
    put_in(bench, 2, UINT64_MAX - 9, 10);
    compare_with_all(bench, UINT64_MAX, UINT64_MAX);
    assert_int_equal(look(bench, UINT64_MAX, UINT64_MAX, 0), 2);
    assert_int_equal(look(bench, 0, 0, 0), 1);
    assert_int_equal(look(bench, 1, UINT64_MAX - 10, 0), 0);
}

static void all_kinds_reach_the_last_offset(void **state) {
    (void)state;
    each_kind(last_offset);
}

/* Processes that map the same file at the same offset: no rejects; the first may leave. */
static void equal_ranges(struct bench *bench) {
    for (unsigned i = 0; i < FEW; i++)
        put_in(bench, i, 5, 10);
    for (unsigned gone = 0; gone < FEW; gone++) {
        assert_int_equal(look(bench, 14, 14, 0), FEW - gone);
        for (unsigned i = 0; i < found.count; i++)
            assert_ptr_equal(found.areas[i],
                             bench->areas[bench->row->oldest_first ? gone + i : FEW - 1 - i]);
        assert_true(bench->kind->check(bench->index));
        take_out(bench, gone);
    }
    assert_int_equal(bench->rig->machine->cpus[0].counts.rmap.range_rejects, 0);
}

static void equal_ranges_come_in_their_order(void **state) {
    (void)state;
    each_kind(equal_ranges);
}

static void stopping(struct bench *bench) {
    for (unsigned i = 0; i < FEW; i++)
        put_in(bench, i, i / 2, 50);
    for (unsigned stop_at = 1; stop_at <= 100; stop_at++)
        assert_int_equal(look(bench, 100, 100, stop_at), stop_at);
    assert_int_equal(look(bench, 100, 100, 101), 100);
}

static void the_visitor_may_stop(void **state) {
    (void)state;
    each_kind(stopping);
}

/* One start and thousands of ends: prio-tree's overflow sub-tree. One end after the other beyond all
 * before: its growth by one level and by many. */
static void one_start(struct bench *bench) {
    for (unsigned i = 0; i < AREAS; i++)
        put_in(bench, i, 7, 1 + (i * UINT64_C(2654435761)) % 100000);
    for (uint64_t first = 1; first < 200000; first += 9973)
        compare_with_all(bench, first, first + 1);
}

static void later_and_later_ends(struct bench *bench) {
    for (unsigned i = 0; i < 64; i++) {
        put_in(bench, i, UINT64_C(1) << i, 1);
        assert_true(bench->kind->check(bench->index));
        compare_with_all(bench, 0, UINT64_C(1) << i);
    }
    for (unsigned i = 0; i < 60; i++)
        put_in(bench, 64 + i, 0, UINT64_C(1) << (i / 2 < 50 ? i / 2 : 50));
    put_in(bench, 200, UINT64_MAX - 5, 2);
    compare_with_all(bench, 0, UINT64_MAX);
    for (unsigned i = 0; i < 64; i++)
        compare_with_all(bench, UINT64_C(1) << i, UINT64_C(1) << i);
}

static void shapes_that_degenerate(void **state) {
    (void)state;
    each_kind(one_start);
    each_kind(later_and_later_ends);
}

/* ---------------------------------------------------------------- names and sizes */

static void expect_row(const struct vm_file_index_info *index, void *context) {
    unsigned *at = context;

    assert_true(*at < KINDS);
    assert_string_equal(index->name, kinds[*at].name);
    assert_true(strlen(index->origin) > 20);
    if (sizeof(void *) == 8) {
        assert_int_equal(index->object_bytes, kinds[*at].object_bytes);
        assert_int_equal(index->area_bytes, kinds[*at].area_bytes);
    }
    (*at)++;
}

static void all_kinds_are_listed(void **state) {
    (void)state;
    unsigned listed = 0;

    vm_file_index_each(expect_row, &listed);
    assert_int_equal(listed, KINDS);
    assert_string_equal(vm_index_kind_named(NULL)->name, "interval-tree");
    assert_null(vm_index_kind_named("interval"));
    assert_null(vm_index_kind_named("interval-trees"));
    assert_null(vm_index_kind_named(""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_find_what_is_there),
        cmocka_unit_test(all_kinds_reach_the_last_offset),
        cmocka_unit_test(equal_ranges_come_in_their_order),
        cmocka_unit_test(the_visitor_may_stop),
        cmocka_unit_test(shapes_that_degenerate),
        cmocka_unit_test(all_kinds_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
