/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * areas.h - a process's areas in the model: a sorted array, cut wherever a call begins or ends.
 *
 * Areas hold references to their objects, so that shared anonymous memory lives as long as someone
 * maps it.
 */
#ifndef OBJRMAP_LAB_MODEL_AREAS_H
#define OBJRMAP_LAB_MODEL_AREAS_H

#include "model/model.h"

#include <pthread.h>
#include <stdatomic.h>

struct model_object {
    _Atomic uint64_t references;
    uint64_t pages;      /* its size */
    uint64_t generated;  /* pages below this read as the file's own while nobody has written them */
    uint32_t id;         /* the trace's, if it is declared there */
    bool declared;       /* else it is shared anonymous memory */
    _Atomic bool shared; /* somebody maps it so */
    pthread_mutex_t lock;
    struct page_map written;   /* versions, with MODEL_PRESENT: under the lock */
    struct model_object *twin; /* its copy, while a model is being copied; else NULL */
};

/* Set in every value of a page map: a page may well be written and of version 0. */
#define MODEL_PRESENT   (UINT64_C(1) << 63)
#define MODEL_DISCARDED (UINT64_C(1) << 62) /* given to VM_MADV_FREE and not written since */

struct model_areas {
    struct model_area *list;
    size_t count, room;
    size_t last; /* found last */
};

struct model_object *model_object_get(struct model_object *object); /* NULL is nobody's */
void model_object_put(struct model_object *object);

/* The first area that ends behind the address; `count` if there is none. */
size_t areas_find(struct model_areas *areas, uint64_t address);

/* The area that holds the address, or NULL. */
struct model_area *areas_at(struct model_areas *areas, uint64_t address);

/* Cuts areas so that none lies across `start` or `end`. *first is the first one inside; returns the
 * index behind the last one inside. */
size_t areas_cut(struct model_areas *areas, uint64_t start, uint64_t end, size_t *first);

/* => nothing lies in its range; takes over the reference to the object. */
void areas_insert(struct model_areas *areas, const struct model_area *area);

/* => cut at both ends */
void areas_remove(struct model_areas *areas, size_t first, size_t end);

void areas_copy(struct model_areas *to, const struct model_areas *from);
void areas_clear(struct model_areas *areas);

#endif
