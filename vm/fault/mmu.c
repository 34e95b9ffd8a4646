/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmu.c - programs on the software MMU: they touch, load and store, and fault where they must.
 *
 * A touch goes through the tables as the hardware would. A load or store of data also needs the
 * frame to stay where it is until the bytes have moved, which on real hardware is one instruction:
 * here the leaf table's lock is held meanwhile, so nobody can take the entry away.
 */
#include "vm/fault/fault.h"
#include "vm/memory.h"

/* An entry may be taken away between fault and access, but not for ever: something is broken then. */
#define PATIENCE 1000

static uint64_t min_u64(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static unsigned pages_left_in_leaf(uint64_t address, uint64_t pages) {
    return (unsigned)min_u64(pages, VM_TABLE_ENTRIES - vm_table_index(address, 0));
}

static unsigned access_run(struct vm_space *space, uint64_t address, unsigned pages,
                           enum vm_access access) {
    struct vm_machine *machine = space->machine;

    vm_read_lock(machine, &space->lock, VM_RANK_SPACE);
    unsigned done = vm_mmu_access_run(machine, space->root, address, pages, access);
    vm_read_unlock(machine, &space->lock, VM_RANK_SPACE);
    return done;
}

int vm_touch(struct vm_space *space, uint64_t address, uint64_t pages, enum vm_access access,
             uint64_t *touched) {
    uint64_t done = 0;
    unsigned vain = 0;
    int error = VM_OK;

    while (done < pages && !error) {
        uint64_t at = address + done * VM_PAGE_SIZE;
        if (at >= VM_ADDRESS_END) {
            error = vm_fault(space, at, access);
            break;
        }
        unsigned want = pages_left_in_leaf(at, pages - done);
        unsigned hit = access_run(space, at, want, access);
        done += hit;
        vain = hit ? 0 : vain + 1;
        VM_ASSERT(space->machine, vain < PATIENCE);
        if (hit < want)
            error = vm_fault(space, at + hit * VM_PAGE_SIZE, access);
    }
    if (touched)
        *touched = done;
    return error;
}

/* Bytes on their way between a program's memory and the caller's. */
struct transfer {
    struct vm_space *space;
    enum vm_access access;
    char *to;         /* VM_READ */
    const char *from; /* VM_WRITE */
};

static void move_bytes(const struct transfer *t, uint64_t frame, uint64_t offset, size_t bytes) {
    struct vm_machine *machine = t->space->machine;
    char *page = vm_frame_map(machine, vm_page_of(machine, frame));

    if (t->access == VM_WRITE) {
        if (page)
            memcpy(page + offset, t->from, bytes);
    } else if (page) {
        memcpy(t->to, page + offset, bytes);
    } else {
        memset(t->to, 0, bytes);
    }
    vm_frame_unmap(machine, page);
}

/* Moves bytes within one page, if the entry allows it. => space lock held */
static bool move_within_page(const struct transfer *t, uint64_t address, size_t bytes) {
    struct vm_machine *machine = t->space->machine;
    struct vm_leaf leaf;
    uint64_t frame;

    if (!vm_table_find(machine, t->space->root, address, &leaf))
        return false;
    vm_lock(machine, &leaf.table->lock, VM_RANK_TABLE);
    bool hit = vm_mmu_access(machine, t->space->root, address, t->access, &frame);
    if (hit)
        move_bytes(t, frame, address & (VM_PAGE_SIZE - 1), bytes);
    vm_unlock(machine, &leaf.table->lock, VM_RANK_TABLE);
    return hit;
}

static int move_or_fault(const struct transfer *t, uint64_t address, size_t bytes) {
    struct vm_machine *machine = t->space->machine;

    for (unsigned vain = 0;; vain++) {
        bool hit = false;
        if (address < VM_ADDRESS_END) {
            vm_read_lock(machine, &t->space->lock, VM_RANK_SPACE);
            hit = move_within_page(t, address, bytes);
            vm_read_unlock(machine, &t->space->lock, VM_RANK_SPACE);
        }
        if (hit)
            return VM_OK;
        int error = vm_fault(t->space, address, t->access);
        if (error)
            return error;
        VM_ASSERT(machine, vain < PATIENCE);
    }
}

static int move(struct transfer t, uint64_t address, size_t bytes) {
    while (bytes > 0) {
        size_t part = (size_t)min_u64(bytes, VM_PAGE_SIZE - (address & (VM_PAGE_SIZE - 1)));
        int error = move_or_fault(&t, address, part);
        if (error)
            return error;
        if (t.access == VM_WRITE)
            t.from += part;
        else
            t.to += part;
        address += part;
        bytes -= part;
    }
    return VM_OK;
}

int vm_read(struct vm_space *space, uint64_t address, void *data, size_t bytes) {
    return move((struct transfer){ .space = space, .access = VM_READ, .to = data }, address, bytes);
}

int vm_write(struct vm_space *space, uint64_t address, const void *data, size_t bytes) {
    return move((struct transfer){ .space = space, .access = VM_WRITE, .from = data }, address,
                bytes);
}
