/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the grammar of the PostgREST dialect refuses, and in which words: place and complaint are those of
 * PostgREST, most of them from the examples beside its parsers and from its specs.
 */
#include "rest/ask.h"

#include <string.h>

#include "core/buf.h"
#include "test.h"

struct test_case {
    const char *query;
    const char *message;
    const char *details;
};

static struct hs_arena arena;

static void check(enum rest_use use, const struct test_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct rest_ask ask;
        struct hs_err err;

        hs_err_clear(&err);
        if (rest_ask_read(use, hs_str(cases[i].query), &arena, &ask, &err) != HS_E_PGRST100)
            fail_msg("%s is not refused", cases[i].query);
        if (strcmp(err.what, cases[i].message) != 0 || strcmp(err.why, cases[i].details) != 0)
            fail_msg("%s\nsays     %s: %s\nnot as   %s: %s", cases[i].query, err.what, err.why,
                     cases[i].message, cases[i].details);
        hs_arena_reset(&arena);
    }
}

#define CHECK(use, ...)                                         \
    do {                                                        \
        static const struct test_case cases_[] = {__VA_ARGS__}; \
                                                                \
        check(use, cases_, HS_LEN(cases_));                     \
    } while (0)

static void test_filters(void **state)
{
    (void)state;
    CHECK(REST_FOR_ROWS,
          {"id=0", "\"failed to parse filter (0)\" (line 1, column 1)",
           "unexpected \"0\" expecting \"not\" or operator (eq, gt, ...)"},
          {"a.b=noop.0", "\"failed to parse filter (noop.0)\" (line 1, column 1)",
           "unexpected \"o\" expecting \"not\" or operator (eq, gt, ...)"},
          {"a=fts().value", "\"failed to parse filter (fts().value)\" (line 1, column 5)",
           "unexpected \")\" expecting operator (eq, gt, ...)"},
          {"a=eq().value", "\"failed to parse filter (eq().value)\" (line 1, column 4)",
           "unexpected \")\" expecting operator (eq, gt, ...)"},
          {"a=is().value", "\"failed to parse filter (is().value)\" (line 1, column 3)",
           "unexpected \"(\" expecting operator (eq, gt, ...)"},
          {"a=in().value", "\"failed to parse filter (in().value)\" (line 1, column 3)",
           "unexpected \"(\" expecting operator (eq, gt, ...)"},
          {"a=", "\"failed to parse filter ()\" (line 1, column 1)",
           "unexpected end of input expecting \"not\" or operator (eq, gt, ...)"},
          {"a=in.5", "\"failed to parse filter (in.5)\" (line 1, column 4)",
           "unexpected \"5\" expecting \"(\""},
          {"a=in.(1,2", "\"failed to parse filter (in.(1,2)\" (line 1, column 8)",
           "unexpected end of input expecting \",\" or \")\""},
          {"a=is.x", "\"failed to parse filter (is.x)\" (line 1, column 4)",
           "unexpected \"x\" expecting isVal: (null, not_null, true, false, unknown)"},
          {"a=eq%20", "\"failed to parse filter (eq )\" (line 1, column 3)",
           "unexpected \" \" expecting operator (eq, gt, ...)"},
          {"!=eq.1", "\"failed to parse tree path (!)\" (line 1, column 1)",
           "unexpected \"!\" expecting field name (* or [a..z0..9_$])"},
          {"a=\xc3\xa9q.1", "\"failed to parse filter (\xc3\xa9q.1)\" (line 1, column 1)",
           "unexpected \"\\233\" expecting \"not\" or operator (eq, gt, ...)"});
}

static void test_call(void **state)
{
    (void)state;
    CHECK(REST_FOR_CALL,
          {"a=in.foo", "\"failed to parse filter (in.foo)\" (line 1, column 4)",
           "unexpected \"f\" expecting \"(\""},
          {"a=not.foo", "\"failed to parse filter (not.foo)\" (line 1, column 5)",
           "unexpected \"f\" expecting operator (eq, gt, ...)"});
}

static void test_select(void **state)
{
    (void)state;
    CHECK(
        REST_FOR_ROWS,
        {"select=id,clients(name[])",
         "\"failed to parse select parameter (id,clients(name[]))\" (line 1, column 16)",
         "unexpected '[' expecting letter, digit, \"-\", \"->>\", \"->\", \"::\", \".\", \")\", \",\" or end "
         "of input"},
        {"select=data->>-78xy",
         "\"failed to parse select parameter (data->>-78xy)\" (line 1, column 11)",
         "unexpected 'x' expecting digit, \"->\", \"::\", \".\", \",\" or end of input"},
        {"select=data->>--34",
         "\"failed to parse select parameter (data->>--34)\" (line 1, column 9)",
         "unexpected \"-\" expecting digit"},
        {"select=data->(!@%23$%25^%26*_d->>!@%23$%25^%26*_e::integer",
         "\"failed to parse select parameter (data->(!@#$%^&*_d->>!@#$%^&*_e::integer)\" (line 1, "
         "column 7)",
         "unexpected \"(\" expecting \"-\", digit or any non reserved character different from: .,>()"},
        {"select=name!hint", "\"failed to parse select parameter (name!hint)\" (line 1, column 5)",
         "unexpected '!' expecting letter, digit, \"-\", \"->>\", \"->\", \"::\", \".\", \")\", \",\" or end "
         "of input"},
        {"select=name::", "\"failed to parse select parameter (name::)\" (line 1, column 7)",
         "unexpected end of input expecting letter or digit"});
}

static void test_logic(void **state)
{
    (void)state;
    CHECK(
        REST_FOR_ROWS,
        {"or=()", "\"failed to parse logic tree (())\" (line 1, column 4)",
         "unexpected \")\" expecting field name (* or [a..z0..9_$]), negation operator (not) or "
         "logic operator (and, or)"},
        {"or=(id.in.1,2,id.eq.3)",
         "\"failed to parse logic tree ((id.in.1,2,id.eq.3))\" (line 1, column 10)",
         "unexpected \"1\" expecting \"(\""},
        {"or=)(", "\"failed to parse logic tree ()()\" (line 1, column 3)",
         "unexpected \")\" expecting \"(\""},
        {"and=(ord(id.eq.1,id.eq.1),id.eq.2)",
         "\"failed to parse logic tree ((ord(id.eq.1,id.eq.1),id.eq.2))\" (line 1, column 7)",
         "unexpected \"d\" expecting \"(\""},
        {"or=(id.eq.1,not.xor(id.eq.2,id.eq.3))",
         "\"failed to parse logic tree ((id.eq.1,not.xor(id.eq.2,id.eq.3)))\" (line 1, column 16)",
         "unexpected \"x\" expecting logic operator (and, or)"});
}

static void test_order_and_names(void **state)
{
    (void)state;
    CHECK(
        REST_FOR_ROWS,
        {"order=", "\"failed to parse order ()\" (line 1, column 1)",
         "unexpected end of input expecting field name (* or [a..z0..9_$])"},
        {"order=clients(name,id)",
         "\"failed to parse order (clients(name,id))\" (line 1, column 8)",
         "unexpected '(' expecting letter, digit, \"-\", \"->>\", \"->\", delimiter (.), \",\" or end of "
         "input"},
        {"order=id.ac", "\"failed to parse order (id.ac)\" (line 1, column 4)",
         "unexpected \"c\" expecting \"asc\", \"desc\", \"nullsfirst\" or \"nullslast\""},
        {"order=id.descc", "\"failed to parse order (id.descc)\" (line 1, column 8)",
         "unexpected 'c' expecting delimiter (.), \",\" or end of input"},
        {"order=id.nulsfist", "\"failed to parse order (id.nulsfist)\" (line 1, column 4)",
         "unexpected \"n\" expecting \"asc\", \"desc\", \"nullsfirst\" or \"nullslast\""},
        {"order=id.nullslasttt", "\"failed to parse order (id.nullslasttt)\" (line 1, column 13)",
         "unexpected 't' expecting \",\" or end of input"},
        {"order=id.asc.nlsfst", "\"failed to parse order (id.asc.nlsfst)\" (line 1, column 8)",
         "unexpected \"l\" expecting \"nullsfirst\" or \"nullslast\""},
        {"order=id.asc.smth34", "\"failed to parse order (id.asc.smth34)\" (line 1, column 8)",
         "unexpected \"s\" expecting \"nullsfirst\" or \"nullslast\""},
        {"columns=", "\"failed to parse columns parameter ()\" (line 1, column 1)",
         "unexpected end of input expecting field name (* or [a..z0..9_$])"},
        {"on_conflict=a,!", "\"failed to parse on_conflict parameter (a,!)\" (line 1, column 3)",
         "unexpected \"!\" expecting field name (* or [a..z0..9_$])"});
}

/* Of several mistakes, that of the kind which PostgREST reads first. */
static void test_which(void **state)
{
    (void)state;
    CHECK(REST_FOR_ROWS,
          {"a=x&select=!&order=!", "\"failed to parse order (!)\" (line 1, column 1)",
           "unexpected \"!\" expecting field name (* or [a..z0..9_$])"},
          {"on_conflict=!&a=x", "\"failed to parse filter (x)\" (line 1, column 1)",
           "unexpected \"x\" expecting \"not\" or operator (eq, gt, ...)"});
}

static void repeat(struct hs_buf *out, const char *text, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        hs_buf_add(out, hs_str(text));
}

/* At `n` repetitions it is read, with one more it is refused in these words. */
static void check_limit(const char *head, const char *each, const char *middle, const char *tail,
                        unsigned n, const char *message)
{
    struct hs_buf query;
    struct hs_err err;
    struct rest_ask ask;

    hs_buf_init(&query, 1 << 20);
    for (unsigned more = 0; more < 2; more++) {
        hs_buf_clear(&query);
        hs_buf_add(&query, hs_str(head));
        repeat(&query, each, n + more);
        hs_buf_add(&query, hs_str(middle));
        repeat(&query, tail, n + more);
        hs_err_clear(&err);
        if (rest_ask_read(REST_FOR_ROWS, hs_buf_str(&query), &arena, &ask, &err) !=
            (more ? HS_E_PGRST100 : HS_OK))
            fail_msg("%s...: %u is %s: %s; %s", head, n + more, more ? "read" : "refused", err.what,
                     err.why);
        if (more)
            assert_string_equal(err.what, message);
        hs_arena_reset(&arena);
    }
    hs_buf_fini(&query);
}

static void test_limits(void **state)
{
    (void)state;
    check_limit("select=", "a(", "b", ")", REST_DEPTH_MAX,
                "the query has too many embeds in each other");
    check_limit("and=", "(or", "(a.eq.1)", ")", REST_DEPTH_MAX - 1,
                "the query has too many and/or in each other");
    check_limit("", "a.", "b=eq.1", "", REST_DEPTH_MAX,
                "the query has too many embeds in each other");
    check_limit("select=a", ",b()", "", "", REST_EMBEDS_MAX, "the query has too many embeds");
    check_limit("select=a", ",a", "", "", REST_ITEMS_MAX - 1,
                "the query has too many elements in select");
    check_limit("order=a", ",a", "", "", REST_ITEMS_MAX - 1,
                "the query has too many elements in order");
    check_limit("columns=a", ",a", "", "", REST_ITEMS_MAX - 1,
                "the query has too many names in one list");
    check_limit("", "a=eq.1&", "", "", REST_FILTERS_MAX, "the query has too many filters");
    check_limit("a=in.(1", ",1", ")", "", REST_VALUES_MAX - 1,
                "the query has too many values in one list");
    check_limit("a=eq(any).{1", ",1", "}", "", REST_VALUES_MAX - 1,
                "the query has too many values in one list");
    check_limit("select=a", "->b", "", "", REST_STEPS_MAX,
                "the query has too many steps into JSON behind one column");
}

static void test_too_many_embeds(void **state)
{
    struct hs_buf query;
    struct hs_err err;
    struct rest_ask ask;

    (void)state;
    hs_buf_init(&query, 1 << 16);
    for (unsigned i = 1; i < REST_SCOPES_MAX; i++)
        hs_buf_printf(&query, "a%u.limit=1&", i);
    assert_int_equal(rest_ask_read(REST_FOR_ROWS, hs_buf_str(&query), &arena, &ask, &err), HS_OK);
    hs_buf_add_lit(&query, "b.limit=1");
    assert_int_equal(rest_ask_read(REST_FOR_ROWS, hs_buf_str(&query), &arena, &ask, &err),
                     HS_E_PGRST100);
    assert_string_equal(err.what, "the query speaks of too many embeds");
    hs_buf_clear(&query);
    repeat(&query, "&", 4000);
    assert_int_equal(rest_ask_read(REST_FOR_ROWS, hs_buf_str(&query), &arena, &ask, &err),
                     HS_E_PGRST100);
    assert_string_equal(err.what, "the query has too many parameters");
    hs_arena_reset(&arena);
    hs_buf_fini(&query);
}

static void test_negative_limit(void **state)
{
    struct hs_err err;
    struct rest_ask ask;

    (void)state;
    assert_int_equal(rest_ask_read(REST_FOR_ROWS, HS_STR("limit=-1"), &arena, &ask, &err),
                     HS_E_PGRST103);
    assert_string_equal(err.what, "Requested range not satisfiable");
    assert_string_equal(err.why, "Limit should be greater than or equal to zero.");
    assert_int_equal(hs_err_http(&err), 416);
}

static void test_encoding(void **state)
{
    static const char *const queries[] = {"a=eq.%00", "a=eq.%ff", "%c0%80=eq.1"};

    (void)state;
    for (size_t i = 0; i < HS_LEN(queries); i++) {
        struct rest_ask ask;

        assert_int_equal(rest_ask_read(REST_FOR_ROWS, hs_str(queries[i]), &arena, &ask, NULL),
                         HS_E_BAD_ENCODING);
    }
}

/* A long value is cut, the place behind it is not. */
static void test_long(void **state)
{
    struct hs_buf query;
    struct hs_err err;
    struct rest_ask ask;

    (void)state;
    hs_buf_init(&query, 1 << 16);
    hs_buf_add_lit(&query, "select=a!");
    repeat(&query, "\xe2\x82\xac", 400);
    assert_int_equal(rest_ask_read(REST_FOR_ROWS, hs_buf_str(&query), &arena, &ask, &err),
                     HS_E_PGRST100);
    assert_non_null(strstr(err.what, "...)\" (line 1, column 2)"));
    hs_arena_reset(&arena);
    hs_buf_fini(&query);
}

static void test_no_memory(void **state)
{
    static const char query[] =
        "select=a,b(c->d),\"e\"::text&x=in.(1,2)&or=(a.eq.\"1\",b.like.*)&y.order=z&"
        "columns=a&limit=3";
    bool is_read = false;

    (void)state;
    for (size_t max = 0; !is_read; max += 64) {
        struct hs_arena small;
        struct rest_ask ask;
        struct hs_err err;
        hs_status status;

        hs_arena_init(&small, max);
        status = rest_ask_read(REST_FOR_ROWS, hs_str(query), &small, &ask, &err);
        assert_true(status == HS_OK || status == HS_E_MEMORY);
        is_read = status == HS_OK;
        hs_arena_fini(&small);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_call),
        cmocka_unit_test(test_select),
        cmocka_unit_test(test_logic),
        cmocka_unit_test(test_order_and_names),
        cmocka_unit_test(test_which),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_too_many_embeds),
        cmocka_unit_test(test_negative_limit),
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_no_memory),
    };
    int failed;

    hs_arena_init(&arena, 1 << 24);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    hs_arena_fini(&arena);
    return failed;
}
