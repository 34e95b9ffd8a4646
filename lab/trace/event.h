/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.h - one event of a trace, as the reader hands it out.
 *
 * The letters are those of the format (man/objrmap-trace.5). Beside the numbers of the file, which
 * may be anything, processes and objects carry a small dense index: `process`, `child` and `object`
 * index arrays. A process's index is free for another one after its exit; an object's never is.
 */
#ifndef OBJRMAP_LAB_TRACE_EVENT_H
#define OBJRMAP_LAB_TRACE_EVENT_H

#include <objrmap/vm.h>

#define TRACE_HEADER "objrmap-trace 1"

/* No object: anonymous memory. */
#define TRACE_ANONYMOUS UINT32_MAX

enum {
    TRACE_LINE_MAX = 65536, /* bytes of a line, its newline included */
    TRACE_NAME_MAX = 4096,  /* bytes of a name */
};

enum event_kind {
    EVENT_OBJECT = 'o',
    EVENT_RESIZE = 'g',
    EVENT_TIME = 't',
    EVENT_CPU = 'c',
    EVENT_PROCESS = 'p',
    EVENT_FORK = 'f',
    EVENT_EXEC = 'x',
    EVENT_EXIT = 'e',
    EVENT_MAP = 'm',
    EVENT_UNMAP = 'u',
    EVENT_PROTECT = 'd',
    EVENT_MOVE = 'v',
    EVENT_REARRANGE = 'n',
    EVENT_ADVISE = 'a',
    EVENT_LOCK = 'l',
    EVENT_UNLOCK = 'k',
    EVENT_SYNC = 's',
    EVENT_READ = 'r',
    EVENT_WRITE = 'w',
    EVENT_NOTE = '!',
};

enum object_kind { OBJECT_FILE, OBJECT_SHM };

struct trace_event {
    enum event_kind kind;
    uint32_t pid;     /* whose event it is; kinds o g t c and ! have none */
    uint32_t process; /* that process's index */
    uint32_t object;  /* o g m: the object's index, or TRACE_ANONYMOUS */
    uint64_t line;
    union {
        struct {
            uint32_t id;
            enum object_kind kind;
            uint64_t size;    /* bytes */
            const char *name; /* names live until the next event is asked for */
        } declare;            /* o */
        struct {
            uint32_t id;
            uint64_t size;
        } resize; /* g */
        struct {
            uint64_t ns;
        } time; /* t */
        struct {
            uint32_t number;
        } cpu; /* c */
        struct {
            const char *name;
        } program; /* p x */
        struct {
            uint32_t pid;
            uint32_t process;
        } child; /* f */
        struct {
            uint64_t address, length; /* bytes, here and below; multiples of VM_PAGE_SIZE */
            uint64_t pgoff;
            uint32_t id; /* the object's, or TRACE_ANONYMOUS */
            unsigned protection;
            bool shared;
        } map; /* m */
        struct {
            uint64_t address, length;
        } range; /* u l k s */
        struct {
            uint64_t address, length;
            unsigned protection;
        } protect; /* d */
        struct {
            uint64_t old_address, old_length; /* length 0: duplicates a shared mapping */
            uint64_t new_address, new_length; /* new_address == old_address: resized in place */
        } move;                               /* v */
        struct {
            uint64_t address, length, pgoff;
        } rearrange; /* n */
        struct {
            uint64_t address, length;
            enum vm_advice advice;
        } advise; /* a */
        struct {
            uint64_t address, pages;
        } touch; /* r w */
        struct {
            const char *name, *value;
        } note; /* ! */
    };
};

#endif
