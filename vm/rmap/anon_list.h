/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anon_list.h - an anon_vma, the list of all areas related by fork, split or move: what the designs
 * that have one share. They differ in when an area gets it, and in which pages name it.
 *
 *   lock       VM_RANK_ANON, one in each anon_vma: its list
 *   users      areas listed, and walks that are about to lock it; the last one frees it
 *   naming     VM_RANK_ANON, one of 64, by the anon_vma's address: held when the last user goes and when
 *              a walk becomes a user; never together with a list's lock
 *
 * Why a walk finds its anon_vma alive. A page that is mapped and names one has an entry in some area
 * listed there (fork, copy and merge keep it so), and an area's entries go before the area leaves the
 * list. So who sees a map count above zero while it holds `naming` sees an anon_vma with a user, and
 * may become one before that user can leave. Linux reached the same with records that stay anon_vmas
 * for a grace period; counting needs no such period from the embedder.
 */
#ifndef VM_ANON_LIST_H
#define VM_ANON_LIST_H

#include "vm/rmap/anon_share.h"

struct anon_vma {
    struct vm_lock lock;
    _Atomic uint32_t users;
    struct vm_link areas; /* of struct anon_area */
};

_Static_assert(sizeof(void *) != 8 || sizeof(struct anon_vma) == 24, "an anon_vma has grown");

/* What stands behind each area. */
struct anon_area {
    struct vm_link link;
    struct anon_vma *_Atomic anon; /* NULL until the area needs one */
};

/* machine->design_data. */
struct anon_design {
    struct vm_cache *cache;
    struct anon_naming naming;
};

static inline struct anon_design *anon_design_of(const struct vm_machine *machine) {
    return machine->design_data;
}

struct anon_area *anon_record_of(const struct vm_area *area);

/* The area's, or NULL. */
struct anon_vma *anon_of(const struct vm_area *area);

/* ---- the design's init and fini */

int anon_design_init(struct vm_machine *machine); /* VM_ENOMEM */
void anon_design_fini(struct vm_machine *machine);

/* ---- life */

/* An empty one, whose user is the caller; NULL: no memory. */
struct anon_vma *anon_create(struct vm_machine *machine);

/* => it has a user that stays meanwhile */
void anon_use(const struct vm_machine *machine, struct anon_vma *anon);

/* => no list is locked */
void anon_drop(struct vm_machine *machine, struct anon_vma *anon);

/* ---- areas; => space lock held for writing */

/* The area, which is in no list, joins this one at its head. */
void anon_join(struct vm_area *area, struct anon_vma *anon);

/* The area's copy joins its list, if it is in one, right behind it: a walk that has come too late for
 * a page there finds it where mremap has moved it. */
void anon_join_behind(struct vm_area *copy, struct vm_area *area);

/* The area leaves its list, if it is in one. */
void anon_leave(struct vm_area *area);

/* Two areas that are in different lists cannot become one: their pages name one or the other. */
bool anon_mergeable(const struct vm_area *lower, const struct vm_area *upper);
void anon_merge(struct vm_area *kept, struct vm_area *gone);

/* ---- walking */

/* Looks into each area listed. The caller's use of the anon_vma ends. */
void anon_walk(struct vm_area_walk *walk, struct anon_vma *anon);

/* ---- checking */

/* Every area with an anon_vma is in its list, nothing else is, every list has as many users as areas,
 * and no anon_vma is left without a list. Counts differences. => the machine is at rest */
uint64_t anon_check(struct vm_machine *machine);

#endif
