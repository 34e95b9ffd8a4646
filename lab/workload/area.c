/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * area.c - workloads of areas: moved by mremap, cut by mprotect, and kept from growing together.
 */
#include "workload/write.h"
#include "workload/workload.h"

#define HERE  PLACE(0)
#define THERE PLACE(1)

static uint32_t count_of(const struct workload_plan *plan, const char *name) {
    return (uint32_t)workload_value(plan, name);
}

static uint64_t begin(struct trace_writer *writer, const struct workload_plan *plan,
                      const char *name) {
    uint64_t pages = workload_value(plan, "pages");
    trace_process(writer, PARENT, name);
    map_anonymous(writer, PARENT, HERE, pages);
    write_pages(writer, PARENT, HERE, pages);
    return pages;
}

static void fork_children(struct trace_writer *writer, uint32_t children) {
    for (uint32_t i = 1; i <= children; i++)
        trace_fork(writer, PARENT, PARENT + i);
}

static void write_pingpong(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = begin(writer, plan, "pingpong"), bytes = pages * PAGE;
    uint64_t moves = workload_value(plan, "moves");
    for (uint64_t i = 0; i < moves; i++)
        trace_move(writer, PARENT, i % 2 ? THERE : HERE, bytes, i % 2 ? HERE : THERE, bytes);
    ask(writer, PARENT, moves % 2 ? THERE : HERE, pages);
}

static void write_after_fork(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = begin(writer, plan, "after-fork"), bytes = pages * PAGE;
    fork_children(writer, count_of(plan, "children"));
    trace_move(writer, PARENT, HERE, bytes, THERE, bytes);
    read_pages(writer, PARENT, THERE, pages);
    ask(writer, PARENT, THERE, pages);
    ask(writer, PARENT + 1, HERE, pages);
}

/* Every second page moves, to every second page of another place. */
static void write_checkerboard(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = begin(writer, plan, "checkerboard");
    fork_children(writer, count_of(plan, "children"));
    for (uint64_t page = 0; page < pages; page += 2)
        trace_move(writer, PARENT, HERE + page * PAGE, PAGE, THERE + page * PAGE, PAGE);
    for (uint64_t page = 0; page < pages; page++)
        ask(writer, PARENT, (page % 2 ? HERE : THERE) + page * PAGE, 1);
}

/* Every second page becomes read-only, and the area falls into as many areas as it has pages. */
static void write_mprotect_checkerboard(struct trace_writer *writer,
                                        const struct workload_plan *plan) {
    uint64_t pages = begin(writer, plan, "mprotect");
    for (uint64_t page = 0; page < pages; page += 2)
        trace_protect(writer, PARENT, HERE + page * PAGE, PAGE, VM_PROT_READ);
    fork_children(writer, count_of(plan, "children"));
    ask_some(writer, PARENT, HERE, pages, 64);
}

/* Neighbours whose pages came apart may not become one area in designs that number them by area. */
static void write_merge_hostile(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t places = workload_value(plan, "places");
    trace_process(writer, PARENT, "merge-hostile");
    for (uint64_t i = 0; i < places; i++) {
        uint64_t at = HERE + i * 5 * PAGE;
        for (uint64_t page = 0; page < 3; page += 2) {
            map_anonymous(writer, PARENT, at + page * PAGE, 1);
            write_pages(writer, PARENT, at + page * PAGE, 1);
        }
        map_anonymous(writer, PARENT, at + PAGE, 1);
        write_pages(writer, PARENT, at + PAGE, 1);
        trace_protect(writer, PARENT, at + PAGE, PAGE, VM_PROT_READ);
        trace_protect(writer, PARENT, at + PAGE, PAGE, VM_PROT_READ | VM_PROT_WRITE);
    }
    for (uint64_t i = 0; i < places; i += 1 + places / 100)
        ask(writer, PARENT, HERE + i * 5 * PAGE, 3);
}

const struct workload area_workloads[] = {
    { "mremap-pingpong",
      "a process moves its memory to and fro",
      "Each move rewrites what names an entry or an address, page by page; areas just move.",
      { WORKLOAD_NUMBER("moves", "calls of mremap", 10000, 1, 100000000),
        WORKLOAD_NUMBER("pages", "that move", 64, 1, 1 << 20) },
      write_pingpong,
      NULL },
    { "mremap-after-fork",
      "a parent moves memory that its children share",
      "The same page now lies at two addresses. anonmm has room for one, and copies the pages.",
      { WORKLOAD_NUMBER("children", "that share the pages", 100, 1, 100000),
        WORKLOAD_NUMBER("pages", "that move", 256, 1, 1 << 20) },
      write_after_fork,
      NULL },
    { "checkerboard",
      "every second page of memory that children share is moved away",
      "Two areas a page, and the pages still shared.",
      { WORKLOAD_NUMBER("children", "that share the pages", 20, 1, 10000),
        WORKLOAD_NUMBER("pages", "of the area", 1024, 2, 60000) },
      write_checkerboard,
      NULL },
    { "mprotect-checkerboard",
      "every second page becomes read-only, then the process forks",
      "One area has become thousands: who looks at them all to find one page?",
      { WORKLOAD_NUMBER("children", "that inherit all areas", 10, 1, 10000),
        WORKLOAD_NUMBER("pages", "and at last areas", 4000, 2, 60000) },
      write_mprotect_checkerboard,
      NULL },
    { "merge-hostile",
      "neighbours are written first, the page between them afterwards",
      "How many areas are left depends on which neighbours a design lets grow together.",
      { WORKLOAD_NUMBER("places", "of three pages each", 2000, 1, 20000) },
      write_merge_hostile,
      NULL },
    { NULL, NULL, NULL, { { NULL, NULL, 0, 0, 0, { NULL } } }, NULL, NULL },
};
