/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anon_owner.pml - an anon_vma, the areas in its list and their tables, against walks that start from
 * a page (vm/rmap/anon_list.c, anon_vma.c, vm/space/fork.c, zap.c).
 *
 * One page. A parent that maps it forks a child, or not, and may empty its table; then each ends, in
 * any order. Meanwhile one walk unmaps, as reclaim does, and one only looks.
 *
 *   Nothing is used that has been freed: anon_vma, area, table.
 *   An entry that was there when a walk began, and stays, is found.
 *   In the end all is freed, and nothing maps the page.
 *
 * Rules that can be taken away, whereupon one of these must fail:
 *   BROKEN_NAMING       a walk becomes a user of the anon_vma without the lock `naming`
 *   BROKEN_LAST         the last user goes without it
 *   BROKEN_LEAVE        an area is freed before it leaves the list
 *   BROKEN_PRUNE        a table is freed without the space's areas lock
 *   BROKEN_FORK         the child's entries come before its area joins the list
 */
#include "locks.pml"

#define PARENT 0
#define CHILD  1

bool page_lock, naming, anon_lock;
bool areas_lock[2], table_lock[2];

bool anon_alive = true;
byte users = 1; /* areas listed, and walks about to lock the list */
bool listed[2], area_alive[2], table_alive[2], entry[2];
byte mapcount;

/* anon_users_drop(): unless it is the last, without a lock */
inline drop_user() {
    if
    :: atomic { users > 1 -> users-- }
    :: else ->
#ifndef BROKEN_LAST
        LOCK(naming);
#endif
        d_step { users--; last = users == 0 };
#ifndef BROKEN_LAST
        UNLOCK(naming);
#endif
        if
        :: last -> ALIVE(anon_alive); anon_alive = false
        :: else
        fi
    fi
}

/* ---- a space: unmapping its area, vm_unmap_range() */

inline zap(s) {
    if
    :: table_alive[s] -> /* tables of a space go under its lock, which is ours */
        LOCK(table_lock[s]);
        if
        :: d_step { entry[s] -> entry[s] = false; mapcount-- }
        :: else
        fi;
        UNLOCK(table_lock[s])
    :: else
    fi
}

inline leave(s) {
    LOCK(anon_lock);
    ALIVE(anon_alive);
    listed[s] = false;
    UNLOCK(anon_lock);
    drop_user()
}

inline prune(s) {
#ifndef BROKEN_PRUNE
    LOCK(areas_lock[s]);
#endif
    LOCK(table_lock[s]);
    assert(!entry[s]);
    UNLOCK(table_lock[s]);
    table_alive[s] = false;
#ifndef BROKEN_PRUNE
    UNLOCK(areas_lock[s])
#else
    skip
#endif
}

inline end_space(s) {
    zap(s);
#ifdef BROKEN_LEAVE
    area_alive[s] = false;
    leave(s);
#else
    leave(s);
    area_alive[s] = false;
#endif
    if
    :: table_alive[s] -> prune(s)
    :: else
    fi
}

proctype child() {
    bool last;
    end_space(CHILD)
}

/* ---- fork: the area joins the list, then gets entries */

inline join_list() {
    users++; /* the parent's area is one, and stays */
    LOCK(anon_lock);
    ALIVE(anon_alive);
    listed[CHILD] = true;
    UNLOCK(anon_lock)
}

inline copy_entry() {
    table_alive[CHILD] = true;
    LOCK(table_lock[PARENT]);
    LOCK(table_lock[CHILD]);
    if
    :: d_step { entry[PARENT] -> entry[CHILD] = true; mapcount++ }
    :: else
    fi;
    UNLOCK(table_lock[CHILD]);
    UNLOCK(table_lock[PARENT])
}

inline fork_child() {
    area_alive[CHILD] = true;
#ifdef BROKEN_FORK
    copy_entry();
    join_list();
#else
    join_list();
    copy_entry();
#endif
    run child()
}

/* MADV_DONTNEED, or vm_settle() after reclaim: the area stays, its table goes. */
inline empty_table() {
    zap(PARENT);
    prune(PARENT)
}

proctype parent() {
    bool last;
    if
    :: fork_child()
    :: skip
    fi;
    if
    :: empty_table()
    :: skip
    fi;
    end_space(PARENT)
}

/* ---- walks */

inline look_into(s, clears) {
    if
    :: listed[s] ->
        ALIVE(area_alive[s]);
        LOCK(areas_lock[s]);
        if
        :: table_alive[s] -> /* vm_table_find() */
            LOCK(table_lock[s]);
            ALIVE(table_alive[s]);
            if
            :: entry[s] && clears -> d_step { entry[s] = false; mapcount-- }
            :: entry[s] && !clears -> found[s] = true
            :: else
            fi;
            UNLOCK(table_lock[s])
        :: else
        fi;
        UNLOCK(areas_lock[s])
    :: else
    fi
}

/* Children are at the head of the list. */
proctype walk(bool clears) {
    bool last, named, was[2], found[2];
    LOCK(page_lock);
    d_step { was[PARENT] = entry[PARENT]; was[CHILD] = entry[CHILD] };
#ifndef BROKEN_NAMING
    LOCK(naming);
#endif
    named = mapcount > 0;
    if
    :: named -> ALIVE(anon_alive); users++
    :: else
    fi;
#ifndef BROKEN_NAMING
    UNLOCK(naming);
#endif
    if
    :: named ->
        LOCK(anon_lock);
        ALIVE(anon_alive);
        look_into(CHILD, clears);
        look_into(PARENT, clears);
        UNLOCK(anon_lock);
        drop_user()
    :: else
    fi;
    d_step {
        assert(!was[PARENT] || !entry[PARENT] || found[PARENT]);
        assert(!was[CHILD] || !entry[CHILD] || found[CHILD])
    };
    UNLOCK(page_lock)
}

init {
    atomic {
        d_step {
            listed[PARENT] = true;
            area_alive[PARENT] = true;
            table_alive[PARENT] = true;
            entry[PARENT] = true;
            mapcount = 1
        };
        run parent();
        run walk(true);
        run walk(false)
    };
    (_nr_pr == 1) ->
    assert(!anon_alive && mapcount == 0 && !table_alive[PARENT] && !table_alive[CHILD])
}
