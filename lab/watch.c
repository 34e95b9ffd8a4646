/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * watch.c - see watch.h. From top to bottom: how far the run is; a bar of all memory; a line for each
 * kind of memory and each rate with its history to the right; the largest processes.
 */
#include "watch.h"

#include "canvas.h"
#include "memory.h"
#include "replay/player.h"
#include "terminal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define INTERVAL_NS UINT64_C(100000000)

/* Clocks are not read at each event; looking at processes may take one part in so many. */
enum { STEPS = 16, PROCESSES_SHARE = 20, HISTORY = 512, NAME_WIDTH = 12 };

enum kind { KIND_ANONYMOUS, KIND_FILE, KIND_SHM, KIND_TABLES, KIND_FREE, KIND_SWAP, KINDS };
enum rate { RATE_FAULTS, RATE_SCANNED, RATE_FREED, RATE_SWAPPED_OUT, RATE_SWAPPED_IN, RATES };

static const struct {
    const char *name;
    char letter; /* in the bar, where colours do not tell */
    enum colour colour;
} kinds[KINDS] = {
    [KIND_ANONYMOUS] = { "anonymous", 'a', COLOUR_GREEN },
    [KIND_FILE] = { "file", 'f', COLOUR_BLUE },
    [KIND_SHM] = { "shm", 's', COLOUR_CYAN },
    [KIND_TABLES] = { "page tables", 't', COLOUR_YELLOW },
    [KIND_FREE] = { "free", '.', COLOUR_GREY },
    [KIND_SWAP] = { "in swap", ' ', COLOUR_MAGENTA },
};

static const char *const rates[RATES] = { "faults", "scanned", "freed", "to swap", "from swap" };

struct history {
    double values[HISTORY]; /* a ring */
    uint64_t count;
};

struct watch {
    const char *title;
    unsigned steps;
    uint64_t due_ns, processes_due_ns;
    struct sample latest; /* drawn */
    double part;
    double rate[RATES];
    struct history kind_history[KINDS], rate_history[RATES];
    struct largest largest;
    struct canvas canvas;
};

/* ---------------------------------------------------------------- what is drawn */

static uint64_t pages_of(const struct sample *sample, enum kind kind) {
    const uint64_t pages[KINDS] = { sample->anonymous, sample->file, sample->shm,
                                    sample->tables,    sample->free, sample->swap };
    return pages[kind];
}

static uint64_t count_of(const struct sample *sample, enum rate rate) {
    const uint64_t counts[RATES] = { sample->faults, sample->scanned, sample->freed,
                                     sample->swapped_out, sample->swapped_in };
    return counts[rate];
}

static void remember(struct history *history, double value) {
    history->values[history->count++ % HISTORY] = value;
}

/* Counts of several CPUs are read one after the other, but none goes down. */
static void take_sample(struct watch *watch, const struct sample *sample) {
    double seconds = sample->seconds - watch->latest.seconds;
    for (int rate = 0; rate < RATES; rate++) {
        uint64_t more =
            count_of(sample, (enum rate)rate) - count_of(&watch->latest, (enum rate)rate);
        watch->rate[rate] = seconds > 0 ? (double)more / seconds : 0;
        remember(&watch->rate_history[rate], watch->rate[rate]);
    }
    for (int kind = 0; kind < KINDS; kind++)
        remember(&watch->kind_history[kind], (double)pages_of(sample, (enum kind)kind));
    watch->latest = *sample;
}

/* ---------------------------------------------------------------- numbers */

struct number {
    char text[16];
};

static struct number scaled(double value, double step, const char *const *units) {
    struct number number;
    int unit = 0;
    while (value >= step && units[unit + 1]) {
        value /= step;
        unit++;
    }
    snprintf(number.text, sizeof(number.text), "%.*f%s", unit && value < 100 ? 1 : 0, value,
             units[unit]);
    return number;
}

static struct number size_text(uint64_t pages) {
    static const char *const units[] = { " KiB", " MiB", " GiB", " TiB", NULL };
    return scaled((double)pages * VM_PAGE_SIZE / 1024, 1024, units);
}

static struct number count_text(double count) {
    static const char *const units[] = { "", "k", "M", "G", "T", NULL };
    return scaled(count, 1000, units);
}

/* ---------------------------------------------------------------- the picture */

static void draw_title(struct watch *watch) {
    struct canvas *canvas = &watch->canvas;
    const struct sample *now = &watch->latest;
    canvas_print(canvas, "%s: %s events", watch->title, count_text((double)now->events).text);
    if (watch->part >= 0)
        canvas_print(canvas, ", %.0f%%", watch->part * 100);
    canvas_print(canvas, ", %.1f s", now->seconds);
    if (now->seconds > 0)
        canvas_print(canvas, ", %s events a second",
                     count_text((double)now->events / now->seconds).text);
    canvas_end_line(canvas);
}

/* All memory, so many columns wide. Rounding is of sums: the parts' widths add up. */
static void draw_bar(struct watch *watch) {
    struct canvas *canvas = &watch->canvas;
    uint64_t frames = watch->latest.frames, sum = 0;
    unsigned drawn = 0, columns = canvas_left(canvas);
    for (int kind = 0; kind <= KIND_FREE; kind++) {
        sum += pages_of(&watch->latest, (enum kind)kind);
        canvas_colour(canvas, kinds[kind].colour);
        for (; drawn < columns && (2 * drawn + 1) * frames < 2 * columns * sum; drawn++)
            canvas_block(canvas, kinds[kind].letter);
    }
    canvas_colour(canvas, COLOUR_PLAIN);
    canvas_end_line(canvas);
}

/* The latest values, in what is left of the line, the newest to the right. */
static void draw_history(struct canvas *canvas, const struct history *history, double most) {
    unsigned columns = canvas_left(canvas);
    uint64_t shown = history->count < HISTORY ? history->count : HISTORY;
    shown = shown < columns ? shown : columns;
    if (most <= 0)
        for (uint64_t i = history->count - shown; i < history->count; i++)
            most = history->values[i % HISTORY] > most ? history->values[i % HISTORY] : most;
    for (uint64_t i = history->count - shown; i < history->count; i++)
        canvas_level(canvas, most > 0 ? history->values[i % HISTORY] / most : 0);
    canvas_end_line(canvas);
}

static void draw_kinds(struct watch *watch) {
    struct canvas *canvas = &watch->canvas;
    double frames = (double)watch->latest.frames;
    for (int kind = 0; kind < KINDS; kind++) {
        uint64_t pages = pages_of(&watch->latest, (enum kind)kind);
        canvas_colour(canvas, kinds[kind].colour);
        canvas_block(canvas, kinds[kind].letter);
        canvas_colour(canvas, COLOUR_PLAIN);
        canvas_print(canvas, " %-*s%9s", NAME_WIDTH, kinds[kind].name, size_text(pages).text);
        if (kind == KIND_SWAP)
            canvas_print(canvas, "      ");
        else
            canvas_print(canvas, "%4.0f%% ", (double)pages * 100 / frames);
        canvas_colour(canvas, kinds[kind].colour);
        draw_history(canvas, &watch->kind_history[kind], kind == KIND_SWAP ? 0 : frames);
        canvas_colour(canvas, COLOUR_PLAIN);
    }
}

static void draw_rates(struct watch *watch) {
    struct canvas *canvas = &watch->canvas;
    for (int rate = 0; rate < RATES; rate++) {
        double count = (double)count_of(&watch->latest, (enum rate)rate);
        canvas_print(canvas, "%-*s%7s/s %7s ", NAME_WIDTH, rates[rate],
                     count_text(watch->rate[rate]).text, count_text(count).text);
        draw_history(canvas, &watch->rate_history[rate], 0);
    }
}

static void draw_processes(struct watch *watch) {
    struct canvas *canvas = &watch->canvas;
    for (unsigned i = 0; i < watch->largest.count; i++) {
        const struct large_process *process = &watch->largest.process[i];
        canvas_print(canvas, "%7" PRIu32 " %-15.15s%9s ", process->pid, process->name,
                     size_text(process->pages).text);
        unsigned columns = canvas_left(canvas);
        for (unsigned at = 0; at < columns && at * watch->latest.frames < process->pages * columns;
             at++)
            canvas_block(canvas, '=');
        canvas_end_line(canvas);
    }
}

static void draw_picture(struct watch *watch) {
    draw_title(watch);
    draw_bar(watch);
    draw_kinds(watch);
    draw_rates(watch);
    draw_processes(watch);
}

/* ---------------------------------------------------------------- a run */

struct watch *watch_begin(const char *title) {
    if (!terminal_draws())
        return NULL;
    struct watch *watch = new_array(1, sizeof(*watch));
    watch->title = title;
    watch->part = -1;
    watch->canvas.coloured = terminal_has_colours();
    watch->canvas.unicode = terminal_has_unicode();
    terminal_take();
    return watch;
}

bool watch_is_due(struct watch *watch) {
    return ++watch->steps % STEPS == 0 && player_now() >= watch->due_ns;
}

bool watch_wants_processes(const struct watch *watch) {
    return player_now() >= watch->processes_due_ns;
}

void watch_take_processes(struct watch *watch, const struct world *world) {
    uint64_t begin = player_now();
    largest_find(&watch->largest, world);
    uint64_t end = player_now();
    watch->processes_due_ns = end + PROCESSES_SHARE * (end - begin);
}

void watch_draw(struct watch *watch, const struct sample *sample, double part) {
    static const char top[] = "\033[H", rest[] = "\033[J";
    unsigned rows, columns;
    take_sample(watch, sample);
    watch->part = part;
    terminal_size(&rows, &columns);
    canvas_begin(&watch->canvas, rows, columns);
    canvas_control(&watch->canvas, top);
    draw_picture(watch);
    canvas_control(&watch->canvas, rest);
    canvas_write(&watch->canvas, STDERR_FILENO);
    watch->due_ns = player_now() + INTERVAL_NS;
}

/* On the terminal's first screen, which scrolls: there is always a next line. */
void watch_end(struct watch *watch, const struct sample *sample) {
    unsigned rows, columns;
    if (!watch)
        return;
    terminal_give_back();
    take_sample(watch, sample);
    watch->part = -1;
    terminal_size(&rows, &columns);
    canvas_begin(&watch->canvas, UINT32_MAX, columns);
    draw_picture(watch);
    canvas_write(&watch->canvas, STDERR_FILENO);
    canvas_free(&watch->canvas);
    free(watch);
}
