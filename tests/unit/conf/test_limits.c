/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of auth.limits: what is taken, and what is refused with which words. */
#include "test.h"

#include "conf/limits.h"

struct good {
    const char *row;
    uint32_t timeout_ms;
    uint64_t rows;
    uint64_t body;
};

static void test_taken(void **state)
{
    static const struct good rows[] = {
        {"viewer: statement_timeout=2s rows=100 body=64KiB", 2000, 100, 65536},
        {"viewer:body=1B", 0, 0, 1},
        {"  viewer  :   rows=1   ", 0, 1, 0},
        {"viewer: body=1GiB   statement_timeout=1ms", 1, 0, 1 << 30},
        {"viewer: rows=1000000 statement_timeout=1d", 86400000, 1000000, 0},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct conf_limits limits;
        struct hs_str bad;
        const char *expected;

        if (!conf_parse_limits(hs_str(rows[i].row), &limits, &bad, &expected))
            fail_msg("%s: found %.*s, expected %s", rows[i].row, HS_FMT(bad), expected);
        assert_true(hs_str_is(limits.role, "viewer"));
        assert_int_equal(limits.statement_timeout_ms, rows[i].timeout_ms);
        assert_int_equal(limits.rows_max, rows[i].rows);
        assert_int_equal(limits.body_max, rows[i].body);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *row;
        const char *bad;
        const char *expected; /* its beginning */
    } rows[] = {
        {"", "", "\"role: "},
        {"viewer", "viewer", "\"role: "},
        {"viewer:", "viewer:", "\"role: "},
        {": rows=1", ": rows=1", "\"role: "},
        {"v: row=1", "row=1", "statement_timeout=, rows= or body="},
        {"v: rows=1, body=1B", "rows=1,", "rows= and"},
        {"v: rows", "rows", "rows= and"},
        {"v: rows=", "rows=", "rows= and"},
        {"v: rows=0", "rows=0", "rows= and"},
        {"v: rows=-1", "rows=-1", "rows= and"},
        {"v: rows=1000001", "rows=1000001", "rows= and"},
        {"v: rows = 5", "rows", "rows= and"},
        {"v: rows=5 rows=6", "rows=6", "each limit once"},
        {"v: statement_timeout=2", "statement_timeout=2", "statement_timeout= and"},
        {"v: statement_timeout=0s", "statement_timeout=0s", "statement_timeout= and"},
        {"v: statement_timeout=2m", "statement_timeout=2m", "statement_timeout= and"},
        {"v: statement_timeout=1us", "statement_timeout=1us", "statement_timeout= and"},
        {"v: statement_timeout=1500us", "statement_timeout=1500us", "statement_timeout= and"},
        {"v: statement_timeout=2d", "statement_timeout=2d", "statement_timeout= and"},
        {"v: body=5", "body=5", "body= and"},
        {"v: body=0B", "body=0B", "body= and"},
        {"v: body=1KB", "body=1KB", "body= and"},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct conf_limits limits;
        struct hs_str bad;
        const char *expected;

        if (conf_parse_limits(hs_str(rows[i].row), &limits, &bad, &expected))
            fail_msg("\"%s\" was taken", rows[i].row);
        if (!hs_str_is(bad, rows[i].bad) ||
            strncmp(expected, rows[i].expected, strlen(rows[i].expected)) != 0)
            fail_msg("\"%s\": found %.*s, expected %s", rows[i].row, HS_FMT(bad), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
