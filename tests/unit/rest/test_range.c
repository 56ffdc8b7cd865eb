/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows are asked for, and what the answer says of them. */
#include "rest/range.h"

#include "test.h"

enum { UNSAID = -1 };

static struct rest_range read_range(int64_t limit, int64_t offset, const char *header,
                                    uint64_t max_rows, hs_status expected)
{
    const struct rest_scope rows = {.has_limit = limit != UNSAID,
                                    .limit = (uint64_t)limit,
                                    .has_offset = offset != UNSAID,
                                    .offset = (uint64_t)offset};
    struct rest_range range = {.offset = 99};
    struct hs_err err;

    assert_int_equal(rest_range_read(&rows, hs_str(header), max_rows, &range, &err), expected);
    return range;
}

static void check(int64_t limit, int64_t offset, const char *header, uint64_t max_rows,
                  int64_t expected_limit, uint64_t expected_offset)
{
    struct rest_range range = read_range(limit, offset, header, max_rows, HS_OK);

    assert_int_equal(range.has_limit, expected_limit != UNSAID);
    if (range.has_limit)
        assert_int_equal(range.limit, expected_limit);
    assert_int_equal(range.offset, expected_offset);
}

static void test_said(void **state)
{
    (void)state;
    check(UNSAID, UNSAID, NULL, 0, UNSAID, 0);
    check(5, UNSAID, NULL, 0, 5, 0);
    check(5, 10, NULL, 0, 5, 10);
    check(UNSAID, 10, NULL, 0, UNSAID, 10);
    /* No rows: from where does not matter. */
    check(0, 10, "3-2", 0, 0, 0);
    check(UNSAID, INT64_MAX, NULL, 0, UNSAID, INT64_MAX);
}

static void test_header(void **state)
{
    (void)state;
    check(UNSAID, UNSAID, "0-9", 0, 10, 0);
    check(UNSAID, UNSAID, "3-", 0, UNSAID, 3);
    check(5, UNSAID, "3-20", 0, 2, 3);
    check(UNSAID, 10, "3-20", 0, 11, 10);
    check(UNSAID, UNSAID, "items=0-9", 0, UNSAID, 0);
    check(UNSAID, UNSAID, "-9", 0, UNSAID, 0);
    check(UNSAID, UNSAID, "7", 0, UNSAID, 0);
    check(UNSAID, UNSAID, "1-2-3", 0, UNSAID, 0);
    /* As good as open. */
    check(UNSAID, UNSAID, "1-99999999999999999999999", 0, UNSAID, 1);
    (void)read_range(UNSAID, UNSAID, "5-2", 0, HS_E_PGRST103);
    /* Nothing is left of both. */
    (void)read_range(5, UNSAID, "9-20", 0, HS_E_PGRST103);
}

static void test_max_rows(void **state)
{
    (void)state;
    check(UNSAID, UNSAID, NULL, 100, 100, 0);
    check(500, 7, NULL, 100, 100, 7);
    check(50, 7, NULL, 100, 50, 7);
    check(0, UNSAID, NULL, 100, 0, 0);
}

static void check_told(uint64_t offset, uint64_t n, int64_t total, unsigned status,
                       const char *expected)
{
    const uint64_t number = (uint64_t)total;
    const uint64_t *told = total == UNSAID ? NULL : &number;
    char line[REST_CONTENT_RANGE_MAX];
    size_t length = rest_content_range_write(line, offset, n, told);

    assert_str(hs_strn(line, length), hs_str(expected));
    assert_int_equal(rest_range_status(offset, n, told), status);
}

static void test_told(void **state)
{
    (void)state;
    check_told(0, 10, UNSAID, 200, "Content-Range: 0-9/*\r\n");
    check_told(5, 0, UNSAID, 200, "Content-Range: */*\r\n");
    check_told(0, 10, 123, 206, "Content-Range: 0-9/123\r\n");
    check_told(0, 10, 10, 200, "Content-Range: 0-9/10\r\n");
    check_told(113, 10, 123, 206, "Content-Range: 113-122/123\r\n");
    check_told(0, 0, 0, 200, "Content-Range: */0\r\n");
    check_told(0, 0, 24, 206, "Content-Range: */24\r\n");
    check_told(24, 0, 24, 206, "Content-Range: */24\r\n");
    check_told(25, 0, 24, 416, "Content-Range: */24\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_said),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_max_rows),
        cmocka_unit_test(test_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
