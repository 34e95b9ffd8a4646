/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - the `objrmap` command: finds the subcommand and runs it.
 */
#include "command.h"

#include <stdio.h>
#include <string.h>

#ifndef OBJRMAP_VERSION
#define OBJRMAP_VERSION "0.1.0"
#endif

static const struct command *const commands[] = {
    &record_command,  &replay_command,   &compare_command,
    &designs_command, &workload_command, &papers_command,
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_help(FILE *stream) {
    fputs("usage: objrmap COMMAND [ARGUMENT...]\n"
          "\n"
          "Records what real programs do to their memory, and runs it through a virtual memory\n"
          "system whose reverse mapping (who maps this page?) can be exchanged.\n"
          "\n",
          stream);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(stream, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
    fputs(
        "\n"
        "`objrmap COMMAND --help` tells each command's options.\n"
        "Exit codes: 0 all is well, 1 a difference or failure was found, 2 wrong usage or input.\n",
        stream);
}

static const struct command *find_command(const char *name) {
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static int unknown_command(const char *name) {
    const char *names[COMMANDS + 1] = { NULL };
    for (int i = 0; i < COMMANDS; i++)
        names[i] = commands[i]->name;
    const char *near = nearest_name(name, names);
    if (near)
        complain("there is no command '%s'. Did you mean '%s'?", name, near);
    else
        complain("there is no command '%s'; `objrmap --help` lists them", name);
    return EXIT_USAGE;
}

/* `objrmap help CMD` is `objrmap CMD --help`. */
static int help(int argc, char **argv) {
    if (argc < 2) {
        print_help(stdout);
        return EXIT_OK;
    }
    const struct command *command = find_command(argv[1]);
    if (!command)
        return unknown_command(argv[1]);
    char option[] = "--help";
    char *arguments[] = { argv[1], option, NULL };
    return command->run(2, arguments);
}

/* Output that did not reach its file is a failure even when the work went well. */
static int finish(int code) {
    if (fflush(stdout) != 0 || ferror(stdout)) {
        complain("cannot write the output; is the disk full or the reader gone?");
        return code == EXIT_OK ? EXIT_FOUND : code;
    }
    return code;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return finish(help(argc - 1, argv + 1));
    if (strcmp(name, "--version") == 0) {
        puts("objrmap " OBJRMAP_VERSION);
        return finish(EXIT_OK);
    }
    const struct command *command = find_command(name);
    if (!command)
        return unknown_command(name);
    return finish(command->run(argc - 1, argv + 1));
}
