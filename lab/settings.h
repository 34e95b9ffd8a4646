/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * settings.h - the options that replay and compare share: which machine, how it is judged.
 */
#ifndef OBJRMAP_LAB_SETTINGS_H
#define OBJRMAP_LAB_SETTINGS_H

#include "replay/ask.h"
#include "workload/workload.h"

#include <objrmap/vm.h>

enum memory_unit { MEMORY_PERCENT, MEMORY_BYTES };
enum contents_choice { CONTENTS_BY_VERIFY, CONTENTS_ALWAYS, CONTENTS_NEVER };

enum { VERIFY_EVERY = 10000, WORKLOAD_MEMORY_PERCENT = 200, CPUS_MAX = 64, NODES_MAX = 16 };

struct settings {
    const char *trace;             /* "-": standard input; or the workload's text */
    struct workload_plan workload; /* unless it has none: takes the trace's place */
    struct ask ask;                /* at the end, beside what the trace itself asks */
    enum memory_unit memory_unit;
    double memory; /* percent of the peak, or bytes */
    bool memory_given;
    bool swap_given;
    uint64_t swap_bytes;
    const char *file_index;
    enum vm_fork_copy fork_copy;
    enum vm_chain_lock chain_lock;
    enum vm_nonlinear nonlinear;
    unsigned fault_around;
    unsigned swap_readahead; /* as in vm_machine_config */
    unsigned cpus;
    unsigned nodes;
    unsigned swappiness; /* as in vm_machine_config */
    uint64_t low_bytes;
    bool lock_stats;
    enum contents_choice contents;
    bool verify;
    uint64_t verify_every; /* events; 0: at the end only */
    bool json;
};

extern const struct settings default_settings;

enum { NONLINEAR_ANSWERS = VM_NONLINEAR_CHAIN + 1 };
const char *nonlinear_name(enum vm_nonlinear nonlinear);

/* The help text for these options. */
extern const char settings_help[];

enum option { OPTION_TAKEN, OPTION_UNKNOWN, OPTION_WRONG };

/*
 * Takes argv[*at] if it is one of these options, and its value, which stands behind a '=' or in the
 * next argument; *at is then the last one taken. OPTION_WRONG comes after a complaint.
 */
enum option settings_option(struct settings *settings, int argc, char **argv, int *at);

/* The value of option `name` at argv[*at], or NULL if argv[*at] is another option; *missing tells
 * that it has none. For the options of a single command. */
const char *option_value(const char *name, int argc, char **argv, int *at, bool *missing);

/* A whole decimal number within limits; complains and returns false otherwise. */
bool option_number(const char *name, const char *text, uint64_t least, uint64_t most,
                   uint64_t *number);

/* Complains about an argument that is no option, naming the nearest one. */
void complain_option(const char *typed, const char *command, const char *const *own_options);

/* A command that takes these options, some of its own, and one trace. */
struct settings_command {
    const char *name;
    const char *const *own_options; /* ended by NULL */
    enum option (*own_option)(void *context, int argc, char **argv, int *at);
    void *context;
};

/* Takes all arguments; false after a complaint, for want of a trace, too. */
bool settings_parse(struct settings *settings, const struct settings_command *command, int argc,
                    char **argv);

#endif
