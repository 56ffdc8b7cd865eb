/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of cache.warm: what they say, and which are refused. */
#include "test.h"

#include "conf/warm.h"

static void test_understood(void **state)
{
    static const struct {
        const char *row, *target, *role, *claims;
    } rows[] = {
        {"/api/v1/clients", "/api/v1/clients", NULL, "{}"},
        {"  /api/v1/clients?a=b  ", "/api/v1/clients?a=b", NULL, "{}"},
        {"/api/v1/clients as member", "/api/v1/clients", "member", "{}"},
        {"/api/v1/clients as member {}", "/api/v1/clients", "member", "{}"},
        {"/x as member {\"company_id\":42}", "/x", "member", "{\"company_id\":42}"},
        {"/x as sales team {\"a\": [1, {}]}", "/x", "sales team", "{\"a\": [1, {}]}"},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct conf_warm warm;
        struct hs_str bad;
        const char *expected;

        assert_true(conf_parse_warm(hs_str(rows[i].row), &warm, &bad, &expected));
        assert_true(hs_str_is(warm.target, rows[i].target));
        assert_true(hs_str_is(warm.claims, rows[i].claims));
        if (rows[i].role)
            assert_true(hs_str_is(warm.role, rows[i].role));
        else
            assert_null(warm.role.p);
    }
}

static void test_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "clients",
        "/",
        "/a\tb",
        "/a member",
        "/a as",
        "/a as ",
        "/a as {}",
        "/a as member {",
        "/a as m {} {}",
        "/a as m {\"a\":}",
        "/a as m {1}",
        "/\xc3\xa4",
        "http://x/a",
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct conf_warm warm;
        struct hs_str bad;
        const char *expected = NULL;

        assert_false(conf_parse_warm(hs_str(rows[i]), &warm, &bad, &expected));
        assert_non_null(expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_understood),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
