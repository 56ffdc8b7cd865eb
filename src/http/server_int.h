/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http/server_int.h - what the files of the server share; for src/http only.
 *
 * Who owns   server -> connections (through net) -> calls. A call is a request on its way: it is
 * read (conn->reading), then queued in the order of arrival (conn->calls) until its answer has been
 *            moved to conn->out. A call whose connection has gone has conn == NULL and is owned by
 * the handler that owes the answer. Files      server.c   life, timeouts, drain, pools conn.c bytes
 * in, requests out; when to read, write, close call.c     a request's memory and identity reply.c
 * answers: bytes, order, accounts router.c   which handler sub.c      requests within a request
 */
#ifndef HTTP_SERVER_INT_H
#define HTTP_SERVER_INT_H

#include "core/rng.h"
#include "http/h1.h"
#include "http/server.h"
#include "http/sub.h"
#include "net/conn.h"

/* A connection is in the list of its state; all but BUSY have a time limit. */
enum http_state {
    HTTP_IDLE,
    HTTP_HEADING,
    HTTP_BODY,
    HTTP_WRITING,
    HTTP_LINGERING,
    HTTP_WATCHED, /* busy, and nothing is read: that the client has gone shows only if asked for */
    HTTP_BUSY,
    HTTP_STATES
};

enum {
    HTTP_CONN_MAGIC = 0x48434f4e,
    HTTP_TURN_REQUESTS = 128,    /* of one connection in one turn */
    HTTP_LINGER_BYTES = 1 << 20, /* dropped after the last answer, then the connection goes */
    HTTP_SMALL_ANSWER = 16384,   /* kept whatever else waits */
    HTTP_HEAD_ROOM = 1024,       /* an answer's head without the handler's own lines fits */
    HTTP_CALLS_KEPT = 256,       /* recycled requests per worker */
    HTTP_BUFS_KEPT = 64,         /* recycled buffers per worker, */
    HTTP_BUF_KEPT_BYTES = 65536, /* none of them larger */
    HTTP_CHUNK_EXTRA_MAX = 16384 /* bytes of chunk extensions and trailers in one body */
};

struct http_conn {
    uint32_t magic;
    enum http_state state;
    struct hs_list node; /* in server->states[state] */
    struct hs_list
        dirty; /* in server->dirty: something to write or decide at the end of the turn */
    struct hs_list resume; /* in server->resumes: `in` holds what may be read on next turn */
    hs_us since;           /* when the state's time began */
    struct http_server *server;
    struct net_conn *net;
    struct hs_list calls;      /* in order of arrival, each owes an answer or waits for its turn */
    struct http_call *reading; /* its body is coming in */
    size_t n_calls;
    size_t held;         /* answer bytes in calls that wait for their turn */
    size_t unsent;       /* handed over to the socket and kept there until all of it was taken */
    size_t counted;      /* of held, out and unsent: in server->waiting */
    size_t unacked_seen; /* for progress within write_timeout */
    size_t lingered;     /* bytes dropped after the last answer */
    size_t head_seen;    /* bytes of `in` that were read as a head before */
    struct hs_buf in;    /* what could not be used yet; memory only while there is some */
    struct hs_buf out;   /* answers in order, not yet handed to the socket */
    unsigned turn_requests;
    bool is_new;        /* has not sent a byte yet */
    bool is_new_write;  /* the socket did not take all: the time to write begins */
    bool is_fresh;      /* a request began, ended or was answered: the state's time begins anew */
    bool owes_continue; /* 100 (Continue) for `reading` */
    bool is_stalled;    /* reading stopped for a bound, not for want of bytes */
    bool no_more;       /* no further request is read */
    bool is_last_out;   /* the last answer is in `out` */
    bool is_ended;      /* the client's FIN came */
};

struct http_call {
    struct http_req req;
    struct hs_list node; /* in conn->calls; in server->calls_free; in its parent's subs */
    struct http_server *server;
    struct http_conn *conn; /* NULL: gone, or a sub-request */
    struct http_sub *sub;   /* who takes the answer instead of a connection; NULL: nobody */
    struct hs_list subs;    /* sub-requests that owe their answer */
    size_t kept;            /* answer bytes that its handler keeps, in server->waiting */
    struct hs_arena arena;
    struct hs_buf body;
    struct hs_buf out; /* its answer, while it waits for its turn */
    struct h1_chunks chunks;
    uint64_t body_left;
    uint64_t sent; /* answer bytes, for the log */
    unsigned status;
    unsigned minor;
    http_ready_f *ready;
    void *ready_arg;
    bool is_chunked_in;
    bool keep_alive;
    bool is_queued;    /* counts as in flight */
    bool is_streaming; /* between begin and end */
    bool is_chunked_out;
    bool has_no_body; /* HEAD, 204, 304: no byte of a body leaves */
    bool wants_ready;
    bool is_answered; /* whole, but waits for its turn */
    bool closes;
};

struct http_entry {
    const struct http_route *row;
    struct hs_str path;
    unsigned metric;
    char allow[96]; /* "Allow: GET, HEAD, OPTIONS\r\n" */
    size_t allow_n;
};

struct http_server {
    struct http_server_setup setup;
    struct net_acceptor *acceptor;
    struct http_entry *entries; /* exact ones first, then prefixes, longest first */
    struct h1_limits h1;
    struct http_header *headers; /* scratch of the reader */
    struct hs_list states[HTTP_STATES];
    struct hs_list dirty;
    struct hs_list resumes;
    struct net_hook hook;
    struct net_timer *timeouts;
    hs_us timeouts_due; /* 0: not running */
    struct net_timer *drainer;
    hs_us drain_until;
    void (*drain_done)(void *arg);
    void *drain_arg;
    bool is_draining;
    bool is_drained;
    bool is_freed;
    const struct http_conn *current; /* whose bytes are being read: it settles by itself */
    hs_us now;                       /* of this callback */
    hs_us date_until;
    char date[HS_TIME_TEXT]; /* "Date: ...\r\n" is made of it */
    size_t date_n;
    struct hs_rng rng;
    struct hs_list calls_free;
    size_t n_calls_free;
    size_t n_calls; /* alive */
    struct hs_buf bufs[HTTP_BUFS_KEPT];
    size_t n_bufs;
    struct hs_buf scratch;
    struct hs_buf error_text;
    hs_us
        failures_since; /* the second in which `failures` were logged, of `failures_left_out` that were not */
    unsigned failures;
    uint64_t failures_left_out;
    size_t out_max;
    size_t waiting; /* answer bytes of all connections that clients have not taken */
};

/* The answer for which there is no memory to make one. */
#define HTTP_NO_MEMORY                                                                   \
    HS_STR("{\"code\":\"out_of_memory\",\"message\":\"out of memory\",\"details\":null," \
           "\"hint\":null}")

static inline struct http_call *http_call_of(struct http_req *req)
{
    HS_OBJ(req, HTTP_REQUEST_MAGIC);
    return HS_CONTAINER(req, struct http_call, req);
}

/* ---- server.c ---- */
/* Memory for an empty buffer, a recycled one if there is any; max is the new maximum. */
void http_buf_take(struct http_server *server, struct hs_buf *buf, size_t max);
/* Ends the buffer, keeps its memory for another if it is small. */
void http_buf_give(struct http_server *server, struct hs_buf *buf);
/* Moves the connection into the list of the state that it is in. */
void http_conn_enter(struct http_conn *conn, enum http_state state);
void http_server_release(struct http_server *server);

/* ---- conn.c ---- */
extern const struct net_conn_ops http_conn_ops;
/* The most that `in` of a connection may hold. */
size_t http_conn_in_max(const struct http_server *server);
/* Something changed outside of reading: the connection is looked at before the loop waits. */
void http_conn_touch(struct http_conn *conn);
/* Writes `out` and behind it `body`, in one call; nothing may wait to be written. */
void http_conn_write(struct http_conn *conn, struct hs_str body);
/* Writes, resumes, closes, whatever is due. */
void http_conn_settle(struct http_conn *conn);
/* Reads on what was left in conn->in. */
void http_conn_read_on(struct http_conn *conn);
/* Answers with an error in the order of the connection, then closes. */
void http_conn_refuse(struct http_conn *conn, hs_status error, const char *why);
void http_conn_timeout(struct http_conn *conn);

/* ---- call.c ---- */
/* conn is NULL for a sub-request. NULL: no memory. */
struct http_call *http_call_new(struct http_server *server, struct http_conn *conn,
                                hs_us started_at);
/* Takes over what the head says; head's slices point into `bytes`. false: no memory. */
bool http_call_fill(struct http_call *call, const struct h1_head *head, struct hs_str bytes);
/* For the answer to a request that could not be read. */
void http_call_fill_refused(struct http_call *call);
/* What a sub-request has from its parent: trace, client, host. NULL: a trace of its own. */
void http_call_fill_sub(struct http_call *call, const struct http_req *parent);
/* The connection has gone or ends before it: what it was to answer is not wanted any more.
 * Unlinked. */
void http_call_orphan(struct http_call *call);
/* Unlinks and recycles. */
void http_call_free(struct http_call *call);

/* ---- reply.c ---- */
/* Brings server->waiting up to date with the connection. */
void http_conn_count(struct http_conn *conn);
/* Moves answers whose turn has come to conn->out. */
void http_conn_advance(struct http_conn *conn);
void http_reply_error_with(struct http_req *req, const struct hs_err *err, struct hs_str headers,
                           bool close);

/* ---- audit.c ---- */
/* A request was answered with that status: a line of the audit log, if that is one for it. */
void http_audit(const struct http_call *call, unsigned status);

/* ---- sub.c ---- */
/* The calls of http/req.h of the same names, for a sub-request. */
void http_sub_reply(struct http_call *call, const struct http_reply *reply);
void http_sub_begin(struct http_call *call, const struct http_reply *reply);
void http_sub_chunk(struct http_call *call, struct hs_str data);
void http_sub_end(struct http_call *call);
void http_sub_abort(struct http_call *call);

/* ---- router.c ---- */
/* The routes in the order in which they are tried; hs_free(). */
hs_status http_router_entries(const struct http_route *routes, size_t n,
                              struct http_entry **ret_entries, struct hs_err *reterr) hs_must_check;
/* NULL: nothing is served there. */
const struct http_entry *http_router_find(const struct http_server *server, struct hs_str path);
bool http_router_allows(const struct http_entry *entry, enum http_method method);
/* Routes, runs the steps and the handler. */
void http_router_run(struct http_call *call);

#endif
