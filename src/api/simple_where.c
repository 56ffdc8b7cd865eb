/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters of the simple dialect.
 *
 *     status=ACTIVE   createdAt[gte]=2026-01-01   id[in]=1,2,3   notes[null]=true
 *
 * The rule: a value is checked against its column's type here where that is cheap, and goes on as it is,
 * to become a parameter. All filters must hold (AND).
 *
 * Source: PostgreSQL 15 manual, 9.7.1 (LIKE).
 */
#include "api/simple_int.h"
#include "api/value.h"
#include "core/nearest.h"

static const struct operator
{
    const char *name;
    enum tree_op op;
}
operators[] = {
    {"eq", TREE_EQ},       {"ne", TREE_NE},     {"gt", TREE_GT}, {"gte", TREE_GTE},
    {"lt", TREE_LT},       {"lte", TREE_LTE},   {"in", TREE_IN}, {"like", TREE_LIKE},
    {"ilike", TREE_ILIKE}, {"null", TREE_NULL},
};

static const struct operator* find_operator(struct hs_str name)
{
    for (size_t i = 0; i < HS_LEN(operators); i++) {
        if (hs_str_is(name, operators[i].name))
            return &operators[i];
    }
    return NULL;
}

static hs_status fail_operator(struct hs_str name, struct hs_err *reterr)
{
    struct hs_nearest near;
    struct hs_str best;

    hs_nearest_start(&near, name);
    for (size_t i = 0; i < HS_LEN(operators); i++)
        hs_nearest_offer(&near, hs_str(operators[i].name));
    best = hs_nearest_best(&near);
    (void)hs_fail(reterr, HS_E_UNKNOWN_OPERATOR, "there is no operator \"%.*s\"", HS_FMT(name));
    if (best.n)
        hs_err_hint(reterr,
                    "Perhaps you meant \"%.*s\"; there are eq, ne, gt, gte, lt, lte, in, like, "
                    "ilike and null.",
                    HS_FMT(best));
    return HS_E_UNKNOWN_OPERATOR;
}

hs_status simple_fail_column(const struct api_table *table, struct hs_str name,
                             bool with_parameters, struct hs_err *reterr)
{
    struct hs_nearest near;
    struct hs_str best;

    hs_nearest_start(&near, name);
    for (size_t i = 0; i < table->pg->n_columns; i++)
        hs_nearest_offer(&near, table->fields[i].name);
    if (with_parameters)
        simple_offer_parameters(&near);
    best = hs_nearest_best(&near);
    if (with_parameters)
        (void)hs_fail(reterr, HS_E_UNKNOWN_COLUMN,
                      "\"%.*s\" is neither a column of %.*s nor a parameter", HS_FMT(name),
                      HS_FMT(table->name));
    else
        (void)hs_fail(reterr, HS_E_UNKNOWN_COLUMN, "%.*s has no column \"%.*s\"",
                      HS_FMT(table->name), HS_FMT(name));
    if (best.n)
        hs_err_hint(reterr, "Perhaps you meant \"%.*s\".", HS_FMT(best));
    return HS_E_UNKNOWN_COLUMN;
}

hs_status simple_new_compare(struct simple_reader *r, const struct pg_column *column,
                             enum tree_op op, struct hs_str value, struct tree_node **ret_node,
                             struct hs_err *reterr)
{
    struct tree_node *node = HS_NEW(r->arena, struct tree_node);

    if (!node || hs_arena_failed(r->arena))
        return hs_fail_memory(reterr);
    node->kind = TREE_COMPARE;
    node->op = op;
    node->column = column;
    node->value = value;
    *ret_node = node;
    return HS_OK;
}

hs_status simple_add_equal(struct simple_reader *r, const struct pg_column *column,
                           struct hs_str value, struct hs_err *reterr)
{
    struct tree_node *node = NULL;
    hs_status status = simple_new_compare(r, column, TREE_EQ, value, &node, reterr);

    if (!status)
        tree_node_append(r->where, node);
    return status;
}

/* ---- column[op]=value ---- */

static hs_status fail_misfit(struct value_place place, const char *what, struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_BAD_PARAMETER, "%s is not possible for %.*s.%.*s", what,
                  HS_FMT(place.table), HS_FMT(place.field->name));
    hs_err_why(reterr, "The column is of type %.*s.", HS_FMT(place.field->column->type->name));
    return HS_E_BAD_PARAMETER;
}

static hs_status read_null(struct value_place place, struct hs_str value, enum tree_op *ret_op,
                           struct hs_err *reterr)
{
    if (!hs_str_is(value, "true") && !hs_str_is(value, "false"))
        return hs_fail(reterr, HS_E_BAD_VALUE, "%.*s[null] must be true or false",
                       HS_FMT(place.field->name));
    *ret_op = hs_str_is(value, "true") ? TREE_NULL : TREE_NOT_NULL;
    return HS_OK;
}

/* PostgreSQL would refuse it too, but only when a row gets that far. */
static hs_status check_pattern(struct hs_str value, struct hs_err *reterr)
{
    size_t n = 0;

    while (n < value.n && value.p[value.n - 1 - n] == '\\')
        n++;
    if (n % 2)
        return hs_fail(reterr, HS_E_BAD_VALUE,
                       "the pattern ends in a single \\, which escapes nothing");
    return HS_OK;
}

/* Makes of the value what the operator wants. */
static hs_status read_operand(struct simple_reader *r, struct value_place place, enum tree_op *op,
                              struct hs_str *value, struct hs_err *reterr)
{
    enum pg_kind kind = place.field->column->type->kind;

    switch (*op) {
    case TREE_NULL:
    case TREE_NOT_NULL:
        return read_null(place, *value, op, reterr);
    case TREE_LIKE:
    case TREE_ILIKE:
        if (kind != PG_KIND_TEXT && kind != PG_KIND_ENUM)
            return fail_misfit(place, "a comparison with a pattern", reterr);
        *value = value_pattern(r->arena, *value);
        return check_pattern(*value, reterr);
    case TREE_IN:
        if (kind == PG_KIND_ARRAY)
            return fail_misfit(place, "\"in\"", reterr);
        return value_array(place, *value, r->model->rules.in_max, r->arena, value, reterr);
    case TREE_EQ:
    case TREE_NE:
    case TREE_GT:
    case TREE_GTE:
    case TREE_LT:
    case TREE_LTE:
    case TREE_MATCHES:
    case TREE_ONE_OF:
    case TREE_TRUE:
    case TREE_FALSE:
    case TREE_UNKNOWN:
    case TREE_DISTINCT:
    case TREE_REGEX:
    case TREE_IREGEX:
    case TREE_CONTAINS:
    case TREE_CONTAINED:
    case TREE_OVERLAPS:
    case TREE_LEFT_OF:
    case TREE_RIGHT_OF:
    case TREE_NOT_RIGHT:
    case TREE_NOT_LEFT:
    case TREE_ADJACENT:
    case TREE_FTS:
    case TREE_FTS_PLAIN:
    case TREE_FTS_PHRASE:
    case TREE_FTS_WEB:
        break;
    }
    return value_check(place, *value, reterr);
}

/* "status", "status[eq]" -> name and operator */
static hs_status split_key(struct hs_str key, struct hs_str *ret_name, enum tree_op *ret_op,
                           struct hs_err *reterr)
{
    size_t open = hs_str_find(key, '[');
    const struct operator* found;

    *ret_name = hs_str_sub(key, 0, open);
    *ret_op = TREE_EQ;
    if (open == key.n)
        return HS_OK;
    if (key.p[key.n - 1] != ']')
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "\"%.*s\" does not end in \"]\"", HS_FMT(key));
    found = find_operator(hs_str_sub(key, open + 1, key.n - 1));
    if (!found)
        return fail_operator(hs_str_sub(key, open + 1, key.n - 1), reterr);
    *ret_op = found->op;
    return HS_OK;
}

hs_status simple_filter(struct simple_reader *r, struct url_pair pair, struct hs_err *reterr)
{
    struct value_place place = {.table = r->table->name};
    struct tree_node *node = NULL;
    struct hs_str name;
    enum tree_op op;
    hs_status status;

    /* A column's own name may hold a bracket: the whole key is tried first. */
    place.field = api_table_field(r->table, pair.key);
    op = TREE_EQ;
    if (!place.field) {
        status = split_key(pair.key, &name, &op, reterr);
        if (status)
            return status;
        place.field = api_table_field(r->table, name);
    }
    if (!place.field)
        return simple_fail_column(r->table, name, /* with_parameters= */ true, reterr);
    if (!pair.value.p)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "the filter \"%.*s\" has no \"=\" and no value",
                       HS_FMT(pair.key));
    if (++r->n_filters > r->model->rules.filters_max)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "more than %llu filters in one request",
                       (unsigned long long)r->model->rules.filters_max);
    status = read_operand(r, place, &op, &pair.value, reterr);
    if (!status)
        status = simple_new_compare(r, place.field->column, op, pair.value, &node, reterr);
    if (!status)
        tree_node_append(r->where, node);
    return status;
}
