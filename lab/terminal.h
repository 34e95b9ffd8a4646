/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * terminal.h - stderr as a screen to draw on, if it is a terminal that can be drawn on.
 *
 * Taken, the terminal shows its other screen, without cursor and without wrapping lines, and every way
 * out of the program but SIGKILL gives it back as it was: exit(), and signals, which then do what they
 * did before. A stop (^Z) gives it back, too, for as long as it lasts.
 */
#ifndef OBJRMAP_LAB_TERMINAL_H
#define OBJRMAP_LAB_TERMINAL_H

#include <stdbool.h>

/* Not for files, pipes and TERM=dumb. */
bool terminal_draws(void);

/* Unless NO_COLOR is set and not empty. */
bool terminal_has_colours(void);

/* As the locale's names tell. */
bool terminal_has_unicode(void);

void terminal_size(unsigned *rows, unsigned *columns);

/* One program, one terminal: taken once at a time. */
void terminal_take(void);
void terminal_give_back(void);

#endif
