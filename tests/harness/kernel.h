/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel.h - the running kernel's answers, where it judges the library.
 */
#ifndef TESTS_HARNESS_KERNEL_H
#define TESTS_HARNESS_KERNEL_H

#include <objrmap/vm.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/utsname.h>

/* From 6.17 on mremap does all that the library's does. */
static inline bool kernel_is_recent(void) {
    struct utsname name;
    unsigned major = 0, minor = 0;
    return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
           (major > 6 || (major == 6 && minor >= 17));
}

/* What a system call gave back, and errno, in the library's words; else below -1000. */
static inline int kernel_result(long result) {
    static const struct {
        int error, result;
    } table[] = { { EINVAL, VM_EINVAL }, { ENOMEM, VM_ENOMEM },       { EEXIST, VM_EEXIST },
                  { EACCES, VM_EACCES }, { EFAULT, VM_EFAULT },       { EAGAIN, VM_EAGAIN },
                  { EBUSY, VM_EBUSY },   { EOVERFLOW, VM_EOVERFLOW }, { EPERM, VM_EPERM } };
    if (result != -1)
        return VM_OK;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].error == errno)
            return table[i].result;
    return -1000 - errno;
}

#endif
