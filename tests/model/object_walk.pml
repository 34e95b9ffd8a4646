/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * object_walk.pml - an object, the area that maps its page, and that page in its cache, against a walk
 * that starts from the page (vm/object/object.c, pages.c, vm/rmap/rmap.c, vm/reclaim/pageout.c).
 *
 * A space faults the page in, and unmaps its area, the object's last reference but the embedder's. The
 * embedder truncates the object, or not, and lets go of it. Reclaim holds the page isolated, with a reference.
 *
 *   Nothing is used that has been freed: object, area, table.
 *   After the truncation no entry maps the page, and it is in no cache.
 *   In the end the object is freed, once, and the page is nobody's.
 *
 * Rules that can be taken away:
 *   BROKEN_PAGE         the walk asks for the page's object without the page lock
 *   BROKEN_UNLINK       an area is freed before it leaves the object's index
 *   BROKEN_SIZE         the new size is set after entries have been cleared
 *   BROKEN_RECHECK      a fault that has waited for the page lock does not look at the size again
 *   BROKEN_CACHE        the object goes without waiting for the page lock of its pages
 *   BROKEN_ORDER        truncation takes a table's lock before the object's areas lock
 */
#include "locks.pml"

bool page_lock, space_lock, object_areas, space_areas, table_lock;

bool object_alive = true, cached = true; /* page->object is the object */
bool within = true;                      /* the page lies below the object's end */
byte references = 2;                     /* the area's, the embedder's */
bool linked = true, area_alive = true, table_alive = true, entry;
byte mapcount;

inline take_out_of_cache() {
    assert(mapcount == 0);
    cached = false
}

/* vm_object_put(): the last one takes the pages out, each under its lock, and frees the object. */
inline put_object() {
    d_step { references--; last = references == 0 };
    if
    :: last ->
#ifndef BROKEN_CACHE
        if
        :: cached ->
            LOCK(page_lock);
            if
            :: cached -> take_out_of_cache()
            :: else
            fi;
            UNLOCK(page_lock)
        :: else
        fi;
#endif
        ALIVE(object_alive);
        object_alive = false;
        cached = false
    :: else
    fi
}

inline zap() {
    LOCK(table_lock);
    ALIVE(table_alive);
    if
    :: d_step { entry -> entry = false; mapcount-- }
    :: else
    fi;
    UNLOCK(table_lock)
}

/* ---- the space: a fault, then munmap, which needs the space lock for writing */

inline fault() {
    LOCK(space_lock);
    if
    :: within && !cached -> /* a new page is locked, and goes into the cache if the size allows */
        LOCK(page_lock);
        atomic {
            if
            :: within && !cached -> cached = true
            :: else
            fi
        };
        UNLOCK(page_lock)
    :: else
    fi;
    if
    :: within && cached -> /* vm_object_page() has found it, and waits for its lock */
        LOCK(page_lock);
        if
#ifdef BROKEN_RECHECK
        :: true ->
#else
        :: within && cached ->
#endif
            ALIVE(object_alive);
            LOCK(table_lock);
            d_step { entry = true; mapcount++ };
            UNLOCK(table_lock)
#ifndef BROKEN_RECHECK
        :: else
#endif
        fi;
        UNLOCK(page_lock)
    :: else
    fi;
    UNLOCK(space_lock)
}

inline unlink_area() {
    LOCK(object_areas);
    ALIVE(object_alive);
    linked = false;
    UNLOCK(object_areas)
}

inline unmap() {
    LOCK(space_lock);
    zap();
#ifdef BROKEN_UNLINK
    area_alive = false;
    unlink_area();
#else
    unlink_area();
    area_alive = false;
#endif
    put_object();
    LOCK(space_areas);
    LOCK(table_lock);
    assert(!entry);
    UNLOCK(table_lock);
    table_alive = false;
    UNLOCK(space_areas);
    UNLOCK(space_lock)
}

proctype space() {
    bool last;
    fault();
    unmap()
}

/* ---- the embedder: vm_object_truncate(), vm_object_put() */

/* => object_areas: the area stays in the index, and its table where it is */
inline unmap_from() {
#ifdef BROKEN_ORDER
    LOCK(table_lock);
    LOCK(object_areas);
    UNLOCK(table_lock);
#else
    LOCK(object_areas);
#endif
    ALIVE(object_alive);
    if
    :: linked -> ALIVE(area_alive); zap()
    :: else
    fi;
    UNLOCK(object_areas)
}

inline cut_page() {
    if
    :: cached ->
        LOCK(page_lock);
        do
        :: cached && mapcount > 0 -> unmap_from()
        :: else -> break
        od;
        if
        :: cached -> take_out_of_cache()
        :: else
        fi;
        UNLOCK(page_lock)
    :: else
    fi
}

inline truncate() {
#ifdef BROKEN_SIZE
    unmap_from();
    cut_page();
    within = false;
#else
    within = false;
    unmap_from();
    cut_page();
#endif
    assert(!entry && !cached)
}

proctype embedder() {
    bool last;
    if
    :: truncate()
    :: skip
    fi;
    put_object()
}

/* ---- reclaim: vm_pageout_page(). It only tries for the page lock. */

inline walk_object() {
    LOCK(object_areas);
    ALIVE(object_alive);
    if
    :: linked ->
        ALIVE(area_alive);
        LOCK(space_areas);
        if
        :: table_alive ->
            LOCK(table_lock);
            ALIVE(table_alive);
            if
            :: d_step { entry -> entry = false; mapcount-- }
            :: else
            fi;
            UNLOCK(table_lock)
        :: else
        fi;
        UNLOCK(space_areas)
    :: else
    fi;
    UNLOCK(object_areas)
}

proctype reclaim() {
    bool ours;
#ifdef BROKEN_PAGE
    ours = true;
#else
    atomic { ours = !page_lock; page_lock = true };
#endif
    if
    :: ours ->
        if
        :: cached ->
            walk_object();
            if
            :: mapcount == 0 -> take_out_of_cache()
            :: else
            fi
        :: else
        fi;
#ifndef BROKEN_PAGE
        UNLOCK(page_lock)
#endif
    :: else
    fi
}

init {
    atomic {
        run space();
        run embedder();
        run reclaim()
    };
    (_nr_pr == 1) -> assert(!object_alive && !cached && mapcount == 0 && !entry)
}
