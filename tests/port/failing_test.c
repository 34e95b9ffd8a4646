/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * failing_test.c - failures come exactly where the plan says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <objrmap/posix.h>

#include "posix/failing.h"

/* Which of ten allocations succeed, as a row: 'o' or '-'. */
static const char *row_of_allocations(enum failing_when when, uint64_t at) {
    static char row[11];
    struct posix_port posix;
    struct failing_port failing;
    posix_port_init(&posix, 1);
    failing_port_init(&failing, &posix.port);
    failing_plan_set(&failing.allocate, when, at);
    for (int i = 0; i < 10; i++) {
        void *block = failing.port.allocate(&failing.port, 64, 16);
        row[i] = block ? 'o' : '-';
        if (block)
            failing.port.release(&failing.port, block, 64);
    }
    assert_int_equal(atomic_load(&failing.allocate.calls), 10);
    return row;
}

static void allocations_fail_as_planned(void **state) {
    (void)state;
    assert_string_equal(row_of_allocations(FAIL_NEVER, 0), "oooooooooo");
    assert_string_equal(row_of_allocations(FAIL_ONCE, 0), "-ooooooooo");
    assert_string_equal(row_of_allocations(FAIL_ONCE, 4), "oooo-ooooo");
    assert_string_equal(row_of_allocations(FAIL_FROM_THERE_ON, 7), "ooooooo---");
}

static void frames_fail_by_their_own_plan(void **state) {
    (void)state;
    struct posix_port posix;
    struct failing_port failing;
    posix_port_init(&posix, 1);
    failing_port_init(&failing, &posix.port);
    failing_plan_set(&failing.frames, FAIL_ONCE, 0);
    assert_null(failing.port.frames_reserve(&failing.port, 4096));
    void *frames = failing.port.frames_reserve(&failing.port, 4096);
    assert_non_null(frames);
    failing.port.frames_release(&failing.port, frames, 4096);
    assert_int_equal(atomic_load(&failing.frames.failed), 1);
    assert_int_equal(atomic_load(&failing.allocate.calls), 0);
}

static void what_the_inner_port_leaves_out_stays_out(void **state) {
    (void)state;
    struct posix_port posix;
    struct failing_port failing;
    posix_port_init(&posix, 1);
    failing_port_init(&failing, &posix.port);
    assert_null(failing.port.wait);
    posix_port_init(&posix, 2);
    failing_port_init(&failing, &posix.port);
    posix_cpu_set(1);
    assert_int_equal(failing.port.cpu(&failing.port), 1);
    posix_cpu_set(0);
    _Atomic uint32_t word = 1;
    failing.port.wait(&failing.port, &word, 0);
    failing.port.wake(&failing.port, &word);
    failing.port.relax(&failing.port);
    assert_true(failing.port.clock_ns(&failing.port) > 0);
}

static void transfers_fail_as_planned(void **state) {
    (void)state;
    struct failing_backing failing;
    failing_backing_init(&failing, posix_memory_open(8 * 4096));
    struct vm_backing *backing = &failing.backing;
    char data[4096] = "kept";
    failing_plan_set(&failing.write, FAIL_ONCE, 1);
    assert_int_equal(backing->write(backing, 0, data), 0);
    assert_true(backing->write(backing, 0, "lost") < 0);
    failing_plan_set(&failing.read, FAIL_FROM_THERE_ON, 1);
    assert_int_equal(backing->read(backing, 0, data), 0);
    assert_string_equal(data, "kept");
    assert_true(backing->read(backing, 0, data) < 0);
    assert_true(backing->read(backing, 0, data) < 0);
    assert_int_equal(backing->size(backing), 8 * 4096);
    backing->close(backing);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_fail_as_planned),
        cmocka_unit_test(frames_fail_by_their_own_plan),
        cmocka_unit_test(what_the_inner_port_leaves_out_stays_out),
        cmocka_unit_test(transfers_fail_as_planned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
