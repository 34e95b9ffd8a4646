/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anon_vma.c - the design "anon-vma" of Linux 2.6.7: object pages are found by their object's areas,
 * anonymous pages by an anon_vma, the list of all areas related by fork, split or move.
 *
 * Nothing is kept per entry, so no run call is needed. The first anonymous page of an area gives the
 * area an anon_vma (a neighbour's, if the two could become one area); children and copies of the
 * area join its list. A page names the anon_vma of the area it was born in, and the linear rule
 * leads to its address in each area listed. Children go to the head of the list: a page that a
 * parent touches after it has forked N children is found on visit N + 1.
 *
 *   lock       VM_RANK_ANON, one in each anon_vma: its list. Publishing one in an area also takes
 *              space->areas_lock, since two faults in one space may come with different ones.
 *   users      areas listed, and walks that are about to lock it; the last one frees it
 *   naming     VM_RANK_ANON, one in a machine: held when the last user goes and when a walk becomes
 *              a user; never together with a list's lock
 *
 * Why a walk finds its anon_vma alive. A page that is mapped has an entry in some area listed in
 * the anon_vma that the page names (fork, copy and merge keep it so), and an area's entries go before
 * the area leaves the list. So who sees a map count above zero while it holds `naming` sees an
 * anon_vma with a user, and may become one before that user can leave. Linux reached the same with
 * records that stay anon_vmas for a grace period; counting needs no such period from the embedder.
 */
#include "vm/frame/cache.h"
#include "vm/rmap/design.h"
#include "vm/space/space.h"

extern const struct vm_design vm_design_anon_vma;

struct anon_vma {
    struct vm_lock lock;
    _Atomic uint32_t users;
    struct vm_link areas; /* of struct anon_area */
};

_Static_assert(sizeof(void *) != 8 || sizeof(struct anon_vma) == 24, "an anon_vma has grown");

/* What stands behind each area. */
struct anon_area {
    struct vm_link link;
    struct anon_vma *_Atomic anon; /* NULL until the area's first anonymous page */
};

struct anon_design {
    struct vm_cache *cache;
    struct vm_lock naming;
};

static struct anon_design *design_of(const struct vm_machine *machine) {
    return machine->design_data;
}

static struct anon_area *record_of(const struct vm_area *area) {
    size_t offset = area->space->machine->area_design_offset;
    return (struct anon_area *)((uintptr_t)area + offset);
}

static struct vm_area *area_of(const struct vm_machine *machine, struct vm_link *link) {
    struct anon_area *record = vm_link_entry(link, struct anon_area, link);
    return (struct vm_area *)((char *)record - machine->area_design_offset);
}

static struct anon_vma *anon_of(const struct vm_area *area) {
    return atomic_load_explicit(&record_of(area)->anon, memory_order_acquire);
}

/* ---------------------------------------------------------------- life of an anon_vma */

/* n users more, or less by two's complement. Returns how many there were. */
static uint32_t users_adjust(const struct vm_machine *machine, struct anon_vma *anon, uint32_t n) {
    if (machine->smp)
        return atomic_fetch_add_explicit(&anon->users, n, memory_order_acq_rel);
    uint32_t before = atomic_load_explicit(&anon->users, memory_order_relaxed);
    atomic_store_explicit(&anon->users, before + n, memory_order_relaxed);
    return before;
}

/* => it has a user that stays meanwhile */
static void users_add(const struct vm_machine *machine, struct anon_vma *anon) {
    users_adjust(machine, anon, 1);
}

static bool users_drop_unless_last(const struct vm_machine *machine, struct anon_vma *anon) {
    uint32_t users = atomic_load_explicit(&anon->users, memory_order_relaxed);

    if (!machine->smp)
        return users > 1 && users_adjust(machine, anon, UINT32_MAX);
    while (users > 1)
        if (atomic_compare_exchange_weak_explicit(&anon->users, &users, users - 1,
                                                  memory_order_acq_rel, memory_order_relaxed))
            return true;
    return false;
}

static void users_drop(struct vm_machine *machine, struct anon_vma *anon) {
    struct anon_design *design = design_of(machine);

    if (users_drop_unless_last(machine, anon))
        return;
    vm_lock(machine, &design->naming, VM_RANK_ANON);
    bool last = users_adjust(machine, anon, UINT32_MAX) == 1;
    vm_unlock(machine, &design->naming, VM_RANK_ANON);
    if (last)
        vm_cache_free(machine, design->cache, anon);
}

/* The anon_vma that the page names, to be dropped again; NULL if nothing maps the page any more. */
static struct anon_vma *anon_of_page(struct vm_machine *machine, const struct vm_page *page) {
    struct anon_design *design = design_of(machine);
    struct anon_vma *anon = NULL;

    vm_lock(machine, &design->naming, VM_RANK_ANON);
    if (vm_page_mapcount(page) > 0) {
        anon = page->owner;
        users_add(machine, anon);
    }
    vm_unlock(machine, &design->naming, VM_RANK_ANON);
    return anon;
}

static struct anon_vma *anon_create(struct vm_machine *machine) {
    struct anon_vma *anon = vm_cache_allocate(machine, design_of(machine)->cache);

    if (anon) {
        atomic_init(&anon->lock.word, 0);
        atomic_init(&anon->users, 1);
        vm_link_init(&anon->areas);
    }
    return anon;
}

/* The area joins the list at its head. => it is in no list, and cannot be asked for one meanwhile */
static void join(struct vm_area *area, struct anon_vma *anon) {
    struct vm_machine *machine = area->space->machine;
    struct anon_area *record = record_of(area);

    users_add(machine, anon);
    vm_lock(machine, &anon->lock, VM_RANK_ANON);
    vm_link_add(&anon->areas, &record->link);
    atomic_store_explicit(&record->anon, anon, memory_order_release);
    vm_unlock(machine, &anon->lock, VM_RANK_ANON);
}

/* ---------------------------------------------------------------- areas */

/* Could the two be one area some day, once mprotect has made their protections equal? */
static bool could_merge(const struct vm_area *lower, const struct vm_area *upper) {
    uint32_t ignored = VM_AREA_PROTECTION | VM_AREA_MERGE_IGNORES;

    return lower->end == upper->start && lower->object == upper->object &&
           ((lower->flags ^ upper->flags) & ~ignored) == 0 &&
           lower->pgoff + vm_area_pages(lower) == upper->pgoff;
}

/* A neighbour's anon_vma, with one more user; NULL if there is none to share. */
static struct anon_vma *share_with_neighbour(struct vm_area *area) {
    struct vm_space *space = area->space;
    struct vm_machine *machine = space->machine;
    struct vm_area *next = vm_area_next(area), *previous = vm_area_previous(area);
    struct anon_vma *anon = NULL;

    vm_lock(machine, &space->areas_lock, VM_RANK_AREAS); /* a stack may be growing */
    if (next && could_merge(area, next))
        anon = anon_of(next);
    if (!anon && previous && could_merge(previous, area))
        anon = anon_of(previous);
    if (anon)
        users_add(machine, anon); /* the neighbour stays: the space lock is held */
    vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);
    return anon;
}

/* Gives the area the anon_vma, along with the caller's use of it; false if another fault was first.
 * The lock is taken even if the anon_vma is fresh: once published, others may look for it. */
static bool publish(struct vm_area *area, struct anon_vma *anon) {
    struct vm_space *space = area->space;
    struct vm_machine *machine = space->machine;
    struct anon_area *record = record_of(area);

    vm_lock(machine, &anon->lock, VM_RANK_ANON);
    vm_lock(machine, &space->areas_lock, VM_RANK_AREAS);
    bool first = !anon_of(area);
    if (first) {
        vm_link_add(&anon->areas, &record->link);
        atomic_store_explicit(&record->anon, anon, memory_order_release);
    }
    vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);
    vm_unlock(machine, &anon->lock, VM_RANK_ANON);
    return first;
}

static int area_prepare(struct vm_area *area) {
    struct vm_machine *machine = area->space->machine;

    if (anon_of(area))
        return VM_OK;
    struct anon_vma *anon = share_with_neighbour(area);
    if (!anon)
        anon = anon_create(machine);
    if (!anon)
        return VM_ENOMEM;
    if (!publish(area, anon))
        users_drop(machine, anon);
    return VM_OK;
}

static int area_copied(struct vm_area *area, struct vm_area *copy) {
    struct anon_vma *anon = anon_of(area);

    if (anon)
        join(copy, anon);
    return VM_OK;
}

static bool area_mergeable(const struct vm_area *lower, const struct vm_area *upper) {
    struct anon_vma *a = anon_of(lower), *b = anon_of(upper);
    return !a || !b || a == b;
}

static void area_merged(struct vm_area *kept, struct vm_area *gone) {
    if (!anon_of(kept) && anon_of(gone))
        join(kept, anon_of(gone));
}

static void area_ended(struct vm_area *area) {
    struct vm_machine *machine = area->space->machine;
    struct anon_area *record = record_of(area);
    struct anon_vma *anon = anon_of(area);

    if (!anon)
        return;
    vm_lock(machine, &anon->lock, VM_RANK_ANON);
    vm_link_remove(&record->link);
    atomic_store_explicit(&record->anon, NULL, memory_order_relaxed);
    vm_unlock(machine, &anon->lock, VM_RANK_ANON);
    users_drop(machine, anon);
}

/* ---------------------------------------------------------------- pages */

/* Relatives of the area that may hold the page's swap entry are in the same list, so it makes no
 * difference which of them the page comes back to. */
static void born(struct vm_area *area, struct vm_page *page, enum vm_birth birth) {
    (void)birth;
    page->owner = anon_of(area);
}

static enum vm_walked walk_anonymous(struct vm_area_walk *walk) {
    struct vm_machine *machine = walk->machine;
    struct anon_vma *anon = anon_of_page(machine, walk->page);

    if (!anon)
        return VM_WALKED_ALL;
    if (walk->kind != VM_WALK_TRY)
        vm_lock(machine, &anon->lock, VM_RANK_ANON);
    else if (!vm_trylock(machine, &anon->lock, VM_RANK_ANON)) {
        users_drop(machine, anon);
        return VM_WALKED_SOME;
    }
    for (struct vm_link *link = anon->areas.next; link != &anon->areas; link = link->next) {
        vm_count(machine, rmap.object_visits, 1);
        if (!vm_rmap_walk_area(walk, area_of(machine, link)))
            break;
    }
    vm_unlock(machine, &anon->lock, VM_RANK_ANON);
    users_drop(machine, anon);
    return walk->walked;
}

static enum vm_walked walk(struct vm_machine *machine, struct vm_page *page, enum vm_walk_kind kind,
                           vm_mapping_visit *visit, void *context) {
    if (!vm_page_is(page, VM_PAGE_ANON))
        return vm_rmap_walk_object(machine, page, kind, visit, context);
    struct vm_area_walk areas = { .machine = machine,
                                  .page = page,
                                  .kind = kind,
                                  .visit = visit,
                                  .context = context,
                                  .walked = VM_WALKED_ALL };
    return walk_anonymous(&areas);
}

/* ---------------------------------------------------------------- the machine */

static int init(struct vm_machine *machine) {
    struct vm_port *port = machine->port;
    struct anon_design *design = port->allocate(port, sizeof *design, 16);

    if (!design)
        return VM_ENOMEM;
    atomic_init(&design->naming.word, 0);
    design->cache = vm_cache_create(machine, "anon_vma", VM_COST_RMAP, sizeof(struct anon_vma), 8);
    if (!design->cache) {
        port->release(port, design, sizeof *design);
        return VM_ENOMEM;
    }
    machine->design_data = design;
    return VM_OK;
}

static void fini(struct vm_machine *machine) {
    struct anon_design *design = design_of(machine);

    vm_cache_destroy(machine, design->cache);
    machine->port->release(machine->port, design, sizeof *design);
    machine->design_data = NULL;
}

/* ---------------------------------------------------------------- check */

struct census {
    struct vm_machine *machine;
    uint64_t lists, listed; /* anon_vmas met at their first area; areas in their lists */
    uint64_t differences;
};

static void check_list(struct census *census, struct anon_vma *anon) {
    uint64_t length = 0;

    for (struct vm_link *link = anon->areas.next; link != &anon->areas;
         link = link->next, length++) {
        census->differences += link->next->previous != link;
        census->differences += anon_of(area_of(census->machine, link)) != anon;
    }
    census->differences += atomic_load_explicit(&anon->users, memory_order_relaxed) != length;
    census->lists++;
    census->listed += length;
}

static void check_area(struct census *census, struct vm_area *area, uint64_t *members) {
    struct anon_vma *anon = anon_of(area);

    census->differences += !anon && (area->flags & VM_AREA_HAS_ANON);
    if (!anon)
        return;
    (*members)++;
    if (anon->areas.next == &record_of(area)->link)
        check_list(census, anon);
}

/* Every area with an anon_vma is in its list, nothing else is, every list has as many users as areas,
 * and no anon_vma is left without a list. => the machine is at rest */
static uint64_t check(struct vm_machine *machine) {
    struct census census = { .machine = machine };
    uint64_t members = 0;

    for (struct vm_link *link = machine->spaces.next; link != &machine->spaces; link = link->next) {
        struct vm_space *space = vm_link_entry(link, struct vm_space, link);
        for (struct vm_area *area = vm_area_first(space); area; area = vm_area_next(area))
            check_area(&census, area, &members);
    }
    census.differences += census.listed != members;
    census.differences += census.lists != vm_cache_live(design_of(machine)->cache);
    return census.differences;
}

const struct vm_design vm_design_anon_vma = {
    .info = { .name = "anon-vma",
              .origin = "Linux 2.6.7 (2004): objrmap for files, anon_vma for anonymous memory",
              .area_bytes = sizeof(struct anon_area),
              .mapping_cost = "nothing" },
    .init = init,
    .fini = fini,
    .area_prepare = area_prepare,
    .area_forked = area_copied,
    .area_copied = area_copied,
    .area_mergeable = area_mergeable,
    .area_merged = area_merged,
    .area_ended = area_ended,
    .born = born,
    .walk = walk,
    .check = check,
};
