/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_page_map.c - a page map against a plain array, through random calls; copies must stay apart.
 */
#include "model/page_map.h"

#include "harness/dice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

enum { PAGES = 700, STEPS = 200000, MAPS = 3 };

struct pair {
    struct page_map map;
    uint64_t values[PAGES];
};

static struct dice dice = { 1 };

static uint64_t below(uint64_t limit) {
    return dice_below(&dice, limit);
}

static void compare(struct pair *pair) {
    uint64_t page = 0, value;
    for (uint64_t i = 0; i < PAGES; i++) {
        assert_int_equal(page_map_get(&pair->map, i), pair->values[i]);
        if (!pair->values[i])
            continue;
        assert_true(page_map_next(&pair->map, &page, &value));
        assert_int_equal(page, i);
        assert_int_equal(value, pair->values[i]);
        page++;
    }
    assert_false(page_map_next(&pair->map, &page, &value));
}

static void clear(struct pair *pair) {
    uint64_t first = below(PAGES), end = first + below(PAGES - first + 1);
    page_map_clear(&pair->map, first, end);
    memset(&pair->values[first], 0, (end - first) * sizeof(uint64_t));
}

static void move(struct pair *pair) {
    uint64_t pages = below(PAGES / 2), from = below(PAGES / 2 - pages + 1);
    uint64_t to = PAGES / 2 + below(PAGES / 2 - pages + 1);
    page_map_clear(&pair->map, to, to + pages);
    page_map_move(&pair->map, from, pages, to);
    memcpy(&pair->values[to], &pair->values[from], pages * sizeof(uint64_t));
    memset(&pair->values[from], 0, pages * sizeof(uint64_t));
}

static void copy(struct pair *to, const struct pair *from) {
    page_map_free(&to->map);
    page_map_copy(&to->map, &from->map);
    memcpy(to->values, from->values, sizeof(to->values));
}

static void step(struct pair *pairs) {
    struct pair *pair = &pairs[below(MAPS)], *other = &pairs[below(MAPS)];
    uint64_t what = below(1000), page = below(PAGES);
    if (what < 900) {
        pair->values[page] = below(4) ? dice_roll(&dice) : 0;
        page_map_set(&pair->map, page, pair->values[page]);
    } else if (what < 960) {
        assert_int_equal(page_map_get(&pair->map, page), pair->values[page]);
    } else if (what < 970) {
        clear(pair);
    } else if (what < 980) {
        move(pair);
    } else if (what < 985 && pair != other) {
        copy(pair, other);
    } else if (what < 990) {
        compare(pair);
    }
}

static void test_random(void **state) {
    (void)state;
    static struct pair pairs[MAPS];
    for (int i = 0; i < STEPS; i++)
        step(pairs);
    for (int i = 0; i < MAPS; i++) {
        compare(&pairs[i]);
        page_map_free(&pairs[i].map);
    }
}

/* Page numbers of 52 bits. */
static void test_far_apart(void **state) {
    (void)state;
    struct page_map map = { 0 };
    uint64_t far = (UINT64_C(1) << 52) - 2, page = 1, value;
    page_map_set(&map, 0, 5);
    page_map_set(&map, far, 6);
    assert_int_equal(page_map_get(&map, far), 6);
    assert_true(page_map_next(&map, &page, &value));
    assert_int_equal(page, far);
    page_map_clear(&map, 1, (UINT64_C(1) << 52) - 1);
    assert_int_equal(page_map_get(&map, far), 0);
    assert_int_equal(page_map_get(&map, 0), 5);
    page_map_free(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_far_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
