/* SPDX-License-Identifier: BSD-2-Clause */
/* machine.c - machines of the library to measure. */
#include "support/machine.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/beside.h"

void must(int result, const char *call) {
    if (result == VM_OK)
        return;
    fprintf(stderr, "objrmap: %s failed: %s; this is a defect, please report it\n", call,
            vm_result_text(result));
    exit(1);
}

void bench_machine_open(struct bench_machine *bench, const struct bench_config *config) {
    const char *why = "";

    posix_port_init(&bench->posix, config->cpus);
    if (config->contents == VM_CONTENTS_KEPT)
        bench->posix.frames = POSIX_FRAMES_HUGE;
    bench->swap = NULL;
    if (config->swap_pages && !(bench->swap = posix_memory_open(config->swap_pages * VM_PAGE_SIZE)))
        give_up("making memory to swap to");

    struct vm_machine_config wanted = { .port = &bench->posix.port,
                                        .frames = config->frames,
                                        .contents = config->contents,
                                        .cpus = config->cpus,
                                        .design = config->design,
                                        .swap = bench->swap,
                                        .swap_pages = config->swap_pages,
                                        .fault_around = config->fault_around,
                                        .fork_copy = config->fork_copy };
    if (vm_machine_create(&wanted, &bench->machine, &why) != VM_OK) {
        fprintf(
            stderr,
            "objrmap: no machine of %llu frames: %s; is there enough memory, and such a design?\n",
            (unsigned long long)config->frames, why);
        exit(1);
    }
}

void bench_machine_close(struct bench_machine *bench) {
    vm_machine_destroy(bench->machine);
    if (bench->swap && bench->swap->close)
        bench->swap->close(bench->swap);
}

uint64_t library_map(struct vm_space *space, uint64_t pages) {
    uint64_t address = 0;
    must(vm_mmap(space, 0, pages * VM_PAGE_SIZE, VM_PROT_READ | VM_PROT_WRITE, VM_MAP_PRIVATE, NULL,
                 0, &address),
         "vm_mmap");
    return address;
}

uint64_t frames_for(uint64_t pages) {
    return pages + pages / 4 + 8192;
}
