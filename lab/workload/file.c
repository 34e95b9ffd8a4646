/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * file.c - workloads of objects: many areas over one file, or one piece of shared memory.
 *
 * What finds a page of the object among its areas is the file index; several of these workloads are
 * those with which the kernel's developers once argued for a better one.
 */
#include "workload/write.h"
#include "workload/workload.h"

#define FILES PLACE(0)

enum { THE_OBJECT = 1 };

static uint32_t count_of(const struct workload_plan *plan, const char *name) {
    return (uint32_t)workload_value(plan, name);
}

static void declare_file(struct trace_writer *writer, uint64_t pages) {
    trace_object(writer, THE_OBJECT, OBJECT_FILE, pages * PAGE, "/data");
}

static void declare_shm(struct trace_writer *writer, uint64_t pages) {
    trace_object(writer, THE_OBJECT, OBJECT_SHM, pages * PAGE, "/segment");
}

/* Windows of one file, one behind the other in it, with a page of nothing between them in memory. */
static uint64_t window_at(uint64_t index, uint64_t pages) {
    return FILES + index * (pages + 1) * PAGE;
}

/* ---------------------------------------------------------------- one hundred by one hundred */

static void map_windows(struct trace_writer *writer, uint32_t pid, uint64_t areas, uint64_t pages,
                        uint64_t shift) {
    for (uint64_t i = 0; i < areas; i++)
        map_object(writer, pid, window_at(i, pages), pages, THE_OBJECT, i * pages + shift,
                   SHARED_READ_WRITE);
}

static void write_hundred_by_hundred(struct trace_writer *writer,
                                     const struct workload_plan *plan) {
    uint64_t pages = workload_value(plan, "pages"), areas = workload_value(plan, "areas");
    uint32_t processes = count_of(plan, "processes");
    bool distinct = workload_chose(plan, "windows", "distinct");
    declare_file(writer, areas * pages + pages);
    for (uint32_t pid = PARENT; pid < PARENT + processes; pid++) {
        trace_process(writer, pid, "windows");
        map_windows(writer, pid, areas, pages, distinct ? pid % pages : 0);
    }
    for (uint32_t pid = PARENT; pid < PARENT + processes; pid++)
        for (uint64_t i = 0; i < areas; i++)
            read_pages(writer, pid, window_at(i, pages), pages);
    for (uint64_t i = 0; i < areas; i++)
        ask(writer, PARENT, window_at(i, pages), 1);
}

/* ---------------------------------------------------------------- the historic tests */

/* One-page areas, later pages of the file at lower addresses, so that no two can be one. */
static void write_mmap3(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t areas = workload_value(plan, "areas"), touched = workload_value(plan, "touched");
    uint32_t last = PARENT;
    declare_file(writer, areas);
    trace_process(writer, PARENT, "test-mmap3");
    for (uint64_t i = 0; i < areas; i++)
        map_object(writer, PARENT, FILES + (areas - 1 - i) * PAGE, 1, THE_OBJECT, i,
                   SHARED_READ_WRITE);
    for (uint32_t level = 0; level < count_of(plan, "forks"); level++)
        for (uint32_t pid = PARENT, count = last; pid <= count; pid++)
            trace_fork(writer, pid, ++last);
    touched = touched < areas ? touched : areas;
    for (uint32_t pid = PARENT; pid <= last; pid++)
        for (uint64_t i = 0; i < touched; i++)
            read_pages(writer, pid, FILES + i * (areas / touched) * PAGE, 1);
    for (uint64_t i = 0; i < touched; i += 1 + touched / 10)
        ask(writer, PARENT, FILES + i * (areas / touched) * PAGE, 1);
}

/* Every process writes its windows, over and over; the file is larger than one wants to keep. */
static void write_rmap_test(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = workload_value(plan, "pages"), areas = workload_value(plan, "areas");
    uint32_t tasks = count_of(plan, "tasks");
    bool random = workload_chose(plan, "order", "random");
    struct draw draw = draw_begin(workload_value(plan, "seed"));
    declare_file(writer, areas * pages);
    for (uint32_t pid = PARENT; pid < PARENT + tasks; pid++) {
        trace_process(writer, pid, "rmap-test");
        map_windows(writer, pid, areas, pages, 0);
    }
    for (uint32_t round = 0; round < count_of(plan, "rounds"); round++)
        for (uint64_t i = 0; i < areas; i++)
            for (uint32_t pid = PARENT; pid < PARENT + tasks; pid++) {
                uint64_t window = random ? draw_below(&draw, areas) : i;
                for (uint64_t page = 0; page < pages; page++)
                    write_pages(writer, pid,
                                window_at(window, pages) +
                                    (random ? draw_below(&draw, pages) : page) * PAGE,
                                1);
            }
    for (uint64_t i = 0; i < areas; i += 1 + areas / 100)
        read_pages(writer, PARENT, window_at(i, pages), 1);
    for (uint64_t i = 0; i < areas; i += 1 + areas / 100)
        ask(writer, PARENT, window_at(i, pages), 1);
}

static void write_many_areas(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = workload_value(plan, "pages"), areas = workload_value(plan, "areas");
    declare_file(writer, areas * pages);
    trace_process(writer, PARENT, "many-areas");
    map_windows(writer, PARENT, areas, pages, 0);
    for (uint64_t i = 0; i < areas; i++)
        write_pages(writer, PARENT, window_at(i, pages), pages);
    for (uint64_t i = 0; i < areas; i += 1 + areas / 100)
        ask(writer, PARENT, window_at(i, pages), 1);
}

/* ---------------------------------------------------------------- shared memory */

static void write_shared_segment(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = (workload_value(plan, "size") + PAGE - 1) / PAGE;
    uint32_t processes = count_of(plan, "processes");
    declare_shm(writer, pages);
    for (uint32_t pid = PARENT; pid < PARENT + processes; pid++) {
        trace_process(writer, pid, "database");
        map_object(writer, pid, FILES, pages, THE_OBJECT, 0, SHARED_READ_WRITE);
        if (pid == PARENT)
            write_pages(writer, pid, FILES, pages);
        else
            read_pages(writer, pid, FILES, pages);
    }
    ask_some(writer, PARENT, FILES, pages, 64);
    leave(writer, PARENT, processes,
          workload_chose(plan, "exits", "none")     ? NOBODY_LEAVES
          : workload_chose(plan, "exits", "oldest") ? OLDEST_FIRST
                                                    : NEWEST_FIRST);
}

static void write_sparse_fork(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = (workload_value(plan, "size") + PAGE - 1) / PAGE;
    declare_shm(writer, pages);
    trace_process(writer, PARENT, "sparse-fork");
    map_object(writer, PARENT, FILES, pages, THE_OBJECT, 0, SHARED_READ_WRITE);
    write_pages(writer, PARENT, FILES, pages);
    uint32_t reader = PARENT, last = PARENT + count_of(plan, "children");
    for (uint32_t pid = PARENT + 1; pid <= last; pid++)
        trace_fork(writer, PARENT, pid);
    if (workload_chose(plan, "reader", "last")) {
        reader = last;
        trace_advise(writer, PARENT, FILES, pages * PAGE, VM_MADV_DONTNEED);
        read_pages(writer, reader, FILES, pages);
    }
    ask_some(writer, reader, FILES, pages, 64);
}

/* Each event rearranges one window; then it is written, and now and then everything is read. */
static void write_nonlinear_windows(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t window = workload_value(plan, "window"), windows = workload_value(plan, "windows");
    uint64_t pages = window * windows;
    struct draw draw = draw_begin(workload_value(plan, "seed"));
    declare_shm(writer, pages);
    trace_process(writer, PARENT, "nonlinear");
    map_object(writer, PARENT, FILES, pages, THE_OBJECT, 0, SHARED_READ_WRITE);
    write_pages(writer, PARENT, FILES, pages);
    for (uint32_t pid = PARENT + 1; pid < PARENT + count_of(plan, "processes"); pid++)
        trace_fork(writer, PARENT, pid);
    for (uint64_t i = 0; i < workload_value(plan, "events"); i++) {
        uint32_t pid = PARENT + (uint32_t)draw_below(&draw, workload_value(plan, "processes"));
        uint64_t where = FILES + draw_below(&draw, windows) * window * PAGE;
        trace_nonlinear(writer, pid, where, window * PAGE, draw_below(&draw, windows) * window);
        write_pages(writer, pid, where, window);
        if (i % 64 == 63)
            read_pages(writer, pid, FILES, pages);
    }
    read_pages(writer, PARENT, FILES, pages);
    ask_some(writer, PARENT, FILES, pages, 256);
}

/* ---------------------------------------------------------------- private copies, truncation */

/* The last process only reads: it is the one who maps the file's own pages. */
static void write_private_file_cow(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = workload_value(plan, "pages");
    uint32_t processes = count_of(plan, "processes");
    declare_file(writer, pages);
    for (uint32_t pid = PARENT; pid <= PARENT + processes; pid++) {
        trace_process(writer, pid, "private-file");
        map_object(writer, pid, FILES, pages, THE_OBJECT, 0, PRIVATE_READ_WRITE);
        if (pid < PARENT + processes)
            write_pages(writer, pid, FILES, pages);
        else
            read_pages(writer, pid, FILES, pages);
    }
    ask(writer, PARENT + processes, FILES, pages);
}

static void write_truncate(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = workload_value(plan, "pages");
    uint32_t processes = count_of(plan, "processes");
    declare_file(writer, pages);
    for (uint32_t pid = PARENT; pid < PARENT + processes; pid++) {
        trace_process(writer, pid, "truncate");
        map_object(writer, pid, FILES, pages, THE_OBJECT, 0, SHARED_READ_WRITE);
        map_object(writer, pid, PLACE(1), pages, THE_OBJECT, 0, PRIVATE_READ_WRITE);
        read_pages(writer, pid, PLACE(1), pages);
    }
    for (uint64_t round = 0; round < workload_value(plan, "rounds"); round++) {
        uint32_t pid = PARENT + (uint32_t)round % processes;
        write_pages(writer, pid, FILES, pages);
        write_pages(writer, pid, PLACE(1), pages);
        trace_resize(writer, THE_OBJECT, pages / 2 * PAGE);
        read_pages(writer, pid, FILES + pages / 2 * PAGE, 1);
        trace_resize(writer, THE_OBJECT, pages * PAGE);
        for (uint32_t reader = PARENT; reader < PARENT + processes; reader++)
            read_pages(writer, reader, FILES, pages);
    }
    ask(writer, PARENT, FILES, pages);
}

/* ---------------------------------------------------------------- the table */

const struct workload file_workloads[] = {
    { "hundred-by-hundred",
      "100 processes map 100 windows of one file each",
      "Each page is mapped by every process once: 100 places to find among 10 000 areas.",
      { WORKLOAD_NUMBER("processes", "that map the file", 100, 1, 10000),
        WORKLOAD_NUMBER("areas", "of each process", 100, 1, 60000),
        WORKLOAD_NUMBER("pages", "of each area", 8, 1, 65536),
        { "windows",
          "the same in all processes, or each process's shifted by a page",
          0,
          0,
          1,
          { "same", "distinct" } } },
      write_hundred_by_hundred,
      NULL },
    { "mmap3",
      "18 000 one-page areas of a file in reverse order, forked five times",
      "576 000 areas, of which 32 map the page: the test that stopped object-based reverse "
      "mapping\n"
      "with lists.",
      { WORKLOAD_NUMBER("areas", "of each process", 18000, 1, 65000),
        WORKLOAD_NUMBER("forks", "the number of processes is 2 to this power", 5, 0, 10),
        WORKLOAD_NUMBER("touched", "pages that each process reads", 100, 1, 65000) },
      write_mmap3,
      NULL },
    { "rmap-test",
      "tasks write the same windows of a file, one after the other or at random",
      "The three tests of 2003: areas=100, pages=600; order=random; tasks=1, areas=10000, "
      "pages=7.\n"
      "Reclaim is what finds the mappings: use --memory.",
      { WORKLOAD_NUMBER("tasks", "processes", 20, 1, 10000),
        WORKLOAD_NUMBER("areas", "of each task", 20, 1, 60000),
        WORKLOAD_NUMBER("pages", "of each area", 120, 1, 65536),
        WORKLOAD_NUMBER("rounds", "how often all is written", 1, 1, 1000),
        { "order", "of the windows, and of the pages in them", 0, 0, 1, { "linear", "random" } },
        WORKLOAD_SEED },
      write_rmap_test,
      NULL },
    { "many-areas",
      "one process maps 10 000 small windows of one file",
      "One area in 10 000 maps the page: lists are searched, trees are not.",
      { WORKLOAD_NUMBER("areas", "of the process", 10000, 1, 60000),
        WORKLOAD_NUMBER("pages", "of each area", 7, 1, 4096) },
      write_many_areas,
      NULL },
    { "shared-segment",
      "many processes map and touch one segment of shared memory",
      "What one more mapping of a page costs, in bytes: page tables for all designs, and chains.",
      { WORKLOAD_NUMBER("processes", "that share it", 50, 1, 100000),
        WORKLOAD_NUMBER("size", "of the segment in bytes", 16 << 20, 4096, UINT64_C(1) << 40),
        { "exits",
          "who leaves first, after the question",
          0,
          0,
          2,
          { "none", "oldest", "newest" } } },
      write_shared_segment,
      NULL },
    { "sparse-fork",
      "a large segment of shared memory is inherited by children, of whom one touches it",
      "With --fork lazy the children have areas and no entries: searching them is in vain.",
      { WORKLOAD_NUMBER("children", "that inherit it", 500, 1, 100000),
        WORKLOAD_NUMBER("size", "of the segment in bytes", 16 << 20, 4096, UINT64_C(1) << 40),
        { "reader", "who maps its pages at last", 1, 0, 1, { "parent", "last" } } },
      write_sparse_fork,
      NULL },
    { "nonlinear-windows",
      "windows of shared memory are rearranged by remap_file_pages",
      "No rule leads from an area to such a page. What then? See --nonlinear, and use --memory.",
      { WORKLOAD_NUMBER("events", "calls of remap_file_pages", 1000, 1, 100000000),
        WORKLOAD_NUMBER("windows", "in the segment", 256, 1, 1 << 20),
        WORKLOAD_NUMBER("window", "pages of a window", 4, 1, 1 << 16),
        WORKLOAD_NUMBER("processes", "that share the segment", 4, 1, 1000), WORKLOAD_SEED },
      write_nonlinear_windows,
      NULL },
    { "private-file-cow",
      "processes map a file privately and write every page; one only reads",
      "The file's own pages have one mapping left, but all areas still lie over them.",
      { WORKLOAD_NUMBER("processes", "that write", 200, 1, 100000),
        WORKLOAD_NUMBER("pages", "of the file", 64, 1, 1 << 20) },
      write_private_file_cow,
      NULL },
    { "truncate-under-mappings",
      "a file shrinks and grows under shared and private mappings of many processes",
      "Truncation must find every mapping of a range, private copies too.",
      { WORKLOAD_NUMBER("processes", "that map it, twice each", 20, 1, 10000),
        WORKLOAD_NUMBER("pages", "of the file", 128, 2, 1 << 20),
        WORKLOAD_NUMBER("rounds", "how often it shrinks", 20, 1, 1000000) },
      write_truncate,
      NULL },
    { NULL, NULL, NULL, { { NULL, NULL, 0, 0, 0, { NULL } } }, NULL, NULL },
};
