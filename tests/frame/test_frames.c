/* SPDX-License-Identifier: BSD-2-Clause */
/* test_frames.c - allocation of frames to the last one, joining of blocks, lists, peaks, cost. */
#include "frame/rig.h"
#include "vm/sum.h"

#include <pthread.h>

static struct vm_zone *zone_of(struct rig *rig) {
    return &rig->machine->nodes[0].zones[0];
}

static void drop(struct vm_machine *machine, struct vm_page *page) {
    vm_page_put(machine, page);
}

static void assert_fresh(struct rig *rig, const struct vm_page *page) {
    assert_int_equal(vm_page_counts(page), VM_ONE_REFERENCE);
    assert_int_equal(vm_page_flags(page) & 0xffff, 0);
    assert_null(page->owner);
    assert_int_equal(page->index, 0);
    assert_int_equal(page->rmap, 0);
    assert_int_equal(page->swap, 0);
    assert_true(vm_page_frame(rig->machine, page) < rig->machine->config.frames);
    assert_ptr_equal(vm_page_of(rig->machine, vm_page_frame(rig->machine, page)), page);
}

static void shuffle(struct vm_page **pages, size_t count) {
    uint64_t state = 2463534242u;
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)rig_random(&state, i);
        struct vm_page *kept = pages[j];
        pages[j] = pages[i - 1];
        pages[i - 1] = kept;
    }
}

/* The blocks that a zone has when nothing but frame 0, the zero page, is in use. */
static void assert_joined(struct rig *rig) {
    vm_frames_drain(rig->machine);
    assert_int_equal(vm_frames_check(rig->machine), 0);
    uint64_t frames = zone_of(rig)->untouched;
    uint64_t whole = frames >> (VM_ORDERS - 1);
    for (unsigned order = 0; order + 1 < VM_ORDERS; order++) {
        uint64_t rest = frames >> order & 1;
        if (whole)
            assert_int_equal(zone_of(rig)->free_blocks[order], 1 + rest);
    }
    if (whole)
        assert_int_equal(zone_of(rig)->free_blocks[VM_ORDERS - 1], whole - 1);
}

static void exhaust(uint64_t frames) {
    struct rig *rig = rig_create(frames, VM_METADATA_ONLY, 1);
    struct vm_page **pages = calloc(frames, sizeof(struct vm_page *));
    bool *seen = calloc(frames, sizeof(*seen));
    for (int round = 0; round < 2; round++) {
        size_t count = 0;
        memset(seen, 0, frames);
        for (struct vm_page *page;
             (page = vm_frame_alloc(rig->machine,
                                    count % 3 == 2 ? VM_FRAME_COLD : VM_FRAME_ZEROED));) {
            assert_fresh(rig, page);
            uint64_t frame = vm_page_frame(rig->machine, page);
            assert_false(seen[frame]);
            seen[frame] = true;
            pages[count++] = page;
        }
        assert_int_equal(count, frames - 1); /* all but the zero page */
        assert_int_equal(vm_frames_free(rig->machine), 0);
        assert_int_equal(vm_frames_check(rig->machine), 0);
        shuffle(pages, count);
        for (size_t i = 0; i < count; i++) {
            drop(rig->machine, pages[i]);
            if (i % (frames / 16) == 0)
                assert_int_equal(vm_frames_check(rig->machine), 0);
        }
        assert_int_equal(vm_frames_free(rig->machine), frames - 1);
        assert_joined(rig);
    }
    assert_int_equal(vm_shares_peak(rig->machine, VM_SUM_FRAMES), frames);
    assert_int_equal(vm_shares_peak(rig->machine, VM_SUM_DATA), frames);
    free(seen);
    free(pages);
    rig_destroy(rig);
}

static void every_frame_can_be_used_and_blocks_join_again(void **state) {
    (void)state;
    exhaust(64);
    exhaust(100);
    exhaust(1024);
    exhaust(140000); /* three sections, a last block that is not whole */
}

static void a_large_machine_costs_what_it_uses(void **state) {
    (void)state;
    enum { GIB = 1 << 18 };
    struct rig *rig = rig_create(64 * (uint64_t)GIB, VM_METADATA_ONLY, 1);
    uint64_t section = VM_SECTION_PAGES * sizeof(struct vm_page);
    assert_true(rig->lent < section + (1 << 20)); /* the section of the zero page */
    uint64_t before = rig->lent;
    for (uint64_t i = 0; i < 2 * VM_SECTION_PAGES; i++)
        assert_non_null(vm_frame_alloc(rig->machine, VM_FRAME_ZEROED));
    assert_int_equal(rig->lent - before, 2 * section);
    assert_int_equal(vm_cost_peak(rig->machine, VM_COST_DESCRIPTORS), 3 * section);
    rig_destroy(rig);
}

static void fresh_frames_come_in_ascending_order(void **state) {
    (void)state;
    struct rig *rig = rig_create(1 << 16, VM_METADATA_ONLY, 1);
    uint64_t last = vm_page_frame(rig->machine, rig->machine->zero_page);
    for (int i = 0; i < 5000; i++) {
        struct vm_page *page = vm_frame_alloc(rig->machine, VM_FRAME_AS_IS);
        assert_int_equal(vm_page_frame(rig->machine, page), ++last);
    }
    rig_destroy(rig);
}

static void the_last_freed_is_hot(void **state) {
    (void)state;
    struct rig *rig = rig_create(1 << 16, VM_METADATA_ONLY, 1);
    struct vm_page *a = vm_frame_alloc(rig->machine, VM_FRAME_AS_IS);
    struct vm_page *b = vm_frame_alloc(rig->machine, VM_FRAME_AS_IS);
    drop(rig->machine, b);
    drop(rig->machine, a);
    assert_ptr_not_equal(vm_frame_alloc(rig->machine, VM_FRAME_COLD), a);
    assert_ptr_equal(vm_frame_alloc(rig->machine, VM_FRAME_AS_IS), a);
    assert_ptr_equal(vm_frame_alloc(rig->machine, VM_FRAME_AS_IS), b);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- contents */

static void contents_are_cleared_and_copied(void **state) {
    (void)state;
    struct rig *rig = rig_create(64, VM_CONTENTS_KEPT, 1);
    struct vm_machine *machine = rig->machine;
    struct vm_page *page = vm_frame_alloc(machine, VM_FRAME_AS_IS);
    memset(vm_frame_map(machine, page), 0x77, VM_PAGE_SIZE);
    struct vm_page *copy = vm_frame_alloc(machine, VM_FRAME_AS_IS);
    vm_frame_copy(machine, copy, page);
    assert_memory_equal(vm_frame_map(machine, copy), vm_frame_map(machine, page), VM_PAGE_SIZE);
    static const char zeroes[VM_PAGE_SIZE];
    vm_frame_zero(machine, copy, 4000, 96);
    assert_memory_equal((char *)vm_frame_map(machine, copy) + 4000, zeroes, 96);
    assert_int_equal(((char *)vm_frame_map(machine, copy))[3999], 0x77);
    drop(machine, page);
    assert_ptr_equal(vm_frame_alloc(machine, VM_FRAME_ZEROED), page);
    assert_memory_equal(vm_frame_map(machine, page), zeroes, VM_PAGE_SIZE);
    memset(vm_frame_map(machine, page), 0x77, VM_PAGE_SIZE);
    drop(machine, page);
    struct vm_page *table = vm_frame_alloc_table(machine);
    assert_ptr_equal(table, page);
    assert_memory_equal(vm_frame_map(machine, table), zeroes, VM_PAGE_SIZE);
    assert_memory_equal(vm_frame_map(machine, machine->zero_page), zeroes, VM_PAGE_SIZE);
    rig_destroy(rig);
}

static void tables_are_reused_and_counted(void **state) {
    (void)state;
    struct rig *rig = rig_create(1024, VM_METADATA_ONLY, 1);
    struct vm_machine *machine = rig->machine;
    struct vm_page *tables[100], *data[100];
    for (int i = 0; i < 100; i++) {
        data[i] = vm_frame_alloc(machine, VM_FRAME_ZEROED);
        assert_null(vm_frame_map(machine, data[i]));
        tables[i] = vm_frame_alloc_table(machine);
        assert_true(vm_page_is(tables[i], VM_PAGE_TABLE));
    }
    assert_int_equal(vm_shares_now(machine, VM_SUM_TABLES), 100);
    assert_int_equal(vm_shares_peak(machine, VM_SUM_DATA), 101); /* the zero page is data */
    assert_int_equal(vm_shares_peak(machine, VM_SUM_FRAMES), 201);
    for (int i = 0; i < 100; i++)
        vm_frame_free_table(machine, tables[i]);
    assert_int_equal(vm_shares_now(machine, VM_SUM_TABLES), 0);
    assert_int_equal(vm_shares_peak(machine, VM_SUM_TABLES), 100);
    assert_int_equal(vm_frames_free(machine), 1024 - 101);
    assert_int_equal(vm_frames_check(machine), 0);
    assert_ptr_equal(vm_frame_alloc_table(machine), tables[99]);
    /* More data than before, but not more frames: only the data's peak moves. */
    drop(machine, data[0]);
    for (int i = 0; i < 51; i++)
        assert_non_null(vm_frame_alloc(machine, VM_FRAME_AS_IS));
    assert_int_equal(vm_shares_peak(machine, VM_SUM_DATA), 151);
    assert_int_equal(vm_shares_peak(machine, VM_SUM_FRAMES), 201);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- shortage */

static struct {
    struct vm_page *kept[64];
    unsigned count;
    unsigned calls, depth, deepest;
} hoard;

static uint64_t give_up_one(struct vm_machine *machine, const struct vm_zonelist *zones,
                            uint64_t frames) {
    (void)zones;
    (void)frames;
    hoard.calls++;
    if (++hoard.depth > hoard.deepest)
        hoard.deepest = hoard.depth;
    struct vm_page *own = vm_frame_alloc(machine, VM_FRAME_AS_IS); /* from the reserve */
    assert_non_null(own);
    drop(machine, own);
    if (hoard.count)
        drop(machine, hoard.kept[--hoard.count]);
    hoard.depth--;
    return hoard.calls <= 10;
}

static void shortage_is_asked_once_at_a_time(void **state) {
    (void)state;
    struct rig *rig = rig_create(64, VM_METADATA_ONLY, 1);
    struct vm_machine *machine = rig->machine;
    memset(&hoard, 0, sizeof(hoard));
    for (int i = 0; i < 10; i++)
        hoard.kept[hoard.count++] = vm_frame_alloc(machine, VM_FRAME_AS_IS);
    machine->shortage = give_up_one;
    unsigned got = 0;
    while (vm_frames_free(machine) > zone_of(rig)->watermark[VM_WATERMARK_MIN]) {
        assert_non_null(vm_frame_alloc(machine, VM_FRAME_AS_IS));
        got++;
    }
    assert_int_equal(hoard.calls, 0); /* not before the mark */
    assert_int_equal(got, 64 - 1 - 10 - 4);
    for (int i = 0; i < 10; i++)
        assert_non_null(vm_frame_alloc(machine, VM_FRAME_AS_IS));
    assert_int_equal(hoard.calls, 10);
    assert_int_equal(hoard.deepest, 1);
    assert_int_equal(vm_frames_free(machine), zone_of(rig)->watermark[VM_WATERMARK_MIN]);
    /* Nothing more can be freed: the reserve goes, too. */
    for (int i = 0; i < 3; i++)
        assert_non_null(vm_frame_alloc(machine, VM_FRAME_AS_IS));
    assert_int_equal(vm_frames_free(machine), 1);
    assert_int_equal(vm_frames_check(machine), 0);
    rig_destroy(rig);
}

static void no_memory_for_descriptors_is_survived(void **state) {
    (void)state;
    struct rig *rig = rig_create(2 * VM_SECTION_PAGES, VM_METADATA_ONLY, 1);
    rig->allowed = 0;
    for (uint64_t i = 1; i < VM_SECTION_PAGES; i++)
        assert_non_null(vm_frame_alloc(rig->machine, VM_FRAME_AS_IS));
    assert_null(vm_frame_alloc(rig->machine, VM_FRAME_AS_IS));
    assert_null(vm_frame_alloc_table(rig->machine));
    assert_int_equal(vm_shares_now(rig->machine, VM_SUM_TABLES), 0);
    rig->allowed = UINT64_MAX;
    assert_non_null(vm_frame_alloc(rig->machine, VM_FRAME_AS_IS));
    assert_int_equal(vm_frames_check(rig->machine), 0);
    rig_destroy(rig);

    /* Creation with each of its allocations failing leaves nothing behind. */
    bool created = false;
    for (uint64_t allowed = 0; !created; allowed++) {
        rig = rig_create(0, VM_METADATA_ONLY, 1);
        rig->machine->config.frames = 64;
        rig->allowed = allowed;
        int result = vm_frames_init(rig->machine);
        created = result == VM_OK;
        if (!created) {
            assert_int_equal(result, VM_ENOMEM);
            rig->machine->config.frames = 0;
        }
        rig_destroy(rig);
    }
}

/* ---------------------------------------------------------------- LRU lists */

static void lru_lists_keep_order(void **state) {
    (void)state;
    struct rig *rig = rig_create(256, VM_METADATA_ONLY, 1);
    struct vm_machine *machine = rig->machine;
    struct vm_zone *zone = zone_of(rig);
    struct vm_page *pages[8], *out[8];
    for (int i = 0; i < 8; i++) {
        pages[i] = vm_frame_alloc(machine, VM_FRAME_AS_IS);
        vm_lru_put_back(machine, pages[i]);
    }
    assert_int_equal(vm_lru_pages(zone, VM_LRU_INACTIVE), 8);
    assert_int_equal(vm_frames_check(machine), 0);
    vm_lru_move(machine, pages[3], VM_LRU_ACTIVE);
    vm_lru_move(machine, pages[0], VM_LRU_INACTIVE); /* from the tail to the head */
    vm_lru_move_to_tail(machine, pages[6]);
    assert_true(vm_lru_remove(machine, pages[5]));
    assert_false(vm_lru_remove(machine, pages[5]));
    vm_lru_move(machine, pages[5], VM_LRU_ACTIVE); /* on no list: stays so */
    assert_false(vm_page_is(pages[5], VM_PAGE_ACTIVE));
    assert_int_equal(vm_frames_check(machine), 0);
    /* From the tail: 6 1 2 4 7 0. Page 1 is being freed by somebody. */
    vm_page_adjust(machine, pages[1], (uint64_t)0 - VM_ONE_REFERENCE);
    assert_int_equal(vm_lru_isolate(machine, zone, VM_LRU_INACTIVE, 3, out), 3);
    assert_ptr_equal(out[0], pages[6]);
    assert_ptr_equal(out[1], pages[2]);
    assert_ptr_equal(out[2], pages[4]);
    assert_int_equal(vm_page_references(out[0]), 2);
    assert_false(vm_page_is(out[0], VM_PAGE_LISTED));
    vm_page_free(machine, pages[1]);
    assert_int_equal(vm_lru_isolate(machine, zone, VM_LRU_INACTIVE, 8, out), 2);
    assert_int_equal(vm_lru_isolate(machine, zone, VM_LRU_ACTIVE, 8, out), 1);
    assert_ptr_equal(out[0], pages[3]);
    assert_true(vm_page_is(out[0], VM_PAGE_ACTIVE)); /* and goes back there when added */
    vm_lru_put_back(machine, out[0]);
    assert_int_equal(vm_lru_pages(zone, VM_LRU_ACTIVE), 1);
    assert_int_equal(vm_frames_check(machine), 0);
    rig_destroy(rig);
}

/* Some on a list, some not, some anonymous, more than a CPU's list holds. */
static void many_pages_are_freed_at_once(void **state) {
    (void)state;
    enum { MANY = 300, ANONYMOUS = MANY / 3 };
    struct rig *rig = rig_create(4096, VM_METADATA_ONLY, 1);
    struct vm_machine *machine = rig->machine;
    struct vm_page *pages[MANY];
    uint64_t before = vm_frames_free(machine);
    vm_count(machine, memory.anonymous, ANONYMOUS);
    for (int i = 0; i < MANY; i++) {
        pages[i] = vm_frame_alloc(machine, VM_FRAME_AS_IS);
        if (i % 2)
            vm_lru_put_back(machine, pages[i]);
        if (i % 3 == 0)
            vm_page_set(machine, pages[i], VM_PAGE_ANON);
    }
    for (int i = 0; i < MANY; i++)
        vm_page_adjust(machine, pages[i], (uint64_t)0 - VM_ONE_REFERENCE);
    shuffle(pages, MANY);
    vm_pages_free(machine, pages, MANY);
    assert_int_equal(vm_frames_free(machine), before);
    assert_int_equal(vm_this_cpu(machine)->counts.memory.anonymous, 0);
    assert_int_equal(vm_lru_pages(zone_of(rig), VM_LRU_INACTIVE), 0);
    assert_int_equal(vm_frames_check(machine), 0);
    assert_joined(rig);
    rig_destroy(rig);
}

/* Each CPU lists its pages in a part of its own; isolating takes from a part as often as it has pages. */
static void parts_of_the_lists_age_alike(void **state) {
    (void)state;
    enum { MANY = 1600, FEW = 400, BATCHES = 20, BATCH = 32 };
    struct rig *rig = rig_create(8192, VM_METADATA_ONLY, 3);
    struct vm_machine *machine = rig->machine;
    struct vm_page *pages[BATCH];
    unsigned taken[3] = { 0 };
    for (unsigned i = 0; i < MANY + FEW; i++) {
        posix_cpu_set(i < MANY ? 0 : 2);
        vm_lru_add(machine, vm_frame_alloc(machine, VM_FRAME_AS_IS), VM_LRU_ACTIVE);
    }
    assert_int_equal(zone_of(rig)->lru[0].lists[VM_LRU_ACTIVE].pages, MANY);
    assert_int_equal(zone_of(rig)->lru[2].lists[VM_LRU_ACTIVE].pages, FEW);
    for (unsigned i = 0; i < BATCHES; i++) {
        assert_int_equal(vm_lru_isolate(machine, zone_of(rig), VM_LRU_ACTIVE, BATCH, pages), BATCH);
        for (unsigned n = 0; n < BATCH; n++) {
            taken[vm_page_part(pages[n])]++;
            drop(machine, pages[n]);
            drop(machine, pages[n]);
        }
    }
    assert_int_equal(taken[0] + taken[2], BATCHES * BATCH);
    assert_in_range(taken[2], BATCH * 3, BATCH * 5); /* a fifth of 20 batches */
    assert_int_equal(vm_frames_check(machine), 0);
    while (vm_lru_isolate(machine, zone_of(rig), VM_LRU_ACTIVE, BATCH, pages) == BATCH) {
    }
    assert_int_equal(vm_lru_pages(zone_of(rig), VM_LRU_ACTIVE), 0); /* of whatever part */
    posix_cpu_set(0);
    rig_destroy(rig);
}

/* More CPUs than parts: a page's part does not tell which CPU's pagevec it is in. */
static void cpus_may_share_a_part(void **state) {
    (void)state;
    static const unsigned cpus[] = { 0, 16, 32, 17 };
    struct rig *rig = rig_create(8192, VM_METADATA_ONLY, 40);
    struct vm_machine *machine = rig->machine;
    struct vm_page *pages[4];
    assert_int_equal(zone_of(rig)->part_count, VM_LRU_PARTS_MOST);
    for (unsigned i = 0; i < 4; i++) {
        posix_cpu_set(cpus[i]);
        pages[i] = vm_frame_alloc(machine, VM_FRAME_AS_IS);
        vm_lru_add(machine, pages[i], VM_LRU_INACTIVE);
        assert_int_equal(vm_page_part(pages[i]), cpus[i] % 16);
        assert_int_equal(machine->cpus[cpus[i]].pagevec.count, 1);
    }
    posix_cpu_set(1);
    drop(machine, pages[1]); /* out of another CPU's pagevec */
    assert_int_equal(machine->cpus[16].pagevec.count, 0);
    vm_lru_move(machine, pages[2], VM_LRU_ACTIVE); /* has it arrive, and its neighbours */
    assert_int_equal(machine->cpus[32].pagevec.count, 0);
    assert_int_equal(machine->cpus[17].pagevec.count, 1);
    assert_int_equal(zone_of(rig)->lru[0].lists[VM_LRU_ACTIVE].pages, 1);
    assert_int_equal(vm_frames_check(machine), 0);
    drop(machine, pages[0]);
    drop(machine, pages[2]);
    drop(machine, pages[3]);
    assert_int_equal(vm_frames_check(machine), 0);
    posix_cpu_set(0);
    rig_destroy(rig);
}

static void what_cpus_share_adds_up(void **state) {
    (void)state;
    enum { CPUS = 3, EACH = 100 };
    struct rig *rig = rig_create(4096, VM_METADATA_ONLY, CPUS);
    struct vm_machine *machine = rig->machine;
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        posix_cpu_set(cpu);
        for (unsigned i = 0; i < EACH; i++)
            vm_share_add(machine, VM_SUM_AREAS, 1);
        assert_int_equal(vm_shares_now(machine, VM_SUM_AREAS), (cpu + 1) * EACH);
    }
    posix_cpu_set(0); /* and one takes away what others have added */
    for (unsigned i = 0; i < CPUS * EACH; i++)
        vm_share_add(machine, VM_SUM_AREAS, -1);
    assert_int_equal(vm_shares_now(machine, VM_SUM_AREAS), 0);
    assert_in_range(vm_shares_peak(machine, VM_SUM_AREAS), CPUS * (EACH - VM_SHARE_MOST),
                    CPUS * EACH);
    rig_destroy(rig);
}

static void misuse_is_caught(void **state) {
    (void)state;
    if (VM_DEBUG < 1)
        skip();
    struct rig *rig = rig_create(64, VM_METADATA_ONLY, 1);
    struct vm_page *page = vm_frame_alloc(rig->machine, VM_FRAME_AS_IS);
    assert_true(rig_panics(rig, vm_frame_free(rig->machine, page)));
    vm_page_put(rig->machine, page);
    assert_true(rig_panics(rig, vm_frame_free(rig->machine, page)));
    rig_destroy(rig);
}

static void check_sees_damage(void **state) {
    (void)state;
    struct rig *rig = rig_create(4096, VM_METADATA_ONLY, 1);
    struct vm_machine *machine = rig->machine;
    struct vm_page *page = vm_frame_alloc(machine, VM_FRAME_AS_IS);
    assert_int_equal(vm_frames_check(machine), 0);
    vm_page_set(machine, page, VM_PAGE_LISTED);
    assert_int_not_equal(vm_frames_check(machine), 0);
    vm_page_clear(machine, page, VM_PAGE_LISTED);
    zone_of(rig)->free_frames--;
    assert_int_not_equal(vm_frames_check(machine), 0);
    zone_of(rig)->free_frames++;
    vm_page_of(machine, 513)->rmap = 1; /* inside a free block */
    assert_int_not_equal(vm_frames_check(machine), 0);
    vm_page_of(machine, 513)->rmap = 0;
    assert_int_equal(vm_frames_check(machine), 0);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- several CPUs */

enum { CPUS = 4, ROUNDS = 30000, HELD = 64 };

struct worker {
    struct vm_machine *machine;
    unsigned cpu;
    pthread_t thread;
};

static void *work(void *context) {
    struct worker *worker = context;
    struct vm_machine *machine = worker->machine;
    struct vm_page *held[HELD] = { NULL };
    uint64_t state = 88172645463325252u + worker->cpu;
    posix_cpu_set(worker->cpu);
    for (int round = 0; round < ROUNDS; round++) {
        size_t i = (size_t)rig_random(&state, HELD);
        if (!held[i]) {
            held[i] =
                i % 8 ? vm_frame_alloc(machine, VM_FRAME_AS_IS) : vm_frame_alloc_table(machine);
            if (held[i] && i % 4 == 1)
                vm_lru_put_back(machine, held[i]);
        } else if (i % 8) {
            vm_page_put(machine, held[i]);
            held[i] = NULL;
        } else {
            vm_frame_free_table(machine, held[i]);
            held[i] = NULL;
        }
        struct vm_page *taken[4];
        if (round % 64 == 0) {
            unsigned n =
                vm_lru_isolate(machine, &machine->nodes[0].zones[0], VM_LRU_INACTIVE, 4, taken);
            while (n--) {
                vm_lru_put_back(machine, taken[n]);
                vm_page_put(machine, taken[n]);
            }
        }
    }
    for (size_t i = 0; i < HELD; i++) {
        if (held[i] && i % 8)
            vm_page_put(machine, held[i]);
        else if (held[i])
            vm_frame_free_table(machine, held[i]);
    }
    return NULL;
}

static void cpus_do_not_disturb_each_other(void **state) {
    (void)state;
    struct rig *rig = rig_create(2048, VM_METADATA_ONLY, CPUS);
    struct worker workers[CPUS];
    for (unsigned i = 0; i < CPUS; i++) {
        workers[i] = (struct worker){ .machine = rig->machine, .cpu = i };
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(workers[i].thread, NULL);
    assert_int_equal(vm_frames_check(rig->machine), 0);
    assert_int_equal(vm_frames_free(rig->machine), 2047);
    assert_int_equal(vm_shares_now(rig->machine, VM_SUM_TABLES), 0);
    assert_joined(rig);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_can_be_used_and_blocks_join_again),
        cmocka_unit_test(a_large_machine_costs_what_it_uses),
        cmocka_unit_test(fresh_frames_come_in_ascending_order),
        cmocka_unit_test(the_last_freed_is_hot),
        cmocka_unit_test(contents_are_cleared_and_copied),
        cmocka_unit_test(tables_are_reused_and_counted),
        cmocka_unit_test(shortage_is_asked_once_at_a_time),
        cmocka_unit_test(no_memory_for_descriptors_is_survived),
        cmocka_unit_test(lru_lists_keep_order),
        cmocka_unit_test(many_pages_are_freed_at_once),
        cmocka_unit_test(parts_of_the_lists_age_alike),
        cmocka_unit_test(cpus_may_share_a_part),
        cmocka_unit_test(what_cpus_share_adds_up),
        cmocka_unit_test(misuse_is_caught),
        cmocka_unit_test(check_sees_damage),
        cmocka_unit_test(cpus_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
