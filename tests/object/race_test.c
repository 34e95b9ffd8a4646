/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * race_test.c - several CPUs at once on the pages of one object, and on shared swap slots. Most
 * telling under the thread sanitizer.
 */
#include "rig.h"

#include "harness/dice.h"

#include <pthread.h>

/* Nothing is mapped here when an object is cut. */
void vm_object_unmap_from(struct vm_object *object, uint64_t first) {
    (void)object;
    (void)first;
}

enum { CPUS = 3 };

struct worker {
    struct rig *rig;
    void *shared;
    unsigned cpu;
    void (*work)(struct worker *worker, struct dice *random);
};

static void *run_worker(void *context) {
    struct worker *worker = context;
    struct dice random = { worker->cpu };
    posix_cpu_set(worker->cpu);
    worker->work(worker, &random);
    return NULL;
}

static void run_on_all_cpus(struct rig *rig, void *shared,
                            void (*work)(struct worker *worker, struct dice *random)) {
    struct worker workers[CPUS];
    pthread_t threads[CPUS];

    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        workers[cpu] = (struct worker){ .rig = rig, .shared = shared, .cpu = cpu, .work = work };
        assert_int_equal(pthread_create(&threads[cpu], NULL, run_worker, &workers[cpu]), 0);
    }
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        assert_int_equal(pthread_join(threads[cpu], NULL), 0);
    posix_cpu_set(0);
}

/* Assertions of cmocka jump, which other threads may not. */
static void expect(bool condition) {
    if (!condition)
        abort();
}

/* ---------------------------------------------------------------- one object */

enum { PAGES = 24, KEPT = 12, STEPS = 6000 };

/* Each page begins with the number of additions made to it. Pages from KEPT on are cut off now and
 * then; what they count is only ever too little. */
struct counters {
    struct vm_object *object;
    _Atomic uint64_t added[PAGES];
};

static void add_one(struct rig *rig, struct counters *counters, uint64_t index) {
    struct vm_page *page;
    int error = vm_object_page(counters->object, index, &page);

    if (error) {
        expect(error == VM_SIGBUS && index >= KEPT);
        return;
    }
    expect(page->object == counters->object && page->index == index);
    uint64_t *count = vm_frame_map(rig->machine, page);
    ++*count;
    vm_page_set(rig->machine, page, VM_PAGE_DIRTY);
    atomic_fetch_add(&counters->added[index], 1);
    rig_unlock_and_put(rig, page);
}

static void peek_at(struct counters *counters, uint64_t index) {
    uint64_t count, before = atomic_load(&counters->added[index]);
    int error = vm_object_peek(counters->object, index * VM_PAGE_SIZE, &count, sizeof count);

    expect(error == VM_OK || (error == VM_SIGBUS && index >= KEPT));
    if (!error && index < KEPT) {
        /* An addition is told after it is made. */
        expect(count >= before);
        expect(count <= atomic_load(&counters->added[index]) + CPUS);
    }
}

static void look_at_cached(struct rig *rig, struct counters *counters) {
    struct vm_page *pages[PAGES];

    vm_object_pages_cached(counters->object, 0, PAGES, pages);
    for (unsigned i = 0; i < PAGES; i++)
        if (pages[i]) {
            expect(pages[i]->object == counters->object && pages[i]->index == i);
            rig_unlock_and_put(rig, pages[i]);
        }
}

/* What reclaim does. */
static void evict_some(struct rig *rig) {
    struct vm_machine *machine = rig->machine;
    struct vm_page *pages[4];
    unsigned n = vm_lru_isolate(machine, &machine->nodes[0].zones[0], VM_LRU_INACTIVE, 4, pages);

    for (unsigned i = 0; i < n; i++) {
        bool out = false;
        if (vm_page_trylock(machine, pages[i])) {
            out = pages[i]->object && vm_page_counts(pages[i]) == 2 * VM_ONE_REFERENCE &&
                  rig_swap_out(rig, pages[i]) == VM_OK;
            vm_page_unlock(machine, pages[i]);
        }
        if (!out)
            vm_lru_put_back(machine, pages[i]);
        vm_page_put(machine, pages[i]);
    }
}

static void work_on_counters(struct worker *worker, struct dice *random) {
    struct counters *counters = worker->shared;

    for (int i = 0; i < STEPS; i++) {
        uint64_t index = dice_below(random, PAGES);
        switch (dice_below(random, 8)) {
        case 0:
            evict_some(worker->rig);
            break;
        case 1:
            look_at_cached(worker->rig, counters);
            break;
        case 2:
            peek_at(counters, index);
            break;
        case 3: /* one at a time cuts the object */
            if (worker->cpu == 0 && i % 4 == 0) {
                uint64_t bytes = (KEPT + dice_below(random, PAGES - KEPT + 1)) * VM_PAGE_SIZE;
                expect(vm_object_truncate(counters->object, bytes) == VM_OK);
                break;
            }
            /* fall through */
        default:
            add_one(worker->rig, counters, index);
        }
    }
}

static void no_addition_is_lost(void **state) {
    (void)state;
    struct rig *rig =
        rig_create((struct rig_plan){ .frames = 512, .swap_pages = 256, .cpus = CPUS });
    static struct counters counters;

    memset(&counters, 0, sizeof counters);
    assert_int_equal(vm_object_create_shm(rig->machine, PAGES * VM_PAGE_SIZE, 1, &counters.object),
                     VM_OK);
    run_on_all_cpus(rig, &counters, work_on_counters);
    assert_int_equal(vm_object_check(counters.object), 0);
    assert_int_equal(vm_swap_check(rig->machine, counters.object->slot_count), 0);
    for (uint64_t index = 0; index < KEPT; index++) {
        uint64_t count;
        assert_int_equal(
            vm_object_peek(counters.object, index * VM_PAGE_SIZE, &count, sizeof count), VM_OK);
        assert_int_equal(count, atomic_load(&counters.added[index]));
        assert_true(count > 0);
    }
    vm_object_put(counters.object);
    assert_int_equal(rig_frames_used(rig), 1);
    rig_destroy(rig);
}

/* The object goes while reclaim has hold of its pages. */
static void evict_for_a_while(struct worker *worker, struct dice *random) {
    struct vm_machine *machine = worker->rig->machine;

    for (int i = 0; i < 400; i++) {
        struct vm_object *object;
        struct vm_page *page;
        if (worker->cpu != 0) {
            evict_some(worker->rig);
            continue;
        }
        expect(vm_object_create_shm(machine, 8 * VM_PAGE_SIZE, 1, &object) == VM_OK);
        for (uint64_t index = 0; index < 8; index++) {
            expect(vm_object_page(object, index, &page) == VM_OK);
            if (dice_below(random, 2))
                vm_page_set(machine, page, VM_PAGE_DIRTY);
            rig_unlock_and_put(worker->rig, page);
        }
        vm_object_put(object);
    }
}

static void objects_may_go_during_reclaim(void **state) {
    (void)state;
    struct rig *rig =
        rig_create((struct rig_plan){ .frames = 512, .swap_pages = 256, .cpus = CPUS });

    run_on_all_cpus(rig, NULL, evict_for_a_while);
    assert_int_equal(rig_frames_used(rig), 1);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- shared slots */

enum { SLOTS = 64, ROUNDS = 100 };

struct slots {
    uint32_t number[SLOTS];
};

static void swap_out_all(struct rig *rig, struct slots *slots) {
    struct vm_machine *machine = rig->machine;

    for (unsigned i = 0; i < SLOTS; i++) {
        struct vm_page *page = vm_frame_alloc(machine, VM_FRAME_AS_IS);
        assert_non_null(page);
        vm_page_lock(machine, page);
        rig_fill(rig, page, (int)i);
        assert_int_equal(vm_swap_cache_add(machine, page), VM_OK);
        slots->number[i] = page->swap;
        vm_swap_duplicate(machine, page->swap, CPUS);
        assert_int_equal(vm_swap_write(machine, &page, 1), VM_OK);
        vm_swap_cache_remove(machine, page);
        rig_unlock_and_put(rig, page);
    }
}

/* What reclaim does with a clean page that nobody has mapped yet, whoever waits for it. */
static void take_out_of_cache(struct vm_machine *machine, uint32_t slot) {
    struct vm_page *page = vm_swap_cache_find(machine, slot);

    if (!page)
        return;
    if (vm_page_trylock(machine, page)) {
        if (vm_page_is(page, VM_PAGE_SWAPCACHE) && vm_page_mapcount(page) == 0)
            vm_swap_cache_remove(machine, page);
        vm_page_unlock(machine, page);
    }
    vm_page_put(machine, page);
}

/* What a fault and, later, an unmapping do with one entry of each slot. */
static void swap_in_and_let_go(struct worker *worker, struct dice *random) {
    struct vm_machine *machine = worker->rig->machine;
    const struct slots *slots = worker->shared;
    struct vm_page *mapped[SLOTS] = { NULL };

    for (unsigned n = 0; n < 2 * SLOTS; n++) {
        unsigned i = n < SLOTS ? (unsigned)(n + dice_below(random, 4)) % SLOTS : n - SLOTS;
        struct vm_page *page = mapped[i];
        if (page == NULL) {
            if (dice_below(random, 2)) {
                expect(vm_swap_in(machine, slots->number[i], &page) == VM_OK);
                vm_page_unlock(machine, page);
                vm_swap_cache_drop_unused(machine, page); /* a fault that found its entry changed */
                vm_page_put(machine, page);
            }
            take_out_of_cache(machine, slots->number[i]);
            expect(vm_swap_in(machine, slots->number[i], &page) == VM_OK);
            expect(vm_page_is(page, VM_PAGE_SWAPCACHE) && page->swap == slots->number[i]);
            expect(rig_page_is(worker->rig, page, 0, VM_PAGE_SIZE, (int)i));
            rig_map(worker->rig, page);
            vm_swap_free(machine, slots->number[i]);
            mapped[i] = page;
            rig_unlock_and_put(worker->rig, page);
        }
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        vm_page_adjust(machine, mapped[i], VM_ONE_REFERENCE - VM_ONE_MAPPING);
        vm_swap_cache_drop_unused(machine, mapped[i]);
        vm_page_put(machine, mapped[i]);
    }
}

static void all_find_one_page_of_a_slot(void **state) {
    (void)state;
    struct rig *rig =
        rig_create((struct rig_plan){ .frames = 512, .swap_pages = 4 * SLOTS, .cpus = CPUS });
    struct slots slots;

    for (int round = 0; round < ROUNDS; round++) {
        swap_out_all(rig, &slots);
        run_on_all_cpus(rig, &slots, swap_in_and_let_go);
        assert_int_equal(vm_swap_check(rig->machine, 0), 0);
        assert_int_equal(vm_swap_used(rig->machine), 0);
        assert_int_equal(rig_frames_used(rig), 1);
    }
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_addition_is_lost),
        cmocka_unit_test(objects_may_go_during_reclaim),
        cmocka_unit_test(all_find_one_page_of_a_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
