/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stage.h - a machine of two nodes, its design one of those built in, and words in its programs' pages.
 */
#ifndef OBJRMAP_TESTS_MIGRATION_STAGE_H
#define OBJRMAP_TESTS_MIGRATION_STAGE_H

#include "rmap/rig.h"

#include "port/posix/failing.h"

#include "vm/object/swap.h"
#include "vm/reclaim/reclaim.h"

#define AT    UINT64_C(0x200000)
#define OTHER UINT64_C(0x7fff0000)
#define R     VM_PROT_READ

enum { FRAMES = 1024, DESIGNS_MOST = 32 };

struct stage {
    struct posix_port posix;
    struct failing_port port;
    struct failing_backing swap;
    struct vm_machine *machine;
    const char *design;
};

static inline void stage_open_as(struct stage *stage, struct vm_machine_config plan) {
    *stage = (struct stage){ .design = plan.design };
    posix_port_init(&stage->posix, plan.cpus ? plan.cpus : 1);
    failing_port_init(&stage->port, &stage->posix.port);
    failing_backing_init(&stage->swap, posix_memory_open(4096 * PAGE));
    plan.port = &stage->port.port;
    plan.frames = plan.frames ? plan.frames : FRAMES;
    plan.nodes = plan.nodes ? plan.nodes : 2;
    plan.swap = &stage->swap.backing;
    plan.swap_pages = plan.swap_pages ? plan.swap_pages : 4096;
    const char *why = NULL;
    if (vm_machine_create(&plan, &stage->machine, &why) != VM_OK)
        fail_msg("no machine: %s", why ? why : "no memory");
}

static inline void stage_check(struct stage *stage) {
    assert_int_equal(vm_verify(stage->machine, rig_print, NULL), 0);
}

static inline void count_records(const struct vm_cache_view *cache, void *context) {
    if (cache->cost == VM_COST_RMAP)
        *(uint64_t *)context += cache->live;
}

static inline struct vm_stats stage_stats(struct stage *stage) {
    struct vm_stats stats;

    vm_stats_read(stage->machine, &stats);
    return stats;
}

/* => all spaces have ended, all objects are let go of: every frame, slot and record is back */
static inline void stage_close(struct stage *stage) {
    struct vm_stats stats = stage_stats(stage);
    uint64_t records = 0;

    stage_check(stage);
    vm_cache_each(stage->machine, count_records, &records);
    assert_int_equal(records, 0);
    assert_int_equal(stats.memory.anonymous, 0);
    assert_int_equal(stats.memory.file, 0);
    assert_int_equal(stats.memory.shm, 0);
    assert_int_equal(stats.memory.swap_used, 0);
    assert_int_equal(stats.memory.frames_free, stats.memory.frames_total - 1); /* the zero page */
    vm_machine_destroy(stage->machine);
    stage->swap.backing.close(&stage->swap.backing);
}

static inline struct vm_space *new_space(struct stage *stage, uint64_t id) {
    struct vm_space *space;

    assert_int_equal(vm_space_create(stage->machine, id, &space), VM_OK);
    return space;
}

static inline void map(struct vm_space *space, uint64_t address, uint64_t pages,
                       unsigned protection, unsigned flags, struct vm_object *object,
                       uint64_t pgoff) {
    uint64_t result;

    assert_int_equal(vm_mmap(space, address, pages * PAGE, protection, flags | VM_MAP_FIXED, object,
                             pgoff, &result),
                     VM_OK);
}

static inline void put_word(struct vm_space *space, uint64_t address, uint64_t word) {
    assert_int_equal(vm_write(space, address, &word, sizeof word), VM_OK);
}

static inline uint64_t get_word(struct vm_space *space, uint64_t address) {
    uint64_t word = 0;

    assert_int_equal(vm_read(space, address, &word, sizeof word), VM_OK);
    return word;
}

static inline void put_words(struct vm_space *space, uint64_t address, uint64_t pages,
                             uint64_t first) {
    for (uint64_t i = 0; i < pages; i++)
        put_word(space, address + i * PAGE, first + i);
}

static inline void expect_words(struct vm_space *space, uint64_t address, uint64_t pages,
                                uint64_t first) {
    for (uint64_t i = 0; i < pages; i++)
        assert_int_equal(get_word(space, address + i * PAGE), first + i);
}

static inline struct vm_page *page_at(struct vm_space *space, uint64_t address) {
    uint64_t frame = vm_frame_at(space, address);

    assert_int_not_equal(frame, VM_NO_FRAME);
    return vm_page_of(space->machine, frame);
}

/* The entry's bits, all but the frame. */
static inline vm_pte bits_at(struct vm_space *space, uint64_t address) {
    struct vm_leaf leaf;

    assert_true(vm_table_find(space->machine, space->root, address, &leaf));
    return vm_pte_read(&leaf.entries[vm_table_index(address, 0)]) & ~VM_PTE_FRAME_MASK;
}

/* ---------------------------------------------------------------- every design */

static const char *designs[DESIGNS_MOST];
static size_t design_count;

static inline void note_design(const struct vm_design_info *info, void *context) {
    (void)context;
    assert_true(design_count < DESIGNS_MOST);
    designs[design_count++] = info->name;
}

/* Runs the test that *state names on one machine after the other. */
typedef void stage_test(struct stage *stage);

static inline void on_every_design(void **state) {
    stage_test *test = *(stage_test **)*state;

    for (size_t i = 0; i < design_count; i++) {
        struct stage stage;
        print_message("    %s\n", designs[i]);
        stage_open_as(&stage, (struct vm_machine_config){ .design = designs[i] });
        test(&stage);
        stage_close(&stage);
    }
}

#define ON_EVERY_DESIGN(name)                                                                      \
    {                                                                                              \
#name, on_every_design, NULL, NULL, &(stage_test *) {                                      \
            name                                                                                   \
        }                                                                                          \
    }

#endif
