/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables of tasks and spaces. A process has no table: it is found through its tasks.
 */
#include "process.h"

#include <stdlib.h>

enum { BUCKETS = 1 << 14, FIRST_FREE_PID = 1 << 22 /* the kernel's own limit for PIDs */ };

int processes_create(struct processes *processes) {
    *processes = (struct processes){ .buckets = BUCKETS, .next_free_pid = FIRST_FREE_PID + 1 };
    processes->tasks = calloc(BUCKETS, sizeof(struct task *));
    processes->spaces = calloc(BUCKETS, sizeof(struct space *));
    return processes->tasks && processes->spaces ? 0 : -1;
}

static size_t bucket_of(uint32_t number) {
    return number & (BUCKETS - 1);
}

static struct task **task_link(const struct processes *processes, uint32_t tid) {
    struct task **link = &processes->tasks[bucket_of(tid)];
    while (*link && (*link)->tid != tid)
        link = &(*link)->next;
    return link;
}

static struct space **space_link(const struct processes *processes, uint32_t pid) {
    struct space **link = &processes->spaces[bucket_of(pid)];
    while (*link && (*link)->pid != pid)
        link = &(*link)->next;
    return link;
}

struct task *task_find(const struct processes *processes, uint32_t tid) {
    return *task_link(processes, tid);
}

static void insert_task(struct processes *processes, struct task *task) {
    struct task **bucket = &processes->tasks[bucket_of(task->tid)];
    task->next = *bucket;
    *bucket = task;
}

static void unlink_task(struct processes *processes, struct task *task) {
    *task_link(processes, task->tid) = task->next;
}

struct task *task_join(struct processes *processes, uint32_t tid, struct process *process) {
    struct task *task = calloc(1, sizeof(*task));
    if (!task)
        return NULL;
    task->tid = tid;
    task->process = process;
    process->tasks++;
    insert_task(processes, task);
    return task;
}

struct task *task_create(struct processes *processes, uint32_t tid, uint32_t pid) {
    struct process *process = calloc(1, sizeof(*process));
    if (!process)
        return NULL;
    process->pid = pid;
    struct task *task = task_join(processes, tid, process);
    if (!task)
        free(process);
    else
        processes->started++;
    return task;
}

void task_remove(struct processes *processes, struct task *task) {
    task_removed(task);
    unlink_task(processes, task);
    if (--task->process->tasks == 0)
        free(task->process);
    free(task);
}

void task_take_over(struct processes *processes, struct task *task, uint32_t tid) {
    struct process *process = task->process;
    for (size_t i = 0; i < BUCKETS && process->tasks > 1; i++) {
        struct task *next;
        for (struct task *other = processes->tasks[i]; other; other = next) {
            next = other->next;
            if (other->process == process && other != task)
                task_remove(processes, other);
        }
    }
    unlink_task(processes, task);
    task->tid = tid;
    insert_task(processes, task);
}

struct space *space_create(struct processes *processes, uint32_t pid) {
    struct space *space = calloc(1, sizeof(*space));
    if (!space)
        return NULL;
    space->pid = *space_link(processes, pid) ? processes->next_free_pid++ : pid;
    space->users = 1;
    struct space **bucket = &processes->spaces[bucket_of(space->pid)];
    space->next = *bucket;
    *bucket = space;
    return space;
}

bool space_release(struct space *space) {
    return --space->users == 0;
}

void space_destroy(struct processes *processes, struct space *space) {
    *space_link(processes, space->pid) = space->next;
    layout_clear(&space->layout);
    free(space);
}

void task_removing(struct task *task) {
    struct space *space = task->process->space;
    task->next_removing = space->removing;
    space->removing = task;
}

void task_removed(struct task *task) {
    if (!task->process->space)
        return;
    struct task **link = &task->process->space->removing;
    while (*link && *link != task)
        link = &(*link)->next_removing;
    if (*link)
        *link = task->next_removing;
    task->next_removing = NULL;
}

void processes_free(struct processes *processes) {
    for (size_t i = 0; processes->tasks && i < BUCKETS; i++) {
        while (processes->tasks[i]) {
            struct task *task = processes->tasks[i];
            struct space *space = task->process->space;
            bool last = task->process->tasks == 1;
            task_remove(processes, task);
            if (last && space && space_release(space))
                space_destroy(processes, space);
        }
    }
    free(processes->tasks);
    free(processes->spaces);
}
