/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who runs in which address space: tasks (threads) belong to processes, processes use spaces.
 *
 * A space is what the trace calls a process. Usually the two are one, but a child of vfork or
 * posix_spawn runs in its parent's space until it execs, and what it does there belongs to the
 * parent. A space ends with its last user. The PID in the trace is the process's, unless a living
 * space still bears that number; then it is one no process has.
 */
#ifndef OBJRMAP_LAB_RECORD_PROCESS_H
#define OBJRMAP_LAB_RECORD_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"
#include "tracepoint.h"

struct task;

struct space {
    struct space *next; /* in its bucket, by pid */
    uint32_t pid;
    unsigned users; /* processes */
    struct layout layout;
    uint64_t brk;          /* 0 when not known yet */
    bool locks_future;     /* mlockall(MCL_FUTURE) */
    struct task *removing; /* tasks inside a call that takes mappings away */
};

struct process {
    uint32_t pid;
    unsigned tasks;
    struct space *space;
};

/* What a mapping record said between the entry to a call and its return. */
struct mapping {
    bool seen;
    uint64_t start;
    uint64_t end;
    uint64_t pgoff;
    uint64_t inode;
    uint64_t generation;
    uint32_t major;
    uint32_t minor;
    unsigned prot;
    bool shared;
    char name[1024];
};

/* A fault below a growing area, until the next record tells whether the area grew to hold it. */
struct held_fault {
    bool held;
    enum event_kind kind;
    bool by_kernel;
    uint64_t page;
};

enum exec_phase { EXEC_NONE, EXEC_BEFORE_STACK, EXEC_LOADING };

struct task {
    struct task *next; /* in its bucket, by tid */
    uint32_t tid;
    struct process *process;

    enum call call; /* being inside which call */
    bool overtaken; /* another task's mapping already took the place this call was freeing */
    uint64_t arguments[TRACEPOINT_FIELDS];
    struct mapping mapping;
    struct task *next_removing;

    enum exec_phase exec;
    uint32_t loaded_object; /* whose first segment has been seen in this exec */

    uint32_t born_pid; /* the newest child, until its flags are told */
    uint32_t born_tid;

    struct held_fault fault;
};

struct processes {
    struct task **tasks;
    struct space **spaces;
    size_t buckets;
    uint32_t next_free_pid;
    uint64_t started; /* processes, ever */
};

int processes_create(struct processes *processes);
void processes_free(struct processes *processes);

struct task *task_find(const struct processes *processes, uint32_t tid);
/* A task of a new process (its space still missing); NULL when memory is short. */
struct task *task_create(struct processes *processes, uint32_t tid, uint32_t pid);
/* One more task of a process; NULL when memory is short. */
struct task *task_join(struct processes *processes, uint32_t tid, struct process *process);
/* Takes the task away, and with the last one the process, whose space must have been released
 * before. */
void task_remove(struct processes *processes, struct task *task);
/* Takes all tasks of the process away but the given one, which from now on is the one of number
 * tid. */
void task_take_over(struct processes *processes, struct task *task, uint32_t tid);

/* A new empty space with one user, under pid if that is free; NULL when memory is short. */
struct space *space_create(struct processes *processes, uint32_t pid);
/* One user less; true when that was the last and the space (which the caller then destroys) is done
 * with. */
bool space_release(struct space *space);
void space_destroy(struct processes *processes, struct space *space);

/* Marks a task as taking mappings away until task_removed(). */
void task_removing(struct task *task);
void task_removed(struct task *task);

#endif
