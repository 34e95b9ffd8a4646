/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * look.c - looking at a space without disturbing it: what is mapped where, and what a load would see.
 *
 * No lock is held while a visitor runs: it may look further, and even change the space, and sees what
 * is there when its turn comes. Reclaim may work meanwhile: an entry is read under its table's lock,
 * and a page that is to be looked at after that is held by a reference.
 */
#include <objrmap/rmap.h>

#include "vm/memory.h"
#include "vm/object/swap.h"
#include "vm/space/space.h"

static void enter(struct vm_space *space) {
    vm_read_lock(space->machine, &space->lock, VM_RANK_SPACE);
}

static void leave(struct vm_space *space) {
    vm_read_unlock(space->machine, &space->lock, VM_RANK_SPACE);
}

/* The entry, and a reference to the page it maps; no page for the zero page. => leaf locked */
static vm_pte read_locked(struct vm_machine *machine, const vm_pte_slot *slot,
                          struct vm_page **page) {
    vm_pte entry = vm_pte_read(slot);

    *page = NULL;
    if (vm_pte_present(entry)) {
        struct vm_page *mapped = vm_page_of(machine, vm_pte_frame(entry));
        if (!vm_page_is(mapped, VM_PAGE_RESERVED)) {
            vm_page_get(machine, mapped);
            *page = mapped;
        }
    }
    return entry;
}

static vm_pte entry_at(struct vm_space *space, uint64_t address, struct vm_page **page) {
    struct vm_leaf leaf;

    *page = NULL;
    if (!vm_table_find(space->machine, space->root, address, &leaf))
        return 0;
    vm_lock(space->machine, &leaf.table->lock, VM_RANK_TABLE);
    vm_pte entry = read_locked(space->machine, &leaf.entries[vm_table_index(address, 0)], page);
    vm_unlock(space->machine, &leaf.table->lock, VM_RANK_TABLE);
    return entry;
}

uint64_t vm_frame_at(struct vm_space *space, uint64_t address) {
    struct vm_page *page;

    if (address >= VM_ADDRESS_END)
        return VM_NO_FRAME;
    enter(space);
    vm_pte entry = entry_at(space, address, &page);
    leave(space);
    if (page)
        vm_swap_page_put(space->machine, page);
    return vm_pte_present(entry) ? vm_pte_frame(entry) : VM_NO_FRAME;
}

/* ---------------------------------------------------------------- areas */

static struct vm_area_view view_of_area(const struct vm_area *area) {
    return (struct vm_area_view){ .start = area->start,
                                  .end = area->end,
                                  .protection = vm_area_protection(area),
                                  .shared = vm_area_shared(area),
                                  .locked = (vm_area_flags(area) & VM_AREA_LOCKED) != 0,
                                  .growsdown = (vm_area_flags(area) & VM_AREA_GROWSDOWN) != 0,
                                  .dontfork = (vm_area_flags(area) & VM_AREA_DONTFORK) != 0,
                                  .object = area->object,
                                  .object_anonymous = area->object && area->object->anonymous,
                                  .pgoff = area->pgoff };
}

/* What a program may take for an area: of a nonlinear one, the run from here on. */
static void narrow_to_run(struct vm_area *area, uint64_t address, struct vm_area_view *view) {
    view->start = address > area->start ? address : area->start;
    view->end = vm_area_run(area, view->start, area->end, &view->pgoff);
}

/* The first area that ends after the address. */
static bool next_area(struct vm_space *space, uint64_t address, struct vm_area_view *view) {
    enter(space);
    struct vm_area *area = vm_area_find(space, address);
    if (area)
        *view = view_of_area(area);
    if (area && vm_area_is_nonlinear(area))
        narrow_to_run(area, address, view);
    leave(space);
    return area != NULL;
}

void vm_area_each_from(struct vm_space *space, uint64_t address, vm_area_visit *visit,
                       void *context) {
    struct vm_area_view view;

    while (next_area(space, address, &view) && visit(&view, context))
        address = view.end;
}

void vm_area_each(struct vm_space *space, vm_area_visit *visit, void *context) {
    vm_area_each_from(space, 0, visit, context);
}

/* ---------------------------------------------------------------- pages */

/* One page has one identity: its slot if it has one, since some spaces may know it by that alone. */
static uint64_t identity_of_slot(uint32_t slot) {
    return (uint64_t)slot << 1 | 1;
}

static uint64_t identity_of_page(const struct vm_page *page, uint64_t frame) {
    return vm_page_is(page, VM_PAGE_SWAPCACHE) ? identity_of_slot(page->swap) : frame << 1;
}

static enum vm_step see_dirty(const struct vm_mapping *mapping, void *context) {
    bool *dirty = context;

    *dirty |= vm_pte_dirty(vm_pte_read(mapping->entry));
    return *dirty ? VM_STEP_STOP : VM_STEP_ON;
}

/* Whoever wrote the page through any entry keeps it for all. => no spinning lock held */
static bool is_discardable(struct vm_machine *machine, struct vm_page *page) {
    bool dirty = false;

    if (!vm_page_is(page, VM_PAGE_DISCARDABLE))
        return false;
    vm_page_lock(machine, page);
    vm_rmap_look(machine, page, see_dirty, &dirty);
    dirty |= vm_page_is(page, VM_PAGE_DIRTY);
    vm_page_unlock(machine, page);
    return !dirty;
}

static struct vm_page_view view_of_mapped(struct vm_machine *machine, struct vm_page *page,
                                          uint64_t frame) {
    return (struct vm_page_view){ .kind = vm_page_is(page, VM_PAGE_ANON) ? VM_PAGE_ANONYMOUS
                                                                         : VM_PAGE_OBJECT,
                                  .present = true,
                                  .discardable = is_discardable(machine, page),
                                  .frame = frame,
                                  .identity = identity_of_page(page, frame) };
}

/* False if the entry says nothing about a page. */
static bool view_of_entry(struct vm_machine *machine, vm_pte entry, struct vm_page *page,
                          struct vm_page_view *view) {
    uint64_t frame = vm_pte_frame(entry);

    if (page)
        *view = view_of_mapped(machine, page, frame);
    else if (vm_pte_present(entry))
        *view = (struct vm_page_view){
            .kind = VM_PAGE_ZERO, .present = true, .frame = frame, .identity = frame << 1
        };
    else if (vm_pte_is_swap(entry))
        *view = (struct vm_page_view){ .kind = VM_PAGE_ANONYMOUS,
                                       .frame = VM_NO_FRAME,
                                       .identity = identity_of_slot(vm_pte_swap_slot(entry)) };
    else
        return false;
    return true;
}

/* The first entry of the run, from *i on, that there is; 0: none. One that reclaim is about to replace is
 * empty for a moment, so all are looked at with their table locked. */
static vm_pte next_entry(struct vm_machine *machine, const struct vm_table_cursor *at, unsigned *i,
                         struct vm_page **page) {
    vm_pte entry = 0;

    *page = NULL;
    vm_lock(machine, &at->table->lock, VM_RANK_TABLE);
    for (; *i < at->count && !entry; ++*i)
        entry = read_locked(machine, &at->entries[*i], page);
    vm_unlock(machine, &at->table->lock, VM_RANK_TABLE);
    return entry;
}

/* The first page that the run's entries know; false if they know none. */
static bool first_of_run(struct vm_machine *machine, const struct vm_table_cursor *at,
                         struct vm_page_view *view) {
    struct vm_page *page;
    bool known = false;
    vm_pte entry;

    for (unsigned i = 0; !known && (entry = next_entry(machine, at, &i, &page)) != 0;) {
        known = view_of_entry(machine, entry, page, view);
        if (page)
            vm_swap_page_put(machine, page);
        view->address = at->address + (i - 1) * VM_PAGE_SIZE;
    }
    return known;
}

/* The first page known in [start, end). */
static bool next_page(struct vm_space *space, uint64_t start, uint64_t end,
                      struct vm_page_view *view) {
    struct vm_table_cursor cursor = vm_table_cursor(space->root, start, end);
    bool known = false;

    enter(space);
    while (!known && vm_table_next(space->machine, &cursor))
        known = first_of_run(space->machine, &cursor, view);
    leave(space);
    return known;
}

void vm_page_each(struct vm_space *space, uint64_t start, uint64_t end, vm_page_visit *visit,
                  void *context) {
    struct vm_page_view view;
    uint64_t at = start & ~(VM_PAGE_SIZE - 1);

    if (end > VM_ADDRESS_END)
        end = VM_ADDRESS_END;
    end = (end + VM_PAGE_SIZE - 1) & ~(VM_PAGE_SIZE - 1);
    while (at < end && next_page(space, at, end, &view) && visit(&view, context))
        at = view.address + VM_PAGE_SIZE;
}

/* ---------------------------------------------------------------- contents */

static void peek_page(struct vm_machine *machine, const struct vm_page *page, uint64_t from,
                      void *data, size_t bytes) {
    char *contents = vm_frame_map(machine, page);

    if (contents)
        memcpy(data, contents + from, bytes);
    else
        memset(data, 0, bytes);
    vm_frame_unmap(machine, contents);
}

/* A slot is read as a whole. => VM_ENOMEM, VM_EIO */
static int peek_slot(struct vm_machine *machine, uint32_t slot, uint64_t from, void *data,
                     size_t bytes) {
    struct vm_port *port = machine->port;

    if (bytes == VM_PAGE_SIZE)
        return vm_swap_peek(machine, slot, data);
    char *whole = port->allocate(port, VM_PAGE_SIZE, 64);
    if (!whole)
        return VM_ENOMEM;
    int error = vm_swap_peek(machine, slot, whole);
    if (!error)
        memcpy(data, whole + from, bytes);
    port->release(port, whole, VM_PAGE_SIZE);
    return error;
}

/* What the first fault would find. */
static int peek_untouched(const struct vm_area *area, uint64_t address, void *data, size_t bytes) {
    if (area->object)
        return vm_object_peek(area->object,
                              (vm_area_page_index(area, address) << VM_PAGE_SHIFT) +
                                  address % VM_PAGE_SIZE,
                              data, bytes);
    memset(data, 0, bytes);
    return VM_OK;
}

static int peek_locked(struct vm_space *space, uint64_t address, void *data, size_t bytes) {
    struct vm_machine *machine = space->machine;
    struct vm_area *area = vm_area_at(space, address);
    uint64_t from = address % VM_PAGE_SIZE;
    struct vm_page *page;

    if (!area)
        return VM_SIGSEGV;
    vm_pte entry = entry_at(space, address, &page);
    if (page) {
        peek_page(machine, page, from, data, bytes);
        vm_swap_page_put(machine, page);
    } else if (vm_pte_present(entry)) {
        memset(data, 0, bytes); /* the zero page */
    } else if (vm_pte_is_swap(entry)) {
        return peek_slot(machine, vm_pte_swap_slot(entry), from, data, bytes);
    } else if (vm_pte_is_file(entry)) {
        return vm_object_peek(area->object, (vm_pte_file_offset(entry) << VM_PAGE_SHIFT) + from,
                              data, bytes);
    } else {
        return peek_untouched(area, address, data, bytes);
    }
    return VM_OK;
}

int vm_peek(struct vm_space *space, uint64_t address, void *data, size_t bytes) {
    if (bytes > VM_PAGE_SIZE - address % VM_PAGE_SIZE)
        return VM_EINVAL;
    enter(space);
    int error = peek_locked(space, address, data, bytes);
    leave(space);
    return error;
}
