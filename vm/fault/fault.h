/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault.h - what must be at an address, and putting it there.
 *
 *   fault.c   the fault: find the area, name the case, serve it
 *   stack.c   growing stacks
 *   mmu.c     programs on the software MMU: touch, read, write
 */
#ifndef VM_FAULT_H
#define VM_FAULT_H

#include "vm/space/space.h"

/* vm_fault() with the space lock held for reading (or writing); stacks do not grow, and failures are
 * not counted.
 * => VM_OK, VM_SIGSEGV, VM_SIGBUS, VM_OOM */
int vm_fault_locked(struct vm_space *space, uint64_t address, enum vm_access access);

/* Makes every page of the range that is in memory and private this space's own: whatever other spaces
 * map, or may map by its swap slot, is copied. What a failure leaves half done does not show.
 * => space lock held for writing. VM_OOM, VM_ENOMEM */
int vm_fault_unshare(struct vm_space *space, uint64_t start, uint64_t end);

/* Grows the stack above the address down to it, if there is one that may. => no lock held */
bool vm_stack_grow(struct vm_space *space, uint64_t address);

#endif
