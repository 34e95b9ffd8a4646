/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * area.h - an area: a range of a space's addresses that maps one thing with one protection.
 *
 * The linear rule: the page at `address` has index (address - start) / PAGE + pgoff, in the object
 * or, for anonymous memory, in the area's own numbering. Anonymous areas begin with pgoff = start /
 * PAGE; splitting, merging, growing and moving keep every page's index as it is. A private mapping
 * of an object holds both kinds of pages: the object's, and private copies with the same index.
 *
 * In a nonlinear area, which is shared, an entry tells itself which page of the object it shows: by
 * the page it maps, or as a file offset where that is not the linear one. No entry: the linear one.
 *
 * Behind the struct lie the records of the object's index (vm_area_index_record) and of the
 * reverse-mapping design (vm_area_design_record), in sizes that those tell.
 *
 * Everything here changes with the space lock held for writing and, as far as walkers look at it
 * (range, pgoff, flags, the tree), space->areas_lock as well: an area that a walker has not seen
 * VM_AREA_LOCKED in does not become so before the walker has done. VM_AREA_HAS_ANON, which is no
 * walker's business, is set by faults, under the space lock held for reading.
 */
#ifndef VM_AREA_H
#define VM_AREA_H

#include "vm/machine.h"
#include "vm/tree/tree.h"

struct vm_object;
struct vm_space;

enum vm_area_flag {
    /* the low three bits are enum vm_protection */
    VM_AREA_READ = VM_PROT_READ,
    VM_AREA_WRITE = VM_PROT_WRITE,
    VM_AREA_EXEC = VM_PROT_EXEC,
    VM_AREA_PROTECTION = 7,
    VM_AREA_SHARED = 1u << 3,
    VM_AREA_GROWSDOWN = 1u << 4,
    VM_AREA_LOCKED = 1u << 5,
    VM_AREA_DONTFORK = 1u << 6,
    VM_AREA_RANDOM = 1u << 7,
    VM_AREA_SEQUENTIAL = 1u << 8,
    VM_AREA_HUGEPAGE = 1u << 9, /* advice, kept so that areas split and merge as Linux's do */
    VM_AREA_NOHUGEPAGE = 1u << 10,
    VM_AREA_HAS_ANON = 1u << 11, /* has had an anonymous page: fork must copy its entries */
    VM_AREA_NONLINEAR = 1u << 12,
};

/* Flags in which two areas may differ and still be one. */
#define VM_AREA_MERGE_IGNORES VM_AREA_HAS_ANON

/* Flags that a program cannot see. */
#define VM_AREA_INVISIBLE ((uint32_t)VM_AREA_HAS_ANON | (uint32_t)VM_AREA_NONLINEAR)

struct vm_area {
    struct vm_tree_node node;
    uint64_t start, end;
    uint64_t gap;         /* free bytes between this area and the one before (or 0) */
    uint64_t largest_gap; /* in this subtree */
    uint64_t pgoff;
    _Atomic uint32_t flags;
    struct vm_space *space;
    struct vm_object *object; /* NULL: anonymous; holds a reference */
};

static inline uint32_t vm_area_flags(const struct vm_area *area) {
    return atomic_load_explicit(&area->flags, memory_order_relaxed);
}

/* Whether it has one of them. */
static inline bool vm_area_is(const struct vm_area *area, uint32_t flags) {
    return (vm_area_flags(area) & flags) != 0;
}

/* Each an atomic step: a fault that sees its first anonymous page says so while it holds the space
 * lock for reading, and may not be the only one. */
static inline void vm_area_add_flags(struct vm_area *area, uint32_t flags) {
    atomic_fetch_or_explicit(&area->flags, flags, memory_order_relaxed);
}
static inline void vm_area_drop_flags(struct vm_area *area, uint32_t flags) {
    atomic_fetch_and_explicit(&area->flags, ~flags, memory_order_relaxed);
}

static inline void *vm_area_index_record(const struct vm_machine *machine, struct vm_area *area) {
    return (char *)area + machine->area_index_offset;
}

/* And back: it is the first behind the struct. */
static inline struct vm_area *vm_area_of_index_record(const void *record) {
    return (struct vm_area *)((uintptr_t)record - sizeof(struct vm_area));
}

/* A nonlinear area is not in the object's index but in a list of its own. Its index record, of no
 * use then, names this. */
struct vm_nonlinear_area {
    struct vm_link link; /* object->nonlinear */
    struct vm_area *area;
    uint64_t cursor; /* where reclaim goes on, in pages; under the object's areas_lock */
};

static inline bool vm_area_is_nonlinear(const struct vm_area *area) {
    return (vm_area_flags(area) & VM_AREA_NONLINEAR) != 0;
}

/* => nonlinear */
static inline struct vm_nonlinear_area **vm_area_nonlinear(const struct vm_machine *machine,
                                                           struct vm_area *area) {
    return vm_area_index_record(machine, area);
}

static inline void *vm_area_design_record(const struct vm_machine *machine, struct vm_area *area) {
    return (char *)area + machine->area_design_offset;
}

static inline uint64_t vm_area_pages(const struct vm_area *area) {
    return (area->end - area->start) >> VM_PAGE_SHIFT;
}

static inline uint64_t vm_area_page_index(const struct vm_area *area, uint64_t address) {
    return ((address - area->start) >> VM_PAGE_SHIFT) + area->pgoff;
}

/* The last page offset the area covers. */
static inline uint64_t vm_area_last_index(const struct vm_area *area) {
    return area->pgoff + vm_area_pages(area) - 1;
}

static inline bool vm_area_covers(const struct vm_area *area, uint64_t index) {
    return index >= area->pgoff && index - area->pgoff < vm_area_pages(area);
}

/* => vm_area_covers(area, index) */
static inline uint64_t vm_area_address_of(const struct vm_area *area, uint64_t index) {
    return area->start + ((index - area->pgoff) << VM_PAGE_SHIFT);
}

static inline bool vm_area_shared(const struct vm_area *area) {
    return (vm_area_flags(area) & VM_AREA_SHARED) != 0;
}

static inline unsigned vm_area_protection(const struct vm_area *area) {
    return vm_area_flags(area) & VM_AREA_PROTECTION;
}

#endif
