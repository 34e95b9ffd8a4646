/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stack.c - stacks grow when they are touched below their start.
 *
 * Growing changes the area, so it takes the space lock for writing; the fault gives its own lock
 * back first and looks again afterwards.
 */
#include "vm/fault/fault.h"

#define STACK_GUARD_GAP (UINT64_C(256) * VM_PAGE_SIZE)

static bool stack_may_grow_to(const struct vm_area *stack, uint64_t start) {
    const struct vm_machine_config *config = &stack->space->machine->config;
    const struct vm_area *below = vm_area_previous((struct vm_area *)stack);
    uint64_t more = (stack->start - start) >> VM_PAGE_SHIFT;

    if (stack->end - start > config->stack_limit)
        return false;
    if (stack->space->mapped_pages + more > config->address_limit >> VM_PAGE_SHIFT)
        return false;
    if (!below || vm_area_flags(below) & VM_AREA_GROWSDOWN || !vm_area_protection(below))
        return !below || below->end <= start;
    return below->end <= start && start - below->end >= STACK_GUARD_GAP;
}

/* Grows a stack area down to the address, if there is one above that may. */
static bool grow_stack(struct vm_space *space, uint64_t address) {
    uint64_t start = address & ~(VM_PAGE_SIZE - 1);
    struct vm_area *area = vm_area_find(space, address);

    if (!area || area->start <= address)
        return area != NULL; /* somebody has just grown it */
    if (!(vm_area_flags(area) & VM_AREA_GROWSDOWN) || !stack_may_grow_to(area, start))
        return false;
    uint64_t pages = (area->start - start) >> VM_PAGE_SHIFT;
    vm_area_set_range(area, start, area->end, area->pgoff - pages);
    vm_count(space->machine, faults.stack, 1);
    return true;
}

bool vm_stack_grow(struct vm_space *space, uint64_t address) {
    struct vm_machine *machine = space->machine;

    vm_write_lock(machine, &space->lock, VM_RANK_SPACE);
    bool grown = grow_stack(space, address);
    vm_write_unlock(machine, &space->lock, VM_RANK_SPACE);
    return grown;
}
