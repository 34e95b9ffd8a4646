/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * failing.h - a port and a backing that fail when told to, wrapped around ones that do not.
 *
 * For tests: run an operation once with POSIX_FAIL_NEVER and read `calls`, then run it again for
 * each of those calls with that one failing. Plans may be changed between calls into the library.
 */
#ifndef OBJRMAP_PORT_POSIX_FAILING_H
#define OBJRMAP_PORT_POSIX_FAILING_H

#include <objrmap/port.h>

#include <stdbool.h>

enum failing_when { FAIL_NEVER, FAIL_ONCE, FAIL_FROM_THERE_ON };

/* One kind of call. The call number `at`, counted from 0, fails; with FROM_THERE_ON all later too. */
struct failing_plan {
    enum failing_when when;
    uint64_t at;
    _Atomic uint64_t calls;
    _Atomic uint64_t failed;
};

/* Starts counting again. */
void failing_plan_set(struct failing_plan *plan, enum failing_when when, uint64_t at);

struct failing_port {
    struct vm_port port;
    struct vm_port *inner;
    struct failing_plan allocate;
    struct failing_plan frames;
};

/* Hand `&failing->port` to the machine; `inner` does the work. */
void failing_port_init(struct failing_port *failing, struct vm_port *inner);

struct failing_backing {
    struct vm_backing backing;
    struct vm_backing *inner;
    struct failing_plan read;
    struct failing_plan write;
};

/* Closing it closes the inner one. It is the caller's memory. */
void failing_backing_init(struct failing_backing *failing, struct vm_backing *inner);

#endif
