/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http/req.h - one request on its way through the house, and how it is answered.
 *
 * Lifetime   the request and all it points to live in its arena, until the answer has been handed
 * over (http_reply*); after that call the request must not be touched. Promise    a handler answers
 * each request exactly once, from its own worker's thread, at once or later. If the client goes
 * away first, `is_gone` becomes true and the answer is dropped, but it is still owed: the reply
 * call is what frees the request. Order      answers leave in the order of the requests of their
 * connection, whatever the order in which they are given (RFC 9112, 9.3.2).
 */
#ifndef HTTP_REQ_H
#define HTTP_REQ_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/identity.h"
#include "core/metric.h"
#include "core/time.h"
#include "http/coding.h"

enum http_method {
    HTTP_GET = 1 << 0,
    HTTP_HEAD = 1 << 1,
    HTTP_POST = 1 << 2,
    HTTP_PUT = 1 << 3,
    HTTP_PATCH = 1 << 4,
    HTTP_DELETE = 1 << 5,
    HTTP_OPTIONS = 1 << 6,
    HTTP_OTHER = 1 << 7 /* a valid token that is none of the above */
};

struct http_header {
    struct hs_str name;  /* as sent; compare with hs_str_ieq */
    struct hs_str value; /* without the white space around it */
};

enum { HTTP_REQUEST_MAGIC = 0x48524551, HTTP_REQUEST_ID = 32 };

struct http_req;

struct http_reply;

/*
 * How an error is told at an address, where it is not in hasten's own form: appends the body to `out`, may change
 * the reply's status, headers (in the request's arena) and content type, which are those of the error when called.
 * with_why: the details may be told to the client.
 */
typedef void http_tell_f(const struct http_req *req, const struct hs_err *err, bool with_why,
                         struct hs_buf *out, struct http_reply *reply);

struct http_req {
    uint32_t magic;
    enum http_method method;
    struct hs_str method_name;
    struct hs_str target; /* as sent */
    struct hs_str path; /* before '?'; still percent-encoded; starts with '/' ("*" for OPTIONS *) */
    struct hs_str query; /* behind '?', still percent-encoded; p == NULL if there is no '?' */
    struct http_header *headers;
    size_t n_headers;
    struct hs_str body; /* whole, chunked coding removed */
    struct hs_arena *arena;
    struct hs_metrics *metrics; /* of the worker */
    hs_us started_at;           /* first byte of the request */
    hs_us pg_us;                /* time spent waiting for PostgreSQL, for Server-Timing; 0 = none */
    struct hs_identity
        *identity;  /* set by the auth step; the request holds a reference; may be NULL */
    unsigned route; /* for the metrics; set by the router or the handler */
    bool is_gone;   /* the client has left: spare the work */
    bool has_trace; /* trace_id came from a valid traceparent */
    char trace_id[HTTP_REQUEST_ID]; /* 32 hex digits: W3C trace id and request id at once; no NUL */
    char span_id[16];               /* ours, 16 hex digits */
    bool is_sampled;
    struct hs_str client; /* address and port, for logs */
    /*
     * Why it is refused, a word for the audit log's lines of 401 and 403; NULL: the error's code. Set by the auth
     * step; who writes errors of his own sets it to their code. Must live until the call that answers.
     */
    const char *denied;
    struct hs_str path_rest;       /* what follows the matched route's prefix, without its '/' */
    struct hs_str host;            /* p == NULL if there is none (HTTP/1.0) */
    const struct http_req *parent; /* of a request within a request; else NULL */
    void *
        scope; /* of a request within a request: what its parent shares with it (http/sub.h); else NULL */
    http_tell_f *tell;           /* set by the router; NULL = hasten's own form */
    struct hs_str extra_headers; /* complete lines for whatever answer it gets; set by a step */
};

/* First header of that name (any case), or NULL value.p. Off the hottest path: linear. */
struct hs_str http_req_header(const struct http_req *req, struct hs_str name);

/* The coding that the client would have of ours; identity for a request within a request, whose parent takes it. */
enum http_coding http_req_coding(struct http_req *req);

struct http_reply {
    unsigned status;
    struct hs_str content_type; /* empty = none */
    struct hs_str headers;      /* further complete lines, each ending in CRLF; may be empty */
    struct hs_str body;         /* copied before the call returns */
    bool close;                 /* close the connection after this answer */
};

/* Answers the request; HEAD gets the head only, with the Content-Length GET would have had. */
void http_reply(struct http_req *req, const struct http_reply *reply);

/* Answers with the error's status and its JSON form; adds Retry-After to 503, WWW-Authenticate to
 * 401. An answer longer than server.answer.max becomes such an error too. */
void http_reply_error(struct http_req *req, const struct hs_err *err);

/* 405: the path is served, but only by these methods (bits of enum http_method; GET allows HEAD). */
void http_reply_not_allowed(struct http_req *req, unsigned methods);

/*
 * An answer in pieces, of a length that is not known before: chunked for HTTP/1.1, ended by the
 * close for HTTP/1.0. begin, then any number of chunks, then end or abort, which is what frees the
 * request. From begin on, the answer belongs to the connection's order like any other.
 *
 *   ready   called on the loop once the client has taken enough, after a chunk call returned false,
 * and once when the client goes away meanwhile (is_gone); never from inside these calls
 */
typedef void http_ready_f(void *arg, struct http_req *req);
/* reply->body, if any, is the first chunk; reply->close closes after the end. */
void http_reply_begin(struct http_req *req, const struct http_reply *reply, http_ready_f *ready,
                      void *arg);
/* Taken in any case, at most server.answer.max bytes; false: wait for ready before giving more. */
bool http_reply_chunk(struct http_req *req, struct hs_str data);
void http_reply_end(struct http_req *req);
/* The rest is not wanted: resets the connection, without the end and without what waits. */
void http_reply_abort(struct http_req *req);
/*
 * The rest cannot be made: what was given still leaves, then the connection closes without the end, so
 * that the client sees it is cut. Where only a reset shows that (HTTP/1.0): as abort.
 */
void http_reply_cut(struct http_req *req);
/* Bytes that wait on the request's connection, its own among them, and that the socket has not taken. */
size_t http_reply_unsent(struct http_req *req);

/*
 * Scratch of the worker for building a body: cleared, of maximum server.answer.max. Valid until the
 * callback returns; http_reply() copies from it.
 */
struct hs_buf *http_req_scratch(struct http_req *req);

/* ---- the two extension points ---- */

/* Looks at a request before its handler. true = go on; false = it has answered, or will. */
struct http_step {
    const char *name;
    bool (*run)(void *ctx, struct http_req *req);
};

struct http_handler {
    const char *name;
    void (*handle)(void *ctx, struct http_req *req);
    http_tell_f *
        tell; /* of errors at its addresses, those of the steps before it included; NULL = hasten's form */
};

#endif
