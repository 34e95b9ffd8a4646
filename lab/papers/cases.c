/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cases.c - the cases, in the order in which the papers argue: what chains cost, what they take, and
 * what the search that replaces them costs.
 */
#include "papers/case.h"

#include "memory.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 9, MANY_ROUNDS = 25, DESIGNS = 8, TEXT = 160 };

#define GIB (1024.0 * 1024 * 1024)

/* In 2003 a fault mapped one page, and fork copied every entry. */
static struct setup in_2003(const char *format, ...) __attribute__((format(printf, 1, 2)));

static struct setup in_2003(const char *format, ...) {
    struct setup setup = {
        .file_index = "list", .fork_copy = VM_FORK_EAGER, .fault_around = 1, .rounds = ROUNDS
    };
    va_list values;
    va_start(values, format);
    vsnprintf(setup.workload, sizeof(setup.workload), format, values);
    va_end(values);
    return setup;
}

static double change(double before, double after) {
    return before > 0 ? (after - before) / before * 100 : 0;
}

static double ns_of(const struct run_result *result, enum op op) {
    const struct op_count *count = &result->ops[op];
    return count->count ? (double)count->ns / (double)count->count : 0;
}

/* The most there were at once. */
static double chain_objects(const struct run_result *result) {
    for (unsigned i = 0; i < result->cache_count; i++)
        if (result->caches[i].cost == VM_COST_RMAP && strstr(result->caches[i].name, "chain"))
            return (double)result->caches[i].peak_bytes / (double)result->caches[i].object_bytes;
    return 0;
}

static double per_page(const struct asked *asked, uint64_t count) {
    return asked->pages ? (double)count / (double)asked->pages : 0;
}

static double visits(const struct run_result *result) {
    return per_page(&result->asked, result->asked.object_visits);
}

/* Frees the results; gives NULL unless complete. */
static json_t *case_end(json_t *paper_case, struct run_result *results) {
    free(results);
    return paper_case;
}

/* ---------------------------------------------------------------- partial objrmap's gain */

/* What a mapping's coming and going costs is what a run takes beyond the same without reverse map. */
static const char *const partial_designs[] = { "pte-chain", "objrmap-partial", "virtual-scan" };

enum { CHAINS, PARTIAL, NO_MAP };

static void tell_rmap_cost(json_t *result, const struct run_result *runs, const char *add,
                           const char *both) {
    case_figure(result, "chain operations (add, remove)", add, "%+.1f %%",
                change((double)runs[CHAINS].stats.rmap.chain_locks,
                       (double)runs[PARTIAL].stats.rmap.chain_locks));
    case_figure(result, "chain nodes read to remove an entry", both, "%+.1f %%",
                change((double)runs[CHAINS].stats.rmap.removal_visits,
                       (double)runs[PARTIAL].stats.rmap.removal_visits));
    case_figure(result, "time beyond a machine without reverse map", NULL, "%+.1f %%",
                change(runs[CHAINS].seconds - runs[NO_MAP].seconds,
                       runs[PARTIAL].seconds - runs[NO_MAP].seconds));
}

static json_t *kernbench(uint64_t scale) {
    struct setup setup =
        in_2003("kernbench:files=%llu,jobs=256", (unsigned long long)(400 * scale));
    struct run_result *runs = new_array(DESIGNS, sizeof(*runs));
    json_t *result =
        case_begin("Kernel compile: make -j256 (kernbench-16)", "Bligh & Hansen, section 8.2");
    case_scale(result, &setup, "a generated build, 256 compilers at a time");
    if (!case_run(&setup, partial_designs, 3, runs))
        return free(runs), json_decref(result), NULL;
    double chains = runs[CHAINS].seconds, partial = runs[PARTIAL].seconds;
    case_figure(result, "system time, pte chains, s", "139.55", "%.3f", chains);
    case_figure(result, "system time, partial objrmap, s", "121.83", "%.3f", partial);
    case_figure(result, "change of system time", "-12.7 %", "%+.1f %%", change(chains, partial));
    case_figure(result, "pte_chain objects, pte chains", "24116", "%.0f",
                chain_objects(&runs[CHAINS]));
    case_figure(result, "pte_chain objects, partial objrmap", "716", "%.0f",
                chain_objects(&runs[PARTIAL]));
    case_figure(result, "change of pte_chain objects", "-97.0 %", "%+.1f %%",
                change(chain_objects(&runs[CHAINS]), chain_objects(&runs[PARTIAL])));
    tell_rmap_cost(result, runs, NULL, NULL);
    case_remark(
        result,
        "System time is all that the kernel does, and memory management a part of it; here "
        "there is nothing else, so the gain is a larger share. The generated compilers start "
        "by vfork and share no private page, so hardly any chain is left for partial "
        "objrmap; a real build's shells and pipes fork, and keep some.");
    return case_end(result, runs);
}

static json_t *recorded_build(uint64_t scale) {
    (void)scale;
    char path[TEXT];
    struct setup setup = in_2003("kernbench:files=200,jobs=2,spawn=fork");
    setup.rounds = MANY_ROUNDS;
    setup.trace = case_recording("compile.vmt.zst", path, sizeof(path));
    struct run_result *runs = new_array(DESIGNS, sizeof(*runs));
    json_t *result = case_begin("A compile of today", "Bligh & Hansen, section 8.2, as above");
    case_scale(result, &setup,
               setup.trace ? "a recorded build, two compilers at a time"
                           : "a generated build, since no recording was found; two at a time");
    if (!case_run(&setup, partial_designs, 3, runs))
        return free(runs), json_decref(result), NULL;
    case_figure(result, "change of system time", "-12.7 %", "%+.1f %%",
                change(runs[CHAINS].seconds, runs[PARTIAL].seconds));
    case_figure(result, "pte_chain objects, pte chains", "24116", "%.0f",
                chain_objects(&runs[CHAINS]));
    case_figure(result, "pte_chain objects, partial objrmap", "716", "%.0f",
                chain_objects(&runs[PARTIAL]));
    tell_rmap_cost(result, runs, NULL, NULL);
    case_remark(
        result,
        "Two compilers share their text, not 256: chains are short, most entries are direct, "
        "and taking one out is no search. And most operations on chains are for private "
        "pages now, which partial objrmap keeps in chains. It has little to gain here.");
    return case_end(result, runs);
}

static json_t *sdet(uint64_t scale) {
    struct setup setup = in_2003("sdet:users=64,scripts=%llu", (unsigned long long)(400 * scale));
    struct run_result *runs = new_array(DESIGNS, sizeof(*runs));
    json_t *result =
        case_begin("SDET with 64 scripts at a time",
                   "Bligh & Hansen, section 8.2 (throughput; profile of both functions)");
    case_scale(result, &setup,
               "scripts of short commands, generated; SPEC's SDET itself is not free");
    if (!case_run(&setup, partial_designs, 3, runs))
        return free(runs), json_decref(result), NULL;
    case_figure(result, "throughput, partial objrmap against pte chains", "+21.2 %", "%+.1f %%",
                change(1 / runs[CHAINS].seconds, 1 / runs[PARTIAL].seconds));
    tell_rmap_cost(result, runs, "-78.9 % (add)", "-83.8 % (rem.)");
    case_figure(result, "of all time, what pte chains add", NULL, "%.0f %%",
                100 - 100 * runs[NO_MAP].seconds / runs[CHAINS].seconds);
    case_remark(result,
                "The paper counts ticks in page_add_rmap and page_remove_rmap on 16 processors, "
                "where most of a tick is a cache line that another processor has; here it is how "
                "often a chain is taken up and how many nodes are read. Throughput here is that of "
                "memory management alone, without the commands' own work.");
    return case_end(result, runs);
}

static json_t *fork_and_exit(uint64_t scale) {
    static const char *const designs[] = { "virtual-scan",    "pte-chain-list", "pte-chain",
                                           "objrmap-partial", "anon-vma",       "anon-vma-chain" };
    struct setup setup = in_2003("early-parent:children=20,pages=%llu,exits=newest",
                                 (unsigned long long)(4096 * scale));
    struct run_result *runs = new_array(DESIGNS, sizeof(*runs));
    json_t *result =
        case_begin("fork and exit of a process with written memory", "McCracken, section 2");
    case_scale(result, &setup, "20 children inherit 16 MiB of anonymous memory each");
    if (!case_run(&setup, designs, 6, runs))
        return free(runs), json_decref(result), NULL;
    for (unsigned d = 1; d < 6; d++) {
        char what[TEXT];
        snprintf(what, sizeof(what), "fork, %s, times virtual-scan", designs[d]);
        case_figure(result, what, d == 1 ? "close to 10" : NULL, "%.1f",
                    ns_of(&runs[d], OP_FORK) / ns_of(&runs[0], OP_FORK));
        snprintf(what, sizeof(what), "exit, %s, times virtual-scan", designs[d]);
        case_figure(result, what, d == 1 ? "close to 10" : NULL, "%.1f",
                    ns_of(&runs[d], OP_EXIT) / ns_of(&runs[0], OP_EXIT));
    }
    case_remark(
        result,
        "The paper's words are \"close to an order of magnitude worse\", without a table. The "
        "oldest design comes nearest. Object-based designs only count mappings, and so does "
        "virtual-scan here, which is why both are near 1. Partial objrmap keeps chains for "
        "anonymous memory: for it this is the bad case.");
    return case_end(result, runs);
}

/* ---------------------------------------------------------------- what chains take */

static json_t *five_thousand(uint64_t scale) {
    static const char *const designs[] = { "pte-chain-list", "pte-chain", "shadow",
                                           "objrmap-partial", "anon-vma" };
    static const char *const papers[] = { NULL, "10 GB", NULL, NULL, NULL };
    enum { PROCESSES = 98, MIB = 64, UPPER_TABLES = 3 };
    struct setup setup = in_2003("shared-segment:processes=%llu,size=%dM",
                                 (unsigned long long)(PROCESSES * scale), (int)MIB);
    setup.rounds = 1;
    double factor = 5000.0 / (PROCESSES * (double)scale) * (2048.0 / MIB);
    char words[TEXT], what[TEXT];
    snprintf(words, sizeof(words),
             "%.0f processes x %d MiB, measured; times 5000/%.0f x 2048/%d = %.0f for the figures",
             PROCESSES * (double)scale, MIB, PROCESSES * (double)scale, MIB, factor);
    struct run_result *runs = new_array(DESIGNS, sizeof(*runs));
    json_t *result =
        case_begin("5000 processes share 2 GiB of memory", "Bligh & Hansen, sections 4 and 8");
    case_scale(result, &setup, words);
    if (!case_run(&setup, designs, 5, runs))
        return free(runs), json_decref(result), NULL;
    double upper = UPPER_TABLES * PROCESSES * (double)scale;
    double tables = ((double)runs[0].stats.memory.tables_peak - upper) * (double)VM_PAGE_SIZE;
    case_figure(result, "page tables, last level, measured, MiB", NULL, "%.1f", tables / (1 << 20));
    case_figure(result, "page tables, last level, for 5000 x 2 GiB", "20 GB", "%.1f GiB",
                tables * factor / GIB);
    for (unsigned d = 0; d < 5; d++) {
        double bytes = (double)runs[d].cost_peak[VM_COST_RMAP];
        snprintf(what, sizeof(what), "reverse map, %s, measured, MiB", designs[d]);
        case_figure(result, what, NULL, "%.1f", bytes / (1 << 20));
        snprintf(what, sizeof(what), "reverse map, %s, for 5000 x 2 GiB", designs[d]);
        case_figure(result, what, papers[d], "%.1f GiB", bytes * factor / GIB);
    }
    case_remark(
        result,
        "2.62e9 mappings. The paper's pointers have 4 bytes, so that 7 to 31 entries share a "
        "node: about 4 bytes an entry, and 8 in a list of single nodes (19.5 GiB). Here they "
        "have 8 bytes: 64-byte nodes hold 7 entries, 9.1 bytes each (98 processes fill 14 "
        "nodes), and single nodes take 16. Shadow pages cost the same whether an entry is "
        "used or not. The levels above, 3 tables a process here, are left out, as in the "
        "paper.");
    return case_end(result, runs);
}

/* ---------------------------------------------------------------- what the search costs */

/* A design and a way of keeping a file's areas: what the next cases set side by side. */
struct search {
    const char *design, *index;
};

/* One run for each. */
static bool run_searches(const struct setup *setup, const struct search *searches, unsigned count,
                         struct run_result *results) {
    for (unsigned i = 0; i < count; i++) {
        struct setup own = *setup;
        own.file_index = searches[i].index;
        if (!case_run(&own, &searches[i].design, 1, &results[i]))
            return false;
    }
    return true;
}

static void name_search(const struct search *search, const char *before, char *what) {
    if (strcmp(search->design, "pte-chain") == 0)
        snprintf(what, TEXT, "%s, pte-chain", before);
    else
        snprintf(what, TEXT, "%s, objects, %s", before, search->index);
}

static const struct search all_searches[] = {
    { "pte-chain", "list" },         { "anon-vma", "list" },      { "anon-vma", "sorted" },
    { "anon-vma", "list-of-lists" }, { "anon-vma", "prio-tree" }, { "anon-vma", "interval-tree" },
};

static json_t *hundred_by_hundred(uint64_t scale) {
    static const char *const papers[] = { "100", "10 000", NULL, NULL, NULL, NULL };
    (void)scale;
    struct setup setup = in_2003("hundred-by-hundred");
    struct run_result *runs = new_array(DESIGNS, sizeof(*runs));
    json_t *result = case_begin("100 processes map 100 areas of one file each",
                                "Bligh & Hansen, section 8.2, objection 2; the remedy is figure 4");
    case_scale(result, &setup, "as in the paper; one page of each area is asked about");
    if (!run_searches(&setup, all_searches, 6, runs))
        return free(runs), json_decref(result), NULL;
    setup.file_index = NULL;
    case_scale(result, &setup, "as in the paper; one page of each area is asked about");
    for (unsigned i = 0; i < 6; i++) {
        char what[TEXT];
        name_search(&all_searches[i], "places looked at", what);
        case_figure(result, what, papers[i], "%.0f", visits(&runs[i]));
        name_search(&all_searches[i], "time for a page, us", what);
        case_figure(result, what, NULL, "%.2f", per_page(&runs[i].asked, runs[i].asked.ns) / 1000);
    }
    case_remark(
        result,
        "A visit of a chain is a node of 7 entries, so 100 mappings are 15 visits. A list is "
        "left as soon as all mappings are found: on average that spares a little of the "
        "10 000. list-of-lists pays for the ranges before the page's, the trees for the "
        "depth.");
    return case_end(result, runs);
}

static json_t *mmap3(uint64_t scale) {
    (void)scale;
    static const struct search searches[] = {
        { "pte-chain", "list" },
        { "anon-vma", "list" },
        { "anon-vma", "prio-tree" },
        { "anon-vma", "interval-tree" },
    };
    static const char *const papers[] = { "3.4", "hang", "3.7", NULL };
    struct setup setup = in_2003("mmap3:areas=18000,forks=5,touched=1000");
    setup.rounds = 1;
    struct run_result *runs = new_array(DESIGNS, sizeof(*runs));
    json_t *result = case_begin("test-mmap3: 18 000 areas of one page, 32 processes",
                                "Molnar; figures by Venkatasubramanian: seconds of system time");
    if (!run_searches(&setup, searches, 4, runs))
        return free(runs), json_decref(result), NULL;
    setup.file_index = NULL;
    case_scale(result, &setup, "as there, but every process reads 1000 pages, and none is evicted");
    for (unsigned i = 0; i < 4; i++) {
        char what[TEXT];
        name_search(&searches[i], "seconds", what);
        case_figure(result, what, papers[i], "%.2f", runs[i].seconds);
        name_search(&searches[i], "places looked at for a page", what);
        case_figure(result, what, NULL, "%.0f", visits(&runs[i]));
        name_search(&searches[i], "time for a page, us", what);
        case_figure(result, what, NULL, "%.1f", per_page(&runs[i].asked, runs[i].asked.ns) / 1000);
    }
    case_remark(
        result,
        "Our seconds are without reclaim; theirs are mostly reclaim, and with lists it did "
        "not end. What one page costs it tells the same: more than half a million areas to "
        "look at for 32 mappings, on lists. The fork of 18 000 areas costs a tree more than a "
        "list; prio_tree hangs equal ranges side by side, which spares it that.");
    return case_end(result, runs);
}

static json_t *rmap_test(const char *title, const char *workload, double memory_percent,
                         const char *const *papers, const char *words, const char *remark) {
    static const struct search searches[] = {
        { "pte-chain", "list" },
        { "anon-vma", "prio-tree" },
        { "anon-vma", "list" },
        { "anon-vma", "interval-tree" },
    };
    struct setup setup = in_2003("%s", workload);
    setup.rounds = 1;
    setup.memory_percent = memory_percent;
    struct run_result *runs = new_array(DESIGNS, sizeof(*runs));
    json_t *result = case_begin(title, "Venkatasubramanian: seconds of system time");
    if (!run_searches(&setup, searches, 4, runs))
        return free(runs), json_decref(result), NULL;
    setup.file_index = NULL;
    case_scale(result, &setup, words);
    for (unsigned i = 0; i < 4; i++) {
        char what[TEXT];
        name_search(&searches[i], "seconds", what);
        case_figure(result, what, papers[i], "%.2f", runs[i].seconds);
        name_search(&searches[i], "places looked at for a page", what);
        double walks = (double)runs[i].stats.rmap.walks;
        case_figure(result, what, NULL, "%.0f",
                    walks > 0 ? (double)runs[i].stats.rmap.object_visits / walks : 0);
    }
    case_remark(result, "%s", remark);
    return case_end(result, runs);
}

static json_t *rmap_test_1(uint64_t scale) {
    static const char *const papers[] = { "277", "204", "> 19 834", NULL };
    char workload[TEXT];
    snprintf(workload, sizeof(workload), "rmap-test:tasks=%llu,areas=100,pages=20",
             (unsigned long long)(100 * scale));
    return rmap_test(
        "rmap-test 1: windows written one after the other", workload, 70, papers,
        "100 tasks x 100 areas x 20 pages once, not 600 pages ten times; memory for 70 %",
        "Theirs ran ten rounds, and wrote dirty pages back to a disk; here a page is "
        "looked for when memory is short, and written at once. So lists lose by less, "
        "but by the same cause: each page is looked for among all areas of the file. Reclaim "
        "looks for neighbours together, and an area that shows several counts once: hence "
        "fewer places than mappings with trees.");
}

static json_t *rmap_test_2(uint64_t scale) {
    static const char *const papers[] = { "212", "102", "606", NULL };
    char workload[TEXT];
    snprintf(workload, sizeof(workload), "rmap-test:tasks=%llu,areas=100,pages=20,order=random",
             (unsigned long long)(100 * scale));
    return rmap_test("rmap-test 2: windows and pages at random", workload, 70, papers,
                     "as test 1, at random",
                     "Few processes map the same page, since each writes at random: the search is "
                     "mostly in vain. Chains know it, objects do not. There the tree was twice as "
                     "fast as chains, here it is several times slower: reclaim's search is nearly "
                     "all that there is to do here, faults and files were most of it there.");
}

static json_t *rmap_test_3(uint64_t scale) {
    static const char *const papers[] = { "31.1", "31.4", "> 1588", NULL };
    char workload[TEXT];
    snprintf(workload, sizeof(workload), "rmap-test:tasks=1,areas=%llu,pages=7,rounds=1",
             (unsigned long long)(scale > 6 ? 60000 : 10000 * scale));
    return rmap_test(
        "rmap-test 3: one task, 10 000 areas of 7 pages", workload, 70, papers,
        "as there, but 1 round instead of 10, and memory for 70 %",
        "One area of 10 000 maps the page. A tree is as good as a chain. An area's seven "
        "pages are looked for together, so that a list is gone through once for all.");
}

static json_t *forking_server(uint64_t scale) {
    static const char *const designs[] = { "pte-chain", "anonmm", "anon-vma", "anon-vma-chain" };
    static const char *const papers[] = { NULL, NULL, "O(N)", "2 on average" };
    struct setup setup =
        in_2003("forking-server:children=1000,pages=%llu", (unsigned long long)(20 * scale));
    setup.rounds = 1;
    struct run_result *runs = new_array(DESIGNS, sizeof(*runs));
    json_t *result = case_begin("1000 children write what they have inherited", "van Riel");
    case_scale(result, &setup,
               "20 pages each instead of 1000; each child's own pages are asked about");
    if (!case_run(&setup, designs, 4, runs))
        return free(runs), json_decref(result), NULL;
    for (unsigned d = 0; d < 4; d++) {
        char what[TEXT];
        snprintf(what, sizeof(what), "places looked at, %s", designs[d]);
        case_figure(result, what, papers[d], "%.1f", visits(&runs[d]));
        snprintf(what, sizeof(what), "time for a page, %s, us", designs[d]);
        case_figure(result, what, NULL, "%.2f", per_page(&runs[d].asked, runs[d].asked.ns) / 1000);
        snprintf(what, sizeof(what), "reverse map beside areas, %s, KiB", designs[d]);
        case_figure(result, what, NULL, "%.0f", (double)runs[d].cost_peak[VM_COST_RMAP] / 1024);
    }
    case_remark(
        result,
        "A child's own page is found by its own anon_vma at once; the mail's 2 counts pages "
        "of the parent, too. anonmm, which had been thrown out for anon_vma, was as quick: it "
        "asks the process that made the page first, and stops there.");
    return case_end(result, runs);
}

const struct paper_case paper_cases[] = {
    { "kernbench", kernbench },
    { "compile", recorded_build },
    { "sdet", sdet },
    { "fork", fork_and_exit },
    { "five-thousand", five_thousand },
    { "hundred-by-hundred", hundred_by_hundred },
    { "mmap3", mmap3 },
    { "rmap-test-1", rmap_test_1 },
    { "rmap-test-2", rmap_test_2 },
    { "rmap-test-3", rmap_test_3 },
    { "forking-server", forking_server },
    { NULL, NULL },
};
