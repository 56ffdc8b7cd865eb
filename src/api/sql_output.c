/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a described select gives: first as a list, then as text.
 *
 *     fields ── to-one ──── columns of a joined row, which become an object in C ("marker" tells whether it is there)
 *           ├── to-many ─── one column of JSON, a sub-select
 *           └── spread ──── columns like fields; of to-many ones each an array, made in a LATERAL join
 *
 * The rule: the list and the text are made by the same walk over the tree, in the same order. Within JSON, that is
 * below a to-many, everything is made by PostgreSQL; only there names of a client stand in the text, quoted.
 *
 * Source: PostgreSQL 15 manual, 9.16.1 (row_to_json, json_agg), 7.2.3 (GROUP BY an output's number).
 */
#include "api/sql_int.h"

/* ---- which form ---- */

bool sql_is_joined(const struct tree_embed *e)
{
    const struct tree_select *s = e->select;

    return !e->is_hidden && !e->is_many && !s->is_grouped && !s->has_limit && !s->offset;
}

/* A row that a function gives has no column that is never NULL, by which it could be told from none. */
static bool is_object(const struct tree_embed *e, bool is_flat)
{
    return is_flat && !e->is_spread && sql_is_joined(e) && !e->join->function;
}

static bool is_inside_flat(const struct tree_select *tree, bool is_flat)
{
    return is_flat && !tree->is_grouped;
}

bool sql_embed_is_joined(const struct tree_select *tree, const struct tree_embed *e, bool is_flat)
{
    return (e->is_spread && sql_is_joined(e)) || is_object(e, is_inside_flat(tree, is_flat));
}

bool sql_embed_is_lateral(const struct tree_embed *e)
{
    return e->is_spread && !e->is_hidden && !sql_is_joined(e);
}

/*
 * Can its rows be rows of the result beside those they belong to (sql_layers.c)? A function's argument would have to
 * travel as a whole row.
 */
static bool has_function(const struct tree_select *tree)
{
    for (size_t i = 0; i < tree->n_fields; i++) {
        if (tree->fields[i]->value && tree->fields[i]->value->function)
            return true;
    }
    for (const struct tree_embed *e = tree->embeds; e; e = e->next) {
        if (e->join->function)
            return true;
    }
    return false;
}

static bool is_layer(const struct sql_outputs *o, const struct tree_select *tree,
                     const struct tree_embed *e, bool is_flat)
{
    const struct tree_select *s = e->select;

    return o->is_layered && is_flat && !tree->is_grouped && e->is_many && !e->is_spread &&
           !e->is_hidden && !e->join->function && !s->is_grouped && !s->omit_nulls &&
           !s->int8_as_string && !has_function(s);
}

/* ---- the list ---- */

static size_t count_outputs(const struct tree_select *tree)
{
    size_t n = tree->n_fields;

    for (const struct tree_embed *e = tree->embeds; e; e = e->next)
        n += 1 + count_outputs(e->select);
    return n;
}

static void list_tree(struct sql_outputs *o, const struct tree_select *tree, bool is_flat);

static void push(struct sql_outputs *o, struct sql_output output)
{
    output.layer = o->layer;
    o->of[o->n++] = output;
}

/* Its column tells to which row its rows belong. */
static void list_layer(struct sql_outputs *o, struct tree_embed *e)
{
    size_t at = o->n;
    size_t parent = o->layer;

    push(o, (struct sql_output){.key = e->key, .is_many = true});
    o->of[at].layer = o->layer = ++o->n_layers;
    o->layers[o->layer] = (struct sql_layer){.embed = e, .parent = parent, .at = at};
    list_tree(o, e->select, /* is_flat= */ true);
    o->of[at].n_inside = o->n - at - 1;
    o->layer = parent;
}

/* A spread to-many: each of its columns is an array of JSON. */
static void list_lateral(struct sql_outputs *o, const struct tree_embed *e)
{
    size_t from = o->n;

    list_tree(o, e->select, /* is_flat= */ false);
    for (size_t i = from; i < o->n; i++) {
        o->of[i].is_json = o->of[i].is_json || e->is_many;
        o->of[i].is_aggregate = false;
    }
}

static void list_embed(struct sql_outputs *o, const struct tree_select *tree, struct tree_embed *e,
                       bool is_flat)
{
    size_t at = o->n;

    if (e->is_hidden)
        return;
    if (is_layer(o, tree, e, is_flat)) {
        list_layer(o, e);
    } else if (sql_embed_is_lateral(e)) {
        list_lateral(o, e);
    } else if (e->is_spread) {
        list_tree(o, e->select, is_flat);
    } else {
        push(o, (struct sql_output){.key = e->key, .alias = e->alias, .is_json = true});
        if (!sql_embed_is_joined(tree, e, is_flat))
            return;
        o->of[at].is_json = false;
        o->of[at].is_object = true;
        o->of[at].type = e->join->there[0]->type;
        list_tree(o, e->select, is_flat);
        o->of[at].n_inside = o->n - at - 1;
    }
}

static void list_tree(struct sql_outputs *o, const struct tree_select *tree, bool is_flat)
{
    bool is_inside = is_inside_flat(tree, is_flat);

    for (size_t i = 0; i < tree->n_fields; i++) {
        const struct tree_field *field = tree->fields[i];

        push(o, (struct sql_output){.key = field->key,
                                    .alias = field->alias,
                                    .type = sql_field_type(field),
                                    .is_aggregate = sql_field_is_aggregate(field)});
    }
    for (struct tree_embed *e = tree->embeds; e; e = e->next)
        list_embed(o, tree, e, is_inside);
}

bool sql_outputs_list(struct sql_writer *w, const struct tree_select *tree, bool is_flat,
                      struct sql_outputs *ret_outputs)
{
    *ret_outputs = (struct sql_outputs){
        .of = HS_NEW_ARRAY(w->arena, count_outputs(tree) + 1, struct sql_output)};
    if (!ret_outputs->of)
        return false;
    list_tree(ret_outputs, tree, is_flat);
    return true;
}

bool sql_outputs_list_layers(struct sql_writer *w, const struct tree_select *tree,
                             struct sql_outputs *ret_outputs)
{
    size_t most = count_outputs(tree) + 1;

    *ret_outputs = (struct sql_outputs){.of = HS_NEW_ARRAY(w->arena, most, struct sql_output),
                                        .layers = HS_NEW_ARRAY(w->arena, most, struct sql_layer),
                                        .is_layered = true};
    if (!ret_outputs->of || !ret_outputs->layers)
        return false;
    list_tree(ret_outputs, tree, /* is_flat= */ true);
    return true;
}

/* ---- its text ---- */

struct text {
    struct sql_writer *w;
    const struct sql_outputs *outputs;
    size_t at;
    bool has_any;
    enum sql_names names;
    bool is_grouped; /* JSON must be comparable */
    bool int8_as_string;
};

static void begin_output(struct text *t)
{
    if (t->has_any)
        hs_buf_add_lit(t->w->out, ", ");
    t->has_any = true;
}

static void write_name(struct sql_writer *w, size_t i)
{
    hs_buf_add_char(w->out, 'a');
    hs_buf_add_u64(w->out, i + 1);
}

static void end_output(struct text *t)
{
    size_t at = t->at++;

    if (t->names != SQL_UNNAMED)
        hs_buf_add_lit(t->w->out, " AS ");
    if (t->names == SQL_NAMED)
        hs_buf_add(t->w->out, t->outputs->of[at].alias);
    else if (t->names == SQL_NUMBERED)
        write_name(t->w, at);
}

static void write_int8_as_text(struct text *t, const struct pg_type *type)
{
    if (!t->int8_as_string || t->names == SQL_UNNAMED)
        return;
    if (type->kind == PG_KIND_INT8)
        hs_buf_add_lit(t->w->out, "::pg_catalog.text");
    else if (type->kind == PG_KIND_ARRAY && type->elem->kind == PG_KIND_INT8)
        hs_buf_add_lit(t->w->out, "::pg_catalog.text[]");
}

static void write_field(struct text *t, struct sql_source from, const struct tree_field *field)
{
    begin_output(t);
    sql_column_or_value(t->w, from, field->column, field->value);
    write_int8_as_text(t, sql_field_type(field));
    end_output(t);
}

static void write_lateral_outputs(struct text *t, const struct tree_embed *e)
{
    struct sql_outputs inner;

    if (!sql_outputs_list(t->w, e->select, /* is_flat= */ false, &inner))
        return;
    for (size_t i = 0; i < inner.n; i++) {
        begin_output(t);
        hs_buf_add_char(t->w->out, 'e');
        hs_buf_add_u64(t->w->out, e->source);
        hs_buf_add_char(t->w->out, '.');
        write_name(t->w, i);
        if (t->is_grouped && t->outputs->of[t->at].is_json)
            hs_buf_add_lit(t->w->out, "::pg_catalog.jsonb");
        end_output(t);
    }
}

static void write_tree(struct text *t, struct sql_source from, struct tree_select *tree,
                       bool is_flat);

static void write_embed(struct text *t, struct sql_source from, const struct tree_select *tree,
                        struct tree_embed *e, bool is_flat)
{
    struct sql_source there = {.alias = e->source};

    if (t->outputs->of[t->at].is_many) {
        t->at += 1 + t->outputs->of[t->at].n_inside;
    } else if (sql_embed_is_lateral(e)) {
        write_lateral_outputs(t, e);
    } else if (e->is_spread) {
        write_tree(t, there, e->select, is_flat);
    } else if (sql_embed_is_joined(tree, e, is_flat)) {
        /* The join holds for no row that is not there, so this is NULL then and only then. */
        begin_output(t);
        sql_column(t->w, there, e->join->there[0]);
        end_output(t);
        write_tree(t, there, e->select, is_flat);
    } else {
        begin_output(t);
        sql_json(t->w, from, e);
        if (t->is_grouped)
            hs_buf_add_lit(t->w->out, "::pg_catalog.jsonb");
        end_output(t);
    }
}

static void write_tree(struct text *t, struct sql_source from, struct tree_select *tree,
                       bool is_flat)
{
    bool is_inside = is_inside_flat(tree, is_flat);

    for (size_t i = 0; i < tree->n_fields; i++)
        write_field(t, from, tree->fields[i]);
    for (struct tree_embed *e = tree->embeds; e; e = e->next) {
        if (!e->is_hidden)
            write_embed(t, from, tree, e, is_inside);
    }
}

void sql_outputs_write(struct sql_writer *w, struct sql_source from, struct tree_select *tree,
                       bool is_flat, const struct sql_outputs *outputs, enum sql_names names)
{
    struct text t = {.w = w,
                     .outputs = outputs,
                     .names = names,
                     .is_grouped = tree->is_grouped,
                     .int8_as_string = tree->int8_as_string};

    write_tree(&t, from, tree, is_flat);
}

void sql_outputs_write_layer(struct sql_writer *w, struct sql_source from, struct tree_select *tree,
                             const struct sql_outputs *outputs, size_t at, enum sql_names names)
{
    struct text t = {.w = w, .outputs = outputs, .at = at, .has_any = true, .names = names};

    write_tree(&t, from, tree, /* is_flat= */ true);
}

void sql_group(struct sql_writer *w, const struct tree_select *tree,
               const struct sql_outputs *outputs)
{
    bool has_group = false;

    for (size_t i = 0; tree->is_grouped && i < outputs->n; i++) {
        if (outputs->of[i].is_aggregate)
            continue;
        hs_buf_add(w->out, has_group ? HS_STR(", ") : HS_STR(" GROUP BY "));
        hs_buf_add_u64(w->out, i + 1);
        has_group = true;
    }
}

/* ---- JSON ---- */

/* SELECT ... FROM the rows of the embed, in their order, as many as there may be. */
static void write_rows(struct sql_writer *w, struct sql_source here, struct tree_embed *e,
                       const struct sql_outputs *outputs, enum sql_names names)
{
    struct tree_select *tree = e->select;
    struct sql_source there = {.alias = ++w->n_aliases};

    sql_number_embeds(w, tree);
    sql_sized_begin(w, tree, there.alias);
    hs_buf_add_lit(w->out, "SELECT ");
    sql_outputs_write(w, there, tree, /* is_flat= */ false, outputs, names);
    hs_buf_add_lit(w->out, " FROM ");
    sql_target(w, here, there, e->join, tree->relation);
    sql_joins(w, there, tree, /* is_flat= */ false, /* is_cut= */ false);
    sql_order_number(w, tree, /* is_joined= */ true, /* is_flat= */ false);
    sql_order_sources(w, there, tree);
    sql_conditions(w, here, there, e);
    sql_group(w, tree, outputs);
    sql_order_wide(w, there, tree, SQL_ORDER_ROWS);
    sql_sized_end(w, tree, there.alias);
    if (!e->is_many && !tree->has_limit)
        hs_buf_add_lit(w->out, " LIMIT 1");
}

static void write_result(struct sql_writer *w, const struct tree_embed *e, unsigned alias)
{
    if (e->is_many)
        hs_buf_add_lit(w->out, "coalesce(pg_catalog.json_agg(");
    if (e->select->omit_nulls)
        hs_buf_add_lit(w->out, "pg_catalog.json_strip_nulls(");
    hs_buf_add_lit(w->out, "pg_catalog.row_to_json(r");
    hs_buf_add_u64(w->out, alias);
    hs_buf_add(w->out, e->select->omit_nulls ? HS_STR("))") : HS_STR(")"));
    if (e->is_many)
        hs_buf_add_lit(w->out, "), '[]'::pg_catalog.json)");
}

void sql_json(struct sql_writer *w, struct sql_source here, struct tree_embed *e)
{
    unsigned alias = ++w->n_aliases;
    struct sql_outputs outputs;

    if (!sql_outputs_list(w, e->select, /* is_flat= */ false, &outputs))
        return;
    hs_buf_add_lit(w->out, "(SELECT ");
    write_result(w, e, alias);
    hs_buf_add_lit(w->out, " FROM (");
    write_rows(w, here, e, &outputs, SQL_NAMED);
    hs_buf_add_lit(w->out, ") r");
    hs_buf_add_u64(w->out, alias);
    hs_buf_add_char(w->out, ')');
}

/* SELECT coalesce(json_agg(r5.a1), '[]') AS a1, ... FROM (SELECT ... AS a1, ...) r5 */
void sql_spread(struct sql_writer *w, struct sql_source here, struct tree_embed *e)
{
    struct sql_outputs outputs;

    if (!sql_outputs_list(w, e->select, /* is_flat= */ false, &outputs))
        return;
    hs_buf_add(w->out, outputs.n ? HS_STR("SELECT ") : HS_STR("SELECT pg_catalog.count(*)"));
    for (size_t i = 0; i < outputs.n; i++) {
        hs_buf_add(w->out, i ? HS_STR(", ") : HS_STR(""));
        if (e->is_many)
            hs_buf_add_lit(w->out, "coalesce(pg_catalog.json_agg(");
        hs_buf_add_char(w->out, 'r');
        hs_buf_add_u64(w->out, e->source);
        hs_buf_add_char(w->out, '.');
        write_name(w, i);
        if (e->is_many)
            hs_buf_add_lit(w->out, "), '[]'::pg_catalog.json)");
        hs_buf_add_lit(w->out, " AS ");
        write_name(w, i);
    }
    hs_buf_add_lit(w->out, " FROM (");
    write_rows(w, here, e, &outputs, SQL_NUMBERED);
    hs_buf_add_lit(w->out, ") r");
    hs_buf_add_u64(w->out, e->source);
}
