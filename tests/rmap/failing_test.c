/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * failing_test.c - no memory for a record: areas, spaces, and what the design keeps, each after any
 * number of successes, in a life with forks, splits, merges, moves and exec. The reverse map must be
 * right all along, and afterwards every record be given back: what a fork had linked before it failed
 * is unlinked, and nothing else (bug catalogue 26).
 *
 * Caches take records from the port many at a time. So all records a cache has are taken away from
 * it, but n, and then the port has no more.
 */
#include "rig.h"

#include "port/posix/failing.h"

#define AT    UINT64_C(0x200000)
#define TO    UINT64_C(0x40000000)
#define AREAS 6

struct stage {
    struct rig rig;
    struct failing_port failing;
    struct vm_cache *cache; /* the one with n records */
    void *taken;            /* from it; each begins with the next one's address */
    uint64_t refused;       /* calls */
};

/* The designs tested here keep one kind of record, and name its cache first of all. */
static struct vm_cache *design_cache(const struct vm_machine *machine) {
    return *(struct vm_cache **)machine->design_data;
}

static void stage_open(struct stage *stage, const char *design) {
    *stage = (struct stage){ 0 };
    posix_port_init(&stage->rig.posix, 1);
    failing_port_init(&stage->failing, &stage->rig.posix.port);
    stage->rig.swap = posix_memory_open(1024 * PAGE);
    struct vm_machine_config config = { .port = &stage->failing.port,
                                        .frames = 512,
                                        .design = design,
                                        .swap = stage->rig.swap,
                                        .swap_pages = 1024 };
    assert_int_equal(vm_machine_create(&config, &stage->rig.machine, NULL), VM_OK);
}

static void stage_close(struct stage *stage) {
    vm_machine_destroy(stage->rig.machine);
    stage->rig.swap->close(stage->rig.swap);
}

enum kind { AREA_RECORDS, SPACE_RECORDS, DESIGN_RECORDS, KINDS };

static struct vm_cache *cache_of(const struct vm_machine *machine, enum kind kind) {
    return kind == AREA_RECORDS    ? machine->area_cache
           : kind == SPACE_RECORDS ? machine->space_cache
                                   : design_cache(machine);
}

/* One block of records, which the others need no more than. */
static void warm_up(struct vm_machine *machine, struct vm_cache *cache) {
    vm_cache_free(machine, cache, vm_cache_allocate(machine, cache));
}

/* Takes what the cache has, and gives n records back to it. Returns how many it had. */
static uint64_t leave(struct stage *stage, uint64_t n) {
    struct vm_machine *machine = stage->rig.machine;
    uint64_t had = 0;
    void *record;

    failing_plan_set(&stage->failing.allocate, FAIL_FROM_THERE_ON, 0);
    for (; (record = vm_cache_allocate(machine, stage->cache)); had++) {
        *(void **)record = stage->taken;
        stage->taken = record;
    }
    while (n-- && (record = stage->taken)) {
        stage->taken = *(void **)record;
        vm_cache_free(machine, stage->cache, record);
    }
    return had;
}

static void no_more_from_the_port(struct stage *stage, enum kind kind, uint64_t n) {
    for (enum kind k = 0; k < KINDS; k++)
        warm_up(stage->rig.machine, cache_of(stage->rig.machine, k));
    stage->cache = cache_of(stage->rig.machine, kind);
    leave(stage, n);
}

static void memory_again(struct stage *stage) {
    failing_plan_set(&stage->failing.allocate, FAIL_NEVER, 0);
    while (stage->taken) {
        void *record = stage->taken;
        stage->taken = *(void **)record;
        vm_cache_free(stage->rig.machine, stage->cache, record);
    }
}

/* Verifying needs memory of its own, and counts records. */
static void verify(struct stage *stage) {
    uint64_t had = leave(stage, 0);

    memory_again(stage);
    assert_int_equal(vm_verify(stage->rig.machine, rig_print, NULL), 0);
    leave(stage, had);
}

static void may_fail(struct stage *stage, int result) {
    if (result == VM_OK)
        return;
    assert_true(result == VM_ENOMEM || result == VM_OOM || result == VM_SIGSEGV ||
                result == VM_EFAULT);
    stage->refused++;
}

static void change(struct stage *stage, struct vm_space *space, unsigned first) {
    uint64_t result;

    for (unsigned i = first; i < AREAS; i += 3) {
        uint64_t start = AT + 8 * i * PAGE;
        may_fail(stage, vm_touch(space, start + PAGE, 3, VM_WRITE, NULL));
        may_fail(stage, vm_mprotect(space, start + PAGE, 2 * PAGE, VM_PROT_READ));
        may_fail(stage, vm_mremap(space, start, 4 * PAGE, 4 * PAGE,
                                  VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, TO + 8 * i * PAGE, &result));
        may_fail(stage, vm_mprotect(space, TO + 8 * i * PAGE, 4 * PAGE, RW));
    }
}

static void live(struct stage *stage, struct vm_space *parent) {
    struct vm_space *child[2] = { NULL };
    uint64_t result;

    for (unsigned i = 0; i < AREAS; i++) {
        may_fail(stage, vm_mmap(parent, AT + 8 * i * PAGE, 6 * PAGE, RW,
                                VM_MAP_PRIVATE | VM_MAP_FIXED, NULL, 0, &result));
        may_fail(stage, vm_touch(parent, AT + 8 * i * PAGE, 4, VM_WRITE, NULL));
    }
    for (unsigned c = 0; c < 2; c++) {
        int error = vm_fork(parent, c + 2, &child[c]);
        may_fail(stage, error);
        if (error)
            child[c] = NULL;
        verify(stage);
        change(stage, error ? parent : child[c], c);
        verify(stage);
    }
    vm_reclaim(stage->rig.machine, 100);
    if (child[1])
        may_fail(stage, vm_exec(child[1]));
    change(stage, parent, 2);
    verify(stage);
    for (unsigned c = 0; c < 2; c++)
        if (child[c])
            vm_exit(child[c]);
}

/* Returns how many calls were refused. */
static uint64_t live_with(const char *design, enum kind kind, uint64_t n) {
    struct stage stage;
    struct vm_space *parent;

    stage_open(&stage, design);
    struct vm_machine *machine = stage.rig.machine;
    assert_int_equal(vm_space_create(machine, 1, &parent), VM_OK);
    no_more_from_the_port(&stage, kind, n);
    live(&stage, parent);
    memory_again(&stage);
    vm_exit(parent);
    for (enum kind k = 0; k < KINDS; k++)
        assert_int_equal(vm_cache_live(cache_of(machine, k)), 0);
    stage_close(&stage);
    return stage.refused;
}

static void no_record_is_lost(void **state) {
    const char *design = *state;

    for (enum kind kind = 0; kind < KINDS; kind++) {
        uint64_t refused = live_with(design, kind, 0), n = 1;
        assert_true(refused > 0);
        while (refused > 0 && n < 200)
            refused = live_with(design, kind, n++);
        assert_int_equal(refused, 0); /* at last there was enough */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        { "no_record_is_lost anonmm", no_record_is_lost, NULL, NULL, (void *)(uintptr_t) "anonmm" },
        { "no_record_is_lost anon-vma-direct", no_record_is_lost, NULL, NULL,
          (void *)(uintptr_t) "anon-vma-direct" },
        { "no_record_is_lost anon-vma", no_record_is_lost, NULL, NULL,
          (void *)(uintptr_t) "anon-vma" },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
