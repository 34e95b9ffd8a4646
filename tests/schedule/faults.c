/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * faults.c - faults on one page by several threads of a space, by relatives, and while fork, munmap
 * and mremap are under way. What was written must be read again.
 */
#include "scenarios.h"

/* ---- the stages */

static void empty_area(struct stage *stage) {
    stage->parent = stage_space(stage);
    map_anonymous(stage->parent, HERE, PAGES);
}

static void written_area(struct stage *stage) {
    empty_area(stage);
    put(stage->parent, HERE, 1);
    put(stage->parent, HERE + PAGE, 2);
}

static void zero_page_read(struct stage *stage) {
    empty_area(stage);
    require(get(stage->parent, HERE) == 0);
}

static void parent_and_child(struct stage *stage) {
    written_area(stage);
    stage->child = stage_fork(stage, stage->parent);
}

static void private_file(struct stage *stage) {
    stage->object = stage_file(stage, PAGES);
    stage->parent = stage_space(stage);
    map_object(stage->parent, HERE, PAGES, VM_MAP_PRIVATE, stage->object, 0);
}

static void shared_file_of_two(struct stage *stage) {
    stage->object = stage_file(stage, PAGES);
    stage->parent = stage_space(stage);
    stage->child = stage_space(stage);
    map_object(stage->parent, HERE, PAGES, VM_MAP_SHARED, stage->object, 0);
    map_object(stage->child, HERE, PAGES, VM_MAP_SHARED, stage->object, 0);
}

/* ---- threads of the parent */

/* Two words of one page, so that neither thread overwrites the other's. */
static void write_first_word(struct stage *stage) {
    put(stage->parent, HERE, 10);
}

static void write_second_word(struct stage *stage) {
    put(stage->parent, HERE + 8, 20);
}

static void judge_both_words(struct stage *stage) {
    require(get(stage->parent, HERE) == 10 && get(stage->parent, HERE + 8) == 20);
}

static void write_next_page(struct stage *stage) {
    put(stage->parent, HERE + PAGE, 20);
}

static void judge_both_pages(struct stage *stage) {
    require(get(stage->parent, HERE) == 10 && get(stage->parent, HERE + PAGE) == 20);
}

static void read_first_word(struct stage *stage) {
    uint64_t value = get(stage->parent, HERE);
    require(value == 0 || value == 10);
}

static void judge_first_word(struct stage *stage) {
    require(get(stage->parent, HERE) == 10);
}

static void read_file_or_new(struct stage *stage) {
    uint64_t value = get(stage->parent, HERE);
    require(value == 100 || value == 10);
}

/* ---- parent and child */

static void write_in_parent(struct stage *stage) {
    put(stage->parent, HERE, 10);
}

static void write_in_child(struct stage *stage) {
    put(stage->child, HERE, 20);
}

static void judge_apart(struct stage *stage) {
    require(get(stage->parent, HERE) == 10 && get(stage->child, HERE) == 20);
}

static void exit_child(struct stage *stage) {
    stage_exit(&stage->child);
}

static void fork_now(struct stage *stage) {
    stage->child = stage_fork(stage, stage->parent);
}

/* The child has what the parent had when it was made, and keeps it. */
static void judge_fork(struct stage *stage) {
    uint64_t before = get(stage->child, HERE);

    require(get(stage->parent, HERE) == 10);
    require(before == 1 || before == 10);
    put(stage->parent, HERE, 11);
    require(get(stage->child, HERE) == before);
    require(get(stage->child, HERE + PAGE) == 2);
}

static void fork_again(struct stage *stage) {
    stage->other = stage_fork(stage, stage->child);
}

static void judge_grandchild(struct stage *stage) {
    require(get(stage->parent, HERE) == 10);
    require(get(stage->child, HERE) == 1 && get(stage->other, HERE) == 1);
    put(stage->other, HERE, 30);
    require(get(stage->child, HERE) == 1);
}

/* ---- unmapping and moving under a thread's feet */

static void write_if_there(struct stage *stage) {
    stage->results[0] = try_put(stage->parent, HERE, 10);
    require(stage->results[0] == VM_OK || stage->results[0] == VM_SIGSEGV);
}

static void unmap(struct stage *stage) {
    require(vm_munmap(stage->parent, HERE, PAGES * PAGE) == VM_OK);
}

static void judge_gone(struct stage *stage) {
    uint64_t value;
    require(try_get(stage->parent, HERE, &value) == VM_SIGSEGV);
}

static void unmap_and_map_anew(struct stage *stage) {
    map_anonymous(stage->parent, HERE, PAGES);
}

static void judge_new_mapping(struct stage *stage) {
    uint64_t value = get(stage->parent, HERE);
    require(value == 0 || value == 10);
    require(get(stage->parent, HERE + PAGE) == 0);
}

static void move_away(struct stage *stage) {
    require(move(stage->parent, HERE, THERE, PAGES) == VM_OK);
}

static void judge_moved(struct stage *stage) {
    require(get(stage->parent, THERE) == (stage->results[0] == VM_OK ? 10 : 1));
    require(get(stage->parent, THERE + PAGE) == 2);
}

static void give_up_contents(struct stage *stage) {
    require(vm_madvise(stage->parent, HERE, PAGES * PAGE, VM_MADV_DONTNEED) == VM_OK);
}

static void judge_given_up(struct stage *stage) {
    uint64_t value = get(stage->parent, HERE);
    require(value == 0 || value == 10);
}

static void protect(struct stage *stage) {
    require(vm_mprotect(stage->parent, HERE, PAGE, VM_PROT_READ) == VM_OK);
}

static void judge_protected(struct stage *stage) {
    require(get(stage->parent, HERE) == (stage->results[0] == VM_OK ? 10 : 1));
    require(try_put(stage->parent, HERE, 11) == VM_SIGSEGV);
}

/* ---- a file's pages */

static void read_in_parent(struct stage *stage) {
    require(get(stage->parent, HERE) == 100 && get(stage->parent, HERE + PAGE) == 101);
}

static void read_in_child(struct stage *stage) {
    require(get(stage->child, HERE + PAGE) == 101 && get(stage->child, HERE) == 100);
}

static void write_other_word_in_child(struct stage *stage) {
    put(stage->child, HERE + 8, 20);
}

static void judge_both_words_everywhere(struct stage *stage) {
    judge_both_words(stage);
    require(get(stage->child, HERE) == 10 && get(stage->child, HERE + 8) == 20);
}

const struct scenario fault_scenarios[] = {
    { .name = "fault-first-writes",
      .what = "two threads write to one page that is not there yet",
      .set_up = empty_area,
      .actors = { write_first_word, write_second_word },
      .judge = judge_both_words },
    { .name = "fault-two-pages",
      .what = "two threads write the first pages of one area",
      .set_up = empty_area,
      .actors = { write_first_word, write_next_page },
      .judge = judge_both_pages },
    { .name = "fault-read-and-write",
      .what = "one reads zeroes, the other writes",
      .set_up = empty_area,
      .actors = { read_first_word, write_first_word },
      .judge = judge_first_word },
    { .name = "fault-after-zero-page",
      .what = "two threads write where the zero page is",
      .set_up = zero_page_read,
      .actors = { write_first_word, write_second_word },
      .judge = judge_both_words },
    { .name = "fault-cow-twice",
      .what = "two threads write to a page that a child has, too",
      .set_up = parent_and_child,
      .actors = { write_first_word, write_second_word },
      .judge = judge_both_words },
    { .name = "fault-cow-relatives",
      .what = "parent and child write to their page: one may have it, not both",
      .set_up = parent_and_child,
      .actors = { write_in_parent, write_in_child },
      .judge = judge_apart },
    { .name = "fault-cow-exit",
      .what = "the parent writes while the child exits: copy or reuse",
      .set_up = parent_and_child,
      .actors = { write_in_parent, exit_child },
      .judge = judge_first_word },
    { .name = "fault-cow-fork",
      .what = "the parent writes while the child forks: reuse would take it from the grandchild",
      .set_up = parent_and_child,
      .actors = { write_in_parent, fork_again },
      .judge = judge_grandchild },
    { .name = "fault-fork",
      .what = "a thread writes while another forks",
      .set_up = written_area,
      .actors = { write_in_parent, fork_now },
      .judge = judge_fork },
    { .name = "fault-unmap",
      .what = "a thread writes while another unmaps",
      .set_up = written_area,
      .actors = { write_if_there, unmap },
      .judge = judge_gone },
    { .name = "fault-unmap-empty",
      .what = "a first write while another unmaps",
      .set_up = empty_area,
      .actors = { write_if_there, unmap },
      .judge = judge_gone },
    { .name = "fault-map-over",
      .what = "a thread writes while another maps something else there",
      .set_up = written_area,
      .actors = { write_if_there, unmap_and_map_anew },
      .judge = judge_new_mapping },
    { .name = "fault-move",
      .what = "a thread writes while another moves the mapping",
      .set_up = written_area,
      .actors = { write_if_there, move_away },
      .judge = judge_moved },
    { .name = "fault-dontneed",
      .what = "a thread writes while another gives up the contents",
      .set_up = written_area,
      .actors = { write_in_parent, give_up_contents },
      .judge = judge_given_up },
    { .name = "fault-protect",
      .what = "a thread writes while another forbids it",
      .set_up = written_area,
      .actors = { write_if_there, protect },
      .judge = judge_protected },
    { .name = "fault-file",
      .what = "two spaces read the same pages of a file for the first time",
      .set_up = shared_file_of_two,
      .actors = { read_in_parent, read_in_child } },
    { .name = "fault-file-writes",
      .what = "two spaces write to one page of a file",
      .set_up = shared_file_of_two,
      .actors = { write_first_word, write_other_word_in_child },
      .judge = judge_both_words_everywhere },
    { .name = "fault-private-file",
      .what = "a thread writes to a private file mapping that another reads",
      .set_up = private_file,
      .actors = { read_file_or_new, write_first_word },
      .judge = judge_first_word },
    { .name = NULL },
};
