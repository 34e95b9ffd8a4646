/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * line.c - the grammar of trace lines.
 *
 * Every parser stops at a character that cannot be its own, and '\n' is nobody's but the line end's,
 * so none needs to know where the line ends. Touches are most of a trace: their path through here
 * is short and free of calls that are not inlined.
 */
#include "trace/line.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct cursor {
    char *at;
    const char *form; /* of the event under way, for messages */
    char *error;
    size_t error_bytes;
};

enum { NO_DIGIT = 0xff, EXCERPT_BYTES = 40 };

/* ---------------------------------------------------------------- messages */

static void excerpt(const char *text, char *shown) {
    size_t used = 0;
    while (*text != '\n' && *text != ' ' && *text != '\t' && *text && used < EXCERPT_BYTES - 5) {
        unsigned char character = (unsigned char)*text++;
        if (isprint(character) && character != '"')
            shown[used++] = (char)character;
        else
            used += (size_t)snprintf(shown + used, EXCERPT_BYTES - used, "\\x%02x", character);
    }
    shown[used] = '\0';
}

static bool fail(struct cursor *cursor, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

static bool fail(struct cursor *cursor, const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(cursor->error, cursor->error_bytes, format, values);
    va_end(values);
    return false;
}

/* The field at `start` is not what it must be. */
static bool wrong(struct cursor *cursor, const char *start, const char *field, const char *expected)
    __attribute__((cold));

static bool wrong(struct cursor *cursor, const char *start, const char *field,
                  const char *expected) {
    char shown[EXCERPT_BYTES];
    if (*start == '\n')
        return fail(cursor, "%s is missing, expected %s as in \"%s\"", field, expected,
                    cursor->form);
    if (*start == '\0')
        return fail(cursor, "a NUL byte in the place of %s, expected %s: a trace is text", field,
                    expected);
    excerpt(start, shown);
    return fail(cursor, "%s is \"%s\", expected %s as in \"%s\"", field, shown, expected,
                cursor->form);
}

/* ---------------------------------------------------------------- fields */

static inline bool is_blank(char character) {
    return character == ' ' || character == '\t';
}

static inline bool at_field_end(const struct cursor *cursor) {
    return *cursor->at == '\n' || is_blank(*cursor->at);
}

/* To the next field. There is always a blank before it: what came before has checked its end. */
static inline void skip_blanks(struct cursor *cursor) {
    while (is_blank(*cursor->at))
        cursor->at++;
}

static inline bool decimal(struct cursor *cursor, const char *field, uint64_t limit,
                           const char *expected, uint64_t *number) {
    skip_blanks(cursor);
    char *start = cursor->at;
    unsigned digit = (unsigned)(*cursor->at - '0');
    uint64_t value = 0;
    if (digit > 9)
        return wrong(cursor, start, field, expected);
    do {
        if (value > (UINT64_MAX - 9) / 10)
            return wrong(cursor, start, field, expected);
        value = value * 10 + digit;
        digit = (unsigned)(*++cursor->at - '0');
    } while (digit <= 9);
    if (!at_field_end(cursor) || value > limit)
        return wrong(cursor, start, field, expected);
    *number = value;
    return true;
}

static const unsigned char hex_digits[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

static inline bool hexadecimal(struct cursor *cursor, const char *field, const char *expected,
                               uint64_t *number) {
    skip_blanks(cursor);
    char *start = cursor->at;
    unsigned digit = hex_digits[(unsigned char)*cursor->at];
    uint64_t value = 0;
    if (!digit)
        return wrong(cursor, start, field, expected);
    do {
        if (value >> 60)
            return wrong(cursor, start, field, expected);
        value = value << 4 | (digit - 1);
        digit = hex_digits[(unsigned char)*++cursor->at];
    } while (digit);
    if (!at_field_end(cursor))
        return wrong(cursor, start, field, expected);
    *number = value;
    return true;
}

static inline bool process_id(struct cursor *cursor, const char *field, uint32_t *id) {
    uint64_t number = 0;
    if (!decimal(cursor, field, UINT32_MAX, "a decimal process id below 4294967296", &number))
        return false;
    *id = (uint32_t)number;
    return true;
}

/* UINT32_MAX stands for anonymous memory. */
static bool object_id(struct cursor *cursor, const char *field, uint32_t *id) {
    uint64_t number = 0;
    if (!decimal(cursor, field, TRACE_ANONYMOUS - 1, "a decimal object id below 4294967295",
                 &number))
        return false;
    *id = (uint32_t)number;
    return true;
}

static inline bool address(struct cursor *cursor, const char *field, uint64_t *value) {
    static const char expected[] =
        "a page's address, hexadecimal without 0x, a multiple of 1000, below 7ffffffff000";
    skip_blanks(cursor);
    char *start = cursor->at;
    if (!hexadecimal(cursor, field, expected, value))
        return false;
    if (*value % VM_PAGE_SIZE || *value >= VM_ADDRESS_END)
        return wrong(cursor, start, field, expected);
    return true;
}

/* The length of what begins at `begin`; `least` is 0 or a page. */
static bool length(struct cursor *cursor, const char *field, uint64_t begin, uint64_t least,
                   uint64_t *value) {
    static const char whole_pages[] = "bytes, hexadecimal without 0x, a multiple of 1000, not 0";
    static const char inside[] = "a range that ends at 7ffffffff000 or before";
    skip_blanks(cursor);
    char *start = cursor->at;
    if (!hexadecimal(cursor, field, whole_pages, value))
        return false;
    if (*value % VM_PAGE_SIZE || *value < least)
        return wrong(cursor, start, field, whole_pages);
    if (*value > VM_ADDRESS_END - begin)
        return wrong(cursor, start, field, inside);
    return true;
}

/* A file's bytes are counted in 63 bits, as everywhere. */
static bool object_size(struct cursor *cursor, uint64_t *size) {
    static const char expected[] = "bytes, hexadecimal without 0x, below 8000000000000000";
    skip_blanks(cursor);
    char *start = cursor->at;
    if (!hexadecimal(cursor, "SIZE", expected, size))
        return false;
    return *size <= INT64_MAX || wrong(cursor, start, "SIZE", expected);
}

static bool page_offset(struct cursor *cursor, uint64_t bytes, uint64_t *pgoff) {
    static const char expected[] =
        "pages, hexadecimal without 0x, so that the mapping ends before byte 8000000000000000";
    skip_blanks(cursor);
    char *start = cursor->at;
    uint64_t limit = ((uint64_t)INT64_MAX >> VM_PAGE_SHIFT) - (bytes >> VM_PAGE_SHIFT);
    if (!hexadecimal(cursor, "PGOFF", expected, pgoff))
        return false;
    return *pgoff <= limit || wrong(cursor, start, "PGOFF", expected);
}

static bool permission_letter(struct cursor *cursor, char letter, unsigned bit,
                              unsigned *protection) {
    if (*cursor->at == letter)
        *protection |= bit;
    else if (*cursor->at != '-')
        return false;
    cursor->at++;
    return true;
}

static bool permissions(struct cursor *cursor, unsigned *protection) {
    skip_blanks(cursor);
    *protection = VM_PROT_NONE;
    return permission_letter(cursor, 'r', VM_PROT_READ, protection) &&
           permission_letter(cursor, 'w', VM_PROT_WRITE, protection) &&
           permission_letter(cursor, 'x', VM_PROT_EXEC, protection);
}

static bool protection(struct cursor *cursor, unsigned *value) {
    skip_blanks(cursor);
    char *start = cursor->at;
    if (permissions(cursor, value) && at_field_end(cursor))
        return true;
    return wrong(cursor, start, "PERM", "three of r|- w|- x|-");
}

static bool map_permissions(struct cursor *cursor, unsigned *value, bool *shared) {
    skip_blanks(cursor);
    char *start = cursor->at;
    if (permissions(cursor, value) && (*cursor->at == 'p' || *cursor->at == 's')) {
        *shared = *cursor->at++ == 's';
        if (at_field_end(cursor))
            return true;
    }
    return wrong(cursor, start, "PERM", "four of r|- w|- x|- p|s");
}

/* One of the words, which `count` tells; *which is its index. */
static bool word(struct cursor *cursor, const char *field, const char *const *words, unsigned count,
                 const char *expected, unsigned *which) {
    skip_blanks(cursor);
    for (*which = 0; *which < count; ++*which) {
        size_t bytes = strlen(words[*which]);
        char end = '\n';
        if (strncmp(cursor->at, words[*which], bytes) == 0)
            end = cursor->at[bytes];
        else
            continue;
        if (end == '\n' || is_blank(end)) {
            cursor->at += bytes;
            return true;
        }
    }
    return wrong(cursor, cursor->at, field, expected);
}

static inline bool line_end(struct cursor *cursor) {
    skip_blanks(cursor);
    if (*cursor->at == '\n')
        return true;
    char shown[EXCERPT_BYTES];
    excerpt(cursor->at, shown);
    return fail(cursor, "\"%s\" is one field too many, expected the line to end as in \"%s\"",
                shown, cursor->form);
}

/* The rest of the line; blanks around it are not part of it. Ends it with NUL. */
static bool rest(struct cursor *cursor, const char *field, size_t least, const char **text) {
    skip_blanks(cursor);
    char *start = cursor->at;
    char *newline = strchr(start, '\n'), *end = newline;
    char *nul = end ? NULL : start + strlen(start);
    if (nul)
        return wrong(cursor, nul, field, "text");
    while (end > start && is_blank(end[-1]))
        end--;
    size_t bytes = (size_t)(end - start);
    if (bytes < least)
        return wrong(cursor, "\n", field, "text");
    if (memchr(start, '\r', bytes))
        return fail(cursor, "a carriage return in %s, expected lines that end with LF alone",
                    field);
    if (bytes > TRACE_NAME_MAX)
        return fail(cursor, "%s has %zu bytes, expected at most %d", field, bytes, TRACE_NAME_MAX);
    cursor->at = newline;
    *end = '\0';
    *text = start;
    return true;
}

/* ---------------------------------------------------------------- events */

static bool parse_object(struct cursor *cursor, struct trace_event *event) {
    static const char *const kinds[] = { [OBJECT_FILE] = "file", [OBJECT_SHM] = "shm" };
    unsigned kind;
    if (!object_id(cursor, "ID", &event->declare.id) ||
        !word(cursor, "KIND", kinds, 2, "file or shm", &kind) ||
        !object_size(cursor, &event->declare.size) ||
        !rest(cursor, "NAME", 1, &event->declare.name))
        return false;
    event->declare.kind = kind == OBJECT_FILE ? OBJECT_FILE : OBJECT_SHM;
    return true;
}

static bool parse_resize(struct cursor *cursor, struct trace_event *event) {
    return object_id(cursor, "ID", &event->resize.id) && object_size(cursor, &event->resize.size) &&
           line_end(cursor);
}

static bool parse_time(struct cursor *cursor, struct trace_event *event) {
    return decimal(cursor, "NS", UINT64_MAX, "decimal nanoseconds that fit 64 bits",
                   &event->time.ns) &&
           line_end(cursor);
}

static bool parse_cpu(struct cursor *cursor, struct trace_event *event) {
    uint64_t number = 0;
    if (!decimal(cursor, "CPU", UINT16_MAX, "a decimal CPU number below 65536", &number))
        return false;
    event->cpu.number = (uint32_t)number;
    return line_end(cursor);
}

static bool parse_program(struct cursor *cursor, struct trace_event *event) {
    return process_id(cursor, "PID", &event->pid) && rest(cursor, "NAME", 1, &event->program.name);
}

static bool parse_fork(struct cursor *cursor, struct trace_event *event) {
    return process_id(cursor, "PID", &event->pid) &&
           process_id(cursor, "CHILD", &event->child.pid) && line_end(cursor);
}

static bool parse_exit(struct cursor *cursor, struct trace_event *event) {
    return process_id(cursor, "PID", &event->pid) && line_end(cursor);
}

static bool parse_mapped_object(struct cursor *cursor, struct trace_event *event) {
    skip_blanks(cursor);
    if (cursor->at[0] != '-') {
        return object_id(cursor, "OBJ", &event->map.id) &&
               page_offset(cursor, event->map.length, &event->map.pgoff);
    }
    event->map.id = TRACE_ANONYMOUS;
    char *start = cursor->at++;
    if (!at_field_end(cursor))
        return wrong(cursor, start, "OBJ", "an object's decimal id, or - for anonymous memory");
    skip_blanks(cursor);
    start = cursor->at;
    if (!page_offset(cursor, 0, &event->map.pgoff))
        return false;
    return event->map.pgoff == 0 || wrong(cursor, start, "PGOFF", "0 for anonymous memory");
}

static bool parse_map(struct cursor *cursor, struct trace_event *event) {
    return process_id(cursor, "PID", &event->pid) && address(cursor, "ADDR", &event->map.address) &&
           length(cursor, "LEN", event->map.address, VM_PAGE_SIZE, &event->map.length) &&
           map_permissions(cursor, &event->map.protection, &event->map.shared) &&
           parse_mapped_object(cursor, event) && line_end(cursor);
}

static bool parse_range(struct cursor *cursor, struct trace_event *event) {
    return process_id(cursor, "PID", &event->pid) &&
           address(cursor, "ADDR", &event->range.address) &&
           length(cursor, "LEN", event->range.address, VM_PAGE_SIZE, &event->range.length) &&
           line_end(cursor);
}

static bool parse_protect(struct cursor *cursor, struct trace_event *event) {
    return process_id(cursor, "PID", &event->pid) &&
           address(cursor, "ADDR", &event->protect.address) &&
           length(cursor, "LEN", event->protect.address, VM_PAGE_SIZE, &event->protect.length) &&
           protection(cursor, &event->protect.protection) && line_end(cursor);
}

static bool parse_move(struct cursor *cursor, struct trace_event *event) {
    if (!process_id(cursor, "PID", &event->pid) ||
        !address(cursor, "OLD", &event->move.old_address) ||
        !length(cursor, "OLDLEN", event->move.old_address, 0, &event->move.old_length) ||
        !address(cursor, "NEW", &event->move.new_address) ||
        !length(cursor, "NEWLEN", event->move.new_address, VM_PAGE_SIZE, &event->move.new_length))
        return false;
    if (event->move.old_length == 0 && event->move.old_address == event->move.new_address)
        return fail(cursor,
                    "OLDLEN is 0 and NEW is OLD, expected another NEW: length 0 maps shared "
                    "memory a second time");
    return line_end(cursor);
}

static bool parse_rearrange(struct cursor *cursor, struct trace_event *event) {
    return process_id(cursor, "PID", &event->pid) &&
           address(cursor, "ADDR", &event->rearrange.address) &&
           length(cursor, "LEN", event->rearrange.address, VM_PAGE_SIZE,
                  &event->rearrange.length) &&
           page_offset(cursor, event->rearrange.length, &event->rearrange.pgoff) &&
           line_end(cursor);
}

static const char *const advice_words[] = {
    [VM_MADV_NORMAL] = "normal",
    [VM_MADV_RANDOM] = "random",
    [VM_MADV_SEQUENTIAL] = "sequential",
    [VM_MADV_WILLNEED] = "willneed",
    [VM_MADV_DONTNEED] = "dontneed",
    [VM_MADV_FREE] = "free",
    [VM_MADV_COLD] = "cold",
    [VM_MADV_PAGEOUT] = "pageout",
    [VM_MADV_DONTFORK] = "dontfork",
    [VM_MADV_DOFORK] = "dofork",
    [VM_MADV_HUGEPAGE] = "hugepage",
    [VM_MADV_NOHUGEPAGE] = "nohugepage",
};

const char *trace_advice_word(enum vm_advice advice) {
    return advice_words[advice];
}

static bool parse_advise(struct cursor *cursor, struct trace_event *event) {
    unsigned which;
    if (!process_id(cursor, "PID", &event->pid) ||
        !address(cursor, "ADDR", &event->advise.address) ||
        !length(cursor, "LEN", event->advise.address, VM_PAGE_SIZE, &event->advise.length) ||
        !word(cursor, "ADVICE", advice_words, VM_MADV_NOHUGEPAGE + 1,
              "one of normal, random, sequential, willneed, dontneed, free, cold, pageout, "
              "dontfork, dofork, hugepage, nohugepage",
              &which))
        return false;
    event->advise.advice = (enum vm_advice)which;
    return line_end(cursor);
}

static inline bool parse_touch(struct cursor *cursor, struct trace_event *event) {
    static const char expected[] = "a decimal number of pages, not 0, that end by 7ffffffff000";
    if (!process_id(cursor, "PID", &event->pid) || !address(cursor, "ADDR", &event->touch.address))
        return false;
    event->touch.pages = 1;
    if (*cursor->at == '\n')
        return true;
    skip_blanks(cursor);
    if (*cursor->at == '\n')
        return true;
    char *start = cursor->at;
    uint64_t most = (VM_ADDRESS_END - event->touch.address) >> VM_PAGE_SHIFT;
    if (!decimal(cursor, "N", most, expected, &event->touch.pages))
        return false;
    if (event->touch.pages == 0)
        return wrong(cursor, start, "N", expected);
    return *cursor->at == '\n' || line_end(cursor);
}

static bool parse_note(struct cursor *cursor, struct trace_event *event) {
    skip_blanks(cursor);
    char *name = cursor->at;
    while (!at_field_end(cursor) && *cursor->at && *cursor->at != '\r')
        cursor->at++;
    if (cursor->at == name || !at_field_end(cursor))
        return wrong(cursor, cursor->at, "NAME", "a word");
    if (cursor->at - name > TRACE_NAME_MAX)
        return fail(cursor, "NAME has more than %d bytes, expected a word", TRACE_NAME_MAX);
    char *name_end = cursor->at;
    if (!rest(cursor, "VALUE", 0, &event->note.value))
        return false;
    *name_end = '\0';
    event->note.name = name;
    return true;
}

/* ---------------------------------------------------------------- kinds */

struct form {
    const char *text;
    bool (*parse)(struct cursor *cursor, struct trace_event *event);
};

static const struct form forms[128] = {
    [EVENT_OBJECT] = { "o ID KIND SIZE NAME", parse_object },
    [EVENT_RESIZE] = { "g ID SIZE", parse_resize },
    [EVENT_TIME] = { "t NS", parse_time },
    [EVENT_CPU] = { "c CPU", parse_cpu },
    [EVENT_PROCESS] = { "p PID NAME", parse_program },
    [EVENT_FORK] = { "f PID CHILD", parse_fork },
    [EVENT_EXEC] = { "x PID NAME", parse_program },
    [EVENT_EXIT] = { "e PID", parse_exit },
    [EVENT_MAP] = { "m PID ADDR LEN PERM OBJ PGOFF", parse_map },
    [EVENT_UNMAP] = { "u PID ADDR LEN", parse_range },
    [EVENT_PROTECT] = { "d PID ADDR LEN PERM", parse_protect },
    [EVENT_MOVE] = { "v PID OLD OLDLEN NEW NEWLEN", parse_move },
    [EVENT_REARRANGE] = { "n PID ADDR LEN PGOFF", parse_rearrange },
    [EVENT_ADVISE] = { "a PID ADDR LEN ADVICE", parse_advise },
    [EVENT_LOCK] = { "l PID ADDR LEN", parse_range },
    [EVENT_UNLOCK] = { "k PID ADDR LEN", parse_range },
    [EVENT_SYNC] = { "s PID ADDR LEN", parse_range },
    [EVENT_READ] = { "r PID ADDR N", NULL },
    [EVENT_WRITE] = { "w PID ADDR N", NULL },
    [EVENT_NOTE] = { "! NAME VALUE...", parse_note },
};

static bool unknown_letter(struct cursor *cursor, const char *line) {
    char shown[EXCERPT_BYTES];
    excerpt(line, shown);
    if (line[0] == '\0')
        return fail(cursor, "a NUL byte, expected a line of text");
    if (line[0] == '\r')
        return fail(cursor, "a carriage return, expected lines that end with LF alone");
    return fail(cursor,
                "\"%s\" is no event, expected a letter of o g t c p f x e m u d v n a l k s r w ! "
                "and a blank",
                shown);
}

char *trace_line_parse(char *line, struct trace_event *event, char *error, size_t error_bytes) {
    struct cursor cursor = { line + 1, NULL, error, error_bytes };
    unsigned letter = (unsigned char)line[0];
    if (letter >= 128 || !forms[letter].text || (!is_blank(line[1]) && line[1] != '\n'))
        return unknown_letter(&cursor, line), NULL;
    cursor.form = forms[letter].text;
    event->kind = (enum event_kind)letter;
    if (letter == EVENT_READ || letter == EVENT_WRITE)
        return parse_touch(&cursor, event) ? cursor.at : NULL;
    return forms[letter].parse(&cursor, event) ? cursor.at : NULL;
}
