/* SPDX-License-Identifier: Apache-2.0 */
/* SQLSTATE to HTTP status: the longest prefix of the table wins. */
#include "pg/pool.h"
#include "test.h"

static void test_statuses(void **state)
{
    static const struct {
        const char *sqlstate;
        unsigned http;
    } cases[] = {
        {"23505", 409}, {"23503", 409}, {"23502", 400}, {"23514", 400}, {"23P01", 409},
        {"22P02", 400}, {"22012", 400}, {"42501", 403}, {"57014", 504}, {"53300", 503},
        {"25006", 405}, {"08006", 503}, {"57P01", 503}, {"57P05", 503}, {"40001", 409},
        {"40P01", 409}, {"42883", 404}, {"42P01", 404}, {"42703", 400}, {"42601", 400},
        {"55P03", 503}, {"P0001", 400}, {"54000", 413}, {"XX000", 500}, {"ZZZZZ", 500},
        {"", 500},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(cases); i++) {
        struct hs_err err;

        pg_err_from_sqlstate(&err, cases[i].sqlstate, "message", "detail", "hint", false);
        if (hs_err_http(&err) != cases[i].http)
            fail_msg("%s gives %u, not %u", cases[i].sqlstate, hs_err_http(&err), cases[i].http);
        assert_string_equal(err.sqlstate, cases[i].sqlstate);
        assert_string_equal(err.why, "detail");
        assert_string_equal(err.hint, "hint");
    }
}

static void test_anonymous(void **state)
{
    struct hs_err err;

    (void)state;
    pg_err_from_sqlstate(&err, "42501", NULL, NULL, NULL, true);
    assert_int_equal(hs_err_http(&err), 401);
    assert_true(err.what[0]);
    pg_err_from_sqlstate(&err, "42601", "m", NULL, NULL, true);
    assert_int_equal(hs_err_http(&err), 400);
    pg_err_from_sqlstate(&err, "far too long", "m", NULL, NULL, true);
    assert_string_equal(err.sqlstate, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_statuses),
                                       cmocka_unit_test(test_anonymous)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
