/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server without memory: each allocation of a scenario is made to fail in turn, on the server's
 * thread, while a client goes through requests of every kind. What the client may see is an answer,
 * an error or the end of its connection. The server must stay, serve the next client, and leak
 * nothing.
 */
#include "fault.h"
#include "fixture.h"

#define H "Host: a\r\n"

static struct fixture fixture;
static struct fixture *const f = &fixture;

struct arming {
    uint64_t n;
    bool only;
    uint64_t count;
};

static void arm(struct fixture *fx, void *arg)
{
    struct arming *a = arg;

    /* Nothing may come from the pools, or the second round would allocate nothing. */
    while (fx->server->n_bufs)
        hs_buf_fini(&fx->server->bufs[--fx->server->n_bufs]);
    while (fx->server->n_calls_free) {
        struct http_call *call = HS_CONTAINER(hs_list_pop(&fx->server->calls_free),
                                              struct http_call, node);

        hs_arena_fini(&call->arena);
        hs_free(call);
        fx->server->n_calls_free--;
    }
    hs_buf_fini(&fx->server->scratch);
    hs_buf_fini(&fx->server->error_text);
    if (a->only)
        hs_mem_fail_only(a->n);
    else
        hs_mem_fail_at(a->n);
}

static void disarm(struct fixture *fx, void *arg)
{
    (void)fx;
    ((struct arming *)arg)->count = hs_mem_count();
    hs_mem_fail_at(0);
}

/* All that comes until the server ends the connection or is silent for a moment. */
static void read_all(struct client *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    bool reset;

    while (poll(&p, 1, 30) > 0 && client_more(c, &reset))
        ;
}

static void release_held(void)
{
    if (atomic_load(&f->n_held))
        on_loop(f, release, NULL);
}

static void talk(void)
{
    static const char *const says[] = {
        "POST /echo/a HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhe",
        "llo"
        "PUT /echo/b HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "GET /big?200000 HTTP/1.1\r\n" H "\r\nGET /hold/1 HTTP/1.1\r\n" H
        "\r\nGET /stream?30 HTTP/1.1\r\n" H "\r\nGET /he",
        "llo HTTP/1.1\r\n" H "\r\nGET /nothing HTTP/1.1\r\n" H "\r\n",
        "POST /sub HTTP/1.1\r\n" H "Content-Length: 68\r\n\r\n"
        "GET /hello\nGET /stream?3 a=b\nGET /hold/2\nGET /nothing\nGET /big?3000\n",
    };
    struct client c = client_open(f);

    for (size_t i = 0; i < HS_LEN(says); i++) {
        client_say(&c, says[i]);
        usleep(1500);
    }
    release_held();
    read_all(&c);
    client_close(&c, false);
    c = client_open(f);
    client_say(&c, "GET /hello\r\n\r\n");
    read_all(&c);
    client_close(&c, false);
    /* A held request keeps its connection, and may come only now. */
    wait_until((release_held(), atomic_load(&f->connections) == 0));
}

static uint64_t go_through(bool only)
{
    uint64_t n;

    for (n = 1; n < 200; n++) {
        struct arming a = {.n = n, .only = only};
        struct answer_read read = {.status = 0};
        struct client c;

        on_loop(f, arm, &a);
        talk();
        on_loop(f, disarm, &a);
        c = client_open(f);
        client_say(&c, "GET /hello HTTP/1.1\r\n" H "\r\n");
        expect(&c, &read, 200, "hello");
        client_close(&c, false);
        free(read.body);
        wait_until(atomic_load(&f->connections) == 0);
        if (a.count < n)
            break;
    }
    return n - 1;
}

static void test_failing_allocations(void **state)
{
    struct http_limits limits = test_limits();

    (void)state;
    fixture_start(f, &limits);
    assert_in_range(go_through(/* only= */ false), 1, 190);
    assert_in_range(go_through(/* only= */ true), 15, 190);
    fixture_stop(f);
}

static const struct http_handler no_handler = {.name = "none", .handle = handle_hello};

static bool start_and_stop(void *arg)
{
    static atomic_size_t connections;
    static const struct http_route one = {"/x", HTTP_ROUTE_EXACT, HTTP_GET,
                                          true, &no_handler,      NULL};
    struct http_server_setup setup = {.metrics = arg,
                                      .limits = test_limits(),
                                      .routes = &one,
                                      .n_routes = 1,
                                      .connections = &connections};
    struct http_server *server = NULL;
    struct hs_err err;
    int fd;
    bool ok;

    if (net_loop_new(&setup.loop, NULL, &err) != HS_OK)
        return false;
    ok = http_server_new(&setup, &server, &err) == HS_OK;
    if (ok) {
        assert_int_equal(net_listen(HS_STR("127.0.0.1:0"), 1, &fd, &err), HS_OK);
        ok = http_server_listen(server, fd, &err) == HS_OK;
    }
    if (!ok)
        assert_int_equal(err.status, HS_E_MEMORY);
    http_server_free(server);
    net_loop_free(setup.loop);
    return ok;
}

static void test_failing_start(void **state)
{
    (void)state;
    (void)hs_metric_route(HS_STR("/x"));
    fault_each(start_and_stop, hs_metrics_new());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(test_failing_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
