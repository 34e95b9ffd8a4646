/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * library.c - see library.h.
 */
#include "library.h"

#include <objrmap/rmap.h>
#include <objrmap/stats.h>

#include <stdio.h>
#include <string.h>

enum { SWAP_PAGES = 4096 };

/* ---------------------------------------------------------------- touches */

static struct touched touch(struct vm_space *space, uint64_t address, bool write, uint32_t first,
                            uint32_t last) {
    struct touched touched = { .first = first, .last = last };
    if (write) {
        touched.result = vm_write(space, address + FIRST_OFFSET, &first, sizeof(first));
        if (touched.result == VM_OK)
            touched.result = vm_write(space, address + LAST_OFFSET, &last, sizeof(last));
    } else {
        touched.result =
            vm_read(space, address + FIRST_OFFSET, &touched.first, sizeof(touched.first));
        if (touched.result == VM_OK)
            touched.result =
                vm_read(space, address + LAST_OFFSET, &touched.last, sizeof(touched.last));
    }
    return touched.result == VM_OK ? touched : (struct touched){ .result = touched.result };
}

static void touch_pages(struct vm_space *space, const struct random_op *op, uint32_t step,
                        struct outcome *outcome) {
    for (unsigned i = 0; i < op->pages; i++) {
        unsigned page = (unsigned)op->page + i;
        outcome->pages[i] =
            touch(space, PAGE_AT(page), op->kind == RANDOM_WRITE,
                  value_of(step, page, FIRST_OFFSET), value_of(step, page, LAST_OFFSET));
    }
}

/* ---------------------------------------------------------------- calls */

static void settle(struct vm_space *space, struct outcome *outcome, uint64_t at, uint64_t asked,
                   uint64_t bytes) {
    if (outcome->result != VM_OK)
        return;
    outcome->where = at == asked ? WHERE_ASKED : WHERE_ELSE_INSIDE;
    if (at < WINDOW_BASE || at >= WINDOW_END) {
        outcome->where = WHERE_OUTSIDE;
        (void)vm_munmap(space, at, bytes);
    } else if (at + bytes > WINDOW_END) {
        (void)vm_munmap(space, WINDOW_END, at + bytes - WINDOW_END);
    }
}

static void play_map(struct library *library, const struct random_op *op, struct outcome *outcome) {
    struct vm_space *space = library->spaces[op->process];
    uint64_t at = 0;
    outcome->result = vm_mmap(space, PAGE_AT(op->page), PAGES(op->pages), (unsigned)op->protection,
                              (unsigned)op->flags, library->objects[op->object], op->pgoff, &at);
    settle(space, outcome, at, PAGE_AT(op->page), PAGES(op->pages));
}

static void play_move(struct library *library, const struct random_op *op,
                      struct outcome *outcome) {
    struct vm_space *space = library->spaces[op->process];
    uint64_t at = 0, asked = PAGE_AT(op->flags & VM_MREMAP_FIXED ? op->to_page : op->page);
    if (op->flags & VM_MREMAP_DONTUNMAP)
        for (unsigned i = 0; i < WINDOW_PAGES; i++)
            (void)vm_munlock(space, PAGE_AT(i), PAGES(1));
    outcome->result = vm_mremap(space, PAGE_AT(op->page), PAGES(op->pages), PAGES(op->to_pages),
                                (unsigned)op->flags, PAGE_AT(op->to_page), &at);
    settle(space, outcome, at, asked, PAGES(op->to_pages));
}

void library_forgo_move(struct library *library, const struct random_op *op) {
    struct vm_space *space = library->spaces[op->process];
    (void)vm_munmap(space, PAGE_AT(op->page), PAGES(pages_forgone(op)));
    if (op->flags & VM_MREMAP_FIXED)
        (void)vm_munmap(space, PAGE_AT(op->to_page), PAGES(op->to_pages));
}

struct alike {
    uint64_t position, end;
    struct vm_area_view last;
    bool one;
};

static bool goes_on(const struct vm_area_view *area, void *context) {
    struct alike *alike = context;
    const struct vm_area_view *last = &alike->last;
    if (area->end <= alike->position || area->start >= alike->end)
        return true;
    bool first = last->end == 0;
    uint64_t pgoff = last->pgoff + (last->end - last->start) / VM_PAGE_SIZE;
    alike->one &=
        area->start <= alike->position &&
        (first || (area->protection == last->protection && area->shared == last->shared &&
                   area->locked == last->locked && area->dontfork == last->dontfork &&
                   area->object == last->object && (!area->object || area->pgoff == pgoff)));
    alike->position = area->end;
    alike->last = *area;
    return true;
}

bool library_shows_one_area(struct library *library, uint64_t process, uint64_t start,
                            uint64_t end) {
    struct alike alike = { .position = start, .end = end, .one = true };
    vm_area_each(library->spaces[process], goes_on, &alike);
    return alike.one && alike.position >= end;
}

/* Library first, as the trace player does it: pages beyond the end are not written back. */
static int play_truncate(struct library *library, const struct random_op *op) {
    uint64_t bytes = PAGES(op->pages) + op->value;
    int result = vm_object_truncate(library->objects[op->object], bytes);
    if (result == VM_OK && library->files[op->object])
        (void)posix_memory_truncate(library->files[op->object], bytes);
    return result;
}

static int play_range(struct library *library, const struct random_op *op) {
    struct vm_space *space = library->spaces[op->process];
    uint64_t address = PAGE_AT(op->page), bytes = PAGES(op->pages);
    switch (op->kind) {
    case RANDOM_UNMAP:
        return vm_munmap(space, address, bytes);
    case RANDOM_PROTECT:
        return vm_mprotect(space, address, bytes, (unsigned)op->protection);
    case RANDOM_REARRANGE:
        return vm_remap_file_pages(space, address, bytes, op->pgoff);
    case RANDOM_ADVISE:
        return vm_madvise(space, address, bytes, (enum vm_advice)op->value);
    case RANDOM_LOCK:
        return vm_mlock(space, address, bytes);
    case RANDOM_UNLOCK:
        return vm_munlock(space, address, bytes);
    case RANDOM_SYNC:
        return vm_msync(space, address, bytes, (unsigned)op->flags);
    case RANDOM_TRUNCATE:
        return play_truncate(library, op);
    case RANDOM_RECLAIM:
        (void)vm_reclaim(library->machine, op->value);
        return VM_OK;
    default:
        return VM_OK;
    }
}

static void play_fork(struct library *library, const struct random_op *op,
                      struct outcome *outcome) {
    if (library->spaces[op->child])
        outcome->result = NOT_PLAYED;
    else
        outcome->result =
            vm_fork(library->spaces[op->process], op->child + 1, &library->spaces[op->child]);
}

void library_play(struct library *library, const struct stage *stage, uint32_t step) {
    const struct random_op *op = &stage->ops[step];
    struct outcome *outcome = &library->outcomes[step];
    struct vm_space *space = library->spaces[op->process];

    memset(outcome, 0, sizeof(*outcome));
    if (!space) {
        outcome->result = NOT_PLAYED;
        return;
    }
    switch (op->kind) {
    case RANDOM_FORK:
        play_fork(library, op, outcome);
        break;
    case RANDOM_EXIT:
        vm_exit(space);
        library->spaces[op->process] = NULL;
        break;
    case RANDOM_MAP:
        play_map(library, op, outcome);
        break;
    case RANDOM_MOVE:
        play_move(library, op, outcome);
        break;
    case RANDOM_READ:
    case RANDOM_WRITE:
        touch_pages(space, op, step, outcome);
        break;
    default:
        outcome->result = play_range(library, op);
    }
}

/* ---------------------------------------------------------------- a machine for each program */

static bool fill_file(struct vm_backing *file, unsigned object) {
    unsigned char bytes[VM_PAGE_SIZE] = { 0 };
    for (unsigned page = 0; page < OBJECT_PAGES; page++) {
        const uint32_t first = file_value(object, page, FIRST_OFFSET);
        const uint32_t last = file_value(object, page, LAST_OFFSET);
        memcpy(bytes + FIRST_OFFSET, &first, sizeof(first));
        memcpy(bytes + LAST_OFFSET, &last, sizeof(last));
        if (file->write(file, page, bytes) != 0)
            return false;
    }
    return true;
}

static bool open_objects(struct library *library) {
    if (vm_object_create_shm(library->machine, PAGES(OBJECT_PAGES), OBJECT_MEMORY,
                             &library->objects[OBJECT_MEMORY]) != VM_OK)
        return false;
    for (unsigned i = OBJECT_DISK; i <= OBJECT_READ_ONLY; i++) {
        struct vm_backing *file = library->files[i] = posix_memory_open(PAGES(OBJECT_PAGES));
        if (!file || !fill_file(file, i))
            return false;
        if (i == OBJECT_READ_ONLY)
            file->write = NULL;
        if (vm_object_open(library->machine, file, i, &library->objects[i]) != VM_OK)
            return false;
    }
    return true;
}

bool library_begin(struct library *library, const struct library_kind *kind) {
    memset(library, 0, offsetof(struct library, outcomes));
    posix_port_init(&library->posix, 1);
    library->swap = posix_memory_open(PAGES(SWAP_PAGES));
    struct vm_machine_config config = {
        .port = &library->posix.port,
        .frames = kind->frames,
        .design = kind->design,
        .fork_copy = kind->fork_copy,
        .nonlinear = kind->nonlinear,
        .swap = library->swap,
        .swap_pages = SWAP_PAGES,
    };
    return library->swap && vm_machine_create(&config, &library->machine, NULL) == VM_OK &&
           vm_space_create(library->machine, 1, &library->spaces[0]) == VM_OK &&
           open_objects(library);
}

static char verdict[600];

static void note_difference(const char *difference, void *context) {
    (void)context;
    if (!verdict[0])
        snprintf(verdict, sizeof(verdict), "the oracle says: %s", difference);
}

const char *library_end(struct library *library) {
    struct vm_stats stats;
    verdict[0] = '\0';
    (void)vm_verify(library->machine, note_difference, NULL);
    for (unsigned i = 0; i < PROCESS_SLOTS; i++)
        if (library->spaces[i])
            vm_exit(library->spaces[i]);
    for (unsigned i = 1; i <= JUDGED_OBJECTS; i++)
        vm_object_put(library->objects[i]);
    vm_stats_read(library->machine, &stats);
    if (!verdict[0] && (stats.memory.areas || stats.memory.anonymous || stats.memory.swap_used ||
                        stats.memory.locked || stats.memory.tables))
        snprintf(verdict, sizeof(verdict), "after the last exit something is left over");
    vm_machine_destroy(library->machine);
    library->swap->close(library->swap);
    return verdict[0] ? verdict : NULL;
}
