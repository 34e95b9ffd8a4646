/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of objects, and asking the file system about them.
 *
 * A file is looked for under its name, under its name as the process's own root directory has it,
 * and, for what has no name (any more), behind the process's mapping itself. A file found is
 * believed only when it is the same inode.
 */
#include "object.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "layout.h"

enum { LOOK_UP_AGAIN_NS = 200 * 1000 * 1000 };

int objects_create(struct objects *objects, struct trace_writer *writer) {
    enum { BUCKETS = 4096 };
    *objects = (struct objects){ .writer = writer, .bucket_count = BUCKETS };
    objects->buckets = calloc(BUCKETS, sizeof(*objects->buckets));
    return objects->buckets ? 0 : -1;
}

void objects_free(struct objects *objects) {
    for (size_t i = 0; i < objects->count; i++)
        free(objects->by_id[i]);
    free(objects->by_id);
    free(objects->buckets);
}

struct object *objects_by_id(const struct objects *objects, uint32_t id) {
    return objects->by_id[id - 1];
}

/* ---- the file behind an object ---- */

static bool is_same_file(const struct object *object, const struct stat *status) {
    /* Some file systems show another device to stat than to the kernel itself, so the inode alone
     * decides. */
    return status->st_ino == object->inode;
}

static int open_if_same(const struct object *object, const char *path) {
    struct stat status;
    if (stat(path, &status) || !S_ISREG(status.st_mode) || !is_same_file(object, &status))
        return -1;
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

static bool look_up(const struct object *object, const struct object_use *use, uint64_t *size) {
    struct stat status;
    char path[PATH_MAX + 64];
    if (object->inode == 0)
        return false;
    bool found =
        object->name[0] == '/' && stat(object->name, &status) == 0 && is_same_file(object, &status);
    if (!found && object->name[0] == '/') {
        snprintf(path, sizeof(path), "/proc/%u/root%s", use->pid, object->name);
        found = stat(path, &status) == 0 && is_same_file(object, &status);
    }
    if (!found) {
        snprintf(path, sizeof(path), "/proc/%u/map_files/%llx-%llx", use->pid,
                 (unsigned long long)use->start, (unsigned long long)use->end);
        found = stat(path, &status) == 0 && is_same_file(object, &status);
    }
    if (!found || !S_ISREG(status.st_mode))
        return false;
    *size = (uint64_t)status.st_size;
    return true;
}

/* An ELF image's first loadable segment; what the kernel maps beyond it at first, it takes away
 * again. */
static uint64_t read_first_segment(int fd) {
    Elf64_Ehdr header;
    Elf64_Phdr segment;
    if (pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_phentsize != sizeof(segment))
        return 0;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        off_t place = (off_t)(header.e_phoff + i * sizeof(segment));
        if (pread(fd, &segment, sizeof(segment), place) != (ssize_t)sizeof(segment))
            return 0;
        if (segment.p_type == PT_LOAD)
            return page_ceiling(segment.p_filesz + (segment.p_vaddr & (PAGE - 1)));
    }
    return 0;
}

uint64_t object_first_segment(struct object *object, uint32_t pid) {
    if (object->first_segment_read)
        return object->first_segment;
    char path[PATH_MAX + 64];
    int fd = open_if_same(object, object->name);
    if (fd < 0) {
        snprintf(path, sizeof(path), "/proc/%u/root%s", pid, object->name);
        fd = open_if_same(object, path);
    }
    if (fd < 0) {
        snprintf(path, sizeof(path), "/proc/%u/exe", pid);
        fd = open_if_same(object, path);
    }
    if (fd < 0)
        return 0;
    object->first_segment = read_first_segment(fd);
    object->first_segment_read = true;
    close(fd);
    return object->first_segment;
}

/* ---- sizes ---- */

static void resize(struct objects *objects, struct object *object, uint64_t size) {
    object->size = size;
    trace_resize(objects->writer, object->id, size);
}

static uint64_t end_of(const struct object_use *use) {
    return use->pgoff * PAGE + (use->end - use->start);
}

/* A file that was known already may have grown since; asked about only when that could matter. */
static void follow_growth(struct objects *objects, struct object *object,
                          const struct object_use *use) {
    bool beyond = end_of(use) > page_ceiling(object->size);
    if (!beyond && use->sharing == TRACE_PRIVATE)
        return;
    if (object->looked_up_at && objects->now - object->looked_up_at < LOOK_UP_AGAIN_NS)
        return;
    uint64_t size;
    object->looked_up_at = objects->now;
    if (!look_up(object, use, &size) || size <= object->size)
        return;
    object->sizing = SIZE_LOOKED_UP;
    resize(objects, object, size);
}

void object_touched(struct objects *objects, struct object *object, uint64_t offset) {
    uint64_t needed = page_floor(offset) + PAGE;
    if (needed <= page_ceiling(object->size))
        return;
    if (object->sizing == SIZE_TRUNCATED) {
        /* Either the program's own SIGBUS, or a file that grew again by writing: the file knows. */
        uint64_t size;
        struct object_use nowhere = { 0 };
        if (!look_up(object, &nowhere, &size) || size < page_floor(offset) + 1)
            return;
    }
    object->sizing = SIZE_PROVED;
    resize(objects, object, needed);
}

void object_truncated(struct objects *objects, struct object *object, uint64_t size) {
    object->sizing = SIZE_TRUNCATED;
    if (size != object->size)
        resize(objects, object, size);
}

/* ---- identities ---- */

static size_t bucket_of(const struct objects *objects, uint64_t inode) {
    return (size_t)((inode * 0x9e3779b97f4a7c15u) >> 40) & (objects->bucket_count - 1);
}

static bool is_object(const struct object *object, const struct object_identity *identity) {
    if (object->inode != identity->inode || object->major != identity->major ||
        object->minor != identity->minor || object->generation != identity->generation)
        return false;
    return identity->inode != 0 || strcmp(object->name, identity->name) == 0;
}

static bool starts_with(const char *text, const char *beginning) {
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

static enum object_kind kind_of(const char *name) {
    static const char *const beginnings[] = { "/memfd:",     "/SYSV", "/dev/shm/", "/dev/zero",
                                              "anon_inode:", "/[",    "[" };
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
        if (starts_with(name, beginnings[i]))
            return OBJECT_SHM;
    }
    return OBJECT_FILE;
}

/* The kernel marks the names of files that have been removed; a name is only a label here. */
static size_t length_of_name(const char *name) {
    static const char mark[] = " (deleted)";
    size_t length = strlen(name);
    size_t marked = sizeof(mark) - 1;
    bool removed = length > marked && strcmp(name + length - marked, mark) == 0;
    return removed ? length - marked : length;
}

static int make_room(struct objects *objects) {
    if (objects->count < objects->room)
        return 0;
    size_t room = objects->room ? objects->room * 2 : 256;
    struct object **list = realloc(objects->by_id, room * sizeof(struct object *));
    if (!list)
        return -1;
    objects->by_id = list;
    objects->room = room;
    return 0;
}

static struct object *declare(struct objects *objects, const struct object_identity *identity,
                              const struct object_use *use) {
    size_t length = length_of_name(identity->name);
    struct object *object = calloc(1, sizeof(*object) + length + 1);
    if (!object || make_room(objects)) {
        free(object);
        return NULL;
    }
    object->id = (uint32_t)(objects->count + 1);
    object->major = identity->major;
    object->minor = identity->minor;
    object->inode = identity->inode;
    object->generation = identity->generation;
    memcpy(object->name, identity->name, length);
    if (look_up(object, use, &object->size)) {
        object->looked_up_at = objects->now;
    } else {
        object->size = end_of(use);
        object->sizing = SIZE_PROVED;
    }
    struct object **bucket = &objects->buckets[bucket_of(objects, object->inode)];
    object->next = *bucket;
    *bucket = object;
    objects->by_id[objects->count++] = object;
    trace_object(objects->writer, object->id, kind_of(object->name), object->size, object->name);
    return object;
}

struct object *objects_map(struct objects *objects, const struct object_identity *identity,
                           const struct object_use *use) {
    struct object *object = objects->buckets[bucket_of(objects, identity->inode)];
    while (object && !is_object(object, identity))
        object = object->next;
    if (!object)
        return declare(objects, identity, use);
    follow_growth(objects, object, use);
    return object;
}

struct object *objects_by_file(const struct objects *objects, uint64_t device, uint64_t inode) {
    struct object *object = objects->buckets[bucket_of(objects, inode)];
    while (object && (object->inode != inode || makedev(object->major, object->minor) != device))
        object = object->next;
    return object;
}
