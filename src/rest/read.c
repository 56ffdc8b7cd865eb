/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET and HEAD of a relation.
 *
 *     one row by its key   ?id=eq.7, perhaps with select=*: the statement that was made ahead, which the pool
 *                          gathers with others of its kind
 *     the rest             Prefer -> query -> range -> plan -> statement
 *
 * The rule: whichever way, the answer's key names the statement, its values and r.form; the quick way is taken by
 * the form of the text alone, and gives what the other would give.
 */
#include "rest/request.h"

#include "api/depend.h"

enum { INT2_OID = 21, INT4_OID = 23 }; /* pg_type.dat */

/* ---- running it ---- */

static void on_done(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct rest_request *q = rest_request_of(query->arg);

    HS_OBJ(q, REST_REQUEST_MAGIC);
    q->r.req->pg_us += hs_now_us() - q->r.submitted_at;
    if (!err && q->media.kind == REST_MEDIA_PLAN)
        rest_answer_plan(q, rows);
    else if (!err && q->handler)
        rest_answer_aggregate(q, rows);
    else if (!err)
        rest_answer_rows(q, rows);
    else if (!api_kept_stale(&q->r, err))
        rest_fail(q, err);
}

/* Could anything that the statement runs look at the request, or say something of the answer? */
static bool calls_in_where(const struct tree_node *node)
{
    if (!node)
        return false;
    if (node->kind == TREE_COMPARE)
        return node->made && node->made->function;
    for (const struct tree_node *child = node->first; child; child = child->next) {
        if (calls_in_where(child))
            return true;
    }
    return false;
}

static bool calls_functions(const struct tree_select *tree)
{
    for (size_t i = 0; i < tree->n_fields; i++) {
        if (tree->fields[i]->value && tree->fields[i]->value->function)
            return true;
    }
    for (size_t i = 0; i < tree->n_order; i++) {
        if (tree->order[i].made && tree->order[i].made->function)
            return true;
    }
    return calls_in_where(tree->where);
}

static bool is_known(const struct tree_select *tree)
{
    if (!tree->relation->depend.is_known || tree->call || calls_functions(tree))
        return false;
    for (const struct tree_embed *e = tree->embeds; e; e = e->next) {
        if (e->join->function || (e->join->via && !e->join->via->depend.is_known) ||
            !is_known(e->select))
            return false;
    }
    return true;
}

/* What of media, schema and preferences the answer shows. p == NULL: no memory. */
static struct hs_str form_of(const struct rest_request *q)
{
    struct hs_str name;

    if (q->media.kind == REST_MEDIA_JSON && !q->says_schema && !q->applied.n)
        return HS_STR("rest");
    name = rest_media_name(&q->media, q->r.req->arena);
    return hs_arena_printf(q->r.req->arena, "rest %d %.*s %.*s", q->says_schema, HS_FMT(name),
                           HS_FMT(q->applied));
}

/* The planner's numbers change at any time, and what the operator's function says may, too. */
static hs_status keep_nothing(struct rest_request *q, struct hs_err *reterr)
{
    struct api_keep *keep = HS_NEW(q->r.req->arena, struct api_keep);

    if (!keep)
        return hs_fail_memory(reterr);
    *keep = *q->r.keep;
    keep->ttl_max = 0;
    q->r.keep = keep;
    return HS_OK;
}

/* key: of the row that is asked for, NULL for a tree. */
static hs_status submit(struct rest_request *q, const char *const *key, const char *const *params,
                        size_t n_params, struct hs_err *reterr)
{
    struct api_request *r = &q->r;
    const struct sql_statement *statement = r->statement;
    bool is_all_known = key ? q->relation->depend.is_known : is_known(&r->ask.tree);
    hs_status status = HS_OK;

    r->form = form_of(q);
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
    if (!r->form.p)
        return hs_fail_memory(reterr);
    rest_bound_time(q);
    if (q->handler)
        status = rest_aggregate(q, reterr);
    is_all_known = is_all_known && !q->handler;
    if (!status && (!is_all_known || rest_wants_prelude(q)))
        status = rest_prelude(q, reterr);
    if (!status && q->media.kind == REST_MEDIA_PLAN)
        status = rest_explain(q, reterr);
    else if (!status && (!is_all_known || q->site->pre_request.p))
        status = rest_ask_settings(q, reterr);
    if (!status &&
        (q->counting || q->site->pre_request.p || q->media.kind == REST_MEDIA_PLAN || q->handler))
        status = keep_nothing(q, reterr);
    return status ? status : api_kept_run(r->worker, r, key, rest_count_run, reterr);
}

/* ---- one row by its key ---- */

/* So many digits are in range in any case. */
static size_t digits_max(const struct pg_type *type)
{
    return type->oid == INT2_OID ? 4 : type->oid == INT4_OID ? 9 : 18;
}

/* Digits as PostgreSQL would print them: no sign, no zero in front, in range. */
static bool is_plain_number(struct hs_str s, const struct pg_type *type)
{
    if (!s.n || s.n > digits_max(type) || (s.p[0] == '0' && s.n > 1))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    }
    return true;
}

/* "id=eq.7" alone or beside "select=*": the 7. p == NULL: it is not that. */
static struct hs_str plain_key(const struct rest_request *q)
{
    const struct pg_column *column = q->place->one.key;
    struct hs_str rest = q->r.req->query;
    struct hs_str key = HS_STR_NULL;

    while (rest.n) {
        struct hs_str value = hs_str_cut(&rest, '&');
        struct hs_str name = hs_str_cut(&value, '=');

        if (hs_str_is(name, "select") && hs_str_is(value, "*"))
            continue;
        if (key.p || !hs_str_eq(name, column->name) || !hs_str_starts(value, HS_STR("eq.")))
            return HS_STR_NULL;
        key = hs_str_sub(value, 3, value.n);
        if (!is_plain_number(key, column->type))
            return HS_STR_NULL;
    }
    return key;
}

static bool has_plain_headers(const struct http_req *req)
{
    return !http_req_header(req, HS_STR("prefer")).p && !http_req_header(req, HS_STR("range")).p;
}

static hs_status start_one(struct rest_request *q, struct hs_str key, struct hs_err *reterr)
{
    const struct rest_one *one = &q->place->one;
    struct api_request *r = &q->r;
    const char **values = HS_NEW_ARRAY(r->req->arena, 1, const char *);

    if (values)
        values[0] = hs_arena_dup(r->req->arena, key).p;
    if (!values || !values[0])
        return hs_fail_memory(reterr);
    r->is_item = true;
    r->key = key;
    r->statement = &one->statement;
    r->columns = one->columns;
    r->n_columns = q->relation->n_columns;
    r->query.gather = one->can_gather ? &one->gather : NULL;
    return submit(q, values, values, 1, reterr);
}

/* ---- all else ---- */

hs_status rest_read_tree(struct rest_request *q, struct tree_select *ret_tree,
                         struct hs_err *reterr)
{
    const struct rest_plan_setup setup = {.model = q->site->model,
                                          .use = REST_PLAN_READ,
                                          .schema = q->schema,
                                          .relation = q->relation,
                                          .who = q->r.req->identity,
                                          .max_rows = q->site->rules.max_rows,
                                          .has_aggregates = q->site->rules.aggregates_enabled,
                                          .arena = q->r.req->arena,
                                          .more = &q->more};
    hs_status status = rest_plan(&setup, &q->ask, ret_tree, reterr);

    if (status)
        return status;
    ret_tree->has_limit = q->range.has_limit;
    ret_tree->is_limit_fixed = false;
    ret_tree->limit = q->range.limit;
    ret_tree->offset = q->range.offset;
    ret_tree->comment = q->place->comment;
    ret_tree->with_columns = true;
    return HS_OK;
}

/* Does the statement itself count? */
static bool is_counted(const struct rest_request *q)
{
    return q->prefer.count == REST_COUNT_EXACT ||
           (q->prefer.count == REST_COUNT_ESTIMATED && !q->site->rules.max_rows);
}

static hs_status make_tree(struct rest_request *q, struct hs_err *reterr)
{
    hs_status status = rest_read_tree(q, &q->r.ask.tree, reterr);

    q->r.ask.tree.count = is_counted(q) ? TREE_COUNT_EXACT : TREE_COUNT_NONE;
    return status ? status : rest_count_prepare(q, reterr);
}

static hs_status run_tree(struct rest_request *q, struct hs_err *reterr)
{
    struct api_request *r = &q->r;
    struct sql_statement *statement = HS_NEW(r->req->arena, struct sql_statement);
    hs_status status;

    if (!statement)
        return hs_fail_memory(reterr);
    r->statement = statement;
    /* A cell of CSV is a text of its own, which PostgreSQL makes. */
    r->ask.tree.with_layers = q->media.kind != REST_MEDIA_CSV;
    if (q->handler)
        r->ask.tree.count = TREE_COUNT_NONE;
    api_canonical(&r->ask.tree, r->req->arena);
    status = sql_write(&r->ask.tree, /* with_order= */ false, &r->worker->scratch, r->req->arena,
                       statement, reterr);
    r->columns = statement->columns;
    r->n_columns = statement->n_columns;
    return status ? status
                  : submit(q, /* key= */ NULL, statement->params, statement->n_params, reterr);
}

static hs_status start_tree(struct rest_request *q, struct hs_err *reterr)
{
    const struct http_req *req = q->r.req;
    struct hs_str range = req->method == HTTP_GET ? http_req_header(req, HS_STR("range"))
                                                  : HS_STR_NULL;
    hs_status status = rest_read_prefer(q, reterr);

    if (!status)
        status = rest_say_applied(q, 0, reterr);
    if (!status)
        status = rest_ask_read(REST_FOR_ROWS, req->query, req->arena, &q->ask, reterr);
    if (!status)
        status = rest_range_read(q->ask.scopes, range,
                                 rest_rows_most(q->site->rules.max_rows, req->identity), &q->range,
                                 reterr);
    if (!status)
        status = make_tree(q, reterr);
    if (!status)
        status = rest_choose_media(q, reterr);
    return status ? status : run_tree(q, reterr);
}

hs_status rest_read_start(struct rest_request *q, struct hs_err *reterr)
{
    struct hs_str key = q->place->one.key && has_plain_headers(q->r.req) ? plain_key(q)
                                                                         : HS_STR_NULL;

    if (key.p && rest_choose_media(q, NULL) == HS_OK && q->media.kind != REST_MEDIA_PLAN &&
        !q->handler)
        return start_one(q, key, reterr);
    return start_tree(q, reterr);
}
