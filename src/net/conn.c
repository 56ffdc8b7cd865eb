/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepting is ours (accept4 from a polled socket) and not uv_listen()'s, because at the descriptor
 * limit libuv accepts and drops the clients that wait; here the poll is taken off for a moment and
 * they stay in the kernel's queue. Everything after the accept is a uv_tcp_t.
 *
 * Reading: libuv reads on while a read fills the buffer. The alloc callback bounds that: past
 * READ_TURN_MAX reads of one connection in a row it offers no memory, libuv then reports UV_ENOBUFS
 * and goes on to its neighbour; epoll is level-triggered, so the rest comes next turn.
 *
 * Writing: uv_try_write() first, which costs one system call and no memory. Only what the socket
 * refuses gets a uv_write_t, together with the buffer that it points into.
 */
#include "net/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "core/log.h"
#include "core/mem.h"

enum {
    READ_TURN_MAX = 4,
    ACCEPT_TURN_MAX = 64,
    ACCEPT_STOP_MAX = 65536, /* the kernel's queue is no longer than this */
    PEER_TEXT = 56,
    CONN_MAGIC = 0x4e434f4e
};

#define ACCEPT_PAUSE (100 * HS_MS)
#define ACCEPT_WARN_EVERY (10 * HS_SECOND)

struct listener {
    struct hs_list node;
    struct net_acceptor *acceptor;
    struct net_poll *poll;
    int fd;
};

struct net_acceptor {
    struct net_acceptor_setup setup;
    struct hs_list listeners;
    struct net_timer *retry; /* runs while accepting pauses */
    hs_us warned_at;
    size_t count;
    struct net_hook hook;
    const struct net_conn *reading; /* who read last in this turn, */
    unsigned reads;                 /* and how often */
    bool is_stopped;
    char buffer[NET_READ_BYTES];
};

struct net_write {
    uv_write_t uv;
    struct hs_buf buf;
};

struct net_conn {
    uint32_t magic;
    bool is_reading;
    bool is_ended; /* the client's FIN came */
    bool is_closing;
    uint8_t peer_n;
    struct net_acceptor *acceptor;
    struct net_write *writing; /* NULL: nothing waits */
    uv_tcp_t tcp;
    char peer[PEER_TEXT];
    _Alignas(16) char data[];
};

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    struct net_conn *conn = handle->data;
    struct net_acceptor *a = conn->acceptor;

    (void)suggested;
    if (a->reading != conn) {
        a->reading = conn;
        a->reads = 0;
    }
    *ret_buf = uv_buf_init(a->buffer, a->reads++ < READ_TURN_MAX ? NET_READ_BYTES : 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct net_conn *conn = stream->data;

    HS_OBJ(conn, CONN_MAGIC);
    if (n > 0) {
        hs_metric_add(conn->acceptor->setup.metrics, HS_M_HTTP_RECEIVED_BYTES, (uint64_t)n);
        conn->acceptor->setup.ops->on_data(conn, buf->base, (size_t)n);
        return;
    }
    if (n == 0 || n == UV_ENOBUFS)
        return;
    if (n != UV_EOF) {
        net_conn_close(conn, /* reset= */ false);
        return;
    }
    conn->is_ended = true;
    conn->is_reading = false;
    uv_read_stop(stream);
    conn->acceptor->setup.ops->on_eof(conn);
}

/* A new turn: whoever read last may read again. */
static void on_turn(struct net_hook *hook)
{
    HS_CONTAINER(hook, struct net_acceptor, hook)->reading = NULL;
}

void net_conn_pause(struct net_conn *conn)
{
    if (!conn->is_reading || conn->is_closing)
        return;
    conn->is_reading = false;
    uv_read_stop((uv_stream_t *)&conn->tcp);
}

void net_conn_resume(struct net_conn *conn)
{
    if (conn->is_reading || conn->is_closing || conn->is_ended)
        return;
    if (uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) != 0) {
        net_conn_close(conn, /* reset= */ true);
        return;
    }
    conn->is_reading = true;
}

/* ---- writing ---- */

static void free_write(struct net_conn *conn)
{
    if (!conn->writing)
        return;
    hs_buf_fini(&conn->writing->buf);
    hs_free(conn->writing);
    conn->writing = NULL;
}

static void on_written(uv_write_t *uv, int status)
{
    struct net_conn *conn = uv->data;

    HS_OBJ(conn, CONN_MAGIC);
    free_write(conn);
    if (conn->is_closing)
        return;
    if (status < 0)
        net_conn_close(conn, /* reset= */ false);
    else
        conn->acceptor->setup.ops->on_drained(conn);
}

static void write_later(struct net_conn *conn, struct hs_buf *buf, size_t from)
{
    struct net_write *w = hs_calloc(1, sizeof(*w));
    uv_buf_t rest;

    if (!w) {
        hs_buf_clear(buf);
        net_conn_close(conn, /* reset= */ true);
        return;
    }
    w->buf = *buf;
    hs_buf_init(buf, buf->max);
    w->uv.data = conn;
    conn->writing = w;
    rest = uv_buf_init(w->buf.p + from, (unsigned)(w->buf.n - from));
    if (uv_write(&w->uv, (uv_stream_t *)&conn->tcp, &rest, 1, on_written) != 0) {
        free_write(conn);
        net_conn_close(conn, /* reset= */ true);
    }
}

/* What the socket takes now of both; 0 also where it takes nothing. -1: it is broken, and the connection closes. */
static ssize_t try_write(struct net_conn *conn, const struct hs_buf *buf, struct hs_str body)
{
    const uv_buf_t pieces[] = {
        uv_buf_init(buf->p, (unsigned)buf->n),
        uv_buf_init((char *)(uintptr_t)body.p, (unsigned)body.n), /* libuv only reads it */
    };
    int taken = uv_try_write((uv_stream_t *)&conn->tcp, pieces, body.n ? 2 : 1);

    if (taken >= 0 || taken == UV_EAGAIN)
        return taken < 0 ? 0 : taken;
    net_conn_close(conn, /* reset= */ false);
    return -1;
}

size_t net_conn_write_with(struct net_conn *conn, struct hs_buf *buf, struct hs_str body)
{
    size_t head = buf->n;
    size_t n = head + body.n;
    ssize_t taken;

    HS_BUG_ON(conn->writing || n > UINT32_MAX);
    taken = conn->is_closing || n == 0 ? -1 : try_write(conn, buf, body);
    if (taken < 0) {
        hs_buf_clear(buf);
        return 0;
    }
    hs_metric_add(conn->acceptor->setup.metrics, HS_M_HTTP_SENT_BYTES, n);
    if ((size_t)taken == n) {
        hs_buf_clear(buf);
        return n;
    }
    if ((size_t)taken > head) {
        body = hs_str_sub(body, (size_t)taken - head, body.n);
        hs_buf_clear(buf);
        taken = 0;
    }
    hs_buf_add(buf, body);
    if (hs_buf_failed(buf)) {
        hs_buf_clear(buf);
        net_conn_close(conn, /* reset= */ true);
        return n;
    }
    write_later(conn, buf, (size_t)taken);
    return n;
}

size_t net_conn_write(struct net_conn *conn, struct hs_buf *buf)
{
    return net_conn_write_with(conn, buf, HS_STR(""));
}

bool net_conn_is_writing(const struct net_conn *conn)
{
    return conn->writing != NULL;
}

size_t net_conn_unsent(const struct net_conn *conn)
{
    return conn->writing ? uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp) : 0;
}

/*
 * epoll says writable only when a good part of the socket's buffer is free, which for a slow client
 * can take longer than a write timeout: progress shows in the kernel's queue (SIOCOUTQ, tcp(7))
 * first.
 */
size_t net_conn_unacked(const struct net_conn *conn)
{
    uv_os_fd_t fd;
    int queued = 0;

    if (uv_fileno((const uv_handle_t *)&conn->tcp, &fd) != 0 || ioctl(fd, SIOCOUTQ, &queued) != 0)
        queued = 0;
    return net_conn_unsent(conn) + (size_t)queued;
}

bool net_conn_is_lost(const struct net_conn *conn)
{
    struct pollfd p = {.events = 0};
    uv_os_fd_t fd;

    if (uv_fileno((const uv_handle_t *)&conn->tcp, &fd) != 0)
        return false;
    p.fd = fd;
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP));
}

/* ---- the end ---- */

static void forget(struct net_acceptor *a)
{
    a->count--;
    atomic_fetch_sub_explicit(a->setup.connections, 1, memory_order_relaxed);
    hs_metric_sub(a->setup.metrics, HS_M_HTTP_CONNECTIONS, 1);
}

static void on_close(uv_handle_t *handle)
{
    struct net_conn *conn = handle->data;
    struct net_acceptor *a = conn->acceptor;

    HS_OBJ(conn, CONN_MAGIC);
    free_write(conn);
    a->setup.ops->on_closed(conn);
    conn->magic = 0;
    hs_free(conn);
    forget(a);
}

static void on_close_unopened(uv_handle_t *handle)
{
    struct net_conn *conn = handle->data;
    struct net_acceptor *a = conn->acceptor;

    hs_free(conn);
    forget(a);
}

void net_conn_end(struct net_conn *conn)
{
    uv_os_fd_t fd;

    HS_BUG_ON(conn->writing);
    /* Fails only where the client is gone, which the next read or the user's timeout will tell. */
    if (!conn->is_closing && uv_fileno((const uv_handle_t *)&conn->tcp, &fd) == 0)
        (void)shutdown(fd, SHUT_WR);
}

void net_conn_close(struct net_conn *conn, bool reset)
{
    if (conn->is_closing)
        return;
    conn->is_closing = true;
    if (reset && uv_tcp_close_reset(&conn->tcp, on_close) == 0)
        return;
    uv_close((uv_handle_t *)&conn->tcp, on_close);
}

bool net_conn_is_closing(const struct net_conn *conn)
{
    return conn->is_closing;
}

void *net_conn_data(struct net_conn *conn)
{
    return conn->data;
}

struct hs_str net_conn_peer(const struct net_conn *conn)
{
    return hs_strn(conn->peer, conn->peer_n);
}

/* ---- accepting ---- */

static uint8_t write_peer(char to[static PEER_TEXT], const struct sockaddr_storage *from)
{
    const struct sockaddr_in *v4 = (const void *)from;
    const struct sockaddr_in6 *v6 = (const void *)from;
    bool is_v4 = from->ss_family == AF_INET;
    const void *address = is_v4 ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr;
    char host[INET6_ADDRSTRLEN];
    int n;

    /* A unix socket's client has no address. */
    if (!is_v4 && from->ss_family != AF_INET6)
        return 0;
    if (!is_v4 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        is_v4 = true;
        address = &v6->sin6_addr.s6_addr[12];
    }
    if (!inet_ntop(is_v4 ? AF_INET : AF_INET6, address, host, sizeof(host)))
        return 0;
    n = snprintf(to, PEER_TEXT, is_v4 ? "%s:%u" : "[%s]:%u", host,
                 ntohs(from->ss_family == AF_INET ? v4->sin_port : v6->sin6_port));
    return (uint8_t)(n < 0 || n >= PEER_TEXT ? 0 : n);
}

/* fd is the connection's from here on, or closed. */
static void open_conn(struct net_acceptor *a, int fd, const struct sockaddr_storage *from)
{
    const struct net_conn_ops *ops = a->setup.ops;
    struct net_conn *conn = hs_calloc(1, sizeof(*conn) + ops->data_bytes);

    if (!conn || uv_tcp_init(net_loop_uv(a->setup.loop), &conn->tcp) != 0) {
        hs_free(conn);
        close(fd);
        return;
    }
    conn->magic = CONN_MAGIC;
    conn->acceptor = a;
    conn->tcp.data = conn;
    conn->peer_n = write_peer(conn->peer, from);
    a->count++;
    atomic_fetch_add_explicit(a->setup.connections, 1, memory_order_relaxed);
    hs_metric_add(a->setup.metrics, HS_M_HTTP_CONNECTIONS, 1);
    hs_metric_add(a->setup.metrics, HS_M_HTTP_CONNECTIONS_TOTAL, 1);
    if (uv_tcp_open(&conn->tcp, fd) != 0) {
        close(fd);
        conn->is_closing = true;
        uv_close((uv_handle_t *)&conn->tcp, on_close_unopened);
        return;
    }
    if (!ops->on_open(a->setup.ctx, conn)) {
        conn->is_closing = true;
        uv_close((uv_handle_t *)&conn->tcp, on_close_unopened);
        return;
    }
    net_conn_resume(conn);
}

static void pause_accepting(struct net_acceptor *a, int error)
{
    hs_us now = hs_now_us();
    struct hs_err err;

    for (struct hs_list *n = a->listeners.next; n != &a->listeners; n = n->next) {
        if (net_poll_set(HS_CONTAINER(n, struct listener, node)->poll, 0, &err) != HS_OK)
            hs_log(HS_LOG_ERROR, "accept", "%s: %s", err.what, err.why);
    }
    net_timer_start(a->retry, ACCEPT_PAUSE, /* repeat= */ 0);
    if (a->warned_at && now - a->warned_at < ACCEPT_WARN_EVERY)
        return;
    a->warned_at = now;
    hs_log(HS_LOG_WARN, "accept_paused",
           "could not accept connections, new clients wait: %s; raise the limit of open files "
           "or lower server.connections.max",
           strerror(error));
}

/* Workers may race here and go past the maximum by one each: that does no harm. */
static bool is_full(const struct net_acceptor *a)
{
    return atomic_load_explicit(a->setup.connections, memory_order_relaxed) >=
           a->setup.connections_max;
}

static bool is_out_of_something(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* What accept(2) passes on from the one connection that it took off the queue: the next may be
 * fine. */
static bool is_clients_fault(int error)
{
    static const int faults[] = {EINTR,        ECONNABORTED, EPROTO,      EPERM,
                                 ENETDOWN,     ENOPROTOOPT,  EHOSTDOWN,   ENONET,
                                 EHOSTUNREACH, EOPNOTSUPP,   ENETUNREACH, ETIMEDOUT};

    for (size_t i = 0; i < HS_LEN(faults); i++) {
        if (faults[i] == error)
            return true;
    }
    return false;
}

/* false: nothing more to take, or accepting had to pause. */
static bool accept_one(struct net_acceptor *a, int listener)
{
    struct sockaddr_storage from = {.ss_family = AF_UNSPEC};
    socklen_t n = sizeof(from);
    int fd = accept4(listener, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        if (is_full(a)) {
            hs_metric_add(a->setup.metrics, HS_M_HTTP_CONNECTIONS_REFUSED, 1);
            close(fd);
            return true;
        }
        open_conn(a, fd, &from);
        return true;
    }
    if (is_out_of_something(errno)) {
        if (!a->is_stopped)
            pause_accepting(a, errno);
        return false;
    }
    return is_clients_fault(errno);
}

static void on_connections(void *arg, int events, int error)
{
    struct listener *l = arg;

    (void)events;
    (void)error;
    for (int i = 0; i < ACCEPT_TURN_MAX && accept_one(l->acceptor, l->fd); i++)
        ;
}

static void on_retry(void *arg)
{
    struct net_acceptor *a = arg;
    struct hs_err err;

    for (struct hs_list *n = a->listeners.next; n != &a->listeners; n = n->next) {
        if (net_poll_set(HS_CONTAINER(n, struct listener, node)->poll, NET_READABLE, &err) != HS_OK)
            pause_accepting(a, ENOMEM);
    }
}

hs_status net_acceptor_new(const struct net_acceptor_setup *setup,
                           struct net_acceptor **ret_acceptor, struct hs_err *reterr)
{
    struct net_acceptor *a = hs_calloc(1, sizeof(*a));
    hs_status s;

    if (!a)
        return hs_fail_memory(reterr);
    a->setup = *setup;
    hs_list_init(&a->listeners);
    s = net_timer_new(setup->loop, on_retry, a, &a->retry, reterr);
    if (s != HS_OK) {
        hs_free(a);
        return s;
    }
    a->hook.run = on_turn;
    net_loop_hook(setup->loop, &a->hook);
    *ret_acceptor = a;
    return HS_OK;
}

hs_status net_acceptor_listen(struct net_acceptor *a, int fd, struct hs_err *reterr)
{
    struct listener *l = hs_calloc(1, sizeof(*l));
    hs_status s;

    if (!l) {
        close(fd);
        return hs_fail_memory(reterr);
    }
    l->acceptor = a;
    l->fd = fd;
    s = net_poll_new(a->setup.loop, fd, on_connections, l, &l->poll, reterr);
    if (s == HS_OK)
        s = net_poll_set(l->poll, NET_READABLE, reterr);
    if (s != HS_OK) {
        net_poll_free(l->poll);
        close(fd);
        hs_free(l);
        return s;
    }
    hs_list_append(&a->listeners, &l->node);
    return HS_OK;
}

static void close_listeners(struct net_acceptor *a)
{
    struct hs_list *node;

    while ((node = hs_list_pop(&a->listeners))) {
        struct listener *l = HS_CONTAINER(node, struct listener, node);

        net_poll_free(l->poll);
        close(l->fd);
        hs_free(l);
    }
}

void net_acceptor_stop(struct net_acceptor *a)
{
    a->is_stopped = true;
    net_timer_stop(a->retry);
    for (struct hs_list *n = a->listeners.next; n != &a->listeners; n = n->next) {
        for (int i = 0;
             i < ACCEPT_STOP_MAX && accept_one(a, HS_CONTAINER(n, struct listener, node)->fd); i++)
            ;
    }
    close_listeners(a);
}

void net_acceptor_limit(struct net_acceptor *a, size_t connections_max)
{
    a->setup.connections_max = connections_max;
}

size_t net_acceptor_count(const struct net_acceptor *a)
{
    return a->count;
}

void net_acceptor_free(struct net_acceptor *a)
{
    if (!a)
        return;
    HS_BUG_ON(a->count);
    close_listeners(a);
    net_loop_unhook(&a->hook);
    net_timer_free(a->retry);
    hs_free(a);
}
