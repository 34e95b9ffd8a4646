/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_sorted.c - an object's areas in one list, sorted by their first page offset: tried in 2003
 * to spare the plain lists their looks at areas that start behind the page.
 *
 * A search may stop at the first area that starts behind what it looks for; those that end before
 * it are all looked at. The price is paid on the way in: a new area looks for its place from the
 * head on, behind those that start at the same offset. Leaving costs nothing.
 */
#include "vm/object/index.h"

#include "vm/space/area.h"

struct vm_area_index {
    struct vm_link areas; /* of the areas' records, which are links */
};

static void init(struct vm_area_index *index) {
    vm_link_init(&index->areas);
}

static void insert(struct vm_machine *machine, struct vm_area_index *index, struct vm_area *area) {
    struct vm_link *link = index->areas.next;

    while (link != &index->areas && vm_area_of_index_record(link)->pgoff <= area->pgoff)
        link = link->next;
    vm_link_add(link->previous, vm_area_index_record(machine, area));
}

static void take_out(struct vm_machine *machine, struct vm_area_index *index,
                     struct vm_area *area) {
    (void)index;
    vm_link_remove(vm_area_index_record(machine, area));
}

static void each(struct vm_machine *machine, struct vm_area_index *index, uint64_t first,
                 uint64_t last, vm_index_visit *visit, void *context) {
    uint64_t looked_at = 0, rejected = 0;

    for (struct vm_link *link = index->areas.next; link != &index->areas; link = link->next) {
        struct vm_area *area = vm_area_of_index_record(link);
        bool behind = area->pgoff > last;

        looked_at++;
        if (behind || vm_area_last_index(area) < first)
            rejected++;
        else if (!visit(area, context))
            break;
        if (behind)
            break;
    }
    vm_count(machine, rmap.object_visits, looked_at);
    vm_count(machine, rmap.range_rejects, rejected);
}

static bool check(struct vm_area_index *index) {
    uint64_t before = 0;

    for (struct vm_link *link = index->areas.next; link != &index->areas; link = link->next) {
        uint64_t first = vm_area_of_index_record(link)->pgoff;
        if (link->next->previous != link || first < before)
            return false;
        before = first;
    }
    return index->areas.next->previous == &index->areas;
}

const struct vm_index_kind vm_index_sorted = {
    .name = "sorted",
    .origin = "tried in 2003: one list, sorted by the areas' first page",
    .object_bytes = sizeof(struct vm_area_index),
    .area_bytes = sizeof(struct vm_link),
    .init = init,
    .insert = insert,
    .remove = take_out,
    .each = each,
    .check = check,
};
