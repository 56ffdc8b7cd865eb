/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a tree as one SELECT (one with_columns: sql_wide.c). Three shapes, the plainest that serves:
 *
 *   table      SELECT t0."a", t0."b" FROM t t0 WHERE ... ORDER BY ... LIMIT n
 *   union      SELECT t0.c1, t0.c2 FROM (branch UNION ALL branch ...) t0 ORDER BY ... LIMIT n
 *              for a position that is not one range; each branch has its own ORDER BY and LIMIT
 *   page       SELECT t0.c1, e1.j FROM (either of the above) t0 LEFT JOIN LATERAL (...) e1 ON true
 *              for embedded rows and counts: related rows are looked up for the rows of the page only,
 *              whatever the planner thinks of the sort. With a count, the count stands left of the page
 *              and is there even if the page is empty.
 *
 * The rule: nothing of a request is ever in the text. It refuses nothing: what cannot be asked for is
 * not in the tree.
 *
 * Source: PostgreSQL 15 manual, 7.2.1.5 (LATERAL), 7.8, 11.3 and 14.1.
 */
#include "api/sql.h"

#include "api/sql_int.h"
#include "core/hash.h"

unsigned sql_param(struct sql_writer *w, struct hs_str value)
{
    if (w->n_params == SQL_PARAMS_MAX) {
        w->is_full = true;
        return 1;
    }
    if (w->n_params == w->params_cap) {
        size_t cap = w->params_cap ? w->params_cap * 2 : 8;
        const char **grown = HS_NEW_ARRAY(w->arena, cap, const char *);

        if (!grown)
            return 1;
        if (w->n_params)
            memcpy(grown, w->params, w->n_params * sizeof(*grown));
        w->params = grown;
        w->params_cap = cap;
    }
    w->params[w->n_params++] = value.p;
    return (unsigned)w->n_params;
}

void sql_param_cast(struct sql_writer *w, unsigned param, struct hs_str type)
{
    hs_buf_add_char(w->out, '$');
    hs_buf_add_u64(w->out, param);
    hs_buf_add_lit(w->out, "::");
    hs_buf_add(w->out, type);
}

static void write_alias(struct sql_writer *w, unsigned alias)
{
    hs_buf_add_char(w->out, 't');
    hs_buf_add_u64(w->out, alias);
}

static void write_export_name(struct sql_writer *w, const struct pg_column *column)
{
    hs_buf_add_char(w->out, 'c');
    hs_buf_add_i64(w->out, column->attnum);
}

void sql_column(struct sql_writer *w, struct sql_source from, const struct pg_column *column)
{
    if (hs_unlikely(column->attnum > TREE_ATTNUM_MAX && !from.is_exported)) {
        sql_found(w, from, column);
        return;
    }
    write_alias(w, from.alias);
    hs_buf_add_char(w->out, '.');
    if (hs_unlikely(from.layer)) {
        hs_buf_add_char(w->out, 'h');
        hs_buf_add_u64(w->out, from.layer);
    }
    if (from.is_exported || from.layer)
        write_export_name(w, column);
    else
        hs_buf_add(w->out, column->quoted);
}

void sql_table(struct sql_writer *w, const struct pg_relation *relation, unsigned alias)
{
    hs_buf_add(w->out, relation->quoted);
    hs_buf_add_char(w->out, ' ');
    write_alias(w, alias);
    w->is_shareable = w->is_shareable && relation->is_shareable;
}

void sql_order(struct sql_writer *w, struct sql_source from, const struct tree_select *tree)
{
    for (size_t i = 0; i < tree->n_order; i++) {
        hs_buf_add(w->out, i ? HS_STR(", ") : HS_STR(" ORDER BY "));
        sql_column(w, from, tree->order[i].column);
        if (sql_is_desc(tree, i))
            hs_buf_add_lit(w->out, " DESC");
    }
}

/* What a statement's LIMIT and OFFSET are written from; numbered once. */
struct bounds {
    unsigned limit_param;  /* 0 = the number itself */
    unsigned offset_param; /* 0 = none */
};

static void write_bounds(struct sql_writer *w, const struct tree_select *tree, struct bounds bounds)
{
    if (!tree->has_limit)
        return;
    hs_buf_add_lit(w->out, " LIMIT ");
    if (bounds.limit_param)
        sql_param_cast(w, bounds.limit_param, HS_STR("pg_catalog.int8"));
    else
        hs_buf_add_u64(w->out, tree->limit);
    if (bounds.offset_param) {
        hs_buf_add_lit(w->out, " OFFSET ");
        sql_param_cast(w, bounds.offset_param, HS_STR("pg_catalog.int8"));
    }
}

static unsigned number_param(struct sql_writer *w, uint64_t number)
{
    return sql_param(w, hs_arena_printf(w->arena, "%llu", (unsigned long long)number));
}

/* ---- the page ---- */

struct page {
    struct tree_select *tree;
    struct bounds bounds;
    struct sql_branch *branches; /* NULL = no position */
    size_t n_branches;
    const struct pg_column **exports; /* columns that a sub-select must show */
    size_t n_exports;
    bool with_marker; /* also `true AS m`: this is a row */
};

static void export_column(struct page *page, const struct pg_column *column)
{
    for (size_t i = 0; i < page->n_exports; i++) {
        if (page->exports[i] == column)
            return;
    }
    page->exports[page->n_exports++] = column;
}

static bool collect_exports(struct sql_writer *w, struct page *page)
{
    const struct tree_select *tree = page->tree;
    size_t most = tree->n_fields + tree->n_order;

    for (const struct tree_embed *e = tree->embeds; e; e = e->next)
        most += e->join->n;
    page->exports = HS_NEW_ARRAY(w->arena, most + 1, const struct pg_column *);
    if (!page->exports)
        return false;
    for (size_t i = 0; i < tree->n_fields; i++)
        export_column(page, tree->fields[i]->column);
    for (size_t i = 0; i < tree->n_order; i++)
        export_column(page, tree->order[i].column);
    for (const struct tree_embed *e = tree->embeds; e; e = e->next) {
        for (size_t i = 0; i < e->join->n; i++)
            export_column(page, e->join->here[i]);
    }
    return true;
}

static void write_exports(struct sql_writer *w, const struct page *page, struct sql_source from)
{
    for (size_t i = 0; i < page->n_exports; i++) {
        if (i)
            hs_buf_add_lit(w->out, ", ");
        sql_column(w, from, page->exports[i]);
        if (!from.is_exported) {
            hs_buf_add_lit(w->out, " AS ");
            write_export_name(w, page->exports[i]);
        }
    }
    if (page->with_marker)
        hs_buf_add(w->out, page->n_exports ? HS_STR(", true AS m") : HS_STR("true AS m"));
}

static void write_filter(struct sql_writer *w, const struct page *page, struct sql_source from,
                         size_t branch)
{
    if (page->branches)
        sql_where_branch(w, from, page->tree, &page->branches[branch]);
    else
        sql_where(w, from, page->tree->where);
}

/* SELECT ... FROM table WHERE ... ORDER BY ... LIMIT, with the columns under their export names. */
static void write_table_page(struct sql_writer *w, const struct page *page, size_t branch)
{
    struct sql_source from = {.alias = 0};

    hs_buf_add_lit(w->out, "SELECT ");
    write_exports(w, page, from);
    hs_buf_add_lit(w->out, " FROM ");
    sql_table(w, page->tree->relation, 0);
    write_filter(w, page, from, branch);
    sql_order(w, from, page->tree);
    write_bounds(w, page->tree, page->bounds);
}

static void write_union(struct sql_writer *w, struct page *page)
{
    bool with_marker = page->with_marker;

    page->with_marker = false;
    for (size_t i = 0; i < page->n_branches; i++) {
        hs_buf_add(w->out, i ? HS_STR(" UNION ALL (") : HS_STR("("));
        write_table_page(w, page, i);
        hs_buf_add_char(w->out, ')');
    }
    page->with_marker = with_marker;
}

static void write_union_page(struct sql_writer *w, struct page *page)
{
    struct sql_source from = {.alias = 0, .is_exported = true};

    hs_buf_add_lit(w->out, "SELECT ");
    write_exports(w, page, from);
    hs_buf_add_lit(w->out, " FROM (");
    write_union(w, page);
    hs_buf_add_lit(w->out, ") t0");
    sql_order(w, from, page->tree);
    write_bounds(w, page->tree, page->bounds);
}

/* ---- the statement ---- */

/* Are there fewer rows than the relation has, whatever the filter says? */
static bool is_narrowed(const struct tree_select *tree)
{
    const struct tree_embed *e = tree->embeds;

    while (e && !e->is_inner)
        e = e->next;
    return e || tree->call || tree->write;
}

enum sql_count_kind sql_count_how(const struct tree_select *tree)
{
    const struct pg_relation *r = tree->relation;
    bool is_stored = r->relkind == 'r' || r->relkind == 'p' || r->relkind == 'm';
    bool is_filtered = tree->where && !(tree->where->kind == TREE_AND && !tree->where->first);

    if (tree->count == TREE_COUNT_EXACT)
        return SQL_COUNT_EXACT;
    /* Under row-level security the statistics would tell of rows that the caller may not see. */
    if (is_stored && !is_filtered && !is_narrowed(tree) && !r->has_rls && r->rows_estimate >= 0.0)
        return SQL_COUNT_ESTIMATE;
    return SQL_COUNT_BOUNDED;
}

static void write_count(struct sql_writer *w, const struct page *page, enum sql_count_kind kind)
{
    struct sql_source from = {.alias = 0};

    if (kind == SQL_COUNT_ESTIMATE) {
        hs_buf_add_lit(w->out, "(SELECT reltuples::pg_catalog.int8 AS n FROM pg_catalog.pg_class"
                               " WHERE oid = ");
        hs_buf_add_u64(w->out, page->tree->relation->oid);
        hs_buf_add_lit(w->out, ") n");
        return;
    }
    hs_buf_add_lit(w->out, "(SELECT pg_catalog.count(*) AS n FROM ");
    if (kind == SQL_COUNT_BOUNDED)
        hs_buf_add_lit(w->out, "(SELECT 1 FROM ");
    sql_table(w, page->tree->relation, 0);
    sql_where(w, from, page->tree->where);
    if (kind == SQL_COUNT_BOUNDED) {
        hs_buf_add_lit(w->out, " LIMIT ");
        hs_buf_add_u64(w->out, SQL_COUNT_MAX + 1);
        hs_buf_add_lit(w->out, ") b");
    }
    hs_buf_add_lit(w->out, ") n");
}

/* Result columns: fields, embeds, the order's columns that are not among the fields, count, marker. */
static bool write_outputs(struct sql_writer *w, const struct page *page, struct sql_source from,
                          const unsigned *aliases, bool with_order, struct sql_statement *st)
{
    const struct tree_select *tree = page->tree;
    size_t n = tree->n_fields;

    for (size_t i = 0; i < tree->n_fields; i++) {
        if (i)
            hs_buf_add_lit(w->out, ", ");
        sql_column(w, from, tree->fields[i]->column);
    }
    sql_embed_columns(w, tree->embeds, aliases, false, n == 0);
    for (const struct tree_embed *e = tree->embeds; e; e = e->next)
        n++;
    st->n_fields = tree->n_fields;
    st->n_embeds = n - tree->n_fields;
    if (with_order) {
        st->order_columns = HS_NEW_ARRAY(w->arena, tree->n_order + 1, size_t);
        if (!st->order_columns)
            return false;
    }
    for (size_t i = 0; with_order && i < tree->n_order; i++) {
        size_t at = 0;

        while (at < tree->n_fields && tree->fields[at]->column != tree->order[i].column)
            at++;
        if (at == tree->n_fields) {
            hs_buf_add(w->out, n ? HS_STR(", ") : HS_STR(""));
            sql_column(w, from, tree->order[i].column);
            at = n++;
        }
        st->order_columns[i] = at;
    }
    if (tree->with_version) {
        hs_buf_add_lit(w->out, ", t0.xmin");
        st->has_version = true;
        st->version_column = n++;
    }
    if (st->has_count) {
        hs_buf_add(w->out, n ? HS_STR(", n.n, t0.m") : HS_STR("n.n, t0.m"));
        st->count_column = n;
        st->row_column = n + 1;
    }
    return true;
}

/* The page as a sub-select: rows are chosen first, then related rows and the count are joined to them. */
static void write_paged(struct sql_writer *w, struct page *page, const unsigned *aliases,
                        struct sql_statement *st)
{
    struct sql_source from = {.alias = 0, .is_exported = true};

    hs_buf_add_lit(w->out, " FROM ");
    if (st->has_count) {
        write_count(w, page, st->count_kind);
        hs_buf_add_lit(w->out, " LEFT JOIN ");
    }
    hs_buf_add_char(w->out, '(');
    page->with_marker = st->has_count;
    if (page->n_branches > 1)
        write_union_page(w, page);
    else
        write_table_page(w, page, 0);
    hs_buf_add_lit(w->out, ") t0");
    if (st->has_count)
        hs_buf_add_lit(w->out, " ON true");
    sql_embeds(w, from, page->tree->embeds, aliases);
    sql_order(w, from, page->tree);
}

static void write_plain(struct sql_writer *w, struct page *page, const unsigned *aliases)
{
    struct sql_source from = {.alias = 0, .is_exported = page->n_branches > 1};

    hs_buf_add_lit(w->out, " FROM ");
    if (from.is_exported) {
        hs_buf_add_char(w->out, '(');
        write_union(w, page);
        hs_buf_add_lit(w->out, ") t0");
    } else {
        sql_table(w, page->tree->relation, 0);
        sql_embeds(w, from, page->tree->embeds, aliases);
        write_filter(w, page, from, 0);
    }
    sql_order(w, from, page->tree);
    write_bounds(w, page->tree, page->bounds);
}

static bool write_statement(struct sql_writer *w, struct page *page, bool with_order,
                            struct sql_statement *st)
{
    struct tree_select *tree = page->tree;
    bool is_cut = tree->has_limit || page->n_branches > 1;
    bool is_paged = tree->count != TREE_COUNT_NONE || (tree->embeds && is_cut);
    struct sql_source from = {.alias = 0, .is_exported = is_paged || page->n_branches > 1};
    unsigned *aliases = sql_embed_aliases(w, tree->embeds);

    if (!aliases || (from.is_exported && !collect_exports(w, page)))
        return false;
    st->has_count = tree->count != TREE_COUNT_NONE;
    st->count_kind = sql_count_how(tree);
    hs_buf_add_lit(w->out, "SELECT ");
    if (!write_outputs(w, page, from, aliases, with_order, st))
        return false;
    if (is_paged)
        write_paged(w, page, aliases, st);
    else
        write_plain(w, page, aliases);
    return true;
}

hs_status sql_finish(const struct sql_writer *w, struct sql_statement *st, struct hs_err *reterr)
{
    if (w->is_full || (hs_buf_failed(w->out) && w->out->n >= w->out->max / 2)) {
        (void)hs_fail(reterr, HS_E_BAD_PARAMETER, "the request asks for too much at once");
        hs_err_hint(reterr, "Name fewer columns or values in one request.");
        return HS_E_BAD_PARAMETER;
    }
    if (w->comment.p) {
        hs_buf_add_lit(w->out, " /*");
        hs_buf_add(w->out, w->comment);
        hs_buf_add_lit(w->out, "*/");
    }
    st->text = hs_arena_dup(w->arena, hs_buf_str(w->out));
    if (hs_buf_failed(w->out) || hs_arena_failed(w->arena))
        return hs_fail_memory(reterr);
    st->hash = hs_hash(st->text);
    st->params = w->params;
    st->n_params = w->n_params;
    st->is_shareable = w->is_shareable;
    return HS_OK;
}

hs_status sql_write(struct tree_select *tree, bool with_order, struct hs_buf *scratch,
                    struct hs_arena *arena, struct sql_statement *ret_statement,
                    struct hs_err *reterr)
{
    struct sql_writer w = {
        .out = scratch, .arena = arena, .is_shareable = true, .comment = tree->comment};
    struct page page = {.tree = tree};

    *ret_statement = (struct sql_statement){0};
    hs_buf_clear(scratch);
    if (tree->with_columns) {
        hs_status status = sql_write_wide(&w, tree, ret_statement, reterr);

        return status ? status : sql_finish(&w, ret_statement, reterr);
    }
    if (tree->position) {
        page.branches = HS_NEW_ARRAY(arena, 2 * tree->n_order + 1, struct sql_branch);
        if (!page.branches)
            return hs_fail_memory(reterr);
        page.n_branches = sql_branches(tree, page.branches);
        sql_position_params(&w, tree);
    }
    if (tree->has_limit && !tree->is_limit_fixed)
        page.bounds.limit_param = number_param(&w, tree->limit);
    if (tree->has_limit && tree->offset)
        page.bounds.offset_param = number_param(&w, tree->offset);
    if (!write_statement(&w, &page, with_order, ret_statement))
        return hs_fail_memory(reterr);
    return sql_finish(&w, ret_statement, reterr);
}
