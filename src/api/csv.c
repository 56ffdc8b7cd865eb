/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Most texts are copied as they are after one look at each byte. What has to be made anew (timestamps,
 * arrays, composites) is written by the JSON writer at the end of `out` and turned into a field there, in
 * place: no second buffer, and one notation in all formats.
 *
 * A text that a spreadsheet takes for a formula is not changed: CSV has no way to say that it is none, and
 * whoever reads the file by program would get other data. docs/how-to/export.md says so.
 */
#include "api/csv.h"

#include "pg/pool.h"

static bool is_special(char c)
{
    static const bool special[256] = {[','] = true, ['"'] = true, ['\r'] = true, ['\n'] = true};

    return special[(unsigned char)c];
}

static bool needs_quotes(struct hs_str text)
{
    size_t i = 0;

    while (i < text.n && !is_special(text.p[i]))
        i++;
    return i < text.n || text.n == 0;
}

static size_t count_quotes(struct hs_str text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '"';
    return n;
}

/* What stands in `out` from `from` on becomes a quoted field, from its end to its start. */
static void quote(struct hs_buf *out, size_t from)
{
    size_t more = count_quotes(hs_strn(out->p + from, out->n - from)) + 2;
    char *to = hs_buf_room(out, more);
    char *first;
    const char *at;

    if (!to)
        return;
    first = out->p + from;
    at = to;
    to += more;
    *--to = '"';
    while (at > first) {
        *--to = *--at;
        if (*at == '"')
            *--to = '"';
    }
    *--to = '"';
    hs_buf_added(out, more);
}

static void write_text(struct hs_buf *out, struct hs_str text)
{
    size_t from = out->n;

    if (hs_likely(!needs_quotes(text))) {
        hs_buf_add(out, text);
        return;
    }
    hs_buf_add(out, text);
    if (!hs_buf_failed(out))
        quote(out, from);
}

/* A JSON string without escapes, which timestamps are, loses its quotes. */
static void write_timestamp(struct hs_buf *out, const struct pg_type *type, struct hs_str text,
                            const struct api_rows_opts *opts)
{
    size_t from = out->n;

    api_value_write(out, type, text, opts);
    if (hs_buf_failed(out))
        return;
    out->n -= 2;
    memmove(out->p + from, out->p + from + 1, out->n - from);
}

static void write_json(struct hs_buf *out, const struct pg_type *type, struct hs_str text,
                       const struct api_rows_opts *opts)
{
    size_t from = out->n;

    api_value_write(out, type, text, opts);
    if (!hs_buf_failed(out) && needs_quotes(hs_strn(out->p + from, out->n - from)))
        quote(out, from);
}

static void write_value(struct hs_buf *out, const struct api_out_column *col, struct hs_str text,
                        const struct api_rows_opts *opts)
{
    if (col->is_json_ready) {
        write_text(out, text);
        return;
    }
    switch (col->type->kind) {
    case PG_KIND_BOOL:
        hs_buf_add(out, hs_str_is(text, "t") ? HS_STR("true") : HS_STR("false"));
        return;
    case PG_KIND_TIMESTAMP:
    case PG_KIND_TIMESTAMPTZ:
        write_timestamp(out, col->type, text, opts);
        return;
    case PG_KIND_ARRAY:
    case PG_KIND_COMPOSITE:
        write_json(out, col->type, text, opts);
        return;
    case PG_KIND_INT:
    case PG_KIND_INT8:
    case PG_KIND_FLOAT:
    case PG_KIND_NUMERIC:
    case PG_KIND_TEXT:
    case PG_KIND_DATE:
    case PG_KIND_TIME:
    case PG_KIND_BYTEA:
    case PG_KIND_ENUM:
    case PG_KIND_RANGE:
    case PG_KIND_JSON:
        break;
    }
    write_text(out, text);
}

void csv_names_write(struct hs_buf *out, const struct tree_select *tree)
{
    for (size_t i = 0; i < tree->n_fields; i++) {
        if (i)
            hs_buf_add_char(out, ',');
        write_text(out, tree->fields[i]->name);
    }
    for (const struct tree_embed *e = tree->embeds; e; e = e->next) {
        if (tree->n_fields || e != tree->embeds)
            hs_buf_add_char(out, ',');
        write_text(out, e->name);
    }
    hs_buf_add_lit(out, "\r\n");
}

void csv_row_write(struct hs_buf *out, const struct pg_rows *rows, size_t row,
                   const struct api_out_column *cols, size_t n_cols,
                   const struct api_rows_opts *opts)
{
    HS_BUG_ON(n_cols > pg_rows_columns(rows) || row >= pg_rows_count(rows));
    for (size_t i = 0; i < n_cols; i++) {
        struct hs_str text = pg_rows_value(rows, row, i);

        if (i)
            hs_buf_add_char(out, ',');
        if (text.p)
            write_value(out, &cols[i], text, opts);
    }
    hs_buf_add_lit(out, "\r\n");
}
