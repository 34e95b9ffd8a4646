/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_tree.c - the balanced tree against a sorted array: order, balance, summaries.
 *
 * Each node's summary is the number of nodes, the sum and the largest weight of its subtree, so a
 * summary that was not brought up to date differs from one computed afresh.
 */
#include "vm/tree/tree.h"

#include "harness/dice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct item {
    struct vm_tree_node node;
    uint64_t key, weight;
    uint64_t count, sum, largest; /* of the subtree */
};

static struct item *item_of(struct vm_tree_node *node) {
    return vm_tree_entry(node, struct item, node);
}

static void summarise(struct vm_tree_node *node) {
    struct item *item = item_of(node);
    item->count = 1;
    item->sum = item->largest = item->weight;
    for (int side = 0; side < 2; side++) {
        if (!node->child[side])
            continue;
        const struct item *child = item_of(node->child[side]);
        item->count += child->count;
        item->sum += child->sum;
        if (child->largest > item->largest)
            item->largest = child->largest;
    }
}

static void insert(struct vm_tree *tree, struct item *item, vm_tree_summarise *with) {
    struct vm_tree_node *parent = NULL;
    enum vm_tree_side side = VM_TREE_LEFT;
    for (struct vm_tree_node *at = tree->root; at; at = at->child[side]) {
        parent = at;
        side = item->key < item_of(at)->key ? VM_TREE_LEFT : VM_TREE_RIGHT;
    }
    vm_tree_insert(tree, parent, side, &item->node, with);
}

static struct dice dice = { 20030815 };

static uint64_t below(uint64_t n) {
    return dice_below(&dice, n);
}

/* Every summary equals the one computed from the nodes below. Returns the subtree's count. */
static uint64_t check_summaries(struct vm_tree_node *node) {
    if (!node)
        return 0;
    uint64_t below = check_summaries(node->child[0]) + check_summaries(node->child[1]);
    struct item *item = item_of(node);
    struct item kept = *item;
    summarise(node);
    assert_int_equal(kept.count, below + 1);
    assert_int_equal(kept.sum, item->sum);
    assert_int_equal(kept.largest, item->largest);
    return kept.count;
}

static void check_against(const struct vm_tree *tree, struct item **sorted, size_t count) {
    struct vm_tree_node *node = vm_tree_first(tree);
    for (size_t i = 0; i < count; i++, node = vm_tree_next(node)) {
        assert_non_null(node);
        assert_ptr_equal(item_of(node), sorted[i]);
    }
    assert_null(node);
    node = vm_tree_last(tree);
    for (size_t i = count; i-- > 0; node = vm_tree_previous(node))
        assert_ptr_equal(item_of(node), sorted[i]);
    assert_null(node);
    /* The height of an AVL tree is below 1.4405 log2(n + 2). */
    int height = vm_tree_check(tree), limit = 0;
    assert_true(height >= 0);
    for (uint64_t a = 0, b = 1, next; b <= count; next = a + b + 1, a = b, b = next)
        limit++; /* b: the fewest nodes of a tree of height limit + 1 */
    assert_true(height <= limit);
}

enum { ITEMS = 1200 };

static void random_changes(vm_tree_summarise *with) {
    struct item *items = calloc(ITEMS, sizeof(*items));
    struct item **sorted = calloc(ITEMS, sizeof(struct item *));
    bool *inside = calloc(ITEMS, sizeof(*inside));
    struct vm_tree tree = { NULL };
    size_t count = 0;
    for (size_t i = 0; i < ITEMS; i++)
        items[i].key = i;
    for (int step = 0; step < 12000; step++) {
        /* Grow for a third of the steps, then hold, then shrink to nothing. */
        size_t i = below(ITEMS);
        if (step >= 11000 && count) {
            i = sorted[below(count)]->key;
        }
        size_t place = 0;
        while (place < count && sorted[place]->key < i)
            place++;
        if (inside[i]) {
            if (step < 4000)
                continue;
            vm_tree_remove(&tree, &items[i].node, with);
            count--;
            memmove(sorted + place, sorted + place + 1, (count - place) * sizeof(*sorted));
        } else if (step < 11000) {
            items[i].weight = below(1000);
            insert(&tree, &items[i], with);
            memmove(sorted + place + 1, sorted + place, (count - place) * sizeof(*sorted));
            sorted[place] = &items[i];
            count++;
        } else {
            continue;
        }
        inside[i] = !inside[i];
        if (with && count) {
            struct item *changed = sorted[below(count)];
            changed->weight = below(1000);
            vm_tree_update(&changed->node, with);
            assert_int_equal(check_summaries(tree.root), count);
        }
        check_against(&tree, sorted, count);
    }
    free(inside);
    free(sorted);
    free(items);
}

static void agrees_with_a_sorted_array(void **state) {
    (void)state;
    random_changes(NULL);
}

static void keeps_summaries(void **state) {
    (void)state;
    random_changes(summarise);
}

static void stays_flat_when_filled_in_order(void **state) {
    (void)state;
    enum { COUNT = 4095 };
    for (int descending = 0; descending < 2; descending++) {
        struct item *items = calloc(COUNT, sizeof(*items));
        struct vm_tree tree = { NULL };
        for (uint64_t i = 0; i < COUNT; i++) {
            items[i].key = descending ? COUNT - i : i;
            insert(&tree, &items[i], NULL);
        }
        assert_int_equal(vm_tree_check(&tree), 12);
        for (uint64_t i = 0; i < COUNT; i++) {
            vm_tree_remove(&tree, &items[i].node, NULL);
            assert_true(vm_tree_check(&tree) >= 0);
        }
        assert_null(tree.root);
        free(items);
    }
}

static void check_sees_damage(void **state) {
    (void)state;
    struct item items[7] = { { .key = 0 } };
    struct vm_tree tree = { NULL };
    assert_int_equal(vm_tree_check(&tree), 0);
    for (uint64_t i = 0; i < 7; i++) {
        items[i].key = i;
        insert(&tree, &items[i], NULL);
    }
    assert_int_equal(vm_tree_check(&tree), 3);
    struct vm_tree_node *right = tree.root->child[VM_TREE_RIGHT];
    tree.root->child[VM_TREE_RIGHT] = NULL;
    assert_int_equal(vm_tree_check(&tree), -1);
    tree.root->child[VM_TREE_RIGHT] = right;
    right->parent_and_balance ^= 1;
    assert_int_equal(vm_tree_check(&tree), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_sorted_array),
        cmocka_unit_test(keeps_summaries),
        cmocka_unit_test(stays_flat_when_filled_in_order),
        cmocka_unit_test(check_sees_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
