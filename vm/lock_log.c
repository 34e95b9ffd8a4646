/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock_log.c - see lock_log.h.
 */
#include "vm/lock_log.h"

#include "vm/machine.h"
#include "vm/memory.h"

static size_t logs_bytes(const struct vm_machine *machine) {
    return machine->config.cpus * sizeof(struct vm_lock_log);
}

int vm_lock_logs_init(struct vm_machine *machine) {
    if (!machine->config.lock_stats)
        return VM_OK;
    machine->lock_logs = machine->port->allocate(machine->port, logs_bytes(machine), 64);
    if (!machine->lock_logs)
        return VM_ENOMEM;
    memset(machine->lock_logs, 0, logs_bytes(machine));
    return VM_OK;
}

void vm_lock_logs_fini(struct vm_machine *machine) {
    struct vm_lock_log *logs = machine->lock_logs;

    machine->lock_logs = NULL;
    if (logs)
        machine->port->release(machine->port, logs, logs_bytes(machine));
}

static struct vm_lock_log *this_log(struct vm_machine *machine) {
    return &machine->lock_logs[vm_cpu_number(machine)];
}

uint64_t vm_lock_log_now(struct vm_machine *machine) {
    return machine->lock_logs ? machine->port->clock_ns(machine->port) : 0;
}

static void add_time(uint64_t *sum, uint64_t *most, uint64_t ns) {
    *sum += ns;
    if (ns > *most)
        *most = ns;
}

void vm_lock_log_taken(struct vm_machine *machine, const void *lock, enum vm_rank rank,
                       enum vm_lock_use use, uint64_t waited_since, bool handed_over) {
    if (!machine->lock_logs)
        return;
    struct vm_lock_log *log = this_log(machine);
    struct vm_lock_counts *counts = &log->counts[rank][use];
    uint64_t now = machine->port->clock_ns(machine->port);

    counts->acquired++;
    counts->handed_over += handed_over;
    if (waited_since) {
        counts->contended++;
        add_time(&counts->wait_ns, &counts->wait_most_ns, now - waited_since);
    }
    if (log->held_count < VM_LOCKS_HELD_MOST) {
        log->held[log->held_count].lock = lock;
        log->held[log->held_count].since = now;
        log->held_count++;
    }
}

void vm_lock_log_released(struct vm_machine *machine, const void *lock, enum vm_rank rank,
                          enum vm_lock_use use) {
    if (!machine->lock_logs)
        return;
    struct vm_lock_log *log = this_log(machine);
    struct vm_lock_counts *counts = &log->counts[rank][use];
    unsigned i = log->held_count;

    while (i > 0 && log->held[i - 1].lock != lock)
        i--;
    if (i == 0)
        return;
    add_time(&counts->hold_ns, &counts->hold_most_ns,
             machine->port->clock_ns(machine->port) - log->held[i - 1].since);
    log->held[i - 1] = log->held[--log->held_count];
}

/* ---------------------------------------------------------------- reading */

static uint64_t most(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static struct vm_lock_view sum_over_cpus(const struct vm_machine *machine, enum vm_rank rank,
                                         enum vm_lock_use use) {
    struct vm_lock_view view = { .name = vm_rank_name(rank), .shared = use == VM_LOCK_SHARED };

    for (unsigned cpu = 0; cpu < machine->config.cpus; cpu++) {
        const struct vm_lock_counts *counts = &machine->lock_logs[cpu].counts[rank][use];
        view.acquired += counts->acquired;
        view.contended += counts->contended;
        view.handed_over += counts->handed_over;
        view.hold_ns += counts->hold_ns;
        view.wait_ns += counts->wait_ns;
        view.hold_most_ns = most(view.hold_most_ns, counts->hold_most_ns);
        view.wait_most_ns = most(view.wait_most_ns, counts->wait_most_ns);
    }
    return view;
}

void vm_lock_each(const struct vm_machine *machine,
                  void (*visit)(const struct vm_lock_view *lock, void *context), void *context) {
    if (!machine->lock_logs)
        return;
    for (unsigned rank = 0; rank < VM_RANKS; rank++)
        for (unsigned use = 0; use < VM_LOCK_USES; use++) {
            struct vm_lock_view view =
                sum_over_cpus(machine, (enum vm_rank)rank, (enum vm_lock_use)use);
            if (view.acquired)
                visit(&view, context);
        }
}
