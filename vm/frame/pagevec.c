/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pagevec.c - pages on their way to the LRU lists: a batch of 16 for each CPU.
 *
 * A zone's lru_lock is wanted by every fault and by reclaim. So a page that is to be listed is only
 * marked VM_PAGE_ON_CPU and noted in the CPU's pagevec; when that is full, all of them are listed
 * under one hold of the lock (Morton 2002; Bligh & Hansen 2003, section 7). A machine of one CPU has
 * no lock to spare, and lists pages at once.
 *
 * Parked pages are drained by other CPUs, too: by whoever takes or moves such a page, by reclaim that
 * finds a list too short, by an allocation that finds no frame. Each pagevec has a lock for that,
 * which nobody else wants otherwise.
 *
 * A pagevec holds no reference, unlike Linux's: a count means the same whether a page is parked or
 * not, for those who decide by it whether a page is theirs alone. So a page may die in a pagevec.
 * VM_PAGE_ON_CPU goes only under the zone's lru_lock, and whoever takes it away says what is next:
 *
 *   drain                  listed
 *   the last holder left   not listed: the frame counts as free, and the drain puts it there
 *
 * Locks: VM_RANK_PAGEVEC, inside it VM_RANK_LRU, VM_RANK_CPU_FRAMES.
 */
#include "vm/frame/zone.h"

static bool mark_parked(struct vm_machine *machine, struct vm_page *page) {
    vm_preempt(machine, page);
    uint32_t flags = vm_page_flags(page);
    do
        if (flags & (VM_PAGE_ON_CPU | VM_PAGE_LISTED))
            return false;
    while (!atomic_compare_exchange_weak_explicit(&page->flags, &flags, flags | VM_PAGE_ON_CPU,
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

/* Lists so many pages, all of this zone, and frees those that died. */
static void list_pages(struct vm_machine *machine, const struct vm_pagevec *vec, unsigned first,
                       unsigned n, struct vm_zone *zone) {
    struct vm_page *dead[VM_PAGEVEC_PAGES];
    unsigned died = 0;

    vm_lock(machine, &zone->lru_lock, VM_RANK_LRU);
    for (unsigned i = first; i < first + n; i++) {
        struct vm_page *page = vec->pages[i];
        if (!vm_page_is(page, VM_PAGE_ON_CPU)) {
            dead[died++] = page;
            continue;
        }
        /* In this order: who wants to add the page sees one of the two. */
        vm_lru_link(machine, zone, page, (enum vm_lru_list)vec->lists[i]);
        vm_page_clear(machine, page, VM_PAGE_ON_CPU);
    }
    vm_unlock(machine, &zone->lru_lock, VM_RANK_LRU);
    if (died)
        vm_frames_list_free(machine, zone, dead, died);
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

void vm_lru_drain_this_cpu(struct vm_machine *machine) {
    drain_cpu(machine, vm_cpu_number(machine));
}

void vm_lru_park(struct vm_machine *machine, struct vm_page *page, enum vm_lru_list list) {
    struct vm_pagevec *vec = &vm_this_cpu(machine)->pagevec;

    vm_lock(machine, &vec->lock, VM_RANK_PAGEVEC);
    if (mark_parked(machine, page)) {
        unsigned n = pages_in(vec);
        vec->pages[n] = page;
        vec->lists[n] = (unsigned char)list;
        atomic_store_explicit(&vec->count, n + 1, memory_order_relaxed);
        if (n + 1 == VM_PAGEVEC_PAGES)
            drain(machine, vec);
    }
    vm_unlock(machine, &vec->lock, VM_RANK_PAGEVEC);
}
