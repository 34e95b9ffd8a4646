/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tree.h - a balanced binary tree (AVL) of nodes that live inside the caller's structures, where
 * every node may carry a summary of its subtree: the largest gap, the last page covered.
 *
 * The caller compares keys itself: it descends to the place of a new node and links it there. The
 * `summarise` function recomputes one node's summary from the node and its two children, and is
 * called bottom-up wherever a subtree changed; NULL when there is none. Depends on nothing.
 */
#ifndef VM_TREE_H
#define VM_TREE_H

#include <stddef.h>
#include <stdint.h>

enum vm_tree_side { VM_TREE_LEFT, VM_TREE_RIGHT };

struct vm_tree_node {
    uintptr_t parent_and_balance; /* the low two bits: 0 left-heavy, 1 even, 2 right-heavy */
    struct vm_tree_node *child[2];
};

struct vm_tree {
    struct vm_tree_node *root;
};

typedef void vm_tree_summarise(struct vm_tree_node *node);

/* The structure that holds the node. */
#define vm_tree_entry(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

/* => parent->child[side] is empty; parent is NULL for the first node of an empty tree */
void vm_tree_insert(struct vm_tree *tree, struct vm_tree_node *parent, enum vm_tree_side side,
                    struct vm_tree_node *node, vm_tree_summarise *summarise);
void vm_tree_remove(struct vm_tree *tree, struct vm_tree_node *node, vm_tree_summarise *summarise);

/* The node's own part of its summary changed: bring its ancestors up to date. */
void vm_tree_update(struct vm_tree_node *node, vm_tree_summarise *summarise);

struct vm_tree_node *vm_tree_first(const struct vm_tree *tree);
struct vm_tree_node *vm_tree_last(const struct vm_tree *tree);
struct vm_tree_node *vm_tree_next(const struct vm_tree_node *node);
struct vm_tree_node *vm_tree_previous(const struct vm_tree_node *node);

/* The tree's height if it is well formed (order of links, balance), -1 if not. For tests. */
int vm_tree_check(const struct vm_tree *tree);

#endif
