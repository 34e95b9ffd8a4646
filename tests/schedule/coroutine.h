/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * coroutine.h - functions with stacks of their own that run by turns on one thread.
 *
 * Who runs hands over explicitly; nobody else can take the processor from it. A coroutine's function
 * never returns: its last act is to hand over. One that will not be resumed may be begun anew at any
 * time. The sanitizers are told of every change of stacks. For the thread sanitizer coroutines are
 * threads that run at once, since handing over from one to another orders nothing: what it reports is
 * a race in a schedule that can be played again. Only with the thread that began them are they in order.
 */
#ifndef OBJRMAP_TESTS_COROUTINE_H
#define OBJRMAP_TESTS_COROUTINE_H

#include <stddef.h>
#include <ucontext.h>

struct coroutine {
    ucontext_t place;
    char *stack;       /* NULL: the thread's own */
    size_t stack_size; /* of the thread's own: known once it has been left */
    const void *bottom;
    void *fake_stack, *fiber; /* the sanitizers' */
    void (*run)(void *context);
    void *context;
};

/* The thread itself, as somebody to come back to. */
void coroutine_adopt_thread(struct coroutine *thread);

/* Sets aside a stack. */
void coroutine_create(struct coroutine *coroutine);

/* From its next turn on it executes run(context). */
void coroutine_begin(struct coroutine *coroutine, void (*run)(void *context), void *context);

/* From the one that runs to another. Returns when somebody hands over to `from`. */
void coroutine_switch(struct coroutine *from, struct coroutine *to);

#endif
