/* SPDX-License-Identifier: Apache-2.0 */
/* Accept as PostgREST reads it: which types, in which order, by which names. */
#include "rest/media.h"

#include "core/buf.h"

#include "test.h"

static struct hs_arena arena;

/* The names of the types, the most wanted first. */
static void check_order(const char *accept, const char *expected)
{
    struct rest_accept types;
    struct hs_err err;

    rest_accept_read(hs_str(accept), &types);
    assert_int_equal(rest_accept_fail(&types, &arena, &err), HS_E_PGRST107);
    assert_str(hs_str_sub(hs_str(err.what), strlen("None of these media types are available: "),
                          strlen(err.what)),
               hs_str(expected));
}

static void test_order(void **state)
{
    (void)state;
    check_order("", "*/*");
    check_order(" , ,", "");
    check_order("text/csv", "text/csv");
    check_order("text/csv;q=0.5, application/json", "application/json, text/csv");
    check_order("text/csv; q=0.5, */*;q=0.5", "text/csv, */*");
    check_order("*/*, text/csv", "text/csv, */*");
    check_order("a/b, c/d", "a/b, c/d");
    check_order("a/b, c/d;x=1", "c/d;x=1, a/b");
    check_order("a/b;q=nonsense, c/d;q=0.999", "a/b, c/d");
    check_order("a/b;q=0.1;x=1, c/d;q=0.2", "c/d, a/b");
}

static void check_one(const char *text, enum rest_media_kind kind, const char *name)
{
    struct rest_media media = rest_media_read(hs_str(text));

    assert_int_equal(media.kind, kind);
    assert_str(rest_media_name(&media, &arena), hs_str(name));
}

/* Whatever shows in an answer must show in the name, or two answers would be kept as one. */
static void test_nulls_are_stripped_only_where_the_name_says_so(void **state)
{
    (void)state;
    assert_false(rest_media_read(HS_STR("application/json;nulls=stripped")).is_stripped);
    assert_false(rest_media_read(HS_STR("text/csv;nulls=stripped")).is_stripped);
    assert_true(rest_media_read(HS_STR("application/vnd.pgrst.object;nulls=stripped")).is_stripped);
    assert_true(rest_media_read(HS_STR("application/vnd.pgrst.array;nulls=stripped")).is_stripped);
    assert_false(
        rest_media_read(HS_STR("application/vnd.pgrst.plan;for=\"text/csv;nulls=stripped\""))
            .plan_is_stripped);
}

static void test_kinds(void **state)
{
    (void)state;
    check_one("application/json", REST_MEDIA_JSON, "application/json");
    check_one("Application/JSON; charset=utf-8", REST_MEDIA_JSON, "application/json");
    check_one("*/*", REST_MEDIA_ANY, "*/*");
    check_one("application/vnd.pgrst.object", REST_MEDIA_OBJECT,
              "application/vnd.pgrst.object+json");
    check_one("application/vnd.pgrst.object+json; nulls=stripped", REST_MEDIA_OBJECT,
              "application/vnd.pgrst.object+json;nulls=stripped");
    check_one("application/vnd.pgrst.array+json", REST_MEDIA_JSON, "application/json");
    check_one("application/vnd.pgrst.array;nulls=stripped", REST_MEDIA_ARRAY_STRIPPED,
              "application/vnd.pgrst.array+json;nulls=stripped");
    check_one("application/vnd.pgrst.array;nulls=kept", REST_MEDIA_JSON, "application/json");
    check_one("image/png", REST_MEDIA_OTHER, "image/png");
    check_one("nonsense", REST_MEDIA_OTHER, "nonsense");
    check_one("text/xml", REST_MEDIA_XML, "text/xml");
}

static void test_plans(void **state)
{
    (void)state;
    check_one("application/vnd.pgrst.plan", REST_MEDIA_PLAN,
              "application/vnd.pgrst.plan+text; for=\"application/json\"");
    check_one("application/vnd.pgrst.plan+json ; for=\"text/csv\"; options=wal|analyze|none",
              REST_MEDIA_PLAN,
              "application/vnd.pgrst.plan+json; for=\"text/csv\"; options=analyze|wal");
    check_one("application/vnd.pgrst.plan;for=\"application/vnd.pgrst.object;nulls=stripped\"",
              REST_MEDIA_PLAN,
              "application/vnd.pgrst.plan+text; "
              "for=\"application/vnd.pgrst.object+json;nulls=stripped\"");
    /* A plan of a plan is a plan of JSON. */
    check_one("application/vnd.pgrst.plan;for=\"application/vnd.pgrst.plan\"", REST_MEDIA_PLAN,
              "application/vnd.pgrst.plan+text; for=\"application/json\"");
}

static void check_type(const char *text, const char *expected)
{
    struct rest_media media = rest_media_read(hs_str(text));

    assert_str(rest_media_content_type(&media, &arena), hs_str(expected));
}

static void test_content_types(void **state)
{
    (void)state;
    check_type("application/json", "application/json; charset=utf-8");
    check_type("text/csv", "text/csv; charset=utf-8");
    check_type("image/png", "image/png");
    check_type("application/octet-stream", "application/octet-stream");
}

static void test_bound(void **state)
{
    struct rest_accept types;
    struct hs_buf text;

    (void)state;
    hs_buf_init(&text, 1 << 12);
    for (size_t i = 0; i < REST_MEDIA_MAX + 3; i++)
        hs_buf_add_lit(&text, "a/b,");
    rest_accept_read(hs_buf_str(&text), &types);
    assert_int_equal(types.n, REST_MEDIA_MAX);
    hs_buf_fini(&text);
}

static int set_up(void **state)
{
    (void)state;
    hs_arena_init(&arena, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hs_arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_nulls_are_stripped_only_where_the_name_says_so),
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_content_types),
        cmocka_unit_test(test_bound),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
