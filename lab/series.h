/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * series.h - how a run went: samples of memory and counts, at even distances in events.
 *
 * A run's length is not known before its end. So every event is sampled at first, and whenever the
 * series is full each second sample is dropped and the distance doubles: between 100 and 200 samples
 * are left of a long run, and the last is always of its end. Reading the counts is safe while other
 * threads are in the machine; what a sample tells may then be a little apart.
 */
#ifndef OBJRMAP_LAB_SERIES_H
#define OBJRMAP_LAB_SERIES_H

#include <objrmap/stats.h>

enum { SERIES_SAMPLES = 200 };

struct sample {
    uint64_t events; /* of the trace, read so far */
    double seconds;  /* of the run, without checks and questions */
    /* Pages now: the first five and little else are the machine's memory. */
    uint64_t anonymous, file, shm, tables, free, swap, frames;
    uint64_t faults, scanned, freed, swapped_out, swapped_in; /* since the beginning */
};

struct series {
    struct sample samples[SERIES_SAMPLES + 1]; /* one more for the end */
    unsigned count;
    uint64_t distance; /* 0: no series is wanted */
};

/* Faults of every kind. */
uint64_t faults_of(const struct vm_stats *stats);

void sample_take(struct sample *sample, const struct vm_machine *machine, uint64_t events,
                 double seconds);

void series_begin(struct series *series);

/* Whether a sample is to be added after so many events. */
static inline bool series_is_due(const struct series *series, uint64_t events) {
    return series->distance && events >= series->count * series->distance;
}

/* => due */
void series_add(struct series *series, const struct sample *sample);

/* The last one. */
void series_end(struct series *series, const struct sample *sample);

#endif
