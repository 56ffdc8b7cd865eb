/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which handler answers a path. The table is small (a dozen rows), so it is searched from top to
 * bottom: exact paths first, then prefixes, the longest first; the first that matches wins. Paths
 * are compared as sent: a route's own path has nothing that needs percent-encoding.
 *
 * The router answers by itself what no handler should have to think of: 404, 405 with Allow (RFC
 * 9110, 15.5.6), OPTIONS (9.3.7).
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "http/server_int.h"

static const struct {
    enum http_method method;
    const char *name;
} methods[] = {
    {HTTP_GET, "GET"},     {HTTP_HEAD, "HEAD"},     {HTTP_POST, "POST"},       {HTTP_PUT, "PUT"},
    {HTTP_PATCH, "PATCH"}, {HTTP_DELETE, "DELETE"}, {HTTP_OPTIONS, "OPTIONS"},
};

static unsigned allowed(const struct http_route *row)
{
    return row->methods | HTTP_OPTIONS | (row->methods & HTTP_GET ? HTTP_HEAD : 0u);
}

static size_t write_allow(char *to, size_t size, unsigned bits)
{
    size_t n = 0;

    for (size_t i = 0; i < HS_LEN(methods); i++) {
        if (bits & methods[i].method)
            n += (size_t)snprintf(to + n, size - n, "%s%s", n ? ", " : "Allow: ", methods[i].name);
    }
    n += (size_t)snprintf(to + n, size - n, "\r\n");
    return n;
}

static int compare(const void *a, const void *b)
{
    const struct http_entry *x = a;
    const struct http_entry *y = b;

    if (x->row->match != y->row->match)
        return x->row->match - y->row->match;
    return (x->path.n < y->path.n) - (x->path.n > y->path.n);
}

hs_status http_router_entries(const struct http_route *routes, size_t n,
                              struct http_entry **ret_entries, struct hs_err *reterr)
{
    struct http_entry *entries = hs_calloc(n, sizeof(*entries));

    if (!entries)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < n; i++) {
        struct http_entry *e = &entries[i];

        e->row = &routes[i];
        e->path = hs_str(e->row->path);
        e->metric = hs_metric_route(e->path);
        e->allow_n = write_allow(e->allow, sizeof(e->allow), allowed(e->row));
    }
    if (n)
        qsort(entries, n, sizeof(*entries), compare);
    *ret_entries = entries;
    return HS_OK;
}

static bool is_below(struct hs_str path, struct hs_str prefix)
{
    return hs_str_starts(path, prefix) &&
           (path.n == prefix.n || path.p[prefix.n] == '/' || prefix.p[prefix.n - 1] == '/');
}

const struct http_entry *http_router_find(const struct http_server *server, struct hs_str path)
{
    for (size_t i = 0; i < server->setup.n_routes; i++) {
        const struct http_entry *e = &server->entries[i];

        if (e->row->match == HTTP_ROUTE_EXACT ? hs_str_eq(path, e->path) : is_below(path, e->path))
            return e;
    }
    return NULL;
}

bool http_router_allows(const struct http_entry *entry, enum http_method method)
{
    return (allowed(entry->row) & method) != 0;
}

static void answer_options(struct http_req *req, struct hs_str allow)
{
    struct http_reply reply = {.status = 204, .headers = allow};

    http_reply(req, &reply);
}

static void answer_options_star(struct http_call *call)
{
    const struct http_server *server = call->server;
    unsigned bits = HTTP_OPTIONS;
    char allow[96];

    for (size_t i = 0; i < server->setup.n_routes; i++)
        bits |= allowed(&server->setup.routes[i]);
    answer_options(&call->req, hs_strn(allow, write_allow(allow, sizeof(allow), bits)));
}

static void answer_not_found(struct http_req *req)
{
    struct hs_err err;

    hs_fail(&err, HS_E_NOT_FOUND, "nothing is served at %.*s", HS_FMT(req->path));
    http_reply_error(req, &err);
}

void http_reply_not_allowed(struct http_req *req, unsigned bits)
{
    char allow[96];
    struct hs_err err;
    size_t n = write_allow(allow, sizeof(allow),
                           bits | HTTP_OPTIONS | (bits & HTTP_GET ? HTTP_HEAD : 0u));

    hs_fail(&err, HS_E_METHOD, "%.*s is not served at %.*s", HS_FMT(req->method_name),
            HS_FMT(req->path));
    http_reply_error_with(req, &err, hs_strn(allow, n), /* close= */ false);
}

static void run_handler(struct http_call *call, const struct http_entry *e)
{
    const struct http_server_setup *setup = &call->server->setup;
    struct http_req *req = &call->req;

    for (size_t i = 0; i < setup->n_steps && !e->row->is_open; i++) {
        if (!setup->steps[i].step->run(setup->steps[i].ctx, req))
            return;
    }
    e->row->handler->handle(e->row->ctx, req);
}

void http_router_run(struct http_call *call)
{
    struct http_req *req = &call->req;
    const struct http_entry *e;

    if (hs_str_is(req->path, "*")) {
        answer_options_star(call);
        return;
    }
    e = http_router_find(call->server, req->path);
    if (!e) {
        answer_not_found(req);
        return;
    }
    req->route = e->metric;
    req->tell = e->row->handler->tell;
    if (!http_router_allows(e, req->method)) {
        http_reply_not_allowed(req, e->row->methods);
        return;
    }
    if (req->method == HTTP_OPTIONS && !(e->row->methods & HTTP_OPTIONS)) {
        answer_options(req, hs_strn(e->allow, e->allow_n));
        return;
    }
    req->path_rest = hs_str_sub(req->path, e->path.n, req->path.n);
    if (req->path_rest.n && req->path_rest.p[0] == '/')
        req->path_rest = hs_str_sub(req->path_rest, 1, req->path_rest.n);
    run_handler(call, e);
}
