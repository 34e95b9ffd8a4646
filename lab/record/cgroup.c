/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding the right hierarchy. Where perf_event is mounted as a controller of version 1, its groups
 * are the ones that events can be bound to; everywhere else it is the unified hierarchy's. The
 * mount point comes from /proc/self/mountinfo, the group within it from /proc/self/cgroup.
 */
#include "cgroup.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct hierarchy {
    char mount[PATH_MAX];
    char root[PATH_MAX];
};

static bool has_word(const char *list, const char *word) {
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += length) {
        bool starts = at == list || at[-1] == ',';
        bool ends =
            at[length] == '\0' || at[length] == ',' || at[length] == '\n' || at[length] == ' ';
        if (starts && ends)
            return true;
    }
    return false;
}

/* mountinfo: ID PARENT DEV ROOT MOUNT OPTIONS [TAGS...] - TYPE SOURCE SUPEROPTIONS */
static bool find_mount(const char *type, const char *option, struct hierarchy *found) {
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (!file)
        return false;
    char *line = NULL;
    size_t room = 0;
    bool hit = false;
    while (!hit && getline(&line, &room, file) > 0) {
        char kind[64];
        char options[1024];
        const char *tail = strstr(line, " - ");
        if (!tail || sscanf(tail, " - %63s %*s %1023s", kind, options) != 2)
            continue;
        if (strcmp(kind, type) != 0 || (option && !has_word(options, option)))
            continue;
        hit = sscanf(line, "%*s %*s %*s %4095s %4095s", found->root, found->mount) == 2;
    }
    free(line);
    fclose(file);
    return hit;
}

/* cgroup: ID:CONTROLLERS:PATH, with no controllers for the unified hierarchy. */
static bool find_own(const char *controller, char *path, size_t room) {
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file)
        return false;
    char *line = NULL;
    size_t line_room = 0;
    bool hit = false;
    while (!hit && getline(&line, &line_room, file) > 0) {
        char *controllers = strchr(line, ':');
        char *own = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!own)
            continue;
        *own++ = '\0';
        own[strcspn(own, "\n")] = '\0';
        hit = controller ? has_word(controllers + 1, controller) : controllers[1] == '\0';
        if (hit)
            snprintf(path, room, "%s", own);
    }
    free(line);
    fclose(file);
    return hit;
}

static bool find_parent(char *parent, size_t room) {
    struct hierarchy hierarchy;
    char own[PATH_MAX];
    const char *controller = "perf_event";
    if (!find_mount("cgroup", controller, &hierarchy)) {
        controller = NULL;
        if (!find_mount("cgroup2", NULL, &hierarchy))
            return false;
    }
    if (!find_own(controller, own, sizeof(own)))
        return false;
    /* In a container the mount shows only the part below its root, and so does the path of our own
     * group. */
    const char *below = own;
    size_t root_length = strlen(hierarchy.root);
    if (root_length > 1 && strncmp(own, hierarchy.root, root_length) == 0)
        below = own + root_length;
    return (size_t)snprintf(parent, room, "%s%s", hierarchy.mount,
                            strcmp(below, "/") == 0 ? "" : below) < room;
}

bool cgroup_create(struct cgroup *group) {
    if (!find_parent(group->parent, sizeof(group->parent)))
        return false;
    snprintf(group->path, sizeof(group->path), "%s/objrmap.%ld", group->parent, (long)getpid());
    if (mkdir(group->path, 0755))
        return false;
    group->fd = open(group->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (group->fd >= 0)
        return true;
    rmdir(group->path);
    return false;
}

static bool move_to(const char *path, pid_t pid) {
    char procs[PATH_MAX + 96];
    snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
    int fd = open(procs, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool good = dprintf(fd, "%ld\n", (long)pid) > 0;
    return close(fd) == 0 && good;
}

bool cgroup_add(const struct cgroup *group, pid_t pid) {
    return move_to(group->path, pid);
}

static unsigned move_all_out(const struct cgroup *group) {
    char procs[PATH_MAX + 96];
    snprintf(procs, sizeof(procs), "%s/cgroup.procs", group->path);
    FILE *file = fopen(procs, "re");
    if (!file)
        return 0;
    unsigned moved = 0;
    long pid;
    while (fscanf(file, "%ld", &pid) == 1)
        moved += move_to(group->parent, (pid_t)pid);
    fclose(file);
    return moved;
}

unsigned cgroup_remove(struct cgroup *group) {
    unsigned moved = move_all_out(group);
    close(group->fd);
    group->fd = -1;
    /* A process that is just dying or being born can keep the group busy for a moment. */
    for (int attempt = 0; attempt < 100 && rmdir(group->path); attempt++) {
        nanosleep(&(struct timespec){ .tv_nsec = 5 * 1000 * 1000 }, NULL);
        moved += move_all_out(group);
    }
    return moved;
}
