/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * apart.h - a run in a process of its own, so that no run inherits another's heap or caches.
 */
#ifndef OBJRMAP_LAB_APART_H
#define OBJRMAP_LAB_APART_H

#include "run.h"

/*
 * As run_trace(), and says on stderr why a run ended early. False after a complaint: the process ended
 * without a result.
 */
bool run_apart(const struct run_request *request, struct run_result *result);

#endif
