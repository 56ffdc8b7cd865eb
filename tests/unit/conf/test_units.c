/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf/units: what is a duration or a size and what is not, and that writing and reading agree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf/units.h"
#include "core/rng.h"

struct row {
    const char *text;
    bool ok;
    uint64_t v;
};

static const struct row times[] = {
    {"0", true, 0},
    {"0s", true, 0},
    {"1us", true, 1},
    {"250ms", true, 250000},
    {"2s", true, 2000000},
    {"30min", true, 1800000000},
    {"1h", true, 3600000000},
    {"1d", true, 86400000000},
    {"18446744073709551615us", true, UINT64_MAX},
    {"18446744073709551616us", false, 0},
    {"213503983d", false, 0},
    {"5", false, 0},
    {"", false, 0},
    {"s", false, 0},
    {"-1s", false, 0},
    {"+1s", false, 0},
    {"1.5s", false, 0},
    {"1 s", false, 0},
    {" 1s", false, 0},
    {"1s ", false, 0},
    {"1S", false, 0},
    {"1m", false, 0},
    {"1sec", false, 0},
    {"1h30min", false, 0},
    {"1KiB", false, 0},
};

static const struct row sizes[] = {
    {"0", true, 0},
    {"0B", true, 0},
    {"1B", true, 1},
    {"16KiB", true, 16384},
    {"1MiB", true, 1048576},
    {"2GiB", true, 2147483648},
    {"17179869183GiB", true, 17179869183 * UINT64_C(1073741824)},
    {"17179869184GiB", false, 0},
    {"16", false, 0},
    {"16K", false, 0},
    {"16KB", false, 0},
    {"16kib", false, 0},
    {"16 KiB", false, 0},
    {"1s", false, 0},
};

static void check_rows(const struct row *rows, size_t n, bool (*parse)(struct hs_str, uint64_t *))
{
    for (size_t i = 0; i < n; i++) {
        uint64_t v = 77;

        if (parse(hs_str(rows[i].text), &v) != rows[i].ok)
            fail_msg("\"%s\" should %sbe taken", rows[i].text, rows[i].ok ? "" : "not ");
        if (v != (rows[i].ok ? rows[i].v : 77))
            fail_msg("\"%s\" gave %llu", rows[i].text, (unsigned long long)v);
    }
}

static void test_times(void **state)
{
    (void)state;
    check_rows(times, HS_LEN(times), conf_parse_time);
}

static void test_sizes(void **state)
{
    (void)state;
    check_rows(sizes, HS_LEN(sizes), conf_parse_size);
}

static void test_bools(void **state)
{
    static const char *const wrong[] = {"", "yes", "no", "on", "True", "TRUE", "1", "0", "true "};
    bool v = false;

    (void)state;
    assert_true(conf_parse_bool(HS_STR("true"), &v));
    assert_true(v);
    assert_true(conf_parse_bool(HS_STR("false"), &v));
    assert_false(v);
    for (size_t i = 0; i < HS_LEN(wrong); i++) {
        v = true;
        assert_false(conf_parse_bool(hs_str(wrong[i]), &v));
        assert_true(v);
    }
}

static void check_text(void (*add)(struct hs_buf *, uint64_t), uint64_t v, const char *expected)
{
    struct hs_buf b;

    hs_buf_init(&b, 64);
    add(&b, v);
    assert_string_equal(hs_buf_cstr(&b), expected);
    hs_buf_fini(&b);
}

static void test_largest_whole_unit(void **state)
{
    (void)state;
    check_text(conf_add_time, 0, "0s");
    check_text(conf_add_time, 1500, "1500us");
    check_text(conf_add_time, 1500000, "1500ms");
    check_text(conf_add_time, 90 * HS_SECOND, "90s");
    check_text(conf_add_time, 60 * HS_SECOND, "1min");
    check_text(conf_add_time, 7200 * HS_SECOND, "2h");
    check_text(conf_add_time, 86400 * HS_SECOND, "1d");
    check_text(conf_add_time, UINT64_MAX, "18446744073709551615us");
    check_text(conf_add_size, 0, "0B");
    check_text(conf_add_size, 1025, "1025B");
    check_text(conf_add_size, 16384, "16KiB");
    check_text(conf_add_size, 3221225472, "3GiB");
}

/* Any value, written and read, is itself. */
static void test_round_trip(void **state)
{
    struct hs_rng rng = {.state = hs_rng_seed()};
    uint64_t seed = rng.state;
    struct hs_buf b;

    (void)state;
    hs_buf_init(&b, 64);
    for (int i = 0; i < 20000; i++) {
        uint64_t v = hs_rng_next(&rng) >> hs_rng_below(&rng, 64);
        uint64_t back = v + 1;

        v -= v % (i % 3 ? 1 : 1000);
        hs_buf_clear(&b);
        conf_add_time(&b, v);
        if (!conf_parse_time(hs_buf_str(&b), &back) || back != v)
            fail_msg("seed %llu: %llu us", (unsigned long long)seed, (unsigned long long)v);
        hs_buf_clear(&b);
        conf_add_size(&b, v);
        if (!conf_parse_size(hs_buf_str(&b), &back) || back != v)
            fail_msg("seed %llu: %llu B", (unsigned long long)seed, (unsigned long long)v);
    }
    hs_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),      cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_bools),      cmocka_unit_test(test_largest_whole_unit),
        cmocka_unit_test(test_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
