/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * look.c - see look.h. The kernel is asked through maps, pagemap and mem of /proc/PID.
 *
 * Areas are compared page by page, so it does not matter who joins which neighbours.
 */
#include "look.h"

#include <objrmap/rmap.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { SHARED_ANONYMOUS = JUDGED_OBJECTS + 1 };

/* ---------------------------------------------------------------- the kernel */

static int open_of_process(const struct real *real, unsigned process, const char *name) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", real->stage->pids[process], name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static unsigned object_of(const struct stat files[], unsigned device, unsigned long inode) {
    if (!inode)
        return OBJECT_NONE;
    for (unsigned i = 1; i <= JUDGED_OBJECTS; i++)
        if (files[i].st_ino == inode && files[i].st_dev == device)
            return i;
    return SHARED_ANONYMOUS;
}

static void read_area(const char *line, const struct stat files[], struct look_page pages[]) {
    unsigned long start, end, offset, inode;
    unsigned major, minor;
    char protection[5];
    if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu", &start, &end, protection, &offset, &major, &minor,
               &inode) != 7 ||
        start >= WINDOW_END || end <= WINDOW_BASE)
        return;
    for (uint64_t at = start; at < end && at < WINDOW_END; at += VM_PAGE_SIZE) {
        struct look_page *page = &pages[(at - WINDOW_BASE) / VM_PAGE_SIZE];
        memcpy(page->protection, protection, sizeof(protection));
        page->object = object_of(files, (unsigned)makedev(major, minor), inode);
        page->pgoff = inode ? (offset + (at - start)) / VM_PAGE_SIZE : 0;
    }
}

/* maps in one piece, or in as many as the kernel likes. */
static bool read_maps(const struct real *real, unsigned process, const struct stat files[],
                      struct look_page pages[]) {
    static char text[65536];
    size_t used = 0;
    ssize_t got;
    int file = open_of_process(real, process, "maps");
    if (file < 0)
        return false;
    while ((got = read(file, text + used, sizeof(text) - 1 - used)) > 0)
        used += (size_t)got;
    close(file);
    text[used] = '\0';
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        read_area(line, files, pages);
    }
    return used > 0;
}

/* Bit 63: in memory; the lower 55: the frame, 0 for those who may not know. */
static bool read_pagemap(const struct real *real, unsigned process, struct look_page pages[]) {
    uint64_t entries[WINDOW_PAGES];
    bool told = true;
    int file = open_of_process(real, process, "pagemap");
    if (file < 0)
        return false;
    if (pread(file, entries, sizeof(entries), (off_t)(WINDOW_BASE / VM_PAGE_SIZE * 8)) ==
        (ssize_t)sizeof(entries))
        for (unsigned i = 0; i < WINDOW_PAGES; i++)
            if (entries[i] >> 63) {
                pages[i].identity = entries[i] & ((UINT64_C(1) << 55) - 1);
                told &= pages[i].identity != 0;
            }
    close(file);
    return told;
}

bool look_at_kernel(const struct real *real, struct look *look, char *text, size_t bytes) {
    struct stat files[JUDGED_OBJECTS + 1];
    memset(look, 0, sizeof(*look));
    look->identities = true;
    for (unsigned i = 1; i <= JUDGED_OBJECTS; i++)
        if (fstat(real->files[i], &files[i]) != 0)
            return false;
    for (unsigned i = 0; i < PROCESS_SLOTS; i++) {
        if (!real->stage->pids[i])
            continue;
        look->lives[i] = true;
        if (!read_maps(real, i, files, look->pages[i])) {
            snprintf(text, bytes, "process %u has gone, or has no maps", i + 1);
            return false;
        }
        look->identities &= read_pagemap(real, i, look->pages[i]);
    }
    return true;
}

/* ---------------------------------------------------------------- the library */

static bool note_area(const struct vm_area_view *area, void *context) {
    struct look_page *pages = context;
    for (uint64_t at = area->start; at < area->end && at < WINDOW_END; at += VM_PAGE_SIZE) {
        if (at < WINDOW_BASE)
            continue;
        struct look_page *page = &pages[(at - WINDOW_BASE) / VM_PAGE_SIZE];
        unsigned p = area->protection;
        snprintf(page->protection, sizeof(page->protection), "%c%c%c%c",
                 p & VM_PROT_READ ? 'r' : '-', p & VM_PROT_WRITE ? 'w' : '-',
                 p & VM_PROT_EXEC ? 'x' : '-', area->shared ? 's' : 'p');
        if (area->object) {
            page->object =
                area->object_anonymous ? SHARED_ANONYMOUS : (unsigned)vm_object_id(area->object);
            page->pgoff = area->pgoff + (at - area->start) / VM_PAGE_SIZE;
        }
    }
    return true;
}

static bool note_page(const struct vm_page_view *page, void *context) {
    struct look_page *pages = context;
    pages[(page->address - WINDOW_BASE) / VM_PAGE_SIZE].identity = page->identity + 1;
    return true;
}

void look_at_library(struct library *library, struct look *look) {
    memset(look, 0, sizeof(*look));
    look->identities = true;
    for (unsigned i = 0; i < PROCESS_SLOTS; i++) {
        if (!library->spaces[i])
            continue;
        look->lives[i] = true;
        vm_area_each(library->spaces[i], note_area, look->pages[i]);
        vm_page_each(library->spaces[i], WINDOW_BASE, WINDOW_END, note_page, look->pages[i]);
    }
}

/* ---------------------------------------------------------------- comparing */

static bool same_area(const struct look_page *a, const struct look_page *b) {
    return strcmp(a->protection, b->protection) == 0 && a->object == b->object &&
           a->pgoff == b->pgoff;
}

void look_compare_areas(const struct look *theirs, const struct look *ours, char *text,
                        size_t bytes) {
    text[0] = '\0';
    for (unsigned i = 0; i < PROCESS_SLOTS; i++) {
        if (theirs->lives[i] != ours->lives[i]) {
            snprintf(text, bytes, "process %u lives on one side only", i + 1);
            return;
        }
        for (unsigned j = 0; j < WINDOW_PAGES; j++) {
            const struct look_page *a = &theirs->pages[i][j], *b = &ours->pages[i][j];
            if (same_area(a, b))
                continue;
            snprintf(text, bytes,
                     "process %u, page %u is \"%s\" object %u at %" PRIu64
                     ", to the kernel \"%s\" object %u at %" PRIu64,
                     i + 1, j, b->protection, b->object, b->pgoff, a->protection, a->object,
                     a->pgoff);
            return;
        }
    }
}

/* A page of a process, and what it is called on each side. */
struct named {
    uint64_t one, other;
    unsigned process, page;
};

static int by_one(const void *left, const void *right) {
    const struct named *a = left, *b = right;
    return (a->one > b->one) - (a->one < b->one);
}

/* Whether all that are one page here are one page there. */
static const struct named *torn_apart(struct named *named, size_t count) {
    qsort(named, count, sizeof(*named), by_one);
    for (size_t i = 1; i < count; i++)
        if (named[i].one == named[i - 1].one && named[i].other != named[i - 1].other)
            return &named[i];
    return NULL;
}

static void swap_names(struct named *named, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint64_t one = named[i].one;
        named[i].one = named[i].other;
        named[i].other = one;
    }
}

static void tell_torn(const struct named *torn, const char *joined, char *text, size_t bytes) {
    snprintf(text, bytes,
             "process %u, page %u and process %u, page %u are one and the same page to %s only",
             torn[-1].process + 1, torn[-1].page, torn->process + 1, torn->page, joined);
}

void look_compare_groups(const struct look *theirs, const struct look *ours, enum sharing sharing,
                         uint64_t *compared, char *text, size_t bytes) {
    static struct named named[PROCESS_SLOTS * WINDOW_PAGES];
    size_t count = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < PROCESS_SLOTS; i++)
        for (unsigned j = 0; j < WINDOW_PAGES; j++) {
            uint64_t theirs_is = theirs->pages[i][j].identity;
            uint64_t ours_is = ours->pages[i][j].identity;
            if (theirs_is && ours_is)
                named[count++] = (struct named){ ours_is, theirs_is, i, j };
        }
    *compared += count;
    const struct named *torn = torn_apart(named, count);
    if (torn) {
        tell_torn(torn, "the library", text, bytes);
        return;
    }
    swap_names(named, count);
    torn = sharing == SHARING_EQUAL ? torn_apart(named, count) : NULL;
    if (torn)
        tell_torn(torn, "the kernel", text, bytes);
}

static void compare_hidden_page(int memory, struct vm_space *space, uint64_t address,
                                uint64_t *compared, char *text, size_t bytes) {
    uint32_t theirs, ours;
    if (pread(memory, &theirs, sizeof(theirs), (off_t)(address + FIRST_OFFSET)) != sizeof(theirs) ||
        vm_peek(space, address + FIRST_OFFSET, &ours, sizeof(ours)) != VM_OK)
        return;
    ++*compared;
    if (theirs != ours)
        snprintf(text, bytes, "hidden page %" PRIu64 " holds %x, to the kernel %x",
                 (address - WINDOW_BASE) / VM_PAGE_SIZE, ours, theirs);
}

void look_compare_hidden(const struct real *real, struct library *library, const struct look *look,
                         uint64_t *compared, char *text, size_t bytes) {
    text[0] = '\0';
    for (unsigned i = 0; i < PROCESS_SLOTS; i++) {
        int memory = -1;
        for (unsigned j = 0; j < WINDOW_PAGES && look->lives[i]; j++) {
            if (strncmp(look->pages[i][j].protection, "---", 3) != 0)
                continue;
            if (memory < 0)
                memory = open_of_process(real, i, "mem");
            if (memory >= 0 && !text[0])
                compare_hidden_page(memory, library->spaces[i], PAGE_AT(j), compared, text, bytes);
        }
        if (memory >= 0)
            close(memory);
    }
}
