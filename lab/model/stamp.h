/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stamp.h - what stands in a page: its version, a number that tells who wrote it last.
 *
 * Version 0 is a page of zeroes. A write leaves a version that no other write ever leaves; a page
 * of a file that nobody has written has one made from the file and the page. A page shows its
 * version in its first eight bytes and, turned, in its last eight: so a page that is half of one and half
 * of another is seen.
 */
#ifndef OBJRMAP_LAB_MODEL_STAMP_H
#define OBJRMAP_LAB_MODEL_STAMP_H

#include <objrmap/vm.h>

#define STAMP_TAIL_OFFSET  (VM_PAGE_SIZE - sizeof(uint64_t))
#define STAMP_VERSION_MASK ((UINT64_C(1) << 62) - 1)

/* Below this: versions of writes, which are counted up; above: of files. */
#define STAMP_FILE_BIT (UINT64_C(1) << 61)

/* What the last eight bytes show when the first show `version`. */
static inline uint64_t stamp_tail(uint64_t version) {
    return version ? version ^ UINT64_C(0x5a5a5a5a5a5a5a5a) : 0;
}

/* The version of a file's page that was never written. */
static inline uint64_t stamp_of_file(uint32_t object_id, uint64_t page) {
    uint64_t mixed = (page + 1) * UINT64_C(0x9e3779b97f4a7c15);
    mixed ^= mixed >> 29;
    mixed = (mixed + object_id) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed ^= mixed >> 32;
    return (mixed & STAMP_VERSION_MASK) | STAMP_FILE_BIT;
}

#endif
