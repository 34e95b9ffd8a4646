/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * posix.h - a port for programs on Linux and its relatives: memory, frames, threads, files.
 *
 * Link with objrmap-posix. A program fills in a port, hands `&posix.port` to the machine, and has
 * each thread say once which CPU it plays. Backings are borrowed by machines; whoever made one ends
 * it through its close() when no object does: that is the case for swap.
 */
#ifndef OBJRMAP_POSIX_H
#define OBJRMAP_POSIX_H

#include <objrmap/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Frames come from mmap() and cost memory on first touch. Huge pages make the machine faster and are
 * right when it keeps contents; on a metadata-only machine, where page tables lie far apart, each
 * would cost 2 MiB.
 */
enum posix_frames { POSIX_FRAMES_SMALL, POSIX_FRAMES_HUGE };

struct posix_port {
    struct vm_port port;
    enum posix_frames frames;      /* SMALL after posix_port_init(); may be changed before use */
    struct posix_reclaim *reclaim; /* threads that run; NULL: none */
};

/* Fills in every function that a machine of this many CPUs needs. Nothing has to be freed. */
void posix_port_init(struct posix_port *posix, unsigned cpus);

/*
 * From now on the calling thread is this CPU, for every machine it calls. A thread that never says
 * so is CPU 0. => no two threads that call into one machine at once say the same
 */
void posix_cpu_set(unsigned cpu);

/* ---------------------------------------------------------------- reclaim threads */

/*
 * A thread for each of the machine's nodes, which frees frames when the node is low, as CPU first_cpu
 * and those after it: those are the threads' alone, and below the machine's `cpus`. NULL when a
 * thread cannot be made. Both calls => nobody else calls into the machine meanwhile; one machine a
 * port. Stop before the machine is destroyed.
 */
struct posix_reclaim *posix_reclaim_start(struct posix_port *posix, struct vm_machine *machine,
                                          unsigned nodes, unsigned first_cpu);
void posix_reclaim_stop(struct posix_reclaim *threads);

/*
 * None of them is in the machine from the pause's return to its resume: they are woken, and start
 * then. So calls that nothing else may be under way beside can be made. Pauses nest, of any threads.
 * => pause: not in a call of the machine
 */
void posix_reclaim_pause(struct posix_reclaim *threads);
void posix_reclaim_resume(struct posix_reclaim *threads);

/* ---------------------------------------------------------------- files */

enum posix_access { POSIX_READ_ONLY, POSIX_READ_WRITE };

/*
 * A backing over a file: whole pages by pread() and pwrite(). The last page is cut to the file's
 * size, which writing never changes. NULL with errno set when the file cannot be opened.
 */
struct vm_backing *posix_file_open(const char *path, enum posix_access access);

/* The same over an open descriptor, which belongs to the backing if the call succeeds. */
struct vm_backing *posix_file_adopt(int descriptor, enum posix_access access);

/* Cuts or grows the file behind such a backing. 0, or a negative errno. */
int posix_file_truncate(struct vm_backing *file, uint64_t bytes);

/* ---------------------------------------------------------------- memory as a device */

/*
 * A backing in memory, all zeroes, that costs memory only for pages written: a file for tests, or
 * swap. Transfers beyond its size fail. NULL when there is no room.
 */
struct vm_backing *posix_memory_open(uint64_t bytes);

/* Cut parts are forgotten, new parts are zeroes. 0, or a negative errno with nothing changed. */
int posix_memory_truncate(struct vm_backing *memory, uint64_t bytes);

#ifdef __cplusplus
}
#endif
#endif
