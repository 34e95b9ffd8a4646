/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * design.h - the interface of a reverse-mapping design: given a page, find the entries that map it.
 *
 * A design is one `const struct vm_design` in one file. The engine calls it when entries, areas and
 * spaces come and go, and does not know which one it is. Entries are spoken of in runs, so that a
 * design that keeps nothing per page is not called once per page: it leaves those calls NULL.
 *
 * What the engine keeps for every design: the page's map count, which is the number of entries that
 * name it; VM_PAGE_ANON; object and index of object pages; index of anonymous pages (area.h's linear
 * rule, set before born()). What a design may use besides: page->owner (of anonymous pages),
 * page->rmap, VM_PAGE_DESIGN_0 to _2, area_bytes behind each area, space_bytes behind each space,
 * machine->design_data. Its records come zeroed.
 *
 * Entries that are not present, or map a VM_PAGE_RESERVED frame, may stand in a run; designs skip
 * them.
 *
 * Rules (docs/locking.md has the whole order):
 *   run calls     the leaf table's lock is held (both leaves' for duplicate and moved); entry and
 *                 count change in that same section. No call may allocate, except from its reserve.
 *   area calls    space lock held for writing, no spinning lock held; may allocate.
 *                 area_prepare: for reading is enough, so two may come at once.
 *   walk          page lock held by the caller, no spinning lock; the page has a reference.
 */
#ifndef VM_DESIGN_H
#define VM_DESIGN_H

#include <objrmap/rmap.h>

#include "vm/frame/frame.h"
#include "vm/space/area.h"
#include "vm/table/table.h"

struct vm_space;

/* `count` consecutive entries of one leaf table, all of one area. */
struct vm_run {
    struct vm_area *area;
    struct vm_table *table;
    uint64_t address;      /* of the first */
    unsigned first, count; /* where in the table */
    const vm_pte *entries; /* their values: as installed, or for remove and moved as they were */
};

/* Records set aside before the table lock is taken, for the mappings to come. */
struct vm_reserve {
    void *records; /* the design's, linked its own way */
    unsigned count;
};

/* What they will map. */
enum vm_reserve_for {
    VM_RESERVE_NEW,    /* private pages that nothing maps yet */
    VM_RESERVE_OBJECT, /* pages of objects */
    VM_RESERVE_ANY
};

/* Why an anonymous page gets its first mapping. */
enum vm_birth {
    VM_BIRTH_NEW,     /* nobody else can know the page: fresh, or a private copy */
    VM_BIRTH_RETURNED /* from swap: relatives may hold swap entries for the same page */
};

/* One entry found by a walk, its table's lock held. */
struct vm_mapping {
    struct vm_area *area;
    uint64_t address;
    struct vm_leaf leaf;
    vm_pte_slot *entry;
};

enum vm_step {
    VM_STEP_ON,       /* go on */
    VM_STEP_STOP,     /* stop the walk */
    VM_STEP_UNMAPPED, /* the visitor has cleared the entry and its count: forget it, and go on */
    VM_STEP_REPLACED  /* the visitor has made it map another page, and told the design: go on */
};

/* Whether the entry shown still maps the page. */
static inline bool vm_step_keeps(enum vm_step step) {
    return step == VM_STEP_ON || step == VM_STEP_STOP;
}

typedef enum vm_step vm_mapping_visit(const struct vm_mapping *mapping, void *context);

enum vm_walk_kind {
    VM_WALK_ALL,     /* must see every entry: waits for the locks it needs */
    VM_WALK_LOOK,    /* the same for onlookers: the design may not tidy its records on the way */
    VM_WALK_RECLAIM, /* the same, but a design that knows areas leaves nonlinear ones out: looking
                        at each of their entries for every page is what reclaim cannot afford */
};

enum vm_walked { VM_WALKED_ALL, VM_WALKED_SOME };

struct vm_design {
    struct vm_design_info
        info; /* area_bytes and space_bytes are what it gets behind areas and spaces */

    int (*init)(struct vm_machine *machine); /* VM_ENOMEM */
    void (*fini)(struct vm_machine *machine);

    /* Finds every entry of an object's page by what it keeps for entries or spaces, so that
     * nonlinear areas are nothing special; even VM_WALK_RECLAIM shows their entries. */
    bool finds_nonlinear;

    /* Finds an object's pages by vm_rmap_walk_object(), but those that have chains under
     * VM_NONLINEAR_CHAIN. */
    bool finds_objects_by_area;

    /* ---- spaces; `parent` is NULL unless forked. emptied: exec; ended: the space goes. */
    int (*space_created)(struct vm_space *space, struct vm_space *parent);
    int (*space_emptied)(struct vm_space *space);
    void (*space_ended)(struct vm_space *space);

    /* ---- leaf tables, empty when they come and when they go; no spinning lock but areas_lock is
     * held. table->companion is the design's. VM_ENOMEM: there is no table. */
    int (*table_made)(struct vm_machine *machine, struct vm_table *table);
    void (*table_freed)(struct vm_machine *machine, struct vm_table *table);

    /* ---- areas */

    /* The area is about to get an anonymous page. VM_ENOMEM */
    int (*area_prepare)(struct vm_area *area);
    /* `child` is the parent's area copied to the forked space; its entries come afterwards. VM_ENOMEM */
    int (*area_forked)(struct vm_area *parent, struct vm_area *child);
    /* `copy` will hold some of the area's pages, with the same indexes: split, mremap. VM_ENOMEM */
    int (*area_copied)(struct vm_area *area, struct vm_area *copy);
    /* Whether the two neighbours, alike otherwise, may become one, as far as their pages go. */
    bool (*area_mergeable)(const struct vm_area *lower, const struct vm_area *upper);
    /* `kept` takes over the pages of `gone`, which ends next. => area_mergeable */
    void (*area_merged)(struct vm_area *kept, struct vm_area *gone);
    /* The area's range changes: once before, once after. If it maps an object, that one's areas lock
     * is held. After area_merged, kept's range always changes. */
    void (*area_changing)(struct vm_area *area);
    void (*area_changed)(struct vm_area *area);
    /* The area has no entries any more, and goes. */
    void (*area_ended)(struct vm_area *area);

    /* ---- runs */

    /* Sees to it that the reserve holds what `mappings` more mappings may need. VM_ENOMEM */
    int (*reserve)(struct vm_machine *machine, struct vm_reserve *reserve, enum vm_reserve_for what,
                   unsigned mappings);
    void (*unreserve)(struct vm_machine *machine, struct vm_reserve *reserve);

    /* A page of an object is about to be mapped where the linear rule would have another: so far it
     * may be known by its areas, from now on it cannot. VM_ENOMEM
     * => page locked, no spinning lock held */
    int (*out_of_line)(struct vm_machine *machine, struct vm_page *page);

    /* An anonymous page gets its first mapping, in this area: now, before add(). => area_prepare */
    void (*born)(struct vm_area *area, struct vm_page *page, enum vm_birth birth);
    /* A page that relatives may have known turns out to be this area's alone, and gets written: it
     * may be named more narrowly from now on. NULL: it makes no difference. => page locked */
    void (*owned)(struct vm_area *area, struct vm_page *page);
    /* An entry of the anonymous page `from` is about to map `to` instead, a copy of it in another
     * frame: `to` is found as `from` is from now on. Comes between remove() and add(), for each entry.
     * NULL: the engine copies page->owner. => both locked, and the entry's leaf */
    void (*replaced)(struct vm_machine *machine, struct vm_page *from, struct vm_page *to);
    void (*add)(const struct vm_run *run, struct vm_reserve *reserve);
    void (*remove)(const struct vm_run *run);
    void (*duplicate)(const struct vm_run *parent, const struct vm_run *child,
                      struct vm_reserve *reserve);
    /* Entries have moved within the space, from one table (or place) to another. */
    void (*moved)(const struct vm_run *from, const struct vm_run *to);

    /* ---- pages */

    /*
     * Whether the page, which other spaces map, may be mapped in this area as well. If not, the
     * fault that brings it back from swap makes a copy; and before an mremap moves pages, those that
     * others map, or may map, are copied (rmap.forced_copies). NULL: it always may.
     * => page locked; it belongs into this area, under its swap slot
     */
    bool (*may_share)(const struct vm_area *area, const struct vm_page *page);

    /* Pages, anonymous or not, that nobody holds any more are about to be free frames; page->rmap
     * must be 0 afterwards. => any lock may be held */
    void (*pages_freed)(struct vm_machine *machine, struct vm_page *const *pages, unsigned n);

    /* Shows every entry that maps the page to `visit`. */
    enum vm_walked (*walk)(struct vm_machine *machine, struct vm_page *page, enum vm_walk_kind kind,
                           vm_mapping_visit *visit, void *context);

    /*
     * For designs that cannot afford to be asked about every page that reclaim thinks of: shows the
     * entries that map pages, space after space, from where the last sweep ended until the visitor
     * stops it or all have been shown. Areas locked in memory are left out. NULL: reclaim asks walk.
     * => no spinning lock held; the visitor runs as a walk's, but the page is not locked.
     */
    void (*sweep)(struct vm_machine *machine, vm_mapping_visit *visit, void *context);

    /* For tests: the design's own structures are in order. Counts differences. */
    uint64_t (*check)(struct vm_machine *machine);
};

/* By name; NULL if there is none of this name. */
const struct vm_design *vm_design_named(const char *name);

/* ---- rmap.c: what designs share, and what the engine calls */

/* Does the area map this page where the linear rule says? If so, calls visit with the entry's table
 * locked, and counts a hit, else an empty walk. => area covers the page's index; its space's
 * areas_lock is held, so that neither the area nor its tables go */
enum vm_step vm_rmap_try_area(struct vm_machine *machine, struct vm_area *area,
                              struct vm_page *page, vm_mapping_visit *visit, void *context);

/* The area that holds the address, or NULL. For walkers: => areas_lock held, space lock not needed */
struct vm_area *vm_rmap_area_at(struct vm_space *space, uint64_t address);

/* A walk over areas that may map the page, for designs that know areas, not entries. */
struct vm_area_walk {
    struct vm_machine *machine;
    struct vm_page *page;
    enum vm_walk_kind kind;
    vm_mapping_visit *visit;
    void *context;
    uint32_t kept;         /* entries shown and still there */
    enum vm_walked walked; /* the result so far */
};

/* Looks at the next area. False ends the walk: the visitor said so, or every entry has been found.
 * => a lock is held that the area must wait for before it ends */
bool vm_rmap_walk_area(struct vm_area_walk *walk, struct vm_area *area);

/* The same for an area whose space->areas_lock is held; it is let go of. */
bool vm_rmap_walk_held_area(struct vm_area_walk *walk, struct vm_area *area);

/* The same for the area at this address of the space, if there is one and the page would be there.
 * => a lock is held that the space must wait for before it ends */
bool vm_rmap_walk_space(struct vm_area_walk *walk, struct vm_space *space, uint64_t address);

/* Shows every entry of a nonlinear area that maps the page. Returns the visitor's last word.
 * => as vm_rmap_try_area() */
enum vm_step vm_rmap_scan_area(struct vm_machine *machine, struct vm_area *area,
                               struct vm_page *page, vm_mapping_visit *visit, void *context);

/* Walks the object's areas by its index, and then the nonlinear ones: how object pages are found by
 * every object-based design. */
enum vm_walked vm_rmap_walk_object(struct vm_machine *machine, struct vm_page *page,
                                   enum vm_walk_kind kind, vm_mapping_visit *visit, void *context);

/* The machine's design, asked for a page; nothing to do (and no walk counted) if its map count is 0.
 * => page locked, referenced */
enum vm_walked vm_rmap_walk(struct vm_machine *machine, struct vm_page *page,
                            enum vm_walk_kind kind, vm_mapping_visit *visit, void *context);

/* One of several pages that are walked together. */
struct vm_walk_page {
    struct vm_page *page;
    void *context; /* the visitor's, for this page */
    uint32_t kept; /* entries shown and still there */
    bool ended;    /* the visitor said so, or every entry has been found */
    /* The visitor may leave entries that it has cleared in the map count, and take all off at once
     * when the walk is over. Until then who looks takes the page for mapped more often than it is. */
    bool counts_later;
    uint32_t uncounted; /* so many */
};

/*
 * A walk for each of the pages. Where the design finds an object's pages by its areas, and neighbours
 * in the list are neighbours in one object, each area, page table and lock is come to once for all of
 * them instead of once for each: what a walk costs is mostly the way to the entry.
 * => all locked, referenced; kept 0, ended false
 */
void vm_rmap_walk_together(struct vm_machine *machine, struct vm_walk_page *pages, unsigned count,
                           enum vm_walk_kind kind, vm_mapping_visit *visit);

/* A VM_WALK_LOOK that leaves even the machine's counts as they were. */
enum vm_walked vm_rmap_look(struct vm_machine *machine, struct vm_page *page,
                            vm_mapping_visit *visit, void *context);

/* How the engine calls a design whose answer to most events is nothing at all. */
static inline int vm_rmap_prepare(struct vm_machine *machine, struct vm_area *area) {
    return machine->design->area_prepare ? machine->design->area_prepare(area) : VM_OK;
}

static inline int vm_rmap_reserve(struct vm_machine *machine, struct vm_reserve *reserve,
                                  enum vm_reserve_for what, unsigned mappings) {
    return machine->design->reserve ? machine->design->reserve(machine, reserve, what, mappings)
                                    : VM_OK;
}

static inline void vm_rmap_unreserve(struct vm_machine *machine, struct vm_reserve *reserve) {
    if (machine->design->unreserve)
        machine->design->unreserve(machine, reserve);
}

static inline int vm_rmap_out_of_line(struct vm_machine *machine, struct vm_page *page) {
    return machine->design->out_of_line ? machine->design->out_of_line(machine, page) : VM_OK;
}

static inline void vm_rmap_born(struct vm_machine *machine, struct vm_area *area,
                                struct vm_page *page, enum vm_birth birth) {
    if (machine->design->born)
        machine->design->born(area, page, birth);
}

static inline void vm_rmap_owned(struct vm_machine *machine, struct vm_area *area,
                                 struct vm_page *page) {
    if (machine->design->owned)
        machine->design->owned(area, page);
}

static inline void vm_rmap_replaced(struct vm_machine *machine, struct vm_page *from,
                                    struct vm_page *to) {
    if (machine->design->replaced)
        machine->design->replaced(machine, from, to);
    else
        __atomic_store_n(&to->owner, __atomic_load_n(&from->owner, __ATOMIC_ACQUIRE),
                         __ATOMIC_RELEASE);
}

static inline void vm_rmap_add(struct vm_machine *machine, const struct vm_run *run,
                               struct vm_reserve *reserve) {
    if (machine->design->add)
        machine->design->add(run, reserve);
}

static inline void vm_rmap_remove(struct vm_machine *machine, const struct vm_run *run) {
    if (machine->design->remove)
        machine->design->remove(run);
}

static inline void vm_rmap_duplicate(struct vm_machine *machine, const struct vm_run *parent,
                                     const struct vm_run *child, struct vm_reserve *reserve) {
    if (machine->design->duplicate)
        machine->design->duplicate(parent, child, reserve);
}

static inline void vm_rmap_moved(struct vm_machine *machine, const struct vm_run *from,
                                 const struct vm_run *to) {
    if (machine->design->moved)
        machine->design->moved(from, to);
}

/* Whether all entries of a page must have one address, so that pages are not shared across mremap. */
static inline bool vm_rmap_wants_one_address(const struct vm_machine *machine) {
    return machine->design->may_share != NULL;
}

static inline bool vm_rmap_may_share(const struct vm_machine *machine, const struct vm_area *area,
                                     const struct vm_page *page) {
    return !machine->design->may_share || machine->design->may_share(area, page);
}

#endif
