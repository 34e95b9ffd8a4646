/* SPDX-License-Identifier: BSD-2-Clause */
/* scheduler.c - see scheduler.h. */
#include "scheduler.h"

#include "arena.h"
#include "coroutine.h"

#include <execinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    STEPS_MOST = 60000,
    TURNS_BEFORE_BLOCKED = 80, /* more than the library's before it sleeps */
    STEPS_AT_A_STRETCH = 4000, /* then it gives way */
    ALONE = ACTORS_MOST        /* who is set up and judged by */
};

enum actor_state {
    READY,
    SPINNING, /* until what it wants has changed */
    YIELDING, /* until somebody else has made a step, if somebody can */
    SLEEPING, /* until woken */
    ENDED
};

/* Of a lock, or of a page's counts and flags. */
struct contents {
    uint32_t words[4];
};

struct actor {
    struct coroutine coroutine;
    enum actor_state state;
    bool started; /* has come to its first step */
    const volatile void *wanted;
    unsigned turns;         /* of busy waiting, since it last found what it waits for held */
    struct contents before; /* its last step */
    struct contents seen;   /* when it began to spin */
    unsigned yielded_at;    /* step */
    unsigned passed_over;   /* who has made no step since it last yielded */
    unsigned waits_for;     /* who comes first if they can: else it might try for ever */
    const volatile void *sleeps_on;
    bool allocations_fail;
};

static struct {
    struct vm_port port;
    struct coroutine thread;
    struct actor actors[SCHEDULER_CPUS];
    unsigned running; /* NOBODY: the thread */
    bool deciding;

    const struct play *play;
    scheduler_choice *choose;
    void *choose_context;
    enum telling telling;
    unsigned stretch; /* steps since another actor ran */
    uint64_t clock;

    struct performance performance;
    struct step steps[STEPS_MOST];
} scheduler;

static struct actor *running(void) {
    return &scheduler.actors[scheduler.running];
}

static void hand_over(unsigned next) {
    struct coroutine *from =
        scheduler.running == NOBODY ? &scheduler.thread : &running()->coroutine;

    scheduler.running = next;
    coroutine_switch(from, next == NOBODY ? &scheduler.thread : &scheduler.actors[next].coroutine);
}

_Noreturn void scheduler_fail(const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(scheduler.performance.why, sizeof scheduler.performance.why, format, arguments);
    va_end(arguments);
    scheduler.performance.failed = true;
    hand_over(NOBODY);
    __builtin_unreachable();
}

/* ---------------------------------------------------------------- deciding */

/* What lies there may be longer or shorter, and may have been freed. */
__attribute__((no_sanitize("address", "thread"))) static struct contents
contents_of(const volatile void *what) {
    const volatile uint32_t *words = what;
    struct contents contents = { { 0 } };

    for (unsigned i = 0; words && i < 4; i++)
        contents.words[i] = words[i];
    return contents;
}

static bool may_go_on(const struct actor *actor) {
    struct contents now = contents_of(actor->wanted);

    return actor->state == READY ||
           (actor->state == YIELDING && scheduler.performance.step_count > actor->yielded_at) ||
           (actor->state == SPINNING && memcmp(&now, &actor->seen, sizeof now) != 0);
}

static unsigned enabled_actors(void) {
    unsigned enabled = 0, yielding = 0, fair = 0;

    for (unsigned i = 0; i < scheduler.play->actor_count; i++) {
        enabled |= (may_go_on(&scheduler.actors[i]) ? 1u : 0u) << i;
        yielding |= (scheduler.actors[i].state == YIELDING ? 1u : 0u) << i;
    }
    for (unsigned i = 0; i < scheduler.play->actor_count; i++)
        if (!(scheduler.actors[i].waits_for & enabled))
            fair |= enabled & 1u << i;
    return fair ? fair : enabled ? enabled : yielding;
}

static void note_turn(unsigned chosen) {
    for (unsigned i = 0; i < scheduler.play->actor_count; i++) {
        scheduler.actors[i].passed_over &= ~(1u << chosen);
        scheduler.actors[i].waits_for &= ~(1u << chosen);
    }
}

static unsigned first_of(unsigned actors) {
    return (unsigned)__builtin_ctz(actors);
}

static unsigned usual_choice(unsigned current, unsigned enabled) {
    if (current == NOBODY)
        return first_of(enabled);
    if (scheduler.stretch < STEPS_AT_A_STRETCH)
        return current;
    unsigned later = enabled & ~((2u << current) - 1), others = enabled & ~(1u << current);
    return later ? first_of(later) : others ? first_of(others) : current;
}

static void note_deviation(unsigned step, unsigned actor) {
    struct schedule *schedule = &scheduler.performance.schedule;

    if (schedule->length == DEVIATIONS_MOST)
        scheduler_fail("the schedule is too long to be written down");
    schedule->at[schedule->length++] = (struct deviation){ (uint16_t)step, (uint16_t)actor };
}

static unsigned decide(unsigned current) {
    unsigned number = scheduler.performance.step_count;
    struct step *step = &scheduler.steps[number];

    if (number + 1 == STEPS_MOST)
        scheduler_fail("no end after %d steps", STEPS_MOST);
    *step = (struct step){ .current = (uint8_t)current, .enabled = (uint8_t)enabled_actors() };
    step->yielded = NOBODY;
    if (scheduler.running != NOBODY && running()->state == YIELDING)
        step->yielded = (uint8_t)scheduler.running;
    if (current != NOBODY)
        step->wanted = scheduler.actors[current].wanted;
    unsigned usual = usual_choice(current, step->enabled);
    unsigned chosen = scheduler.choose(scheduler.choose_context, number, step, usual);
    if (!(step->enabled >> chosen & 1))
        chosen = usual;
    step->chosen = (uint8_t)chosen;
    note_turn(chosen);
    step->what = scheduler.actors[chosen].wanted;
    if (chosen != usual)
        note_deviation(number, chosen);
    scheduler.performance.preemptions += current != NOBODY && chosen != usual;
    scheduler.performance.step_count++;
    scheduler.stretch = chosen == current ? scheduler.stretch + 1 : 0;
    return chosen;
}

static void tell_where(const char *what) {
    void *frames[24];
    int count = backtrace(frames, 24);

    fflush(stdout);
    printf("-- step %u: actor %u %s\n", scheduler.performance.step_count, scheduler.running, what);
    fflush(stdout);
    backtrace_symbols_fd(frames + 3, count > 5 ? count - 5 : 0, STDOUT_FILENO);
}

/* The running actor cannot go on, or may not. */
static void give_way(unsigned next, const char *how) {
    if (scheduler.telling == TELL_SWITCHES)
        tell_where(how);
    hand_over(next);
}

static bool all_ended(void) {
    for (unsigned i = 0; i < scheduler.play->actor_count; i++)
        if (scheduler.actors[i].state != ENDED)
            return false;
    return true;
}

static _Noreturn void fail_deadlocked(void) {
    static const char *const states[] = { "is ready", "spins", "yields", "sleeps", "has ended" };
    char list[128] = "";
    size_t used = 0;

    for (unsigned i = 0; i < scheduler.play->actor_count; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s actor %u %s", i ? "," : "", i,
                                 states[scheduler.actors[i].state]);
    scheduler_fail("nobody can go on:%s", list);
}

/* Somebody else's turn; comes back when this actor's state is READY again, if ever. */
static void block(enum actor_state state, const char *how) {
    running()->state = state;
    running()->seen = contents_of(running()->wanted);
    if (!scheduler.deciding)
        scheduler_fail("alone, and yet it has to wait");
    if (all_ended()) {
        give_way(NOBODY, how);
        return;
    }
    if (!enabled_actors()) {
        if (scheduler.telling == TELL_SWITCHES)
            tell_where(how);
        fail_deadlocked();
    }
    give_way(decide(NOBODY), how);
    running()->state = READY;
    running()->turns = 0;
}

static void yield(void) {
    running()->yielded_at = scheduler.performance.step_count;
    running()->waits_for = running()->passed_over;
    running()->passed_over = ~(1u << scheduler.running);
    block(YIELDING, "yields");
    running()->before = contents_of(running()->wanted);
}

static void take_step(const volatile void *what) {
    struct actor *actor = running();

    if (!scheduler.deciding || (actor->turns && actor->wanted == what))
        return;
    bool tries_again = actor->turns > 0; /* found something held, and looks elsewhere meanwhile */
    actor->turns = 0;
    actor->wanted = what;
    if (tries_again) {
        yield();
        return;
    }
    if (!actor->started) {
        actor->started = true;
        hand_over(NOBODY); /* its first step will be decided like every other */
        actor->before = contents_of(what);
        return;
    }
    unsigned chosen = decide(scheduler.running);
    if (chosen != scheduler.running)
        give_way(chosen, "is preempted");
    actor->before = contents_of(what);
}

void scheduler_preempt(const volatile void *what) {
    take_step(what);
}

unsigned scheduler_follow(void *context, unsigned number, const struct step *at, unsigned usual) {
    const struct schedule *schedule = context;

    (void)at;
    for (unsigned i = 0; i < schedule->length; i++)
        if (schedule->at[i].step == number)
            return schedule->at[i].actor;
    return usual;
}

/* ---------------------------------------------------------------- the port */

static void *port_allocate(struct vm_port *port, size_t bytes, size_t alignment) {
    (void)port;
    if (running()->allocations_fail)
        return NULL;
    void *block = arena_allocate(bytes, alignment);
    if (!block)
        scheduler_fail("the arena is full");
    return block;
}

static void port_release(struct vm_port *port, void *block, size_t bytes) {
    (void)port;
    arena_release(block, bytes);
}

static void *port_frames_reserve(struct vm_port *port, uint64_t bytes) {
    (void)port;
    return arena_allocate((size_t)bytes, 4096);
}

static void port_frames_release(struct vm_port *port, void *frames, uint64_t bytes) {
    (void)port;
    arena_release(frames, (size_t)bytes);
}

static uint64_t port_clock_ns(struct vm_port *port) {
    (void)port;
    return scheduler.clock += 1000;
}

static unsigned port_cpu(struct vm_port *port) {
    (void)port;
    return scheduler.running;
}

/* Who has found a lock held waits for it to change. Who has let go of one before that tries again
 * later. */
static void port_relax(struct vm_port *port) {
    struct contents now = contents_of(running()->wanted);

    (void)port;
    if (scheduler.deciding && memcmp(&now, &running()->before, sizeof now) != 0)
        yield();
    else if (++running()->turns >= TURNS_BEFORE_BLOCKED || !scheduler.deciding)
        block(SPINNING, "spins");
}

/* Between the look at the word that led here and falling asleep, others may come. */
static void port_wait(struct vm_port *port, _Atomic uint32_t *word, uint32_t value) {
    (void)port;
    running()->turns = 0;
    take_step(running()->wanted);
    if (atomic_load(word) != value)
        return;
    running()->sleeps_on = word;
    block(SLEEPING, "sleeps");
}

static void port_wake(struct vm_port *port, _Atomic uint32_t *word) {
    (void)port;
    for (unsigned i = 0; i < ACTORS_MOST; i++) {
        struct actor *actor = &scheduler.actors[i];
        if (actor->state == SLEEPING && actor->sleeps_on == word)
            actor->state = READY;
    }
}

static void port_preempt(struct vm_port *port, const volatile void *what) {
    (void)port;
    take_step(what);
}

static void port_panic(struct vm_port *port, const char *file, int line, const char *what) {
    (void)port;
    const char *slash = strrchr(file, '/');
    if (scheduler.telling == TELL_SWITCHES)
        tell_where("panics");
    scheduler_fail("broken invariant at %s:%d: %s", slash ? slash + 1 : file, line, what);
}

/* ---------------------------------------------------------------- performing */

void scheduler_create(void) {
    scheduler.port = (struct vm_port){
        .allocate = port_allocate,
        .release = port_release,
        .frames_reserve = port_frames_reserve,
        .frames_release = port_frames_release,
        .clock_ns = port_clock_ns,
        .cpu = port_cpu,
        .relax = port_relax,
        .wait = port_wait,
        .wake = port_wake,
        .preempt = port_preempt,
        .panic = port_panic,
    };
    scheduler.running = NOBODY;
    coroutine_adopt_thread(&scheduler.thread);
    for (unsigned i = 0; i < SCHEDULER_CPUS; i++)
        coroutine_create(&scheduler.actors[i].coroutine);
}

struct vm_port *scheduler_port(void) {
    return &scheduler.port;
}

static void reset(enum telling telling) {
    scheduler.telling = telling;
    scheduler.stretch = 0;
    scheduler.clock = 0;
    scheduler.performance.failed = false;
    scheduler.performance.why[0] = '\0';
    scheduler.performance.steps = scheduler.steps;
    scheduler.performance.step_count = 0;
    scheduler.performance.preemptions = 0;
    scheduler.performance.schedule.length = 0;
}

struct solo {
    void (*run)(void *context);
    void *context;
};

static void run_solo(void *context) {
    struct solo *solo = context;

    solo->run(solo->context);
    hand_over(NOBODY);
}

static void begin(unsigned number, void (*run)(void *), void *context) {
    struct actor *actor = &scheduler.actors[number];

    actor->state = READY;
    actor->started = false;
    actor->allocations_fail = false;
    actor->turns = 0;
    actor->passed_over = actor->waits_for = 0;
    actor->wanted = NULL;
    coroutine_begin(&actor->coroutine, run, context);
}

static void perform_alone(void (*run)(void *context), void *context) {
    struct solo solo = { run, context };

    scheduler.deciding = false;
    begin(ALONE, run_solo, &solo);
    hand_over(ALONE);
    scheduler.running = NOBODY;
}

bool scheduler_run_alone(void (*run)(void *context), void *context, char why[256]) {
    reset(TELL_NOTHING);
    perform_alone(run, context);
    memcpy(why, scheduler.performance.why, sizeof scheduler.performance.why);
    return !scheduler.performance.failed;
}

static void act(void *context) {
    (void)context;
    scheduler.play->act(scheduler.play->context, scheduler.running);
    if (running()->started) {
        block(ENDED, "has finished");
    } else { /* without a single step */
        running()->state = ENDED;
        hand_over(NOBODY);
    }
}

/* Each actor up to its first step, so that every decision knows what all want. */
static void bring_on(const struct play *play) {
    scheduler.play = play;
    for (unsigned i = 0; i < play->actor_count; i++)
        begin(i, act, NULL);
    scheduler.deciding = true;
    for (unsigned i = 0; i < play->actor_count && !scheduler.performance.failed; i++)
        hand_over(i);
}

const struct performance *scheduler_perform(const struct play *play, scheduler_choice *choose,
                                            void *context, enum telling telling) {
    reset(telling);
    scheduler.choose = choose;
    scheduler.choose_context = context;
    bring_on(play);
    if (!scheduler.performance.failed && enabled_actors())
        hand_over(decide(NOBODY));
    scheduler.telling = TELL_NOTHING;
    if (!scheduler.performance.failed && play->judge)
        perform_alone(play->judge, play->context);
    if (!scheduler.performance.failed && !arena_is_sound()) {
        scheduler.performance.failed = true;
        snprintf(scheduler.performance.why, sizeof scheduler.performance.why,
                 "memory was written to after it was given back");
    }
    return &scheduler.performance;
}

const struct performance *scheduler_current(void) {
    return &scheduler.performance;
}

void scheduler_fail_allocations(bool fail) {
    running()->allocations_fail = fail;
}
