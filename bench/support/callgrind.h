/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * callgrind.h - instructions of marked parts, where a benchmark runs under callgrind.
 *
 * Without valgrind's headers, or outside valgrind, the marks do nothing. bench/instructions.sh runs
 * benchmarks that have them, and reads what they count:
 *
 *   instructions_begin();
 *   ...
 *   instructions_end("DESIGN/CASE/SIZE/TIMES");    the profile's name; TIMES is what to divide by
 */
#ifndef BENCH_CALLGRIND_H
#define BENCH_CALLGRIND_H

#if defined(__has_include)
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#endif
#endif

#ifndef CALLGRIND_DUMP_STATS_AT
#define RUNNING_ON_VALGRIND 0
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#define CALLGRIND_DUMP_STATS_AT(name) ((void)(name))
#endif

#define instructions_begin()                                                                       \
    do {                                                                                           \
        CALLGRIND_START_INSTRUMENTATION;                                                           \
        CALLGRIND_ZERO_STATS;                                                                      \
    } while (0)

#define instructions_end(name)                                                                     \
    do {                                                                                           \
        CALLGRIND_STOP_INSTRUMENTATION;                                                            \
        CALLGRIND_DUMP_STATS_AT(name);                                                             \
    } while (0)

#endif
