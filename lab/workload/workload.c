/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workload.c - finding workloads, and giving values to their parameters.
 */
#include "workload/workload.h"

#include "command.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WORKLOADS_MAX = 64 };

static const struct workload *const families[] = {
    fork_workloads,
    file_workloads,
    area_workloads,
    program_workloads,
};

const struct workload *workload_at(size_t index) {
    for (size_t family = 0; family < sizeof(families) / sizeof(families[0]); family++)
        for (const struct workload *workload = families[family]; workload->name; workload++)
            if (index-- == 0)
                return workload;
    return NULL;
}

static bool unknown_workload(const char *name) {
    const char *names[WORKLOADS_MAX + 1] = { NULL };
    const struct workload *workload;
    for (size_t i = 0; i < WORKLOADS_MAX && (workload = workload_at(i)); i++)
        names[i] = workload->name;
    const char *near = nearest_name(name, names);
    if (near)
        complain("there is no workload '%s'. Did you mean '%s'?", name, near);
    else
        complain("there is no workload '%s'; `objrmap workload --list` lists them", name);
    return false;
}

bool workload_find(const char *name, struct workload_plan *plan) {
    const struct workload *workload;
    *plan = (struct workload_plan){ 0 };
    for (size_t i = 0; (workload = workload_at(i)); i++)
        if (strcmp(workload->name, name) == 0)
            break;
    if (!workload)
        return unknown_workload(name);
    plan->workload = workload;
    for (size_t i = 0; i < WORKLOAD_PARAMETERS && workload->parameters[i].name; i++)
        plan->value[i] = workload->parameters[i].initial;
    snprintf(plan->text, sizeof(plan->text), "%s", name);
    return true;
}

/* ---------------------------------------------------------------- parameters */

/* WORKLOAD_PARAMETERS if there is none of this name. */
static size_t find_parameter(const struct workload *workload, const char *name, size_t bytes) {
    for (size_t i = 0; i < WORKLOAD_PARAMETERS && workload->parameters[i].name; i++)
        if (strlen(workload->parameters[i].name) == bytes &&
            memcmp(workload->parameters[i].name, name, bytes) == 0)
            return i;
    return WORKLOAD_PARAMETERS;
}

static bool unknown_parameter(const struct workload *workload, const char *name) {
    const char *names[WORKLOAD_PARAMETERS + 1] = { NULL };
    for (size_t i = 0; i < WORKLOAD_PARAMETERS; i++)
        names[i] = workload->parameters[i].name;
    const char *near = nearest_name(name, names);
    if (near)
        complain("%s has no parameter '%s'. Did you mean '%s'?", workload->name, name, near);
    else
        complain("%s has no parameter '%s'; `objrmap workload %s --help` lists them",
                 workload->name, name, workload->name);
    return false;
}

static bool set_choice(const struct workload *workload, const struct workload_parameter *parameter,
                       const char *text, uint64_t *value) {
    char words[120] = "";
    for (size_t i = 0; i < 4 && parameter->choices[i]; i++) {
        if (strcmp(parameter->choices[i], text) == 0) {
            *value = i;
            return true;
        }
        size_t used = strlen(words);
        snprintf(words + used, sizeof(words) - used, "%s%s", i ? " | " : "", parameter->choices[i]);
    }
    complain("%s: %s=%s: expected %s", workload->name, parameter->name, text, words);
    return false;
}

/* Digits, and perhaps K, M or G behind them. */
static bool parse_number(const char *text, uint64_t *number) {
    static const char letters[] = "KMG";
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)*text) || errno)
        return false;
    if (!*end)
        return true;
    const char *letter = strchr(letters, toupper((unsigned char)*end));
    if (!letter || end[1] || *number >> 32)
        return false;
    *number <<= (letter - letters + 1) * 10;
    return true;
}

static bool set_number(const struct workload *workload, const struct workload_parameter *parameter,
                       const char *text, uint64_t *value) {
    uint64_t number;
    if (parse_number(text, &number) && number >= parameter->least && number <= parameter->most) {
        *value = number;
        return true;
    }
    complain("%s: %s=%s: expected a whole number from %llu to %llu", workload->name,
             parameter->name, text, (unsigned long long)parameter->least,
             (unsigned long long)parameter->most);
    return false;
}

static void append_setting(struct workload_plan *plan, const char *setting) {
    size_t used = strlen(plan->text);
    snprintf(plan->text + used, sizeof(plan->text) - used, "%c%s",
             strchr(plan->text, ':') ? ',' : ':', setting);
}

bool workload_set(struct workload_plan *plan, const char *setting) {
    const struct workload *workload = plan->workload;
    const char *equals = strchr(setting, '=');
    if (!equals) {
        complain("%s: '%s': expected key=value; `objrmap workload %s --help` lists the keys",
                 workload->name, setting, workload->name);
        return false;
    }
    char name[40];
    snprintf(name, sizeof(name), "%.*s", (int)(equals - setting), setting);
    size_t index = find_parameter(workload, setting, (size_t)(equals - setting));
    if (index == WORKLOAD_PARAMETERS)
        return unknown_parameter(workload, name);
    const struct workload_parameter *parameter = &workload->parameters[index];
    append_setting(plan, setting);
    return parameter->choices[0] ? set_choice(workload, parameter, equals + 1, &plan->value[index])
                                 : set_number(workload, parameter, equals + 1, &plan->value[index]);
}

bool workload_check(const struct workload_plan *plan) {
    const char *wrong = plan->workload->check ? plan->workload->check(plan) : NULL;
    if (wrong)
        complain("%s: %s", plan->workload->name, wrong);
    return !wrong;
}

bool workload_parse(const char *spec, struct workload_plan *plan) {
    char piece[120];
    size_t bytes = strcspn(spec, ":");
    snprintf(piece, sizeof(piece), "%.*s", (int)(bytes < 100 ? bytes : 100), spec);
    if (!workload_find(piece, plan))
        return false;
    for (const char *at = spec + bytes; *at; at += bytes) {
        at++;
        bytes = strcspn(at, ",");
        snprintf(piece, sizeof(piece), "%.*s", (int)(bytes < 100 ? bytes : 100), at);
        if (!workload_set(plan, piece))
            return false;
    }
    return workload_check(plan);
}

uint64_t workload_value(const struct workload_plan *plan, const char *name) {
    size_t index = find_parameter(plan->workload, name, strlen(name));
    assert(index < WORKLOAD_PARAMETERS);
    return plan->value[index];
}

bool workload_chose(const struct workload_plan *plan, const char *name, const char *word) {
    size_t index = find_parameter(plan->workload, name, strlen(name));
    assert(index < WORKLOAD_PARAMETERS);
    return strcmp(plan->workload->parameters[index].choices[plan->value[index]], word) == 0;
}

void workload_write(struct trace_writer *writer, const struct workload_plan *plan) {
    trace_note(writer, "workload", "%s", plan->text);
    plan->workload->write(writer, plan);
}
