/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nodes.c - vm_move_pages() between two nodes, which looks for pages while others change what is mapped
 * (moving one page, whatever happens to it, is in migrations.c); and a node's reclaim thread against a
 * call that reclaims itself.
 */
#include "scenarios.h"

#include "vm/frame/frame.h"

enum { NODES = 2, LOW_PAGES = 40 };

/* ---- the stages */

static void written_page(struct stage *stage) {
    stage->parent = stage_space(stage);
    map_anonymous(stage->parent, HERE, PAGES);
    put(stage->parent, HERE, 1);
    stage->frame = vm_frame_at(stage->parent, HERE);
}

static void parent_and_child(struct stage *stage) {
    written_page(stage);
    stage->child = stage_fork(stage, stage->parent);
}

static void shared_file(struct stage *stage) {
    stage->object = stage_file(stage, PAGES);
    stage->parent = stage_space(stage);
    map_object(stage->parent, HERE, PAGES, VM_MAP_SHARED, stage->object, 0);
    require(get(stage->parent, HERE) == 100);
    require(get(stage->parent, HERE + PAGE) == 101);
}

/* ---- moving to another node */

static unsigned node_of(struct vm_machine *machine, struct vm_space *space, uint64_t address) {
    uint64_t frame = vm_frame_at(space, address);
    return frame == VM_NO_FRAME ? NODES : vm_page_node(machine, vm_page_of(machine, frame));
}

/* What is not there any more, or busy all the time, stays. */
static void migrate_to(struct stage *stage, unsigned node) {
    int result = vm_move_pages(stage->parent, HERE, PAGES * PAGE, node, NULL);
    require(result == VM_OK || result == VM_EAGAIN || result == VM_EFAULT);
    stage->results[0] = result;
    stage->values[0] = node;
}

static void migrate(struct stage *stage) {
    unsigned node = node_of(stage->machine, stage->parent, HERE);
    migrate_to(stage, node == 0);
}

static void migrate_to_0(struct stage *stage) {
    migrate_to(stage, 0);
}

static void migrate_to_1(struct stage *stage) {
    migrate_to(stage, 1);
}

/* ---- what others do meanwhile */

static void write_two(struct stage *stage) {
    put(stage->parent, HERE, 2);
}

static void write_in_child(struct stage *stage) {
    put(stage->child, HERE, 3);
}

static void read_one(struct stage *stage) {
    require(get(stage->parent, HERE) == 1);
}

static void fork_now(struct stage *stage) {
    stage->child = stage_fork(stage, stage->parent);
}

static void exec_child(struct stage *stage) {
    require(vm_exec(stage->child) == VM_OK);
}

static void exit_child(struct stage *stage) {
    stage_exit(&stage->child);
}

static void unmap(struct stage *stage) {
    require(vm_munmap(stage->parent, HERE, PAGES * PAGE) == VM_OK);
}

static void move_away(struct stage *stage) {
    require(move(stage->parent, HERE, THERE, PAGES) == VM_OK);
}

static void reclaim(struct stage *stage) {
    page_out(stage);
}

static void truncate(struct stage *stage) {
    require(vm_object_truncate(stage->object, PAGE) == VM_OK);
}

static void sync_now(struct stage *stage) {
    require(vm_msync(stage->parent, HERE, PAGES * PAGE, VM_MS_SYNC) == VM_OK);
}

static void expect_child_somewhere(struct stage *stage) {
    struct sightings seen = look(stage, vm_frame_at(stage->child, HERE));
    require(seen.count <= 2);
}

/* ---- what must be so afterwards */

static void judge_one(struct stage *stage) {
    require(get(stage->parent, HERE) == 1);
}

static void judge_one_elsewhere(struct stage *stage) {
    require(stage->results[0] == VM_OK);
    require(node_of(stage->machine, stage->parent, HERE) == stage->values[0]);
    require(get(stage->parent, HERE) == 1);
}

static void judge_two(struct stage *stage) {
    require(get(stage->parent, HERE) == 2);
}

static void judge_both_one(struct stage *stage) {
    require(get(stage->parent, HERE) == 1 && get(stage->child, HERE) == 1);
}

static void judge_one_and_three(struct stage *stage) {
    require(get(stage->parent, HERE) == 1 && get(stage->child, HERE) == 3);
}

static void judge_moved(struct stage *stage) {
    require(get(stage->parent, THERE) == 1);
}

static void judge_cut(struct stage *stage) {
    uint64_t value;
    require(get(stage->parent, HERE) == 100);
    require(try_get(stage->parent, HERE + PAGE, &value) == VM_SIGBUS);
}

static void judge_on_device(struct stage *stage) {
    require(get(stage->parent, HERE) == 2);
    stage_exit(&stage->parent);
    vm_object_put(stage->object);
    stage->object = NULL;
    require(stage->file.words[0] == 2);
}

/* ---- a reclaim thread */

/* As many pages as leave the node below its high watermark. */
static void low_on_memory(struct stage *stage) {
    stage->parent = stage_space(stage);
    map_anonymous(stage->parent, HERE, LOW_PAGES);
    for (uint64_t i = 0; i < LOW_PAGES; i++)
        put(stage->parent, HERE + i * PAGE, 100 + i);
}

static void reclaim_thread(struct stage *stage) {
    vm_reclaim_node(stage->machine, 0);
}

static void reclaim_directly(struct stage *stage) {
    vm_reclaim(stage->machine, 2);
}

static void judge_all_there(struct stage *stage) {
    for (uint64_t i = 0; i < LOW_PAGES; i++)
        require(get(stage->parent, HERE + i * PAGE) == 100 + i);
}

const struct scenario node_scenarios[] = {
    { .name = "node-read",
      .what = "a page moves to another node while a thread reads it",
      .nodes = NODES,
      .set_up = written_page,
      .actors = { migrate, read_one },
      .judge = judge_one_elsewhere },
    { .name = "node-write",
      .what = "a page moves while a thread writes to it",
      .nodes = NODES,
      .set_up = written_page,
      .actors = { migrate, write_two },
      .judge = judge_two },
    { .name = "node-fork",
      .what = "a page moves while fork copies its entry",
      .nodes = NODES,
      .set_up = written_page,
      .actors = { migrate, fork_now },
      .judge = judge_both_one },
    { .name = "node-exec",
      .what = "a page moves while one who maps it leaves his memory",
      .nodes = NODES,
      .set_up = parent_and_child,
      .actors = { migrate, exec_child },
      .judge = judge_one },
    { .name = "node-exit",
      .what = "a page moves while one who maps it exits",
      .nodes = NODES,
      .set_up = parent_and_child,
      .actors = { migrate, exit_child },
      .judge = judge_one },
    { .name = "node-cow",
      .what = "a page moves while one who maps it gets a copy",
      .nodes = NODES,
      .set_up = parent_and_child,
      .actors = { migrate, write_in_child },
      .judge = judge_one_and_three },
    { .name = "node-unmap",
      .what = "a page moves while it is unmapped",
      .nodes = NODES,
      .set_up = written_page,
      .actors = { migrate, unmap } },
    { .name = "node-move",
      .what = "a page moves while mremap moves its entry",
      .nodes = NODES,
      .set_up = written_page,
      .actors = { migrate, move_away },
      .judge = judge_moved },
    { .name = "node-reclaim",
      .what = "a page moves while it is evicted",
      .nodes = NODES,
      .set_up = parent_and_child,
      .actors = { migrate, reclaim },
      .judge = judge_both_one },
    { .name = "node-twice",
      .what = "two move a page, to different nodes",
      .nodes = NODES,
      .set_up = parent_and_child,
      .actors = { migrate_to_0, migrate_to_1 },
      .judge = judge_both_one },
    { .name = "node-walk",
      .what = "a page moves while somebody asks who maps it",
      .nodes = NODES,
      .set_up = parent_and_child,
      .actors = { migrate, expect_child_somewhere },
      .judge = judge_both_one },
    { .name = "node-truncate",
      .what = "a file's page moves while it is cut off",
      .nodes = NODES,
      .set_up = shared_file,
      .actors = { migrate, truncate },
      .judge = judge_cut },
    { .name = "node-sync",
      .what = "a file's page moves while it is written to and written back",
      .nodes = NODES,
      .set_up = shared_file,
      .actors = { migrate, write_two, sync_now },
      .judge = judge_on_device },
    { .name = "thread-reclaims",
      .what = "a node's reclaim thread and a call that reclaims",
      .set_up = low_on_memory,
      .actors = { reclaim_thread, reclaim_directly },
      .judge = judge_all_there },
    { .name = NULL },
};
