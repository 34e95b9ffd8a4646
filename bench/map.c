/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * map.c - mapping calls in spaces of few and of many areas, beside the kernel that runs here.
 *
 * The kernel's times are taken less one getppid() a call, measured in the same round: a library is
 * entered by a call, not by a trap. Neighbours alternate in protection, so that none of them merge.
 */
#include <math.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/beside.h"
#include "support/machine.h"
#include "support/report.h"

#define PAGE 4096

enum {
    REPEATS = 2000,     /* calls a sample */
    MOVED_PAGES = 4096, /* 16 MiB */
    HUGE = 512 * PAGE,  /* what one leaf table covers */
};

enum operation {
    MAP_FIXED_PAGE,
    MAP_CHOSEN_PAGE,
    SPLIT_AND_MERGE,
    SPLIT_AND_MERGE_TOUCHED,
    MOVE_ALIGNED,
    MOVE_UNALIGNED,
    OPERATIONS,
};

static const struct {
    const char *name;
    const char *unit;
    unsigned calls; /* per unit */
    bool scales;    /* worth measuring among many areas */
} operations[OPERATIONS] = {
    [MAP_FIXED_PAGE] = { "mmap+munmap, fixed", "ns/pair", 2, true },
    [MAP_CHOSEN_PAGE] = { "mmap+munmap, chosen", "ns/pair", 2, true },
    [SPLIT_AND_MERGE] = { "mprotect split+merge", "ns/pair", 2, true },
    [SPLIT_AND_MERGE_TOUCHED] = { "mprotect split+merge, written", "ns/pair", 2, true },
    [MOVE_ALIGNED] = { "mremap move, 2 MiB aligned", "ns/page", 0, false },
    [MOVE_UNALIGNED] = { "mremap move, unaligned", "ns/page", 0, false },
};

/* Where things lie, on both sides: neighbours from here upwards, and between two of them a room of
 * eight pages for the area under test. */
#define NEIGHBOURS UINT64_C(0x200000000000)
#define MOVES      UINT64_C(0x210000000000)

static uint64_t neighbour_at(uint64_t i, uint64_t count) {
    return NEIGHBOURS + (i + (i >= count / 2 ? 8 : 0)) * PAGE;
}

static uint64_t room_at(uint64_t count) {
    return NEIGHBOURS + count / 2 * PAGE;
}

/* ---------------------------------------------------------------- the kernel */

enum { ASK_SYSCALL = OPERATIONS, ASK_NEIGHBOURS };

static void *at(uint64_t address) {
    return (void *)(uintptr_t)address; /* NOLINT: addresses are chosen by the benchmark */
}

static void kernel_fixed(uint64_t address, uint64_t length, int protection) {
    if (mmap(at(address), length, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
        MAP_FAILED)
        give_up("mapping memory at a fixed address");
}

static void kernel_neighbours(uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        kernel_fixed(neighbour_at(i, count), PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE);
}

static void kernel_map_pairs(uint64_t address) {
    int fixed = address ? MAP_FIXED : 0;

    for (unsigned i = 0; i < REPEATS; i++) {
        void *memory =
            mmap(at(address), PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
        if (memory == MAP_FAILED)
            give_up("mapping a page");
        munmap(memory, PAGE);
    }
}

static double kernel_split_pairs(uint64_t room, bool touched) {
    kernel_fixed(room, 8 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    if (touched)
        kernel_write_pages(at(room), 8);
    uint64_t before = nanoseconds();
    for (unsigned i = 0; i < REPEATS; i++) {
        mprotect(at(room + 3 * PAGE), PAGE, PROT_NONE);
        mprotect(at(room + 3 * PAGE), PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    }
    double ns = (double)(nanoseconds() - before);
    munmap(at(room), 8 * PAGE);
    return ns / REPEATS;
}

static double kernel_move(uint64_t shift) {
    uint64_t from = MOVES, to = MOVES + 64 * (uint64_t)HUGE + shift, bytes = MOVED_PAGES * PAGE;

    kernel_fixed(from, bytes, PROT_READ | PROT_WRITE);
    madvise(at(from), bytes, MADV_NOHUGEPAGE);
    kernel_write_pages(at(from), MOVED_PAGES);
    uint64_t before = nanoseconds();
    if (mremap(at(from), bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at(to)) == MAP_FAILED)
        give_up("moving memory");
    double ns = (double)(nanoseconds() - before);
    munmap(at(to), bytes);
    return ns / MOVED_PAGES;
}

static double kernel_syscall(void) {
    uint64_t before = nanoseconds();
    for (unsigned i = 0; i < REPEATS; i++)
        syscall(SYS_getppid);
    return (double)(nanoseconds() - before) / REPEATS;
}

static struct beside_answer kernel_once(struct beside_question question) {
    static uint64_t neighbours;
    struct beside_answer answer = { { 0 } };
    uint64_t before = nanoseconds();

    switch (question.operation) {
    case ASK_NEIGHBOURS:
        munmap(at(NEIGHBOURS), (neighbours + 8) * PAGE);
        neighbours = question.pages;
        kernel_neighbours(neighbours);
        break;
    case ASK_SYSCALL:
        answer.ns[0] = kernel_syscall();
        break;
    case MAP_FIXED_PAGE:
    case MAP_CHOSEN_PAGE:
        kernel_map_pairs(question.operation == MAP_FIXED_PAGE ? room_at(neighbours) : 0);
        answer.ns[0] = (double)(nanoseconds() - before) / REPEATS;
        break;
    case MOVE_ALIGNED:
    case MOVE_UNALIGNED:
        answer.ns[0] = kernel_move(question.operation == MOVE_ALIGNED ? 0 : 8 * PAGE);
        break;
    default:
        answer.ns[0] =
            kernel_split_pairs(room_at(neighbours), question.operation == SPLIT_AND_MERGE_TOUCHED);
    }
    return answer;
}

/* ---------------------------------------------------------------- the library */

#define RWX (VM_PROT_READ | VM_PROT_WRITE | VM_PROT_EXEC)

static void library_fixed(struct vm_space *space, uint64_t address, uint64_t length,
                          unsigned protection) {
    must(vm_mmap(space, address, length, protection, VM_MAP_PRIVATE | VM_MAP_FIXED, NULL, 0,
                 &address),
         "vm_mmap");
}

static void library_neighbours(struct vm_space *space, uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        library_fixed(space, neighbour_at(i, count), PAGE,
                      i % 2 ? VM_PROT_READ : VM_PROT_READ | VM_PROT_WRITE);
}

static double library_map_pairs(struct vm_space *space, uint64_t address) {
    unsigned flags = VM_MAP_PRIVATE | (address ? VM_MAP_FIXED : 0);
    uint64_t before = nanoseconds();

    for (unsigned i = 0; i < REPEATS; i++) {
        uint64_t memory = 0;
        must(vm_mmap(space, address, PAGE, VM_PROT_NONE, flags, NULL, 0, &memory), "vm_mmap");
        must(vm_munmap(space, memory, PAGE), "vm_munmap");
    }
    return (double)(nanoseconds() - before) / REPEATS;
}

static double library_split_pairs(struct vm_space *space, uint64_t room, bool touched) {
    library_fixed(space, room, 8 * PAGE, RWX);
    if (touched)
        must(vm_touch(space, room, 8, VM_WRITE, NULL), "vm_touch");
    uint64_t before = nanoseconds();
    for (unsigned i = 0; i < REPEATS; i++) {
        must(vm_mprotect(space, room + 3 * PAGE, PAGE, VM_PROT_NONE), "vm_mprotect");
        must(vm_mprotect(space, room + 3 * PAGE, PAGE, RWX), "vm_mprotect");
    }
    double ns = (double)(nanoseconds() - before);
    must(vm_munmap(space, room, 8 * PAGE), "vm_munmap");
    return ns / REPEATS;
}

static double library_move(struct vm_space *space, uint64_t shift) {
    uint64_t from = MOVES, to = MOVES + 64 * (uint64_t)HUGE + shift, bytes = MOVED_PAGES * PAGE;

    library_fixed(space, from, bytes, VM_PROT_READ | VM_PROT_WRITE);
    must(vm_touch(space, from, MOVED_PAGES, VM_WRITE, NULL), "vm_touch");
    uint64_t before = nanoseconds();
    must(vm_mremap(space, from, bytes, bytes, VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, to, &to),
         "vm_mremap");
    double ns = (double)(nanoseconds() - before);
    must(vm_munmap(space, to, bytes), "vm_munmap");
    return ns / MOVED_PAGES;
}

static double library_once(struct vm_space *space, enum operation operation, uint64_t neighbours) {
    switch (operation) {
    case MAP_FIXED_PAGE:
        return library_map_pairs(space, room_at(neighbours));
    case MAP_CHOSEN_PAGE:
        return library_map_pairs(space, 0);
    case MOVE_ALIGNED:
    case MOVE_UNALIGNED:
        return library_move(space, operation == MOVE_ALIGNED ? 0 : 8 * PAGE);
    default:
        return library_split_pairs(space, room_at(neighbours),
                                   operation == SPLIT_AND_MERGE_TOUCHED);
    }
}

/* ---------------------------------------------------------------- both in turns */

/* Without a design: --versus. */
static struct bench_config columns[] = {
    { .design = "anon-vma", .cpus = 1, .contents = VM_METADATA_ONLY, .frames = 65536 },
    { .design = "anon-vma", .cpus = 2, .contents = VM_METADATA_ONLY, .frames = 65536 },
    { .cpus = 1, .contents = VM_METADATA_ONLY, .frames = 65536 },
};

enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

struct subject {
    struct bench_machine bench;
    struct vm_space *space;
};

static void measure_operation(struct report *report, struct beside *beside,
                              struct subject subjects[COLUMNS], enum operation operation,
                              uint64_t neighbours, unsigned rounds) {
    struct samples ours[COLUMNS] = { { .count = 0 } }, kernel = { .count = 0 };
    char size[32];

    for (unsigned round = 0; round <= rounds; round++) {
        double entering = beside_ask(beside, ASK_SYSCALL, 0).ns[0] * operations[operation].calls;
        double theirs = beside_ask(beside, operation, 0).ns[0] - entering;
        if (round)
            samples_add(&kernel, theirs);
        for (unsigned i = 0; i < COLUMNS; i++) {
            double ns = library_once(subjects[i].space, operation, neighbours);
            if (round)
                samples_add(&ours[i], ns);
        }
    }
    snprintf(size, sizeof(size), operations[operation].scales ? "%llu areas" : "16 MiB",
             (unsigned long long)neighbours + 1);
    report_line(report, &(struct line){ .operation = operations[operation].name,
                                        .size = size,
                                        .unit = operations[operation].unit,
                                        .ours = ours,
                                        .kernel = &kernel });
}

static void measure_among(struct report *report, struct beside *beside, uint64_t neighbours,
                          unsigned rounds) {
    struct subject subjects[COLUMNS];

    beside_ask(beside, ASK_NEIGHBOURS, neighbours);
    for (unsigned i = 0; i < COLUMNS; i++) {
        bench_machine_open(&subjects[i].bench, &columns[i]);
        must(vm_space_create(subjects[i].bench.machine, 1, &subjects[i].space), "vm_space_create");
        library_neighbours(subjects[i].space, neighbours);
    }
    for (enum operation operation = 0; operation < OPERATIONS; operation++)
        if (neighbours <= 1 || operations[operation].scales)
            measure_operation(report, beside, subjects, operation, neighbours, rounds);
    for (unsigned i = 0; i < COLUMNS; i++) {
        vm_exit(subjects[i].space);
        bench_machine_close(&subjects[i].bench);
    }
}

int main(int argc, char **argv) {
    static const uint64_t neighbours[] = { 1, 1000, 60000 };
    static const char *const notes[] = { "ns per pair of calls, or per page moved; in parentheses "
                                         "the median of ours/kernel. From the",
                                         "kernel's pairs two system calls that do nothing are "
                                         "taken off. Where both addresses are 2 MiB",
                                         "aligned, the kernel moves whole page tables.", NULL };
    struct options options =
        options_read(argc, argv, "mapping calls among few and many areas, beside the real kernel");
    struct report report;
    struct beside beside;
    struct place place = take_one_core();

    beside_start(&beside, kernel_once);
    options_apply(&options, columns, COLUMNS);
    report_open(&report, "map", &options, &place, columns, COLUMNS);
    for (unsigned i = 0; i < 3; i++)
        measure_among(&report, &beside, neighbours[i], options.rounds ? options.rounds : 15);
    notes_print(report.json, notes);
    beside_end(&beside);
    return 0;
}
