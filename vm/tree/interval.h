/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * interval.h - a balanced tree of intervals [first, last], found by what they overlap (Cormen et al.,
 * "Augmenting data structures").
 *
 * Nodes are ordered by `first`, and each tells how far its subtree reaches. Equal ones stand in the
 * order in which they came. A node does not hold its interval: the owner of the tree says where to
 * read it, which must not change while the node is in the tree. Depends on tree.h alone.
 *
 *     looking for [first, last]:
 *         a subtree that ends before `first`     is skipped unseen
 *         an interval that starts after `last`   ends the search: all to its right start later
 *         any other interval                     is looked at, left to right
 *
 * k intervals of n are found in O(log n + k).
 */
#ifndef VM_INTERVAL_H
#define VM_INTERVAL_H

#include <stdbool.h>

#include "vm/tree/tree.h"

struct vm_interval {
    uint64_t first, last;
};

struct vm_interval_node {
    struct vm_tree_node node;
    uint64_t reach; /* the greatest `last` in this subtree */
};

/* What the intervals of a tree are. */
struct vm_interval_kind {
    struct vm_interval (*of)(const struct vm_interval_node *node);
    vm_tree_summarise *summarise; /* calls vm_interval_summarise() for this kind */
};

void vm_interval_summarise(struct vm_tree_node *node, const struct vm_interval_kind *kind);

void vm_interval_insert(struct vm_tree *tree, struct vm_interval_node *node,
                        const struct vm_interval_kind *kind);
void vm_interval_remove(struct vm_tree *tree, struct vm_interval_node *node,
                        const struct vm_interval_kind *kind);

/* What a search has cost: nodes whose interval was read, and those of them that do not overlap. */
struct vm_interval_looks {
    uint64_t looked_at, rejected;
};

/* Returns false to stop. May not change the tree. */
typedef bool vm_interval_visit(struct vm_interval_node *node, void *context);

/* Visits each interval that overlaps [first, last]. */
struct vm_interval_looks vm_interval_each(const struct vm_tree *tree,
                                          const struct vm_interval_kind *kind, uint64_t first,
                                          uint64_t last, vm_interval_visit *visit, void *context);

/* Whether the tree is well formed. For tests. */
bool vm_interval_check(const struct vm_tree *tree, const struct vm_interval_kind *kind);

#endif
