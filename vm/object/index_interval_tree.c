/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_interval_tree.c - an object's areas in an interval tree (vm/tree/interval.h), the index of
 * Linux since 3.7. One kind of tree serves it and the chains of anonymous memory.
 *
 * Areas are visited by rising first offset; equal ones in the order in which they came. Nothing is
 * allocated: the node lies behind the area.
 */
#include "vm/object/index.h"

#include "vm/space/area.h"
#include "vm/tree/interval.h"

struct vm_area_index {
    struct vm_tree tree;
};

static struct vm_interval interval_of(const struct vm_interval_node *node) {
    const struct vm_area *area = vm_area_of_index_record(node);
    return (struct vm_interval){ area->pgoff, vm_area_last_index(area) };
}

static void summarise(struct vm_tree_node *node);

static const struct vm_interval_kind areas_by_offset = { interval_of, summarise };

static void summarise(struct vm_tree_node *node) {
    vm_interval_summarise(node, &areas_by_offset);
}

static void init(struct vm_area_index *index) {
    index->tree.root = NULL;
}

static void insert(struct vm_machine *machine, struct vm_area_index *index, struct vm_area *area) {
    vm_interval_insert(&index->tree, vm_area_index_record(machine, area), &areas_by_offset);
}

static void take_out(struct vm_machine *machine, struct vm_area_index *index,
                     struct vm_area *area) {
    vm_interval_remove(&index->tree, vm_area_index_record(machine, area), &areas_by_offset);
}

struct listing {
    vm_index_visit *visit;
    void *context;
};

static bool visit_area(struct vm_interval_node *node, void *context) {
    const struct listing *listing = context;
    return listing->visit(vm_area_of_index_record(node), listing->context);
}

static void each(struct vm_machine *machine, struct vm_area_index *index, uint64_t first,
                 uint64_t last, vm_index_visit *visit, void *context) {
    struct listing listing = { visit, context };
    struct vm_interval_looks looks =
        vm_interval_each(&index->tree, &areas_by_offset, first, last, visit_area, &listing);

    vm_count(machine, rmap.object_visits, looks.looked_at);
    vm_count(machine, rmap.range_rejects, looks.rejected);
}

static bool check(struct vm_area_index *index) {
    return vm_interval_check(&index->tree, &areas_by_offset);
}

const struct vm_index_kind vm_index_interval_tree = {
    .name = "interval-tree",
    .origin = "Linux 3.7 (2012) to today: a balanced tree by first page, each node knowing how far "
              "its subtree reaches",
    .object_bytes = sizeof(struct vm_area_index),
    .area_bytes = sizeof(struct vm_interval_node),
    .init = init,
    .insert = insert,
    .remove = take_out,
    .each = each,
    .check = check,
};
