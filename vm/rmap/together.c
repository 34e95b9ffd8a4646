/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * together.c - finding the entries of several pages of an object in one walk.
 *
 * Pages that reclaim takes off a list together were often read together, and then lie side by side in
 * one object and in every area that maps it: their entries are neighbours in one page table. So each
 * area is come to once, its page table is found and locked once, and the entries of all the pages
 * are shown there.
 *
 * Locks are those of a single walk (rmap.c), in the same order; all the pages are locked.
 */
#include "vm/object/object.h"
#include "vm/rmap/design.h"
#include "vm/space/space.h"
#include "vm/table/walk.h"

/* How far apart pages may lie: areas between them would be come to in vain. */
#define SPAN_MOST 128u

struct together {
    struct vm_machine *machine;
    struct vm_walk_page *pages;
    unsigned count, left; /* left: not ended */
    vm_mapping_visit *visit;
    uint64_t hits;
};

/* ---------------------------------------------------------------- one area */

static bool found_all(const struct vm_machine *machine, const struct vm_walk_page *walked) {
    uint32_t mappings = vm_page_mapcount(walked->page) - walked->uncounted;
    return machine->config.cpus > 1 ? mappings == 0 : walked->kept >= mappings;
}

static void show(struct together *walk, struct vm_walk_page *walked,
                 const struct vm_mapping *mapping) {
    vm_pte value = vm_pte_read(mapping->entry);

    if (!vm_pte_present(value) || vm_pte_frame(value) != vm_page_frame(walk->machine, walked->page))
        return;
    enum vm_step step = walk->visit(mapping, walked->context);
    walk->hits++;
    walked->kept += step != VM_STEP_UNMAPPED;
    walked->ended = step == VM_STEP_STOP || found_all(walk->machine, walked);
    walk->left -= walked->ended;
}

/* The leaf that the area's page table has for the address, locked; the one before is let go of. */
static void change_leaf(struct vm_machine *machine, struct vm_space *space, uint64_t address,
                        struct vm_leaf *leaf) {
    if (leaf->table)
        vm_unlock(machine, &leaf->table->lock, VM_RANK_TABLE);
    if (!vm_table_find(machine, space->root, address, leaf))
        leaf->table = NULL;
    else
        vm_lock(machine, &leaf->table->lock, VM_RANK_TABLE);
}

/* => areas_lock held */
static void look_into_area(struct together *walk, struct vm_area *area) {
    struct vm_machine *machine = walk->machine;
    struct vm_mapping mapping = { .area = area, .leaf = { .table = NULL } };
    uint64_t span = vm_table_span(0), leaf_start = UINT64_MAX;

    for (unsigned i = 0; i < walk->count; i++) {
        struct vm_walk_page *walked = &walk->pages[i];
        if (walked->ended || !vm_area_covers(area, walked->page->index))
            continue;
        mapping.address = vm_area_address_of(area, walked->page->index);
        if ((mapping.address & ~(span - 1)) != leaf_start) {
            leaf_start = mapping.address & ~(span - 1);
            change_leaf(machine, area->space, mapping.address, &mapping.leaf);
        }
        if (!mapping.leaf.table)
            continue;
        mapping.entry = &mapping.leaf.entries[vm_table_index(mapping.address, 0)];
        show(walk, walked, &mapping);
    }
    if (mapping.leaf.table)
        vm_unlock(machine, &mapping.leaf.table->lock, VM_RANK_TABLE);
}

static bool visit_area(struct vm_area *area, void *context) {
    struct together *walk = context;
    struct vm_machine *machine = walk->machine;
    struct vm_space *space = area->space;
    uint64_t hits = walk->hits;

    vm_lock(machine, &space->areas_lock, VM_RANK_AREAS);
    look_into_area(walk, area);
    vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);
    if (walk->hits == hits)
        vm_count(machine, rmap.empty_walks, 1);
    return walk->left > 0;
}

/* ---------------------------------------------------------------- pages of one object */

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* False: it has nonlinear areas, in which each page's entries must be looked for. */
static bool walk_object(struct vm_machine *machine, struct vm_walk_page *pages, unsigned count,
                        enum vm_walk_kind kind, vm_mapping_visit *visit) {
    struct vm_object *object = pages[0].page->object;
    struct together walk = { .machine = machine, .pages = pages, .count = count, .visit = visit };
    uint64_t first = UINT64_MAX, last = 0;

    for (unsigned i = 0; i < count; i++) {
        pages[i].ended = vm_page_mapcount(pages[i].page) == 0;
        if (pages[i].ended)
            continue;
        first = least(first, pages[i].page->index);
        last = most(last, pages[i].page->index);
        pages[i].counts_later = true;
        walk.left++;
    }
    if (walk.left == 0)
        return true;
    vm_lock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
    bool linear = kind == VM_WALK_RECLAIM || vm_link_empty(&object->nonlinear);
    if (linear) {
        vm_count(machine, rmap.walks, walk.left);
        machine->index_kind->each(machine, vm_object_areas(object), first, last, visit_area, &walk);
    }
    vm_unlock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
    for (unsigned i = 0; i < count && !linear; i++)
        pages[i].counts_later = false;
    vm_count(machine, rmap.hits, walk.hits);
    return linear;
}

static void walk_each(struct vm_machine *machine, struct vm_walk_page *pages, unsigned count,
                      enum vm_walk_kind kind, vm_mapping_visit *visit) {
    for (unsigned i = 0; i < count; i++)
        vm_rmap_walk(machine, pages[i].page, kind, visit, pages[i].context);
}

static bool is_objects(const struct vm_page *page) {
    return !vm_page_is(page, VM_PAGE_ANON) && page->object;
}

static bool belong_together(const struct vm_page *one, const struct vm_page *other) {
    return is_objects(other) && other->object == one->object &&
           other->index - one->index + SPAN_MOST < 2 * SPAN_MOST;
}

/* Where some of an object's pages have chains, each is looked for alone. */
static bool finds_objects_by_area(const struct vm_machine *machine) {
    return machine->design->finds_objects_by_area &&
           machine->config.nonlinear != VM_NONLINEAR_CHAIN;
}

/* How many pages from the first on are looked for in one go. */
static unsigned group(const struct vm_machine *machine, const struct vm_walk_page *pages,
                      unsigned count) {
    unsigned n = 1;

    if (finds_objects_by_area(machine) && is_objects(pages[0].page))
        while (n < count && belong_together(pages[0].page, pages[n].page))
            n++;
    return n;
}

void vm_rmap_walk_together(struct vm_machine *machine, struct vm_walk_page *pages, unsigned count,
                           enum vm_walk_kind kind, vm_mapping_visit *visit) {
    while (count > 0) {
        unsigned n = group(machine, pages, count);
        if (n == 1 || !walk_object(machine, pages, n, kind, visit))
            walk_each(machine, pages, n, kind, visit);
        pages += n;
        count -= n;
    }
}
