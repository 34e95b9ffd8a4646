/* SPDX-License-Identifier: BSD-2-Clause */
/* explorer.c - see explorer.h. */
#include "explorer.h"

#include "harness/dice.h"

#include "arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREEMPTIONS_MOST = 3, NODE_DEVIATIONS = 32, WORDS = 1 << 16 };

/* A schedule to be tried. */
struct node {
    uint8_t length;
    struct deviation at[NODE_DEVIATIONS];
    const volatile void *needs; /* worth a try only if several actors touch this */
    uint8_t preempted;          /* ... besides this one */
};

struct nodes {
    struct node *list;
    size_t count, room;
};

/* Who has ever touched what: open addressing. */
struct word {
    const volatile void *what;
    unsigned actors;
};

static struct {
    struct nodes pending[PREEMPTIONS_MOST + 1], deferred[PREEMPTIONS_MOST + 1];
    struct word words[WORDS];
    uint64_t words_changed, words_seen[PREEMPTIONS_MOST + 1];
    const struct play *play;
    const struct exploration *wanted;
    struct finding *finding;
} explorer;

static void add_node(struct nodes *nodes, const struct node *node) {
    if (nodes->count == nodes->room) {
        nodes->room = nodes->room ? nodes->room * 2 : 1024;
        nodes->list = realloc(nodes->list, nodes->room * sizeof *nodes->list);
        if (!nodes->list) {
            perror("no memory for schedules");
            exit(2);
        }
    }
    nodes->list[nodes->count++] = *node;
}

/* ---------------------------------------------------------------- who touches what */

static struct word *word_of(const volatile void *what) {
    uint64_t hash = ((uint64_t)(uintptr_t)what >> 2) * UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = hash >> 48;; i++) {
        struct word *word = &explorer.words[i % WORDS];
        if (word->what == what || !word->what)
            return word;
    }
}

static void note_touches(const struct performance *performance) {
    for (unsigned i = 0; i < performance->step_count; i++) {
        const struct step *step = &performance->steps[i];
        if (!step->what)
            continue;
        struct word *word = word_of(step->what);
        word->what = step->what;
        if (!(word->actors >> step->chosen & 1)) {
            word->actors |= 1u << step->chosen;
            explorer.words_changed++;
        }
    }
}

static bool others_touch(const volatile void *what, unsigned actor) {
    return !what || word_of(what)->actors & ~(1u << actor);
}

/* ---------------------------------------------------------------- successors */

static void add_successor(const struct node *node, unsigned number, unsigned actor,
                          const struct step *step, unsigned preemptions) {
    struct node next = *node;

    if (node->length == NODE_DEVIATIONS) {
        explorer.finding->stopped_early = true;
        return;
    }
    next.at[next.length++] = (struct deviation){ (uint16_t)number, (uint16_t)actor };
    next.needs = NULL;
    if (step->current != NOBODY) {
        preemptions++;
        if (preemptions > explorer.wanted->preemptions)
            return;
        next.needs = step->wanted;
        next.preempted = step->current;
    }
    if (explorer.wanted->everything || step->current == NOBODY ||
        others_touch(next.needs, next.preempted))
        add_node(&explorer.pending[preemptions], &next);
    else
        add_node(&explorer.deferred[preemptions], &next);
}

/* Preempted actors whose wish nobody has touched since. */
struct sleepers {
    bool asleep[ACTORS_MOST];
    const volatile void *wanted[ACTORS_MOST];
};

static void put_to_sleep(struct sleepers *sleepers, const struct step *step) {
    if (step->current != NOBODY && step->chosen != step->current) {
        sleepers->asleep[step->current] = true;
        sleepers->wanted[step->current] = step->wanted;
    }
}

static void wake_sleepers(struct sleepers *sleepers, const struct step *step) {
    for (unsigned i = 0; i < ACTORS_MOST; i++)
        if (step->what == sleepers->wanted[i] || !step->what)
            sleepers->asleep[i] = false;
}

static void add_successors(const struct node *node, const struct performance *performance) {
    unsigned first = node->length ? node->at[node->length - 1].step + 1u : 0;
    struct sleepers sleepers = { 0 };

    for (unsigned i = 0; i < performance->step_count; i++) {
        const struct step *step = &performance->steps[i];
        put_to_sleep(&sleepers, step);
        for (unsigned actor = 0; i >= first && actor < ACTORS_MOST; actor++) {
            if (actor == step->chosen || !(step->enabled >> actor & 1))
                continue;
            if (sleepers.asleep[actor] && !explorer.wanted->everything)
                explorer.finding->left_out++;
            else
                add_successor(node, i, actor, step, performance->preemptions);
        }
        if (sleepers.asleep[step->chosen] && !explorer.wanted->everything)
            return; /* as if it had been preempted a step later: so are all that follow */
        wake_sleepers(&sleepers, step);
    }
}

/* ---------------------------------------------------------------- trying */

static const struct performance *perform(scheduler_choice *choose, void *context) {
    arena_restore();
    const struct performance *performance =
        scheduler_perform(explorer.play, choose, context, TELL_NOTHING);
    if (performance->step_count > explorer.finding->longest)
        explorer.finding->longest = performance->step_count;
    return performance;
}

static bool keep_failure(const struct performance *performance) {
    struct finding *finding = explorer.finding;

    if (!performance->failed)
        return false;
    finding->failed = true;
    memcpy(finding->why, performance->why, sizeof finding->why);
    finding->schedule = performance->schedule;
    finding->preemptions = performance->preemptions;
    return true;
}

static bool try_node(const struct node *node) {
    struct schedule schedule = { .length = node->length };

    memcpy(schedule.at, node->at, node->length * sizeof node->at[0]);
    const struct performance *performance = perform(scheduler_follow, &schedule);
    explorer.finding->tried[performance->preemptions <= PREEMPTIONS_MOST ? performance->preemptions
                                                                         : PREEMPTIONS_MOST]++;
    if (keep_failure(performance))
        return false;
    note_touches(performance);
    add_successors(node, performance);
    return true;
}

/* What is known to be touched by several by now. */
static void undefer(unsigned preemptions) {
    struct nodes *deferred = &explorer.deferred[preemptions];
    size_t kept = 0;

    if (explorer.words_seen[preemptions] == explorer.words_changed)
        return;
    explorer.words_seen[preemptions] = explorer.words_changed;
    for (size_t i = 0; i < deferred->count; i++) {
        const struct node *node = &deferred->list[i];
        if (others_touch(node->needs, node->preempted))
            add_node(&explorer.pending[preemptions], node);
        else
            deferred->list[kept++] = *node;
    }
    deferred->count = kept;
}

/* The next with the fewest preemptions. */
static bool take_node(struct node *node) {
    for (unsigned i = 0; i <= PREEMPTIONS_MOST; i++) {
        struct nodes *pending = &explorer.pending[i];
        if (pending->count == 0)
            undefer(i);
        if (pending->count > 0) {
            *node = pending->list[--pending->count];
            return true;
        }
    }
    return false;
}

static void forget_everything(void) {
    for (unsigned i = 0; i <= PREEMPTIONS_MOST; i++) {
        explorer.pending[i].count = explorer.deferred[i].count = 0;
        explorer.words_seen[i] = 0;
    }
    memset(explorer.words, 0, sizeof explorer.words);
    explorer.words_changed = 0;
}

static void try_all(void) {
    struct node node = { .length = 0 };
    uint64_t left = explorer.wanted->most ? explorer.wanted->most : UINT64_MAX;

    forget_everything();
    add_node(&explorer.pending[0], &node);
    while (take_node(&node)) {
        if (left-- == 0) {
            explorer.finding->stopped_early = true;
            break;
        }
        if (!try_node(&node))
            break;
    }
    for (unsigned i = 0; i <= PREEMPTIONS_MOST; i++)
        explorer.finding->left_out += explorer.deferred[i].count;
}

/* ---------------------------------------------------------------- by lot */

enum { CHANGES = 3 };

struct lottery {
    struct dice dice;
    unsigned priority[ACTORS_MOST]; /* all different; the highest goes on */
    unsigned changes[CHANGES];      /* steps before which whoever runs becomes the lowest, as does
                                       whoever gives way */
    unsigned lowest;
};

static struct lottery new_lottery(uint64_t seed, unsigned steps) {
    struct lottery lottery = { .dice = { seed }, .lowest = 1000000 };

    for (unsigned i = 0; i < ACTORS_MOST; i++)
        lottery.priority[i] = 2000000 + (unsigned)dice_below(&lottery.dice, 1000) * ACTORS_MOST + i;
    for (unsigned i = 0; i < CHANGES; i++)
        lottery.changes[i] = (unsigned)dice_below(&lottery.dice, steps ? steps : 1);
    return lottery;
}

static unsigned choose_by_lot(void *context, unsigned number, const struct step *step,
                              unsigned usual) {
    struct lottery *lottery = context;
    unsigned best = usual;

    if (step->current != NOBODY && step->current != usual)
        return usual; /* it has turned long enough */
    if (step->yielded != NOBODY)
        lottery->priority[step->yielded] = lottery->lowest--;
    for (unsigned i = 0; i < CHANGES; i++)
        if (lottery->changes[i] == number && step->current != NOBODY)
            lottery->priority[step->current] = lottery->lowest--;
    for (unsigned i = 0; i < ACTORS_MOST; i++)
        if (step->enabled >> i & 1 && lottery->priority[i] > lottery->priority[best])
            best = i;
    return best;
}

/* Leaves deviations out as long as it still fails. */
static void shorten(struct finding *finding) {
    for (unsigned i = finding->schedule.length; i-- > 0;) {
        struct schedule shorter = finding->schedule;
        if (i >= shorter.length)
            continue;
        shorter.length--;
        memmove(&shorter.at[i], &shorter.at[i + 1], (shorter.length - i) * sizeof shorter.at[0]);
        const struct performance *performance = perform(scheduler_follow, &shorter);
        if (performance->failed && performance->schedule.length < finding->schedule.length)
            keep_failure(performance);
    }
}

static void try_by_lot(void) {
    struct finding *finding = explorer.finding;
    unsigned steps = finding->longest;

    for (uint64_t i = 0; i < explorer.wanted->random; i++) {
        struct lottery lottery = new_lottery(explorer.wanted->seed + i, steps);
        const struct performance *performance = perform(choose_by_lot, &lottery);
        finding->random_tried++;
        if (keep_failure(performance)) {
            finding->failing_seed = explorer.wanted->seed + i;
            shorten(finding);
            return;
        }
        steps = performance->step_count > steps ? performance->step_count : steps;
    }
}

void explore(const struct play *play, const struct exploration *exploration,
             struct finding *finding) {
    *finding = (struct finding){ .failed = false };
    explorer.play = play;
    explorer.wanted = exploration;
    explorer.finding = finding;
    try_all();
    if (!finding->failed)
        try_by_lot();
}

/* ---------------------------------------------------------------- as text */

void schedule_print(const struct schedule *schedule, char *text, size_t bytes) {
    size_t used = (size_t)snprintf(text, bytes, "%s", schedule->length ? "" : "-");

    for (unsigned i = 0; i < schedule->length && used < bytes; i++)
        used += (size_t)snprintf(text + used, bytes - used, "%s%u:%u", i ? "," : "",
                                 schedule->at[i].step, schedule->at[i].actor);
}

bool schedule_parse(const char *text, struct schedule *schedule) {
    schedule->length = 0;
    if (strcmp(text, "-") == 0)
        return true;
    for (;;) {
        unsigned step, actor;
        int used = 0;
        if (schedule->length == DEVIATIONS_MOST ||
            sscanf(text, "%u:%u%n", &step, &actor, &used) != 2 || step > UINT16_MAX ||
            actor >= ACTORS_MOST)
            return false;
        schedule->at[schedule->length++] = (struct deviation){ (uint16_t)step, (uint16_t)actor };
        text += used;
        if (*text == '\0')
            return true;
        if (*text++ != ',')
            return false;
    }
}
