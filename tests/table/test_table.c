/* SPDX-License-Identifier: BSD-2-Clause */
/* test_table.c - page tables against a list of what was put into them, and the software MMU. */
#include "frame/rig.h"
#include "vm/sum.h"
#include "vm/table/table.h"

#include <pthread.h>

static struct vm_space *const nobody = (struct vm_space *)16; /* only handed through */

static void put(struct vm_machine *machine, struct vm_leaf leaf, uint64_t address, vm_pte e) {
    vm_pte_slot *slot = leaf.entries + vm_table_index(address, 0);
    vm_lock(machine, &leaf.table->lock, VM_RANK_TABLE);
    vm_pte old = vm_pte_exchange(machine, slot, e);
    vm_table_account(leaf.table, (e != 0) - (old != 0), vm_pte_present(e) - vm_pte_present(old));
    vm_unlock(machine, &leaf.table->lock, VM_RANK_TABLE);
}

static void map(struct vm_machine *machine, struct vm_table *root, uint64_t address, vm_pte e) {
    struct vm_leaf leaf;
    assert_int_equal(vm_table_ensure(machine, root, address, &leaf), VM_OK);
    put(machine, leaf, address, e);
}

static vm_pte look(struct vm_machine *machine, struct vm_table *root, uint64_t address) {
    struct vm_leaf leaf;
    if (!vm_table_find(machine, root, address, &leaf))
        return 0;
    assert_int_equal(leaf.table->level, 0);
    assert_int_equal(leaf.table->address, address & ~(VM_LEAF_SPAN - 1));
    assert_ptr_equal(leaf.entries, vm_table_entries(machine, leaf.table));
    assert_ptr_equal(leaf.table->space, nobody);
    return vm_pte_read(&leaf.entries[vm_table_index(address, 0)]);
}

/* ---------------------------------------------------------------- tables */

struct placed {
    uint64_t address;
    vm_pte entry;
};

static int by_address(const void *a, const void *b) {
    uint64_t left = ((const struct placed *)a)->address,
             right = ((const struct placed *)b)->address;
    return (left > right) - (left < right);
}

/* Addresses that share tables of every level, and some that share none. */
static uint64_t random_address(uint64_t *state) {
    static const unsigned widths[] = { 8, 12, 20, 28, 35 };
    uint64_t page = rig_random(state, UINT64_C(1) << widths[rig_random(state, 5)]);
    return (page << VM_PAGE_SHIFT) % VM_ADDRESS_END;
}

static size_t place_at_random(struct vm_machine *machine, struct vm_table *root,
                              struct placed *placed, size_t count) {
    uint64_t state = 1812433253;
    for (size_t i = 0; i < count; i++) {
        vm_pte e = i % 3 == 0   ? vm_pte_from_swap((uint32_t)i + 1)
                   : i % 3 == 1 ? vm_pte_from_file(i)
                                : vm_pte_make(i, vm_pte_protection(VM_PROT_READ));
        placed[i] = (struct placed){ random_address(&state), e };
        if (look(machine, root, placed[i].address)) {
            i--;
            continue;
        }
        map(machine, root, placed[i].address, e);
    }
    return count;
}

static uint64_t tables_needed(const struct placed *placed, size_t count) {
    uint64_t tables = 1;
    for (unsigned level = 0; level < VM_LEVELS - 1; level++)
        for (size_t i = 0; i < count; i++) {
            unsigned shift = VM_PAGE_SHIFT + 9 * (level + 1);
            tables += i == 0 || placed[i].address >> shift != placed[i - 1].address >> shift;
        }
    return tables;
}

enum { PLACED = 1500 };

static void tables_hold_what_was_put_in(void **state) {
    (void)state;
    struct rig *rig = rig_create(8192, VM_METADATA_ONLY, 1);
    struct vm_machine *machine = rig->machine;
    struct vm_table *root = vm_table_create_root(machine, nobody);
    static struct placed placed[PLACED];
    size_t count = place_at_random(machine, root, placed, PLACED);
    qsort(placed, count, sizeof(*placed), by_address);
    assert_int_equal(vm_shares_now(machine, VM_SUM_TABLES), tables_needed(placed, count));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(look(machine, root, placed[i].address), placed[i].entry);
    assert_int_equal(vm_table_check(machine, root, VM_EMPTY_TABLES_NONE), 0);

    /* Take out the lower half, then every other page, and prune just around them. */
    for (size_t i = 0, left = count; i < count; i++) {
        if (i > count / 2 && i % 2)
            continue;
        map(machine, root, placed[i].address, 0);
        vm_tables_free(machine, vm_table_prune(machine, root, placed[i].address,
                                               placed[i].address + VM_PAGE_SIZE));
        placed[i].entry = 0;
        if (--left % 97 == 0)
            assert_int_equal(vm_table_check(machine, root, VM_EMPTY_TABLES_NONE), 0);
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(look(machine, root, placed[i].address), placed[i].entry);
        if (placed[i].entry)
            placed[kept++] = placed[i];
    }
    assert_int_equal(vm_shares_now(machine, VM_SUM_TABLES), tables_needed(placed, kept));
    for (size_t i = 0; i < kept; i++)
        map(machine, root, placed[i].address, 0);
    assert_int_not_equal(vm_table_check(machine, root, VM_EMPTY_TABLES_NONE),
                         0); /* empty tables stand about */
    vm_tables_free(machine, vm_table_prune(machine, root, 0, VM_ADDRESS_END));
    assert_int_equal(vm_table_check(machine, root, VM_EMPTY_TABLES_NONE), 0);
    assert_int_equal(vm_shares_now(machine, VM_SUM_TABLES), 1);
    vm_table_free_root(machine, root);
    assert_int_equal(vm_shares_now(machine, VM_SUM_TABLES), 0);
    assert_int_equal(vm_frames_free(machine), 8191);
    assert_int_equal(vm_frames_check(machine), 0);
    rig_destroy(rig);
}

static void the_cursor_goes_through_what_is_there(void **state) {
    (void)state;
    struct rig *rig = rig_create(8192, VM_METADATA_ONLY, 1);
    struct vm_machine *machine = rig->machine;
    struct vm_table *root = vm_table_create_root(machine, nobody);
    static struct placed placed[PLACED];
    size_t count = place_at_random(machine, root, placed, PLACED);
    qsort(placed, count, sizeof(*placed), by_address);
    uint64_t random = 362436069;
    for (int round = 0; round < 300; round++) {
        size_t from = round ? (size_t)rig_random(&random, count) : 0;
        size_t to = round ? from + (size_t)rig_random(&random, count - from) : count - 1;
        uint64_t start = placed[from].address, end = placed[to].address + VM_PAGE_SIZE;
        size_t next = from;
        uint64_t last_end = start;
        struct vm_table_cursor cursor = vm_table_cursor(root, start, end);
        while (vm_table_next(machine, &cursor)) {
            assert_true(cursor.address >= last_end);
            last_end = cursor.address + (uint64_t)cursor.count * VM_PAGE_SIZE;
            assert_true(last_end <= end);
            assert_int_equal(cursor.first, vm_table_index(cursor.address, 0));
            assert_true(cursor.count > 0 && cursor.first + cursor.count <= VM_TABLE_ENTRIES);
            assert_ptr_equal(cursor.entries,
                             vm_table_entries(machine, cursor.table) + cursor.first);
            for (unsigned i = 0; i < cursor.count; i++) {
                vm_pte e = vm_pte_read(&cursor.entries[i]);
                if (!e)
                    continue;
                assert_int_equal(placed[next].address, cursor.address + i * VM_PAGE_SIZE);
                assert_int_equal(placed[next++].entry, e);
            }
        }
        assert_int_equal(next, to + 1);
    }
    for (size_t i = 0; i < count; i++)
        map(machine, root, placed[i].address, 0);
    vm_table_free_root(machine, root);
    rig_destroy(rig);
}

static void no_frame_is_an_oom_and_no_loss(void **state) {
    (void)state;
    struct rig *rig = rig_create(64, VM_METADATA_ONLY, 1);
    struct vm_machine *machine = rig->machine;
    struct vm_table *root = vm_table_create_root(machine, nobody);
    struct vm_leaf leaf;
    uint64_t made = 0;
    while (vm_table_ensure(machine, root, made << 39, &leaf) == VM_OK)
        made++;
    assert_int_equal(made, 62 / 3);
    assert_int_equal(vm_table_ensure(machine, root, made << 39, &leaf), VM_OOM);
    assert_false(vm_table_find(machine, root, made << 39, &leaf));
    vm_table_free_root(machine, root);
    assert_int_equal(vm_frames_free(machine), 63);
    rig_destroy(rig);
}

static void check_sees_damage(void **state) {
    (void)state;
    struct rig *rig = rig_create(64, VM_METADATA_ONLY, 1);
    struct vm_machine *machine = rig->machine;
    struct vm_table *root = vm_table_create_root(machine, nobody);
    struct vm_leaf leaf;
    map(machine, root, 0x5000, vm_pte_from_swap(1));
    assert_int_equal(vm_table_check(machine, root, VM_EMPTY_TABLES_NONE), 0);
    assert_true(vm_table_find(machine, root, 0x5000, &leaf));
    vm_pte_write(&leaf.entries[9], vm_pte_make(3, VM_PTE_PRESENT));
    assert_int_equal(vm_table_check(machine, root, VM_EMPTY_TABLES_NONE),
                     2); /* one used, one present */
    vm_pte_write(&leaf.entries[9], 0);
    leaf.table->address += VM_LEAF_SPAN;
    assert_int_equal(vm_table_check(machine, root, VM_EMPTY_TABLES_NONE), 1);
    leaf.table->address -= VM_LEAF_SPAN;
    map(machine, root, 0x5000, 0);
    vm_table_free_root(machine, root);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- the MMU */

static void access_follows_the_entry(void **state) {
    (void)state;
    struct rig *rig = rig_create(64, VM_METADATA_ONLY, 1);
    struct vm_machine *machine = rig->machine;
    struct vm_table *root = vm_table_create_root(machine, nobody);
    const uint64_t at = UINT64_C(0x7f1234567000);
    const struct {
        unsigned protection;
        bool read, write, execute;
    } cases[] = {
        { VM_PROT_NONE, false, false, false },
        { VM_PROT_READ, true, false, false },
        { VM_PROT_READ | VM_PROT_WRITE, true, true, false },
        { VM_PROT_READ | VM_PROT_EXEC, true, false, true },
        { VM_PROT_READ | VM_PROT_WRITE | VM_PROT_EXEC, true, true, true },
    };
    uint64_t frame = 0;
    assert_false(vm_mmu_access(machine, root, at, VM_READ, &frame));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        vm_pte plain = vm_pte_make(37, vm_pte_protection(cases[i].protection));
        const bool allowed[] = {
            [VM_READ] = cases[i].read, [VM_WRITE] = cases[i].write, [VM_EXECUTE] = cases[i].execute
        };
        for (unsigned access = VM_READ; access <= VM_EXECUTE; access++) {
            map(machine, root, at, plain);
            frame = 0;
            assert_int_equal(vm_mmu_access(machine, root, at + 123, access, &frame),
                             allowed[access]);
            vm_pte e = look(machine, root, at);
            vm_pte marks = !allowed[access]     ? 0
                           : access == VM_WRITE ? VM_PTE_ACCESSED | VM_PTE_DIRTY
                                                : VM_PTE_ACCESSED;
            assert_int_equal(e, plain | marks);
            assert_int_equal(frame, allowed[access] ? 37 : 0);
            assert_int_equal(vm_mmu_access(machine, root, at, access, NULL), allowed[access]);
            assert_int_equal(look(machine, root, at), e);
        }
    }
    map(machine, root, at, vm_pte_from_swap(0xfffffff));
    assert_false(vm_mmu_access(machine, root, at, VM_READ, NULL));
    map(machine, root, at, vm_pte_from_file(UINT64_C(0xfffffffffffff)));
    assert_false(vm_mmu_access(machine, root, at, VM_READ, NULL));
    assert_int_equal(look(machine, root, at), vm_pte_from_file(UINT64_C(0xfffffffffffff)));
    map(machine, root, at, 0);
    vm_table_free_root(machine, root);
    rig_destroy(rig);
}

static void runs_stop_at_the_first_fault(void **state) {
    (void)state;
    struct rig *rig = rig_create(64, VM_METADATA_ONLY, 1);
    struct vm_machine *machine = rig->machine;
    struct vm_table *root = vm_table_create_root(machine, nobody);
    const uint64_t base = 0x40000000;
    vm_pte writable = vm_pte_make(5, vm_pte_protection(VM_PROT_READ | VM_PROT_WRITE));
    for (uint64_t i = 0; i < 512; i++)
        map(machine, root, base + i * VM_PAGE_SIZE,
            i == 100   ? 0
            : i == 300 ? writable & ~VM_PTE_WRITE
                       : writable);
    uint64_t at = base + 101 * VM_PAGE_SIZE;
    assert_int_equal(vm_mmu_access_run(machine, root, base, 512, VM_WRITE), 100);
    assert_int_equal(vm_mmu_access_run(machine, root, at, 50, VM_WRITE), 50);
    assert_int_equal(vm_mmu_access_run(machine, root, at, 411, VM_WRITE), 199);
    assert_int_equal(vm_mmu_access_run(machine, root, at, 411, VM_READ), 411);
    assert_int_equal(vm_mmu_access_run(machine, root, base + VM_LEAF_SPAN, 9, VM_READ), 0);
    for (uint64_t i = 0; i < 512; i++) {
        vm_pte marks = look(machine, root, base + i * VM_PAGE_SIZE) & ~writable;
        assert_int_equal(marks, i == 100   ? 0
                                : i >= 300 ? VM_PTE_ACCESSED
                                           : VM_PTE_ACCESSED | VM_PTE_DIRTY);
        map(machine, root, base + i * VM_PAGE_SIZE, 0);
    }
    vm_table_free_root(machine, root);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- several CPUs */

enum { CPUS = 4, ROUNDS = 4000 };

struct worker {
    struct vm_machine *machine;
    struct vm_table *root;
    unsigned cpu;
    pthread_t thread;
};

/* All make the same tables at once, each puts its own entries there, and accesses them. */
static void *work(void *context) {
    struct worker *worker = context;
    struct vm_machine *machine = worker->machine;
    posix_cpu_set(worker->cpu);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        uint64_t address = (i << 22) | (uint64_t)worker->cpu << VM_PAGE_SHIFT;
        vm_pte e = vm_pte_make(i, vm_pte_protection(VM_PROT_READ | VM_PROT_WRITE));
        uint64_t frame = 0;
        map(machine, worker->root, address, e);
        if (!vm_mmu_access(machine, worker->root, address, VM_WRITE, &frame) || frame != i)
            abort();
    }
    return NULL;
}

static void racing_faults_make_each_table_once(void **state) {
    (void)state;
    struct rig *rig = rig_create(16384, VM_METADATA_ONLY, CPUS);
    struct vm_machine *machine = rig->machine;
    struct vm_table *root = vm_table_create_root(machine, nobody);
    struct worker workers[CPUS];
    for (unsigned i = 0; i < CPUS; i++) {
        workers[i] = (struct worker){ .machine = machine, .root = root, .cpu = i };
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(workers[i].thread, NULL);
    assert_int_equal(vm_table_check(machine, root, VM_EMPTY_TABLES_NONE), 0);
    assert_int_equal(vm_shares_now(machine, VM_SUM_TABLES), 1 + 1 + (ROUNDS + 255) / 256 + ROUNDS);
    struct vm_table_cursor cursor = vm_table_cursor(root, 0, VM_ADDRESS_END);
    uint64_t leaves = 0;
    for (; vm_table_next(machine, &cursor); leaves++) {
        assert_int_equal(cursor.table->present, CPUS);
        for (unsigned i = 0; i < CPUS; i++) {
            assert_true(vm_pte_dirty(vm_pte_read(&cursor.entries[i])));
            vm_pte_write(&cursor.entries[i], 0);
        }
        vm_table_account(cursor.table, -CPUS, -CPUS);
    }
    assert_int_equal(leaves, ROUNDS);
    vm_table_free_root(machine, root);
    assert_int_equal(vm_frames_free(machine), 16383);
    assert_int_equal(vm_frames_check(machine), 0);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_hold_what_was_put_in),
        cmocka_unit_test(the_cursor_goes_through_what_is_there),
        cmocka_unit_test(no_frame_is_an_oom_and_no_loss),
        cmocka_unit_test(check_sees_damage),
        cmocka_unit_test(access_follows_the_entry),
        cmocka_unit_test(runs_stop_at_the_first_fault),
        cmocka_unit_test(racing_faults_make_each_table_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
