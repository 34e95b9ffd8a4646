/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * each_design.h - a cmocka test for each of the ten designs; it finds the design's name in *state.
 */
#ifndef TESTS_HARNESS_EACH_DESIGN_H
#define TESTS_HARNESS_EACH_DESIGN_H

#include <stdint.h>

#define ON_DESIGN(test, design)                                                                    \
    { #test " " design, test, NULL, NULL, (void *)(uintptr_t)design }

/* In an array of struct CMUnitTest. */
#define ON_EACH_DESIGN(test)                                                                       \
    ON_DESIGN(test, "virtual-scan"), ON_DESIGN(test, "pte-chain-list"),                            \
        ON_DESIGN(test, "pte-chain-direct"), ON_DESIGN(test, "pte-chain"),                         \
        ON_DESIGN(test, "shadow"), ON_DESIGN(test, "objrmap-partial"), ON_DESIGN(test, "anonmm"),  \
        ON_DESIGN(test, "anon-vma-direct"), ON_DESIGN(test, "anon-vma"),                           \
        ON_DESIGN(test, "anon-vma-chain")

#endif
