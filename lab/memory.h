/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.h - memory for the command. A command that has run out of memory can only say so and end;
 * it is the library that has to survive it.
 */
#ifndef OBJRMAP_LAB_MEMORY_H
#define OBJRMAP_LAB_MEMORY_H

#include <stddef.h>

/* Zeroed. Never NULL. */
void *new_array(size_t count, size_t bytes);

/* `array` of `count` elements becomes one of at least `wanted`; *count is its new size, and new
 * elements are zeroed. */
void *grow_array(void *array, size_t *count, size_t wanted, size_t bytes);

char *new_text(const char *text);

#endif
