/* SPDX-License-Identifier: BSD-2-Clause */
/* coroutine.c - see coroutine.h. */
#include "coroutine.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define STACK_BYTES ((size_t)512 << 10)

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WITH_TSAN
#include <sanitizer/tsan_interface.h>
#endif

static struct coroutine *left, *entered; /* of the latest change */

#ifdef WITH_TSAN
static char everybody; /* what all have done until they left last */

static bool is_thread(const struct coroutine *coroutine) {
    return !coroutine->stack;
}
#endif

static void tell_leaving(struct coroutine *from, const struct coroutine *to) {
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(&from->fake_stack, to->bottom, to->stack_size);
#endif
#ifdef WITH_TSAN
    __tsan_release(&everybody);
    __tsan_switch_to_fiber(to->fiber, is_thread(from) ? 0 : __tsan_switch_to_fiber_no_sync);
#endif
    (void)from;
    (void)to;
}

static void tell_arrived(struct coroutine *here, struct coroutine *before) {
#ifdef WITH_ASAN
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(here->fake_stack, &bottom, &bytes);
    if (!before->stack) {
        before->bottom = bottom;
        before->stack_size = bytes;
    }
#endif
#ifdef WITH_TSAN
    if (is_thread(here))
        __tsan_acquire(&everybody);
#endif
    (void)here;
    (void)before;
}

static void first_turn(void) {
    struct coroutine *self = entered;

    tell_arrived(self, left);
    self->run(self->context);
    abort();
}

void coroutine_adopt_thread(struct coroutine *thread) {
    *thread = (struct coroutine){ .stack = NULL };
#ifdef WITH_TSAN
    thread->fiber = __tsan_get_current_fiber();
#endif
}

void coroutine_create(struct coroutine *coroutine) {
    *coroutine = (struct coroutine){ .stack_size = STACK_BYTES };
    coroutine->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (coroutine->stack == MAP_FAILED) {
        perror("no stack");
        exit(2);
    }
    coroutine->bottom = coroutine->stack;
}

/* The frames that an abandoned run has left on the stack are nobody's any more. */
static void forget_last_run(struct coroutine *coroutine) {
#ifdef WITH_ASAN
    ASAN_UNPOISON_MEMORY_REGION(coroutine->stack, coroutine->stack_size);
    coroutine->fake_stack = NULL;
#endif
#ifdef WITH_TSAN
    if (coroutine->fiber)
        __tsan_destroy_fiber(coroutine->fiber);
    coroutine->fiber = __tsan_create_fiber(0);
#endif
    (void)coroutine;
}

void coroutine_begin(struct coroutine *coroutine, void (*run)(void *context), void *context) {
    forget_last_run(coroutine);
    coroutine->run = run;
    coroutine->context = context;
    if (getcontext(&coroutine->place) != 0) {
        perror("getcontext");
        exit(2);
    }
    coroutine->place.uc_stack.ss_sp = coroutine->stack;
    coroutine->place.uc_stack.ss_size = coroutine->stack_size;
    coroutine->place.uc_link = NULL;
    makecontext(&coroutine->place, first_turn, 0);
}

void coroutine_switch(struct coroutine *from, struct coroutine *to) {
    left = from;
    entered = to;
    tell_leaving(from, to);
    swapcontext(&from->place, &to->place);
    tell_arrived(from, left);
}
