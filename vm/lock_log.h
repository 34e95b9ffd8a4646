/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock_log.h - what config.lock_stats counts: how often each kind of lock is taken, waited for, held.
 *
 * Locks are told apart by rank, and readers from writers: the rows of the papers' lock tables. Each
 * CPU keeps its own counts and the list of what it holds just now; nothing here is shared, so the
 * counting moves no cache line between CPUs. Only lock.c writes here.
 *
 * Every time costs a look at the port's clock, which holds are longer by; counts are exact.
 */
#ifndef VM_LOCK_LOG_H
#define VM_LOCK_LOG_H

#include "vm/lock.h"

enum vm_lock_use { VM_LOCK_ALONE, VM_LOCK_SHARED, VM_LOCK_USES };

struct vm_lock_counts {
    uint64_t acquired, contended, handed_over;
    uint64_t hold_ns, hold_most_ns, wait_ns, wait_most_ns;
};

#define VM_LOCKS_HELD_MOST 48

/* One CPU's. */
struct vm_lock_log {
    struct vm_lock_counts counts[VM_RANKS][VM_LOCK_USES];
    struct {
        const void *lock;
        uint64_t since;
    } held[VM_LOCKS_HELD_MOST];
    unsigned held_count;
};

/* Makes machine->lock_logs if the configuration asks for it. => VM_ENOMEM */
int vm_lock_logs_init(struct vm_machine *machine);
void vm_lock_logs_fini(struct vm_machine *machine);

/* The clock if somebody counts, else 0: before waiting. */
uint64_t vm_lock_log_now(struct vm_machine *machine);

/* The lock has been taken. waited_since: 0 if it was free. handed_over: another CPU had it last. */
void vm_lock_log_taken(struct vm_machine *machine, const void *lock, enum vm_rank rank,
                       enum vm_lock_use use, uint64_t waited_since, bool handed_over);
void vm_lock_log_released(struct vm_machine *machine, const void *lock, enum vm_rank rank,
                          enum vm_lock_use use);

#endif
