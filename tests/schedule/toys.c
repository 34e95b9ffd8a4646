/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * toys.c - small plays with and without a bug: what the scheduler must find, and what it must not.
 */
#include "arena.h"
#include "scenarios.h"
#include "vm/frame/page.h"

/* A machine that is nothing but its port, for the locks. */
static void set_up_locks(struct stage *stage) {
    stage->machine = arena_allocate(sizeof *stage->machine, 64);
    stage->machine->port = scheduler_port();
    stage->machine->config.cpus = SCHEDULER_CPUS;
    stage->machine->smp = true;
}

/* ---- two who add one to a number */

static void add_by_load_and_store(struct stage *stage) {
    scheduler_preempt(&stage->words[0]);
    uint32_t value = stage->words[0];
    scheduler_preempt(&stage->words[0]);
    stage->words[0] = value + 1;
}

static void add_at_once(struct stage *stage) {
    scheduler_preempt(&stage->words[0]);
    stage->words[0]++;
}

static void judge_two_additions(struct stage *stage) {
    require(stage->words[0] == 2);
}

/* ---- two locks */

static void take_both(struct stage *stage, unsigned first, unsigned second) {
    vm_lock(stage->machine, &stage->locks[first], VM_RANK_ANON);
    vm_lock(stage->machine, &stage->locks[second], VM_RANK_TABLE);
    stage->words[0]++;
    vm_unlock(stage->machine, &stage->locks[second], VM_RANK_TABLE);
    vm_unlock(stage->machine, &stage->locks[first], VM_RANK_ANON);
}

static void take_both_upwards(struct stage *stage) {
    take_both(stage, 0, 1);
}

static void take_both_downwards(struct stage *stage) {
    take_both(stage, 1, 0);
}

/* In the wrong order, but lets go of the first as long as the second is held. */
static void try_downwards(struct stage *stage) {
    vm_lock(stage->machine, &stage->locks[1], VM_RANK_TABLE);
    while (!vm_trylock(stage->machine, &stage->locks[0], VM_RANK_ANON)) {
        vm_unlock(stage->machine, &stage->locks[1], VM_RANK_TABLE);
        scheduler_port()->relax(scheduler_port());
        vm_lock(stage->machine, &stage->locks[1], VM_RANK_TABLE);
    }
    stage->words[0]++;
    vm_unlock(stage->machine, &stage->locks[0], VM_RANK_ANON);
    vm_unlock(stage->machine, &stage->locks[1], VM_RANK_TABLE);
}

/* ---- falling asleep */

static void sleep_on_it(struct stage *stage) {
    struct vm_port *port = scheduler_port();

    scheduler_preempt(&stage->words[0]);
    while (stage->words[0] == 0)
        port->wait(port, &stage->words[0], 0);
}

static void set_and_wake(struct stage *stage) {
    struct vm_port *port = scheduler_port();

    scheduler_preempt(&stage->words[0]);
    stage->words[0] = 1;
    port->wake(port, &stage->words[0]);
}

/* Says that somebody sleeps too late: after he has looked. */
static void sleep_unannounced(struct stage *stage) {
    struct vm_port *port = scheduler_port();

    scheduler_preempt(&stage->words[0]);
    if (stage->words[0])
        return;
    scheduler_preempt(&stage->words[1]);
    stage->words[1] = 1;
    port->wait(port, &stage->words[1], 1);
}

static void wake_if_announced(struct stage *stage) {
    struct vm_port *port = scheduler_port();

    scheduler_preempt(&stage->words[0]);
    stage->words[0] = 1;
    scheduler_preempt(&stage->words[1]);
    if (stage->words[1])
        port->wake(port, &stage->words[1]);
}

/* ---- the library's own */

/* Inside, a number goes up and down again; whoever sees it up is not alone. */
static void be_alone_inside(struct stage *stage) {
    scheduler_preempt(&stage->words[0]);
    require(stage->words[0] == 0);
    stage->words[0] = 1;
    scheduler_preempt(&stage->words[0]);
    stage->words[0] = 0;
    stage->words[1]++;
}

static void inside_lock(struct stage *stage) {
    vm_lock(stage->machine, &stage->locks[0], VM_RANK_TABLE);
    be_alone_inside(stage);
    vm_unlock(stage->machine, &stage->locks[0], VM_RANK_TABLE);
}

static void inside_write_lock(struct stage *stage) {
    vm_write_lock(stage->machine, &stage->rwlock, VM_RANK_SPACE);
    be_alone_inside(stage);
    vm_write_unlock(stage->machine, &stage->rwlock, VM_RANK_SPACE);
}

static void inside_read_lock(struct stage *stage) {
    vm_read_lock(stage->machine, &stage->rwlock, VM_RANK_SPACE);
    scheduler_preempt(&stage->words[0]);
    require(stage->words[0] == 0);
    stage->words[1]++;
    vm_read_unlock(stage->machine, &stage->rwlock, VM_RANK_SPACE);
}

static void inside_page_lock(struct stage *stage) {
    vm_page_lock(stage->machine, &stage->page);
    be_alone_inside(stage);
    vm_page_unlock(stage->machine, &stage->page);
}

static void judge_all_came(struct stage *stage) {
    unsigned actors = 0;
    while (stage->scenario->actors[actors])
        actors++;
    require(stage->words[1] == actors);
}

const struct scenario toys[] = {
    { .name = "toy-lost-update",
      .what = "a number is read and written back: one addition of two is lost",
      .toy = true,
      .must_fail = true,
      .actors = { add_by_load_and_store, add_by_load_and_store },
      .judge = judge_two_additions },
    { .name = "toy-no-lost-update",
      .what = "a number is added to at once",
      .toy = true,
      .actors = { add_at_once, add_at_once },
      .judge = judge_two_additions },
    { .name = "toy-lock-order",
      .what = "two locks are taken in either order: two actors wait for each other",
      .toy = true,
      .must_fail = true,
      .set_up = set_up_locks,
      .actors = { take_both_upwards, take_both_downwards } },
    { .name = "toy-same-order",
      .what = "two locks are taken in one order",
      .toy = true,
      .set_up = set_up_locks,
      .actors = { take_both_upwards, take_both_upwards, take_both_upwards } },
    { .name = "toy-trying",
      .what = "two try again until the third lets go: they may not do so by turns for ever",
      .toy = true,
      .set_up = set_up_locks,
      .actors = { try_downwards, try_downwards, take_both_upwards } },
    { .name = "toy-lost-wake",
      .what = "a sleeper tells that he sleeps after the one who would wake him has looked",
      .toy = true,
      .must_fail = true,
      .actors = { sleep_unannounced, wake_if_announced } },
    { .name = "toy-sleep",
      .what = "a sleeper looks at what he sleeps on",
      .toy = true,
      .actors = { sleep_on_it, set_and_wake, sleep_on_it } },
    { .name = "lock",
      .what = "a spinning lock lets one in",
      .toy = true,
      .set_up = set_up_locks,
      .actors = { inside_lock, inside_lock, inside_lock },
      .judge = judge_all_came },
    { .name = "readers-and-writers",
      .what = "two writers and a reader; who waits is woken",
      .toy = true,
      .set_up = set_up_locks,
      .actors = { inside_write_lock, inside_read_lock, inside_write_lock },
      .judge = judge_all_came },
    { .name = "page-lock",
      .what = "the page lock lets one in; who waits is woken",
      .toy = true,
      .set_up = set_up_locks,
      .actors = { inside_page_lock, inside_page_lock, inside_page_lock },
      .judge = judge_all_came },
    { .name = NULL },
};
