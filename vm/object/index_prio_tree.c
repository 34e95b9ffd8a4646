/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_prio_tree.c - an object's areas in a radix priority search tree (McCreight 1985, made radix
 * by Venkatasubramanian 2004; Linux 2.6.7 to 3.6).
 *
 * A heap by last offset: no area below a node ends later than the node's. A radix tree by first
 * offset: at level n its bit `bits - 1 - n` leads to the left (0) or to the right. A search leaves a
 * node's subtree if the node ends too early, and does not enter a right side whose bits start too
 * late, so k areas of n are found in O(log n + k), whatever the ranges are.
 *
 *     equal ranges      one is the tree's node, the rest its set: a ring in the order of arrival.
 *                       The rest come once the place is found, and go, in O(1).
 *     equal starts      use up the bits: below, the sizes' bits lead on (the overflow sub-tree)
 *     a later end       than `bits` can tell: the tree gets more levels on top, and nodes to
 *                       fill them from its own top, which have the greatest ends
 *
 * A record has three states, told by its pointers as in Linux, where nobody may write another's
 * flags: `parent` is set (the root's is itself): a tree node; only `set` is: the first of a set; none
 * is: another member. Nothing is allocated, and no balance is kept: insertion and removal only
 * carry nodes down and up one path of at most 128.
 */
#include "vm/object/index.h"

#include "vm/space/area.h"

enum side { LEFT, RIGHT };

enum { OFFSET_BITS = 64 };

struct record {
    union {
        struct record *child[2]; /* a tree node's */
        struct vm_link same;     /* a member's ring */
    };
    struct record *parent;
    struct record *set; /* a tree node's first member, or the first member's tree node */
};

_Static_assert(sizeof(void *) != 8 || sizeof(struct record) == 32, "a node has grown");

struct vm_area_index {
    struct record *root;
    unsigned bits; /* every last offset is below 2^bits */
};

static struct vm_area *area_of(const struct record *record) {
    return vm_area_of_index_record(record);
}

static uint64_t first_of(const struct record *record) {
    return area_of(record)->pgoff;
}

static uint64_t last_of(const struct record *record) {
    return vm_area_last_index(area_of(record));
}

static bool is_tree_node(const struct record *record) {
    return record->parent != NULL;
}

static bool is_root(const struct record *record) {
    return record->parent == record;
}

static struct record *member_at(struct vm_link *link) {
    return vm_link_entry(link, struct record, same);
}

/* The heap's order: a stands above b. */
static bool above(const struct record *a, const struct record *b) {
    if (last_of(a) != last_of(b))
        return last_of(a) > last_of(b);
    return first_of(a) < first_of(b);
}

static bool equal(const struct record *a, const struct record *b) {
    return first_of(a) == first_of(b) && last_of(a) == last_of(b);
}

/* ---------------------------------------------------------------- levels and bits */

/* The bit that decides between the children of a node at this level, in its first offset or, once
 * those are used up, in its size. */
static uint64_t bit_at(const struct vm_area_index *index, unsigned level) {
    unsigned above_it =
        level < index->bits ? OFFSET_BITS - index->bits + level : level - index->bits;
    return UINT64_C(1) << (OFFSET_BITS - 1 - above_it);
}

static enum side side_for(const struct vm_area_index *index, const struct record *record,
                          unsigned level) {
    uint64_t key = level < index->bits ? first_of(record) : last_of(record) - first_of(record);
    return key & bit_at(index, level) ? RIGHT : LEFT;
}

/* The least first offset that there can be to the right of a node of this level. */
static uint64_t least_on_the_right(const struct vm_area_index *index, const struct record *node,
                                   unsigned level) {
    if (level >= index->bits)
        return first_of(node);
    uint64_t bit = bit_at(index, level);
    return (first_of(node) & ~(bit | (bit - 1))) | bit;
}

static unsigned bits_for(uint64_t offset) {
    unsigned bits = 1;
    while (bits < OFFSET_BITS && offset >> bits)
        bits++;
    return bits;
}

/* ---------------------------------------------------------------- links */

/* Hangs the record (or nothing) where the node hangs. */
static void hang_for(struct vm_area_index *index, const struct record *node,
                     struct record *record) {
    if (is_root(node)) {
        index->root = record;
        if (record)
            record->parent = record;
        return;
    }
    struct record *parent = node->parent;
    parent->child[parent->child[RIGHT] == node] = record;
    if (record)
        record->parent = parent;
}

static void set_child(struct record *node, enum side side, struct record *child) {
    node->child[side] = child;
    if (child)
        child->parent = node;
}

/* The record takes over the node's place with all that hangs below it. */
static void replace(struct vm_area_index *index, const struct record *node, struct record *record) {
    hang_for(index, node, record);
    set_child(record, LEFT, node->child[LEFT]);
    set_child(record, RIGHT, node->child[RIGHT]);
}

/* The child, which stands above the other one, trades places with its parent. */
static void lift(struct vm_area_index *index, struct record *node, struct record *child) {
    enum side side = node->child[RIGHT] == child ? RIGHT : LEFT;
    struct record *other = node->child[!side],
                  *below[2] = { child->child[LEFT], child->child[RIGHT] };

    hang_for(index, node, child);
    set_child(child, side, node);
    set_child(child, !side, other);
    set_child(node, LEFT, below[LEFT]);
    set_child(node, RIGHT, below[RIGHT]);
}

static struct record *upper_child(const struct record *node) {
    struct record *left = node->child[LEFT], *right = node->child[RIGHT];

    if (!left || !right)
        return left ? left : right;
    return above(left, right) ? left : right;
}

/* The upper child of each node on the way moves up, until the node is at an end of the tree. */
static void cut_out(struct vm_area_index *index, struct record *node) {
    struct record *child;

    while ((child = upper_child(node)))
        lift(index, node, child);
    hang_for(index, node, NULL);
}

/* ---------------------------------------------------------------- in and out */

static void become_node(struct record *record) {
    record->child[LEFT] = record->child[RIGHT] = NULL;
    record->set = NULL;
}

static void become_member(struct record *node, struct record *record) {
    record->parent = record->set = NULL;
    if (node->set) {
        vm_link_add_last(&node->set->same, &record->same);
        return;
    }
    vm_link_init(&record->same);
    node->set = record;
    record->set = node;
}

static void become_root(struct vm_area_index *index, struct record *record) {
    index->root = record;
    record->parent = record;
}

/*
 * The record ends behind what the tree's bits can tell, so it ends last of all and is the new root.
 * All others' first offsets begin with zeroes in the added bits: they go to its left, one level
 * deeper for each bit. The levels in between take the old tree's topmost nodes.
 *
 *            o            new            new        new: the record; bits + 2
 *           / \          /              /
 *          p   q        (old tree)     o
 *                                     /
 *                                    p . . .
 */
static void grow(struct vm_area_index *index, struct record *record) {
    unsigned bits = bits_for(last_of(record));
    struct vm_area_index old = *index;
    struct record *lowest = record;

    become_root(index, record);
    for (unsigned level = index->bits + 1; level < bits && old.root; level++) {
        struct record *top = old.root;
        cut_out(&old, top);
        top->child[LEFT] = top->child[RIGHT] = NULL;
        set_child(lowest, LEFT, top);
        lowest = top;
    }
    set_child(lowest, LEFT, old.root);
    index->bits = bits;
}

static void init(struct vm_area_index *index) {
    index->root = NULL;
    index->bits = 1;
}

/* Goes down the record's path. Where it stands above the node there, it takes the node's place, and
 * the node is carried on down in its stead. */
static void insert(struct vm_machine *machine, struct vm_area_index *index, struct vm_area *area) {
    struct record *carried = vm_area_index_record(machine, area);
    struct record *node = index->root, *parent = NULL;
    enum side side = LEFT;

    become_node(carried);
    if (bits_for(last_of(carried)) > index->bits) {
        grow(index, carried);
        return;
    }
    for (unsigned level = 0; node; level++) {
        if (equal(carried, node)) {
            become_member(node, carried);
            return;
        }
        if (above(carried, node)) {
            replace(index, node, carried);
            parent = carried;
            carried = node;
            carried->child[LEFT] = carried->child[RIGHT] = NULL;
        } else {
            parent = node;
        }
        side = side_for(index, carried, level);
        node = parent->child[side];
    }
    if (parent)
        set_child(parent, side, carried);
    else
        become_root(index, carried);
}

/* Takes the first member out of the node's set. */
static struct record *take_first_member(struct record *node) {
    struct record *first = node->set, *next = member_at(first->same.next);

    node->set = next == first ? NULL : next;
    if (node->set)
        node->set->set = node;
    vm_link_remove(&first->same);
    return first;
}

static void take_out_node(struct vm_area_index *index, struct record *node) {
    if (!node->set) {
        cut_out(index, node);
        if (!index->root)
            index->bits = 1;
        return;
    }
    struct record *heir = take_first_member(node);
    replace(index, node, heir);
    heir->set = node->set;
    if (heir->set)
        heir->set->set = heir;
}

static void take_out(struct vm_machine *machine, struct vm_area_index *index,
                     struct vm_area *area) {
    struct record *record = vm_area_index_record(machine, area);

    if (is_tree_node(record))
        take_out_node(index, record);
    else if (record->set)
        take_first_member(record->set);
    else
        vm_link_remove(&record->same);
}

/* ---------------------------------------------------------------- searching */

struct search {
    const struct vm_area_index *index;
    uint64_t first, last;
    vm_index_visit *visit;
    void *context;
    uint64_t looked_at, rejected;
};

enum below { LOOK_BELOW, NOTHING_BELOW, ALL_DONE };

static bool visit_set(struct search *search, struct record *node) {
    struct record *member = node->set;

    if (!member)
        return true;
    do {
        search->looked_at++;
        if (!search->visit(area_of(member), search->context))
            return false;
        member = member_at(member->same.next);
    } while (member != node->set);
    return true;
}

static enum below look_at(struct search *search, struct record *node) {
    search->looked_at++;
    if (last_of(node) < search->first) {
        search->rejected++;
        return NOTHING_BELOW;
    }
    if (first_of(node) > search->last) {
        search->rejected++;
        return LOOK_BELOW;
    }
    if (!search->visit(area_of(node), search->context) || !visit_set(search, node))
        return ALL_DONE;
    return LOOK_BELOW;
}

static struct record *right_if_near(const struct search *search, const struct record *node,
                                    unsigned level) {
    bool near = least_on_the_right(search->index, node, level) <= search->last;
    return near ? node->child[RIGHT] : NULL;
}

/* Node before children, left before right; back up along the parents. */
static void search_tree(struct search *search) {
    struct record *node = search->index->root;
    unsigned level = 0;

    while (node) {
        enum below below = look_at(search, node);
        struct record *next = NULL;

        if (below == ALL_DONE)
            return;
        if (below == LOOK_BELOW)
            next = node->child[LEFT] ? node->child[LEFT] : right_if_near(search, node, level);
        while (!next && !is_root(node)) {
            const struct record *done = node;
            node = node->parent;
            level--;
            if (node->child[LEFT] == done)
                next = right_if_near(search, node, level);
        }
        node = next;
        level++;
    }
}

static void each(struct vm_machine *machine, struct vm_area_index *index, uint64_t first,
                 uint64_t last, vm_index_visit *visit, void *context) {
    struct search search = {
        .index = index, .first = first, .last = last, .visit = visit, .context = context
    };

    search_tree(&search);
    vm_count(machine, rmap.object_visits, search.looked_at);
    vm_count(machine, rmap.range_rejects, search.rejected);
}

/* ---------------------------------------------------------------- check */

static bool check_set(struct record *node) {
    struct record *member = node->set;

    if (!member)
        return true;
    if (member->set != node)
        return false;
    do {
        if (is_tree_node(member) || !equal(node, member) || (member->set && member != node->set) ||
            member->same.next->previous != &member->same)
            return false;
        member = member_at(member->same.next);
    } while (member != node->set);
    return true;
}

/* The node stands where its bits lead, going up from it. */
static bool check_path(const struct vm_area_index *index, const struct record *node,
                       unsigned level) {
    const struct record *at = node;

    for (; !is_root(at) && level > 0; at = at->parent)
        if (at->parent->child[side_for(index, node, --level)] != at)
            return false;
    return is_root(at) && level == 0;
}

static bool check_subtree(const struct vm_area_index *index, struct record *node, unsigned level) {
    if (!node)
        return true;
    if (!is_root(node) && !above(node->parent, node))
        return false;
    return check_path(index, node, level) && check_set(node) &&
           check_subtree(index, node->child[LEFT], level + 1) &&
           check_subtree(index, node->child[RIGHT], level + 1);
}

static bool check(struct vm_area_index *index) {
    if (!index->root)
        return index->bits == 1;
    return is_root(index->root) && last_of(index->root) >> (index->bits - 1) >> 1 == 0 &&
           check_subtree(index, index->root, 0);
}

const struct vm_index_kind vm_index_prio_tree = {
    .name = "prio-tree",
    .origin = "Venkatasubramanian (2004), Linux 2.6.7 to 3.6: radix priority search tree",
    .object_bytes = sizeof(struct vm_area_index),
    .area_bytes = sizeof(struct record),
    .init = init,
    .insert = insert,
    .remove = take_out,
    .each = each,
    .check = check,
};
