/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crew.c - see crew.h. The owner's side hands events to lanes and remembers, for each process, whose
 * it is and which event of another lane it has to come after; the threads' side plays what its lane
 * brings, and waits for other lanes where an event asks for it.
 */
#include "replay/crew.h"

#include "command.h"
#include "memory.h"
#include "replay/lane.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a process index, for the owner. */
struct membership {
    struct lane *lane;
    struct lane *born, *gone;          /* NULL: nobody has to wait for its beginning, for its end */
    uint64_t born_number, gone_number; /* those events */
};

struct crew {
    struct world *world;
    struct lane *lanes; /* the first one's player is the world's first */
    unsigned cpus;
    crew_play *play;
    void *context;

    uint64_t handed_out; /* events */
    struct membership *members;
    size_t member_room;

    struct posix_reclaim *reclaim; /* NULL: there are no such threads */
    bool still;                    /* the owner has paused them */

    _Atomic uint64_t failed; /* the lowest number that has failed; UINT64_MAX: none */
    _Atomic(const struct lane *)
        alone; /* this lane plays, and the others must not begin an event */
};

/* ---------------------------------------------------------------- the threads: who may play */

/* Either this lane sees that another one wants to be alone, or that one sees this lane play. */
static void start_playing(struct lane *lane) {
    struct crew *crew = lane->crew;
    for (;;) {
        atomic_store(&lane->playing, true);
        const struct lane *alone = atomic_load(&crew->alone);
        if (!alone || alone == lane)
            return;
        atomic_store(&lane->playing, false);
        for (unsigned turns = 0; atomic_load(&crew->alone);)
            lane_pause(&turns);
    }
}

static void stop_playing(struct lane *lane) {
    struct crew *crew = lane->crew;
    if (atomic_load_explicit(&crew->alone, memory_order_relaxed) == lane) {
        if (crew->reclaim)
            posix_reclaim_resume(crew->reclaim);
        atomic_store(&crew->alone, NULL);
    }
    atomic_store_explicit(&lane->playing, false, memory_order_release);
}

static bool others_have_passed(const struct lane *lane) {
    const struct crew *crew = lane->crew;
    for (unsigned i = 0; i < crew->cpus; i++)
        if (&crew->lanes[i] != lane && !lane_has_passed(&crew->lanes[i], lane->number))
            return false;
    return true;
}

static void take_turn(struct player *player) {
    struct lane *lane = player->lane;
    if (lane->has_turn)
        return;
    lane->has_turn = true;
    if (others_have_passed(lane))
        return;
    uint64_t begin = player_now();
    atomic_store(&lane->playing, false);
    for (unsigned i = 0; i < lane->crew->cpus; i++)
        if (&lane->crew->lanes[i] != lane)
            lane_wait_passed(&lane->crew->lanes[i], lane->number);
    start_playing(lane);
    player->waited_ns += player_now() - begin;
}

/* Only one event has its turn, so only one lane can come so far. */
static bool take_all(struct player *player) {
    struct lane *lane = player->lane;
    struct crew *crew = lane->crew;
    if (atomic_load_explicit(&crew->alone, memory_order_relaxed) == lane)
        return false;
    take_turn(player);
    uint64_t begin = player_now();
    atomic_store(&crew->alone, lane);
    for (unsigned i = 0; i < crew->cpus; i++)
        for (unsigned turns = 0; &crew->lanes[i] != lane && atomic_load(&crew->lanes[i].playing);)
            lane_pause(&turns);
    if (crew->reclaim)
        posix_reclaim_pause(crew->reclaim);
    player->waited_ns += player_now() - begin;
    return true;
}

/* ---------------------------------------------------------------- the threads: playing */

static void note_failure(struct lane *lane, enum play play) {
    uint64_t failed = atomic_load(&lane->crew->failed);
    lane->play = play;
    lane->failed = lane->number;
    while (lane->number < failed &&
           !atomic_compare_exchange_weak(&lane->crew->failed, &failed, lane->number)) {
    }
}

static void play_item(struct lane *lane, const struct lane_item *item) {
    struct player *player = lane->player;
    enum play play;
    lane->number = item->number;
    lane->has_turn = false;
    start_playing(lane);
    if (item->event.kind == EVENT_READ || item->event.kind == EVENT_WRITE) {
        struct player_touch touch = player_touch_of(&item->event, item->version);
        play = player_touch(player, &touch);
    } else {
        player_touches_end(player);
        play = lane->crew->play(player, &item->event, lane->crew->context);
    }
    stop_playing(lane);
    if (play != PLAY_ON)
        note_failure(lane, play);
}

/* Names are kept for as long as their event waits. */
static void free_name(const struct lane_item *item) {
    if (item->event.kind == EVENT_PROCESS || item->event.kind == EVENT_EXEC)
        free((void *)(uintptr_t)item->event.program.name);
}

static void finish_item(struct lane *lane, const struct lane_item *item) {
    atomic_store_explicit(&lane->reached, item->number, memory_order_release);
    if (item->past) {
        lane_wait_passed(item->past, item->until);
        return;
    }
    if (item->number < atomic_load(&lane->crew->failed))
        play_item(lane, item);
    free_name(item);
    atomic_store_explicit(&lane->reached, item->number + 1, memory_order_release);
}

static void *run_lane(void *context) {
    struct lane *lane = context;
    posix_cpu_set(lane->cpu);
    for (;;) {
        const struct lane_item *item = lane_front(lane);
        if (!item)
            item = lane_wait_front(lane);
        if (!item)
            return NULL;
        finish_item(lane, item);
        if (lane_load(lane) == 1)
            player_touches_end(lane->player); /* once the queue is empty, the owner may play */
        lane_take(lane);
    }
}

/* ---------------------------------------------------------------- the owner: handing out */

static struct membership *member(struct crew *crew, uint32_t process) {
    crew->members =
        grow_array(crew->members, &crew->member_room, (size_t)process + 1, sizeof(*crew->members));
    return &crew->members[process];
}

/* What the lane is given from now on comes after the event of that number. */
static void come_after(struct crew *crew, struct lane *lane, const struct lane *past,
                       uint64_t number) {
    if (!past || past == lane || lane->past[past->cpu] > number)
        return;
    struct lane_item *item = lane_place(lane);
    *item = (struct lane_item){ .number = crew->handed_out, .past = past, .until = number + 1 };
    lane_put(lane);
    lane->past[past->cpu] = number + 1;
}

/* Who has least to do gets the next process. */
static struct lane *choose_lane(struct crew *crew) {
    struct lane *best = NULL;
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < crew->cpus; i++) {
        struct lane *lane = &crew->lanes[i];
        uint64_t load = lane_load(lane);
        if (!best || load < least || (load == least && lane->processes < best->processes)) {
            best = lane;
            least = load;
        }
    }
    return best;
}

/* The index may have been another process's before: of any lane. */
static void begin_member(struct crew *crew, struct lane *maker, uint32_t process,
                         struct lane *lane) {
    struct membership *new = member(crew, process);
    come_after(crew, maker, new->gone, new->gone_number);
    *new = (struct membership){ .lane = lane, .born = maker, .born_number = crew->handed_out };
    lane->processes++;
}

static void end_member(struct crew *crew, uint32_t process) {
    struct membership *old = member(crew, process);
    old->lane->processes--;
    old->gone = old->lane;
    old->gone_number = crew->handed_out;
}

static struct lane *lane_for(struct crew *crew, const struct trace_event *event) {
    if (event->kind == EVENT_PROCESS) {
        struct lane *lane = choose_lane(crew);
        begin_member(crew, lane, event->process, lane);
        return lane;
    }
    struct membership *member_of = member(crew, event->process);
    struct lane *lane = member_of->lane;
    come_after(crew, lane, member_of->born, member_of->born_number);
    member_of->born = NULL;
    if (event->kind == EVENT_FORK)
        begin_member(crew, lane, event->child.process, choose_lane(crew));
    else if (event->kind == EVENT_EXIT)
        end_member(crew, event->process);
    return lane;
}

static void go_on(struct crew *crew) {
    if (crew->still && crew->reclaim)
        posix_reclaim_resume(crew->reclaim);
    crew->still = false;
}

static void hand_out(struct crew *crew, const struct trace_event *event) {
    go_on(crew);
    struct lane *lane = lane_for(crew, event);
    struct lane_item *item = lane_place(lane);
    *item = (struct lane_item){ .number = crew->handed_out++, .event = *event };
    if (event->kind == EVENT_WRITE)
        item->version = world_take_versions(crew->world, event->touch.pages);
    else if (event->kind == EVENT_PROCESS || event->kind == EVENT_EXEC)
        item->event.program.name = new_text(event->program.name);
    lane_put(lane);
}

/* ---------------------------------------------------------------- the owner: playing alone */

static bool is_for_all(const struct trace_event *event) {
    return event->kind == EVENT_OBJECT || event->kind == EVENT_RESIZE ||
           (event->kind == EVENT_ADVISE && event->advise.advice == VM_MADV_FREE);
}

static enum play play_alone(struct crew *crew, const struct trace_event *event) {
    struct lane *first = &crew->lanes[0];
    enum play play = crew_wait(crew);
    if (play != PLAY_ON)
        return play;
    first->number = crew->handed_out++;
    first->has_turn = true;
    play = crew->play(first->player, event, crew->context);
    stop_playing(first);
    return play;
}

enum play crew_event(struct crew *crew, const struct trace_event *event) {
    if (event->kind == EVENT_TIME || event->kind == EVENT_CPU || event->kind == EVENT_NOTE)
        return PLAY_ON;
    if (atomic_load_explicit(&crew->failed, memory_order_relaxed) != UINT64_MAX)
        return crew_wait(crew);
    if (is_for_all(event))
        return play_alone(crew, event);
    if (!world_has_room(crew->world, event)) {
        enum play play = crew_wait(crew);
        if (play != PLAY_ON)
            return play;
        world_make_room(crew->world, event);
    }
    if (event->kind == EVENT_MAP && event->map.shared && event->object != TRACE_ANONYMOUS &&
        crew->world->model)
        model_object_share(crew->world->model, event->object);
    hand_out(crew, event);
    return PLAY_ON;
}

/* ---------------------------------------------------------------- the owner: beginning and end */

static void stand_still(struct crew *crew) {
    if (!crew->still && crew->reclaim)
        posix_reclaim_pause(crew->reclaim);
    crew->still = true;
}

enum play crew_wait(struct crew *crew) {
    const struct lane *failed = NULL;
    for (unsigned i = 0; i < crew->cpus; i++) {
        const struct lane *lane = &crew->lanes[i];
        lane_wait_empty(lane);
        if (lane->play != PLAY_ON && (!failed || lane->failed < failed->failed))
            failed = lane;
    }
    stand_still(crew);
    if (!failed)
        return PLAY_ON;
    struct player *first = crew->lanes[0].player;
    if (failed->player != first)
        memcpy(first->failure, failed->player->failure, sizeof(first->failure));
    return failed->play;
}

static void no_thread(const char *whose, unsigned number, int error) {
    complain("cannot start a thread for %s %u: %s; try a smaller --cpus", whose, number,
             strerror(error));
    exit(EXIT_FOUND);
}

unsigned crew_machine_cpus(unsigned cpus, unsigned nodes) {
    nodes = nodes ? nodes : 1;
    return cpus > 1 && cpus + nodes <= CREW_CPUS_MAX ? cpus + nodes : cpus;
}

static void begin_reclaim(struct crew *crew, unsigned nodes) {
    struct world *world = crew->world;
    if (crew_machine_cpus(crew->cpus, nodes) == crew->cpus)
        return;
    nodes = nodes ? nodes : 1;
    crew->reclaim = posix_reclaim_start(&world->port, world->machine, nodes, crew->cpus);
    if (!crew->reclaim)
        no_thread("node", nodes - 1, EAGAIN);
}

struct crew *crew_begin(struct player *first, unsigned cpus, unsigned nodes, crew_play *play,
                        void *context) {
    struct crew *crew = new_array(1, sizeof(*crew));
    crew->world = first->world;
    crew->lanes = new_array(cpus, sizeof(*crew->lanes));
    crew->play = play;
    crew->context = context;
    crew->failed = UINT64_MAX;
    for (; crew->cpus < cpus; crew->cpus++) {
        struct lane *lane = &crew->lanes[crew->cpus];
        lane_init(lane, crew->cpus, cpus);
        lane->crew = crew;
        lane->player = first;
        if (crew->cpus) {
            lane->player = new_array(1, sizeof(*lane->player));
            lane->player->world = first->world;
        }
        lane->player->lane = lane;
        lane->player->take_turn = take_turn;
        lane->player->take_all = take_all;
    }
    begin_reclaim(crew, nodes);
    for (unsigned i = 0; i < cpus; i++) {
        int error = pthread_create(&crew->lanes[i].thread, NULL, run_lane, &crew->lanes[i]);
        if (error)
            no_thread("CPU", i, error);
    }
    return crew;
}

void crew_end(struct crew *crew) {
    struct player *first = crew->lanes[0].player;
    for (unsigned i = 0; i < crew->cpus; i++) {
        struct lane *lane = &crew->lanes[i];
        lane_stop(lane);
        pthread_join(lane->thread, NULL);
        if (lane->player != first) {
            player_add(first, lane->player);
            free(lane->player);
        }
        lane_free(lane);
    }
    if (crew->reclaim)
        posix_reclaim_stop(crew->reclaim);
    first->lane = NULL;
    first->take_turn = NULL;
    first->take_all = NULL;
    free(crew->members);
    free(crew->lanes);
    free(crew);
}
