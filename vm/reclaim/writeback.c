/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * writeback.c - dirty file pages are written with their neighbours, in one go.
 *
 *   1. Neighbours in the file are locked. Who has to write a page waits for its lock, with no other
 *      page locked; those beside it come along if their locks can be had at once.
 *   2. All entries that map them are write-protected, and their dirty bits move to the pages: one walk
 *      for all. Whoever wants to write now must fault, and waits for the page lock; so what is written
 *      does not change meanwhile.
 *   3. Each run of dirty ones is one write (object/write.c).
 *
 * msync goes through its range so. Reclaim writes the aligned window of each dirty page that it takes:
 * what lies beside it was often written together, and soon comes to the end of the list, too; then it
 * is clean. Active pages stay out: they are about to be written again.
 */
#include "vm/object/transfer.h"
#include "vm/reclaim/reclaim.h"

/* ---- cleaning entries */

struct cleaned {
    struct vm_page *page;
    uint32_t shown; /* entries */
};

static enum vm_step clean_entry(const struct vm_mapping *mapping, void *context) {
    struct cleaned *cleaned = context;
    struct vm_space *space = mapping->area->space;
    struct vm_machine *machine = space->machine;
    vm_pte old = vm_pte_clear_bits(machine, mapping->entry, VM_PTE_WRITE | VM_PTE_DIRTY);

    cleaned->shown++;
    if (vm_pte_dirty(old))
        vm_page_set(machine, cleaned->page, VM_PAGE_DIRTY);
    if (vm_pte_writable(old))
        vm_space_flush(space, mapping->address, mapping->address + VM_PAGE_SIZE);
    return VM_STEP_ON;
}

static void clean_entries(struct vm_machine *machine, struct cleaned *cleaned, unsigned n,
                          enum vm_walk_kind kind) {
    struct vm_walk_page walked[VM_WRITE_PAGES];

    for (unsigned i = 0; i < n; i++)
        walked[i] = (struct vm_walk_page){ .page = cleaned[i].page, .context = &cleaned[i] };
    vm_rmap_walk_together(machine, walked, n, kind, clean_entry);
}

static void release(struct vm_machine *machine, struct vm_page *page) {
    vm_page_unlock(machine, page);
    vm_page_put(machine, page);
}

/* ---- a range of an object */

void vm_object_write_back(struct vm_object *object, uint64_t first, uint64_t last) {
    struct vm_machine *machine = object->machine;
    struct vm_page *pages[VM_WRITE_PAGES];
    unsigned n;

    for (uint64_t index = first;
         (n = vm_object_pages_next(object, &index, last, pages, VM_WRITE_PAGES)) > 0; index += n) {
        struct cleaned cleaned[VM_WRITE_PAGES];
        for (unsigned i = 0; i < n; i++)
            cleaned[i] = (struct cleaned){ .page = pages[i] };
        clean_entries(machine, cleaned, n, VM_WALK_ALL);
        (void)vm_object_pages_write(object, pages,
                                    n); /* a failure is kept in object->write_failed */
        for (unsigned i = 0; i < n; i++)
            release(machine, pages[i]);
        if (last - index < n)
            return;
    }
}

/* ---- around pages that go */

static uint64_t window_of(const struct vm_page *page) {
    return page->index / VM_WRITE_PAGES * VM_WRITE_PAGES;
}

static bool share_window(const struct vm_page *one, const struct vm_page *other) {
    return one->object == other->object && window_of(one) == window_of(other);
}

/* Whether a neighbour may be dirty, and comes along. Where entries cannot be asked it must have none. */
static bool may_come_along(const struct vm_machine *machine, const struct vm_page *page) {
    if (vm_page_mapcount(page) == 0)
        return vm_page_is(page, VM_PAGE_DIRTY) && !vm_page_is(page, VM_PAGE_ACTIVE);
    return !machine->design->sweep && !vm_page_is(page, VM_PAGE_ACTIVE);
}

/* Locks the neighbours that may come along; slots[] is NULL where there is none. */
static void lock_neighbours(struct vm_object *object, uint64_t first, struct vm_page **slots) {
    struct vm_machine *machine = object->machine;

    vm_object_pages_cached(object, first, VM_WRITE_PAGES, slots);
    for (unsigned i = 0; i < VM_WRITE_PAGES; i++)
        if (slots[i] && !may_come_along(machine, slots[i])) {
            release(machine, slots[i]);
            slots[i] = NULL;
        }
}

/* Reclaim's walk leaves nonlinear areas out; a page that they map could change while it is written. */
static void clean_neighbours(struct vm_machine *machine, struct vm_page **slots) {
    struct cleaned cleaned[VM_WRITE_PAGES];
    unsigned at[VM_WRITE_PAGES], n = 0;

    for (unsigned i = 0; i < VM_WRITE_PAGES; i++)
        if (slots[i]) {
            at[n] = i;
            cleaned[n++] = (struct cleaned){ .page = slots[i] };
        }
    clean_entries(machine, cleaned, n, VM_WALK_RECLAIM);
    for (unsigned i = 0; i < n; i++)
        if (vm_page_mapcount(cleaned[i].page) > cleaned[i].shown) {
            release(machine, cleaned[i].page);
            slots[at[i]] = NULL;
        }
}

/* own: pages of the window that the caller has locked and unmapped. */
static void write_window(struct vm_object *object, uint64_t first, struct vm_page *const *own,
                         unsigned n) {
    struct vm_machine *machine = object->machine;
    struct vm_page *slots[VM_WRITE_PAGES], *list[VM_WRITE_PAGES];
    uint32_t ours = 0;
    unsigned count = 0;

    lock_neighbours(object, first, slots);
    clean_neighbours(machine, slots);
    for (unsigned i = 0; i < n; i++) {
        slots[own[i]->index - first] = own[i];
        ours |= 1u << (own[i]->index - first);
    }
    for (unsigned i = 0; i < VM_WRITE_PAGES; i++)
        if (slots[i])
            list[count++] = slots[i];
    (void)vm_object_pages_write(object, list, count);
    for (unsigned i = 0; i < VM_WRITE_PAGES; i++)
        if (slots[i] && !(ours >> i & 1))
            release(machine, slots[i]);
}

void vm_pages_write_around(struct vm_page *const *pages, unsigned n) {
    uint32_t done = 0;

    VM_ASSERT(pages[0]->object->machine, n <= VM_PAGEOUT_BATCH);
    for (unsigned i = 0; i < n; i++) {
        struct vm_page *own[VM_WRITE_PAGES];
        unsigned count = 0;
        if (done >> i & 1 || !vm_page_is(pages[i], VM_PAGE_DIRTY))
            continue;
        for (unsigned k = i; k < n; k++)
            if (share_window(pages[i], pages[k])) {
                own[count++] = pages[k];
                done |= 1u << k;
            }
        write_window(pages[i]->object, window_of(pages[i]), own, count);
    }
}
