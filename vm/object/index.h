/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index.h - how an object keeps the areas that map it, so that a page offset leads to them.
 *
 * The kinds are interchangeable (docs/file-index.md); one is chosen for a machine. All calls are made
 * with the object's areas lock held, and none can fail: whatever a kind keeps lies in the object and
 * in the areas. An area's range and pgoff must not change while it is in the index: whoever changes
 * them takes it out and puts it back.
 *
 * Areas are visited in an order of the kind's own. A visitor must not change the index.
 */
#ifndef VM_INDEX_H
#define VM_INDEX_H

#include "vm/machine.h"

struct vm_area;
struct vm_area_index; /* an object's; `object_bytes` of its kind */

/* Returns false to stop. */
typedef bool vm_index_visit(struct vm_area *area, void *context);

struct vm_index_kind {
    const char *name;
    const char *origin;              /* where it comes from */
    size_t object_bytes, area_bytes; /* what it keeps in an object, and in an area */

    void (*init)(struct vm_area_index *index);
    void (*insert)(struct vm_machine *machine, struct vm_area_index *index, struct vm_area *area);
    void (*remove)(struct vm_machine *machine, struct vm_area_index *index, struct vm_area *area);
    /* Visits each area that covers a page of [first, last]. Looking at an area that does not is
     * counted as rmap.range_rejects, every area looked at as rmap.object_visits. */
    void (*each)(struct vm_machine *machine, struct vm_area_index *index, uint64_t first,
                 uint64_t last, vm_index_visit *visit, void *context);
    /* For tests: true if well formed. */
    bool (*check)(struct vm_area_index *index);
};

/* By name; NULL if there is none of this name. The default for NULL. */
const struct vm_index_kind *vm_index_kind_named(const char *name);

#endif
