/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two pipes: the child waits for a byte on one before it execs; the other is closed by a successful
 * exec, or brings the errno of one that failed.
 */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command.h"

static volatile sig_atomic_t passed_to; /* whom a termination request is passed on to */

static double seconds_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double started_at;

static void pass_on(int number) {
    if (passed_to > 0)
        kill((pid_t)passed_to, number);
}

static void set_signals(void (*terminal)(int), void (*request)(int)) {
    struct sigaction action = { .sa_handler = terminal, .sa_flags = SA_RESTART };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGQUIT, &action, NULL);
    action.sa_handler = request;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

static _Noreturn void be_the_command(int go, int failure, char *const *arguments) {
    char byte;
    if (read(go, &byte, 1) != 1)
        _exit(127);
    execvp(arguments[0], arguments);
    int error = errno;
    ssize_t told = write(failure, &error, sizeof(error));
    _exit(told < 0 ? 126 : 127);
}

int launch_prepare(struct launch *launch, char *const *arguments) {
    int go[2];
    int failure[2];
    *launch = (struct launch){ .pid = -1, .pidfd = -1, .go = -1, .failure = -1 };
    if (pipe2(go, O_CLOEXEC)) {
        complain("cannot start the command: %s", strerror(errno));
        return -1;
    }
    if (pipe2(failure, O_CLOEXEC)) {
        complain("cannot start the command: %s", strerror(errno));
        close(go[0]);
        close(go[1]);
        return -1;
    }
    launch->pid = fork();
    if (launch->pid == 0) {
        close(go[1]);
        be_the_command(go[0], failure[1], arguments);
    }
    int error = errno;
    close(go[0]);
    close(failure[1]);
    launch->go = go[1];
    launch->failure = failure[0];
    if (launch->pid < 0) {
        complain("cannot start the command: %s", strerror(error));
        close(launch->go);
        close(launch->failure);
        return -1;
    }
    launch->pidfd = (int)syscall(SYS_pidfd_open, launch->pid, 0);
    return 0;
}

static void close_pipes(struct launch *launch) {
    close(launch->go);
    close(launch->failure);
}

int launch_go(struct launch *launch) {
    passed_to = (sig_atomic_t)launch->pid;
    set_signals(SIG_IGN, pass_on);
    started_at = seconds_now();
    char byte = 0;
    int error = 0;
    ssize_t got = -1;
    if (write(launch->go, &byte, 1) == 1)
        got = read(launch->failure, &error, sizeof(error));
    close_pipes(launch);
    return got == (ssize_t)sizeof(error) ? error : 0;
}

bool launch_ended(struct launch *launch, struct launch_end *end) {
    struct rusage usage;
    int status;
    if (wait4(launch->pid, &status, WNOHANG, &usage) != launch->pid)
        return false;
    end->status = status;
    end->wall_seconds = seconds_now() - started_at;
    end->cpu_seconds = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
                       (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
    end->faults = (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
    passed_to = 0;
    set_signals(SIG_DFL, SIG_DFL);
    if (launch->pidfd >= 0)
        close(launch->pidfd);
    return true;
}

void launch_cancel(struct launch *launch) {
    close_pipes(launch);
    waitpid(launch->pid, NULL, 0);
    if (launch->pidfd >= 0)
        close(launch->pidfd);
}

int launch_alone(char *const *arguments, struct launch_end *end) {
    struct launch launch;
    if (launch_prepare(&launch, arguments))
        return -1;
    int error = launch_go(&launch);
    while (!launch_ended(&launch, end))
        poll(&(struct pollfd){ .fd = launch.pidfd, .events = POLLIN }, 1,
             launch.pidfd < 0 ? 5 : -1);
    if (error)
        complain("cannot run %s: %s", arguments[0], strerror(error));
    return error ? -1 : 0;
}

void launch_describe(const struct launch_end *end, char *text, size_t room) {
    if (WIFSIGNALED(end->status))
        snprintf(text, room, "was killed by signal %d (%s)", WTERMSIG(end->status),
                 strsignal(WTERMSIG(end->status)));
    else
        snprintf(text, room, "exited with %d", WEXITSTATUS(end->status));
}
