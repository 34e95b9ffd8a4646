/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm.h - a virtual memory system to embed: machines, spaces, objects, mapping calls, faults.
 *
 * A machine owns frames, swap space and one reverse-mapping design. Spaces are what processes run
 * in; objects are files and shared memory. Mapping calls carry the names, the meanings and the
 * errors of the Linux system calls, except that results are negative `enum vm_result` values.
 *
 * Addresses and lengths are in bytes, page offsets ("pgoff") and frame numbers in pages of 4096
 * bytes. Unless a call says otherwise, a call that fails has changed nothing.
 */
#ifndef OBJRMAP_VM_H
#define OBJRMAP_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <objrmap/port.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VM_PAGE_SHIFT 12
#define VM_PAGE_SIZE  (UINT64_C(1) << VM_PAGE_SHIFT)

/* The end of user addresses, as on x86-64 with four levels. */
#define VM_ADDRESS_END UINT64_C(0x7ffffffff000)

enum vm_result {
    VM_OK = 0,
    VM_EINVAL = -1,     /* an argument is malformed: alignment, zero length, unknown flag */
    VM_ENOMEM = -2,     /* no room in the space, too many areas, a hole, or no metadata memory */
    VM_EEXIST = -3,     /* VM_MAP_FIXED_NOREPLACE met an area */
    VM_EACCES = -4,     /* the object does not allow this protection */
    VM_EFAULT = -5,     /* the address range is not mapped as the call needs it */
    VM_EAGAIN = -6,     /* the lock limit is reached, or a page could not be locked */
    VM_EBUSY = -7,      /* msync with VM_MS_INVALIDATE met a locked area */
    VM_EIO = -8,        /* the backing failed */
    VM_EPERM = -9,      /* the call is never allowed on this kind of area */
    VM_EOVERFLOW = -10, /* page offsets would pass the end of the 64-bit file range */
    VM_SIGSEGV = -11,   /* a fault outside every area, or against its protection */
    VM_SIGBUS = -12,    /* a fault beyond the object's end, or its backing failed */
    VM_OOM = -13,       /* no frame could be freed, and the fault cannot be served */
};

/* The result's name and meaning, for messages. Never NULL. */
const char *vm_result_text(int result);

struct vm_machine;
struct vm_space;
struct vm_object;

/* ---------------------------------------------------------------- machine */

enum vm_contents { VM_CONTENTS_KEPT, VM_METADATA_ONLY };

/* What fork does with entries that a later fault can rebuild (file and shared memory). */
enum vm_fork_copy { VM_FORK_LAZY, VM_FORK_EAGER };

/* What protects the chains of designs that list each page's entries: a bit of the page, or one lock
 * for the whole machine, as in the first of them. */
enum vm_chain_lock { VM_CHAIN_LOCK_PAGE, VM_CHAIN_LOCK_GLOBAL };

/*
 * What becomes of an area that vm_remap_file_pages() rearranges. EMULATE: areas, one for each piece,
 * as Linux does since 4.0. The others leave it one area, nonlinear, whose entries tell the offsets;
 * and say how reclaim finds a page there. Designs that find a page's entries wherever they are need
 * no answer: to them all three are the same. CHAIN: VM_EINVAL for the other designs.
 */
enum vm_nonlinear {
    VM_NONLINEAR_EMULATE,
    VM_NONLINEAR_DRACONIAN, /* unmap every page of the areas until the one asked for is free */
    VM_NONLINEAR_CLUSTER,   /* unmap some pages of the areas, never mind which */
    VM_NONLINEAR_CHAIN,     /* the design lists the page's entries */
};

#define VM_SWAPPINESS_NONE UINT32_MAX

struct vm_machine_config {
    struct vm_port *port; /* borrowed; outlives the machine */
    uint64_t frames;      /* memory, in pages; 64 to 2^28 */
    /* Frames are dealt out to nodes evenly, in order; CPU c is of node c % nodes, and takes frames of
     * its own node first. 0 means 1; at most 16, and at least 32 frames for each. */
    unsigned nodes;
    /* Frames below this number are low memory: page tables lie nowhere else, and other pages only
     * when the node has no high memory to spare. 0: all memory is alike. Else at least 16. */
    uint64_t low_frames;
    /* How readily reclaim takes pages out of page tables, 1..100, as opposed to cached ones that
     * nobody maps. 0 means 60; VM_SWAPPINESS_NONE: only when nothing else is left. */
    unsigned swappiness;
    enum vm_contents contents;
    unsigned cpus;          /* 1..64; 0 means 1 */
    const char *design;     /* a name of vm_design_each(); NULL: "anon-vma" */
    const char *file_index; /* a name of vm_file_index_each(); NULL: "interval-tree" */
    enum vm_fork_copy fork_copy;
    enum vm_chain_lock chain_lock; /* GLOBAL: VM_EINVAL for designs without chains */
    enum vm_nonlinear nonlinear;
    struct vm_backing *swap; /* borrowed; NULL: no swap */
    uint64_t swap_pages;
    uint64_t area_limit;    /* areas in one space; 0 means 65530 */
    uint64_t address_limit; /* mapped bytes in one space; 0 means no limit */
    uint64_t lock_limit;    /* mlocked bytes in one space; 0 means no limit */
    uint64_t stack_limit;   /* bytes that a VM_MAP_GROWSDOWN area may reach; 0 means 8 MiB */
    unsigned
        swap_readahead;    /* slots read with the one wanted, a power of two up to 64; 0 means 8; 1
                                means off */
    unsigned fault_around; /* pages, a power of two up to 64; 0 means 16; 1 means off */
    bool lock_stats;       /* count for vm_lock_each(); locks are then taken on one CPU, too */
};

/* => VM_EINVAL names a bad field through *why when `why` is not NULL. */
int vm_machine_create(const struct vm_machine_config *config, struct vm_machine **machine,
                      const char **why);

/* Ends every space and closes every object that is left, and frees the machine. */
void vm_machine_destroy(struct vm_machine *machine);

/* Takes up to `frames` frames away from whoever uses them least. Returns how many were freed. */
uint64_t vm_reclaim(struct vm_machine *machine, uint64_t frames);

/*
 * What a node's reclaim thread does when port->wake_reclaim() has woken it: frees frames until each
 * zone of the node stands at its high watermark, or nothing more can be freed. Returns how many.
 */
uint64_t vm_reclaim_node(struct vm_machine *machine, unsigned node);

/* ---------------------------------------------------------------- objects */

/*
 * An object for the file behind `backing`, which is borrowed until its close() is called. `id` is
 * the embedder's and only handed back. The caller gets one reference; mappings hold their own.
 */
int vm_object_open(struct vm_machine *machine, struct vm_backing *backing, uint64_t id,
                   struct vm_object **object);

/* Shared memory of this size: zeroes at first, evicted to swap. */
int vm_object_create_shm(struct vm_machine *machine, uint64_t bytes, uint64_t id,
                         struct vm_object **object);

void vm_object_get(struct vm_object *object);
void vm_object_put(struct vm_object *object);

uint64_t vm_object_id(const struct vm_object *object);
uint64_t vm_object_size(const struct vm_object *object);

/*
 * Sets the size in bytes. Pages beyond the new end leave every space, private copies included;
 * touching them is a SIGBUS until the object grows again, and then they read as zeroes. The file
 * behind the backing is the embedder's to cut; and it is his to cut an object once at a time, as a file
 * system does with a lock of its own. => VM_EIO, VM_OOM, VM_ENOMEM: the page across the lower of the
 * two ends is in swap and cannot be had
 */
int vm_object_truncate(struct vm_object *object, uint64_t bytes);

/* ---------------------------------------------------------------- spaces */

/* An empty space. `id` is the embedder's (a PID): reports and port->tlb_flush() name it. */
int vm_space_create(struct vm_machine *machine, uint64_t id, struct vm_space **space);

/* A copy-on-write copy of the space. On failure no child is left. => VM_ENOMEM or VM_OOM */
int vm_fork(struct vm_space *parent, uint64_t id, struct vm_space **child);

/* Empties the space, as exec does before it maps the new program. */
int vm_exec(struct vm_space *space);

/* Ends the space and frees it. Nobody may be using it. */
void vm_exit(struct vm_space *space);

uint64_t vm_space_id(const struct vm_space *space);

/* ---------------------------------------------------------------- mapping calls */

enum vm_protection { VM_PROT_NONE = 0, VM_PROT_READ = 1, VM_PROT_WRITE = 2, VM_PROT_EXEC = 4 };

enum vm_map_flags {
    VM_MAP_SHARED = 1, /* exactly one of SHARED and PRIVATE */
    VM_MAP_PRIVATE = 2,
    VM_MAP_FIXED = 4, /* replaces what is there */
    VM_MAP_FIXED_NOREPLACE = 8,
    VM_MAP_GROWSDOWN = 16, /* a stack; private anonymous memory only */
    VM_MAP_LOCKED = 32,    /* as vm_mlock() afterwards, its failure ignored */
    VM_MAP_POPULATE = 64,  /* touch every page now, failure ignored */
};

/*
 * Maps `length` bytes (rounded up to pages) of the object from page `pgoff` on, or anonymous memory
 * when `object` is NULL; `pgoff` is then ignored. Without FIXED the address is a hint: taken if
 * free, else the highest gap that fits is. *result is the address of the mapping.
 */
int vm_mmap(struct vm_space *space, uint64_t address, uint64_t length, unsigned protection,
            unsigned flags, struct vm_object *object, uint64_t pgoff, uint64_t *result);

int vm_munmap(struct vm_space *space, uint64_t address, uint64_t length);

/* => VM_ENOMEM on a hole, or for an area that cannot be split: what lies before has been changed, as
 * in Linux. */
int vm_mprotect(struct vm_space *space, uint64_t address, uint64_t length, unsigned protection);

enum vm_mremap_flags { VM_MREMAP_MAYMOVE = 1, VM_MREMAP_FIXED = 2, VM_MREMAP_DONTUNMAP = 4 };

/* `new_address` counts only with FIXED, or as a hint with DONTUNMAP. A failure with FIXED may, as in
 * Linux, leave the target empty, and a source that is to shrink shrunk; of several mappings that were
 * to move, those before the one that failed have moved. */
int vm_mremap(struct vm_space *space, uint64_t old_address, uint64_t old_length,
              uint64_t new_length, unsigned flags, uint64_t new_address, uint64_t *result);

/* Rearranges a shared mapping: [address, address + length) shows the object from `pgoff` on. */
int vm_remap_file_pages(struct vm_space *space, uint64_t address, uint64_t length, uint64_t pgoff);

/* The heap: set once where it begins; then vm_brk() moves its end, or tells it when `end` is 0. */
int vm_brk_start(struct vm_space *space, uint64_t address);
int vm_brk(struct vm_space *space, uint64_t end, uint64_t *result);

enum vm_advice {
    VM_MADV_NORMAL,
    VM_MADV_RANDOM,
    VM_MADV_SEQUENTIAL,
    VM_MADV_WILLNEED,
    VM_MADV_DONTNEED,
    VM_MADV_FREE,
    VM_MADV_COLD,
    VM_MADV_PAGEOUT,
    VM_MADV_DONTFORK,
    VM_MADV_DOFORK,
    VM_MADV_HUGEPAGE, /* huge pages are advice this machine need not follow */
    VM_MADV_NOHUGEPAGE,
};

/* => VM_ENOMEM on a hole: the mapped parts have been advised all the same, as in Linux. VM_EINVAL for
 * an area that does not take the advice, VM_EAGAIN for one that cannot be split: the areas before it
 * have been advised. That a page cannot be brought in or written out is no failure of advice. */
int vm_madvise(struct vm_space *space, uint64_t address, uint64_t length, enum vm_advice advice);

/* Both => VM_ENOMEM on a hole, or for an area that cannot be split: what lies before has been locked,
 * or unlocked. mlock then faults every page in => VM_EAGAIN for want of memory, VM_ENOMEM for a page
 * that cannot be had, its device having failed, say: all is locked, but not all is in memory. */
int vm_mlock(struct vm_space *space, uint64_t address, uint64_t length);
int vm_munlock(struct vm_space *space, uint64_t address, uint64_t length);

enum vm_msync_flags { VM_MS_ASYNC = 1, VM_MS_INVALIDATE = 2, VM_MS_SYNC = 4 };

/* SYNC => VM_EIO: a write failed, now or since msync last told of one for this file. Pages that could
 * not be written stay, and stay dirty; areas behind have not been synced. */
int vm_msync(struct vm_space *space, uint64_t address, uint64_t length, unsigned flags);

/* resident[i] becomes 1 if page i is in memory, else 0. */
int vm_mincore(struct vm_space *space, uint64_t address, uint64_t length, unsigned char *resident);

/* ---------------------------------------------------------------- the MMU */

enum vm_access { VM_READ, VM_WRITE, VM_EXECUTE };

/*
 * What the hardware's page fault becomes. => VM_OK: try again; VM_SIGSEGV, VM_SIGBUS, VM_OOM. A
 * stack may have grown although the page cannot be had.
 */
int vm_fault(struct vm_space *space, uint64_t address, enum vm_access access);

/*
 * A program on a software MMU, which walks the page tables, sets accessed and dirty bits and raises
 * faults. vm_touch() touches `pages` pages, one byte each; *touched (if not NULL) counts those
 * that succeeded before the first that did not. vm_read() and vm_write() move bytes; on a
 * metadata-only machine they move none, and vm_read() gives zeroes.
 */
int vm_touch(struct vm_space *space, uint64_t address, uint64_t pages, enum vm_access access,
             uint64_t *touched);
int vm_read(struct vm_space *space, uint64_t address, void *data, size_t bytes);
int vm_write(struct vm_space *space, uint64_t address, const void *data, size_t bytes);

/* ---------------------------------------------------------------- nodes */

/*
 * Moves the pages that are mapped in the range to the node, each under all its mappings, those of other
 * spaces and of locked areas included; nothing changes for programs. *moved (if not NULL) counts them,
 * whatever the result. Pages that are not in memory stay where they are. => VM_EINVAL: no such node, or
 * unaligned; VM_EFAULT: there are holes; VM_EAGAIN: some pages were in use all the time; either way the
 * others have been moved. VM_OOM: the node has no more frames to spare; VM_ENOMEM
 */
int vm_move_pages(struct vm_space *space, uint64_t address, uint64_t length, unsigned node,
                  uint64_t *moved);

#ifdef __cplusplus
}
#endif
#endif
