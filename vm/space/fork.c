/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork.c - fork, exec, exit.
 *
 * fork copies areas, and of their entries those that a fault could not rebuild: entries of areas
 * that have had anonymous pages or are nonlinear (all entries when the machine copies eagerly). A
 * private entry is write-protected on both sides, so the first to write gets a copy. Per page that
 * is one entry read, one written, and one addition to the page's counts; what the design adds to it
 * is its own affair, told in one run per leaf table.
 *
 * The parent's space lock is held for writing all the way: its areas and tables stand still, and
 * only reclaim and truncation may take entries out meanwhile, under the leaf's lock. An entry that
 * is frozen is not copied: fork waits until its page has been moved (reclaim/migrate.c).
 */
#include "vm/object/swap.h"
#include "vm/space/space.h"

#define PREFETCH_AHEAD 8

/* One leaf table's part of an area, on its way from parent to child. */
struct copy {
    struct vm_machine *machine;
    bool private; /* write-protect both sides */
    int used, present;
    bool protected;          /* some entry of the parent lost its write bit */
    struct vm_page *waiting; /* the entry that the copy stopped at is frozen: its page */
};

static vm_pte copy_present(struct copy *copy, vm_pte_slot *slot, vm_pte entry) {
    struct vm_machine *machine = copy->machine;
    struct vm_page *page = vm_page_of(machine, vm_pte_frame(entry));

    if (vm_page_is(page, VM_PAGE_RESERVED))
        return entry;
    if (!copy->private)
        entry &= ~VM_PTE_DIRTY; /* the parent's entry still tells */
    else if (vm_pte_writable(entry)) {
        entry = vm_pte_clear_bits(machine, slot, VM_PTE_WRITE) & ~VM_PTE_WRITE;
        copy->protected = true;
    }
    vm_page_adjust(machine, page, VM_ONE_MAPPING);
    return entry & ~VM_PTE_ACCESSED;
}

static vm_pte copy_entry(struct copy *copy, vm_pte_slot *slot) {
    vm_pte entry = vm_pte_read(slot);

    if (vm_pte_present(entry)) {
        if (vm_pte_frozen(entry)) {
            copy->waiting = vm_page_of(copy->machine, vm_pte_frame(entry));
            return 0;
        }
        copy->present++;
        entry = copy_present(copy, slot, entry);
    } else if (vm_pte_is_swap(entry)) {
        vm_swap_duplicate(copy->machine, vm_pte_swap_slot(entry), 1);
    }
    return entry;
}

static void prefetch_descriptor(struct vm_machine *machine, vm_pte_slot *slot) {
    vm_pte entry = vm_pte_read(slot);
    if (vm_pte_present(entry))
        __builtin_prefetch(vm_page_of(machine, vm_pte_frame(entry)), 1);
}

/* Copies the entries of [*next, run's end) of the parent's run up to the first that is frozen, which
 * *next becomes; the run's end if none is. => both leaves' locks are held, the child's entries are
 * empty */
static void copy_leaf(struct copy *copy, struct vm_area *parent, const struct vm_table_cursor *from,
                      struct vm_area *child, const struct vm_leaf *to, unsigned *next,
                      struct vm_reserve *reserve) {
    vm_pte entries[VM_TABLE_ENTRIES];
    unsigned begin = *next, i = begin;

    copy->used = copy->present = 0;
    copy->waiting = NULL;
    for (; i < from->count; i++) {
        if (i + PREFETCH_AHEAD < from->count)
            prefetch_descriptor(copy->machine, &from->entries[i + PREFETCH_AHEAD]);
        entries[i - begin] = copy_entry(copy, &from->entries[i]);
        if (entries[i - begin]) {
            vm_pte_write(&to->entries[from->first + i], entries[i - begin]);
            copy->used++;
        } else if (copy->waiting) {
            break;
        }
    }
    if (copy->used) {
        struct vm_run source = { .area = parent,
                                 .table = from->table,
                                 .address = from->address + begin * VM_PAGE_SIZE,
                                 .first = from->first + begin,
                                 .count = i - begin,
                                 .entries = entries };
        struct vm_run copied = source;
        copied.area = child;
        copied.table = to->table;
        vm_table_account(to->table, copy->used, copy->present);
        vm_rmap_duplicate(copy->machine, &source, &copied, reserve);
        vm_count(copy->machine, entries.copied, (uint64_t)copy->used);
    }
    *next = i;
}

/* At most so many entries; none will be added meanwhile. */
static unsigned to_copy(const struct vm_table_cursor *from) {
    unsigned present = __atomic_load_n(&from->table->present, __ATOMIC_RELAXED);

    return from->count < present ? from->count : present;
}

/* Making the child's table may reclaim, and so change the parent's entries: hence before the locks. */
static int copy_run(struct vm_area *parent, const struct vm_table_cursor *from,
                    struct vm_area *child, struct vm_reserve *reserve, bool *protected) {
    enum vm_reserve_for what =
        vm_area_is(parent, VM_AREA_HAS_ANON) ? VM_RESERVE_ANY : VM_RESERVE_OBJECT;
    struct vm_machine *machine = parent->space->machine;
    struct copy copy = { .machine = machine, .private = !vm_area_shared(parent) };
    struct vm_leaf to;
    bool empty = false;
    int error = vm_table_ensure(machine, child->space->root, from->address, &to);

    if (!error)
        error = vm_rmap_reserve(machine, reserve, what, to_copy(from));
    if (error)
        return error;
    for (unsigned next = 0; next < from->count;) {
        vm_lock(machine, &from->table->lock, VM_RANK_TABLE);
        vm_lock(machine, &to.table->lock, VM_RANK_TABLE_SECOND);
        copy_leaf(&copy, parent, from, child, &to, &next, reserve);
        empty = to.table->used == 0;
        vm_unlock(machine, &to.table->lock, VM_RANK_TABLE_SECOND);
        vm_unlock(machine, &from->table->lock, VM_RANK_TABLE);
        if (copy.waiting)
            vm_page_wait_unlocked(machine, copy.waiting);
    }
    *protected |= copy.protected;
    if (empty) /* reclaim was quicker */
        vm_space_note_empty_table(child->space);
    return VM_OK;
}

static int copy_entries(struct vm_area *parent, struct vm_area *child) {
    struct vm_machine *machine = parent->space->machine;
    struct vm_table_cursor from = vm_table_cursor(parent->space->root, parent->start, parent->end);
    struct vm_reserve reserve = { 0 };
    bool protected = false;
    int error = VM_OK;

    while (!error && vm_table_next(machine, &from))
        if (!vm_table_seems_empty(from.table))
            error = copy_run(parent, &from, child, &reserve, &protected);
    vm_rmap_unreserve(machine, &reserve);
    if (protected)
        vm_space_flush(parent->space, parent->start, parent->end);
    return error;
}

static bool must_copy_entries(const struct vm_area *area) {
    return vm_area_flags(area) & (VM_AREA_HAS_ANON | VM_AREA_NONLINEAR) ||
           area->space->machine->config.fork_copy == VM_FORK_EAGER;
}

/* The child's area is in place, known to design and object, before it gets entries: whoever
 * looks for a page meanwhile may find the area without an entry, never an entry without area. */
static int copy_area(struct vm_area *parent, struct vm_space *space) {
    const struct vm_design *design = space->machine->design;
    struct vm_area *child = vm_area_allocate(space, parent->start, parent->end,
                                             vm_area_flags(parent) & ~(uint32_t)VM_AREA_LOCKED,
                                             parent->object, parent->pgoff);
    if (!child)
        return VM_ENOMEM;

    int error = design->area_forked ? design->area_forked(parent, child) : VM_OK;
    if (error) {
        vm_area_free(child);
        return error;
    }
    vm_area_insert(child);
    return must_copy_entries(parent) ? copy_entries(parent, child) : VM_OK;
}

static int copy_areas(struct vm_space *parent, struct vm_space *child) {
    int error = VM_OK;

    for (struct vm_area *area = vm_area_first(parent); area && !error; area = vm_area_next(area))
        if (!(vm_area_flags(area) & VM_AREA_DONTFORK))
            error = copy_area(area, child);
    child->heap_start = parent->heap_start;
    child->heap_end = parent->heap_end;
    return error;
}

int vm_fork(struct vm_space *parent, uint64_t id, struct vm_space **result) {
    struct vm_machine *machine = parent->machine;
    struct vm_space *child = NULL;

    vm_write_lock(machine, &parent->lock, VM_RANK_SPACE);
    int error = vm_space_allocate(machine, id, parent, &child);
    if (!error) {
        vm_write_lock(machine, &child->lock, VM_RANK_SPACE_CHILD);
        error = copy_areas(parent, child);
        if (error) {
            vm_space_retire(child);
            vm_unmap_range(child, 0, VM_ADDRESS_END);
        }
        vm_write_unlock(machine, &child->lock, VM_RANK_SPACE_CHILD);
    }
    vm_write_unlock(machine, &parent->lock, VM_RANK_SPACE);

    if (!error) {
        vm_space_publish(child);
        *result = child;
    } else if (child) {
        vm_space_free(child);
    }
    vm_settle(machine);
    return error;
}

int vm_exec(struct vm_space *space) {
    struct vm_machine *machine = space->machine;

    vm_write_lock(machine, &space->lock, VM_RANK_SPACE);
    vm_unmap_range(space, 0, VM_ADDRESS_END);
    space->heap_start = space->heap_end = 0;
    int error = machine->design->space_emptied ? machine->design->space_emptied(space) : VM_OK;
    vm_write_unlock(machine, &space->lock, VM_RANK_SPACE);
    return error;
}

void vm_exit(struct vm_space *space) {
    struct vm_machine *machine = space->machine;

    vm_space_retire(space);
    vm_write_lock(machine, &space->lock, VM_RANK_SPACE);
    vm_unmap_range(space, 0, VM_ADDRESS_END);
    vm_write_unlock(machine, &space->lock, VM_RANK_SPACE);
    vm_space_free(space);
}
