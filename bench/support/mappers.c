/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mappers.c - a reader inside the group, and a leader whose children map what it maps.
 *
 * All of them wait for the next order in a page that they share, carry it out, and count themselves
 * done. Whoever loses its parent dies.
 */
#include "support/mappers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/beside.h"
#include "support/disk_file.h"

enum { PAGE = 4096 };

enum order { ORDER_READ_IN, ORDER_TOUCH, ORDER_COUNT };

struct control {
    _Atomic uint32_t orders; /* given so far */
    _Atomic uint32_t done;   /* processes that are done with the last one */
    enum order order;
    uint64_t resident;
    pid_t processes[]; /* [0] is the leader */
};

struct mappers {
    enum mapped_kind kind;
    enum mapper_place place;
    unsigned processes;
    uint64_t pages;
    int file; /* -1: private memory */
    pid_t reader, leader;
    struct control *control;
};

/* ---------------------------------------------------------------- orders */

static void sleep_while(_Atomic uint32_t *word, uint32_t value) {
    struct timespec second = { .tv_sec = 1 };
    syscall(SYS_futex, word, FUTEX_WAIT, value, &second, NULL, 0);
}

static void wake_all(_Atomic uint32_t *word) {
    syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static uint32_t await_order(struct control *control, uint32_t seen) {
    uint32_t orders;
    while ((orders = atomic_load(&control->orders)) == seen)
        sleep_while(&control->orders, seen);
    return orders;
}

static void report_done(struct control *control) {
    atomic_fetch_add(&control->done, 1);
    wake_all(&control->done);
}

/* Everybody is done with the order. Ends the program if somebody has died on the way. */
static void give_order(struct mappers *mappers, enum order order) {
    struct control *control = mappers->control;
    uint32_t done;

    atomic_store(&control->done, 0);
    control->order = order;
    atomic_fetch_add(&control->orders, 1);
    wake_all(&control->orders);
    while ((done = atomic_load(&control->done)) < mappers->processes + 1) {
        sleep_while(&control->done, done);
        if (waitpid(-1, NULL, WNOHANG) > 0)
            give_up("having many processes map the same pages");
    }
}

/* ---------------------------------------------------------------- processes */

static void die_with_parent(pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(1);
}

static pid_t fork_process(void) {
    pid_t parent = getpid(), process = fork();

    if (process == 0)
        die_with_parent(parent);
    return process;
}

/* One page at a time, so that the kernel keeps single pages and does not read ahead. */
static void read_in(const struct mappers *mappers) {
    char page[PAGE];

    for (uint64_t i = 0; mappers->file >= 0 && i < mappers->pages; i++)
        if (pread(mappers->file, page, PAGE, (off_t)(i * PAGE)) != PAGE)
            _exit(1);
}

static _Noreturn void serve_as_reader(struct mappers *mappers) {
    for (uint32_t seen = 0;;) {
        seen = await_order(mappers->control, seen);
        if (mappers->control->order == ORDER_READ_IN)
            read_in(mappers);
        report_done(mappers->control);
    }
}

static uint64_t count_resident(const struct mappers *mappers, char *memory) {
    unsigned char *resident = malloc(mappers->pages);
    uint64_t count = 0;

    if (!resident || mincore(memory, mappers->pages * PAGE, resident))
        _exit(1);
    for (uint64_t i = 0; i < mappers->pages; i++)
        count += resident[i] & 1;
    free(resident);
    return count;
}

static _Noreturn void serve_as_mapper(struct mappers *mappers, char *memory, bool leads) {
    for (uint32_t seen = 0;;) {
        seen = await_order(mappers->control, seen);
        if (mappers->control->order == ORDER_TOUCH)
            kernel_read_pages(memory, mappers->pages);
        if (mappers->control->order == ORDER_COUNT && leads)
            mappers->control->resident = count_resident(mappers, memory);
        report_done(mappers->control);
    }
}

static char *map(const struct mappers *mappers) {
    if (mappers->file < 0)
        return kernel_map(mappers->pages);
    void *memory = mmap(NULL, mappers->pages * PAGE, PROT_READ, MAP_SHARED, mappers->file, 0);
    if (memory == MAP_FAILED)
        _exit(1);
    return memory;
}

static _Noreturn void serve_as_leader(struct mappers *mappers, const struct memory_group *group) {
    if (mappers->place == MAPPERS_INSIDE && !memory_group_enter(group, 0))
        _exit(1);
    char *memory = map(mappers);
    if (mappers->kind == MAPPED_FORKED)
        kernel_write_pages(memory, mappers->pages);
    mappers->control->processes[0] = getpid();
    for (unsigned i = 1; i < mappers->processes; i++) {
        pid_t process = fork_process();
        if (process < 0)
            _exit(1);
        if (process == 0)
            serve_as_mapper(mappers, memory, false);
        mappers->control->processes[i] = process;
    }
    serve_as_mapper(mappers, memory, true);
}

/* ---------------------------------------------------------------- what they map */

static int shared_memory(uint64_t pages) {
    int file = memfd_create("objrmap-bench", MFD_CLOEXEC);
    if (file >= 0 && ftruncate(file, (off_t)(pages * PAGE)) == 0)
        return file;
    give_up("making shared memory");
}

static bool open_pages(struct mappers *mappers) {
    mappers->file = -1;
    if (mappers->kind == MAPPED_SHM)
        mappers->file = shared_memory(mappers->pages);
    else if (mappers->kind == MAPPED_FILE)
        mappers->file = disk_file_make(mappers->pages);
    return mappers->file >= 0 || mappers->kind == MAPPED_FORKED;
}

/* ---------------------------------------------------------------- the calls */

static size_t control_bytes(unsigned processes) {
    return sizeof(struct control) + processes * sizeof(pid_t);
}

struct mappers *mappers_start(const struct memory_group *group, enum mapped_kind kind,
                              enum mapper_place place, unsigned processes, uint64_t pages) {
    struct mappers *mappers = calloc(1, sizeof(*mappers));

    if (!mappers)
        give_up("allocating memory");
    *mappers =
        (struct mappers){ .kind = kind, .place = place, .processes = processes, .pages = pages };
    if (!open_pages(mappers)) {
        free(mappers);
        return NULL;
    }
    mappers->control = mmap(NULL, control_bytes(processes), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mappers->control == MAP_FAILED)
        give_up("mapping memory");
    mappers->reader = fork_process();
    if (mappers->reader == 0) {
        if (!memory_group_enter(group, 0))
            _exit(1);
        serve_as_reader(mappers);
    }
    mappers->leader = fork_process();
    if (mappers->leader == 0)
        serve_as_leader(mappers, group);
    if (mappers->reader < 0 || mappers->leader < 0)
        give_up("forking");
    return mappers;
}

void mappers_end(struct mappers *mappers) {
    kill(mappers->leader, SIGKILL);
    kill(mappers->reader, SIGKILL);
    waitpid(mappers->leader, NULL, 0);
    waitpid(mappers->reader, NULL, 0);
    munmap(mappers->control, control_bytes(mappers->processes));
    if (mappers->file >= 0)
        close(mappers->file);
    free(mappers);
}

static void forget_use(pid_t process) {
    char path[64];

    snprintf(path, sizeof(path), "/proc/%ld/clear_refs", (long)process);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0 || write(file, "1", 1) != 1)
        give_up("clearing referenced bits through /proc");
    close(file);
}

/* What the kernel remembers of pages that it evicted would make it keep them longer this time. */
static void forget_evictions(const struct mappers *mappers) {
    if (mappers->kind == MAPPED_FILE)
        posix_fadvise(mappers->file, 0, 0, POSIX_FADV_DONTNEED);
}

void mappers_touch(struct mappers *mappers) {
    forget_evictions(mappers);
    give_order(mappers, ORDER_READ_IN);
    give_order(mappers, ORDER_TOUCH);
    for (unsigned i = 0; i < mappers->processes; i++)
        forget_use(mappers->control->processes[i]);
}

uint64_t mappers_resident(struct mappers *mappers) {
    give_order(mappers, ORDER_COUNT);
    return mappers->control->resident;
}
