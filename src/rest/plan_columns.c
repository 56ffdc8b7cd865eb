/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names to columns, computed fields and types.
 *
 * PostgREST puts a column's name into its statement and lets PostgreSQL look for it. Here it is looked for in the
 * catalog, and what PostgreSQL would say is said instead: the same SQLSTATE and message, and the same hint by
 * the same measure, which is the least number of letters to change, at most three and at most half of the name;
 * two columns that are equally near are both named, three are too many.
 *
 * Source: PostgreSQL 15, messages of undefined_column and undefined_object; manual, 38.5.2 (f(row) as row.f).
 */
#include "rest/fuzzy.h"
#include "rest/plan_int.h"

enum { NEAR_MAX = 3 };

struct near {
    const struct pg_column *first;
    const struct pg_column *second;
    size_t distance; /* of both; nothing that is farther is taken */
};

static void offer(struct near *near, const struct pg_column *column, struct hs_str name)
{
    size_t d = rest_fuzzy_distance(column->name, name);

    if (d > name.n / 2 || d > near->distance)
        return;
    if (d < near->distance) {
        *near = (struct near){column, NULL, d};
    } else if (near->second) {
        /* Three at this distance say nothing: only what is nearer may follow. */
        *near = (struct near){NULL, NULL, d ? d - 1 : 0};
    } else if (near->first) {
        near->second = column;
    } else if (d <= NEAR_MAX) {
        near->first = column;
    }
}

static struct near nearest(const struct rest_relation *relation, struct hs_str name)
{
    struct near near = {.distance = NEAR_MAX + 1};

    if (name.n > REST_FUZZY_MAX)
        return near;
    for (size_t i = 0; i < relation->pg->n_columns; i++)
        offer(&near, &relation->pg->columns[i], name);
    return near;
}

hs_status rest_plan_no_column(const struct rest_relation *relation, struct hs_str called,
                              struct hs_str name, struct hs_err *reterr)
{
    struct near near;

    if (!reterr)
        return HS_E_PG_ERROR;
    if (called.p)
        (void)hs_fail(reterr, HS_E_PG_ERROR, "column %.*s.%.*s does not exist", HS_FMT(called),
                      HS_FMT(name));
    else
        (void)hs_fail(reterr, HS_E_PG_ERROR, "column \"%.*s\" does not exist", HS_FMT(name));
    memcpy(reterr->sqlstate, "42703", sizeof(reterr->sqlstate));
    reterr->http = 400;
    near = nearest(relation, name);
    if (!called.p || !near.first)
        return HS_E_PG_ERROR;
    if (near.second)
        hs_err_hint(reterr,
                    "Perhaps you meant to reference the column \"%.*s.%.*s\" or the column "
                    "\"%.*s.%.*s\".",
                    HS_FMT(called), HS_FMT(near.first->name), HS_FMT(called),
                    HS_FMT(near.second->name));
    else
        hs_err_hint(reterr, "Perhaps you meant to reference the column \"%.*s.%.*s\".",
                    HS_FMT(called), HS_FMT(near.first->name));
    return HS_E_PG_ERROR;
}

/* Of functions of one name that of the chosen schema, else the first: as a search path has it. */
static const struct pg_function *computed_field(const struct rest_planner *p,
                                                const struct pg_relation *relation,
                                                struct hs_str name)
{
    const struct pg_function *found = NULL;
    size_t low = 0;
    size_t high = relation->n_computed;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (hs_str_cmp(relation->computed[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < relation->n_computed && hs_str_eq(relation->computed[low]->name, name); low++) {
        const struct pg_function *f = relation->computed[low];

        if (f->is_scalar && (!found || hs_str_eq(f->schema, p->setup->schema)))
            found = f;
    }
    return found;
}

bool rest_plan_has_name(const struct rest_planner *p, const struct rest_level *level,
                        struct hs_str name)
{
    return rest_relation_field(level->relation, name) ||
           computed_field(p, level->relation->pg, name);
}

static const struct tree_step *steps_of(struct rest_planner *p, const struct rest_path *path)
{
    struct tree_step *steps = HS_NEW_ARRAY(p->arena, path->n_steps + 1, struct tree_step);

    for (size_t i = 0; steps && i < path->n_steps; i++)
        steps[i] = (struct tree_step){.key = path->steps[i].key,
                                      .is_index = path->steps[i].is_index,
                                      .is_text = path->steps[i].is_text};
    return steps;
}

/*
 * What PostgREST calls the rows of a level in its statement: the table's name for the rows themselves and for the far
 * side of a junction, which has no alias there.
 */
static struct hs_str called(struct rest_planner *p, const struct rest_level *level, bool is_above)
{
    const struct rest_relationship *by = level->by;

    if (!by)
        return p->origin;
    if (is_above)
        return hs_arena_printf(p->arena, "%.*s_%.*s_%u", HS_FMT(by->from->name),
                               HS_FMT(level->name), level->depth);
    if (by->cardinality == REST_MANY_TO_MANY)
        return by->to->name;
    return hs_arena_printf(p->arena, "%.*s_%u", HS_FMT(by->to->name), level->depth);
}

hs_status rest_plan_path(struct rest_planner *p, const struct rest_level *level, bool is_above,
                         const struct rest_path *path, const struct pg_column **ret_column,
                         struct tree_value **ret_value, struct hs_err *reterr)
{
    const struct tree_field *field = rest_relation_field(level->relation, path->name);
    const struct pg_function *function = field ? NULL
                                               : computed_field(p, level->relation->pg, path->name);
    struct tree_value *value;

    if (!field && !function)
        return rest_plan_no_column(level->relation, called(p, level, is_above), path->name, reterr);
    *ret_column = field ? field->column : NULL;
    *ret_value = NULL;
    if (field && !path->n_steps)
        return HS_OK;
    *ret_value = value = HS_NEW(p->arena, struct tree_value);
    if (!value)
        return hs_fail_memory(reterr);
    value->column = *ret_column;
    value->function = function;
    value->n_steps = path->n_steps;
    value->steps = path->n_steps ? steps_of(p, path) : NULL;
    return HS_OK;
}

static hs_status no_type(struct hs_str name, struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_PG_ERROR, "type \"%.*s\" does not exist", HS_FMT(name));
    if (reterr) {
        memcpy(reterr->sqlstate, "42704", sizeof(reterr->sqlstate));
        reterr->http = 400;
    }
    return HS_E_PG_ERROR;
}

/* PostgREST leaves the name unquoted, so PostgreSQL folds it. */
hs_status rest_plan_type(struct rest_planner *p, struct hs_str name,
                         const struct pg_type **ret_type, struct hs_err *reterr)
{
    struct hs_str trimmed = hs_str_trim(name);
    char *lower;

    *ret_type = NULL;
    if (!name.p)
        return HS_OK;
    lower = hs_arena_alloc(p->arena, trimmed.n + 1);
    if (!lower)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < trimmed.n; i++) {
        char c = trimmed.p[i];

        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    *ret_type = pg_catalog_type_named(rest_model_catalog(p->setup->model),
                                      hs_strn(lower, trimmed.n));
    return *ret_type ? HS_OK : no_type(hs_strn(lower, trimmed.n), reterr);
}
