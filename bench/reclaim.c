/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reclaim.c - taking pages away from many processes at once, beside the kernel's own reclaim.
 *
 * N processes map the same 2048 pages and have read each of them, but not lately. Then all pages are
 * taken away: by vm_reclaim() here, by a memory cgroup's reclaim there (memory.force_empty in version
 * 1, memory.reclaim in version 2). Both look whether any process has used a page, unmap it from all of
 * them, and free it. Pages of a file are clean; the other kinds go to swap.
 *
 * The kernel is measured twice: with the processes inside the group, where both its walks look at
 * every page table, as ours do; and with the processes elsewhere, where its first one need not.
 */
#include <stdio.h>
#include <string.h>

#include "support/beside.h"
#include "support/forget.h"
#include "support/mappers.h"
#include "support/report.h"

enum { PAGES = 2048, MAPPERS_MOST = 1024, KINDS = 3, PLACES = 2 };

static const char *const kind_names[KINDS] = { "file", "shm", "forked" };

static const struct {
    unsigned mappers, rounds;
} sizes[] = { { 1, 15 }, { 16, 9 }, { 256, 3 }, { MAPPERS_MOST, 3 } };

enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

#define GOAL_OF_KERNEL 0.20

/* ---------------------------------------------------------------- the kernel */

enum { OPERATION_TRY, OPERATION_START, OPERATION_ROUND, OPERATION_END };

/* What a question's number means: which kind, how many processes. */
static uint64_t case_number(enum mapped_kind kind, unsigned mappers) {
    return (uint64_t)kind << 32 | mappers;
}

/* By place. */
static struct {
    struct memory_group group;
    struct mappers *mappers; /* NULL: not measured there */
} kernel[PLACES];

static const char *kernel_start_at(enum mapper_place place, enum mapped_kind kind,
                                   unsigned mappers) {
    const char *why = memory_group_make(&kernel[place].group);

    if (why)
        return why;
    kernel[place].mappers =
        mappers_start(&kernel[place].group, kind, place, mappers, (uint64_t)PAGES);
    return kernel[place].mappers ? NULL : "TMPDIR (or /tmp) is not on a disk";
}

static void kernel_end(void) {
    for (int place = 0; place < PLACES; place++) {
        if (kernel[place].mappers)
            mappers_end(kernel[place].mappers);
        kernel[place].mappers = NULL;
        memory_group_remove(&kernel[place].group);
    }
}

static const char *kernel_start(uint64_t number) {
    enum mapped_kind kind = (enum mapped_kind)(number >> 32);
    unsigned mappers = (unsigned)number;

    if (kind != MAPPED_FILE && kernel_swap_free() < (uint64_t)8 * PAGES * VM_PAGE_SIZE)
        return "this machine has no swap";
    const char *why = kernel_start_at(MAPPERS_INSIDE, kind, mappers);
    if (!why && kind != MAPPED_FORKED)
        why = kernel_start_at(MAPPERS_ELSEWHERE, kind, mappers);
    return why;
}

/* An answer that begins with a text; "" if there is nothing to say. */
static struct beside_answer answer_in_words(const char *text) {
    struct beside_answer answer = { { 0 } };

    if (text)
        memcpy(answer.ns, text, strnlen(text, sizeof(answer.ns) - 1));
    return answer;
}

/* ns[0]: ns for each page taken, ns[1]: pages taken. */
static struct beside_answer kernel_round(enum mapper_place place) {
    struct mappers *mappers = kernel[place].mappers;
    struct beside_answer answer = { { 0 } };

    mappers_touch(mappers);
    uint64_t resident = mappers_resident(mappers), before = nanoseconds();
    memory_group_reclaim(&kernel[place].group, resident * VM_PAGE_SIZE);
    uint64_t ns = nanoseconds() - before, taken = resident - mappers_resident(mappers);
    answer.ns[0] = taken ? (double)ns / (double)taken : 0;
    answer.ns[1] = (double)taken;
    return answer;
}

static struct beside_answer kernel_work(struct beside_question question) {
    const char *why = NULL;

    if (question.operation == OPERATION_ROUND)
        return kernel_round((enum mapper_place)question.pages);
    if (question.operation != OPERATION_END)
        why = kernel_start(question.pages);
    if (question.operation == OPERATION_END || question.operation == OPERATION_TRY || why)
        kernel_end();
    return answer_in_words(why);
}

/* ---------------------------------------------------------------- the library */

struct family {
    struct bench_machine bench;
    struct vm_space *spaces[MAPPERS_MOST];
    unsigned count;
    uint64_t memory;
};

static uint64_t map_object(struct vm_space *space, struct vm_object *object) {
    uint64_t memory = 0;

    must(vm_mmap(space, 0, PAGES * VM_PAGE_SIZE, VM_PROT_READ, VM_MAP_SHARED, object, 0, &memory),
         "vm_mmap");
    return memory;
}

static void build_object(struct family *family, enum mapped_kind kind) {
    struct vm_machine *machine = family->bench.machine;
    struct vm_object *object;

    if (kind == MAPPED_FILE) {
        struct vm_backing *disk = posix_memory_open(PAGES * VM_PAGE_SIZE);
        if (!disk)
            give_up("making a file in memory");
        must(vm_object_open(machine, disk, 1, &object), "vm_object_open");
    } else {
        must(vm_object_create_shm(machine, PAGES * VM_PAGE_SIZE, 1, &object),
             "vm_object_create_shm");
    }
    for (unsigned i = 0; i < family->count; i++) {
        must(vm_space_create(machine, i + 1, &family->spaces[i]), "vm_space_create");
        family->memory = map_object(family->spaces[i], object);
    }
    vm_object_put(object);
}

static void build_forked(struct family *family) {
    must(vm_space_create(family->bench.machine, 1, &family->spaces[0]), "vm_space_create");
    family->memory = library_map(family->spaces[0], PAGES);
    must(vm_touch(family->spaces[0], family->memory, PAGES, VM_WRITE, NULL), "vm_touch");
    for (unsigned i = 1; i < family->count; i++)
        must(vm_fork(family->spaces[0], i + 1, &family->spaces[i]), "vm_fork");
}

static void family_build(struct family *family, const struct bench_config *column,
                         enum mapped_kind kind, unsigned mappers) {
    struct bench_config config = *column;
    uint64_t tables = (uint64_t)mappers * (PAGES / 512 + 8);

    config.frames = frames_for(PAGES + tables);
    config.swap_pages = kind == MAPPED_FILE ? 0 : 2 * PAGES;
    family->count = mappers;
    bench_machine_open(&family->bench, &config);
    if (kind == MAPPED_FORKED)
        build_forked(family);
    else
        build_object(family, kind);
}

static void family_end(struct family *family) {
    bench_machine_close(&family->bench);
}

/* ns for each page taken. */
static double family_round(struct family *family) {
    for (unsigned i = 0; i < family->count; i++)
        must(vm_touch(family->spaces[i], family->memory, PAGES, VM_READ, NULL), "vm_touch");
    for (unsigned i = 0; i < family->count; i++)
        forget_use(family->spaces[i], family->memory, PAGES);

    uint64_t before = nanoseconds();
    uint64_t freed = vm_reclaim(family->bench.machine, PAGES);
    double ns = (double)(nanoseconds() - before);
    if (freed < PAGES)
        must(VM_OOM, "vm_reclaim");
    return ns / (double)freed;
}

/* ---------------------------------------------------------------- both in turns */

/* Without a design: --versus. */
static struct bench_config columns[] = {
    { .design = "anon-vma", .cpus = 1, .contents = VM_METADATA_ONLY },
    { .design = "anon-vma", .cpus = 2, .contents = VM_METADATA_ONLY },
    { .design = "anon-vma-chain", .cpus = 2, .contents = VM_METADATA_ONLY },
    { .design = "anonmm", .cpus = 2, .contents = VM_METADATA_ONLY },
    { .cpus = 2, .contents = VM_METADATA_ONLY },
    { .design = "virtual-scan", .cpus = 2, .contents = VM_METADATA_ONLY },
};

enum { COLUMNS = sizeof(columns) / sizeof(columns[0]), JUDGED = 0xf /* object-based */ };

/* ns for each page. */
struct measured {
    struct samples kernel[PLACES], library[COLUMNS];
    double taken; /* the smallest share of the pages that the kernel took in a round */
};

static void kernel_turns(struct beside *beside, enum mapped_kind kind, struct measured *measured) {
    for (unsigned place = 0; place < PLACES; place++) {
        if (kind == MAPPED_FORKED && place == MAPPERS_ELSEWHERE)
            continue;
        struct beside_answer answer = beside_ask(beside, OPERATION_ROUND, place);
        double taken = answer.ns[1] / PAGES;
        samples_add(&measured->kernel[place], answer.ns[0]);
        measured->taken = taken < measured->taken ? taken : measured->taken;
    }
}

/* The first turn of each warms up, and is forgotten. */
static void measure(struct measured *measured, struct beside *beside, bool with_kernel,
                    enum mapped_kind kind, unsigned mappers, unsigned rounds) {
    static struct measured warm_up;
    static struct family families[COLUMNS];

    *measured = (struct measured){ .taken = 1 };
    warm_up = (struct measured){ .taken = 1 };
    if (with_kernel)
        beside_ask(beside, OPERATION_START, case_number(kind, mappers));
    for (unsigned i = 0; i < COLUMNS; i++)
        family_build(&families[i], &columns[i], kind, mappers);
    for (unsigned round = 0; round <= rounds; round++) {
        struct measured *to = round ? measured : &warm_up;
        if (with_kernel)
            kernel_turns(beside, kind, to);
        for (unsigned i = 0; i < COLUMNS; i++)
            samples_add(&to->library[i], family_round(&families[i]));
    }
    for (unsigned i = 0; i < COLUMNS; i++)
        family_end(&families[i]);
    if (with_kernel)
        beside_ask(beside, OPERATION_END, 0);
}

/* ---------------------------------------------------------------- what is printed */

static struct samples scaled(const struct samples *samples, double divisor) {
    struct samples result = { .count = 0 };

    for (unsigned i = 0; i < samples->count; i++)
        samples_add(&result, samples->values[i] / divisor);
    return result;
}

static void report_row(struct report *report, const char *operation, const struct measured *from,
                       enum mapper_place place, const char *unit, double divisor) {
    struct samples ours[COLUMNS], kernel_samples = scaled(&from->kernel[place], divisor);
    bool judged = kernel_samples.count > 0 && divisor != 0 && strcmp(unit, "ns/mapping") == 0;

    for (unsigned i = 0; i < COLUMNS; i++)
        ours[i] = scaled(&from->library[i], divisor);
    report_line(report, &(struct line){ .operation = operation,
                                        .size = unit,
                                        .unit = unit,
                                        .ours = ours,
                                        .kernel = kernel_samples.count ? &kernel_samples : NULL,
                                        .goal = judged ? GOAL_RATIO : GOAL_NONE,
                                        .limit = GOAL_OF_KERNEL,
                                        .judged = JUDGED });
}

static void report_case(struct report *report, const struct measured *measured,
                        enum mapped_kind kind, unsigned mappers) {
    char operation[64];

    for (int place = PLACES - 1; place >= 0; place--) {
        if (place == MAPPERS_ELSEWHERE && measured->kernel[place].count == 0)
            continue;
        snprintf(operation, sizeof(operation), "%s, %u %s%s", kind_names[kind], mappers,
                 mappers == 1 ? "process" : "processes",
                 place == MAPPERS_ELSEWHERE ? " elsewhere" : "");
        report_row(report, operation, measured, (enum mapper_place)place, "ns/page", 1);
        report_row(report, operation, measured, (enum mapper_place)place, "ns/mapping", mappers);
    }
    if (measured->taken < 0.99 && !report->json)
        printf("  (of these pages the kernel took %.0f %% in the worst round)\n",
               100 * measured->taken);
}

static bool kernel_can(struct beside *beside, const struct report *report, enum mapped_kind kind) {
    struct beside_answer answer = beside_ask(beside, OPERATION_TRY, case_number(kind, 1));
    const char *why = (const char *)answer.ns;

    if (*why && !report->json)
        printf("(%s: kernel skipped: %.*s; ours alone: --large)\n", kind_names[kind],
               (int)sizeof(answer.ns), why);
    return !*why;
}

int main(int argc, char **argv) {
    static const char *const notes[] = {
        "2048 pages, read by every process but not lately, are taken from all of them; per page, "
        "and",
        "per page and process. The kernel's reclaim is a memory cgroup's. elsewhere: the processes",
        "are not in the group, so that its first walk leaves their page tables out; ours never "
        "does.",
        "The kernel's time holds what ours does not: flushing TLBs, uncharging the group. Ours",
        "holds what the kernel's does not: freeing the page tables that have become empty.",
        NULL
    };
    static struct measured measured;
    struct options options =
        options_read(argc, argv, "reclaim of pages that many processes map, beside the kernel's");
    struct report report;
    struct beside beside;
    struct place place = take_one_core();

    beside_start(&beside, kernel_work);
    options_apply(&options, columns, COLUMNS);
    report_open(&report, "reclaim", &options, &place, columns, COLUMNS);
    for (int kind = 0; kind < KINDS; kind++) {
        bool with_kernel = kernel_can(&beside, &report, (enum mapped_kind)kind);
        for (unsigned i = 0; i < SIZES && (with_kernel || options.large); i++) {
            measure(&measured, &beside, with_kernel, (enum mapped_kind)kind, sizes[i].mappers,
                    options.rounds ? options.rounds : sizes[i].rounds);
            report_case(&report, &measured, (enum mapped_kind)kind, sizes[i].mappers);
        }
    }
    notes_print(report.json, notes);
    beside_end(&beside);
    return 0;
}
