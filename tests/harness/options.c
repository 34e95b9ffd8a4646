/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.c - see options.h.
 */
#include "harness/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool take_value(const struct test_option *option, const char *value) {
    char *end;
    if (option->text) {
        *option->text = value;
        return true;
    }
    if (option->number)
        *option->number = strtoull(value, &end, 0);
    else
        *option->seconds = strtod(value, &end);
    return *value && !*end;
}

static bool take(const struct test_option *option, const char *argument) {
    size_t bytes = strlen(option->name);
    if (!bytes)
        return argument[0] != '-' && !*option->text && take_value(option, argument);
    if (strncmp(argument, option->name, bytes) != 0)
        return false;
    if (option->flag)
        return !argument[bytes] && (*option->flag = true);
    return argument[bytes] == '=' && take_value(option, argument + bytes + 1);
}

static bool take_any(const struct test_option *known, size_t count, const char *argument) {
    for (size_t i = 0; i < count; i++)
        if (take(&known[i], argument))
            return true;
    return false;
}

void options_take(int argc, char **argv, const char *usage, const struct test_option *known,
                  size_t count) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            exit(0);
        }
        if (!take_any(known, count, argv[i])) {
            fprintf(stderr, "I do not understand %s\n%s", argv[i], usage);
            exit(EXIT_WRONG_USE);
        }
    }
}

bool options_list_has(const char *list, const char *name) {
    size_t bytes = strlen(name);
    for (const char *at = list; at && *at;) {
        size_t item = strcspn(at, ", ");
        if (item == bytes && strncmp(at, name, bytes) == 0)
            return true;
        at += item + (at[item] != '\0');
    }
    return false;
}
