/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index.c - the kinds of area index there are.
 */
#include "vm/object/index.h"

#include <objrmap/rmap.h>

extern const struct vm_index_kind vm_index_list, vm_index_sorted, vm_index_list_of_lists,
    vm_index_prio_tree, vm_index_interval_tree;

/* In the order of their history. */
static const struct vm_index_kind *const kinds[] = {
    &vm_index_list,      &vm_index_sorted,        &vm_index_list_of_lists,
    &vm_index_prio_tree, &vm_index_interval_tree,
};

#define KINDS (sizeof kinds / sizeof kinds[0])

static bool same(const char *a, const char *b) {
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

const struct vm_index_kind *vm_index_kind_named(const char *name) {
    if (!name)
        return &vm_index_interval_tree;
    for (size_t i = 0; i < KINDS; i++)
        if (same(kinds[i]->name, name))
            return kinds[i];
    return NULL;
}

void vm_file_index_each(void (*visit)(const struct vm_file_index_info *index, void *context),
                        void *context) {
    for (size_t i = 0; i < KINDS; i++) {
        struct vm_file_index_info info = { .name = kinds[i]->name,
                                           .origin = kinds[i]->origin,
                                           .object_bytes = kinds[i]->object_bytes,
                                           .area_bytes = kinds[i]->area_bytes };
        visit(&info, context);
    }
}
