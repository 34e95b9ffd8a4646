/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the kernel's records: who is born, execs, ends, and what faults.
 *
 * Three things come in two records, which are joined here: a new task (its numbers, then its
 * flags), a mapping call (the mapped file between entry and return), and the growth of a stack (the
 * fault, then the grown mapping).
 */
#include "decode.h"

#include <stdlib.h>
#include <string.h>

enum {
    TIME_LINE_EVERY_NS = 10 * 1000 * 1000,
    FAULT_WRITES = 1 << 1,       /* bits of an x86 page fault's error code */
    SHARES_SPACE = 0x00000100,   /* CLONE_VM */
    SHARES_PROCESS = 0x00010000, /* CLONE_THREAD */
    MAPPED_SHARED = 0x01
};

struct task_record {
    uint32_t pid;
    uint32_t parent_pid;
    uint32_t tid;
    uint32_t parent_tid;
};

struct name_record {
    uint32_t pid;
    uint32_t tid;
    char name[];
};

int decoder_create(struct decoder *decoder, struct trace_writer *writer,
                   const struct tracepoints *points, uint32_t root, enum cpu_lines cpu_lines) {
    enum { NUMBERS = UINT16_MAX + 1 };
    *decoder = (struct decoder){
        .writer = writer, .points = points, .root = root, .cpu_lines = cpu_lines
    };
    decoder->cpu = UINT32_MAX;
    decoder->point_by_id = malloc(NUMBERS * sizeof(*decoder->point_by_id));
    decoder->received = calloc(points->count, sizeof(*decoder->received));
    if (!decoder->point_by_id || !decoder->received || processes_create(&decoder->processes) ||
        objects_create(&decoder->objects, writer))
        return -1;
    for (size_t i = 0; i < NUMBERS; i++)
        decoder->point_by_id[i] = -1;
    for (size_t i = 0; i < points->count; i++)
        decoder->point_by_id[points->list[i].id] = (int16_t)i;
    return 0;
}

void decoder_free(struct decoder *decoder) {
    processes_free(&decoder->processes);
    objects_free(&decoder->objects);
    free(decoder->point_by_id);
    free(decoder->received);
}

/* ---- faults ---- */

static bool permits(const struct area *area, enum event_kind kind) {
    return area->prot & (kind == EVENT_WRITE ? VM_PROT_WRITE : VM_PROT_READ | VM_PROT_EXEC);
}

/* A program's own bad access is its SIGSEGV and is recorded; the kernel's on its behalf only fails
 * the call. */
static void record_fault(struct decoder *decoder, struct task *task,
                         const struct held_fault *fault) {
    struct space *space = task->process->space;
    const struct area *area = layout_find(&space->layout, fault->page);
    if (fault->by_kernel && (!area || !permits(area, fault->kind)))
        return;
    emit_touch(decoder, space, fault->kind, fault->page);
}

static void release_fault(struct decoder *decoder, struct task *task) {
    if (!task->fault.held)
        return;
    task->fault.held = false;
    record_fault(decoder, task, &task->fault);
}

static bool may_grow_to(const struct space *space, uint64_t page) {
    const struct area *next = layout_next(&space->layout, page);
    return next && next->start > page && next->growth == AREA_GROWS_DOWN;
}

static void read_fault(struct decoder *decoder, struct task *task, const struct tracepoint *point,
                       const unsigned char *raw) {
    uint64_t address;
    uint64_t code;
    memcpy(&address, raw + point->offset[0], sizeof(address));
    memcpy(&code, raw + point->offset[1], sizeof(code));
    if (address > INT64_MAX) /* the kernel's half */
        return;
    task->fault = (struct held_fault){ .kind = code & FAULT_WRITES ? EVENT_WRITE : EVENT_READ,
                                       .by_kernel = point->role == ROLE_FAULT_KERNEL,
                                       .page = page_floor(address) };
    if (task->fault.by_kernel)
        decoder->totals.faults_kernel++;
    else
        decoder->totals.faults_user++;
    if (may_grow_to(task->process->space, task->fault.page))
        task->fault.held = true;
    else
        record_fault(decoder, task, &task->fault);
}

/* ---- birth and end ---- */

static void end_task(struct decoder *decoder, struct task *task) {
    struct process *process = task->process;
    release_fault(decoder, task);
    task_removed(task);
    if (process->tasks == 1) {
        struct space *space = process->space;
        process->space = NULL;
        if (space_release(space)) {
            trace_exit(decoder->writer, space->pid);
            space_destroy(&decoder->processes, space);
        }
    }
    task_remove(&decoder->processes, task);
}

static struct space *fork_space(struct decoder *decoder, const struct space *parent, uint32_t pid) {
    struct space *space = space_create(&decoder->processes, pid);
    if (!space || layout_inherit(&space->layout, &parent->layout)) {
        expect(decoder, -1);
        return space;
    }
    space->brk = parent->brk;
    trace_fork(decoder->writer, parent->pid, space->pid);
    return space;
}

static void begin_process(struct decoder *decoder, struct task *parent, uint64_t flags) {
    struct space *shared = parent->process->space;
    struct space *space =
        flags & SHARES_SPACE ? shared : fork_space(decoder, shared, parent->born_pid);
    if (!space)
        return;
    struct task *child = task_create(&decoder->processes, parent->born_tid, parent->born_pid);
    if (!child) {
        expect(decoder, -1);
        return;
    }
    if (space == shared)
        space->users++;
    child->process->space = space;
}

static void read_new_task(struct decoder *decoder, struct task *parent,
                          const struct tracepoint *point, const unsigned char *raw) {
    uint64_t flags;
    memcpy(&flags, raw + point->offset[0], sizeof(flags));
    struct task *stale = task_find(&decoder->processes, parent->born_tid);
    if (parent->born_tid == 0)
        return;
    if (stale) /* its end was lost */
        end_task(decoder, stale);
    if (flags & SHARES_PROCESS)
        expect(decoder, task_join(&decoder->processes, parent->born_tid, parent->process) ? 0 : -1);
    else
        begin_process(decoder, parent, flags);
    parent->born_tid = 0;
}

/* ---- exec ---- */

static struct task *task_of_process(const struct processes *processes, uint32_t pid) {
    for (size_t i = 0; i < processes->buckets; i++) {
        for (struct task *task = processes->tasks[i]; task; task = task->next) {
            if (task->process->pid == pid)
                return task;
        }
    }
    return NULL;
}

/* The task that execs is the last of its process and takes the process's number, whichever it had
 * before. */
static struct task *executing_task(struct decoder *decoder, const struct name_record *record) {
    struct task *task = task_find(&decoder->processes, record->tid);
    if (!task && decoder->started)
        task = task_of_process(&decoder->processes, record->pid);
    if (!task && (decoder->started || record->pid == decoder->root)) {
        /* The command itself, or a process whose birth was lost. */
        task = task_create(&decoder->processes, record->tid, record->pid);
        expect(decoder, task ? 0 : -1);
        return task;
    }
    if (task)
        task_take_over(&decoder->processes, task, record->tid);
    return task;
}

static void replace_space(struct decoder *decoder, struct process *process, const char *name) {
    struct space *old = process->space;
    if (old && old->users == 1) {
        layout_clear(&old->layout);
        old->brk = 0;
        old->locks_future = false;
    } else {
        if (old)
            space_release(old);
        process->space = space_create(&decoder->processes, process->pid);
        if (!process->space) {
            /* The old one has other users, or there is none: nothing can go on. */
            process->space = old;
            expect(decoder, -1);
            return;
        }
        trace_process(decoder->writer, process->space->pid, name);
    }
    trace_exec(decoder->writer, process->space->pid, name);
}

static void read_name(struct decoder *decoder, const struct ring_record *record) {
    const struct name_record *name = (const void *)(record->header + 1);
    if (!(record->header->misc & PERF_RECORD_MISC_COMM_EXEC))
        return;
    struct task *task = executing_task(decoder, name);
    if (!task)
        return;
    if (!decoder->started) {
        decoder->started = true;
        decoder->start_time = record->time;
        decoder->last_time_line = record->time;
    }
    task_removed(task);
    task->call = CALL_NONE;
    task->fault.held = false;
    task->exec = EXEC_BEFORE_STACK;
    task->loaded_object = 0;
    replace_space(decoder, task->process, name->name);
}

/* ---- mappings ---- */

static struct mapping read_mapping(const struct ring_record *record) {
    const struct mapping_record *source = (const void *)(record->header + 1);
    struct mapping mapping = { .seen = true,
                               .start = source->address,
                               .end = source->address + source->length,
                               .pgoff = source->offset / PAGE,
                               .major = source->major,
                               .minor = source->minor,
                               .inode = source->inode,
                               .generation = source->generation,
                               .prot = source->prot & 7,
                               .shared = source->flags & MAPPED_SHARED };
    size_t length = strnlen(source->name, sizeof(mapping.name) - 1);
    memcpy(mapping.name, source->name, length);
    return mapping;
}

static void read_mapped(struct decoder *decoder, struct task *task,
                        const struct ring_record *record) {
    struct mapping mapping = read_mapping(record);
    if (task->exec != EXEC_NONE) {
        load_mapping(decoder, task, &mapping);
        return;
    }
    switch (task->call) {
    case CALL_MMAP:
    case CALL_BRK:
    case CALL_SHMAT:
        task->mapping = mapping;
        break;
    case CALL_MPROTECT:
    case CALL_PKEY_MPROTECT:
    case CALL_MREMAP:
    case CALL_REMAP_FILE_PAGES:
        break; /* their arguments say it all */
    default:
        adopt_mapping(decoder, task, &mapping);
    }
}

/* ---- one record ---- */

/* Newer kernels tell a thread's end before the last thing it does: clearing the word that others wait
 * on to join it. Whether that faults is then told of its process. */
static struct task *task_of_sample(const struct decoder *decoder, const struct ring_record *record,
                                   enum tracepoint_role role) {
    struct task *task = task_find(&decoder->processes, record->tid);
    return task || role != ROLE_FAULT_KERNEL ? task
                                             : task_of_process(&decoder->processes, record->pid);
}

static void read_sample(struct decoder *decoder, const struct ring_record *record) {
    uint16_t id;
    memcpy(&id, record->raw, sizeof(id));
    int index = decoder->point_by_id[id];
    if (index < 0)
        return;
    decoder->received[index]++;
    if (!decoder->started)
        return;
    const struct tracepoint *point = &decoder->points->list[index];
    struct task *task = task_of_sample(decoder, record, point->role);
    if (!task) {
        decoder->totals.strays++;
        return;
    }
    release_fault(decoder, task);
    switch (point->role) {
    case ROLE_FAULT_USER:
    case ROLE_FAULT_KERNEL:
        read_fault(decoder, task, point, record->raw);
        break;
    case ROLE_NEW_TASK:
        read_new_task(decoder, task, point, record->raw);
        break;
    case ROLE_CALL_ENTER:
        call_enter(decoder, task, point, record->raw);
        break;
    case ROLE_CALL_EXIT: {
        int64_t result;
        memcpy(&result, record->raw + point->offset[0], sizeof(result));
        call_exit(decoder, task, point->call, result);
        break;
    }
    }
}

static void read_mapping_record(struct decoder *decoder, const struct ring_record *record) {
    struct task *task = task_find(&decoder->processes, record->tid);
    if (!task)
        return;
    read_mapped(decoder, task, record);
    release_fault(decoder, task); /* a stack that was to grow has grown by now */
}

/* The child's numbers; its flags follow in the tracepoint. */
static void read_birth(struct decoder *decoder, const struct ring_record *record) {
    const struct task_record *birth = (const void *)(record->header + 1);
    struct task *parent = task_find(&decoder->processes, record->tid);
    if (!parent)
        return;
    parent->born_pid = birth->pid;
    parent->born_tid = birth->tid;
}

static void read_end(struct decoder *decoder, const struct ring_record *record) {
    const struct task_record *end = (const void *)(record->header + 1);
    struct task *task = task_find(&decoder->processes, end->tid);
    if (task)
        end_task(decoder, task);
}

static void count_loss(struct decoder *decoder, const struct ring_record *record) {
    const uint64_t *body = (const void *)(record->header + 1);
    decoder->totals.lost += record->header->type == PERF_RECORD_LOST ? body[1] : body[0];
}

static void tell_time_and_cpu(struct decoder *decoder, const struct ring_record *record) {
    decoder->objects.now = record->time;
    if (!decoder->started)
        return;
    if (record->time >= decoder->last_time_line + TIME_LINE_EVERY_NS) {
        trace_time(decoder->writer, record->time - decoder->start_time);
        decoder->last_time_line = record->time;
    }
    if (decoder->cpu_lines == CPU_LINES_ON && record->cpu != decoder->cpu) {
        trace_cpu(decoder->writer, record->cpu);
        decoder->cpu = record->cpu;
    }
}

void decoder_read(void *context, const struct ring_record *record) {
    struct decoder *decoder = context;
    decoder->totals.events++;
    if (decoder->out_of_memory)
        return;
    tell_time_and_cpu(decoder, record);
    switch (record->header->type) {
    case PERF_RECORD_SAMPLE:
        read_sample(decoder, record);
        break;
    case PERF_RECORD_COMM:
        read_name(decoder, record);
        break;
    case PERF_RECORD_LOST:
    case PERF_RECORD_LOST_SAMPLES:
        count_loss(decoder, record);
        break;
    case PERF_RECORD_MMAP2:
        read_mapping_record(decoder, record);
        break;
    case PERF_RECORD_FORK:
        read_birth(decoder, record);
        break;
    case PERF_RECORD_EXIT:
        read_end(decoder, record);
        break;
    default:
        break;
    }
}

void decoder_finish(struct decoder *decoder) {
    for (size_t i = 0; i < decoder->processes.buckets; i++) {
        for (struct task *task = decoder->processes.tasks[i]; task; task = task->next)
            release_fault(decoder, task);
    }
}
