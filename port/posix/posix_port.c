/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * posix_port.c - memory from the C library, frames from mmap(), sleeping by futex.
 *
 * The port has no state but its own functions and one thread-local number, so there is nothing to
 * lock. Where there is no futex a waiter yields instead, which the contract allows: wait() may
 * return early.
 */
#include <objrmap/posix.h>

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

/* Turns of busy waiting after which the lock's holder has probably lost its processor. */
enum { TURNS_BEFORE_YIELD = 128 };

static _Thread_local unsigned this_cpu;
static _Thread_local unsigned turns;

static void *port_allocate(struct vm_port *port, size_t bytes, size_t alignment) {
    (void)port;
    if (bytes > SIZE_MAX - alignment)
        return NULL;
    /* C11 wants the size to be a multiple of the alignment. */
    return aligned_alloc(alignment, (bytes + alignment - 1) & ~(alignment - 1));
}

static void port_release(struct vm_port *port, void *block, size_t bytes) {
    (void)port;
    (void)bytes;
    free(block);
}

static void *port_frames_reserve(struct vm_port *port, uint64_t bytes) {
    const struct posix_port *posix = (const struct posix_port *)port;
    if (bytes > SIZE_MAX)
        return NULL;
    void *frames = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (frames == MAP_FAILED)
        return NULL;
        /* Advice: where the system does not know it, the machine works all the same. */
#ifdef MADV_HUGEPAGE
    madvise(frames, (size_t)bytes,
            posix->frames == POSIX_FRAMES_HUGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
#endif
#ifdef MADV_DONTDUMP
    madvise(frames, (size_t)bytes, MADV_DONTDUMP);
#endif
    return frames;
}

static void port_frames_release(struct vm_port *port, void *frames, uint64_t bytes) {
    (void)port;
    munmap(frames, (size_t)bytes);
}

static uint64_t port_clock_ns(struct vm_port *port) {
    (void)port;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static unsigned port_cpu(struct vm_port *port) {
    (void)port;
    return this_cpu;
}

static void port_relax(struct vm_port *port) {
    (void)port;
    if (++turns % TURNS_BEFORE_YIELD == 0) {
        sched_yield();
        return;
    }
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#ifdef __linux__
_Static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "a futex is a plain 32-bit word");

static void port_wait(struct vm_port *port, _Atomic uint32_t *word, uint32_t value) {
    (void)port;
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void port_wake(struct vm_port *port, _Atomic uint32_t *word) {
    (void)port;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
#else
static void port_wait(struct vm_port *port, _Atomic uint32_t *word, uint32_t value) {
    (void)port;
    if (atomic_load(word) == value)
        sched_yield();
}

static void port_wake(struct vm_port *port, _Atomic uint32_t *word) {
    (void)port;
    (void)word;
}
#endif

static void port_panic(struct vm_port *port, const char *file, int line, const char *what) {
    (void)port;
    fflush(stdout);
    fprintf(stderr, "objrmap: %s:%d: broken invariant: %s\n", file, line, what);
    abort();
}

void posix_port_init(struct posix_port *posix, unsigned cpus) {
    *posix = (struct posix_port){
        .port = {
            .allocate = port_allocate,
            .release = port_release,
            .frames_reserve = port_frames_reserve,
            .frames_release = port_frames_release,
            .clock_ns = port_clock_ns,
            .panic = port_panic,
        },
        .frames = POSIX_FRAMES_SMALL,
    };
    if (cpus <= 1)
        return;
    posix->port.cpu = port_cpu;
    posix->port.relax = port_relax;
    posix->port.wait = port_wait;
    posix->port.wake = port_wake;
}

void posix_cpu_set(unsigned cpu) {
    this_cpu = cpu;
}
