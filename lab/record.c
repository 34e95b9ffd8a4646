/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * objrmap record: runs a command and writes down what its whole process tree does to its memory.
 *
 * The command waits before its exec until it is in a control group of its own and the kernel's
 * events are bound to that group; then records are read from the rings and decoded while it runs.
 * At the end the kernel's own counts are held against what was read, so "lost 0" is a checked
 * statement.
 */
#include "command.h"
#include "quote.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "record/cgroup.h"
#include "record/decode.h"
#include "record/launch.h"
#include "record/ring.h"
#include "record/tracepoint.h"

enum { DEFAULT_RING_MIB = 8, LARGEST_RING_MIB = 1024, MOST_ROUNDS = 1000 };

enum following { FOLLOW_GROUP, FOLLOW_INHERITED };

struct options {
    const char *output;
    char output_room[256];
    unsigned baseline_rounds;
    unsigned long ring_mib;
    enum cpu_lines cpu_lines;
    enum following following; /* what was asked for */
    bool progress;
    char *const *arguments;
};

struct recording {
    const struct options *options;
    struct tracepoints points;
    struct launch launch;
    struct launch_end end;
    struct launch_end alone; /* median of the unrecorded rounds */
    struct cgroup group;
    enum following following;
    struct rings rings;
    struct trace_writer *writer;
    struct decoder decoder;
    long progress_tick;
    unsigned survivors;
    uint64_t lost;
};

static void print_help(void) {
    printf(
        "usage: objrmap record [OPTION...] [--] COMMAND [ARGUMENT...]\n"
        "\n"
        "Runs COMMAND and writes a trace of what all its processes do to their memory.\n"
        "\n"
        "  -o, --output FILE      the trace; packed when FILE ends in .zst (default: "
        "COMMAND.vmt.zst)\n"
        "  -b, --baseline[=N]     first run COMMAND N times (default 1) unrecorded, and tell how "
        "much\n"
        "                         slower the recorded run was; only for commands that can be "
        "repeated\n"
        "      --cpus             also write on which CPU things happened\n"
        "      --inherit          follow processes by inherited events instead of a control "
        "group:\n"
        "                         needs no right to make groups, but makes every fork dear\n"
        "      --ring MIB         the kernel's buffer for each CPU, a power of two (default %d)\n"
        "      --progress         show on the terminal how far it is\n"
        "  -h, --help             this text\n"
        "\n"
        "Recording ends when COMMAND does; processes it leaves behind run on unrecorded. It needs "
        "root,\n"
        "or CAP_PERFMON, or kernel.perf_event_paranoid=-1 with a tracefs that may be read.\n"
        "What the kernel does not show is not in the trace: accesses to pages that are there\n"
        "already or come with a neighbour (fault-around, huge pages), files that shrink by being\n"
        "opened anew, and the calls of 32-bit programs.\n"
        "Exit codes: 0 recorded (whatever COMMAND's own exit code, which is told), 1 not recorded "
        "or\n"
        "records were lost, 2 wrong usage.\n",
        DEFAULT_RING_MIB);
}

/* ---- options ---- */

static bool parse_count(const char *text, unsigned long most, unsigned long *value) {
    char *end;
    errno = 0;
    *value = strtoul(text, &end, 10);
    return errno == 0 && *text >= '0' && *text <= '9' && *end == '\0' && *value > 0 &&
           *value <= most;
}

/* /usr/bin/make becomes make.vmt.zst, in the current directory. */
static void choose_output(struct options *options) {
    if (options->output)
        return;
    const char *name = strrchr(options->arguments[0], '/');
    name = name ? name + 1 : options->arguments[0];
    snprintf(options->output_room, sizeof(options->output_room), "%.200s.vmt.zst",
             *name ? name : "trace");
    options->output = options->output_room;
}

enum { OPTION_CPUS = 256, OPTION_INHERIT, OPTION_RING, OPTION_PROGRESS };

static int parse_one(struct options *options, int letter, const char *argument) {
    unsigned long value = 1;
    switch (letter) {
    case 'o':
        options->output = optarg;
        return 0;
    case 'b':
        if (optarg && !parse_count(optarg, MOST_ROUNDS, &value)) {
            complain("--baseline: '%s' is not a number of rounds from 1 to %d", optarg,
                     MOST_ROUNDS);
            return -1;
        }
        options->baseline_rounds = (unsigned)value;
        return 0;
    case OPTION_RING:
        if (!parse_count(optarg, LARGEST_RING_MIB, &value) || (value & (value - 1))) {
            complain("--ring: '%s' is not a power of two of MiB, at most %d", optarg,
                     LARGEST_RING_MIB);
            return -1;
        }
        options->ring_mib = value;
        return 0;
    case OPTION_CPUS:
        options->cpu_lines = CPU_LINES_ON;
        return 0;
    case OPTION_INHERIT:
        options->following = FOLLOW_INHERITED;
        return 0;
    case OPTION_PROGRESS:
        options->progress = isatty(STDERR_FILENO);
        return 0;
    case ':':
        complain("record: %s needs a value; `objrmap record --help` tells which", argument);
        return -1;
    default:
        complain("record: there is no option '%s'; `objrmap record --help` tells them", argument);
        return -1;
    }
}

enum parsed { PARSED, PARSED_HELP, PARSED_WRONG };

static enum parsed parse(struct options *options, int argc, char **argv) {
    static const struct option names[] = { { "output", required_argument, NULL, 'o' },
                                           { "baseline", optional_argument, NULL, 'b' },
                                           { "cpus", no_argument, NULL, OPTION_CPUS },
                                           { "inherit", no_argument, NULL, OPTION_INHERIT },
                                           { "ring", required_argument, NULL, OPTION_RING },
                                           { "progress", no_argument, NULL, OPTION_PROGRESS },
                                           { "help", no_argument, NULL, 'h' },
                                           { NULL, 0, NULL, 0 } };
    int letter;
    optind = 1;
    while ((letter = getopt_long(argc, argv, "+:o:b::h", names, NULL)) != -1) {
        if (letter == 'h')
            return PARSED_HELP;
        if (parse_one(options, letter, argv[optind - 1]))
            return PARSED_WRONG;
    }
    if (optind >= argc) {
        complain("record: which command? objrmap record [OPTION...] -- COMMAND [ARGUMENT...]");
        return PARSED_WRONG;
    }
    options->arguments = argv + optind;
    choose_output(options);
    return PARSED;
}

/* ---- before and after ---- */

static int by_wall(const void *left, const void *right) {
    const struct launch_end *a = left;
    const struct launch_end *b = right;
    return (a->wall_seconds > b->wall_seconds) - (a->wall_seconds < b->wall_seconds);
}

static int run_baseline(struct recording *recording) {
    unsigned rounds = recording->options->baseline_rounds;
    struct launch_end *ends = calloc(rounds ? rounds : 1, sizeof(*ends));
    if (!ends) {
        complain("out of memory");
        return -1;
    }
    int result = 0;
    for (unsigned i = 0; i < rounds && result == 0; i++)
        result = launch_alone(recording->options->arguments, &ends[i]);
    if (rounds)
        qsort(ends, rounds, sizeof(*ends), by_wall);
    recording->alone = ends[rounds / 2];
    free(ends);
    return result;
}

static void write_opening_notes(struct recording *recording) {
    struct trace_writer *writer = recording->writer;
    char command[1024];
    struct utsname system;
    trace_note(writer, "command", "%s",
               quote_arguments(recording->options->arguments, command, sizeof(command)));
    if (uname(&system) == 0)
        trace_note(writer, "kernel", "%.*s %s", (int)strcspn(system.release, "-"), system.release,
                   system.machine);
    trace_note(writer, "cpus", "%zu", recording->rings.count);
    trace_note(writer, "recorder", "%s",
               recording->following == FOLLOW_GROUP ? "perf-cgroup" : "perf-inherit");
}

static void write_closing_notes(struct recording *recording) {
    struct trace_writer *writer = recording->writer;
    const struct decode_totals *totals = &recording->decoder.totals;
    char ending[96];
    launch_describe(&recording->end, ending, sizeof(ending));
    trace_note(writer, "status", "%s", ending);
    trace_note(writer, "seconds", "%.3f", recording->end.wall_seconds);
    trace_note(writer, "cpu_seconds", "%.3f", recording->end.cpu_seconds);
    trace_note(writer, "events", "%llu", (unsigned long long)totals->events);
    trace_note(writer, "processes", "%llu",
               (unsigned long long)recording->decoder.processes.started);
    trace_note(writer, "lost", "%llu", (unsigned long long)recording->lost);
    trace_note(writer, "faults_recorded", "%llu user %llu kernel",
               (unsigned long long)totals->faults_user, (unsigned long long)totals->faults_kernel);
    trace_note(writer, "faults_kernel_counted", "%llu", (unsigned long long)recording->end.faults);
    if (recording->rings.disordered)
        trace_note(writer, "disordered", "%llu", (unsigned long long)recording->rings.disordered);
    if (recording->survivors)
        trace_note(writer, "still_running", "%u", recording->survivors);
    if (recording->options->baseline_rounds)
        trace_note(writer, "slowdown", "wall %.3f cpu %.3f rounds %u",
                   recording->end.wall_seconds / recording->alone.wall_seconds,
                   recording->end.cpu_seconds / recording->alone.cpu_seconds,
                   recording->options->baseline_rounds);
}

static double own_cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
           (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
}

static void report(const struct recording *recording) {
    const struct decode_totals *totals = &recording->decoder.totals;
    const struct launch_end *end = &recording->end;
    char ending[96];
    launch_describe(end, ending, sizeof(ending));
    complain("recorded %llu events of %llu processes in %.1f s, lost %llu: %s",
             (unsigned long long)totals->events,
             (unsigned long long)recording->decoder.processes.started, end->wall_seconds,
             (unsigned long long)recording->lost, recording->options->output);
    if (end->status != 0)
        complain("the command %s", ending);
    if (recording->survivors)
        complain("%u of its processes are still running, no longer recorded", recording->survivors);
    if (totals->strays)
        complain("%llu events belong to no known process and were left out",
                 (unsigned long long)totals->strays);
    if (recording->options->baseline_rounds)
        complain("recorded, the command took %.3f times as long (%.3f times the CPU) as alone "
                 "(median of %u)",
                 end->wall_seconds / recording->alone.wall_seconds,
                 end->cpu_seconds / recording->alone.cpu_seconds,
                 recording->options->baseline_rounds);
    else
        complain("the recorder itself used %.2f s of CPU beside the command's %.2f s; --baseline "
                 "measures how much "
                 "slower the command ran",
                 own_cpu_seconds(), end->cpu_seconds);
    if (recording->lost)
        complain("the trace is not complete; record again with larger buffers (--ring %lu)",
                 recording->options->ring_mib * 4);
}

/* ---- recording ---- */

/* The kernel's counts against ours; records that the rings said they dropped are among the
 * difference. */
static uint64_t count_lost(const struct recording *recording) {
    uint64_t missing = 0;
    for (size_t i = 0; i < recording->points.count; i++) {
        uint64_t counted = rings_kernel_count(&recording->rings, i);
        uint64_t received = recording->decoder.received[i];
        missing += counted > received ? counted - received : 0;
    }
    return missing > recording->decoder.totals.lost ? missing : recording->decoder.totals.lost;
}

/* One line that is rewritten five times a second, since the terminal is the command's, too. */
static void show_progress(struct recording *recording) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long tick = (long)now.tv_sec * 5 + now.tv_nsec / 200000000;
    if (!recording->options->progress || tick == recording->progress_tick)
        return;
    recording->progress_tick = tick;
    fprintf(stderr, "\r\033[Kobjrmap: %llu events of %llu processes\r",
            (unsigned long long)recording->decoder.totals.events,
            (unsigned long long)recording->decoder.processes.started);
}

static void end_progress(const struct recording *recording) {
    if (recording->options->progress)
        fputs("\r\033[K", stderr);
}

static void read_until_end(struct recording *recording) {
    /* Files and processes are asked about while they are, with luck, still there. */
    enum { MOST_WAIT_MS = 20 };
    struct decoder *decoder = &recording->decoder;
    while (!launch_ended(&recording->launch, &recording->end)) {
        rings_wait(&recording->rings, recording->launch.pidfd, MOST_WAIT_MS);
        rings_drain(&recording->rings, RING_SETTLED, decoder_read, decoder);
        show_progress(recording);
    }
    end_progress(recording);
    rings_disable(&recording->rings);
    rings_drain(&recording->rings, RING_EVERYTHING, decoder_read, decoder);
    decoder_finish(decoder);
    recording->lost = count_lost(recording);
}

/* The command is waiting: put it where events can be bound to it, and bind them. */
static int watch(struct recording *recording) {
    const struct options *options = recording->options;
    pid_t pid = recording->launch.pid;
    size_t bytes = options->ring_mib << 20;
    recording->following = FOLLOW_INHERITED;
    if (options->following == FOLLOW_GROUP && cgroup_create(&recording->group)) {
        if (cgroup_add(&recording->group, pid))
            recording->following = FOLLOW_GROUP;
        else
            cgroup_remove(&recording->group);
    }
    if (recording->following == FOLLOW_GROUP)
        return rings_open(&recording->rings, &recording->points, RING_CGROUP, recording->group.fd,
                          bytes);
    return rings_open(&recording->rings, &recording->points, RING_PROCESS, (int)pid, bytes);
}

static int open_trace(struct recording *recording) {
    const char *path = recording->options->output;
    size_t length = strlen(path);
    bool packed = length > 4 && strcmp(path + length - 4, ".zst") == 0;
    recording->writer = trace_writer_open(path, packed ? TRACE_ZSTD : TRACE_PLAIN);
    if (!recording->writer) {
        complain("cannot write %s: %s; choose another place with -o", path, strerror(errno));
        return -1;
    }
    return 0;
}

static int close_trace(struct recording *recording) {
    int error = trace_writer_close(recording->writer);
    if (error)
        complain("cannot write %s: %s; the trace is not complete", recording->options->output,
                 strerror(error));
    return error ? -1 : 0;
}

/* Never a device or a pipe that was named as the output. */
static void remove_trace(const char *path) {
    struct stat status;
    if (lstat(path, &status) == 0 && S_ISREG(status.st_mode))
        unlink(path);
}

static int let_it_run(struct recording *recording) {
    write_opening_notes(recording);
    if (recording->following == FOLLOW_GROUP)
        rings_enable(&recording->rings);
    int error = launch_go(&recording->launch);
    read_until_end(recording);
    if (recording->following == FOLLOW_GROUP)
        recording->survivors = cgroup_remove(&recording->group);
    if (error) {
        complain("cannot run %s: %s", recording->options->arguments[0], strerror(error));
        return -1;
    }
    write_closing_notes(recording);
    return 0;
}

static int record_into_trace(struct recording *recording) {
    if (watch(recording)) {
        launch_cancel(&recording->launch);
        if (recording->following == FOLLOW_GROUP)
            cgroup_remove(&recording->group);
        return -1;
    }
    if (decoder_create(&recording->decoder, recording->writer, &recording->points,
                       (uint32_t)recording->launch.pid, recording->options->cpu_lines)) {
        complain("out of memory");
        launch_cancel(&recording->launch);
        return -1;
    }
    return let_it_run(recording);
}

static int record(const struct options *options) {
    struct recording recording = { .options = options };
    if (tracepoints_load(&recording.points) || run_baseline(&recording))
        return EXIT_FOUND;
    if (open_trace(&recording))
        return EXIT_FOUND;
    bool good = launch_prepare(&recording.launch, options->arguments) == 0 &&
                record_into_trace(&recording) == 0;
    bool written = close_trace(&recording) == 0;
    if (good) {
        if (recording.decoder.out_of_memory)
            complain("out of memory; the trace is not complete");
        report(&recording);
        good = written && recording.lost == 0 && !recording.decoder.out_of_memory;
    } else {
        remove_trace(options->output);
    }
    rings_close(&recording.rings);
    decoder_free(&recording.decoder);
    return good ? EXIT_OK : EXIT_FOUND;
}

static int run(int argc, char **argv) {
    struct options options = { .ring_mib = DEFAULT_RING_MIB };
    switch (parse(&options, argc, argv)) {
    case PARSED_HELP:
        print_help();
        return EXIT_OK;
    case PARSED_WRONG:
        return EXIT_USAGE;
    case PARSED:
        break;
    }
    return record(&options);
}

const struct command record_command = {
    .name = "record", .summary = "run a program and write a trace of its memory's life", .run = run
};
