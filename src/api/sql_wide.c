/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A described tree as one statement. The plainest shape that serves:
 *
 *     plain    SELECT t0."a", t1."id", t1."name" FROM t t0 LEFT JOIN u t1 ON ... WHERE ... ORDER BY ... LIMIT n
 *     page     SELECT t0.c1, t1."name" FROM (SELECT ... FROM t t0 ... ORDER BY ... LIMIT n) t0 LEFT JOIN u t1 ...
 *              where rows are joined to some of the rows only: chosen first, joined then. With a count, it stands left
 *              of the page and is there even if the page is empty.
 *     groups   SELECT t0.a1, n.n, t0.m FROM count LEFT JOIN (SELECT ... GROUP BY ...) t0
 *     source   WITH s AS (INSERT ... RETURNING ...) one of the above FROM s t0
 *              for what must not run twice: writes, and functions whose rows are counted.
 *     layers   to-many rows beside the rows they belong to: sql_layers.c
 *     write    INSERT ... RETURNING t0."a", where nothing but the rows' own columns is asked for
 *
 * Source: PostgreSQL 15 manual, 7.8.4 (data-modifying statements in WITH), 7.2.1.5 (LATERAL).
 */
#include "api/sql_int.h"

struct wide {
    struct sql_writer *w;
    struct tree_select *tree;
    struct sql_statement *st;
    struct sql_outputs outputs;
    struct sql_exports shown; /* what s or the page shows */
    bool is_source;
    bool is_page;
    bool is_layered;
};

/* ---- limits ---- */

static unsigned number_param(struct sql_writer *w, uint64_t number)
{
    return sql_param(w, hs_arena_printf(w->arena, "%llu", (unsigned long long)number));
}

void sql_limit(struct sql_writer *w, const struct tree_select *tree)
{
    if (tree->has_limit) {
        hs_buf_add_lit(w->out, " LIMIT ");
        if (tree->is_limit_fixed)
            hs_buf_add_u64(w->out, tree->limit);
        else
            sql_param_cast(w, number_param(w, tree->limit), HS_STR("pg_catalog.int8"));
    }
    if (tree->offset) {
        hs_buf_add_lit(w->out, " OFFSET ");
        sql_param_cast(w, number_param(w, tree->offset), HS_STR("pg_catalog.int8"));
    }
}

/*
 * Of a LIMIT that is a parameter the generic plan knows nothing, and is made for a tenth of all rows: for hash joins of
 * whole tables, and for sorts. Or PostgreSQL sees that, and plans each run anew, which takes longer than the rows. So a
 * second LIMIT, the next of few numbers, stands in the text:
 *
 *     SELECT t0.* FROM (SELECT ... ORDER BY ... LIMIT 64) t0 LIMIT $1::pg_catalog.int8
 */
enum { SIZE_MIN = 16, SIZE_STEP = 4, SIZE_TOP = 1 << 16 };

uint64_t sql_size(const struct tree_select *tree)
{
    uint64_t size = SIZE_MIN;

    if (!tree->has_limit || tree->limit > SIZE_TOP || tree->offset > SIZE_TOP - tree->limit)
        return 0;
    while (size < tree->limit + tree->offset)
        size *= SIZE_STEP;
    return size;
}

/* 0: the limit itself stands in the text, or there is none. */
static uint64_t written_size(const struct tree_select *tree)
{
    return tree->is_limit_fixed ? 0 : sql_size(tree);
}

static void write_alias(struct sql_writer *w, unsigned alias)
{
    hs_buf_add_char(w->out, 't');
    hs_buf_add_u64(w->out, alias);
}

void sql_sized_begin(struct sql_writer *w, const struct tree_select *tree, unsigned alias)
{
    if (!written_size(tree))
        return;
    hs_buf_add_lit(w->out, "SELECT ");
    write_alias(w, alias);
    hs_buf_add_lit(w->out, ".* FROM (");
}

void sql_sized_end(struct sql_writer *w, const struct tree_select *tree, unsigned alias)
{
    uint64_t size = written_size(tree);

    if (size) {
        hs_buf_add_lit(w->out, " LIMIT ");
        hs_buf_add_u64(w->out, size);
        hs_buf_add_lit(w->out, ") ");
        write_alias(w, alias);
    }
    sql_limit(w, tree);
}

/* ---- what a sub-select shows ---- */

void sql_export(struct sql_exports *x, const struct pg_column *column)
{
    for (size_t i = 0; i < x->n; i++) {
        if (x->columns[i] == column)
            return;
    }
    x->columns[x->n++] = column;
}

static void export_value(struct sql_exports *x, const struct pg_column *column,
                         const struct tree_value *value)
{
    if (value && value->function)
        x->with_row = true;
    else if (value && !value->column)
        return;
    else
        sql_export(x, value ? value->column : column);
}

static void export_join(struct sql_exports *x, const struct tree_embed *e)
{
    for (size_t i = 0; i < e->join->n; i++)
        sql_export(x, e->join->here[i]);
    x->with_row = x->with_row || e->join->function;
}

static void export_filter(struct sql_exports *x, const struct tree_node *node)
{
    if (node->kind == TREE_COMPARE)
        export_value(x, node->column, node->made);
    if (node->kind == TREE_EXISTS)
        export_join(x, node->embed);
    for (const struct tree_node *child = node->first; child; child = child->next)
        export_filter(x, child);
}

bool sql_exports_list(struct sql_writer *w, const struct tree_select *tree, bool is_whole,
                      struct sql_exports *x)
{
    *x = (struct sql_exports){
        .columns = HS_NEW_ARRAY(w->arena, tree->relation->n_columns + 1, const struct pg_column *)};
    if (!x->columns)
        return false;
    for (size_t i = 0; i < tree->n_fields; i++)
        export_value(x, tree->fields[i]->column, tree->fields[i]->value);
    for (size_t i = 0; i < tree->n_order; i++) {
        if (is_whole ? !tree->order[i].embed : sql_order_is_plain(&tree->order[i]))
            export_value(x, tree->order[i].column, tree->order[i].made);
    }
    for (const struct tree_embed *e = tree->embeds; e; e = e->next) {
        if (is_whole || !e->is_hidden)
            export_join(x, e);
    }
    if (is_whole && tree->where)
        export_filter(x, tree->where);
    return true;
}

void sql_exports_write(struct sql_writer *w, struct sql_source from,
                       const struct pg_relation *relation, const struct sql_exports *x)
{
    for (size_t i = 0; i < x->n; i++) {
        if (i)
            hs_buf_add_lit(w->out, ", ");
        sql_column(w, from, x->columns[i]);
        if (!from.is_exported) {
            hs_buf_add_lit(w->out, " AS c");
            hs_buf_add_i64(w->out, x->columns[i]->attnum);
        }
    }
    if (!x->with_row)
        return;
    if (x->n)
        hs_buf_add_lit(w->out, ", ");
    if (from.is_exported) {
        hs_buf_add_lit(w->out, "t0.r");
    } else {
        hs_buf_add_lit(w->out, "ROW(t0.*)::");
        hs_buf_add(w->out, relation->quoted);
        hs_buf_add_lit(w->out, " AS r");
    }
}

/* ---- where the rows are from ---- */

static struct sql_source base(const struct wide *s)
{
    return (struct sql_source){.alias = 0, .is_exported = s->is_source};
}

static void write_base(const struct wide *s)
{
    if (s->is_source)
        hs_buf_add_lit(s->w->out, "s t0");
    else if (s->tree->call)
        sql_call(s->w, s->tree->call);
    else
        sql_table(s->w, s->tree->relation, 0);
}

/* WITH s AS (...) */
static hs_status write_source(struct wide *s, struct hs_err *reterr)
{
    struct sql_source from = {.alias = 0};
    const struct tree_select *tree = s->tree;
    hs_status status = HS_OK;

    if (!sql_exports_list(s->w, tree, /* is_whole= */ true, &s->shown))
        return hs_fail_memory(reterr);
    if (tree->write) {
        hs_buf_add_lit(s->w->out, "WITH s AS (");
        status = sql_json_write(s->w, tree->write, reterr);
        if (status)
            return status;
        hs_buf_add_lit(s->w->out, " RETURNING ");
    } else {
        hs_buf_add_lit(s->w->out, "WITH s AS MATERIALIZED (SELECT ");
    }
    sql_exports_write(s->w, from, tree->relation, &s->shown);
    if (!s->shown.n && !s->shown.with_row)
        hs_buf_add_lit(s->w->out, "true AS c0");
    if (s->st->has_inserted) {
        hs_buf_add_lit(s->w->out, ", ");
        sql_json_write_inserted(s->w);
        hs_buf_add_lit(s->w->out, " AS i");
    }
    if (!tree->write) {
        hs_buf_add_lit(s->w->out, " FROM ");
        sql_call(s->w, tree->call);
    }
    hs_buf_add_lit(s->w->out, ") ");
    s->shown = (struct sql_exports){0};
    return HS_OK;
}

/* ---- the count ---- */

static void write_count(const struct wide *s)
{
    enum sql_count_kind kind = s->st->count_kind;
    struct hs_buf *out = s->w->out;

    if (kind == SQL_COUNT_ESTIMATE) {
        hs_buf_add_lit(out, "(SELECT reltuples::pg_catalog.int8 AS n FROM pg_catalog.pg_class"
                            " WHERE oid = ");
        hs_buf_add_u64(out, s->tree->relation->oid);
        hs_buf_add_lit(out, ") n");
        return;
    }
    hs_buf_add_lit(out, "(SELECT pg_catalog.count(*) AS n FROM ");
    if (kind == SQL_COUNT_BOUNDED)
        hs_buf_add_lit(out, "(SELECT 1 FROM ");
    write_base(s);
    (void)sql_choice(s->w, base(s), s->tree, /* is_joined= */ false, HS_STR(" WHERE "));
    if (kind == SQL_COUNT_BOUNDED) {
        hs_buf_add_lit(out, " LIMIT ");
        hs_buf_add_u64(out, SQL_COUNT_MAX + 1);
        hs_buf_add_lit(out, ") b");
    }
    hs_buf_add_lit(out, ") n");
}

/* ---- shapes ---- */

/* The order's values as o1, o2, ...; with_columns: also those that are plain columns. */
static void write_order_values(const struct wide *s, struct sql_source from, bool with_columns)
{
    const struct tree_select *tree = s->tree;

    for (size_t i = 0; i < tree->n_order; i++) {
        if (!with_columns && sql_order_is_plain(&tree->order[i]))
            continue;
        hs_buf_add_lit(s->w->out, ", ");
        sql_order_value(s->w, from, &tree->order[i]);
        hs_buf_add_lit(s->w->out, " AS o");
        hs_buf_add_u64(s->w->out, i + 1);
    }
}

/* What a write says beside its rows; inserted: whether a row is new, p == NULL: as its RETURNING has it. */
static void write_said(const struct wide *s, struct hs_str inserted)
{
    struct hs_buf *out = s->w->out;

    if (s->st->has_inserted) {
        hs_buf_add(out, s->outputs.n ? HS_STR(", ") : HS_STR(""));
        if (inserted.p)
            hs_buf_add(out, inserted);
        else
            sql_json_write_inserted(s->w);
    }
    if (s->st->has_settings) {
        hs_buf_add(out, s->outputs.n || s->st->has_inserted ? HS_STR(", ") : HS_STR(""));
        sql_json_write_settings(s->w);
    }
}

/* is_inside: of the groups that are counted. */
static void write_plain(const struct wide *s, bool is_inside)
{
    struct sql_writer *w = s->w;
    struct sql_source from = base(s);

    sql_order_number(w, s->tree, /* is_joined= */ true, /* is_flat= */ true);
    sql_sized_begin(w, s->tree, from.alias);
    hs_buf_add_lit(w->out, "SELECT ");
    sql_outputs_write(w, from, s->tree, /* is_flat= */ true, &s->outputs,
                      is_inside ? SQL_NUMBERED : SQL_UNNAMED);
    if (is_inside) {
        hs_buf_add_lit(w->out, ", true AS m");
        write_order_values(s, from, /* with_columns= */ true);
    } else {
        write_said(s, HS_STR("t0.i"));
    }
    hs_buf_add_lit(w->out, " FROM ");
    write_base(s);
    sql_joins(w, from, s->tree, /* is_flat= */ true, /* is_cut= */ false);
    sql_order_sources(w, from, s->tree);
    (void)sql_choice(w, from, s->tree, /* is_joined= */ true, HS_STR(" WHERE "));
    sql_group(w, s->tree, &s->outputs);
    sql_order_wide(w, from, s->tree, SQL_ORDER_ROWS);
    sql_sized_end(w, s->tree, from.alias);
}

/* The chosen rows, with what is needed to join and to order them. */
static void write_chosen(const struct wide *s)
{
    struct sql_writer *w = s->w;
    struct sql_source from = base(s);
    const struct tree_select *tree = s->tree;
    bool has_others = s->shown.n || s->shown.with_row;
    bool has_marker = s->st->has_count || !has_others;

    sql_order_number(w, tree, /* is_joined= */ false, /* is_flat= */ true);
    sql_sized_begin(w, tree, from.alias);
    hs_buf_add_lit(w->out, "SELECT ");
    sql_exports_write(w, from, tree->relation, &s->shown);
    if (has_marker)
        hs_buf_add(w->out, has_others ? HS_STR(", true AS m") : HS_STR("true AS m"));
    if (s->st->has_inserted)
        hs_buf_add_lit(w->out, ", t0.i");
    write_order_values(s, from, /* with_columns= */ false);
    hs_buf_add_lit(w->out, " FROM ");
    write_base(s);
    sql_order_sources(w, from, tree);
    (void)sql_choice(w, from, tree, /* is_joined= */ false, HS_STR(" WHERE "));
    sql_order_wide(w, from, tree, SQL_ORDER_ROWS);
    sql_sized_end(w, tree, from.alias);
}

static void write_counted_from(const struct wide *s)
{
    hs_buf_add_lit(s->w->out, " FROM ");
    if (!s->st->has_count)
        return;
    write_count(s);
    hs_buf_add_lit(s->w->out, " LEFT JOIN ");
}

static void write_count_outputs(const struct wide *s)
{
    if (s->st->has_count)
        hs_buf_add(s->w->out, s->outputs.n ? HS_STR(", n.n, t0.m") : HS_STR("n.n, t0.m"));
}

static void write_page(const struct wide *s)
{
    struct sql_writer *w = s->w;
    struct sql_source from = {.alias = 0, .is_exported = true};

    hs_buf_add_lit(w->out, "SELECT ");
    sql_outputs_write(w, from, s->tree, /* is_flat= */ true, &s->outputs, SQL_UNNAMED);
    write_count_outputs(s);
    if (s->st->has_inserted)
        hs_buf_add(w->out, s->outputs.n || s->st->has_count ? HS_STR(", t0.i") : HS_STR("t0.i"));
    write_counted_from(s);
    hs_buf_add_char(w->out, '(');
    write_chosen(s);
    hs_buf_add(w->out, s->st->has_count ? HS_STR(") t0 ON true") : HS_STR(") t0"));
    w->rows = (double)sql_size(s->tree);
    sql_joins(w, from, s->tree, /* is_flat= */ true, /* is_cut= */ true);
    sql_order_wide(w, from, s->tree, SQL_ORDER_PAGE);
}

static void write_groups(const struct wide *s)
{
    struct sql_writer *w = s->w;
    struct sql_source from = {.alias = 0};

    hs_buf_add_lit(w->out, "SELECT ");
    for (size_t i = 0; i < s->outputs.n; i++) {
        hs_buf_add(w->out, i ? HS_STR(", t0.a") : HS_STR("t0.a"));
        hs_buf_add_u64(w->out, i + 1);
    }
    write_count_outputs(s);
    write_counted_from(s);
    hs_buf_add_char(w->out, '(');
    write_plain(s, /* is_inside= */ true);
    hs_buf_add_lit(w->out, ") t0 ON true");
    sql_order_wide(w, from, s->tree, SQL_ORDER_NUMBERED);
}

/* ---- a write that gives back its rows as they are ---- */

static bool is_direct(const struct tree_select *tree)
{
    return tree->write && !tree->embeds && !tree->where && !tree->n_order && !tree->has_limit &&
           !tree->offset && !tree->is_grouped && tree->count == TREE_COUNT_NONE;
}

static hs_status write_direct(const struct wide *s, struct hs_err *reterr)
{
    struct sql_source from = {.alias = 0};
    hs_status status = sql_json_write(s->w, s->tree->write, reterr);

    if (status)
        return status;
    if (s->outputs.n || s->st->has_inserted || s->st->has_settings)
        hs_buf_add_lit(s->w->out, " RETURNING ");
    sql_outputs_write(s->w, from, s->tree, /* is_flat= */ true, &s->outputs, SQL_UNNAMED);
    write_said(s, HS_STR_NULL);
    return HS_OK;
}

/* ---- the whole ---- */

static bool describe(const struct wide *s)
{
    size_t n = s->outputs.n;
    struct api_out_column *columns = HS_NEW_ARRAY(s->w->arena, n + 1, struct api_out_column);

    if (!columns)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct sql_output *o = &s->outputs.of[i];

        columns[i] = (struct api_out_column){.key = o->key,
                                             .type = o->type,
                                             .is_json_ready = o->is_json,
                                             .is_object = o->is_object,
                                             .is_many = o->is_many,
                                             .n_inside = o->n_inside};
    }
    s->st->columns = columns;
    s->st->n_columns = s->st->n_fields = n;
    s->st->has_layers = s->is_layered;
    if (s->is_layered)
        s->st->number_column = n++;
    if (s->st->has_count) {
        s->st->count_column = n++;
        s->st->row_column = n++;
    }
    if (s->st->has_inserted)
        s->st->inserted_column = n++;
    if (s->st->has_settings)
        s->st->settings_column = n;
    return true;
}

static bool has_joins(const struct tree_select *tree)
{
    for (const struct tree_embed *e = tree->embeds; e; e = e->next) {
        if (sql_embed_is_lateral(e) || sql_embed_is_joined(tree, e, /* is_flat= */ true))
            return true;
    }
    return false;
}

static void choose_shape(struct wide *s)
{
    const struct tree_select *tree = s->tree;
    bool is_cut = tree->has_limit || tree->offset;

    /* Where nothing is cut off, the rows are the count. */
    s->st->has_count = is_cut && tree->count != TREE_COUNT_NONE;
    s->st->count_kind = sql_count_how(tree);
    s->st->has_inserted = tree->write && sql_json_write_tells(tree->write) && !tree->is_grouped;
    s->st->has_settings = tree->write && tree->write->with_settings && !tree->is_grouped;
    s->is_source = tree->write || (tree->call && s->st->has_count);
    /*
     * Rows are chosen before others are joined to them even where their order is that of an index: Memoize would
     * have room for as many rows as the whole table's, and cost more than all else.
     */
    s->is_page = s->st->has_count || (is_cut && !tree->is_grouped && has_joins(tree));
}

static void write_chosen_of(void *arg)
{
    write_chosen(arg);
}

static void write_count_of(void *arg)
{
    write_count(arg);
}

static void write_layers(struct wide *s)
{
    const struct sql_top top = {.tree = s->tree,
                                .is_cut = s->tree->has_limit || s->tree->offset,
                                .has_count = s->st->has_count,
                                .write_rows = write_chosen_of,
                                .write_count = write_count_of,
                                .arg = s};

    sql_layers_write(s->w, s->tree, &s->outputs, &top, /* is_first= */ !s->is_source);
}

/* Lists what it gives: with layers where it may and there are any. */
static bool list_outputs(struct wide *s)
{
    const struct tree_select *tree = s->tree;

    if (tree->with_layers && !tree->write && !tree->is_grouped) {
        if (!sql_outputs_list_layers(s->w, tree, &s->outputs))
            return false;
        s->is_layered = sql_layers_can(&s->outputs);
    }
    return s->is_layered || sql_outputs_list(s->w, tree, /* is_flat= */ true, &s->outputs);
}

static hs_status write_wide(struct sql_writer *w, struct tree_select *tree,
                            struct sql_statement *st, struct hs_err *reterr)
{
    struct wide s = {.w = w, .tree = tree, .st = st};
    hs_status status = HS_OK;

    HS_BUG_ON(tree->position || tree->with_version);
    choose_shape(&s);
    if (!list_outputs(&s) || !describe(&s))
        return hs_fail_memory(reterr);
    if (tree->call || tree->write)
        w->is_shareable = false;
    if (is_direct(tree))
        return write_direct(&s, reterr);
    sql_number_embeds(w, tree);
    if (s.is_source)
        status = write_source(&s, reterr);
    if (status)
        return status;
    if ((s.is_page || s.is_layered) && !tree->is_grouped &&
        !sql_exports_list(w, tree, /* is_whole= */ false, &s.shown))
        return hs_fail_memory(reterr);
    if (s.is_layered)
        write_layers(&s);
    else if (!s.is_page)
        write_plain(&s, /* is_inside= */ false);
    else if (tree->is_grouped)
        write_groups(&s);
    else
        write_page(&s);
    return HS_OK;
}

hs_status sql_write_wide(struct sql_writer *w, struct tree_select *tree, struct sql_statement *st,
                         struct hs_err *reterr)
{
    struct tree_node never = {.kind = TREE_OR};
    struct tree_select nothing;
    hs_status status;

    if (!tree->write || !sql_json_write_is_nothing(tree->write))
        return write_wide(w, tree, st, reterr);
    /* No row is touched: what would be given back is as if none had been found. */
    nothing = *tree;
    nothing.write = NULL;
    nothing.where = &never;
    status = write_wide(w, &nothing, st, reterr);
    w->is_shareable = false;
    return status;
}
