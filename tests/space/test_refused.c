/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each call again and again, with its first record refused, its second, and so on; then each frame, each
 * block, each page read from swap and each page written there. Whatever the call says, the space is in
 * order afterwards, and when nothing has been refused it succeeds.
 *
 * tests/faults does so along a random life; these are the calls, and states, that it comes to by luck.
 */
#include "world.h"

#include "vm/frame/cache.h"
#include "vm/frame/frame.h"

enum { MANY = 70 };

enum kind { RECORD, FRAME, BLOCK, SWAP_READ, SWAP_WRITE, KINDS };

/* The call number `at` of this kind is refused, while `armed`. */
static struct {
    bool armed;
    enum kind kind;
    uint64_t at, calls;
    void *(*allocate)(struct vm_port *port, size_t bytes, size_t alignment);
    struct vm_backing swap;
} gate;

static bool refuses(enum kind kind) {
    return gate.armed && kind == gate.kind && gate.calls++ == gate.at;
}

/* The linker's: __wrap_f takes the calls of f, __real_f is f. */
void *__real_vm_cache_allocate(struct vm_machine *machine, struct vm_cache *cache);
void *__wrap_vm_cache_allocate(struct vm_machine *machine, struct vm_cache *cache);
struct vm_page *__real_vm_frame_alloc(struct vm_machine *machine, enum vm_frame_want want);
struct vm_page *__wrap_vm_frame_alloc(struct vm_machine *machine, enum vm_frame_want want);
struct vm_page *__real_vm_frame_alloc_table(struct vm_machine *machine);
struct vm_page *__wrap_vm_frame_alloc_table(struct vm_machine *machine);

void *__wrap_vm_cache_allocate(struct vm_machine *machine, struct vm_cache *cache) {
    return refuses(RECORD) ? NULL : __real_vm_cache_allocate(machine, cache);
}

struct vm_page *__wrap_vm_frame_alloc(struct vm_machine *machine, enum vm_frame_want want) {
    return refuses(FRAME) ? NULL : __real_vm_frame_alloc(machine, want);
}

struct vm_page *__wrap_vm_frame_alloc_table(struct vm_machine *machine) {
    return refuses(FRAME) ? NULL : __real_vm_frame_alloc_table(machine);
}

static void *allocate(struct vm_port *port, size_t bytes, size_t alignment) {
    return refuses(BLOCK) ? NULL : gate.allocate(port, bytes, alignment);
}

static int read_page(struct vm_backing *backing, uint64_t page, void *data) {
    return refuses(SWAP_READ) ? -1 : gate.swap.read(backing, page, data);
}

static int write_page(struct vm_backing *backing, uint64_t page, const void *data) {
    return refuses(SWAP_WRITE) ? -1 : gate.swap.write(backing, page, data);
}

static struct world world;

static void begin(const char *design, enum vm_nonlinear nonlinear) {
    begin_world(&world, (struct vm_machine_config){ .design = design, .nonlinear = nonlinear });
    gate.allocate = world.posix.port.allocate;
    world.posix.port.allocate = allocate;
    gate.swap = *world.swap;
    world.swap->read = read_page;
    world.swap->write = write_page;
}

/* ---------------------------------------------------------------- the calls */

static void pages_out(unsigned page, unsigned count) {
    succeeds(vm_madvise(world.space, AT(page), PAGES(count), VM_MADV_PAGEOUT));
}

static void some_pages(void) {
    map_private(&world, 0, 6, RW);
    fill(&world, 0, 6, 30);
}

static void pages_in_swap(void) {
    some_pages();
    pages_out(0, 6);
}

static void shared_pages(void) {
    map_pages_(&world, 0, 6, RW, SHARED, NULL, 0);
    fill(&world, 0, 6, 30);
}

static void shared_pages_in_swap(void) {
    shared_pages();
    pages_out(0, 6);
}

/* 0 1 4 5 4 5, where the design and the machine can do that with one area. */
static void rearranged_pages(void) {
    shared_pages();
    succeeds(vm_remap_file_pages(world.space, AT(2), PAGES(2), 4));
}

/* What is rearranged forgets advice, so it becomes an area of its own in any case. */
static void advised_pages(void) {
    shared_pages();
    succeeds(vm_madvise(world.space, AT(0), PAGES(6), VM_MADV_DONTFORK));
}

/* The object's ten pages, but those from `first` on, which are an area less and then one again. */
static void map_apart(unsigned first, unsigned count, unsigned rearranged, unsigned pgoff) {
    map_pages_(&world, 0, 10, RW, SHARED, NULL, 0);
    struct vm_object *object = vm_area_at(world.space, AT(0))->object;
    vm_object_get(object);
    succeeds(vm_munmap(world.space, AT(first), PAGES(count)));
    succeeds(vm_remap_file_pages(world.space, AT(rearranged), PAGES(2), pgoff));
    map_pages_(&world, first, count, RW, SHARED, object, first);
    vm_object_put(object);
}

/* 0 1 2 3 as mapped, 4 5 0 1 8 9 beside it. */
static void linear_then_rearranged(void) {
    map_apart(0, 4, 6, 0);
}

/* 0 3 4 3 4 5, and 6 7 8 9 beside it. */
static void rearranged_then_linear(void) {
    map_apart(6, 4, 1, 3);
}

/* Across two tables, neither of which is there. */
static void pages_of_two_tables(void) {
    map_pages_(&world, 508, 8, RW, SHARED, NULL, 0);
}

static void areas_side_by_side(void) {
    map_drawing(&world, "wwrrww");
    fill(&world, 0, 2, 30);
}

/* More than are brought in at a time. */
static void many_pages_in_swap(void) {
    map_private(&world, 0, MANY, RW);
    fill(&world, 0, MANY, 30);
    pages_out(0, MANY);
}

static void several_areas(void) {
    map_drawing(&world, "ww.rr");
    fill(&world, 0, 2, 30);
}

static void relatives(void) {
    struct vm_space *child;
    some_pages();
    succeeds(vm_fork(world.space, 2, &child));
}

static int lock_a_part(void) {
    return vm_mlock(world.space, AT(2), PAGES(2));
}

static int lock_across_areas(void) {
    return vm_mlock(world.space, AT(1), PAGES(4));
}

static int flag_across_areas(void) {
    return vm_madvise(world.space, AT(1), PAGES(4), VM_MADV_DONTFORK);
}

static int protect_a_part(void) {
    return vm_mprotect(world.space, AT(2), PAGES(2), R);
}

static int flag_a_part(void) {
    return vm_madvise(world.space, AT(2), PAGES(2), VM_MADV_DONTFORK);
}

static int map_over_a_part(void) {
    uint64_t at;
    return vm_mmap(world.space, AT(2), PAGES(2), R, PRIVATE, NULL, 0, &at);
}

static int map_shared(void) {
    uint64_t at;
    return vm_mmap(world.space, AT(20), PAGES(2), RW, SHARED, NULL, 0, &at);
}

static int move_all(void) {
    uint64_t at;
    return vm_mremap(world.space, AT(0), PAGES(5), PAGES(5), VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED,
                     AT(1000), &at);
}

static int leave_a_part_behind(void) {
    uint64_t at;
    return vm_mremap(world.space, AT(2), PAGES(2), PAGES(2),
                     VM_MREMAP_MAYMOVE | VM_MREMAP_DONTUNMAP, AT(1000), &at);
}

static int leave_all_behind(void) {
    uint64_t at;
    return vm_mremap(world.space, AT(0), PAGES(6), PAGES(6),
                     VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED | VM_MREMAP_DONTUNMAP, AT(1000), &at);
}

static int move_and_shrink(void) {
    uint64_t at;
    return vm_mremap(world.space, AT(2), PAGES(4), PAGES(2), VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED,
                     AT(1000), &at);
}

static int grow_elsewhere(void) {
    uint64_t at;
    return vm_mremap(world.space, AT(2), PAGES(2), PAGES(20), VM_MREMAP_MAYMOVE, 0, &at);
}

static int grow_first(void) {
    uint64_t at;
    return vm_mremap(world.space, AT(0), PAGES(4), PAGES(20), VM_MREMAP_MAYMOVE, 0, &at);
}

static int grow_last(void) {
    uint64_t at;
    return vm_mremap(world.space, AT(6), PAGES(4), PAGES(20), VM_MREMAP_MAYMOVE, 0, &at);
}

static int rearrange_across_areas(void) {
    return vm_remap_file_pages(world.space, AT(1), PAGES(8), 2);
}

static int rearrange_across_tables(void) {
    return vm_remap_file_pages(world.space, AT(510), PAGES(4), 0);
}

static int rearrange(void) {
    return vm_remap_file_pages(world.space, AT(1), PAGES(3), 2);
}

static int fork_child(void) {
    struct vm_space *child;
    return vm_fork(world.space, 3, &child);
}

static int make_space(void) {
    struct vm_space *space;
    return vm_space_create(world.machine, 9, &space);
}

/* Failing to read ahead is no failure of the call. */
static int read_ahead(void) {
    return vm_madvise(world.space, AT(0), PAGES(6), VM_MADV_WILLNEED);
}

static int read_many_ahead(void) {
    return vm_madvise(world.space, AT(0), PAGES(MANY), VM_MADV_WILLNEED);
}

static int push_out(void) {
    return vm_madvise(world.space, AT(0), PAGES(6), VM_MADV_PAGEOUT);
}

static int write_all(void) {
    return vm_touch(world.space, AT(0), 6, VM_WRITE, NULL);
}

static int read_all(void) {
    return vm_touch(world.space, AT(0), 6, VM_READ, NULL);
}

static int peek(void) {
    uint32_t value;
    return vm_peek(world.space, AT(3) + 8, &value, sizeof value);
}

static const struct {
    void (*scene)(void);
    int (*call)(void);
} cases[] = {
    { some_pages, lock_a_part },
    { some_pages, protect_a_part },
    { some_pages, flag_a_part },
    { some_pages, map_over_a_part },
    { some_pages, map_shared },
    { some_pages, move_all },
    { some_pages, leave_a_part_behind },
    { some_pages, move_and_shrink },
    { some_pages, grow_elsewhere },
    { some_pages, fork_child },
    { some_pages, make_space },
    { some_pages, push_out },
    { relatives, write_all },
    { relatives, move_all },
    { relatives, grow_elsewhere },
    { several_areas, move_all },
    { areas_side_by_side, lock_across_areas },
    { areas_side_by_side, flag_across_areas },
    { many_pages_in_swap, read_many_ahead },
    { pages_of_two_tables, rearrange_across_tables },
    { linear_then_rearranged, rearrange_across_areas },
    { linear_then_rearranged, grow_first },
    { rearranged_then_linear, grow_last },
    { pages_in_swap, read_ahead },
    { pages_in_swap, write_all },
    { pages_in_swap, read_all },
    { pages_in_swap, peek },
    { pages_in_swap, fork_child },
    { shared_pages, push_out },
    { shared_pages, rearrange },
    { advised_pages, rearrange },
    { shared_pages_in_swap, read_ahead },
    { shared_pages_in_swap, write_all },
    { shared_pages_in_swap, peek },
    { rearranged_pages, rearrange },
    { rearranged_pages, protect_a_part },
    { rearranged_pages, lock_a_part },
    { rearranged_pages, leave_a_part_behind },
    { rearranged_pages, leave_all_behind },
    { rearranged_pages, move_and_shrink },
    { rearranged_pages, grow_elsewhere },
    { rearranged_pages, fork_child },
    { rearranged_pages, push_out },
};

enum { CASES = sizeof cases / sizeof cases[0] };

/* ---------------------------------------------------------------- the loop */

static bool is_refusal(int result) {
    return result == VM_ENOMEM || result == VM_OOM || result == VM_EAGAIN || result == VM_EIO ||
           result == VM_SIGBUS;
}

/* Returns whether there was such a call to refuse. */
static bool refuse_one(size_t number, enum kind kind, uint64_t at, const char *design,
                       enum vm_nonlinear nonlinear) {
    begin(design, nonlinear);
    cases[number].scene();
    gate.kind = kind;
    gate.at = at;
    gate.calls = 0;
    gate.armed = true;
    int result = cases[number].call();
    gate.armed = false;
    bool refused = gate.calls > at;
    if (refused ? result != VM_OK && !is_refusal(result) : result != VM_OK)
        fail_msg("case %zu, kind %d, call %d, %s: %s", number, (int)kind, (int)at, design,
                 vm_result_text(result));
    check_world(&world);
    vm_machine_destroy(world.machine);
    world.swap->close(world.swap);
    return refused;
}

static void refuse_all(const char *design, enum vm_nonlinear nonlinear) {
    uint64_t refused[KINDS] = { 0 };

    for (size_t number = 0; number < CASES; number++)
        for (enum kind kind = 0; kind < KINDS; kind++)
            for (uint64_t at = 0; refuse_one(number, kind, at, design, nonlinear); at++)
                refused[kind]++;
    for (enum kind kind = 0; kind < KINDS; kind++)
        assert_true(refused[kind] > 0);
}

static void designs_by_areas(void **state) {
    (void)state;
    refuse_all("anon-vma", VM_NONLINEAR_EMULATE);
    refuse_all("anon-vma", VM_NONLINEAR_CLUSTER);
    refuse_all("anon-vma-chain", VM_NONLINEAR_EMULATE);
    refuse_all("anon-vma-direct", VM_NONLINEAR_EMULATE);
    refuse_all("anonmm", VM_NONLINEAR_DRACONIAN);
}

static void designs_by_entries(void **state) {
    (void)state;
    refuse_all("pte-chain", VM_NONLINEAR_EMULATE);
    refuse_all("pte-chain", VM_NONLINEAR_CHAIN);
    refuse_all("objrmap-partial", VM_NONLINEAR_CHAIN);
    refuse_all("virtual-scan", VM_NONLINEAR_DRACONIAN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(designs_by_areas),
        cmocka_unit_test(designs_by_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
