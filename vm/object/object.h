/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * object.h - objects own pages that several spaces may map: files and shared memory.
 *
 *   object.c    life, size, truncation
 *   pages.c     the page cache: finding pages, bringing them in, letting them go
 *   write.c     writing a file's dirty pages back
 *   transfer.c  writing neighbours in one go, files' and swap's (transfer.h)
 *   radix.c     page offset -> page, or swap slot of an evicted shared-memory page
 *   index*.c    the areas that map the object (index.h)
 *   swap.c      swap slots and the swap cache (swap.h)
 *
 * A cached page holds one reference for the cache. Its identity (object, index) changes only with
 * the page lock held; its place in the cache also needs the object's pages lock.
 */
#ifndef VM_OBJECT_H
#define VM_OBJECT_H

#include "vm/frame/frame.h"
#include "vm/object/index.h"
#include "vm/object/radix.h"

enum vm_object_kind { VM_OBJECT_FILE, VM_OBJECT_SHM };

struct vm_object {
    struct vm_machine *machine;
    uint64_t id;
    enum vm_object_kind kind;
    bool anonymous;              /* made by mmap for shared anonymous memory */
    struct vm_backing *backing;  /* files only */
    _Atomic uint64_t references; /* the embedder's, and one for each area */
    struct vm_link link;         /* machine->objects */

    _Atomic uint64_t size;     /* bytes; changes under pages_lock */
    struct vm_lock pages_lock; /* VM_RANK_OBJECT_PAGES */
    struct vm_radix pages;
    uint64_t page_count;           /* pages in memory */
    uint64_t slot_count;           /* evicted pages: each names a swap slot */
    _Atomic uint32_t write_failed; /* a write-back failed since the last msync told */

    struct vm_lock areas_lock; /* VM_RANK_OBJECT_AREAS */
    struct vm_link nonlinear;  /* struct vm_nonlinear_area: the areas that are not in the index */
    _Alignas(16) unsigned char areas[]; /* struct vm_area_index, of the machine's kind */
};

static inline struct vm_area_index *vm_object_areas(struct vm_object *object) {
    return (struct vm_area_index *)object->areas;
}

static inline uint64_t vm_object_page_end(const struct vm_object *object) {
    vm_preempt(object->machine, &object->size);
    return (atomic_load_explicit(&object->size, memory_order_relaxed) + VM_PAGE_SIZE - 1) >>
           VM_PAGE_SHIFT;
}

int vm_objects_init(struct vm_machine *machine);
void vm_objects_fini(struct vm_machine *machine); /* => no object is left */

/* An area starts or ceases to map the object (or changes its range: out, change, in). */
void vm_object_link_area(struct vm_object *object, struct vm_area *area);
void vm_object_unlink_area(struct vm_object *object, struct vm_area *area);
/* The same for who holds areas_lock already. */
void vm_object_put_area(struct vm_object *object, struct vm_area *area);
void vm_object_take_area(struct vm_object *object, struct vm_area *area);

/*
 * The object's page, read in or made if it is not in memory; locked, with a reference.
 * => VM_SIGBUS beyond the end or when the backing failed, VM_OOM, VM_ENOMEM (as VM_OOM for faults).
 * May sleep and reclaim.
 */
int vm_object_page(struct vm_object *object, uint64_t index, struct vm_page **page);

/* The same, but a page that is neither in memory nor in swap is left there: *page is NULL. */
int vm_object_page_kept(struct vm_object *object, uint64_t index, struct vm_page **page);

/* What one fault maps: pages in a row, of which one must be among them. */
struct vm_object_window {
    uint64_t first;
    unsigned count, here;      /* at most VM_FAULT_AROUND_MAX; the page that must */
    uint64_t wanted;           /* bit i: an entry waits for page first + i */
    const struct vm_page *own; /* the page `here`, where the caller has it locked; else NULL */
};

/*
 * Counts pages of the window as mapped, at most so many, for entries that the caller writes next:
 * pages[i] is such a page, or NULL. Left out are those that nobody waits for, that are not in memory or
 * cut off, and those that somebody else has locked. False: that was the one that must be there, and no
 * page is mapped.
 * => the lock of the entries' table is held
 */
bool vm_object_pages_map(struct vm_object *object, const struct vm_object_window *window,
                         unsigned most, struct vm_page **pages);

/* How many pages of [first, first + n) are in memory. */
unsigned vm_object_pages_resident(struct vm_object *object, uint64_t first, unsigned n);

/* Pages of [first, first + n) that are in memory and can be locked at once: pages[i] is such a page,
 * locked and referenced, or NULL. Returns how many. Pages beyond the object's end are left out. */
unsigned vm_object_pages_cached(struct vm_object *object, uint64_t first, unsigned n,
                                struct vm_page **pages);

/* Whether the page is in memory. */
bool vm_object_page_resident(struct vm_object *object, uint64_t index);

/* Writes those of a file's pages that are dirty to its backing, neighbours in one go. => all of the
 * object, in the order of their indexes; locked, every entry write-protected or gone. VM_EIO: some
 * write has failed, which the object remembers; what could not be written stays dirty */
int vm_object_pages_write(struct vm_object *object, struct vm_page *const *pages, unsigned n);

/* Takes an unmapped page out of the cache; the caller's reference is left. => page locked; the object may
 * be gone afterwards */
void vm_object_page_remove(struct vm_object *object, struct vm_page *page);
/* The same for several, under one lock. The cache's references are the caller's to drop. */
void vm_object_pages_remove(struct vm_object *object, struct vm_page *const *pages, unsigned n);

/* Shared memory: the page leaves both caches, and its slot in its place in the object's. The caller's
 * reference is left. => page locked, unmapped, in the swap cache, written to its slot */
void vm_object_page_leave_slot(struct vm_object *object, struct vm_page *page);

/* The cache holds `to` from now on, a copy of `from`; which keeps its index and, until the caller makes
 * it NULL, its object, for the entries that still map it. => both locked */
void vm_object_page_replace(struct vm_object *object, struct vm_page *from, struct vm_page *to);

/* The next pages in memory with *index <= index <= last, locked and referenced: the first one, which
 * *index tells, is waited for; its neighbours come along as far as they are there and can be locked
 * at once. Returns how many, at most `most`; 0: there is none. */
unsigned vm_object_pages_next(struct vm_object *object, uint64_t *index, uint64_t last,
                              struct vm_page **pages, unsigned most);

/* Calls visit for each page in memory with first <= index <= last, locked and referenced. */
typedef void vm_object_page_visit(struct vm_page *page, void *context);
void vm_object_pages_each(struct vm_object *object, uint64_t first, uint64_t last,
                          vm_object_page_visit *visit, void *context);

/* Zeroes the page from byte `end` of the object on, if that lies within it. => page locked */
void vm_object_page_cut(struct vm_machine *machine, struct vm_page *page, uint64_t end);

/* Forgets the evicted pages from `first` on, and their slots. */
void vm_object_slots_free(struct vm_object *object, uint64_t first);

/*
 * Upcall: clears every entry that maps the object's pages from `first` on, private copies too.
 * Offered by space/ and called by vm_object_truncate() through the areas index.
 */
void vm_object_unmap_from(struct vm_object *object, uint64_t first);

/* For tests: cache, counts and areas agree. Counts differences. => nothing else is going on */
uint64_t vm_object_check(struct vm_object *object);

#endif
