/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * each_machine.h - a cmocka test that is run for every design there is, on a machine of one CPU and on
 * one of two.
 */
#ifndef TESTS_HARNESS_EACH_MACHINE_H
#define TESTS_HARNESS_EACH_MACHINE_H

#include <objrmap/rmap.h>
#include <objrmap/vm.h>

#include <stdint.h>

/* The plan has a design, CPUs and 1024 frames. */
typedef void machine_test(struct vm_machine_config plan);

static inline void machine_test_on_design(const struct vm_design_info *design, void *context) {
    for (unsigned cpus = 1; cpus <= 2; cpus++)
        (*(machine_test **)context)(
            (struct vm_machine_config){ .design = design->name, .frames = 1024, .cpus = cpus });
}

static inline void machine_test_on_all(void **state) {
    machine_test *test = (machine_test *)(uintptr_t)*state;
    vm_design_each(machine_test_on_design, &test);
}

/* In an array of struct CMUnitTest. */
#define ON_EACH_MACHINE(test)                                                                      \
    { #test, machine_test_on_all, NULL, NULL, (void *)(uintptr_t)(test) }

#endif
