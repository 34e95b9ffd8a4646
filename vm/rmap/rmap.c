/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rmap.c - which designs there are, asking one about a page, and walking areas on behalf of those
 * that know areas instead of entries.
 *
 * How a walker may look into a space whose lock it does not hold:
 *
 *   page lock                     the page keeps its identity
 *     object's areas, or anon     the area stays linked, so it and its space are there
 *       space->areas_lock         the area keeps its range, and no table of the space is freed
 *         table lock              the entry is looked at, shown, perhaps cleared
 *
 * Where an object's area is nonlinear, only its entries tell which of them maps the page. A walk that
 * must see all looks at each; reclaim cannot, and goes another way (reclaim/nonlinear.c).
 *
 * When a walk may stop early. Once as many entries have been found as the page's map count tells,
 * the rest of the areas need not be asked. That is exact while no other CPU can change the count;
 * otherwise an entry that went meanwhile would be taken for the one not seen yet, so on a machine of
 * many CPUs a walk that must see all goes to the end, unless the count itself is down to zero.
 */
#include "vm/object/object.h"
#include "vm/object/swap.h"
#include "vm/rmap/design.h"
#include "vm/space/space.h"

extern const struct vm_design vm_design_virtual_scan, vm_design_pte_chain_list,
    vm_design_pte_chain_direct, vm_design_pte_chain, vm_design_shadow, vm_design_objrmap_partial,
    vm_design_anonmm, vm_design_anon_vma_direct, vm_design_anon_vma, vm_design_anon_vma_chain;

/* In the order of their history. */
static const struct vm_design *const designs[] = {
    &vm_design_virtual_scan,   &vm_design_pte_chain_list,  &vm_design_pte_chain_direct,
    &vm_design_pte_chain,      &vm_design_shadow,          &vm_design_objrmap_partial,
    &vm_design_anonmm,         &vm_design_anon_vma_direct, &vm_design_anon_vma,
    &vm_design_anon_vma_chain,
};

#define DESIGNS (sizeof designs / sizeof designs[0])

static bool same_name(const char *a, const char *b) {
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

const struct vm_design *vm_design_named(const char *name) {
    for (size_t i = 0; i < DESIGNS; i++)
        if (same_name(designs[i]->info.name, name))
            return designs[i];
    return NULL;
}

void vm_design_each(void (*visit)(const struct vm_design_info *design, void *context),
                    void *context) {
    for (size_t i = 0; i < DESIGNS; i++)
        visit(&designs[i]->info, context);
}

/* ---------------------------------------------------------------- areas */

struct vm_area *vm_rmap_area_at(struct vm_space *space, uint64_t address) {
    struct vm_tree_node *node = space->areas.root;

    while (node) {
        struct vm_area *area = vm_tree_entry(node, struct vm_area, node);
        if (address < area->start)
            node = node->child[VM_TREE_LEFT];
        else if (address >= area->end)
            node = node->child[VM_TREE_RIGHT];
        else
            return area;
    }
    return NULL;
}

static enum vm_step try_area(struct vm_machine *machine, struct vm_area *area, struct vm_page *page,
                             vm_mapping_visit *visit, void *context, bool *hit) {
    uint64_t address = vm_area_address_of(area, page->index);
    enum vm_step step = VM_STEP_ON;
    struct vm_leaf leaf;

    *hit = false;
    if (vm_table_find(machine, area->space->root, address, &leaf)) {
        vm_pte_slot *entry = &leaf.entries[vm_table_index(address, 0)];

        vm_lock(machine, &leaf.table->lock, VM_RANK_TABLE);
        vm_pte value = vm_pte_read(entry);
        *hit = vm_pte_present(value) && vm_pte_frame(value) == vm_page_frame(machine, page);
        if (*hit) {
            struct vm_mapping mapping = { area, address, leaf, entry };
            step = visit(&mapping, context);
        }
        vm_unlock(machine, &leaf.table->lock, VM_RANK_TABLE);
    }
    if (*hit)
        vm_count(machine, rmap.hits, 1);
    else
        vm_count(machine, rmap.empty_walks, 1);
    return step;
}

enum vm_step vm_rmap_try_area(struct vm_machine *machine, struct vm_area *area,
                              struct vm_page *page, vm_mapping_visit *visit, void *context) {
    bool hit;
    return try_area(machine, area, page, visit, context, &hit);
}

static bool found_all(const struct vm_area_walk *walk) {
    uint32_t mappings = vm_page_mapcount(walk->page);

    if (walk->machine->config.cpus > 1)
        return mappings == 0;
    return walk->kept >= mappings;
}

static void lock_areas(struct vm_area_walk *walk, struct vm_space *space) {
    vm_lock(walk->machine, &space->areas_lock, VM_RANK_AREAS);
}

static bool look_and_unlock(struct vm_area_walk *walk, struct vm_space *space,
                            struct vm_area *area) {
    struct vm_machine *machine = walk->machine;
    enum vm_step step = VM_STEP_ON;
    bool hit = false;

    if (area && vm_area_covers(area, walk->page->index))
        step = try_area(machine, area, walk->page, walk->visit, walk->context, &hit);
    else
        vm_count(machine, rmap.range_rejects, 1);
    vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);

    if (hit && vm_step_keeps(step))
        walk->kept++;
    return step != VM_STEP_STOP && !found_all(walk);
}

bool vm_rmap_walk_held_area(struct vm_area_walk *walk, struct vm_area *area) {
    return look_and_unlock(walk, area->space, area);
}

bool vm_rmap_walk_area(struct vm_area_walk *walk, struct vm_area *area) {
    lock_areas(walk, area->space);
    return look_and_unlock(walk, area->space, area);
}

bool vm_rmap_walk_space(struct vm_area_walk *walk, struct vm_space *space, uint64_t address) {
    lock_areas(walk, space);
    struct vm_area *area = vm_rmap_area_at(space, address);
    if (area && vm_area_page_index(area, address) != walk->page->index)
        area = NULL;
    return look_and_unlock(walk, space, area);
}

/* ---------------------------------------------------------------- nonlinear areas */

static struct vm_area *nonlinear_area(struct vm_link *link) {
    return vm_link_entry(link, struct vm_nonlinear_area, link)->area;
}

struct area_scan {
    struct vm_machine *machine;
    struct vm_area *area;
    uint64_t frame;
    vm_mapping_visit *visit;
    void *context;
    enum vm_step step;
    uint64_t hits, entries;
};

static void scan_leaf(struct area_scan *scan, const struct vm_table_cursor *at) {
    struct vm_mapping mapping = { .area = scan->area,
                                  .leaf = { at->table, at->entries - at->first } };

    vm_lock(scan->machine, &at->table->lock, VM_RANK_TABLE);
    for (unsigned i = 0; i < at->count && scan->step != VM_STEP_STOP; i++) {
        vm_pte entry = vm_pte_read(&at->entries[i]);
        scan->entries++;
        if (!vm_pte_present(entry) || vm_pte_frame(entry) != scan->frame)
            continue;
        mapping.address = at->address + i * VM_PAGE_SIZE;
        mapping.entry = &at->entries[i];
        scan->hits++;
        scan->step = scan->visit(&mapping, scan->context);
    }
    vm_unlock(scan->machine, &at->table->lock, VM_RANK_TABLE);
}

enum vm_step vm_rmap_scan_area(struct vm_machine *machine, struct vm_area *area,
                               struct vm_page *page, vm_mapping_visit *visit, void *context) {
    struct area_scan scan = { .machine = machine,
                              .area = area,
                              .frame = vm_page_frame(machine, page),
                              .visit = visit,
                              .context = context,
                              .step = VM_STEP_ON };
    struct vm_table_cursor at = vm_table_cursor(area->space->root, area->start, area->end);

    while (scan.step != VM_STEP_STOP && vm_table_next(machine, &at))
        if (!vm_table_seems_unmapped(at.table))
            scan_leaf(&scan, &at);
    vm_count(machine, rmap.hits, scan.hits);
    vm_count(machine, rmap.empty_walks, scan.hits == 0);
    vm_count(machine, rmap.nonlinear_entries, scan.entries);
    return scan.step;
}

/* Under VM_NONLINEAR_CHAIN, pages that are out of line anywhere have chains. Those without one are
 * where the linear rule says, in nonlinear areas too. */
static void walk_lines(struct vm_area_walk *walk, struct vm_object *object) {
    struct vm_link *head = &object->nonlinear, *link = head->next;

    for (; link != head; link = link->next) {
        vm_count(walk->machine, rmap.object_visits, 1);
        if (!vm_rmap_walk_area(walk, nonlinear_area(link)))
            return;
    }
}

/* One of a nonlinear area's entries for the page. The area may have more of them. */
static enum vm_step show_nonlinear(const struct vm_mapping *mapping, void *context) {
    struct vm_area_walk *walk = context;
    enum vm_step step = walk->visit(mapping, walk->context);

    walk->kept += vm_step_keeps(step);
    return step == VM_STEP_STOP || found_all(walk) ? VM_STEP_STOP : step;
}

static bool walk_nonlinear_area(struct vm_area_walk *walk, struct vm_area *area) {
    struct vm_machine *machine = walk->machine;
    struct vm_space *space = area->space;

    vm_count(machine, rmap.object_visits, 1);
    lock_areas(walk, space);
    enum vm_step step = vm_rmap_scan_area(machine, area, walk->page, show_nonlinear, walk);
    vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);
    return step != VM_STEP_STOP;
}

static void walk_nonlinear(struct vm_area_walk *walk, struct vm_object *object) {
    struct vm_link *head = &object->nonlinear, *link = head->next;

    while (link != head && walk_nonlinear_area(walk, nonlinear_area(link)))
        link = link->next;
}

/* ---------------------------------------------------------------- an object's areas */

struct object_walk {
    struct vm_area_walk areas;
    bool ended;
};

static bool visit_object_area(struct vm_area *area, void *context) {
    struct object_walk *walk = context;

    walk->ended = !vm_rmap_walk_area(&walk->areas, area);
    return !walk->ended;
}

enum vm_walked vm_rmap_walk_object(struct vm_machine *machine, struct vm_page *page,
                                   enum vm_walk_kind kind, vm_mapping_visit *visit, void *context) {
    struct vm_object *object = page->object;
    struct object_walk walk = { .areas = { .machine = machine,
                                           .page = page,
                                           .kind = kind,
                                           .visit = visit,
                                           .context = context,
                                           .walked = VM_WALKED_ALL } };

    vm_lock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
    machine->index_kind->each(machine, vm_object_areas(object), page->index, page->index,
                              visit_object_area, &walk);
    if (!walk.ended && machine->config.nonlinear == VM_NONLINEAR_CHAIN)
        walk_lines(&walk.areas, object);
    else if (!walk.ended && kind != VM_WALK_RECLAIM)
        walk_nonlinear(&walk.areas, object);
    vm_unlock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
    return walk.areas.walked;
}

/* ---------------------------------------------------------------- asking about a page */

enum vm_walked vm_rmap_walk(struct vm_machine *machine, struct vm_page *page,
                            enum vm_walk_kind kind, vm_mapping_visit *visit, void *context) {
    if (vm_page_mapcount(page) == 0)
        return VM_WALKED_ALL;
    vm_count(machine, rmap.walks, 1);
    return machine->design->walk(machine, page, kind, visit, context);
}

enum vm_walked vm_rmap_look(struct vm_machine *machine, struct vm_page *page,
                            vm_mapping_visit *visit, void *context) {
    struct vm_stats *counts = &vm_this_cpu(machine)->counts;
    struct vm_stats before = *counts;
    uint64_t *counters = (uint64_t *)&counts->rmap;
    const uint64_t *values = (const uint64_t *)&before.rmap;
    enum vm_walked walked = vm_rmap_walk(machine, page, VM_WALK_LOOK, visit, context);

    for (size_t i = 0; i < sizeof counts->rmap / sizeof *counters; i++)
        vm_counter_set(&counters[i], values[i]);
    return walked;
}

/* A reference to the frame's page, unless it is free, or not a page that can be mapped. The count
 * alone tells: it is 0 for free frames and for tables. */
static struct vm_page *hold_page(struct vm_machine *machine, uint64_t frame) {
    if (frame >= machine->config.frames || !vm_section_pages(machine, frame))
        return NULL;
    struct vm_page *page = vm_page_of(machine, frame);
    vm_preempt(machine, page);
    uint64_t counts = vm_page_counts(page);
    do {
        if (counts == 0 || page == machine->zero_page)
            return NULL;
    } while (!atomic_compare_exchange_weak_explicit(&page->counts, &counts,
                                                    counts + VM_ONE_REFERENCE, memory_order_acq_rel,
                                                    memory_order_relaxed));
    return page;
}

struct listing {
    vm_mapped_visit *visit;
    void *context;
    uint64_t found;
};

static enum vm_step list_mapping(const struct vm_mapping *mapping, void *context) {
    struct listing *listing = context;
    vm_pte entry = vm_pte_read(mapping->entry);
    struct vm_mapped_at place = { .space = mapping->area->space,
                                  .address = mapping->address,
                                  .writable = vm_pte_writable(entry),
                                  .accessed = vm_pte_accessed(entry),
                                  .dirty = vm_pte_dirty(entry) };

    listing->found++;
    if (listing->visit)
        listing->visit(&place, listing->context);
    return VM_STEP_ON;
}

uint64_t vm_page_mappings(struct vm_machine *machine, uint64_t frame, vm_mapped_visit *visit,
                          void *context) {
    struct listing listing = { visit, context, 0 };
    struct vm_page *page = hold_page(machine, frame);

    if (!page)
        return 0;
    vm_page_lock(machine, page);
    vm_rmap_walk(machine, page, VM_WALK_LOOK, list_mapping, &listing);
    vm_page_unlock(machine, page);
    vm_swap_page_put(machine, page);
    return listing.found;
}
