/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model.c - see model.h. Each call below is its definition in the manual page, nothing more.
 */
#include "model/model.h"

#include "memory.h"
#include "model/areas.h"

#include <pthread.h>
#include <stdlib.h>

struct process {
    bool exists;
    struct model_areas areas;
    struct page_map privately; /* by page number of the address; versions, with MODEL_PRESENT */
};

struct model {
    struct process *processes;
    size_t process_room;
    struct model_object **objects;
    size_t object_room;
};

struct model *model_create(void) {
    return new_array(1, sizeof(struct model));
}

static void empty_process(struct process *process) {
    areas_clear(&process->areas);
    page_map_free(&process->privately);
}

void model_destroy(struct model *model) {
    if (!model)
        return;
    for (size_t i = 0; i < model->process_room; i++)
        empty_process(&model->processes[i]);
    for (size_t i = 0; i < model->object_room; i++)
        model_object_put(model->objects[i]);
    free(model->processes);
    free(model->objects);
    free(model);
}

void model_make_room(struct model *model, size_t processes, size_t objects) {
    if (processes > model->process_room)
        model->processes = grow_array(model->processes, &model->process_room, processes,
                                      sizeof(*model->processes));
    if (objects > model->object_room)
        model->objects =
            grow_array(model->objects, &model->object_room, objects, sizeof(*model->objects));
}

/* ---------------------------------------------------------------- objects */

static struct model_object *new_object(uint32_t id, uint64_t pages, uint64_t generated) {
    struct model_object *object = new_array(1, sizeof(*object));
    object->references = 1;
    pthread_mutex_init(&object->lock, NULL);
    object->id = id;
    object->pages = pages;
    object->generated = generated;
    return object;
}

void model_object_declare(struct model *model, uint32_t object, uint32_t id, bool file,
                          uint64_t pages) {
    model_make_room(model, 0, (size_t)object + 1);
    model->objects[object] = new_object(id, pages, file ? pages : 0);
    model->objects[object]->declared = true;
}

void model_object_share(struct model *model, uint32_t object) {
    atomic_store_explicit(&model->objects[object]->shared, true, memory_order_relaxed);
}

struct model_object *model_object(struct model *model, uint32_t object) {
    return object < model->object_room ? model->objects[object] : NULL;
}

/* Private copies of the object's pages from `first` on go away wherever they are. */
static void drop_private_copies(struct process *process, const struct model_object *object,
                                uint64_t first) {
    for (size_t i = 0; i < process->areas.count; i++) {
        const struct model_area *area = &process->areas.list[i];
        uint64_t page = area->start >> VM_PAGE_SHIFT, end = area->end >> VM_PAGE_SHIFT;
        if (area->object != object || area->shared || area->pgoff + (end - page) <= first)
            continue;
        if (first > area->pgoff)
            page += first - area->pgoff;
        page_map_clear(&process->privately, page, end);
    }
}

void model_object_resize(struct model *model, uint32_t index, uint64_t pages) {
    struct model_object *object = model->objects[index];
    bool shrinks = pages < object->pages;
    object->pages = pages;
    if (!shrinks)
        return;
    page_map_clear(&object->written, pages, UINT64_MAX >> VM_PAGE_SHIFT);
    if (object->generated > pages)
        object->generated = pages;
    for (size_t i = 0; i < model->process_room; i++)
        if (model->processes[i].exists)
            drop_private_copies(&model->processes[i], object, pages);
}

static uint64_t object_version(struct model_object *object, uint64_t page) {
    pthread_mutex_lock(&object->lock);
    uint64_t value = page_map_get(&object->written, page);
    pthread_mutex_unlock(&object->lock);
    if (value)
        return value & STAMP_VERSION_MASK;
    return page < object->generated ? stamp_of_file(object->id, page) : 0;
}

/* ---------------------------------------------------------------- copies */

/* Each object once, however many areas and the model name it: its twin is remembered in it meanwhile. */
static struct model_object *twin_of(struct model_object *object) {
    if (!object)
        return NULL;
    if (object->twin) {
        object->twin->references++;
        return object->twin;
    }
    struct model_object *twin = new_object(object->id, object->pages, object->generated);
    twin->declared = object->declared;
    twin->shared = object->shared;
    page_map_copy(&twin->written, &object->written);
    return object->twin = twin;
}

static void copy_process(struct process *to, const struct process *from) {
    to->exists = from->exists;
    page_map_copy(&to->privately, &from->privately);
    to->areas.list = grow_array(NULL, &to->areas.room, from->areas.count, sizeof(*to->areas.list));
    to->areas.count = from->areas.count;
    for (size_t i = 0; i < from->areas.count; i++) {
        to->areas.list[i] = from->areas.list[i];
        to->areas.list[i].object = twin_of(from->areas.list[i].object);
    }
}

static void forget_twin(struct model_object *object) {
    if (object)
        object->twin = NULL;
}

static void forget_twins(const struct model *model) {
    for (size_t i = 0; i < model->object_room; i++)
        forget_twin(model->objects[i]);
    for (size_t i = 0; i < model->process_room; i++)
        for (size_t j = 0; j < model->processes[i].areas.count; j++)
            forget_twin(model->processes[i].areas.list[j].object);
}

struct model *model_copy(const struct model *model) {
    struct model *copy = model_create();
    copy->objects = new_array(model->object_room, sizeof(*copy->objects));
    copy->object_room = model->object_room;
    for (size_t i = 0; i < model->object_room; i++)
        copy->objects[i] = twin_of(model->objects[i]);
    copy->processes = new_array(model->process_room, sizeof(*copy->processes));
    copy->process_room = model->process_room;
    for (size_t i = 0; i < model->process_room; i++)
        copy_process(&copy->processes[i], &model->processes[i]);
    forget_twins(model);
    return copy;
}

/* ---------------------------------------------------------------- processes */

void model_process_begin(struct model *model, uint32_t process) {
    model_make_room(model, (size_t)process + 1, 0);
    model->processes[process].exists = true;
}

static void clear_private(struct process *process, uint64_t start, uint64_t end) {
    page_map_clear(&process->privately, start >> VM_PAGE_SHIFT, end >> VM_PAGE_SHIFT);
}

void model_fork(struct model *model, uint32_t parent, uint32_t child) {
    model_process_begin(model, child);
    struct process *from = &model->processes[parent], *to = &model->processes[child];
    areas_copy(&to->areas, &from->areas);
    page_map_copy(&to->privately, &from->privately);
    for (size_t i = 0; i < from->areas.count; i++)
        if (from->areas.list[i].dontfork)
            clear_private(to, from->areas.list[i].start, from->areas.list[i].end);
}

void model_exec(struct model *model, uint32_t process) {
    empty_process(&model->processes[process]);
}

void model_exit(struct model *model, uint32_t process) {
    empty_process(&model->processes[process]);
    model->processes[process].exists = false;
}

/* ---------------------------------------------------------------- calls */

static void unmap(struct process *process, uint64_t start, uint64_t end) {
    size_t first, behind = areas_cut(&process->areas, start, end, &first);
    areas_remove(&process->areas, first, behind);
    clear_private(process, start, end);
}

void model_unmap(struct model *model, uint32_t process, uint64_t start, uint64_t end) {
    unmap(&model->processes[process], start, end);
}

void model_map(struct model *model, uint32_t index, const struct model_mapping *mapping) {
    struct process *process = &model->processes[index];
    struct model_area area = {
        .start = mapping->start,
        .end = mapping->end,
        .protection = mapping->protection,
        .shared = mapping->shared,
        .pgoff = mapping->pgoff,
    };
    if (mapping->object != UINT32_MAX)
        area.object = model_object_get(model->objects[mapping->object]);
    else if (mapping->shared) {
        area.object = new_object(0, (area.end - area.start) >> VM_PAGE_SHIFT, 0);
        area.object->shared = true;
    }
    unmap(process, area.start, area.end);
    areas_insert(&process->areas, &area);
}

void model_protect(struct model *model, uint32_t process, uint64_t start, uint64_t end,
                   unsigned protection, int result) {
    struct model_areas *areas = &model->processes[process].areas;
    uint64_t reached = start;
    for (size_t i = areas_find(areas, start); i < areas->count && reached < end; i++) {
        if (areas->list[i].start > reached)
            break;
        reached = areas->list[i].end;
    }
    bool hole = reached < end;
    if (hole ? result != VM_ENOMEM : result != VM_OK)
        return;
    size_t first, behind = areas_cut(areas, start, hole ? reached : end, &first);
    for (size_t i = first; i < behind && start < reached; i++)
        areas->list[i].protection = protection;
}

void model_advise(struct model *model, uint32_t index, uint64_t start, uint64_t end,
                  enum vm_advice advice) {
    struct process *process = &model->processes[index];
    if (advice != VM_MADV_DONTNEED && advice != VM_MADV_FREE && advice != VM_MADV_DONTFORK &&
        advice != VM_MADV_DOFORK)
        return;
    size_t first, behind = areas_cut(&process->areas, start, end, &first);
    for (size_t i = first; i < behind; i++) {
        struct model_area *area = &process->areas.list[i];
        uint64_t value, page = area->start >> VM_PAGE_SHIFT, last = area->end >> VM_PAGE_SHIFT;
        if (advice == VM_MADV_DONTFORK || advice == VM_MADV_DOFORK)
            area->dontfork = advice == VM_MADV_DONTFORK;
        else if (advice == VM_MADV_DONTNEED && !area->shared)
            page_map_clear(&process->privately, page, last);
        else if (advice == VM_MADV_FREE && !area->object)
            for (; page_map_next(&process->privately, &page, &value) && page < last; page++)
                page_map_set(&process->privately, page, value | MODEL_DISCARDED);
    }
}

/* The object's pages of [start, end) appear a second time at `new`. */
static void duplicate(struct process *process, uint64_t old, uint64_t new, uint64_t new_length) {
    const struct model_area *area = areas_at(&process->areas, old);
    if (!area)
        return;
    struct model_area copy = *area;
    copy.pgoff += (old - copy.start) >> VM_PAGE_SHIFT;
    copy.start = new;
    copy.end = new + new_length;
    model_object_get(copy.object);
    unmap(process, copy.start, copy.end);
    areas_insert(&process->areas, &copy);
}

/* The area that ends at `end` goes on to `end + bytes`. */
static void extend(struct process *process, uint64_t end, uint64_t bytes) {
    struct model_area *area = areas_at(&process->areas, end - 1);
    if (area)
        area->end = end + bytes;
}

/* Unmaps what areas of [old, old + length) will replace at `new`; what lies across from a hole
 * stays. */
static void unmap_across(struct process *process, uint64_t old, uint64_t length, uint64_t new) {
    size_t first, behind = areas_cut(&process->areas, old, old + length, &first);
    size_t count = behind - first;
    struct model_area *sources = new_array(count, sizeof(*sources));
    for (size_t i = 0; i < count; i++)
        sources[i] = process->areas.list[first + i];
    for (size_t i = 0; i < count; i++)
        unmap(process, sources[i].start - old + new, sources[i].end - old + new);
    free(sources);
}

/* [old, old + length) goes to `new`, where nothing is. */
static void relocate(struct process *process, uint64_t old, uint64_t length, uint64_t new) {
    size_t first, behind = areas_cut(&process->areas, old, old + length, &first);
    size_t count = behind - first;
    struct model_area *moved = new_array(count, sizeof(*moved));
    for (size_t i = 0; i < count; i++) {
        moved[i] = process->areas.list[first + i];
        model_object_get(moved[i].object);
        moved[i].start = moved[i].start - old + new;
        moved[i].end = moved[i].end - old + new;
    }
    areas_remove(&process->areas, first, behind);
    for (size_t i = 0; i < count; i++)
        areas_insert(&process->areas, &moved[i]);
    free(moved);
    page_map_move(&process->privately, old >> VM_PAGE_SHIFT, length >> VM_PAGE_SHIFT,
                  new >> VM_PAGE_SHIFT);
}

void model_move(struct model *model, uint32_t index, uint64_t old, uint64_t old_length,
                uint64_t new, uint64_t new_length) {
    struct process *process = &model->processes[index];
    if (old_length == 0) {
        duplicate(process, old, new, new_length);
        return;
    }
    uint64_t kept = old_length < new_length ? old_length : new_length;
    if (new != old && old_length == new_length)
        unmap_across(process, old, old_length, new);
    else if (new != old)
        unmap(process, new, new + new_length);
    if (kept < old_length)
        unmap(process, old + kept, old + old_length);
    if (new != old)
        relocate(process, old, kept, new);
    if (new_length > kept)
        extend(process, new + kept, new_length - kept);
}

void model_move_keeping(struct model *model, uint32_t index, uint64_t old, uint64_t length,
                        uint64_t new) {
    struct process *process = &model->processes[index];
    size_t first, behind = areas_cut(&process->areas, old, old + length, &first);
    size_t count = behind - first;
    struct model_area *kept = new_array(count, sizeof(*kept));
    for (size_t i = 0; i < count; i++) {
        kept[i] = process->areas.list[first + i];
        model_object_get(kept[i].object);
    }
    model_move(model, index, old, length, new, length);
    for (size_t i = 0; i < count; i++)
        areas_insert(&process->areas, &kept[i]);
    free(kept);
}

void model_rearrange(struct model *model, uint32_t index, uint64_t start, uint64_t end,
                     uint64_t pgoff) {
    struct model_areas *areas = &model->processes[index].areas;
    size_t first, behind = areas_cut(areas, start, end, &first);
    for (size_t i = first; i < behind; i++) {
        areas->list[i].pgoff = pgoff + ((areas->list[i].start - start) >> VM_PAGE_SHIFT);
        areas->list[i].dontfork = false; /* it is a new mapping, for which nothing was advised */
    }
}

/* ---------------------------------------------------------------- pages */

/* As x86-64 checks: what can be accessed at all can be read. */
static bool permits(unsigned protection, enum vm_access access) {
    if (access == VM_WRITE)
        return protection & VM_PROT_WRITE;
    if (access == VM_EXECUTE)
        return protection & VM_PROT_EXEC;
    return protection != VM_PROT_NONE;
}

struct model_view model_view(struct model *model, uint32_t index, uint64_t address,
                             enum vm_access access) {
    struct process *process = &model->processes[index];
    struct model_area *area = areas_at(&process->areas, address);
    if (!area || !permits(area->protection, access))
        return (struct model_view){ .outcome = VM_SIGSEGV };
    uint64_t page = area->pgoff + ((address - area->start) >> VM_PAGE_SHIFT);
    if (area->object && page >= area->object->pages)
        return (struct model_view){ .outcome = VM_SIGBUS };
    if (!area->shared) {
        uint64_t value = page_map_get(&process->privately, address >> VM_PAGE_SHIFT);
        if (value)
            return (struct model_view){ .outcome = VM_OK,
                                        .version = value & STAMP_VERSION_MASK,
                                        .may_be_discarded = value & MODEL_DISCARDED };
    }
    if (!area->object)
        return (struct model_view){ .outcome = VM_OK };
    return (struct model_view){ .outcome = VM_OK,
                                .version = object_version(area->object, page),
                                .private_file = !area->shared,
                                .shared = (area->shared || access != VM_WRITE) &&
                                          atomic_load_explicit(&area->object->shared,
                                                               memory_order_relaxed) };
}

static void write_page(struct process *process, struct model_area *area, uint64_t address,
                       uint64_t version) {
    uint64_t page = area->pgoff + ((address - area->start) >> VM_PAGE_SHIFT);
    if (area->shared) {
        pthread_mutex_lock(&area->object->lock);
        page_map_set(&area->object->written, page, version | MODEL_PRESENT);
        pthread_mutex_unlock(&area->object->lock);
    } else
        page_map_set(&process->privately, address >> VM_PAGE_SHIFT, version | MODEL_PRESENT);
}

void model_write(struct model *model, uint32_t index, uint64_t address, uint64_t version) {
    struct process *process = &model->processes[index];
    write_page(process, areas_at(&process->areas, address), address, version);
}

void model_copy_privately(struct model *model, uint32_t index, uint64_t address) {
    struct process *process = &model->processes[index];
    struct model_area *area = areas_at(&process->areas, address);
    uint64_t page = area->pgoff + ((address - area->start) >> VM_PAGE_SHIFT);
    write_page(process, area, address, object_version(area->object, page));
}

/* ---------------------------------------------------------------- looking */

size_t model_areas(struct model *model, uint32_t process, const struct model_area **areas) {
    *areas = model->processes[process].areas.list;
    return model->processes[process].areas.count;
}

bool model_next_private(struct model *model, uint32_t process, uint64_t *address) {
    uint64_t value, page = *address >> VM_PAGE_SHIFT;
    if (!page_map_next(&model->processes[process].privately, &page, &value))
        return false;
    *address = page << VM_PAGE_SHIFT;
    return true;
}

bool model_next_written(struct model_object *object, uint64_t *page, uint64_t *version) {
    pthread_mutex_lock(&object->lock);
    bool found = page_map_next(&object->written, page, version);
    pthread_mutex_unlock(&object->lock);
    if (found)
        *version &= STAMP_VERSION_MASK;
    return found;
}

uint64_t model_object_pages(const struct model_object *object) {
    return object->pages;
}
