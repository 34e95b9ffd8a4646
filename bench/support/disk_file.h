/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk_file.h - a file whose pages the kernel can drop and read again.
 */
#ifndef BENCH_DISK_FILE_H
#define BENCH_DISK_FILE_H

#include <stdint.h>

/* A file of so many pages of zeroes, without a name, all of it on a disk: what lies in memory, or in
 * another file system's upper layers, is not clean. Nothing is read ahead of it. -1: TMPDIR (or /tmp)
 * is not on a disk, or full. */
int disk_file_make(uint64_t pages);

#endif
