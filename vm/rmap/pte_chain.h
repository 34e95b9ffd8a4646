/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pte_chain.h - chains of cache-line nodes, for designs that use them for some pages or all.
 *
 * machine->design_data is the nodes' cache. => as in chain.h
 */
#ifndef VM_PTE_CHAIN_H
#define VM_PTE_CHAIN_H

#include "vm/rmap/chain.h"

int vm_pte_chain_init(struct vm_machine *machine);
void vm_pte_chain_fini(struct vm_machine *machine);

int vm_pte_chain_reserve(struct vm_machine *machine, struct vm_reserve *reserve,
                         enum vm_reserve_for what, unsigned mappings);
void vm_pte_chain_unreserve(struct vm_machine *machine, struct vm_reserve *reserve);

vm_chain_add vm_pte_chain_add;
vm_chain_remove vm_pte_chain_remove;
vm_chain_replace vm_pte_chain_replace;

/* => chain locked */
bool vm_pte_chain_has(struct vm_machine *machine, const struct vm_page *page, uint64_t entry);
uint64_t vm_pte_chain_length(const struct vm_page *page);

enum vm_walked vm_pte_chain_walk(struct vm_machine *machine, struct vm_page *page,
                                 enum vm_walk_kind kind, vm_mapping_visit *visit, void *context);

/* Chains are in order, every node belongs to one, and pages without chains have nothing. Counts
 * differences. => the machine is at rest */
uint64_t vm_pte_chain_check(struct vm_machine *machine, enum vm_chained which);

#endif
