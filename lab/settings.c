/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * settings.c - see settings.h.
 */
#include "settings.h"

#include "command.h"

#include <objrmap/rmap.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct settings default_settings = {
    .memory_unit = MEMORY_PERCENT,
    .memory = 100,
    .fork_copy = VM_FORK_LAZY,
    .contents = CONTENTS_BY_VERIFY,
    .verify_every = VERIFY_EVERY,
    .cpus = 1,
};

const char settings_help[] =
    "  --workload NAME:KEY=VALUE,...\n"
    "                          a trace made by rule, in place of TRACE; `objrmap workload` lists "
    "them\n"
    "\n"
    "The machine:\n"
    "  --memory SIZE|PERCENT%  memory in bytes (K, M, G), or as a share of what the trace needs "
    "at\n"
    "                          its peak, which a first pass measures. A share is that of the data\n"
    "                          pages; page tables and locked pages cannot be evicted and come on\n"
    "                          top. Never less than 64 pages. Default: 100%,\n"
    "                          for a workload 200%\n"
    "  --swap SIZE             swap space; 0 for none. Default: four times the peak, or the "
    "memory\n"
    "  --contents              keep what pages contain; every load is compared with a model\n"
    "  --metadata              do not. Default: contents with --verify, else metadata\n"
    "  --file-index NAME       how files keep the areas that map them; `objrmap designs` lists "
    "them.\n"
    "                          Default: interval-tree\n"
    "  --fork lazy|eager       what fork does with entries that a fault can rebuild. Default: "
    "lazy\n"
    "  --chain-lock page|global  what protects a page's chain: a bit of the page, or one lock for "
    "all.\n"
    "                          For designs with chains. Default: page\n"
    "  --nonlinear NAME        what remap_file_pages leaves behind: an area for each piece "
    "(emulate),\n"
    "                          or one, of which reclaim unmaps all (draconian) or 32 pages "
    "(cluster),\n"
    "                          unless the design lists the pages' entries (chain). Default: "
    "emulate\n"
    "  --fault-around PAGES    how many cached neighbours a file fault maps. Default: 16\n"
    "  --swap-readahead PAGES  how many slots a fault that reads from swap reads together. "
    "Default: 8\n"
    "  --cpus N                play the processes on N threads, 1 to 64, each process on one of "
    "them: "
    "what\n"
    "                          programs see stays the same. Default: 1\n"
    "  --nodes N               deal memory out to N nodes, 1 to 16, each with lists of its own. "
    "Default: 1\n"
    "  --low-memory SIZE       the part of memory that may hold page tables. Default: all\n"
    "  --swappiness N          how readily mapped pages are reclaimed, 0 to 100. Default: 60\n"
    "\n"
    "Judging it:\n"
    "  --verify[=N]            each N events (10000; 0: never) and at the end, hold the whole "
    "reverse map\n"
    "                          against a scan of all page tables, and all contents against the "
    "model\n"
    "  --lockstat              tell of each kind of lock how long it was held and waited for; the "
    "clock\n"
    "                          is read at each, which costs time\n"
    "  --ask PID:ADDR:N|all    at the end, ask who maps those N pages, or all that are mapped, and "
    "tell\n"
    "                          what the answers cost; a trace may ask, too: `! ask PID ADDR N`\n";

static const char *const shared_options[] = {
    "--memory",   "--swap",         "--contents",   "--metadata",   "--file-index",
    "--fork",     "--fault-around", "--verify",     "--chain-lock", "--json",
    "--help",     "--nonlinear",    "--workload",   "--ask",        "--cpus",
    "--lockstat", "--nodes",        "--swappiness", "--low-memory", "--swap-readahead",
};

enum { SHARED_OPTIONS = sizeof(shared_options) / sizeof(shared_options[0]), OWN_OPTIONS = 8 };

const char *nonlinear_name(enum vm_nonlinear nonlinear) {
    static const char *const names[NONLINEAR_ANSWERS] = {
        [VM_NONLINEAR_EMULATE] = "emulate",
        [VM_NONLINEAR_DRACONIAN] = "draconian",
        [VM_NONLINEAR_CLUSTER] = "cluster",
        [VM_NONLINEAR_CHAIN] = "chain",
    };
    return names[nonlinear];
}

/* ---------------------------------------------------------------- values */

const char *option_value(const char *name, int argc, char **argv, int *at, bool *missing) {
    size_t bytes = strlen(name);
    const char *argument = argv[*at];
    *missing = false;
    if (strncmp(argument, name, bytes) != 0)
        return NULL;
    if (argument[bytes] == '=')
        return argument + bytes + 1;
    if (argument[bytes] != '\0')
        return NULL;
    if (*at + 1 < argc)
        return argv[++*at];
    complain("%s needs a value", name);
    *missing = true;
    return NULL;
}

bool option_number(const char *name, const char *text, uint64_t least, uint64_t most,
                   uint64_t *number) {
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    if (isdigit((unsigned char)*text) && !*end && !errno && *number >= least && *number <= most)
        return true;
    complain("%s %s: expected a whole number from %llu to %llu", name, text,
             (unsigned long long)least, (unsigned long long)most);
    return false;
}

static int size_shift(const char *suffix) {
    static const char letters[] = "KMGT";
    if (!*suffix)
        return 0;
    const char *letter = strchr(letters, toupper((unsigned char)*suffix));
    return letter && !suffix[1] ? (int)(letter - letters + 1) * 10 : -1;
}

static bool parse_size(const char *name, const char *text, uint64_t *bytes) {
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    int shift = size_shift(end);
    if (isdigit((unsigned char)*text) && !errno && shift >= 0 &&
        number <= (uint64_t)1 << (52 - shift)) {
        *bytes = (uint64_t)number << shift;
        return true;
    }
    complain("%s %s: expected bytes, such as 300M or 2G", name, text);
    return false;
}

static bool parse_memory(struct settings *settings, const char *text) {
    size_t bytes = strlen(text);
    settings->memory_given = true;
    if (!bytes || text[bytes - 1] != '%') {
        uint64_t size;
        if (!parse_size("--memory", text, &size))
            return false;
        settings->memory_unit = MEMORY_BYTES;
        settings->memory = (double)size;
        return true;
    }
    char *end;
    settings->memory_unit = MEMORY_PERCENT;
    settings->memory = strtod(text, &end);
    if (isdigit((unsigned char)*text) && *end == '%' && !end[1] && settings->memory <= 100000)
        return true;
    complain("--memory %s: expected a share such as 50%%", text);
    return false;
}

static bool parse_fork(struct settings *settings, const char *text) {
    settings->fork_copy = strcmp(text, "eager") == 0 ? VM_FORK_EAGER : VM_FORK_LAZY;
    if (strcmp(text, "eager") == 0 || strcmp(text, "lazy") == 0)
        return true;
    complain("--fork %s: expected lazy or eager", text);
    return false;
}

static bool parse_chain_lock(struct settings *settings, const char *text) {
    settings->chain_lock = strcmp(text, "global") == 0 ? VM_CHAIN_LOCK_GLOBAL : VM_CHAIN_LOCK_PAGE;
    if (strcmp(text, "global") == 0 || strcmp(text, "page") == 0)
        return true;
    complain("--chain-lock %s: expected page or global", text);
    return false;
}

static bool parse_nonlinear(struct settings *settings, const char *text) {
    for (int i = 0; i < NONLINEAR_ANSWERS; i++)
        if (strcmp(nonlinear_name((enum vm_nonlinear)i), text) == 0) {
            settings->nonlinear = (enum vm_nonlinear)i;
            return true;
        }
    complain("--nonlinear %s: expected emulate, draconian, cluster or chain", text);
    return false;
}

static bool parse_cpus(struct settings *settings, const char *text) {
    uint64_t cpus;
    if (!option_number("--cpus", text, 1, CPUS_MAX, &cpus))
        return false;
    settings->cpus = (unsigned)cpus;
    return true;
}

static bool parse_nodes(struct settings *settings, const char *text) {
    uint64_t nodes;
    if (!option_number("--nodes", text, 1, NODES_MAX, &nodes))
        return false;
    settings->nodes = (unsigned)nodes;
    return true;
}

static bool parse_swappiness(struct settings *settings, const char *text) {
    uint64_t swappiness;
    if (!option_number("--swappiness", text, 0, 100, &swappiness))
        return false;
    settings->swappiness = swappiness ? (unsigned)swappiness : VM_SWAPPINESS_NONE;
    return true;
}

enum { LEAST_LOW_BYTES = 16 * VM_PAGE_SIZE };

static bool parse_low_memory(struct settings *settings, const char *text) {
    if (!parse_size("--low-memory", text, &settings->low_bytes))
        return false;
    if (settings->low_bytes >= LEAST_LOW_BYTES)
        return true;
    complain("--low-memory %s: expected at least 64K", text);
    return false;
}

static bool parse_power_of_two(const char *name, const char *text, unsigned *pages) {
    uint64_t number;
    if (!option_number(name, text, 1, 64, &number))
        return false;
    *pages = (unsigned)number;
    if ((number & (number - 1)) == 0)
        return true;
    complain("%s %s: expected a power of two", name, text);
    return false;
}

static bool parse_fault_around(struct settings *settings, const char *text) {
    return parse_power_of_two("--fault-around", text, &settings->fault_around);
}

static bool parse_swap_readahead(struct settings *settings, const char *text) {
    return parse_power_of_two("--swap-readahead", text, &settings->swap_readahead);
}

/* ---------------------------------------------------------------- options */

static bool take_flag(struct settings *settings, const char *argument) {
    if (strcmp(argument, "--contents") == 0)
        settings->contents = CONTENTS_ALWAYS;
    else if (strcmp(argument, "--metadata") == 0)
        settings->contents = CONTENTS_NEVER;
    else if (strcmp(argument, "--verify") == 0)
        settings->verify = true;
    else if (strcmp(argument, "--lockstat") == 0)
        settings->lock_stats = true;
    else if (strcmp(argument, "--json") == 0)
        settings->json = true;
    else
        return false;
    return true;
}

static bool parse_verify(struct settings *settings, const char *text) {
    settings->verify = true;
    return option_number("--verify", text, 0, UINT64_MAX, &settings->verify_every);
}

static bool parse_swap(struct settings *settings, const char *text) {
    settings->swap_given = true;
    return parse_size("--swap", text, &settings->swap_bytes);
}

enum { FILE_INDEXES_MAX = 8 };

struct file_indexes {
    const char *name[FILE_INDEXES_MAX + 1]; /* NULL ends them */
    unsigned count;
    char list[160]; /* the names with commas between */
};

static void add_file_index(const struct vm_file_index_info *index, void *context) {
    struct file_indexes *all = context;
    if (all->count == FILE_INDEXES_MAX)
        return;
    size_t used = strlen(all->list);
    snprintf(all->list + used, sizeof(all->list) - used, "%s%s", all->count ? ", " : "",
             index->name);
    all->name[all->count++] = index->name;
}

static bool parse_file_index(struct settings *settings, const char *text) {
    struct file_indexes all = { .count = 0 };
    vm_file_index_each(add_file_index, &all);
    for (unsigned i = 0; i < all.count; i++)
        if (strcmp(all.name[i], text) == 0) {
            settings->file_index = all.name[i];
            return true;
        }
    const char *near = nearest_name(text, all.name);
    if (near)
        complain("--file-index %s: did you mean %s? There are %s", text, near, all.list);
    else
        complain("--file-index %s: expected one of %s", text, all.list);
    return false;
}

/* Unless memory is said to be short, nothing is to be evicted before a workload's question. */
static bool parse_workload(struct settings *settings, const char *text) {
    if (!settings->memory_given)
        settings->memory = WORKLOAD_MEMORY_PERCENT;
    if (settings->trace) {
        complain("--workload %s takes the place of a trace, and %s is one", text, settings->trace);
        return false;
    }
    settings->trace = settings->workload.text;
    return workload_parse(text, &settings->workload);
}

static bool parse_ask(struct settings *settings, const char *text) {
    settings->ask = (struct ask){ .all = strcmp(text, "all") == 0 };
    if (settings->ask.all || ask_parse(text, ':', &settings->ask))
        return true;
    complain("--ask %s: expected all, or PID:ADDR:N with ADDR hexadecimal and N pages", text);
    return false;
}

static const struct valued_option {
    const char *name;
    bool (*parse)(struct settings *settings, const char *text);
} valued_options[] = {
    { "--memory", parse_memory },
    { "--swap", parse_swap },
    { "--fork", parse_fork },
    { "--file-index", parse_file_index },
    { "--chain-lock", parse_chain_lock },
    { "--nonlinear", parse_nonlinear },
    { "--workload", parse_workload },
    { "--ask", parse_ask },
    { "--fault-around", parse_fault_around },
    { "--swap-readahead", parse_swap_readahead },
    { "--cpus", parse_cpus },
    { "--nodes", parse_nodes },
    { "--swappiness", parse_swappiness },
    { "--low-memory", parse_low_memory },
};

enum option settings_option(struct settings *settings, int argc, char **argv, int *at) {
    static const char verify[] = "--verify=";
    if (take_flag(settings, argv[*at]))
        return OPTION_TAKEN;
    if (strncmp(argv[*at], verify, sizeof(verify) - 1) == 0)
        return parse_verify(settings, argv[*at] + sizeof(verify) - 1) ? OPTION_TAKEN : OPTION_WRONG;
    for (size_t i = 0; i < sizeof(valued_options) / sizeof(valued_options[0]); i++) {
        const struct valued_option *option = &valued_options[i];
        bool missing;
        const char *value = option_value(option->name, argc, argv, at, &missing);
        if (missing)
            return OPTION_WRONG;
        if (value)
            return option->parse(settings, value) ? OPTION_TAKEN : OPTION_WRONG;
    }
    return OPTION_UNKNOWN;
}

void complain_option(const char *typed, const char *command, const char *const *own_options) {
    const char *names[SHARED_OPTIONS + OWN_OPTIONS + 1] = { NULL };
    size_t count = 0;
    for (; own_options && *own_options && count < OWN_OPTIONS; own_options++)
        names[count++] = *own_options;
    memcpy(&names[count], shared_options, sizeof(shared_options));
    char name[40];
    size_t bytes = strcspn(typed, "=");
    bytes = bytes < sizeof(name) ? bytes : sizeof(name) - 1;
    memcpy(name, typed, bytes);
    name[bytes] = '\0';
    const char *near = nearest_name(name, names);
    if (near)
        complain("%s has no option %s. Did you mean %s?", command, typed, near);
    else
        complain("%s has no option %s; `objrmap %s --help` lists them", command, typed, command);
}

/* What is no option is the command's one trace. */
static bool take_trace(struct settings *settings, const struct settings_command *command,
                       const char *argument) {
    if (argument[0] == '-' && argument[1]) {
        complain_option(argument, command->name, command->own_options);
        return false;
    }
    if (settings->trace) {
        complain("%s takes one trace, not %s and %s", command->name, settings->trace, argument);
        return false;
    }
    settings->trace = argument;
    return true;
}

bool settings_parse(struct settings *settings, const struct settings_command *command, int argc,
                    char **argv) {
    for (int at = 1; at < argc; at++) {
        enum option option = settings_option(settings, argc, argv, &at);
        if (option == OPTION_UNKNOWN)
            option = command->own_option(command->context, argc, argv, &at);
        if (option == OPTION_WRONG ||
            (option == OPTION_UNKNOWN && !take_trace(settings, command, argv[at])))
            return false;
    }
    if (!settings->trace)
        complain("%s needs a trace or a --workload; `objrmap %s --help` tells more", command->name,
                 command->name);
    return settings->trace;
}
