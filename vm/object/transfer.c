/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transfer.c - see transfer.h.
 *
 * A device is asked to write a run of pages at once where it can. It does not tell which of them it
 * could not write; so after a failure each is tried alone. Else one bad page would keep its
 * neighbours in memory for good, dirty as they are, and their contents from the device.
 */
#include "vm/object/transfer.h"

static int write_one(struct vm_machine *machine, struct vm_backing *backing, uint64_t at,
                     const struct vm_page *page) {
    if (!backing->write)
        return -1;
    void *data = vm_frame_map(machine, page);
    int result = backing->write(backing, at, data);
    vm_frame_unmap(machine, data);
    return result;
}

static int write_run(struct vm_machine *machine, struct vm_backing *backing, uint64_t first,
                     struct vm_page *const *pages, unsigned count) {
    void *data[VM_WRITE_PAGES] = { NULL };

    if (machine->config.contents == VM_METADATA_ONLY)
        return backing->write_run(backing, first, count, NULL);
    for (unsigned i = 0; i < count; i++)
        data[i] = vm_frame_map(machine, pages[i]);
    int result = backing->write_run(backing, first, count, (const void *const *)data);
    for (unsigned i = 0; i < count; i++)
        vm_frame_unmap(machine, data[i]);
    return result;
}

static void write_each(struct vm_machine *machine, struct vm_backing *backing, uint64_t first,
                       struct vm_page *const *pages, unsigned count, struct vm_transfer *transfer) {
    for (unsigned i = 0; i < count; i++) {
        transfer->writes++;
        if (write_one(machine, backing, first + i, pages[i]) < 0)
            transfer->lost |= 1u << i;
    }
    transfer->failed |= transfer->lost != 0;
}

struct vm_transfer vm_transfer_out(struct vm_machine *machine, struct vm_backing *backing,
                                   uint64_t first, struct vm_page *const *pages, unsigned count) {
    struct vm_transfer transfer = { 0 };

    VM_ASSERT(machine, count > 0 && count <= VM_WRITE_PAGES);
    if (count > 1 && backing->write && backing->write_run) {
        transfer.writes = 1;
        if (write_run(machine, backing, first, pages, count) >= 0)
            return transfer;
        transfer.failed = true;
    }
    write_each(machine, backing, first, pages, count, &transfer);
    return transfer;
}
