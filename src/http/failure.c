/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors as answers. A fault of the client's is told to the client in full; of a fault of ours it gets
 * what happened and what to do, while the reason (which may name hosts, files or roles) goes to the log
 * with the request's id. An outage must not flood the log: so many lines a second, then a count.
 */
#include "core/log.h"
#include "http/server_int.h"

enum { FAILURES_A_SECOND = 10 };

static struct hs_str error_headers(const struct hs_err *err, unsigned status)
{
    if (status == 503)
        return HS_STR("Retry-After: 1\r\n");
    if (status != 401)
        return HS_STR("");
    return err->status == HS_E_BAD_TOKEN
               ? HS_STR("WWW-Authenticate: Bearer error=\"invalid_token\"\r\n")
               : HS_STR("WWW-Authenticate: Bearer\r\n");
}

static bool may_log(struct http_server *server)
{
    hs_us now = hs_now_us();

    if (now - server->failures_since >= HS_SECOND) {
        server->failures_since = now;
        server->failures = 0;
    }
    if (server->failures++ < FAILURES_A_SECOND)
        return true;
    server->failures_left_out++;
    return false;
}

static void log_failure(struct http_server *server, const struct http_req *req,
                        const struct hs_err *err, unsigned status)
{
    if (!hs_log_is_on(HS_LOG_ERROR) || !may_log(server))
        return;
    hs_log_begin(HS_LOG_ERROR, "request failed");
    hs_log_str("method", req->method_name.n ? req->method_name : HS_STR("-"));
    hs_log_str("path", req->path.n ? req->path : HS_STR("-"));
    hs_log_int("status", status);
    hs_log_str("request_id", hs_strn(req->trace_id, sizeof(req->trace_id)));
    if (server->failures_left_out)
        hs_log_int("left_out", (int64_t)server->failures_left_out);
    hs_log_err(err);
    hs_log_end_later();
    server->failures_left_out = 0;
}

/* What only the operator may read. An error of a statement is the caller's own: it asked for it. */
static bool has_private_reason(const struct hs_err *err)
{
    return !err->sqlstate[0] &&
           (err->status == HS_E_PG_DOWN || err->status == HS_E_IO || err->status == HS_E_INTERNAL ||
            err->status == HS_E_CONFIG || err->status == HS_E_PG_LOGIN);
}

void http_reply_error_with(struct http_req *req, const struct hs_err *err, struct hs_str headers,
                           bool close)
{
    struct http_server *server = http_call_of(req)->server;
    struct hs_buf *text = &server->error_text;
    unsigned status = hs_err_http(err);
    struct http_reply reply = {.status = status,
                               .content_type = HS_STR("application/json"),
                               .headers = headers,
                               .close = close};

    if (!req->denied)
        req->denied = hs_err_code(err);
    hs_buf_clear(text);
    if (req->tell)
        req->tell(req, err, !has_private_reason(err), text, &reply);
    else
        hs_err_to_json(err, !has_private_reason(err), text);
    if (reply.status >= 500)
        log_failure(server, req, err, reply.status);
    reply.body = hs_buf_failed(text) ? HTTP_NO_MEMORY : hs_buf_str(text);
    http_reply(req, &reply);
}

void http_reply_error(struct http_req *req, const struct hs_err *err)
{
    http_reply_error_with(req, err, error_headers(err, hs_err_http(err)), /* close= */ false);
}
