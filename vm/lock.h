/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock.h - spinning and sleeping locks, and the order in which they may be taken.
 *
 * A lock is one word. Its rank is named at each call, so that a debug build can check the order at
 * run time: a CPU may only take a lock of a higher rank than all it holds, unless it only tries.
 * docs/locking.md draws the order with the place of every lock. A machine of one CPU takes no lock
 * at all, but ranks are checked there too.
 *
 * Spinning locks are held for a bounded time, without sleeping and without allocating frames.
 * Sleeping locks (VM_RANK_SPACE, VM_RANK_PAGE) may be held across reads and writes of a backing.
 */
#ifndef VM_LOCK_H
#define VM_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct vm_machine;
struct vm_page;

/* Outermost first. Two locks of one rank are never held together; the pairs that must be (fork and
 * mremap hold two leaf tables) have a second rank. Reclaim holds many page locks, which it only tried
 * for. */
enum vm_rank {
    VM_RANK_SPACE,        /* a space's areas and the shape of its page tables; sleeps */
    VM_RANK_SPACE_CHILD,  /* fork: the new child, that nobody else can reach yet */
    VM_RANK_PAGE,         /* a page's identity and contents while they change; sleeps */
    VM_RANK_OBJECT_AREAS, /* an object's index of areas */
    VM_RANK_ANON,         /* a design's anonymous owner: anon_vma, anonmm */
    VM_RANK_AREAS,        /* a space's tree of areas against walkers that hold no space lock */
    VM_RANK_TABLE,        /* the entries of one page table */
    VM_RANK_TABLE_SECOND, /* fork's child table, mremap's destination */
    VM_RANK_CHAIN,        /* a page's own chain of mappings */
    VM_RANK_OBJECT_PAGES, /* an object's page cache */
    VM_RANK_SWAP,         /* swap slots and the swap cache */
    VM_RANK_PAGEVEC,      /* a CPU's pages on their way to the lists */
    VM_RANK_LRU,          /* a zone's active and inactive lists */
    VM_RANK_MACHINE,      /* the machine's lists of spaces and objects */
    VM_RANK_CPU_FRAMES,   /* a CPU's own free frames of a zone */
    VM_RANK_ZONE,         /* a zone's free frames */
    VM_RANK_CACHE,        /* a cache of records */
    VM_RANKS,
};

const char *vm_rank_name(enum vm_rank rank);

/* For assertions: this CPU holds no spinning lock. Always true where ranks are not checked. */
bool vm_may_sleep(struct vm_machine *machine);

struct vm_lock {
    _Atomic uint32_t word; /* 0 free, 1 held */
};

void vm_lock(struct vm_machine *machine, struct vm_lock *lock, enum vm_rank rank);
bool vm_trylock(struct vm_machine *machine, struct vm_lock *lock, enum vm_rank rank);
void vm_unlock(struct vm_machine *machine, struct vm_lock *lock, enum vm_rank rank);

/* Many readers or one writer; sleeps. */
struct vm_rwlock {
    _Atomic uint32_t word; /* readers, or VM_RW_WRITER; VM_RW_WAITERS when somebody sleeps */
};

void vm_read_lock(struct vm_machine *machine, struct vm_rwlock *lock, enum vm_rank rank);
void vm_read_unlock(struct vm_machine *machine, struct vm_rwlock *lock, enum vm_rank rank);
void vm_write_lock(struct vm_machine *machine, struct vm_rwlock *lock, enum vm_rank rank);
bool vm_write_trylock(struct vm_machine *machine, struct vm_rwlock *lock, enum vm_rank rank);
void vm_write_unlock(struct vm_machine *machine, struct vm_rwlock *lock, enum vm_rank rank);

/* The page lock is VM_PAGE_LOCKED in the page's flags; sleeps. */
void vm_page_lock(struct vm_machine *machine, struct vm_page *page);
bool vm_page_trylock(struct vm_machine *machine, struct vm_page *page);
void vm_page_unlock(struct vm_machine *machine, struct vm_page *page);
/* Waits until nobody has the page locked, if only for a moment. The caller needs no reference: at worst
 * he waits for whoever has the frame now. */
void vm_page_wait_unlocked(struct vm_machine *machine, struct vm_page *page);

/* A spinning lock that is one bit of a page's flags, for what hangs on the page. */
void vm_page_bit_lock(struct vm_machine *machine, struct vm_page *page, uint32_t bit,
                      enum vm_rank rank);
void vm_page_bit_unlock(struct vm_machine *machine, struct vm_page *page, uint32_t bit,
                        enum vm_rank rank);

#endif
