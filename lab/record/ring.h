/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's event rings: one a CPU, into which all events of that CPU go, read in one order of
 * time.
 *
 * Every record carries a CLOCK_MONOTONIC time, and within a ring times never go back. What
 * separates rings is that a CPU may be about to publish a record older than one already seen in
 * another ring; rings_drain() therefore hands on only what is older than the settling time, which
 * is far longer than a CPU needs from taking the time to publishing. Should a record come later
 * still, it is counted as disordered, never dropped.
 *
 * Single thread. The rings never wait for a slow reader: what does not fit is lost, and counted.
 */
#ifndef OBJRMAP_LAB_RECORD_RING_H
#define OBJRMAP_LAB_RECORD_RING_H

#include <linux/perf_event.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tracepoint.h"

struct ring;

/* Whom the events follow: the members of a control group, or a process and all it forks. */
enum ring_target { RING_CGROUP, RING_PROCESS };
enum ring_settling { RING_SETTLED, RING_EVERYTHING };

struct rings {
    struct ring *list;
    size_t count;
    size_t bytes; /* of each ring's data */
    const struct tracepoints *points;
    struct pollfd *polls; /* one a ring and one more */
    uint64_t last_time;
    uint64_t disordered;
};

/* What every record starts with, and the time and the CPU it was taken at. */
struct ring_record {
    const struct perf_event_header *header;
    uint64_t time;
    unsigned cpu;
    /* Of a sample, its own; of any other record, the task that was running then. */
    uint32_t pid;
    uint32_t tid;
    /* A tracepoint's fields; NULL in other records. */
    const unsigned char *raw;
    uint32_t raw_bytes;
};

typedef void ring_reader(void *context, const struct ring_record *record);

/*
 * Opens all events, disabled, on all CPUs; target is a control group's directory or a process id.
 * bytes: a power of two, at least a page. 0, or -1 after having said on stderr what to do. Close
 * what is half open with rings_close().
 */
int rings_open(struct rings *rings, const struct tracepoints *points, enum ring_target kind,
               int target, size_t bytes);
void rings_enable(struct rings *rings);
void rings_disable(struct rings *rings);
/* Returns when a ring has filled some way, when other_fd (unless negative) can be read, or after
 * the time. */
void rings_wait(struct rings *rings, int other_fd, int milliseconds);
void rings_drain(struct rings *rings, enum ring_settling settling, ring_reader *reader,
                 void *context);
/* How often the kernel counted a tracepoint on all CPUs, whether or not the record found room. */
uint64_t rings_kernel_count(const struct rings *rings, size_t point);
void rings_close(struct rings *rings);

#endif
