/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_interval_tree.c - an object's areas in a balanced tree ordered by their first page offset,
 * each node telling the last offset that its subtree covers (Cormen et al., "Augmenting data
 * structures"; the index of Linux since 3.7).
 *
 *     looking for [first, last]:
 *         a subtree that ends before `first`       is skipped unseen
 *         an area that starts after `last`         ends the search: all to its right start later
 *         any other area                           is looked at, left to right
 *
 * k areas of n are found in O(log n + k). Areas are visited by rising first offset; equal ones in
 * the order in which they came. Nothing is allocated: the node lies in the area.
 */
#include "vm/object/index.h"

#include "vm/space/area.h"
#include "vm/tree/tree.h"

struct vm_area_index {
    struct vm_tree tree;
};

struct record {
    struct vm_tree_node node;
    struct vm_area *area;
    uint64_t reach; /* the last offset covered by an area of this subtree */
};

static struct record *record_of(const struct vm_tree_node *node) {
    return vm_tree_entry(node, struct record, node);
}

static uint64_t reach_with_children(const struct record *record) {
    uint64_t reach = vm_area_last_index(record->area);

    for (int side = VM_TREE_LEFT; side <= VM_TREE_RIGHT; side++) {
        const struct vm_tree_node *child = record->node.child[side];
        if (child && record_of(child)->reach > reach)
            reach = record_of(child)->reach;
    }
    return reach;
}

static void summarise(struct vm_tree_node *node) {
    record_of(node)->reach = reach_with_children(record_of(node));
}

static void init(struct vm_area_index *index) {
    index->tree.root = NULL;
}

static void insert(struct vm_machine *machine, struct vm_area_index *index, struct vm_area *area) {
    struct record *record = vm_area_index_record(machine, area);
    struct vm_tree_node *parent = NULL;
    enum vm_tree_side side = VM_TREE_LEFT;

    record->area = area;
    for (struct vm_tree_node *node = index->tree.root; node; node = node->child[side]) {
        parent = node;
        side = area->pgoff < record_of(node)->area->pgoff ? VM_TREE_LEFT : VM_TREE_RIGHT;
    }
    vm_tree_insert(&index->tree, parent, side, &record->node, summarise);
}

static void take_out(struct vm_machine *machine, struct vm_area_index *index,
                     struct vm_area *area) {
    struct record *record = vm_area_index_record(machine, area);

    vm_tree_remove(&index->tree, &record->node, summarise);
}

struct search {
    uint64_t first, last;
    vm_index_visit *visit;
    void *context;
    uint64_t looked_at, rejected;
};

enum progress { SEARCH_ON, SEARCH_DONE };

static enum progress look_at(struct search *search, struct vm_area *area) {
    search->looked_at++;
    if (area->pgoff > search->last) {
        search->rejected++;
        return SEARCH_DONE;
    }
    if (vm_area_last_index(area) < search->first) {
        search->rejected++;
        return SEARCH_ON;
    }
    return search->visit(area, search->context) ? SEARCH_ON : SEARCH_DONE;
}

/* As deep as the tree is high: less than 1.5 log2(areas). */
static enum progress search_subtree(struct search *search, const struct vm_tree_node *node) {
    while (node && record_of(node)->reach >= search->first) {
        if (search_subtree(search, node->child[VM_TREE_LEFT]) == SEARCH_DONE)
            return SEARCH_DONE;
        if (look_at(search, record_of(node)->area) == SEARCH_DONE)
            return SEARCH_DONE;
        node = node->child[VM_TREE_RIGHT];
    }
    return SEARCH_ON;
}

static void each(struct vm_machine *machine, struct vm_area_index *index, uint64_t first,
                 uint64_t last, vm_index_visit *visit, void *context) {
    struct search search = { .first = first, .last = last, .visit = visit, .context = context };

    search_subtree(&search, index->tree.root);
    vm_count(machine, rmap.object_visits, search.looked_at);
    vm_count(machine, rmap.range_rejects, search.rejected);
}

static bool check(struct vm_area_index *index) {
    const struct record *before = NULL;

    if (vm_tree_check(&index->tree) < 0)
        return false;
    for (struct vm_tree_node *node = vm_tree_first(&index->tree); node; node = vm_tree_next(node)) {
        const struct record *record = record_of(node);
        if (before && before->area->pgoff > record->area->pgoff)
            return false;
        if (record->reach != reach_with_children(record))
            return false;
        before = record;
    }
    return true;
}

const struct vm_index_kind vm_index_interval_tree = {
    .name = "interval-tree",
    .object_bytes = sizeof(struct vm_area_index),
    .area_bytes = sizeof(struct record),
    .init = init,
    .insert = insert,
    .remove = take_out,
    .each = each,
    .check = check,
};
