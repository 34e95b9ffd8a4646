/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verify_test.c - vm_verify() finds what is broken on purpose, says where, and changes nothing.
 */
#include "rig.h"

#include "vm/object/swap.h"

#define AT  UINT64_C(0x200000)
#define OBJ UINT64_C(0x800000)

/* A family with private pages (shared and not, in memory and in swap), an object's pages, a zero
 * page and a read-only area: space 1 is the parent, space 2 the child. */
struct scene {
    struct rig *rig;
    struct vm_space *parent, *child;
    struct vm_object *object;
};

static struct scene scene_create(const char *design) {
    struct scene scene = { .rig = rig_create(design, 1024) };

    assert_int_equal(vm_object_create_shm(scene.rig->machine, 16 * PAGE, 5, &scene.object), VM_OK);
    scene.parent = rig_space(scene.rig, 1);
    rig_map(scene.parent, AT, 32, NULL);
    rig_map(scene.parent, OBJ, 16, scene.object);
    rig_touch(scene.parent, AT, 12);
    vm_reclaim(scene.rig->machine, 1024);
    rig_touch(scene.parent, AT, 8);
    rig_touch(scene.parent, OBJ, 4);
    assert_int_equal(vm_touch(scene.parent, AT + 20 * PAGE, 1, VM_READ, NULL), VM_OK);
    scene.child = rig_fork(scene.parent, 2);
    rig_touch(scene.child, AT, 2);
    rig_touch(scene.child, OBJ, 4);
    assert_int_equal(vm_mprotect(scene.child, AT + 4 * PAGE, PAGE, VM_PROT_READ), VM_OK);
    rig_verify(scene.rig);
    return scene;
}

static void scene_destroy(struct scene *scene) {
    rig_verify(scene->rig);
    vm_object_put(scene->object);
    rig_destroy(scene->rig);
}

struct expectation {
    const char *words[3];
    bool met;
};

static void compare_line(const char *line, void *context) {
    struct expectation *expected = context;
    bool all = true;
    for (unsigned i = 0; i < 3 && expected->words[i]; i++)
        all &= strstr(line, expected->words[i]) != NULL;
    expected->met |= all;
}

/* Some difference is told in a line that has these words. */
static void expect(const struct scene *scene, const char *where, const char *what) {
    struct expectation expected = { { where, what, NULL }, false };
    assert_true(vm_verify(scene->rig->machine, compare_line, &expected) > 0);
    if (!expected.met) {
        vm_verify(scene->rig->machine, rig_print, NULL);
        fail_msg("no line has '%s' and '%s'", where, what);
    }
}

static vm_pte_slot *entry_of(struct vm_space *space, uint64_t address) {
    struct vm_leaf leaf;
    assert_true(vm_table_find(space->machine, space->root, address, &leaf));
    return &leaf.entries[vm_table_index(address, 0)];
}

static struct vm_page *page_at(struct vm_space *space, uint64_t address) {
    return vm_page_of(space->machine, vm_frame_at(space, address));
}

static const char *frame_name(const struct vm_page *page, const struct vm_space *space,
                              char *text) {
    snprintf(text, 40, "frame %llu:", (unsigned long long)vm_page_frame(space->machine, page));
    return text;
}

static void map_counts(void **state) {
    struct scene scene = scene_create(*state);
    struct vm_page *page = page_at(scene.parent, AT + 5 * PAGE);
    char name[40];

    vm_page_adjust(scene.rig->machine, page, VM_ONE_MAPPING);
    expect(&scene, frame_name(page, scene.parent, name),
           "its map count is 3, but entries that map it are 2");
    vm_page_adjust(scene.rig->machine, page, (uint64_t)0 - 2 * VM_ONE_MAPPING);
    expect(&scene, name, "its map count is 1, but entries that map it are 2");
    vm_page_adjust(scene.rig->machine, page, VM_ONE_MAPPING);
    scene_destroy(&scene);
}

static void entries_lost_and_made_up(void **state) {
    struct scene scene = scene_create(*state);
    vm_pte_slot *slot = entry_of(scene.parent, AT);
    vm_pte entry = vm_pte_read(slot);
    char name[40];

    vm_pte_write(slot, 0);
    expect(&scene,
           frame_name(vm_page_of(scene.rig->machine, vm_pte_frame(entry)), scene.parent, name),
           "its map count is 1, but entries that map it are 0");
    expect(&scene, "tables of space 1", "differences in its own check");
    vm_pte_write(slot, entry);

    vm_pte_slot *empty = entry_of(scene.child, AT + 30 * PAGE);
    vm_pte_write(empty, entry);
    expect(&scene, "space 2, address 0x21e000", "index is not the one of this address");
    expect(&scene, name, "its map count is 1, but entries that map it are 2");
    expect(&scene, "space 2, address 0x21e000", "the design does not find the entry");
    vm_pte_write(empty, 0);

    empty = entry_of(scene.child, AT + 100 * PAGE);
    vm_pte_write(empty, vm_pte_make(1023, vm_pte_protection(RW)));
    expect(&scene, "space 2, address 0x264000, frame 1023", "an entry outside every area");
    vm_pte_write(empty, 0);
    scene_destroy(&scene);
}

static void wrong_indexes(void **state) {
    struct scene scene = scene_create(*state);
    struct vm_page *page = page_at(scene.parent, AT);

    page->index++;
    expect(&scene, "space 1, address 0x200000", "the private page's index is not the one");
    page->index--;
    page = page_at(scene.parent, OBJ);
    page->index++;
    expect(&scene, "space 1, address 0x800000", "another page of the object belongs here");
    page->index--;
    scene_destroy(&scene);
}

static void protections(void **state) {
    struct scene scene = scene_create(*state);
    struct vm_machine *machine = scene.rig->machine;

    vm_pte_set_bits(machine, entry_of(scene.child, AT + 4 * PAGE), VM_PTE_WRITE);
    expect(&scene, "space 2, address 0x204000", "the entry allows more than its area");
    vm_pte_clear_bits(machine, entry_of(scene.child, AT + 4 * PAGE), VM_PTE_WRITE);

    vm_pte_set_bits(machine, entry_of(scene.parent, AT + 5 * PAGE), VM_PTE_WRITE);
    expect(&scene, "space 1, address 0x205000", "writable, though others map the private page");
    vm_pte_clear_bits(machine, entry_of(scene.parent, AT + 5 * PAGE), VM_PTE_WRITE);

    vm_pte_set_bits(machine, entry_of(scene.parent, AT + 20 * PAGE), VM_PTE_WRITE);
    expect(&scene, "space 1, address 0x214000", "the zero page is writable");
    vm_pte_clear_bits(machine, entry_of(scene.parent, AT + 20 * PAGE), VM_PTE_WRITE);
    scene_destroy(&scene);
}

static void swap_counts(void **state) {
    struct scene scene = scene_create(*state);
    vm_pte entry = vm_pte_read(entry_of(scene.parent, AT + 10 * PAGE));

    assert_true(vm_pte_is_swap(entry));
    vm_swap_duplicate(scene.rig->machine, vm_pte_swap_slot(entry), 1);
    expect(&scene, "swap", "differences in its own check");
    vm_swap_free(scene.rig->machine, vm_pte_swap_slot(entry));

    vm_pte_write(entry_of(scene.parent, AT + 10 * PAGE), vm_pte_from_swap(4000));
    expect(&scene, "space 1, address 0x20a000, swap slot 4000", "its swap slot is counted as free");
    vm_pte_write(entry_of(scene.parent, AT + 10 * PAGE), entry);
    scene_destroy(&scene);
}

static void free_frames_and_locks(void **state) {
    struct scene scene = scene_create(*state);
    struct vm_machine *machine = scene.rig->machine;
    vm_pte_slot *slot = entry_of(scene.parent, AT + 25 * PAGE);
    char name[40];

    struct vm_page *page = vm_frame_alloc(machine, VM_FRAME_AS_IS);
    vm_pte_write(slot, vm_pte_make(vm_page_frame(machine, page), vm_pte_protection(VM_PROT_READ)));
    vm_page_put(machine, page);
    expect(&scene, "space 1, address 0x219000", "it maps a free frame");
    vm_pte_write(slot, vm_pte_make(vm_table_frame(machine, scene.child->root),
                                   vm_pte_protection(VM_PROT_READ)));
    expect(&scene, "space 1, address 0x219000", "it maps a page table");
    vm_pte_write(slot, 0);

    page = page_at(scene.parent, OBJ);
    vm_page_lock(machine, page);
    expect(&scene, frame_name(page, scene.parent, name), "the page was left locked");
    vm_page_unlock(machine, page);
    scene_destroy(&scene);
}

/* The design forgets an entry that is there. */
static void chains_without_an_entry(void **state) {
    (void)state;
    struct scene scene = scene_create("pte-chain");
    struct vm_machine *machine = scene.rig->machine;
    uint64_t address = AT + 5 * PAGE;
    vm_pte entry = vm_pte_read(entry_of(scene.child, address));
    struct vm_leaf leaf;
    vm_table_find(machine, scene.child->root, address, &leaf);
    struct vm_run run = { .area = vm_area_at(scene.child, address),
                          .table = leaf.table,
                          .address = address,
                          .first = vm_table_index(address, 0),
                          .count = 1,
                          .entries = &entry };
    struct vm_reserve reserve = { 0 };

    vm_rmap_remove(machine, &run);
    expect(&scene, "space 2, address 0x205000", "the design does not find the entry");
    assert_int_equal(vm_rmap_reserve(machine, &reserve, VM_RESERVE_ANY, 2), VM_OK);
    vm_rmap_add(machine, &run, &reserve);
    vm_rmap_unreserve(machine, &reserve);
    rig_verify(scene.rig);

    assert_int_equal(vm_rmap_reserve(machine, &reserve, VM_RESERVE_ANY, 1), VM_OK);
    vm_rmap_add(machine, &run, &reserve);
    expect(&scene, "space 2, address 0x205000", "the design shows the entry twice");
    vm_rmap_remove(machine, &run);
    vm_rmap_unreserve(machine, &reserve);
    scene_destroy(&scene);
}

static void anon_vmas_without_an_area(void **state) {
    (void)state;
    struct scene scene = scene_create("anon-vma");
    struct vm_machine *machine = scene.rig->machine;
    struct vm_area *child = vm_area_at(scene.child, AT);

    machine->design->area_ended(child);
    expect(&scene, "space 2, address 0x203000", "the design does not find the entry");
    expect(&scene, "anon-vma", "differences in its own check");
    machine->design->area_forked(vm_area_at(scene.parent, AT), child);
    scene_destroy(&scene);
}

static void areas_that_moved_without_their_index(void **state) {
    struct scene scene = scene_create(*state);
    struct vm_area *area = vm_area_at(scene.parent, OBJ);

    area->pgoff++;
    expect(&scene, "space 1, address 0x800000", "another page of the object belongs here");
    area->pgoff--;
    scene_destroy(&scene);
}

/* ---- and it disturbs nothing */

static void sum_caches(const struct vm_cache_view *cache, void *context) {
    *(uint64_t *)context += cache->live_bytes + cache->peak_bytes + cache->held_bytes;
}

static uint64_t accessed_bits(struct vm_space *space) {
    struct vm_table_cursor cursor = vm_table_cursor(space->root, 0, VM_ADDRESS_END);
    uint64_t sum = 0;
    while (vm_table_next(space->machine, &cursor))
        for (unsigned i = 0; i < cursor.count; i++)
            sum = sum * 31 + vm_pte_read(&cursor.entries[i]);
    return sum;
}

static void verifying_leaves_no_trace(void **state) {
    struct scene scene = scene_create(*state);
    struct vm_machine *machine = scene.rig->machine;
    struct vm_stats before = rig_stats(scene.rig), after;
    uint64_t peaks[4], bytes_before = 0, bytes_after = 0, bits = accessed_bits(scene.parent);

    for (unsigned cost = 0; cost < 4; cost++)
        peaks[cost] = vm_cost_peak(machine, cost);
    vm_cache_each(machine, sum_caches, &bytes_before);
    rig_verify(scene.rig);
    vm_cache_each(machine, sum_caches, &bytes_after);
    after = rig_stats(scene.rig);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(bytes_before, bytes_after);
    assert_int_equal(bits, accessed_bits(scene.parent));
    for (unsigned cost = 0; cost < 4; cost++)
        assert_int_equal(peaks[cost], vm_cost_peak(machine, cost));
    scene_destroy(&scene);
}

static void count_place(const struct vm_mapped_at *place, void *context) {
    assert_non_null(place->space);
    ++*(uint64_t *)context;
}

/* The design and the scan agree on every frame, and a machine without reports can be verified. */
static void the_oracle_agrees(void **state) {
    struct scene scene = scene_create(*state);
    struct vm_machine *machine = scene.rig->machine;
    uint64_t mapped = 0;

    for (uint64_t frame = 0; frame < machine->config.frames; frame++) {
        uint64_t truth = vm_oracle_mappings(machine, frame, NULL, NULL), shown = 0;
        assert_int_equal(vm_oracle_mappings(machine, frame, count_place, &shown), truth);
        assert_int_equal(shown, truth);
        if (frame != vm_page_frame(machine, machine->zero_page))
            assert_int_equal(vm_page_mappings(machine, frame, NULL, NULL), truth);
        mapped += truth;
    }
    assert_true(mapped > 20);
    assert_int_equal(vm_page_mappings(machine, machine->config.frames, NULL, NULL), 0);
    assert_int_equal(vm_verify(machine, NULL, NULL), 0);
    scene_destroy(&scene);
}

#define WITH(test, design)                                                                         \
    { #test " " design, test, NULL, NULL, (void *)(uintptr_t)design }
#define BOTH(test) WITH(test, "pte-chain"), WITH(test, "anon-vma")

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(map_counts),
        BOTH(entries_lost_and_made_up),
        BOTH(wrong_indexes),
        BOTH(protections),
        BOTH(swap_counts),
        BOTH(free_frames_and_locks),
        BOTH(areas_that_moved_without_their_index),
        BOTH(verifying_leaves_no_trace),
        BOTH(the_oracle_agrees),
        cmocka_unit_test(chains_without_an_entry),
        cmocka_unit_test(anon_vmas_without_an_area),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
