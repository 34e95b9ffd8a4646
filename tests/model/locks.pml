/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * locks.pml - what all models share. A lock is a bit; who finds it set waits. Whoever waits for ever
 * is an invalid end state, which spin reports: a deadlock.
 */
#define LOCK(l)   atomic { !(l) -> l = true }
#define UNLOCK(l) l = false

/* `condition` must hold where a step touches memory: else it has been freed. */
#define ALIVE(condition) assert(condition)
