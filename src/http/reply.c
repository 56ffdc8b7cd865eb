/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers. The one rule: bytes of an answer reach conn->out only when all answers before it are
 * there (RFC 9112, 9.3.2). The answer whose turn it is goes straight there; another is kept whole
 * in its call and moved by http_conn_advance(). How much may wait for a client is bounded by
 * output_max: beyond it an answer stays in its call until the socket has taken what is before it.
 * What waits for all clients of the worker is bounded by output_total: an answer that would pass it
 * becomes a short error, unless it is short itself.
 *
 *     handler -> http_reply -> is it first in conn->calls?  yes -> conn->out -> one write at the
 * turn's end no  -> call->out -> (advance) -> conn->out
 *
 * Heads are written by hand: constant pieces and integers, no formatting, one reservation per
 * answer. Without memory for an answer there is nothing to say any more: the connection is reset.
 */
#include "core/log.h"
#include "core/mem.h"
#include "http/server_int.h"

enum { NO_LENGTH = -1, CHUNK_HEAD = 20 };

struct answer {
    unsigned status;
    struct hs_str content_type;
    struct hs_str headers;
    int64_t length; /* NO_LENGTH: chunked, until the close, or none at all */
};

/* ---- the head ---- */

static struct hs_str status_line(unsigned status)
{
    static const struct {
        unsigned status;
        struct hs_str line;
    } lines[] = {
#define LINE(code, reason)                                                                 \
    {                                                                                      \
        code,                                                                              \
        {                                                                                  \
            "HTTP/1.1 " #code " " reason "\r\n", sizeof("HTTP/1.1 000 " reason "\r\n") - 1 \
        }                                                                                  \
    }
        LINE(200, "OK"),
        LINE(404, "Not Found"),
        LINE(304, "Not Modified"),
        LINE(201, "Created"),
        LINE(204, "No Content"),
        LINE(400, "Bad Request"),
        LINE(401, "Unauthorized"),
        LINE(403, "Forbidden"),
        LINE(503, "Service Unavailable"),
        LINE(202, "Accepted"),
        LINE(300, "Multiple Choices"),
        LINE(206, "Partial Content"),
        LINE(301, "Moved Permanently"),
        LINE(302, "Found"),
        LINE(303, "See Other"),
        LINE(307, "Temporary Redirect"),
        LINE(308, "Permanent Redirect"),
        LINE(402, "Payment Required"),
        LINE(405, "Method Not Allowed"),
        LINE(406, "Not Acceptable"),
        LINE(408, "Request Timeout"),
        LINE(409, "Conflict"),
        LINE(410, "Gone"),
        LINE(411, "Length Required"),
        LINE(412, "Precondition Failed"),
        LINE(413, "Content Too Large"),
        LINE(414, "URI Too Long"),
        LINE(415, "Unsupported Media Type"),
        LINE(416, "Range Not Satisfiable"),
        LINE(417, "Expectation Failed"),
        LINE(422, "Unprocessable Content"),
        LINE(428, "Precondition Required"),
        LINE(429, "Too Many Requests"),
        LINE(431, "Request Header Fields Too Large"),
        LINE(500, "Internal Server Error"),
        LINE(501, "Not Implemented"),
        LINE(502, "Bad Gateway"),
        LINE(504, "Gateway Timeout"),
        LINE(505, "HTTP Version Not Supported"),
#undef LINE
    };

    for (size_t i = 0; i < HS_LEN(lines); i++) {
        if (lines[i].status == status)
            return lines[i].line;
    }
    return HS_STR_NULL;
}

#define PUT_LIT(to, literal) \
    (memcpy((to), (literal), sizeof(literal) - 1), (to) + sizeof(literal) - 1)

/* Milliseconds with three decimals. */
static char *put_ms(char *to, hs_us us)
{
    unsigned rest = (unsigned)(us % 1000);

    to = hs_u64_print(us / 1000, to);
    *to++ = '.';
    *to++ = (char)('0' + rest / 100);
    *to++ = (char)('0' + rest / 10 % 10);
    *to++ = (char)('0' + rest % 10);
    return to;
}

static char *put_status(char *to, unsigned status)
{
    struct hs_str line = status_line(status);

    if (hs_likely(line.n))
        return hs_str_put(to, line);
    to = PUT_LIT(to, "HTTP/1.1 ");
    return PUT_LIT(hs_u64_print(status, to), " \r\n");
}

/* "Date: ...\r\n", made anew once a second. */
static char *put_date(char *to, struct http_server *server, hs_us now)
{
    if (hs_unlikely(now >= server->date_until)) {
        struct hs_wall wall = hs_wall_now();

        server->date_n = hs_wall_http(wall, server->date).n;
        server->date_until = now + HS_SECOND - (hs_us)wall.us % HS_SECOND;
    }
    to = PUT_LIT(to, "Date: ");
    return PUT_LIT(hs_str_put(to, hs_strn(server->date, server->date_n)), "\r\n");
}

static char *put_ids(char *to, const struct http_req *req)
{
    to = PUT_LIT(to, "X-Request-Id: ");
    to = PUT_LIT(hs_str_put(to, hs_strn(req->trace_id, sizeof(req->trace_id))), "\r\n");
    if (!req->has_trace)
        return to;
    to = PUT_LIT(to, "traceparent: 00-");
    to = PUT_LIT(hs_str_put(to, hs_strn(req->trace_id, sizeof(req->trace_id))), "-");
    to = hs_str_put(to, hs_strn(req->span_id, sizeof(req->span_id)));
    return req->is_sampled ? PUT_LIT(to, "-01\r\n") : PUT_LIT(to, "-00\r\n");
}

static char *put_timing(char *to, const struct http_req *req, hs_us now)
{
    hs_us us = now > req->started_at ? now - req->started_at : 0;

    to = PUT_LIT(to, "X-Response-Time: ");
    to = hs_u64_print((us + 500) / 1000, to);
    to = PUT_LIT(to, "ms\r\nServer-Timing: total;dur=");
    to = put_ms(to, us);
    if (req->pg_us) {
        to = PUT_LIT(to, ", db;dur=");
        to = put_ms(to, req->pg_us);
    }
    return PUT_LIT(to, "\r\n");
}

static char *put_framing(char *to, const struct http_call *call, const struct answer *a)
{
    if (call->is_chunked_out)
        to = PUT_LIT(to, "Transfer-Encoding: chunked\r\n");
    /* RFC 9110, 8.6: never with 204; with 304 it would have to be that of the 200, which we do not
     * know. */
    if (a->length >= 0 && a->status != 204 && a->status != 304) {
        to = PUT_LIT(to, "Content-Length: ");
        to = PUT_LIT(hs_u64_print((uint64_t)a->length, to), "\r\n");
    }
    if (call->closes)
        return PUT_LIT(to, "Connection: close\r\n");
    return call->minor == 0 ? PUT_LIT(to, "Connection: keep-alive\r\n") : to;
}

static void write_head(struct http_call *call, struct hs_buf *out, const struct answer *a,
                       hs_us now)
{
    struct http_server *server = call->server;
    char *start = hs_buf_room(out, HTTP_HEAD_ROOM + a->headers.n + a->content_type.n +
                                       call->req.extra_headers.n);
    char *to = start;

    if (!to)
        return;
    to = put_status(to, a->status);
    to = put_date(to, server, now);
    if (a->content_type.n) {
        to = PUT_LIT(to, "Content-Type: ");
        to = PUT_LIT(hs_str_put(to, a->content_type), "\r\n");
    }
    to = put_framing(to, call, a);
    to = put_ids(to, &call->req);
    if (server->setup.limits.timing)
        to = put_timing(to, &call->req, now);
    to = hs_str_put(to, a->headers);
    to = hs_str_put(to, call->req.extra_headers);
    to = PUT_LIT(to, "\r\n");
    hs_buf_added(out, (size_t)(to - start));
}

/* ---- accounts ---- */

static void log_access(const struct http_call *call, hs_us us)
{
    const struct http_req *req = &call->req;

    hs_log_begin(HS_LOG_INFO, "request");
    hs_log_str("method", req->method_name.n ? req->method_name : HS_STR("-"));
    hs_log_str("path", req->path.n ? req->path : HS_STR("-"));
    hs_log_int("status", call->status);
    hs_log_int("bytes", (int64_t)call->sent);
    hs_log_ms("ms", us);
    hs_log_str("request_id", hs_strn(req->trace_id, sizeof(req->trace_id)));
    hs_log_str("client", req->client);
    if (req->is_gone)
        hs_log_cstr("gone", "true");
    hs_log_end_later();
}

static void account(struct http_call *call, hs_us now)
{
    struct http_server *server = call->server;
    struct http_req *req = &call->req;
    hs_us us = now > req->started_at ? now - req->started_at : 0;

    hs_metric_request(req->metrics, req->route, call->status, us);
    if (call->is_queued)
        hs_metric_sub(req->metrics, HS_M_HTTP_IN_FLIGHT, 1);
    call->is_queued = false;
    http_audit(call, call->status);
    if (server->setup.limits.access_log && hs_log_is_on(HS_LOG_INFO))
        log_access(call, us);
}

/* ---- order ---- */

static size_t waiting(const struct http_conn *conn)
{
    return conn->out.n + net_conn_unsent(conn->net);
}

void http_conn_count(struct http_conn *conn)
{
    size_t n = conn->held + conn->out.n + conn->unsent;

    conn->server->waiting += n - conn->counted;
    conn->counted = n;
}

static bool is_first(const struct http_call *call)
{
    return call->conn->calls.next == &call->node;
}

static struct hs_buf *take_out(struct http_server *server, struct hs_buf *out)
{
    if (!out->p)
        http_buf_take(server, out, server->out_max);
    return out;
}

/* Where the next bytes of this call's answer go. Once some are in call->out, the rest goes there
 * too. */
static struct hs_buf *place(struct http_call *call)
{
    struct http_conn *conn = call->conn;

    if (call->out.n == 0 && is_first(call) &&
        waiting(conn) <= conn->server->setup.limits.output_max)
        return take_out(conn->server, &conn->out);
    return take_out(conn->server, &call->out);
}

/* The connection ends with this call: whoever is behind it will not be heard. */
static void drop_later(struct http_call *call)
{
    struct http_conn *conn = call->conn;

    conn->no_more = true;
    conn->is_last_out = true;
    while (call->node.next != &conn->calls) {
        struct http_call *late = HS_CONTAINER(call->node.next, struct http_call, node);

        conn->n_calls--;
        conn->held -= late->out.n;
        hs_list_remove(&late->node);
        http_call_orphan(late);
    }
}

static void leave(struct http_call *call)
{
    call->conn->n_calls--;
    call->conn->is_fresh = true;
    http_call_free(call);
}

/* What waits in the first call goes out. false: the socket has to take something first. */
static bool move_out(struct http_conn *conn, struct http_call *call)
{
    if (call->out.n == 0)
        return true;
    if (waiting(conn) > conn->server->setup.limits.output_max)
        return false;
    conn->held -= call->out.n;
    if (conn->out.n == 0) {
        struct hs_buf empty = conn->out;

        conn->out = call->out;
        call->out = empty;
        hs_buf_clear(&call->out);
        return true;
    }
    hs_buf_add(take_out(conn->server, &conn->out), hs_buf_str(&call->out));
    hs_buf_clear(&call->out);
    if (!hs_buf_failed(&conn->out))
        return true;
    net_conn_close(conn->net, /* reset= */ true);
    return false;
}

void http_conn_advance(struct http_conn *conn)
{
    struct hs_list *node;

    while (!conn->is_last_out && (node = hs_list_first(&conn->calls))) {
        struct http_call *call = HS_CONTAINER(node, struct http_call, node);

        if (!move_out(conn, call) || !call->is_answered)
            return;
        if (call->closes)
            drop_later(call);
        leave(call);
    }
}

/* After bytes were written for a call. false: the connection had to be closed. */
static bool written(struct http_call *call, const struct hs_buf *out, size_t before)
{
    struct http_conn *conn = call->conn;

    if (hs_buf_failed(out)) {
        net_conn_close(conn->net, /* reset= */ true);
        return false;
    }
    call->sent += out->n - before;
    if (out == &call->out)
        conn->held += out->n - before;
    http_conn_count(conn);
    http_conn_touch(conn);
    return true;
}

/* The answer is whole: it leaves, or waits for its turn without its request's memory. */
static void complete(struct http_call *call)
{
    struct http_conn *conn = call->conn;

    if (is_first(call) && call->out.n == 0) {
        if (call->closes)
            drop_later(call);
        leave(call);
        http_conn_advance(conn);
        return;
    }
    call->is_answered = true;
    hs_identity_unref(call->req.identity);
    call->req.identity = NULL;
    http_buf_give(call->server, &call->body);
    hs_arena_reset(&call->arena);
}

/* A reset connection takes its calls along soon; until then they just end here. */
static bool is_dropped(const struct http_call *call)
{
    return !call->conn || net_conn_is_closing(call->conn->net);
}

static void drop(struct http_call *call, hs_us now)
{
    call->req.is_gone = true;
    account(call, now);
    if (call->conn) {
        call->conn->held -= call->out.n;
        call->conn->n_calls--;
    }
    http_call_free(call);
}

/* Decides what the head says about the connection. */
static void decide(struct http_call *call, unsigned status, bool close)
{
    struct http_conn *conn = call->conn;
    bool is_last = call->node.next == &conn->calls;

    call->status = status;
    call->has_no_body = call->req.method == HTTP_HEAD || status == 204 || status == 304;
    call->closes = close || !call->keep_alive ||
                   (is_last &&
                    (conn->server->is_draining || (conn->is_ended && !conn->is_stalled)));
    if (call->closes)
        conn->no_more = true;
}

static void too_long(struct http_req *req)
{
    struct hs_err err;

    hs_fail(&err, HS_E_LIMIT, "the answer is longer than server.answer.max");
    hs_err_hint(&err, "Ask for less, or raise server.answer.max.");
    http_reply_error(req, &err);
}

/* Would it, with all that waits already, pass output_total? */
static bool is_too_much(const struct http_call *call, size_t n)
{
    const struct http_server *server = call->server;

    return n > HTTP_SMALL_ANSWER && call->req.method != HTTP_HEAD &&
           server->waiting + n > server->setup.limits.output_total;
}

static void too_much(struct http_req *req)
{
    struct hs_err err;

    hs_fail(&err, HS_E_LIMIT, "too many answers wait for slow clients");
    hs_err_why(&err, "with this one they would pass server.output.total");
    hs_err_hint(&err, "Try again after the time in Retry-After, ask for less, or raise "
                      "server.output.total.");
    http_reply_error(req, &err);
}

/*
 * A large body, for which `out` would need more memory than a recycled buffer has, goes to the socket from where it
 * is, and what stands before it goes along. That saves a tenth of such an answer's CPU; of shorter ones it would save
 * nothing, and cost each of them a write of its own.
 */
static bool may_write_through(const struct http_call *call, const struct hs_buf *out, size_t n)
{
    const struct http_conn *conn = call->conn;

    return n >= HTTP_BUF_KEPT_BYTES && out == &conn->out && !hs_buf_failed(out) &&
           !call->has_no_body && !net_conn_is_writing(conn->net);
}

void http_reply(struct http_req *req, const struct http_reply *reply)
{
    struct http_call *call = http_call_of(req);
    hs_us now = hs_now_us();
    struct answer a = {reply->status, reply->content_type, reply->headers, (int64_t)reply->body.n};
    struct hs_buf *out;
    size_t before;

    HS_BUG_ON(call->is_answered || call->is_streaming);
    if (reply->body.n > call->server->setup.limits.answer_max) {
        too_long(req);
        return;
    }
    if (hs_unlikely(call->sub)) {
        http_sub_reply(call, reply);
        return;
    }
    call->status = reply->status;
    if (is_dropped(call)) {
        drop(call, now);
        return;
    }
    if (is_too_much(call, reply->body.n)) {
        too_much(req);
        return;
    }
    decide(call, reply->status, reply->close);
    out = place(call);
    before = out->n;
    write_head(call, out, &a, now);
    if (may_write_through(call, out, reply->body.n)) {
        call->sent += out->n - before + reply->body.n;
        http_conn_write(call->conn, reply->body);
        before = out->n;
    } else if (!call->has_no_body) {
        hs_buf_add(out, reply->body);
    }
    if (!written(call, out, before)) {
        drop(call, now);
        return;
    }
    account(call, now);
    complete(call);
}

/* ---- answers in pieces ---- */

static void add_piece(struct http_call *call, struct hs_buf *out, struct hs_str data)
{
    static const char digits[] = "0123456789abcdef";
    char head[CHUNK_HEAD];
    size_t at = sizeof(head);

    if (data.n == 0 || call->has_no_body)
        return;
    if (!call->is_chunked_out) {
        hs_buf_add(out, data);
        return;
    }
    head[--at] = '\n';
    head[--at] = '\r';
    for (size_t n = data.n; n; n >>= 4)
        head[--at] = digits[n & 15];
    hs_buf_add(out, hs_strn(head + at, sizeof(head) - at));
    hs_buf_add(out, data);
    hs_buf_add_lit(out, "\r\n");
}

void http_reply_begin(struct http_req *req, const struct http_reply *reply, http_ready_f *ready,
                      void *arg)
{
    struct http_call *call = http_call_of(req);
    struct answer a = {reply->status, reply->content_type, reply->headers, NO_LENGTH};
    struct hs_buf *out;
    size_t before;

    HS_BUG_ON(call->is_answered || call->is_streaming || !ready);
    call->is_streaming = true;
    if (call->sub) {
        http_sub_begin(call, reply);
        return;
    }
    call->ready = ready;
    call->ready_arg = arg;
    call->status = reply->status;
    if (is_dropped(call))
        return;
    decide(call, reply->status, reply->close || call->minor == 0);
    call->is_chunked_out = call->minor == 1 && reply->status != 204 && reply->status != 304;
    out = place(call);
    before = out->n;
    write_head(call, out, &a, hs_now_us());
    add_piece(call, out, reply->body);
    (void)written(call, out, before);
}

/* Whose turn has not come is called when it has; for the first the connection's bound is enough. */
static bool must_wait(const struct http_call *call)
{
    const struct http_limits *limits = &call->server->setup.limits;

    return waiting(call->conn) + call->out.n > limits->output_max ||
           (!is_first(call) && call->server->waiting > limits->output_total);
}

bool http_reply_chunk(struct http_req *req, struct hs_str data)
{
    struct http_call *call = http_call_of(req);
    struct hs_buf *out;
    size_t before;

    HS_BUG_ON(!call->is_streaming);
    if (call->sub) {
        http_sub_chunk(call, data);
        return true;
    }
    if (is_dropped(call))
        return true;
    out = place(call);
    before = out->n;
    add_piece(call, out, data);
    if (!written(call, out, before))
        return true;
    call->wants_ready = must_wait(call);
    return !call->wants_ready;
}

void http_reply_end(struct http_req *req)
{
    struct http_call *call = http_call_of(req);
    hs_us now = hs_now_us();
    struct hs_buf *out;
    size_t before;

    HS_BUG_ON(!call->is_streaming);
    if (call->sub) {
        http_sub_end(call);
        return;
    }
    call->wants_ready = false;
    if (is_dropped(call)) {
        drop(call, now);
        return;
    }
    out = place(call);
    before = out->n;
    if (call->is_chunked_out && !call->has_no_body)
        hs_buf_add_lit(out, "0\r\n\r\n");
    if (!written(call, out, before)) {
        drop(call, now);
        return;
    }
    call->is_streaming = false;
    account(call, now);
    complete(call);
}

void http_reply_abort(struct http_req *req)
{
    struct http_call *call = http_call_of(req);

    HS_BUG_ON(!call->is_streaming);
    if (call->sub) {
        http_sub_abort(call);
        return;
    }
    call->wants_ready = false;
    if (!is_dropped(call))
        net_conn_close(call->conn->net, /* reset= */ true);
    drop(call, hs_now_us());
}

/* FIN behind a last chunk that is missing (RFC 9112, 8); RST could take the bytes before it along. */
void http_reply_cut(struct http_req *req)
{
    struct http_call *call = http_call_of(req);

    HS_BUG_ON(!call->is_streaming);
    if (call->sub || is_dropped(call) || !call->is_chunked_out || call->has_no_body) {
        http_reply_abort(req);
        return;
    }
    call->wants_ready = false;
    call->is_streaming = false;
    call->closes = true;
    call->conn->no_more = true;
    http_conn_touch(call->conn);
    account(call, hs_now_us());
    complete(call);
}

size_t http_reply_unsent(struct http_req *req)
{
    const struct http_call *call = http_call_of(req);

    return call->conn ? waiting(call->conn) + call->out.n : 0;
}
