/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * objrmap_partial.c - the design "objrmap-partial" of 2.5.68 (McCracken 2003): pages of files and
 * shared memory are found by their object's areas, anonymous pages by chains of their entries.
 *
 *     object's page       page->object -> its areas -> the linear rule -> the entry
 *     anonymous page      page->rmap -> entries, as in pte-chain
 *
 * What a page is tells which of the two it has; a private area of a file holds both kinds. Nothing
 * is kept or locked for an entry that maps an object's page. Nodes are set aside before anybody
 * knows what kind of pages a fault or fork will meet, and go back unused.
 */
#include "vm/rmap/pte_chain.h"

extern const struct vm_design vm_design_objrmap_partial;

static void add(const struct vm_run *run, struct vm_reserve *reserve) {
    vm_chain_add_run(run, reserve, VM_CHAINED_ANONYMOUS, vm_pte_chain_add);
}

static void duplicate(const struct vm_run *parent, const struct vm_run *child,
                      struct vm_reserve *reserve) {
    (void)parent;
    add(child, reserve);
}

static void remove(const struct vm_run *run) {
    vm_chain_remove_run(run, VM_CHAINED_ANONYMOUS, vm_pte_chain_remove);
}

static void moved(const struct vm_run *from, const struct vm_run *to) {
    vm_chain_move_run(from, to, VM_CHAINED_ANONYMOUS, vm_pte_chain_replace);
}

static enum vm_walked walk(struct vm_machine *machine, struct vm_page *page, enum vm_walk_kind kind,
                           vm_mapping_visit *visit, void *context) {
    if (vm_page_is(page, VM_PAGE_ANON))
        return vm_pte_chain_walk(machine, page, kind, visit, context);
    return vm_rmap_walk_object(machine, page, kind, visit, context);
}

static uint64_t check(struct vm_machine *machine) {
    return vm_pte_chain_check(machine, VM_CHAINED_ANONYMOUS);
}

const struct vm_design vm_design_objrmap_partial = {
    .info = { .name = "objrmap-partial",
              .origin = "McCracken for Linux 2.5.68 (2003): files by their areas, else chains",
              .page_bytes = sizeof(uint64_t),
              .chains = true,
              .mapping_cost = "of an object's page nothing; of an anonymous one the first nothing, "
                              "the others 9.1 bytes in full nodes of 64" },
    .finds_objects_by_area = true,
    .init = vm_pte_chain_init,
    .fini = vm_pte_chain_fini,
    .reserve = vm_pte_chain_reserve,
    .unreserve = vm_pte_chain_unreserve,
    .add = add,
    .remove = remove,
    .duplicate = duplicate,
    .moved = moved,
    .walk = walk,
    .check = check,
};
