/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_list_of_lists.c - an object's distinct ranges in a list sorted by first offset, each with the
 * list of areas that map exactly this range (Bligh and Hansen 2003, figure 4; in the -mjb kernels).
 *
 *     ranges --> [0,9] ----> [10,19] ----> [10,29]
 *                  |            |             |
 *                area         area          area      the first stands for the range: its leader
 *                  |                          |
 *                area                       area      in the order in which they came
 *
 * Many processes that map the same parts of a file, as they do with libraries, cost one look a
 * part. Where all ranges differ it is the sorted list again.
 *
 * The original allocated a record for a range. Coming into the index may not fail here, also when an
 * area changes its range half way through an mprotect, so the range has no record of its own: its
 * leader is linked into the list of ranges, and when it leaves, the next one takes its place there.
 */
#include "vm/object/index.h"

#include "vm/space/area.h"

struct vm_area_index {
    struct vm_link ranges; /* of struct record, the leaders */
};

struct record {
    struct vm_link ranges; /* leaders only; the others' next is NULL */
    struct vm_link equals; /* the areas of one range, the leader first */
};

static struct vm_area *area_of(const struct record *record) {
    return vm_area_of_index_record(record);
}

static struct record *leader_at(struct vm_link *link) {
    return vm_link_entry(link, struct record, ranges);
}

static struct record *next_equal(struct record *record) {
    return vm_link_entry(record->equals.next, struct record, equals);
}

static bool is_leader(const struct record *record) {
    return record->ranges.next != NULL;
}

/* By first offset, then by last one. */
static int order(const struct vm_area *a, const struct vm_area *b) {
    uint64_t a_last = vm_area_last_index(a), b_last = vm_area_last_index(b);

    if (a->pgoff != b->pgoff)
        return a->pgoff < b->pgoff ? -1 : 1;
    return a_last == b_last ? 0 : a_last < b_last ? -1 : 1;
}

static void init(struct vm_area_index *index) {
    vm_link_init(&index->ranges);
}

static void insert(struct vm_machine *machine, struct vm_area_index *index, struct vm_area *area) {
    struct record *record = vm_area_index_record(machine, area);
    struct vm_link *link = index->ranges.next;

    while (link != &index->ranges && order(area_of(leader_at(link)), area) < 0)
        link = link->next;
    if (link != &index->ranges && order(area_of(leader_at(link)), area) == 0) {
        record->ranges.next = NULL;
        vm_link_add_last(&leader_at(link)->equals, &record->equals);
    } else {
        vm_link_init(&record->equals);
        vm_link_add_last(link, &record->ranges);
    }
}

static void take_out(struct vm_machine *machine, struct vm_area_index *index,
                     struct vm_area *area) {
    struct record *record = vm_area_index_record(machine, area), *next = next_equal(record);

    (void)index;
    if (is_leader(record)) {
        if (next != record)
            vm_link_add(&record->ranges, &next->ranges);
        vm_link_remove(&record->ranges);
    }
    vm_link_remove(&record->equals);
}

struct search {
    vm_index_visit *visit;
    void *context;
    uint64_t looked_at, rejected;
};

/* False: the visitor has had enough. */
static bool visit_equals(struct search *search, struct record *leader) {
    struct record *record = leader;

    do {
        search->looked_at++;
        if (!search->visit(area_of(record), search->context))
            return false;
        record = next_equal(record);
    } while (record != leader);
    return true;
}

static void each(struct vm_machine *machine, struct vm_area_index *index, uint64_t first,
                 uint64_t last, vm_index_visit *visit, void *context) {
    struct search search = { .visit = visit, .context = context };
    bool more = true;

    for (struct vm_link *link = index->ranges.next; more && link != &index->ranges;
         link = link->next) {
        const struct vm_area *area = area_of(leader_at(link));
        if (area->pgoff <= last && vm_area_last_index(area) >= first) {
            more = visit_equals(&search, leader_at(link));
            continue;
        }
        search.looked_at++;
        search.rejected++;
        more = area->pgoff <= last;
    }
    vm_count(machine, rmap.object_visits, search.looked_at);
    vm_count(machine, rmap.range_rejects, search.rejected);
}

static bool check_equals(struct record *leader) {
    for (struct record *record = next_equal(leader); record != leader; record = next_equal(record))
        if (is_leader(record) || record->equals.next->previous != &record->equals ||
            order(area_of(leader), area_of(record)) != 0)
            return false;
    return is_leader(leader) && leader->equals.next->previous == &leader->equals;
}

static bool check(struct vm_area_index *index) {
    const struct vm_link *before = &index->ranges;

    for (struct vm_link *link = before->next; link != &index->ranges; link = link->next) {
        if (link->previous != before || !check_equals(leader_at(link)))
            return false;
        if (before != &index->ranges &&
            order(vm_area_of_index_record(before), area_of(leader_at(link))) >= 0)
            return false;
        before = link;
    }
    return index->ranges.previous == before;
}

const struct vm_index_kind vm_index_list_of_lists = {
    .name = "list-of-lists",
    .origin = "Bligh and Hansen (2003), 2.5-mjb: a sorted list of distinct ranges, each with its "
              "areas",
    .object_bytes = sizeof(struct vm_area_index),
    .area_bytes = sizeof(struct record),
    .init = init,
    .insert = insert,
    .remove = take_out,
    .each = each,
    .check = check,
};
