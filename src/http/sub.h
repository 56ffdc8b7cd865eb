/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http/sub.h - a request within a request: it passes the same router, steps and handlers as one that
 * came from a socket, and its answer is given to a function instead of a client.
 *
 * Of itself  A server may ask itself, for nobody's client: then there is no parent, and the request says as whom
 *            it is asked; the auth step takes that as it is.
 * Who asks   the parent's Authorization, unless the sub-request has one of its own; what else the parent may have
 *            shown of itself is the auth step's to look up there (req->parent). Host, client and trace
 *            are the parent's; the span is its own. No other header of the parent is passed on.
 * Counts     by its own route in the metrics, like any request. The access log has the parent's line only.
 * Promises   done() is called exactly once, perhaps from inside http_sub_run(): whatever goes wrong becomes
 *            an answer. When the parent's client goes away, is_gone becomes true for each of its
 *            sub-requests. An answer in pieces is collected and arrives whole; one that does not fit, or is
 *            aborted, arrives as an error.
 * Lifetime   the parent must not be answered before the last done().
 * Thread     the worker's.
 */
#ifndef HTTP_SUB_H
#define HTTP_SUB_H

#include "http/req.h"

enum { HTTP_SUB_MAGIC = 0x48535542 };

/* In the caller's memory; it and what it points to must stay put until done(). */
struct http_sub {
    uint32_t magic;               /* HTTP_SUB_MAGIC */
    struct http_req *parent;      /* NULL: the server's own request, */
    struct http_server *server;   /* of this server, */
    struct hs_identity *identity; /* asked as this one; a reference of its own is taken */
    struct hs_str method;
    struct hs_str target; /* as in a request line, beginning with '/' */
    const struct http_header *headers;
    size_t n_headers;
    struct hs_str body;
    void *scope; /* becomes the request's own: opaque here, the handlers' to know */
    /* The reply's texts live until it returns; the sub-request is over already. */
    void (*done)(struct http_sub *sub, const struct http_reply *reply);

    struct http_reply begun; /* private: the head of an answer in pieces */
    bool is_cut;             /* private: a piece did not fit */
};

/*
 * Runs it. What a socket's request may not have, it may not either: a target or headers with other bytes
 * than HTTP allows get 400, longer ones than server.request_line.max and server.headers.* 414 and 431.
 */
void http_sub_run(struct http_sub *sub);

/*
 * Counts n bytes that are kept in memory for the answer to req before it is given, so that they stand
 * under server.answer.max (all of req's together) and server.output.total. false: they would pass one of
 * them, nothing was counted. All of it must be given back before the answer.
 */
bool http_req_hold(struct http_req *req, size_t n) hs_must_check;
void http_req_unhold(struct http_req *req, size_t n);

#endif
