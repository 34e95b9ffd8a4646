/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.c - see run.h.
 */
#include "run.h"

#include "command.h"
#include "progress.h"
#include "replay/crew.h"
#include "state.h"
#include "trace/reader.h"
#include "watch.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A machine that never runs short while a trace's peak is measured: 256 GiB. */
#define AMPLE_FRAMES (UINT64_C(1) << 26)

enum { LEAST_FRAMES = 64, DEFAULT_SWAP_FACTOR = 4, LEAST_SWAP_PAGES = 1024 };

struct run {
    const struct run_request *request;
    struct run_result *result;
    struct trace_reader *reader;
    struct player *player;
    struct crew *crew; /* NULL: the player is alone */
    uint64_t line;     /* of the latest event */
    uint64_t begin_ns;
    uint64_t aside_ns;   /* spent on checks, questions and pictures */
    struct watch *watch; /* NULL: nothing is drawn */
};

static void fail(struct run_result *result, enum run_end end, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fail(struct run_result *result, enum run_end end, const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(result->failure, sizeof(result->failure), format, values);
    va_end(values);
    result->end = end;
}

int run_exit_code(enum run_end end) {
    if (end == RUN_COMPLETE)
        return EXIT_OK;
    return end == RUN_INVALID ? EXIT_USAGE : EXIT_FOUND;
}

/* ---------------------------------------------------------------- what the machine has kept */

static struct run_cache *find_cache(struct run_result *result, const struct vm_cache_view *view) {
    for (unsigned i = 0; i < result->cache_count; i++)
        if (strcmp(result->caches[i].name, view->name) == 0)
            return &result->caches[i];
    if (result->cache_count == RUN_CACHES)
        return NULL;
    struct run_cache *cache = &result->caches[result->cache_count++];
    snprintf(cache->name, sizeof(cache->name), "%s", view->name);
    cache->cost = view->cost;
    cache->object_bytes = view->object_bytes;
    return cache;
}

static void note_before(const struct vm_cache_view *view, void *context) {
    struct run_cache *cache = find_cache(context, view);
    if (cache)
        cache->live_before = view->live;
}

static void note_end(const struct vm_cache_view *view, void *context) {
    struct run_cache *cache = find_cache(context, view);
    if (!cache)
        return;
    cache->live = view->live;
    cache->live_bytes = view->live_bytes;
    cache->peak_bytes = view->peak_bytes;
    cache->held_bytes = view->held_bytes;
}

static void note_after(const struct vm_cache_view *view, void *context) {
    struct run_cache *cache = find_cache(context, view);
    if (cache)
        cache->live_after = view->live;
}

static void note_lock(const struct vm_lock_view *view, void *context) {
    struct run_result *result = context;
    if (result->lock_count == RUN_LOCKS)
        return;
    struct run_lock *lock = &result->locks[result->lock_count++];
    *lock = (struct run_lock){ .shared = view->shared,
                               .acquired = view->acquired,
                               .contended = view->contended,
                               .handed_over = view->handed_over,
                               .hold_ns = view->hold_ns,
                               .hold_most_ns = view->hold_most_ns,
                               .wait_ns = view->wait_ns,
                               .wait_most_ns = view->wait_most_ns };
    snprintf(lock->name, sizeof(lock->name), "%s", view->name);
}

static void collect(struct run *run) {
    struct run_result *result = run->result;
    struct player *player = run->player;
    memcpy(result->ops, player->ops, sizeof(result->ops));
    result->pages_touched = player->pages_touched;
    result->segv = player->segv;
    result->bus = player->bus;
    result->checks = player->checks;
    result->events = trace_events(run->reader);
    result->processes = trace_processes(run->reader);
    for (int op = 0; op < OPS; op++)
        result->seconds += (double)result->ops[op].ns / 1e9;
    vm_stats_read(player->world->machine, &result->stats);
    ask_take_off(&result->asked, &result->stats);
    for (int cost = 0; cost <= VM_COST_OTHER; cost++)
        result->cost_peak[cost] = vm_cost_peak(player->world->machine, (enum vm_cost)cost);
    vm_cache_each(player->world->machine, note_end, result);
    vm_lock_each(player->world->machine, note_lock, result);
    world_clear(player->world);
    vm_cache_each(player->world->machine, note_after, result);
}

/* ---------------------------------------------------------------- events */

static void ended(struct run *run, enum play play) {
    fail(run->result, play == PLAY_OUT_OF_MEMORY ? RUN_OUT_OF_MEMORY : RUN_DIFFERENT, "%s",
         run->player->failure);
}

static enum play check(struct run *run) {
    uint64_t begin = player_now();
    enum play play = player_check(run->player, run->line);
    run->aside_ns += player_now() - begin;
    return play;
}

/* The last look at what the process sees, before exec or exit. => flushed */
static enum play last_look(struct player *player, const struct run_request *request,
                           const struct trace_event *event) {
    enum play play = PLAY_ON;
    uint64_t begin = player_now();
    player->lives += state_of_process(player, event->process);
    if (request->verify && player->world->model) {
        player_take_turn(player);
        play = player_check_process(player, event->process, event->line);
    }
    player->aside_ns += player_now() - begin;
    return play;
}

/* One event. Called by the crew's threads, if there is a crew. */
static enum play play_one(struct player *player, const struct trace_event *event, void *context) {
    const struct run_request *request = context;
    enum play play = PLAY_ON;
    if (event->kind == EVENT_EXEC || event->kind == EVENT_EXIT) {
        play = player_flush(player);
        if (play == PLAY_ON)
            play = last_look(player, request, event);
    }
    return play == PLAY_ON ? player_event(player, event) : play;
}

/* Plays all that has been read. */
static enum play settle(struct run *run) {
    return run->crew ? crew_wait(run->crew) : player_flush(run->player);
}

static enum play check_if_due(struct run *run) {
    uint64_t every = run->request->verify_every;
    if (!run->request->verify || !every || trace_events(run->reader) % every)
        return PLAY_ON;
    enum play play = settle(run);
    return play == PLAY_ON ? check(run) : play;
}

static bool put_question(struct run *run, const struct ask *ask) {
    uint64_t begin = player_now();
    bool known = ask_player(run->player, ask, &run->result->asked);
    run->aside_ns += player_now() - begin;
    return known;
}

/* A question in a note. Nobody would notice one that is never asked: it has to be right. */
static enum play ask_note(struct run *run, const struct trace_event *event) {
    struct ask ask;
    enum play play = settle(run);
    if (play == PLAY_ON && !(ask_parse(event->note.value, ' ', &ask) && put_question(run, &ask)))
        fail(run->result, RUN_INVALID,
             "%s:%" PRIu64 ": the note asks \"%s\", expected \"ask PID ADDR N\" about a living "
             "process",
             trace_file_name(run->reader), event->line, event->note.value);
    return play;
}

static void take_note(struct run *run, const struct trace_event *event) {
    if (strcmp(event->note.name, "lost") == 0)
        run->result->lost += strtoull(event->note.value, NULL, 10);
    if (strcmp(event->note.name, "seconds") == 0)
        run->result->recorded_seconds = strtod(event->note.value, NULL);
}

static enum play play_event(struct run *run, const struct trace_event *event) {
    run->line = event->line;
    if (event->kind == EVENT_NOTE) {
        if (run->request->ask && strcmp(event->note.name, "ask") == 0)
            return ask_note(run, event);
        take_note(run, event);
        return PLAY_ON;
    }
    enum play play = run->crew ? crew_event(run->crew, event)
                               : play_one(run->player, event, (void *)(uintptr_t)run->request);
    return play == PLAY_ON ? check_if_due(run) : play;
}

/* ---------------------------------------------------------------- looking on */

static struct sample sample_now(const struct run *run) {
    struct sample sample;
    sample_take(&sample, run->player->world->machine, trace_events(run->reader),
                (double)(player_now() - run->begin_ns - run->aside_ns) / 1e9);
    return sample;
}

/* Alone, a player has played all that was read; of a crew's events some may still wait. */
static enum play add_to_series(struct run *run) {
    enum play play = run->crew ? PLAY_ON : player_flush(run->player);
    if (play != PLAY_ON)
        return play;
    struct sample sample = sample_now(run);
    series_add(&run->result->series, &sample);
    return PLAY_ON;
}

static enum play draw(struct run *run) {
    bool processes = watch_wants_processes(run->watch);
    enum play play = processes ? settle(run) : PLAY_ON;
    if (play != PLAY_ON)
        return play;
    uint64_t begin = player_now();
    if (processes)
        watch_take_processes(run->watch, run->player->world);
    struct sample sample = sample_now(run);
    watch_draw(run->watch, &sample, trace_progress(run->reader));
    run->aside_ns += player_now() - begin;
    return PLAY_ON;
}

static enum play look_on(struct run *run) {
    enum play play = PLAY_ON;
    if (series_is_due(&run->result->series, trace_events(run->reader)))
        play = add_to_series(run);
    if (play == PLAY_ON && run->watch && watch_is_due(run->watch))
        play = draw(run);
    return play;
}

/* After a failure some of a crew may still be playing. */
static void look_last(struct run *run, enum play play) {
    struct sample sample = sample_now(run);
    if (run->request->watch)
        series_end(&run->result->series, &sample);
    if (run->watch && play == PLAY_ON)
        watch_take_processes(run->watch, run->player->world);
    watch_end(run->watch, &sample);
    run->watch = NULL;
}

/* ---------------------------------------------------------------- all events */

/* False when the run has ended before them. */
static bool play_events(struct run *run) {
    struct progress progress;
    struct trace_event event;
    enum trace_status status = TRACE_EVENT;
    enum play play = PLAY_ON;
    progress_begin(&progress, run->request->watch ? NULL : run->request->label);
    play = look_on(run);
    while (play == PLAY_ON && run->result->end == RUN_COMPLETE &&
           (status = trace_next(run->reader, &event)) == TRACE_EVENT) {
        play = play_event(run, &event);
        if (play == PLAY_ON)
            play = look_on(run);
        progress_step(&progress, run->reader);
    }
    if (play == PLAY_ON)
        play = settle(run);
    progress_end(&progress);
    look_last(run, play);
    if (play != PLAY_ON)
        ended(run, play);
    else if (run->result->end == RUN_COMPLETE && status == TRACE_INVALID)
        fail(run->result, RUN_INVALID, "%s", trace_error(run->reader));
    return run->result->end == RUN_COMPLETE;
}

/* ---------------------------------------------------------------- the end of a run */

static void write_state(struct run *run) {
    const char *path = run->request->dump;
    bool to_stdout = path && strcmp(path, "-") == 0;
    FILE *file = to_stdout ? stdout : path ? fopen(path, "w") : NULL;
    if (path && !file) {
        fail(run->result, RUN_FAILED, "cannot write the state to %s: %s", path, strerror(errno));
        return;
    }
    run->result->state_hash = state_write(run->player, file) ^ run->player->lives;
    if (!file)
        return;
    bool failed = fflush(file) != 0 || ferror(file);
    if (!to_stdout)
        failed |= fclose(file) != 0;
    if (failed)
        fail(run->result, RUN_FAILED, "cannot write the state to %s: %s", path, strerror(errno));
}

static void ask_at_end(struct run *run) {
    const struct ask *ask = &run->request->ask_at_end;
    if ((ask->all || ask->pages) && !put_question(run, ask))
        fail(run->result, RUN_INVALID, "--ask: there is no process %" PRIu32 " at the trace's end",
             ask->pid);
}

static void play(struct run *run) {
    unsigned cpus = run->request->cpus;
    if (cpus > 1)
        run->crew = crew_begin(run->player, cpus, run->request->nodes, play_one,
                               (void *)(uintptr_t)run->request);
    if (run->request->watch) {
        series_begin(&run->result->series);
        run->watch = watch_begin(run->request->label);
    }
    run->begin_ns = player_now();
    bool complete = play_events(run);
    uint64_t ns = player_now() - run->begin_ns - run->aside_ns;
    if (run->crew)
        crew_end(run->crew);
    run->crew = NULL;
    run->result->wall_seconds = (double)(ns - run->player->aside_ns / cpus) / 1e9;
    if (complete)
        ask_at_end(run);
    if (complete && run->request->verify) {
        enum play end = check(run);
        if (end == PLAY_ON)
            run->result->verified = true;
        else
            ended(run, end);
    }
    if (run->result->end == RUN_COMPLETE)
        write_state(run);
    collect(run);
}

void run_trace(const struct run_request *request, struct run_result *result) {
    struct vm_machine_config config = {
        .frames = request->frames,
        .contents = request->contents,
        .cpus = crew_machine_cpus(request->cpus, request->nodes),
        .nodes = request->nodes,
        .swappiness = request->swappiness,
        .low_frames = request->low_frames,
        .lock_stats = request->lock_stats,
        .design = request->design,
        .file_index = request->file_index,
        .fork_copy = request->fork_copy,
        .chain_lock = request->chain_lock,
        .nonlinear = request->nonlinear,
        .swap_pages = request->swap_pages,
        .fault_around = request->fault_around,
        .swap_readahead = request->swap_readahead,
    };
    *result = (struct run_result){ .end = RUN_COMPLETE };
    struct run run = { .request = request, .result = result };
    run.reader = request->workload ? workload_open(request->workload) : trace_open(request->trace);
    if (!run.reader) {
        result->end = RUN_INVALID;
        return;
    }
    run.player = player_create(&config, trace_file_name(run.reader));
    if (run.player) {
        vm_cache_each(run.player->world->machine, note_before, result);
        play(&run);
    } else {
        result->end = RUN_FAILED;
    }
    player_destroy(run.player);
    trace_close(run.reader);
}

/* ---------------------------------------------------------------- sizes */

bool run_needs_peak(const struct settings *settings) {
    return settings->memory_unit == MEMORY_PERCENT;
}

static bool can_be_read_twice(const struct settings *settings) {
    const char *path = settings->trace;
    struct stat status;
    if (settings->workload.workload)
        return true;
    if (strcmp(path, "-") == 0)
        return false;
    return stat(path, &status) != 0 || S_ISREG(status.st_mode) || S_ISDIR(status.st_mode);
}

static const struct workload_plan *workload_of(const struct settings *settings) {
    return settings->workload.workload ? &settings->workload : NULL;
}

struct run_request run_request_ample(const struct settings *settings) {
    return (struct run_request){
        .trace = settings->trace,
        .workload = workload_of(settings),
        .file_index = settings->file_index,
        .fork_copy = settings->fork_copy,
        .fault_around = settings->fault_around,
        .swap_readahead = settings->swap_readahead,
        .frames = AMPLE_FRAMES,
        .contents = VM_METADATA_ONLY,
        .cpus = 1,
    };
}

bool run_measure(const struct settings *settings, struct peak *peak, int *code) {
    if (!can_be_read_twice(settings)) {
        complain("a trace that comes through a pipe cannot be measured first, and --memory is a "
                 "share of its peak: give --memory SIZE, or put the trace into a file");
        *code = EXIT_USAGE;
        return false;
    }
    struct run_request request = run_request_ample(settings);
    request.label = "measuring the peak";
    struct run_result *result = malloc(sizeof(*result));
    if (!result)
        return false;
    run_trace(&request, result);
    *code = run_exit_code(result->end);
    *peak = (struct peak){
        .pages = result->stats.memory.frames_peak,
        .data_pages = result->stats.memory.data_peak,
        .table_pages = result->stats.memory.tables_peak,
        .locked_pages = result->stats.memory.locked_peak,
    };
    bool complete = result->end == RUN_COMPLETE;
    if (!complete)
        run_complain(result);
    free(result);
    return complete;
}

void run_complain(const struct run_result *result) {
    /* Without a text somebody has complained already. One that begins with file:line stays as it
     * is, so that editors find the place. */
    if (!result->failure[0])
        return;
    if (result->end == RUN_FAILED)
        complain("%s", result->failure);
    else
        fprintf(stderr, "%s\n", result->failure);
}

void run_size(const struct settings *settings, const struct peak *peak, uint64_t *frames,
              uint64_t *swap_pages) {
    uint64_t data = 0;
    if (settings->memory_unit == MEMORY_BYTES) {
        *frames = (uint64_t)settings->memory >> VM_PAGE_SHIFT;
    } else {
        uint64_t evictable =
            peak->data_pages > peak->locked_pages ? peak->data_pages - peak->locked_pages : 0;
        *frames = peak->table_pages + peak->locked_pages +
                  (uint64_t)ceil((double)evictable * settings->memory / 100);
    }
    if (*frames < LEAST_FRAMES)
        *frames = LEAST_FRAMES;
    data = peak ? peak->data_pages : *frames;
    *swap_pages = settings->swap_given ? settings->swap_bytes >> VM_PAGE_SHIFT
                                       : data * DEFAULT_SWAP_FACTOR + LEAST_SWAP_PAGES;
}

struct run_request run_request_for(const struct settings *settings, const struct peak *peak,
                                   const char *design) {
    struct run_request request = {
        .trace = settings->trace,
        .workload = workload_of(settings),
        .ask_at_end = settings->ask,
        .design = design,
        .file_index = settings->file_index,
        .fork_copy = settings->fork_copy,
        .chain_lock = settings->chain_lock,
        .nonlinear = settings->nonlinear,
        .fault_around = settings->fault_around,
        .swap_readahead = settings->swap_readahead,
        .cpus = settings->cpus,
        .nodes = settings->nodes,
        .swappiness = settings->swappiness,
        .low_frames = settings->low_bytes >> VM_PAGE_SHIFT,
        .lock_stats = settings->lock_stats,
        .verify_every = settings->verify_every,
        .label = design,
    };
    run_size(settings, peak, &request.frames, &request.swap_pages);
    return request;
}
