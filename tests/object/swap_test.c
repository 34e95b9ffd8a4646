/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swap_test.c - slots and who names them, the swap cache, and devices and memory that fail.
 */
#include "rig.h"

#include "harness/dice.h"

void vm_object_unmap_from(struct vm_object *object, uint64_t first) {
    (void)object;
    (void)first;
    fail();
}

static struct rig *rig_with_swap(uint64_t swap_pages) {
    return rig_create((struct rig_plan){ .frames = 2048, .swap_pages = swap_pages, .cpus = 1 });
}

/* A locked page of ours, in no cache. */
static struct vm_page *new_page(struct rig *rig, int byte) {
    struct vm_page *page = vm_frame_alloc(rig->machine, VM_FRAME_AS_IS);
    assert_non_null(page);
    assert_true(vm_page_trylock(rig->machine, page));
    rig_fill(rig, page, byte);
    return page;
}

/* Writes a new page to swap, as reclaim does; `names` entries name the slot then. */
static uint32_t swapped_out(struct rig *rig, int byte, uint32_t names) {
    struct vm_page *page = new_page(rig, byte);
    assert_int_equal(vm_swap_cache_add(rig->machine, page), VM_OK);
    uint32_t slot = page->swap;
    if (names)
        vm_swap_duplicate(rig->machine, slot, names);
    assert_int_equal(vm_swap_write(rig->machine, &page, 1), VM_OK);
    vm_swap_cache_remove(rig->machine, page);
    rig_unlock_and_put(rig, page);
    return slot;
}

static void a_page_goes_out_and_comes_back(void **state) {
    (void)state;
    struct rig *rig = rig_with_swap(100);
    struct vm_machine *machine = rig->machine;
    struct vm_page *page, *again;
    char data[VM_PAGE_SIZE];

    uint32_t slot = swapped_out(rig, 'x', 2);
    assert_int_equal(rig_frames_used(rig), 1); /* the zero page */
    assert_int_equal(vm_swap_used(machine), 1);
    assert_int_equal(vm_swap_count(machine, slot), 2);
    assert_null(vm_swap_cache_find(machine, slot));
    assert_int_equal(vm_swap_check(machine, 2), 0);
    assert_int_not_equal(vm_swap_check(machine, 1), 0);
    assert_int_equal(vm_swap_peek(machine, slot, data), VM_OK);
    assert_int_equal(data[4095], 'x');

    assert_int_equal(vm_swap_in(machine, slot, &page), VM_OK);
    assert_true(vm_page_is(page, VM_PAGE_SWAPCACHE));
    assert_true(vm_page_is(page, VM_PAGE_LOCKED));
    assert_false(vm_page_is(page, VM_PAGE_DIRTY | VM_PAGE_ANON | VM_PAGE_LISTED));
    assert_int_equal(vm_page_references(page), 2);
    assert_true(rig_page_is(rig, page, 0, VM_PAGE_SIZE, 'x'));
    rig_map(rig, page);
    vm_swap_free(machine, slot);
    rig_unlock_and_put(rig, page);

    assert_int_equal(vm_swap_in(machine, slot, &again), VM_OK);
    assert_ptr_equal(again, page);
    rig_fill(rig, page, 'y');
    rig_unlock_and_put(rig, again);
    assert_int_equal(vm_swap_peek(machine, slot, data), VM_OK);
    assert_int_equal(data[0], 'y'); /* what the page says counts, not the slot */
    assert_int_equal(machine->cpus[0].counts.reclaim.swapped_in, 1);
    assert_int_equal(machine->cpus[0].counts.reclaim.swapped_out, 1);

    vm_swap_free(machine, slot);
    assert_int_equal(vm_swap_used(machine), 1); /* still mapped, and clean: worth keeping */
    vm_page_adjust(machine, page, (uint64_t)0 - VM_ONE_MAPPING);
    vm_swap_cache_drop_unused(machine, page);
    assert_int_equal(vm_swap_used(machine), 0);
    assert_int_equal(vm_swap_used_peak(machine), 1);
    assert_int_equal(rig_frames_used(rig), 1);
    rig_destroy(rig);
}

static void the_last_name_takes_an_unmapped_page_with_it(void **state) {
    (void)state;
    struct rig *rig = rig_with_swap(100);
    struct vm_machine *machine = rig->machine;
    struct vm_page *page;

    uint32_t slot = swapped_out(rig, 'x', 1);
    assert_int_equal(vm_swap_in(machine, slot, &page), VM_OK);
    rig_unlock_and_put(rig, page);
    assert_int_equal(rig_frames_used(rig), 2);
    vm_swap_free(machine, slot);
    assert_int_equal(vm_swap_used(machine), 0);
    assert_int_equal(rig_frames_used(rig), 1);
    rig_destroy(rig);
}

static void a_locked_page_is_left_to_its_locker(void **state) {
    (void)state;
    struct rig *rig = rig_with_swap(100);
    struct vm_machine *machine = rig->machine;
    struct vm_page *page;

    uint32_t slot = swapped_out(rig, 'x', 1);
    assert_int_equal(vm_swap_in(machine, slot, &page), VM_OK);
    vm_swap_free(machine, slot);
    assert_true(vm_page_is(page, VM_PAGE_SWAPCACHE));
    assert_int_equal(page->swap, slot);
    vm_page_unlock(machine, page);
    vm_swap_cache_drop_unused(machine, page);
    assert_false(vm_page_is(page, VM_PAGE_SWAPCACHE));
    assert_int_equal(vm_swap_used(machine), 0);
    vm_page_put(machine, page);
    vm_swap_cache_drop_unused(machine, page); /* too late: the frame is free by now */
    assert_int_equal(vm_page_counts(page), 0);
    rig_destroy(rig);
}

static void a_used_page_is_not_dropped(void **state) {
    (void)state;
    struct rig *rig = rig_with_swap(100);
    struct vm_machine *machine = rig->machine;
    struct vm_page *page;

    uint32_t slot = swapped_out(rig, 'x', 1);
    assert_int_equal(vm_swap_in(machine, slot, &page), VM_OK);
    rig_unlock_and_put(rig, page);
    vm_swap_cache_drop_unused(machine, page); /* named */
    assert_true(vm_page_is(page, VM_PAGE_SWAPCACHE));
    rig_map(rig, page);
    vm_swap_free(machine, slot);
    vm_swap_cache_drop_unused(machine, page); /* mapped */
    assert_true(vm_page_is(page, VM_PAGE_SWAPCACHE));
    rig_unmap(rig, page);
    vm_swap_cache_drop_unused(machine, page);
    assert_int_equal(rig_frames_used(rig), 1);
    rig_destroy(rig);
}

static void a_freed_slot_is_not_brought_in(void **state) {
    (void)state;
    struct rig *rig = rig_with_swap(1000);
    struct vm_machine *machine = rig->machine;
    struct vm_page *page;

    uint32_t other = swapped_out(rig, 'x', 1);
    uint32_t slot = swapped_out(rig, 'x', 1);
    vm_swap_free(machine, slot);
    assert_int_equal(vm_swap_in(machine, slot, &page), VM_EAGAIN);
    assert_int_equal(vm_swap_in(machine, 999, &page), VM_EAGAIN); /* its chunk is not there */
    assert_int_equal(rig_frames_used(rig), 1);
    vm_swap_free(machine, other);
    rig_destroy(rig);
}

static void a_failed_read_leaves_the_slot(void **state) {
    (void)state;
    struct rig *rig = rig_with_swap(100);
    struct vm_machine *machine = rig->machine;
    struct vm_page *page;
    char data[VM_PAGE_SIZE];

    uint32_t slot = swapped_out(rig, 'x', 1);
    failing_plan_set(&rig->swap.read, FAIL_FROM_THERE_ON, 0);
    assert_int_equal(vm_swap_in(machine, slot, &page), VM_SIGBUS);
    assert_int_equal(vm_swap_peek(machine, slot, data), VM_EIO);
    assert_int_equal(rig_frames_used(rig), 1);
    assert_null(vm_swap_cache_find(machine, slot));
    assert_int_equal(vm_swap_check(machine, 1), 0);
    failing_plan_set(&rig->swap.read, FAIL_NEVER, 0);
    assert_int_equal(vm_swap_in(machine, slot, &page), VM_OK);
    assert_true(rig_page_is(rig, page, 0, VM_PAGE_SIZE, 'x'));
    rig_unlock_and_put(rig, page);
    vm_swap_free(machine, slot);
    rig_destroy(rig);
}

static void a_failed_write_leaves_the_page_dirty(void **state) {
    (void)state;
    struct rig *rig = rig_with_swap(100);
    struct vm_machine *machine = rig->machine;
    struct vm_page *page = new_page(rig, 'x');

    assert_int_equal(vm_swap_cache_add(machine, page), VM_OK);
    assert_true(vm_page_is(page, VM_PAGE_DIRTY));
    failing_plan_set(&rig->swap.write, FAIL_ONCE, 0);
    assert_int_equal(vm_swap_write(machine, &page, 1), VM_EIO);
    assert_true(vm_page_is(page, VM_PAGE_DIRTY));
    assert_int_equal(machine->cpus[0].counts.reclaim.swapped_out, 0);
    assert_int_equal(vm_swap_write(machine, &page, 1), VM_OK);
    assert_false(vm_page_is(page, VM_PAGE_DIRTY));
    vm_swap_cache_remove(machine, page);
    assert_int_equal(vm_swap_used(machine), 0);
    rig_unlock_and_put(rig, page);
    rig_destroy(rig);
}

/* Slots 1 .. n in a row; then none is left; then freed ones are found again, wherever they are. */
static void all_slots_can_be_used(void **state) {
    (void)state;
    enum { SLOTS = 1100 }; /* two chunks and a piece */
    struct rig *rig = rig_with_swap(SLOTS);
    struct vm_machine *machine = rig->machine;
    struct vm_page *page = new_page(rig, 'x');

    for (uint32_t i = 1; i <= SLOTS; i++)
        assert_int_equal(swapped_out(rig, 'x', 1), i);
    assert_int_equal(vm_swap_used(machine), SLOTS);
    assert_int_equal(vm_swap_cache_add(machine, page), VM_ENOMEM);
    assert_false(vm_page_is(page, VM_PAGE_SWAPCACHE));
    assert_int_equal(vm_page_references(page), 1);
    const uint32_t freed[] = { 700, 3, 1100 };
    for (unsigned i = 0; i < 3; i++) {
        vm_swap_free(machine, freed[i]);
        assert_int_equal(swapped_out(rig, 'x', 1), freed[i]);
        assert_int_equal(vm_swap_check(machine, SLOTS), 0);
    }
    for (uint32_t i = 1; i <= SLOTS; i++)
        vm_swap_free(machine, i);
    assert_int_equal(vm_swap_used(machine), 0);
    rig_unlock_and_put(rig, page);
    rig_destroy(rig);
}

static void add_live(const struct vm_cache_view *cache, void *context) {
    if (strcmp(cache->name, "swap slots") == 0)
        *(uint64_t *)context += cache->live;
}

/* Chunks with their counts, and the swap space itself. */
static uint64_t swap_records(struct rig *rig) {
    uint64_t live = 0;
    vm_cache_each(rig->machine, add_live, &live);
    return live;
}

static void counts_cost_memory_for_swap_in_use_only(void **state) {
    (void)state;
    enum { CHUNK = 512, SLOTS = 4 * CHUNK };
    struct rig *rig = rig_with_swap(SLOTS);

    assert_int_equal(swap_records(rig), 1);
    for (uint32_t i = 1; i <= SLOTS; i++)
        swapped_out(rig, 'x', 1);
    assert_int_equal(swap_records(rig), 5);
    for (uint32_t i = 1; i <= SLOTS; i++)
        vm_swap_free(rig->machine, i);
    assert_true(swap_records(rig) <= 2); /* the cursor's chunk is kept */
    for (uint32_t i = 0; i < 3 * SLOTS; i++)
        vm_swap_free(rig->machine, swapped_out(rig, 'x', 1));
    assert_true(swap_records(rig) <= 2);
    rig_destroy(rig);
}

/* Where a new chunk cannot be made, the ones there are serve to the last slot. */
static void without_memory_old_chunks_are_filled(void **state) {
    (void)state;
    enum { CHUNK = 512, SLOTS = 4 * CHUNK };
    struct rig *rig = rig_with_swap(SLOTS);
    struct vm_machine *machine = rig->machine;
    struct vm_page *page = new_page(rig, 'x');
    uint32_t names = 0;

    for (; names < CHUNK; names++)
        swapped_out(rig, 'x', 1);
    vm_swap_free(machine, 100);
    failing_plan_set(&rig->memory.allocate, FAIL_FROM_THERE_ON, 0);
    assert_int_equal(swapped_out(rig, 'x', 1), 100);
    assert_int_equal(vm_swap_cache_add(machine, page), VM_ENOMEM);
    assert_int_equal(vm_swap_check(machine, CHUNK), 0);
    failing_plan_set(&rig->memory.allocate, FAIL_NEVER, 0);
    assert_int_equal(swapped_out(rig, 'x', 1), CHUNK + 1);
    for (uint32_t i = 1; i <= CHUNK + 1; i++)
        vm_swap_free(machine, i);
    rig_unlock_and_put(rig, page);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- clusters and windows */

static void cpus_take_slots_in_clusters_of_their_own(void **state) {
    (void)state;
    enum { CLUSTER = 256, SLOTS = 3 * CLUSTER + 10 };
    struct rig *rig =
        rig_create((struct rig_plan){ .frames = 2048, .swap_pages = SLOTS, .cpus = 2 });
    struct vm_page *page = new_page(rig, 'x');

    for (uint32_t i = 1; i <= CLUSTER; i++)
        for (unsigned cpu = 0; cpu < 2; cpu++) {
            posix_cpu_set(cpu);
            assert_int_equal(swapped_out(rig, 'x', 1), cpu * CLUSTER + i);
        }
    posix_cpu_set(1);
    for (uint32_t i = 1; i <= CLUSTER + 10; i++) /* one cluster more, and what is left */
        assert_int_equal(swapped_out(rig, 'x', 1), 2 * CLUSTER + i);
    assert_int_equal(vm_swap_cache_add(rig->machine, page), VM_ENOMEM);
    vm_swap_free(rig->machine, 5);
    vm_swap_free(rig->machine, 3 * CLUSTER);
    posix_cpu_set(0);
    assert_int_equal(swapped_out(rig, 'x', 1) + swapped_out(rig, 'x', 1), 3 * CLUSTER + 5);
    assert_int_equal(vm_swap_check(rig->machine, SLOTS), 0);
    for (uint32_t i = 1; i <= SLOTS; i++)
        vm_swap_free(rig->machine, i);
    assert_int_equal(swap_records(rig), 1); /* no CPU's chunk is kept when all slots are free */
    rig_unlock_and_put(rig, page);
    rig_destroy(rig);
}

static struct rig *rig_that_reads_ahead(uint64_t frames) {
    struct rig *rig = rig_create(
        (struct rig_plan){ .frames = frames, .swap_pages = 64, .cpus = 1, .readahead = 8 });
    for (uint32_t slot = 1; slot <= 20; slot++)
        assert_int_equal(swapped_out(rig, 'a' + (int)slot, 1), slot);
    failing_plan_set(&rig->swap.read, FAIL_NEVER, 0);
    return rig;
}

static bool is_cached(struct rig *rig, uint32_t slot) {
    struct vm_page *page = vm_swap_cache_find(rig->machine, slot);
    if (page)
        vm_page_put(rig->machine, page);
    return page != NULL;
}

/* Brings the slot in as a fault does, and maps it. */
static struct vm_page *fault_in(struct rig *rig, uint32_t slot) {
    struct vm_page *page;
    assert_int_equal(vm_swap_in_for_fault(rig->machine, slot, &page), VM_OK);
    assert_true(rig_page_is(rig, page, 0, VM_PAGE_SIZE, 'a' + (int)slot));
    rig_map(rig, page);
    vm_swap_free(rig->machine, slot);
    rig_unlock_and_put(rig, page);
    return page;
}

static void fault_out(struct rig *rig, struct vm_page *page) {
    vm_page_get(rig->machine, page);
    rig_unmap(rig, page);
    vm_swap_page_put(rig->machine, page);
}

static void free_slots(struct rig *rig) {
    for (uint32_t slot = 1; slot <= 20; slot++)
        if (vm_swap_count(rig->machine, slot))
            vm_swap_free(rig->machine, slot);
}

static uint64_t reads(struct rig *rig) {
    return atomic_load(&rig->swap.read.calls);
}

static void neighbours_are_read_ahead(void **state) {
    (void)state;
    struct rig *rig = rig_that_reads_ahead(2048);
    const struct vm_stats *counts = &rig->machine->cpus[0].counts;

    vm_swap_free(rig->machine, 14);
    struct vm_page *first = fault_in(rig, 12);
    for (uint32_t slot = 1; slot <= 20; slot++)
        assert_int_equal(is_cached(rig, slot), slot >= 9 && slot <= 16 && slot != 14);
    assert_int_equal(reads(rig), 7);
    assert_int_equal(counts->reclaim.swapped_in, 7);
    assert_int_equal(counts->reclaim.read_ahead, 6);
    assert_int_equal(counts->reclaim.read_ahead_hits, 0);
    assert_int_equal(vm_swap_check(rig->machine, 18), 0);

    struct vm_page *second = fault_in(rig, 13);
    assert_int_equal(reads(rig), 7);
    assert_int_equal(counts->reclaim.read_ahead_hits, 1);
    struct vm_page *last = fault_in(rig, 20); /* the window ends where slots in use end */
    assert_int_equal(reads(rig), 11);

    fault_out(rig, first);
    fault_out(rig, second);
    fault_out(rig, last);
    free_slots(rig); /* what waits for nobody goes with its slot */
    assert_int_equal(vm_swap_used(rig->machine), 0);
    assert_int_equal(counts->memory.anonymous, 0);
    assert_int_equal(rig_frames_used(rig), 1);
    rig_destroy(rig);
}

/* Whoever wants the page that could not be read ahead tries again, and is told. */
static void a_failed_read_ahead_is_silent(void **state) {
    (void)state;
    struct rig *rig = rig_that_reads_ahead(2048);
    struct vm_page *page;

    failing_plan_set(&rig->swap.read, FAIL_FROM_THERE_ON, 1);
    struct vm_page *first = fault_in(rig, 1);
    for (uint32_t slot = 2; slot <= 8; slot++)
        assert_false(is_cached(rig, slot));
    assert_int_equal(vm_swap_in_for_fault(rig->machine, 2, &page), VM_SIGBUS);
    failing_plan_set(&rig->swap.read, FAIL_NEVER, 0);
    struct vm_page *second = fault_in(rig, 2);
    assert_true(is_cached(rig, 3));
    fault_out(rig, first);
    fault_out(rig, second);
    free_slots(rig);
    assert_int_equal(rig_frames_used(rig), 1);
    rig_destroy(rig);
}

static void nothing_is_read_ahead_when_frames_are_short(void **state) {
    (void)state;
    struct rig *rig = rig_that_reads_ahead(64);
    struct vm_page *pages[64], *page;
    unsigned n = 0;

    while ((page = vm_frame_alloc_spare(rig->machine, VM_FRAME_AS_IS)))
        pages[n++] = page;
    assert_true(vm_frames_free(rig->machine) > 0); /* there is still a frame for the fault */
    struct vm_page *first = fault_in(rig, 1);
    assert_int_equal(reads(rig), 1);
    assert_false(is_cached(rig, 2));
    while (n)
        vm_page_put(rig->machine, pages[--n]);
    fault_out(rig, first);
    free_slots(rig);
    rig_destroy(rig);
}

static void a_machine_may_have_no_swap(void **state) {
    (void)state;
    struct rig *rig = rig_with_swap(0);
    struct vm_page *page = new_page(rig, 'x');

    assert_null(rig->machine->swap);
    assert_int_equal(vm_swap_cache_add(rig->machine, page), VM_ENOMEM);
    assert_int_equal(vm_swap_used(rig->machine), 0);
    assert_int_equal(vm_swap_used_peak(rig->machine), 0);
    assert_int_equal(vm_swap_check(rig->machine, 0), 0);
    assert_int_equal(vm_swap_check(rig->machine, 1), 1);
    rig_unlock_and_put(rig, page);
    rig_destroy(rig);
}

static void init_fails_whole(void **state) {
    (void)state;
    struct rig *rig = rig_with_swap(100);
    struct vm_machine *machine = rig->machine;
    int error = VM_ENOMEM;

    vm_swap_fini(machine);
    int64_t lent = atomic_load(&rig->lent);
    for (uint64_t at = 0; error; at++) {
        assert_int_equal(error, VM_ENOMEM);
        assert_null(machine->swap);
        assert_int_equal(atomic_load(&rig->lent), lent);
        failing_plan_set(&rig->memory.allocate, FAIL_ONCE, at);
        error = vm_swap_init(machine);
    }
    assert_int_equal(error, VM_OK);
    assert_true(atomic_load(&rig->memory.allocate.calls) >= 2);
    rig_destroy(rig);
}

enum { SLOTS = 1500, HELD = 700, STEPS = 40000 };

struct held {
    uint32_t slot, names;
    int byte;
    struct vm_page *page; /* brought in and mapped once by us; NULL: not */
};

/* One name less or more, or a mapping; checks what comes back. */
static void use(struct rig *rig, struct held *held, struct dice *random, uint64_t *names) {
    struct vm_machine *machine = rig->machine;
    struct vm_page *page;

    switch (dice_below(random, 4)) {
    case 0:
        vm_swap_duplicate(machine, held->slot, 3);
        held->names += 3;
        *names += 3;
        return;
    case 1:
        if (held->page)
            return;
        assert_int_equal(vm_swap_in(machine, held->slot, &page), VM_OK);
        assert_true(rig_page_is(rig, page, 0, VM_PAGE_SIZE, held->byte));
        rig_map(rig, page);
        held->page = page;
        rig_unlock_and_put(rig, page);
        return;
    default:
        if (held->names) {
            vm_swap_free(machine, held->slot);
            held->names--;
            --*names;
        } else if (held->page) {
            vm_page_adjust(machine, held->page, (uint64_t)0 - VM_ONE_MAPPING);
            vm_swap_cache_drop_unused(machine, held->page);
            held->page = NULL;
        }
    }
}

static void counts_agree_after_anything(void **state) {
    (void)state;
    struct rig *rig = rig_with_swap(SLOTS);
    struct dice random = { 4 };
    static struct held held[HELD];
    uint64_t names = 0, used = 0;

    memset(held, 0, sizeof held);
    for (int i = 0; i < STEPS + 100 * HELD; i++) {
        struct held *h = &held[dice_below(&random, HELD)];
        bool in_use = h->names || h->page;
        if (in_use) {
            use(rig, h, &random, &names);
            used -= !(h->names || h->page);
        } else if (i < STEPS) {
            h->byte = 'a' + i % 26;
            h->slot = swapped_out(rig, h->byte, 1);
            h->names = 1;
            names++;
            used++;
        }
        assert_int_equal(vm_swap_used(rig->machine), used);
        if (i % 500 == 0)
            assert_int_equal(vm_swap_check(rig->machine, names), 0);
    }
    for (unsigned i = 0; i < HELD; i++) {
        for (; held[i].names; held[i].names--)
            vm_swap_free(rig->machine, held[i].slot);
        if (held[i].page) {
            vm_page_adjust(rig->machine, held[i].page, (uint64_t)0 - VM_ONE_MAPPING);
            vm_swap_cache_drop_unused(rig->machine, held[i].page);
        }
    }
    assert_int_equal(vm_swap_check(rig->machine, 0), 0);
    assert_int_equal(rig_frames_used(rig), 1);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_goes_out_and_comes_back),
        cmocka_unit_test(the_last_name_takes_an_unmapped_page_with_it),
        cmocka_unit_test(a_locked_page_is_left_to_its_locker),
        cmocka_unit_test(a_used_page_is_not_dropped),
        cmocka_unit_test(a_freed_slot_is_not_brought_in),
        cmocka_unit_test(a_failed_read_leaves_the_slot),
        cmocka_unit_test(a_failed_write_leaves_the_page_dirty),
        cmocka_unit_test(all_slots_can_be_used),
        cmocka_unit_test(counts_cost_memory_for_swap_in_use_only),
        cmocka_unit_test(without_memory_old_chunks_are_filled),
        cmocka_unit_test(cpus_take_slots_in_clusters_of_their_own),
        cmocka_unit_test(neighbours_are_read_ahead),
        cmocka_unit_test(a_failed_read_ahead_is_silent),
        cmocka_unit_test(nothing_is_read_ahead_when_frames_are_short),
        cmocka_unit_test(a_machine_may_have_no_swap),
        cmocka_unit_test(init_fails_whole),
        cmocka_unit_test(counts_agree_after_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
