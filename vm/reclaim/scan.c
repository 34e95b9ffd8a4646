/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scan.c - which pages to take: an active and an inactive list per zone, aged by referenced bits.
 *
 * Pages leave the inactive list at its tail: those in use since they were last looked at go to the
 * active list, the others go out. Each round looks at a share of it, size >> priority: only at 0 is
 * everything looked at, and there a page is taken even if it is in use. The first two rounds pass by
 * what relatives share since a fork: each of them may want the page again, and would have to fault.
 *
 * For each page of the inactive list 2 * active / inactive pages are looked at on the active one, so
 * that twice the share of it is. What is less than a page is carried over (zone->refill): with a page
 * at the least each time, as short lists would have it, nothing would stay active. An active page
 * becomes inactive whether it was used or not: the fault that brought it in has used it, which says
 * little: is it used again on its way down the inactive list? (Linux 2.5 spared the used ones, and
 * looked at a quarter as many: our recorded programs had more major faults.) Mapped pages move on if
 *
 *     mapped / 2 + distress + swappiness >= 100
 *
 * with mapped the percentage of memory that is mapped, and distress 100 >> the priority that the
 * zone's last reclaim came down to; a round that is further down already goes by its own.
 *
 * Pages that nothing can free stay active: locked ones, and anonymous ones where there is no swap.
 *
 * Bligh & Hansen 2003, section 7 (physical scanning); the constants are those of Linux 2.5.68-2.6.7.
 */
#include "vm/object/swap.h"
#include "vm/reclaim/scan.h"
#include "vm/sum.h"

#define BATCH             VM_PAGEOUT_BATCH
#define REFILL_SHIFT      16 /* zone->refill counts pages in fractions of 2^16 */
#define REFILL_SHARE      2  /* of the active list, for each share of the inactive one */
#define REFILL_TIMES_MOST 4  /* active pages for each inactive one */
#define SHARED_ROUNDS     2  /* in which pages that relatives share are passed by */

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* ---- the balance */

static unsigned distress(const struct vm_scan *scan, const struct vm_zone *zone) {
    unsigned last = atomic_load_explicit(&zone->last_priority, memory_order_relaxed);
    return 100u >> (last < scan->priority ? last : scan->priority);
}

bool vm_scan_takes_mapped(const struct vm_scan *scan, const struct vm_zone *zone) {
    const struct vm_machine *machine = scan->machine;
    uint64_t mapped = vm_shares_now(machine, VM_SUM_MAPPED) * 100 / machine->config.frames;

    return mapped / 2 + distress(scan, zone) + machine->config.swappiness >= 100;
}

/* Its entries cannot be asked: it stays until sweeps have taken them. */
static bool waits_for_sweep(const struct vm_page *page) {
    return vm_page_mapcount(page) > 0;
}

/* ---- the inactive list */

static bool in_use(const struct vm_scan *scan, struct vm_page *page,
                   const struct vm_page_use *use) {
    if (scan->priority == 0)
        return false;
    if (use->accessed > 0)
        return true;
    /* Touched through a mapping that is gone: it is kept for one more round. */
    if (!vm_page_is(page, VM_PAGE_REFERENCED))
        return false;
    vm_page_clear(scan->machine, page, VM_PAGE_REFERENCED);
    return true;
}

/* Pages that are locked, and what their entries say. */
struct batch {
    struct vm_page *pages[BATCH];
    struct vm_page_use uses[BATCH];
    unsigned count;
};

/* Locks those that nobody else has locked; the others stay where they were. */
static void lock_batch(struct vm_scan *scan, struct vm_page *const *pages, unsigned count,
                       struct batch *locked) {
    locked->count = 0;
    for (unsigned i = 0; i < count; i++)
        if (vm_page_trylock(scan->machine, pages[i]))
            locked->pages[locked->count++] = pages[i];
        else
            vm_pageout_put_back(scan->machine, pages[i], VM_PAGEOUT_KEPT);
}

static void spare(struct vm_scan *scan, struct vm_page *page) {
    vm_count(scan->machine, reclaim.activated, 1);
    vm_page_unlock(scan->machine, page);
    vm_pageout_put_back(scan->machine, page, VM_PAGEOUT_IN_USE);
}

/* A file's pages are also mapped by who only used a neighbour, so their count says less. */
static bool came_by_fork(const struct vm_page *page) {
    return vm_page_is(page, VM_PAGE_ANON) && vm_page_mapcount(page) > 1;
}

/* Lets go of what relatives share, while there is a choice. Nobody is asked: the count of entries is
 * enough. */
static void spare_shared(struct vm_scan *scan, struct batch *batch) {
    unsigned left = 0;

    if (scan->priority + SHARED_ROUNDS <= VM_PRIORITY_START)
        return;
    for (unsigned i = 0; i < batch->count; i++)
        if (came_by_fork(batch->pages[i]))
            spare(scan, batch->pages[i]);
        else
            batch->pages[left++] = batch->pages[i];
    batch->count = left;
}

/* Pages that wait for sweeps are not asked about, and count as locked. */
static void age_batch(struct vm_scan *scan, struct batch *batch) {
    if (!scan->machine->design->sweep) {
        vm_pages_age(scan->machine, batch->pages, batch->count, batch->uses);
        return;
    }
    for (unsigned i = 0; i < batch->count; i++) {
        batch->uses[i] = (struct vm_page_use){ .locked = waits_for_sweep(batch->pages[i]) };
        if (!batch->uses[i].locked)
            batch->uses[i] = vm_page_age(scan->machine, batch->pages[i]);
    }
}

/* Lets go of those in use, as active pages. */
static void spare_used(struct vm_scan *scan, struct batch *batch) {
    unsigned left = 0;

    for (unsigned i = 0; i < batch->count; i++) {
        struct vm_page *page = batch->pages[i];
        if (batch->uses[i].locked || in_use(scan, page, &batch->uses[i])) {
            spare(scan, page);
        } else {
            batch->pages[left] = page;
            batch->uses[left++] = batch->uses[i];
        }
    }
    batch->count = left;
}

static void look_at_inactive(struct vm_scan *scan, struct vm_page *const *pages, unsigned count) {
    struct batch batch;

    lock_batch(scan, pages, count, &batch);
    spare_shared(scan, &batch);
    age_batch(scan, &batch);
    spare_used(scan, &batch);
    scan->freed += vm_pages_out(scan->machine, batch.pages, batch.count, batch.uses);
}

/* Looks at so many pages at the list's tail. Returns how many there were. */
static unsigned shrink_inactive(struct vm_scan *scan, struct vm_zone *zone, unsigned pages) {
    struct vm_page *batch[BATCH];
    uint64_t freed = scan->freed;
    unsigned got = vm_lru_isolate(scan->machine, zone, VM_LRU_INACTIVE, pages, batch);

    look_at_inactive(scan, batch, got);
    vm_count(scan->machine, reclaim.scanned, got);
    vm_fetch_add(scan->machine, &zone->scanned, got);
    vm_fetch_add(scan->machine, &zone->freed, scan->freed - freed);
    if (scan->freed > freed)
        atomic_store_explicit(&zone->fruitless, 0, memory_order_relaxed);
    else
        vm_fetch_add(scan->machine, &zone->fruitless, got);
    return got;
}

/* ---- the active list */

static bool has_nowhere_to_go(const struct vm_machine *machine, const struct vm_page *page) {
    return !machine->swap && vm_page_is(page, VM_PAGE_ANON) &&
           !vm_page_is(page, VM_PAGE_DISCARDABLE);
}

static void put_on(struct vm_scan *scan, struct vm_page *page, enum vm_lru_list list) {
    vm_page_unlock(scan->machine, page);
    vm_lru_add(scan->machine, page, list);
    vm_swap_page_put(scan->machine, page);
}

/* Lets go of those that need not be asked whether they are in use. */
static void sort_out(struct vm_scan *scan, struct batch *batch, bool takes_mapped) {
    unsigned left = 0;

    for (unsigned i = 0; i < batch->count; i++) {
        struct vm_page *page = batch->pages[i];
        if (has_nowhere_to_go(scan->machine, page))
            put_on(scan, page, VM_LRU_ACTIVE);
        else if (vm_page_mapcount(page) == 0)
            put_on(scan, page, VM_LRU_INACTIVE);
        else if (!takes_mapped)
            put_on(scan, page, VM_LRU_ACTIVE);
        else
            batch->pages[left++] = page;
    }
    batch->count = left;
}

static void look_at_active(struct vm_scan *scan, struct vm_page *const *pages, unsigned count,
                           bool takes_mapped) {
    struct batch batch;

    lock_batch(scan, pages, count, &batch);
    sort_out(scan, &batch, takes_mapped);
    age_batch(scan, &batch);
    for (unsigned i = 0; i < batch.count; i++)
        put_on(scan, batch.pages[i], batch.uses[i].locked ? VM_LRU_ACTIVE : VM_LRU_INACTIVE);
}

static void shrink_active(struct vm_scan *scan, struct vm_zone *zone, uint64_t pages) {
    struct vm_page *batch[BATCH];
    bool takes_mapped = vm_scan_takes_mapped(scan, zone);

    while (pages > 0) {
        unsigned want = (unsigned)least(BATCH, pages);
        unsigned got = vm_lru_isolate(scan->machine, zone, VM_LRU_ACTIVE, want, batch);
        look_at_active(scan, batch, got, takes_mapped);
        if (got < want)
            return;
        pages -= got;
    }
}

/* ---- a zone */

/* How many active pages are due when so many inactive ones are looked at. Two CPUs at once may lose
 * a fraction of a page. */
static uint64_t active_pages_due(struct vm_zone *zone, uint64_t inactive_pages) {
    uint64_t active = vm_lru_pages(zone, VM_LRU_ACTIVE);
    uint64_t inactive = vm_lru_pages(zone, VM_LRU_INACTIVE);
    uint64_t due = (REFILL_SHARE * inactive_pages * active << REFILL_SHIFT) / (inactive + 1);

    if (due >> REFILL_SHIFT > REFILL_TIMES_MOST * inactive_pages)
        due = REFILL_TIMES_MOST * inactive_pages << REFILL_SHIFT;
    due += atomic_load_explicit(&zone->refill, memory_order_relaxed);
    atomic_store_explicit(&zone->refill, (uint32_t)due & ((1u << REFILL_SHIFT) - 1),
                          memory_order_relaxed);
    return due >> REFILL_SHIFT;
}

/* The last round asks nobody whether he is in use, and first brings everything within reach. That
 * makes a new beginning for the lists: the active one is filled by those used from now on. (Active
 * pages taken one by one instead cost up to half as many major faults again.) */
void vm_scan_zone(struct vm_scan *scan, struct vm_zone *zone, uint64_t most) {
    uint64_t enough = scan->freed + most;

    if (scan->priority == 0)
        shrink_active(scan, zone, vm_lru_pages(zone, VM_LRU_ACTIVE));
    uint64_t inactive = vm_lru_pages(zone, VM_LRU_INACTIVE);
    uint64_t due = vm_scan_share(inactive, scan->priority) + scan->loose;
    while (due > 0 && scan->freed < enough) {
        unsigned chunk = (unsigned)least(BATCH, least(due, enough - scan->freed));
        if (scan->priority > 0)
            shrink_active(scan, zone, active_pages_due(zone, chunk));
        if (shrink_inactive(scan, zone, chunk) < chunk)
            return;
        due -= chunk;
    }
}
