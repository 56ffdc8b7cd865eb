/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /rpc/{function}: from request to statement to answer.
 *
 * Source: PostgREST reference, functions as RPC, OPTIONS method.
 */
#include "rest/call.h"

#include "api/depend.h"
#include "api/settle.h"
#include "core/hash.h"

enum { OID_RECORD = 2249 }; /* pg_type.dat */

/* ---- running it ---- */

static struct rest_call *call_of(struct pg_query *query)
{
    struct rest_call *call = rest_request_of(query->arg)->call;

    HS_OBJ(call, REST_CALL_MAGIC);
    return call;
}

/* What the statement itself refused was never written. */
static void on_failed(struct rest_call *call, const struct pg_query *query,
                      const struct hs_err *err)
{
    struct rest_request *q = call->q;
    struct hs_err failure = *err;

    if (call->writes) {
        if (call->has_bound)
            (void)rest_read_bound(q, call->is_single, &failure);
        api_settle_failed(&q->r, query->epoch, query->position, err, &failure);
    } else if (!api_kept_stale(&q->r, err)) {
        rest_fail(q, err);
    }
}

static bool is_aggregated(const struct rest_request *q)
{
    return q->handler && !q->handler->function;
}

static void on_done(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct rest_call *call = call_of(query);
    struct rest_request *q = call->q;

    q->r.req->pg_us += hs_now_us() - q->r.submitted_at;
    if (err)
        on_failed(call, query, err);
    else if (q->media.kind == REST_MEDIA_PLAN)
        rest_answer_plan(q, rows);
    else if (is_aggregated(q))
        rest_answer_aggregate(q, rows);
    else
        rest_answer_rows(q, rows);
}

static hs_status run(struct api_worker *worker, struct api_request *r, struct hs_err *reterr)
{
    return pg_pool_run(worker->pool, &r->query, reterr);
}

/* ---- what surrounds it ---- */

/* Nothing but the function and its arguments decides the answer. */
static bool is_plain(const struct rest_call *call)
{
    const struct tree_select *tree = &call->q->r.ask.tree;
    bool has_filter = tree->where && !(tree->where->kind == TREE_AND && !tree->where->first);

    for (size_t i = 0; i < call->tree.n_arguments; i++) {
        /* Its checks are made where it is given, not in the function. */
        if (call->tree.arguments[i].argument->type->is_domain)
            return false;
    }
    if (tree->embeds || has_filter || tree->is_grouped || !call->is_fixed)
        return false;
    for (size_t i = 0; i < tree->n_fields; i++) {
        if (tree->fields[i]->value)
            return false;
    }
    for (size_t i = 0; i < tree->n_order; i++) {
        if (tree->order[i].made)
            return false;
    }
    return true;
}

static const struct pg_depend unknown = {
    .why = {"more than the function and its arguments decides the answer", 58}};

/* What its answer depends on, and how long it may be kept. errors HS_E_MEMORY */
static hs_status fill_keep(struct rest_call *call, struct hs_err *reterr)
{
    const struct pg_function *f = call->function;
    struct rest_request *q = call->q;
    struct api_keep *keep = HS_NEW(q->r.req->arena, struct api_keep);

    if (!keep)
        return hs_fail_memory(reterr);
    q->r.depend = is_plain(call) && !q->handler ? &f->depend : &unknown;
    q->r.ttl = q->r.hold->model->rules.ttl_list;
    *keep = (struct api_keep){.name = f->name,
                              .oid = f->oid,
                              .has_rls = f->depend.has_rls,
                              .ttl_max = q->site->pre_request.p ? 0 : UINT64_MAX,
                              .cache_control = HS_STR("private, no-cache")};
    q->r.keep = keep;
    return HS_OK;
}

/* PG_SHARED never: what a user's function leaves in the session is not known. */
static void fill_query(struct rest_call *call)
{
    struct api_request *r = &call->q->r;

    r->query.magic = PG_QUERY_MAGIC;
    r->query.flags = call->writes ? 0U : PG_REPEATABLE;
    r->query.sql = r->statement->text;
    r->query.sql_hash = r->statement->hash;
    r->query.who = r->req->identity;
    r->query.params = r->statement->params;
    r->query.n_params = r->statement->n_params;
    r->query.is_unwanted = call->writes ? NULL : &r->req->is_gone;
    r->query.done = on_done;
    r->query.arg = r;
}

static bool is_undone(const struct rest_request *q)
{
    enum rest_tx_end end = q->site->rules.tx_end;
    bool by_itself = end == REST_TX_END_ROLLBACK || end == REST_TX_END_ROLLBACK_OR;

    /* EXPLAIN may run what it explains. */
    if (q->media.kind == REST_MEDIA_PLAN)
        return true;
    return q->prefer.tx == REST_TX_UNSAID ? by_itself : q->prefer.tx == REST_TX_ROLLBACK;
}

static hs_status surround(struct rest_call *call, struct hs_err *reterr)
{
    struct rest_request *q = call->q;
    bool is_known = !call->writes && q->r.depend->is_known;
    hs_status status = is_aggregated(q) ? rest_aggregate(q, reterr) : HS_OK;

    rest_bound_time(q);
    if (!status && (!is_known || rest_wants_prelude(q)))
        status = rest_prelude(q, reterr);
    q->prelude.rolls_back = call->writes && is_undone(q);
    if (status)
        return status;
    if (q->media.kind == REST_MEDIA_PLAN)
        return rest_explain(q, reterr);
    if (is_known && !q->site->pre_request.p)
        return HS_OK;
    status = call->has_bound ? rest_bound_rows(q, call->is_single, call->rows_most, reterr) : HS_OK;
    return status ? status : rest_ask_settings(q, reterr);
}

/* What of media, schema and preferences the answer shows. p == NULL: no memory. */
static struct hs_str form_of(const struct rest_request *q)
{
    return hs_arena_printf(q->r.req->arena, "rest call %d %.*s %.*s", q->says_schema,
                           HS_FMT(rest_media_name(&q->media, q->r.req->arena)), HS_FMT(q->applied));
}

static hs_status submit(struct rest_call *call, struct hs_err *reterr)
{
    struct rest_request *q = call->q;
    struct api_request *r = &q->r;
    hs_status status = fill_keep(call, reterr);

    if (status)
        return status;
    r->form = form_of(q);
    if (!r->form.p)
        return hs_fail_memory(reterr);
    fill_query(call);
    status = surround(call, reterr);
    if (status)
        return status;
    r->submitted_at = hs_now_us();
    return call->is_post ? api_run_affordable(r->worker, r, run, reterr)
                         : api_kept_run(r->worker, r, /* key= */ NULL, run, reterr);
}

/* ---- the statement ---- */

/* A value alone is no column of the function's name, and a record's columns are known to its JSON only. */
static hs_status name_value(struct rest_call *call, struct hs_err *reterr)
{
    struct api_request *r = &call->q->r;
    struct api_out_column *columns;

    if (!call->function->is_scalar || !r->n_columns)
        return HS_OK;
    columns = HS_NEW_ARRAY(r->req->arena, r->n_columns, struct api_out_column);
    if (!columns)
        return hs_fail_memory(reterr);
    memcpy(columns, r->columns, r->n_columns * sizeof(*columns));
    columns[0].key = HS_STR("\"pgrst_scalar\":");
    columns[0].is_json_ready |= call->function->returns->oid == OID_RECORD;
    r->columns = columns;
    return HS_OK;
}

static hs_status write_statement(struct rest_call *call, struct hs_err *reterr)
{
    struct api_request *r = &call->q->r;
    struct sql_statement *statement = HS_NEW(r->req->arena, struct sql_statement);
    hs_status status;

    if (!statement)
        return hs_fail_memory(reterr);
    r->statement = statement;
    api_canonical(&r->ask.tree, r->req->arena);
    status = sql_write(&r->ask.tree, /* with_order= */ false, &r->worker->scratch, r->req->arena,
                       statement, reterr);
    r->columns = statement->columns;
    r->n_columns = statement->n_columns;
    return status ? status : name_value(call, reterr);
}

static bool is_counted(const struct rest_request *q)
{
    return (q->prefer.count == REST_COUNT_EXACT || q->prefer.count == REST_COUNT_ESTIMATED) &&
           q->call->function->is_set_returning && !is_aggregated(q);
}

static hs_status plan(struct rest_call *call, struct hs_err *reterr)
{
    struct rest_request *q = call->q;
    struct tree_select *tree = &q->r.ask.tree;
    const struct rest_plan_setup setup = {.model = q->site->model,
                                          .use = REST_PLAN_CALL,
                                          .schema = q->schema,
                                          .function = call->function,
                                          .who = q->r.req->identity,
                                          .max_rows = q->site->rules.max_rows,
                                          .has_aggregates = q->site->rules.aggregates_enabled,
                                          .arena = q->r.req->arena,
                                          .more = &q->more};
    hs_status status = rest_plan(&setup, &q->ask, tree, reterr);

    if (status)
        return status;
    q->relation = tree->relation;
    tree->has_limit = q->range.has_limit;
    tree->is_limit_fixed = false;
    tree->limit = q->range.limit;
    tree->offset = q->range.offset;
    tree->with_columns = true;
    tree->call = &call->tree;
    return HS_OK;
}

/* ---- the request ---- */

/* How many rows it may give, where it is refused for more. errors HS_E_PGRST128 */
static hs_status read_bound(struct rest_call *call, struct hs_err *reterr)
{
    const struct rest_request *q = call->q;
    const struct rest_prefer *prefer = &q->prefer;
    bool has_most = prefer->has_max_affected && prefer->handling == REST_HANDLING_STRICT;

    if (has_most && !call->function->is_set_returning)
        return hs_fail(reterr, HS_E_PGRST128,
                       "Function must return SETOF or TABLE when max-affected preference is used "
                       "with handling=strict");
    call->is_single = q->media.kind == REST_MEDIA_OBJECT && call->function->is_set_returning;
    call->has_bound = call->writes && (has_most || call->is_single);
    call->rows_most = has_most && prefer->max_affected > 0 ? (uint64_t)prefer->max_affected : 0;
    if (!has_most)
        call->rows_most = UINT64_MAX;
    return HS_OK;
}

static hs_status choose_media(struct rest_call *call, struct hs_err *reterr)
{
    struct rest_request *q = call->q;
    hs_status status = rest_choose_media(q, reterr);

    if (status)
        return status;
    q->r.ask.tree.count = is_counted(q) ? TREE_COUNT_EXACT : TREE_COUNT_NONE;
    status = rest_say_applied(q, REST_APPLIES_MAX_AFFECTED, reterr);
    return status ? status : read_bound(call, reterr);
}

static hs_status start(struct rest_call *call, struct hs_err *reterr)
{
    struct rest_request *q = call->q;
    const struct http_req *req = q->r.req;
    struct hs_str range = req->method == HTTP_GET ? http_req_header(req, HS_STR("range"))
                                                  : HS_STR_NULL;
    hs_status status = rest_range_read(q->ask.scopes, range,
                                       rest_rows_most(q->site->rules.max_rows, req->identity),
                                       &q->range, reterr);

    call->writes = call->is_post && call->function->volatility == 'v';
    if (!status)
        status = plan(call, reterr);
    if (!status)
        status = choose_media(call, reterr);
    if (!status)
        status = rest_call_bind(call, reterr);
    if (!status)
        status = write_statement(call, reterr);
    return status ? status : submit(call, reterr);
}

static void reply_options(const struct rest_call *call)
{
    rest_reply_allow(call->q, call->function->volatility == 'v' ? HS_STR("OPTIONS,POST")
                                                                : HS_STR("OPTIONS,GET,HEAD,POST"));
}

static hs_status check_method(const struct http_req *req, struct hs_err *reterr)
{
    switch (req->method) {
    case HTTP_GET:
    case HTTP_HEAD:
    case HTTP_POST:
    case HTTP_OPTIONS:
        return HS_OK;
    case HTTP_PUT:
    case HTTP_PATCH:
    case HTTP_DELETE:
        return hs_fail(reterr, HS_E_PGRST101, "Cannot use the %.*s method on RPC",
                       HS_FMT(req->method_name));
    case HTTP_OTHER:
        break;
    }
    return hs_fail(reterr, HS_E_PGRST117, "Unsupported HTTP method: %.*s",
                   HS_FMT(req->method_name));
}

/* In the transaction of a batch it could end that, or write where it only reads. */
static hs_status check_alone(const struct rest_request *q, struct hs_err *reterr)
{
    if (!api_request_is_lent(&q->r))
        return HS_OK;
    (void)hs_fail(reterr, HS_E_BAD_PARAMETER, "a call cannot be part of a transaction");
    hs_err_hint(reterr, "Ask for it alone, or in a batch that is no transaction.");
    return HS_E_BAD_PARAMETER;
}

static hs_status read(struct rest_call *call, struct hs_err *reterr)
{
    struct rest_request *q = call->q;
    const struct http_req *req = q->r.req;
    bool is_read = req->method & (HTTP_GET | HTTP_HEAD);
    hs_status status = rest_read_prefer(q, reterr);

    if (!status)
        status = rest_ask_read(is_read ? REST_FOR_CALL : REST_FOR_ROWS, req->query, req->arena,
                               &q->ask, reterr);
    return status ? status : rest_call_read(call, reterr);
}

static hs_status begin(struct rest_call *call, struct hs_str name, struct hs_err *reterr)
{
    struct rest_request *q = call->q;
    hs_status status = check_alone(q, reterr);

    if (!status)
        status = check_method(q->r.req, reterr);
    if (!status)
        status = read(call, reterr);
    if (!status)
        status = rest_call_choose(call, name, reterr);
    if (status)
        return status;
    q->function = call->function;
    q->r.req->route = rest_site_call_route(q->site, call->function);
    return HS_OK;
}

hs_status rest_call_start(struct rest_request *q, struct hs_str name, struct hs_err *reterr)
{
    struct rest_call *call = HS_NEW(q->r.req->arena, struct rest_call);
    hs_status status;

    if (!call)
        return hs_fail_memory(reterr);
    call->magic = REST_CALL_MAGIC;
    call->q = q;
    call->is_post = q->r.req->method == HTTP_POST;
    q->call = call;
    status = begin(call, name, reterr);
    if (status)
        return status;
    if (q->r.req->method == HTTP_OPTIONS) {
        reply_options(call);
        return HS_OK;
    }
    return start(call, reterr);
}

/* ---- answers of what may have written ---- */

bool rest_call_settles(struct rest_request *q, const struct http_reply *reply)
{
    const struct pg_query *query = &q->r.query;

    if (!q->call || !q->call->writes || !query->magic || q->prelude.rolls_back)
        return false;
    api_settle(&q->r, query->epoch, query->position, reply);
    return true;
}

bool rest_call_settles_failed(struct rest_request *q, const struct hs_err *err)
{
    const struct pg_query *query = &q->r.query;

    /* Before it was handed in, nothing has been written. */
    if (!q->call || !q->call->writes || !query->epoch || q->prelude.rolls_back)
        return false;
    api_settle_failed(&q->r, query->epoch, query->position, NULL, err);
    return true;
}
