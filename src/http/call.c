/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's memory. The objects are recycled with one arena chunk each, so that a request of
 * usual size costs no malloc. The head is copied once into the arena, since the worker's read
 * buffer is used again as soon as the callback returns; the reader's slices are moved along.
 *
 * A request has one id for its logs, its answer and its trace: the trace id of a valid
 * `traceparent` (W3C Trace Context, level 1, version 00), else a random one. Chance is no secret
 * here.
 */
#include "core/mem.h"
#include "http/server_int.h"

struct hs_str http_req_header(const struct http_req *req, struct hs_str name)
{
    for (size_t i = 0; i < req->n_headers; i++) {
        if (hs_str_ieq(req->headers[i].name, name))
            return req->headers[i].value;
    }
    return HS_STR_NULL;
}

enum http_coding http_req_coding(struct http_req *req)
{
    struct http_accepted accepted = {.has_others = false};

    if (http_call_of(req)->sub)
        return HTTP_IDENTITY;
    for (size_t i = 0; i < req->n_headers; i++) {
        if (hs_str_ieq(req->headers[i].name, HS_STR("accept-encoding")))
            http_accepted_read(&accepted, req->headers[i].value);
    }
    return http_accepted_best(&accepted);
}

struct hs_buf *http_req_scratch(struct http_req *req)
{
    struct http_server *server = HS_CONTAINER(req, struct http_call, req)->server;

    hs_buf_clear(&server->scratch);
    return &server->scratch;
}

/* ---- ids ---- */

static bool is_hex_id(struct hs_str s)
{
    bool is_zero = true;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
            return false;
        is_zero &= c == '0';
    }
    return !is_zero;
}

/* 00-<32 hex>-<16 hex>-<2 hex>; all lower case, ids not zero. */
static bool take_trace(struct http_req *req, struct hs_str t)
{
    struct hs_str flags;

    if (t.n != 55 || memcmp(t.p, "00-", 3) != 0 || t.p[35] != '-' || t.p[52] != '-')
        return false;
    flags = hs_str_sub(t, 53, 55);
    if (!is_hex_id(hs_str_sub(t, 3, 35)) || !is_hex_id(hs_str_sub(t, 36, 52)))
        return false;
    if (!is_hex_id(flags) && !hs_str_is(flags, "00"))
        return false;
    memcpy(req->trace_id, t.p + 3, sizeof(req->trace_id));
    req->is_sampled = (flags.p[1] >= 'a' ? flags.p[1] - 'a' + 10 : flags.p[1] - '0') & 1;
    return true;
}

static void make_ids(struct http_server *server, struct http_req *req, struct hs_str traceparent)
{
    hs_u64_hex(hs_rng_next(&server->rng) | 1, req->span_id);
    req->has_trace = traceparent.p && take_trace(req, traceparent);
    if (req->has_trace)
        return;
    hs_u64_hex(hs_rng_next(&server->rng) | 1, req->trace_id);
    hs_u64_hex(hs_rng_next(&server->rng), req->trace_id + 16);
}

/* ---- life ---- */

static struct http_call *recycled(struct http_server *server)
{
    struct hs_list *node = hs_list_pop(&server->calls_free);
    struct http_call *call;

    if (node) {
        server->n_calls_free--;
        call = HS_CONTAINER(node, struct http_call, node);
        /* A reload may have changed it. */
        call->arena.bytes_max = server->setup.limits.request_memory_max;
        return call;
    }
    call = hs_calloc(1, sizeof(*call));
    if (call)
        hs_arena_init(&call->arena, server->setup.limits.request_memory_max);
    return call;
}

struct http_call *http_call_new(struct http_server *server, struct http_conn *conn,
                                hs_us started_at)
{
    struct http_call *call = recycled(server);
    struct hs_arena arena;

    if (!call)
        return NULL;
    arena = call->arena;
    *call = (struct http_call){.server = server, .conn = conn, .arena = arena};
    hs_list_init(&call->node);
    hs_list_init(&call->subs);
    call->req.magic = HTTP_REQUEST_MAGIC;
    call->req.arena = &call->arena;
    call->req.metrics = server->setup.metrics;
    call->req.started_at = started_at;
    server->n_calls++;
    return call;
}

static struct hs_str moved(struct hs_str s, const char *from, const char *to)
{
    return s.p ? hs_strn(to + (s.p - from), s.n) : s;
}

static bool copy_headers(struct http_req *req, const struct h1_head *head, const char *from,
                         const char *to)
{
    req->headers = hs_arena_alloc(req->arena, head->n_headers * sizeof(*req->headers));
    if (!req->headers)
        return false;
    for (size_t i = 0; i < head->n_headers; i++) {
        req->headers[i].name = moved(head->headers[i].name, from, to);
        req->headers[i].value = moved(head->headers[i].value, from, to);
    }
    req->n_headers = head->n_headers;
    return true;
}

bool http_call_fill(struct http_call *call, const struct h1_head *head, struct hs_str bytes)
{
    struct http_req *req = &call->req;
    struct hs_str peer = net_conn_peer(call->conn->net);
    char *copy;

    make_ids(call->server, req, head->traceparent);
    call->minor = head->minor;
    call->keep_alive = head->keep_alive;
    call->is_chunked_in = head->is_chunked;
    call->body_left = head->content_length;
    req->method = head->method;
    copy = hs_arena_alloc(req->arena, bytes.n + peer.n);
    if (!copy || !copy_headers(req, head, bytes.p, copy))
        return false;
    memcpy(copy, bytes.p, bytes.n);
    if (peer.n)
        memcpy(copy + bytes.n, peer.p, peer.n);
    req->client = hs_strn(copy + bytes.n, peer.n);
    req->method_name = moved(head->method_name, bytes.p, copy);
    req->target = moved(head->target, bytes.p, copy);
    req->query = moved(head->query, bytes.p, copy);
    req->host = moved(head->host, bytes.p, copy);
    /* The path of "http://host" is a constant of the reader. */
    req->path = head->path.p >= bytes.p && head->path.p < bytes.p + bytes.n
                    ? moved(head->path, bytes.p, copy)
                    : head->path;
    return true;
}

/* Nothing of a refused head is believed, not even its method. Without memory the log lacks the
 * client. */
void http_call_fill_refused(struct http_call *call)
{
    call->req.method = HTTP_OTHER;
    call->req.path = HS_STR("");
    call->req.client = hs_arena_dup(call->req.arena, net_conn_peer(call->conn->net));
    make_ids(call->server, &call->req, HS_STR_NULL);
}

void http_call_fill_sub(struct http_call *call, const struct http_req *parent)
{
    struct http_req *req = &call->req;

    if (!parent) {
        make_ids(call->server, req, HS_STR_NULL);
        return;
    }
    hs_u64_hex(hs_rng_next(&call->server->rng) | 1, req->span_id);
    memcpy(req->trace_id, parent->trace_id, sizeof(req->trace_id));
    req->has_trace = parent->has_trace;
    req->is_sampled = parent->is_sampled;
    req->client = parent->client;
    req->host = parent->host;
}

void http_call_orphan(struct http_call *call)
{
    call->conn = NULL;
    call->req.is_gone = true;
    for (struct hs_list *node = call->subs.next; node != &call->subs; node = node->next)
        HS_CONTAINER(node, struct http_call, node)->req.is_gone = true;
    http_buf_give(call->server, &call->out);
    if (call->is_answered) {
        http_call_free(call);
    } else if (call->wants_ready) {
        call->wants_ready = false;
        call->ready(call->ready_arg, &call->req);
    }
}

void http_call_free(struct http_call *call)
{
    struct http_server *server = call->server;

    HS_OBJ(&call->req, HTTP_REQUEST_MAGIC);
    HS_BUG_ON(!hs_list_is_empty(&call->subs) || call->kept);
    hs_list_remove(&call->node);
    hs_identity_unref(call->req.identity);
    call->req.identity = NULL;
    call->req.magic = 0;
    http_buf_give(server, &call->body);
    http_buf_give(server, &call->out);
    server->n_calls--;
    if (server->n_calls_free < HTTP_CALLS_KEPT && !server->is_freed) {
        hs_arena_reset(&call->arena);
        hs_list_prepend(&server->calls_free, &call->node);
        server->n_calls_free++;
        return;
    }
    hs_arena_fini(&call->arena);
    hs_free(call);
    if (server->is_freed && server->n_calls == 0)
        http_server_release(server);
}
