/* SPDX-License-Identifier: Apache-2.0 */
/* The server over time: time limits, backpressure, streams, vanished clients, full tables, drain.
 */
#include <sys/resource.h>

#include "fixture.h"

#define H "Host: a\r\n"

static struct fixture fixture;
static struct fixture *const f = &fixture;

static hs_us since(hs_us start)
{
    return hs_now_us() - start;
}

/* ---- time limits ---- */

static void test_timeouts(void **state)
{
    struct http_limits limits = test_limits();
    struct answer_read a = {.status = 0};
    struct client c;
    hs_us start;

    (void)state;
    limits.idle_timeout = limits.header_timeout = limits.body_timeout = 300 * HS_MS;
    fixture_start(f, &limits);

    c = client_open(f);
    client_say(&c, "GET /hello HTTP/1.1\r\n" H "\r\n");
    expect(&c, &a, 200, "hello");
    start = hs_now_us();
    expect_end(&c);
    assert_in_range(since(start), 250 * HS_MS, 5 * HS_SECOND);
    client_close(&c, false);

    c = client_open(f);
    start = hs_now_us();
    for (const char *p = "GET /he"; *p; p++) { /* a byte now and then does not help */
        client_send(&c, hs_strn(p, 1));
        usleep(60000);
    }
    expect(&c, &a, 408, NULL);
    assert_in_range(since(start), 250 * HS_MS, 5 * HS_SECOND);
    expect_end(&c);
    client_close(&c, false);

    c = client_open(f);
    client_say(&c, "\r\n"); /* no request, no answer */
    expect_end(&c);
    client_close(&c, false);

    c = client_open(f);
    client_say(&c, "POST /echo HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\nab");
    expect(&c, &a, 408, NULL);
    expect_end(&c);
    client_close(&c, false);

    /* who waits for an answer has no limit here */
    c = client_open(f);
    client_say(&c, "GET /hold/x HTTP/1.1\r\n" H "\r\n");
    wait_until(atomic_load(&f->n_held) == 1);
    usleep(700000);
    on_loop(f, release, NULL);
    expect(&c, &a, 200, "x");
    client_close(&c, false);

    /* nor if an empty line follows the request, as some clients send behind a body */
    c = client_open(f);
    client_say(&c, "GET /hold/y HTTP/1.1\r\n" H "\r\n\r\n");
    wait_until(atomic_load(&f->n_held) == 1);
    usleep(700000);
    on_loop(f, release, NULL);
    expect(&c, &a, 200, "y");
    client_say(&c, "GET /hello HTTP/1.1\r\n" H "\r\n");
    expect(&c, &a, 200, "hello");
    client_close(&c, false);
    assert_int_equal(atomic_load(&f->metrics->value[HS_M_HTTP_TIMEOUTS]), 3);
    fixture_stop(f);
    free(a.body);
}

/* Exactly n bytes. */
static void take(struct client *c, size_t n)
{
    while (n) {
        ssize_t got = recv(c->fd, c->p + c->n, n, 0);

        if (got <= 0)
            fail_msg("closed after %zu bytes", c->n);
        c->n += (size_t)got;
        n -= (size_t)got;
    }
}

static void test_write_timeout(void **state)
{
    struct http_limits limits = test_limits();
    struct answer_read a = {.status = 0};
    struct client c;
    bool reset = false;

    (void)state;
    limits.write_timeout = 400 * HS_MS;
    fixture_start(f, &limits);
    c = client_open(f);
    for (int i = 0; i < 20; i++)
        client_say(&c, "GET /big?4000000 HTTP/1.1\r\n" H "\r\n");
    wait_until(atomic_load(&f->connections) == 1);
    wait_until(atomic_load(&f->connections) == 0);
    assert_true(atomic_load(&f->handled) < 5);
    c.n = 0;
    while (client_more(&c, &reset))
        c.n = 0;
    assert_true(reset);
    client_close(&c, false);

    /* slow, but moving: not killed */
    c = client_socket();
    assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &(int){65536}, sizeof(int)), 0);
    client_connect(f, &c);
    client_say(&c, "GET /big?4000000 HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
    for (int i = 0; i < 15; i++) {
        usleep(100000);
        take(&c, 200000);
    }
    expect(&c, &a, 200, NULL);
    assert_int_equal(a.n, 4000000);
    client_close(&c, false);
    fixture_stop(f);
    free(a.body);
}

/* ---- backpressure ---- */

static void test_slow_reader(void **state)
{
    struct http_limits limits = test_limits();
    struct answer_read a = {.status = 0};
    struct client c;
    unsigned handled;

    (void)state;
    fixture_start(f, &limits);
    c = client_open(f);
    for (int i = 0; i < 200; i++)
        client_say(&c, "GET /big?100000 HTTP/1.1\r\n" H "\r\n");
    usleep(300000);
    handled = atomic_load(&f->handled);
    /* the sockets' buffers and output_max, by far not 20 MB */
    if (handled > 100)
        fail_msg("%u requests were answered for a client that reads nothing", handled);
    for (int i = 0; i < 200; i++) {
        expect(&c, &a, 200, NULL);
        assert_int_equal(a.n, 100000);
    }
    assert_int_equal(atomic_load(&f->handled), 200);
    client_close(&c, false);
    fixture_stop(f);
    free(a.body);
}

/* Late answers that are large: they wait in turn, are bounded on their way out, and all arrive. */
static void late_big(struct fixture *fx, void *arg)
{
    static char body[300000];

    (void)arg;
    memset(body, 'L', sizeof(body));
    for (unsigned i = atomic_load(&fx->n_held); i-- > 0;)
        reply_text(fx->held[i], 200, hs_strn(body, sizeof(body) - i));
    atomic_store(&fx->n_held, 0);
}

static void test_late_and_large(void **state)
{
    struct http_limits limits = test_limits();
    struct answer_read a = {.status = 0};
    struct client c;

    (void)state;
    fixture_start(f, &limits);
    c = client_open(f);
    for (int i = 0; i < 30; i++)
        client_say(&c, "GET /hold/x HTTP/1.1\r\n" H "\r\n");
    wait_until(atomic_load(&f->n_held) == 30);
    on_loop(f, late_big, NULL);
    client_say(&c, "GET /echo/end HTTP/1.1\r\n" H "\r\n");
    for (unsigned i = 0; i < 30; i++) {
        expect(&c, &a, 200, NULL);
        assert_int_equal(a.n, 300000 - i);
    }
    expect(&c, &a, 200, "end");
    client_close(&c, false);
    fixture_stop(f);
    free(a.body);
}

/* ---- streams ---- */

/* Reads chunks to the end; the number of body bytes. */
static size_t read_chunks(struct client *c)
{
    size_t body = 0;
    size_t size;
    bool reset;

    do {
        char *end;

        while (!(end = find(c->p, c->n, "\r\n")))
            assert_true(client_more(c, &reset));
        size = strtoul(c->p, NULL, 16);
        while (c->n < (size_t)(end - c->p) + 4 + size) {
            size_t at = (size_t)(end - c->p);

            assert_true(client_more(c, &reset));
            end = c->p + at;
        }
        for (size_t i = 0; i < size; i++)
            assert_int_equal(end[2 + i], 's');
        c->n -= (size_t)(end - c->p) + 4 + size;
        memmove(c->p, end + 4 + size, c->n);
        body += size;
    } while (size);
    return body;
}

/* Answers that wait behind a stream are no reason for it to wait. */
static void test_stream_before_big(void **state)
{
    struct http_limits limits = test_limits();
    struct answer_read a = {.status = 0};
    struct client c;

    (void)state;
    fixture_start(f, &limits);
    c = client_open(f);
    client_say(&c, "GET /hold/first HTTP/1.1\r\n" H "\r\nGET /stream?1000 HTTP/1.1\r\n" H
                   "\r\nGET /big?40000 HTTP/1.1\r\n" H "\r\n");
    wait_until(atomic_load(&f->n_held) == 1);
    on_loop(f, release, NULL);
    expect(&c, &a, 200, "first");
    /* Nobody reads for a while: the stream waits when the next request comes in. */
    usleep(200000);
    assert_true(client_answer(&c, &a, true));
    assert_int_equal(read_chunks(&c), 1000 * STREAM_PIECE);
    assert_true(client_answer(&c, &a, false));
    assert_int_equal(a.status, 200);
    client_close(&c, false);
    free(a.body);
    fixture_stop(f);
}

static void test_streams(void **state)
{
    struct http_limits limits = test_limits();
    struct answer_read a = {.status = 0};
    struct client c;
    bool reset;

    (void)state;
    fixture_start(f, &limits);
    c = client_open(f);
    client_say(&c, "GET /hold/first HTTP/1.1\r\n" H "\r\nGET /stream?1000 HTTP/1.1\r\n" H
                   "\r\nHEAD /stream?3 HTTP/1.1\r\n" H "\r\nGET /echo/last HTTP/1.1\r\n" H "\r\n");
    wait_until(atomic_load(&f->n_held) == 1);
    usleep(50000);
    /* its turn has not come: not more than output_max is taken */
    assert_in_range(atomic_load(&f->streamed), 1, limits.output_max / STREAM_PIECE + 2 + 3);
    on_loop(f, release, NULL);
    expect(&c, &a, 200, "first");
    usleep(200000);
    /* nobody reads: what the sockets hold, not all 10 MB */
    assert_true(atomic_load(&f->streamed) < 900);
    assert_true(client_answer(&c, &a, true));
    assert_non_null(strstr(a.head, "\r\nTransfer-Encoding: chunked\r\n"));
    assert_null(strstr(a.head, "Content-Length"));
    assert_int_equal(read_chunks(&c), 1000 * STREAM_PIECE);
    assert_true(client_answer(&c, &a, true));
    assert_non_null(strstr(a.head, "\r\nTransfer-Encoding: chunked\r\n"));
    expect(&c, &a, 200, "last");
    assert_int_equal(atomic_load(&f->streams_ended), 2);
    client_close(&c, false);

    c = client_open(f);
    client_say(&c, "GET /stream?50 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_true(client_answer(&c, &a, true));
    assert_null(strstr(a.head, "Transfer-Encoding"));
    assert_non_null(strstr(a.head, "\r\nConnection: close\r\n"));
    while (client_more(&c, &reset))
        ;
    assert_int_equal(c.n, 50 * STREAM_PIECE);
    client_close(&c, false);

    c = client_open(f);
    client_say(&c, "GET /cut HTTP/1.1\r\n" H "\r\n");
    while (client_more(&c, &reset))
        ;
    assert_null(find(c.p, c.n, "\r\n0\r\n"));
    client_close(&c, false);

    c = client_open(f);
    client_say(&c, "GET /stream?1000 HTTP/1.1\r\n" H "\r\n");
    assert_true(client_answer(&c, &a, true));
    usleep(50000);
    client_close(&c, true);
    wait_until(atomic_load(&f->streams_ended) == 4);
    assert_int_equal(atomic_load(&f->streams_gone), 1);
    fixture_stop(f);
    free(a.body);
}

/* ---- clients that go ---- */

static void count_gone(struct fixture *fx, void *arg)
{
    unsigned *n = arg;

    *n = 0;
    for (unsigned i = 0; i < atomic_load(&fx->n_held); i++)
        *n += fx->held[i]->is_gone;
}

static void test_gone(void **state)
{
    struct http_limits limits = test_limits();
    struct client c;
    unsigned gone = 0;

    (void)state;
    fixture_start(f, &limits);
    c = client_open(f);
    for (int i = 0; i < 5; i++)
        client_say(&c, "GET /hold/x HTTP/1.1\r\n" H "\r\n");
    wait_until(atomic_load(&f->n_held) == 5);
    client_close(&c, /* reset= */ true);
    wait_until((on_loop(f, count_gone, &gone), gone == 5));
    on_loop(f, release, NULL);
    assert_int_equal(atomic_load(&f->metrics->value[HS_M_HTTP_IN_FLIGHT]), 0);

    /* the answer comes between the client's going and our noticing it */
    for (int i = 0; i < 50; i++) {
        c = client_open(f);
        client_say(&c, "GET /hold/x HTTP/1.1\r\n" H "\r\nGET /hold/y HTTP/1.1\r\n" H "\r\n");
        wait_until(atomic_load(&f->n_held) == 2);
        client_close(&c, i % 2);
        on_loop(f, release, NULL);
    }
    fixture_stop(f);
}

/* ---- full ---- */

static void test_connections_max(void **state)
{
    struct http_limits limits = test_limits();
    struct answer_read a = {.status = 0};
    struct client c[4];
    bool reset;

    (void)state;
    limits.connections_max = 3;
    fixture_start(f, &limits);
    for (int i = 0; i < 4; i++)
        c[i] = client_open(f);
    assert_false(client_more(&c[3], &reset));
    assert_int_equal(atomic_load(&f->metrics->value[HS_M_HTTP_CONNECTIONS_REFUSED]), 1);
    client_close(&c[3], false);
    client_close(&c[0], false);
    wait_until(atomic_load(&f->connections) == 2);
    c[0] = client_open(f);
    for (int i = 0; i < 3; i++) {
        client_say(&c[i], "GET /hello HTTP/1.1\r\n" H "\r\n");
        expect(&c[i], &a, 200, "hello");
        client_close(&c[i], false);
    }
    fixture_stop(f);
    free(a.body);
}

/* At the limit of descriptors a new client waits in the kernel; it is not dropped. */
static void test_descriptors(void **state)
{
    struct http_limits limits = test_limits();
    struct answer_read a = {.status = 0};
    struct client old;
    struct client fresh[2];
    struct rlimit before;
    struct rlimit low;
    struct pollfd p = {.events = POLLIN};

    (void)state;
    fixture_start(f, &limits);
    old = client_open(f);
    client_say(&old, "GET /hello HTTP/1.1\r\n" H "\r\n");
    expect(&old, &a, 200, "hello");
    fresh[0] = client_socket();
    fresh[1] = client_socket();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = (struct rlimit){(rlim_t)fresh[1].fd, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (int i = 0; i < 2; i++) {
        client_connect(f, &fresh[i]);
        client_say(&fresh[i], "GET /echo/new HTTP/1.1\r\n" H "\r\n");
    }
    p.fd = fresh[0].fd;
    assert_int_equal(poll(&p, 1, 300), 0);
    client_say(&old, "GET /echo/old HTTP/1.1\r\n" H "\r\n");
    expect(&old, &a, 200, "old");
    assert_int_equal(atomic_load(&f->connections), 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < 2; i++) {
        expect(&fresh[i], &a, 200, "new");
        client_close(&fresh[i], false);
    }
    client_close(&old, false);
    fixture_stop(f);
    free(a.body);
}

/* ---- drain ---- */

static void test_drain(void **state)
{
    struct http_limits limits = test_limits();
    struct answer_read a = {.status = 0};
    struct client idle;
    struct client busy;
    hs_us bound = 8 * HS_SECOND;
    hs_us start;

    (void)state;
    fixture_start(f, &limits);
    idle = client_open(f);
    client_say(&idle, "GET /hello HTTP/1.1\r\n" H "\r\n");
    expect(&idle, &a, 200, "hello");
    busy = client_open(f);
    client_say(&busy, "GET /hold/1 HTTP/1.1\r\n" H "\r\nGET /hold/2 HTTP/1.1\r\n" H "\r\n");
    wait_until(atomic_load(&f->n_held) == 2);
    start = hs_now_us();
    on_loop(f, drain, &bound);
    expect_end(&idle);
    assert_false(atomic_load(&f->is_drained));
    on_loop(f, release, NULL);
    expect(&busy, &a, 200, "1");
    assert_null(strstr(a.head, "Connection: close"));
    expect(&busy, &a, 200, "2");
    assert_non_null(strstr(a.head, "\r\nConnection: close\r\n"));
    expect_end(&busy);
    client_close(&busy, false);
    client_close(&idle, false);
    fixture_stop(f);
    assert_true(since(start) < bound);
    free(a.body);
}

static void test_drain_bound(void **state)
{
    struct http_limits limits = test_limits();
    struct client c;
    hs_us bound = 200 * HS_MS;
    bool reset = false;

    (void)state;
    fixture_start(f, &limits);
    c = client_open(f);
    client_say(&c, "GET /hold/1 HTTP/1.1\r\n" H "\r\nGET /stream?1000 HTTP/1.1\r\n" H "\r\n");
    wait_until(atomic_load(&f->n_held) == 1);
    on_loop(f, drain, &bound);
    assert_false(client_more(&c, &reset));
    assert_true(reset);
    client_close(&c, false);
    /* The server is freed with one answer still owed: giving it later is what frees the rest. */
    pthread_join(f->thread, NULL);
    assert_true(atomic_load(&f->is_drained));
    assert_true(f->held[0]->is_gone);
    reply_text(f->held[0], 200, HS_STR("too late"));
    assert_int_equal(atomic_load(&f->streams_gone), 1);
}

/* A client that has connected but not yet spoken when the drain begins is heard. */
static void test_drain_new(void **state)
{
    struct http_limits limits = test_limits();
    struct answer_read a = {.status = 0};
    struct client c;
    hs_us bound = 8 * HS_SECOND;

    (void)state;
    fixture_start(f, &limits);
    c = client_open(f);
    on_loop(f, drain, &bound);
    usleep(40000);
    client_say(&c, "GET /hello HTTP/1.1\r\n" H "\r\n");
    expect(&c, &a, 200, "hello");
    assert_non_null(strstr(a.head, "\r\nConnection: close\r\n"));
    expect_end(&c);
    client_close(&c, false);
    fixture_stop(f);
    free(a.body);
}

/* ---- memory ---- */

static void test_idle_holds_no_buffer(void **state)
{
    struct http_limits limits = test_limits();
    struct answer_read a = {.status = 0};
    struct client c[20];

    (void)state;
    assert_true(sizeof(struct http_conn) <= 360);
    fixture_start(f, &limits);
    for (size_t i = 0; i < HS_LEN(c); i++) {
        c[i] = client_open(f);
        client_say(&c[i], "GET /big?70000 HTTP/1.1\r\n" H "\r\nGET /he");
        client_say(&c[i], "llo HTTP/1.1\r\n" H "\r\n");
        expect(&c[i], &a, 200, NULL);
        expect(&c[i], &a, 200, "hello");
    }
    wait_until(hs_list_is_empty(&f->server->states[HTTP_WRITING]));
    on_loop(f, drain, &(hs_us){5 * HS_SECOND});
    for (size_t i = 0; i < HS_LEN(c); i++) {
        expect_end(&c[i]);
        client_close(&c[i], false);
    }
    fixture_stop(f);
    free(a.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_write_timeout),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_late_and_large),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_stream_before_big),
        cmocka_unit_test(test_connections_max),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_drain_bound),
        cmocka_unit_test(test_drain_new),
        cmocka_unit_test(test_idle_holds_no_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
