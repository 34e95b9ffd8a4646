/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * out_of_line_test.c - objrmap-partial with chains as the answer to nonlinear areas: which pages get
 * a chain, what is in it, and that none of their entries is lost while others fork, move, unmap.
 */
#include "rig.h"

#include "harness/dice.h"

#include "vm/reclaim/reclaim.h"

#include <pthread.h>

#define AT    UINT64_C(0x8000000)
#define AWAY  UINT64_C(0x40000000)
#define PAGES 64
#define ODD   40 /* shown at 0 */

struct scene {
    struct rig *rig;
    struct vm_object *object;
    struct vm_space *first;
};

static struct scene scene_create(struct vm_machine_config plan) {
    struct scene scene;

    plan.design = "objrmap-partial";
    plan.nonlinear = VM_NONLINEAR_CHAIN;
    scene.rig = rig_create_as(plan);
    assert_int_equal(vm_object_create_shm(scene.rig->machine, PAGES * PAGE, 1, &scene.object),
                     VM_OK);
    scene.first = rig_space(scene.rig, 1);
    rig_map(scene.first, AT, PAGES, scene.object);
    rig_touch(scene.first, AT, PAGES);
    return scene;
}

static void exit_all(struct rig *rig) {
    struct vm_space *space;
    while ((space = vm_space_first(rig->machine)))
        vm_exit(space);
}

static void scene_destroy(struct scene *scene) {
    rig_verify(scene->rig);
    exit_all(scene->rig);
    assert_int_equal(rig_cache(scene->rig, "pte chains").live, 0);
    vm_object_put(scene->object);
    rig_destroy(scene->rig);
}

static void show_odd_page(struct vm_space *space) {
    assert_int_equal(vm_remap_file_pages(space, AT, PAGE, ODD), VM_OK);
    assert_int_equal(vm_touch(space, AT, 1, VM_READ, NULL), VM_OK);
}

/* Ten spaces in line and one out of line: 12 entries in two nodes, and nothing for other pages. */
static void all_entries_of_that_page(void **state) {
    struct scene scene = scene_create((struct vm_machine_config){ .fork_copy = VM_FORK_EAGER });
    uint64_t odd = vm_frame_at(scene.first, AT + ODD * PAGE), other = vm_frame_at(scene.first, AT);
    struct vm_stats cost;
    (void)state;

    for (uint64_t i = 0; i < 10; i++)
        rig_fork(scene.first, 10 + i);
    assert_int_equal(rig_cache(scene.rig, "pte chains").live, 0);
    show_odd_page(scene.first);
    assert_int_equal(vm_frame_at(scene.first, AT), odd);
    assert_int_equal(rig_cache(scene.rig, "pte chains").live, 2);
    rig_verify(scene.rig);

    assert_int_equal(rig_ask(scene.rig, odd, &cost), 12);
    assert_int_equal(cost.rmap.hits, 12);
    assert_int_equal(cost.rmap.object_visits, 2); /* nodes */
    assert_int_equal(cost.rmap.empty_walks + cost.rmap.range_rejects, 0);
    assert_int_equal(rig_ask(scene.rig, other, &cost), 10); /* by the areas of the ten */

    rig_fork(scene.first, 30);
    assert_int_equal(rig_ask(scene.rig, odd, &cost), 14);
    scene_destroy(&scene);
}

/* A page in line in a nonlinear area has no chain; it is found by the linear rule all the same. */
static void in_line_in_a_nonlinear_area(void **state) {
    struct scene scene = scene_create((struct vm_machine_config){ 0 });
    uint64_t frame = vm_frame_at(scene.first, AT + 7 * PAGE);
    struct vm_stats cost;
    (void)state;

    show_odd_page(scene.first);
    assert_int_equal(rig_cache(scene.rig, "pte chains").live, 1); /* the odd page's two entries */
    assert_int_equal(rig_ask(scene.rig, frame, &cost), 1);
    assert_int_equal(vm_madvise(scene.first, AT + 7 * PAGE, PAGE, VM_MADV_PAGEOUT), VM_OK);
    assert_int_equal(vm_frame_at(scene.first, AT + 7 * PAGE), VM_NO_FRAME);
    scene_destroy(&scene);
}

/* Evicted and brought back, it is converted again where its offset says, and only there. */
static void evicted_and_back(void **state) {
    struct scene scene = scene_create((struct vm_machine_config){ .fault_around = 1 });
    struct vm_space *other = rig_space(scene.rig, 2);
    struct vm_stats cost;
    (void)state;

    rig_map(other, AT, PAGES, scene.object);
    rig_touch(other, AT, PAGES);
    show_odd_page(scene.first);
    for (int round = 0; round < 4; round++) /* the first ones find it in use */
        vm_reclaim(scene.rig->machine, PAGES);
    assert_int_equal(vm_frame_at(scene.first, AT), VM_NO_FRAME);
    assert_int_equal(vm_frame_at(other, AT + ODD * PAGE), VM_NO_FRAME);
    assert_int_equal(rig_cache(scene.rig, "pte chains").live, 0);

    assert_int_equal(vm_touch(other, AT + ODD * PAGE, 1, VM_READ, NULL), VM_OK);
    uint64_t frame = vm_frame_at(other, AT + ODD * PAGE);
    assert_int_equal(rig_ask(scene.rig, frame, &cost), 1);
    assert_int_equal(rig_cache(scene.rig, "pte chains").live, 0); /* in line */
    assert_int_equal(vm_touch(scene.first, AT, 1, VM_READ, NULL), VM_OK);
    assert_int_equal(vm_frame_at(scene.first, AT), frame);
    assert_int_equal(rig_ask(scene.rig, frame, &cost), 2);
    assert_int_equal(rig_cache(scene.rig, "pte chains").live, 1);
    scene_destroy(&scene);
}

static void moved_in_line_and_out(void **state) {
    struct scene scene = scene_create((struct vm_machine_config){ 0 });
    uint64_t odd = vm_frame_at(scene.first, AT + ODD * PAGE), result;
    struct vm_stats cost;
    (void)state;

    show_odd_page(scene.first);
    assert_int_equal(vm_mremap(scene.first, AT, PAGES * PAGE, PAGES * PAGE,
                               VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, AWAY, &result),
                     VM_OK);
    assert_int_equal(rig_ask(scene.rig, odd, &cost), 2);
    assert_int_equal(vm_frame_at(scene.first, AWAY), odd);
    rig_verify(scene.rig);
    assert_int_equal(vm_munmap(scene.first, AWAY, PAGE), VM_OK);
    assert_int_equal(rig_ask(scene.rig, odd, &cost), 1);
    scene_destroy(&scene);
}

/* In another frame it still has its chain, with all that was in it. */
static void migrated(void **state) {
    struct scene scene = scene_create((struct vm_machine_config){ .fork_copy = VM_FORK_EAGER });
    struct vm_machine *machine = scene.rig->machine;
    struct vm_stats cost;
    (void)state;

    rig_fork(scene.first, 2);
    show_odd_page(scene.first);
    uint64_t before = vm_frame_at(scene.first, AT);
    struct vm_page *page = vm_page_of(machine, before);
    vm_page_get(machine, page);
    assert_int_equal(vm_page_migrate(machine, page, 0), VM_OK);
    vm_page_put(machine, page);
    uint64_t after = vm_frame_at(scene.first, AT);
    assert_int_not_equal(after, before);
    assert_int_equal(rig_ask(scene.rig, after, &cost), 3);
    assert_int_equal(cost.rmap.object_visits, 1);
    scene_destroy(&scene);
}

/* Object pages bring nothing to set aside where no chain can be. */
static void nothing_is_set_aside_for_files(void **state) {
    struct rig *rig = rig_create_as(
        (struct vm_machine_config){ .design = "objrmap-partial", .fork_copy = VM_FORK_EAGER });
    struct vm_space *space = rig_space(rig, 1);
    struct vm_object *object;
    (void)state;

    assert_int_equal(vm_object_create_shm(rig->machine, PAGES * PAGE, 1, &object), VM_OK);
    rig_map(space, AT, PAGES, object);
    rig_touch(space, AT, PAGES);
    rig_fork(space, 2);
    vm_exit(rig_fork(space, 3));
    assert_int_equal(rig_cache(rig, "pte chains").peak, 0);
    exit_all(rig);
    vm_object_put(object);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- while others are at work */

/* While CPU 0 converts the odd page, CPU 1 does something to the child: at the nth place where it could,
 * for every n. */
static struct {
    struct scene scene;
    struct vm_space *child;
    struct vm_page *odd;
    void (*something)(void);
    unsigned until, cpu;
    bool needs_areas, done;
} meanwhile;

static unsigned cpu_of_turn(struct vm_port *port) {
    (void)port;
    return meanwhile.cpu;
}

/* CPU 1 must not wait for what CPU 0 holds: spinning locks, but perhaps the areas' of the object; nor
 * for `what`, if that is a lock about to be released. */
static bool cpu_0_is_in_nobodys_way(const volatile void *what) {
    const struct vm_cpu *cpu = &meanwhile.scene.rig->machine->cpus[0];

    for (unsigned rank = VM_RANK_PAGE + 1; rank < VM_RANKS; rank++)
        if (cpu->ranks_held[rank] && (rank != VM_RANK_OBJECT_AREAS || meanwhile.needs_areas))
            return false;
    if (vm_page_is(meanwhile.odd, VM_PAGE_DESIGN_1))
        return false;
    return what == meanwhile.odd || *(const volatile uint32_t *)what != 1;
}

static void come_between(struct vm_port *port, const volatile void *what) {
    (void)port;
    if (meanwhile.cpu == 1 || meanwhile.done || !cpu_0_is_in_nobodys_way(what) || --meanwhile.until)
        return;
    meanwhile.done = true;
    meanwhile.cpu = 1;
    meanwhile.something();
    meanwhile.cpu = 0;
}

static void drop_it(void) {
    assert_int_equal(vm_madvise(meanwhile.child, AT + ODD * PAGE, PAGE, VM_MADV_DONTNEED), VM_OK);
}

static void move_it(void) {
    uint64_t result;
    assert_int_equal(vm_mremap(meanwhile.child, AT, PAGES * PAGE, PAGES * PAGE,
                               VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, AWAY, &result),
                     VM_OK);
}

static void fork_it(void) {
    rig_fork(meanwhile.child, 3);
}

static bool convert_while(void (*something)(void), unsigned place) {
    meanwhile.scene =
        scene_create((struct vm_machine_config){ .fork_copy = VM_FORK_EAGER, .cpus = 2 });
    struct scene *scene = &meanwhile.scene;

    meanwhile.child = rig_fork(scene->first, 2);
    meanwhile.odd = vm_page_of(scene->rig->machine, vm_frame_at(scene->first, AT + ODD * PAGE));
    meanwhile.something = something;
    meanwhile.until = place;
    meanwhile.done = false;
    meanwhile.needs_areas = something != drop_it;
    scene->rig->posix.port.cpu = cpu_of_turn;
    vm_page_lock(scene->rig->machine, meanwhile.odd);
    scene->rig->posix.port.preempt = come_between;
    assert_int_equal(scene->rig->machine->design->out_of_line(scene->rig->machine, meanwhile.odd),
                     VM_OK);
    scene->rig->posix.port.preempt = NULL;
    vm_page_unlock(scene->rig->machine, meanwhile.odd);
    scene_destroy(scene);
    return meanwhile.done;
}

static void converted_meanwhile(void **state) {
    void (*const things[])(void) = { drop_it, move_it, fork_it };
    (void)state;

#if VM_DEBUG < 2
    skip(); /* where others could come between is not told */
#endif
    for (int i = 0; i < 3; i++) {
        unsigned place = 1;
        while (convert_while(things[i], place))
            place++;
        assert_true(place > 3); /* there were some */
    }
}

#define THREADS 3
#define ROUNDS  600

struct actor {
    struct scene *scene;
    struct vm_space *own;
    unsigned cpu;
    struct dice dice;
    pthread_t thread;
};

static unsigned draw(struct actor *actor, unsigned below) {
    return (unsigned)dice_below(&actor->dice, below);
}

/* Forks copy entries of pages that others are just converting, and mremap moves them. */
static void *act(void *context) {
    struct actor *actor = context;
    struct vm_space *child;
    uint64_t result;

    posix_cpu_set(actor->cpu);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t at = AT + draw(actor, PAGES) * PAGE;
        switch (draw(actor, 8)) {
        case 0:
        case 1:
            if (vm_fork(draw(actor, 2) ? actor->own : actor->scene->first, 100 + actor->cpu,
                        &child) == VM_OK)
                vm_exit(child);
            break;
        case 2:
            vm_mremap(actor->own, AT, PAGES * PAGE, PAGES * PAGE,
                      VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, AWAY, &result);
            vm_mremap(actor->own, AWAY, PAGES * PAGE, PAGES * PAGE,
                      VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, AT, &result);
            break;
        case 3:
            vm_madvise(actor->own, at, PAGE, VM_MADV_PAGEOUT);
            break;
        case 4:
            vm_madvise(actor->own, at, PAGE, VM_MADV_DONTNEED);
            break;
        default:
            vm_remap_file_pages(actor->own, at, PAGE, draw(actor, PAGES));
        }
        vm_touch(actor->own, AT, PAGES, VM_READ, NULL);
    }
    vm_exit(actor->own);
    return NULL;
}

static void converted_while_forked(void **state) {
    struct scene scene = scene_create((struct vm_machine_config){
        .fork_copy = VM_FORK_EAGER, .cpus = THREADS + 1, .frames = 4096 });
    struct actor actors[THREADS];
    (void)state;

    for (unsigned i = 0; i < THREADS; i++) {
        actors[i] = (struct actor){ .scene = &scene, .cpu = i + 1, .dice = { 99 * i + 1 } };
        actors[i].own = rig_fork(scene.first, 2 + i);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&actors[i].thread, NULL, act, &actors[i]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(actors[i].thread, NULL);
    scene_destroy(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_entries_of_that_page),
        cmocka_unit_test(in_line_in_a_nonlinear_area),
        cmocka_unit_test(evicted_and_back),
        cmocka_unit_test(moved_in_line_and_out),
        cmocka_unit_test(migrated),
        cmocka_unit_test(nothing_is_set_aside_for_files),
        cmocka_unit_test(converted_meanwhile),
        cmocka_unit_test(converted_while_forked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
