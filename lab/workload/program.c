/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * program.c - workloads of whole programs: processes that fork, exec, touch and exit.
 *
 * A program is a file with four areas (headers, text, constants, data), the C library with five, a
 * heap and a stack, as the loader of a dynamic binary leaves them. How much of its text it runs and
 * how much heap it writes are drawn anew for each run, around the figures of its image.
 */
#include "workload/write.h"
#include "workload/workload.h"

#include "memory.h"

#include <stdlib.h>

#define BINARY PLACE(0)
#define HEAP   PLACE(1)
#define LIBC   PLACE(2)
#define STACK  PLACE(3)

struct image {
    const char *name;
    uint64_t text,
        data; /* pages of the file; before them one of headers and `text / 4` of constants */
    uint64_t runs, heap; /* pages of the text that are run, and of the heap that are written */
};

enum { THE_LIBC = 1, FIRST_BINARY = 2, LIBC_TEXT = 320, LIBC_RUNS = 60, STACK_PAGES = 32 };

static const struct image images[] = {
    { "sh", 180, 12, 90, 40 },  { "make", 60, 6, 40, 160 }, { "cc1", 4000, 90, 1100, 1500 },
    { "as", 160, 12, 90, 180 }, { "gcc", 120, 10, 60, 40 }, { "ls", 30, 4, 18, 20 },
    { "ed", 20, 3, 14, 30 },    { "nroff", 70, 8, 45, 90 }, { "spell", 12, 2, 10, 60 },
    { "find", 50, 5, 30, 25 },  { "rm", 14, 2, 9, 12 },     { "cpio", 40, 4, 24, 40 },
};

enum { SH, MAKE, CC1, AS, GCC, FIRST_TOOL };
enum { IMAGES = sizeof(images) / sizeof(images[0]) };

static uint64_t file_pages(const struct image *image) {
    return 1 + image->text + image->text / 4 + image->data;
}

static void declare_images(struct trace_writer *writer) {
    trace_object(writer, THE_LIBC, OBJECT_FILE, (1 + LIBC_TEXT + 80 + 8) * PAGE, "/lib/libc.so.6");
    for (uint32_t i = 0; i < IMAGES; i++)
        trace_object(writer, FIRST_BINARY + i, OBJECT_FILE, file_pages(&images[i]) * PAGE,
                     images[i].name);
}

/* Headers, text, constants, data: four areas, one behind the other. */
static void map_file(struct trace_writer *writer, uint32_t pid, uint64_t address, uint32_t object,
                     uint64_t text, uint64_t data) {
    uint64_t constants = 1 + text, writable = constants + text / 4;
    map_object(writer, pid, address, 1, object, 0, PRIVATE_READ_WRITE);
    trace_protect(writer, pid, address, PAGE, VM_PROT_READ);
    map_object(writer, pid, address + PAGE, text, object, 1, PRIVATE_READ_EXEC);
    map_object(writer, pid, address + constants * PAGE, text / 4, object, constants,
               PRIVATE_READ_EXEC);
    trace_protect(writer, pid, address + constants * PAGE, text / 4 * PAGE, VM_PROT_READ);
    map_object(writer, pid, address + writable * PAGE, data, object, writable, PRIVATE_READ_WRITE);
    read_pages(writer, pid, address, 1);
    write_pages(writer, pid, address + writable * PAGE, data);
}

/* `runs` pages of the text, in pieces as branches would leave them. */
static void run_text(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t text,
                     uint64_t runs, struct draw *draw) {
    for (uint64_t done = 0; done < runs;) {
        uint64_t piece = 1 + draw_below(draw, 8), start = draw_below(draw, text);
        piece = piece < text - start ? piece : text - start;
        read_pages(writer, pid, address + (1 + start) * PAGE, piece);
        done += piece;
    }
}

static void exec_image(struct trace_writer *writer, uint32_t pid, unsigned which) {
    const struct image *image = &images[which];
    trace_exec(writer, pid, image->name);
    map_file(writer, pid, BINARY, FIRST_BINARY + which, image->text, image->data);
    map_anonymous(writer, pid, STACK, STACK_PAGES);
    write_pages(writer, pid, STACK + (STACK_PAGES - 3) * PAGE, 3);
    map_file(writer, pid, LIBC, THE_LIBC, LIBC_TEXT, 8);
    /* The loader is done with the library's addresses: its first page of data is written no more. */
    trace_protect(writer, pid, LIBC + (1 + LIBC_TEXT + LIBC_TEXT / 4) * PAGE, PAGE, VM_PROT_READ);
    map_anonymous(writer, pid, HEAP, image->heap * 2);
}

static void run_image(struct trace_writer *writer, uint32_t pid, unsigned which,
                      struct draw *draw) {
    const struct image *image = &images[which];
    run_text(writer, pid, LIBC, LIBC_TEXT, LIBC_RUNS, draw);
    run_text(writer, pid, BINARY, image->text, image->runs, draw);
    write_pages(writer, pid, HEAP, image->heap / 2 + draw_below(draw, image->heap));
}

static void ask_libc(struct trace_writer *writer, uint32_t pid) {
    read_pages(writer, pid, LIBC + PAGE, 64);
    ask(writer, pid, LIBC + PAGE, 64);
}

/* ---------------------------------------------------------------- exec storm */

static void write_exec_storm(struct trace_writer *writer, const struct workload_plan *plan) {
    struct draw draw = draw_begin(workload_value(plan, "seed"));
    uint32_t alive = (uint32_t)workload_value(plan, "alive");
    uint32_t programs = (uint32_t)workload_value(plan, "programs");
    declare_images(writer);
    trace_process(writer, PARENT, "init");
    exec_image(writer, PARENT, SH);
    run_image(writer, PARENT, SH, &draw);
    for (uint32_t i = 1; i <= programs; i++) {
        uint32_t pid = PARENT + i;
        if (i > alive)
            trace_exit(writer, pid - alive);
        trace_fork(writer, PARENT, pid);
        exec_image(writer, pid, FIRST_TOOL);
        run_image(writer, pid, FIRST_TOOL, &draw);
    }
    ask_libc(writer, PARENT);
}

/* ---------------------------------------------------------------- sdet */

enum { SCRIPT_COMMANDS = 12 };

/* Someone at a terminal: a shell, the command it runs, and how many it has run. */
struct user {
    uint32_t shell, command;
    unsigned image, commands;
};

struct machine_room {
    struct trace_writer *writer;
    struct draw draw;
    uint32_t next_pid;
    uint64_t scripts_left;
};

static void log_in(struct machine_room *room, struct user *user) {
    *user = (struct user){ .shell = room->next_pid++ };
    room->scripts_left--;
    trace_fork(room->writer, PARENT, user->shell);
    exec_image(room->writer, user->shell, SH);
    run_image(room->writer, user->shell, SH, &room->draw);
}

static void log_out(struct machine_room *room, struct user *user) {
    trace_exit(room->writer, user->shell);
    *user = (struct user){ 0 };
    if (room->scripts_left)
        log_in(room, user);
}

static void start_command(struct machine_room *room, struct user *user) {
    user->command = room->next_pid++;
    user->image = FIRST_TOOL + (unsigned)draw_below(&room->draw, IMAGES - FIRST_TOOL);
    trace_fork(room->writer, user->shell, user->command);
    write_pages(room->writer, user->shell, HEAP, 4);
    write_pages(room->writer, user->command, STACK + (STACK_PAGES - 2) * PAGE, 2);
    if (draw_below(&room->draw, 4)) {
        exec_image(room->writer, user->command, user->image);
    } else {
        user->image = SH; /* a subshell */
    }
}

/* The user's next step: a command begins, or has done its work, or the script is over. */
static void step(struct machine_room *room, struct user *user) {
    if (user->command) {
        run_image(room->writer, user->command, user->image, &room->draw);
        trace_exit(room->writer, user->command);
        user->command = 0;
        user->commands++;
    } else if (user->commands == SCRIPT_COMMANDS) {
        log_out(room, user);
    } else {
        start_command(room, user);
    }
}

static uint32_t living(const struct user *users, uint64_t count) {
    uint32_t alive = 0;
    for (uint64_t i = 0; i < count; i++)
        alive += users[i].shell != 0;
    return alive;
}

static void write_sdet(struct trace_writer *writer, const struct workload_plan *plan) {
    uint64_t count = workload_value(plan, "users"), scripts = workload_value(plan, "scripts");
    struct user *users = new_array(count, sizeof(*users));
    struct machine_room room = { .writer = writer,
                                 .draw = draw_begin(workload_value(plan, "seed")),
                                 .next_pid = PARENT + 1,
                                 .scripts_left = scripts };
    bool asked = false;
    declare_images(writer);
    trace_process(writer, PARENT, "init");
    exec_image(writer, PARENT, SH);
    for (uint64_t i = 0; i < count && room.scripts_left; i++)
        log_in(&room, &users[i]);
    while (living(users, count)) {
        struct user *user = &users[draw_below(&room.draw, count)];
        if (!room.scripts_left && !asked) {
            ask_libc(writer, PARENT);
            asked = true;
        }
        if (user->shell)
            step(&room, user);
    }
    free(users);
}

/* ---------------------------------------------------------------- kernbench */

/* vfork lends the parent's memory until exec: the child never has a copy of it. */
static void spawn(struct trace_writer *writer, const struct workload_plan *plan, uint32_t parent,
                  uint32_t child, unsigned image) {
    if (workload_chose(plan, "spawn", "fork"))
        trace_fork(writer, parent, child);
    else
        trace_process(writer, child, images[image].name);
    exec_image(writer, child, image);
}

/* make starts gcc, which starts cc1 and then as. `jobs` compilers are alive at a time. */
static void write_kernbench(struct trace_writer *writer, const struct workload_plan *plan) {
    struct draw draw = draw_begin(workload_value(plan, "seed"));
    uint32_t files = (uint32_t)workload_value(plan, "files");
    uint32_t jobs = (uint32_t)workload_value(plan, "jobs");
    declare_images(writer);
    trace_process(writer, PARENT, "make");
    exec_image(writer, PARENT, MAKE);
    run_image(writer, PARENT, MAKE, &draw);
    for (uint32_t i = 0; i < files + jobs; i++) {
        uint32_t gcc = PARENT + 1 + 3 * i;
        if (i < files) {
            spawn(writer, plan, PARENT, gcc, GCC);
            run_image(writer, gcc, GCC, &draw);
            spawn(writer, plan, gcc, gcc + 1, CC1);
            run_image(writer, gcc + 1, CC1, &draw);
        }
        if (i == files)
            ask_libc(writer, PARENT);
        if (i >= jobs) {
            gcc -= 3 * jobs;
            run_image(writer, gcc + 1, CC1, &draw);
            trace_exit(writer, gcc + 1);
            spawn(writer, plan, gcc, gcc + 2, AS);
            run_image(writer, gcc + 2, AS, &draw);
            trace_exit(writer, gcc + 2);
            trace_exit(writer, gcc);
        }
    }
}

const struct workload program_workloads[] = {
    { "exec-storm",
      "a shell starts dynamically linked programs, of which many are alive",
      "Each exec puts nine areas into the indexes of two files, and each exit takes them out.",
      { WORKLOAD_NUMBER("programs", "in all", 500, 1, 1000000),
        WORKLOAD_NUMBER("alive", "at a time", 100, 1, 100000), WORKLOAD_SEED },
      write_exec_storm,
      NULL },
    { "sdet",
      "users at terminals run scripts of short commands",
      "Fork, exec and exit of small programs, which share their text: per-mapping costs dominate.",
      { WORKLOAD_NUMBER("scripts", "of 12 commands each", 100, 1, 1000000),
        WORKLOAD_NUMBER("users", "at a time", 16, 1, 10000), WORKLOAD_SEED },
      write_sdet,
      NULL },
    { "kernbench",
      "make runs compilers, several at a time",
      "Few forks, many faults on text that all compilers share and on heaps that none does.",
      { WORKLOAD_NUMBER("files", "to compile", 100, 1, 1000000),
        WORKLOAD_NUMBER("jobs", "at a time", 8, 1, 10000),
        { "spawn", "how a program starts another", 0, 0, 1, { "vfork", "fork" } },
        WORKLOAD_SEED },
      write_kernbench,
      NULL },
    { NULL, NULL, NULL, { { NULL, NULL, 0, 0, 0, { NULL } } }, NULL, NULL },
};
