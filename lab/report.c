/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.c - the JSON document: see report.h.
 */
#include "report.h"

#include <inttypes.h>

static void set_count(json_t *object, const char *name, uint64_t count) {
    json_object_set_new(object, name, json_integer((json_int_t)count));
}

/* ---------------------------------------------------------------- trace and machine */

json_t *report_trace(const char *file, const struct run_result *result, const struct peak *peak) {
    json_t *trace = json_object();
    json_object_set_new(trace, "file", json_string_nocheck(file));
    set_count(trace, "events", result->events);
    set_count(trace, "processes", result->processes);
    json_object_set_new(trace, "peak_pages",
                        peak ? json_integer((json_int_t)peak->pages) : json_null());
    set_count(trace, "lost", result->lost);
    json_object_set_new(trace, "recorded_seconds",
                        result->recorded_seconds > 0 ? json_real(result->recorded_seconds)
                                                     : json_null());
    return trace;
}

json_t *report_machine(const struct settings *settings, const struct run_request *request) {
    json_t *machine = json_object();
    bool percent = settings->memory_unit == MEMORY_PERCENT;
    set_count(machine, "memory_bytes", request->frames << VM_PAGE_SHIFT);
    set_count(machine, "swap_bytes", request->swap_pages << VM_PAGE_SHIFT);
    set_count(machine, "cpus", request->cpus);
    set_count(machine, "nodes", request->nodes ? request->nodes : 1);
    set_count(machine, "low_memory_bytes", request->low_frames << VM_PAGE_SHIFT);
    set_count(machine, "swappiness",
              request->swappiness == VM_SWAPPINESS_NONE ? 0
              : request->swappiness                     ? request->swappiness
                                                        : 60);
    json_object_set_new(machine, "contents", json_boolean(request->contents == VM_CONTENTS_KEPT));
    json_object_set_new(machine, "memory_percent",
                        percent ? json_real(settings->memory) : json_null());
    json_object_set_new(machine, "fork",
                        json_string(request->fork_copy == VM_FORK_EAGER ? "eager" : "lazy"));
    json_object_set_new(
        machine, "chain_lock",
        json_string(request->chain_lock == VM_CHAIN_LOCK_GLOBAL ? "global" : "page"));
    json_object_set_new(machine, "nonlinear", json_string(nonlinear_name(request->nonlinear)));
    set_count(machine, "fault_around", request->fault_around ? request->fault_around : 16);
    set_count(machine, "swap_readahead", request->swap_readahead ? request->swap_readahead : 8);
    return machine;
}

/* ---------------------------------------------------------------- a design */

static json_t *operation(uint64_t count, uint64_t ns) {
    return json_pack("{s:I, s:I}", "count", (json_int_t)count, "ns", (json_int_t)ns);
}

static json_t *operations(const struct run_result *result) {
    json_t *operations = json_object();
    for (int op = 0; op < OPS; op++)
        json_object_set_new(operations, op_name((enum op)op),
                            operation(result->ops[op].count, result->ops[op].ns));
    set_count(json_object_get(operations, "touch"), "pages", result->pages_touched);
    json_object_set_new(operations, "fault",
                        operation(faults_of(&result->stats), result->ops[OP_TOUCH].ns));
    json_object_set_new(operations, "reclaim",
                        operation(result->stats.reclaim.runs, result->stats.reclaim.ns));
    return operations;
}

static json_t *faults(const struct run_result *result) {
    const struct vm_stats *stats = &result->stats;
    json_t *faults = json_object();
    set_count(faults, "zero", stats->faults.zero);
    set_count(faults, "first_write", stats->faults.first_write);
    set_count(faults, "file", stats->faults.file);
    set_count(faults, "around", stats->faults.around);
    set_count(faults, "shared_write", stats->faults.shared_write);
    set_count(faults, "cow", stats->faults.cow);
    set_count(faults, "reuse", stats->faults.reuse);
    set_count(faults, "swap_in", stats->faults.swap_in);
    set_count(faults, "stack", stats->faults.stack);
    set_count(faults, "spurious", stats->faults.spurious);
    set_count(faults, "read_in", stats->faults.read_in);
    set_count(faults, "segv", result->segv);
    set_count(faults, "bus", result->bus);
    return faults;
}

static json_t *bytes(const struct run_result *result) {
    json_t *bytes = json_object();
    set_count(bytes, "rmap_peak", result->cost_peak[VM_COST_RMAP]);
    set_count(bytes, "page_tables_peak", result->stats.memory.tables_peak << VM_PAGE_SHIFT);
    set_count(bytes, "areas_peak", result->cost_peak[VM_COST_AREAS]);
    set_count(bytes, "descriptors", result->cost_peak[VM_COST_DESCRIPTORS]);
    set_count(bytes, "other_peak", result->cost_peak[VM_COST_OTHER]);
    return bytes;
}

static json_t *reverse_map(const struct vm_stats *stats) {
    json_t *rmap = json_object();
    set_count(rmap, "walks", stats->rmap.walks);
    set_count(rmap, "hits", stats->rmap.hits);
    set_count(rmap, "empty_walks", stats->rmap.empty_walks);
    set_count(rmap, "range_rejects", stats->rmap.range_rejects);
    set_count(rmap, "object_visits", stats->rmap.object_visits);
    set_count(rmap, "removal_visits", stats->rmap.removal_visits);
    set_count(rmap, "chain_locks", stats->rmap.chain_locks);
    set_count(rmap, "nonlinear_entries", stats->rmap.nonlinear_entries);
    set_count(rmap, "forced_copies", stats->rmap.forced_copies);
    set_count(rmap, "repointed", stats->rmap.repointed);
    return rmap;
}

static json_t *reclaim(const struct vm_stats *stats) {
    json_t *reclaim = json_object();
    set_count(reclaim, "runs", stats->reclaim.runs);
    set_count(reclaim, "direct", stats->reclaim.direct);
    set_count(reclaim, "waited", stats->reclaim.waited);
    set_count(reclaim, "node", stats->reclaim.node);
    set_count(reclaim, "lru_batches", stats->reclaim.lru_batches);
    set_count(reclaim, "scanned", stats->reclaim.scanned);
    set_count(reclaim, "swept", stats->reclaim.swept);
    set_count(reclaim, "nonlinear_unmapped", stats->reclaim.nonlinear_unmapped);
    set_count(reclaim, "activated", stats->reclaim.activated);
    set_count(reclaim, "unmapped", stats->reclaim.unmapped);
    set_count(reclaim, "swapped_out", stats->reclaim.swapped_out);
    set_count(reclaim, "swap_writes", stats->reclaim.swap_writes);
    set_count(reclaim, "written", stats->reclaim.written);
    set_count(reclaim, "file_writes", stats->reclaim.file_writes);
    set_count(reclaim, "swapped_in", stats->reclaim.swapped_in);
    set_count(reclaim, "read_ahead", stats->reclaim.read_ahead);
    set_count(reclaim, "read_ahead_hits", stats->reclaim.read_ahead_hits);
    set_count(reclaim, "freed", stats->reclaim.freed);
    return reclaim;
}

static json_t *asked(const struct asked *asked) {
    if (!asked->pages && !asked->absent)
        return json_null();
    double pages = asked->pages ? (double)asked->pages : 1;
    json_t *answer = json_object();
    set_count(answer, "pages", asked->pages);
    set_count(answer, "absent", asked->absent);
    json_object_set_new(answer, "hits_per_page", json_real((double)asked->hits / pages));
    json_object_set_new(answer, "visits_per_page", json_real((double)asked->object_visits / pages));
    json_object_set_new(answer, "empty_walks_per_page",
                        json_real((double)asked->empty_walks / pages));
    json_object_set_new(answer, "range_rejects_per_page",
                        json_real((double)asked->range_rejects / pages));
    json_object_set_new(answer, "swept_per_page", json_real((double)asked->swept / pages));
    set_count(answer, "most_visits", asked->most_visits);
    json_object_set_new(answer, "ns_per_page", json_real((double)asked->ns / pages));
    return answer;
}

static json_t *migration(const struct vm_stats *stats) {
    json_t *migration = json_object();
    set_count(migration, "moved", stats->migration.moved);
    set_count(migration, "busy", stats->migration.busy);
    set_count(migration, "entries", stats->migration.entries);
    return migration;
}

static json_t *entries(const struct vm_stats *stats) {
    json_t *entries = json_object();
    set_count(entries, "copied", stats->entries.copied);
    set_count(entries, "moved", stats->entries.moved);
    set_count(entries, "cleared", stats->entries.cleared);
    return entries;
}

static json_t *memory(const struct vm_stats *stats) {
    json_t *memory = json_object();
    set_count(memory, "frames", stats->memory.frames_total);
    set_count(memory, "frames_peak", stats->memory.frames_peak);
    set_count(memory, "tables_peak", stats->memory.tables_peak);
    set_count(memory, "data_peak", stats->memory.data_peak);
    set_count(memory, "locked_peak", stats->memory.locked_peak);
    set_count(memory, "swap_peak", stats->memory.swap_peak);
    set_count(memory, "areas_peak", stats->memory.areas_peak);
    set_count(memory, "spaces_peak", stats->memory.spaces_peak);
    return memory;
}

static const char *cost_name(enum vm_cost cost) {
    switch (cost) {
    case VM_COST_RMAP:
        return "rmap";
    case VM_COST_AREAS:
        return "areas";
    case VM_COST_DESCRIPTORS:
        return "descriptors";
    case VM_COST_OTHER:
        break;
    }
    return "other";
}

static json_t *caches(const struct run_result *result) {
    json_t *caches = json_array();
    for (unsigned i = 0; i < result->cache_count; i++) {
        const struct run_cache *cache = &result->caches[i];
        json_t *entry = json_object();
        json_object_set_new(entry, "name", json_string(cache->name));
        json_object_set_new(entry, "cost", json_string(cost_name(cache->cost)));
        set_count(entry, "object_bytes", cache->object_bytes);
        set_count(entry, "live_before", cache->live_before);
        set_count(entry, "live", cache->live);
        set_count(entry, "live_after", cache->live_after);
        set_count(entry, "live_bytes", cache->live_bytes);
        set_count(entry, "peak_bytes", cache->peak_bytes);
        set_count(entry, "held_bytes", cache->held_bytes);
        json_array_append_new(caches, entry);
    }
    return caches;
}

static json_t *locks(const struct run_result *result) {
    if (!result->lock_count)
        return json_null();
    json_t *locks = json_array();
    for (unsigned i = 0; i < result->lock_count; i++) {
        const struct run_lock *lock = &result->locks[i];
        json_t *entry = json_object();
        json_object_set_new(entry, "name", json_string(lock->name));
        json_object_set_new(entry, "shared", json_boolean(lock->shared));
        set_count(entry, "acquired", lock->acquired);
        set_count(entry, "contended", lock->contended);
        set_count(entry, "handed_over", lock->handed_over);
        set_count(entry, "hold_ns", lock->hold_ns);
        set_count(entry, "hold_most_ns", lock->hold_most_ns);
        set_count(entry, "wait_ns", lock->wait_ns);
        set_count(entry, "wait_most_ns", lock->wait_most_ns);
        json_array_append_new(locks, entry);
    }
    return locks;
}

static json_t *sample(const struct sample *taken) {
    json_t *sample = json_object();
    set_count(sample, "events", taken->events);
    json_object_set_new(sample, "seconds", json_real(taken->seconds));
    set_count(sample, "anonymous", taken->anonymous);
    set_count(sample, "file", taken->file);
    set_count(sample, "shm", taken->shm);
    set_count(sample, "page_tables", taken->tables);
    set_count(sample, "free", taken->free);
    set_count(sample, "swap", taken->swap);
    set_count(sample, "faults", taken->faults);
    set_count(sample, "scanned", taken->scanned);
    set_count(sample, "freed", taken->freed);
    set_count(sample, "swapped_out", taken->swapped_out);
    set_count(sample, "swapped_in", taken->swapped_in);
    return sample;
}

static json_t *series(const struct series *taken) {
    if (!taken->count)
        return json_null();
    json_t *series = json_array();
    for (unsigned i = 0; i < taken->count; i++)
        json_array_append_new(series, sample(&taken->samples[i]));
    return series;
}

static json_t *refused(const struct run_result *result) {
    json_t *refused = json_object();
    for (int op = 0; op < OPS; op++) {
        const struct op_count *count = &result->ops[op];
        if (count->refused)
            json_object_set_new(refused, op_name((enum op)op),
                                json_pack("{s:I, s:I, s:s}", "count", (json_int_t)count->refused,
                                          "first_line", (json_int_t)count->refused_line,
                                          "first_result", vm_result_text(count->refusal)));
    }
    return refused;
}

static const char *end_name(enum run_end end) {
    static const char *const names[] = {
        [RUN_COMPLETE] = "complete",   [RUN_OUT_OF_MEMORY] = "out of memory",
        [RUN_DIFFERENT] = "different", [RUN_INVALID] = "invalid trace",
        [RUN_FAILED] = "failed",
    };
    return names[end];
}

json_t *report_design(const struct run_request *request, const struct run_result *result) {
    char hash[20];
    json_t *design = json_object();
    snprintf(hash, sizeof(hash), "%016" PRIx64, result->state_hash);
    json_object_set_new(design, "name", json_string(request->design));
    json_object_set_new(design, "file_index",
                        json_string(request->file_index ? request->file_index : "interval-tree"));
    json_object_set_new(design, "verified", json_boolean(result->verified));
    json_object_set_new(design, "state_hash",
                        result->end == RUN_COMPLETE ? json_string(hash) : json_null());
    json_object_set_new(design, "seconds", json_real(result->seconds));
    json_object_set_new(design, "wall_seconds", json_real(result->wall_seconds));
    set_count(design, "checks", result->checks);
    json_object_set_new(design, "ops", operations(result));
    json_object_set_new(design, "faults", faults(result));
    json_object_set_new(design, "bytes", bytes(result));
    json_object_set_new(design, "rmap", reverse_map(&result->stats));
    json_object_set_new(design, "asked", asked(&result->asked));
    json_object_set_new(design, "reclaim", reclaim(&result->stats));
    json_object_set_new(design, "migration", migration(&result->stats));
    json_object_set_new(design, "entries", entries(&result->stats));
    json_object_set_new(design, "memory", memory(&result->stats));
    json_object_set_new(design, "caches", caches(result));
    json_object_set_new(design, "locks", locks(result));
    json_object_set_new(design, "series", series(&result->series));
    json_object_set_new(design, "refused", refused(result));
    json_object_set_new(design, "end", json_string(end_name(result->end)));
    json_object_set_new(design, "failure",
                        result->failure[0] ? json_string_nocheck(result->failure) : json_null());
    return design;
}

/* ---------------------------------------------------------------- the document */

json_t *report_document(json_t *trace, json_t *machine, json_t *designs) {
    return json_pack("{s:o, s:o, s:o}", "trace", trace, "machine", machine, "designs", designs);
}

void report_print_json(const json_t *document) {
    json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
}
