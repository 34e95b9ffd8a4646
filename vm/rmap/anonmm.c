/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anonmm.c - the design "anonmm" of Hugh Dickins, 2003 and 2004: object pages are found by their
 * object's areas; an anonymous page names the anonmm of one space that maps it, and its address.
 *
 * Every space has an anonmm. Those of a family (all who descend by fork from one exec) form a ring,
 * and the oldest is its head. A page is at one address in all spaces of its family, page->rmap, so a
 * walk asks the space that the page names first, then goes round the ring. Areas cost nothing, nor
 * do entries. The price is paid by mremap: what moves must be the space's own, so pages that
 * relatives share are copied first (may_share).
 *
 *   lock     VM_RANK_ANON, the head's: the ring, and `space` of all in it. Who holds it and sees a
 *            space there can rely on it: a space takes itself out first when it ends.
 *   count    atomic: its living space, pages that name it, and for a head the others of the ring
 *   owner    of a page changes with the page locked, or while nobody else knows the page; so a walk,
 *            which holds both, needs no lock to find the anonmm alive. It is given up when the page
 *            is freed or born again, not when its last entry goes: an entry can come back meanwhile.
 *   extinct  pages are freed with any lock held, hence none of a ring can be taken there: an anonmm
 *            that nothing counts any more waits in a list, without a lock, for whoever next makes,
 *            ends or walks spaces. Nothing finds it again, so only one frees it.
 *
 * A page whose space has gone is given to the first one found to map it, so that extinct anonmms do
 * not stay for the sake of old pages.
 */
#include "vm/frame/cache.h"
#include "vm/rmap/design.h"
#include "vm/space/space.h"

extern const struct vm_design vm_design_anonmm;

struct anonmm {
    struct vm_lock lock; /* the head's counts */
    _Atomic uint32_t count;
    struct vm_space *space; /* NULL: it has gone */
    struct anonmm *head;    /* of the ring, for life; it may be the anonmm itself */
    struct vm_link ring;    /* from old to young */
    struct anonmm *next_extinct;
};

_Static_assert(sizeof(void *) != 8 || sizeof(struct anonmm) == 48, "an anonmm has grown");

struct anonmm_design {
    struct vm_cache *cache;
    struct anonmm *_Atomic extinct;
};

static struct anonmm_design *design_of(const struct vm_machine *machine) {
    return machine->design_data;
}

/* What stands behind each space. */
static struct anonmm **record_of(struct vm_space *space) {
    return vm_space_design_record(space);
}

static struct anonmm *next_in_ring(struct anonmm *anonmm) {
    return vm_link_entry(anonmm->ring.next, struct anonmm, ring);
}

/* The page's address in every space that maps it; mremap changes it under a table's lock. */
static uint64_t address_of(const struct vm_page *page) {
    return __atomic_load_n(&page->rmap, __ATOMIC_RELAXED);
}

static void set_address(struct vm_page *page, uint64_t address) {
    __atomic_store_n(&page->rmap, address, __ATOMIC_RELAXED);
}

/* ---------------------------------------------------------------- life of an anonmm */

/* => somebody is counted already, and stays meanwhile */
static void count_up(const struct vm_machine *machine, struct anonmm *anonmm) {
    vm_preempt(machine, &anonmm->count);
    if (machine->smp)
        atomic_fetch_add_explicit(&anonmm->count, 1, memory_order_relaxed);
    else
        atomic_store_explicit(&anonmm->count,
                              atomic_load_explicit(&anonmm->count, memory_order_relaxed) + 1,
                              memory_order_relaxed);
}

/* Whether that was the last: of two who come at once, exactly one is told so. */
static bool count_down(const struct vm_machine *machine, struct anonmm *anonmm) {
    vm_preempt(machine, &anonmm->count);
    if (machine->smp)
        return atomic_fetch_sub_explicit(&anonmm->count, 1, memory_order_acq_rel) == 1;
    uint32_t left = atomic_load_explicit(&anonmm->count, memory_order_relaxed) - 1;
    atomic_store_explicit(&anonmm->count, left, memory_order_relaxed);
    return left == 0;
}

/* => any lock may be held */
static void drop(struct vm_machine *machine, struct anonmm *anonmm) {
    struct anonmm_design *design = design_of(machine);

    if (!count_down(machine, anonmm))
        return;
    struct anonmm *top = atomic_load_explicit(&design->extinct, memory_order_relaxed);
    do {
        vm_preempt(machine, &design->extinct);
        anonmm->next_extinct = top;
    } while (!atomic_compare_exchange_weak_explicit(&design->extinct, &top, anonmm,
                                                    memory_order_release, memory_order_relaxed));
}

/* All that are extinct: taking all at once, nobody meets one that was taken and came back. */
static struct anonmm *take_extinct(struct vm_machine *machine) {
    struct anonmm_design *design = design_of(machine);

    vm_preempt(machine, &design->extinct);
    if (!atomic_load_explicit(&design->extinct, memory_order_relaxed))
        return NULL;
    return atomic_exchange_explicit(&design->extinct, NULL, memory_order_acquire);
}

static void bury(struct vm_machine *machine, struct anonmm *anonmm) {
    struct anonmm *head = anonmm->head;

    if (anonmm != head) {
        vm_lock(machine, &head->lock, VM_RANK_ANON);
        vm_link_remove(&anonmm->ring);
        vm_unlock(machine, &head->lock, VM_RANK_ANON);
        drop(machine, head);
    }
    vm_cache_free(machine, design_of(machine)->cache, anonmm);
}

/* Frees what is extinct; the last of a ring makes its head so. => no spinning lock held */
static void bury_extinct(struct vm_machine *machine) {
    struct anonmm *anonmm;

    while ((anonmm = take_extinct(machine)))
        while (anonmm) {
            struct anonmm *next = anonmm->next_extinct;
            bury(machine, anonmm);
            anonmm = next;
        }
}

/* For the space, which has none: the youngest of the head's ring, or a head without one. */
static struct anonmm *create(struct vm_space *space, struct anonmm *head) {
    struct vm_machine *machine = space->machine;
    struct anonmm *anonmm = vm_cache_allocate(machine, design_of(machine)->cache);

    if (!anonmm)
        return NULL;
    atomic_init(&anonmm->lock.word, 0);
    atomic_init(&anonmm->count, 1);
    anonmm->space = space;
    anonmm->head = head ? head : anonmm;
    vm_link_init(&anonmm->ring);
    if (head) {
        count_up(machine, head);
        vm_lock(machine, &head->lock, VM_RANK_ANON);
        vm_link_add_last(&head->ring, &anonmm->ring);
        vm_unlock(machine, &head->lock, VM_RANK_ANON);
    }
    *record_of(space) = anonmm;
    return anonmm;
}

/* The space leaves; walks in it have finished. => it maps nothing */
static void leave(struct vm_space *space, struct anonmm *anonmm) {
    struct vm_machine *machine = space->machine;

    vm_lock(machine, &anonmm->head->lock, VM_RANK_ANON);
    anonmm->space = NULL;
    vm_unlock(machine, &anonmm->head->lock, VM_RANK_ANON);
    drop(machine, anonmm);
    bury_extinct(machine);
}

/* ---------------------------------------------------------------- spaces */

static int space_created(struct vm_space *space, struct vm_space *parent) {
    bury_extinct(space->machine);
    return create(space, parent ? (*record_of(parent))->head : NULL) ? VM_OK : VM_ENOMEM;
}

/* No page can be shared with the family any more. If there is no memory for an anonmm, the space
 * stays in the family's ring: that costs a family's walks a look at it, while exec, which has
 * emptied the space, would otherwise have to fail half-way. */
static int space_emptied(struct vm_space *space) {
    struct anonmm *old = *record_of(space);

    if (atomic_load_explicit(&old->count, memory_order_relaxed) == 1 && old == old->head)
        return VM_OK;
    if (create(space, NULL))
        leave(space, old);
    return VM_OK;
}

static void space_ended(struct vm_space *space) {
    leave(space, *record_of(space));
}

/* ---------------------------------------------------------------- pages */

/* A page from swap may name another space from before it lost its last entry. */
static void born(struct vm_area *area, struct vm_page *page, enum vm_birth birth) {
    struct vm_machine *machine = area->space->machine;
    struct anonmm *before = page->owner, *anonmm = *record_of(area->space);

    (void)birth;
    count_up(machine, anonmm);
    set_address(page, vm_area_address_of(area, page->index));
    page->owner = anonmm;
    if (before)
        drop(machine, before);
}

/* Each of the two pages counts for itself. */
static void replaced(struct vm_machine *machine, struct vm_page *from, struct vm_page *to) {
    if (!to->owner) {
        count_up(machine, from->owner);
        to->owner = from->owner;
    }
    set_address(to, address_of(from));
}

static void pages_freed(struct vm_machine *machine, struct vm_page *const *pages, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        if (!vm_page_is(pages[i], VM_PAGE_ANON) || !pages[i]->owner)
            continue;
        set_address(pages[i], 0);
        drop(machine, pages[i]->owner);
    }
}

/* The spaces that map a page know it by one address. */
static bool may_share(const struct vm_area *area, const struct vm_page *page) {
    return vm_area_covers(area, page->index) &&
           vm_area_address_of(area, page->index) == address_of(page);
}

/* Every page is alone here, since may_share() asks for that; it is given its new address. */
static void moved(const struct vm_run *from, const struct vm_run *to) {
    struct vm_machine *machine = from->area->space->machine;

    for (unsigned i = 0; i < from->count; i++) {
        if (!vm_pte_present(from->entries[i]))
            continue;
        struct vm_page *page = vm_page_of(machine, vm_pte_frame(from->entries[i]));
        if (!vm_page_is(page, VM_PAGE_ANON))
            continue;
        VM_ASSERT(machine, vm_page_mapcount(page) == 1);
        set_address(page, to->address + i * VM_PAGE_SIZE);
    }
}

/* ---------------------------------------------------------------- walking */

/* Once round the ring from the owner on; false if the walk has ended. *finder becomes the first
 * whose space maps the page. => the ring is locked */
static bool walk_ring(struct vm_area_walk *walk, struct anonmm *owner, uint64_t address,
                      struct anonmm **finder) {
    struct anonmm *at = owner;

    do {
        uint32_t kept = walk->kept;
        vm_count(walk->machine, rmap.object_visits, 1);
        bool on = !at->space || vm_rmap_walk_space(walk, at->space, address);
        if (walk->kept > kept && !*finder)
            *finder = at;
        if (!on)
            return false;
        at = next_in_ring(at);
    } while (at != owner);
    return true;
}

/* Alone pages may be moved while we look for them: then they are at another address, and we look
 * again there. => the ring is locked */
static struct anonmm *find_in_ring(struct vm_area_walk *walk, struct anonmm *owner) {
    struct anonmm *finder = NULL;
    uint64_t address;

    do {
        address = address_of(walk->page);
        if (!walk_ring(walk, owner, address, &finder))
            return finder;
    } while (address_of(walk->page) != address);
    return finder;
}

static enum vm_walked walk_anonymous(struct vm_area_walk *walk) {
    struct vm_machine *machine = walk->machine;
    vm_preempt(machine, walk->page);
    struct anonmm *owner = walk->page->owner;

    if (!owner)
        return VM_WALKED_SOME; /* about to get its first entry */
    vm_lock(machine, &owner->head->lock, VM_RANK_ANON);
    struct anonmm *finder = find_in_ring(walk, owner);
    bool migrate = !owner->space && finder && walk->kind != VM_WALK_LOOK;
    if (migrate) {
        count_up(machine, finder);
        walk->page->owner = finder;
    }
    vm_unlock(machine, &owner->head->lock, VM_RANK_ANON);
    if (migrate) {
        drop(machine, owner);
        bury_extinct(machine);
    }
    return walk->walked;
}

static enum vm_walked walk(struct vm_machine *machine, struct vm_page *page, enum vm_walk_kind kind,
                           vm_mapping_visit *visit, void *context) {
    if (!vm_page_is(page, VM_PAGE_ANON))
        return vm_rmap_walk_object(machine, page, kind, visit, context);
    struct vm_area_walk spaces = { .machine = machine,
                                   .page = page,
                                   .kind = kind,
                                   .visit = visit,
                                   .context = context,
                                   .walked = VM_WALKED_ALL };
    return walk_anonymous(&spaces);
}

/* ---------------------------------------------------------------- the machine */

static int init(struct vm_machine *machine) {
    struct vm_port *port = machine->port;
    struct anonmm_design *design = port->allocate(port, sizeof *design, 16);

    if (!design)
        return VM_ENOMEM;
    atomic_init(&design->extinct, NULL);
    design->cache = vm_cache_create(machine, "anonmm", VM_COST_RMAP, sizeof(struct anonmm), 8);
    if (!design->cache) {
        port->release(port, design, sizeof *design);
        return VM_ENOMEM;
    }
    machine->design_data = design;
    return VM_OK;
}

static void fini(struct vm_machine *machine) {
    struct anonmm_design *design = design_of(machine);

    bury_extinct(machine);
    vm_cache_destroy(machine, design->cache);
    machine->port->release(machine->port, design, sizeof *design);
    machine->design_data = NULL;
}

/* ---------------------------------------------------------------- check */

struct census {
    uint64_t members, heads, spaces, counted; /* of the rings met at their oldest living member */
    uint64_t differences;
};

static bool is_oldest_living(struct anonmm *anonmm) {
    struct anonmm *at = anonmm->head;

    while (at != anonmm && !at->space)
        at = next_in_ring(at);
    return at == anonmm;
}

static void check_ring(struct census *census, struct anonmm *head) {
    struct anonmm *at = head;

    do {
        census->members++;
        census->spaces += at->space != NULL;
        census->counted += atomic_load_explicit(&at->count, memory_order_relaxed);
        census->differences += at->head != head || at->ring.next->previous != &at->ring;
        census->differences += at->space && *record_of(at->space) != at;
        at = next_in_ring(at);
    } while (at != head);
    census->heads++;
}

static uint64_t pages_that_name_one(const struct vm_machine *machine, uint64_t *differences) {
    uint64_t named = 0;

    for (uint64_t frame = 0; frame < machine->config.frames; frame++) {
        if (!machine->sections[frame >> VM_SECTION_SHIFT].pages) {
            frame |= VM_SECTION_PAGES - 1;
            continue;
        }
        const struct vm_page *page = vm_page_of(machine, frame);
        if (vm_page_counts(page) == 0 || vm_page_is(page, VM_PAGE_TABLE) ||
            !vm_page_is(page, VM_PAGE_ANON))
            continue;
        named += page->owner != NULL;
        *differences += vm_page_mapcount(page) > 0 && !page->owner;
    }
    return named;
}

/* Every living space is in its ring, counts add up to what they count, and there is no anonmm
 * besides. => the machine is at rest */
static uint64_t check(struct vm_machine *machine) {
    struct census census = { 0 };

    bury_extinct(machine);
    for (struct vm_space *space = vm_space_first(machine); space; space = vm_space_after(space)) {
        struct anonmm *anonmm = *record_of(space);
        census.differences += anonmm->space != space;
        if (is_oldest_living(anonmm))
            check_ring(&census, anonmm->head);
    }
    uint64_t named = pages_that_name_one(machine, &census.differences);
    census.differences += census.counted != census.spaces + (census.members - census.heads) + named;
    census.differences += census.members != vm_cache_live(design_of(machine)->cache);
    return census.differences;
}

const struct vm_design vm_design_anonmm = {
    .info = { .name = "anonmm",
              .origin =
                  "Dickins 2003, 2.6.6-mm (2004): objrmap for files, a ring of related spaces",
              .space_bytes = sizeof(struct anonmm *),
              .mapping_cost = "nothing; mremap copies pages that are shared" },
    .finds_objects_by_area = true,
    .init = init,
    .fini = fini,
    .space_created = space_created,
    .space_emptied = space_emptied,
    .space_ended = space_ended,
    .born = born,
    .replaced = replaced,
    .moved = moved,
    .may_share = may_share,
    .pages_freed = pages_freed,
    .walk = walk,
    .check = check,
};
