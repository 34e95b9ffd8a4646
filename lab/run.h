/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.h - one trace through one machine, from opening the file to the last freed byte.
 */
#ifndef OBJRMAP_LAB_RUN_H
#define OBJRMAP_LAB_RUN_H

#include "replay/player.h"
#include "series.h"
#include "settings.h"

#include <objrmap/stats.h>

/* What the trace needs with memory in plenty. */
struct peak {
    uint64_t pages;       /* most frames in use at once */
    uint64_t data_pages;  /* ... page tables not counted */
    uint64_t table_pages; /* most page tables at once */
    uint64_t locked_pages;
};

struct run_request {
    const char *trace;
    const struct workload_plan *workload; /* NULL: none; else it takes the trace's place */
    const char *design;                   /* NULL: the library's choice */
    const char *file_index;               /* likewise */
    enum vm_fork_copy fork_copy;
    enum vm_chain_lock chain_lock;
    enum vm_nonlinear nonlinear;
    unsigned fault_around;
    unsigned swap_readahead; /* as in vm_machine_config */
    uint64_t frames, swap_pages;
    unsigned cpus;
    unsigned nodes;
    unsigned swappiness; /* as in vm_machine_config */
    uint64_t low_frames;
    bool lock_stats;
    enum vm_contents contents;
    bool verify;
    uint64_t verify_every; /* events; 0: at the end only */
    bool ask;              /* what the trace asks: who maps these pages? */
    struct ask ask_at_end; /* and this, unless it is about no pages */
    const char *dump;      /* NULL: none; "-": standard output */
    const char *label;     /* for progress; NULL: none is shown */
    bool watch;            /* draw it live, and keep a series */
};

enum run_end {
    RUN_COMPLETE,
    RUN_OUT_OF_MEMORY,
    RUN_DIFFERENT, /* from oracle or model */
    RUN_INVALID,   /* the trace is, or cannot be read */
    RUN_FAILED,    /* the machine or the dump could not be made */
};

enum { RUN_CACHES = 48, RUN_LOCKS = 64 };

struct run_cache {
    char name[32];
    enum vm_cost cost;
    size_t object_bytes;
    uint64_t live_before, live,
        live_after; /* before the first process, at the trace's end, after the last exit */
    uint64_t live_bytes, peak_bytes, held_bytes;
};

struct run_lock {
    char name[40];
    bool shared;
    uint64_t acquired, contended, handed_over;
    uint64_t hold_ns, hold_most_ns, wait_ns, wait_most_ns;
};

struct run_result {
    enum run_end end;
    char failure[640]; /* for all ends but COMPLETE */

    uint64_t events, processes, lost;
    double recorded_seconds; /* by the recording's note; 0: unknown */
    bool verified;
    uint64_t checks;
    uint64_t state_hash;
    double wall_seconds; /* events only: no checks, no dump */
    double seconds;      /* within the machine's calls, of all CPUs */

    struct op_count ops[OPS];
    uint64_t pages_touched, segv, bus;
    struct vm_stats stats; /* without what was asked */
    struct asked asked;
    uint64_t cost_peak[VM_COST_OTHER + 1];
    struct run_cache caches[RUN_CACHES];
    unsigned cache_count;
    struct run_lock locks[RUN_LOCKS]; /* none unless asked for */
    unsigned lock_count;
    struct series series; /* empty unless watched */
};

void run_trace(const struct run_request *request, struct run_result *result);

/* Runs the trace once in memory without end. False after a complaint; *code is then the exit code. */
bool run_measure(const struct settings *settings, struct peak *peak, int *code);

/* Memory and swap for these settings: see settings_help. `peak` is NULL when it was not measured. */
void run_size(const struct settings *settings, const struct peak *peak, uint64_t *frames,
              uint64_t *swap_pages);

/* Memory in plenty, whatever the settings say of it, on one CPU, without contents. */
struct run_request run_request_ample(const struct settings *settings);

/* The machine that the settings ask for; contents, what is checked and told are the caller's. */
struct run_request run_request_for(const struct settings *settings, const struct peak *peak,
                                   const char *design);

/* Whether sizes depend on the peak. */
bool run_needs_peak(const struct settings *settings);

/* Says on stderr why the run has ended. => not RUN_COMPLETE */
void run_complain(const struct run_result *result);

/* The exit code that belongs to an end. */
int run_exit_code(enum run_end end);

#endif
