/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anon_share.h - what all designs with anon_vmas have in common: how the users of one are counted,
 * and which neighbours may have the same.
 *
 * The last user goes under a machine-wide lock, `naming`; a walk becomes a user under the same lock
 * if it sees the page mapped there (anon_list.h says why that is enough).
 */
#ifndef VM_ANON_SHARE_H
#define VM_ANON_SHARE_H

#include "vm/rmap/design.h"

/* n users more, or less by two's complement. Returns how many there were. */
static inline uint32_t anon_users_adjust(const struct vm_machine *machine, _Atomic uint32_t *users,
                                         uint32_t n) {
    vm_preempt(machine, users);
    if (machine->smp)
        return atomic_fetch_add_explicit(users, n, memory_order_acq_rel);
    uint32_t before = atomic_load_explicit(users, memory_order_relaxed);
    atomic_store_explicit(users, before + n, memory_order_relaxed);
    return before;
}

static inline bool anon_users_drop_unless_last(const struct vm_machine *machine,
                                               _Atomic uint32_t *users) {
    vm_preempt(machine, users);
    uint32_t count = atomic_load_explicit(users, memory_order_relaxed);

    if (!machine->smp)
        return count > 1 && anon_users_adjust(machine, users, UINT32_MAX);
    while (count > 1)
        if (atomic_compare_exchange_weak_explicit(users, &count, count - 1, memory_order_acq_rel,
                                                  memory_order_relaxed))
            return true;
    return false;
}

/* Returns true if that was the last one: nobody can find the anon_vma any more. */
static inline bool anon_users_drop(struct vm_machine *machine, struct vm_lock *naming,
                                   _Atomic uint32_t *users) {
    if (anon_users_drop_unless_last(machine, users))
        return false;
    vm_lock(machine, naming, VM_RANK_ANON);
    bool last = anon_users_adjust(machine, users, UINT32_MAX) == 1;
    vm_unlock(machine, naming, VM_RANK_ANON);
    return last;
}

/* Could the two be one area some day, once mprotect has made their protections equal? */
static inline bool anon_could_merge(const struct vm_area *lower, const struct vm_area *upper) {
    uint32_t ignored = VM_AREA_PROTECTION | VM_AREA_MERGE_IGNORES;

    return lower->end == upper->start && lower->object == upper->object &&
           ((vm_area_flags(lower) ^ vm_area_flags(upper)) & ~ignored) == 0 &&
           lower->pgoff + vm_area_pages(lower) == upper->pgoff;
}

#endif
