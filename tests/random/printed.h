/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * printed.h - sequences printed as traces, with the ops as comments from which they are read back.
 */
#ifndef TESTS_RANDOM_PRINTED_H
#define TESTS_RANDOM_PRINTED_H

#include "op.h"

#include "trace/writer.h"

enum { PRINTED_LINE_BYTES = 1000 };

/* A trace that goes to a file, or, without a path, to stdout; NULL after a complaint. */
struct trace_writer *printed_open(const char *path);

/*
 * Takes the lines "# op ...", and the text behind "# machine " if there is such a line; else that is
 * empty. False after a complaint.
 */
bool printed_read(const char *path, struct sequence *sequence, char machine[PRINTED_LINE_BYTES]);

/* The file as it is, to stdout. */
void printed_show(const char *path);

#endif
