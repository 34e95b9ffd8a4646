/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * failing.c - see failing.h.
 */
#include "failing.h"

#include <errno.h>

void failing_plan_set(struct failing_plan *plan, enum failing_when when, uint64_t at) {
    plan->when = when;
    plan->at = at;
    atomic_store(&plan->calls, 0);
    atomic_store(&plan->failed, 0);
}

static bool fails(struct failing_plan *plan) {
    uint64_t call = atomic_fetch_add(&plan->calls, 1);
    bool now = (plan->when == FAIL_ONCE && call == plan->at) ||
               (plan->when == FAIL_FROM_THERE_ON && call >= plan->at);
    if (now)
        atomic_fetch_add(&plan->failed, 1);
    return now;
}

/* ---------------------------------------------------------------- the port */

static struct failing_port *failing_port_of(struct vm_port *port) {
    return (struct failing_port *)port;
}

static struct vm_port *inner_of(struct vm_port *port) {
    return failing_port_of(port)->inner;
}

static void *allocate(struct vm_port *port, size_t bytes, size_t alignment) {
    if (fails(&failing_port_of(port)->allocate))
        return NULL;
    return inner_of(port)->allocate(inner_of(port), bytes, alignment);
}

static void release(struct vm_port *port, void *block, size_t bytes) {
    inner_of(port)->release(inner_of(port), block, bytes);
}

static void *frames_reserve(struct vm_port *port, uint64_t bytes) {
    if (fails(&failing_port_of(port)->frames))
        return NULL;
    return inner_of(port)->frames_reserve(inner_of(port), bytes);
}

static void frames_release(struct vm_port *port, void *frames, uint64_t bytes) {
    inner_of(port)->frames_release(inner_of(port), frames, bytes);
}

static uint64_t clock_ns(struct vm_port *port) {
    return inner_of(port)->clock_ns(inner_of(port));
}

static unsigned cpu(struct vm_port *port) {
    return inner_of(port)->cpu(inner_of(port));
}

static void relax(struct vm_port *port) {
    inner_of(port)->relax(inner_of(port));
}

static void wait(struct vm_port *port, _Atomic uint32_t *word, uint32_t value) {
    inner_of(port)->wait(inner_of(port), word, value);
}

static void wake(struct vm_port *port, _Atomic uint32_t *word) {
    inner_of(port)->wake(inner_of(port), word);
}

static void tlb_flush(struct vm_port *port, uint64_t space_id, uint64_t start, uint64_t end) {
    inner_of(port)->tlb_flush(inner_of(port), space_id, start, end);
}

static void panic(struct vm_port *port, const char *file, int line, const char *what) {
    inner_of(port)->panic(inner_of(port), file, line, what);
}

void failing_port_init(struct failing_port *failing, struct vm_port *inner) {
    *failing = (struct failing_port){
        .port = {
            .allocate = allocate,
            .release = release,
            .frames_reserve = frames_reserve,
            .frames_release = frames_release,
            .clock_ns = clock_ns,
            .cpu = inner->cpu ? cpu : NULL,
            .relax = inner->relax ? relax : NULL,
            .wait = inner->wait ? wait : NULL,
            .wake = inner->wake ? wake : NULL,
            .tlb_flush = inner->tlb_flush ? tlb_flush : NULL,
            .panic = panic,
        },
        .inner = inner,
    };
}

/* ---------------------------------------------------------------- the backing */

static struct failing_backing *failing_backing_of(struct vm_backing *backing) {
    return (struct failing_backing *)backing;
}

static int backing_read(struct vm_backing *backing, uint64_t page, void *data) {
    struct failing_backing *failing = failing_backing_of(backing);
    return fails(&failing->read) ? -EIO : failing->inner->read(failing->inner, page, data);
}

static int backing_write(struct vm_backing *backing, uint64_t page, const void *data) {
    struct failing_backing *failing = failing_backing_of(backing);
    return fails(&failing->write) ? -EIO : failing->inner->write(failing->inner, page, data);
}

static int backing_write_run(struct vm_backing *backing, uint64_t page, unsigned count,
                             const void *const *data) {
    struct failing_backing *failing = failing_backing_of(backing);
    return fails(&failing->write) ? -EIO
                                  : failing->inner->write_run(failing->inner, page, count, data);
}

static int64_t backing_size(struct vm_backing *backing) {
    struct vm_backing *inner = failing_backing_of(backing)->inner;
    return inner->size(inner);
}

static void backing_close(struct vm_backing *backing) {
    struct vm_backing *inner = failing_backing_of(backing)->inner;
    inner->close(inner);
}

void failing_backing_init(struct failing_backing *failing, struct vm_backing *inner) {
    *failing = (struct failing_backing){
        .backing = {
            .read = backing_read,
            .write = inner->write ? backing_write : NULL,
            .size = backing_size,
            .close = inner->close ? backing_close : NULL,
            .write_run = inner->write_run ? backing_write_run : NULL,
        },
        .inner = inner,
    };
}
