/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pageout.c - taking pages away from everyone who maps them.
 *
 *   1. An anonymous page gets a swap slot, unless it may simply be dropped (MADV_FREE).
 *   2. Every entry that maps it is found through the reverse map and cleared; a private page's
 *      leave its slot behind, so that the next fault finds it. Dirty bits move to the page.
 *   3. A dirty page is written out.
 *   4. If nobody has got hold of it meanwhile, it leaves its cache, and the frame is free.
 *
 * Pages come in batches, and each step is done for all before the next: neighbours in an object are
 * unmapped in one walk, and neighbours on a device are written in one go.
 *
 * The page locks are held all along, so that the pages are nobody else's business; only tried for,
 * since whoever asked for memory may hold page locks of its own.
 */
#include "vm/object/swap.h"
#include "vm/reclaim/reclaim.h"
#include "vm/sum.h"

/* ---- what the entries say */

static enum vm_step look_at_entry(const struct vm_mapping *mapping, void *context) {
    struct vm_page_use *use = context;
    struct vm_machine *machine = mapping->area->space->machine;
    vm_pte entry = vm_pte_read(mapping->entry);

    if (vm_pte_accessed(entry)) {
        vm_pte_clear_bits(machine, mapping->entry, VM_PTE_ACCESSED);
        use->accessed++;
    }
    use->shown++;
    use->dirty |= vm_pte_dirty(entry);
    use->locked |= (vm_area_flags(mapping->area) & VM_AREA_LOCKED) != 0;
    return VM_STEP_ON;
}

static bool hides_entries(const struct vm_machine *machine) {
    return machine->config.nonlinear != VM_NONLINEAR_EMULATE &&
           machine->config.nonlinear != VM_NONLINEAR_CHAIN && !machine->design->finds_nonlinear;
}

/* Whether nonlinear areas may have entries that the walk has not shown. */
static bool has_hidden_entries(const struct vm_machine *machine, const struct vm_page *page,
                               const struct vm_page_use *use) {
    return hides_entries(machine) && !vm_page_is(page, VM_PAGE_ANON) && page->object &&
           vm_page_mapcount(page) > use->shown;
}

/* What nonlinear areas say of their pages is not asked, but that all of them are locked must be
 * known before the first entry goes. */
struct vm_page_use vm_page_age(struct vm_machine *machine, struct vm_page *page) {
    struct vm_page_use use = { 0 };

    vm_rmap_walk(machine, page, VM_WALK_RECLAIM, look_at_entry, &use);
    if (has_hidden_entries(machine, page, &use))
        use.locked |= vm_nonlinear_all_locked(page->object);
    return use;
}

void vm_pages_age(struct vm_machine *machine, struct vm_page *const *pages, unsigned count,
                  struct vm_page_use *uses) {
    struct vm_walk_page walked[VM_PAGEOUT_BATCH];

    for (unsigned i = 0; i < count; i++) {
        uses[i] = (struct vm_page_use){ 0 };
        walked[i] = (struct vm_walk_page){ .page = pages[i], .context = &uses[i] };
    }
    vm_rmap_walk_together(machine, walked, count, VM_WALK_RECLAIM, look_at_entry);
    for (unsigned i = 0; i < count; i++)
        if (has_hidden_entries(machine, pages[i], &uses[i]))
            uses[i].locked |= vm_nonlinear_all_locked(pages[i]->object);
}

/* ---- unmapping */

struct unmap {
    struct vm_machine *machine;
    struct vm_page *page;
    bool discard; /* leave nothing behind */
    bool refused; /* an area has been locked, or a discarded page written, since we looked */
    struct vm_walk_page *walked; /* it may count later; NULL: nobody is to */
    uint64_t unmapped;
};

/* What takes the place of a private page's entry is its slot. An object's page is found again by
 * its area, or by its offset where the area is not linear. */
static vm_pte entry_left_behind(const struct unmap *unmap, const struct vm_mapping *mapping) {
    struct vm_page *page = unmap->page;

    if (unmap->discard)
        return 0;
    if (vm_page_is(page, VM_PAGE_ANON)) {
        vm_swap_duplicate(unmap->machine, page->swap, 1);
        return vm_pte_from_swap(page->swap);
    }
    return vm_entry_for_index(mapping->area, mapping->address, page->index);
}

static void count_unmapped(struct vm_machine *machine, struct vm_page *page, uint32_t entries) {
    if (vm_page_adjust(machine, page, (uint64_t)0 - entries * VM_ONE_MAPPING) < VM_ONE_MAPPING)
        vm_share_add(machine, VM_SUM_MAPPED, -1);
}

static enum vm_step unmap_entry(const struct vm_mapping *mapping, void *context) {
    struct unmap *unmap = context;
    struct vm_machine *machine = unmap->machine;
    struct vm_space *space = mapping->area->space;

    vm_preempt(machine, &mapping->area->flags);
    if (vm_area_flags(mapping->area) & VM_AREA_LOCKED) {
        unmap->refused = true;
        return VM_STEP_STOP;
    }
    vm_pte old = vm_pte_exchange(machine, mapping->entry, 0);
    if (unmap->discard && vm_pte_dirty(old)) {
        vm_preempt(machine, mapping->entry);
        vm_pte_write(mapping->entry, old);
        unmap->refused = true;
        return VM_STEP_STOP;
    }
    vm_pte left = entry_left_behind(unmap, mapping);
    vm_preempt(machine, mapping->entry);
    vm_pte_write(mapping->entry, left);
    vm_table_account(mapping->leaf.table, -(left == 0), -1);
    if (mapping->leaf.table->used == 0)
        vm_space_note_empty_table(space);
    vm_space_flush(space, mapping->address, mapping->address + VM_PAGE_SIZE);
    vm_page_keep_bits(machine, unmap->page, old);
    unmap->unmapped++;
    if (unmap->walked && unmap->walked->counts_later)
        unmap->walked->uncounted++;
    else
        count_unmapped(machine, unmap->page, 1);
    return VM_STEP_UNMAPPED;
}

/* One entry alone. */
static bool unmap_one(const struct vm_mapping *mapping, struct unmap *unmap) {
    bool unmapped = unmap_entry(mapping, unmap) == VM_STEP_UNMAPPED;

    vm_count(unmap->machine, reclaim.unmapped, unmapped);
    return unmapped;
}

/* Returns whether no entry maps the page any more. */
static bool unmap_everywhere(struct vm_machine *machine, struct vm_page *page, bool discard) {
    struct unmap unmap = { .machine = machine, .page = page, .discard = discard };

    if (vm_page_mapcount(page) != 0)
        vm_rmap_walk(machine, page, VM_WALK_RECLAIM, unmap_entry, &unmap);
    vm_count(machine, reclaim.unmapped, unmap.unmapped);
    return vm_page_mapcount(page) == 0;
}

static bool unmap_object_page(struct vm_machine *machine, struct vm_page *page,
                              const struct vm_page_use *use) {
    if (has_hidden_entries(machine, page, use) && !vm_pageout_nonlinear(machine, page, use->shown))
        return false;
    return unmap_everywhere(machine, page, false);
}

/* A page given to MADV_FREE is dropped unless it has been written again. */
static bool may_discard(struct vm_machine *machine, struct vm_page *page,
                        const struct vm_page_use *use) {
    if (!vm_page_is(page, VM_PAGE_DISCARDABLE))
        return false;
    if (!use->dirty && !vm_page_is(page, VM_PAGE_DIRTY))
        return true;
    vm_page_clear(machine, page, VM_PAGE_DISCARDABLE);
    return false;
}

/* ---- one entry */

/* Makes ready what the entry will leave behind. => page locked */
static bool prepare_unmap(struct unmap *unmap, vm_pte entry) {
    struct vm_page *page = unmap->page;
    struct vm_page_use use = { .dirty = vm_pte_dirty(entry) };

    if (!vm_page_is(page, VM_PAGE_ANON))
        return page->object != NULL; /* else its object has let go of it, and waits for its lock */
    unmap->discard = may_discard(unmap->machine, page, &use);
    return unmap->discard || vm_page_is(page, VM_PAGE_SWAPCACHE) ||
           vm_swap_cache_add(unmap->machine, page) == VM_OK;
}

static enum vm_swept after_unmap(const struct unmap *unmap) {
    if (vm_page_mapcount(unmap->page) != 0)
        return VM_SWEPT_UNMAPPED;
    if (vm_page_counts(unmap->page) == VM_ONE_REFERENCE) {
        vm_count(unmap->machine, reclaim.freed, 1);
        return VM_SWEPT_FREED;
    }
    vm_lru_move_to_tail(unmap->machine, unmap->page);
    return VM_SWEPT_LOOSE;
}

enum vm_swept vm_pageout_entry(const struct vm_mapping *mapping, const struct vm_page *locked) {
    struct vm_machine *machine = mapping->area->space->machine;
    vm_pte entry = vm_pte_read(mapping->entry);
    struct vm_page *page = vm_page_of(machine, vm_pte_frame(entry));
    struct unmap unmap = { .machine = machine, .page = page };
    enum vm_swept swept = VM_SWEPT_KEPT;

    if (page == locked)
        return unmap_one(mapping, &unmap) ? VM_SWEPT_UNMAPPED : VM_SWEPT_KEPT;
    if (!vm_page_trylock(machine, page))
        return VM_SWEPT_KEPT;
    vm_page_get(machine, page);
    if (prepare_unmap(&unmap, entry) && unmap_one(mapping, &unmap))
        swept = after_unmap(&unmap);
    vm_page_unlock(machine, page);
    vm_swap_page_put(machine, page);
    return swept;
}

/* ---- pages on their way out; all locked */

/* What a page is tells which way it goes. */
enum way {
    WAY_ENDED, /* `result` says where */
    WAY_DISCARDED,
    WAY_SWAP,
    WAY_SHM,
    WAY_FILE
};

struct leaving {
    struct vm_page *page;
    const struct vm_page_use *use;
    enum way way;
    enum vm_pageout result;
    unsigned references; /* that are ours to drop */
};

static void end_way(struct leaving *leaving, enum vm_pageout result) {
    leaving->way = WAY_ENDED;
    leaving->result = result;
}

/* Ours, and the cache's: then nobody else is at work on the page. */
static bool only_cache_and_we_hold(const struct vm_page *page) {
    return vm_page_counts(page) == 2 * VM_ONE_REFERENCE;
}

static void choose_way(struct vm_machine *machine, struct leaving *leaving) {
    struct vm_page *page = leaving->page;

    if (vm_page_counts(page) == VM_ONE_REFERENCE)
        end_way(leaving, VM_PAGEOUT_FREED); /* everybody else has let go of it already */
    else if (leaving->use->locked)
        end_way(leaving, VM_PAGEOUT_KEPT);
    else if (vm_page_is(page, VM_PAGE_ANON))
        leaving->way = may_discard(machine, page, leaving->use) ? WAY_DISCARDED : WAY_SWAP;
    else if (!page->object)
        end_way(leaving, VM_PAGEOUT_KEPT); /* it has let go of it; somebody waits for its lock */
    else
        leaving->way = page->object->kind == VM_OBJECT_SHM ? WAY_SHM : WAY_FILE;
    if (leaving->way == WAY_SWAP && !vm_page_is(page, VM_PAGE_SWAPCACHE) &&
        vm_swap_cache_add(machine, page) != VM_OK)
        end_way(leaving, VM_PAGEOUT_KEPT);
}

static bool is_objects(const struct leaving *leaving) {
    return leaving->way == WAY_SHM || leaving->way == WAY_FILE;
}

/* A head start: objects' pages whose entries can all be found are unmapped in one go. */
static void unmap_together(struct vm_machine *machine, const struct leaving *all, unsigned n) {
    struct unmap unmaps[VM_PAGEOUT_BATCH];
    struct vm_walk_page walked[VM_PAGEOUT_BATCH];
    unsigned count = 0;

    for (unsigned i = 0; i < n; i++) {
        if (!is_objects(&all[i]) || has_hidden_entries(machine, all[i].page, all[i].use))
            continue;
        unmaps[count] =
            (struct unmap){ .machine = machine, .page = all[i].page, .walked = &walked[count] };
        walked[count] = (struct vm_walk_page){ .page = all[i].page, .context = &unmaps[count] };
        count++;
    }
    vm_rmap_walk_together(machine, walked, count, VM_WALK_RECLAIM, unmap_entry);
    for (unsigned i = 0; i < count; i++) {
        if (walked[i].uncounted > 0)
            count_unmapped(machine, walked[i].page, walked[i].uncounted);
        vm_count(machine, reclaim.unmapped, unmaps[i].unmapped);
    }
}

static void unmap_each(struct vm_machine *machine, struct leaving *all, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        struct leaving *leaving = &all[i];
        bool gone = leaving->way == WAY_ENDED ||
                    (is_objects(leaving)
                         ? unmap_object_page(machine, leaving->page, leaving->use)
                         : unmap_everywhere(machine, leaving->page, leaving->way == WAY_DISCARDED));
        if (!gone)
            end_way(leaving, VM_PAGEOUT_KEPT);
    }
}

/* Shared memory gets its slots now, when it has a chance to need them. */
static void find_slot(struct vm_machine *machine, struct leaving *leaving) {
    struct vm_page *page = leaving->page;

    if (leaving->way != WAY_SHM)
        return;
    if (!only_cache_and_we_hold(page) ||
        (vm_page_is(page, VM_PAGE_DIRTY) && vm_swap_cache_add(machine, page) != VM_OK))
        end_way(leaving, VM_PAGEOUT_KEPT);
}

static bool goes_to(const struct leaving *leaving, enum way way) {
    return leaving->way == way && vm_page_is(leaving->page, VM_PAGE_DIRTY);
}

/* A page that is dirty still could not be written. */
static void write_all(struct vm_machine *machine, struct leaving *all, unsigned n) {
    struct vm_page *swapped[VM_PAGEOUT_BATCH], *filed[VM_PAGEOUT_BATCH];
    unsigned to_swap = 0, to_files = 0;

    for (unsigned i = 0; i < n; i++) {
        if (goes_to(&all[i], WAY_SWAP) || goes_to(&all[i], WAY_SHM))
            swapped[to_swap++] = all[i].page;
        else if (goes_to(&all[i], WAY_FILE))
            filed[to_files++] = all[i].page;
    }
    if (to_swap)
        (void)vm_swap_write(machine, swapped, to_swap);
    if (to_files)
        vm_pages_write_around(filed, to_files);
    for (unsigned i = 0; i < n; i++) {
        if (all[i].way == WAY_ENDED || all[i].way == WAY_DISCARDED ||
            !vm_page_is(all[i].page, VM_PAGE_DIRTY))
            continue;
        if (all[i].way == WAY_SHM)
            vm_swap_cache_remove(machine, all[i].page);
        end_way(&all[i], VM_PAGEOUT_FAILED);
    }
}

/* Leaves the swap cache, or ends. What is in an object's cache alone is left to empty_caches(). */
static void leave_swap(struct vm_machine *machine, struct leaving *leaving) {
    struct vm_page *page = leaving->page;

    switch (leaving->way) {
    case WAY_DISCARDED:
        end_way(leaving,
                vm_page_counts(page) == VM_ONE_REFERENCE ? VM_PAGEOUT_FREED : VM_PAGEOUT_KEPT);
        break;
    case WAY_SWAP:
        if (only_cache_and_we_hold(page)) {
            vm_swap_cache_remove(machine, page);
            end_way(leaving, VM_PAGEOUT_FREED);
        } else {
            end_way(leaving, VM_PAGEOUT_KEPT);
        }
        break;
    case WAY_SHM:
        if (vm_page_is(page, VM_PAGE_SWAPCACHE)) {
            vm_object_page_leave_slot(page->object, page);
            end_way(leaving, VM_PAGEOUT_FREED);
        }
        break;
    case WAY_FILE:
        if (!only_cache_and_we_hold(page))
            end_way(leaving, VM_PAGEOUT_KEPT);
        break;
    case WAY_ENDED:
        break;
    }
}

/* Takes the pages that are left out of their objects, those of one object under one lock. An object may
 * be gone when its last page is. */
static void empty_caches(struct leaving *all, unsigned n) {
    struct vm_page *pages[VM_PAGEOUT_BATCH];
    struct vm_object *object = NULL;
    unsigned count = 0;

    for (unsigned i = 0; i < n; i++) {
        if (all[i].way == WAY_ENDED)
            continue;
        if (count && all[i].page->object != object) {
            vm_object_pages_remove(object, pages, count);
            count = 0;
        }
        object = all[i].page->object;
        pages[count++] = all[i].page;
        all[i].references++;
        end_way(&all[i], VM_PAGEOUT_FREED);
    }
    if (count)
        vm_object_pages_remove(object, pages, count);
}

/* ---- afterwards */

void vm_pageout_put_back(struct vm_machine *machine, struct vm_page *page, enum vm_pageout result) {
    if (result == VM_PAGEOUT_IN_USE)
        vm_lru_add(machine, page, VM_LRU_ACTIVE);
    else
        vm_lru_put_back(machine, page);
    vm_swap_page_put(machine, page);
}

/* Returns how many are free. */
static unsigned let_go(struct vm_machine *machine, const struct leaving *all, unsigned n) {
    struct vm_page *dead[VM_PAGEOUT_BATCH];
    unsigned freed = 0, died = 0;

    for (unsigned i = 0; i < n; i++) {
        struct vm_page *page = all[i].page;
        vm_page_unlock(machine, page);
        if (all[i].result != VM_PAGEOUT_FREED) {
            vm_pageout_put_back(machine, page, all[i].result);
            continue;
        }
        freed++;
        if (vm_page_adjust(machine, page, (uint64_t)0 - all[i].references) == 0)
            dead[died++] = page;
    }
    if (died)
        vm_pages_free(machine, dead, died);
    vm_count(machine, reclaim.freed, freed);
    return freed;
}

unsigned vm_pages_out(struct vm_machine *machine, struct vm_page *const *pages, unsigned n,
                      const struct vm_page_use *uses) {
    struct leaving all[VM_PAGEOUT_BATCH];

    VM_ASSERT(machine, n <= VM_PAGEOUT_BATCH);
    for (unsigned i = 0; i < n; i++) {
        all[i] = (struct leaving){ .page = pages[i], .use = &uses[i], .references = 1 };
        choose_way(machine, &all[i]);
    }
    unmap_together(machine, all, n);
    unmap_each(machine, all, n);
    for (unsigned i = 0; i < n; i++)
        find_slot(machine, &all[i]);
    write_all(machine, all, n);
    for (unsigned i = 0; i < n; i++)
        leave_swap(machine, &all[i]);
    empty_caches(all, n);
    return let_go(machine, all, n);
}

bool vm_pageout_page(struct vm_machine *machine, struct vm_page *page) {
    if (!vm_page_trylock(machine, page)) {
        vm_pageout_put_back(machine, page, VM_PAGEOUT_KEPT);
        return false;
    }
    struct vm_page_use use = vm_page_age(machine, page);
    return vm_pages_out(machine, &page, 1, &use) == 1;
}
