/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index.c - the kinds of area index there are.
 */
#include "vm/object/index.h"

static const struct vm_index_kind *const kinds[] = {
    &vm_index_interval_tree, /* the default */
};

static bool same(const char *a, const char *b) {
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

const struct vm_index_kind *vm_index_kind_named(const char *name) {
    if (!name)
        return kinds[0];
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (same(kinds[i]->name, name))
            return kinds[i];
    return NULL;
}
