/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * line.h - one line of a trace becomes an event: the grammar, without memory of other lines.
 *
 * Blanks are spaces and tabs. Lines end with LF; a carriage return is an error, since a name before
 * it would silently carry it.
 */
#ifndef OBJRMAP_LAB_TRACE_LINE_H
#define OBJRMAP_LAB_TRACE_LINE_H

#include "trace/event.h"

#include <stddef.h>

/*
 * `line` is ended by '\n'; NULs may be put into it to end names. Fills in all but the dense indices
 * and the line's number. Returns where the '\n' is or was; NULL on failure: then `error` says what is
 * wrong and what was expected.
 */
char *trace_line_parse(char *line, struct trace_event *event, char *error, size_t error_bytes);

/* As it stands in an `a` line. */
const char *trace_advice_word(enum vm_advice advice);

#endif
