/* SPDX-License-Identifier: Apache-2.0 */
/* Prefer and Preference-Applied. */
#include "rest/prefer.h"

#include "test.h"

enum { APPLIES_ALL = 15 };

/* Up to two lines of Prefer among other headers. */
static hs_status read_lines(const char *first, const char *second, bool may_choose_tx,
                            struct rest_prefer *prefer, struct hs_err *err)
{
    struct http_header headers[] = {{HS_STR("Accept"), HS_STR("count=exact")},
                                    {HS_STR("Prefer"), hs_str(first)},
                                    {HS_STR("preferred"), HS_STR("tx=commit")},
                                    {HS_STR("pREFER"), hs_str(second)}};

    hs_err_clear(err);
    return rest_prefer_read(headers, HS_LEN(headers), may_choose_tx, prefer, err);
}

static void check_applied(const char *line, unsigned applies, const char *expected)
{
    struct rest_prefer prefer;
    struct hs_err err;
    struct hs_buf out;

    hs_buf_init(&out, 1 << 12);
    hs_buf_add_lit(&out, "X: y\r\n");
    assert_int_equal(read_lines(line, "", true, &prefer, &err), HS_OK);
    rest_prefer_applied(&prefer, applies, &out);
    assert_str(hs_str_sub(hs_buf_str(&out), 6, out.n), hs_str(expected));
    hs_buf_fini(&out);
}

static void test_each(void **state)
{
    static const char *const words[] = {"resolution=merge-duplicates",
                                        "resolution=ignore-duplicates",
                                        "missing=default",
                                        "missing=null",
                                        "return=representation",
                                        "return=minimal",
                                        "return=headers-only",
                                        "count=exact",
                                        "count=planned",
                                        "count=estimated",
                                        "tx=commit",
                                        "tx=rollback",
                                        "handling=strict",
                                        "handling=lenient",
                                        "timezone=Europe/Vienna"};

    (void)state;
    for (size_t i = 0; i < HS_LEN(words); i++) {
        char expected[80];

        (void)snprintf(expected, sizeof(expected), "Preference-Applied: %s\r\n", words[i]);
        check_applied(words[i], APPLIES_ALL, expected);
    }
}

static void test_fields(void **state)
{
    struct rest_prefer p;
    struct hs_err err;

    (void)state;
    assert_int_equal(read_lines("return=headers-only,count=planned ,  missing=null,tx=rollback",
                                "resolution=ignore-duplicates, handling=lenient, max-affected=10, "
                                "timezone=UTC, count=exact",
                                true, &p, &err),
                     HS_OK);
    assert_int_equal(p.answer, REST_RETURN_HEADERS_ONLY);
    assert_int_equal(p.count, REST_COUNT_PLANNED); /* the first */
    assert_int_equal(p.missing, REST_MISSING_NULL);
    assert_int_equal(p.tx, REST_TX_ROLLBACK);
    assert_int_equal(p.resolution, REST_RESOLUTION_IGNORE);
    assert_int_equal(p.handling, REST_HANDLING_LENIENT);
    assert_true(p.has_max_affected);
    assert_int_equal(p.max_affected, 10);
    assert_str(p.timezone, HS_STR("UTC"));
    assert_int_equal(read_lines("", "", true, &p, &err), HS_OK);
    assert_true(!p.answer && !p.count && !p.missing && !p.tx && !p.resolution && !p.handling);
    assert_true(!p.has_max_affected && !p.timezone.p);
}

static void test_tx_not_chosen(void **state)
{
    struct rest_prefer p;
    struct hs_err err;

    (void)state;
    assert_int_equal(read_lines("tx=rollback, handling=strict", "", false, &p, &err), HS_OK);
    assert_int_equal(p.tx, REST_TX_UNSAID);
}

static void test_order(void **state)
{
    (void)state;
    check_applied(
        "max-affected=3, timezone=UTC, handling=strict, tx=commit, count=exact, "
        "return=minimal, missing=default, resolution=merge-duplicates",
        APPLIES_ALL,
        "Preference-Applied: resolution=merge-duplicates, missing=default, return=minimal, "
        "count=exact, tx=commit, handling=strict, timezone=UTC, max-affected=3\r\n");
}

static void test_what_applies(void **state)
{
    static const char all[] = "max-affected=3, handling=strict, return=minimal, missing=default, "
                              "resolution=merge-duplicates";

    (void)state;
    check_applied(all, 0, "Preference-Applied: handling=strict\r\n");
    check_applied(all, REST_APPLIES_RETURN,
                  "Preference-Applied: return=minimal, handling=strict\r\n");
    check_applied(all, REST_APPLIES_MISSING | REST_APPLIES_RESOLUTION,
                  "Preference-Applied: resolution=merge-duplicates, missing=default, "
                  "handling=strict\r\n");
    check_applied(all, REST_APPLIES_MAX_AFFECTED,
                  "Preference-Applied: handling=strict, max-affected=3\r\n");
    check_applied("return=minimal", 0, "");
    check_applied("max-affected=3", APPLIES_ALL, ""); /* only strict handling counts */
    check_applied("anything, Return=minimal, count=\"exact\"", APPLIES_ALL, "");
    check_applied("max-affected=many, handling=strict", APPLIES_ALL,
                  "Preference-Applied: handling=strict\r\n");
}

static void test_strict(void **state)
{
    struct rest_prefer p;
    struct hs_err err;

    (void)state;
    assert_int_equal(read_lines("a, handling=strict,, count=exact", "b=c", true, &p, &err),
                     HS_E_PGRST122);
    assert_string_equal(err.what, "Invalid preferences given with handling=strict");
    assert_string_equal(err.why, "Invalid preferences: a, b=c");
    assert_string_equal(err.hint, "");
    assert_int_equal(hs_err_http(&err), 400);
    assert_int_equal(p.count, REST_COUNT_EXACT);
    assert_int_equal(read_lines("a, handling=lenient", "handling=strict", true, &p, &err), HS_OK);
    assert_int_equal(read_lines("handling=strict, params=single-object", "", true, &p, &err),
                     HS_E_PGRST122);
    assert_string_equal(err.why, "Invalid preferences: params=single-object");
    assert_non_null(strstr(err.hint, "PostgREST 13"));
}

/* The list of an error ends where its room does, and takes no bytes that are no text. */
static void test_long(void **state)
{
    char text[1000];
    struct rest_prefer p;
    struct hs_err err;

    (void)state;
    memset(text, 'x', sizeof(text));
    memcpy(text, "handling=strict,\xff,a,", 20);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(read_lines(text, "b", true, &p, &err), HS_E_PGRST122);
    assert_string_equal(err.why, "Invalid preferences: a, b");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each),          cmocka_unit_test(test_fields),
        cmocka_unit_test(test_tx_not_chosen), cmocka_unit_test(test_order),
        cmocka_unit_test(test_what_applies),  cmocka_unit_test(test_strict),
        cmocka_unit_test(test_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
