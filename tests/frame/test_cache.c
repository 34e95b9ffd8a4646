/* SPDX-License-Identifier: BSD-2-Clause */
/* test_cache.c - caches of records: contents stay apart, accounts are right, nothing is kept. */
#include "frame/rig.h"

struct wanted {
    const char *name;
    struct vm_cache_view found;
};

static void pick(const struct vm_cache_view *cache, void *context) {
    struct wanted *wanted = context;
    if (strcmp(cache->name, wanted->name) == 0)
        wanted->found = *cache;
}

static struct vm_cache_view view_of(struct rig *rig, const char *name) {
    struct wanted wanted = { .name = name };
    vm_cache_each(rig->machine, pick, &wanted);
    assert_non_null(wanted.found.name);
    return wanted.found;
}

/* Random allocation and freeing of records of one size, each filled with its own number. */
static void exercise(size_t bytes, size_t alignment) {
    enum { RECORDS = 2000, STEPS = 20000 };
    struct rig *rig = rig_create(0, VM_METADATA_ONLY, 1);
    struct vm_cache *cache =
        vm_cache_create(rig->machine, "things", VM_COST_RMAP, bytes, alignment);
    static unsigned char *records[RECORDS];
    uint64_t state = 88172645463325252u, live = 0;
    for (int step = 0; step < STEPS; step++) {
        size_t i = (size_t)rig_random(&state, RECORDS);
        unsigned char mark = (unsigned char)(i * 7 + 1);
        if (records[i]) {
            for (size_t at = 0; at < bytes; at++)
                assert_int_equal(records[i][at], mark);
            vm_cache_free(rig->machine, cache, records[i]);
            records[i] = NULL;
            live--;
        } else {
            records[i] = vm_cache_allocate(rig->machine, cache);
            assert_non_null(records[i]);
            assert_int_equal((uintptr_t)records[i] % alignment, 0);
            memset(records[i], mark, bytes);
            live++;
        }
        assert_int_equal(vm_cache_live(cache), live);
    }
    for (size_t i = 0; i < RECORDS; i++) {
        if (records[i])
            vm_cache_free(rig->machine, cache, records[i]);
        records[i] = NULL;
    }
    struct vm_cache_view view = view_of(rig, "things");
    assert_int_equal(view.live, 0);
    assert_int_equal(view.live_bytes, 0);
    assert_true(view.held_bytes > 0); /* one spare block */
    assert_true(view.held_bytes <= 16384 || view.held_bytes <= 32 * bytes);
    vm_cache_destroy(rig->machine, cache);
    rig_destroy(rig);
}

static void keeps_records_apart(void **state) {
    (void)state;
    exercise(8, 8);
    exercise(24, 8);
    exercise(64, 64);
    exercise(200, 16);
    exercise(528, 16);
    exercise(5000, 16);
}

static void hands_out_the_last_freed_first(void **state) {
    (void)state;
    struct rig *rig = rig_create(0, VM_METADATA_ONLY, 1);
    struct vm_cache *cache = vm_cache_create(rig->machine, "things", VM_COST_OTHER, 512, 16);
    void *records[200];
    for (int i = 0; i < 200; i++)
        records[i] = vm_cache_allocate(rig->machine, cache);
    vm_cache_free(rig->machine, cache, records[3]);
    vm_cache_free(rig->machine, cache, records[150]);
    assert_ptr_equal(vm_cache_allocate(rig->machine, cache), records[150]);
    assert_ptr_equal(vm_cache_allocate(rig->machine, cache), records[3]);
    for (int i = 0; i < 200; i++)
        vm_cache_free(rig->machine, cache, records[i]);
    vm_cache_destroy(rig->machine, cache);
    rig_destroy(rig);
}

static void accounts_by_cache_and_by_cost(void **state) {
    (void)state;
    struct rig *rig = rig_create(0, VM_METADATA_ONLY, 1);
    struct vm_machine *machine = rig->machine;
    struct vm_cache *a = vm_cache_create(machine, "a", VM_COST_RMAP, 40, 8);
    struct vm_cache *b = vm_cache_create(machine, "b", VM_COST_RMAP, 100, 8);
    struct vm_cache *arrays = vm_cache_create(machine, "arrays", VM_COST_OTHER, 0, 8);
    void *first = vm_cache_allocate(machine, a);
    void *second = vm_cache_allocate(machine, a);
    vm_cache_free(machine, a, first);
    vm_cache_free(machine, a, second);
    void *third = vm_cache_allocate(machine, b);
    void *bytes = vm_cache_allocate_bytes(machine, arrays, 1000, 64);
    assert_int_equal((uintptr_t)bytes % 64, 0);

    struct vm_cache_view view = view_of(rig, "a");
    assert_int_equal(view.object_bytes, 40);
    assert_int_equal(view.live, 0);
    assert_int_equal(view.peak_bytes, 80);
    view = view_of(rig, "b");
    assert_int_equal(view.live, 1);
    assert_int_equal(view.live_bytes, 104); /* what it occupies: aligned */
    view = view_of(rig, "arrays");
    assert_int_equal(view.object_bytes, 0);
    assert_int_equal(view.live_bytes, 1000);
    assert_int_equal(view.held_bytes, 1000);
    /* The sum's peak: a's two records were gone when b's came. */
    assert_int_equal(vm_cost_peak(machine, VM_COST_RMAP), 104);
    assert_int_equal(vm_cost_peak(machine, VM_COST_OTHER), 1000);
    assert_int_equal(vm_cost_peak(machine, VM_COST_AREAS), 0);

    vm_cache_free(machine, b, third);
    vm_cache_free_bytes(machine, arrays, bytes, 1000);
    vm_cache_destroy(machine, b);
    vm_cache_destroy(machine, arrays);
    vm_cache_destroy(machine, a);
    rig_destroy(rig);
}

static void fails_without_harm(void **state) {
    (void)state;
    struct rig *rig = rig_create(0, VM_METADATA_ONLY, 1);
    struct vm_machine *machine = rig->machine;
    rig->allowed = 0;
    assert_null(vm_cache_create(machine, "things", VM_COST_OTHER, 64, 16));
    rig->allowed = 1;
    struct vm_cache *cache = vm_cache_create(machine, "things", VM_COST_OTHER, 64, 16);
    assert_null(vm_cache_allocate(machine, cache));
    assert_int_equal(vm_cache_live(cache), 0);
    assert_int_equal(vm_cost_peak(machine, VM_COST_OTHER), 0);
    rig->allowed = UINT64_MAX;
    void *record = vm_cache_allocate(machine, cache);
    assert_non_null(record);
    vm_cache_free(machine, cache, record);
    vm_cache_destroy(machine, cache);
    rig_destroy(rig);
}

static void catches_misuse_on(unsigned cpus) {
    struct rig *rig = rig_create(0, VM_METADATA_ONLY, cpus);
    struct vm_machine *machine = rig->machine;
    struct vm_cache *cache = vm_cache_create(machine, "things", VM_COST_OTHER, 64, 16);
    struct vm_cache *other = vm_cache_create(machine, "others", VM_COST_OTHER, 64, 16);
    unsigned char *record = vm_cache_allocate(machine, cache);
    assert_true(rig_panics(rig, vm_cache_free(machine, other, record)));
    machine->cpus[0] = (struct vm_cpu){ 0 }; /* the lock that the panic left held */
    vm_cache_free(machine, cache, record);
    assert_true(rig_panics(rig, vm_cache_free(machine, cache, record)));
    assert_string_equal(rig->panic_text, "a record is freed twice");
    machine->cpus[0] = (struct vm_cpu){ 0 };
    record[32] = 1;
    assert_true(rig_panics(rig, vm_cache_allocate(machine, cache)));
    assert_string_equal(rig->panic_text, "a record was written to after it was freed");
    machine->cpus[0] = (struct vm_cpu){ 0 };
    record[32] = record[33];
    assert_ptr_equal(vm_cache_allocate(machine, cache), record);
    vm_cache_free(machine, cache, record);
    vm_cache_destroy(machine, other);
    vm_cache_destroy(machine, cache);
    rig_destroy(rig);
}

static void catches_misuse(void **state) {
    (void)state;
    if (VM_DEBUG < 2)
        skip();
    catches_misuse_on(1);
    catches_misuse_on(2);
}

/* ---------------------------------------------------------------- many CPUs */

enum { CPUS = 3, MAGAZINE = 16 };

/* Records are freed on other CPUs than they were taken on. What is live is told exactly all the time. */
static void cpus_share_a_cache(void **state) {
    enum { RECORDS = 500, STEPS = 20000 };
    (void)state;
    struct rig *rig = rig_create(0, VM_METADATA_ONLY, CPUS);
    struct vm_cache *cache = vm_cache_create(rig->machine, "things", VM_COST_RMAP, 40, 8);
    static uint64_t *records[RECORDS];
    uint64_t dice = 88172645463325252u, live = 0, peak = 0;
    for (int step = 0; step < STEPS; step++) {
        size_t i = (size_t)rig_random(&dice, RECORDS);
        posix_cpu_set((unsigned)rig_random(&dice, CPUS));
        if (records[i]) {
            assert_int_equal(records[i][0], i);
            assert_int_equal(records[i][4], i + 1);
            vm_cache_free(rig->machine, cache, records[i]);
            records[i] = NULL;
            live--;
        } else {
            records[i] = vm_cache_allocate(rig->machine, cache);
            assert_non_null(records[i]);
            records[i][0] = i;
            records[i][4] = i + 1;
            live++;
        }
        peak = live > peak ? live : peak;
        assert_int_equal(vm_cache_live(cache), live);
    }
    struct vm_cache_view view = view_of(rig, "things");
    assert_int_equal(view.live_bytes, live * 40);
    assert_true(view.peak_bytes <= peak * 40);
    assert_true(view.peak_bytes >= (peak - CPUS * MAGAZINE) * 40);
    assert_int_equal(vm_cost_peak(rig->machine, VM_COST_RMAP), view.peak_bytes);
    for (size_t i = 0; i < RECORDS; i++)
        if (records[i])
            vm_cache_free(rig->machine, cache, records[i]);
    posix_cpu_set(0);
    assert_int_equal(vm_cache_live(cache), 0);
    vm_cache_destroy(rig->machine, cache);
    rig_destroy(rig);
}

static unsigned shared_steps;

static void count_step(struct vm_port *port, const volatile void *what) {
    (void)port;
    (void)what;
    shared_steps++;
}

/* In the common case a CPU touches nothing that others do. */
static void cpu_keeps_to_itself(void **state) {
    (void)state;
    if (VM_DEBUG < 2)
        skip(); /* nobody tells of steps */
    struct rig *rig = rig_create(0, VM_METADATA_ONLY, CPUS);
    struct vm_cache *cache = vm_cache_create(rig->machine, "things", VM_COST_RMAP, 40, 8);
    void *records[MAGAZINE / 2];
    vm_cache_free(rig->machine, cache, vm_cache_allocate(rig->machine, cache));
    rig->posix.port.preempt = count_step;
    shared_steps = 0;
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < MAGAZINE / 2; i++)
            records[i] = vm_cache_allocate(rig->machine, cache);
        for (int i = 0; i < MAGAZINE / 2; i++)
            vm_cache_free(rig->machine, cache, records[i]);
    }
    assert_int_equal(shared_steps, 0);
    vm_cache_destroy(rig->machine, cache);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_records_apart),
        cmocka_unit_test(hands_out_the_last_freed_first),
        cmocka_unit_test(accounts_by_cache_and_by_cost),
        cmocka_unit_test(fails_without_harm),
        cmocka_unit_test(catches_misuse),
        cmocka_unit_test(cpus_share_a_cache),
        cmocka_unit_test(cpu_keeps_to_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
