/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * canvas.h - lines of text for a terminal, each cut to its width, and the marks that charts are made of.
 *
 * Everything is gathered first and written at once, so that no half picture is ever seen.
 */
#ifndef OBJRMAP_LAB_CANVAS_H
#define OBJRMAP_LAB_CANVAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum colour {
    COLOUR_PLAIN,
    COLOUR_RED,
    COLOUR_GREEN,
    COLOUR_YELLOW,
    COLOUR_BLUE,
    COLOUR_MAGENTA,
    COLOUR_CYAN,
    COLOUR_GREY,
    COLOURS
};

struct canvas {
    char *text; /* grows; freed by canvas_free() */
    size_t used, room;
    unsigned rows, columns;
    unsigned row, column; /* where the next mark goes */
    bool coloured, unicode;
};

void canvas_begin(struct canvas *canvas, unsigned rows, unsigned columns);
void canvas_free(struct canvas *canvas);

void canvas_print(struct canvas *canvas, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void canvas_colour(struct canvas *canvas, enum colour colour);
/* Moves the cursor, or clears; no column wide. */
void canvas_control(struct canvas *canvas, const char *sequence);
void canvas_end_line(struct canvas *canvas);
unsigned canvas_left(const struct canvas *canvas); /* columns in this line */

/* A full block, or where there are none, or no colours to tell them apart, the letter. */
void canvas_block(struct canvas *canvas, char letter);

/* A column of a chart, with values from 0 to 1. */
void canvas_level(struct canvas *canvas, double level);

/* False: it could not be written. */
bool canvas_write(const struct canvas *canvas, int descriptor);

#endif
