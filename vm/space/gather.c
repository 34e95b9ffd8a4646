/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gather.c - what has been taken out of page tables waits here until no CPU can reach it any more.
 *
 * A CPU may have cached the translation of an entry that has been cleared, and the way to it through
 * upper tables. So pages and tables are let go of in batches, each after one flush of all that was
 * cleared before. Every page waits, not only those that nobody else holds: another space's entry, or
 * the page cache, may go meanwhile, and who takes that away knows nothing of our CPUs.
 */
#include "vm/object/swap.h"
#include "vm/space/space.h"

void vm_gather_init(struct vm_gather *gather, struct vm_space *space) {
    gather->space = space;
    gather->start = UINT64_MAX;
    gather->end = 0;
    gather->tables = NULL;
    gather->count = 0;
}

/* Pages whose count is 0 are dead already; the gather holds the others. */
static void put_pages(struct vm_gather *gather) {
    struct vm_machine *machine = gather->space->machine;
    unsigned dead = 0;

    for (unsigned i = 0; i < gather->count; i++) {
        struct vm_page *page = gather->pages[i];
        if (vm_page_counts(page) == 0)
            gather->pages[dead++] = page;
        else if (vm_page_is(page, VM_PAGE_SWAPCACHE))
            vm_swap_page_put(machine, page);
        else if (vm_page_adjust(machine, page, (uint64_t)0 - VM_ONE_REFERENCE) == 0)
            gather->pages[dead++] = page;
    }
    if (dead)
        vm_pages_free(machine, gather->pages, dead);
    gather->count = 0;
}

/* Every entry and table taken out so far is in the range, so one flush does for all. */
void vm_gather_finish(struct vm_gather *gather) {
    if (gather->start < gather->end)
        vm_space_flush(gather->space, gather->start, gather->end);
    gather->start = UINT64_MAX;
    gather->end = 0;
    put_pages(gather);
    vm_tables_free(gather->space->machine, gather->tables);
    gather->tables = NULL;
}

void vm_gather_range(struct vm_gather *gather, uint64_t start, uint64_t end) {
    if (start < gather->start)
        gather->start = start;
    if (end > gather->end)
        gather->end = end;
}

void vm_gather_page(struct vm_gather *gather, struct vm_page *page) {
    if (gather->count == sizeof gather->pages / sizeof gather->pages[0])
        vm_gather_finish(gather);
    gather->pages[gather->count++] = page;
}

void vm_gather_empty_tables(struct vm_gather *gather, uint64_t start, uint64_t end) {
    struct vm_space *space = gather->space;
    struct vm_machine *machine = space->machine;

    VM_ASSERT(machine, !gather->tables);
    vm_lock(machine, &space->areas_lock, VM_RANK_AREAS);
    gather->tables = vm_table_prune(machine, space->root, start, end);
    vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);
    for (const struct vm_table *table = gather->tables; table; table = table->next_dead)
        vm_gather_range(gather, table->address, vm_table_end(table));
}

void vm_space_prune(struct vm_space *space, uint64_t start, uint64_t end) {
    struct vm_gather gather;

    vm_gather_init(&gather, space);
    vm_gather_empty_tables(&gather, start, end);
    vm_gather_finish(&gather);
}
