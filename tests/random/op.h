/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * op.h - one step of a random sequence, and its text.
 *
 * An op says everything about a call but what only the machine knows: a place like "where the last
 * mapping went" becomes an address when the op is played. So ops can be left out of a sequence or
 * made smaller, and what is left still means something; an op of a process that does not exist is
 * passed over.
 *
 * As text an op is its name and those numbers that are not 0: "map process=1 page=12 pages=8
 * protection=3 flags=6". It stands in comments of the trace that a failing sequence is printed as,
 * and is read back from there.
 */
#ifndef TESTS_RANDOM_OP_H
#define TESTS_RANDOM_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum op_kind {
    RANDOM_BEGIN,
    RANDOM_FORK,
    RANDOM_EXEC,
    RANDOM_EXIT,
    RANDOM_DECLARE,  /* pages, flags: 1 for shared memory */
    RANDOM_LET_GO,   /* of an object, which lives on in mappings */
    RANDOM_TRUNCATE, /* object, pages */
    RANDOM_MAP,      /* flags: VM_MAP_ */
    RANDOM_UNMAP,
    RANDOM_PROTECT,
    RANDOM_MOVE, /* flags: VM_MREMAP_; pages 0 duplicates */
    RANDOM_REARRANGE,
    RANDOM_BRK,    /* pages: of the heap from now on */
    RANDOM_ADVISE, /* value: the advice */
    RANDOM_LOCK,
    RANDOM_UNLOCK,
    RANDOM_SYNC, /* flags: VM_MS_ */
    RANDOM_MINCORE,
    RANDOM_READ,
    RANDOM_WRITE,
    RANDOM_EXECUTE,
    RANDOM_FAULT,   /* value: the access */
    RANDOM_RECLAIM, /* value: frames */
    RANDOM_MIGRATE, /* value: the node to which pages are moved, counted round */
    RANDOM_KINDS
};

/* Where pages are counted from. */
enum place {
    PLACE_LOW,  /* two windows, each across the end of a page table: here of three levels of them */
    PLACE_HIGH, /* ... here of one */
    PLACE_LAST, /* where the machine put the process's last mapping */
    PLACE_HEAP,
    PLACES
};

enum {
    WINDOW_PAGES = 96,
    PROCESS_SLOTS = 8,
    OBJECT_SLOTS = 8,
    FIRST_OBJECTS = 4,
    PAGES_MOST = 1100
};

/* All numbers are 64 bits wide, so that one table names them. */
struct random_op {
    enum op_kind kind;
    uint64_t process, child;
    uint64_t place, page, pages;
    uint64_t to_place, to_page, to_pages;
    uint64_t object; /* 0: anonymous; else a slot + 1 */
    uint64_t pgoff, protection, flags, value;
};

struct sequence {
    struct random_op *ops;
    size_t count;
};

const char *op_kind_name(enum op_kind kind);

/* Numbers of an op, by field, for whoever makes ops smaller. */
enum { OP_FIELDS = 13 };
uint64_t *op_field(struct random_op *op, unsigned field);

/* Writes the op into `text` and returns that. */
enum { OP_TEXT_BYTES = 400 };
const char *op_text(const struct random_op *op, char text[OP_TEXT_BYTES]);

/* False when the text is no op, or one that cannot be played. */
bool op_parse(const char *text, struct random_op *op);

void sequence_add(struct sequence *sequence, const struct random_op *op);
void sequence_free(struct sequence *sequence);

#endif
