/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * designs.c - what each design makes of mapping, forking, unmapping and moving pages.
 *
 * One round does each event once, in one machine for each design, with fork copying all entries
 * (--fork eager), so that shared file pages show what they cost, too. Three tables: ns per page,
 * medians of rounds in which the designs take turns; how often the design was called about entries,
 * and with how many at a time; and, under callgrind, a profile for each event at two sizes, from
 * which instructions.sh takes what one page more costs and what a call costs besides.
 *
 * The design that nothing is told, virtual-scan, is what the others are to be held against.
 */
#include <stdio.h>

#include "support/beside.h"
#include "support/callgrind.h"
#include "support/design_list.h"
#include "support/report.h"
#include "support/told.h"

enum event {
    FIRST_WRITE,
    FILE_READ,
    FORK,
    EXIT,
    FORK_SHARED,
    EXIT_SHARED,
    MOVE,
    MUNMAP,
    MOVE_SHARED,
    EVENTS
};

static const struct {
    const char *name;
    const char *text;
} events[EVENTS] = {
    [FIRST_WRITE] = { "first write", "a fault for each page of fresh anonymous memory" },
    [FILE_READ] = { "file read", "faults on cached pages of a file, 16 pages each" },
    [FORK] = { "fork", "of written anonymous memory" },
    [EXIT] = { "exit", "of that child" },
    [FORK_SHARED] = { "fork, file", "of a shared mapping of a file, eagerly" },
    [EXIT_SHARED] = { "exit, file", "of that child" },
    [MOVE] = { "move", "mremap of anonymous memory that nobody shares" },
    [MUNMAP] = { "munmap", "by the last user" },
    [MOVE_SHARED] = { "move, shared", "the same while a child shares the pages" },
};

/* Apart from each other and aligned, so that memory takes the same page tables wherever it is. */
#define MEMORY  UINT64_C(0x100000000000)
#define OTHER   UINT64_C(0x200000000000)
#define FILE_AT UINT64_C(0x300000000000)

enum { PAGES = 4096, ROUNDS = 11 };

/* ---------------------------------------------------------------- watching an event */

struct watch {
    const char *design;
    uint64_t pages;
    bool profiled;
    struct told *told; /* NULL: not counted */
    uint64_t before;
    struct told_counts told_before;
    double ns[EVENTS];
    struct told_counts counts[EVENTS];
};

static void begin(struct watch *watch) {
    if (watch->told)
        watch->told_before = told_so_far(watch->told);
    if (watch->profiled)
        instructions_begin();
    watch->before = nanoseconds();
}

static void end(struct watch *watch, enum event event) {
    watch->ns[event] = (double)(nanoseconds() - watch->before);
    if (watch->profiled) {
        char name[64];
        CALLGRIND_STOP_INSTRUMENTATION;
        snprintf(name, sizeof(name), "%s/%s/%u/1", watch->design, events[event].name,
                 (unsigned)watch->pages);
        CALLGRIND_DUMP_STATS_AT(name);
    }
    if (watch->told) {
        struct told_counts now = told_so_far(watch->told);
        watch->counts[event].calls = now.calls - watch->told_before.calls;
        watch->counts[event].entries = now.entries - watch->told_before.entries;
    }
}

/* ---------------------------------------------------------------- the events */

struct subject {
    struct bench_machine bench;
    struct vm_object *file;
    struct vm_space *reader; /* has read the whole file, which is cached therefore */
};

static struct vm_space *new_space(struct vm_machine *machine) {
    struct vm_space *space;
    must(vm_space_create(machine, 1, &space), "vm_space_create");
    return space;
}

static void map_fixed(struct vm_space *space, uint64_t address, uint64_t pages,
                      struct vm_object *file) {
    must(vm_mmap(space, address, pages * VM_PAGE_SIZE, VM_PROT_READ | VM_PROT_WRITE,
                 VM_MAP_FIXED | (file ? VM_MAP_SHARED : VM_MAP_PRIVATE), file, 0, &address),
         "vm_mmap");
}

static struct vm_space *fork_child(struct vm_space *parent) {
    struct vm_space *child;
    must(vm_fork(parent, 2, &child), "vm_fork");
    return child;
}

static void move(struct vm_space *space, uint64_t from, uint64_t to, uint64_t pages) {
    uint64_t bytes = pages * VM_PAGE_SIZE;
    must(vm_mremap(space, from, bytes, bytes, VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, to, &to),
         "vm_mremap");
}

static void anonymous_events(struct vm_machine *machine, struct watch *watch) {
    struct vm_space *parent = new_space(machine), *child;
    uint64_t pages = watch->pages;

    map_fixed(parent, MEMORY, pages, NULL);
    begin(watch);
    must(vm_touch(parent, MEMORY, pages, VM_WRITE, NULL), "vm_touch");
    end(watch, FIRST_WRITE);

    begin(watch);
    child = fork_child(parent);
    end(watch, FORK);
    begin(watch);
    vm_exit(child);
    end(watch, EXIT);

    begin(watch);
    move(parent, MEMORY, OTHER, pages);
    end(watch, MOVE);

    begin(watch);
    must(vm_munmap(parent, OTHER, pages * VM_PAGE_SIZE), "vm_munmap");
    end(watch, MUNMAP);
    vm_exit(parent);
}

/* Apart, for a design that makes copies leaves the free frames in another order. */
static void move_shared(struct vm_machine *machine, struct watch *watch) {
    struct vm_space *parent = new_space(machine), *child;

    map_fixed(parent, MEMORY, watch->pages, NULL);
    must(vm_touch(parent, MEMORY, watch->pages, VM_WRITE, NULL), "vm_touch");
    child = fork_child(parent);
    begin(watch);
    move(parent, MEMORY, OTHER, watch->pages);
    end(watch, MOVE_SHARED);
    vm_exit(child);
    vm_exit(parent);
}

static void file_events(struct vm_machine *machine, struct vm_object *file, struct watch *watch) {
    struct vm_space *parent = new_space(machine), *child;

    map_fixed(parent, FILE_AT, watch->pages, file);
    begin(watch);
    must(vm_touch(parent, FILE_AT, watch->pages, VM_READ, NULL), "vm_touch");
    end(watch, FILE_READ);

    begin(watch);
    child = fork_child(parent);
    end(watch, FORK_SHARED);
    begin(watch);
    vm_exit(child);
    end(watch, EXIT_SHARED);
    vm_exit(parent);
}

static void warm_up(struct subject *subject, struct watch *watch) {
    anonymous_events(subject->bench.machine, watch);
    file_events(subject->bench.machine, subject->file, watch);
}

static void once(struct subject *subject, struct watch *watch) {
    warm_up(subject, watch);
    move_shared(subject->bench.machine, watch);
}

/* ---------------------------------------------------------------- subjects */

static void subject_open(struct subject *subject, const char *design, uint64_t pages) {
    struct bench_config config = { .design = design,
                                   .contents = VM_METADATA_ONLY,
                                   .cpus = 1,
                                   .fork_copy = VM_FORK_EAGER,
                                   .frames = frames_for(3 * pages) };
    struct vm_backing *disk = posix_memory_open(pages * VM_PAGE_SIZE);

    if (!disk)
        give_up("making a file in memory");
    bench_machine_open(&subject->bench, &config);
    must(vm_object_open(subject->bench.machine, disk, 1, &subject->file), "vm_object_open");
    subject->reader = new_space(subject->bench.machine);
    map_fixed(subject->reader, FILE_AT, pages, subject->file);
    must(vm_touch(subject->reader, FILE_AT, pages, VM_READ, NULL), "vm_touch");
}

static void subject_close(struct subject *subject) {
    vm_exit(subject->reader);
    vm_object_put(subject->file);
    bench_machine_close(&subject->bench);
}

/* ---------------------------------------------------------------- measuring */

struct results {
    struct samples ns[EVENTS][DESIGNS_MOST]; /* per page */
    struct told_counts told[EVENTS][DESIGNS_MOST];
};

/* The first round warms up, and is the one whose calls are counted: counting takes time. */
static void measure_round(struct subject *subjects, const struct design_list *designs,
                          unsigned round, struct results *results) {
    for (unsigned i = 0; i < designs->count; i++) {
        struct watch watch = { .design = designs->names[i], .pages = PAGES };
        if (round == 0)
            watch.told = told_begin(subjects[i].bench.machine);
        once(&subjects[i], &watch);
        for (enum event event = 0; event < EVENTS; event++) {
            if (round == 0)
                results->told[event][i] = watch.counts[event];
            else
                samples_add(&results->ns[event][i], watch.ns[event] / PAGES);
        }
        if (watch.told)
            told_end(watch.told);
    }
}

static void measure(const struct design_list *designs, unsigned rounds, struct results *results) {
    static struct subject subjects[DESIGNS_MOST];

    for (unsigned i = 0; i < designs->count; i++)
        subject_open(&subjects[i], designs->names[i], PAGES);
    for (unsigned round = 0; round <= rounds; round++)
        measure_round(subjects, designs, round, results);
    for (unsigned i = 0; i < designs->count; i++)
        subject_close(&subjects[i]);
}

/* Under callgrind: each event at two sizes, after a round that is not counted. */
static void profile(const struct design_list *designs) {
    for (unsigned i = 0; i < designs->count; i++)
        for (uint64_t pages = PAGES / 2; pages <= PAGES; pages *= 2) {
            struct subject subject;
            struct watch unwatched = { .pages = pages };
            struct watch watch = { .design = designs->names[i], .pages = pages, .profiled = true };
            subject_open(&subject, designs->names[i], pages);
            warm_up(&subject, &unwatched);
            once(&subject, &watch);
            subject_close(&subject);
        }
}

/* ---------------------------------------------------------------- printing */

static void print_times(const struct results *results, const struct design_list *designs) {
    design_list_print_heads(designs, "ns per page");
    for (enum event event = 0; event < EVENTS; event++) {
        printf("%-*s", DESIGN_ROW_NAME, events[event].name);
        for (unsigned i = 0; i < designs->count; i++)
            printf(" %*.1f", DESIGN_COLUMN - 1, samples_median(&results->ns[event][i]));
        printf("\n");
    }
}

static void print_told(const struct results *results, const struct design_list *designs) {
    printf("\n");
    design_list_print_heads(designs, "calls, for 4096 pages");
    for (enum event event = 0; event < EVENTS; event++) {
        printf("%-*s", DESIGN_ROW_NAME, events[event].name);
        for (unsigned i = 0; i < designs->count; i++)
            printf(" %*llu", DESIGN_COLUMN - 1, (unsigned long long)results->told[event][i].calls);
        printf("\n");
    }
}

static void print_json(const struct results *results, const struct design_list *designs) {
    for (unsigned row = 0; row < EVENTS * designs->count; row++) {
        unsigned event = row / designs->count, design = row % designs->count;
        const struct told_counts *told = &results->told[event][design];
        printf("%s\n{\"event\":\"%s\",\"what\":\"%s\",\"design\":\"%s\",\"pages\":%d,"
               "\"ns_per_page\":%.4g,\"calls\":%llu,\"entries_told\":%llu}",
               row ? "," : "", events[event].name, events[event].text, designs->names[design],
               PAGES, samples_median(&results->ns[event][design]), (unsigned long long)told->calls,
               (unsigned long long)told->entries);
    }
}

static void print_legend(void) {
    printf("\n");
    for (enum event event = 0; event < EVENTS; event++)
        printf("%-14s %s\n", events[event].name, events[event].text);
}

int main(int argc, char **argv) {
    static const char *const notes[] = {
        "Calls are those about entries, new anonymous pages and freed pages: 8 for 4096 pages is "
        "one",
        "for each page table, with all its 512 entries. Machines have 1 CPU and no contents.", NULL
    };
    static struct results results;
    struct options options =
        options_read(argc, argv, "mapping, forking, unmapping and moving pages, by design");
    struct design_list designs = design_list();
    struct place place = take_one_core();

    if (RUNNING_ON_VALGRIND) {
        profile(&designs);
        return 0;
    }
    measure(&designs, options.rounds ? options.rounds : ROUNDS, &results);
    if (options.json) {
        printf("{\"benchmark\":\"designs\",\"core\":%d,\"realtime\":%s,\"rows\":[", place.core,
               place.realtime ? "true" : "false");
        print_json(&results, &designs);
    } else {
        print_times(&results, &designs);
        print_told(&results, &designs);
        print_legend();
    }
    notes_print(options.json, notes);
    return 0;
}
