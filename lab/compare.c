/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compare.c - `objrmap compare`: a trace through several designs, side by side.
 *
 * Each replay runs in a process of its own. First every design is judged once, with contents; then
 * come the timed rounds, design after design in each, so that a busy moment of this computer hits
 * all alike. A time is the median of the rounds.
 */
#include "apart.h"
#include "command.h"
#include "design_names.h"
#include "memory.h"
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_ROUNDS = 3, ROUNDS_MAX = 101, COMPARE_VERIFY_EVERY = 100000 };

static const char usage[] =
    "usage: objrmap compare [OPTION...] TRACE\n"
    "\n"
    "Runs a trace through several designs and prints their costs side by side. First each design "
    "is\n"
    "verified, as by `replay --verify` (each 100000 events, unless --verify=N says otherwise); "
    "then\n"
    "they are timed. Exit code 1 when a design is wrong, or programs would see a difference.\n"
    "\n"
    "  --designs a,b|all       which ones, and in which order. Default: all\n"
    "  --rounds N              timed rounds; times are their medians. Default: 3\n"
    "  --no-verify             only time them\n"
    "  --json                  the report as JSON\n"
    "\n";

static const char *const own_options[] = { "--designs", "--rounds", "--no-verify", NULL };

struct compare {
    struct settings settings;
    struct design_names designs;
    uint64_t rounds;
    bool only_time;
    struct peak peak;
    bool measured;
};

/* ---------------------------------------------------------------- arguments */

static enum option parse_rounds(struct compare *compare, const char *text) {
    return option_number("--rounds", text, 1, ROUNDS_MAX, &compare->rounds) ? OPTION_TAKEN
                                                                            : OPTION_WRONG;
}

static enum option own_option(void *context, int argc, char **argv, int *at) {
    struct compare *compare = context;
    bool missing;
    if (strcmp(argv[*at], "--no-verify") == 0) {
        compare->only_time = true;
        return OPTION_TAKEN;
    }
    const char *value = option_value("--designs", argc, argv, at, &missing);
    if (value)
        return design_names_parse(value, &compare->designs) ? OPTION_TAKEN : OPTION_WRONG;
    if (missing)
        return OPTION_WRONG;
    value = option_value("--rounds", argc, argv, at, &missing);
    if (value)
        return parse_rounds(compare, value);
    return missing ? OPTION_WRONG : OPTION_UNKNOWN;
}

static bool parse(struct compare *compare, int argc, char **argv) {
    const struct settings_command command = { "compare", own_options, own_option, compare };
    if (!settings_parse(&compare->settings, &command, argc, argv))
        return false;
    if (strcmp(compare->settings.trace, "-") == 0) {
        complain("compare reads the trace several times: put it into a file");
        return false;
    }
    for (unsigned i = 0; i < compare->designs.count; i++)
        if (!design_takes_chain_lock(compare->designs.name[i], compare->settings.chain_lock) ||
            !design_takes_nonlinear(compare->designs.name[i], compare->settings.nonlinear))
            return false;
    return true;
}

/* ---------------------------------------------------------------- one replay in a process */

static struct run_request make_request(const struct compare *compare, const char *design,
                                       bool judge) {
    const struct settings *settings = &compare->settings;
    bool contents =
        judge ? settings->contents != CONTENTS_NEVER : settings->contents == CONTENTS_ALWAYS;
    struct run_request request =
        run_request_for(settings, compare->measured ? &compare->peak : NULL, design);
    request.contents = contents ? VM_CONTENTS_KEPT : VM_METADATA_ONLY;
    request.ask = !judge;
    request.verify = judge;
    request.lock_stats = settings->lock_stats && !judge;
    return request;
}

/* {"code", "trace", "design"}, or NULL after a complaint. */
static json_t *replay_apart(const struct compare *compare, const struct run_request *request) {
    struct run_result *result = new_array(1, sizeof(*result));
    const struct peak *peak = compare->measured ? &compare->peak : NULL;
    json_t *answer = NULL;
    if (run_apart(request, result))
        answer = json_pack("{s:i, s:o, s:o}", "code", run_exit_code(result->end), "trace",
                           report_trace(compare->settings.trace, result, peak), "design",
                           report_design(request, result));
    free(result);
    return answer;
}

/* ---------------------------------------------------------------- medians */

static int by_value(const void *a, const void *b) {
    double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof(*values), by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* The median over all rounds of what stands at group.name.member, or name alone. */
static double median_of(json_t *const *rounds, size_t count, const char *operation,
                        const char *member) {
    double values[ROUNDS_MAX];
    for (size_t i = 0; i < count; i++) {
        const json_t *from = json_object_get(rounds[i], "design");
        if (operation)
            from = json_object_get(json_object_get(from, "ops"), operation);
        values[i] = json_number_value(json_object_get(from, member));
    }
    return median(values, count);
}

/* The first round's design, its times replaced by the medians of all. */
static json_t *merge_rounds(json_t *const *rounds, size_t count) {
    const char *operation;
    json_t *value;
    json_t *design = json_deep_copy(json_object_get(rounds[0], "design"));
    json_object_set_new(design, "seconds", json_real(median_of(rounds, count, NULL, "seconds")));
    json_object_set_new(design, "wall_seconds",
                        json_real(median_of(rounds, count, NULL, "wall_seconds")));
    json_object_set_new(design, "rounds", json_integer((json_int_t)count));
    json_object_foreach(json_object_get(design, "ops"), operation, value) {
        double ns = median_of(rounds, count, operation, "ns");
        json_object_set_new(value, "ns", json_integer((json_int_t)ns));
    }
    return design;
}

/* ---------------------------------------------------------------- judging */

static int code_of(const json_t *answer) {
    return answer ? (int)json_integer_value(json_object_get(answer, "code")) : EXIT_FOUND;
}

static const char *hash_of(const json_t *design) {
    const char *hash = json_string_value(json_object_get(design, "state_hash"));
    return hash ? hash : "none";
}

/* Says which of the designs' states differs from the first one's. */
static bool same_states(const json_t *const *designs, size_t count) {
    for (size_t i = 1; i < count; i++)
        if (strcmp(hash_of(designs[i]), hash_of(designs[0])) != 0) {
            complain("programs see another state with %s (%s) than with %s (%s); replay --dump "
                     "writes it out",
                     json_string_value(json_object_get(designs[i], "name")), hash_of(designs[i]),
                     json_string_value(json_object_get(designs[0], "name")), hash_of(designs[0]));
            return false;
        }
    return true;
}

static bool all_verified(const json_t *const *designs, size_t count) {
    bool all = true;
    for (size_t i = 0; i < count; i++)
        if (!json_is_true(json_object_get(designs[i], "verified"))) {
            complain("%s is not verified", json_string_value(json_object_get(designs[i], "name")));
            all = false;
        }
    return all;
}

/* ---------------------------------------------------------------- the comparison */

struct answers {
    json_t *judged[DESIGNS_MAX];
    json_t *rounds[DESIGNS_MAX][ROUNDS_MAX];
};

static void release(struct answers *answers) {
    for (size_t d = 0; d < DESIGNS_MAX; d++) {
        json_decref(answers->judged[d]);
        for (size_t r = 0; r < ROUNDS_MAX; r++)
            json_decref(answers->rounds[d][r]);
    }
    free(answers);
}

/* All replays. Stops at the first that does not come through; returns the exit code so far. */
static int replay_all(const struct compare *compare, struct answers *answers) {
    for (unsigned d = 0; d < compare->designs.count && !compare->only_time; d++) {
        struct run_request request = make_request(compare, compare->designs.name[d], true);
        answers->judged[d] = replay_apart(compare, &request);
        if (code_of(answers->judged[d]) != EXIT_OK) {
            complain("%s does not come through", compare->designs.name[d]);
            return code_of(answers->judged[d]);
        }
    }
    for (uint64_t r = 0; r < compare->rounds; r++)
        for (unsigned d = 0; d < compare->designs.count; d++) {
            struct run_request request = make_request(compare, compare->designs.name[d], false);
            answers->rounds[d][r] = replay_apart(compare, &request);
            if (code_of(answers->rounds[d][r]) != EXIT_OK) {
                complain("%s does not come through", compare->designs.name[d]);
                return code_of(answers->rounds[d][r]);
            }
        }
    return EXIT_OK;
}

/* The timed rounds give the numbers, the judged one gives the verdict. */
static json_t *merge_design(const struct compare *compare, const struct answers *answers,
                            unsigned d) {
    json_t *merged = merge_rounds(answers->rounds[d], compare->rounds);
    if (!compare->only_time) {
        const json_t *judged = json_object_get(answers->judged[d], "design");
        json_object_set(merged, "verified", json_object_get(judged, "verified"));
        json_object_set(merged, "state_hash", json_object_get(judged, "state_hash"));
        json_object_set(merged, "checks", json_object_get(judged, "checks"));
    }
    return merged;
}

static int judge(const struct compare *compare, const struct answers *answers) {
    const json_t *judged[DESIGNS_MAX], *timed[DESIGNS_MAX];
    bool good = true;
    for (unsigned d = 0; d < compare->designs.count; d++) {
        judged[d] = json_object_get(answers->judged[d], "design");
        timed[d] = json_object_get(answers->rounds[d][0], "design");
    }
    if (!compare->only_time)
        good = all_verified(judged, compare->designs.count) &&
               same_states(judged, compare->designs.count);
    good &= same_states(timed, compare->designs.count);
    return good ? EXIT_OK : EXIT_FOUND;
}

static void report(const struct compare *compare, const struct answers *answers) {
    json_t *designs = json_array();
    for (unsigned d = 0; d < compare->designs.count; d++)
        json_array_append_new(designs, merge_design(compare, answers, d));
    struct run_request request = make_request(compare, compare->designs.name[0], false);
    json_t *trace = json_deep_copy(json_object_get(answers->rounds[0][0], "trace"));
    json_t *document =
        report_document(trace, report_machine(&compare->settings, &request), designs);
    if (compare->settings.json)
        report_print_json(document);
    else
        report_print_table(document, stdout);
    json_decref(document);
}

static int compare_designs(struct compare *compare) {
    int code;
    compare->measured = run_needs_peak(&compare->settings);
    if (compare->measured && !run_measure(&compare->settings, &compare->peak, &code))
        return code;
    struct answers *answers = new_array(1, sizeof(*answers));
    code = replay_all(compare, answers);
    if (code == EXIT_OK) {
        report(compare, answers);
        code = judge(compare, answers);
    }
    release(answers);
    return code;
}

static bool wants_help(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int run_compare(int argc, char **argv) {
    struct compare compare = { .settings = default_settings, .rounds = DEFAULT_ROUNDS };
    compare.settings.verify_every = COMPARE_VERIFY_EVERY;
    design_names_all(&compare.designs);
    if (wants_help(argc, argv)) {
        fputs(usage, stdout);
        fputs(settings_help, stdout);
        return EXIT_OK;
    }
    return parse(&compare, argc, argv) ? compare_designs(&compare) : EXIT_USAGE;
}

const struct command compare_command = {
    "compare",
    "run a trace through several designs and print their costs side by side",
    run_compare,
};
