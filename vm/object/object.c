/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * object.c - the life of an object, its size, and cutting it.
 *
 * An object lives while the embedder or an area refers to it. When the last reference goes no area
 * is left, so no entry maps its pages; but reclaim may still have one of them locked, and relies on
 * the object until it unlocks it. Hence each page is taken out under its lock, and the object is
 * freed after the last.
 *
 * Cutting an object races with faults, which map its pages, and goes in this order:
 *
 *     1. the new size is set          no page beyond it is brought in from here on
 *     2. entries beyond are cleared   in all areas; private copies, too
 *     3. pages beyond are removed     each under its lock. A page is only mapped while locked, by a
 *                                     fault that had it locked before 1, or by a fork that copies an
 *                                     entry past step 2: what is mapped again is unmapped again
 *     4. slots beyond are freed       evicted pages cannot come back, because of 1
 *
 * Several truncations of one object at a time are the embedder's to keep apart, as a file system
 * does with a lock of its own.
 */
#include "vm/object/object.h"

#include "vm/frame/cache.h"
#include "vm/memory.h"
#include "vm/object/transfer.h"
#include "vm/space/area.h"

#define SIZE_MAX_BYTES ((uint64_t)INT64_MAX)

static size_t object_bytes(const struct vm_machine *machine) {
    return sizeof(struct vm_object) + machine->index_kind->object_bytes;
}

int vm_objects_init(struct vm_machine *machine) {
    machine->object_cache =
        vm_cache_create(machine, "objects", VM_COST_OTHER, object_bytes(machine), 16);
    if (!machine->object_cache)
        return VM_ENOMEM;
    machine->radix_cache =
        vm_cache_create(machine, "radix nodes", VM_COST_OTHER, VM_RADIX_NODE_BYTES, 16);
    if (!machine->radix_cache) {
        vm_cache_destroy(machine, machine->object_cache);
        return VM_ENOMEM;
    }
    return VM_OK;
}

void vm_objects_fini(struct vm_machine *machine) {
    VM_ASSERT(machine, vm_link_empty(&machine->objects));
    vm_cache_destroy(machine, machine->radix_cache);
    vm_cache_destroy(machine, machine->object_cache);
}

/* ---------------------------------------------------------------- life */

static int create(struct vm_machine *machine, enum vm_object_kind kind, struct vm_backing *backing,
                  uint64_t size, uint64_t id, struct vm_object **result) {
    if (size > SIZE_MAX_BYTES)
        return VM_EOVERFLOW;
    struct vm_object *object = vm_cache_allocate(machine, machine->object_cache);
    if (!object)
        return VM_ENOMEM;
    memset(object, 0, object_bytes(machine));
    object->machine = machine;
    object->id = id;
    object->kind = kind;
    object->backing = backing;
    atomic_init(&object->references, 1);
    atomic_init(&object->size, size);
    machine->index_kind->init(vm_object_areas(object));
    vm_link_init(&object->nonlinear);

    vm_lock(machine, &machine->lists_lock, VM_RANK_MACHINE);
    vm_link_add_last(&machine->objects, &object->link);
    vm_unlock(machine, &machine->lists_lock, VM_RANK_MACHINE);
    *result = object;
    return VM_OK;
}

int vm_object_open(struct vm_machine *machine, struct vm_backing *backing, uint64_t id,
                   struct vm_object **object) {
    if (!backing || !backing->read || !backing->size)
        return VM_EINVAL;
    int64_t size = backing->size(backing);
    if (size < 0)
        return VM_EIO;
    return create(machine, VM_OBJECT_FILE, backing, (uint64_t)size, id, object);
}

int vm_object_create_shm(struct vm_machine *machine, uint64_t bytes, uint64_t id,
                         struct vm_object **object) {
    return create(machine, VM_OBJECT_SHM, NULL, bytes, id, object);
}

/* Writing back is all that can be done for pages when nobody is left to be told of a failure. */
static void drop_pages(struct vm_object *object) {
    struct vm_machine *machine = object->machine;
    struct vm_page *pages[VM_WRITE_PAGES];
    unsigned n;

    for (uint64_t index = 0;
         (n = vm_object_pages_next(object, &index, UINT64_MAX, pages, VM_WRITE_PAGES)) > 0;) {
        if (object->kind == VM_OBJECT_FILE)
            (void)vm_object_pages_write(object, pages, n);
        vm_object_pages_remove(object, pages, n);
        for (unsigned i = 0; i < n; i++) {
            vm_page_unlock(machine, pages[i]);
            vm_page_put(machine, pages[i]); /* the cache's reference, and ours */
            vm_page_put(machine, pages[i]);
        }
    }
}

static void end(struct vm_object *object) {
    struct vm_machine *machine = object->machine;
    struct vm_backing *backing = object->backing;

    vm_lock(machine, &machine->lists_lock, VM_RANK_MACHINE);
    vm_link_remove(&object->link);
    vm_unlock(machine, &machine->lists_lock, VM_RANK_MACHINE);

    drop_pages(object);
    vm_object_slots_free(object, 0);
    VM_ASSERT(machine, !object->pages.root);
    vm_cache_free(machine, machine->object_cache, object);
    if (backing && backing->close)
        backing->close(backing);
}

void vm_object_get(struct vm_object *object) {
    vm_fetch_add(object->machine, &object->references, 1);
}

void vm_object_put(struct vm_object *object) {
    if (vm_fetch_add(object->machine, &object->references, (uint64_t)0 - 1) == 1)
        end(object);
}

uint64_t vm_object_id(const struct vm_object *object) {
    return object->id;
}

uint64_t vm_object_size(const struct vm_object *object) {
    return atomic_load_explicit(&object->size, memory_order_relaxed);
}

/* ---------------------------------------------------------------- areas */

void vm_object_put_area(struct vm_object *object, struct vm_area *area) {
    struct vm_machine *machine = object->machine;

    if (vm_area_is_nonlinear(area))
        vm_link_add_last(&object->nonlinear, &(*vm_area_nonlinear(machine, area))->link);
    else
        machine->index_kind->insert(machine, vm_object_areas(object), area);
}

void vm_object_take_area(struct vm_object *object, struct vm_area *area) {
    struct vm_machine *machine = object->machine;

    if (vm_area_is_nonlinear(area))
        vm_link_remove(&(*vm_area_nonlinear(machine, area))->link);
    else
        machine->index_kind->remove(machine, vm_object_areas(object), area);
}

void vm_object_link_area(struct vm_object *object, struct vm_area *area) {
    struct vm_machine *machine = object->machine;

    vm_lock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
    vm_object_put_area(object, area);
    VM_ASSERT_EXPENSIVE(machine, machine->index_kind->check(vm_object_areas(object)));
    vm_unlock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
}

void vm_object_unlink_area(struct vm_object *object, struct vm_area *area) {
    struct vm_machine *machine = object->machine;

    vm_lock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
    vm_object_take_area(object, area);
    VM_ASSERT_EXPENSIVE(machine, machine->index_kind->check(vm_object_areas(object)));
    vm_unlock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
}

/* ---------------------------------------------------------------- size */

static void store_size(struct vm_object *object, uint64_t bytes) {
    vm_preempt(object->machine, &object->size);
    atomic_store_explicit(&object->size, bytes, memory_order_relaxed);
}

/* Stores the size if the page across `end`, which the caller could not lock, is not there. */
static bool set_size_without_page(struct vm_object *object, uint64_t bytes, uint64_t end) {
    struct vm_machine *machine = object->machine;

    vm_lock(machine, &object->pages_lock, VM_RANK_OBJECT_PAGES);
    bool absent = end % VM_PAGE_SIZE == 0 || !vm_radix_get(&object->pages, end >> VM_PAGE_SHIFT);
    if (absent)
        store_size(object, bytes);
    vm_unlock(machine, &object->pages_lock, VM_RANK_OBJECT_PAGES);
    return absent;
}

static void set_size_with_page(struct vm_object *object, uint64_t bytes, struct vm_page *page,
                               uint64_t end) {
    struct vm_machine *machine = object->machine;

    vm_lock(machine, &object->pages_lock, VM_RANK_OBJECT_PAGES);
    store_size(object, bytes);
    vm_unlock(machine, &object->pages_lock, VM_RANK_OBJECT_PAGES);
    vm_object_page_cut(machine, page, end);
}

/*
 * Sets the size, and zeroes the rest of the page that lies across the lower of the two ends:
 *
 *     shrinking   |====== old ======|        growing   |=== old ===|
 *                 |== new ==|000|                      |===== new ==|000| ... |
 *
 * The latter because programs may write behind the end of a file within its last page. An evicted
 * page is brought in for this: that may fail, so it comes first.
 */
static int set_size(struct vm_object *object, uint64_t bytes) {
    struct vm_machine *machine = object->machine;
    uint64_t old = vm_object_size(object);
    uint64_t lower_end = old < bytes ? old : bytes;

    for (;;) {
        struct vm_page *page = NULL;
        int error = VM_OK;
        if (lower_end % VM_PAGE_SIZE != 0)
            error = vm_object_page_kept(object, lower_end >> VM_PAGE_SHIFT, &page);
        if (error)
            return error == VM_SIGBUS ? VM_EIO : error;
        if (page) {
            set_size_with_page(object, bytes, page, lower_end);
            vm_page_unlock(machine, page);
            vm_page_put(machine, page);
            return VM_OK;
        }
        if (set_size_without_page(object, bytes, lower_end))
            return VM_OK;
    }
}

static void cut_page_off(struct vm_page *page, void *context) {
    struct vm_object *object = context;

    while (vm_page_mapcount(page))
        vm_object_unmap_from(object, page->index);
    vm_object_page_remove(object, page);
}

int vm_object_truncate(struct vm_object *object, uint64_t bytes) {
    uint64_t old_end = vm_object_page_end(object);

    if (bytes > SIZE_MAX_BYTES)
        return VM_EOVERFLOW;
    int error = set_size(object, bytes);
    if (error)
        return error;
    uint64_t new_end = vm_object_page_end(object);
    if (new_end < old_end) {
        vm_object_unmap_from(object, new_end);
        vm_object_pages_each(object, new_end, UINT64_MAX, cut_page_off, object);
        /* Faults that had a page locked before may have left private copies of it behind the first pass. */
        if (object->machine->config.cpus > 1)
            vm_object_unmap_from(object, new_end);
        vm_object_slots_free(object, new_end);
        vm_settle(object->machine);
    }
    return VM_OK;
}
