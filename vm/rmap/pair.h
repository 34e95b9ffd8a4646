/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pair.h - chains of nodes of two words, an entry and the next link, newest first.
 *
 *     page -> [e3 | next] -> [e2 | next] -> [e1 | 0]
 *
 * For designs that differ in what becomes of a page's only entry. A link is a node's address or, as
 * the only link of a chain, an entry itself ("direct"). machine->design_data is the nodes' cache.
 * => as in chain.h
 */
#ifndef VM_PAIR_H
#define VM_PAIR_H

#include "vm/rmap/chain.h"

#define VM_PAIR_DIRECT UINT64_C(2) /* the link is an entry, shifted by two */

static inline bool vm_pair_is_direct(uint64_t link) {
    return (link & VM_PAIR_DIRECT) != 0;
}

static inline uint64_t vm_pair_direct(uint64_t entry) {
    return entry << 2 | VM_PAIR_DIRECT;
}

int vm_pair_init(struct vm_machine *machine);
void vm_pair_fini(struct vm_machine *machine);
void vm_pair_unreserve(struct vm_machine *machine, struct vm_reserve *reserve);

/* A node for the entry, on top. */
vm_chain_add vm_pair_push;
/* Goes through the chain until it meets the entry. */
vm_chain_remove vm_pair_remove;
vm_chain_replace vm_pair_replace;

/* A chain of one node becomes direct. */
void vm_pair_make_direct(struct vm_machine *machine, struct vm_page *page);
/* A direct chain becomes one node. */
void vm_pair_make_node(struct vm_page *page, struct vm_reserve *reserve);

enum vm_walked vm_pair_walk(struct vm_machine *machine, struct vm_page *page,
                            enum vm_walk_kind kind, vm_mapping_visit *visit, void *context);

/* Every page has as many links as mappings, and every node is in one chain. Counts differences.
 * => the machine is at rest */
uint64_t vm_pair_check(struct vm_machine *machine);

#endif
