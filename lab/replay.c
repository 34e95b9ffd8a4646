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

static enum option own_option(void *context, int argc, char **argv, int *at) {
    struct replay *replay = context;
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
    const struct settings_command command = { "replay", own_options, own_option, replay };
    if (!settings_parse(&replay->settings, &command, argc, argv))
        return false;
    if (replay->settings.json && replay->dump && strcmp(replay->dump, "-") == 0) {
        complain("--json and --dump - would both write to standard output; give --dump a file");
        return false;
    }
    return design_takes_chain_lock(replay->design, replay->settings.chain_lock) &&
           design_takes_nonlinear(replay->design, replay->settings.nonlinear);
}

static struct run_request make_request(const struct replay *replay, const struct peak *peak) {
    const struct settings *settings = &replay->settings;
    struct run_request request = run_request_for(settings, peak, replay->design);
    bool contents = settings->contents == CONTENTS_ALWAYS ||
                    (settings->contents == CONTENTS_BY_VERIFY && settings->verify);
    request.contents = contents ? VM_CONTENTS_KEPT : VM_METADATA_ONLY;
    request.ask = true;
    request.verify = settings->verify;
    request.dump = replay->dump;
    request.watch = replay->watch;
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
    struct run_request request = make_request(replay, measured ? &peak : NULL);
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
