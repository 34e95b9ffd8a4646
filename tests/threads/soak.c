/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soak.c - many processes, many threads, less memory than they want, reclaim at work all the time:
 * every read must see what the last write put there. docs/testing.md says how to run it.
 *
 * A round is one machine of one design. Now and then everybody stops, and the machine is held
 * against the oracle and every page against what is known of it; then the round goes on. What is
 * drawn by lot is drawn from --seed, but the threads' timing is not, so a failure need not come
 * again at the same seed: rounds are short, and a seed that fails is worth many.
 */
#include "plot.h"

#include "harness/clock.h"
#include "harness/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BY_LOT UINT64_MAX

struct options {
    uint64_t seed, threads; /* threads 0: from 2 to 8 by lot */
    double seconds;         /* in all */
    double round;           /* of one machine */
    const char *designs;    /* NULL: all */
    uint64_t fail_every;    /* BY_LOT, or 0: none */
    bool quiet;
};

/* ---------------------------------------------------------------- the threads */

static void take_from_inbox(struct worker *worker) {
    struct inbox *inbox = &worker->world->inboxes[worker->thread];

    pthread_mutex_lock(&inbox->lock);
    struct plot *plots = inbox->plots;
    inbox->plots = NULL;
    pthread_mutex_unlock(&inbox->lock);
    while (plots) {
        struct plot *next = plots->next;
        if (worker->plot_count < PLOTS_MOST)
            worker->plots[worker->plot_count++] = plots;
        else
            plot_let_go(plots);
        plots = next;
    }
}

static void let_go(struct worker *worker, unsigned n) {
    plot_let_go(worker->plots[n]);
    worker->plots[n] = worker->plots[--worker->plot_count];
}

static void take_plot(struct worker *worker, struct plot *plot) {
    if (plot)
        worker->plots[worker->plot_count++] = plot;
    if (worker->plot_count > PLOTS_MOST)
        let_go(worker, (unsigned)draw(worker, PLOTS_MOST));
}

/* Parents and children come to lie in the hands of different threads. */
static void give_to_other(struct worker *worker, struct plot *plot) {
    struct inbox *inbox = &worker->world->inboxes[draw(worker, worker->world->plan.threads)];

    pthread_mutex_lock(&inbox->lock);
    plot->next = inbox->plots;
    inbox->plots = plot;
    pthread_mutex_unlock(&inbox->lock);
}

static void one_step(struct worker *worker) {
    if (worker->plot_count == 0) {
        take_plot(worker, plot_of_new_process(worker, 1 + (unsigned)draw(worker, LANES)));
        return;
    }
    unsigned n = (unsigned)draw(worker, worker->plot_count);
    struct plot *plot = worker->plots[n], *child;
    switch (draw(worker, 200)) {
    case 0:
    case 1:
    case 2:
        take_plot(worker, plot_fork(worker, plot));
        break;
    case 3:
    case 4:
        child = plot_fork(worker, plot);
        if (child)
            give_to_other(worker, child);
        break;
    case 5:
        take_plot(worker, plot_of_new_process(worker, 1 + (unsigned)draw(worker, LANES)));
        break;
    case 6:
    case 7:
        let_go(worker, n);
        break;
    case 8:
        plot_exec(worker, plot);
        break;
    case 9:
        plot_check(worker, plot);
        break;
    default:
        plot_work(worker, plot);
    }
}

static void *work(void *context) {
    struct worker *worker = context;
    struct world *world = worker->world;

    posix_cpu_set(worker->thread);
    while (!atomic_load_explicit(&world->stop, memory_order_relaxed)) {
        for (unsigned n = 0; n < 20; n++)
            one_step(worker);
        take_from_inbox(worker);
        world_pause_point(world);
    }
    return NULL;
}

static void *reclaim(void *context) {
    struct world *world = context;
    uint64_t n = 0;

    posix_cpu_set(world->plan.threads);
    while (!atomic_load_explicit(&world->stop, memory_order_relaxed)) {
        unsigned woken = atomic_exchange(&world->port.woken, 0);
        for (unsigned node = 0; node < world->plan.nodes; node++)
            if (woken >> node & 1)
                vm_reclaim_node(world->machine, node);
        if (n++ % 4 == 0)
            vm_reclaim(world->machine, 1 + n % 24);
        world_pause_point(world);
        usleep(200);
    }
    return NULL;
}

static void *look_on(void *context) {
    struct world *world = context;
    struct dice dice = { 1 };
    uint64_t frames = 0;
    struct vm_stats stats;

    posix_cpu_set(world->plan.threads + 1);
    while (!atomic_load_explicit(&world->stop, memory_order_relaxed)) {
        vm_stats_read(world->machine, &stats);
        frames = stats.memory.frames_total;
        for (unsigned n = 0; n < 16; n++)
            vm_page_mappings(world->machine, dice_below(&dice, frames), NULL, NULL);
        world_pause_point(world);
        usleep(300);
    }
    return NULL;
}

/* ---------------------------------------------------------------- rounds */

struct tally {
    uint64_t calls, short_of_memory, faults, reclaimed, swapped_in, meetings;
};

static void everybody_stops(struct world *world, struct worker *workers, struct tally *tally) {
    atomic_store_explicit(&world->pause, true, memory_order_release);
    pthread_barrier_wait(&world->meeting);
    atomic_store_explicit(&world->pause, false, memory_order_release);
    world_let_fail(world, false);
    world_verify(world);
    for (unsigned n = 0; n < world->plan.threads; n++)
        for (unsigned i = 0; i < workers[n].plot_count; i++)
            plot_check(&workers[n], workers[n].plots[i]);
    world_let_fail(world, true);
    tally->meetings++;
    pthread_barrier_wait(&world->meeting);
}

static void end_round(struct world *world, struct worker *workers, struct tally *tally) {
    struct vm_stats stats;

    world_let_fail(world, false);
    world_verify(world);
    for (unsigned n = 0; n < world->plan.threads; n++) {
        struct worker *worker = &workers[n];
        take_from_inbox(worker);
        for (unsigned i = 0; i < worker->plot_count; i++)
            plot_check(worker, worker->plots[i]);
        while (worker->plot_count)
            let_go(worker, 0);
        tally->calls += worker->calls;
        tally->short_of_memory += worker->short_of_memory;
    }
    vm_stats_read(world->machine, &stats);
    tally->faults += stats.faults.zero + stats.faults.first_write + stats.faults.cow +
                     stats.faults.reuse + stats.faults.file + stats.faults.swap_in;
    tally->reclaimed += stats.reclaim.freed;
    tally->swapped_in += stats.reclaim.swapped_in;
}

static struct tally play_round(const struct plan *plan) {
    static struct world world;
    struct worker workers[THREADS_MOST] = { 0 };
    pthread_t threads[THREADS_MOST], reclaimer, onlooker;
    struct tally tally = { 0 };
    double end = seconds_now() + plan->seconds;

    posix_cpu_set(plan->threads + 2);
    world_create(&world, plan);
    for (unsigned n = 0; n < plan->threads; n++) {
        workers[n] = (struct worker){ .world = &world, .thread = n };
        workers[n].dice = dice_for(plan->seed, n, 1);
        pthread_create(&threads[n], NULL, work, &workers[n]);
    }
    pthread_create(&reclaimer, NULL, reclaim, &world);
    pthread_create(&onlooker, NULL, look_on, &world);
    while (seconds_now() < end) {
        usleep(100000);
        everybody_stops(&world, workers, &tally);
    }
    /* All stop at a meeting, or one might wait there for those that have ended. */
    atomic_store_explicit(&world.pause, true, memory_order_release);
    pthread_barrier_wait(&world.meeting);
    atomic_store_explicit(&world.pause, false, memory_order_release);
    atomic_store(&world.stop, true);
    pthread_barrier_wait(&world.meeting);
    for (unsigned n = 0; n < plan->threads; n++)
        pthread_join(threads[n], NULL);
    pthread_join(reclaimer, NULL);
    pthread_join(onlooker, NULL);
    end_round(&world, workers, &tally);
    world_destroy(&world);
    return tally;
}

/* ---------------------------------------------------------------- which machines */

enum { DESIGNS_MOST = 16 };

struct designs {
    const struct vm_design_info *at[DESIGNS_MOST];
    unsigned count;
    const char *wanted;
};

static void add_design(const struct vm_design_info *design, void *context) {
    struct designs *designs = context;
    if (designs->count < DESIGNS_MOST &&
        (!designs->wanted || options_list_has(designs->wanted, design->name)))
        designs->at[designs->count++] = design;
}

static struct plan draw_plan(const struct options *options, const struct vm_design_info *design,
                             unsigned seed) {
    static const unsigned percents[] = { 10, 15, 25, 50 };
    struct dice dice = dice_for(seed, 0, 2);
    struct plan plan = { .design = design->name, .seed = seed, .seconds = options->round };

    plan.threads =
        options->threads ? (unsigned)options->threads : 2 + (unsigned)dice_below(&dice, 7);
    plan.nodes = 1 + (unsigned)dice_below(&dice, 2);
    plan.percent = percents[dice_below(&dice, 4)];
    plan.fork_copy = dice_below(&dice, 3) ? VM_FORK_LAZY : VM_FORK_EAGER;
    plan.nonlinear = (enum vm_nonlinear)dice_below(&dice, 4);
    if (plan.nonlinear == VM_NONLINEAR_CHAIN && !design->object_chains)
        plan.nonlinear = VM_NONLINEAR_EMULATE;
    plan.fail_every = (unsigned)options->fail_every;
    if (options->fail_every == BY_LOT)
        plan.fail_every = dice_below(&dice, 2) ? 0 : 3 + (unsigned)dice_below(&dice, 20);
    return plan;
}

static const char usage[] =
    "usage: threads-soak [OPTION]...\n"
    "Plays random programs of many processes on several threads, with less memory than\n"
    "they want, and checks that every read sees what was written last.\n"
    "\n"
    "  --seed=N        draw from this seed (1)\n"
    "  --threads=N     2 to 8 threads; by lot if not given\n"
    "  --seconds=S     time for all designs together (5)\n"
    "  --round=S       time for one machine (0.5)\n"
    "  --designs=A,B   these designs only\n"
    "  --fail-every=N  every Nth allocation fails; 0: none; by lot if not given\n"
    "  --quiet         only the sums\n"
    "  --help          this text\n"
    "Exit status: 0 nothing lost, 2 usage; a failure aborts, having said what was lost.\n";

static int wrong(const char *problem) {
    fprintf(stderr, "threads-soak: %s; see threads-soak --help\n", problem);
    return EXIT_WRONG_USE;
}

static void take_options(int count, char **arguments, struct options *options) {
    const struct test_option known[] = {
        { "--seed", .number = &options->seed },
        { "--threads", .number = &options->threads },
        { "--seconds", .seconds = &options->seconds },
        { "--round", .seconds = &options->round },
        { "--designs", .text = &options->designs },
        { "--fail-every", .number = &options->fail_every },
        { "--quiet", .flag = &options->quiet },
    };
    options_take(count, arguments, usage, known, sizeof(known) / sizeof(known[0]));
}

int main(int count, char **arguments) {
    struct options options = { .seed = 1, .seconds = 5, .round = 0.5, .fail_every = BY_LOT };
    struct designs designs = { .count = 0 };
    struct tally sum[DESIGNS_MOST] = { { 0 } };
    double seconds[DESIGNS_MOST] = { 0 };

    take_options(count, arguments, &options);
    if (options.threads && (options.threads < 2 || options.threads > THREADS_MOST))
        return wrong("--threads: from 2 to 8");
    designs.wanted = options.designs;
    vm_design_each(add_design, &designs);
    if (!designs.count)
        return wrong("--designs: no such design");
    double end = seconds_now() + options.seconds;
    for (unsigned round = 0; round < designs.count || seconds_now() < end; round++) {
        unsigned at = round % designs.count;
        struct plan plan = draw_plan(&options, designs.at[at], (unsigned)options.seed + round);
        double start = seconds_now();
        struct tally tally = play_round(&plan);
        seconds[at] += seconds_now() - start;
        sum[at].calls += tally.calls;
        sum[at].short_of_memory += tally.short_of_memory;
        sum[at].faults += tally.faults;
        sum[at].reclaimed += tally.reclaimed;
        sum[at].swapped_in += tally.swapped_in;
        sum[at].meetings += tally.meetings;
        if (!options.quiet) {
            printf("seed %u: %s, %u threads, %u %% of memory\n", plan.seed, plan.design,
                   plan.threads, plan.percent);
            fflush(stdout);
        }
    }
    for (unsigned at = 0; at < designs.count; at++)
        printf("%-16s %7.1f s: %9llu calls (%llu short of memory), %9llu faults, %9llu pages "
               "reclaimed, %8llu swapped in, %5llu meetings; nothing lost\n",
               designs.at[at]->name, seconds[at], (unsigned long long)sum[at].calls,
               (unsigned long long)sum[at].short_of_memory, (unsigned long long)sum[at].faults,
               (unsigned long long)sum[at].reclaimed, (unsigned long long)sum[at].swapped_in,
               (unsigned long long)sum[at].meetings);
    return 0;
}
