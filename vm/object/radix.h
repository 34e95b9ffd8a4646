/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * radix.h - a sparse array from 64-bit page offsets to words (never 0), 64 to a node.
 *
 * The tree is only as high as its largest offset needs. Nodes come from machine->radix_cache.
 * The caller locks.
 */
#ifndef VM_RADIX_H
#define VM_RADIX_H

#include "vm/machine.h"

struct vm_radix_node;

struct vm_radix {
    struct vm_radix_node *root;
    unsigned height; /* levels; 0 when empty */
};

#define VM_RADIX_NODE_BYTES (64 * sizeof(uintptr_t) + 16)

/* 0 if there is nothing at the index. */
uintptr_t vm_radix_get(const struct vm_radix *radix, uint64_t index);

/* Makes room, so that a put at this index cannot fail. => VM_ENOMEM */
int vm_radix_reserve(struct vm_machine *machine, struct vm_radix *radix, uint64_t index);

/* Stores a word that is not 0; returns the one before. => reserved, or something is there already */
uintptr_t vm_radix_put(struct vm_radix *radix, uint64_t index, uintptr_t word);

/* Removes what is there and returns it; empty nodes are freed. Also gives back an unused reserve. */
uintptr_t vm_radix_remove(struct vm_machine *machine, struct vm_radix *radix, uint64_t index);

/* The first word at or after *index, which becomes its index. 0 if there is none. */
uintptr_t vm_radix_next(const struct vm_radix *radix, uint64_t *index);

#endif
