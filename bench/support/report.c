/* SPDX-License-Identifier: BSD-2-Clause */
/* report.c - options, tables and JSON. */
#include "support/report.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_usage(FILE *to, const char *program, const char *purpose) {
    fprintf(to,
            "usage: %s [--json] [--large] [--rounds N] [--versus DESIGN]\n"
            "%s\n"
            "  --json      print one JSON document instead of a table\n"
            "  --large     the largest sizes too\n"
            "  --rounds N  measure each pair N times (1..%d), and take medians\n"
            "  --versus DESIGN  the design to put beside anon-vma; else pte-chain\n",
            program, purpose, SAMPLES_MAX);
}

struct options options_read(int argc, char **argv, const char *purpose) {
    static const struct option known[] = {
        { "json", no_argument, NULL, 'j' },         { "large", no_argument, NULL, 'l' },
        { "rounds", required_argument, NULL, 'r' }, { "versus", required_argument, NULL, 'v' },
        { "help", no_argument, NULL, 'h' },         { 0 }
    };
    struct options options = { .versus = "pte-chain" };
    int letter;

    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (letter == 'j')
            options.json = true;
        else if (letter == 'l')
            options.large = true;
        else if (letter == 'v')
            options.versus = optarg;
        else if (letter == 'r' && atoi(optarg) > 0 && atoi(optarg) <= SAMPLES_MAX)
            options.rounds = (unsigned)atoi(optarg);
        else {
            print_usage(letter == 'h' ? stdout : stderr, argv[0], purpose);
            exit(letter == 'h' ? 0 : 2);
        }
    }
    if (optind < argc) {
        print_usage(stderr, argv[0], purpose);
        exit(2);
    }
    return options;
}

void options_apply(const struct options *options, struct bench_config *columns, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        if (!columns[i].design)
            columns[i].design = options->versus;
}

/* ---------------------------------------------------------------- heads */

static const char *contents_name(const struct bench_config *column) {
    return column->contents == VM_METADATA_ONLY ? "metadata" : "contents";
}

static void print_heads(const struct report *report) {
    printf("%-30s %-11s %8s %7s", "", "", "kernel", "of that");
    for (unsigned i = 0; i < report->column_count; i++)
        printf("  %12s", report->columns[i].design);
    printf("\n%-30s %-11s %8s %7s", "", "", "", "bytes");
    for (unsigned i = 0; i < report->column_count; i++)
        printf("  %5u CPU%s", report->columns[i].cpus,
               report->columns[i].cpus == 1 ? "   " : "s  ");
    printf("\n%-30s %-11s %8s %7s", "", "", "", "");
    for (unsigned i = 0; i < report->column_count; i++)
        printf("  %12s", contents_name(&report->columns[i]));
    printf("\n");
}

void report_open(struct report *report, const char *benchmark, const struct options *options,
                 const struct place *place, const struct bench_config *columns,
                 unsigned column_count) {
    *report =
        (struct report){ .json = options->json, .columns = columns, .column_count = column_count };
    if (report->json) {
        printf("{\"benchmark\":\"%s\",\"core\":%d,\"realtime\":%s,\"rows\":[", benchmark,
               place->core, place->realtime ? "true" : "false");
        return;
    }
    if (!place->realtime)
        printf("(without real-time priority: what else runs here disturbs the figures)\n");
    print_heads(report);
}

/* ---------------------------------------------------------------- one line, cell by cell */

struct cell {
    double ours, ratio;
    bool judged, reached;
};

/* The kernel's times beside a machine that has no bytes to clear or copy. */
static struct samples less(const struct samples *kernel, const struct samples *bytes) {
    struct samples rest = { .count = 0 };

    for (unsigned i = 0; i < kernel->count; i++)
        samples_add(&rest, kernel->values[i] - bytes->values[i]);
    return rest;
}

static struct cell evaluate(const struct report *report, const struct line *line, unsigned column) {
    const struct samples *ours = &line->ours[column];
    struct cell cell = { .ours = samples_median(ours),
                         .ratio = (double)NAN,
                         .judged = line->goal != GOAL_NONE && (line->judged >> column & 1) };

    if (line->kernel && line->kernel_bytes &&
        report->columns[column].contents == VM_METADATA_ONLY) {
        struct samples rest = less(line->kernel, line->kernel_bytes);
        cell.ratio = samples_ratio(ours, &rest);
    } else if (line->kernel) {
        cell.ratio = samples_ratio(ours, line->kernel);
    }
    cell.reached = (line->goal == GOAL_RATIO ? cell.ratio : cell.ours) <= line->limit;
    return cell;
}

static double median_or_none(const struct samples *samples) {
    return samples ? samples_median(samples) : (double)NAN;
}

static void print_number_or_null(const char *name, double number) {
    if (isnan(number))
        printf(",\"%s\":null", name);
    else
        printf(",\"%s\":%.4g", name, number);
}

static void print_json(struct report *report, const struct line *line, unsigned column,
                       const struct cell *cell) {
    const struct bench_config *machine = &report->columns[column];

    printf(
        "%s\n{\"operation\":\"%s\",\"size\":\"%s\",\"unit\":\"%s\",\"design\":\"%s\",\"cpus\":%u,"
        "\"contents\":%s",
        report->rows++ ? "," : "", line->operation, line->size, line->unit, machine->design,
        machine->cpus, machine->contents == VM_METADATA_ONLY ? "false" : "true");
    print_number_or_null("ours", cell->ours);
    print_number_or_null("kernel", median_or_none(line->kernel));
    print_number_or_null("kernel_bytes", median_or_none(line->kernel_bytes));
    print_number_or_null("ratio", cell->ratio);
    if (cell->judged)
        printf(",\"goal\":{\"%s\":%.4g},\"reached\":%s}",
               line->goal == GOAL_RATIO ? "ratio" : "ours", line->limit,
               cell->reached ? "true" : "false");
    else
        printf(",\"goal\":null,\"reached\":null}");
}

static void print_number(int width, double number) {
    if (isnan(number))
        printf(" %*s", width, "-");
    else
        printf(" %*.*f", width, number < 99.95 ? 1 : 0, number);
}

static void print_cell(const struct cell *cell) {
    print_number(6, cell->ours);
    if (isnan(cell->ratio))
        printf("       ");
    else
        printf(" (%.*f)", cell->ratio < 9.995 ? 2 : 1, cell->ratio);
}

static void print_verdict(const struct line *line, unsigned judged, unsigned reached) {
    if (judged == 0)
        return;
    if (line->goal == GOAL_RATIO)
        printf("  goal (%.2f): ", line->limit);
    else
        printf("  goal %.0f: ", line->limit);
    if (reached == judged)
        printf("reached");
    else if (reached == 0)
        printf("NOT REACHED");
    else
        printf("reached by %u of %u", reached, judged);
}

void report_line(struct report *report, const struct line *line) {
    bool again =
        strncmp(report->last_operation, line->operation, sizeof(report->last_operation)) == 0;
    unsigned judged = 0, reached = 0;

    if (!report->json) {
        printf("%-30s %-11s", again ? "" : line->operation, line->size);
        print_number(8, median_or_none(line->kernel));
        print_number(7, median_or_none(line->kernel_bytes));
    }
    for (unsigned i = 0; i < report->column_count; i++) {
        struct cell cell = evaluate(report, line, i);
        judged += cell.judged;
        reached += cell.judged && cell.reached;
        if (report->json)
            print_json(report, line, i, &cell);
        else
            print_cell(&cell);
    }
    if (!report->json) {
        print_verdict(line, judged, reached);
        printf("\n");
    }
    snprintf(report->last_operation, sizeof(report->last_operation), "%s", line->operation);
    fflush(stdout);
}

void notes_print(bool json, const char *const notes[]) {
    if (json)
        printf("],\n\"notes\":[");
    for (unsigned i = 0; notes[i]; i++)
        if (json)
            printf("%s\"%s\"", i ? ",\n" : "", notes[i]);
        else
            printf("%s\n", notes[i]);
    if (json)
        printf("]}\n");
}
