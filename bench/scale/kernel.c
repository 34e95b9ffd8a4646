/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel.c - see kernel.h. */
#include "kernel.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/report.h"

enum { FEW = 16, WRITTEN = 64, LIBRARY = 256, PAGE = 4096 };

/* What the processes tell each other. */
struct board {
    _Atomic unsigned ready;
    struct {
        uint64_t began, ended;
    } of[STORM_CPUS_MOST];
};

static void need(bool ok, const char *what) {
    if (ok)
        return;
    fprintf(stderr, "objrmap: the kernel gives no %s; end some programs\n", what);
    exit(1);
}

static char *map(unsigned pages, int protection, int flags, int file) {
    char *memory = mmap(NULL, (size_t)pages * PAGE, protection, flags, file, 0);

    need(memory != MAP_FAILED, "memory");
    return memory;
}

static void write_pages(volatile char *memory, unsigned pages) {
    for (unsigned i = 0; i < pages; i++)
        memory[(size_t)i * PAGE] = 1;
}

static void read_pages(const volatile char *memory, unsigned pages) {
    for (unsigned i = 0; i < pages; i++)
        (void)memory[(size_t)i * PAGE];
}

/* All of it in the page cache. */
static int make_library(void) {
    int library = memfd_create("library", 0);

    need(library >= 0 && ftruncate(library, (off_t)LIBRARY * PAGE) == 0, "file");
    char *memory = map(LIBRARY, PROT_READ | PROT_WRITE, MAP_SHARED, library);
    write_pages(memory, LIBRARY);
    munmap(memory, (size_t)LIBRARY * PAGE);
    return library;
}

bool kernel_has(enum storm storm) {
    return storm == STORM_FAULT || storm == STORM_SHARE || storm == STORM_FORK;
}

static void once(enum storm storm, int library) {
    char *memory;
    pid_t child;

    switch (storm) {
    case STORM_FAULT:
        memory = map(FEW, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        write_pages(memory, FEW);
        munmap(memory, (size_t)FEW * PAGE);
        return;
    case STORM_SHARE:
        memory = map(FEW, PROT_READ, MAP_PRIVATE, library);
        read_pages(memory, FEW);
        munmap(memory, (size_t)FEW * PAGE);
        return;
    default:
        child = fork();
        need(child >= 0, "process");
        if (child == 0)
            _exit(0);
        waitpid(child, NULL, 0);
    }
}

static void stay_on(unsigned cpu) {
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    (void)sched_setaffinity(0, sizeof(one), &one);
}

static void work(struct board *board, enum storm storm, int library, unsigned cpu,
                 unsigned processes, unsigned times) {
    stay_on(cpu);
    write_pages(map(WRITTEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1), WRITTEN);
    read_pages(map(LIBRARY, PROT_READ, MAP_PRIVATE, library), FEW);
    board->ready++;
    while (board->ready < processes)
        sched_yield();
    board->of[cpu].began = nanoseconds();
    for (unsigned i = 0; i < times; i++)
        once(storm, library);
    board->of[cpu].ended = nanoseconds();
}

double kernel_throughput(enum storm storm, unsigned processes, unsigned times) {
    struct board *board =
        mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t began = UINT64_MAX, ended = 0;
    int status = 0, library = make_library();

    need(board != MAP_FAILED, "memory");
    for (unsigned cpu = 0; cpu < processes; cpu++) {
        pid_t child = fork();
        need(child >= 0, "process");
        if (child == 0) {
            work(board, storm, library, cpu, processes, times);
            _exit(0);
        }
    }
    for (unsigned cpu = 0; cpu < processes; cpu++)
        need(wait(&status) > 0 && status == 0, "processes");
    for (unsigned cpu = 0; cpu < processes; cpu++) {
        began = board->of[cpu].began < began ? board->of[cpu].began : began;
        ended = board->of[cpu].ended > ended ? board->of[cpu].ended : ended;
    }
    munmap(board, sizeof(*board));
    close(library);
    return (double)processes * times / (double)(ended - began) * 1e9;
}
