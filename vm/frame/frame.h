/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame.h - physical memory: nodes, zones, free frames, and the lists that reclaim works on.
 *
 *   node.c     nodes and zones, sections and their descriptors, the machine's frames
 *   buddy.c    free blocks of 2^order frames in a zone
 *   hot.c      per-CPU hot and cold lists in front of the buddy allocator; allocation and freeing
 *   lru.c      the active and inactive lists of a zone
 *   pagevec.c  pages on their way there, by CPU
 *   check.c    whether all of these agree, for tests
 *   cache.c    named caches of records (cache.h)
 */
#ifndef VM_FRAME_H
#define VM_FRAME_H

#include "vm/frame/page.h"

#define VM_ORDERS 11 /* blocks of 1 to 1024 frames */

enum vm_lru_list { VM_LRU_INACTIVE, VM_LRU_ACTIVE, VM_LRU_LISTS };

struct vm_lru {
    uint32_t head, tail;    /* frame numbers; new pages enter at the head */
    _Atomic uint64_t pages; /* changed under the lock, read by anyone */
};

#define VM_LRU_PARTS_MOST (1u << VM_PAGE_PART_BITS)

/* A zone's lists are in parts, so that CPUs that list their pages do not wait for each other: each CPU
 * has its part, or shares it with a few. */
struct vm_lru_part {
    _Alignas(64) struct vm_lock lock; /* VM_RANK_LRU */
    struct vm_lru lists[VM_LRU_LISTS];
};

/* A CPU's own free frames of a zone, linked through next and previous.
 * Taken and freed at the head, refilled and drained at the tail.
 * hot: caches still hold them; cold: for frames nobody will read soon; tables: all zero. */
struct vm_hot_list {
    uint32_t head, tail;
    uint32_t count, low, high, batch;
};

enum vm_zone_kind { VM_ZONE_NORMAL, VM_ZONE_LOW, VM_ZONE_HIGH };

/* How many frames a zone keeps: an allocation goes down to one of these marks and no further. */
enum vm_watermark {
    VM_WATERMARK_NONE, /* for reclaim itself, and when nothing can be freed */
    VM_WATERMARK_MIN,  /* below, calls that allocate reclaim first */
    VM_WATERMARK_LOW,  /* below, the node's reclaim thread is woken */
    VM_WATERMARK_HIGH, /* ... and has done enough */
    VM_WATERMARKS,
};

struct vm_zone {
    struct vm_node *node;
    enum vm_zone_kind kind;
    uint64_t first_frame, frames;
    uint64_t watermark[VM_WATERMARKS];
    uint64_t for_tables; /* low memory: kept beyond that from pages that could lie elsewhere */
    unsigned cpu_count, part_count; /* of cpu[] and lru[] */

    _Alignas(64) struct vm_lock lock; /* VM_RANK_ZONE */
    uint32_t free_heads[VM_ORDERS];   /* doubly linked through next and previous */
    uint64_t free_blocks[VM_ORDERS];
    uint64_t untouched; /* frames from here to the zone's end have never been free blocks yet */
    _Atomic uint64_t free_frames; /* of blocks and untouched; CPUs' lists have the others */

    struct vm_lru_part lru[VM_LRU_PARTS_MOST];

    /* Reclaim's, without a lock. */
    _Alignas(64) _Atomic uint64_t scanned,
        freed;                      /* pages of the inactive list, since the machine's creation */
    _Atomic uint64_t fruitless;     /* of those scanned: since one was freed last */
    _Atomic uint32_t last_priority; /* that the last reclaim came down to */
    _Atomic uint32_t refill;        /* a fraction of an active page, due to be looked at */
    _Atomic uint64_t turns;         /* whose part's turn it is: vm_lru_isolate() */

    struct vm_zone_cpu {
        _Alignas(
            64) struct vm_lock lock; /* VM_RANK_CPU_FRAMES; others take it when the zone has run
                                             out */
        _Atomic uint32_t listed;     /* frames of all three, for those who only look */
        struct vm_hot_list hot, cold, tables;
    } cpu[VM_CPUS_MAX];
};

#define VM_PRIORITY_START 12 /* reclaim begins with a 4096th of the lists, and ends with all at 0 */

#define VM_NODES_MAX 16
#define VM_ZONES_MAX (VM_NODES_MAX + 1) /* low memory may end inside one node */

/* Zones in the order in which an allocation tries them. */
struct vm_zonelist {
    struct vm_zone *zones[VM_ZONES_MAX];
    unsigned count;
};

struct vm_node {
    struct vm_zone *zones; /* of machine->zones */
    unsigned zone_count;
    struct vm_zonelist data;   /* its own zones first, then the next nodes'; high before low */
    struct vm_zonelist tables; /* the same without high memory */
    struct vm_zonelist own;    /* its own alone */
    _Atomic uint32_t
        woken; /* port->wake_reclaim() has been told, and vm_reclaim_node() not ended */
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
 * A frame with one reference, no flags but its section, no owner, index 0, rmap 0, swap 0; of the
 * CPU's own node if it has one to spare. When free frames run short it asks machine->shortage() for
 * more first, so reclaim may run inside: => no spinning lock is held.  Returns NULL when nothing
 * can be freed.
 */
struct vm_page *vm_frame_alloc(struct vm_machine *machine, enum vm_frame_want want);

/* The same, but reclaims nothing: NULL when there is none to spare above the minimum. */
struct vm_page *vm_frame_alloc_spare(struct vm_machine *machine, enum vm_frame_want want);

/* The same of this node alone. Reclaims nothing: NULL when the node is down to its minimum. */
struct vm_page *vm_frame_alloc_on(struct vm_machine *machine, unsigned node,
                                  enum vm_frame_want want);

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
    const struct vm_section *section =
        &machine->sections[vm_page_flags(page) >> VM_PAGE_SECTION_SHIFT];
    struct vm_zone *zone = section->zone;
    if (section->mixed)
        while (vm_page_frame(machine, page) >= zone->first_frame + zone->frames)
            zone++;
    return zone;
}

static inline unsigned vm_page_node(const struct vm_machine *machine, const struct vm_page *page) {
    return (unsigned)(vm_page_zone(machine, page)->node - machine->nodes);
}

/* Frames that are free. While some are on their way between zone and CPU they may count twice. */
uint64_t vm_zone_free(const struct vm_zone *zone);

static inline uint64_t vm_lru_pages(const struct vm_zone *zone, enum vm_lru_list list) {
    uint64_t pages = 0;
    for (unsigned part = 0; part < zone->part_count; part++)
        pages += atomic_load_explicit(&zone->lru[part].lists[list].pages, memory_order_relaxed);
    return pages;
}

/* ---- LRU lists; all take a part's lock. A page is LISTED on at most one list, or parked. */

/* Puts a page at the head of the list, unless it is LISTED: somebody else may have been quicker. With
 * several CPUs it is parked first, and follows in a while or when somebody asks for it. */
void vm_lru_add(struct vm_machine *machine, struct vm_page *page, enum vm_lru_list list);
/* The same for the list it was isolated from. */
void vm_lru_put_back(struct vm_machine *machine, struct vm_page *page);
/* Takes it off, if it is on one. Returns whether it was. */
bool vm_lru_remove(struct vm_machine *machine, struct vm_page *page);
/* Takes those that are on one or parked off. => nobody holds them; all are of this zone */
void vm_lru_remove_dead(struct vm_machine *machine, struct vm_zone *zone,
                        struct vm_page *const *pages, unsigned n);
/* Puts the pages that CPUs have parked on their lists. */
void vm_lru_drain(struct vm_machine *machine);
/* Moves a LISTED page to the head of this list. */
void vm_lru_move(struct vm_machine *machine, struct vm_page *page, enum vm_lru_list list);
/* Moves a LISTED page to the tail of the inactive list: the next to be looked at. */
void vm_lru_move_to_tail(struct vm_machine *machine, struct vm_page *page);
/* Takes up to n pages off a tail, each with a reference taken; those being freed are skipped. It is
 * the parts' turn as often as they have pages, so all of them age alike. */
unsigned vm_lru_isolate(struct vm_machine *machine, struct vm_zone *zone, enum vm_lru_list list,
                        unsigned n, struct vm_page **pages);

/* For tests: list links, lengths and flags agree; free blocks do not overlap. Counts differences. */
uint64_t vm_frames_check(struct vm_machine *machine);

#endif
