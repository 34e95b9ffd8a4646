/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quality.c - how well reclaim chooses: major faults of the same programs in the same memory, here and
 * in the kernel that runs.
 *
 * A program is some processes that map one file and read its pages by turns, in an order that is
 * the same on every run: so the kernel (in a memory cgroup, limited) and machines of the library (with
 * so many frames) are asked for the same pages in the same order, each access included, which no
 * recording can promise. Each starts with nothing in memory; every read of a page from the file is a
 * major fault. The limit is a share of what the program needs at its peak, what processes and page
 * tables take on either side left apart. Nothing is read ahead.
 *
 * virtual-scan chooses by sweeping through page tables; the other designs by lists of pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <objrmap/stats.h>

#include "support/beside.h"
#include "support/design_list.h"
#include "support/disk_file.h"
#include "support/memory_group.h"
#include "support/report.h"

enum { PAGES = 4096, TURN = 256, TURNS = 800, PROCESSES_MOST = 16 };

/* ---------------------------------------------------------------- the programs */

struct course {
    uint64_t random;
    uint64_t step; /* accesses so far */
    unsigned process;
};

typedef uint64_t next_page(struct course *course);

static uint64_t below(struct course *course, uint64_t limit) {
    return next_random(&course->random) % limit;
}

/* Few pages are popular, most are rare: the square of a uniform choice, cubed. */
static uint64_t skewed(struct course *course, uint64_t pages) {
    double u = (double)below(course, 1u << 30) / (1u << 30);
    return (uint64_t)(u * u * u * (double)pages);
}

/* Scattered, so that neighbours in the file are not neighbours in popularity. */
static uint64_t popular(struct course *course) {
    return skewed(course, PAGES) * 2654435761u % PAGES;
}

/* Each of the processes asks for what is popular. */
static uint64_t next_lookup(struct course *course) {
    return popular(course);
}

/* The same, while now and then one of them reads all of the file once. */
static uint64_t next_lookup_and_scan(struct course *course) {
    if (course->process == 0)
        return course->step / (4 * TURN) * TURN % PAGES + course->step % TURN;
    return popular(course);
}

/* Every process works for a while in a window of its own, then in the next. */
static uint64_t next_phases(struct course *course) {
    uint64_t window = PAGES / 8, phase = course->step / (TURNS * TURN / 10);
    uint64_t start = (phase * 3 + course->process) * window;
    return (start + skewed(course, window)) % PAGES;
}

/* Half the accesses are to what all share, half to each process's own, from the front on. */
static uint64_t next_compile(struct course *course) {
    uint64_t own = PAGES / 2 / 4;
    if (below(course, 2))
        return skewed(course, PAGES / 2);
    return PAGES / 2 + course->process * own + course->step / 4 % own;
}

/* Round and round: the order in which lists that forget the oldest know least. */
static uint64_t next_loop(struct course *course) {
    return course->step % PAGES;
}

static const struct program {
    const char *name;
    unsigned processes;
    next_page *next;
} programs[] = {
    { "lookup", 4, next_lookup }, { "lookup and scan", 4, next_lookup_and_scan },
    { "phases", 4, next_phases }, { "compile", 4, next_compile },
    { "crowd", 16, next_lookup }, { "loop", 1, next_loop },
};

enum { PROGRAMS = sizeof(programs) / sizeof(programs[0]) };

typedef void access_page(unsigned process, uint64_t page, void *context);
typedef bool begin_turn(unsigned process, unsigned turn, void *context);

/* Goes through all accesses in their order; those of a turn that begin() refuses are left out. */
static void run_program(const struct program *program, begin_turn *begin, access_page *access,
                        void *context) {
    struct course course = { .random = 88172645463325252u };

    for (unsigned turn = 0; turn < TURNS; turn++) {
        course.process = turn % program->processes;
        bool wanted = begin(course.process, turn, context);
        for (unsigned i = 0; i < TURN; i++, course.step++) {
            uint64_t page = program->next(&course);
            if (wanted)
                access(course.process, page, context);
        }
    }
}

/* ---------------------------------------------------------------- the kernel */

struct control {
    _Atomic uint32_t turn;
};

struct child {
    struct control *control;
    unsigned process;
    volatile const char *memory;
};

static void wait_until(_Atomic uint32_t *word, uint32_t value) {
    uint32_t seen;
    while ((seen = atomic_load(word)) != value)
        syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void set_and_wake(_Atomic uint32_t *word, uint32_t value) {
    atomic_store(word, value);
    syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* A turn begins when the one before has ended, and every process ends its own. */
static bool child_begins(unsigned process, unsigned turn, void *context) {
    struct child *child = context;
    static unsigned last = UINT32_MAX;

    if (last != UINT32_MAX)
        set_and_wake(&child->control->turn, last + 1);
    last = UINT32_MAX;
    if (process != child->process)
        return false;
    wait_until(&child->control->turn, turn);
    last = turn;
    return true;
}

static void child_reads(unsigned process, uint64_t page, void *context) {
    const struct child *child = context;
    (void)process;
    (void)child->memory[page * VM_PAGE_SIZE];
}

static _Noreturn void child_main(const struct program *program, struct child *child, int file) {
    void *memory = mmap(NULL, PAGES * VM_PAGE_SIZE, PROT_READ, MAP_SHARED, file, 0);

    if (memory == MAP_FAILED || madvise(memory, PAGES * VM_PAGE_SIZE, MADV_RANDOM))
        _exit(1);
    child->memory = memory;
    run_program(program, child_begins, child_reads, child);
    child_begins(UINT32_MAX, TURNS, child);
    _exit(0);
}

static void run_processes(const struct program *program, const struct memory_group *group,
                          int file) {
    struct control *control =
        mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t leader, parent = getpid();
    int status = 0;

    if (control == MAP_FAILED)
        give_up("mapping memory");
    leader = fork();
    if (leader < 0)
        give_up("forking");
    if (leader == 0) { /* in the group, and so are its children */
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        if (getppid() != parent || !memory_group_enter(group, 0))
            _exit(1);
        for (unsigned i = 0; i < program->processes; i++) {
            struct child child = { .control = control, .process = i };
            pid_t process = fork();
            if (process == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
                child_main(program, &child, file);
            }
            if (process < 0)
                _exit(1);
        }
        for (unsigned i = 0; i < program->processes; i++)
            if (wait(&status) < 0 || status != 0)
                _exit(1);
        _exit(0);
    }
    waitpid(leader, &status, 0);
    munmap(control, sizeof(*control));
    if (status != 0)
        give_up("running a program in a memory cgroup (was it too small?)");
}

/* A run with nothing cached at first. bytes: 0 for no limit. */
struct kernel_run {
    uint64_t major, refaults, peak;
};

static struct kernel_run kernel_run(const struct program *program, int file, uint64_t bytes) {
    struct memory_group group;
    struct kernel_run run;

    if (memory_group_make(&group) || (bytes && !memory_group_limit(&group, bytes)))
        give_up("making a memory cgroup");
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    run_processes(program, &group, file);
    run.major = memory_group_stat(&group, "pgmajfault");
    run.refaults = memory_group_stat(&group, "workingset_refault_file");
    run.peak = memory_group_peak(&group);
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    memory_group_remove(&group);
    return run;
}

static const char *kernel_cannot(void) {
    struct memory_group group;
    const char *why = memory_group_make(&group);

    if (why)
        return why;
    memory_group_remove(&group);
    int file = disk_file_make(PAGES);
    if (file < 0)
        return "TMPDIR (or /tmp) is not on a disk";
    close(file);
    return NULL;
}

/* ---------------------------------------------------------------- the library */

struct players {
    struct bench_machine bench;
    struct vm_space *spaces[PROCESSES_MOST];
    uint64_t memory;
};

static bool always(unsigned process, unsigned turn, void *context) {
    (void)process;
    (void)turn;
    (void)context;
    return true;
}

static void library_reads(unsigned process, uint64_t page, void *context) {
    struct players *players = context;
    must(
        vm_touch(players->spaces[process], players->memory + page * VM_PAGE_SIZE, 1, VM_READ, NULL),
        "vm_touch");
}

static struct vm_stats library_run(const struct program *program, const char *design,
                                   uint64_t frames) {
    static struct players players;
    struct bench_config config = {
        .design = design, .contents = VM_METADATA_ONLY, .cpus = 1, .frames = frames
    };
    struct vm_backing *disk = posix_memory_open(PAGES * VM_PAGE_SIZE);
    struct vm_object *file;
    struct vm_stats stats;

    if (!disk)
        give_up("making a file in memory");
    bench_machine_open(&players.bench, &config);
    must(vm_object_open(players.bench.machine, disk, 1, &file), "vm_object_open");
    for (unsigned i = 0; i < program->processes; i++) {
        must(vm_space_create(players.bench.machine, i + 1, &players.spaces[i]), "vm_space_create");
        must(vm_mmap(players.spaces[i], 0, PAGES * VM_PAGE_SIZE, VM_PROT_READ, VM_MAP_SHARED, file,
                     0, &players.memory),
             "vm_mmap");
    }
    vm_object_put(file);
    run_program(program, always, library_reads, &players);
    vm_stats_read(players.bench.machine, &stats);
    bench_machine_close(&players.bench);
    return stats;
}

/* ---------------------------------------------------------------- the table */

static const char *const designs[] = { "virtual-scan", "anon-vma", "pte-chain" };

enum { DESIGNS = sizeof(designs) / sizeof(designs[0]), NEVER = -1 };

static const unsigned percents[] = { 25, 50, 75 };

struct row {
    const struct program *program;
    unsigned percent;
    bool with_kernel;
    struct kernel_run kernel;
    uint64_t read_in[DESIGNS];
};

static void print_row(const struct row *row, bool json, bool first) {
    uint64_t virtual_scan = row->read_in[0], worst = 0;

    for (unsigned i = 1; i < DESIGNS; i++)
        worst = row->read_in[i] > worst ? row->read_in[i] : worst;
    if (json) {
        printf("%s\n{\"program\":\"%s\",\"processes\":%u,\"percent\":%u", first ? "" : ",",
               row->program->name, row->program->processes, row->percent);
        if (row->with_kernel)
            printf(",\"kernel\":%llu,\"kernel_refaults\":%llu",
                   (unsigned long long)row->kernel.major, (unsigned long long)row->kernel.refaults);
        else
            printf(",\"kernel\":null,\"kernel_refaults\":null");
        for (unsigned i = 0; i < DESIGNS; i++)
            printf(",\"%s\":%llu", designs[i], (unsigned long long)row->read_in[i]);
        printf(",\"reached\":%s}", worst <= virtual_scan ? "true" : "false");
        return;
    }
    printf("%-16s %2u %% ", row->program->name, row->percent);
    if (row->with_kernel)
        printf(" %8llu (%8llu)", (unsigned long long)row->kernel.major,
               (unsigned long long)row->kernel.refaults);
    else
        printf(" %8s  %8s ", "-", "-");
    for (unsigned i = 0; i < DESIGNS; i++)
        printf(" %13llu", (unsigned long long)row->read_in[i]);
    printf("  goal (physical <= virtual): %s\n", worst <= virtual_scan ? "reached" : "NOT REACHED");
}

static void print_heads(void) {
    printf("%-16s %4s  %8s (%8s)", "program", "of", "kernel", "refaults");
    for (unsigned i = 0; i < DESIGNS; i++)
        printf(" %13s", designs[i]);
    printf("\n%-16s %4s\n", "", "peak");
}

/* What is not the file's stays as it is; of the file's pages, so many percent fit. */
static uint64_t share_of(uint64_t whole, uint64_t data, unsigned percent) {
    return whole - data + data * percent / 100;
}

static void measure_program(const struct program *program, int file, bool json, bool *first) {
    struct vm_stats whole = library_run(program, designs[1], frames_for(PAGES));
    uint64_t data = whole.memory.file, bytes = data * VM_PAGE_SIZE;
    struct kernel_run unlimited = { .peak = 0 };

    if (file >= 0)
        unlimited = kernel_run(program, file, 0);
    for (unsigned i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
        struct row row = { .program = program, .percent = percents[i], .with_kernel = file >= 0 };
        if (file >= 0)
            row.kernel = kernel_run(program, file, share_of(unlimited.peak, bytes, percents[i]));
        for (unsigned k = 0; k < DESIGNS; k++)
            row.read_in[k] = library_run(program, designs[k],
                                         share_of(whole.memory.frames_peak, data, percents[i]))
                                 .faults.read_in;
        print_row(&row, json, *first);
        *first = false;
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
    static const char *const notes[] = {
        "Pages read from the file while the program ran (major faults), the same accesses in the "
        "same",
        "order. refaults: those of the kernel's that it knows it had evicted. Memory is a share of "
        "the",
        "file's pages that the program uses; processes and page tables come on top.", NULL
    };
    struct options options =
        options_read(argc, argv, "major faults of programs that have less memory than they use");
    struct place place = take_one_core();
    const char *why = kernel_cannot();
    int file = why ? NEVER : disk_file_make(PAGES);
    bool first = true;

    if (options.json) {
        printf("{\"benchmark\":\"quality\",\"core\":%d,\"realtime\":%s,\"rows\":[", place.core,
               place.realtime ? "true" : "false");
    } else {
        if (why)
            printf("(kernel skipped: %s)\n", why);
        print_heads();
    }
    for (unsigned i = 0; i < PROGRAMS; i++)
        measure_program(&programs[i], file, options.json, &first);
    notes_print(options.json, notes);
    return 0;
}
