/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * together_test.c - walking several pages at once shows of each what a walk of its own shows: with
 * every design and file index, whatever lies beside each other, in however many tables.
 */
#include "rig.h"

#include "vm/object/swap.h"
#include "vm/reclaim/reclaim.h"

#define LEAF (UINT64_C(512) * PAGE)
#define AT   (7 * LEAF)

enum { PAGES = 40, SPACES = 4, OTHERS = 3, ALL = PAGES + OTHERS };

struct scene {
    struct rig *rig;
    struct vm_object *object, *other;
    struct vm_space *spaces[SPACES];
    struct vm_page *pages[ALL]; /* the object's, with another's and private ones among them */
};

static void map_at(struct vm_space *space, uint64_t address, uint64_t pages,
                   struct vm_object *object, uint64_t pgoff) {
    uint64_t result;
    assert_int_equal(vm_mmap(space, address, pages * PAGE, RW, VM_MAP_SHARED | VM_MAP_FIXED, object,
                             pgoff, &result),
                     VM_OK);
}

static struct vm_page *page_at(struct scene *scene, struct vm_space *space, uint64_t address) {
    uint64_t frame = vm_frame_at(space, address);
    assert_true(frame != VM_NO_FRAME);
    return vm_page_of(scene->rig->machine, frame);
}

/* All of it across two tables; twice in one space, one page apart; a part, read here and there. */
static void map_everywhere(struct scene *scene) {
    struct vm_space **spaces = scene->spaces;

    map_at(spaces[0], AT - 10 * PAGE, PAGES, scene->object, 0);
    rig_touch(spaces[0], AT - 10 * PAGE, PAGES);
    map_at(spaces[1], AT, PAGES, scene->object, 0);
    map_at(spaces[1], AT + LEAF, PAGES - 1, scene->object, 1);
    rig_touch(spaces[1], AT, PAGES / 2);
    rig_touch(spaces[1], AT + LEAF, PAGES - 1);
    map_at(spaces[2], AT, 10, scene->object, 20);
    for (unsigned i = 0; i < 10; i += 3)
        rig_touch(spaces[2], AT + i * PAGE, 1);
    map_at(spaces[2], AT + 3 * LEAF, PAGES, scene->object, 0); /* a table, and nothing in it */
    rig_touch(spaces[2], AT + 3 * LEAF + 5 * PAGE, 1);
    assert_int_equal(vm_madvise(spaces[2], AT + 3 * LEAF, PAGES * PAGE, VM_MADV_DONTNEED), VM_OK);
}

/* The pages are locked and held, as reclaim has them. */
static struct scene begin(struct vm_machine_config plan) {
    struct scene scene = { .rig = rig_create_as(plan) };
    struct vm_machine *machine = scene.rig->machine;
    unsigned n = 0;

    assert_int_equal(vm_object_create_shm(machine, PAGES * PAGE, 1, &scene.object), VM_OK);
    assert_int_equal(vm_object_create_shm(machine, PAGES * PAGE, 2, &scene.other), VM_OK);
    for (unsigned i = 0; i < SPACES; i++)
        scene.spaces[i] = rig_space(scene.rig, i + 1);
    map_everywhere(&scene);
    map_at(scene.spaces[3], AT, 1, scene.other, 5);
    rig_map(scene.spaces[3], AT + PAGE, 2, NULL);
    rig_touch(scene.spaces[3], AT, OTHERS);
    for (unsigned i = 0; i < PAGES; i++) {
        if (i % 12 == 5)
            scene.pages[n++] = page_at(&scene, scene.spaces[3], AT + (i / 12) % OTHERS * PAGE);
        if (n < ALL)
            scene.pages[n++] = page_at(&scene, scene.spaces[0], AT + i * PAGE - 10 * PAGE);
    }
    assert_int_equal(n, ALL);
    for (unsigned i = 0; i < ALL; i++) {
        vm_page_get(machine, scene.pages[i]);
        assert_true(vm_page_trylock(machine, scene.pages[i]));
    }
    return scene;
}

static void let_go(struct scene *scene) {
    for (unsigned i = 0; i < ALL; i++) {
        vm_page_unlock(scene->rig->machine, scene->pages[i]);
        vm_swap_page_put(scene->rig->machine, scene->pages[i]);
    }
}

static void end(struct scene *scene) {
    vm_settle(scene->rig->machine);
    rig_verify(scene->rig);
    vm_object_put(scene->object);
    vm_object_put(scene->other);
    rig_destroy(scene->rig);
}

struct shown {
    unsigned entries;
    uint64_t places; /* a sum that tells them apart */
};

static enum vm_step note(const struct vm_mapping *mapping, void *context) {
    struct shown *shown = context;
    shown->entries++;
    shown->places += (mapping->area->space->id << 48) + mapping->address;
    return VM_STEP_ON;
}

static void one_walk_shows_what_many_do(struct vm_machine_config plan) {
    struct scene scene = begin(plan);
    struct vm_machine *machine = scene.rig->machine;
    struct shown alone[ALL] = { { 0 } }, together[ALL] = { { 0 } };
    struct vm_walk_page walked[ALL];

    for (unsigned i = 0; i < ALL; i++) {
        vm_rmap_walk(machine, scene.pages[i], VM_WALK_RECLAIM, note, &alone[i]);
        assert_int_equal(alone[i].entries, vm_page_mapcount(scene.pages[i]));
        walked[i] = (struct vm_walk_page){ .page = scene.pages[i], .context = &together[i] };
    }
    vm_rmap_walk_together(machine, walked, ALL, VM_WALK_RECLAIM, note);
    for (unsigned i = 0; i < ALL; i++) {
        assert_int_equal(together[i].entries, alone[i].entries);
        assert_true(together[i].places == alone[i].places);
    }
    let_go(&scene);
    end(&scene);
}

static enum vm_step note_one(const struct vm_mapping *mapping, void *context) {
    note(mapping, context);
    return VM_STEP_STOP;
}

static void who_has_seen_enough_is_shown_no_more(struct vm_machine_config plan) {
    struct scene scene = begin(plan);
    struct shown shown[ALL] = { { 0 } };
    struct vm_walk_page walked[ALL];

    for (unsigned i = 0; i < ALL; i++)
        walked[i] = (struct vm_walk_page){ .page = scene.pages[i], .context = &shown[i] };
    vm_rmap_walk_together(scene.rig->machine, walked, ALL, VM_WALK_RECLAIM, note_one);
    for (unsigned i = 0; i < ALL; i++)
        assert_int_equal(shown[i].entries, vm_page_mapcount(scene.pages[i]) > 0);
    let_go(&scene);
    end(&scene);
}

/* Locked memory keeps its pages, and only those, however many areas come before. */
static void unmapping_leaves_what_is_locked(struct vm_machine_config plan) {
    struct scene scene = begin(plan);
    struct vm_machine *machine = scene.rig->machine;
    struct vm_page_use uses[ALL];

    for (unsigned i = 0; i < ALL; i++)
        vm_page_unlock(machine, scene.pages[i]);
    assert_int_equal(vm_mlock(scene.spaces[1], AT + 2 * PAGE, 3 * PAGE), VM_OK);
    for (unsigned i = 0; i < ALL; i++)
        assert_true(vm_page_trylock(machine, scene.pages[i]));
    for (unsigned i = 0; i < ALL; i += VM_PAGEOUT_BATCH) {
        unsigned n = ALL - i < VM_PAGEOUT_BATCH ? ALL - i : VM_PAGEOUT_BATCH;
        vm_pages_age(machine, scene.pages + i, n, uses + i);
        for (unsigned k = i; k < i + n; k++)
            vm_page_get(machine, scene.pages[k]); /* so none is freed */
        assert_int_equal(vm_pages_out(machine, scene.pages + i, n, uses + i), 0);
    }
    for (unsigned i = 0; i < ALL; i++)
        assert_true(vm_page_trylock(machine, scene.pages[i]));
    for (unsigned i = 0; i < ALL; i++) {
        struct vm_page *page = scene.pages[i];
        bool locked = page->object == scene.object && page->index >= 2 && page->index < 5;
        assert_int_equal(uses[i].locked, locked);
        assert_int_equal(vm_page_mapcount(page) > 0, locked);
    }
    let_go(&scene);
    end(&scene);
}

/* ---------------------------------------------------------------- every design, every index */

typedef void one_test(struct vm_machine_config plan);

static void with_design(const struct vm_design_info *design, void *context) {
    static const char *const indexes[] = { "list", "list-of-lists", "prio-tree", "interval-tree",
                                           "sorted" };

    for (size_t i = 0; i < sizeof indexes / sizeof indexes[0]; i++)
        for (unsigned cpus = 1; cpus <= 2; cpus++)
            (*(one_test **)context)((struct vm_machine_config){
                .design = design->name, .file_index = indexes[i], .frames = 1024, .cpus = cpus });
}

static void every_design(void **state) {
    one_test *test = (one_test *)(uintptr_t)*state;
    vm_design_each(with_design, &test);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        { "one_walk_shows_what_many_do", every_design, NULL, NULL,
          (void *)(uintptr_t)one_walk_shows_what_many_do },
        { "who_has_seen_enough_is_shown_no_more", every_design, NULL, NULL,
          (void *)(uintptr_t)who_has_seen_enough_is_shown_no_more },
        { "unmapping_leaves_what_is_locked", every_design, NULL, NULL,
          (void *)(uintptr_t)unmapping_leaves_what_is_locked },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
