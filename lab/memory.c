/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.c - see memory.h.
 */
#include "memory.h"

#include "command.h"

#include <stdlib.h>
#include <string.h>

static void *must(void *block) {
    if (block)
        return block;
    complain("this computer has no memory left for the command itself");
    exit(EXIT_FOUND);
}

void *new_array(size_t count, size_t bytes) {
    return must(calloc(count ? count : 1, bytes));
}

void *grow_array(void *array, size_t *count, size_t wanted, size_t bytes) {
    if (wanted <= *count)
        return array;
    size_t room = *count ? *count : 16;
    while (room < wanted)
        room *= 2;
    char *bigger = must(reallocarray(array, room, bytes));
    memset(bigger + *count * bytes, 0, (room - *count) * bytes);
    *count = room;
    return bigger;
}

char *new_text(const char *text) {
    return must(strdup(text));
}
