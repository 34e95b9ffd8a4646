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

#include <objrmap/rmap.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
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

static bool takes_number(const char *argument, struct options *options) {
    const struct {
        const char *name;
        uint64_t *number;
    } known[] = {
        { "--programs=", &options->programs }, { "--seed=", &options->seed },
        { "--first=", &options->first },       { "--steps=", &options->steps },
        { "--jobs=", &options->jobs },         { "--look=", &options->look },
        { "--shrink=", &options->shrink },
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        size_t bytes = strlen(known[i].name);
        char *end;
        if (strncmp(argument, known[i].name, bytes) != 0)
            continue;
        *known[i].number = strtoull(argument + bytes, &end, 0);
        return argument[bytes] && !*end;
    }
    return false;
}

static bool takes_text(const char *argument, struct options *options) {
    const struct {
        const char *name;
        const char **text;
    } known[] = {
        { "--design=", &options->design },
        { "--play=", &options->play },
        { "--save=", &options->save },
        { "--folder=", &options->folder },
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        size_t bytes = strlen(known[i].name);
        if (strncmp(argument, known[i].name, bytes) == 0) {
            *known[i].text = argument + bytes;
            return true;
        }
    }
    return false;
}

static void add_design(const struct vm_design_info *design, void *context) {
    struct options *options = context;
    if (options->design_count < DESIGNS_MOST &&
        (!options->design || strcmp(options->design, design->name) == 0)) {
        options->chains_objects[options->design_count] = design->object_chains;
        options->designs[options->design_count++] = design->name;
    }
}

static bool parse_options(int argc, char **argv, struct options *options) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--all") == 0)
            options->all = true;
        else if (strcmp(argv[i], "--print") == 0)
            options->print = true;
        else if (!takes_number(argv[i], options) && !takes_text(argv[i], options)) {
            fprintf(stderr, "judge: I do not understand %s\n%s", argv[i], usage);
            return false;
        }
    }
    vm_design_each(add_design, options);
    if (!options->design_count)
        fprintf(stderr, "judge: there is no design %s\n", options->design);
    if (!options->jobs || options->jobs > JOBS_MOST)
        options->jobs = 2;
    return options->design_count > 0;
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

static void print_heading(const struct options *options, uint64_t number, FILE *file) {
    struct library_kind kind = kind_of(options, number);
    fprintf(file, "objrmap-trace 1\n# seed %" PRIu64 ", program %" PRIu64 ", design %s, %s fork\n",
            options->seed, number, kind.design, kind.fork_copy == VM_FORK_EAGER ? "eager" : "lazy");
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
        if (options->print) {
            print_heading(options, progress->number, stdout);
            program_print(&program, stdout);
        }
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

static void print_file(const char *path) {
    char line[1000];
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file))
        fputs(line, stdout);
    if (file)
        fclose(file);
}

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
    FILE *file = fopen(options->save, "w");
    if (!file) {
        perror(options->save);
        return;
    }
    print_heading(options, progress->number, file);
    program_print(&program, file);
    fclose(file);
    printf("shrunk to %zu steps:\n", program.count);
    print_failure(&kind, &report);
    print_file(options->save);
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
    struct progress *all = mmap(NULL, JOBS_MOST * sizeof(*all), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t workers[JOBS_MOST];
    struct report sum = { 0 };
    const struct progress *told = NULL;
    uint64_t failed = 0;
    double begin = seconds_now();

    if (all == MAP_FAILED)
        return 1;
    fflush(NULL);
    for (unsigned i = 0; i < options->jobs; i++)
        if ((workers[i] = fork()) == 0)
            work(options, i, &all[i]);
    for (unsigned i = 0; i < options->jobs; i++) {
        int status = 0;
        waitpid(workers[i], &status, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status)) {
            all[i].report.failure = FAILURE_CRASH;
            snprintf(all[i].report.text, sizeof(all[i].report.text), "status %x", (unsigned)status);
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

static bool read_printed(const char *path, struct sequence *program) {
    char line[1000];
    FILE *file = fopen(path, "r");
    bool good = file != NULL;
    if (!file)
        perror(path);
    while (good && fgets(line, sizeof(line), file)) {
        struct random_op op;
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "# op ", 5) != 0)
            continue;
        good = op_parse(line + 5, &op) && program->count < STEPS_MOST - PROCESS_SLOTS;
        if (good)
            sequence_add(program, &op);
        else
            fprintf(stderr, "%s: \"%s\" is no op, or one too many\n", path, line);
    }
    if (file)
        fclose(file);
    return good;
}

static int play_printed(const struct options *options) {
    struct sequence program = { 0 };
    int code = 0;
    if (!read_printed(options->play, &program))
        return 2;
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

static bool kernel_is_recent(void) {
    struct utsname name;
    unsigned major = 0, minor = 0;
    return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
           (major > 6 || (major == 6 && minor >= 17));
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
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (!parse_options(argc, argv, &options))
        return 2;
    if (!kernel_is_recent()) {
        puts("judge: SKIPPED: the kernel is older than 6.17, whose mremap knows less");
        return 77;
    }
    return options.play ? play_printed(&options) : play_many(&options);
}
