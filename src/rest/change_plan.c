/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A write, bound to the catalog: which columns from the body, which rows by the filters, what comes back.
 *
 * PUT is an upsert of one row whose key stands in the filters, too: the row is taken only where the body's key
 * fits them, so that PostgreSQL compares them in the columns' types.
 */
#include "rest/change.h"

static struct rest_plan_setup setup_of(const struct rest_change *c)
{
    struct rest_request *q = c->q;

    return (struct rest_plan_setup){.model = q->site->model,
                                    .use = REST_PLAN_WRITE,
                                    .schema = q->schema,
                                    .relation = q->relation,
                                    .who = q->r.req->identity,
                                    .max_rows = q->site->rules.max_rows,
                                    .has_aggregates = q->site->rules.aggregates_enabled,
                                    .arena = q->r.req->arena,
                                    .more = &q->more};
}

static bool is_put(const struct rest_change *c)
{
    return c->q->r.req->method == HTTP_PUT;
}

/* ---- columns ---- */

/* Those of columns=, each once: sorted, as they are where they come from the body. */
static hs_status asked_names(const struct rest_change *c, const struct hs_str **ret_names,
                             size_t *ret_n, struct hs_err *reterr)
{
    const struct rest_ask *ask = &c->q->ask;
    struct hs_str *names = HS_NEW_ARRAY(c->q->r.req->arena, ask->n_columns + 1, struct hs_str);

    if (!names)
        return hs_fail_memory(reterr);
    if (ask->n_columns)
        memcpy(names, ask->columns, ask->n_columns * sizeof(*names));
    *ret_names = names;
    *ret_n = rest_body_sort_names(names, ask->n_columns);
    return HS_OK;
}

static hs_status choose_columns(struct rest_change *c, const struct rest_plan_setup *setup,
                                struct hs_err *reterr)
{
    const struct hs_str *names = c->body.names;
    size_t n = c->body.n_names;
    hs_status status = HS_OK;

    if (c->write.kind == TREE_DELETE)
        return HS_OK;
    if (c->body.has_any_keys)
        status = asked_names(c, &names, &n, reterr);
    if (status || !n)
        return status;
    c->write.n_columns = n;
    return rest_plan_columns(setup, names, n, &c->write.columns, reterr);
}

/* An update takes the values of the first object. */
static hs_status choose_json(struct rest_change *c, struct hs_err *reterr)
{
    struct rest_body *body = &c->body;
    bool is_first = c->write.kind == TREE_UPDATE && body->is_array;

    if (is_first && !body->first.p)
        c->write.n_columns = 0;
    c->write.is_array = body->is_array && !is_first;
    c->write.json = body->json;
    if (is_first && body->first.p)
        c->write.json = hs_arena_dup(c->q->r.req->arena, body->first);
    return c->write.json.p || c->write.kind == TREE_DELETE ? HS_OK : hs_fail_memory(reterr);
}

/* ---- conflicts ---- */

static hs_status choose_conflict(struct rest_change *c, const struct rest_plan_setup *setup,
                                 struct hs_err *reterr)
{
    const struct rest_ask *ask = &c->q->ask;
    enum rest_resolution resolution = is_put(c) ? REST_RESOLUTION_MERGE : c->q->prefer.resolution;

    if (c->write.kind != TREE_INSERT || resolution == REST_RESOLUTION_UNSAID)
        return HS_OK;
    c->write.conflict = resolution == REST_RESOLUTION_MERGE ? TREE_CONFLICT_MERGES
                                                            : TREE_CONFLICT_IGNORED;
    if (is_put(c) || !ask->has_on_conflict) {
        c->write.conflict_columns = c->known->key;
        c->write.n_conflict_columns = c->known->n_key;
        return HS_OK;
    }
    c->write.n_conflict_columns = ask->n_on_conflict;
    return rest_plan_conflict(setup, ask->on_conflict, ask->n_on_conflict,
                              &c->write.conflict_columns, reterr);
}

/* ---- the rows ---- */

static bool is_equality(const struct rest_node *node)
{
    return node->kind == REST_NODE_COMPARE && !node->is_negated && node->op == REST_EQ &&
           node->quantifier == REST_ONE && !node->path.n_steps;
}

/* Do all rows have to equal something in this column? */
static bool has_equality(const struct rest_ask *ask, const struct pg_column *column)
{
    for (const struct rest_node *node = ask->scopes->where; node; node = node->next) {
        if (is_equality(node) && hs_str_eq(node->path.name, column->name))
            return true;
    }
    return false;
}

static bool is_key(const struct rest_relation *known, struct hs_str name)
{
    for (size_t i = 0; i < known->n_key; i++) {
        if (hs_str_eq(known->key[i]->name, name))
            return true;
    }
    return false;
}

static bool is_written(const struct tree_json_write *write, const struct pg_column *column)
{
    for (size_t i = 0; i < write->n_columns; i++) {
        if (write->columns[i] == column)
            return true;
    }
    return false;
}

/* All of the key, by eq, and nothing else. */
static bool has_key_filters(const struct rest_change *c)
{
    const struct rest_ask *ask = &c->q->ask;

    for (const struct rest_node *node = ask->scopes->where; node; node = node->next) {
        if (!is_equality(node) || !is_key(c->known, node->path.name))
            return false;
    }
    for (size_t i = 0; i < c->known->n_key; i++) {
        if (!has_equality(ask, c->known->key[i]))
            return false;
    }
    return c->known->n_key > 0;
}

static hs_status fail_put(struct hs_err *reterr)
{
    return hs_fail(reterr, HS_E_PGRST115,
                   "Payload values do not match URL in primary key column(s)");
}

static hs_status check_put(const struct rest_change *c, struct hs_err *reterr)
{
    if (!has_key_filters(c))
        return hs_fail(reterr, HS_E_PGRST105,
                       "Filters must include all and only primary key columns with 'eq' operators");
    for (size_t i = 0; i < c->known->n_key; i++) {
        if (!is_written(&c->write, c->known->key[i]))
            return fail_put(reterr);
    }
    return HS_OK;
}

/* By its filters, or by how many the body has. */
static bool is_one_at_most(const struct rest_change *c)
{
    const struct pg_relation *pg = c->q->relation;

    if (c->write.kind == TREE_INSERT)
        return c->body.n_rows <= 1;
    for (size_t i = 0; i < pg->n_keys && !pg->has_heirs; i++) {
        size_t n = 0;

        while (n < pg->keys[i].n_columns && has_equality(&c->q->ask, pg->keys[i].columns[n]))
            n++;
        if (n == pg->keys[i].n_columns)
            return true;
    }
    return false;
}

static hs_status choose_rows(struct rest_change *c, const struct rest_plan_setup *setup,
                             struct hs_err *reterr)
{
    hs_status status = HS_OK;

    if (is_put(c))
        status = check_put(c, reterr);
    else if (c->write.kind == TREE_INSERT)
        return HS_OK;
    return status ? status : rest_plan_where(setup, &c->q->ask, &c->write.where, reterr);
}

/* ---- what comes back ---- */

/* The key's columns, for Location. */
static hs_status give_key(struct rest_change *c, struct tree_select *tree, struct hs_err *reterr)
{
    const struct tree_field **fields = HS_NEW_ARRAY(c->q->r.req->arena, c->known->n_key,
                                                    const struct tree_field *);

    if (!fields)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < c->known->n_key; i++)
        fields[i] = rest_relation_field(c->known, c->known->key[i]->name);
    tree->fields = fields;
    tree->n_fields = c->known->n_key;
    return HS_OK;
}

static hs_status choose_answer(struct rest_change *c, const struct rest_plan_setup *setup,
                               struct hs_err *reterr)
{
    enum rest_return wanted = c->q->prefer.answer;
    struct tree_select *tree = &c->q->r.ask.tree;
    hs_status status = HS_OK;

    c->gives_rows = wanted == REST_RETURN_REPRESENTATION;
    c->says_where = wanted == REST_RETURN_HEADERS_ONLY && c->q->r.req->method == HTTP_POST &&
                    c->known->n_key && c->body.n_rows == 1;
    tree->relation = c->q->relation;
    if (c->gives_rows)
        status = rest_plan(setup, &c->q->ask, tree, reterr);
    else if (c->says_where)
        status = give_key(c, tree, reterr);
    tree->write = &c->write;
    tree->with_columns = true;
    tree->comment = c->q->place->comment;
    return status;
}

/* ---- what it may call ---- */

static bool is_tidy(const struct rest_change *c)
{
    const struct pg_relation *pg = c->q->relation;

    switch (c->write.kind) {
    case TREE_INSERT:
        return pg->tidy.insert && (c->write.conflict != TREE_CONFLICT_MERGES || pg->tidy.update);
    case TREE_UPDATE:
        return pg->tidy.update;
    case TREE_DELETE:
        break;
    }
    return pg->tidy.delete;
}

static bool is_function(const struct tree_value *value)
{
    return value && value->function;
}

static bool node_calls_nothing(const struct tree_node *node)
{
    if (is_function(node->made))
        return false;
    for (const struct tree_node *child = node->first; child; child = child->next) {
        if (!node_calls_nothing(child))
            return false;
    }
    return true;
}

/* is_inner: a row that was written may lack in the answer. */
static bool select_calls_nothing(const struct tree_select *tree, bool *ret_is_inner)
{
    for (size_t i = 0; i < tree->n_fields; i++) {
        if (is_function(tree->fields[i]->value))
            return false;
    }
    for (size_t i = 0; i < tree->n_order; i++) {
        if (is_function(tree->order[i].made))
            return false;
    }
    for (const struct tree_embed *e = tree->embeds; e; e = e->next) {
        *ret_is_inner = *ret_is_inner || e->is_inner;
        if (e->join->function || !e->select->relation->depend.is_known ||
            !select_calls_nothing(e->select, ret_is_inner))
            return false;
    }
    return !tree->where || node_calls_nothing(tree->where);
}

static void judge(struct rest_change *c)
{
    bool is_inner = false;

    c->calls_nothing = is_tidy(c) && select_calls_nothing(&c->q->r.ask.tree, &is_inner) &&
                       (!c->write.where || node_calls_nothing(c->write.where));
    c->is_one_row_at_most = c->calls_nothing && !is_inner && !c->q->r.ask.tree.where &&
                            is_one_at_most(c);
    c->write.with_settings = !c->calls_nothing || c->q->site->pre_request.p;
}

hs_status rest_change_plan(struct rest_change *c, struct hs_err *reterr)
{
    const struct rest_plan_setup setup = setup_of(c);
    hs_status status = choose_answer(c, &setup, reterr);

    c->write.relation = c->q->relation;
    c->write.missing_is_default = c->q->prefer.missing == REST_MISSING_DEFAULT && !is_put(c);
    if (!status)
        status = choose_columns(c, &setup, reterr);
    if (!status)
        status = choose_json(c, reterr);
    if (!status)
        status = choose_conflict(c, &setup, reterr);
    if (!status)
        status = choose_rows(c, &setup, reterr);
    if (!status)
        judge(c);
    return status;
}
