/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stats.c - what the CPUs counted, added up, and the state of memory beside it.
 */
#include "vm/machine.h"
#include "vm/memory.h"
#include "vm/object/swap.h"

_Static_assert(sizeof(struct vm_stats) % sizeof(uint64_t) == 0,
               "vm_stats is summed as an array of counters");

static uint64_t now(const _Atomic uint64_t *sum) {
    return atomic_load_explicit(sum, memory_order_relaxed);
}

static void add_counts(struct vm_stats *sum, const struct vm_stats *share) {
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)share;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

void vm_stats_read(const struct vm_machine *machine, struct vm_stats *stats) {
    memset(stats, 0, sizeof *stats);
    for (unsigned i = 0; i < machine->config.cpus; i++)
        add_counts(stats, &machine->cpus[i].counts);

    stats->memory.frames_total = machine->config.frames;
    stats->memory.frames_free = vm_frames_free(machine);
    stats->memory.frames_peak = now(&machine->frames_peak);
    stats->memory.tables = now(&machine->tables);
    stats->memory.tables_peak = now(&machine->tables_peak);
    stats->memory.data_peak = now(&machine->data_peak);
    stats->memory.mapped = vm_mapped_pages(machine);
    stats->memory.locked = now(&machine->locked);
    stats->memory.locked_peak = now(&machine->locked_peak);
    stats->memory.areas = now(&machine->area_count);
    stats->memory.areas_peak = now(&machine->areas_peak);
    stats->memory.spaces = now(&machine->space_count);
    stats->memory.spaces_peak = now(&machine->spaces_peak);
    stats->memory.swap_used = vm_swap_used(machine);
    stats->memory.swap_peak = vm_swap_used_peak(machine);
}
