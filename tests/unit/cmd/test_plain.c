/* SPDX-License-Identifier: Apache-2.0 */
/* JSON as text for people: columns in line, nothing that steers a terminal, and no crash on what is no JSON. */
#include "test.h"

#include "cmd/plain.h"

enum { OUT_MAX = 65536 };

static void test_written(void **state)
{
    static const struct {
        const char *json, *text;
    } rows[] = {
        {"{\"data\":{}}", ""},
        {"{\"data\":[]}", "(none)\n"},
        {"{\"data\":{\"a\":1,\"bcd\":\"x\",\"e\":null,\"f\":true,\"g\":false}}",
         "a    1\nbcd  x\ne    -\nf    yes\ng    no\n"},
        {"{\"data\":{\"a\":{\"bb\":1.5},\"longer\":2}}", "a\n  bb  1.5\nlonger  2\n"},
        {"{\"data\":{\"a\":[\"x\",\"y\"]}}", "a\n  x\n  y\n"},
        {"{\"data\":[{\"n\":5,\"s\":\"ab\",\"t\":\"x\"},{\"n\":12,\"s\":\"c\",\"t\":null}]}",
         " n  s   t\n 5  ab  x\n12  c   -\n"},
        {"{\"data\":[{\"a\":1},{\"b\":\"x\"}]}", "a  b\n1  \n   x\n"},
        {"{\"data\":{\"a\":\"\\u001b[31m\\n\\u009b\\u00e4\"}}", "a  ?[31m???\xc3\xa4\n"},
    };
    struct hs_buf out;

    (void)state;
    hs_buf_init(&out, OUT_MAX);
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        hs_buf_clear(&out);
        assert_true(plain_write(hs_str(rows[i].json), &out));
        if (!hs_str_is(hs_buf_str(&out), rows[i].text))
            fail_msg("%s became\n%.*s", rows[i].json, HS_FMT(hs_buf_str(&out)));
    }
    hs_buf_fini(&out);
}

static void test_refused(void **state)
{
    static const char *const rows[] = {"",
                                       "{",
                                       "[]",
                                       "{\"data\":1}",
                                       "{\"error\":{}}",
                                       "{\"data\":{\"a\":",
                                       "{\"data\":[{\"a\":1},2]}",
                                       "{\"data\":[[1]]}",
                                       "{\"data\":{\"a\":[1,{}]}}"};
    struct hs_buf out;

    (void)state;
    hs_buf_init(&out, OUT_MAX);
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        hs_buf_clear(&out);
        assert_false(plain_write(hs_str(rows[i]), &out));
    }
    hs_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
