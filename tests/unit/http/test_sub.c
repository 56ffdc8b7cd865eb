/* SPDX-License-Identifier: Apache-2.0 */
/* Requests within a request: the same router, steps and handlers, answers that are whole, bounds, a client
 * that goes away. */
#include "fixture.h"

#define H "Host: a\r\n"

static struct fixture fixture;
static struct fixture *const f = &fixture;
static struct answer_read answer;

static void ask(struct client *c, const char *headers, const char *lines)
{
    char text[8192];

    assert_in_range(snprintf(text, sizeof(text),
                             "POST /sub HTTP/1.1\r\n" H "%sContent-Length: %zu\r\n\r\n%s", headers,
                             strlen(lines), lines),
                    1, sizeof(text) - 1);
    client_say(c, text);
}

static void expect_lines(const char *headers, const char *lines, const char *answers)
{
    struct client c = client_open(f);

    ask(&c, headers, lines);
    expect(&c, &answer, 200, answers);
    client_close(&c, false);
}

static void start_fixture(const struct http_limits *limits)
{
    struct http_limits usual = test_limits();

    fixture_start(f, limits ? limits : &usual);
}

static void stop_fixture(void)
{
    fixture_stop(f);
    free(answer.body);
    answer.body = NULL;
}

/* ---- the same way ---- */

static void test_same_way(void **state)
{
    (void)state;
    start_fixture(NULL);
    expect_lines("", "", "");
    expect_lines("",
                 "GET /hello\n"
                 "POST /echo/x?q\n"
                 "HEAD /hello\n"
                 "OPTIONS /hello\n",
                 "200|text/plain||hello\n"
                 "200|text/plain||xb\n"
                 "200|text/plain||\n"
                 "204||Allow: GET, HEAD, OPTIONS\r\n|\n");
    expect_lines(
        "", "GET /nothing\nPATCH /hello\nget /hello\n",
        "404|application/json||{\"code\":\"not_found\",\"message\":\"nothing is served at "
        "/nothing\",\"details\":null,\"hint\":\"See / for what is served here.\"}\n"
        "405|application/json|Allow: GET, HEAD, OPTIONS\r\n|{\"code\":\"method_not_allowed\","
        "\"message\":\"PATCH is not served at /hello\",\"details\":null,\"hint\":\"Use a "
        "method named in Allow.\"}\n"
        "405|application/json|Allow: GET, HEAD, OPTIONS\r\n|{\"code\":\"method_not_allowed\","
        "\"message\":\"get is not served at /hello\",\"details\":null,\"hint\":\"Use a method "
        "named in Allow.\"}\n");
    stop_fixture();
}

/* The step looks at the sub-request's own headers: X-Pass of the parent is not passed on. */
static void test_steps(void **state)
{
    (void)state;
    start_fixture(NULL);
    expect_lines("X-Pass: yes\r\n", "GET /guarded x-pass=yes\nGET /guarded\n",
                 "200|text/plain||hello\n"
                 "401|application/json|WWW-Authenticate: Bearer\r\n|{\"code\":\"token_required\","
                 "\"message\":\"no pass\",\"details\":null,\"hint\":\"Send `Authorization: Bearer "
                 "<token>`.\"}\n");
    stop_fixture();
}

static void look(void *ctx, struct http_req *req)
{
    struct hs_buf *out = http_req_scratch(req);

    (void)ctx;
    for (size_t i = 0; i < req->n_headers; i++) {
        hs_buf_add(out, req->headers[i].name);
        hs_buf_add_char(out, '=');
        hs_buf_add(out, req->headers[i].value);
        hs_buf_add_char(out, ';');
    }
    hs_buf_add(out, req->host);
    hs_buf_add_char(out, ' ');
    hs_buf_add(out, hs_strn(req->trace_id, sizeof(req->trace_id)));
    hs_buf_add(out, req->is_sampled ? HS_STR(" sampled ") : HS_STR(" "));
    hs_buf_add(out, req->client.n ? HS_STR("client") : HS_STR("nobody"));
    assert_memory_not_equal(req->span_id, "00f067aa0ba902b7", sizeof(req->span_id));
    reply_text(req, 200, hs_buf_str(out));
}

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"

static void set_looker(struct fixture *fx, void *arg)
{
    static const struct http_handler looker = {.name = "look", .handle = look};

    (void)fx;
    (void)arg;
    routes[0].handler = &looker;
}

static void test_what_is_passed_on(void **state)
{
    (void)state;
    start_fixture(NULL);
    on_loop(f, set_looker, NULL);
    expect_lines("Authorization: A\r\nCookie: c\r\n"
                 "traceparent: 00-" TRACE "-00f067aa0ba902b7-01\r\n",
                 "GET /hello\nGET /hello authorization=own\nGET /hello Accept= x \n",
                 "200|text/plain||Authorization=A;a " TRACE " sampled client\n"
                 "200|text/plain||authorization=own;a " TRACE " sampled client\n"
                 "200|text/plain||Accept=x;Authorization=A;a " TRACE " sampled client\n");
    stop_fixture();
}

/* ---- of the server itself ---- */

struct own {
    struct http_sub sub;
    struct hs_identity *who;
    unsigned status; /* 0 = not answered yet */
    char body[64];
    size_t body_n;
};

static struct own own;

static void own_done(struct http_sub *sub, const struct http_reply *reply)
{
    struct own *o = HS_CONTAINER(sub, struct own, sub);

    o->body_n = reply->body.n;
    if (reply->body.n < sizeof(o->body))
        memcpy(o->body, reply->body.p, reply->body.n);
    o->status = reply->status;
}

static void run_own(struct fixture *fx, void *arg)
{
    own.who = hs_identity_new(HS_STR("member"), HS_STR("{}"), /* is_anonymous= */ false);
    own.status = 0;
    own.sub = (struct http_sub){.magic = HTTP_SUB_MAGIC,
                                .server = fx->server,
                                .identity = own.who,
                                .method = HS_STR("GET"),
                                .target = hs_str(arg),
                                .done = own_done};
    http_sub_run(&own.sub);
}

static void drop_own(struct fixture *fx, void *arg)
{
    (void)fx;
    (void)arg;
    assert_int_equal(own.who->refs, 1); /* the request's went with it */
    hs_identity_unref(own.who);
}

static void say_who(void *ctx, struct http_req *req)
{
    (void)ctx;
    reply_text(req, 200, req->identity ? req->identity->role : HS_STR("nobody"));
}

static void set_namer(struct fixture *fx, void *arg)
{
    static const struct http_handler namer = {.name = "who", .handle = say_who};

    (void)fx;
    (void)arg;
    routes[0].handler = &namer;
}

static void expect_own(const char *target, unsigned status, const char *body)
{
    on_loop(f, run_own, (void *)(uintptr_t)target);
    assert_int_equal(own.status, status);
    if (body)
        assert_memory_equal(own.body, body, strlen(body) + 1);
    memset(own.body, 0, sizeof(own.body));
    on_loop(f, drop_own, NULL);
}

static void test_without_parent(void **state)
{
    struct http_limits limits = test_limits();

    (void)state;
    limits.answer_max = 100000;
    start_fixture(&limits);
    on_loop(f, set_namer, NULL);
    expect_own("/hello", 200, "member");
    expect_own("/guarded", 401, NULL);
    expect_own("/nothing", 404, NULL);
    expect_own("no/slash", 400, NULL);
    expect_own("/big?1000", 200, NULL);
    assert_int_equal(own.body_n, 1000);
    on_loop(f, run_own, (void *)(uintptr_t) "/stream?3");
    wait_until(own.status);
    assert_int_equal(own.body_n, 3 * STREAM_PIECE);
    on_loop(f, drop_own, NULL);
    on_loop(f, run_own, (void *)(uintptr_t) "/stream?1000");
    wait_until(own.status);
    assert_int_equal(own.status, 503);
    on_loop(f, drop_own, NULL);
    on_loop(f, run_own, (void *)(uintptr_t) "/hold/x");
    assert_int_equal(own.status, 0);
    on_loop(f, release, NULL);
    assert_int_equal(own.status, 200);
    on_loop(f, drop_own, NULL);
    stop_fixture();
}

/* ---- what is refused ---- */

static void expect_status(const char *line, int status)
{
    struct client c = client_open(f);

    ask(&c, "", line);
    expect(&c, &answer, 200, NULL);
    if (strtol(answer.body, NULL, 10) != status)
        fail_msg("expected %d for \"%s\", got %s", status, line, answer.body);
    client_close(&c, false);
}

static void test_refused(void **state)
{
    struct http_limits limits = test_limits();
    char line[2000] = "GET /hello a=";

    (void)state;
    limits.headers_count_max = 4;
    start_fixture(&limits);
    expect_status("GET hello", 400);
    expect_status("GET ", 400);
    expect_status("GET *", 400);
    expect_status("GET http://a/hello", 400);
    expect_status("GET /he\x01llo", 400);
    expect_status("GET /h\xc3\xa4", 400);
    expect_status("GET /hello#x", 400);
    expect_status("G(T /hello", 400);
    expect_status(" /hello", 400);
    expect_status("GET /hello a b=c", 400);
    expect_status("GET /hello a=b\rX: y", 400);
    expect_status("GET /hello =b", 400);
    expect_status("GET /hello a=\x7f", 400);
    expect_status("GET /hello a=\t\xc3\xa4", 200);
    memset(line + strlen(line), 'h', 1500);
    expect_status(line, 200);
    memcpy(line, "GET /hello/hhh", 14);
    expect_status(line, 414);
    stop_fixture();
    limits.headers_max = 512;
    start_fixture(&limits);
    memcpy(line, "GET /hello a=h", 14);
    expect_status(line, 431);
    stop_fixture();
}

/* ---- answers in pieces ---- */

static void test_pieces(void **state)
{
    struct http_limits limits = test_limits();
    size_t two = 2 * (3 + strlen("||\n")) + 5 * STREAM_PIECE;

    (void)state;
    start_fixture(NULL);
    expect_lines("", "GET /stream?2\nHEAD /stream?1\nGET /stream?3\nGET /stream?0\n", NULL);
    assert_non_null(strstr(answer.body, "200|||sss"));
    assert_non_null(strstr(answer.body, "sss\n200|||\n200|||sss"));
    assert_int_equal(answer.n, two + 2 + 2 * strlen("200|||\n"));
    expect_lines(
        "", "GET /cut\n",
        "500|application/json||{\"code\":\"internal_error\",\"message\":\"the answer broke "
        "off\",\"details\":null,\"hint\":\"See the server's log for this request id.\"}\n");
    stop_fixture();

    /* More than server.answer.max: the maker is told to stop, the others have their answers. */
    limits.answer_max = 100000;
    start_fixture(&limits);
    expect_lines("", "GET /stream?1000\nGET /hello\n", NULL);
    assert_memory_equal(answer.body, "503|application/json|Retry-After: 1\r\n|",
                        strlen("503|application/json|Retry-After: 1rn|"));
    assert_non_null(strstr(answer.body, "there is no room for this answer"));
    assert_non_null(strstr(answer.body, "200|text/plain||hello\n"));
    assert_int_equal(atomic_load(&f->streamed), 11);
    stop_fixture();
}

/* ---- over time ---- */

static void test_later(void **state)
{
    struct client c;
    const unsigned order[] = {1, 0};

    (void)state;
    start_fixture(NULL);
    c = client_open(f);
    ask(&c, "", "GET /hold/a\nGET /hello\nGET /hold/b\n");
    client_say(&c, "GET /hello HTTP/1.1\r\n" H "\r\n");
    wait_until(atomic_load(&f->n_held) == 2);
    assert_int_equal(atomic_load(&f->subs_done), 1);
    on_loop(f, release, &(struct release){order, 2});
    expect(&c, &answer, 200, "200|text/plain||a\n200|text/plain||hello\n200|text/plain||b\n");
    expect(&c, &answer, 200, "hello");
    client_close(&c, false);
    stop_fixture();
}

static void check_gone(struct fixture *fx, void *arg)
{
    bool expected = arg != NULL;

    for (unsigned i = 0; i < atomic_load(&fx->n_held); i++)
        assert_true(fx->held[i]->is_gone == expected);
}

static void test_client_leaves(void **state)
{
    struct client c;

    (void)state;
    start_fixture(NULL);
    c = client_open(f);
    ask(&c, "", "GET /hold/a\nGET /hold/b\n");
    wait_until(atomic_load(&f->n_held) == 2);
    on_loop(f, check_gone, NULL);
    client_close(&c, /* reset= */ true);
    wait_until(atomic_load(&f->connections) == 0);
    on_loop(f, check_gone, f);
    assert_int_equal(atomic_load(&f->subs_done), 0);
    on_loop(f, release, NULL);
    assert_int_equal(atomic_load(&f->subs_done), 2);
    stop_fixture();
}

static void hold_and_look(struct fixture *fx, void *arg)
{
    struct http_req *req = fx->held[0];
    size_t before = fx->server->waiting;

    (void)arg;
    assert_true(http_req_hold(req, 60000));
    assert_true(http_req_hold(req, 40000));
    assert_false(http_req_hold(req, 1)); /* server.answer.max */
    assert_int_equal(fx->server->waiting, before + 100000);
    http_req_unhold(req, 100000);
    assert_int_equal(fx->server->waiting, before);
    fx->server->setup.limits.output_total = 50000;
    assert_true(http_req_hold(req, 50000));
    assert_false(http_req_hold(req, 20000)); /* server.output.total */
    assert_true(http_req_hold(req, 10000));  /* but what is short */
    http_req_unhold(req, 60000);
}

static void test_hold(void **state)
{
    struct http_limits limits = test_limits();
    struct client c;

    (void)state;
    limits.answer_max = 100000;
    start_fixture(&limits);
    c = client_open(f);
    client_say(&c, "GET /hold/a HTTP/1.1\r\n" H "\r\n");
    wait_until(atomic_load(&f->n_held) == 1);
    on_loop(f, hold_and_look, NULL);
    on_loop(f, release, NULL);
    expect(&c, &answer, 200, "a");
    client_close(&c, false);
    stop_fixture();
}

/* Each counts by its own route; nothing is in flight but the parent. */
static void test_counts(void **state)
{
    unsigned route;
    uint64_t n = 0;

    (void)state;
    start_fixture(NULL);
    expect_lines("", "GET /hello\nGET /hello\nGET /fail/bad_token\n", NULL);
    route = hs_metric_route(HS_STR("/hello"));
    for (int i = 0; i < HS_BUCKETS; i++)
        n += atomic_load(&f->metrics->duration[route].bucket[i]);
    assert_int_equal(n, 2);
    stop_fixture();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_way),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_what_is_passed_on),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_pieces),

        cmocka_unit_test(test_later),
        cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_without_parent),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
