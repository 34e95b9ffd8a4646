/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pageout.c - taking one page away from everyone who maps it.
 *
 *   1. An anonymous page gets a swap slot, unless it may simply be dropped (MADV_FREE).
 *   2. Every entry that maps it is found through the reverse map and cleared; a private page's
 *      leave its slot behind, so that the next fault finds it. Dirty bits move to the page.
 *   3. A dirty page is written out.
 *   4. If nobody has got hold of it meanwhile, it leaves its cache, and the frame is free.
 *
 * The page lock is held all along, so that the page is nobody else's business; only tried for,
 * since whoever asked for memory may hold page locks of its own.
 */
#include "vm/object/swap.h"
#include "vm/reclaim/reclaim.h"

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
    vm_rmap_walk_together(machine, walked, count, look_at_entry);
    for (unsigned i = 0; i < count; i++)
        if (has_hidden_entries(machine, pages[i], &uses[i]))
            uses[i].locked |= vm_nonlinear_all_locked(pages[i]->object);
}

static enum vm_step clean_entry(const struct vm_mapping *mapping, void *context) {
    struct vm_page *page = context;
    struct vm_space *space = mapping->area->space;
    struct vm_machine *machine = space->machine;
    vm_pte old = vm_pte_clear_bits(machine, mapping->entry, VM_PTE_WRITE | VM_PTE_DIRTY);

    if (vm_pte_dirty(old))
        vm_page_set(machine, page, VM_PAGE_DIRTY);
    if (vm_pte_writable(old))
        vm_space_flush(mapping->area->space, mapping->address, mapping->address + VM_PAGE_SIZE);
    return VM_STEP_ON;
}

bool vm_page_collect_dirty(struct vm_machine *machine, struct vm_page *page) {
    vm_rmap_walk(machine, page, VM_WALK_ALL, clean_entry, page);
    return vm_page_is(page, VM_PAGE_DIRTY);
}

/* ---- unmapping */

struct unmap {
    struct vm_machine *machine;
    struct vm_page *page;
    bool discard; /* leave nothing behind */
    bool refused; /* an area has been locked, or a discarded page written, since we looked */
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
    if (vm_page_adjust(machine, unmap->page, (uint64_t)0 - VM_ONE_MAPPING) < VM_ONE_MAPPING)
        vm_count_mapped(machine, -1);
    unmap->unmapped++;
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

void vm_pages_unmap(struct vm_machine *machine, struct vm_page *const *pages, unsigned count,
                    const struct vm_page_use *uses) {
    struct unmap unmaps[VM_PAGEOUT_BATCH];
    struct vm_walk_page walked[VM_PAGEOUT_BATCH];
    unsigned n = 0;

    for (unsigned i = 0; i < count; i++) {
        struct vm_page *page = pages[i];
        if (vm_page_is(page, VM_PAGE_ANON) || !page->object || uses[i].locked ||
            has_hidden_entries(machine, page, &uses[i]))
            continue;
        unmaps[n] = (struct unmap){ .machine = machine, .page = page };
        walked[n] = (struct vm_walk_page){ .page = page, .context = &unmaps[n] };
        n++;
    }
    vm_rmap_walk_together(machine, walked, n, unmap_entry);
    for (unsigned i = 0; i < n; i++)
        vm_count(machine, reclaim.unmapped, unmaps[i].unmapped);
}

/* ---- the four kinds of pages; each with the page locked */

/* Ours, and the cache's: then nobody else is at work on the page. */
static bool only_cache_and_we_hold(const struct vm_page *page) {
    return vm_page_counts(page) == 2 * VM_ONE_REFERENCE;
}

static enum vm_pageout discard(struct vm_machine *machine, struct vm_page *page) {
    if (!unmap_everywhere(machine, page, true))
        return VM_PAGEOUT_KEPT;
    return vm_page_counts(page) == VM_ONE_REFERENCE ? VM_PAGEOUT_FREED : VM_PAGEOUT_KEPT;
}

static enum vm_pageout swap_out(struct vm_machine *machine, struct vm_page *page) {
    if (!vm_page_is(page, VM_PAGE_SWAPCACHE) && vm_swap_cache_add(machine, page) != VM_OK)
        return VM_PAGEOUT_KEPT;
    if (!unmap_everywhere(machine, page, false))
        return VM_PAGEOUT_KEPT;
    if (vm_page_is(page, VM_PAGE_DIRTY) && vm_swap_write(machine, page) != VM_OK)
        return VM_PAGEOUT_FAILED;
    if (!only_cache_and_we_hold(page))
        return VM_PAGEOUT_KEPT;
    vm_swap_cache_remove(machine, page);
    return VM_PAGEOUT_FREED;
}

static enum vm_pageout write_out_shm(struct vm_machine *machine, struct vm_page *page,
                                     const struct vm_page_use *use) {
    if (!unmap_object_page(machine, page, use) || !only_cache_and_we_hold(page))
        return VM_PAGEOUT_KEPT;
    if (vm_page_is(page, VM_PAGE_DIRTY)) {
        int error = vm_object_page_swap_out(page->object, page);
        if (error)
            return error == VM_EIO ? VM_PAGEOUT_FAILED : VM_PAGEOUT_KEPT;
    } else {
        vm_object_page_remove(page->object, page);
    }
    return VM_PAGEOUT_FREED;
}

static enum vm_pageout write_out_file(struct vm_machine *machine, struct vm_page *page,
                                      const struct vm_page_use *use) {
    if (!unmap_object_page(machine, page, use))
        return VM_PAGEOUT_KEPT;
    if (vm_page_is(page, VM_PAGE_DIRTY) && vm_object_page_write(page->object, page) != VM_OK)
        return VM_PAGEOUT_FAILED;
    if (!only_cache_and_we_hold(page))
        return VM_PAGEOUT_KEPT;
    vm_object_page_remove(page->object, page);
    return VM_PAGEOUT_FREED;
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

/* ---- one page */

enum vm_pageout vm_pageout_locked(struct vm_machine *machine, struct vm_page *page,
                                  const struct vm_page_use *use) {
    if (vm_page_counts(page) == VM_ONE_REFERENCE)
        return VM_PAGEOUT_FREED; /* everybody else has let go of it already */
    if (use->locked)
        return VM_PAGEOUT_KEPT;
    if (vm_page_is(page, VM_PAGE_ANON))
        return may_discard(machine, page, use) ? discard(machine, page) : swap_out(machine, page);
    if (!page->object)
        return VM_PAGEOUT_KEPT; /* its object has let go of it; somebody waits for its lock */
    return page->object->kind == VM_OBJECT_SHM ? write_out_shm(machine, page, use)
                                               : write_out_file(machine, page, use);
}

enum vm_pageout vm_pageout_page(struct vm_machine *machine, struct vm_page *page) {
    enum vm_pageout result = VM_PAGEOUT_KEPT;

    if (vm_page_trylock(machine, page)) {
        struct vm_page_use use = vm_page_age(machine, page);
        result = vm_pageout_locked(machine, page, &use);
        vm_page_unlock(machine, page);
    }
    vm_pageout_done(machine, page, result);
    return result;
}

void vm_pageout_done(struct vm_machine *machine, struct vm_page *page, enum vm_pageout result) {
    if (result == VM_PAGEOUT_FREED)
        vm_count(machine, reclaim.freed, 1);
    else if (result == VM_PAGEOUT_IN_USE)
        vm_lru_add(machine, page, VM_LRU_ACTIVE);
    else
        vm_lru_put_back(machine, page);
    vm_swap_page_put(machine, page);
}
