/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_reader.c - what the reader accepts, what it makes of it, and what it says about the rest.
 */
#include "trace/reader.h"
#include "trace/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

/* ---------------------------------------------------------------- invalid traces */

struct invalid {
    const char *text;    /* behind the header, unless it brings its own */
    const char *message; /* how the error begins */
};

#define PROCESS "p 7 a\n"
#define FILE_1  "o 1 file 2000 f\n"

static const struct invalid invalids[] = {
    { "z 1 2\n", "t:2: \"z\" is no event, expected a letter of" },
    { "pp 1 a\n", "t:2: \"pp\" is no event, expected a letter of" },
    { " p 1 a\n", "t:2: \"\" is no event" },
    { "p\n", "t:2: PID is missing, expected a decimal process id" },
    { "p 1\n", "t:2: NAME is missing, expected text as in \"p PID NAME\"" },
    { "p 1  \n", "t:2: NAME is missing" },
    { "p 4294967296 a\n", "t:2: PID is \"4294967296\", expected a decimal process id below" },
    { "p 99999999999999999999999 a\n", "t:2: PID is \"99999999999999999999999\"" },
    { "p -1 a\n", "t:2: PID is \"-1\"" },
    { "p 1x a\n", "t:2: PID is \"1x\"" },
    { "p 1 a\np 1 b\n", "t:3: process 1 exists already, expected its exit first" },
    { "e 1\n", "t:2: process 1 does not exist, expected one that a line p or f began" },
    { PROCESS "e 7\ne 7\n", "t:4: process 7 does not exist" },
    { PROCESS "e 7\nr 7 1000\n", "t:4: process 7 does not exist" },
    { PROCESS "r 7 1000\nr 8 1000\n", "t:4: process 8 does not exist" },
    { PROCESS "e 7 8\n", "t:3: \"8\" is one field too many, expected the line to end as in" },
    { PROCESS "f 7 7\n", "t:3: process 7 exists already" },
    { PROCESS "f 8 9\n", "t:3: process 8 does not exist" },
    { PROCESS "f 7\n", "t:3: CHILD is missing" },
    { PROCESS "x 7\n", "t:3: NAME is missing" },
    { "o 1 dir 0 a\n", "t:2: KIND is \"dir\", expected file or shm" },
    { "o 1 filet 0 a\n", "t:2: KIND is \"filet\"" },
    { "o 1 file 8000000000000000 a\n", "t:2: SIZE is \"8000000000000000\", expected bytes" },
    { "o 1 file 11111111111111111 a\n", "t:2: SIZE is \"11111111111111111\"" },
    { "o 4294967295 file 0 a\n", "t:2: ID is \"4294967295\"" },
    { "o 1 file 0\n", "t:2: NAME is missing" },
    { FILE_1 FILE_1, "t:3: object 1 is declared already" },
    { "g 1 1000\n", "t:2: object 1 is not declared, expected a line \"o 1 ...\" before" },
    { FILE_1 "g 1\n", "t:3: SIZE is missing" },
    { "t 5\nt 4\n", "t:3: time 4 lies before 5, expected it not to go back" },
    { "t 18446744073709551616\n", "t:2: NS is \"18446744073709551616\"" },
    { "c 65536\n", "t:2: CPU is \"65536\"" },
    { "c a\n", "t:2: CPU is \"a\"" },
    { PROCESS "m 7 1001 1000 rw-p - 0\n", "t:3: ADDR is \"1001\", expected a page's address" },
    { PROCESS "m 7 0x1000 1000 rw-p - 0\n", "t:3: ADDR is \"0x1000\"" },
    { PROCESS "m 7 7ffffffff000 1000 rw-p - 0\n", "t:3: ADDR is \"7ffffffff000\"" },
    { PROCESS "m 7 1000 0 rw-p - 0\n", "t:3: LEN is \"0\", expected bytes" },
    { PROCESS "m 7 1000 fff rw-p - 0\n", "t:3: LEN is \"fff\"" },
    { PROCESS "m 7 1000 7fffffffe000 rw-p - 0\n", NULL },
    { PROCESS "m 7 1000 7ffffffff000 rw-p - 0\n",
      "t:3: LEN is \"7ffffffff000\", expected a range" },
    { PROCESS "m 7 1000 fffffffffffff000 rw-p - 0\n", "t:3: LEN is \"fffffffffffff000\"" },
    { PROCESS "m 7 1000 1000 rwp - 0\n", "t:3: PERM is \"rwp\", expected four of r|- w|- x|- p|s" },
    { PROCESS "m 7 1000 1000 rw-q - 0\n", "t:3: PERM is \"rw-q\"" },
    { PROCESS "m 7 1000 1000 wr-p - 0\n", "t:3: PERM is \"wr-p\"" },
    { PROCESS "m 7 1000 1000 rw-pp - 0\n", "t:3: PERM is \"rw-pp\"" },
    { PROCESS "m 7 1000 1000 rw-p\n", "t:3: OBJ is missing" },
    { PROCESS "m 7 1000 1000 rw-p -\n", "t:3: PGOFF is missing" },
    { PROCESS "m 7 1000 1000 rw-p - 1\n", "t:3: PGOFF is \"1\", expected 0 for anonymous memory" },
    { PROCESS "m 7 1000 1000 rw-p -1 0\n", "t:3: OBJ is \"-1\"" },
    { PROCESS "m 7 1000 1000 rw-p 1 0\n", "t:3: object 1 is not declared" },
    { PROCESS FILE_1 "m 7 1000 1000 rw-p 1 8000000000000\n", "t:4: PGOFF is \"8000000000000\"" },
    { PROCESS FILE_1 "m 7 1000 2000 rw-p 1 7fffffffffffe\n", "t:4: PGOFF is \"7fffffffffffe\"" },
    { PROCESS FILE_1 "m 8 1000 1000 rw-p 1 0\n", "t:4: process 8 does not exist" },
    { PROCESS "u 7 1000\n", "t:3: LEN is missing" },
    { PROCESS "u 7 1000 1000 1\n", "t:3: \"1\" is one field too many" },
    { PROCESS "d 7 1000 1000 rw-p\n", "t:3: PERM is \"rw-p\", expected three of" },
    { PROCESS "d 7 1000 1000 rw\n", "t:3: PERM is \"rw\"" },
    { PROCESS "v 7 1000 1000 2000 0\n", "t:3: NEWLEN is \"0\"" },
    { PROCESS "v 7 1000 0 1000 1000\n", "t:3: OLDLEN is 0 and NEW is OLD, expected another NEW" },
    { PROCESS "v 7 1000 1000 2000\n", "t:3: NEWLEN is missing" },
    { PROCESS "n 7 1000 1000 8000000000000\n", "t:3: PGOFF is \"8000000000000\"" },
    { PROCESS "a 7 1000 1000 hugepages\n", "t:3: ADVICE is \"hugepages\", expected one of" },
    { PROCESS "a 7 1000 1000\n", "t:3: ADVICE is missing" },
    { PROCESS "l 7 1000 1000 x\n", "t:3: \"x\" is one field too many" },
    { PROCESS "k 7 1000\n", "t:3: LEN is missing" },
    { PROCESS "s 7\n", "t:3: ADDR is missing" },
    { PROCESS "r 7\n", "t:3: ADDR is missing" },
    { PROCESS "r 7 1000 0\n", "t:3: N is \"0\", expected a decimal number of pages" },
    { PROCESS "r 7 1000 34359738368\n", "t:3: N is \"34359738368\"" },
    { PROCESS "r 7 1000 1 1\n", "t:3: \"1\" is one field too many" },
    { PROCESS "w 7 1234\n", "t:3: ADDR is \"1234\"" },
    { PROCESS "w 7 800000000000\n", "t:3: ADDR is \"800000000000\"" },
    { "!\n", "t:2: NAME is missing, expected a word" },
    { "p 1 a\r\n", "t:2: a carriage return in NAME, expected lines that end with LF alone" },
    { PROCESS "e 7\r\n", "t:3: PID is \"7\\x0d\"" },
    { "\r\n", "t:2: a carriage return, expected lines that end with LF alone" },
    { PROCESS "e 8", "t:3: " }, /* the last line may do without its newline, but not be wrong */
};

static enum trace_status read_all(struct trace_reader *reader) {
    struct trace_event event;
    enum trace_status status;
    do
        status = trace_next(reader, &event);
    while (status == TRACE_EVENT);
    assert_int_equal(trace_next(reader, &event), status);
    return status;
}

static void expect_message(const void *data, size_t bytes, const char *message) {
    struct trace_reader *reader = trace_open_memory("t", data, bytes);
    assert_non_null(reader);
    enum trace_status status = read_all(reader);
    if (!message && status == TRACE_INVALID)
        fail_msg("valid, but: %s", trace_error(reader));
    if (message && status != TRACE_INVALID)
        fail_msg("accepted, expected: %s", message);
    if (message && strncmp(trace_error(reader), message, strlen(message)) != 0)
        fail_msg("\"%s\", expected \"%s\"", trace_error(reader), message);
    trace_close(reader);
}

static void test_invalid(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(invalids) / sizeof(invalids[0]); i++) {
        char text[4096];
        int bytes = snprintf(text, sizeof(text), TRACE_HEADER "\n%s", invalids[i].text);
        expect_message(text, (size_t)bytes, invalids[i].message);
    }
}

static void test_header(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "objrmap-trace 2\n",   "objrmap-trace 1 \n", "p 1 a\n", "\n",
        "objrmap-trace 1\r\n", "# objrmap-trace 1\n"
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        expect_message(wrong[i], strlen(wrong[i]),
                       "t:1: this is not a trace of version 1, expected "
                       "\"objrmap-trace 1\" as the first line");
    expect_message("", 0, "t:1: the file is empty, expected \"objrmap-trace 1\"");
    expect_message(TRACE_HEADER, strlen(TRACE_HEADER), NULL);
    expect_message(TRACE_HEADER "\n", strlen(TRACE_HEADER) + 1, NULL);
}

static void test_last_line_without_newline(void **state) {
    (void)state;
    static const char event[] = TRACE_HEADER "\np 1 a", comment[] = TRACE_HEADER "\n# done";
    expect_message(event, sizeof(event) - 1, NULL);
    expect_message(comment, sizeof(comment) - 1, NULL);
}

static void test_nul_bytes(void **state) {
    (void)state;
    static const char in_name[] = TRACE_HEADER "\np 1 a\0b\n";
    static const char in_comment[] = TRACE_HEADER "\n# a\0b\n";
    static const char in_number[] = TRACE_HEADER "\np 1\0 b\n";
    static const char as_line[] = TRACE_HEADER "\n\0\n";
    static const char as_field[] = TRACE_HEADER "\np \0\n";
    expect_message(in_name, sizeof(in_name) - 1, "t:2: a NUL byte in the place of NAME");
    expect_message(in_comment, sizeof(in_comment) - 1, "t:2: a NUL byte, expected text");
    expect_message(in_number, sizeof(in_number) - 1, "t:2: PID is \"1\"");
    expect_message(as_line, sizeof(as_line) - 1, "t:2: a NUL byte, expected a line of text");
    expect_message(as_field, sizeof(as_field) - 1, "t:2: a NUL byte in the place of PID");
}

/* A line of this many bytes in all, made of a head and padding. */
static void expect_padded(const char *head, char padding, size_t bytes, const char *message) {
    size_t header = strlen(TRACE_HEADER) + 1;
    char *text = malloc(header + bytes);
    memcpy(text, TRACE_HEADER "\n", header);
    memset(text + header, padding, bytes);
    memcpy(text + header, head, strlen(head));
    text[header + bytes - 1] = '\n';
    expect_message(text, header + bytes, message);
    free(text);
}

static void test_long_lines(void **state) {
    (void)state;
    expect_padded("p 1 ", 'a', 4 + TRACE_NAME_MAX + 1, NULL);
    expect_padded("p 1 ", 'a', 4 + TRACE_NAME_MAX + 2,
                  "t:2: NAME has 4097 bytes, expected at most");
    expect_padded("# ", 'a', TRACE_LINE_MAX, NULL);
    expect_padded("# ", 'a', TRACE_LINE_MAX + 1, "t:2: the line is longer than 65536 bytes");
    expect_padded("p 1 a", ' ', TRACE_LINE_MAX, NULL);
    expect_padded("p 1 a", ' ', TRACE_LINE_MAX + 1, "t:2: the line is longer than 65536 bytes");
    expect_padded("p 1 ", 'a', 3 << 20, "t:2: the line is longer than 65536 bytes");
    expect_padded("p 1 ", '1', 3 << 20, "t:2: the line is longer than 65536 bytes");
}

/* ---------------------------------------------------------------- valid ones */

static struct trace_reader *open_text(const char *text) {
    struct trace_reader *reader = trace_open_memory("t", text, strlen(text));
    assert_non_null(reader);
    return reader;
}

static struct trace_event next(struct trace_reader *reader) {
    struct trace_event event = { 0 };
    assert_int_equal(trace_next(reader, &event), TRACE_EVENT);
    return event;
}

static const char every_kind[] = TRACE_HEADER "\n"
                                              "# a comment\n"
                                              "\n"
                                              "  \t\n"
                                              "! host  a machine \n"
                                              "! empty\n"
                                              "o 5 file 12ABc /lib/with blank.so \n"
                                              "o 0 shm 0 s\n"
                                              "g 5 1000\n"
                                              "t 0\n"
                                              "c 3\n"
                                              "p 10 my shell\n"
                                              "m 10 1000 2000 r-xp 5 fF\n"
                                              "m\t10  4000 1000 -w-s - 0 \n"
                                              "d 10 1000 1000 ---\n"
                                              "v 10 1000 1000 9000 3000\n"
                                              "n 10 4000 1000 2\n"
                                              "a 10 4000 1000 dontneed\n"
                                              "l 10 4000 1000\n"
                                              "k 10 4000 1000\n"
                                              "s 10 4000 1000\n"
                                              "r 10 4000\n"
                                              "r 10 4000 \n"
                                              "w 10 4000 7\n"
                                              "f 10 11\n"
                                              "x 11 other\n"
                                              "u 11 1000 1000\n"
                                              "e 10\n";

static void expect_declarations(struct trace_reader *reader) {
    struct trace_event event = next(reader);
    assert_int_equal(event.kind, EVENT_NOTE);
    assert_string_equal(event.note.name, "host");
    assert_string_equal(event.note.value, "a machine");
    assert_int_equal(event.line, 5);
    assert_string_equal(next(reader).note.value, "");
    event = next(reader);
    assert_int_equal(event.kind, EVENT_OBJECT);
    assert_int_equal(event.object, 0);
    assert_int_equal(event.declare.id, 5);
    assert_int_equal(event.declare.kind, OBJECT_FILE);
    assert_int_equal(event.declare.size, 0x12abc);
    assert_string_equal(event.declare.name, "/lib/with blank.so");
    event = next(reader);
    assert_int_equal(event.object, 1);
    assert_int_equal(event.declare.kind, OBJECT_SHM);
    event = next(reader);
    assert_int_equal(event.object, 0);
    assert_int_equal(event.resize.size, 0x1000);
    assert_int_equal(next(reader).time.ns, 0);
    assert_int_equal(next(reader).cpu.number, 3);
    event = next(reader);
    assert_int_equal(event.kind, EVENT_PROCESS);
    assert_int_equal(event.pid, 10);
    assert_int_equal(event.process, 0);
    assert_string_equal(event.program.name, "my shell");
}

static void expect_mappings(struct trace_reader *reader) {
    struct trace_event event = next(reader);
    assert_int_equal(event.map.address, 0x1000);
    assert_int_equal(event.map.length, 0x2000);
    assert_int_equal(event.map.protection, VM_PROT_READ | VM_PROT_EXEC);
    assert_false(event.map.shared);
    assert_int_equal(event.map.id, 5);
    assert_int_equal(event.object, 0);
    assert_int_equal(event.map.pgoff, 0xff);
    event = next(reader);
    assert_int_equal(event.map.protection, VM_PROT_WRITE);
    assert_true(event.map.shared);
    assert_int_equal(event.object, TRACE_ANONYMOUS);
    assert_int_equal(next(reader).protect.protection, VM_PROT_NONE);
    event = next(reader);
    assert_int_equal(event.move.new_address, 0x9000);
    assert_int_equal(event.move.new_length, 0x3000);
    assert_int_equal(next(reader).rearrange.pgoff, 2);
    assert_int_equal(next(reader).advise.advice, VM_MADV_DONTNEED);
    assert_int_equal(next(reader).kind, EVENT_LOCK);
    assert_int_equal(next(reader).kind, EVENT_UNLOCK);
    assert_int_equal(next(reader).kind, EVENT_SYNC);
}

static void expect_touches_and_ends(struct trace_reader *reader) {
    assert_int_equal(next(reader).touch.pages, 1);
    assert_int_equal(next(reader).touch.pages, 1);
    struct trace_event event = next(reader);
    assert_int_equal(event.kind, EVENT_WRITE);
    assert_int_equal(event.touch.pages, 7);
    event = next(reader);
    assert_int_equal(event.child.pid, 11);
    assert_int_equal(event.child.process, 1);
    assert_int_equal(next(reader).process, 1);
    assert_int_equal(next(reader).range.length, 0x1000);
    event = next(reader);
    assert_int_equal(event.kind, EVENT_EXIT);
    assert_int_equal(event.process, 0);
}

static void test_every_kind(void **state) {
    (void)state;
    struct trace_reader *reader = open_text(every_kind);
    expect_declarations(reader);
    expect_mappings(reader);
    expect_touches_and_ends(reader);
    assert_int_equal(read_all(reader), TRACE_END);
    assert_int_equal(trace_events(reader), 22);
    assert_int_equal(trace_processes(reader), 2);
    trace_close(reader);
}

/* What the writer makes of the events is the same trace, without blanks and comments. */
static void test_events_are_written_as_they_were_read(void **state) {
    (void)state;
    static const char expected[] = TRACE_HEADER "\n! host a machine\n! empty ?\n"
                                                "o 5 file 12abc /lib/with blank.so\no 0 shm 0 s\n"
                                                "g 5 1000\nt 0\nc 3\np 10 my shell\n"
                                                "m 10 1000 2000 r-xp 5 ff\n"
                                                "m 10 4000 1000 -w-s - 0\nd 10 1000 1000 ---\n"
                                                "v 10 1000 1000 9000 3000\nn 10 4000 1000 2\n"
                                                "a 10 4000 1000 dontneed\nl 10 4000 1000\n"
                                                "k 10 4000 1000\ns 10 4000 1000\nr 10 4000\n"
                                                "r 10 4000\nw 10 4000 7\nf 10 11\nx 11 other\n"
                                                "u 11 1000 1000\ne 10\n";
    char written[sizeof(expected) + 100] = "";
    struct trace_reader *reader = open_text(every_kind);
    FILE *file = tmpfile();
    assert_non_null(file);
    struct trace_writer *writer = trace_writer_open_descriptor(dup(fileno(file)), TRACE_PLAIN);
    struct trace_event event;
    assert_non_null(writer);
    while (trace_next(reader, &event) == TRACE_EVENT)
        trace_write(writer, &event);
    assert_int_equal(trace_writer_close(writer), 0);
    rewind(file);
    assert_true(fread(written, 1, sizeof(written) - 1, file) > 0);
    assert_string_equal(written, expected);
    fclose(file);
    trace_close(reader);
}

/* An index is given again only after the exit's event has been handed out; so is the PID. */
static void test_indices_are_reused(void **state) {
    (void)state;
    struct trace_reader *reader = open_text(TRACE_HEADER "\np 1 a\np 2 b\ne 1\np 1 c\nf 1 3\ne 2\n"
                                                         "e 3\nf 1 2\nr 2 1000\nr 1 1000\n");
    assert_int_equal(next(reader).process, 0);
    assert_int_equal(next(reader).process, 1);
    assert_int_equal(next(reader).process, 0);
    assert_int_equal(next(reader).process, 0);
    assert_int_equal(next(reader).child.process, 2);
    assert_int_equal(next(reader).process, 1);
    assert_int_equal(next(reader).process, 2);
    uint32_t child = next(reader).child.process;
    assert_true(child == 1 || child == 2);
    assert_int_equal(next(reader).process, child);
    assert_int_equal(next(reader).process, 0);
    trace_close(reader);
}

/* Ten thousand processes that come and go: the table of PIDs must stay right. */
static void test_many_processes(void **state) {
    (void)state;
    size_t bytes = 0, room = 1 << 20;
    char *text = malloc(room);
    bytes += (size_t)snprintf(text, room, TRACE_HEADER "\np 1 a\n");
    for (unsigned i = 2; i < 10000; i++) {
        bytes += (size_t)snprintf(text + bytes, room - bytes, "f 1 %u\n", i * 64);
        if (i > 100)
            bytes += (size_t)snprintf(text + bytes, room - bytes, "r %u 1000\ne %u\n",
                                      (i - 98) * 64, (i - 98) * 64);
    }
    struct trace_reader *reader = trace_open_memory("t", text, bytes);
    struct trace_event event;
    while (trace_next(reader, &event) == TRACE_EVENT)
        assert_true(event.process < 128);
    if (trace_next(reader, &event) != TRACE_END)
        fail_msg("%s", trace_error(reader));
    assert_int_equal(trace_processes(reader), 9999);
    trace_close(reader);
    free(text);
}

/* ---------------------------------------------------------------- zstd */

static void test_zstd(void **state) {
    (void)state;
    size_t room = 4 << 20, bytes = 0;
    char *text = malloc(room);
    bytes += (size_t)snprintf(text, room, TRACE_HEADER "\np 1 a\n");
    for (unsigned i = 0; i < 100000; i++)
        bytes += (size_t)snprintf(text + bytes, room - bytes, "w 1 %x000 %u\n", i + 1, i % 9 + 1);
    size_t packed_room = ZSTD_compressBound(bytes);
    char *packed = malloc(packed_room * 2);
    size_t packed_bytes = ZSTD_compress(packed, packed_room, text, bytes, 1);
    assert_false(ZSTD_isError(packed_bytes));

    struct trace_reader *reader = trace_open_memory("t", packed, packed_bytes);
    assert_int_equal(read_all(reader), TRACE_END);
    assert_int_equal(trace_events(reader), 100001);
    trace_close(reader);

    for (size_t cut = 1; cut < 9; cut++) {
        reader = trace_open_memory("t", packed, packed_bytes - cut);
        assert_int_equal(read_all(reader), TRACE_INVALID);
        assert_non_null(strstr(trace_error(reader), "the zstd stream is damaged (it ends early)"));
        trace_close(reader);
    }

    /* A second frame goes on where the first one ended. */
    size_t more = ZSTD_compress(packed + packed_bytes, packed_room, "e 1\n", 4, 1);
    reader = trace_open_memory("t", packed, packed_bytes + more);
    assert_int_equal(read_all(reader), TRACE_END);
    assert_int_equal(trace_events(reader), 100002);
    trace_close(reader);

    packed[packed_bytes / 2] ^= 0x55;
    packed[packed_bytes / 2 + 1] ^= 0x55;
    reader = trace_open_memory("t", packed, packed_bytes);
    assert_int_equal(read_all(reader), TRACE_INVALID);
    trace_close(reader);
    free(packed);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_last_line_without_newline),
        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_events_are_written_as_they_were_read),
        cmocka_unit_test(test_indices_are_reused),
        cmocka_unit_test(test_many_processes),
        cmocka_unit_test(test_zstd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
