/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_model.c - the model against what the manual pages say, example by example.
 *
 * One page is one letter in the pictures; versions written are small numbers.
 */
#include "model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { RW = VM_PROT_READ | VM_PROT_WRITE, FILE_OBJECT = 0, SHM_OBJECT = 1, ANONYMOUS = -1 };

#define PAGE(n) ((uint64_t)(n) << VM_PAGE_SHIFT)

/* Process 0, a file of 8 pages with id 42, and shared memory of 4 pages. */
static int setup(void **state) {
    struct model *model = model_create();
    model_process_begin(model, 0);
    model_object_declare(model, FILE_OBJECT, 42, true, 8);
    model_object_declare(model, SHM_OBJECT, 43, false, 4);
    *state = model;
    return 0;
}

static int teardown(void **state) {
    model_destroy(*state);
    return 0;
}

static void map(struct model *model, uint32_t process, uint64_t first, uint64_t pages, bool shared,
                int object, uint64_t pgoff) {
    struct model_mapping mapping = { PAGE(first), PAGE(first + pages), RW,
                                     shared,      (uint32_t)object,    pgoff };
    model_map(model, process, &mapping);
}

static void write(struct model *model, uint32_t process, uint64_t page, uint64_t version) {
    assert_int_equal(model_view(model, process, PAGE(page), VM_WRITE).outcome, VM_OK);
    model_write(model, process, PAGE(page) + 8, version);
}

static void expect(struct model *model, uint32_t process, uint64_t page, uint64_t version) {
    struct model_view view = model_view(model, process, PAGE(page) + 17, VM_READ);
    assert_int_equal(view.outcome, VM_OK);
    assert_int_equal(view.version, version);
}

static void expect_outcome(struct model *model, uint32_t process, uint64_t page,
                           enum vm_access access, int outcome) {
    assert_int_equal(model_view(model, process, PAGE(page), access).outcome, outcome);
}

static void test_anonymous(void **state) {
    struct model *model = *state;
    map(model, 0, 10, 4, false, ANONYMOUS, 0);
    expect(model, 0, 10, 0);
    write(model, 0, 11, 1);
    expect(model, 0, 11, 1);
    expect_outcome(model, 0, 9, VM_READ, VM_SIGSEGV);
    expect_outcome(model, 0, 14, VM_READ, VM_SIGSEGV);
    map(model, 0, 11, 1, false, ANONYMOUS, 0); /* a new mapping is new memory */
    expect(model, 0, 11, 0);
    model_unmap(model, 0, PAGE(12), PAGE(13));
    expect_outcome(model, 0, 12, VM_READ, VM_SIGSEGV);
    expect(model, 0, 13, 0);
}

static void test_fork(void **state) {
    struct model *model = *state;
    map(model, 0, 10, 2, false, ANONYMOUS, 0);
    map(model, 0, 20, 2, true, ANONYMOUS, 0);
    write(model, 0, 10, 1);
    write(model, 0, 20, 2);
    model_fork(model, 0, 1);
    expect(model, 1, 10, 1);
    write(model, 1, 10, 3);
    write(model, 0, 11, 4);
    write(model, 1, 21, 5);
    expect(model, 0, 10, 1);
    expect(model, 1, 10, 3);
    expect(model, 1, 11, 0);
    expect(model, 0, 21, 5);
    model_exit(model, 0);
    expect(model, 1, 20, 2);
    model_exec(model, 1);
    expect_outcome(model, 1, 20, VM_READ, VM_SIGSEGV);
}

static void test_dontfork(void **state) {
    struct model *model = *state;
    map(model, 0, 10, 4, false, ANONYMOUS, 0);
    write(model, 0, 11, 1);
    model_advise(model, 0, PAGE(11), PAGE(13), VM_MADV_DONTFORK);
    model_advise(model, 0, PAGE(12), PAGE(13), VM_MADV_DOFORK);
    model_fork(model, 0, 1);
    expect_outcome(model, 1, 11, VM_READ, VM_SIGSEGV);
    expect(model, 1, 12, 0);
    map(model, 1, 11, 1, false, ANONYMOUS, 0);
    expect(model, 1, 11, 0);
}

static void test_file(void **state) {
    struct model *model = *state;
    map(model, 0, 10, 4, false, FILE_OBJECT, 2);
    map(model, 0, 20, 4, true, FILE_OBJECT, 2);
    expect(model, 0, 10, stamp_of_file(42, 2));
    expect(model, 0, 23, stamp_of_file(42, 5));
    write(model, 0, 21, 1); /* a shared page: seen by the private mapping that has no copy */
    expect(model, 0, 11, 1);
    write(model, 0, 11, 2);
    write(model, 0, 21, 3);
    expect(model, 0, 11, 2);
    model_advise(model, 0, PAGE(10), PAGE(24), VM_MADV_DONTNEED);
    expect(model, 0, 11, 3); /* the copy is gone, the file's page is not */
}

static void test_truncate(void **state) {
    struct model *model = *state;
    map(model, 0, 10, 8, false, FILE_OBJECT, 0);
    map(model, 0, 30, 8, true, FILE_OBJECT, 0);
    write(model, 0, 12, 1); /* private copies, one on each side of the cut */
    write(model, 0, 15, 2);
    write(model, 0, 33, 3);
    write(model, 0, 36, 4);
    model_object_resize(model, FILE_OBJECT, 4);
    expect(model, 0, 12, 1);
    expect(model, 0, 33, 3);
    expect_outcome(model, 0, 15, VM_READ, VM_SIGBUS);
    expect_outcome(model, 0, 36, VM_WRITE, VM_SIGBUS);
    model_object_resize(model, FILE_OBJECT, 8);
    expect(model, 0, 15, 0);
    expect(model, 0, 36, 0);
    expect(model, 0, 37, 0);
    expect(model, 0, 30, stamp_of_file(42, 0));
}

static void test_protect(void **state) {
    struct model *model = *state;
    map(model, 0, 10, 2, false, ANONYMOUS, 0);
    map(model, 0, 13, 2, false, ANONYMOUS, 0);
    /* AA-AA: up to the hole */
    model_protect(model, 0, PAGE(11), PAGE(15), VM_PROT_NONE, VM_ENOMEM);
    expect(model, 0, 10, 0);
    expect_outcome(model, 0, 11, VM_READ, VM_SIGSEGV);
    expect(model, 0, 13, 0);
    model_protect(model, 0, PAGE(12), PAGE(15), VM_PROT_NONE, VM_ENOMEM);
    expect(model, 0, 13, 0);
    model_protect(model, 0, PAGE(13), PAGE(14), VM_PROT_READ, VM_OK);
    expect_outcome(model, 0, 13, VM_WRITE, VM_SIGSEGV);
    expect_outcome(model, 0, 13, VM_READ, VM_OK);
    expect_outcome(model, 0, 14, VM_WRITE, VM_OK);
    model_protect(model, 0, PAGE(13), PAGE(15), VM_PROT_WRITE, VM_OK);
    expect(model, 0, 14, 0); /* what can be written can be read */
}

static void test_move(void **state) {
    struct model *model = *state;
    map(model, 0, 10, 4, false, ANONYMOUS, 0);
    map(model, 0, 21, 4, true, FILE_OBJECT, 0);
    for (uint64_t page = 10; page < 14; page++)
        write(model, 0, page, page);
    /* 2 pages to where a file is, as 3 */
    model_move(model, 0, PAGE(11), PAGE(2), PAGE(20), PAGE(3));
    expect(model, 0, 10, 10);
    expect_outcome(model, 0, 11, VM_READ, VM_SIGSEGV);
    expect_outcome(model, 0, 12, VM_READ, VM_SIGSEGV);
    expect(model, 0, 13, 13);
    expect(model, 0, 20, 11);
    expect(model, 0, 21, 12);
    expect(model, 0, 22, 0);
    expect(model, 0, 23, stamp_of_file(42, 2));
    /* in place: shrink, then grow */
    model_move(model, 0, PAGE(20), PAGE(3), PAGE(20), PAGE(1));
    expect_outcome(model, 0, 21, VM_READ, VM_SIGSEGV);
    model_move(model, 0, PAGE(20), PAGE(1), PAGE(20), PAGE(2));
    expect(model, 0, 20, 11);
    expect(model, 0, 21, 0);
}

static void test_move_file(void **state) {
    struct model *model = *state;
    map(model, 0, 10, 4, true, FILE_OBJECT, 1);
    model_move(model, 0, PAGE(11), PAGE(2), PAGE(30), PAGE(4));
    expect(model, 0, 30, stamp_of_file(42, 2));
    expect(model, 0, 33, stamp_of_file(42, 5));
    model_move(model, 0, PAGE(31), 0, PAGE(40), PAGE(2)); /* a second mapping of the same */
    expect(model, 0, 31, stamp_of_file(42, 3));
    write(model, 0, 31, 9);
    expect(model, 0, 40, 9);
    expect(model, 0, 41, stamp_of_file(42, 4));
}

static void test_rearrange(void **state) {
    struct model *model = *state;
    map(model, 0, 10, 4, true, SHM_OBJECT, 0);
    for (uint64_t page = 10; page < 14; page++)
        write(model, 0, page, page);
    model_rearrange(model, 0, PAGE(11), PAGE(13), 2);
    expect(model, 0, 10, 10);
    expect(model, 0, 11, 12);
    expect(model, 0, 12, 13);
    expect(model, 0, 13, 13);
}

static void test_madv_free(void **state) {
    struct model *model = *state;
    map(model, 0, 10, 3, false, ANONYMOUS, 0);
    write(model, 0, 10, 1);
    write(model, 0, 11, 2);
    model_advise(model, 0, PAGE(10), PAGE(13), VM_MADV_FREE);
    assert_true(model_view(model, 0, PAGE(10), VM_READ).may_be_discarded);
    write(model, 0, 10, 3);
    assert_false(model_view(model, 0, PAGE(10), VM_READ).may_be_discarded);
    assert_false(model_view(model, 0, PAGE(12), VM_READ).may_be_discarded);
    model_fork(model, 0, 1);
    assert_true(model_view(model, 1, PAGE(11), VM_READ).may_be_discarded);
    write(model, 1, 11, 4);
    assert_true(model_view(model, 0, PAGE(11), VM_READ).may_be_discarded);
}

/* Growing shared anonymous memory does not make it larger than it was made. */
static void test_shared_anonymous_end(void **state) {
    struct model *model = *state;
    map(model, 0, 10, 2, true, ANONYMOUS, 0);
    model_move(model, 0, PAGE(10), PAGE(2), PAGE(10), PAGE(4));
    expect(model, 0, 11, 0);
    expect_outcome(model, 0, 12, VM_READ, VM_SIGBUS);
}

static void test_private_copy_ahead(void **state) {
    struct model *model = *state;
    map(model, 0, 10, 1, false, SHM_OBJECT, 0);
    map(model, 0, 20, 1, true, SHM_OBJECT, 0);
    assert_true(model_view(model, 0, PAGE(10), VM_READ).private_file);
    model_copy_privately(model, 0, PAGE(10));
    assert_false(model_view(model, 0, PAGE(10), VM_READ).private_file);
    write(model, 0, 20, 1);
    expect(model, 0, 10, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_anonymous),
        CASE(test_fork),
        CASE(test_dontfork),
        CASE(test_file),
        CASE(test_truncate),
        CASE(test_protect),
        CASE(test_move),
        CASE(test_move_file),
        CASE(test_rearrange),
        CASE(test_madv_free),
        CASE(test_shared_anonymous_end),
        CASE(test_private_copy_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
