/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of writes: JSON, CSV, forms. */
#include "rest/body.h"

#include "test.h"

enum { ARENA_MAX = 16 << 20, ROWS_MAX = 1000 };

static struct hs_arena arena;

static int set_up(void **state)
{
    (void)state;
    hs_arena_init(&arena, ARENA_MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hs_arena_fini(&arena);
    return 0;
}

static hs_status read_as(enum rest_body_type type, bool any_keys, struct hs_str text,
                         struct rest_body *body, struct hs_err *err)
{
    const struct rest_body_setup setup = {
        .type = type, .any_keys = any_keys, .rows_max = ROWS_MAX, .arena = &arena};

    hs_err_clear(err);
    return rest_body_read(&setup, text, body, err);
}

/* names: "a b c", as they are sorted. */
static void check(enum rest_body_type type, const char *text, const char *json, bool is_array,
                  size_t n_rows, const char *names)
{
    struct rest_body body;
    struct hs_err err;
    struct hs_buf all;

    assert_int_equal(read_as(type, false, hs_str(text), &body, &err), HS_OK);
    assert_str(body.json, hs_str(json));
    assert_int_equal(body.json.p[body.json.n], '\0');
    assert_int_equal(body.is_array, is_array);
    assert_int_equal(body.n_rows, n_rows);
    hs_buf_init(&all, 1 << 12);
    for (size_t i = 0; i < body.n_names; i++) {
        hs_buf_add(&all, i ? HS_STR(" ") : HS_STR(""));
        hs_buf_add(&all, body.names[i]);
    }
    assert_str(hs_buf_str(&all), hs_str(names));
    hs_buf_fini(&all);
}

static void check_json(const char *text, bool is_array, size_t n_rows, const char *names)
{
    check(REST_BODY_JSON, text, text, is_array, n_rows, names);
}

static void check_refused(enum rest_body_type type, const char *text, hs_status status,
                          const char *what)
{
    struct rest_body body;
    struct hs_err err;

    assert_int_equal(read_as(type, false, hs_str(text), &body, &err), status);
    assert_str(hs_str(err.what), hs_str(what));
}

/* ---- JSON ---- */

static void test_objects(void **state)
{
    (void)state;
    check_json("{}", false, 1, "");
    check_json("{\"b\":1,\"a\":[1,{\"x\":2}]}", false, 1, "a b");
    check_json(" { \"a\" : null } ", false, 1, "a");
    check_json("{\"a\":1,\"a\":2}", false, 1, "a");
    check_json("{\"\\u0061\":1,\"a\":2,\"\":0}", false, 1, " a");
}

static void test_arrays(void **state)
{
    (void)state;
    check_json("[]", true, 0, "");
    check_json("[{}]", true, 1, "");
    check_json("[{},{}]", true, 2, "");
    check_json("[{\"a\":1,\"b\":2},{\"a\":3,\"b\":4}]", true, 2, "a b");
    /* In another order, escaped, and twice. */
    check_json(
        "[{\"a\":1,\"b\":2},{\"b\":3,\"a\":4},{\"\\u0061\":5,\"b\":6},{\"a\":1,\"b\":1,\"a\":2}]",
        true, 4, "a b");
    /* The first says a name twice. */
    check_json("[{\"a\":1,\"a\":2,\"b\":3},{\"b\":1,\"a\":2}]", true, 2, "a b");
}

static void test_neither(void **state)
{
    static const char *const texts[] = {"5", "null", "true", "\"text\"", " -1.5e3 "};

    (void)state;
    for (size_t i = 0; i < HS_LEN(texts); i++)
        check(REST_BODY_JSON, texts[i], "[]", true, 0, "");
}

static void test_keys_differ(void **state)
{
    static const char *const texts[] = {
        "[{\"a\":1},{\"b\":1}]",
        "[{\"a\":1},{}]",
        "[{},{\"a\":1}]",
        "[{\"a\":1},{\"a\":1,\"b\":2}]",
        "[{\"a\":1,\"b\":2},{\"a\":1,\"a\":2}]",
        "[{\"a\":1,\"b\":2},{\"a\":1,\"b\":2},{\"b\":2}]",
        "[1]",
        "[{\"a\":1},5]",
        "[null,{\"a\":1}]",
        "[[]]",
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(texts); i++)
        check_refused(REST_BODY_JSON, texts[i], HS_E_PGRST102, "All object keys must match");
}

static void test_broken(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "[",
        "{\"a\"}",
        "{\"a\":1,}",
        "[{\"a\":1},]",
        "{}{}",
        "{} x",
        "nul",
        "{'a':1}",
        "[1,2",
        "{\"a\":\"\xff\"}",
        "[{\"a\":1},{\"b\":1}",
        "{\"\\u0000\":1}",
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(texts); i++)
        check_refused(REST_BODY_JSON, texts[i], HS_E_PGRST102, "Empty or invalid json");
}

static void test_broken_says_where(void **state)
{
    struct rest_body body;
    struct hs_err err;

    (void)state;
    assert_int_equal(read_as(REST_BODY_JSON, false, HS_STR("{\"a\":\n 1,}"), &body, &err),
                     HS_E_PGRST102);
    assert_true(hs_str_starts(hs_str(err.why), HS_STR("line 2, column ")));
}

static void test_any_keys(void **state)
{
    struct rest_body body;
    struct hs_err err;

    (void)state;
    assert_int_equal(read_as(REST_BODY_JSON, true, HS_STR("[{\"a\":1},{\"b\":2},5]"), &body, &err),
                     HS_OK);
    assert_true(body.has_any_keys);
    assert_int_equal(body.n_names, 0);
    assert_int_equal(body.n_rows, 3);
    assert_str(body.first, HS_STR("{\"a\":1}"));
    assert_int_equal(read_as(REST_BODY_JSON, true, HS_STR("[{\"a\":1}"), &body, &err),
                     HS_E_PGRST102);
    assert_int_equal(read_as(REST_BODY_CSV, true, HS_STR("a\n1"), &body, &err), HS_OK);
    assert_false(body.has_any_keys);
    assert_int_equal(body.n_names, 1);
}

static void check_first(enum rest_body_type type, const char *text, struct hs_str first)
{
    struct rest_body body;
    struct hs_err err;

    assert_int_equal(read_as(type, false, hs_str(text), &body, &err), HS_OK);
    assert_true((body.first.p == NULL) == (first.p == NULL));
    assert_str(body.first, first);
}

static void test_first(void **state)
{
    (void)state;
    check_first(REST_BODY_JSON, " {\"a\": 1} ", HS_STR("{\"a\": 1}"));
    check_first(REST_BODY_JSON, "[ {\"a\":{}} , {\"a\":2}]", HS_STR("{\"a\":{}}"));
    check_first(REST_BODY_JSON, "[]", HS_STR_NULL);
    check_first(REST_BODY_JSON, "7", HS_STR_NULL);
    check_first(REST_BODY_CSV, "a,b\n1,2\n3,4", HS_STR("{\"a\":\"1\",\"b\":\"2\"}"));
    check_first(REST_BODY_CSV, "a,b\n", HS_STR_NULL);
    check_first(REST_BODY_FORM, "a=1", HS_STR("{\"a\":\"1\"}"));
}

/* ---- CSV ---- */

static void check_csv(const char *text, const char *json, size_t n_rows, const char *names)
{
    check(REST_BODY_CSV, text, json, true, n_rows, names);
}

static void test_csv(void **state)
{
    (void)state;
    check_csv("a", "[]", 0, "");
    check_csv("a\n", "[]", 0, "");
    check_csv("b,a\n1,2\n", "[{\"b\":\"1\",\"a\":\"2\"}]", 1, "a b");
    check_csv("b,a\r\n1,2\r\n3,4", "[{\"b\":\"1\",\"a\":\"2\"},{\"b\":\"3\",\"a\":\"4\"}]", 2,
              "a b");
    check_csv("a\r1\r2", "[{\"a\":\"1\"},{\"a\":\"2\"}]", 2, "a");
    check_csv("a,b\nNULL,\"NULL\"\n,NULLs\n",
              "[{\"a\":null,\"b\":null},{\"a\":\"\",\"b\":\"NULLs\"}]", 2, "a b");
    check_csv("\"a\"\"b\",\"c,d\"\n\"x\ny\",\"\"\"\"\n",
              "[{\"a\\\"b\":\"x\\ny\",\"c,d\":\"\\\"\"}]", 1, "a\"b c,d");
    check_csv(" a , b\n 1 , 2", "[{\" a \":\" 1 \",\" b\":\" 2\"}]", 1, " a   b");
}

/* Empty lines are none; what a line has too much is left out, what all lack is lacking. */
static void test_csv_lengths(void **state)
{
    (void)state;
    check_csv("a\n\n1\n\n\"\"\n2\n\n", "[{\"a\":\"1\"},{\"a\":\"2\"}]", 2, "a");
    check_csv("a,b\n1,2,3\n", "[{\"a\":\"1\",\"b\":\"2\"}]", 1, "a b");
    check_csv("b,a\n1\n2\n", "[{\"b\":\"1\"},{\"b\":\"2\"}]", 2, "b");
    check_csv("a,b\n\n1,2\n", "[{\"a\":\"1\",\"b\":\"2\"}]", 1, "a b");
    check_refused(REST_BODY_CSV, "a,b\n1,2\n3\n", HS_E_PGRST102,
                  "All lines must have same number of fields");
}

static void test_csv_broken(void **state)
{
    (void)state;
    check_refused(REST_BODY_CSV, "", HS_E_PGRST102, "parse error (not enough input) at \"\"");
    check_refused(REST_BODY_CSV, "a\nx\"y\n", HS_E_PGRST102,
                  "CSV, line 2: a quote within a field; double it and put the field in quotes");
    check_refused(REST_BODY_CSV, "a\n1\n\"x\"y\n", HS_E_PGRST102,
                  "CSV, line 3: a quote within a field; double it and put the field in quotes");
    check_refused(REST_BODY_CSV, "a\n\"x", HS_E_PGRST102,
                  "CSV, line 2: a quoted field does not end");
    check_refused(REST_BODY_CSV, "\"", HS_E_PGRST102, "CSV, line 1: a quoted field does not end");
    check_refused(REST_BODY_CSV, "a\n\xff\n", HS_E_PGRST102, "The CSV is not UTF-8");
}

/* ---- forms ---- */

static void test_forms(void **state)
{
    (void)state;
    check(REST_BODY_FORM, "", "{}", false, 1, "");
    check(REST_BODY_FORM, "b=1&a=x+y%26", "{\"b\":\"1\",\"a\":\"x y&\"}", false, 1, "a b");
    check(REST_BODY_FORM, "&a&&b=", "{\"a\":\"\",\"b\":\"\"}", false, 1, "a b");
    check(REST_BODY_FORM, "a=1&a=2=3", "{\"a\":\"1\",\"a\":\"2=3\"}", false, 1, "a");
}

static void test_form_encoding(void **state)
{
    struct rest_body body;
    struct hs_err err;

    (void)state;
    assert_int_equal(read_as(REST_BODY_FORM, false, HS_STR("a=%ff"), &body, &err),
                     HS_E_BAD_ENCODING);
    assert_int_equal(read_as(REST_BODY_FORM, false, HS_STR("a=%00"), &body, &err),
                     HS_E_BAD_ENCODING);
}

/* ---- limits ---- */

static void write_rows(struct hs_buf *out, enum rest_body_type type, size_t n)
{
    hs_buf_clear(out);
    hs_buf_add(out, type == REST_BODY_CSV ? HS_STR("a,b\n") : HS_STR("["));
    for (size_t i = 0; i < n; i++) {
        if (type == REST_BODY_CSV)
            hs_buf_add_lit(out, "1,2\n");
        else
            hs_buf_add(out, i ? HS_STR(",{\"a\":1}") : HS_STR("{\"a\":1}"));
    }
    if (type == REST_BODY_JSON)
        hs_buf_add_char(out, ']');
}

static void test_rows_max(void **state)
{
    static const enum rest_body_type types[] = {REST_BODY_JSON, REST_BODY_CSV};
    struct rest_body body;
    struct hs_err err;
    struct hs_buf text;

    (void)state;
    hs_buf_init(&text, 1 << 20);
    for (size_t i = 0; i < HS_LEN(types); i++) {
        write_rows(&text, types[i], ROWS_MAX);
        assert_int_equal(read_as(types[i], false, hs_buf_str(&text), &body, &err), HS_OK);
        assert_int_equal(body.n_rows, ROWS_MAX);
        write_rows(&text, types[i], ROWS_MAX + 1);
        assert_int_equal(read_as(types[i], false, hs_buf_str(&text), &body, &err), HS_E_BAD_BODY);
        assert_str(hs_str(err.what), HS_STR("The body has more than 1000 rows"));
    }
    hs_buf_fini(&text);
}

static void write_names(struct hs_buf *out, enum rest_body_type type, size_t n)
{
    hs_buf_clear(out);
    hs_buf_add(out, type == REST_BODY_JSON ? HS_STR("{") : HS_STR(""));
    for (size_t i = 0; i < n; i++) {
        if (i)
            hs_buf_add_char(out, type == REST_BODY_FORM ? '&' : ',');
        hs_buf_printf(out,
                      type == REST_BODY_JSON   ? "\"c%zu\":1"
                      : type == REST_BODY_FORM ? "c%zu=1"
                                               : "c%zu",
                      i);
    }
    hs_buf_add(out, type == REST_BODY_JSON ? HS_STR("}") : HS_STR(""));
}

static void test_names_max(void **state)
{
    static const enum rest_body_type types[] = {REST_BODY_JSON, REST_BODY_CSV, REST_BODY_FORM};
    struct rest_body body;
    struct hs_err err;
    struct hs_buf text;

    (void)state;
    hs_buf_init(&text, 1 << 20);
    for (size_t i = 0; i < HS_LEN(types); i++) {
        write_names(&text, types[i], REST_BODY_NAMES_MAX);
        assert_int_equal(read_as(types[i], false, hs_buf_str(&text), &body, &err), HS_OK);
        write_names(&text, types[i], REST_BODY_NAMES_MAX + 1);
        assert_int_equal(read_as(types[i], false, hs_buf_str(&text), &body, &err), HS_E_BAD_BODY);
        assert_str(hs_str(err.what), HS_STR("The body names more than 1664 columns"));
    }
    hs_buf_fini(&text);
}

/* Long names, and rows that repeat them. */
static void test_growth_max(void **state)
{
    struct rest_body body;
    struct hs_err err;
    struct hs_buf text;

    (void)state;
    hs_buf_init(&text, 1 << 20);
    for (size_t i = 0; i < 20000; i++)
        hs_buf_add_char(&text, i == 10000 ? ',' : 'n');
    for (size_t i = 0; i < 500; i++)
        hs_buf_add_lit(&text, "\n,");
    assert_int_equal(read_as(REST_BODY_CSV, false, hs_buf_str(&text), &body, &err), HS_E_BAD_BODY);
    assert_str(hs_str(err.what), HS_STR("The CSV becomes too long as JSON"));
    hs_buf_fini(&text);
}

static void test_memory(void **state)
{
    static const struct {
        enum rest_body_type type;
        const char *text;
    } bodies[] = {{REST_BODY_JSON, "[{\"a\\n\":1,\"b\":2},{\"b\":3,\"a\\n\":4}]"},
                  {REST_BODY_CSV, "a,\"b\"\"\"\n1,\"2\"\"3\"\n"},
                  {REST_BODY_FORM, "a=1&b=%20"}};

    (void)state;
    for (size_t i = 0; i < HS_LEN(bodies); i++) {
        size_t failed = 0;
        hs_status status = HS_E_MEMORY;

        for (size_t max = 1; status; max += 512) {
            struct rest_body body;
            struct hs_err err;

            hs_arena_fini(&arena);
            hs_arena_init(&arena, max);
            status = read_as(bodies[i].type, false, hs_str(bodies[i].text), &body, &err);
            assert_true(status == HS_OK || status == HS_E_MEMORY);
            failed += status != HS_OK;
        }
        assert_true(failed > 0);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_objects),       T(test_arrays),     T(test_neither),
        T(test_keys_differ),   T(test_broken),     T(test_broken_says_where),
        T(test_any_keys),      T(test_first),      T(test_csv),
        T(test_csv_lengths),   T(test_csv_broken), T(test_forms),
        T(test_form_encoding), T(test_rows_max),   T(test_names_max),
        T(test_growth_max),    T(test_memory),
    };
#undef T

    return cmocka_run_group_tests(tests, NULL, NULL);
}
