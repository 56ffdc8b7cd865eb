/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To-many rows as rows of the result, each once, nested in C (api/rows.h). PostgreSQL spends more on making JSON of
 * them than on finding them.
 *
 *     WITH p0 AS MATERIALIZED (SELECT t0.c1 AS a1, t0.c2 AS h1c1, t0.n FROM (numbered page) t0),
 *          p1 AS MATERIALIZED (SELECT t1."id" AS a3, ..., t0.n AS k, row_number() OVER () AS n FROM p0 t0
 *                              CROSS JOIN "s"."u" t1 WHERE t1."x" = t0.h1c1)
 *     SELECT t0.a1, NULL::int8, NULL::t, ..., t0.n FROM p0 t0
 *     UNION ALL (SELECT NULL::t, t0.k, t0.a3, ..., t0.n FROM p1 t0)
 *     UNION ALL (SELECT NULL::t, NULL::int8, NULL::t, t0.n, t2."id", ... FROM p1 t0 CROSS JOIN "s"."v" t2 WHERE ...)
 *
 * A layer's rows have their values in its columns only, the number of the row they belong to in its first; the last
 * column is their own number, where other layers need it. Within a layer rows come in the layer's order.
 *
 * Source: PostgreSQL 15 manual, 7.8 (WITH), 7.4 (UNION ALL), 10.5 (types of UNION).
 */
#include "api/sql_int.h"

struct layers {
    struct sql_writer *w;
    const struct sql_outputs *outputs;
    const struct sql_top *top;
};

bool sql_layers_can(const struct sql_outputs *outputs)
{
    for (size_t i = 0; i < outputs->n; i++) {
        const struct pg_type *type = outputs->of[i].type;

        /* A domain may refuse NULL. An object's own column is checked where it is made. */
        if (type && (!type->sql.n || type->is_domain))
            return false;
    }
    return outputs->n_layers > 0;
}

static bool has_children(const struct layers *l, size_t layer)
{
    for (size_t i = layer + 1; i <= l->outputs->n_layers; i++) {
        if (l->outputs->layers[i].parent == layer)
            return true;
    }
    return false;
}

/* How many rows a layer has about, from what the tables hold. Deep as the request's embeds. */
static double expect_rows(const struct layers *l, size_t layer)
{
    const struct sql_layer *of = &l->outputs->layers[layer];
    const struct tree_select *tree;
    const struct tree_select *above;
    double each;

    if (!layer)
        return (double)sql_size(l->top->tree);
    tree = of->embed->select;
    above = of->parent ? l->outputs->layers[of->parent].embed->select : l->top->tree;
    each = above->relation->rows_estimate > 0
               ? tree->relation->rows_estimate / above->relation->rows_estimate
               : 1;
    if (tree->has_limit && (double)tree->limit < each)
        each = (double)tree->limit;
    return expect_rows(l, of->parent) * (each > 1 ? each : 1);
}

/* ---- a layer's rows ---- */

static void write_numbered(struct sql_writer *w, const char *before, size_t number)
{
    hs_buf_add(w->out, hs_str(before));
    hs_buf_add_u64(w->out, number);
}

/* What the rows of deeper layers are found by: columns of the rows here and of those joined to them. */
static void write_keys(const struct layers *l, struct sql_source from,
                       const struct tree_select *tree)
{
    struct sql_writer *w = l->w;

    for (const struct tree_embed *e = tree->embeds; e; e = e->next) {
        size_t layer = 1;

        while (layer <= l->outputs->n_layers && l->outputs->layers[layer].embed != e)
            layer++;
        if (layer > l->outputs->n_layers) {
            struct sql_source there = {.alias = e->source};

            if (!e->is_hidden && sql_embed_is_joined(tree, e, /* is_flat= */ true))
                write_keys(l, there, e->select);
            continue;
        }
        for (size_t i = 0; i < e->join->n; i++) {
            hs_buf_add_lit(w->out, ", ");
            sql_column(w, from, e->join->here[i]);
            write_numbered(w, " AS h", layer);
            hs_buf_add_char(w->out, 'c');
            hs_buf_add_i64(w->out, e->join->here[i]->attnum);
        }
    }
}

static void write_top(const struct layers *l, struct tree_select *tree)
{
    struct sql_source from = {.alias = 0, .is_exported = true};
    const struct sql_top *top = l->top;
    struct sql_writer *w = l->w;

    hs_buf_add_lit(w->out, "p0 AS MATERIALIZED (SELECT t0.n");
    if (top->has_count)
        hs_buf_add_lit(w->out, ", n.n AS count, t0.m");
    sql_outputs_write_layer(w, from, tree, l->outputs, 0, SQL_NUMBERED);
    write_keys(l, from, tree);
    hs_buf_add_lit(w->out, " FROM ");
    if (top->has_count) {
        top->write_count(top->arg);
        hs_buf_add_lit(w->out, " LEFT JOIN ");
    }
    hs_buf_add_lit(w->out, "(SELECT t0.*, pg_catalog.row_number() OVER () AS n FROM (");
    top->write_rows(top->arg);
    hs_buf_add(w->out, top->has_count ? HS_STR(") t0) t0 ON true") : HS_STR(") t0) t0"));
    w->rows = expect_rows(l, 0);
    sql_joins(w, from, tree, /* is_flat= */ true, top->is_cut);
    hs_buf_add_char(w->out, ')');
}

/* As many for each row here as there may be. */
static void write_limited(const struct layers *l, struct sql_source here, struct sql_source there,
                          const struct tree_embed *e)
{
    struct sql_writer *w = l->w;
    struct sql_exports shown;

    if (!sql_exports_list(w, e->select, /* is_whole= */ false, &shown))
        return;
    hs_buf_add_lit(w->out, "LATERAL (");
    sql_sized_begin(w, e->select, there.alias);
    hs_buf_add_lit(w->out, "SELECT ");
    for (size_t i = 0; i < shown.n; i++) {
        if (i)
            hs_buf_add_lit(w->out, ", ");
        sql_column(w, there, shown.columns[i]);
    }
    hs_buf_add_lit(w->out, " FROM ");
    sql_target(w, here, there, e->join, e->select->relation);
    sql_order_number(w, e->select, /* is_joined= */ false, /* is_flat= */ true);
    sql_order_sources(w, there, e->select);
    (void)sql_related(w, here, there, e, /* is_joined= */ false, /* is_flat= */ true,
                      HS_STR(" WHERE "));
    sql_order_wide(w, there, e->select, SQL_ORDER_ROWS);
    sql_sized_end(w, e->select, there.alias);
    write_numbered(w, ") t", there.alias);
}

/* FROM the rows it belongs to and its own, with what is joined to those. */
static void write_from(const struct layers *l, size_t layer)
{
    const struct sql_layer *of = &l->outputs->layers[layer];
    struct tree_select *tree = of->embed->select;
    struct sql_source here = {.alias = 0, .layer = layer};
    struct sql_source there = {.alias = of->embed->source};
    bool is_limited = tree->has_limit || tree->offset;
    bool is_cut = l->top->is_cut || is_limited;

    write_numbered(l->w, " FROM p", of->parent);
    hs_buf_add_lit(l->w->out, " t0 CROSS JOIN ");
    if (is_limited)
        write_limited(l, here, there, of->embed);
    else
        sql_target(l->w, here, there, of->embed->join, tree->relation);
    /* Limited rows stand in their order already, which look-ups keep, and the hash of a small table does not. */
    l->w->rows = is_limited ? -1 : expect_rows(l, layer);
    sql_joins(l->w, there, tree, /* is_flat= */ true, is_cut);
    if (is_limited)
        return;
    sql_order_number(l->w, tree, /* is_joined= */ !is_cut, /* is_flat= */ true);
    sql_order_sources(l->w, there, tree);
    (void)sql_related(l->w, here, there, of->embed, /* is_joined= */ !is_cut, /* is_flat= */ true,
                      HS_STR(" WHERE "));
    sql_order_wide(l->w, there, tree, SQL_ORDER_ROWS);
}

/* A layer that others are found by. */
static void write_layer(const struct layers *l, size_t layer)
{
    const struct sql_layer *of = &l->outputs->layers[layer];
    struct sql_source there = {.alias = of->embed->source};
    struct tree_select *tree = of->embed->select;
    struct sql_writer *w = l->w;

    write_numbered(w, ", p", layer);
    hs_buf_add_lit(w->out,
                   " AS MATERIALIZED (SELECT t0.n AS k, pg_catalog.row_number() OVER () AS n");
    sql_outputs_write_layer(w, there, tree, l->outputs, of->at + 1, SQL_NUMBERED);
    write_keys(l, there, tree);
    write_from(l, layer);
    hs_buf_add_char(w->out, ')');
}

/* ---- rows of the result ---- */

static void write_null(const struct layers *l, size_t at)
{
    const struct sql_output *o = &l->outputs->of[at];

    hs_buf_add_lit(l->w->out, "NULL::");
    if (o->is_many)
        hs_buf_add_lit(l->w->out, "pg_catalog.int8");
    else if (o->is_json)
        hs_buf_add_lit(l->w->out, "pg_catalog.json");
    else
        hs_buf_add(l->w->out, o->type->sql);
}

/* The outputs from `at` to `end`: of the layer's own their names, else NULL. */
static void write_names(const struct layers *l, size_t layer, size_t at, size_t end, bool is_first)
{
    for (; at < end; at++) {
        if (!is_first)
            hs_buf_add_lit(l->w->out, ", ");
        is_first = false;
        if (l->outputs->of[at].layer == layer && !l->outputs->of[at].is_many)
            write_numbered(l->w, "t0.a", at + 1);
        else
            write_null(l, at);
    }
}

static void write_end(const struct layers *l, bool has_number)
{
    hs_buf_add(l->w->out, has_number ? HS_STR(", t0.n") : HS_STR(", NULL::pg_catalog.int8"));
    if (l->top->has_count)
        hs_buf_add_lit(l->w->out, ", NULL::pg_catalog.int8, NULL::pg_catalog.bool");
}

static void write_result(const struct layers *l, size_t layer)
{
    const struct sql_layer *of = &l->outputs->layers[layer];
    size_t end = of->at + 1 + l->outputs->of[of->at].n_inside;
    struct sql_source there = {.alias = of->embed->source};
    bool has_own = has_children(l, layer);

    hs_buf_add_lit(l->w->out, " UNION ALL (SELECT ");
    write_names(l, SIZE_MAX, 0, of->at, /* is_first= */ true);
    if (of->at)
        hs_buf_add_lit(l->w->out, ", ");
    hs_buf_add(l->w->out, has_own ? HS_STR("t0.k") : HS_STR("t0.n"));
    if (has_own)
        write_names(l, layer, of->at + 1, end, /* is_first= */ false);
    else
        sql_outputs_write_layer(l->w, there, of->embed->select, l->outputs, of->at + 1,
                                SQL_UNNAMED);
    write_names(l, SIZE_MAX, end, l->outputs->n, /* is_first= */ false);
    write_end(l, has_own);
    if (has_own) {
        write_numbered(l->w, " FROM p", layer);
        hs_buf_add_lit(l->w->out, " t0");
    } else {
        write_from(l, layer);
    }
    hs_buf_add_char(l->w->out, ')');
}

void sql_layers_write(struct sql_writer *w, struct tree_select *tree,
                      const struct sql_outputs *outputs, const struct sql_top *top, bool is_first)
{
    const struct layers l = {.w = w, .outputs = outputs, .top = top};

    hs_buf_add(w->out, is_first ? HS_STR("WITH ") : HS_STR(", "));
    write_top(&l, tree);
    for (size_t i = 1; i <= outputs->n_layers; i++) {
        if (has_children(&l, i))
            write_layer(&l, i);
    }
    hs_buf_add_lit(w->out, " SELECT ");
    write_names(&l, 0, 0, outputs->n, /* is_first= */ true);
    hs_buf_add_lit(w->out, ", t0.n");
    if (top->has_count)
        hs_buf_add_lit(w->out, ", t0.count, t0.m");
    hs_buf_add_lit(w->out, " FROM p0 t0");
    for (size_t i = 1; i <= outputs->n_layers; i++)
        write_result(&l, i);
}
