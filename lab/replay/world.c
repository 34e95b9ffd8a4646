/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world.c - see world.h.
 */
#include "replay/world.h"

#include "command.h"
#include "memory.h"
#include "replay/store.h"

#include <stdlib.h>

static struct world *machine_failed(struct world *world, int result, const char *why) {
    complain("cannot make the machine: %s%s%s", vm_result_text(result), why ? ": " : "",
             why ? why : "");
    world_destroy(world);
    return NULL;
}

struct world *world_create(const struct vm_machine_config *config, const char *trace_name) {
    struct world *world = new_array(1, sizeof(*world));
    world->trace_name = trace_name;
    posix_port_init(&world->port, config->cpus);
    world->port.frames =
        config->contents == VM_CONTENTS_KEPT ? POSIX_FRAMES_HUGE : POSIX_FRAMES_SMALL;
    struct vm_machine_config own = *config;
    own.port = &world->port.port;
    if (own.swap_pages) {
        world->swap = store_new_swap();
        own.swap = store_backing(world->swap);
    }
    const char *why = NULL;
    int result = vm_machine_create(&own, &world->machine, &why);
    if (result != VM_OK) {
        world->machine = NULL;
        return machine_failed(world, result, why);
    }
    if (own.contents == VM_CONTENTS_KEPT)
        world->model = model_create();
    return world;
}

void world_forget_process(struct world_process *process) {
    free(process->name);
    *process = (struct world_process){ 0 };
}

void world_clear(struct world *world) {
    for (size_t i = 0; i < world->process_room; i++)
        if (world->processes[i].space) {
            vm_exit(world->processes[i].space);
            world_forget_process(&world->processes[i]);
        }
    for (size_t i = 0; i < world->object_room; i++)
        if (world->objects[i].object) {
            vm_object_put(world->objects[i].object);
            world->objects[i] = (struct world_object){ 0 };
        }
}

void world_destroy(struct world *world) {
    if (!world)
        return;
    if (world->machine) {
        world_clear(world);
        vm_machine_destroy(world->machine);
    }
    if (world->swap) {
        struct vm_backing *backing = store_backing(world->swap);
        backing->close(backing);
    }
    model_destroy(world->model);
    free(world->processes);
    free(world->objects);
    free(world);
}

/* The places that the event needs in each table. */
static void places_for(const struct trace_event *event, size_t *processes, size_t *objects) {
    *processes = *objects = 0;
    if (event->kind == EVENT_PROCESS)
        *processes = (size_t)event->process + 1;
    else if (event->kind == EVENT_FORK)
        *processes = (size_t)event->child.process + 1;
    else if (event->kind == EVENT_OBJECT)
        *objects = (size_t)event->object + 1;
}

bool world_has_room(const struct world *world, const struct trace_event *event) {
    size_t processes, objects;
    places_for(event, &processes, &objects);
    return processes <= world->process_room && objects <= world->object_room;
}

void world_make_room(struct world *world, const struct trace_event *event) {
    size_t processes, objects;
    if (world_has_room(world, event))
        return;
    places_for(event, &processes, &objects);
    world->processes =
        grow_array(world->processes, &world->process_room, processes, sizeof(*world->processes));
    world->objects =
        grow_array(world->objects, &world->object_room, objects, sizeof(*world->objects));
    if (world->model)
        model_make_room(world->model, world->process_room, world->object_room);
}

/* A run may be as long as the address space, so that after a while they come again. */
uint64_t world_take_versions(struct world *world, uint64_t pages) {
    uint64_t first = world->versions + 1;
    if (pages >= STAMP_FILE_BIT - first)
        first = 1;
    world->versions = first + pages - 1;
    return first;
}

static int by_pid(const void *a, const void *b, void *context) {
    const struct world *world = context;
    uint32_t first = world->processes[*(const uint32_t *)a].pid;
    uint32_t second = world->processes[*(const uint32_t *)b].pid;
    return (first > second) - (first < second);
}

uint32_t *world_processes(const struct world *world, size_t *count) {
    uint32_t *list = new_array(world->process_room, sizeof(*list));
    *count = 0;
    for (size_t i = 0; i < world->process_room; i++)
        if (world->processes[i].space)
            list[(*count)++] = (uint32_t)i;
    if (*count)
        qsort_r(list, *count, sizeof(*list), by_pid, (void *)(uintptr_t)world);
    return list;
}
