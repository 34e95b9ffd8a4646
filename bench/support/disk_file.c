/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk_file.c - see disk_file.h.
 */
#include "support/disk_file.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statfs.h>
#include <unistd.h>

enum { PAGE = 4096 };

int disk_file_make(uint64_t pages) {
    static const char zeroes[PAGE];
    const char *directory = getenv("TMPDIR");
    char name[PATH_MAX];
    struct statfs about;

    snprintf(name, sizeof(name), "%s/objrmap-bench.XXXXXX", directory ? directory : "/tmp");
    int file = mkostemp(name, O_CLOEXEC);
    if (file < 0)
        return -1;
    unlink(name);
    bool good = fstatfs(file, &about) == 0 && about.f_type != TMPFS_MAGIC;
    for (uint64_t i = 0; good && i < pages; i++)
        good = pwrite(file, zeroes, PAGE, (off_t)(i * PAGE)) == PAGE;
    if (good && fsync(file) == 0 && posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM) == 0)
        return file;
    close(file);
    return -1;
}
