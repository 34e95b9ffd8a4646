/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quote.h - a command's arguments as one would type them into a shell.
 */
#ifndef OBJRMAP_LAB_QUOTE_H
#define OBJRMAP_LAB_QUOTE_H

#include <stddef.h>

/* Up to the NULL behind the last; cut where the room for bytes ends. Gives `bytes`. */
const char *quote_arguments(char *const *arguments, char *bytes, size_t room);

#endif
