/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real server on a loop of its own thread, on loopback, with handlers made for tests, and a
 * blocking client on the test's thread. What touches the server runs on its thread through
 * on_loop().
 *
 *   /hello         "hello"
 *   /echo/x        the path's rest, then the body
 *   /hold/x        kept until release(); answers the path's rest
 *   /big?n         n bytes
 *   /stream?n      n pieces of STREAM_PIECE bytes, as fast as the client takes them
 *   /cut           begins a stream and aborts it
 *   /fail/code     an error of that kind
 *   /guarded       behind the step, which lets through who sends `X-Pass: yes`
 *   /sub           each line of its body, `METHOD target [name=value]`, as a sub-request with body "b";
 *                  answers a line each: `status|content type|headers|body`
 */
#ifndef UNIT_HTTP_FIXTURE_H
#define UNIT_HTTP_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"
#include "http/server_int.h"
#include "net/listen.h"
#include "test.h"

enum { HELD_MAX = 256, STREAM_PIECE = 10000, CLIENT_BYTES = 1 << 20, SUBS_MAX = 8 };

struct fixture {
    pthread_t thread;
    struct net_loop *loop;
    struct hs_metrics *metrics;
    struct http_server *server;
    atomic_size_t connections;
    unsigned port;
    struct http_req *held[HELD_MAX];
    atomic_uint n_held;
    atomic_uint handled;
    atomic_uint streamed; /* pieces given */
    atomic_uint streams_ended;
    atomic_uint streams_gone;
    atomic_uint subs_done;
    size_t waiting_at_end; /* answer bytes on the server's account when it was freed */
    bool is_draining;
    atomic_bool is_drained;
};

struct task {
    struct net_mail mail;
    void (*run)(struct fixture *f, void *arg);
    struct fixture *f;
    void *arg;
    sem_t done;
};

static inline void run_task(struct net_mail *mail)
{
    struct task *t = HS_CONTAINER(mail, struct task, mail);

    t->run(t->f, t->arg);
    sem_post(&t->done);
}

/* Runs on the server's thread, returns when it has. */
static inline void on_loop(struct fixture *f, void (*run)(struct fixture *f, void *arg), void *arg)
{
    struct task t = {.mail = {.deliver = run_task}, .run = run, .f = f, .arg = arg};

    sem_init(&t.done, 0, 0);
    net_loop_post(f->loop, &t.mail);
    while (sem_wait(&t.done) != 0)
        ;
    sem_destroy(&t.done);
}

static inline void reply_text(struct http_req *req, unsigned status, struct hs_str body)
{
    struct http_reply reply = {
        .status = status, .content_type = HS_STR("text/plain"), .body = body};

    http_reply(req, &reply);
}

static inline void handle_hello(void *ctx, struct http_req *req)
{
    struct fixture *f = ctx;

    atomic_fetch_add(&f->handled, 1);
    reply_text(req, 200, HS_STR("hello"));
}

static inline void handle_echo(void *ctx, struct http_req *req)
{
    struct hs_buf *out = http_req_scratch(req);

    (void)ctx;
    hs_buf_add(out, req->path_rest);
    hs_buf_add(out, req->body);
    if (hs_buf_failed(out)) {
        struct hs_err err;

        hs_fail_memory(&err);
        http_reply_error(req, &err);
        return;
    }
    reply_text(req, 200, hs_buf_str(out));
}

static inline void handle_hold(void *ctx, struct http_req *req)
{
    struct fixture *f = ctx;
    unsigned n = atomic_load(&f->n_held);

    assert_true(n < HELD_MAX);
    f->held[n] = req;
    atomic_store(&f->n_held, n + 1);
}

static inline void handle_big(void *ctx, struct http_req *req)
{
    struct fixture *f = ctx;
    struct hs_buf *out = http_req_scratch(req);
    uint64_t n;

    assert_true(hs_str_to_u64(req->query, &n));
    for (uint64_t i = 0; i < n; i++)
        hs_buf_add_char(out, (char)('a' + i % 26));
    atomic_fetch_add(&f->handled, 1);
    reply_text(req, 200, hs_buf_str(out));
}

struct stream {
    struct fixture *f;
    uint64_t left;
};

static inline void stream_on(void *arg, struct http_req *req)
{
    static char piece[STREAM_PIECE];
    struct stream *s = arg;

    memset(piece, 's', sizeof(piece));
    if (req->is_gone)
        atomic_fetch_add(&s->f->streams_gone, 1);
    while (s->left && !req->is_gone) {
        s->left--;
        atomic_fetch_add(&s->f->streamed, 1);
        if (!http_reply_chunk(req, hs_strn(piece, sizeof(piece))))
            return;
    }
    atomic_fetch_add(&s->f->streams_ended, 1);
    http_reply_end(req);
}

static inline void handle_stream(void *ctx, struct http_req *req)
{
    struct http_reply reply = {.status = 200};
    struct stream *s = hs_arena_zalloc(req->arena, 1, sizeof(*s));
    struct hs_err err;

    if (!s) {
        hs_fail_memory(&err);
        http_reply_error(req, &err);
        return;
    }
    s->f = ctx;
    assert_true(hs_str_to_u64(req->query, &s->left));
    http_reply_begin(req, &reply, stream_on, s);
    stream_on(s, req);
}

static inline void handle_cut(void *ctx, struct http_req *req)
{
    struct http_reply reply = {.status = 200, .body = HS_STR("begun")};

    http_reply_begin(req, &reply, stream_on, ctx);
    http_reply_abort(req);
}

static inline void handle_fail(void *ctx, struct http_req *req)
{
    struct hs_err err;
    hs_status s = HS_E_INTERNAL;

    (void)ctx;
    for (int i = 1; i < HS_STATUS_COUNT; i++) {
        if (hs_str_is(req->path_rest, hs_status_info((hs_status)i)->code))
            s = (hs_status)i;
    }
    hs_fail(&err, s, "as \"asked\"");
    http_reply_error(req, &err);
}

struct sub_set {
    struct fixture *f;
    struct http_req *req;
    struct sub_one {
        struct http_sub sub;
        struct sub_set *set;
        struct http_header header;
        struct hs_buf text;
    } subs[SUBS_MAX];
    size_t n;
    size_t left; /* without an answer, and 1 until all are started */
};

static inline void one_sub_done(struct sub_set *set)
{
    struct hs_buf *out;

    if (--set->left)
        return;
    out = http_req_scratch(set->req);
    for (size_t i = 0; i < set->n; i++) {
        hs_buf_add(out, hs_buf_str(&set->subs[i].text));
        hs_buf_fini(&set->subs[i].text);
    }
    reply_text(set->req, 200, hs_buf_str(out));
}

static inline void on_sub(struct http_sub *sub, const struct http_reply *reply)
{
    struct sub_one *one = HS_CONTAINER(sub, struct sub_one, sub);

    hs_buf_init(&one->text, CLIENT_BYTES * 4);
    hs_buf_add_u64(&one->text, reply->status);
    hs_buf_add_char(&one->text, '|');
    hs_buf_add(&one->text, reply->content_type);
    hs_buf_add_char(&one->text, '|');
    hs_buf_add(&one->text, reply->headers);
    hs_buf_add_char(&one->text, '|');
    hs_buf_add(&one->text, reply->body);
    hs_buf_add_char(&one->text, '\n');
    atomic_fetch_add(&one->set->f->subs_done, 1);
    one_sub_done(one->set);
}

static inline void read_sub(struct sub_set *set, struct hs_str line)
{
    struct sub_one *one = &set->subs[set->n++];

    one->set = set;
    one->sub = (struct http_sub){.magic = HTTP_SUB_MAGIC,
                                 .parent = set->req,
                                 .headers = &one->header,
                                 .body = HS_STR("b"),
                                 .done = on_sub};
    one->sub.method = hs_str_cut(&line, ' ');
    one->sub.target = hs_str_cut(&line, ' ');
    one->sub.n_headers = line.n ? 1 : 0;
    one->header.name = hs_str_cut(&line, '=');
    one->header.value = line;
}

static inline void handle_sub(void *ctx, struct http_req *req)
{
    struct sub_set *set = hs_arena_zalloc(req->arena, 1, sizeof(*set));
    struct hs_str lines = req->body;
    struct hs_err err;

    if (!set) {
        hs_fail_memory(&err);
        http_reply_error(req, &err);
        return;
    }
    set->f = ctx;
    set->req = req;
    while (lines.n && set->n < SUBS_MAX)
        read_sub(set, hs_str_cut(&lines, '\n'));
    set->left = set->n + 1;
    for (size_t i = 0; i < set->n; i++)
        http_sub_run(&set->subs[i].sub);
    one_sub_done(set);
}

static inline bool step_pass(void *ctx, struct http_req *req)
{
    struct hs_err err;

    (void)ctx;
    if (hs_str_is(http_req_header(req, HS_STR("x-pass")), "yes"))
        return true;
    hs_fail(&err, HS_E_NO_TOKEN, "no pass");
    http_reply_error(req, &err);
    return false;
}

static const struct http_handler hello = {.name = "hello", .handle = handle_hello},
                                 echo = {.name = "echo", .handle = handle_echo},
                                 hold = {.name = "hold", .handle = handle_hold},
                                 big = {.name = "big", .handle = handle_big},
                                 streamer = {.name = "stream", .handle = handle_stream},
                                 cutter = {.name = "cut", .handle = handle_cut},
                                 failer = {.name = "fail", .handle = handle_fail},
                                 subber = {.name = "sub", .handle = handle_sub};
static const struct http_step pass = {"pass", step_pass};

static inline struct http_limits test_limits(void)
{
    return (struct http_limits){
        .idle_timeout = 20 * HS_SECOND,
        .header_timeout = 20 * HS_SECOND,
        .body_timeout = 20 * HS_SECOND,
        .write_timeout = 20 * HS_SECOND,
        .request_line_max = 1024,
        .headers_max = 4096,
        .headers_count_max = 20,
        .body_max = 100000,
        .pipeline_max = 64,
        .output_max = 65536,
        .output_total = 256 << 20,
        .request_memory_max = 1 << 20,
        .answer_max = 4 << 20,
        .connections_max = 100,
        .timing = true,
    };
}

static inline void *loop_thread(void *arg)
{
    struct fixture *f = arg;

    net_loop_run(f->loop);
    hs_mem_fail_at(0);
    net_loop_free(f->loop);
    return NULL;
}

static struct http_route routes[10];
static struct http_step_row steps[1];

static inline void fixture_start(struct fixture *f, const struct http_limits *limits)
{
    static struct hs_metrics *metrics; /* registered sets are never freed */
    struct hs_err err;
    int fd;

    *f = (struct fixture){.n_held = 0};
    if (!metrics)
        metrics = hs_metrics_new();
    f->metrics = metrics;
    memset(metrics, 0, sizeof(*metrics));
    routes[0] = (struct http_route){"/hello", HTTP_ROUTE_EXACT, HTTP_GET, true, &hello, f};
    routes[1] = (struct http_route){
        "/echo", HTTP_ROUTE_PREFIX, HTTP_GET | HTTP_POST | HTTP_PUT, true, &echo, f};
    routes[2] = (struct http_route){"/hold", HTTP_ROUTE_PREFIX, HTTP_GET, true, &hold, f};
    routes[3] = (struct http_route){"/big", HTTP_ROUTE_EXACT, HTTP_GET, true, &big, f};
    routes[4] = (struct http_route){"/stream", HTTP_ROUTE_EXACT, HTTP_GET, true, &streamer, f};
    routes[5] = (struct http_route){"/cut", HTTP_ROUTE_EXACT, HTTP_GET, true, &cutter, f};
    routes[6] = (struct http_route){"/fail", HTTP_ROUTE_PREFIX, HTTP_GET, true, &failer, f};
    routes[7] = (struct http_route){"/guarded", HTTP_ROUTE_PREFIX, HTTP_GET, false, &hello, f};
    routes[8] = (struct http_route){"/echo/deep", HTTP_ROUTE_PREFIX, HTTP_GET, true, &hello, f};
    routes[9] = (struct http_route){"/sub", HTTP_ROUTE_PREFIX, HTTP_POST, true, &subber, f};
    steps[0] = (struct http_step_row){&pass, NULL};
    assert_int_equal(net_loop_new(&f->loop, f->metrics, &err), HS_OK);
    assert_int_equal(net_listen(HS_STR("127.0.0.1:0"), 64, &fd, &err), HS_OK);
    f->port = net_listen_port(fd);
    assert_int_equal(http_server_new(&(struct http_server_setup){.loop = f->loop,
                                                                 .metrics = f->metrics,
                                                                 .limits = *limits,
                                                                 .routes = routes,
                                                                 .n_routes = HS_LEN(routes),
                                                                 .steps = steps,
                                                                 .n_steps = 1,
                                                                 .connections = &f->connections},
                                     &f->server, &err),
                     HS_OK);
    assert_int_equal(http_server_listen(f->server, fd, &err), HS_OK);
    assert_int_equal(pthread_create(&f->thread, NULL, loop_thread, f), 0);
}

static inline void drained(void *arg)
{
    struct fixture *f = arg;

    f->waiting_at_end = f->server->waiting;
    http_server_free(f->server);
    atomic_store(&f->is_drained, true);
    net_loop_stop(f->loop);
}

static inline void drain(struct fixture *f, void *bound)
{
    f->is_draining = true;
    http_server_drain(f->server, *(hs_us *)bound, drained, f);
}

/* Answers held requests in the order of `order`, or as they came. */
struct release {
    const unsigned *order;
    unsigned n;
};

static inline void release(struct fixture *f, void *arg)
{
    struct release *r = arg;
    unsigned n = r ? r->n : atomic_load(&f->n_held);
    struct http_req *held[HELD_MAX];

    /* An answer may make room for the next request, which may be held in its turn. */
    memcpy(held, f->held, sizeof(held));
    atomic_store(&f->n_held, 0);
    for (unsigned i = 0; i < n; i++) {
        struct http_req *req = held[r ? r->order[i] : i];

        reply_text(req, 200, req->path_rest);
    }
}

static inline void fixture_stop(struct fixture *f)
{
    hs_us bound = 0;

    if (atomic_load(&f->n_held))
        on_loop(f, release, NULL);
    if (!f->is_draining)
        on_loop(f, drain, &bound);
    pthread_join(f->thread, NULL);
    assert_true(atomic_load(&f->is_drained));
    assert_int_equal(f->waiting_at_end, 0);
    assert_int_equal(atomic_load(&f->connections), 0);
    assert_int_equal(atomic_load(&f->metrics->value[HS_M_HTTP_CONNECTIONS]), 0);
    assert_int_equal(atomic_load(&f->metrics->value[HS_M_HTTP_IN_FLIGHT]), 0);
}

/* Waits for a fact for at most ten seconds. */
#define wait_until(fact)                               \
    do {                                               \
        int tries_ = 0;                                \
        while (!(fact)) {                              \
            if (++tries_ > 10000)                      \
                fail_msg("waited in vain for " #fact); \
            usleep(1000);                              \
        }                                              \
    } while (0)

/* ---- the client ---- */

struct client {
    int fd;
    char *p;
    size_t n;
};

struct answer_read {
    int status;
    char head[4096];
    char *body; /* freed with the next answer */
    size_t n;
};

static inline struct client client_socket(void)
{
    struct client c = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                       .p = malloc(CLIENT_BYTES * 8)};
    struct timeval limit = {.tv_sec = 10};

    assert_non_null(c.p);
    assert_true(c.fd >= 0);
    setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return c;
}

static inline void client_connect(const struct fixture *f, const struct client *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)f->port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};

    assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof(to)), 0);
}

static inline struct client client_open(const struct fixture *f)
{
    struct client c = client_socket();

    client_connect(f, &c);
    return c;
}

static inline void client_close(struct client *c, bool reset)
{
    struct linger now = {1, 0};

    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(c->fd);
    free(c->p);
}

static inline void client_send(struct client *c, struct hs_str s)
{
    while (s.n) {
        ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        s = hs_str_sub(s, (size_t)n, s.n);
    }
}

#define client_say(c, text) client_send((c), hs_str(text))

/* More bytes. false: the server closed; ret_reset tells how. */
static inline bool client_more(struct client *c, bool *ret_reset)
{
    ssize_t n;

    assert_true(c->n < CLIENT_BYTES * 8);
    n = recv(c->fd, c->p + c->n, CLIENT_BYTES * 8 - c->n, 0);
    if (n < 0 && (errno == EAGAIN))
        fail_msg("no byte in ten seconds; got \"%.*s\"", (int)(c->n > 300 ? 300 : c->n), c->p);
    if (n <= 0) {
        *ret_reset = n < 0;
        return false;
    }
    c->n += (size_t)n;
    return true;
}

static inline char *find(const char *p, size_t n, const char *what)
{
    return memmem(p, n, what, strlen(what));
}

static inline size_t header_number(const char *head, const char *name)
{
    const char *at = strstr(head, name);

    return at ? strtoul(at + strlen(name), NULL, 10) : 0;
}

/* Takes the next answer with a length; false: closed before. is_head: no body follows. */
static inline bool client_answer(struct client *c, struct answer_read *a, bool is_head)
{
    bool reset;
    char *end;
    size_t head;
    size_t body;

    while (!(end = find(c->p, c->n, "\r\n\r\n"))) {
        if (!client_more(c, &reset))
            return false;
    }
    head = (size_t)(end - c->p) + 4;
    assert_true(head < sizeof(a->head));
    memcpy(a->head, c->p, head);
    a->head[head] = '\0';
    assert_memory_equal(a->head, "HTTP/1.1 ", 9);
    a->status = (int)strtol(a->head + 9, NULL, 10);
    body = is_head || a->status == 100 ? 0 : header_number(a->head, "\r\nContent-Length: ");
    while (c->n < head + body) {
        if (!client_more(c, &reset))
            return false;
    }
    free(a->body);
    a->body = malloc(body + 1);
    assert_non_null(a->body);
    memcpy(a->body, c->p + head, body);
    a->body[body] = '\0';
    a->n = body;
    c->n -= head + body;
    memmove(c->p, c->p + head + body, c->n);
    return true;
}

static inline void expect(struct client *c, struct answer_read *a, int status, const char *body)
{
    if (!client_answer(c, a, false))
        fail_msg("closed instead of %d", status);
    if (a->status != status || (body && strcmp(a->body, body) != 0))
        fail_msg("expected %d \"%s\", got %s%s", status, body ? body : "", a->head, a->body);
}

/* The server ends the connection, with FIN, having said nothing more. */
static inline void expect_end(struct client *c)
{
    bool reset = false;

    while (client_more(c, &reset))
        ;
    if (reset || c->n)
        fail_msg("reset %d, still got \"%.*s\"", reset, (int)(c->n > 300 ? 300 : c->n), c->p);
}

#endif
