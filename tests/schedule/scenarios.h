/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scenarios.h - the lists of scenarios; each ends with one that has no name.
 */
#ifndef OBJRMAP_TESTS_SCENARIOS_H
#define OBJRMAP_TESTS_SCENARIOS_H

#include "stage.h"

extern const struct scenario toys[];             /* the scheduler itself, and locks */
extern const struct scenario walk_scenarios[];   /* who maps this page, while that changes */
extern const struct scenario fault_scenarios[];  /* faults against faults, fork, unmapping */
extern const struct scenario object_scenarios[]; /* truncation, write-back */
extern const struct scenario reclaim_scenarios[];
extern const struct scenario migration_scenarios[]; /* a page comes to another frame */
extern const struct scenario node_scenarios[];      /* pages move between nodes */

#endif
