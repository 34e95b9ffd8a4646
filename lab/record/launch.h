/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starts the command to be recorded, held back just before its exec until everything watches it.
 *
 * While it runs, interrupts from the terminal are the command's alone (the terminal sends them to
 * both), and a termination request to the recorder is passed on, so that the trace always comes to
 * a proper end.
 */
#ifndef OBJRMAP_LAB_RECORD_LAUNCH_H
#define OBJRMAP_LAB_RECORD_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct launch {
    pid_t pid;
    int pidfd;   /* readable when the command has ended; -1 where the kernel has none */
    int go;      /* write end: one byte lets the command go */
    int failure; /* read end: the errno of an exec that failed */
};

/* How a command ended and what it used. */
struct launch_end {
    int status; /* as from wait() */
    double wall_seconds;
    double cpu_seconds; /* the command and all its children it waited for */
    uint64_t
        faults; /* the kernel's own count of them, likewise; it leaves out who was not waited for */
};

/* 0, or -1 after having said why. */
int launch_prepare(struct launch *launch, char *const *arguments);
/* Lets it exec: 0, or the errno of the exec. */
int launch_go(struct launch *launch);
/* True once when it has ended, and then fills in how. */
bool launch_ended(struct launch *launch, struct launch_end *end);
/* Ends a command that was never let go. */
void launch_cancel(struct launch *launch);

/* Runs the command unrecorded from start to end: 0, or -1 after having said why. */
int launch_alone(char *const *arguments, struct launch_end *end);
/* "exited with 2", "was killed by signal 9 (Killed)". */
void launch_describe(const struct launch_end *end, char *text, size_t room);

#endif
