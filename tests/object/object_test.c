/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * object_test.c - files and shared memory: pages brought in, written, evicted, cut off; and what
 * is left of them when memory or a device fails on the way.
 *
 * There are no spaces here. The test plays the entries that map a page, and the upcall that
 * clears them.
 */
#include "rig.h"

/* ---------------------------------------------------------------- the upcall's part */

static struct {
    unsigned calls;
    uint64_t first;
    struct vm_page *mapped; /* by one entry, which the call clears */
    unsigned come_back;     /* how often a fork has copied that entry meanwhile */
} upcall;

void vm_object_unmap_from(struct vm_object *object, uint64_t first) {
    upcall.calls++;
    upcall.first = first;
    if (!upcall.mapped || upcall.mapped->index < first)
        return;
    assert_true(vm_page_mapcount(upcall.mapped) == 1);
    if (upcall.come_back > 0) {
        upcall.come_back--;
        return;
    }
    vm_page_adjust(object->machine, upcall.mapped, (uint64_t)0 - VM_ONE_MAPPING);
    upcall.mapped = NULL;
}

/* ---------------------------------------------------------------- a file of ten and a half pages */

enum { WHOLE_PAGES = 10, HALF = 2048, FILE_BYTES = WHOLE_PAGES * 4096 + HALF };

struct file {
    struct failing_backing failing; /* first: the backing leads back here */
    struct vm_backing *memory;
    void (*close)(struct vm_backing *backing);
    unsigned closed;
};

static void note_close(struct vm_backing *backing) {
    struct file *file = (struct file *)backing;
    file->closed++;
}

/* Page i is full of 'a' + i. */
static void file_init(struct file *file) {
    char data[VM_PAGE_SIZE];

    memset(file, 0, sizeof *file);
    file->memory = posix_memory_open(FILE_BYTES);
    assert_non_null(file->memory);
    failing_backing_init(&file->failing, file->memory);
    file->close = file->failing.backing.close;
    file->failing.backing.close = note_close;
    for (int i = 0; i <= WHOLE_PAGES; i++) {
        memset(data, 'a' + i, sizeof data);
        assert_int_equal(file->memory->write(file->memory, (uint64_t)i, data), 0);
    }
}

static void file_fini(struct file *file) {
    assert_int_equal(file->closed, 1);
    file->close(&file->failing.backing);
}

static bool file_page_is(struct file *file, uint64_t index, int byte, size_t bytes) {
    char data[VM_PAGE_SIZE];
    assert_int_equal(file->memory->read(file->memory, index, data), 0);
    for (size_t i = 0; i < bytes; i++)
        if (data[i] != (char)byte)
            return false;
    return true;
}

static struct rig *small_rig(void) {
    return rig_create((struct rig_plan){ .frames = 256, .swap_pages = 64, .cpus = 1 });
}

static struct vm_object *open_file(struct rig *rig, struct file *file) {
    struct vm_object *object;
    assert_int_equal(vm_object_open(rig->machine, &file->failing.backing, 77, &object), VM_OK);
    return object;
}

static struct vm_object *make_shm(struct rig *rig, uint64_t bytes) {
    struct vm_object *object;
    assert_int_equal(vm_object_create_shm(rig->machine, bytes, 78, &object), VM_OK);
    return object;
}

static struct vm_page *page_at(struct vm_object *object, uint64_t index) {
    struct vm_page *page;
    assert_int_equal(vm_object_page(object, index, &page), VM_OK);
    return page;
}

/* Brings the page in, writes it full of `byte`, as a program does through its entry. */
static void dirty(struct rig *rig, struct vm_object *object, uint64_t index, int byte) {
    struct vm_page *page = page_at(object, index);
    rig_fill(rig, page, byte);
    vm_page_set(rig->machine, page, VM_PAGE_DIRTY);
    rig_unlock_and_put(rig, page);
}

static int evict(struct rig *rig, struct vm_object *object, uint64_t index) {
    struct vm_page *page = page_at(object, index);
    int error = rig_swap_out(rig, page);
    rig_unlock_and_put(rig, page);
    return error;
}

/* Whether bytes [from, to) of the object's page read as `byte`, in memory and by a peek. */
static bool reads_as(struct rig *rig, struct vm_object *object, uint64_t index, uint64_t from,
                     uint64_t to, int byte) {
    char data[VM_PAGE_SIZE];
    uint64_t offset = index * VM_PAGE_SIZE + from;
    bool resident = vm_object_page_resident(object, index);

    assert_int_equal(vm_object_peek(object, offset, data, to - from), VM_OK);
    assert_int_equal(vm_object_page_resident(object, index), resident);
    for (uint64_t i = 0; i < to - from; i++)
        if (data[i] != (char)byte)
            return false;
    struct vm_page *page = page_at(object, index);
    bool same = rig_page_is(rig, page, from, to, byte);
    rig_unlock_and_put(rig, page);
    return same;
}

/* ---------------------------------------------------------------- bringing in */

static void pages_are_read_once(void **state) {
    (void)state;
    struct rig *rig = small_rig();
    struct file file;
    file_init(&file);
    struct vm_object *object = open_file(rig, &file);

    assert_int_equal(vm_object_id(object), 77);
    assert_int_equal(vm_object_size(object), FILE_BYTES);
    assert_false(vm_object_page_resident(object, 3));
    struct vm_page *page = page_at(object, 3);
    assert_true(rig_page_is(rig, page, 0, VM_PAGE_SIZE, 'd'));
    assert_ptr_equal(page->object, object);
    assert_int_equal(page->index, 3);
    assert_int_equal(vm_page_references(page), 2);
    assert_true(vm_page_is(page, VM_PAGE_LOCKED));
    assert_true(vm_page_is(page, VM_PAGE_LISTED));
    assert_false(vm_page_is(page, VM_PAGE_ACTIVE | VM_PAGE_DIRTY | VM_PAGE_ANON));
    rig_unlock_and_put(rig, page);
    assert_ptr_equal(page_at(object, 3), page);
    rig_unlock_and_put(rig, page);
    assert_int_equal(rig->machine->cpus[0].counts.faults.read_in, 1);
    assert_int_equal(object->page_count, 1);
    assert_int_equal(vm_object_check(object), 0);

    /* Behind the end of the file its last page is zeroes; behind that there is nothing. */
    assert_true(reads_as(rig, object, WHOLE_PAGES, 0, HALF, 'a' + WHOLE_PAGES));
    assert_true(reads_as(rig, object, WHOLE_PAGES, HALF, VM_PAGE_SIZE, 0));
    assert_int_equal(vm_object_page(object, WHOLE_PAGES + 1, &page), VM_SIGBUS);
    assert_int_equal(vm_object_page(object, UINT64_MAX, &page), VM_SIGBUS);
    char byte;
    assert_int_equal(vm_object_peek(object, FILE_BYTES + HALF, &byte, 1), VM_SIGBUS);
    assert_int_equal(vm_object_peek(object, 4095, &byte, 2), VM_EINVAL);
    vm_object_put(object);
    file_fini(&file);
    rig_destroy(rig);
}

static void a_failed_read_leaves_nothing_behind(void **state) {
    (void)state;
    struct rig *rig = small_rig();
    struct file file;
    file_init(&file);
    struct vm_object *object = open_file(rig, &file);
    struct vm_page *page;
    char byte;

    failing_plan_set(&file.failing.read, FAIL_FROM_THERE_ON, 0);
    assert_int_equal(vm_object_page(object, 3, &page), VM_SIGBUS);
    assert_int_equal(vm_object_peek(object, 3 * 4096, &byte, 1), VM_EIO);
    assert_false(vm_object_page_resident(object, 3));
    assert_int_equal(vm_object_check(object), 0);
    assert_int_equal(rig_frames_used(rig), 1);
    assert_int_equal(vm_cache_live(rig->machine->radix_cache), 0);
    assert_int_equal(rig->machine->cpus[0].counts.faults.read_in, 0);
    failing_plan_set(&file.failing.read, FAIL_NEVER, 0);
    assert_true(reads_as(rig, object, 3, 0, VM_PAGE_SIZE, 'd'));
    vm_object_put(object);
    file_fini(&file);
    rig_destroy(rig);
}

static void without_memory_nothing_changes(void **state) {
    (void)state;
    struct rig *rig = small_rig();
    struct file file;
    file_init(&file);
    struct vm_object *object = open_file(rig, &file), *more[1000];
    struct vm_page *page, *taken[256];
    unsigned n = 0, frames = 0;

    /* No record: the caches' blocks are used up, then the port has no more. */
    struct vm_object *shm = make_shm(rig, UINT64_C(1) << 40);
    failing_plan_set(&rig->memory.allocate, FAIL_FROM_THERE_ON, 0);
    while (n < 1000 && vm_object_create_shm(rig->machine, 4096, n, &more[n]) == VM_OK)
        n++;
    assert_true(n < 1000);
    int error = VM_OK;
    uint64_t index = 0;
    for (; !error && index < 200; index++) {
        error = vm_object_page(shm, index * 64, &page);
        if (!error)
            rig_unlock_and_put(rig, page);
    }
    assert_int_equal(error, VM_ENOMEM);
    assert_int_equal(shm->page_count, index - 1);
    assert_int_equal(vm_object_check(shm), 0);
    char byte;
    assert_int_equal(vm_object_peek(object, 0, &byte, 1), VM_ENOMEM);
    failing_plan_set(&rig->memory.allocate, FAIL_NEVER, 0);
    while (n > 0)
        vm_object_put(more[--n]);
    vm_object_put(shm);

    /* No frame. */
    while ((taken[frames] = vm_frame_alloc(rig->machine, VM_FRAME_AS_IS)))
        frames++;
    assert_int_equal(vm_object_page(object, 3, &page), VM_OOM);
    assert_int_equal(vm_object_check(object), 0);
    assert_int_equal(object->page_count, 0);
    while (frames > 0)
        vm_page_put(rig->machine, taken[--frames]);
    vm_object_put(object);
    file_fini(&file);
    rig_destroy(rig);
}

static void backings_that_cannot_be_used_are_refused(void **state) {
    (void)state;
    struct rig *rig = small_rig();
    struct file file;
    file_init(&file);
    struct vm_object *object;
    struct vm_backing *backing = &file.failing.backing;
    struct vm_backing without = *backing;

    without.size = NULL;
    assert_int_equal(vm_object_open(rig->machine, NULL, 1, &object), VM_EINVAL);
    assert_int_equal(vm_object_open(rig->machine, &without, 1, &object), VM_EINVAL);
    assert_int_equal(vm_object_create_shm(rig->machine, UINT64_C(1) << 63, 1, &object),
                     VM_EOVERFLOW);
    assert_int_equal(file.closed, 0);
    object = open_file(rig, &file);
    assert_int_equal(vm_object_truncate(object, UINT64_MAX), VM_EOVERFLOW);
    assert_int_equal(vm_object_size(object), FILE_BYTES);
    vm_object_put(object);
    file_fini(&file);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- cached pages */

static void only_free_cached_pages_are_given(void **state) {
    (void)state;
    struct rig *rig = small_rig();
    struct vm_object *object = make_shm(rig, 16 * VM_PAGE_SIZE);
    struct vm_page *pages[8];

    for (uint64_t index = 2; index < 12; index++)
        dirty(rig, object, index, 'x');
    assert_int_equal(evict(rig, object, 5), VM_OK);
    struct vm_page *busy = page_at(object, 6);
    assert_int_equal(vm_object_pages_cached(object, 1, 8, pages), 5);
    for (unsigned i = 0; i < 8; i++) {
        bool expected = i + 1 != 1 && i + 1 != 5 && i + 1 != 6;
        assert_int_equal(pages[i] != NULL, expected);
        if (!expected)
            continue;
        assert_int_equal(pages[i]->index, i + 1);
        assert_true(vm_page_is(pages[i], VM_PAGE_LOCKED));
        rig_unlock_and_put(rig, pages[i]);
    }
    rig_unlock_and_put(rig, busy);
    assert_int_equal(vm_object_pages_cached(object, 12, 8, pages), 0);
    assert_int_equal(vm_object_pages_cached(object, UINT64_MAX - 2, 8, pages), 0);
    vm_object_put(object);
    rig_destroy(rig);
}

struct visited {
    uint64_t sum;
    unsigned count;
};

static void add_up(struct vm_page *page, void *context) {
    struct visited *visited = context;
    assert_true(vm_page_is(page, VM_PAGE_LOCKED));
    visited->sum += page->index;
    visited->count++;
}

static void each_page_in_memory_is_visited(void **state) {
    (void)state;
    struct rig *rig = small_rig();
    struct vm_object *object = make_shm(rig, UINT64_C(1) << 62);
    const uint64_t end = UINT64_C(1) << 50;
    struct visited all = { 0 }, some = { 0 }, none = { 0 };

    dirty(rig, object, 0, 'x');
    dirty(rig, object, 7, 'x');
    dirty(rig, object, 9, 'x');
    dirty(rig, object, end - 1, 'x');
    assert_int_equal(evict(rig, object, 7), VM_OK);
    vm_object_pages_each(object, 0, UINT64_MAX, add_up, &all);
    assert_int_equal(all.count, 3);
    assert_int_equal(all.sum, 9 + end - 1);
    vm_object_pages_each(object, 1, 9, add_up, &some);
    assert_int_equal(some.count, 1);
    vm_object_pages_each(object, 1, 8, add_up, &none);
    vm_object_pages_each(object, UINT64_MAX, UINT64_MAX, add_up, &none);
    assert_int_equal(none.count, 0);
    vm_object_put(object);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- writing back */

static void dirty_pages_are_written(void **state) {
    (void)state;
    struct rig *rig = small_rig();
    struct file file;
    file_init(&file);
    struct vm_object *object = open_file(rig, &file);

    struct vm_page *page = page_at(object, WHOLE_PAGES);
    assert_int_equal(vm_object_pages_write(object, &page, 1), VM_OK); /* clean: nothing to do */
    rig_fill(rig, page, 'x');                                         /* behind the end, too */
    vm_page_set(rig->machine, page, VM_PAGE_DIRTY);
    assert_int_equal(vm_object_pages_write(object, &page, 1), VM_OK);
    assert_false(vm_page_is(page, VM_PAGE_DIRTY));
    assert_true(rig_page_is(rig, page, HALF, VM_PAGE_SIZE, 0));
    rig_unlock_and_put(rig, page);
    assert_true(file_page_is(&file, WHOLE_PAGES, 'x', HALF));
    assert_int_equal(rig->machine->cpus[0].counts.reclaim.written, 1);
    assert_int_equal(atomic_load(&file.failing.write.calls), 1);
    assert_int_equal(object->write_failed, 0);

    dirty(rig, object, 2, 'y');
    assert_true(file_page_is(&file, 2, 'c', VM_PAGE_SIZE));
    vm_object_put(object); /* writes what is left */
    assert_true(file_page_is(&file, 2, 'y', VM_PAGE_SIZE));
    file_fini(&file);
    rig_destroy(rig);
}

static void a_failed_write_is_remembered(void **state) {
    (void)state;
    struct rig *rig = small_rig();
    struct file file;
    file_init(&file);
    struct vm_object *object = open_file(rig, &file);

    dirty(rig, object, 2, 'y');
    failing_plan_set(&file.failing.write, FAIL_FROM_THERE_ON, 0);
    struct vm_page *page = page_at(object, 2);
    assert_int_equal(vm_object_pages_write(object, &page, 1), VM_EIO);
    assert_true(vm_page_is(page, VM_PAGE_DIRTY));
    assert_int_equal(object->write_failed, 1);
    assert_int_equal(rig->machine->cpus[0].counts.reclaim.written, 0);
    rig_unlock_and_put(rig, page);
    assert_true(reads_as(rig, object, 2, 0, VM_PAGE_SIZE, 'y'));
    assert_true(file_page_is(&file, 2, 'c', VM_PAGE_SIZE));
    vm_object_put(object); /* nobody is left to be told; nothing leaks */
    assert_int_equal(rig_frames_used(rig), 1);
    file_fini(&file);
    rig_destroy(rig);
}

static void a_removed_page_is_read_again(void **state) {
    (void)state;
    struct rig *rig = small_rig();
    struct file file;
    file_init(&file);
    struct vm_object *object = open_file(rig, &file);

    struct vm_page *page = page_at(object, 2);
    vm_object_page_remove(object, page);
    assert_null(page->object);
    assert_int_equal(vm_page_references(page), 1);
    rig_unlock_and_put(rig, page);
    assert_int_equal(rig_frames_used(rig), 1);
    assert_int_equal(object->page_count, 0);
    assert_true(reads_as(rig, object, 2, 0, VM_PAGE_SIZE, 'c'));
    vm_object_put(object);
    file_fini(&file);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- shared memory and swap */

static void shared_memory_goes_to_swap_and_back(void **state) {
    (void)state;
    struct rig *rig = small_rig();
    struct vm_object *object = make_shm(rig, 16 * VM_PAGE_SIZE);

    assert_true(reads_as(rig, object, 1, 0, VM_PAGE_SIZE, 0));
    dirty(rig, object, 3, 'x');
    assert_int_equal(evict(rig, object, 3), VM_OK);
    assert_int_equal(object->page_count, 1);
    assert_int_equal(object->slot_count, 1);
    assert_int_equal(vm_swap_check(rig->machine, 1), 0);
    assert_int_equal(vm_object_check(object), 0);
    assert_int_equal(rig_frames_used(rig), 2);
    assert_true(reads_as(rig, object, 3, 0, VM_PAGE_SIZE, 'x'));
    assert_int_equal(object->slot_count, 0);
    assert_int_equal(vm_swap_used(rig->machine), 0);
    struct vm_page *page = page_at(object, 3);
    assert_true(vm_page_is(page, VM_PAGE_DIRTY)); /* nowhere else but here */
    rig_unlock_and_put(rig, page);

    assert_int_equal(evict(rig, object, 1), VM_OK); /* never written: no slot is spent on zeroes */
    assert_int_equal(vm_swap_used(rig->machine), 0);
    assert_int_equal(object->page_count, 1);
    assert_int_equal(evict(rig, object, 3), VM_OK);
    vm_object_put(object); /* with its slot */
    rig_destroy(rig);
}

/* The others of the window wait in the swap cache, from where the object's page is filled. */
static void shared_memory_is_read_ahead(void **state) {
    (void)state;
    struct rig *rig =
        rig_create((struct rig_plan){ .frames = 256, .swap_pages = 64, .cpus = 1, .readahead = 4 });
    struct vm_object *object = make_shm(rig, 16 * VM_PAGE_SIZE);

    for (uint64_t i = 0; i < 8; i++)
        dirty(rig, object, i, 'a' + (char)i);
    for (uint64_t i = 0; i < 8; i++)
        assert_int_equal(evict(rig, object, i), VM_OK);
    for (uint64_t i = 0; i < 8; i++) {
        assert_true(reads_as(rig, object, i, 0, VM_PAGE_SIZE, 'a' + (char)i));
        assert_int_equal(vm_object_check(object), 0);
        assert_int_equal(vm_swap_check(rig->machine, 7 - i), 0);
    }
    assert_int_equal(rig->machine->cpus[0].counts.reclaim.read_ahead, 6);
    assert_int_equal(rig->machine->cpus[0].counts.reclaim.read_ahead_hits, 6);
    assert_int_equal(rig->machine->cpus[0].counts.reclaim.swapped_in, 8);
    assert_int_equal(vm_swap_used(rig->machine), 0);
    assert_int_equal(rig_frames_used(rig), 9);
    vm_object_put(object);
    rig_destroy(rig);
}

static void swap_that_fails_loses_nothing(void **state) {
    (void)state;
    struct rig *rig = small_rig();
    struct vm_object *object = make_shm(rig, 128 * VM_PAGE_SIZE);
    struct vm_page *page;
    char byte;

    dirty(rig, object, 3, 'x');
    failing_plan_set(&rig->swap.write, FAIL_ONCE, 0);
    assert_int_equal(evict(rig, object, 3), VM_EIO);
    assert_int_equal(vm_swap_used(rig->machine), 0);
    assert_int_equal(vm_object_check(object), 0);
    assert_true(reads_as(rig, object, 3, 0, VM_PAGE_SIZE, 'x'));
    assert_int_equal(evict(rig, object, 3), VM_OK);

    failing_plan_set(&rig->swap.read, FAIL_FROM_THERE_ON, 0);
    assert_int_equal(vm_object_page(object, 3, &page), VM_SIGBUS);
    assert_int_equal(vm_object_peek(object, 3 * 4096, &byte, 1), VM_EIO);
    assert_int_equal(object->slot_count, 1);
    assert_int_equal(vm_swap_check(rig->machine, 1), 0);
    assert_int_equal(vm_object_check(object), 0);
    assert_int_equal(rig_frames_used(rig), 1);
    failing_plan_set(&rig->swap.read, FAIL_NEVER, 0);
    assert_true(reads_as(rig, object, 3, 0, VM_PAGE_SIZE, 'x'));

    for (uint64_t index = 10; index < 74; index++) {
        dirty(rig, object, index, 'y');
        assert_int_equal(evict(rig, object, index), VM_OK);
    }
    assert_int_equal(evict(rig, object, 3), VM_ENOMEM); /* 64 slots, all taken */
    assert_true(reads_as(rig, object, 3, 0, VM_PAGE_SIZE, 'x'));
    vm_object_put(object);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- truncation */

static void a_cut_file_ends_where_it_was_cut(void **state) {
    (void)state;
    struct rig *rig = small_rig();
    struct file file;
    file_init(&file);
    struct vm_object *object = open_file(rig, &file);
    struct vm_page *page;

    for (uint64_t index = 0; index <= WHOLE_PAGES; index++)
        assert_true(reads_as(rig, object, index, 0, HALF, 'a' + (int)index));
    memset(&upcall, 0, sizeof upcall);
    assert_int_equal(vm_object_truncate(object, 4 * 4096 + 100), VM_OK);
    assert_int_equal(upcall.calls, 1);
    assert_int_equal(upcall.first, 5);
    assert_int_equal(object->page_count, 5);
    assert_int_equal(vm_object_check(object), 0);
    assert_int_equal(vm_object_page(object, 5, &page), VM_SIGBUS);
    assert_true(reads_as(rig, object, 4, 0, 100, 'e'));
    assert_true(reads_as(rig, object, 4, 100, VM_PAGE_SIZE, 0));

    /* The file has not been cut yet, and a page of it may be read again: still cut. */
    page = page_at(object, 4);
    vm_object_page_remove(object, page);
    rig_unlock_and_put(rig, page);
    assert_true(reads_as(rig, object, 4, 100, VM_PAGE_SIZE, 0));

    /* A program writes behind the end; growing shows zeroes there all the same. */
    page = page_at(object, 4);
    rig_fill(rig, page, 'z');
    rig_unlock_and_put(rig, page);
    assert_int_equal(posix_memory_truncate(file.memory, 4 * 4096 + 100), 0);
    assert_int_equal(posix_memory_truncate(file.memory, 8 * 4096), 0);
    assert_int_equal(vm_object_truncate(object, 8 * 4096), VM_OK);
    assert_int_equal(upcall.calls, 1);
    assert_true(reads_as(rig, object, 4, 0, 100, 'z'));
    assert_true(reads_as(rig, object, 4, 100, VM_PAGE_SIZE, 0));
    assert_true(reads_as(rig, object, 7, 0, VM_PAGE_SIZE, 0));
    assert_int_equal(vm_object_page(object, 8, &page), VM_SIGBUS);
    assert_int_equal(vm_object_truncate(object, 0), VM_OK);
    assert_int_equal(object->page_count, 0);
    assert_null(object->pages.root);
    vm_object_put(object);
    file_fini(&file);
    rig_destroy(rig);
}

static void cut_shared_memory_is_zero_when_it_grows(void **state) {
    (void)state;
    struct rig *rig = small_rig();
    struct vm_object *object = make_shm(rig, 16 * VM_PAGE_SIZE);

    for (uint64_t index = 0; index < 16; index++)
        dirty(rig, object, index, 'a' + (int)index);
    for (uint64_t index = 3; index < 10; index++)
        assert_int_equal(evict(rig, object, index), VM_OK);
    /* Page 4 lies across the new end, in swap. */
    assert_int_equal(vm_object_truncate(object, 4 * 4096 + 100), VM_OK);
    assert_int_equal(object->page_count, 4);
    assert_int_equal(object->slot_count, 1);
    assert_int_equal(vm_swap_check(rig->machine, 1), 0);
    assert_int_equal(vm_object_check(object), 0);
    assert_int_equal(vm_object_truncate(object, 16 * 4096), VM_OK);
    assert_true(reads_as(rig, object, 3, 0, VM_PAGE_SIZE, 'd'));
    assert_true(reads_as(rig, object, 4, 0, 100, 'e'));
    assert_true(reads_as(rig, object, 4, 100, VM_PAGE_SIZE, 0));
    for (uint64_t index = 5; index < 16; index++)
        assert_true(reads_as(rig, object, index, 0, VM_PAGE_SIZE, 0));
    vm_object_put(object);
    rig_destroy(rig);
}

static void truncation_that_fails_changes_nothing(void **state) {
    (void)state;
    struct rig *rig = small_rig();
    struct vm_object *object = make_shm(rig, 16 * VM_PAGE_SIZE);

    for (uint64_t index = 4; index < 8; index++) {
        dirty(rig, object, index, 'x');
        assert_int_equal(evict(rig, object, index), VM_OK);
    }
    memset(&upcall, 0, sizeof upcall);
    failing_plan_set(&rig->swap.read, FAIL_ONCE, 0);
    assert_int_equal(vm_object_truncate(object, 4 * 4096 + 100), VM_EIO);
    assert_int_equal(vm_object_size(object), 16 * 4096);
    assert_int_equal(object->slot_count, 4);
    assert_int_equal(upcall.calls, 0);
    assert_int_equal(vm_object_truncate(object, 4 * 4096), VM_OK); /* no page needs to be cut */
    assert_int_equal(object->slot_count, 0);
    vm_object_put(object);
    rig_destroy(rig);
}

/* A page is mapped again between the first unmapping and its removal: by a fork. */
static void pages_mapped_again_are_unmapped_again(void **state) {
    (void)state;
    struct rig *rig = small_rig();
    struct vm_object *object = make_shm(rig, 16 * VM_PAGE_SIZE);
    struct vm_page *page = page_at(object, 9);

    rig_map(rig, page);
    rig_unlock_and_put(rig, page);
    memset(&upcall, 0, sizeof upcall);
    upcall.mapped = page;
    upcall.come_back = 3;
    assert_int_equal(vm_object_truncate(object, 0), VM_OK);
    assert_int_equal(upcall.calls, 4);
    assert_int_equal(upcall.first, 9);
    assert_int_equal(rig_frames_used(rig), 1);
    vm_object_put(object);
    rig_destroy(rig);
}

/* ---------------------------------------------------------------- life, areas */

static void an_object_lives_while_somebody_refers_to_it(void **state) {
    (void)state;
    struct rig *rig = small_rig();
    struct file file;
    file_init(&file);
    struct vm_object *object = open_file(rig, &file);
    struct vm_area *area = calloc(1, sizeof *area + rig->machine->index_kind->area_bytes);

    assert_non_null(area);
    area->end = 4096;
    vm_object_link_area(object, area);
    vm_object_get(object);
    vm_object_put(object);
    assert_int_equal(file.closed, 0);
    assert_int_equal(vm_object_check(object), 0);
    vm_object_unlink_area(object, area);
    vm_object_put(object);
    assert_int_equal(vm_cache_live(rig->machine->object_cache), 0);
    free(area);
    file_fini(&file);
    rig_destroy(rig);
}

static void a_metadata_only_machine_pretends(void **state) {
    (void)state;
    struct rig *rig = rig_create((struct rig_plan){
        .frames = 256, .swap_pages = 64, .cpus = 1, .contents = VM_METADATA_ONLY });
    struct file file;
    file_init(&file);
    struct vm_object *object = open_file(rig, &file), *shm = make_shm(rig, 8 * VM_PAGE_SIZE + 9);
    char data[8] = "not zero";

    struct vm_page *page = page_at(object, 3);
    vm_page_set(rig->machine, page, VM_PAGE_DIRTY);
    assert_int_equal(vm_object_pages_write(object, &page, 1), VM_OK);
    rig_unlock_and_put(rig, page);
    assert_int_equal(vm_object_peek(object, 3 * 4096, data, 8), VM_OK);
    assert_memory_equal(data, "\0\0\0\0\0\0\0\0", 8);
    page = page_at(shm, 8);
    vm_page_set(rig->machine, page, VM_PAGE_DIRTY);
    rig_unlock_and_put(rig, page);
    assert_int_equal(evict(rig, shm, 8), VM_OK);
    assert_int_equal(vm_swap_used(rig->machine), 1);
    assert_int_equal(vm_object_truncate(shm, 8 * 4096 + 5), VM_OK);
    vm_object_put(object);
    vm_object_put(shm);
    file_fini(&file);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_read_once),
        cmocka_unit_test(a_failed_read_leaves_nothing_behind),
        cmocka_unit_test(without_memory_nothing_changes),
        cmocka_unit_test(backings_that_cannot_be_used_are_refused),
        cmocka_unit_test(only_free_cached_pages_are_given),
        cmocka_unit_test(each_page_in_memory_is_visited),
        cmocka_unit_test(dirty_pages_are_written),
        cmocka_unit_test(a_failed_write_is_remembered),
        cmocka_unit_test(a_removed_page_is_read_again),
        cmocka_unit_test(shared_memory_goes_to_swap_and_back),
        cmocka_unit_test(shared_memory_is_read_ahead),
        cmocka_unit_test(swap_that_fails_loses_nothing),
        cmocka_unit_test(a_cut_file_ends_where_it_was_cut),
        cmocka_unit_test(cut_shared_memory_is_zero_when_it_grows),
        cmocka_unit_test(truncation_that_fails_changes_nothing),
        cmocka_unit_test(pages_mapped_again_are_unmapped_again),
        cmocka_unit_test(an_object_lives_while_somebody_refers_to_it),
        cmocka_unit_test(a_metadata_only_machine_pretends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
