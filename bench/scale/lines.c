/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lines.c - how much CPUs disturb each other, on machines of more CPUs than there are here.
 *
 * So many CPUs are played by one thread, as coroutines that take turns. The library (built with its
 * preemption points, see port.h) says before each operation on a word that CPUs share - a lock, a
 * count, a flag, a page-table entry - which one it is; there the next CPU has its turn, as if all
 * ran at the same speed. Counted are those operations; those before which another CPU was the last
 * to come to the same 64 bytes, so that the line must come over from there; and the turns that were
 * spent waiting for a lock. The sums are the same on every run.
 *
 * What this is not: a look at a word counts as much as a change of it, every operation takes as long
 * as any other, and data that a lock protects, which moves along with it, is not counted.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <objrmap/rmap.h>
#include <objrmap/stats.h>

#include "storm.h"

enum { OPERATIONS = 96, SLOTS = 1 << 18, LINE_SHIFT = 6, STACK = 256 * 1024 };

/* ---------------------------------------------------------------- lines */

struct line {
    uintptr_t number;
    unsigned last; /* the CPU that came to it last, plus one */
};

static struct {
    bool counting;
    unsigned cpu;
    uint64_t operations, moves, waits;
    struct line lines[SLOTS]; /* open addressing */
    unsigned used;
} tally;

static struct line *line_of(uintptr_t number) {
    size_t at = (number * UINT64_C(0x9e3779b97f4a7c15)) >> 46;

    while (tally.lines[at].number != number) {
        if (!tally.lines[at].number) {
            tally.lines[at].number = number;
            if (++tally.used < SLOTS / 2)
                break;
            fprintf(stderr, "objrmap: more lines than bench-lines has room for\n");
            exit(1);
        }
        at = (at + 1) % SLOTS;
    }
    return &tally.lines[at];
}

/* ---------------------------------------------------------------- turns */

static struct {
    ucontext_t contexts[STORM_CPUS_MOST], done;
    bool running[STORM_CPUS_MOST];
    char *stacks;
    unsigned cpus, left;
    struct storm_world *world;
    unsigned rounds;
} play;

static unsigned next_running(unsigned cpu) {
    do
        cpu = (cpu + 1) % play.cpus;
    while (!play.running[cpu]);
    return cpu;
}

static void take_turns(void) {
    unsigned from = tally.cpu;

    if (!tally.counting || play.left <= 1)
        return;
    tally.cpu = next_running(from);
    swapcontext(&play.contexts[from], &play.contexts[tally.cpu]);
}

/* Lines are known from the start, so that the first visit while counting is no first visit. */
static void come_to(struct vm_port *port, const volatile void *what) {
    (void)port;
    take_turns();
    struct line *line = line_of((uintptr_t)what >> LINE_SHIFT);
    if (tally.counting) {
        tally.operations++;
        tally.moves += line->last && line->last != tally.cpu + 1;
    }
    line->last = tally.cpu + 1;
}

static void wait_a_turn(struct vm_port *port) {
    (void)port;
    tally.waits++;
    take_turns();
}

/* May return early, and does. */
static void wait_for_word(struct vm_port *port, _Atomic uint32_t *word, uint32_t value) {
    (void)word;
    (void)value;
    wait_a_turn(port);
}

static void wake_nobody(struct vm_port *port, _Atomic uint32_t *word) {
    (void)port;
    (void)word;
}

static unsigned playing_cpu(struct vm_port *port) {
    (void)port;
    return tally.cpu;
}

static void play_cpu(void) {
    unsigned cpu = tally.cpu;

    for (unsigned i = 0; i < play.rounds; i++)
        storm_once(play.world, cpu);
    play.running[cpu] = false;
    if (--play.left == 0)
        setcontext(&play.done);
    tally.cpu = next_running(cpu);
    setcontext(&play.contexts[tally.cpu]);
}

static void prepare_cpu(ucontext_t *context, char *stack) {
    getcontext(context);
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = STACK;
    context->uc_link = NULL;
    makecontext(context, play_cpu, 0);
}

static void play_all(struct storm_world *world, unsigned cpus, unsigned rounds) {
    play.world = world;
    play.rounds = rounds;
    play.cpus = play.left = cpus;
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        play.running[cpu] = true;
        prepare_cpu(&play.contexts[cpu], play.stacks + (size_t)cpu * STACK);
    }
    tally.cpu = 0;
    swapcontext(&play.done, &play.contexts[0]);
}

/* ---------------------------------------------------------------- measuring */

struct measured {
    double operations, moves; /* of one operation of the storm */
    double waiting;           /* share of all turns */
    const char *lock;         /* the one most waited for */
};

/* The library's clock: turns. */
static uint64_t turns_so_far(struct vm_port *port) {
    (void)port;
    return tally.operations + tally.waits + 1;
}

struct worst_lock {
    const char *name;
    uint64_t waited;
};

static void compare_lock(const struct vm_lock_view *lock, void *context) {
    struct worst_lock *worst = context;
    if (lock->wait_ns > worst->waited)
        *worst = (struct worst_lock){ lock->name, lock->wait_ns };
}

static void play_one_by_one(struct storm_world *world, unsigned cpus) {
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        tally.cpu = cpu;
        storm_once(world, cpu);
    }
}

static struct measured measure(enum storm storm, const char *design, enum vm_chain_lock chain_lock,
                               unsigned cpus) {
    static struct storm_world world;
    /* One CPU more than play, so that even a single one counts as on a machine of many. */
    struct storm_config config = {
        .design = design, .chain_lock = chain_lock, .cpus = cpus < 2 ? 2 : cpus, .lock_stats = true
    };
    struct worst_lock worst = { "none", 0 };
    unsigned rounds = OPERATIONS / cpus < 2 ? 2 : OPERATIONS / cpus;

    memset(&tally, 0, sizeof(tally));
    posix_port_init(&world.posix, config.cpus);
    world.posix.port.preempt = come_to;
    world.posix.port.relax = wait_a_turn;
    world.posix.port.wait = wait_for_word;
    world.posix.port.wake = wake_nobody;
    world.posix.port.cpu = playing_cpu;
    world.posix.port.clock_ns = turns_so_far;
    storm_begin(&world, storm, &config);
    for (unsigned i = 0; i < 4; i++)
        play_one_by_one(&world, cpus);
    tally.counting = true;
    play_all(&world, cpus, rounds);
    tally.counting = false;
    tally.cpu = 0;
    vm_lock_each(world.machine, compare_lock, &worst);
    storm_end(&world);
    double times = (double)rounds * cpus, words = (double)tally.operations;
    return (struct measured){ .operations = words / times,
                              .moves = (double)tally.moves / times,
                              .waiting = (double)tally.waits / (words + (double)tally.waits),
                              .lock = worst.name };
}

/* ---------------------------------------------------------------- the table */

static const unsigned cpu_counts[] = { 1, 2, 4, 16, 64 };

enum { SIZES = sizeof(cpu_counts) / sizeof(cpu_counts[0]), JUDGED = 3 };

static void print_row(const struct measured measured[SIZES], enum storm storm, const char *design,
                      enum vm_chain_lock chain_lock, bool json, bool first) {
    const char *lock = chain_lock == VM_CHAIN_LOCK_GLOBAL ? ", global lock" : "";
    char name[64];

    for (unsigned i = 0; json && i < SIZES; i++)
        printf("%s\n{\"operation\":\"%s\",\"design\":\"%s\",\"chain_lock\":\"%s\",\"cpus\":%u,"
               "\"operations\":%.5g,\"moves\":%.5g,\"waiting\":%.4g,\"waits_most_for\":\"%s\"}",
               first && i == 0 ? "" : ",", storm_names[storm], design, *lock ? "global" : "page",
               cpu_counts[i], measured[i].operations, measured[i].moves, measured[i].waiting,
               measured[i].lock);
    if (json)
        return;
    snprintf(name, sizeof(name), "%s%s", design, lock);
    printf("%-8s %-29s %9.1f", storm_names[storm], name, measured[0].operations);
    for (unsigned i = 0; i < SIZES; i++)
        printf(" %7.0f %3.0f%%", measured[i].moves, 100 * measured[i].waiting);
    printf("  %s\n", measured[JUDGED].lock);
}

static void measure_all(const struct variants *variants, bool json) {
    bool first = true;

    for (enum storm storm = 0; storm < STORMS; storm++)
        for (unsigned i = 0; i < variants->count; i++) {
            struct measured measured[SIZES];
            for (unsigned size = 0; size < SIZES; size++)
                measured[size] = measure(storm, variants->of[i].design, variants->of[i].chain_lock,
                                         cpu_counts[size]);
            print_row(measured, storm, variants->of[i].design, variants->of[i].chain_lock, json,
                      first);
            fflush(stdout);
            first = false;
        }
}

int main(int argc, char **argv) {
    struct variants variants = { .count = 0 };
    bool json = argc == 2 && strcmp(argv[1], "--json") == 0;

    if (argc > 1 && !json) {
        fprintf(stderr,
                "usage: %s [--json]\n"
                "operations on words that CPUs share, and lines that come from another CPU\n",
                argv[0]);
        return 2;
    }
    vm_design_each(add_variants, &variants);
    play.stacks = malloc((size_t)STORM_CPUS_MOST * STACK);
    if (!play.stacks) {
        fprintf(stderr, "objrmap: there is no memory for 64 stacks; free some\n");
        return 1;
    }
    if (json) {
        printf("{\"benchmark\":\"lines\",\"rows\":[");
    } else {
        printf(
            "%-8s %-29s %9s lines that come from another CPU, for each operation; turns waiting\n",
            "", "", "shared");
        printf("%-8s %-29s %9s", "", "", "words");
        for (unsigned i = 0; i < SIZES; i++)
            printf("    %3u CPU%s", cpu_counts[i], cpu_counts[i] == 1 ? " " : "s");
        printf("  16 wait most for\n");
    }
    measure_all(&variants, json);
    if (json)
        printf("]}\n");
    return 0;
}
