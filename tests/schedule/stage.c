/* SPDX-License-Identifier: BSD-2-Clause */
/* stage.c - see stage.h. */
#include "stage.h"

#include "arena.h"
#include "vm/reclaim/reclaim.h"

#include <stdio.h>
#include <string.h>

enum { FRAMES = 64, BATCH = 16 };

const char *stage_file_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---------------------------------------------------------------- devices */

static int device_read(struct vm_backing *backing, uint64_t page, void *data) {
    struct device *device = (struct device *)backing;

    scheduler_preempt(&device->words[page]);
    if (page >= device->pages)
        return -1;
    memset(data, 0, PAGE);
    memcpy(data, &device->words[page], sizeof device->words[page]);
    return 0;
}

static int device_write(struct vm_backing *backing, uint64_t page, const void *data) {
    struct device *device = (struct device *)backing;

    scheduler_preempt(&device->words[page]);
    if (page >= device->pages)
        return -1;
    memcpy(&device->words[page], data, sizeof device->words[page]);
    return 0;
}

static int device_write_run(struct vm_backing *backing, uint64_t page, unsigned count,
                            const void *const *data) {
    int result = 0;

    for (unsigned i = 0; i < count && result == 0; i++)
        result = device_write(backing, page + i, data[i]);
    return result;
}

static int64_t device_size(struct vm_backing *backing) {
    return (int64_t)(((struct device *)backing)->pages * PAGE);
}

static void device_open(struct device *device, uint64_t pages) {
    device->backing = (struct vm_backing){ .read = device_read,
                                           .write = device_write,
                                           .size = device_size,
                                           .write_run = device_write_run };
    device->pages = pages;
}

struct vm_object *stage_shm(struct stage *stage, uint64_t pages) {
    struct vm_object *object;
    require(vm_object_create_shm(stage->machine, pages * PAGE, 1, &object) == VM_OK);
    return object;
}

struct vm_object *stage_file(struct stage *stage, uint64_t pages) {
    struct vm_object *object;

    device_open(&stage->file, pages);
    for (uint64_t i = 0; i < pages; i++)
        stage->file.words[i] = 100 + i;
    require(vm_object_open(stage->machine, &stage->file.backing, 1, &object) == VM_OK);
    return object;
}

/* ---------------------------------------------------------------- accounts */

static void note_cache(const struct vm_cache_view *cache, void *context) {
    struct baseline *baseline = context;

    require(baseline->caches < CACHES_MOST);
    baseline->live[baseline->caches++] = cache->live;
}

static struct baseline take_stock(struct vm_machine *machine) {
    struct baseline baseline = { .caches = 0 };

    vm_frames_drain(machine);
    vm_cache_each(machine, note_cache, &baseline);
    baseline.frames_free = vm_frames_free(machine);
    return baseline;
}

struct comparison {
    const struct baseline *before;
    unsigned caches;
};

static void compare_cache(const struct vm_cache_view *cache, void *context) {
    struct comparison *comparison = context;
    uint64_t before = comparison->before->live[comparison->caches++];

    if (cache->live != before)
        scheduler_fail("a leak: %llu records of \"%s\" where there were %llu",
                       (unsigned long long)cache->live, cache->name, (unsigned long long)before);
}

static void require_all_back(struct stage *stage) {
    struct comparison comparison = { &stage->before, 0 };

    vm_frames_drain(stage->machine);
    vm_cache_each(stage->machine, compare_cache, &comparison);
    uint64_t now = vm_frames_free(stage->machine);
    if (now != stage->before.frames_free)
        scheduler_fail("a leak: %llu frames are free where %llu were", (unsigned long long)now,
                       (unsigned long long)stage->before.frames_free);
}

/* ---------------------------------------------------------------- set-up and end */

static void create_machine(struct stage *stage) {
    const char *why = NULL;

    device_open(&stage->swap, DEVICE_PAGES);
    struct vm_machine_config config = { .port = scheduler_port(),
                                        .frames = FRAMES,
                                        .nodes = stage->scenario->nodes,
                                        .cpus = SCHEDULER_CPUS,
                                        .design = stage->design,
                                        .file_index = stage->scenario->file_index,
                                        .fork_copy = stage->scenario->fork_copy,
                                        .swap = &stage->swap.backing,
                                        .swap_pages = DEVICE_PAGES,
                                        .fault_around = PAGES };
    if (vm_machine_create(&config, &stage->machine, &why) != VM_OK)
        scheduler_fail("no machine: %s", why ? why : "no memory");
    stage->before = take_stock(stage->machine);
}

static void set_up(void *context) {
    struct stage *stage = context;

    if (!stage->scenario->toy)
        create_machine(stage);
    if (stage->scenario->set_up)
        stage->scenario->set_up(stage);
}

static void report_difference(const char *difference, void *context) {
    (void)context;
    scheduler_fail("%s", difference);
}

static void end_everything(struct stage *stage) {
    stage_exit(&stage->parent);
    stage_exit(&stage->child);
    stage_exit(&stage->other);
    if (stage->object)
        vm_object_put(stage->object);
    stage->object = NULL;
}

static void judge(void *context) {
    struct stage *stage = context;

    if (!stage->scenario->toy) {
        vm_settle(stage->machine);
        vm_verify(stage->machine, report_difference, NULL);
    }
    if (stage->scenario->judge)
        stage->scenario->judge(stage);
    if (stage->scenario->toy)
        return;
    end_everything(stage);
    require_all_back(stage);
}

static void act(void *context, unsigned actor) {
    struct stage *stage = context;
    stage->scenario->actors[actor](stage);
}

bool stage_prepare(const struct scenario *scenario, const char *design, struct play *play,
                   char why[256]) {
    arena_empty();
    struct stage *stage = arena_allocate(sizeof *stage, 64);
    stage->scenario = scenario;
    stage->design = design;
    if (!scheduler_run_alone(set_up, stage, why))
        return false;
    arena_save();
    *play = (struct play){ .act = act, .judge = judge, .context = stage };
    while (scenario->actors[play->actor_count])
        play->actor_count++;
    return true;
}

/* ---------------------------------------------------------------- calls */

struct vm_space *stage_space(struct stage *stage) {
    struct vm_space *space;
    require(vm_space_create(stage->machine, 1, &space) == VM_OK);
    return space;
}

struct vm_space *stage_fork(struct stage *stage, struct vm_space *parent) {
    struct vm_space *child;
    (void)stage;
    require(vm_fork(parent, 2, &child) == VM_OK);
    return child;
}

void stage_exit(struct vm_space **space) {
    if (*space)
        vm_exit(*space);
    *space = NULL;
}

void map_object(struct vm_space *space, uint64_t address, uint64_t pages, unsigned sharing,
                struct vm_object *object, uint64_t pgoff) {
    uint64_t result;
    require(vm_mmap(space, address, pages * PAGE, RW, sharing | VM_MAP_FIXED, object, pgoff,
                    &result) == VM_OK);
}

void map_anonymous(struct vm_space *space, uint64_t address, uint64_t pages) {
    map_object(space, address, pages, VM_MAP_PRIVATE, NULL, 0);
}

int move(struct vm_space *space, uint64_t from, uint64_t to, uint64_t pages) {
    uint64_t result;
    return vm_mremap(space, from, pages * PAGE, pages * PAGE, VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED,
                     to, &result);
}

int try_put(struct vm_space *space, uint64_t address, uint64_t value) {
    return vm_write(space, address, &value, sizeof value);
}

int try_get(struct vm_space *space, uint64_t address, uint64_t *value) {
    return vm_read(space, address, value, sizeof *value);
}

void put(struct vm_space *space, uint64_t address, uint64_t value) {
    require(try_put(space, address, value) == VM_OK);
}

uint64_t get(struct vm_space *space, uint64_t address) {
    uint64_t value;
    require(try_get(space, address, &value) == VM_OK);
    return value;
}

static void page_out_list(struct stage *stage, struct vm_zone *zone, enum vm_lru_list list) {
    struct vm_page *pages[BATCH];
    unsigned count = vm_lru_isolate(stage->machine, zone, list, BATCH, pages);

    for (unsigned i = 0; i < count; i++)
        vm_pageout_page(stage->machine, pages[i]);
}

void page_out(struct stage *stage) {
    for (unsigned i = 0; i < stage->machine->node_count; i++) {
        page_out_list(stage, &stage->machine->nodes[i].zones[0], VM_LRU_ACTIVE);
        page_out_list(stage, &stage->machine->nodes[i].zones[0], VM_LRU_INACTIVE);
    }
}

void page_out_all(struct stage *stage) {
    page_out(stage);
    vm_settle(stage->machine);
}

/* ---------------------------------------------------------------- looking */

static void note_sighting(const struct vm_mapped_at *place, void *context) {
    struct sightings *sightings = context;

    require(sightings->count < SIGHTINGS_MOST);
    sightings->at[sightings->count++] = *place;
}

struct sightings look(struct stage *stage, uint64_t frame) {
    struct sightings sightings = { 0 };
    vm_page_mappings(stage->machine, frame, note_sighting, &sightings);
    return sightings;
}

bool seen_in(const struct sightings *sightings, const struct vm_space *space) {
    for (unsigned i = 0; i < sightings->count; i++)
        if (sightings->at[i].space == space)
            return true;
    return false;
}
