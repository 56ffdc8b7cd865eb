/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST, PUT, PATCH and DELETE of the simple dialect: from request to one statement to answer.
 *
 *     POST   /clients      {...} or [{...},...]     201, the rows as they were written
 *     PATCH  /clients/7    {...}                    200, the row; PUT gives all other columns their default
 *     PATCH  /clients?status=INACTIVE  {...}        200, the rows; or [{"id":7,...},...], each by its key
 *     DELETE /clients/7, /clients?status=INACTIVE   200, the rows as they were
 *
 * The rule: one statement, one Sync, and no answer before PostgreSQL has said COMMIT. After that nothing
 * may become an error: an answer that cannot be built says how many rows it were. What takes more than
 * one statement (Idempotency-Key, max-affected) is in change_loan.c.
 *
 * It refuses to touch a whole table by accident: a collection is changed by filters, or with all=true.
 */
#include "api/etag.h"
#include "api/settle.h"
#include "api/cost.h"
#include "api/url.h"
#include "core/log.h"

enum { LOCATION_MAX = API_CHANGE_HEADERS_MAX / 2 };

static const struct {
    enum http_method method;
    bool is_item;
    enum simple_use use;
    enum tree_change_kind kind;
    bool has_body;
    enum body_kind body;
} FORMS[] = {
    {HTTP_POST, false, SIMPLE_CREATE, TREE_INSERT, true, BODY_INSERT},
    {HTTP_PATCH, false, SIMPLE_CHANGE_MANY, TREE_UPDATE, true, BODY_UPDATE},
    {HTTP_DELETE, false, SIMPLE_CHANGE_MANY, TREE_DELETE, false, BODY_UPDATE},
    {HTTP_PUT, true, SIMPLE_CHANGE_ITEM, TREE_UPDATE, true, BODY_REPLACE},
    {HTTP_PATCH, true, SIMPLE_CHANGE_ITEM, TREE_UPDATE, true, BODY_UPDATE},
    {HTTP_DELETE, true, SIMPLE_CHANGE_ITEM, TREE_DELETE, false, BODY_UPDATE},
};

enum { COLLECTION = HTTP_GET | HTTP_POST | HTTP_PATCH | HTTP_DELETE };
enum { ITEM = HTTP_GET | HTTP_PUT | HTTP_PATCH | HTTP_DELETE };

/* ---- the answer ---- */

/* A part of a composite key, quoted as the dialect's lists are. */
static void add_key_part(struct hs_buf *out, struct hs_str text)
{
    hs_buf_add_lit(out, "%22");
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"' || text.p[i] == '\\')
            hs_buf_add_lit(out, "%5C");
        url_encode(out, hs_str_sub(text, i, i + 1));
    }
    hs_buf_add_lit(out, "%22");
}

static bool is_plain_part(struct hs_str text)
{
    return hs_str_find(text, ',') == text.n && hs_str_find(text, '"') == text.n && text.n;
}

/* "Location: /api/v1/clients/7" of the row that was made; nothing where its key is not known. */
static void add_location(const struct api_request *r, const struct pg_rows *rows,
                         struct hs_buf *headers)
{
    const struct api_change *change = r->change;
    size_t before = headers->n;

    if (!change->key_columns || !pg_rows_count(rows))
        return;
    hs_buf_add_lit(headers, "Location: ");
    hs_buf_add(headers, r->hold->model->path);
    hs_buf_add_char(headers, '/');
    url_encode(headers, r->table->name);
    for (size_t i = 0; i < r->table->n_key; i++) {
        struct hs_str part = pg_rows_value(rows, 0, change->key_columns[i]);

        hs_buf_add_char(headers, i ? ',' : '/');
        if (r->table->n_key == 1 || is_plain_part(part))
            url_encode(headers, part);
        else
            add_key_part(headers, part);
    }
    hs_buf_add_lit(headers, "\r\n");
    if (hs_buf_failed(headers) || headers->n - before > LOCATION_MAX)
        headers->n = before;
}

static void write_count(const struct pg_rows *rows, struct hs_buf *out)
{
    hs_buf_add_lit(out, "{\"affected\":");
    hs_buf_add_u64(out, pg_rows_affected(rows));
    hs_buf_add_char(out, '}');
}

static void write_rows(const struct api_request *r, const struct pg_rows *rows, struct hs_buf *out)
{
    struct api_rows_opts opts = api_request_rows_opts(r);

    hs_buf_add_lit(out, "{\"data\":");
    if (r->change->is_one)
        api_row_write(out, rows, 0, r->columns, r->n_columns, &opts);
    else
        api_rows_write(out, rows, 0, pg_rows_count(rows), r->columns, r->n_columns, &opts);
    hs_buf_add_char(out, '}');
}

void api_change_answer(struct api_request *r, const struct pg_rows *rows, struct hs_buf *headers,
                       struct http_reply *ret_reply)
{
    struct http_req *req = r->req;
    struct hs_buf *out = http_req_scratch(req);
    char etag[ETAG_MAX];

    /* A trigger may have kept the row away, or sent it elsewhere: then none comes back. */
    bool has_rows = !r->ask.is_minimal && (!r->change->is_one || pg_rows_count(rows) > 0);

    *ret_reply = (struct http_reply){
        .status = req->method == HTTP_POST && pg_rows_affected(rows) ? 201 : 200,
        .content_type = HS_STR("application/json")};
    if (!has_rows)
        write_count(rows, out);
    else
        write_rows(r, rows, out);
    if (hs_buf_failed(out)) {
        /* It is committed: an answer that is too long must not look like a failure. */
        hs_buf_clear(out);
        write_count(rows, out);
    } else if (r->statement->has_version && r->change->is_one && has_rows) {
        hs_buf_add_lit(headers, "ETag: ");
        hs_buf_add(headers, etag_write(etag, pg_rows_value(rows, 0, r->statement->version_column),
                                       hs_buf_str(out)));
        hs_buf_add_lit(headers, "\r\n");
    }
    add_location(r, rows, headers);
    ret_reply->body = hs_buf_str(out);
    if (r->ask.is_minimal && r->is_item)
        *ret_reply = (struct http_reply){.status = 204};
    ret_reply->headers = hs_buf_failed(headers) ? HS_STR("") : hs_buf_str(headers);
}

static void fail_no_row(const struct api_request *r, struct hs_err *err)
{
    bool is_conditional = http_req_header(r->req, HS_STR("if-match")).p != NULL;

    if (is_conditional)
        (void)hs_fail(err, HS_E_PRECONDITION, "%.*s %.*s is not what If-Match says",
                      HS_FMT(r->table->name), HS_FMT(r->key));
    else
        (void)hs_fail(err, HS_E_NO_ROW, "%.*s has no row with the key %.*s", HS_FMT(r->table->name),
                      HS_FMT(r->key));
}

static void explain(const struct api_request *r, struct hs_err *err)
{
    bool is_view = r->table->pg->relkind != 'r' && r->table->pg->relkind != 'p';

    api_explain_pg(r, err);
    if (r->change->body.n_set)
        body_explain(r->table, &r->change->body, err);
    if (is_view && (!strcmp(err->sqlstate, "55000") || !strcmp(err->sqlstate, "42809"))) {
        err->http = 405;
        hs_err_hint(err, "Change the tables that it is made from.");
    }
}

hs_status api_change_check(const struct api_request *r, const struct pg_rows *rows,
                           const struct hs_err *err, struct hs_err *reterr)
{
    if (err) {
        *reterr = *err;
        explain(r, reterr);
    } else if (r->is_item && !pg_rows_affected(rows)) {
        fail_no_row(r, reterr);
    } else if (pg_rows_affected(rows) > r->ask.affected_max) {
        (void)hs_fail(reterr, HS_E_MAX_AFFECTED, "%zu rows would be changed",
                      pg_rows_affected(rows));
    }
    return reterr->status;
}

static void on_done(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct api_request *r = query->arg;
    struct hs_err failure = {0};
    struct http_reply reply;
    struct hs_buf headers;

    HS_OBJ(r, API_REQUEST_MAGIC);
    r->req->pg_us += hs_now_us() - r->submitted_at;
    if (api_change_check(r, rows, err, &failure)) {
        api_settle_failed(r, query->epoch, query->position, err, &failure);
        return;
    }
    hs_buf_init(&headers, API_CHANGE_HEADERS_MAX);
    api_change_answer(r, rows, &headers, &reply);
    api_settle(r, query->epoch, query->position, &reply);
    hs_buf_fini(&headers);
}

/* ---- the tree ---- */

/* The fields of the answer, and behind them those of the key that it lacks. */
static hs_status choose_returning(struct api_request *r, struct hs_err *reterr)
{
    struct api_change *c = r->change;
    const struct tree_select *tree = &r->ask.tree;
    size_t n = tree->n_fields;

    if (r->ask.is_minimal)
        return HS_OK;
    c->returning = HS_NEW_ARRAY(r->req->arena, n + r->table->n_key + 1, const struct tree_field *);
    if (!c->returning)
        return hs_fail_memory(reterr);
    memcpy(c->returning, tree->fields, n * sizeof(*c->returning));
    if (c->tree.kind == TREE_INSERT && c->is_one && r->table->n_key) {
        c->key_columns = HS_NEW_ARRAY(r->req->arena, r->table->n_key, size_t);
        if (!c->key_columns)
            return hs_fail_memory(reterr);
        for (size_t i = 0; i < r->table->n_key; i++) {
            size_t at = 0;

            while (at < n && c->returning[at]->column != r->table->key[i])
                at++;
            if (at == n)
                c->returning[n++] = api_table_field_of(r->table, r->table->key[i]);
            c->key_columns[i] = at;
        }
    }
    c->tree.returning = c->returning;
    c->tree.n_returning = n;
    c->tree.with_version =
        c->is_one &&
        api_table_shown(r->hold->model, r->table, r->req->identity->role)->with_version;
    return api_make_columns(r, reterr);
}

static bool is_set(const struct body_rows *body, const struct pg_column *column)
{
    for (size_t i = 0; i < body->n_set; i++) {
        if (body->set[i].column == column)
            return true;
    }
    return false;
}

/* PUT: the key stands in the path; in the body it may be said again, but not otherwise. */
static hs_status take_key_out(struct api_request *r, const char *const *key, struct hs_err *reterr)
{
    struct body_rows *body = &r->change->body;
    size_t n = 0;

    for (size_t i = 0; i < body->n_set; i++) {
        struct tree_assignment set = body->set[i];
        size_t at = 0;

        while (at < r->table->n_key && r->table->key[at] != set.column)
            at++;
        if (at == r->table->n_key)
            body->set[n++] = set;
        else if (!set.values[0] || strcmp(set.values[0], key[at]) != 0)
            return hs_fail(reterr, HS_E_BAD_BODY, "\"%.*s\" is not what the path says",
                           HS_FMT(api_table_field_of(r->table, set.column)->name));
    }
    body->n_set = n;
    return HS_OK;
}

static hs_status choose_reset(struct api_request *r, struct hs_err *reterr)
{
    const struct pg_relation *pg = r->table->pg;
    struct api_change *c = r->change;
    const struct pg_column **reset = HS_NEW_ARRAY(r->req->arena, pg->n_columns,
                                                  const struct pg_column *);
    size_t n = 0;

    if (!reset)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < pg->n_columns; i++) {
        const struct pg_column *column = &pg->columns[i];

        if (!column->is_generated && !column->is_identity && column != r->table->soft_delete &&
            !api_table_is_key(r->table, column) && !is_set(&c->body, column))
            reset[n++] = column;
    }
    c->tree.reset = reset;
    c->tree.n_reset = n;
    return HS_OK;
}

/* DELETE of a table with api.soft_delete: the row says when, and stays. */
static hs_status delete_softly(struct api_request *r, struct hs_err *reterr)
{
    static const char *const now[] = {"now"};
    struct tree_assignment *set = HS_NEW(r->req->arena, struct tree_assignment);
    const char **values = HS_NEW(r->req->arena, const char *);

    if (!set || !values)
        return hs_fail_memory(reterr);
    values[0] = now[0];
    *set = (struct tree_assignment){.column = r->table->soft_delete, .values = values};
    r->change->tree.kind = TREE_UPDATE;
    r->change->tree.set = set;
    r->change->tree.n_set = 1;
    r->change->tree.n_rows = 1;
    return HS_OK;
}

static hs_status choose_version(struct api_request *r, struct hs_err *reterr)
{
    struct hs_str wanted = http_req_header(r->req, HS_STR("if-match"));
    struct hs_str role = r->req->identity->role;
    hs_status status;

    /* No change here makes a row at an address where there was none. */
    if (http_req_header(r->req, HS_STR("if-none-match")).p)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "If-None-Match is for reads; use If-Match");
    if (!wanted.p)
        return HS_OK;
    if (!r->is_item)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "If-Match is for one row, by its path");
    status = etag_wanted(wanted, &r->change->tree.version, reterr);
    if (status || !r->change->tree.version.p)
        return status;
    if (!api_table_shown(r->hold->model, r->table, role)->with_version)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "rows of %.*s have no entity tags",
                       HS_FMT(r->table->name));
    r->change->tree.version = hs_arena_dup(r->req->arena, r->change->tree.version);
    if (hs_arena_failed(r->req->arena))
        return hs_fail_memory(reterr);
    if (!r->change->tree.version.n) {
        fail_no_row(r, reterr);
        return HS_E_PRECONDITION;
    }
    return HS_OK;
}

/* Which rows: by the filters, which must be there, or by the keys in the body, which must be alone. */
static hs_status choose_rows(struct api_request *r, struct hs_err *reterr)
{
    struct api_change *c = r->change;
    bool is_by_key = c->tree.kind == TREE_UPDATE && c->body.is_array;

    c->tree.where = r->ask.tree.where;
    if (r->is_item || c->tree.kind == TREE_INSERT)
        return HS_OK;
    if (is_by_key && (r->ask.n_filters || r->ask.is_all))
        return hs_fail(reterr, HS_E_BAD_PARAMETER,
                       "rows are named by filters, or by their keys in the body, not by both");
    if (is_by_key) {
        c->tree.key = r->table->key;
        c->tree.n_key = r->table->n_key;
        return HS_OK;
    }
    if (r->ask.n_filters || r->ask.is_all)
        return HS_OK;
    (void)hs_fail(reterr, HS_E_FILTER_REQUIRED, "%.*s of %.*s without a filter",
                  HS_FMT(r->req->method_name), HS_FMT(r->table->name));
    hs_err_why(reterr, "It would change every row.");
    return HS_E_FILTER_REQUIRED;
}

static hs_status read_body(struct api_request *r, enum body_kind kind, struct hs_err *reterr)
{
    struct hs_str type = http_req_header(r->req, HS_STR("content-type"));
    struct api_change *c = r->change;
    hs_status status;

    if (type.p && !api_is_json(type))
        return hs_fail(reterr, HS_E_MEDIA_TYPE, "the body is %.*s, not JSON", HS_FMT(type));
    status = body_read(r->table, kind, r->req->body, r->hold->model->rules.rows_max, r->req->arena,
                       &c->body, reterr);
    if (status)
        return status;
    if (r->is_item && c->body.is_array)
        return hs_fail(reterr, HS_E_BAD_BODY, "one row takes one object, not an array");
    c->tree.set = c->body.set;
    c->tree.n_set = c->body.n_set;
    c->tree.n_rows = c->body.n_rows;
    return HS_OK;
}

static hs_status build(struct api_request *r, size_t form, const char *const *key,
                       struct hs_err *reterr)
{
    struct api_change *c = r->change;
    hs_status status = HS_OK;

    c->tree.kind = FORMS[form].kind;
    c->tree.comment = r->ask.tree.comment;
    c->tree.relation = r->table->pg;
    if (FORMS[form].has_body)
        status = read_body(r, FORMS[form].body, reterr);
    if (!status && r->req->method == HTTP_PUT)
        status = take_key_out(r, key, reterr);
    if (!status && r->req->method == HTTP_PUT)
        status = choose_reset(r, reterr);
    c->tree.n_set = FORMS[form].has_body ? c->body.n_set : 0;
    if (!status && c->tree.kind == TREE_DELETE && r->table->soft_delete)
        status = delete_softly(r, reterr);
    c->is_one = r->is_item || (c->tree.kind == TREE_INSERT && !c->body.is_array);
    if (!status)
        status = choose_version(r, reterr);
    if (!status)
        status = choose_rows(r, reterr);
    if (!status)
        status = choose_returning(r, reterr);
    return status;
}

/* ---- the statement ---- */

static bool is_tidy(const struct api_request *r)
{
    switch (r->change->tree.kind) {
    case TREE_INSERT:
        return r->table->pg->tidy.insert;
    case TREE_UPDATE:
        return r->table->pg->tidy.update;
    case TREE_DELETE:
        break;
    }
    return r->table->pg->tidy.delete;
}

static hs_status run_alone(struct api_worker *worker, struct api_request *r, struct hs_err *reterr)
{
    hs_status status = HS_OK;

    r->query.loan = r->req->scope;
    if (r->query.loan)
        status = api_comment_text(r, reterr);
    if (status)
        return status;
    return pg_pool_run(worker->pool, &r->query, reterr);
}

static hs_status run_lent(struct api_worker *worker, struct api_request *r, struct hs_err *reterr)
{
    hs_status status = api_comment_text(r, reterr);

    (void)worker;
    return status ? status : api_change_lend(r, reterr);
}

static hs_status submit(struct api_request *r, struct hs_err *reterr)
{
    struct api_worker *worker = r->worker;
    struct sql_statement *statement = HS_NEW(r->req->arena, struct sql_statement);
    bool has_key = http_req_header(r->req, HS_STR("idempotency-key")).p != NULL;
    bool has_loan = !api_request_is_lent(r) && (r->ask.affected_max != UINT64_MAX || has_key);
    hs_status status;

    if (!statement)
        return hs_fail_memory(reterr);
    if (has_key && api_request_is_lent(r))
        return hs_fail(reterr, HS_E_BAD_PARAMETER,
                       "a request of a transaction cannot have an Idempotency-Key of its own");
    status = sql_write_change(&r->change->tree, &worker->scratch, r->req->arena, statement, reterr);
    if (status)
        return status;
    r->statement = statement;
    r->query.magic = PG_QUERY_MAGIC;
    r->query.flags = is_tidy(r) ? PG_TIDY : 0;
    r->query.sql = statement->text;
    r->query.sql_hash = statement->hash;
    r->query.who = r->req->identity;
    r->query.params = statement->params;
    r->query.n_params = statement->n_params;
    status = api_comment(r, reterr);
    if (status)
        return status;
    r->query.done = on_done;
    r->query.arg = r;
    r->submitted_at = hs_now_us();
    return api_run_affordable(worker, r, has_loan ? run_lent : run_alone, reterr);
}

static size_t find_form(const struct api_request *r)
{
    size_t form = 0;

    while (form < HS_LEN(FORMS) &&
           !(FORMS[form].method == r->req->method && FORMS[form].is_item == r->is_item))
        form++;
    return form;
}

hs_status api_change_start(struct api_request *r, struct hs_err *reterr)
{
    size_t form = find_form(r);
    const char **key = NULL;
    hs_status status = HS_OK;

    if (form == HS_LEN(FORMS)) {
        struct api_hold *hold = r->hold;

        http_reply_not_allowed(r->req, r->is_item ? ITEM : COLLECTION);
        api_hold_release(hold);
        return HS_OK;
    }
    r->change = HS_NEW(r->req->arena, struct api_change);
    if (!r->change)
        return hs_fail_memory(reterr);
    if (r->is_item)
        status = simple_read_key(r->table, r->key, r->req->arena, &key, reterr);
    if (!status)
        status = api_request_read(r, (struct simple_ask){.use = FORMS[form].use, .key = key},
                                  reterr);
    if (!status)
        status = build(r, form, key, reterr);
    if (!status)
        status = submit(r, reterr);
    return status;
}
