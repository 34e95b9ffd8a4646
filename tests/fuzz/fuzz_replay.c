/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_replay.c - any bytes, as a trace, through reader, machine and model.
 *
 * The machine is as small as one can be, so that reclaim takes part, and is checked all the time.
 * What must not happen: a crash, a leak, a page that shows something else than the model says, a reverse
 * map that differs from the oracle, a record that is left after the last exit. What may: an invalid
 * trace, and running out of memory.
 */
#include "replay/player.h"
#include "trace/reader.h"

#include <objrmap/rmap.h>
#include <objrmap/stats.h>

#include <stdio.h>
#include <stdlib.h>

enum { FRAMES = 96, SWAP_PAGES = 64, CHECK_EVERY = 8, TOUCHED_MOST = 4096, EVENTS_MOST = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void stop(const char *what, const char *failure) {
    fprintf(stderr, "%s: %s\n", what, failure);
    abort();
}

/* Runs that would take minutes and find nothing are cut short. */
static void bound(struct trace_event *event) {
    if ((event->kind == EVENT_READ || event->kind == EVENT_WRITE) &&
        event->touch.pages > TOUCHED_MOST)
        event->touch.pages = TOUCHED_MOST;
}

static void must_be_right(struct player *player, enum play play, const char *design) {
    if (play == PLAY_DIFFERENT)
        stop(design, player->failure);
}

static enum play play_all(struct player *player, struct trace_reader *reader, const char *design) {
    struct trace_event event;
    enum play play = PLAY_ON;
    while (play == PLAY_ON && trace_events(reader) < EVENTS_MOST &&
           trace_next(reader, &event) == TRACE_EVENT) {
        bound(&event);
        play = player_event(player, &event);
        if (play == PLAY_ON && trace_events(reader) % CHECK_EVERY == 0)
            play = player_flush(player);
        if (play == PLAY_ON && trace_events(reader) % CHECK_EVERY == 0)
            play = player_check(player, event.line);
    }
    if (play == PLAY_ON)
        play = player_flush(player);
    if (play == PLAY_ON)
        play = player_check(player, 0);
    must_be_right(player, play, design);
    return play;
}

static void expect_empty(const struct vm_machine *machine, const char *design) {
    struct vm_stats stats;
    vm_stats_read(machine, &stats);
    if (stats.memory.spaces || stats.memory.areas || stats.memory.tables ||
        stats.memory.anonymous || stats.memory.file || stats.memory.shm || stats.memory.swap_used)
        stop(design, "something is left after the last exit");
}

static void replay(const char *design, const uint8_t *data, size_t bytes) {
    struct vm_machine_config config = {
        .frames = FRAMES,
        .swap_pages = SWAP_PAGES,
        .contents = VM_CONTENTS_KEPT,
        .design = design,
        .fork_copy = bytes % 2 ? VM_FORK_EAGER : VM_FORK_LAZY,
    };
    struct trace_reader *reader = trace_open_memory("input", data, bytes);
    struct player *player = player_create(&config, "input");
    if (!reader || !player)
        abort();
    play_all(player, reader, design);
    world_clear(player->world);
    expect_empty(player->world->machine, design);
    player_destroy(player);
    trace_close(reader);
}

struct input {
    const uint8_t *data;
    size_t bytes;
};

static void replay_design(const struct vm_design_info *design, void *context) {
    const struct input *input = context;
    replay(design->name, input->data, input->bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    struct input input = { data, bytes };
    vm_design_each(replay_design, &input);
    return 0;
}
