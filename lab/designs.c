/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * designs.c - `objrmap designs`: the reverse-mapping designs that are built in, and what each costs.
 */
#include "command.h"

#include <objrmap/rmap.h>

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: objrmap designs [--json]\n"
    "\n"
    "Lists the designs of reverse mapping that replay and compare can use, oldest first, with\n"
    "the bytes that each adds to a page, an area and an address space.\n"
    "\n"
    "  --json   the list as JSON\n";

static void print_design(const struct vm_design_info *design, void *context) {
    (void)context;
    printf("%s\n", design->name);
    printf("    from           %s\n", design->origin);
    printf("    bytes          %zu a page, %zu an area, %zu a space\n", design->page_bytes,
           design->area_bytes, design->space_bytes);
    printf("    a mapping more %s\n", design->mapping_cost);
}

static void add_design(const struct vm_design_info *design, void *context) {
    json_array_append_new(
        context, json_pack("{s:s, s:s, s:I, s:I, s:I, s:s}", "name", design->name, "origin",
                           design->origin, "page_bytes", (json_int_t)design->page_bytes,
                           "area_bytes", (json_int_t)design->area_bytes, "space_bytes",
                           (json_int_t)design->space_bytes, "mapping_cost", design->mapping_cost));
}

static void print_json(void) {
    json_t *designs = json_array();
    vm_design_each(add_design, designs);
    json_t *document = json_pack("{s:o}", "designs", designs);
    json_dumpf(document, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(document);
}

static int run_designs(int argc, char **argv) {
    if (argc == 1) {
        vm_design_each(print_design, NULL);
        return EXIT_OK;
    }
    if (argc == 2 && strcmp(argv[1], "--json") == 0) {
        print_json();
        return EXIT_OK;
    }
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return EXIT_OK;
    }
    complain("'%s' is nothing that designs takes; it takes --json or nothing", argv[argc - 1]);
    return EXIT_USAGE;
}

const struct command designs_command = {
    "designs",
    "list the reverse-mapping designs and what they cost",
    run_designs,
};
