/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * radix.c - a tree of 64-way nodes, each level deciding six bits of the index.
 *
 *     height 2:   root  slots[index >> 6 & 63]  ->  leaf  slots[index & 63]  =  the word
 *
 * Invariants: the root covers every index stored, and no level more than that: a root above a leaf
 * has something beyond slot 0. Between a reserve and the put or remove that follows it, and only
 * then, a node may be empty.
 *
 * A hash table would be smaller for a few scattered pages, but objects are mapped in ranges: here
 * neighbours share a node, and going through the pages of a range visits them in order.
 */
#include "vm/object/radix.h"

#include "vm/frame/cache.h"
#include "vm/memory.h"

#define BITS   6u
#define SLOTS  (1u << BITS)
#define LEVELS 11u /* 11 * 6 bits hold any index */

struct vm_radix_node {
    uintptr_t slots[SLOTS]; /* words in a leaf, nodes above */
    uint32_t used;          /* slots that are not 0 */
};

_Static_assert(sizeof(struct vm_radix_node) <= VM_RADIX_NODE_BYTES, "the header tells the size");

static unsigned height_for(uint64_t index) {
    unsigned height = 1;

    while (height < LEVELS && index >> (BITS * height))
        height++;
    return height;
}

static bool covers(const struct vm_radix *radix, uint64_t index) {
    return height_for(index) <= radix->height;
}

static unsigned slot_of(uint64_t index, unsigned level) {
    return (unsigned)(index >> (BITS * level)) & (SLOTS - 1);
}

static struct vm_radix_node *child(const struct vm_radix_node *node, unsigned slot) {
    return (struct vm_radix_node *)node->slots[slot];
}

/* The leaf for this index; NULL if there is none. */
static struct vm_radix_node *find_leaf(const struct vm_radix *radix, uint64_t index) {
    if (!covers(radix, index))
        return NULL;
    struct vm_radix_node *node = radix->root;
    for (unsigned level = radix->height - 1; node && level > 0; level--)
        node = child(node, slot_of(index, level));
    return node;
}

uintptr_t vm_radix_get(const struct vm_radix *radix, uint64_t index) {
    const struct vm_radix_node *leaf = find_leaf(radix, index);

    return leaf ? leaf->slots[slot_of(index, 0)] : 0;
}

static struct vm_radix_node *new_node(struct vm_machine *machine) {
    struct vm_radix_node *node = vm_cache_allocate(machine, machine->radix_cache);

    if (node)
        memset(node, 0, sizeof *node);
    return node;
}

static void set_slot(struct vm_radix_node *node, unsigned slot, uintptr_t word) {
    node->used += (word != 0);
    node->used -= (node->slots[slot] != 0);
    node->slots[slot] = word;
}

/* Frees the nodes on the way to this index that hold nothing. */
static void free_empty(struct vm_machine *machine, struct vm_radix *radix, uint64_t index) {
    struct vm_radix_node *path[LEVELS] = { NULL };

    if (!covers(radix, index))
        return;
    path[radix->height - 1] = radix->root;
    for (unsigned level = radix->height - 1; level > 0 && path[level]; level--)
        path[level - 1] = child(path[level], slot_of(index, level));

    for (unsigned level = 0; level < radix->height; level++) {
        if (!path[level])
            continue;
        if (path[level]->used)
            return;
        vm_cache_free(machine, machine->radix_cache, path[level]);
        if (level + 1 < radix->height)
            set_slot(path[level + 1], slot_of(index, level + 1), 0);
        else
            *radix = (struct vm_radix){ NULL, 0 };
    }
}

/* Takes off the levels above that decide nothing. */
static void lower(struct vm_machine *machine, struct vm_radix *radix) {
    while (radix->height > 1 && radix->root->used == 1 && radix->root->slots[0]) {
        struct vm_radix_node *root = radix->root;
        radix->root = child(root, 0);
        radix->height--;
        vm_cache_free(machine, machine->radix_cache, root);
    }
}

static void trim(struct vm_machine *machine, struct vm_radix *radix, uint64_t index) {
    free_empty(machine, radix, index);
    lower(machine, radix);
}

/* Adds levels above until the root covers the index. */
static int raise(struct vm_machine *machine, struct vm_radix *radix, uint64_t index) {
    unsigned height = height_for(index);

    while (radix->height < height) {
        struct vm_radix_node *root = new_node(machine);
        if (!root)
            return VM_ENOMEM;
        if (radix->root) {
            set_slot(root, 0, (uintptr_t)radix->root);
            radix->height++;
        } else {
            radix->height = height;
        }
        radix->root = root;
    }
    return VM_OK;
}

static int add_path(struct vm_machine *machine, struct vm_radix *radix, uint64_t index) {
    struct vm_radix_node *node = radix->root;

    for (unsigned level = radix->height - 1; level > 0; level--) {
        unsigned slot = slot_of(index, level);
        if (!node->slots[slot]) {
            struct vm_radix_node *below = new_node(machine);
            if (!below)
                return VM_ENOMEM;
            set_slot(node, slot, (uintptr_t)below);
        }
        node = child(node, slot);
    }
    return VM_OK;
}

int vm_radix_reserve(struct vm_machine *machine, struct vm_radix *radix, uint64_t index) {
    int error = raise(machine, radix, index);

    if (!error)
        error = add_path(machine, radix, index);
    if (error)
        trim(machine, radix, index);
    return error;
}

uintptr_t vm_radix_put(struct vm_radix *radix, uint64_t index, uintptr_t word) {
    struct vm_radix_node *leaf = find_leaf(radix, index);
    uintptr_t before = leaf->slots[slot_of(index, 0)];

    set_slot(leaf, slot_of(index, 0), word);
    return before;
}

/* A leaf that keeps something else says that nothing on the way to it is in vain. */
uintptr_t vm_radix_remove(struct vm_machine *machine, struct vm_radix *radix, uint64_t index) {
    struct vm_radix_node *leaf = find_leaf(radix, index);
    uintptr_t before = 0;

    if (leaf) {
        before = leaf->slots[slot_of(index, 0)];
        set_slot(leaf, slot_of(index, 0), 0);
    }
    if (!leaf || leaf->used == 0)
        trim(machine, radix, index);
    return before;
}

/* The first word of the subtree at or after `from`, which counts from the subtree's first index. */
static uintptr_t first_from(const struct vm_radix_node *node, unsigned level, uint64_t from,
                            uint64_t *found) {
    unsigned shift = BITS * level;
    uint64_t below = from & ((UINT64_C(1) << shift) - 1);

    for (uint64_t slot = from >> shift; slot < SLOTS; slot++, below = 0) {
        uintptr_t word = node->slots[slot];
        if (!word)
            continue;
        *found = 0;
        if (level > 0)
            word = first_from((const struct vm_radix_node *)word, level - 1, below, found);
        if (word) {
            *found |= slot << shift;
            return word;
        }
    }
    return 0;
}

uintptr_t vm_radix_next(const struct vm_radix *radix, uint64_t *index) {
    if (!covers(radix, *index))
        return 0;
    uint64_t found = 0;
    uintptr_t word = first_from(radix->root, radix->height - 1, *index, &found);
    if (word)
        *index = found;
    return word;
}
