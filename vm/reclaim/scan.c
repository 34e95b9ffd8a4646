/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scan.c - which pages to take: an active and an inactive list per zone, aged by referenced bits.
 *
 * Pages leave the inactive list at its tail: those in use since they were last looked at go to the
 * active list, the others go out. The active list is trimmed at its tail in the same measure, so
 * that it holds no more than the inactive one and half. Each round looks at a share of the lists,
 * size >> priority: only at 0 is everything looked at, and there a page is taken even if it is in
 * use.
 *
 * A design without a reverse map cannot say who maps a page. Then each round first sweeps over the
 * entries of all spaces, a share of them as of pages, and takes out those that are not in use; the
 * lists only give up pages that have no entry left.
 *
 * Bligh & Hansen 2003, section 7 (physical scanning); the constants are those of Linux 2.5.
 */
#include "vm/object/swap.h"
#include "vm/reclaim/scan.h"

#define BATCH VM_PAGEOUT_BATCH

/* How much of so many pages one round looks at. */
static uint64_t share(uint64_t pages, unsigned priority) {
    return (pages >> priority) + 1;
}

/* ---- entries, where there is no reverse map */

struct sweep {
    struct vm_scan *scan;
    uint64_t left; /* entries that may still be looked at */
};

static enum vm_step look_at_swept(const struct vm_mapping *mapping, void *context) {
    struct sweep *sweep = context;
    struct vm_scan *scan = sweep->scan;
    enum vm_swept swept = VM_SWEPT_KEPT;

    if (sweep->left == 0 || scan->freed + scan->loose >= scan->wanted)
        return VM_STEP_STOP;
    sweep->left--;
    if (scan->priority > 0 && vm_pte_accessed(vm_pte_read(mapping->entry)))
        vm_pte_clear_bits(scan->machine, mapping->entry, VM_PTE_ACCESSED);
    else
        swept = vm_pageout_entry(mapping, NULL);
    scan->loose += swept == VM_SWEPT_LOOSE;
    scan->freed += swept == VM_SWEPT_FREED;
    return swept == VM_SWEPT_KEPT ? VM_STEP_ON : VM_STEP_UNMAPPED;
}

static uint64_t listed_pages(struct vm_machine *machine) {
    uint64_t pages = 0;

    for (unsigned z = 0; z < machine->zone_count; z++)
        for (enum vm_lru_list list = 0; list < VM_LRU_LISTS; list++)
            pages += vm_lru_pages(&machine->zones[z], list);
    return pages;
}

void vm_scan_sweep(struct vm_scan *scan) {
    struct vm_machine *machine = scan->machine;
    struct sweep sweep = { .scan = scan, .left = UINT64_MAX };

    scan->loose = 0;
    if (!machine->design->sweep)
        return;
    if (scan->priority > 0)
        sweep.left = share(listed_pages(machine), scan->priority);
    machine->design->sweep(machine, look_at_swept, &sweep);
}

/* Its entries cannot be asked: it stays until sweeps have taken them. */
static bool waits_for_sweep(const struct vm_machine *machine, const struct vm_page *page) {
    return machine->design->sweep && vm_page_mapcount(page) > 0;
}

/* ---- the inactive list */

static bool in_use(const struct vm_scan *scan, struct vm_page *page,
                   const struct vm_page_use *use) {
    if (scan->priority == 0)
        return false;
    if (use->accessed > 0)
        return true;
    /* Touched through a mapping that is gone: it is kept for one more round. */
    return (vm_page_clear(scan->machine, page, VM_PAGE_REFERENCED) & VM_PAGE_REFERENCED) != 0;
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
            vm_pageout_done(scan->machine, pages[i], VM_PAGEOUT_KEPT);
}

/* Pages that wait for sweeps are not asked about, and count as locked. */
static void age_batch(struct vm_scan *scan, struct batch *batch) {
    if (!scan->machine->design->sweep) {
        vm_pages_age(scan->machine, batch->pages, batch->count, batch->uses);
        return;
    }
    for (unsigned i = 0; i < batch->count; i++) {
        batch->uses[i] =
            (struct vm_page_use){ .locked = waits_for_sweep(scan->machine, batch->pages[i]) };
        if (!batch->uses[i].locked)
            batch->uses[i] = vm_page_age(scan->machine, batch->pages[i]);
    }
}

/* Lets go of those in use, as active pages. */
static void spare_used(struct vm_scan *scan, struct batch *batch) {
    struct vm_machine *machine = scan->machine;
    unsigned left = 0;

    for (unsigned i = 0; i < batch->count; i++) {
        struct vm_page *page = batch->pages[i];
        if (batch->uses[i].locked || in_use(scan, page, &batch->uses[i])) {
            vm_count(machine, reclaim.activated, 1);
            vm_page_unlock(machine, page);
            vm_pageout_done(machine, page, VM_PAGEOUT_IN_USE);
        } else {
            batch->pages[left] = page;
            batch->uses[left++] = batch->uses[i];
        }
    }
    batch->count = left;
}

static void look_at_inactive(struct vm_scan *scan, struct vm_page *const *pages, unsigned count) {
    struct vm_machine *machine = scan->machine;
    struct batch batch;

    vm_count(machine, reclaim.scanned, count);
    lock_batch(scan, pages, count, &batch);
    age_batch(scan, &batch);
    spare_used(scan, &batch);
    vm_pages_unmap(machine, batch.pages, batch.count, batch.uses);
    for (unsigned i = 0; i < batch.count; i++) {
        enum vm_pageout result = vm_pageout_locked(machine, batch.pages[i], &batch.uses[i]);
        vm_page_unlock(machine, batch.pages[i]);
        scan->freed += result == VM_PAGEOUT_FREED;
        vm_pageout_done(machine, batch.pages[i], result);
    }
}

static void shrink_inactive(struct vm_scan *scan, uint64_t pages) {
    struct vm_page *batch[BATCH];

    while (pages > 0 && scan->freed < scan->wanted) {
        unsigned want = pages < BATCH ? (unsigned)pages : BATCH;
        unsigned got = vm_lru_isolate(scan->machine, scan->zone, VM_LRU_INACTIVE, want, batch);
        look_at_inactive(scan, batch, got);
        if (got < want)
            return;
        pages -= got;
    }
}

/* ---- the active list */

static void keep_or_deactivate(struct vm_scan *scan, struct vm_page *page,
                               const struct vm_page_use *use) {
    bool stay = use->locked || (use->accessed > 0 && scan->priority > 0);

    vm_page_unlock(scan->machine, page);
    vm_lru_add(scan->machine, page, stay ? VM_LRU_ACTIVE : VM_LRU_INACTIVE);
    vm_swap_page_put(scan->machine, page);
}

static void look_at_active(struct vm_scan *scan, struct vm_page *const *pages, unsigned count) {
    struct batch batch;

    lock_batch(scan, pages, count, &batch);
    age_batch(scan, &batch);
    for (unsigned i = 0; i < batch.count; i++)
        keep_or_deactivate(scan, batch.pages[i], &batch.uses[i]);
}

static void shrink_active(struct vm_scan *scan, uint64_t pages) {
    struct vm_page *batch[BATCH];

    while (pages > 0) {
        unsigned want = pages < BATCH ? (unsigned)pages : BATCH;
        unsigned got = vm_lru_isolate(scan->machine, scan->zone, VM_LRU_ACTIVE, want, batch);
        look_at_active(scan, batch, got);
        if (got < want)
            return;
        pages -= got;
    }
}

/* ---- a zone */

void vm_scan_zone(struct vm_scan *scan, struct vm_zone *zone) {
    scan->zone = zone;
    uint64_t active = vm_lru_pages(zone, VM_LRU_ACTIVE);

    if (active > vm_lru_pages(zone, VM_LRU_INACTIVE) / 2)
        shrink_active(scan, share(active, scan->priority));
    uint64_t inactive = vm_lru_pages(zone, VM_LRU_INACTIVE);
    shrink_inactive(scan, share(inactive, scan->priority) + scan->loose);
}
