/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cache.h - named caches: equal-sized records, carved from blocks of the port's memory.
 *
 * Every record the library keeps comes from a named cache, so what a design costs is read off.
 * Records of different sizes (arrays) go through vm_cache_allocate_bytes() of a cache made with
 * object_bytes 0. Freed records are reused last in, first out; a block whose records are all free
 * goes back to the port, but one spare a cache is kept. On a machine of many CPUs each keeps up to 16
 * free records of a cache for itself, and peaks may be told that much a CPU too low.
 */
#ifndef VM_CACHE_H
#define VM_CACHE_H

#include "vm/machine.h"

/* `name` is borrowed. NULL when the port has no memory. */
struct vm_cache *vm_cache_create(struct vm_machine *machine, const char *name, enum vm_cost cost,
                                 size_t object_bytes, size_t alignment);
/* => nothing of it is in use */
void vm_cache_destroy(struct vm_machine *machine, struct vm_cache *cache);

/* Not zeroed. NULL when the port has no memory. Never reclaims frames. */
void *vm_cache_allocate(struct vm_machine *machine, struct vm_cache *cache);
void vm_cache_free(struct vm_machine *machine, struct vm_cache *cache, void *object);

void *vm_cache_allocate_bytes(struct vm_machine *machine, struct vm_cache *cache, size_t bytes,
                              size_t alignment);
void vm_cache_free_bytes(struct vm_machine *machine, struct vm_cache *cache, void *object,
                         size_t bytes);

uint64_t vm_cache_live(const struct vm_cache *cache);

#endif
