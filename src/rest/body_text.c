/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV and forms into JSON text.
 *
 * The rule: every value is a string of JSON, which PostgreSQL reads in its column's type; the word NULL of CSV is null.
 *
 * Source: RFC 4180; PostgREST reference, tables and views (bulk insert with CSV); its readings of short lines,
 * of long ones and of empty ones were measured.
 */
#include "core/json.h"
#include "rest/body.h"

#include "api/url.h"

/* ---- lines of CSV ---- */

struct csv {
    const struct rest_body_setup *setup;
    struct hs_str text;
    size_t at;
    size_t line;
    struct hs_buf cell;   /* a field that had quotes within quotes */
    struct hs_buf out;    /* JSON */
    struct hs_str *names; /* in the order of the header */
    struct hs_str *keys;  /* "\"name\":" */
    size_t n_names;
};

/* What stands behind a field. */
enum csv_end { CSV_FIELD, CSV_LINE, CSV_TEXT };

static hs_status fail_csv(const struct csv *c, const char *what, struct hs_err *reterr)
{
    return hs_fail(reterr, HS_E_PGRST102, "CSV, line %zu: %s", c->line, what);
}

/* On a line's end: takes it. */
static bool take_line_end(struct csv *c)
{
    if (c->at < c->text.n && c->text.p[c->at] == '\r') {
        c->at++;
        if (c->at < c->text.n && c->text.p[c->at] == '\n')
            c->at++;
        return true;
    }
    if (c->at < c->text.n && c->text.p[c->at] == '\n') {
        c->at++;
        return true;
    }
    return false;
}

/* Behind a field: what follows it, which is taken. */
static hs_status take_end(struct csv *c, enum csv_end *ret_end, struct hs_err *reterr)
{
    *ret_end = CSV_TEXT;
    if (c->at == c->text.n)
        return HS_OK;
    if (c->text.p[c->at] == ',') {
        c->at++;
        *ret_end = CSV_FIELD;
        return HS_OK;
    }
    if (!take_line_end(c))
        return fail_csv(c, "a quote within a field; double it and put the field in quotes", reterr);
    *ret_end = CSV_LINE;
    return HS_OK;
}

/* Behind the opening quote. The text lives until the next field. */
static hs_status read_quoted(struct csv *c, struct hs_str *ret_text, struct hs_err *reterr)
{
    size_t begin = c->at;
    bool is_doubled = false;

    hs_buf_clear(&c->cell);
    for (;;) {
        struct hs_str rest = hs_str_sub(c->text, c->at, c->text.n);
        size_t n = hs_str_find(rest, '"');

        if (n == rest.n)
            return fail_csv(c, "a quoted field does not end", reterr);
        c->at += n + 1;
        if (c->at == c->text.n || c->text.p[c->at] != '"')
            break;
        is_doubled = true;
        hs_buf_add(&c->cell, hs_str_sub(c->text, begin, c->at));
        begin = ++c->at;
    }
    *ret_text = hs_str_sub(c->text, begin, c->at - 1);
    if (!is_doubled)
        return HS_OK;
    hs_buf_add(&c->cell, *ret_text);
    *ret_text = hs_buf_str(&c->cell);
    return hs_buf_failed(&c->cell) ? hs_fail_memory(reterr) : HS_OK;
}

static bool ends_field(char ch)
{
    return ch == ',' || ch == '\n' || ch == '\r' || ch == '"';
}

static hs_status read_field(struct csv *c, struct hs_str *ret_text, enum csv_end *ret_end,
                            struct hs_err *reterr)
{
    size_t begin = c->at;
    hs_status status = HS_OK;

    if (c->at < c->text.n && c->text.p[c->at] == '"') {
        c->at++;
        status = read_quoted(c, ret_text, reterr);
    } else {
        while (c->at < c->text.n && !ends_field(c->text.p[c->at]))
            c->at++;
        *ret_text = hs_str_sub(c->text, begin, c->at);
    }
    return status ? status : take_end(c, ret_end, reterr);
}

/* ---- the header ---- */

static hs_status add_header(struct csv *c, struct hs_str text, struct hs_err *reterr)
{
    struct hs_arena *arena = c->setup->arena;

    if (c->n_names == REST_BODY_NAMES_MAX)
        return rest_body_fail_names(reterr);
    hs_buf_clear(&c->out);
    hs_json_text(&c->out, text);
    hs_buf_add_char(&c->out, ':');
    if (hs_buf_failed(&c->out))
        return hs_fail_memory(reterr);
    c->keys[c->n_names] = hs_arena_dup(arena, hs_buf_str(&c->out));
    c->names[c->n_names++] = hs_arena_dup(arena, text);
    return hs_arena_failed(arena) ? hs_fail_memory(reterr) : HS_OK;
}

static hs_status read_header(struct csv *c, struct hs_err *reterr)
{
    enum csv_end end = CSV_FIELD;
    hs_status status = HS_OK;

    c->names = HS_NEW_ARRAY(c->setup->arena, REST_BODY_NAMES_MAX, struct hs_str);
    c->keys = HS_NEW_ARRAY(c->setup->arena, REST_BODY_NAMES_MAX, struct hs_str);
    if (!c->names || !c->keys)
        return hs_fail_memory(reterr);
    while (!status && end == CSV_FIELD) {
        struct hs_str text;

        status = read_field(c, &text, &end, reterr);
        if (!status)
            status = add_header(c, text, reterr);
    }
    hs_buf_clear(&c->out);
    return status;
}

/* ---- the rows ---- */

static void add_value(struct csv *c, size_t at, struct hs_str text)
{
    hs_buf_add(&c->out, at ? HS_STR(",") : HS_STR(""));
    hs_buf_add(&c->out, c->keys[at]);
    if (hs_str_is(text, "NULL"))
        hs_buf_add_lit(&c->out, "null");
    else
        hs_json_text(&c->out, text);
}

/* ret_n: its fields, at most as many as names; 0: the line is empty, and nothing was written. */
static hs_status read_row(struct csv *c, size_t *ret_n, struct hs_err *reterr)
{
    size_t before = c->out.n;
    enum csv_end end = CSV_FIELD;
    bool is_empty = true;
    size_t n = 0;

    hs_buf_add(&c->out, before > 1 ? HS_STR(",{") : HS_STR("{"));
    while (end == CSV_FIELD) {
        struct hs_str text;
        hs_status status = read_field(c, &text, &end, reterr);

        if (status)
            return status;
        is_empty = is_empty && !n && !text.n && end != CSV_FIELD;
        if (n < c->n_names)
            add_value(c, n++, text);
    }
    hs_buf_add_char(&c->out, '}');
    if (is_empty && !hs_buf_failed(&c->out))
        c->out.n = before;
    *ret_n = is_empty ? 0 : n;
    return HS_OK;
}

static hs_status fail_buffer(const struct csv *c, struct hs_err *reterr)
{
    if (c->out.cap < c->out.max / 2)
        return hs_fail_memory(reterr);
    (void)hs_fail(reterr, HS_E_BAD_BODY, "The CSV becomes too long as JSON");
    hs_err_hint(reterr, "Send it in several requests, or as JSON.");
    return HS_E_BAD_BODY;
}

static hs_status read_rows(struct csv *c, struct rest_body *body, struct hs_err *reterr)
{
    size_t n_fields = 0; /* of the first row, which says how many all have */
    size_t first = 0;

    hs_buf_add_char(&c->out, '[');
    for (c->line = 2; c->at < c->text.n; c->line++) {
        size_t n;
        hs_status status = read_row(c, &n, reterr);

        if (status)
            return status;
        if (hs_buf_failed(&c->out))
            return fail_buffer(c, reterr);
        if (!n)
            continue;
        if (++body->n_rows > c->setup->rows_max)
            return rest_body_fail_rows(c->setup, reterr);
        if (body->n_rows == 1) {
            n_fields = n;
            first = c->out.n;
        } else if (n != n_fields) {
            return hs_fail(reterr, HS_E_PGRST102, "All lines must have same number of fields");
        }
    }
    hs_buf_add_char(&c->out, ']');
    if (hs_buf_failed(&c->out))
        return fail_buffer(c, reterr);
    body->json = hs_arena_dup(c->setup->arena, hs_buf_str(&c->out));
    if (!body->json.p)
        return hs_fail_memory(reterr);
    if (body->n_rows)
        body->first = hs_str_sub(body->json, 1, first);
    body->names = c->names;
    body->n_names = rest_body_sort_names(c->names, n_fields);
    return HS_OK;
}

hs_status rest_body_csv(const struct rest_body_setup *setup, struct hs_str text,
                        struct rest_body *body, struct hs_err *reterr)
{
    struct csv c = {.setup = setup, .text = text, .line = 1};
    hs_status status;

    if (!text.n)
        return hs_fail(reterr, HS_E_PGRST102, "parse error (not enough input) at \"\"");
    if (!hs_str_is_utf8(text))
        return hs_fail(reterr, HS_E_PGRST102, "The CSV is not UTF-8");
    hs_buf_init(&c.cell, text.n);
    hs_buf_init(&c.out, REST_BODY_GROWTH * text.n + REST_BODY_GROWTH_MIN);
    body->is_array = true;
    status = read_header(&c, reterr);
    if (!status)
        status = read_rows(&c, body, reterr);
    hs_buf_fini(&c.cell);
    hs_buf_fini(&c.out);
    return status;
}

/* ---- forms ---- */

struct form {
    const struct rest_body_setup *setup;
    struct hs_buf out;
    struct hs_str *names;
    size_t n_names;
};

/* Of a name that comes twice PostgreSQL takes the last value, as of an object of JSON. */
static hs_status add_pair(struct form *f, struct hs_str pair, struct hs_err *reterr)
{
    struct hs_arena *arena = f->setup->arena;
    struct hs_str value = pair;
    struct hs_str name = hs_str_cut(&value, '=');
    hs_status status = url_decode(arena, URL_QUERY_LENIENT, name, &name, reterr);

    if (!status)
        status = url_decode(arena, URL_QUERY_LENIENT, value, &value, reterr);
    if (status)
        return status;
    if (f->n_names == REST_BODY_NAMES_MAX)
        return rest_body_fail_names(reterr);
    hs_buf_add(&f->out, f->n_names ? HS_STR(",") : HS_STR(""));
    hs_json_text(&f->out, name);
    hs_buf_add_char(&f->out, ':');
    hs_json_text(&f->out, value);
    f->names[f->n_names++] = name;
    return HS_OK;
}

static hs_status read_form(struct form *f, struct hs_str text, struct rest_body *body,
                           struct hs_err *reterr)
{
    hs_status status = HS_OK;

    hs_buf_add_char(&f->out, '{');
    while (text.n && !status) {
        struct hs_str pair = hs_str_cut(&text, '&');

        if (pair.n)
            status = add_pair(f, pair, reterr);
    }
    hs_buf_add_char(&f->out, '}');
    if (status)
        return status;
    if (!hs_buf_failed(&f->out))
        body->json = body->first = hs_arena_dup(f->setup->arena, hs_buf_str(&f->out));
    if (!body->json.p)
        return hs_fail_memory(reterr);
    body->n_rows = 1;
    body->names = f->names;
    body->n_names = rest_body_sort_names(f->names, f->n_names);
    return HS_OK;
}

hs_status rest_body_form(const struct rest_body_setup *setup, struct hs_str text,
                         struct rest_body *body, struct hs_err *reterr)
{
    struct form f = {.setup = setup};
    hs_status status;

    f.names = HS_NEW_ARRAY(setup->arena, REST_BODY_NAMES_MAX, struct hs_str);
    if (!f.names)
        return hs_fail_memory(reterr);
    hs_buf_init(&f.out, REST_BODY_GROWTH * text.n + REST_BODY_GROWTH_MIN);
    status = read_form(&f, text, body, reterr);
    hs_buf_fini(&f.out);
    return status;
}
