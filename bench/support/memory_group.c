/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory_group.c - finding the memory controller, making a group below our own, asking it.
 *
 * The mount point comes from /proc/self/mountinfo, our own group from /proc/self/cgroup. In version 2
 * a group that has processes may not hand controllers on (but for the root), so the new one goes
 * below the next group outside that does.
 */
#include "support/memory_group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILE_PATH = PATH_MAX + 64, LINE = 2 * PATH_MAX + 256 };

/* ---------------------------------------------------------------- one file of a group */

static void file_of(char *path, const char *group, const char *name) {
    snprintf(path, FILE_PATH, "%s/%s", group, name);
}

static bool put(const char *group, const char *name, const char *text) {
    char path[FILE_PATH];

    file_of(path, group, name);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    bool good = write(file, text, strlen(text)) == (ssize_t)strlen(text);
    return close(file) == 0 && good;
}

static bool put_number(const char *group, const char *name, uint64_t number) {
    char text[32];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    return put(group, name, text);
}

/* The number behind the word, or the first of the file when there is no word; 0 for none. */
static uint64_t get(const char *path, const char *word) {
    FILE *file = fopen(path, "re");
    char line[256];
    uint64_t number = 0;
    bool found = false;

    while (file && !found && fgets(line, sizeof(line), file)) {
        size_t length = word ? strlen(word) : 0;
        found = !word || (strncmp(line, word, length) == 0 && strchr(" :", line[length]));
        if (found)
            number = strtoull(line + length + (word != NULL), NULL, 10);
    }
    if (file)
        fclose(file);
    return number;
}

/* ---------------------------------------------------------------- where groups are */

static bool lists_word(const char *list, const char *word) {
    size_t length = strlen(word);

    for (const char *at = strstr(list, word); at; at = strstr(at + 1, word))
        if ((at == list || strchr(", ", at[-1])) && strchr(", \n", at[length]))
            return true;
    return false;
}

struct hierarchy {
    char root[PATH_MAX], mount[PATH_MAX];
};

/* mountinfo: ID PARENT DEV ROOT MOUNT OPTIONS [TAGS...] - TYPE SOURCE SUPEROPTIONS */
static bool find_mount(unsigned version, struct hierarchy *found) {
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char line[LINE], type[64], options[1024];
    bool hit = false;

    while (file && !hit && fgets(line, sizeof(line), file)) {
        const char *tail = strstr(line, " - ");
        if (!tail || sscanf(tail, " - %63s %*s %1023s", type, options) != 2)
            continue;
        hit = version == 2 ? strcmp(type, "cgroup2") == 0
                           : strcmp(type, "cgroup") == 0 && lists_word(options, "memory");
        if (hit)
            hit = sscanf(line, "%*s %*s %*s %4095s %4095s", found->root, found->mount) == 2;
    }
    if (file)
        fclose(file);
    return hit;
}

/* cgroup: ID:CONTROLLERS:PATH, with no controllers for version 2. */
static bool find_own(unsigned version, char *own) {
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[LINE];
    bool hit = false;

    while (file && !hit && fgets(line, sizeof(line), file)) {
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        hit = version == 2 ? controllers[1] == '\0' : lists_word(controllers + 1, "memory");
        if (hit)
            snprintf(own, PATH_MAX, "%s", path);
    }
    if (file)
        fclose(file);
    return hit;
}

static bool own_group(unsigned version, char *path) {
    struct hierarchy hierarchy;
    char own[PATH_MAX];
    size_t root;

    if (!find_mount(version, &hierarchy) || !find_own(version, own))
        return false;
    /* In a container the mount shows only what is below its root, and our own path says more. */
    root = strlen(hierarchy.root);
    const char *below = root > 1 && strncmp(own, hierarchy.root, root) == 0 ? own + root : own;
    int length = snprintf(path, PATH_MAX, "%s%s", hierarchy.mount, strcmp(below, "/") ? below : "");
    return length > 0 && length < PATH_MAX - 64;
}

static bool hands_on_memory(const char *group) {
    char path[FILE_PATH], line[256] = "";

    file_of(path, group, "cgroup.subtree_control");
    FILE *file = fopen(path, "re");
    bool read = file && fgets(line, sizeof(line), file);
    if (file)
        fclose(file);
    return read && lists_word(line, "memory");
}

/* The group itself, or the nearest outside, that hands the controller on. */
static bool find_parent_2(char *path) {
    while (!hands_on_memory(path)) {
        char *last = strrchr(path, '/'), above[FILE_PATH];
        if (!last || last == path)
            return false;
        *last = '\0';
        file_of(above, path, "cgroup.controllers");
        if (access(above, R_OK))
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------- the group */

/* Groups of benchmarks that were interrupted. */
static void remove_leftovers(const char *parent) {
    DIR *directory = opendir(parent);
    struct dirent *entry;
    char path[FILE_PATH];
    long process;

    while (directory && (entry = readdir(directory)))
        if (sscanf(entry->d_name, "objrmap-bench.%ld.", &process) == 1 && kill((pid_t)process, 0) &&
            errno == ESRCH) {
            snprintf(path, sizeof(path), "%.*s/%.60s", PATH_MAX - 64, parent, entry->d_name);
            rmdir(path);
        }
    if (directory)
        closedir(directory);
}

/* The first name that is not taken: one process may have several groups. */
static bool make_directory(struct memory_group *group) {
    for (unsigned i = 0; i < 16; i++) {
        snprintf(group->path, sizeof(group->path), "%.*s/objrmap-bench.%ld.%u", PATH_MAX - 64,
                 group->parent, (long)getpid(), i);
        if (mkdir(group->path, 0755) == 0)
            return true;
        if (errno != EEXIST)
            return false;
    }
    return false;
}

const char *memory_group_make(struct memory_group *group) {
    const char *reclaim;

    group->version = 0;
    if (own_group(1, group->parent))
        group->version = 1;
    else if (own_group(2, group->parent) && find_parent_2(group->parent))
        group->version = 2;
    else
        return "no memory cgroups here";
    reclaim = group->version == 1 ? "memory.force_empty" : "memory.reclaim";
    remove_leftovers(group->parent);
    if (!make_directory(group)) {
        group->version = 0;
        return errno == EACCES || errno == EPERM ? "a memory cgroup is for root to make"
                                                 : "no memory cgroup can be made here";
    }
    char path[FILE_PATH];
    file_of(path, group->path, reclaim);
    if (access(path, W_OK) == 0)
        return NULL;
    memory_group_remove(group);
    return "this kernel's memory cgroups do not reclaim on demand";
}

bool memory_group_enter(const struct memory_group *group, pid_t process) {
    return put_number(group->path, "cgroup.procs", (uint64_t)process);
}

bool memory_group_leave(const struct memory_group *group, pid_t process) {
    return put_number(group->parent, "cgroup.procs", (uint64_t)process);
}

bool memory_group_limit(const struct memory_group *group, uint64_t bytes) {
    return put_number(group->path, group->version == 1 ? "memory.limit_in_bytes" : "memory.max",
                      bytes);
}

bool memory_group_reclaim(const struct memory_group *group, uint64_t bytes) {
    if (group->version == 1)
        return put(group->path, "memory.force_empty", "0");
    return put_number(group->path, "memory.reclaim", bytes);
}

uint64_t memory_group_stat(const struct memory_group *group, const char *name) {
    char path[FILE_PATH];

    file_of(path, group->path, "memory.stat");
    return get(path, name);
}

uint64_t memory_group_peak(const struct memory_group *group) {
    char path[FILE_PATH];

    file_of(path, group->path, group->version == 1 ? "memory.max_usage_in_bytes" : "memory.peak");
    return get(path, NULL);
}

uint64_t memory_group_kernel(const struct memory_group *group) {
    char path[FILE_PATH];

    if (group->version == 2)
        return memory_group_stat(group, "kernel");
    file_of(path, group->path, "memory.kmem.usage_in_bytes");
    return get(path, NULL);
}

uint64_t memory_group_kills(const struct memory_group *group) {
    char path[FILE_PATH];

    file_of(path, group->path, group->version == 1 ? "memory.oom_control" : "memory.events");
    return get(path, "oom_kill");
}

/* A process that is just dying can keep the group busy for a moment. */
void memory_group_remove(struct memory_group *group) {
    for (int attempt = 0; group->version && attempt < 400 && rmdir(group->path); attempt++)
        nanosleep(&(struct timespec){ .tv_nsec = 5 * 1000 * 1000 }, NULL);
    group->version = 0;
}

uint64_t kernel_swap_free(void) {
    return get("/proc/meminfo", "SwapFree") * 1024;
}
