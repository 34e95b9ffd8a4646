/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bugs_test.c - bugs that reverse maps have had, each tried on every design that is built in. The
 * numbers are those of docs/bugs.md, which also tells what was taken out to see each test fail.
 */
#include "rmap/rig.h"

#include "port/posix/failing.h"

#include "vm/rmap/design.h"

#define AT   UINT64_C(0x100000)
#define HIGH UINT64_C(0x7ffff0000000)

enum { MOST = 32 };

static const char *designs[MOST];
static size_t design_count;

static void note_design(const struct vm_design_info *info, void *context) {
    (void)context;
    assert_true(design_count < MOST);
    designs[design_count++] = info->name;
}

/* Each test is one machine's; it is run on one machine of each design. */
typedef void bug_test(struct rig *rig);

static void on_every_design(void **state) {
    bug_test *test = *(bug_test **)*state;
    for (size_t i = 0; i < design_count; i++) {
        print_message("    %s\n", designs[i]);
        struct rig *rig = rig_create(designs[i], 4096);
        test(rig);
        rig_verify(rig);
        rig_destroy(rig);
    }
}

/* ---------------------------------------------------------------- shorthand */

struct places {
    struct vm_space *space[8];
    uint64_t address[8];
    unsigned count;
};

static void note_place(const struct vm_mapped_at *place, void *context) {
    struct places *places = context;
    if (places->count < 8) {
        places->space[places->count] = place->space;
        places->address[places->count] = place->address;
    }
    places->count++;
}

static bool is_among(const struct places *places, const struct vm_space *space, uint64_t address) {
    for (unsigned i = 0; i < places->count && i < 8; i++)
        if (places->space[i] == space && places->address[i] == address)
            return true;
    return false;
}

static struct places places_of(struct rig *rig, struct vm_space *space, uint64_t address) {
    struct places places = { .count = 0 };
    uint64_t frame = vm_frame_at(space, address);
    assert_int_not_equal(frame, VM_NO_FRAME);
    vm_page_mappings(rig->machine, frame, note_place, &places);
    return places;
}

static void expect_here_only(struct rig *rig, struct vm_space *space, uint64_t address) {
    struct places places = places_of(rig, space, address);
    assert_int_equal(places.count, 1);
    assert_true(is_among(&places, space, address));
}

static void expect_in_both(struct rig *rig, struct vm_space *one, uint64_t at_one,
                           struct vm_space *other, uint64_t at_other) {
    struct places places = places_of(rig, one, at_one);
    assert_int_equal(places.count, 2);
    assert_true(is_among(&places, one, at_one));
    assert_true(is_among(&places, other, at_other));
}

static void read_pages(struct vm_space *space, uint64_t address, uint64_t pages) {
    assert_int_equal(vm_touch(space, address, pages, VM_READ, NULL), VM_OK);
}

static void protect(struct vm_space *space, uint64_t address, uint64_t pages, unsigned protection) {
    assert_int_equal(vm_mprotect(space, address, pages * PAGE, protection), VM_OK);
}

static void move(struct vm_space *space, uint64_t from, uint64_t pages, uint64_t to) {
    uint64_t result;
    assert_int_equal(vm_mremap(space, from, pages * PAGE, pages * PAGE,
                               VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, to, &result),
                     VM_OK);
}

static void put(struct vm_space *space, uint64_t address, uint32_t value) {
    assert_int_equal(vm_write(space, address, &value, sizeof value), VM_OK);
}

static uint32_t get(struct vm_space *space, uint64_t address) {
    uint32_t value = 0;
    assert_int_equal(vm_read(space, address, &value, sizeof value), VM_OK);
    return value;
}

/* "anonmm" gives each space its own copy of a page that moves. */
static bool copies_moved_pages(const struct rig *rig) {
    return vm_rmap_wants_one_address(rig->machine);
}

/* ---------------------------------------------------------------- areas and offsets */

/* 3: offsets in bytes where offsets in pages are meant, in what a cut leaves. High addresses, so that
 * nothing fits by chance. */
static void bug_3_offsets_are_in_pages(struct rig *rig) {
    struct vm_space *parent = rig_space(rig, 1);
    rig_map(parent, HIGH, 32, NULL);
    rig_touch(parent, HIGH, 32);
    protect(parent, HIGH + 9 * PAGE, 6, VM_PROT_READ);
    struct vm_space *child = rig_fork(parent, 2);
    assert_int_equal(vm_munmap(child, HIGH + 20 * PAGE, PAGE), VM_OK);
    for (unsigned i = 0; i < 32; i++)
        if (i == 20)
            expect_here_only(rig, parent, HIGH + i * PAGE);
        else
            expect_in_both(rig, parent, HIGH + i * PAGE, child, HIGH + i * PAGE);
    move(child, HIGH + 9 * PAGE, 6, AT);
    if (!copies_moved_pages(rig))
        expect_in_both(rig, parent, HIGH + 11 * PAGE, child, AT + 2 * PAGE);
}

/* 4: an area is cut in two, and pages in one half go on naming the other. */
static void bug_4_pages_follow_their_half(struct rig *rig) {
    struct vm_space *space = rig_space(rig, 1);
    rig_map(space, AT, 9, NULL);
    rig_touch(space, AT, 9);
    protect(space, AT + 3 * PAGE, 3, VM_PROT_READ);
    for (unsigned i = 0; i < 9; i++)
        expect_here_only(rig, space, AT + i * PAGE);
    assert_int_equal(vm_munmap(space, AT, 3 * PAGE), VM_OK);
    for (unsigned i = 3; i < 9; i++)
        expect_here_only(rig, space, AT + i * PAGE);
    assert_int_equal(vm_reclaim(rig->machine, 1000), 6);
    for (unsigned i = 3; i < 9; i++)
        assert_int_equal(vm_frame_at(space, AT + i * PAGE), VM_NO_FRAME);
}

/* 5: neighbours become one though their pages are found in different ways, or their offsets do not
 * meet. Two families side by side, and then two pieces of one in the wrong order. */
static void bug_5_only_what_belongs_together_merges(struct rig *rig) {
    struct vm_space *space = rig_space(rig, 1);
    rig_map(space, AT, 2, NULL);
    rig_touch(space, AT, 2);
    rig_map(space, AT + 3 * PAGE, 2, NULL);
    rig_touch(space, AT + 3 * PAGE, 2);
    struct vm_space *child = rig_fork(space, 2);
    rig_map(space, AT + 2 * PAGE, 1, NULL); /* between the two */
    rig_touch(space, AT + 2 * PAGE, 1);
    for (unsigned i = 0; i < 5; i++)
        if (i != 2)
            expect_in_both(rig, space, AT + i * PAGE, child, AT + i * PAGE);
    rig_verify(rig);
    vm_exit(child);

    move(space, AT, 2, AT + 40 * PAGE);
    move(space, AT + 3 * PAGE, 2, AT + 38 * PAGE);
    for (unsigned i = 38; i < 42; i++)
        expect_here_only(rig, space, AT + i * PAGE);
    rig_verify(rig);
    struct vm_object *object;
    assert_int_equal(vm_object_create_shm(rig->machine, 8 * PAGE, 1, &object), VM_OK);
    uint64_t result;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(vm_mmap(space, AT + (100 + i) * PAGE, PAGE, RW,
                                 VM_MAP_SHARED | VM_MAP_FIXED, object, 3 - i, &result),
                         VM_OK);
    rig_touch(space, AT + 100 * PAGE, 4);
    assert_int_equal(space->area_count >= 6, true);
    for (unsigned i = 0; i < 4; i++)
        expect_here_only(rig, space, AT + (100 + i) * PAGE);
    vm_object_put(object);
}

/* 6: two areas name the same anon_vma and merge, but one is linked to ancestors that the other is
 * not. A child's inherited area and a new one beside it, which must not come to be alike; then what
 * the two kinds of areas show to a grandchild. */
static void bug_6_equal_names_mean_equal_chains(struct rig *rig) {
    struct vm_space *parent = rig_space(rig, 1);
    rig_map(parent, AT + 3 * PAGE, 3, NULL);
    rig_touch(parent, AT + 3 * PAGE, 3);
    struct vm_space *child = rig_fork(parent, 2);
    uint64_t result; /* mapped like this, or it would be one with its neighbour at once */
    assert_int_equal(vm_mmap(child, AT, 3 * PAGE, RW | VM_PROT_EXEC, VM_MAP_PRIVATE | VM_MAP_FIXED,
                             NULL, 0, &result),
                     VM_OK);
    rig_touch(child, AT, 1);
    rig_verify(rig);
    protect(child, AT, 3, RW); /* alike now */
    struct vm_space *grandchild = rig_fork(child, 3);
    vm_exit(parent);
    rig_verify(rig);
    expect_in_both(rig, child, AT + 4 * PAGE, grandchild, AT + 4 * PAGE);
    expect_in_both(rig, child, AT, grandchild, AT);
    vm_exit(child);
    for (unsigned i = 3; i < 6; i++)
        expect_here_only(rig, grandchild, AT + i * PAGE);
}

/* 13: a stack grows downwards under a fault, and its key changes where it stands. Relatives' stacks
 * are of different sizes then. */
static void bug_13_a_stack_grows_in_place(struct rig *rig) {
    struct vm_space *parent = rig_space(rig, 1);
    uint64_t top = HIGH, result;
    assert_int_equal(vm_mmap(parent, top - 2 * PAGE, 2 * PAGE, RW,
                             VM_MAP_PRIVATE | VM_MAP_FIXED | VM_MAP_GROWSDOWN, NULL, 0, &result),
                     VM_OK);
    rig_touch(parent, top - 2 * PAGE, 2);
    struct vm_space *children[4];
    for (unsigned i = 0; i < 4; i++) {
        children[i] = rig_fork(parent, 10 + i);
        rig_touch(children[i], top - (4 + 8 * i) * PAGE, 2 + 8 * i);
        rig_touch(parent, top - (4 + 3 * i) * PAGE, 1);
        rig_verify(rig);
    }
    struct places places = places_of(rig, parent, top - PAGE);
    assert_int_equal(places.count, 5);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(is_among(&places, children[i], top - PAGE));
        expect_here_only(rig, children[i], top - (4 + 8 * i) * PAGE);
    }
}

/* 18: a private mapping of a file is listed both with the file and with private memory. What a page
 * is decides where to look; after a write it is another page at the same place. */
static void bug_18_a_private_copy_is_not_the_files(struct rig *rig) {
    struct vm_space *one = rig_space(rig, 1), *other = rig_space(rig, 2);
    struct vm_object *object;
    uint64_t result;
    assert_int_equal(vm_object_create_shm(rig->machine, 16 * PAGE, 1, &object), VM_OK);
    assert_int_equal(
        vm_mmap(one, AT, 8 * PAGE, RW, VM_MAP_PRIVATE | VM_MAP_FIXED, object, 4, &result), VM_OK);
    rig_map(other, AT, 16, object);
    rig_touch(other, AT, 16);
    read_pages(one, AT, 8);
    expect_in_both(rig, one, AT, other, AT + 4 * PAGE);
    rig_touch(one, AT, 1);
    expect_here_only(rig, one, AT);
    expect_here_only(rig, other, AT + 4 * PAGE);
    expect_in_both(rig, one, AT + PAGE, other, AT + 5 * PAGE);
    struct vm_space *child = rig_fork(one, 3);
    expect_in_both(rig, one, AT, child, AT);
    put(other, AT + 4 * PAGE, 77);
    assert_int_equal(vm_reclaim(rig->machine, 4000) >= 17, true);
    assert_int_equal(get(child, AT), get(one, AT));
    assert_int_equal(get(other, AT + 4 * PAGE), 77);
    vm_object_put(object);
}

/* ---------------------------------------------------------------- swap */

/* 7: a page comes back from swap to a child that soon goes, and names what goes with it. */
static void bug_7_a_page_outlives_who_brought_it_back(struct rig *rig) {
    struct vm_space *parent = rig_space(rig, 1);
    rig_map(parent, AT, 4, NULL);
    rig_touch(parent, AT, 4);
    struct vm_space *child = rig_fork(parent, 2), *sibling = rig_fork(parent, 3);
    vm_reclaim(rig->machine, 4000);
    assert_int_equal(vm_frame_at(parent, AT), VM_NO_FRAME);
    read_pages(child, AT, 4);
    read_pages(parent, AT, 4);
    expect_in_both(rig, parent, AT, child, AT);
    vm_exit(child);
    expect_here_only(rig, parent, AT);
    read_pages(sibling, AT, 4);
    vm_exit(parent);
    expect_here_only(rig, sibling, AT);
}

/* 21: a page in memory has a slot of swap as well; its offset must stay the area's, whatever the slot's
 * number. Some relatives have entries for the slot, others for the page. */
static void bug_21_a_slot_is_no_offset(struct rig *rig) {
    struct vm_space *parent = rig_space(rig, 1);
    rig_map(parent, HIGH, 16, NULL);
    for (uint32_t i = 0; i < 16; i++)
        put(parent, HIGH + i * PAGE, 100 + i);
    struct vm_space *child = rig_fork(parent, 2);
    vm_reclaim(rig->machine, 4000);
    read_pages(child, HIGH, 16);
    for (unsigned i = 0; i < 16; i++) /* the parent has slots */
        expect_here_only(rig, child, HIGH + i * PAGE);
    rig_verify(rig);
    vm_reclaim(rig->machine, 4000); /* in the same slots again */
    assert_int_equal(vm_frame_at(child, HIGH), VM_NO_FRAME);
    read_pages(parent, HIGH, 8);
    read_pages(child, HIGH, 16);
    expect_in_both(rig, parent, HIGH + 7 * PAGE, child, HIGH + 7 * PAGE);
    expect_here_only(rig, child, HIGH + 8 * PAGE);
    put(parent, HIGH + 3 * PAGE, 900);
    for (uint32_t i = 0; i < 16; i++)
        assert_int_equal(get(child, HIGH + i * PAGE), 100 + i);
}

/* 17: that one of its areas is locked is found out when a page has been unmapped from the others. */
static void bug_17_a_lock_is_known_before_the_first_entry_goes(struct rig *rig) {
    struct vm_space *space[5];
    space[0] = rig_space(rig, 1);
    rig_map(space[0], AT, 8, NULL);
    rig_touch(space[0], AT, 8);
    protect(space[0], AT, 8, VM_PROT_READ); /* or locking would copy */
    for (unsigned i = 1; i < 5; i++)
        space[i] = rig_fork(space[0], i + 1);
    assert_int_equal(vm_mlock(space[2], AT, 8 * PAGE), VM_OK);
    vm_reclaim(rig->machine, 4000);
    for (unsigned i = 0; i < 5 && !rig->machine->design->sweep; i++)
        assert_int_not_equal(vm_frame_at(space[i], AT + 3 * PAGE), VM_NO_FRAME);
    assert_int_not_equal(vm_frame_at(space[2], AT + 3 * PAGE), VM_NO_FRAME);
}

/* ---------------------------------------------------------------- those who come and go */

/* 20: spaces whose areas are there but whose pages are not: never touched, given up, evicted, left by
 * exec. A walk comes past them, and finds who has the page. */
static void bug_20_spaces_without_pages(struct rig *rig) {
    struct vm_space *parent = rig_space(rig, 1), *children[4];
    struct vm_object *object;
    rig_map(parent, AT, 8, NULL);
    rig_touch(parent, AT, 8);
    assert_int_equal(vm_object_create_shm(rig->machine, 8 * PAGE, 1, &object), VM_OK);
    rig_map(parent, HIGH, 8, object);
    rig_touch(parent, HIGH, 8);
    for (unsigned i = 0; i < 4; i++)
        children[i] = rig_fork(parent, 10 + i);
    assert_int_equal(vm_madvise(children[0], AT, 8 * PAGE, VM_MADV_DONTNEED), VM_OK);
    assert_int_equal(vm_munmap(children[1], AT, 8 * PAGE), VM_OK);
    assert_int_equal(vm_exec(children[2]), VM_OK);
    rig_verify(rig);
    expect_in_both(rig, parent, AT, children[3], AT);
    expect_here_only(rig, parent, HIGH); /* children would fault it in */
    read_pages(children[0], HIGH, 1);
    expect_in_both(rig, parent, HIGH, children[0], HIGH);
    vm_exit(parent);
    expect_here_only(rig, children[3], AT);
    vm_object_put(object);
}

/* 26: fork fails half-way, and takes back more than it had linked, or less. */
static void bug_26_a_failed_fork_unlinks_what_it_linked(struct rig *rig) {
    struct vm_space *parent = rig_space(rig, 1), *elder = rig_fork(parent, 2), *child = NULL;
    struct failing_port failing;
    struct vm_port *port = rig->machine->port;
    enum { AREAS = 400 };
    unsigned failed = 0;

    for (unsigned i = 0; i < AREAS; i++) {
        rig_map(parent, AT + 2 * i * PAGE, 1, NULL);
        rig_touch(parent, AT + 2 * i * PAGE, 1);
    }
    vm_exit(elder);
    elder = rig_fork(parent, 3);
    failing_port_init(&failing, port);
    rig->machine->port = &failing.port;
    for (uint64_t nth = 0; !child; nth++) {
        failing_plan_set(&failing.allocate, FAIL_FROM_THERE_ON, nth);
        int error = vm_fork(parent, 4, &child);
        failing_plan_set(&failing.allocate, FAIL_NEVER, 0);
        failed += error != VM_OK;
        rig_verify(rig);
        if (!child)
            expect_in_both(rig, parent, AT, elder, AT);
    }
    rig->machine->port = port;
    assert_true(failed > 0);
    assert_int_equal(places_of(rig, parent, AT + 2 * (AREAS - 1) * PAGE).count, 3);
}

/* 30: loops of mprotect, mmap and faults leave ever more areas that cannot be joined again. */
static void bug_30_areas_join_again(struct rig *rig) {
    struct vm_space *space = rig_space(rig, 1);
    for (unsigned i = 0; i < 64; i++) { /* an arena that grows as it is used */
        rig_map(space, AT + i * PAGE, 1, NULL);
        rig_touch(space, AT + i * PAGE, 1);
    }
    assert_int_equal(space->area_count, 1);
    for (unsigned round = 0; round < 50; round++) {
        unsigned first = round * 7 % 60;
        protect(space, AT + first * PAGE, 3, VM_PROT_READ);
        assert_int_equal(vm_munmap(space, AT + (first + 3) * PAGE, PAGE), VM_OK);
        rig_map(space, AT + (first + 3) * PAGE, 1, NULL);
        rig_touch(space, AT + (first + 3) * PAGE, 1);
        protect(space, AT + first * PAGE, 3, RW);
        assert_int_equal(space->area_count, 1);
    }
    /* neighbours are touched before their protections are alike */
    rig_map(space, HIGH, 64, NULL);
    for (unsigned i = 0; i < 64; i += 2)
        protect(space, HIGH + i * PAGE, 1, RW | VM_PROT_EXEC);
    rig_touch(space, HIGH, 64);
    protect(space, HIGH, 64, RW);
    assert_int_equal(space->area_count, 2);
}

/* ---------------------------------------------------------------- */

#define BUG(test)                                                                                  \
    {                                                                                              \
#test, on_every_design, NULL, NULL, &(bug_test *) {                                        \
            test                                                                                   \
        }                                                                                          \
    }

int main(void) {
    const struct CMUnitTest tests[] = {
        BUG(bug_3_offsets_are_in_pages),
        BUG(bug_4_pages_follow_their_half),
        BUG(bug_5_only_what_belongs_together_merges),
        BUG(bug_6_equal_names_mean_equal_chains),
        BUG(bug_7_a_page_outlives_who_brought_it_back),
        BUG(bug_13_a_stack_grows_in_place),
        BUG(bug_17_a_lock_is_known_before_the_first_entry_goes),
        BUG(bug_18_a_private_copy_is_not_the_files),
        BUG(bug_20_spaces_without_pages),
        BUG(bug_21_a_slot_is_no_offset),
        BUG(bug_26_a_failed_fork_unlinks_what_it_linked),
        BUG(bug_30_areas_join_again),
    };
    vm_design_each(note_design, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
