/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows to JSON: objects, and the types whose JSON is one token. Arrays and composites: rows_nested.c.
 *
 * The one rule: PostgreSQL has already made exact text of every value, so nothing is converted here.
 * Numbers are copied digit by digit, json passes through, all else is escaped; only timestamps are
 * touched, since to_json() writes them in XSD style ("T", whole offset) and the text output does not.
 * It refuses to guess: a text that is no number is a string, exactly as to_json() does with NaN and
 * Infinity.
 *
 * Source: PostgreSQL 15 manual, 9.16 (to_json), 8.5.2 (ISO 8601 output); RFC 8259, section 6 (numbers).
 */
#include "api/rows.h"

#include "api/rows_int.h"
#include "core/json.h"
#include "pg/pool.h"

static void writer_init(struct api_writer *w, struct hs_buf *out, const struct api_rows_opts *opts)
{
    w->out = out;
    w->opts = opts;
    w->scratch_used = 0;
}

static void writer_fini(struct api_writer *w)
{
    while (w->scratch_used)
        hs_buf_fini(&w->scratch[--w->scratch_used]);
}

static size_t digits_at(struct hs_str s, size_t at)
{
    while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
        at++;
    return at;
}

static bool is_json_number(struct hs_str s)
{
    size_t start = s.n && s.p[0] == '-';
    size_t at = digits_at(s, start);

    if (at == start || (s.p[start] == '0' && at > start + 1))
        return false;
    if (at == s.n)
        return true;
    if (s.p[at] == '.') {
        start = at + 1;
        at = digits_at(s, start);
        if (at == start)
            return false;
    }
    if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
        start = at + 1;
        start += start < s.n && (s.p[start] == '+' || s.p[start] == '-');
        at = digits_at(s, start);
        if (at == start)
            return false;
    }
    return at == s.n;
}

static void write_number(struct hs_buf *out, struct hs_str text)
{
    if (hs_likely(is_json_number(text)))
        hs_buf_add(out, text);
    else
        hs_json_text(out, text);
}

static bool write_bool(struct hs_buf *out, struct hs_str text)
{
    if (text.n != 1 || (text.p[0] != 't' && text.p[0] != 'f'))
        return false;
    hs_buf_add(out, text.p[0] == 't' ? HS_STR("true") : HS_STR("false"));
    return true;
}

/* "2024-01-01 10:00:00+05 BC" -> "2024-01-01T10:00:00+05:00 BC"; infinity stays as it is. */
static void write_timestamp(struct hs_buf *out, struct hs_str text, bool has_offset)
{
    enum { TIMESTAMP_MAX = 56 };
    char iso[TIMESTAMP_MAX + 3];
    size_t space = hs_str_find(text, ' ');
    size_t end;

    if (text.n > TIMESTAMP_MAX || space + 9 > text.n) {
        hs_json_text(out, text);
        return;
    }
    memcpy(iso, text.p, text.n);
    iso[space] = 'T';
    end = text.n;
    if (memcmp(iso + end - 3, " BC", 3) == 0)
        end -= 3;
    if (has_offset && (iso[end - 3] == '+' || iso[end - 3] == '-')) {
        memmove(iso + end + 3, iso + end, text.n - end);
        memcpy(iso + end, ":00", 3);
        text.n += 3;
    }
    hs_json_text(out, hs_strn(iso, text.n));
}

static void write_int8(struct hs_buf *out, struct hs_str text, const struct api_rows_opts *opts)
{
    if (opts->int8_as_string)
        hs_json_text(out, text);
    else
        write_number(out, text);
}

bool api_write_value(struct api_writer *w, const struct pg_type *type, struct hs_str text,
                     unsigned depth)
{
    switch (type->kind) {
    case PG_KIND_INT:
    case PG_KIND_FLOAT:
    case PG_KIND_NUMERIC:
        write_number(w->out, text);
        return true;
    case PG_KIND_INT8:
        write_int8(w->out, text, w->opts);
        return true;
    case PG_KIND_BOOL:
        return write_bool(w->out, text);
    case PG_KIND_JSON:
        hs_buf_add(w->out, text);
        return text.n > 0;
    case PG_KIND_TIMESTAMP:
        write_timestamp(w->out, text, /* has_offset= */ false);
        return true;
    case PG_KIND_TIMESTAMPTZ:
        write_timestamp(w->out, text, /* has_offset= */ true);
        return true;
    case PG_KIND_ARRAY:
        return api_write_array(w, type, text, depth);
    case PG_KIND_COMPOSITE:
        return api_write_composite(w, type, text, depth);
    case PG_KIND_TEXT:
    case PG_KIND_DATE:
    case PG_KIND_TIME:
    case PG_KIND_BYTEA:
    case PG_KIND_ENUM:
    case PG_KIND_RANGE:
        break;
    }
    hs_json_text(w->out, text);
    return true;
}

static void write_or_quote(struct api_writer *w, const struct pg_type *type, struct hs_str text)
{
    size_t mark = w->out->n;

    if (hs_likely(api_write_value(w, type, text, 0)) || hs_buf_failed(w->out))
        return;
    w->out->n = mark;
    hs_json_string(w->out, text);
}

/* One question for room, since there is a key before every value. */
static void add_key(struct hs_buf *out, char before, struct hs_str key)
{
    char *to = hs_buf_room(out, key.n + 1);

    if (!to)
        return;
    to[0] = before;
    memcpy(to + 1, key.p, key.n);
    hs_buf_added(out, key.n + 1);
}

static void write_members(struct api_writer *w, const struct pg_rows *rows, size_t row,
                          const struct api_out_column *cols, size_t from, size_t to);

/* A value that is not NULL. */
static void write_cell(struct api_writer *w, const struct pg_rows *rows, size_t row, size_t at,
                       const struct api_out_column *cols, struct hs_str text)
{
    const struct api_out_column *col = &cols[at];

    if (col->is_json_ready)
        hs_buf_add(w->out, text);
    else if (hs_unlikely(col->is_object))
        write_members(w, rows, row, cols, at + 1, at + 1 + col->n_inside);
    else
        write_or_quote(w, col->type, text);
}

/* One that is NULL, where a row has it: null, or the rows of a layer. */
static void write_empty(struct api_writer *w, const struct pg_rows *rows, size_t row, size_t at,
                        const struct api_out_column *cols)
{
    struct api_layer_walk walk;
    size_t child;
    char before = '[';

    if (!cols[at].is_many) {
        hs_buf_add_lit(w->out, "null");
        return;
    }
    walk = api_layer_begin(w->opts->layers, rows, row, at);
    while (api_layer_next(&walk, &child)) {
        hs_buf_add_char(w->out, before);
        before = ',';
        write_members(w, rows, child, cols, at + 1, at + 1 + cols[at].n_inside);
    }
    hs_buf_add(w->out, before == '[' ? HS_STR("[]") : HS_STR("]"));
}

/* Objects in objects are as deep as a dialect lets relations be. */
static void write_members(struct api_writer *w, const struct pg_rows *rows, size_t row,
                          const struct api_out_column *cols, size_t from, size_t to)
{
    struct hs_buf *out = w->out;
    char before = '{';

    for (size_t i = from; i < to; i += 1 + cols[i].n_inside) {
        struct hs_str text = pg_rows_value(rows, row, i);

        if (!text.p && w->opts->omit_nulls && !cols[i].is_many)
            continue;
        add_key(out, before, cols[i].key);
        before = ',';
        if (text.p)
            write_cell(w, rows, row, i, cols, text);
        else
            write_empty(w, rows, row, i, cols);
    }
    if (before == '{')
        hs_buf_add_char(out, '{');
    hs_buf_add_char(out, '}');
}

static size_t row_at(const struct api_rows_opts *opts, size_t i)
{
    return opts->layers ? api_layers_row(opts->layers, i) : i;
}

static void write_row(struct api_writer *w, const struct pg_rows *rows, size_t row,
                      const struct api_out_column *cols, size_t n_cols)
{
    write_members(w, rows, row_at(w->opts, row), cols, 0, n_cols);
}

void api_rows_write(struct hs_buf *out, const struct pg_rows *rows, size_t from, size_t to,
                    const struct api_out_column *cols, size_t n_cols,
                    const struct api_rows_opts *opts)
{
    struct api_writer w;

    HS_BUG_ON(n_cols > pg_rows_columns(rows) || to > pg_rows_count(rows));
    writer_init(&w, out, opts);
    hs_buf_add_char(out, '[');
    for (size_t row = from; row < to; row++) {
        if (row > from)
            hs_buf_add_char(out, ',');
        write_row(&w, rows, row, cols, n_cols);
    }
    hs_buf_add_char(out, ']');
    writer_fini(&w);
}

void api_row_write(struct hs_buf *out, const struct pg_rows *rows, size_t row,
                   const struct api_out_column *cols, size_t n_cols,
                   const struct api_rows_opts *opts)
{
    struct api_writer w;

    HS_BUG_ON(n_cols > pg_rows_columns(rows) || row >= pg_rows_count(rows));
    writer_init(&w, out, opts);
    write_row(&w, rows, row, cols, n_cols);
    writer_fini(&w);
}

void api_cell_write(struct hs_buf *out, const struct pg_rows *rows, size_t row, size_t at,
                    const struct api_out_column *cols, const struct api_rows_opts *opts)
{
    struct api_writer w;
    struct hs_str text;

    row = row_at(opts, row);
    text = pg_rows_value(rows, row, at);
    writer_init(&w, out, opts);
    if (text.p)
        write_cell(&w, rows, row, at, cols, text);
    else
        write_empty(&w, rows, row, at, cols);
    writer_fini(&w);
}

void api_value_write(struct hs_buf *out, const struct pg_type *type, struct hs_str text,
                     const struct api_rows_opts *opts)
{
    struct api_writer w;

    if (!text.p) {
        hs_buf_add_lit(out, "null");
        return;
    }
    writer_init(&w, out, opts);
    write_or_quote(&w, type, text);
    writer_fini(&w);
}
