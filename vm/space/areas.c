/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * areas.c - the areas of a space: an ordered tree in which every area knows the gap below it, and
 * the largest gap in its subtree. Finding an area, and the highest gap of some length, takes one
 * descent.
 *
 * Invariants, held again whenever areas_lock is free: areas do not overlap; area->gap is the free
 * room down to the area before (or to address 0); largest_gap is the largest gap of the subtree.
 *
 * An area that changes its range leaves its object's index and comes back within one section of the
 * object's areas lock, and the design's area_changing() and area_changed() are called inside it:
 * who walks the object sees it before or after, never without. Of two areas that trade pages (a
 * split, a merge) one always covers them; for a moment both may.
 *
 * The design's area_ended() is called in one place, vm_area_free(), once for every area that was
 * ever allocated: mapped or not, prepared or not, copied or forked with success or without. A
 * design finds the zeroed record there if it never put anything into it.
 */
#include "vm/frame/cache.h"
#include "vm/memory.h"
#include "vm/space/space.h"
#include "vm/sum.h"

#define STACK_GUARD_GAP (UINT64_C(256) * VM_PAGE_SIZE)

static struct vm_area *area_of(struct vm_tree_node *node) {
    return node ? vm_tree_entry(node, struct vm_area, node) : NULL;
}

static uint64_t largest_gap_below(const struct vm_tree_node *node) {
    return node ? vm_tree_entry(node, struct vm_area, node)->largest_gap : 0;
}

static void summarise(struct vm_tree_node *node) {
    struct vm_area *area = area_of(node);
    uint64_t left = largest_gap_below(node->child[VM_TREE_LEFT]);
    uint64_t right = largest_gap_below(node->child[VM_TREE_RIGHT]);
    uint64_t below = left > right ? left : right;

    area->largest_gap = area->gap > below ? area->gap : below;
}

/* ---------------------------------------------------------------- finding */

static struct vm_area *last_found(const struct vm_space *space) {
    return __atomic_load_n(&space->last_found, __ATOMIC_RELAXED);
}

static void remember(struct vm_space *space, struct vm_area *area) {
    if (last_found(space) != area)
        __atomic_store_n(&space->last_found, area, __ATOMIC_RELAXED);
}

struct vm_area *vm_area_find(struct vm_space *space, uint64_t address) {
    struct vm_area *hint = last_found(space), *found = NULL;

    if (hint && address >= hint->start && address < hint->end)
        return hint;
    for (struct vm_tree_node *node = space->areas.root; node;) {
        struct vm_area *area = area_of(node);
        if (address >= area->end) {
            node = node->child[VM_TREE_RIGHT];
            continue;
        }
        found = area;
        if (address >= area->start)
            break;
        node = node->child[VM_TREE_LEFT];
    }
    if (found)
        remember(space, found);
    return found;
}

struct vm_area *vm_area_at(struct vm_space *space, uint64_t address) {
    struct vm_area *area = vm_area_find(space, address);
    return area && area->start <= address ? area : NULL;
}

struct vm_area *vm_area_first(struct vm_space *space) {
    return area_of(vm_tree_first(&space->areas));
}

struct vm_area *vm_area_next(struct vm_area *area) {
    return area_of(vm_tree_next(&area->node));
}

struct vm_area *vm_area_previous(struct vm_area *area) {
    return area_of(vm_tree_previous(&area->node));
}

/* ---------------------------------------------------------------- gaps */

struct wanted_gap {
    uint64_t length, low, high;
    uint64_t address; /* the answer */
};

/* The highest place within [start, end) as far as the search may go. */
static bool fits(struct wanted_gap *wanted, uint64_t start, uint64_t end) {
    if (start < wanted->low)
        start = wanted->low;
    if (end > wanted->high)
        end = wanted->high;
    if (end < start || end - start < wanted->length)
        return false;
    wanted->address = end - wanted->length;
    return true;
}

/* A stack grows down into its gap: the room right below it is not for others. */
static bool fits_below(struct wanted_gap *wanted, const struct vm_area *area) {
    uint64_t end = area->start;

    if (vm_area_flags(area) & VM_AREA_GROWSDOWN)
        end -= area->gap < STACK_GUARD_GAP ? area->gap : STACK_GUARD_GAP;
    return fits(wanted, area->start - area->gap, end);
}

/* Highest gaps first. Only gaps cut by `low`, `high` or a stack's guard are visited in vain. */
static bool highest_gap(struct wanted_gap *wanted, struct vm_tree_node *node) {
    struct vm_area *area = area_of(node);

    if (!area || area->largest_gap < wanted->length)
        return false;
    if (area->end < wanted->high && highest_gap(wanted, node->child[VM_TREE_RIGHT]))
        return true;
    if (area->start <= wanted->low)
        return false;
    return fits_below(wanted, area) || highest_gap(wanted, node->child[VM_TREE_LEFT]);
}

int vm_area_gap(struct vm_space *space, uint64_t length, uint64_t low, uint64_t high,
                uint64_t *address) {
    struct wanted_gap wanted = { .length = length, .low = low, .high = high };
    struct vm_area *last = area_of(vm_tree_last(&space->areas));

    if (!fits(&wanted, last ? last->end : 0, VM_ADDRESS_END) &&
        !highest_gap(&wanted, space->areas.root))
        return VM_ENOMEM;
    *address = wanted.address;
    return VM_OK;
}

/* ---------------------------------------------------------------- life */

/* What a nonlinear area keeps besides. */
static struct vm_nonlinear_area *nonlinear_allocate(struct vm_area *area) {
    struct vm_machine *machine = area->space->machine;
    struct vm_nonlinear_area *record = vm_cache_allocate(machine, machine->nonlinear_cache);

    if (record) {
        memset(record, 0, sizeof *record);
        record->area = area;
        vm_link_init(&record->link);
    }
    return record;
}

struct vm_area *vm_area_allocate(struct vm_space *space, uint64_t start, uint64_t end,
                                 uint32_t flags, struct vm_object *object, uint64_t pgoff) {
    struct vm_machine *machine = space->machine;
    struct vm_area *area = vm_cache_allocate(machine, machine->area_cache);

    if (!area)
        return NULL;
    memset(area, 0, sizeof *area);
    memset(vm_area_index_record(machine, area), 0, machine->index_kind->area_bytes);
    memset(vm_area_design_record(machine, area), 0, machine->design->info.area_bytes);
    area->start = start;
    area->end = end;
    area->pgoff = pgoff;
    atomic_init(&area->flags, flags);
    area->space = space;
    area->object = object;
    if (vm_area_is_nonlinear(area)) {
        *vm_area_nonlinear(machine, area) = nonlinear_allocate(area);
        if (!*vm_area_nonlinear(machine, area)) {
            vm_cache_free(machine, machine->area_cache, area);
            return NULL;
        }
    }
    if (object)
        vm_object_get(object);
    return area;
}

void vm_area_free(struct vm_area *area) {
    struct vm_machine *machine = area->space->machine;
    struct vm_object *object = area->object;

    if (machine->design->area_ended)
        machine->design->area_ended(area);
    if (vm_area_is_nonlinear(area))
        vm_cache_free(machine, machine->nonlinear_cache, *vm_area_nonlinear(machine, area));
    vm_cache_free(machine, machine->area_cache, area);
    if (object)
        vm_object_put(object);
}

/* ---------------------------------------------------------------- counts */

static void count_pages(struct vm_space *space, uint64_t pages, uint32_t flags) {
    space->mapped_pages += pages;
    if (flags & VM_AREA_LOCKED) {
        space->locked_pages += pages;
        vm_share_add(space->machine, VM_SUM_LOCKED, (int64_t)pages);
    }
}

static void uncount_pages(struct vm_space *space, uint64_t pages, uint32_t flags) {
    space->mapped_pages -= pages;
    if (flags & VM_AREA_LOCKED) {
        space->locked_pages -= pages;
        vm_share_add(space->machine, VM_SUM_LOCKED, -(int64_t)pages);
    }
}

static void count_area(struct vm_space *space) {
    space->area_count++;
    vm_share_add(space->machine, VM_SUM_AREAS, 1);
}

static void uncount_area(struct vm_space *space) {
    space->area_count--;
    vm_share_add(space->machine, VM_SUM_AREAS, -1);
}

/* ---------------------------------------------------------------- the tree; => areas_lock held */

static void set_gap(struct vm_area *area, uint64_t previous_end) {
    area->gap = area->start - previous_end;
    vm_tree_update(&area->node, summarise);
}

static void set_gap_after(struct vm_area *area, uint64_t previous_end) {
    struct vm_area *next = vm_area_next(area);
    if (next)
        set_gap(next, previous_end);
}

static void tree_insert(struct vm_space *space, struct vm_area *area) {
    struct vm_tree_node *parent = NULL, *node = space->areas.root;
    enum vm_tree_side side = VM_TREE_LEFT;
    uint64_t previous_end = 0;

    while (node) {
        parent = node;
        side = area->start < area_of(node)->start ? VM_TREE_LEFT : VM_TREE_RIGHT;
        if (side == VM_TREE_RIGHT)
            previous_end = area_of(node)->end;
        node = node->child[side];
    }
    VM_ASSERT(space->machine, previous_end <= area->start);
    area->gap = area->start - previous_end;
    vm_tree_insert(&space->areas, parent, side, &area->node, summarise);
    set_gap_after(area, area->end);
}

static void tree_remove(struct vm_space *space, struct vm_area *area) {
    set_gap_after(area, area->start - area->gap);
    vm_tree_remove(&space->areas, &area->node, summarise);
    if (last_found(space) == area)
        remember(space, NULL);
}

static void tree_reshape(struct vm_area *area, uint64_t start, uint64_t end, uint64_t pgoff) {
    uint64_t previous_end = area->start - area->gap;

    area->start = start;
    area->end = end;
    area->pgoff = pgoff;
    set_gap(area, previous_end);
    set_gap_after(area, end);
}

/* ---------------------------------------------------------------- changing ranges */

/* From here to finish_change() nobody finds the area by its object or by the design. */
static void begin_change(struct vm_area *area) {
    struct vm_machine *machine = area->space->machine;
    struct vm_object *object = area->object;

    if (object) {
        vm_lock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
        vm_object_take_area(object, area);
    }
    if (machine->design->area_changing)
        machine->design->area_changing(area);
    vm_lock(machine, &area->space->areas_lock, VM_RANK_AREAS);
}

/* `arrived` came into the tree by this change, `left` went out of it; both may be NULL. */
static void finish_change(struct vm_area *area, struct vm_area *arrived, struct vm_area *left) {
    struct vm_machine *machine = area->space->machine;
    struct vm_object *object = area->object;

    vm_unlock(machine, &area->space->areas_lock, VM_RANK_AREAS);
    if (machine->design->area_changed)
        machine->design->area_changed(area);
    if (!object)
        return;
    vm_object_put_area(object, area);
    if (arrived)
        vm_object_put_area(object, arrived);
    if (left)
        vm_object_take_area(object, left);
    vm_unlock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
}

void vm_area_insert(struct vm_area *area) {
    struct vm_space *space = area->space;

    vm_lock(space->machine, &space->areas_lock, VM_RANK_AREAS);
    tree_insert(space, area);
    vm_unlock(space->machine, &space->areas_lock, VM_RANK_AREAS);
    if (area->object)
        vm_object_link_area(area->object, area);
    count_area(space);
    count_pages(space, vm_area_pages(area), vm_area_flags(area));
}

void vm_area_remove(struct vm_area *area) {
    struct vm_space *space = area->space;

    if (area->object)
        vm_object_unlink_area(area->object, area);
    vm_lock(space->machine, &space->areas_lock, VM_RANK_AREAS);
    tree_remove(space, area);
    vm_unlock(space->machine, &space->areas_lock, VM_RANK_AREAS);
    uncount_area(space);
    uncount_pages(space, vm_area_pages(area), vm_area_flags(area));
}

void vm_area_set_range(struct vm_area *area, uint64_t start, uint64_t end, uint64_t pgoff) {
    uncount_pages(area->space, vm_area_pages(area), vm_area_flags(area));
    begin_change(area);
    tree_reshape(area, start, end, pgoff);
    finish_change(area, NULL, NULL);
    count_pages(area->space, vm_area_pages(area), vm_area_flags(area));
}

void vm_area_set_flags(struct vm_area *area, uint32_t flags) {
    struct vm_space *space = area->space;
    uint64_t pages = vm_area_pages(area);

    uncount_pages(space, pages, vm_area_flags(area));
    vm_lock(space->machine, &space->areas_lock, VM_RANK_AREAS);
    vm_preempt(space->machine, &area->flags);
    atomic_store_explicit(&area->flags, flags, memory_order_relaxed);
    vm_unlock(space->machine, &space->areas_lock, VM_RANK_AREAS);
    count_pages(space, pages, flags);
}

int vm_area_set_nonlinear(struct vm_area *area) {
    struct vm_nonlinear_area *record = nonlinear_allocate(area);

    if (!record)
        return VM_ENOMEM;
    begin_change(area);
    vm_area_add_flags(area, VM_AREA_NONLINEAR);
    *vm_area_nonlinear(area->space->machine, area) = record;
    finish_change(area, NULL, NULL);
    return VM_OK;
}

void vm_area_set_linear(struct vm_area *area, uint64_t pgoff) {
    struct vm_machine *machine = area->space->machine;
    struct vm_nonlinear_area *record = *vm_area_nonlinear(machine, area);

    begin_change(area);
    vm_area_drop_flags(area, VM_AREA_NONLINEAR);
    area->pgoff = pgoff;
    memset(vm_area_index_record(machine, area), 0, machine->index_kind->area_bytes);
    finish_change(area, NULL, NULL);
    vm_cache_free(machine, machine->nonlinear_cache, record);
}

/* ---------------------------------------------------------------- cutting */

/*
 *     start      address        end             start      address        end
 *       |--------- area ---------|      ==>       |-- area --|--- upper ---|
 */
static int split(struct vm_area *area, uint64_t address, struct vm_area **upper) {
    const struct vm_design *design = area->space->machine->design;
    struct vm_area *above = vm_area_allocate(area->space, address, area->end, vm_area_flags(area),
                                             area->object, vm_area_page_index(area, address));
    if (!above)
        return VM_ENOMEM;
    if (design->area_copied && design->area_copied(area, above) != VM_OK) {
        vm_area_free(above);
        return VM_ENOMEM;
    }
    begin_change(area);
    tree_reshape(area, area->start, address, area->pgoff);
    tree_insert(area->space, above);
    finish_change(area, above, NULL);
    count_area(area->space);
    *upper = above;
    return VM_OK;
}

static bool at_limit(const struct vm_space *space) {
    return space->area_count >= space->machine->config.area_limit;
}

int vm_area_split(struct vm_area *area, uint64_t address, struct vm_area **upper) {
    return at_limit(area->space) ? VM_ENOMEM : split(area, address, upper);
}

static int cut_at(struct vm_space *space, uint64_t address) {
    struct vm_area *area = vm_area_at(space, address), *upper;

    return area && area->start < address ? split(area, address, &upper) : VM_OK;
}

/* Cuts serve to take out what lies between. That leaves more areas than there were only where both
 * are in the same area, so only then does the limit matter. */
int vm_area_cut(struct vm_space *space, uint64_t start, uint64_t end) {
    struct vm_area *area = vm_area_at(space, start);

    if (area && area->start < start && end < area->end && at_limit(space))
        return VM_ENOMEM;
    int error = cut_at(space, start);
    return error ? error : cut_at(space, end);
}

int vm_area_isolate(struct vm_area *area, uint64_t start, uint64_t end, struct vm_area **piece) {
    struct vm_area *upper;
    int error = VM_OK;

    if (area->start < start) {
        error = vm_area_split(area, start, &upper);
        if (error)
            return error;
        area = upper;
    }
    if (end < area->end)
        error = vm_area_split(area, end, &upper);
    if (error)
        vm_area_merge(area->space, start, start);
    else
        *piece = area;
    return error;
}

/* ---------------------------------------------------------------- joining */

bool vm_area_alike(const struct vm_area *lower, const struct vm_area *upper) {
    return lower->end == upper->start && lower->object == upper->object &&
           ((vm_area_flags(lower) ^ vm_area_flags(upper)) & ~(uint32_t)VM_AREA_MERGE_IGNORES) ==
               0 &&
           lower->pgoff + vm_area_pages(lower) == upper->pgoff;
}

struct vm_area *vm_area_alike_last(struct vm_area *area) {
    struct vm_area *next = vm_area_next(area);

    while (next && vm_area_alike(area, next)) {
        area = next;
        next = vm_area_next(area);
    }
    return area;
}

static bool mergeable(const struct vm_area *lower, const struct vm_area *upper) {
    const struct vm_design *design = lower->space->machine->design;

    return vm_area_alike(lower, upper) &&
           (!design->area_mergeable || design->area_mergeable(lower, upper));
}

/* The design moves the pages' records first, while the upper area still covers its pages. */
static void join(struct vm_area *kept, struct vm_area *gone) {
    const struct vm_design *design = kept->space->machine->design;

    if (design->area_merged)
        design->area_merged(kept, gone);
    vm_area_add_flags(kept, vm_area_flags(gone) & VM_AREA_HAS_ANON);
    begin_change(kept);
    tree_remove(kept->space, gone);
    tree_reshape(kept, kept->start, gone->end, kept->pgoff);
    finish_change(kept, NULL, gone);
    uncount_area(kept->space);
    vm_area_free(gone);
}

void vm_area_merge(struct vm_space *space, uint64_t start, uint64_t end) {
    struct vm_area *area = vm_area_find(space, start ? start - 1 : 0), *next;

    while (area && (next = vm_area_next(area)) && next->start <= end) {
        if (mergeable(area, next))
            join(area, next);
        else
            area = next;
    }
}

/* ---------------------------------------------------------------- checking */

static uint64_t check_area(struct vm_space *space, struct vm_area *area, uint64_t previous_end) {
    uint64_t left = largest_gap_below(area->node.child[VM_TREE_LEFT]);
    uint64_t right = largest_gap_below(area->node.child[VM_TREE_RIGHT]);
    uint64_t wrong = 0;

    wrong += area->space != space;
    wrong += area->start >= area->end || area->end > VM_ADDRESS_END;
    wrong += ((area->start | area->end) & (VM_PAGE_SIZE - 1)) != 0;
    wrong += area->start < previous_end || area->gap != area->start - previous_end;
    wrong += area->largest_gap < area->gap || area->largest_gap < left || area->largest_gap < right;
    wrong +=
        area->largest_gap != area->gap && area->largest_gap != left && area->largest_gap != right;
    wrong += vm_area_shared(area) && !area->object;
    wrong += vm_area_is_nonlinear(area) && !vm_area_shared(area);
    wrong += (vm_area_flags(area) & VM_AREA_GROWSDOWN) && area->object;
    return wrong;
}

uint64_t vm_space_check(struct vm_space *space) {
    uint64_t wrong = vm_tree_check(&space->areas) < 0;
    uint64_t areas = 0, pages = 0, locked = 0, previous_end = 0;
    bool hint_found = last_found(space) == NULL;

    for (struct vm_area *area = vm_area_first(space); area; area = vm_area_next(area)) {
        wrong += check_area(space, area, previous_end);
        previous_end = area->end;
        areas++;
        pages += vm_area_pages(area);
        locked += vm_area_flags(area) & VM_AREA_LOCKED ? vm_area_pages(area) : 0;
        hint_found |= area == last_found(space);
    }
    wrong += areas != space->area_count;
    wrong += pages != space->mapped_pages;
    wrong += locked != space->locked_pages;
    wrong += !hint_found;
    return wrong;
}
