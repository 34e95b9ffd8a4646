/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * records.c - bytes that each design keeps: for a mapping, an area, a space, a page table.
 *
 * Nothing here is known from the designs: families are built, and the growth of all named caches is
 * read off. To tell one cost from another, each case is built at two sizes and only the difference
 * counts; where written pages are needed to make a design set up its records, the pages' own cost is
 * taken off by building with one and with two pages, and going back to none.
 *
 * Areas, spaces and cached pages cost something without any design, too: the figures are what is
 * beyond the design that takes least.
 */
#include <math.h>
#include <stdio.h>

#include <objrmap/stats.h>

#include "support/beside.h"
#include "support/design_list.h"
#include "support/report.h"

#define MEMORY      UINT64_C(0x100000000000)
#define TABLE_BYTES (512 * VM_PAGE_SIZE) /* what one leaf table covers */

/* A family, and what of its caches' growth is asked about. */
struct family {
    unsigned spaces; /* the parent and its children */
    unsigned areas;  /* of the parent, in one leaf table */
    unsigned tables; /* instead of areas: one area with this many leaf tables */
    unsigned pages;  /* written in each area or table */
    bool file;       /* shared mappings of a file instead of anonymous memory */
    enum kinship { CHILDREN, GENERATIONS, STRANGERS } kinship;
};

/* ---------------------------------------------------------------- building */

enum { SPACES_MOST = 256 };

static uint64_t area_at(unsigned i) {
    return MEMORY + 4 * i * VM_PAGE_SIZE;
}

static void map_area(struct vm_space *space, uint64_t address, uint64_t pages,
                     struct vm_object *file) {
    must(vm_mmap(space, address, pages * VM_PAGE_SIZE, VM_PROT_READ | VM_PROT_WRITE,
                 VM_MAP_FIXED | (file ? VM_MAP_SHARED : VM_MAP_PRIVATE), file,
                 (address - MEMORY) / VM_PAGE_SIZE, &address),
         "vm_mmap");
}

static void write_pages(struct vm_space *space, uint64_t address, uint64_t pages) {
    if (pages)
        must(vm_touch(space, address, pages, VM_WRITE, NULL), "vm_touch");
}

/* Areas of two pages, and two pages between them, so that each is alone. */
static void build_areas(struct vm_space *space, const struct family *family,
                        struct vm_object *file) {
    for (unsigned i = 0; i < family->areas; i++) {
        uint64_t address = area_at(i);
        map_area(space, address, 2, file);
        write_pages(space, address, family->pages);
    }
}

static void build_tables(struct vm_space *space, const struct family *family,
                         struct vm_object *file) {
    map_area(space, MEMORY, family->tables * UINT64_C(512), file);
    for (unsigned i = 0; i < family->tables; i++)
        write_pages(space, MEMORY + i * TABLE_BYTES, family->pages);
}

static void add_bytes(const struct vm_cache_view *cache, void *context) {
    if (cache->cost != VM_COST_DESCRIPTORS)
        *(uint64_t *)context += cache->live_bytes;
}

static double all_bytes(struct vm_machine *machine) {
    uint64_t bytes = 0;
    vm_cache_each(machine, add_bytes, &bytes);
    return (double)bytes;
}

/* Each generation writes the pages anew, and lives on. */
static struct vm_space *next_space(struct vm_machine *machine, struct vm_space **before,
                                   unsigned count, const struct family *family) {
    struct vm_space *space;

    if (family->kinship == STRANGERS) {
        must(vm_space_create(machine, count + 1, &space), "vm_space_create");
        return space;
    }
    must(vm_fork(before[family->kinship == GENERATIONS ? count - 1 : 0], count + 1, &space),
         "vm_fork");
    for (unsigned i = 0; i < family->areas && family->kinship == GENERATIONS; i++)
        write_pages(space, area_at(i), family->pages);
    return space;
}

/* All records' bytes once the family is there. */
static double bytes_of(const char *design, struct family family) {
    struct bench_config config = { .design = design,
                                   .contents = VM_METADATA_ONLY,
                                   .cpus = 1,
                                   .fork_copy = VM_FORK_EAGER,
                                   .frames = 1 << 16 };
    struct vm_backing *disk = posix_memory_open(64 * TABLE_BYTES);
    struct vm_space *spaces[SPACES_MOST];
    struct vm_object *file;
    struct bench_machine bench;

    if (!disk)
        give_up("making a file in memory");
    bench_machine_open(&bench, &config);
    must(vm_object_open(bench.machine, disk, 1, &file), "vm_object_open");
    must(vm_space_create(bench.machine, 1, &spaces[0]), "vm_space_create");
    if (family.tables)
        build_tables(spaces[0], &family, family.file ? file : NULL);
    else
        build_areas(spaces[0], &family, family.file ? file : NULL);
    for (unsigned i = 1; i < family.spaces; i++)
        spaces[i] = next_space(bench.machine, spaces, i, &family);
    double bytes = all_bytes(bench.machine);
    for (unsigned i = 0; i < family.spaces; i++)
        vm_exit(spaces[i]);
    vm_object_put(file);
    bench_machine_close(&bench);
    return bytes;
}

/* ---------------------------------------------------------------- what one more costs */

/* Bytes of a page mapped by so many spaces, for each mapping: 200 pages against 100, in one table. */
static double per_mapping(const char *design, unsigned spaces, bool file) {
    struct family family = { .spaces = spaces, .tables = 1, .pages = 100, .file = file };
    struct family more = family;
    more.pages = 200;
    return (bytes_of(design, more) - bytes_of(design, family)) / (100.0 * spaces);
}

/* What all areas of a family take, as if they had no pages. */
static double areas_alone(const char *design, struct family family) {
    double bytes = bytes_of(design, family);

    if (family.pages == 0)
        return bytes;
    family.pages = 2;
    return 2 * bytes - bytes_of(design, family);
}

/* 128 areas against 64, in each space. */
static double all_areas(const char *design, struct family family) {
    family.areas = 128;
    double many = areas_alone(design, family);
    family.areas = 64;
    return (many - areas_alone(design, family)) / 64;
}

static double per_area(const char *design, unsigned spaces, unsigned pages, bool file) {
    struct family family = { .spaces = spaces, .pages = pages, .file = file };
    return all_areas(design, family) / spaces;
}

/* An area of the youngest of so many generations. */
static double per_youngest_area(const char *design, unsigned generations) {
    struct family family = { .spaces = generations, .pages = 1, .kinship = GENERATIONS };
    struct family older = family;
    older.spaces--;
    return all_areas(design, family) - all_areas(design, older);
}

static double per_space(const char *design, enum kinship kinship) {
    struct family few = { .spaces = 10, .kinship = kinship }, many = few;
    many.spaces = 110;
    return (bytes_of(design, many) - bytes_of(design, few)) / 100;
}

/* A table of one page against a table of two: what is left with none. */
static double per_table(const char *design) {
    struct family one = { .spaces = 1, .tables = 32, .pages = 1 }, two = one;
    two.pages = 2;
    double many = 2 * bytes_of(design, one) - bytes_of(design, two);
    one.tables = two.tables = 2;
    double few = 2 * bytes_of(design, one) - bytes_of(design, two);
    return (many - few) / 30;
}

/* ---------------------------------------------------------------- the rows */

enum measure { MAPPING, AREA, YOUNGEST_AREA, SPACE, TABLE };

static const struct row {
    const char *name;
    enum measure measure;
    unsigned spaces; /* that map each page or area; generations */
    unsigned pages;  /* written in each area */
    bool file;
    enum kinship kinship;
} rows[] = {
    { "mapping, file, 1 a page", MAPPING, 1, 0, true, CHILDREN },
    { "mapping, file, 2 a page", MAPPING, 2, 0, true, CHILDREN },
    { "mapping, file, 8 a page", MAPPING, 8, 0, true, CHILDREN },
    { "mapping, file, 70 a page", MAPPING, 70, 0, true, CHILDREN },
    { "mapping, anonymous, 1 a page", MAPPING, 1, 0, false, CHILDREN },
    { "mapping, anonymous, 2 a page", MAPPING, 2, 0, false, CHILDREN },
    { "mapping, anonymous, 8 a page", MAPPING, 8, 0, false, CHILDREN },
    { "mapping, anonymous, 70 a page", MAPPING, 70, 0, false, CHILDREN },
    { "area, untouched", AREA, 1, 0, false, CHILDREN },
    { "area, of a file", AREA, 1, 1, true, CHILDREN },
    { "area, written", AREA, 1, 1, false, CHILDREN },
    { "area, shared by 2", AREA, 2, 1, false, CHILDREN },
    { "area, shared by 10", AREA, 10, 1, false, CHILDREN },
    { "area, a child's, written", YOUNGEST_AREA, 2, 1, false, GENERATIONS },
    { "area, a grandchild's", YOUNGEST_AREA, 3, 1, false, GENERATIONS },
    { "area, of generation 10", YOUNGEST_AREA, 11, 1, false, GENERATIONS },
    { "space, empty", SPACE, 0, 0, false, STRANGERS },
    { "space, forked", SPACE, 0, 0, false, CHILDREN },
    { "leaf table", TABLE, 0, 0, false, CHILDREN },
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static double measure(const struct row *row, const char *design) {
    switch (row->measure) {
    case MAPPING:
        return per_mapping(design, row->spaces, row->file);
    case AREA:
        return per_area(design, row->spaces, row->pages, row->file);
    case YOUNGEST_AREA:
        return per_youngest_area(design, row->spaces);
    case SPACE:
        return per_space(design, row->kinship);
    default:
        return per_table(design);
    }
}

struct results {
    double bytes[ROWS][DESIGNS_MOST];
};

static void measure_all(const struct design_list *designs, struct results *results) {
    for (unsigned row = 0; row < ROWS; row++) {
        double *bytes = results->bytes[row], least = (double)INFINITY;
        for (unsigned i = 0; i < designs->count; i++) {
            bytes[i] = measure(&rows[row], designs->names[i]);
            least = fmin(least, bytes[i]);
        }
        for (unsigned i = 0; i < designs->count; i++)
            bytes[i] -= least;
    }
}

static void print_table(const struct results *results, const struct design_list *designs) {
    design_list_print_heads(designs, "bytes for each");
    for (unsigned row = 0; row < ROWS; row++) {
        printf("%-*s", DESIGN_ROW_NAME, rows[row].name);
        for (unsigned i = 0; i < designs->count; i++)
            printf(" %*.2f", DESIGN_COLUMN - 1, results->bytes[row][i]);
        printf("\n");
    }
}

static void print_json(const struct results *results, const struct design_list *designs) {
    for (unsigned i = 0; i < ROWS * designs->count; i++) {
        unsigned row = i / designs->count, design = i % designs->count;
        printf("%s\n{\"record\":\"%s\",\"design\":\"%s\",\"bytes\":%.5g}", i ? "," : "",
               rows[row].name, designs->names[design], results->bytes[row][design]);
    }
}

int main(int argc, char **argv) {
    static const char *const notes[] = {
        "Growth of all caches, beyond the design that takes least. Page descriptors (48 bytes a "
        "frame) are",
        "the same for all; of those, 8 are for designs with chains and 8 for the others.", NULL
    };
    static struct results results;
    struct options options =
        options_read(argc, argv, "bytes of records per mapping, area, space and page table");
    struct design_list designs = design_list();

    measure_all(&designs, &results);
    if (options.json) {
        printf("{\"benchmark\":\"records\",\"rows\":[");
        print_json(&results, &designs);
    } else {
        print_table(&results, &designs);
    }
    notes_print(options.json, notes);
    return 0;
}
