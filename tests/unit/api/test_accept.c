/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accept: the examples of RFC 9110, 12.5.1 in spirit, weights, nearness, and what is no media range.
 */
#include "api/accept.h"

#include "test.h"

struct row {
    const char *accept;
    enum api_format best;
};

static const struct row rows[] = {
    {"", API_FORMAT_JSON},
    {"*/*", API_FORMAT_JSON},
    {"application/json", API_FORMAT_JSON},
    {"application/x-ndjson", API_FORMAT_NDJSON},
    {"text/csv", API_FORMAT_CSV},
    {"TEXT/Csv", API_FORMAT_CSV},
    {"text/csv; charset=utf-8", API_FORMAT_CSV},
    {"text/csv;header=\"a,b;c\\\"d\" , image/png", API_FORMAT_CSV},
    {"text/*", API_FORMAT_CSV},
    {"application/*", API_FORMAT_JSON},
    {"image/png", API_FORMATS},
    {"image/png, text/html;q=0.5", API_FORMATS},
    /* A browser; axios; fetch(). */
    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", API_FORMAT_JSON},
    {"application/json, text/plain, */*", API_FORMAT_JSON},
    /* Weights. */
    {"application/json;q=0.5, text/csv;q=0.6", API_FORMAT_CSV},
    {"application/json;q=0.501, text/csv;q=0.5", API_FORMAT_JSON},
    {"application/json;q=0.001", API_FORMAT_JSON},
    {"application/json;q=0", API_FORMATS},
    {"application/json;Q=0.0, text/csv;q=1.000", API_FORMAT_CSV},
    {"*/*;q=0", API_FORMATS},
    {"text/csv ; q=0.1 , text/csv ; q=0.9, application/json;q=0.5", API_FORMAT_CSV},
    /* What is named counts before what is meant by an asterisk, in any order. */
    {"*/*, application/json;q=0", API_FORMAT_NDJSON},
    {"application/json;q=0, application/*", API_FORMAT_NDJSON},
    {"text/csv;q=0, text/*, */*;q=0.1", API_FORMAT_JSON},
    {"application/x-ndjson, */*", API_FORMAT_NDJSON},
    {"*/*, text/csv", API_FORMAT_CSV},
    {"text/csv;q=0.9, */*", API_FORMAT_JSON},
    /* Wanted alike. */
    {"text/csv, application/x-ndjson, application/json", API_FORMAT_JSON},
    {"text/csv, application/x-ndjson", API_FORMAT_NDJSON},
    /* No media ranges: passed over, and where nothing is left all is welcome. */
    {",, ,", API_FORMAT_JSON},
    {"json", API_FORMAT_JSON},
    {"json, text/csv", API_FORMAT_CSV},
    {"/csv, text/, text/csv;q=0.2", API_FORMAT_CSV},
    {"text/csv;q=2", API_FORMAT_JSON},
    {"text/csv;q=1.001, application/x-ndjson;q=0.1", API_FORMAT_NDJSON},
    {"text/csv;q=0.1234, application/x-ndjson;q=0.1", API_FORMAT_NDJSON},
    {"text/csv;q=.5, application/x-ndjson;q=0.1", API_FORMAT_NDJSON},
    {"text/csv;q=, application/x-ndjson;q=0.1", API_FORMAT_NDJSON},
    {"text/csv;x=\"open, application/x-ndjson", API_FORMAT_CSV},
    {"*/csv, application/x-ndjson;q=0.1", API_FORMAT_NDJSON},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct accept accept = {0};
        enum api_format best;

        accept_read(&accept, hs_str(rows[i].accept));
        best = accept_best(&accept);
        if (best != rows[i].best)
            fail_msg("%s: %u, not %u", rows[i].accept, best, rows[i].best);
    }
}

static void test_lines(void **state)
{
    struct accept accept = {0};

    (void)state;
    assert_int_equal(accept_best(&accept), API_FORMAT_JSON);
    accept_read(&accept, HS_STR("application/json;q=0.3"));
    accept_read(&accept, HS_STR("text/csv;q=0.4"));
    assert_int_equal(accept_best(&accept), API_FORMAT_CSV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_lines)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
