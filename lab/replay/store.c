/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.c - see store.h.
 */
#include "replay/store.h"

#include "memory.h"
#include "model/page_map.h"
#include "model/stamp.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum store_kind { STORE_FILE, STORE_SWAP };

struct store {
    struct vm_backing backing; /* first: a backing is its store */
    enum store_kind kind;
    uint32_t object_id;
    uint64_t pages;
    uint64_t generated;      /* pages below this read as the file's own while not written */
    pthread_mutex_t lock;    /* of the map; a page's copy is whoever's that transfers the page */
    struct page_map written; /* addresses of page copies */
};

static void *stored_page(struct store *store, uint64_t page) {
    pthread_mutex_lock(&store->lock);
    void *stored = (void *)(uintptr_t)page_map_get(&store->written, page);
    pthread_mutex_unlock(&store->lock);
    return stored;
}

static void *add_page(struct store *store, uint64_t page) {
    void *stored = new_array(1, VM_PAGE_SIZE);
    pthread_mutex_lock(&store->lock);
    page_map_set(&store->written, page, (uintptr_t)stored);
    pthread_mutex_unlock(&store->lock);
    return stored;
}

static void generate(const struct store *store, uint64_t page, unsigned char *data) {
    memset(data, 0, VM_PAGE_SIZE);
    if (page >= store->generated)
        return;
    uint64_t head = stamp_of_file(store->object_id, page), tail = stamp_tail(head);
    memcpy(data, &head, sizeof(head));
    memcpy(data + STAMP_TAIL_OFFSET, &tail, sizeof(tail));
}

static int store_read(struct vm_backing *backing, uint64_t page, void *data) {
    struct store *store = (struct store *)backing;
    if (!data)
        return 0;
    const void *stored = stored_page(store, page);
    if (stored)
        memcpy(data, stored, VM_PAGE_SIZE);
    else if (store->kind == STORE_SWAP)
        return -1;
    else
        generate(store, page, data);
    return 0;
}

static int store_write(struct vm_backing *backing, uint64_t page, const void *data) {
    struct store *store = (struct store *)backing;
    if (!data)
        return 0;
    void *stored = stored_page(store, page);
    if (!stored)
        stored = add_page(store, page);
    memcpy(stored, data, VM_PAGE_SIZE);
    return 0;
}

static int store_write_run(struct vm_backing *backing, uint64_t page, unsigned count,
                           const void *const *data) {
    for (unsigned i = 0; data && i < count; i++)
        store_write(backing, page + i, data[i]);
    return 0;
}

static int64_t store_size(struct vm_backing *backing) {
    const struct store *store = (const struct store *)backing;
    return (int64_t)(store->pages << VM_PAGE_SHIFT);
}

static void forget_from(struct store *store, uint64_t first) {
    uint64_t value;
    for (uint64_t page = first; page_map_next(&store->written, &page, &value); page++)
        free((void *)(uintptr_t)value);
    page_map_clear(&store->written, first, UINT64_MAX >> VM_PAGE_SHIFT);
}

static void store_close(struct vm_backing *backing) {
    struct store *store = (struct store *)backing;
    forget_from(store, 0);
    page_map_free(&store->written);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static struct store *new_store(enum store_kind kind) {
    struct store *store = new_array(1, sizeof(*store));
    store->backing = (struct vm_backing){ .read = store_read,
                                          .write = store_write,
                                          .size = store_size,
                                          .close = store_close,
                                          .write_run = store_write_run };
    store->kind = kind;
    pthread_mutex_init(&store->lock, NULL);
    return store;
}

struct store *store_new_file(uint32_t object_id, uint64_t pages) {
    struct store *store = new_store(STORE_FILE);
    store->object_id = object_id;
    store->pages = store->generated = pages;
    return store;
}

struct store *store_new_swap(void) {
    return new_store(STORE_SWAP);
}

struct vm_backing *store_backing(struct store *store) {
    return &store->backing;
}

void store_resize(struct store *store, uint64_t pages) {
    if (pages < store->pages)
        forget_from(store, pages);
    if (pages < store->generated)
        store->generated = pages;
    store->pages = pages;
}
