/* SPDX-License-Identifier: BSD-2-Clause */
/* beside.c - questions and answers through pipes; memory and children of the real kernel. */
#include "support/beside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/samples.h"

enum { PAGE = 4096 };

_Noreturn void give_up(const char *tried) {
    fprintf(stderr, "objrmap: %s: %s; try again on a machine with more to spare\n", tried,
            strerror(errno));
    exit(1);
}

static void serve(int questions, int answers, beside_work *work) {
    struct beside_question question;

    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    while (read(questions, &question, sizeof(question)) == sizeof(question)) {
        struct beside_answer answer = work(question);
        if (write(answers, &answer, sizeof(answer)) != sizeof(answer))
            break;
    }
    _exit(0);
}

void beside_start(struct beside *beside, beside_work *work) {
    int questions[2], answers[2];

    if (pipe(questions) || pipe(answers))
        give_up("making a pipe");
    fflush(NULL);
    beside->process = fork();
    if (beside->process < 0)
        give_up("forking");
    if (beside->process == 0) {
        close(questions[1]);
        close(answers[0]);
        serve(questions[0], answers[1], work);
    }
    close(questions[0]);
    close(answers[1]);
    beside->questions = questions[1];
    beside->answers = answers[0];
}

struct beside_answer beside_ask(struct beside *beside, unsigned operation, uint64_t pages) {
    struct beside_question question = { operation, pages };
    struct beside_answer answer;

    if (write(beside->questions, &question, sizeof(question)) != sizeof(question) ||
        read(beside->answers, &answer, sizeof(answer)) != sizeof(answer))
        give_up("asking the process that measures the kernel");
    return answer;
}

void beside_end(struct beside *beside) {
    close(beside->questions);
    close(beside->answers);
    waitpid(beside->process, NULL, 0);
}

char *kernel_map(uint64_t pages) {
    if (pages == 0)
        return NULL;
    void *memory =
        mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        give_up("mapping memory");
    madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
    return memory;
}

void kernel_unmap(char *memory, uint64_t pages) {
    if (pages)
        munmap(memory, pages * PAGE);
}

void kernel_write_pages(char *memory, uint64_t pages) {
    for (uint64_t i = 0; i < pages; i++)
        ((volatile char *)memory)[i * PAGE] = 1;
}

void kernel_read_pages(const char *memory, uint64_t pages) {
    for (uint64_t i = 0; i < pages; i++)
        (void)((const volatile char *)memory)[i * PAGE];
}

/* The child says when it stands at the gate, so that its start is not taken for its exit. */
struct waiting_child kernel_fork(void) {
    struct waiting_child child;
    int gate[2], arrived[2];
    char byte = 0;

    if (pipe(gate) || pipe(arrived))
        give_up("making a pipe");
    uint64_t before = nanoseconds();
    child.process = fork();
    if (child.process == 0) {
        if (write(arrived[1], &byte, 1) != 1 || read(gate[0], &byte, 1) != 1)
            _exit(1);
        _exit(0);
    }
    child.fork_ns = (double)(nanoseconds() - before);
    if (child.process < 0)
        give_up("forking");
    if (read(arrived[0], &byte, 1) != 1)
        give_up("waiting for a child");
    close(gate[0]);
    close(arrived[0]);
    close(arrived[1]);
    child.gate = gate[1];
    return child;
}

double kernel_child_exit(struct waiting_child *child) {
    char byte = 0;
    uint64_t before = nanoseconds();

    if (write(child->gate, &byte, 1) != 1 || waitpid(child->process, NULL, 0) < 0)
        give_up("ending a child");
    double ns = (double)(nanoseconds() - before);
    close(child->gate);
    return ns;
}
