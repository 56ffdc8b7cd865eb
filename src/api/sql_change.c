/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a change as one INSERT, UPDATE or DELETE of t0.
 *
 *   one row    VALUES ($1::type, ...) or SET "a" = $1::type
 *   many rows  the same parameters whatever their number: an array for each column, side by side in
 *              ROWS FROM (unnest($1::type[]), ...) AS r(c1, ...), in the order of the request. c<n> is the
 *              value of the n-th column of `set`, g<n> (where it matters) whether the row gives it.
 *
 * The rule: values are cast to the type without its length or precision, so that the assignment to the
 * column, which refuses what is too long, checks them; an explicit cast to varchar(3) would cut without a
 * word. A domain with a length is safe as long as it is the type of the parameter itself, for then
 * its input function reads the value; so an array of a domain is never sent as text.
 *
 * What cannot be an element or would be taken apart by unnest() (arrays, composites) goes as text[] and
 * is cast row by row.
 *
 * Source: PostgreSQL 15 manual, INSERT, UPDATE, DELETE; 7.2.1.4 (ROWS FROM), 8.15.6 (array literals),
 * 10.4 (value storage), 8.16.2 (composite literals).
 */
#include "api/sql_int.h"

/*
 * In rows that do not give a column of a domain's type stands a value of another row, since a domain that
 * refuses NULL would refuse it there too. Longer ones are not repeated thousands of times.
 */
enum { FILLER_MAX = 1024 };

/* How one column of `set` is written. */
struct column_plan {
    bool is_text; /* in many rows: sent as text[] */
    unsigned param;
    unsigned given_param; /* 0 = every row's value counts */
    bool is_left_out;     /* one row, and it does not give it */
};

struct change_writer {
    struct sql_writer sql;
    const struct tree_change *change;
    struct column_plan *plans; /* n_set */
    bool is_bulk;
};

static const struct sql_source table = {.alias = 0};

/* ---- parameters ---- */

static bool is_given(const struct tree_assignment *a, size_t row)
{
    return !a->is_given || a->is_given[row];
}

static const char *value_or(const struct tree_assignment *a, size_t row, const char *filler)
{
    return is_given(a, row) ? a->values[row] : filler;
}

static size_t quoted_size(const char *value)
{
    size_t n = 2;

    for (; *value; value++)
        n += *value == '"' || *value == '\\' ? 2 : 1;
    return n;
}

static char *put_quoted(char *to, const char *value)
{
    *to++ = '"';
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            *to++ = '\\';
        *to++ = *value;
    }
    *to++ = '"';
    return to;
}

/* {"1",NULL,"say \"hi\""}: measured first, so that it is written once and copied never. */
static struct hs_str array_literal(struct hs_arena *arena, const struct tree_assignment *a,
                                   size_t n_rows, const char *filler, char delim)
{
    size_t size = 2 + n_rows;
    char *start;
    char *to;

    for (size_t i = 0; i < n_rows; i++) {
        const char *value = value_or(a, i, filler);

        size += value ? quoted_size(value) : strlen("NULL");
    }
    start = to = hs_arena_alloc(arena, size);
    if (!start)
        return HS_STR_NULL;
    for (size_t i = 0; i < n_rows; i++) {
        const char *value = value_or(a, i, filler);

        *to++ = i ? delim : '{';
        if (value)
            to = put_quoted(to, value);
        else
            to = (char *)memcpy(to, "NULL", 4) + 4;
    }
    *to++ = '}';
    *to = '\0';
    return hs_strn(start, (size_t)(to - start));
}

/* {t,f} */
static struct hs_str given_literal(struct hs_arena *arena, const bool *given, size_t n_rows)
{
    char *start = hs_arena_alloc(arena, 2 * n_rows + 2);
    char *to = start;

    if (!start)
        return HS_STR_NULL;
    for (size_t i = 0; i < n_rows; i++) {
        *to++ = i ? ',' : '{';
        *to++ = given[i] ? 't' : 'f';
    }
    *to++ = '}';
    *to = '\0';
    return hs_strn(start, (size_t)(to - start));
}

/* The shortest value that a row gives; NULL if there is none that may be repeated. */
static const char *filler_of(const struct tree_assignment *a, size_t n_rows)
{
    const char *shortest = NULL;
    size_t n = FILLER_MAX + 1;

    for (size_t i = 0; i < n_rows; i++) {
        if (is_given(a, i) && a->values[i] && strnlen(a->values[i], n) < n) {
            shortest = a->values[i];
            n = strlen(shortest);
        }
    }
    return shortest;
}

/* ---- the plan ---- */

static bool goes_as_text(const struct pg_type *type)
{
    return type->kind == PG_KIND_COMPOSITE || (type->kind == PG_KIND_ARRAY && !type->is_domain);
}

/* An identity and a view's column have defaults that no expression says. */
static hs_status check_default(const struct change_writer *c, const struct pg_column *column,
                               struct hs_err *reterr)
{
    bool is_view = c->change->relation->relkind == 'v';

    if (!column->is_identity && (!is_view || column->default_sql.n))
        return HS_OK;
    (void)hs_fail(reterr, HS_E_BAD_BODY, "column \"%.*s\" is given in some rows only",
                  HS_FMT(column->name));
    hs_err_why(reterr, is_view ? "Its default is that of the table behind the view."
                               : "It is an identity: its default is the next number.");
    hs_err_hint(reterr, "Give it in every row of a request or in none.");
    return HS_E_BAD_BODY;
}

static hs_status plan_bulk_column(struct change_writer *c, const struct tree_assignment *a,
                                  struct column_plan *plan, struct hs_err *reterr)
{
    size_t n_rows = c->change->n_rows;
    struct hs_arena *arena = c->sql.arena;
    bool is_insert = c->change->kind == TREE_INSERT;
    /* An INSERT without a default has NULL for it, and so has the array. */
    bool is_partial = a->is_given && (!is_insert || a->column->default_sql.n);
    const char *filler = is_partial && a->column->type->is_domain ? filler_of(a, n_rows) : NULL;
    char delim = plan->is_text ? ',' : a->column->type->delim;

    if (a->is_given && is_insert) {
        hs_status status = check_default(c, a->column, reterr);

        if (status)
            return status;
    }
    plan->param = sql_param(&c->sql, array_literal(arena, a, n_rows, filler, delim));
    if (is_partial)
        plan->given_param = sql_param(&c->sql, given_literal(arena, a->is_given, n_rows));
    return HS_OK;
}

static hs_status plan_columns(struct change_writer *c, struct hs_err *reterr)
{
    const struct tree_change *change = c->change;
    hs_status status = HS_OK;

    c->plans = HS_NEW_ARRAY(c->sql.arena, change->n_set + 1, struct column_plan);
    if (!c->plans)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < change->n_set && !status; i++) {
        const struct tree_assignment *a = &change->set[i];
        struct column_plan *plan = &c->plans[i];

        plan->is_text = goes_as_text(a->column->type);
        plan->is_left_out = !c->is_bulk && !is_given(a, 0);
        if (c->is_bulk)
            status = plan_bulk_column(c, a, plan, reterr);
        else if (!plan->is_left_out)
            plan->param = sql_param(&c->sql, hs_str(a->values[0]));
    }
    return status;
}

/* ---- parts of the text ---- */

static void write_target(struct change_writer *c, struct hs_str verb)
{
    hs_buf_add(c->sql.out, verb);
    hs_buf_add(c->sql.out, c->change->relation->quoted);
    hs_buf_add_lit(c->sql.out, " AS t0");
}

/* c3, g3 */
static void write_row_name(struct change_writer *c, char what, size_t i)
{
    hs_buf_add_char(c->sql.out, what);
    hs_buf_add_u64(c->sql.out, i + 1);
}

static void write_cast(struct change_writer *c, const struct pg_type *type)
{
    hs_buf_add_lit(c->sql.out, "::");
    hs_buf_add(c->sql.out, type->sql);
}

static void write_value(struct change_writer *c, size_t i)
{
    const struct pg_type *type = c->change->set[i].column->type;

    if (!c->is_bulk) {
        sql_param_cast(&c->sql, c->plans[i].param, type->sql);
        return;
    }
    hs_buf_add_lit(c->sql.out, "r.");
    write_row_name(c, 'c', i);
    if (c->plans[i].is_text)
        write_cast(c, type);
}

/*
 * The value, or what stands for it in a row that does not give it. A default is cast as the value is,
 * for PostgreSQL prints it without the cast to its column, and the CASE would take the wider type.
 */
static void write_assigned(struct change_writer *c, size_t i)
{
    const struct pg_column *column = c->change->set[i].column;
    bool is_insert = c->change->kind == TREE_INSERT;

    if (c->plans[i].is_left_out && is_insert) {
        hs_buf_add_lit(c->sql.out, "DEFAULT");
    } else if (c->plans[i].is_left_out) {
        sql_column(&c->sql, table, column);
    } else if (!c->plans[i].given_param) {
        write_value(c, i);
    } else {
        hs_buf_add_lit(c->sql.out, "CASE WHEN r.");
        write_row_name(c, 'g', i);
        hs_buf_add_lit(c->sql.out, " THEN ");
        write_value(c, i);
        hs_buf_add_lit(c->sql.out, " ELSE ");
        if (is_insert) {
            hs_buf_add_char(c->sql.out, '(');
            hs_buf_add(c->sql.out, column->default_sql);
            hs_buf_add_char(c->sql.out, ')');
            write_cast(c, column->type);
        } else {
            sql_column(&c->sql, table, column);
        }
        hs_buf_add_lit(c->sql.out, " END");
    }
}

static void write_unnest(struct change_writer *c, unsigned param, struct hs_str type)
{
    hs_buf_add_lit(c->sql.out, "pg_catalog.unnest(");
    sql_param_cast(&c->sql, param, type);
    hs_buf_add_lit(c->sql.out, "[])");
}

/* " FROM ROWS FROM (...) AS r(c1, c2, g2)" */
static void write_rows(struct change_writer *c)
{
    const struct tree_change *change = c->change;

    for (size_t i = 0; i < change->n_set; i++) {
        const struct column_plan *plan = &c->plans[i];
        struct hs_str type = change->set[i].column->type->sql;

        hs_buf_add(c->sql.out, i ? HS_STR(", ") : HS_STR(" FROM ROWS FROM ("));
        write_unnest(c, plan->param, plan->is_text ? HS_STR("pg_catalog.text") : type);
        if (plan->given_param) {
            hs_buf_add_lit(c->sql.out, ", ");
            write_unnest(c, plan->given_param, HS_STR("pg_catalog.bool"));
        }
    }
    for (size_t i = 0; i < change->n_set; i++) {
        hs_buf_add(c->sql.out, i ? HS_STR(", ") : HS_STR(") AS r("));
        write_row_name(c, 'c', i);
        if (c->plans[i].given_param) {
            hs_buf_add_lit(c->sql.out, ", ");
            write_row_name(c, 'g', i);
        }
    }
    hs_buf_add_char(c->sql.out, ')');
}

static size_t position_in_set(const struct tree_change *change, const struct pg_column *column)
{
    size_t i = 0;

    while (i < change->n_set && change->set[i].column != column)
        i++;
    return i;
}

static bool is_key(const struct tree_change *change, const struct pg_column *column)
{
    for (size_t i = 0; i < change->n_key; i++) {
        if (change->key[i] == column)
            return true;
    }
    return false;
}

static void write_conditions(struct change_writer *c)
{
    const struct tree_change *change = c->change;
    size_t at = c->sql.out->n;

    sql_where(&c->sql, table, change->where);
    for (size_t i = 0; i < change->n_key; i++) {
        size_t position = position_in_set(change, change->key[i]);

        HS_BUG_ON(position == change->n_set);
        hs_buf_add(c->sql.out, c->sql.out->n > at ? HS_STR(" AND ") : HS_STR(" WHERE "));
        sql_column(&c->sql, table, change->key[i]);
        hs_buf_add_lit(c->sql.out, " = ");
        write_value(c, position);
    }
    if (change->version.p) {
        hs_buf_add(c->sql.out, c->sql.out->n > at ? HS_STR(" AND ") : HS_STR(" WHERE "));
        hs_buf_add_lit(c->sql.out, "t0.xmin = ");
        sql_param_cast(&c->sql, sql_param(&c->sql, change->version), HS_STR("pg_catalog.xid"));
    }
}

/*
 * Only a plain table tells the xmin of what it wrote: a view has none, and a partitioned table fails with
 * "cannot retrieve a system column in this context" where it routes a row.
 */
static void write_returning(struct change_writer *c, struct sql_statement *st)
{
    const struct tree_change *change = c->change;

    for (size_t i = 0; i < change->n_returning; i++) {
        hs_buf_add(c->sql.out, i ? HS_STR(", ") : HS_STR(" RETURNING "));
        sql_column(&c->sql, table, change->returning[i]->column);
    }
    st->n_fields = change->n_returning;
    st->has_version = change->n_returning && change->with_version &&
                      change->relation->relkind == 'r';
    st->version_column = change->n_returning;
    if (st->has_version)
        hs_buf_add_lit(c->sql.out, ", t0.xmin");
}

/* ---- the statements ---- */

static void write_insert(struct change_writer *c)
{
    const struct tree_change *change = c->change;

    write_target(c, HS_STR("INSERT INTO "));
    if (!change->n_set && c->is_bulk) {
        hs_buf_add_lit(c->sql.out, " SELECT FROM pg_catalog.generate_series(1, ");
        sql_param_cast(&c->sql,
                       sql_param(&c->sql, hs_arena_printf(c->sql.arena, "%zu", change->n_rows)),
                       HS_STR("pg_catalog.int8"));
        hs_buf_add_char(c->sql.out, ')');
        return;
    }
    if (!change->n_set) {
        hs_buf_add_lit(c->sql.out, " DEFAULT VALUES");
        return;
    }
    for (size_t i = 0; i < change->n_set; i++) {
        hs_buf_add(c->sql.out, i ? HS_STR(", ") : HS_STR(" ("));
        hs_buf_add(c->sql.out, change->set[i].column->quoted);
    }
    hs_buf_add(c->sql.out, c->is_bulk ? HS_STR(") SELECT ") : HS_STR(") VALUES ("));
    for (size_t i = 0; i < change->n_set; i++) {
        if (i)
            hs_buf_add_lit(c->sql.out, ", ");
        write_assigned(c, i);
    }
    if (c->is_bulk)
        write_rows(c);
    else
        hs_buf_add_char(c->sql.out, ')');
}

/* "SET " or ", ", the column, " = "; returns how many there are now. */
static size_t write_set(struct change_writer *c, size_t n, const struct pg_column *column)
{
    hs_buf_add(c->sql.out, n ? HS_STR(", ") : HS_STR(" SET "));
    hs_buf_add(c->sql.out, column->quoted);
    hs_buf_add_lit(c->sql.out, " = ");
    return n + 1;
}

static hs_status write_update(struct change_writer *c, struct hs_err *reterr)
{
    const struct tree_change *change = c->change;
    size_t n = 0;

    write_target(c, HS_STR("UPDATE "));
    for (size_t i = 0; i < change->n_set; i++) {
        if (is_key(change, change->set[i].column))
            continue;
        n = write_set(c, n, change->set[i].column);
        write_assigned(c, i);
    }
    for (size_t i = 0; i < change->n_reset; i++) {
        n = write_set(c, n, change->reset[i]);
        hs_buf_add_lit(c->sql.out, "DEFAULT");
    }
    if (!n) {
        (void)hs_fail(reterr, HS_E_BAD_BODY, "the request changes no column");
        hs_err_hint(reterr, "Name at least one column that is not part of the key.");
        return HS_E_BAD_BODY;
    }
    if (c->is_bulk)
        write_rows(c);
    write_conditions(c);
    return HS_OK;
}

static hs_status write_change(struct change_writer *c, struct hs_err *reterr)
{
    hs_status status = plan_columns(c, reterr);

    if (status)
        return status;
    switch (c->change->kind) {
    case TREE_INSERT:
        write_insert(c);
        break;
    case TREE_UPDATE:
        return write_update(c, reterr);
    case TREE_DELETE:
        write_target(c, HS_STR("DELETE FROM "));
        write_conditions(c);
        break;
    }
    return HS_OK;
}

hs_status sql_write_change(struct tree_change *change, struct hs_buf *scratch,
                           struct hs_arena *arena, struct sql_statement *ret_statement,
                           struct hs_err *reterr)
{
    bool is_bulk = change->kind == TREE_INSERT ? change->n_rows > 1 : change->n_key > 0;
    struct change_writer c = {.sql = {.out = scratch, .arena = arena, .comment = change->comment},
                              .change = change,
                              .is_bulk = is_bulk};
    hs_status status;

    *ret_statement = (struct sql_statement){0};
    hs_buf_clear(scratch);
    status = write_change(&c, reterr);
    if (status)
        return status;
    write_returning(&c, ret_statement);
    return sql_finish(&c.sql, ret_statement, reterr);
}
