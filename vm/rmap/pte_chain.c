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
 *   lock     VM_PAGE_DESIGN_1, a spinning bit, VM_RANK_CHAIN: the chain; inside the table's lock
 *   walking  goes the other way, from the chain to tables: so it only tries the table's lock, while
 *            the chain's keeps the entry, hence its table and space, in place; and then drops the
 *            chain's lock to show the entry. What it comes back to is in two marks: PINNED on the
 *            node (who takes it off the chain leaves freeing to the walker), GROWN on the page
 *            (entries came on top; fork copies entries of tables, not of locked pages).
 *
 * The chain of a page that lost all but one entry is made direct again by a walk, not by removal:
 * short-lived children would turn it to and fro.
 */
#include "vm/frame/cache.h"
#include "vm/rmap/design.h"
#include "vm/space/space.h"

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

static void chain_lock(struct vm_machine *machine, struct vm_page *page) {
    vm_page_bit_lock(machine, page, VM_PAGE_DESIGN_1, VM_RANK_CHAIN);
}

static void chain_unlock(struct vm_machine *machine, struct vm_page *page) {
    vm_page_bit_unlock(machine, page, VM_PAGE_DESIGN_1, VM_RANK_CHAIN);
}

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

static struct chain_node *reserve_take(struct vm_reserve *reserve) {
    struct chain_node *node = reserve->records;

    reserve->records = next_of(node);
    reserve->count--;
    return node;
}

static void push_node(struct vm_page *page, struct vm_reserve *reserve) {
    struct chain_node *node = reserve_take(reserve);

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

static void chain_add(struct vm_machine *machine, struct vm_page *page, uint64_t entry,
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

/* Where the chain keeps the entry. */
static uint64_t *chain_find(struct vm_machine *machine, const struct vm_page *page,
                            uint64_t entry) {
    for (struct chain_node *node = head_of(page); node; node = next_of(node))
        for (unsigned slot = idx_of(node); slot < SLOTS; slot++)
            if (node->slots[slot] == entry)
                return &node->slots[slot];
    vm_panic(machine, __FILE__, __LINE__, "a page's chain does not know its entry");
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

static void chain_remove(struct vm_machine *machine, struct vm_page *page, uint64_t entry) {
    if (is_direct(page) && direct_of(page) == entry) {
        vm_page_clear(machine, page, VM_PAGE_DESIGN_0);
        page->rmap = 0;
        return;
    }
    uint64_t *victim = chain_find(machine, page, entry);
    struct chain_node *head = head_of(page);

    *victim = head->slots[idx_of(head)];
    head->word++;
    if (idx_of(head) == SLOTS)
        pop_node(machine, page);
}

static void chain_replace(struct vm_machine *machine, struct vm_page *page, uint64_t from,
                          uint64_t to) {
    if (is_direct(page) && direct_of(page) == from)
        page->rmap = to << 1 | (page->rmap & RMAP_GROWN);
    else
        *chain_find(machine, page, from) = to;
}

/* ---------------------------------------------------------------- runs */

static void give_back(struct vm_machine *machine, struct vm_reserve *reserve, unsigned keep) {
    while (reserve->count > keep)
        node_free(machine, reserve_take(reserve));
}

static void unreserve(struct vm_machine *machine, struct vm_reserve *reserve) {
    give_back(machine, reserve, 0);
}

/* Each mapping may turn a direct page into a chain or find a full head: a node for each, less what
 * earlier mappings left over. */
static int reserve(struct vm_machine *machine, struct vm_reserve *reserve, unsigned mappings) {
    unsigned before = reserve->count;

    while (reserve->count < mappings) {
        struct chain_node *node = vm_cache_allocate(machine, machine->design_data);
        if (!node) {
            give_back(machine, reserve, before);
            return VM_ENOMEM;
        }
        node->word = (uintptr_t)reserve->records;
        reserve->records = node;
        reserve->count++;
    }
    return VM_OK;
}

static struct vm_machine *machine_of(const struct vm_run *run) {
    return run->area->space->machine;
}

static uint64_t first_entry(const struct vm_run *run) {
    return vm_table_frame(machine_of(run), run->table) * VM_TABLE_ENTRIES + run->first;
}

/* The page whose chain has the entry; NULL for entries that are in none. */
static struct vm_page *chained_page(const struct vm_machine *machine, vm_pte entry) {
    if (!vm_pte_present(entry))
        return NULL;
    struct vm_page *page = vm_page_of(machine, vm_pte_frame(entry));
    return vm_page_is(page, VM_PAGE_RESERVED) ? NULL : page;
}

static void add(const struct vm_run *run, struct vm_reserve *reserve) {
    struct vm_machine *machine = machine_of(run);
    uint64_t first = first_entry(run);

    for (unsigned i = 0; i < run->count; i++) {
        struct vm_page *page = chained_page(machine, run->entries[i]);
        if (!page)
            continue;
        chain_lock(machine, page);
        chain_add(machine, page, first + i, reserve);
        chain_unlock(machine, page);
    }
}

static void remove(const struct vm_run *run) {
    struct vm_machine *machine = machine_of(run);
    uint64_t first = first_entry(run);

    for (unsigned i = 0; i < run->count; i++) {
        struct vm_page *page = chained_page(machine, run->entries[i]);
        if (!page)
            continue;
        chain_lock(machine, page);
        chain_remove(machine, page, first + i);
        chain_unlock(machine, page);
    }
}

static void duplicate(const struct vm_run *parent, const struct vm_run *child,
                      struct vm_reserve *reserve) {
    (void)parent;
    add(child, reserve);
}

static void moved(const struct vm_run *from, const struct vm_run *to) {
    struct vm_machine *machine = machine_of(from);
    uint64_t old = first_entry(from), new = first_entry(to);

    for (unsigned i = 0; i < from->count; i++) {
        struct vm_page *page = chained_page(machine, from->entries[i]);
        if (!page)
            continue;
        chain_lock(machine, page);
        chain_replace(machine, page, old + i, new + i);
        chain_unlock(machine, page);
    }
}

/* ---------------------------------------------------------------- walking */

struct chain_walk {
    struct vm_machine *machine;
    struct vm_page *page;
    enum vm_walk_kind kind;
    vm_mapping_visit *visit;
    void *context;
    enum vm_walked walked;
    bool stopped;
};

/* Locks the entry's space for walkers, and its table. False if somebody else holds one of them.
 * => chain locked, so that neither can go */
static bool grip(struct vm_machine *machine, struct vm_table *table) {
    struct vm_space *space = table->space;

    if (!vm_trylock(machine, &space->areas_lock, VM_RANK_AREAS))
        return false;
    if (vm_trylock(machine, &table->lock, VM_RANK_TABLE))
        return true;
    vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);
    return false;
}

/* Shows an entry that is gripped, and forgets it if it was unmapped. An entry outside every area is
 * on its way to another address; it is there again when the mremap ends. */
static void show(struct chain_walk *walk, struct vm_table *table, uint64_t entry) {
    struct vm_machine *machine = walk->machine;
    unsigned index = (unsigned)(entry % VM_TABLE_ENTRIES);
    struct vm_mapping mapping = { .address = table->address + index * VM_PAGE_SIZE,
                                  .leaf = { table, vm_table_entries(machine, table) } };

    mapping.area = vm_rmap_area_at(table->space, mapping.address);
    mapping.entry = &mapping.leaf.entries[index];
    if (!mapping.area) {
        walk->walked = VM_WALKED_SOME;
        return;
    }
    vm_count(machine, rmap.hits, 1);
    enum vm_step step = walk->visit(&mapping, walk->context);
    if (step == VM_STEP_UNMAPPED) {
        chain_lock(machine, walk->page);
        chain_remove(machine, walk->page, entry);
        chain_unlock(machine, walk->page);
    }
    walk->stopped = step == VM_STEP_STOP;
}

/* Done with the entry, one way or another? If not, look again: the chain may have changed.
 * => chain locked, before and after; not in between */
static bool try_entry(struct chain_walk *walk, uint64_t entry) {
    struct vm_machine *machine = walk->machine;
    struct vm_table *table = vm_table_of_page(vm_page_of(machine, entry / VM_TABLE_ENTRIES));

    if (grip(machine, table)) {
        struct vm_space *space = table->space;
        chain_unlock(machine, walk->page);
        show(walk, table, entry);
        vm_unlock(machine, &table->lock, VM_RANK_TABLE);
        vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);
        chain_lock(machine, walk->page);
        return true;
    }
    if (walk->kind == VM_WALK_TRY) {
        walk->walked = VM_WALKED_SOME;
        return true;
    }
    chain_unlock(machine, walk->page);
    machine->port->relax(machine->port);
    chain_lock(machine, walk->page);
    return false;
}

/* => pinned. Ends early if the node is popped: its entries are gone, or further down the chain. */
static void walk_node(struct chain_walk *walk, struct chain_node *node) {
    unsigned slot = idx_of(node);

    vm_count(walk->machine, rmap.object_visits, 1);
    while (slot < SLOTS && !walk->stopped) {
        if (try_entry(walk, node->slots[slot]))
            slot++;
        if (slot < idx_of(node))
            slot = idx_of(node);
    }
}

static void walk_chain(struct chain_walk *walk) {
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

static void walk_direct(struct chain_walk *walk) {
    vm_count(walk->machine, rmap.object_visits, 1);
    while (is_direct(walk->page) && !try_entry(walk, direct_of(walk->page))) {
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

static enum vm_walked walk(struct vm_machine *machine, struct vm_page *page, enum vm_walk_kind kind,
                           vm_mapping_visit *visit, void *context) {
    struct chain_walk walk = { .machine = machine,
                               .page = page,
                               .kind = kind,
                               .visit = visit,
                               .context = context,
                               .walked = VM_WALKED_ALL };

    chain_lock(machine, page);
    do {
        page->rmap &= ~RMAP_GROWN;
        if (is_direct(page))
            walk_direct(&walk);
        else
            walk_chain(&walk);
    } while ((page->rmap & RMAP_GROWN) && !walk.stopped && kind != VM_WALK_TRY);
    if (page->rmap & RMAP_GROWN)
        walk.walked = VM_WALKED_SOME;
    if (kind != VM_WALK_LOOK)
        collapse(machine, page);
    chain_unlock(machine, page);
    return walk.walked;
}

/* ---------------------------------------------------------------- the machine */

static int init(struct vm_machine *machine) {
    machine->design_data =
        vm_cache_create(machine, "pte chains", VM_COST_RMAP, sizeof(struct chain_node), 64);
    return machine->design_data ? VM_OK : VM_ENOMEM;
}

static void fini(struct vm_machine *machine) {
    vm_cache_destroy(machine, machine->design_data);
    machine->design_data = NULL;
}

/* Only the head may have free slots, no mark is left, and a page is direct or has a chain.
 * Returns its nodes. */
static uint64_t check_chain(const struct vm_page *page, uint64_t *differences) {
    const struct chain_node *head = head_of(page);
    uint64_t nodes = 0;

    *differences += vm_page_is(page, VM_PAGE_DESIGN_1);
    if (vm_page_mapcount(page) == 0)
        *differences += page->rmap != 0 || is_direct(page);
    else
        *differences += !is_direct(page) && !head;
    for (const struct chain_node *node = head; node; node = next_of(node), nodes++) {
        *differences += (node->word & (NODE_PINNED | NODE_POPPED)) != 0;
        *differences += node == head ? idx_of(node) == SLOTS : idx_of(node) != 0;
    }
    return nodes;
}

/* Every chain is in order, and every node belongs to one. => the machine is at rest */
static uint64_t check(struct vm_machine *machine) {
    uint64_t differences = 0, nodes = 0;

    for (uint64_t frame = 0; frame < machine->config.frames; frame++) {
        if (!machine->sections[frame >> VM_SECTION_SHIFT].pages) {
            frame |= VM_SECTION_PAGES - 1;
            continue;
        }
        const struct vm_page *page = vm_page_of(machine, frame);
        if (vm_page_counts(page) != 0 &&
            !vm_page_is(page, VM_PAGE_FREE | VM_PAGE_TABLE | VM_PAGE_RESERVED))
            nodes += check_chain(page, &differences);
    }
    differences += nodes != vm_cache_live(machine->design_data);
    return differences;
}

const struct vm_design vm_design_pte_chain = {
    .info = { .name = "pte-chain",
              .origin = "Linux 2.5.31 to 2.6.6 (2002): cache-line nodes, and direct pointers",
              .mapping_cost =
                  "the first of a page nothing, the others 9.1 bytes in full nodes of 64" },
    .init = init,
    .fini = fini,
    .reserve = reserve,
    .unreserve = unreserve,
    .add = add,
    .remove = remove,
    .duplicate = duplicate,
    .moved = moved,
    .walk = walk,
    .check = check,
};
