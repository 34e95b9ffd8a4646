/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stats.c - what the CPUs counted, added up, and the state of memory beside it.
 */
#include "vm/machine.h"
#include "vm/memory.h"
#include "vm/object/swap.h"
#include "vm/sum.h"

_Static_assert(sizeof(struct vm_stats) % sizeof(uint64_t) == 0,
               "vm_stats is summed as an array of counters");

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
    stats->memory.frames_peak = vm_shares_peak(machine, VM_SUM_FRAMES);
    stats->memory.tables = vm_shares_now(machine, VM_SUM_TABLES);
    stats->memory.tables_peak = vm_shares_peak(machine, VM_SUM_TABLES);
    stats->memory.data_peak = vm_shares_peak(machine, VM_SUM_DATA);
    stats->memory.mapped = vm_shares_now(machine, VM_SUM_MAPPED);
    stats->memory.locked = vm_shares_now(machine, VM_SUM_LOCKED);
    stats->memory.locked_peak = vm_shares_peak(machine, VM_SUM_LOCKED);
    stats->memory.areas = vm_shares_now(machine, VM_SUM_AREAS);
    stats->memory.areas_peak = vm_shares_peak(machine, VM_SUM_AREAS);
    stats->memory.spaces = vm_shares_now(machine, VM_SUM_SPACES);
    stats->memory.spaces_peak = vm_shares_peak(machine, VM_SUM_SPACES);
    stats->memory.swap_used = vm_swap_used(machine);
    stats->memory.swap_peak = vm_swap_used_peak(machine);
}
