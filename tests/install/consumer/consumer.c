/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * consumer.c - a program that knows the library only as installed.
 */
#include <objrmap/posix.h>
#include <objrmap/rmap.h>
#include <objrmap/stats.h>
#include <objrmap/vm.h>

#include <stdio.h>

int main(void) {
    struct posix_port posix;
    posix_port_init(&posix, 1);
    struct vm_machine_config config = { .port = &posix.port, .frames = 256 };
    struct vm_machine *machine;
    struct vm_space *space;
    const char *why = "";
    int result = vm_machine_create(&config, &machine, &why);
    if (result != VM_OK) {
        fprintf(stderr, "vm_machine_create: %s (%s)\n", vm_result_text(result), why);
        return 1;
    }
    uint64_t at = 0;
    char text[6] = "";
    if (vm_space_create(machine, 1, &space) != VM_OK ||
        vm_mmap(space, 0, VM_PAGE_SIZE, VM_PROT_READ | VM_PROT_WRITE, VM_MAP_PRIVATE, NULL, 0,
                &at) ||
        vm_write(space, at, "works", 6) != VM_OK || vm_read(space, at, text, 6) != VM_OK)
        return 1;
    printf("installed: %s\n", text);
    vm_machine_destroy(machine);
    return text[0] == 'w' ? 0 : 1;
}
