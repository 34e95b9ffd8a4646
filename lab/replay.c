/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replay.c - `objrmap replay`: a trace through one machine.
 */
#include "command.h"
#include "design_names.h"
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: objrmap replay [OPTION...] TRACE\n"
    "\n"
    "Runs a recorded or hand-written trace (plain or zstd; - is standard input) through the "
    "virtual\n"
    "memory system and tells what it took.\n"
    "\n"
    "  --design NAME           the reverse-mapping design. Default: " DEFAULT_DESIGN "\n"
    "  --dump FILE             write what programs see at the end, as text; - is standard output\n"
    "  --json                  the report as JSON\n"
    "  --watch                 draw memory, rates and the largest processes on the terminal as it\n"
    "                          runs; with --json also a series of samples\n"
    "\n";

static const char *const own_options[] = { "--design", "--dump", "--watch", NULL };

struct replay {
    struct settings settings;
    const char *design, *dump;
    bool watch;
};

static enum option own_option(struct replay *replay, int argc, char **argv, int *at) {
    bool missing;
    if (strcmp(argv[*at], "--watch") == 0) {
        replay->watch = true;
        return OPTION_TAKEN;
    }
    const char *value = option_value("--design", argc, argv, at, &missing);
    if (value)
        return (replay->design = design_name(value)) ? OPTION_TAKEN : OPTION_WRONG;
    if (missing)
        return OPTION_WRONG;
    value = option_value("--dump", argc, argv, at, &missing);
    if (value) {
        replay->dump = value;
        return OPTION_TAKEN;
    }
    return missing ? OPTION_WRONG : OPTION_UNKNOWN;
}

static bool parse(struct replay *replay, int argc, char **argv) {
    for (int at = 1; at < argc; at++) {
        enum option option = settings_option(&replay->settings, argc, argv, &at);
        if (option == OPTION_UNKNOWN)
            option = own_option(replay, argc, argv, &at);
        if (option == OPTION_WRONG ||
            (option == OPTION_UNKNOWN &&
             !settings_take_trace(&replay->settings, "replay", own_options, argv[at])))
            return false;
    }
    if (!replay->settings.trace) {
        complain("replay needs a trace or a --workload; `objrmap replay --help` tells more");
        return false;
    }
    if (replay->settings.json && replay->dump && strcmp(replay->dump, "-") == 0) {
        complain("--json and --dump - would both write to standard output; give --dump a file");
        return false;
    }
    return design_takes_chain_lock(replay->design, replay->settings.chain_lock) &&
           design_takes_nonlinear(replay->design, replay->settings.nonlinear);
}

static struct run_request request_for(const struct replay *replay, const struct peak *peak) {
    const struct settings *settings = &replay->settings;
    struct run_request request = {
        .trace = settings->trace,
        .workload = run_workload_of(settings),
        .ask = true,
        .ask_at_end = settings->ask,
        .design = replay->design,
        .file_index = settings->file_index,
        .fork_copy = settings->fork_copy,
        .chain_lock = settings->chain_lock,
        .nonlinear = settings->nonlinear,
        .fault_around = settings->fault_around,
        .cpus = settings->cpus,
        .nodes = settings->nodes,
        .swappiness = settings->swappiness,
        .low_frames = settings->low_bytes >> VM_PAGE_SHIFT,
        .lock_stats = settings->lock_stats,
        .verify = settings->verify,
        .verify_every = settings->verify_every,
        .dump = replay->dump,
        .label = replay->design,
        .watch = replay->watch,
    };
    bool contents = settings->contents == CONTENTS_ALWAYS ||
                    (settings->contents == CONTENTS_BY_VERIFY && settings->verify);
    request.contents = contents ? VM_CONTENTS_KEPT : VM_METADATA_ONLY;
    run_size(settings, peak, &request.frames, &request.swap_pages);
    return request;
}

static void report(const struct replay *replay, const struct run_request *request,
                   const struct run_result *result, const struct peak *peak) {
    json_t *designs = json_array();
    json_array_append_new(designs, report_design(request, result));
    json_t *document = report_document(report_trace(replay->settings.trace, result, peak),
                                       report_machine(&replay->settings, request), designs);
    bool dumped = replay->dump && strcmp(replay->dump, "-") == 0;
    if (replay->settings.json)
        report_print_json(document);
    else if (!dumped)
        report_print_table(document, stdout);
    json_decref(document);
}

static int play(const struct replay *replay) {
    struct peak peak;
    bool measured = run_needs_peak(&replay->settings);
    int code;
    if (measured && !run_measure(&replay->settings, &peak, &code))
        return code;
    struct run_request request = request_for(replay, measured ? &peak : NULL);
    struct run_result *result = malloc(sizeof(*result));
    if (!result) {
        complain("no memory");
        return EXIT_FOUND;
    }
    run_trace(&request, result);
    if (result->end != RUN_COMPLETE)
        run_complain(result);
    if (result->end != RUN_INVALID && result->end != RUN_FAILED)
        report(replay, &request, result, measured ? &peak : NULL);
    code = run_exit_code(result->end);
    free(result);
    return code;
}

static bool wants_help(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int run_replay(int argc, char **argv) {
    struct replay replay = { .settings = default_settings, .design = DEFAULT_DESIGN };
    if (wants_help(argc, argv)) {
        fputs(usage, stdout);
        fputs(settings_help, stdout);
        return EXIT_OK;
    }
    return parse(&replay, argc, argv) ? play(&replay) : EXIT_USAGE;
}

const struct command replay_command = {
    "replay",
    "run a trace through the virtual memory system, and verify it",
    run_replay,
};
