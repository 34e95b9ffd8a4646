/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.h - what programs can see of a machine, as text and as one number.
 *
 *     objrmap-state 1
 *     s PID NAME                            a process, in order of PID; then its areas and pages
 *     a PID START END PERM OBJ PGOFF        an area; OBJ - and PGOFF 0 for anonymous memory of both
 *                                           kinds; neighbours that could be one are one
 *     P PID ADDR PID1:ADDR1                 a private page that has been written, in memory or in
 *                                           swap; PID1:ADDR1 is the first place that shows the same
 *
 * Addresses and offsets are hexadecimal. Nothing depends on what is in memory and what in swap, or on
 * frame numbers; and on the design only who shares a page with whom, since "anonmm" must copy pages
 * that others merely share. No program can see that, so the hash leaves it out.
 */
#ifndef OBJRMAP_LAB_STATE_H
#define OBJRMAP_LAB_STATE_H

#include "replay/player.h"

#include <stdio.h>

/*
 * Writes the state to `file`, unless that is NULL, and returns its hash: over this text without the
 * PID1:ADDR1, and with contents also over the versions of the private pages and of all object pages
 * ever written. Pages that VM_MADV_FREE may have discarded are then not in the hash.
 * => flushed
 */
uint64_t state_write(struct player *player, FILE *file);

/*
 * The hash of what one process sees: its areas, its private pages, and with contents their versions.
 * Taken at each exec and exit, so that a trace that leaves no process still says something; the sum
 * does not depend on the order in which processes end.
 * => flushed
 */
uint64_t state_of_process(struct player *player, uint32_t process);

#endif
