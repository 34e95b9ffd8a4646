/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exhausted_test.c - memory and swap are full, really: every call that needs a frame ends with a clear
 * result, on every design; no page is lost, and when something is let go of the same calls succeed.
 */
#include "migration/stage.h"

enum { PAGES = 60, HOG = 4096 };

#define HOARD UINT64_C(0x40000000)

struct exhausted {
    struct vm_space *space, *hog;
    uint64_t hoarded; /* pages of the hog's that hold their numbers */
};

/* Some pages of the space's, then all that is left, memory and swap, for a hog. */
static struct exhausted exhaust(struct stage *stage) {
    struct exhausted e = { .space = new_space(stage, 1), .hog = new_space(stage, 2) };

    map(e.space, AT, PAGES, RW, VM_MAP_PRIVATE, NULL, 0);
    put_words(e.space, AT, PAGES / 2, 500);
    map(e.hog, HOARD, HOG, RW, VM_MAP_PRIVATE, NULL, 0);
    for (; e.hoarded < HOG; e.hoarded++)
        if (vm_write(e.hog, HOARD + e.hoarded * PAGE, &e.hoarded, sizeof e.hoarded) != VM_OK)
            break;
    assert_true(e.hoarded > stage->machine->config.swap_pages);
    assert_true(e.hoarded < HOG);
    return e;
}

static int write_one(struct vm_space *space, uint64_t address) {
    uint64_t word = 9;
    return vm_write(space, address, &word, sizeof word);
}

/* What cannot be served says so, twice, and changes nothing. */
static void calls_fail(struct stage *stage, struct exhausted *e) {
    struct vm_space *child = NULL;
    uint64_t result, free_page = AT + (PAGES / 2 + 1) * PAGE;

    for (unsigned twice = 0; twice < 2; twice++) {
        assert_int_equal(write_one(e->hog, HOARD + e->hoarded * PAGE), VM_OOM);
        int error = vm_fork(e->hog, 3, &child);
        assert_true(error == VM_OOM || error == VM_ENOMEM);
        assert_null(child);
        assert_int_equal(vm_mlock(e->hog, HOARD, HOG * PAGE), VM_EAGAIN);
        assert_int_equal(vm_munlock(e->hog, HOARD, HOG * PAGE), VM_OK);
        assert_int_equal(write_one(e->space, free_page), VM_OOM);
        assert_int_equal(vm_mmap(e->space, OTHER, 16 * PAGE, RW,
                                 VM_MAP_PRIVATE | VM_MAP_FIXED | VM_MAP_POPULATE, NULL, 0, &result),
                         VM_OK); /* populating is a wish */
        assert_int_equal(vm_munmap(e->space, OTHER, 16 * PAGE), VM_OK);
        error = vm_mremap(e->space, AT, PAGES * PAGE, PAGES * PAGE,
                          VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, OTHER, &result);
        assert_true(error == VM_OK || error == VM_ENOMEM);
        if (error == VM_OK) /* one frame was to be had, for the table */
            assert_int_equal(vm_mremap(e->space, OTHER, PAGES * PAGE, PAGES * PAGE,
                                       VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, AT, &result),
                             VM_OK);
        stage_check(stage);
    }
}

/* Reading what is there may be refused when it is in swap and nothing else can go there, but is never
 * something else. */
static void expect_words_or_oom(struct vm_space *space, uint64_t address, uint64_t pages,
                                uint64_t first) {
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t word = 0;
        int error = vm_read(space, address + i * PAGE, &word, sizeof word);
        assert_true(error == VM_OOM || (error == VM_OK && word == first + i));
    }
}

static void nothing_is_lost(struct stage *stage) {
    struct exhausted e = exhaust(stage);
    struct vm_space *child;

    calls_fail(stage, &e);
    expect_words_or_oom(e.space, AT, PAGES / 2, 500);
    expect_words_or_oom(e.hog, HOARD, e.hoarded, 0);
    stage_check(stage);

    assert_int_equal(vm_munmap(e.hog, HOARD, e.hoarded / 2 * PAGE), VM_OK);
    uint64_t kept = e.hoarded / 2;
    expect_words(e.hog, HOARD + kept * PAGE, e.hoarded - kept, kept);
    expect_words(e.space, AT, PAGES / 2, 500);
    assert_int_equal(write_one(e.space, AT + (PAGES / 2 + 1) * PAGE), VM_OK);
    assert_int_equal(vm_fork(e.space, 3, &child), VM_OK);
    expect_words(child, AT, PAGES / 2, 500);
    assert_int_equal(vm_exec(e.hog), VM_OK);
    vm_exit(child);
    vm_exit(e.hog);
    vm_exit(e.space);
}

static void on_every_small_design(void **state) {
    (void)state;
    for (size_t i = 0; i < design_count; i++) {
        struct stage stage;
        print_message("    %s\n", designs[i]);
        stage_open_as(&stage, (struct vm_machine_config){
                                  .design = designs[i], .frames = 256, .swap_pages = 700 });
        nothing_is_lost(&stage);
        stage_close(&stage);
    }
}

int main(void) {
    vm_design_each(note_design, NULL);
    const struct CMUnitTest tests[] = { cmocka_unit_test(on_every_small_design) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
