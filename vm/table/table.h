/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * table.h - page tables: four levels of 512 entries, each table in a frame of its own.
 *
 *   table.c    making, finding and freeing tables
 *   cursor.c   going through a range run by run
 *   mmu.c      what the hardware does on an access
 *
 * A table is a thing of its own. The frame's descriptor, read as `struct vm_table`, says what it
 * covers, how many entries are in use, and whose it is. Leaf entries change under
 * the table's lock; which tables there are changes under the space lock held for writing, except
 * that a fault may add tables under the space lock held for reading (the parent's lock decides).
 *
 * Whoever changes a leaf entry keeps the counts: vm_table_account(). A table whose `used` falls to
 * zero is freed by the next vm_table_prune() of its range.
 */
#ifndef VM_TABLE_H
#define VM_TABLE_H

#include "vm/frame/frame.h"
#include "vm/table/pte.h"

#define VM_TABLE_ENTRIES 512u
#define VM_LEVELS        4
#define VM_LEAF_SPAN     (VM_PAGE_SIZE * VM_TABLE_ENTRIES) /* 2 MiB */

struct vm_space;

/* The descriptor of a frame that holds a page table; laid over struct vm_page. */
struct vm_table {
    _Atomic uint64_t counts; /* 0: nobody can take a reference to a table */
    _Atomic uint32_t flags;  /* VM_PAGE_TABLE */
    struct vm_lock lock;     /* VM_RANK_TABLE: the entries and the counts below */
    union {
        struct vm_space *space;     /* whose it is */
        struct vm_table *next_dead; /* vm_table_prune() */
    };
    uint64_t address;   /* the first address it covers */
    uint64_t companion; /* of a leaf: the design's */
    uint16_t present;   /* entries that are present */
    uint16_t used;      /* entries that are not zero: present, swap, file offset */
    uint8_t level;      /* 0: leaf .. 3: root */
};

_Static_assert(sizeof(struct vm_table) == sizeof(struct vm_page),
               "a table is described by its frame's descriptor");
_Static_assert(offsetof(struct vm_table, flags) == offsetof(struct vm_page, flags),
               "flags are shared");

static inline struct vm_table *vm_table_of_page(struct vm_page *page) {
    return (struct vm_table *)page;
}
static inline struct vm_page *vm_table_page(struct vm_table *table) {
    return (struct vm_page *)table;
}

static inline uint64_t vm_table_frame(const struct vm_machine *machine,
                                      const struct vm_table *table) {
    return vm_page_frame(machine, (const struct vm_page *)table);
}

static inline vm_pte_slot *vm_table_entries(const struct vm_machine *machine,
                                            const struct vm_table *table) {
    return vm_frame_map_number(machine, vm_table_frame(machine, table));
}

static inline unsigned vm_table_index(uint64_t address, unsigned level) {
    return (unsigned)(address >> (VM_PAGE_SHIFT + 9 * level)) & (VM_TABLE_ENTRIES - 1);
}

/* A leaf table and where its entries are. */
struct vm_leaf {
    struct vm_table *table;
    vm_pte_slot *entries;
};

/* The root table of a new space. NULL: no frame. The other way: => every leaf is gone. */
struct vm_table *vm_table_create_root(struct vm_machine *machine, struct vm_space *space);
void vm_table_free_root(struct vm_machine *machine, struct vm_table *root);

/* The leaf that covers the address; false if there is none. */
bool vm_table_find(struct vm_machine *machine, struct vm_table *root, uint64_t address,
                   struct vm_leaf *leaf);

/*
 * The same, made if it is not there. => space lock held, no spinning lock held: may reclaim.
 * Returns VM_OK or VM_OOM; tables made on the way stay, and go with the next prune.
 */
int vm_table_ensure(struct vm_machine *machine, struct vm_table *root, uint64_t address,
                    struct vm_leaf *leaf);

/*
 * Takes out the tables that cover a part of [start, end) and hold nothing, and returns them, linked.
 * A CPU may still have the way through them cached: they are for vm_tables_free() after a flush.
 * => space lock held for writing, and space->areas_lock, under which walkers of the reverse map find
 * leaves
 */
struct vm_table *vm_table_prune(struct vm_machine *machine, struct vm_table *root, uint64_t start,
                                uint64_t end);
void vm_tables_free(struct vm_machine *machine, struct vm_table *dead);

/* The first address behind those that the table covers. */
uint64_t vm_table_end(const struct vm_table *table);

/* `used` entries more (or less), `present` of them present. => the table's lock is held */
static inline void vm_table_account(struct vm_table *table, int used, int present) {
    __atomic_store_n(&table->used, (uint16_t)(table->used + used), __ATOMIC_RELAXED);
    __atomic_store_n(&table->present, (uint16_t)(table->present + present), __ATOMIC_RELAXED);
}

/* Without the table's lock: a hint, which may be out of date. */
static inline bool vm_table_seems_empty(const struct vm_table *table) {
    return __atomic_load_n(&table->used, __ATOMIC_RELAXED) == 0;
}
static inline bool vm_table_seems_unmapped(const struct vm_table *table) {
    return __atomic_load_n(&table->present, __ATOMIC_RELAXED) == 0;
}

/*
 * Going through [start, end) leaf by leaf; ranges without tables cost a look at an upper level.
 *
 *     struct vm_table_cursor cursor = vm_table_cursor(space->root, start, end);
 *     while (vm_table_next(machine, &cursor))
 *         for (unsigned i = 0; i < cursor.count; i++)
 *             ... cursor.entries[i] maps cursor.address + i * VM_PAGE_SIZE ...
 */
struct vm_table_cursor {
    struct vm_table *root;
    uint64_t next, end;
    /* the run: `count` consecutive entries of `table` */
    struct vm_table *table;
    vm_pte_slot *entries;
    uint64_t address;
    unsigned first, count;
};

static inline struct vm_table_cursor vm_table_cursor(struct vm_table *root, uint64_t start,
                                                     uint64_t end) {
    return (struct vm_table_cursor){ .root = root, .next = start, .end = end };
}

bool vm_table_next(struct vm_machine *machine, struct vm_table_cursor *cursor);

/*
 * The hardware's part of an access: walks the tables, and where the entry allows the access sets
 * A, and D for a write. False: it would raise a page fault. *frame (if not NULL) is the frame hit.
 */
bool vm_mmu_access(struct vm_machine *machine, struct vm_table *root, uint64_t address,
                   enum vm_access access, uint64_t *frame);

/* How many of the n pages from `address` on (all within one leaf) can be accessed, in order. */
unsigned vm_mmu_access_run(struct vm_machine *machine, struct vm_table *root, uint64_t address,
                           unsigned n, enum vm_access access);

/* Whether tables may wait to be pruned, because reclaim has emptied them. */
enum vm_empty_tables { VM_EMPTY_TABLES_NONE, VM_EMPTY_TABLES_WAIT };

/* For tests: counts in every table agree with its entries. Counts differences. */
uint64_t vm_table_check(struct vm_machine *machine, struct vm_table *root,
                        enum vm_empty_tables empty);

#endif
