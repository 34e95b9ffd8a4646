/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world.h - a machine with swap and one space, and drawings of what is mapped in a window of it.
 *
 * A drawing has a letter a page: r w x n for readable, readable and writable, executable, nothing
 * allowed; a capital letter for a shared mapping; '.' where nothing is mapped; '|' between
 * neighbours that are two areas.
 */
#ifndef TESTS_SPACE_WORLD_H
#define TESTS_SPACE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <objrmap/posix.h>
#include <objrmap/rmap.h>
#include <objrmap/stats.h>
#include <objrmap/vm.h>

#include "vm/space/space.h"

#define WINDOW   UINT64_C(0x10000000)
#define AT(page) (WINDOW + (uint64_t)(page)*VM_PAGE_SIZE)
#define PAGES(n) ((uint64_t)(n)*VM_PAGE_SIZE)
#define NONE     VM_PROT_NONE
#define R        VM_PROT_READ
#define RW       (VM_PROT_READ | VM_PROT_WRITE)
#define RX       (VM_PROT_READ | VM_PROT_EXEC)
#define PRIVATE  (VM_MAP_PRIVATE | VM_MAP_FIXED)
#define SHARED   (VM_MAP_SHARED | VM_MAP_FIXED)

struct world {
    struct posix_port posix;
    struct vm_backing *swap;
    struct vm_machine *machine;
    struct vm_space *space;
};

static inline void print_difference(const char *difference, void *context) {
    (void)context;
    print_message("%s\n", difference);
}

/* Everything is in order. Called after each step that matters. */
static inline void check_world(struct world *world) {
    assert_int_equal(vm_space_check(world->space), 0);
    assert_int_equal(vm_verify(world->machine, print_difference, NULL), 0);
}

static inline void begin_world(struct world *world, struct vm_machine_config config) {
    posix_port_init(&world->posix, 1);
    world->swap = posix_memory_open(PAGES(1024));
    assert_non_null(world->swap);
    config.port = &world->posix.port;
    if (!config.frames)
        config.frames = 2048;
    config.swap = world->swap;
    config.swap_pages = 1024;
    assert_int_equal(vm_machine_create(&config, &world->machine, NULL), VM_OK);
    assert_int_equal(vm_space_create(world->machine, 1, &world->space), VM_OK);
}

/* Nothing is left over when the space has gone. */
static inline void end_world(struct world *world) {
    struct vm_stats stats;

    check_world(world);
    vm_exit(world->space);
    vm_stats_read(world->machine, &stats);
    assert_int_equal(stats.memory.areas, 0);
    assert_int_equal(stats.memory.anonymous, 0);
    assert_int_equal(stats.memory.swap_used, 0);
    assert_int_equal(stats.memory.locked, 0);
    assert_int_equal(stats.memory.tables, 0);
    vm_machine_destroy(world->machine);
    world->swap->close(world->swap);
}

static inline int set_up_world(void **state) {
    begin_world(*state, (struct vm_machine_config){ 0 });
    return 0;
}

static inline int tear_down_world(void **state) {
    end_world(*state);
    return 0;
}

/* For tests to which any machine will do. */
#define test_in_world(name, world)                                                                 \
    cmocka_unit_test_prestate_setup_teardown(name, set_up_world, tear_down_world, world)

/* ---------------------------------------------------------------- drawings */

struct drawing {
    char *out;
    unsigned pages;
    uint64_t position; /* drawn up to here */
};

static inline char letter_of(const struct vm_area_view *area) {
    static const char letters[8] = { 'n', 'r', 'w', 'w', 'x', 'x', 'x', 'x' };
    char letter = letters[area->protection];
    return (char)(area->shared ? letter - 'a' + 'A' : letter);
}

static inline bool draw_area(const struct vm_area_view *area, void *context) {
    struct drawing *drawing = context;

    if (area->end <= WINDOW || area->start >= AT(drawing->pages))
        return true;
    if (area->start == drawing->position && area->start > WINDOW)
        *drawing->out++ = '|';
    for (; drawing->position < area->start; drawing->position += VM_PAGE_SIZE)
        *drawing->out++ = '.';
    for (; drawing->position < area->end && drawing->position < AT(drawing->pages);
         drawing->position += VM_PAGE_SIZE)
        *drawing->out++ = letter_of(area);
    return true;
}

static inline void draw(struct vm_space *space, unsigned pages, char *out) {
    struct drawing drawing = { out, pages, WINDOW };

    vm_area_each(space, draw_area, &drawing);
    for (; drawing.position < AT(pages); drawing.position += VM_PAGE_SIZE)
        *drawing.out++ = '.';
    *drawing.out = 0;
}

static inline unsigned pages_of_drawing(const char *text) {
    unsigned pages = 0;
    for (; *text; text++)
        pages += *text != '|';
    return pages;
}

static inline void expect_drawing_(struct world *world, const char *expected, const char *file,
                                   int line) {
    char drawn[512];

    draw(world->space, pages_of_drawing(expected), drawn);
    _assert_string_equal(drawn, expected, file, line);
    check_world(world);
}
#define expect_drawing(world, expected) expect_drawing_(world, expected, __FILE__, __LINE__)

static inline void expect_(int got, int expected, const char *file, int line) {
    if (got != expected) {
        print_error("%s:%d: got %s, expected %s\n", file, line, vm_result_text(got),
                    vm_result_text(expected));
        _fail(file, line);
    }
}
#define expect(got, expected) expect_(got, expected, __FILE__, __LINE__)
#define succeeds(call)        expect(call, VM_OK)

/* ---------------------------------------------------------------- shorthand; pages of the window */

static inline void map_pages_(struct world *world, unsigned page, unsigned count,
                              unsigned protection, unsigned flags, struct vm_object *object,
                              uint64_t pgoff) {
    uint64_t at;
    succeeds(vm_mmap(world->space, AT(page), PAGES(count), protection, flags, object, pgoff, &at));
    assert_int_equal(at, AT(page));
}

static inline void map_private(struct world *world, unsigned page, unsigned count,
                               unsigned protection) {
    map_pages_(world, page, count, protection, PRIVATE, NULL, 0);
}

/* Maps private areas as drawn. */
static inline void map_drawing(struct world *world, const char *text) {
    unsigned page = 0;

    while (*text) {
        unsigned count = 0;
        char letter = *text;
        for (; *text == letter; text++)
            count++;
        if (letter == '|')
            continue;
        if (letter != '.')
            map_private(world, page, count,
                        letter == 'w'   ? RW
                        : letter == 'r' ? R
                        : letter == 'x' ? RX
                                        : NONE);
        page += count;
    }
}

static inline void fill(struct world *world, unsigned page, unsigned count, unsigned seed) {
    for (unsigned i = 0; i < count; i++) {
        uint32_t value = seed + i;
        succeeds(vm_write(world->space, AT(page + i) + 8, &value, sizeof value));
    }
}

static inline uint32_t value_at(struct world *world, unsigned page) {
    uint32_t value = 0;
    succeeds(vm_peek(world->space, AT(page) + 8, &value, sizeof value));
    return value;
}

static inline void expect_filled_(struct world *world, unsigned page, unsigned count, unsigned seed,
                                  const char *file, int line) {
    for (unsigned i = 0; i < count; i++)
        _assert_int_equal(value_at(world, page + i), seed + i, file, line);
}
#define expect_filled(world, page, count, seed)                                                    \
    expect_filled_(world, page, count, seed, __FILE__, __LINE__)

#endif
