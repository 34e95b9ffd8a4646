/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * source.c - bytes in: input (file or memory) -> decode (plain or zstd) -> hand over, directly or
 * through a ring of blocks that a decoding thread fills.
 *
 * The ring: `filled` and `drained` count blocks since the start and only grow; the decoder owns
 * block filled % BLOCKS until it counts it as filled, the reader owns it until it counts it as
 * drained. Both counters, `ended` and `stop` are under the mutex; blocks are not.
 */
#include "trace/source.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum { BLOCKS = 4, BLOCK_BYTES = 1 << 20, INPUT_BYTES = 1 << 17, MAGIC_BYTES = 4 };

struct block {
    size_t bytes, taken;
    char *data;
};

struct trace_source {
    /* input: only who decodes touches it */
    int fd; /* -1: memory */
    const char *memory;
    size_t memory_left;
    char *input;
    size_t input_bytes, input_taken;
    bool input_ended;
    ZSTD_DStream *zstd; /* NULL: plain */
    bool inside_frame;
    char error[160];
    atomic_uint_least64_t taken;
    uint64_t total;

    /* the decoding thread */
    bool threaded;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct block ring[BLOCKS];
    uint64_t filled, drained;
    int ended; /* 0: not yet; 1: the end; -1: an error */
    bool stop;
};

/* ---------------------------------------------------------------- input */

static int64_t input_read(struct trace_source *source, char *buffer, size_t capacity) {
    if (source->fd < 0) {
        size_t bytes = capacity < source->memory_left ? capacity : source->memory_left;
        memcpy(buffer, source->memory, bytes);
        source->memory += bytes;
        source->memory_left -= bytes;
        return (int64_t)bytes;
    }
    ssize_t bytes;
    do
        bytes = read(source->fd, buffer, capacity);
    while (bytes < 0 && errno == EINTR);
    if (bytes < 0)
        snprintf(source->error, sizeof(source->error), "cannot be read (%s), expected a trace",
                 strerror(errno));
    else
        atomic_fetch_add_explicit(&source->taken, (uint64_t)bytes, memory_order_relaxed);
    return bytes;
}

static bool input_refill(struct trace_source *source) {
    int64_t bytes = input_read(source, source->input, INPUT_BYTES);
    if (bytes < 0)
        return false;
    source->input_bytes = (size_t)bytes;
    source->input_taken = 0;
    source->input_ended = bytes == 0;
    return true;
}

/* A zstd frame or a frame to be skipped, which tools put before it. */
static bool is_zstd(const char *data, size_t bytes) {
    if (bytes < MAGIC_BYTES)
        return false;
    unsigned char head[MAGIC_BYTES];
    memcpy(head, data, MAGIC_BYTES);
    if ((head[0] & 0xf0) == 0x50 && head[1] == 0x2a && head[2] == 0x4d && head[3] == 0x18)
        return true;
    return head[0] == 0x28 && head[1] == 0xb5 && head[2] == 0x2f && head[3] == 0xfd;
}

/* Reads the first bytes and decides how to decode. A read error is told by the first decode. */
static bool input_begin(struct trace_source *source) {
    while (source->input_bytes < MAGIC_BYTES) {
        int64_t bytes = input_read(source, source->input + source->input_bytes,
                                   INPUT_BYTES - source->input_bytes);
        if (bytes <= 0)
            break;
        source->input_bytes += (size_t)bytes;
    }
    if (!is_zstd(source->input, source->input_bytes))
        return true;
    source->zstd = ZSTD_createDStream();
    return source->zstd != NULL;
}

/* ---------------------------------------------------------------- decode */

static int64_t decode_plain(struct trace_source *source, char *buffer, size_t capacity) {
    size_t left = source->input_bytes - source->input_taken;
    if (!left)
        return input_read(source, buffer, capacity);
    size_t bytes = left < capacity ? left : capacity;
    memcpy(buffer, source->input + source->input_taken, bytes);
    source->input_taken += bytes;
    return (int64_t)bytes;
}

static int64_t decode_failed(struct trace_source *source, const char *what) {
    snprintf(source->error, sizeof(source->error),
             "the zstd stream is damaged (%s), expected a complete one", what);
    return -1;
}

static int64_t decode_zstd(struct trace_source *source, char *buffer, size_t capacity) {
    ZSTD_outBuffer out = { buffer, capacity, 0 };
    while (out.pos < out.size) {
        if (source->input_taken == source->input_bytes && !source->input_ended &&
            !input_refill(source))
            return -1;
        ZSTD_inBuffer in = { source->input, source->input_bytes, source->input_taken };
        size_t before = out.pos;
        if (source->input_ended && !source->inside_frame)
            break;
        size_t result = ZSTD_decompressStream(source->zstd, &out, &in);
        source->input_taken = in.pos;
        if (ZSTD_isError(result))
            return decode_failed(source, ZSTD_getErrorName(result));
        source->inside_frame = result != 0;
        if (source->input_ended && source->inside_frame && out.pos == before)
            return decode_failed(source, "it ends early");
    }
    return (int64_t)out.pos;
}

static int64_t decode(struct trace_source *source, char *buffer, size_t capacity) {
    if (source->error[0])
        return -1;
    return source->zstd ? decode_zstd(source, buffer, capacity)
                        : decode_plain(source, buffer, capacity);
}

/* ---------------------------------------------------------------- the decoding thread */

static bool wait_for_room(struct trace_source *source) {
    pthread_mutex_lock(&source->mutex);
    while (!source->stop && source->filled - source->drained == BLOCKS)
        pthread_cond_wait(&source->changed, &source->mutex);
    bool go_on = !source->stop;
    pthread_mutex_unlock(&source->mutex);
    return go_on;
}

static void *decode_ahead(void *context) {
    struct trace_source *source = context;
    int ended = 0;
    while (!ended && wait_for_room(source)) {
        struct block *block = &source->ring[source->filled % BLOCKS];
        int64_t bytes = decode(source, block->data, BLOCK_BYTES);
        block->bytes = bytes > 0 ? (size_t)bytes : 0;
        block->taken = 0;
        ended = bytes > 0 ? 0 : bytes == 0 ? 1 : -1;
        pthread_mutex_lock(&source->mutex);
        source->filled += bytes > 0;
        source->ended = ended;
        pthread_cond_broadcast(&source->changed);
        pthread_mutex_unlock(&source->mutex);
    }
    return NULL;
}

/* Without memory or a thread for decoding ahead, decoding happens in trace_source_read(). */
static void start_decoder(struct trace_source *source) {
    for (int i = 0; i < BLOCKS; i++) {
        source->ring[i].data = malloc(BLOCK_BYTES);
        if (!source->ring[i].data)
            return;
    }
    source->threaded = pthread_create(&source->thread, NULL, decode_ahead, source) == 0;
}

static void stop_decoder(struct trace_source *source) {
    if (source->threaded) {
        pthread_mutex_lock(&source->mutex);
        source->stop = true;
        pthread_cond_broadcast(&source->changed);
        pthread_mutex_unlock(&source->mutex);
        pthread_join(source->thread, NULL);
    }
    for (int i = 0; i < BLOCKS; i++)
        free(source->ring[i].data);
}

/* The next block with bytes in it, or NULL: *ended tells why. */
static struct block *wait_for_block(struct trace_source *source, int *ended) {
    pthread_mutex_lock(&source->mutex);
    while (!source->ended && source->filled == source->drained)
        pthread_cond_wait(&source->changed, &source->mutex);
    bool any = source->filled != source->drained;
    *ended = source->ended;
    pthread_mutex_unlock(&source->mutex);
    return any ? &source->ring[source->drained % BLOCKS] : NULL;
}

static int64_t take_decoded(struct trace_source *source, char *buffer, size_t capacity) {
    int ended;
    struct block *block = wait_for_block(source, &ended);
    if (!block)
        return ended < 0 ? -1 : 0;
    size_t left = block->bytes - block->taken;
    size_t bytes = left < capacity ? left : capacity;
    memcpy(buffer, block->data + block->taken, bytes);
    block->taken += bytes;
    if (block->taken == block->bytes) {
        pthread_mutex_lock(&source->mutex);
        source->drained++;
        pthread_cond_broadcast(&source->changed);
        pthread_mutex_unlock(&source->mutex);
    }
    return (int64_t)bytes;
}

/* ---------------------------------------------------------------- interface */

static struct trace_source *source_create(int fd, const char *memory, size_t bytes) {
    struct trace_source *source = calloc(1, sizeof(*source));
    if (!source)
        return NULL;
    source->fd = fd;
    source->memory = memory;
    source->memory_left = bytes;
    source->total = bytes;
    pthread_mutex_init(&source->mutex, NULL);
    pthread_cond_init(&source->changed, NULL);
    source->input = malloc(INPUT_BYTES);
    if (source->input && input_begin(source))
        return source;
    source->fd = -1; /* stays the caller's */
    trace_source_close(source);
    errno = ENOMEM;
    return NULL;
}

struct trace_source *trace_source_descriptor(int fd) {
    struct stat status;
    struct trace_source *source = source_create(fd, NULL, 0);
    if (!source)
        return NULL;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        source->total = (uint64_t)status.st_size;
    if (source->zstd)
        start_decoder(source);
    return source;
}

struct trace_source *trace_source_open(const char *path) {
    bool standard_input = strcmp(path, "-") == 0;
    int fd = standard_input ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct trace_source *source = trace_source_descriptor(fd);
    if (!source)
        close(fd);
    return source;
}

struct trace_source *trace_source_memory(const void *data, size_t bytes) {
    return source_create(-1, data, bytes);
}

void trace_source_close(struct trace_source *source) {
    if (!source)
        return;
    stop_decoder(source);
    if (source->fd >= 0)
        close(source->fd);
    ZSTD_freeDStream(source->zstd);
    free(source->input);
    pthread_cond_destroy(&source->changed);
    pthread_mutex_destroy(&source->mutex);
    free(source);
}

int64_t trace_source_read(struct trace_source *source, char *buffer, size_t capacity) {
    return source->threaded ? take_decoded(source, buffer, capacity)
                            : decode(source, buffer, capacity);
}

const char *trace_source_error(const struct trace_source *source) {
    return source->error;
}

void trace_source_progress(const struct trace_source *source, uint64_t *taken, uint64_t *total) {
    *taken = atomic_load_explicit(&source->taken, memory_order_relaxed);
    *total = source->total;
}
