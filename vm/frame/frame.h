/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame.h - physical memory: nodes, zones, free frames, and the lists that reclaim works on.
 *
 *   node.c   nodes and zones, sections and their descriptors, the machine's frames
 *   buddy.c  free blocks of 2^order frames in a zone
 *   hot.c    per-CPU hot and cold lists in front of the buddy allocator; allocation and freeing
 *   lru.c    the active and inactive list of a zone
 *   check.c  whether all of these agree, for tests
 *   cache.c  named caches of records (cache.h)
 */
#ifndef VM_FRAME_H
#define VM_FRAME_H

#include "vm/frame/page.h"

#define VM_ORDERS 11 /* blocks of 1 to 1024 frames */

enum vm_lru_list { VM_LRU_INACTIVE, VM_LRU_ACTIVE, VM_LRU_LISTS };

struct vm_lru {
    uint32_t head, tail; /* frame numbers; new pages enter at the head */
    uint64_t pages;
};

/* A CPU's own free frames of a zone, linked through next and previous; touched by that CPU only.
 * Taken and freed at the head, refilled and drained at the tail.
 * hot: caches still hold them; cold: for frames nobody will read soon; tables: all zero. */
struct vm_hot_list {
    uint32_t head, tail;
    uint32_t count, low, high, batch;
};

struct vm_zone {
    struct vm_node *node;
    uint64_t first_frame, frames;

    struct vm_lock lock;            /* VM_RANK_ZONE */
    uint32_t free_heads[VM_ORDERS]; /* doubly linked through next and previous */
    uint64_t free_blocks[VM_ORDERS];
    uint64_t untouched; /* frames from here to the zone's end have never been free blocks yet */
    _Atomic uint64_t free_frames; /* all free frames, those on CPUs' lists included */
    uint64_t watermark_min, watermark_low, watermark_high;

    struct vm_lock lru_lock; /* VM_RANK_LRU */
    struct vm_lru lru[VM_LRU_LISTS];

    struct {
        struct vm_hot_list hot, cold, tables;
    } cpu[VM_CPUS_MAX];
};

#define VM_ZONES_PER_NODE                                                                          \
    3 /* a node may have a low zone, a normal one, and one out of direct reach */

struct vm_node {
    struct vm_zone zones[VM_ZONES_PER_NODE];
    unsigned zone_count;
};

/* Sets up frames, zones, sections, the zero page. => VM_ENOMEM. Tear-down frees all of it. */
int vm_frames_init(struct vm_machine *machine);
void vm_frames_fini(struct vm_machine *machine);

enum vm_frame_want {
    VM_FRAME_AS_IS,  /* contents will be overwritten */
    VM_FRAME_ZEROED, /* contents are zeroes (nothing to do on a metadata-only machine) */
    VM_FRAME_COLD,   /* as is, and nobody will read it soon */
};

/*
 * A frame with one reference, no flags but its section, no owner, index 0, rmap 0, swap 0. When
 * free frames run short it asks machine->shortage() for more first, so reclaim may run inside:
 * => no spinning lock is held.  Returns NULL when nothing can be freed.
 */
struct vm_page *vm_frame_alloc(struct vm_machine *machine, enum vm_frame_want want);

/* A zeroed frame for a page table, contents kept on every machine. NULL as above. */
struct vm_page *vm_frame_alloc_table(struct vm_machine *machine);
/* => every entry is zero: it is handed out again without clearing */
void vm_frame_free_table(struct vm_machine *machine, struct vm_page *page);

/* Frees a frame that is on no list and counted by nobody. (vm_page_free() takes it off the LRU.) */
void vm_frame_free(struct vm_machine *machine, struct vm_page *page);

/* Moves every CPU's hot and cold frames and spare tables back to the buddy allocator. */
void vm_frames_drain(struct vm_machine *machine);

uint64_t vm_frames_free(const struct vm_machine *machine);

/*
 * Contents. Where all memory is directly mapped this costs nothing; where it is not, this is where
 * a window would be taken. NULL on a metadata-only machine, except for page tables.
 */
static inline void *vm_frame_map_number(const struct vm_machine *machine, uint64_t frame) {
    return machine->frames + (frame << VM_PAGE_SHIFT);
}

static inline void *vm_frame_map(const struct vm_machine *machine, const struct vm_page *page) {
    return machine->config.contents == VM_METADATA_ONLY
               ? NULL
               : vm_frame_map_number(machine, vm_page_frame(machine, page));
}

static inline void vm_frame_unmap(const struct vm_machine *machine, void *contents) {
    (void)machine;
    (void)contents;
}

/* Both do nothing on a metadata-only machine. */
void vm_frame_zero(struct vm_machine *machine, struct vm_page *page, uint64_t from, uint64_t bytes);
void vm_frame_copy(struct vm_machine *machine, struct vm_page *to, const struct vm_page *from);

static inline struct vm_zone *vm_page_zone(const struct vm_machine *machine,
                                           const struct vm_page *page) {
    return machine->sections[vm_page_flags(page) >> VM_PAGE_FLAG_BITS].zone;
}

/* ---- LRU lists; all take the zone's lru_lock. A page is LISTED on at most one list. */

/* Puts a page at the head of the list, unless it is LISTED: somebody else may have been quicker. */
void vm_lru_add(struct vm_machine *machine, struct vm_page *page, enum vm_lru_list list);
/* The same for the list it was isolated from. */
void vm_lru_put_back(struct vm_machine *machine, struct vm_page *page);
/* Takes it off, if it is on one. Returns whether it was. */
bool vm_lru_remove(struct vm_machine *machine, struct vm_page *page);
/* Takes those that are on one off, under one lock. => nobody holds them; all are of this zone */
void vm_lru_remove_dead(struct vm_machine *machine, struct vm_zone *zone,
                        struct vm_page *const *pages, unsigned n);
/* Moves a LISTED page to the head of this list. */
void vm_lru_move(struct vm_machine *machine, struct vm_page *page, enum vm_lru_list list);
/* Moves a LISTED page to the tail of the inactive list: the next to be looked at. */
void vm_lru_move_to_tail(struct vm_machine *machine, struct vm_page *page);
/* Takes up to n pages off the tail, each with a reference taken; those being freed are skipped. */
unsigned vm_lru_isolate(struct vm_machine *machine, struct vm_zone *zone, enum vm_lru_list list,
                        unsigned n, struct vm_page **pages);

/* For tests: list links, lengths and flags agree; free blocks do not overlap. Counts differences. */
uint64_t vm_frames_check(struct vm_machine *machine);

#endif
