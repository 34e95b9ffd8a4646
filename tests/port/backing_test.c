/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * backing_test.c - files and memory as backings: whole pages, short last pages, cutting and growing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <objrmap/posix.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096 };

static bool all(const unsigned char *data, size_t from, size_t to, unsigned char value) {
    for (size_t i = from; i < to; i++)
        if (data[i] != value)
            return false;
    return true;
}

/* A file of `bytes` times 'x', already unlinked. */
static int file_of_x(size_t bytes) {
    char name[] = "/tmp/objrmap-backing-XXXXXX";
    int descriptor = mkstemp(name);
    assert_true(descriptor >= 0);
    unlink(name);
    char *text = malloc(bytes + 1);
    assert_non_null(text);
    memset(text, 'x', bytes);
    assert_int_equal(write(descriptor, text, bytes), bytes);
    free(text);
    return descriptor;
}

static int64_t size_of(int descriptor) {
    struct stat status;
    assert_int_equal(fstat(descriptor, &status), 0);
    return status.st_size;
}

static void a_short_last_page_has_zeroes_behind_it(void **state) {
    (void)state;
    struct vm_backing *file = posix_file_adopt(file_of_x(PAGE + 100), POSIX_READ_ONLY);
    unsigned char data[PAGE];
    assert_int_equal(file->size(file), PAGE + 100);
    memset(data, 0xee, PAGE);
    assert_int_equal(file->read(file, 0, data), 0);
    assert_true(all(data, 0, PAGE, 'x'));
    memset(data, 0xee, PAGE);
    assert_int_equal(file->read(file, 1, data), 0);
    assert_true(all(data, 0, 100, 'x'));
    assert_true(all(data, 100, PAGE, 0));
    assert_null(file->write);
    file->close(file);
}

static void writing_never_changes_the_size(void **state) {
    (void)state;
    int descriptor = file_of_x(PAGE + 100);
    struct vm_backing *file = posix_file_adopt(descriptor, POSIX_READ_WRITE);
    unsigned char data[PAGE], back[PAGE];
    memset(data, 'y', PAGE);
    assert_int_equal(file->write(file, 1, data), 0);
    assert_int_equal(file->write(file, 2, data), 0);
    assert_int_equal(file->write(file, UINT64_C(1) << 50, data), 0);
    assert_int_equal(size_of(descriptor), PAGE + 100);
    assert_int_equal(file->read(file, 1, back), 0);
    assert_true(all(back, 0, 100, 'y'));
    assert_true(all(back, 100, PAGE, 0));

    assert_int_equal(posix_file_truncate(file, 3 * PAGE), 0);
    assert_int_equal(file->write(file, 2, data), 0);
    assert_int_equal(file->read(file, 2, back), 0);
    assert_true(all(back, 0, PAGE, 'y'));
    assert_int_equal(size_of(descriptor), 3 * PAGE);
    file->close(file);
    assert_int_equal(fcntl(descriptor, F_GETFD), -1);
}

static void a_file_that_cannot_be_opened_or_read_says_so(void **state) {
    (void)state;
    assert_null(posix_file_open("/nonexistent/file", POSIX_READ_ONLY));
    assert_int_equal(errno, ENOENT);
    struct vm_backing *directory = posix_file_open("/tmp", POSIX_READ_ONLY);
    assert_non_null(directory);
    unsigned char data[PAGE];
    assert_int_equal(directory->read(directory, 0, data), -EISDIR);
    directory->close(directory);
}

/* Pages lie anywhere in memory; those of the file are neighbours, the last one cut to its size. */
static void expect_runs_are_written(struct vm_backing *backing, unsigned pages) {
    enum { MOST = 200 };
    static unsigned char contents[MOST][PAGE];
    unsigned char back[PAGE];
    const void *data[MOST] = { NULL };

    for (unsigned i = 0; i < pages; i++) {
        data[i] = contents[(i * 7) % pages]; /* 7 does not divide them */
        memset(contents[(i * 7) % pages], 1 + (int)i, PAGE);
    }
    assert_int_equal(backing->write_run(backing, 1, pages, data), 0);
    assert_int_equal(backing->write_run(backing, 1, pages, NULL), 0); /* pretended */
    assert_int_equal(backing->read(backing, 0, back), 0);
    assert_true(all(back, 0, PAGE, 0));
    for (unsigned i = 0; i < pages; i++) {
        assert_int_equal(backing->read(backing, 1 + i, back), 0);
        assert_true(all(back, 0, 100, (unsigned char)(1 + i)));
        assert_true(all(back, 100, PAGE, i + 1 < pages ? (unsigned char)(1 + i) : 0));
    }
}

static void neighbours_are_written_at_once(void **state) {
    (void)state;
    char name[] = "/tmp/objrmap-backing-XXXXXX";
    int descriptor = mkstemp(name);
    assert_true(descriptor >= 0);
    unlink(name);
    assert_int_equal(ftruncate(descriptor, 150 * PAGE + 100), 0);
    struct vm_backing *file = posix_file_adopt(descriptor, POSIX_READ_WRITE);
    expect_runs_are_written(file, 150); /* more than one call of the system takes */
    assert_int_equal(file->size(file), 150 * PAGE + 100);
    file->close(file);

    struct vm_backing *memory = posix_memory_open(9 * PAGE + 100);
    const void *data[2] = { memory, memory };
    expect_runs_are_written(memory, 9);
    assert_int_equal(memory->write_run(memory, 9, 2, data),
                     -EIO); /* the second is beyond the end */
    memory->close(memory);

    struct vm_backing *read_only = posix_file_adopt(file_of_x(PAGE), POSIX_READ_ONLY);
    assert_null(read_only->write_run);
    read_only->close(read_only);
}

static void a_write_that_fails_is_an_error(void **state) {
    (void)state;
    /* A descriptor that does not allow writing fails like a broken device. */
    char name[] = "/tmp/objrmap-backing-XXXXXX";
    int descriptor = mkstemp(name);
    assert_true(descriptor >= 0);
    assert_int_equal(ftruncate(descriptor, PAGE), 0);
    int read_only = open(name, O_RDONLY);
    unlink(name);
    close(descriptor);
    unsigned char data[PAGE] = { 0 };
    struct vm_backing *file = posix_file_adopt(read_only, POSIX_READ_WRITE);
    const void *const run[] = { data, data };
    assert_int_equal(file->write(file, 0, data), -EBADF);
    assert_int_equal(file->write_run(file, 0, 2, run), -EBADF);
    file->close(file);
}

static void pretended_transfers_touch_nothing(void **state) {
    (void)state;
    struct vm_backing *file = posix_file_adopt(file_of_x(PAGE), POSIX_READ_WRITE);
    assert_int_equal(file->read(file, 0, NULL), 0);
    assert_int_equal(file->write(file, 0, NULL), 0);
    unsigned char data[PAGE];
    assert_int_equal(file->read(file, 0, data), 0);
    assert_true(all(data, 0, PAGE, 'x'));
    file->close(file);

    struct vm_backing *memory = posix_memory_open(PAGE);
    assert_int_equal(memory->read(memory, 0, NULL), 0);
    assert_int_equal(memory->write(memory, 0, NULL), 0);
    memory->close(memory);
}

/* 64 GiB: possible only because untouched pages cost nothing. */
static void memory_is_sparse_and_starts_as_zeroes(void **state) {
    (void)state;
    const uint64_t pages = UINT64_C(1) << 24;
    struct vm_backing *memory = posix_memory_open(pages * PAGE);
    assert_non_null(memory);
    assert_int_equal(memory->size(memory), pages * PAGE);
    unsigned char data[PAGE], back[PAGE];
    memset(data, 'm', PAGE);
    for (uint64_t page = 0; page < pages; page += pages / 8) {
        assert_int_equal(memory->write(memory, page, data), 0);
        assert_int_equal(memory->read(memory, page, back), 0);
        assert_memory_equal(data, back, PAGE);
        assert_int_equal(memory->read(memory, page + 1, back), 0);
        assert_true(all(back, 0, PAGE, 0));
    }
    assert_int_equal(memory->write(memory, pages, data), -EIO);
    assert_int_equal(memory->read(memory, pages, back), -EIO);
    assert_int_equal(memory->read(memory, UINT64_MAX, back), -EIO);
    memory->close(memory);
}

static void cut_memory_grows_back_as_zeroes(void **state) {
    (void)state;
    struct vm_backing *memory = posix_memory_open(4 * PAGE);
    unsigned char data[PAGE], back[PAGE];
    memset(data, 'm', PAGE);
    for (uint64_t page = 0; page < 4; page++)
        assert_int_equal(memory->write(memory, page, data), 0);
    assert_int_equal(posix_memory_truncate(memory, PAGE + 10), 0);
    assert_int_equal(memory->size(memory), PAGE + 10);
    assert_int_equal(memory->read(memory, 2, back), -EIO);
    assert_int_equal(posix_memory_truncate(memory, 100 * PAGE), 0);
    assert_int_equal(memory->read(memory, 0, back), 0);
    assert_true(all(back, 0, PAGE, 'm'));
    assert_int_equal(memory->read(memory, 1, back), 0);
    assert_true(all(back, 0, 10, 'm'));
    assert_true(all(back, 10, PAGE, 0));
    for (uint64_t page = 2; page < 100; page++) {
        assert_int_equal(memory->read(memory, page, back), 0);
        assert_true(all(back, 0, PAGE, 0));
    }
    memory->close(memory);
}

static void memory_may_be_empty(void **state) {
    (void)state;
    struct vm_backing *memory = posix_memory_open(0);
    assert_non_null(memory);
    unsigned char data[PAGE] = { 1 };
    assert_int_equal(memory->write(memory, 0, data), -EIO);
    assert_int_equal(posix_memory_truncate(memory, 1), 0);
    assert_int_equal(memory->write(memory, 0, data), 0);
    assert_int_equal(memory->read(memory, 0, data), 0);
    assert_int_equal(data[0], 1);
    assert_int_equal(posix_memory_truncate(memory, 0), 0);
    assert_int_equal(memory->read(memory, 0, data), -EIO);
    assert_null(posix_memory_open(UINT64_MAX));
    memory->close(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_last_page_has_zeroes_behind_it),
        cmocka_unit_test(writing_never_changes_the_size),
        cmocka_unit_test(a_file_that_cannot_be_opened_or_read_says_so),
        cmocka_unit_test(neighbours_are_written_at_once),
        cmocka_unit_test(a_write_that_fails_is_an_error),
        cmocka_unit_test(pretended_transfers_touch_nothing),
        cmocka_unit_test(memory_is_sparse_and_starts_as_zeroes),
        cmocka_unit_test(cut_memory_grows_back_as_zeroes),
        cmocka_unit_test(memory_may_be_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
