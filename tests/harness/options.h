/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.h - the options of test programs: --flag, --name=value, and at most one bare word.
 *
 * A program lists its options with where each value goes; what is not given stays as it was.
 */
#ifndef TESTS_HARNESS_OPTIONS_H
#define TESTS_HARNESS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One of the pointers is set, which says what the value is. A bare word is called "". */
struct test_option {
    const char *name; /* with its dashes, without '=' */
    bool *flag;
    uint64_t *number;
    double *seconds;
    const char **text;
};

enum { EXIT_WRONG_USE = 2 };

/* `usage` begins with "usage: PROGRAM". Prints it and exits after --help, and when it does not
 * understand something. */
void options_take(int argc, char **argv, const char *usage, const struct test_option *known,
                  size_t count);

/* Whether the list, with commas or blanks between names, has the name; NULL is an empty list. */
bool options_list_has(const char *list, const char *name);

#endif
