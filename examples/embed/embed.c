/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * embed.c - a complete embedder: a port, a machine, a file, two processes that share memory.
 *
 * The program plays an operating system with one CPU. It maps a file and some memory, forks, lets
 * parent and child write, and asks after each step who maps a page.
 */
#include <objrmap/rmap.h>
#include <objrmap/stats.h>
#include <objrmap/vm.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Step 1: fill in a port. One CPU: the functions for waiting and for CPU numbers stay NULL. */

struct toy_port {
    struct vm_port port; /* first, so that a pointer to it is a pointer to the toy */
    size_t bytes_taken;
};

static void *toy_allocate(struct vm_port *port, size_t bytes, size_t alignment) {
    void *block = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (block)
        ((struct toy_port *)port)->bytes_taken += bytes;
    return block;
}

static void toy_release(struct vm_port *port, void *block, size_t bytes) {
    ((struct toy_port *)port)->bytes_taken -= bytes;
    free(block);
}

static void *toy_frames_reserve(struct vm_port *port, uint64_t bytes) {
    (void)port;
    void *frames = aligned_alloc(VM_PAGE_SIZE, (size_t)bytes);
    return frames ? memset(frames, 0, (size_t)bytes) : NULL;
}

static void toy_frames_release(struct vm_port *port, void *frames, uint64_t bytes) {
    (void)port;
    (void)bytes;
    free(frames);
}

static uint64_t toy_clock(struct vm_port *port) {
    (void)port;
    static uint64_t ticks; /* only statistics look at it */
    return ++ticks;
}

static void toy_panic(struct vm_port *port, const char *file, int line, const char *what) {
    (void)port;
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    abort();
}

/* A "disk" with one file on it. Real ones read sectors here. */
static char file_contents[2 * 4096] = "#!/bin/program";

static int toy_read(struct vm_backing *backing, uint64_t page, void *data) {
    (void)backing;
    memcpy(data, file_contents + page * VM_PAGE_SIZE, VM_PAGE_SIZE);
    return 0;
}

static int64_t toy_size(struct vm_backing *backing) {
    (void)backing;
    return sizeof(file_contents);
}

/* ---- What the program prints. */

static void must(int result, const char *call) {
    if (result == VM_OK)
        return;
    fprintf(stderr, "FAILED: %s: %s\n", call, vm_result_text(result));
    exit(1);
}

static void print_place(const struct vm_mapped_at *place, void *context) {
    (void)context;
    printf("      process %" PRIu64 " at %#" PRIx64 "%s%s\n", vm_space_id(place->space),
           place->address, place->writable ? ", writable" : ", read only",
           place->dirty ? ", dirty" : "");
}

/* Who maps the page that the space has at this address? Asks the reverse map. */
static void who_maps(struct vm_machine *machine, struct vm_space *space, uint64_t address,
                     const char *what, uint64_t expected) {
    uint64_t frame = vm_frame_at(space, address);
    printf("    %s is in frame %" PRIu64 ", mapped by\n", what, frame);
    if (vm_page_mappings(machine, frame, print_place, NULL) != expected) {
        fprintf(stderr, "FAILED: expected %" PRIu64 " places\n", expected);
        exit(1);
    }
}

/* ---- Step 4: handle faults. The CPU found no usable entry; say what becomes of the program. */

static const char *page_fault(struct vm_space *space, uint64_t address, enum vm_access access) {
    switch (vm_fault(space, address, access)) {
    case VM_OK:
        return "served, the instruction runs again";
    case VM_SIGSEGV:
        return "SIGSEGV, the program dies";
    case VM_SIGBUS:
        return "SIGBUS, the program dies";
    default:
        return "out of memory, somebody dies";
    }
}

static uint64_t map(struct vm_space *space, struct vm_object *object, unsigned protection) {
    uint64_t address = 0;
    must(vm_mmap(space, 0, 2 * VM_PAGE_SIZE, protection, VM_MAP_PRIVATE, object, 0, &address),
         "vm_mmap");
    return address;
}

int main(void) {
    struct toy_port toy = { .port = { .allocate = toy_allocate,
                                      .release = toy_release,
                                      .frames_reserve = toy_frames_reserve,
                                      .frames_release = toy_frames_release,
                                      .clock_ns = toy_clock,
                                      .panic = toy_panic } };
    struct vm_backing disk_file = { .read = toy_read, .size = toy_size };

    /* ---- Step 2: create a machine. 1 MiB of memory, the default reverse-mapping design. */
    struct vm_machine_config config = { .port = &toy.port, .frames = 256 };
    struct vm_machine *machine;
    const char *why = "";
    if (vm_machine_create(&config, &machine, &why) != VM_OK) {
        fprintf(stderr, "FAILED: no machine: %s\n", why);
        return 1;
    }

    /* ---- Step 3: create spaces, and map a program and its memory. */
    struct vm_space *parent, *child;
    struct vm_object *program;
    must(vm_space_create(machine, 100, &parent), "vm_space_create");
    must(vm_object_open(machine, &disk_file, 1, &program), "vm_object_open");
    uint64_t text = map(parent, program, VM_PROT_READ | VM_PROT_EXEC);
    uint64_t memory = map(parent, NULL, VM_PROT_READ | VM_PROT_WRITE);
    vm_object_put(program); /* the mapping holds it */

    printf("Process 100 runs its program, and writes to memory\n");
    printf("    fetch from %#" PRIx64 ": %s\n", text, page_fault(parent, text, VM_EXECUTE));
    must(vm_write(parent, memory, "from the parent", 16), "vm_write"); /* faults by itself */
    who_maps(machine, parent, memory, "the written page", 1);

    printf("It forks process 101: both see the same frames\n");
    must(vm_fork(parent, 101, &child), "vm_fork");
    must(vm_touch(child, text, 1, VM_EXECUTE, NULL), "vm_touch");
    who_maps(machine, child, text, "the program", 2);
    who_maps(machine, child, memory, "the written page", 2);

    printf("The child writes: it gets a copy, and the parent keeps what it had\n");
    must(vm_write(child, memory, "from the child", 15), "vm_write");
    who_maps(machine, parent, memory, "the parent's page", 1);
    who_maps(machine, child, memory, "the child's page", 1);
    char seen[16];
    must(vm_read(parent, memory, seen, sizeof(seen)), "vm_read");
    printf("    the parent reads: \"%s\"\n", seen);

    printf("The child writes to address 0x10, where nothing is mapped\n");
    printf("    write: %s\n", page_fault(child, 0x10, VM_WRITE));
    vm_exit(child);

    struct vm_stats stats;
    vm_stats_read(machine, &stats);
    printf("Faults: %" PRIu64 " first writes, %" PRIu64 " copies on write, %" PRIu64
           " from the file, %" PRIu64 " segmentation violations\n",
           stats.faults.first_write, stats.faults.cow, stats.faults.file, stats.faults.segv);
    vm_exit(parent);
    vm_machine_destroy(machine);
    printf("The machine is gone; of the memory it took, %zu bytes are left\n", toy.bytes_taken);
    return toy.bytes_taken == 0 && strcmp(seen, "from the parent") == 0 ? 0 : 1;
}
