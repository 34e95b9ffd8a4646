/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * migrate_test.c - pages come to other frames under all their mappings: every kind of page, on every
 * design. Programs notice nothing: neither contents nor rights change, nor what entries say of use.
 */
#include "stage.h"

/* Moves the page at the address to another frame of the node, which must succeed. */
static void migrate(struct vm_space *space, uint64_t address, unsigned node) {
    struct vm_machine *machine = space->machine;
    struct vm_page *page = page_at(space, address);
    uint64_t frame = vm_page_frame(machine, page);

    vm_page_get(machine, page);
    assert_int_equal(vm_page_migrate(machine, page, node), VM_OK);
    assert_int_equal(vm_page_counts(page), VM_ONE_REFERENCE);
    vm_page_put(machine, page);
    assert_int_not_equal(vm_frame_at(space, address), frame);
    assert_int_equal(vm_page_node(machine, page_at(space, address)), node);
}

/* To and fro, and once more within the node. */
static void migrate_about(struct stage *stage, struct vm_space *space, uint64_t address) {
    static const unsigned nodes[] = { 1, 0, 0 };

    for (unsigned i = 0; i < 3; i++) {
        migrate(space, address, nodes[i]);
        stage_check(stage);
    }
}

static void private_page(struct stage *stage) {
    struct vm_space *space = new_space(stage, 1);

    map(space, AT, 4, RW, VM_MAP_PRIVATE, NULL, 0);
    put_words(space, AT, 4, 100);
    vm_pte bits = bits_at(space, AT + PAGE);
    migrate_about(stage, space, AT + PAGE);
    assert_int_equal(bits_at(space, AT + PAGE), bits);
    expect_words(space, AT, 4, 100);
    put_word(space, AT + PAGE, 7);
    assert_int_equal(get_word(space, AT + PAGE), 7);
    vm_exit(space);
}

/* Relatives share it; afterwards each still gets a copy of its own when it writes. */
static void page_shared_by_fork(struct stage *stage) {
    struct vm_space *family[5];

    family[0] = new_space(stage, 1);
    map(family[0], AT, 2, RW, VM_MAP_PRIVATE, NULL, 0);
    put_words(family[0], AT, 2, 10);
    for (unsigned i = 1; i < 5; i++)
        assert_int_equal(vm_fork(family[i / 2], i + 1, &family[i]), VM_OK);
    migrate_about(stage, family[3], AT);
    assert_int_equal(vm_page_mappings(stage->machine, vm_frame_at(family[0], AT), NULL, NULL), 5);
    put_word(family[1], AT, 77);
    migrate_about(stage, family[0], AT);
    migrate_about(stage, family[1], AT);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(get_word(family[i], AT), i == 1 ? 77 : 10);
    for (unsigned i = 0; i < 5; i++) {
        vm_exit(family[i]);
        stage_check(stage);
    }
}

/* More entries than fit a node of any chain, then all but one go, then it is moved again. */
static void page_of_many(struct stage *stage) {
    enum { CHILDREN = 20 };
    struct vm_space *parent = new_space(stage, 1), *children[CHILDREN];

    map(parent, AT, 1, RW, VM_MAP_PRIVATE, NULL, 0);
    put_word(parent, AT, 5);
    for (unsigned i = 0; i < CHILDREN; i++)
        assert_int_equal(vm_fork(parent, i + 2, &children[i]), VM_OK);
    migrate_about(stage, parent, AT);
    vm_exit(parent);
    for (unsigned i = 0; i + 1 < CHILDREN; i++)
        vm_exit(children[i]);
    migrate_about(stage, children[CHILDREN - 1], AT);
    assert_int_equal(get_word(children[CHILDREN - 1], AT), 5);
    assert_int_equal(vm_fork(children[CHILDREN - 1], 99, &parent), VM_OK);
    migrate_about(stage, parent, AT);
    vm_exit(children[CHILDREN - 1]);
    assert_int_equal(get_word(parent, AT), 5);
    vm_exit(parent);
}

static void page_moved_by_mremap(struct stage *stage) {
    struct vm_space *space = new_space(stage, 1), *child;
    uint64_t result;

    map(space, AT, 8, RW, VM_MAP_PRIVATE, NULL, 0);
    put_words(space, AT, 8, 50);
    assert_int_equal(vm_fork(space, 2, &child), VM_OK);
    assert_int_equal(vm_mremap(space, AT + 2 * PAGE, 4 * PAGE, 4 * PAGE,
                               VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, OTHER, &result),
                     VM_OK);
    migrate_about(stage, space, OTHER + PAGE);
    migrate_about(stage, child, AT + 3 * PAGE);
    assert_int_equal(vm_mremap(space, OTHER, 4 * PAGE, 4 * PAGE,
                               VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, AT + 2 * PAGE, &result),
                     VM_OK);
    stage_check(stage);
    migrate_about(stage, space, AT + 3 * PAGE);
    expect_words(space, AT, 8, 50);
    expect_words(child, AT, 8, 50);
    vm_exit(space);
    vm_exit(child);
}

/* A page's name must stay right when its area is cut and joined again. */
static void page_of_a_split_area(struct stage *stage) {
    struct vm_space *space = new_space(stage, 1);

    map(space, AT, 8, RW, VM_MAP_PRIVATE, NULL, 0);
    put_words(space, AT, 8, 50);
    migrate(space, AT + 5 * PAGE, 1);
    assert_int_equal(vm_mprotect(space, AT + 4 * PAGE, 4 * PAGE, R), VM_OK);
    stage_check(stage);
    migrate_about(stage, space, AT + 5 * PAGE);
    assert_int_equal(vm_munmap(space, AT, 4 * PAGE), VM_OK);
    assert_int_equal(vm_mprotect(space, AT + 4 * PAGE, 4 * PAGE, RW), VM_OK);
    migrate_about(stage, space, AT + 5 * PAGE);
    expect_words(space, AT + 4 * PAGE, 4, 54);
    vm_exit(space);
}

static void locked_page(struct stage *stage) {
    struct vm_space *space = new_space(stage, 1);

    map(space, AT, 4, RW, VM_MAP_PRIVATE, NULL, 0);
    put_words(space, AT, 4, 100);
    assert_int_equal(vm_mlock(space, AT, 4 * PAGE), VM_OK);
    migrate_about(stage, space, AT);
    vm_reclaim(stage->machine, FRAMES);
    assert_int_not_equal(vm_frame_at(space, AT), VM_NO_FRAME);
    expect_words(space, AT, 4, 100);
    vm_exit(space);
}

/* One relative has the page mapped, the other knows it by its slot. */
static void page_of_the_swap_cache(struct stage *stage) {
    struct vm_space *space = new_space(stage, 1), *child;

    map(space, AT, 1, RW, VM_MAP_PRIVATE, NULL, 0);
    put_word(space, AT, 100);
    assert_int_equal(vm_fork(space, 2, &child), VM_OK);
    assert_true(vm_reclaim(stage->machine, FRAMES) > 0);
    assert_int_equal(vm_frame_at(space, AT), VM_NO_FRAME);
    assert_int_equal(get_word(child, AT), 100);
    assert_true(vm_page_is(page_at(child, AT), VM_PAGE_SWAPCACHE));
    migrate_about(stage, child, AT);
    assert_true(vm_page_is(page_at(child, AT), VM_PAGE_SWAPCACHE));

    uint64_t read = stage_stats(stage).reclaim.swapped_in;
    assert_int_equal(get_word(space, AT), 100);
    assert_int_equal(stage_stats(stage).reclaim.swapped_in, read);
    assert_int_equal(vm_frame_at(space, AT), vm_frame_at(child, AT));
    migrate_about(stage, space, AT);
    put_word(child, AT, 9);
    assert_int_equal(get_word(space, AT), 100);
    vm_exit(space);
    vm_exit(child);
}

/* A page that waits in the swap cache for its fault, mapped by nobody. */
static void page_without_mappings(struct stage *stage) {
    struct vm_machine *machine = stage->machine;
    struct vm_space *space = new_space(stage, 1);
    struct vm_page *page;

    map(space, AT, 1, RW, VM_MAP_PRIVATE, NULL, 0);
    put_word(space, AT, 100);
    assert_true(vm_reclaim(machine, FRAMES) > 0);
    assert_int_equal(vm_madvise(space, AT, PAGE, VM_MADV_WILLNEED), VM_OK);
    assert_int_equal(vm_swap_in(machine, 1, &page), VM_OK);
    vm_page_unlock(machine, page);
    assert_int_equal(vm_page_migrate(machine, page, 1), VM_OK);
    assert_int_equal(vm_page_counts(page), VM_ONE_REFERENCE);
    vm_page_put(machine, page);
    stage_check(stage);
    assert_int_equal(get_word(space, AT), 100);
    assert_int_equal(vm_page_node(machine, page_at(space, AT)), 1);
    vm_exit(space);
}

/* Dropped if nobody writes, kept if somebody does: what the entry says of that comes along. */
static void page_given_away(struct stage *stage) {
    struct vm_space *space = new_space(stage, 1);

    map(space, AT, 2, RW, VM_MAP_PRIVATE, NULL, 0);
    put_words(space, AT, 2, 100);
    assert_int_equal(vm_madvise(space, AT, 2 * PAGE, VM_MADV_FREE), VM_OK);
    migrate_about(stage, space, AT);
    migrate(space, AT + PAGE, 1);
    put_word(space, AT + PAGE, 33);
    migrate_about(stage, space, AT + PAGE);
    vm_reclaim(stage->machine, FRAMES);
    assert_int_equal(get_word(space, AT), 0);
    assert_int_equal(get_word(space, AT + PAGE), 33);
    vm_exit(space);
}

static void shared_memory(struct stage *stage) {
    struct vm_space *a = new_space(stage, 1), *b = new_space(stage, 2);
    struct vm_object *object;

    assert_int_equal(vm_object_create_shm(stage->machine, 8 * PAGE, 1, &object), VM_OK);
    map(a, AT, 8, RW, VM_MAP_SHARED, object, 0);
    map(a, OTHER, 4, R, VM_MAP_SHARED, object, 2);
    map(b, AT + 16 * PAGE, 8, RW, VM_MAP_SHARED, object, 0);
    put_words(a, AT, 8, 200);
    expect_words(a, OTHER, 4, 202);
    expect_words(b, AT + 16 * PAGE, 8, 200);
    for (unsigned i = 0; i < 8; i++)
        migrate_about(stage, b, AT + (16 + i) * PAGE);
    expect_words(a, AT, 8, 200);
    put_words(b, AT + 16 * PAGE, 8, 300);
    expect_words(a, OTHER, 4, 302);
    assert_int_equal(vm_object_truncate(object, 3 * PAGE), VM_OK);
    stage_check(stage);
    vm_exit(a);
    assert_int_equal(vm_reclaim(stage->machine, FRAMES) >= 3, 1);
    expect_words(b, AT + 16 * PAGE, 3, 300);
    vm_exit(b);
    vm_object_put(object);
}

static void page_of_a_file(struct stage *stage) {
    struct vm_space *a = new_space(stage, 1), *b = new_space(stage, 2);
    struct vm_backing *file = posix_memory_open(4 * PAGE);
    struct vm_object *object;
    uint64_t word[PAGE / 8] = { 41 };

    assert_int_equal(file->write(file, 1, word), 0);
    assert_int_equal(vm_object_open(stage->machine, file, 7, &object), VM_OK);
    map(a, AT, 4, RW, VM_MAP_SHARED, object, 0);
    map(b, AT, 4, RW, VM_MAP_PRIVATE, object, 0);
    assert_int_equal(get_word(a, AT + PAGE), 41);
    assert_int_equal(get_word(b, AT + PAGE), 41);
    migrate_about(stage, b, AT + PAGE);
    put_word(a, AT + PAGE, 42); /* the page is dirty, then moved, then written where it is */
    migrate_about(stage, a, AT + PAGE);
    assert_int_equal(get_word(b, AT + PAGE), 42);
    put_word(b, AT + PAGE, 43); /* a private copy */
    migrate_about(stage, b, AT + PAGE);
    migrate_about(stage, a, AT + PAGE);
    assert_int_equal(vm_msync(a, AT, 4 * PAGE, VM_MS_SYNC), VM_OK);
    assert_int_equal(file->read(file, 1, word), 0);
    assert_int_equal(word[0], 42);
    put_word(a, AT + 2 * PAGE, 44);
    migrate_about(stage, a, AT + 2 * PAGE);
    vm_exit(a);
    assert_int_equal(get_word(b, AT + PAGE), 43);
    vm_exit(b);
    vm_object_put(object); /* closes the file, having written what was dirty */
}

/* The rights of an entry come along, even none. */
static void page_without_rights(struct stage *stage) {
    struct vm_space *space = new_space(stage, 1);

    map(space, AT, 2, RW, VM_MAP_PRIVATE, NULL, 0);
    put_words(space, AT, 2, 100);
    assert_int_equal(vm_mprotect(space, AT, PAGE, VM_PROT_NONE), VM_OK);
    assert_int_equal(vm_mprotect(space, AT + PAGE, PAGE, R), VM_OK);
    migrate_about(stage, space, AT);
    migrate_about(stage, space, AT + PAGE);
    assert_int_equal(vm_touch(space, AT, 1, VM_READ, NULL), VM_SIGSEGV);
    assert_int_equal(vm_touch(space, AT + PAGE, 1, VM_WRITE, NULL), VM_SIGSEGV);
    assert_int_equal(vm_mprotect(space, AT, 2 * PAGE, RW), VM_OK);
    expect_words(space, AT, 2, 100);
    vm_exit(space);
}

/* ---------------------------------------------------------------- nonlinear areas */

static void rearranged_page(const char *design, enum vm_nonlinear answer) {
    struct stage stage;
    struct vm_object *object;

    stage_open_as(&stage, (struct vm_machine_config){ .design = design, .nonlinear = answer });
    assert_int_equal(vm_object_create_shm(stage.machine, 8 * PAGE, 1, &object), VM_OK);
    struct vm_space *a = new_space(&stage, 1), *b = new_space(&stage, 2);
    map(a, AT, 8, RW, VM_MAP_SHARED, object, 0);
    map(b, AT, 8, RW, VM_MAP_SHARED, object, 0);
    put_words(b, AT, 8, 0);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(vm_remap_file_pages(a, AT + i * PAGE, PAGE, 7 - i / 2), VM_OK);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(get_word(a, AT + i * PAGE), 7 - i / 2);
    migrate_about(&stage, a, AT + 2 * PAGE);
    migrate_about(&stage, b, AT + 5 * PAGE);
    assert_int_equal(vm_frame_at(a, AT + 4 * PAGE), vm_frame_at(b, AT + 5 * PAGE));
    assert_int_equal(vm_frame_at(a, AT + 5 * PAGE), vm_frame_at(b, AT + 5 * PAGE));
    /* Eight entries in a row show four pages: each is moved once. */
    uint64_t moved = 0;
    assert_int_equal(vm_move_pages(a, AT, 8 * PAGE, 1, &moved), VM_OK);
    assert_int_equal(moved, 4);
    stage_check(&stage);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(get_word(a, AT + i * PAGE), 7 - i / 2);
    vm_exit(a);
    vm_exit(b);
    vm_object_put(object);
    stage_close(&stage);
}

static void pages_of_nonlinear_areas(void **state) {
    (void)state;
    for (size_t i = 0; i < design_count; i++) {
        print_message("    %s\n", designs[i]);
        rearranged_page(designs[i], VM_NONLINEAR_DRACONIAN);
        rearranged_page(designs[i], VM_NONLINEAR_CLUSTER);
        if (vm_design_named(designs[i])->info.object_chains)
            rearranged_page(designs[i], VM_NONLINEAR_CHAIN);
    }
}

/* ---------------------------------------------------------------- when it cannot be done */

static int try_to_migrate(struct vm_space *space, uint64_t address) {
    struct vm_page *page = page_at(space, address);

    vm_page_get(space->machine, page);
    int error = vm_page_migrate(space->machine, page, 1);
    vm_page_put(space->machine, page);
    return error;
}

/* Nothing has happened: the same frame, in use as before, on its list. */
static void expect_unmoved(struct stage *stage, struct vm_space *space, const struct vm_page *page,
                           vm_pte bits) {
    stage_check(stage);
    assert_ptr_equal(page_at(space, AT), page);
    assert_int_equal(bits_at(space, AT), bits);
    assert_true(vm_page_is(page, VM_PAGE_LISTED));
}

static void page_in_use(struct stage *stage) {
    struct vm_space *space = new_space(stage, 1), *child;

    map(space, AT, 1, RW, VM_MAP_PRIVATE, NULL, 0);
    put_word(space, AT, 3);
    assert_int_equal(vm_fork(space, 2, &child), VM_OK);
    struct vm_page *page = page_at(space, AT);
    vm_pte bits = bits_at(space, AT);
    vm_page_get(stage->machine, page);
    assert_int_equal(try_to_migrate(space, AT), VM_EAGAIN);
    vm_page_put(stage->machine, page);
    expect_unmoved(stage, space, page, bits);
    assert_int_equal(stage_stats(stage).migration.busy, 1);
    assert_int_equal(get_word(child, AT), 3);
    assert_int_equal(try_to_migrate(space, AT), VM_OK);
    vm_exit(space);
    vm_exit(child);
}

/* Records run out when all is frozen. A page of many entries sees it, for caches have a few to spare. */
static void no_records(struct stage *stage) {
    enum { PLACES = 5000 };
    struct vm_space *space = new_space(stage, 1);
    struct vm_object *object;

    assert_int_equal(vm_object_create_shm(stage->machine, PAGE, 1, &object), VM_OK);
    for (unsigned i = 0; i < PLACES; i++) {
        map(space, AT + i * PAGE, 1, RW, VM_MAP_SHARED, object, 0);
        put_word(space, AT + i * PAGE, 3);
    }
    struct vm_page *page = page_at(space, AT);
    vm_pte bits = bits_at(space, AT);
    const struct vm_design *design = vm_design_named(stage->design);
    bool needs_records = design->reserve && !design->finds_objects_by_area;
    failing_plan_set(&stage->port.allocate, FAIL_FROM_THERE_ON, 0);
    int error = try_to_migrate(space, AT);
    failing_plan_set(&stage->port.allocate, FAIL_NEVER, 0);
    assert_int_equal(error, needs_records ? VM_ENOMEM : VM_OK);
    if (needs_records)
        expect_unmoved(stage, space, page, bits);
    for (unsigned i = 0; i < PLACES; i++)
        put_word(space, AT + i * PAGE, get_word(space, AT + i * PAGE) + 1);
    assert_int_equal(get_word(space, AT), 3 + PLACES);
    vm_exit(space);
    vm_object_put(object);
}

static void no_frames(struct stage *stage) {
    struct vm_space *space = new_space(stage, 1), *hog = new_space(stage, 2);
    uint64_t moved;
    enum { MANY = 70 }; /* not one batch */

    map(space, AT, MANY, RW, VM_MAP_PRIVATE, NULL, 0);
    put_words(space, AT, MANY, 1);
    map(hog, AT, FRAMES, RW, VM_MAP_PRIVATE, NULL, 0);
    assert_int_equal(vm_move_pages(space, AT, MANY * PAGE, 0, &moved), VM_OK);
    for (unsigned i = 0; i < FRAMES / 2; i++) {
        put_word(hog, AT + i * PAGE, i);
        if (vm_move_pages(hog, AT + i * PAGE, PAGE, 1, &moved) != VM_OK)
            break;
    }
    assert_int_equal(vm_move_pages(space, AT, MANY * PAGE, 1, &moved), VM_OOM);
    assert_int_equal(moved, 0);
    stage_check(stage);
    expect_words(space, AT, MANY, 1);
    vm_exit(hog);
    assert_int_equal(vm_move_pages(space, AT, MANY * PAGE, 1, &moved), VM_OK);
    assert_int_equal(moved, MANY);
    expect_words(space, AT, MANY, 1);
    vm_exit(space);
}

/* ---------------------------------------------------------------- the call */

static void a_range(struct stage *stage) {
    struct vm_space *space = new_space(stage, 1), *child;
    uint64_t moved = 99;

    map(space, AT, 40, RW, VM_MAP_PRIVATE, NULL, 0);
    map(space, AT + 50 * PAGE, 10, RW, VM_MAP_SHARED, NULL, 0);
    put_words(space, AT, 35, 1000); /* five pages are not there */
    put_words(space, AT + 50 * PAGE, 10, 2000);
    assert_int_equal(vm_touch(space, AT + 36 * PAGE, 1, VM_READ, NULL), VM_OK); /* zero page */
    assert_int_equal(vm_fork(space, 2, &child), VM_OK);

    assert_int_equal(vm_move_pages(space, AT, 40 * PAGE, 1, &moved), VM_OK);
    assert_int_equal(moved, 35);
    assert_int_equal(vm_move_pages(child, AT, 40 * PAGE, 1, &moved), VM_OK);
    assert_int_equal(moved, 0); /* they are there already */
    assert_int_equal(vm_move_pages(child, AT, 60 * PAGE, 1, &moved), VM_EFAULT);
    assert_int_equal(moved, 0); /* fork has left the file's entries to faults */
    assert_int_equal(vm_move_pages(space, AT, 60 * PAGE, 1, &moved), VM_EFAULT);
    assert_int_equal(moved, 10);
    stage_check(stage);
    for (unsigned i = 0; i < 35; i++)
        assert_int_equal(vm_page_node(stage->machine, page_at(child, AT + i * PAGE)), 1);
    expect_words(space, AT, 35, 1000);
    expect_words(child, AT, 35, 1000);
    expect_words(child, AT + 50 * PAGE, 10, 2000);

    assert_int_equal(vm_move_pages(space, AT, PAGE, 2, &moved), VM_EINVAL);
    assert_int_equal(vm_move_pages(space, AT + 1, PAGE, 0, &moved), VM_EINVAL);
    assert_int_equal(vm_move_pages(space, AT, 0, 0, NULL), VM_OK);
    vm_exit(space);
    vm_exit(child);
}

/* The same page several times in one batch is moved once. */
static void one_page_at_many_addresses(struct stage *stage) {
    struct vm_space *space = new_space(stage, 1);
    struct vm_object *object;
    uint64_t moved;

    assert_int_equal(vm_object_create_shm(stage->machine, PAGE, 1, &object), VM_OK);
    for (unsigned i = 0; i < 50; i++)
        map(space, AT + i * PAGE, 1, RW, VM_MAP_SHARED, object, 0);
    put_word(space, AT, 8);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(get_word(space, AT + i * PAGE), 8);
    assert_int_equal(vm_move_pages(space, AT, 50 * PAGE, 1, &moved), VM_OK);
    assert_int_equal(moved, 1);
    stage_check(stage);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(get_word(space, AT + i * PAGE), 8);
    assert_int_equal(stage_stats(stage).migration.entries, 50);
    vm_exit(space);
    vm_object_put(object);
}

int main(void) {
    vm_design_each(note_design, NULL);
    const struct CMUnitTest tests[] = {
        ON_EVERY_DESIGN(private_page),
        ON_EVERY_DESIGN(page_shared_by_fork),
        ON_EVERY_DESIGN(page_of_many),
        ON_EVERY_DESIGN(page_moved_by_mremap),
        ON_EVERY_DESIGN(page_of_a_split_area),
        ON_EVERY_DESIGN(locked_page),
        ON_EVERY_DESIGN(page_of_the_swap_cache),
        ON_EVERY_DESIGN(page_without_mappings),
        ON_EVERY_DESIGN(page_given_away),
        ON_EVERY_DESIGN(shared_memory),
        ON_EVERY_DESIGN(page_of_a_file),
        ON_EVERY_DESIGN(page_without_rights),
        cmocka_unit_test(pages_of_nonlinear_areas),
        ON_EVERY_DESIGN(page_in_use),
        ON_EVERY_DESIGN(no_records),
        ON_EVERY_DESIGN(no_frames),
        ON_EVERY_DESIGN(a_range),
        ON_EVERY_DESIGN(one_page_at_many_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
