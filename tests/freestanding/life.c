/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * life.c - a machine's life without a C library: map, touch, fork, copy on write, swap, exit.
 *
 * Ends with 0, or with the number of the step that went wrong.
 */
#include <objrmap/rmap.h>
#include <objrmap/stats.h>
#include <objrmap/vm.h>

#include "stub_port.h"

enum { FRAMES = 512, PAGES = 200, SWAP_PAGES = 1024, BASE = 0x400000 };

static unsigned char swap_pages[SWAP_PAGES][VM_PAGE_SIZE];

static int swap_read(struct vm_backing *backing, uint64_t page, void *data) {
    (void)backing;
    unsigned char *to = data;
    for (size_t i = 0; i < VM_PAGE_SIZE; i++)
        to[i] = swap_pages[page][i];
    return 0;
}

static int swap_write(struct vm_backing *backing, uint64_t page, const void *data) {
    (void)backing;
    const unsigned char *from = data;
    for (size_t i = 0; i < VM_PAGE_SIZE; i++)
        swap_pages[page][i] = from[i];
    return 0;
}

static int64_t swap_size(struct vm_backing *backing) {
    (void)backing;
    return sizeof(swap_pages);
}

static bool fill(struct vm_space *space, unsigned salt) {
    for (unsigned i = 0; i < PAGES; i++) {
        unsigned value = i * 7 + salt;
        if (vm_write(space, BASE + i * VM_PAGE_SIZE + 4 * (i % 1000), &value, sizeof(value)) !=
            VM_OK)
            return false;
    }
    return true;
}

static bool holds(struct vm_space *space, unsigned salt) {
    for (unsigned i = 0; i < PAGES; i++) {
        unsigned value = 0;
        if (vm_read(space, BASE + i * VM_PAGE_SIZE + 4 * (i % 1000), &value, sizeof(value)) !=
                VM_OK ||
            value != i * 7 + salt)
            return false;
    }
    return true;
}

static void count_place(const struct vm_mapped_at *place, void *context) {
    (void)place;
    ++*(unsigned *)context;
}

static void count_difference(const char *difference, void *context) {
    (void)difference;
    ++*(unsigned *)context;
}

static int family(struct vm_machine *machine) {
    struct vm_space *parent, *child;
    uint64_t at;
    if (vm_space_create(machine, 1, &parent) != VM_OK)
        return 2;
    if (vm_mmap(parent, BASE, PAGES * VM_PAGE_SIZE, VM_PROT_READ | VM_PROT_WRITE,
                VM_MAP_PRIVATE | VM_MAP_FIXED, NULL, 0, &at) != VM_OK)
        return 3;
    if (!fill(parent, 1))
        return 4;
    if (vm_fork(parent, 2, &child) != VM_OK)
        return 5;
    unsigned places = 0;
    vm_page_mappings(machine, vm_frame_at(parent, BASE), count_place, &places);
    if (places != 2)
        return 6;
    if (!fill(child, 2) || !holds(parent, 1))
        return 7;
    if (vm_reclaim(machine, PAGES) == 0)
        return 8;
    if (!holds(parent, 1) || !holds(child, 2))
        return 9;
    unsigned differences = 0;
    if (vm_verify(machine, count_difference, &differences) != 0 || differences != 0)
        return 10;
    vm_exit(parent);
    if (!holds(child, 2))
        return 11;
    vm_exit(child);
    return 0;
}

static const char *design_names[8];
static unsigned designs;

static void note_design(const struct vm_design_info *design, void *context) {
    (void)context;
    if (designs < 8)
        design_names[designs++] = design->name;
}

int life(void) {
    struct vm_backing swap = { .read = swap_read, .write = swap_write, .size = swap_size };
    vm_design_each(note_design, NULL);
    if (designs == 0)
        return 20;
    for (unsigned i = 0; i < designs; i++) {
        struct vm_machine *machine;
        struct vm_machine_config config = {
            .port = &stub_port,
            .frames = FRAMES,
            .design = design_names[i],
            .swap = &swap,
            .swap_pages = SWAP_PAGES,
        };
        if (vm_machine_create(&config, &machine, NULL) != VM_OK)
            return 21;
        int step = family(machine);
        vm_machine_destroy(machine);
        if (step)
            return step;
        if (stub_blocks_live != 0)
            return 22;
    }
    return 0;
}
