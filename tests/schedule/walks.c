/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * walks.c - who maps this page? Asked while one of the mappings comes, goes or moves.
 *
 * A mapping that is there all the time must be seen; one that comes or goes may be. Afterwards every
 * walk sees all there are: that is vm_verify()'s business.
 */
#include "scenarios.h"

/* There, moving a page that others have as well makes a copy. */
#define EXCEPT_ANONMM                                                                              \
    "virtual-scan pte-chain-list pte-chain-direct pte-chain shadow objrmap-partial "               \
    "anon-vma-direct anon-vma anon-vma-chain"

/* ---- the stages */

static void empty_area(struct stage *stage) {
    stage->parent = stage_space(stage);
    map_anonymous(stage->parent, HERE, PAGES);
}

static void one_page(struct stage *stage) {
    stage->parent = stage_space(stage);
    map_anonymous(stage->parent, HERE, PAGES);
    put(stage->parent, HERE + PAGE, 7);
    stage->frame = vm_frame_at(stage->parent, HERE + PAGE);
}

static void page_of_parent_and_child(struct stage *stage) {
    one_page(stage);
    stage->child = stage_fork(stage, stage->parent);
}

static void shared_page_of_two(struct stage *stage) {
    stage->object = stage_shm(stage, PAGES);
    stage->parent = stage_space(stage);
    stage->child = stage_space(stage);
    map_object(stage->parent, HERE, PAGES, VM_MAP_SHARED, stage->object, 0);
    map_object(stage->child, HERE, PAGES, VM_MAP_SHARED, stage->object, 0);
    put(stage->parent, HERE + PAGE, 7);
    require(get(stage->child, HERE + PAGE) == 7);
    stage->frame = vm_frame_at(stage->parent, HERE + PAGE);
}

static void one_shared_page(struct stage *stage) {
    stage->object = stage_shm(stage, PAGES);
    stage->parent = stage_space(stage);
    map_object(stage->parent, HERE, PAGES, VM_MAP_SHARED, stage->object, 0);
    put(stage->parent, HERE + PAGE, 7);
    stage->frame = vm_frame_at(stage->parent, HERE + PAGE);
}

static void page_of_a_split_area(struct stage *stage) {
    one_page(stage);
    put(stage->parent, HERE + 2 * PAGE, 8);
    require(vm_mprotect(stage->parent, HERE + 2 * PAGE, PAGE, VM_PROT_READ) == VM_OK);
}

static void moved_once(struct stage *stage) {
    one_page(stage);
    require(move(stage->parent, HERE, THERE, PAGES) == VM_OK);
}

static void shared_moved_once(struct stage *stage) {
    one_shared_page(stage);
    require(move(stage->parent, HERE, THERE, PAGES) == VM_OK);
}

/* The page in question is in an area of its own between two others. */
static void moved_out_of_the_middle(struct stage *stage) {
    one_shared_page(stage);
    require(move(stage->parent, HERE + PAGE, THERE, 1) == VM_OK);
}

static void child_moved_once(struct stage *stage) {
    page_of_parent_and_child(stage);
    require(move(stage->child, HERE, THERE, PAGES) == VM_OK);
}

/* ---- who asks */

static void expect_parent_seen(struct stage *stage) {
    struct sightings seen = look(stage, stage->frame);
    require(seen_in(&seen, stage->parent));
}

static void look_anyhow(struct stage *stage) {
    struct sightings seen = look(stage, stage->frame);
    require(seen.count <= 1);
}

static void expect_two_seen(struct stage *stage) {
    struct sightings seen = look(stage, stage->frame);
    require(seen.count == 2 && seen_in(&seen, stage->parent) && seen_in(&seen, stage->child));
}

/* Another thread may just be making what this page will be found by. */
static void touch_and_expect_seen(struct stage *stage) {
    put(stage->parent, HERE + PAGE, 7);
    struct sightings seen = look(stage, vm_frame_at(stage->parent, HERE + PAGE));
    require(seen.count == 1 && seen_in(&seen, stage->parent));
}

/* ---- who changes something */

static void touch_first(struct stage *stage) {
    put(stage->parent, HERE, 6);
}

static void unmap_in_child(struct stage *stage) {
    require(vm_munmap(stage->child, HERE, PAGES * PAGE) == VM_OK);
}

static void unmap_in_parent(struct stage *stage) {
    require(vm_munmap(stage->parent, HERE, PAGES * PAGE) == VM_OK);
}

static void fork_child(struct stage *stage) {
    stage->child = stage_fork(stage, stage->parent);
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

static void move_child_there(struct stage *stage) {
    require(move(stage->child, HERE, THERE, PAGES) == VM_OK);
}

static void move_child_back(struct stage *stage) {
    require(move(stage->child, THERE, HERE, PAGES) == VM_OK);
}

static void move_middle_there(struct stage *stage) {
    require(move(stage->parent, HERE + PAGE, THERE, 1) == VM_OK);
}

static void move_middle_back(struct stage *stage) {
    require(move(stage->parent, THERE, HERE + PAGE, 1) == VM_OK);
}

static void split(struct stage *stage) {
    require(vm_mprotect(stage->parent, HERE + 2 * PAGE, PAGE, VM_PROT_READ) == VM_OK);
}

static void merge(struct stage *stage) {
    require(vm_mprotect(stage->parent, HERE + 2 * PAGE, PAGE, RW) == VM_OK);
}

static void split_below(struct stage *stage) {
    require(vm_mprotect(stage->parent, HERE, PAGE, VM_PROT_READ) == VM_OK);
}

static void unmap_neighbours(struct stage *stage) {
    require(vm_munmap(stage->parent, HERE, PAGE) == VM_OK);
    require(vm_munmap(stage->parent, HERE + 2 * PAGE, PAGE) == VM_OK);
}

static void write_in_child(struct stage *stage) {
    put(stage->child, HERE + PAGE, 8);
}

static void write_in_parent(struct stage *stage) {
    put(stage->parent, HERE + PAGE, 8);
}

static void expect_family_seen(struct stage *stage) {
    struct sightings seen = look(stage, stage->frame);
    require(seen_in(&seen, stage->parent) && seen_in(&seen, stage->child));
}

static void expect_child_seen(struct stage *stage) {
    struct sightings seen = look(stage, stage->frame);
    require(seen_in(&seen, stage->child));
}

const struct scenario walk_scenarios[] = {
    { .name = "walk-unmap",
      .what = "one of two mappings is unmapped",
      .set_up = page_of_parent_and_child,
      .actors = { expect_parent_seen, unmap_in_child } },
    { .name = "walk-first-pages",
      .what = "two threads bring an area's first pages, and one asks for its own",
      .set_up = empty_area,
      .actors = { touch_and_expect_seen, touch_first } },
    { .name = "walk-unmap-last",
      .what = "the last mapping is unmapped, and the page freed",
      .set_up = one_page,
      .actors = { look_anyhow, unmap_in_parent } },
    { .name = "walk-unmap-shared",
      .what = "the last mapping of an object's page is unmapped",
      .set_up = one_shared_page,
      .actors = { look_anyhow, unmap_in_parent } },
    { .name = "walk-fork",
      .what = "fork copies the table",
      .set_up = one_page,
      .actors = { expect_parent_seen, fork_child } },
    { .name = "walk-fork-shared",
      .what = "fork copies the table of an object's area",
      .fork_copy = VM_FORK_EAGER,
      .set_up = one_shared_page,
      .actors = { expect_parent_seen, fork_child } },
    { .name = "walk-exit",
      .what = "the child exits",
      .set_up = page_of_parent_and_child,
      .actors = { expect_parent_seen, exit_child } },
    { .name = "walk-exec",
      .what = "the child leaves its memory",
      .set_up = page_of_parent_and_child,
      .actors = { expect_parent_seen, exec_child } },
    { .name = "walk-move",
      .what = "mremap moves the page's area",
      .set_up = one_page,
      .actors = { expect_parent_seen, move_there } },
    { .name = "walk-move-back",
      .what = "mremap moves an area that was moved before",
      .set_up = moved_once,
      .actors = { expect_parent_seen, move_back } },
    { .name = "walk-move-shared",
      .what = "mremap moves an object's area: the new one comes later in the index",
      .set_up = one_shared_page,
      .actors = { expect_parent_seen, move_there } },
    { .name = "walk-move-shared-ahead",
      .what = "the same where the new one comes earlier in the index",
      .file_index = "list",
      .set_up = one_shared_page,
      .actors = { expect_parent_seen, move_there } },
    { .name = "walk-move-shared-back",
      .what = "mremap moves an object's area back",
      .set_up = shared_moved_once,
      .actors = { expect_parent_seen, move_back } },
    { .name = "walk-move-middle",
      .what = "mremap takes the page out of the middle of an object's area",
      .set_up = one_shared_page,
      .actors = { expect_parent_seen, move_middle_there } },
    { .name = "walk-move-middle-back",
      .what = "mremap puts the page back between its neighbours",
      .set_up = moved_out_of_the_middle,
      .actors = { expect_parent_seen, move_middle_back } },
    { .name = "walk-move-parent",
      .what = "mremap moves a page that the child has, too",
      .designs = EXCEPT_ANONMM,
      .set_up = page_of_parent_and_child,
      .actors = { expect_family_seen, move_there } },
    { .name = "walk-move-child",
      .what = "mremap moves a page that the parent has, too",
      .designs = EXCEPT_ANONMM,
      .set_up = page_of_parent_and_child,
      .actors = { expect_family_seen, move_child_there } },
    { .name = "walk-move-child-back",
      .what = "mremap moves it once more",
      .designs = EXCEPT_ANONMM,
      .set_up = child_moved_once,
      .actors = { expect_family_seen, move_child_back } },
    { .name = "walk-split",
      .what = "the area is split above the page",
      .set_up = one_page,
      .actors = { expect_parent_seen, split } },
    { .name = "walk-split-below",
      .what = "the area is split below the page",
      .set_up = one_page,
      .actors = { expect_parent_seen, split_below } },
    { .name = "walk-split-shared",
      .what = "an object's area is split",
      .set_up = one_shared_page,
      .actors = { expect_parent_seen, split } },
    { .name = "walk-merge",
      .what = "areas are joined again",
      .set_up = page_of_a_split_area,
      .actors = { expect_parent_seen, merge } },
    { .name = "walk-cut",
      .what = "both neighbours of the page are unmapped",
      .set_up = one_page,
      .actors = { expect_parent_seen, unmap_neighbours } },
    { .name = "walk-cow-child",
      .what = "the child gets a copy",
      .set_up = page_of_parent_and_child,
      .actors = { expect_parent_seen, write_in_child } },
    { .name = "walk-cow-parent",
      .what = "the parent gets a copy",
      .set_up = page_of_parent_and_child,
      .actors = { expect_child_seen, write_in_parent } },
    { .name = "two-walks",
      .what = "two ask at once",
      .set_up = page_of_parent_and_child,
      .actors = { expect_two_seen, expect_two_seen } },
    { .name = "two-walks-shared",
      .what = "two ask at once for an object's page",
      .set_up = shared_page_of_two,
      .actors = { expect_two_seen, expect_two_seen } },
    { .name = NULL },
};
