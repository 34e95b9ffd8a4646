/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trace writer: lines are put together in one large buffer, which goes to the file as it is or
 * through zstd. Numbers are written by hand, since a build makes millions of lines and the writer
 * shares its processors with the program that is being recorded.
 */
#include "writer.h"

#include "line.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

enum {
    PAGE_BYTES = 4096,
    BUFFER_BYTES = 256 * 1024,
    /* More than the longest line: a name is cut to NAME_BYTES, the rest is a few numbers. */
    NAME_BYTES = 4096,
    LINE_BYTES = NAME_BYTES + 256,
    /* A small compile's trace shrinks from 3.4 MB to 0.6. */
    PACKING_LEVEL = 6
};

/* A run of touches that the next touch may still extend. */
struct run {
    uint64_t address;
    uint64_t pages;
    uint32_t pid;
    enum event_kind kind;
};

struct trace_writer {
    int fd;
    int error;
    ZSTD_CStream *packer;
    void *packed;
    size_t packed_room;
    struct run run;
    size_t used;
    char buffer[BUFFER_BYTES];
};

static void write_fully(struct trace_writer *writer, const char *bytes, size_t count) {
    while (count > 0 && writer->error == 0) {
        ssize_t written = write(writer->fd, bytes, count);
        if (written < 0 && errno != EINTR)
            writer->error = errno;
        if (written > 0) {
            bytes += written;
            count -= (size_t)written;
        }
    }
}

static void pack(struct trace_writer *writer, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in = { writer->buffer, writer->used, 0 };
    size_t left = 0;
    do {
        ZSTD_outBuffer out = { writer->packed, writer->packed_room, 0 };
        left = ZSTD_compressStream2(writer->packer, &out, &in, directive);
        if (ZSTD_isError(left)) {
            writer->error = writer->error ? writer->error : ENOMEM;
            return;
        }
        write_fully(writer, writer->packed, out.pos);
    } while (writer->error == 0 && (in.pos < in.size || (directive == ZSTD_e_end && left > 0)));
}

static void flush(struct trace_writer *writer, ZSTD_EndDirective directive) {
    if (writer->packer)
        pack(writer, directive);
    else
        write_fully(writer, writer->buffer, writer->used);
    writer->used = 0;
}

static void put_text(struct trace_writer *writer, const char *text, size_t count) {
    memcpy(writer->buffer + writer->used, text, count);
    writer->used += count;
}

static void put_char(struct trace_writer *writer, char character) {
    writer->buffer[writer->used++] = character;
}

static void put_number(struct trace_writer *writer, uint64_t number, unsigned base) {
    char digits[24];
    size_t at = sizeof(digits);
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    digits[--at] = ' ';
    put_text(writer, digits + at, sizeof(digits) - at);
}

static void put_hex(struct trace_writer *writer, uint64_t number) {
    put_number(writer, number, 16);
}

static void put_decimal(struct trace_writer *writer, uint64_t number) {
    put_number(writer, number, 10);
}

/* A name ends its line, so only what would end the line early has to go; an empty one would read as
 * missing. */
static void put_name(struct trace_writer *writer, const char *name) {
    put_char(writer, ' ');
    size_t begin = writer->used;
    for (size_t i = 0; name[i] && i < NAME_BYTES; i++)
        put_char(writer, (unsigned char)name[i] < ' ' ? '?' : name[i]);
    if (writer->used == begin)
        put_char(writer, '?');
}

static void put_prot(struct trace_writer *writer, unsigned prot) {
    put_char(writer, ' ');
    put_char(writer, prot & VM_PROT_READ ? 'r' : '-');
    put_char(writer, prot & VM_PROT_WRITE ? 'w' : '-');
    put_char(writer, prot & VM_PROT_EXEC ? 'x' : '-');
}

static void start_line(struct trace_writer *writer, char letter) {
    if (writer->used > BUFFER_BYTES - LINE_BYTES)
        flush(writer, ZSTD_e_continue);
    put_char(writer, letter);
}

static void end_line(struct trace_writer *writer) {
    put_char(writer, '\n');
}

static void close_run(struct trace_writer *writer) {
    struct run *run = &writer->run;
    if (run->pages == 0)
        return;
    start_line(writer, run->kind == EVENT_WRITE ? 'w' : 'r');
    put_decimal(writer, run->pid);
    put_hex(writer, run->address);
    if (run->pages > 1)
        put_decimal(writer, run->pages);
    end_line(writer);
    run->pages = 0;
}

static void begin(struct trace_writer *writer, char letter) {
    close_run(writer);
    start_line(writer, letter);
}

/* The shape most lines have: PID ADDR LEN. */
static void begin_range(struct trace_writer *writer, char letter, uint32_t pid, uint64_t address,
                        uint64_t length) {
    begin(writer, letter);
    put_decimal(writer, pid);
    put_hex(writer, address);
    put_hex(writer, length);
}

static int prepare_packing(struct trace_writer *writer) {
    writer->packed_room = ZSTD_CStreamOutSize();
    writer->packed = malloc(writer->packed_room);
    writer->packer = ZSTD_createCStream();
    if (!writer->packed || !writer->packer)
        return -1;
    size_t result = ZSTD_CCtx_setParameter(writer->packer, ZSTD_c_compressionLevel, PACKING_LEVEL);
    return ZSTD_isError(result) ? -1 : 0;
}

static void discard(struct trace_writer *writer) {
    ZSTD_freeCStream(writer->packer);
    free(writer->packed);
    free(writer);
}

struct trace_writer *trace_writer_open_descriptor(int fd, enum trace_packing packing) {
    static const char title[] = "objrmap-trace 1\n";
    if (fd < 0)
        return NULL;
    struct trace_writer *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return NULL;
    if (packing == TRACE_ZSTD && prepare_packing(writer)) {
        discard(writer);
        errno = ENOMEM;
        return NULL;
    }
    writer->fd = fd;
    put_text(writer, title, sizeof(title) - 1);
    return writer;
}

struct trace_writer *trace_writer_open(const char *path, enum trace_packing packing) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    struct trace_writer *writer = trace_writer_open_descriptor(fd, packing);
    if (!writer && fd >= 0) {
        close(fd);
        errno = ENOMEM;
    }
    return writer;
}

int trace_writer_close(struct trace_writer *writer) {
    close_run(writer);
    flush(writer, ZSTD_e_end);
    if (close(writer->fd) && writer->error == 0)
        writer->error = errno;
    int error = writer->error;
    discard(writer);
    return error;
}

void trace_flush(struct trace_writer *writer) {
    close_run(writer);
    flush(writer, ZSTD_e_flush);
}

static void write_note(struct trace_writer *writer, const char *name, const char *value) {
    begin(writer, '!');
    put_char(writer, ' ');
    put_text(writer, name, strlen(name));
    put_name(writer, value);
    end_line(writer);
}

void trace_note(struct trace_writer *writer, const char *name, const char *format, ...) {
    char text[NAME_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    write_note(writer, name, text);
}

void trace_comment(struct trace_writer *writer, const char *format, ...) {
    char text[NAME_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    begin(writer, '#');
    put_name(writer, text);
    end_line(writer);
}

void trace_object(struct trace_writer *writer, uint32_t id, enum object_kind kind, uint64_t size,
                  const char *name) {
    begin(writer, 'o');
    put_decimal(writer, id);
    put_text(writer, kind == OBJECT_FILE ? " file" : " shm", kind == OBJECT_FILE ? 5 : 4);
    put_hex(writer, size);
    put_name(writer, name);
    end_line(writer);
}

void trace_resize(struct trace_writer *writer, uint32_t id, uint64_t size) {
    begin(writer, 'g');
    put_decimal(writer, id);
    put_hex(writer, size);
    end_line(writer);
}

void trace_time(struct trace_writer *writer, uint64_t nanoseconds) {
    begin(writer, 't');
    put_decimal(writer, nanoseconds);
    end_line(writer);
}

void trace_cpu(struct trace_writer *writer, unsigned cpu) {
    begin(writer, 'c');
    put_decimal(writer, cpu);
    end_line(writer);
}

static void write_named(struct trace_writer *writer, char letter, uint32_t pid, const char *name) {
    begin(writer, letter);
    put_decimal(writer, pid);
    put_name(writer, name);
    end_line(writer);
}

void trace_process(struct trace_writer *writer, uint32_t pid, const char *name) {
    write_named(writer, 'p', pid, name);
}

void trace_exec(struct trace_writer *writer, uint32_t pid, const char *name) {
    write_named(writer, 'x', pid, name);
}

void trace_fork(struct trace_writer *writer, uint32_t pid, uint32_t child) {
    begin(writer, 'f');
    put_decimal(writer, pid);
    put_decimal(writer, child);
    end_line(writer);
}

void trace_exit(struct trace_writer *writer, uint32_t pid) {
    begin(writer, 'e');
    put_decimal(writer, pid);
    end_line(writer);
}

/* What is mapped is `id`'s, which may be TRACE_ANONYMOUS. */
static void write_map(struct trace_writer *writer, uint32_t pid, const struct trace_area *area,
                      uint32_t id) {
    begin_range(writer, 'm', pid, area->address, area->length);
    put_prot(writer, area->prot);
    put_char(writer, area->sharing == TRACE_SHARED ? 's' : 'p');
    if (id == TRACE_ANONYMOUS)
        put_text(writer, " -", 2);
    else
        put_decimal(writer, id);
    put_hex(writer, id == TRACE_ANONYMOUS ? 0 : area->pgoff);
    end_line(writer);
}

void trace_map(struct trace_writer *writer, uint32_t pid, const struct trace_area *area) {
    write_map(writer, pid, area, area->object ? area->object : TRACE_ANONYMOUS);
}

static void write_range(struct trace_writer *writer, char letter, uint32_t pid, uint64_t address,
                        uint64_t length) {
    begin_range(writer, letter, pid, address, length);
    end_line(writer);
}

void trace_unmap(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t length) {
    write_range(writer, 'u', pid, address, length);
}

void trace_protect(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t length,
                   unsigned prot) {
    begin_range(writer, 'd', pid, address, length);
    put_prot(writer, prot);
    end_line(writer);
}

void trace_move(struct trace_writer *writer, uint32_t pid, uint64_t old_address,
                uint64_t old_length, uint64_t new_address, uint64_t new_length) {
    begin_range(writer, 'v', pid, old_address, old_length);
    put_hex(writer, new_address);
    put_hex(writer, new_length);
    end_line(writer);
}

void trace_nonlinear(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t length,
                     uint64_t pgoff) {
    begin_range(writer, 'n', pid, address, length);
    put_hex(writer, pgoff);
    end_line(writer);
}

void trace_advise(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t length,
                  enum vm_advice advice) {
    begin_range(writer, 'a', pid, address, length);
    put_name(writer, trace_advice_word(advice));
    end_line(writer);
}

void trace_lock(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t length) {
    write_range(writer, 'l', pid, address, length);
}

void trace_unlock(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t length) {
    write_range(writer, 'k', pid, address, length);
}

void trace_sync(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t length) {
    write_range(writer, 's', pid, address, length);
}

void trace_touch(struct trace_writer *writer, uint32_t pid, enum event_kind kind, uint64_t address,
                 uint64_t pages) {
    struct run *run = &writer->run;
    if (run->pages > 0 && run->pid == pid && run->kind == kind &&
        run->address + run->pages * PAGE_BYTES == address) {
        run->pages += pages;
        return;
    }
    close_run(writer);
    *run = (struct run){ .address = address, .pages = pages, .pid = pid, .kind = kind };
}

static void write_map_event(struct trace_writer *writer, const struct trace_event *event) {
    struct trace_area area = {
        .address = event->map.address,
        .length = event->map.length,
        .pgoff = event->map.pgoff,
        .prot = event->map.protection,
        .sharing = event->map.shared ? TRACE_SHARED : TRACE_PRIVATE,
    };
    write_map(writer, event->pid, &area, event->map.id);
}

void trace_write(struct trace_writer *writer, const struct trace_event *event) {
    uint32_t pid = event->pid;
    switch (event->kind) {
    case EVENT_OBJECT:
        trace_object(writer, event->declare.id, event->declare.kind, event->declare.size,
                     event->declare.name);
        break;
    case EVENT_RESIZE:
        trace_resize(writer, event->resize.id, event->resize.size);
        break;
    case EVENT_TIME:
        trace_time(writer, event->time.ns);
        break;
    case EVENT_CPU:
        trace_cpu(writer, event->cpu.number);
        break;
    case EVENT_PROCESS:
    case EVENT_EXEC:
        write_named(writer, (char)event->kind, pid, event->program.name);
        break;
    case EVENT_FORK:
        trace_fork(writer, pid, event->child.pid);
        break;
    case EVENT_EXIT:
        trace_exit(writer, pid);
        break;
    case EVENT_MAP:
        write_map_event(writer, event);
        break;
    case EVENT_PROTECT:
        trace_protect(writer, pid, event->protect.address, event->protect.length,
                      event->protect.protection);
        break;
    case EVENT_MOVE:
        trace_move(writer, pid, event->move.old_address, event->move.old_length,
                   event->move.new_address, event->move.new_length);
        break;
    case EVENT_REARRANGE:
        trace_nonlinear(writer, pid, event->rearrange.address, event->rearrange.length,
                        event->rearrange.pgoff);
        break;
    case EVENT_ADVISE:
        trace_advise(writer, pid, event->advise.address, event->advise.length,
                     event->advise.advice);
        break;
    case EVENT_UNMAP:
    case EVENT_LOCK:
    case EVENT_UNLOCK:
    case EVENT_SYNC:
        write_range(writer, (char)event->kind, pid, event->range.address, event->range.length);
        break;
    case EVENT_READ:
    case EVENT_WRITE:
        trace_touch(writer, pid, event->kind, event->touch.address, event->touch.pages);
        break;
    case EVENT_NOTE:
        write_note(writer, event->note.name, event->note.value);
        break;
    }
}
