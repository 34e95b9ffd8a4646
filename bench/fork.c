/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork.c - fork, exit and munmap of written anonymous memory, beside the kernel that runs here.
 *
 * One round: the kernel maps, writes, forks, ends the child, forks and ends a second one, unmaps; then
 * each of our machines does the same. fork is the parent's part; exit is that of a child that only
 * inherited; the second fork finds everything write-protected already; munmap is the last user's, so
 * that every page is freed. From the kernel's times those of a process without the
 * memory are taken off (measured in the same round); from ours nothing is.
 */
#include <math.h>
#include <stdio.h>

#include "support/beside.h"
#include "support/machine.h"
#include "support/report.h"

enum step { FORK, EXIT, FORK_AGAIN, MUNMAP, STEPS };

static const char *const step_names[STEPS] = { "fork", "exit of the child", "fork again",
                                               "munmap" };

#define PAGES_PER_MIB  UINT64_C(256)
#define GOAL_OF_KERNEL 0.5

/* ---------------------------------------------------------------- the kernel */

static struct beside_answer kernel_once(struct beside_question question) {
    struct beside_answer answer = { { 0 } };
    char *memory = kernel_map(question.pages);

    kernel_write_pages(memory, question.pages);
    struct waiting_child child = kernel_fork();
    answer.ns[FORK] = child.fork_ns;
    answer.ns[EXIT] = kernel_child_exit(&child);
    child = kernel_fork();
    answer.ns[FORK_AGAIN] = child.fork_ns;
    kernel_child_exit(&child);
    uint64_t before = nanoseconds();
    kernel_unmap(memory, question.pages);
    answer.ns[MUNMAP] = (double)(nanoseconds() - before);
    return answer;
}

static void kernel_round(struct beside *beside, uint64_t pages, struct samples samples[STEPS]) {
    struct beside_answer empty = beside_ask(beside, 0, 0);
    struct beside_answer full = beside_ask(beside, 0, pages);

    for (int step = 0; step < STEPS; step++)
        samples_add(&samples[step], (full.ns[step] - empty.ns[step]) / (double)pages);
}

/* ---------------------------------------------------------------- the library */

static uint64_t time_fork(struct vm_space *parent, struct vm_space **child) {
    uint64_t before = nanoseconds();
    must(vm_fork(parent, 2, child), "vm_fork");
    return nanoseconds() - before;
}

static uint64_t time_exit(struct vm_space *child) {
    uint64_t before = nanoseconds();
    vm_exit(child);
    return nanoseconds() - before;
}

static uint64_t time_munmap(struct vm_space *space, uint64_t memory, uint64_t pages) {
    uint64_t before = nanoseconds();
    must(vm_munmap(space, memory, pages * VM_PAGE_SIZE), "vm_munmap");
    return nanoseconds() - before;
}

static void library_round(struct vm_machine *machine, uint64_t pages,
                          struct samples samples[STEPS]) {
    struct vm_space *parent, *child;
    uint64_t ns[STEPS];

    must(vm_space_create(machine, 1, &parent), "vm_space_create");
    uint64_t memory = library_map(parent, pages);
    must(vm_touch(parent, memory, pages, VM_WRITE, NULL), "vm_touch");

    ns[FORK] = time_fork(parent, &child);
    ns[EXIT] = time_exit(child);
    ns[FORK_AGAIN] = time_fork(parent, &child);
    vm_exit(child);
    ns[MUNMAP] = time_munmap(parent, memory, pages);
    vm_exit(parent);
    for (int step = 0; step < STEPS; step++)
        samples_add(&samples[step], (double)ns[step] / (double)pages);
}

/* ---------------------------------------------------------------- both in turns */

/* Without a design: --versus. */
static struct bench_config columns[] = {
    { .design = "anon-vma", .cpus = 1, .contents = VM_METADATA_ONLY },
    { .design = "anon-vma", .cpus = 1, .contents = VM_CONTENTS_KEPT },
    { .design = "anon-vma", .cpus = 2, .contents = VM_METADATA_ONLY },
    { .design = "anon-vma", .cpus = 2, .contents = VM_CONTENTS_KEPT },
    { .cpus = 1, .contents = VM_METADATA_ONLY },
    { .cpus = 2, .contents = VM_CONTENTS_KEPT },
};

enum { COLUMNS = sizeof(columns) / sizeof(columns[0]), JUDGED = 0xf /* anon-vma */ };

struct measured {
    struct samples kernel[STEPS], library[COLUMNS][STEPS];
};

static void report_size(struct report *report, uint64_t mib, const struct measured *measured) {
    char size[32];

    snprintf(size, sizeof(size), "%llu MiB", (unsigned long long)mib);
    for (int step = 0; step < STEPS; step++) {
        struct samples ours[COLUMNS];
        for (unsigned i = 0; i < COLUMNS; i++)
            ours[i] = measured->library[i][step];
        report_line(report, &(struct line){ .operation = step_names[step],
                                            .size = size,
                                            .unit = "ns/page",
                                            .ours = ours,
                                            .kernel = &measured->kernel[step],
                                            .goal = GOAL_RATIO,
                                            .limit = GOAL_OF_KERNEL,
                                            .judged = JUDGED });
    }
}

/* The first turn of each warms up, and is forgotten: memory that is new to the host costs more. */
static void measure_size(struct report *report, struct beside *beside, uint64_t mib,
                         unsigned rounds) {
    static struct measured measured, warm_up;
    struct bench_machine machines[COLUMNS];
    uint64_t pages = mib * PAGES_PER_MIB;

    measured = (struct measured){ .kernel = { { .count = 0 } } };
    for (unsigned i = 0; i < COLUMNS; i++) {
        struct bench_config config = columns[i];
        config.frames = frames_for(pages);
        bench_machine_open(&machines[i], &config);
    }
    for (unsigned round = 0; round <= rounds; round++) {
        struct measured *to = round ? &measured : &warm_up;
        kernel_round(beside, pages, to->kernel);
        for (unsigned i = 0; i < COLUMNS; i++)
            library_round(machines[i].machine, pages, to->library[i]);
    }
    report_size(report, mib, &measured);
    for (unsigned i = 0; i < COLUMNS; i++)
        bench_machine_close(&machines[i]);
}

int main(int argc, char **argv) {
    static const struct {
        uint64_t mib;
        unsigned rounds;
    } sizes[] = { { 16, 21 }, { 64, 11 }, { 256, 7 }, { 1024, 3 } };
    static const char *const notes[] = { "ns per page; in parentheses the median of ours/kernel "
                                         "over the rounds. The kernel's time holds",
                                         "what a library does not do: flushing TLBs, charging and "
                                         "uncharging a memory cgroup. It holds no",
                                         "traps and no clearing of pages. Machines of 2 CPUs count "
                                         "atomically and take locks, as the kernel",
                                         "does; frames of those with contents hold real data. "
                                         "'fork again' is the kernel's fork at its best.",
                                         NULL };
    struct options options =
        options_read(argc, argv, "fork, exit and munmap per page, beside the real kernel");
    struct report report;
    struct beside beside;
    struct place place = take_one_core();

    beside_start(&beside, kernel_once);
    options_apply(&options, columns, COLUMNS);
    report_open(&report, "fork", &options, &place, columns, COLUMNS);
    for (unsigned i = 0; i < (options.large ? 4 : 3); i++)
        measure_size(&report, &beside, sizes[i].mib,
                     options.rounds ? options.rounds : sizes[i].rounds);
    notes_print(report.json, notes);
    beside_end(&beside);
    return 0;
}
