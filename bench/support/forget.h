/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * forget.h - what writing 1 to /proc/PID/clear_refs does in the kernel: the accessed bits of a range
 * go, as if its pages had not been used for a while. No call of the library does that to shared pages.
 */
#ifndef BENCH_FORGET_H
#define BENCH_FORGET_H

#include <objrmap/vm.h>

/* => nobody else uses the space */
void forget_use(struct vm_space *space, uint64_t address, uint64_t pages);

#endif
