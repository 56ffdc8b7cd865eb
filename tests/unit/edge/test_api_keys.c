/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of API keys: what they say, what they may not, and keys against them. */
#include "edge/api_keys.h"

#include "fault.h"

#define HASH_A "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" /* of "foo" */
#define HASH_B "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9" /* of "bar" */

static struct hs_arena arena;
static struct edge_api_keys keys;
static struct hs_err err;

static hs_status read_list(const char *text)
{
    hs_err_clear(&err);
    keys = (struct edge_api_keys){.n = 0};
    return edge_api_keys_read(hs_str(text), &arena, &keys, &err);
}

static void assert_read(const char *text)
{
    if (read_list(text))
        fail_msg("%s: %s", text, err.what);
}

static void test_empty(void **state)
{
    (void)state;
    assert_read("");
    assert_int_equal(keys.n, 0);
    assert_read("# only words\n\n   \n\r\n");
    assert_int_equal(keys.n, 0);
}

static void test_lines(void **state)
{
    (void)state;
    assert_read(
        "# a\n  one: " HASH_A " role=member\r\n\ntwo: " HASH_B
        " expires=2027-02-28T12:30:59Z  role=viewer  claims={\"a\": \"b c\", \"role=\": 1} ");
    assert_int_equal(keys.n, 2);
    assert_str(keys.list[0].name, HS_STR("one"));
    assert_str(keys.list[0].role, HS_STR("member"));
    assert_str(keys.list[0].claims, HS_STR("{}"));
    assert_true(keys.list[0].ends_us == INT64_MAX);
    assert_str(keys.list[1].role, HS_STR("viewer"));
    assert_str(keys.list[1].claims, HS_STR("{\"a\": \"b c\", \"role=\": 1}"));
    assert_true(keys.list[1].ends_us == INT64_C(1803817859) * 1000000);
    assert_read("x: " HASH_A " role=r expires=1970-01-02");
    assert_true(keys.list[0].ends_us == INT64_C(86400) * 1000000);
}

static void test_found(void **state)
{
    (void)state;
    assert_read("one: " HASH_A " role=a\ntwo: " HASH_B " role=b");
    assert_ptr_equal(edge_api_keys_find(&keys, HS_STR("foo")), &keys.list[0]);
    assert_ptr_equal(edge_api_keys_find(&keys, HS_STR("bar")), &keys.list[1]);
    assert_null(edge_api_keys_find(&keys, HS_STR("fooo")));
    assert_null(edge_api_keys_find(&keys, HS_STR("")));
    assert_null(edge_api_keys_find(&keys, HS_STR(HASH_A))); /* who has the list has no key */
    assert_null(edge_api_keys_find(
        &keys,
        HS_STR("a text that is far longer than any key of ours, whatever stands in it....")));
    keys.n = 0;
    assert_null(edge_api_keys_find(&keys, HS_STR("foo")));
}

static void test_bad_lines(void **state)
{
    static const char *const bad[] = {
        "one",
        "one: ",
        ": " HASH_A " role=a",
        "a b: " HASH_A " role=a",
        "one: " HASH_A,
        "one: " HASH_A " role=",
        "one: " HASH_A "0 role=a",
        "one: g" HASH_A " role=a",
        "one: 2c26b46b role=a",
        "one: " HASH_A " role=a rolle=b",
        "one: " HASH_A " role=a expires=tomorrow",
        "one: " HASH_A " role=a expires=2027-02-29",
        "one: " HASH_A " role=a expires=2027-13-01",
        "one: " HASH_A " role=a expires=2027-02-28T25:00:00Z",
        "one: " HASH_A " role=a expires=2027-02-28T12:00:00",
        "one: " HASH_A " role=a claims=",
        "one: " HASH_A " role=a claims=[]",
        "one: " HASH_A " role=a claims={\"a\":1,\"a\":2}",
        "one: " HASH_A " role=a claims={} more",
        "one: " HASH_A " role=0123456789012345678901234567890123456789012345678901234567890123",
        "one: " HASH_A " role=a\none: " HASH_B " role=a",
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(bad); i++) {
        if (read_list(bad[i]) != HS_E_CONFIG)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(err.what, "line"));
        assert_null(strstr(err.what, HASH_A));
    }
    assert_int_equal(read_list("a: " HASH_A " role=a\n\n# x\nb: x"), HS_E_CONFIG);
    assert_non_null(strstr(err.what, "line 4"));
}

static void test_too_many(void **state)
{
    struct hs_arena large;
    struct hs_buf text;

    (void)state;
    hs_arena_init(&large, 16 << 20);
    hs_buf_init(&text, 1 << 20);
    for (unsigned i = 0; i < EDGE_API_KEYS_MAX; i++)
        hs_buf_printf(&text, "k%u: " HASH_A " role=a\n", i);
    assert_int_equal(edge_api_keys_read(hs_buf_str(&text), &large, &keys, &err), HS_OK);
    assert_int_equal(keys.n, EDGE_API_KEYS_MAX);
    hs_buf_add_lit(&text, "last: " HASH_A " role=a\n");
    assert_int_equal(edge_api_keys_read(hs_buf_str(&text), &large, &keys, &err), HS_E_CONFIG);
    hs_buf_fini(&text);
    hs_arena_fini(&large);
}

/* A key that was made and its line fit together. */
static void test_made(void **state)
{
    unsigned char random[EDGE_API_KEY_RANDOM];
    struct hs_buf key;
    struct hs_buf line;

    (void)state;
    for (size_t i = 0; i < sizeof(random); i++)
        random[i] = (unsigned char)(i * 37);
    hs_buf_init(&key, EDGE_API_KEY_MAX);
    hs_buf_init(&line, 1000);
    edge_api_key_print(random, &key);
    assert_true(edge_is_api_key(hs_buf_str(&key)));
    assert_int_equal(key.n, 4 + 43);
    assert_true(edge_api_key_line(HS_STR("billing"), hs_buf_str(&key), HS_STR("member"),
                                  HS_STR("2027-01-31"), HS_STR("{\"a\":1}"), &line));
    assert_read(hs_buf_cstr(&line));
    assert_ptr_equal(edge_api_keys_find(&keys, hs_buf_str(&key)), &keys.list[0]);
    assert_str(keys.list[0].claims, HS_STR("{\"a\":1}"));
    hs_buf_fini(&key);
    hs_buf_fini(&line);
    assert_false(edge_is_api_key(HS_STR("hsk")));
}

static bool scenario(void *arg)
{
    struct edge_api_keys own;
    struct hs_arena texts;
    hs_status status;

    (void)arg;
    hs_arena_init(&texts, 1 << 20);
    status = edge_api_keys_read(HS_STR("a: " HASH_A " role=a"), &texts, &own, &err);
    assert_true(status == HS_OK || status == HS_E_MEMORY);
    hs_arena_fini(&texts);
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
        cmocka_unit_test(test_empty),     cmocka_unit_test(test_lines),
        cmocka_unit_test(test_found),     cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_too_many),  cmocka_unit_test(test_made),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
