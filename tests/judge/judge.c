/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * judge.c - the running kernel judges the library: random programs of several processes are played by
 * real processes through system calls, and by the library, and must come to the same.
 *
 * Compared are each call's result, each touch's value or signal, and at the end (in one of sixteen
 * programs after each step) the areas of all processes, what their pages hold, and, for root, who
 * shares which page with whom. Programs are played by all designs in turn.
 *
 * Several workers play different programs at once. A worker that crashes or hangs is a failure like
 * others. The first failing program is shrunk and printed as a trace, from which --play repeats it.
 */
#include "trial.h"

#include "../random/printed.h"

#include "harness/apart.h"
#include "harness/clock.h"
#include "harness/kernel.h"
#include "harness/options.h"

#include <objrmap/rmap.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
    "usage: judge [OPTION...]\n"
    "\n"
    "Plays random programs by real processes and by the library, and compares.\n"
    "\n"
    "  --programs=N      default 400\n"
    "  --seed=N          default 1\n"
    "  --first=N         the number of the first program; default 0\n"
    "  --steps=N         steps of each program, at most 240; default 50\n"
    "  --jobs=N          programs at once; default 2\n"
    "  --design=NAME     this one; default: all in turn\n"
    "  --look=N          look after each step in every Nth program; default 16, 0: never\n"
    "  --all             go on after failures, and shrink none\n"
    "  --print           print each program as a trace\n"
    "  --play=FILE       play a printed program instead, by all designs\n"
    "  --save=FILE       where a failing program goes; default judge-failure.vmt\n"
    "  --shrink=N        seconds to spend on making it small; default 60\n"
    "  --folder=NAME     where the file on a disk is made; default /tmp\n";

enum { JOBS_MOST = 64, DESIGNS_MOST = 32, FRAMES = 2048 };
enum { KINDS = 8 }; /* of machines for each design */

struct options {
    uint64_t programs, seed, first, steps, jobs, look, shrink;
    bool all, print;
    const char *design, *play, *save, *folder;
    const char *designs[DESIGNS_MOST];
    bool chains_objects[DESIGNS_MOST];
    unsigned design_count;
};

/* What a worker tells while it works. */
struct progress {
    uint64_t number; /* of the program under way */
    uint64_t failed;
    struct report report;
};

/* ---------------------------------------------------------------- options */

static void add_design(const struct vm_design_info *design, void *context) {
    struct options *options = context;
    if (options->design_count < DESIGNS_MOST &&
        (!options->design || strcmp(options->design, design->name) == 0)) {
        options->chains_objects[options->design_count] = design->object_chains;
        options->designs[options->design_count++] = design->name;
    }
}

static void parse_options(int argc, char **argv, struct options *options) {
    const struct test_option known[] = {
        { "--programs", .number = &options->programs }, { "--seed", .number = &options->seed },
        { "--first", .number = &options->first },       { "--steps", .number = &options->steps },
        { "--jobs", .number = &options->jobs },         { "--look", .number = &options->look },
        { "--shrink", .number = &options->shrink },     { "--design", .text = &options->design },
        { "--play", .text = &options->play },           { "--save", .text = &options->save },
        { "--folder", .text = &options->folder },       { "--all", .flag = &options->all },
        { "--print", .flag = &options->print },
    };
    options_take(argc, argv, usage, known, sizeof(known) / sizeof(known[0]));
    vm_design_each(add_design, options);
    if (!options->design_count) {
        fprintf(stderr, "judge: there is no design %s; objrmap designs lists them\n",
                options->design);
        exit(EXIT_WRONG_USE);
    }
    if (!options->jobs || options->jobs > JOBS_MOST)
        options->jobs = 2;
}

/* ---------------------------------------------------------------- numbered programs */

/* Designs in turn; each with both kinds of fork, under every answer to nonlinear areas it has. */
static struct library_kind kind_of(const struct options *options, uint64_t number) {
    static const enum vm_nonlinear answers[] = { VM_NONLINEAR_EMULATE, VM_NONLINEAR_CHAIN,
                                                 VM_NONLINEAR_DRACONIAN, VM_NONLINEAR_CLUSTER };
    uint64_t turn = number / options->design_count;
    unsigned design = (unsigned)(number % options->design_count);
    enum vm_nonlinear answer = answers[turn / 2 % 4];

    if (answer == VM_NONLINEAR_CHAIN && !options->chains_objects[design])
        answer = VM_NONLINEAR_EMULATE;
    return (struct library_kind){
        .design = options->designs[design],
        .fork_copy = turn % 2 ? VM_FORK_EAGER : VM_FORK_LAZY,
        .nonlinear = answer,
        .frames = FRAMES,
    };
}

static enum looks looks_of(const struct options *options, uint64_t number) {
    uint64_t turn = number / options->design_count;
    return options->look && (turn + turn / options->look) % options->look == 0
               ? LOOK_AFTER_EACH_STEP
               : LOOK_AT_THE_END;
}

static void print_heading(const struct options *options, uint64_t number,
                          struct trace_writer *writer) {
    struct library_kind kind = kind_of(options, number);
    trace_comment(writer, "seed %" PRIu64 ", program %" PRIu64 ", design %s, %s fork",
                  options->seed, number, kind.design,
                  kind.fork_copy == VM_FORK_EAGER ? "eager" : "lazy");
}

/* False after a complaint. */
static bool print(const struct options *options, uint64_t number, const struct sequence *program,
                  const char *path) {
    struct trace_writer *writer = printed_open(path);
    if (!writer)
        return false;
    print_heading(options, number, writer);
    program_print(program, writer);
    return trace_writer_close(writer) == 0;
}

static void print_failure(const struct library_kind *kind, const struct report *report) {
    printf("%s, design %s, after step %" PRIu32 ": %s\n", failure_name(report->failure),
           kind->design, report->step + 1, report->text);
}

/* ---------------------------------------------------------------- workers */

static _Noreturn void work(const struct options *options, unsigned job, struct progress *progress) {
    struct real real;
    if (!real_begin(&real, options->folder))
        _exit(1);
    for (uint64_t i = job; i < options->programs; i += options->jobs) {
        struct sequence program;
        struct library_kind kind;
        progress->number = options->first + i;
        kind = kind_of(options, progress->number);
        program_make(&program, options->seed, progress->number, options->steps);
        if (options->print)
            print(options, progress->number, &program, NULL);
        trial_run(&real, &kind, &program, looks_of(options, progress->number), &progress->report);
        sequence_free(&program);
        if (progress->report.failure) {
            progress->failed++;
            if (options->all)
                printf("program %" PRIu64 ": ", progress->number),
                    print_failure(&kind, &progress->report);
            fflush(stdout);
            if (!options->all || progress->report.failure == FAILURE_KERNEL)
                break;
        }
    }
    fflush(stdout);
    if (progress->report.failure == FAILURE_KERNEL)
        real_kill(&real);
    else
        real_end(&real);
    _exit(0);
}

static void add_report(struct report *sum, const struct report *report) {
    sum->programs += report->programs;
    sum->calls += report->calls;
    sum->touches += report->touches;
    sum->looks += report->looks;
    sum->shared_pages += report->shared_pages;
    sum->hidden_pages += report->hidden_pages;
    sum->unnamed += report->unnamed;
    for (int rule = 0; rule < RULES; rule++)
        sum->by_rule[rule] += report->by_rule[rule];
}

/* ---------------------------------------------------------------- telling */

static void tell_failure(const struct options *options, const struct progress *progress) {
    struct library_kind kind = kind_of(options, progress->number);
    enum looks looks = looks_of(options, progress->number);
    struct report report = progress->report;
    struct sequence program;

    program_make(&program, options->seed, progress->number, options->steps);
    printf("program %" PRIu64 " of seed %" PRIu64 " fails:\n", progress->number, options->seed);
    print_failure(&kind, &report);
    fflush(stdout);
    trial_run_apart(options->folder, &kind, &program, looks, &report);
    if (report.failure) {
        trial_shrink(options->folder, &kind, &program, looks, &report, (double)options->shrink);
        trial_run_apart(options->folder, &kind, &program, looks, &report);
    } else {
        puts("played alone it does not fail");
    }
    if (!print(options, progress->number, &program, options->save))
        return;
    printf("shrunk to %zu steps:\n", program.count);
    print_failure(&kind, &report);
    printed_show(options->save);
    printf("to repeat it:     judge --play=%s\nall of it:        judge --seed=%" PRIu64
           " --first=%" PRIu64 " --programs=1 --steps=%" PRIu64 "\n",
           options->save, options->seed, progress->number, options->steps);
    sequence_free(&program);
}

static void print_sum(const struct options *options, const struct report *sum, uint64_t failed,
                      double seconds) {
    printf("judge: seed %" PRIu64 ", %" PRIu64 " programs in %.1f s, %" PRIu64 " calls and %" PRIu64
           " touches compared, %" PRIu64 " looks at all areas, %" PRIu64
           " pages' sharing and %" PRIu64 " hidden pages: %" PRIu64 " differences\n",
           options->seed, sum->programs, seconds, sum->calls, sum->touches, sum->looks,
           sum->shared_pages, sum->hidden_pages, failed);
    for (int rule = 0; rule < RULES; rule++)
        printf("judge: differences by the rule \"%s\": %" PRIu64 "\n", rule_name((enum rule)rule),
               sum->by_rule[rule]);
    if (sum->unnamed)
        printf("judge: SKIPPED: who shares a page with whom, in %" PRIu64
               " programs: the kernel tells frames only to root\n",
               sum->unnamed);
}

static int play_many(const struct options *options) {
    struct progress *all = apart_share(JOBS_MOST * sizeof(*all));
    pid_t workers[JOBS_MOST];
    struct report sum = { 0 };
    const struct progress *told = NULL;
    uint64_t failed = 0;
    double begin = seconds_now();

    fflush(NULL);
    for (unsigned i = 0; i < options->jobs; i++)
        if ((workers[i] = fork()) == 0)
            work(options, i, &all[i]);
    for (unsigned i = 0; i < options->jobs; i++) {
        int status = 0;
        waitpid(workers[i], &status, 0);
        struct apart apart = apart_verdict(status);
        if (apart.end != APART_WELL) {
            all[i].report.failure = FAILURE_CRASH;
            snprintf(all[i].report.text, sizeof(all[i].report.text), "%s", apart.why);
            all[i].failed++;
        }
        if (options->all && all[i].report.failure == FAILURE_CRASH)
            printf("program %" PRIu64 ": a crash, %s\n", all[i].number, all[i].report.text);
        add_report(&sum, &all[i].report);
        failed += all[i].failed;
        if (all[i].report.failure && (!told || all[i].number < told->number))
            told = &all[i];
    }
    double seconds = seconds_now() - begin;
    if (told && !options->all)
        tell_failure(options, told);
    print_sum(options, &sum, failed, seconds);
    return failed ? 1 : 0;
}

/* ---------------------------------------------------------------- a printed program */

static int play_printed(const struct options *options) {
    struct sequence program = { 0 };
    int code = 0;
    char machine[PRINTED_LINE_BYTES]; /* the judge has its own */
    if (!printed_read(options->play, &program, machine))
        return EXIT_WRONG_USE;
    if (program.count > STEPS_MOST - PROCESS_SLOTS) {
        fprintf(stderr, "judge: %s has %zu ops, expected at most %d\n", options->play,
                program.count, STEPS_MOST - PROCESS_SLOTS);
        return EXIT_WRONG_USE;
    }
    for (uint64_t i = 0; i < KINDS * options->design_count; i++) {
        struct library_kind kind = kind_of(options, i);
        struct report report;
        trial_run_apart(options->folder, &kind, &program, LOOK_AFTER_EACH_STEP, &report);
        if (!report.failure)
            trial_run_apart(options->folder, &kind, &program, LOOK_AT_THE_END, &report);
        if (report.failure) {
            print_failure(&kind, &report);
            code = 1;
        }
    }
    if (!code)
        printf("%s: %zu steps, no difference\n", options->play, program.count);
    sequence_free(&program);
    return code;
}

int main(int argc, char **argv) {
    struct options options = {
        .programs = 400,
        .seed = 1,
        .steps = 50,
        .jobs = 2,
        .look = 16,
        .shrink = 60,
        .save = "judge-failure.vmt",
        .folder = "/tmp",
    };
    parse_options(argc, argv, &options);
    if (!kernel_is_recent()) {
        puts("judge: SKIPPED: the kernel is older than 6.17, whose mremap knows less");
        return 77;
    }
    return options.play ? play_printed(&options) : play_many(&options);
}
