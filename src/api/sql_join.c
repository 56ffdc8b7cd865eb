/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How related rows meet the rows here: as joined rows, as LATERAL columns, or only by the question whether there
 * are any.
 *
 *     to-one                    LEFT JOIN "s"."t" t1 ON t1."id" = t0."t_id" AND its filters
 *     to-one, inner             JOIN ...; where rows were chosen before (a page), EXISTS was asked when they were
 *     many to many              FROM "s"."via" t2 JOIN "s"."t" t1 ON both keys
 *     a function's rows         FROM "s"."f"(t0.*) t1
 *
 * Source: PostgreSQL 15 manual, 7.2.1 (joins, LATERAL), 9.23.1 (EXISTS).
 */
#include "api/sql_int.h"

/* ---- conditions ---- */

static void write_pairs(struct sql_writer *w, struct sql_source a,
                        const struct pg_column *const *of_a, struct sql_source b,
                        const struct pg_column *const *of_b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i)
            hs_buf_add_lit(w->out, " AND ");
        sql_column(w, a, of_a[i]);
        hs_buf_add_lit(w->out, " = ");
        sql_column(w, b, of_b[i]);
    }
}

/* false: the target says it all. */
static bool write_match(struct sql_writer *w, struct sql_source here, struct sql_source there,
                        const struct tree_join *join, struct hs_str before)
{
    if (join->via || join->function)
        return false;
    hs_buf_add(w->out, before);
    if (join->is_array) {
        sql_column(w, there, join->there[0]);
        hs_buf_add_lit(w->out, " = ANY(");
        sql_column(w, here, join->here[0]);
        hs_buf_add_char(w->out, ')');
    } else {
        write_pairs(w, there, join->there, here, join->here, join->n);
    }
    return true;
}

/* Inner embeds that no join asks for. */
static bool write_inner(struct sql_writer *w, struct sql_source from,
                        const struct tree_select *tree, bool is_joined, bool is_flat,
                        struct hs_str before)
{
    bool is_written = false;

    for (const struct tree_embed *e = tree->embeds; e; e = e->next) {
        if (!e->is_inner || (is_joined && sql_embed_is_joined(tree, e, is_flat)))
            continue;
        hs_buf_add(w->out, is_written ? HS_STR(" AND ") : before);
        sql_exists(w, from, e);
        is_written = true;
    }
    return is_written;
}

bool sql_choice(struct sql_writer *w, struct sql_source from, const struct tree_select *tree,
                bool is_joined, struct hs_str before)
{
    bool is_written = sql_filter(w, from, tree->where, before);

    return write_inner(w, from, tree, is_joined, /* is_flat= */ true,
                       is_written ? HS_STR(" AND ") : before) ||
           is_written;
}

bool sql_related(struct sql_writer *w, struct sql_source here, struct sql_source there,
                 const struct tree_embed *e, bool is_joined, bool is_flat, struct hs_str before)
{
    bool is_written = write_match(w, here, there, e->join, before);

    is_written = sql_filter(w, there, e->select->where, is_written ? HS_STR(" AND ") : before) ||
                 is_written;
    return write_inner(w, there, e->select, is_joined, is_flat,
                       is_written ? HS_STR(" AND ") : before) ||
           is_written;
}

void sql_conditions(struct sql_writer *w, struct sql_source here, struct sql_source there,
                    const struct tree_embed *e)
{
    (void)sql_related(w, here, there, e, /* is_joined= */ true, /* is_flat= */ false,
                      HS_STR(" WHERE "));
}

/* ---- what is joined ---- */

static void write_function(struct sql_writer *w, struct sql_source here, struct sql_source there,
                           const struct pg_function *function)
{
    hs_buf_add(w->out, function->quoted);
    hs_buf_add_char(w->out, '(');
    sql_row(w, here);
    hs_buf_add_lit(w->out, ") t");
    hs_buf_add_u64(w->out, there.alias);
    w->is_shareable = false;
}

void sql_target(struct sql_writer *w, struct sql_source here, struct sql_source there,
                const struct tree_join *join, const struct pg_relation *relation)
{
    struct sql_source via;

    if (join->function) {
        write_function(w, here, there, join->function);
        return;
    }
    if (!join->via) {
        sql_table(w, relation, there.alias);
        return;
    }
    via = (struct sql_source){.alias = ++w->n_aliases};
    sql_table(w, join->via, via.alias);
    hs_buf_add_lit(w->out, " JOIN ");
    sql_table(w, relation, there.alias);
    hs_buf_add_lit(w->out, " ON ");
    write_pairs(w, via, join->via_here, here, join->here, join->n);
    hs_buf_add_lit(w->out, " AND ");
    write_pairs(w, via, join->via_there, there, join->there, join->n_via);
}

void sql_exists(struct sql_writer *w, struct sql_source here, const struct tree_embed *e)
{
    struct sql_source there = {.alias = ++w->n_aliases};

    hs_buf_add_lit(w->out, "EXISTS (SELECT 1 FROM ");
    sql_target(w, here, there, e->join, e->select->relation);
    (void)sql_related(w, here, there, e, /* is_joined= */ false, /* is_flat= */ false,
                      HS_STR(" WHERE "));
    /* A limit of one row or more changes nothing, and would keep the planner from a semi-join. */
    if (e->select->offset || (e->select->has_limit && !e->select->limit))
        sql_limit(w, e->select);
    hs_buf_add_char(w->out, ')');
}

void sql_number_embeds(struct sql_writer *w, const struct tree_select *tree)
{
    for (struct tree_embed *e = tree->embeds; e; e = e->next) {
        if (e->is_hidden)
            continue;
        e->source = ++w->n_aliases;
        sql_number_embeds(w, e->select);
    }
}

/* Is one of the rows' own rows needed, so that they are joined first? */
static bool has_inner_join(const struct tree_select *tree, bool is_flat)
{
    for (const struct tree_embed *e = tree->embeds; e; e = e->next) {
        if (e->is_inner && sql_embed_is_joined(tree, e, is_flat))
            return true;
    }
    return false;
}

/* One row is hashed in the time of a few hundred instructions, one look-up takes so many times as long. */
static const double LOOKUP_COST = 4;
static const double SMALL_MAX = 1000;

/* A table so small that for as many rows it is better read as a whole. */
static bool is_small(const struct sql_writer *w, const struct tree_embed *e)
{
    const struct pg_relation *relation = e->select->relation;

    return relation->relkind == 'r' && !e->join->via && !e->join->function && !e->join->is_array &&
           relation->rows_estimate >= 0 && relation->rows_estimate <= SMALL_MAX &&
           relation->rows_estimate <= w->rows * LOOKUP_COST;
}

static void write_exports(struct sql_writer *w, struct sql_source there,
                          const struct sql_exports *shown)
{
    for (size_t i = 0; i < shown->n; i++) {
        if (i)
            hs_buf_add_lit(w->out, ", ");
        sql_column(w, there, shown->columns[i]);
    }
    hs_buf_add_lit(w->out, " FROM ");
}

/* " ON ...", so that only a hash serves: see write_small(). */
static void write_small_match(struct sql_writer *w, struct sql_source here, struct sql_source there,
                              const struct tree_join *join)
{
    for (size_t i = 0; i < join->n; i++) {
        hs_buf_add(w->out, i ? HS_STR(" AND ") : HS_STR(" ON "));
        sql_column(w, there, join->there[i]);
        hs_buf_add_lit(w->out, " = coalesce(");
        sql_column(w, here, join->here[i]);
        hs_buf_add_lit(w->out, ", ");
        sql_column(w, here, join->here[i]);
        hs_buf_add_char(w->out, ')');
    }
    hs_buf_add_lit(w->out, " AND (");
    write_pairs(w, there, join->there, here, join->here, 1);
    hs_buf_add_lit(w->out, " OR pg_catalog.to_tsvector('pg_catalog.simple', ");
    sql_column(w, there, join->there[0]);
    hs_buf_add_lit(w->out, "::pg_catalog.text) IS NULL)");
}

/*
 * A table of which many of the rows here want a row: hashed once. Left alone the planner, which takes the columns of a
 * key for independent and so expects one row here where there are hundreds, does otherwise, and is kept from it so:
 *
 *     LEFT JOIN (SELECT ... OFFSET 0) t2               no look-ups
 *       ON t2."id" = coalesce(t1."x_id", t1."x_id")    no constant for x_id, of a filter or policy, in the key's place,
 *                                                      which would leave nothing to hash by
 *      AND (t2."id" = t1."x_id" OR to_tsvector(...))   no reading of the whole table for each row
 *
 * The last is true wherever the first is. Its second half is never run, but counts (a function of cost 100) for each
 * pair of rows that is compared, which in a hash are few.
 *
 * Measured with PostgreSQL 15, generic plans, 922 rows here and 729 in the table: with a filter on the table 0.5 ms
 * instead of 64; three such tables under policies (683 rows) 3.4 instead of 14; where it was hashed without this too,
 * 0.94 ms of CPU instead of 0.89, sending included. Look-ups take 1.54.
 */
static bool write_small(struct sql_writer *w, struct sql_source here, struct tree_embed *e,
                        bool is_flat)
{
    struct sql_source there = {.alias = e->source};
    struct sql_exports shown;

    if (!sql_exports_list(w, e->select, /* is_whole= */ true, &shown) || shown.with_row)
        return false;
    for (size_t i = 0; i < e->join->n; i++)
        sql_export(&shown, e->join->there[i]);
    hs_buf_add_lit(w->out, " LEFT JOIN (SELECT ");
    write_exports(w, there, &shown);
    sql_table(w, e->select->relation, there.alias);
    hs_buf_add_lit(w->out, " OFFSET 0) t");
    hs_buf_add_u64(w->out, there.alias);
    write_small_match(w, here, there, e->join);
    (void)sql_choice(w, there, e->select, /* is_joined= */ false, HS_STR(" AND "));
    sql_joins(w, there, e->select, is_flat, /* is_cut= */ true);
    return true;
}

/*
 * Behind a page: the look-up of one row for each of its rows. LIMIT keeps the planner from reading the whole table
 * for a hash join, which it thinks cheaper than so many look-ups and is not, once pages are in memory.
 */
static bool write_lookup(struct sql_writer *w, struct sql_source here, struct tree_embed *e,
                         bool is_flat)
{
    struct sql_source there = {.alias = e->source};
    struct sql_exports shown;

    if (e->join->function || !sql_exports_list(w, e->select, /* is_whole= */ false, &shown) ||
        shown.with_row)
        return false;
    sql_export(&shown, e->join->there[0]);
    hs_buf_add_lit(w->out, " LEFT JOIN LATERAL (SELECT ");
    write_exports(w, there, &shown);
    sql_target(w, here, there, e->join, e->select->relation);
    (void)sql_related(w, here, there, e, /* is_joined= */ false, is_flat, HS_STR(" WHERE "));
    hs_buf_add_lit(w->out, " LIMIT 1) t");
    hs_buf_add_u64(w->out, there.alias);
    hs_buf_add_lit(w->out, " ON true");
    sql_joins(w, there, e->select, is_flat, /* is_cut= */ true);
    return true;
}

static void write_joined(struct sql_writer *w, struct sql_source here, struct tree_embed *e,
                         bool is_flat, bool is_cut)
{
    struct sql_source there = {.alias = e->source};
    bool is_inner = e->is_inner && !is_cut;
    bool is_group = !is_inner && has_inner_join(e->select, is_flat);

    if (is_cut && is_small(w, e) && write_small(w, here, e, is_flat))
        return;
    if (is_cut && write_lookup(w, here, e, is_flat))
        return;
    hs_buf_add(w->out, is_inner ? HS_STR(" JOIN ") : HS_STR(" LEFT JOIN "));
    if (is_group)
        hs_buf_add_char(w->out, '(');
    if (e->join->function)
        hs_buf_add_lit(w->out, "LATERAL ");
    sql_target(w, here, there, e->join, e->select->relation);
    if (is_group) {
        sql_joins(w, there, e->select, is_flat, /* is_cut= */ false);
        hs_buf_add_char(w->out, ')');
    }
    hs_buf_add_lit(w->out, " ON ");
    if (!sql_related(w, here, there, e, /* is_joined= */ true, is_flat, HS_STR("")))
        hs_buf_add_lit(w->out, "true");
    if (!is_group)
        sql_joins(w, there, e->select, is_flat, /* is_cut= */ false);
}

static void write_lateral(struct sql_writer *w, struct sql_source here, struct tree_embed *e)
{
    hs_buf_add_lit(w->out, " LEFT JOIN LATERAL (");
    sql_spread(w, here, e);
    hs_buf_add_lit(w->out, ") e");
    hs_buf_add_u64(w->out, e->source);
    hs_buf_add_lit(w->out, " ON true");
}

void sql_joins(struct sql_writer *w, struct sql_source here, struct tree_select *tree, bool is_flat,
               bool is_cut)
{
    bool is_inside = is_flat && !tree->is_grouped;

    for (struct tree_embed *e = tree->embeds; e; e = e->next) {
        if (e->is_hidden)
            continue;
        if (sql_embed_is_lateral(e))
            write_lateral(w, here, e);
        else if (sql_embed_is_joined(tree, e, is_inside))
            write_joined(w, here, e, is_inside, is_cut);
    }
}

/* ---- order ---- */

void sql_order_number(struct sql_writer *w, const struct tree_select *tree, bool is_joined,
                      bool is_flat)
{
    bool is_inside = is_flat && !tree->is_grouped;

    for (size_t i = 0; i < tree->n_order; i++) {
        const struct tree_embed *e = tree->order[i].embed;

        if (!e)
            continue;
        if (is_joined && !e->is_hidden && sql_embed_is_joined(tree, e, is_inside))
            tree->order[i].source = e->source;
        else
            tree->order[i].source = ++w->n_aliases;
    }
}

void sql_order_sources(struct sql_writer *w, struct sql_source here, const struct tree_select *tree)
{
    for (size_t i = 0; i < tree->n_order; i++) {
        const struct tree_embed *e = tree->order[i].embed;
        struct sql_source there = {.alias = tree->order[i].source};

        if (!e || e->source == there.alias)
            continue;
        hs_buf_add(w->out,
                   e->join->function ? HS_STR(" LEFT JOIN LATERAL ") : HS_STR(" LEFT JOIN "));
        sql_target(w, here, there, e->join, e->select->relation);
        hs_buf_add_lit(w->out, " ON ");
        if (!sql_related(w, here, there, e, /* is_joined= */ false, /* is_flat= */ false,
                         HS_STR("")))
            hs_buf_add_lit(w->out, "true");
    }
}

bool sql_order_is_plain(const struct tree_order *order)
{
    return !order->embed && !order->made;
}

void sql_order_value(struct sql_writer *w, struct sql_source from, const struct tree_order *order)
{
    if (order->embed)
        from = (struct sql_source){.alias = order->source};
    sql_column_or_value(w, from, order->column, order->made);
}

void sql_order_wide(struct sql_writer *w, struct sql_source from, const struct tree_select *tree,
                    enum sql_order_from how)
{
    static const char *const nulls[] = {[TREE_NULLS_DEFAULT] = "",
                                        [TREE_NULLS_FIRST] = " NULLS FIRST",
                                        [TREE_NULLS_LAST] = " NULLS LAST"};

    for (size_t i = 0; i < tree->n_order; i++) {
        const struct tree_order *order = &tree->order[i];

        hs_buf_add(w->out, i ? HS_STR(", ") : HS_STR(" ORDER BY "));
        if (how == SQL_ORDER_NUMBERED || (how == SQL_ORDER_PAGE && !sql_order_is_plain(order))) {
            hs_buf_add_lit(w->out, "t0.o");
            hs_buf_add_u64(w->out, i + 1);
        } else {
            sql_order_value(w, from, order);
        }
        if (order->is_desc)
            hs_buf_add_lit(w->out, " DESC");
        hs_buf_add(w->out, hs_str(nulls[order->nulls]));
    }
}
