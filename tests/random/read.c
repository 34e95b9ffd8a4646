/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * read.c - reads back a sequence that was printed as a trace, from its comment lines.
 */
#include "plan.h"

#include <string.h>

static bool read_line(char *line, struct plan *plan, struct sequence *sequence) {
    struct random_op op;
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "# machine ", 10) == 0)
        return plan_parse(line + 10, plan);
    if (strncmp(line, "# op ", 5) != 0)
        return true;
    if (!op_parse(line + 5, &op))
        return false;
    sequence_add(sequence, &op);
    return true;
}

bool sequence_read(const char *path, struct plan *plan, struct sequence *sequence) {
    char line[1000];
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        return false;
    }
    bool good = true;
    for (unsigned number = 1; good && fgets(line, sizeof(line), file); number++) {
        good = read_line(line, plan, sequence);
        if (!good)
            fprintf(stderr, "%s:%u: \"%s\" is no op or no machine\n", path, number, line);
    }
    fclose(file);
    if (good && !plan->frames)
        fprintf(stderr, "%s: there is no line \"# machine frames=...\"\n", path);
    return good && plan->frames;
}
