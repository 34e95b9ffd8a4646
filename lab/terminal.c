/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * terminal.c - see terminal.h. Handlers only write, and take themselves away; each sequence that they
 * write ends a half-written one before it, since all begin with an escape.
 */
#include "terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char take[] = "\033[?1049h\033[?25l\033[?7l\033[H\033[2J";
static const char give_back[] = "\033[?7h\033[?25h\033[?1049l";

static const int endings[] = {
    SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGBUS, SIGSEGV, SIGTERM, SIGTSTP
};

enum { ENDINGS = sizeof(endings) / sizeof(endings[0]) };

static struct sigaction before[ENDINGS];
static volatile sig_atomic_t taken;

bool terminal_draws(void) {
    const char *name = getenv("TERM");
    return isatty(STDERR_FILENO) && name && *name && strcmp(name, "dumb") != 0;
}

bool terminal_has_colours(void) {
    const char *unwanted = getenv("NO_COLOR");
    return !unwanted || !*unwanted;
}

/* The first of these that is set decides, as for setlocale(). */
bool terminal_has_unicode(void) {
    static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *locale = getenv(names[i]);
        if (locale && *locale)
            return strcasestr(locale, "utf-8") || strcasestr(locale, "utf8");
    }
    return false;
}

void terminal_size(unsigned *rows, unsigned *columns) {
    struct winsize size;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0;
    *rows = known && size.ws_row ? size.ws_row : 24;
    *columns = known && size.ws_col ? size.ws_col : 80;
}

static void say(const char *text, size_t bytes) {
    int error = errno;
    while (write(STDERR_FILENO, text, bytes) < 0 && errno == EINTR)
        continue;
    errno = error;
}

static void stop_for_a_while(void) {
    say(give_back, sizeof(give_back) - 1);
    raise(SIGSTOP);
    say(take, sizeof(take) - 1);
}

/* The signal is blocked while this runs: what is raised comes when it has returned. */
static void on_signal(int signal) {
    if (signal == SIGTSTP) {
        stop_for_a_while();
        return;
    }
    say(give_back, sizeof(give_back) - 1);
    for (int i = 0; i < ENDINGS; i++)
        if (endings[i] == signal)
            sigaction(signal, &before[i], NULL);
    raise(signal);
}

static void catch_signals(void) {
    struct sigaction catch = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigemptyset(&catch.sa_mask);
    for (int i = 0; i < ENDINGS; i++) {
        sigaction(endings[i], NULL, &before[i]);
        if (before[i].sa_handler != SIG_IGN)
            sigaction(endings[i], &catch, NULL);
    }
}

void terminal_take(void) {
    static bool registered;
    if (!registered)
        registered = atexit(terminal_give_back) == 0;
    taken = true;
    catch_signals();
    say(take, sizeof(take) - 1);
}

void terminal_give_back(void) {
    if (!taken)
        return;
    taken = false;
    say(give_back, sizeof(give_back) - 1);
    for (int i = 0; i < ENDINGS; i++)
        sigaction(endings[i], &before[i], NULL);
}
