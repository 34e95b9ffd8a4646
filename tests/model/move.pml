/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * move.pml - mremap moves an entry from one area to another while somebody walks the areas
 * (vm/space/move.c, vm/rmap/rmap.c, vm/reclaim/pageout.c).
 *
 * One page, one entry. The two areas stand in the index, or in an anon_vma's list, in either order,
 * chosen at the start. Each has a leaf of its own. A second mremap moves the entry back.
 *
 * Of an object: the move holds the object's areas lock, as does the walk from its first area to its
 * last. So an exact walk must find the entry, in either order.
 *
 * Of anonymous memory (ANONYMOUS): the move holds no lock of the list. A walk may miss the entry, if
 * the target stands first. Reclaim goes by the map count: it never takes a page that is still mapped
 * for free.
 *
 * Rules that can be taken away:
 *   BROKEN_LOCK         the move does not hold the object's areas lock
 *   BROKEN_ORDER        the move takes the leaves' locks before the object's areas lock
 *   BROKEN_COUNT        (ANONYMOUS) reclaim takes a walk that has seen all areas for proof
 */
#include "locks.pml"

bool page_lock, list_lock, table_lock[2], areas_lock;
bool entry[2];
byte mapcount = 1;
byte first; /* the area that stands first in the index */
bool page_free;

inline move_entry(from, to) {
#ifdef BROKEN_ORDER
    LOCK(table_lock[from]);
    LOCK(list_lock);
#else
#if !defined(ANONYMOUS) && !defined(BROKEN_LOCK)
    LOCK(list_lock);
#endif
    LOCK(table_lock[from]);
#endif
    LOCK(table_lock[to]); /* VM_RANK_TABLE_SECOND */
    here = entry[from];
    entry[from] = false;
    entry[to] = here;
    UNLOCK(table_lock[to]);
    UNLOCK(table_lock[from]);
#if !defined(ANONYMOUS) && !defined(BROKEN_LOCK)
    UNLOCK(list_lock)
#else
    skip
#endif
}

/* The space lock keeps two of these apart. */
proctype mremap() {
    bool here;
    move_entry(0, 1);
    if
    :: move_entry(1, 0)
    :: skip
    fi
}

inline look_into(a, clears) {
    LOCK(areas_lock);
    LOCK(table_lock[a]);
    if
    :: entry[a] ->
        found++;
        if
        :: clears -> d_step { entry[a] = false; mapcount-- }
        :: else
        fi
    :: else
    fi;
    UNLOCK(table_lock[a]);
    UNLOCK(areas_lock)
}

inline walk_areas(clears) {
    LOCK(list_lock);
    look_into(first, clears);
    look_into(1 - first, clears);
    UNLOCK(list_lock)
}

/* Looks for every entry, and then unmaps all, as reclaim does. */
proctype reclaim() {
    byte found;
    LOCK(page_lock);
    walk_areas(false);
#ifndef ANONYMOUS
    assert(found == 1);
#endif
    walk_areas(true);
#ifdef BROKEN_COUNT
    page_free = true;
#else
    page_free = mapcount == 0;
#endif
    assert(!page_free || (!entry[0] && !entry[1]));
    UNLOCK(page_lock)
}

init {
    if
    :: first = 0
    :: first = 1
    fi;
    atomic {
        entry[0] = true;
        run mremap();
        run reclaim()
    };
    (_nr_pr == 1) -> assert(mapcount == entry[0] + entry[1]);
    assert(!page_free || mapcount == 0)
}
