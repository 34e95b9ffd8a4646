/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A control group for the recorded command alone.
 *
 * Events bound to a group follow every process in it at no cost per fork, while events that
 * processes inherit are copied one by one at each fork (measured: 0.4 ms a fork for the events of a
 * recording). The group is made below the recorder's own group, so limits set from above go on to
 * hold.
 */
#ifndef OBJRMAP_LAB_RECORD_CGROUP_H
#define OBJRMAP_LAB_RECORD_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct cgroup {
    char parent[PATH_MAX];
    char path[PATH_MAX + 64];
    int fd;
};

/* Makes the group; false (nothing left behind) where that is not possible. */
bool cgroup_create(struct cgroup *group);
bool cgroup_add(const struct cgroup *group, pid_t pid);
/* Moves what still runs in it to the parent group and removes it; the number of processes moved. */
unsigned cgroup_remove(struct cgroup *group);

#endif
