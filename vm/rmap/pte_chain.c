/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pte_chain.c - the design "pte-chain" of Linux 2.5.31 to 2.6.6: every page lists its entries.
 *
 * page->rmap with VM_PAGE_DESIGN_0 set is the page's only entry ("direct"), else the head of a chain
 * of nodes, each one cache line: a word and seven entries. An entry is named by its physical place,
 * table frame * 512 + index, so it may lie in a frame that is not addressable.
 *
 *     page -> [. . . . e8 e7 e6 | next] -> [e5 ... | next]    idx: the lowest used slot
 *
 * Only the head has free slots, the low ones. Adding fills its highest free slot, or a new head's.
 * Removing copies the head's lowest used entry over the victim and frees a head without entries. So
 * the chain is a stack with removal: whoever goes from its top to its bottom meets every entry,
 * though others are removed meanwhile (what fills a gap comes from the part already seen).
 *
 * A walk lets go of the chain's lock to show an entry. What it comes back to is in two marks: PINNED
 * on the node (who takes it off the chain leaves freeing to the walker), GROWN on the page (entries
 * came on top; fork copies entries of tables, not of locked pages).
 *
 * The chain of a page that lost all but one entry is made direct again by a walk, not by removal:
 * short-lived children would turn it to and fro.
 */
#include "vm/rmap/pte_chain.h"

#include "vm/frame/cache.h"

extern const struct vm_design vm_design_pte_chain;

#define SLOTS 7u

struct chain_node {
    uint64_t word; /* the next node's address, marks, and idx */
    uint64_t slots[SLOTS];
};

_Static_assert(sizeof(struct chain_node) == 64, "a node is one cache line");

/* A node's low six bits are free for these. */
#define NODE_IDX    UINT64_C(7) /* 7: no slot is used */
#define NODE_PINNED UINT64_C(8)
#define NODE_POPPED UINT64_C(16)
#define NODE_NEXT   (~UINT64_C(63))

/* page->rmap: a node's address, or an entry shifted by one; and this. */
#define RMAP_GROWN UINT64_C(1)

/* ---------------------------------------------------------------- nodes and pages; chain locked */

static unsigned idx_of(const struct chain_node *node) {
    return (unsigned)(node->word & NODE_IDX);
}

static struct chain_node *next_of(const struct chain_node *node) {
    return (struct chain_node *)(uintptr_t)(node->word & NODE_NEXT);
}

static bool is_direct(const struct vm_page *page) {
    return vm_page_is(page, VM_PAGE_DESIGN_0);
}

static uint64_t direct_of(const struct vm_page *page) {
    return page->rmap >> 1;
}

/* NULL if the page has no entry, or a direct one. */
static struct chain_node *head_of(const struct vm_page *page) {
    return is_direct(page) ? NULL : (struct chain_node *)(uintptr_t)(page->rmap & ~RMAP_GROWN);
}

static void set_direct(struct vm_machine *machine, struct vm_page *page, uint64_t entry) {
    page->rmap = entry << 1;
    vm_page_set(machine, page, VM_PAGE_DESIGN_0);
}

static void set_head(struct vm_page *page, struct chain_node *node) {
    page->rmap = (uintptr_t)node;
}

static void push_node(struct vm_page *page, struct vm_reserve *reserve) {
    struct chain_node *node = vm_chain_take(reserve);

    node->word = (uintptr_t)head_of(page) | SLOTS;
    set_head(page, node);
}

static void push_entry(struct chain_node *head, uint64_t entry) {
    head->word--;
    head->slots[idx_of(head)] = entry;
}

static void make_chain(struct vm_machine *machine, struct vm_page *page,
                       struct vm_reserve *reserve) {
    uint64_t only = direct_of(page);

    vm_page_clear(machine, page, VM_PAGE_DESIGN_0);
    page->rmap = 0;
    push_node(page, reserve);
    push_entry(head_of(page), only);
}

void vm_pte_chain_add(struct vm_machine *machine, struct vm_page *page, uint64_t entry,
                      struct vm_reserve *reserve) {
    if (!is_direct(page) && !head_of(page)) {
        set_direct(machine, page, entry);
    } else {
        if (is_direct(page))
            make_chain(machine, page, reserve);
        else if (idx_of(head_of(page)) == 0)
            push_node(page, reserve);
        push_entry(head_of(page), entry);
    }
    page->rmap |= RMAP_GROWN;
}

/* Where the chain keeps the entry; NULL if it does not. */
static uint64_t *chain_find(struct vm_machine *machine, const struct vm_page *page,
                            uint64_t entry) {
    for (struct chain_node *node = head_of(page); node; node = next_of(node)) {
        vm_count(machine, rmap.removal_visits, 1);
        for (unsigned slot = idx_of(node); slot < SLOTS; slot++)
            if (node->slots[slot] == entry)
                return &node->slots[slot];
    }
    return NULL;
}

bool vm_pte_chain_has(struct vm_machine *machine, const struct vm_page *page, uint64_t entry) {
    return is_direct(page) ? direct_of(page) == entry : chain_find(machine, page, entry) != NULL;
}

uint64_t vm_pte_chain_length(const struct vm_page *page) {
    uint64_t length = is_direct(page);

    for (const struct chain_node *node = head_of(page); node; node = next_of(node))
        length += SLOTS - idx_of(node);
    return length;
}

static void node_free(struct vm_machine *machine, struct chain_node *node) {
    vm_cache_free(machine, machine->design_data, node);
}

static void pop_node(struct vm_machine *machine, struct vm_page *page) {
    struct chain_node *head = head_of(page), *next = next_of(head);

    page->rmap = next ? (uintptr_t)next | (page->rmap & RMAP_GROWN) : 0;
    if (head->word & NODE_PINNED)
        head->word |= NODE_POPPED;
    else
        node_free(machine, head);
}

static _Noreturn void unknown_entry(struct vm_machine *machine) {
    vm_panic(machine, __FILE__, __LINE__, "a page's chain does not know its entry");
}

void vm_pte_chain_remove(struct vm_machine *machine, struct vm_page *page, uint64_t entry) {
    if (is_direct(page) && direct_of(page) == entry) {
        vm_page_clear(machine, page, VM_PAGE_DESIGN_0);
        page->rmap = 0;
        return;
    }
    uint64_t *victim = chain_find(machine, page, entry);
    struct chain_node *head = head_of(page);

    if (!victim)
        unknown_entry(machine);
    *victim = head->slots[idx_of(head)];
    head->word++;
    if (idx_of(head) == SLOTS)
        pop_node(machine, page);
}

void vm_pte_chain_replace(struct vm_machine *machine, struct vm_page *page, uint64_t from,
                          uint64_t to) {
    if (is_direct(page) && direct_of(page) == from) {
        page->rmap = to << 1 | (page->rmap & RMAP_GROWN);
        return;
    }
    uint64_t *place = chain_find(machine, page, from);

    if (!place)
        unknown_entry(machine);
    *place = to;
}

/* ---------------------------------------------------------------- runs */

/* A new page's only entry is direct. Each other mapping may turn a direct page into a chain, or find a
 * full head: a node for each, less what earlier mappings left over. */
int vm_pte_chain_reserve(struct vm_machine *machine, struct vm_reserve *reserve,
                         enum vm_reserve_for what, unsigned mappings) {
    if (what == VM_RESERVE_NEW)
        return VM_OK;
    return vm_chain_set_aside(machine, machine->design_data, reserve, mappings);
}

void vm_pte_chain_unreserve(struct vm_machine *machine, struct vm_reserve *reserve) {
    vm_chain_give_back(machine, machine->design_data, reserve, 0);
}

static void add(const struct vm_run *run, struct vm_reserve *reserve) {
    vm_chain_add_run(run, reserve, VM_CHAINED_ALL, vm_pte_chain_add);
}

static void remove(const struct vm_run *run) {
    vm_chain_remove_run(run, VM_CHAINED_ALL, vm_pte_chain_remove);
}

static void duplicate(const struct vm_run *parent, const struct vm_run *child,
                      struct vm_reserve *reserve) {
    (void)parent;
    add(child, reserve);
}

static void moved(const struct vm_run *from, const struct vm_run *to) {
    vm_chain_move_run(from, to, VM_CHAINED_ALL, vm_pte_chain_replace);
}

/* ---------------------------------------------------------------- walking */

/* => pinned. Ends early if the node is popped: its entries are gone, or further down the chain. */
static void walk_node(struct vm_chain_walk *walk, struct chain_node *node) {
    unsigned slot = idx_of(node);

    vm_count(walk->machine, rmap.object_visits, 1);
    while (slot < SLOTS && !walk->stopped) {
        if (vm_chain_show(walk, node->slots[slot]))
            slot++;
        if (slot < idx_of(node))
            slot = idx_of(node);
    }
}

static void walk_chain(struct vm_chain_walk *walk) {
    struct chain_node *node = head_of(walk->page);

    while (node && !walk->stopped) {
        node->word |= NODE_PINNED;
        walk_node(walk, node);
        node->word &= ~NODE_PINNED;
        if (node->word & NODE_POPPED) {
            node_free(walk->machine, node);
            node = head_of(walk->page); /* all that was below the popped node, and perhaps more */
        } else {
            node = next_of(node);
        }
    }
}

static void walk_direct(struct vm_chain_walk *walk) {
    vm_count(walk->machine, rmap.object_visits, 1);
    while (is_direct(walk->page) && !vm_chain_show(walk, direct_of(walk->page))) {
    }
}

/* A chain of one entry becomes direct. */
static void collapse(struct vm_machine *machine, struct vm_page *page) {
    struct chain_node *head = head_of(page);

    if (!head || idx_of(head) != SLOTS - 1 || next_of(head))
        return;
    set_direct(machine, page, head->slots[SLOTS - 1]);
    node_free(machine, head);
}

enum vm_walked vm_pte_chain_walk(struct vm_machine *machine, struct vm_page *page,
                                 enum vm_walk_kind kind, vm_mapping_visit *visit, void *context) {
    struct vm_chain_walk walk = { .machine = machine,
                                  .page = page,
                                  .visit = visit,
                                  .context = context,
                                  .forget = vm_pte_chain_remove,
                                  .walked = VM_WALKED_ALL };

    vm_chain_lock(machine, page);
    vm_count(machine, rmap.chain_locks, 1);
    do {
        page->rmap &= ~RMAP_GROWN;
        if (is_direct(page))
            walk_direct(&walk);
        else
            walk_chain(&walk);
    } while ((page->rmap & RMAP_GROWN) && !walk.stopped);
    if (kind != VM_WALK_LOOK)
        collapse(machine, page);
    vm_chain_unlock(machine, page);
    return walk.walked;
}

/* ---------------------------------------------------------------- the machine */

int vm_pte_chain_init(struct vm_machine *machine) {
    machine->design_data =
        vm_cache_create(machine, "pte chains", VM_COST_RMAP, sizeof(struct chain_node), 64);
    return machine->design_data ? VM_OK : VM_ENOMEM;
}

void vm_pte_chain_fini(struct vm_machine *machine) {
    vm_cache_destroy(machine, machine->design_data);
    machine->design_data = NULL;
}

/* ---------------------------------------------------------------- check */

struct census {
    enum vm_chained which;
    uint64_t nodes, differences;
};

/* Only the head may have free slots, no mark is left, and a page has as many entries as it says. */
static void check_page(const struct vm_page *page, void *context) {
    struct census *census = context;
    const struct chain_node *head = head_of(page);

    census->differences += vm_chain_left_locked(page);
    if (vm_page_mapcount(page) == 0 || !vm_page_has_chain(page, census->which))
        census->differences += page->rmap != 0 || is_direct(page);
    else
        census->differences += vm_pte_chain_length(page) != vm_page_mapcount(page);
    for (const struct chain_node *node = head; node; node = next_of(node), census->nodes++) {
        census->differences += (node->word & (NODE_PINNED | NODE_POPPED)) != 0;
        census->differences += node == head ? idx_of(node) == SLOTS : idx_of(node) != 0;
    }
}

uint64_t vm_pte_chain_check(struct vm_machine *machine, enum vm_chained which) {
    struct census census = { .which = which };

    vm_chain_each_page(machine, check_page, &census);
    return census.differences + (census.nodes != vm_cache_live(machine->design_data));
}

static uint64_t check(struct vm_machine *machine) {
    return vm_pte_chain_check(machine, VM_CHAINED_ALL);
}

const struct vm_design vm_design_pte_chain = {
    .info = { .name = "pte-chain",
              .origin = "Linux 2.5.31 to 2.6.6 (2002): cache-line nodes, and direct pointers",
              .page_bytes = sizeof(uint64_t),
              .chains = true,
              .object_chains = true,
              .mapping_cost =
                  "the first of a page nothing, the others 9.1 bytes in full nodes of 64" },
    .finds_nonlinear = true,
    .init = vm_pte_chain_init,
    .fini = vm_pte_chain_fini,
    .reserve = vm_pte_chain_reserve,
    .unreserve = vm_pte_chain_unreserve,
    .add = add,
    .remove = remove,
    .duplicate = duplicate,
    .moved = moved,
    .walk = vm_pte_chain_walk,
    .check = check,
};
