/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * migrations.c - a page comes to another frame while its mappings come, go, move or are used.
 *
 * Afterwards the page holds what it held, or what was written meanwhile, wherever it is still mapped;
 * it may have stayed where it was, since somebody was at work on it.
 */
#include "scenarios.h"

#include "vm/object/swap.h"
#include "vm/reclaim/reclaim.h"

#define AT (HERE + PAGE)

/* ---- the stages; who moves the page has a reference from the beginning */

static struct vm_page *page_of(struct stage *stage) {
    return vm_page_of(stage->machine, stage->frame);
}

static void hold(struct stage *stage) {
    stage->frame = vm_frame_at(stage->parent, AT);
    vm_page_get(stage->machine, page_of(stage));
}

static void fill_one_page(struct stage *stage) {
    stage->parent = stage_space(stage);
    map_anonymous(stage->parent, HERE, PAGES);
    put(stage->parent, AT, 7);
}

static void one_page(struct stage *stage) {
    fill_one_page(stage);
    hold(stage);
}

static void page_of_parent_and_child(struct stage *stage) {
    fill_one_page(stage);
    stage->child = stage_fork(stage, stage->parent);
    hold(stage);
}

static void moved_once(struct stage *stage) {
    fill_one_page(stage);
    require(move(stage->parent, HERE, THERE, PAGES) == VM_OK);
    stage->frame = vm_frame_at(stage->parent, THERE + PAGE);
    vm_page_get(stage->machine, page_of(stage));
}

static void page_of_a_split_area(struct stage *stage) {
    fill_one_page(stage);
    put(stage->parent, AT + PAGE, 8);
    require(vm_mprotect(stage->parent, AT + PAGE, PAGE, VM_PROT_READ) == VM_OK);
    hold(stage);
}

/* Only the parent's entry tells that the page is dirty. */
static void shared_page_of_two(struct stage *stage) {
    stage->object = stage_shm(stage, PAGES);
    stage->parent = stage_space(stage);
    stage->child = stage_space(stage);
    map_object(stage->parent, HERE, PAGES, VM_MAP_SHARED, stage->object, 0);
    map_object(stage->child, HERE, PAGES, VM_MAP_SHARED, stage->object, 0);
    require(get(stage->parent, AT) == 0);
    put(stage->parent, AT, 7);
    require(get(stage->child, AT) == 7);
    hold(stage);
}

/* The parent has it mapped, the child knows its slot. */
static void page_of_the_swap_cache(struct stage *stage) {
    fill_one_page(stage);
    stage->child = stage_fork(stage, stage->parent);
    page_out_all(stage);
    require(get(stage->parent, AT) == 7);
    hold(stage);
}

static void page_given_away(struct stage *stage) {
    fill_one_page(stage);
    require(vm_madvise(stage->parent, HERE, PAGES * PAGE, VM_MADV_FREE) == VM_OK);
    hold(stage);
}

/* ---- who moves the page */

static void migrate(struct stage *stage) {
    int error = vm_page_migrate(stage->machine, page_of(stage), 0);

    require(error == VM_OK || error == VM_EAGAIN);
    vm_swap_page_put(stage->machine, page_of(stage));
}

/* ---- what others do */

static void fork_child(struct stage *stage) {
    stage->child = stage_fork(stage, stage->parent);
}

static void fork_other(struct stage *stage) {
    stage->other = stage_fork(stage, stage->child);
}

static void read_in_parent(struct stage *stage) {
    require(get(stage->parent, AT) == 7);
}

static void read_in_child(struct stage *stage) {
    require(get(stage->child, AT) == 7);
}

static void write_in_parent(struct stage *stage) {
    put(stage->parent, AT, 8);
    require(get(stage->parent, AT) == 8);
}

static void write_in_child(struct stage *stage) {
    put(stage->child, AT, 8);
    require(get(stage->child, AT) == 8);
}

static void write_shared(struct stage *stage) {
    put(stage->child, AT, 8);
    require(get(stage->parent, AT) == 8);
}

static void unmap_in_parent(struct stage *stage) {
    require(vm_munmap(stage->parent, HERE, PAGES * PAGE) == VM_OK);
}

static void exit_child(struct stage *stage) {
    stage_exit(&stage->child);
}

static void exec_child(struct stage *stage) {
    require(vm_exec(stage->child) == VM_OK);
}

static void move_there(struct stage *stage) {
    require(move(stage->parent, HERE, THERE, PAGES) == VM_OK);
}

static void move_back(struct stage *stage) {
    require(move(stage->parent, THERE, HERE, PAGES) == VM_OK);
}

static void split(struct stage *stage) {
    require(vm_mprotect(stage->parent, AT, PAGE, VM_PROT_READ) == VM_OK);
}

static void merge(struct stage *stage) {
    require(vm_mprotect(stage->parent, AT + PAGE, PAGE, RW) == VM_OK);
}

static void truncate(struct stage *stage) {
    require(vm_object_truncate(stage->object, PAGE) == VM_OK);
}

/* ---- what must have become of it */

static void expect_7_in_parent(struct stage *stage) {
    require(get(stage->parent, AT) == 7);
}

static void expect_7_in_child(struct stage *stage) {
    require(get(stage->child, AT) == 7);
}

static void expect_7_in_both(struct stage *stage) {
    expect_7_in_parent(stage);
    expect_7_in_child(stage);
}

static void expect_7_in_all(struct stage *stage) {
    expect_7_in_both(stage);
    require(get(stage->other, AT) == 7);
}

static void expect_8_in_parent(struct stage *stage) {
    require(get(stage->parent, AT) == 8);
}

static void expect_7_and_8(struct stage *stage) {
    expect_7_in_parent(stage);
    require(get(stage->child, AT) == 8);
}

static void expect_8_in_both(struct stage *stage) {
    expect_8_in_parent(stage);
    require(get(stage->child, AT) == 8);
}

static void expect_7_there(struct stage *stage) {
    require(get(stage->parent, THERE + PAGE) == 7);
}

static void expect_write_kept(struct stage *stage) {
    page_out_all(stage);
    expect_8_in_parent(stage);
}

static void expect_7_after_eviction(struct stage *stage) {
    page_out_all(stage);
    expect_7_in_child(stage);
}

static void expect_cut_off(struct stage *stage) {
    uint64_t value;
    require(try_get(stage->parent, AT, &value) == VM_SIGBUS);
}

const struct scenario migration_scenarios[] = {
    { .name = "migrate-read",
      .what = "the page is read",
      .set_up = one_page,
      .actors = { migrate, read_in_parent },
      .judge = expect_7_in_parent },
    { .name = "migrate-write",
      .what = "the page is written",
      .set_up = one_page,
      .actors = { migrate, write_in_parent },
      .judge = expect_8_in_parent },
    { .name = "migrate-write-shared",
      .what = "an object's page is written at one place and read at another",
      .set_up = shared_page_of_two,
      .actors = { migrate, write_shared },
      .judge = expect_8_in_both },
    { .name = "migrate-cow",
      .what = "the child gets a copy",
      .set_up = page_of_parent_and_child,
      .actors = { migrate, write_in_child },
      .judge = expect_7_and_8 },
    { .name = "migrate-fork",
      .what = "fork copies the table",
      .set_up = one_page,
      .actors = { migrate, fork_child },
      .judge = expect_7_in_both },
    { .name = "migrate-fork-child",
      .what = "the child forks, too",
      .set_up = page_of_parent_and_child,
      .actors = { migrate, fork_other },
      .judge = expect_7_in_all },
    { .name = "migrate-fork-shared",
      .what = "fork copies the table of an object's area",
      .fork_copy = VM_FORK_EAGER,
      .set_up = shared_page_of_two,
      .actors = { migrate, fork_other },
      .judge = expect_7_in_all },
    { .name = "migrate-unmap",
      .what = "the last mapping is unmapped",
      .set_up = one_page,
      .actors = { migrate, unmap_in_parent } },
    { .name = "migrate-unmap-dirty",
      .what = "the one entry that knows of a write is unmapped",
      .set_up = shared_page_of_two,
      .actors = { migrate, unmap_in_parent },
      .judge = expect_7_after_eviction },
    { .name = "migrate-exit",
      .what = "the child exits",
      .set_up = page_of_parent_and_child,
      .actors = { migrate, exit_child },
      .judge = expect_7_in_parent },
    { .name = "migrate-exec",
      .what = "the child leaves its memory",
      .set_up = page_of_parent_and_child,
      .actors = { migrate, exec_child },
      .judge = expect_7_in_parent },
    { .name = "migrate-move",
      .what = "mremap moves the page's area",
      .set_up = one_page,
      .actors = { migrate, move_there },
      .judge = expect_7_there },
    { .name = "migrate-move-back",
      .what = "mremap moves it back",
      .set_up = moved_once,
      .actors = { migrate, move_back },
      .judge = expect_7_in_parent },
    { .name = "migrate-move-family",
      .what = "mremap moves a page that the child has, too",
      .set_up = page_of_parent_and_child,
      .actors = { migrate, move_there },
      .judge = expect_7_there },
    { .name = "migrate-move-shared",
      .what = "mremap moves an object's area",
      .set_up = shared_page_of_two,
      .actors = { migrate, move_there },
      .judge = expect_7_there },
    { .name = "migrate-split",
      .what = "the page comes into an area of its own",
      .set_up = one_page,
      .actors = { migrate, split },
      .judge = expect_7_in_parent },
    { .name = "migrate-merge",
      .what = "areas are joined again",
      .set_up = page_of_a_split_area,
      .actors = { migrate, merge },
      .judge = expect_7_in_parent },
    { .name = "migrate-truncate",
      .what = "the object is cut before the page",
      .set_up = shared_page_of_two,
      .actors = { migrate, truncate },
      .judge = expect_cut_off },
    { .name = "migrate-reclaim",
      .what = "reclaim takes the page away",
      .set_up = page_of_parent_and_child,
      .actors = { migrate, page_out },
      .judge = expect_7_in_both },
    { .name = "migrate-swap-in",
      .what = "the child finds the page in the swap cache",
      .set_up = page_of_the_swap_cache,
      .actors = { migrate, read_in_child },
      .judge = expect_7_in_both },
    { .name = "migrate-given-away",
      .what = "a page given to MADV_FREE is written again",
      .set_up = page_given_away,
      .actors = { migrate, write_in_parent },
      .judge = expect_write_kept },
    { .name = NULL },
};
