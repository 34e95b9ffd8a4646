/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quote.c - see quote.h.
 */
#include "quote.h"

#include <stdbool.h>
#include <string.h>

struct text {
    char *bytes;
    size_t used, room;
};

static void put(struct text *text, char byte) {
    if (text->used + 1 < text->room)
        text->bytes[text->used++] = byte;
}

static void put_all(struct text *text, const char *bytes) {
    while (*bytes)
        put(text, *bytes++);
}

static bool needs_quotes(const char *argument) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./=:,@%+";
    return !*argument || argument[strspn(argument, plain)];
}

const char *quote_arguments(char *const *arguments, char *bytes, size_t room) {
    struct text text = { bytes, 0, room };
    for (char *const *argument = arguments; *argument; argument++) {
        bool quotes = needs_quotes(*argument);
        if (argument != arguments)
            put(&text, ' ');
        if (quotes)
            put(&text, '\'');
        for (const char *at = *argument; *at; at++) {
            if (*at == '\'') /* the quotes end, and begin again behind a quoted one */
                put_all(&text, "'\\'");
            put(&text, *at);
        }
        if (quotes)
            put(&text, '\'');
    }
    bytes[text.used] = '\0';
    return bytes;
}
