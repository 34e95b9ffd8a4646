/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * table.c - making, finding and freeing page tables.
 *
 * Upper entries are present, writable and the user's; what an access may do stands in the leaf. The
 * counts of an upper table are those of its children: an upper table that holds nothing has none.
 *
 * Locks: a new table is hung into its parent under the parent's lock, after it was allocated; who
 * finds that somebody else was faster frees its own. An upper entry, once present, stays until a
 * prune, which excludes faults by the space lock. Walkers of the reverse map hold no space lock;
 * they hold what keeps their area alive until they have the leaf's lock, and prune takes that lock
 * once before the leaf goes. => whoever prunes near areas that walkers can find holds the lock
 * under which those find a leaf (space->areas_lock)
 */
#include "vm/table/walk.h"

static struct vm_table *describe(struct vm_page *page, struct vm_space *space, uint64_t address,
                                 unsigned level) {
    struct vm_table *table = vm_table_of_page(page);
    atomic_init(&table->lock.word, 0);
    table->space = space;
    table->address = address;
    table->companion = 0;
    table->present = table->used = 0;
    table->level = (uint8_t)level;
    return table;
}

static struct vm_table *create(struct vm_machine *machine, struct vm_space *space, uint64_t address,
                               unsigned level) {
    struct vm_page *page = vm_frame_alloc_table(machine);
    if (!page)
        return NULL;
    struct vm_table *table = describe(page, space, address, level);
    if (level > 0 || !machine->leaf_made || machine->leaf_made(machine, table) == VM_OK)
        return table;
    vm_frame_free_table(machine, page);
    return NULL;
}

struct vm_table *vm_table_create_root(struct vm_machine *machine, struct vm_space *space) {
    return create(machine, space, 0, VM_LEVELS - 1);
}

/* => it holds nothing, and nobody can reach it */
static void free_table(struct vm_machine *machine, struct vm_table *table) {
    VM_ASSERT(machine, table->used == 0 && table->present == 0);
    if (table->level == 0 && machine->leaf_freed)
        machine->leaf_freed(machine, table);
    vm_frame_free_table(machine, vm_table_page(table));
}

void vm_tables_free(struct vm_machine *machine, struct vm_table *dead) {
    while (dead) {
        struct vm_table *next = dead->next_dead;
        free_table(machine, dead);
        dead = next;
    }
}

/* Nobody runs in the space, so no CPU has anything of it cached. */
void vm_table_free_root(struct vm_machine *machine, struct vm_table *root) {
    vm_tables_free(machine, vm_table_prune(machine, root, 0, VM_ADDRESS_END));
    free_table(machine, root);
}

uint64_t vm_table_end(const struct vm_table *table) {
    return table->address + vm_table_span(table->level);
}

/* ---------------------------------------------------------------- finding */

static struct vm_table *table_at(const struct vm_machine *machine, vm_pte upper) {
    return vm_table_of_page(vm_page_of(machine, vm_pte_frame(upper)));
}

static void set_leaf(const struct vm_machine *machine, struct vm_leaf *leaf, vm_pte upper) {
    leaf->table = table_at(machine, upper);
    leaf->entries = vm_frame_map_number(machine, vm_pte_frame(upper));
}

bool vm_table_find(struct vm_machine *machine, struct vm_table *root, uint64_t address,
                   struct vm_leaf *leaf) {
    vm_pte upper;
    if (vm_walk(machine, vm_table_entries(machine, root), address, &upper) > 0)
        return false;
    set_leaf(machine, leaf, upper);
    return true;
}

/* ---------------------------------------------------------------- making */

/* Hangs a new table into the slot. False: no memory. True: there is one now, ours or not. */
static bool add_child(struct vm_machine *machine, struct vm_table *parent, vm_pte_slot *slot,
                      uint64_t address) {
    unsigned level = parent->level - 1u;
    struct vm_table *child =
        create(machine, parent->space, address & ~(vm_table_span(level) - 1), level);
    if (!child)
        return false;
    vm_lock(machine, &parent->lock, VM_RANK_TABLE);
    bool ours = !vm_pte_present(vm_pte_read(slot));
    if (ours) {
        vm_pte_write(slot, vm_pte_make(vm_table_frame(machine, child), VM_UPPER_BITS));
        vm_table_account(parent, 1, 1);
    }
    vm_unlock(machine, &parent->lock, VM_RANK_TABLE);
    if (!ours)
        free_table(machine, child);
    return true;
}

int vm_table_ensure(struct vm_machine *machine, struct vm_table *root, uint64_t address,
                    struct vm_leaf *leaf) {
    if (vm_table_find(machine, root, address, leaf))
        return VM_OK;
    struct vm_table *table = root;
    while (table->level > 0) {
        vm_pte_slot *slot =
            vm_table_entries(machine, table) + vm_table_index(address, table->level);
        if (!vm_pte_present(vm_upper_read(slot)) && !add_child(machine, table, slot, address))
            return VM_OOM;
        table = table_at(machine, vm_upper_read(slot));
    }
    leaf->table = table;
    leaf->entries = vm_table_entries(machine, table);
    return VM_OK;
}

/* ---------------------------------------------------------------- freeing */

/* Takes an empty child out of its parent. Reclaim may be emptying it, or a walker looking at it: both
 * hold the child's lock, so they have finished before it goes. */
static bool remove_if_empty(struct vm_machine *machine, struct vm_table *parent, vm_pte_slot *slot,
                            struct vm_table *child) {
    vm_lock(machine, &parent->lock, VM_RANK_TABLE);
    vm_lock(machine, &child->lock, VM_RANK_TABLE_SECOND);
    bool empty = child->used == 0;
    if (empty) {
        vm_pte_write(slot, 0);
        vm_table_account(parent, -1, -1);
    }
    vm_unlock(machine, &child->lock, VM_RANK_TABLE_SECOND);
    vm_unlock(machine, &parent->lock, VM_RANK_TABLE);
    return empty;
}

/* Below `table`, lowest first. Recursion goes three deep: one call a level. */
static void prune(struct vm_machine *machine, struct vm_table *table, uint64_t start, uint64_t end,
                  struct vm_table **dead) {
    uint64_t span = vm_table_span(table->level - 1u);
    vm_pte_slot *entries = vm_table_entries(machine, table);
    for (uint64_t at = start; at < end && table->used; at = (at | (span - 1)) + 1) {
        vm_pte_slot *slot = entries + vm_table_index(at, table->level);
        vm_pte upper = vm_pte_read(slot);
        if (!vm_pte_present(upper))
            continue;
        struct vm_table *child = table_at(machine, upper);
        uint64_t child_end = (at | (span - 1)) + 1;
        if (child->level > 0)
            prune(machine, child, at, end < child_end ? end : child_end, dead);
        if (!remove_if_empty(machine, table, slot, child))
            continue;
        child->next_dead = *dead;
        *dead = child;
    }
}

struct vm_table *vm_table_prune(struct vm_machine *machine, struct vm_table *root, uint64_t start,
                                uint64_t end) {
    struct vm_table *dead = NULL;

    prune(machine, root, start, end, &dead);
    return dead;
}

/* ---------------------------------------------------------------- checking */

static uint64_t check(struct vm_machine *machine, const struct vm_table *table,
                      enum vm_empty_tables empty) {
    const vm_pte_slot *entries = vm_table_entries(machine, table);
    unsigned used = 0, present = 0;
    uint64_t differences = !vm_page_is((const struct vm_page *)table, VM_PAGE_TABLE);
    for (unsigned i = 0; i < VM_TABLE_ENTRIES; i++) {
        vm_pte e = vm_pte_read(&entries[i]);
        used += e != 0;
        present += vm_pte_present(e);
        if (table->level == 0 || e == 0)
            continue;
        const struct vm_table *child = table_at(machine, e);
        uint64_t address = table->address + i * vm_table_span(table->level - 1u);
        differences +=
            (e & ~(VM_PTE_FRAME_MASK | VM_PTE_ACCESSED)) != (VM_UPPER_BITS & ~VM_PTE_ACCESSED) ||
            child->address != address || child->level + 1 != table->level;
        differences += child->used == 0 && empty == VM_EMPTY_TABLES_NONE;
        differences += check(machine, child, empty);
    }
    return differences + (used != table->used) + (present != table->present);
}

uint64_t vm_table_check(struct vm_machine *machine, struct vm_table *root,
                        enum vm_empty_tables empty) {
    return check(machine, root, empty) + (root->level != VM_LEVELS - 1 || root->address != 0);
}
