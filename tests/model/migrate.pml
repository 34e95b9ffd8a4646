/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * migrate.pml - a page is moved to another frame while its mappings are copied, cleared and used
 * (vm/reclaim/migrate.c, vm/space/fork.c, vm/fault/fault.c).
 *
 * Three places for entries. The first maps the old frame and belongs to a parent, which forks twice,
 * or not, into the others; each may be unmapped afterwards. Their programs store at any time: the
 * hardware does if the entry is present; if it is frozen, the fault waits for the page lock.
 *
 *   A store goes to the frame whose contents count: to the old one before the copy, then to the new.
 *   When the move is done nothing maps the old frame; if it was given up, nothing the new one, and no
 *   entry is left frozen.
 *   Map counts are right, and everybody who waits goes on.
 *
 * Rules that can be taken away:
 *   BROKEN_ONE_WALK     one walk counts as having frozen every entry
 *   BROKEN_READ_ORDER   the frozen entries are counted before the mappings are
 *   BROKEN_FORK         fork copies a frozen entry
 *   BROKEN_UNMAP        who clears a frozen entry takes it off the mappings first, off the frozen later
 *   BROKEN_FAULT        a fault makes a frozen entry present by itself
 */
#include "locks.pml"

#define PLACES 3

mtype = { NONE, OLD, FROZEN, NEW };

bool page_lock, table_lock[PLACES];
mtype entry[PLACES] = NONE;
byte old_count = 1, new_count, frozen;
bool moved; /* the new frame's contents count */

/* ---- the parent and its children */

/* Reads and clears under the leaf's lock; the counts that belong to it follow in the same section. */
inline unmap(p) {
    LOCK(table_lock[p]);
    if
    :: entry[p] == OLD -> entry[p] = NONE; old_count--
    :: entry[p] == NEW -> entry[p] = NONE; new_count--
    :: entry[p] == FROZEN ->
        entry[p] = NONE;
#ifdef BROKEN_UNMAP
        old_count--;
        frozen--
#else
        frozen--;
        old_count--
#endif
    :: else
    fi;
    UNLOCK(table_lock[p])
}

/* Both leaves locked; stops before a frozen entry, and waits for its page. */
inline fork_into(p) {
    do
    :: true ->
        LOCK(table_lock[0]);
        LOCK(table_lock[p]);
        waits = false;
        if
        :: entry[0] == OLD -> d_step { entry[p] = OLD; old_count++ }
        :: entry[0] == NEW -> d_step { entry[p] = NEW; new_count++ }
        :: entry[0] == FROZEN ->
#ifdef BROKEN_FORK
            d_step { entry[p] = OLD; old_count++ }
#else
            waits = true
#endif
        :: else
        fi;
        UNLOCK(table_lock[p]);
        UNLOCK(table_lock[0]);
        if
        :: waits -> !page_lock /* vm_page_wait_unlocked() */
        :: else -> break
        fi
    od
}

proctype child(byte p) {
    unmap(p)
}

proctype parent() {
    bool waits;
    if
    :: fork_into(1); run child(1);
        if
        :: fork_into(2); run child(2)
        :: skip
        fi
    :: skip
    fi;
    if
    :: unmap(0)
    :: skip
    fi
}

/* ---- stores by all three programs: the MMU reads the entry and stores in one step */

inline store() {
    d_step {
        assert(entry[0] != OLD || !moved);
        assert(entry[0] != NEW || moved);
        assert(entry[1] != OLD || !moved);
        assert(entry[1] != NEW || moved);
        assert(entry[2] != OLD || !moved);
        assert(entry[2] != NEW || moved)
    }
}

proctype programs() {
    store();
    if
    :: entry[0] == FROZEN ->
#ifdef BROKEN_FAULT
        LOCK(table_lock[0]);
        if
        :: entry[0] == FROZEN -> d_step { entry[0] = OLD; frozen-- }
        :: else
        fi;
        UNLOCK(table_lock[0])
#else
        !page_lock
#endif
    :: else
    fi;
    store()
}

/* ---- the move */

inline walk_freezing() {
    p = PLACES;
    do
    :: p > 0 ->
        p--;
        LOCK(table_lock[p]);
        if
        :: entry[p] == OLD -> frozen++; entry[p] = FROZEN
        :: else
        fi;
        UNLOCK(table_lock[p])
    :: else -> break
    od
}

inline look_whether_all_frozen() {
#ifdef BROKEN_READ_ORDER
    seen = frozen;
    all = seen == old_count
#else
    seen = old_count;
    all = seen == frozen
#endif
}

inline walk_ending(becomes) {
    p = PLACES;
    do
    :: p > 0 ->
        p--;
        LOCK(table_lock[p]);
        assert(becomes == OLD || entry[p] != OLD);
        if
        :: entry[p] == FROZEN && becomes == NEW ->
            new_count++;
            entry[p] = NEW;
            frozen--;
            old_count--
        :: entry[p] == FROZEN && becomes == OLD -> entry[p] = OLD; frozen--
        :: else
        fi;
        UNLOCK(table_lock[p])
    :: else -> break
    od
}

proctype migrate() {
    byte p, seen, round;
    bool all;
    LOCK(page_lock);
    look_whether_all_frozen();
    do
    :: !all && round < 2 ->
        round++;
        walk_freezing();
#ifdef BROKEN_ONE_WALK
        all = true
#else
        look_whether_all_frozen()
#endif
    :: else -> break
    od;
    if
    :: all ->
        moved = true; /* contents and identity */
        do
        :: old_count > 0 -> walk_ending(NEW)
        :: else -> break
        od
    :: else ->
        do
        :: frozen > 0 -> walk_ending(OLD)
        :: else -> break
        od
    fi;
    assert(!moved || (entry[0] != OLD && entry[1] != OLD && entry[2] != OLD));
    UNLOCK(page_lock)
}

#define NUMBER(what) ((entry[0] == what) + (entry[1] == what) + (entry[2] == what))

init {
    atomic {
        entry[0] = OLD;
        run parent();
        run programs();
        run migrate()
    };
    (_nr_pr == 1) ->
    assert(NUMBER(FROZEN) == 0 && frozen == 0);
    assert(old_count == NUMBER(OLD) && new_count == NUMBER(NEW));
    assert(old_count == 0 || new_count == 0)
}
