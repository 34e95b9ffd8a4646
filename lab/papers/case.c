/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * case.c - see case.h.
 */
#include "papers/case.h"

#include "apart.h"
#include "command.h"
#include "memory.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 256 GiB: descriptors are made as frames are used. */

enum { WHAT_WIDTH = 52, VALUE_WIDTH = 16, LINE_WIDTH = 96 };

/* ---------------------------------------------------------------- running */

static bool prepare(const struct setup *setup, struct settings *settings,
                    struct run_request *request) {
    *settings = default_settings;
    if (!setup->trace && !workload_parse(setup->workload, &settings->workload))
        return false;
    settings->trace = setup->trace ? setup->trace : settings->workload.text;
    settings->file_index = setup->file_index;
    settings->fork_copy = setup->fork_copy;
    settings->fault_around = setup->fault_around;
    *request = run_request_ample(settings);
    request->swap_pages = request->frames;
    request->ask = true;
    return true;
}

/* The memory of a case that is to run short of it. */
static bool shorten(const struct setup *setup, struct settings *settings,
                    struct run_request *request) {
    struct peak peak;
    int code;
    if (setup->memory_percent <= 0)
        return true;
    settings->memory = setup->memory_percent;
    if (!run_measure(settings, &peak, &code))
        return false;
    run_size(settings, &peak, &request->frames, &request->swap_pages);
    return true;
}

static bool run_round(struct run_request *request, const char *const *designs, unsigned count,
                      struct run_result *results, struct run_result *latest) {
    for (unsigned d = 0; d < count; d++) {
        request->design = designs[d];
        if (!run_apart(request, latest) || latest->end != RUN_COMPLETE)
            return false;
        if (results[d].seconds <= 0 || latest->seconds < results[d].seconds)
            results[d] = *latest;
    }
    return true;
}

bool case_run(const struct setup *setup, const char *const *designs, unsigned count,
              struct run_result *results) {
    struct settings settings;
    struct run_request request;
    if (!prepare(setup, &settings, &request) || !shorten(setup, &settings, &request))
        return false;
    struct run_result *latest = new_array(1, sizeof(*latest));
    bool complete = true;
    memset(results, 0, count * sizeof(*results));
    for (unsigned round = 0; complete && round < (setup->rounds ? setup->rounds : 1); round++)
        complete = run_round(&request, designs, count, results, latest);
    free(latest);
    return complete;
}

const char *case_recording(const char *name, char *room, size_t bytes) {
    static const char *const folders[] = { "examples/traces", "../examples/traces",
                                           "../../examples/traces" };
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        snprintf(room, bytes, "%s/%s", folders[i], name);
        if (access(room, R_OK) == 0)
            return room;
    }
    return NULL;
}

/* ---------------------------------------------------------------- telling */

json_t *case_begin(const char *title, const char *source) {
    return json_pack("{s:s, s:s, s:[], s:s}", "title", title, "source", source, "figures", "remark",
                     "");
}

void case_scale(json_t *paper_case, const struct setup *setup, const char *words) {
    char text[256];
    snprintf(text, sizeof(text), "%s%s%s%s%s%s", setup->trace ? setup->trace : "--workload ",
             setup->trace ? "" : setup->workload,
             setup->fork_copy == VM_FORK_EAGER ? " --fork eager" : "",
             setup->fault_around == 1 ? " --fault-around 1" : "",
             setup->file_index ? " --file-index " : "", setup->file_index ? setup->file_index : "");
    if (setup->memory_percent > 0)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), " --memory %g%%",
                 setup->memory_percent);
    json_object_set_new(paper_case, "scale", json_string(words));
    json_object_set_new(paper_case, "runs", json_string(text));
}

void case_figure(json_t *paper_case, const char *what, const char *paper, const char *format,
                 double value) {
    char here[40];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(here, sizeof(here), format, value);
#pragma GCC diagnostic pop
    json_t *figure = json_pack("{s:s, s:s?, s:s, s:f}", "what", what, "paper", paper, "here", here,
                               "value", value);
    json_array_append_new(json_object_get(paper_case, "figures"), figure);
}

void case_remark(json_t *paper_case, const char *format, ...) {
    char text[1200];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    json_object_set_new(paper_case, "remark", json_string(text));
}

static const char *text_of(const json_t *object, const char *name, const char *otherwise) {
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : otherwise;
}

/* Lines broken at blanks. */
static void print_wrapped(const char *text, FILE *stream) {
    while (*text) {
        size_t length = strlen(text), taken = length;
        if (length > LINE_WIDTH)
            for (taken = LINE_WIDTH; taken && text[taken] != ' '; taken--)
                continue;
        taken = taken ? taken : length;
        fprintf(stream, "  %.*s\n", (int)taken, text);
        text += taken;
        text += strspn(text, " ");
    }
}

void case_print(const json_t *paper_case, FILE *stream) {
    size_t i;
    const json_t *figure;
    const char *title = text_of(paper_case, "title", "");
    fprintf(stream, "%s\n", title);
    fprintf(stream, "  %s\n", text_of(paper_case, "source", ""));
    fprintf(stream, "  Here: %s\n", text_of(paper_case, "scale", ""));
    fprintf(stream, "        %s\n\n", text_of(paper_case, "runs", ""));
    fprintf(stream, "  %-*s%*s%*s\n", WHAT_WIDTH, "", VALUE_WIDTH, "paper", VALUE_WIDTH, "here");
    json_array_foreach(json_object_get(paper_case, "figures"), i, figure)
        fprintf(stream, "  %-*s%*s%*s\n", WHAT_WIDTH, text_of(figure, "what", ""), VALUE_WIDTH,
                text_of(figure, "paper", "-"), VALUE_WIDTH, text_of(figure, "here", "-"));
    fputc('\n', stream);
    print_wrapped(text_of(paper_case, "remark", ""), stream);
    fputc('\n', stream);
}
