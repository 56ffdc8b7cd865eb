/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suggestions; those of PostgREST's own tests and documentation among them.
 */
#include "rest/fuzzy.h"

#include "test.h"

static struct hs_str best(const char *asked, enum rest_fuzzy_least least, const char *const *names)
{
    struct rest_fuzzy fuzzy;

    rest_fuzzy_start(&fuzzy, hs_str(asked), least);
    for (; *names; names++)
        rest_fuzzy_offer(&fuzzy, hs_str(*names));
    return fuzzy.best;
}

static void test_suggestions(void **state)
{
    static const char *const names[] = {"clients", "projects", "projects_view",
                                        "tasks",   "öl",       NULL};
    static const struct {
        const char *asked;
        enum rest_fuzzy_least least;
        const char *expected; /* NULL = none */
    } rows[] = {
        {"projectx", REST_FUZZY_CLOSE, "projects"},
        {"projecxx", REST_FUZZY_CLOSE, "projects"},
        {"projxxxx", REST_FUZZY_CLOSE, NULL},
        {"projxxxx", REST_FUZZY_LOOSE, "projects"},
        {"client", REST_FUZZY_LOOSE, "clients"},
        {"CLIENT", REST_FUZZY_CLOSE, "clients"},
        {"tasks", REST_FUZZY_CLOSE, "tasks"},
        {"zzz", REST_FUZZY_LOOSE, NULL},
        {"", REST_FUZZY_LOOSE, NULL},
        {"öll", REST_FUZZY_LOOSE, "öl"},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct hs_str got = best(rows[i].asked, rows[i].least, names);

        if (rows[i].expected)
            assert_str(got, hs_str(rows[i].expected));
        else
            assert_null(got.p);
    }
}

/* Letters in a row count first: a nearer name that shares only two is second. */
static void test_three_letters_win(void **state)
{
    static const char *const names[] = {"xabxd", "abcdefgh", NULL};

    (void)state;
    assert_str(best("abcd", REST_FUZZY_LOOSE, names), HS_STR("abcdefgh"));
}

/* Equally near, as PostgREST 12 was seen to choose. */
static void test_ties(void **state)
{
    static const char *const names[] = {"halls", "loans", NULL};
    static const char *const alike[] = {"abcx", "xbcd", "abxd", NULL};

    (void)state;
    assert_str(best("crates", REST_FUZZY_LOOSE, names), HS_STR("loans"));
    /* -ab and abc of the first, cd- and bcd of the second, -ab alone of the third. */
    assert_str(best("abcd", REST_FUZZY_LOOSE, alike), HS_STR("xbcd"));
}

static void test_long_names(void **state)
{
    char text[REST_FUZZY_MAX + 2];
    struct rest_fuzzy fuzzy;

    (void)state;
    memset(text, 'a', sizeof(text));
    rest_fuzzy_start(&fuzzy, hs_strn(text, REST_FUZZY_MAX), REST_FUZZY_LOOSE);
    rest_fuzzy_offer(&fuzzy, hs_strn(text, REST_FUZZY_MAX + 1));
    assert_null(fuzzy.best.p);
    rest_fuzzy_offer(&fuzzy, hs_strn(text, REST_FUZZY_MAX));
    assert_int_equal(fuzzy.best.n, REST_FUZZY_MAX);
    assert_true(fuzzy.is_exact);
}

static void test_distance(void **state)
{
    (void)state;
    assert_int_equal(rest_fuzzy_distance(HS_STR("kitten"), HS_STR("sitting")), 3);
    assert_int_equal(rest_fuzzy_distance(HS_STR(""), HS_STR("ab")), 2);
    assert_int_equal(rest_fuzzy_distance(HS_STR("AB"), HS_STR("ab")), 2);
    assert_int_equal(rest_fuzzy_distance(HS_STR("Ünï"), HS_STR("Ün")), 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suggestions), cmocka_unit_test(test_three_letters_win),
        cmocka_unit_test(test_ties),        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_distance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
