/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crew.h - a trace's processes on several CPUs: players on threads, one for each CPU.
 *
 * The caller reads the trace and hands out its events. Each process belongs to one CPU, which plays
 * its events in their order; what processes do in between happens at the same time. Yet what programs
 * see is what they see on one CPU, because
 *
 *   - a process begins after the fork that makes it, and takes an ended one's index after its exit;
 *   - what changes the world for all is played alone: declaring and resizing objects, and MADV_FREE,
 *     whose meaning depends on who shares a page;
 *   - with contents, a touch of a page that processes share takes its turn: it waits until all that
 *     comes before it in the trace has been played. So do calls of processes that have locked
 *     memory, which copies what it shows.
 *
 * Without contents nobody can tell who wrote a shared page last, and touches of it meet freely.
 *
 * Reclaim threads stand still, too, whenever one plays alone: MADV_FREE passes over a page that
 * somebody is at work on.
 *
 * An event that gets no memory waits for its turn, has all others stand still, and tries once more.
 * When one fails, those before it in the trace are still played: the first failure is the crew's.
 */
#ifndef OBJRMAP_LAB_REPLAY_CREW_H
#define OBJRMAP_LAB_REPLAY_CREW_H

#include "replay/player.h"

enum { CREW_CPUS_MAX = 64 };

struct crew;

/* How many CPUs the machine of such a crew has: one more for each node's reclaim, which runs on a
 * thread of its own. Where they are too many, or there is one player, all reclaim is the callers'. */
unsigned crew_machine_cpus(unsigned cpus, unsigned nodes);

/* What to do with an event that is no touch; called by the threads. */
typedef enum play crew_play(struct player *player, const struct trace_event *event, void *context);

/* `first` is the world's only player, and belongs to the crew until its end. */
struct crew *crew_begin(struct player *first, unsigned cpus, unsigned nodes, crew_play *play,
                        void *context);

/* Hands out an event. Anything but PLAY_ON: some event has failed; first->failure tells. */
enum play crew_event(struct crew *crew, const struct trace_event *event);

/* Waits until all events have been played. Then, up to the next one, the caller may use the world and
 * its first player as if there were no others. */
enum play crew_wait(struct crew *crew);

/* => waited. The first player then has the counts of all. */
void crew_end(struct crew *crew);

#endif
