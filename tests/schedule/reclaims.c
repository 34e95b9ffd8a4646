/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reclaims.c - reclaim against all others: it starts from a page, whatever becomes of the spaces,
 * areas and owners that it will find there. What was written must be read again.
 */
#include "scenarios.h"

/* ---- the stages */

static void written_area(struct stage *stage) {
    stage->parent = stage_space(stage);
    map_anonymous(stage->parent, HERE, PAGES);
    put(stage->parent, HERE, 1);
}

static void evicted_area(struct stage *stage) {
    written_area(stage);
    page_out_all(stage);
    require(vm_frame_at(stage->parent, HERE) == VM_NO_FRAME);
}

static void parent_and_child(struct stage *stage) {
    written_area(stage);
    stage->child = stage_fork(stage, stage->parent);
}

static void evicted_family(struct stage *stage) {
    parent_and_child(stage);
    page_out_all(stage);
    require(vm_frame_at(stage->parent, HERE) == VM_NO_FRAME);
}

/* In memory again, but its slot still has it. */
static void read_back(struct stage *stage) {
    evicted_area(stage);
    require(get(stage->parent, HERE) == 1);
}

static void free_for_the_taking(struct stage *stage) {
    written_area(stage);
    require(vm_madvise(stage->parent, HERE, PAGES * PAGE, VM_MADV_FREE) == VM_OK);
}

static void shm_of_two(struct stage *stage) {
    stage->object = stage_shm(stage, PAGES);
    stage->parent = stage_space(stage);
    stage->child = stage_space(stage);
    map_object(stage->parent, HERE, PAGES, VM_MAP_SHARED, stage->object, 0);
    map_object(stage->child, HERE, PAGES, VM_MAP_SHARED, stage->object, 0);
    put(stage->parent, HERE, 1);
    require(get(stage->child, HERE) == 1);
}

/* Only the parent's area keeps the object. */
static void object_of_one_area(struct stage *stage) {
    stage->object = stage_shm(stage, PAGES);
    stage->parent = stage_space(stage);
    map_object(stage->parent, HERE, PAGES, VM_MAP_SHARED, stage->object, 0);
    put(stage->parent, HERE, 1);
    vm_object_put(stage->object);
    stage->object = NULL;
}

/* ---- what they do */

static void reclaim(struct stage *stage) {
    page_out(stage);
}

static void read_one(struct stage *stage) {
    require(get(stage->parent, HERE) == 1);
}

static bool count_page(const struct vm_page_view *page, void *context) {
    unsigned *count = context;
    *count += page->kind == VM_PAGE_ANONYMOUS;
    return true;
}

/* In memory or in swap: the page is somewhere. */
static void list_pages(struct stage *stage) {
    unsigned count = 0;
    vm_page_each(stage->parent, HERE, HERE + PAGES * PAGE, count_page, &count);
    require(count == 1);
}

static void read_in_child(struct stage *stage) {
    require(get(stage->child, HERE) == 1);
}

static void write_two(struct stage *stage) {
    put(stage->parent, HERE, 2);
}

static void write_in_child(struct stage *stage) {
    put(stage->child, HERE, 3);
}

static void unmap(struct stage *stage) {
    require(vm_munmap(stage->parent, HERE, PAGES * PAGE) == VM_OK);
}

static void exit_parent(struct stage *stage) {
    stage_exit(&stage->parent);
}

static void exec_parent(struct stage *stage) {
    require(vm_exec(stage->parent) == VM_OK);
}

static void exit_child(struct stage *stage) {
    stage_exit(&stage->child);
}

static void fork_now(struct stage *stage) {
    stage->child = stage_fork(stage, stage->parent);
}

static void move_away(struct stage *stage) {
    require(move(stage->parent, HERE, THERE, PAGES) == VM_OK);
}

static void split(struct stage *stage) {
    require(vm_mprotect(stage->parent, HERE + PAGE, PAGE, VM_PROT_READ) == VM_OK);
}

static void give_up_contents(struct stage *stage) {
    require(vm_madvise(stage->parent, HERE, PAGES * PAGE, VM_MADV_DONTNEED) == VM_OK);
}

static void lock_in_memory(struct stage *stage) {
    require(vm_mlock(stage->parent, HERE, PAGE) == VM_OK);
}

static void lock_and_write(struct stage *stage) {
    lock_in_memory(stage);
    put(stage->parent, HERE, 2);
}

static void lock_and_check(struct stage *stage) {
    require(vm_mlock(stage->parent, HERE, PAGE) == VM_OK);
    require(vm_frame_at(stage->parent, HERE) != VM_NO_FRAME);
}

/* The first area can be forked, with the record of one that this CPU has just given up; the second has
 * no record left. */
static void fork_without_memory(struct stage *stage) {
    require(vm_munmap(stage->other, HERE, PAGE) == VM_OK);
    scheduler_fail_allocations(true);
    int result = vm_fork(stage->parent, 9, &stage->child);
    scheduler_fail_allocations(false);
    require(result == VM_ENOMEM || result == VM_OOM);
}

/* Areas of no interest, until there is not a record left for one more. */
static void leave_room_for_no_area(struct stage *stage) {
    uint64_t address = HERE, ignored;

    stage->other = stage_space(stage);
    scheduler_fail_allocations(true);
    while (vm_mmap(stage->other, address, PAGE, VM_PROT_READ, VM_MAP_PRIVATE | VM_MAP_FIXED, NULL,
                   0, &ignored) == VM_OK)
        address += 2 * PAGE;
    scheduler_fail_allocations(false);
}

static void two_areas_and_no_memory(struct stage *stage) {
    written_area(stage);
    map_anonymous(stage->parent, BEYOND, PAGES);
    put(stage->parent, BEYOND, 1);
    leave_room_for_no_area(stage);
}

/* ---- what must be so afterwards */

static void judge_one(struct stage *stage) {
    require(get(stage->parent, HERE) == 1);
}

static void judge_two(struct stage *stage) {
    require(get(stage->parent, HERE) == 2);
}

static void judge_child_one(struct stage *stage) {
    require(get(stage->child, HERE) == 1);
}

static void judge_both_one(struct stage *stage) {
    require(get(stage->parent, HERE) == 1 && get(stage->child, HERE) == 1);
}

static void judge_moved(struct stage *stage) {
    require(get(stage->parent, THERE) == 1);
}

static void judge_two_and_child_one(struct stage *stage) {
    require(get(stage->parent, HERE) == 2 && get(stage->child, HERE) == 1);
}

static void judge_two_and_child_three(struct stage *stage) {
    require(get(stage->parent, HERE) == 2 && get(stage->child, HERE) == 3);
}

static void judge_gone(struct stage *stage) {
    require(get(stage->parent, HERE) == 0);
}

static void judge_locked(struct stage *stage) {
    require(vm_frame_at(stage->parent, HERE) != VM_NO_FRAME);
    page_out_all(stage);
    require(vm_frame_at(stage->parent, HERE) != VM_NO_FRAME);
    require(get(stage->parent, HERE) == 1);
}

static void judge_no_child(struct stage *stage) {
    require(get(stage->parent, HERE) == 1);
    require(get(stage->parent, BEYOND) == 1);
}

/* Evicting once more must not lose it either. */
static void judge_two_again(struct stage *stage) {
    page_out_all(stage);
    require(get(stage->parent, HERE) == 2);
}

const struct scenario reclaim_scenarios[] = {
    { .name = "reclaim-read",
      .what = "a page is evicted while a thread reads it",
      .set_up = written_area,
      .actors = { reclaim, read_one },
      .judge = judge_one },
    { .name = "reclaim-list",
      .what = "a page is evicted while somebody lists what the space has",
      .set_up = written_area,
      .actors = { reclaim, list_pages },
      .judge = judge_one },
    { .name = "reclaim-write",
      .what = "a page is evicted while a thread writes to it",
      .set_up = written_area,
      .actors = { reclaim, write_two },
      .judge = judge_two_again },
    { .name = "reclaim-clean-write",
      .what = "a page whose slot still has it is evicted while a thread writes to it",
      .set_up = read_back,
      .actors = { reclaim, write_two },
      .judge = judge_two_again },
    { .name = "reclaim-reclaim",
      .what = "two evict at once",
      .set_up = parent_and_child,
      .actors = { reclaim, reclaim },
      .judge = judge_both_one },
    { .name = "reclaim-unmap",
      .what = "the last mapping is unmapped while the page is evicted",
      .set_up = written_area,
      .actors = { reclaim, unmap } },
    { .name = "reclaim-exit",
      .what = "the owner goes while a walk starts from its page",
      .set_up = written_area,
      .actors = { reclaim, exit_parent } },
    { .name = "reclaim-exec",
      .what = "exec leaves the memory that is evicted",
      .set_up = parent_and_child,
      .actors = { reclaim, exec_parent },
      .judge = judge_child_one },
    { .name = "reclaim-exit-parent",
      .what = "the parent that brought the owner goes; the child stays",
      .set_up = parent_and_child,
      .actors = { reclaim, exit_parent },
      .judge = judge_child_one },
    { .name = "reclaim-exit-family",
      .what = "parent and child exit while their page is evicted",
      .set_up = parent_and_child,
      .actors = { reclaim, exit_parent, exit_child } },
    { .name = "reclaim-object-ends",
      .what = "the object goes with its last area while its page is evicted",
      .set_up = object_of_one_area,
      .actors = { reclaim, exit_parent } },
    { .name = "reclaim-fork",
      .what = "fork copies entries while they are taken out",
      .set_up = written_area,
      .actors = { reclaim, fork_now },
      .judge = judge_both_one },
    { .name = "reclaim-fork-fails",
      .what = "fork runs out of memory half way while pages are evicted",
      .set_up = two_areas_and_no_memory,
      .actors = { reclaim, fork_without_memory },
      .judge = judge_no_child },
    { .name = "reclaim-move",
      .what = "mremap moves the page that is evicted",
      .set_up = written_area,
      .actors = { reclaim, move_away },
      .judge = judge_moved },
    { .name = "reclaim-split",
      .what = "the area is split while its page is evicted",
      .set_up = written_area,
      .actors = { reclaim, split },
      .judge = judge_one },
    { .name = "reclaim-cow",
      .what = "the parent writes to a shared page that is evicted",
      .set_up = parent_and_child,
      .actors = { reclaim, write_two },
      .judge = judge_two_and_child_one },
    { .name = "reclaim-shared",
      .what = "shared memory is evicted while it is written to",
      .set_up = shm_of_two,
      .actors = { reclaim, write_two },
      .judge = judge_two_again },
    { .name = "reclaim-lock",
      .what = "a page is evicted while it is locked in memory",
      .set_up = written_area,
      .actors = { reclaim, lock_in_memory },
      .judge = judge_locked },
    { .name = "reclaim-lock-promise",
      .what = "when mlock returns, the page is there and stays",
      .set_up = evicted_area,
      .actors = { reclaim, lock_and_check },
      .judge = judge_locked },
    { .name = "reclaim-lock-family",
      .what = "the child's entry is taken out, the parent's is locked and written to",
      .set_up = parent_and_child,
      .actors = { reclaim, lock_and_write },
      .judge = judge_two_and_child_one },
    { .name = "reclaim-dontneed",
      .what = "contents are given up while they are evicted",
      .set_up = written_area,
      .actors = { reclaim, give_up_contents },
      .judge = judge_gone },
    { .name = "reclaim-free",
      .what = "a page given to MADV_FREE is taken while it is written to again",
      .set_up = free_for_the_taking,
      .actors = { reclaim, write_two },
      .judge = judge_two_again },
    { .name = "swap-in-out",
      .what = "a page comes back while others are evicted",
      .set_up = evicted_area,
      .actors = { read_one, reclaim },
      .judge = judge_one },
    { .name = "swap-in-twice",
      .what = "parent and child bring back one page",
      .set_up = evicted_family,
      .actors = { read_one, read_in_child },
      .judge = judge_both_one },
    { .name = "swap-in-writes",
      .what = "parent and child bring back one page to write to it",
      .set_up = evicted_family,
      .actors = { write_two, write_in_child },
      .judge = judge_two_and_child_three },
    { .name = "swap-in-threads",
      .what = "two threads bring back one page, one to write to it",
      .set_up = evicted_area,
      .actors = { write_two, reclaim, write_two },
      .judge = judge_two },
    { .name = "swap-in-exit",
      .what = "the parent brings a page back while the child exits",
      .set_up = evicted_family,
      .actors = { write_two, exit_child, reclaim },
      .judge = judge_two },
    { .name = "swap-in-dontneed",
      .what = "a page comes back while its contents are given up",
      .set_up = evicted_area,
      .actors = { reclaim, give_up_contents, reclaim },
      .judge = judge_gone },
    { .name = NULL },
};
