/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arena.h - all memory that a schedule may change, so that the next one can begin where it began.
 *
 * Blocks are cut off one after the other, and a block given back is never handed out again until
 * the arena is restored: who still uses it reads a pattern, or spoils it and is found out; under
 * the address sanitizer, the access itself is.
 */
#ifndef OBJRMAP_TESTS_ARENA_H
#define OBJRMAP_TESTS_ARENA_H

#include <stdbool.h>
#include <stddef.h>

/* Once in a program. */
void arena_create(void);

/* As port->allocate and release; NULL when the arena is full. */
void *arena_allocate(size_t bytes, size_t alignment);
void arena_release(void *block, size_t bytes);

/* Everything is as if nothing had ever been allocated, and all zero. */
void arena_empty(void);

/* Remembers all contents as they are, and brings them back. */
void arena_save(void);
void arena_restore(void);

/* Nobody has written to a block given back since it was. */
bool arena_is_sound(void);

#endif
