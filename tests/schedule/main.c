/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - the program `schedule`: explores scenarios, and plays a schedule that was found again.
 */
#include "arena.h"
#include "explorer.h"
#include "scenarios.h"

#include "harness/clock.h"
#include "harness/options.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    bool list, verbose, print;
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

static bool is_played_on(const struct scenario *scenario, const char *design) {
    if (scenario->toy)
        return strcmp(design, designs.names[0]) == 0;
    return !scenario->designs || options_list_has(scenario->designs, design);
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
    printf("%s on %s crashes, or does what a sanitizer reports\n", playing.scenario,
           playing.design);
    print_replay(&performance->schedule);
    fflush(stdout);
}

#ifdef WITH_TSAN
void __tsan_on_report(void *report);

/* By its name the sanitizer knows it. */
void __tsan_on_report(void *report) {
    (void)report;
    print_crash();
}
#endif

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
                (!request->design || options_list_has(request->design, designs.names[i])))
                explore_one(scenario, designs.names[i], request, totals);
}

static int explore_all(const struct request *request) {
    struct totals totals = { 0 };
    double start = seconds_now();

    for (unsigned list = 0; list < LISTS; list++)
        if (!request->part || strcmp(request->part, lists[list].part) == 0)
            explore_part(lists[list].scenarios, request, &totals);
    if (totals.plays == 0) {
        fprintf(stderr, "schedule: no such scenario or design: see --list\n");
        return 2;
    }
    printf("%u plays, %" PRIu64 " schedules with up to %u preemptions (%" PRIu64
           " alike left out), %" PRIu64 " by lot from seed %" PRIu64 ", %.1f s, %u failures\n",
           totals.plays, totals.schedules, request->exploration.preemptions, totals.left_out,
           totals.random, request->exploration.seed, seconds_now() - start, totals.failures);
    if (totals.cut_short)
        printf("%" PRIu64 " plays have more schedules than were tried%s\n", totals.cut_short,
               request->exploration.most ? " (--most)" : ": they have to give way too often");
    return totals.failures || (totals.cut_short && !request->exploration.most) ? 1 : 0;
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
    "usage: schedule [OPTION...]\n"
    "\n"
    "Tries the races of tests/schedule/ in every order.\n"
    "\n"
    "  --part=NAME          toys, walks, faults, objects, reclaims, migrations or nodes only\n"
    "  --scenario=NAME      those whose names begin so; --list names all\n"
    "  --design=A,B,...     on these designs only\n"
    "  --preemptions=N      all schedules with up to N preemptions (2; 0 to 3)\n"
    "  --most=N             no more than N of them for a scenario and design (no limit)\n"
    "  --everything         leave out no schedule that only swaps independent steps\n"
    "  --random=N           then N schedules by lot (100)\n"
    "  --seed=N             from this seed on (1)\n"
    "  --replay=TEXT        play a schedule as it was printed; with --print, tell each switch\n"
    "  --verbose            count the schedules of each scenario and design\n";

static void take_options(int argc, char **argv, struct request *request) {
    struct exploration *exploration = &request->exploration;
    uint64_t preemptions = 2;
    const struct test_option known[] = {
        { "--part", .text = &request->part },
        { "--scenario", .text = &request->scenario },
        { "--list", .flag = &request->list },
        { "--design", .text = &request->design },
        { "--preemptions", .number = &preemptions },
        { "--most", .number = &exploration->most },
        { "--everything", .flag = &exploration->everything },
        { "--random", .number = &exploration->random },
        { "--seed", .number = &exploration->seed },
        { "--replay", .text = &request->replay },
        { "--print", .flag = &request->print },
        { "--verbose", .flag = &request->verbose },
    };

    options_take(argc, argv, usage, known, sizeof known / sizeof known[0]);
    if (preemptions > 3 || !exploration->seed) {
        fprintf(stderr, "schedule: --preemptions goes from 0 to 3, and --seed begins at 1\n");
        exit(EXIT_WRONG_USE);
    }
    exploration->preemptions = (unsigned)preemptions;
}

int main(int argc, char **argv) {
    struct request request = { .exploration = { .random = 100, .seed = 1 } };

    take_options(argc, argv, &request);
    if (request.list) {
        list_scenarios();
        return 0;
    }
    vm_design_each(note_design, NULL);
    arena_create();
    scheduler_create();
    watch_for_crashes();
    return request.replay ? replay(&request) : explore_all(&request);
}
