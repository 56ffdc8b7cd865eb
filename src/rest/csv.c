/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV as PostgREST writes it: a line of names, then each row as PostgreSQL writes a composite value, without its
 * parentheses. So NULL is nothing, an empty text is "", and '"' and '\' are doubled within quotes. No line break
 * stands behind the last row; without rows there are no names either.
 *
 * Source: PostgREST reference, response format; PostgreSQL 15 manual, 8.16.6 (composite output).
 */
#include "core/json_read.h"
#include "rest/request.h"

/* The rule of record_out(). */
static bool wants_quotes(struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        switch (s.p[i]) {
        case '"':
        case '\\':
        case '(':
        case ')':
        case ',':
        case ' ':
        case '\t':
        case '\n':
        case '\r':
        case '\v':
        case '\f':
            return true;
        default:
            break;
        }
    }
    return s.n == 0;
}

static void write_value(struct hs_buf *out, struct hs_str s)
{
    if (!s.p)
        return;
    if (!wants_quotes(s)) {
        hs_buf_add(out, s);
        return;
    }
    hs_buf_add_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            hs_buf_add_char(out, s.p[i]);
        hs_buf_add_char(out, s.p[i]);
    }
    hs_buf_add_char(out, '"');
}

/* key is finished JSON with its colon: "\"name\":" */
static void write_name(struct hs_buf *out, struct hs_str key)
{
    struct hs_str text = hs_str_sub(key, 1, key.n - 2);
    char *to;
    size_t n;

    if (hs_str_find(text, '\\') == text.n) {
        hs_buf_add(out, text);
        return;
    }
    to = hs_buf_room(out, text.n);
    if (to && json_unescape(text, to, &n))
        hs_buf_added(out, n);
}

/* Position of the next column of the row itself: members of an object are part of it. */
static size_t next_column(const struct api_out_column *columns, size_t at)
{
    return at + 1 + (columns[at].is_object ? columns[at].n_inside : 0);
}

/* An object is its JSON text. */
static void write_object(struct hs_buf *out, const struct pg_rows *rows, size_t row, size_t at,
                         const struct api_out_column *columns)
{
    const struct api_rows_opts opts = {.omit_nulls = false};
    struct hs_buf text;

    if (!pg_rows_value(rows, row, at).p)
        return;
    hs_buf_init(&text, out->max);
    api_cell_write(&text, rows, row, at, columns, &opts);
    if (hs_buf_failed(&text))
        out->failed = true;
    else
        write_value(out, hs_buf_str(&text));
    hs_buf_fini(&text);
}

static void write_row(struct hs_buf *out, const struct pg_rows *rows, size_t row,
                      const struct api_out_column *columns, size_t n_columns)
{
    for (size_t i = 0; i < n_columns; i = next_column(columns, i)) {
        if (i)
            hs_buf_add_char(out, ',');
        if (columns[i].is_object)
            write_object(out, rows, row, i, columns);
        else
            write_value(out, pg_rows_value(rows, row, i));
    }
}

void rest_csv_write(struct hs_buf *out, const struct pg_rows *rows, size_t n,
                    const struct api_out_column *columns, size_t n_columns)
{
    for (size_t i = 0; n && i < n_columns; i = next_column(columns, i)) {
        if (i)
            hs_buf_add_char(out, ',');
        write_name(out, columns[i].key);
    }
    hs_buf_add_char(out, '\n');
    for (size_t row = 0; row < n; row++) {
        if (row)
            hs_buf_add_char(out, '\n');
        write_row(out, rows, row, columns, n_columns);
    }
}
