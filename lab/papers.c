/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * papers.c - `objrmap papers`: the papers' results, run again, beside the papers' figures.
 */
#include "command.h"
#include "papers/case.h"
#include "settings.h"

#include <sched.h>
#include <string.h>

enum { SCALE_MOST = 100, CASES_MAX = 32 };

static const char usage[] =
    "usage: objrmap papers [--scale N] [--json] [CASE...]\n"
    "\n"
    "Runs the cases behind the papers' figures, or those that are named; prints each figure "
    "beside\n"
    "ours, and says in words what differs and why. Times are the fastest of several rounds, "
    "within\n"
    "the machine's calls; as root it runs undisturbed, at real-time priority.\n"
    "\n"
    "  --scale N   cases N times as large, 1 to 100; at 1 all take about a minute. Default: 1\n"
    "  --json      the figures as JSON\n";

static const char opening[] =
    "The papers\n"
    "  McCracken          D. McCracken: Object-based Reverse Mapping. Linux Symposium 2004.\n"
    "  Bligh & Hansen     M. Bligh, D. Hansen: Linux Memory Management on Larger Machines.\n"
    "                     Linux Symposium 2003. Their machines have 12 and 16 processors.\n"
    "  Venkatasubramanian R. Venkatasubramanian: radix priority search tree - objrmap complexity "
    "fix.\n"
    "                     Mail to linux-mm, 21 March 2004. Pentium II, 200 MHz, 256 MB.\n"
    "  Molnar             I. Molnar: test-mmap3.c. Mail to linux-mm, 9 March 2004.\n"
    "  van Riel           R. van Riel: change anon_vma linking. Mail to linux-mm, 28 January "
    "2010.\n"
    "\n"
    "Here one processor does the memory management alone: no program, no file system, no TLB, and\n"
    "no other processor that waits for a lock. Table 1 of Bligh & Hansen (contention of\n"
    "pagemap_lru_lock) cannot show here; nor can what highmem, hot and cold pages cost.\n"
    "\n";

struct options {
    uint64_t scale;
    bool json, help;
    bool named[CASES_MAX], any_named; /* by place in paper_cases */
};

static bool name_case(struct options *options, const char *name) {
    const char *names[CASES_MAX + 1] = { NULL };
    for (size_t i = 0; i < CASES_MAX && paper_cases[i].name; i++) {
        names[i] = paper_cases[i].name;
        if (strcmp(name, names[i]) == 0)
            return options->named[i] = options->any_named = true;
    }
    const char *near = nearest_name(name, names);
    if (near)
        complain("papers has no case '%s'. Did you mean '%s'?", name, near);
    else
        complain("papers has no case '%s'; `objrmap papers --help` lists them", name);
    return false;
}

static bool parse(struct options *options, int argc, char **argv) {
    for (int at = 1; at < argc; at++) {
        bool missing;
        const char *scale = option_value("--scale", argc, argv, &at, &missing);
        if (missing)
            return false;
        if (scale) {
            if (!option_number("--scale", scale, 1, SCALE_MOST, &options->scale))
                return false;
        } else if (strcmp(argv[at], "--json") == 0) {
            options->json = true;
        } else if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
            options->help = true;
        } else if (!name_case(options, argv[at])) {
            return false;
        }
    }
    return true;
}

static int run_cases(const struct options *options) {
    json_t *cases = json_array();
    int code = EXIT_OK;
    if (!options->json)
        fputs(opening, stdout);
    for (size_t i = 0; paper_cases[i].name && code == EXIT_OK; i++) {
        if (options->any_named && !options->named[i])
            continue;
        json_t *result = paper_cases[i].run(options->scale);
        if (!result) {
            code = EXIT_FOUND;
        } else if (!options->json) {
            case_print(result, stdout);
            fflush(stdout);
        }
        if (result)
            json_array_append_new(cases, result);
    }
    if (options->json && code == EXIT_OK) {
        json_t *document =
            json_pack("{s:I, s:O}", "scale", (json_int_t)options->scale, "cases", cases);
        json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        putchar('\n');
        json_decref(document);
    }
    json_decref(cases);
    return code;
}

/* Where one may, nothing else runs in between: a run takes milliseconds, and so do others' turns. */
static void ask_for_calm(void) {
    struct sched_param first = { .sched_priority = 1 };
    (void)sched_setscheduler(0, SCHED_FIFO, &first);
}

static int run_papers(int argc, char **argv) {
    struct options options = { .scale = 1 };
    if (!parse(&options, argc, argv))
        return EXIT_USAGE;
    if (options.help) {
        fputs(usage, stdout);
        for (size_t i = 0; paper_cases[i].name; i++)
            printf("%s%s", i ? ", " : "\nCases: ", paper_cases[i].name);
        putchar('\n');
        return EXIT_OK;
    }
    ask_for_calm();
    return run_cases(&options);
}

const struct command papers_command = {
    "papers",
    "run the papers' cases, and print their figures beside ours",
    run_papers,
};
