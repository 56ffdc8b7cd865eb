/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two passes over each object and each table: one finds the widths, with a copy of the reader, one writes.
 *
 *     hits      12                 hits  bytes  url
 *     entries  300                   12    880  /api/v1/clients
 *     tags                            3   1024  /api/v1/staff
 *       table          columns
 *       api.clients    company_id
 */
#include "cmd/plain.h"

#include "core/json_read.h"

enum { COLUMNS_MAX = 16, INDENT = 2, TABLE_WIDTH_MAX = 40 };

struct column {
    struct hs_str name;
    size_t width;
    bool is_number; /* each value so far */
};

struct writer {
    struct hs_buf *out;
    struct hs_buf text; /* of one value */
};

static bool next(struct json_reader *r, enum json_token *ret_token)
{
    return json_next(r, ret_token, NULL) == HS_OK;
}

static bool is_nested(enum json_token token)
{
    return token == JSON_OBJECT || token == JSON_ARRAY;
}

static void pad(struct hs_buf *out, size_t n)
{
    while (n--)
        hs_buf_add_char(out, ' ');
}

/* ---- values ---- */

/* C0, DEL and, as two bytes of UTF-8, C1. */
static void hide_controls(struct hs_buf *text)
{
    unsigned char before = 0;

    for (size_t i = 0; !hs_buf_failed(text) && i < text->n; i++) {
        unsigned char c = (unsigned char)text->p[i];

        if (c < ' ' || c == 0x7f || (before == 0xc2 && c < 0xa0)) {
            text->p[i] = '?';
            if (before == 0xc2)
                text->p[i - 1] = '?';
        }
        before = c;
    }
}

/* What was just read, as it is shown; lives until the next call. A nested value is not looked into. */
static struct hs_str shown(struct writer *w, const struct json_reader *r, enum json_token token)
{
    size_t n;

    hs_buf_clear(&w->text);
    switch (token) {
    case JSON_STRING:
    case JSON_NAME:
        if (hs_buf_grow(&w->text, r->value.n + 1) && json_unescape(r->value, w->text.p, &n))
            w->text.n = n;
        hide_controls(&w->text);
        return hs_buf_str(&w->text);
    case JSON_NUMBER:
        return r->value;
    case JSON_TRUE:
        return HS_STR("yes");
    case JSON_FALSE:
        return HS_STR("no");
    case JSON_NULL:
        return HS_STR("-");
    case JSON_END:
    case JSON_OBJECT:
    case JSON_OBJECT_END:
    case JSON_ARRAY:
    case JSON_ARRAY_END:
        break;
    }
    return HS_STR("");
}

static bool skip(struct json_reader *r, enum json_token token)
{
    struct hs_str text;

    return json_skip(r, token, &text, NULL) == HS_OK;
}

/* ---- tables ---- */

static struct column *column_of(struct column *columns, size_t *n, struct hs_str name)
{
    for (size_t i = 0; i < *n; i++) {
        if (hs_str_eq(columns[i].name, name))
            return &columns[i];
    }
    if (*n == COLUMNS_MAX)
        return NULL;
    columns[*n] = (struct column){.name = name, .width = name.n, .is_number = true};
    return &columns[(*n)++];
}

/* Names that come from here have no escapes. Of the last column the width does not matter. */
static bool measure(struct writer *w, struct json_reader r, struct column *columns, size_t *ret_n)
{
    enum json_token token;

    *ret_n = 0;
    while (next(&r, &token) && token == JSON_OBJECT) {
        while (next(&r, &token) && token == JSON_NAME) {
            struct column *column = column_of(columns, ret_n, r.value);
            struct hs_str value;

            if (!column || !next(&r, &token))
                return false;
            value = shown(w, &r, token);
            column->is_number = column->is_number && (token == JSON_NUMBER || token == JSON_NULL);
            if (column->width < value.n)
                column->width = value.n < TABLE_WIDTH_MAX ? value.n : TABLE_WIDTH_MAX;
            if (!skip(&r, token))
                return false;
        }
    }
    return token == JSON_ARRAY_END;
}

static void write_cell(struct hs_buf *out, const struct column *column, struct hs_str text,
                       bool is_last)
{
    size_t room = column->width > text.n ? column->width - text.n : 0;

    if (column->is_number)
        pad(out, room);
    hs_buf_add(out, text);
    if (is_last)
        return;
    if (!column->is_number)
        pad(out, room);
    pad(out, INDENT);
}

static void write_row(struct writer *w, struct json_reader row, const struct column *columns,
                      size_t n)
{
    enum json_token token;

    for (size_t i = 0; i < n; i++) {
        struct json_reader r = row;
        struct hs_str text = HS_STR("");

        while (next(&r, &token) && token == JSON_NAME) {
            bool is_it = hs_str_eq(r.value, columns[i].name);

            if (!next(&r, &token))
                break;
            if (is_it) {
                text = shown(w, &r, token);
                break;
            }
            if (!skip(&r, token))
                break;
        }
        write_cell(w->out, &columns[i], text, i + 1 == n);
    }
    hs_buf_add_char(w->out, '\n');
}

/* Behind '['. */
static bool write_table(struct writer *w, struct json_reader *r, size_t indent)
{
    struct column columns[COLUMNS_MAX];
    enum json_token token;
    size_t n;

    if (!measure(w, *r, columns, &n))
        return false;
    pad(w->out, indent);
    for (size_t i = 0; i < n; i++)
        write_cell(w->out, &columns[i], columns[i].name, i + 1 == n);
    hs_buf_add_char(w->out, '\n');
    while (next(r, &token) && token == JSON_OBJECT) {
        pad(w->out, indent);
        write_row(w, *r, columns, n);
        if (!skip(r, token))
            return false;
    }
    return token == JSON_ARRAY_END;
}

/* ---- the rest ---- */

static bool write_nested(struct writer *w, struct json_reader *r, enum json_token token,
                         size_t indent);

static bool write_list(struct writer *w, struct json_reader *r, size_t indent)
{
    struct json_reader ahead = *r;
    enum json_token token;

    if (!next(&ahead, &token))
        return false;
    if (token == JSON_OBJECT)
        return write_table(w, r, indent);
    if (token == JSON_ARRAY_END) {
        pad(w->out, indent);
        hs_buf_add_lit(w->out, "(none)\n");
    }
    while (next(r, &token) && token != JSON_ARRAY_END) {
        if (is_nested(token))
            return false;
        pad(w->out, indent);
        hs_buf_add(w->out, shown(w, r, token));
        hs_buf_add_char(w->out, '\n');
    }
    return token == JSON_ARRAY_END;
}

static size_t longest_name(struct json_reader r)
{
    enum json_token token;
    size_t n = 0;

    while (next(&r, &token) && token == JSON_NAME) {
        struct hs_str name = r.value;

        if (!next(&r, &token))
            break;
        if (!is_nested(token) && name.n > n)
            n = name.n;
        if (!skip(&r, token))
            break;
    }
    return n;
}

static bool write_object(struct writer *w, struct json_reader *r, size_t indent)
{
    size_t width = longest_name(*r);
    enum json_token token;

    while (next(r, &token) && token == JSON_NAME) {
        struct hs_str name = r->value;

        if (!next(r, &token))
            return false;
        pad(w->out, indent);
        hs_buf_add(w->out, name);
        if (is_nested(token)) {
            hs_buf_add_char(w->out, '\n');
            if (!write_nested(w, r, token, indent + INDENT))
                return false;
            continue;
        }
        pad(w->out, width - name.n + INDENT);
        hs_buf_add(w->out, shown(w, r, token));
        hs_buf_add_char(w->out, '\n');
    }
    return token == JSON_OBJECT_END;
}

static bool write_nested(struct writer *w, struct json_reader *r, enum json_token token,
                         size_t indent)
{
    return token == JSON_OBJECT ? write_object(w, r, indent) : write_list(w, r, indent);
}

bool plain_write(struct hs_str json, struct hs_buf *out)
{
    struct writer w = {.out = out};
    struct json_reader r;
    enum json_token token;
    bool is_written;

    json_reader_init(&r, json, JSON_DEPTH_MAX);
    if (!next(&r, &token) || token != JSON_OBJECT || !next(&r, &token) || token != JSON_NAME ||
        !hs_str_is(r.value, "data") || !next(&r, &token) || !is_nested(token))
        return false;
    hs_buf_init(&w.text, json.n + 1);
    is_written = write_nested(&w, &r, token, 0);
    hs_buf_fini(&w.text);
    return is_written && !hs_buf_failed(out);
}
