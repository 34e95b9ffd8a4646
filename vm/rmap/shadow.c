/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shadow.c - the design "shadow", I. Molnar's proposal as Bligh and Hansen (2003, 8.1) describe it:
 * beside each leaf table lie two words for each of its entries, which thread the entries that map
 * one page into a list of neighbours.
 *
 *     leaf         [ . e1 . . ]      [ . . e2 . ]      all map page P
 *     companion    [ . s1 . . ]      [ . . s2 . ]
 *     page->rmap -> s2 <-> s1
 *
 * The slot's place tells the entry, so the entry is not stored. Adding touches the slot, the page and
 * the old head's slot; removing, the slot and its neighbours: both O(1), and neither needs memory,
 * since companions come and go with the tables. What it costs is 16 bytes an entry whether it is
 * used or not, and a cache line an entry when walking.
 *
 * A companion stays while one of its slots is in a chain: an entry that maps a page keeps its
 * table, and entry and slot change in one section of the table's lock.
 */
#include "vm/frame/cache.h"
#include "vm/memory.h"
#include "vm/rmap/chain.h"

extern const struct vm_design vm_design_shadow;

/* Links name entries: 0 for none, bit 0 clear. */
struct slot {
    uint64_t next, previous;
};

struct companion {
    struct slot slots[VM_TABLE_ENTRIES];
};

_Static_assert(sizeof(struct companion) == 2 * VM_PAGE_SIZE, "two pages beside each table");

static uint64_t link_of(uint64_t entry) {
    return (entry + 1) << 1;
}

static uint64_t entry_of(const struct vm_machine *machine, uint64_t link) {
    (void)machine;
    return (link >> 1) - 1;
}

static struct slot *slot_of(const struct vm_machine *machine, uint64_t link) {
    uint64_t entry = entry_of(machine, link);
    struct companion *companion =
        (struct companion *)(uintptr_t)vm_chain_table(machine, entry)->companion;

    return &companion->slots[entry % VM_TABLE_ENTRIES];
}

static uint64_t next_of(const struct vm_machine *machine, uint64_t link) {
    return slot_of(machine, link)->next;
}

/* ---------------------------------------------------------------- tables */

static int table_made(struct vm_machine *machine, struct vm_table *table) {
    struct companion *companion = vm_cache_allocate(machine, machine->design_data);

    if (!companion)
        return VM_ENOMEM;
    memset(companion, 0, sizeof *companion);
    table->companion = (uintptr_t)companion;
    return VM_OK;
}

static void table_freed(struct vm_machine *machine, struct vm_table *table) {
    vm_cache_free(machine, machine->design_data, (void *)(uintptr_t)table->companion);
    table->companion = 0;
}

/* ---------------------------------------------------------------- runs */

/* What points at the slot's place from both sides points at `link` instead, which may be 0. */
static void set_next(struct vm_machine *machine, struct vm_page *page, uint64_t previous,
                     uint64_t link) {
    if (previous)
        slot_of(machine, previous)->next = link;
    else
        vm_chain_set_head(page, link);
}

static void set_previous(struct vm_machine *machine, uint64_t next, uint64_t link) {
    if (next)
        slot_of(machine, next)->previous = link;
}

static void add_one(struct vm_machine *machine, struct vm_page *page, uint64_t entry,
                    struct vm_reserve *reserve) {
    uint64_t link = link_of(entry), head = vm_chain_head(page);

    (void)reserve;
    *slot_of(machine, link) = (struct slot){ .next = head };
    set_previous(machine, head, link);
    vm_chain_set_head(page, link);
    vm_chain_grown(page);
}

static void remove_one(struct vm_machine *machine, struct vm_page *page, uint64_t entry) {
    uint64_t link = link_of(entry);
    struct slot *slot = slot_of(machine, link);

    vm_count(machine, rmap.removal_visits, 1);
    set_next(machine, page, slot->previous, slot->next);
    set_previous(machine, slot->next, slot->previous);
    vm_chain_pass(page, link, slot->next);
    *slot = (struct slot){ 0 };
}

static void replace_one(struct vm_machine *machine, struct vm_page *page, uint64_t from,
                        uint64_t to) {
    uint64_t old = link_of(from), new = link_of(to);
    struct slot *slot = slot_of(machine, old);

    set_next(machine, page, slot->previous, new);
    set_previous(machine, slot->next, new);
    *slot_of(machine, new) = *slot;
    vm_chain_rename(page, old, new);
    *slot = (struct slot){ 0 };
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
    vm_chain_remove_run(run, VM_CHAINED_ALL, remove_one);
}

static void moved(const struct vm_run *from, const struct vm_run *to) {
    vm_chain_move_run(from, to, VM_CHAINED_ALL, replace_one);
}

static enum vm_walked walk(struct vm_machine *machine, struct vm_page *page, enum vm_walk_kind kind,
                           vm_mapping_visit *visit, void *context) {
    static const struct vm_chain_links links = { entry_of, next_of };
    struct vm_chain_walk walk = {
        .machine = machine, .page = page, .visit = visit, .context = context, .forget = remove_one
    };

    (void)kind;
    return vm_chain_follow(&walk, &links);
}

/* ---------------------------------------------------------------- the machine */

static int init(struct vm_machine *machine) {
    machine->design_data = vm_cache_create(machine, "shadow pages", VM_COST_RMAP,
                                           sizeof(struct companion), sizeof(struct slot));
    return machine->design_data ? VM_OK : VM_ENOMEM;
}

static void fini(struct vm_machine *machine) {
    vm_cache_destroy(machine, machine->design_data);
    machine->design_data = NULL;
}

/* ---------------------------------------------------------------- check */

struct census {
    struct vm_machine *machine;
    uint64_t leaves, threaded; /* slots that some page's chain goes through */
    uint64_t differences;
};

static void check_page(const struct vm_page *page, void *context) {
    struct census *census = context;
    uint64_t links = 0, previous = 0;

    census->differences += vm_chain_left_locked(page);
    if (vm_chain_path(page)) { /* left behind by a walk: it points nowhere any more */
        census->differences++;
        return;
    }
    for (uint64_t link = vm_chain_head(page); link && links <= vm_page_mapcount(page);
         link = next_of(census->machine, link), links++) {
        census->differences += slot_of(census->machine, link)->previous != previous;
        previous = link;
    }
    census->differences += links != vm_page_mapcount(page);
    census->threaded += links;
}

/* Slots of entries that map no page are empty. */
static void check_leaf(struct census *census, const struct vm_table_cursor *at) {
    struct companion *companion = (struct companion *)(uintptr_t)at->table->companion;

    census->leaves++;
    for (unsigned i = 0; i < at->count; i++) {
        const struct slot *slot = &companion->slots[at->first + i];
        vm_pte entry = vm_pte_read(&at->entries[i]);
        if (vm_chained_page(census->machine, entry, VM_CHAINED_ALL))
            census->threaded--;
        else
            census->differences += slot->next != 0 || slot->previous != 0;
    }
}

/* Every list is in order and as long as its page's map count; every entry that maps a page is in one;
 * every leaf has a companion, and nothing else has. => the machine is at rest */
static uint64_t check(struct vm_machine *machine) {
    struct census census = { .machine = machine };

    vm_chain_each_page(machine, check_page, &census);
    for (struct vm_space *space = vm_space_first(machine); space; space = vm_space_after(space)) {
        struct vm_table_cursor at = vm_table_cursor(space->root, 0, VM_ADDRESS_END);
        while (vm_table_next(machine, &at))
            check_leaf(&census, &at);
    }
    census.differences += census.threaded != 0;
    census.differences += census.leaves != vm_cache_live(machine->design_data);
    return census.differences;
}

const struct vm_design vm_design_shadow = {
    .info = { .name = "shadow",
              .origin = "Molnar's rmap shadow pages (Bligh & Hansen 2003, section 8.1)",
              .page_bytes = sizeof(uint64_t),
              .chains = true,
              .object_chains = true,
              .table_bytes = sizeof(struct companion),
              .mapping_cost =
                  "nothing: its leaf table has brought 16 bytes an entry, used or not" },
    .finds_nonlinear = true,
    .init = init,
    .fini = fini,
    .table_made = table_made,
    .table_freed = table_freed,
    .add = add,
    .remove = remove,
    .duplicate = duplicate,
    .moved = moved,
    .walk = walk,
    .check = check,
};
