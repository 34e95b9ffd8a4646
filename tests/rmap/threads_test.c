/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * threads_test.c - walks while others fork, fault, protect, unmap and exit on CPUs of their own. At
 * the end the machine is held against the oracle, and every record has been given back.
 */
#include "rig.h"

#include "harness/dice.h"
#include "harness/each_design.h"

#include <pthread.h>

#define AT      UINT64_C(0x200000)
#define OBJ     UINT64_C(0x8000000)
#define AWAY    UINT64_C(0x40000000)
#define PAGES   64
#define THREADS 4
#if defined(__SANITIZE_THREAD__)
#define ROUNDS 150 /* a hundred times slower */
#else
#define ROUNDS 1500
#endif

struct stage {
    struct vm_machine *machine;
    struct vm_object *object;
    struct vm_space *common; /* every thread forks it and writes to it */
};

struct actor {
    struct stage *stage;
    struct vm_space *own;
    unsigned cpu;
    struct dice dice;
    pthread_t thread;
};

static unsigned draw(struct actor *actor, unsigned below) {
    return (unsigned)dice_below(&actor->dice, below);
}

static void touch_one(struct actor *actor, struct vm_space *space, uint64_t start) {
    vm_touch(space, start + draw(actor, PAGES) * PAGE, 1, draw(actor, 2) ? VM_WRITE : VM_READ,
             NULL);
}

static void fork_and_exit(struct actor *actor) {
    struct vm_space *child, *parent = draw(actor, 2) ? actor->own : actor->stage->common;
    if (vm_fork(parent, actor->cpu * 1000 + 1, &child) != VM_OK)
        return;
    touch_one(actor, child, AT);
    touch_one(actor, child, OBJ);
    vm_exit(child);
}

/* Pages of the thread's own, which a child that is gone may have shared. */
static void move_to_and_fro(struct actor *actor) {
    uint64_t from = AT + draw(actor, PAGES / 2) * PAGE, result;
    unsigned flags = VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED;
    if (vm_mremap(actor->own, from, 8 * PAGE, 8 * PAGE, flags, AWAY, &result) == VM_OK)
        vm_mremap(actor->own, AWAY, 8 * PAGE, 8 * PAGE, flags, from, &result);
}

static void *act(void *context) {
    struct actor *actor = context;
    posix_cpu_set(actor->cpu);
    for (unsigned round = 0; round < ROUNDS; round++) {
        touch_one(actor, actor->own, AT);
        touch_one(actor, actor->own, OBJ);
        touch_one(actor, actor->stage->common, AT);
        switch (draw(actor, 8)) {
        case 0:
        case 1:
            fork_and_exit(actor);
            break;
        case 4:
            vm_reclaim(actor->stage->machine, 4);
            break;
        case 2:
            vm_madvise(actor->own, OBJ + draw(actor, PAGES / 2) * PAGE, 16 * PAGE,
                       VM_MADV_DONTNEED);
            break;
        case 3:
            vm_mprotect(actor->own, AT + draw(actor, PAGES / 2) * PAGE, 8 * PAGE,
                        draw(actor, 2) ? RW : VM_PROT_READ);
            break;
        case 5:
            move_to_and_fro(actor);
            break;
        default:
            vm_page_mappings(actor->stage->machine,
                             vm_frame_at(actor->stage->common, AT + draw(actor, PAGES) * PAGE),
                             NULL, NULL);
            vm_page_mappings(actor->stage->machine,
                             vm_frame_at(actor->own, OBJ + draw(actor, PAGES) * PAGE), NULL, NULL);
        }
    }
    vm_exit(actor->own);
    return NULL;
}

static struct vm_space *space_with_both(struct rig *rig, uint64_t id, struct vm_object *object) {
    struct vm_space *space = rig_space(rig, id);
    rig_map(space, AT, PAGES, NULL);
    rig_map(space, OBJ, PAGES, object);
    return space;
}

static void count_records(const struct vm_cache_view *cache, void *context) {
    if (cache->cost == VM_COST_RMAP)
        *(uint64_t *)context += cache->live;
}

static uint64_t rmap_records(struct rig *rig) {
    uint64_t live = 0;
    vm_cache_each(rig->machine, count_records, &live);
    return live;
}

static void walks_meet_everything(void **state) {
    const char *design = *state;
    struct rig *rig = rig_create_cpus(design, 32768, THREADS + 1);
    struct stage stage = { .machine = rig->machine };
    struct actor actors[THREADS];

    assert_int_equal(vm_object_create_shm(rig->machine, PAGES * PAGE, 1, &stage.object), VM_OK);
    stage.common = space_with_both(rig, 1, stage.object);
    rig_touch(stage.common, AT, PAGES);
    for (unsigned i = 0; i < THREADS; i++) {
        actors[i] = (struct actor){ .stage = &stage, .cpu = i + 1, .dice = { 77 * i } };
        actors[i].own = space_with_both(rig, 1000 * (i + 1), stage.object);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&actors[i].thread, NULL, act, &actors[i]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(actors[i].thread, NULL);

    rig_verify(rig);
    assert_true(rig_stats(rig).rmap.walks > ROUNDS);
    vm_exit(stage.common);
    vm_object_put(stage.object);
    assert_int_equal(rmap_records(rig), 0);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_EACH_DESIGN(walks_meet_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
