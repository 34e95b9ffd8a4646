/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * result.c - names and meanings of results, for messages.
 */
#include <objrmap/vm.h>

const char *vm_result_text(int result) {
    switch (result) {
    case VM_OK:
        return "OK: done";
    case VM_EINVAL:
        return "EINVAL: a malformed argument";
    case VM_ENOMEM:
        return "ENOMEM: a hole in the range, no room in the space, or no memory for records";
    case VM_EEXIST:
        return "EEXIST: an area is already there";
    case VM_EACCES:
        return "EACCES: the object does not allow this protection";
    case VM_EFAULT:
        return "EFAULT: the range is not mapped as the call needs it";
    case VM_EAGAIN:
        return "EAGAIN: the lock limit is reached, or a page could not be locked";
    case VM_EBUSY:
        return "EBUSY: a locked area is in the way";
    case VM_EIO:
        return "EIO: the backing failed";
    case VM_EPERM:
        return "EPERM: never allowed on this kind of area";
    case VM_EOVERFLOW:
        return "EOVERFLOW: page offsets would pass the end of the file range";
    case VM_SIGSEGV:
        return "SIGSEGV: no area there allows this access";
    case VM_SIGBUS:
        return "SIGBUS: beyond the object's end, or its backing failed";
    case VM_OOM:
        return "OOM: no frame could be freed";
    default:
        return "unknown result";
    }
}
