/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rig.h - a machine with nothing but its lower rooms, for tests of those rooms alone.
 *
 * The port is the POSIX one, except that it counts the bytes it has lent, can be told to fail, and
 * turns a panic into a return to where the test expects one: rig_panics(rig, call).
 */
#ifndef OBJRMAP_TESTS_FRAME_RIG_H
#define OBJRMAP_TESTS_FRAME_RIG_H

#include <objrmap/posix.h>

#include "vm/frame/cache.h"
#include "vm/frame/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct rig {
    struct posix_port posix; /* first: the port leads back here */
    void *(*allocate)(struct vm_port *port, size_t bytes, size_t alignment);
    void (*release)(struct vm_port *port, void *block, size_t bytes);
    void (*panic)(struct vm_port *port, const char *file, int line, const char *what);
    _Atomic uint64_t lent; /* bytes */
    uint64_t allowed;      /* allocations before the port has no more memory */
    jmp_buf *panic_to;
    char panic_text[256];
    struct vm_machine *machine;
};

static inline void *rig_allocate(struct vm_port *port, size_t bytes, size_t alignment) {
    struct rig *rig = (struct rig *)port;
    if (rig->allowed == 0)
        return NULL;
    if (rig->allowed != UINT64_MAX)
        rig->allowed--;
    void *block = rig->allocate(port, bytes, alignment);
    if (block) {
        memset(block, 0xa5, bytes < 65536 ? bytes : 65536); /* ports need not clear */
        atomic_fetch_add(&rig->lent, bytes);
    }
    return block;
}

static inline void rig_release(struct vm_port *port, void *block, size_t bytes) {
    struct rig *rig = (struct rig *)port;
    atomic_fetch_sub(&rig->lent, bytes);
    rig->release(port, block, bytes);
}

static inline void rig_panic(struct vm_port *port, const char *file, int line, const char *what) {
    struct rig *rig = (struct rig *)port;
    if (!rig->panic_to)
        rig->panic(port, file, line, what);
    snprintf(rig->panic_text, sizeof(rig->panic_text), "%s", what);
    longjmp(*rig->panic_to, 1);
}

/* Whether the statement ends in a panic; rig->panic_text tells why. */
#define rig_panics(rig, statement)                                                                 \
    (setjmp(*((rig)->panic_to = &(jmp_buf){ 0 })) ? ((rig)->panic_to = NULL, true)                 \
                                                  : ((statement), (rig)->panic_to = NULL, false))

struct rig_shape {
    uint64_t frames; /* 0: vm_frames_init() is the test's to call */
    unsigned cpus, nodes;
    uint64_t low_frames;
    enum vm_contents contents;
};

static inline struct rig *rig_create_shaped(struct rig_shape shape) {
    struct rig *rig = calloc(1, sizeof(*rig));
    posix_port_init(&rig->posix, shape.cpus);
    rig->allocate = rig->posix.port.allocate;
    rig->release = rig->posix.port.release;
    rig->panic = rig->posix.port.panic;
    rig->posix.port.allocate = rig_allocate;
    rig->posix.port.release = rig_release;
    rig->posix.port.panic = rig_panic;
    rig->allowed = UINT64_MAX;
    rig->machine = calloc(1, sizeof(*rig->machine));
    rig->machine->port = &rig->posix.port;
    rig->machine->config = (struct vm_machine_config){
        .port = &rig->posix.port,
        .frames = shape.frames,
        .contents = shape.contents,
        .cpus = shape.cpus,
        .nodes = shape.nodes,
        .low_frames = shape.low_frames,
    };
    rig->machine->smp = shape.cpus > 1;
    if (shape.frames)
        assert_int_equal(vm_frames_init(rig->machine), VM_OK);
    return rig;
}

static inline struct rig *rig_create(uint64_t frames, enum vm_contents contents, unsigned cpus) {
    return rig_create_shaped(
        (struct rig_shape){ .frames = frames, .contents = contents, .cpus = cpus, .nodes = 1 });
}

static inline void rig_destroy(struct rig *rig) {
    if (rig->machine->config.frames)
        vm_frames_fini(rig->machine);
    assert_int_equal(rig->lent, 0);
    free(rig->machine);
    free(rig);
}

static inline uint64_t rig_random(uint64_t *state, uint64_t n) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % n;
}

#endif
