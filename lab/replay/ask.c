/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ask.c - see ask.h.
 */
#include "replay/ask.h"

#include <objrmap/rmap.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

/* ---------------------------------------------------------------- the question */

static bool take_number(const char **at, int base, uint64_t most, uint64_t *number) {
    char *end;
    errno = 0;
    *number = strtoull(*at, &end, base);
    bool good = isxdigit((unsigned char)**at) && end != *at && !errno && *number <= most;
    *at = end;
    return good;
}

static bool take_separator(const char **at, char separator) {
    return *(*at)++ == separator;
}

bool ask_parse(const char *text, char separator, struct ask *ask) {
    uint64_t pid;
    *ask = (struct ask){ .all = false };
    bool good = take_number(&text, 10, UINT32_MAX, &pid) && take_separator(&text, separator) &&
                take_number(&text, 16, VM_ADDRESS_END, &ask->address) &&
                take_separator(&text, separator) &&
                take_number(&text, 10, VM_ADDRESS_END >> VM_PAGE_SHIFT, &ask->pages);
    ask->pid = (uint32_t)pid;
    return good && !*text && ask->pages && ask->address % VM_PAGE_SIZE == 0;
}

/* ---------------------------------------------------------------- the answers */

static void ask_frame(struct player *player, uint64_t frame, struct asked *asked) {
    struct vm_stats before, after;
    vm_stats_read(player->world->machine, &before);
    uint64_t begin = player_now();
    asked->hits += vm_page_mappings(player->world->machine, frame, NULL, NULL);
    uint64_t ns = player_now() - begin;
    vm_stats_read(player->world->machine, &after);
    if (after.rmap.walks == before.rmap.walks)
        return; /* nobody maps it, and nobody had to be asked */
    uint64_t visits = after.rmap.object_visits - before.rmap.object_visits;
    asked->pages++;
    asked->ns += ns;
    asked->object_visits += visits;
    asked->empty_walks += after.rmap.empty_walks - before.rmap.empty_walks;
    asked->range_rejects += after.rmap.range_rejects - before.rmap.range_rejects;
    asked->swept += after.reclaim.swept - before.reclaim.swept;
    if (visits > asked->most_visits)
        asked->most_visits = visits;
}

static bool ask_process(struct player *player, const struct ask *ask, struct asked *asked) {
    struct vm_space *space = NULL;
    for (size_t i = 0; i < player->world->process_room && !space; i++)
        if (player->world->processes[i].space && player->world->processes[i].pid == ask->pid)
            space = player->world->processes[i].space;
    for (uint64_t page = 0; space && page < ask->pages; page++) {
        uint64_t address = ask->address + (page << VM_PAGE_SHIFT);
        uint64_t frame = address < VM_ADDRESS_END ? vm_frame_at(space, address) : VM_NO_FRAME;
        if (frame == VM_NO_FRAME)
            asked->absent++;
        else
            ask_frame(player, frame, asked);
    }
    return space != NULL;
}

bool ask_player(struct player *player, const struct ask *ask, struct asked *asked) {
    if (!ask->all)
        return ask_process(player, ask, asked);
    struct vm_stats stats;
    vm_stats_read(player->world->machine, &stats);
    for (uint64_t frame = 0; frame < stats.memory.frames_total; frame++)
        ask_frame(player, frame, asked);
    return true;
}

void ask_take_off(const struct asked *asked, struct vm_stats *stats) {
    stats->rmap.walks -= asked->pages;
    stats->rmap.hits -= asked->hits;
    stats->rmap.object_visits -= asked->object_visits;
    stats->rmap.empty_walks -= asked->empty_walks;
    stats->rmap.range_rejects -= asked->range_rejects;
    stats->reclaim.swept -= asked->swept;
}
