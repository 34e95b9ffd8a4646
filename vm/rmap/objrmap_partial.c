/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * objrmap_partial.c - the design "objrmap-partial" of 2.5.68 (McCracken 2003): pages of files and
 * shared memory are found by their object's areas, anonymous pages by chains of their entries.
 *
 *     object's page       page->object -> its areas -> the linear rule -> the entry
 *     anonymous page      page->rmap -> entries, as in pte-chain
 *     page out of line    the same: an object's page that VM_PAGE_CHAINED marks
 *
 * What a page is tells which it has; a private area of a file holds both kinds. Nothing is kept,
 * locked or set aside for an entry that maps an object's page, and runs in areas that can hold no
 * other are not looked at.
 *
 * Under VM_NONLINEAR_CHAIN, a page that is about to be mapped where the linear rule has another gets
 * a chain of all its entries, those in line too, and keeps it while it is in memory. While its areas
 * are searched for them, others go on:
 *
 *     mark                 under the chain's lock; from here on, whoever adds an entry adds it to
 *                          the chain. An entry taken away or moved may not be in it yet
 *     add what is found    each under its table's lock, so once: fork may have been quicker
 *     as long as the map count?   if not, a fork had looked for the mark before it was set, and put
 *                          its entry into a table that was made behind the search: search again
 *
 * The page is locked all along, so nobody asks where it is mapped, and nobody faults it in.
 */
#include "vm/rmap/pte_chain.h"

extern const struct vm_design vm_design_objrmap_partial;

static bool converts(const struct vm_machine *machine) {
    return machine->config.nonlinear == VM_NONLINEAR_CHAIN;
}

static bool may_have_chains(const struct vm_area *area) {
    return vm_area_is(area, VM_AREA_HAS_ANON) || converts(area->space->machine);
}

/* ---------------------------------------------------------------- runs */

static int reserve(struct vm_machine *machine, struct vm_reserve *reserve, enum vm_reserve_for what,
                   unsigned mappings) {
    if (what == VM_RESERVE_OBJECT && !converts(machine))
        return VM_OK;
    return vm_pte_chain_reserve(machine, reserve, what, mappings);
}

static void add(const struct vm_run *run, struct vm_reserve *reserve) {
    if (may_have_chains(run->area))
        vm_chain_add_run(run, reserve, VM_CHAINED_SOME, vm_pte_chain_add);
}

static void duplicate(const struct vm_run *parent, const struct vm_run *child,
                      struct vm_reserve *reserve) {
    (void)parent;
    add(child, reserve);
}

/* Only a page that is just getting its chain has entries that are not in it. */
static bool is_chained(struct vm_machine *machine, struct vm_page *page, uint64_t entry) {
    return !vm_page_is(page, VM_PAGE_CHAINED) || !vm_page_is(page, VM_PAGE_LOCKED) ||
           vm_pte_chain_has(machine, page, entry);
}

static void remove_one(struct vm_machine *machine, struct vm_page *page, uint64_t entry) {
    if (is_chained(machine, page, entry))
        vm_pte_chain_remove(machine, page, entry);
}

static void replace_one(struct vm_machine *machine, struct vm_page *page, uint64_t from,
                        uint64_t to) {
    if (is_chained(machine, page, from))
        vm_pte_chain_replace(machine, page, from, to);
}

static void remove(const struct vm_run *run) {
    if (may_have_chains(run->area))
        vm_chain_remove_run(run, VM_CHAINED_SOME, remove_one);
}

static void moved(const struct vm_run *from, const struct vm_run *to) {
    if (may_have_chains(from->area))
        vm_chain_move_run(from, to, VM_CHAINED_SOME, replace_one);
}

/* ---------------------------------------------------------------- from areas to a chain */

struct conversion {
    struct vm_machine *machine;
    struct vm_page *page;
    struct vm_reserve nodes; /* one for each entry: others' entries may fill what we begin */
};

/* False if forks have made more entries than there are nodes. */
static bool mark(struct conversion *conversion) {
    struct vm_page *page = conversion->page;

    vm_chain_lock(conversion->machine, page);
    bool enough = conversion->nodes.count >= vm_page_mapcount(page);
    if (enough)
        vm_page_set(conversion->machine, page, VM_PAGE_CHAINED);
    vm_chain_unlock(conversion->machine, page);
    return enough;
}

static enum vm_step add_found(const struct vm_mapping *mapping, void *context) {
    struct conversion *conversion = context;
    struct vm_machine *machine = conversion->machine;
    uint64_t entry = vm_chain_entry(machine, mapping);

    vm_chain_lock(machine, conversion->page);
    if (!vm_pte_chain_has(machine, conversion->page, entry))
        vm_pte_chain_add(machine, conversion->page, entry, &conversion->nodes);
    vm_chain_unlock(machine, conversion->page);
    vm_count(machine, rmap.chain_locks, 1);
    return VM_STEP_ON;
}

static bool is_complete(struct conversion *conversion) {
    vm_chain_lock(conversion->machine, conversion->page);
    bool complete = vm_pte_chain_length(conversion->page) >= vm_page_mapcount(conversion->page);
    vm_chain_unlock(conversion->machine, conversion->page);
    return complete;
}

static void collect_entries(struct conversion *conversion) {
    struct vm_machine *machine = conversion->machine;

    vm_rmap_walk_object(machine, conversion->page, VM_WALK_ALL, add_found, conversion);
    while (!is_complete(conversion)) {
        VM_ASSERT(machine, machine->smp);
        machine->port->relax(machine->port);
        vm_rmap_walk_object(machine, conversion->page, VM_WALK_ALL, add_found, conversion);
    }
}

static int out_of_line(struct vm_machine *machine, struct vm_page *page) {
    struct conversion conversion = { .machine = machine, .page = page };
    struct vm_cache *cache = machine->design_data;
    int error = VM_OK;

    if (!converts(machine) || vm_page_is(page, VM_PAGE_CHAINED))
        return VM_OK;
    do
        error = vm_chain_set_aside(machine, cache, &conversion.nodes, vm_page_mapcount(page));
    while (!error && !mark(&conversion));
    if (!error)
        collect_entries(&conversion);
    vm_chain_give_back(machine, cache, &conversion.nodes, 0);
    return error;
}

/* ---------------------------------------------------------------- walking */

static enum vm_walked walk(struct vm_machine *machine, struct vm_page *page, enum vm_walk_kind kind,
                           vm_mapping_visit *visit, void *context) {
    if (vm_page_has_chain(page, VM_CHAINED_SOME))
        return vm_pte_chain_walk(machine, page, kind, visit, context);
    return vm_rmap_walk_object(machine, page, kind, visit, context);
}

static uint64_t check(struct vm_machine *machine) {
    return vm_pte_chain_check(machine, VM_CHAINED_SOME);
}

const struct vm_design vm_design_objrmap_partial = {
    .info = { .name = "objrmap-partial",
              .origin = "McCracken for Linux 2.5.68 (2003): files by their areas, else chains",
              .page_bytes = sizeof(uint64_t),
              .chains = true,
              .object_chains = true,
              .mapping_cost = "of an object's page nothing; of an anonymous one the first nothing, "
                              "the others 9.1 bytes in full nodes of 64" },
    .finds_objects_by_area = true,
    .init = vm_pte_chain_init,
    .fini = vm_pte_chain_fini,
    .reserve = reserve,
    .unreserve = vm_pte_chain_unreserve,
    .out_of_line = out_of_line,
    .add = add,
    .remove = remove,
    .duplicate = duplicate,
    .moved = moved,
    .walk = walk,
    .check = check,
};
