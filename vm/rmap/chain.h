/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chain.h - what all designs share that list the entries of each page.
 *
 * An entry is named by its physical place, table frame * 512 + index, so it may lie in a frame that
 * is not addressable. How a page's entries are kept is the design's: nodes of two words, nodes of a
 * cache line, links in companions of page tables. Shared is what is the same for all:
 *
 *   lock      VM_RANK_CHAIN, inside the table's lock: a bit of the page, or one lock for the
 *             machine (config.chain_lock). It protects page->rmap and all that hangs on it.
 *   runs      going through a run page by page, each under its chain's lock. Inline, so that the
 *             design's own step is, too.
 *   walking   goes the other way, from the chain to tables: so it only tries the table's lock, while
 *             the chain's keeps the entry, hence its table and space, in place; and then drops the
 *             chain's lock to show the entry. Each design says how it finds its place again.
 */
#ifndef VM_CHAIN_H
#define VM_CHAIN_H

#include "vm/rmap/design.h"
#include "vm/space/space.h"

/* Which pages have chains. */
enum vm_chained {
    VM_CHAINED_ALL,
    VM_CHAINED_SOME /* anonymous pages, and those of objects that are marked */
};

#define VM_PAGE_CHAINED                                                                            \
    VM_PAGE_DESIGN_2 /* the mark; under the chain's lock and the page's, with which it moves */

static inline bool vm_page_has_chain(const struct vm_page *page, enum vm_chained which) {
    return which == VM_CHAINED_ALL || vm_page_is(page, VM_PAGE_ANON | VM_PAGE_CHAINED);
}

static inline void vm_chain_lock(struct vm_machine *machine, struct vm_page *page) {
    if (machine->config.chain_lock == VM_CHAIN_LOCK_GLOBAL)
        vm_lock(machine, &machine->chain_lock, VM_RANK_CHAIN);
    else
        vm_page_bit_lock(machine, page, VM_PAGE_DESIGN_1, VM_RANK_CHAIN);
}

static inline void vm_chain_unlock(struct vm_machine *machine, struct vm_page *page) {
    if (machine->config.chain_lock == VM_CHAIN_LOCK_GLOBAL)
        vm_unlock(machine, &machine->chain_lock, VM_RANK_CHAIN);
    else
        vm_page_bit_unlock(machine, page, VM_PAGE_DESIGN_1, VM_RANK_CHAIN);
}

/* ---------------------------------------------------------------- runs */

/* One page's step of a run. => chain locked; an add takes nodes from the reserve only */
typedef void vm_chain_add(struct vm_machine *machine, struct vm_page *page, uint64_t entry,
                          struct vm_reserve *reserve);
typedef void vm_chain_remove(struct vm_machine *machine, struct vm_page *page, uint64_t entry);
typedef void vm_chain_replace(struct vm_machine *machine, struct vm_page *page, uint64_t from,
                              uint64_t to);

static inline struct vm_machine *vm_run_machine(const struct vm_run *run) {
    return run->area->space->machine;
}

static inline uint64_t vm_chain_first_entry(const struct vm_run *run) {
    return vm_table_frame(vm_run_machine(run), run->table) * VM_TABLE_ENTRIES + run->first;
}

static inline uint64_t vm_chain_entry(const struct vm_machine *machine,
                                      const struct vm_mapping *mapping) {
    return vm_table_frame(machine, mapping->leaf.table) * VM_TABLE_ENTRIES +
           vm_table_index(mapping->address, 0);
}

static inline struct vm_table *vm_chain_table(const struct vm_machine *machine, uint64_t entry) {
    return vm_table_of_page(vm_page_of(machine, entry / VM_TABLE_ENTRIES));
}

/* The page whose chain has the entry; NULL for entries that are in none. The value is asked, never
 * the table: there the entry may be gone already. */
static inline struct vm_page *vm_chained_page(const struct vm_machine *machine, vm_pte entry,
                                              enum vm_chained which) {
    if (!vm_pte_present(entry))
        return NULL;
    struct vm_page *page = vm_page_of(machine, vm_pte_frame(entry));
    if (vm_page_is(page, VM_PAGE_RESERVED))
        return NULL;
    return vm_page_has_chain(page, which) ? page : NULL;
}

static inline void vm_chain_add_run(const struct vm_run *run, struct vm_reserve *reserve,
                                    enum vm_chained which, vm_chain_add *add) {
    struct vm_machine *machine = vm_run_machine(run);
    uint64_t first = vm_chain_first_entry(run), rounds = 0;

    for (unsigned i = 0; i < run->count; i++) {
        struct vm_page *page = vm_chained_page(machine, run->entries[i], which);
        if (!page)
            continue;
        vm_chain_lock(machine, page);
        add(machine, page, first + i, reserve);
        vm_chain_unlock(machine, page);
        rounds++;
    }
    vm_count(machine, rmap.chain_locks, rounds);
}

static inline void vm_chain_remove_run(const struct vm_run *run, enum vm_chained which,
                                       vm_chain_remove *remove) {
    struct vm_machine *machine = vm_run_machine(run);
    uint64_t first = vm_chain_first_entry(run), rounds = 0;

    for (unsigned i = 0; i < run->count; i++) {
        struct vm_page *page = vm_chained_page(machine, run->entries[i], which);
        if (!page)
            continue;
        vm_chain_lock(machine, page);
        remove(machine, page, first + i);
        vm_chain_unlock(machine, page);
        rounds++;
    }
    vm_count(machine, rmap.chain_locks, rounds);
}

static inline void vm_chain_move_run(const struct vm_run *from, const struct vm_run *to,
                                     enum vm_chained which, vm_chain_replace *replace) {
    struct vm_machine *machine = vm_run_machine(from);
    uint64_t old = vm_chain_first_entry(from), new = vm_chain_first_entry(to), rounds = 0;

    for (unsigned i = 0; i < from->count; i++) {
        struct vm_page *page = vm_chained_page(machine, from->entries[i], which);
        if (!page)
            continue;
        vm_chain_lock(machine, page);
        replace(machine, page, old + i, new + i);
        vm_chain_unlock(machine, page);
        rounds++;
    }
    vm_count(machine, rmap.chain_locks, rounds);
}

/* ---------------------------------------------------------------- nodes set aside */

/* Sees to it that the reserve holds `nodes`, linked through their first word; what earlier mappings
 * left over counts. VM_ENOMEM: it holds what it held. */
int vm_chain_set_aside(struct vm_machine *machine, struct vm_cache *cache,
                       struct vm_reserve *reserve, unsigned nodes);
void vm_chain_give_back(struct vm_machine *machine, struct vm_cache *cache,
                        struct vm_reserve *reserve, unsigned keep);

static inline void *vm_chain_take(struct vm_reserve *reserve) {
    uint64_t *node = reserve->records;

    reserve->records = (void *)(uintptr_t)node[0];
    reserve->count--;
    return node;
}

/* ---------------------------------------------------------------- walking */

struct vm_chain_walk {
    struct vm_machine *machine;
    struct vm_page *page;
    vm_mapping_visit *visit;
    void *context;
    vm_chain_remove *forget; /* takes an entry that was unmapped off the chain */
    enum vm_walked walked;
    bool stopped;
};

/* Shows one entry. Done with it, one way or another? If not, look again: the chain may have changed.
 * => chain locked, before and after; not in between */
bool vm_chain_show(struct vm_chain_walk *walk, uint64_t entry);

/*
 * Chains of links. page->rmap is the first link; each names an entry and the link that follows. A
 * link is a word other than 0, of which bit 0 is not set.
 *
 * A walk that lets go of the lock must find its place again. There is one walk of a page at a time
 * (page lock), so while it lasts, page->rmap points at the walk, bit 0 set, and the walk keeps the
 * head and where it is. Whoever takes away the link that it has come to moves it on.
 */
struct vm_chain_links {
    uint64_t (*entry)(const struct vm_machine *machine, uint64_t link);
    uint64_t (*next)(const struct vm_machine *machine, uint64_t link);
};

struct vm_chain_path {
    uint64_t head;
    uint64_t at;
    bool moved_on; /* `at` has not been shown yet */
    bool grown;    /* links came on top (fork copies entries of tables, not of locked pages) */
};

/* Shows every entry of the chain, links added meanwhile included. */
enum vm_walked vm_chain_follow(struct vm_chain_walk *walk, const struct vm_chain_links *links);

/* NULL if nobody walks the page's chain. All of these => chain locked */
static inline struct vm_chain_path *vm_chain_path(const struct vm_page *page) {
    return page->rmap & 1 ? (struct vm_chain_path *)(uintptr_t)(page->rmap & ~UINT64_C(1)) : NULL;
}

static inline uint64_t vm_chain_head(const struct vm_page *page) {
    const struct vm_chain_path *path = vm_chain_path(page);
    return path ? path->head : page->rmap;
}

static inline void vm_chain_set_head(struct vm_page *page, uint64_t link) {
    struct vm_chain_path *path = vm_chain_path(page);
    if (path)
        path->head = link;
    else
        page->rmap = link;
}

/* A link has come on top. */
static inline void vm_chain_grown(struct vm_page *page) {
    struct vm_chain_path *path = vm_chain_path(page);
    if (path)
        path->grown = true;
}

/* The link is taken away. */
static inline void vm_chain_pass(struct vm_page *page, uint64_t link, uint64_t next) {
    struct vm_chain_path *path = vm_chain_path(page);
    if (path && path->at == link) {
        path->at = next;
        path->moved_on = true;
    }
}

/* The same mapping has another link now. */
static inline void vm_chain_rename(struct vm_page *page, uint64_t link, uint64_t other) {
    struct vm_chain_path *path = vm_chain_path(page);
    if (path && path->at == link)
        path->at = other;
}

/* ---------------------------------------------------------------- check */

/* Shows every page that can have a chain. => the machine is at rest */
void vm_chain_each_page(struct vm_machine *machine,
                        void (*look)(const struct vm_page *page, void *context), void *context);

/* Whether the chain's lock was left behind. */
static inline bool vm_chain_left_locked(const struct vm_page *page) {
    return vm_page_is(page, VM_PAGE_DESIGN_1);
}

#endif
