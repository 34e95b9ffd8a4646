/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * op.c - see op.h.
 */
#include "op.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[RANDOM_KINDS] = {
    [RANDOM_BEGIN] = "begin",       [RANDOM_FORK] = "fork",       [RANDOM_EXEC] = "exec",
    [RANDOM_EXIT] = "exit",         [RANDOM_DECLARE] = "declare", [RANDOM_LET_GO] = "let-go",
    [RANDOM_TRUNCATE] = "truncate", [RANDOM_MAP] = "map",         [RANDOM_UNMAP] = "unmap",
    [RANDOM_PROTECT] = "protect",   [RANDOM_MOVE] = "move",       [RANDOM_REARRANGE] = "rearrange",
    [RANDOM_BRK] = "brk",           [RANDOM_ADVISE] = "advise",   [RANDOM_LOCK] = "lock",
    [RANDOM_UNLOCK] = "unlock",     [RANDOM_SYNC] = "sync",       [RANDOM_MINCORE] = "mincore",
    [RANDOM_READ] = "read",         [RANDOM_WRITE] = "write",     [RANDOM_EXECUTE] = "execute",
    [RANDOM_FAULT] = "fault",       [RANDOM_RECLAIM] = "reclaim", [RANDOM_MIGRATE] = "migrate",
};

#define FIELD(name, most)                                                                          \
    { #name, offsetof(struct random_op, name), most }

static const struct {
    const char *name;
    size_t offset;
    uint64_t most;
} fields[OP_FIELDS] = {
    FIELD(process, PROCESS_SLOTS - 1),
    FIELD(child, PROCESS_SLOTS - 1),
    FIELD(place, PLACES - 1),
    FIELD(page, PAGES_MOST),
    FIELD(pages, PAGES_MOST),
    FIELD(to_place, PLACES - 1),
    FIELD(to_page, PAGES_MOST),
    FIELD(to_pages, PAGES_MOST),
    FIELD(object, OBJECT_SLOTS),
    FIELD(pgoff, PAGES_MOST),
    FIELD(protection, 7),
    FIELD(flags, 127),
    FIELD(value, 100000),
};

const char *op_kind_name(enum op_kind kind) {
    return kind_names[kind];
}

uint64_t *op_field(struct random_op *op, unsigned field) {
    return (uint64_t *)(void *)((char *)op + fields[field].offset);
}

const char *op_text(const struct random_op *op, char text[OP_TEXT_BYTES]) {
    struct random_op copy = *op;
    int used = snprintf(text, OP_TEXT_BYTES, "%s", kind_names[op->kind]);
    for (unsigned i = 0; i < OP_FIELDS; i++)
        if (*op_field(&copy, i))
            used += snprintf(text + used, OP_TEXT_BYTES - (size_t)used, " %s=%" PRIu64,
                             fields[i].name, *op_field(&copy, i));
    return text;
}

static bool parse_kind(const char *word, enum op_kind *kind) {
    for (unsigned i = 0; i < RANDOM_KINDS; i++)
        if (strcmp(word, kind_names[i]) == 0) {
            *kind = (enum op_kind)i;
            return true;
        }
    return false;
}

static bool parse_field(char *word, struct random_op *op) {
    char *equals = strchr(word, '='), *end;
    if (!equals)
        return false;
    *equals = '\0';
    uint64_t number = strtoull(equals + 1, &end, 10);
    for (unsigned i = 0; i < OP_FIELDS && *end == '\0'; i++)
        if (strcmp(word, fields[i].name) == 0 && number <= fields[i].most) {
            *op_field(op, i) = number;
            return true;
        }
    return false;
}

bool op_parse(const char *text, struct random_op *op) {
    char copy[OP_TEXT_BYTES], *rest, *word;
    if (strlen(text) >= sizeof(copy))
        return false;
    strcpy(copy, text);
    *op = (struct random_op){ 0 };
    word = strtok_r(copy, " \t\n", &rest);
    if (!word || !parse_kind(word, &op->kind))
        return false;
    while ((word = strtok_r(NULL, " \t\n", &rest)))
        if (!parse_field(word, op))
            return false;
    return true;
}

void sequence_add(struct sequence *sequence, const struct random_op *op) {
    if (!(sequence->count & (sequence->count + 1)) || !sequence->ops) {
        size_t room = (sequence->count + 1) * 2;
        sequence->ops = realloc(sequence->ops, room * sizeof(*sequence->ops));
        if (!sequence->ops)
            abort();
    }
    sequence->ops[sequence->count++] = *op;
}

void sequence_free(struct sequence *sequence) {
    free(sequence->ops);
    *sequence = (struct sequence){ 0 };
}
