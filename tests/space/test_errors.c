/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Error codes, a line each: what the mapping calls say to malformed, impossible and forbidden wishes,
 * and that they leave the space alone then.
 */
#include "world.h"

static struct world world;
static struct vm_backing *read_only, *writable;
static struct vm_object *ro, *rw;

#define LAST        (VM_ADDRESS_END - VM_PAGE_SIZE)
#define HUGE_LENGTH (UINT64_MAX - 100)

static int begin(void **state) {
    (void)state;
    begin_world(&world,
                (struct vm_machine_config){ .address_limit = PAGES(1000), .lock_limit = PAGES(8) });
    writable = posix_memory_open(PAGES(16));
    read_only = posix_memory_open(PAGES(16));
    read_only->write = NULL;
    succeeds(vm_object_open(world.machine, writable, 1, &rw));
    succeeds(vm_object_open(world.machine, read_only, 2, &ro));
    return 0;
}

static int end(void **state) {
    (void)state;
    vm_object_put(rw);
    vm_object_put(ro);
    end_world(&world);
    return 0;
}

static void expect_case(size_t number, int got, int expected) {
    if (got != expected)
        print_error("case %zu\n", number);
    expect(got, expected);
}

struct mmap_case {
    uint64_t address, length;
    unsigned protection, flags;
    struct vm_object **object;
    uint64_t pgoff;
    int result;
};

static void mmap_errors(void **state) {
    (void)state;
    const struct mmap_case cases[] = {
        { AT(0), PAGES(1), RW, VM_MAP_FIXED, NULL, 0, VM_EINVAL },
        { AT(0), PAGES(1), RW, VM_MAP_SHARED | VM_MAP_PRIVATE, NULL, 0, VM_EINVAL },
        { AT(0), PAGES(1), RW, PRIVATE | 1u << 20, NULL, 0, VM_EINVAL },
        { AT(0), PAGES(1), 8, PRIVATE, NULL, 0, VM_EINVAL },
        { AT(0), 0, RW, PRIVATE, NULL, 0, VM_EINVAL },
        { AT(0) + 1, PAGES(1), RW, PRIVATE, NULL, 0, VM_EINVAL },
        { AT(0) + 1, PAGES(1), RW, VM_MAP_PRIVATE | VM_MAP_FIXED_NOREPLACE, NULL, 0, VM_EINVAL },
        { AT(0), HUGE_LENGTH, RW, PRIVATE, NULL, 0, VM_ENOMEM },
        { AT(0), VM_ADDRESS_END, RW, PRIVATE, NULL, 0, VM_ENOMEM },
        { LAST, PAGES(2), RW, PRIVATE, NULL, 0, VM_ENOMEM },
        { 0, PAGES(1001), RW, VM_MAP_PRIVATE, NULL, 0, VM_ENOMEM }, /* address limit */
        { AT(20), PAGES(1), R, VM_MAP_PRIVATE | VM_MAP_FIXED_NOREPLACE, NULL, 0, VM_EEXIST },
        { AT(0), PAGES(9), RW, PRIVATE | VM_MAP_LOCKED, NULL, 0, VM_EAGAIN },
        { AT(0), PAGES(1), RW, SHARED | VM_MAP_GROWSDOWN, NULL, 0, VM_EINVAL },
        { AT(0), PAGES(1), RW, PRIVATE | VM_MAP_GROWSDOWN, &rw, 0, VM_EINVAL },
        { AT(0), PAGES(1), RW, SHARED, &ro, 0, VM_EACCES },
        { AT(0), PAGES(1), RW, SHARED, &rw, UINT64_MAX, VM_EOVERFLOW },
        { AT(0), PAGES(2), RW, SHARED, &rw, (UINT64_C(1) << 51) - 1, VM_EOVERFLOW },
    };
    map_private(&world, 20, 4, RW);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct mmap_case *c = &cases[i];
        uint64_t at = 42;
        int got = vm_mmap(world.space, c->address, c->length, c->protection, c->flags,
                          c->object ? *c->object : NULL, c->pgoff, &at);
        expect_case(i, got, c->result);
        assert_int_equal(at, 42);
        expect_drawing(&world, "....................wwww");
    }
    map_pages_(&world, 0, 1, R, SHARED, ro, 0);
    map_pages_(&world, 1, 1, RW, PRIVATE, ro, 0);
    /* A replaced mapping does not count against the limit. */
    map_private(&world, 100, 990, R);
    map_private(&world, 100, 990, RW);
}

struct range_case {
    uint64_t address, length;
    int result;
};

/* The first eight pages are "ww.rn..." in each. */
static void map_scene(void) {
    succeeds(vm_munmap(world.space, AT(0), PAGES(8)));
    map_drawing(&world, "ww.rn...");
}

static void munmap_errors(void **state) {
    (void)state;
    const struct range_case cases[] = {
        { AT(0) + 1, PAGES(1), VM_EINVAL },
        { AT(0), 0, VM_EINVAL },
        { AT(0), HUGE_LENGTH, VM_EINVAL },
        { LAST, PAGES(2), VM_EINVAL },
        { LAST, PAGES(1), VM_OK },
        { AT(5), PAGES(3), VM_OK },
        { AT(0), 1, VM_OK },
        { AT(0), PAGES(8), VM_OK },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        map_scene();
        expect(vm_munmap(world.space, cases[i].address, cases[i].length), cases[i].result);
        if (cases[i].result)
            expect_drawing(&world, "ww.r|n...");
    }
    expect_drawing(&world, "........");
}

static void mprotect_errors(void **state) {
    (void)state;
    map_scene();
    expect(vm_mprotect(world.space, AT(0) + 1, 1, R), VM_EINVAL);
    expect(vm_mprotect(world.space, AT(0), PAGES(1), 16), VM_EINVAL);
    expect(vm_mprotect(world.space, AT(0), HUGE_LENGTH, R), VM_ENOMEM);
    expect(vm_mprotect(world.space, AT(2), PAGES(1), R), VM_ENOMEM);
    succeeds(vm_mprotect(world.space, AT(2), 0, R));
    expect_drawing(&world, "ww.r|n...");
    /* What lies before the hole is changed, what lies behind is not. */
    expect(vm_mprotect(world.space, AT(1), PAGES(4), RX), VM_ENOMEM);
    expect_drawing(&world, "w|x.r|n...");
    map_pages_(&world, 0, 2, R, SHARED, ro, 0);
    expect(vm_mprotect(world.space, AT(0), PAGES(2), RW), VM_EACCES);
    succeeds(vm_mprotect(world.space, AT(0), PAGES(2), RX));
    map_pages_(&world, 0, 2, R, SHARED, rw, 0);
    succeeds(vm_mprotect(world.space, AT(0), PAGES(2), RW));
    expect_drawing(&world, "WW.r|n...");
}

static void mremap_errors(void **state) {
    (void)state;
    enum { MOVE = VM_MREMAP_MAYMOVE, FIXED = VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED };
    const struct {
        uint64_t from, old_length, new_length;
        unsigned flags;
        uint64_t to;
        int result;
    } cases[] = {
        { AT(0), PAGES(1), PAGES(1), 64, 0, VM_EINVAL },
        { AT(0) + 1, PAGES(1), PAGES(1), 0, 0, VM_EINVAL },
        { AT(0), PAGES(1), 0, 0, 0, VM_EINVAL },
        { AT(0), PAGES(1), UINT64_C(1) << 50, MOVE, 0, VM_EINVAL },
        { AT(0), PAGES(1), PAGES(1), VM_MREMAP_FIXED, AT(10), VM_EINVAL },
        { AT(0), PAGES(1), PAGES(1), FIXED, AT(10) + 1, VM_EINVAL },
        { AT(0), PAGES(2), PAGES(2), FIXED, AT(1), VM_EINVAL },
        { AT(0), PAGES(1), PAGES(2), FIXED, LAST, VM_EINVAL },
        { AT(0), PAGES(1), PAGES(2), MOVE | VM_MREMAP_DONTUNMAP, 0, VM_EINVAL },
        { AT(0), 0, PAGES(1), MOVE, 0, VM_EINVAL }, /* private memory has no duplicate */
        { AT(2), PAGES(1), PAGES(1), 0, 0, VM_EFAULT },
        { AT(0), PAGES(3), PAGES(4), MOVE, 0, VM_EFAULT },
        { AT(3), PAGES(2), PAGES(3), MOVE, 0, VM_EFAULT },
        { AT(3), PAGES(1), PAGES(2), 0, 0, VM_ENOMEM },
        { AT(0), PAGES(2), PAGES(2000), MOVE, 0, VM_ENOMEM },
        { AT(0), PAGES(1), PAGES(1), 0, 0, VM_OK },
    };
    map_scene();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t at;
        int got = vm_mremap(world.space, cases[i].from, cases[i].old_length, cases[i].new_length,
                            cases[i].flags, cases[i].to, &at);
        expect_case(i, got, cases[i].result);
        expect_drawing(&world, "ww.r|n...");
    }
    uint64_t at;
    succeeds(vm_mlock(world.space, AT(0), PAGES(2)));
    expect(vm_mremap(world.space, AT(0), PAGES(2), PAGES(9), MOVE, 0, &at), VM_EAGAIN);
}

static void madvise_errors(void **state) {
    (void)state;
    map_scene();
    expect(vm_madvise(world.space, AT(0) + 1, PAGES(1), VM_MADV_DONTNEED), VM_EINVAL);
    expect(vm_madvise(world.space, AT(0), HUGE_LENGTH, VM_MADV_DONTNEED), VM_EINVAL);
    expect(vm_madvise(world.space, AT(0), PAGES(1), (enum vm_advice)99), VM_EINVAL);
    expect(vm_madvise(world.space, AT(0), PAGES(3), VM_MADV_COLD), VM_ENOMEM);
    expect(vm_madvise(world.space, AT(2), PAGES(1), VM_MADV_WILLNEED), VM_ENOMEM);
    succeeds(vm_madvise(world.space, AT(2), 0, VM_MADV_DONTNEED));
    /* All mapped parts are advised, behind the hole too. */
    fill(&world, 0, 1, 5);
    expect(vm_madvise(world.space, AT(0), PAGES(8), VM_MADV_DONTFORK), VM_ENOMEM);
    succeeds(vm_madvise(world.space, AT(3), PAGES(2), VM_MADV_DOFORK));
    expect(vm_madvise(world.space, AT(0), PAGES(4), VM_MADV_DONTNEED), VM_ENOMEM);
    assert_int_equal(value_at(&world, 0), 0);
    succeeds(vm_mlock(world.space, AT(0), PAGES(1)));
    expect(vm_madvise(world.space, AT(0), PAGES(1), VM_MADV_DONTNEED), VM_EINVAL);
    expect(vm_madvise(world.space, AT(0), PAGES(1), VM_MADV_FREE), VM_EINVAL);
    expect(vm_madvise(world.space, AT(0), PAGES(1), VM_MADV_PAGEOUT), VM_EINVAL);
    succeeds(vm_madvise(world.space, AT(0), PAGES(1), VM_MADV_WILLNEED));
    succeeds(vm_madvise(world.space, AT(0), 0, VM_MADV_DONTNEED));
    map_pages_(&world, 6, 1, RW, PRIVATE, rw, 0);
    expect(vm_madvise(world.space, AT(6), PAGES(1), VM_MADV_FREE), VM_EINVAL);
}

static void mlock_errors(void **state) {
    (void)state;
    map_scene();
    expect(vm_mlock(world.space, AT(0), PAGES(9)), VM_ENOMEM); /* the limit */
    assert_int_equal(world.space->locked_pages, 0);
    expect(vm_mlock(world.space, AT(1), PAGES(3)), VM_ENOMEM); /* the hole */
    assert_int_equal(world.space->locked_pages, 1);
    expect(vm_munlock(world.space, AT(0), PAGES(3)), VM_ENOMEM);
    assert_int_equal(world.space->locked_pages, 0);
    expect(vm_mlock(world.space, AT(4), PAGES(1)), VM_ENOMEM); /* nothing may be touched there */
    expect(vm_mlock(world.space, AT(0), HUGE_LENGTH), VM_EINVAL);
    succeeds(vm_munlock(world.space, AT(4), PAGES(1)));
    succeeds(vm_mlock(world.space, AT(0) + 100, VM_PAGE_SIZE)); /* rounded to two pages */
    assert_int_equal(world.space->locked_pages, 2);
    map_private(&world, 8, 8, RW);
    expect(vm_mlock(world.space, AT(8), PAGES(7)), VM_ENOMEM);
    succeeds(vm_mlock(world.space, AT(8), PAGES(6)));
    succeeds(vm_mlock(world.space, AT(8), PAGES(6))); /* already locked pages count once */
    map_private(&world, 20, 2, NONE);
    succeeds(vm_mlock(world.space, AT(21), 0)); /* no page at all */
}

static void msync_and_mincore_errors(void **state) {
    (void)state;
    unsigned char resident[8];
    map_scene();
    expect(vm_msync(world.space, AT(0) + 1, 1, VM_MS_SYNC), VM_EINVAL);
    expect(vm_msync(world.space, AT(0), 1, 8), VM_EINVAL);
    expect(vm_msync(world.space, AT(0), 1, VM_MS_SYNC | VM_MS_ASYNC), VM_EINVAL);
    expect(vm_msync(world.space, AT(0), PAGES(3), VM_MS_SYNC), VM_ENOMEM);
    expect(vm_msync(world.space, AT(0), HUGE_LENGTH, VM_MS_SYNC), VM_ENOMEM);
    succeeds(vm_msync(world.space, AT(0), PAGES(2), 0));
    succeeds(vm_msync(world.space, AT(2), 0, VM_MS_SYNC));
    succeeds(vm_mlock(world.space, AT(0), PAGES(1)));
    expect(vm_msync(world.space, AT(0), 1, VM_MS_INVALIDATE), VM_EBUSY);
    succeeds(vm_msync(world.space, AT(0), 0, VM_MS_INVALIDATE));
    expect(vm_mincore(world.space, AT(0) + 1, 1, resident), VM_EINVAL);
    expect(vm_mincore(world.space, AT(0), PAGES(3), resident), VM_ENOMEM);
    succeeds(vm_mincore(world.space, AT(2), 0, resident));
    succeeds(vm_mincore(world.space, AT(0), PAGES(2), resident));
    assert_memory_equal(resident, "\1\0", 2);
}

static void remap_file_pages_errors(void **state) {
    (void)state;
    map_scene();
    map_pages_(&world, 5, 2, RW, SHARED, NULL, 0);
    expect(vm_remap_file_pages(world.space, AT(0), PAGES(1), 0), VM_EINVAL); /* private */
    expect(vm_remap_file_pages(world.space, AT(2), PAGES(1), 0), VM_EINVAL);
    expect(vm_remap_file_pages(world.space, AT(5), PAGES(3), 0), VM_EINVAL); /* beyond its end */
    expect(vm_remap_file_pages(world.space, AT(5), 0, 0), VM_EINVAL);
    expect(vm_remap_file_pages(world.space, AT(5), PAGES(1), UINT64_MAX), VM_EINVAL);
    expect_drawing(&world, "ww.r|n|WW.");
}

#define error_test(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        error_test(mmap_errors),
        error_test(munmap_errors),
        error_test(mprotect_errors),
        error_test(mremap_errors),
        error_test(madvise_errors),
        error_test(mlock_errors),
        error_test(msync_and_mincore_errors),
        error_test(remap_file_pages_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
