/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rig.h - a machine with frames, objects and swap but no spaces, for tests of objects alone.
 *
 * Memory, the swap device and every file fail as planned (posix/failing.h). What the library has
 * taken from the port is counted, and all of it must be back when the rig goes.
 */
#ifndef OBJRMAP_TESTS_OBJECT_RIG_H
#define OBJRMAP_TESTS_OBJECT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <objrmap/posix.h>
#include <objrmap/rmap.h>

#include "posix/failing.h"

#include "vm/frame/cache.h"
#include "vm/object/object.h"
#include "vm/object/swap.h"
#include "vm/space/area.h"

struct rig {
    struct failing_port memory; /* first: the port leads back here */
    void *(*allocate)(struct vm_port *port, size_t bytes, size_t alignment);
    void (*release)(struct vm_port *port, void *block, size_t bytes);
    _Atomic int64_t lent; /* bytes */
    struct posix_port posix;
    struct failing_backing swap;
    struct vm_machine *machine;
};

static inline void *rig_allocate(struct vm_port *port, size_t bytes, size_t alignment) {
    struct rig *rig = (struct rig *)port;
    void *block = rig->allocate(port, bytes, alignment);
    if (block) {
        memset(block, 0xa5, bytes < 65536 ? bytes : 65536); /* ports need not clear */
        atomic_fetch_add(&rig->lent, (int64_t)bytes);
    }
    return block;
}

static inline void rig_release(struct vm_port *port, void *block, size_t bytes) {
    struct rig *rig = (struct rig *)port;
    atomic_fetch_sub(&rig->lent, (int64_t)bytes);
    rig->release(port, block, bytes);
}

struct rig_plan {
    uint64_t frames;
    uint64_t swap_pages;
    unsigned cpus;
    enum vm_contents contents;
    unsigned readahead; /* 0: none */
};

static inline struct rig *rig_create(struct rig_plan plan) {
    struct rig *rig = calloc(1, sizeof *rig);
    struct vm_machine *machine = calloc(1, sizeof *machine);

    assert_non_null(rig);
    assert_non_null(machine);
    posix_port_init(&rig->posix, plan.cpus);
    failing_port_init(&rig->memory, &rig->posix.port);
    rig->allocate = rig->memory.port.allocate;
    rig->release = rig->memory.port.release;
    rig->memory.port.allocate = rig_allocate;
    rig->memory.port.release = rig_release;
    if (plan.swap_pages)
        failing_backing_init(&rig->swap, posix_memory_open(plan.swap_pages * VM_PAGE_SIZE));

    rig->machine = machine;
    machine->port = &rig->memory.port;
    machine->config.port = machine->port;
    machine->config.frames = plan.frames;
    machine->config.contents = plan.contents;
    machine->config.cpus = plan.cpus;
    machine->config.swap_pages = plan.swap_pages;
    machine->config.swap_readahead = plan.readahead ? plan.readahead : 1;
    machine->config.swap = plan.swap_pages ? &rig->swap.backing : NULL;
    machine->smp = plan.cpus > 1;
    machine->index_kind = vm_index_kind_named(NULL);
    machine->area_index_offset = sizeof(struct vm_area);
    vm_link_init(&machine->emptied);
    vm_link_init(&machine->objects);
    assert_int_equal(vm_frames_init(machine), VM_OK);
    assert_int_equal(vm_objects_init(machine), VM_OK);
    assert_int_equal(vm_swap_init(machine), VM_OK);
    return rig;
}

static inline void rig_destroy(struct rig *rig) {
    struct vm_machine *machine = rig->machine;

    assert_true(vm_link_empty(&machine->objects));
    assert_int_equal(vm_swap_used(machine), 0);
    assert_int_equal(vm_frames_check(machine), 0);
    vm_swap_fini(machine);
    vm_objects_fini(machine);
    vm_frames_fini(machine);
    assert_int_equal(atomic_load(&rig->lent), 0);
    if (rig->swap.backing.close)
        rig->swap.backing.close(&rig->swap.backing);
    free(machine);
    free(rig);
}

/* Frames in use, whether by pages or waiting on a CPU's list. */
static inline uint64_t rig_frames_used(const struct rig *rig) {
    return rig->machine->config.frames - vm_frames_free(rig->machine);
}

static inline void rig_unlock_and_put(struct rig *rig, struct vm_page *page) {
    vm_page_unlock(rig->machine, page);
    vm_page_put(rig->machine, page);
}

/* What reclaim does with an unmapped page of shared memory. => locked, held */
static inline int rig_swap_out(struct rig *rig, struct vm_page *page) {
    struct vm_machine *machine = rig->machine;
    int error = VM_OK;

    if (!vm_page_is(page, VM_PAGE_DIRTY)) {
        vm_object_page_remove(page->object, page);
        return VM_OK;
    }
    error = vm_swap_cache_add(machine, page);
    if (error)
        return error;
    error = vm_swap_write(machine, &page, 1);
    if (error)
        vm_swap_cache_remove(machine, page);
    else
        vm_object_page_leave_slot(page->object, page);
    return error;
}

static inline void rig_fill(struct rig *rig, struct vm_page *page, int byte) {
    memset(vm_frame_map(rig->machine, page), byte, VM_PAGE_SIZE);
}

/* Whether bytes [from, to) of the page are all `byte`. */
static inline bool rig_page_is(struct rig *rig, struct vm_page *page, uint64_t from, uint64_t to,
                               int byte) {
    const unsigned char *contents = vm_frame_map(rig->machine, page);
    for (uint64_t i = from; i < to; i++)
        if (contents[i] != (unsigned char)byte)
            return false;
    return true;
}

/* Plays the entry that maps a page. */
static inline void rig_map(struct rig *rig, struct vm_page *page) {
    vm_page_adjust(rig->machine, page, VM_ONE_MAPPING);
}

static inline void rig_unmap(struct rig *rig, struct vm_page *page) {
    if (vm_page_adjust(rig->machine, page, (uint64_t)0 - VM_ONE_MAPPING) == 0)
        vm_page_free(rig->machine, page);
}

#endif
