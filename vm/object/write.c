/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * write.c - writing a file's dirty pages back, neighbours in one go.
 *
 * A page counts as clean from before it is written. Its entries are write-protected, and it is
 * locked, so that nobody makes it dirty meanwhile; if the write fails it is dirty again, and the
 * object remembers for the next msync, once for all.
 */
#include "vm/object/object.h"
#include "vm/object/transfer.h"

/* How many pages from the first on are dirty neighbours. */
static unsigned dirty_run(struct vm_page *const *pages, unsigned n) {
    unsigned run = 0;

    while (run < n && run < VM_WRITE_PAGES && vm_page_is(pages[run], VM_PAGE_DIRTY) &&
           pages[run]->index == pages[0]->index + run)
        run++;
    return run;
}

/* How many of a run's pages lie within the object; others are about to be cut off. */
static unsigned pages_within(const struct vm_object *object, uint64_t first, unsigned run) {
    uint64_t end = vm_object_page_end(object);

    if (end <= first)
        return 0;
    return end - first < run ? (unsigned)(end - first) : run;
}

static int write_run(struct vm_object *object, struct vm_page *const *pages, unsigned run) {
    struct vm_machine *machine = object->machine;
    uint64_t first = pages[0]->index;
    unsigned within = pages_within(object, first, run), lost = 0;

    for (unsigned i = 0; i < run; i++)
        vm_page_clear(machine, pages[i], VM_PAGE_DIRTY);
    if (within == 0)
        return VM_OK;
    vm_object_page_cut(machine, pages[within - 1], vm_object_size(object));
    struct vm_transfer transfer = vm_transfer_out(machine, object->backing, first, pages, within);
    for (unsigned i = 0; i < within; i++) {
        if (!(transfer.lost >> i & 1))
            continue;
        vm_page_set(machine, pages[i], VM_PAGE_DIRTY);
        lost++;
    }
    vm_count(machine, reclaim.file_writes, transfer.writes);
    vm_count(machine, reclaim.written, within - lost);
    if (!transfer.failed)
        return VM_OK;
    atomic_store_explicit(&object->write_failed, 1, memory_order_relaxed);
    return VM_EIO;
}

int vm_object_pages_write(struct vm_object *object, struct vm_page *const *pages, unsigned n) {
    int error = VM_OK;

    for (unsigned i = 0, run; i < n; i += run ? run : 1) {
        run = dirty_run(pages + i, n - i);
        if (run > 0 && write_run(object, pages + i, run) != VM_OK)
            error = VM_EIO;
    }
    return error;
}
