/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model.h - what programs must see: the meaning of memory calls without any machine.
 *
 * A process is a list of areas and a map of the private pages it has written; an object is a size
 * and a map of written pages. Fork copies, a write stores a version, nothing is lazy, nothing is
 * shared that can be copied. It is slow and simple on purpose, for it judges the machine.
 *
 * Processes and objects are named by the reader's dense indices. The caller tells of calls that the
 * machine has carried out, and of how: calls that it refused are not told, or, where Linux changes
 * something in spite of the error, with the word VM_ENOMEM.
 *
 * Calls about different processes may come from several threads. Those that declare, resize or make
 * room come from one thread while no other calls.
 */
#ifndef OBJRMAP_LAB_MODEL_MODEL_H
#define OBJRMAP_LAB_MODEL_MODEL_H

#include "model/page_map.h"
#include "model/stamp.h"

struct model;

struct model *model_create(void);
void model_destroy(struct model *model);

/* For indices below these. */
void model_make_room(struct model *model, size_t processes, size_t objects);

/* What happens to one of the two from now on does not happen to the other.
 * => nobody else uses the model meanwhile */
struct model *model_copy(const struct model *model);

/* ---------------------------------------------------------------- objects */

/* A file's pages below its size read as stamp_of_file(id, page); shared memory reads as zeroes. */
void model_object_declare(struct model *model, uint32_t object, uint32_t id, bool file,
                          uint64_t pages);

/* From here on processes may change the object for each other: model_view() says so. => any thread */
void model_object_share(struct model *model, uint32_t object);

/* Pages beyond the end are gone, private copies included, and read as zeroes if they come back. */
void model_object_resize(struct model *model, uint32_t object, uint64_t pages);

/* ---------------------------------------------------------------- processes */

void model_process_begin(struct model *model, uint32_t process);
void model_fork(struct model *model, uint32_t process, uint32_t child);
void model_exec(struct model *model, uint32_t process);
void model_exit(struct model *model, uint32_t process);

/* ---------------------------------------------------------------- calls; ranges in bytes */

struct model_mapping {
    uint64_t start, end;
    unsigned protection;
    bool shared;
    uint32_t object; /* UINT32_MAX: anonymous; if shared, then a new object of its own */
    uint64_t pgoff;
};

void model_map(struct model *model, uint32_t process, const struct model_mapping *mapping);
void model_unmap(struct model *model, uint32_t process, uint64_t start, uint64_t end);

/* `result` VM_ENOMEM: there was a hole; what lies before it has changed. */
void model_protect(struct model *model, uint32_t process, uint64_t start, uint64_t end,
                   unsigned protection, int result);

void model_move(struct model *model, uint32_t process, uint64_t old, uint64_t old_length,
                uint64_t new, uint64_t new_length);

/* The pages of [old, old + length) move to `new`; the areas stay, without their private pages, and
 * appear at `new` as well. */
void model_move_keeping(struct model *model, uint32_t process, uint64_t old, uint64_t length,
                        uint64_t new);

void model_rearrange(struct model *model, uint32_t process, uint64_t start, uint64_t end,
                     uint64_t pgoff);

/* With `result` VM_ENOMEM there were holes, and all around them has been advised. */
void model_advise(struct model *model, uint32_t process, uint64_t start, uint64_t end,
                  enum vm_advice advice);

/* ---------------------------------------------------------------- pages */

struct model_view {
    int outcome;           /* VM_OK, VM_SIGSEGV or VM_SIGBUS */
    uint64_t version;      /* for VM_OK */
    bool may_be_discarded; /* VM_MADV_FREE: the page may as well read as zeroes */
    bool private_file;     /* shows a page of an object, and a write would make a private copy */
    bool shared; /* other processes may change what this one sees, or see what it writes */
};

/* What an access would meet. Addresses are anywhere in the page. */
struct model_view model_view(struct model *model, uint32_t process, uint64_t address,
                             enum vm_access access);

/* => model_view() for VM_WRITE says VM_OK */
void model_write(struct model *model, uint32_t process, uint64_t address, uint64_t version);

/* The machine has made a private copy although nobody wrote, as mlock may.
 * => model_view() says private_file */
void model_copy_privately(struct model *model, uint32_t process, uint64_t address);

/* ---------------------------------------------------------------- looking */

struct model_area {
    uint64_t start, end;
    unsigned protection;
    bool shared, dontfork;
    struct model_object *object; /* NULL: private anonymous */
    uint64_t pgoff;
};

/* Areas in address order; neighbours that could be one are not joined. */
size_t model_areas(struct model *model, uint32_t process, const struct model_area **areas);

/* The first page with a private version at or after *address. */
bool model_next_private(struct model *model, uint32_t process, uint64_t *address);

/* A declared object. */
struct model_object *model_object(struct model *model, uint32_t object);

/* The first written page at or after *page, and its version. */
bool model_next_written(struct model_object *object, uint64_t *page, uint64_t *version);

uint64_t model_object_pages(const struct model_object *object);

#endif
