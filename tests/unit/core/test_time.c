/* SPDX-License-Identifier: Apache-2.0 */
/* Dates against the C library's calendar: every day of 1600 to 2400, and random instants of all years. */
#include "core/time.h"

#include <time.h>

#include "test.h"

#define YEAR_0 (-62167219200)
#define YEAR_10000 253402300800

static void check(int64_t us)
{
    time_t s = (time_t)(us / 1000000 - (us % 1000000 < 0));
    struct tm tm;
    char to[HS_TIME_TEXT];
    char expected[64];
    char whole[96];

    assert_non_null(gmtime_r(&s, &tm));
    assert_true(tm.tm_year + 1900 >= 0 && tm.tm_year + 1900 <= 9999);
    (void)strftime(expected, sizeof(expected), "-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(whole, sizeof(whole), "%04d%s.%06dZ", tm.tm_year + 1900, expected,
                   (int)(us - (int64_t)s * 1000000));
    assert_str(hs_wall_rfc3339((struct hs_wall){us}, to), hs_str(whole));
    (void)strftime(expected, sizeof(expected), "%a, %d %b ", &tm);
    (void)snprintf(whole, sizeof(whole), "%s%04d %02d:%02d:%02d GMT", expected, tm.tm_year + 1900,
                   tm.tm_hour, tm.tm_min, tm.tm_sec);
    assert_str(hs_wall_http((struct hs_wall){us}, to), hs_str(whole));
}

static void test_every_day(void **state)
{
    (void)state;
    for (int64_t day = -135140; day < 157054; day++)
        check((day * 86400 + (day * 7919 % 86400 + 86400) % 86400) * 1000000 + (day & 0xffff));
}

static void test_random_instants(void **state)
{
    struct hs_rng rng = test_rng();

    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        int64_t s = YEAR_0 + (int64_t)hs_rng_below(&rng, (uint64_t)(YEAR_10000 - YEAR_0));

        check(s * 1000000 + (int64_t)hs_rng_below(&rng, 1000000));
    }
    check(0);
    check(-1);
    check((int64_t)YEAR_0 * 1000000);
    check(YEAR_10000 * 1000000 - 1);
}

static void test_outside_is_clamped(void **state)
{
    char to[HS_TIME_TEXT];

    (void)state;
    assert_str(hs_wall_rfc3339((struct hs_wall){INT64_MAX}, to),
               HS_STR("9999-12-31T23:59:59.999999Z"));
    assert_str(hs_wall_rfc3339((struct hs_wall){INT64_MIN}, to),
               HS_STR("0000-01-01T00:00:00.000000Z"));
    assert_str(hs_wall_http((struct hs_wall){INT64_MAX}, to),
               HS_STR("Fri, 31 Dec 9999 23:59:59 GMT"));
    assert_str(hs_wall_http((struct hs_wall){INT64_C(784111777) * 1000000}, to),
               HS_STR("Sun, 06 Nov 1994 08:49:37 GMT"));
}

static void test_clocks(void **state)
{
    hs_us a = hs_now_us();
    int64_t wall = hs_wall_now().us / 1000000;

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        hs_us b = hs_now_us();

        assert_true(b >= a);
        a = b;
    }
    assert_true(llabs((long long)(wall - (int64_t)time(NULL))) <= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_day),
        cmocka_unit_test(test_random_instants),
        cmocka_unit_test(test_outside_is_clamped),
        cmocka_unit_test(test_clocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
