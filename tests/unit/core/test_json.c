/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON escaper: every text comes back as it was from another reader (jansson). */
#include "core/json.h"

#include <jansson.h>

#include "test.h"

static struct hs_buf out;

static void assert_round_trip(struct hs_str s, void (*write)(struct hs_buf *, struct hs_str))
{
    json_t *json;

    hs_buf_clear(&out);
    write(&out, s);
    json = json_loadb(out.p, out.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!json)
        fail_msg("not JSON: %.*s", HS_FMT(hs_buf_str(&out)));
    assert_str(hs_strn(json_string_value(json), json_string_length(json)), s);
    json_decref(json);
}

static void test_every_byte_at_every_place(void **state)
{
    char text[24];

    (void)state;
    for (size_t n = 1; n <= sizeof(text); n++) {
        for (size_t at = 0; at < n; at++) {
            for (int c = 0; c < 0x80; c++) {
                memset(text, 'x', n);
                text[at] = (char)c;
                assert_round_trip(hs_strn(text, n), hs_json_text);
                assert_round_trip(hs_strn(text, n), hs_json_string);
            }
        }
    }
}

static void test_random_utf8(void **state)
{
    static const char *const parts[] = {
        "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\"",  "\\", "\x1f", "plain", "\x7f",
        " ",        "\xc2\x80",     "\xef\xbf\xbf",     "\x01"};
    struct hs_rng rng = test_rng();
    char text[200];

    (void)state;
    for (unsigned round = 0; round < 100000; round++) {
        size_t n = 0;

        while (n < 190 && hs_rng_below(&rng, 16)) {
            const char *part = parts[hs_rng_below(&rng, HS_LEN(parts))];

            memcpy(text + n, part, strlen(part));
            n += strlen(part);
        }
        assert_round_trip(hs_strn(text, n), hs_json_text);
        assert_round_trip(hs_strn(text, n), hs_json_string);
    }
}

static void test_as_postgresql_does(void **state)
{
    (void)state;
    hs_buf_clear(&out);
    hs_json_text(&out, HS_STR("\b\f\n\r\t\"\\/\x01\x1f\x7f<\xe2\x82\xac"));
    assert_str(hs_buf_str(&out),
               HS_STR("\"\\b\\f\\n\\r\\t\\\"\\\\/\\u0001\\u001f\x7f<\xe2\x82\xac\""));
}

static void test_not_utf8(void **state)
{
    static const struct {
        const char *in;
        const char *expected;
    } rows[] = {
        {"\xff", "\"\xef\xbf\xbd\""},
        {"a\x80"
         "b",
         "\"a\xef\xbf\xbd"
         "b\""},
        {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xc3\xa4\xff\n\"", "\"\xc3\xa4\xef\xbf\xbd\\n\\\"\""},
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    struct hs_rng rng = test_rng();

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        hs_buf_clear(&out);
        hs_json_string(&out, hs_str(rows[i].in));
        assert_str(hs_buf_str(&out), hs_str(rows[i].expected));
    }
    for (unsigned round = 0; round < 100000; round++) {
        char text[32];
        size_t n = (size_t)hs_rng_below(&rng, sizeof(text));
        json_t *json;

        for (size_t i = 0; i < n; i++)
            text[i] = (char)hs_rng_next(&rng);
        hs_buf_clear(&out);
        hs_json_string(&out, hs_strn(text, n));
        json = json_loadb(out.p, out.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(json);
        json_decref(json);
    }
}

static void test_maximum(void **state)
{
    struct hs_buf small;

    (void)state;
    hs_buf_init(&small, 8);
    hs_json_string(&small, HS_STR("\xff\xff\xff"));
    assert_true(hs_buf_failed(&small));
    hs_buf_clear(&small);
    hs_json_text(&small, HS_STR("123456"));
    assert_false(hs_buf_failed(&small));
    hs_buf_fini(&small);
}

static int setup(void **state)
{
    (void)state;
    hs_buf_init(&out, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hs_buf_fini(&out);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte_at_every_place),
        cmocka_unit_test(test_random_utf8),
        cmocka_unit_test(test_as_postgresql_does),
        cmocka_unit_test(test_not_utf8),
        cmocka_unit_test(test_maximum),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
