/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading tracefs. Each tracepoint has a text file `format` with a line for each field:
 *
 *     field:unsigned long address;	offset:8;	size:8;	signed:0;
 *
 * A system call's arguments are not named alike everywhere, but they always follow the field
 * __syscall_nr in order.
 */
#include "tracepoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "command.h"

enum need { NEED_NOT, NEED };

struct call_name {
    enum call call;
    const char *name;
    enum need need;
};

static const struct call_name call_names[] = {
    { CALL_MMAP, "mmap", NEED },
    { CALL_MUNMAP, "munmap", NEED },
    { CALL_MREMAP, "mremap", NEED },
    { CALL_MPROTECT, "mprotect", NEED },
    { CALL_PKEY_MPROTECT, "pkey_mprotect", NEED_NOT },
    { CALL_BRK, "brk", NEED },
    { CALL_MADVISE, "madvise", NEED_NOT },
    { CALL_MLOCK, "mlock", NEED_NOT },
    { CALL_MLOCK2, "mlock2", NEED_NOT },
    { CALL_MUNLOCK, "munlock", NEED_NOT },
    { CALL_MLOCKALL, "mlockall", NEED_NOT },
    { CALL_MUNLOCKALL, "munlockall", NEED_NOT },
    { CALL_MSYNC, "msync", NEED_NOT },
    { CALL_REMAP_FILE_PAGES, "remap_file_pages", NEED_NOT },
    { CALL_FTRUNCATE, "ftruncate", NEED_NOT },
    { CALL_TRUNCATE, "truncate", NEED_NOT },
    { CALL_SHMAT, "shmat", NEED_NOT },
    { CALL_SHMDT, "shmdt", NEED_NOT },
};

static int open_mounted(void) {
    static const char *const places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        int fd = open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && faccessat(fd, "events/exceptions/page_fault_user/format", R_OK, 0) == 0)
            return fd;
        if (fd >= 0)
            close(fd);
    }
    return -1;
}

static int open_own_mount(void) {
    enum { FSCONFIG_CREATE_IT = 6 };
    int context = (int)syscall(SYS_fsopen, "tracefs", 1);
    if (context < 0)
        return -1;
    int mount = -1;
    if (syscall(SYS_fsconfig, context, FSCONFIG_CREATE_IT, NULL, NULL, 0) == 0)
        mount = (int)syscall(SYS_fsmount, context, 1, 0);
    close(context);
    return mount;
}

static int open_tracefs(void) {
    int fd = open_mounted();
    return fd >= 0 ? fd : open_own_mount();
}

/* The whole of a small file as a string that the caller frees; NULL when it cannot be read. */
static char *read_text(int directory, const char *path) {
    enum { TEXT_BYTES = 16 * 1024 };
    int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char *text = malloc(TEXT_BYTES);
    ssize_t used = 0;
    ssize_t got = text ? read(fd, text, TEXT_BYTES - 1) : -1;
    while (got > 0) {
        used += got;
        got = read(fd, text + used, (size_t)(TEXT_BYTES - 1 - used));
    }
    close(fd);
    if (got < 0) {
        free(text);
        return NULL;
    }
    text[used] = '\0';
    return text;
}

static bool field_offset(const char *line, uint16_t *offset) {
    const char *place = strstr(line, "offset:");
    if (!place)
        return false;
    *offset = (uint16_t)strtoul(place + strlen("offset:"), NULL, 10);
    return true;
}

/* => pattern ends with the ';' that ends a field's declaration, so "address;" does not find
 * "ip_address_2;". */
static bool find_field(const char *text, const char *pattern, uint16_t *offset) {
    const char *line = strstr(text, pattern);
    return line && field_offset(line, offset);
}

static void find_arguments(const char *text, struct tracepoint *point) {
    const char *line = strstr(text, "__syscall_nr;");
    while (line && point->fields < TRACEPOINT_FIELDS) {
        line = strstr(line + 1, "field:");
        if (!line || !field_offset(line, &point->offset[point->fields]))
            return;
        point->fields++;
    }
}

static bool find_fields(const char *text, struct tracepoint *point) {
    switch (point->role) {
    case ROLE_FAULT_USER:
    case ROLE_FAULT_KERNEL:
        point->fields = 2;
        return find_field(text, " address;", &point->offset[0]) &&
               find_field(text, " error_code;", &point->offset[1]);
    case ROLE_NEW_TASK:
        point->fields = 1;
        return find_field(text, " clone_flags;", &point->offset[0]);
    case ROLE_CALL_EXIT:
        point->fields = 1;
        return find_field(text, " ret;", &point->offset[0]);
    case ROLE_CALL_ENTER:
        find_arguments(text, point);
        return true;
    }
    return false;
}

static bool load_one(int tracefs, struct tracepoints *points, struct tracepoint point) {
    char path[128];
    snprintf(path, sizeof(path), "events/%s/format", point.name);
    char *text = read_text(tracefs, path);
    if (!text)
        return false;
    const char *id = strstr(text, "\nID:");
    bool good = id && find_fields(text, &point);
    if (good) {
        point.id = (uint16_t)strtoul(id + strlen("\nID:"), NULL, 10);
        points->list[points->count++] = point;
    }
    free(text);
    return good;
}

/* False only when the tracepoint is one that no recording can do without. */
static bool load_call(int tracefs, struct tracepoints *points, const struct call_name *call) {
    struct tracepoint enter = { .role = ROLE_CALL_ENTER, .call = call->call };
    struct tracepoint leave = { .role = ROLE_CALL_EXIT, .call = call->call };
    snprintf(enter.name, sizeof(enter.name), "syscalls/sys_enter_%s", call->name);
    snprintf(leave.name, sizeof(leave.name), "syscalls/sys_exit_%s", call->name);
    size_t before = points->count;
    if (load_one(tracefs, points, leave) && load_one(tracefs, points, enter))
        return true;
    points->count = before;
    return call->need == NEED_NOT;
}

static bool load_all(int tracefs, struct tracepoints *points) {
    static const struct tracepoint plain[] = {
        { .name = "exceptions/page_fault_user", .role = ROLE_FAULT_USER },
        { .name = "exceptions/page_fault_kernel", .role = ROLE_FAULT_KERNEL },
        { .name = "task/task_newtask", .role = ROLE_NEW_TASK },
        { .name = "syscalls/sys_exit_execve", .role = ROLE_CALL_EXIT, .call = CALL_EXECVE },
        { .name = "syscalls/sys_exit_execveat", .role = ROLE_CALL_EXIT, .call = CALL_EXECVEAT },
    };
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        if (!load_one(tracefs, points, plain[i])) {
            complain("this kernel has no tracepoint %s, which recording needs (x86-64, "
                     "CONFIG_FTRACE_SYSCALLS)",
                     plain[i].name);
            return false;
        }
    }
    for (size_t i = 0; i < sizeof(call_names) / sizeof(call_names[0]); i++) {
        if (!load_call(tracefs, points, &call_names[i])) {
            complain("this kernel does not trace the system call %s, which recording needs "
                     "(CONFIG_FTRACE_SYSCALLS)",
                     call_names[i].name);
            return false;
        }
    }
    return true;
}

int tracepoints_load(struct tracepoints *points) {
    points->count = 0;
    int tracefs = open_tracefs();
    if (tracefs < 0) {
        complain("cannot read the kernel's tracepoints (tracefs): %s; record as root, or have root "
                 "run \"mount -t tracefs -o mode=755,gid=%u tracefs /sys/kernel/tracing\" and "
                 "\"sysctl kernel.perf_event_paranoid=-1\"",
                 strerror(errno), (unsigned)getgid());
        return -1;
    }
    bool good = load_all(tracefs, points);
    close(tracefs);
    return good ? 0 : -1;
}
