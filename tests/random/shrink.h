/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shrink.h - makes a failing sequence small: steps are left out and numbers made smaller as long as
 * whoever asks finds that it fails alike.
 */
#ifndef TESTS_RANDOM_SHRINK_H
#define TESTS_RANDOM_SHRINK_H

#include "op.h"

typedef bool sequence_fails(const struct sequence *sequence, void *context);

/* One round over all steps and numbers; false when nothing could be left out or made smaller. */
bool sequence_shrink(struct sequence *sequence, sequence_fails *fails, void *context);

#endif
