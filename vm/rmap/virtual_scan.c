/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtual_scan.c - the design "virtual-scan" of Linux 2.4 and before: no reverse map at all.
 *
 * Nothing is kept for a page, an area or an entry; a space is in a list of spaces. Reclaim cannot ask
 * who maps a page. Instead it sweeps: it goes through the spaces in turn, through each in order of
 * addresses, and takes out entries that have not been used since it last came by. A page goes
 * when its last entry happens to have been taken.
 *
 * Who must know of one page (msync, MADV_PAGEOUT, onlookers) gets the answer by a scan of everything:
 * each area of each space is asked whether the page would lie in it, and then its tables are.
 *
 *   lock      VM_RANK_ANON: the list, and where the sweep has come to. It is held throughout sweeps
 *             and scans, so no space ends meanwhile; space->areas_lock keeps each one's areas and
 *             tables in place.
 *   cursor    a space and an address. It outlives neither: a space that ends passes it on.
 *
 * A child is in the list before fork gives it entries, so that even under fork every entry is found.
 */
#include "vm/rmap/design.h"
#include "vm/space/space.h"

extern const struct vm_design vm_design_virtual_scan;

struct virtual_scan {
    struct vm_lock lock;
    struct vm_link spaces; /* of the links behind each space */
    struct vm_link *at;    /* where the next sweep begins; the list's head: at its first space */
    uint64_t address;
};

static struct virtual_scan *scan_of(const struct vm_machine *machine) {
    return machine->design_data;
}

static struct vm_space *space_of(const struct vm_machine *machine, struct vm_link *link) {
    return (struct vm_space *)((char *)link - machine->space_design_offset);
}

/* ---------------------------------------------------------------- spaces */

static int space_created(struct vm_space *space, struct vm_space *parent) {
    struct vm_machine *machine = space->machine;
    struct virtual_scan *scan = scan_of(machine);

    vm_lock(machine, &scan->lock, VM_RANK_ANON);
    if (parent)
        vm_link_add(vm_space_design_record(parent), vm_space_design_record(space));
    else
        vm_link_add_last(&scan->spaces, vm_space_design_record(space));
    vm_unlock(machine, &scan->lock, VM_RANK_ANON);
    return VM_OK;
}

static void space_ended(struct vm_space *space) {
    struct vm_machine *machine = space->machine;
    struct virtual_scan *scan = scan_of(machine);
    struct vm_link *link = vm_space_design_record(space);

    vm_lock(machine, &scan->lock, VM_RANK_ANON);
    if (scan->at == link) {
        scan->at = link->next;
        scan->address = 0;
    }
    vm_link_remove(link);
    vm_unlock(machine, &scan->lock, VM_RANK_ANON);
}

/* ---------------------------------------------------------------- sweeping */

struct sweep {
    struct vm_machine *machine;
    vm_mapping_visit *visit;
    void *context;
    struct vm_area *area; /* the one that the last entry lay in */
    uint64_t swept;
};

/* The area that the entry lies in, unless it is locked in memory, or between two by mremap. */
static struct vm_area *area_to_sweep(struct sweep *sweep, struct vm_space *space,
                                     uint64_t address) {
    struct vm_area *area = sweep->area;

    if (!area || address >= area->end)
        area = sweep->area = vm_rmap_area_at(space, address);
    return area && !(vm_area_flags(area) & VM_AREA_LOCKED) ? area : NULL;
}

static bool maps_page(const struct vm_machine *machine, vm_pte entry) {
    return vm_pte_present(entry) &&
           !vm_page_is(vm_page_of(machine, vm_pte_frame(entry)), VM_PAGE_RESERVED);
}

/* False if the visitor stopped at *address. => areas_lock held */
static bool sweep_leaf(struct sweep *sweep, struct vm_space *space,
                       const struct vm_table_cursor *at, uint64_t *address) {
    struct vm_machine *machine = sweep->machine;
    bool stopped = false;

    vm_lock(machine, &at->table->lock, VM_RANK_TABLE);
    for (unsigned i = 0; at->table->present && i < at->count && !stopped; i++) {
        struct vm_mapping mapping = { .address = at->address + i * VM_PAGE_SIZE,
                                      .leaf = { at->table, at->entries - at->first },
                                      .entry = &at->entries[i] };
        if (!maps_page(machine, vm_pte_read(mapping.entry)))
            continue;
        sweep->swept++;
        mapping.area = area_to_sweep(sweep, space, mapping.address);
        stopped = mapping.area && sweep->visit(&mapping, sweep->context) == VM_STEP_STOP;
        *address = mapping.address;
    }
    vm_unlock(machine, &at->table->lock, VM_RANK_TABLE);
    return !stopped;
}

/* False if the visitor stopped; the cursor then stands where it did. */
static bool sweep_space(struct sweep *sweep, struct vm_link *link, uint64_t start, uint64_t end) {
    struct vm_machine *machine = sweep->machine;
    struct virtual_scan *scan = scan_of(machine);
    struct vm_space *space = space_of(machine, link);
    bool on = true;

    if (link == &scan->spaces)
        return true;
    vm_lock(machine, &space->areas_lock, VM_RANK_AREAS);
    struct vm_table_cursor at = vm_table_cursor(space->root, start, end);
    sweep->area = NULL;
    while (on && vm_table_next(machine, &at))
        on = sweep_leaf(sweep, space, &at, &scan->address);
    vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);
    if (!on)
        scan->at = link;
    return on;
}

static void sweep(struct vm_machine *machine, vm_mapping_visit *visit, void *context) {
    struct virtual_scan *scan = scan_of(machine);
    struct sweep sweep = { .machine = machine, .visit = visit, .context = context };

    vm_lock(machine, &scan->lock, VM_RANK_ANON);
    struct vm_link *start = scan->at;
    uint64_t address = scan->address;

    bool on = sweep_space(&sweep, start, address, VM_ADDRESS_END);
    for (struct vm_link *link = start->next; on && link != start; link = link->next)
        on = sweep_space(&sweep, link, 0, VM_ADDRESS_END);
    if (on)
        on = sweep_space(&sweep, start, 0, address);
    if (on) { /* all the way round: the next one begins where this one did */
        scan->at = start;
        scan->address = address;
    }
    vm_unlock(machine, &scan->lock, VM_RANK_ANON);
    vm_count(machine, reclaim.swept, sweep.swept);
}

/* ---------------------------------------------------------------- asking for a page */

struct search {
    struct vm_page *page;
    vm_mapping_visit *visit;
    void *context;
    uint32_t kept; /* entries shown and still there */
    bool stopped;
};

static enum vm_step show(const struct vm_mapping *mapping, void *context) {
    struct search *search = context;
    enum vm_step step = search->visit(mapping, search->context);

    search->kept += vm_step_keeps(step);
    search->stopped = step == VM_STEP_STOP;
    return step;
}

/* Nothing is left to find. Where others may map and unmap meanwhile, the count does not tell. */
static bool done(const struct vm_machine *machine, const struct search *search) {
    return search->stopped ||
           (machine->config.cpus == 1 && search->kept >= vm_page_mapcount(search->page));
}

static bool may_hold(const struct vm_area *area, const struct vm_page *page) {
    if (!vm_area_covers(area, page->index))
        return false;
    return vm_page_is(page, VM_PAGE_ANON) ? !vm_area_shared(area) : area->object == page->object;
}

static void search_space(struct search *search, struct vm_space *space) {
    struct vm_machine *machine = space->machine;

    vm_lock(machine, &space->areas_lock, VM_RANK_AREAS);
    for (struct vm_area *area = vm_area_first(space); area && !done(machine, search);
         area = vm_area_next(area)) {
        vm_count(machine, rmap.object_visits, 1);
        if (vm_area_is_nonlinear(area) && area->object == search->page->object)
            vm_rmap_scan_area(machine, area, search->page, show, search);
        else if (may_hold(area, search->page))
            vm_rmap_try_area(machine, area, search->page, show, search);
        else
            vm_count(machine, rmap.range_rejects, 1);
    }
    vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);
}

static enum vm_walked walk(struct vm_machine *machine, struct vm_page *page, enum vm_walk_kind kind,
                           vm_mapping_visit *visit, void *context) {
    struct virtual_scan *scan = scan_of(machine);
    struct search search = { .page = page, .visit = visit, .context = context };

    (void)kind;
    vm_lock(machine, &scan->lock, VM_RANK_ANON);
    for (struct vm_link *link = scan->spaces.next; link != &scan->spaces && !done(machine, &search);
         link = link->next)
        search_space(&search, space_of(machine, link));
    vm_unlock(machine, &scan->lock, VM_RANK_ANON);

    if (!search.stopped && search.kept < vm_page_mapcount(page))
        return VM_WALKED_SOME;
    return VM_WALKED_ALL;
}

/* ---------------------------------------------------------------- the machine */

static int init(struct vm_machine *machine) {
    struct virtual_scan *scan = machine->port->allocate(machine->port, sizeof *scan, 16);

    if (!scan)
        return VM_ENOMEM;
    atomic_init(&scan->lock.word, 0);
    vm_link_init(&scan->spaces);
    scan->at = &scan->spaces;
    scan->address = 0;
    machine->design_data = scan;
    return VM_OK;
}

static void fini(struct vm_machine *machine) {
    machine->port->release(machine->port, machine->design_data, sizeof(struct virtual_scan));
    machine->design_data = NULL;
}

/* Every space is in the list, nothing else is, and the cursor stands at one of them.
 * => the machine is at rest */
static uint64_t check(struct vm_machine *machine) {
    const struct virtual_scan *scan = scan_of(machine);
    uint64_t listed = 0, differences = 0;
    bool cursor = scan->at == &scan->spaces;

    for (struct vm_link *link = scan->spaces.next; link != &scan->spaces; link = link->next) {
        differences += link->next->previous != link;
        differences += space_of(machine, link)->machine != machine;
        cursor |= link == scan->at;
        listed++;
    }
    for (struct vm_space *space = vm_space_first(machine); space; space = vm_space_after(space))
        listed--;
    return differences + (listed != 0) + !cursor;
}

const struct vm_design vm_design_virtual_scan = {
    .info = { .name = "virtual-scan",
              .origin = "Linux 2.4 (2001): no reverse map, reclaim goes through the spaces",
              .space_bytes = sizeof(struct vm_link),
              .mapping_cost = "nothing" },
    .finds_nonlinear = true,
    .init = init,
    .fini = fini,
    .space_created = space_created,
    .space_ended = space_ended,
    .walk = walk,
    .sweep = sweep,
    .check = check,
};
