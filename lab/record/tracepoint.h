/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's tracepoints that a recording needs: their numbers and where their fields lie, as
 * tracefs tells it.
 *
 * tracepoints_load() reads tracefs where it is mounted; where it is not, root gets a mount of its
 * own that is never attached to a directory, so nothing has to be cleaned up. Calls the running
 * kernel does not know are left out.
 */
#ifndef OBJRMAP_LAB_RECORD_TRACEPOINT_H
#define OBJRMAP_LAB_RECORD_TRACEPOINT_H

#include <stddef.h>
#include <stdint.h>

/* The system calls whose arguments and results are recorded. */
enum call {
    CALL_NONE,
    CALL_MMAP,
    CALL_MUNMAP,
    CALL_MREMAP,
    CALL_MPROTECT,
    CALL_PKEY_MPROTECT,
    CALL_BRK,
    CALL_MADVISE,
    CALL_MLOCK,
    CALL_MLOCK2,
    CALL_MUNLOCK,
    CALL_MLOCKALL,
    CALL_MUNLOCKALL,
    CALL_MSYNC,
    CALL_REMAP_FILE_PAGES,
    CALL_FTRUNCATE,
    CALL_TRUNCATE,
    CALL_SHMAT,
    CALL_SHMDT,
    CALL_EXECVE,
    CALL_EXECVEAT,
    CALL_COUNT
};

enum tracepoint_role {
    ROLE_FAULT_USER,
    ROLE_FAULT_KERNEL,
    ROLE_NEW_TASK,
    ROLE_CALL_ENTER,
    ROLE_CALL_EXIT
};

enum { TRACEPOINT_FIELDS = 6, TRACEPOINT_MAX = 2 * CALL_COUNT + 8 };

/* Fields: a fault's address and error code; a new task's clone flags; a call's arguments; a call's
 * result. */
struct tracepoint {
    char name[64];
    enum tracepoint_role role;
    enum call call;
    uint16_t id;
    uint16_t offset[TRACEPOINT_FIELDS];
    unsigned fields;
};

struct tracepoints {
    struct tracepoint list[TRACEPOINT_MAX];
    size_t count;
};

/* 0, or -1 after having said on stderr what is missing and how to get it. */
int tracepoints_load(struct tracepoints *points);

#endif
