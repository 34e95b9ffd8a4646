/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The files and shared memory that recorded programs map: one object for each identity (device,
 * inode, generation), declared in the trace before its first use, with a size that follows the
 * file's as well as that can be known.
 *
 * Sizes are looked up when an event is read, a little after it happened, and a file may be gone or
 * changed by then. So a size is never smaller than what touches have proved, except after a
 * truncation that was itself recorded.
 */
#ifndef OBJRMAP_LAB_RECORD_OBJECT_H
#define OBJRMAP_LAB_RECORD_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace/writer.h"

/* As the kernel's mapping records tell it; the kernel's special mappings have only a name. */
struct object_identity {
    uint32_t major;
    uint32_t minor;
    uint64_t inode;
    uint64_t generation;
    const char *name;
};

/* One of the mappings of the object, where the kernel may be asked about it while the process
 * lives. */
struct object_use {
    uint32_t pid;
    uint64_t start;
    uint64_t end;
    uint64_t pgoff;
    enum trace_sharing sharing;
};

/* How its size is known: from the file, from touches beyond what was known, from a call that cut
 * it. */
enum object_sizing { SIZE_LOOKED_UP, SIZE_PROVED, SIZE_TRUNCATED };

struct object {
    struct object *next;
    uint32_t id;
    uint32_t major;
    uint32_t minor;
    uint64_t inode;
    uint64_t generation;
    uint64_t size;
    uint64_t looked_up_at;
    enum object_sizing sizing;
    /* Of a program: how much of the file its first segment maps, in bytes from a page on; 0 when
     * not known. */
    uint64_t first_segment;
    bool first_segment_read;
    char name[];
};

struct objects {
    struct object **buckets;
    size_t bucket_count;
    struct object **by_id; /* [id - 1] */
    size_t count;
    size_t room;
    struct trace_writer *writer;
    uint64_t now; /* recorded time, so that files are not asked about too often */
};

int objects_create(struct objects *objects, struct trace_writer *writer);
void objects_free(struct objects *objects);

/* The object for a mapping, declared when it is new and grown when it has grown; NULL when memory
 * is short. */
struct object *objects_map(struct objects *objects, const struct object_identity *identity,
                           const struct object_use *use);
struct object *objects_by_id(const struct objects *objects, uint32_t id);
/* By device and inode as stat tells them; NULL when no program has mapped it. */
struct object *objects_by_file(const struct objects *objects, uint64_t device, uint64_t inode);

/* A program touched the page at offset: the object must reach that far, unless it was cut. */
void object_touched(struct objects *objects, struct object *object, uint64_t offset);
void object_truncated(struct objects *objects, struct object *object, uint64_t size);
/* Length of the first segment's mapping of a program's file, 0 when it cannot be read. */
uint64_t object_first_segment(struct object *object, uint32_t pid);

#endif
