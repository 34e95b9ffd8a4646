/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * posix_port_test.c - the POSIX port keeps the contracts of port.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <objrmap/posix.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void memory_is_aligned_as_asked(void **state) {
    (void)state;
    struct posix_port posix;
    posix_port_init(&posix, 1);
    struct vm_port *port = &posix.port;
    for (size_t alignment = 16; alignment <= 65536; alignment *= 2) {
        for (size_t bytes = 1; bytes < 10000; bytes = bytes * 3 + 1) {
            unsigned char *block = port->allocate(port, bytes, alignment);
            assert_non_null(block);
            assert_int_equal((uintptr_t)block % alignment, 0);
            memset(block, 0xff, bytes);
            port->release(port, block, bytes);
        }
    }
}

static void a_block_larger_than_memory_is_refused(void **state) {
    (void)state;
    struct posix_port posix;
    posix_port_init(&posix, 1);
    assert_null(posix.port.allocate(&posix.port, SIZE_MAX - 8, 4096));
}

/* 64 GiB are reserved; only the pages touched may cost anything. */
static void frames_read_as_zeroes_and_cost_nothing_untouched(void **state) {
    (void)state;
    const uint64_t bytes = UINT64_C(64) << 30;
    for (int huge = 0; huge < 2; huge++) {
        struct posix_port posix;
        posix_port_init(&posix, 1);
        posix.frames = huge ? POSIX_FRAMES_HUGE : POSIX_FRAMES_SMALL;
        unsigned char *frames = posix.port.frames_reserve(&posix.port, bytes);
        assert_non_null(frames);
        assert_int_equal((uintptr_t)frames % 4096, 0);
        for (uint64_t at = 0; at < bytes; at += UINT64_C(8) << 30) {
            assert_int_equal(frames[at], 0);
            frames[at] = 1;
        }
        posix.port.frames_release(&posix.port, frames, bytes);
    }
}

static void the_clock_never_goes_backwards(void **state) {
    (void)state;
    struct posix_port posix;
    posix_port_init(&posix, 1);
    uint64_t start = posix.port.clock_ns(&posix.port), last = start;
    for (int i = 0; i < 10000; i++) {
        uint64_t now = posix.port.clock_ns(&posix.port);
        assert_true(now >= last);
        last = now;
    }
    assert_true(last > start);
}

static void one_cpu_needs_no_waiting(void **state) {
    (void)state;
    struct posix_port posix;
    posix_port_init(&posix, 1);
    assert_null(posix.port.cpu);
    assert_null(posix.port.wait);
    assert_null(posix.port.tlb_flush);
}

struct thread {
    struct posix_port *posix;
    unsigned cpu, seen;
};

static void *tell_cpu(void *context) {
    struct thread *thread = context;
    posix_cpu_set(thread->cpu);
    thread->seen = thread->posix->port.cpu(&thread->posix->port);
    return NULL;
}

static void each_thread_is_the_cpu_it_said(void **state) {
    (void)state;
    struct posix_port posix;
    posix_port_init(&posix, 4);
    struct thread threads[4];
    pthread_t ids[4];
    for (unsigned i = 0; i < 4; i++) {
        threads[i] = (struct thread){ .posix = &posix, .cpu = i, .seen = 99 };
        assert_int_equal(pthread_create(&ids[i], NULL, tell_cpu, &threads[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(ids[i], NULL);
        assert_int_equal(threads[i].seen, i);
    }
    assert_int_equal(posix.port.cpu(&posix.port), 0);
}

/* A sleeping lock made of wait and wake, as the library's are. */
struct sleepers {
    struct posix_port posix;
    _Atomic uint32_t word; /* 0 free, 1 held, 2 held and somebody sleeps */
    uint64_t counted;
};

enum { SLEEPERS = 4, TURNS = 20000 };

static void *count_under_the_lock(void *context) {
    struct sleepers *shared = context;
    struct vm_port *port = &shared->posix.port;
    for (int i = 0; i < TURNS; i++) {
        uint32_t free_word = 0;
        if (!atomic_compare_exchange_strong(&shared->word, &free_word, 1))
            while (atomic_exchange(&shared->word, 2) != 0)
                port->wait(port, &shared->word, 2);
        shared->counted++;
        if (i % 16 == 0)
            port->relax(port);
        if (atomic_exchange(&shared->word, 0) == 2)
            port->wake(port, &shared->word);
    }
    return NULL;
}

static void sleepers_wake(void **state) {
    (void)state;
    static struct sleepers shared;
    posix_port_init(&shared.posix, SLEEPERS);
    pthread_t ids[SLEEPERS];
    for (int i = 0; i < SLEEPERS; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, count_under_the_lock, &shared), 0);
    for (int i = 0; i < SLEEPERS; i++)
        pthread_join(ids[i], NULL);
    assert_int_equal(shared.counted, SLEEPERS * TURNS);
}

static void waiting_for_a_value_gone_returns(void **state) {
    (void)state;
    struct posix_port posix;
    posix_port_init(&posix, 2);
    _Atomic uint32_t word = 7;
    posix.port.wait(&posix.port, &word, 6);
}

static void panic_says_where_and_ends_the_process(void **state) {
    (void)state;
    int said[2];
    assert_int_equal(pipe(said), 0);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit no_core = { 0, 0 };
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        dup2(said[1], STDERR_FILENO);
        struct posix_port posix;
        posix_port_init(&posix, 1);
        posix.port.panic(&posix.port, "vm/here.c", 12, "count >= 0");
        _exit(0);
    }
    close(said[1]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    char text[200] = "";
    assert_true(read(said[0], text, sizeof(text) - 1) > 0);
    close(said[0]);
    assert_non_null(strstr(text, "vm/here.c:12"));
    assert_non_null(strstr(text, "count >= 0"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_as_asked),
        cmocka_unit_test(a_block_larger_than_memory_is_refused),
        cmocka_unit_test(frames_read_as_zeroes_and_cost_nothing_untouched),
        cmocka_unit_test(the_clock_never_goes_backwards),
        cmocka_unit_test(one_cpu_needs_no_waiting),
        cmocka_unit_test(each_thread_is_the_cpu_it_said),
        cmocka_unit_test(sleepers_wake),
        cmocka_unit_test(waiting_for_a_value_gone_returns),
        cmocka_unit_test(panic_says_where_and_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
