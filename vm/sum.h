/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sum.h - sums that rise and fall, with the highest they have been.
 *
 * Of what changes with every fault or fork each CPU keeps a share of its own: it is added to the sum,
 * which is everybody's, when it has come to VM_SHARE_MOST either way. What a sum is now is always exact,
 * being the sum of the shares; its peak is noted when a share is added, and so may be told that much
 * a CPU too low. On a machine of one CPU every change is added at once.
 */
#ifndef VM_SUM_H
#define VM_SUM_H

#include "vm/machine.h"

#define VM_SHARE_MOST 32

static inline void vm_sum_raise_peak(struct vm_sum *sum, uint64_t now) {
    uint64_t top = atomic_load_explicit(&sum->peak, memory_order_relaxed);
    while (now > top && !atomic_compare_exchange_weak_explicit(
                            &sum->peak, &top, now, memory_order_relaxed, memory_order_relaxed)) {
    }
}

/* n more or fewer of what changes rarely: at once. */
static inline void vm_sum_add(const struct vm_machine *machine, struct vm_sum *sum, int64_t n) {
    uint64_t now = vm_fetch_add(machine, &sum->value, (uint64_t)n) + (uint64_t)n;
    if (n > 0)
        vm_sum_raise_peak(sum, now);
}

/* The same of what each CPU keeps a share of. */
static inline void vm_share_add(struct vm_machine *machine, enum vm_shared_sum which, int64_t n) {
    _Atomic uint64_t *share = &vm_this_cpu(machine)->shares[which];
    int64_t own = (int64_t)atomic_load_explicit(share, memory_order_relaxed) + n;
    if (machine->config.cpus == 1 || own >= VM_SHARE_MOST || own <= -VM_SHARE_MOST) {
        vm_sum_add(machine, &machine->sums[which], own);
        own = 0;
    }
    atomic_store_explicit(share, (uint64_t)own, memory_order_relaxed);
}

static inline uint64_t vm_sum_now(const struct vm_sum *sum) {
    return atomic_load_explicit(&sum->value, memory_order_relaxed);
}

static inline uint64_t vm_sum_peak(const struct vm_sum *sum) {
    return atomic_load_explicit(&sum->peak, memory_order_relaxed);
}

/* With all CPUs' shares. While others change theirs, one may be seen before another: never below 0. */
static inline uint64_t vm_shares_now(const struct vm_machine *machine, enum vm_shared_sum which) {
    uint64_t now = vm_sum_now(&machine->sums[which]);
    for (unsigned i = 0; i < machine->config.cpus; i++)
        now += atomic_load_explicit(&machine->cpus[i].shares[which], memory_order_relaxed);
    return (int64_t)now < 0 ? 0 : now;
}

/* The highest it has been, as far as it was noted; it has been at least what it is. */
static inline uint64_t vm_shares_peak(const struct vm_machine *machine, enum vm_shared_sum which) {
    uint64_t now = vm_shares_now(machine, which), peak = vm_sum_peak(&machine->sums[which]);
    return now > peak ? now : peak;
}

#endif
