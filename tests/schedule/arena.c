/* SPDX-License-Identifier: BSD-2-Clause */
/* arena.c - see arena.h. */
#include "arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(block, bytes)   ((void)(block), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(block, bytes) ((void)(block), (void)(bytes))
#endif

#define ARENA_BYTES   ((size_t)64 << 20)
#define RELEASED_MOST 4096
#define PATTERN       0xdb

struct released {
    unsigned char *block;
    size_t bytes;
};

static struct {
    unsigned char *base, *saved;
    size_t used, used_most; /* since it was last empty or restored */
    struct released released[RELEASED_MOST];
    unsigned released_count;
    size_t saved_used;
    unsigned saved_released;
} arena;

static unsigned char *reserve(void) {
    unsigned char *memory = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("no memory for the arena");
        exit(2);
    }
    return memory;
}

void arena_create(void) {
    arena.base = reserve();
    arena.saved = reserve();
}

void *arena_allocate(size_t bytes, size_t alignment) {
    size_t start = (arena.used + alignment - 1) & ~(alignment - 1);

    if (bytes > ARENA_BYTES - start)
        return NULL;
    arena.used = start + bytes;
    if (arena.used > arena.used_most)
        arena.used_most = arena.used;
    return arena.base + start;
}

void arena_release(void *block, size_t bytes) {
    if (!block)
        return;
    if (arena.released_count == RELEASED_MOST) {
        fprintf(stderr, "too many blocks were given back in one schedule\n");
        exit(2);
    }
    memset(block, PATTERN, bytes);
    arena.released[arena.released_count++] = (struct released){ block, bytes };
    ASAN_POISON_MEMORY_REGION(block, bytes);
}

static void forbid_released(unsigned count) {
    arena.released_count = count;
    for (unsigned i = 0; i < count; i++)
        ASAN_POISON_MEMORY_REGION(arena.released[i].block, arena.released[i].bytes);
}

void arena_empty(void) {
    ASAN_UNPOISON_MEMORY_REGION(arena.base, arena.used_most);
    memset(arena.base, 0, arena.used_most);
    arena.used = arena.used_most = 0;
    arena.released_count = 0;
}

void arena_save(void) {
    ASAN_UNPOISON_MEMORY_REGION(arena.base, arena.used);
    memcpy(arena.saved, arena.base, arena.used);
    arena.saved_used = arena.used_most = arena.used;
    arena.saved_released = arena.released_count;
    forbid_released(arena.released_count);
}

void arena_restore(void) {
    ASAN_UNPOISON_MEMORY_REGION(arena.base, arena.used_most);
    memcpy(arena.base, arena.saved, arena.saved_used);
    memset(arena.base + arena.saved_used, 0, arena.used_most - arena.saved_used);
    arena.used = arena.used_most = arena.saved_used;
    forbid_released(arena.saved_released);
}

bool arena_is_sound(void) {
#ifndef WITH_ASAN
    for (unsigned i = 0; i < arena.released_count; i++) {
        const unsigned char *block = arena.released[i].block;
        if (arena.released[i].bytes &&
            (block[0] != PATTERN || memcmp(block, block + 1, arena.released[i].bytes - 1)))
            return false;
    }
#endif
    return true;
}
