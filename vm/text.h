/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * text.h - putting a line of text together, where there is no printf. What does not fit is cut off.
 */
#ifndef VM_TEXT_H
#define VM_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define VM_TEXT_MAX 256

struct vm_text {
    size_t length;
    char line[VM_TEXT_MAX]; /* always ends with a zero byte */
};

void vm_text_clear(struct vm_text *text);
void vm_text_add(struct vm_text *text, const char *words);
void vm_text_number(struct vm_text *text, uint64_t number);  /* decimal */
void vm_text_address(struct vm_text *text, uint64_t number); /* 0x and hexadecimal */

#endif
