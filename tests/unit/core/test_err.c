/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: the table is sound, texts are cut between characters, JSON has one shape. */
#include "core/err.h"

#include <jansson.h>

#include "core/buf.h"
#include "test.h"

static void test_table(void **state)
{
    (void)state;
    for (unsigned i = 1; i < HS_STATUS_COUNT; i++) {
        const struct hs_status_info *a = hs_status_info((hs_status)i);

        bool is_postgrest = strncmp(a->code, "PGRST", 5) == 0;

        /* PostgREST says 300 where a name means more than one thing. */
        assert_true((a->http >= 400 && a->http <= 599) || (is_postgrest && a->http == 300));
        for (const char *c = a->code + (is_postgrest ? 5 : 0); *c; c++)
            assert_true(is_postgrest ? (*c >= '0' && *c <= '9') || *c == 'X'
                                     : (*c >= 'a' && *c <= 'z') || *c == '_');
        assert_true(strlen(a->hint) < HS_ERR_HINT);
        for (unsigned k = 1; k < i; k++)
            assert_string_not_equal(hs_status_info((hs_status)k)->code, a->code);
    }
}

static void test_cut_between_characters(void **state)
{
    static const char *const pads[] = {"", "x", "xx", "xxx", "xxxx"};
    char text[1200] = {0};
    struct hs_err err;

    (void)state;
    for (unsigned i = 0; i < 150; i++)
        memcpy(text + 7 * i, "\xf0\x9f\x98\x80\xe2\x82\xac", 7);
    for (size_t i = 0; i < HS_LEN(pads); i++) {
        struct hs_str what;

        assert_int_equal(hs_fail(&err, HS_E_BAD_VALUE, "%s%s", pads[i], text), HS_E_BAD_VALUE);
        hs_err_why(&err, "%s%s", pads[i], text);
        hs_err_hint(&err, "%s%s", pads[i], text);
        what = hs_str(err.what);
        assert_true(hs_str_is_utf8(what));
        assert_true(what.n > HS_ERR_WHAT - 9 && what.n < HS_ERR_WHAT);
        assert_str(hs_str_sub(what, what.n - 3, what.n), HS_STR("..."));
        assert_string_equal(err.what, err.why);
        assert_string_equal(err.what, err.hint);
    }
    /* Exactly full: not cut. */
    (void)hs_fail(&err, HS_E_BAD_VALUE, "%0*d", HS_ERR_WHAT - 1, 0);
    assert_int_equal(strlen(err.what), HS_ERR_WHAT - 1);
    assert_int_equal(err.what[HS_ERR_WHAT - 2], '0');
    (void)hs_fail(&err, HS_E_BAD_VALUE, "%0*d", HS_ERR_WHAT, 0);
    assert_int_equal(err.what[HS_ERR_WHAT - 2], '.');
    /* Bytes that are no text are cut somewhere, never past the start. */
    memset(text, 0x80, sizeof(text) - 1);
    (void)hs_fail(&err, HS_E_BAD_VALUE, "%s", text);
    assert_string_equal(err.what, "...");
}

static void test_wrapping(void **state)
{
    struct hs_err err;

    (void)state;
    (void)hs_fail(&err, HS_E_IO, "could not read");
    hs_err_why(&err, "%s", "no such file");
    hs_err_why(&err, "line 3: %s", err.why);
    assert_string_equal(err.why, "line 3: no such file");
    (void)hs_fail(&err, HS_E_CONFIG, "in a.yaml: %s", err.what);
    assert_string_equal(err.what, "in a.yaml: could not read");
    assert_string_equal(err.why, "");
    assert_int_equal(hs_fail(NULL, HS_E_IO, "x"), HS_E_IO);
    hs_err_why(NULL, "x");
    hs_err_hint(NULL, "x");
    assert_int_equal(hs_fail_memory(NULL), HS_E_MEMORY);
}

static void test_what_a_client_sees(void **state)
{
    struct hs_err err;

    (void)state;
    (void)hs_fail(&err, HS_E_PG_ERROR, "x");
    assert_int_equal(hs_err_http(&err), 500);
    assert_string_equal(hs_err_code(&err), "database_error");
    memcpy(err.sqlstate, "23505", 6);
    err.http = 409;
    assert_int_equal(hs_err_http(&err), 409);
    assert_string_equal(hs_err_code(&err), "23505");
    (void)hs_fail(&err, HS_E_BUSY, "x");
    assert_int_equal(hs_err_http(&err), 503);
    assert_string_equal(hs_err_hint_text(&err), hs_status_info(HS_E_BUSY)->hint);
    hs_err_hint(&err, "y");
    assert_string_equal(hs_err_hint_text(&err), "y");
}

static void test_json_shape(void **state)
{
    struct hs_err err;
    struct hs_buf out;
    json_t *json;

    (void)state;
    hs_buf_init(&out, 1 << 16);
    (void)hs_fail(&err, HS_E_PG_ERROR, "quote \" and \xff and \n");
    hs_err_to_json(&err, true, &out);
    json = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(json_object_size(json), 4);
    assert_string_equal(json_string_value(json_object_get(json, "code")), "database_error");
    assert_string_equal(json_string_value(json_object_get(json, "message")),
                        "quote \" and \xef\xbf\xbd and \n");
    assert_true(json_is_null(json_object_get(json, "details")));
    assert_true(json_is_null(json_object_get(json, "hint")));
    json_decref(json);
    hs_buf_fini(&out);
}

/* Texts that were cut are still there whole, until the thread has filled eight others that were cut. */
static void test_whole(void **state)
{
    struct hs_err err = {0};
    struct hs_err other;
    char text[1000];

    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    (void)hs_fail(&err, HS_E_BAD_BODY, "%s", text);
    hs_err_why(&err, "b%s", text);
    hs_err_hint(&err, "short");
    assert_string_equal(err.what + HS_ERR_WHAT - 4, "...");
    other = err;
    assert_int_equal(hs_err_what(&other).n, sizeof(text) - 1);
    assert_int_equal(hs_err_details(&other).n, sizeof(text));
    assert_true(hs_str_is(hs_err_own_hint(&other), "short"));
    for (int i = 0; i < 8; i++)
        (void)hs_fail(&err, HS_E_BAD_BODY, "c%s", text);
    assert_true(hs_str_is(hs_err_what(&other), other.what));
    assert_true(hs_str_is(hs_err_details(&other), other.why));
    hs_err_clear(&other);
    assert_int_equal(hs_err_what(&other).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_cut_between_characters),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_wrapping),
        cmocka_unit_test(test_what_a_client_sees),
        cmocka_unit_test(test_json_shape),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
