/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * text.c - text.h, digit by digit.
 */
#include "vm/text.h"

void vm_text_clear(struct vm_text *text) {
    text->length = 0;
    text->line[0] = '\0';
}

void vm_text_add(struct vm_text *text, const char *words) {
    while (*words && text->length < VM_TEXT_MAX - 1)
        text->line[text->length++] = *words++;
    text->line[text->length] = '\0';
}

static void add_digits(struct vm_text *text, uint64_t number, unsigned base) {
    char digits[21]; /* 2^64 has 20 decimal digits */
    char *first = digits + sizeof digits - 1;

    *first = '\0';
    do {
        *--first = "0123456789abcdef"[number % base];
        number /= base;
    } while (number);
    vm_text_add(text, first);
}

void vm_text_number(struct vm_text *text, uint64_t number) {
    add_digits(text, number, 10);
}

void vm_text_address(struct vm_text *text, uint64_t number) {
    vm_text_add(text, "0x");
    add_digits(text, number, 16);
}
