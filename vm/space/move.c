/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * move.c - mremap.
 *
 * A move copies the areas of the source to the target first, then makes the page tables that the
 * target needs, and only then moves entries, which cannot fail: up to there, taking the target's
 * empty areas out again undoes everything. (What VM_MREMAP_FIXED found at the target is gone by
 * then even if the call fails, as in Linux.)
 *
 * Moved areas keep their pgoff, so every page keeps its index. Anonymous areas that never had a
 * page are numbered anew, and so can be joined with their new neighbours.
 *
 * Where the design knows a page by one address, pages that other spaces have, too, are copied before
 * any of them is moved; those in swap are copied when they come back (vm_design.may_share).
 *
 * No page becomes invisible on the way. Both areas cover the page while its entry moves; the entry
 * moves under both leaves' locks; and around each part of a run those locks are held that a walk may hold from
 * before it looks at the one place until after it has looked at the other, so that it sees all
 * its entries before the move or all after it: the object's areas lock, which walks and
 * truncation hold from the first area to the last, and the space's, which a scan of the space holds.
 * A design that looks at one area after the other looks at the copy after the original. The order of
 * locks is areas locks, source leaf (VM_RANK_TABLE), target leaf (VM_RANK_TABLE_SECOND); the old
 * translations are flushed before they are given back, since reclaim will only flush the new ones.
 *
 * A nonlinear area is several mappings to a program. Where they only move, its entries move, and it
 * stays what it is; else the mapping in question is made an area of its own first (nonlinear.c).
 *
 * Whether the design agreed to join two areas must not show: neighbours that are alike count as
 * one area here, and are moved one by one.
 */
#include "vm/fault/fault.h"
#include "vm/space/space.h"

#define IN_PAGE (VM_PAGE_SIZE - 1)
#define KNOWN_FLAGS                                                                                \
    ((unsigned)VM_MREMAP_MAYMOVE | (unsigned)VM_MREMAP_FIXED | (unsigned)VM_MREMAP_DONTUNMAP)

struct remap {
    struct vm_space *space;
    uint64_t from, old_length, to, new_length; /* whole pages */
    unsigned flags;
};

static uint64_t page_up(uint64_t bytes) {
    return (bytes + IN_PAGE) & ~IN_PAGE;
}

/* The target is the caller's choice, or (DONTUNMAP) its hint. */
static bool is_placed(const struct remap *call) {
    return (call->flags & (VM_MREMAP_FIXED | VM_MREMAP_DONTUNMAP)) != 0;
}

static uint64_t growth(const struct remap *call) {
    return call->new_length > call->old_length ? call->new_length - call->old_length : 0;
}

/* ---------------------------------------------------------------- moving entries */

struct move {
    struct vm_space *space;
    uint64_t delta; /* from source to target, modulo 2^64 */
    struct vm_area *source, *target;
};

/* Makes the tables in which entries of [start, end) will find their place. */
static int ensure_tables(const struct move *move, uint64_t start, uint64_t end) {
    struct vm_machine *machine = move->space->machine;
    struct vm_table_cursor at = vm_table_cursor(move->space->root, start, end);
    int error = VM_OK;

    while (!error && vm_table_next(machine, &at)) {
        uint64_t first = at.address + move->delta;
        uint64_t last = first + (at.count - 1) * VM_PAGE_SIZE;
        struct vm_leaf leaf;
        error = vm_table_ensure(machine, move->space->root, first, &leaf);
        if (!error && first / VM_LEAF_SPAN != last / VM_LEAF_SPAN)
            error = vm_table_ensure(machine, move->space->root, last, &leaf);
    }
    return error ? VM_ENOMEM : VM_OK;
}

/* Moves the run's entries up to the first that is frozen, whose page is returned; NULL if none is.
 * The run begins with what is left then. => both leaves' locks held */
static struct vm_page *move_entries(const struct move *move, struct vm_run *source,
                                    vm_pte_slot *from_slots, const struct vm_leaf *leaf) {
    struct vm_machine *machine = move->space->machine;
    vm_pte entries[VM_TABLE_ENTRIES];
    struct vm_run from = *source, to = *source;
    struct vm_page *waiting = NULL;
    int used = 0, present = 0;
    unsigned i = 0;

    to.area = move->target;
    to.table = leaf->table;
    to.address = from.address + move->delta;
    to.first = vm_table_index(to.address, 0);
    from.entries = to.entries = entries;
    for (; i < from.count; i++) {
        entries[i] = vm_pte_read(&from_slots[i]);
        if (!entries[i])
            continue;
        if (vm_pte_frozen(entries[i])) {
            waiting = vm_page_of(machine, vm_pte_frame(entries[i]));
            break;
        }
        entries[i] = vm_pte_exchange(machine, &from_slots[i], 0);
        vm_preempt(machine, &leaf->entries[to.first + i]);
        vm_pte_write(&leaf->entries[to.first + i], entries[i]);
        used++;
        present += vm_pte_present(entries[i]);
    }
    from.count = to.count = i;
    source->address += i * VM_PAGE_SIZE;
    source->first += i;
    source->count -= i;
    if (!used)
        return waiting;
    vm_table_account(from.table, -used, -present);
    vm_table_account(to.table, used, present);
    vm_rmap_moved(machine, &from, &to);
    vm_count(machine, entries.moved, (uint64_t)used);
    if (present)
        vm_space_flush(move->space, from.address, from.address + from.count * VM_PAGE_SIZE);
    return waiting;
}

static struct vm_page *move_part(const struct move *move, struct vm_run *run, vm_pte_slot *slots,
                                 const struct vm_leaf *leaf) {
    struct vm_machine *machine = move->space->machine;
    struct vm_object *object = run->area->object;
    bool two = leaf->table != run->table;

    if (object)
        vm_lock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
    vm_lock(machine, &move->space->areas_lock, VM_RANK_AREAS);
    vm_lock(machine, &run->table->lock, VM_RANK_TABLE);
    if (two)
        vm_lock(machine, &leaf->table->lock, VM_RANK_TABLE_SECOND);
    struct vm_page *waiting = move_entries(move, run, slots, leaf);
    if (two)
        vm_unlock(machine, &leaf->table->lock, VM_RANK_TABLE_SECOND);
    vm_unlock(machine, &run->table->lock, VM_RANK_TABLE);
    vm_unlock(machine, &move->space->areas_lock, VM_RANK_AREAS);
    if (object)
        vm_unlock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
    return waiting;
}

/* In one part, or as many as there are frozen entries on the way, whose pages are being moved. */
static void move_run(const struct move *move, struct vm_run *run, vm_pte_slot *slots,
                     const struct vm_leaf *leaf) {
    unsigned count = run->count;
    struct vm_page *waiting;

    while ((waiting = move_part(move, run, slots + (count - run->count), leaf)))
        vm_page_wait_unlocked(move->space->machine, waiting);
}

/* A source leaf's run goes to one or two target leaves. */
static void move_leaf(const struct move *move, const struct vm_table_cursor *at) {
    for (unsigned done = 0, count; done < at->count; done += count) {
        struct vm_run run = { .area = move->source,
                              .table = at->table,
                              .address = at->address + done * VM_PAGE_SIZE,
                              .first = at->first + done };
        struct vm_leaf leaf;
        unsigned room = VM_TABLE_ENTRIES - vm_table_index(run.address + move->delta, 0);
        count = at->count - done < room ? at->count - done : room;
        run.count = count;
        if (vm_table_find(move->space->machine, move->space->root, run.address + move->delta,
                          &leaf))
            move_run(move, &run, at->entries + done, &leaf);
    }
}

/* ---------------------------------------------------------------- moving areas */

static void move_all_entries(struct move *move, uint64_t start, uint64_t end) {
    struct vm_machine *machine = move->space->machine;

    for (uint64_t position = start; position < end;) {
        move->source = vm_area_at(move->space, position);
        move->target = vm_area_at(move->space, position + move->delta);
        uint64_t piece_end = move->source->end < end ? move->source->end : end;
        struct vm_table_cursor at = vm_table_cursor(move->space->root, position, piece_end);
        while (vm_table_next(machine, &at))
            move_leaf(move, &at);
        position = piece_end;
    }
}

/* The other end of vm_area_alike_last(). */
static struct vm_area *alike_first(struct vm_area *area) {
    struct vm_area *previous;

    while ((previous = vm_area_previous(area)) && vm_area_alike(previous, area))
        area = previous;
    return area;
}

/* Whether the pages' indexes must stay as they are, for all that counts as this one area. */
static bool keeps_numbering(struct vm_area *area) {
    struct vm_area *last = vm_area_alike_last(area);

    if (area->object)
        return true;
    area = alike_first(area);
    while (!(vm_area_flags(area) & VM_AREA_HAS_ANON) && area != last)
        area = vm_area_next(area);
    return (vm_area_flags(area) & VM_AREA_HAS_ANON) != 0;
}

/* The lock flag comes last, so that no page counts as locked twice. */
static int copy_area(struct vm_area *area, uint64_t start, uint64_t to, uint64_t to_end,
                     bool keep_numbering) {
    const struct vm_design *design = area->space->machine->design;
    uint64_t pgoff = keep_numbering ? vm_area_page_index(area, start) : to >> VM_PAGE_SHIFT;
    struct vm_area *copy =
        vm_area_allocate(area->space, to, to_end, vm_area_flags(area) & ~(uint32_t)VM_AREA_LOCKED,
                         area->object, pgoff);
    if (!copy)
        return VM_ENOMEM;
    if (keep_numbering && design->area_copied && design->area_copied(area, copy) != VM_OK) {
        vm_area_free(copy);
        return VM_ENOMEM;
    }
    vm_area_insert(copy);
    return VM_OK;
}

/* Copies what covers the source; the last copy also covers what the mapping grows by. */
static int copy_areas(const struct remap *call, bool keep_numbering) {
    uint64_t position = call->from, end = call->from + call->old_length;
    int error = VM_OK;

    do {
        struct vm_area *area = vm_area_at(call->space, position);
        uint64_t piece_end = area->end < end ? area->end : end;
        uint64_t to = call->to + (position - call->from);
        uint64_t to_end =
            piece_end == end ? call->to + call->new_length : to + (piece_end - position);
        error = copy_area(area, position, to, to_end, keep_numbering);
        position = piece_end;
    } while (!error && position < end);
    return error;
}

static void set_locked(struct vm_space *space, uint64_t start, uint64_t end, bool locked) {
    for (struct vm_area *area = vm_area_find(space, start); area && area->start < end;
         area = vm_area_next(area)) {
        uint32_t flags = vm_area_flags(area) & ~(uint32_t)VM_AREA_LOCKED;
        vm_area_set_flags(area, locked ? flags | VM_AREA_LOCKED : flags);
    }
}

/* Areas all of whose pages have gone may be numbered anew. */
static void forget_pages(struct vm_space *space, uint64_t start, uint64_t end) {
    for (struct vm_area *area = vm_area_at(space, start); area && area->start < end;
         area = vm_area_next(area))
        vm_area_set_flags(area, vm_area_flags(area) & ~(uint32_t)VM_AREA_HAS_ANON);
}

/* What stays behind with DONTUNMAP is empty. All of the mapping is locked no longer, as in Linux,
 * even if only a part has moved. */
static void leave_empty(const struct remap *call) {
    uint64_t end = call->from + call->old_length;
    struct vm_area *area = vm_area_at(call->space, call->from);
    uint64_t whole_start = alike_first(area)->start, whole_end = vm_area_alike_last(area)->end;

    set_locked(call->space, whole_start, whole_end, false);
    if (whole_start == call->from && whole_end == end)
        forget_pages(call->space, call->from, end);
    vm_space_prune(call->space, call->from, end);
    vm_area_merge(call->space, whole_start, whole_end);
}

/* => the source is covered by areas that count as one (or is empty: a duplicate), the target free */
static int move_mapping(const struct remap *call) {
    struct vm_space *space = call->space;
    struct move move = { .space = space, .delta = call->to - call->from };
    struct vm_area *area = vm_area_at(space, call->from);
    uint64_t end = call->from + call->old_length, new_end = call->to + call->new_length;
    bool locked = (vm_area_flags(area) & VM_AREA_LOCKED) != 0,
         keep_numbering = keeps_numbering(area);
    bool unmap = call->old_length && !(call->flags & VM_MREMAP_DONTUNMAP);
    int error = VM_OK;

    if (unmap)
        error = vm_area_cut(space, call->from, end);
    if (!error)
        error = copy_areas(call, keep_numbering);
    if (!error)
        error = ensure_tables(&move, call->from, end);
    if (!error && vm_rmap_wants_one_address(space->machine))
        error = vm_fault_unshare(space, call->from, end) ? VM_ENOMEM : VM_OK;
    if (error) {
        vm_unmap_range(space, call->to, new_end);
        vm_area_merge(space, call->from, end);
        return error;
    }

    move_all_entries(&move, call->from, end);
    vm_space_prune(space, call->to, new_end); /* reclaim may have been quicker than the move */
    if (unmap)
        vm_unmap_range(space, call->from, end);
    else if (call->old_length)
        leave_empty(call);
    if (locked)
        set_locked(space, call->to, new_end, true);
    vm_area_merge(space, call->to, new_end);
    return VM_OK;
}

/* ---------------------------------------------------------------- the call */

/* Entries that tell offsets can move, but not leave an area behind that shows the same without
 * them, nor grow. */
static bool moves_only(const struct remap *call) {
    return call->flags & VM_MREMAP_FIXED && !(call->flags & VM_MREMAP_DONTUNMAP) &&
           call->old_length == call->new_length;
}

static int straighten_source(const struct remap *call) {
    return moves_only(call) ? VM_OK : vm_area_straighten(call->space, call->from);
}

static bool overlaps(const struct remap *call) {
    return call->from + call->old_length > call->to && call->to + call->new_length > call->from;
}

/* A move may need three areas more than there are, for a while. */
static bool near_limit(const struct vm_space *space, uint64_t more) {
    return space->area_count + more + 3 >= space->machine->config.area_limit;
}

static int check_form(const struct remap *call) {
    if (call->flags & ~KNOWN_FLAGS || call->from & IN_PAGE)
        return VM_EINVAL;
    if (call->new_length == 0 || call->new_length > VM_ADDRESS_END)
        return VM_EINVAL;
    if (!is_placed(call))
        return VM_OK;
    if (call->to > VM_ADDRESS_END - call->new_length || call->to & IN_PAGE)
        return VM_EINVAL;
    if (!(call->flags & VM_MREMAP_MAYMOVE))
        return VM_EINVAL;
    if (call->flags & VM_MREMAP_DONTUNMAP && call->old_length != call->new_length)
        return VM_EINVAL;
    return overlaps(call) ? VM_EINVAL : VM_OK;
}

/* Whether the mapping at the source may be moved or grow as asked. */
static int check_source(const struct remap *call, struct vm_area *area) {
    uint64_t kept = call->old_length < call->new_length ? call->old_length : call->new_length;
    uint64_t more = growth(call) >> VM_PAGE_SHIFT;

    if (call->old_length == 0 && !vm_area_shared(area))
        return VM_EINVAL;
    if (kept > vm_area_alike_last(area)->end - call->from)
        return VM_EFAULT;
    if (more == 0)
        return VM_OK;
    if (vm_area_page_index(area, call->from) + (call->new_length >> VM_PAGE_SHIFT) < area->pgoff)
        return VM_EINVAL;
    if (vm_area_flags(area) & VM_AREA_LOCKED && !vm_may_lock(call->space, more))
        return VM_EAGAIN;
    return vm_may_map(call->space, more) ? VM_OK : VM_ENOMEM;
}

/* Takes out what a smaller mapping leaves, across whatever areas are there. */
static int cut_tail(const struct remap *call) {
    uint64_t tail = call->from + call->new_length, end;
    int error = vm_range_check(tail, call->old_length - call->new_length, &end);

    return error ? error : vm_munmap_locked(call->space, tail, end);
}

static bool grow_in_place(const struct remap *call, struct vm_area *area) {
    struct vm_area *last = vm_area_alike_last(area), *next = vm_area_next(last);
    uint64_t end = call->from + call->new_length;

    if (last->end != call->from + call->old_length)
        return false;
    if (end > VM_ADDRESS_END || (next && next->start < end))
        return false;
    vm_area_set_range(last, last->start, end, last->pgoff);
    vm_area_merge(call->space, last->start, end);
    return true;
}

static int grow(struct remap *call, struct vm_area *area) {
    int error = check_source(call, area);

    if (error)
        return error;
    if (call->old_length && grow_in_place(call, area)) {
        call->to = call->from;
        return VM_OK;
    }
    if (!(call->flags & VM_MREMAP_MAYMOVE) || near_limit(call->space, 0))
        return VM_ENOMEM;
    error = vm_mmap_place(call->space, 0, call->new_length, &call->to);
    return error ? error : move_mapping(call);
}

static int remap_anywhere(struct remap *call) {
    if (!vm_area_at(call->space, call->from))
        return VM_EFAULT;
    if (growth(call)) {
        int error = straighten_source(call);
        return error ? error : grow(call, vm_area_at(call->space, call->from));
    }
    call->to = call->from;
    return call->old_length > call->new_length ? cut_tail(call) : VM_OK;
}

static int remap_placed(struct remap *call) {
    int error = straighten_source(call);
    struct vm_area *area = vm_area_at(call->space, call->from);

    if (!error)
        error = area ? check_source(call, area) : VM_EFAULT;
    if (!error && call->flags & VM_MREMAP_DONTUNMAP &&
        !vm_may_map(call->space, call->old_length >> VM_PAGE_SHIFT))
        error = VM_ENOMEM;
    if (!error && call->flags & VM_MREMAP_FIXED)
        error = vm_munmap_locked(call->space, call->to, call->to + call->new_length);
    if (!error && !vm_area_at(call->space, call->from))
        error = VM_EFAULT; /* a duplicate that was to replace what it is made of */
    if (!error && call->old_length > call->new_length) {
        error = cut_tail(call);
        call->old_length = call->new_length;
    }
    if (!error && near_limit(call->space, 0))
        error = VM_ENOMEM;
    if (!error && !(call->flags & VM_MREMAP_FIXED))
        error = vm_mmap_place(call->space, call->to, call->new_length, &call->to);
    return error ? error : move_mapping(call);
}

/*
 * A range that is only moved may hold several mappings, and gaps between them. They are moved one
 * by one; what lies at the target across from a gap stays. A failure leaves the ones before moved.
 */
static int remap_several(const struct remap *call) {
    uint64_t position = call->from, end = call->from + call->old_length;
    int error = vm_area_at(call->space, position) ? VM_OK : VM_EFAULT;

    while (!error && position < end) {
        struct vm_area *area = vm_area_find(call->space, position);
        if (!area || area->start >= end)
            break;
        if (area->start > position)
            position = area->start;
        if (!moves_only(call)) {
            error = vm_area_straighten(call->space, position);
            if (error)
                break;
            area = vm_area_at(call->space, position);
        }
        uint64_t area_end = vm_area_alike_last(area)->end;
        struct remap piece = *call;
        piece.from = position;
        piece.to = call->to + (position - call->from);
        piece.old_length = piece.new_length = (area_end < end ? area_end : end) - position;
        position += piece.old_length;
        error = remap_placed(&piece);
    }
    return error;
}

static int remap_locked(struct remap *call) {
    if (!is_placed(call))
        return remap_anywhere(call);
    if (near_limit(call->space, 2))
        return VM_ENOMEM;
    if (call->flags & VM_MREMAP_FIXED && call->old_length == call->new_length)
        return remap_several(call);
    return remap_placed(call);
}

static bool is_locked_at(struct vm_space *space, uint64_t address) {
    return (vm_area_flags(vm_area_at(space, address)) & VM_AREA_LOCKED) != 0;
}

int vm_mremap(struct vm_space *space, uint64_t old_address, uint64_t old_length,
              uint64_t new_length, unsigned flags, uint64_t new_address, uint64_t *result) {
    struct remap call = { space,       old_address,         page_up(old_length),
                          new_address, page_up(new_length), flags };
    int error = check_form(&call);

    if (error)
        return error;
    vm_write_lock(space->machine, &space->lock, VM_RANK_SPACE);
    error = remap_locked(&call);
    bool populate = !error && growth(&call) && is_locked_at(space, call.to);
    vm_write_unlock(space->machine, &space->lock, VM_RANK_SPACE);
    if (populate)
        vm_populate_unlocked(space, call.to + call.old_length, call.to + call.new_length);
    if (!error)
        *result = call.to;
    vm_settle(space->machine);
    return error;
}
