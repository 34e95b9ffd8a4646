/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * library.h - a machine of the library that plays a program.
 */
#ifndef TESTS_JUDGE_LIBRARY_H
#define TESTS_JUDGE_LIBRARY_H

#include "stage.h"

#include <objrmap/posix.h>
#include <objrmap/vm.h>

struct library {
    struct posix_port posix;
    struct vm_backing *swap;
    struct vm_machine *machine;
    struct vm_space *spaces[PROCESS_SLOTS];
    struct vm_object *objects[JUDGED_OBJECTS + 1];
    struct vm_backing *files[JUDGED_OBJECTS + 1]; /* NULL: shared memory */
    struct outcome outcomes[STEPS_MOST];
};

/* What a machine may have of its own without a program noticing. */
struct library_kind {
    const char *design;
    enum vm_fork_copy fork_copy;
    enum vm_nonlinear nonlinear;
    uint64_t frames;
};

bool library_begin(struct library *library, const struct library_kind *kind);

/* Ends all processes. The text of what is left over or broken, or NULL. */
const char *library_end(struct library *library);

/* Plays one step of the stage's program. */
void library_play(struct library *library, const struct stage *stage, uint32_t step);

/* Whether the range is mapped, and by areas that differ in nothing. */
bool library_shows_one_area(struct library *library, uint64_t process, uint64_t start,
                            uint64_t end);

/* What mremap() named is unmapped, since the kernel refused it. */
void library_forgo_move(struct library *library, const struct random_op *op);

#endif
