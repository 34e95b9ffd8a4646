/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel_judge [ROUNDS [SEED]] - the running kernel judges the library: random mapping calls are
 * made on both, on the same addresses of a window, and after each one the results, the areas'
 * attributes page by page (from /proc/self/smaps) and the pages' contents must agree.
 *
 * One difference is wanted. The kernel keeps alike neighbours apart when their pages have different
 * owners, and then refuses to move both at once; the library never lets that show. Where the kernel
 * says EFAULT for such a range, both windows are emptied and the round goes on.
 *
 * Skipped on kernels before 6.17, whose mremap knows less.
 */
#include "world.h"

#include "harness/dice.h"
#include "harness/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SIZE       64
#define BASE       UINT64_C(0x200000000000)
#define PAGE(n)    (BASE + PAGES(n))
#define FILE_PAGES 40

static struct world world;
static struct vm_object *objects[3]; /* none, writable, read-only */
static int files[3] = { -1, -1, -1 };
static struct dice dice;
static char call_text[256];

static unsigned below(unsigned n) {
    return (unsigned)dice_below(&dice, n);
}

/* ---------------------------------------------------------------- what is there, page by page */

struct page_state {
    char protection[5]; /* as in maps: rwxp or rwxs; empty: nothing mapped */
    unsigned flags;     /* lo gd dc rr sr */
    uint64_t pgoff;     /* of memory that has an object */
    bool object;
};

static const struct {
    const char *name;
    unsigned flag;
} vm_flags[] = { { " lo", VM_AREA_LOCKED },
                 { " gd", VM_AREA_GROWSDOWN },
                 { " dc", VM_AREA_DONTFORK },
                 { " rr", VM_AREA_RANDOM },
                 { " sr", VM_AREA_SEQUENTIAL } };
#define SEEN_FLAGS                                                                                 \
    (VM_AREA_LOCKED | VM_AREA_GROWSDOWN | VM_AREA_DONTFORK | VM_AREA_RANDOM | VM_AREA_SEQUENTIAL)

static void look_at_kernel(struct page_state state[SIZE], bool starts[SIZE]) {
    FILE *smaps = fopen("/proc/self/smaps", "r");
    char line[512], protection[5] = "";
    unsigned long start = 0, end = 0, offset = 0, inode = 0;
    memset(state, 0, SIZE * sizeof state[0]);
    memset(starts, 0, SIZE * sizeof starts[0]);
    assert_non_null(smaps);
    while (fgets(line, sizeof line, smaps)) {
        unsigned flags = 0;
        unsigned long first, last;
        if (sscanf(line, "%lx-%lx", &first, &last) == 2) {
            start = first;
            end = last;
            sscanf(line, "%*s %4s %lx %*s %lu", protection, &offset, &inode);
            continue;
        }
        if (strncmp(line, "VmFlags:", 8) != 0 || start >= PAGE(SIZE) || end <= BASE)
            continue;
        for (size_t i = 0; i < sizeof vm_flags / sizeof vm_flags[0]; i++)
            if (strstr(line, vm_flags[i].name))
                flags |= vm_flags[i].flag;
        if (start < BASE || end > PAGE(SIZE))
            fail_msg("after %s: %lx-%lx lies across the window", call_text, start, end);
        starts[(start - BASE) / VM_PAGE_SIZE] = true;
        for (uint64_t at = start; at < end; at += VM_PAGE_SIZE) {
            struct page_state *page = &state[(at - BASE) / VM_PAGE_SIZE];
            memcpy(page->protection, protection, sizeof protection);
            page->flags = flags;
            page->object = inode != 0;
            page->pgoff = inode ? (offset + (at - start)) / VM_PAGE_SIZE : 0;
        }
    }
    fclose(smaps);
}

static void look_at_library(struct page_state state[SIZE]) {
    memset(state, 0, SIZE * sizeof state[0]);
    for (unsigned i = 0; i < SIZE; i++) {
        struct vm_area *area = vm_area_at(world.space, PAGE(i));
        if (!area)
            continue;
        unsigned p = vm_area_protection(area);
        snprintf(state[i].protection, 5, "%c%c%c%c", p & VM_PROT_READ ? 'r' : '-',
                 p & VM_PROT_WRITE ? 'w' : '-', p & VM_PROT_EXEC ? 'x' : '-',
                 vm_area_shared(area) ? 's' : 'p');
        state[i].flags = area->flags & (unsigned)SEEN_FLAGS;
        state[i].object = area->object != NULL;
        state[i].pgoff = area->object ? vm_area_page_index(area, PAGE(i)) : 0;
    }
}

static bool same_page(const struct page_state *a, const struct page_state *b) {
    return strcmp(a->protection, b->protection) == 0 && a->flags == b->flags &&
           a->object == b->object && a->pgoff == b->pgoff;
}

/* The byte that a load would see, or -1. */
static int kernel_byte(unsigned page) {
    unsigned char byte;
    struct iovec here = { &byte, 1 }, there = { (void *)PAGE(page), 1 };
    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1 ? byte : -1;
}

static int library_byte(unsigned page) {
    unsigned char byte;
    return vm_peek(world.space, PAGE(page), &byte, 1) == VM_OK ? byte : -1;
}

static void compare(struct page_state ours[SIZE]) {
    struct page_state theirs[SIZE];
    bool starts[SIZE];

    look_at_kernel(theirs, starts);
    look_at_library(ours);
    for (unsigned i = 0; i < SIZE; i++) {
        if (!same_page(&ours[i], &theirs[i]))
            fail_msg("after %s: page %u is %s %x object %d at %lu, to the kernel %s %x %d at %lu",
                     call_text, i, ours[i].protection, ours[i].flags, ours[i].object,
                     (unsigned long)ours[i].pgoff, theirs[i].protection, theirs[i].flags,
                     theirs[i].object, (unsigned long)theirs[i].pgoff);
        if (ours[i].protection[0] == 'r' && kernel_byte(i) != library_byte(i))
            fail_msg("after %s: page %u holds %d, to the kernel %d", call_text, i, library_byte(i),
                     kernel_byte(i));
    }
}

static void empty_both(void) {
    munmap((void *)BASE, PAGES(SIZE));
    succeeds(vm_munmap(world.space, BASE, PAGES(SIZE)));
}

/* ---------------------------------------------------------------- calls on both sides */

struct verdict {
    int ours, theirs;
};

static void *pointer(uint64_t address) {
    return (void *)(uintptr_t)address;
}

static struct verdict random_mmap(unsigned page, unsigned pages) {
    static const unsigned protections[] = { NONE, R, RW, RW, RW, RX, VM_PROT_WRITE };
    unsigned p = protections[below(7)], file = below(3), shared = below(3) == 0;
    unsigned flags = (shared ? VM_MAP_SHARED : VM_MAP_PRIVATE);
    int real = shared ? MAP_SHARED : MAP_PRIVATE;
    int prot = (p & VM_PROT_READ ? PROT_READ : 0) | (p & VM_PROT_WRITE ? PROT_WRITE : 0) |
               (p & VM_PROT_EXEC ? PROT_EXEC : 0);
    uint64_t pgoff = below(SIZE), at;

    if (below(4) == 0) {
        flags |= VM_MAP_FIXED_NOREPLACE;
        real |= MAP_FIXED_NOREPLACE;
    } else {
        flags |= VM_MAP_FIXED;
        real |= MAP_FIXED;
    }
    if (below(12) == 0) {
        flags |= VM_MAP_LOCKED;
        real |= MAP_LOCKED;
    }
    if (below(12) == 0) {
        flags |= VM_MAP_POPULATE;
        real |= MAP_POPULATE;
    }
    if (below(20) == 0) {
        flags |= VM_MAP_GROWSDOWN;
        real |= MAP_GROWSDOWN;
    }
    if (file == 0)
        real |= MAP_ANONYMOUS;
    snprintf(call_text, sizeof call_text, "mmap(%u, %u, prot %u, flags %u, file %u, %lu)", page,
             pages, p, flags, file, (unsigned long)pgoff);
    void *got = mmap(pointer(PAGE(page)), PAGES(pages), prot, real, files[file],
                     (off_t)PAGES(file ? pgoff : 0));
    return (struct verdict){ .theirs = kernel_result((long)got),
                             .ours = vm_mmap(world.space, PAGE(page), PAGES(pages), p, flags,
                                             objects[file], pgoff, &at) };
}

static struct verdict random_mprotect(unsigned page, unsigned pages) {
    static const unsigned protections[] = { NONE, R, RW, RW, RX };
    unsigned p = protections[below(5)];
    int prot = (p & VM_PROT_READ ? PROT_READ : 0) | (p & VM_PROT_WRITE ? PROT_WRITE : 0) |
               (p & VM_PROT_EXEC ? PROT_EXEC : 0);
    snprintf(call_text, sizeof call_text, "mprotect(%u, %u, %u)", page, pages, p);
    return (struct verdict){ .theirs =
                                 kernel_result(mprotect(pointer(PAGE(page)), PAGES(pages), prot)),
                             .ours = vm_mprotect(world.space, PAGE(page), PAGES(pages), p) };
}

/* Page by page, since a hole ends the call. */
static void unlock_everything(void) {
    for (unsigned i = 0; i < SIZE; i++) {
        syscall(SYS_munlock, PAGE(i), PAGES(1));
        vm_munlock(world.space, PAGE(i), PAGES(1));
    }
}

static struct verdict random_mremap(unsigned page, unsigned pages) {
    unsigned to = below(SIZE), new_pages = below(3) ? pages : 1 + below(10), flags = 0;
    int real = 0;
    uint64_t at = 0;

    if (below(25) == 0)
        pages = 0;
    if (to + new_pages > SIZE)
        to = SIZE - new_pages;
    if (below(3)) {
        flags = VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED;
        real = MREMAP_MAYMOVE | MREMAP_FIXED;
        if (below(6) == 0) {
            flags |= VM_MREMAP_DONTUNMAP;
            real |= MREMAP_DONTUNMAP;
            unlock_everything(); /* it unlocks areas, and those may be joined differently */
        }
    } else if (below(3) == 0) {
        flags = VM_MREMAP_MAYMOVE;
        real = MREMAP_MAYMOVE;
    } else if (page + new_pages > SIZE) {
        new_pages = SIZE - page;
    }
    snprintf(call_text, sizeof call_text, "mremap(%u, %u, %u, flags %u, %u)", page, pages,
             new_pages, flags, to);
    void *got =
        mremap(pointer(PAGE(page)), PAGES(pages), PAGES(new_pages), real, pointer(PAGE(to)));
    struct verdict v = { .theirs = kernel_result((long)got),
                         .ours = vm_mremap(world.space, PAGE(page), PAGES(pages), PAGES(new_pages),
                                           flags, PAGE(to), &at) };
    /* Each may have found another place outside, but both must have gone, or grown, alike. */
    if (v.theirs == VM_OK && ((uint64_t)got < BASE || (uint64_t)got >= PAGE(SIZE)))
        munmap(got, PAGES(new_pages));
    else if (v.theirs == VM_OK && (uint64_t)got + PAGES(new_pages) > PAGE(SIZE))
        munmap(pointer(PAGE(SIZE)), PAGES(new_pages));
    if (v.ours == VM_OK && (at < BASE || at >= PAGE(SIZE)))
        succeeds(vm_munmap(world.space, at, PAGES(new_pages)));
    else if (v.ours == VM_OK && at + PAGES(new_pages) > PAGE(SIZE))
        succeeds(vm_munmap(world.space, PAGE(SIZE), PAGES(new_pages)));
    return v;
}

static struct verdict random_madvise(unsigned page, unsigned pages) {
    static const struct {
        enum vm_advice ours;
        int theirs;
    } advices[] = { { VM_MADV_NORMAL, MADV_NORMAL },
                    { VM_MADV_RANDOM, MADV_RANDOM },
                    { VM_MADV_SEQUENTIAL, MADV_SEQUENTIAL },
                    { VM_MADV_DONTNEED, MADV_DONTNEED },
                    { VM_MADV_FREE, MADV_FREE },
                    { VM_MADV_COLD, MADV_COLD },
                    { VM_MADV_PAGEOUT, MADV_PAGEOUT },
                    { VM_MADV_DONTFORK, MADV_DONTFORK },
                    { VM_MADV_DOFORK, MADV_DOFORK },
                    { VM_MADV_WILLNEED, MADV_WILLNEED } };
    unsigned i = below(sizeof advices / sizeof advices[0]);
    snprintf(call_text, sizeof call_text, "madvise(%u, %u, %d)", page, pages, advices[i].ours);
    return (struct verdict){
        .theirs = kernel_result(madvise(pointer(PAGE(page)), PAGES(pages), advices[i].theirs)),
        .ours = vm_madvise(world.space, PAGE(page), PAGES(pages), advices[i].ours)
    };
}

/* By number, since sanitizers replace these two by functions that do nothing. */
static struct verdict random_lock(unsigned page, unsigned pages) {
    if (below(2)) {
        snprintf(call_text, sizeof call_text, "mlock(%u, %u)", page, pages);
        return (struct verdict){ .theirs =
                                     kernel_result(syscall(SYS_mlock, PAGE(page), PAGES(pages))),
                                 .ours = vm_mlock(world.space, PAGE(page), PAGES(pages)) };
    }
    snprintf(call_text, sizeof call_text, "munlock(%u, %u)", page, pages);
    return (struct verdict){ .theirs =
                                 kernel_result(syscall(SYS_munlock, PAGE(page), PAGES(pages))),
                             .ours = vm_munlock(world.space, PAGE(page), PAGES(pages)) };
}

static struct verdict random_msync(unsigned page, unsigned pages) {
    unsigned flags = below(8);
    int real = (flags & VM_MS_ASYNC ? MS_ASYNC : 0) |
               (flags & VM_MS_INVALIDATE ? MS_INVALIDATE : 0) | (flags & VM_MS_SYNC ? MS_SYNC : 0);
    snprintf(call_text, sizeof call_text, "msync(%u, %u, %u)", page, pages, flags);
    return (struct verdict){ .theirs =
                                 kernel_result(msync(pointer(PAGE(page)), PAGES(pages), real)),
                             .ours = vm_msync(world.space, PAGE(page), PAGES(pages), flags) };
}

static struct verdict random_mincore(unsigned page, unsigned pages) {
    unsigned char resident[SIZE];
    snprintf(call_text, sizeof call_text, "mincore(%u, %u)", page, pages);
    return (struct verdict){ .theirs = kernel_result(
                                 mincore(pointer(PAGE(page)), PAGES(pages), resident)),
                             .ours = vm_mincore(world.space, PAGE(page), PAGES(pages), resident) };
}

static struct verdict random_remap_file_pages(unsigned page, unsigned pages) {
    unsigned pgoff = below(SIZE);
    snprintf(call_text, sizeof call_text, "remap_file_pages(%u, %u, %u)", page, pages, pgoff);
    long got = syscall(SYS_remap_file_pages, PAGE(page), PAGES(pages), 0, pgoff, 0);
    return (struct verdict){ .theirs = kernel_result(got),
                             .ours = vm_remap_file_pages(world.space, PAGE(page), PAGES(pages),
                                                         pgoff) };
}

static struct verdict random_munmap(unsigned page, unsigned pages) {
    snprintf(call_text, sizeof call_text, "munmap(%u, %u)", page, pages);
    return (struct verdict){ .theirs = kernel_result(munmap(pointer(PAGE(page)), PAGES(pages))),
                             .ours = vm_munmap(world.space, PAGE(page), PAGES(pages)) };
}

/* Stores go page by page; both sides must agree on where they may. */
static struct verdict random_store(unsigned page, unsigned pages) {
    struct verdict v = { VM_OK, VM_OK };
    snprintf(call_text, sizeof call_text, "store(%u, %u)", page, pages);
    for (unsigned i = page; i < page + pages && v.ours == v.theirs; i++) {
        unsigned char byte = (unsigned char)below(256);
        struct iovec here = { &byte, 1 }, there = { pointer(PAGE(i)), 1 };
        if (!vm_area_at(world.space, PAGE(i)))
            continue; /* below a stack it would grow, to the library */
        v.theirs = process_vm_writev(getpid(), &here, 1, &there, 1, 0) == 1 ? VM_OK : VM_EFAULT;
        v.ours = vm_write(world.space, PAGE(i), &byte, 1) == VM_OK ? VM_OK : VM_EFAULT;
    }
    return v;
}

static struct verdict random_call(void) {
    unsigned page = below(SIZE), pages = below(20) ? 1 + below(8) : below(30);
    if (page + pages > SIZE)
        pages = SIZE - page;
    switch (below(20)) {
    case 0:
    case 1:
    case 2:
    case 3:
        return random_mmap(page, pages);
    case 4:
    case 5:
        return random_munmap(page, below(2) ? pages : (pages + 1) / 2);
    case 6:
    case 7:
    case 8:
        return random_mprotect(page, pages);
    case 9:
    case 10:
    case 11:
        return random_mremap(page, pages);
    case 12:
    case 13:
        return random_madvise(page, pages);
    case 14:
        return random_lock(page, pages);
    case 15:
        return random_msync(page, pages);
    case 16:
        return random_mincore(page, pages);
    case 17:
        return random_remap_file_pages(page, pages);
    default:
        return random_store(page, pages);
    }
}

/* ---------------------------------------------------------------- the trial */

static void open_files(void) {
    char path[64];
    struct vm_backing *writable = posix_memory_open(PAGES(FILE_PAGES));
    struct vm_backing *read_only = posix_memory_open(PAGES(FILE_PAGES));
    read_only->write = NULL;
    succeeds(vm_object_open(world.machine, writable, 1, &objects[1]));
    succeeds(vm_object_open(world.machine, read_only, 2, &objects[2]));
    for (int i = 1; i <= 2; i++) {
        int file = memfd_create("judge", 0);
        assert_true(file >= 0 && ftruncate(file, (off_t)PAGES(FILE_PAGES)) == 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
        files[i] = i == 1 ? file : open(path, O_RDONLY);
        assert_true(files[i] >= 0);
    }
}

static unsigned rounds = 4000;
static uint64_t seed = 20041117;

static void the_kernel_agrees(void **unused) {
    struct page_state before[SIZE];
    unsigned successes = 0, wanted_differences = 0;
    (void)unused;

    begin_world(&world, (struct vm_machine_config){ 0 });
    open_files();
    dice.state = seed;
    for (unsigned round = 0; round < rounds; round++) {
        struct verdict v = random_call();
        if (v.ours == VM_OK && v.theirs == VM_EFAULT && strncmp(call_text, "mremap", 6) == 0) {
            wanted_differences++;
            empty_both();
        } else if (v.ours != v.theirs)
            fail_msg("seed %lu round %u: %s: %s, to the kernel %s (%d)", (unsigned long)seed, round,
                     call_text, vm_result_text(v.ours), vm_result_text(v.theirs), v.theirs);
        successes += v.ours == VM_OK;
        compare(before);
        assert_int_equal(vm_space_check(world.space), 0);
    }
    print_message("%u calls, %u succeeded, %u differed as they should\n", rounds, successes,
                  wanted_differences);
    assert_true(successes > rounds / 4);
    assert_true(wanted_differences < rounds / 50);
    empty_both();
    vm_object_put(objects[1]);
    vm_object_put(objects[2]);
    end_world(&world);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_kernel_agrees) };

    if (!kernel_is_recent()) {
        print_message("the kernel is older than 6.17: it does not judge\n");
        return 77;
    }
    if (argc > 1)
        rounds = (unsigned)strtoul(argv[1], NULL, 10);
    if (argc > 2)
        seed = strtoull(argv[2], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
