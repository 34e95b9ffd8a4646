/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What vm_machine_create() refuses, field by field, with the reason it names; the configurations right
 * at the border, which it must not refuse; and that the end of a machine ends what is left in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <objrmap/posix.h>
#include <objrmap/stats.h>
#include <objrmap/vm.h>

#define FRAMES 256

static struct posix_port posix;

static struct vm_machine_config sound(void) {
    posix_port_init(&posix, 64);
    return (struct vm_machine_config){ .port = &posix.port, .frames = FRAMES };
}

static void expect_refused_(const struct vm_machine_config *config, const char *field,
                            const char *file, int line) {
    struct vm_machine *machine = NULL;
    const char *why = NULL;

    _assert_true(vm_machine_create(config, &machine, &why) == VM_EINVAL, "refused", file, line);
    _assert_true(machine == NULL, "no machine", file, line);
    _assert_true(why && strncmp(why, field, strlen(field)) == 0, field, file, line);
    /* The reason is not needed. */
    _assert_true(vm_machine_create(config, &machine, NULL) == VM_EINVAL, "refused", file, line);
}

static void expect_made_(const struct vm_machine_config *config, const char *file, int line) {
    struct vm_machine *machine = NULL;
    const char *why = "";

    _assert_true(vm_machine_create(config, &machine, &why) == VM_OK, "made", file, line);
    _assert_true(why == NULL, "no reason", file, line);
    vm_machine_destroy(machine);
}

#define refused(field, ...)                                                                        \
    do {                                                                                           \
        struct vm_machine_config config = sound();                                                 \
        __VA_ARGS__;                                                                               \
        expect_refused_(&config, field ": ", __FILE__, __LINE__);                                  \
    } while (0)

#define made(...)                                                                                  \
    do {                                                                                           \
        struct vm_machine_config config = sound();                                                 \
        __VA_ARGS__;                                                                               \
        expect_made_(&config, __FILE__, __LINE__);                                                 \
    } while (0)

static void a_port_must_offer_the_basics(void **state) {
    (void)state;
    refused("port", config.port = NULL);
    refused("port", config.port->allocate = NULL);
    refused("port", config.port->release = NULL);
    refused("port", config.port->frames_reserve = NULL);
    refused("port", config.port->frames_release = NULL);
    refused("port", config.port->clock_ns = NULL);
    refused("port", config.port->panic = NULL);
}

static void several_cpus_need_more_of_a_port(void **state) {
    (void)state;
    made(config.port->cpu = NULL; config.port->relax = NULL; config.port->wait = NULL;
         config.port->wake = NULL);
    refused("port", config.cpus = 2; config.port->cpu = NULL);
    refused("port", config.cpus = 2; config.port->relax = NULL);
    refused("port", config.cpus = 2; config.port->wait = NULL);
    refused("port", config.cpus = 2; config.port->wake = NULL);
    made(config.cpus = 64);
    refused("cpus", config.cpus = 65);
}

static void memory_has_a_least_and_a_most(void **state) {
    (void)state;
    made(config.frames = 64);
    refused("frames", config.frames = 63);
    refused("frames", config.frames = (UINT64_C(1) << 30) + 1);
    made(config.nodes = 8);
    refused("nodes", config.nodes = 9); /* frames for eight */
    refused("nodes", config.nodes = 17; config.frames = 4096);
    made(config.low_frames = 16);
    made(config.low_frames = FRAMES);
    refused("low_frames", config.low_frames = 15);
    refused("low_frames", config.low_frames = FRAMES + 1);
    /* Low memory that ends inside a node, and where the next begins. */
    made(config.nodes = 2; config.low_frames = FRAMES / 2 + 20);
    made(config.nodes = 2; config.low_frames = FRAMES / 2);
}

static void add_zone(const struct vm_zone_view *zone, void *context) {
    char *names = context;
    strcat(names, zone->name);
    strcat(names, zone->node == 0 ? "0 " : "1 ");
}

static void zones_come_in_the_order_of_frames(void **state) {
    (void)state;
    struct vm_machine_config config = sound();
    struct vm_machine *machine;
    char names[64] = "";

    config.nodes = 2;
    config.low_frames = FRAMES / 2 + 20;
    assert_int_equal(vm_machine_create(&config, &machine, NULL), VM_OK);
    vm_zone_each(machine, add_zone, names);
    assert_string_equal(names, "low0 low1 high1 ");
    vm_machine_destroy(machine);
}

static void swap_needs_a_backing_that_reads_and_writes(void **state) {
    (void)state;
    struct vm_backing *swap = posix_memory_open(64 * VM_PAGE_SIZE);

    assert_non_null(swap);
    made(config.swap = swap; config.swap_pages = 64);
    made(config.swap = swap);
    refused("swap", config.swap_pages = 64);
    refused("swap_pages", config.swap = swap; config.swap_pages = (UINT64_C(1) << 31) + 1);

    struct vm_backing broken = *swap;
    broken.read = NULL;
    refused("swap", config.swap = &broken; config.swap_pages = 64);
    broken = *swap;
    broken.write = NULL;
    refused("swap", config.swap = &broken; config.swap_pages = 64);
    swap->close(swap);
}

static void numbers_out_of_range(void **state) {
    (void)state;
    made(config.swappiness = 100);
    made(config.swappiness = VM_SWAPPINESS_NONE);
    refused("swappiness", config.swappiness = 101);
    made(config.fault_around = 64);
    refused("fault_around", config.fault_around = 3);
    refused("fault_around", config.fault_around = 128);
    made(config.swap_readahead = 64);
    refused("swap_readahead", config.swap_readahead = 3);
    refused("swap_readahead", config.swap_readahead = 128);
}

static void names_of_designs_and_indexes(void **state) {
    (void)state;
    made(config.design = "anonmm");
    refused("design", config.design = "rmap");
    refused("file_index", config.file_index = "hash");
    /* The default design has no chains. */
    refused("chain_lock", config.chain_lock = VM_CHAIN_LOCK_GLOBAL);
    made(config.design = "pte-chain"; config.chain_lock = VM_CHAIN_LOCK_GLOBAL);
    refused("nonlinear", config.nonlinear = VM_NONLINEAR_CHAIN);
    made(config.design = "pte-chain"; config.nonlinear = VM_NONLINEAR_CHAIN);
    refused("nonlinear", config.nonlinear = (enum vm_nonlinear)99);
}

static void limits_that_are_told_are_kept(void **state) {
    (void)state;
    made(config.stack_limit = UINT64_C(16) << 20);
    made(config.area_limit = 10; config.address_limit = 1; config.lock_limit = 1);
    made(config.lock_stats = true);
}

/* A file of two pages of which only the size and the end are ever asked. */
struct quiet_file {
    struct vm_backing backing;
    int64_t size;
    unsigned closed;
};

static int64_t quiet_size(struct vm_backing *backing) {
    return ((struct quiet_file *)backing)->size;
}

static int quiet_read(struct vm_backing *backing, uint64_t page, void *data) {
    (void)backing;
    (void)page;
    memset(data, 0, VM_PAGE_SIZE);
    return 0;
}

static void quiet_close(struct vm_backing *backing) {
    ((struct quiet_file *)backing)->closed++;
}

static struct quiet_file quiet_file(void) {
    return (struct quiet_file){
        .backing = { .read = quiet_read, .size = quiet_size, .close = quiet_close },
        .size = 2 * VM_PAGE_SIZE,
    };
}

static void an_object_needs_a_backing_that_reads_and_has_a_size(void **state) {
    (void)state;
    struct vm_machine_config config = sound();
    struct vm_machine *machine;
    struct vm_object *object = NULL;
    struct quiet_file file = quiet_file();

    assert_int_equal(vm_machine_create(&config, &machine, NULL), VM_OK);
    assert_int_equal(vm_object_open(machine, NULL, 1, &object), VM_EINVAL);
    file.backing.read = NULL;
    assert_int_equal(vm_object_open(machine, &file.backing, 1, &object), VM_EINVAL);
    file = quiet_file();
    file.backing.size = NULL;
    assert_int_equal(vm_object_open(machine, &file.backing, 1, &object), VM_EINVAL);
    file = quiet_file();
    file.size = -1;
    assert_int_equal(vm_object_open(machine, &file.backing, 1, &object), VM_EIO);
    assert_null(object);
    assert_int_equal(file.closed, 0); /* it was never the machine's */
    vm_machine_destroy(machine);
}

/* References that nobody gives back, a mapping, and a backing whose end nobody wants to know. */
static void the_end_of_a_machine_closes_objects(void **state) {
    (void)state;
    struct vm_machine_config config = sound();
    struct quiet_file file = quiet_file(), careless = quiet_file();
    struct vm_machine *machine;
    struct vm_object *object;
    struct vm_space *space;
    uint64_t at;

    assert_int_equal(vm_machine_create(&config, &machine, NULL), VM_OK);
    assert_int_equal(vm_object_open(machine, &file.backing, 1, &object), VM_OK);
    assert_int_equal(vm_space_create(machine, 1, &space), VM_OK);
    assert_int_equal(vm_mmap(space, 0, 2 * VM_PAGE_SIZE, VM_PROT_READ,
                             VM_MAP_PRIVATE | VM_MAP_POPULATE, object, 0, &at),
                     VM_OK);
    vm_object_get(object);
    careless.backing.close = NULL;
    assert_int_equal(vm_object_open(machine, &careless.backing, 2, &object), VM_OK);
    assert_int_equal(vm_object_create_shm(machine, 1, 3, &object), VM_OK);
    vm_machine_destroy(machine);
    assert_int_equal(file.closed, 1);
    assert_int_equal(careless.closed, 0);
}

/* Without swap, only what nobody wants any more can be freed; without a flush there is nothing to flush. */
static void a_machine_without_swap_frees_what_is_given_up(void **state) {
    (void)state;
    enum { PAGES = 8 };
    struct vm_machine_config config = sound();
    struct vm_machine *machine;
    struct vm_space *space;
    uint64_t at;

    config.port->tlb_flush = NULL;
    assert_int_equal(vm_machine_create(&config, &machine, NULL), VM_OK);
    assert_int_equal(vm_space_create(machine, 1, &space), VM_OK);
    assert_int_equal(vm_mmap(space, 0, 2 * PAGES * VM_PAGE_SIZE, VM_PROT_READ | VM_PROT_WRITE,
                             VM_MAP_PRIVATE | VM_MAP_POPULATE, NULL, 0, &at),
                     VM_OK);
    assert_int_equal(vm_reclaim(machine, PAGES), 0);
    assert_int_equal(vm_madvise(space, at, PAGES * VM_PAGE_SIZE, VM_MADV_FREE), VM_OK);
    assert_int_equal(vm_reclaim(machine, 2 * PAGES), PAGES);
    assert_int_equal(vm_munmap(space, at, 2 * PAGES * VM_PAGE_SIZE), VM_OK);
    vm_machine_destroy(machine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_must_offer_the_basics),
        cmocka_unit_test(several_cpus_need_more_of_a_port),
        cmocka_unit_test(memory_has_a_least_and_a_most),
        cmocka_unit_test(zones_come_in_the_order_of_frames),
        cmocka_unit_test(swap_needs_a_backing_that_reads_and_writes),
        cmocka_unit_test(numbers_out_of_range),
        cmocka_unit_test(names_of_designs_and_indexes),
        cmocka_unit_test(limits_that_are_told_are_kept),
        cmocka_unit_test(an_object_needs_a_backing_that_reads_and_has_a_size),
        cmocka_unit_test(the_end_of_a_machine_closes_objects),
        cmocka_unit_test(a_machine_without_swap_frees_what_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
