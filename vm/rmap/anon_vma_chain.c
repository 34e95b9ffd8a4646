/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anon_vma_chain.c - the design "anon-vma-chain" of Linux since 2.6.34: object pages are found by
 * their object's areas, anonymous pages by an anon_vma, of which each area has one of its own.
 *
 *     parent    chain: A          own: A      a page names the own anon_vma of the area it was born
 *     child     chain: A, B       own: B      in, so that a child's copies are looked for in the
 *     grandchild    A, B, C       own: C      child and its children only
 *
 * An area is linked to its ancestors' anon_vmas too, where its older pages are. Fork copies the chain
 * and adds to it, so generations would make it ever longer. Hence the rule of 2015, as mended in
 * 2022: a child takes over an anon_vma of the chain, not the root's, that is no area's own any more
 * and has one child at most.
 *
 *   lock       VM_RANK_ANON, in the root, for the whole family: trees and counts. Chains change with
 *              the space lock held for writing, or (area_prepare) with the root's and areas_lock.
 *   users      links, children, and walks that are about to lock it; the last one frees it, and so
 *              the root goes last, with its lock
 *   naming     who sees a page mapped while holding it becomes a user in time: anon_list.h
 *
 * Invariants. Chains begin with the root, and areas with the same own anon_vma have equal chains: so
 * a merge leaves nothing out. Every area that may hold a page is linked to the anon_vma that the page
 * names; one from swap, which relatives may have too, names the root. Areas of equal offset are
 * walked in the order in which they came, so a moved page is met in its old area first or its new.
 */
#include "vm/frame/cache.h"
#include "vm/rmap/anon_share.h"
#include "vm/rmap/design.h"
#include "vm/space/space.h"
#include "vm/tree/interval.h"

extern const struct vm_design vm_design_anon_vma_chain;

struct anon_vma {
    struct anon_vma *root;   /* of the family, itself if it began with this one */
    struct anon_vma *parent; /* NULL for a root */
    struct vm_lock lock;     /* a root's is held for all of its family: */
    _Atomic uint32_t users;
    uint32_t children;    /* anon_vmas with areas, whose parent this is */
    uint32_t owners;      /* areas whose own it is */
    struct vm_tree areas; /* of struct link, by the areas' offsets */
};

/* One area in one anon_vma's tree. */
struct link {
    struct vm_area *area;
    struct anon_vma *anon;
    struct link *next; /* in the area's chain, oldest anon_vma first */
    struct vm_interval_node node;
};

_Static_assert(sizeof(void *) != 8 || sizeof(struct anon_vma) == 40, "an anon_vma has grown");
_Static_assert(sizeof(void *) != 8 || sizeof(struct link) == 56, "a link has grown");

/* What stands behind each area. */
struct chain {
    struct link *links;
    struct anon_vma *_Atomic own; /* NULL, as links is, until the area's first anonymous page */
};

struct chain_design {
    struct vm_cache *anon_cache, *link_cache;
    struct anon_naming naming;
};

static struct chain_design *design_of(const struct vm_machine *machine) {
    return machine->design_data;
}

static struct chain *chain_of(const struct vm_area *area) {
    size_t offset = area->space->machine->area_design_offset;
    return (struct chain *)((uintptr_t)area + offset);
}

static struct anon_vma *own_of(const struct vm_area *area) {
    return atomic_load_explicit(&chain_of(area)->own, memory_order_acquire);
}

static void set_own(struct vm_area *area, struct anon_vma *anon) {
    atomic_store_explicit(&chain_of(area)->own, anon, memory_order_release);
}

static void lock_family(struct vm_machine *machine, struct anon_vma *anon) {
    vm_lock(machine, &anon->root->lock, VM_RANK_ANON);
}

static void unlock_family(struct vm_machine *machine, struct anon_vma *anon) {
    vm_unlock(machine, &anon->root->lock, VM_RANK_ANON);
}

/* ---------------------------------------------------------------- life of an anon_vma */

/* => it has a user that stays meanwhile */
static void users_add(const struct vm_machine *machine, struct anon_vma *anon) {
    anon_users_adjust(machine, &anon->users, 1);
}

/* The last user of a child may be the last one of its parent. => its family's lock is not held */
static void users_drop(struct vm_machine *machine, struct anon_vma *anon) {
    struct chain_design *design = design_of(machine);

    while (anon && anon_users_drop(machine, anon_naming_of(&design->naming, (uintptr_t)anon),
                                   &anon->users)) {
        struct anon_vma *parent = anon->parent;
        VM_ASSERT(machine, !anon->areas.root);
        vm_cache_free(machine, design->anon_cache, anon);
        anon = parent;
    }
}

/* The anon_vma that the page names, to be dropped again; NULL if nothing maps the page any more. */
static struct anon_vma *anon_of_page(struct vm_machine *machine, const struct vm_page *page) {
    struct anon_naming *naming = &design_of(machine)->naming;
    struct anon_vma *anon = anon_lock_owner_of(machine, naming, page);

    if (anon) {
        users_add(machine, anon);
        vm_unlock(machine, anon_naming_of(naming, (uintptr_t)anon), VM_RANK_ANON);
    }
    return anon;
}

/* A family of its own, with the caller as its user; NULL: no memory. */
static struct anon_vma *anon_create(struct vm_machine *machine) {
    struct anon_vma *anon = vm_cache_allocate(machine, design_of(machine)->anon_cache);

    if (anon) {
        *anon = (struct anon_vma){ .root = anon };
        atomic_init(&anon->users, 1);
    }
    return anon;
}

/* => nobody knows the child yet; the parent's family is locked */
static void join_family(struct vm_machine *machine, struct anon_vma *child,
                        struct anon_vma *parent) {
    child->root = parent->root;
    child->parent = parent;
    parent->children++;
    users_add(machine, parent);
}

/* ---------------------------------------------------------------- links */

static struct link *link_at(const struct vm_interval_node *node) {
    return vm_tree_entry(node, struct link, node);
}

static struct vm_interval offsets_of(const struct vm_interval_node *node) {
    const struct vm_area *area = link_at(node)->area;
    return (struct vm_interval){ area->pgoff, vm_area_last_index(area) };
}

static void summarise(struct vm_tree_node *node);

static const struct vm_interval_kind by_offset = { offsets_of, summarise };

static void summarise(struct vm_tree_node *node) {
    vm_interval_summarise(node, &by_offset);
}

static void links_free(struct vm_machine *machine, struct link *links) {
    while (links) {
        struct link *next = links->next;
        vm_cache_free(machine, design_of(machine)->link_cache, links);
        links = next;
    }
}

/* n > 0 links in a list; NULL: no memory. */
static struct link *links_allocate(struct vm_machine *machine, size_t n) {
    struct link *links = NULL;

    for (; n > 0; n--) {
        struct link *link = vm_cache_allocate(machine, design_of(machine)->link_cache);
        if (!link) {
            links_free(machine, links);
            return NULL;
        }
        link->next = links;
        links = link;
    }
    return links;
}

static size_t chain_length(const struct vm_area *area) {
    size_t length = 0;
    for (const struct link *link = chain_of(area)->links; link; link = link->next)
        length++;
    return length;
}

/* The link is a part of the area's chain, or becomes one. => the family is locked */
static void attach(struct link *link, struct vm_area *area, struct anon_vma *anon) {
    users_add(area->space->machine, anon);
    link->area = area;
    link->anon = anon;
    vm_interval_insert(&anon->areas, &link->node, &by_offset);
}

/* The copy is linked to all that the area is linked to; the links are its chain from now on.
 * Returns the last one used. => the family is locked; there are enough links */
static struct link *clone_chain(const struct vm_area *area, struct vm_area *copy,
                                struct link *links) {
    struct link *last = NULL;

    chain_of(copy)->links = links;
    for (const struct link *link = chain_of(area)->links; link; link = link->next) {
        attach(links, copy, link->anon);
        last = links;
        links = links->next;
    }
    return last;
}

/* => the family is locked */
static void take_own(struct vm_area *area, struct anon_vma *anon) {
    anon->owners++;
    set_own(area, anon);
}

/* ---------------------------------------------------------------- the first anonymous page */

/* The area's own anon_vma, if a neighbour may have it as its own. A longer chain may not be shared:
 * the neighbour would need all of it, for pages that it never had. */
static struct anon_vma *shareable(const struct vm_area *area) {
    const struct link *links = chain_of(area)->links;
    return links && !links->next ? own_of(area) : NULL;
}

/* A neighbour's anon_vma, with one more user; NULL if there is none to share. */
static struct anon_vma *share_with_neighbour(struct vm_area *area) {
    struct vm_space *space = area->space;
    struct vm_machine *machine = space->machine;
    struct vm_area *next = vm_area_next(area), *previous = vm_area_previous(area);
    struct anon_vma *anon = NULL;

    vm_lock(machine, &space->areas_lock, VM_RANK_AREAS); /* others publish in the neighbours */
    if (next && anon_could_merge(area, next))
        anon = shareable(next);
    if (!anon && previous && anon_could_merge(previous, area))
        anon = shareable(previous);
    if (anon)
        users_add(machine, anon); /* the neighbour stays: the space lock is held */
    vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);
    return anon;
}

/* Gives the area the anon_vma, unless another fault was first: then the link is left. The lock is
 * taken even if the anon_vma is fresh: once published, others may look for it. */
static struct link *publish(struct vm_area *area, struct anon_vma *anon, struct link *link) {
    struct vm_space *space = area->space;
    struct vm_machine *machine = space->machine;

    lock_family(machine, anon);
    vm_lock(machine, &space->areas_lock, VM_RANK_AREAS);
    if (!own_of(area)) {
        attach(link, area, anon);
        chain_of(area)->links = link;
        take_own(area, anon);
        link = NULL;
    }
    vm_unlock(machine, &space->areas_lock, VM_RANK_AREAS);
    unlock_family(machine, anon);
    return link;
}

static int area_prepare(struct vm_area *area) {
    struct vm_machine *machine = area->space->machine;

    if (own_of(area))
        return VM_OK;
    struct link *link = links_allocate(machine, 1);
    struct anon_vma *anon = link ? share_with_neighbour(area) : NULL;
    if (link && !anon)
        anon = anon_create(machine);
    if (anon) {
        link = publish(area, anon, link);
        users_drop(machine, anon);
    }
    links_free(machine, link);
    return anon ? VM_OK : VM_ENOMEM;
}

/* ---------------------------------------------------------------- fork, split, move */

static int area_copied(struct vm_area *area, struct vm_area *copy) {
    struct vm_machine *machine = area->space->machine;
    struct anon_vma *own = own_of(area);

    if (!own)
        return VM_OK;
    struct link *links = links_allocate(machine, chain_length(area));
    if (!links)
        return VM_ENOMEM;
    lock_family(machine, own);
    clone_chain(area, copy, links);
    take_own(copy, own);
    unlock_family(machine, own);
    return VM_OK;
}

/* The oldest of the area's anon_vmas that its child may take for its own. => the family is locked */
static struct anon_vma *reusable(const struct vm_area *area) {
    for (const struct link *link = chain_of(area)->links; link; link = link->next) {
        struct anon_vma *anon = link->anon;
        if (anon != anon->root && anon->owners == 0 && anon->children < 2)
            return anon;
    }
    return NULL;
}

/* Links the child, with `fresh` as its own anon_vma at the end of the chain, or with one that lies
 * idle. Returns the link that is then left over. */
static struct link *link_child(struct vm_area *parent, struct vm_area *child, struct link *links,
                               struct anon_vma *fresh) {
    struct vm_machine *machine = parent->space->machine;
    struct anon_vma *own = own_of(parent), *idle;
    struct link *last, *left_over = NULL;

    lock_family(machine, own);
    last = clone_chain(parent, child, links);
    idle = reusable(parent);
    if (idle) {
        left_over = last->next;
        last->next = NULL;
    } else {
        join_family(machine, fresh, own);
        attach(last->next, child, fresh);
    }
    take_own(child, idle ? idle : fresh);
    unlock_family(machine, own);
    return left_over;
}

static int area_forked(struct vm_area *parent, struct vm_area *child) {
    struct vm_machine *machine = parent->space->machine;

    if (!own_of(parent))
        return VM_OK;
    struct link *links = links_allocate(machine, chain_length(parent) + 1);
    struct anon_vma *fresh = links ? anon_create(machine) : NULL;
    if (!fresh) {
        links_free(machine, links);
        return VM_ENOMEM;
    }
    links_free(machine, link_child(parent, child, links, fresh));
    users_drop(machine, fresh);
    return VM_OK;
}

/* ---------------------------------------------------------------- merge, change, end */

static bool area_mergeable(const struct vm_area *lower, const struct vm_area *upper) {
    struct anon_vma *a = own_of(lower), *b = own_of(upper);
    return !a || !b || a == b;
}

/* Where only `gone` has a chain, `kept` takes it over, and nothing need be allocated. Its links still
 * lead to `gone`, which still has the pages, until kept's range changes to cover them: the engine
 * does that next. */
static void area_merged(struct vm_area *kept, struct vm_area *gone) {
    struct chain *to = chain_of(kept), *from = chain_of(gone);

    if (own_of(kept) || !own_of(gone))
        return;
    to->links = from->links;
    set_own(kept, own_of(gone));
    from->links = NULL;
    set_own(gone, NULL);
}

/* The lock is kept until area_changed(): nobody finds the area missing. */
static void area_changing(struct vm_area *area) {
    struct anon_vma *own = own_of(area);

    if (!own)
        return;
    lock_family(area->space->machine, own);
    for (struct link *link = chain_of(area)->links; link; link = link->next)
        vm_interval_remove(&link->anon->areas, &link->node, &by_offset);
}

static void area_changed(struct vm_area *area) {
    struct anon_vma *own = own_of(area);

    if (!own)
        return;
    for (struct link *link = chain_of(area)->links; link; link = link->next) {
        link->area = area; /* it may have come with a merge */
        vm_interval_insert(&link->anon->areas, &link->node, &by_offset);
    }
    unlock_family(area->space->machine, own);
}

/* An anon_vma without areas can have no mapped pages and gets no areas any more: it is its parent's
 * child no longer, though somebody may still be about to lock it. => the family is locked */
static void detach(struct link *link) {
    struct anon_vma *anon = link->anon;

    vm_interval_remove(&anon->areas, &link->node, &by_offset);
    if (!anon->areas.root && anon->parent)
        anon->parent->children--;
}

static void area_ended(struct vm_area *area) {
    struct vm_machine *machine = area->space->machine;
    struct anon_vma *own = own_of(area);
    struct link *links = chain_of(area)->links;

    if (!own)
        return;
    lock_family(machine, own);
    for (struct link *link = links; link; link = link->next)
        detach(link);
    own->owners--;
    chain_of(area)->links = NULL;
    set_own(area, NULL);
    unlock_family(machine, own);

    for (struct link *link = links; link; link = link->next)
        users_drop(machine, link->anon);
    links_free(machine, links);
}

/* ---------------------------------------------------------------- pages */

static void born(struct vm_area *area, struct vm_page *page, enum vm_birth birth) {
    struct anon_vma *own = own_of(area);
    page->owner = birth == VM_BIRTH_NEW ? own : own->root;
}

/* Inherited, but nobody else's any more: from now on only this area's own descendants can have it. */
static void owned(struct vm_area *area, struct vm_page *page) {
    page->owner = own_of(area);
}

static bool look_at(struct vm_interval_node *node, void *context) {
    return vm_rmap_walk_area(context, link_at(node)->area);
}

static void search_tree(struct vm_area_walk *walk, const struct anon_vma *anon) {
    struct vm_machine *machine = walk->machine;
    uint64_t index = walk->page->index;
    struct vm_interval_looks looks =
        vm_interval_each(&anon->areas, &by_offset, index, index, look_at, walk);

    vm_count(machine, rmap.object_visits, looks.looked_at);
    vm_count(machine, rmap.range_rejects, looks.rejected);
}

static enum vm_walked walk_anonymous(struct vm_area_walk *walk) {
    struct vm_machine *machine = walk->machine;
    struct anon_vma *anon = anon_of_page(machine, walk->page);

    if (!anon)
        return VM_WALKED_ALL;
    lock_family(machine, anon);
    search_tree(walk, anon);
    unlock_family(machine, anon);
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
    struct chain_design *design =
        port->allocate(port, sizeof *design, _Alignof(struct chain_design));

    if (!design)
        return VM_ENOMEM;
    anon_naming_init(&design->naming);
    design->anon_cache =
        vm_cache_create(machine, "anon_vma", VM_COST_RMAP, sizeof(struct anon_vma), 8);
    design->link_cache =
        vm_cache_create(machine, "anon_vma_chain", VM_COST_RMAP, sizeof(struct link), 8);
    if (design->anon_cache && design->link_cache) {
        machine->design_data = design;
        return VM_OK;
    }
    if (design->link_cache)
        vm_cache_destroy(machine, design->link_cache);
    if (design->anon_cache)
        vm_cache_destroy(machine, design->anon_cache);
    port->release(port, design, sizeof *design);
    return VM_ENOMEM;
}

static void fini(struct vm_machine *machine) {
    struct chain_design *design = design_of(machine);

    vm_cache_destroy(machine, design->link_cache);
    vm_cache_destroy(machine, design->anon_cache);
    machine->port->release(machine->port, design, sizeof *design);
    machine->design_data = NULL;
}

/* ---------------------------------------------------------------- check */

struct census {
    uint64_t anons, roots, children; /* anon_vmas met at their first area; the counts of children */
    uint64_t links, linked;          /* in chains; in trees */
    uint64_t differences;
};

static bool equal_chains(const struct vm_area *a, const struct vm_area *b) {
    const struct link *one = chain_of(a)->links, *other = chain_of(b)->links;

    while (one && other && one->anon == other->anon) {
        one = one->next;
        other = other->next;
    }
    return !one && !other;
}

static void check_anon(struct census *census, const struct anon_vma *anon) {
    uint64_t linked = 0, owners = 0;
    const struct vm_area *owner = NULL;

    for (struct vm_tree_node *at = vm_tree_first(&anon->areas); at; at = vm_tree_next(at)) {
        struct link *link = link_at(vm_tree_entry(at, struct vm_interval_node, node));
        linked++;
        census->differences += link->anon != anon;
        if (own_of(link->area) != anon)
            continue;
        owners++;
        census->differences += owner && !equal_chains(owner, link->area);
        owner = link->area;
    }
    census->differences += !vm_interval_check(&anon->areas, &by_offset);
    census->differences += owners != anon->owners;
    census->differences +=
        atomic_load_explicit(&anon->users, memory_order_relaxed) != linked + anon->children;
    census->differences += (anon->root == anon) != (anon->parent == NULL);
    census->anons++;
    census->roots += anon->root == anon;
    census->children += anon->children;
    census->linked += linked;
}

static void check_area(struct census *census, const struct vm_area *area) {
    const struct anon_vma *own = own_of(area);
    const struct link *links = chain_of(area)->links;
    bool own_is_linked = false;

    census->differences += !own && (vm_area_flags(area) & VM_AREA_HAS_ANON);
    census->differences += !own != !links;
    if (!own || !links)
        return;
    census->differences += links->anon != own->root;
    for (const struct link *link = links; link; link = link->next) {
        census->links++;
        census->differences += link->area != area || link->anon->root != own->root;
        own_is_linked |= link->anon == own;
        if (vm_tree_first(&link->anon->areas) == &link->node.node)
            check_anon(census, link->anon);
    }
    census->differences += !own_is_linked;
}

/* Chains and trees hold the same links, counts are what they count, and no anon_vma or link is left
 * over. => the machine is at rest */
static uint64_t check(struct vm_machine *machine) {
    struct census census = { .differences = 0 };

    for (struct vm_space *space = vm_space_first(machine); space; space = vm_space_after(space)) {
        for (struct vm_area *area = vm_area_first(space); area; area = vm_area_next(area))
            check_area(&census, area);
    }
    census.differences += census.linked != census.links;
    census.differences += census.roots + census.children != census.anons;
    census.differences += census.links != vm_cache_live(design_of(machine)->link_cache);
    census.differences += census.anons != vm_cache_live(design_of(machine)->anon_cache);
    return census.differences;
}

const struct vm_design vm_design_anon_vma_chain = {
    .info = { .name = "anon-vma-chain",
              .origin = "Linux 2.6.34 (2010) to today: chains of anon_vmas, one lock in the root, "
                        "reuse of 2015",
              .area_bytes = sizeof(struct chain),
              .mapping_cost = "nothing" },
    .finds_objects_by_area = true,
    .init = init,
    .fini = fini,
    .area_prepare = area_prepare,
    .area_forked = area_forked,
    .area_copied = area_copied,
    .area_mergeable = area_mergeable,
    .area_merged = area_merged,
    .area_changing = area_changing,
    .area_changed = area_changed,
    .area_ended = area_ended,
    .born = born,
    .owned = owned,
    .walk = walk,
    .check = check,
};
