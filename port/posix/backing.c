/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * backing.c - a file behind a descriptor, and memory that behaves like one.
 *
 * Both cut the last page to their size. A file's size is read anew for each transfer that may touch
 * the end, since the embedder truncates files while they are mapped. Results are negative errno
 * values; the library looks only at the sign.
 */
#include <objrmap/posix.h>
#include <objrmap/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAGE = VM_PAGE_SIZE };

/* The bytes of this page that lie before `size`: PAGE, less for the last page, 0 beyond it. */
static size_t page_bytes_within(uint64_t page, uint64_t size) {
    if (page >= (size >> VM_PAGE_SHIFT) + 1)
        return 0;
    uint64_t left = size - (page << VM_PAGE_SHIFT);
    return left < PAGE ? (size_t)left : PAGE;
}

/* ---------------------------------------------------------------- files */

struct file {
    struct vm_backing backing;
    int descriptor;
};

static struct file *file_of(struct vm_backing *backing) {
    return (struct file *)backing;
}

static int64_t file_size(struct vm_backing *backing) {
    struct stat status;
    if (fstat(file_of(backing)->descriptor, &status) != 0)
        return -errno;
    return status.st_size;
}

static int file_read(struct vm_backing *backing, uint64_t page, void *data) {
    if (!data)
        return 0;
    off_t start = (off_t)(page << VM_PAGE_SHIFT);
    size_t done = 0;
    while (done < PAGE) {
        ssize_t got = pread(file_of(backing)->descriptor, (char *)data + done, PAGE - done,
                            start + (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    memset((char *)data + done, 0, PAGE - done);
    return 0;
}

static int file_write(struct vm_backing *backing, uint64_t page, const void *data) {
    if (!data)
        return 0;
    int64_t size = file_size(backing);
    if (size < 0)
        return (int)size;
    size_t bytes = page_bytes_within(page, (uint64_t)size);
    off_t start = (off_t)(page << VM_PAGE_SHIFT);
    size_t done = 0;
    while (done < bytes) {
        ssize_t put = pwrite(file_of(backing)->descriptor, (const char *)data + done, bytes - done,
                             start + (off_t)done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? -errno : -EIO;
        done += (size_t)put;
    }
    return 0;
}

/* Leaves out so many bytes. Returns how many pieces are left; *pieces becomes the first of them. */
static int skip(struct iovec **pieces, int count, size_t bytes) {
    for (; count > 0 && bytes >= (*pieces)->iov_len; ++*pieces, count--)
        bytes -= (*pieces)->iov_len;
    if (count > 0) {
        (*pieces)->iov_base = (char *)(*pieces)->iov_base + bytes;
        (*pieces)->iov_len -= bytes;
    }
    return count;
}

static int write_pieces(int descriptor, struct iovec *pieces, int count, off_t start) {
    while (count > 0) {
        ssize_t put = pwritev(descriptor, pieces, count, start);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? -errno : -EIO;
        start += put;
        count = skip(&pieces, count, (size_t)put);
    }
    return 0;
}

static int file_write_run(struct vm_backing *backing, uint64_t page, unsigned count,
                          const void *const *data) {
    enum { PIECES = 64 };
    struct iovec pieces[PIECES];
    int64_t size = file_size(backing);
    if (!data || size < 0)
        return data ? (int)size : 0;
    for (unsigned done = 0, n; done < count; done += n) {
        int used = 0;
        for (n = 0; n < PIECES && done + n < count; n++) {
            size_t bytes = page_bytes_within(page + done + n, (uint64_t)size);
            pieces[n] =
                (struct iovec){ .iov_base = (void *)(uintptr_t)data[done + n], .iov_len = bytes };
            used += bytes > 0;
        }
        int error = write_pieces(file_of(backing)->descriptor, pieces, used,
                                 (off_t)((page + done) << VM_PAGE_SHIFT));
        if (error)
            return error;
    }
    return 0;
}

static void file_close(struct vm_backing *backing) {
    close(file_of(backing)->descriptor);
    free(file_of(backing));
}

struct vm_backing *posix_file_adopt(int descriptor, enum posix_access access) {
    struct file *file = malloc(sizeof(*file));
    if (!file)
        return NULL;
    *file = (struct file){
        .backing = {
            .read = file_read,
            .write = access == POSIX_READ_WRITE ? file_write : NULL,
            .size = file_size,
            .close = file_close,
            .write_run = access == POSIX_READ_WRITE ? file_write_run : NULL,
        },
        .descriptor = descriptor,
    };
    return &file->backing;
}

struct vm_backing *posix_file_open(const char *path, enum posix_access access) {
    int descriptor = open(path, (access == POSIX_READ_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (descriptor < 0)
        return NULL;
    struct vm_backing *backing = posix_file_adopt(descriptor, access);
    if (!backing) {
        close(descriptor);
        errno = ENOMEM;
    }
    return backing;
}

int posix_file_truncate(struct vm_backing *backing, uint64_t bytes) {
    if (bytes > INT64_MAX)
        return -EFBIG;
    return ftruncate(file_of(backing)->descriptor, (off_t)bytes) == 0 ? 0 : -errno;
}

/* ---------------------------------------------------------------- memory */

/*
 * One reserved mapping: the host's page tables are the sparse structure. Transfers share the lock;
 * truncation, which may move the mapping, takes it alone.
 */
struct memory {
    struct vm_backing backing;
    pthread_rwlock_t lock;
    char *pages;
    uint64_t size;
};

static struct memory *memory_of(struct vm_backing *backing) {
    return (struct memory *)backing;
}

static uint64_t rounded(uint64_t bytes) {
    return (bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

/* An empty device still holds a page, because mmap() has no empty mappings. */
static size_t reserved(uint64_t size) {
    return (size_t)(size ? rounded(size) : PAGE);
}

static int memory_read(struct vm_backing *backing, uint64_t page, void *data) {
    struct memory *memory = memory_of(backing);
    pthread_rwlock_rdlock(&memory->lock);
    size_t bytes = page_bytes_within(page, memory->size);
    if (data && bytes) {
        memcpy(data, memory->pages + (page << VM_PAGE_SHIFT), bytes);
        memset((char *)data + bytes, 0, PAGE - bytes);
    }
    pthread_rwlock_unlock(&memory->lock);
    return bytes ? 0 : -EIO;
}

static int memory_write_run(struct vm_backing *backing, uint64_t page, unsigned count,
                            const void *const *data) {
    struct memory *memory = memory_of(backing);
    pthread_rwlock_rdlock(&memory->lock);
    bool within = page_bytes_within(page + count - 1, memory->size) > 0;
    for (unsigned i = 0; data && within && i < count; i++)
        memcpy(memory->pages + ((page + i) << VM_PAGE_SHIFT), data[i],
               page_bytes_within(page + i, memory->size));
    pthread_rwlock_unlock(&memory->lock);
    return within ? 0 : -EIO;
}

static int memory_write(struct vm_backing *backing, uint64_t page, const void *data) {
    const void *const pages[] = { data };
    return memory_write_run(backing, page, 1, data ? pages : NULL);
}

static int64_t memory_size(struct vm_backing *backing) {
    struct memory *memory = memory_of(backing);
    pthread_rwlock_rdlock(&memory->lock);
    int64_t size = (int64_t)memory->size;
    pthread_rwlock_unlock(&memory->lock);
    return size;
}

static void memory_close(struct vm_backing *backing) {
    struct memory *memory = memory_of(backing);
    munmap(memory->pages, reserved(memory->size));
    pthread_rwlock_destroy(&memory->lock);
    free(memory);
}

static char *reserve(size_t bytes) {
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

struct vm_backing *posix_memory_open(uint64_t bytes) {
    struct memory *memory = malloc(sizeof(*memory));
    char *pages = bytes <= INT64_MAX ? reserve(reserved(bytes)) : NULL;
    if (!memory || !pages) {
        if (pages)
            munmap(pages, reserved(bytes));
        free(memory);
        return NULL;
    }
    *memory = (struct memory){
        .backing = {
            .read = memory_read,
            .write = memory_write,
            .size = memory_size,
            .close = memory_close,
            .write_run = memory_write_run,
        },
        .pages = pages,
        .size = bytes,
    };
    pthread_rwlock_init(&memory->lock, NULL);
    return &memory->backing;
}

/* => memory->lock held alone */
static int truncate_locked(struct memory *memory, uint64_t bytes) {
    size_t old = reserved(memory->size);
    size_t new = reserved(bytes);
    if (new != old) {
        void *moved = mremap(memory->pages, old, new, MREMAP_MAYMOVE);
        if (moved == MAP_FAILED)
            return -errno;
        memory->pages = moved;
    }
    /* What lies behind a cut in the last page must read as zeroes if the device grows again. */
    if (bytes < memory->size)
        memset(memory->pages + bytes, 0, new - (size_t)bytes);
    memory->size = bytes;
    return 0;
}

int posix_memory_truncate(struct vm_backing *backing, uint64_t bytes) {
    struct memory *memory = memory_of(backing);
    if (bytes > INT64_MAX)
        return -EFBIG;
    pthread_rwlock_wrlock(&memory->lock);
    int result = truncate_locked(memory, bytes);
    pthread_rwlock_unlock(&memory->lock);
    return result;
}
