/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reclaim.h - taking pages away from everyone who maps them.
 *
 *   balance.c   who reclaims, from which zones, until when
 *   scan.c      which pages: the lists, aged by referenced bits found through the reverse map
 *   sweep.c     which entries, where there is no reverse map
 *   pageout.c   pages go: unmapped everywhere, written out, freed
 *   writeback.c dirty file pages are written, with their neighbours
 *   nonlinear.c the same where the linear rule does not lead to its entries
 *   migrate.c   a page comes to another frame, under all its mappings
 */
#ifndef VM_RECLAIM_H
#define VM_RECLAIM_H

#include "vm/space/space.h"

/* machine->shortage: frees up to `frames` frames of these zones, trying ever harder; 0 if nothing can
 * be freed. */
uint64_t vm_reclaim_direct(struct vm_machine *machine, const struct vm_zonelist *zones,
                           uint64_t frames);

enum vm_pageout {
    VM_PAGEOUT_FREED,  /* the frame is free */
    VM_PAGEOUT_IN_USE, /* used since the last look: it stays, as an active page */
    VM_PAGEOUT_KEPT,   /* locked in memory, in use, or nowhere to write to */
    VM_PAGEOUT_FAILED, /* the backing failed; the page stays */
};

/* Unmaps the page everywhere, writes it out if it is dirty, and frees it: true. Else it is put back
 * on its list. => the caller's reference goes with it; page not locked, not LISTED */
bool vm_pageout_page(struct vm_machine *machine, struct vm_page *page);

/* What the entries of a page say, gathered in one walk: accessed bits are cleared, dirty bits only seen. */
struct vm_page_use {
    uint32_t shown;    /* entries looked at: all but those in nonlinear areas */
    unsigned accessed; /* entries used since the last look */
    bool dirty;        /* some entry is dirty */
    bool locked;       /* some area that maps it is mlocked */
};
/* => page locked */
struct vm_page_use vm_page_age(struct vm_machine *machine, struct vm_page *page);

/* Pages come off the lists by so many, and are looked for together. */
#define VM_PAGEOUT_BATCH 32

/* The same for several. => all locked; at most VM_PAGEOUT_BATCH */
void vm_pages_age(struct vm_machine *machine, struct vm_page *const *pages, unsigned count,
                  struct vm_page_use *uses);

/* vm_pageout_page() for several, whose entries have been looked at. Returns how many frames are free.
 * => all locked, isolated; unlocked afterwards; at most VM_PAGEOUT_BATCH */
unsigned vm_pages_out(struct vm_machine *machine, struct vm_page *const *pages, unsigned count,
                      const struct vm_page_use *uses);

/* Puts a page that stays back on its list, IN_USE on the active one. => isolated, unlocked; the
 * caller's reference goes with it */
void vm_pageout_put_back(struct vm_machine *machine, struct vm_page *page, enum vm_pageout result);

/* What became of one entry that a sweep has shown. */
enum vm_swept {
    VM_SWEPT_KEPT,     /* its page is locked, or there is nowhere to write it to */
    VM_SWEPT_UNMAPPED, /* others still map the page */
    VM_SWEPT_LOOSE,    /* nobody does: it is the next to be looked at on the inactive list */
    VM_SWEPT_FREED     /* nobody does, and its contents were given away: the frame is free */
};

/* Takes out one entry, whatever else maps its page. => as in a sweep; `locked` is the page, if any,
 * whose lock the caller holds */
enum vm_swept vm_pageout_entry(const struct vm_mapping *mapping, const struct vm_page *locked);

/* Takes entries out of nonlinear areas until the page has no more than `linear` left, in the machine's
 * way, which may take others' instead: false. => an object's page, locked; the design does not keep
 * its entries */
bool vm_pageout_nonlinear(struct vm_machine *machine, struct vm_page *page, uint32_t linear);

/* Whether the object has nonlinear areas, and all of them are locked in memory. */
bool vm_nonlinear_all_locked(struct vm_object *object);

/* Writes the dirty pages with first <= index <= last to the file. That a write has failed is kept in
 * object->write_failed. => no page locked */
void vm_object_write_back(struct vm_object *object, uint64_t first, uint64_t last);

/* Writes those of the file pages that are dirty, and dirty pages that lie beside them. What could not
 * be written stays dirty. => all locked, unmapped; at most VM_PAGEOUT_BATCH */
void vm_pages_write_around(struct vm_page *const *pages, unsigned n);

/*
 * Moves the page to another frame, of this node: every entry that maps it maps the new one afterwards,
 * with the same rights and bits, and the caller's one reference is all that is left of the old one.
 * => no page locked. VM_OOM: the node has no frame to spare; VM_ENOMEM: no records; VM_EAGAIN: somebody
 * is at work on the page
 */
int vm_page_migrate(struct vm_machine *machine, struct vm_page *page, unsigned node);

#endif
