/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http/server.h - a worker's HTTP/1.1 server: connections, router, steps, handlers.
 *
 * Shape      one server per worker; routes and steps are tables made by the composition root.
 * Promises   strict reading (RFC 9112; every refusal is 400 and a close, see h1.h), answers in
 * order, one read and one write a turn where possible, an idle connection holds no buffer, a client
 *            that does not read stops being read from.
 * Limits     struct http_limits, from options server.*.
 * Timeouts   fire up to a quarter of a second late; write_timeout between once and twice its value,
 *            renewed by each quarter of output_max that the client takes.
 * Thread     the worker's.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdatomic.h>

#include "http/req.h"
#include "net/loop.h"

struct http_limits {
    hs_us idle_timeout;
    hs_us header_timeout;
    hs_us body_timeout;
    hs_us write_timeout;
    size_t request_line_max;
    size_t headers_max;
    size_t headers_count_max;
    size_t body_max;
    size_t pipeline_max;
    size_t output_max;
    size_t output_total; /* of this worker; at least answer_max, or the largest never leave */
    size_t request_memory_max;
    size_t answer_max;
    size_t connections_max; /* over all workers, see `connections` */
    bool timing;            /* X-Response-Time and Server-Timing */
    bool access_log;
};

enum { HTTP_ROUTE_EXACT = 1, HTTP_ROUTE_PREFIX = 2 };

/* One row of the routing table. Exact routes win over prefixes, longer prefixes over shorter. */
struct http_route {
    const char *path; /* "/health"; a prefix matches "/api/v1" and "/api/v1/..." */
    int match;
    unsigned methods; /* bits of enum http_method; else 405 with Allow. GET allows HEAD; OPTIONS is
                         answered by the router where it is not among them */
    bool is_open;     /* steps are not run: health, metrics, index */
    const struct http_handler *handler;
    void *ctx; /* per worker */
};

struct http_step_row {
    const struct http_step *step;
    void *ctx;
};

struct http_server;

struct http_server_setup {
    struct net_loop *loop;
    struct hs_metrics *metrics;
    struct http_limits limits;
    const struct http_route *routes;
    size_t n_routes;
    const struct http_step_row *steps;
    size_t n_steps;
    atomic_size_t *connections; /* shared by all workers */
    bool audits_all; /* each request is a line of the audit log, not only what is refused */
};

/* The tables must outlive the server. */
hs_status http_server_new(const struct http_server_setup *setup, struct http_server **ret_server,
                          struct hs_err *reterr) hs_must_check;

/*
 * Other limits and other routes from now on; what is being read or answered keeps its size, a time that
 * runs is measured by the new limit. The new table must outlive the server or its next reload; the old one
 * is not looked at again. On the loop's thread, not from inside a handler or a step.
 *   errors  HS_E_MEMORY: nothing was changed
 */
hs_status http_server_reload(struct http_server *server, const struct http_limits *limits,
                             const struct http_route *routes, size_t n_routes,
                             struct hs_err *reterr) hs_must_check;

/* Accepts from a bound, listening, non-blocking socket (net/listen.h); takes ownership of fd. */
hs_status http_server_listen(struct http_server *server, int fd, struct hs_err *reterr)
    hs_must_check;

/*
 * Stops accepting, closes idle connections, marks answers with `Connection: close`; calls done(arg)
 * once no connection is left or when `bound` has passed (then the rest is reset). done comes from
 * the loop, never from inside this call.
 */
void http_server_drain(struct http_server *server, hs_us bound, void (*done)(void *arg), void *arg);

/*
 * After done(), or when no connection was ever accepted. Requests whose handler still owes an
 * answer stay valid; the last of their answers frees what is left. NULL is allowed.
 */
void http_server_free(struct http_server *server);

#endif
