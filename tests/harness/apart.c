/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * apart.c - see apart.h.
 */
#include "harness/apart.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

void *apart_share(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        abort();
    }
    return memory;
}

void apart_unshare(void *memory, size_t bytes) {
    munmap(memory, bytes);
}

void apart_be_quiet(void) {
    int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere >= 0)
        dup2(nowhere, STDERR_FILENO);
}

struct apart apart_verdict(int status) {
    struct apart apart = { APART_CRASHED, "" };
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        apart.end = APART_WELL;
    else if (WIFEXITED(status))
        snprintf(apart.why, sizeof(apart.why), "it exits with %d", WEXITSTATUS(status));
    else if (WTERMSIG(status) != SIGALRM)
        snprintf(apart.why, sizeof(apart.why), "%s", strsignal(WTERMSIG(status)));
    else
        apart = (struct apart){ APART_HUNG, "it goes on and on" };
    return apart;
}

struct apart apart_play(void (*play)(void *context), void *context, unsigned seconds) {
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        abort();
    }
    if (child == 0) {
        alarm(seconds);
        play(context);
        fflush(NULL);
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return apart_verdict(status);
}
