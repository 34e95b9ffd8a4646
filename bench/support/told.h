/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * told.h - how often the engine calls a machine's design about entries, new pages and freed ones.
 *
 * The machine gets a copy of its design that counts, and calls the original; what the original does
 * not want to be told stays untold. It shows that entries come in whole runs, and that a design that
 * keeps nothing for an entry is not called about any. What concerns areas, spaces and tables is not
 * counted.
 */
#ifndef BENCH_TOLD_H
#define BENCH_TOLD_H

#include <stdint.h>

struct vm_machine;
struct told;

struct told_counts {
    uint64_t calls;
    uint64_t entries; /* present ones, in the calls that concern runs of entries */
};

/* Until told_end(), counts what the machine's design is told. Ends the program without memory. */
struct told *told_begin(struct vm_machine *machine);
struct told_counts told_so_far(const struct told *told);
void told_end(struct told *told);

#endif
