/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * write.c - see write.h.
 */
#include "workload/write.h"

#include <inttypes.h>

void map_anonymous(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t pages) {
    struct trace_area area = {
        .address = address,
        .length = pages * PAGE,
        .prot = VM_PROT_READ | VM_PROT_WRITE,
        .sharing = TRACE_PRIVATE,
    };
    trace_map(writer, pid, &area);
}

void map_object(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t pages,
                uint32_t object, uint64_t pgoff, enum mapping mapping) {
    struct trace_area area = {
        .address = address,
        .length = pages * PAGE,
        .pgoff = pgoff,
        .object = object,
        .prot =
            VM_PROT_READ | (unsigned)(mapping == PRIVATE_READ_EXEC ? VM_PROT_EXEC : VM_PROT_WRITE),
        .sharing = mapping == SHARED_READ_WRITE ? TRACE_SHARED : TRACE_PRIVATE,
    };
    trace_map(writer, pid, &area);
}

void read_pages(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t pages) {
    trace_touch(writer, pid, EVENT_READ, address, pages);
}

void write_pages(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t pages) {
    trace_touch(writer, pid, EVENT_WRITE, address, pages);
}

void ask(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t pages) {
    trace_note(writer, "ask", "%" PRIu32 " %" PRIx64 " %" PRIu64, pid, address, pages);
}

void ask_some(struct trace_writer *writer, uint32_t pid, uint64_t address, uint64_t pages,
              uint64_t samples) {
    uint64_t step = pages > samples ? pages / samples : 1;
    for (uint64_t page = 0; page < pages; page += step)
        ask(writer, pid, address + page * PAGE, 1);
}

struct draw draw_begin(uint64_t seed) {
    return (struct draw){ seed * UINT64_C(0x9e3779b97f4a7c15) + 1 };
}

/* xorshift64* */
uint64_t draw_below(struct draw *draw, uint64_t bound) {
    draw->state ^= draw->state >> 12;
    draw->state ^= draw->state << 25;
    draw->state ^= draw->state >> 27;
    return (draw->state * UINT64_C(0x2545f4914f6cdd1d) >> 33) % bound;
}

void leave(struct trace_writer *writer, uint32_t first, uint32_t count, enum leaving order) {
    for (uint32_t i = 0; i < count && order != NOBODY_LEAVES; i++)
        trace_exit(writer, order == OLDEST_FIRST ? first + i : first + count - 1 - i);
}
