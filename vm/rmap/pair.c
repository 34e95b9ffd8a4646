/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pair.c - see pair.h. A node is 16 bytes; adding takes one step, removing as many as the entry lies
 * deep, so that what came last goes cheaply and what came first is dear.
 */
#include "vm/rmap/pair.h"

#include "vm/frame/cache.h"

struct pair {
    uint64_t next; /* first, as vm_chain_take() needs it */
    uint64_t entry;
};

_Static_assert(sizeof(struct pair) == 16, "a node is two words");

static struct pair *pair_of(uint64_t link) {
    return (struct pair *)(uintptr_t)link;
}

static uint64_t entry_of(const struct vm_machine *machine, uint64_t link) {
    (void)machine;
    return vm_pair_is_direct(link) ? link >> 2 : pair_of(link)->entry;
}

static uint64_t next_of(const struct vm_machine *machine, uint64_t link) {
    (void)machine;
    return vm_pair_is_direct(link) ? 0 : pair_of(link)->next;
}

/* ---------------------------------------------------------------- changes */

void vm_pair_push(struct vm_machine *machine, struct vm_page *page, uint64_t entry,
                  struct vm_reserve *reserve) {
    struct pair *pair = vm_chain_take(reserve);

    (void)machine;
    pair->entry = entry;
    pair->next = vm_chain_head(page);
    vm_chain_set_head(page, (uintptr_t)pair);
    vm_chain_grown(page);
}

/* The entry's link, and the one before it or 0. */
static uint64_t find(struct vm_machine *machine, const struct vm_page *page, uint64_t entry,
                     uint64_t *previous) {
    uint64_t link = vm_chain_head(page);

    *previous = 0;
    while (link) {
        vm_count(machine, rmap.removal_visits, 1);
        if (entry_of(machine, link) == entry)
            return link;
        *previous = link;
        link = next_of(machine, link);
    }
    vm_panic(machine, __FILE__, __LINE__, "a page's chain does not know its entry");
}

void vm_pair_remove(struct vm_machine *machine, struct vm_page *page, uint64_t entry) {
    uint64_t previous, link = find(machine, page, entry, &previous);
    uint64_t next = next_of(machine, link);

    if (previous)
        pair_of(previous)->next = next;
    else
        vm_chain_set_head(page, next);
    vm_chain_pass(page, link, next);
    if (!vm_pair_is_direct(link))
        vm_cache_free(machine, machine->design_data, pair_of(link));
}

void vm_pair_replace(struct vm_machine *machine, struct vm_page *page, uint64_t from, uint64_t to) {
    uint64_t previous, link = find(machine, page, from, &previous);

    if (vm_pair_is_direct(link)) {
        vm_chain_set_head(page, vm_pair_direct(to));
        vm_chain_rename(page, link, vm_pair_direct(to));
    } else {
        pair_of(link)->entry = to;
    }
}

void vm_pair_make_direct(struct vm_machine *machine, struct vm_page *page) {
    uint64_t head = vm_chain_head(page);

    if (!head || vm_pair_is_direct(head) || pair_of(head)->next)
        return;
    vm_chain_set_head(page, vm_pair_direct(pair_of(head)->entry));
    vm_chain_rename(page, head, vm_chain_head(page));
    vm_cache_free(machine, machine->design_data, pair_of(head));
}

void vm_pair_make_node(struct vm_page *page, struct vm_reserve *reserve) {
    uint64_t direct = vm_chain_head(page);
    struct pair *pair = vm_chain_take(reserve);

    pair->entry = direct >> 2;
    pair->next = 0;
    vm_chain_set_head(page, (uintptr_t)pair);
    vm_chain_rename(page, direct, (uintptr_t)pair);
}

/* ---------------------------------------------------------------- walking */

enum vm_walked vm_pair_walk(struct vm_machine *machine, struct vm_page *page,
                            enum vm_walk_kind kind, vm_mapping_visit *visit, void *context) {
    static const struct vm_chain_links links = { entry_of, next_of };
    struct vm_chain_walk walk = { .machine = machine,
                                  .page = page,
                                  .visit = visit,
                                  .context = context,
                                  .forget = vm_pair_remove };

    (void)kind;
    return vm_chain_follow(&walk, &links);
}

/* ---------------------------------------------------------------- the machine */

int vm_pair_init(struct vm_machine *machine) {
    machine->design_data =
        vm_cache_create(machine, "pte chains", VM_COST_RMAP, sizeof(struct pair), 16);
    return machine->design_data ? VM_OK : VM_ENOMEM;
}

void vm_pair_fini(struct vm_machine *machine) {
    vm_cache_destroy(machine, machine->design_data);
    machine->design_data = NULL;
}

void vm_pair_unreserve(struct vm_machine *machine, struct vm_reserve *reserve) {
    vm_chain_give_back(machine, machine->design_data, reserve, 0);
}

struct census {
    uint64_t nodes, differences;
};

static void check_page(const struct vm_page *page, void *context) {
    struct census *census = context;
    uint64_t links = 0;

    census->differences += vm_chain_left_locked(page);
    if (vm_chain_path(page)) { /* left behind by a walk: it points nowhere any more */
        census->differences++;
        return;
    }
    for (uint64_t link = vm_chain_head(page); link; link = next_of(NULL, link), links++)
        census->nodes += !vm_pair_is_direct(link);
    census->differences += links != vm_page_mapcount(page);
}

uint64_t vm_pair_check(struct vm_machine *machine) {
    struct census census = { 0 };

    vm_chain_each_page(machine, check_page, &census);
    return census.differences + (census.nodes != vm_cache_live(machine->design_data));
}
