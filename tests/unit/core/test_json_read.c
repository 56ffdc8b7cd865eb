/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pull reader: a table of texts with what becomes of them, and chance beside jansson.
 */
#include "test.h"

#include "core/json_oracle.h"
#include "core/json_read.h"
#include "fault.h"

static hs_status read_all(struct hs_str text, struct hs_err *err)
{
    hs_err_clear(err);
    return oracle_read(text, err);
}

static void accepts(void **state)
{
    static const char *const texts[] = {
        "0",
        "-0",
        "12",
        "-12.50",
        "1e5",
        "1E+05",
        "0.0e-0",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u0041\\u00e9\\uD83d\\uDe00\"",
        "\"\\u0000\"",
        "\"\x7f\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\"",
        "\"\xed\x9f\xbf\xee\x80\x80\"",
        "[]",
        "{}",
        " \t\r\n[ ] \t\r\n",
        "[1,2 , 3]",
        "[[],[[]],{}]",
        "{\"a\":1}",
        "{ \"a\" : { \"b\" : [ ] } , \"a\" : null }",
        "{\"\":0}",
        "\"eight.. eight.. eight.. and more\"",
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(texts); i++) {
        struct hs_err err;

        if (read_all(hs_str(texts[i]), &err))
            fail_msg("%s: %s", texts[i], err.what);
        if (!oracle_agrees(hs_str(texts[i])))
            fail_msg("%s: jansson sees something else", texts[i]);
    }
}

struct refusal {
    const char *text;
    const char *what;
};

static const struct refusal refusals[] = {
    {"", "line 1, column 1: expected a value, not the end of the text"},
    {" \n ", "line 2, column 2: expected a value, not the end of the text"},
    {"\xef\xbb\xbf{}", "line 1, column 1: expected a value, not the byte 0xef"},
    {"nul", "line 1, column 1: expected a value, not n"},
    {"True", "line 1, column 1: expected a value, not T"},
    {"NaN", "line 1, column 1: expected a value, not N"},
    {"+1", "line 1, column 1: expected a value, not +"},
    {"-", "line 1, column 2: expected a digit behind the minus sign, not the end of the text"},
    {"-x", "line 1, column 2: expected a digit behind the minus sign, not x"},
    {"01", "line 1, column 2: expected no digit behind a leading zero, not 1"},
    {"-00", "line 1, column 3: expected no digit behind a leading zero, not 0"},
    {"1.", "line 1, column 3: expected a digit behind the decimal point, not the end of the text"},
    {".5", "line 1, column 1: expected a value, not ."},
    {"1e", "line 1, column 3: expected a digit of the exponent, not the end of the text"},
    {"1e+", "line 1, column 4: expected a digit of the exponent, not the end of the text"},
    {"1 2", "line 1, column 3: expected the end of the text behind the value, not 2"},
    {"truex", "line 1, column 5: expected the end of the text behind the value, not x"},
    {"[]]", "line 1, column 3: expected the end of the text behind the value, not ]"},
    {"[1,]", "line 1, column 4: expected a value, not ]"},
    {"[,1]", "line 1, column 2: expected a value, not ,"},
    {"[1 2]", "line 1, column 4: expected ',' or ']', not 2"},
    {"[1}", "line 1, column 3: expected ',' or ']', not }"},
    {"[", "line 1, column 2: expected a value, not the end of the text"},
    {"[1", "line 1, column 3: expected ',' or ']', not the end of the text"},
    {"{\"a\":1]", "line 1, column 7: expected ',' or '}', not ]"},
    {"{\"a\":1,}", "line 1, column 8: expected the name of a member in quotes, not }"},
    {"{,}", "line 1, column 2: expected the name of a member in quotes, or '}', not ,"},
    {"{a:1}", "line 1, column 2: expected the name of a member in quotes, or '}', not a"},
    {"{'a':1}", "line 1, column 2: expected the name of a member in quotes, or '}', not '"},
    {"{1:1}", "line 1, column 2: expected the name of a member in quotes, or '}', not 1"},
    {"{\"a\" 1}", "line 1, column 6: expected ':' behind the name of a member, not 1"},
    {"{\"a\":}", "line 1, column 6: expected a value, not }"},
    {"{\"a\"",
     "line 1, column 5: expected ':' behind the name of a member, not the end of the text"},
    {"// x\n1", "line 1, column 1: expected a value, not /"},
    {"[1]/**/", "line 1, column 4: expected the end of the text behind the value, not /"},
    {"[\n 1,\n\v2]", "line 3, column 1: expected a value, not the byte 0x0b"},
    {"\"abc", "line 1, column 5: expected the closing quote of a string, not the end of the text"},
    {"\"a\nb\"",
     "line 1, column 3: expected control characters of a string as escapes, not the byte 0x0a"},
    {"\"12345678\x01\"",
     "line 1, column 10: expected control characters of a string as escapes, not the byte 0x01"},
    {"\"\\x\"", "line 1, column 3: expected one of \"\\/bfnrtu behind a backslash, not x"},
    {"\"\\",
     "line 1, column 3: expected one of \"\\/bfnrtu behind a backslash, not the end of the text"},
    {"\"\\u12g4\"", "line 1, column 4: expected four hexadecimal digits behind \\u, not 1"},
    {"\"\\u123", "line 1, column 4: expected four hexadecimal digits behind \\u, not 1"},
    {"\"\\ud800\"",
     "line 1, column 8: expected the low half of a surrogate pair behind its high half, not \""},
    {"\"\\ud800\\u0041\"",
     "line 1, column 8: expected the low half of a surrogate pair behind its high half, not \\"},
    {"\"\\udc00\"",
     "line 1, column 4: expected the high half of a surrogate pair before its low half, not d"},
    {"\"\x80\"", "line 1, column 1: expected a string in UTF-8, not \""},
    {"\"\xc0\x80\"", "line 1, column 1: expected a string in UTF-8, not \""},
    {"\"\xe0\x80\xaf\"", "line 1, column 1: expected a string in UTF-8, not \""},
    {"\"\xed\xa0\x80\"", "line 1, column 1: expected a string in UTF-8, not \""},
    {"\"\xf4\x90\x80\x80\"", "line 1, column 1: expected a string in UTF-8, not \""},
    {"\"12345678\xe2\x82\"", "line 1, column 1: expected a string in UTF-8, not \""},
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < HS_LEN(refusals); i++) {
        struct hs_str text = hs_str(refusals[i].text);
        struct hs_err err;

        assert_int_equal(read_all(text, &err), HS_E_BAD_JSON);
        assert_string_equal(err.what, refusals[i].what);
        if (!oracle_agrees(text))
            fail_msg("%s: jansson accepts it", refusals[i].text);
    }
}

static void refuses_nul_bytes(void **state)
{
    struct hs_err err;

    (void)state;
    assert_int_equal(read_all(HS_STR("1\0"), &err), HS_E_BAD_JSON);
    assert_int_equal(read_all(HS_STR("\"a\0b\""), &err), HS_E_BAD_JSON);
    assert_int_equal(read_all(HS_STR("\"\\\0\""), &err), HS_E_BAD_JSON);
    assert_int_equal(read_all(HS_STR("[\0]"), &err), HS_E_BAD_JSON);
}

static void bounds_the_depth(void **state)
{
    char text[2 * JSON_DEPTH_MAX + 2];
    struct json_reader r;
    enum json_token token = JSON_NULL;
    struct hs_err err;

    (void)state;
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    assert_int_equal(read_all(hs_strn(text, 2 * (size_t)JSON_DEPTH_MAX), &err), HS_OK);
    memset(text, '[', JSON_DEPTH_MAX + 1);
    assert_int_equal(read_all(hs_strn(text, JSON_DEPTH_MAX + 1), &err), HS_E_BAD_JSON);
    assert_string_equal(err.what, "line 1, column 65: nested deeper than 64 levels");

    json_reader_init(&r, HS_STR("{\"a\":[]}"), 1);
    assert_int_equal(json_next(&r, &token, &err), HS_OK);
    assert_int_equal(json_next(&r, &token, &err), HS_OK);
    assert_int_equal(json_next(&r, &token, &err), HS_E_BAD_JSON);
}

static void remembers_kinds_of_levels(void **state)
{
    static const enum json_token expected[] = {
        JSON_ARRAY,  JSON_OBJECT,    JSON_NAME,      JSON_ARRAY,  JSON_ARRAY,      JSON_ARRAY_END,
        JSON_NUMBER, JSON_ARRAY_END, JSON_NAME,      JSON_STRING, JSON_OBJECT_END, JSON_TRUE,
        JSON_FALSE,  JSON_NULL,      JSON_ARRAY_END, JSON_END,    JSON_END};
    struct json_reader r;

    (void)state;
    json_reader_init(&r, HS_STR("[{\"a\":[[],1],\"b\":\"c\"},true,false,null]"), 8);
    for (size_t i = 0; i < HS_LEN(expected); i++) {
        enum json_token token;
        struct hs_err err;

        assert_int_equal(json_next(&r, &token, &err), HS_OK);
        assert_int_equal(token, expected[i]);
    }
}

static void skips_values(void **state)
{
    struct json_reader r;
    enum json_token token;
    struct hs_str text;
    struct hs_err err;

    (void)state;
    json_reader_init(&r, HS_STR("{\"a\": {\"x\":[1,{}]} , \"b\" :\"q\\\"\"}"), 8);
    assert_int_equal(json_next(&r, &token, &err), HS_OK);
    assert_int_equal(json_next(&r, &token, &err), HS_OK);
    assert_int_equal(json_next(&r, &token, &err), HS_OK);
    assert_int_equal(json_skip(&r, token, &text, &err), HS_OK);
    assert_str(text, HS_STR("{\"x\":[1,{}]}"));
    assert_int_equal(json_next(&r, &token, &err), HS_OK);
    assert_int_equal(token, JSON_NAME);
    assert_str(r.value, HS_STR("b"));
    assert_int_equal(json_next(&r, &token, &err), HS_OK);
    assert_int_equal(json_skip(&r, token, &text, &err), HS_OK);
    assert_str(text, HS_STR("\"q\\\"\""));
    assert_int_equal(json_next(&r, &token, &err), HS_OK);
    assert_int_equal(token, JSON_OBJECT_END);

    json_reader_init(&r, HS_STR("[[1,]]"), 8);
    assert_int_equal(json_next(&r, &token, &err), HS_OK);
    assert_int_equal(json_skip(&r, token, &text, &err), HS_E_BAD_JSON);
}

static void unescapes(void **state)
{
    struct json_reader r;
    enum json_token token;
    struct hs_arena arena;
    struct hs_str text;
    struct hs_err err;

    (void)state;
    hs_arena_init(&arena, 1 << 16);
    json_reader_init(
        &r, HS_STR("\"\\u0041-\\u00e9\\u20ac\\ud83d\\ude00\\b\\f\\n\\r\\t\\/\\\\\\\".\""), 1);
    assert_int_equal(json_next(&r, &token, &err), HS_OK);
    assert_true(r.has_escapes);
    assert_int_equal(json_text(&r, &arena, &text, &err), HS_OK);
    assert_str(text, HS_STR("A-\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\b\f\n\r\t/\\\"."));
    assert_int_equal(text.p[text.n], 0);

    json_reader_init(&r, HS_STR("[\"\", \"a\\u0000\"]"), 1);
    assert_int_equal(json_next(&r, &token, &err), HS_OK);
    assert_int_equal(json_next(&r, &token, &err), HS_OK);
    assert_false(r.has_escapes);
    assert_int_equal(json_text(&r, &arena, &text, &err), HS_OK);
    assert_true(text.p && text.n == 0);
    assert_int_equal(json_next(&r, &token, &err), HS_OK);
    assert_int_equal(json_text(&r, &arena, &text, &err), HS_E_BAD_JSON);
    assert_string_equal(err.what, "line 1, column 6: expected a string without \\u0000, not \"");
    hs_arena_fini(&arena);
}

static bool text_scenario(void *arg)
{
    struct hs_arena arena;
    struct json_reader r;
    enum json_token token;
    struct hs_str text;
    struct hs_err err = {0};
    hs_status status;

    (void)arg;
    hs_arena_init(&arena, 1 << 16);
    json_reader_init(&r, HS_STR("\"\\n\""), 1);
    assert_int_equal(json_next(&r, &token, &err), HS_OK);
    status = json_text(&r, &arena, &text, &err);
    assert_true(!status || status == HS_E_MEMORY);
    hs_arena_fini(&arena);
    return !status;
}

static void survives_lack_of_memory(void **state)
{
    (void)state;
    fault_each(text_scenario, NULL);
}

static void places(void **state)
{
    size_t line;
    size_t column;

    (void)state;
    json_place(HS_STR("a\n\nbc"), 4, &line, &column);
    assert_int_equal(line, 3);
    assert_int_equal(column, 2);
    json_place(HS_STR_NULL, 0, &line, &column);
    assert_int_equal(line, 1);
    assert_int_equal(column, 1);
}

/* ---- chance ---- */

static void add_random(struct hs_rng *rng, char *text, size_t *n, unsigned depth)
{
    static const char *const pieces[] = {"0",
                                         "-1.5e3",
                                         "12",
                                         "true",
                                         "null",
                                         "false",
                                         "\"\"",
                                         "\"x\"",
                                         "\"\\n\"",
                                         "\"\\ud83d\\ude00\"",
                                         "\"\xc3\xa9\"",
                                         "\"\\u00e9\"",
                                         "[]",
                                         "{}",
                                         " 7 ",
                                         "\"a longer one, \\\" of more than eight\""};
    uint64_t kind = hs_rng_below(rng, depth ? 4 : 2);

    if (kind < 2) {
        const char *piece = pieces[hs_rng_below(rng, HS_LEN(pieces))];

        memcpy(text + *n, piece, strlen(piece));
        *n += strlen(piece);
        return;
    }
    text[(*n)++] = kind == 2 ? '[' : '{';
    for (uint64_t i = 0, count = hs_rng_below(rng, 4); i < count; i++) {
        if (i)
            text[(*n)++] = ',';
        if (kind == 3) {
            memcpy(text + *n, "\"k\" :", 5);
            *n += 5;
        }
        add_random(rng, text, n, depth - 1);
    }
    text[(*n)++] = kind == 2 ? ']' : '}';
}

/* One change in a text that was right: most of them make it wrong, and some do not. */
static void spoil(struct hs_rng *rng, char *text, size_t *n)
{
    static const char bytes[] = "{}[],:\"\\0123456789.eE+-truefalsnu \n\t\x01\x80\xc3\xed\xf4";
    size_t at = hs_rng_below(rng, *n);

    switch (hs_rng_below(rng, 3)) {
    case 0:
        text[at] = bytes[hs_rng_below(rng, sizeof(bytes))];
        break;
    case 1:
        memmove(text + at, text + at + 1, *n - at - 1);
        --*n;
        break;
    default:
        memmove(text + at + 1, text + at, *n - at);
        text[at] = bytes[hs_rng_below(rng, sizeof(bytes))];
        ++*n;
        break;
    }
}

static void agrees_with_jansson(void **state)
{
    struct hs_rng rng = test_rng();
    size_t accepted = 0;
    size_t refused = 0;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        static char text[1 << 16];
        struct hs_err err;
        size_t n = 0;

        add_random(&rng, text, &n, 4);
        for (uint64_t changes = hs_rng_below(&rng, 3); changes && n; changes--)
            spoil(&rng, text, &n);
        if (!oracle_agrees(hs_strn(text, n)))
            fail_msg("jansson sees something else in: %.*s", (int)n, text);
        if (read_all(hs_strn(text, n), &err))
            refused++;
        else
            accepted++;
    }
    assert_true(accepted > 1000 && refused > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts),
        cmocka_unit_test(refuses),
        cmocka_unit_test(refuses_nul_bytes),
        cmocka_unit_test(bounds_the_depth),
        cmocka_unit_test(remembers_kinds_of_levels),
        cmocka_unit_test(skips_values),
        cmocka_unit_test(unescapes),
        cmocka_unit_test(survives_lack_of_memory),
        cmocka_unit_test(places),
        cmocka_unit_test(agrees_with_jansson),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
