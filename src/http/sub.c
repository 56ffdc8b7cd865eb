/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sub-request is a call without a connection. reply.c asks one question more, `is it a sub-request?`,
 * and hands the answer to the functions here; router, steps and handlers see no difference.
 *
 *     http_sub_run -> fill -> router -> step, handler -> http_reply -> http_sub_reply -> done
 *
 * The call leaves its parent's list before done(), since the last done() may answer the parent, and is
 * freed after it, since the answer's texts may stand in its arena.
 */
#include "http/sub.h"

#include "http/h1_class.h"
#include "http/server_int.h"

/* ---- the request ---- */

static bool is_all(struct hs_str s, int class)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!h1_is(s.p[i], class))
            return false;
    }
    return true;
}

static hs_status refuse(struct hs_err *reterr, hs_status status, const char *why)
{
    (void)hs_fail(reterr, status, "the request was not accepted");
    hs_err_why(reterr, "%s", why);
    return status;
}

static hs_status check_headers(const struct http_sub *sub, const struct h1_limits *max,
                               struct hs_err *reterr)
{
    size_t n = 0;

    if (sub->n_headers > max->headers_count_max)
        return refuse(reterr, HS_E_HEADERS_TOO_LARGE,
                      "it has more header fields than server.headers.max_count");
    for (size_t i = 0; i < sub->n_headers; i++) {
        const struct http_header *h = &sub->headers[i];

        n += h->name.n + h->value.n;
        if (!h1_is_token(h->name))
            return refuse(reterr, HS_E_BAD_REQUEST, "a header name is not a token");
        if (!is_all(h->value, H1_VALUE))
            return refuse(reterr, HS_E_BAD_REQUEST, "a header value holds a control character");
    }
    if (n > max->headers_max)
        return refuse(reterr, HS_E_HEADERS_TOO_LARGE,
                      "its header fields are longer than server.headers.max");
    return HS_OK;
}

/* What h1.c makes sure of for requests from a socket. */
static hs_status check(const struct http_sub *sub, const struct h1_limits *max,
                       struct hs_err *reterr)
{
    if (!h1_is_token(sub->method))
        return refuse(reterr, HS_E_BAD_REQUEST, "the method is not a token");
    if (sub->target.n == 0 || sub->target.p[0] != '/')
        return refuse(reterr, HS_E_BAD_REQUEST, "the request target does not begin with /");
    if (!is_all(sub->target, H1_TARGET))
        return refuse(reterr, HS_E_BAD_REQUEST,
                      "the request target holds a byte that must be percent-encoded");
    if (sub->method.n + sub->target.n > max->request_line_max)
        return refuse(reterr, HS_E_URI_TOO_LONG,
                      "the request target is longer than server.request_line.max");
    return check_headers(sub, max, reterr);
}

static bool is_authorization(const struct http_header *h)
{
    return hs_str_ieq(h->name, HS_STR("Authorization"));
}

/* Its own headers, and the parent's Authorization (each: two are for the auth step to refuse) if it has
 * none. */
static bool fill_headers(struct http_req *req, const struct http_sub *sub)
{
    const struct http_req *parent = sub->parent;
    size_t n_parent = parent ? parent->n_headers : 0;
    bool has_own = false;

    req->headers = hs_arena_alloc(req->arena, (sub->n_headers + n_parent) * sizeof(*req->headers));
    if (!req->headers)
        return false;
    for (size_t i = 0; i < sub->n_headers; i++) {
        has_own |= is_authorization(&sub->headers[i]);
        req->headers[i].name = sub->headers[i].name;
        req->headers[i].value = hs_str_trim(sub->headers[i].value);
    }
    req->n_headers = sub->n_headers;
    for (size_t i = 0; i < n_parent && !has_own; i++) {
        if (is_authorization(&parent->headers[i]))
            req->headers[req->n_headers++] = parent->headers[i];
    }
    return true;
}

static hs_status fill(struct http_call *call, const struct http_sub *sub, struct hs_err *reterr)
{
    struct http_req *req = &call->req;
    size_t path_n = hs_str_find(sub->target, '?');
    hs_status status = check(sub, &call->server->h1, reterr);

    if (status) {
        /* As with a refused head, nothing of it is believed: it may stand in a log. */
        req->method = HTTP_OTHER;
        return status;
    }
    req->method = h1_method(sub->method);
    req->method_name = sub->method;
    req->target = sub->target;
    req->path = hs_str_sub(sub->target, 0, path_n);
    if (path_n < sub->target.n)
        req->query = hs_str_sub(sub->target, path_n + 1, sub->target.n);
    req->body = sub->body;
    req->scope = sub->scope;
    return fill_headers(req, sub) ? HS_OK : hs_fail_memory(reterr);
}

/* Whose bounds an answer in pieces is kept under. */
static struct http_req *payer_of(struct http_call *call)
{
    return call->sub->parent ? call->sub->parent : &call->req;
}

static void adopt(struct http_call *call, const struct http_sub *sub)
{
    if (sub->parent) {
        call->req.is_gone = sub->parent->is_gone;
        call->req.parent = sub->parent;
        hs_list_append(&http_call_of(sub->parent)->subs, &call->node);
    } else {
        call->req.identity = hs_identity_ref(sub->identity);
    }
    http_call_fill_sub(call, sub->parent);
}

void http_sub_run(struct http_sub *sub)
{
    struct http_server *server = sub->parent ? http_call_of(sub->parent)->server : sub->server;
    struct http_call *call = http_call_new(server, /* conn= */ NULL, hs_now_us());
    const struct http_reply no_memory = {
        .status = 503, .content_type = HS_STR("application/json"), .body = HTTP_NO_MEMORY};
    struct hs_err err;

    HS_OBJ(sub, HTTP_SUB_MAGIC);
    if (!call) {
        sub->done(sub, &no_memory);
        return;
    }
    sub->is_cut = false;
    call->sub = sub;
    adopt(call, sub);
    if (fill(call, sub, &err) == HS_OK)
        http_router_run(call);
    else
        http_reply_error(&call->req, &err);
}

/* ---- the answer ---- */

void http_sub_reply(struct http_call *call, const struct http_reply *reply)
{
    struct http_sub *sub = call->sub;
    struct http_req *req = &call->req;
    struct http_reply last = *reply;
    hs_us now = hs_now_us();

    HS_OBJ(sub, HTTP_SUB_MAGIC);
    if (req->method == HTTP_HEAD || reply->status == 204 || reply->status == 304)
        last.body = HS_STR_NULL;
    hs_metric_request(req->metrics, req->route, reply->status,
                      now > req->started_at ? now - req->started_at : 0);
    http_audit(call, reply->status);
    if (sub->parent && req->pg_us > sub->parent->pg_us)
        sub->parent->pg_us = req->pg_us; /* they run side by side: the longest counts */
    http_req_unhold(payer_of(call), call->out.n);
    hs_list_remove(&call->node);
    sub->done(sub, &last);
    http_call_free(call);
}

void http_sub_begin(struct http_call *call, const struct http_reply *reply)
{
    struct http_sub *sub = call->sub;

    sub->begun = *reply;
    sub->begun.content_type = hs_arena_dup(call->req.arena, reply->content_type);
    sub->begun.headers = hs_arena_dup(call->req.arena, reply->headers);
    http_buf_take(call->server, &call->out, call->server->setup.limits.answer_max);
    call->out.failed = hs_arena_failed(call->req.arena);
    http_sub_chunk(call, reply->body);
}

void http_sub_chunk(struct http_call *call, struct hs_str data)
{
    struct http_sub *sub = call->sub;

    if (call->req.is_gone || hs_buf_failed(&call->out) || data.n == 0)
        return;
    if (http_req_hold(payer_of(call), data.n)) {
        hs_buf_add(&call->out, data);
        if (!hs_buf_failed(&call->out))
            return;
        http_req_unhold(payer_of(call), data.n);
    } else {
        sub->is_cut = true;
    }
    /* Nobody will see the rest: spare the work. */
    call->req.is_gone = true;
}

static void reply_cut(struct http_call *call)
{
    struct hs_err err;

    hs_fail(&err, HS_E_LIMIT, "there is no room for this answer");
    hs_err_why(&err, "it comes in pieces, and all that is kept for one request is bounded by "
                     "server.answer.max, for all clients by server.output.total");
    hs_err_hint(&err, "Ask for less, or ask for it alone.");
    http_reply_error(&call->req, &err);
}

void http_sub_end(struct http_call *call)
{
    struct http_reply reply = call->sub->begun;
    struct hs_err err;

    call->is_streaming = false;
    if (call->sub->is_cut) {
        reply_cut(call);
        return;
    }
    if (hs_buf_failed(&call->out)) {
        hs_fail_memory(&err);
        http_reply_error(&call->req, &err);
        return;
    }
    reply.body = hs_buf_str(&call->out);
    http_sub_reply(call, &reply);
}

void http_sub_abort(struct http_call *call)
{
    struct hs_err err;

    call->is_streaming = false;
    if (call->sub->parent && call->sub->parent->is_gone) {
        http_sub_reply(call, &call->sub->begun);
        return;
    }
    if (call->sub->is_cut) {
        reply_cut(call);
        return;
    }
    hs_fail(&err, HS_E_INTERNAL, "the answer broke off");
    http_reply_error(&call->req, &err);
}

/* ---- what is kept for an answer ---- */

bool http_req_hold(struct http_req *req, size_t n)
{
    struct http_call *call = http_call_of(req);
    struct http_server *server = call->server;
    const struct http_limits *limits = &server->setup.limits;

    /* After a reload the bound may lie below what is kept. */
    if (call->kept + n > limits->answer_max)
        return false;
    if (n > HTTP_SMALL_ANSWER && server->waiting + n > limits->output_total)
        return false;
    call->kept += n;
    server->waiting += n;
    return true;
}

void http_req_unhold(struct http_req *req, size_t n)
{
    struct http_call *call = http_call_of(req);

    HS_BUG_ON(n > call->kept);
    call->kept -= n;
    call->server->waiting -= n;
}
