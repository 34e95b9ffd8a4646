/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * printed.c - see printed.h.
 */
#include "printed.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct trace_writer *printed_open(const char *path) {
    struct trace_writer *writer;
    fflush(stdout);
    writer = path ? trace_writer_open(path, TRACE_PLAIN)
                  : trace_writer_open_descriptor(dup(STDOUT_FILENO), TRACE_PLAIN);
    if (!writer)
        perror(path ? path : "stdout");
    return writer;
}

static bool read_line(const char *line, struct sequence *sequence,
                      char machine[PRINTED_LINE_BYTES]) {
    static const char op_begins[] = "# op ", machine_begins[] = "# machine ";
    struct random_op op;
    if (strncmp(line, machine_begins, strlen(machine_begins)) == 0)
        snprintf(machine, PRINTED_LINE_BYTES, "%s", line + strlen(machine_begins));
    if (strncmp(line, op_begins, strlen(op_begins)) != 0)
        return true;
    if (!op_parse(line + strlen(op_begins), &op))
        return false;
    sequence_add(sequence, &op);
    return true;
}

bool printed_read(const char *path, struct sequence *sequence, char machine[PRINTED_LINE_BYTES]) {
    char line[PRINTED_LINE_BYTES];
    FILE *file = fopen(path, "r");
    bool good = true;
    if (!file) {
        perror(path);
        return false;
    }
    machine[0] = '\0';
    for (unsigned number = 1; good && fgets(line, sizeof(line), file); number++) {
        line[strcspn(line, "\n")] = '\0';
        good = read_line(line, sequence, machine);
        if (!good)
            fprintf(stderr, "%s:%u: \"%s\" is no op\n", path, number, line);
    }
    fclose(file);
    return good;
}

void printed_show(const char *path) {
    char line[PRINTED_LINE_BYTES];
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file))
        fputs(line, stdout);
    if (file)
        fclose(file);
}
