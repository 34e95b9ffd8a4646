/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.h - machines of the library to measure, on the POSIX port.
 */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <objrmap/posix.h>
#include <objrmap/vm.h>

struct bench_machine {
    struct posix_port posix;
    struct vm_backing *swap; /* NULL: none */
    struct vm_machine *machine;
};

struct bench_config {
    const char *design;
    enum vm_contents contents;
    unsigned cpus;   /* with more than one, counts are atomic and locks are taken */
    uint64_t frames; /* these are up to the measurement */
    uint64_t swap_pages;
    unsigned fault_around; /* 0: the default */
    enum vm_fork_copy fork_copy;
};

/* Both end the program when something fails. */
void bench_machine_open(struct bench_machine *bench, const struct bench_config *config);
void must(int result, const char *call);

void bench_machine_close(struct bench_machine *bench);

/* Private anonymous memory, read and written; `pages` of it. */
uint64_t library_map(struct vm_space *space, uint64_t pages);

/* Frames for `pages` pages: with page tables, and far from any watermark. */
uint64_t frames_for(uint64_t pages);

#endif
