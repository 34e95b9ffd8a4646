/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * To be preloaded into any program: marks its maps when it begins and when it exits.
 */
#include "maps_mark.h"

static int prepared;

__attribute__((constructor)) static void begin(void) {
    prepared = maps_prepare() == 0 && maps_mark() == 0;
}

__attribute__((destructor)) static void end(void) {
    if (prepared)
        maps_mark();
}
