/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * touch.c - touches that hit and touches that fault, beside the kernel that runs here.
 *
 * Hits go through the software MMU; the kernel has a real one, so its column is a plain store.
 * Faults are measured without the trap: MADV_POPULATE_WRITE and _READ on the kernel's side, vm_touch()
 * of the whole range on ours. What clearing or copying a page costs is measured apart, and taken off
 * the kernel's time where our machine keeps no contents and so has nothing to clear or copy.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/beside.h"
#include "support/machine.h"
#include "support/report.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define GOAL_FAULT_NS 250.0 /* 4 million a second */
#define GOAL_HIT_NS   50.0  /* 20 million a second */

enum fault {
    FIRST_WRITE,
    ZERO_PAGE,
    FILE_AROUND,
    FILE_SINGLE,
    COW_COPY,
    COW_REUSE,
    SWAP_IN,
    FAULTS,
};

/* What a fault does to bytes, on the way. */
enum labour { NO_LABOUR, CLEARS, COPIES };

static const struct {
    const char *name;
    enum labour labour;
    bool kernel_can; /* without swap, and with the fault-around that it has */
} faults[FAULTS] = {
    [FIRST_WRITE] = { "first write", CLEARS, true },
    [ZERO_PAGE] = { "zero page read", NO_LABOUR, true },
    [FILE_AROUND] = { "file read, 16 pages a fault", NO_LABOUR, true },
    [FILE_SINGLE] = { "file read, 1 page a fault", NO_LABOUR, false },
    [COW_COPY] = { "copy on write", COPIES, true },
    [COW_REUSE] = { "copy on write, alone", NO_LABOUR, true },
    [SWAP_IN] = { "swap in", NO_LABOUR, false },
};

/* ---------------------------------------------------------------- the kernel */

/* The process beside answers these, too. */
enum { CLEAR_PAGES = FAULTS, COPY_PAGES, STORE_TO_PAGES };

#define PAGE 4096

static double populate(char *memory, uint64_t pages, int advice) {
    uint64_t before = nanoseconds();
    if (madvise(memory, pages * PAGE, advice))
        return (double)NAN; /* a kernel before 5.14 */
    return (double)(nanoseconds() - before);
}

static double kernel_file_read(uint64_t pages) {
    static int file = -1;
    static uint64_t file_pages;

    if (file_pages != pages) { /* its pages stay in the page cache from one round to the next */
        if (file >= 0)
            close(file);
        file = memfd_create("objrmap-bench", 0);
        if (file < 0 || ftruncate(file, (off_t)(pages * PAGE)))
            give_up("making a file in memory");
        char *whole = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (whole == MAP_FAILED)
            give_up("mapping a file");
        kernel_write_pages(whole, pages);
        munmap(whole, pages * PAGE);
        file_pages = pages;
    }
    char *memory = mmap(NULL, pages * PAGE, PROT_READ, MAP_PRIVATE, file, 0);
    if (memory == MAP_FAILED)
        give_up("mapping a file");
    double ns = populate(memory, pages, MADV_POPULATE_READ);
    munmap(memory, pages * PAGE);
    return ns;
}

static double kernel_copy_on_write(enum fault fault, char *memory, uint64_t pages) {
    kernel_write_pages(memory, pages);
    struct waiting_child child = kernel_fork();
    if (fault == COW_REUSE)
        kernel_child_exit(&child);
    double ns = populate(memory, pages, MADV_POPULATE_WRITE);
    if (fault == COW_COPY)
        kernel_child_exit(&child);
    return ns;
}

/* Page by page through memory that is mapped already: no faults, no help from long runs. */
static double labour_on(char *memory, uint64_t pages, unsigned operation) {
    kernel_write_pages(memory, pages);
    uint64_t half = pages / 2;
    uint64_t before = nanoseconds();
    if (operation == CLEAR_PAGES)
        for (uint64_t i = 0; i < pages; i++)
            memset(memory + i * PAGE, 0, PAGE);
    else if (operation == COPY_PAGES)
        for (uint64_t i = 0; i < half; i++)
            memcpy(memory + i * PAGE, memory + (half + i) * PAGE, PAGE);
    else
        kernel_write_pages(memory, pages);
    double ns = (double)(nanoseconds() - before);
    return operation == COPY_PAGES ? 2 * ns : ns;
}

static struct beside_answer kernel_once(struct beside_question question) {
    struct beside_answer answer = { { 0 } };
    uint64_t pages = question.pages;
    double ns = (double)NAN;

    if (question.operation == FILE_AROUND) {
        ns = kernel_file_read(pages);
    } else {
        char *memory = kernel_map(pages);
        if (question.operation == FIRST_WRITE)
            ns = populate(memory, pages, MADV_POPULATE_WRITE);
        else if (question.operation == ZERO_PAGE)
            ns = populate(memory, pages, MADV_POPULATE_READ);
        else if (question.operation == COW_COPY || question.operation == COW_REUSE)
            ns = kernel_copy_on_write(question.operation, memory, pages);
        else
            ns = labour_on(memory, pages, question.operation);
        kernel_unmap(memory, pages);
    }
    answer.ns[0] = ns / (double)pages;
    return answer;
}

/* ---------------------------------------------------------------- the library */

static double touch_all(struct vm_space *space, uint64_t memory, uint64_t pages,
                        enum vm_access access) {
    uint64_t before = nanoseconds();
    must(vm_touch(space, memory, pages, access, NULL), "vm_touch");
    return (double)(nanoseconds() - before);
}

static double library_copy_on_write(struct vm_space *space, uint64_t memory, uint64_t pages,
                                    enum fault fault) {
    struct vm_space *child;

    touch_all(space, memory, pages, VM_WRITE);
    must(vm_fork(space, 2, &child), "vm_fork");
    if (fault == COW_REUSE)
        vm_exit(child);
    double ns = touch_all(space, memory, pages, VM_WRITE);
    if (fault == COW_COPY)
        vm_exit(child);
    return ns;
}

static double library_swap_in(struct vm_space *space, uint64_t memory, uint64_t pages) {
    touch_all(space, memory, pages, VM_WRITE);
    must(vm_madvise(space, memory, pages * VM_PAGE_SIZE, VM_MADV_PAGEOUT), "vm_madvise");
    return touch_all(space, memory, pages, VM_READ);
}

static double library_file_read(struct vm_space *space, struct vm_object *file, uint64_t pages) {
    uint64_t memory = 0;

    must(vm_mmap(space, 0, pages * VM_PAGE_SIZE, VM_PROT_READ, VM_MAP_PRIVATE, file, 0, &memory),
         "vm_mmap");
    return touch_all(space, memory, pages, VM_READ);
}

static double library_anonymous(struct vm_space *space, uint64_t pages, enum fault fault) {
    uint64_t memory = library_map(space, pages);

    if (fault == FIRST_WRITE)
        return touch_all(space, memory, pages, VM_WRITE);
    if (fault == ZERO_PAGE)
        return touch_all(space, memory, pages, VM_READ);
    if (fault == SWAP_IN)
        return library_swap_in(space, memory, pages);
    return library_copy_on_write(space, memory, pages, fault);
}

/* A machine, and a file whose pages stay in its page cache from one round to the next. */
struct subject {
    struct bench_machine bench;
    struct vm_object *file;
};

static double library_once(struct subject *subject, uint64_t pages, enum fault fault) {
    struct vm_space *space;

    must(vm_space_create(subject->bench.machine, 1, &space), "vm_space_create");
    double ns = fault == FILE_AROUND || fault == FILE_SINGLE
                    ? library_file_read(space, subject->file, pages)
                    : library_anonymous(space, pages, fault);
    vm_exit(space);
    return ns / (double)pages;
}

static void subject_open(struct subject *subject, const struct bench_config *column, uint64_t pages,
                         enum fault fault) {
    struct bench_config config = *column;
    struct vm_backing *disk = posix_memory_open(pages * VM_PAGE_SIZE);

    if (!disk)
        give_up("making a file in memory");
    config.frames = frames_for(2 * pages);
    config.swap_pages = 2 * pages;
    config.fault_around = fault == FILE_SINGLE ? 1 : 0;
    bench_machine_open(&subject->bench, &config);
    must(vm_object_open(subject->bench.machine, disk, 1, &subject->file), "vm_object_open");
}

static void subject_close(struct subject *subject) {
    vm_object_put(subject->file);
    bench_machine_close(&subject->bench);
}

/* ---------------------------------------------------------------- faults */

/* Without a design: --versus. */
static struct bench_config columns[] = {
    { .design = "anon-vma", .cpus = 1, .contents = VM_METADATA_ONLY },
    { .design = "anon-vma", .cpus = 2, .contents = VM_METADATA_ONLY },
    { .design = "anon-vma", .cpus = 2, .contents = VM_CONTENTS_KEPT },
    { .cpus = 1, .contents = VM_METADATA_ONLY },
    { .cpus = 2, .contents = VM_CONTENTS_KEPT },
};

enum { COLUMNS = sizeof(columns) / sizeof(columns[0]), JUDGED = 3 /* anon-vma, metadata */ };

struct kernel_times {
    struct samples whole, bytes;
};

static void kernel_round(struct beside *beside, uint64_t pages, enum fault fault,
                         struct kernel_times *times) {
    double whole = beside_ask(beside, fault, pages).ns[0];

    if (isnan(whole))
        return;
    samples_add(&times->whole, whole);
    if (faults[fault].labour != NO_LABOUR)
        samples_add(
            &times->bytes,
            beside_ask(beside, faults[fault].labour == CLEARS ? CLEAR_PAGES : COPY_PAGES, pages)
                .ns[0]);
}

static void measure_fault(struct report *report, struct beside *beside, enum fault fault,
                          uint64_t pages, const char *size, unsigned rounds) {
    struct subject subjects[COLUMNS];
    struct samples ours[COLUMNS] = { { .count = 0 } };
    struct kernel_times kernel = { .whole = { .count = 0 } }, warm_up = kernel;

    for (unsigned i = 0; i < COLUMNS; i++)
        subject_open(&subjects[i], &columns[i], pages, fault);
    for (unsigned round = 0; round <= rounds; round++) {
        if (faults[fault].kernel_can)
            kernel_round(beside, pages, fault, round ? &kernel : &warm_up);
        for (unsigned i = 0; i < COLUMNS; i++) {
            double ns = library_once(&subjects[i], pages, fault);
            if (round)
                samples_add(&ours[i], ns);
        }
    }
    report_line(report, &(struct line){ .operation = faults[fault].name,
                                        .size = size,
                                        .unit = "ns/page",
                                        .ours = ours,
                                        .kernel = kernel.whole.count ? &kernel.whole : NULL,
                                        .kernel_bytes = kernel.bytes.count ? &kernel.bytes : NULL,
                                        .goal = GOAL_TIME,
                                        .limit = GOAL_FAULT_NS,
                                        .judged = JUDGED });
    for (unsigned i = 0; i < COLUMNS; i++)
        subject_close(&subjects[i]);
}

/* ---------------------------------------------------------------- hits */

static const struct {
    const char *name;
    unsigned run; /* pages a call */
    bool random;
} hits[] = { { "hit, runs of 512", 512, false },
             { "hit, runs of 16", 16, false },
             { "hit, one by one", 1, false },
             { "hit, one by one, random", 1, true } };

enum { HITS = sizeof(hits) / sizeof(hits[0]) };

static uint64_t *make_order(uint64_t runs, bool random) {
    uint64_t *order = malloc(runs * sizeof(*order));
    uint64_t state = 88172645463325252u;

    if (!order)
        give_up("making room for a list");
    for (uint64_t i = 0; i < runs; i++)
        order[i] = i;
    for (uint64_t i = runs - 1; random && i > 0; i--) {
        uint64_t j = next_random(&state) % (i + 1), swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
    return order;
}

static double time_hits(struct vm_space *space, uint64_t memory, uint64_t pages, unsigned kind,
                        const uint64_t *order) {
    unsigned run = hits[kind].run;
    uint64_t before = nanoseconds();

    for (uint64_t i = 0; i < pages / run; i++)
        if (vm_touch(space, memory + order[i] * run * VM_PAGE_SIZE, run, VM_WRITE, NULL))
            give_up("touching mapped memory");
    return (double)(nanoseconds() - before) / (double)pages;
}

struct hit_subject {
    struct bench_machine bench;
    struct vm_space *space;
    uint64_t memory;
};

static void open_hit_subject(struct hit_subject *subject, const struct bench_config *column,
                             uint64_t pages) {
    struct bench_config config = *column;

    config.frames = frames_for(pages);
    bench_machine_open(&subject->bench, &config);
    must(vm_space_create(subject->bench.machine, 1, &subject->space), "vm_space_create");
    subject->memory = library_map(subject->space, pages);
    touch_all(subject->space, subject->memory, pages, VM_WRITE);
}

static void measure_hits(struct report *report, struct beside *beside, uint64_t pages,
                         const char *size, unsigned rounds) {
    struct hit_subject subjects[COLUMNS];

    for (unsigned i = 0; i < COLUMNS; i++)
        open_hit_subject(&subjects[i], &columns[i], pages);
    for (unsigned kind = 0; kind < HITS; kind++) {
        struct samples ours[COLUMNS] = { { .count = 0 } }, kernel = { .count = 0 };
        uint64_t *order = make_order(pages / hits[kind].run, hits[kind].random);
        for (unsigned round = 0; round < rounds; round++) {
            samples_add(&kernel, beside_ask(beside, STORE_TO_PAGES, pages).ns[0]);
            for (unsigned i = 0; i < COLUMNS; i++)
                samples_add(&ours[i],
                            time_hits(subjects[i].space, subjects[i].memory, pages, kind, order));
        }
        report_line(report, &(struct line){ .operation = hits[kind].name,
                                            .size = size,
                                            .unit = "ns/page",
                                            .ours = ours,
                                            .kernel = &kernel,
                                            .goal = GOAL_TIME,
                                            .limit = GOAL_HIT_NS,
                                            .judged = JUDGED });
        free(order);
    }
    for (unsigned i = 0; i < COLUMNS; i++) {
        vm_exit(subjects[i].space);
        bench_machine_close(&subjects[i].bench);
    }
}

int main(int argc, char **argv) {
    static const char *const notes[] = {
        "ns per page touched; in parentheses the median of ours/kernel over the rounds. Goals, "
        "without",
        "contents: 50 ns is 20 million hits a second, 250 ns is 4 million faults. The kernel: for "
        "hits a",
        "plain store, by the hardware; for faults MADV_POPULATE, so without the trap, which a "
        "library does",
        "not take. 'bytes' is its clearing or copying of the page, which is taken off in the ratio "
        "of",
        "machines without contents. A dash: the kernel cannot be made to do it here.",
        NULL
    };
    struct options options =
        options_read(argc, argv, "touches that hit, and faults, beside the real kernel");
    uint64_t pages = options.large ? 262144 : 16384;
    const char *size = options.large ? "1024 MiB" : "64 MiB";
    unsigned rounds = options.rounds ? options.rounds : options.large ? 3 : 7;
    struct report report;
    struct beside beside;
    struct place place = take_one_core();

    beside_start(&beside, kernel_once);
    options_apply(&options, columns, COLUMNS);
    report_open(&report, "touch", &options, &place, columns, COLUMNS);
    measure_hits(&report, &beside, pages, size, rounds);
    for (enum fault fault = 0; fault < FAULTS; fault++)
        measure_fault(&report, &beside, fault, pages, size, rounds);
    notes_print(report.json, notes);
    beside_end(&beside);
    return 0;
}
