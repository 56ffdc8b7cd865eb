/* SPDX-License-Identifier: Apache-2.0 */
/*
 * {api.path}, {api.path}/{table} and {api.path}/{table}/{id}: from request to statement to answer.
 *
 * The rule: every path through here answers the request exactly once, and the model that a request began
 * with is held until then. One row by its key without parameters, the commonest request, takes the
 * statement that the model holds ready: all it makes is one struct and its parameters.
 *
 * It refuses nothing by itself but unknown paths: the dialect checks what is asked, PostgreSQL whether
 * the caller may.
 */
#include "api/depend.h"
#include "api/etag.h"
#include "api/explain.h"
#include "api/kept.h"
#include "api/memo.h"
#include "api/named_int.h"
#include "api/settle.h"
#include "api/stream.h"
#include "api/url.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/nearest.h"

enum { SQL_TEXT_MAX = 1 << 20, NEAREST_TABLES_MAX = 2000 };

/* ---- the worker and its model ---- */

void api_hold_release(struct api_hold *hold)
{
    if (!hold || --hold->uses)
        return;
    net_hmac_free(hold->hmac);
    api_model_unref(hold->model);
    hs_free(hold);
}

static hs_status make_kept(struct api_worker *worker, struct hs_err *reterr)
{
    hs_status status = api_callers_new(&worker->callers, reterr);

    if (!status)
        status = api_memo_new(&worker->memo, reterr);
    if (!status)
        status = api_settling_new(worker->cache->state, worker->loop, &worker->settling, reterr);
    return status;
}

hs_status api_worker_new(struct net_loop *loop, struct pg_pool *pool, const struct api_cache *cache,
                         struct api_worker **ret_worker, struct hs_err *reterr)
{
    struct api_worker *worker = hs_calloc(1, sizeof(*worker));
    hs_status status = worker ? HS_OK : hs_fail_memory(reterr);

    if (!worker)
        return status;
    worker->cache = cache;
    worker->magic = API_WORKER_MAGIC;
    worker->loop = loop;
    hs_list_init(&worker->streams_ready);
    worker->pool = pool;
    hs_buf_init(&worker->scratch, SQL_TEXT_MAX);
    if (cache)
        status = make_kept(worker, reterr);
    if (status)
        api_worker_free(worker);
    else
        *ret_worker = worker;
    return status;
}

void api_worker_set_shared(struct api_worker *worker, struct cache_shared *shared)
{
    worker->shared = shared;
}

void api_worker_set_model(struct api_worker *worker, struct api_model *model)
{
    struct hs_err err = {0};
    struct api_hold *hold = hs_calloc(1, sizeof(*hold));
    hs_status status = hold ? HS_OK : hs_fail_memory(&err);

    if (!status)
        status = net_hmac_new(hs_strn(model->cursor_key, sizeof(model->cursor_key)), &hold->hmac,
                              &err);
    if (!status && worker->shared)
        status = cache_shared_set_secret(
            worker->shared, hs_strn(model->cursor_key, sizeof(model->cursor_key)), &err);
    if (status) {
        /* A boundary: nobody above can do more than go on with the old model. */
        hs_log_begin(HS_LOG_ERROR, "model_refused");
        hs_log_err(&err);
        hs_log_end();
        hs_free(hold);
        api_model_unref(model);
        return;
    }
    hold->model = model;
    hold->uses = 1;
    api_hold_release(worker->hold);
    worker->hold = hold;
    if (worker->memo)
        api_memo_clear(worker->memo);
    if (worker->cache)
        api_depend_prepare(model, worker->cache->state);
}

bool api_worker_has_model(const struct api_worker *worker)
{
    return worker->hold != NULL;
}

void api_worker_free(struct api_worker *worker)
{
    if (!worker)
        return;
    api_hold_release(worker->hold);
    hs_buf_fini(&worker->scratch);
    api_costs_free(worker->costs);
    api_settling_free(worker->settling);
    api_memo_free(worker->memo);
    api_callers_free(worker->callers);
    worker->magic = 0;
    hs_free(worker);
}

/* ---- the answer ---- */

bool api_is_json(struct hs_str content_type)
{
    struct hs_str rest = content_type;
    struct hs_str type = hs_str_trim(hs_str_cut(&rest, ';'));

    return hs_str_ieq(type, HS_STR("application/json")) ||
           (type.n > 5 && hs_str_ieq(hs_str_sub(type, type.n - 5, type.n), HS_STR("+json")));
}

void api_reply_failed(struct http_req *req, const struct hs_buf *body)
{
    struct hs_err err = {0};

    if (body->n >= body->max / 2) {
        (void)hs_fail(&err, HS_E_BAD_PARAMETER,
                      "the answer would be longer than server.answer.max");
        hs_err_hint(&err, "Ask for fewer rows, fields or relations.");
    } else {
        (void)hs_fail_memory(&err);
    }
    http_reply_error(req, &err);
}

static void reply_item(struct api_request *r, const struct pg_rows *rows, const struct hs_buf *body)
{
    char tag[ETAG_MAX];
    struct hs_str etag = HS_STR("");

    if (r->statement->has_version && !hs_buf_failed(body))
        etag = etag_write(tag, pg_rows_value(rows, 0, r->statement->version_column),
                          hs_buf_str(body));
    api_kept_answer(
        r, &(struct api_answer){.content_type = HS_STR("application/json"), .etag = etag}, body);
}

static void reply_list(struct api_request *r, const struct hs_buf *body)
{
    char tag[ETAG_MAX];
    struct hs_str etag = hs_buf_failed(body) ? HS_STR("")
                                             : etag_write(tag, HS_STR(""), hs_buf_str(body));

    api_kept_answer(r,
                    &(struct api_answer){.content_type = HS_STR("application/json"),
                                         .etag = etag,
                                         .vary = HS_STR("Accept")},
                    body);
}

/* The first field that is asked for and that the reader may not read; NULL if there is none. */
static const struct pg_column *barred_field(const struct tree_select *tree, uint64_t reader)
{
    for (size_t i = 0; i < tree->n_fields; i++) {
        if (!(tree->fields[i]->column->readers & reader))
            return tree->fields[i]->column;
    }
    return NULL;
}

/* The same of the columns that rows are sorted by and of their key. */
static const struct pg_column *barred_order(const struct api_request *r, uint64_t reader)
{
    for (size_t i = 0; i < r->ask.tree.n_order; i++) {
        if (!(r->ask.tree.order[i].column->readers & reader))
            return r->ask.tree.order[i].column;
    }
    for (size_t i = 0; i < r->table->n_key; i++) {
        if (!(r->table->key[i]->readers & reader))
            return r->table->key[i];
    }
    return NULL;
}

/* The same of the columns that rows are filtered by. */
static const struct pg_column *barred_filter(const struct tree_node *node, uint64_t reader)
{
    const struct pg_column *found = NULL;

    if (!node)
        return NULL;
    if (node->kind == TREE_COMPARE)
        return node->column->readers & reader ? NULL : node->column;
    for (const struct tree_node *child = node->first; child && !found; child = child->next)
        found = barred_filter(child, reader);
    return found;
}

/* PostgreSQL names the table only. Of one that the role may read in part, we know which column it was. */
static void explain_forbidden(const struct api_request *r, struct hs_err *err)
{
    uint64_t reader = pg_catalog_reader_bit(r->hold->model->catalog, r->req->identity->role);
    const struct pg_column *field = barred_field(&r->ask.tree, reader);
    const struct pg_column *filter = barred_filter(r->ask.tree.where, reader);
    const struct pg_column *order = barred_order(r, reader);

    if (err->hint[0] || !(r->table->pg->readers & reader))
        return;
    if (field)
        hs_err_hint(err, "The role may not read \"%.*s\"; without `fields` it gets what it may.",
                    HS_FMT(api_table_field_of(r->table, field)->name));
    else if (filter)
        hs_err_hint(err, "The role may not read \"%.*s\", by which rows are filtered.",
                    HS_FMT(api_table_field_of(r->table, filter)->name));
    else if (order)
        hs_err_hint(err, "The role may not read \"%.*s\", by which rows are sorted and found.",
                    HS_FMT(api_table_field_of(r->table, order)->name));
}

/* The comparison whose value the message quotes. */
static const struct tree_node *quoted_filter(const struct tree_node *node, const char *message)
{
    const struct tree_node *found = NULL;

    if (!node)
        return NULL;
    if (node->kind == TREE_COMPARE) {
        struct hs_str rest = hs_str(message);

        (void)hs_str_cut(&rest, '"');
        return node->value.n && hs_str_starts(rest, node->value) && rest.n > node->value.n &&
                       rest.p[node->value.n] == '"'
                   ? node
                   : NULL;
    }
    for (const struct tree_node *child = node->first; child && !found; child = child->next)
        found = quoted_filter(child, message);
    return found;
}

/* A value that only PostgreSQL could judge: say of which column it was. */
static void explain_value(const struct api_request *r, struct hs_err *err)
{
    const struct tree_node *node = quoted_filter(r->ask.tree.where, err->what);

    if (node && !err->hint[0])
        hs_err_hint(err, "\"%.*s\" is of type %.*s.",
                    HS_FMT(api_table_field_of(r->table, node->column)->name),
                    HS_FMT(node->column->type->name));
}

void api_explain_pg(const struct api_request *r, struct hs_err *err)
{
    if (strncmp(err->sqlstate, "22", 2) == 0)
        explain_value(r, err);
    if (strcmp(err->sqlstate, "42883") == 0) {
        err->http = 400;
        hs_err_hint(err, "The column's type cannot be compared or sorted in this way.");
    }
    if (strcmp(err->sqlstate, "42501") == 0)
        explain_forbidden(r, err);
}

bool api_is_lasting(const struct hs_err *err)
{
    return err->sqlstate[0] && strncmp(err->sqlstate, "08", 2) != 0 &&
           strncmp(err->sqlstate, "40", 2) != 0 && strncmp(err->sqlstate, "53", 2) != 0 &&
           strncmp(err->sqlstate, "57P", 3) != 0;
}

void api_reply_pg_error(struct api_request *r, const struct hs_err *cause)
{
    struct http_req *req = r->req;
    struct hs_err err = *cause;

    if (api_kept_stale(r, cause))
        return;
    if (!r->named)
        api_explain_pg(r, &err);
    api_kept_fail(r, api_is_lasting(cause));
    api_hold_release(r->hold);
    http_reply_error(req, &err);
}

static void on_done(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct api_request *r = query->arg;
    struct http_req *req = r->req;
    struct api_hold *hold = r->hold;
    struct hs_err failure = {0};
    struct hs_buf *out;
    hs_status status;

    HS_OBJ(r, API_REQUEST_MAGIC);
    req->pg_us += hs_now_us() - r->submitted_at;
    if (err) {
        api_reply_pg_error(r, err);
        return;
    }
    out = http_req_scratch(req);
    status = r->is_item ? api_answer_item(r, rows, out, &failure)
                        : api_answer_list(r, rows, out, &failure);
    if (status) {
        api_kept_fail(r, /* is_unfit= */ true);
        http_reply_error(req, &failure);
        api_hold_release(hold);
    } else if (r->is_item) {
        reply_item(r, rows, out);
    } else {
        reply_list(r, out);
    }
}

/* ---- the statement ---- */

static hs_status run_query(struct api_worker *worker, struct api_request *r, struct hs_err *reterr)
{
    return pg_pool_run(worker->pool, &r->query, reterr);
}

/* What may call anything is kept from writing by a transaction of its own, which it does not have here. */
static hs_status lend(struct api_request *r, struct hs_err *reterr)
{
    r->query.loan = r->req->scope;
    if (r->statement->is_shareable)
        return api_comment_text(r, reterr);
    (void)hs_fail(reterr, HS_E_BAD_PARAMETER,
                  "a read that may call a user's function cannot be part of a transaction");
    hs_err_hint(reterr, "Ask for it alone, or in a batch that is no transaction.");
    return HS_E_BAD_PARAMETER;
}

/* key: of the row that is asked for, NULL for a tree. */
static hs_status submit(struct api_worker *worker, struct api_request *r, const char *const *key,
                        const char *const *params, size_t n_params, struct hs_err *reterr)
{
    const struct sql_statement *statement = r->statement;
    hs_status status;

    r->query.magic = PG_QUERY_MAGIC;
    r->query.flags = PG_REPEATABLE | (statement->is_shareable ? PG_SHARED : 0U);
    r->query.sql = statement->text;
    r->query.sql_hash = statement->hash;
    r->query.who = r->req->identity;
    r->query.params = params;
    r->query.n_params = n_params;
    r->query.is_unwanted = &r->req->is_gone;
    r->query.done = on_done;
    r->query.arg = r;
    r->submitted_at = hs_now_us();
    status = api_request_is_lent(r) ? lend(r, reterr) : api_comment(r, reterr);
    if (!status && r->explain)
        return api_explain_read(worker, r, key, reterr);
    return status ? status : api_kept_run(worker, r, key, run_query, reterr);
}

hs_status api_request_read(struct api_request *r, struct simple_ask ask, struct hs_err *reterr)
{
    hs_status status;

    ask.model = r->hold->model;
    ask.table = r->table;
    ask.who = r->req->identity;
    ask.query = r->req->query;
    ask.arena = r->req->arena;
    status = simple_read(&ask, &r->ask, reterr);
    /* Before cursors are bound to it: whoever shares a statement must be able to share its answer. */
    if (!status)
        api_canonical(&r->ask.tree, ask.arena);
    return status;
}

hs_status api_make_columns(struct api_request *r, struct hs_err *reterr)
{
    const struct tree_select *tree = &r->ask.tree;
    struct api_out_column *columns;
    size_t n = 0;

    r->n_columns = tree->n_fields;
    for (const struct tree_embed *e = tree->embeds; e; e = e->next)
        r->n_columns++;
    columns = HS_NEW_ARRAY(r->req->arena, r->n_columns + 1, struct api_out_column);
    if (!columns)
        return hs_fail_memory(reterr);
    for (; n < tree->n_fields; n++) {
        columns[n].key = tree->fields[n]->key;
        columns[n].type = tree->fields[n]->column->type;
    }
    for (const struct tree_embed *e = tree->embeds; e; e = e->next, n++) {
        columns[n].key = e->key;
        columns[n].is_json_ready = true;
    }
    r->columns = columns;
    return HS_OK;
}

static hs_status run_tree(struct api_worker *worker, struct api_request *r, bool with_order,
                          struct hs_err *reterr)
{
    struct sql_statement *statement = HS_NEW(r->req->arena, struct sql_statement);
    hs_status status;

    if (!statement)
        return hs_fail_memory(reterr);
    r->statement = statement;
    status = sql_write(&r->ask.tree, with_order, &worker->scratch, r->req->arena, statement,
                       reterr);
    if (!status)
        status = api_make_columns(r, reterr);
    if (!status)
        status = submit(worker, r, /* key= */ NULL, statement->params, statement->n_params, reterr);
    return status;
}

static hs_status start_list(struct api_worker *worker, struct api_request *r, struct hs_err *reterr)
{
    struct hs_arena *arena = r->req->arena;
    bool has_cursors = r->table->n_key > 0;
    enum api_format format;
    hs_status status = api_format_read(r->req, &format, reterr);

    if (!status)
        status = api_request_read(
            r, (struct simple_ask){.use = SIMPLE_LIST, .is_stream = format != API_FORMAT_JSON},
            reterr);
    if (status)
        return status;
    if (r->ask.cursor.p && !has_cursors)
        return hs_fail(reterr, HS_E_BAD_CURSOR, "%.*s has no primary key and so no cursors",
                       HS_FMT(r->table->name));
    if (has_cursors)
        status = cursor_binding(&r->ask.tree, arena, &r->binding, reterr);
    if (!status && r->ask.cursor.p)
        status = cursor_read(r->hold->hmac, r->binding, r->ask.cursor, r->ask.tree.n_order, arena,
                             &r->ask.tree.position, reterr);
    if (!status && r->ask.is_stream && r->explain)
        status = hs_fail(reterr, HS_E_BAD_PARAMETER, "a list that is streamed is never kept");
    if (!status && r->ask.is_stream && api_request_is_lent(r))
        status = hs_fail(reterr, HS_E_BAD_PARAMETER, "a list in a transaction cannot be streamed");
    if (!status)
        status = r->ask.is_stream ? api_stream_start(worker, r, format, reterr)
                                  : run_tree(worker, r, has_cursors, reterr);
    return status;
}

static hs_status start_item(struct api_worker *worker, struct api_request *r, struct hs_err *reterr)
{
    struct hs_str role = r->req->identity->role;
    const struct api_shown *shown;
    const char **key;
    hs_status status;

    status = simple_read_key(r->table, r->key, r->req->arena, &key, reterr);
    if (status)
        return status;
    api_canonical_key(r->table, key, r->req->arena);
    if (!r->req->query.n) {
        shown = api_table_shown(r->hold->model, r->table, role);
        r->statement = &shown->item;
        r->columns = shown->item_columns;
        r->n_columns = r->statement->n_fields;
        r->query.gather = shown->can_gather ? &shown->gather : NULL;
        return submit(worker, r, key, key, r->table->n_key, reterr);
    }
    status = api_request_read(r, (struct simple_ask){.use = SIMPLE_ITEM, .key = key}, reterr);
    if (!status)
        status = run_tree(worker, r, /* with_order= */ false, reterr);
    return status;
}

/* ---- the path ---- */

static hs_status fail_table(const struct api_model *model, struct hs_str name,
                            struct hs_err *reterr)
{
    struct hs_nearest near;
    struct hs_str best;

    hs_nearest_start(&near, name);
    for (size_t i = 0; i < model->n_tables && i < NEAREST_TABLES_MAX; i++)
        hs_nearest_offer(&near, model->tables[i].name);
    best = hs_nearest_best(&near);
    (void)hs_fail(reterr, HS_E_UNKNOWN_TABLE, "there is no table \"%.*s\"", HS_FMT(name));
    if (best.n)
        hs_err_hint(reterr, "Perhaps you meant \"%.*s\".", HS_FMT(best));
    return HS_E_UNKNOWN_TABLE;
}

static hs_status find_table(struct api_request *r, struct hs_str segment, struct hs_err *reterr)
{
    const struct api_model *model = r->hold->model;
    hs_status status = HS_OK;

    if (hs_str_find(segment, '%') < segment.n)
        status = url_decode(r->req->arena, URL_PATH, segment, &segment, reterr);
    if (status)
        return status;
    r->table = api_model_table(model, segment);
    if (!r->table)
        return fail_table(model, segment, reterr);
    r->keep = &r->table->keep;
    return HS_OK;
}

hs_status api_request_start(struct api_worker *worker, struct http_req *req, struct hs_buf *explain,
                            struct hs_err *reterr)
{
    struct api_request *r = HS_NEW(req->arena, struct api_request);
    struct hs_str rest = req->path_rest;
    size_t slash = hs_str_find(rest, '/');
    struct hs_str id = hs_str_sub(rest, slash + 1, rest.n);
    hs_status status;

    if (!r)
        return hs_fail_memory(reterr);
    r->magic = API_REQUEST_MAGIC;
    r->req = req;
    r->worker = worker;
    r->hold = worker->hold;
    r->explain = explain;
    r->words = http_req_header(req, HS_STR("accept"));
    if (api_named_is(r->hold->model, rest)) {
        r->hold->uses++;
        status = api_named_start(r, reterr);
        if (status)
            api_hold_release(r->hold);
        return status;
    }
    status = find_table(r, hs_str_sub(rest, 0, slash), reterr);
    if (status)
        return status;
    req->route = slash < rest.n ? r->table->route_item : r->table->route_list;
    if (slash < rest.n && (!id.n || hs_str_find(id, '/') < id.n))
        return hs_fail(reterr, HS_E_NOT_FOUND, "there is nothing at %.*s", HS_FMT(req->path));
    r->is_item = slash < rest.n;
    r->key = id;
    r->hold->uses++;
    if (!(req->method & (HTTP_GET | HTTP_HEAD)))
        status = api_change_start(r, reterr);
    else
        status = r->is_item ? start_item(worker, r, reterr) : start_list(worker, r, reterr);
    if (status)
        api_hold_release(r->hold);
    return status;
}

hs_status api_check_ready(const struct api_worker *worker, const struct http_req *req,
                          struct hs_err *reterr)
{
    if (!worker->hold)
        return hs_fail(reterr, HS_E_PG_DOWN, "the database's catalog has not been read yet");
    if (!req->identity)
        return hs_fail(reterr, HS_E_NO_TOKEN, "the request names no caller");
    return HS_OK;
}

static bool is_openapi(const struct http_req *req)
{
    return hs_str_is(req->path_rest, "openapi.json") && (req->method & (HTTP_GET | HTTP_HEAD));
}

static void reply_tables(const struct api_model *model, struct http_req *req)
{
    struct hs_buf *out = http_req_scratch(req);

    req->route = model->route_tables;
    if (is_openapi(req))
        api_openapi_write(model, req->identity->role, out);
    else
        api_tables_write(model, req->identity->role, out);
    if (hs_buf_failed(out)) {
        api_reply_failed(req, out);
        return;
    }
    http_reply(req, &(struct http_reply){.status = 200,
                                         .content_type = HS_STR("application/json"),
                                         .body = hs_buf_str(out)});
}

static void handle_table(void *ctx, struct http_req *req)
{
    struct api_worker *worker = ctx;
    struct hs_err err = {0};
    hs_status status;

    HS_OBJ(worker, API_WORKER_MAGIC);
    status = api_check_ready(worker, req, &err);
    if (!status && !req->path_rest.n && !(req->method & (HTTP_GET | HTTP_HEAD))) {
        http_reply_not_allowed(req, HTTP_GET);
        return;
    }
    if (!status && (!req->path_rest.n || is_openapi(req))) {
        reply_tables(worker->hold->model, req);
        return;
    }
    if (!status && api_batch_is(req)) {
        api_batch_run(worker, req);
        return;
    }
    if (!status && (req->method & (HTTP_GET | HTTP_HEAD)) &&
        api_kept_hit(worker, req, http_req_header(req, HS_STR("accept"))))
        return;
    if (!status)
        status = api_request_start(worker, req, /* explain= */ NULL, &err);
    if (status)
        http_reply_error(req, &err);
}

const struct http_handler api_table_handler = {.name = "api", .handle = handle_table};
