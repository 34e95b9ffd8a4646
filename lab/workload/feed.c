/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * feed.c - a workload as a trace to be read, without a file: a thread writes it into a pipe.
 *
 * The thread is never waited for. A reader that stops early closes its end; the writer's next write
 * then fails, and it runs to its end writing nothing.
 */
#include "workload/workload.h"

#include "command.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct feed {
    struct workload_plan plan;
    struct trace_writer *writer;
};

static void *write_into_pipe(void *context) {
    struct feed *feed = context;
    workload_write(feed->writer, &feed->plan);
    trace_writer_close(feed->writer); /* a failure is the reader's, who sees a trace cut short */
    free(feed);
    return NULL;
}

/* With SIGPIPE blocked, which the thread inherits: a write to a closed pipe is an error like others. */
static int start_writing(struct feed *feed) {
    sigset_t pipe_signal, before;
    pthread_t thread;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    int error = pthread_create(&thread, NULL, write_into_pipe, feed);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error)
        pthread_detach(thread);
    return error;
}

static struct trace_reader *cannot_feed(const char *text, int error) {
    complain("cannot run the workload %s: %s", text, strerror(error));
    return NULL;
}

/* The writer goes first: a reader begins by reading. */
struct trace_reader *workload_open(const struct workload_plan *plan) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return cannot_feed(plan->text, errno);
    struct feed *feed = new_array(1, sizeof(*feed));
    feed->plan = *plan;
    feed->writer = trace_writer_open_descriptor(ends[1], TRACE_PLAIN);
    int error = feed->writer ? start_writing(feed) : ENOMEM;
    if (!error) {
        struct trace_reader *reader = trace_open_descriptor(ends[0], plan->text);
        return reader ? reader : cannot_feed(plan->text, ENOMEM);
    }
    close(ends[0]);
    if (feed->writer)
        trace_writer_close(feed->writer);
    else
        close(ends[1]);
    free(feed);
    return cannot_feed(plan->text, error);
}
