/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.c - building a machine room by room, and taking it down in the reverse order.
 */
#include "vm/machine.h"

#include "vm/lock_log.h"
#include "vm/memory.h"
#include "vm/object/swap.h"
#include "vm/reclaim/reclaim.h"

#define DEFAULT_DESIGN       "anon-vma"
#define DEFAULT_AREA_LIMIT   65530
#define DEFAULT_STACK_LIMIT  (UINT64_C(8) << 20)
#define DEFAULT_FAULT_AROUND 16
#define DEFAULT_READAHEAD    8
#define READAHEAD_MAX        64
#define DEFAULT_SWAPPINESS   60
#define FRAMES_MIN           64
#define NODE_FRAMES_MIN      32
#define LOW_FRAMES_MIN       16
#define SWAP_PAGES_MAX       (UINT64_C(1) << 31)

static int design_init(struct vm_machine *machine) {
    return machine->design->init ? machine->design->init(machine) : VM_OK;
}

static bool design_has_chains(const struct vm_machine_config *config) {
    return vm_design_named(config->design ? config->design : DEFAULT_DESIGN)->info.chains;
}

static bool design_chains_objects(const struct vm_machine_config *config) {
    return vm_design_named(config->design ? config->design : DEFAULT_DESIGN)->info.object_chains;
}

static void design_fini(struct vm_machine *machine) {
    if (machine->design->fini)
        machine->design->fini(machine);
}

/* A room's init either succeeds or leaves nothing behind. */
static const struct {
    int (*init)(struct vm_machine *machine);
    void (*fini)(struct vm_machine *machine);
} rooms[] = {
    { vm_lock_logs_init, vm_lock_logs_fini }, { vm_frames_init, vm_frames_fini },
    { vm_objects_init, vm_objects_fini },     { vm_swap_init, vm_swap_fini },
    { vm_spaces_init, vm_spaces_fini },       { design_init, design_fini },
};

#define ROOMS (sizeof rooms / sizeof rooms[0])

/* NULL if the configuration is sound, else what is wrong with it. */
static const char *config_fault(const struct vm_machine_config *config) {
    const struct vm_port *port = config->port;
    unsigned around = config->fault_around, ahead = config->swap_readahead;

    if (!port || !port->allocate || !port->release || !port->frames_reserve ||
        !port->frames_release || !port->clock_ns || !port->panic)
        return "port: allocate, release, frames_reserve, frames_release, clock_ns and panic are "
               "needed";
    if (config->cpus > VM_CPUS_MAX)
        return "cpus: at most 64";
    if (config->cpus > 1 && (!port->cpu || !port->relax || !port->wait || !port->wake))
        return "port: cpu, relax, wait and wake are needed for more than one CPU";
    if (config->frames < FRAMES_MIN || config->frames > VM_FRAMES_MAX)
        return "frames: from 64 to 2^28";
    if (config->nodes > VM_NODES_MAX || config->nodes * NODE_FRAMES_MIN > config->frames)
        return "nodes: at most 16, with at least 32 frames each";
    if (config->low_frames &&
        (config->low_frames < LOW_FRAMES_MIN || config->low_frames > config->frames))
        return "low_frames: 0, or from 16 to all frames";
    if (config->swappiness > 100 && config->swappiness != VM_SWAPPINESS_NONE)
        return "swappiness: at most 100, or VM_SWAPPINESS_NONE";
    if (config->swap_pages > SWAP_PAGES_MAX)
        return "swap_pages: at most 2^31";
    if (config->swap_pages && !config->swap)
        return "swap: swap_pages need a backing";
    if (config->swap && (!config->swap->read || !config->swap->write))
        return "swap: the backing must read and write";
    if (around & (around - 1) || around > VM_FAULT_AROUND_MAX)
        return "fault_around: a power of two, at most 64";
    if (ahead & (ahead - 1) || ahead > READAHEAD_MAX)
        return "swap_readahead: a power of two, at most 64";
    if (!vm_design_named(config->design ? config->design : DEFAULT_DESIGN))
        return "design: no such design";
    if (config->chain_lock != VM_CHAIN_LOCK_PAGE && !design_has_chains(config))
        return "chain_lock: this design has no chains to lock";
    if ((unsigned)config->nonlinear > VM_NONLINEAR_CHAIN)
        return "nonlinear: no such answer";
    if (config->nonlinear == VM_NONLINEAR_CHAIN && !design_chains_objects(config))
        return "nonlinear: this design does not chain the pages of objects";
    if (!vm_index_kind_named(config->file_index))
        return "file_index: no such index";
    return NULL;
}

static void fill_in_defaults(struct vm_machine_config *config) {
    if (!config->cpus)
        config->cpus = 1;
    if (!config->nodes)
        config->nodes = 1;
    if (!config->swappiness)
        config->swappiness = DEFAULT_SWAPPINESS;
    else if (config->swappiness == VM_SWAPPINESS_NONE)
        config->swappiness = 0;
    if (!config->design)
        config->design = DEFAULT_DESIGN;
    if (!config->area_limit)
        config->area_limit = DEFAULT_AREA_LIMIT;
    if (!config->address_limit)
        config->address_limit = UINT64_MAX;
    if (!config->lock_limit)
        config->lock_limit = UINT64_MAX;
    if (!config->stack_limit)
        config->stack_limit = DEFAULT_STACK_LIMIT;
    if (!config->swap_readahead)
        config->swap_readahead = DEFAULT_READAHEAD;
    if (!config->fault_around)
        config->fault_around = DEFAULT_FAULT_AROUND;
    if (!config->swap)
        config->swap_pages = 0;
}

/* What the object index and the design keep in areas and spaces lies behind those structs. */
static void lay_out_records(struct vm_machine *machine) {
    size_t align = sizeof(uint64_t) - 1;
    size_t index_bytes = (machine->index_kind->area_bytes + align) & ~align;

    machine->area_index_offset = sizeof(struct vm_area);
    machine->area_design_offset = machine->area_index_offset + index_bytes;
    machine->space_design_offset = sizeof(struct vm_space);
}

static void fini_rooms(struct vm_machine *machine, size_t rooms_ready) {
    while (rooms_ready > 0)
        rooms[--rooms_ready].fini(machine);
    machine->port->release(machine->port, machine, sizeof *machine);
}

int vm_machine_create(const struct vm_machine_config *config, struct vm_machine **result,
                      const char **why) {
    const char *fault = config_fault(config);
    if (why)
        *why = fault;
    if (fault)
        return VM_EINVAL;

    struct vm_port *port = config->port;
    struct vm_machine *machine = port->allocate(port, sizeof *machine, 64);
    if (!machine)
        return VM_ENOMEM;
    memset(machine, 0, sizeof *machine);
    machine->port = port;
    machine->config = *config;
    fill_in_defaults(&machine->config);
    machine->smp = machine->config.cpus > 1 || machine->config.lock_stats;
    machine->design = vm_design_named(machine->config.design);
    machine->index_kind = vm_index_kind_named(machine->config.file_index);
    machine->shortage = vm_reclaim_direct;
    machine->leaf_made = machine->design->table_made;
    machine->leaf_freed = machine->design->table_freed;
    machine->pages_freed = machine->design->pages_freed;
    for (unsigned i = 0; i < VM_CPUS_MAX; i++)
        vm_link_init(&machine->cpus[i].spaces);
    vm_link_init(&machine->emptied);
    vm_link_init(&machine->objects);
    lay_out_records(machine);

    for (size_t i = 0; i < ROOMS; i++) {
        int error = rooms[i].init(machine);
        if (error) {
            fini_rooms(machine, i);
            return error;
        }
    }
    *result = machine;
    return VM_OK;
}

void vm_machine_destroy(struct vm_machine *machine) {
    struct vm_space *space;
    while ((space = vm_space_first(machine)))
        vm_exit(space);
    while (!vm_link_empty(&machine->objects)) {
        struct vm_object *object = vm_link_entry(machine->objects.next, struct vm_object, link);
        atomic_store_explicit(&object->references, 1, memory_order_relaxed);
        vm_object_put(object);
    }
    fini_rooms(machine, ROOMS);
}
