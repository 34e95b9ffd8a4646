/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * creation_test.c - no memory for a machine, at every allocation of its creation; and two failures that
 * the lab's traces cannot say, since sizes there are whole pages: truncation across a page that is
 * in swap, and one across a page that no frame can be had for.
 */
#include "port/posix/failing.h"

#include <objrmap/posix.h>
#include <objrmap/rmap.h>
#include <objrmap/vm.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define PAGE VM_PAGE_SIZE
#define AT   UINT64_C(0x200000)

/* A port that knows what it has handed out. */
struct counting_port {
    struct posix_port posix;
    void *(*allocate)(struct vm_port *port, size_t bytes, size_t alignment);
    void (*release)(struct vm_port *port, void *block, size_t bytes);
    uint64_t blocks, bytes;
};

static void *allocate(struct vm_port *port, size_t bytes, size_t alignment) {
    struct counting_port *counting = (struct counting_port *)port;
    void *block = counting->allocate(port, bytes, alignment);
    counting->blocks += block != NULL;
    counting->bytes += block ? bytes : 0;
    return block;
}

static void release(struct vm_port *port, void *block, size_t bytes) {
    struct counting_port *counting = (struct counting_port *)port;
    counting->blocks--;
    counting->bytes -= bytes;
    counting->release(port, block, bytes);
}

static void counting_port_init(struct counting_port *counting) {
    *counting = (struct counting_port){ 0 };
    posix_port_init(&counting->posix, 2);
    counting->allocate = counting->posix.port.allocate;
    counting->release = counting->posix.port.release;
    counting->posix.port.allocate = allocate;
    counting->posix.port.release = release;
}

/* ---------------------------------------------------------------- creation */

static int create_and_destroy(struct vm_machine_config *config, struct failing_port *failing) {
    struct vm_machine *machine = NULL;

    config->port = &failing->port;
    int result = vm_machine_create(config, &machine, NULL);
    if (result == VM_OK)
        vm_machine_destroy(machine);
    return result;
}

static void fail_each_allocation(struct vm_machine_config *config) {
    struct counting_port counting;
    struct failing_port failing;
    uint64_t refused = 0;

    counting_port_init(&counting);
    failing_port_init(&failing, &counting.posix.port);
    for (int result = VM_ENOMEM; result != VM_OK; refused++) {
        assert_true(refused < 1000);
        failing_plan_set(&failing.allocate, FAIL_ONCE, refused);
        result = create_and_destroy(config, &failing);
        assert_true(result == VM_OK || result == VM_ENOMEM);
        assert_int_equal(counting.blocks, 0);
        assert_int_equal(counting.bytes, 0);
    }
    assert_true(refused > 5);

    failing_plan_set(&failing.allocate, FAIL_NEVER, 0);
    failing_plan_set(&failing.frames, FAIL_ONCE, 0);
    assert_int_equal(create_and_destroy(config, &failing), VM_ENOMEM);
    assert_int_equal(counting.blocks, 0);
}

static void create_design(const struct vm_design_info *design, void *context) {
    struct vm_backing *swap = context;
    struct vm_machine_config config = { .frames = 256,
                                        .nodes = 2,
                                        .low_frames = 64,
                                        .design = design->name,
                                        .nonlinear = VM_NONLINEAR_CLUSTER,
                                        .swap = swap,
                                        .swap_pages = 64 };
    fail_each_allocation(&config);
    config.cpus = 2; /* caches have more to allocate */
    fail_each_allocation(&config);
}

static void creation_fails_and_leaves_nothing(void **state) {
    struct vm_backing *swap = posix_memory_open(64 * PAGE);

    (void)state;
    vm_design_each(create_design, swap);
    swap->close(swap);
}

/* ---------------------------------------------------------------- truncation within a page */

/* Shared memory of two pages, both written and in swap. */
struct stage {
    struct posix_port posix;
    struct failing_backing swap;
    struct vm_machine *machine;
    struct vm_space *space;
    struct vm_object *object;
};

static void stage_open(struct stage *stage) {
    uint64_t where;

    *stage = (struct stage){ 0 };
    posix_port_init(&stage->posix, 1);
    failing_backing_init(&stage->swap, posix_memory_open(512 * PAGE));
    struct vm_machine_config config = {
        .port = &stage->posix.port, .frames = 64, .swap = &stage->swap.backing, .swap_pages = 512
    };
    assert_int_equal(vm_machine_create(&config, &stage->machine, NULL), VM_OK);
    assert_int_equal(vm_object_create_shm(stage->machine, 2 * PAGE, 1, &stage->object), VM_OK);
    assert_int_equal(vm_space_create(stage->machine, 1, &stage->space), VM_OK);
    assert_int_equal(vm_mmap(stage->space, AT, 2 * PAGE, VM_PROT_READ | VM_PROT_WRITE,
                             VM_MAP_SHARED | VM_MAP_FIXED, stage->object, 0, &where),
                     VM_OK);
    assert_int_equal(vm_write(stage->space, AT + 100, "first", 5), VM_OK);
    assert_int_equal(vm_write(stage->space, AT + PAGE + 100, "second", 6), VM_OK);
    assert_true(vm_reclaim(stage->machine, 1000) >= 2);
    assert_int_equal(vm_frame_at(stage->space, AT + PAGE), VM_NO_FRAME);
}

static void stage_close(struct stage *stage) {
    vm_object_put(stage->object);
    vm_machine_destroy(stage->machine);
    stage->swap.backing.close(&stage->swap.backing);
}

static void expect_contents(struct stage *stage, uint64_t address, const char *wanted,
                            size_t bytes) {
    char found[8] = { 0 };

    assert_int_equal(vm_read(stage->space, address, found, bytes), VM_OK);
    assert_memory_equal(found, wanted, bytes);
}

/* Size and contents are as before; and then the same call succeeds. */
static void expect_unchanged_then_cut(struct stage *stage) {
    assert_int_equal(vm_object_size(stage->object), 2 * PAGE);
    assert_int_equal(vm_verify(stage->machine, NULL, NULL), 0);
    expect_contents(stage, AT + 100, "first", 5);
    expect_contents(stage, AT + PAGE + 100, "second", 6);
    assert_int_equal(vm_object_truncate(stage->object, PAGE + 102), VM_OK);
    assert_int_equal(vm_object_truncate(stage->object, 2 * PAGE), VM_OK);
    expect_contents(stage, AT + PAGE + 100, "se\0\0\0\0", 6);
}

static void truncation_meets_a_failed_read(void **state) {
    struct stage stage;

    (void)state;
    stage_open(&stage);
    failing_plan_set(&stage.swap.read, FAIL_ONCE, 0);
    assert_int_equal(vm_object_truncate(stage.object, PAGE + 102), VM_EIO);
    expect_unchanged_then_cut(&stage);
    stage_close(&stage);
}

/* All frames but a few are locked in memory by a space that cannot get more. */
static void truncation_finds_no_frame(void **state) {
    struct stage stage;
    struct vm_space *hog;
    uint64_t where, touched = 0;

    (void)state;
    stage_open(&stage);
    assert_int_equal(vm_space_create(stage.machine, 2, &hog), VM_OK);
    assert_int_equal(vm_mmap(hog, AT, 100 * PAGE, VM_PROT_READ | VM_PROT_WRITE,
                             VM_MAP_PRIVATE | VM_MAP_FIXED, NULL, 0, &where),
                     VM_OK);
    assert_int_equal(vm_mlock(hog, AT, 100 * PAGE), VM_EAGAIN);
    assert_int_equal(vm_touch(hog, AT, 100, VM_WRITE, &touched), VM_OOM);
    assert_true(touched > 32);
    assert_int_equal(vm_object_truncate(stage.object, PAGE + 102), VM_OOM);
    vm_exit(hog);
    expect_unchanged_then_cut(&stage);
    stage_close(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creation_fails_and_leaves_nothing),
        cmocka_unit_test(truncation_meets_a_failed_read),
        cmocka_unit_test(truncation_finds_no_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
