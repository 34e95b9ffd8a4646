/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rmap.h - who maps this page? And: look at a machine without disturbing it.
 *
 * None of these calls faults a page in, sets an accessed bit or moves a page on a list.
 */
#ifndef OBJRMAP_RMAP_H
#define OBJRMAP_RMAP_H

#include <objrmap/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VM_NO_FRAME UINT64_MAX

/* The frame that the space maps at this address, or VM_NO_FRAME. */
uint64_t vm_frame_at(struct vm_space *space, uint64_t address);

/* One place where a frame is mapped. */
struct vm_mapped_at {
    struct vm_space *space;
    uint64_t address;
    bool writable, accessed, dirty;
};

typedef void vm_mapped_visit(const struct vm_mapped_at *place, void *context);

/*
 * Every place that maps the frame, found by the machine's reverse-mapping design. Returns how many;
 * `visit` may be NULL, and is called with spinning locks held: it may not call the library. The
 * zero page is not kept track of.
 */
uint64_t vm_page_mappings(struct vm_machine *machine, uint64_t frame, vm_mapped_visit *visit,
                          void *context);

/* The same by scanning every page table of every space: slow, and always right.
 * => no other call is under way */
uint64_t vm_oracle_mappings(struct vm_machine *machine, uint64_t frame, vm_mapped_visit *visit,
                            void *context);

/*
 * Holds the whole machine against the oracle: for each frame the design's answer, its map count,
 * its table's counts, and the structures' own rules. Returns the number of differences; each is
 * told to `report` (unless NULL) in a line of text. => no other call is under way
 */
typedef void vm_verify_report(const char *difference, void *context);
uint64_t vm_verify(struct vm_machine *machine, vm_verify_report *report, void *context);

/* ---------------------------------------------------------------- looking */

struct vm_area_view {
    uint64_t start, end;
    unsigned protection;
    bool shared, locked, growsdown, dontfork;
    struct vm_object *object; /* NULL: private anonymous; shared anonymous memory has an object */
    bool object_anonymous;    /* the object was made by vm_mmap() for shared anonymous memory */
    uint64_t pgoff; /* into the object; for anonymous memory the index of its first page */
};

/* Areas in address order. visit returns false to stop; it may call the library, no lock is held. */
typedef bool vm_area_visit(const struct vm_area_view *area, void *context);
void vm_area_each(struct vm_space *space, vm_area_visit *visit, void *context);
/* The same from the first area on that ends behind the address. */
void vm_area_each_from(struct vm_space *space, uint64_t address, vm_area_visit *visit,
                       void *context);

enum vm_page_kind { VM_PAGE_ZERO, VM_PAGE_ANONYMOUS, VM_PAGE_OBJECT };

struct vm_page_view {
    uint64_t address;
    enum vm_page_kind kind;
    bool present;      /* else in swap */
    bool discardable;  /* given to VM_MADV_FREE and not written since */
    uint64_t frame;    /* VM_NO_FRAME when not present */
    uint64_t identity; /* equal exactly when two views show the same page, in memory or in swap */
};

/* Pages of [start, end) that the page tables know, in address order; visit as above. */
typedef bool vm_page_visit(const struct vm_page_view *page, void *context);
void vm_page_each(struct vm_space *space, uint64_t start, uint64_t end, vm_page_visit *visit,
                  void *context);

/*
 * What a load would see at the address, wherever the page is: memory, swap, the object's backing.
 * Stays within one page; asks no permission. => VM_SIGSEGV outside every area, VM_SIGBUS beyond the
 * object's end.
 */
int vm_peek(struct vm_space *space, uint64_t address, void *data, size_t bytes);

/* The same for an object's page. => VM_SIGBUS beyond the end. */
int vm_object_peek(struct vm_object *object, uint64_t offset, void *data, size_t bytes);

/* ---------------------------------------------------------------- designs */

struct vm_design_info {
    const char *name;
    const char *origin; /* where it comes from */
    size_t page_bytes;  /* of those that every frame's descriptor has room for */
    size_t area_bytes;
    size_t space_bytes;
    size_t table_bytes; /* for each leaf table, whatever it maps */
    bool chains; /* it lists the entries of each page: chain_lock may be VM_CHAIN_LOCK_GLOBAL */
    bool object_chains;       /* ... of objects' pages too, if only of those that are out of line:
                                 nonlinear may be VM_NONLINEAR_CHAIN */
    const char *mapping_cost; /* in words: what one more mapping of a page costs */
};

/* Calls visit for every design built in, in the order of their history. */
void vm_design_each(void (*visit)(const struct vm_design_info *design, void *context),
                    void *context);

/* A way in which an object keeps the areas that map it: vm_machine_config.file_index. */
struct vm_file_index_info {
    const char *name;
    const char *origin;
    size_t object_bytes;
    size_t area_bytes;
};

/* Calls visit for every one built in, in the order of their history. */
void vm_file_index_each(void (*visit)(const struct vm_file_index_info *index, void *context),
                        void *context);

#ifdef __cplusplus
}
#endif
#endif
