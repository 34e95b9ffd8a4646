/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * table.c - the table for people: a column a design, a row a number, and what it means behind it.
 */
#include "report.h"

#include <string.h>

enum unit { UNIT_COUNT, UNIT_BYTES, UNIT_SECONDS, UNIT_NS_EACH, UNIT_MEAN, UNIT_MEAN_NS };

enum { LABEL_WIDTH = 26, COLUMN_WIDTH = 18, TEXT_BYTES = 32 };

struct row {
    const char *label; /* NULL: `group` and `name` begin a new group of rows */
    const char *group, *name;
    enum unit unit;
    const char *meaning;
};

static const struct row rows[] = {
    { NULL, "Time", NULL, UNIT_COUNT, NULL },
    { "in the machine", NULL, "seconds", UNIT_SECONDS, "all calls and touches; less is better" },
    { "with reading the trace", NULL, "wall_seconds", UNIT_SECONDS, "what one waits for" },
    { "fork", "ops", "fork", UNIT_NS_EACH, "each: tables and reverse map are copied" },
    { "exec", "ops", "exec", UNIT_NS_EACH, "each: the old program is unmapped" },
    { "exit", "ops", "exit", UNIT_NS_EACH, "each: everything is unmapped" },
    { "mmap", "ops", "mmap", UNIT_NS_EACH, "each, what it replaces included" },
    { "munmap", "ops", "munmap", UNIT_NS_EACH, "each" },
    { "mprotect", "ops", "mprotect", UNIT_NS_EACH, "each" },
    { "mremap", "ops", "mremap", UNIT_NS_EACH, "each" },
    { "fault", "ops", "fault", UNIT_NS_EACH, "all touches' time, over the faults among them" },
    { "reclaim", "ops", "reclaim", UNIT_NS_EACH, "each time memory ran short (part of the above)" },
    { NULL, "Memory for bookkeeping, at most", NULL, UNIT_COUNT, NULL },
    { "reverse map", "bytes", "rmap_peak", UNIT_BYTES, "what the design itself needs" },
    { "areas", "bytes", "areas_peak", UNIT_BYTES,
      "the mappings, and what the design adds to them" },
    { "page descriptors", "bytes", "descriptors", UNIT_BYTES, "one a page of memory" },
    { "page tables", "bytes", "page_tables_peak", UNIT_BYTES, "taken from the machine's memory" },
    { NULL, "Asked: who maps this page?", NULL, UNIT_COUNT, NULL },
    { "pages asked about", "asked", "pages", UNIT_COUNT, "by the trace itself, or by --ask" },
    { "mappings found", "asked", "hits_per_page", UNIT_MEAN, "a page" },
    { "places looked at", "asked", "visits_per_page", UNIT_MEAN,
      "a page: areas, spaces or chain nodes" },
    { "not mapped there", "asked", "empty_walks_per_page", UNIT_MEAN,
      "a page: page tables searched for nothing" },
    { "out of range", "asked", "range_rejects_per_page", UNIT_MEAN,
      "a page: areas that do not cover it" },
    { "entries swept", "asked", "swept_per_page", UNIT_MEAN,
      "a page: tables read from end to end" },
    { "at most looked at", "asked", "most_visits", UNIT_COUNT, "for one page" },
    { "time", "asked", "ns_per_page", UNIT_MEAN_NS, "a page" },
    { NULL, "Finding who maps a page", NULL, UNIT_COUNT, NULL },
    { "pages asked about", "rmap", "walks", UNIT_COUNT, "mostly by reclaim" },
    { "mappings found", "rmap", "hits", UNIT_COUNT, "" },
    { "places looked at", "rmap", "object_visits", UNIT_COUNT, "areas, spaces or chain nodes" },
    { "not mapped there", "rmap", "empty_walks", UNIT_COUNT, "a page table searched for nothing" },
    { "out of range", "rmap", "range_rejects", UNIT_COUNT, "an area that does not cover the page" },
    { "nodes looked at", "rmap", "removal_visits", UNIT_COUNT, "to take an entry off its chain" },
    { "chain locks", "rmap", "chain_locks", UNIT_COUNT, "times that one was taken" },
    { "nonlinear entries", "rmap", "nonlinear_entries", UNIT_COUNT,
      "of areas that remap_file_pages left in one piece, looked at" },
    { NULL, "Living in little memory", NULL, UNIT_COUNT, NULL },
    { "pages examined", "reclaim", "scanned", UNIT_COUNT, "" },
    { "entries swept", "reclaim", "swept", UNIT_COUNT,
      "looked at in turn, for want of a reverse map" },
    { "pages unmapped", "reclaim", "unmapped", UNIT_COUNT, "taken away from all who mapped them" },
    { "written to swap", "reclaim", "swapped_out", UNIT_COUNT, "private and shared memory" },
    { "... in so many writes", "reclaim", "swap_writes", UNIT_COUNT, "neighbouring slots in one" },
    { "read from swap", "reclaim", "swapped_in", UNIT_COUNT, "and so needed after all" },
    { "read ahead", "reclaim", "read_ahead", UNIT_COUNT, "of those, for who might want them" },
    { "... and wanted", "reclaim", "read_ahead_hits", UNIT_COUNT, "" },
    { "written to files", "reclaim", "written", UNIT_COUNT, "" },
    { "... in so many writes", "reclaim", "file_writes", UNIT_COUNT, "neighbouring pages in one" },
    { NULL, "Faults", NULL, UNIT_COUNT, NULL },
    { "zero page", "faults", "zero", UNIT_COUNT, "first read of anonymous memory" },
    { "first write", "faults", "first_write", UNIT_COUNT, "a fresh page of anonymous memory" },
    { "file", "faults", "file", UNIT_COUNT, "a page of a file or of shared memory" },
    { "copy on write", "faults", "cow", UNIT_COUNT, "a private copy was made" },
    { "reuse", "faults", "reuse", UNIT_COUNT, "a write found its page alone: no copy" },
    { "from swap", "faults", "swap_in", UNIT_COUNT, "" },
    { "SIGSEGV", "faults", "segv", UNIT_COUNT, "touches that no area allows, as in the recording" },
    { "SIGBUS", "faults", "bus", UNIT_COUNT, "touches beyond a file's end" },
};

/* ---------------------------------------------------------------- numbers */

/* 1234567 as "1 234 567" */
static void group_digits(double number, char *text) {
    char digits[TEXT_BYTES];
    int count = snprintf(digits, sizeof(digits), "%.0f", number);
    char *at = text;
    for (int i = 0; i < count && at < text + TEXT_BYTES - 2; i++) {
        if (i && (count - i) % 3 == 0)
            *at++ = ' ';
        *at++ = digits[i];
    }
    *at = '\0';
}

static void format_ns(double ns, char *text) {
    static const char *const units[] = { "ns", "us", "ms", "s" };
    unsigned unit = 0;
    for (; ns >= 1000 && unit < 3; unit++)
        ns /= 1000;
    snprintf(text, TEXT_BYTES, ns < 10 ? "%.2f %s" : "%.1f %s", ns, units[unit]);
}

static void format_bytes(double bytes, char *text) {
    static const char *const units[] = { "B", "KiB", "MiB", "GiB" };
    unsigned unit = 0;
    for (; bytes >= 1024 && unit < 3; unit++)
        bytes /= 1024;
    snprintf(text, TEXT_BYTES, unit && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

/* Returns whether there is anything to see: a row of nothing is left out. */
static bool format_cell(const json_t *design, const struct row *row, char *text) {
    const json_t *group = row->group ? json_object_get(design, row->group) : design;
    const json_t *value = json_object_get(group, row->name);
    if (row->unit == UNIT_NS_EACH) {
        double count = json_number_value(json_object_get(value, "count"));
        double ns = json_number_value(json_object_get(value, "ns"));
        if (count > 0)
            format_ns(ns / count, text);
        else
            snprintf(text, TEXT_BYTES, "-");
        return count > 0;
    }
    double number = json_number_value(value);
    if (row->unit == UNIT_SECONDS)
        format_ns(number * 1e9, text);
    else if (row->unit == UNIT_MEAN_NS)
        format_ns(number, text);
    else if (row->unit == UNIT_MEAN && number < 100)
        snprintf(text, TEXT_BYTES, "%.2f", number);
    else if (row->unit == UNIT_BYTES)
        format_bytes(number, text);
    else
        group_digits(number, text);
    return number > 0;
}

/* ---------------------------------------------------------------- printing */

static void print_row(const json_t *designs, const struct row *row, FILE *stream) {
    char cell[TEXT_BYTES];
    bool any = false;
    size_t i;
    const json_t *design;
    json_array_foreach((json_t *)(uintptr_t)designs, i, design) any |=
        format_cell(design, row, cell);
    if (!any)
        return;
    fprintf(stream, "  %-*s", LABEL_WIDTH - 2, row->label);
    json_array_foreach((json_t *)(uintptr_t)designs, i, design) {
        format_cell(design, row, cell);
        fprintf(stream, "%*s", COLUMN_WIDTH, cell);
    }
    fprintf(stream, "%s%s\n", row->meaning[0] ? "   " : "", row->meaning);
}

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "-";
}

static void print_texts(const json_t *designs, const char *label, const char *name,
                        const char *meaning, FILE *stream) {
    size_t i;
    const json_t *design;
    fprintf(stream, "%-*s", LABEL_WIDTH, label);
    json_array_foreach((json_t *)(uintptr_t)designs, i, design) {
        const json_t *value = json_object_get(design, name);
        const char *text =
            json_is_boolean(value) ? json_is_true(value) ? "yes" : "no" : text_of(design, name);
        fprintf(stream, "%*s", COLUMN_WIDTH, text);
    }
    fprintf(stream, "   %s\n", meaning);
}

static void print_heading(const json_t *document, FILE *stream) {
    const json_t *trace = json_object_get(document, "trace");
    const json_t *machine = json_object_get(document, "machine");
    char events[TEXT_BYTES], processes[TEXT_BYTES], memory[TEXT_BYTES], swap[TEXT_BYTES];
    group_digits(json_number_value(json_object_get(trace, "events")), events);
    group_digits(json_number_value(json_object_get(trace, "processes")), processes);
    format_bytes(json_number_value(json_object_get(machine, "memory_bytes")), memory);
    format_bytes(json_number_value(json_object_get(machine, "swap_bytes")), swap);
    fprintf(stream, "%s: %s events of %s processes\n", text_of(trace, "file"), events, processes);
    fprintf(stream, "on a machine of %s", memory);
    if (json_is_number(json_object_get(machine, "memory_percent")))
        fprintf(stream, " (%g%% of the trace's peak, page tables and locked pages on top)",
                json_number_value(json_object_get(machine, "memory_percent")));
    fprintf(stream, ", swap %s, %s\n", swap,
            json_is_true(json_object_get(machine, "contents")) ? "pages with contents"
                                                               : "timed without contents");
    double lost = json_number_value(json_object_get(trace, "lost"));
    if (lost > 0)
        fprintf(stream, "The recorder lost %.0f events: what follows is not the whole program.\n",
                lost);
    putc('\n', stream);
}

static void print_refused(const json_t *design, FILE *stream) {
    const char *name;
    json_t *entry;
    json_t *refused = json_object_get(design, "refused");
    if (!json_object_size(refused))
        return;
    fputs("\nCalls that the machine refused, as Linux would\n", stream);
    json_object_foreach(refused, name, entry) fprintf(
        stream, "  %-*s%*.0f   the first in line %.0f: %s\n", LABEL_WIDTH - 2, name, COLUMN_WIDTH,
        json_number_value(json_object_get(entry, "count")),
        json_number_value(json_object_get(entry, "first_line")), text_of(entry, "first_result"));
}

/* The columns of the papers' lock tables. A kind of lock is all locks of that kind together, so that
 * more than 100% of the time may go into holding them. */
static void print_lock(const json_t *lock, double wall_ns, FILE *stream) {
    double taken = json_number_value(json_object_get(lock, "acquired"));
    double contended = json_number_value(json_object_get(lock, "contended"));
    double hold = json_number_value(json_object_get(lock, "hold_ns"));
    double wait = json_number_value(json_object_get(lock, "wait_ns"));
    char mean[TEXT_BYTES], most[TEXT_BYTES], waited[TEXT_BYTES], longest[TEXT_BYTES];
    char total[TEXT_BYTES];
    format_ns(hold / taken, mean);
    format_ns(json_number_value(json_object_get(lock, "hold_most_ns")), most);
    format_ns(contended > 0 ? wait / contended : 0, waited);
    format_ns(json_number_value(json_object_get(lock, "wait_most_ns")), longest);
    group_digits(taken, total);
    fprintf(stream, "  %6.2f%% %6.2f%% %10s %10s %10s %10s %14s  %s%s\n",
            wall_ns > 0 ? hold / wall_ns * 100 : 0, contended / taken * 100, mean, most, waited,
            longest, total, text_of(lock, "name"),
            json_is_true(json_object_get(lock, "shared")) ? ", readers" : "");
}

static void print_locks(const json_t *design, FILE *stream) {
    const json_t *locks = json_object_get(design, "locks");
    double wall_ns = json_number_value(json_object_get(design, "wall_seconds")) * 1e9;
    size_t i;
    const json_t *lock;
    if (!json_array_size(locks))
        return;
    fprintf(stream, "\nLocks with %s\n  %7s %7s %10s %10s %10s %10s %14s  %s\n",
            text_of(design, "name"), "in use", "waited", "held", "at most", "wait", "at most",
            "taken", "lock");
    json_array_foreach((json_t *)(uintptr_t)locks, i, lock) print_lock(lock, wall_ns, stream);
}

static bool group_has_rows(const json_t *designs, size_t heading) {
    char cell[TEXT_BYTES];
    for (size_t r = heading + 1; r < sizeof(rows) / sizeof(rows[0]) && rows[r].label; r++)
        for (size_t i = 0; i < json_array_size(designs); i++)
            if (format_cell(json_array_get(designs, i), &rows[r], cell))
                return true;
    return false;
}

void report_print_table(const json_t *document, FILE *stream) {
    const json_t *designs = json_object_get(document, "designs");
    print_heading(document, stream);
    print_texts(designs, "Design", "name", "", stream);
    print_texts(designs, "verified", "verified", "reverse map = scan of all tables, contents right",
                stream);
    print_texts(designs, "final state", "state_hash", "what programs see; must be equal", stream);
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        if (rows[r].label)
            print_row(designs, &rows[r], stream);
        else if (group_has_rows(designs, r))
            fprintf(stream, "\n%s\n", rows[r].group);
    }
    print_refused(json_array_get(designs, 0), stream);
    for (size_t i = 0; i < json_array_size(designs); i++)
        print_locks(json_array_get(designs, i), stream);
}
