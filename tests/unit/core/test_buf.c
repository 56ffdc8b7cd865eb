/* SPDX-License-Identifier: Apache-2.0 */
/* The growing buffer against a plain array, its maximum, its sticky failure. */
#include "core/buf.h"

#include <limits.h>

#include "fault.h"

static void test_against_array(void **state)
{
    struct hs_rng rng = test_rng();
    static char expected[20000];
    struct hs_buf b;

    (void)state;
    hs_buf_init(&b, sizeof(expected));
    for (unsigned round = 0; round < 50; round++) {
        size_t n = 0;

        hs_buf_clear(&b);
        while (n < sizeof(expected) - 400) {
            size_t more = (size_t)hs_rng_below(&rng, 300);
            size_t drop = hs_rng_below(&rng, 4) ? 0
                                                : (size_t)hs_rng_below(&rng, n < 200 ? n + 1 : 200);

            for (size_t i = 0; i < more; i++)
                expected[n + i] = (char)hs_rng_next(&rng);
            hs_buf_add(&b, hs_strn(expected + n, more));
            n += more;
            memmove(expected, expected + drop, n - drop);
            hs_buf_drop(&b, drop);
            n -= drop;
        }
        assert_false(hs_buf_failed(&b));
        assert_true(hs_str_eq(hs_buf_str(&b), hs_strn(expected, n)));
    }
    hs_buf_fini(&b);
    hs_buf_fini(&b);
}

static void test_maximum_is_exact(void **state)
{
    struct hs_buf b;

    (void)state;
    hs_buf_init(&b, 300);
    for (unsigned i = 0; i < 300; i++)
        hs_buf_add_char(&b, 'x');
    assert_false(hs_buf_failed(&b));
    assert_int_equal(b.cap, 300);
    hs_buf_add(&b, HS_STR_NULL);
    assert_false(hs_buf_failed(&b));
    hs_buf_add_char(&b, 'x');
    assert_true(hs_buf_failed(&b));
    assert_int_equal(b.n, 300);
    hs_buf_drop(&b, 300);
    hs_buf_add_char(&b, 'x'); /* sticky although there would be room */
    assert_int_equal(b.n, 0);
    hs_buf_clear(&b);
    assert_null(hs_buf_room(&b, SIZE_MAX));
    hs_buf_clear(&b);
    assert_null(hs_buf_room(&b, 301));
    hs_buf_fini(&b);
}

static void test_empty(void **state)
{
    struct hs_buf b;

    (void)state;
    hs_buf_init(&b, 100);
    hs_buf_add(&b, HS_STR(""));
    hs_buf_drop(&b, 0);
    assert_int_equal(hs_buf_str(&b).n, 0);
    assert_string_equal(hs_buf_cstr(&b), "");
    hs_buf_fini(&b);
    hs_buf_init(&b, 0);
    assert_null(hs_buf_cstr(&b));
    hs_buf_fini(&b);
}

static void test_numbers(void **state)
{
    static const int64_t values[] = {0,  1,   -1,        9,         10,       -10,
                                     99, 100, INT64_MAX, INT64_MIN, INT32_MIN};
    struct hs_buf b;

    (void)state;
    hs_buf_init(&b, 1000);
    for (size_t i = 0; i < HS_LEN(values); i++) {
        char expected[32];

        (void)snprintf(expected, sizeof(expected), "%lld", (long long)values[i]);
        hs_buf_clear(&b);
        hs_buf_add_i64(&b, values[i]);
        assert_string_equal(hs_buf_cstr(&b), expected);
        (void)snprintf(expected, sizeof(expected), "%llu", (unsigned long long)values[i]);
        hs_buf_clear(&b);
        hs_buf_add_u64(&b, (uint64_t)values[i]);
        assert_string_equal(hs_buf_cstr(&b), expected);
    }
    hs_buf_clear(&b);
    hs_buf_printf(&b, "%s %d", "a", 1);
    hs_buf_printf(&b, "%0*d", 400, 7);
    assert_int_equal(b.n, 403);
    hs_buf_fini(&b);
}

static bool build(void *arg)
{
    struct hs_buf b;
    bool done;

    (void)arg;
    hs_buf_init(&b, 1 << 20);
    for (unsigned i = 0; i < 3000; i++)
        hs_buf_printf(&b, "%u,", i);
    done = !hs_buf_failed(&b) && hs_buf_cstr(&b);
    hs_buf_fini(&b);
    return done;
}

static void test_no_memory(void **state)
{
    (void)state;
    fault_each(build, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_array), cmocka_unit_test(test_maximum_is_exact),
        cmocka_unit_test(test_empty),         cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
