/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening the events and merging the rings.
 *
 * On each CPU a dummy event carries the side-band records (mappings, exec, fork, exit) and owns the
 * ring; every tracepoint's event writes into that same ring. A record is told apart by the
 * tracepoint's number in it, so no event id is recorded: 8 bytes less of about 64.
 */
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "command.h"

enum {
    SETTLING_NS = 20 * 1000 * 1000,
    /* When a ring fills fast, waiting long would lose records; this is still a thousand times what
     * a CPU needs. */
    SETTLING_FULL_NS = 5 * 1000 * 1000,
    LONGEST_RECORD = 64 * 1024
};

struct ring {
    unsigned cpu;
    int owner;
    int *points; /* file descriptors, one a tracepoint; -1 when not open */
    struct perf_event_mmap_page *control;
    unsigned char *data;
    uint64_t head;
    uint64_t tail;
    bool loaded; /* current holds the record at tail */
    struct ring_record current;
    unsigned char *unwrapped; /* a record that runs over the ring's end, in one piece */
};

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* ---- opening ---- */

static int open_event(struct perf_event_attr attr, enum ring_target kind, int target,
                      const struct rings *rings, unsigned cpu) {
    unsigned long flags = PERF_FLAG_FD_CLOEXEC | (kind == RING_CGROUP ? PERF_FLAG_PID_CGROUP : 0UL);
    attr.size = sizeof(attr);
    attr.disabled = 1;
    attr.sample_type |= PERF_SAMPLE_TID | PERF_SAMPLE_TIME;
    attr.sample_id_all = 1;
    attr.use_clockid = 1;
    attr.clockid = CLOCK_MONOTONIC;
    attr.watermark = 1;
    attr.wakeup_watermark = (uint32_t)(rings->bytes / 4);
    attr.inherit = kind == RING_PROCESS;
    attr.enable_on_exec = kind == RING_PROCESS;
    return (int)syscall(SYS_perf_event_open, &attr, target, (int)cpu, -1, flags);
}

static int open_ring(struct ring *ring, const struct rings *rings, enum ring_target kind,
                     int target) {
    struct perf_event_attr owner = { .type = PERF_TYPE_SOFTWARE,
                                     .config = PERF_COUNT_SW_DUMMY,
                                     .mmap = 1,
                                     .mmap_data = 1,
                                     .mmap2 = 1,
                                     .comm = 1,
                                     .comm_exec = 1,
                                     .task = 1 };
    ring->owner = open_event(owner, kind, target, rings, ring->cpu);
    if (ring->owner < 0)
        return -1;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *map = mmap(NULL, page + rings->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->owner, 0);
    if (map == MAP_FAILED)
        return -1;
    ring->control = map;
    ring->data = (unsigned char *)map + page;
    for (size_t i = 0; i < rings->points->count; i++) {
        struct perf_event_attr point = { .type = PERF_TYPE_TRACEPOINT,
                                         .config = rings->points->list[i].id,
                                         .sample_type = PERF_SAMPLE_RAW,
                                         .sample_period = 1 };
        ring->points[i] = open_event(point, kind, target, rings, ring->cpu);
        if (ring->points[i] < 0 || ioctl(ring->points[i], PERF_EVENT_IOC_SET_OUTPUT, ring->owner))
            return -1;
    }
    return 0;
}

static void complain_of_opening(int error, const struct rings *rings) {
    switch (error) {
    case EACCES:
    case EPERM:
        complain("not permitted to record kernel events; record as root (or with CAP_PERFMON and "
                 "CAP_IPC_LOCK), or have root run "
                 "\"sysctl kernel.perf_event_paranoid=-1\"");
        break;
    case EMFILE:
        complain("too few file descriptors for %zu events on %zu CPUs; raise the limit (ulimit -n)",
                 rings->points->count + 1, rings->count);
        break;
    case ENOMEM:
        complain("no memory for rings of %zu KiB on each CPU; ask for smaller ones (--ring)",
                 rings->bytes / 1024);
        break;
    default:
        complain("cannot open the kernel's events: %s", strerror(error));
    }
}

/* "0-3,8" in /sys/devices/system/cpu/online. */
static size_t parse_cpus(const char *text, unsigned *cpus, size_t room) {
    size_t count = 0;
    char *at = (char *)text;
    while (*at >= '0' && *at <= '9') {
        unsigned long first = strtoul(at, &at, 10);
        unsigned long last = *at == '-' ? strtoul(at + 1, &at, 10) : first;
        for (; first <= last && count < room; first++)
            cpus[count++] = (unsigned)first;
        at += *at == ',';
    }
    return count;
}

static size_t online_cpus(unsigned *cpus, size_t room) {
    char text[4096] = "0";
    int fd = open("/sys/devices/system/cpu/online", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t got = read(fd, text, sizeof(text) - 1);
        text[got > 0 ? got : 1] = '\0';
        close(fd);
    }
    return parse_cpus(text, cpus, room);
}

static void raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int prepare_ring(struct ring *ring, size_t points) {
    ring->owner = -1;
    ring->unwrapped = malloc(LONGEST_RECORD);
    ring->points = malloc(points * sizeof(*ring->points));
    for (size_t i = 0; ring->points && i < points; i++)
        ring->points[i] = -1;
    return ring->unwrapped && ring->points ? 0 : -1;
}

int rings_open(struct rings *rings, const struct tracepoints *points, enum ring_target kind,
               int target, size_t bytes) {
    enum { MOST_CPUS = 8192 };
    static unsigned cpus[MOST_CPUS];
    *rings = (struct rings){ .points = points, .bytes = bytes };
    size_t count = online_cpus(cpus, MOST_CPUS);
    rings->list = calloc(count, sizeof(*rings->list));
    rings->polls = calloc(count + 1, sizeof(*rings->polls));
    if (!rings->list || !rings->polls) {
        complain_of_opening(ENOMEM, rings);
        return -1;
    }
    raise_file_limit();
    for (size_t i = 0; i < count; i++) {
        struct ring *ring = &rings->list[rings->count++];
        ring->cpu = cpus[i];
        if (prepare_ring(ring, points->count) || open_ring(ring, rings, kind, target)) {
            complain_of_opening(errno, rings);
            return -1;
        }
        rings->polls[i] = (struct pollfd){ .fd = ring->owner, .events = POLLIN };
    }
    return 0;
}

static void control(struct rings *rings, unsigned long request) {
    for (size_t i = 0; i < rings->count; i++) {
        ioctl(rings->list[i].owner, request, 0);
        for (size_t k = 0; k < rings->points->count; k++)
            ioctl(rings->list[i].points[k], request, 0);
    }
}

void rings_enable(struct rings *rings) {
    control(rings, PERF_EVENT_IOC_ENABLE);
}

void rings_disable(struct rings *rings) {
    control(rings, PERF_EVENT_IOC_DISABLE);
}

uint64_t rings_kernel_count(const struct rings *rings, size_t point) {
    uint64_t sum = 0;
    for (size_t i = 0; i < rings->count; i++) {
        uint64_t count = 0;
        if (read(rings->list[i].points[point], &count, sizeof(count)) == (ssize_t)sizeof(count))
            sum += count;
    }
    return sum;
}

static void close_ring(struct ring *ring, const struct rings *rings) {
    for (size_t i = 0; ring->points && i < rings->points->count; i++) {
        if (ring->points[i] >= 0)
            close(ring->points[i]);
    }
    if (ring->control)
        munmap(ring->control, (size_t)sysconf(_SC_PAGESIZE) + rings->bytes);
    if (ring->owner >= 0)
        close(ring->owner);
    free(ring->points);
    free(ring->unwrapped);
}

void rings_close(struct rings *rings) {
    for (size_t i = 0; i < rings->count; i++)
        close_ring(&rings->list[i], rings);
    free(rings->list);
    free(rings->polls);
    *rings = (struct rings){ 0 };
}

/* ---- reading ---- */

static const unsigned char *in_one_piece(const struct ring *ring, uint64_t at, size_t bytes,
                                         size_t ring_bytes) {
    size_t begin = at & (ring_bytes - 1);
    if (begin + bytes <= ring_bytes)
        return ring->data + begin;
    size_t first = ring_bytes - begin;
    memcpy(ring->unwrapped, ring->data + begin, first);
    memcpy(ring->unwrapped + first, ring->data, bytes - first);
    return ring->unwrapped;
}

struct task_and_time {
    uint32_t pid;
    uint32_t tid;
    uint64_t time;
};

/* Samples begin with task and time, and all other records end with them. */
static void describe(struct ring_record *record, const unsigned char *bytes) {
    struct task_and_time stamp;
    size_t size = record->header->size;
    record->raw = NULL;
    record->raw_bytes = 0;
    if (record->header->type != PERF_RECORD_SAMPLE) {
        memcpy(&stamp, bytes + size - sizeof(stamp), sizeof(stamp));
    } else {
        const unsigned char *body = bytes + sizeof(struct perf_event_header);
        memcpy(&stamp, body, sizeof(stamp));
        memcpy(&record->raw_bytes, body + sizeof(stamp), sizeof(record->raw_bytes));
        record->raw = body + sizeof(stamp) + sizeof(record->raw_bytes);
    }
    record->pid = stamp.pid;
    record->tid = stamp.tid;
    record->time = stamp.time;
}

/* The ring's oldest record that has not been read, or NULL. */
static const struct ring_record *oldest(struct ring *ring, size_t ring_bytes) {
    if (ring->loaded)
        return &ring->current;
    if (ring->tail == ring->head)
        return NULL;
    const struct perf_event_header *header =
        (const void *)(ring->data + (ring->tail & (ring_bytes - 1)));
    const unsigned char *bytes = in_one_piece(ring, ring->tail, header->size, ring_bytes);
    ring->current.header = (const void *)bytes;
    ring->current.cpu = ring->cpu;
    describe(&ring->current, bytes);
    ring->loaded = true;
    return &ring->current;
}

static void consume(struct ring *ring) {
    ring->tail += ring->current.header->size;
    ring->loaded = false;
}

static void look_for_new(struct ring *ring) {
    ring->head = __atomic_load_n(&ring->control->data_head, __ATOMIC_ACQUIRE);
}

static void give_room(struct ring *ring) {
    __atomic_store_n(&ring->control->data_tail, ring->tail, __ATOMIC_RELEASE);
}

struct choice {
    struct ring *ring;
    uint64_t until; /* the time at which another ring's turn comes */
};

static struct choice choose(struct rings *rings, uint64_t limit) {
    struct choice choice = { .until = limit };
    uint64_t best = 0;
    for (size_t i = 0; i < rings->count; i++) {
        const struct ring_record *record = oldest(&rings->list[i], rings->bytes);
        if (!record || record->time >= limit)
            continue;
        if (choice.ring && record->time >= best) {
            if (record->time < choice.until)
                choice.until = record->time;
            continue;
        }
        if (choice.ring)
            choice.until = best;
        best = record->time;
        choice.ring = &rings->list[i];
    }
    return choice;
}

static void hand_on(struct rings *rings, const struct ring_record *record, ring_reader *reader,
                    void *context) {
    if (record->time < rings->last_time)
        rings->disordered++;
    else
        rings->last_time = record->time;
    reader(context, record);
}

/* Reads on in the chosen ring as long as no other one holds anything older. */
static void read_ring(struct rings *rings, struct choice choice, ring_reader *reader,
                      void *context) {
    enum { GIVE_ROOM_EVERY = 256 * 1024 };
    uint64_t given = choice.ring->tail;
    const struct ring_record *record = oldest(choice.ring, rings->bytes);
    do {
        hand_on(rings, record, reader, context);
        consume(choice.ring);
        if (choice.ring->tail - given > GIVE_ROOM_EVERY) {
            give_room(choice.ring);
            given = choice.ring->tail;
        }
        record = oldest(choice.ring, rings->bytes);
    } while (record && record->time < choice.until);
    give_room(choice.ring);
}

void rings_wait(struct rings *rings, int other_fd, int milliseconds) {
    rings->polls[rings->count] = (struct pollfd){ .fd = other_fd, .events = POLLIN };
    poll(rings->polls, rings->count + 1, milliseconds);
}

void rings_drain(struct rings *rings, enum ring_settling settling, ring_reader *reader,
                 void *context) {
    /* The time is taken before the heads are read: what is older has been published, but for the
     * settling time. */
    uint64_t start = now();
    uint64_t wait = SETTLING_NS;
    for (size_t i = 0; i < rings->count; i++) {
        struct ring *ring = &rings->list[i];
        look_for_new(ring);
        if (ring->head - ring->tail > rings->bytes / 2)
            wait = SETTLING_FULL_NS;
    }
    uint64_t limit = settling == RING_EVERYTHING ? UINT64_MAX : start - wait;
    struct choice choice = choose(rings, limit);
    while (choice.ring) {
        read_ring(rings, choice, reader, context);
        choice = choose(rings, limit);
    }
}
