/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each system call did to the space, told from its arguments and its result.
 *
 * A call is written when it returns, so failed calls leave nothing, with two exceptions where the
 * kernel had already changed the part before a hole: mprotect and madvise that return ENOMEM. A
 * file's identity comes from the mapping record between entry and return.
 *
 * Returns of two tasks can come in the other order than their work: a mapping may be told before
 * the munmap in another task that made room for it. Tasks that take mappings away are therefore
 * listed in their space, and a new mapping that overlaps such a call's range settles that call
 * first.
 */
#include "decode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef void call_handler(struct decoder *decoder, struct task *task, int64_t result);

enum {
    HUGE_SHIFT = 26, /* where mmap's flags keep the size of huge pages */
    HUGE_MASK = 0x3f,
    HUGE_DEFAULT = 21,
    KEEP_OLD = 4,                   /* MREMAP_DONTUNMAP */
    PROT_DOWN_TO_START = 0x01000000 /* PROT_GROWSDOWN */
};

static struct space *space_of(const struct task *task) {
    return task->process->space;
}

static void settle_removals(struct decoder *decoder, struct task *task, uint64_t start,
                            uint64_t end) {
    struct space *space = space_of(task);
    for (struct task *other = space->removing; other; other = other->next_removing) {
        uint64_t other_start = other->arguments[0];
        uint64_t other_end = other_start + page_ceiling(other->arguments[1]);
        if (other == task || other->overtaken || other_start >= end || other_end <= start)
            continue;
        other->overtaken = true;
        if (other->call == CALL_MUNMAP)
            emit_unmap(decoder, space, other_start, other_end);
    }
}

/* ---- mapping ---- */

static uint64_t mapped_length(uint64_t length, uint64_t flags) {
    if (!(flags & MAP_HUGETLB))
        return page_ceiling(length);
    uint64_t shift = (flags >> HUGE_SHIFT) & HUGE_MASK;
    uint64_t huge = UINT64_C(1) << (shift ? shift : HUGE_DEFAULT);
    return (length + huge - 1) & ~(huge - 1);
}

/* mmap filled in the pages itself: private writable ones as if written, all others as if read. */
static void populate(struct decoder *decoder, struct space *space, const struct area *area) {
    if (!area->prot)
        return;
    bool writes = (area->prot & VM_PROT_WRITE) && area->sharing == TRACE_PRIVATE;
    emit_touches(decoder, space, writes ? EVENT_WRITE : EVENT_READ, area->start, area->end);
}

static void did_mmap(struct decoder *decoder, struct task *task, int64_t result) {
    const uint64_t *arguments = task->arguments;
    uint64_t flags = arguments[3];
    struct mapping mapping = task->mapping;
    mapping.start = (uint64_t)result;
    mapping.end = mapping.start + mapped_length(arguments[1], flags);
    mapping.pgoff = arguments[5] / PAGE;
    mapping.shared = flags & MAP_SHARED; /* MAP_SHARED_VALIDATE has this bit, too */
    if (!mapping.seen)
        mapping.prot = (unsigned)arguments[2] & 7;
    if (!mapping.seen || (flags & MAP_ANONYMOUS)) {
        mapping.major = mapping.minor = 0;
        mapping.inode = 0;
        snprintf(mapping.name, sizeof(mapping.name), "%s",
                 flags & MAP_ANONYMOUS ? "//anon" : "unknown");
    }
    settle_removals(decoder, task, mapping.start, mapping.end);
    struct area area = mapped_area(decoder, &mapping, task->process->pid);
    area.growth = flags & MAP_GROWSDOWN ? AREA_GROWS_DOWN : AREA_FIXED;
    emit_map(decoder, space_of(task), &area);
    if (flags & MAP_LOCKED)
        trace_lock(decoder->writer, space_of(task)->pid, area.start, area.end - area.start);
    if ((flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE || (flags & MAP_LOCKED))
        populate(decoder, space_of(task), &area);
}

static void did_shmat(struct decoder *decoder, struct task *task, int64_t result) {
    if (!task->mapping.seen)
        return;
    settle_removals(decoder, task, (uint64_t)result, task->mapping.end);
    struct area area = mapped_area(decoder, &task->mapping, task->process->pid);
    emit_map(decoder, space_of(task), &area);
}

/* All that is left of the attachment: areas of the segment that lie where they would, seen from its
 * start. */
static void did_shmdt(struct decoder *decoder, struct task *task, int64_t result) {
    (void)result;
    struct space *space = space_of(task);
    uint64_t start = task->arguments[0];
    const struct area *area = layout_next(&space->layout, start);
    while (area && (!area->object || area->pgoff * PAGE != area->start - start))
        area = layout_next(&space->layout, area->end);
    if (!area)
        return;
    uint32_t object = area->object;
    uint64_t end = start + page_ceiling(objects_by_id(&decoder->objects, object)->size);
    for (uint64_t at = start; (area = layout_next(&space->layout, at)) && area->start < end;) {
        at = area->end;
        if (area->object == object && area->pgoff * PAGE == area->start - start)
            emit_unmap(decoder, space, area->start, area->end);
    }
}

static void did_brk(struct decoder *decoder, struct task *task, int64_t result) {
    struct space *space = space_of(task);
    uint64_t old_end = page_ceiling(space->brk);
    uint64_t new_end = page_ceiling((uint64_t)result);
    bool asked = task->arguments[0] == (uint64_t)result;
    if (space->brk == 0 && asked && task->mapping.seen)
        adopt_mapping(decoder, task, &task->mapping);
    else if (space->brk != 0 && new_end < old_end)
        emit_unmap(decoder, space, new_end, old_end);
    else if (space->brk != 0 && new_end > old_end) {
        unsigned prot = task->mapping.seen ? task->mapping.prot : VM_PROT_READ | VM_PROT_WRITE;
        settle_removals(decoder, task, old_end, new_end);
        emit_map(decoder, space, &(struct area){ .start = old_end, .end = new_end, .prot = prot });
    }
    space->brk = (uint64_t)result;
}

static void did_munmap(struct decoder *decoder, struct task *task, int64_t result) {
    (void)result;
    uint64_t start = task->arguments[0];
    if (!task->overtaken)
        emit_unmap(decoder, space_of(task), start, start + page_ceiling(task->arguments[1]));
}

/* ---- moving ---- */

/* old_start..old_end lies within area. */
static void move_area(struct decoder *decoder, struct space *space, struct area area,
                      uint64_t new_start, uint64_t new_length, bool keeps_old) {
    struct area moved = area;
    moved.start = new_start;
    moved.end = new_start + new_length;
    expect(decoder, layout_cut(&space->layout, area.start, area.end));
    expect(decoder, layout_put(&space->layout, &moved));
    trace_move(decoder->writer, space->pid, area.start, area.end - area.start, new_start,
               new_length);
    if (keeps_old)
        emit_map(decoder, space, &area);
}

/* Several areas (moved as they are, holes and all) become one line each. */
static void move_range(struct decoder *decoder, struct space *space, uint64_t old_start,
                       uint64_t length, uint64_t new_start, bool keeps_old) {
    emit_unmap(decoder, space, new_start, new_start + length);
    uint64_t end = old_start + length;
    const struct area *area;
    for (uint64_t at = old_start; (area = layout_next(&space->layout, at)) && area->start < end;) {
        struct area part = area_within(area, old_start, end);
        at = part.end;
        move_area(decoder, space, part, new_start + (part.start - old_start), part.end - part.start,
                  keeps_old);
    }
}

static void did_mremap(struct decoder *decoder, struct task *task, int64_t result) {
    struct space *space = space_of(task);
    uint64_t old_start = task->arguments[0];
    uint64_t old_length = page_ceiling(task->arguments[1]);
    uint64_t new_start = (uint64_t)result;
    uint64_t new_length = page_ceiling(task->arguments[2]);
    bool keeps_old = task->arguments[3] & KEEP_OLD;
    const struct area *found = layout_find(&space->layout, old_start);
    settle_removals(decoder, task, new_start, new_start + new_length);
    found = layout_find(&space->layout, old_start);
    if (!found)
        return;
    struct area area = area_within(found, old_start, old_start + old_length);
    if (old_length == 0 || task->overtaken) {
        /* A second mapping of the same shared pages (of anonymous ones the format cannot say that
         * they are the same); or the old place is another task's already. */
        area = area_within(found, old_start, UINT64_MAX);
        area.start = new_start;
        area.end = new_start + new_length;
        emit_map(decoder, space, &area);
    } else if (new_start == old_start && new_length < old_length) {
        emit_unmap(decoder, space, new_start + new_length, old_start + old_length);
    } else if (area.end == old_start + old_length) {
        move_area(decoder, space, area, new_start, new_length, keeps_old);
    } else {
        move_range(decoder, space, old_start, old_length < new_length ? old_length : new_length,
                   new_start, keeps_old);
    }
}

static void did_remap_file_pages(struct decoder *decoder, struct task *task, int64_t result) {
    (void)result;
    struct space *space = space_of(task);
    uint64_t start = page_floor(task->arguments[0]);
    uint64_t length = task->arguments[1] & ~(uint64_t)(PAGE - 1);
    const struct area *found = layout_find(&space->layout, start);
    if (!found)
        return;
    struct area area = area_within(found, start, start + length);
    area.end = start + length;
    area.pgoff = task->arguments[3];
    expect(decoder, layout_put(&space->layout, &area));
    trace_nonlinear(decoder->writer, space->pid, start, length, area.pgoff);
}

/* ---- attributes ---- */

/* Where the mapped memory that begins at start ends. */
static uint64_t first_hole(const struct space *space, uint64_t start, uint64_t end) {
    const struct area *area;
    while (start < end && (area = layout_find(&space->layout, start)))
        start = area->end;
    return start < end ? start : end;
}

static void did_mprotect(struct decoder *decoder, struct task *task, int64_t result) {
    struct space *space = space_of(task);
    uint64_t start = task->arguments[0];
    uint64_t end = start + page_ceiling(task->arguments[1]);
    unsigned prot = (unsigned)task->arguments[2] & 7;
    const struct area *area = layout_find(&space->layout, start);
    if ((task->arguments[2] & PROT_DOWN_TO_START) && area && area->growth == AREA_GROWS_DOWN)
        start = area->start;
    if (result == -ENOMEM) {
        uint64_t hole = first_hole(space, start, end);
        end = hole < end ? hole : start;
    }
    if (start >= end)
        return;
    expect(decoder, layout_protect(&space->layout, start, end, prot));
    trace_protect(decoder->writer, space->pid, start, end - start, prot);
}

/* By the kernel's numbers. */
static const struct {
    uint64_t number;
    enum vm_advice advice;
} advices[] = {
    { 1, VM_MADV_RANDOM },      { 2, VM_MADV_SEQUENTIAL },
    { 3, VM_MADV_WILLNEED },    { 4, VM_MADV_DONTNEED },
    { 8, VM_MADV_FREE },        { 10, VM_MADV_DONTFORK },
    { 11, VM_MADV_DOFORK },     { 14, VM_MADV_HUGEPAGE },
    { 15, VM_MADV_NOHUGEPAGE }, { 20, VM_MADV_COLD },
    { 21, VM_MADV_PAGEOUT },    { 24, VM_MADV_DONTNEED }, /* locked, too */
    { 102, VM_MADV_DONTNEED },                            /* guard pages: what was there goes */
};

enum {
    ADVICE_DONTFORK = 10,
    ADVICE_DOFORK = 11,
    ADVICE_POPULATE_READ = 22,
    ADVICE_POPULATE_WRITE = 23
};

static bool find_advice(uint64_t number, enum vm_advice *advice) {
    for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
        if (advices[i].number == number) {
            *advice = advices[i].advice;
            return true;
        }
    }
    return false;
}

static void advise(struct decoder *decoder, struct space *space, uint64_t start, uint64_t end,
                   uint64_t number) {
    enum vm_advice advice;
    if (number == ADVICE_POPULATE_READ || number == ADVICE_POPULATE_WRITE)
        emit_touches(decoder, space, number == ADVICE_POPULATE_WRITE ? EVENT_WRITE : EVENT_READ,
                     start, end);
    if (number == ADVICE_DONTFORK || number == ADVICE_DOFORK)
        expect(decoder, layout_set_inheritance(&space->layout, start, end,
                                               number == ADVICE_DOFORK ? AREA_INHERITED
                                                                       : AREA_NOT_INHERITED));
    if (find_advice(number, &advice))
        trace_advise(decoder->writer, space->pid, start, end - start, advice);
}

/* Over holes the kernel goes on to the end and then says ENOMEM: each mapped piece was advised. */
static void did_madvise(struct decoder *decoder, struct task *task, int64_t result) {
    struct space *space = space_of(task);
    uint64_t start = task->arguments[0];
    uint64_t end = start + page_ceiling(task->arguments[1]);
    if (result == 0 && start < end) {
        advise(decoder, space, start, end, task->arguments[2]);
        return;
    }
    while (start < end) {
        const struct area *area = layout_next(&space->layout, start);
        if (!area || area->start >= end)
            return;
        if (area->start > start)
            start = area->start;
        uint64_t hole = first_hole(space, start, end);
        advise(decoder, space, start, hole, task->arguments[2]);
        start = hole;
    }
}

static void did_mlock(struct decoder *decoder, struct task *task, int64_t result) {
    (void)result;
    uint64_t start = page_floor(task->arguments[0]);
    uint64_t end = page_ceiling(task->arguments[0] + task->arguments[1]);
    if (start < end)
        trace_lock(decoder->writer, space_of(task)->pid, start, end - start);
}

static void did_munlock(struct decoder *decoder, struct task *task, int64_t result) {
    (void)result;
    uint64_t start = page_floor(task->arguments[0]);
    uint64_t end = page_ceiling(task->arguments[0] + task->arguments[1]);
    if (start < end)
        trace_unlock(decoder->writer, space_of(task)->pid, start, end - start);
}

typedef void range_line(struct trace_writer *writer, uint32_t pid, uint64_t address,
                        uint64_t length);

/* Area by area, since one that cannot be filled in does not keep the kernel from the others. Its
 * own special mappings are never locked. */
static void write_for_all(struct decoder *decoder, const struct space *space,
                          range_line *write_line) {
    for (const struct area *area = layout_next(&space->layout, 0); area;
         area = layout_next(&space->layout, area->end)) {
        if (!area->object || objects_by_id(&decoder->objects, area->object)->name[0] != '[')
            write_line(decoder->writer, space->pid, area->start, area->end - area->start);
    }
}

static void did_mlockall(struct decoder *decoder, struct task *task, int64_t result) {
    (void)result;
    if (task->arguments[0] & MCL_CURRENT)
        write_for_all(decoder, space_of(task), trace_lock);
    space_of(task)->locks_future = task->arguments[0] & MCL_FUTURE;
}

static void did_munlockall(struct decoder *decoder, struct task *task, int64_t result) {
    (void)result;
    space_of(task)->locks_future = false;
    write_for_all(decoder, space_of(task), trace_unlock);
}

static void did_msync(struct decoder *decoder, struct task *task, int64_t result) {
    (void)result;
    if (task->arguments[1] > 0)
        trace_sync(decoder->writer, space_of(task)->pid, task->arguments[0],
                   page_ceiling(task->arguments[1]));
}

/* ---- sizes of files ---- */

static void truncated(struct decoder *decoder, const char *path, uint64_t size) {
    struct stat status;
    if (stat(path, &status))
        return;
    struct object *object = objects_by_file(&decoder->objects, status.st_dev, status.st_ino);
    if (object)
        object_truncated(&decoder->objects, object, size);
}

static void did_ftruncate(struct decoder *decoder, struct task *task, int64_t result) {
    (void)result;
    char path[64];
    snprintf(path, sizeof(path), "/proc/%u/fd/%d", task->process->pid, (int)task->arguments[0]);
    truncated(decoder, path, task->arguments[1]);
}

/* The path is a string in the program's memory: readable only as long as it is still there. */
static bool read_string(uint32_t pid, uint64_t address, char *text, size_t room) {
    char memory[64];
    snprintf(memory, sizeof(memory), "/proc/%u/mem", pid);
    int fd = open(memory, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = pread(fd, text, room - 1, (off_t)address);
    close(fd);
    if (got <= 0)
        return false;
    text[got] = '\0';
    return strlen(text) < (size_t)got;
}

static void did_truncate(struct decoder *decoder, struct task *task, int64_t result) {
    (void)result;
    enum { LONGEST_PATH = 4096 };
    char name[LONGEST_PATH];
    char path[LONGEST_PATH + 64];
    if (!read_string(task->process->pid, task->arguments[0], name, sizeof(name)))
        return;
    snprintf(path, sizeof(path), "/proc/%u/%s/%s", task->process->pid,
             name[0] == '/' ? "root" : "cwd", name);
    truncated(decoder, path, task->arguments[1]);
}

/* ---- all of them ---- */

struct call_effect {
    call_handler *done;
    bool removes; /* takes mappings away */
    bool partial; /* has effects when it returns ENOMEM */
};

static const struct call_effect effects[CALL_COUNT] = {
    [CALL_MMAP] = { .done = did_mmap },
    [CALL_MUNMAP] = { .done = did_munmap, .removes = true },
    [CALL_MREMAP] = { .done = did_mremap, .removes = true },
    [CALL_MPROTECT] = { .done = did_mprotect, .partial = true },
    [CALL_PKEY_MPROTECT] = { .done = did_mprotect, .partial = true },
    [CALL_BRK] = { .done = did_brk },
    [CALL_MADVISE] = { .done = did_madvise, .partial = true },
    [CALL_MLOCK] = { .done = did_mlock },
    [CALL_MLOCK2] = { .done = did_mlock },
    [CALL_MUNLOCK] = { .done = did_munlock },
    [CALL_MLOCKALL] = { .done = did_mlockall },
    [CALL_MUNLOCKALL] = { .done = did_munlockall },
    [CALL_MSYNC] = { .done = did_msync },
    [CALL_REMAP_FILE_PAGES] = { .done = did_remap_file_pages },
    [CALL_FTRUNCATE] = { .done = did_ftruncate },
    [CALL_TRUNCATE] = { .done = did_truncate },
    [CALL_SHMAT] = { .done = did_shmat },
    [CALL_SHMDT] = { .done = did_shmdt },
};

static bool took_effect(const struct call_effect *effect, int64_t result) {
    bool failed = result < 0 && result > -PAGE;
    return !failed || (effect->partial && result == -ENOMEM);
}

void call_enter(struct decoder *decoder, struct task *task, const struct tracepoint *point,
                const unsigned char *raw) {
    (void)decoder;
    task_removed(task);
    task->exec = EXEC_NONE;
    task->call = point->call;
    task->overtaken = false;
    task->mapping.seen = false;
    for (unsigned i = 0; i < point->fields; i++)
        memcpy(&task->arguments[i], raw + point->offset[i], sizeof(task->arguments[i]));
    if (effects[task->call].removes)
        task_removing(task);
}

void call_exit(struct decoder *decoder, struct task *task, enum call call, int64_t result) {
    task->exec = EXEC_NONE;
    if (task->call != call)
        return;
    task_removed(task);
    const struct call_effect *effect = &effects[call];
    if (effect->done && took_effect(effect, result))
        effect->done(decoder, task, result);
    task->call = CALL_NONE;
}
