/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stub_port.h - a machine with nothing on it: the entry point, four memory functions, a port over
 * static memory. What it does on failure is end the program with a code that says where.
 */
#ifndef OBJRMAP_TESTS_STUB_PORT_H
#define OBJRMAP_TESTS_STUB_PORT_H

#include <objrmap/port.h>

extern struct vm_port stub_port;

/* Blocks that the library has taken and not given back. */
extern unsigned stub_blocks_live;

/* The program; what it returns is the exit code. */
int life(void);

#endif
