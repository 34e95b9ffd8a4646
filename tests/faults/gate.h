/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gate.h - every call of the library that can fail goes through here, is counted, and fails if told.
 *
 * Allocations are met in three places. Blocks are what the port is asked for. Records are what the
 * library takes from its caches, which make them out of blocks: only one record in fifty needs a block,
 * so the linker leads calls of the caches through here as well (--wrap), and each record can be
 * refused. So it is with frames, which the port gives all at once and the library hands out.
 *
 * Transfers are met in the backings, whose functions are replaced where they stand. A device remembers
 * which pages' last write failed: only of those may anything be lost.
 *
 * One machine at a time: the wrapped functions lead to one gate.
 */
#ifndef TESTS_FAULTS_GATE_H
#define TESTS_FAULTS_GATE_H

#include "replay/player.h"

enum gate_kind {
    GATE_RECORD,
    GATE_BLOCK,
    GATE_FRAME,
    GATE_SWAP_READ,
    GATE_SWAP_WRITE,
    GATE_FILE_READ,
    GATE_FILE_WRITE,
    GATE_KINDS
};

enum gate_when { GATE_NEVER, GATE_ONCE, GATE_FROM_THERE_ON };

const char *gate_kind_name(enum gate_kind kind);

enum { GATE_LOST_PAGES = 256 };

struct gate_device {
    struct vm_backing *backing, inner; /* `inner` has the functions that were there */
    enum gate_kind read, write;
    struct vm_object *object;       /* NULL: swap */
    uint32_t index;                 /* the object's, in player and model */
    bool told;                      /* no write has failed that msync has not reported */
    uint64_t lost[GATE_LOST_PAGES]; /* pages whose last write failed */
    size_t lost_count;
};

/* Called before a file is closed, for a last comparison; NULL: nobody asks. */
typedef void gate_closing(struct gate_device *device, void *context);

/* Through the gate go the player's port and swap from now on; files by gate_file(). */
void gate_begin(struct player *player, gate_closing *closing, void *context);
void gate_file(struct player *player, uint32_t index);

/* The machine may call for its reclaim threads from now on. A step ends with what they would do. */
void gate_listen(struct player *player);
bool gate_woken(unsigned *node);

/* The device of an open file; NULL: the object has none. */
struct gate_device *gate_device_of(const struct vm_object *object);

/* What a page of the device is now, past the gate. */
int gate_peek(struct gate_device *device, uint64_t page, void *data);
bool gate_has_lost(const struct gate_device *device, uint64_t page);

/* The call number `at` of this kind fails, counted from now and from 0; or all from there on. */
void gate_plan(enum gate_kind kind, enum gate_when when, uint64_t at);

/* Whether something may fail from now on. */
bool gate_armed(void);

/* Calls are counted, and may fail, in between only. */
void gate_open(void);
void gate_shut(void);

uint64_t gate_calls(enum gate_kind kind); /* while it was open */
uint64_t gate_failed(void);               /* since gate_open() */
enum gate_kind gate_failing(void);        /* the kind planned */

#endif
