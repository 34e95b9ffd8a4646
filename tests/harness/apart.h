/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * apart.h - something played in a process of its own, where crashes and hangs are failures like
 * others. What the child finds out it writes into memory that both share.
 */
#ifndef TESTS_HARNESS_APART_H
#define TESTS_HARNESS_APART_H

#include <stddef.h>

enum apart_end { APART_WELL, APART_CRASHED, APART_HUNG };

struct apart {
    enum apart_end end;
    char why[100]; /* unless all is well */
};

/* Zeroed memory that processes forked from here on share with this one; it does not fail. */
void *apart_share(size_t bytes);
void apart_unshare(void *memory, size_t bytes);

/* Waits until play(context) has returned in a child, for at most so many seconds; 0: for ever. */
struct apart apart_play(void (*play)(void *context), void *context, unsigned seconds);

/* What waitpid()'s status says. */
struct apart apart_verdict(int status);

/* From here on nothing that this process says is seen. */
void apart_be_quiet(void);

#endif
