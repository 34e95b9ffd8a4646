/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.h - struct vm_machine: everything there is. No state lives outside it.
 *
 * Rooms reach each other's parts of it through their own headers; the fields stand here grouped by
 * room, and each names its lock.
 */
#ifndef VM_MACHINE_H
#define VM_MACHINE_H

#include <objrmap/port.h>
#include <objrmap/stats.h>
#include <objrmap/vm.h>

#include "vm/assert.h"
#include "vm/lock.h"

#define VM_CPUS_MAX         64
#define VM_FAULT_AROUND_MAX 64

struct vm_cache;
struct vm_design;
struct vm_index_kind;
struct vm_lock_log;
struct vm_node;
struct vm_page;
struct vm_section;
struct vm_swap;
struct vm_table;
struct vm_zone;
struct vm_zonelist;

/* Links of a doubly linked ring whose head is such a link, too. */
struct vm_link {
    struct vm_link *next, *previous;
};

#define VM_PAGEVEC_PAGES 16

/* Pages on their way to the LRU lists: many are put there under one lock. See frame/pagevec.c. */
struct vm_pagevec {
    struct vm_lock lock; /* VM_RANK_PAGEVEC; others take it when they need these pages */
    _Atomic uint32_t count;
    struct vm_page *pages[VM_PAGEVEC_PAGES];
    unsigned char lists[VM_PAGEVEC_PAGES]; /* enum vm_lru_list */
};

/* What rises and falls, with its highest value: sum.h. */
struct vm_sum {
    _Atomic uint64_t value, peak;
};

/* Sums that CPUs keep shares of. */
enum vm_shared_sum {
    VM_SUM_FRAMES, /* in use: both of */
    VM_SUM_DATA,   /* pages, and */
    VM_SUM_TABLES, /* page tables */
    VM_SUM_MAPPED, /* pages that some entry maps */
    VM_SUM_LOCKED, /* pages of mlocked areas */
    VM_SUM_AREAS,
    VM_SUM_SPACES,
    VM_SUMS
};

/* What one CPU keeps for itself. */
struct vm_cpu {
    _Alignas(64) struct vm_stats counts; /* this CPU's share; summed by vm_stats_read() */
    _Atomic uint64_t shares[VM_SUMS];    /* written by this CPU alone; two's complement */
    struct vm_pagevec pagevec;           /* on machines of several CPUs */
    struct vm_lock spaces_lock;          /* VM_RANK_MACHINE */
    struct vm_link spaces;               /* those that were made here; they may end elsewhere */
    uint32_t ranks_held[VM_RANKS];       /* debug builds: locks held, by rank */
    _Atomic uint32_t frozen; /* entries of the page that this CPU is moving to another frame */
    bool in_shortage; /* machine->shortage() runs: its own allocations do not call it again */
};

struct vm_machine {
    struct vm_port *port;
    struct vm_machine_config config; /* with its defaults filled in */
    bool smp;                        /* more than one CPU, or locks are counted: locks are taken and
                                        updates atomic */
    struct vm_lock_log *lock_logs;   /* one a CPU; NULL: locks are not counted */

    /* frame/ */
    char *frames; /* where frame 0 begins */
    struct vm_section
        *sections; /* descriptors, by 256 MiB of frames; a section's are made on demand */
    uint32_t section_count;
    struct vm_node *nodes;
    struct vm_zone *zones; /* in the order of frames; VM_RANK_ZONE, VM_RANK_LRU inside */
    unsigned node_count, zone_count;
    struct vm_cache *descriptor_cache;
    _Atomic uint64_t shortages_begun, shortages_ended; /* calls of machine->shortage() */
    struct vm_page *zero_page; /* reads of untouched anonymous memory; never counted */
    struct vm_cache *caches;   /* all caches, newest first: VM_RANK_CACHE */
    struct vm_lock caches_lock;
    struct vm_sum costs[4]; /* bytes by enum vm_cost */

    /* Called by frame/ when these zones run out of frames: frees some there, or returns 0. Set by
     * reclaim/. */
    uint64_t (*shortage)(struct vm_machine *machine, const struct vm_zonelist *zones,
                         uint64_t frames);

    /* space/ */
    struct vm_lock lists_lock;     /* VM_RANK_MACHINE: what links things of all CPUs */
    struct vm_link emptied;        /* spaces with tables that reclaim has emptied: vm_settle() */
    _Atomic uint32_t empty_tables; /* there may be one */
    struct vm_cache *space_cache, *area_cache;
    struct vm_cache *nonlinear_cache; /* NULL: no area is ever nonlinear */

    /* object/ */
    struct vm_link objects; /* lists_lock */
    struct vm_cache *object_cache, *radix_cache;
    const struct vm_index_kind *index_kind;
    struct vm_swap *swap; /* NULL: none */

    /* rmap/ */
    const struct vm_design *design;
    void *design_data;         /* the design's own */
    struct vm_lock chain_lock; /* VM_RANK_CHAIN, for designs with chains: config.chain_lock */
    /* Called by table/ when a leaf has been made (VM_ENOMEM: then it is not) and before it is freed;
     * NULL if the design keeps nothing for a table. */
    int (*leaf_made)(struct vm_machine *machine, struct vm_table *leaf);
    void (*leaf_freed)(struct vm_machine *machine, struct vm_table *leaf);
    /* Called by frame/ with pages that are about to be free frames, whatever locks are held; NULL if
     * the design need not know. */
    void (*pages_freed)(struct vm_machine *machine, struct vm_page *const *pages, unsigned n);
    size_t area_index_offset;  /* where in an area the object's index keeps its node */
    size_t area_design_offset; /* ... and where the design keeps its record */
    size_t space_design_offset;

    /* Away from what all CPUs read all the time. */
    _Alignas(64) struct vm_sum sums[VM_SUMS];

    struct vm_cpu cpus[VM_CPUS_MAX];
};

/*
 * Reclaim cannot free the page tables it empties: somebody may be looking at them. It says so in
 * space->empty_tables, and every call that may have reclaimed ends with this, which frees them.
 * Offered by space/. => no lock held
 */
void vm_settle(struct vm_machine *machine);

static inline unsigned vm_cpu_number(const struct vm_machine *machine) {
    return machine->config.cpus > 1 ? machine->port->cpu(machine->port) : 0;
}

static inline struct vm_cpu *vm_this_cpu(struct vm_machine *machine) {
    return &machine->cpus[vm_cpu_number(machine)];
}

/* Only its own CPU writes a counter, but anybody may read it meanwhile. */
static inline void vm_counter_set(uint64_t *counter, uint64_t n) {
    __atomic_store_n(counter, n, __ATOMIC_RELAXED);
}

static inline void vm_counter_add(uint64_t *counter, uint64_t n) {
    vm_counter_set(counter, *counter + n);
}

/* vm_count(machine, faults.zero, 1): this CPU's share of a counter of struct vm_stats. */
#define vm_count(machine, counter, n) vm_counter_add(&vm_this_cpu(machine)->counts.counter, n)

/* Here another CPU could come between, and in a test it does: see port->preempt. */
static inline void vm_preempt(const struct vm_machine *machine, const volatile void *what) {
#if VM_DEBUG >= 2
    if (machine->smp && machine->port->preempt)
        machine->port->preempt(machine->port, what);
#else
    (void)machine;
    (void)what;
#endif
}

/* Entries that the CPU has frozen: n more, or less by two's complement. One counts as frozen from before
 * it is until after it is not, and as a mapping of its page for longer than that. */
static inline void vm_frozen_adjust(struct vm_machine *machine, unsigned cpu, uint32_t n) {
    vm_preempt(machine, &machine->cpus[cpu].frozen);
    atomic_fetch_add_explicit(&machine->cpus[cpu].frozen, n, memory_order_acq_rel);
}

/* Read-modify-write that is atomic only where somebody could come between; and in one order with other
 * such and with page locks, see object/pages.c. */
static inline uint64_t vm_fetch_add(const struct vm_machine *machine, _Atomic uint64_t *word,
                                    uint64_t n) {
    vm_preempt(machine, word);
    if (machine->smp)
        return atomic_fetch_add_explicit(word, n, memory_order_seq_cst);
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
    atomic_store_explicit(word, old + n, memory_order_relaxed);
    return old;
}

static inline void vm_link_init(struct vm_link *head) {
    head->next = head->previous = head;
}

static inline bool vm_link_empty(const struct vm_link *head) {
    return head->next == head;
}

static inline void vm_link_add(struct vm_link *head, struct vm_link *link) {
    link->next = head->next;
    link->previous = head;
    head->next->previous = link;
    head->next = link;
}

static inline void vm_link_add_last(struct vm_link *head, struct vm_link *link) {
    vm_link_add(head->previous, link);
}

static inline void vm_link_remove(struct vm_link *link) {
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link->next = link->previous = link;
}

#define vm_link_entry(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))

#endif
