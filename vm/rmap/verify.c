/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verify.c - holds a whole machine against the oracle, and tells every difference.
 *
 *   1. Survey: every entry of every table must be one that its area allows, and name what the linear
 *      rule says: the right page of the right object, or a private page with the right index.
 *   2. Frame by frame: as many entries as the page's map count, and exactly those that the design
 *      shows in a walk.
 *   3. Every room's check of its own structures.
 *
 * The second step needs the entries in order of frames. There may be hundreds of millions, so it goes
 * through memory in groups of sections that have up to PLACES_AT_ONCE entries between them, and scans
 * the tables twice for each group: to count, and to place. Spaces are scanned in order of
 * their addresses, so that a frame's places come out sorted and a walk's answer is found by bisection.
 *
 * For a machine at rest. Nothing that the machine counts or keeps changes: counters and the peak of
 * memory used are put back, and the walks are onlookers' walks.
 */
#include <objrmap/rmap.h>

#include "vm/frame/cache.h"
#include "vm/memory.h"
#include "vm/object/swap.h"
#include "vm/rmap/oracle.h"
#include "vm/text.h"

#define PLACES_AT_ONCE (UINT64_C(4) << 20)
#define FRAMES_AT_ONCE (UINT64_C(1) << 20)

struct verify {
    struct vm_machine *machine;
    vm_verify_report *report;
    void *context;
    uint64_t differences;

    struct vm_cache *memory;
    struct vm_space **spaces; /* in order of address */
    uint64_t space_count;
    uint64_t *in_section; /* entries that map frames of a section */
    uint64_t swap_entries;

    /* the group at hand */
    uint64_t first, frames; /* its frames */
    uint64_t *ends;         /* where a frame's places end, and the next frame's begin */
    struct vm_seen *places; /* by frame, space, address */
};

/* In the copy of an entry: the design has shown it. A bit that the hardware leaves alone. */
#define PLACE_SHOWN (UINT64_C(1) << 9)

/* ---------------------------------------------------------------- telling */

static void tell(struct verify *verify, const struct vm_text *text) {
    verify->differences++;
    if (verify->report)
        verify->report(text->line, verify->context);
}

static void start_at(struct vm_text *text, const struct vm_space *space, uint64_t address) {
    vm_text_clear(text);
    vm_text_add(text, "space ");
    vm_text_number(text, space->id);
    vm_text_add(text, ", address ");
    vm_text_address(text, address);
}

static void tell_entry(struct verify *verify, const struct vm_seen *seen, const char *what) {
    struct vm_text text;

    start_at(&text, seen->space, seen->address);
    if (vm_pte_present(seen->entry)) {
        vm_text_add(&text, ", frame ");
        vm_text_number(&text, vm_pte_frame(seen->entry));
    } else if (vm_pte_is_swap(seen->entry)) {
        vm_text_add(&text, ", swap slot ");
        vm_text_number(&text, vm_pte_swap_slot(seen->entry));
    }
    vm_text_add(&text, ": ");
    vm_text_add(&text, what);
    tell(verify, &text);
}

static void start_frame(struct vm_text *text, uint64_t frame) {
    vm_text_clear(text);
    vm_text_add(text, "frame ");
    vm_text_number(text, frame);
    vm_text_add(text, ": ");
}

static void tell_frame(struct verify *verify, uint64_t frame, const char *what) {
    struct vm_text text;

    start_frame(&text, frame);
    vm_text_add(&text, what);
    tell(verify, &text);
}

static void tell_count(struct verify *verify, uint64_t frame, uint64_t mappings, uint64_t entries) {
    struct vm_text text;

    start_frame(&text, frame);
    vm_text_add(&text, "its map count is ");
    vm_text_number(&text, mappings);
    vm_text_add(&text, ", but entries that map it are ");
    vm_text_number(&text, entries);
    tell(verify, &text);
}

/* A room found `differences` in its own structures. */
static void tell_room(struct verify *verify, const char *room, uint64_t id, uint64_t differences) {
    struct vm_text text;

    if (!differences)
        return;
    vm_text_clear(&text);
    vm_text_add(&text, room);
    if (id != UINT64_MAX) {
        vm_text_add(&text, " ");
        vm_text_number(&text, id);
    }
    vm_text_add(&text, ": differences in its own check: ");
    vm_text_number(&text, differences);
    tell(verify, &text);
}

/* ---------------------------------------------------------------- 1. survey */

static bool has_descriptor(const struct vm_machine *machine, uint64_t frame) {
    return frame < machine->config.frames && machine->sections[frame >> VM_SECTION_SHIFT].pages;
}

static bool allows_more_than(vm_pte entry, const struct vm_area *area) {
    vm_pte allowed = vm_pte_protection(vm_area_protection(area));

    return (entry & ~allowed & (VM_PTE_WRITE | VM_PTE_USER)) || (allowed & ~entry & VM_PTE_NX);
}

static const char *anonymous_fault(struct vm_machine *machine, const struct vm_seen *seen,
                                   const struct vm_area *area, const struct vm_page *page) {
    if (vm_area_shared(area))
        return "a private page in a shared area";
    if (!(vm_area_flags(area) & VM_AREA_HAS_ANON))
        return "a private page in an area that says it has none";
    if (page->index != vm_area_page_index(area, seen->address))
        return "the private page's index is not the one of this address";
    if (!vm_pte_writable(seen->entry))
        return NULL;
    if (vm_page_mapcount(page) > 1)
        return "writable, though others map the private page";
    if (vm_page_is(page, VM_PAGE_SWAPCACHE) && vm_swap_count(machine, page->swap) > 0)
        return "writable, though others know the private page by its swap slot";
    return NULL;
}

static const char *object_fault(const struct vm_seen *seen, const struct vm_area *area,
                                const struct vm_page *page) {
    if (!area->object)
        return "an object's page in anonymous memory";
    if (page->object != area->object)
        return "a page of another object";
    if (!vm_area_is_nonlinear(area) && page->index != vm_area_page_index(area, seen->address))
        return "another page of the object belongs here";
    if (page->index >= vm_object_page_end(area->object))
        return "a page beyond its object's end";
    if (!vm_area_shared(area) && vm_pte_writable(seen->entry))
        return "an object's page is writable through a private area";
    return NULL;
}

/* What is wrong with a present entry, or NULL. */
static const char *present_fault(struct vm_machine *machine, const struct vm_seen *seen,
                                 const struct vm_area *area) {
    if (!has_descriptor(machine, vm_pte_frame(seen->entry)))
        return "there is no such frame";
    const struct vm_page *page = vm_page_of(machine, vm_pte_frame(seen->entry));

    if (vm_pte_frozen(seen->entry))
        return "it was left frozen";
    if (allows_more_than(seen->entry, area))
        return "the entry allows more than its area";
    if (vm_page_is(page, VM_PAGE_RESERVED))
        return vm_pte_writable(seen->entry) || vm_area_shared(area)
                   ? "the zero page is writable, or in a shared area"
                   : NULL;
    if (vm_page_is(page, VM_PAGE_TABLE))
        return "it maps a page table";
    if (vm_page_counts(page) == 0)
        return "it maps a free frame";
    return vm_page_is(page, VM_PAGE_ANON) ? anonymous_fault(machine, seen, area, page)
                                          : object_fault(seen, area, page);
}

static const char *file_offset_fault(const struct vm_seen *seen, const struct vm_area *area) {
    if (!vm_area_is_nonlinear(area))
        return "a page offset in a linear area";
    if (vm_pte_file_offset(seen->entry) == vm_area_page_index(area, seen->address))
        return "a page offset that need not be told";
    return NULL;
}

static const char *entry_fault(struct vm_machine *machine, const struct vm_seen *seen) {
    const struct vm_area *area = vm_rmap_area_at(seen->space, seen->address);

    if (!area)
        return "an entry outside every area";
    if (vm_pte_present(seen->entry))
        return present_fault(machine, seen, area);
    if (vm_pte_is_file(seen->entry))
        return file_offset_fault(seen, area);
    if (!vm_pte_is_swap(seen->entry))
        return "an entry of no known kind";
    if (vm_area_shared(area) || !(vm_area_flags(area) & VM_AREA_HAS_ANON))
        return "a swap entry in an area without private pages";
    return machine->swap && vm_swap_count(machine, vm_pte_swap_slot(seen->entry)) > 0
               ? NULL
               : "its swap slot is counted as free";
}

/* Whether the entry counts as a mapping of a page. */
static bool maps_page(const struct vm_machine *machine, vm_pte entry) {
    return vm_pte_present(entry) && has_descriptor(machine, vm_pte_frame(entry)) &&
           !vm_page_is(vm_page_of(machine, vm_pte_frame(entry)), VM_PAGE_RESERVED);
}

static void survey_entry(const struct vm_seen *seen, void *context) {
    struct verify *verify = context;
    const char *fault = entry_fault(verify->machine, seen);

    if (fault)
        tell_entry(verify, seen, fault);
    if (vm_pte_is_swap(seen->entry))
        verify->swap_entries++;
    if (maps_page(verify->machine, seen->entry))
        verify->in_section[vm_pte_frame(seen->entry) >> VM_SECTION_SHIFT]++;
}

static void scan_all(struct verify *verify, vm_seen_visit *visit) {
    for (uint64_t i = 0; i < verify->space_count; i++)
        vm_oracle_scan(verify->spaces[i], visit, verify);
}

/* ---------------------------------------------------------------- 2. frame by frame */

static bool in_group(const struct verify *verify, const struct vm_seen *seen) {
    return maps_page(verify->machine, seen->entry) &&
           vm_pte_frame(seen->entry) - verify->first < verify->frames;
}

static void count_place(const struct vm_seen *seen, void *context) {
    struct verify *verify = context;

    if (in_group(verify, seen))
        verify->ends[vm_pte_frame(seen->entry) - verify->first]++;
}

static void put_place(const struct vm_seen *seen, void *context) {
    struct verify *verify = context;

    if (in_group(verify, seen))
        verify->places[verify->ends[vm_pte_frame(seen->entry) - verify->first]++] = *seen;
}

/* Sorts the group's entries by frame: counts become beginnings, and placing makes them ends. */
static void place_entries(struct verify *verify) {
    uint64_t begin = 0;

    scan_all(verify, count_place);
    for (uint64_t i = 0; i < verify->frames; i++) {
        uint64_t count = verify->ends[i];
        verify->ends[i] = begin;
        begin += count;
    }
    scan_all(verify, put_place);
}

/* The places of one frame, and a walk held against them. */
struct comparison {
    struct verify *verify;
    uint64_t frame;
    struct vm_seen *places;
    uint64_t count;
};

static bool before(const struct vm_seen *place, const struct vm_space *space, uint64_t address) {
    return place->space == space ? place->address < address
                                 : (uintptr_t)place->space < (uintptr_t)space;
}

static struct vm_seen *find_place(const struct comparison *compare, const struct vm_space *space,
                                  uint64_t address) {
    uint64_t low = 0, high = compare->count;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (before(&compare->places[middle], space, address))
            low = middle + 1;
        else
            high = middle;
    }
    struct vm_seen *place = &compare->places[low];
    return low < compare->count && place->space == space && place->address == address ? place
                                                                                      : NULL;
}

static enum vm_step compare_mapping(const struct vm_mapping *mapping, void *context) {
    struct comparison *compare = context;
    struct vm_space *space = mapping->area->space;
    struct vm_seen *place = find_place(compare, space, mapping->address);
    struct vm_seen shown = { space, mapping->address, vm_pte_make(compare->frame, VM_PTE_PRESENT) };

    if (!place)
        tell_entry(compare->verify, &shown, "the design shows an entry that is not there");
    else if (place->entry & PLACE_SHOWN)
        tell_entry(compare->verify, &shown, "the design shows the entry twice");
    else if (vm_pte_read(mapping->entry) != place->entry)
        tell_entry(compare->verify, &shown, "the design shows another entry for this address");
    if (place)
        place->entry |= PLACE_SHOWN;
    return VM_STEP_ON;
}

static void compare_walk(struct comparison *compare, struct vm_page *page) {
    struct vm_machine *machine = compare->verify->machine;

    if (!vm_page_trylock(machine, page)) {
        tell_frame(compare->verify, compare->frame, "the page was left locked");
        return;
    }
    enum vm_walked walked = vm_rmap_look(machine, page, compare_mapping, compare);
    vm_page_unlock(machine, page);
    if (walked != VM_WALKED_ALL)
        tell_frame(compare->verify, compare->frame, "the design could not finish its walk");
    for (uint64_t i = 0; i < compare->count; i++)
        if (!(compare->places[i].entry & PLACE_SHOWN))
            tell_entry(compare->verify, &compare->places[i], "the design does not find the entry");
}

static void check_swap_cache(struct verify *verify, uint64_t frame, struct vm_page *page) {
    struct vm_machine *machine = verify->machine;

    if (!vm_page_is(page, VM_PAGE_SWAPCACHE))
        return;
    struct vm_page *cached = machine->swap ? vm_swap_cache_find(machine, page->swap) : NULL;
    if (cached != page)
        tell_frame(verify, frame, "its swap slot does not lead back to it");
    if (cached)
        vm_page_put(machine, cached);
}

static void check_frame(struct verify *verify, uint64_t frame, struct vm_seen *places,
                        uint64_t count) {
    struct vm_page *page = vm_page_of(verify->machine, frame);
    struct comparison compare = { verify, frame, places, count };

    if (vm_page_counts(page) == 0 || vm_page_is(page, VM_PAGE_TABLE | VM_PAGE_RESERVED))
        return; /* entries that map it all the same have been told by the survey */
    if (vm_page_mapcount(page) != count)
        tell_count(verify, frame, vm_page_mapcount(page), count);
    if (vm_page_mapcount(page) || count)
        compare_walk(&compare, page);
    check_swap_cache(verify, frame, page);
}

static void check_group(struct verify *verify) {
    uint64_t begin = 0;

    place_entries(verify);
    for (uint64_t i = 0; i < verify->frames; i++) {
        uint64_t end = verify->ends[i];
        if (has_descriptor(verify->machine, verify->first + i))
            check_frame(verify, verify->first + i, verify->places + begin, end - begin);
        begin = end;
    }
}

static void *take(struct verify *verify, uint64_t bytes) {
    return vm_cache_allocate_bytes(verify->machine, verify->memory, bytes ? bytes : 1, 16);
}

static void give(struct verify *verify, void *block, uint64_t bytes) {
    if (block)
        vm_cache_free_bytes(verify->machine, verify->memory, block, bytes ? bytes : 1);
}

/* The group's records, and the check with them. False if there was no memory. */
static bool with_group(struct verify *verify, uint64_t entries) {
    uint64_t end_bytes = verify->frames * sizeof *verify->ends;
    uint64_t place_bytes = entries * sizeof *verify->places;

    verify->ends = take(verify, end_bytes);
    verify->places = take(verify, place_bytes);
    bool ready = verify->ends && verify->places;
    if (ready) {
        memset(verify->ends, 0, end_bytes);
        check_group(verify);
    }
    give(verify, verify->places, place_bytes);
    give(verify, verify->ends, end_bytes);
    return ready;
}

/* The next group, from this section on: one section at least. Returns its entries. */
static uint64_t take_sections(struct verify *verify, uint32_t *section) {
    uint64_t entries = 0;

    verify->first = (uint64_t)*section << VM_SECTION_SHIFT;
    verify->frames = 0;
    do {
        entries += verify->in_section[*section];
        verify->frames += VM_SECTION_PAGES;
        ++*section;
    } while (*section < verify->machine->section_count && verify->frames < FRAMES_AT_ONCE &&
             entries + verify->in_section[*section] <= PLACES_AT_ONCE);
    return entries;
}

static void check_frames(struct verify *verify) {
    uint32_t section = 0;

    while (section < verify->machine->section_count) {
        uint64_t entries = take_sections(verify, &section);
        if (!with_group(verify, entries))
            tell_frame(verify, verify->first, "not checked, nor those after it: no memory");
    }
}

/* ---------------------------------------------------------------- 3. the rooms */

/* On a machine of many CPUs, whoever should have pruned may have found the space in use. */
static uint64_t check_tables(struct vm_space *space) {
    bool wait = atomic_load_explicit(&space->empty_tables, memory_order_relaxed) != 0;
    return vm_table_check(space->machine, space->root,
                          wait ? VM_EMPTY_TABLES_WAIT : VM_EMPTY_TABLES_NONE);
}

static void check_rooms(struct verify *verify) {
    struct vm_machine *machine = verify->machine;

    for (uint64_t i = 0; i < verify->space_count; i++) {
        struct vm_space *space = verify->spaces[i];
        tell_room(verify, "tables of space", space->id, check_tables(space));
        tell_room(verify, "areas of space", space->id, vm_space_check(space));
    }
    for (struct vm_link *link = machine->objects.next; link != &machine->objects;
         link = link->next) {
        struct vm_object *object = vm_link_entry(link, struct vm_object, link);
        tell_room(verify, "object", object->id, vm_object_check(object));
        verify->swap_entries += object->slot_count;
    }
    tell_room(verify, "swap", UINT64_MAX, vm_swap_check(machine, verify->swap_entries));
    tell_room(verify, "frames", UINT64_MAX, vm_frames_check(machine));
    if (machine->design->check)
        tell_room(verify, machine->design->info.name, UINT64_MAX, machine->design->check(machine));
}

/* ---------------------------------------------------------------- all of it */

static void sift_down(struct vm_space **spaces, uint64_t top, uint64_t count) {
    for (uint64_t child; (child = 2 * top + 1) < count; top = child) {
        if (child + 1 < count && (uintptr_t)spaces[child] < (uintptr_t)spaces[child + 1])
            child++;
        if ((uintptr_t)spaces[top] >= (uintptr_t)spaces[child])
            return;
        struct vm_space *lower = spaces[top];
        spaces[top] = spaces[child];
        spaces[child] = lower;
    }
}

static void sort_spaces(struct vm_space **spaces, uint64_t count) {
    for (uint64_t top = count / 2; top-- > 0;)
        sift_down(spaces, top, count);
    for (uint64_t last = count; last-- > 1;) {
        struct vm_space *highest = spaces[0];
        spaces[0] = spaces[last];
        spaces[last] = highest;
        sift_down(spaces, 0, last);
    }
}

static void list_spaces(struct verify *verify) {
    uint64_t i = 0;

    for (struct vm_space *space = vm_space_first(verify->machine); space;
         space = vm_space_after(space))
        verify->spaces[i++] = space;
    sort_spaces(verify->spaces, verify->space_count);
}

static void verify_with_memory(struct verify *verify) {
    struct vm_machine *machine = verify->machine;

    for (struct vm_space *space = vm_space_first(machine); space; space = vm_space_after(space))
        verify->space_count++;
    uint64_t space_bytes = verify->space_count * sizeof *verify->spaces;
    uint64_t section_bytes = machine->section_count * sizeof *verify->in_section;

    verify->spaces = take(verify, space_bytes);
    verify->in_section = take(verify, section_bytes);
    if (verify->spaces && verify->in_section) {
        memset(verify->in_section, 0, section_bytes);
        list_spaces(verify);
        scan_all(verify, survey_entry);
        check_frames(verify);
        check_rooms(verify);
    } else {
        tell_frame(verify, 0, "nothing was checked: no memory");
    }
    give(verify, verify->in_section, section_bytes);
    give(verify, verify->spaces, space_bytes);
}

uint64_t vm_verify(struct vm_machine *machine, vm_verify_report *report, void *context) {
    struct verify verify = { .machine = machine, .report = report, .context = context };
    struct vm_stats *counts = &vm_this_cpu(machine)->counts;
    struct vm_stats counts_before = *counts;
    _Atomic uint64_t *peak = &machine->costs[VM_COST_OTHER].peak;
    uint64_t peak_before = atomic_load_explicit(peak, memory_order_relaxed);

    verify.memory = vm_cache_create(machine, "verify", VM_COST_OTHER, 0, 16);
    if (verify.memory) {
        verify_with_memory(&verify);
        vm_cache_destroy(machine, verify.memory);
    } else {
        tell_frame(&verify, 0, "nothing was checked: no memory");
    }
    *counts = counts_before;
    atomic_store_explicit(peak, peak_before, memory_order_relaxed);
    return verify.differences;
}
