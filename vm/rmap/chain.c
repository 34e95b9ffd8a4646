/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chain.c - nodes set aside, showing an entry, and following links: see chain.h.
 */
#include "vm/rmap/chain.h"

#include "vm/frame/cache.h"

/* ---------------------------------------------------------------- nodes set aside */

void vm_chain_give_back(struct vm_machine *machine, struct vm_cache *cache,
                        struct vm_reserve *reserve, unsigned keep) {
    while (reserve->count > keep)
        vm_cache_free(machine, cache, vm_chain_take(reserve));
}

int vm_chain_set_aside(struct vm_machine *machine, struct vm_cache *cache,
                       struct vm_reserve *reserve, unsigned nodes) {
    unsigned before = reserve->count;

    while (reserve->count < nodes) {
        uint64_t *node = vm_cache_allocate(machine, cache);
        if (!node) {
            vm_chain_give_back(machine, cache, reserve, before);
            return VM_ENOMEM;
        }
        node[0] = (uintptr_t)reserve->records;
        reserve->records = node;
        reserve->count++;
    }
    return VM_OK;
}

/* ---------------------------------------------------------------- showing */

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

static void lock_again(struct vm_chain_walk *walk) {
    vm_chain_lock(walk->machine, walk->page);
    vm_count(walk->machine, rmap.chain_locks, 1);
}

/* Shows an entry that is gripped, and forgets it if it was unmapped. An entry outside every area is
 * on its way to another address; it is there again when the mremap ends. */
static void show_gripped(struct vm_chain_walk *walk, struct vm_table *table, uint64_t entry) {
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
        lock_again(walk);
        walk->forget(machine, walk->page, entry);
        vm_chain_unlock(machine, walk->page);
    }
    walk->stopped = step == VM_STEP_STOP;
}

bool vm_chain_show(struct vm_chain_walk *walk, uint64_t entry) {
    struct vm_machine *machine = walk->machine;
    struct vm_table *table = vm_chain_table(machine, entry);

    if (grip(machine, table)) {
        struct vm_space *space = table->space;
        vm_chain_unlock(machine, walk->page);
        show_gripped(walk, table, entry);
        vm_unlock(machine, &table->lock, VM_RANK_TABLE);
        vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);
        lock_again(walk);
        return true;
    }
    vm_chain_unlock(machine, walk->page);
    machine->port->relax(machine->port);
    lock_again(walk);
    return false;
}

/* ---------------------------------------------------------------- following links */

static void show_links(struct vm_chain_walk *walk, const struct vm_chain_links *links,
                       struct vm_chain_path *path) {
    struct vm_machine *machine = walk->machine;

    path->grown = false;
    path->at = path->head;
    while (path->at && !walk->stopped) {
        path->moved_on = false;
        if (!vm_chain_show(walk, links->entry(machine, path->at)))
            continue;
        vm_count(machine, rmap.object_visits, 1);
        if (!path->moved_on)
            path->at = links->next(machine, path->at);
    }
}

enum vm_walked vm_chain_follow(struct vm_chain_walk *walk, const struct vm_chain_links *links) {
    struct vm_page *page = walk->page;
    struct vm_chain_path path = { 0 };

    walk->walked = VM_WALKED_ALL;
    lock_again(walk);
    path.head = page->rmap;
    page->rmap = (uintptr_t)&path | 1;
    do
        show_links(walk, links, &path);
    while (path.grown && !walk->stopped);
    page->rmap = path.head;
    vm_chain_unlock(walk->machine, page);
    return walk->walked;
}

/* ---------------------------------------------------------------- check */

void vm_chain_each_page(struct vm_machine *machine,
                        void (*look)(const struct vm_page *page, void *context), void *context) {
    for (uint64_t frame = 0; frame < machine->config.frames; frame++) {
        if (!machine->sections[frame >> VM_SECTION_SHIFT].pages) {
            frame |= VM_SECTION_PAGES - 1;
            continue;
        }
        const struct vm_page *page = vm_page_of(machine, frame);
        if (vm_page_counts(page) != 0 &&
            !vm_page_is(page, VM_PAGE_FREE | VM_PAGE_TABLE | VM_PAGE_RESERVED))
            look(page, context);
    }
}
