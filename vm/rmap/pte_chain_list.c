/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pte_chain_list.c - the design "pte-chain-list" of the first rmap patches for Linux 2.4 and of
 * 2.5.27: a node of two words for every mapping, newest first.
 *
 * Forking, faulting and unmapping take or give a node for each page. A short-lived child's entries
 * lie on top of its parent's and come off in one step; who leaves in the order of arrival goes
 * through all that came later. See pair.h.
 */
#include "vm/rmap/pair.h"

extern const struct vm_design vm_design_pte_chain_list;

static int reserve(struct vm_machine *machine, struct vm_reserve *reserve, enum vm_reserve_for what,
                   unsigned mappings) {
    (void)what;
    return vm_chain_set_aside(machine, machine->design_data, reserve, mappings);
}

static void add(const struct vm_run *run, struct vm_reserve *reserve) {
    vm_chain_add_run(run, reserve, VM_CHAINED_ALL, vm_pair_push);
}

static void duplicate(const struct vm_run *parent, const struct vm_run *child,
                      struct vm_reserve *reserve) {
    (void)parent;
    add(child, reserve);
}

static void remove(const struct vm_run *run) {
    vm_chain_remove_run(run, VM_CHAINED_ALL, vm_pair_remove);
}

static void moved(const struct vm_run *from, const struct vm_run *to) {
    vm_chain_move_run(from, to, VM_CHAINED_ALL, vm_pair_replace);
}

const struct vm_design vm_design_pte_chain_list = {
    .info = { .name = "pte-chain-list",
              .origin = "rmap for Linux 2.4 and 2.5.27 (2001, 2002): a node for every mapping",
              .page_bytes = sizeof(uint64_t),
              .chains = true,
              .object_chains = true,
              .mapping_cost = "a node of 16 bytes" },
    .finds_nonlinear = true,
    .init = vm_pair_init,
    .fini = vm_pair_fini,
    .reserve = reserve,
    .unreserve = vm_pair_unreserve,
    .add = add,
    .remove = remove,
    .duplicate = duplicate,
    .moved = moved,
    .walk = vm_pair_walk,
    .check = vm_pair_check,
};
