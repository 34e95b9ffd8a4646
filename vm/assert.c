/* SPDX-License-Identifier: BSD-2-Clause */
/* assert.c - the end of a machine whose invariants do not hold. */
#include "vm/machine.h"

_Noreturn void vm_panic(struct vm_machine *machine, const char *file, int line, const char *what) {
    if (machine && machine->port && machine->port->panic)
        machine->port->panic(machine->port, file, line, what);
    for (;;)
        __builtin_trap(); /* the port has nothing to say, or came back against its promise */
}
