/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which value was it? PostgreSQL quotes the text that an input function refused, and mostly its type:
 *
 *     22007  invalid input syntax for type date: "2026-13-01"
 *     22P02  invalid input value for enum mood: "glad"          (domains and elements of arrays)
 *     22003  value "1e400" is out of range for type double precision
 *     23502  null value in column "first_name" of relation "people" violates not-null constraint
 *
 * An input function knows the text and the type, nothing else: whatever column of that type holds that
 * text is at fault, and the first row that does is as good as any. A domain or an element is named by a
 * type that the column is not of; then the answer counts only if it is the only one.
 *
 * Source: PostgreSQL 15 manual, appendix A; src/backend/utils/adt for the wording.
 */
#include "api/body.h"

struct place {
    const struct tree_assignment *set; /* NULL = none */
    size_t row;
    bool is_sure; /* the type is the one that is named */
    bool is_open; /* more than one column may be meant */
};

/* What stands between the first quote and the last; p == NULL if it was cut off, or is not there. */
static struct hs_str quoted(struct hs_str message)
{
    size_t first = hs_str_find(message, '"');
    size_t last = message.n;

    while (last > first && message.p[last - 1] != '"')
        last--;
    return last > first + 1 ? hs_str_sub(message, first + 1, last - 1) : HS_STR_NULL;
}

static struct hs_str behind(struct hs_str message, const char *words)
{
    const char *hit = memmem(message.p, message.n, words, strlen(words));
    size_t at = hit ? (size_t)(hit - message.p) + strlen(words) : message.n;

    return hs_str_sub(message, at, message.n);
}

/* "date" of "... for type date: ..."; empty if none is named. */
static struct hs_str named_type(struct hs_str message)
{
    struct hs_str rest = behind(message, " for type ");

    if (!rest.n)
        rest = behind(message, " for enum ");
    return hs_str_cut(&rest, ':');
}

static bool is_given(const struct tree_assignment *set, size_t row)
{
    return !set->is_given || set->is_given[row];
}

static bool may_hide_type(const struct pg_type *type)
{
    return type->is_domain || type->kind == PG_KIND_ARRAY || type->kind == PG_KIND_COMPOSITE;
}

/* Can PostgreSQL have meant this value? A literal holds the text somewhere, quoted perhaps. */
static bool is_candidate(const struct pg_type *type, struct hs_str named, const char *value,
                         struct hs_str text)
{
    bool is_literal = type->kind == PG_KIND_ARRAY || type->kind == PG_KIND_COMPOSITE;

    if (named.n && !hs_str_eq(type->name, named) && !may_hide_type(type))
        return false;
    return hs_str_is(text, value) ||
           (is_literal && memmem(value, strlen(value), text.p, text.n) != NULL);
}

static struct place find_value(const struct body_rows *rows, struct hs_str named,
                               struct hs_str text)
{
    struct place found = {0};

    for (size_t i = 0; i < rows->n_set; i++) {
        const struct tree_assignment *set = &rows->set[i];
        bool is_sure = named.n && hs_str_eq(set->column->type->name, named);
        size_t row = 0;

        while (row < rows->n_rows &&
               !(is_given(set, row) && set->values[row] &&
                 is_candidate(set->column->type, named, set->values[row], text)))
            row++;
        if (row == rows->n_rows)
            continue;
        found.is_open = found.set != NULL;
        if (!found.set || (is_sure && !found.is_sure))
            found = (struct place){set, row, is_sure, found.is_open};
        if (found.is_sure)
            break;
    }
    return found;
}

static void name_place(const struct api_table *table, const struct body_rows *rows,
                       const struct pg_column *column, size_t row, struct hs_err *err)
{
    struct hs_str name = api_table_field_of(table, column)->name;
    struct hs_err whole;

    if (rows->is_array)
        (void)hs_fail(&whole, HS_E_PG_ERROR, "%.*s.%.*s, row %zu: %s", HS_FMT(table->name),
                      HS_FMT(name), row + 1, err->what);
    else
        (void)hs_fail(&whole, HS_E_PG_ERROR, "%.*s.%.*s: %s", HS_FMT(table->name), HS_FMT(name),
                      err->what);
    memcpy(err->what, whole.what, sizeof(whole.what));
    if (!err->why[0])
        hs_err_why(err, "The column is of type %.*s.", HS_FMT(column->type->name));
}

static void explain_value(const struct api_table *table, const struct body_rows *rows,
                          struct hs_err *err)
{
    struct hs_str message = hs_str(err->what);
    struct hs_str text = quoted(message);
    struct place place;

    if (!text.n)
        return;
    place = find_value(rows, named_type(message), text);
    if (!place.set || (place.is_open && !place.is_sure))
        return;
    name_place(table, rows, place.set->column, place.row, err);
    err->http = 422;
}

/* The first row that has NULL there, or leaves it out where nothing else is put in; n_rows = none. */
static size_t find_null(const struct body_rows *rows, const struct pg_column *column)
{
    const struct tree_assignment *set = NULL;
    size_t row = 0;

    for (size_t i = 0; i < rows->n_set; i++) {
        if (rows->set[i].column == column)
            set = &rows->set[i];
    }
    if (!set)
        return column->has_default ? rows->n_rows : 0;
    while (row < rows->n_rows &&
           (is_given(set, row) ? set->values[row] != NULL : column->has_default))
        row++;
    return row;
}

static void explain_null(const struct api_table *table, const struct body_rows *rows,
                         struct hs_err *err)
{
    struct hs_str message = hs_str(err->what);
    struct hs_str rest = behind(message, " column \"");
    struct hs_str name = hs_str_cut(&rest, '"');
    struct hs_str relation;
    const struct pg_column *column = pg_relation_column(table->pg, name);
    size_t row;

    rest = behind(rest, " relation \"");
    relation = hs_str_cut(&rest, '"');
    if (!column || !hs_str_eq(relation, table->pg->name))
        return;
    row = find_null(rows, column);
    if (row < rows->n_rows)
        name_place(table, rows, column, row, err);
}

void body_explain(const struct api_table *table, const struct body_rows *rows, struct hs_err *err)
{
    if (strncmp(err->sqlstate, "22", 2) == 0)
        explain_value(table, rows, err);
    else if (strcmp(err->sqlstate, "23502") == 0)
        explain_null(table, rows, err);
}
