/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reader.c - cuts the stream into lines, has them parsed, and checks them against what came before.
 *
 * The buffer holds whole lines up to `limit`; what follows is the beginning of a line of which the
 * rest has not been read yet. Since every line up to `limit` ends with '\n', the parser needs no
 * other bound.
 */
#include "trace/reader.h"

#include "command.h"
#include "trace/id_map.h"
#include "trace/line.h"
#include "trace/source.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 20, MESSAGE_BYTES = 480, NO_PROCESS = ID_MAP_NONE };

struct trace_reader {
    struct trace_source *source;
    char *name;
    char *message; /* the whole error */
    enum trace_status ended;
    bool header_seen;

    char *buffer;
    size_t position, limit, bytes;
    bool source_ended;
    uint64_t line, events;

    struct id_map processes, objects;
    uint32_t last_pid,
        last_process; /* whom the previous event was about: mostly the next one's too */
    uint32_t leaving; /* its index becomes free at the next event */
    uint32_t *free_processes, free_count, process_room;
    uint32_t process_indices, object_count;
    uint64_t process_total;
    uint64_t time;
};

/* ---------------------------------------------------------------- errors */

static enum trace_status invalid(struct trace_reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

static enum trace_status invalid(struct trace_reader *reader, const char *format, ...) {
    char what[MESSAGE_BYTES];
    va_list values;
    va_start(values, format);
    vsnprintf(what, sizeof(what), format, values);
    va_end(values);
    size_t room = strlen(reader->name) + sizeof(what) + 32;
    reader->message = malloc(room);
    if (reader->message)
        snprintf(reader->message, room, "%s:%llu: %s", reader->name,
                 (unsigned long long)reader->line, what);
    return reader->ended = TRACE_INVALID;
}

static enum trace_status out_of_memory(struct trace_reader *reader) {
    return invalid(reader, "no memory for another process or object, expected a smaller trace");
}

/* ---------------------------------------------------------------- lines */

/* Many an editor and script leaves the last line without its newline. => the source has ended */
static void end_last_line(struct trace_reader *reader) {
    reader->buffer[reader->bytes++] = '\n';
    reader->limit = reader->bytes;
}

/* Moves the begun line to the front and reads behind it until the buffer holds a whole line. */
static enum trace_status refill(struct trace_reader *reader) {
    size_t kept = reader->bytes - reader->position;
    memmove(reader->buffer, reader->buffer + reader->position, kept);
    reader->position = reader->limit = 0;
    reader->bytes = kept;
    while (!reader->limit && !reader->source_ended && reader->bytes < BUFFER_BYTES) {
        char *end = reader->buffer + reader->bytes;
        int64_t got = trace_source_read(reader->source, end, BUFFER_BYTES - reader->bytes);
        if (got < 0) {
            reader->line++;
            return invalid(reader, "%s", trace_source_error(reader->source));
        }
        reader->source_ended = got == 0;
        reader->bytes += (size_t)got;
        char *newline = memrchr(end, '\n', (size_t)got);
        if (newline)
            reader->limit = (size_t)(newline + 1 - reader->buffer);
    }
    if (!reader->limit && reader->bytes > 0 && reader->bytes < BUFFER_BYTES)
        end_last_line(reader);
    return TRACE_EVENT;
}

static enum trace_status line_too_long(struct trace_reader *reader) {
    return invalid(reader, "the line is longer than %d bytes, expected a trace", TRACE_LINE_MAX);
}

static enum trace_status end_of_trace(struct trace_reader *reader) {
    if (reader->header_seen)
        return reader->ended = TRACE_END;
    reader->line = 1;
    return invalid(reader, "the file is empty, expected \"" TRACE_HEADER "\"");
}

/* The next line, comments and empty ones included; NULL at the end or after an error. */
static inline char *next_line(struct trace_reader *reader) {
    if (reader->position == reader->limit) {
        if (refill(reader) != TRACE_EVENT)
            return NULL;
        if (!reader->limit) {
            if (reader->bytes) {
                reader->line++;
                line_too_long(reader);
            } else {
                end_of_trace(reader);
            }
            return NULL;
        }
    }
    reader->line++;
    return reader->buffer + reader->position;
}

/* => `line` is the current one; returns false after an error. */
static bool skip_line(struct trace_reader *reader, char *line) {
    char *end = memchr(line, '\n', reader->limit - reader->position);
    size_t bytes = (size_t)(end + 1 - line);
    reader->position += bytes;
    if (bytes > TRACE_LINE_MAX) {
        line_too_long(reader);
        return false;
    }
    if (memchr(line, '\0', bytes)) {
        invalid(reader, "a NUL byte, expected text");
        return false;
    }
    return true;
}

static bool is_blank_line(const char *line) {
    while (*line == ' ' || *line == '\t')
        line++;
    return *line == '\n';
}

static bool take_header(struct trace_reader *reader) {
    static const char header[] = TRACE_HEADER "\n";
    char *line = next_line(reader);
    if (!line)
        return false;
    if (reader->limit - reader->position < sizeof(header) - 1 ||
        memcmp(line, header, sizeof(header) - 1) != 0) {
        invalid(reader, "this is not a trace of version 1, expected \"" TRACE_HEADER
                        "\" as the first line");
        return false;
    }
    reader->header_seen = true;
    return skip_line(reader, line);
}

/* ---------------------------------------------------------------- processes and objects */

static bool find_process(struct trace_reader *reader, uint32_t pid, uint32_t *process) {
    *process = id_map_find(&reader->processes, pid);
    if (*process == NO_PROCESS) {
        invalid(reader,
                "process %u does not exist, expected one that a line p or f began and no "
                "line e ended",
                pid);
        return false;
    }
    reader->last_pid = pid;
    reader->last_process = *process;
    return true;
}

static bool reserve_index(struct trace_reader *reader) {
    if (reader->process_indices < reader->process_room)
        return true;
    uint32_t room = reader->process_room ? reader->process_room * 2 : 64;
    uint32_t *list = realloc(reader->free_processes, room * sizeof(*list));
    if (!list)
        return false;
    reader->free_processes = list;
    reader->process_room = room;
    return true;
}

static bool begin_process(struct trace_reader *reader, uint32_t pid, uint32_t *process) {
    if (id_map_find(&reader->processes, pid) != ID_MAP_NONE) {
        invalid(reader, "process %u exists already, expected its exit first or another PID", pid);
        return false;
    }
    if (!reserve_index(reader)) {
        out_of_memory(reader);
        return false;
    }
    *process = reader->free_count ? reader->free_processes[--reader->free_count]
                                  : reader->process_indices++;
    if (!id_map_add(&reader->processes, pid, *process)) {
        out_of_memory(reader);
        return false;
    }
    reader->process_total++;
    return true;
}

static void end_process(struct trace_reader *reader, const struct trace_event *event) {
    id_map_remove(&reader->processes, event->pid);
    reader->leaving = event->process;
    reader->last_process = NO_PROCESS;
}

static bool find_object(struct trace_reader *reader, uint32_t id, uint32_t *object) {
    *object = id_map_find(&reader->objects, id);
    if (*object == ID_MAP_NONE)
        invalid(reader, "object %u is not declared, expected a line \"o %u ...\" before", id, id);
    return *object != ID_MAP_NONE;
}

static bool declare_object(struct trace_reader *reader, uint32_t id, uint32_t *object) {
    if (id_map_find(&reader->objects, id) != ID_MAP_NONE) {
        invalid(reader, "object %u is declared already, expected another id or a line g", id);
        return false;
    }
    *object = reader->object_count;
    if (!id_map_add(&reader->objects, id, *object)) {
        out_of_memory(reader);
        return false;
    }
    reader->object_count++;
    return true;
}

static bool advance_time(struct trace_reader *reader, uint64_t ns) {
    if (ns < reader->time) {
        invalid(reader, "time %llu lies before %llu, expected it not to go back",
                (unsigned long long)ns, (unsigned long long)reader->time);
        return false;
    }
    reader->time = ns;
    return true;
}

/* Events that are about more than one existing process. */
static bool check_special(struct trace_reader *reader, struct trace_event *event) {
    switch (event->kind) {
    case EVENT_OBJECT:
        return declare_object(reader, event->declare.id, &event->object);
    case EVENT_RESIZE:
        return find_object(reader, event->resize.id, &event->object);
    case EVENT_TIME:
        return advance_time(reader, event->time.ns);
    case EVENT_CPU:
    case EVENT_NOTE:
        return true;
    case EVENT_PROCESS:
        return begin_process(reader, event->pid, &event->process);
    case EVENT_FORK:
        return find_process(reader, event->pid, &event->process) &&
               begin_process(reader, event->child.pid, &event->child.process);
    case EVENT_EXIT:
        if (!find_process(reader, event->pid, &event->process))
            return false;
        end_process(reader, event);
        return true;
    case EVENT_MAP:
        event->object = TRACE_ANONYMOUS;
        if (event->map.id != TRACE_ANONYMOUS && !find_object(reader, event->map.id, &event->object))
            return false;
        return find_process(reader, event->pid, &event->process);
    default:
        return find_process(reader, event->pid, &event->process);
    }
}

static inline bool check_state(struct trace_reader *reader, struct trace_event *event) {
    if (reader->leaving != NO_PROCESS) {
        reader->free_processes[reader->free_count++] = reader->leaving;
        reader->leaving = NO_PROCESS;
    }
    bool touch = event->kind == EVENT_READ || event->kind == EVENT_WRITE;
    if (touch && event->pid == reader->last_pid && reader->last_process != NO_PROCESS) {
        event->process = reader->last_process;
        return true;
    }
    return check_special(reader, event);
}

/* ---------------------------------------------------------------- interface */

static enum trace_status take_event(struct trace_reader *reader, char *line,
                                    struct trace_event *event) {
    char what[MESSAGE_BYTES];
    char *end = trace_line_parse(line, event, what, sizeof(what));
    if (!end)
        return invalid(reader, "%s", what);
    reader->position += (size_t)(end + 1 - line);
    if (end + 1 - line > TRACE_LINE_MAX)
        return invalid(reader, "the line is longer than %d bytes, expected a trace",
                       TRACE_LINE_MAX);
    event->line = reader->line;
    if (!check_state(reader, event))
        return TRACE_INVALID;
    reader->events += event->kind != EVENT_NOTE;
    return TRACE_EVENT;
}

enum trace_status trace_next(struct trace_reader *reader, struct trace_event *event) {
    if (reader->ended != TRACE_EVENT)
        return reader->ended;
    if (!reader->header_seen && !take_header(reader))
        return reader->ended;
    for (;;) {
        char *line = next_line(reader);
        if (!line)
            return reader->ended;
        bool nothing = *line == '#' ||
                       ((*line == '\n' || *line == ' ' || *line == '\t') && is_blank_line(line));
        if (!nothing)
            return take_event(reader, line, event);
        if (!skip_line(reader, line))
            return reader->ended;
    }
}

static struct trace_reader *reader_create(struct trace_source *source, const char *name) {
    struct trace_reader *reader = calloc(1, sizeof(*reader));
    if (!reader) {
        trace_source_close(source);
        return NULL;
    }
    reader->source = source;
    reader->ended = TRACE_EVENT;
    reader->leaving = reader->last_process = NO_PROCESS;
    reader->name = strdup(name);
    reader->buffer = malloc(BUFFER_BYTES);
    if (source && reader->name && reader->buffer)
        return reader;
    trace_close(reader);
    return NULL;
}

struct trace_reader *trace_open(const char *path) {
    struct trace_source *source = trace_source_open(path);
    if (!source) {
        complain("cannot open the trace %s: %s", path, strerror(errno));
        return NULL;
    }
    struct trace_reader *reader = reader_create(source, strcmp(path, "-") ? path : "<stdin>");
    if (!reader)
        complain("no memory to read %s", path);
    return reader;
}

struct trace_reader *trace_open_descriptor(int fd, const char *name) {
    struct trace_source *source = trace_source_descriptor(fd);
    if (!source)
        close(fd);
    return source ? reader_create(source, name) : NULL;
}

struct trace_reader *trace_open_memory(const char *name, const void *data, size_t bytes) {
    struct trace_source *source = trace_source_memory(data, bytes);
    return source ? reader_create(source, name) : NULL;
}

void trace_close(struct trace_reader *reader) {
    if (!reader)
        return;
    trace_source_close(reader->source);
    id_map_free(&reader->processes);
    id_map_free(&reader->objects);
    free(reader->free_processes);
    free(reader->buffer);
    free(reader->message);
    free(reader->name);
    free(reader);
}

const char *trace_error(const struct trace_reader *reader) {
    return reader->message ? reader->message
                           : "the trace is invalid, and there is no memory to say why";
}

const char *trace_file_name(const struct trace_reader *reader) {
    return reader->name;
}

uint64_t trace_events(const struct trace_reader *reader) {
    return reader->events;
}

uint64_t trace_processes(const struct trace_reader *reader) {
    return reader->process_total;
}

double trace_progress(const struct trace_reader *reader) {
    uint64_t taken, total;
    trace_source_progress(reader->source, &taken, &total);
    return total ? (double)taken / (double)total : -1;
}
