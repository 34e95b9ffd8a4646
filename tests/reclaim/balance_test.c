/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * balance_test.c - who reclaims how much, from which zones, and which pages go first.
 */
#include "rmap/rig.h"
#include "vm/reclaim/scan.h"

#define AT   UINT64_C(0x10000000)
#define HERE UINT64_C(0x40000000)

static struct vm_zone *zone_at(const struct rig *rig, unsigned z) {
    assert_true(z < rig->machine->zone_count);
    return &rig->machine->zones[z];
}

static uint64_t resident(struct vm_space *space, uint64_t address, uint64_t pages) {
    uint64_t n = 0;
    for (uint64_t i = 0; i < pages; i++)
        n += vm_frame_at(space, address + i * PAGE) != VM_NO_FRAME;
    return n;
}

/* ---------------------------------------------------------------- the formula */

static bool takes_mapped(struct rig *rig, unsigned percent, unsigned last, unsigned priority,
                         unsigned swappiness) {
    struct vm_scan scan = { .machine = rig->machine, .priority = priority };
    uint64_t mapped = rig->machine->config.frames * percent / 100;

    rig->machine->config.swappiness = swappiness;
    atomic_store(&rig->machine->sums[VM_SUM_MAPPED].value, mapped);
    atomic_store(&zone_at(rig, 0)->last_priority, last);
    bool takes = vm_scan_takes_mapped(&scan, zone_at(rig, 0));
    atomic_store(&rig->machine->sums[VM_SUM_MAPPED].value, 0);
    return takes;
}

static void mapped_pages_go_when_the_sum_is_100(void **state) {
    (void)state;
    struct rig *rig = rig_create_as((struct vm_machine_config){ .frames = 1000 });

    assert_int_equal(rig->machine->config.swappiness, 60);
    assert_true(takes_mapped(rig, 80, 12, 12, 60));
    assert_false(takes_mapped(rig, 79, 12, 12, 60));
    assert_true(takes_mapped(rig, 79, 6, 12, 60)); /* distress 1 */
    assert_false(takes_mapped(rig, 79, 7, 12, 60));
    assert_true(takes_mapped(rig, 79, 12, 6, 60)); /* of this round */
    assert_true(takes_mapped(rig, 0, 12, 12, 100));
    assert_false(takes_mapped(rig, 0, 12, 12, 99));
    assert_true(takes_mapped(rig, 0, 12, 0, 0));
    assert_true(takes_mapped(rig, 100, 1, 12, 0));
    assert_false(takes_mapped(rig, 99, 1, 12, 0));
    rig_destroy(rig);
}

static void swappiness_is_at_most_100(void **state) {
    (void)state;
    struct rig *rig = rig_create_as((struct vm_machine_config){ .swappiness = VM_SWAPPINESS_NONE });
    struct vm_machine_config config = rig->machine->config;
    struct vm_machine *machine;

    assert_int_equal(config.swappiness, 0);
    config.swappiness = 101;
    assert_int_equal(vm_machine_create(&config, &machine, NULL), VM_EINVAL);
    rig_destroy(rig);
}

/* All that programs did was long ago. */
static void forget_uses(struct rig *rig) {
    struct vm_machine *machine = rig->machine;

    for (uint64_t frame = 1; frame < zone_at(rig, 0)->untouched; frame++) {
        struct vm_page *page = vm_page_of(machine, frame);
        if (!vm_page_is(page, VM_PAGE_LISTED))
            continue;
        assert_true(vm_page_trylock(machine, page));
        vm_page_age(machine, page);
        vm_page_clear(machine, page, VM_PAGE_REFERENCED);
        vm_page_unlock(machine, page);
    }
}

/* Half of memory is anonymous, a tenth is a file's, which nobody maps any more and which came last.
 * Returns how many pages are still active after so many frames were taken. */
static uint64_t active_after(unsigned swappiness, uint64_t wanted) {
    struct rig *rig =
        rig_create_as((struct vm_machine_config){ .frames = 1000, .swappiness = swappiness });
    struct vm_space *space = rig_space(rig, 1);
    struct vm_backing *backing = posix_memory_open(100 * PAGE);
    struct vm_object *object;

    assert_int_equal(vm_object_open(rig->machine, backing, 1, &object), VM_OK);
    rig_map(space, AT, 500, NULL);
    rig_touch(space, AT, 500);
    rig_map(space, HERE, 100, object);
    rig_touch(space, HERE, 100);
    assert_int_equal(vm_munmap(space, HERE, 100 * PAGE), VM_OK);
    forget_uses(rig);
    for (uint64_t i = 0; i < wanted; i += 5)
        assert_int_equal(vm_reclaim(rig->machine, 5), 5);
    rig_verify(rig);
    assert_int_equal(resident(space, AT, 500), 500); /* they came later to the inactive list */
    uint64_t active = vm_lru_pages(zone_at(rig, 0), VM_LRU_ACTIVE);
    vm_object_put(object);
    rig_destroy(rig);
    return active;
}

static void swappiness_spares_mapped_pages(void **state) {
    (void)state;
    assert_int_equal(active_after(VM_SWAPPINESS_NONE, 90), 500);
    assert_int_equal(active_after(60, 90), 500); /* 25 + 0 + 60 */
    assert_in_range(active_after(75, 90), 200, 400);
}

/* Of the active list twice the share is looked at, whether its pages are in use or not: what leaves
 * the one enters the other, and what leaves that unused is free. */
static void lists_are_looked_at_in_proportion(void **state) {
    (void)state;
    struct rig *rig = rig_create(NULL, 2048);
    struct vm_space *space = rig_space(rig, 1);
    struct vm_zone *zone = zone_at(rig, 0);

    rig_map(space, AT, 1800, NULL);
    rig_touch(space, AT, 1800);
    assert_int_equal(vm_lru_pages(zone, VM_LRU_ACTIVE), 1800);
    forget_uses(rig);
    for (uint64_t i = 0; i < 600; i++)
        vm_lru_move(rig->machine, vm_page_of(rig->machine, vm_frame_at(space, AT + i * PAGE)),
                    VM_LRU_INACTIVE);
    rig_touch(space, AT + 600 * PAGE, 1200);
    for (int i = 0; i < 50; i++)
        assert_int_equal(vm_reclaim(rig->machine, 2), 2);
    assert_in_range(vm_lru_pages(zone, VM_LRU_ACTIVE), 890, 910); /* 2 active / inactive for each */
    assert_in_range(vm_lru_pages(zone, VM_LRU_INACTIVE), 790, 810);
    rig_verify(rig);
    rig_destroy(rig);
}

/* Of pages that lie side by side, those that a parent and its child have go after those of one alone;
 * but they do go, and at last all of them. */
static void shared_pages_go_last(void **state) {
    (void)state;
    struct rig *rig = rig_create(NULL, 2048);
    struct vm_space *parent = rig_space(rig, 1);

    rig_map(parent, AT, 200, NULL);
    rig_touch(parent, AT, 200);
    struct vm_space *child = rig_fork(parent, 2);
    rig_map(parent, HERE, 200, NULL);
    rig_touch(parent, HERE, 200);
    forget_uses(rig);
    for (uint64_t i = 0; i < 200; i++) {
        vm_lru_move(rig->machine, vm_page_of(rig->machine, vm_frame_at(parent, AT + i * PAGE)),
                    VM_LRU_INACTIVE);
        vm_lru_move(rig->machine, vm_page_of(rig->machine, vm_frame_at(parent, HERE + i * PAGE)),
                    VM_LRU_INACTIVE);
    }
    for (int i = 0; i < 150; i++)
        assert_int_equal(vm_reclaim(rig->machine, 1), 1);
    assert_int_equal(resident(parent, HERE, 200), 50);
    assert_int_equal(resident(parent, AT, 200), 200);
    assert_int_equal(resident(child, AT, 200), 200);
    assert_int_equal(vm_reclaim(rig->machine, 250), 250);
    assert_int_equal(resident(parent, AT, 200) + resident(child, AT, 200), 0);
    rig_verify(rig);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- a node's thread */

static unsigned told[VM_NODES_MAX];

static void tell(struct vm_port *port, unsigned node) {
    (void)port;
    told[node]++;
}

static void tell_of(struct rig *rig) {
    memset(told, 0, sizeof told);
    rig->posix.port.wake_reclaim = tell;
}

/* ---------------------------------------------------------------- waiting for a node's thread */

static struct {
    struct vm_machine *machine;
    bool runs;      /* the thread gets a CPU, */
    unsigned after; /* ... when a waiter has relaxed so often */
    unsigned turns;
} node_thread;

static void relax_and_reclaim(struct vm_port *port) {
    (void)port;
    if (!node_thread.runs || ++node_thread.turns % node_thread.after != 0)
        return;
    posix_cpu_set(1);
    vm_reclaim_node(node_thread.machine, 0);
    posix_cpu_set(0);
}

static struct vm_stats touch_too_much(bool runs) {
    struct rig *rig = rig_create_cpus(NULL, 1024, 2);
    struct vm_space *space = rig_space(rig, 1);

    tell_of(rig);
    node_thread.machine = rig->machine;
    node_thread.runs = runs;
    node_thread.after = 100;
    rig->posix.port.relax = relax_and_reclaim;
    rig_map(space, AT, 3000, NULL);
    rig_touch(space, AT, 3000);
    struct vm_stats stats = rig_stats(rig);
    rig_verify(rig);
    rig_destroy(rig);
    return stats;
}

/* A call that comes too late for the thread to have kept up waits for it, and reclaims nothing. */
static void calls_wait_for_the_nodes_thread(void **state) {
    (void)state;
    struct vm_stats stats = touch_too_much(true);

    assert_int_equal(stats.reclaim.direct, 0);
    assert_true(stats.reclaim.node > 10);
    assert_int_equal(stats.reclaim.waited, stats.reclaim.node); /* it never had a CPU before */
}

/* ... but not for ever. */
static void calls_go_on_without_the_nodes_thread(void **state) {
    (void)state;
    struct vm_stats stats = touch_too_much(false);

    assert_int_equal(stats.reclaim.node, 0);
    assert_int_equal(stats.reclaim.waited, 0);
    assert_true(stats.reclaim.direct > 100);
}

/* Woken at low, it stops at high; calls that allocate meanwhile do not reclaim. */
static void a_node_is_kept_between_low_and_high(void **state) {
    (void)state;
    struct rig *rig = rig_create(NULL, 4096);
    struct vm_space *space = rig_space(rig, 1);
    struct vm_zone *zone = zone_at(rig, 0);
    unsigned runs = 0;

    tell_of(rig);
    rig_map(space, AT, 8000, NULL);
    for (uint64_t i = 0; i < 8000; i++) {
        rig_touch(space, AT + i * PAGE, 1);
        if (told[0] == runs)
            continue;
        runs++;
        assert_in_range(vm_zone_free(zone), zone->watermark[VM_WATERMARK_LOW] - 3,
                        zone->watermark[VM_WATERMARK_LOW]);
        uint64_t freed = vm_reclaim_node(rig->machine, 0);
        assert_in_range(vm_zone_free(zone), zone->watermark[VM_WATERMARK_HIGH],
                        zone->watermark[VM_WATERMARK_HIGH] + 2 * VM_PAGEOUT_BATCH);
        assert_in_range(freed, zone->watermark[VM_WATERMARK_MIN],
                        zone->watermark[VM_WATERMARK_MIN] + 3 * VM_PAGEOUT_BATCH);
    }
    assert_true(runs > 50);
    assert_int_equal(rig_stats(rig).reclaim.node, runs);
    assert_int_equal(rig_stats(rig).reclaim.direct, 0);
    rig_verify(rig);
    rig_destroy(rig);
}

/* Nobody listens: who allocates reclaims at the minimum, and the node was told but once. */
static void direct_reclaim_helps_when_the_thread_does_not_come(void **state) {
    (void)state;
    struct rig *rig = rig_create(NULL, 1024);
    struct vm_space *space = rig_space(rig, 1);
    struct vm_zone *zone = zone_at(rig, 0);

    tell_of(rig);
    rig_map(space, AT, 3000, NULL);
    rig_touch(space, AT, 3000);
    assert_int_equal(told[0], 1);
    assert_true(rig_stats(rig).reclaim.direct > 0);
    assert_in_range(vm_zone_free(zone), zone->watermark[VM_WATERMARK_MIN],
                    zone->watermark[VM_WATERMARK_LOW]);
    assert_true(vm_reclaim_node(rig->machine, 0) > 0);
    assert_int_equal(vm_reclaim_node(rig->machine, 0), 0); /* nothing is missing */
    rig_touch(space, AT, 3000);
    assert_int_equal(told[0], 2);
    rig_destroy(rig);
}

static void a_node_reclaims_its_own_pages_only(void **state) {
    (void)state;
    struct rig *rig = rig_create_as((struct vm_machine_config){ .frames = 4096, .nodes = 2 });
    struct vm_space *space = rig_space(rig, 1);

    tell_of(rig);
    rig_map(space, AT, 4040, NULL);
    rig_touch(space, AT, 4040);
    uint64_t free[2] = { vm_zone_free(zone_at(rig, 0)), vm_zone_free(zone_at(rig, 1)) };
    assert_true(free[1] < zone_at(rig, 1)->watermark[VM_WATERMARK_LOW]);
    uint64_t freed = vm_reclaim_node(rig->machine, 1);
    assert_int_equal(vm_zone_free(zone_at(rig, 0)), free[0]);
    assert_int_equal(vm_zone_free(zone_at(rig, 1)), free[1] + freed);
    assert_true(vm_zone_free(zone_at(rig, 1)) >= zone_at(rig, 1)->watermark[VM_WATERMARK_HIGH]);
    rig_verify(rig);
    rig_destroy(rig);
}

/* Both nodes give in the measure of their pages, not the first one all. */
static void zones_give_in_proportion(void **state) {
    (void)state;
    struct rig *rig = rig_create_as((struct vm_machine_config){ .frames = 4096, .nodes = 2 });
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, 3600, NULL);
    rig_touch(space, AT, 3600);
    uint64_t before[2] = { vm_zone_free(zone_at(rig, 0)), vm_zone_free(zone_at(rig, 1)) };
    for (int i = 0; i < 20; i++)
        assert_int_equal(vm_reclaim(rig->machine, 40), 40);
    for (unsigned z = 0; z < 2; z++)
        assert_in_range(vm_zone_free(zone_at(rig, z)) - before[z], 300, 500);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- what cannot be freed */

/* Locked pages stay, and the thread soon stops going through them again and again. */
static void locked_pages_are_left_alone(void **state) {
    (void)state;
    struct rig *rig = rig_create(NULL, 1024);
    struct vm_space *space = rig_space(rig, 1);

    tell_of(rig);
    rig_map(space, AT, 1005, NULL);
    assert_int_equal(vm_mlock(space, AT, 1005 * PAGE), VM_OK);
    for (int i = 0; i < 6; i++)
        assert_int_equal(vm_reclaim_node(rig->machine, 0), 0);
    struct vm_stats before = rig_stats(rig);
    for (int i = 0; i < 100; i++)
        assert_int_equal(vm_reclaim_node(rig->machine, 0), 0);
    assert_in_range(rig_stats(rig).reclaim.scanned - before.reclaim.scanned, 0, 300);
    assert_int_equal(resident(space, AT, 1005), 1005);

    assert_int_equal(vm_munlock(space, AT, 1005 * PAGE), VM_OK);
    assert_true(vm_reclaim_node(rig->machine, 0) > 0);
    assert_true(vm_zone_free(zone_at(rig, 0)) >= zone_at(rig, 0)->watermark[VM_WATERMARK_HIGH]);
    rig_verify(rig);
    rig_destroy(rig);
}

static void without_swap_anonymous_pages_are_not_tried(void **state) {
    (void)state;
    struct posix_port posix;
    struct vm_machine *machine;
    struct vm_space *space;
    struct vm_stats stats;
    uint64_t at, touched;

    posix_port_init(&posix, 1);
    struct vm_machine_config config = { .port = &posix.port, .frames = 64 };
    assert_int_equal(vm_machine_create(&config, &machine, NULL), VM_OK);
    assert_int_equal(vm_space_create(machine, 1, &space), VM_OK);
    assert_int_equal(
        vm_mmap(space, AT, 100 * PAGE, RW, VM_MAP_PRIVATE | VM_MAP_FIXED, NULL, 0, &at), VM_OK);
    assert_int_equal(vm_touch(space, AT, 100, VM_WRITE, &touched), VM_OOM);
    vm_stats_read(machine, &stats);
    assert_int_equal(stats.memory.frames_free, 0);
    assert_int_equal(touched, 64 - 1 - stats.memory.tables);
    assert_int_equal(stats.reclaim.unmapped, 0);
    assert_int_equal(vm_frames_check(machine), 0);
    /* What is given up makes room for others: at once, or when it is wanted. */
    assert_int_equal(vm_munmap(space, AT, PAGE), VM_OK);
    assert_int_equal(vm_touch(space, AT + touched * PAGE, 1, VM_WRITE, NULL), VM_OK);
    assert_int_equal(vm_madvise(space, AT + PAGE, 8 * PAGE, VM_MADV_FREE), VM_OK);
    assert_int_equal(vm_touch(space, AT + PAGE, 8, VM_READ, NULL), VM_OK); /* in use again */
    assert_int_equal(vm_reclaim(machine, 8), 8);
    assert_int_equal(vm_touch(space, AT + (touched + 1) * PAGE, 8, VM_WRITE, NULL), VM_OK);
    vm_machine_destroy(machine);
}

/* Tables have used up low memory: the call fails, though most of memory is free. */
static void low_memory_ends_in_a_result(void **state) {
    (void)state;
    struct rig *rig = rig_create_as((struct vm_machine_config){ .frames = 4096, .low_frames = 64 });
    struct vm_space *space = rig_space(rig, 1);
    uint64_t result, n = 0;
    int error;

    assert_int_equal(
        vm_mmap(space, AT, UINT64_C(1) << 32, RW, VM_MAP_PRIVATE | VM_MAP_FIXED, NULL, 0, &result),
        VM_OK);
    while ((error = vm_touch(space, AT + (n << 21), 1, VM_WRITE, NULL)) == VM_OK)
        n++;
    assert_int_equal(error, VM_OOM);
    assert_int_equal(rig_stats(rig).memory.tables, 64);
    assert_true(rig_stats(rig).memory.frames_free > 3900);
    rig_verify(rig);
    assert_int_equal(vm_munmap(space, AT, UINT64_C(20) << 21), VM_OK);
    assert_int_equal(vm_touch(space, AT + (n << 21), 1, VM_WRITE, NULL), VM_OK);
    rig_destroy(rig);
}

/* Data in low memory makes way for tables, while high memory need not. */
static void low_memory_is_reclaimed_for_tables(void **state) {
    (void)state;
    struct rig *rig =
        rig_create_as((struct vm_machine_config){ .frames = 2048, .low_frames = 512 });
    struct vm_space *space = rig_space(rig, 1);
    uint64_t result;

    rig_map(space, AT, 2020, NULL);
    rig_touch(space, AT, 2020);
    uint64_t high = vm_zone_free(zone_at(rig, 1)), freed = zone_at(rig, 1)->freed;
    uint64_t low = zone_at(rig, 0)->freed;
    assert_int_equal(vm_mmap(space, HERE, UINT64_C(1) << 30, RW, VM_MAP_PRIVATE | VM_MAP_FIXED,
                             NULL, 0, &result),
                     VM_OK);
    for (uint64_t i = 0; i < 200; i++) /* the zero page: each takes a table and nothing else */
        assert_int_equal(vm_touch(space, HERE + (i << 21), 1, VM_READ, NULL), VM_OK);
    assert_int_equal(vm_zone_free(zone_at(rig, 1)), high);
    assert_int_equal(zone_at(rig, 1)->freed, freed);
    assert_true(zone_at(rig, 0)->freed - low >= 100);
    rig_verify(rig);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mapped_pages_go_when_the_sum_is_100),
        cmocka_unit_test(swappiness_is_at_most_100),
        cmocka_unit_test(swappiness_spares_mapped_pages),
        cmocka_unit_test(lists_are_looked_at_in_proportion),
        cmocka_unit_test(shared_pages_go_last),
        cmocka_unit_test(calls_wait_for_the_nodes_thread),
        cmocka_unit_test(calls_go_on_without_the_nodes_thread),
        cmocka_unit_test(a_node_is_kept_between_low_and_high),
        cmocka_unit_test(direct_reclaim_helps_when_the_thread_does_not_come),
        cmocka_unit_test(a_node_reclaims_its_own_pages_only),
        cmocka_unit_test(zones_give_in_proportion),
        cmocka_unit_test(locked_pages_are_left_alone),
        cmocka_unit_test(without_swap_anonymous_pages_are_not_tried),
        cmocka_unit_test(low_memory_ends_in_a_result),
        cmocka_unit_test(low_memory_is_reclaimed_for_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
