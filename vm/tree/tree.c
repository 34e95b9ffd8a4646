/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tree.c - AVL trees with parent links and summaries.
 *
 * Adelson-Velsky and Landis 1962: at each node the heights of the two subtrees differ by one at
 * most. Insertion and removal both end in retrace(), which carries the change of one subtree's
 * height towards the root; it also brings every summary on the way up to date, and a rotation
 * those of the nodes it moves, so a summary is always computed from correct ones below it.
 *
 * AVL rather than red-black: the rules fit on a page, and lookups, of which every fault makes one,
 * go less deep.
 */
#include "vm/tree/tree.h"

enum { LEFT = VM_TREE_LEFT, RIGHT = VM_TREE_RIGHT };

#define BALANCE_MASK ((uintptr_t)3)
#define BALANCE_EVEN 1

static struct vm_tree_node *parent_of(const struct vm_tree_node *node) {
    return (struct vm_tree_node *)(node->parent_and_balance & ~BALANCE_MASK);
}

static void set_parent(struct vm_tree_node *node, const struct vm_tree_node *parent) {
    node->parent_and_balance = (uintptr_t)parent | (node->parent_and_balance & BALANCE_MASK);
}

/* Height of the right subtree less that of the left one: -1, 0 or 1. */
static int tilt_of(const struct vm_tree_node *node) {
    return (int)(node->parent_and_balance & BALANCE_MASK) - BALANCE_EVEN;
}

static void set_tilt(struct vm_tree_node *node, int tilt) {
    node->parent_and_balance =
        (node->parent_and_balance & ~BALANCE_MASK) | (uintptr_t)(tilt + BALANCE_EVEN);
}

static int tilt_towards(int side) {
    return side == RIGHT ? 1 : -1;
}

/* => node is not the root */
static int side_of(const struct vm_tree_node *node) {
    return parent_of(node)->child[RIGHT] == node ? RIGHT : LEFT;
}

static void set_child(struct vm_tree_node *node, int side, struct vm_tree_node *child) {
    node->child[side] = child;
    if (child)
        set_parent(child, node);
}

/* Puts `new` (or nothing) where `old` hangs. */
static void replace(struct vm_tree *tree, const struct vm_tree_node *old,
                    struct vm_tree_node *new) {
    struct vm_tree_node *parent = parent_of(old);
    if (parent)
        set_child(parent, side_of(old), new);
    else {
        tree->root = new;
        if (new)
            set_parent(new, NULL);
    }
}

/*
 * Lifts the child of `node` on that side to the node's place. Balances are the caller's.
 *
 *        node              child
 *       /    \            /     \
 *      a    child   =>  node     c        (side RIGHT)
 *          /     \     /    \
 *         b       c   a      b
 */
static struct vm_tree_node *lift(struct vm_tree *tree, struct vm_tree_node *node, int side,
                                 vm_tree_summarise *summarise) {
    struct vm_tree_node *child = node->child[side];
    replace(tree, node, child);
    set_child(node, side, child->child[!side]);
    set_child(child, !side, node);
    if (summarise) {
        summarise(node);
        summarise(child);
    }
    return child;
}

/* The node's subtree on the heavy side is two higher: evens it out. Returns the new top. */
static struct vm_tree_node *rebalance(struct vm_tree *tree, struct vm_tree_node *node, int heavy,
                                      vm_tree_summarise *summarise) {
    struct vm_tree_node *child = node->child[heavy];
    int towards = tilt_towards(heavy);
    if (tilt_of(child) != -towards) {
        int rest = towards - tilt_of(child); /* an even child leaves both leaning */
        set_tilt(node, rest);
        set_tilt(child, -rest);
        return lift(tree, node, heavy, summarise);
    }
    int inner = tilt_of(child->child[!heavy]);
    lift(tree, child, !heavy, summarise);
    struct vm_tree_node *top = lift(tree, node, heavy, summarise);
    set_tilt(node, inner == towards ? -towards : 0);
    set_tilt(child, inner == -towards ? towards : 0);
    set_tilt(top, 0);
    return top;
}

/* The subtree on that side of the node changed its height by `change` (-1, 0 or 1). */
static void retrace(struct vm_tree *tree, struct vm_tree_node *node, int side, int change,
                    vm_tree_summarise *summarise) {
    while (node && (change || summarise)) {
        struct vm_tree_node *top = node;
        int tilt = tilt_of(node) + change * tilt_towards(side);
        if (tilt >= -1 && tilt <= 1) {
            /* Grown: higher unless it filled up the lower side. Shrunk: lower if even now. */
            set_tilt(node, tilt);
            if ((change > 0) == (tilt == 0))
                change = 0;
        } else {
            int heavy = tilt > 0 ? RIGHT : LEFT;
            if (change > 0 || tilt_of(node->child[heavy]) == 0)
                change = 0;
            top = rebalance(tree, node, heavy, summarise);
        }
        if (summarise)
            summarise(top);
        node = parent_of(top);
        if (node)
            side = side_of(top);
    }
}

void vm_tree_insert(struct vm_tree *tree, struct vm_tree_node *parent, enum vm_tree_side side,
                    struct vm_tree_node *node, vm_tree_summarise *summarise) {
    node->parent_and_balance = (uintptr_t)parent | BALANCE_EVEN;
    node->child[LEFT] = node->child[RIGHT] = NULL;
    if (parent)
        parent->child[side] = node;
    else
        tree->root = node;
    if (summarise)
        summarise(node);
    retrace(tree, parent, (int)side, 1, summarise);
}

static struct vm_tree_node *outermost(struct vm_tree_node *node, int side) {
    while (node && node->child[side])
        node = node->child[side];
    return node;
}

void vm_tree_remove(struct vm_tree *tree, struct vm_tree_node *node, vm_tree_summarise *summarise) {
    struct vm_tree_node *lowest = parent_of(node); /* where a subtree became lower */
    int side = lowest ? side_of(node) : LEFT;
    struct vm_tree_node *heir = node->child[LEFT] ? node->child[LEFT] : node->child[RIGHT];
    if (node->child[LEFT] && node->child[RIGHT]) {
        heir = outermost(node->child[RIGHT], LEFT);
        lowest = heir;
        side = RIGHT;
        if (heir != node->child[RIGHT]) {
            lowest = parent_of(heir);
            side = LEFT;
            set_child(lowest, LEFT, heir->child[RIGHT]);
            set_child(heir, RIGHT, node->child[RIGHT]);
        }
        set_child(heir, LEFT, node->child[LEFT]);
        set_tilt(heir, tilt_of(node));
    }
    replace(tree, node, heir);
    retrace(tree, lowest, side, -1, summarise);
}

void vm_tree_update(struct vm_tree_node *node, vm_tree_summarise *summarise) {
    for (; node; node = parent_of(node))
        summarise(node);
}

struct vm_tree_node *vm_tree_first(const struct vm_tree *tree) {
    return outermost(tree->root, LEFT);
}

struct vm_tree_node *vm_tree_last(const struct vm_tree *tree) {
    return outermost(tree->root, RIGHT);
}

/* The neighbour in order: below on that side, or the first ancestor that lies on that side. */
static struct vm_tree_node *neighbour(const struct vm_tree_node *node, int side) {
    if (node->child[side])
        return outermost(node->child[side], !side);
    struct vm_tree_node *parent = parent_of(node);
    while (parent && parent->child[side] == node) {
        node = parent;
        parent = parent_of(node);
    }
    return parent;
}

struct vm_tree_node *vm_tree_next(const struct vm_tree_node *node) {
    return neighbour(node, RIGHT);
}

struct vm_tree_node *vm_tree_previous(const struct vm_tree_node *node) {
    return neighbour(node, LEFT);
}

static int check(const struct vm_tree_node *node, const struct vm_tree_node *parent) {
    if (!node)
        return 0;
    int left = check(node->child[LEFT], node);
    int right = check(node->child[RIGHT], node);
    if (left < 0 || right < 0 || parent_of(node) != parent || tilt_of(node) != right - left)
        return -1;
    return 1 + (left > right ? left : right);
}

int vm_tree_check(const struct vm_tree *tree) {
    return check(tree->root, NULL);
}
