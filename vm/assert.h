/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * assert.h - what must hold, in three levels chosen by VM_DEBUG at compile time.
 *
 *   1  VM_ASSERT            cheap: a compare
 *   2  VM_ASSERT_INTERNAL   a look at other structures; lock ranks are checked from here on
 *   3  VM_ASSERT_EXPENSIVE  a walk over a whole structure
 *
 * A failed assertion ends in the port's panic(): going on could lose data.
 */
#ifndef VM_ASSERT_H
#define VM_ASSERT_H

#ifndef VM_DEBUG
#define VM_DEBUG 0
#endif

struct vm_machine;

_Noreturn void vm_panic(struct vm_machine *machine, const char *file, int line, const char *what);

#define VM_CHECK_(machine, condition)                                                              \
    ((condition) ? (void)0 : vm_panic((machine), __FILE__, __LINE__, #condition))
#define VM_SKIP_(condition) ((void)sizeof(!(condition)))

#if VM_DEBUG >= 1
#define VM_ASSERT(machine, condition) VM_CHECK_(machine, condition)
#else
#define VM_ASSERT(machine, condition) VM_SKIP_(condition)
#endif

#if VM_DEBUG >= 2
#define VM_ASSERT_INTERNAL(machine, condition) VM_CHECK_(machine, condition)
#else
#define VM_ASSERT_INTERNAL(machine, condition) VM_SKIP_(condition)
#endif

#if VM_DEBUG >= 3
#define VM_ASSERT_EXPENSIVE(machine, condition) VM_CHECK_(machine, condition)
#else
#define VM_ASSERT_EXPENSIVE(machine, condition) VM_SKIP_(condition)
#endif

#endif
