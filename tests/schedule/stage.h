/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stage.h - a scenario of a race, and the small machine on which it is played.
 *
 * A scenario sets the stage, which nobody disturbs; then its actors run by turns, in every way the
 * explorer can think of; then it judges what has become of it. After every schedule, whatever the
 * scenario asks, vm_verify() holds the machine against the oracle, all spaces end, all objects are
 * let go of, and every record, frame and slot must be back.
 *
 * Everything lies in the arena, the stage itself included; actors keep what they learn there.
 */
#ifndef OBJRMAP_TESTS_STAGE_H
#define OBJRMAP_TESTS_STAGE_H

#include <objrmap/rmap.h>
#include <objrmap/stats.h>
#include <objrmap/vm.h>

#include "scheduler.h"
#include "vm/frame/page.h"

#define PAGE   VM_PAGE_SIZE
#define RW     (VM_PROT_READ | VM_PROT_WRITE)
#define PAGES  4                  /* of an area */
#define HERE   UINT64_C(0x200000) /* each in a leaf of its own */
#define THERE  UINT64_C(0x400000)
#define BEYOND UINT64_C(0x600000)

enum { SPACES = 3, DEVICE_PAGES = 64, CACHES_MOST = 24 };

struct stage;
typedef void scenario_part(struct stage *stage);

struct scenario {
    const char *name;
    const char *what;
    const char *designs;    /* those it is about, with spaces between; NULL: all */
    const char *file_index; /* NULL: the usual one */
    enum vm_fork_copy fork_copy;
    unsigned nodes;
    bool must_fail; /* a toy with a bug: it is a failure not to find it */
    bool toy;       /* no machine is needed */
    scenario_part *set_up;
    scenario_part *actors[ACTORS_MOST + 1]; /* the last one NULL */
    scenario_part *judge;                   /* or NULL */
};

/* A backing that remembers the beginnings of pages. Each transfer is a step. */
struct device {
    struct vm_backing backing;
    uint64_t pages;
    uint64_t words[DEVICE_PAGES];
};

/* What must be there again at the end. */
struct baseline {
    uint64_t live[CACHES_MOST];
    unsigned caches;
    uint64_t frames_free;
};

struct stage {
    const struct scenario *scenario;
    const char *design;
    struct vm_machine *machine;
    struct vm_space *parent, *child, *other; /* NULL: not there, or gone */
    struct vm_object *object;
    struct device swap, file;
    struct baseline before;
    uint64_t frame;           /* the one in question */
    int results[ACTORS_MOST]; /* what actors were told */
    uint64_t values[ACTORS_MOST];
    /* toys */
    _Atomic uint32_t words[2];
    struct vm_lock locks[2];
    struct vm_rwlock rwlock;
    struct vm_page page;
};

/* The play of a scenario on one design, with its stage set and saved; false, and why. */
bool stage_prepare(const struct scenario *scenario, const char *design, struct play *play,
                   char why[256]);

#define require(condition)                                                                         \
    ((condition)                                                                                   \
         ? (void)0                                                                                 \
         : scheduler_fail("%s:%d: not so: %s", stage_file_name(__FILE__), __LINE__, #condition))

/* A path's last part. */
const char *stage_file_name(const char *path);

/* ---- for all parts; each fails the schedule if the call fails, unless it returns its result */

struct vm_space *stage_space(struct stage *stage);
struct vm_space *stage_fork(struct stage *stage, struct vm_space *parent);
void stage_exit(struct vm_space **space);

void map_anonymous(struct vm_space *space, uint64_t address, uint64_t pages);
void map_object(struct vm_space *space, uint64_t address, uint64_t pages, unsigned sharing,
                struct vm_object *object, uint64_t pgoff);
int move(struct vm_space *space, uint64_t from, uint64_t to, uint64_t pages);

/* Each of these is about the first word of a page. */
void put(struct vm_space *space, uint64_t address, uint64_t value);
uint64_t get(struct vm_space *space, uint64_t address);
int try_put(struct vm_space *space, uint64_t address, uint64_t value);
int try_get(struct vm_space *space, uint64_t address, uint64_t *value);

/* Shared memory, or a file on stage->file whose pages hold 100, 101, ... */
struct vm_object *stage_shm(struct stage *stage, uint64_t pages);
struct vm_object *stage_file(struct stage *stage, uint64_t pages);

/* Reclaims as if there were no memory left: every listed page goes out that can. */
void page_out(struct stage *stage);
/* The same until all is out; for set_up and judges. */
void page_out_all(struct stage *stage);

/* ---- looking at a page by its frame */

enum { SIGHTINGS_MOST = 16 };

struct sightings {
    unsigned count;
    struct vm_mapped_at at[SIGHTINGS_MOST];
};

struct sightings look(struct stage *stage, uint64_t frame);
bool seen_in(const struct sightings *sightings, const struct vm_space *space);

#endif
