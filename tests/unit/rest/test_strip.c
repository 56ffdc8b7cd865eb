/* SPDX-License-Identifier: Apache-2.0 */
/* JSON without the members that are null. */
#include "rest/request.h"
#include "test.h"

static void check(const char *json, const char *expected)
{
    struct hs_buf text;

    hs_buf_init(&text, 1 << 12);
    hs_buf_add(&text, hs_str(json));
    rest_strip_nulls(&text);
    assert_str(hs_buf_str(&text), hs_str(expected));
    hs_buf_fini(&text);
}

static void test_members(void **state)
{
    (void)state;
    check("{\"a\":null}", "{}");
    check("{\"a\":null,\"b\":1}", "{\"b\":1}");
    check("{\"a\":1,\"b\":null}", "{\"a\":1}");
    check("{\"a\":1,\"b\":null,\"c\":2}", "{\"a\":1,\"c\":2}");
    check("{\"a\":null,\"b\":null}", "{}");
    check("[{\"a\":null},{\"a\":[null,{\"b\":null}]}]", "[{},{\"a\":[null,{}]}]");
}

static void test_space(void **state)
{
    (void)state;
    check("{ \"a\" : null , \"b\" : 1 }", "{ \"b\" : 1 }");
    check("{ \"a\" : 1 , \"b\" : null }", "{ \"a\" : 1 }");
}

static void test_texts(void **state)
{
    (void)state;
    check("{\"a\":\"null\",\"b\":\"\\\"c\\\":null\"}", "{\"a\":\"null\",\"b\":\"\\\"c\\\":null\"}");
    check("{\"nu\\\\\":null,\"b\":1}", "{\"b\":1}");
    check("[\"a\",null,\"b\"]", "[\"a\",null,\"b\"]");
    check("\"a", "\"a");
    check("", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_space),
        cmocka_unit_test(test_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
