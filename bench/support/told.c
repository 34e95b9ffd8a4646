/* SPDX-License-Identifier: BSD-2-Clause */
/* told.c - a design that counts the calls of another one. */
#include "support/told.h"

#include <stdlib.h>

#include "support/beside.h"

#include "vm/rmap/design.h"
#include "vm/space/space.h"

struct told {
    struct vm_design counting; /* first: the machine's design is this */
    const struct vm_design *original;
    struct vm_machine *machine;
    struct told_counts counts;
};

static struct told *told_of(const struct vm_machine *machine) {
    return (struct told *)(uintptr_t)machine->design; /* NOLINT: it is ours, and not const */
}

static struct told *count_call(const struct vm_area *area) {
    struct told *told = told_of(area->space->machine);
    told->counts.calls++;
    return told;
}

static const struct vm_design *count_run(const struct vm_run *run) {
    struct told *told = count_call(run->area);
    for (unsigned i = 0; i < run->count; i++)
        told->counts.entries += vm_pte_present(run->entries[i]);
    return told->original;
}

static int area_prepare(struct vm_area *area) {
    return count_call(area)->original->area_prepare(area);
}

static int reserve(struct vm_machine *machine, struct vm_reserve *set_aside,
                   enum vm_reserve_for what, unsigned mappings) {
    struct told *told = told_of(machine);
    told->counts.calls++;
    return told->original->reserve(machine, set_aside, what, mappings);
}

static void born(struct vm_area *area, struct vm_page *page, enum vm_birth birth) {
    count_call(area)->original->born(area, page, birth);
}

static void add(const struct vm_run *run, struct vm_reserve *set_aside) {
    count_run(run)->add(run, set_aside);
}

static void remove_entries(const struct vm_run *run) {
    count_run(run)->remove(run);
}

static void duplicate(const struct vm_run *parent, const struct vm_run *child,
                      struct vm_reserve *set_aside) {
    count_run(child)->duplicate(parent, child, set_aside);
}

static void moved(const struct vm_run *from, const struct vm_run *to) {
    count_run(from)->moved(from, to);
}

static void pages_freed(struct vm_machine *machine, struct vm_page *const *pages, unsigned n) {
    struct told *told = told_of(machine);
    told->counts.calls++;
    told->original->pages_freed(machine, pages, n);
}

struct told *told_begin(struct vm_machine *machine) {
    struct told *told = malloc(sizeof(*told));

    if (!told)
        give_up("counting what a design is told");
    *told = (struct told){ .counting = *machine->design,
                           .original = machine->design,
                           .machine = machine };
    struct vm_design *counting = &told->counting;
    if (counting->area_prepare)
        counting->area_prepare = area_prepare;
    if (counting->reserve)
        counting->reserve = reserve;
    if (counting->born)
        counting->born = born;
    if (counting->add)
        counting->add = add;
    if (counting->remove)
        counting->remove = remove_entries;
    if (counting->duplicate)
        counting->duplicate = duplicate;
    if (counting->moved)
        counting->moved = moved;
    if (counting->pages_freed)
        machine->pages_freed = pages_freed; /* the frames' own pointer to it */
    machine->design = counting;
    return told;
}

struct told_counts told_so_far(const struct told *told) {
    return told->counts;
}

void told_end(struct told *told) {
    told->machine->design = told->original;
    told->machine->pages_freed = told->original->pages_freed;
    free(told);
}
