/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world.h - a machine with the processes and objects of a trace, and the model of what they must see.
 *
 * Players (player.h) act in it, one for each CPU. A process is one player's at a time; what all of
 * them reach - the tables of processes and objects - grows only while a single one plays.
 */
#ifndef OBJRMAP_LAB_REPLAY_WORLD_H
#define OBJRMAP_LAB_REPLAY_WORLD_H

#include "model/model.h"
#include "trace/event.h"

#include <objrmap/posix.h>
#include <objrmap/vm.h>

struct world_process {
    struct vm_space *space; /* NULL: there is no process of this index */
    uint32_t pid;
    bool locks; /* has called mlock */
    char *name;
};

struct world_object {
    struct vm_object *object;
    struct store *store; /* NULL: shared memory */
    uint32_t id;
};

struct world {
    struct posix_port port;
    struct vm_machine *machine;
    struct store *swap;
    struct model *model; /* NULL: no contents */
    const char *trace_name;

    struct world_process *processes;
    size_t process_room;
    struct world_object *objects;
    size_t object_room;

    uint64_t versions; /* given to writes so far, in the order of the trace: stamp.h */
};

/* `config` without port and swap, which are the world's. NULL after a complaint. */
struct world *world_create(const struct vm_machine_config *config, const char *trace_name);

/* Ends all processes and lets go of all objects; the machine is left, empty. */
void world_clear(struct world *world);

void world_destroy(struct world *world);

/* Whether the tables have a place for the process or object that the event begins; and making it.
 * => making: a single player plays */
bool world_has_room(const struct world *world, const struct trace_event *event);
void world_make_room(struct world *world, const struct trace_event *event);

/* Versions for so many pages' writes: the first one's. */
uint64_t world_take_versions(struct world *world, uint64_t pages);

void world_forget_process(struct world_process *process);

/* Indices of living processes in order of PID; the caller frees the list. */
uint32_t *world_processes(const struct world *world, size_t *count);

#endif
