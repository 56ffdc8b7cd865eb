/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: bytes become requests, and after each event settle() decides once what is due.
 *
 *     on_data -> consume -> read_head / read_body -> dispatch -> router ... http_reply -> conn->out
 *                                                                                |
 *     on_drained, answers given later (touch -> hook) ------------------------> settle -> one write
 *
 * The rule: reading goes on only while what it causes is bounded: requests under way
 * (pipeline_max), answer bytes that the client has not taken (output_max; while those of all
 * connections pass output_total: any), requests in one turn.
 * When a bound is met the bytes that are here stay in conn->in and the socket is left alone
 * (is_stalled); settle() goes on once there is room, from the hook, so that neighbours have their
 * turn between.
 *
 * A connection ends after its last answer by FIN first, then by dropping what still comes until the
 * client's FIN (RFC 9112, 9.6): closing at once would send RST and could destroy the answer on its
 * way.
 */
#include "http/server_int.h"

/* Below this a partial head is read again from its start; above, only with a new line in it. */
enum { REREAD_BYTES = 16384 };

static struct http_conn *conn_of(struct net_conn *net)
{
    struct http_conn *conn = net_conn_data(net);

    HS_OBJ(conn, HTTP_CONN_MAGIC);
    return conn;
}

/* ---- requests ---- */

static void enqueue(struct http_conn *conn, struct http_call *call)
{
    conn->reading = NULL;
    conn->owes_continue = false;
    conn->is_fresh = true;
    hs_list_append(&conn->calls, &call->node);
    conn->n_calls++;
    call->is_queued = true;
    hs_metric_add(call->req.metrics, HS_M_HTTP_IN_FLIGHT, 1);
    if (!call->keep_alive)
        conn->no_more = true;
}

static void dispatch(struct http_conn *conn, struct http_call *call)
{
    call->req.body = hs_buf_str(&call->body);
    enqueue(conn, call);
    http_router_run(call);
}

static void answer_error(struct http_conn *conn, struct http_call *call, const struct hs_err *err)
{
    call->keep_alive = false;
    enqueue(conn, call);
    http_reply_error(&call->req, err);
}

void http_conn_refuse(struct http_conn *conn, hs_status error, const char *why)
{
    struct http_call *call = conn->reading;
    struct hs_err err;

    if (error != HS_E_MEMORY)
        hs_metric_add(conn->server->setup.metrics, HS_M_HTTP_BAD_REQUESTS, 1);
    if (!call) {
        call = http_call_new(conn->server, conn, conn->server->now);
        if (!call) {
            net_conn_close(conn->net, /* reset= */ true);
            return;
        }
        http_call_fill_refused(call);
    }
    hs_fail(&err, error, error == HS_E_MEMORY ? "out of memory" : "the request was not accepted");
    hs_err_why(&err, "%s", why);
    answer_error(conn, call, &err);
}

/* ---- bodies ---- */

static bool add_body(struct http_conn *conn, struct http_call *call, struct hs_str data)
{
    /* A body that has begun keeps its bound, whatever a reload says. */
    size_t max = call->body.p ? call->body.max : conn->server->setup.limits.body_max;

    conn->owes_continue = false;
    if (call->body.n + data.n > max) {
        http_conn_refuse(conn, HS_E_BODY_TOO_LARGE, "the body is longer than server.body.max");
        return false;
    }
    if (!call->body.p)
        http_buf_take(conn->server, &call->body, max);
    hs_buf_add(&call->body, data);
    if (!hs_buf_failed(&call->body))
        return true;
    http_conn_refuse(conn, HS_E_MEMORY, "");
    return false;
}

static bool read_chunks(struct http_conn *conn, struct hs_str *in)
{
    struct http_call *call = conn->reading;
    struct hs_str data;

    for (;;) {
        switch (h1_chunks_read(&call->chunks, in, &data)) {
        case H1_CHUNKS_MORE:
            return true;
        case H1_CHUNKS_BAD:
            http_conn_refuse(conn, call->chunks.error, call->chunks.why);
            return false;
        case H1_CHUNKS_END:
            dispatch(conn, call);
            return true;
        case H1_CHUNKS_DATA:
            if (!add_body(conn, call, data))
                return false;
            break;
        }
    }
}

static bool read_body(struct http_conn *conn, struct hs_str *in)
{
    struct http_call *call = conn->reading;
    struct hs_str data;

    if (call->is_chunked_in)
        return read_chunks(conn, in);
    data = hs_strn(in->p, in->n < call->body_left ? in->n : (size_t)call->body_left);
    *in = hs_strn(in->p + data.n, in->n - data.n);
    if (!add_body(conn, call, data))
        return false;
    call->body_left -= data.n;
    if (call->body_left == 0)
        dispatch(conn, call);
    return true;
}

/* Would the router give this request to a handler? If not, its body need not be sent. */
static bool is_wanted(const struct http_call *call)
{
    const struct http_entry *e = http_router_find(call->server, call->req.path);

    return e && http_router_allows(e, call->req.method);
}

/* ---- heads ---- */

/* A head is whole; `rest` is what follows it in the input. false: stop reading. */
static bool start(struct http_conn *conn, const struct h1_head *head, struct hs_str bytes,
                  size_t rest)
{
    struct http_server *server = conn->server;
    struct http_call *call = http_call_new(
        server, conn, conn->state == HTTP_HEADING && !conn->is_fresh ? conn->since : server->now);

    conn->is_fresh = true;
    conn->turn_requests++;
    conn->head_seen = 0;
    if (!call) {
        net_conn_close(conn->net, /* reset= */ true);
        return false;
    }
    conn->reading = call;
    if (!http_call_fill(call, head, bytes)) {
        http_conn_refuse(conn, HS_E_MEMORY, "");
        return false;
    }
    if (head->content_length > server->setup.limits.body_max) {
        http_conn_refuse(conn, HS_E_BODY_TOO_LARGE, "the body is longer than server.body.max");
        return false;
    }
    if (head->content_length == 0 && !head->is_chunked) {
        dispatch(conn, call);
        return true;
    }
    if (head->is_chunked)
        h1_chunks_init(&call->chunks, HTTP_CHUNK_EXTRA_MAX);
    if (head->expects_continue && !is_wanted(call)) {
        call->keep_alive = false;
        dispatch(conn, call);
        return false;
    }
    conn->owes_continue = head->expects_continue && rest == 0;
    return true;
}

/* Is there any point in reading the head again? */
static bool is_worth_reading(const struct http_conn *conn, struct hs_str in)
{
    const struct h1_limits *max = &conn->server->h1;

    return in.n <= REREAD_BYTES || in.n >= max->request_line_max + max->headers_max ||
           memchr(in.p + conn->head_seen, '\n', in.n - conn->head_seen) != NULL;
}

static bool read_head(struct http_conn *conn, struct hs_str *in)
{
    struct h1_head head = {.headers = conn->server->headers};
    struct hs_str bytes;
    int64_t n;

    if (!is_worth_reading(conn, *in))
        return false;
    n = h1_read_head(*in, &conn->server->h1, &head);
    if (n == H1_PARTIAL) {
        conn->head_seen = in->n;
        return false;
    }
    if (n == H1_BAD) {
        http_conn_refuse(conn, head.error, head.why);
        return false;
    }
    bytes = hs_strn(in->p, (size_t)n);
    *in = hs_strn(in->p + n, in->n - (size_t)n);
    return start(conn, &head, bytes, in->n);
}

/* ---- reading ---- */

static size_t waiting(const struct http_conn *conn)
{
    return conn->out.n + conn->held + net_conn_unsent(conn->net);
}

static bool has_room(const struct http_conn *conn)
{
    const struct http_limits *limits = &conn->server->setup.limits;

    if (conn->server->waiting > limits->output_total && conn->held + conn->unsent)
        return false;
    return conn->n_calls < limits->pipeline_max && waiting(conn) <= limits->output_max;
}

static void consume(struct http_conn *conn, struct hs_str *in)
{
    conn->is_stalled = false;
    while (in->n && !conn->no_more && !net_conn_is_closing(conn->net)) {
        if (conn->reading) {
            if (!read_body(conn, in))
                return;
            continue;
        }
        if (!has_room(conn) || conn->turn_requests >= HTTP_TURN_REQUESTS) {
            conn->is_stalled = true;
            return;
        }
        if (!read_head(conn, in))
            return;
    }
}

size_t http_conn_in_max(const struct http_server *server)
{
    return server->h1.request_line_max + server->h1.headers_max + NET_READ_BYTES + HTTP_HEAD_ROOM;
}

static void keep(struct http_conn *conn, struct hs_str rest)
{
    if (!conn->in.p)
        http_buf_take(conn->server, &conn->in, http_conn_in_max(conn->server));
    hs_buf_add(&conn->in, rest);
    if (hs_buf_failed(&conn->in))
        net_conn_close(conn->net, /* reset= */ true);
}

static void consume_kept(struct http_conn *conn)
{
    struct hs_str in = hs_buf_str(&conn->in);

    consume(conn, &in);
    if (conn->no_more)
        in.n = 0;
    hs_buf_drop(&conn->in, conn->in.n - in.n);
    if (conn->in.n == 0)
        http_buf_give(conn->server, &conn->in);
}

static void drop_input(struct http_conn *conn, size_t n)
{
    conn->lingered += n;
    if (conn->state != HTTP_LINGERING)
        net_conn_pause(conn->net);
    else if (conn->lingered > HTTP_LINGER_BYTES)
        net_conn_close(conn->net, /* reset= */ false);
}

static void on_data(struct net_conn *net, const char *p, size_t n)
{
    struct http_conn *conn = conn_of(net);
    struct http_server *server = conn->server;
    struct hs_str in = hs_strn(p, n);

    if (conn->no_more) {
        drop_input(conn, n);
        return;
    }
    server->now = hs_now_us();
    server->current = conn;
    conn->is_new = false;
    conn->turn_requests = 0;
    if (conn->in.n) {
        keep(conn, in);
        consume_kept(conn);
    } else {
        consume(conn, &in);
        if (in.n && !conn->no_more && !net_conn_is_closing(net))
            keep(conn, in);
    }
    server->current = NULL;
    http_conn_settle(conn);
}

void http_conn_read_on(struct http_conn *conn)
{
    hs_list_remove(&conn->resume);
    if (net_conn_is_closing(conn->net))
        return;
    conn->turn_requests = 0;
    conn->server->current = conn;
    consume_kept(conn);
    conn->server->current = NULL;
    http_conn_settle(conn);
}

static void on_eof(struct net_conn *net)
{
    struct http_conn *conn = conn_of(net);

    conn->server->now = hs_now_us();
    conn->is_ended = true;
    if (conn->state == HTTP_LINGERING) {
        net_conn_close(net, /* reset= */ false);
        return;
    }
    if (conn->reading) {
        http_call_free(conn->reading);
        conn->reading = NULL;
        conn->owes_continue = false;
    }
    if (!conn->is_stalled)
        http_buf_give(conn->server, &conn->in);
    http_conn_settle(conn);
}

/* ---- settling ---- */

void http_conn_touch(struct http_conn *conn)
{
    if (conn->server->current == conn || !hs_list_is_empty(&conn->dirty))
        return;
    hs_list_append(&conn->server->dirty, &conn->dirty);
    net_loop_again(conn->server->setup.loop);
}

/* 100 (Continue) goes out when all answers before it have, RFC 9110, 10.1.1. */
static void put_continue(struct http_conn *conn)
{
    if (!conn->owes_continue || !hs_list_is_empty(&conn->calls))
        return;
    conn->owes_continue = false;
    if (!conn->out.p)
        http_buf_take(conn->server, &conn->out, conn->server->out_max);
    hs_buf_add_lit(&conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
    if (hs_buf_failed(&conn->out))
        net_conn_close(conn->net, /* reset= */ true);
}

void http_conn_write(struct http_conn *conn, struct hs_str body)
{
    size_t n = net_conn_write_with(conn->net, &conn->out, body);

    http_buf_give(conn->server, &conn->out);
    conn->unacked_seen = SIZE_MAX;
    conn->is_new_write = net_conn_is_writing(conn->net);
    conn->unsent = conn->is_new_write ? n : 0;
}

/* All that may be written now: one write, more only if output_max cut the answers. */
static void flush(struct http_conn *conn)
{
    do {
        http_conn_advance(conn);
        put_continue(conn);
        if (net_conn_is_writing(conn->net) || net_conn_is_closing(conn->net) || conn->out.n == 0)
            return;
        http_conn_write(conn, HS_STR(""));
    } while (!hs_list_is_empty(&conn->calls));
}

/* What is held for those behind does not count: it waits for this one to end. */
static void wake_writer(struct http_conn *conn)
{
    struct hs_list *node = hs_list_first(&conn->calls);
    struct http_call *call = node ? HS_CONTAINER(node, struct http_call, node) : NULL;
    size_t unsent = conn->out.n + net_conn_unsent(conn->net);

    if (!call || !call->wants_ready || unsent > conn->server->setup.limits.output_max / 2)
        return;
    call->wants_ready = false;
    call->ready(call->ready_arg, &call->req);
}

static bool is_finished(const struct http_conn *conn)
{
    return (conn->no_more || (conn->is_ended && !conn->is_stalled)) && !conn->reading &&
           hs_list_is_empty(&conn->calls) && conn->out.n == 0 && !net_conn_is_writing(conn->net);
}

static void finish(struct http_conn *conn)
{
    http_buf_give(conn->server, &conn->in);
    if (conn->is_ended) {
        net_conn_close(conn->net, /* reset= */ false);
        return;
    }
    net_conn_end(conn->net);
    conn->no_more = true;
    http_conn_enter(conn, HTTP_LINGERING);
    net_conn_resume(conn->net);
}

static enum http_state find_state(const struct http_conn *conn)
{
    if (net_conn_is_writing(conn->net))
        return HTTP_WRITING;
    if (conn->reading)
        return HTTP_BODY;
    if (conn->in.n && !conn->is_stalled)
        return HTTP_HEADING;
    if (conn->n_calls && (conn->is_stalled || conn->is_ended || conn->lingered))
        return HTTP_WATCHED;
    return conn->n_calls || conn->is_stalled ? HTTP_BUSY : HTTP_IDLE;
}

/* A client that sends requests gets no more time to take the answers. */
static void enter_found(struct http_conn *conn)
{
    enum http_state state = find_state(conn);

    if (state == HTTP_WRITING && conn->state == HTTP_WRITING)
        conn->is_fresh = conn->is_new_write;
    conn->is_new_write = false;
    http_conn_enter(conn, state);
}

void http_conn_settle(struct http_conn *conn)
{
    hs_list_remove(&conn->dirty);
    if (net_conn_is_closing(conn->net) || conn->state == HTTP_LINGERING)
        return;
    flush(conn);
    http_conn_count(conn);
    wake_writer(conn);
    if (net_conn_is_closing(conn->net))
        return;
    if (is_finished(conn)) {
        finish(conn);
        return;
    }
    if (conn->is_stalled)
        net_conn_pause(conn->net);
    else if (!conn->no_more)
        net_conn_resume(conn->net);
    if (conn->is_stalled && has_room(conn) && hs_list_is_empty(&conn->resume)) {
        hs_list_append(&conn->server->resumes, &conn->resume);
        net_loop_again(conn->server->setup.loop);
    }
    enter_found(conn);
}

static void on_drained(struct net_conn *net)
{
    struct http_conn *conn = conn_of(net);

    conn->server->now = hs_now_us();
    conn->is_fresh = true;
    conn->unsent = 0;
    http_conn_settle(conn);
}

/* Some clients send one behind a body: no reason to give up the answers that are under way. */
static void drop_empty_line(struct http_conn *conn)
{
    conn->head_seen = 0;
    http_buf_give(conn->server, &conn->in);
    http_conn_settle(conn);
}

/* Has the client taken its quarter of output_max, so that it gets its time anew? A byte now and
 * then would keep an answer for ever. */
static bool has_taken(struct http_conn *conn)
{
    size_t unacked = net_conn_unacked(conn->net);
    size_t least = conn->server->setup.limits.output_max / 4;

    if (conn->unacked_seen < unacked || conn->unacked_seen - unacked < least)
        return false;
    conn->unacked_seen = unacked;
    return true;
}

/* A state's time is over. The connection is in no list now. */
void http_conn_timeout(struct http_conn *conn)
{
    struct http_server *server = conn->server;

    conn->is_fresh = true;
    if ((conn->state == HTTP_WRITING && has_taken(conn)) ||
        (conn->state == HTTP_WATCHED && !net_conn_is_lost(conn->net))) {
        http_conn_enter(conn, conn->state);
        return;
    }
    if (conn->state == HTTP_HEADING && conn->n_calls && hs_str_is(hs_buf_str(&conn->in), "\r\n")) {
        drop_empty_line(conn);
        return;
    }
    if (conn->state != HTTP_IDLE && conn->state != HTTP_LINGERING && conn->state != HTTP_WATCHED)
        hs_metric_add(server->setup.metrics, HS_M_HTTP_TIMEOUTS, 1);
    /* An empty line is no request: nobody waits for an answer to it. */
    if (conn->state == HTTP_BODY ||
        (conn->state == HTTP_HEADING && (conn->in.n > 2 || conn->n_calls))) {
        server->current = conn;
        http_conn_refuse(conn, HS_E_REQUEST_TIMEOUT,
                         conn->state == HTTP_BODY
                             ? "its body did not arrive within server.body_timeout"
                             : "its head did not arrive within server.header_timeout");
        server->current = NULL;
        http_buf_give(server, &conn->in);
        http_conn_settle(conn);
        return;
    }
    net_conn_close(conn->net, conn->state == HTTP_WRITING);
}

/* ---- birth and death ---- */

static bool on_open(void *ctx, struct net_conn *net)
{
    struct http_server *server = ctx;
    struct http_conn *conn = net_conn_data(net);

    conn->magic = HTTP_CONN_MAGIC;
    conn->server = server;
    conn->net = net;
    conn->is_new = true;
    conn->is_fresh = true;
    hs_list_init(&conn->node);
    hs_list_init(&conn->dirty);
    hs_list_init(&conn->resume);
    hs_list_init(&conn->calls);
    server->now = hs_now_us();
    http_conn_enter(conn, HTTP_IDLE);
    return true;
}

static void on_closed(struct net_conn *net)
{
    struct http_conn *conn = conn_of(net);
    struct hs_list *node;

    hs_list_remove(&conn->node);
    hs_list_remove(&conn->dirty);
    hs_list_remove(&conn->resume);
    if (conn->reading)
        http_call_free(conn->reading);
    while ((node = hs_list_pop(&conn->calls)))
        http_call_orphan(HS_CONTAINER(node, struct http_call, node));
    http_buf_give(conn->server, &conn->in);
    http_buf_give(conn->server, &conn->out);
    conn->server->waiting -= conn->counted;
    conn->magic = 0;
}

const struct net_conn_ops http_conn_ops = {
    .data_bytes = sizeof(struct http_conn),
    .on_open = on_open,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drained = on_drained,
    .on_closed = on_closed,
};
