/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_list.c - an object's areas in two plain lists, of private and of shared ones: Linux up to
 * 2.6.6, and partial objrmap's first version.
 *
 * New areas come in at the head. Both lists are always walked to the end, private areas first, so
 * finding one page means looking at every area of the object. Comings and goings cost nothing.
 */
#include "vm/object/index.h"

#include "vm/space/area.h"

struct vm_area_index {
    struct vm_link private, shared; /* of the areas' records, which are links */
};

static void init(struct vm_area_index *index) {
    vm_link_init(&index->private);
    vm_link_init(&index->shared);
}

static void insert(struct vm_machine *machine, struct vm_area_index *index, struct vm_area *area) {
    vm_link_add(vm_area_shared(area) ? &index->shared : &index->private,
                vm_area_index_record(machine, area));
}

static void take_out(struct vm_machine *machine, struct vm_area_index *index,
                     struct vm_area *area) {
    (void)index;
    vm_link_remove(vm_area_index_record(machine, area));
}

struct search {
    uint64_t first, last;
    vm_index_visit *visit;
    void *context;
    uint64_t looked_at, rejected;
};

/* False: the visitor has had enough. */
static bool search_list(struct search *search, const struct vm_link *list) {
    for (struct vm_link *link = list->next; link != list; link = link->next) {
        struct vm_area *area = vm_area_of_index_record(link);

        search->looked_at++;
        if (area->pgoff > search->last || vm_area_last_index(area) < search->first)
            search->rejected++;
        else if (!search->visit(area, search->context))
            return false;
    }
    return true;
}

static void each(struct vm_machine *machine, struct vm_area_index *index, uint64_t first,
                 uint64_t last, vm_index_visit *visit, void *context) {
    struct search search = { .first = first, .last = last, .visit = visit, .context = context };

    if (search_list(&search, &index->private))
        search_list(&search, &index->shared);
    vm_count(machine, rmap.object_visits, search.looked_at);
    vm_count(machine, rmap.range_rejects, search.rejected);
}

static bool check_list(const struct vm_link *list, bool shared) {
    for (const struct vm_link *link = list->next; link != list; link = link->next)
        if (link->next->previous != link || vm_area_shared(vm_area_of_index_record(link)) != shared)
            return false;
    return list->next->previous == list;
}

static bool check(struct vm_area_index *index) {
    return check_list(&index->private, false) && check_list(&index->shared, true);
}

const struct vm_index_kind vm_index_list = {
    .name = "list",
    .origin = "Linux 2.4 to 2.6.6, partial objrmap (2003): a list of private areas, a list of "
              "shared ones",
    .object_bytes = sizeof(struct vm_area_index),
    .area_bytes = sizeof(struct vm_link),
    .init = init,
    .insert = insert,
    .remove = take_out,
    .each = each,
    .check = check,
};
