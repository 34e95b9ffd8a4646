/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * random_ops.c - random sequences of all calls of the library, on every design, judged at each step.
 *
 * A worker process plays sequence after sequence. When it fails, crashes or hangs, this process
 * knows from a shared page which sequence it was, shrinks that in processes of their own, and prints
 * what is left as a trace. docs/testing.md tells how to use it.
 */
#include "printed.h"
#include "trial.h"

#include "harness/apart.h"
#include "harness/clock.h"
#include "harness/options.h"

#include <objrmap/rmap.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
    "usage: random-ops [OPTION...]\n"
    "\n"
    "Plays random sequences of calls on every design and checks everything at each step.\n"
    "\n"
    "  --seed=N            default 1\n"
    "  --first=N           the number of the first sequence; default 0\n"
    "  --sequences=N       how many; default 200, or without end if --seconds is given\n"
    "  --steps=N           steps of each sequence; default 150\n"
    "  --seconds=N         begin no sequence after this time\n"
    "  --designs=A,B,...   default: all that are built in\n"
    "  --skip=A,B,...      not these\n"
    "  --frames-differ=A,B designs that may run out of memory where others do not; default\n"
    "                      anonmm,virtual-scan\n"
    "  --file-index=A,B    ways for objects to keep their areas; default: all\n"
    "  --frames=N --swap=N --metadata=0|1 --eager=0|1 --cpus=N\n"
    "                      the machine, where it shall not be drawn by lot\n"
    "  --fail-nth=N        of a sequence's allocations N succeed, the next N fail, and so on; 0:\n"
    "                      nothing ever fails\n"
    "  --fail-read=N --fail-write=N\n"
    "                      every Nth page read or written fails\n"
    "  --check=N           check after every N steps; default 1, 0: only at the end\n"
    "  --print             print each sequence as a trace\n"
    "  --play=FILE         play a printed sequence instead\n"
    "  --save=FILE         where a failing sequence goes; default random-ops-failure.vmt\n"
    "  --shrink=N          seconds to spend on making it small; default 120\n";

#define NOT_GIVEN UINT64_MAX

struct options {
    uint64_t seed, first, sequences, steps, seconds, shrink;
    uint64_t frames, swap, metadata, eager, cpus, fail_nth, fail_read, fail_write;
    const char *designs, *skip, *frames_differ, *file_index, *play, *save;
    bool print;
    bool adding_apart; /* which half of the designs is being listed */
    struct choice choice;
};

/* What the worker tells while it works. */
struct progress {
    uint64_t number; /* of the sequence under way */
    uint64_t sequences, steps, refused, out_of_memory, injected, retired, apart;
    struct trial failed; /* the last one, if it failed */
};

/* ---------------------------------------------------------------- options */

static void add_design(const struct vm_design_info *design, void *context) {
    struct options *options = context;
    struct choice *choice = &options->choice;
    bool apart = options_list_has(options->frames_differ, design->name);
    if ((options->designs && !options_list_has(options->designs, design->name)) ||
        options_list_has(options->skip, design->name) || choice->count == DESIGNS_MOST ||
        apart != options->adding_apart)
        return;
    snprintf(choice->designs[choice->count], NAME_BYTES, "%s", design->name);
    choice->has_chains[choice->count] = design->chains;
    choice->chains_objects[choice->count] = design->object_chains;
    choice->frames_may_differ[choice->count++] = apart;
}

static void add_index(const struct vm_file_index_info *index, void *context) {
    struct options *options = context;
    struct choice *choice = &options->choice;
    if (choice->index_count == INDEXES_MOST ||
        (options->file_index && !options_list_has(options->file_index, index->name)))
        return;
    snprintf(choice->indexes[choice->index_count++], NAME_BYTES, "%s", index->name);
}

static void parse_options(int argc, char **argv, struct options *options) {
    const struct test_option known[] = {
        { "--seed", .number = &options->seed },
        { "--first", .number = &options->first },
        { "--sequences", .number = &options->sequences },
        { "--steps", .number = &options->steps },
        { "--seconds", .number = &options->seconds },
        { "--designs", .text = &options->designs },
        { "--skip", .text = &options->skip },
        { "--frames-differ", .text = &options->frames_differ },
        { "--file-index", .text = &options->file_index },
        { "--frames", .number = &options->frames },
        { "--swap", .number = &options->swap },
        { "--metadata", .number = &options->metadata },
        { "--eager", .number = &options->eager },
        { "--cpus", .number = &options->cpus },
        { "--fail-nth", .number = &options->fail_nth },
        { "--fail-read", .number = &options->fail_read },
        { "--fail-write", .number = &options->fail_write },
        { "--check", .number = &options->choice.check_every },
        { "--print", .flag = &options->print },
        { "--play", .text = &options->play },
        { "--save", .text = &options->save },
        { "--shrink", .number = &options->shrink },
    };
    options_take(argc, argv, usage, known, sizeof(known) / sizeof(known[0]));
    if (options->sequences == NOT_GIVEN)
        options->sequences = options->seconds != NOT_GIVEN ? NOT_GIVEN - options->first : 200;
    /* The others are compared with the first: it shall be one that memory does not set apart. */
    options->adding_apart = false;
    vm_design_each(add_design, options);
    options->adding_apart = true;
    vm_design_each(add_design, options);
    vm_file_index_each(add_index, options);
    if (!options->choice.count || !options->choice.index_count) {
        fprintf(stderr, "random-ops: no design, or no file index, is left to play on; objrmap "
                        "designs lists them\n");
        exit(EXIT_WRONG_USE);
    }
}

static void override(uint64_t *number, uint64_t given) {
    if (given != NOT_GIVEN)
        *number = given;
}

static void make_plan(const struct options *options, uint64_t number, struct plan *plan) {
    plan_make(plan, options->seed, number);
    override(&plan->frames, options->frames);
    override(&plan->swap, options->swap);
    override(&plan->metadata, options->metadata);
    override(&plan->eager, options->eager);
    override(&plan->cpus, options->cpus);
    if (options->fail_nth == 0)
        plan->failures = (struct failures){ 0 };
    override(&plan->failures.allocate, options->fail_nth);
    override(&plan->failures.read, options->fail_read);
    override(&plan->failures.write, options->fail_write);
}

/* ---------------------------------------------------------------- printing */

static void print_heading(const struct options *options, uint64_t number, const struct plan *plan,
                          struct trace_writer *writer) {
    char text[OP_TEXT_BYTES], names[DESIGNS_MOST * NAME_BYTES] = "";
    for (unsigned i = 0, used = 0; i < options->choice.count; i++)
        used += (unsigned)snprintf(names + used, sizeof(names) - used, "%s%s", i ? "," : "",
                                   options->choice.designs[i]);
    trace_comment(writer, "seed %" PRIu64 ", sequence %" PRIu64, options->seed, number);
    trace_comment(writer, "machine %s", plan_text(plan, text));
    trace_comment(writer, "designs %s", names);
}

static void print_failure(const struct trial *trial, const struct sequence *sequence) {
    printf("%s, design %s, at step %zu of %zu: %s\n", failure_name(trial->report.failure),
           trial->design[0] ? trial->design : "?", trial->report.failed_at + 1, sequence->count,
           trial->report.message);
}

static void print_repeat(const struct options *options, const struct plan *plan) {
    printf("to repeat it:        random-ops --play=%s\n", options->save);
    printf("as a trace, roughly: objrmap replay --verify=1 --memory %" PRIu64 "K --swap %" PRIu64
           "K --design %s %s\n",
           plan->frames * 4, plan->swap * 4, options->choice.designs[0], options->save);
}

/* Shrinks, saves, prints. */
static void tell_failure(struct options *options, uint64_t number, struct plan *plan,
                         struct sequence *sequence, const struct trial *found) {
    struct trial trial;
    printf("sequence %" PRIu64 " of seed %" PRIu64 " fails:\n", number, options->seed);
    print_failure(found, sequence);
    fflush(stdout);
    trial_shrink(&options->choice, plan, sequence, found->report.failure, (double)options->shrink);
    struct trace_writer *saved = printed_open(options->save);
    if (!saved)
        return;
    print_heading(options, number, plan, saved);
    trace_flush(saved);
    trial_run_apart(&options->choice, plan, sequence, saved, TRIAL_LOUD, &trial);
    trace_writer_close(saved);
    printf("shrunk to %zu steps:\n", sequence->count);
    print_failure(&trial, sequence);
    printed_show(options->save);
    printf("repeat all of it:    random-ops --seed=%" PRIu64 " --first=%" PRIu64
           " --sequences=1 --steps=%" PRIu64 "\n",
           options->seed, number, options->steps);
    print_repeat(options, plan);
}

/* ---------------------------------------------------------------- many sequences */

static void note(struct progress *progress, const struct trial *trial) {
    progress->sequences++;
    progress->steps += trial->report.steps;
    progress->refused += trial->report.refused;
    progress->out_of_memory += trial->report.out_of_memory;
    progress->injected += trial->report.injected;
    progress->retired += trial->report.model_retired;
    progress->apart += trial->apart;
}

static bool play_number(const struct options *options, uint64_t number, struct trial *trial) {
    struct sequence sequence;
    struct plan plan;
    make_plan(options, number, &plan);
    sequence_make(&sequence, options->seed, number, options->steps);
    struct trace_writer *print = options->print ? printed_open(NULL) : NULL;
    if (print)
        print_heading(options, number, &plan, print);
    trial_run(&options->choice, &plan, &sequence, print, trial);
    if (print)
        trace_writer_close(print);
    sequence_free(&sequence);
    return trial->report.failure == FAILURE_NONE;
}

/* From sequence `number` on; it does not return. */
static void work(const struct options *options, uint64_t number, double until,
                 struct progress *progress) {
    for (; number - options->first < options->sequences && seconds_now() < until; number++) {
        struct trial trial;
        progress->number = number;
        alarm(trial_patience(&options->choice, options->steps));
        bool good = play_number(options, number, &trial);
        note(progress, &trial);
        if (!good) {
            progress->failed = trial;
            exit(1);
        }
    }
    exit(0);
}

/* What became of the worker: 0 if all is well, else the failing sequence has been told. */
static int judge_worker(struct options *options, const struct progress *progress, int status) {
    struct trial trial = progress->failed;
    struct sequence sequence;
    struct plan plan;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    make_plan(options, progress->number, &plan);
    sequence_make(&sequence, options->seed, progress->number, options->steps);
    if (!trial.report.failure)
        trial_run_apart(&options->choice, &plan, &sequence, NULL, TRIAL_QUIET, &trial);
    if (trial.report.failure)
        tell_failure(options, progress->number, &plan, &sequence, &trial);
    else
        printf("the worker ended with status %x, and sequence %" PRIu64
               " alone does not show why\n",
               (unsigned)status, progress->number);
    sequence_free(&sequence);
    return 1;
}

static int play_many(struct options *options) {
    struct progress *progress = apart_share(sizeof(*progress));
    double begin = seconds_now();
    double until = begin + (options->seconds == NOT_GIVEN ? 1e9 : (double)options->seconds);
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        work(options, options->first, until, progress);
    waitpid(child, &status, 0);
    unsigned designs = options->choice.count; /* shrinking leaves some out */
    int code = judge_worker(options, progress, status);
    FILE *closing = options->print ? stderr : stdout;
    fprintf(closing,
            "random-ops: seed %" PRIu64 ", %" PRIu64 " sequences, %" PRIu64
            " steps over %u designs in %.1f s: %s\n",
            options->seed, progress->sequences, progress->steps, designs, seconds_now() - begin,
            code ? "FAILED" : "all is well");
    fprintf(closing,
            "random-ops: %" PRIu64 " calls refused, %" PRIu64 " out of memory, %" PRIu64
            " failures injected; the model retired in %" PRIu64
            " sequences, memory set designs apart in %" PRIu64 "\n",
            progress->refused, progress->out_of_memory, progress->injected, progress->retired,
            progress->apart);
    return code;
}

/* ---------------------------------------------------------------- a printed sequence */

static int play_printed(struct options *options) {
    struct sequence sequence = { 0 };
    struct plan plan = { 0 };
    struct trial trial;
    if (!plan_read(options->play, &plan, &sequence))
        return 2;
    struct trace_writer *print = options->print ? printed_open(NULL) : NULL;
    if (print)
        trace_flush(print);
    trial_run_apart(&options->choice, &plan, &sequence, print, TRIAL_LOUD, &trial);
    if (print)
        trace_writer_close(print);
    if (trial.report.failure)
        print_failure(&trial, &sequence);
    else
        fprintf(options->print ? stderr : stdout, "%s: %" PRIu64 " steps, all is well\n",
                options->play, trial.report.steps);
    sequence_free(&sequence);
    return trial.report.failure ? 1 : 0;
}

int main(int argc, char **argv) {
    struct options options = {
        .seed = 1,
        .sequences = NOT_GIVEN,
        .steps = 150,
        .seconds = NOT_GIVEN,
        .shrink = 120,
        .frames = NOT_GIVEN,
        .swap = NOT_GIVEN,
        .metadata = NOT_GIVEN,
        .eager = NOT_GIVEN,
        .cpus = NOT_GIVEN,
        .fail_nth = NOT_GIVEN,
        .fail_read = NOT_GIVEN,
        .fail_write = NOT_GIVEN,
        .frames_differ = "anonmm,virtual-scan",
        .save = "random-ops-failure.vmt",
        .choice = { .check_every = 1 },
    };
    parse_options(argc, argv, &options);
    return options.play ? play_printed(&options) : play_many(&options);
}
