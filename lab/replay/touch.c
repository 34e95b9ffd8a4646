/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * touch.c - a trace's touches.
 *
 * Without contents a run of pages is one vm_touch(). With contents each page is written with a
 * version of its own, or read and compared with the model, and so is the outcome.
 *
 * A page that cannot be touched is skipped, and with it the pages that must fail alike: a run may
 * be as long as the address space, and most of it may be nothing.
 */
#include "replay/player.h"

#include <objrmap/rmap.h>

#include <inttypes.h>

enum { SHORT_RUN = 16 };

/* ---------------------------------------------------------------- failing touches */

struct failing {
    uint64_t address, pages;
    int result;
};

static uint64_t pages_between(uint64_t start, uint64_t end) {
    return (end - start) >> VM_PAGE_SHIFT;
}

/* The first area that ends behind the address decides: it is a hole's end, or the failing one. */
static bool visit_area(const struct vm_area_view *area, void *context) {
    struct failing *failing = context;
    if (area->start > failing->address) {
        failing->pages = pages_between(failing->address, area->start);
        return false;
    }
    uint64_t page = area->pgoff + pages_between(area->start, failing->address);
    uint64_t size = area->object ? vm_object_size(area->object) : 0;
    bool beyond_end = area->object && page >= (size + VM_PAGE_SIZE - 1) >> VM_PAGE_SHIFT;
    if (failing->result == VM_SIGSEGV || beyond_end)
        failing->pages = pages_between(failing->address, area->end);
    else
        failing->pages = 1;
    return false;
}

/* How many of the next `pages` pages fail as the first one did. */
static uint64_t count_failing(struct vm_space *space, uint64_t address, uint64_t pages,
                              int result) {
    if (pages <= SHORT_RUN)
        return 1;
    struct failing failing = { address, pages, result };
    vm_area_each_from(space, address, visit_area, &failing);
    return failing.pages < pages ? failing.pages : pages;
}

/* Returns how many pages to skip. */
static uint64_t signalled(struct player *player, struct vm_space *space, uint64_t address,
                          uint64_t pages, int result) {
    uint64_t failing = count_failing(space, address, pages, result);
    if (result == VM_SIGSEGV)
        player->segv += failing;
    else
        player->bus += failing;
    return failing;
}

static enum play unexpected(struct player *player, const struct player_touch *touch,
                            uint64_t address, int result) {
    if (result == VM_OOM)
        return player_out_of_memory(player, touch->process, touch->line, "a touched page");
    const struct world_process *process = &player->world->processes[touch->process];
    return player_different(player,
                            "%s:%" PRIu64 ": process %" PRIu32 " (%s), address %" PRIx64
                            ": a touch ends in %s, which no touch may",
                            player->world->trace_name, touch->line, process->pid, process->name,
                            address, vm_result_text(result));
}

/* ---------------------------------------------------------------- metadata only */

static enum play touch_metadata(struct player *player, const struct player_touch *touch) {
    struct vm_space *space = player->world->processes[touch->process].space;
    uint64_t address = touch->address, pages = touch->pages;
    while (pages) {
        uint64_t touched = 0;
        int result = vm_touch(space, address, pages, touch->access, &touched);
        player->pages_touched += touched;
        if (result == VM_OK)
            break;
        address += touched << VM_PAGE_SHIFT;
        pages -= touched;
        if (player_try_again(player, result))
            continue;
        if (result != VM_SIGSEGV && result != VM_SIGBUS)
            return unexpected(player, touch, address, result);
        uint64_t skipped = signalled(player, space, address, pages, result);
        address += skipped << VM_PAGE_SHIFT;
        pages -= skipped;
    }
    return PLAY_ON;
}

/* ---------------------------------------------------------------- with contents */

static enum play wrong_outcome(struct player *player, const struct player_touch *touch,
                               uint64_t address, int result, int expected) {
    const struct world_process *process = &player->world->processes[touch->process];
    return player_different(player,
                            "%s:%" PRIu64 ": process %" PRIu32 " (%s), address %" PRIx64
                            ": a %s ends in %s, expected %s",
                            player->world->trace_name, touch->line, process->pid, process->name,
                            address, touch->access == VM_WRITE ? "store" : "load",
                            vm_result_text(result), vm_result_text(expected));
}

static enum play wrong_contents(struct player *player, const struct player_touch *touch,
                                uint64_t address, uint64_t head, uint64_t tail,
                                const struct model_view *view) {
    const struct world_process *process = &player->world->processes[touch->process];
    return player_different(player,
                            "%s:%" PRIu64 ": process %" PRIu32 " (%s), address %" PRIx64
                            ": a load finds version %" PRIx64 " (tail %" PRIx64
                            "), expected %" PRIx64 " (tail %" PRIx64 ")",
                            player->world->trace_name, touch->line, process->pid, process->name,
                            address, head, tail, view->version, stamp_tail(view->version));
}

/* No other write has this one, and it depends on nothing but the trace. */
static uint64_t version_of(const struct player_touch *touch, uint64_t address) {
    return touch->version + pages_between(touch->address, address);
}

static int write_page(struct player *player, const struct player_touch *touch, uint64_t address) {
    struct vm_space *space = player->world->processes[touch->process].space;
    uint64_t head = version_of(touch, address), tail = stamp_tail(head);
    int result = vm_write(space, address, &head, sizeof(head));
    if (result == VM_OK)
        result = vm_write(space, address + STAMP_TAIL_OFFSET, &tail, sizeof(tail));
    return result;
}

static int read_page(struct player *player, const struct player_touch *touch, uint64_t address,
                     uint64_t *head, uint64_t *tail) {
    struct vm_space *space = player->world->processes[touch->process].space;
    int result = vm_read(space, address, head, sizeof(*head));
    if (result == VM_OK)
        result = vm_read(space, address + STAMP_TAIL_OFFSET, tail, sizeof(*tail));
    return result;
}

static bool shows(const struct model_view *view, uint64_t head, uint64_t tail) {
    if (view->may_be_discarded && head == 0 && tail == 0)
        return true;
    return head == view->version && tail == stamp_tail(view->version);
}

/* One page. `*result` is the machine's, which is also the model's when PLAY_ON is returned. */
static enum play touch_page(struct player *player, const struct player_touch *touch,
                            uint64_t address, int *result) {
    struct model *model = player->world->model;
    struct model_view view = model_view(model, touch->process, address, touch->access);
    uint64_t head = 0, tail = 0;
    if (view.shared && player->take_turn) {
        player_take_turn(player);
        view = model_view(model, touch->process, address, touch->access);
    }
    do
        *result = touch->access == VM_WRITE ? write_page(player, touch, address)
                                            : read_page(player, touch, address, &head, &tail);
    while (player_try_again(player, *result));
    player->touch_result = *result;
    if (*result == VM_OOM)
        return unexpected(player, touch, address, *result);
    if (*result != view.outcome)
        return wrong_outcome(player, touch, address, *result, view.outcome);
    if (*result != VM_OK)
        return PLAY_ON;
    player->pages_touched++;
    if (touch->access == VM_WRITE)
        model_write(model, touch->process, address, version_of(touch, address));
    else if (!shows(&view, head, tail))
        return wrong_contents(player, touch, address, head, tail, &view);
    return PLAY_ON;
}

static enum play touch_contents(struct player *player, const struct player_touch *touch) {
    struct vm_space *space = player->world->processes[touch->process].space;
    uint64_t address = touch->address, pages = touch->pages;
    while (pages) {
        int result;
        enum play play = touch_page(player, touch, address, &result);
        if (play != PLAY_ON)
            return play;
        uint64_t done = 1;
        if (result != VM_OK)
            done = signalled(player, space, address, pages, result);
        address += done << VM_PAGE_SHIFT;
        pages -= done;
    }
    return PLAY_ON;
}

enum play touch_pages(struct player *player, const struct player_touch *touch) {
    return player->world->model ? touch_contents(player, touch) : touch_metadata(player, touch);
}
