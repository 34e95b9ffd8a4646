/* SPDX-License-Identifier: BSD-2-Clause */
/* storm.c - see storm.h. */
#include "storm.h"

#include <stdio.h>
#include <stdlib.h>

const char *const storm_names[STORMS] = { "fault", "share", "fork", "exec", "reclaim" };

enum {
    FEW = 16,
    WRITTEN = 64,         /* pages of a space that is forked */
    LIBRARY = 256,        /* pages of the file */
    CROWDED = 256,        /* pages of each CPU's memory that must fit, where it is short */
    FRAMES_EACH = 1024,   /* where it is not */
    FRAMES_BESIDE = 2048, /* page tables, CPUs' own lists, watermarks */
};

static void must(int result, const char *call) {
    if (result == VM_OK)
        return;
    fprintf(stderr, "objrmap: %s failed: %s; this is a defect, please report it\n", call,
            vm_result_text(result));
    exit(1);
}

static struct vm_backing *memory_backing(uint64_t pages) {
    struct vm_backing *backing = posix_memory_open(pages * VM_PAGE_SIZE);

    if (backing)
        return backing;
    fprintf(stderr, "objrmap: there is no memory for the benchmark's files; free some\n");
    exit(1);
}

static uint64_t map(struct vm_space *space, uint64_t pages, unsigned protection,
                    struct vm_object *object) {
    uint64_t address = 0;

    must(vm_mmap(space, 0, pages * VM_PAGE_SIZE, protection, VM_MAP_PRIVATE, object, 0, &address),
         "vm_mmap");
    return address;
}

static void touch(struct vm_space *space, uint64_t address, uint64_t pages, enum vm_access access) {
    must(vm_touch(space, address, pages, access, NULL), "vm_touch");
}

enum { RW = VM_PROT_READ | VM_PROT_WRITE, RX = VM_PROT_READ | VM_PROT_EXEC };

/* ---------------------------------------------------------------- one operation each */

static void map_touch_unmap(struct vm_space *space, struct vm_object *object) {
    uint64_t memory = map(space, FEW, object ? RX : RW, object);

    touch(space, memory, FEW, object ? VM_READ : VM_WRITE);
    must(vm_munmap(space, memory, FEW * VM_PAGE_SIZE), "vm_munmap");
}

static struct vm_space *fork_space(struct vm_space *parent, unsigned cpu) {
    struct vm_space *child;

    must(vm_fork(parent, cpu + 1000, &child), "vm_fork");
    return child;
}

static void run_command(struct storm_world *world, struct vm_space *space) {
    uint64_t text, heap;

    must(vm_exec(space), "vm_exec");
    text = map(space, LIBRARY, RX, world->library);
    touch(space, text, FEW, VM_EXECUTE);
    touch(space, map(space, FEW, RW, world->library), FEW / 4, VM_WRITE);
    heap = map(space, FEW, RW, NULL);
    touch(space, heap, FEW / 4, VM_WRITE);
}

/* Round and round in more than fits: each page comes from swap, and another goes there. */
static void write_on(struct storm_world *world, unsigned cpu) {
    uint64_t *next = &world->next[cpu];

    touch(world->spaces[cpu], world->memory[cpu] + *next * VM_PAGE_SIZE, FEW, VM_WRITE);
    *next = (*next + FEW) % world->pages[cpu];
}

void storm_once(struct storm_world *world, unsigned cpu) {
    struct vm_space *space = world->spaces[cpu], *child;

    switch (world->storm) {
    case STORM_FAULT:
        map_touch_unmap(space, NULL);
        return;
    case STORM_SHARE:
        map_touch_unmap(space, world->library);
        return;
    case STORM_FORK:
        vm_exit(fork_space(space, cpu));
        return;
    case STORM_EXEC:
        child = fork_space(space, cpu);
        run_command(world, child);
        vm_exit(child);
        return;
    default:
        write_on(world, cpu);
    }
}

/* ---------------------------------------------------------------- the world */

static void begin_cpu(struct storm_world *world, unsigned cpu) {
    struct vm_space *space;

    must(vm_space_create(world->machine, cpu + 1, &space), "vm_space_create");
    world->spaces[cpu] = space;
    world->pages[cpu] = world->storm == STORM_RECLAIM ? 4 * CROWDED : WRITTEN;
    world->memory[cpu] = map(space, world->pages[cpu], RW, NULL);
    world->next[cpu] = 0;
    touch(space, world->memory[cpu], world->pages[cpu], VM_WRITE);
    touch(space, map(space, LIBRARY, RX, world->library), FEW, VM_READ);
}

void storm_begin(struct storm_world *world, enum storm storm, const struct storm_config *config) {
    const char *why = "";
    uint64_t each = storm == STORM_RECLAIM ? CROWDED : FRAMES_EACH;
    uint64_t swap_pages = UINT64_C(8) * CROWDED * config->cpus;
    struct vm_machine_config wanted = { .port = &world->posix.port,
                                        .frames = each * config->cpus +
                                                  (storm == STORM_RECLAIM ? 512 : FRAMES_BESIDE),
                                        .contents = VM_METADATA_ONLY,
                                        .cpus = config->cpus,
                                        .design = config->design,
                                        .chain_lock = config->chain_lock,
                                        .lock_stats = config->lock_stats,
                                        .swap_pages = swap_pages };

    wanted.swap = world->swap = memory_backing(swap_pages);
    world->storm = storm;
    if (vm_machine_create(&wanted, &world->machine, &why) != VM_OK) {
        fprintf(stderr, "objrmap: no machine: %s; is there enough memory, and such a design?\n",
                why);
        exit(1);
    }
    must(vm_object_open(world->machine, memory_backing(LIBRARY), 1, &world->library),
         "vm_object_open");
    for (unsigned cpu = 0; cpu < config->cpus; cpu++)
        begin_cpu(world, cpu);
}

void storm_end(struct storm_world *world) {
    vm_object_put(world->library);
    vm_machine_destroy(world->machine);
    world->swap->close(world->swap);
}

void add_variants(const struct vm_design_info *info, void *context) {
    struct variants *variants = context;

    for (int lock = VM_CHAIN_LOCK_PAGE; lock <= VM_CHAIN_LOCK_GLOBAL; lock++)
        if (variants->count < VARIANTS_MOST && (info->chains || lock == VM_CHAIN_LOCK_PAGE)) {
            variants->of[variants->count].design = info->name;
            variants->of[variants->count++].chain_lock = (enum vm_chain_lock)lock;
        }
}
