/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * every_call.c - a script that makes every call of vm.h, with every kind of page and area.
 *
 * Pages count from the windows of tests/random/op.h: the low one has the end of a leaf table in its
 * middle, at page 48, the high one that of the upper tables, too. Objects: 1 and 3 are files, 2 is
 * shared memory.
 */
#include "script.h"

enum {
    R = VM_PROT_READ,
    RW = VM_PROT_READ | VM_PROT_WRITE,
    RX = VM_PROT_READ | VM_PROT_EXEC,
    PRIVATE = VM_MAP_PRIVATE | VM_MAP_FIXED,
    SHARED = VM_MAP_SHARED | VM_MAP_FIXED,
    MOVE_TO = VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED,
    OUT = 10000, /* to vm_reclaim(): all that can go */
};

/* clang-format off */
#define LOW(first, n)     .page = (first), .pages = (n)
#define HIGH(first, n)    .place = PLACE_HIGH, .page = (first), .pages = (n)
#define HEAP(first, n)    .place = PLACE_HEAP, .page = (first), .pages = (n)
#define LAST(first, n)    .place = PLACE_LAST, .page = (first), .pages = (n)
#define TO_LOW(first, n)  .to_page = (first), .to_pages = (n)
#define TO_HIGH(first, n) .to_place = PLACE_HIGH, .to_page = (first), .to_pages = (n)
#define IN(p)             .process = (p)

#define MAP_BY(by, ...) { RANDOM_MAP, .protection = RW, .flags = (by), __VA_ARGS__ }
#define MAP(...)     MAP_BY(PRIVATE, __VA_ARGS__)
#define READ(...)    { RANDOM_READ, __VA_ARGS__ }
#define WRITE(...)   { RANDOM_WRITE, __VA_ARGS__ }
#define UNMAP(...)   { RANDOM_UNMAP, __VA_ARGS__ }
#define PROTECT(...) { RANDOM_PROTECT, __VA_ARGS__ }
#define MREMAP(...)  { RANDOM_MOVE, __VA_ARGS__ }
#define ADVISE(...)  { RANDOM_ADVISE, __VA_ARGS__ }
#define REARRANGE(...) { RANDOM_REARRANGE, __VA_ARGS__ }
#define MIGRATE(node, ...) { RANDOM_MIGRATE, .value = (node), __VA_ARGS__ }
#define RECLAIM(n)   { RANDOM_RECLAIM, .value = (n) }

static const struct random_op ops[] = {
    { RANDOM_DECLARE, .object = 1, .pages = 24 },
    { RANDOM_DECLARE, .object = 2, .pages = 24, .flags = 1 },
    { RANDOM_DECLARE, .object = 3, .pages = 8 },
    { RANDOM_BEGIN, IN(0) },

    /* Anonymous memory across two tables: zero page, first write, write over the zero page. */
    MAP(LOW(40, 16)),
    READ(LOW(41, 2)), WRITE(LOW(41, 1)), WRITE(LOW(44, 8)),
    { RANDOM_FAULT, LOW(54, 1), .value = VM_WRITE },
    { RANDOM_FAULT, LOW(54, 1), .value = VM_READ },
    { RANDOM_EXECUTE, LOW(54, 1) },

    /* Files, private and shared, with neighbours mapped around; shared memory, named and not. */
    MAP(LOW(0, 8), .object = 1),
    READ(LOW(0, 4)), WRITE(LOW(2, 3)),
    MAP_BY(SHARED, LOW(10, 8), .object = 1, .pgoff = 4),
    READ(LOW(10, 3)), WRITE(LOW(11, 4)),
    { RANDOM_SYNC, LOW(10, 8), .flags = VM_MS_SYNC },
    MAP_BY(SHARED, LOW(20, 8), .object = 2),
    WRITE(LOW(20, 5)), READ(LOW(26, 1)),
    MAP_BY(SHARED, LOW(30, 6)), WRITE(LOW(31, 3)),
    { RANDOM_MAP, LOW(70, 4), .object = 3, .protection = RX, .flags = PRIVATE }, { RANDOM_EXECUTE, LOW(70, 2) },

    /* Populated, locked, a stack that grows, the heap. */
    MAP_BY(PRIVATE | VM_MAP_LOCKED, HIGH(0, 4)),
    MAP_BY(PRIVATE | VM_MAP_POPULATE, HIGH(6, 4), .object = 3),
    MAP_BY(PRIVATE | VM_MAP_GROWSDOWN, HIGH(400, 2)), WRITE(HIGH(398, 1)), WRITE(HIGH(380, 1)),
    { RANDOM_BRK, HEAP(0, 6) }, WRITE(HEAP(0, 5)), { RANDOM_BRK, HEAP(0, 9) },
    { RANDOM_BRK, HEAP(0, 3) }, { RANDOM_BRK, HEAP(0, 0) }, { RANDOM_BRK, HEAP(0, 4) },
    WRITE(HEAP(1, 2)),

    /* Where the machine likes; a hint; a place that is taken, and one that is free. */
    MAP_BY(VM_MAP_PRIVATE, LOW(2, 3)), WRITE(LAST(0, 2)),
    MAP_BY(VM_MAP_PRIVATE, LOW(60, 2)),
    MAP_BY(VM_MAP_PRIVATE | VM_MAP_FIXED_NOREPLACE, LOW(44, 2)),
    MAP_BY(VM_MAP_PRIVATE | VM_MAP_FIXED_NOREPLACE, LOW(64, 2)),
    UNMAP(LOW(60, 6)),

    /* A child: copies, reuse; all out to swap and files, and back in by either. */
    { RANDOM_FORK, .child = 1 },
    WRITE(LOW(44, 2)), WRITE(IN(1), LOW(44, 3)), WRITE(IN(1), LOW(2, 1)), WRITE(IN(1), LOW(21, 1)),
    RECLAIM(OUT),
    { RANDOM_MINCORE, LOW(40, 16) },
    READ(LOW(41, 8)), WRITE(IN(1), LOW(46, 3)), READ(IN(1), LOW(44, 2)),
    READ(LOW(20, 3)), WRITE(IN(1), LOW(22, 1)), READ(LOW(11, 2)), READ(LOW(2, 1)),
    WRITE(LOW(49, 1)), WRITE(IN(1), LOW(11, 1)),
    RECLAIM(8), RECLAIM(OUT),
    { RANDOM_FORK, IN(1), .child = 2 }, /* of entries that name slots */
    WRITE(IN(2), LOW(44, 2)), READ(IN(1), LOW(44, 1)), WRITE(IN(1), LOW(50, 1)),

    /* Changing protection in the middle, to the end, to nothing and back. */
    PROTECT(LOW(46, 4), .protection = R), WRITE(LOW(47, 1)), READ(LOW(47, 1)),
    PROTECT(LOW(44, 10), .protection = RW), WRITE(LOW(47, 1)),
    PROTECT(LOW(42, 2), .protection = VM_PROT_NONE), READ(LOW(42, 1)),
    PROTECT(LOW(42, 2), .protection = RW),
    PROTECT(LOW(40, 24), .protection = RX), /* a hole follows */
    PROTECT(LOW(40, 16), .protection = RW),
    PROTECT(LOW(12, 3), .protection = R), PROTECT(LOW(12, 3), .protection = RW),
    PROTECT(HIGH(1, 2), .protection = R), PROTECT(HIGH(1, 2), .protection = RW),

    /* All advice. */
    ADVISE(LOW(40, 4), .value = VM_MADV_RANDOM), ADVISE(LOW(42, 4), .value = VM_MADV_SEQUENTIAL),
    ADVISE(LOW(40, 8), .value = VM_MADV_NORMAL), ADVISE(LOW(45, 2), .value = VM_MADV_HUGEPAGE),
    ADVISE(LOW(45, 2), .value = VM_MADV_NOHUGEPAGE), ADVISE(LOW(40, 16), .value = VM_MADV_WILLNEED),
    ADVISE(LOW(0, 8), .value = VM_MADV_WILLNEED), ADVISE(LOW(50, 2), .value = VM_MADV_DONTNEED),
    ADVISE(LOW(11, 2), .value = VM_MADV_DONTNEED), ADVISE(LOW(44, 2), .value = VM_MADV_FREE),
    WRITE(LOW(44, 1)), ADVISE(LOW(40, 8), .value = VM_MADV_COLD),
    ADVISE(LOW(46, 2), .value = VM_MADV_PAGEOUT), ADVISE(LOW(10, 8), .value = VM_MADV_PAGEOUT),
    ADVISE(LOW(46, 2), .value = VM_MADV_WILLNEED), READ(LOW(46, 2)), READ(LOW(12, 2)),
    ADVISE(LOW(51, 2), .value = VM_MADV_DONTFORK), ADVISE(LOW(30, 2), .value = VM_MADV_DONTFORK),
    { RANDOM_FORK, .child = 3 }, READ(IN(3), LOW(51, 1)), READ(IN(3), LOW(46, 1)),
    { RANDOM_EXIT, IN(3) },
    ADVISE(LOW(28, 36), .value = VM_MADV_DOFORK), /* holes between */

    /* Moving: growing and shrinking in place and away, to a chosen place, over others, several areas
     * at once, without unmapping, and as a duplicate. */
    MREMAP(LOW(40, 16), TO_LOW(0, 18)),
    MREMAP(LOW(40, 18), TO_LOW(0, 14)),
    MREMAP(LOW(20, 8), TO_LOW(0, 12), .flags = VM_MREMAP_MAYMOVE),
    READ(LAST(0, 2)), WRITE(LAST(1, 1)),
    MREMAP(LOW(44, 6), TO_HIGH(20, 6), .flags = MOVE_TO), READ(HIGH(20, 4)), WRITE(HIGH(21, 1)),
    MREMAP(HIGH(20, 6), TO_LOW(44, 4), .flags = MOVE_TO), WRITE(LOW(45, 2)),
    MREMAP(LOW(40, 8), TO_LOW(30, 8), .flags = MOVE_TO), READ(LOW(30, 8)),
    MAP(LOW(40, 4)), WRITE(LOW(40, 2)),
    MREMAP(LOW(30, 18), TO_HIGH(40, 18), .flags = MOVE_TO), /* holes move along */
    MREMAP(HIGH(40, 18), TO_LOW(30, 18), .flags = MOVE_TO), READ(LOW(32, 2)),
    MREMAP(LOW(30, 4), TO_HIGH(60, 4), .flags = VM_MREMAP_MAYMOVE | VM_MREMAP_DONTUNMAP),
    WRITE(LOW(30, 2)), READ(LAST(0, 2)),
    MREMAP(LOW(34, 2), TO_HIGH(70, 2), .flags = MOVE_TO | VM_MREMAP_DONTUNMAP),
    MREMAP(LOW(10, 0), TO_LOW(90, 4), .flags = MOVE_TO), READ(LOW(90, 4)), WRITE(LOW(91, 1)),
    MREMAP(IN(1), LOW(42, 8), TO_HIGH(30, 8), .flags = MOVE_TO), READ(IN(1), HIGH(30, 4)),

    /* Rearranged pages: touched, forked, evicted, moved, split, and in order again. */
    MAP_BY(SHARED, LOW(76, 12), .object = 2), WRITE(LOW(76, 12)),
    REARRANGE(LOW(76, 4), .pgoff = 8), REARRANGE(LOW(82, 3), .pgoff = 1), READ(LOW(76, 10)),
    WRITE(LOW(77, 1)), { RANDOM_FORK, .child = 3 }, WRITE(IN(3), LOW(83, 1)), RECLAIM(OUT),
    READ(LOW(76, 8)), READ(IN(3), LOW(82, 2)),
    PROTECT(LOW(78, 6), .protection = R), PROTECT(LOW(78, 6), .protection = RW),
    MREMAP(LOW(76, 12), TO_HIGH(76, 12), .flags = MOVE_TO), READ(HIGH(80, 6)),
    MREMAP(HIGH(76, 12), TO_LOW(76, 12), .flags = MOVE_TO),
    MREMAP(LOW(82, 3), TO_HIGH(100, 4), .flags = MOVE_TO), READ(HIGH(100, 3)),
    REARRANGE(LOW(76, 4), .pgoff = 0), READ(LOW(76, 4)),
    REARRANGE(LOW(90, 2), .pgoff = 9), WRITE(LOW(90, 2)),
    UNMAP(LOW(78, 2)),

    /* To the other node and back, where there are two: pages of all kinds, shared ones, locked ones. */
    MIGRATE(1, LOW(0, 96)), MIGRATE(0, LOW(0, 40)), READ(LOW(10, 3)), READ(IN(3), LOW(76, 2)),
    MIGRATE(1, IN(1), HIGH(30, 8)), WRITE(IN(1), HIGH(30, 2)), MIGRATE(1, HIGH(0, 12)),

    /* Locking what is in swap, in files, nowhere, and behind a hole. */
    RECLAIM(OUT),
    { RANDOM_LOCK, LOW(34, 2) }, { RANDOM_LOCK, LOW(1, 3) }, { RANDOM_LOCK, LOW(42, 3) },
    { RANDOM_LOCK, LOW(14, 20) }, { RANDOM_LOCK, LOW(91, 2) }, { RANDOM_LOCK, IN(1), HIGH(31, 3) },
    { RANDOM_MINCORE, LOW(42, 2) }, RECLAIM(OUT),
    { RANDOM_UNLOCK, LOW(2, 1) }, { RANDOM_UNLOCK, LOW(91, 2) }, { RANDOM_UNLOCK, LOW(0, 96) },
    MREMAP(HIGH(0, 4), TO_HIGH(0, 5), .flags = VM_MREMAP_MAYMOVE), { RANDOM_UNLOCK, HIGH(0, 4) },

    /* Writing back. */
    WRITE(LOW(11, 3)), { RANDOM_SYNC, LOW(10, 8), .flags = VM_MS_ASYNC },
    { RANDOM_SYNC, LOW(10, 20), .flags = VM_MS_SYNC | VM_MS_INVALIDATE },
    WRITE(LOW(11, 3)), RECLAIM(OUT), READ(LOW(11, 1)), WRITE(LOW(12, 1)),
    { RANDOM_SYNC, LOW(10, 8), .flags = VM_MS_SYNC },

    /* Truncation, with pages mapped, private copies and slots beyond the end; and growing back. */
    WRITE(LOW(16, 2)), WRITE(LOW(84, 4)),
    { RANDOM_TRUNCATE, .object = 1, .pages = 7 }, READ(LOW(14, 1)), READ(LOW(12, 1)),
    { RANDOM_TRUNCATE, .object = 2, .pages = 6 }, READ(LOW(84, 1)),
    { RANDOM_TRUNCATE, .object = 1, .pages = 30 }, READ(LOW(14, 1)), WRITE(LOW(17, 1)),
    { RANDOM_TRUNCATE, .object = 2, .pages = 24 }, READ(LOW(84, 1)), WRITE(LOW(86, 1)),

    /* Unmapping in the middle, mapping over; exec; objects that only mappings keep; the ends. */
    UNMAP(LOW(12, 2)), UNMAP(LOW(3, 44)), MAP(LOW(0, 3), .object = 3, .pgoff = 2), WRITE(LOW(1, 1)),
    { RANDOM_EXEC, IN(1) }, MAP(IN(1), LOW(44, 8)), WRITE(IN(1), LOW(44, 8)),
    { RANDOM_FORK, IN(1), .child = 4 }, WRITE(IN(4), LOW(45, 2)), { RANDOM_EXIT, IN(1) },
    MREMAP(IN(4), LOW(44, 4), TO_HIGH(44, 4), .flags = MOVE_TO), WRITE(IN(4), HIGH(44, 4)),
    { RANDOM_LET_GO, .object = 1 }, { RANDOM_LET_GO, .object = 2 }, READ(IN(2), LOW(10, 4)),
    { RANDOM_EXIT, IN(2) }, READ(IN(3), LOW(20, 2)), RECLAIM(OUT), READ(LOW(90, 2)),
    { RANDOM_EXIT, IN(3) },

    /* More than a small machine has. */
    MAP(LOW(0, 96)), WRITE(LOW(0, 96)), { RANDOM_FORK, .child = 5 }, WRITE(IN(5), LOW(10, 40)),
    READ(LOW(0, 96)), { RANDOM_EXEC, IN(5) }, { RANDOM_EXIT, IN(5) },
};
/* clang-format on */

void script_every_call(struct script *script) {
    *script = (struct script){ .name = "every-call" };
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        script_add_op(script, &ops[i], i + 1);
}
