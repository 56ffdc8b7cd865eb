/* SPDX-License-Identifier: Apache-2.0 */
/* A route as a comment: whatever bytes it has, they stay inside and come back. */
#include "test.h"

#include "api/comment.h"
#include "api/url.h"

static struct hs_arena arena;

static void check(struct hs_str route)
{
    struct hs_str text = api_comment_route(&arena, route);
    struct hs_str back;
    struct hs_err err = {0};

    assert_non_null(text.p);
    assert_true(hs_str_starts(text, HS_STR("route='")));
    assert_int_equal(text.p[text.n - 1], '\'');
    text = hs_str_sub(text, 7, text.n - 1);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        assert_true((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    (c != '\0' && strchr("%-._~", c)));
    }
    assert_int_equal(url_decode(&arena, URL_PATH, text, &back, &err), HS_OK);
    assert_true(hs_str_eq(back, route));
}

static void test_hostile(void **state)
{
    static const char *const routes[] = {
        "",
        "/api/v1/clients",
        "*/ DROP TABLE clients; --",
        "/*",
        "*/",
        "'",
        "\\'",
        "',traceparent='",
        "%27%2A%2F",
        "%",
        "\n",
        "a b+c",
        "\xc3\xa9",
        "{id}",
        "$1",
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(routes); i++)
        check(hs_str(routes[i]));
}

static void test_every_byte(void **state)
{
    (void)state;
    for (int a = 1; a < 128; a++) {
        for (int b = 1; b < 128; b++) {
            const char pair[2] = {(char)a, (char)b};

            check(hs_strn(pair, 2));
        }
        hs_arena_reset(&arena);
    }
}

static void test_words(void **state)
{
    struct hs_str text = api_comment_route(&arena, HS_STR("/api/v1/clients/{id}"));

    (void)state;
    assert_true(hs_str_is(text, "route='%2Fapi%2Fv1%2Fclients%2F%7Bid%7D'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_words),
    };
    int failed;

    hs_arena_init(&arena, 1 << 24);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    hs_arena_fini(&arena);
    return failed;
}
