/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page.h - struct vm_page describes a frame; 48 bytes.
 *
 * One 64-bit word counts both the page-table entries that map the page (high half) and everyone
 * else who holds it (low half: the page cache or swap cache, and whoever works on it). An entry is
 * a reference of its own: mapping or unmapping a page is one addition, and a page whose word
 * reaches zero is free. That one addition is all that fork pays per page.
 *
 * Fields and their locks:
 *   counts, flags     atomic
 *   object, index     VM_PAGE_LOCKED, and for a cached page its object's pages lock
 *   owner             the design's, for anonymous pages: what the page names to be found
 *   rmap              the design's; VM_RANK_CHAIN
 *   swap              swap lock while in the swap cache; the buddy allocator's while free
 *   next, previous    the lock of its LRU part; the free lists' while free
 */
#ifndef VM_PAGE_H
#define VM_PAGE_H

#include "vm/machine.h"

struct vm_object;

enum vm_page_flag {
    VM_PAGE_LOCKED = 1u << 0,     /* the page lock */
    VM_PAGE_WAITED = 1u << 1,     /* somebody sleeps on the page lock */
    VM_PAGE_DIRTY = 1u << 2,      /* differs from the backing or swap slot; entries may add to it */
    VM_PAGE_REFERENCED = 1u << 3, /* seen in use once since it was last looked at */
    VM_PAGE_LISTED = 1u << 4,     /* on an LRU list, of the part that the word names */
    VM_PAGE_ACTIVE = 1u << 5,     /* ... the active one, now or before it was isolated */
    VM_PAGE_ANON = 1u << 6,       /* anonymous: owner is the design's; else object's */
    VM_PAGE_SWAPCACHE = 1u << 7,  /* swap names its slot, and the slot names it */
    VM_PAGE_DISCARDABLE = 1u << 8, /* MADV_FREE: may be dropped while no entry is dirty */
    VM_PAGE_TABLE = 1u << 9,       /* holds a page table: see table.h for what the fields mean */
    VM_PAGE_RESERVED = 1u << 10,   /* never counted, listed or freed: the zero page */
    VM_PAGE_FREE = 1u << 11,       /* heads a free block; swap is its order; zone lock */
    VM_PAGE_DESIGN_0 = 1u << 12,   /* the design's own */
    VM_PAGE_DESIGN_1 = 1u << 13,
    VM_PAGE_ON_CPU = 1u << 14,   /* on a CPU's own list: free; or else in its pagevec */
    VM_PAGE_DESIGN_2 = 1u << 15, /* goes along when the page moves to another frame */
};

/* Above the flags: which of the zone's LRU parts the page is on, or on its way to; then the number of
 * its section. */
#define VM_PAGE_PART_SHIFT    16
#define VM_PAGE_PART_BITS     4
#define VM_PAGE_SECTION_SHIFT (VM_PAGE_PART_SHIFT + VM_PAGE_PART_BITS)

struct vm_page {
    _Atomic uint64_t counts; /* mappings << 32 | references */
    _Atomic uint32_t flags;  /* section << 20 | part << 16 | enum vm_page_flag */
    uint32_t swap;           /* slot; order of a free block */
    union {
        struct vm_object *object;
        void *owner;
    };
    uint64_t index; /* page offset in the object; for anonymous pages the area's linear one */
    uint64_t rmap;
    uint32_t next, previous; /* frame numbers; VM_NO_LINK ends a list */
};

_Static_assert(sizeof(struct vm_page) == 48, "the frame descriptor has grown");

#define VM_NO_LINK UINT32_MAX

#define VM_ONE_REFERENCE UINT64_C(1)
#define VM_ONE_MAPPING   (UINT64_C(1) << 32)

#define VM_SECTION_SHIFT 16 /* 256 MiB of frames */
#define VM_SECTION_PAGES (UINT64_C(1) << VM_SECTION_SHIFT)
#define VM_FRAMES_MAX    (VM_SECTION_PAGES << (32 - VM_PAGE_SECTION_SHIFT)) /* 1 TiB */

struct vm_zone;

/* The descriptors of VM_SECTION_PAGES consecutive frames; pages is NULL until one is needed. */
struct vm_section {
    struct vm_page *pages;
    struct vm_zone *zone; /* of its first frame; others may follow where zones meet in a section */
    bool mixed;           /* they do */
};

/* The descriptors of the frame's section, or NULL: for who has the number from elsewhere. */
static inline struct vm_page *vm_section_pages(const struct vm_machine *machine, uint64_t frame) {
    return __atomic_load_n(&machine->sections[frame >> VM_SECTION_SHIFT].pages, __ATOMIC_ACQUIRE);
}

/* => the frame's section has its descriptors: every frame that was ever allocated */
static inline struct vm_page *vm_page_of(const struct vm_machine *machine, uint64_t frame) {
    return &machine->sections[frame >> VM_SECTION_SHIFT].pages[frame & (VM_SECTION_PAGES - 1)];
}

static inline uint32_t vm_page_flags(const struct vm_page *page) {
    return atomic_load_explicit(&page->flags, memory_order_relaxed);
}

static inline bool vm_page_is(const struct vm_page *page, uint32_t flags) {
    return (vm_page_flags(page) & flags) != 0;
}

static inline uint32_t vm_page_part(const struct vm_page *page) {
    return vm_page_flags(page) >> VM_PAGE_PART_SHIFT & ((1u << VM_PAGE_PART_BITS) - 1);
}

static inline uint64_t vm_page_frame(const struct vm_machine *machine, const struct vm_page *page) {
    uint32_t section = vm_page_flags(page) >> VM_PAGE_SECTION_SHIFT;
    return ((uint64_t)section << VM_SECTION_SHIFT) +
           (uint64_t)(page - machine->sections[section].pages);
}

static inline void vm_page_set(const struct vm_machine *machine, struct vm_page *page,
                               uint32_t flags) {
    vm_preempt(machine, page);
    if (machine->smp)
        atomic_fetch_or_explicit(&page->flags, flags, memory_order_acq_rel);
    else
        atomic_store_explicit(&page->flags, vm_page_flags(page) | flags, memory_order_relaxed);
}

/* Returns the flags before. */
static inline uint32_t vm_page_clear(const struct vm_machine *machine, struct vm_page *page,
                                     uint32_t flags) {
    vm_preempt(machine, page);
    if (machine->smp)
        return atomic_fetch_and_explicit(&page->flags, ~flags, memory_order_acq_rel);
    uint32_t old = vm_page_flags(page);
    atomic_store_explicit(&page->flags, old & ~flags, memory_order_relaxed);
    return old;
}

/* ---- counts */

/* Who has locked the page sees all mappings that were counted before he had: see object/pages.c. */
static inline uint64_t vm_page_counts(const struct vm_page *page) {
    return atomic_load_explicit(&page->counts, memory_order_seq_cst);
}

static inline uint32_t vm_page_mapcount(const struct vm_page *page) {
    return (uint32_t)(vm_page_counts(page) >> 32);
}

static inline uint32_t vm_page_references(const struct vm_page *page) {
    return (uint32_t)vm_page_counts(page);
}

/* Adds VM_ONE_MAPPING, VM_ONE_REFERENCE, their difference or sum; returns the counts afterwards. */
static inline uint64_t vm_page_adjust(const struct vm_machine *machine, struct vm_page *page,
                                      uint64_t n) {
    return vm_fetch_add(machine, &page->counts, n) + n;
}

static inline void vm_page_get(const struct vm_machine *machine, struct vm_page *page) {
    vm_page_adjust(machine, page, VM_ONE_REFERENCE);
}

/* Pages nobody holds any more: takes them off their LRU lists and frees their frames. Many at once
 * are cheaper than one by one: locks are taken and sums brought up to date once for all. */
void vm_pages_free(struct vm_machine *machine, struct vm_page *const *pages, unsigned n);

static inline void vm_page_free(struct vm_machine *machine, struct vm_page *page) {
    vm_pages_free(machine, &page, 1);
}

static inline void vm_page_put(struct vm_machine *machine, struct vm_page *page) {
    if (vm_page_adjust(machine, page, (uint64_t)0 - VM_ONE_REFERENCE) == 0)
        vm_page_free(machine, page);
}

#endif
