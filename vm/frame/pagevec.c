/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pagevec.c - pages on their way to the LRU lists: a batch of 16 for each CPU.
 *
 * A part's lock is wanted by faults, exits and reclaim. So a page that is to be listed is only marked
 * VM_PAGE_ON_CPU and noted in the CPU's pagevec; when that is full, all of them are listed under one hold
 * of the lock (Morton 2002; Bligh & Hansen 2003, section 7), and many a short-lived page is freed before.
 * A machine of one CPU has no lock to spare, and lists pages at once.
 *
 * Parked pages are drained by other CPUs, too: by whoever takes or moves such a page, by reclaim that
 * finds a list too short. Each pagevec has a lock for that, which nobody else wants otherwise. The flag
 * and the place in the pagevec change under it alone; the page's flags name the part that it is for, and
 * so the few CPUs whose pagevec it can be in.
 *
 * A pagevec holds no reference, unlike Linux's: a count means the same whether a page is parked or
 * not, for those who decide by it whether a page is theirs alone. So a page may die in a pagevec, and
 * whoever frees it takes it out.
 *
 * Locks: VM_RANK_PAGEVEC, inside it VM_RANK_LRU.
 */
#include "vm/frame/zone.h"

/* Also says for which part the page is. False: it is parked or listed already. */
static bool mark_parked(struct vm_machine *machine, struct vm_page *page, unsigned part) {
    const uint32_t parts = ((1u << VM_PAGE_PART_BITS) - 1) << VM_PAGE_PART_SHIFT;
    vm_preempt(machine, page);
    uint32_t flags = vm_page_flags(page), parked;
    do {
        if (flags & (VM_PAGE_ON_CPU | VM_PAGE_LISTED))
            return false;
        parked = (flags & ~parts) | part << VM_PAGE_PART_SHIFT | VM_PAGE_ON_CPU;
    } while (!atomic_compare_exchange_weak_explicit(&page->flags, &flags, parked,
                                                    memory_order_acq_rel, memory_order_relaxed));
    return true;
}

static unsigned pages_in(const struct vm_pagevec *vec) {
    return atomic_load_explicit(&vec->count, memory_order_relaxed);
}

/* How many of the pages, from this one on, are of its zone. */
static unsigned pages_of_zone(const struct vm_machine *machine, const struct vm_pagevec *vec,
                              unsigned first, const struct vm_zone *zone) {
    unsigned n = 1;
    while (first + n < pages_in(vec) && vm_page_zone(machine, vec->pages[first + n]) == zone)
        n++;
    return n;
}

/* Lists so many pages, all of this zone. */
static void list_pages(struct vm_machine *machine, const struct vm_pagevec *vec, unsigned first,
                       unsigned n, struct vm_zone *zone) {
    struct vm_lru_part *part = vm_lru_part_of(zone, vec->pages[first]);

    vm_lock(machine, &part->lock, VM_RANK_LRU);
    for (unsigned i = first; i < first + n; i++) {
        /* In this order: who wants to add the page sees one of the two. */
        vm_lru_link(machine, part, vec->pages[i], (enum vm_lru_list)vec->lists[i]);
        vm_page_clear(machine, vec->pages[i], VM_PAGE_ON_CPU);
    }
    vm_unlock(machine, &part->lock, VM_RANK_LRU);
}

/* => its lock is held */
static void drain(struct vm_machine *machine, struct vm_pagevec *vec) {
    for (unsigned first = 0, n; first < pages_in(vec); first += n) {
        struct vm_zone *zone = vm_page_zone(machine, vec->pages[first]);
        n = pages_of_zone(machine, vec, first, zone);
        list_pages(machine, vec, first, n, zone);
    }
    atomic_store_explicit(&vec->count, 0, memory_order_relaxed);
    vm_count(machine, reclaim.lru_batches, 1);
}

static void drain_cpu(struct vm_machine *machine, unsigned cpu) {
    struct vm_pagevec *vec = &machine->cpus[cpu].pagevec;

    if (pages_in(vec) == 0)
        return;
    vm_lock(machine, &vec->lock, VM_RANK_PAGEVEC);
    if (pages_in(vec) > 0)
        drain(machine, vec);
    vm_unlock(machine, &vec->lock, VM_RANK_PAGEVEC);
}

void vm_lru_drain(struct vm_machine *machine) {
    for (unsigned cpu = 0; cpu < machine->config.cpus; cpu++)
        drain_cpu(machine, cpu);
}

/* ---------------------------------------------------------------- one page */

/* Calls for the pagevecs that a page for this part of its zone can be in. */
static void each_pagevec(struct vm_machine *machine, const struct vm_page *page,
                         void (*visit)(struct vm_machine *machine, unsigned cpu)) {
    const struct vm_zone *zone = vm_page_zone(machine, page);
    unsigned part = vm_page_part(page);

    for (unsigned cpu = 0; cpu < machine->config.cpus; cpu++)
        if (vm_lru_part_of_cpu(machine, zone, cpu) == part)
            visit(machine, cpu);
}

void vm_lru_have_arrive(struct vm_machine *machine, const struct vm_page *page) {
    if (vm_page_is(page, VM_PAGE_ON_CPU))
        each_pagevec(machine, page, drain_cpu);
}

/* A page that another CPU is about to free counts as dead, too; he finds it unmarked, or waits here. */
static void take_out_dead(struct vm_machine *machine, unsigned cpu) {
    struct vm_pagevec *vec = &machine->cpus[cpu].pagevec;
    unsigned left = 0;

    vm_lock(machine, &vec->lock, VM_RANK_PAGEVEC);
    for (unsigned i = 0; i < pages_in(vec); i++) {
        struct vm_page *page = vec->pages[i];
        if (vm_page_counts(page) == 0) {
            vm_page_clear(machine, page, VM_PAGE_ON_CPU);
        } else {
            vec->pages[left] = page;
            vec->lists[left++] = vec->lists[i];
        }
    }
    atomic_store_explicit(&vec->count, left, memory_order_relaxed);
    vm_unlock(machine, &vec->lock, VM_RANK_PAGEVEC);
}

void vm_lru_unpark_dead(struct vm_machine *machine, const struct vm_page *page) {
    each_pagevec(machine, page, take_out_dead);
}

void vm_lru_park(struct vm_machine *machine, struct vm_page *page, enum vm_lru_list list) {
    unsigned cpu = vm_cpu_number(machine);
    struct vm_pagevec *vec = &machine->cpus[cpu].pagevec;
    unsigned part = vm_lru_part_of_cpu(machine, vm_page_zone(machine, page), cpu);

    vm_lock(machine, &vec->lock, VM_RANK_PAGEVEC);
    if (mark_parked(machine, page, part)) {
        unsigned n = pages_in(vec);
        vec->pages[n] = page;
        vec->lists[n] = (unsigned char)list;
        atomic_store_explicit(&vec->count, n + 1, memory_order_relaxed);
        if (n + 1 == VM_PAGEVEC_PAGES)
            drain(machine, vec);
    }
    vm_unlock(machine, &vec->lock, VM_RANK_PAGEVEC);
}
