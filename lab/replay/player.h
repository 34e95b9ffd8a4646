/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * player.h - a machine that lives through a trace.
 *
 *   player.c    the machine, its processes and objects; each event becomes a call
 *   touch.c     touches: with contents each is compared with the model
 *   check.c     everything at once: the oracle, and all contents against the model
 *
 * A player that keeps contents has a model at its side, which is told of every call and knows what
 * every page must show. A machine that keeps none is judged by the oracle alone.
 *
 * Calls that the machine refuses, as Linux would, are counted and the trace goes on; so do touches
 * that end in SIGSEGV or SIGBUS. Only lack of memory, and a machine that is wrong, end a replay.
 *
 * Time is taken around each call, and around runs of touches that follow each other: one touch
 * is too short to be timed by itself.
 */
#ifndef OBJRMAP_LAB_REPLAY_PLAYER_H
#define OBJRMAP_LAB_REPLAY_PLAYER_H

#include "model/model.h"
#include "trace/event.h"

#include <objrmap/posix.h>
#include <objrmap/vm.h>

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

struct player_process {
    struct vm_space *space; /* NULL: there is no process of this index */
    uint32_t pid;
    bool locks; /* has called mlock */
    char *name;
};

struct player_object {
    struct vm_object *object;
    struct store *store; /* NULL: shared memory */
    uint32_t id;
};

/* Touches that wait to be played together. */
struct player_touch {
    uint64_t address, pages, line;
    uint32_t process;
    enum vm_access access;
};

enum { PLAYER_TOUCHES = 256 };

struct player {
    struct posix_port port;
    struct vm_machine *machine;
    struct store *swap;
    struct model *model; /* NULL: no contents */
    const char *trace_name;

    struct player_process *processes;
    size_t process_room;
    struct player_object *objects;
    size_t object_room;

    unsigned waiting;
    struct player_touch touches[PLAYER_TOUCHES];

    uint64_t version; /* of the latest write */
    struct op_count ops[OPS];
    uint64_t pages_touched, segv, bus;
    uint64_t checks;
    char failure[600]; /* why play ended */
};

/* `config` without port and swap, which are the player's. NULL after a complaint. */
struct player *player_create(const struct vm_machine_config *config, const char *trace_name);

/* Plays the event, perhaps later: touches are gathered. Anything but PLAY_ON: player->failure. */
enum play player_event(struct player *player, const struct trace_event *event);

/* Plays what was gathered. */
enum play player_flush(struct player *player);

/* Everything against oracle and model. => flushed */
enum play player_check(struct player *player, uint64_t line);

/* One process against the model. => flushed; with contents */
enum play player_check_process(struct player *player, uint32_t process, uint64_t line);

/* Ends all processes and lets go of all objects; the machine is left, empty. */
void player_clear(struct player *player);

void player_destroy(struct player *player);

/* Indices of living processes in order of PID; the caller frees the list. */
uint32_t *player_processes(const struct player *player, size_t *count);

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
