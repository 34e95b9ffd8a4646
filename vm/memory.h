/* SPDX-License-Identifier: BSD-2-Clause */
/* memory.h - the four functions that a freestanding compiler expects to find anyway. */
#ifndef VM_MEMORY_H
#define VM_MEMORY_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *block, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

#endif
