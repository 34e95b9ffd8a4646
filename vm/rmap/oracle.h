/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * oracle.h - the truth about who maps what: every page table of every space, entry by entry.
 *
 *   oracle.c   scanning
 *   verify.c   holding the machine against it
 *
 * For a machine at rest: no other call is under way, and no lock is taken.
 */
#ifndef VM_ORACLE_H
#define VM_ORACLE_H

#include "vm/space/space.h"

/* An entry that is not empty, and where it stands. */
struct vm_seen {
    struct vm_space *space;
    uint64_t address;
    vm_pte entry;
};

typedef void vm_seen_visit(const struct vm_seen *seen, void *context);

/* Shows every entry of the space that is not empty, in address order. */
void vm_oracle_scan(struct vm_space *space, vm_seen_visit *visit, void *context);

#endif
