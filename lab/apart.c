/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * apart.c - see apart.h. The result holds no pointers, and goes through a pipe as it is.
 */
#include "apart.h"

#include "command.h"
#include "memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool write_fully(int descriptor, const void *data, size_t bytes) {
    const char *at = data;
    while (bytes) {
        ssize_t written = write(descriptor, at, bytes);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            at += written;
            bytes -= (size_t)written;
        }
    }
    return true;
}

static bool read_fully(int descriptor, void *data, size_t bytes) {
    char *at = data;
    while (bytes) {
        ssize_t got = read(descriptor, at, bytes);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        if (got > 0) {
            at += got;
            bytes -= (size_t)got;
        }
    }
    return true;
}

/* In the child. */
static void run_into(const struct run_request *request, int descriptor) {
    struct run_result *result = new_array(1, sizeof(*result));
    run_trace(request, result);
    if (result->end != RUN_COMPLETE)
        run_complain(result);
    fflush(NULL);
    _exit(write_fully(descriptor, result, sizeof(*result)) ? EXIT_OK : EXIT_FOUND);
}

static bool collect(const char *design, int descriptor, pid_t child, struct run_result *result) {
    int status = 0;
    bool whole = read_fully(descriptor, result, sizeof(*result));
    close(descriptor);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (whole && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_OK)
        return true;
    if (WIFSIGNALED(status))
        complain("the replay with %s was ended by signal %d (%s)", design, WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        complain("the replay with %s ended without a report", design);
    return false;
}

bool run_apart(const struct run_request *request, struct run_result *result) {
    int ends[2];
    if (pipe(ends) != 0) {
        complain("cannot make a pipe: %s", strerror(errno));
        return false;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        complain("cannot start a process: %s", strerror(errno));
        close(ends[0]);
        close(ends[1]);
        return false;
    }
    if (child == 0) {
        close(ends[0]);
        run_into(request, ends[1]);
    }
    close(ends[1]);
    return collect(request->design, ends[0], child, result);
}
