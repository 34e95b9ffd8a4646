/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * radix_test.c - the radix tree against a plain array of pairs, with indexes of every width, and
 * with a port that runs out of memory.
 */
#include "rig.h"

#include "harness/dice.h"

/* Only radix nodes are made here; objects' upcall is never made. */
void vm_object_unmap_from(struct vm_object *object, uint64_t first) {
    (void)object;
    (void)first;
    fail();
}

enum { PAIRS = 400, STEPS = 60000 };

struct shadow {
    uint64_t index[PAIRS];
    uintptr_t word[PAIRS];
    unsigned count;
};

static unsigned shadow_find(const struct shadow *shadow, uint64_t index) {
    unsigned i = 0;
    while (i < shadow->count && shadow->index[i] != index)
        i++;
    return i;
}

static uintptr_t shadow_get(const struct shadow *shadow, uint64_t index) {
    unsigned i = shadow_find(shadow, index);
    return i < shadow->count ? shadow->word[i] : 0;
}

static uintptr_t shadow_next(const struct shadow *shadow, uint64_t *index) {
    uint64_t best = UINT64_MAX;
    uintptr_t word = 0;
    for (unsigned i = 0; i < shadow->count; i++)
        if (shadow->index[i] >= *index && shadow->index[i] <= best) {
            best = shadow->index[i];
            word = shadow->word[i];
        }
    if (word)
        *index = best;
    return word;
}

static void shadow_set(struct shadow *shadow, uint64_t index, uintptr_t word) {
    unsigned i = shadow_find(shadow, index);
    if (i == shadow->count)
        shadow->index[shadow->count++] = index;
    shadow->word[i] = word;
}

static void shadow_remove(struct shadow *shadow, uint64_t index) {
    unsigned i = shadow_find(shadow, index);
    if (i < shadow->count) {
        shadow->count--;
        shadow->index[i] = shadow->index[shadow->count];
        shadow->word[i] = shadow->word[shadow->count];
    }
}

/* Widths from 0 to 64 bits alike, so that trees of every height come up; often one that is there,
 * or its neighbour. */
static uint64_t some_index(struct dice *random, const struct shadow *shadow) {
    if (shadow->count && dice_below(random, 2))
        return shadow->index[dice_below(random, shadow->count)] + dice_below(random, 3) - 1;
    uint64_t bits = dice_below(random, 65);
    uint64_t all = dice_roll(random);
    return bits == 0 ? 0 : all >> (64 - bits);
}

static void step(struct rig *rig, struct vm_radix *radix, struct shadow *shadow,
                 struct dice *random) {
    uint64_t index = some_index(random, shadow), next = index, expected = index;
    uintptr_t word = (uintptr_t)dice_roll(random) | 1;
    uintptr_t before = shadow_get(shadow, index);

    assert_int_equal(vm_radix_get(radix, index), before);
    switch (dice_below(random, 4)) {
    case 0:
    case 1:
        if (shadow->count == PAIRS && !before)
            break;
        assert_int_equal(vm_radix_reserve(rig->machine, radix, index), VM_OK);
        if (dice_below(random, 8) == 0 && !before) { /* the reserve is given back unused */
            assert_int_equal(vm_radix_remove(rig->machine, radix, index), 0);
            break;
        }
        assert_int_equal(vm_radix_put(radix, index, word), before);
        shadow_set(shadow, index, word);
        break;
    case 2:
        assert_int_equal(vm_radix_remove(rig->machine, radix, index), before);
        shadow_remove(shadow, index);
        break;
    default:
        assert_int_equal(vm_radix_next(radix, &next), shadow_next(shadow, &expected));
        assert_int_equal(next, expected);
    }
}

static void it_agrees_with_an_array(void **state) {
    (void)state;
    struct rig *rig = rig_create((struct rig_plan){ .frames = 64, .cpus = 1 });
    struct vm_radix radix = { 0 };
    static struct shadow shadow;
    struct dice random = { 1 };

    shadow.count = 0;
    for (int i = 0; i < STEPS; i++)
        step(rig, &radix, &shadow, &random);
    assert_true(shadow.count > PAIRS / 4);
    while (shadow.count) {
        assert_int_equal(vm_radix_remove(rig->machine, &radix, shadow.index[0]), shadow.word[0]);
        shadow_remove(&shadow, shadow.index[0]);
    }
    assert_null(radix.root);
    assert_int_equal(radix.height, 0);
    assert_int_equal(vm_cache_live(rig->machine->radix_cache), 0);
    rig_destroy(rig);
}

static void it_is_no_higher_than_needed(void **state) {
    (void)state;
    struct rig *rig = rig_create((struct rig_plan){ .frames = 64, .cpus = 1 });
    struct vm_machine *machine = rig->machine;
    struct vm_radix radix = { 0 };

    assert_int_equal(vm_radix_reserve(machine, &radix, 63), VM_OK);
    vm_radix_put(&radix, 63, 1);
    assert_int_equal(radix.height, 1);
    assert_int_equal(vm_radix_reserve(machine, &radix, 64), VM_OK);
    vm_radix_put(&radix, 64, 1);
    assert_int_equal(radix.height, 2);
    assert_int_equal(vm_radix_reserve(machine, &radix, UINT64_MAX), VM_OK);
    vm_radix_put(&radix, UINT64_MAX, 3);
    assert_int_equal(radix.height, 11);
    uint64_t index = 65;
    assert_int_equal(vm_radix_next(&radix, &index), 3);
    assert_int_equal(index, UINT64_MAX);
    vm_radix_remove(machine, &radix, UINT64_MAX);
    assert_int_equal(radix.height, 2);
    vm_radix_remove(machine, &radix, 64);
    assert_int_equal(radix.height, 1);
    assert_int_equal(vm_radix_remove(machine, &radix, 1 << 20), 0);
    assert_int_equal(vm_radix_remove(machine, &radix, 63), 1);
    assert_int_equal(vm_cache_live(machine->radix_cache), 0);
    rig_destroy(rig);
}

/* Memory comes in blocks of several nodes: so nodes are added until there is none. */
static void a_failed_reserve_changes_nothing(void **state) {
    (void)state;
    struct rig *rig = rig_create((struct rig_plan){ .frames = 64, .cpus = 1 });
    struct vm_machine *machine = rig->machine;
    struct vm_radix radix = { 0 };
    static struct shadow shadow;
    struct dice random = { 2 };
    unsigned failures = 0;

    shadow.count = 0;
    for (int i = 0; i < 20000; i++) {
        uint64_t index = some_index(&random, &shadow);
        if (shadow.count == PAIRS || dice_below(&random, 3) == 0) {
            assert_int_equal(vm_radix_remove(machine, &radix, index), shadow_get(&shadow, index));
            shadow_remove(&shadow, index);
            continue;
        }
        uint64_t live = vm_cache_live(machine->radix_cache);
        unsigned height = radix.height;
        failing_plan_set(&rig->memory.allocate, FAIL_FROM_THERE_ON, 0);
        int error = vm_radix_reserve(machine, &radix, index);
        failing_plan_set(&rig->memory.allocate, FAIL_NEVER, 0);
        if (error) {
            failures++;
            assert_int_equal(error, VM_ENOMEM);
            assert_int_equal(vm_cache_live(machine->radix_cache), live);
            assert_int_equal(radix.height, height);
            assert_int_equal(vm_radix_get(&radix, index), 0);
            assert_int_equal(vm_radix_reserve(machine, &radix, index), VM_OK);
        }
        vm_radix_put(&radix, index, (uintptr_t)index | 1);
        shadow_set(&shadow, index, (uintptr_t)index | 1);
    }
    assert_true(failures > 10);
    while (shadow.count) {
        assert_int_equal(vm_radix_remove(machine, &radix, shadow.index[0]), shadow.word[0]);
        shadow_remove(&shadow, shadow.index[0]);
    }
    assert_int_equal(vm_cache_live(machine->radix_cache), 0);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_an_array),
        cmocka_unit_test(it_is_no_higher_than_needed),
        cmocka_unit_test(a_failed_reserve_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
