/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * look_test.c - the views of areas, pages and contents, and result texts.
 */
#include "rig.h"

#include "vm/text.h"

#define AT  UINT64_C(0x200000)
#define OBJ UINT64_C(0x800000)

struct pages {
    struct vm_page_view view[64];
    unsigned count, limit;
};

static bool keep_page(const struct vm_page_view *view, void *context) {
    struct pages *pages = context;
    pages->view[pages->count++] = *view;
    return pages->count < pages->limit;
}

static struct pages pages_of(struct vm_space *space, uint64_t start, uint64_t end) {
    struct pages pages = { .limit = 64 };
    vm_page_each(space, start, end, keep_page, &pages);
    return pages;
}

static void pages_have_kinds(void **state) {
    struct rig *rig = rig_create(*state, 1024);
    struct vm_space *space = rig_space(rig, 1);
    struct vm_object *object;

    assert_int_equal(vm_object_create_shm(rig->machine, 4 * PAGE, 9, &object), VM_OK);
    rig_map(space, AT, 8, NULL);
    rig_map(space, OBJ, 4, object);
    rig_touch(space, AT + PAGE, 1);
    assert_int_equal(vm_touch(space, AT + 3 * PAGE, 1, VM_READ, NULL), VM_OK);
    rig_touch(space, OBJ + 2 * PAGE, 1);

    struct pages all = pages_of(space, 0, VM_ADDRESS_END);
    assert_int_equal(all.count, 3);
    assert_int_equal(all.view[0].address, AT + PAGE);
    assert_int_equal(all.view[0].kind, VM_PAGE_ANONYMOUS);
    assert_int_equal(all.view[0].frame, vm_frame_at(space, AT + PAGE));
    assert_int_equal(all.view[1].address, AT + 3 * PAGE);
    assert_int_equal(all.view[1].kind, VM_PAGE_ZERO);
    assert_int_equal(all.view[2].address, OBJ + 2 * PAGE);
    assert_int_equal(all.view[2].kind, VM_PAGE_OBJECT);
    assert_true(all.view[0].present && all.view[1].present && all.view[2].present);
    assert_int_equal(pages_of(space, AT + 2 * PAGE, OBJ + 2 * PAGE).count, 1);
    assert_int_equal(pages_of(space, AT + 4 * PAGE, OBJ).count, 0);

    struct pages first = { .limit = 1 };
    vm_page_each(space, 0, VM_ADDRESS_END, keep_page, &first);
    assert_int_equal(first.count, 1);
    assert_int_equal(vm_frame_at(space, AT), VM_NO_FRAME);
    assert_int_equal(vm_frame_at(space, UINT64_MAX), VM_NO_FRAME);
    vm_object_put(object);
    rig_destroy(rig);
}

static uint64_t identity(struct vm_space *space, uint64_t address) {
    struct pages one = pages_of(space, address, address + PAGE);
    assert_int_equal(one.count, 1);
    return one.view[0].identity;
}

/* One page, seen as an entry here and as a swap slot there, is one page. */
static void identity_survives_swap(void **state) {
    struct rig *rig = rig_create(*state, 1024);
    struct vm_space *parent = rig_space(rig, 1);

    rig_map(parent, AT, 4, NULL);
    rig_touch(parent, AT, 4);
    struct vm_space *child = rig_fork(parent, 2);
    assert_int_equal(identity(parent, AT), identity(child, AT));
    assert_int_not_equal(identity(parent, AT), identity(parent, AT + PAGE));
    vm_reclaim(rig->machine, 1024);
    assert_int_equal(vm_frame_at(parent, AT), VM_NO_FRAME);
    assert_int_equal(identity(parent, AT), identity(child, AT));
    assert_int_equal(vm_touch(child, AT, 1, VM_READ, NULL), VM_OK);
    assert_int_equal(vm_frame_at(parent, AT), VM_NO_FRAME);
    assert_int_not_equal(vm_frame_at(child, AT), VM_NO_FRAME);
    assert_int_equal(identity(parent, AT), identity(child, AT));
    assert_int_not_equal(identity(parent, AT), identity(child, AT + PAGE));
    rig_touch(child, AT, 1);
    assert_int_not_equal(identity(parent, AT), identity(child, AT));
    rig_verify(rig);
    rig_destroy(rig);
}

static bool discardable(struct vm_space *space, uint64_t address) {
    return pages_of(space, address, address + PAGE).view[0].discardable;
}

static void freed_pages_are_discardable_until_written(void **state) {
    struct rig *rig = rig_create(*state, 1024);
    struct vm_space *space = rig_space(rig, 1);

    rig_map(space, AT, 2, NULL);
    rig_touch(space, AT, 2);
    assert_false(discardable(space, AT));
    assert_int_equal(vm_madvise(space, AT, 2 * PAGE, VM_MADV_FREE), VM_OK);
    assert_true(discardable(space, AT));
    assert_true(discardable(space, AT + PAGE));
    rig_touch(space, AT, 1);
    assert_false(discardable(space, AT));
    assert_true(discardable(space, AT + PAGE));
    rig_verify(rig);
    rig_destroy(rig);
}

static void peek_equals(struct vm_space *space, uint64_t address, const char *text) {
    char data[32] = "................";
    assert_int_equal(vm_peek(space, address, data, strlen(text) + 1), VM_OK);
    assert_string_equal(data, text);
}

static void peeking_sees_pages_wherever_they_are(void **state) {
    struct rig *rig = rig_create(*state, 1024);
    struct vm_space *space = rig_space(rig, 1);
    struct vm_object *object;
    char page[PAGE];

    assert_int_equal(vm_object_create_shm(rig->machine, 3 * PAGE, 9, &object), VM_OK);
    rig_map(space, AT, 8, NULL);
    rig_map(space, OBJ, 4, object);
    assert_int_equal(vm_write(space, AT + 100, "private", 8), VM_OK);
    assert_int_equal(vm_write(space, OBJ + PAGE, "shared", 7), VM_OK);
    assert_int_equal(vm_touch(space, AT + PAGE, 1, VM_READ, NULL), VM_OK);
    for (unsigned round = 0; round < 2; round++) {
        struct vm_stats before = rig_stats(rig), after;
        peek_equals(space, AT + 100, "private");
        peek_equals(space, OBJ + PAGE, "shared");
        peek_equals(space, AT + PAGE, "");
        peek_equals(space, AT + 5 * PAGE, "");
        peek_equals(space, OBJ, "");
        assert_int_equal(vm_peek(space, AT, page, sizeof page), VM_OK);
        assert_string_equal(page + 100, "private");
        after = rig_stats(rig);
        assert_memory_equal(&before.faults, &after.faults, sizeof before.faults);
        if (round == 0) {
            vm_reclaim(rig->machine, 1024);
            assert_int_equal(vm_frame_at(space, AT), VM_NO_FRAME);
        }
    }
    assert_int_equal(vm_frame_at(space, AT), VM_NO_FRAME);
    assert_int_equal(vm_peek(space, AT + 9 * PAGE, page, 1), VM_SIGSEGV);
    assert_int_equal(vm_peek(space, OBJ + 3 * PAGE, page, 1), VM_SIGBUS);
    assert_int_equal(vm_peek(space, AT + 1, page, sizeof page), VM_EINVAL);
    rig_verify(rig);
    vm_object_put(object);
    rig_destroy(rig);
}

struct areas {
    struct vm_area_view view[8];
    unsigned count;
};

static bool keep_area(const struct vm_area_view *view, void *context) {
    struct areas *areas = context;
    areas->view[areas->count++] = *view;
    return true;
}

static void areas_come_in_order(void **state) {
    struct rig *rig = rig_create(*state, 1024);
    struct vm_space *space = rig_space(rig, 1);
    struct vm_object *object;
    struct areas areas = { .count = 0 };

    assert_int_equal(vm_object_create_shm(rig->machine, 4 * PAGE, 9, &object), VM_OK);
    rig_map(space, OBJ, 4, object);
    rig_map(space, AT, 3, NULL);
    assert_int_equal(vm_mprotect(space, AT + PAGE, PAGE, VM_PROT_READ), VM_OK);
    assert_int_equal(vm_mlock(space, AT + 2 * PAGE, PAGE), VM_OK);
    vm_area_each(space, keep_area, &areas);
    assert_int_equal(areas.count, 4);
    assert_int_equal(areas.view[0].end, AT + PAGE);
    assert_int_equal(areas.view[1].protection, VM_PROT_READ);
    assert_int_equal(areas.view[1].pgoff, AT / PAGE + 1);
    assert_true(areas.view[2].locked && !areas.view[1].locked);
    assert_ptr_equal(areas.view[3].object, object);
    assert_true(areas.view[3].shared && !areas.view[2].shared);
    assert_false(areas.view[3].object_anonymous);

    areas.count = 0;
    vm_area_each_from(space, AT + PAGE, keep_area, &areas); /* the first one ends there */
    assert_int_equal(areas.count, 3);
    assert_int_equal(areas.view[0].start, AT + PAGE);
    areas.count = 0;
    vm_area_each_from(space, AT + 2 * PAGE - 1, keep_area, &areas); /* in the middle of one */
    assert_int_equal(areas.count, 3);
    vm_object_put(object);
    rig_destroy(rig);
}

static void results_have_texts(void **state) {
    (void)state;
    for (int result = VM_OOM; result <= VM_OK; result++) {
        assert_non_null(strchr(vm_result_text(result), ':'));
        for (int other = result + 1; other <= VM_OK; other++)
            assert_string_not_equal(vm_result_text(result), vm_result_text(other));
    }
    assert_string_equal(vm_result_text(12345), "unknown result");
}

static void lines_are_cut_not_overrun(void **state) {
    (void)state;
    struct vm_text text;

    vm_text_clear(&text);
    vm_text_number(&text, 0);
    vm_text_add(&text, " ");
    vm_text_number(&text, UINT64_MAX);
    vm_text_add(&text, " ");
    vm_text_address(&text, UINT64_MAX);
    assert_string_equal(text.line, "0 18446744073709551615 0xffffffffffffffff");
    for (unsigned i = 0; i < 100; i++)
        vm_text_add(&text, "more and ");
    assert_int_equal(strlen(text.line), VM_TEXT_MAX - 1);
    assert_int_equal(text.length, VM_TEXT_MAX - 1);
}

#define WITH(test, design)                                                                         \
    { #test " " design, test, NULL, NULL, (void *)(uintptr_t)design }
#define BOTH(test) WITH(test, "pte-chain"), WITH(test, "anon-vma")

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(pages_have_kinds),
        BOTH(identity_survives_swap),
        BOTH(freed_pages_are_discardable_until_written),
        BOTH(peeking_sees_pages_wherever_they_are),
        BOTH(areas_come_in_order),
        cmocka_unit_test(results_have_texts),
        cmocka_unit_test(lines_are_cut_not_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
