/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * space.h - an address space: its areas, its page tables, and the calls that change them.
 *
 *   space.c     life of a space
 *   areas.c     the tree of areas: finding, gaps, inserting, splitting, merging
 *   map.c       mmap, munmap, brk, remap_file_pages
 *   protect.c   mprotect
 *   move.c      mremap
 *   advise.c    madvise
 *   memlock.c   mlock, munlock
 *   sync.c      msync, mincore
 *   nonlinear.c areas whose entries tell the offsets
 *   zap.c       clearing entries of a range, and freeing what they mapped
 *   gather.c    keeping what was cleared until it has been flushed
 *   truncate.c  clearing what maps an object's pages, wherever it is
 *   fork.c      fork, exec, exit
 *   look.c      views for reports and tests (objrmap/rmap.h)
 */
#ifndef VM_SPACE_H
#define VM_SPACE_H

#include "vm/object/object.h"
#include "vm/rmap/design.h"
#include "vm/space/area.h"
#include "vm/table/table.h"

struct vm_space {
    struct vm_machine *machine;
    uint64_t id;
    unsigned home; /* the CPU in whose list it is, or: */
#define VM_SPACE_UNPUBLISHED VM_CPUS_MAX
    struct vm_link link;   /* there */
    struct vm_rwlock lock; /* VM_RANK_SPACE: everything below */

    struct vm_table *root;
    struct vm_lock areas_lock; /* VM_RANK_AREAS: see area.h */
    struct vm_tree areas;
    struct vm_area
        *last_found; /* the area found last; a hint, one CPU's guess is as good as another's */
    uint64_t area_count;
    uint64_t mapped_pages, locked_pages;
    uint64_t heap_start, heap_end;
    /* Set by reclaim, which may not free tables itself, when it emptied one: prune when convenient. */
    _Atomic uint32_t empty_tables;
    struct vm_link emptied; /* machine->emptied, if it is set; lists_lock */
    bool ending;            /* no link there any more; lists_lock */
};

static inline void *vm_space_design_record(struct vm_space *space) {
    return (char *)space + space->machine->space_design_offset;
}

/* Cached translations of the range are forgotten. */
static inline void vm_space_flush(struct vm_space *space, uint64_t start, uint64_t end) {
    struct vm_port *port = space->machine->port;
    if (port->tlb_flush)
        port->tlb_flush(port, space->id, start, end);
}

int vm_spaces_init(struct vm_machine *machine);
void vm_spaces_fini(struct vm_machine *machine); /* => no space is left */

/* A space with a root table and nothing else, not yet in machine->spaces. => VM_ENOMEM, VM_OOM */
int vm_space_allocate(struct vm_machine *machine, uint64_t id, struct vm_space *parent,
                      struct vm_space **space);
/* Frees the tables of [start, end) that hold nothing. Walkers that hold no space lock rely on
 * space->areas_lock to keep tables where they are. => space lock held for writing */
void vm_space_prune(struct vm_space *space, uint64_t start, uint64_t end);

/* => no area is left */
void vm_space_free(struct vm_space *space);
/* From now on it is one of the machine's: the last step of making one. */
void vm_space_publish(struct vm_space *space);
/* From now on vm_settle() leaves it alone, and has done with it. => space lock not held */
void vm_space_retire(struct vm_space *space);

/* All spaces, those made by one CPU in that order. => the machine is at rest */
struct vm_space *vm_space_first(struct vm_machine *machine);
struct vm_space *vm_space_after(struct vm_space *space);

/* A table of the space has been left without an entry: vm_settle() will free it. */
void vm_space_note_empty_table(struct vm_space *space);

/* ---- areas.c. All => space lock held; for changes, for writing. */

/* The area that holds the address, or the first one after it; NULL if there is none. */
struct vm_area *vm_area_find(struct vm_space *space, uint64_t address);
/* The area that holds the address; NULL if none does. */
struct vm_area *vm_area_at(struct vm_space *space, uint64_t address);
struct vm_area *vm_area_first(struct vm_space *space);
struct vm_area *vm_area_next(struct vm_area *area);
struct vm_area *vm_area_previous(struct vm_area *area);

/* The highest gap of `length` bytes within [low, high); VM_ENOMEM. */
int vm_area_gap(struct vm_space *space, uint64_t length, uint64_t low, uint64_t high,
                uint64_t *address);

/* An area in no tree; takes a reference to the object. NULL: no memory. Free drops the reference. */
struct vm_area *vm_area_allocate(struct vm_space *space, uint64_t start, uint64_t end,
                                 uint32_t flags, struct vm_object *object, uint64_t pgoff);
void vm_area_free(struct vm_area *area);

/* Into the space's tree and the object's index; and out. Counts areas and pages of the space. */
void vm_area_insert(struct vm_area *area);
void vm_area_remove(struct vm_area *area);

/* Changes an inserted area's range; `pgoff` goes with its start. */
void vm_area_set_range(struct vm_area *area, uint64_t start, uint64_t end, uint64_t pgoff);

/* Changes an inserted area's flags, and the counts that depend on them. */
void vm_area_set_flags(struct vm_area *area, uint32_t flags);

/* Cuts the area at the address: it keeps what lies below, *upper is the new area above.
 * => VM_ENOMEM: nothing changed */
int vm_area_split(struct vm_area *area, uint64_t address, struct vm_area **upper);

/* Cuts the area so that its part within [start, end) is an area of its own, *piece.
 * => VM_ENOMEM: nothing changed */
int vm_area_isolate(struct vm_area *area, uint64_t start, uint64_t end, struct vm_area **piece);

/* Cuts areas so that no area lies across `start` or `end`, for whoever takes out what is between.
 * => VM_ENOMEM: cuts made stay, harmless. */
int vm_area_cut(struct vm_space *space, uint64_t start, uint64_t end);

/* Joins every pair of neighbours that meet within [start, end] and could be one. */
void vm_area_merge(struct vm_space *space, uint64_t start, uint64_t end);

/* Whether the two, which meet, differ in nothing that a program could see. (A design may still
 * refuse to join them.) */
bool vm_area_alike(const struct vm_area *lower, const struct vm_area *upper);

/* The last of the neighbours that follow the area, each alike the one before: what a program may
 * take for one area. It may be the area itself. */
struct vm_area *vm_area_alike_last(struct vm_area *area);

/* The area's entries are about to tell offsets, and it leaves the object's index. => VM_ENOMEM */
int vm_area_set_nonlinear(struct vm_area *area);
/* And back, when its pages are all where the linear rule has them. */
void vm_area_set_linear(struct vm_area *area, uint64_t pgoff);

/* ---- nonlinear.c */

/* The page of the object that the entry at this address shows. => shared area or no private page;
 * the leaf's lock, if the entry is present */
static inline uint64_t vm_entry_page_index(const struct vm_area *area, uint64_t address,
                                           vm_pte entry) {
    if (vm_pte_is_file(entry))
        return vm_pte_file_offset(entry);
    if (vm_area_is_nonlinear(area) && vm_pte_present(entry))
        return vm_page_of(area->space->machine, vm_pte_frame(entry))->index;
    return vm_area_page_index(area, address);
}

/* What an entry that shows this page of the object without mapping it looks like. */
static inline vm_pte vm_entry_for_index(const struct vm_area *area, uint64_t address,
                                        uint64_t index) {
    return vm_area_page_index(area, address) == index ? 0 : vm_pte_from_file(index);
}

/* Where the run of consecutive pages of the object that begins at `start` ends, at `end` at most;
 * *index is its first. A linear area is one run. => space lock held; both within the area */
uint64_t vm_area_run(struct vm_area *area, uint64_t start, uint64_t end, uint64_t *index);

/* Makes the run that the address lies in, as far as it goes, an area like any other: what a program
 * may take for one mapping. Nothing to do if it is. => space lock held for writing; VM_ENOMEM */
int vm_area_straighten(struct vm_space *space, uint64_t address);

/* [start, end), of areas that differ in nothing but their offsets, shows the object from `pgoff` on.
 * => space lock held for writing; VM_ENOMEM: it shows what it did */
int vm_area_rearrange(struct vm_space *space, uint64_t start, uint64_t end, uint64_t pgoff);

/* ---- gather.c */

/* Unmapping in batches: pages that lost an entry, and tables taken out, are let go of only after their
 * translations are flushed. */
struct vm_gather {
    struct vm_space *space;
    uint64_t start, end;     /* to flush */
    struct vm_table *tables; /* vm_table_prune()'s */
    unsigned count;
    struct vm_page *pages[64]; /* dead ones, and others with a reference */
};

void vm_gather_init(struct vm_gather *gather, struct vm_space *space);
/* Flushes, and lets go of what was gathered. The gather may go on. */
void vm_gather_finish(struct vm_gather *gather);

/* Entries of [start, end) have been cleared. */
void vm_gather_range(struct vm_gather *gather, uint64_t start, uint64_t end);
/* A page that one of them mapped: dead, or with a reference for the gather. => its range is known */
void vm_gather_page(struct vm_gather *gather, struct vm_page *page);

/* Takes out the tables of [start, end) that hold nothing. => space lock held for writing; at most once
 * before the next finish */
void vm_gather_empty_tables(struct vm_gather *gather, uint64_t start, uint64_t end);

/* ---- zap.c */

/* Clears the entries of a part of the area, and lets go of what they mapped: pages and swap slots.
 * => the area is still known to the design; space lock held, for reading at least. */
void vm_zap(struct vm_area *area, uint64_t start, uint64_t end, struct vm_gather *gather);

/* The same for a shared area and the object's pages from `first` on only, and as if they had been
 * evicted: the entries show the same pages afterwards. */
void vm_zap_keeping_offsets(struct vm_area *area, uint64_t start, uint64_t end, uint64_t first,
                            struct vm_gather *gather);

/* The same for all pages; from then on the range shows the object from `pgoff` on. => nonlinear; all
 * tables of the range are there */
void vm_zap_setting_offsets(struct vm_area *area, uint64_t start, uint64_t end, uint64_t pgoff,
                            struct vm_gather *gather);

/* The page remembers the accessed and dirty bits of an entry that goes away. */
void vm_page_keep_bits(struct vm_machine *machine, struct vm_page *page, vm_pte entry);

/* Unmaps and frees whole areas: [start, end) becomes empty. => cut at both ends; cannot fail;
 * space lock held for writing */
void vm_unmap_range(struct vm_space *space, uint64_t start, uint64_t end);

/* ---- map.c, for its neighbours. => space lock held for writing */

int vm_munmap_locked(struct vm_space *space, uint64_t start, uint64_t end);
int vm_mmap_locked(struct vm_space *space, uint64_t start, uint64_t end, uint32_t flags,
                   struct vm_object *object, uint64_t pgoff);
/* A place for `length` bytes: the hint if it is free, else the highest gap. */
int vm_mmap_place(struct vm_space *space, uint64_t hint, uint64_t length, uint64_t *start);

/* Faults every page of the range in, for writing where the area is private and writable.
 * => space lock held. Returns the last failure, if any. */
int vm_populate(struct vm_space *space, uint64_t start, uint64_t end);
/* The same, taking the space lock for reading. */
int vm_populate_unlocked(struct vm_space *space, uint64_t start, uint64_t end);

/* Whether so many pages more are within the space's limits. */
bool vm_may_map(const struct vm_space *space, uint64_t pages);
bool vm_may_lock(const struct vm_space *space, uint64_t pages);

/* Whether the object cannot be mapped like this: shared and writable, but nothing to write to. */
bool vm_object_refuses(const struct vm_object *object, uint32_t flags);

/* Rounds [address, address + length) up to pages; VM_EINVAL if unaligned, or it wraps or leaves
 * the address range. */
int vm_range_check(uint64_t address, uint64_t length, uint64_t *end);
/* The end of a range rounded up to pages; false if it wraps. It may leave the address range. */
bool vm_range_round(uint64_t address, uint64_t length, uint64_t *end);

/* For tests: areas ordered, gaps, counts, tree. Counts differences. */
uint64_t vm_space_check(struct vm_space *space);

#endif
