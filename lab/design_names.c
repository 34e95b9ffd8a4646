/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * design_names.c - see design_names.h.
 */
#include "design_names.h"

#include "command.h"

#include <objrmap/rmap.h>

#include <stdio.h>
#include <string.h>

static void add_name(const struct vm_design_info *design, void *context) {
    struct design_names *names = context;
    if (names->count < DESIGNS_MAX)
        names->name[names->count++] = design->name;
}

void design_names_all(struct design_names *names) {
    *names = (struct design_names){ .count = 0 };
    vm_design_each(add_name, names);
}

const char *design_name(const char *typed) {
    struct design_names all;
    design_names_all(&all);
    for (unsigned i = 0; i < all.count; i++)
        if (strcmp(all.name[i], typed) == 0)
            return all.name[i];
    const char *near = nearest_name(typed, all.name);
    if (near)
        complain("there is no design '%s'. Did you mean '%s'?", typed, near);
    else
        complain("there is no design '%s'; `objrmap designs` lists them", typed);
    return NULL;
}

static bool add_parsed(struct design_names *names, const char *typed) {
    const char *name = design_name(typed);
    if (!name)
        return false;
    for (unsigned i = 0; i < names->count; i++)
        if (names->name[i] == name) {
            complain("design '%s' is named twice", name);
            return false;
        }
    names->name[names->count++] = name;
    return true;
}

bool design_names_parse(const char *list, struct design_names *names) {
    if (!list || strcmp(list, "all") == 0) {
        design_names_all(names);
        return true;
    }
    *names = (struct design_names){ .count = 0 };
    for (const char *at = list;; at++) {
        char typed[64];
        size_t bytes = strcspn(at, ",");
        snprintf(typed, sizeof(typed), "%.*s", (int)(bytes < 63 ? bytes : 63), at);
        if (!add_parsed(names, typed))
            return false;
        at += bytes;
        if (!*at)
            return true;
    }
}

struct chain_search {
    const char *design;
    bool chains, object_chains;
};

static void match_chains(const struct vm_design_info *design, void *context) {
    struct chain_search *search = context;
    if (strcmp(design->name, search->design) == 0)
        search->chains = design->chains, search->object_chains = design->object_chains;
}

bool design_takes_chain_lock(const char *design, enum vm_chain_lock lock) {
    struct chain_search search = { .design = design };
    vm_design_each(match_chains, &search);
    if (lock == VM_CHAIN_LOCK_PAGE || search.chains)
        return true;
    complain("--chain-lock global: %s has no chains to lock; name designs that list each page's "
             "entries, such as pte-chain",
             design);
    return false;
}

bool design_takes_nonlinear(const char *design, enum vm_nonlinear nonlinear) {
    struct chain_search search = { .design = design };
    vm_design_each(match_chains, &search);
    if (nonlinear != VM_NONLINEAR_CHAIN || search.object_chains)
        return true;
    complain("--nonlinear chain: %s does not list the entries of objects' pages; take draconian or "
             "cluster, or a design that does, such as pte-chain",
             design);
    return false;
}
