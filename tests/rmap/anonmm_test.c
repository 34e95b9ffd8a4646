/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anonmm_test.c - the design "anonmm": what a walk round the ring costs, who owns orphans, what
 * mremap copies, and that no anonmm is left in the end.
 */
#include "rig.h"

#include "vm/reclaim/reclaim.h"

#include <pthread.h>

#define AT UINT64_C(0x100000)
#define TO UINT64_C(0x40000000)

static uint64_t anonmms(struct rig *rig) {
    return rig_cache(rig, "anonmm").live;
}

static uint64_t forced_copies(struct rig *rig) {
    return rig_stats(rig).rmap.forced_copies;
}

static uint64_t free_frames(struct rig *rig) {
    return rig_stats(rig).memory.frames_free;
}

static uint64_t visits(struct rig *rig, struct vm_space *space, uint64_t address) {
    struct vm_stats cost;
    rig_ask(rig, vm_frame_at(space, address), &cost);
    return cost.rmap.object_visits;
}

static void write_number(struct vm_space *space, uint64_t address, uint64_t number) {
    assert_int_equal(vm_write(space, address, &number, sizeof number), VM_OK);
}

static uint64_t read_number(struct vm_space *space, uint64_t address) {
    uint64_t number;
    assert_int_equal(vm_read(space, address, &number, sizeof number), VM_OK);
    return number;
}

static int move(struct vm_space *space, uint64_t from, uint64_t to, uint64_t pages) {
    uint64_t result;
    return vm_mremap(space, from, pages * PAGE, pages * PAGE, VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED,
                     to, &result);
}

/* As reclaim looks at a page: unlike an onlooker it may tidy up. */
static void age(struct rig *rig, struct vm_space *space, uint64_t address) {
    struct vm_page *page = vm_page_of(rig->machine, vm_frame_at(space, address));
    vm_page_get(rig->machine, page);
    vm_page_lock(rig->machine, page);
    vm_page_age(rig->machine, page);
    vm_page_unlock(rig->machine, page);
    vm_page_put(rig->machine, page);
}

/* One in each space, 48 bytes, whatever the space maps. */
static void a_space_costs_one_anonmm(void **state) {
    (void)state;
    struct rig *rig = rig_create("anonmm", 1024);
    struct vm_space *space = rig_space(rig, 1);

    for (unsigned i = 0; i < 20; i++)
        rig_map(space, AT + 2 * i * PAGE, 1, NULL);
    rig_touch(space, AT, 1);
    assert_int_equal(anonmms(rig), 1);
    assert_int_equal(rig_cache(rig, "anonmm").bytes, 48);
    rig_verify(rig);
    vm_exit(space);
    assert_int_equal(anonmms(rig), 0);
    rig_destroy(rig);
}

/* A forking server: a page that one space has alone is found there at once, however many relatives
 * there are, and whether the parent or a child has it; a shared one costs the ring. */
static void a_page_of_one_space_takes_one_visit(void **state) {
    (void)state;
    enum { CHILDREN = 50 };
    struct rig *rig = rig_create("anonmm", 2048);
    struct vm_space *parent = rig_space(rig, 1000), *child[CHILDREN];
    struct vm_stats cost;

    rig_map(parent, AT, 3, NULL);
    rig_touch(parent, AT, 2);
    for (unsigned i = 0; i < CHILDREN; i++)
        child[i] = rig_fork(parent, i);
    for (unsigned i = 0; i < CHILDREN; i++)
        rig_touch(child[i], AT + PAGE, 1);
    rig_touch(parent, AT + 2 * PAGE, 1);

    assert_int_equal(rig_ask(rig, vm_frame_at(parent, AT), &cost), CHILDREN + 1);
    assert_int_equal(cost.rmap.object_visits, CHILDREN + 1);
    assert_int_equal(cost.rmap.empty_walks, 0);
    for (unsigned i = 0; i < CHILDREN; i++)
        assert_int_equal(visits(rig, child[i], AT + PAGE), 1);
    assert_int_equal(visits(rig, parent, AT + 2 * PAGE), 1);
    rig_verify(rig);
    rig_destroy(rig);
}

/* The anonmm of a space that has gone stays for the pages that name it, until reclaim looks at them
 * and gives them to somebody who maps them. */
static void an_orphan_is_given_to_a_relative(void **state) {
    (void)state;
    struct rig *rig = rig_create("anonmm", 1024);
    struct vm_space *first = rig_space(rig, 1), *parent = rig_fork(first, 2);

    rig_map(parent, AT, 2, NULL);
    rig_touch(parent, AT, 2);
    struct vm_space *child = rig_fork(parent, 3);
    vm_exit(parent);
    assert_int_equal(anonmms(rig), 3);
    assert_int_equal(visits(rig, child, AT), 2);
    assert_int_equal(visits(rig, child, AT), 2); /* onlookers change nothing */
    age(rig, child, AT);
    assert_int_equal(visits(rig, child, AT), 1);
    assert_int_equal(anonmms(rig), 3);
    age(rig, child, AT + PAGE);
    assert_int_equal(anonmms(rig), 2);
    rig_verify(rig);
    vm_exit(child);
    vm_exit(first);
    assert_int_equal(anonmms(rig), 0);
    rig_destroy(rig);
}

static void exec_leaves_the_family(void **state) {
    (void)state;
    struct rig *rig = rig_create("anonmm", 1024);
    struct vm_space *parent = rig_space(rig, 1);
    struct vm_stats cost;

    rig_map(parent, AT, 4, NULL);
    rig_touch(parent, AT, 4);
    struct vm_space *child = rig_fork(parent, 2);
    assert_int_equal(vm_exec(child), VM_OK);
    assert_int_equal(anonmms(rig), 2);
    rig_map(child, AT, 4, NULL);
    rig_touch(child, AT, 4);
    struct vm_space *grandchild = rig_fork(child, 3);
    assert_int_equal(rig_ask(rig, vm_frame_at(child, AT), &cost), 2);
    assert_int_equal(cost.rmap.object_visits, 2); /* the parent is not among them */
    assert_int_equal(visits(rig, parent, AT), 1);
    rig_verify(rig);
    vm_exit(parent);
    vm_exit(child);
    vm_exit(grandchild);
    assert_int_equal(anonmms(rig), 0);
    rig_destroy(rig);
}

/* Bug catalogue 7: a page comes back from swap to a child that soon goes. It must be found in the
 * others all the same, older ones included. */
static void swap_in_by_a_child_names_a_short_lived_space(void **state) {
    (void)state;
    struct rig *rig = rig_create("anonmm", 1024);
    struct vm_space *parent = rig_space(rig, 1);
    struct vm_stats cost;

    rig_map(parent, AT, 4, NULL);
    rig_touch(parent, AT, 4);
    struct vm_space *child = rig_fork(parent, 2), *other = rig_fork(parent, 3);
    vm_reclaim(rig->machine, 1024);
    assert_int_equal(vm_frame_at(parent, AT), VM_NO_FRAME);
    assert_int_equal(vm_touch(child, AT, 4, VM_READ, NULL), VM_OK);
    assert_int_equal(vm_touch(parent, AT, 4, VM_READ, NULL), VM_OK);
    assert_int_equal(vm_touch(other, AT, 4, VM_READ, NULL), VM_OK);
    assert_int_equal(rig_ask(rig, vm_frame_at(parent, AT), &cost), 3);
    vm_exit(child);
    assert_int_equal(rig_ask(rig, vm_frame_at(parent, AT), &cost), 2);
    rig_verify(rig);
    vm_reclaim(rig->machine, 1024);
    assert_int_equal(vm_frame_at(parent, AT), VM_NO_FRAME);
    rig_verify(rig);
    vm_exit(parent);
    vm_exit(other);
    assert_int_equal(anonmms(rig), 0);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- mremap */

static void moving_to_and_fro_copies_nothing_alone(void **state) {
    (void)state;
    enum { PAGES = 20, MOVES = 101 };
    struct rig *rig = rig_create("anonmm", 1024);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, PAGES, NULL);
    rig_touch(space, AT, PAGES);
    uint64_t frame = vm_frame_at(space, AT + 7 * PAGE), from = AT, to = TO;
    for (unsigned i = 0; i < MOVES; i++) {
        assert_int_equal(move(space, from, to, PAGES), VM_OK);
        uint64_t was = from;
        from = to;
        to = was;
    }
    assert_int_equal(vm_frame_at(space, TO + 7 * PAGE), frame);
    assert_int_equal(visits(rig, space, TO + 7 * PAGE), 1);
    assert_int_equal(forced_copies(rig), 0);
    rig_verify(rig);
    vm_reclaim(rig->machine, 1024);
    assert_int_equal(vm_frame_at(space, TO), VM_NO_FRAME);
    rig_destroy(rig);
}

/* P shared pages that one of the sharers moves are P copies; the other sharers go on sharing. */
static void moving_after_fork_copies_what_is_shared(void **state) {
    (void)state;
    enum { PAGES = 16 };
    struct rig *rig = rig_create("anonmm", 1024);
    struct vm_space *parent = rig_space(rig, 1);
    struct vm_stats cost;

    rig_map(parent, AT, PAGES, NULL);
    for (unsigned i = 0; i < PAGES; i++)
        write_number(parent, AT + i * PAGE, 100 + i);
    struct vm_space *child = rig_fork(parent, 2), *other = rig_fork(parent, 3);
    uint64_t frames = free_frames(rig);

    assert_int_equal(vm_mprotect(child, AT, 4 * PAGE, VM_PROT_READ), VM_OK);
    rig_touch(child, AT + 5 * PAGE, 1); /* one is the child's own already */
    assert_int_equal(move(child, AT, TO, PAGES), VM_OK);
    assert_int_equal(forced_copies(rig), PAGES - 1);
    assert_true(frames - free_frames(rig) >= PAGES);
    assert_int_equal(rig_ask(rig, vm_frame_at(parent, AT), &cost), 2);
    assert_int_equal(rig_ask(rig, vm_frame_at(child, TO), &cost), 1);
    for (unsigned i = 0; i < PAGES; i++) {
        assert_int_equal(read_number(child, TO + i * PAGE), 100 + i);
        assert_int_equal(read_number(other, AT + i * PAGE), 100 + i);
    }
    rig_verify(rig);
    vm_reclaim(rig->machine, 1024);
    for (unsigned i = 0; i < PAGES; i++) {
        assert_int_equal(read_number(child, TO + i * PAGE), 100 + i);
        assert_int_equal(read_number(parent, AT + i * PAGE), 100 + i);
    }
    rig_verify(rig);
    rig_destroy(rig);
}

/* Pages in swap are moved without a copy. Whoever brings one back first has it; the other, who
 * wants it elsewhere, gets a copy. */
static void a_page_from_swap_is_copied_for_another_address(void **state) {
    (void)state;
    enum { PAGES = 8 };
    struct rig *rig = rig_create("anonmm", 1024);
    struct vm_space *parent = rig_space(rig, 1);

    rig_map(parent, AT, PAGES, NULL);
    for (unsigned i = 0; i < PAGES; i++)
        write_number(parent, AT + i * PAGE, 100 + i);
    struct vm_space *child = rig_fork(parent, 2);
    vm_reclaim(rig->machine, 1024);
    assert_int_equal(move(child, AT, TO, PAGES), VM_OK);
    assert_int_equal(forced_copies(rig), 0);
    for (unsigned i = 0; i < PAGES; i++) {
        bool child_first = i % 2;
        if (child_first)
            assert_int_equal(read_number(child, TO + i * PAGE), 100 + i);
        assert_int_equal(read_number(parent, AT + i * PAGE), 100 + i);
        if (!child_first)
            assert_int_equal(read_number(child, TO + i * PAGE), 100 + i);
        assert_int_equal(forced_copies(rig), i + 1);
        assert_int_not_equal(vm_frame_at(child, TO + i * PAGE), vm_frame_at(parent, AT + i * PAGE));
    }
    rig_verify(rig);
    assert_int_equal(rig_stats(rig).memory.swap_used, PAGES); /* the first ones' cached slots */
    vm_exit(child);
    vm_exit(parent);
    assert_int_equal(rig_stats(rig).memory.swap_used, 0);
    rig_destroy(rig);
}

static struct rig *rig_without_swap(uint64_t frames) {
    struct rig *rig = calloc(1, sizeof *rig);
    posix_port_init(&rig->posix, 1);
    rig->swap = posix_memory_open(PAGE);
    struct vm_machine_config config = { .port = &rig->posix.port,
                                        .frames = frames,
                                        .design = "anonmm" };
    assert_int_equal(vm_machine_create(&config, &rig->machine, NULL), VM_OK);
    return rig;
}

/* Without frames for the copies the call fails, and nobody can see that some were made. */
static void a_move_without_memory_changes_nothing(void **state) {
    (void)state;
    enum { PAGES = 150 };
    struct rig *rig = rig_without_swap(256);
    struct vm_space *parent = rig_space(rig, 1);

    rig_map(parent, AT, PAGES, NULL);
    for (unsigned i = 0; i < PAGES; i++)
        write_number(parent, AT + i * PAGE, 100 + i);
    struct vm_space *child = rig_fork(parent, 2);
    assert_int_equal(move(child, AT, TO, PAGES), VM_ENOMEM);
    assert_int_equal(child->area_count, 1);
    assert_int_equal(vm_frame_at(child, TO), VM_NO_FRAME);
    assert_true(forced_copies(rig) > 0 && forced_copies(rig) < PAGES);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(read_number(child, AT + i * PAGE), 100 + i);
    rig_verify(rig);
    vm_exit(parent); /* now the rest is the child's alone */
    assert_int_equal(move(child, AT, TO, PAGES), VM_OK);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(read_number(child, TO + i * PAGE), 100 + i);
    rig_verify(rig);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- exits at the same time */

#define ROUNDS 20000u

/* Ends one space a round, at the same time as the main thread ends its parent. */
struct leaver {
    struct vm_space *space;
    _Atomic unsigned started, ended; /* rounds */
};

static void *leave_each_round(void *context) {
    struct leaver *leaver = context;
    posix_cpu_set(1);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        while (leaver->started < round) {
        }
        vm_exit(leaver->space);
        leaver->ended = round;
    }
    return NULL;
}

static void wait_a_little(unsigned steps) {
    for (volatile unsigned step = 0; step < steps; step++) {
    }
}

/* Bug catalogue 8: the last two spaces of a ring end at once. One of them must free the head, and
 * only one. The parent waits a little longer each round, to meet the child at that very place. */
static void head_freed_by_two_racing_exits(void **state) {
    (void)state;
    struct rig *rig = rig_create_cpus("anonmm", 4096, 2);
    struct leaver leaver = { 0 };
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, leave_each_round, &leaver), 0);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        struct vm_space *parent = rig_space(rig, 1);
        leaver.space = rig_fork(parent, 2);
        leaver.started = round;
        wait_a_little(round % 400);
        vm_exit(parent);
        while (leaver.ended < round) {
        }
        assert_int_equal(anonmms(rig), 0);
    }
    pthread_join(thread, NULL);
    rig_verify(rig);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_space_costs_one_anonmm),
        cmocka_unit_test(a_page_of_one_space_takes_one_visit),
        cmocka_unit_test(an_orphan_is_given_to_a_relative),
        cmocka_unit_test(exec_leaves_the_family),
        cmocka_unit_test(swap_in_by_a_child_names_a_short_lived_space),
        cmocka_unit_test(moving_to_and_fro_copies_nothing_alone),
        cmocka_unit_test(moving_after_fork_copies_what_is_shared),
        cmocka_unit_test(a_page_from_swap_is_copied_for_another_address),
        cmocka_unit_test(a_move_without_memory_changes_nothing),
        cmocka_unit_test(head_freed_by_two_racing_exits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
