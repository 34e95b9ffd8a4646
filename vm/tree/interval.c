/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * interval.c - see interval.h.
 */
#include "vm/tree/interval.h"

static struct vm_interval_node *interval_at(const struct vm_tree_node *node) {
    return vm_tree_entry(node, struct vm_interval_node, node);
}

static uint64_t reach_with_children(const struct vm_interval_node *node,
                                    const struct vm_interval_kind *kind) {
    uint64_t reach = kind->of(node).last;

    for (int side = VM_TREE_LEFT; side <= VM_TREE_RIGHT; side++) {
        const struct vm_tree_node *child = node->node.child[side];
        if (child && interval_at(child)->reach > reach)
            reach = interval_at(child)->reach;
    }
    return reach;
}

void vm_interval_summarise(struct vm_tree_node *node, const struct vm_interval_kind *kind) {
    interval_at(node)->reach = reach_with_children(interval_at(node), kind);
}

void vm_interval_insert(struct vm_tree *tree, struct vm_interval_node *node,
                        const struct vm_interval_kind *kind) {
    uint64_t first = kind->of(node).first;
    struct vm_tree_node *parent = NULL;
    enum vm_tree_side side = VM_TREE_LEFT;

    for (struct vm_tree_node *at = tree->root; at; at = at->child[side]) {
        parent = at;
        side = first < kind->of(interval_at(at)).first ? VM_TREE_LEFT : VM_TREE_RIGHT;
    }
    vm_tree_insert(tree, parent, side, &node->node, kind->summarise);
}

void vm_interval_remove(struct vm_tree *tree, struct vm_interval_node *node,
                        const struct vm_interval_kind *kind) {
    vm_tree_remove(tree, &node->node, kind->summarise);
}

/* ---------------------------------------------------------------- searching */

struct search {
    const struct vm_interval_kind *kind;
    uint64_t first, last;
    vm_interval_visit *visit;
    void *context;
    struct vm_interval_looks looks;
};

enum progress { SEARCH_ON, SEARCH_DONE };

static enum progress look_at(struct search *search, struct vm_interval_node *node) {
    struct vm_interval interval = search->kind->of(node);

    search->looks.looked_at++;
    if (interval.first <= search->last && interval.last >= search->first)
        return search->visit(node, search->context) ? SEARCH_ON : SEARCH_DONE;
    search->looks.rejected++;
    return interval.first > search->last ? SEARCH_DONE : SEARCH_ON;
}

/* As deep as the tree is high: less than 1.5 log2(nodes). */
static enum progress search_subtree(struct search *search, const struct vm_tree_node *node) {
    while (node && interval_at(node)->reach >= search->first) {
        if (search_subtree(search, node->child[VM_TREE_LEFT]) == SEARCH_DONE)
            return SEARCH_DONE;
        if (look_at(search, interval_at(node)) == SEARCH_DONE)
            return SEARCH_DONE;
        node = node->child[VM_TREE_RIGHT];
    }
    return SEARCH_ON;
}

struct vm_interval_looks vm_interval_each(const struct vm_tree *tree,
                                          const struct vm_interval_kind *kind, uint64_t first,
                                          uint64_t last, vm_interval_visit *visit, void *context) {
    struct search search = {
        .kind = kind, .first = first, .last = last, .visit = visit, .context = context
    };

    search_subtree(&search, tree->root);
    return search.looks;
}

bool vm_interval_check(const struct vm_tree *tree, const struct vm_interval_kind *kind) {
    uint64_t before = 0;

    if (vm_tree_check(tree) < 0)
        return false;
    for (struct vm_tree_node *at = vm_tree_first(tree); at; at = vm_tree_next(at)) {
        const struct vm_interval_node *node = interval_at(at);
        if (kind->of(node).first < before || node->reach != reach_with_children(node, kind))
            return false;
        before = kind->of(node).first;
    }
    return true;
}
