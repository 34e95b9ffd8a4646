/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nodes.c - moving the pages of a range to a node.
 *
 * The pages to move are taken down a batch at a time, under the leaf table's lock, and moved with no
 * spinning lock held (reclaim/migrate.c). A page that somebody is at work on gets other chances, after
 * the rest of its batch. The space lock, held for reading, keeps areas and tables in place.
 */
#include "vm/object/swap.h"
#include "vm/reclaim/reclaim.h"
#include "vm/space/space.h"

#define BATCH  32
#define ROUNDS 10

struct moving {
    struct vm_machine *machine;
    unsigned node;
    unsigned count; /* pages at hand, each with a reference */
    struct vm_page *pages[BATCH];
    uint64_t moved, busy;
};

static bool at_hand(const struct moving *moving, const struct vm_page *page) {
    unsigned i = 0;

    while (i < moving->count && moving->pages[i] != page)
        i++;
    return i < moving->count;
}

/* => leaf locked */
static void collect_entry(struct moving *moving, vm_pte entry) {
    struct vm_machine *machine = moving->machine;

    if (!vm_pte_present(entry))
        return;
    struct vm_page *page = vm_page_of(machine, vm_pte_frame(entry));
    if (vm_page_is(page, VM_PAGE_RESERVED) || vm_page_node(machine, page) == moving->node ||
        at_hand(moving, page))
        return;
    vm_page_get(machine, page);
    moving->pages[moving->count++] = page;
}

/* Up to BATCH pages of a run; *position becomes where to go on. */
static void collect(struct moving *moving, const struct vm_table_cursor *at, unsigned *position) {
    vm_lock(moving->machine, &at->table->lock, VM_RANK_TABLE);
    for (; *position < at->count && moving->count < BATCH; ++*position)
        collect_entry(moving, vm_pte_read(&at->entries[*position]));
    vm_unlock(moving->machine, &at->table->lock, VM_RANK_TABLE);
}

/* Those that are busy stay at hand. Ends with the first that cannot be moved for want of memory. */
static int move_those_at_hand(struct moving *moving) {
    unsigned busy = 0, i = 0;
    int error = VM_OK;

    for (; i < moving->count && !error; i++) {
        struct vm_page *page = moving->pages[i];
        error = vm_page_migrate(moving->machine, page, moving->node);
        moving->moved += error == VM_OK;
        if (error == VM_EAGAIN) {
            moving->pages[busy++] = page;
            error = VM_OK;
        } else {
            vm_swap_page_put(moving->machine, page);
        }
    }
    for (; i < moving->count; i++)
        moving->pages[busy++] = moving->pages[i];
    moving->count = busy;
    return error;
}

static int move_batch(struct moving *moving) {
    int error = VM_OK;

    for (unsigned round = 0; round < ROUNDS && moving->count && !error; round++)
        error = move_those_at_hand(moving);
    for (unsigned i = 0; i < moving->count; i++)
        vm_swap_page_put(moving->machine, moving->pages[i]);
    moving->busy += moving->count;
    moving->count = 0;
    return error;
}

static int move_piece(struct moving *moving, struct vm_space *space, uint64_t start, uint64_t end) {
    struct vm_table_cursor at = vm_table_cursor(space->root, start, end);
    int error = VM_OK;

    while (!error && vm_table_next(moving->machine, &at))
        for (unsigned position = 0; position < at.count && !error;) {
            collect(moving, &at, &position);
            error = move_batch(moving);
        }
    return error;
}

static int move_range(struct moving *moving, struct vm_space *space, uint64_t start, uint64_t end) {
    uint64_t position = start;
    bool hole = false;

    for (struct vm_area *area = vm_area_find(space, start); area && area->start < end;
         area = vm_area_next(area)) {
        uint64_t from = area->start > start ? area->start : start;
        uint64_t to = area->end < end ? area->end : end;
        int error = move_piece(moving, space, from, to);
        if (error)
            return error;
        hole |= from > position;
        position = to;
    }
    if (hole || position < end)
        return VM_EFAULT;
    return moving->busy ? VM_EAGAIN : VM_OK;
}

int vm_move_pages(struct vm_space *space, uint64_t address, uint64_t length, unsigned node,
                  uint64_t *moved) {
    struct vm_machine *machine = space->machine;
    struct moving moving = { .machine = machine, .node = node };
    uint64_t end;

    if (moved)
        *moved = 0;
    if (node >= machine->node_count || address & (VM_PAGE_SIZE - 1) ||
        !vm_range_round(address, length, &end))
        return VM_EINVAL;
    vm_read_lock(machine, &space->lock, VM_RANK_SPACE);
    int error = move_range(&moving, space, address, end);
    vm_read_unlock(machine, &space->lock, VM_RANK_SPACE);
    vm_settle(machine);
    if (moved)
        *moved = moving.moved;
    return error;
}
