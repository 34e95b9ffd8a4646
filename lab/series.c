/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * series.c - see series.h.
 */
#include "series.h"

uint64_t faults_of(const struct vm_stats *stats) {
    return stats->faults.zero + stats->faults.first_write + stats->faults.file +
           stats->faults.shared_write + stats->faults.cow + stats->faults.reuse +
           stats->faults.swap_in + stats->faults.stack + stats->faults.spurious +
           stats->faults.segv + stats->faults.bus + stats->faults.oom;
}

/* Shares of several CPUs are read one after the other: a page may seem to be gone before it came. */
static uint64_t pages(uint64_t count, uint64_t frames) {
    return (int64_t)count < 0 ? 0 : count < frames ? count : frames;
}

void sample_take(struct sample *sample, const struct vm_machine *machine, uint64_t events,
                 double seconds) {
    struct vm_stats stats;
    vm_stats_read(machine, &stats);
    uint64_t frames = stats.memory.frames_total;
    *sample = (struct sample){
        .events = events,
        .seconds = seconds,
        .anonymous = pages(stats.memory.anonymous, frames),
        .file = pages(stats.memory.file, frames),
        .shm = pages(stats.memory.shm, frames),
        .tables = stats.memory.tables,
        .free = pages(stats.memory.frames_free, frames),
        .swap = stats.memory.swap_used,
        .frames = frames,
        .faults = faults_of(&stats),
        .scanned = stats.reclaim.scanned,
        .freed = stats.reclaim.freed,
        .swapped_out = stats.reclaim.swapped_out,
        .swapped_in = stats.reclaim.swapped_in,
    };
}

void series_begin(struct series *series) {
    *series = (struct series){ .distance = 1 };
}

void series_add(struct series *series, const struct sample *sample) {
    series->samples[series->count++] = *sample;
    if (series->count < SERIES_SAMPLES)
        return;
    for (unsigned i = 0; i < SERIES_SAMPLES / 2; i++)
        series->samples[i] = series->samples[2 * i];
    series->count = SERIES_SAMPLES / 2;
    series->distance *= 2;
}

void series_end(struct series *series, const struct sample *sample) {
    if (series->count && series->samples[series->count - 1].events == sample->events)
        series->count--;
    series->samples[series->count++] = *sample;
}
