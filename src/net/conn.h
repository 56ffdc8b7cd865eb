/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/conn.h - accepted TCP connections of one worker.
 *
 * Shape      an acceptor owns listening sockets and one read buffer that all its connections share;
 * a connection is one block of memory with room for its user's own data, and holds no buffer unless
 * the client does not take what is written. Promises   each accepted connection: on_open once,
 * on_closed once and last, unless on_open refused. Accepting pauses when descriptors or memory run
 * out, clients then wait in the kernel's queue. A turn takes a bounded number of connections, and
 * of bytes from each connection. Thread     the loop's. Source     libuv 1.44 manual,
 * "uv_stream_t", "uv_tcp_t"; accept(2).
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdatomic.h>

#include "core/buf.h"
#include "net/loop.h"

struct net_acceptor;
struct net_conn;

enum { NET_READ_BYTES = 65536 }; /* most that on_data gets at once */

struct net_conn_ops {
    size_t data_bytes; /* of net_conn_data(), cleared before on_open */
    /* A new connection, not yet read from. false: it is closed and on_closed does not come. */
    bool (*on_open)(void *ctx, struct net_conn *conn);
    /* Bytes came; p is the shared buffer, valid until the return. */
    void (*on_data)(struct net_conn *conn, const char *p, size_t n);
    /* The client will send nothing more; it may still read. */
    void (*on_eof)(struct net_conn *conn);
    /* All that was waiting to be written has been taken. */
    void (*on_drained)(struct net_conn *conn);
    /* The memory goes when this returns. */
    void (*on_closed)(struct net_conn *conn);
};

struct net_acceptor_setup {
    struct net_loop *loop;
    struct hs_metrics *metrics;
    const struct net_conn_ops *ops;
    void *ctx;                  /* for on_open */
    atomic_size_t *connections; /* open ones, over all workers */
    size_t connections_max;     /* of them; further ones are closed at once */
};

hs_status net_acceptor_new(const struct net_acceptor_setup *setup,
                           struct net_acceptor **ret_acceptor, struct hs_err *reterr) hs_must_check;
/* Accepts from a listening, non-blocking socket; takes ownership of fd, also on failure. */
hs_status net_acceptor_listen(struct net_acceptor *a, int fd, struct hs_err *reterr) hs_must_check;
/* Takes what waits in the kernel's queues, then closes the listening sockets. */
void net_acceptor_stop(struct net_acceptor *a);
/* Another connections_max from now on; none is closed for it. */
void net_acceptor_limit(struct net_acceptor *a, size_t connections_max);
/* Connections of this acceptor. */
size_t net_acceptor_count(const struct net_acceptor *a);
/* When net_acceptor_count() is 0. NULL is allowed. */
void net_acceptor_free(struct net_acceptor *a);

void *net_conn_data(struct net_conn *conn);
/* "192.0.2.1:1234" or "[2001:db8::1]:1234"; lives with the connection. */
struct hs_str net_conn_peer(const struct net_conn *conn);

/*
 * Writes what the socket takes now. What it does not take waits in the connection, which takes over
 * the buffer's memory, and on_drained follows. After it buf is empty; not to be called while
 * writing. If the connection is broken or memory lacks, it is closed. Returns the bytes handed
 * over.
 */
size_t net_conn_write(struct net_conn *conn, struct hs_buf *buf);
/*
 * The same with `body` behind it, which is copied only as far as the socket does not take it: into buf, whose maximum
 * must allow for that.
 */
size_t net_conn_write_with(struct net_conn *conn, struct hs_buf *buf, struct hs_str body);
bool net_conn_is_writing(const struct net_conn *conn);
/* Bytes that wait here. */
size_t net_conn_unsent(const struct net_conn *conn);
/* The same and what the kernel holds that the client has not acknowledged; a system call. */
size_t net_conn_unacked(const struct net_conn *conn);

/* Was it reset? While reading is paused, or after on_eof, nothing else tells; a system call. */
bool net_conn_is_lost(const struct net_conn *conn);

/* Reading is on from the start; pausing lets the client's bytes wait in the kernel. Idempotent. */
void net_conn_pause(struct net_conn *conn);
void net_conn_resume(struct net_conn *conn);
/* Sends FIN; for when nothing waits to be written. */
void net_conn_end(struct net_conn *conn);
/* Closes; on_closed follows in this turn. reset: with RST. Idempotent. */
void net_conn_close(struct net_conn *conn, bool reset);
bool net_conn_is_closing(const struct net_conn *conn);

#endif
