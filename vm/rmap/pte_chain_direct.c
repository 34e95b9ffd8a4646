/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pte_chain_direct.c - the design "pte-chain-direct" of July 2002: nodes of two words, but a page
 * that is mapped once points straight at its entry.
 *
 *     page -> e1                            one mapping: no node
 *     page -> [e2 | next] -> [e1 | 0]       the second brings two
 *
 * Most pages are mapped once, so most need no node. The chain of a page that lost all but one entry
 * is made direct again by a walk, not by removal: short-lived children would turn it to and fro.
 */
#include "vm/rmap/pair.h"

extern const struct vm_design vm_design_pte_chain_direct;

/* None for a new page; else two for each: the page's only entry may need one, too. */
static int reserve(struct vm_machine *machine, struct vm_reserve *reserve, enum vm_reserve_for what,
                   unsigned mappings) {
    if (what == VM_RESERVE_NEW)
        return VM_OK;
    return vm_chain_set_aside(machine, machine->design_data, reserve, 2 * mappings);
}

static void add_one(struct vm_machine *machine, struct vm_page *page, uint64_t entry,
                    struct vm_reserve *reserve) {
    uint64_t head = vm_chain_head(page);

    if (!head) {
        vm_chain_set_head(page, vm_pair_direct(entry));
        vm_chain_grown(page);
        return;
    }
    if (vm_pair_is_direct(head))
        vm_pair_make_node(page, reserve);
    vm_pair_push(machine, page, entry, reserve);
}

static void add(const struct vm_run *run, struct vm_reserve *reserve) {
    vm_chain_add_run(run, reserve, VM_CHAINED_ALL, add_one);
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

static enum vm_walked walk(struct vm_machine *machine, struct vm_page *page, enum vm_walk_kind kind,
                           vm_mapping_visit *visit, void *context) {
    enum vm_walked walked = vm_pair_walk(machine, page, kind, visit, context);

    if (kind != VM_WALK_LOOK) {
        vm_chain_lock(machine, page);
        vm_pair_make_direct(machine, page);
        vm_chain_unlock(machine, page);
        vm_count(machine, rmap.chain_locks, 1);
    }
    return walked;
}

const struct vm_design vm_design_pte_chain_direct = {
    .info = { .name = "pte-chain-direct",
              .origin = "Linux 2.5.2x (July 2002): nodes for pages mapped more than once",
              .page_bytes = sizeof(uint64_t),
              .chains = true,
              .object_chains = true,
              .mapping_cost = "the first of a page nothing, the second two nodes of 16 bytes, "
                              "each other one" },
    .finds_nonlinear = true,
    .init = vm_pair_init,
    .fini = vm_pair_fini,
    .reserve = reserve,
    .unreserve = vm_pair_unreserve,
    .add = add,
    .remove = remove,
    .duplicate = duplicate,
    .moved = moved,
    .walk = walk,
    .check = vm_pair_check,
};
