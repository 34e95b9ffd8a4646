/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tlb_test.c - a port with a TLB in each CPU, which forgets nothing unless it is told to.
 *
 * A translation that has been used stays cached with its frame and its rights; and apart from it the
 * way to a leaf table, which an MMU may go again on its own account as long as it is there. Then no
 * frame may become free, and no table, while a CPU still has it cached, and after each call no CPU
 * may have a translation, or a way, that the page tables do not allow.
 *
 * Besides, whoever is about to lock a table must hold what keeps that table there: its space's lock,
 * or its areas lock. (Only builds with checks tell; all happens in one thread, so who holds is clear.)
 */
#include "rmap/rig.h"

#include "harness/dice.h"
#include "harness/each_design.h"

#include "vm/object/object.h"

#define AT    UINT64_C(0x3ff80000) /* 128 pages before the end of a table */
#define OBJ   UINT64_C(0x80000000)
#define AWAY  UINT64_C(0x7f0000000000)
#define PAGES 256
#define CPUS  2

enum { TRANSLATIONS_MOST = 8192, WAYS_MOST = 256 };

struct translation {
    struct vm_space *space;
    uint64_t address, frame;
    bool write;
};

struct way {
    struct vm_space *space;
    uint64_t address;         /* the first that the leaf covers */
    struct vm_table *path[3]; /* leaf first */
};

static struct tlb {
    struct rig *rig;
    struct translation at[TRANSLATIONS_MOST];
    unsigned count;
    struct way ways[WAYS_MOST];
    unsigned way_count;
    uint64_t flushes;
    void (*meanwhile)(void); /* what another CPU does before the next flush is carried out */
    void (*pages_freed)(struct vm_machine *machine, struct vm_page *const *pages, unsigned n);
    void (*leaf_freed)(struct vm_machine *machine, struct vm_table *leaf);
} tlb;

/* ---------------------------------------------------------------- ways */

/* False if it does not get as far as a leaf. */
static bool find_path(struct vm_space *space, uint64_t address, struct vm_table *path[3]) {
    struct vm_machine *machine = space->machine;
    struct vm_table *table = space->root;

    for (unsigned level = VM_LEVELS - 1; level > 0; level--) {
        vm_pte upper =
            vm_pte_read(vm_table_entries(machine, table) + vm_table_index(address, level));
        if (!vm_pte_present(upper))
            return false;
        table = path[level - 1] = vm_table_of_page(vm_page_of(machine, vm_pte_frame(upper)));
    }
    return true;
}

static void cache_way(struct vm_space *space, uint64_t address) {
    struct way way = { .space = space, .address = address & ~(VM_LEAF_SPAN - 1) };

    for (unsigned i = 0; i < tlb.way_count; i++)
        if (tlb.ways[i].space == space && tlb.ways[i].address == way.address)
            return;
    if (tlb.way_count < WAYS_MOST && find_path(space, address, way.path))
        tlb.ways[tlb.way_count++] = way;
}

/* What is still there is soon cached again. */
static void flush_ways(uint64_t space_id, uint64_t start, uint64_t end) {
    for (unsigned i = 0; i < tlb.way_count; i++) {
        struct way way = tlb.ways[i];
        if (vm_space_id(way.space) != space_id || way.address >= end ||
            way.address + VM_LEAF_SPAN <= start)
            continue;
        if (find_path(way.space, way.address, tlb.ways[i].path))
            continue;
        tlb.ways[i--] = tlb.ways[--tlb.way_count];
    }
}

/* ---------------------------------------------------------------- what the machine does to it */

static void flush(struct vm_port *port, uint64_t space_id, uint64_t start, uint64_t end) {
    void (*meanwhile)(void) = tlb.meanwhile;

    (void)port;
    assert_true(start < end);
    tlb.flushes++;
    tlb.meanwhile = NULL;
    if (meanwhile) {
        posix_cpu_set(1);
        meanwhile();
        posix_cpu_set(0);
    }
    for (unsigned i = 0; i < tlb.count;)
        if (vm_space_id(tlb.at[i].space) == space_id && tlb.at[i].address >= start &&
            tlb.at[i].address < end)
            tlb.at[i] = tlb.at[--tlb.count];
        else
            i++;
    flush_ways(space_id, start, end);
}

static void pages_freed(struct vm_machine *machine, struct vm_page *const *pages, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < tlb.count; k++)
            if (tlb.at[k].frame == vm_page_frame(machine, pages[i]))
                fail_msg("frame %llu becomes free, while %llx is cached to lead there",
                         (unsigned long long)tlb.at[k].frame,
                         (unsigned long long)tlb.at[k].address);
    if (tlb.pages_freed)
        tlb.pages_freed(machine, pages, n);
}

static void leaf_freed(struct vm_machine *machine, struct vm_table *leaf) {
    for (unsigned k = 0; k < tlb.way_count; k++)
        if (tlb.ways[k].path[0] == leaf)
            fail_msg("a table becomes free, while the way through it to %llx is cached",
                     (unsigned long long)tlb.ways[k].address);
    if (tlb.leaf_freed)
        tlb.leaf_freed(machine, leaf);
}

static struct vm_table *table_whose_lock(const volatile void *what) {
    const struct vm_machine *machine = tlb.rig->machine;

    for (uint32_t i = 0; i < machine->section_count; i++) {
        uintptr_t first = (uintptr_t)machine->sections[i].pages, at = (uintptr_t)what;
        if (!first || at < first || at >= first + VM_SECTION_PAGES * sizeof(struct vm_page))
            continue;
        struct vm_page *page =
            (struct vm_page *)(first + (at - first) / sizeof *page * sizeof *page);
        struct vm_table *table = vm_table_of_page(page);
        return vm_page_is(page, VM_PAGE_TABLE) && at == (uintptr_t)&table->lock ? table : NULL;
    }
    return NULL;
}

static bool is_taken(const _Atomic uint32_t *word) {
    return atomic_load_explicit(word, memory_order_relaxed) != 0;
}

static void preempt(struct vm_port *port, const volatile void *what) {
    struct vm_table *table = table_whose_lock(what);

    (void)port;
    if (table && !is_taken(&table->space->lock.word) && !is_taken(&table->space->areas_lock.word))
        fail_msg("a table is looked at, and nothing keeps it from being freed");
}

/* => every space has ended: then frames go, and their descriptors are no longer to be asked */
static void end(struct rig *rig) {
    rig->posix.port.preempt = NULL;
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- what the CPUs do */

static vm_pte entry_at(struct vm_space *space, uint64_t address) {
    struct vm_leaf leaf;
    if (!vm_table_find(space->machine, space->root, address, &leaf))
        return 0;
    return vm_pte_read(&leaf.entries[vm_table_index(address, 0)]);
}

/* The CPU uses the page, if it may, and caches how it got there. */
static void use(struct vm_space *space, uint64_t address, enum vm_access access) {
    if (vm_touch(space, address, 1, access, NULL) != VM_OK || tlb.count == TRANSLATIONS_MOST)
        return;
    vm_pte entry = entry_at(space, address);
    struct translation *new = &tlb.at[tlb.count++];
    *new = (struct translation){ .space = space,
                                 .address = address,
                                 .frame = vm_pte_frame(entry),
                                 .write = vm_pte_writable(entry) && vm_pte_dirty(entry) };
    cache_way(space, address);
}

static void use_all(struct vm_space *space, uint64_t start, uint64_t pages, enum vm_access access) {
    for (uint64_t i = 0; i < pages; i++)
        use(space, start + i * PAGE, access);
}

/* No CPU can do what the page tables do not allow (any more). */
static void check(const char *after) {
    for (unsigned k = 0; k < tlb.count; k++) {
        const struct translation *t = &tlb.at[k];
        vm_pte entry = entry_at(t->space, t->address);
        if (!vm_pte_present(entry) || !(entry & VM_PTE_USER) || vm_pte_frame(entry) != t->frame)
            fail_msg("after %s %llx is still cached", after, (unsigned long long)t->address);
        if (t->write && !vm_pte_writable(entry))
            fail_msg("after %s %llx can still be written", after, (unsigned long long)t->address);
    }
    for (unsigned k = 0; k < tlb.way_count; k++) {
        struct way way = tlb.ways[k];
        struct vm_table *path[3];
        if (!find_path(way.space, way.address, path) || memcmp(path, way.path, sizeof path) != 0)
            fail_msg("after %s an old way to %llx is cached", after,
                     (unsigned long long)way.address);
    }
}

/* ---------------------------------------------------------------- the stage */

static struct rig *begin(const char *design, uint64_t frames) {
    struct rig *rig = rig_create_cpus(design, frames, CPUS);

    memset(&tlb, 0, sizeof tlb);
    tlb.rig = rig;
    tlb.pages_freed = rig->machine->pages_freed;
    tlb.leaf_freed = rig->machine->leaf_freed;
    rig->machine->pages_freed = pages_freed;
    rig->machine->leaf_freed = leaf_freed;
    rig->posix.port.tlb_flush = flush;
    rig->posix.port.preempt = preempt;
    return rig;
}

static void end_space(struct vm_space *space) {
    uint64_t id = vm_space_id(space);
    vm_exit(space);
    for (unsigned k = 0; k < tlb.count; k++)
        if (tlb.at[k].space == space)
            fail_msg("space %llu has ended, and %llx is cached", (unsigned long long)id,
                     (unsigned long long)tlb.at[k].address);
    for (unsigned k = 0; k < tlb.way_count; k++)
        assert_ptr_not_equal(tlb.ways[k].space, space);
}

static struct dice dice;
static unsigned draw(unsigned below) {
    return (unsigned)dice_below(&dice, below);
}

/* ---------------------------------------------------------------- tests */

static void one_call(struct rig *rig, struct vm_space **spaces, struct vm_object *object) {
    unsigned n = draw(3);
    struct vm_space *space = spaces[n];
    uint64_t page = draw(PAGES), pages = 1 + draw(40), result;
    uint64_t bytes = (pages < PAGES - page ? pages : PAGES - page) * PAGE;
    uint64_t at = (draw(2) ? AT : OBJ) + page * PAGE;
    static const unsigned protections[] = { VM_PROT_NONE, VM_PROT_READ, RW, RW };

    switch (draw(12)) {
    case 0:
        vm_munmap(space, at, bytes);
        check("munmap");
        break;
    case 1:
        rig_map(space, AT + page * PAGE, bytes / PAGE, NULL);
        check("mmap");
        break;
    case 2:
        rig_map(space, OBJ + page * PAGE, bytes / PAGE, object);
        check("mmap of an object");
        break;
    case 3:
        vm_mprotect(space, at, bytes, protections[draw(4)]);
        check("mprotect");
        break;
    case 4:
        vm_mremap(space, at, bytes, bytes, VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED,
                  AWAY + draw(4) * VM_LEAF_SPAN * 512, &result);
        check("mremap");
        break;
    case 5:
        vm_madvise(space, at, bytes, draw(2) ? VM_MADV_DONTNEED : VM_MADV_PAGEOUT);
        check("madvise");
        break;
    case 6:
        vm_reclaim(rig->machine, 1 + draw(100));
        check("reclaim");
        break;
    case 7:
        end_space(spaces[n]);
        spaces[n] = rig_fork(spaces[(n + 1) % 3], 100 + draw(1000000));
        check("fork and exit");
        break;
    case 8:
        vm_msync(space, at, bytes, VM_MS_SYNC);
        check("msync");
        break;
    case 9:
        vm_object_truncate(object, draw(PAGES) * PAGE);
        check("truncation");
        vm_object_truncate(object, PAGES * PAGE);
        break;
    case 10:
        vm_madvise(space, at, bytes, VM_MADV_FREE);
        check("MADV_FREE");
        break;
    default:
        if (draw(10) == 0)
            vm_exec(space);
        check("exec");
    }
}

static void no_call_leaves_a_stale_translation(void **state) {
    struct rig *rig = begin(*state, 2048);
    struct vm_backing *file = posix_memory_open(PAGES * PAGE);
    struct vm_object *object;
    struct vm_space *spaces[3];

    dice.state = 7;
    assert_int_equal(vm_object_open(rig->machine, file, 1, &object), VM_OK);
    for (unsigned i = 0; i < 3; i++) {
        spaces[i] = rig_space(rig, i + 1);
        rig_map(spaces[i], AT, PAGES, NULL);
        rig_map(spaces[i], OBJ, PAGES, object);
    }
    for (unsigned step = 0; step < 400; step++) {
        for (unsigned i = 0; i < 30; i++) {
            use(spaces[draw(3)], (draw(2) ? AT : OBJ) + draw(PAGES) * PAGE,
                draw(2) ? VM_WRITE : VM_READ);
            check("a fault");
        }
        one_call(rig, spaces, object);
    }
    rig_verify(rig);
    for (unsigned i = 0; i < 3; i++)
        end_space(spaces[i]);
    vm_object_put(object);
    end(rig);
}

static struct vm_space *other;
static struct vm_object *cut;

static void other_unmaps(void) {
    assert_int_equal(vm_munmap(other, AT, 8 * PAGE), VM_OK);
}

static void other_cuts(void) {
    assert_int_equal(vm_object_truncate(cut, 0), VM_OK);
}

/* The first has cleared its entries, but not yet flushed; the second has no idea. */
static void shared_page_outlives_both_flushes(void **state) {
    struct rig *rig = begin(*state, 1024);
    struct vm_space *first = rig_space(rig, 1);

    rig_map(first, AT, 8, NULL);
    rig_touch(first, AT, 8);
    other = rig_fork(first, 2);
    use_all(first, AT, 8, VM_READ);
    use_all(other, AT, 8, VM_READ);
    tlb.meanwhile = other_unmaps;
    assert_int_equal(vm_munmap(first, AT, 8 * PAGE), VM_OK);
    check("munmap by both");
    end_space(first);
    end_space(other);
    end(rig);
}

static void cut_page_outlives_the_flush(void **state) {
    struct rig *rig = begin(*state, 1024);
    struct vm_space *space = rig_space(rig, 1);

    assert_int_equal(vm_object_create_shm(rig->machine, 8 * PAGE, 1, &cut), VM_OK);
    rig_map(space, OBJ, 8, cut);
    use_all(space, OBJ, 8, VM_WRITE);
    tlb.meanwhile = other_cuts;
    assert_int_equal(vm_munmap(space, OBJ, 8 * PAGE), VM_OK);
    check("munmap beside truncation");
    end_space(space);
    vm_object_put(cut);
    end(rig);
}

static uint64_t flushes_since(uint64_t before) {
    return tlb.flushes - before;
}

/* One for a run of entries, or for what a table holds of them; not one for each page. */
static void runs_are_flushed_at_once(void **state) {
    struct rig *rig = begin(*state, 8192);
    struct vm_space *space = rig_space(rig, 1), *child;
    uint64_t leaves = 5, pages = leaves * VM_TABLE_ENTRIES, before;

    rig_map(space, AT, pages, NULL);
    use_all(space, AT, pages, VM_WRITE);
    before = tlb.flushes;
    assert_int_equal(vm_mprotect(space, AT, pages * PAGE, VM_PROT_READ), VM_OK);
    assert_int_equal(flushes_since(before), 1);
    assert_int_equal(vm_mprotect(space, AT, pages * PAGE, RW), VM_OK);
    use_all(space, AT, pages, VM_WRITE);
    before = tlb.flushes;
    child = rig_fork(space, 2);
    assert_int_equal(flushes_since(before), 1);
    use_all(child, AT, pages, VM_READ);
    before = tlb.flushes;
    end_space(child);
    assert_true(flushes_since(before) <= leaves + 2);
    before = tlb.flushes;
    assert_int_equal(vm_munmap(space, AT, pages * PAGE), VM_OK);
    assert_true(flushes_since(before) <= leaves + 2);
    end_space(space);
    end(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_EACH_DESIGN(no_call_leaves_a_stale_translation),
        ON_EACH_DESIGN(shared_page_outlives_both_flushes),
        ON_EACH_DESIGN(cut_page_outlives_the_flush),
        ON_EACH_DESIGN(runs_are_flushed_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
