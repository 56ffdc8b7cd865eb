/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Related rows: a LATERAL sub-select each, which gives one JSON value a row of the page.
 *
 *     LEFT JOIN LATERAL (SELECT coalesce(json_agg(row_to_json(r1)), '[]') AS j
 *                        FROM (SELECT t1."id" AS "id", ... FROM t t1 WHERE t1."x" = t0."id"
 *                              ORDER BY t1."id" LIMIT 20) r1) e1 ON true
 *
 * The inner LIMIT keeps the planner from turning the look-ups into a join over the whole table, and
 * bounds what one row may bring. Its number is the operator's, never a request's. Nested relations
 * are the same again inside the inner sub-select.
 *
 * Source: PostgreSQL 15 manual, 7.2.1.5 (LATERAL) and 9.16.1 (row_to_json, json_agg).
 */
#include "api/sql_int.h"

static void write_join(struct sql_writer *w, struct sql_source here, struct sql_source there,
                       const struct tree_join *join)
{
    for (size_t i = 0; i < join->n; i++) {
        hs_buf_add(w->out, i ? HS_STR(" AND ") : HS_STR(" WHERE "));
        sql_column(w, there, join->there[i]);
        hs_buf_add(w->out, join->is_array ? HS_STR(" = ANY(") : HS_STR(" = "));
        sql_column(w, here, join->here[i]);
        if (join->is_array)
            hs_buf_add_char(w->out, ')');
    }
}

static bool is_int8(const struct pg_type *type)
{
    return type->kind == PG_KIND_INT8;
}

static void write_embed_fields(struct sql_writer *w, struct sql_source from,
                               const struct tree_select *tree)
{
    for (size_t i = 0; i < tree->n_fields; i++) {
        const struct tree_field *field = tree->fields[i];
        const struct pg_type *type = field->column->type;

        if (i)
            hs_buf_add_lit(w->out, ", ");
        sql_column(w, from, field->column);
        if (tree->int8_as_string && is_int8(type))
            hs_buf_add_lit(w->out, "::pg_catalog.text");
        else if (tree->int8_as_string && type->kind == PG_KIND_ARRAY && is_int8(type->elem))
            hs_buf_add_lit(w->out, "::pg_catalog.text[]");
        hs_buf_add_lit(w->out, " AS ");
        hs_buf_add(w->out, field->alias);
    }
}

static void write_embed_alias(struct sql_writer *w, unsigned alias)
{
    hs_buf_add_char(w->out, 'e');
    hs_buf_add_u64(w->out, alias);
}

static void write_embed_result(struct sql_writer *w, const struct tree_embed *embed, unsigned alias)
{
    hs_buf_add_lit(w->out, "SELECT ");
    if (embed->is_many)
        hs_buf_add_lit(w->out, "coalesce(pg_catalog.json_agg(");
    if (embed->select->omit_nulls)
        hs_buf_add_lit(w->out, "pg_catalog.json_strip_nulls(");
    hs_buf_add_lit(w->out, "pg_catalog.row_to_json(r");
    hs_buf_add_u64(w->out, alias);
    hs_buf_add_char(w->out, ')');
    if (embed->select->omit_nulls)
        hs_buf_add_char(w->out, ')');
    if (embed->is_many)
        hs_buf_add_lit(w->out, "), '[]'::pg_catalog.json)");
    hs_buf_add_lit(w->out, " AS j FROM (SELECT ");
}

unsigned *sql_embed_aliases(struct sql_writer *w, const struct tree_embed *embeds)
{
    unsigned *aliases;
    size_t n = 0;

    for (const struct tree_embed *e = embeds; e; e = e->next)
        n++;
    aliases = HS_NEW_ARRAY(w->arena, n + 1, unsigned);
    for (size_t i = 0; aliases && i < n; i++)
        aliases[i] = ++w->n_aliases;
    return aliases;
}

void sql_embed_columns(struct sql_writer *w, const struct tree_embed *embeds,
                       const unsigned *aliases, bool with_names, bool is_first)
{
    size_t i = 0;

    for (const struct tree_embed *e = embeds; e; e = e->next, i++) {
        if (i || !is_first)
            hs_buf_add_lit(w->out, ", ");
        write_embed_alias(w, aliases[i]);
        hs_buf_add_lit(w->out, ".j");
        if (with_names) {
            hs_buf_add_lit(w->out, " AS ");
            hs_buf_add(w->out, e->alias);
        }
    }
}

static void write_embed(struct sql_writer *w, struct sql_source here, struct tree_embed *embed,
                        unsigned alias)
{
    struct tree_select *select = embed->select;
    struct sql_source there = {.alias = alias};
    unsigned *inner = sql_embed_aliases(w, select->embeds);

    if (!inner)
        return;
    hs_buf_add_lit(w->out, " LEFT JOIN LATERAL (");
    write_embed_result(w, embed, alias);
    write_embed_fields(w, there, select);
    sql_embed_columns(w, select->embeds, inner, true, select->n_fields == 0);
    hs_buf_add_lit(w->out, " FROM ");
    sql_table(w, select->relation, alias);
    sql_embeds(w, there, select->embeds, inner);
    write_join(w, here, there, embed->join);
    (void)sql_filter(w, there, select->where, HS_STR(" AND "));
    sql_order(w, there, select);
    if (select->has_limit) {
        hs_buf_add_lit(w->out, " LIMIT ");
        hs_buf_add_u64(w->out, select->limit);
    }
    hs_buf_add_lit(w->out, ") r");
    hs_buf_add_u64(w->out, alias);
    hs_buf_add_lit(w->out, ") ");
    write_embed_alias(w, alias);
    hs_buf_add_lit(w->out, " ON true");
}

/* Depth is that of the tree, which its dialect bounds. */
void sql_embeds(struct sql_writer *w, struct sql_source here, struct tree_embed *embeds,
                const unsigned *aliases)
{
    size_t i = 0;

    for (struct tree_embed *e = embeds; e; e = e->next, i++)
        write_embed(w, here, e, aliases[i]);
}
