/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays and composites: the texts that array_out() and record_out() make, read in one pass.
 *
 *     {1,NULL,"a \"b\"",{..}}    [0:1]={1,2}    (1,,"a ""b""")
 *
 * The one rule: a text is read by the type that the catalog names, never by what it looks like. Any byte
 * that the output functions would not have put there ends the reading, and the caller writes the whole
 * text as a string. No byte past text.n is looked at.
 *
 * The number of dimensions is bounded by PostgreSQL's MAXDIM, the nesting of types by API_NEST_MAX.
 *
 * Source: PostgreSQL 15 manual, 8.15.6 (array input and output), 8.16.6 (composite), 8.15.2 (bounds).
 */
#include "api/rows_int.h"
#include "core/json.h"

enum { ARRAY_DIMENSIONS_MAX = 6 };

/* The scratch buffer of a depth, empty; NULL = too deep. */
static struct hs_buf *scratch_at(struct api_writer *w, unsigned depth, size_t max)
{
    if (depth >= API_NEST_MAX)
        return NULL;
    while (w->scratch_used <= depth)
        hs_buf_init(&w->scratch[w->scratch_used++], 0);
    w->scratch[depth].max = max > w->scratch[depth].cap ? max : w->scratch[depth].cap;
    hs_buf_clear(&w->scratch[depth]);
    return &w->scratch[depth];
}

/* Where the quoted run that begins at `at` ends: at its closing quote, or text.n if there is none. */
static size_t quoted_end(struct hs_str text, size_t at, bool doubled, bool *ret_escaped)
{
    *ret_escaped = false;
    while (at < text.n) {
        char c = text.p[at];
        bool is_pair = c == '\\' ||
                       (doubled && c == '"' && at + 1 < text.n && text.p[at + 1] == '"');

        if (is_pair) {
            *ret_escaped = true;
            at += 2;
        } else if (c == '"') {
            return at;
        } else {
            at++;
        }
    }
    return text.n;
}

/* The bytes of a quoted run without its escapes: of each pair the second byte stays. */
static void unescape(struct hs_buf *to, struct hs_str run)
{
    size_t at = 0;

    while (at < run.n) {
        size_t plain = at;

        while (plain < run.n && run.p[plain] != '\\' && run.p[plain] != '"')
            plain++;
        hs_buf_add(to, hs_strn(run.p + at, plain - at));
        if (plain + 1 < run.n)
            hs_buf_add_char(to, run.p[plain + 1]);
        at = plain + 2;
    }
}

/*
 * Reads the quoted run whose opening quote is at *at; *at goes behind the closing one. *ret_value points
 * into text or into the scratch of this depth.
 */
static bool read_quoted(struct api_writer *w, struct hs_str text, size_t *at, bool doubled,
                        unsigned depth, struct hs_str *ret_value)
{
    bool escaped;
    size_t start = *at + 1;
    size_t end = quoted_end(text, start, doubled, &escaped);
    struct hs_buf *scratch;

    if (end >= text.n)
        return false;
    *at = end + 1;
    *ret_value = hs_strn(text.p + start, end - start);
    if (!escaped)
        return true;
    scratch = scratch_at(w, depth, end - start);
    if (!scratch)
        return false;
    unescape(scratch, *ret_value);
    if (hs_buf_failed(scratch))
        w->out->failed = true;
    *ret_value = hs_buf_str(scratch);
    return !hs_buf_failed(scratch);
}

/* Reads up to one of the two ends; what the output function would have quoted may not stand there. */
static bool read_plain(struct hs_str text, size_t *at, char open, char end_1, char end_2,
                       struct hs_str *ret_value)
{
    size_t start = *at;
    size_t to = start;

    while (to < text.n && text.p[to] != end_1 && text.p[to] != end_2) {
        char c = text.p[to];

        if (c == '"' || c == '\\' || c == open)
            return false;
        to++;
    }
    *at = to;
    *ret_value = hs_strn(text.p + start, to - start);
    return to > start && to < text.n;
}

static bool write_element(struct api_writer *w, const struct pg_type *type, struct hs_str text,
                          size_t *at, unsigned depth)
{
    struct hs_str value;

    if (text.p[*at] == '"') {
        if (!read_quoted(w, text, at, /* doubled= */ false, depth, &value))
            return false;
    } else {
        if (!read_plain(text, at, '{', type->delim, '}', &value))
            return false;
        if (hs_str_is(value, "NULL")) {
            hs_buf_add_lit(w->out, "null");
            return true;
        }
    }
    return api_write_value(w, type->elem, value, depth + 1);
}

/* int2vector and oidvector: arrays whose text is "1 2 3". */
static bool write_vector(struct api_writer *w, const struct pg_type *type, struct hs_str text,
                         unsigned depth)
{
    hs_buf_add_char(w->out, '[');
    for (bool is_first = true; text.n; is_first = false) {
        struct hs_str value = hs_str_cut(&text, ' ');

        if (!is_first)
            hs_buf_add_char(w->out, ',');
        if (!api_write_value(w, type->elem, value, depth + 1))
            return false;
    }
    hs_buf_add_char(w->out, ']');
    return true;
}

/* Skips "[0:1][2:3]=". */
static struct hs_str without_bounds(struct hs_str text)
{
    size_t equals;

    if (text.n == 0 || text.p[0] != '[')
        return text;
    equals = hs_str_find(text, '=');
    return hs_str_sub(text, equals + 1, text.n);
}

bool api_write_array(struct api_writer *w, const struct pg_type *type, struct hs_str text,
                     unsigned depth)
{
    struct hs_str s = without_bounds(text);
    unsigned open = 0;
    bool wants_item = true; /* an element or a brace must come */
    bool may_close = false; /* directly behind '{', or behind an item */
    size_t at = 0;

    if (depth >= API_NEST_MAX)
        return false;
    if (type->delim == ' ')
        return write_vector(w, type, text, depth);
    while (at < s.n) {
        char c = s.p[at];

        if (c == '{' && wants_item && open < ARRAY_DIMENSIONS_MAX) {
            hs_buf_add_char(w->out, '[');
            open++;
            at++;
            may_close = true;
        } else if (open && c == '}' && may_close) {
            hs_buf_add_char(w->out, ']');
            at++;
            wants_item = false;
            if (--open == 0)
                return at == s.n;
        } else if (open && c == type->delim && !wants_item) {
            hs_buf_add_char(w->out, ',');
            at++;
            wants_item = true;
            may_close = false;
        } else {
            if (!open || !wants_item || !write_element(w, type, s, &at, depth))
                return false;
            wants_item = false;
            may_close = true;
        }
    }
    return false;
}

static bool write_field(struct api_writer *w, const struct pg_field *field, struct hs_str text,
                        size_t *at, unsigned depth)
{
    struct hs_str value;

    hs_json_text(w->out, field->name);
    hs_buf_add_char(w->out, ':');
    if (*at >= text.n)
        return false;
    if (text.p[*at] == ',' || text.p[*at] == ')') {
        hs_buf_add_lit(w->out, "null");
        return true;
    }
    if (text.p[*at] == '"') {
        if (!read_quoted(w, text, at, /* doubled= */ true, depth, &value))
            return false;
    } else if (!read_plain(text, at, '(', ',', ')', &value)) {
        return false;
    }
    return api_write_value(w, field->type, value, depth + 1);
}

bool api_write_composite(struct api_writer *w, const struct pg_type *type, struct hs_str text,
                         unsigned depth)
{
    size_t at = 1;

    if (depth >= API_NEST_MAX || text.n < 2 || text.p[0] != '(')
        return false;
    hs_buf_add_char(w->out, '{');
    for (size_t i = 0; i < type->n_fields; i++) {
        if (i > 0) {
            if (at >= text.n || text.p[at++] != ',')
                return false;
            hs_buf_add_char(w->out, ',');
        }
        if (!write_field(w, &type->fields[i], text, &at, depth))
            return false;
    }
    hs_buf_add_char(w->out, '}');
    return at + 1 == text.n && text.p[at] == ')';
}
