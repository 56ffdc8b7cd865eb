/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies into values of columns: tables of what is taken and of what is refused, lists of many rows, and
 * what is said of an error of PostgreSQL's.
 */
#include "test.h"

#include "api/body_world.h"
#include "fault.h"

enum { ROWS_MAX = 5 };

static struct api_model *model;
static const struct api_table *people;
static struct hs_arena arena;

static int setup(void **state)
{
    (void)state;
    model = body_world();
    if (!model)
        return -1;
    people = api_model_table(model, HS_STR("people"));
    hs_arena_init(&arena, 1 << 24);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    api_model_unref(model);
    hs_arena_fini(&arena);
    return 0;
}

/* "age: 1|NULL|-; name: x|y|z": a column each, '-' where a row does not give it. */
static struct hs_str show(const struct body_rows *rows, struct hs_buf *out)
{
    hs_buf_clear(out);
    for (size_t i = 0; i < rows->n_set; i++) {
        const struct tree_assignment *set = &rows->set[i];

        if (i)
            hs_buf_add_lit(out, "; ");
        hs_buf_add(out, set->column->name);
        hs_buf_add_lit(out, ": ");
        for (size_t row = 0; row < rows->n_rows; row++) {
            const char *value = set->values[row] ? set->values[row] : "NULL";

            if (row)
                hs_buf_add_char(out, '|');
            hs_buf_add(out, hs_str(set->is_given && !set->is_given[row] ? "-" : value));
        }
    }
    return hs_buf_str(out);
}

static hs_status take(enum body_kind kind, const char *text, struct body_rows *rows,
                      struct hs_err *err)
{
    /* A copy of its very size, so that one byte too far is seen. */
    size_t n = strlen(text);
    char *copy = malloc(n ? n : 1);
    hs_status status;

    assert_non_null(copy);
    memcpy(copy, text, n);
    hs_err_clear(err);
    status = body_read(people, kind, hs_strn(copy, n), ROWS_MAX, &arena, rows, err);
    free(copy);
    return status;
}

struct good {
    enum body_kind kind;
    const char *text;
    const char *shown;
};

static const struct good goods[] = {
    {BODY_INSERT, "{}", ""},
    {BODY_INSERT, "[{},{}]", ""},
    {BODY_REPLACE, "{}", ""},
    {BODY_INSERT, "{\"name\":\"\"}", "name: "},
    {BODY_INSERT, "{\"n\\u0061me\":\"a\\n\\u20ac\\\"\"}", "name: a\n\xe2\x82\xac\""},
    {BODY_INSERT, "{\"zipCode\":\"12345\"}", "zip_code: 12345"},
    {BODY_INSERT, "{\"zipCode\":\"\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xe2\x82\xac\"}",
     "zip_code: \xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xe2\x82\xac"},
    {BODY_INSERT, "{\"zipCode\":\"12345   \"}", "zip_code: 12345   "},
    {BODY_INSERT, "{\"small\":-32768,\"age\":2147483647,\"big\":-9223372036854775808}",
     "small: -32768; age: 2147483647; big: -9223372036854775808"},
    {BODY_INSERT, "{\"big\":\"9223372036854775807\",\"pos\":1}",
     "big: 9223372036854775807; pos: 1"},
    {BODY_INSERT, "{\"ratio\":1.5e300,\"price\":\"12.5\"}", "ratio: 1.5e300; price: 12.5"},
    {BODY_INSERT, "{\"ratio\":\"-Infinity\",\"price\":\"NaN\"}", "ratio: -Infinity; price: NaN"},
    {BODY_INSERT, "{\"price\":9999.99}", "price: 9999.99"},
    {BODY_INSERT, "{\"price\":0.30000000000000004}", "price: 0.30000000000000004"},
    {BODY_INSERT, "{\"price\":0.0000099999e8}", "price: 0.0000099999e8"},
    {BODY_INSERT, "{\"price\":-0000}", NULL},
    {BODY_INSERT, "{\"price\":0e9999999999999999999}", "price: 0e9999999999999999999"},
    {BODY_INSERT, "{\"price\":1e-9999999999999999999}", "price: 1e-9999999999999999999"},
    {BODY_INSERT, "{\"tiny\":0.0099,\"large\":99900}", "tiny: 0.0099; large: 99900"},
    {BODY_INSERT, "{\"flag\":true,\"born\":\"2026-07-01\",\"mood\":\"sad\"}",
     "flag: true; born: 2026-07-01; mood: sad"},
    {BODY_INSERT, "{\"token\":\"00000000-0000-4000-8000-0000000000aF\"}",
     "token: 00000000-0000-4000-8000-0000000000aF"},
    {BODY_INSERT, "{\"name\":null,\"doc\":null,\"tags\":null,\"spot\":null,\"flag\":null}",
     "name: NULL; doc: NULL; tags: NULL; spot: NULL; flag: NULL"},
    {BODY_INSERT, "{\"doc\":{\"a\" : [1,\"x\\n\"],\"a\":2} ,\"raw\": \"s\"}",
     "doc: {\"a\" : [1,\"x\\n\"],\"a\":2}; raw: \"s\""},
    {BODY_INSERT, "{\"doc\":7,\"raw\":\"\\u0000\"}", "doc: 7; raw: \"\\u0000\""},
    {BODY_INSERT, "{\"raw\":\"\\u0000\",\"doc\":\"\\\\u0000\"}",
     "raw: \"\\u0000\"; doc: \"\\\\u0000\""},
    /* arrays */
    {BODY_INSERT, "{\"tags\":[]}", "tags: {}"},
    {BODY_INSERT, "{\"tags\":[ \"a\" , null, \"NULL\", \"\", \"q\\\"b\\\\\", \"{x,y}\" ]}",
     "tags: {\"a\",NULL,\"NULL\",\"\",\"q\\\"b\\\\\",\"{x,y}\"}"},
    {BODY_INSERT, "{\"tags\":\"{a,b}\",\"nums\":\"[0:1]={1,2}\"}",
     "tags: {a,b}; nums: [0:1]={1,2}"},
    {BODY_INSERT, "{\"nums\":[1,\"2\",null]}", "nums: {1,\"2\",NULL}"},
    {BODY_INSERT, "{\"nums\":[[1,2],[3,null]]}", "nums: {{1,2},{3,NULL}}"},
    {BODY_INSERT, "{\"nums\":[[[[[[1]]]]]]}", "nums: {{{{{{1}}}}}}"},
    {BODY_INSERT, "{\"nums\":[[],[]]}", "nums: {}"},
    {BODY_INSERT, "{\"flags\":[true,false,null]}", "flags: {true,false,NULL}"},
    {BODY_INSERT, "{\"codes\":[\"abc\"]}", "codes: {\"abc\"}"},
    {BODY_INSERT, "{\"docs\":[{\"a\":[1]},[2],3,\"s\",null,true]}",
     "docs: {\"{\\\"a\\\":[1]}\",\"[2]\",3,\"\\\"s\\\"\",NULL,true}"},
    {BODY_INSERT, "{\"vec\":\"1 2\"}", "vec: 1 2"},
    /* composites */
    {BODY_INSERT, "{\"spot\":{}}", "spot: (,,)"},
    {BODY_INSERT, "{\"spot\":\"(1,a,)\"}", "spot: (1,a,)"},
    {BODY_INSERT, "{\"spot\":{\"label\":\"a,\\\"b\\\\\",\"x\":1}}", "spot: (1,\"a,\\\"b\\\\\",)"},
    {BODY_INSERT,
     "{\"spot\":{\"\\u0078\":null,\"label\":\"\",\"in\":{\"t\":\"q\\\"\",\"list\":[\"c\"]}}}",
     "spot: (,\"\",\"(\\\"q\\\\\\\"\\\",\\\"{\\\\\\\"c\\\\\\\"}\\\")\")"},
    {BODY_INSERT, "{\"spots\":[{\"x\":1},null,\"(2,,)\"]}", "spots: {\"(1,,)\",NULL,\"(2,,)\"}"},
    /* rows */
    {BODY_INSERT, " [ {\"age\":1} ] ", "age: 1"},
    {BODY_INSERT, "[{\"age\":1,\"name\":\"a\"},{\"age\":2,\"name\":\"b\"}]", "age: 1|2; name: a|b"},
    {BODY_INSERT, "[{\"age\":1,\"name\":\"a\"},{\"name\":\"b\",\"age\":2}]", "age: 1|2; name: a|b"},
    {BODY_INSERT, "[{\"age\":1},{\"name\":\"b\"},{},{\"n\\u0061me\":null,\"age\":4}]",
     "age: 1|-|-|4; name: -|b|-|NULL"},
    {BODY_INSERT, "[{\"doc\":{\"a\":[1,2]}},{\"doc\":[{},{}]},{\"doc\":\"],[\\\"\"},{\"age\":1}]",
     "doc: {\"a\":[1,2]}|[{},{}]|\"],[\\\"\"|-; age: -|-|-|1"},
    {BODY_UPDATE, "{\"age\":1}", "age: 1"},
    {BODY_UPDATE, "[{\"id\":1,\"age\":1},{\"name\":\"x\",\"id\":\"2\"},{\"id\":3}]",
     "id: 1|2|3; age: 1|-|-; name: -|x|-"},
    {BODY_REPLACE, "{\"id\":7,\"age\":1}", "id: 7; age: 1"},
};

static void takes(void **state)
{
    struct hs_buf out;

    (void)state;
    hs_buf_init(&out, 1 << 16);
    for (size_t i = 0; i < HS_LEN(goods); i++) {
        struct body_rows rows;
        struct hs_err err;
        hs_status status = take(goods[i].kind, goods[i].text, &rows, &err);

        if (!goods[i].shown) {
            assert_int_equal(status, HS_E_BAD_JSON);
            continue;
        }
        if (status)
            fail_msg("%s: %s", goods[i].text, err.what);
        assert_str(show(&rows, &out), hs_str(goods[i].shown));
        assert_int_equal(rows.is_array, hs_str_trim(hs_str(goods[i].text)).p[0] == '[');
        hs_arena_reset(&arena);
    }
    hs_buf_fini(&out);
}

struct bad {
    enum body_kind kind;
    const char *text;
    hs_status status;
    unsigned http;
    const char *what;
    const char *why;
    const char *hint;
};

static const struct bad bads[] = {
    /* shape */
    {BODY_INSERT, "", HS_E_BAD_JSON, 400,
     "line 1, column 1: expected a value, not the end of the text", "", ""},
    {BODY_INSERT, "[{\"age\":1},\n {\"age\":}]", HS_E_BAD_JSON, 400,
     "line 2, column 9: expected a value, not }", "", ""},
    {BODY_INSERT, "[{\"age\":1}", HS_E_BAD_JSON, 400,
     "line 1, column 11: expected ',' or ']', not the end of the text", "", ""},
    {BODY_INSERT, "{\"age\":1} x", HS_E_BAD_JSON, 400,
     "line 1, column 11: expected the end of the text behind the value, not x", "", ""},
    {BODY_INSERT, "[]", HS_E_BAD_BODY, 400, "the array is empty", "", ""},
    {BODY_INSERT, "7", HS_E_BAD_BODY, 400, "the body is neither an object nor an array", "", ""},
    {BODY_INSERT, "[{},7]", HS_E_BAD_BODY, 400, "a row is not an object, row 2", "",
     "Send objects, with a member for each column."},
    {BODY_INSERT, "[{},{},{},{},{},{}]", HS_E_BODY_TOO_LARGE, 413,
     "6 rows, more than 5 in one request", "", "Send them in parts, or raise api.body.rows_max."},
    {BODY_INSERT, "[{\"age\":1},{\"age\":1,\"age\":1}]", HS_E_BAD_BODY, 400,
     "\"age\" stands twice in one object, row 2", "", "Give each column once."},
    {BODY_INSERT, "{\"age\":1,\"\\u0061ge\":1}", HS_E_BAD_BODY, 400,
     "\"age\" stands twice in one object", "", "Give each column once."},
    {BODY_INSERT, "{\"nam\":1}", HS_E_UNKNOWN_COLUMN, 400, "people has no column \"nam\"", "",
     "Perhaps you meant \"name\"."},
    {BODY_INSERT, "[{\"zip_code\":\"\"}]", HS_E_UNKNOWN_COLUMN, 400,
     "people has no column \"zip_code\", row 1", "", "Perhaps you meant \"zipCode\"."},
    {BODY_INSERT, "{\"\\u0000\":1}", HS_E_BAD_JSON, 400,
     "line 1, column 2: expected a string without \\u0000, not \"", "", ""},
    {BODY_UPDATE, "{}", HS_E_BAD_BODY, 400, "the object is empty", "",
     "Give the columns that change."},
    {BODY_UPDATE, "[{\"id\":1,\"age\":1},{\"age\":1}]", HS_E_BAD_BODY, 400,
     "the key \"id\" is missing, row 2", "",
     "Give the key of each row, or change rows by filters."},
    {BODY_UPDATE, "[{\"id\":null,\"age\":1}]", HS_E_BAD_BODY, 400,
     "the key \"id\" is missing, row 1", "",
     "Give the key of each row, or change rows by filters."},
    {BODY_UPDATE, "[{}]", HS_E_BAD_BODY, 400, "the key \"id\" is missing, row 1", "",
     "Give the key of each row, or change rows by filters."},
    {BODY_UPDATE, "[{\"id\":1},{\"id\":2}]", HS_E_BAD_BODY, 400,
     "the rows have nothing but their keys", "", "Give the columns that change."},
    {BODY_UPDATE, "[{\"id\":1,\"age\":1},{\"id\":2},{\"id\":\"1\"}]", HS_E_BAD_BODY, 400,
     "rows 1 and 3 have the same key", "", "Give each row once."},
    {BODY_REPLACE, "[{}]", HS_E_BAD_BODY, 400, "one row takes one object, not an array", "", ""},
    /* columns that nobody writes */
    {BODY_INSERT, "[{},{\"total\":1}]", HS_E_BAD_VALUE, 422, "people.total cannot be given, row 2",
     "The column is GENERATED ALWAYS from other columns.", "Leave it out."},
    {BODY_INSERT, "{\"id\":1}", HS_E_BAD_VALUE, 422, "people.id cannot be given",
     "The column is an identity, GENERATED ALWAYS by the database.", "Leave it out."},
    {BODY_UPDATE, "{\"id\":1}", HS_E_BAD_VALUE, 422, "people.id cannot be given",
     "The column is an identity, GENERATED ALWAYS by the database.", "Leave it out."},
    /* kinds */
    {BODY_INSERT, "[{\"name\":7}]", HS_E_BAD_VALUE, 422,
     "7 is not a valid value for people.name, row 1", "The column is of type text.",
     "Send a string."},
    {BODY_INSERT, "{\"name\":true}", HS_E_BAD_VALUE, 422,
     "true is not a valid value for people.name", "The column is of type text.", "Send a string."},
    {BODY_INSERT, "{\"name\":{\"a\":1}}", HS_E_BAD_VALUE, 422,
     "an object is not a valid value for people.name", "The column is of type text.",
     "Send a string."},
    {BODY_INSERT, "{\"name\":\"a\\u0000\"}", HS_E_BAD_VALUE, 422,
     "\"a\\u0000\" is not a valid value for people.name", "The column is of type text.",
     "PostgreSQL cannot store \\u0000; leave it out."},
    {BODY_INSERT, "{\"doc\":[\"a\\u0000\"]}", HS_E_BAD_VALUE, 422,
     "an array is not a valid value for people.doc", "The column is of type jsonb.",
     "jsonb cannot hold \\u0000; leave it out."},
    {BODY_INSERT, "{\"flag\":\"true\"}", HS_E_BAD_VALUE, 422,
     "\"true\" is not a valid value for people.flag", "The column is of type boolean.",
     "Send true or false."},
    {BODY_INSERT, "{\"flag\":1}", HS_E_BAD_VALUE, 422, "1 is not a valid value for people.flag",
     "The column is of type boolean.", "Send true or false."},
    {BODY_INSERT, "{\"age\":true}", HS_E_BAD_VALUE, 422, "true is not a valid value for people.age",
     "The column is of type integer.", "Send a whole number."},
    {BODY_INSERT, "{\"born\":20260701}", HS_E_BAD_VALUE, 422,
     "20260701 is not a valid value for people.born", "The column is of type date.",
     "Send a string."},
    {BODY_INSERT, "{\"tags\":7}", HS_E_BAD_VALUE, 422, "7 is not a valid value for people.tags",
     "The column is of type text[].", "Send an array."},
    {BODY_INSERT, "{\"tags\":{}}", HS_E_BAD_VALUE, 422,
     "an object is not a valid value for people.tags", "The column is of type text[].",
     "Send an array."},
    {BODY_INSERT, "{\"tags\":\"a\"}", HS_E_BAD_VALUE, 422,
     "\"a\" is not a valid value for people.tags", "The column is of type text[].",
     "Send a JSON array."},
    {BODY_INSERT, "{\"spot\":[1]}", HS_E_BAD_VALUE, 422,
     "an array is not a valid value for people.spot", "The column is of type spot.",
     "Send an object."},
    {BODY_INSERT, "{\"spot\":\"x\"}", HS_E_BAD_VALUE, 422,
     "\"x\" is not a valid value for people.spot", "The column is of type spot.",
     "Send a JSON object."},
    {BODY_INSERT, "{\"vec\":[1]}", HS_E_BAD_VALUE, 422,
     "an array is not a valid value for people.vec", "The column is of type oidvector.",
     "Send an array."},
    /* ranges */
    {BODY_INSERT, "{\"small\":32768}", HS_E_BAD_VALUE, 422,
     "32768 is not a valid value for people.small",
     "The column is of type smallint (-32768 to 32767).", ""},
    {BODY_INSERT, "{\"age\":-2147483649}", HS_E_BAD_VALUE, 422,
     "-2147483649 is not a valid value for people.age",
     "The column is of type integer (-2147483648 to 2147483647).", ""},
    {BODY_INSERT, "{\"age\":1.5}", HS_E_BAD_VALUE, 422, "1.5 is not a valid value for people.age",
     "The column is of type integer (-2147483648 to 2147483647).", "Send a whole number."},
    {BODY_INSERT, "{\"age\":\" 1\"}", HS_E_BAD_VALUE, 422,
     "\" 1\" is not a valid value for people.age",
     "The column is of type integer (-2147483648 to 2147483647).", ""},
    {BODY_INSERT,
     "{\"age\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}",
     HS_E_BAD_VALUE, 422,
     "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx... is not a valid value for people.age",
     "The column is of type integer (-2147483648 to 2147483647).", ""},
    {BODY_INSERT, "{\"big\":9223372036854775808}", HS_E_BAD_VALUE, 422,
     "9223372036854775808 is not a valid value for people.big",
     "The column is of type bigint (-9223372036854775808 to 9223372036854775807).", ""},
    {BODY_INSERT, "{\"pos\":2147483648}", HS_E_BAD_VALUE, 422,
     "2147483648 is not a valid value for people.pos", "The column is of type pos.", ""},
    {BODY_INSERT, "{\"ratio\":\"1,5\"}", HS_E_BAD_VALUE, 422,
     "\"1,5\" is not a valid value for people.ratio", "The column is of type double precision.",
     "Send a number."},
    {BODY_INSERT, "{\"price\":10000}", HS_E_BAD_VALUE, 422,
     "10000 is not a valid value for people.price",
     "The column is of type numeric(6,2), which cannot hold so large a number.", ""},
    {BODY_INSERT, "{\"price\":-0.00001e9}", HS_E_BAD_VALUE, 422,
     "-0.00001e9 is not a valid value for people.price",
     "The column is of type numeric(6,2), which cannot hold so large a number.", ""},
    {BODY_INSERT, "{\"tiny\":0.01}", HS_E_BAD_VALUE, 422,
     "0.01 is not a valid value for people.tiny",
     "The column is of type numeric(2,4), which cannot hold so large a number.", ""},
    {BODY_INSERT, "{\"large\":\"+100000\"}", HS_E_BAD_VALUE, 422,
     "\"+100000\" is not a valid value for people.large",
     "The column is of type numeric(3,-2), which cannot hold so large a number.", ""},
    {BODY_INSERT, "{\"zipCode\":\"123456\"}", HS_E_BAD_VALUE, 422,
     "\"123456\" is not a valid value for people.zipCode",
     "The column is of type character varying(5): at most 5 characters.", "Send a shorter text."},
    {BODY_INSERT, "{\"zipCode\":\"12345 x\"}", HS_E_BAD_VALUE, 422,
     "\"12345 x\" is not a valid value for people.zipCode",
     "The column is of type character varying(5): at most 5 characters.", "Send a shorter text."},
    {BODY_INSERT, "{\"mood\":\"hapy\"}", HS_E_BAD_VALUE, 422,
     "\"hapy\" is not a valid value for people.mood", "The column is of type mood.",
     "Perhaps you meant \"happy\"."},
    {BODY_INSERT, "{\"mood\":\"furious\"}", HS_E_BAD_VALUE, 422,
     "\"furious\" is not a valid value for people.mood", "The column is of type mood.",
     "Its labels begin with \"happy\"."},
    {BODY_INSERT, "{\"token\":\"0000\"}", HS_E_BAD_VALUE, 422,
     "\"0000\" is not a valid value for people.token", "The column is of type uuid.",
     "Send 8-4-4-4-12 hexadecimal digits with dashes."},
    /* inside arrays and composites */
    {BODY_INSERT, "{\"nums\":[1,2.5]}", HS_E_BAD_VALUE, 422,
     "2.5 is not a valid value for people.nums",
     "The column is of type integer[], the value in it of type integer (-2147483648 to 2147483647).",
     "Send a whole number."},
    {BODY_INSERT, "{\"codes\":[\"abcd\"]}", HS_E_BAD_VALUE, 422,
     "\"abcd\" is not a valid value for people.codes",
     "The column is of type character varying[], the value in it of type character varying(3): at most 3 characters.",
     "Send a shorter text."},
    {BODY_INSERT, "{\"nums\":[[1,2],[3]]}", HS_E_BAD_VALUE, 422,
     "an array is not a valid value for people.nums", "The column is of type integer[].",
     "Arrays inside an array all have the same length and depth (at most 6)."},
    {BODY_INSERT, "{\"nums\":[1,[2]]}", HS_E_BAD_VALUE, 422,
     "an array is not a valid value for people.nums", "The column is of type integer[].",
     "Arrays inside an array all have the same length and depth (at most 6)."},
    {BODY_INSERT, "{\"nums\":[[1],null]}", HS_E_BAD_VALUE, 422,
     "null is not a valid value for people.nums", "The column is of type integer[].",
     "Arrays inside an array all have the same length and depth (at most 6)."},
    {BODY_INSERT, "{\"nums\":[[],[1]]}", HS_E_BAD_VALUE, 422,
     "an array is not a valid value for people.nums", "The column is of type integer[].",
     "Arrays inside an array all have the same length and depth (at most 6)."},
    {BODY_INSERT, "{\"nums\":[[[[[[[1]]]]]]]}", HS_E_BAD_VALUE, 422,
     "an array is not a valid value for people.nums", "The column is of type integer[].",
     "Arrays inside an array all have the same length and depth (at most 6)."},
    {BODY_INSERT, "{\"spot\":{\"y\":1}}", HS_E_BAD_VALUE, 422, "\"y\" is no field of people.spot",
     "The object is of type spot.", ""},
    {BODY_INSERT, "[{\"spot\":{\"labell\":1}}]", HS_E_BAD_VALUE, 422,
     "\"labell\" is no field of people.spot, row 1", "The object is of type spot.",
     "Perhaps you meant \"label\"."},
    {BODY_INSERT, "{\"spot\":{\"x\":1,\"x\":2}}", HS_E_BAD_VALUE, 422,
     "\"x\" stands twice in people.spot", "The object is of type spot.", ""},
    {BODY_INSERT, "{\"spot\":{\"x\":\"a\"}}", HS_E_BAD_VALUE, 422,
     "\"a\" is not a valid value for people.spot",
     "The column is of type spot, the value in it of type integer (-2147483648 to 2147483647).",
     ""},
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < HS_LEN(bads); i++) {
        struct body_rows rows;
        struct hs_err err;
        hs_status status = take(bads[i].kind, bads[i].text, &rows, &err);

        if (status != bads[i].status)
            fail_msg("%s: status %d, %s", bads[i].text, (int)status, status ? err.what : "");
        assert_string_equal(err.what, bads[i].what);
        assert_string_equal(err.why, bads[i].why);
        assert_string_equal(err.hint, bads[i].hint);
        assert_int_equal(hs_err_http(&err), bads[i].http);
        assert_int_equal(
            body_read(people, bads[i].kind, hs_str(bads[i].text), ROWS_MAX, &arena, &rows, NULL),
            status);
        hs_arena_reset(&arena);
    }
}

static void refuses_deep_documents(void **state)
{
    char text[256] = "{\"doc\":";
    struct body_rows rows;
    struct hs_err err;

    (void)state;
    memset(text + strlen(text), '[', 64);
    assert_int_equal(take(BODY_INSERT, text, &rows, &err), HS_E_BAD_JSON);
    assert_string_equal(err.what, "line 1, column 71: nested deeper than 64 levels");
}

static void refuses_updates_without_key(void **state)
{
    const struct api_table *keyless = api_model_table(model, HS_STR("keyless"));
    struct body_rows rows;
    struct hs_err err;

    (void)state;
    assert_int_equal(
        body_read(keyless, BODY_UPDATE, HS_STR("[{\"a\":1}]"), ROWS_MAX, &arena, &rows, &err),
        HS_E_BAD_BODY);
    assert_string_equal(err.what, "keyless has no key by which rows could be found");
    assert_int_equal(
        body_read(keyless, BODY_UPDATE, HS_STR("{\"a\":1}"), ROWS_MAX, &arena, &rows, &err), HS_OK);
}

static void compares_all_of_a_key(void **state)
{
    const struct api_table *pairs = api_model_table(model, HS_STR("pairs"));
    struct body_rows rows;
    struct hs_err err;

    (void)state;
    assert_int_equal(body_read(pairs, BODY_UPDATE,
                               HS_STR("[{\"a\":1,\"b\":\"x\",\"note\":\"n\"},{\"a\":1,\"b\":\"y\"},"
                                      "{\"a\":2,\"b\":\"x\"}]"),
                               ROWS_MAX, &arena, &rows, &err),
                     HS_OK);
    assert_int_equal(body_read(pairs, BODY_UPDATE,
                               HS_STR("[{\"a\":1,\"b\":\"x\",\"note\":\"n\"},{\"a\":1,\"b\":\"y\"},"
                                      "{\"b\":\"y\",\"a\":1}]"),
                               ROWS_MAX, &arena, &rows, &err),
                     HS_E_BAD_BODY);
    assert_string_equal(err.what, "rows 2 and 3 have the same key");
}

/* ---- many rows ---- */

enum { MANY = 10000 };

static void many_rows(struct hs_buf *out)
{
    hs_buf_init(out, 1 << 24);
    hs_buf_add_char(out, '[');
    for (int i = 0; i < MANY; i++)
        hs_buf_printf(
            out,
            "%s{\"age\":%d,\"big\":\"%d\",\"ratio\":0.5,\"price\":1.25,\"name\":\"name %d\","
            "\"flag\":true,\"born\":\"2026-01-01\",\"mood\":\"sad\",\"tags\":[\"a\"],"
            "\"doc\":{\"n\":%d}}",
            i ? "," : "", i, i, i, i);
    hs_buf_add_char(out, ']');
    assert_false(hs_buf_failed(out));
}

static void is_lean(void **state)
{
    struct body_rows rows;
    struct hs_arena own;
    struct hs_buf text;
    struct hs_err err;
    size_t lists = (size_t)MANY * 10 * sizeof(char *);

    (void)state;
    many_rows(&text);
    /* The lists of pointers and one block for the values; 64 KiB for the rest. */
    hs_arena_init(&own, text.n + lists + (64 << 10));
    assert_int_equal(body_read(people, BODY_INSERT, hs_buf_str(&text), MANY, &own, &rows, &err),
                     HS_OK);
    assert_int_equal(rows.n_rows, MANY);
    assert_int_equal(rows.n_set, 10);
    for (size_t i = 0; i < rows.n_set; i++)
        assert_null(rows.set[i].is_given);
    assert_string_equal(rows.set[4].values[MANY - 1], "name 9999");
    assert_string_equal(rows.set[9].values[17], "{\"n\":17}");
    assert_string_equal(rows.set[8].values[17], "{\"a\"}");
    hs_arena_fini(&own);

    hs_arena_init(&own, lists);
    assert_int_equal(body_read(people, BODY_INSERT, hs_buf_str(&text), MANY, &own, &rows, &err),
                     HS_E_BODY_TOO_LARGE);
    assert_string_equal(err.what, "the body needs more memory than a request may use");
    hs_arena_fini(&own);
    hs_buf_fini(&text);
}

static bool memory_scenario(void *arg)
{
    static const char text[] =
        "[{\"n\\u0061me\":\"\\n\",\"tags\":[\"a\"],\"id\":1},"
        "{\"spot\":{\"\\u0078\":1,\"in\":{\"t\":\"x\"}},\"age\":1,\"id\":2},{\"docs\":[[1]],\"id\":3}]";
    struct hs_arena own;
    struct body_rows rows;
    struct hs_err err = {0};
    hs_status status;

    (void)arg;
    /* So small that common chunks do not fit: nearly every value is an allocation of its own. */
    hs_arena_init(&own, 8000);
    status = body_read(people, BODY_UPDATE, hs_str(text), ROWS_MAX, &own, &rows, &err);
    if (status && status != HS_E_MEMORY)
        fail_msg("%s", err.what);
    hs_arena_fini(&own);
    return !status;
}

static void survives_lack_of_memory(void **state)
{
    (void)state;
    fault_each(memory_scenario, NULL);
}

/* ---- what PostgreSQL says ---- */

struct spoken {
    const char *text; /* the body */
    const char *sqlstate;
    const char *message;
    unsigned http; /* the error comes with 400 */
    const char *what;
};

static const struct spoken spoken[] = {
    {"{\"born\":\"2026-13-01\"}", "22008", "date/time field value out of range: \"2026-13-01\"",
     422, "people.born: date/time field value out of range: \"2026-13-01\""},
    {"[{\"born\":\"a\"},{\"born\":\"b\"},{\"born\":\"b\"}]", "22007",
     "invalid input syntax for type date: \"b\"", 422,
     "people.born, row 2: invalid input syntax for type date: \"b\""},
    {"{\"name\":\"x\",\"born\":\"x\"}", "22007", "invalid input syntax for type date: \"x\"", 422,
     "people.born: invalid input syntax for type date: \"x\""},
    {"{\"name\":\"x\",\"zipCode\":\"x\"}", "22P02", "invalid something: \"x\"", 400,
     "invalid something: \"x\""},
    {"{\"nums\":\"{x}\"}", "22P02", "invalid input syntax for type integer: \"x\"", 422,
     "people.nums: invalid input syntax for type integer: \"x\""},
    {"{\"nums\":\"{x\",\"age\":5}", "22P02", "malformed array literal: \"{x\"", 422,
     "people.nums: malformed array literal: \"{x\""},
    {"{\"nums\":\"{x}\",\"spot\":\"(x,,)\"}", "22P02",
     "invalid input syntax for type integer: \"x\"", 400,
     "invalid input syntax for type integer: \"x\""},
    {"{\"born\":\"x\"}", "22P02", "invalid input syntax for type uuid: \"x\"", 400,
     "invalid input syntax for type uuid: \"x\""},
    {"{\"born\":\"y\"}", "22007", "invalid input syntax for type date: \"x\"", 400,
     "invalid input syntax for type date: \"x\""},
    {"{\"born\":\"x\"}", "22012", "division by zero", 400, "division by zero"},
    {"{\"born\":\"x\"}", "22000", "one \" only", 400, "one \" only"},
    {"{\"born\":\"x\"}", "23505", "duplicate key \"x\"", 400, "duplicate key \"x\""},
    {"[{\"zipCode\":\"1\"},{\"zipCode\":null}]", "23502",
     "null value in column \"zip_code\" of relation \"people\" violates not-null constraint", 400,
     "people.zipCode, row 2: null value in column \"zip_code\" of relation \"people\" violates "
     "not-null constraint"},
    {"[{\"age\":1},{\"zipCode\":null}]", "23502",
     "null value in column \"zip_code\" of relation \"people\" violates not-null constraint", 400,
     "people.zipCode, row 1: null value in column \"zip_code\" of relation \"people\" violates "
     "not-null constraint"},
    {"[{\"age\":1},{\"flag\":null}]", "23502",
     "null value in column \"flag\" of relation \"people\" violates not-null constraint", 400,
     "people.flag, row 2: null value in column \"flag\" of relation \"people\" violates not-null "
     "constraint"},
    {"{\"age\":1}", "23502",
     "null value in column \"name\" of relation \"people\" violates not-null constraint", 400,
     "people.name: null value in column \"name\" of relation \"people\" violates not-null "
     "constraint"},
    {"{\"name\":\"a\"}", "23502",
     "null value in column \"name\" of relation \"people\" violates not-null constraint", 400,
     "null value in column \"name\" of relation \"people\" violates not-null constraint"},
    {"{\"age\":1}", "23502",
     "null value in column \"name\" of relation \"other\" violates not-null constraint", 400,
     "null value in column \"name\" of relation \"other\" violates not-null constraint"},
    {"{\"age\":1}", "23502", "nichts", 400, "nichts"},
};

static void explains(void **state)
{
    (void)state;
    for (size_t i = 0; i < HS_LEN(spoken); i++) {
        struct body_rows rows;
        struct hs_err err;

        if (take(BODY_INSERT, spoken[i].text, &rows, &err))
            fail_msg("%s: %s", spoken[i].text, err.what);
        (void)hs_fail(&err, HS_E_PG_ERROR, "%s", spoken[i].message);
        memcpy(err.sqlstate, spoken[i].sqlstate, sizeof(err.sqlstate));
        err.http = 400;
        body_explain(people, &rows, &err);
        assert_string_equal(err.what, spoken[i].what);
        assert_int_equal(hs_err_http(&err), spoken[i].http);
        assert_string_equal(err.sqlstate, spoken[i].sqlstate);
        hs_arena_reset(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes),
        cmocka_unit_test(refuses),
        cmocka_unit_test(refuses_deep_documents),
        cmocka_unit_test(refuses_updates_without_key),
        cmocka_unit_test(compares_all_of_a_key),
        cmocka_unit_test(is_lean),
        cmocka_unit_test(survives_lack_of_memory),
        cmocka_unit_test(explains),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
