/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * times.c - throughput by threads: the operations of storm.h on one thread, and on two at once, on
 * machines of two CPUs; and how the locks fare meanwhile that the papers' table of locks is about.
 *
 * The speed-up of two threads is 2.00 if they do not disturb each other. Rounds with one and with two
 * threads take turns, and medians are taken of the ratios of neighbours. What more CPUs than there
 * are here would do to each other, bench-lines counts.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <objrmap/rmap.h>
#include <objrmap/stats.h>

#include "kernel.h"
#include "storm.h"
#include "support/report.h"
#include "support/samples.h"

enum { THREADS = 2 };

/* How often each is done in a round by each thread: some milliseconds. */
static const unsigned times_a_round[STORMS] = { 1500, 4000, 600, 250, 800 };

struct worker {
    struct storm_world *world;
    unsigned cpu, times;
    pthread_barrier_t *start;
    uint64_t began, ended;
};

static void *work(void *context) {
    struct worker *worker = context;

    posix_cpu_set(worker->cpu);
    pthread_barrier_wait(worker->start);
    worker->began = nanoseconds();
    for (unsigned i = 0; i < worker->times; i++)
        storm_once(worker->world, worker->cpu);
    worker->ended = nanoseconds();
    return NULL;
}

/* Operations a second of so many threads together, from the first one's beginning to the last one's end.
 * They look at the clock themselves: who waits for them may not get a CPU while they run. */
static double throughput(struct storm_world *world, unsigned threads, unsigned times) {
    pthread_barrier_t start;
    struct worker workers[THREADS];
    pthread_t others[THREADS];
    uint64_t began = UINT64_MAX, ended = 0;

    pthread_barrier_init(&start, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){ world, i, times, &start, 0, 0 };
        if (pthread_create(&others[i], NULL, work, &workers[i])) {
            fprintf(stderr, "objrmap: no thread can be made; end some programs\n");
            exit(1);
        }
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(others[i], NULL);
        began = workers[i].began < began ? workers[i].began : began;
        ended = workers[i].ended > ended ? workers[i].ended : ended;
    }
    pthread_barrier_destroy(&start);
    return (double)threads * times / (double)(ended - began) * 1e9;
}

/* ---------------------------------------------------------------- designs */

static struct storm_config config_of(const struct variants *variants, unsigned i, bool lock_stats) {
    return (struct storm_config){ .design = variants->of[i].design,
                                  .chain_lock = variants->of[i].chain_lock,
                                  .cpus = THREADS,
                                  .lock_stats = lock_stats };
}

static const char *lock_name(const struct variants *variants, unsigned i) {
    return variants->of[i].chain_lock == VM_CHAIN_LOCK_GLOBAL ? "global" : "page";
}

/* ---------------------------------------------------------------- throughput */

struct measured {
    struct samples one, two, speed_up;
};

static void measure(struct measured *measured, enum storm storm, const struct storm_config *config,
                    unsigned rounds) {
    static struct storm_world world;

    *measured = (struct measured){ .one = { .count = 0 } };
    posix_port_init(&world.posix, THREADS);
    posix_cpu_set(0);
    storm_begin(&world, storm, config);
    throughput(&world, THREADS, times_a_round[storm] / 4);
    for (unsigned round = 0; round < rounds; round++) {
        double one = throughput(&world, 1, times_a_round[storm]);
        double two = throughput(&world, THREADS, times_a_round[storm]);
        samples_add(&measured->one, one);
        samples_add(&measured->two, two);
        samples_add(&measured->speed_up, two / one);
    }
    posix_cpu_set(0);
    storm_end(&world);
}

static void measure_kernel(struct measured *measured, enum storm storm, unsigned rounds) {
    unsigned times = times_a_round[storm] / 2;

    *measured = (struct measured){ .one = { .count = 0 } };
    for (unsigned round = 0; round < rounds; round++) {
        double one = kernel_throughput(storm, 1, times);
        double two = kernel_throughput(storm, THREADS, times);
        samples_add(&measured->one, one);
        samples_add(&measured->two, two);
        samples_add(&measured->speed_up, two / one);
    }
}

static void print_measured(const struct measured *measured, enum storm storm, const char *design,
                           const char *lock, bool json, bool *first) {
    double one = samples_median(&measured->one), two = samples_median(&measured->two);

    if (json)
        printf("%s\n{\"operation\":\"%s\",\"design\":\"%s\",\"chain_lock\":\"%s\","
               "\"one\":%.5g,\"two\":%.5g,\"speed_up\":%.4g}",
               *first ? "" : ",", storm_names[storm], design, lock, one, two,
               samples_median(&measured->speed_up));
    else
        printf("%-8s %-18s %-7s %10.0f/s %10.0f/s %9.2f\n", storm_names[storm], design, lock, one,
               two, samples_median(&measured->speed_up));
    fflush(stdout);
    *first = false;
}

static void report_throughput(const struct variants *variants, const struct options *options) {
    unsigned rounds = options->rounds ? options->rounds : 7;
    bool first = true;

    if (!options->json)
        printf("%-8s %-18s %-7s %12s %12s %9s\n", "", "design", "chains'", "1 thread", "2 threads",
               "speed-up");
    for (enum storm storm = 0; storm < STORMS; storm++) {
        static struct measured measured;
        if (kernel_has(storm)) {
            measure_kernel(&measured, storm, rounds);
            print_measured(&measured, storm, "the kernel", "none", options->json, &first);
        }
        for (unsigned i = 0; i < variants->count; i++) {
            struct storm_config config = config_of(variants, i, false);
            measure(&measured, storm, &config, rounds);
            print_measured(&measured, storm, config.design, lock_name(variants, i), options->json,
                           &first);
        }
    }
}

/* ---------------------------------------------------------------- locks */

struct lock_table {
    const struct variants *variants;
    unsigned variant;
    double operations, ns;
    bool json, *first;
};

/* Where the papers saw contention, and what stands in its place in other designs. */
static bool is_of_interest(const char *name) {
    static const char *const names[] = { "page's chain", "anonymous owner", "object's areas",
                                         "record cache" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void print_lock(const struct vm_lock_view *lock, void *context) {
    const struct lock_table *table = context;
    double acquired = (double)lock->acquired;

    if (!is_of_interest(lock->name))
        return;
    if (table->json)
        printf("%s\n{\"design\":\"%s\",\"chain_lock\":\"%s\",\"lock\":\"%s\",\"acquired\":%.5g,"
               "\"contention\":%.4g,\"handed_over\":%.4g,\"utilisation\":%.4g}",
               *table->first ? "" : ",", table->variants->of[table->variant].design,
               lock_name(table->variants, table->variant), lock->name, acquired / table->operations,
               (double)lock->contended / acquired, (double)lock->handed_over / acquired,
               (double)lock->hold_ns / table->ns);
    else
        printf("%-18s %-7s %-16s %9.1f %10.2f%% %10.2f%% %10.1f%%\n",
               table->variants->of[table->variant].design,
               lock_name(table->variants, table->variant), lock->name, acquired / table->operations,
               100 * (double)lock->contended / acquired, 100 * (double)lock->handed_over / acquired,
               100 * (double)lock->hold_ns / table->ns);
    *table->first = false;
}

/* Two threads fork and exit: every mapping is copied, and taken out again. */
static void report_locks(const struct variants *variants, const struct options *options) {
    static struct storm_world world;
    bool first = true;

    if (!options->json)
        printf("\n%-18s %-7s %-16s %9s %11s %11s %11s\n", "fork, 2 threads", "chains'", "lock",
               "a fork", "contended", "handed over", "held");
    for (unsigned i = 0; i < variants->count; i++) {
        struct storm_config config = config_of(variants, i, true);
        posix_port_init(&world.posix, THREADS);
        posix_cpu_set(0);
        storm_begin(&world, STORM_FORK, &config);
        uint64_t before = nanoseconds();
        throughput(&world, THREADS, times_a_round[STORM_FORK]);
        struct lock_table table = { .variants = variants,
                                    .variant = i,
                                    .operations = THREADS * (double)times_a_round[STORM_FORK],
                                    .ns = (double)(nanoseconds() - before),
                                    .json = options->json,
                                    .first = &first };
        vm_lock_each(world.machine, print_lock, &table);
        posix_cpu_set(0);
        storm_end(&world);
    }
}

int main(int argc, char **argv) {
    static const char *const notes[] = {
        "Operations a second: fault and share of 16 pages each, forks, execs, 16 pages written in",
        "memory that is short. chains': what protects them, a bit of the page or one lock for all.",
        "held: of the time that went by. Counting takes time itself, while a lock is held, too.",
        NULL
    };
    struct options options =
        options_read(argc, argv, "operations a second on one thread, and on two at once");
    struct variants variants = { .count = 0 };

    bool realtime =
        sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 }) == 0;
    vm_design_each(add_variants, &variants);
    if (!options.json && !realtime)
        printf("(without real-time priority: what else runs here disturbs the figures)\n");
    if (options.json)
        printf("{\"benchmark\":\"scale\",\"throughput\":[");
    if (sysconf(_SC_NPROCESSORS_ONLN) < THREADS && !options.json)
        printf("(one CPU here: two threads take turns, and cannot be faster than one)\n");
    report_throughput(&variants, &options);
    if (options.json)
        printf("],\n\"locks\":[");
    report_locks(&variants, &options);
    if (options.json)
        printf("],\n\"rows\":[");
    notes_print(options.json, notes);
    return 0;
}
