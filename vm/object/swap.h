/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swap.h - swap space: slots of one page each, and the swap cache.
 *
 * A slot is kept alive by entries that name it (page-table entries, and shared-memory objects) and
 * by the swap cache. While a page is in the swap cache (VM_PAGE_SWAPCACHE), page->swap is its slot
 * and the cache holds one reference to the page; the slot leads back to the page, so that all who
 * fault on the slot find one page. A slot nobody names and whose page nobody else needs is freed
 * at once: vm_swap_free() and vm_swap_cache_drop_unused() see to it. They cannot while the page is
 * locked; so whoever unlocks a page of the swap cache that he did not map drops it if unused.
 *
 * Slots are numbered from 1. Counts are kept in chunks of 512 slots, made when first used.
 */
#ifndef VM_SWAP_H
#define VM_SWAP_H

#include "vm/frame/frame.h"

int vm_swap_init(struct vm_machine *machine); /* VM_OK at once when there is no swap */
void vm_swap_fini(struct vm_machine *machine);

/* n more entries name the slot. */
void vm_swap_duplicate(struct vm_machine *machine, uint32_t slot, uint32_t n);

/* An entry no longer names the slot. */
void vm_swap_free(struct vm_machine *machine, uint32_t slot);

/* How many entries name the slot. */
uint32_t vm_swap_count(struct vm_machine *machine, uint32_t slot);

/* Gives the page a slot and puts it into the swap cache, marked dirty: it differs from the slot.
 * => page locked, VM_ENOMEM: no slot free */
int vm_swap_cache_add(struct vm_machine *machine, struct vm_page *page);

/* Takes the page out; frees the slot if no entry names it. The cache's reference is dropped.
 * => page locked; the caller or an entry holds the page */
void vm_swap_cache_remove(struct vm_machine *machine, struct vm_page *page);

/* The slot's page is `to` from now on, a copy of `from`. => both locked; `from` in the swap cache */
void vm_swap_cache_replace(struct vm_machine *machine, struct vm_page *from, struct vm_page *to);

/* After the page's last mapping went: takes it out if no entry names its slot. Drops the cache's
 * reference then, which may free the page. => the caller may hold the page or not */
void vm_swap_cache_drop_unused(struct vm_machine *machine, struct vm_page *page);

/* vm_page_put() for a page that may be in the swap cache, and whose other holders may have let go of
 * it meanwhile: then it leaves the cache, too. => page not locked by the caller */
void vm_swap_page_put(struct vm_machine *machine, struct vm_page *page);

/* The slot's page, if it is in memory; with a reference. NULL if not. */
struct vm_page *vm_swap_cache_find(struct vm_machine *machine, uint32_t slot);

/*
 * The slot's page, read in if need be; locked, with a reference, in the swap cache. A page that was
 * read is on no list and nobody's yet: not VM_PAGE_ANON, no owner.
 * => VM_OOM, VM_SIGBUS when the backing failed, VM_EAGAIN: no entry names the slot any more, so the
 * one that the caller saw has changed. May sleep and reclaim.
 */
int vm_swap_in(struct vm_machine *machine, uint32_t slot, struct vm_page **page);

/* The same. If the slot is read, so are those of its window (config.swap_readahead) that are in use, as
 * long as there are frames to spare; their pages wait in the cache, and reads that fail are not told. */
int vm_swap_in_for_fault(struct vm_machine *machine, uint32_t slot, struct vm_page **page);

/* Fills a page of shared memory, which is not in the swap cache and will not be, with the slot's
 * contents; and reads others ahead as for a fault. => page locked, VM_EIO */
int vm_swap_read(struct vm_machine *machine, uint32_t slot, struct vm_page *page);

/* Writes those of the pages that are dirty to their slots, neighbouring slots in one go; puts the pages
 * in their order. => all locked, in the swap cache, unmapped. VM_EIO: some write has failed; what could
 * not be written stays dirty */
int vm_swap_write(struct vm_machine *machine, struct vm_page **pages, unsigned n);

/* The slot's contents from wherever they are, without changing anything. => VM_EIO */
int vm_swap_peek(struct vm_machine *machine, uint32_t slot, void *page);

/* Slots in use now, and at most. */
uint64_t vm_swap_used(const struct vm_machine *machine);
uint64_t vm_swap_used_peak(const struct vm_machine *machine);

/* For tests: the sum of counts must equal `entries`, the entries found by scanning page tables and
 * the slot_count of every object. Counts differences. => nothing else is going on */
uint64_t vm_swap_check(struct vm_machine *machine, uint64_t entries);

#endif
