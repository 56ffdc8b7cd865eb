/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages of a plan. Where a request has more than one fault, the one that PostgREST would name is named:
 * first the scopes that are for nothing, then relationships, orders by embeds and aggregates, all of them from the
 * top; and what PostgreSQL would refuse only then, in the order in which it reads a statement: embeds before
 * the level that they are in, fields before filters before orders.
 */
#include "rest/plan_int.h"

#include "rest/fuzzy.h"

static hs_status bind_level(struct rest_planner *p, struct rest_level *level, struct hs_err *reterr)
{
    hs_status status = HS_OK;

    for (struct rest_level *l = level->first; l && !status; l = l->next)
        status = bind_level(p, l, reterr);
    if (!status)
        status = rest_plan_fields(p, level, reterr);
    for (const struct rest_level_scope *s = level->scopes; s && !status; s = s->next) {
        if (level->item || p->setup->use != REST_PLAN_WRITE)
            status = rest_plan_filter(p, level, s->scope->where, &level->select->where, reterr);
    }
    if (!status)
        status = rest_plan_order(p, level, reterr);
    if (!status)
        rest_plan_limit(p, level);
    return status;
}

static const struct rest_relation *rows_of(const struct rest_plan_setup *setup)
{
    return setup->use == REST_PLAN_CALL ? rest_model_row(setup->model, setup->function)
                                        : rest_model_relation(setup->model, setup->relation);
}

/* A function that gives rows of no relation is called by its own name. */
static struct hs_str origin_of(const struct rest_plan_setup *setup)
{
    if (setup->use == REST_PLAN_CALL && !rest_model_relation(setup->model, setup->function->row))
        return setup->function->name;
    return rows_of(setup)->pg->name;
}

static struct rest_planner planner(const struct rest_plan_setup *setup, const struct rest_ask *ask)
{
    return (struct rest_planner){
        .setup = setup, .ask = ask, .arena = setup->arena, .origin = origin_of(setup)};
}

hs_status rest_plan(const struct rest_plan_setup *setup, const struct rest_ask *ask,
                    struct tree_select *ret_tree, struct hs_err *reterr)
{
    struct rest_planner p = planner(setup, ask);
    hs_status status;

    *ret_tree = (struct tree_select){.relation = rows_of(setup)->pg};
    status = rest_plan_levels(&p, ret_tree, reterr);
    if (status)
        return status;
    p.root->relation = rows_of(setup);
    status = rest_plan_scopes(&p, reterr);
    if (!status)
        status = rest_plan_relate(&p, p.root, reterr);
    if (!status)
        status = rest_plan_check_orders(p.root, reterr);
    if (!status)
        status = rest_plan_check_aggregates(&p, p.root, reterr);
    if (!status)
        status = bind_level(&p, p.root, reterr);
    if (!status && hs_arena_failed(p.arena))
        return hs_fail_memory(reterr);
    return status;
}

hs_status rest_plan_where(const struct rest_plan_setup *setup, const struct rest_ask *ask,
                          struct tree_node **ret_where, struct hs_err *reterr)
{
    struct rest_planner p = planner(setup, ask);
    const struct rest_level root = {.relation = rows_of(setup)};

    *ret_where = NULL;
    return rest_plan_filter(&p, &root, ask->scopes ? ask->scopes->where : NULL, ret_where, reterr);
}

static hs_status find_columns(const struct rest_plan_setup *setup, const struct hs_str *names,
                              size_t n, const struct pg_column *const **ret_columns,
                              size_t *ret_missing, struct hs_err *reterr)
{
    const struct rest_relation *relation = rows_of(setup);
    const struct pg_column **columns = HS_NEW_ARRAY(setup->arena, n + 1, const struct pg_column *);

    if (!columns)
        return hs_fail_memory(reterr);
    *ret_columns = columns;
    for (*ret_missing = 0; *ret_missing < n; ++*ret_missing) {
        const struct tree_field *field = rest_relation_field(relation, names[*ret_missing]);

        if (!field)
            return HS_OK;
        columns[*ret_missing] = field->column;
    }
    return HS_OK;
}

hs_status rest_plan_columns(const struct rest_plan_setup *setup, const struct hs_str *names,
                            size_t n, const struct pg_column *const **ret_columns,
                            struct hs_err *reterr)
{
    size_t missing;
    hs_status status = find_columns(setup, names, n, ret_columns, &missing, reterr);

    if (status || missing == n)
        return status;
    return hs_fail(reterr, HS_E_PGRST204,
                   "Could not find the '%.*s' column of '%.*s' in the schema cache",
                   HS_FMT(names[missing]), HS_FMT(setup->relation->name));
}

hs_status rest_plan_conflict(const struct rest_plan_setup *setup, const struct hs_str *names,
                             size_t n, const struct pg_column *const **ret_columns,
                             struct hs_err *reterr)
{
    size_t missing;
    hs_status status = find_columns(setup, names, n, ret_columns, &missing, reterr);

    if (status || missing == n)
        return status;
    return rest_plan_no_column(rows_of(setup), HS_STR_NULL, names[missing], reterr);
}

/* Above this many tables in the schema PostgREST makes no suggestion. */
enum { SUGGEST_MAX = 500 };

static struct hs_str suggest_relation(const struct pg_catalog *catalog, struct hs_str schema,
                                      struct hs_str name)
{
    struct rest_fuzzy fuzzy;
    size_t n = 0;

    rest_fuzzy_start(&fuzzy, name, REST_FUZZY_CLOSE);
    for (size_t i = 0; i < catalog->n_relations && n < SUGGEST_MAX; i++) {
        if (!hs_str_eq(catalog->relations[i].schema, schema))
            continue;
        n++;
        rest_fuzzy_offer(&fuzzy, catalog->relations[i].name);
    }
    return n < SUGGEST_MAX ? fuzzy.best : HS_STR_NULL;
}

hs_status rest_plan_relation(const struct rest_model *model, struct hs_str schema,
                             struct hs_str name, const struct pg_relation **ret_relation,
                             struct hs_err *reterr)
{
    const struct pg_catalog *catalog = rest_model_catalog(model);
    struct hs_str best;

    *ret_relation = pg_catalog_relation_in(catalog, schema, name);
    if (*ret_relation)
        return HS_OK;
    best = suggest_relation(catalog, schema, name);
    (void)hs_fail(reterr, HS_E_PGRST205, "Could not find the table '%.*s.%.*s' in the schema cache",
                  HS_FMT(schema), HS_FMT(name));
    if (best.p)
        hs_err_hint(reterr, "Perhaps you meant the table '%.*s.%.*s'", HS_FMT(schema),
                    HS_FMT(best));
    return HS_E_PGRST205;
}
