/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * matrix.c - the program fault-matrix: a script, played with every single failure, on every design.
 *
 * First the script is lived through with nothing failing, and what each step came to is kept. Then
 * it is lived through once more, and before each step this process forks, once for each call of the
 * step that can fail: the child lets that one fail, alone or with all of its kind after it, judges,
 * plays the rest, and ends everything. So no step is played twice to get to a failure, and a child
 * that crashes or hangs is a finding like another. At last the script is played on machines of ever
 * more memory, from too little on, until nothing is refused for want of it.
 *
 * docs/testing.md tells how to use it.
 */
#include "life.h"

#include "harness/apart.h"
#include "harness/clock.h"
#include "harness/options.h"

#include <objrmap/rmap.h>
#include <objrmap/stats.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: fault-matrix [OPTION...] [FILE]\n"
    "\n"
    "Plays FILE, a trace or what random-ops has printed, again and again, each time with one\n"
    "allocation, frame, read or write more that fails: once, and from then on. Without FILE it "
    "plays\n"
    "a script that makes every call.\n"
    "\n"
    "  --design=A,B,...  default: all that are built in\n"
    "  --machine=N       of four: 0 plenty of memory in two nodes, 1 to 3 little, in one piece, "
    "in\n"
    "                    two nodes, and half of it low; with other kinds of fork, indexes and\n"
    "                    nonlinear areas, with and without a reclaim thread; default: each design\n"
    "                    its own\n"
    "  --machines        all four\n"
    "  --kind=KIND       only failures of this kind: record, block, frame, swap-read, swap-write,\n"
    "                    file-read, file-write, memory\n"
    "  --when=once|on    only these\n"
    "  --every=N         only every Nth failure of each kind; default 1\n"
    "  --nth=N           only the failure of this number, from 0\n"
    "  --list            name the designs\n"
    "  --frames=N        a machine with this memory, instead of its own\n"
    "  --swap=N          ... and this swap, in pages\n";

enum { TEXT_BYTES = 64, DESIGNS_MOST = 32, INDEXES_MOST = 16, MACHINES = 4, PATIENCE = 120 };

#define ALL UINT64_MAX

/* The kind of failure that no gate makes: too little memory. */
#define KIND_MEMORY GATE_KINDS

struct options {
    const char *design, *kind, *when, *file;
    uint64_t machine, every, nth, frames, swap;
    bool all_machines, list;
};

struct design {
    char name[TEXT_BYTES];
    bool chains_objects;
};

/* What a child tells. */
struct word {
    char failure[LIFE_TEXT_BYTES];
    uint64_t injected, refused;
};

struct tally {
    uint64_t points[GATE_KINDS + 1]; /* calls that could fail */
    uint64_t lives, failed;
};

struct matrix {
    struct options options;
    struct script script;
    struct design designs[DESIGNS_MOST];
    unsigned design_count;
    char indexes[INDEXES_MOST][TEXT_BYTES];
    unsigned index_count;
    struct setup setup; /* the one at work */
    unsigned machine;
    struct outcome *expected; /* of each step, if nothing fails */
    uint64_t hash;
    struct word *word;
    struct tally tally;
};

/* ---------------------------------------------------------------- one life in a child */

struct point {
    size_t step;
    enum gate_kind kind;
    enum gate_when when;
    uint64_t at;     /* among the step's calls of this kind */
    uint64_t number; /* among all of the script */
};

static void tell(struct word *word, const struct life *life) {
    memcpy(word->failure, life->failure, sizeof(word->failure));
}

static bool ends_like(struct matrix *matrix, struct life *life) {
    uint64_t hash;
    if (!life_end(life, &hash))
        return false;
    if (life->apart || hash == matrix->hash)
        return true;
    return life_fails(life,
                      "the state at the end is %016" PRIx64 ", where nothing has failed "
                      "%016" PRIx64,
                      hash, matrix->hash);
}

static bool live_on_after_one(struct matrix *matrix, struct life *life, const struct point *point) {
    const struct outcome *expected = matrix->expected;
    struct outcome outcome;
    if (!life_step_twice(life, point->step, &expected[point->step], &outcome))
        return false;
    for (size_t i = point->step + 1; i < life->script->count; i++)
        if (!life_step(life, i, LIFE_CHECK_TOUCHED, &outcome) ||
            !life_same(life, i, &expected[i], &outcome))
            return false;
    return ends_like(matrix, life);
}

static bool live_on_with_all_failing(struct life *life, const struct point *point) {
    struct outcome outcome;
    uint64_t hash;
    for (size_t i = point->step; i < life->script->count; i++)
        if (!life_step(life, i, LIFE_CHECK_TOUCHED, &outcome))
            return false;
    return life_end(life, &hash);
}

/* What a child plays. */
struct fate {
    struct matrix *matrix;
    struct life *life;
    const struct point *point;
};

static void live_with_failure(void *context) {
    const struct fate *fate = context;
    const struct point *point = fate->point;
    gate_plan(point->kind, point->when, point->at);
    if (point->when == GATE_ONCE)
        live_on_after_one(fate->matrix, fate->life, point);
    else
        live_on_with_all_failing(fate->life, point);
    tell(fate->matrix->word, fate->life);
}

static void play_apart(struct matrix *matrix, void (*play)(void *context), void *context) {
    struct word *word = matrix->word;
    *word = (struct word){ 0 };
    struct apart apart = apart_play(play, context, PATIENCE);
    matrix->tally.lives++;
    if (apart.end != APART_WELL)
        snprintf(word->failure, sizeof(word->failure), "%s", apart.why);
}

/* ---------------------------------------------------------------- telling */

static const char *kind_name(unsigned kind) {
    return kind == KIND_MEMORY ? "memory" : gate_kind_name((enum gate_kind)kind);
}

static void tell_failure(struct matrix *matrix, unsigned kind, const char *when, uint64_t number) {
    matrix->tally.failed++;
    printf("FAILED: %s\n  fault-matrix --design=%s --machine=%u --kind=%s%s%s --nth=%" PRIu64,
           matrix->word->failure, matrix->setup.design, matrix->machine, kind_name(kind),
           *when ? " --when=" : "", when, number);
    if (matrix->options.frames)
        printf(" --frames=%" PRIu64 " --swap=%" PRIu64, matrix->options.frames,
               matrix->options.swap);
    printf("%s%s\n", matrix->options.file ? " " : "",
           matrix->options.file ? matrix->options.file : "");
}

static bool chosen(const struct options *options, unsigned kind, const char *when,
                   uint64_t number) {
    if (options->kind && strcmp(options->kind, kind_name(kind)) != 0)
        return false;
    if (options->when && *when && strcmp(options->when, when) != 0)
        return false;
    return options->nth == ALL ? number % options->every == 0 : number == options->nth;
}

/* ---------------------------------------------------------------- all points of failure */

static void try_point(struct matrix *matrix, struct life *life, const struct point *point) {
    const char *when = point->when == GATE_ONCE ? "once" : "on";
    if (!chosen(&matrix->options, point->kind, when, point->number))
        return;
    struct fate fate = { matrix, life, point };
    play_apart(matrix, live_with_failure, &fate);
    if (matrix->word->failure[0])
        tell_failure(matrix, point->kind, when, point->number);
}

static void try_step(struct matrix *matrix, struct life *life, size_t step) {
    for (enum gate_kind kind = 0; kind < GATE_KINDS; kind++)
        for (uint64_t at = 0; at < matrix->expected[step].calls[kind]; at++) {
            struct point point = { step, kind, GATE_ONCE, at, matrix->tally.points[kind]++ };
            try_point(matrix, life, &point);
            point.when = GATE_FROM_THERE_ON;
            try_point(matrix, life, &point);
        }
}

static bool give_up(struct matrix *matrix, const struct life *life) {
    matrix->tally.failed++;
    printf("FAILED, with nothing made to fail: %s\n  on %s, machine %u\n", life->failure,
           matrix->setup.design, matrix->machine);
    return false;
}

/* The script that makes every call must come by every kind of fault, and by all that reclaim does. */
static bool all_cases_met(struct matrix *matrix, struct life *life) {
    struct vm_stats stats;
    vm_stats_read(life->state.player->world->machine, &stats);
    const struct {
        const char *name;
        uint64_t count;
    } cases[] = {
        { "zero page", stats.faults.zero },
        { "first write", stats.faults.first_write },
        { "object read", stats.faults.file },
        { "page mapped around", stats.faults.around },
        { "shared write", stats.faults.shared_write },
        { "copy-on-write", stats.faults.cow },
        { "reuse", stats.faults.reuse },
        { "swap-in", stats.faults.swap_in },
        { "stack growth", stats.faults.stack },
        { "spurious fault", stats.faults.spurious },
        { "SIGSEGV", stats.faults.segv },
        { "SIGBUS", stats.faults.bus },
        { "page swapped out", stats.reclaim.swapped_out },
        { "page written back", stats.reclaim.written },
        { "entry copied", stats.entries.copied },
        { "entry moved", stats.entries.moved },
        { "page moved to a node", stats.migration.moved + (matrix->setup.plan.nodes < 2) },
    };
    for (size_t i = 0; !matrix->options.file && i < sizeof(cases) / sizeof(cases[0]); i++)
        if (!cases[i].count)
            return life_fails(life, "the script meets no %s", cases[i].name);
    return true;
}

/* Nothing fails: what do steps come to, and which calls could have failed? */
static bool live_well(struct matrix *matrix) {
    struct life life;
    if (!life_begin(&life, &matrix->script, &matrix->setup))
        return false;
    bool good = true;
    for (size_t i = 0; good && i < matrix->script.count; i++)
        good = life_step(&life, i, LIFE_CHECK_ALL, &matrix->expected[i]);
    good = good && life_end(&life, &matrix->hash) && all_cases_met(matrix, &life);
    if (!good)
        give_up(matrix, &life);
    life_destroy(&life);
    return good;
}

static void live_with_each_failure(struct matrix *matrix) {
    struct life life;
    struct outcome outcome;
    uint64_t hash;
    bool good = life_begin(&life, &matrix->script, &matrix->setup);
    for (size_t i = 0; good && i < matrix->script.count; i++) {
        try_step(matrix, &life, i);
        good = life_step(&life, i, LIFE_CHECK_TOUCHED, &outcome) &&
               life_same(&life, i, &matrix->expected[i], &outcome);
    }
    good = good && life_end(&life, &hash);
    if (!good)
        give_up(matrix, &life);
    life_destroy(&life);
}

/* ---------------------------------------------------------------- too little memory */

static bool is_want(int result) {
    return result == VM_OOM || result == VM_ENOMEM || result == VM_EAGAIN;
}

static void live_in_little(void *context) {
    struct matrix *matrix = context;
    struct life life;
    struct outcome outcome;
    uint64_t hash;
    if (!life_begin(&life, &matrix->script, &matrix->setup))
        _exit(2);
    bool good = true;
    for (size_t i = 0; good && i < matrix->script.count; i++) {
        good = life_step(&life, i, LIFE_CHECK_TOUCHED, &outcome);
        matrix->word->refused +=
            is_want(outcome.result) && outcome.result != matrix->expected[i].result;
    }
    if (good)
        life_end(&life, &hash);
    tell(matrix->word, &life);
    life_destroy(&life);
}

/* Machines of ever more memory, until one has enough; with a little swap, and with none. */
static void live_in_ever_more(struct matrix *matrix) {
    const struct setup own = matrix->setup;
    if (matrix->options.kind && strcmp(matrix->options.kind, "memory") != 0)
        return;
    for (uint64_t swap = 0; swap <= 24; swap += 24) {
        bool enough = false;
        for (uint64_t frames = 64; !enough && frames < 4096; frames++) {
            uint64_t number = matrix->tally.points[KIND_MEMORY]++;
            if (!chosen(&matrix->options, KIND_MEMORY, "", number))
                continue;
            matrix->setup.short_of_memory = true;
            matrix->setup.plan.frames = frames;
            matrix->setup.plan.swap = swap;
            play_apart(matrix, live_in_little, matrix);
            if (matrix->word->failure[0])
                tell_failure(matrix, KIND_MEMORY, "", number);
            enough = !matrix->word->refused && !matrix->word->failure[0];
        }
    }
    matrix->setup = own;
}

/* ---------------------------------------------------------------- machines */

static void make_setup(struct matrix *matrix, unsigned design, unsigned machine) {
    const struct plan *given = &matrix->script.machine;
    struct setup *setup = &matrix->setup;
    bool little = machine > 0;
    *setup = (struct setup){
        .design = matrix->designs[design].name,
        .chains_objects = matrix->designs[design].chains_objects,
        .file_index = matrix->indexes[(design + machine) % matrix->index_count],
        .plan = *given,
        .short_of_memory = given->frames && plan_is_tight(given),
    };
    if (!given->frames) {
        setup->plan.frames = little ? 112 : 4096;
        setup->plan.swap = 4096;
    }
    if (matrix->options.frames) {
        setup->plan.frames = matrix->options.frames;
        setup->plan.swap = matrix->options.swap;
    }
    if (machine % 2 == 0)
        setup->plan.nodes = 2;
    setup->low_frames = machine == 3 ? 48 : 0;
    setup->reclaim_thread = machine > 1;
    setup->plan.nonlinear = machine;
    setup->plan.eager = machine % 2;
    matrix->machine = machine;
}

static void print_tally(const struct matrix *matrix, double seconds) {
    printf("%s, machine %u: ", matrix->setup.design, matrix->machine);
    for (unsigned kind = 0; kind <= KIND_MEMORY; kind++)
        printf("%" PRIu64 " %s%s", matrix->tally.points[kind], kind_name(kind),
               kind < KIND_MEMORY ? ", " : "");
    printf("; %" PRIu64 " lives in %.1f s: ", matrix->tally.lives, seconds);
    if (matrix->tally.failed)
        printf("%" PRIu64 " FAILED\n", matrix->tally.failed);
    else
        printf("all is well\n");
    fflush(stdout);
}

/* Returns whether all was well. */
static bool run_machine(struct matrix *matrix, unsigned design, unsigned machine) {
    double begin = seconds_now();
    make_setup(matrix, design, machine);
    matrix->tally = (struct tally){ 0 };
    if (live_well(matrix)) {
        live_with_each_failure(matrix);
        if (!matrix->options.frames)
            live_in_ever_more(matrix);
    } else if (!matrix->tally.failed) {
        return false;
    }
    print_tally(matrix, seconds_now() - begin);
    return !matrix->tally.failed;
}

/* The script that makes every call must come past everything that can fail. */
static bool all_kinds_met(const struct matrix *matrix) {
    for (enum gate_kind kind = 0; kind < GATE_KINDS; kind++)
        if (!matrix->options.file && !matrix->tally.points[kind]) {
            printf("FAILED: no call that could fail is a %s\n", gate_kind_name(kind));
            return false;
        }
    return true;
}

static int run(struct matrix *matrix) {
    bool good = true;
    for (unsigned design = 0; design < matrix->design_count; design++)
        for (unsigned machine = 0; machine < MACHINES; machine++) {
            bool own = matrix->options.machine == ALL ? machine == design % MACHINES
                                                      : machine == matrix->options.machine;
            if (!own && !matrix->options.all_machines)
                continue;
            good = run_machine(matrix, design, machine) && all_kinds_met(matrix) && good;
        }
    return good ? 0 : 1;
}

/* ---------------------------------------------------------------- options */

static void add_design(const struct vm_design_info *info, void *context) {
    struct matrix *matrix = context;
    if (matrix->design_count == DESIGNS_MOST ||
        (matrix->options.design && !options_list_has(matrix->options.design, info->name)))
        return;
    struct design *design = &matrix->designs[matrix->design_count++];
    snprintf(design->name, sizeof(design->name), "%s", info->name);
    design->chains_objects = info->object_chains;
}

static void add_index(const struct vm_file_index_info *info, void *context) {
    struct matrix *matrix = context;
    if (matrix->index_count < INDEXES_MOST)
        snprintf(matrix->indexes[matrix->index_count++], TEXT_BYTES, "%s", info->name);
}

static void take_options(int argc, char **argv, struct options *options) {
    const struct test_option known[] = {
        { "--design", .text = &options->design },
        { "--machine", .number = &options->machine },
        { "--machines", .flag = &options->all_machines },
        { "--kind", .text = &options->kind },
        { "--when", .text = &options->when },
        { "--every", .number = &options->every },
        { "--nth", .number = &options->nth },
        { "--list", .flag = &options->list },
        { "--frames", .number = &options->frames },
        { "--swap", .number = &options->swap },
        { "", .text = &options->file },
    };
    options_take(argc, argv, usage, known, sizeof(known) / sizeof(known[0]));
    if (!options->every) {
        fputs("fault-matrix: --every=0 leaves no failure to try, expected 1 or more\n", stderr);
        exit(EXIT_WRONG_USE);
    }
}

static bool prepare(struct matrix *matrix) {
    vm_design_each(add_design, matrix);
    vm_file_index_each(add_index, matrix);
    if (!matrix->design_count || !matrix->index_count) {
        fprintf(stderr, "fault-matrix: there is no such design; objrmap designs lists them\n");
        return false;
    }
    if (!matrix->options.file)
        script_every_call(&matrix->script);
    else if (!script_read(&matrix->script, matrix->options.file))
        return false;
    matrix->expected = calloc(matrix->script.count + 1, sizeof(*matrix->expected));
    matrix->word = apart_share(sizeof(*matrix->word));
    return matrix->expected;
}

static void name_design(const struct vm_design_info *info, void *context) {
    (void)context;
    puts(info->name);
}

int main(int argc, char **argv) {
    static struct matrix matrix;
    matrix.options = (struct options){ .machine = ALL, .every = 1, .nth = ALL };
    take_options(argc, argv, &matrix.options);
    if (matrix.options.list) {
        vm_design_each(name_design, NULL);
        return 0;
    }
    if (!prepare(&matrix))
        return 2;
    int code = run(&matrix);
    free(matrix.expected);
    script_free(&matrix.script);
    return code;
}
