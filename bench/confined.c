/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * confined.c - bench-confined [--limit BYTES] [--seconds N] [--report FILE] [--] COMMAND...: runs a
 * command in a memory cgroup of its own, and tells what became of it there.
 *
 * The report has a line for each: `ended` (exited N, killed for want of memory, killed by signal N, not
 * within N seconds), `peak` (bytes, all that the group is charged for), `kernel` (of those the kernel's own: page tables,
 * stacks, slabs; the most that was seen, looked at every two milliseconds), `refault_file` and
 * `refault_anon` (pages that came back after the group had lost them, whoever asked for them), `major`
 * (faults that waited for a read). Or one line, `skipped WHY`, and the command has not run.
 *
 * The exit code is 0 in all these cases. SIGINT and SIGTERM end the command, which is reported; a
 * command ends with this program in any case.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/memory_group.h"

struct plan {
    uint64_t limit;   /* 0: none */
    unsigned seconds; /* 0: as many as it takes */
    const char *report;
    char **command;
};

static _Noreturn void usage(void) {
    fprintf(stderr, "usage: bench-confined [--limit BYTES] [--seconds N] [--report FILE] "
                    "[--] COMMAND...\n");
    exit(2);
}

static struct plan plan_read(char **argv) {
    struct plan plan = { .report = "/dev/stdout" };

    for (argv++; *argv && strncmp(*argv, "--", 2) == 0; argv += 2) {
        if (strcmp(*argv, "--") == 0) {
            argv++;
            break;
        }
        if (!argv[1])
            usage();
        if (strcmp(*argv, "--limit") == 0)
            plan.limit = strtoull(argv[1], NULL, 10);
        else if (strcmp(*argv, "--seconds") == 0)
            plan.seconds = (unsigned)strtoul(argv[1], NULL, 10);
        else if (strcmp(*argv, "--report") == 0)
            plan.report = argv[1];
        else
            usage();
    }
    if (!*argv)
        usage();
    plan.command = argv;
    return plan;
}

/* ---------------------------------------------------------------- the command */

static volatile sig_atomic_t running; /* the command's process; 0: none yet */

static void end_command(int signal_number) {
    if (running)
        kill(-(pid_t)running, signal_number);
}

static _Noreturn void become(char **command, const struct memory_group *group, pid_t parent) {
    setpgid(0, 0); /* so that all it starts can be ended with it */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (getppid() != parent || !memory_group_enter(group, 0))
        _exit(125);
    execvp(command[0], command);
    fprintf(stderr, "objrmap: %s: %s\n", command[0], strerror(errno));
    _exit(127);
}

struct outcome {
    int status;
    bool late;
    uint64_t kernel; /* the most of the kernel's own memory that was seen */
};

static struct outcome watch(pid_t command, unsigned seconds, const struct memory_group *group) {
    const struct timespec moment = { .tv_nsec = 2 * 1000 * 1000 };
    time_t start = time(NULL);
    struct outcome outcome = { .late = false };

    while (waitpid(command, &outcome.status, WNOHANG) == 0) {
        uint64_t now = memory_group_kernel(group);
        outcome.kernel = now > outcome.kernel ? now : outcome.kernel;
        if (seconds && !outcome.late && time(NULL) - start > seconds) {
            outcome.late = true;
            end_command(SIGKILL);
        }
        nanosleep(&moment, NULL);
    }
    return outcome;
}

/* ---------------------------------------------------------------- the report */

static FILE *report_open(const char *name) {
    FILE *report = fopen(name, "ae");

    if (report)
        return report;
    fprintf(stderr, "objrmap: %s: %s\n", name, strerror(errno));
    exit(1);
}

static void report_end(FILE *report, const struct plan *plan, const struct memory_group *group,
                       const struct outcome *outcome) {
    int status = outcome->status;

    if (memory_group_kills(group))
        fprintf(report, "ended killed for want of memory\n");
    else if (outcome->late)
        fprintf(report, "ended not within %u seconds\n", plan->seconds);
    else if (WIFSIGNALED(status))
        fprintf(report, "ended killed by signal %d\n", WTERMSIG(status));
    else
        fprintf(report, "ended exited %d\n", WEXITSTATUS(status));
}

static void report_number(FILE *report, const char *name, uint64_t number) {
    fprintf(report, "%s %llu\n", name, (unsigned long long)number);
}

int main(int argc, char **argv) {
    struct plan plan = plan_read(argv);
    FILE *report = report_open(plan.report);
    struct memory_group group;
    const char *why = memory_group_make(&group);

    (void)argc;
    if (!why && plan.limit && !memory_group_limit(&group, plan.limit)) {
        memory_group_remove(&group);
        why = "the memory cgroup takes no limit";
    }
    if (why) {
        fprintf(report, "skipped %s\n", why);
        return fclose(report) ? 1 : 0;
    }
    signal(SIGINT, end_command);
    signal(SIGTERM, end_command);
    pid_t parent = getpid(), command = fork();
    if (command == 0)
        become(plan.command, &group, parent);
    if (command < 0) {
        perror("objrmap: forking");
        memory_group_remove(&group);
        return 1;
    }
    running = command;
    struct outcome outcome = watch(command, plan.seconds, &group);
    report_end(report, &plan, &group, &outcome);
    report_number(report, "peak", memory_group_peak(&group));
    report_number(report, "kernel", outcome.kernel);
    report_number(report, "refault_file", memory_group_stat(&group, "workingset_refault_file"));
    report_number(report, "refault_anon", memory_group_stat(&group, "workingset_refault_anon"));
    report_number(report, "major", memory_group_stat(&group, "pgmajfault"));
    memory_group_remove(&group);
    return fclose(report) ? 1 : 0;
}
