/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - the program `schedule`: explores scenarios, and plays a schedule that was found again.
 */
#include "arena.h"
#include "explorer.h"
#include "scenarios.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *part;
    const struct scenario *scenarios;
} lists[] = {
    { "toys", toys },
    { "walks", walk_scenarios },
    { "faults", fault_scenarios },
    { "objects", object_scenarios },
    { "reclaims", reclaim_scenarios },
    { "migrations", migration_scenarios },
    { "nodes", node_scenarios },
};

enum { LISTS = sizeof lists / sizeof lists[0], DESIGNS_MOST = 16 };

struct request {
    const char *part;     /* of the lists, or NULL */
    const char *scenario; /* a part of its name, or NULL */
    const char *design;
    const char *replay;
    struct exploration exploration;
    bool verbose, print;
};

struct totals {
    unsigned plays, failures;
    uint64_t schedules, random, left_out, cut_short;
};

static struct {
    const char *names[DESIGNS_MOST];
    unsigned count;
} designs;

static struct { const char *scenario, *design; } playing; /* for a crash */

static void note_design(const struct vm_design_info *design, void *context) {
    (void)context;
    if (designs.count < DESIGNS_MOST)
        designs.names[designs.count++] = design->name;
}

static bool has_word(const char *words, const char *word) {
    size_t length = strlen(word);

    for (const char *at = words; (at = strstr(at, word)) != NULL; at += length)
        if ((at == words || at[-1] == ' ') && (at[length] == '\0' || at[length] == ' '))
            return true;
    return false;
}

static bool is_played_on(const struct scenario *scenario, const char *design) {
    if (scenario->toy)
        return strcmp(design, designs.names[0]) == 0;
    return !scenario->designs || has_word(scenario->designs, design);
}

/* ---------------------------------------------------------------- what has been found */

static void print_replay(const struct schedule *schedule) {
    char text[1024];

    schedule_print(schedule, text, sizeof text);
    printf("  to see it again: schedule --replay=%s/%s/%s\n", playing.scenario, playing.design,
           text);
}

static void print_failure(const struct finding *finding) {
    printf("%s on %s fails: %s\n", playing.scenario, playing.design, finding->why);
    print_replay(&finding->schedule);
    if (finding->failing_seed)
        printf("  found by lot, seed %" PRIu64 ", and made shorter\n", finding->failing_seed);
    else
        printf("  found with %u preemptions, after %" PRIu64 " schedules\n", finding->preemptions,
               finding->tried[0] + finding->tried[1] + finding->tried[2] + finding->tried[3]);
}

static void print_progress(const struct finding *finding) {
    printf("%-24s %-16s %4u steps; schedules with 0, 1, 2, 3 preemptions: %" PRIu64 " %" PRIu64
           " %" PRIu64 " %" PRIu64 ", by lot %" PRIu64 "; %" PRIu64 " alike left out%s\n",
           playing.scenario, playing.design, finding->longest, finding->tried[0], finding->tried[1],
           finding->tried[2], finding->tried[3], finding->random_tried, finding->left_out,
           finding->stopped_early ? "; not all" : "");
}

/* The library has crashed, or a sanitizer stops us: say at least how we came here. */
static void print_crash(void) {
    const struct performance *performance = scheduler_current();

    if (!playing.scenario)
        return;
    printf("%s on %s crashes\n", playing.scenario, playing.design);
    print_replay(&performance->schedule);
    fflush(stdout);
}

static void on_crash(int number) {
    signal(number, SIG_DFL);
    print_crash();
    raise(number);
}

static void watch_for_crashes(void) {
    static char stack[1 << 16];
    stack_t alternative = { .ss_sp = stack, .ss_size = sizeof stack };
    struct sigaction action = { .sa_handler = on_crash, .sa_flags = SA_ONSTACK | SA_NODEFER };

    sigaltstack(&alternative, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGABRT, &action, NULL);
}

/* ---------------------------------------------------------------- exploring */

static void explore_one(const struct scenario *scenario, const char *design,
                        const struct request *request, struct totals *totals) {
    struct play play;
    struct finding finding;
    char why[256];

    playing.scenario = scenario->name;
    playing.design = design;
    totals->plays++;
    if (!stage_prepare(scenario, design, &play, why)) {
        printf("%s on %s cannot be set up: %s\n", scenario->name, design, why);
        totals->failures++;
        return;
    }
    explore(&play, &request->exploration, &finding);
    for (unsigned i = 0; i < 4; i++)
        totals->schedules += finding.tried[i];
    totals->random += finding.random_tried;
    totals->left_out += finding.left_out;
    totals->cut_short += finding.stopped_early;
    if (request->verbose)
        print_progress(&finding);
    if (finding.failed && (!scenario->must_fail || request->verbose))
        print_failure(&finding);
    if (scenario->must_fail && !finding.failed)
        printf("%s: the bug was not found\n", scenario->name);
    totals->failures += finding.failed != scenario->must_fail;
    fflush(stdout);
}

static bool is_wanted(const struct scenario *scenario, const struct request *request) {
    return !request->scenario ||
           strncmp(scenario->name, request->scenario, strlen(request->scenario)) == 0;
}

static void explore_part(const struct scenario *scenario, const struct request *request,
                         struct totals *totals) {
    for (; scenario->name; scenario++)
        for (unsigned i = 0; i < designs.count && is_wanted(scenario, request); i++)
            if (is_played_on(scenario, designs.names[i]) &&
                (!request->design || has_word(request->design, designs.names[i])))
                explore_one(scenario, designs.names[i], request, totals);
}

static int explore_all(const struct request *request) {
    struct totals totals = { 0 };
    struct timespec start, end;

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned list = 0; list < LISTS; list++)
        if (!request->part || strcmp(request->part, lists[list].part) == 0)
            explore_part(lists[list].scenarios, request, &totals);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (totals.plays == 0) {
        fprintf(stderr, "schedule: no such scenario or design: see --list\n");
        return 2;
    }
    double seconds =
        (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    printf("%u plays, %" PRIu64 " schedules with up to %u preemptions (%" PRIu64
           " alike left out), %" PRIu64 " by lot from seed %" PRIu64 ", %.1f s, %u failures\n",
           totals.plays, totals.schedules, request->exploration.preemptions, totals.left_out,
           totals.random, request->exploration.seed, seconds, totals.failures);
    if (totals.cut_short)
        printf("%" PRIu64 " plays have more schedules than were tried (--most)\n",
               totals.cut_short);
    return totals.failures ? 1 : 0;
}

/* ---------------------------------------------------------------- replaying */

static const struct scenario *scenario_named(const char *name) {
    for (unsigned list = 0; list < LISTS; list++)
        for (const struct scenario *scenario = lists[list].scenarios; scenario->name; scenario++)
            if (strcmp(scenario->name, name) == 0)
                return scenario;
    return NULL;
}

static const char *design_named(const char *name) {
    for (unsigned i = 0; i < designs.count; i++)
        if (strcmp(designs.names[i], name) == 0)
            return designs.names[i];
    return NULL;
}

static int replay(const struct request *request) {
    char name[64], design[64], text[1024], why[256];
    struct schedule schedule;
    struct play play;

    if (sscanf(request->replay, "%63[^/]/%63[^/]/%1023s", name, design, text) != 3 ||
        !scenario_named(name) || !design_named(design) || !schedule_parse(text, &schedule)) {
        fprintf(stderr, "schedule: --replay=SCENARIO/DESIGN/STEP:ACTOR,... as it was printed\n");
        return 2;
    }
    playing.scenario = scenario_named(name)->name;
    playing.design = design_named(design);
    if (!stage_prepare(scenario_named(name), playing.design, &play, why)) {
        printf("%s on %s cannot be set up: %s\n", name, design, why);
        return 1;
    }
    arena_restore();
    const struct performance *performance = scheduler_perform(
        &play, scheduler_follow, &schedule, request->print ? TELL_SWITCHES : TELL_NOTHING);
    printf("%s on %s %s%s after %u steps, %u preemptions\n", name, design,
           performance->failed ? "fails: " : "passes", performance->why, performance->step_count,
           performance->preemptions);
    return performance->failed ? 1 : 0;
}

/* ---------------------------------------------------------------- options */

static void list_scenarios(void) {
    for (unsigned list = 0; list < LISTS; list++)
        for (const struct scenario *scenario = lists[list].scenarios; scenario->name; scenario++)
            printf("%-24s %s\n", scenario->name, scenario->what);
}

static const char usage[] =
    "schedule [OPTION]...   tries the races of tests/schedule/ in every order\n"
    "  --part=NAME          toys, walks, faults, objects, reclaims, migrations or nodes only\n"
    "  --scenario=NAME      those whose names begin so; --list names all\n"
    "  --design=NAMES       on these designs only, with spaces between\n"
    "  --preemptions=N      all schedules with up to N preemptions (2; 0 to 3)\n"
    "  --most=N             no more than N of them for a scenario and design (no limit)\n"
    "  --everything         leave out no schedule that only swaps independent steps\n"
    "  --random=N           then N schedules by lot (100)\n"
    "  --seed=N             from this seed on (1)\n"
    "  --replay=TEXT        play a schedule as it was printed; with --print, tell each switch\n"
    "  --verbose            count the schedules of each scenario and design\n";

static bool take_number(const char *argument, const char *name, uint64_t *number) {
    size_t length = strlen(name);
    char *end;

    if (strncmp(argument, name, length) != 0)
        return false;
    *number = strtoull(argument + length, &end, 10);
    return argument[length] && *end == '\0';
}

static bool take_text(const char *argument, const char *name, const char **text) {
    size_t length = strlen(name);

    if (strncmp(argument, name, length) != 0)
        return false;
    *text = argument + length;
    return true;
}

static bool take_option(const char *argument, struct request *request) {
    struct exploration *exploration = &request->exploration;
    uint64_t preemptions;

    if (take_number(argument, "--preemptions=", &preemptions) && preemptions <= 3) {
        exploration->preemptions = (unsigned)preemptions;
        return true;
    }
    if (strcmp(argument, "--everything") == 0)
        return exploration->everything = true;
    if (strcmp(argument, "--verbose") == 0)
        return request->verbose = true;
    if (strcmp(argument, "--print") == 0)
        return request->print = true;
    return take_text(argument, "--part=", &request->part) ||
           take_text(argument, "--scenario=", &request->scenario) ||
           take_text(argument, "--design=", &request->design) ||
           take_text(argument, "--replay=", &request->replay) ||
           take_number(argument, "--most=", &exploration->most) ||
           take_number(argument, "--random=", &exploration->random) ||
           (take_number(argument, "--seed=", &exploration->seed) && exploration->seed);
}

int main(int argc, char **argv) {
    struct request request = { .exploration = { .preemptions = 2, .random = 100, .seed = 1 } };

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0) {
            list_scenarios();
            return 0;
        }
        if (!take_option(argv[i], &request)) {
            fputs(usage, strcmp(argv[i], "--help") == 0 ? stdout : stderr);
            return strcmp(argv[i], "--help") == 0 ? 0 : 2;
        }
    }
    vm_design_each(note_design, NULL);
    arena_create();
    scheduler_create();
    watch_for_crashes();
    return request.replay ? replay(&request) : explore_all(&request);
}
