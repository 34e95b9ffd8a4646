/* SPDX-License-Identifier: BSD-2-Clause */
/* test_lock.c - locks exclude whom they should, writers get through, and a wrong order is told. */
#include "frame/rig.h"

#include "vm/lock_log.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

/* The rig has no frames: a page of its own will do. */
static struct vm_page page;

enum { CPUS = 4, ROUNDS = 20000 };

static struct shared {
    struct vm_machine *machine;
    struct vm_lock spin;
    struct vm_rwlock rw;
    uint64_t a, b; /* equal whenever nobody writes; plain, so a sanitizer sees a broken lock */
    _Atomic uint64_t differences, refused;
} shared;

struct worker {
    unsigned cpu;
    pthread_t thread;
};

static void change(void) {
    if (shared.a != shared.b)
        shared.differences++;
    shared.a++;
    shared.b++;
}

static void *spin(void *context) {
    posix_cpu_set(((struct worker *)context)->cpu);
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 3 == 0) {
            while (!vm_trylock(shared.machine, &shared.spin, VM_RANK_ZONE))
                shared.refused++;
        } else
            vm_lock(shared.machine, &shared.spin, VM_RANK_ZONE);
        change();
        vm_unlock(shared.machine, &shared.spin, VM_RANK_ZONE);
    }
    return NULL;
}

static void *read_and_write(void *context) {
    posix_cpu_set(((struct worker *)context)->cpu);
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 4) {
            vm_read_lock(shared.machine, &shared.rw, VM_RANK_SPACE);
            if (shared.a != shared.b)
                shared.differences++;
            vm_read_unlock(shared.machine, &shared.rw, VM_RANK_SPACE);
            continue;
        }
        while (i % 8 == 0 && !vm_write_trylock(shared.machine, &shared.rw, VM_RANK_SPACE))
            sched_yield();
        if (i % 8)
            vm_write_lock(shared.machine, &shared.rw, VM_RANK_SPACE);
        change();
        vm_write_unlock(shared.machine, &shared.rw, VM_RANK_SPACE);
    }
    return NULL;
}

static void *lock_page(void *context) {
    posix_cpu_set(((struct worker *)context)->cpu);
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 3 == 0) {
            while (!vm_page_trylock(shared.machine, &page))
                sched_yield();
        } else
            vm_page_lock(shared.machine, &page);
        change();
        /* Somebody else changes flags of the same word all the time. */
        vm_page_set(shared.machine, &page, VM_PAGE_REFERENCED);
        if (i % 500 == 0)
            usleep(100); /* long enough for the others to fall asleep */
        vm_page_unlock(shared.machine, &page);
        vm_page_clear(shared.machine, &page, VM_PAGE_REFERENCED);
    }
    return NULL;
}

static void exclusion_by(unsigned cpus, void *(*work)(void *)) {
    struct rig *rig = rig_create(0, VM_METADATA_ONLY, cpus);
    memset(&shared, 0, sizeof(shared));
    shared.machine = rig->machine;
    struct worker workers[CPUS];
    for (unsigned i = 0; i < cpus; i++) {
        workers[i].cpu = i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < cpus; i++)
        pthread_join(workers[i].thread, NULL);
    assert_int_equal(shared.differences, 0);
    assert_int_equal(shared.spin.word, 0);
    assert_int_equal(shared.rw.word, 0);
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        for (unsigned rank = 0; rank < VM_RANKS; rank++)
            assert_int_equal(rig->machine->cpus[cpu].ranks_held[rank], 0);
    rig_destroy(rig);
}

static void spinning_locks_exclude(void **state) {
    (void)state;
    exclusion_by(1, spin);
    exclusion_by(CPUS, spin);
    assert_int_equal(shared.a, CPUS * ROUNDS);
}

static void writers_exclude_readers(void **state) {
    (void)state;
    exclusion_by(1, read_and_write);
    exclusion_by(CPUS, read_and_write);
    assert_int_equal(shared.a, CPUS * ROUNDS / 4);
}

static void page_locks_exclude(void **state) {
    (void)state;
    page = (struct vm_page){ .flags = 5u << VM_PAGE_SECTION_SHIFT };
    exclusion_by(1, lock_page);
    exclusion_by(CPUS, lock_page);
    assert_int_equal(shared.a, CPUS * ROUNDS);
    assert_int_equal(vm_page_flags(&page) & ~(uint32_t)VM_PAGE_WAITED, 5u << VM_PAGE_SECTION_SHIFT);
}

/* In which order the waiting writer and the later reader got the lock: 1 is first. */
static struct { _Atomic unsigned turn, writer, reader; } got;

static void *write_once(void *context) {
    posix_cpu_set(((struct worker *)context)->cpu);
    vm_write_lock(shared.machine, &shared.rw, VM_RANK_SPACE);
    got.writer = ++got.turn;
    vm_write_unlock(shared.machine, &shared.rw, VM_RANK_SPACE);
    return NULL;
}

static void *read_once(void *context) {
    posix_cpu_set(((struct worker *)context)->cpu);
    vm_read_lock(shared.machine, &shared.rw, VM_RANK_SPACE);
    got.reader = ++got.turn;
    vm_read_unlock(shared.machine, &shared.rw, VM_RANK_SPACE);
    return NULL;
}

/* A reader holds the lock and a writer sleeps: a second reader must not overtake it, or readers that
 * overlap would keep writers out for ever. */
static void readers_do_not_overtake_a_waiting_writer(void **state) {
    (void)state;
    struct rig *rig = rig_create(0, VM_METADATA_ONLY, CPUS);
    memset(&shared, 0, sizeof(shared));
    memset(&got, 0, sizeof(got));
    shared.machine = rig->machine;
    struct worker writer = { .cpu = 1 }, reader = { .cpu = 2 };
    posix_cpu_set(0);
    vm_read_lock(rig->machine, &shared.rw, VM_RANK_SPACE);
    assert_int_equal(pthread_create(&writer.thread, NULL, write_once, &writer), 0);
    while (shared.rw.word == 1) /* until the writer has left its mark */
        usleep(100);
    assert_int_equal(pthread_create(&reader.thread, NULL, read_once, &reader), 0);
    usleep(20000);
    assert_int_equal(got.turn, 0);
    vm_read_unlock(rig->machine, &shared.rw, VM_RANK_SPACE);
    pthread_join(writer.thread, NULL);
    pthread_join(reader.thread, NULL);
    assert_int_equal(got.writer, 1);
    assert_int_equal(got.reader, 2);
    assert_int_equal(shared.rw.word, 0);
    rig_destroy(rig);
}

static void a_locked_page_stays_locked_on_one_cpu(void **state) {
    (void)state;
    struct rig *rig = rig_create(0, VM_METADATA_ONLY, 1);
    page = (struct vm_page){ .flags = 5u << VM_PAGE_SECTION_SHIFT };
    vm_page_lock(rig->machine, &page);
    assert_true(vm_page_is(&page, VM_PAGE_LOCKED));
    assert_false(vm_page_trylock(rig->machine, &page));
    assert_true(rig_panics(rig, vm_page_lock(rig->machine, &page)));
    vm_page_unlock(rig->machine, &page);
    assert_true(vm_page_trylock(rig->machine, &page));
    vm_page_unlock(rig->machine, &page);
    assert_int_equal(vm_page_flags(&page), 5u << VM_PAGE_SECTION_SHIFT);
    rig_destroy(rig);
}

static void the_order_is_checked(void **state) {
    (void)state;
    if (VM_DEBUG < 2)
        skip();
    struct rig *rig = rig_create(0, VM_METADATA_ONLY, 1);
    struct vm_machine *machine = rig->machine;
    struct vm_lock table = { 0 }, anon = { 0 }, other = { 0 };
    struct vm_page second = { .counts = 1 };
    page = (struct vm_page){ .counts = 1 };

    vm_lock(machine, &table, VM_RANK_TABLE);
    assert_false(vm_may_sleep(machine));
    assert_true(rig_panics(rig, vm_lock(machine, &anon, VM_RANK_ANON)));
    assert_string_equal(rig->panic_text, "the lock of the anonymous owner is taken while holding "
                                         "that of the page table");
    assert_true(rig_panics(rig, vm_lock(machine, &other, VM_RANK_TABLE)));
    assert_true(vm_trylock(machine, &anon, VM_RANK_ANON)); /* trying cannot deadlock */
    vm_lock(machine, &other, VM_RANK_TABLE_SECOND);
    vm_unlock(machine, &other, VM_RANK_TABLE_SECOND);
    vm_unlock(machine, &anon, VM_RANK_ANON);
    vm_unlock(machine, &table, VM_RANK_TABLE);
    assert_true(rig_panics(rig, vm_unlock(machine, &table, VM_RANK_TABLE)));

    vm_page_lock(machine, &page);
    assert_true(vm_may_sleep(machine));
    assert_true(rig_panics(rig, vm_page_lock(machine, &second)));
    assert_true(vm_page_trylock(machine, &second));
    vm_page_unlock(machine, &page);
    struct vm_rwlock space = { 0 };
    assert_true(rig_panics(rig, vm_read_lock(machine, &space, VM_RANK_SPACE)));
    vm_page_unlock(machine, &second);
    vm_read_lock(machine, &space, VM_RANK_SPACE);
    assert_true(rig_panics(rig, vm_read_lock(machine, &space, VM_RANK_SPACE)));
    vm_read_unlock(machine, &space, VM_RANK_SPACE);
    rig_destroy(rig);
}

static void every_rank_has_a_name(void **state) {
    (void)state;
    for (unsigned rank = 0; rank < VM_RANKS; rank++) {
        assert_non_null(vm_rank_name((enum vm_rank)rank));
        for (unsigned other = 0; other < rank; other++)
            assert_string_not_equal(vm_rank_name((enum vm_rank)rank),
                                    vm_rank_name((enum vm_rank)other));
    }
}

/* ---- what is counted */

static _Atomic uint64_t clock_now, waits_begun;

static uint64_t read_clock(struct vm_port *port) {
    (void)port;
    return clock_now;
}

static void note_relax(struct vm_port *port) {
    (void)port;
    waits_begun++;
    sched_yield();
}

static struct rig *counting_rig(unsigned cpus) {
    struct rig *rig = rig_create(0, VM_METADATA_ONLY, cpus);
    rig->posix.port.clock_ns = read_clock;
    rig->posix.port.relax = note_relax;
    rig->machine->smp = rig->machine->config.lock_stats = true;
    assert_int_equal(vm_lock_logs_init(rig->machine), VM_OK);
    memset(&shared, 0, sizeof(shared));
    shared.machine = rig->machine;
    clock_now = 1000;
    waits_begun = 0;
    posix_cpu_set(0);
    return rig;
}

static void destroy_counting_rig(struct rig *rig) {
    vm_lock_logs_fini(rig->machine);
    rig_destroy(rig);
}

struct rows {
    struct vm_lock_view rows[8];
    unsigned count;
};

static void add_row(const struct vm_lock_view *view, void *context) {
    struct rows *rows = context;
    assert_in_range(rows->count, 0, 7);
    rows->rows[rows->count++] = *view;
}

static void holds_are_counted_by_kind_of_lock(void **state) {
    (void)state;
    struct rig *rig = counting_rig(1);
    struct vm_machine *machine = rig->machine;
    struct vm_lock cache = { 0 };
    struct rows rows = { .count = 0 };

    vm_read_lock(machine, &shared.rw, VM_RANK_SPACE);
    vm_lock(machine, &shared.spin, VM_RANK_ZONE);
    clock_now += 5;
    vm_lock(machine, &cache, VM_RANK_CACHE);
    assert_false(vm_trylock(machine, &cache, VM_RANK_CACHE));
    clock_now += 7;
    vm_unlock(machine, &shared.spin, VM_RANK_ZONE); /* not in the order they were taken */
    clock_now += 11;
    vm_unlock(machine, &cache, VM_RANK_CACHE);
    vm_read_unlock(machine, &shared.rw, VM_RANK_SPACE);
    assert_true(vm_trylock(machine, &shared.spin, VM_RANK_ZONE));
    clock_now += 100;
    vm_unlock(machine, &shared.spin, VM_RANK_ZONE);

    vm_lock_each(machine, add_row, &rows);
    assert_int_equal(rows.count, 3);
    const struct vm_lock_view *space = &rows.rows[0], *zone = &rows.rows[1];
    assert_string_equal(space->name, vm_rank_name(VM_RANK_SPACE));
    assert_true(space->shared);
    assert_int_equal(space->hold_ns, 23);
    assert_string_equal(zone->name, vm_rank_name(VM_RANK_ZONE));
    assert_false(zone->shared);
    assert_int_equal(zone->acquired, 2);
    assert_int_equal(zone->hold_ns, 112);
    assert_int_equal(zone->hold_most_ns, 100);
    assert_int_equal(rows.rows[2].acquired, 1);
    assert_int_equal(rows.rows[2].hold_ns, 18);
    for (unsigned i = 0; i < rows.count; i++)
        assert_int_equal(rows.rows[i].contended + rows.rows[i].wait_ns + rows.rows[i].handed_over,
                         0);
    destroy_counting_rig(rig);
}

static void *spin_once(void *context) {
    posix_cpu_set(((struct worker *)context)->cpu);
    vm_lock(shared.machine, &shared.spin, VM_RANK_ZONE);
    vm_unlock(shared.machine, &shared.spin, VM_RANK_ZONE);
    return NULL;
}

static void waiting_and_handing_over_are_counted(void **state) {
    (void)state;
    struct rig *rig = counting_rig(2);
    struct worker other = { .cpu = 1 };
    struct rows rows = { .count = 0 };

    vm_lock(rig->machine, &shared.spin, VM_RANK_ZONE);
    assert_int_equal(pthread_create(&other.thread, NULL, spin_once, &other), 0);
    while (!waits_begun)
        sched_yield();
    clock_now += 40;
    vm_unlock(rig->machine, &shared.spin, VM_RANK_ZONE);
    pthread_join(other.thread, NULL);
    for (int i = 0; i < 2; i++) { /* back to this CPU, and there it stays */
        vm_lock(rig->machine, &shared.spin, VM_RANK_ZONE);
        vm_unlock(rig->machine, &shared.spin, VM_RANK_ZONE);
    }

    vm_lock_each(rig->machine, add_row, &rows);
    assert_int_equal(rows.count, 1);
    assert_int_equal(rows.rows[0].acquired, 4);
    assert_int_equal(rows.rows[0].contended, 1);
    assert_int_equal(rows.rows[0].handed_over, 2);
    assert_int_equal(rows.rows[0].wait_ns, 40);
    assert_int_equal(rows.rows[0].wait_most_ns, 40);
    assert_int_equal(rows.rows[0].hold_most_ns, 40);
    destroy_counting_rig(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spinning_locks_exclude),
        cmocka_unit_test(writers_exclude_readers),
        cmocka_unit_test(page_locks_exclude),
        cmocka_unit_test(readers_do_not_overtake_a_waiting_writer),
        cmocka_unit_test(a_locked_page_stays_locked_on_one_cpu),
        cmocka_unit_test(the_order_is_checked),
        cmocka_unit_test(every_rank_has_a_name),
        cmocka_unit_test(holds_are_counted_by_kind_of_lock),
        cmocka_unit_test(waiting_and_handing_over_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
