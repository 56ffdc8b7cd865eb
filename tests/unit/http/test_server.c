/* SPDX-License-Identifier: Apache-2.0 */
/* The server as a client sees it: answers, their order, routes, bodies, refusals, limits. */
#include "fixture.h"

#define H "Host: a\r\n"

static int setup(void **state)
{
    static struct fixture f;
    struct http_limits limits = test_limits();

    fixture_start(&f, &limits);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_stop(*state);
    return 0;
}

static void test_answer(void **state)
{
    struct client c = client_open(*state);
    struct answer_read a = {.status = 0};

    for (int i = 0; i < 3; i++) {
        client_say(&c, "GET /hello HTTP/1.1\r\n" H "\r\n");
        expect(&c, &a, 200, "hello");
        assert_non_null(strstr(a.head, "\r\nDate: "));
        assert_non_null(strstr(a.head, " GMT\r\n"));
        assert_non_null(strstr(a.head, "\r\nContent-Type: text/plain\r\n"));
        assert_non_null(strstr(a.head, "\r\nX-Response-Time: 0ms\r\n"));
        assert_non_null(strstr(a.head, "\r\nServer-Timing: total;dur=0."));
        assert_null(strstr(a.head, "\r\nConnection:"));
        assert_null(strstr(a.head, "\r\ntraceparent:"));
        assert_int_equal(strspn(strstr(a.head, "\r\nX-Request-Id: ") + 16, "0123456789abcdef"), 32);
    }
    client_say(&c, "HEAD /hello HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H
                   "Connection: close\r\n\r\n");
    assert_true(client_answer(&c, &a, true));
    assert_int_equal(header_number(a.head, "Content-Length: "), 5);
    expect(&c, &a, 200, "hello");
    assert_non_null(strstr(a.head, "\r\nConnection: close\r\n"));
    expect_end(&c);
    client_close(&c, false);
    free(a.body);
}

static void test_trace(void **state)
{
    static const char *const ignored[] = {
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
    };
    struct client c = client_open(*state);
    struct answer_read a = {.status = 0};

    client_say(&c, "GET /hello HTTP/1.1\r\n" H
                   "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n");
    expect(&c, &a, 200, "hello");
    assert_non_null(strstr(a.head, "\r\nX-Request-Id: 0af7651916cd43dd8448eb211c80319c\r\n"));
    assert_non_null(strstr(a.head, "\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-"));
    assert_null(strstr(a.head, "b7ad6b7169203331"));
    assert_non_null(strstr(a.head, "-01\r\n"));
    for (size_t i = 0; i < HS_LEN(ignored); i++) {
        char text[256];

        (void)snprintf(text, sizeof(text), "GET /hello HTTP/1.1\r\n" H "traceparent: %s\r\n\r\n",
                       ignored[i]);
        client_say(&c, text);
        expect(&c, &a, 200, "hello");
        assert_null(strstr(a.head, "traceparent"));
        assert_null(strstr(a.head, "0af7651916cd43dd8448eb211c80319c"));
    }
    client_close(&c, false);
    free(a.body);
}

static void test_routes(void **state)
{
    struct client c = client_open(*state);
    struct answer_read a = {.status = 0};

    client_say(&c, "GET /nothing HTTP/1.1\r\n" H "\r\nGET /hello/x HTTP/1.1\r\n" H
                   "\r\nGET /echox HTTP/1.1\r\n" H "\r\n");
    expect(&c, &a, 404,
           "{\"code\":\"not_found\",\"message\":\"nothing is served at /nothing\",\"details\":null,"
           "\"hint\":\"See / for what is served here.\"}");
    assert_non_null(strstr(a.head, "Content-Type: application/json\r\n"));
    expect(&c, &a, 404, NULL);
    expect(&c, &a, 404, NULL);
    client_say(&c, "GET /echo HTTP/1.1\r\n" H "\r\nGET /echo/ HTTP/1.1\r\n" H
                   "\r\nGET /echo/a/b HTTP/1.1\r\n" H "\r\nGET /echo/deep/x HTTP/1.1\r\n" H "\r\n");
    expect(&c, &a, 200, "");
    expect(&c, &a, 200, "");
    expect(&c, &a, 200, "a/b");
    expect(&c, &a, 200, "hello");
    client_say(&c, "DELETE /echo HTTP/1.1\r\n" H "\r\nBREW /hello HTTP/1.1\r\n" H "\r\n");
    expect(&c, &a, 405, NULL);
    assert_non_null(strstr(a.head, "\r\nAllow: GET, HEAD, POST, PUT, OPTIONS\r\n"));
    expect(&c, &a, 405, NULL);
    assert_non_null(strstr(a.head, "\r\nAllow: GET, HEAD, OPTIONS\r\n"));
    client_say(&c, "OPTIONS /echo HTTP/1.1\r\n" H "\r\nOPTIONS * HTTP/1.1\r\n" H "\r\n");
    expect(&c, &a, 204, "");
    assert_null(strstr(a.head, "Content-Length"));
    assert_non_null(strstr(a.head, "\r\nAllow: GET, HEAD, POST, PUT, OPTIONS\r\n"));
    expect(&c, &a, 204, "");
    client_say(&c, "GET /guarded HTTP/1.1\r\n" H "\r\nGET /guarded HTTP/1.1\r\n" H
                   "X-PASS: yes\r\n\r\n");
    expect(&c, &a, 401, NULL);
    expect(&c, &a, 200, "hello");
    client_close(&c, false);
    free(a.body);
}

static void test_errors(void **state)
{
    struct client c = client_open(*state);
    struct answer_read a = {.status = 0};

    client_say(&c,
               "GET /fail/busy HTTP/1.1\r\n" H "\r\nGET /fail/bad_token HTTP/1.1\r\n" H
               "\r\nGET /fail/token_required HTTP/1.1\r\n" H "\r\nGET /big?4194304 HTTP/1.1\r\n" H
               "\r\nHEAD /fail/busy HTTP/1.1\r\n" H "\r\n");
    expect(&c, &a, 503, NULL);
    assert_non_null(strstr(a.head, "\r\nRetry-After: 1\r\n"));
    assert_non_null(strstr(a.body, "\"as \\\"asked\\\"\""));
    expect(&c, &a, 401, NULL);
    assert_non_null(strstr(a.head, "\r\nWWW-Authenticate: Bearer error=\"invalid_token\"\r\n"));
    expect(&c, &a, 401, NULL);
    assert_non_null(strstr(a.head, "\r\nWWW-Authenticate: Bearer\r\n"));
    expect(&c, &a, 200, NULL);
    assert_int_equal(a.n, 4194304);
    assert_true(client_answer(&c, &a, true));
    assert_int_equal(a.status, 503);
    client_close(&c, false);
    free(a.body);
}

static void test_http_1_0(void **state)
{
    struct client c = client_open(*state);
    struct answer_read a = {.status = 0};

    client_say(&c, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    expect(&c, &a, 200, "hello");
    assert_non_null(strstr(a.head, "\r\nConnection: keep-alive\r\n"));
    client_say(&c, "GET /hello HTTP/1.0\r\n\r\nGET /hello HTTP/1.0\r\n\r\n");
    expect(&c, &a, 200, "hello");
    assert_non_null(strstr(a.head, "\r\nConnection: close\r\n"));
    expect_end(&c);
    client_close(&c, false);
    free(a.body);
}

/* Twenty requests under way, answered in any order, ten times: answers come as the requests did. */
static void test_order(void **state)
{
    struct fixture *f = *state;
    struct hs_rng rng = test_rng();
    struct client c = client_open(f);
    struct answer_read a = {.status = 0};
    unsigned order[20];
    char text[64];

    for (int round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 20; i++) {
            unsigned j = (unsigned)hs_rng_below(&rng, i + 1);

            order[i] = order[j];
            order[j] = i;
            (void)snprintf(text, sizeof(text), "GET /hold/%u HTTP/1.1\r\n" H "\r\n", i);
            client_say(&c, text);
        }
        client_say(&c, "GET /echo/now HTTP/1.1\r\n" H "\r\n");
        wait_until(atomic_load(&f->n_held) == 20);
        on_loop(f, release, &(struct release){order, 20});
        for (unsigned i = 0; i < 20; i++) {
            (void)snprintf(text, sizeof(text), "%u", i);
            expect(&c, &a, 200, text);
        }
        expect(&c, &a, 200, "now");
    }
    client_close(&c, false);
    free(a.body);
}

/* More in one packet than one turn takes, and more under way than pipeline_max. */
static void test_many(void **state)
{
    struct fixture *f = *state;
    struct client c = client_open(f);
    struct answer_read a = {.status = 0};
    static char text[64 * 1024];
    size_t n = 0;
    char body[16];

    for (int i = 0; i < 1500; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "GET /echo/%d HTTP/1.1\r\nHost:a\r\n\r\n",
                              i);
    client_send(&c, hs_strn(text, n));
    for (int i = 0; i < 1500; i++) {
        (void)snprintf(body, sizeof(body), "%d", i);
        expect(&c, &a, 200, body);
    }
    for (int i = 0; i < 100; i++)
        client_say(&c, "GET /hold/x HTTP/1.1\r\n" H "\r\n");
    wait_until(atomic_load(&f->n_held) == 64);
    usleep(20000);
    assert_int_equal(atomic_load(&f->n_held), 64);
    on_loop(f, release, NULL);
    wait_until(atomic_load(&f->n_held) == 36);
    on_loop(f, release, NULL);
    for (int i = 0; i < 100; i++)
        expect(&c, &a, 200, "x");
    client_close(&c, false);
    free(a.body);
}

/* Cut anywhere, the bytes mean the same. */
static void test_cuts(void **state)
{
    static const char text[] = "\r\nPOST /echo/a HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"
                               "POST /echo/b HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
                               "3;x=\"y\"\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: t\r\n\r\n"
                               "GET /echo/c HTTP/1.1\r\n" H "\r\n";
    struct answer_read a = {.status = 0};
    struct client c = client_open(*state);
    int one = 1;

    setsockopt(c.fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof(one));
    for (size_t cut = 0; cut < sizeof(text); cut++) {
        client_send(&c, hs_strn(text, cut));
        usleep(200);
        client_send(&c, hs_strn(text + cut, sizeof(text) - 1 - cut));
        expect(&c, &a, 200, "ahello");
        expect(&c, &a, 200, "babc0123456789");
        expect(&c, &a, 200, "c");
    }
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        client_send(&c, hs_strn(text + i, 1));
        usleep(100);
    }
    expect(&c, &a, 200, "ahello");
    expect(&c, &a, 200, "babc0123456789");
    expect(&c, &a, 200, "c");
    client_close(&c, false);
    free(a.body);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *text;
        int status;
    } rows[] = {
        {"GET /hello HTTP/1.1\r\n\r\n", 400},
        {"GET /hello HTTP/1.1\nHost: a\n\n", 400},
        {"POST /echo HTTP/1.1\r\n" H
         "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
         400},
        {"POST /echo HTTP/1.1\r\n" H "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", 400},
        {"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
         400},
        {"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
        {"POST /echo HTTP/1.1\r\n" H "Content-Length: 100001\r\n\r\nhello", 413},
        {"POST /echo HTTP/1.1\r\n" H "Content-Length: 99999999999999999999999\r\n\r\nhello", 413},
        {"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nfffffff\r\nhello", 200},
        {"POST /echo HTTP/1.1\r\n" H "Content-Length: 4\r\nExpect: tea\r\n\r\n", 417},
        {"GET /hello HTTP/2.0\r\n" H "\r\n", 505},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 400},
    };
    struct answer_read a = {.status = 0};

    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct client c = client_open(*state);

        if (rows[i].status == 200) { /* a chunked body that grows past the limit */
            static char piece[100000];

            memset(piece, 'x', sizeof(piece));
            client_say(&c, rows[i].text);
            client_send(&c, hs_strn(piece, sizeof(piece)));
            expect(&c, &a, 413, NULL);
        } else {
            client_say(&c, "GET /echo/before HTTP/1.1\r\n" H "\r\n");
            client_say(&c, rows[i].text);
            client_say(&c, "GET /echo/after HTTP/1.1\r\n" H "\r\n");
            expect(&c, &a, 200, "before");
            expect(&c, &a, rows[i].status, NULL);
        }
        assert_non_null(strstr(a.head, "\r\nConnection: close\r\n"));
        assert_non_null(strstr(a.body, "\"code\":"));
        expect_end(&c);
        client_close(&c, false);
    }
    free(a.body);
}

/* A client that is busy sending must still be able to read why it was refused. */
static void test_refusal_is_readable(void **state)
{
    static char piece[500000];
    struct answer_read a = {.status = 0};

    memset(piece, 'x', sizeof(piece));
    for (int i = 0; i < 5; i++) {
        struct client c = client_open(*state);

        client_say(&c, "POST /echo HTTP/1.1\r\n" H "Content-Length: 500000\r\n\r\n");
        client_send(&c, hs_strn(piece, sizeof(piece)));
        expect(&c, &a, 413, NULL);
        expect_end(&c);
        client_close(&c, false);
    }
    free(a.body);
}

static void test_head_limits(void **state)
{
    struct answer_read a = {.status = 0};
    static const struct {
        const char *before;
        int width;
        const char *after;
        int status;
    } rows[] = {
        {"GET /echo/", 1000, " HTTP/1.1\r\n" H "\r\n", 200},
        {"GET /echo/", 1020, " HTTP/1.1\r\n" H "\r\n", 414},
        {"GET /echo/", 3000, "", 414},
        {"GET /echo HTTP/1.1\r\n" H "X: ", 4050, "\r\n\r\n", 200},
        {"GET /echo HTTP/1.1\r\n" H "X: ", 4090, "\r\n\r\n", 431},
        {"GET /echo HTTP/1.1\r\n" H "X: ", 4090, "", 431},
    };

    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct client c = client_open(*state);
        char text[8192];

        (void)snprintf(text, sizeof(text), "%s%0*d%s", rows[i].before, rows[i].width, 0,
                       rows[i].after);
        client_say(&c, text);
        expect(&c, &a, rows[i].status, NULL);
        client_close(&c, false);
    }
    free(a.body);
}

static void test_continue(void **state)
{
    struct fixture *f = *state;
    struct client c = client_open(f);
    struct answer_read a = {.status = 0};

    client_say(&c,
               "PUT /echo/x HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    expect(&c, &a, 100, "");
    client_say(&c, "abc");
    expect(&c, &a, 200, "xabc");
    client_say(&c,
               "PUT /echo/y HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc");
    expect(&c, &a, 200, "yabc");
    client_say(&c, "GET /echo/z HTTP/1.1\r\n" H "Expect: 100-continue\r\n\r\n");
    expect(&c, &a, 200, "z");
    /* not before the answers that are owed */
    client_say(&c, "GET /hold/h HTTP/1.1\r\n" H "\r\nPUT /echo/w HTTP/1.1\r\n" H
                   "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    wait_until(atomic_load(&f->n_held) == 1);
    usleep(10000);
    on_loop(f, release, NULL);
    expect(&c, &a, 200, "h");
    expect(&c, &a, 100, "");
    client_say(&c, "1\r\nq\r\n0\r\n\r\n");
    expect(&c, &a, 200, "wq");
    /* nobody wants that body */
    client_say(&c,
               "PUT /nothing HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    expect(&c, &a, 404, NULL);
    assert_non_null(strstr(a.head, "\r\nConnection: close\r\n"));
    expect_end(&c);
    client_close(&c, false);
    free(a.body);
}

static void test_half_close(void **state)
{
    struct fixture *f = *state;
    struct client c = client_open(f);
    struct answer_read a = {.status = 0};

    client_say(&c, "GET /echo/1 HTTP/1.1\r\n" H "\r\nGET /hold/2 HTTP/1.1\r\n" H
                   "\r\nGET /echo/3 HTTP/1.1\r\n" H "\r\nGET /par");
    shutdown(c.fd, SHUT_WR);
    wait_until(atomic_load(&f->n_held) == 1);
    usleep(5000);
    on_loop(f, release, NULL);
    expect(&c, &a, 200, "1");
    expect(&c, &a, 200, "2");
    expect(&c, &a, 200, "3");
    expect_end(&c);
    client_close(&c, false);
    c = client_open(f);
    client_say(&c, "POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nab");
    shutdown(c.fd, SHUT_WR);
    expect_end(&c);
    client_close(&c, false);
    free(a.body);
}

/* Connections that come and go at every point of a request, by FIN and by RST. */
static void test_drops(void **state)
{
    static const char text[] = "POST /echo/a HTTP/1.1\r\n" H
                               "Content-Length: 5\r\n\r\nhelloGET /big?200000 HTTP/1.1\r\n" H
                               "\r\nGET /stream?20 HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H
                               "\r\n";
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(text); i++) {
        struct client c = client_open(f);

        client_send(&c, hs_strn(text, i));
        client_close(&c, /* reset= */ i % 2);
    }
    wait_until(atomic_load(&f->connections) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_routes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_http_1_0, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cuts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusal_is_readable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_head_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_continue, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_close, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drops, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
