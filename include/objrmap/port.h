/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port.h - everything the library needs from the world around it.
 *
 * An embedder fills in one `struct vm_port` and hands it to vm_machine_create(). The library calls
 * nothing else, apart from memcpy, memmove, memset and memcmp. Every function gets the port itself
 * as its first argument, so an embedder may wrap it in a larger struct of its own.
 *
 * Calls may come from several CPUs at once, and never with the expectation that the port calls back
 * into the library. What a function may do while the library holds locks is said beside it.
 */
#ifndef OBJRMAP_PORT_H
#define OBJRMAP_PORT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vm_port {
    /*
     * Memory for the library's own records. `alignment` is a power of two, at least 16. The block
     * need not be zeroed. NULL when there is none: the call under way then fails with VM_ENOMEM
     * and changes nothing. Called with spinning locks held: must not sleep.
     */
    void *(*allocate)(struct vm_port *port, size_t bytes, size_t alignment);
    void (*release)(struct vm_port *port, void *block, size_t bytes);

    /*
     * The machine's frames: `bytes` of page-aligned memory that reads as zeroes. A machine that
     * keeps contents uses all of it; a metadata-only one uses only the frames that hold page
     * tables, so memory that is backed on first touch serves it best. Called once per machine.
     * NULL: the machine is not created.
     */
    void *(*frames_reserve)(struct vm_port *port, uint64_t bytes);
    void (*frames_release)(struct vm_port *port, void *frames, uint64_t bytes);

    /* Nanoseconds that never go backwards. Used for statistics only. */
    uint64_t (*clock_ns)(struct vm_port *port);

    /*
     * Number of the calling CPU, below the configured `cpus`. It must not change while a call into
     * the library is under way, and no two calls under way may give the same number: where threads
     * wander between CPUs, number the threads. NULL is allowed on machines of one CPU.
     */
    unsigned (*cpu)(struct vm_port *port);

    /* Busy waiting for a spinning lock: one turn. NULL is allowed on machines of one CPU. */
    void (*relax)(struct vm_port *port);

    /*
     * Sleeping locks. wait: sleep while *word == value; it may return early. wake: wake all that
     * sleep on the word. NULL is allowed on machines of one CPU, where nobody waits.
     */
    void (*wait)(struct vm_port *port, _Atomic uint32_t *word, uint32_t value);
    void (*wake)(struct vm_port *port, _Atomic uint32_t *word);

    /*
     * Forget cached translations of [start, end) of the space with this id, on every CPU, before
     * returning, and the ways to them through upper tables. The frames they led to are reused
     * afterwards, those of tables, too. Called with spinning locks held: must not sleep. NULL where
     * nothing caches them.
     */
    void (*tlb_flush)(struct vm_port *port, uint64_t space_id, uint64_t start, uint64_t end);

    /*
     * Debug builds tell where another CPU could come between: before an operation on a lock, a
     * page-table entry, a count or a flag that CPUs share. `what` is its address; a page's lock,
     * flags and counts all go by that of the page. A port that runs its CPUs by turns may let another
     * one run before it returns; between one call and the next a CPU does nothing to anything shared
     * but to `what`, or to what a lock it holds protects. NULL: nobody listens.
     */
    void (*preempt)(struct vm_port *port, const volatile void *what);

    /*
     * This node is low on free frames, and so is every other that could help it out: have some
     * thread call vm_reclaim_node(), soon. Told once until that call ends. Sleeping locks are held:
     * must not sleep. NULL: calls that find no frame reclaim themselves, and only they.
     */
    void (*wake_reclaim)(struct vm_port *port, unsigned node);

    /* An invariant is broken and going on would lose data. Must not return. */
    void (*panic)(struct vm_port *port, const char *file, int line, const char *what);
};

/*
 * Where an object's (or the swap space's) pages live when they are not in memory. `page` is the
 * index of a 4096-byte page; `data` is the page's memory, or NULL on a metadata-only machine, where
 * the transfer is only pretended. read and write return 0, or any negative number for a failed
 * device; a failed read ends in SIGBUS for who touched the page, a failed write is kept and
 * reported by vm_msync(). Both may sleep. A short last page is read with zeroes behind it.
 */
struct vm_backing {
    int (*read)(struct vm_backing *backing, uint64_t page, void *data);
    /* NULL: the file is read-only, and shared writable mappings of it are refused. */
    int (*write)(struct vm_backing *backing, uint64_t page, const void *data);
    /* The size in bytes, or negative when it cannot be told. Asked once, by vm_object_open(). */
    int64_t (*size)(struct vm_backing *backing);
    /* The object is gone, and nothing will use the backing again. NULL if nobody cares. */
    void (*close)(struct vm_backing *backing);
    /*
     * Writes `count` consecutive pages in one go: data[i] is the memory of page + i; `data` itself is
     * NULL on a metadata-only machine. Where that fails each page is then written alone, so that one
     * that cannot be written does not hold up the others. NULL: pages are written one by one.
     */
    int (*write_run)(struct vm_backing *backing, uint64_t page, unsigned count,
                     const void *const *data);
};

#ifdef __cplusplus
}
#endif
#endif
