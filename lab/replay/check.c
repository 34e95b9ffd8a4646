/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check.c - a machine against the oracle and against the model, all of it at once.
 *
 * The oracle judges the reverse map. The model judges areas, the pages that the machine's page
 * tables know, the pages that only the model knows (the machine may have lost one), and the objects'
 * pages wherever they are. Looking disturbs nothing, so a check changes no later result.
 */
#include "replay/player.h"

#include "memory.h"
#include "model/areas.h"

#include <objrmap/rmap.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A look at one process. */
struct check {
    struct player *player;
    uint32_t process;
    uint64_t line;
    uint64_t next_private; /* the model's next private page that has not been compared */
    bool private_left;
    enum play play;
    struct check_area *areas; /* the machine's, joined where they could be one */
    size_t area_count, area_room;
};

struct check_area {
    uint64_t start, end, pgoff;
    unsigned protection;
    bool shared;
    const void *object; /* only to tell objects apart */
    uint64_t object_id; /* the trace's; UINT64_MAX for anonymous memory */
};

/* ---------------------------------------------------------------- areas */

static bool continues(const struct check_area *lower, const struct check_area *upper) {
    uint64_t pages = (lower->end - lower->start) >> VM_PAGE_SHIFT;
    return lower->end == upper->start && lower->protection == upper->protection &&
           lower->shared == upper->shared && lower->object == upper->object &&
           (!lower->object || lower->pgoff + pages == upper->pgoff);
}

/* Adds an area to the list, to its last one if the two could be one. */
static void append(struct check_area **list, size_t *count, size_t *room,
                   const struct check_area *area) {
    if (*count && continues(&(*list)[*count - 1], area)) {
        (*list)[*count - 1].end = area->end;
        return;
    }
    *list = grow_array(*list, room, *count + 1, sizeof(**list));
    (*list)[(*count)++] = *area;
}

static bool take_machine_area(const struct vm_area_view *view, void *context) {
    struct check *check = context;
    struct check_area area = {
        view->start,
        view->end,
        view->object ? view->pgoff : 0,
        view->protection,
        view->shared,
        view->object,
        view->object && !view->object_anonymous ? vm_object_id(view->object) : UINT64_MAX,
    };
    append(&check->areas, &check->area_count, &check->area_room, &area);
    return true;
}

static struct check_area *model_list(struct check *check, size_t *count) {
    const struct model_area *areas;
    size_t all = model_areas(check->player->world->model, check->process, &areas), room = 0;
    struct check_area *list = NULL;
    *count = 0;
    for (size_t i = 0; i < all; i++) {
        const struct model_object *object = areas[i].object;
        struct check_area area = {
            areas[i].start,
            areas[i].end,
            object ? areas[i].pgoff : 0,
            areas[i].protection,
            areas[i].shared,
            object,
            object && object->declared ? object->id : UINT64_MAX,
        };
        append(&list, count, &room, &area);
    }
    return list;
}

static bool same_area(const struct check_area *a, const struct check_area *b) {
    return a->start == b->start && a->end == b->end && a->pgoff == b->pgoff &&
           a->protection == b->protection && a->shared == b->shared && a->object_id == b->object_id;
}

static void describe(const struct check_area *area, char *text, size_t bytes) {
    if (!area) {
        snprintf(text, bytes, "nothing");
        return;
    }
    int used = snprintf(text, bytes, "%" PRIx64 "-%" PRIx64 " %c%c%c%c", area->start, area->end,
                        area->protection & VM_PROT_READ ? 'r' : '-',
                        area->protection & VM_PROT_WRITE ? 'w' : '-',
                        area->protection & VM_PROT_EXEC ? 'x' : '-', area->shared ? 's' : 'p');
    if (area->object_id == UINT64_MAX)
        snprintf(text + used, bytes - (size_t)used, " - %" PRIx64, area->pgoff);
    else
        snprintf(text + used, bytes - (size_t)used, " %" PRIu64 " %" PRIx64, area->object_id,
                 area->pgoff);
}

static enum play different_area(struct check *check, const struct check_area *found,
                                const struct check_area *expected) {
    const struct world_process *process = &check->player->world->processes[check->process];
    char found_text[120], expected_text[120];
    describe(found, found_text, sizeof(found_text));
    describe(expected, expected_text, sizeof(expected_text));
    return player_different(check->player,
                            "%s:%" PRIu64 ": process %" PRIu32
                            " (%s): the machine has the area %s, "
                            "expected %s",
                            check->player->world->trace_name, check->line, process->pid,
                            process->name, found_text, expected_text);
}

static enum play check_areas(struct check *check) {
    size_t expected_count;
    struct check_area *expected = model_list(check, &expected_count);
    enum play play = PLAY_ON;
    vm_area_each(check->player->world->processes[check->process].space, take_machine_area, check);
    for (size_t i = 0; play == PLAY_ON && (i < expected_count || i < check->area_count); i++) {
        const struct check_area *want = i < expected_count ? &expected[i] : NULL;
        const struct check_area *have = i < check->area_count ? &check->areas[i] : NULL;
        if (!want || !have || !same_area(want, have))
            play = different_area(check, have, want);
    }
    free(expected);
    return play;
}

/* ---------------------------------------------------------------- pages */

enum play check_page(struct player *player, uint32_t process, uint64_t address, uint64_t line) {
    const struct world_process *who = &player->world->processes[process];
    struct model_view view = model_view(player->world->model, process, address, VM_READ);
    uint64_t head = 0, tail = 0;
    if (view.outcome == VM_SIGSEGV)
        return PLAY_ON; /* no program can look */
    int result = vm_peek(who->space, address, &head, sizeof(head));
    if (result == VM_OK)
        result = vm_peek(who->space, address + STAMP_TAIL_OFFSET, &tail, sizeof(tail));
    if (result != view.outcome)
        return player_different(player,
                                "%s:%" PRIu64 ": process %" PRIu32 " (%s), address %" PRIx64
                                ": looking ends in %s, expected %s",
                                player->world->trace_name, line, who->pid, who->name, address,
                                vm_result_text(result), vm_result_text(view.outcome));
    if (result != VM_OK || (head == view.version && tail == stamp_tail(view.version)) ||
        (view.may_be_discarded && head == 0 && tail == 0))
        return PLAY_ON;
    return player_different(player,
                            "%s:%" PRIu64 ": process %" PRIu32 " (%s), address %" PRIx64
                            ": the page is of version %" PRIx64 " (tail %" PRIx64
                            "), expected %" PRIx64 " (tail %" PRIx64 ")",
                            player->world->trace_name, line, who->pid, who->name, address, head,
                            tail, view.version, stamp_tail(view.version));
}

/* Compares the model's private pages below `end` that the machine's page tables do not know. */
static bool check_privates_below(struct check *check, uint64_t end) {
    while (check->play == PLAY_ON && check->private_left && check->next_private < end) {
        check->play = check_page(check->player, check->process, check->next_private, check->line);
        check->next_private += VM_PAGE_SIZE;
        check->private_left =
            model_next_private(check->player->world->model, check->process, &check->next_private);
    }
    return check->play == PLAY_ON;
}

static bool visit_page(const struct vm_page_view *page, void *context) {
    struct check *check = context;
    if (!check_privates_below(check, page->address))
        return false;
    check->play = check_page(check->player, check->process, page->address, check->line);
    if (check->private_left && check->next_private == page->address) {
        check->next_private += VM_PAGE_SIZE;
        check->private_left =
            model_next_private(check->player->world->model, check->process, &check->next_private);
    }
    return check->play == PLAY_ON;
}

static enum play check_pages(struct check *check) {
    check->next_private = 0;
    check->private_left =
        model_next_private(check->player->world->model, check->process, &check->next_private);
    vm_page_each(check->player->world->processes[check->process].space, 0, VM_ADDRESS_END,
                 visit_page, check);
    check_privates_below(check, VM_ADDRESS_END);
    return check->play;
}

/* The ends of each area, touched or not; and of shared anonymous memory each written page. */
static enum play check_area_pages(struct check *check) {
    const struct model_area *areas;
    size_t count = model_areas(check->player->world->model, check->process, &areas);
    enum play play = PLAY_ON;
    for (size_t i = 0; i < count && play == PLAY_ON; i++) {
        const struct model_area *area = &areas[i];
        play = check_page(check->player, check->process, area->start, check->line);
        if (play == PLAY_ON)
            play = check_page(check->player, check->process, area->end - VM_PAGE_SIZE, check->line);
        if (!area->object || area->object->declared)
            continue;
        uint64_t version, page = area->pgoff;
        uint64_t behind = area->pgoff + ((area->end - area->start) >> VM_PAGE_SHIFT);
        for (;
             play == PLAY_ON && model_next_written(area->object, &page, &version) && page < behind;
             page++)
            play = check_page(check->player, check->process,
                              area->start + ((page - area->pgoff) << VM_PAGE_SHIFT), check->line);
    }
    return play;
}

enum play player_check_process(struct player *player, uint32_t process, uint64_t line) {
    struct check check = { .player = player, .process = process, .line = line, .play = PLAY_ON };
    enum play play = check_areas(&check);
    if (play == PLAY_ON)
        play = check_pages(&check);
    if (play == PLAY_ON)
        play = check_area_pages(&check);
    free(check.areas);
    return play;
}

/* ---------------------------------------------------------------- objects */

static enum play check_object(struct player *player, size_t index, uint64_t line) {
    const struct world_object *object = &player->world->objects[index];
    struct model_object *expected = model_object(player->world->model, (uint32_t)index);
    uint64_t version;
    for (uint64_t page = 0; model_next_written(expected, &page, &version); page++) {
        uint64_t head = 0, tail = 0, offset = page << VM_PAGE_SHIFT;
        int result = vm_object_peek(object->object, offset, &head, sizeof(head));
        if (result == VM_OK)
            result =
                vm_object_peek(object->object, offset + STAMP_TAIL_OFFSET, &tail, sizeof(tail));
        if (result != VM_OK || head != version || tail != stamp_tail(version))
            return player_different(
                player,
                "%s:%" PRIu64 ": object %" PRIu32 ", page %" PRIx64 ": %s, version %" PRIx64
                " (tail %" PRIx64 "), expected %" PRIx64 " (tail %" PRIx64 ")",
                player->world->trace_name, line, object->id, page, vm_result_text(result), head,
                tail, version, stamp_tail(version));
    }
    return PLAY_ON;
}

/* ---------------------------------------------------------------- the oracle */

static void note_difference(const char *difference, void *context) {
    struct player *player = context;
    if (!player->failure[0])
        player_different(player, "%s", difference);
}

static enum play check_oracle(struct player *player, uint64_t line) {
    player->failure[0] = '\0';
    uint64_t differences = vm_verify(player->world->machine, note_difference, player);
    if (!differences)
        return PLAY_ON;
    char first[sizeof(player->failure)];
    memcpy(first, player->failure, sizeof(first));
    return player_different(player,
                            "%s:%" PRIu64 ": the reverse map and the oracle differ in %" PRIu64
                            " places; the first: %.300s",
                            player->world->trace_name, line, differences, first);
}

enum play player_check(struct player *player, uint64_t line) {
    enum play play = check_oracle(player, line);
    player->checks++;
    if (!player->world->model)
        return play;
    for (size_t i = 0; play == PLAY_ON && i < player->world->process_room; i++)
        if (player->world->processes[i].space)
            play = player_check_process(player, (uint32_t)i, line);
    for (size_t i = 0; play == PLAY_ON && i < player->world->object_room; i++)
        if (player->world->objects[i].object)
            play = check_object(player, i, line);
    return play;
}
