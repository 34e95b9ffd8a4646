/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gate.c - see gate.h.
 */
#include "gate.h"

#include "replay/store.h"

#include "vm/frame/cache.h"
#include "vm/frame/frame.h"

#include <stdio.h>
#include <stdlib.h>

enum { DEVICES = 64 };

static struct {
    bool open;
    enum gate_kind kind;
    enum gate_when when;
    uint64_t at;
    uint64_t calls[GATE_KINDS]; /* of `kind`: since gate_plan() */
    uint64_t failed;
    void *(*port_allocate)(struct vm_port *port, size_t bytes, size_t alignment);
    struct gate_device devices[DEVICES];
    size_t device_count;
    gate_closing *closing;
    void *context;
    uint32_t woken; /* nodes, one bit each */
} gate;

const char *gate_kind_name(enum gate_kind kind) {
    static const char *const names[GATE_KINDS] = {
        [GATE_RECORD] = "record",         [GATE_BLOCK] = "block",
        [GATE_FRAME] = "frame",           [GATE_SWAP_READ] = "swap-read",
        [GATE_SWAP_WRITE] = "swap-write", [GATE_FILE_READ] = "file-read",
        [GATE_FILE_WRITE] = "file-write",
    };
    return names[kind];
}

static bool fails(enum gate_kind kind) {
    if (!gate.open)
        return false;
    uint64_t call = gate.calls[kind]++;
    bool now = kind == gate.kind && ((gate.when == GATE_ONCE && call == gate.at) ||
                                     (gate.when == GATE_FROM_THERE_ON && call >= gate.at));
    gate.failed += now;
    return now;
}

void gate_plan(enum gate_kind kind, enum gate_when when, uint64_t at) {
    gate.kind = kind;
    gate.when = when;
    gate.at = at;
    gate.calls[kind] = 0;
}

bool gate_armed(void) {
    return gate.when != GATE_NEVER;
}

void gate_open(void) {
    gate.failed = 0;
    gate.open = true;
}

void gate_shut(void) {
    gate.open = false;
}

uint64_t gate_calls(enum gate_kind kind) {
    return gate.calls[kind];
}

uint64_t gate_failed(void) {
    return gate.failed;
}

enum gate_kind gate_failing(void) {
    return gate.kind;
}

/* ---------------------------------------------------------------- records and frames */

/* The linker's: __wrap_f takes the calls of f, __real_f is f. */
void *__real_vm_cache_allocate(struct vm_machine *machine, struct vm_cache *cache);
void *__wrap_vm_cache_allocate(struct vm_machine *machine, struct vm_cache *cache);
void *__real_vm_cache_allocate_bytes(struct vm_machine *machine, struct vm_cache *cache,
                                     size_t bytes, size_t alignment);
void *__wrap_vm_cache_allocate_bytes(struct vm_machine *machine, struct vm_cache *cache,
                                     size_t bytes, size_t alignment);
struct vm_page *__real_vm_frame_alloc(struct vm_machine *machine, enum vm_frame_want want);
struct vm_page *__wrap_vm_frame_alloc(struct vm_machine *machine, enum vm_frame_want want);
struct vm_page *__real_vm_frame_alloc_on(struct vm_machine *machine, unsigned node,
                                         enum vm_frame_want want);
struct vm_page *__wrap_vm_frame_alloc_on(struct vm_machine *machine, unsigned node,
                                         enum vm_frame_want want);
struct vm_page *__real_vm_frame_alloc_table(struct vm_machine *machine);
struct vm_page *__wrap_vm_frame_alloc_table(struct vm_machine *machine);

void *__wrap_vm_cache_allocate(struct vm_machine *machine, struct vm_cache *cache) {
    return fails(GATE_RECORD) ? NULL : __real_vm_cache_allocate(machine, cache);
}

void *__wrap_vm_cache_allocate_bytes(struct vm_machine *machine, struct vm_cache *cache,
                                     size_t bytes, size_t alignment) {
    return fails(GATE_RECORD) ? NULL
                              : __real_vm_cache_allocate_bytes(machine, cache, bytes, alignment);
}

struct vm_page *__wrap_vm_frame_alloc(struct vm_machine *machine, enum vm_frame_want want) {
    return fails(GATE_FRAME) ? NULL : __real_vm_frame_alloc(machine, want);
}

struct vm_page *__wrap_vm_frame_alloc_on(struct vm_machine *machine, unsigned node,
                                         enum vm_frame_want want) {
    return fails(GATE_FRAME) ? NULL : __real_vm_frame_alloc_on(machine, node, want);
}

struct vm_page *__wrap_vm_frame_alloc_table(struct vm_machine *machine) {
    return fails(GATE_FRAME) ? NULL : __real_vm_frame_alloc_table(machine);
}

/* ---------------------------------------------------------------- the port */

static void *allocate(struct vm_port *port, size_t bytes, size_t alignment) {
    return fails(GATE_BLOCK) ? NULL : gate.port_allocate(port, bytes, alignment);
}

static void wake_reclaim(struct vm_port *port, unsigned node) {
    (void)port;
    gate.woken |= 1u << node;
}

void gate_listen(struct player *player) {
    player->world->port.port.wake_reclaim = wake_reclaim;
}

bool gate_woken(unsigned *node) {
    if (!gate.woken)
        return false;
    for (*node = 0; !(gate.woken >> *node & 1);)
        ++*node;
    gate.woken &= ~(1u << *node);
    return true;
}

/* ---------------------------------------------------------------- devices */

static struct gate_device *device_of(const struct vm_backing *backing) {
    for (size_t i = 0; i < gate.device_count; i++)
        if (gate.devices[i].backing == backing)
            return &gate.devices[i];
    abort();
}

bool gate_has_lost(const struct gate_device *device, uint64_t page) {
    for (size_t i = 0; i < device->lost_count; i++)
        if (device->lost[i] == page)
            return true;
    return false;
}

/* Of swap nobody asks. */
static void lose(struct gate_device *device, uint64_t page) {
    device->told = false;
    if (!device->object || gate_has_lost(device, page))
        return;
    if (device->lost_count == GATE_LOST_PAGES) {
        fprintf(stderr, "fault-matrix: more than %d lost pages: make GATE_LOST_PAGES larger\n",
                GATE_LOST_PAGES);
        exit(2);
    }
    device->lost[device->lost_count++] = page;
}

static void have(struct gate_device *device, uint64_t page) {
    for (size_t i = 0; i < device->lost_count; i++)
        if (device->lost[i] == page)
            device->lost[i] = device->lost[--device->lost_count];
}

static int read_page(struct vm_backing *backing, uint64_t page, void *data) {
    struct gate_device *device = device_of(backing);
    return fails(device->read) ? -1 : device->inner.read(backing, page, data);
}

static int write_page(struct vm_backing *backing, uint64_t page, const void *data) {
    struct gate_device *device = device_of(backing);
    if (fails(device->write)) {
        lose(device, page);
        return -1;
    }
    have(device, page);
    return device->inner.write(backing, page, data);
}

static int write_run(struct vm_backing *backing, uint64_t page, unsigned count,
                     const void *const *data) {
    struct gate_device *device = device_of(backing);
    bool failed = fails(device->write);
    for (unsigned i = 0; i < count; i++)
        (failed ? lose : have)(device, page + i);
    return failed ? -1 : device->inner.write_run(backing, page, count, data);
}

static void close_device(struct vm_backing *backing) {
    struct gate_device *device = device_of(backing);
    if (gate.closing && device->write == GATE_FILE_WRITE)
        gate.closing(device, gate.context);
    device->backing = NULL;
    device->inner.close(backing);
}

int gate_peek(struct gate_device *device, uint64_t page, void *data) {
    return device->inner.read(device->backing, page, data);
}

static struct gate_device *add_device(struct vm_backing *backing, enum gate_kind read,
                                      enum gate_kind write) {
    if (gate.device_count == DEVICES) {
        fprintf(stderr, "fault-matrix: more than %d files: make DEVICES larger\n", DEVICES);
        exit(2);
    }
    struct gate_device *device = &gate.devices[gate.device_count++];
    *device = (struct gate_device){
        .backing = backing, .inner = *backing, .read = read, .write = write, .told = true
    };
    backing->read = read_page;
    backing->write = write_page;
    backing->write_run = write_run;
    backing->close = close_device;
    return device;
}

void gate_begin(struct player *player, gate_closing *closing, void *context) {
    gate.open = false;
    gate.when = GATE_NEVER;
    gate.device_count = 0;
    gate.woken = 0;
    gate.closing = closing;
    gate.context = context;
    gate.port_allocate = player->world->port.port.allocate;
    player->world->port.port.allocate = allocate;
    for (enum gate_kind kind = 0; kind < GATE_KINDS; kind++)
        gate.calls[kind] = 0;
    if (player->world->swap)
        add_device(store_backing(player->world->swap), GATE_SWAP_READ, GATE_SWAP_WRITE);
}

void gate_file(struct player *player, uint32_t index) {
    struct store *store = player->world->objects[index].store;
    if (!store || store_backing(store)->read == read_page)
        return;
    struct gate_device *device = add_device(store_backing(store), GATE_FILE_READ, GATE_FILE_WRITE);
    device->object = player->world->objects[index].object;
    device->index = index;
}

struct gate_device *gate_device_of(const struct vm_object *object) {
    for (size_t i = 0; i < gate.device_count; i++)
        if (gate.devices[i].backing && gate.devices[i].object == object)
            return &gate.devices[i];
    return NULL;
}
