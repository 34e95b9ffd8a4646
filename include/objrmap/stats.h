/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stats.h - what a machine has done, and what it costs. All counts are since the machine's creation.
 */
#ifndef OBJRMAP_STATS_H
#define OBJRMAP_STATS_H

#include <objrmap/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vm_stats {
    struct {
        uint64_t zero;         /* the zero page was mapped for a read */
        uint64_t first_write;  /* a fresh zeroed page */
        uint64_t file;         /* an object's page was mapped, with its neighbours where cached */
        uint64_t around;       /* ... neighbours mapped in the same fault */
        uint64_t shared_write; /* an object's page became writable and dirty */
        uint64_t cow;          /* a private page was copied: from the object or from a relative */
        uint64_t reuse;        /* a write found its private page alone */
        uint64_t swap_in;      /* the page came from swap, or was still in the swap cache */
        uint64_t stack;        /* a stack area grew */
        uint64_t spurious;     /* nothing was wrong any more */
        uint64_t frozen;       /* the page was just being moved to another frame */
        uint64_t segv, bus, oom;
        uint64_t read_in; /* pages read from an object's backing */
    } faults;
    struct {
        uint64_t walks;          /* pages asked about */
        uint64_t hits;           /* entries found */
        uint64_t empty_walks;    /* page tables walked for nothing */
        uint64_t range_rejects;  /* areas that do not cover the page */
        uint64_t object_visits;  /* areas, spaces or chain nodes looked at */
        uint64_t removal_visits; /* chain nodes looked at to take out an entry that goes */
        uint64_t chain_locks;    /* times that a chain's lock was taken */
        uint64_t forced_copies; /* shared pages copied since the design knows them by one address */
        uint64_t repointed;     /* pages that were told of another area, for they name theirs */
        uint64_t nonlinear_entries; /* entries of nonlinear areas looked at, one after the other */
    } rmap;
    struct {
        uint64_t direct; /* runs by calls that found no frame above the minimum */
        uint64_t waited; /* calls that found none, but had one by waiting for a node's thread */
        uint64_t node;   /* runs of vm_reclaim_node() */
        uint64_t lru_batches; /* times that a CPU's batch of pages went to the LRU lists */
        uint64_t runs, scanned, activated, unmapped, swapped_out, written, swapped_in, freed, ns;
        uint64_t swap_writes, file_writes; /* by so many writes, of one or more pages each */
        uint64_t read_ahead,
            read_ahead_hits; /* of those swapped in: for who might want them; and did */
        uint64_t swept;      /* entries looked at one after the other, for want of a reverse map */
        uint64_t
            nonlinear_unmapped; /* of those unmapped: in nonlinear areas, whosever turn it was */
    } reclaim;
    struct {
        uint64_t moved;   /* pages to another frame, under all their mappings */
        uint64_t busy;    /* ... that stayed where they are, since somebody was at work on them */
        uint64_t entries; /* entries that came to map another frame */
    } migration;
    struct {
        uint64_t copied;  /* entries copied at fork */
        uint64_t moved;   /* entries moved by mremap */
        uint64_t cleared; /* entries cleared by unmapping */
    } entries;
    /* Peaks of the sums below, but swap's, are told up to 32 too low for each CPU, where there are several. */
    struct {
        uint64_t frames_total, frames_free, frames_peak; /* peak: most frames in use at once */
        uint64_t tables, tables_peak;                    /* of those, page tables */
        uint64_t data_peak;            /* most frames in use at once that are not page tables */
        uint64_t locked, locked_peak;  /* pages in mlocked areas */
        uint64_t anonymous, file, shm; /* pages in memory by kind */
        uint64_t mapped;               /* pages in memory that some entry maps */
        uint64_t swap_used, swap_peak; /* slots */
        uint64_t areas, areas_peak, spaces, spaces_peak;
    } memory;
};

void vm_stats_read(const struct vm_machine *machine, struct vm_stats *stats);

/* Frames that are alike: of one node, and all below config.low_frames or none. */
struct vm_zone_view {
    const char *name; /* "normal"; with low_frames "low" or "high" */
    unsigned node;
    uint64_t first_frame, frames, free;
    uint64_t min, low, high;   /* watermarks: calls reclaim at min, the node's thread low to high */
    uint64_t active, inactive; /* pages on its lists */
    uint64_t scanned, freed;   /* inactive pages that reclaim looked at, and those it freed */
};

/* In the order of frame numbers. */
void vm_zone_each(const struct vm_machine *machine,
                  void (*visit)(const struct vm_zone_view *zone, void *context), void *context);

/* A kind of record that the library keeps, and what it costs now and cost at most. */
enum vm_cost { VM_COST_RMAP, VM_COST_AREAS, VM_COST_DESCRIPTORS, VM_COST_OTHER };

struct vm_cache_view {
    const char *name;
    enum vm_cost cost;
    size_t object_bytes;                   /* 0: records of different sizes */
    uint64_t live, live_bytes, peak_bytes; /* records in use */
    uint64_t held_bytes;                   /* taken from the port, used or not */
};

void vm_cache_each(const struct vm_machine *machine,
                   void (*visit)(const struct vm_cache_view *cache, void *context), void *context);

/* Peak bytes over all caches of one cost at once (the sum's peak, not the peaks' sum). */
uint64_t vm_cost_peak(const struct vm_machine *machine, enum vm_cost cost);

/*
 * A kind of lock, and how it fared: counted on machines with config.lock_stats. Utilisation is
 * hold_ns by the time that went by; contention is contended by acquired.
 */
struct vm_lock_view {
    const char *name;
    bool shared;          /* its readers; else its writers, or a lock that excludes everybody */
    uint64_t acquired;    /* tries that found it held are not counted */
    uint64_t contended;   /* ... after waiting for somebody to release it */
    uint64_t handed_over; /* ... after another CPU had it: its cache line moved (spinning locks) */
    uint64_t hold_ns, hold_most_ns;
    uint64_t wait_ns, wait_most_ns;
};

/* All kinds that were taken at all, outermost first. */
void vm_lock_each(const struct vm_machine *machine,
                  void (*visit)(const struct vm_lock_view *lock, void *context), void *context);

#ifdef __cplusplus
}
#endif
#endif
