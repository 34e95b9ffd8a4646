/* SPDX-License-Identifier: BSD-2-Clause */
/* design_list.c - the names of all designs. */
#include "support/design_list.h"

#include <stdio.h>

static void add_design(const struct vm_design_info *info, void *context) {
    struct design_list *designs = context;
    if (designs->count < DESIGNS_MOST)
        designs->names[designs->count++] = info->name;
}

struct design_list design_list(void) {
    struct design_list designs = { .count = 0 };
    vm_design_each(add_design, &designs);
    return designs;
}

void design_list_print_heads(const struct design_list *designs, const char *what) {
    printf("%-*s", DESIGN_ROW_NAME, what);
    for (unsigned i = 0; i < designs->count; i++)
        printf(" %*s", DESIGN_COLUMN - 1, designs->names[i]);
    printf("\n");
}
