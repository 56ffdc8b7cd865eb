/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as PostgREST tells them: body, status, headers. */
#include "rest/tell.h"

#include "pg/pool.h"
#include "test.h"

static struct hs_arena arena;

struct told {
    struct hs_buf body;
    struct http_reply reply;
};

static void tell(const struct hs_err *err, bool is_anonymous, struct told *to)
{
    struct hs_identity who = {.is_anonymous = is_anonymous};
    const struct http_req req = {.arena = &arena, .identity = &who};

    hs_buf_init(&to->body, 1 << 16);
    to->reply = (struct http_reply){.status = hs_err_http(err)};
    rest_tell(&req, err, /* with_why= */ true, &to->body, &to->reply);
}

static void check(const struct hs_err *err, unsigned status, const char *body, const char *headers)
{
    struct told told;

    tell(err, /* is_anonymous= */ false, &told);
    assert_str(hs_buf_str(&told.body), hs_str(body));
    assert_int_equal(told.reply.status, status);
    assert_str(told.reply.headers, hs_str(headers));
    hs_buf_fini(&told.body);
}

static void test_own(void **state)
{
    struct hs_err err = {0};

    (void)state;
    (void)hs_fail(&err, HS_E_PGRST205, "Could not find the table 'a.b' in the schema cache");
    hs_err_hint(&err, "Perhaps you meant the table 'a.c'");
    check(&err, 404,
          "{\"code\":\"PGRST205\",\"details\":null,\"hint\":\"Perhaps you meant the table "
          "'a.c'\",\"message\":\"Could not find the table 'a.b' in the schema cache\"}",
          "Proxy-Status: PostgREST; error=PGRST205\r\n");
    (void)hs_fail(&err, HS_E_NO_TOKEN, "hasten's words");
    check(&err, 401,
          "{\"code\":\"PGRST302\",\"details\":null,\"hint\":null,"
          "\"message\":\"Anonymous access is disabled\"}",
          "WWW-Authenticate: Bearer\r\nProxy-Status: PostgREST; error=PGRST302\r\n");
    (void)hs_fail(&err, HS_E_BAD_TOKEN, "a \"bad\" one");
    check(
        &err, 401,
        "{\"code\":\"PGRST301\",\"details\":null,\"hint\":null,\"message\":\"a \\\"bad\\\" one\"}",
        "WWW-Authenticate: Bearer error=\"invalid_token\", error_description=\"invalid token\"\r\n"
        "Proxy-Status: PostgREST; error=PGRST301\r\n");
    /* What has no counterpart keeps its own code. */
    (void)hs_fail(&err, HS_E_COST, "dear");
    check(&err, 403,
          "{\"code\":\"query_too_costly\",\"details\":null,"
          "\"hint\":\"Narrow the request, or send a token.\",\"message\":\"dear\"}",
          "Proxy-Status: PostgREST; error=query_too_costly\r\n");
}

static void test_translated(void **state)
{
    static const struct {
        hs_status status;
        unsigned http;
        const char *code;
    } rows[] = {{HS_E_PG_DOWN, 503, "PGRST000"},
                {HS_E_SHUTDOWN, 503, "PGRST001"},
                {HS_E_OUTCOME_UNKNOWN, 503, "PGRST001"},
                {HS_E_PGRST002, 503, "PGRST002"},
                {HS_E_PG_ACQUIRE, 504, "PGRST003"},
                {HS_E_BUSY, 504, "PGRST003"},
                {HS_E_NOT_FOUND, 404, "PGRST125"},
                {HS_E_BAD_ENCODING, 400, "PGRST100"},
                {HS_E_BAD_JSON, 400, "PGRST102"},
                {HS_E_BAD_BODY, 400, "PGRST102"},
                {HS_E_INTERNAL, 500, "PGRSTX00"},
                {HS_E_IO, 500, "PGRSTX00"},
                {HS_E_BAD_ROLE, 403, "42501"}};

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct hs_err err = {0};
        struct told told;

        (void)hs_fail(&err, rows[i].status, "x");
        tell(&err, /* is_anonymous= */ false, &told);
        assert_int_equal(told.reply.status, rows[i].http);
        assert_true(hs_str_starts(hs_str_sub(hs_buf_str(&told.body), 9, told.body.n),
                                  hs_str(rows[i].code)));
        hs_buf_fini(&told.body);
    }
}

static void raise(struct hs_err *err, const char *sqlstate, const char *message, const char *detail)
{
    hs_err_clear(err);
    pg_err_from_sqlstate(err, sqlstate, message, detail, NULL, /* is_anonymous= */ false);
}

static void test_raised(void **state)
{
    struct hs_err err = {0};

    (void)state;
    raise(&err, "PT402", "Payment Required", "Quota exceeded");
    check(&err, 402,
          "{\"code\":\"PT402\",\"details\":\"Quota exceeded\",\"hint\":null,"
          "\"message\":\"Payment Required\"}",
          "Proxy-Status: PostgREST; error=PT402\r\n");
    raise(
        &err, "PGRST", "{\"code\":\"123\",\"message\":\"Pay\",\"hint\":\"more\"}",
        "{\"status\":402,\"headers\":{\"X-By\":\"rage\",\"X Bad\":\"a\",\"X-Split\":\"a\\nB: c\"}}");
    check(&err, 402, "{\"code\":\"123\",\"details\":null,\"hint\":\"more\",\"message\":\"Pay\"}",
          "X-By: rage\r\nProxy-Status: PostgREST; error=123\r\n");
    raise(&err, "PGRST", "no JSON", "{\"status\":402,\"headers\":{}}");
    check(&err, 500,
          "{\"code\":\"PGRST121\",\"details\":\"Invalid JSON value for MESSAGE: 'no JSON'\","
          "\"hint\":\"MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and "
          "optional keys: 'details', 'hint'.\","
          "\"message\":\"Could not parse JSON in the \\\"RAISE SQLSTATE 'PGRST'\\\" error\"}",
          "Proxy-Status: PostgREST; error=PGRST121\r\n");
    /* How long an answer is and where it ends is not for a function to say, nor its type a second time. */
    raise(&err, "PGRST", "{\"code\":\"1\",\"message\":\"m\"}",
          "{\"status\":400,\"headers\":{\"Content-Length\":\"1\",\"transfer-encoding\":\"chunked\","
          "\"Content-Type\":\"text/plain\",\"X-By\":\"rage\"}}");
    check(&err, 400, "{\"code\":\"1\",\"details\":null,\"hint\":null,\"message\":\"m\"}",
          "X-By: rage\r\nProxy-Status: PostgREST; error=1\r\n");
    /* A code that would end the line is not told in a header. */
    raise(&err, "PGRST", "{\"code\":\"a\\r\\nB: c\",\"message\":\"\"}",
          "{\"status\":400,\"headers\":{}}");
    check(&err, 400, "{\"code\":\"a\\r\\nB: c\",\"details\":null,\"hint\":null,\"message\":\"\"}",
          "Proxy-Status: PostgREST; error=PGRSTX00\r\n");
}

static void test_sqlstates(void **state)
{
    static const struct {
        const char *sqlstate;
        unsigned http;
    } rows[] = {{"08006", 503}, {"0L000", 403}, {"0A000", 400}, {"21000", 500}, {"22P02", 400},
                {"22023", 400}, {"23502", 400}, {"23503", 409}, {"23505", 409}, {"23514", 400},
                {"25006", 405}, {"25001", 500}, {"28000", 403}, {"40001", 500}, {"42501", 403},
                {"42703", 400}, {"42883", 404}, {"42P01", 404}, {"42P17", 500}, {"53300", 503},
                {"53400", 500}, {"54001", 500}, {"57014", 500}, {"57P01", 503}, {"P0001", 400},
                {"P0002", 500}, {"XX000", 500}, {"PT418", 418}, {"PTabc", 500}, {"PT001", 500}};

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++)
        assert_int_equal(rest_sqlstate_http(hs_str(rows[i].sqlstate), HS_STR("x"), false),
                         rows[i].http);
    assert_int_equal(rest_sqlstate_http(HS_STR("42501"), HS_STR("x"), true), 401);
    assert_int_equal(
        rest_sqlstate_http(HS_STR("22023"), HS_STR("role \"x\" does not exist"), false), 401);
    assert_int_equal(
        rest_sqlstate_http(HS_STR("21000"), HS_STR("DELETE requires a WHERE clause"), false), 400);
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
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_translated),
        cmocka_unit_test(test_raised),
        cmocka_unit_test(test_sqlstates),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
