/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * maps_mark(): leaves a copy of /proc/self/maps in the directory MAPS_DIR names, and a mark in the
 * recording by which check_trace.py finds the same moment: a madvise on the K-th page of a place of
 * its own, as file PID.K.
 *
 * Between mark and copy nothing is mapped: plain read and write through a static buffer.
 */
#ifndef OBJRMAP_TESTS_RECORD_MAPS_MARK_H
#define OBJRMAP_TESTS_RECORD_MAPS_MARK_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MARKS_PLACE = 0x10000000, MARKS = 256, MARK_BYTES = 4096 };

static unsigned marks_made;

/* => once, before the first mark; inherited by fork. */
static inline int maps_prepare(void) {
    void *place = mmap((void *)MARKS_PLACE, (size_t)MARKS * MARK_BYTES, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    return place == (void *)MARKS_PLACE ? 0 : -1;
}

static inline int maps_mark(void) {
    static char text[1 << 18];
    char path[4200];
    const char *directory = getenv("MAPS_DIR");
    unsigned mark;
    int out;
    if (!directory)
        return -1;
    /* What this process did before its exec, or its parent before the fork, has used up marks. */
    do {
        mark = marks_made++;
        snprintf(path, sizeof(path), "%s/%ld.%u", directory, (long)getpid(), mark);
        out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (out < 0 && errno == EEXIST && marks_made < MARKS);
    int in = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (in < 0 || out < 0)
        return -1;
    for (unsigned i = 0; i < sizeof(text); i += MARK_BYTES)
        ((volatile char *)text)[i] = 0;
    if (madvise((char *)MARKS_PLACE + (size_t)mark * MARK_BYTES, MARK_BYTES, MADV_RANDOM))
        return -1;
    ssize_t got;
    while ((got = read(in, text, sizeof(text))) > 0)
        if (write(out, text, (size_t)got) != got)
            return -1;
    close(in);
    return close(out) == 0 && got == 0 ? 0 : -1;
}

#endif
