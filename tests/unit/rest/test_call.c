/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls, as far as no database is needed: which function is meant, where its arguments come from, what bounds it.
 */
#include "rest/call.h"

#include "test.h"

/* ---- a catalog by hand ---- */

static const struct pg_type type_int = {
    .oid = 23, .base = 23, .kind = PG_KIND_INT, .name = {"integer", 7}};
static const struct pg_type type_text = {
    .oid = 25, .base = 25, .kind = PG_KIND_TEXT, .name = {"text", 4}};
static const struct pg_type type_json = {
    .oid = 114, .base = 114, .kind = PG_KIND_JSON, .name = {"json", 4}};
static const struct pg_type type_bytea = {
    .oid = 17, .base = 17, .kind = PG_KIND_BYTEA, .name = {"bytea", 5}};
static const struct pg_type type_date = {
    .oid = 1082, .base = 1082, .kind = PG_KIND_DATE, .name = {"date", 4}};
static const struct pg_type type_texts = {.oid = 1009,
                                          .base = 1009,
                                          .kind = PG_KIND_ARRAY,
                                          .name = {"text[]", 6},
                                          .delim = ',',
                                          .elem = &type_text};

#define NAMED(text) .name = {text, sizeof(text) - 1}

static const struct pg_argument a_int[] = {{NAMED("a"), .type = &type_int}};
static const struct pg_argument a_text[] = {{NAMED("a"), .type = &type_text}};
static const struct pg_argument a_b[] = {{NAMED("a"), .type = &type_int},
                                         {NAMED("b"), .type = &type_int}};
static const struct pg_argument a_with_default[] = {
    {NAMED("a"), .type = &type_int}, {NAMED("b"), .type = &type_int, .has_default = true}};
static const struct pg_argument only_defaults[] = {
    {NAMED("name"), .type = &type_text, .has_default = true},
    {NAMED("mark"), .type = &type_text, .has_default = true}};
static const struct pg_argument unnamed_json[] = {{.type = &type_json}};
static const struct pg_argument named_json[] = {{NAMED("data"), .type = &type_json}};
static const struct pg_argument unnamed_bytea[] = {{.type = &type_bytea}};
static const struct pg_argument unnamed_text[] = {{.type = &type_text}};
static const struct pg_argument words[] = {
    {NAMED("sep"), .type = &type_text}, {NAMED("words"), .type = &type_texts, .is_variadic = true}};
static const struct pg_argument day[] = {{NAMED("d"), .type = &type_date}};

#define FUNCTION(function, list, n)                                                    \
    {                                                                                  \
        .schema = {"api", 3}, NAMED(function), .volatility = 's', .arguments = (list), \
        .n_arguments = (n)                                                             \
    }

static const struct pg_function functions[] = {
    FUNCTION("add", a_b, 2),
    FUNCTION("bytes", unnamed_bytea, 1),
    FUNCTION("day", day, 1),
    FUNCTION("greet", only_defaults, 2),
    FUNCTION("json_or_a", unnamed_json, 1),
    FUNCTION("json_or_a", a_int, 1),
    FUNCTION("named", named_json, 1),
    FUNCTION("nothing", NULL, 0),
    FUNCTION("one", a_with_default, 2),
    FUNCTION("say", words, 2),
    FUNCTION("text", unnamed_text, 1),
    FUNCTION("twice", a_text, 1),
    FUNCTION("twice", a_int, 1),
};

static const struct hs_str schemas[] = {{"api", 3}};
static const struct pg_catalog catalog = {
    .functions = functions, .n_functions = HS_LEN(functions), .schemas = schemas, .n_schemas = 1};

/* ---- a request ---- */

struct world {
    struct hs_arena arena;
    struct api_model model;
    struct api_hold hold;
    struct rest_site site;
    struct http_header header;
    struct http_req req;
    struct rest_request q;
    struct rest_call call;
    struct hs_err err;
};

static void open_world(struct world *w)
{
    memset(w, 0, sizeof(*w));
    hs_arena_init(&w->arena, 1 << 20);
    w->model.rules.rows_max = 10;
    w->hold.model = &w->model;
    w->site.catalog = &catalog;
    w->req.arena = &w->arena;
    w->q.site = &w->site;
    w->q.schema = schemas[0];
    w->q.r.req = &w->req;
    w->q.r.hold = &w->hold;
    w->q.call = &w->call;
    w->call.q = &w->q;
}

static hs_status get(struct world *w, const char *name, const char *query)
{
    hs_status status;

    open_world(w);
    status = rest_ask_read(REST_FOR_CALL, hs_str(query), &w->arena, &w->q.ask, &w->err);
    assert_int_equal(status, HS_OK);
    assert_int_equal(rest_call_read(&w->call, &w->err), HS_OK);
    status = rest_call_choose(&w->call, hs_str(name), &w->err);
    return status ? status : rest_call_bind(&w->call, &w->err);
}

static hs_status post(struct world *w, const char *name, const char *type, struct hs_str body)
{
    hs_status status;

    open_world(w);
    w->header = (struct http_header){.name = HS_STR("Content-Type"), .value = hs_str(type)};
    w->req.headers = &w->header;
    w->req.n_headers = type ? 1 : 0;
    w->req.body = body;
    w->call.is_post = true;
    status = rest_call_read(&w->call, &w->err);
    if (!status)
        status = rest_call_choose(&w->call, hs_str(name), &w->err);
    return status ? status : rest_call_bind(&w->call, &w->err);
}

static void close_world(struct world *w)
{
    hs_arena_fini(&w->arena);
}

/* "a=1 b=2", "(json)" behind it where the values stand in JSON. */
static void expect_bound(struct world *w, const char *expected)
{
    struct hs_str all = HS_STR("");

    for (size_t i = 0; i < w->call.tree.n_arguments; i++) {
        const struct tree_argument *a = &w->call.tree.arguments[i];

        all = hs_arena_printf(&w->arena, "%.*s%s%.*s=%.*s", HS_FMT(all), i ? " " : "",
                              HS_FMT(a->argument->name), HS_FMT(a->value));
    }
    if (w->call.tree.json.p)
        all = hs_arena_printf(&w->arena, "%.*s %.*s", HS_FMT(all), HS_FMT(w->call.tree.json));
    assert_str(all, hs_str(expected));
}

/* ---- which one ---- */

static void test_by_names(void **state)
{
    static const struct {
        const char *name;
        const char *query;
        hs_status expected;
        const char *bound;
    } rows[] = {
        {"add", "a=1&b=2", HS_OK, "a=1 b=2"},
        {"add", "b=2&a=1", HS_OK, "a=1 b=2"},
        {"add", "a=1&a=5&b=2", HS_OK, "a=5 b=2"},
        {"add", "a=1&b=2&c=3", HS_E_PGRST202, NULL},
        {"add", "a=1", HS_E_PGRST202, NULL},
        {"one", "a=1", HS_OK, "a=1"},
        {"one", "b=1", HS_E_PGRST202, NULL},
        {"greet", "", HS_OK, ""},
        {"greet", "mark=", HS_OK, "mark="},
        {"greet", "mark=!&none=1", HS_E_PGRST202, NULL},
        {"nothing", "", HS_OK, ""},
        {"nothing", "a=1", HS_E_PGRST202, NULL},
        {"json_or_a", "a=1", HS_OK, "a=1"},
        {"json_or_a", "", HS_E_PGRST202, NULL},
        {"twice", "a=1", HS_E_PGRST203, NULL},
        {"nosuch", "", HS_E_PGRST202, NULL},
        {"say", "sep=-&words=x&words=%22y%5C", HS_OK, "sep=- words={\"x\",\"\\\"y\\\\\"}"},
    };
    struct world w;

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        assert_int_equal(get(&w, rows[i].name, rows[i].query), rows[i].expected);
        if (rows[i].bound)
            expect_bound(&w, rows[i].bound);
        close_world(&w);
    }
}

static void test_what_is_said(void **state)
{
    struct world w;

    (void)state;
    (void)get(&w, "add", "a=1");
    assert_string_equal(w.err.what, "Could not find the function api.add(a) in the schema cache");
    assert_string_equal(w.err.why, "Searched for the function api.add with parameter a, but no "
                                   "matches were found in the schema cache.");
    assert_string_equal(w.err.hint, "Perhaps you meant to call the function api.add(a, b)");
    close_world(&w);
    (void)get(&w, "gret", "z=1&y=2");
    assert_string_equal(w.err.what,
                        "Could not find the function api.gret(y, z) in the schema cache");
    assert_string_equal(w.err.hint, "Perhaps you meant to call the function api.greet");
    close_world(&w);
    (void)post(&w, "add", NULL, HS_STR("{}"));
    assert_string_equal(
        w.err.why, "Searched for the function api.add without parameters or with a single "
                   "unnamed json/jsonb parameter, but no matches were found in the schema cache.");
    close_world(&w);
    (void)post(&w, "add", "text/plain", HS_STR("x"));
    assert_string_equal(w.err.what, "Could not find the function api.add in the schema cache");
    assert_string_equal(w.err.hint, "");
    close_world(&w);
    (void)get(&w, "twice", "a=1");
    assert_string_equal(w.err.what, "Could not choose the best candidate function between: "
                                    "api.twice(a => integer), api.twice(a => text)");
    close_world(&w);
}

static void test_by_body(void **state)
{
#define BODY(text)             \
    {                          \
        text, sizeof(text) - 1 \
    }
    static const struct {
        const char *name;
        const char *type;
        struct hs_str body;
        hs_status expected;
        const char *bound;
    } rows[] = {
        {"add", NULL, BODY("{\"b\":2,\"a\":1}"), HS_OK, "a= b= {\"b\":2,\"a\":1}"},
        {"add", "application/json; charset=utf-8", BODY("[{\"a\":1,\"b\":2},{\"a\":3,\"b\":4}]"),
         HS_OK, "a= b= {\"a\":1,\"b\":2}"},
        {"add", "text/csv", BODY("a,b\n1,2\n"), HS_OK, "a= b= {\"a\":\"1\",\"b\":\"2\"}"},
        {"add", "application/x-www-form-urlencoded", BODY("a=1&b=%32"), HS_OK, "a=1 b=2"},
        {"add", "application/json", BODY("[1]"), HS_E_PGRST102, NULL},
        {"add", "application/json", BODY("{"), HS_E_PGRST102, NULL},
        {"add", "image/png", BODY("x"), HS_E_PGRST102, NULL},
        {"greet", NULL, BODY(""), HS_OK, ""},
        {"greet", "text/plain", BODY("x"), HS_OK, ""},
        {"nothing", "text/plain", BODY("x"), HS_E_PGRST202, NULL},
        {"json_or_a", NULL, BODY("{\"a\":1}"), HS_OK, "a= {\"a\":1}"},
        {"json_or_a", NULL, BODY("{\"z\":1}"), HS_OK, "={\"z\":1}"},
        {"json_or_a", NULL, BODY("5"), HS_OK, "=[]"},
        {"named", NULL, BODY("{\"other\":1}"), HS_E_PGRST202, NULL},
        {"text", "text/plain", BODY("a \"b\""), HS_OK, "=a \"b\""},
        {"text", "text/plain", BODY("a\0b"), HS_E_PGRST102, NULL},
        {"text", "text/plain", BODY("\xff"), HS_E_PGRST102, NULL},
        {"text", NULL, BODY("{\"a\":1}"), HS_E_PGRST202, NULL},
        {"bytes", "application/octet-stream", BODY("\0\xffz"), HS_OK, "=\\x00ff7a"},
        {"bytes", "text/plain", BODY("x"), HS_E_PGRST202, NULL},
    };
    struct world w;

#undef BODY
    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        assert_int_equal(post(&w, rows[i].name, rows[i].type, rows[i].body), rows[i].expected);
        if (rows[i].bound)
            expect_bound(&w, rows[i].bound);
        close_world(&w);
    }
}

static void test_fixed(void **state)
{
    struct world w;

    (void)state;
    assert_int_equal(get(&w, "day", "d=2026-01-02"), HS_OK);
    assert_true(w.call.is_fixed);
    close_world(&w);
    assert_int_equal(get(&w, "day", "d=today"), HS_OK);
    assert_false(w.call.is_fixed);
    close_world(&w);
    assert_int_equal(post(&w, "add", NULL, HS_STR("{\"a\":1,\"b\":2}")), HS_OK);
    assert_false(w.call.is_fixed);
    close_world(&w);
}

/* ---- bounds ---- */

static void test_timeouts(void **state)
{
    static const struct {
        const char *text;
        uint32_t ms;
    } rows[] = {{"20ms", 20},  {"5s", 5000},    {"5 min", 300000},  {"300", 300},
                {"1500us", 2}, {"2h", 7200000}, {"0", 0},           {"", 0},
                {"soon", 0},   {"5 weeks", 0},  {"99d", INT32_MAX}, {"-5s", 0}};

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++)
        assert_int_equal(rest_read_timeout(hs_str(rows[i].text)), rows[i].ms);
    assert_int_equal(rest_read_isolation(HS_STR("Serializable")), PG_SERIALIZABLE);
    assert_int_equal(rest_read_isolation(HS_STR("repeatable read")), PG_REPEATABLE_READ);
    assert_int_equal(rest_read_isolation(HS_STR("read committed")), PG_ISOLATION_DEFAULT);
}

static struct hs_err refused(const char *sqlstate, const char *what)
{
    struct hs_err err = {.status = HS_E_PG_ERROR};

    (void)snprintf(err.sqlstate, sizeof(err.sqlstate), "%s", sqlstate);
    (void)snprintf(err.what, sizeof(err.what), "%s", what);
    return err;
}

/* What it writes is what it reads again. */
static void test_rows(void **state)
{
    struct world w;
    struct hs_err err = refused(
        "22P02", "invalid input syntax for type integer: \"hasten refuses rows: 3\"");

    (void)state;
    open_world(&w);
    w.q.r.query.sql = HS_STR("SELECT 1");
    assert_int_equal(rest_bound_rows(&w.q, /* is_single= */ true, 7, &w.err), HS_OK);
    assert_int_equal(w.q.r.query.n_params, 1);
    assert_string_equal(w.q.r.query.params[0], "7");
    assert_non_null(strstr(w.q.r.query.sql.p, "'hasten refuses rows: '"));
    assert_true(rest_read_bound(&w.q, /* is_single= */ true, &err));
    assert_int_equal(err.status, HS_E_PGRST116);
    err = refused("22P02", "invalid input syntax for type integer: \"hasten refuses rows: 3\"");
    assert_true(rest_read_bound(&w.q, /* is_single= */ false, &err));
    assert_int_equal(err.status, HS_E_PGRST124);
    assert_string_equal(err.why, "The query affects 3 rows");
    err = refused("22P02", "invalid input syntax for type integer: \"3\"");
    assert_false(rest_read_bound(&w.q, /* is_single= */ false, &err));
    err = refused("P0001", "hasten refuses rows: 3\"");
    assert_false(rest_read_bound(&w.q, /* is_single= */ false, &err));
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_names), cmocka_unit_test(test_what_is_said),
        cmocka_unit_test(test_by_body),  cmocka_unit_test(test_fixed),
        cmocka_unit_test(test_timeouts), cmocka_unit_test(test_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
