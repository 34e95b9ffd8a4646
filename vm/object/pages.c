/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pages.c - the page cache of an object: finding pages, bringing them in, letting them go.
 *
 * For each page offset the radix tree holds nothing, a page, or the swap slot of an evicted page of
 * shared memory (odd words: slot << 1 | 1).
 *
 * Finding a page: look it up and take a reference under the pages lock, which cannot be held while
 * waiting for the page lock; then lock the page and see whether it is still the object's. It may
 * have been removed, evicted or cut off meanwhile, and then the search begins again.
 *
 * Mapping one takes no page lock: many map the same pages at the same time, and would wait for each other.
 * Whoever has a page locked must still be sure that no mapping comes: so mappings are counted first,
 * and taken back if the page turns out to be locked then. Whoever locks it after that look sees
 * the count; the entry he may have to wait for, as its table is locked until it is written. A page in
 * the cache that nobody has locked has its contents: it is locked until it is filled.
 *
 * Bringing one in: the frame is allocated first, since that may reclaim, and goes into the cache
 * locked before it is filled. All who want it meanwhile find it and wait for its lock: one read
 * serves all. If the read fails the page is gone again before it is unlocked, so that no one ever
 * sees a page of the cache that is locked by himself and has no contents.
 *
 * A slot is freed as soon as its page has been read, and the page is dirty then: no page of shared
 * memory is in the swap cache for longer than it takes to evict it.
 */
#include "vm/object/object.h"

#include <objrmap/rmap.h>

#include "vm/memory.h"
#include "vm/object/swap.h"
#include "vm/space/area.h"
#include "vm/sum.h"

static void lock_pages(struct vm_object *object) {
    vm_lock(object->machine, &object->pages_lock, VM_RANK_OBJECT_PAGES);
}

/* The object may be gone as soon as this is done, if its last page has been taken out. */
static void unlock_pages(struct vm_object *object) {
    vm_unlock(object->machine, &object->pages_lock, VM_RANK_OBJECT_PAGES);
}

static void release(struct vm_machine *machine, struct vm_page *page) {
    vm_page_unlock(machine, page);
    vm_page_put(machine, page);
}

/* ---------------------------------------------------------------- words in the radix tree */

static bool word_is_slot(uintptr_t word) {
    return (word & 1) != 0;
}

static uintptr_t word_of_slot(uint32_t slot) {
    return ((uintptr_t)slot << 1) | 1;
}

static uint32_t slot_of_word(uintptr_t word) {
    return (uint32_t)(word >> 1);
}

/* NULL if it is a slot or nothing. */
static struct vm_page *page_of_word(uintptr_t word) {
    return word_is_slot(word) ? NULL : (struct vm_page *)word;
}

static uintptr_t word_at(struct vm_object *object, uint64_t index) {
    lock_pages(object);
    uintptr_t word = vm_radix_get(&object->pages, index);
    unlock_pages(object);
    return word;
}

/* ---------------------------------------------------------------- finding */

static bool page_is_at(const struct vm_page *page, const struct vm_object *object, uint64_t index) {
    return page->object == object && page->index == index;
}

/* The first word at or after *index, which becomes its index; if it is a page, with a reference. */
static uintptr_t next_word(struct vm_object *object, uint64_t *index) {
    lock_pages(object);
    uintptr_t word = vm_radix_next(&object->pages, index);
    if (page_of_word(word))
        vm_page_get(object->machine, page_of_word(word));
    unlock_pages(object);
    return word;
}

/* The page, locked and with a reference; NULL if it is not in memory. */
static struct vm_page *find_and_lock(struct vm_object *object, uint64_t index) {
    struct vm_machine *machine = object->machine;

    for (;;) {
        lock_pages(object);
        struct vm_page *page = page_of_word(vm_radix_get(&object->pages, index));
        if (page)
            vm_page_get(machine, page);
        unlock_pages(object);
        if (!page)
            return NULL;
        vm_page_lock(machine, page);
        if (page_is_at(page, object, index))
            return page;
        release(machine, page);
    }
}

unsigned vm_object_pages_cached(struct vm_object *object, uint64_t first, unsigned n,
                                struct vm_page **pages) {
    struct vm_machine *machine = object->machine;
    unsigned found = 0;

    memset(pages, 0, n * sizeof *pages);
    lock_pages(object);
    uint64_t end = vm_object_page_end(object), index = first;
    for (;; index++) {
        uintptr_t word = vm_radix_next(&object->pages, &index);
        if (!word || index - first >= n || index >= end)
            break;
        struct vm_page *page = page_of_word(word);
        if (!page || !vm_page_trylock(machine, page))
            continue;
        vm_page_get(machine, page);
        pages[index - first] = page;
        found++;
    }
    unlock_pages(object);
    return found;
}

/* ---------------------------------------------------------------- mapping */

static bool is_locked_by_others(const struct vm_machine *machine, const struct vm_page *page,
                                const struct vm_page *own) {
    vm_preempt(machine, page);
    return page != own &&
           (atomic_load_explicit(&page->flags, memory_order_seq_cst) & VM_PAGE_LOCKED) != 0;
}

/* Adds to *mapped what there is more of pages that some entry maps. => pages lock held */
static bool map_page(struct vm_machine *machine, struct vm_page *page, const struct vm_page *own,
                     int *mapped) {
    if (is_locked_by_others(machine, page, own))
        return false;
    *mapped += vm_page_adjust(machine, page, VM_ONE_MAPPING) < 2 * VM_ONE_MAPPING;
    if (!is_locked_by_others(machine, page, own))
        return true;
    *mapped -= vm_page_adjust(machine, page, (uint64_t)0 - VM_ONE_MAPPING) < VM_ONE_MAPPING;
    return false;
}

/* The pages of the window that are in memory, at most `most` beside the one that must be: they are asked for
 * ahead, since their descriptors are likely to be with another CPU. => pages lock held */
static void find_window(struct vm_object *object, const struct vm_object_window *window,
                        unsigned most, struct vm_page **pages) {
    uint64_t end = vm_object_page_end(object), index = window->first;

    for (;; index++) {
        uintptr_t word = vm_radix_next(&object->pages, &index);
        if (!word || index - window->first >= window->count || index >= end)
            return;
        unsigned i = (unsigned)(index - window->first);
        if (!page_of_word(word) || (i != window->here && (!(window->wanted >> i & 1) || most == 1)))
            continue;
        pages[i] = page_of_word(word);
        most -= i != window->here;
        __builtin_prefetch(pages[i], 1);
    }
}

/* Leaves out those that are locked. => pages lock held */
static bool map_window(struct vm_object *object, const struct vm_object_window *window,
                       struct vm_page **pages, int *mapped) {
    struct vm_machine *machine = object->machine;

    if (!pages[window->here] || !map_page(machine, pages[window->here], window->own, mapped))
        return false;
    for (unsigned i = 0; i < window->count; i++)
        if (pages[i] && i != window->here && !map_page(machine, pages[i], NULL, mapped))
            pages[i] = NULL;
    return true;
}

bool vm_object_pages_map(struct vm_object *object, const struct vm_object_window *window,
                         unsigned most, struct vm_page **pages) {
    int mapped = 0;

    memset(pages, 0, window->count * sizeof *pages);
    lock_pages(object);
    find_window(object, window, most, pages);
    bool here = map_window(object, window, pages, &mapped);
    unlock_pages(object);
    if (mapped)
        vm_share_add(object->machine, VM_SUM_MAPPED, mapped);
    return here;
}

unsigned vm_object_pages_resident(struct vm_object *object, uint64_t first, unsigned n) {
    unsigned resident = 0;

    lock_pages(object);
    for (uint64_t index = first;; index++) {
        uintptr_t word = vm_radix_next(&object->pages, &index);
        if (!word || index - first >= n)
            break;
        resident += page_of_word(word) != NULL;
    }
    unlock_pages(object);
    return resident;
}

bool vm_object_page_resident(struct vm_object *object, uint64_t index) {
    return page_of_word(word_at(object, index)) != NULL;
}

/* The lock is let go of at each word, so that a long row of slots holds up nobody. */
static struct vm_page *next_page(struct vm_object *object, uint64_t *index, uint64_t last) {
    struct vm_machine *machine = object->machine;

    while (*index <= last) {
        uintptr_t word = next_word(object, index);
        struct vm_page *page = page_of_word(word);
        if (page && *index > last)
            vm_page_put(machine, page);
        if (!word || *index > last)
            return NULL;
        if (page) {
            vm_page_lock(machine, page);
            if (page_is_at(page, object, *index))
                return page;
            release(machine, page); /* see what took its place */
        } else if (++*index == 0) {
            return NULL;
        }
    }
    return NULL;
}

unsigned vm_object_pages_next(struct vm_object *object, uint64_t *index, uint64_t last,
                              struct vm_page **pages, unsigned most) {
    struct vm_machine *machine = object->machine;
    unsigned n = 1;

    pages[0] = next_page(object, index, last);
    if (!pages[0])
        return 0;
    if (most == 1)
        return n;
    lock_pages(object);
    for (; n < most && last - *index >= n; n++) {
        struct vm_page *page = page_of_word(vm_radix_get(&object->pages, *index + n));
        if (!page || !vm_page_trylock(machine, page))
            break;
        vm_page_get(machine, page);
        pages[n] = page;
    }
    unlock_pages(object);
    return n;
}

void vm_object_pages_each(struct vm_object *object, uint64_t first, uint64_t last,
                          vm_object_page_visit *visit, void *context) {
    struct vm_page *page;

    for (uint64_t index = first; vm_object_pages_next(object, &index, last, &page, 1); index++) {
        visit(page, context);
        release(object->machine, page);
        if (index == UINT64_MAX)
            return;
    }
}

/* ---------------------------------------------------------------- coming and going */

/* => pages lock held */
static void count_pages(struct vm_object *object, int n) {
    object->page_count += (uint64_t)n;
    if (object->kind == VM_OBJECT_FILE)
        vm_count(object->machine, memory.file, (uint64_t)n);
    else
        vm_count(object->machine, memory.shm, (uint64_t)n);
}

/*
 * Puts a new page where nothing or a slot is; *before tells which, and a slot is the caller's now.
 * => page locked. VM_SIGBUS beyond the end, VM_ENOMEM, VM_EAGAIN: somebody else was faster
 */
static int insert(struct vm_object *object, uint64_t index, struct vm_page *page,
                  uintptr_t *before) {
    struct vm_machine *machine = object->machine;
    int error = VM_OK;

    lock_pages(object);
    *before = vm_radix_get(&object->pages, index);
    if (index >= vm_object_page_end(object))
        error = VM_SIGBUS;
    else if (page_of_word(*before))
        error = VM_EAGAIN;
    else if (!*before)
        error = vm_radix_reserve(machine, &object->pages, index);
    if (!error) {
        page->object = object;
        page->index = index;
        vm_page_get(machine, page);
        vm_radix_put(&object->pages, index, (uintptr_t)page);
        count_pages(object, 1);
        object->slot_count -= word_is_slot(*before);
    }
    unlock_pages(object);
    return error;
}

/* Takes the page out, leaving a slot's word or nothing (0) in its place. The cache's reference is the
 * caller's to drop. => page locked, pages lock held */
static void take_out_locked(struct vm_object *object, struct vm_page *page, uintptr_t word) {
    struct vm_machine *machine = object->machine;

    VM_ASSERT(machine, page->object == object && vm_page_mapcount(page) == 0);
    if (word)
        vm_radix_put(&object->pages, page->index, word);
    else
        vm_radix_remove(machine, &object->pages, page->index);
    object->slot_count += word_is_slot(word);
    page->object = NULL;
}

/* => page locked; the object may be gone afterwards */
static void take_out(struct vm_object *object, struct vm_page *page, uintptr_t word) {
    struct vm_machine *machine = object->machine;

    lock_pages(object);
    take_out_locked(object, page, word);
    count_pages(object, -1);
    unlock_pages(object);
    vm_page_put(machine, page);
}

void vm_object_pages_remove(struct vm_object *object, struct vm_page *const *pages, unsigned n) {
    lock_pages(object);
    for (unsigned i = 0; i < n; i++)
        take_out_locked(object, pages[i], 0);
    count_pages(object, -(int)n);
    unlock_pages(object);
}

void vm_object_page_remove(struct vm_object *object, struct vm_page *page) {
    take_out(object, page, 0);
}

void vm_object_page_leave_slot(struct vm_object *object, struct vm_page *page) {
    struct vm_machine *machine = object->machine;

    vm_swap_duplicate(machine, page->swap, 1);
    take_out(object, page, word_of_slot(page->swap));
    vm_swap_cache_remove(machine, page);
}

void vm_object_page_replace(struct vm_object *object, struct vm_page *from, struct vm_page *to) {
    struct vm_machine *machine = object->machine;

    VM_ASSERT(machine, from->object == object);
    lock_pages(object);
    to->object = object;
    to->index = from->index;
    vm_page_get(machine, to);
    vm_radix_put(&object->pages, from->index, (uintptr_t)to);
    unlock_pages(object);
    vm_page_put(machine, from);
}

void vm_object_slots_free(struct vm_object *object, uint64_t first) {
    struct vm_machine *machine = object->machine;
    uint64_t index = first;

    for (;;) {
        lock_pages(object);
        uintptr_t word = vm_radix_next(&object->pages, &index);
        if (word_is_slot(word)) {
            vm_radix_remove(machine, &object->pages, index);
            object->slot_count--;
        }
        unlock_pages(object);
        if (word_is_slot(word))
            vm_swap_free(machine, slot_of_word(word));
        if (!word)
            return;
        index++;
    }
}

/* ---------------------------------------------------------------- bringing in */

void vm_object_page_cut(struct vm_machine *machine, struct vm_page *page, uint64_t end) {
    uint64_t from = end % VM_PAGE_SIZE;

    if (from && end >> VM_PAGE_SHIFT == page->index)
        vm_frame_zero(machine, page, from, VM_PAGE_SIZE - from);
}

static int read_from_backing(struct vm_object *object, struct vm_page *page) {
    struct vm_machine *machine = object->machine;
    void *data = vm_frame_map(machine, page);
    int failed = object->backing->read(object->backing, page->index, data);

    vm_frame_unmap(machine, data);
    if (failed < 0)
        return VM_SIGBUS;
    /* The file may be longer than the object: the embedder cuts it when he likes. */
    vm_object_page_cut(machine, page, vm_object_size(object));
    vm_count(machine, faults.read_in, 1);
    return VM_OK;
}

static int read_from_slot(struct vm_machine *machine, struct vm_page *page, uint32_t slot) {
    if (vm_swap_read(machine, slot, page) != VM_OK)
        return VM_SIGBUS;
    vm_page_set(machine, page, VM_PAGE_DIRTY);
    vm_swap_free(machine, slot);
    return VM_OK;
}

static int fill(struct vm_object *object, struct vm_page *page, uintptr_t word) {
    if (word)
        return read_from_slot(object->machine, page, slot_of_word(word));
    if (object->kind == VM_OBJECT_FILE)
        return read_from_backing(object, page);
    vm_frame_zero(object->machine, page, 0, VM_PAGE_SIZE);
    return VM_OK;
}

/* => VM_EAGAIN: somebody else was faster */
static int bring_in(struct vm_object *object, uint64_t index, struct vm_page **result) {
    struct vm_machine *machine = object->machine;
    struct vm_page *page = vm_frame_alloc(machine, VM_FRAME_AS_IS);
    uintptr_t word;

    if (!page)
        return VM_OOM;
    vm_page_lock(machine, page); /* at once, unless somebody looks at frames by their numbers */
    int error = insert(object, index, page, &word);
    if (!error) {
        error = fill(object, page, word);
        if (error)
            take_out(object, page, word);
    }
    if (error) {
        release(machine, page);
        return error;
    }
    vm_lru_add(machine, page, VM_LRU_INACTIVE);
    *result = page;
    return VM_OK;
}

int vm_object_page(struct vm_object *object, uint64_t index, struct vm_page **result) {
    for (;;) {
        if (index >= vm_object_page_end(object))
            return VM_SIGBUS;
        struct vm_page *page = find_and_lock(object, index);
        if (!page) {
            int error = bring_in(object, index, result);
            if (error != VM_EAGAIN)
                return error;
        } else if (index < vm_object_page_end(object)) {
            *result = page;
            return VM_OK;
        } else {
            release(object->machine, page); /* cut off while we waited for it */
        }
    }
}

int vm_object_page_kept(struct vm_object *object, uint64_t index, struct vm_page **page) {
    *page = NULL;
    return word_at(object, index) ? vm_object_page(object, index, page) : VM_OK;
}

/* ---------------------------------------------------------------- looking */

static void copy_out(struct vm_machine *machine, const struct vm_page *page, uint64_t from,
                     void *data, size_t bytes) {
    char *contents = vm_frame_map(machine, page);

    memcpy(data, contents + from, bytes);
    vm_frame_unmap(machine, contents);
}

/* Reads a page that is not in memory into `data`, a page long. */
static int read_aside(struct vm_object *object, uint64_t index, uintptr_t word, char *data) {
    uint64_t size = vm_object_size(object);

    if (word)
        return vm_swap_peek(object->machine, slot_of_word(word), data);
    if (object->kind == VM_OBJECT_SHM)
        memset(data, 0, VM_PAGE_SIZE);
    else if (object->backing->read(object->backing, index, data) < 0)
        return VM_EIO;
    if (size >> VM_PAGE_SHIFT == index)
        memset(data + size % VM_PAGE_SIZE, 0, VM_PAGE_SIZE - size % VM_PAGE_SIZE);
    return VM_OK;
}

/* The word, whose slot, if it is one, is nobody else's before let_go_of_slot(). */
static uintptr_t word_to_read(struct vm_object *object, uint64_t index) {
    lock_pages(object);
    uintptr_t word = vm_radix_get(&object->pages, index);
    if (word_is_slot(word))
        vm_swap_duplicate(object->machine, slot_of_word(word), 1);
    unlock_pages(object);
    return word;
}

static void let_go_of_slot(struct vm_machine *machine, uintptr_t word) {
    if (word_is_slot(word))
        vm_swap_free(machine, slot_of_word(word));
}

/* Where the page is may change while we look elsewhere: then what was read may be out of date. */
static int peek(struct vm_object *object, uint64_t index, uint64_t from, void *data, size_t bytes,
                char *buffer) {
    struct vm_machine *machine = object->machine;

    for (;;) {
        struct vm_page *page = find_and_lock(object, index);
        if (page) {
            copy_out(machine, page, from, data, bytes);
            release(machine, page);
            return VM_OK;
        }
        uintptr_t word = word_to_read(object, index);
        if (page_of_word(word))
            continue;
        int error = read_aside(object, index, word, buffer);
        let_go_of_slot(machine, word);
        if (word_at(object, index) != word)
            continue;
        if (!error)
            memcpy(data, buffer + from, bytes);
        return error;
    }
}

int vm_object_peek(struct vm_object *object, uint64_t offset, void *data, size_t bytes) {
    struct vm_machine *machine = object->machine;
    struct vm_port *port = machine->port;
    uint64_t index = offset >> VM_PAGE_SHIFT, from = offset % VM_PAGE_SIZE;

    if (bytes > VM_PAGE_SIZE - from)
        return VM_EINVAL;
    if (index >= vm_object_page_end(object))
        return VM_SIGBUS;
    if (machine->config.contents == VM_METADATA_ONLY) {
        memset(data, 0, bytes);
        return VM_OK;
    }
    char *buffer = port->allocate(port, VM_PAGE_SIZE, 16);
    if (!buffer)
        return VM_ENOMEM;
    int error = peek(object, index, from, data, bytes, buffer);
    port->release(port, buffer, VM_PAGE_SIZE);
    return error;
}

/* ---------------------------------------------------------------- accounts */

static uint64_t check_word(struct vm_object *object, uint64_t index, uintptr_t word) {
    const struct vm_page *page = page_of_word(word);
    uint64_t differences = 0;

    if (page) {
        differences += !page_is_at(page, object, index);
        differences += vm_page_is(page, VM_PAGE_ANON);
        differences += vm_page_references(page) == 0;
    } else {
        differences += object->kind != VM_OBJECT_SHM;
        differences += vm_swap_count(object->machine, slot_of_word(word)) == 0;
    }
    return differences + (index >= vm_object_page_end(object));
}

static uint64_t check_nonlinear(struct vm_object *object, const struct vm_nonlinear_area *record) {
    struct vm_area *area = record->area;

    return area->object != object || !vm_area_is_nonlinear(area) ||
           *vm_area_nonlinear(object->machine, area) != record;
}

uint64_t vm_object_check(struct vm_object *object) {
    struct vm_machine *machine = object->machine;
    uint64_t differences = 0, pages = 0, slots = 0, index = 0;
    uintptr_t word;

    lock_pages(object);
    for (; (word = vm_radix_next(&object->pages, &index)) != 0; index++) {
        differences += check_word(object, index, word);
        pages += !word_is_slot(word);
        slots += word_is_slot(word);
    }
    differences += pages != object->page_count;
    differences += slots != object->slot_count;
    unlock_pages(object);

    vm_lock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
    differences += !machine->index_kind->check(vm_object_areas(object));
    for (struct vm_link *link = object->nonlinear.next; link != &object->nonlinear;
         link = link->next)
        differences += check_nonlinear(object, vm_link_entry(link, struct vm_nonlinear_area, link));
    vm_unlock(machine, &object->areas_lock, VM_RANK_OBJECT_AREAS);
    return differences;
}
