/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * designs.c - `objrmap designs`: the designs and file indexes that are built in, and what each costs.
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
    "the bytes that each adds to a page, an area and an address space; then the ways in which a\n"
    "file can keep the areas that map it (--file-index).\n"
    "\n"
    "  --json   the list as JSON\n";

static void print_design(const struct vm_design_info *design, void *context) {
    (void)context;
    printf("%s\n", design->name);
    printf("    from           %s\n", design->origin);
    printf("    bytes          %zu a page, %zu an area, %zu a space", design->page_bytes,
           design->area_bytes, design->space_bytes);
    if (design->table_bytes)
        printf(", %zu a leaf table", design->table_bytes);
    putchar('\n');
    printf("    a mapping more %s\n", design->mapping_cost);
}

static void add_design(const struct vm_design_info *design, void *context) {
    json_array_append_new(
        context, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:s}", "name", design->name, "origin",
                           design->origin, "page_bytes", (json_int_t)design->page_bytes,
                           "area_bytes", (json_int_t)design->area_bytes, "space_bytes",
                           (json_int_t)design->space_bytes, "table_bytes",
                           (json_int_t)design->table_bytes, "mapping_cost", design->mapping_cost));
}

static void print_file_index(const struct vm_file_index_info *index, void *context) {
    (void)context;
    printf("%s\n", index->name);
    printf("    from           %s\n", index->origin);
    printf("    bytes          %zu a file, %zu an area\n", index->object_bytes, index->area_bytes);
}

static void add_file_index(const struct vm_file_index_info *index, void *context) {
    json_array_append_new(context,
                          json_pack("{s:s, s:s, s:I, s:I}", "name", index->name, "origin",
                                    index->origin, "object_bytes", (json_int_t)index->object_bytes,
                                    "area_bytes", (json_int_t)index->area_bytes));
}

static void print_all(void) {
    vm_design_each(print_design, NULL);
    printf("\nAreas and spaces, with all that is added to them, are rounded up to 16 bytes.\n");
    printf("\nHow a file keeps its areas (--file-index):\n\n");
    vm_file_index_each(print_file_index, NULL);
}

static void print_json(void) {
    json_t *designs = json_array(), *indexes = json_array();
    vm_design_each(add_design, designs);
    vm_file_index_each(add_file_index, indexes);
    json_t *document = json_pack("{s:o, s:o}", "designs", designs, "file_indexes", indexes);
    json_dumpf(document, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(document);
}

static int run_designs(int argc, char **argv) {
    if (argc == 1) {
        print_all();
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
