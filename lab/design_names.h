/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * design_names.h - designs as they are named on the command line.
 */
#ifndef OBJRMAP_LAB_DESIGN_NAMES_H
#define OBJRMAP_LAB_DESIGN_NAMES_H

#include <objrmap/vm.h>

#include <stdbool.h>

enum { DESIGNS_MAX = 16 };

#define DEFAULT_DESIGN "anon-vma"

struct design_names {
    const char *name[DESIGNS_MAX + 1]; /* NULL ends them */
    unsigned count;
};

/* All that are built in. */
void design_names_all(struct design_names *names);

/* The library's own string for this name, or NULL after a complaint. */
const char *design_name(const char *typed);

/* "a,b" or "all"; NULL is all. False after a complaint; a name given twice is one too. */
bool design_names_parse(const char *list, struct design_names *names);

/* Whether the design's chains can be locked like this; if not, it says so. */
bool design_takes_chain_lock(const char *design, enum vm_chain_lock lock);

/* Whether the design has this answer to nonlinear areas; if not, it says so. */
bool design_takes_nonlinear(const char *design, enum vm_nonlinear nonlinear);

#endif
