/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * writeback_test.c - dirty neighbours are written in one go, by msync, by reclaim, when a file is closed
 * and to swap; nothing changes while it is written; a page that cannot be written holds up no other,
 * and the failure is told. With every design.
 */
#include "harness/each_machine.h"
#include "rmap/rig.h"

#include "vm/object/swap.h"
#include "vm/object/transfer.h"
#include "vm/reclaim/reclaim.h"
#include "vm/table/table.h"

#define AT   UINT64_C(0x10000000)
#define SPAN VM_WRITE_PAGES

enum { FILE_PAGES = 3 * SPAN + 5, WRITES = 256, SPACES = 3 };

/* ---------------------------------------------------------------- a file that keeps a log */

struct device {
    struct vm_backing backing;
    struct rig *rig;
    struct vm_space *spaces[SPACES]; /* that map all of it at AT */
    unsigned char pages[FILE_PAGES][64];
    uint64_t bad;       /* a page that cannot be written; FILE_PAGES: all can */
    unsigned fail_next; /* so many writes fail */
    unsigned writes, count[WRITES];
    uint64_t first[WRITES];
};

static struct device *device_of(struct vm_backing *backing) {
    return (struct device *)backing;
}

static int device_read(struct vm_backing *backing, uint64_t page, void *data) {
    if (!data)
        return 0;
    memset(data, 0, PAGE);
    memcpy(data, device_of(backing)->pages[page], 64);
    return 0;
}

/* While a page is written no entry may let anyone write to it. */
static void expect_protected(struct device *device, uint64_t page) {
    for (unsigned i = 0; i < SPACES; i++) {
        struct vm_leaf leaf;
        if (!device->spaces[i] ||
            !vm_table_find(device->rig->machine, device->spaces[i]->root, AT + page * PAGE, &leaf))
            continue;
        vm_pte entry = vm_pte_read(&leaf.entries[vm_table_index(AT + page * PAGE, 0)]);
        if (!vm_pte_present(entry))
            continue;
        assert_false(vm_pte_writable(entry));
        assert_false(vm_pte_dirty(entry));
        assert_true(
            vm_page_is(vm_page_of(device->rig->machine, vm_pte_frame(entry)), VM_PAGE_LOCKED));
    }
}

static int device_write_run(struct vm_backing *backing, uint64_t page, unsigned count,
                            const void *const *data) {
    struct device *device = device_of(backing);

    assert_true(device->writes < WRITES && page + count <= FILE_PAGES);
    device->first[device->writes] = page;
    device->count[device->writes++] = count;
    for (unsigned i = 0; i < count; i++)
        expect_protected(device, page + i);
    if (device->fail_next > 0 && device->fail_next--)
        return -1;
    if (page <= device->bad && device->bad < page + count)
        return -1;
    for (unsigned i = 0; data && i < count; i++)
        memcpy(device->pages[page + i], data[i], 64);
    return 0;
}

static int device_write(struct vm_backing *backing, uint64_t page, const void *data) {
    const void *const one[] = { data };
    return device_write_run(backing, page, 1, data ? one : NULL);
}

static int64_t device_size(struct vm_backing *backing) {
    (void)backing;
    return FILE_PAGES * PAGE;
}

/* ---------------------------------------------------------------- the scene */

struct scene {
    struct rig *rig;
    struct device device;
    struct vm_object *object;
};

static void open_file(struct scene *scene) {
    scene->device.backing = (struct vm_backing){ .read = device_read,
                                                 .write = device_write,
                                                 .size = device_size,
                                                 .write_run = device_write_run };
    scene->device.rig = scene->rig;
    scene->device.bad = FILE_PAGES;
    assert_int_equal(vm_object_open(scene->rig->machine, &scene->device.backing, 1, &scene->object),
                     VM_OK);
}

static struct scene *begin(struct vm_machine_config plan, unsigned spaces) {
    struct scene *scene = calloc(1, sizeof *scene);

    assert_non_null(scene);
    scene->rig = rig_create_as(plan);
    open_file(scene);
    for (unsigned i = 0; i < spaces; i++) {
        scene->device.spaces[i] = rig_space(scene->rig, i + 1);
        rig_map(scene->device.spaces[i], AT, FILE_PAGES, scene->object);
    }
    return scene;
}

static void close_file(struct scene *scene) {
    for (unsigned i = 0; i < SPACES; i++)
        if (scene->device.spaces[i])
            vm_exit(scene->device.spaces[i]);
    memset(scene->device.spaces, 0, sizeof scene->device.spaces);
    vm_object_put(scene->object);
}

static void end(struct scene *scene) {
    rig_verify(scene->rig);
    close_file(scene);
    rig_destroy(scene->rig);
    free(scene);
}

/* Each page says its own number, and the byte. */
static void write_pages(struct vm_space *space, uint64_t first, uint64_t n, unsigned char byte) {
    for (uint64_t page = first; page < first + n; page++) {
        unsigned char words[2] = { (unsigned char)page, byte };
        assert_int_equal(vm_write(space, AT + page * PAGE, words, sizeof words), VM_OK);
    }
}

static void expect_on_device(const struct device *device, uint64_t first, uint64_t n,
                             unsigned char byte) {
    for (uint64_t page = first; page < first + n; page++) {
        assert_int_equal(device->pages[page][0], byte ? page : 0);
        assert_int_equal(device->pages[page][1], byte);
    }
}

static void expect_write(const struct device *device, unsigned write, uint64_t first, unsigned n) {
    assert_true(write < device->writes);
    assert_int_equal(device->first[write], first);
    assert_int_equal(device->count[write], n);
}

static int sync_all(struct scene *scene) {
    return vm_msync(scene->device.spaces[0], AT, FILE_PAGES * PAGE, VM_MS_SYNC);
}

static struct vm_page *page_at(struct scene *scene, uint64_t index) {
    uint64_t frame = vm_frame_at(scene->device.spaces[0], AT + index * PAGE);
    assert_true(frame != VM_NO_FRAME);
    return vm_page_of(scene->rig->machine, frame);
}

static bool is_dirty(struct scene *scene, uint64_t index) {
    unsigned dirty = vm_page_is(page_at(scene, index), VM_PAGE_DIRTY);

    for (unsigned i = 0; i < SPACES; i++) {
        struct vm_leaf leaf;
        if (scene->device.spaces[i] &&
            vm_table_find(scene->rig->machine, scene->device.spaces[i]->root, AT + index * PAGE,
                          &leaf))
            dirty += vm_pte_dirty(vm_pte_read(&leaf.entries[vm_table_index(AT + index * PAGE, 0)]));
    }
    return dirty > 0;
}

/* ---------------------------------------------------------------- msync */

static void msync_writes_neighbours_in_one_go(struct vm_machine_config plan) {
    struct scene *scene = begin(plan, 2);
    struct device *device = &scene->device;

    write_pages(device->spaces[0], 3, 10, 'a');
    write_pages(device->spaces[1], 13, 10, 'a'); /* the dirty bits are in two page tables */
    assert_int_equal(sync_all(scene), VM_OK);
    assert_int_equal(device->writes, 1);
    expect_write(device, 0, 3, 20);
    expect_on_device(device, 3, 20, 'a');
    assert_int_equal(rig_stats(scene->rig).reclaim.written, 20);
    assert_int_equal(rig_stats(scene->rig).reclaim.file_writes, 1);
    assert_int_equal(sync_all(scene), VM_OK);
    assert_int_equal(device->writes, 1);
    end(scene);
}

/* Clean pages and pages that are not there part them; no write is larger than the largest. */
static void writes_end_where_neighbours_do(struct vm_machine_config plan) {
    struct scene *scene = begin(plan, 1);
    struct device *device = &scene->device;

    assert_int_equal(vm_touch(device->spaces[0], AT, 6, VM_READ, NULL), VM_OK);
    write_pages(device->spaces[0], 0, 3, 'b');
    write_pages(device->spaces[0], 4, 2, 'b'); /* 3 is clean, 6 to 9 are not in memory */
    write_pages(device->spaces[0], 10, SPAN + 7, 'b');
    assert_int_equal(sync_all(scene), VM_OK);
    assert_int_equal(device->writes, 4);
    expect_write(device, 0, 0, 3);
    expect_write(device, 1, 4, 2);
    expect_write(device, 2, 10, SPAN);
    expect_write(device, 3, 10 + SPAN, 7);
    expect_on_device(device, 10, SPAN + 7, 'b');
    write_pages(device->spaces[0], 11, 5, 'c');
    assert_int_equal(vm_msync(device->spaces[0], AT + 12 * PAGE, 2 * PAGE, VM_MS_SYNC), VM_OK);
    expect_write(device, 4, 12, 2); /* and no more than was asked for */
    assert_int_equal(device->writes, 5);
    end(scene);
}

/* ---------------------------------------------------------------- pages out of line */

static bool push_out(struct scene *scene, struct vm_page *page) {
    vm_page_get(scene->rig->machine, page);
    assert_true(vm_lru_remove(scene->rig->machine, page));
    return vm_pageout_page(scene->rig->machine, page);
}

/* The page's entry in the first space is where no walk by areas comes. */
static void show_out_of_line(struct scene *scene, uint64_t shown, uint64_t at) {
    struct vm_space *space = scene->device.spaces[0];
    unsigned char word = 'x';

    assert_int_equal(vm_remap_file_pages(space, AT + at * PAGE, PAGE, shown), VM_OK);
    assert_int_equal(vm_write(space, AT + at * PAGE, &word, 1), VM_OK);
}

/* msync must know of writes through every entry. */
static void msync_finds_what_is_out_of_line(struct vm_machine_config plan) {
    plan.nonlinear = VM_NONLINEAR_CLUSTER;
    struct scene *scene = begin(plan, 2);
    struct device *device = &scene->device;

    write_pages(device->spaces[1], 3, 4, 'o');
    show_out_of_line(scene, 5, 20);
    assert_int_equal(vm_msync(device->spaces[1], AT, FILE_PAGES * PAGE, VM_MS_SYNC), VM_OK);
    assert_int_equal(device->writes, 1);
    expect_write(device, 0, 3, 4);
    assert_int_equal(device->pages[5][0], 'x');
    struct vm_leaf leaf;
    assert_true(vm_table_find(scene->rig->machine, device->spaces[0]->root, AT + 20 * PAGE, &leaf));
    assert_false(vm_pte_writable(vm_pte_read(&leaf.entries[vm_table_index(AT + 20 * PAGE, 0)])));
    end(scene);
}

/* Reclaim does not look for such entries; it leaves a neighbour that has one alone. */
static void reclaim_passes_by_what_is_out_of_line(struct vm_machine_config plan) {
    plan.nonlinear = VM_NONLINEAR_CLUSTER;
    struct scene *scene = begin(plan, 2);
    struct vm_machine *machine = scene->rig->machine;
    struct device *device = &scene->device;
    struct vm_page *page;

    write_pages(device->spaces[1], 3, 5, 'p');
    show_out_of_line(scene, 5, 20);
    vm_lru_drain(machine);
    page = vm_page_of(machine, vm_frame_at(device->spaces[1], AT + 4 * PAGE));
    assert_true(push_out(scene, page));
    bool finds = machine->design->finds_nonlinear && !machine->design->sweep;
    if (finds)
        expect_write(device, 0, 3, 5);
    else
        expect_on_device(device, 5, 1, 0);
    end(scene);
}

/* ---------------------------------------------------------------- failures */

static void a_bad_page_holds_up_no_other(struct vm_machine_config plan) {
    struct scene *scene = begin(plan, 1);
    struct device *device = &scene->device;

    write_pages(device->spaces[0], 5, 9, 'd');
    device->bad = 8;
    assert_int_equal(sync_all(scene), VM_EIO);
    expect_write(device, 0, 5, 9);
    assert_int_equal(device->writes, 1 + 9); /* at once, then each alone */
    for (uint64_t page = 5; page < 14; page++) {
        assert_int_equal(is_dirty(scene, page), page == 8);
        expect_on_device(device, page, 1, page == 8 ? 0 : 'd');
    }
    assert_int_equal(rig_stats(scene->rig).reclaim.written, 8);
    assert_int_equal(rig_stats(scene->rig).reclaim.file_writes, 10);
    assert_int_equal(sync_all(scene), VM_EIO); /* it has been tried again */
    device->bad = FILE_PAGES;
    assert_int_equal(sync_all(scene), VM_OK);
    expect_on_device(device, 8, 1, 'd');
    end(scene);
}

/* A write that failed is told, once, though all is on the device in the end. */
static void every_failure_is_told(struct vm_machine_config plan) {
    struct scene *scene = begin(plan, 1);
    struct device *device = &scene->device;

    write_pages(device->spaces[0], 5, 9, 'e');
    device->fail_next = 1;
    assert_int_equal(sync_all(scene), VM_EIO);
    expect_on_device(device, 5, 9, 'e');
    assert_int_equal(sync_all(scene), VM_OK);
    write_pages(device->spaces[0], 5, 9, 'f');
    device->fail_next = 10; /* one by one, too */
    assert_int_equal(sync_all(scene), VM_EIO);
    expect_on_device(device, 5, 9, 'e');
    for (uint64_t page = 5; page < 14; page++)
        assert_true(is_dirty(scene, page));
    assert_int_equal(sync_all(scene), VM_OK);
    expect_on_device(device, 5, 9, 'f');
    end(scene);
}

/* ---------------------------------------------------------------- reclaim */

/* One page goes; those beside it in its window are clean afterwards, and stay. */
static void reclaim_writes_what_lies_beside(struct vm_machine_config plan) {
    struct scene *scene = begin(plan, 2);
    struct device *device = &scene->device;
    bool asks = !scene->rig->machine->design->sweep; /* who may write to a neighbour */

    write_pages(device->spaces[0], SPAN - 4, 12, 'g');
    write_pages(device->spaces[1], SPAN, 20, 'g');
    vm_lru_drain(scene->rig->machine);
    assert_true(push_out(scene, page_at(scene, SPAN + 3)));
    assert_int_equal(device->writes, 1);
    expect_write(device, 0, asks ? SPAN : SPAN + 3, asks ? 20 : 1);
    expect_on_device(device, SPAN - 4, 4, 0); /* of another window */
    assert_true(is_dirty(scene, SPAN - 1));
    assert_true(vm_frame_at(device->spaces[0], AT + (SPAN + 3) * PAGE) == VM_NO_FRAME);
    for (uint64_t page = SPAN; page < SPAN + 8; page++)
        if (page != SPAN + 3)
            assert_int_equal(is_dirty(scene, page), !asks);

    write_pages(device->spaces[1], SPAN + 4, 1, 'h'); /* it can become dirty again */
    assert_int_equal(sync_all(scene), VM_OK);
    expect_on_device(device, SPAN + 4, 1, 'h');
    expect_on_device(device, SPAN + 5, 15, 'g');
    end(scene);
}

/* Pages that somebody works on, or that are in use, are nobody's to write in passing. */
static void others_pages_are_left_alone(struct vm_machine_config plan) {
    struct scene *scene = begin(plan, 1);
    struct vm_machine *machine = scene->rig->machine;
    struct device *device = &scene->device;

    if (machine->design->sweep) {
        end(scene);
        return;
    }
    write_pages(device->spaces[0], 0, 8, 'i');
    vm_lru_drain(machine);
    vm_lru_move(machine, page_at(scene, 2), VM_LRU_ACTIVE);
    struct vm_page *page = page_at(scene, 4), *locked = page_at(scene, 5);
    assert_true(vm_page_trylock(machine, locked));
    assert_true(push_out(scene, page));
    vm_page_unlock(machine, locked);
    assert_int_equal(device->writes, 3);
    expect_write(device, 0, 0, 2);
    expect_write(device, 1, 3, 2);
    expect_write(device, 2, 6, 2);
    assert_true(is_dirty(scene, 2) && is_dirty(scene, 5));
    end(scene);
}

/* A run of reclaim takes many pages of one file, and asks the device only a few times. */
static void reclaim_writes_few_times(struct vm_machine_config plan) {
    struct scene *scene = begin(plan, 2);
    struct device *device = &scene->device;

    write_pages(device->spaces[0], 0, FILE_PAGES, 'j');
    vm_reclaim(scene->rig->machine, 1024);
    expect_on_device(device, 0, FILE_PAGES, 'j');
    unsigned windows = (FILE_PAGES + SPAN - 1) / SPAN;
    if (scene->rig->machine->design->sweep)
        assert_true(device->writes < FILE_PAGES / 4);
    else if (plan.cpus > 1)
        assert_true(device->writes <= 2 * windows); /* pages may be in use yet, or on their way */
    else
        assert_int_equal(device->writes, windows);
    assert_int_equal(rig_stats(scene->rig).reclaim.written, FILE_PAGES);
    assert_int_equal(rig_stats(scene->rig).memory.file, 0);
    end(scene);
}

/* What cannot be written stays, dirty; its neighbours go. msync tells. */
static void reclaim_keeps_what_it_cannot_write(struct vm_machine_config plan) {
    struct scene *scene = begin(plan, 1);
    struct device *device = &scene->device;

    write_pages(device->spaces[0], 0, 20, 'k');
    device->bad = 11;
    vm_reclaim(scene->rig->machine, 1024);
    assert_int_equal(rig_stats(scene->rig).memory.file, 1);
    expect_on_device(device, 0, 11, 'k');
    expect_on_device(device, 12, 8, 'k');
    assert_int_equal(sync_all(scene), VM_EIO);
    device->bad = FILE_PAGES;
    vm_reclaim(scene->rig->machine, 1024);
    expect_on_device(device, 11, 1, 'k');
    end(scene);
}

/* ---------------------------------------------------------------- closing, swap */

static void closing_writes_neighbours_in_one_go(struct vm_machine_config plan) {
    struct scene *scene = begin(plan, 1);
    struct device *device = &scene->device;

    write_pages(device->spaces[0], 1, SPAN + 3, 'l');
    close_file(scene);
    assert_int_equal(device->writes, 2);
    expect_on_device(device, 1, SPAN + 3, 'l');
    rig_destroy(scene->rig);
    free(scene);
}

/* Private pages that go together have neighbouring slots: few writes. All come back. */
static void swap_is_written_few_times(struct vm_machine_config plan) {
    struct scene *scene = begin(plan, 0);
    struct vm_space *space = rig_space(scene->rig, 9);
    struct vm_object *shm;
    enum { PRIVATE = 64, SHARED = 40 };

    assert_int_equal(vm_object_create_shm(scene->rig->machine, SHARED * PAGE, 2, &shm), VM_OK);
    rig_map(space, AT, PRIVATE, NULL);
    rig_map(space, AT + PRIVATE * PAGE, SHARED, shm);
    write_pages(space, 0, PRIVATE + SHARED, 'm');
    vm_reclaim(scene->rig->machine, 1024);
    struct vm_stats stats = rig_stats(scene->rig);
    assert_int_equal(stats.reclaim.swapped_out, PRIVATE + SHARED);
    assert_true(stats.reclaim.swap_writes >= (PRIVATE + SHARED) / SPAN);
    assert_true(stats.reclaim.swap_writes <= 2 * (PRIVATE + SHARED) / SPAN);
    for (uint64_t page = 0; page < PRIVATE + SHARED; page++) {
        unsigned char words[2];
        assert_int_equal(vm_read(space, AT + page * PAGE, words, sizeof words), VM_OK);
        assert_int_equal(words[0], page);
        assert_int_equal(words[1], 'm');
    }
    vm_object_put(shm);
    end(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_EACH_MACHINE(msync_writes_neighbours_in_one_go),
        ON_EACH_MACHINE(writes_end_where_neighbours_do),
        ON_EACH_MACHINE(msync_finds_what_is_out_of_line),
        ON_EACH_MACHINE(reclaim_passes_by_what_is_out_of_line),
        ON_EACH_MACHINE(a_bad_page_holds_up_no_other),
        ON_EACH_MACHINE(every_failure_is_told),
        ON_EACH_MACHINE(reclaim_writes_what_lies_beside),
        ON_EACH_MACHINE(others_pages_are_left_alone),
        ON_EACH_MACHINE(reclaim_writes_few_times),
        ON_EACH_MACHINE(reclaim_keeps_what_it_cannot_write),
        ON_EACH_MACHINE(closing_writes_neighbours_in_one_go),
        ON_EACH_MACHINE(swap_is_written_few_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
