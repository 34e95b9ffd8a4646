/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anon_share.h - what all designs with anon_vmas have in common: how the users of one are counted,
 * and which neighbours may have the same.
 *
 * The last user goes under the owner's `naming` lock; a walk becomes a user under the same lock
 * if it sees the page mapped, and naming this owner, there (anon_list.h says why that is enough). The
 * lock cannot be in the owner, which may have gone: it is one of a few dozen, found by the owner's
 * address, so that spaces that end at the same time seldom wait for each other.
 */
#ifndef VM_ANON_SHARE_H
#define VM_ANON_SHARE_H

#include "vm/rmap/design.h"

#define ANON_NAMING_LOCKS 64u

struct anon_naming {
    struct {
        _Alignas(64) struct vm_lock lock;
    } of[ANON_NAMING_LOCKS];
};

static inline void anon_naming_init(struct anon_naming *naming) {
    for (unsigned i = 0; i < ANON_NAMING_LOCKS; i++)
        atomic_init(&naming->of[i].lock.word, 0);
}

/* For whatever pages name: the low bits may be marks. */
static inline struct vm_lock *anon_naming_of(struct anon_naming *naming, uintptr_t name) {
    uint64_t mixed = (uint64_t)(name >> 3) * UINT64_C(0x9e3779b97f4a7c15);
    return &naming->of[mixed >> 58].lock;
}

/* Whether some entry maps the page; who sees that sees what the page names, too. */
static inline bool anon_page_is_mapped(const struct vm_page *page) {
    return atomic_load_explicit(&page->counts, memory_order_acquire) >= VM_ONE_MAPPING;
}

/* The owner that the page names, under its naming lock; NULL, and no lock held, if nothing maps the page
 * any more. => the page is locked, so that it names one owner as long as it is mapped */
static inline void *anon_lock_owner_of(struct vm_machine *machine, struct anon_naming *naming,
                                       const struct vm_page *page) {
    if (!anon_page_is_mapped(page))
        return NULL;
    void *owner = page->owner;
    vm_lock(machine, anon_naming_of(naming, (uintptr_t)owner), VM_RANK_ANON);
    vm_preempt(machine, page);
    if (anon_page_is_mapped(page))
        return owner;
    vm_unlock(machine, anon_naming_of(naming, (uintptr_t)owner), VM_RANK_ANON);
    return NULL;
}

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

    if (!machine->smp && count > 1) {
        atomic_store_explicit(users, count - 1, memory_order_relaxed);
        return true;
    }
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
