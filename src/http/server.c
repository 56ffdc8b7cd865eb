/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's life, its time limits, its drain, its recycled memory.
 *
 * Time limits: a connection is in the list of its state, and since all connections of a list have
 * the same limit and enter at the end, each list is ordered by time and only heads are looked at:
 * O(1) to move, nothing to sort. One timer fires when the earliest head is due, at most every TICK.
 *
 * The hook runs once a turn, before the loop waits: answers that came from elsewhere in this turn
 * leave, connections that were stopped by a bound read on, log lines go out.
 */
#include "core/audit.h"
#include "core/log.h"
#include "core/mem.h"
#include "http/server_int.h"

#define TICK (200 * HS_MS)
#define LINGER (2 * HS_SECOND)
#define WATCH (500 * HS_MS)
#define DRAIN_TICK (20 * HS_MS)
/* In a drain, how long a client that has just connected may take to send its request. */
#define DRAIN_NEW (200 * HS_MS)

enum { SCRATCH_KEPT = 1 << 20, ERROR_TEXT_MAX = HTTP_SMALL_ANSWER };

/* ---- buffers ---- */

void http_buf_take(struct http_server *server, struct hs_buf *buf, size_t max)
{
    hs_buf_init(buf, max);
    if (server->n_bufs) {
        *buf = server->bufs[--server->n_bufs];
        buf->max = max;
    }
}

void http_buf_give(struct http_server *server, struct hs_buf *buf)
{
    hs_buf_clear(buf);
    if (!buf->p)
        return;
    if (buf->cap <= HTTP_BUF_KEPT_BYTES && server->n_bufs < HTTP_BUFS_KEPT && !server->is_freed) {
        server->bufs[server->n_bufs++] = *buf;
        hs_buf_init(buf, buf->max);
        return;
    }
    hs_buf_fini(buf);
}

/* ---- time limits ---- */

static hs_us limit_of(const struct http_server *server, enum http_state state)
{
    const struct http_limits *limits = &server->setup.limits;

    switch (state) {
    case HTTP_IDLE:
        return limits->idle_timeout;
    case HTTP_HEADING:
        return limits->header_timeout;
    case HTTP_BODY:
        return limits->body_timeout;
    case HTTP_WRITING:
        return limits->write_timeout;
    case HTTP_LINGERING:
        return LINGER;
    case HTTP_WATCHED:
        return WATCH;
    case HTTP_BUSY:
    case HTTP_STATES:
        break;
    }
    return 0;
}

static void watch(struct http_server *server, hs_us due)
{
    hs_us delay = due > server->now + TICK ? due - server->now : TICK;

    if (server->timeouts_due && server->timeouts_due <= server->now + delay)
        return;
    server->timeouts_due = server->now + delay;
    net_timer_start(server->timeouts, delay, /* repeat= */ 0);
}

void http_conn_enter(struct http_conn *conn, enum http_state state)
{
    struct http_server *server = conn->server;

    if (state == conn->state && !conn->is_fresh)
        return;
    conn->is_fresh = false;
    conn->state = state;
    conn->since = server->now;
    hs_list_remove(&conn->node);
    hs_list_append(&server->states[state], &conn->node);
    if (state != HTTP_BUSY)
        watch(server, server->now + limit_of(server, state));
}

static void on_timeouts(void *arg)
{
    struct http_server *server = arg;

    server->now = hs_now_us();
    server->timeouts_due = 0;
    for (enum http_state state = HTTP_IDLE; state < HTTP_BUSY; state++) {
        hs_us limit = limit_of(server, state);
        struct hs_list *node;

        while ((node = hs_list_first(&server->states[state]))) {
            struct http_conn *conn = HS_CONTAINER(node, struct http_conn, node);

            if (conn->since + limit > server->now) {
                watch(server, conn->since + limit);
                break;
            }
            hs_list_remove(node);
            http_conn_timeout(conn);
        }
    }
}

/* ---- once a turn ---- */

static void on_turn(struct net_hook *hook)
{
    struct http_server *server = HS_CONTAINER(hook, struct http_server, hook);
    struct hs_list todo;

    if (!hs_list_is_empty(&server->resumes) || !hs_list_is_empty(&server->dirty))
        server->now = hs_now_us();
    hs_list_init(&todo);
    hs_list_append_all(&todo, &server->resumes);
    while (!hs_list_is_empty(&todo))
        http_conn_read_on(HS_CONTAINER(todo.next, struct http_conn, resume));
    hs_list_append_all(&todo, &server->dirty);
    while (!hs_list_is_empty(&todo))
        http_conn_settle(HS_CONTAINER(todo.next, struct http_conn, dirty));
    if (server->scratch.cap > SCRATCH_KEPT)
        hs_buf_fini(&server->scratch);
    hs_log_flush();
    hs_audit_flush();
}

/* ---- drain ---- */

static void close_all(struct hs_list *list, bool reset)
{
    struct hs_list *node;

    while ((node = hs_list_pop(list)))
        net_conn_close(HS_CONTAINER(node, struct http_conn, node)->net, reset);
}

static void close_idle(struct http_server *server)
{
    struct hs_list waiting;
    struct hs_list *node;

    hs_list_init(&waiting);
    while ((node = hs_list_pop(&server->states[HTTP_IDLE]))) {
        struct http_conn *conn = HS_CONTAINER(node, struct http_conn, node);

        if (conn->is_new && server->now < conn->since + DRAIN_NEW)
            hs_list_append(&waiting, node);
        else
            net_conn_close(conn->net, /* reset= */ false);
    }
    hs_list_append_all(&server->states[HTTP_IDLE], &waiting);
}

static void on_drain(void *arg)
{
    struct http_server *server = arg;

    server->now = hs_now_us();
    if (server->now >= server->drain_until) {
        for (enum http_state state = HTTP_IDLE; state < HTTP_STATES; state++)
            close_all(&server->states[state], /* reset= */ true);
    } else {
        close_idle(server);
    }
    if (net_acceptor_count(server->acceptor) || server->is_drained)
        return;
    server->is_drained = true;
    net_timer_stop(server->drainer);
    server->drain_done(server->drain_arg);
}

void http_server_drain(struct http_server *server, hs_us bound, void (*done)(void *arg), void *arg)
{
    HS_BUG_ON(server->is_draining);
    server->now = hs_now_us();
    server->is_draining = true;
    server->drain_until = server->now + bound;
    server->drain_done = done;
    server->drain_arg = arg;
    net_acceptor_stop(server->acceptor);
    /* What the kernel has received already is read before the first look. */
    net_timer_start(server->drainer, bound < DRAIN_TICK ? 0 : DRAIN_TICK, DRAIN_TICK);
}

/* ---- life ---- */

void http_server_release(struct http_server *server)
{
    struct hs_list *node;

    while ((node = hs_list_pop(&server->calls_free))) {
        struct http_call *call = HS_CONTAINER(node, struct http_call, node);

        hs_arena_fini(&call->arena);
        hs_free(call);
    }
    while (server->n_bufs)
        hs_buf_fini(&server->bufs[--server->n_bufs]);
    hs_buf_fini(&server->scratch);
    hs_buf_fini(&server->error_text);
    hs_free(server->headers);
    hs_free(server->entries);
    hs_free(server);
}

void http_server_free(struct http_server *server)
{
    if (!server)
        return;
    net_acceptor_free(server->acceptor);
    if (server->hook.run)
        net_loop_unhook(&server->hook);
    net_timer_free(server->timeouts);
    net_timer_free(server->drainer);
    server->is_freed = true;
    if (server->n_calls == 0)
        http_server_release(server);
}

static hs_status init_parts(struct http_server *server, struct hs_err *reterr)
{
    const struct http_server_setup *setup = &server->setup;
    struct net_acceptor_setup acceptor = {
        .loop = setup->loop,
        .metrics = setup->metrics,
        .ops = &http_conn_ops,
        .ctx = server,
        .connections = setup->connections,
        .connections_max = setup->limits.connections_max,
    };
    hs_status s = net_timer_new(setup->loop, on_timeouts, server, &server->timeouts, reterr);

    if (s == HS_OK)
        s = net_timer_new(setup->loop, on_drain, server, &server->drainer, reterr);
    if (s == HS_OK)
        s = net_acceptor_new(&acceptor, &server->acceptor, reterr);
    if (s == HS_OK)
        s = http_router_entries(setup->routes, setup->n_routes, &server->entries, reterr);
    if (s != HS_OK)
        return s;
    server->headers = hs_calloc(setup->limits.headers_count_max, sizeof(*server->headers));
    return server->headers ? HS_OK : hs_fail_memory(reterr);
}

static void init_limits(struct http_server *server)
{
    const struct http_limits *limits = &server->setup.limits;

    server->h1 = (struct h1_limits){
        .request_line_max = limits->request_line_max,
        .headers_max = limits->headers_max,
        .headers_count_max = limits->headers_count_max,
    };
    /* Below output_max one more answer is always taken, with its head and the handler's own lines.
     */
    server->out_max = limits->output_max + limits->answer_max + HTTP_BUF_KEPT_BYTES;
    hs_buf_init(&server->scratch, limits->answer_max);
    hs_buf_init(&server->error_text, ERROR_TEXT_MAX);
}

hs_status http_server_new(const struct http_server_setup *setup, struct http_server **ret_server,
                          struct hs_err *reterr)
{
    struct http_server *server = hs_calloc(1, sizeof(*server));
    hs_status s;

    if (!server)
        return hs_fail_memory(reterr);
    server->setup = *setup;
    for (int i = 0; i < HTTP_STATES; i++)
        hs_list_init(&server->states[i]);
    hs_list_init(&server->dirty);
    hs_list_init(&server->resumes);
    hs_list_init(&server->calls_free);
    server->rng.state = hs_rng_seed();
    init_limits(server);
    s = init_parts(server, reterr);
    if (s != HS_OK) {
        http_server_free(server);
        return s;
    }
    server->hook.run = on_turn;
    net_loop_hook(setup->loop, &server->hook);
    *ret_server = server;
    return HS_OK;
}

/* What is under way may grow to the larger of its own bound and the new one. */
static void raise_bounds(struct http_server *server)
{
    size_t in_max = http_conn_in_max(server);

    for (enum http_state state = HTTP_IDLE; state < HTTP_STATES; state++) {
        struct hs_list *list = &server->states[state];

        for (struct hs_list *node = list->next; node != list; node = node->next) {
            struct http_conn *conn = HS_CONTAINER(node, struct http_conn, node);

            conn->in.max = conn->in.max > in_max ? conn->in.max : in_max;
            conn->out.max = conn->out.max > server->out_max ? conn->out.max : server->out_max;
        }
    }
}

hs_status http_server_reload(struct http_server *server, const struct http_limits *limits,
                             const struct http_route *routes, size_t n_routes,
                             struct hs_err *reterr)
{
    struct http_header *headers = hs_calloc(limits->headers_count_max, sizeof(*headers));
    struct http_entry *entries = NULL;
    hs_status s = headers ? http_router_entries(routes, n_routes, &entries, reterr)
                          : hs_fail_memory(reterr);

    if (s != HS_OK) {
        hs_free(headers);
        return s;
    }
    hs_free(server->headers);
    hs_free(server->entries);
    server->headers = headers;
    server->entries = entries;
    server->setup.routes = routes;
    server->setup.n_routes = n_routes;
    server->setup.limits = *limits;
    hs_buf_fini(&server->scratch);
    hs_buf_fini(&server->error_text);
    init_limits(server);
    raise_bounds(server);
    net_acceptor_limit(server->acceptor, limits->connections_max);
    /* A shorter limit may be due before the timer that runs. */
    on_timeouts(server);
    return HS_OK;
}

hs_status http_server_listen(struct http_server *server, int fd, struct hs_err *reterr)
{
    return net_acceptor_listen(server->acceptor, fd, reterr);
}
