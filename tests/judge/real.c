/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * real.c - see real.h.
 *
 * The turn is a word for each player, slept on when it does not come at once. A process whose
 * judge has gone leaves by itself.
 */
#include "real.h"

#include "harness/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---------------------------------------------------------------- turns */

enum { SPINS = 400, SECONDS_TO_ANSWER = 30 };

static bool wait_for_turn(struct stage *stage, unsigned player) {
    _Atomic uint32_t *turn = &stage->turns[player];
    const struct timespec second = { .tv_sec = 1 };

    for (unsigned i = 0; i < SPINS && !atomic_load(turn); i++)
        __builtin_ia32_pause();
    for (unsigned seconds = 0; !atomic_load(turn);) {
        if (syscall(SYS_futex, turn, FUTEX_WAIT, 0, &second, NULL, 0) == 0 || errno != ETIMEDOUT)
            continue;
        if (player == TURN_JUDGE ? ++seconds == SECONDS_TO_ANSWER : kill(stage->judge, 0) != 0)
            return false;
    }
    atomic_store(turn, 0);
    return true;
}

static void give_turn(struct stage *stage, unsigned player) {
    atomic_store(&stage->turns[player], 1);
    syscall(SYS_futex, &stage->turns[player], FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Whose the next step is. Steps of processes that do not live are passed over. */
static unsigned next_player(struct stage *stage) {
    while (stage->at < stage->pause_at) {
        unsigned process = (unsigned)stage->ops[stage->at].process;
        if (stage->pids[process])
            return process;
        stage->outcomes[stage->at].result = NOT_PLAYED;
        stage->at++;
    }
    return TURN_JUDGE;
}

/* ---------------------------------------------------------------- touches */

static sigjmp_buf back;
static volatile sig_atomic_t caught;

static void catch (int signal) {
    caught = signal;
    siglongjmp(back, 1);
}

static void catch_signals(void) {
    struct sigaction action = { .sa_handler = catch, .sa_flags = SA_NODEFER };
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    signal(SIGCHLD, SIG_IGN);
}

/* What follows is VM_OK, or what the signal says. */
static int try_access(void (*access)(uint64_t address, struct touched *words), uint64_t address,
                      struct touched *words) {
    if (sigsetjmp(back, 0))
        return caught == SIGBUS ? VM_SIGBUS : VM_SIGSEGV;
    access(address, words);
    return VM_OK;
}

static void load(uint64_t address, struct touched *words) {
    uint32_t first = *(volatile uint32_t *)(address + FIRST_OFFSET);
    words->last = *(volatile uint32_t *)(address + LAST_OFFSET);
    words->first = first;
}

static void store(uint64_t address, struct touched *words) {
    *(volatile uint32_t *)(address + FIRST_OFFSET) = words->first;
    *(volatile uint32_t *)(address + LAST_OFFSET) = words->last;
}

static void touch_pages(struct stage *stage, const struct random_op *op, struct outcome *outcome) {
    bool writes = op->kind == RANDOM_WRITE;
    for (unsigned i = 0; i < op->pages; i++) {
        unsigned page = (unsigned)op->page + i;
        struct touched words = { 0 };
        if (writes) {
            words.first = value_of(stage->at, page, FIRST_OFFSET);
            words.last = value_of(stage->at, page, LAST_OFFSET);
        }
        int result = try_access(writes ? store : load, PAGE_AT(page), &words);
        outcome->pages[i] = result == VM_OK ? words : (struct touched){ .result = result };
    }
}

/* ---------------------------------------------------------------- calls */

static void *pointer(uint64_t address) {
    return (void *)(uintptr_t)address;
}

static int protection_of(uint64_t protection) {
    return (protection & VM_PROT_READ ? PROT_READ : 0) |
           (protection & VM_PROT_WRITE ? PROT_WRITE : 0) |
           (protection & VM_PROT_EXEC ? PROT_EXEC : 0);
}

/* What went outside is taken away again. */
static void settle(struct outcome *outcome, void *got, uint64_t asked, uint64_t bytes) {
    uint64_t at = (uint64_t)got;
    outcome->result = kernel_result((long)got);
    if (outcome->result != VM_OK)
        return;
    outcome->where = at == asked ? WHERE_ASKED : WHERE_ELSE_INSIDE;
    if (at < WINDOW_BASE || at >= WINDOW_END) {
        outcome->where = WHERE_OUTSIDE;
        munmap(got, bytes);
    } else if (at + bytes > WINDOW_END) {
        munmap(pointer(WINDOW_END), at + bytes - WINDOW_END);
    }
}

static void play_map(const struct real *real, const struct random_op *op, struct outcome *outcome) {
    static const struct {
        unsigned ours;
        int theirs;
    } table[] = { { VM_MAP_SHARED, MAP_SHARED }, { VM_MAP_PRIVATE, MAP_PRIVATE },
                  { VM_MAP_FIXED, MAP_FIXED },   { VM_MAP_FIXED_NOREPLACE, MAP_FIXED_NOREPLACE },
                  { VM_MAP_LOCKED, MAP_LOCKED }, { VM_MAP_POPULATE, MAP_POPULATE } };
    int flags = op->object ? 0 : MAP_ANONYMOUS;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (op->flags & table[i].ours)
            flags |= table[i].theirs;
    void *got = mmap(pointer(PAGE_AT(op->page)), PAGES(op->pages), protection_of(op->protection),
                     flags, op->object ? real->files[op->object] : -1, (off_t)PAGES(op->pgoff));
    settle(outcome, got, PAGE_AT(op->page), PAGES(op->pages));
}

/* Page by page, since a hole ends the call. */
static void unlock_everything(void) {
    for (unsigned i = 0; i < WINDOW_PAGES; i++)
        syscall(SYS_munlock, PAGE_AT(i), PAGES(1));
}

static void play_move(const struct random_op *op, struct outcome *outcome) {
    uint64_t flags = op->flags;
    int real = (flags & VM_MREMAP_MAYMOVE ? MREMAP_MAYMOVE : 0) |
               (flags & VM_MREMAP_FIXED ? MREMAP_FIXED : 0) |
               (flags & VM_MREMAP_DONTUNMAP ? MREMAP_DONTUNMAP : 0);
    uint64_t asked = PAGE_AT(flags & VM_MREMAP_FIXED ? op->to_page : op->page);

    if (flags & VM_MREMAP_DONTUNMAP)
        unlock_everything();
    void *got = mremap(pointer(PAGE_AT(op->page)), PAGES(op->pages), PAGES(op->to_pages), real,
                       pointer(PAGE_AT(op->to_page)));
    settle(outcome, got, asked, PAGES(op->to_pages));
    if (outcome->result != VM_EFAULT)
        return;
    munmap(pointer(PAGE_AT(op->page)), PAGES(pages_forgone(op)));
    if (flags & VM_MREMAP_FIXED)
        munmap(pointer(PAGE_AT(op->to_page)), PAGES(op->to_pages));
}

static int advice_of(uint64_t advice) {
    static const int table[] = {
        [VM_MADV_NORMAL] = MADV_NORMAL,
        [VM_MADV_RANDOM] = MADV_RANDOM,
        [VM_MADV_SEQUENTIAL] = MADV_SEQUENTIAL,
        [VM_MADV_WILLNEED] = MADV_WILLNEED,
        [VM_MADV_DONTNEED] = MADV_DONTNEED,
        [VM_MADV_FREE] = MADV_FREE,
        [VM_MADV_COLD] = MADV_COLD,
        [VM_MADV_PAGEOUT] = MADV_PAGEOUT,
        [VM_MADV_DONTFORK] = MADV_DONTFORK,
        [VM_MADV_DOFORK] = MADV_DOFORK,
    };
    return table[advice];
}

static int sync_flags(uint64_t flags) {
    return (flags & VM_MS_ASYNC ? MS_ASYNC : 0) | (flags & VM_MS_INVALIDATE ? MS_INVALIDATE : 0) |
           (flags & VM_MS_SYNC ? MS_SYNC : 0);
}

static long play_range(const struct real *real, const struct random_op *op) {
    uint64_t address = PAGE_AT(op->page), bytes = PAGES(op->pages);
    switch (op->kind) {
    case RANDOM_UNMAP:
        return munmap(pointer(address), bytes);
    case RANDOM_PROTECT:
        return mprotect(pointer(address), bytes, protection_of(op->protection));
    case RANDOM_REARRANGE:
        return syscall(SYS_remap_file_pages, address, bytes, 0, op->pgoff, 0);
    case RANDOM_ADVISE:
        return madvise(pointer(address), bytes, advice_of(op->value));
    case RANDOM_LOCK: /* by number, since sanitizers replace these two */
        return syscall(SYS_mlock, address, bytes);
    case RANDOM_UNLOCK:
        return syscall(SYS_munlock, address, bytes);
    case RANDOM_SYNC:
        return msync(pointer(address), bytes, sync_flags(op->flags));
    case RANDOM_TRUNCATE:
        return ftruncate(real->handles[op->object], (off_t)(PAGES(op->pages) + op->value));
    default:
        return 0; /* reclaim is the library's business */
    }
}

/* ---------------------------------------------------------------- processes */

static _Noreturn void live(const struct real *real, unsigned self);

static void play_fork(const struct real *real, const struct random_op *op,
                      struct outcome *outcome) {
    struct stage *stage = real->stage;
    if (stage->pids[op->child]) {
        outcome->result = NOT_PLAYED;
        return;
    }
    pid_t child = fork();
    if (child == 0)
        live(real, (unsigned)op->child);
    outcome->result = kernel_result(child);
    if (child > 0)
        stage->pids[op->child] = child;
}

static void play(const struct real *real) {
    const struct random_op *op = &real->stage->ops[real->stage->at];
    struct outcome *outcome = &real->stage->outcomes[real->stage->at];

    switch (op->kind) {
    case RANDOM_FORK:
        play_fork(real, op, outcome);
        break;
    case RANDOM_MAP:
        play_map(real, op, outcome);
        break;
    case RANDOM_MOVE:
        play_move(op, outcome);
        break;
    case RANDOM_READ:
    case RANDOM_WRITE:
        touch_pages(real->stage, op, outcome);
        break;
    default:
        outcome->result = kernel_result(play_range(real, op));
    }
}

static _Noreturn void live(const struct real *real, unsigned self) {
    struct stage *stage = real->stage;
    bool exits = false; /* its slot may be another's before it has gone */
    while (!exits && wait_for_turn(stage, self) && !stage->leaving) {
        unsigned player;
        while ((player = next_player(stage)) == self) {
            exits = stage->ops[stage->at].kind == RANDOM_EXIT;
            play(real);
            stage->at++;
            if (exits)
                stage->pids[self] = 0;
        }
        give_turn(stage, player);
    }
    _exit(0);
}

static _Noreturn void nurse(const struct real *real) {
    struct stage *stage = real->stage;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    catch_signals();
    while (wait_for_turn(stage, TURN_NURSERY)) {
        while (waitpid(-1, NULL, 0) > 0 || errno != ECHILD)
            ;
        if (stage->leaving == LEAVE_FOR_GOOD)
            break;
        stage->leaving = STAY;
        pid_t child = fork();
        if (child == 0)
            live(real, 0);
        stage->pids[0] = child > 0 ? child : 0;
        give_turn(stage, TURN_JUDGE);
    }
    _exit(0);
}

/* ---------------------------------------------------------------- the judge's side */

static bool open_files(struct real *real, const char *folder) {
    char path[4096];
    for (unsigned i = 1; i <= JUDGED_OBJECTS; i++) {
        if (i == OBJECT_MEMORY) {
            real->handles[i] = real->files[i] = memfd_create("judge", 0);
        } else {
            snprintf(path, sizeof(path), "%s/judge-XXXXXX", folder);
            real->handles[i] = real->files[i] = mkstemp(path);
            if (i == OBJECT_READ_ONLY)
                real->files[i] = open(path, O_RDONLY);
            if (real->handles[i] >= 0)
                unlink(path);
        }
        if (real->handles[i] < 0 || real->files[i] < 0) {
            perror(path);
            return false;
        }
    }
    return true;
}

bool real_begin(struct real *real, const char *folder) {
    *real = (struct real){ 0 };
    real->stage =
        mmap(NULL, sizeof(*real->stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (real->stage == MAP_FAILED || !open_files(real, folder))
        return false;
    real->stage->judge = getpid();
    fflush(NULL);
    real->nursery = fork();
    if (real->nursery == 0)
        nurse(real);
    return real->nursery > 0;
}

void real_end(struct real *real) {
    real->stage->leaving = LEAVE_FOR_GOOD;
    give_turn(real->stage, TURN_NURSERY);
    waitpid(real->nursery, NULL, 0);
    for (unsigned i = 1; i <= JUDGED_OBJECTS; i++) {
        close(real->handles[i]);
        if (real->files[i] != real->handles[i])
            close(real->files[i]);
    }
    munmap(real->stage, sizeof(*real->stage));
}

static bool renew_file(int file, unsigned object) {
    static unsigned char bytes[OBJECT_PAGES * VM_PAGE_SIZE];
    bool plain = ftruncate(file, 0) == 0 && ftruncate(file, sizeof(bytes)) == 0;
    if (object == OBJECT_MEMORY || !plain)
        return plain;
    for (unsigned page = 0; page < OBJECT_PAGES; page++) {
        const uint32_t first = file_value(object, page, FIRST_OFFSET);
        const uint32_t last = file_value(object, page, LAST_OFFSET);
        memcpy(bytes + PAGES(page) + FIRST_OFFSET, &first, sizeof(first));
        memcpy(bytes + PAGES(page) + LAST_OFFSET, &last, sizeof(last));
    }
    return pwrite(file, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes);
}

bool real_program_begin(struct real *real) {
    struct stage *stage = real->stage;
    for (unsigned i = 1; i <= JUDGED_OBJECTS; i++)
        if (!renew_file(real->handles[i], i))
            return false;
    memset(stage->outcomes, 0, stage->count * sizeof(stage->outcomes[0]));
    stage->at = stage->pause_at = 0;
    give_turn(stage, TURN_NURSERY);
    return wait_for_turn(stage, TURN_JUDGE) && stage->pids[0];
}

bool real_play(struct real *real, uint32_t until) {
    real->stage->pause_at = until;
    unsigned player = next_player(real->stage);
    if (player == TURN_JUDGE)
        return true;
    give_turn(real->stage, player);
    return wait_for_turn(real->stage, TURN_JUDGE);
}

void real_kill(struct real *real) {
    kill(real->nursery, SIGKILL);
    for (unsigned i = 0; i < PROCESS_SLOTS; i++)
        if (real->stage->pids[i])
            kill(real->stage->pids[i], SIGKILL);
}

/* The nursery waits for them before it forks again. */
void real_program_end(struct real *real) {
    real->stage->leaving = LEAVE;
    for (unsigned i = 0; i < PROCESS_SLOTS; i++)
        if (real->stage->pids[i]) {
            real->stage->pids[i] = 0;
            give_turn(real->stage, i);
        }
}
