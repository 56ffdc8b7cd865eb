/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is made from a row: a step into JSON, a cast, an aggregate, a computed field.
 *
 * The rule: the keys of a path are the only text of a request that stands in a statement, as literals with every
 * quote and backslash escaped. As parameters they would hide an index on (data ->> 'name') from the planner. Keys
 * beyond SQL_LITERAL_MAX are parameters: no index has such a key, and texts stay short.
 *
 * Source: PostgreSQL 15 manual, 4.1.2.2 (escapes in strings), 9.16 (JSON operators), 9.21 (types of aggregates),
 * 38.5.3 (a function's call with a row).
 */
#include "api/sql_int.h"

enum { SQL_LITERAL_MAX = 128 }; /* bytes */

#define TYPE(type_kind, type_sql)                                                    \
    {                                                                                \
        .kind = (type_kind), .sql = {(type_sql), sizeof(type_sql) - 1}, .delim = ',' \
    }

static const struct pg_type text_type = TYPE(PG_KIND_TEXT, "pg_catalog.text");
static const struct pg_type int8_type = TYPE(PG_KIND_INT8, "pg_catalog.int8");
static const struct pg_type float_type = TYPE(PG_KIND_FLOAT, "pg_catalog.float8");
static const struct pg_type numeric_type = TYPE(PG_KIND_NUMERIC, "pg_catalog.numeric");
static const struct pg_type json_type = TYPE(PG_KIND_JSON, "pg_catalog.json");
static const struct pg_type jsonb_type = TYPE(PG_KIND_JSON, "pg_catalog.jsonb");

/* ---- of which type ---- */

static const struct pg_type *sum_type(const struct pg_type *of)
{
    if (of->kind == PG_KIND_INT)
        return &int8_type;
    if (of->kind == PG_KIND_INT8)
        return &numeric_type;
    /* What is no number and has a sum is an interval, or money. */
    return of->kind == PG_KIND_FLOAT || of->kind == PG_KIND_NUMERIC ? of : &text_type;
}

static const struct pg_type *avg_type(const struct pg_type *of)
{
    if (of->kind == PG_KIND_INT || of->kind == PG_KIND_INT8 || of->kind == PG_KIND_NUMERIC)
        return &numeric_type;
    return of->kind == PG_KIND_FLOAT ? &float_type : &text_type;
}

static const struct pg_type *aggregate_type(const struct pg_type *of, enum tree_aggregate aggregate)
{
    switch (aggregate) {
    case TREE_COUNT:
        return &int8_type;
    case TREE_SUM:
        return sum_type(of);
    case TREE_AVG:
        return avg_type(of);
    case TREE_AGGREGATE_NONE:
    case TREE_MIN:
    case TREE_MAX:
        break;
    }
    return of;
}

/* What -> gives: of json json, of jsonb and of all that is made jsonb first, jsonb. */
static const struct pg_type *step_type(const struct pg_type *of, const struct tree_step *last)
{
    enum { OID_JSON = 114 };

    if (last->is_text)
        return &text_type;
    return of->base == OID_JSON || of->oid == OID_JSON ? &json_type : &jsonb_type;
}

const struct pg_type *sql_value_type(const struct tree_value *value)
{
    const struct pg_type *type = &text_type;

    if (value->column)
        type = value->column->type;
    else if (value->function)
        type = value->function->returns;
    if (value->n_steps)
        type = step_type(type, &value->steps[value->n_steps - 1]);
    if (value->cast)
        type = value->cast;
    type = aggregate_type(type, value->aggregate);
    return value->aggregate_cast ? value->aggregate_cast : type;
}

const struct pg_type *sql_field_type(const struct tree_field *field)
{
    return field->value ? sql_value_type(field->value) : field->column->type;
}

bool sql_field_is_aggregate(const struct tree_field *field)
{
    return field->value && field->value->aggregate != TREE_AGGREGATE_NONE;
}

/* ---- its text ---- */

void sql_literal(struct sql_writer *w, struct hs_str s)
{
    hs_buf_add_lit(w->out, "E'");
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\'' || s.p[i] == '\\')
            hs_buf_add_char(w->out, '\\');
        hs_buf_add_char(w->out, s.p[i]);
    }
    hs_buf_add_char(w->out, '\'');
}

/* "t0.*" is the row even where a column is called t0. */
void sql_row(struct sql_writer *w, struct sql_source from)
{
    hs_buf_add_char(w->out, 't');
    hs_buf_add_u64(w->out, from.alias);
    hs_buf_add(w->out, from.is_exported ? HS_STR(".r") : HS_STR(".*"));
}

static void write_key(struct sql_writer *w, const struct tree_step *step)
{
    struct hs_str type = step->is_index ? HS_STR("pg_catalog.int4") : HS_STR("pg_catalog.text");

    if (step->key.n > SQL_LITERAL_MAX) {
        sql_param_cast(w, sql_param(w, step->key), type);
        return;
    }
    sql_literal(w, step->key);
    if (step->is_index) {
        hs_buf_add_lit(w->out, "::");
        hs_buf_add(w->out, type);
    }
}

static void write_base(struct sql_writer *w, struct sql_source from, const struct tree_value *value)
{
    if (value->function) {
        hs_buf_add(w->out, value->function->quoted);
        hs_buf_add_char(w->out, '(');
        sql_row(w, from);
        hs_buf_add_char(w->out, ')');
        w->is_shareable = false;
    } else if (value->column) {
        sql_column(w, from, value->column);
    } else {
        hs_buf_add_char(w->out, '*');
    }
}

static void write_path(struct sql_writer *w, struct sql_source from, const struct tree_value *value)
{
    const struct pg_type *type = value->column     ? value->column->type
                                 : value->function ? value->function->returns
                                                   : NULL;
    bool is_made_json = value->n_steps && type && type->kind != PG_KIND_JSON;

    if (value->n_steps)
        hs_buf_add_char(w->out, '(');
    if (is_made_json)
        hs_buf_add_lit(w->out, "pg_catalog.to_jsonb(");
    write_base(w, from, value);
    if (is_made_json)
        hs_buf_add_char(w->out, ')');
    for (size_t i = 0; i < value->n_steps; i++) {
        hs_buf_add(w->out, value->steps[i].is_text ? HS_STR(" ->> ") : HS_STR(" -> "));
        write_key(w, &value->steps[i]);
    }
    if (value->n_steps)
        hs_buf_add_char(w->out, ')');
}

static bool is_built_in(const struct pg_type *type)
{
    return hs_str_starts(type->sql, HS_STR("pg_catalog."));
}

/* From or to a type of a user's, CREATE CAST may name any function. */
static void write_cast(struct sql_writer *w, const struct pg_type *type)
{
    if (!type)
        return;
    if (!is_built_in(type))
        w->is_shareable = false;
    hs_buf_add_lit(w->out, "::");
    hs_buf_add(w->out, type->sql);
}

void sql_value(struct sql_writer *w, struct sql_source from, const struct tree_value *value)
{
    static const char *const names[] = {
        [TREE_COUNT] = "pg_catalog.count(", [TREE_SUM] = "pg_catalog.sum(",
        [TREE_AVG] = "pg_catalog.avg(",     [TREE_MIN] = "pg_catalog.min(",
        [TREE_MAX] = "pg_catalog.max(",
    };

    if (value->aggregate)
        hs_buf_add(w->out, hs_str(names[value->aggregate]));
    write_path(w, from, value);
    if (value->cast && value->column && !is_built_in(value->column->type))
        w->is_shareable = false;
    write_cast(w, value->cast);
    if (value->aggregate)
        hs_buf_add_char(w->out, ')');
    write_cast(w, value->aggregate_cast);
}

void sql_column_or_value(struct sql_writer *w, struct sql_source from,
                         const struct pg_column *column, const struct tree_value *value)
{
    if (value)
        sql_value(w, from, value);
    else
        sql_column(w, from, column);
}
