/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.h - where the pages of a trace's files, and of the swap space, live while they are not in the
 * machine's memory.
 *
 * A file's pages read as stamp.h says until they are written. Pages are kept only once written, and a
 * metadata-only machine writes none. Different pages may be transferred by several threads at once.
 */
#ifndef OBJRMAP_LAB_REPLAY_STORE_H
#define OBJRMAP_LAB_REPLAY_STORE_H

#include <objrmap/port.h>

struct store;

/* A file with the contents that belong to this object id. */
struct store *store_new_file(uint32_t object_id, uint64_t pages);

/* Swap: reading a page that was never written fails. */
struct store *store_new_swap(void);

/* What the library is handed; its close() frees the store. */
struct vm_backing *store_backing(struct store *store);

/* What lies beyond is forgotten; if it comes back, it is zeroes. => nothing is being transferred */
void store_resize(struct store *store, uint64_t pages);

#endif
