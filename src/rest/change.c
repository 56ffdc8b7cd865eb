/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A write, from its request: faults are found in the order in which PostgREST finds them.
 *
 * Source: PostgREST reference, tables and views; errors.
 */
#include "rest/change.h"

static enum tree_change_kind kind_of(enum http_method method)
{
    if (method == HTTP_DELETE)
        return TREE_DELETE;
    return method == HTTP_PATCH ? TREE_UPDATE : TREE_INSERT;
}

/* ---- the body ---- */

static hs_status read_type(const struct rest_request *q, enum rest_body_type *ret_type,
                           struct hs_err *reterr)
{
    struct hs_str type = http_req_header(q->r.req, HS_STR("content-type"));
    struct rest_media media;

    *ret_type = REST_BODY_JSON;
    if (!type.n || hs_str_is(type, "application/json"))
        return HS_OK;
    media = rest_media_read(type);
    if (media.kind == REST_MEDIA_CSV)
        *ret_type = REST_BODY_CSV;
    else if (media.kind == REST_MEDIA_FORM)
        *ret_type = REST_BODY_FORM;
    else if (media.kind != REST_MEDIA_JSON)
        return hs_fail(reterr, HS_E_PGRST102, "Content-Type not acceptable: %.*s",
                       HS_FMT(rest_media_name(&media, q->r.req->arena)));
    return HS_OK;
}

static hs_status read_body(struct rest_change *c, struct hs_err *reterr)
{
    const struct rest_request *q = c->q;
    struct rest_body_setup setup = {.any_keys = q->ask.has_columns && q->r.req->method != HTTP_PUT,
                                    .rows_max = q->r.hold->model->rules.rows_max,
                                    .arena = q->r.req->arena};
    hs_status status = read_type(q, &setup.type, reterr);

    return status ? status : rest_body_read(&setup, q->r.req->body, &c->body, reterr);
}

/* ---- preferences ---- */

static bool is_undone(const struct rest_request *q)
{
    enum rest_tx_end end = q->site->rules.tx_end;
    bool by_itself = end == REST_TX_END_ROLLBACK || end == REST_TX_END_ROLLBACK_OR;

    /* EXPLAIN may run what it explains. */
    if (q->media.kind == REST_MEDIA_PLAN)
        return true;
    return q->prefer.tx == REST_TX_UNSAID ? by_itself : q->prefer.tx == REST_TX_ROLLBACK;
}

static unsigned applies_to(const struct rest_change *c)
{
    const struct rest_request *q = c->q;
    unsigned applies = REST_APPLIES_RETURN;

    if (c->write.kind != TREE_INSERT)
        applies |= REST_APPLIES_MAX_AFFECTED;
    if (c->write.kind != TREE_DELETE)
        applies |= REST_APPLIES_MISSING;
    if (q->r.req->method == HTTP_POST && (c->known->n_key || q->ask.has_on_conflict))
        applies |= REST_APPLIES_RESOLUTION;
    return applies;
}

static hs_status prefer(struct rest_change *c, struct hs_err *reterr)
{
    struct rest_request *q = c->q;
    hs_status status = rest_choose_media(q, reterr);

    if (status)
        return status;
    c->rolls_back = is_undone(q);
    c->applies = applies_to(c);
    return rest_say_applied(q, c->applies, reterr);
}

/* ---- the whole ---- */

static hs_status check_range(const struct rest_change *c, struct hs_err *reterr)
{
    const struct rest_scope *rows = c->q->ask.scopes;

    if (c->q->r.req->method != HTTP_PUT || (!rows->has_limit && !rows->has_offset))
        return HS_OK;
    return hs_fail(reterr, HS_E_PGRST114,
                   "limit/offset querystring parameters are not allowed for PUT");
}

hs_status rest_change_start(struct rest_request *q, struct hs_err *reterr)
{
    struct http_req *req = q->r.req;
    struct rest_change *c = HS_NEW(req->arena, struct rest_change);
    hs_status status;

    if (!c)
        return hs_fail_memory(reterr);
    c->magic = REST_CHANGE_MAGIC;
    c->q = q;
    q->change = c;
    c->known = rest_model_relation(q->site->model, q->relation);
    c->write.kind = kind_of(req->method);
    status = rest_read_prefer(q, reterr);
    if (!status)
        status = rest_ask_read(REST_FOR_ROWS, req->query, req->arena, &q->ask, reterr);
    if (!status)
        status = check_range(c, reterr);
    if (!status && c->write.kind != TREE_DELETE)
        status = read_body(c, reterr);
    if (!status)
        status = rest_change_plan(c, reterr);
    if (!status)
        status = prefer(c, reterr);
    return status ? status : rest_change_run(c, reterr);
}
