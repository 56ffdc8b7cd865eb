/* SPDX-License-Identifier: Apache-2.0 */
/*
 * {api.path}/q/{name}: from request to statement to answer.
 *
 * A query that reads goes the way of any read: kept, shared in flight, repeated if need be, in a transaction that is
 * read-only, so that PostgreSQL refuses what a file only calls a read. One that writes goes the way of
 * any change. Who may run it is said by its file; what he may see then is PostgreSQL's to say.
 */
#include "api/named_int.h"

#include "api/etag.h"
#include "api/explain.h"
#include "api/kept.h"
#include "api/settle.h"
#include "api/url.h"
#include "core/nearest.h"

#define PREFIX "q/"

bool api_named_is(const struct api_model *model, struct hs_str path_rest)
{
    return model->n_named && hs_str_starts(path_rest, HS_STR(PREFIX));
}

/* ---- the answer ---- */

/* {"data":[...]}, {"data":{...}} or, of a change that returns nothing, {"affected":n} */
static hs_status write_answer(const struct api_request *r, const struct pg_rows *rows,
                              struct hs_buf *out, struct hs_err *reterr)
{
    const struct api_named *named = r->named;
    struct api_rows_opts opts = api_request_rows_opts(r);
    size_t n = pg_rows_count(rows);

    if (!named->n_columns) {
        hs_buf_add_lit(out, "{\"affected\":");
        hs_buf_add_u64(out, pg_rows_affected(rows));
        hs_buf_add_char(out, '}');
        return HS_OK;
    }
    if (named->is_one && n == 0)
        return hs_fail(reterr, HS_E_NO_ROW, "%.*s has no row for these parameters",
                       HS_FMT(named->table.name));
    if (named->is_one && n > 1) {
        (void)hs_fail(reterr, HS_E_CONFIG, "%.*s gives %zu rows, and its file promises one",
                      HS_FMT(named->table.name), n);
        hs_err_hint(reterr, "Add LIMIT 1, or take `one: true` out of the file.");
        return HS_E_CONFIG;
    }
    hs_buf_add_lit(out, "{\"data\":");
    if (named->is_one)
        api_row_write(out, rows, 0, named->out, named->n_columns, &opts);
    else
        api_rows_write(out, rows, 0, n, named->out, named->n_columns, &opts);
    hs_buf_add_char(out, '}');
    return HS_OK;
}

static void reply_read(struct api_request *r, const struct hs_buf *body)
{
    char tag[ETAG_MAX];
    struct api_answer answer = {.content_type = HS_STR("application/json")};

    /* If-None-Match makes a 304 of GET and HEAD only (RFC 9110, 13.1.2). */
    if (!hs_buf_failed(body) && r->req->method != HTTP_POST)
        answer.etag = etag_write(tag, HS_STR(""), hs_buf_str(body));
    api_kept_answer(r, &answer, body);
}

static void on_read(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct api_request *r = query->arg;
    struct api_hold *hold = r->hold;
    struct hs_err failure = {0};
    struct hs_buf *out;

    HS_OBJ(r, API_REQUEST_MAGIC);
    r->req->pg_us += hs_now_us() - r->submitted_at;
    if (err) {
        api_reply_pg_error(r, err);
        return;
    }
    out = http_req_scratch(r->req);
    if (write_answer(r, rows, out, &failure)) {
        api_kept_fail(r, /* is_unfit= */ true);
        http_reply_error(r->req, &failure);
        api_hold_release(hold);
        return;
    }
    reply_read(r, out);
}

/* It is committed: an answer that cannot be written must not look like a failure. */
static void on_write(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct api_request *r = query->arg;
    struct hs_err failure = {0};
    struct hs_buf *out;

    HS_OBJ(r, API_REQUEST_MAGIC);
    r->req->pg_us += hs_now_us() - r->submitted_at;
    if (err) {
        api_settle_failed(r, query->epoch, query->position, err, err);
        return;
    }
    out = http_req_scratch(r->req);
    if (write_answer(r, rows, out, &failure)) {
        api_settle_failed(r, query->epoch, query->position, NULL, &failure);
        return;
    }
    if (hs_buf_failed(out)) {
        hs_buf_clear(out);
        hs_buf_add_lit(out, "{\"affected\":");
        hs_buf_add_u64(out, pg_rows_affected(rows));
        hs_buf_add_char(out, '}');
    }
    api_settle(r, query->epoch, query->position,
               &(struct http_reply){.status = 200,
                                    .content_type = HS_STR("application/json"),
                                    .body = hs_buf_str(out)});
}

/* ---- the statement ---- */

static hs_status run(struct api_worker *worker, struct api_request *r, struct hs_err *reterr)
{
    return pg_pool_run(worker->pool, &r->query, reterr);
}

static void fill_query(struct api_request *r, const char *const *values)
{
    const struct api_named *named = r->named;

    r->query.magic = PG_QUERY_MAGIC;
    r->query.sql = named->sql;
    r->query.sql_hash = named->sql_hash;
    r->query.who = r->req->identity;
    r->query.params = values;
    r->query.n_params = named->n_params;
    r->query.arg = r;
    r->query.done = on_write;
    if (!named->is_read)
        return;
    r->query.flags = PG_REPEATABLE | (named->is_shareable ? PG_SHARED : 0U);
    r->query.is_unwanted = &r->req->is_gone;
    r->query.done = on_read;
}

/* What it depends on, with these values. NULL: no memory. */
static const struct pg_depend *depend_on(const struct api_request *r, bool is_fixed)
{
    struct pg_depend *depend;

    if (is_fixed || !r->named->depend->is_known)
        return r->named->depend;
    depend = HS_NEW(r->req->arena, struct pg_depend);
    if (depend) {
        *depend = *r->named->depend;
        depend->is_known = false;
        depend->why = HS_STR("a parameter may mean another value when it is read again");
    }
    return depend;
}

/* In the transaction of a batch: what may call anything could end it, or write where it only reads. */
static hs_status lend(struct api_request *r, struct hs_err *reterr)
{
    r->query.loan = r->req->scope;
    if (!r->named->is_read || r->named->is_shareable)
        return api_comment_text(r, reterr);
    (void)hs_fail(reterr, HS_E_BAD_PARAMETER,
                  "a read that may call a user's function cannot be part of a transaction");
    hs_err_hint(reterr, "Ask for it alone, or in a batch that is no transaction.");
    return HS_E_BAD_PARAMETER;
}

static hs_status submit(struct api_request *r, bool is_fixed, struct hs_err *reterr)
{
    struct api_worker *worker = r->worker;
    hs_status status = api_request_is_lent(r) ? lend(r, reterr) : api_comment(r, reterr);

    if (status)
        return status;
    r->submitted_at = hs_now_us();
    r->keep = &r->named->keep;
    if (r->req->method == HTTP_POST)
        return api_run_affordable(worker, r, run, reterr);
    r->ttl = r->named->ttl;
    r->form = r->named->is_one ? HS_STR("one") : HS_STR("");
    r->depend = depend_on(r, is_fixed);
    if (!r->depend)
        return hs_fail_memory(reterr);
    if (r->explain)
        return api_explain_read(worker, r, /* key= */ NULL, reterr);
    return api_kept_run(worker, r, /* key= */ NULL, run, reterr);
}

/* ---- the request ---- */

static hs_status fail_name(const struct api_model *model, struct hs_str name, struct hs_err *reterr)
{
    struct hs_nearest near;
    struct hs_str best;

    hs_nearest_start(&near, name);
    for (size_t i = 0; i < model->n_named; i++)
        hs_nearest_offer(&near, model->named[i].name);
    best = hs_nearest_best(&near);
    (void)hs_fail(reterr, HS_E_NOT_FOUND, "there is no query \"%.*s\"",
                  HS_FMT(hs_str_sub(name, 0, NAMED_NAME_MAX)));
    if (best.n)
        hs_err_hint(reterr, "Perhaps you meant \"%.*s\".", HS_FMT(best));
    return HS_E_NOT_FOUND;
}

static hs_status check_role(const struct api_request *r, struct hs_err *reterr)
{
    const struct hs_identity *who = r->req->identity;

    if (api_named_is_for(r->named, pg_catalog_reader_bit(r->hold->model->catalog, who->role)))
        return HS_OK;
    if (who->is_anonymous)
        return hs_fail(reterr, HS_E_NO_TOKEN, "%.*s is not for callers without a token",
                       HS_FMT(r->named->table.name));
    (void)hs_fail(reterr, HS_E_BAD_ROLE, "%.*s is not for the role \"%.*s\"",
                  HS_FMT(r->named->table.name), HS_FMT(who->role));
    hs_err_hint(reterr, "The roles that may ask it stand in its file, behind `role:`.");
    return HS_E_BAD_ROLE;
}

static hs_status check_header(const struct http_req *req, struct hs_err *reterr)
{
    struct hs_str type = http_req_header(req, HS_STR("content-type"));

    if (req->body.n && !api_is_json(type))
        return hs_fail(reterr, HS_E_MEDIA_TYPE, "the body is %.*s, not JSON", HS_FMT(type));
    /* To pass over it in silence would be to write twice. */
    if (http_req_header(req, HS_STR("idempotency-key")).p && req->method == HTTP_POST)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "a named query takes no Idempotency-Key");
    return HS_OK;
}

/* The query that the path names. */
static hs_status find(struct api_request *r, struct hs_err *reterr)
{
    struct hs_str rest = r->req->path_rest;
    struct hs_str name = hs_str_sub(rest, sizeof(PREFIX) - 1, rest.n);
    hs_status status = HS_OK;

    if (hs_str_find(name, '%') < name.n)
        status = url_decode(r->req->arena, URL_PATH, name, &name, reterr);
    if (status)
        return status;
    r->named = api_named_find(r->hold->model, name);
    return r->named ? HS_OK : fail_name(r->hold->model, name, reterr);
}

/* true: the method is another one, and that was answered. */
static bool is_refused(struct api_request *r)
{
    struct api_hold *hold = r->hold;

    if (r->req->method & r->named->methods)
        return false;
    http_reply_not_allowed(r->req, r->named->methods);
    api_hold_release(hold);
    return true;
}

hs_status api_named_start(struct api_request *r, struct hs_err *reterr)
{
    struct http_req *req = r->req;
    const char **values = NULL;
    bool is_fixed = true;
    hs_status status = find(r, reterr);

    if (status)
        return status;
    r->table = &r->named->table;
    req->route = r->named->route;
    status = check_role(r, reterr);
    if (!status && r->named->fault.status) {
        if (reterr)
            *reterr = r->named->fault;
        return r->named->fault.status;
    }
    if (!status && is_refused(r))
        return HS_OK;
    if (!status)
        status = check_header(req, reterr);
    if (!status)
        status = named_values(r->named, req, req->method == HTTP_POST, &values, &is_fixed, reterr);
    if (status)
        return status;
    fill_query(r, values);
    return submit(r, is_fixed, reterr);
}
