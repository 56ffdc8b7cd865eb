/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that do not take their answers, or have gone: what they cost the others is bounded. */
#include "fixture.h"

#define H "Host: a\r\n"

enum { LARGE = 300000 };

static struct fixture fixture;
static struct fixture *const f = &fixture;

static void read_waiting(struct fixture *fx, void *arg)
{
    *(size_t *)arg = fx->server->waiting;
}

static size_t waiting(void)
{
    size_t n;

    on_loop(f, read_waiting, &n);
    return n;
}

/* Answers all held requests but the first `*arg`, the latest first, with LARGE bytes each. */
static void answer_late(struct fixture *fx, void *arg)
{
    static char body[LARGE];
    unsigned keep = *(unsigned *)arg;

    memset(body, 'L', sizeof(body));
    for (unsigned i = atomic_load(&fx->n_held); i-- > keep;)
        reply_text(fx->held[i], 200, hs_strn(body, sizeof(body)));
    atomic_store(&fx->n_held, keep);
}

static void say_holds(struct client *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        client_say(c, "GET /hold/x HTTP/1.1\r\n" H "\r\n");
}

/* ---- server.output.total ---- */

static void test_total_is_kept(void **state)
{
    struct http_limits limits = test_limits();
    struct answer_read a = {.status = 0};
    unsigned good = 0;
    struct client c;
    size_t most;

    (void)state;
    limits.output_total = 4 << 20;
    fixture_start(f, &limits);
    c = client_open(f);
    say_holds(&c, 30);
    wait_until(atomic_load(&f->n_held) == 30);
    on_loop(f, answer_late, &(unsigned){1});
    most = waiting();
    assert_in_range(most, limits.output_total - LARGE, limits.output_total + 16 * 1024);
    on_loop(f, release, NULL);
    expect(&c, &a, 200, "x");
    for (unsigned i = 1; i < 30; i++) {
        assert_true(client_answer(&c, &a, false));
        good += a.status == 200 && a.n == LARGE;
        if (a.status == 200)
            continue;
        assert_int_equal(a.status, 503);
        assert_non_null(strstr(a.head, "\r\nRetry-After: "));
        assert_null(strstr(a.head, "Connection: close"));
        assert_non_null(strstr(a.body, "\"limit_reached\""));
        assert_non_null(strstr(a.body, "server.output.total"));
    }
    assert_int_equal(good, most / LARGE);
    wait_until(waiting() == 0);
    /* once they were taken there is room again */
    client_say(&c, "GET /big?4000000 HTTP/1.1\r\n" H "\r\n");
    expect(&c, &a, 200, NULL);
    assert_int_equal(a.n, 4000000);
    client_close(&c, false);
    fixture_stop(f);
    free(a.body);
}

/* Above it, who has answers waiting is not read from; others are, and get what is short. */
static void test_total_stops_reading(void **state)
{
    struct http_limits limits = test_limits();
    struct answer_read a = {.status = 0};
    struct client full;
    struct client other;

    (void)state;
    limits.output_total = 1;
    fixture_start(f, &limits);
    full = client_open(f);
    client_say(&full, "GET /hold/a HTTP/1.1\r\n" H "\r\nGET /echo/b HTTP/1.1\r\n" H
                      "\r\nGET /hello HTTP/1.1\r\n" H "\r\n");
    wait_until(waiting() > 0);
    other = client_open(f);
    for (int i = 0; i < 3; i++) {
        client_say(&other, "GET /echo/c HTTP/1.1\r\n" H "\r\nGET /echo/d HTTP/1.1\r\n" H "\r\n");
        expect(&other, &a, 200, "c");
        expect(&other, &a, 200, "d");
    }
    client_say(&other, "GET /big?20000 HTTP/1.1\r\n" H "\r\nHEAD /big?20000 HTTP/1.1\r\n" H "\r\n");
    expect(&other, &a, 503, NULL);
    assert_true(client_answer(&other, &a, /* is_head= */ true));
    assert_int_equal(a.status, 200);
    assert_int_equal(atomic_load(&f->handled), 2);
    on_loop(f, release, NULL);
    expect(&full, &a, 200, "a");
    expect(&full, &a, 200, "b");
    expect(&full, &a, 200, "hello");
    client_close(&full, false);
    client_close(&other, false);
    fixture_stop(f);
    free(a.body);
}

/* A stream whose turn has not come waits as well, and goes on when it has. */
static void test_total_holds_streams(void **state)
{
    struct http_limits limits = test_limits();
    struct answer_read a = {.status = 0};
    struct client c;
    bool reset;

    (void)state;
    limits.output_total = 1;
    limits.output_max = 1 << 20;
    fixture_start(f, &limits);
    c = client_open(f);
    client_say(&c, "GET /hold/a HTTP/1.1\r\n" H "\r\nGET /stream?50 HTTP/1.1\r\n" H
                   "Connection: close\r\n\r\n");
    wait_until(atomic_load(&f->streamed));
    assert_in_range(waiting(), STREAM_PIECE, 2 * STREAM_PIECE);
    assert_int_equal(atomic_load(&f->streamed), 1);
    on_loop(f, release, NULL);
    expect(&c, &a, 200, "a");
    while (client_more(&c, &reset))
        ;
    assert_true(c.n > 50 * STREAM_PIECE);
    assert_int_equal(atomic_load(&f->streams_ended), 1);
    client_close(&c, false);
    fixture_stop(f);
    free(a.body);
}

/* Whatever way bytes take, the account is right; the fixture looks at its end as well. */
static void test_total_is_exact(void **state)
{
    struct http_limits limits = test_limits();
    struct answer_read a = {.status = 0};
    struct client c[4];
    size_t held;

    (void)state;
    limits.write_timeout = 300 * HS_MS;
    fixture_start(f, &limits);
    /* held ones, their client resets */
    c[0] = client_open(f);
    say_holds(&c[0], 3);
    wait_until(atomic_load(&f->n_held) == 3);
    on_loop(f, answer_late, &(unsigned){1});
    held = waiting();
    assert_in_range(held, 2 * LARGE, 2 * LARGE + 2048);
    client_close(&c[0], /* reset= */ true);
    wait_until(waiting() == 0);
    on_loop(f, release, NULL);
    assert_int_equal(waiting(), 0);
    /* unsent ones, their client resets, ends, or takes nothing until it is closed */
    for (int i = 1; i < 4; i++) {
        c[i] = client_open(f);
        for (int n = 0; n < 8; n++)
            client_say(&c[i], "GET /big?4000000 HTTP/1.1\r\n" H "\r\n");
        wait_until(waiting() > 100000);
        if (i < 3)
            client_close(&c[i], i == 1);
        wait_until(waiting() == 0);
    }
    client_close(&c[3], true);
    /* unsent ones that are taken at last; the connection stays */
    c[0] = client_socket();
    assert_int_equal(setsockopt(c[0].fd, SOL_SOCKET, SO_RCVBUF, &(int){65536}, sizeof(int)), 0);
    client_connect(f, &c[0]);
    client_say(&c[0], "GET /big?4000000 HTTP/1.1\r\n" H "\r\n");
    wait_until(waiting() > 100000);
    expect(&c[0], &a, 200, NULL);
    wait_until(waiting() == 0);
    client_close(&c[0], false);
    free(a.body);
    /* behind an answer that is still owed */
    c[0] = client_open(f);
    client_say(&c[0], "GET /hold/x HTTP/1.1\r\n" H "\r\nGET /hold/y HTTP/1.1\r\n" H
                      "\r\nGET /stream?9 HTTP/1.1\r\n" H "\r\n");
    wait_until(atomic_load(&f->n_held) == 2);
    on_loop(f, answer_late, &(unsigned){1});
    assert_in_range(waiting(), LARGE + STREAM_PIECE, 2 * LARGE);
    /* and at the end of a drain */
    on_loop(f, drain, &(hs_us){100 * HS_MS});
    pthread_join(f->thread, NULL);
    assert_int_equal(f->waiting_at_end, 0);
    reply_text(f->held[0], 200, HS_STR("too late"));
    client_close(&c[0], false);
}

/* ---- server.write_timeout ---- */

static struct client open_narrow(void)
{
    struct client c = client_socket();

    assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &(int){2048}, sizeof(int)), 0);
    client_connect(f, &c);
    return c;
}

static void test_trickle_is_closed(void **state)
{
    struct http_limits limits = test_limits();
    struct client c;
    int i;

    (void)state;
    limits.write_timeout = 400 * HS_MS;
    limits.output_max = 1 << 20;
    fixture_start(f, &limits);
    c = open_narrow();
    for (i = 0; i < 8; i++)
        client_say(&c, "GET /big?4000000 HTTP/1.1\r\n" H "\r\n");
    wait_until(waiting() > 0);
    for (i = 0; i < 100 && atomic_load(&f->connections); i++) {
        char some[3000];

        usleep(40000);
        (void)recv(c.fd, some, sizeof(some), MSG_DONTWAIT);
    }
    assert_in_range(i, 8, 60);
    client_close(&c, true);
    fixture_stop(f);
}

/* Asking on is no progress. */
static void test_asking_is_no_taking(void **state)
{
    struct http_limits limits = test_limits();
    struct client c;
    int i;

    (void)state;
    limits.write_timeout = 400 * HS_MS;
    limits.output_max = 4 << 20;
    limits.pipeline_max = 1000;
    fixture_start(f, &limits);
    c = open_narrow();
    client_say(&c, "GET /big?4000000 HTTP/1.1\r\n" H "\r\n");
    wait_until(waiting() > 0);
    for (i = 0; i < 100 && atomic_load(&f->connections); i++) {
        usleep(40000);
        client_say(&c, "GET /hello HTTP/1.1\r\n" H "\r\n");
    }
    assert_in_range(i, 8, 60);
    client_close(&c, true);
    fixture_stop(f);
}

/* ---- clients that have gone, while nothing is read ---- */

static void count_gone(struct fixture *fx, void *arg)
{
    unsigned *n = arg;

    *n = 0;
    for (unsigned i = 0; i < atomic_load(&fx->n_held); i++)
        *n += fx->held[i]->is_gone;
}

static void test_gone_unread(void **state)
{
    struct http_limits limits = test_limits();
    struct answer_read a = {.status = 0};
    struct client c;
    unsigned gone = 0;

    (void)state;
    limits.pipeline_max = 4;
    fixture_start(f, &limits);
    c = client_open(f);
    say_holds(&c, 8); /* four are not read */
    wait_until(atomic_load(&f->n_held) == 4);
    usleep(700000); /* it is looked at, and stays */
    on_loop(f, count_gone, &gone);
    assert_int_equal(gone, 0);
    client_close(&c, /* reset= */ true);
    wait_until((on_loop(f, count_gone, &gone), gone == 4));
    on_loop(f, release, NULL);

    c = client_open(f); /* will send nothing more, and then goes */
    say_holds(&c, 1);
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    wait_until(atomic_load(&f->n_held) == 1);
    usleep(700000);
    on_loop(f, count_gone, &gone);
    assert_int_equal(gone, 0);
    client_close(&c, /* reset= */ true);
    wait_until((on_loop(f, count_gone, &gone), gone == 1));
    on_loop(f, release, NULL);

    c = client_open(f); /* will send nothing more, and waits */
    say_holds(&c, 1);
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    wait_until(atomic_load(&f->n_held) == 1);
    usleep(700000);
    on_loop(f, release, NULL);
    expect(&c, &a, 200, "x");
    client_close(&c, false);
    assert_int_equal(atomic_load(&f->metrics->value[HS_M_HTTP_TIMEOUTS]), 0);
    fixture_stop(f);
    free(a.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_total_is_kept),       cmocka_unit_test(test_total_stops_reading),
        cmocka_unit_test(test_total_holds_streams), cmocka_unit_test(test_total_is_exact),
        cmocka_unit_test(test_trickle_is_closed),   cmocka_unit_test(test_asking_is_no_taking),
        cmocka_unit_test(test_gone_unread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
