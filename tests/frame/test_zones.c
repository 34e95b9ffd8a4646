/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_zones.c - nodes and zones: who lies where, who takes from whom, and who is told.
 */
#include "frame/rig.h"

enum { FRAMES = 8192, LOW = 1024 };

static struct vm_zone *zone_at(const struct rig *rig, unsigned z) {
    assert_true(z < rig->machine->zone_count);
    return &rig->machine->zones[z];
}

static void take_all_but(struct rig *rig, struct vm_zone *zone, uint64_t frames) {
    while (vm_zone_free(zone) > frames)
        assert_non_null(vm_frame_alloc_on(
            rig->machine, (unsigned)(zone->node - rig->machine->nodes), VM_FRAME_AS_IS));
}

static void nodes_share_the_frames(void **state) {
    (void)state;
    static const uint64_t sizes[] = { 64, 1000, 16384, 50000, 300000 };
    for (unsigned s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (unsigned nodes = 1; nodes <= 16 && nodes * 32 <= sizes[s]; nodes++) {
            struct rig *rig = rig_create_shaped((struct rig_shape){
                .frames = sizes[s], .cpus = 1, .nodes = nodes, .contents = VM_METADATA_ONLY });
            uint64_t next = 0;
            assert_int_equal(rig->machine->zone_count, nodes);
            for (unsigned z = 0; z < nodes; z++) {
                struct vm_zone *zone = zone_at(rig, z);
                assert_int_equal(zone->first_frame, next);
                assert_in_range(zone->frames, sizes[s] / nodes * 9 / 10 - 1,
                                sizes[s] / nodes * 11 / 10 + 1);
                next += zone->frames;
            }
            assert_int_equal(next, sizes[s]);
            rig_destroy(rig);
        }
}

/* Every frame of a machine whose zones meet inside sections, each found in its zone. */
static void pages_know_their_zones(void **state) {
    (void)state;
    struct rig *rig = rig_create_shaped((struct rig_shape){ .frames = 5 * VM_SECTION_PAGES / 2,
                                                            .cpus = 1,
                                                            .nodes = 3,
                                                            .low_frames = 10000,
                                                            .contents = VM_METADATA_ONLY });
    struct vm_machine *machine = rig->machine;
    uint64_t taken[VM_ZONES_MAX] = { 0 };
    struct vm_page *page;
    assert_int_equal(machine->zone_count, 4);
    while ((page = vm_frame_alloc(machine, VM_FRAME_AS_IS))) {
        struct vm_zone *zone = vm_page_zone(machine, page);
        uint64_t frame = vm_page_frame(machine, page);
        assert_in_range(frame, zone->first_frame, zone->first_frame + zone->frames - 1);
        assert_ptr_equal(vm_page_of(machine, frame), page);
        taken[zone - machine->zones]++;
    }
    for (unsigned z = 0; z < machine->zone_count; z++)
        assert_int_equal(taken[z] + (machine->zones[z].kind == VM_ZONE_HIGH && z == 1),
                         machine->zones[z].frames); /* the zero page lies in the first high zone */
    assert_int_equal(vm_frames_check(machine), 0);
    rig_destroy(rig);
}

static void a_cpu_takes_from_its_own_node(void **state) {
    (void)state;
    struct rig *rig =
        rig_create_shaped((struct rig_shape){ .frames = FRAMES, .cpus = 4, .nodes = 2 });
    for (unsigned cpu = 0; cpu < 4; cpu++) {
        posix_cpu_set(cpu);
        struct vm_page *page = vm_frame_alloc(rig->machine, VM_FRAME_AS_IS);
        assert_int_equal(vm_page_node(rig->machine, page), cpu % 2);
        page = vm_frame_alloc_table(rig->machine);
        assert_int_equal(vm_page_node(rig->machine, page), cpu % 2);
        page = vm_frame_alloc_on(rig->machine, 1 - cpu % 2, VM_FRAME_ZEROED);
        assert_int_equal(vm_page_node(rig->machine, page), 1 - cpu % 2);
    }
    posix_cpu_set(0);
    rig_destroy(rig);
}

/* A node that is low lets others help out; all are used up before anything is refused. */
static void nodes_fall_back_on_each_other(void **state) {
    (void)state;
    struct rig *rig =
        rig_create_shaped((struct rig_shape){ .frames = FRAMES, .cpus = 1, .nodes = 2 });
    struct vm_machine *machine = rig->machine;
    struct vm_zone *own = zone_at(rig, 0), *other = zone_at(rig, 1);

    take_all_but(rig, own, own->watermark[VM_WATERMARK_LOW]);
    assert_int_equal(vm_zone_free(other), other->frames);
    struct vm_page *page = vm_frame_alloc(machine, VM_FRAME_AS_IS);
    assert_ptr_equal(vm_page_zone(machine, page), other);
    take_all_but(rig, other, other->watermark[VM_WATERMARK_LOW]);
    page = vm_frame_alloc(machine, VM_FRAME_AS_IS); /* both are low */
    assert_ptr_equal(vm_page_zone(machine, page), own);

    take_all_but(rig, own, own->watermark[VM_WATERMARK_MIN]);
    assert_null(vm_frame_alloc_on(machine, 0, VM_FRAME_AS_IS));
    while (vm_frame_alloc(machine, VM_FRAME_AS_IS)) {
    }
    assert_int_equal(vm_frames_free(machine), 0);
    assert_int_equal(vm_frames_check(machine), 0);
    rig_destroy(rig);
}

static struct vm_page *take_table(struct vm_machine *machine) {
    struct vm_page *page = vm_frame_alloc_table(machine);
    if (page) {
        assert_int_equal(vm_page_zone(machine, page)->kind, VM_ZONE_LOW);
        assert_true(vm_page_frame(machine, page) < LOW);
    }
    return page;
}

/* Tables lie in low memory only; data keeps out while it can, and at last leaves none for tables. */
static void low_memory_is_for_tables(void **state) {
    (void)state;
    struct rig *rig =
        rig_create_shaped((struct rig_shape){ .frames = FRAMES, .cpus = 1, .low_frames = LOW });
    struct vm_machine *machine = rig->machine;
    struct vm_zone *low = zone_at(rig, 0), *high = zone_at(rig, 1);

    assert_int_equal(low->frames, LOW);
    assert_int_equal(low->for_tables, (FRAMES - LOW) / 32);
    while (vm_zone_free(high) > high->watermark[VM_WATERMARK_LOW])
        assert_int_equal(vm_page_zone(machine, vm_frame_alloc(machine, VM_FRAME_AS_IS))->kind,
                         VM_ZONE_HIGH);
    assert_int_equal(vm_zone_free(low), LOW);
    struct vm_page *tables[32];
    for (int i = 0; i < 32; i++)
        tables[i] = take_table(machine);

    uint64_t kept = low->watermark[VM_WATERMARK_MIN] + low->for_tables;
    while (vm_zone_free(low) > kept)
        assert_non_null(vm_frame_alloc(machine, VM_FRAME_AS_IS));
    assert_null(vm_frame_alloc_on(machine, 0, VM_FRAME_AS_IS));
    assert_int_equal(vm_zone_free(high), high->watermark[VM_WATERMARK_MIN]);
    while (vm_zone_free(low) > low->watermark[VM_WATERMARK_MIN])
        assert_non_null(take_table(machine));
    while (vm_frame_alloc(machine, VM_FRAME_AS_IS)) {
    }
    assert_int_equal(vm_frames_free(machine), 0);
    assert_null(take_table(machine));
    vm_frame_free_table(machine, tables[0]);
    assert_ptr_equal(take_table(machine), tables[0]);
    assert_int_equal(vm_frames_check(machine), 0);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- being told */

static unsigned told[VM_NODES_MAX];

static void tell(struct vm_port *port, unsigned node) {
    (void)port;
    told[node]++;
}

static void nodes_are_woken_once_when_all_are_low(void **state) {
    (void)state;
    struct rig *rig =
        rig_create_shaped((struct rig_shape){ .frames = FRAMES, .cpus = 1, .nodes = 2 });
    struct vm_machine *machine = rig->machine;
    rig->posix.port.wake_reclaim = tell;
    memset(told, 0, sizeof told);

    uint64_t marks =
        zone_at(rig, 0)->watermark[VM_WATERMARK_LOW] + zone_at(rig, 1)->watermark[VM_WATERMARK_LOW];
    while (vm_frames_free(machine) > marks)
        assert_non_null(vm_frame_alloc(machine, VM_FRAME_AS_IS));
    assert_int_equal(told[0] + told[1], 0);
    assert_non_null(vm_frame_alloc(machine, VM_FRAME_AS_IS));
    assert_int_equal(told[0], 1);
    assert_int_equal(told[1], 1);
    assert_non_null(vm_frame_alloc(machine, VM_FRAME_AS_IS));
    assert_int_equal(told[0], 1);
    rig_destroy(rig);
}

static void a_single_node_is_woken_for_itself(void **state) {
    (void)state;
    struct rig *rig =
        rig_create_shaped((struct rig_shape){ .frames = FRAMES, .cpus = 1, .nodes = 2 });
    rig->posix.port.wake_reclaim = tell;
    memset(told, 0, sizeof told);
    struct vm_zone *zone = zone_at(rig, 1);
    take_all_but(rig, zone, zone->watermark[VM_WATERMARK_LOW]);
    assert_int_equal(told[1], 0);
    assert_non_null(vm_frame_alloc_on(rig->machine, 1, VM_FRAME_AS_IS));
    assert_int_equal(told[0], 0);
    assert_int_equal(told[1], 1);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- other CPUs' frames */

/* What lies on one CPU's lists is there for the others before they are refused. */
static void frames_on_other_lists_are_found(void **state) {
    (void)state;
    struct rig *rig =
        rig_create_shaped((struct rig_shape){ .frames = FRAMES, .cpus = 3, .nodes = 1 });
    struct vm_machine *machine = rig->machine;
    struct vm_page *pages[20], *tables[10];

    posix_cpu_set(1);
    for (int i = 0; i < 20; i++)
        pages[i] = vm_frame_alloc(machine, VM_FRAME_AS_IS);
    for (int i = 0; i < 10; i++)
        tables[i] = vm_frame_alloc_table(machine);
    posix_cpu_set(0);
    while (vm_frame_alloc(machine, VM_FRAME_AS_IS)) {
    }
    assert_int_equal(vm_frames_free(machine), 0);
    posix_cpu_set(1);
    vm_page_put(machine, pages[0]);
    posix_cpu_set(2);
    for (int i = 0; i < 10; i++)
        vm_frame_free_table(machine, tables[i]);
    vm_page_put(machine, pages[1]);
    assert_int_equal(vm_frames_free(machine), 12);
    posix_cpu_set(0);
    for (int i = 0; i < 6; i++) {
        assert_non_null(vm_frame_alloc(machine, VM_FRAME_COLD));
        assert_non_null(vm_frame_alloc_table(machine));
    }
    assert_null(vm_frame_alloc(machine, VM_FRAME_AS_IS));
    assert_int_equal(vm_frames_check(machine), 0);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_share_the_frames),
        cmocka_unit_test(pages_know_their_zones),
        cmocka_unit_test(a_cpu_takes_from_its_own_node),
        cmocka_unit_test(nodes_fall_back_on_each_other),
        cmocka_unit_test(low_memory_is_for_tables),
        cmocka_unit_test(nodes_are_woken_once_when_all_are_low),
        cmocka_unit_test(a_single_node_is_woken_for_itself),
        cmocka_unit_test(frames_on_other_lists_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
