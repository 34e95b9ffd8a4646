/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * command.h - what a subcommand of `objrmap` is, and what all of them share.
 *
 * One file a subcommand; each defines one `const struct command`, which main.c's table names.
 * argv[0] of run() is the subcommand's name; what run() returns is the process's exit code.
 */
#ifndef OBJRMAP_LAB_COMMAND_H
#define OBJRMAP_LAB_COMMAND_H

struct command {
    const char *name;
    const char *summary; /* half a line, for the table of `objrmap --help` */
    int (*run)(int argc, char **argv);
};

enum {
    EXIT_OK = 0,
    EXIT_FOUND = 1, /* a difference or a failure: of the program, the machine or the library */
    EXIT_USAGE = 2, /* wrong arguments, or input that is not valid */
};

extern const struct command record_command;
extern const struct command replay_command;
extern const struct command compare_command;
extern const struct command designs_command;
extern const struct command workload_command;
extern const struct command papers_command;

/* "objrmap: " and the message and a newline, on stderr. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * The candidate nearest to what was typed, when it is near enough to be a slip of the fingers; else
 * NULL. `candidates` ends with NULL.
 */
const char *nearest_name(const char *typed, const char *const *candidates);

#endif
