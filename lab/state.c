/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.c - see state.h. Text goes out and into the hash piece by piece; only the places of private
 * pages are kept, to find the first one of each.
 */
#include "state.h"

#include "memory.h"
#include "model/areas.h"

#include <objrmap/rmap.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Where a private page was seen first. */
struct first_place {
    uint64_t identity, address;
    uint32_t pid;
    bool used;
};

struct state {
    struct player *player;
    FILE *file;
    uint64_t hash;
    const struct world_process *process; /* the current one */
    uint32_t process_index;

    struct vm_area_view area; /* the areas joined so far; start == end: none */

    struct first_place *places; /* a hash table by identity, at most half full */
    size_t place_mask, place_count;
};

/* ---------------------------------------------------------------- text and hash */

#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)

/* FNV-1a */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t bytes) {
    const unsigned char *byte = data;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void emit_text(struct state *state, const char *text, size_t bytes) {
    state->hash = hash_bytes(state->hash, text, bytes);
    if (state->file)
        fwrite(text, 1, bytes, state->file);
}

static void emit(struct state *state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* For lines of bounded length. */
static void emit(struct state *state, const char *format, ...) {
    char line[200];
    va_list values;
    va_start(values, format);
    int bytes = vsnprintf(line, sizeof(line), format, values);
    va_end(values);
    emit_text(state, line, (size_t)bytes);
}

/* Only into the text: which relatives happen to share a page still. */
static void emit_unhashed(struct state *state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void emit_unhashed(struct state *state, const char *format, ...) {
    va_list values;
    if (!state->file)
        return;
    va_start(values, format);
    vfprintf(state->file, format, values);
    va_end(values);
}

/* Only into the hash: contents are not part of the text. */
static void digest(struct state *state, uint64_t number) {
    state->hash = hash_bytes(state->hash, &number, sizeof(number));
}

/* ---------------------------------------------------------------- areas */

static bool has_visible_object(const struct vm_area_view *area) {
    return area->object && !area->object_anonymous;
}

/* Whether the two look like one in the text. */
static bool joins(const struct vm_area_view *lower, const struct vm_area_view *upper) {
    if (lower->end != upper->start || lower->protection != upper->protection ||
        lower->shared != upper->shared)
        return false;
    if (!has_visible_object(lower) || !has_visible_object(upper))
        return !has_visible_object(lower) && !has_visible_object(upper);
    return lower->object == upper->object &&
           lower->pgoff + ((lower->end - lower->start) >> VM_PAGE_SHIFT) == upper->pgoff;
}

static void emit_area(struct state *state) {
    const struct vm_area_view *area = &state->area;
    if (area->start == area->end)
        return;
    emit(state, "a %" PRIu32 " %" PRIx64 " %" PRIx64 " %c%c%c%c ", state->process->pid, area->start,
         area->end, area->protection & VM_PROT_READ ? 'r' : '-',
         area->protection & VM_PROT_WRITE ? 'w' : '-', area->protection & VM_PROT_EXEC ? 'x' : '-',
         area->shared ? 's' : 'p');
    if (has_visible_object(area))
        emit(state, "%" PRIu64 " %" PRIx64 "\n", vm_object_id(area->object), area->pgoff);
    else
        emit(state, "- 0\n");
}

static bool visit_area(const struct vm_area_view *area, void *context) {
    struct state *state = context;
    if (joins(&state->area, area)) {
        state->area.end = area->end;
        return true;
    }
    emit_area(state);
    state->area = *area;
    return true;
}

static void emit_areas(struct state *state) {
    state->area = (struct vm_area_view){ 0 };
    vm_area_each(state->process->space, visit_area, state);
    emit_area(state);
}

/* ---------------------------------------------------------------- private pages */

static struct first_place *place_of(struct state *state, uint64_t identity) {
    size_t i = (size_t)((identity * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & state->place_mask;
    while (state->places[i].used && state->places[i].identity != identity)
        i = (i + 1) & state->place_mask;
    return &state->places[i];
}

static void grow_places(struct state *state) {
    struct first_place *old = state->places;
    size_t old_count = old ? state->place_mask + 1 : 0;
    size_t count = old_count ? old_count * 2 : 1024;
    state->places = new_array(count, sizeof(*state->places));
    state->place_mask = count - 1;
    for (size_t i = 0; i < old_count; i++)
        if (old[i].used)
            *place_of(state, old[i].identity) = old[i];
    free(old);
}

static const struct first_place *first_place(struct state *state, const struct vm_page_view *page) {
    if (state->place_count * 2 >= state->place_mask)
        grow_places(state);
    struct first_place *place = place_of(state, page->identity);
    if (!place->used) {
        *place = (struct first_place){ page->identity, page->address, state->process->pid, true };
        state->place_count++;
    }
    return place;
}

/* Whether the machine may give the page away is decided by who shares it, too. */
static bool may_be_discarded(struct state *state, uint64_t address) {
    return state->player->world->model &&
           model_view(state->player->world->model, state->process_index, address, VM_READ)
               .may_be_discarded;
}

static bool visit_page(const struct vm_page_view *page, void *context) {
    struct state *state = context;
    if (page->kind != VM_PAGE_ANONYMOUS || page->discardable)
        return true;
    const struct first_place *first = first_place(state, page);
    uint64_t hash = state->hash, version = 0;
    emit(state, "P %" PRIu32 " %" PRIx64, state->process->pid, page->address);
    emit_unhashed(state, " %" PRIu32 ":%" PRIx64, first->pid, first->address);
    emit(state, "\n");
    if (may_be_discarded(state, page->address))
        state->hash = hash;
    else if (state->player->world->model &&
             vm_peek(state->process->space, page->address, &version, sizeof(version)) == VM_OK)
        digest(state, version);
    return true;
}

static bool digest_page(const struct vm_page_view *page, void *context) {
    struct state *state = context;
    uint64_t version = 0;
    if (page->kind != VM_PAGE_ANONYMOUS || page->discardable ||
        may_be_discarded(state, page->address))
        return true;
    if (state->player->world->model)
        vm_peek(state->process->space, page->address, &version, sizeof(version));
    digest(state, page->address);
    digest(state, version);
    return true;
}

uint64_t state_of_process(struct player *player, uint32_t process) {
    struct state state = { .player = player, .hash = HASH_BEGIN, .process_index = process };
    state.process = &player->world->processes[process];
    digest(&state, state.process->pid);
    emit_areas(&state);
    vm_page_each(state.process->space, 0, VM_ADDRESS_END, digest_page, &state);
    return state.hash;
}

static void emit_process(struct state *state) {
    emit(state, "s %" PRIu32 " ", state->process->pid);
    emit_text(state, state->process->name, strlen(state->process->name));
    emit_text(state, "\n", 1);
    emit_areas(state);
    vm_page_each(state->process->space, 0, VM_ADDRESS_END, visit_page, state);
}

/* ---------------------------------------------------------------- objects' pages */

/* The model knows which pages were ever written; the machine says what they hold. */
static void digest_objects(struct state *state) {
    for (size_t i = 0; i < state->player->world->object_room; i++) {
        const struct world_object *object = &state->player->world->objects[i];
        uint64_t expected;
        if (!object->object)
            continue;
        for (uint64_t page = 0; model_next_written(
                 model_object(state->player->world->model, (uint32_t)i), &page, &expected);
             page++) {
            uint64_t version = 0;
            vm_object_peek(object->object, page << VM_PAGE_SHIFT, &version, sizeof(version));
            digest(state, object->id);
            digest(state, page);
            digest(state, version);
        }
    }
}

/* Shared anonymous memory has no name: its pages are told where processes show them. */
static void digest_shared_anonymous(struct state *state, uint32_t process) {
    const struct model_area *areas;
    size_t count = model_areas(state->player->world->model, process, &areas);
    for (size_t i = 0; i < count; i++) {
        const struct model_area *area = &areas[i];
        if (!area->object || area->object->declared)
            continue;
        uint64_t expected, page = area->pgoff;
        uint64_t behind = page + ((area->end - area->start) >> VM_PAGE_SHIFT);
        for (; model_next_written(area->object, &page, &expected) && page < behind; page++) {
            uint64_t version = 0, address = area->start + ((page - area->pgoff) << VM_PAGE_SHIFT);
            vm_peek(state->player->world->processes[process].space, address, &version,
                    sizeof(version));
            digest(state, address);
            digest(state, version);
        }
    }
}

uint64_t state_write(struct player *player, FILE *file) {
    struct state state = { .player = player, .file = file, .hash = HASH_BEGIN };
    size_t count;
    uint32_t *processes = world_processes(player->world, &count);
    emit(&state, "objrmap-state 1\n");
    for (size_t i = 0; i < count; i++) {
        state.process = &player->world->processes[processes[i]];
        state.process_index = processes[i];
        emit_process(&state);
    }
    for (size_t i = 0; player->world->model && i < count; i++)
        digest_shared_anonymous(&state, processes[i]);
    if (player->world->model)
        digest_objects(&state);
    free(processes);
    free(state.places);
    return state.hash;
}
