/* SPDX-License-Identifier: Apache-2.0 */
/* Paths to the role: both ways to write one, what they find, what is no path. */
#include "edge/claim_path.h"

#include <jansson.h>

#include "edge/jwt.h"
#include "fault.h"

static struct hs_arena arena;
static struct hs_err err;

/* What the path finds, copied; "(none)" where nothing. */
static const char *find(const char *text, const char *claims)
{
    static char found[200];
    struct edge_claim_path *path = NULL;
    json_t *json = json_loads(claims, 0, NULL);
    struct hs_str role;

    assert_non_null(json);
    if (edge_claim_path_new(hs_str(text), &arena, &path, &err))
        fail_msg("%s: %s %s", text, err.what, err.why);
    assert_str(edge_claim_path_text(path), hs_str(text));
    role = edge_claim_path_find(path, json);
    (void)snprintf(found, sizeof(found), "%.*s", role.p ? (int)role.n : 6,
                   role.p ? role.p : "(none)");
    edge_claim_path_fini(path);
    json_decref(json);
    return found;
}

static void test_dots(void **state)
{
    (void)state;
    assert_string_equal(find("role", "{\"role\":\"a\"}"), "a");
    assert_string_equal(find("app.role", "{\"app\":{\"role\":\"a\"}}"), "a");
    assert_string_equal(find("app.role", "{\"app.role\":\"b\",\"app\":{\"role\":\"a\"}}"), "b");
    assert_string_equal(find("https://x.y/role", "{\"https://x.y/role\":\"a\"}"), "a");
    assert_string_equal(find("role", "{\"role\":[\"a\"]}"), "(none)");
    assert_string_equal(find("app.role", "{\"app\":\"a\"}"), "(none)");
}

static void test_paths(void **state)
{
    static const char claims[] =
        "{\"role\":\"r\",\"a\":{\"b c\":{\"d\":[\"x\",\"author\",[\"deep\"]]}},\"https://x/role\":\"u\","
        "\"n\":5,\"mix\":[7,\"other\",\"author\"],\"g\":[\"/groupa\",\"/groupb/\"],\"\\u00e4\":\"uml\"}";
    static const struct {
        const char *path;
        const char *found;
    } rows[] = {
        {".role", "r"},
        {"$.role", "r"},
        {"$['role']", "r"},
        {"$[\"role\"]", "r"},
        {".\"https://x/role\"", "u"},
        {"$['https://x/role']", "u"},
        {".a.\"b c\".d[1]", "author"},
        {"$.a['b c'].d[-2]", "author"},
        {"$.a['b c'].d[2][0]", "deep"},
        {".a.\"b c\".d[3]", "(none)"},
        {".a.\"b c\".d[-4]", "(none)"},
        {".a.\"b c\".d", "(none)"},
        {".n", "(none)"},
        {".n[0]", "(none)"},
        {".nothing.here", "(none)"},
        {".mix[?(@ == \"author\")]", "author"},
        {".mix[?(@ == \"none\")]", "(none)"},
        {".mix[?(@ != \"other\")]", "author"},
        {".mix[?(@ ^== \"aut\")]", "author"},
        {".mix[?(@ ==^ \"hor\")]", "author"},
        {".mix[?(@ *== \"utho\")]", "author"},
        {".mix[?(@ *== \"\")]", "other"},
        {"$.mix[?@ == 'author']", "author"},
        {"$.mix[?search(@, '^au')]", "author"},
        {"$.mix[?(search(@,'er$'))]", "other"},
        {"$.role[?(@ == 'r')]", "(none)"},
        {".g[0][1:]", "groupa"},
        {".g[1][1:-1]", "groupb"},
        {".g[0][:]", "/groupa"},
        {".g[0][:3]", "/gr"},
        {".g[0][-2:]", "pa"},
        {".g[0][5:2]", ""},
        {".g[0][50:]", ""},
        {".\xc3\xa4[0:2]", "um"},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        const char *got = find(rows[i].path, claims);

        if (strcmp(got, rows[i].found) != 0)
            fail_msg("%s: found %s, expected %s", rows[i].path, got, rows[i].found);
    }
}

static void test_slices_count_characters(void **state)
{
    (void)state;
    assert_string_equal(find(".r[1:3]", "{\"r\":\"\\u00e4b\\ud83d\\ude00c\"}"),
                        "b\xf0\x9f\x98\x80");
    assert_string_equal(find(".r[-1:]", "{\"r\":\"\\u00e4b\\ud83d\\ude00c\"}"), "c");
}

static void test_no_paths(void **state)
{
    static const char *const bad[] = {"",
                                      "$",
                                      ".",
                                      "..role",
                                      ".a.",
                                      ".a b",
                                      ".a[",
                                      ".a[1",
                                      ".a[x]",
                                      ".a['b]",
                                      ".a[*]",
                                      "$.*",
                                      "$..a",
                                      ".a[0,1]",
                                      ".a[?]",
                                      ".a[?(@)]",
                                      ".a[?@ == x]",
                                      ".a[?(@ == 'x']",
                                      ".a[?(@ = 'x')]",
                                      ".a[?(@ < 'x')]",
                                      ".a[?search(@)]",
                                      ".a[?search(@,'(')]",
                                      ".a[?length(@,'x')]",
                                      ".a[1:2].b",
                                      ".a[1:2][0]",
                                      "$a",
                                      ".a[99999999999999999999]"};
    struct edge_claim_path *path;

    (void)state;
    for (size_t i = 0; i < HS_LEN(bad); i++) {
        hs_err_clear(&err);
        if (edge_claim_path_new(hs_str(bad[i]), &arena, &path, &err) != HS_E_CONFIG)
            fail_msg("accepted: %s", bad[i]);
        assert_true(err.what[0]);
    }
    edge_claim_path_fini(NULL);
}

static void test_steps_are_bounded(void **state)
{
    char text[2 * EDGE_PATH_STEPS + 3] = "";
    struct edge_claim_path *path;

    (void)state;
    for (size_t i = 0; i < EDGE_PATH_STEPS; i++)
        memcpy(text + 2 * i, ".a", 3);
    assert_int_equal(edge_claim_path_new(hs_str(text), &arena, &path, &err), HS_OK);
    edge_claim_path_fini(path);
    memcpy(text + 2 * EDGE_PATH_STEPS, ".a", 3);
    assert_int_equal(edge_claim_path_new(hs_str(text), &arena, &path, &err), HS_E_CONFIG);
}

static bool scenario(void *arg)
{
    struct edge_claim_path *path = NULL;
    struct hs_arena own;
    hs_status status;

    (void)arg;
    hs_arena_init(&own, 1 << 20);
    status = edge_claim_path_new(HS_STR("$.a['b'][?search(@,'x')]"), &own, &path, &err);
    assert_true(status == HS_OK || status == HS_E_MEMORY);
    edge_claim_path_fini(path);
    hs_arena_fini(&own);
    return !status;
}

static void test_no_memory(void **state)
{
    (void)state;
    fault_each(scenario, NULL);
}

static int setup(void **state)
{
    (void)state;
    edge_jwt_init();
    hs_arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hs_arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dots),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_slices_count_characters),
        cmocka_unit_test(test_no_paths),
        cmocka_unit_test(test_steps_are_bounded),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
