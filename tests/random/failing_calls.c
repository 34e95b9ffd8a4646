/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * failing_calls.c - see failing_calls.h.
 */
#include "failing_calls.h"

#include "replay/store.h"

struct call_kind {
    uint64_t nth, calls;
};

static struct {
    bool on;
    uint64_t failed;
    struct call_kind allocate, read, write;
    void *(*port_allocate)(struct vm_port *port, size_t bytes, size_t alignment);
    struct vm_backing store; /* all stores have the same functions */
} now;

static bool count_failure(bool fails) {
    now.failed += fails;
    return fails;
}

static bool nth_fails(struct call_kind *kind) {
    return now.on && kind->nth && count_failure(++kind->calls % kind->nth == 0);
}

/* The library takes records from its port many at a time, so that a single failure would soon be
 * over: n allocations succeed, the next n fail. */
static bool allocation_fails(struct call_kind *kind) {
    return now.on && kind->nth && count_failure(kind->calls++ / kind->nth % 2);
}

static void *allocate(struct vm_port *port, size_t bytes, size_t alignment) {
    return allocation_fails(&now.allocate) ? NULL : now.port_allocate(port, bytes, alignment);
}

static int read_page(struct vm_backing *backing, uint64_t page, void *data) {
    return nth_fails(&now.read) ? -1 : now.store.read(backing, page, data);
}

static int write_page(struct vm_backing *backing, uint64_t page, const void *data) {
    return nth_fails(&now.write) ? -1 : now.store.write(backing, page, data);
}

static int write_run(struct vm_backing *backing, uint64_t page, unsigned count,
                     const void *const *data) {
    return nth_fails(&now.write) ? -1 : now.store.write_run(backing, page, count, data);
}

void failing_calls_in_store(struct store *store) {
    struct vm_backing *backing = store_backing(store);
    if (backing->read == read_page)
        return;
    now.store = *backing;
    backing->read = read_page;
    backing->write = write_page;
    backing->write_run = write_run;
}

void failing_calls_begin(const struct failures *failures, struct player *player) {
    now.on = false;
    now.allocate = (struct call_kind){ failures->allocate, 0 };
    now.read = (struct call_kind){ failures->read, 0 };
    now.write = (struct call_kind){ failures->write, 0 };
    now.port_allocate = player->world->port.port.allocate;
    player->world->port.port.allocate = allocate;
    if (player->world->swap)
        failing_calls_in_store(player->world->swap);
}

void failing_calls_on(void) {
    now.failed = 0;
    now.on = true;
}

uint64_t failing_calls_off(void) {
    now.on = false;
    return now.failed;
}
