/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stub_port.c - see stub_port.h. Memory comes from one array, in sizes that are powers of two and
 * aligned to themselves; what is released is kept for the next block of its size.
 */
#include "stub_port.h"

enum { ARENA_BYTES = 16 << 20, FRAME_BYTES = 4 << 20, CLASSES = 32, EXIT_PANIC = 99 };

static _Alignas(4096) unsigned char arena[ARENA_BYTES];
static _Alignas(4096) unsigned char frame_memory[FRAME_BYTES];
static size_t arena_used;
static void *free_blocks[CLASSES];
unsigned stub_blocks_live;

/* ---------------------------------------------------------------- the four functions */

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *one, const void *other, size_t bytes);

/* `volatile` keeps the compiler from turning these loops into calls of themselves. */
void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
    volatile unsigned char *t = to;
    const unsigned char *f = from;
    for (size_t i = 0; i < bytes; i++)
        t[i] = f[i];
    return to;
}

void *memmove(void *to, const void *from, size_t bytes) {
    volatile unsigned char *t = to;
    const unsigned char *f = from;
    if ((uintptr_t)to <= (uintptr_t)from) {
        for (size_t i = 0; i < bytes; i++)
            t[i] = f[i];
    } else {
        for (size_t i = bytes; i-- > 0;)
            t[i] = f[i];
    }
    return to;
}

void *memset(void *to, int value, size_t bytes) {
    volatile unsigned char *t = to;
    for (size_t i = 0; i < bytes; i++)
        t[i] = (unsigned char)value;
    return to;
}

int memcmp(const void *one, const void *other, size_t bytes) {
    const volatile unsigned char *a = one;
    const unsigned char *b = other;
    for (size_t i = 0; i < bytes; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

/* ---------------------------------------------------------------- the port */

_Noreturn static void end(int code) {
    __asm__ volatile("syscall" : : "a"(60L), "D"((long)code) : "rcx", "r11", "memory");
    __builtin_unreachable();
}

static unsigned class_of(size_t bytes) {
    unsigned class = 5;
    while (((size_t)1 << class) < bytes)
        class ++;
    return class;
}

static void *stub_allocate(struct vm_port *port, size_t bytes, size_t alignment) {
    (void)port;
    unsigned class = class_of(bytes > alignment ? bytes : alignment);
    size_t size = (size_t)1 << class;
    void *block = free_blocks[class];
    if (block) {
        free_blocks[class] = *(void **)block;
    } else {
        uintptr_t next = (uintptr_t)arena + arena_used;
        size_t start = ((next + size - 1) & ~(uintptr_t)(size - 1)) - (uintptr_t)arena;
        if (start + size > ARENA_BYTES)
            return NULL;
        arena_used = start + size;
        block = arena + start;
    }
    stub_blocks_live++;
    /* The contract promises no zeroes: make sure that nobody counts on them. */
    return memset(block, 0xa5, size);
}

static void stub_release(struct vm_port *port, void *block, size_t bytes) {
    (void)port;
    (void)bytes;
    /* Alignment may have enlarged the block; in a smaller class than its own it only wastes. */
    unsigned class = class_of(bytes);
    *(void **)block = free_blocks[class];
    free_blocks[class] = block;
    stub_blocks_live--;
}

static void *stub_frames_reserve(struct vm_port *port, uint64_t bytes) {
    (void)port;
    return bytes <= FRAME_BYTES ? memset(frame_memory, 0, FRAME_BYTES) : NULL;
}

static void stub_frames_release(struct vm_port *port, void *frames, uint64_t bytes) {
    (void)port;
    (void)frames;
    (void)bytes;
}

static uint64_t stub_clock(struct vm_port *port) {
    (void)port;
    static uint64_t ticks;
    return ++ticks;
}

static void stub_panic(struct vm_port *port, const char *file, int line, const char *what) {
    (void)port;
    (void)file;
    (void)line;
    (void)what;
    end(EXIT_PANIC);
}

/* One CPU: nothing to spin on, nobody to wait for. */
struct vm_port stub_port = {
    .allocate = stub_allocate,
    .release = stub_release,
    .frames_reserve = stub_frames_reserve,
    .frames_release = stub_frames_release,
    .clock_ns = stub_clock,
    .panic = stub_panic,
};

/* ---------------------------------------------------------------- the entry point */

_Noreturn void stub_start(void);

_Noreturn void stub_start(void) {
    end(life());
}

__asm__(".globl _start\n"
        "_start:\n"
        "    xor %ebp, %ebp\n"
        "    and $-16, %rsp\n"
        "    call stub_start\n");
