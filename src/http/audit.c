/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests as lines of the audit log: who was refused, and on the admin socket all of them. The path is there, the
 * query is not, since it holds values; a refused token has no role or subject here, for nothing of it is believed.
 *
 * A sub-request of a batch is refused by itself and has a line of its own, under its parent's request id.
 */
#include "core/audit.h"
#include "http/server_int.h"

static const char *event_of(const struct http_call *call, unsigned status)
{
    if (status == 401)
        return "authentication_failed";
    if (status == 403)
        return "access_denied";
    return call->server->setup.audits_all ? "admin" : NULL;
}

void http_audit(const struct http_call *call, unsigned status)
{
    const struct http_req *req = &call->req;
    const struct hs_identity *who = req->identity;
    const char *event = hs_audit_is_on() ? event_of(call, status) : NULL;

    if (!event)
        return;
    hs_audit_begin(event);
    hs_audit_str("request_id", hs_strn(req->trace_id, sizeof(req->trace_id)));
    hs_audit_str("client", req->client);
    if (who) {
        hs_audit_str("role", who->role);
        hs_audit_str("subject", who->subject[0] ? hs_str(who->subject) : HS_STR_NULL);
    }
    hs_audit_str("method", req->method_name);
    hs_audit_str("path", req->path);
    hs_audit_int("status", status);
    if (status >= 400)
        hs_audit_cstr("reason", req->denied);
    hs_audit_end_later();
}
