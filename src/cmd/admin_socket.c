/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admin socket: HTTP on a unix socket, for what the operator of this process may ask of it.
 *
 *     POST /admin/pause?timeout=60s   POST /admin/resume   POST /admin/reload   GET /admin/status
 *     /admin/cache/...: admin_cache.c
 *
 * The rule: whoever may open the socket may do all of it; its mode, 0600, is the only gate, so no token is
 * asked for and it is never a TCP port. The first worker reads the requests; the control thread, which owns
 * what they are about, answers them.
 */
#include <unistd.h>

#include "cmd/serve_int.h"
#include "conf/units.h"
#include "core/mem.h"
#include "net/listen.h"

enum {
    CONNECTIONS_MAX = 64, /* an operator and a few scripts */
    BACKLOG = 16,
    BODY_MAX = 65536 /* the longest answer names every option */
};

#define TIMEOUT_DEFAULT (60 * HS_SECOND)
#define TIMEOUT_MIN (10 * HS_MS)
#define TIMEOUT_MAX (3600 * HS_SECOND)

static void reply(struct serve_admin *admin)
{
    struct http_req *req = admin->req;

    if (!admin->err.status && hs_buf_failed(&admin->body))
        (void)hs_fail_memory(&admin->err);
    if (admin->err.status)
        http_reply_error(req, &admin->err);
    else
        http_reply(req, &(struct http_reply){.status = 200,
                                             .content_type = HS_STR("application/json"),
                                             .body = hs_buf_str(&admin->body)});
    hs_buf_fini(&admin->body);
    hs_free(admin);
}

static void on_answer_mail(struct net_mail *mail)
{
    struct serve_admin *admin = HS_CONTAINER(mail, struct serve_admin, mail);

    admin->worker->admins--;
    reply(admin);
}

void serve_admin_answer(struct serve_admin *admin)
{
    admin->mail.deliver = on_answer_mail;
    net_loop_post(admin->worker->loop, &admin->mail);
}

/* "timeout=60s" or nothing. */
static hs_status read_timeout(const struct http_req *req, hs_us *ret_timeout, struct hs_err *reterr)
{
    struct hs_str value = req->query;
    struct hs_str name = hs_str_cut(&value, '=');

    *ret_timeout = TIMEOUT_DEFAULT;
    if (!req->query.n)
        return HS_OK;
    if (hs_str_is(name, "timeout") && conf_parse_time(value, ret_timeout) &&
        *ret_timeout >= TIMEOUT_MIN && *ret_timeout <= TIMEOUT_MAX)
        return HS_OK;
    (void)hs_fail(reterr, HS_E_BAD_PARAMETER, "\"%.*s\" is not understood",
                  (int)(req->query.n < 80 ? req->query.n : 80), req->query.p);
    hs_err_hint(reterr, "Write timeout=60s: a duration with its unit, from 10ms to 1h.");
    return HS_E_BAD_PARAMETER;
}

static hs_status ask(struct serve_worker *w, struct http_req *req, enum serve_verb verb,
                     struct hs_err *reterr)
{
    struct serve_admin *admin;
    hs_us timeout = 0;
    hs_status status = verb == SERVE_PAUSE ? read_timeout(req, &timeout, reterr) : HS_OK;

    if (status)
        return status;
    if (w->admins >= SERVE_ADMINS_MAX)
        return hs_fail(reterr, HS_E_BUSY, "too many requests on the admin socket");
    admin = hs_calloc(1, sizeof(*admin));
    if (!admin)
        return hs_fail_memory(reterr);
    admin->note.kind = SERVE_NOTE_ADMIN;
    admin->worker = w;
    admin->req = req;
    admin->verb = verb;
    admin->timeout = timeout;
    hs_buf_init(&admin->body, BODY_MAX);
    hs_list_init(&admin->node);
    w->admins++;
    serve_note(w->serve, &admin->note);
    return HS_OK;
}

static void handle(struct serve_worker *w, struct http_req *req, enum serve_verb verb)
{
    struct hs_err err;

    if (ask(w, req, verb, &err))
        http_reply_error(req, &err);
}

static void handle_status(void *ctx, struct http_req *req)
{
    handle(ctx, req, SERVE_STATUS);
}

static void handle_pause(void *ctx, struct http_req *req)
{
    handle(ctx, req, SERVE_PAUSE);
}

static void handle_resume(void *ctx, struct http_req *req)
{
    handle(ctx, req, SERVE_RESUME);
}

static void handle_reload(void *ctx, struct http_req *req)
{
    handle(ctx, req, SERVE_RELOAD);
}

static const struct http_handler status_handler = {.name = "admin status", .handle = handle_status};
static const struct http_handler pause_handler = {.name = "admin pause", .handle = handle_pause};
static const struct http_handler resume_handler = {.name = "admin resume", .handle = handle_resume};
static const struct http_handler reload_handler = {.name = "admin reload", .handle = handle_reload};

hs_status serve_admin_new(struct serve_worker *w, const struct http_limits *limits,
                          struct hs_err *reterr)
{
    const struct http_route routes[SERVE_ADMIN_ROUTES - SERVE_ADMIN_CACHE_ROUTES] = {
        {"/admin/status", HTTP_ROUTE_EXACT, HTTP_GET, true, &status_handler, w},
        {"/admin/pause", HTTP_ROUTE_EXACT, HTTP_POST, true, &pause_handler, w},
        {"/admin/resume", HTTP_ROUTE_EXACT, HTTP_POST, true, &resume_handler, w},
        {"/admin/reload", HTTP_ROUTE_EXACT, HTTP_POST, true, &reload_handler, w},
    };
    struct http_server_setup setup = {
        .loop = w->loop,
        .metrics = w->metrics,
        .limits = *limits,
        .routes = w->admin_routes,
        .n_routes = SERVE_ADMIN_ROUTES,
        .connections = &w->serve->admin_connections,
        .audits_all = true,
    };
    hs_status status;
    int fd;

    memcpy(w->admin_routes, routes, sizeof(routes));
    serve_admin_cache_routes(w, w->admin_routes + HS_LEN(routes));
    setup.limits.connections_max = CONNECTIONS_MAX;
    status = net_listen_unix(w->serve->boot->admin_socket.p, BACKLOG, &fd, reterr);
    if (status)
        return status;
    w->serve->has_admin_socket = true;
    status = http_server_new(&setup, &w->admin, reterr);
    if (status) {
        (void)close(fd);
        return status;
    }
    return http_server_listen(w->admin, fd, reterr);
}

void serve_admin_hide(struct serve *s)
{
    if (s->has_admin_socket)
        (void)unlink(s->boot->admin_socket.p);
    s->has_admin_socket = false;
}
