/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork.c - workloads of inheritance: anonymous pages, and who among relatives still maps them.
 *
 * The parent is process 1; its children are 2, 3, ... in order of birth.
 */
#include "workload/write.h"
#include "workload/workload.h"

#define HEAP PLACE(0)

static uint32_t count_of(const struct workload_plan *plan, const char *name) {
    return (uint32_t)workload_value(plan, name);
}

static void begin_parent(struct trace_writer *writer, const char *name, uint64_t pages) {
    trace_process(writer, PARENT, name);
    map_anonymous(writer, PARENT, HEAP, pages);
}

static uint32_t fork_children(struct trace_writer *writer, uint32_t children) {
    for (uint32_t i = 1; i <= children; i++)
        trace_fork(writer, PARENT, PARENT + i);
    return PARENT + children;
}

/* ---------------------------------------------------------------- servers */

static void write_forking_server(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = workload_value(plan, "pages");
    begin_parent(writer, "server", pages);
    write_pages(writer, PARENT, HEAP, pages);
    uint32_t last = fork_children(writer, count_of(plan, "children"));
    for (uint32_t child = PARENT + 1; child <= last; child++)
        write_pages(writer, child, HEAP, pages);
    for (uint32_t child = PARENT + 1; child <= last; child++)
        ask(writer, child, HEAP, pages);
}

/* The first page gives the area whatever the design gives an area that has pages. */
static void write_late_parent(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = workload_value(plan, "pages");
    begin_parent(writer, "late-parent", pages + 1);
    write_pages(writer, PARENT, HEAP, 1);
    fork_children(writer, count_of(plan, "children"));
    write_pages(writer, PARENT, HEAP + PAGE, pages);
    ask(writer, PARENT, HEAP + PAGE, pages);
}

static void write_early_parent(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = workload_value(plan, "pages");
    uint32_t children = count_of(plan, "children");
    begin_parent(writer, "early-parent", pages);
    write_pages(writer, PARENT, HEAP, pages);
    fork_children(writer, children);
    for (uint32_t i = 1; i <= children; i++)
        read_pages(writer, PARENT + i, HEAP, pages);
    ask(writer, PARENT, HEAP, pages);
    leave(writer, PARENT + 1, children,
          workload_chose(plan, "exits", "none")     ? NOBODY_LEAVES
          : workload_chose(plan, "exits", "oldest") ? OLDEST_FIRST
                                                    : NEWEST_FIRST);
}

static uint32_t pick_child(const struct workload_plan *plan, uint32_t children) {
    if (workload_chose(plan, "which", "first"))
        return PARENT + 1;
    return workload_chose(plan, "which", "last") ? PARENT + children
                                                 : PARENT + 1 + (children - 1) / 2;
}

static void write_late_child(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = workload_value(plan, "pages");
    uint32_t children = count_of(plan, "children"), keeper = pick_child(plan, children);
    begin_parent(writer, "late-child", pages);
    write_pages(writer, PARENT, HEAP, pages);
    uint32_t last = fork_children(writer, children);
    for (uint32_t pid = PARENT; pid <= last; pid++)
        if (pid != keeper)
            write_pages(writer, pid, HEAP, pages);
    ask(writer, keeper, HEAP, pages);
}

static void write_orphan(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = workload_value(plan, "pages");
    begin_parent(writer, "orphan", pages);
    write_pages(writer, PARENT, HEAP, pages);
    uint32_t last = fork_children(writer, count_of(plan, "children"));
    trace_exit(writer, PARENT);
    read_pages(writer, last, HEAP, pages);
    ask(writer, last, HEAP, pages);
}

/* Half the heap is written after the forks by everybody, in turn, page by page. */
static void write_cow_everything(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = workload_value(plan, "pages");
    uint32_t last = PARENT;
    begin_parent(writer, "cow-everything", pages);
    write_pages(writer, PARENT, HEAP, pages);
    for (uint32_t level = 0; level < count_of(plan, "levels"); level++)
        for (uint32_t pid = PARENT, count = last; pid <= count; pid++) {
            trace_fork(writer, pid, ++last);
            write_pages(writer, last, HEAP, pages);
            write_pages(writer, pid, HEAP, pages);
        }
    for (uint32_t pid = PARENT; pid <= last; pid++)
        ask(writer, pid, HEAP, pages);
}

/* ---------------------------------------------------------------- generations */

/*
 * The heap: pages that only the first generation writes, then pages that every generation writes.
 * Returns the last generation's process.
 */
static uint32_t write_generations(struct trace_writer *writer, const struct workload_plan *plan,
                                  bool with_siblings) {
    uint64_t pages = workload_value(plan, "pages");
    uint32_t pid = PARENT, next = PARENT;
    begin_parent(writer, "generation", 2 * pages);
    write_pages(writer, PARENT, HEAP, 2 * pages);
    for (uint32_t depth = 0; depth < count_of(plan, "depth"); depth++) {
        if (with_siblings)
            trace_fork(writer, pid, ++next);
        trace_fork(writer, pid, ++next);
        trace_exit(writer, pid);
        pid = next;
        write_pages(writer, pid, HEAP + pages * PAGE, pages);
    }
    return pid;
}

static void write_deep_fork(struct trace_writer *writer, const struct workload_plan *plan) {
    uint32_t pid = write_generations(writer, plan, false);
    ask(writer, pid, HEAP, 2 * workload_value(plan, "pages"));
}

static void write_deep_fork_siblings(struct trace_writer *writer,
                                     const struct workload_plan *plan) {
    uint32_t pid = write_generations(writer, plan, true);
    uint64_t pages = workload_value(plan, "pages");
    ask(writer, pid, HEAP + pages * PAGE, pages);
}

static void write_daemonize(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = workload_value(plan, "pages");
    uint32_t workers = count_of(plan, "workers"), daemon = PARENT;
    begin_parent(writer, "launcher", pages * 3);
    write_pages(writer, PARENT, HEAP, pages);
    for (uint32_t level = 0; level < count_of(plan, "levels"); level++, daemon++) {
        trace_fork(writer, daemon, daemon + 1);
        trace_exit(writer, daemon);
        write_pages(writer, daemon + 1, HEAP + pages * PAGE, pages);
    }
    for (uint32_t i = 1; i <= workers; i++) {
        trace_fork(writer, daemon, daemon + i);
        write_pages(writer, daemon + i, HEAP + 2 * pages * PAGE, pages);
    }
    ask(writer, daemon, HEAP, 2 * pages);
    for (uint32_t i = 1; i <= workers; i++)
        ask(writer, daemon + i, HEAP + 2 * pages * PAGE, pages);
}

/* ---------------------------------------------------------------- out to swap and back */

static void press(struct trace_writer *writer, uint32_t pid, uint64_t pages) {
    trace_process(writer, pid, "hog");
    map_anonymous(writer, pid, PLACE(1), pages);
    write_pages(writer, pid, PLACE(1), pages);
    trace_exit(writer, pid);
}

static void write_swap_child_first(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = workload_value(plan, "pages");
    uint32_t children = count_of(plan, "children");
    begin_parent(writer, "swap-child-first", pages);
    write_pages(writer, PARENT, HEAP, pages);
    uint32_t last = fork_children(writer, children);
    press(writer, last + 1, 4 * pages);
    read_pages(writer, last, HEAP, pages);
    trace_exit(writer, last);
    read_pages(writer, PARENT, HEAP, pages);
    ask(writer, PARENT, HEAP, pages);
}

/* The child that locks the pages; the choices are those of the parameter. */
static uint32_t pick_locker(const struct workload_plan *plan, uint32_t children) {
    struct draw draw = draw_begin(workload_value(plan, "seed"));
    if (workload_chose(plan, "who", "random"))
        return PARENT + 1 + (uint32_t)draw_below(&draw, children);
    return workload_chose(plan, "who", "first") ? PARENT + 1 : PARENT + children;
}

static void write_mlock_sharer(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t pages = workload_value(plan, "pages");
    uint32_t children = count_of(plan, "children"), locker = pick_locker(plan, children);
    trace_object(writer, 1, OBJECT_SHM, pages * PAGE, "/shared");
    trace_process(writer, PARENT, "mlock-sharer");
    map_object(writer, PARENT, HEAP, pages, 1, 0, SHARED_READ_WRITE);
    write_pages(writer, PARENT, HEAP, pages);
    uint32_t last = fork_children(writer, children);
    for (uint32_t pid = PARENT + 1; pid <= last; pid++)
        read_pages(writer, pid, HEAP, pages);
    trace_lock(writer, locker, HEAP, pages * PAGE);
    press(writer, last + 1, 4 * pages);
    for (uint32_t pid = PARENT; pid <= last; pid++)
        read_pages(writer, pid, HEAP, pages);
    ask(writer, locker, HEAP, pages);
}

/* ---------------------------------------------------------------- the table */

#define CHILDREN(count, limit)                                                                     \
    {                                                                                              \
        "children", "how many it forks", (count), 1, (limit), {                                    \
            NULL                                                                                   \
        }                                                                                          \
    }
#define PAGES(text, count)                                                                         \
    {                                                                                              \
        "pages", text, (count), 1, 1 << 20, {                                                      \
            NULL                                                                                   \
        }                                                                                          \
    }

const struct workload fork_workloads[] = {
    { "forking-server",
      "a server forks children, and each writes every page it has inherited",
      "Each page asked about is one child's own. A list of all relatives' areas is searched for "
      "it.",
      { CHILDREN(200, 100000), PAGES("of each process", 64) },
      write_forking_server,
      NULL },
    { "late-parent",
      "after it has forked idle children, the parent writes new pages",
      "Nobody but the parent maps the pages, but the children's areas might: anon-vma keeps the\n"
      "youngest first and finds the parent last.",
      { CHILDREN(1000, 100000), PAGES("written after the forks", 64) },
      write_late_parent,
      NULL },
    { "early-parent",
      "the parent's pages are read by all its children, and written by none",
      "All map every page, so nobody can look at fewer places; where exits take an entry out of a\n"
      "chain, the order of the exits counts.",
      { CHILDREN(200, 100000),
        PAGES("of the parent", 64),
        { "exits",
          "which child leaves first, after the question",
          0,
          0,
          2,
          { "none", "oldest", "newest" } } },
      write_early_parent,
      NULL },
    { "late-child",
      "of parent and children, all but one write the inherited pages",
      "The old pages belong to one child only. Who stands first in the search finds it at once or "
      "last.",
      { CHILDREN(1000, 100000),
        PAGES("of the parent", 16),
        { "which", "the child that keeps the pages", 2, 0, 2, { "first", "middle", "last" } } },
      write_late_child,
      NULL },
    { "orphan",
      "the parent exits; its children go on sharing its pages",
      "The pages name somebody who is gone. What they name must live on, or be replaced.",
      { CHILDREN(200, 100000), PAGES("of the parent", 64) },
      write_orphan,
      NULL },
    { "cow-everything",
      "a family doubles at each level, and after each fork both sides write everything",
      "Every page is mapped once; how near is the family to a page of one member?",
      { { "levels", "the family has 2 to this power members", 6, 1, 14, { NULL } },
        PAGES("of each process", 64) },
      write_cow_everything,
      NULL },
    { "deep-fork",
      "each generation forks the next and exits",
      "One process lives at the end. Designs that remember its ancestors grow with each "
      "generation,\n"
      "unless they reuse what the dead have left.",
      { { "depth", "generations", 1000, 1, 1000000, { NULL } }, PAGES("of each of two kinds", 8) },
      write_deep_fork,
      NULL },
    { "deep-fork-siblings",
      "each generation leaves an idle child behind, forks the next and exits",
      "As deep-fork, but every ancestor has living descendants on two sides, so that nothing of "
      "it\n"
      "can be reused.",
      { { "depth", "generations", 200, 1, 100000, { NULL } }, PAGES("of each of two kinds", 8) },
      write_deep_fork_siblings,
      NULL },
    { "daemonize",
      "a launcher forks and exits, twice; the daemon then forks its workers",
      "The usual depth of servers: three generations.",
      { { "levels", "forks whose parent exits", 2, 1, 20, { NULL } },
        { "workers", "children of the daemon", 100, 1, 100000, { NULL } },
        PAGES("of each of three kinds", 32) },
      write_daemonize,
      NULL },
    { "swap-child-first",
      "shared pages go to swap; a child reads them first and exits, then the parent reads them",
      "A returning page must name somebody whom the parent outlives not. Needs --memory 40% or "
      "less.",
      { CHILDREN(4, 1000), PAGES("of the parent", 256) },
      write_swap_child_first,
      NULL },
    { "mlock-sharer",
      "one of many who share memory has locked it, and memory runs short",
      "Reclaim unmaps some sharers before it meets the one who forbids it. Needs --memory 40% or "
      "less.",
      { CHILDREN(50, 10000),
        PAGES("shared", 256),
        { "who", "the child that locks", 1, 0, 2, { "first", "last", "random" } },
        { "seed", "for who=random", 1, 1, UINT32_MAX, { NULL } } },
      write_mlock_sharer,
      NULL },
    { NULL, NULL, NULL, { { NULL, NULL, 0, 0, 0, { NULL } } }, NULL, NULL },
};
