/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transfer.h - writing pages to a backing, neighbours in one go.
 */
#ifndef VM_TRANSFER_H
#define VM_TRANSFER_H

#include "vm/frame/frame.h"

/* The most pages that are written in one go. */
#define VM_WRITE_PAGES 32

struct vm_transfer {
    unsigned writes; /* times that the backing was asked to write */
    bool failed;     /* one of them failed, even if another try went well */
    uint32_t lost;   /* the pages that could not be written, by bits */
};

/* Writes what the pages hold to consecutive pages of the backing, from `first` on. => all locked and
 * write-protected, so that nothing changes meanwhile; 0 < count <= VM_WRITE_PAGES. May sleep */
struct vm_transfer vm_transfer_out(struct vm_machine *machine, struct vm_backing *backing,
                                   uint64_t first, struct vm_page *const *pages, unsigned count);

#endif
