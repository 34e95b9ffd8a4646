/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock.c - spinning locks, the readers' and writers' lock, the page lock, and their order.
 *
 * Spinning locks are test-and-test-and-set. The sleeping ones are one word that the port can sleep
 * on (wait until it changes, wake all). Who finds one held turns a few times first, because most
 * are held for less than falling asleep takes; then it leaves a mark in the word, and whoever
 * releases the lock and finds the mark wakes everybody. Waking all and letting them race needs no
 * queue, and a mark left behind by mistake costs one idle wake, never a lost one.
 *
 * Writers are not starved: one that waits keeps new readers out until a writer has had its turn.
 * Hence nobody may read-lock twice; rank checking finds who does.
 *
 * On a machine of one CPU nothing is taken. The page lock is the exception: its bit is the page's
 * state, and asking for a page that the same CPU has locked must fail, there as anywhere.
 */
#include "vm/frame/page.h"
#include "vm/lock_log.h"

enum { TURNS_BEFORE_SLEEP = 64 };

/* ---------------------------------------------------------------- ranks */

const char *vm_rank_name(enum vm_rank rank) {
    static const char *const names[VM_RANKS] = {
        [VM_RANK_SPACE] = "space",
        [VM_RANK_SPACE_CHILD] = "fork's child space",
        [VM_RANK_PAGE] = "page",
        [VM_RANK_OBJECT_AREAS] = "object's areas",
        [VM_RANK_ANON] = "anonymous owner",
        [VM_RANK_AREAS] = "space's areas",
        [VM_RANK_TABLE] = "page table",
        [VM_RANK_TABLE_SECOND] = "second page table",
        [VM_RANK_CHAIN] = "page's chain",
        [VM_RANK_OBJECT_PAGES] = "object's pages",
        [VM_RANK_SWAP] = "swap",
        [VM_RANK_PAGEVEC] = "CPU's pagevec",
        [VM_RANK_LRU] = "active and inactive lists",
        [VM_RANK_MACHINE] = "machine's lists",
        [VM_RANK_CPU_FRAMES] = "CPU's free frames",
        [VM_RANK_ZONE] = "zone's free frames",
        [VM_RANK_CACHE] = "record cache",
    };
    return (unsigned)rank < VM_RANKS ? names[rank] : "no such rank";
}

#if VM_DEBUG >= 2

enum { MESSAGE_BYTES = 128 };

static size_t append(char *message, size_t used, const char *text) {
    while (*text && used + 1 < MESSAGE_BYTES)
        message[used++] = *text++;
    message[used] = '\0';
    return used;
}

static _Noreturn void out_of_order(struct vm_machine *machine, enum vm_rank rank,
                                   const char *relation, enum vm_rank held) {
    char message[MESSAGE_BYTES];
    size_t used = append(message, 0, "the lock of the ");
    used = append(message, used, vm_rank_name(rank));
    used = append(message, used, relation);
    append(message, used, vm_rank_name(held));
    vm_panic(machine, __FILE__, __LINE__, message);
}

/* Before waiting for a lock: all that this CPU holds must stand further out. */
static void rank_check(struct vm_machine *machine, enum vm_rank rank) {
    const struct vm_cpu *cpu = vm_this_cpu(machine);
    for (unsigned held = rank; held < VM_RANKS; held++)
        if (cpu->ranks_held[held])
            out_of_order(machine, rank, " is taken while holding that of the ", (enum vm_rank)held);
}

static void rank_add(struct vm_machine *machine, enum vm_rank rank) {
    vm_this_cpu(machine)->ranks_held[rank]++;
}

static void rank_drop(struct vm_machine *machine, enum vm_rank rank) {
    struct vm_cpu *cpu = vm_this_cpu(machine);
    if (cpu->ranks_held[rank] == 0)
        out_of_order(machine, rank, " is released without holding one of the ", rank);
    cpu->ranks_held[rank]--;
}

bool vm_may_sleep(struct vm_machine *machine) {
    const struct vm_cpu *cpu = vm_this_cpu(machine);
    for (unsigned held = VM_RANK_PAGE + 1; held < VM_RANKS; held++)
        if (cpu->ranks_held[held])
            return false;
    return true;
}

#else

static inline void rank_check(struct vm_machine *machine, enum vm_rank rank) {
    (void)machine;
    (void)rank;
}

static inline void rank_add(struct vm_machine *machine, enum vm_rank rank) {
    (void)machine;
    (void)rank;
}

static inline void rank_drop(struct vm_machine *machine, enum vm_rank rank) {
    (void)machine;
    (void)rank;
}

bool vm_may_sleep(struct vm_machine *machine) {
    (void)machine;
    return true;
}

#endif

/* ---------------------------------------------------------------- waiting */

static inline void relax(struct vm_machine *machine) {
    machine->port->relax(machine->port);
}

/* One turn of waiting for *word, seen as `seen`, to change: soon by turning, later asleep behind
 * the mark. May come back with nothing changed. */
static void wait_turn(struct vm_machine *machine, _Atomic uint32_t *word, uint32_t seen,
                      uint32_t mark, unsigned *turns) {
    if (*turns < TURNS_BEFORE_SLEEP) {
        ++*turns;
        relax(machine);
        return;
    }
    if ((seen & mark) != mark &&
        !atomic_compare_exchange_strong_explicit(word, &seen, seen | mark, memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    machine->port->wait(machine->port, word, seen | mark);
}

static void wake_all(struct vm_machine *machine, _Atomic uint32_t *word) {
    machine->port->wake(machine->port, word);
}

/* A clock reading for the statistics, once: 0 means that nobody has waited yet. */
static inline void begin_waiting(struct vm_machine *machine, uint64_t *waiting_since) {
    if (!*waiting_since)
        *waiting_since = vm_lock_log_now(machine);
}

/* ---------------------------------------------------------------- spinning */

/* The word: 1 held; else free, and with statistics the CPU that released it, plus one, times two. */
#define HELD 1u

static uint32_t released_word(struct vm_machine *machine) {
    return machine->lock_logs ? (vm_cpu_number(machine) + 1) << 1 : 0;
}

static void note_spinning(struct vm_machine *machine, const struct vm_lock *lock, enum vm_rank rank,
                          uint64_t waiting_since, uint32_t before) {
    bool handed_over = before != 0 && before != released_word(machine);
    vm_lock_log_taken(machine, lock, rank, VM_LOCK_ALONE, waiting_since, handed_over);
}

static void spin_take(struct vm_machine *machine, struct vm_lock *lock, enum vm_rank rank) {
    uint64_t waiting_since = 0;
    uint32_t before;

    vm_preempt(machine, lock);
    while ((before = atomic_exchange_explicit(&lock->word, HELD, memory_order_acquire)) == HELD) {
        begin_waiting(machine, &waiting_since);
        while (atomic_load_explicit(&lock->word, memory_order_relaxed) == HELD)
            relax(machine);
    }
    note_spinning(machine, lock, rank, waiting_since, before);
}

static bool spin_try(struct vm_machine *machine, struct vm_lock *lock, enum vm_rank rank) {
    vm_preempt(machine, lock);
    if (atomic_load_explicit(&lock->word, memory_order_relaxed) == HELD)
        return false;
    uint32_t before = atomic_exchange_explicit(&lock->word, HELD, memory_order_acquire);
    if (before == HELD)
        return false;
    note_spinning(machine, lock, rank, 0, before);
    return true;
}

void vm_lock(struct vm_machine *machine, struct vm_lock *lock, enum vm_rank rank) {
    rank_check(machine, rank);
    if (machine->smp)
        spin_take(machine, lock, rank);
    rank_add(machine, rank);
}

bool vm_trylock(struct vm_machine *machine, struct vm_lock *lock, enum vm_rank rank) {
    if (machine->smp && !spin_try(machine, lock, rank))
        return false;
    rank_add(machine, rank);
    return true;
}

void vm_unlock(struct vm_machine *machine, struct vm_lock *lock, enum vm_rank rank) {
    rank_drop(machine, rank);
    if (!machine->smp)
        return;
    vm_lock_log_released(machine, lock, rank, VM_LOCK_ALONE);
    vm_preempt(machine, lock);
    atomic_store_explicit(&lock->word, released_word(machine), memory_order_release);
}

/* ---------------------------------------------------------------- readers and writers */

#define VM_RW_WRITER  (1u << 31)
#define VM_RW_WAITERS (1u << 30) /* somebody sleeps: wake on release */
#define VM_RW_NEXT    (1u << 29) /* a writer waits: new readers stay out */
#define VM_RW_READERS (VM_RW_NEXT - 1)

static void read_take(struct vm_machine *machine, struct vm_rwlock *lock, enum vm_rank rank) {
    uint64_t waiting_since = 0;

    vm_preempt(machine, lock);
    for (unsigned turns = 0;;) {
        uint32_t seen = atomic_load_explicit(&lock->word, memory_order_relaxed);
        if (seen & (VM_RW_WRITER | VM_RW_NEXT)) {
            begin_waiting(machine, &waiting_since);
            wait_turn(machine, &lock->word, seen, VM_RW_WAITERS, &turns);
        } else if (atomic_compare_exchange_weak_explicit(
                       &lock->word, &seen, seen + 1, memory_order_acquire, memory_order_relaxed)) {
            break;
        }
    }
    vm_lock_log_taken(machine, lock, rank, VM_LOCK_SHARED, waiting_since, false);
}

void vm_read_lock(struct vm_machine *machine, struct vm_rwlock *lock, enum vm_rank rank) {
    rank_check(machine, rank);
    rank_add(machine, rank);
    if (machine->smp)
        read_take(machine, lock, rank);
}

void vm_read_unlock(struct vm_machine *machine, struct vm_rwlock *lock, enum vm_rank rank) {
    rank_drop(machine, rank);
    if (!machine->smp)
        return;
    vm_lock_log_released(machine, lock, rank, VM_LOCK_SHARED);
    vm_preempt(machine, lock);
    uint32_t left = atomic_fetch_sub_explicit(&lock->word, 1, memory_order_release) - 1;
    if ((left & VM_RW_READERS) != 0 || !(left & VM_RW_WAITERS))
        return;
    /* NEXT stays for the writer that set it. Somebody may have come in since; then those we wake
     * find the lock held, and mark it again. */
    vm_preempt(machine, lock);
    atomic_fetch_and_explicit(&lock->word, ~VM_RW_WAITERS, memory_order_relaxed);
    wake_all(machine, &lock->word);
}

/* Takes the lock if it was free when `seen` was read. */
static bool write_take_seen(struct vm_rwlock *lock, uint32_t seen) {
    return !(seen & (VM_RW_WRITER | VM_RW_READERS)) &&
           atomic_compare_exchange_strong_explicit(&lock->word, &seen,
                                                   (seen & ~VM_RW_NEXT) | VM_RW_WRITER,
                                                   memory_order_acquire, memory_order_relaxed);
}

static bool write_try(struct vm_machine *machine, struct vm_rwlock *lock) {
    vm_preempt(machine, lock);
    return write_take_seen(lock, atomic_load_explicit(&lock->word, memory_order_relaxed));
}

static void write_take(struct vm_machine *machine, struct vm_rwlock *lock, enum vm_rank rank) {
    uint64_t waiting_since = 0;

    vm_preempt(machine, lock);
    for (unsigned turns = 0;;) {
        uint32_t seen = atomic_load_explicit(&lock->word, memory_order_relaxed);
        if (write_take_seen(lock, seen))
            break;
        begin_waiting(machine, &waiting_since);
        if (seen & (VM_RW_WRITER | VM_RW_READERS))
            wait_turn(machine, &lock->word, seen, VM_RW_WAITERS | VM_RW_NEXT, &turns);
    }
    vm_lock_log_taken(machine, lock, rank, VM_LOCK_ALONE, waiting_since, false);
}

void vm_write_lock(struct vm_machine *machine, struct vm_rwlock *lock, enum vm_rank rank) {
    rank_check(machine, rank);
    rank_add(machine, rank);
    if (machine->smp)
        write_take(machine, lock, rank);
}

bool vm_write_trylock(struct vm_machine *machine, struct vm_rwlock *lock, enum vm_rank rank) {
    if (machine->smp) {
        if (!write_try(machine, lock))
            return false;
        vm_lock_log_taken(machine, lock, rank, VM_LOCK_ALONE, 0, false);
    }
    rank_add(machine, rank);
    return true;
}

/* Clears NEXT, too: after a writer, sleeping readers have as good a chance as the next writer. */
void vm_write_unlock(struct vm_machine *machine, struct vm_rwlock *lock, enum vm_rank rank) {
    rank_drop(machine, rank);
    if (!machine->smp)
        return;
    vm_lock_log_released(machine, lock, rank, VM_LOCK_ALONE);
    vm_preempt(machine, lock);
    uint32_t old = atomic_exchange_explicit(&lock->word, 0, memory_order_release);
    if (old & VM_RW_WAITERS)
        wake_all(machine, &lock->word);
}

/* ---------------------------------------------------------------- the page lock */

/* Sets the bit; false if it was set already. */
static bool page_take(const struct vm_machine *machine, struct vm_page *page) {
    vm_preempt(machine, page);
    if (vm_page_is(page, VM_PAGE_LOCKED))
        return false;
    if (!machine->smp) {
        vm_page_set(machine, page, VM_PAGE_LOCKED);
        return true;
    }
    uint32_t old = atomic_fetch_or_explicit(&page->flags, VM_PAGE_LOCKED, memory_order_seq_cst);
    return !(old & VM_PAGE_LOCKED);
}

void vm_page_lock(struct vm_machine *machine, struct vm_page *page) {
    uint64_t waiting_since = 0;

    rank_check(machine, VM_RANK_PAGE);
    for (unsigned turns = 0; !page_take(machine, page);) {
        if (machine->config.cpus == 1)
            vm_panic(machine, __FILE__, __LINE__, "the only CPU waits for a page that it locked");
        begin_waiting(machine, &waiting_since);
        uint32_t seen = vm_page_flags(page);
        if (seen & VM_PAGE_LOCKED)
            wait_turn(machine, &page->flags, seen, VM_PAGE_WAITED, &turns);
    }
    vm_lock_log_taken(machine, page, VM_RANK_PAGE, VM_LOCK_ALONE, waiting_since, false);
    rank_add(machine, VM_RANK_PAGE);
}

bool vm_page_trylock(struct vm_machine *machine, struct vm_page *page) {
    if (!page_take(machine, page))
        return false;
    vm_lock_log_taken(machine, page, VM_RANK_PAGE, VM_LOCK_ALONE, 0, false);
    rank_add(machine, VM_RANK_PAGE);
    return true;
}

void vm_page_unlock(struct vm_machine *machine, struct vm_page *page) {
    rank_drop(machine, VM_RANK_PAGE);
    VM_ASSERT(machine, vm_page_is(page, VM_PAGE_LOCKED));
    vm_lock_log_released(machine, page, VM_RANK_PAGE, VM_LOCK_ALONE);
    uint32_t old = vm_page_clear(machine, page, VM_PAGE_LOCKED | VM_PAGE_WAITED);
    if (machine->smp && (old & VM_PAGE_WAITED))
        wake_all(machine, &page->flags);
}

void vm_page_wait_unlocked(struct vm_machine *machine, struct vm_page *page) {
    rank_check(machine, VM_RANK_PAGE);
    for (unsigned turns = 0;;) {
        vm_preempt(machine, page);
        uint32_t seen = vm_page_flags(page);
        if (!(seen & VM_PAGE_LOCKED))
            return;
        if (machine->config.cpus == 1)
            vm_panic(machine, __FILE__, __LINE__, "the only CPU waits for a page that it locked");
        wait_turn(machine, &page->flags, seen, VM_PAGE_WAITED, &turns);
    }
}

/* ---------------------------------------------------------------- a bit of a page's flags */

static void bit_take(struct vm_machine *machine, struct vm_page *page, uint32_t bit,
                     enum vm_rank rank) {
    uint64_t waiting_since = 0;

    vm_preempt(machine, page);
    while (atomic_fetch_or_explicit(&page->flags, bit, memory_order_acquire) & bit) {
        begin_waiting(machine, &waiting_since);
        while (vm_page_is(page, bit))
            relax(machine);
    }
    vm_lock_log_taken(machine, page, rank, VM_LOCK_ALONE, waiting_since, false);
}

void vm_page_bit_lock(struct vm_machine *machine, struct vm_page *page, uint32_t bit,
                      enum vm_rank rank) {
    rank_check(machine, rank);
    if (machine->smp)
        bit_take(machine, page, bit, rank);
    rank_add(machine, rank);
}

void vm_page_bit_unlock(struct vm_machine *machine, struct vm_page *page, uint32_t bit,
                        enum vm_rank rank) {
    rank_drop(machine, rank);
    if (!machine->smp)
        return;
    vm_lock_log_released(machine, page, rank, VM_LOCK_ALONE);
    vm_preempt(machine, page);
    atomic_fetch_and_explicit(&page->flags, ~bit, memory_order_release);
}
