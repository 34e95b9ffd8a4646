/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rmap.c - what it costs to ask "who maps this page?", by design, kind of page, number of mappers.
 *
 * Each case builds a family of N spaces and asks vm_page_mappings() for each of 64 pages in turn:
 *
 *   file          N spaces map the page of a file
 *   forked        the page was there before N - 1 children were forked; all share it
 *   late parent   the parent got the page after its N - 1 children were there; nobody shares it
 *   late child    the middle one of N - 1 children got the page; nobody shares it
 *   kept          all had the page; all but the middle child have replaced it by a copy
 *
 * Under callgrind each case is written out as a profile of its own, named
 * "design/case/N/walks": run.sh divides. The price in memory is the growth of all caches that count
 * as reverse map while the family was built, by the mappings that there are then.
 */
#include <stdio.h>

#include <objrmap/rmap.h>
#include <objrmap/stats.h>

#include "support/beside.h"
#include "support/callgrind.h"
#include "support/design_list.h"
#include "support/report.h"

enum page_case { FILE_PAGE, FORKED, LATE_PARENT, LATE_CHILD, KEPT, CASES };

static const char *const case_names[CASES] = { "file", "forked", "late parent", "late child",
                                               "kept" };

enum { PAGES = 64, MAPPERS_MOST = 1024 };

/* ---------------------------------------------------------------- families */

struct family {
    struct bench_machine bench;
    struct vm_object *file;
    struct vm_space *spaces[MAPPERS_MOST]; /* [0] is the parent */
    unsigned count;
    uint64_t memory;
    struct vm_space *owner; /* who certainly maps the pages */
    uint64_t mappings;      /* present entries of the whole family */
};

static void write_pages(struct vm_space *space, uint64_t memory) {
    must(vm_touch(space, memory, PAGES, VM_WRITE, NULL), "vm_touch");
}

static void fork_children(struct family *family) {
    for (unsigned i = 1; i < family->count; i++)
        must(vm_fork(family->spaces[0], i + 1, &family->spaces[i]), "vm_fork");
}

static void build_file(struct family *family) {
    for (unsigned i = 0; i < family->count; i++) {
        if (i)
            must(vm_space_create(family->bench.machine, i + 1, &family->spaces[i]),
                 "vm_space_create");
        must(vm_mmap(family->spaces[i], 0, PAGES * VM_PAGE_SIZE, VM_PROT_READ, VM_MAP_SHARED,
                     family->file, 0, &family->memory),
             "vm_mmap");
        must(vm_touch(family->spaces[i], family->memory, PAGES, VM_READ, NULL), "vm_touch");
    }
    family->mappings = (uint64_t)family->count * PAGES;
}

/* A page beside the others makes the area one that had anonymous pages before the first fork, which
 * is what ties its relatives together. */
static void build_anonymous(struct family *family, enum page_case page_case) {
    struct vm_space *parent = family->spaces[0];
    uint64_t whole = library_map(parent, PAGES + 1);

    family->memory = whole + VM_PAGE_SIZE;
    must(vm_touch(parent, whole, 1, VM_WRITE, NULL), "vm_touch");
    if (page_case == FORKED || page_case == KEPT)
        write_pages(parent, family->memory);
    fork_children(family);

    if (page_case == LATE_CHILD || page_case == KEPT)
        family->owner = family->spaces[family->count / 2];
    if (page_case == LATE_PARENT || page_case == LATE_CHILD)
        write_pages(family->owner, family->memory);
    family->mappings = family->count; /* of the page beside */
    if (page_case == FORKED || page_case == KEPT)
        family->mappings += (uint64_t)family->count * PAGES;
    else
        family->mappings += PAGES;
    if (page_case == KEPT)
        for (unsigned i = 0; i < family->count; i++)
            if (family->spaces[i] != family->owner)
                write_pages(family->spaces[i], family->memory);
}

static void family_build(struct family *family, const char *design, enum page_case page_case,
                         unsigned mappers) {
    /* copies of every page for everyone, and five page tables each */
    struct bench_config config = { .design = design,
                                   .contents = VM_METADATA_ONLY,
                                   .cpus = 1,
                                   .frames = frames_for((uint64_t)mappers * (PAGES + 8)) };
    struct vm_backing *disk = posix_memory_open(PAGES * VM_PAGE_SIZE);

    if (!disk)
        give_up("making a file in memory");
    bench_machine_open(&family->bench, &config);
    must(vm_object_open(family->bench.machine, disk, 1, &family->file), "vm_object_open");
    must(vm_space_create(family->bench.machine, 1, &family->spaces[0]), "vm_space_create");
    family->count = mappers;
    family->owner = family->spaces[0];
    if (page_case == FILE_PAGE)
        build_file(family);
    else
        build_anonymous(family, page_case);
}

static void family_end(struct family *family) {
    vm_object_put(family->file);
    for (unsigned i = 0; i < family->count; i++)
        vm_exit(family->spaces[i]);
    bench_machine_close(&family->bench);
}

/* ---------------------------------------------------------------- one case */

struct measured {
    double ns, visits; /* of one walk */
    double bytes;      /* of reverse map, per mapping of the family */
    uint64_t hits;     /* entries that a walk finds */
};

static void add_rmap_bytes(const struct vm_cache_view *cache, void *context) {
    if (cache->cost == VM_COST_RMAP)
        *(uint64_t *)context += cache->live_bytes;
}

static double bytes_per_mapping(const struct family *family) {
    uint64_t bytes = 0;

    vm_cache_each(family->bench.machine, add_rmap_bytes, &bytes);
    return (double)bytes / (double)family->mappings;
}

/* Areas, chain nodes, tables and entries looked at so far. */
static uint64_t visits(struct vm_machine *machine) {
    struct vm_stats stats;
    vm_stats_read(machine, &stats);
    return stats.rmap.hits + stats.rmap.empty_walks + stats.rmap.range_rejects +
           stats.rmap.object_visits;
}

/* Asks for each page in turn. The first pass warms up, and tells how many entries a walk finds. */
static void ask(const struct family *family, uint64_t walks, struct measured *measured) {
    struct vm_machine *machine = family->bench.machine;
    uint64_t frames[PAGES];

    for (unsigned i = 0; i < PAGES; i++) {
        frames[i] = vm_frame_at(family->owner, family->memory + i * VM_PAGE_SIZE);
        measured->hits = vm_page_mappings(machine, frames[i], NULL, NULL);
    }
    uint64_t visited = visits(machine), before = nanoseconds();
    instructions_begin();
    for (uint64_t i = 0; i < walks; i++)
        vm_page_mappings(machine, frames[i % PAGES], NULL, NULL);
    CALLGRIND_STOP_INSTRUMENTATION;
    measured->ns = (double)(nanoseconds() - before) / (double)walks;
    measured->visits = (double)(visits(machine) - visited) / (double)walks;
}

static struct measured measure(const char *design, enum page_case page_case, unsigned mappers,
                               uint64_t walks) {
    static struct family family;
    struct measured measured = { 0 };
    char name[64];

    family_build(&family, design, page_case, mappers);
    measured.bytes = bytes_per_mapping(&family);
    ask(&family, walks, &measured);
    snprintf(name, sizeof(name), "%s/%s/%u/%u", design, case_names[page_case], mappers,
             (unsigned)walks);
    CALLGRIND_DUMP_STATS_AT(name);
    family_end(&family);
    return measured;
}

/* ---------------------------------------------------------------- the tables */

static const unsigned mappers[] = { 1, 4, 16, 64, 256, MAPPERS_MOST };

enum { SIZES = sizeof(mappers) / sizeof(mappers[0]) };

struct results {
    struct measured of[CASES][SIZES][DESIGNS_MOST];
};

/* Fewer walks where each is long, and under valgrind, where each instruction is. */
static uint64_t walks_for(unsigned spaces, const struct options *options) {
    uint64_t walks = UINT64_C(400000) * (options->rounds ? options->rounds : 1) / (spaces + 20);
    return RUNNING_ON_VALGRIND || walks < PAGES ? PAGES : walks;
}

/* The most spaces would take valgrind too long, and tell nothing new. */
static unsigned sizes_to_measure(void) {
    return RUNNING_ON_VALGRIND ? SIZES - 1 : SIZES;
}

static void measure_all(struct results *results, const struct design_list *designs,
                        const struct options *options) {
    for (enum page_case page_case = 0; page_case < CASES; page_case++)
        for (unsigned size = 0; size < sizes_to_measure(); size++)
            for (unsigned i = 0; i < designs->count; i++)
                results->of[page_case][size][i] = measure(
                    designs->names[i], page_case, mappers[size], walks_for(mappers[size], options));
}

static void print_heads(const struct design_list *designs, int width, const char *what) {
    printf("%s\n%-12s %6s %6s", what, "page", "spaces", "found");
    for (unsigned i = 0; i < designs->count; i++)
        printf(" %*s", width, designs->names[i]);
    printf("\n");
}

static void print_tables(const struct results *results, const struct design_list *designs) {
    for (int bytes = 0; bytes <= 1; bytes++) {
        print_heads(designs, bytes ? 13 : 17,
                    bytes ? "\nbytes of reverse map per mapping" : "ns of a walk (visits)");
        for (unsigned row = 0; row < CASES * sizes_to_measure(); row++) {
            unsigned page_case = row / sizes_to_measure(), size = row % sizes_to_measure();
            const struct measured *line = results->of[page_case][size];
            printf("%-12s %6u %6llu", size ? "" : case_names[page_case], mappers[size],
                   (unsigned long long)line[0].hits);
            for (unsigned i = 0; i < designs->count; i++)
                if (bytes)
                    printf(" %13.1f", line[i].bytes);
                else
                    printf(" %8.0f (%6.0f)", line[i].ns, line[i].visits);
            printf("\n");
        }
    }
}

static void print_json(const struct results *results, const struct design_list *designs) {
    for (unsigned row = 0; row < CASES * sizes_to_measure() * designs->count; row++) {
        unsigned design = row % designs->count, size = row / designs->count % sizes_to_measure();
        unsigned page_case = row / designs->count / sizes_to_measure();
        const struct measured *measured = &results->of[page_case][size][design];
        printf("%s\n{\"page\":\"%s\",\"spaces\":%u,\"found\":%llu,\"design\":\"%s\",\"ns\":%.4g,"
               "\"visits\":%.4g,\"bytes_per_mapping\":%.4g}",
               row ? "," : "", case_names[page_case], mappers[size],
               (unsigned long long)measured->hits, designs->names[design], measured->ns,
               measured->visits, measured->bytes);
    }
}

int main(int argc, char **argv) {
    static const char *const notes[] = {
        "A walk finds all mappings of a page. Visits are areas, chain nodes, tables and entries "
        "looked",
        "at. late: the page came after the forks, to the parent or to the middle one of its "
        "children;",
        "kept: all but the middle child have replaced it by copies.", NULL
    };
    static struct results results;
    struct options options =
        options_read(argc, argv, "a reverse-map walk, by kind of page and number of mappers");
    struct design_list designs = design_list();
    struct place place = take_one_core();

    measure_all(&results, &designs, &options);
    if (options.json) {
        printf("{\"benchmark\":\"rmap\",\"core\":%d,\"realtime\":%s,\"rows\":[", place.core,
               place.realtime ? "true" : "false");
        print_json(&results, &designs);
    } else {
        print_tables(&results, &designs);
    }
    notes_print(options.json, notes);
    return 0;
}
