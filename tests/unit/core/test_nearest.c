/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/nearest: which name is meant, and when it is better to say nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/nearest.h"

static const char *const names[] = {"clients", "client_notes", "invoices", "staff", "id", "ab"};

static void test_table(void **state)
{
    static const struct {
        const char *asked;
        const char *best; /* NULL: nothing is near */
        unsigned distance;
    } rows[] = {
        {"clients", "clients", 0},
        {"CLIENTS", "clients", 0},
        {"client", "clients", 1},   /* one letter missing */
        {"clientss", "clients", 1}, /* one too many */
        {"cliemts", "clients", 1},  /* one wrong */
        {"cilents", "clients", 1},  /* two swapped */
        {"stfaf", "staff", 1},
        {"invocies", "invoices", 1},
        {"clientnotes", "client_notes", 1},
        {"di", "id", 1},
        {"zzzzzz", NULL, 0},
        {"appointments", NULL, 0},
        {"", NULL, 0},
        {"x", NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct hs_nearest near;
        struct hs_str best;

        hs_nearest_start(&near, hs_str(rows[i].asked));
        for (size_t j = 0; j < HS_LEN(names); j++)
            hs_nearest_offer(&near, hs_str(names[j]));
        best = hs_nearest_best(&near);
        if (rows[i].best ? !hs_str_is(best, rows[i].best) : best.p != NULL)
            fail_msg("%s: %.*s, not %s", rows[i].asked, HS_FMT(best), rows[i].best);
        if (rows[i].best)
            assert_int_equal(near.distance, rows[i].distance);
    }
}

static void test_bounds(void **state)
{
    char longest[HS_NEAREST_MAX + 1];
    struct hs_nearest near;

    (void)state;
    memset(longest, 'a', sizeof(longest));
    hs_nearest_start(&near, hs_strn(longest, HS_NEAREST_MAX));
    assert_null(hs_nearest_best(&near).p);
    hs_nearest_offer(&near, hs_strn(longest, HS_NEAREST_MAX + 1));
    assert_null(hs_nearest_best(&near).p);
    hs_nearest_offer(&near, HS_STR(""));
    assert_null(hs_nearest_best(&near).p);
    hs_nearest_offer(&near, hs_strn(longest, HS_NEAREST_MAX - 1));
    assert_int_equal(hs_nearest_best(&near).n, HS_NEAREST_MAX - 1);
    hs_nearest_start(&near, hs_strn(longest, HS_NEAREST_MAX + 1));
    hs_nearest_offer(&near, hs_strn(longest, HS_NEAREST_MAX));
    assert_null(hs_nearest_best(&near).p);
}

static void test_first_of_equals(void **state)
{
    struct hs_nearest near;

    (void)state;
    hs_nearest_start(&near, HS_STR("abc"));
    hs_nearest_offer(&near, HS_STR("abd"));
    hs_nearest_offer(&near, HS_STR("abe"));
    assert_true(hs_str_is(hs_nearest_best(&near), "abd"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_first_of_equals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
