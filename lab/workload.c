/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workload.c - `objrmap workload`: writes a workload as a trace, or tells which there are.
 */
#include "workload/workload.h"

#include "command.h"
#include "settings.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: objrmap workload NAME [KEY=VALUE...] [-o FILE]\n"
    "       objrmap workload --list\n"
    "       objrmap workload NAME --help\n"
    "\n"
    "Writes a trace made by rule, to standard output or to FILE, packed when its name ends in "
    ".zst.\n"
    "`replay` and `compare` take the same by --workload NAME:KEY=VALUE,... without a file.\n"
    "\n"
    "  --list              all workloads, with a line on each\n"
    "  -o, --output FILE   where to write it\n"
    "\n";

struct options {
    struct workload_plan plan;
    const char *output;
    bool help, list;
};

/* ---------------------------------------------------------------- telling */

static void print_list(void) {
    const struct workload *workload;
    for (size_t i = 0; (workload = workload_at(i)); i++)
        printf("%-24s %s\n", workload->name, workload->help);
}

static void print_default(const struct workload_parameter *parameter) {
    if (!parameter->choices[0]) {
        printf("\n%18s%llu to %llu; default: %llu\n", "", (unsigned long long)parameter->least,
               (unsigned long long)parameter->most, (unsigned long long)parameter->initial);
        return;
    }
    printf("\n%18s", "");
    for (size_t i = 0; i < 4 && parameter->choices[i]; i++)
        printf("%s%s", i ? " | " : "", parameter->choices[i]);
    printf("; default: %s\n", parameter->choices[parameter->initial]);
}

static void print_workload(const struct workload *workload) {
    printf("%s: %s.\n\n%s\n\n", workload->name, workload->help, workload->separates);
    for (size_t i = 0; i < WORKLOAD_PARAMETERS && workload->parameters[i].name; i++) {
        printf("  %-14s  %s", workload->parameters[i].name, workload->parameters[i].help);
        print_default(&workload->parameters[i]);
    }
}

/* ---------------------------------------------------------------- arguments */

static const char *const own_options[] = { "--list", "--output", NULL };

static bool take_argument(struct options *options, const char *argument) {
    if (argument[0] == '-') {
        const char *near = nearest_name(argument, own_options);
        if (near)
            complain("workload has no option %s. Did you mean %s?", argument, near);
        else
            complain("workload has no option %s; `objrmap workload --help` tells more", argument);
        return false;
    }
    if (!options->plan.workload)
        return workload_find(argument, &options->plan);
    return workload_set(&options->plan, argument);
}

static bool take_output(struct options *options, int argc, char **argv, int *at, bool *taken) {
    bool missing;
    const char *output = option_value("--output", argc, argv, at, &missing);
    if (!output && !missing)
        output = option_value("-o", argc, argv, at, &missing);
    *taken = output != NULL;
    if (output)
        options->output = output;
    return !missing;
}

static bool parse(struct options *options, int argc, char **argv) {
    bool taken;
    for (int at = 1; at < argc; at++) {
        if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0)
            options->help = true;
        else if (strcmp(argv[at], "--list") == 0)
            options->list = true;
        else if (!take_output(options, argc, argv, &at, &taken) ||
                 (!taken && !take_argument(options, argv[at])))
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------- writing */

static struct trace_writer *open_output(const char *path) {
    size_t length = path ? strlen(path) : 0;
    if (!path || strcmp(path, "-") == 0)
        return trace_writer_open_descriptor(dup(STDOUT_FILENO), TRACE_PLAIN);
    bool packed = length > 4 && strcmp(path + length - 4, ".zst") == 0;
    return trace_writer_open(path, packed ? TRACE_ZSTD : TRACE_PLAIN);
}

static int write_trace(const struct options *options) {
    const char *name = options->output ? options->output : "standard output";
    struct trace_writer *writer = open_output(options->output);
    int error = writer ? 0 : errno;
    if (writer) {
        workload_write(writer, &options->plan);
        error = trace_writer_close(writer);
    }
    if (error)
        complain("cannot write the trace to %s: %s", name, strerror(error));
    return error ? EXIT_FOUND : EXIT_OK;
}

static int run_workload(int argc, char **argv) {
    struct options options = { .output = NULL };
    if (!parse(&options, argc, argv))
        return EXIT_USAGE;
    if (options.help && options.plan.workload) {
        print_workload(options.plan.workload);
        return EXIT_OK;
    }
    if (options.help || options.list) {
        if (options.help)
            fputs(usage, stdout);
        print_list();
        return EXIT_OK;
    }
    if (!options.plan.workload) {
        complain("workload needs a name; `objrmap workload --list` lists them");
        return EXIT_USAGE;
    }
    return workload_check(&options.plan) ? write_trace(&options) : EXIT_USAGE;
}

const struct command workload_command = {
    "workload",
    "write a trace made by rule, to tell designs apart",
    run_workload,
};
