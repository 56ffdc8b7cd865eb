/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comments of statements.
 *
 * The rule: whatever a table is called, a comment cannot be ended from inside and cannot open another one.
 * All but RFC 3986's unreserved characters are percent-encoded, so no quote, slash, asterisk or backslash
 * is left, and what the specification says about escaping quotes has nothing to do.
 *
 * The route is that of the table ("/api/v1/clients/{id}"), never the path that was asked for: so its comment
 * is one text for all requests, and a statement that carries it is still prepared and gathered.
 */
#include "api/comment.h"

#include "api/request.h"
#include "api/url.h"

struct hs_str api_comment_route(struct hs_arena *arena, struct hs_str route)
{
    struct hs_str text = HS_STR_NULL;
    struct hs_buf out;

    hs_buf_init(&out, sizeof("route=''") + 3 * route.n);
    hs_buf_add_lit(&out, "route='");
    url_encode(&out, route);
    hs_buf_add_char(&out, '\'');
    if (!hs_buf_failed(&out))
        text = hs_arena_dup(arena, hs_buf_str(&out));
    hs_buf_fini(&out);
    return text;
}

hs_status api_comment(struct api_request *r, struct hs_err *reterr)
{
    const struct http_req *req = r->req;
    const struct api_table *table = r->table;

    if (r->hold->model->rules.comment != API_COMMENT_REQUEST)
        return HS_OK;
    r->query.comment = hs_arena_printf(
        req->arena, "%.*s,traceparent='00-%.*s-%.*s-0%d'",
        HS_FMT(r->is_item ? table->comment_item : table->comment_list), (int)sizeof(req->trace_id),
        req->trace_id, (int)sizeof(req->span_id), req->span_id, req->is_sampled);
    return r->query.comment.p ? HS_OK : hs_fail_memory(reterr);
}

hs_status api_comment_text(struct api_request *r, struct hs_err *reterr)
{
    if (!r->query.comment.p)
        return HS_OK;
    r->query.sql = hs_arena_printf(r->req->arena, "%.*s /*%.*s*/", HS_FMT(r->query.sql),
                                   HS_FMT(r->query.comment));
    return r->query.sql.p ? HS_OK : hs_fail_memory(reterr);
}
