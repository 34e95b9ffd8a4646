/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * canvas.c - see canvas.h.
 */
#include "canvas.h"

#include "memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put(struct canvas *canvas, const char *text, size_t bytes) {
    canvas->text = grow_array(canvas->text, &canvas->room, canvas->used + bytes, 1);
    memcpy(canvas->text + canvas->used, text, bytes);
    canvas->used += bytes;
}

static bool is_below(const struct canvas *canvas) {
    return canvas->row >= canvas->rows;
}

/* One column wide. */
static void put_mark(struct canvas *canvas, const char *mark) {
    if (is_below(canvas) || canvas->column >= canvas->columns)
        return;
    put(canvas, mark, strlen(mark));
    canvas->column++;
}

void canvas_begin(struct canvas *canvas, unsigned rows, unsigned columns) {
    canvas->used = 0;
    canvas->rows = rows;
    canvas->columns = columns;
    canvas->row = canvas->column = 0;
}

void canvas_free(struct canvas *canvas) {
    free(canvas->text);
}

/* Names of processes are anybody's: what is no plain character could move the cursor. */
void canvas_print(struct canvas *canvas, const char *format, ...) {
    char text[256];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    for (const char *at = text; *at; at++)
        put_mark(canvas, (char[]){ *at >= ' ' && *at <= '~' ? *at : '?', '\0' });
}

void canvas_colour(struct canvas *canvas, enum colour colour) {
    static const char *const codes[COLOURS] = { "\033[0m",  "\033[31m", "\033[32m", "\033[33m",
                                                "\033[34m", "\033[35m", "\033[36m", "\033[90m" };
    if (canvas->coloured && !is_below(canvas))
        put(canvas, codes[colour], strlen(codes[colour]));
}

void canvas_control(struct canvas *canvas, const char *sequence) {
    put(canvas, sequence, strlen(sequence));
}

void canvas_end_line(struct canvas *canvas) {
    if (is_below(canvas))
        return;
    put(canvas, "\033[K", 3);
    if (++canvas->row < canvas->rows)
        put(canvas, "\r\n", 2);
    canvas->column = 0;
}

unsigned canvas_left(const struct canvas *canvas) {
    return canvas->column < canvas->columns ? canvas->columns - canvas->column : 0;
}

void canvas_block(struct canvas *canvas, char letter) {
    put_mark(canvas, canvas->coloured && canvas->unicode ? "█" : (char[]){ letter, '\0' });
}

void canvas_level(struct canvas *canvas, double level) {
    static const char *const unicode[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
    static const char *const plain[] = { " ", ".", ",", ":", "-", "=", "+", "*", "#" };
    enum { LEVELS = sizeof(plain) / sizeof(plain[0]) };
    double height = level * (LEVELS - 1);
    int mark = height >= LEVELS - 1 ? LEVELS - 1 : height > 0 ? (int)(height + 0.999) : 0;
    mark = mark < LEVELS ? mark : LEVELS - 1;
    put_mark(canvas, canvas->unicode ? unicode[mark] : plain[mark]);
}

bool canvas_write(const struct canvas *canvas, int descriptor) {
    const char *at = canvas->text;
    size_t left = canvas->used;
    while (left) {
        ssize_t written = write(descriptor, at, left);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            at += written;
            left -= (size_t)written;
        }
    }
    return true;
}
