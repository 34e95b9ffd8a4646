/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pte.h - page-table entries in the x86-64 hardware's format.
 *
 *   present       frame in bits 12..51; P W U A D NX where the hardware has them
 *   frozen        the same with P clear and bit 8 set, and in bits 52..57 the CPU that froze it
 *   swap          P clear, bit 1 set:   the slot in bits 12..51
 *   file offset   P clear, bit 2 set:   the object's page offset in bits 12..63
 *   none          all zero
 *
 * A frozen entry maps its page as a present one does, for all but the hardware, which finds it not
 * present. While a page is moved to another frame all its entries are frozen: they may be cleared or
 * lose rights, but not be copied or moved (reclaim/migrate.c).
 *
 * An entry is read and written through these functions only: another hardware format replaces
 * this file. While a hardware MMU may set A and D behind our back, entries that are present change
 * by exchange, never by a plain store.
 */
#ifndef VM_PTE_H
#define VM_PTE_H

#include "vm/machine.h"

_Static_assert(VM_CPUS_MAX == 64, "a frozen entry has six bits for the CPU");

typedef uint64_t vm_pte;
typedef _Atomic vm_pte vm_pte_slot; /* where an entry is kept */

#define VM_PTE_PRESENT  UINT64_C(0x001)
#define VM_PTE_WRITE    UINT64_C(0x002)
#define VM_PTE_USER     UINT64_C(0x004)
#define VM_PTE_ACCESSED UINT64_C(0x020)
#define VM_PTE_DIRTY    UINT64_C(0x040)
#define VM_PTE_FROZEN   UINT64_C(0x100)
#define VM_PTE_FREEZER  52 /* shift */
#define VM_PTE_NX       (UINT64_C(1) << 63)

#define VM_PTE_FRAME_MASK UINT64_C(0x000ffffffffff000)
#define VM_PTE_KIND_MASK  (UINT64_C(0x007) | VM_PTE_FROZEN)
#define VM_PTE_KIND_SWAP  UINT64_C(0x002)
#define VM_PTE_KIND_FILE  UINT64_C(0x004)

/* Whether it maps a page. */
static inline bool vm_pte_present(vm_pte e) {
    return (e & (VM_PTE_PRESENT | VM_PTE_FROZEN)) != 0;
}
static inline bool vm_pte_frozen(vm_pte e) {
    return (e & VM_PTE_FROZEN) != 0;
}
static inline bool vm_pte_is_swap(vm_pte e) {
    return (e & VM_PTE_KIND_MASK) == VM_PTE_KIND_SWAP;
}
static inline bool vm_pte_is_file(vm_pte e) {
    return (e & VM_PTE_KIND_MASK) == VM_PTE_KIND_FILE;
}
static inline bool vm_pte_writable(vm_pte e) {
    return (e & VM_PTE_WRITE) != 0;
}
static inline bool vm_pte_accessed(vm_pte e) {
    return (e & VM_PTE_ACCESSED) != 0;
}
static inline bool vm_pte_dirty(vm_pte e) {
    return (e & VM_PTE_DIRTY) != 0;
}

static inline uint64_t vm_pte_frame(vm_pte e) {
    return (e & VM_PTE_FRAME_MASK) >> 12;
}
static inline uint32_t vm_pte_swap_slot(vm_pte e) {
    return (uint32_t)(e >> 12);
}
static inline uint64_t vm_pte_file_offset(vm_pte e) {
    return e >> 12;
}

static inline vm_pte vm_pte_from_swap(uint32_t slot) {
    return ((vm_pte)slot << 12) | VM_PTE_KIND_SWAP;
}
static inline vm_pte vm_pte_from_file(uint64_t pgoff) {
    return (pgoff << 12) | VM_PTE_KIND_FILE;
}

/* What an area's protection lets the hardware do: P U, W if writable, NX unless executable.
 * An area that allows nothing has no present entries that the hardware would honour: P U are kept,
 * so that its pages stay known, and the U bit is left out. */
static inline vm_pte vm_pte_protection(unsigned protection) {
    vm_pte e = VM_PTE_PRESENT;
    if (protection != VM_PROT_NONE)
        e |= VM_PTE_USER;
    if (protection & VM_PROT_WRITE)
        e |= VM_PTE_WRITE;
    if (!(protection & VM_PROT_EXEC))
        e |= VM_PTE_NX;
    return e;
}

static inline vm_pte vm_pte_make(uint64_t frame, vm_pte bits) {
    return (frame << 12) | bits;
}

static inline vm_pte vm_pte_read(const vm_pte_slot *slot) {
    return atomic_load_explicit(slot, memory_order_relaxed);
}

static inline void vm_pte_write(vm_pte_slot *slot, vm_pte e) {
    atomic_store_explicit(slot, e, memory_order_release);
}

/* Replaces an entry that the hardware may be changing, and returns what it was. */
static inline vm_pte vm_pte_exchange(const struct vm_machine *machine, vm_pte_slot *slot,
                                     vm_pte e) {
    vm_preempt(machine, slot);
    if (machine->smp)
        return atomic_exchange_explicit(slot, e, memory_order_acq_rel);
    vm_pte old = vm_pte_read(slot);
    vm_pte_write(slot, e);
    return old;
}

/* Clears bits, keeping what the hardware sets meanwhile. Returns the entry before. */
static inline vm_pte vm_pte_clear_bits(const struct vm_machine *machine, vm_pte_slot *slot,
                                       vm_pte bits) {
    vm_preempt(machine, slot);
    if (machine->smp)
        return atomic_fetch_and_explicit(slot, ~bits, memory_order_acq_rel);
    vm_pte old = vm_pte_read(slot);
    vm_pte_write(slot, old & ~bits);
    return old;
}

static inline vm_pte vm_pte_set_bits(const struct vm_machine *machine, vm_pte_slot *slot,
                                     vm_pte bits) {
    vm_preempt(machine, slot);
    if (machine->smp)
        return atomic_fetch_or_explicit(slot, bits, memory_order_acq_rel);
    vm_pte old = vm_pte_read(slot);
    vm_pte_write(slot, old | bits);
    return old;
}

static inline vm_pte vm_pte_frozen_bits(unsigned cpu) {
    return VM_PTE_FROZEN | ((vm_pte)cpu << VM_PTE_FREEZER);
}

static inline unsigned vm_pte_freezer(vm_pte e) {
    return (unsigned)(e >> VM_PTE_FREEZER) & (VM_CPUS_MAX - 1);
}

/* From present to frozen by this CPU or back, in one step; what the hardware has set stays. */
static inline void vm_pte_toggle_frozen(const struct vm_machine *machine, vm_pte_slot *slot,
                                        unsigned cpu) {
    vm_pte bits = VM_PTE_PRESENT | vm_pte_frozen_bits(cpu);

    vm_preempt(machine, slot);
    if (machine->smp)
        atomic_fetch_xor_explicit(slot, bits, memory_order_acq_rel);
    else
        vm_pte_write(slot, vm_pte_read(slot) ^ bits);
}

/* The frozen entry's successor, which maps another frame with the same rights and marks. */
static inline vm_pte vm_pte_thawed_onto(vm_pte frozen, uint64_t frame) {
    vm_pte frozen_bits = vm_pte_frozen_bits(vm_pte_freezer(frozen));

    return vm_pte_make(frame, (frozen & ~(VM_PTE_FRAME_MASK | frozen_bits)) | VM_PTE_PRESENT);
}

#endif
