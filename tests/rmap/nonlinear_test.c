/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nonlinear_test.c - areas that stay one under vm_remap_file_pages(): what programs see of them is
 * what they see of the emulation by areas; where reclaim looks for their pages; and what goes wrong
 * with them, by the names of the kernel's bugs.
 */
#include "rig.h"

#define BASE     UINT64_C(0x40000000)
#define AT(page) (BASE + (uint64_t)(page)*PAGE)

struct answer {
    const char *design;
    enum vm_nonlinear nonlinear;
};

/* By areas, in both ways; by chains; and by sweeps. The emulation is what the others must equal. */
static const struct answer answers[] = {
    { "anon-vma", VM_NONLINEAR_EMULATE },     { "anon-vma", VM_NONLINEAR_DRACONIAN },
    { "anon-vma", VM_NONLINEAR_CLUSTER },     { "objrmap-partial", VM_NONLINEAR_DRACONIAN },
    { "anonmm", VM_NONLINEAR_CLUSTER },       { "pte-chain", VM_NONLINEAR_CHAIN },
    { "pte-chain-list", VM_NONLINEAR_CHAIN }, { "shadow", VM_NONLINEAR_CHAIN },
    { "virtual-scan", VM_NONLINEAR_CLUSTER }, { "objrmap-partial", VM_NONLINEAR_CHAIN },
};
#define ANSWERS (sizeof answers / sizeof answers[0])

struct scene {
    struct posix_port posix;
    struct vm_backing *swap;
    struct vm_machine *machine;
    struct vm_object *object;
    struct vm_space *space;
};

/* One space that maps the first `pages` of a shared memory object; page i holds i + 1. */
static void begin(struct scene *scene, struct answer answer, uint64_t frames, uint64_t pages,
                  unsigned cpus) {
    posix_port_init(&scene->posix, cpus);
    scene->swap = posix_memory_open(8192 * PAGE);
    struct vm_machine_config config = { .port = &scene->posix.port,
                                        .frames = frames,
                                        .cpus = cpus,
                                        .design = answer.design,
                                        .nonlinear = answer.nonlinear,
                                        .swap = scene->swap,
                                        .swap_pages = 8192 };
    assert_int_equal(vm_machine_create(&config, &scene->machine, NULL), VM_OK);
    assert_int_equal(vm_object_create_shm(scene->machine, pages * PAGE, 7, &scene->object), VM_OK);
    assert_int_equal(vm_space_create(scene->machine, 1, &scene->space), VM_OK);
    rig_map(scene->space, BASE, pages, scene->object);
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t value = i + 1;
        assert_int_equal(vm_write(scene->space, AT(i), &value, sizeof value), VM_OK);
    }
}

static void check(struct scene *scene) {
    assert_int_equal(vm_verify(scene->machine, rig_print, NULL), 0);
}

static struct rig_cache cache(struct scene *scene, const char *name) {
    struct rig_cache wanted = { .name = name };
    vm_cache_each(scene->machine, rig_match_cache, &wanted);
    return wanted;
}

static struct vm_stats stats(struct scene *scene) {
    struct vm_stats stats;
    vm_stats_read(scene->machine, &stats);
    return stats;
}

static void end(struct scene *scene) {
    check(scene);
    struct vm_space *space;
    while ((space = vm_space_first(scene->machine)))
        vm_exit(space);
    assert_int_equal(cache(scene, "nonlinear areas").live, 0);
    assert_int_equal(cache(scene, "areas").live, 0);
    assert_int_equal(stats(scene).memory.tables, 0);
    vm_object_put(scene->object);
    vm_machine_destroy(scene->machine);
    scene->swap->close(scene->swap);
}

static void remap(struct scene *scene, uint64_t page, uint64_t pages, uint64_t pgoff) {
    assert_int_equal(vm_remap_file_pages(scene->space, AT(page), pages * PAGE, pgoff), VM_OK);
}

/* Page i, read as a program would, holds expected[i]. */
static void expect_(struct vm_space *space, const unsigned *expected, unsigned pages, int line) {
    for (unsigned i = 0; i < pages; i++) {
        uint64_t peeked = 0, read = 0;
        assert_int_equal(vm_peek(space, AT(i), &peeked, sizeof peeked), VM_OK);
        assert_int_equal(vm_read(space, AT(i), &read, sizeof read), VM_OK);
        _assert_int_equal(peeked, expected[i], __FILE__, line);
        _assert_int_equal(read, expected[i], __FILE__, line);
    }
}
#define expect(space, ...)                                                                         \
    expect_(space, (const unsigned[]){ __VA_ARGS__ },                                              \
            sizeof((unsigned[]){ __VA_ARGS__ }) / sizeof(unsigned), __LINE__)

static void each_answer(void (*test)(struct answer answer)) {
    for (size_t i = 0; i < ANSWERS; i++)
        test(answers[i]);
}

/* ---------------------------------------------------------------- what programs see */

static bool write_view(const struct vm_area_view *area, void *context) {
    char *text = context;
    sprintf(text + strlen(text), "%u+%u:%u ", (unsigned)((area->start - BASE) / PAGE),
            (unsigned)((area->end - area->start) / PAGE), (unsigned)area->pgoff);
    return true;
}

static void expect_views(struct vm_space *space, const char *expected) {
    char text[1000] = "";
    vm_area_each(space, write_view, text);
    assert_string_equal(text, expected);
}

static void see_pieces(struct answer answer) {
    struct scene scene;
    begin(&scene, answer, 512, 8, 1);
    remap(&scene, 2, 2, 5);
    remap(&scene, 6, 1, 0);
    expect(scene.space, 1, 2, 6, 7, 5, 6, 1, 8);
    expect_views(scene.space, "0+2:0 2+2:5 4+2:4 6+1:0 7+1:7 ");
    remap(&scene, 2, 2, 2);
    remap(&scene, 6, 1, 6);
    if (answer.nonlinear != VM_NONLINEAR_EMULATE) /* one area, whatever it shows */
        assert_int_equal(stats(&scene).memory.areas, 1);
    expect_views(scene.space, "0+8:0 ");
    end(&scene);
}

static void pieces(void **state) {
    (void)state;
    each_answer(see_pieces);
}

static void stay_linear(struct answer answer) {
    struct scene scene;
    begin(&scene, answer, 512, 8, 1);
    remap(&scene, 2, 4, 2);
    assert_int_equal(cache(&scene, "nonlinear areas").live, 0);
    end(&scene);
}

static void same_offset_stays_linear(void **state) {
    (void)state;
    each_answer(stay_linear);
}

static void evict_and_refault(struct answer answer) {
    struct scene scene;
    begin(&scene, answer, 512, 8, 1);
    remap(&scene, 0, 4, 4);
    remap(&scene, 4, 4, 0);
    for (int round = 0; round < 20 && stats(&scene).memory.shm; round++)
        vm_reclaim(scene.machine, 512);
    assert_int_equal(stats(&scene).memory.shm, 0);
    check(&scene);
    expect_views(scene.space, "0+4:4 4+4:0 ");
    expect(scene.space, 5, 6, 7, 8, 1, 2, 3, 4);
    end(&scene);
}

static void eviction(void **state) {
    (void)state;
    each_answer(evict_and_refault);
}

static void fork_and_write(struct answer answer) {
    struct scene scene;
    begin(&scene, answer, 512, 8, 1);
    remap(&scene, 0, 4, 4);
    vm_reclaim(scene.machine, 4); /* some entries are offsets, some are pages */
    struct vm_space *child = rig_fork(scene.space, 2);
    check(&scene);
    expect(child, 5, 6, 7, 8, 5, 6, 7, 8);
    uint64_t value = 99;
    assert_int_equal(vm_write(child, AT(1), &value, sizeof value), VM_OK);
    vm_exit(scene.space);
    check(&scene);
    expect(child, 5, 99, 7, 8, 5, 99, 7, 8);
    end(&scene);
}

static void forked(void **state) {
    (void)state;
    each_answer(fork_and_write);
}

static void cut_and_grow(struct answer answer) {
    struct scene scene;
    begin(&scene, answer, 512, 8, 1);
    remap(&scene, 0, 4, 4);
    vm_reclaim(scene.machine, 4);
    uint64_t value;
    assert_int_equal(vm_object_truncate(scene.object, 6 * PAGE), VM_OK);
    check(&scene);
    assert_int_equal(vm_read(scene.space, AT(2), &value, sizeof value), VM_SIGBUS);
    assert_int_equal(vm_read(scene.space, AT(7), &value, sizeof value), VM_SIGBUS);
    assert_int_equal(vm_read(scene.space, AT(1), &value, sizeof value), VM_OK);
    assert_int_equal(value, 6);
    assert_int_equal(vm_object_truncate(scene.object, 8 * PAGE), VM_OK);
    expect(scene.space, 5, 6, 0, 0, 5, 6, 0, 0);
    expect_views(scene.space, "0+4:4 4+4:4 ");
    end(&scene);
}

static void truncation(void **state) {
    (void)state;
    each_answer(cut_and_grow);
}

static void advise(struct answer answer) {
    struct scene scene;
    unsigned char resident[8];
    begin(&scene, answer, 512, 8, 1);
    remap(&scene, 0, 4, 4);
    assert_int_equal(vm_madvise(scene.space, BASE, 8 * PAGE, VM_MADV_DONTNEED), VM_OK);
    assert_int_equal(vm_mincore(scene.space, BASE, 8 * PAGE, resident), VM_OK);
    assert_memory_equal(resident, "\1\1\1\1\1\1\1\1", 8);
    vm_reclaim(scene.machine, 512);
    assert_int_equal(vm_madvise(scene.space, AT(1), PAGE, VM_MADV_WILLNEED), VM_OK);
    assert_int_equal(vm_mincore(scene.space, BASE, 8 * PAGE, resident), VM_OK);
    assert_memory_equal(resident, "\0\1\0\0\0\1\0\0", 8);
    expect(scene.space, 5, 6, 7, 8, 5, 6, 7, 8);
    end(&scene);
}

/* The first table's pages are others than the second's, and the third's: there is no second. */
static void look_for_runs(struct answer answer) {
    struct scene scene;
    uint64_t index;
    begin(&scene, answer, 2048, 8, 1);
    rig_map(scene.space, AT(8192), 3 * 512, scene.object);
    assert_int_equal(vm_remap_file_pages(scene.space, AT(8192), 512 * PAGE, 4), VM_OK);
    assert_int_equal(vm_remap_file_pages(scene.space, AT(8192 + 1024), 512 * PAGE, 4), VM_OK);
    struct vm_area *area = vm_area_at(scene.space, AT(8192));
    uint64_t end_of_area = area->end < AT(8192 + 1536) ? area->end : AT(8192 + 1536);
    assert_int_equal(vm_area_run(area, AT(8192), end_of_area, &index), AT(8192 + 512));
    assert_int_equal(index, 4);

    /* As mapped in the first table, and in the second, which is not there. */
    rig_map(scene.space, AT(16384), 3 * 512, scene.object);
    rig_touch(scene.space, AT(16384), 1);
    assert_int_equal(vm_remap_file_pages(scene.space, AT(16384 + 1024), 512 * PAGE, 4), VM_OK);
    area = vm_area_at(scene.space, AT(16384));
    end_of_area = area->end < AT(16384 + 1536) ? area->end : AT(16384 + 1536);
    assert_int_equal(vm_area_run(area, AT(16384), end_of_area, &index), AT(16384 + 1024));
    assert_int_equal(index, 0);
    end(&scene);
}

static void runs(void **state) {
    (void)state;
    each_answer(look_for_runs);
}

static enum vm_step see_one(const struct vm_mapping *mapping, void *context) {
    (void)mapping;
    ++*(unsigned *)context;
    return VM_STEP_STOP;
}

/* Page 5 is at two addresses. */
static void look_once(struct answer answer) {
    struct scene scene;
    unsigned seen = 0;
    begin(&scene, answer, 512, 8, 1);
    remap(&scene, 0, 4, 4);
    expect(scene.space, 5, 6, 7, 8, 5, 6, 7, 8);
    struct vm_page *page = vm_page_of(scene.machine, vm_frame_at(scene.space, AT(1)));
    assert_int_equal(vm_page_mapcount(page), 2);
    vm_page_lock(scene.machine, page);
    vm_rmap_walk(scene.machine, page, VM_WALK_ALL, see_one, &seen);
    vm_page_unlock(scene.machine, page);
    assert_int_equal(seen, 1);
    end(&scene);
}

static void who_has_seen_enough(void **state) {
    (void)state;
    each_answer(look_once);
}

static void advice(void **state) {
    (void)state;
    each_answer(advise);
}

static void divide(struct answer answer) {
    struct scene scene;
    uint64_t at;
    begin(&scene, answer, 512, 8, 1);
    remap(&scene, 0, 4, 4);
    remap(&scene, 5, 1, 2);
    /* split and joined again */
    assert_int_equal(vm_mprotect(scene.space, AT(2), 3 * PAGE, VM_PROT_READ), VM_OK);
    check(&scene);
    expect(scene.space, 5, 6, 7, 8, 5, 3, 7, 8);
    assert_int_equal(vm_mprotect(scene.space, AT(2), 3 * PAGE, RW), VM_OK);
    check(&scene);
    assert_int_equal(vm_munmap(scene.space, AT(7), PAGE), VM_OK);
    /* a move takes everything along, over several pieces */
    assert_int_equal(vm_mremap(scene.space, AT(1), 5 * PAGE, 5 * PAGE,
                               VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, AT(20), &at),
                     VM_OK);
    check(&scene);
    expect_views(scene.space, "0+1:4 6+1:6 20+3:5 23+1:4 24+1:2 ");
    /* what is several mappings to a program cannot grow as one; the last piece can */
    assert_int_equal(vm_mremap(scene.space, AT(22), 3 * PAGE, 4 * PAGE, VM_MREMAP_MAYMOVE, 0, &at),
                     VM_EFAULT);
    assert_int_equal(vm_mremap(scene.space, AT(24), PAGE, 3 * PAGE, 0, 0, &at), VM_OK);
    check(&scene);
    expect_views(scene.space, "0+1:4 6+1:6 20+3:5 23+1:4 24+3:2 ");
    uint64_t value;
    assert_int_equal(vm_read(scene.space, AT(26), &value, sizeof value), VM_OK);
    assert_int_equal(value, 5);
    end(&scene);
}

static void split_moved_grown(void **state) {
    (void)state;
    each_answer(divide);
}

/* ---------------------------------------------------------------- where reclaim looks */

static const struct answer draconian = { "anon-vma", VM_NONLINEAR_DRACONIAN };
static const struct answer cluster = { "anon-vma", VM_NONLINEAR_CLUSTER };

static uint64_t present_pages(struct vm_space *space, uint64_t pages) {
    uint64_t present = 0;
    for (uint64_t i = 0; i < pages; i++)
        present += vm_frame_at(space, AT(i)) != VM_NO_FRAME;
    return present;
}

/* No page is where the linear rule has it. */
static void reverse(struct scene *scene, uint64_t pages) {
    for (uint64_t i = 0; i < pages; i++)
        remap(scene, i, 1, pages - 1 - i);
}

/* Nobody has used the pages of late: as after the clock's hand has come by. */
static void forget_use(struct scene *scene, uint64_t pages) {
    struct vm_table_cursor at = vm_table_cursor(scene->space->root, BASE, AT(pages));
    while (vm_table_next(scene->machine, &at))
        for (unsigned i = 0; i < at.count; i++)
            if (vm_pte_present(vm_pte_read(&at.entries[i])))
                vm_pte_clear_bits(scene->machine, &at.entries[i], VM_PTE_ACCESSED);
}

static void w14_dense_draconian(void **state) {
    struct scene scene;
    (void)state;
    begin(&scene, draconian, 4096, 256, 1);
    reverse(&scene, 256);
    struct vm_stats before = stats(&scene);
    assert_int_equal(vm_madvise(scene.space, AT(9), PAGE, VM_MADV_PAGEOUT), VM_OK);
    struct vm_stats after = stats(&scene);
    /* one page was wanted: all have lost their entries, and will be faulted in again */
    assert_int_equal(present_pages(scene.space, 256), 0);
    assert_int_equal(after.reclaim.nonlinear_unmapped - before.reclaim.nonlinear_unmapped, 256);
    assert_int_equal(after.reclaim.swapped_out - before.reclaim.swapped_out, 1);
    end(&scene);
}

static void w14_dense_cluster(void **state) {
    struct scene scene;
    (void)state;
    begin(&scene, cluster, 4096, 256, 1);
    reverse(&scene, 256);
    forget_use(&scene, 256);
    struct vm_stats before = stats(&scene);
    assert_int_equal(vm_madvise(scene.space, AT(200), PAGE, VM_MADV_PAGEOUT), VM_OK);
    struct vm_stats after = stats(&scene);
    /* 32 looked at and taken, none of them the one that was wanted */
    assert_int_equal(after.rmap.nonlinear_entries - before.rmap.nonlinear_entries, 32);
    assert_int_equal(present_pages(scene.space, 32), 0);
    assert_int_equal(present_pages(scene.space, 256), 224);
    assert_true(vm_frame_at(scene.space, AT(200)) != VM_NO_FRAME);
    /* ... its turn comes with the cursor's; young pages are passed over once */
    for (int calls = 2; calls <= 7; calls++)
        assert_int_equal(vm_madvise(scene.space, AT(200), PAGE, VM_MADV_PAGEOUT), VM_OK);
    assert_true(vm_frame_at(scene.space, AT(200)) == VM_NO_FRAME);
    end(&scene);
}

/* Four pages in an area of 64 Ki: the whole of it is searched, a leaf table at a time. */
static void w14_sparse(void **state) {
    static const uint64_t pages[] = { 0, 20000, 40000, 65000 };
    struct scene scene;
    uint64_t at;
    (void)state;
    begin(&scene, cluster, 1024, 8, 1);
    assert_int_equal(vm_object_truncate(scene.object, 65536 * PAGE), VM_OK);
    assert_int_equal(vm_munmap(scene.space, BASE, 8 * PAGE), VM_OK);
    assert_int_equal(vm_mmap(scene.space, BASE, 65536 * PAGE, RW, VM_MAP_SHARED | VM_MAP_FIXED,
                             scene.object, 0, &at),
                     VM_OK);
    for (int i = 0; i < 4; i++)
        remap(&scene, pages[i], 1, (uint64_t)i + 1);
    forget_use(&scene, 65536);
    struct vm_stats before = stats(&scene);
    for (int call = 0; call < 4; call++)
        assert_int_equal(vm_madvise(scene.space, AT(pages[3]), PAGE, VM_MADV_PAGEOUT), VM_OK);
    struct vm_stats after = stats(&scene);
    uint64_t clusters = after.rmap.object_visits - before.rmap.object_visits;
    assert_int_equal(clusters, 65000 / 32 + 1); /* nearly all there are, for four pages */
    assert_int_equal(after.reclaim.nonlinear_unmapped - before.reclaim.nonlinear_unmapped, 4);
    end(&scene);
}

static bool is_active(const struct scene *scene, uint64_t address) {
    return vm_page_is(vm_page_of(scene->machine, vm_frame_at(scene->space, address)),
                      VM_PAGE_ACTIVE);
}

/* All but one area locked: that one is done, then calls fail, and come back. */
static void w15_all_but_one_locked(void **state) {
    (void)state;
    for (int mode = VM_NONLINEAR_DRACONIAN; mode <= VM_NONLINEAR_CLUSTER; mode++) {
        struct scene scene;
        begin(&scene, (struct answer){ "anon-vma", (enum vm_nonlinear)mode }, 1024, 64, 1);
        reverse(&scene, 64);
        struct vm_space *spaces[4];
        for (uint64_t i = 0; i < 4; i++) {
            spaces[i] = rig_fork(scene.space, 10 + i);
            assert_int_equal(vm_mlock(spaces[i], BASE, 64 * PAGE), VM_OK);
        }
        forget_use(&scene, 64);
        assert_int_equal(vm_reclaim(scene.machine, 64), 0);
        for (int i = 0; i < 4; i++)
            assert_int_equal(present_pages(spaces[i], 64), 64);
        check(&scene);
        assert_int_equal(vm_mlock(scene.space, BASE, 64 * PAGE), VM_OK);
        struct vm_stats before = stats(&scene);
        assert_int_equal(vm_reclaim(scene.machine, 64), 0);
        assert_int_equal(stats(&scene).reclaim.unmapped, before.reclaim.unmapped);
        for (uint64_t i = 0; i < 64; i++) /* known before anything is tried: none is a candidate */
            assert_true(is_active(&scene, AT(i)));
        end(&scene);
    }
}

/* ---------------------------------------------------------------- bugs by their numbers */

/* 16: an entry was made while the area was linear, and is looked for after it ceased to be. There it
 * has no offset written down, and the index does not lead to it. */
static void bug_16_entry_older_than_nonlinear(struct answer answer) {
    struct scene scene;
    struct vm_stats cost;
    begin(&scene, answer, 512, 8, 1);
    uint64_t frame = vm_frame_at(scene.space, AT(3));
    remap(&scene, 6, 1, 1);
    struct rig rig = { .machine = scene.machine };
    assert_int_equal(rig_ask(&rig, frame, &cost), 1);
    /* and twice in one area */
    remap(&scene, 7, 1, 3);
    assert_int_equal(rig_ask(&rig, frame, &cost), 2);
    assert_int_equal(vm_frame_at(scene.space, AT(7)), frame);
    end(&scene);
}

static void bug_16(void **state) {
    (void)state;
    each_answer(bug_16_entry_older_than_nonlinear);
}

/* 17: that an area is locked is found out when linear entries are gone already. */
static void bug_17_locked_found_late(struct answer answer) {
    struct scene scene;
    begin(&scene, answer, 512, 8, 1);
    struct vm_space *linear = rig_space(&(struct rig){ .machine = scene.machine }, 2);
    rig_map(linear, BASE, 8, scene.object);
    rig_touch(linear, BASE, 8);
    remap(&scene, 0, 4, 4);
    rig_fork(scene.space, 3); /* it is not locked there */
    assert_int_equal(vm_mlock(scene.space, BASE, 8 * PAGE), VM_OK);
    uint64_t kept = vm_frame_at(linear, AT(5));
    vm_reclaim(scene.machine, 512);
    assert_int_equal(vm_frame_at(scene.space, AT(1)), kept);
    if (strcmp(answer.design, "virtual-scan") != 0) /* its sweeps do not ask */
        assert_int_equal(vm_frame_at(linear, AT(5)), kept);
    end(&scene);
}

static void bug_17(void **state) {
    (void)state;
    each_answer(bug_17_locked_found_late);
}

/* 29: the others' cursors stand at the end, and they are locked; the one that is left must not wait
 * for a call that does nothing but turn the cursors back. */
static void bug_29_cursor_starvation(void **state) {
    struct scene scene;
    (void)state;
    begin(&scene, cluster, 1024, 64, 1);
    reverse(&scene, 64);
    forget_use(&scene, 64);
    /* two calls bring the cursor to the end */
    for (int call = 0; call < 2; call++)
        assert_int_equal(vm_madvise(scene.space, AT(63), PAGE, VM_MADV_PAGEOUT), VM_OK);
    assert_int_equal(present_pages(scene.space, 64), 0);
    for (uint64_t i = 0; i < 64; i++)
        assert_int_equal(vm_touch(scene.space, AT(i), 1, VM_READ, NULL), VM_OK);
    forget_use(&scene, 64);
    struct vm_stats before = stats(&scene);
    assert_int_equal(vm_madvise(scene.space, AT(40), PAGE, VM_MADV_PAGEOUT), VM_OK);
    assert_int_equal(stats(&scene).reclaim.nonlinear_unmapped - before.reclaim.nonlinear_unmapped,
                     32);
    end(&scene);
}

/* ---------------------------------------------------------------- memory and limits */

static void records_only_where_needed(void **state) {
    struct scene scene;
    (void)state;
    begin(&scene, cluster, 512, 8, 1);
    rig_map(scene.space, AT(100), 8, scene.object);
    remap(&scene, 0, 1, 3);
    assert_int_equal(cache(&scene, "nonlinear areas").live, 1);
    remap(&scene, 4, 1, 3);
    assert_int_equal(cache(&scene, "nonlinear areas").live, 1);
    end(&scene);
}

static void chains_are_refused(void **state) {
    static const char *const designs[] = { "anon-vma", "anonmm", "anon-vma-chain", "virtual-scan" };
    struct posix_port posix;
    (void)state;
    posix_port_init(&posix, 1);
    for (int i = 0; i < 4; i++) {
        struct vm_machine_config config = { .port = &posix.port,
                                            .frames = 512,
                                            .design = designs[i],
                                            .nonlinear = VM_NONLINEAR_CHAIN };
        struct vm_machine *machine;
        const char *why = NULL;
        assert_int_equal(vm_machine_create(&config, &machine, &why), VM_EINVAL);
        assert_string_equal(why, "nonlinear: this design does not chain the pages of objects");
    }
}

/* The order of locks, which a machine of many CPUs checks. */
static void with_locks(void **state) {
    (void)state;
    for (size_t i = 0; i < ANSWERS; i++) {
        struct scene scene;
        begin(&scene, answers[i], 512, 64, 2);
        reverse(&scene, 64);
        struct vm_space *child = rig_fork(scene.space, 2);
        forget_use(&scene, 64);
        for (int round = 0; round < 3; round++)
            vm_reclaim(scene.machine, 64);
        rig_touch(child, BASE, 64);
        assert_int_equal(vm_object_truncate(scene.object, 20 * PAGE), VM_OK);
        end(&scene);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces),
        cmocka_unit_test(same_offset_stays_linear),
        cmocka_unit_test(eviction),
        cmocka_unit_test(forked),
        cmocka_unit_test(truncation),
        cmocka_unit_test(advice),
        cmocka_unit_test(runs),
        cmocka_unit_test(who_has_seen_enough),
        cmocka_unit_test(split_moved_grown),
        cmocka_unit_test(w14_dense_draconian),
        cmocka_unit_test(w14_dense_cluster),
        cmocka_unit_test(w14_sparse),
        cmocka_unit_test(w15_all_but_one_locked),
        cmocka_unit_test(bug_16),
        cmocka_unit_test(bug_17),
        cmocka_unit_test(bug_29_cursor_starvation),
        cmocka_unit_test(records_only_where_needed),
        cmocka_unit_test(chains_are_refused),
        cmocka_unit_test(with_locks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
