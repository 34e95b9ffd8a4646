/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * player.h - who lives through a trace: each event becomes a call of the machine in its world.
 *
 *   world.c     the machine, its processes and objects
 *   player.c    an event becomes a call
 *   touch.c     touches: with contents each is compared with the model
 *   check.c     everything at once: the oracle, and all contents against the model
 *   crew.c      several players at once, one for each CPU
 *
 * In a world that keeps contents a model is told of every call and knows what every page must show.
 * A machine that keeps none is judged by the oracle alone.
 *
 * Calls that the machine refuses, as Linux would, are counted and the trace goes on; so do touches
 * that end in SIGSEGV or SIGBUS. Only lack of memory, and a machine that is wrong, end a replay.
 *
 * Time is taken around each call, and around runs of touches that follow each other: one touch
 * is too short to be timed by itself.
 */
#ifndef OBJRMAP_LAB_REPLAY_PLAYER_H
#define OBJRMAP_LAB_REPLAY_PLAYER_H

#include "replay/world.h"

enum play {
    PLAY_ON,
    PLAY_OUT_OF_MEMORY,
    PLAY_DIFFERENT, /* the machine is not what the oracle or the model says */
};

enum op {
    OP_MMAP,
    OP_MUNMAP,
    OP_MPROTECT,
    OP_MREMAP,
    OP_REMAP_FILE_PAGES,
    OP_MADVISE,
    OP_MLOCK,
    OP_MUNLOCK,
    OP_MSYNC,
    OP_TRUNCATE,
    OP_FORK,
    OP_EXEC,
    OP_EXIT,
    OP_TOUCH, /* count: runs as they stand in the trace */
    OPS
};

struct op_count {
    uint64_t count, ns;
    uint64_t refused, refused_line; /* the first one's line */
    int refusal;                    /* ... and its result */
};

struct player_touch {
    uint64_t address, pages, line;
    uint64_t version; /* of the first page's write */
    uint32_t process;
    enum vm_access access;
};

enum { PLAYER_TOUCHES = 256 };

struct player {
    struct world *world;

    /* What one of a crew can ask for; all NULL for a player that is alone. */
    struct lane *lane;
    void (*take_turn)(struct player *player); /* see player_take_turn() */
    bool (*take_all)(struct player *player);  /* see player_try_again() */

    unsigned waiting; /* touches that are to be played together */
    struct player_touch touches[PLAYER_TOUCHES];
    uint64_t touches_begun; /* when; 0: no run of touches is under way */

    struct op_count ops[OPS];
    uint64_t pages_touched, segv, bus;
    int touch_result; /* of the latest page */
    uint64_t checks;
    uint64_t lives;         /* what the processes that have ended saw: state_of_process() */
    uint64_t aside_ns;      /* spent on looking at them */
    uint64_t waited_ns;     /* for others: part of no call's time */
    uint64_t waited_before; /* ... when the run of touches began */
    char failure[600];      /* why play ended */
};

/* The first player of a new world; see world_create(). NULL after a complaint. */
struct player *player_create(const struct vm_machine_config *config, const char *trace_name);

/* With its world. */
void player_destroy(struct player *player);

/* Plays the event, perhaps later: touches are gathered. Anything but PLAY_ON: player->failure. */
enum play player_event(struct player *player, const struct trace_event *event);

/* Plays what was gathered. */
enum play player_flush(struct player *player);

/* The touch of an event; writes get versions from this one on. */
struct player_touch player_touch_of(const struct trace_event *event, uint64_t version);

/* Plays a touch at once, as one of a run that player_touches_end() ends. */
enum play player_touch(struct player *player, const struct player_touch *touch);
void player_touches_end(struct player *player);

/* Returns when all that comes before the event under way in the trace has been played. Whatever later
 * events depend on it take their own turns, and so come after it. */
void player_take_turn(struct player *player);

/* Whether an event that ended in VM_OOM is worth a second try: once, when all others stand still. */
bool player_try_again(struct player *player, int result);

/* Adds what another player has counted. */
void player_add(struct player *player, const struct player *other);

/* Everything against oracle and model. => flushed */
enum play player_check(struct player *player, uint64_t line);

/* One process against the model. => flushed; with contents */
enum play player_check_process(struct player *player, uint32_t process, uint64_t line);

const char *op_name(enum op op);

/* ---------------------------------------------------------------- between these files */

uint64_t player_now(void);

enum play player_out_of_memory(struct player *player, uint32_t process, uint64_t line,
                               const char *doing);
enum play player_different(struct player *player, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

enum play touch_pages(struct player *player, const struct player_touch *touch);

/* Compares what the machine shows at the page with the model, without disturbing the machine. */
enum play check_page(struct player *player, uint32_t process, uint64_t address, uint64_t line);

#endif
