/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes whose rows PostgreSQL reads from JSON.
 *
 *     INSERT INTO "s"."t" AS t0 ("a", "b") SELECT j."a", j."b" FROM json_to_recordset($1::json) AS j("a" t, "b" t)
 *         ON CONFLICT ("a") DO UPDATE SET "a" = EXCLUDED."a", "b" = EXCLUDED."b" WHERE <it is noted>
 *     UPDATE "s"."t" AS t0 SET "a" = j."a" FROM json_to_record($1::json) AS j("a" t) WHERE ...
 *     DELETE FROM "s"."t" AS t0 WHERE ...
 *
 * Whether an upsert's row is new cannot be asked of xmax: views and partitioned tables have none, and reading it
 * takes a right to the whole table. So the conflict's WHERE, which is evaluated for rows that were there before,
 * leaves a note in a setting of the transaction, which RETURNING reads. One row goes through all three before the
 * next one is read from the JSON, which takes the note away.
 *
 * A member that an object lacks is NULL, or the column's default, laid under each object.
 *
 * Source: PostgreSQL 15 manual, INSERT (ON CONFLICT), UPDATE, 9.16 (json_to_recordset), 9.27.1 (set_config);
 * PostgREST reference, tables and views (missing=default).
 */
#include "api/sql_int.h"

static const struct sql_source table = {.alias = 0};

/* ---- rows from JSON ---- */

static bool has_default(const struct pg_column *column)
{
    return column->default_sql.n || column->is_identity;
}

static void write_default(struct sql_writer *w, const struct pg_relation *relation,
                          const struct pg_column *column)
{
    sql_literal(w, column->name);
    hs_buf_add_lit(w->out, ", ");
    if (!column->is_identity) {
        hs_buf_add(w->out, column->default_sql);
        return;
    }
    hs_buf_add_lit(w->out, "pg_catalog.nextval(pg_catalog.pg_get_serial_sequence(");
    sql_literal(w, relation->quoted);
    hs_buf_add_lit(w->out, ", ");
    sql_literal(w, column->name);
    hs_buf_add_lit(w->out, "))");
}

/* jsonb_build_object(name, default, ...) || */
static void write_defaults(struct sql_writer *w, const struct tree_json_write *write)
{
    bool has_any = false;

    hs_buf_add_lit(w->out, "pg_catalog.jsonb_build_object(");
    for (size_t i = 0; i < write->n_columns; i++) {
        if (!has_default(write->columns[i]))
            continue;
        if (has_any)
            hs_buf_add_lit(w->out, ", ");
        write_default(w, write->relation, write->columns[i]);
        has_any = true;
    }
    hs_buf_add_lit(w->out, ") || ");
}

/* j("a" t, "b" t) */
static void write_definition(struct sql_writer *w, const struct tree_json_write *write)
{
    hs_buf_add_lit(w->out, " AS j(");
    for (size_t i = 0; i < write->n_columns; i++) {
        if (i)
            hs_buf_add_lit(w->out, ", ");
        hs_buf_add(w->out, write->columns[i]->quoted);
        hs_buf_add_char(w->out, ' ');
        hs_buf_add(w->out, write->columns[i]->type->sql);
    }
    hs_buf_add_char(w->out, ')');
}

static void write_records(struct sql_writer *w, const struct tree_json_write *write)
{
    unsigned param = sql_param(w, write->json);

    if (!write->missing_is_default) {
        hs_buf_add(w->out, write->is_array ? HS_STR("pg_catalog.json_to_recordset(")
                                           : HS_STR("pg_catalog.json_to_record("));
        sql_param_cast(w, param, HS_STR("pg_catalog.json"));
    } else {
        if (write->is_array) {
            hs_buf_add_lit(w->out, "pg_catalog.jsonb_array_elements(");
            sql_param_cast(w, param, HS_STR("pg_catalog.jsonb"));
            hs_buf_add_lit(w->out, ") AS d(v) CROSS JOIN LATERAL ");
        }
        hs_buf_add_lit(w->out, "pg_catalog.jsonb_to_record(");
        write_defaults(w, write);
        if (write->is_array)
            hs_buf_add_lit(w->out, "d.v");
        else
            sql_param_cast(w, param, HS_STR("pg_catalog.jsonb"));
    }
    hs_buf_add_char(w->out, ')');
    write_definition(w, write);
}

static void write_columns(struct sql_writer *w, const struct pg_column *const *columns, size_t n,
                          const char *before)
{
    for (size_t i = 0; i < n; i++) {
        if (i)
            hs_buf_add_lit(w->out, ", ");
        hs_buf_add(w->out, hs_str(before));
        hs_buf_add(w->out, columns[i]->quoted);
    }
}

/* "a" = x."a", "b" = x."b" */
static void write_set(struct sql_writer *w, const struct tree_json_write *write, const char *from)
{
    hs_buf_add_lit(w->out, " SET ");
    for (size_t i = 0; i < write->n_columns; i++) {
        if (i)
            hs_buf_add_lit(w->out, ", ");
        hs_buf_add(w->out, write->columns[i]->quoted);
        hs_buf_add_lit(w->out, " = ");
        hs_buf_add(w->out, hs_str(from));
        hs_buf_add(w->out, write->columns[i]->quoted);
    }
}

/* ---- INSERT ---- */

#define NOTE "'hasten.was_there'"

bool sql_json_write_tells(const struct tree_json_write *write)
{
    return write->kind == TREE_INSERT && write->conflict == TREE_CONFLICT_MERGES &&
           write->n_conflict_columns && write->n_columns;
}

void sql_json_write_inserted(struct sql_writer *w)
{
    hs_buf_add_lit(w->out, "pg_catalog.current_setting(" NOTE ") = ''");
}

static void write_conflict(struct sql_writer *w, const struct tree_json_write *write)
{
    if (write->conflict == TREE_CONFLICT_FAILS || !write->n_conflict_columns)
        return;
    hs_buf_add_lit(w->out, " ON CONFLICT (");
    write_columns(w, write->conflict_columns, write->n_conflict_columns, "");
    if (!sql_json_write_tells(write)) {
        hs_buf_add_lit(w->out, ") DO NOTHING");
        return;
    }
    hs_buf_add_lit(w->out, ") DO UPDATE");
    write_set(w, write, "EXCLUDED.");
    hs_buf_add_lit(w->out, " WHERE pg_catalog.set_config(" NOTE ", '1', true) = '1'");
}

void sql_json_write_settings(struct sql_writer *w)
{
    hs_buf_add_lit(w->out, "pg_catalog.current_setting('response.headers', true), "
                           "pg_catalog.current_setting('response.status', true)");
}

/* SELECT j."a", j."b" FROM ...; with a filter by a name that it can be written for. */
static void write_chosen(struct sql_writer *w, const struct tree_json_write *write)
{
    struct sql_source rows = {.alias = 0};
    bool tells = sql_json_write_tells(write);

    hs_buf_add_lit(w->out, ") SELECT ");
    write_columns(w, write->columns, write->n_columns, "j.");
    hs_buf_add_lit(w->out, " FROM ");
    write_records(w, write);
    if (tells)
        hs_buf_add_lit(w->out, " WHERE pg_catalog.set_config(" NOTE ", '', true) = ''");
    if (!write->where)
        return;
    rows.alias = ++w->n_aliases;
    hs_buf_add(w->out, tells ? HS_STR(" AND EXISTS (SELECT FROM (SELECT ")
                             : HS_STR(" WHERE EXISTS (SELECT FROM (SELECT "));
    write_columns(w, write->columns, write->n_columns, "j.");
    hs_buf_add_lit(w->out, ") t");
    hs_buf_add_u64(w->out, rows.alias);
    sql_where(w, rows, write->where);
    hs_buf_add_char(w->out, ')');
}

static void write_insert(struct sql_writer *w, const struct tree_json_write *write)
{
    hs_buf_add_lit(w->out, "INSERT INTO ");
    hs_buf_add(w->out, write->relation->quoted);
    hs_buf_add_lit(w->out, " AS t0");
    if (write->n_columns) {
        hs_buf_add_lit(w->out, " (");
        write_columns(w, write->columns, write->n_columns, "");
        write_chosen(w, write);
    } else if (write->is_array) {
        hs_buf_add_lit(w->out, " SELECT FROM pg_catalog.json_array_elements(");
        sql_param_cast(w, sql_param(w, write->json), HS_STR("pg_catalog.json"));
        hs_buf_add_char(w->out, ')');
    } else {
        hs_buf_add_lit(w->out, " DEFAULT VALUES");
    }
    write_conflict(w, write);
}

/* ---- UPDATE, DELETE ---- */

static void write_order(struct sql_writer *w, struct sql_source from, struct tree_json_write *write)
{
    const struct tree_select rows = {.relation = write->relation,
                                     .order = write->order,
                                     .n_order = write->n_order,
                                     .has_limit = true,
                                     .limit = write->limit,
                                     .offset = write->offset};

    sql_order_wide(w, from, &rows, SQL_ORDER_ROWS);
    sql_limit(w, &rows);
}

/* WHERE (key) IN (the keys of the first so many rows) */
static hs_status write_limited(struct sql_writer *w, struct tree_json_write *write,
                               struct hs_err *reterr)
{
    const struct pg_key *key = write->relation->primary;
    struct sql_source rows = {.alias = ++w->n_aliases};

    if (!key) {
        (void)hs_fail(reterr, HS_E_BAD_PARAMETER, "%.*s has no primary key",
                      HS_FMT(write->relation->quoted));
        hs_err_hint(reterr, "A limited write finds its rows by their key: leave the limit out.");
        return HS_E_BAD_PARAMETER;
    }
    hs_buf_add_lit(w->out, " WHERE (");
    write_columns(w, key->columns, key->n_columns, "t0.");
    hs_buf_add_lit(w->out, ") IN (SELECT ");
    for (size_t i = 0; i < key->n_columns; i++) {
        hs_buf_add(w->out, i ? HS_STR(", ") : HS_STR(""));
        sql_column(w, rows, key->columns[i]);
    }
    hs_buf_add_lit(w->out, " FROM ");
    sql_table(w, write->relation, rows.alias);
    sql_where(w, rows, write->where);
    write_order(w, rows, write);
    hs_buf_add_char(w->out, ')');
    return HS_OK;
}

static hs_status write_which(struct sql_writer *w, struct tree_json_write *write,
                             struct hs_err *reterr)
{
    if (write->has_limit)
        return write_limited(w, write, reterr);
    sql_where(w, table, write->where);
    return HS_OK;
}

bool sql_json_write_is_nothing(const struct tree_json_write *write)
{
    return write->kind == TREE_UPDATE && !write->n_columns;
}

hs_status sql_json_write(struct sql_writer *w, struct tree_json_write *write, struct hs_err *reterr)
{
    w->is_shareable = false;
    switch (write->kind) {
    case TREE_INSERT:
        write_insert(w, write);
        return HS_OK;
    case TREE_UPDATE:
        HS_BUG_ON(!write->n_columns);
        hs_buf_add_lit(w->out, "UPDATE ");
        hs_buf_add(w->out, write->relation->quoted);
        hs_buf_add_lit(w->out, " AS t0");
        write_set(w, write, "j.");
        hs_buf_add_lit(w->out, " FROM ");
        write_records(w, write);
        break;
    case TREE_DELETE:
        hs_buf_add_lit(w->out, "DELETE FROM ");
        hs_buf_add(w->out, write->relation->quoted);
        hs_buf_add_lit(w->out, " AS t0");
        break;
    }
    return write_which(w, write, reterr);
}
