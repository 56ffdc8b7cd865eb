/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slices. UTF-8 is compared with a reference made the other way round: not by rules for bytes, but by
 * encoding every scalar value (RFC 3629, section 3) and asking whether a text is a row of such encodings.
 */
#include "core/str.h"
#include "test.h"

static void test_cut_trim_sub(void **state)
{
    struct hs_str s = HS_STR("a=b=");

    (void)state;
    assert_str(hs_str_cut(&s, '='), HS_STR("a"));
    assert_str(hs_str_cut(&s, '='), HS_STR("b"));
    assert_non_null(s.p);
    assert_str(hs_str_cut(&s, '='), HS_STR(""));
    s = HS_STR_NULL;
    assert_str(hs_str_cut(&s, '='), HS_STR(""));
    assert_str(hs_str_trim(HS_STR(" \t a b\t ")), HS_STR("a b"));
    assert_str(hs_str_trim(HS_STR(" \t ")), HS_STR(""));
    assert_str(hs_str_trim(HS_STR_NULL), HS_STR(""));
    assert_str(hs_str_sub(HS_STR("abc"), 1, 9), HS_STR("bc"));
    assert_str(hs_str_sub(HS_STR("abc"), 5, 2), HS_STR(""));
    assert_null(hs_str_sub(HS_STR_NULL, 0, 3).p);
    assert_int_equal(hs_str_find(HS_STR("abc"), 'c'), 2);
    assert_int_equal(hs_str_find(HS_STR("abc"), 'd'), 3);
    assert_int_equal(hs_str_find(HS_STR_NULL, 'd'), 0);
}

static void test_compare(void **state)
{
    (void)state;
    assert_true(hs_str_eq(HS_STR_NULL, HS_STR("")));
    assert_false(hs_str_eq(HS_STR("a"), HS_STR("A")));
    assert_true(hs_str_ieq(HS_STR("hOsT"), HS_STR("HoSt")));
    assert_false(hs_str_ieq(HS_STR("@"), HS_STR("`")));
    assert_false(hs_str_ieq(HS_STR("["), HS_STR("{")));
    assert_false(hs_str_ieq(HS_STR("\xc3\x84"), HS_STR("\xc3\xa4")));
    assert_true(hs_str_starts(HS_STR("abc"), HS_STR("")));
    assert_true(hs_str_starts(HS_STR("abc"), HS_STR("abc")));
    assert_false(hs_str_starts(HS_STR("ab"), HS_STR("abc")));
    assert_true(hs_str_cmp(HS_STR("a"), HS_STR("ab")) < 0);
    assert_true(hs_str_cmp(HS_STR("b"), HS_STR("ab")) > 0);
    assert_true(hs_str_cmp(HS_STR("\x80"), HS_STR("a")) > 0);
    assert_int_equal(hs_str_cmp(HS_STR(""), HS_STR_NULL), 0);
    assert_true(hs_str_eq_secret(HS_STR("key"), HS_STR("key")));
    assert_false(hs_str_eq_secret(HS_STR("key"), HS_STR("kez")));
    assert_false(hs_str_eq_secret(HS_STR("key"), HS_STR("ke")));
}

static void test_numbers(void **state)
{
    static const char *const bad_u64[] = {"",
                                          "-1",
                                          "+1",
                                          " 1",
                                          "1 ",
                                          "0x1",
                                          "1e3",
                                          "18446744073709551616",
                                          "99999999999999999999999",
                                          "1\xd9\xa1"};
    static const char *const bad_i64[] = {
        "", "-", "--1", "-+1", "9223372036854775808", "-9223372036854775809"};
    uint64_t u = 7;
    int64_t i = 7;

    (void)state;
    for (size_t k = 0; k < HS_LEN(bad_u64); k++)
        assert_false(hs_str_to_u64(hs_str(bad_u64[k]), &u));
    for (size_t k = 0; k < HS_LEN(bad_i64); k++)
        assert_false(hs_str_to_i64(hs_str(bad_i64[k]), &i));
    assert_int_equal(u, 7);
    assert_int_equal(i, 7);
    assert_true(hs_str_to_u64(HS_STR("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    assert_true(hs_str_to_u64(HS_STR("00000000000000000000000042"), &u));
    assert_int_equal(u, 42);
    assert_true(hs_str_to_i64(HS_STR("-9223372036854775808"), &i));
    assert_true(i == INT64_MIN);
    assert_true(hs_str_to_i64(HS_STR("9223372036854775807"), &i));
    assert_true(i == INT64_MAX);
    assert_true(hs_str_to_i64(HS_STR("-0"), &i));
    assert_int_equal(i, 0);
}

static void test_number_printed(void **state)
{
    uint64_t values[2 * HS_U64_DIGITS_MAX + 1] = {UINT64_MAX};
    size_t n = 1;

    (void)state;
    for (uint64_t power = 1; power <= UINT64_MAX / 10; power *= 10) {
        values[n++] = power - 1;
        values[n++] = power;
    }
    for (size_t i = 0; i < n; i++) {
        char expected[HS_U64_DIGITS_MAX + 1];
        char got[HS_U64_DIGITS_MAX];

        (void)snprintf(expected, sizeof(expected), "%llu", (unsigned long long)values[i]);
        assert_str(hs_strn(got, (size_t)(hs_u64_print(values[i], got) - got)), hs_str(expected));
    }
}

/* ---- UTF-8 ---- */

static size_t encode(uint32_t c, unsigned char to[static 4])
{
    if (c < 0x80) {
        to[0] = (unsigned char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (unsigned char)(0xc0 | c >> 6);
        to[1] = (unsigned char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (unsigned char)(0xe0 | c >> 12);
        to[1] = (unsigned char)(0x80 | (c >> 6 & 63));
        to[2] = (unsigned char)(0x80 | (c & 63));
        return 3;
    }
    to[0] = (unsigned char)(0xf0 | c >> 18);
    to[1] = (unsigned char)(0x80 | (c >> 12 & 63));
    to[2] = (unsigned char)(0x80 | (c >> 6 & 63));
    to[3] = (unsigned char)(0x80 | (c & 63));
    return 4;
}

static bool *is_one_of[4]; /* by length; index = the bytes as a big-endian number */

static bool is_scalar(uint32_t c)
{
    return c < 0xd800 || (c > 0xdfff && c <= 0x10ffff);
}

static uint32_t number(const unsigned char *p, size_t n)
{
    uint32_t v = 0;

    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

static int make_reference(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 3; n++)
        is_one_of[n] = calloc((size_t)1 << (8 * n), 1);
    for (uint32_t c = 0; c <= 0xffff; c++) {
        unsigned char p[4];

        if (is_scalar(c)) {
            size_t n = encode(c, p);

            is_one_of[n][number(p, n)] = true;
        }
    }
    return 0;
}

static int free_reference(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 3; n++)
        free(is_one_of[n]);
    return 0;
}

static bool is_encoding(const unsigned char *p, size_t n)
{
    unsigned char again[4];
    uint32_t c;

    if (n < 4)
        return is_one_of[n][number(p, n)];
    c = (uint32_t)(p[0] & 7) << 18 | (uint32_t)(p[1] & 63) << 12 | (uint32_t)(p[2] & 63) << 6 |
        (p[3] & 63u);
    return c >= 0x10000 && is_scalar(c) && encode(c, again) == 4 && memcmp(again, p, 4) == 0;
}

/* No encoding begins another, so the row is found greedily. */
static bool reference(const unsigned char *p, size_t n)
{
    while (n) {
        size_t k = 1;

        while (k <= 4 && k <= n && !is_encoding(p, k))
            k++;
        if (k > 4 || k > n)
            return false;
        p += k;
        n -= k;
    }
    return true;
}

static void check_utf8(const unsigned char *p, size_t n)
{
    bool expected = reference(p, n);

    if (hs_str_is_utf8(hs_strn((const char *)p, n)) != expected)
        fail_msg("%zu bytes %08x...: expected %s", n, number(p, n < 4 ? n : 4),
                 expected ? "yes" : "no");
}

static void test_utf8_all_short(void **state)
{
    unsigned char p[3];

    (void)state;
    assert_true(hs_str_is_utf8(HS_STR_NULL));
    for (uint32_t v = 0; v < 0x1000000; v++) {
        p[0] = (unsigned char)(v >> 16);
        p[1] = (unsigned char)(v >> 8);
        p[2] = (unsigned char)v;
        check_utf8(p, 3);
        if ((v & 0xff) == 0)
            check_utf8(p, 2);
        if ((v & 0xffff) == 0)
            check_utf8(p, 1);
    }
}

static void test_utf8_all_scalars(void **state)
{
    unsigned char p[4];

    (void)state;
    for (uint32_t c = 0; c <= 0x1fffff; c++) {
        size_t n = encode(c, p);

        if (hs_str_is_utf8(hs_strn((char *)p, n)) != is_scalar(c))
            fail_msg("U+%04X", c);
        if (n > 1 && hs_str_is_utf8(hs_strn((char *)p, n - 1)))
            fail_msg("U+%04X cut", c);
    }
}

static void test_utf8_random_texts(void **state)
{
    struct hs_rng rng = test_rng();
    unsigned char p[64];

    (void)state;
    for (unsigned round = 0; round < 300000; round++) {
        size_t n = 0;

        while (n < 56 && hs_rng_below(&rng, 20)) {
            uint64_t kind = hs_rng_below(&rng, 4);

            n += encode((uint32_t)hs_rng_below(&rng, kind == 0   ? 0x110000
                                                     : kind == 1 ? 0x900
                                                                 : 0x80),
                        p + n);
        }
        if (n && hs_rng_below(&rng, 2))
            p[hs_rng_below(&rng, n)] = (unsigned char)hs_rng_next(&rng);
        check_utf8(p, n);
    }
}

static void test_utf8_cut(void **state)
{
    struct hs_str s = HS_STR("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z");
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};

    (void)state;
    for (size_t n = 0; n < HS_LEN(expected); n++) {
        assert_int_equal(hs_str_utf8_cut(s, n), expected[n]);
        assert_true(hs_str_is_utf8(hs_str_sub(s, 0, hs_str_utf8_cut(s, n))));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_trim_sub),      cmocka_unit_test(test_compare),
        cmocka_unit_test(test_numbers),           cmocka_unit_test(test_number_printed),
        cmocka_unit_test(test_utf8_all_short),    cmocka_unit_test(test_utf8_all_scalars),
        cmocka_unit_test(test_utf8_random_texts), cmocka_unit_test(test_utf8_cut),
    };

    return cmocka_run_group_tests(tests, make_reference, free_reference);
}
