/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * objects.c - truncation against whoever brings pages of the object back, and write-back against
 * whoever writes.
 */
#include "scenarios.h"

/* ---- the stages */

static void map_file(struct stage *stage) {
    stage->object = stage_file(stage, PAGES);
    stage->parent = stage_space(stage);
    map_object(stage->parent, HERE, PAGES, VM_MAP_SHARED, stage->object, 0);
}

/* All pages are in the cache, none is mapped by the parent. */
static void cached_file(struct stage *stage) {
    map_file(stage);
    stage->other = stage_space(stage);
    map_object(stage->other, HERE, PAGES, VM_MAP_SHARED, stage->object, 0);
    for (unsigned i = 0; i < PAGES; i++)
        require(get(stage->other, HERE + i * PAGE) == 100 + i);
    stage_exit(&stage->other);
}

static void touched_file(struct stage *stage) {
    map_file(stage);
    for (unsigned i = 0; i < PAGES; i++)
        require(get(stage->parent, HERE + i * PAGE) == 100 + i);
}

static void private_file(struct stage *stage) {
    stage->object = stage_file(stage, PAGES);
    stage->parent = stage_space(stage);
    map_object(stage->parent, HERE, PAGES, VM_MAP_PRIVATE, stage->object, 0);
}

static void private_copies(struct stage *stage) {
    private_file(stage);
    put(stage->parent, HERE + 2 * PAGE, 7);
}

static void touched_shm(struct stage *stage) {
    stage->object = stage_shm(stage, PAGES);
    stage->parent = stage_space(stage);
    map_object(stage->parent, HERE, PAGES, VM_MAP_SHARED, stage->object, 0);
    for (unsigned i = 0; i < PAGES; i++)
        put(stage->parent, HERE + i * PAGE, 100 + i);
}

static void evicted_shm(struct stage *stage) {
    touched_shm(stage);
    page_out_all(stage);
}

/* ---- truncation */

static void truncate(struct stage *stage) {
    require(vm_object_truncate(stage->object, PAGE) == VM_OK);
}

static void truncate_and_grow(struct stage *stage) {
    require(vm_object_truncate(stage->object, PAGE) == VM_OK);
    require(vm_object_truncate(stage->object, PAGES * PAGE) == VM_OK);
}

static void read_around(struct stage *stage) {
    require(get(stage->parent, HERE) == 100);
}

static void evict(struct stage *stage) {
    page_out(stage);
}

static void judge_contents(struct stage *stage) {
    for (unsigned i = 0; i < PAGES; i++)
        require(get(stage->parent, HERE + i * PAGE) == 100 + i);
}

static void read_beyond(struct stage *stage) {
    uint64_t value;
    int result = try_get(stage->parent, HERE + 2 * PAGE, &value);
    require(result == VM_SIGBUS || (result == VM_OK && value == 102));
}

static void read_beyond_or_zero(struct stage *stage) {
    uint64_t value;
    int result = try_get(stage->parent, HERE + 2 * PAGE, &value);
    require(result == VM_SIGBUS || (result == VM_OK && (value == 102 || value == 0)));
}

static void write_beyond(struct stage *stage) {
    int result = try_put(stage->parent, HERE + 2 * PAGE, 8);
    require(result == VM_OK || result == VM_SIGBUS);
}

static void move_away(struct stage *stage) {
    require(move(stage->parent, HERE, THERE, PAGES) == VM_OK);
}

static void move_back(struct stage *stage) {
    require(move(stage->parent, HERE, THERE, PAGES) == VM_OK);
    require(move(stage->parent, THERE, HERE, PAGES) == VM_OK);
}

static void fork_now(struct stage *stage) {
    stage->child = stage_fork(stage, stage->parent);
}

static void unmap(struct stage *stage) {
    require(vm_munmap(stage->parent, HERE, PAGES * PAGE) == VM_OK);
}

static void require_cut(struct vm_space *space, uint64_t start) {
    uint64_t value;

    require(get(space, start) == 100);
    for (unsigned i = 1; i < PAGES; i++) {
        require(vm_frame_at(space, start + i * PAGE) == VM_NO_FRAME);
        require(try_get(space, start + i * PAGE, &value) == VM_SIGBUS);
    }
}

static void judge_cut(struct stage *stage) {
    require_cut(stage->parent, HERE);
}

static void judge_cut_there(struct stage *stage) {
    require_cut(stage->parent, THERE);
}

static void judge_cut_in_both(struct stage *stage) {
    require_cut(stage->parent, HERE);
    require_cut(stage->child, HERE);
}

static void judge_all_zero(struct stage *stage) {
    require(get(stage->parent, HERE) == 100);
    for (unsigned i = 1; i < PAGES; i++)
        require(get(stage->parent, HERE + i * PAGE) == 0);
}

/* ---- writing back */

static void write_first(struct stage *stage) {
    put(stage->parent, HERE, 7);
}

static void write_twice(struct stage *stage) {
    put(stage->parent, HERE, 6);
    put(stage->parent, HERE, 7);
}

static void sync_now(struct stage *stage) {
    require(vm_msync(stage->parent, HERE, PAGES * PAGE, VM_MS_SYNC) == VM_OK);
}

static void sync_other(struct stage *stage) {
    require(vm_msync(stage->other, HERE, PAGES * PAGE, VM_MS_SYNC) == VM_OK);
}

/* Once nobody holds the file any more, the device has what was written last. */
static void judge_on_device(struct stage *stage) {
    require(get(stage->parent, HERE) == 7);
    stage_exit(&stage->parent);
    stage_exit(&stage->other);
    vm_object_put(stage->object);
    stage->object = NULL;
    require(stage->file.words[0] == 7 && stage->file.words[1] == 101);
}

static void file_of_two(struct stage *stage) {
    touched_file(stage);
    stage->other = stage_space(stage);
    map_object(stage->other, HERE, PAGES, VM_MAP_SHARED, stage->object, 0);
    put(stage->other, HERE, 5);
}

/* What msync has said is safe: it is on the device before anything else happens. */
static void write_and_sync(struct stage *stage) {
    put(stage->parent, HERE, 7);
    require(vm_msync(stage->parent, HERE, PAGES * PAGE, VM_MS_SYNC) == VM_OK);
    require(stage->file.words[0] == 7);
}

/* ---- the last reference */

static void unmap_last(struct stage *stage) {
    stage_exit(&stage->parent);
}

static void let_go(struct stage *stage) {
    vm_object_put(stage->object);
    stage->object = NULL;
}

const struct scenario object_scenarios[] = {
    { .name = "truncate-around",
      .what = "a fault maps cached neighbours while they are cut off",
      .set_up = cached_file,
      .actors = { read_around, truncate },
      .judge = judge_cut },
    { .name = "truncate-read",
      .what = "a fault brings in a page while it is cut off",
      .set_up = map_file,
      .actors = { read_beyond, truncate },
      .judge = judge_cut },
    { .name = "truncate-write",
      .what = "a fault makes a page writable while it is cut off",
      .set_up = touched_file,
      .actors = { write_beyond, truncate },
      .judge = judge_cut },
    { .name = "truncate-cow",
      .what = "a private copy is made while the page is cut off",
      .set_up = private_copies,
      .actors = { write_beyond, truncate },
      .judge = judge_cut },
    { .name = "truncate-copy",
      .what = "the first private copy is made while the page is cut off",
      .set_up = private_file,
      .actors = { write_beyond, truncate },
      .judge = judge_cut },
    { .name = "truncate-grow",
      .what = "a reader while the object is cut and grows again",
      .set_up = touched_file,
      .actors = { read_beyond_or_zero, truncate },
      .judge = judge_cut },
    { .name = "truncate-move",
      .what = "mremap moves what is cut off",
      .set_up = touched_file,
      .actors = { move_away, truncate },
      .judge = judge_cut_there },
    { .name = "truncate-move-ahead",
      .what = "the same where the new area comes earlier in the index",
      .file_index = "list",
      .set_up = touched_file,
      .actors = { move_away, truncate },
      .judge = judge_cut_there },
    { .name = "truncate-move-private",
      .what = "a private copy is moved; truncation comes to its new area first, and once only",
      .file_index = "list",
      .set_up = private_copies,
      .actors = { move_away, truncate },
      .judge = judge_cut_there },
    { .name = "truncate-move-back",
      .what = "mremap moves what is cut off, and moves it back",
      .set_up = touched_file,
      .actors = { move_back, truncate },
      .judge = judge_cut },
    { .name = "truncate-fork",
      .what = "fork copies what is cut off",
      .fork_copy = VM_FORK_EAGER,
      .set_up = touched_file,
      .actors = { fork_now, truncate },
      .judge = judge_cut_in_both },
    { .name = "truncate-fork-private",
      .what = "fork copies private pages that are cut off",
      .set_up = private_copies,
      .actors = { fork_now, truncate },
      .judge = judge_cut_in_both },
    { .name = "truncate-unmap",
      .what = "what is cut off is unmapped",
      .set_up = touched_file,
      .actors = { unmap, truncate } },
    { .name = "truncate-swapped",
      .what = "shared memory comes back from swap while it is cut off",
      .set_up = evicted_shm,
      .actors = { read_beyond, truncate },
      .judge = judge_cut },
    { .name = "truncate-reclaim",
      .what = "shared memory is evicted while it is cut off, and grows again",
      .set_up = touched_shm,
      .actors = { evict, truncate_and_grow },
      .judge = judge_all_zero },
    { .name = "sync-write",
      .what = "msync writes back a page while a thread writes to it",
      .set_up = touched_file,
      .actors = { write_first, sync_now },
      .judge = judge_on_device },
    { .name = "sync-writes",
      .what = "msync twice while a thread writes twice",
      .set_up = touched_file,
      .actors = { write_twice, sync_now, sync_now },
      .judge = judge_on_device },
    { .name = "sync-other",
      .what = "msync in another space: its entries and ours tell of writes",
      .set_up = file_of_two,
      .actors = { write_first, sync_other },
      .judge = judge_on_device },
    { .name = "sync-promise",
      .what = "two write-backs: what msync says is safe is on the device",
      .set_up = file_of_two,
      .actors = { write_and_sync, sync_other },
      .judge = judge_on_device },
    { .name = "evict-around",
      .what = "a fault maps cached neighbours while they are evicted",
      .set_up = cached_file,
      .actors = { read_around, evict },
      .judge = judge_contents },
    { .name = "clean-write",
      .what = "reclaim writes back a file's page while a thread writes to it",
      .set_up = touched_file,
      .actors = { write_first, evict },
      .judge = judge_on_device },
    { .name = "object-ends",
      .what = "the last two references go at once",
      .set_up = touched_file,
      .actors = { unmap_last, let_go } },
    { .name = NULL },
};
