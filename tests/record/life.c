/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that uses its memory in every way the recorder knows, and leaves marks with its real
 * maps in between.
 *
 * usage: life PART...   each part is one of the names in the table below
 */
#include "maps_mark.h"

#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { PAGE = 4096 };

extern char **environ;
static int failures;

static void check(bool good, const char *what) {
    if (good)
        return;
    fprintf(stderr, "life: %s failed: %s\n", what, strerror(errno));
    failures++;
}

static void mark(void) {
    check(maps_mark() == 0, "maps_mark");
}

static char *map(size_t pages, int prot, int flags, int fd) {
    char *place = mmap(NULL, pages * PAGE, prot, flags, fd, 0);
    check(place != MAP_FAILED, "mmap");
    return place;
}

static char *map_private(size_t pages) {
    return map(pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void touch(char *place, size_t pages) {
    for (size_t i = 0; i < pages; i++)
        ((volatile char *)place)[i * PAGE] = (char)i;
}

static void wait_for(pid_t pid) {
    int status = -1;
    check(waitpid(pid, &status, 0) == pid && status == 0, "child");
}

/* ---- parts ---- */

static void do_remap(void) {
    char *a = map_private(16);
    touch(a, 16);
    check(mremap(a, 16 * PAGE, 8 * PAGE, 0) == a, "mremap, shrinking");
    mark();
    char *b = mremap(a, 8 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    check(b != MAP_FAILED, "mremap, growing");
    mark();
    char *target = map_private(32);
    char *c =
        mremap(b + 8 * PAGE, 8 * PAGE, 16 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + 4 * PAGE);
    check(c == target + 4 * PAGE, "mremap, fixed over others");
    mark();
    char *d = mremap(c, 16 * PAGE, 16 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
    check(d != MAP_FAILED, "mremap, keeping the old place");
    touch(d, 16);
    touch(c, 16);
    mark();
    int fd = memfd_create("life", 0);
    check(ftruncate(fd, 16 * PAGE) == 0, "ftruncate");
    char *e = map(16, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    touch(e, 16);
    char *f = mremap(e, 0, 8 * PAGE, MREMAP_MAYMOVE);
    check(f != MAP_FAILED, "mremap, second mapping");
    mark();
    check(mremap(e, 16 * PAGE, 32 * PAGE, MREMAP_MAYMOVE) != MAP_FAILED, "mremap of a file");
    check(mremap((char *)1, PAGE, PAGE, 0) == MAP_FAILED, "mremap that must fail");
    mark();
    close(fd);
}

static void do_brk(void) {
    char *start = sbrk(0);
    check(sbrk(100) == start, "sbrk, a little");
    check(sbrk(37 * PAGE) != (void *)-1, "sbrk, growing");
    touch(start + PAGE, 30);
    mark();
    check(sbrk(-20 * PAGE) != (void *)-1, "sbrk, shrinking");
    mark();
    check(sbrk((intptr_t)1 << 46) == (void *)-1, "sbrk that must fail");
    check(sbrk(5 * PAGE + 12) != (void *)-1, "sbrk, growing again");
    mark();
}

static void do_protect(void) {
    char *a = map_private(32);
    touch(a, 32);
    check(mprotect(a + 4 * PAGE, 8 * PAGE, PROT_READ) == 0, "mprotect");
    check(mprotect(a + 8 * PAGE, 8 * PAGE, PROT_NONE) == 0, "mprotect");
    mark();
    check(munmap(a + 20 * PAGE, 2 * PAGE) == 0, "munmap of a piece");
    check(mprotect(a + 16 * PAGE, 16 * PAGE, PROT_READ) != 0, "mprotect over a hole");
    mark();
    check(mprotect(a + 1, PAGE, PROT_READ) != 0, "mprotect that must fail");
    check(mprotect(a + 30 * PAGE, 5000, PROT_EXEC | PROT_READ) == 0, "mprotect, no whole pages");
    mark();
}

static void do_advise(void) {
    char *a = map_private(64);
    touch(a, 64);
    check(madvise(a, 8 * PAGE, MADV_DONTNEED) == 0, "dontneed");
    check(madvise(a + 8 * PAGE, 8 * PAGE, MADV_FREE) == 0, "free");
    check(madvise(a + 16 * PAGE, 4 * PAGE, MADV_DONTFORK) == 0, "dontfork");
    check(munmap(a + 40 * PAGE, 4 * PAGE) == 0, "munmap");
    check(madvise(a + 32 * PAGE, 32 * PAGE, MADV_DONTNEED) != 0, "dontneed over a hole");
    check(madvise(a + 48 * PAGE, 4 * PAGE, MADV_SEQUENTIAL) == 0, "sequential");
    madvise(a + 52 * PAGE, 4 * PAGE, 22 /* MADV_POPULATE_READ, not on old kernels */);
    madvise(a + 56 * PAGE, 4 * PAGE, 23);
    check(msync(a, 8 * PAGE, MS_ASYNC) == 0, "msync");
    mark();
    pid_t child = fork();
    if (child == 0) {
        mark();
        _exit(failures);
    }
    wait_for(child);
    check(madvise(a + 16 * PAGE, 4 * PAGE, MADV_DOFORK) == 0, "dofork");
    child = fork();
    if (child == 0) {
        touch(a, 40);
        mark();
        _exit(failures);
    }
    wait_for(child);
}

static void do_lock(void) {
    char *a = map_private(8);
    check(mlock(a + 100, 3 * PAGE) == 0, "mlock");
    check(munlock(a, 2 * PAGE) == 0, "munlock");
    map(4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1);
    map(300, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1);
    mark();
    check(mlockall(MCL_CURRENT | MCL_FUTURE) == 0, "mlockall");
    map_private(4);
    mark();
    check(munlockall() == 0, "munlockall");
}

static void do_shared(void) {
    char *a = map(8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
    int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
    char *b = map(4, PROT_READ | PROT_WRITE, MAP_SHARED, zero);
    char *c = map(4, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero);
    touch(a, 8);
    touch(b, 4);
    touch(c, 4);
    int segment = shmget(IPC_PRIVATE, 10 * PAGE + 5, IPC_CREAT | 0600);
    char *d = shmat(segment, NULL, 0);
    char *e = shmat(segment, NULL, SHM_RDONLY);
    check(d != (void *)-1 && e != (void *)-1, "shmat");
    touch(d, 10);
    shmctl(segment, IPC_RMID, NULL);
    mark();
    pid_t child = fork();
    if (child == 0) {
        touch(a, 8);
        check(shmdt(e) == 0, "shmdt in the child");
        mark();
        _exit(failures);
    }
    wait_for(child);
    check(munmap(d + 2 * PAGE, 2 * PAGE) == 0, "munmap of a piece of a segment");
    mark();
    check(shmdt(d) == 0, "shmdt");
    mark();
    close(zero);
}

static void do_file(void) {
    char path[] = "/tmp/objrmap-life-XXXXXX";
    int fd = mkstemp(path);
    check(fd >= 0, "mkstemp");
    check(ftruncate(fd, 10 * PAGE + 100) == 0, "ftruncate");
    char *a = map(16, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    char *b = map(16, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
    touch(a, 11);
    touch(b, 5);
    mark();
    check(remap_file_pages(a, 2 * PAGE, 0, 6, 0) == 0, "remap_file_pages");
    mark();
    check(ftruncate(fd, 40 * PAGE) == 0, "ftruncate, growing");
    touch(a, 16);
    check(ftruncate(fd, 3 * PAGE) == 0, "ftruncate, shrinking");
    check(munmap(a + 4 * PAGE, 4 * PAGE) == 0, "munmap");
    mark();
    unlink(path);
    char *c = mmap(a, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 2 * PAGE);
    check(c == a, "mmap, fixed");
    mark();
    close(fd);
}

/* Sizes that change under a mapping; slowly, so that the recorder can ask what the descriptor means. */
static void do_truncate(void) {
    char path[] = "/tmp/objrmap-life-XXXXXX";
    int fd = mkstemp(path);
    check(fd >= 0 && ftruncate(fd, 10 * PAGE) == 0, "ftruncate");
    char *a = map(64, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    touch(a, 10);
    usleep(300000);
    check(ftruncate(fd, 40 * PAGE) == 0, "ftruncate, growing");
    touch(a, 40);
    usleep(300000);
    check(ftruncate(fd, 20 * PAGE) == 0, "ftruncate, shrinking");
    usleep(300000);
    check(truncate(path, 3 * PAGE) == 0, "truncate");
    usleep(300000);
    unlink(path);
    close(fd);
}

static int deep(int depth) {
    volatile char frame[3 * PAGE];
    frame[0] = (char)depth;
    frame[2 * PAGE] = (char)depth;
    return depth == 0 ? frame[0] : deep(depth - 1) + frame[2 * PAGE];
}

static void do_stack(void) {
    deep(200);
    mark();
    /* A place for a growing area to grow into, well away from others. */
    char *room = map_private(1024);
    munmap(room, (size_t)1024 * PAGE);
    char *grows = mmap(room + 1000 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
    check(grows == room + 1000 * PAGE, "mmap, growing down");
    for (int i = 0; i < 20; i++)
        ((volatile char *)grows)[-i * 3 * PAGE] = 1;
    mark();
    /* The kernel itself grows it, on behalf of a read. */
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    check(read(zero, grows - 100 * PAGE, 10) == 10, "read below the stack");
    mark();
    close(zero);
}

static void *churn(void *seed_of) {
    unsigned seed = (unsigned)(uintptr_t)seed_of;
    for (int i = 0; i < 400; i++) {
        size_t pages = 1 + (size_t)rand_r(&seed) % 64;
        char *place = map_private(pages);
        touch(place, 1);
        if (rand_r(&seed) % 2)
            place = mremap(place, pages * PAGE, 2 * pages * PAGE, MREMAP_MAYMOVE), pages *= 2;
        if (rand_r(&seed) % 4)
            munmap(place, pages * PAGE);
    }
    return NULL;
}

static void do_threads(void) {
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        check(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)) == 0, "pthread_create");
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    mark();
}

static void do_children(void) {
    char *arguments[] = { (char *)"true", NULL };
    for (int i = 0; i < 20; i++) {
        pid_t child;
        check(posix_spawnp(&child, "true", NULL, NULL, arguments, environ) == 0, "posix_spawn");
        wait_for(child);
    }
    volatile int shared = 0;
    pid_t child = vfork();
    if (child == 0) {
        shared = 1;
        _exit(0);
    }
    wait_for(child);
    check(shared == 1, "vfork");
    child = fork();
    if (child == 0) {
        pid_t inner = fork();
        if (inner == 0) {
            mark();
            _exit(failures);
        }
        wait_for(inner);
        touch(map_private(10), 10);
        mark();
        _exit(failures);
    }
    wait_for(child);
    mark();
}

static void *execs(void *nothing) {
    (void)nothing;
    execl("/proc/self/exe", "life", "brk", (char *)NULL);
    failures++;
    return NULL;
}

/* A thread that is not the first one execs: it takes over the process's number. */
static void do_thread_exec(void) {
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        check(pthread_create(&thread, NULL, execs, NULL) == 0, "pthread_create");
        pthread_join(thread, NULL);
        _exit(1);
    }
    wait_for(child);
}

/* Leaves a process behind, whose maps no longer change. */
static void do_linger(void) {
    pid_t child = fork();
    if (child == 0) {
        touch(map_private(20), 20);
        munmap(map_private(30), (size_t)10 * PAGE);
        mark();
        sleep(20);
        _exit(0);
    }
    sleep(1);
    fprintf(stderr, "lingering %ld\n", (long)child);
}

struct part {
    const char *name;
    void (*run)(void);
};

static const struct part parts[] = {
    { "remap", do_remap },
    { "brk", do_brk },
    { "protect", do_protect },
    { "advise", do_advise },
    { "lock", do_lock },
    { "shared", do_shared },
    { "file", do_file },
    { "truncate", do_truncate },
    { "stack", do_stack },
    { "threads", do_threads },
    { "children", do_children },
    { "linger", do_linger },
    { "thread-exec", do_thread_exec },
};

static void run_part(const char *name) {
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (strcmp(parts[i].name, name) == 0)
            parts[i].run();
}

int main(int argc, char **argv) {
    check(maps_prepare() == 0, "maps_prepare");
    mark();
    for (int i = 1; i < argc; i++)
        run_part(argv[i]);
    mark();
    return failures ? 1 : 0;
}
