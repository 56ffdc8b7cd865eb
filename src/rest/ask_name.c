/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, quoted texts, and the way into JSON.
 *
 * An unquoted name is letters, digits, '_', '$' and spaces, in pieces with dashes between them ("->" ends
 * it); spaces at the edges of a piece do not count. Every character beyond ASCII passes for a letter:
 * whether there is such a column, the catalog knows.
 *
 * One difference from PostgREST, on purpose: a number before ')' is an index too, so that
 * embed(data->0) means what data->0 means elsewhere.
 */
#include "rest/ask_int.h"

static inline bool is_identifier_char(char c)
{
    unsigned u = (unsigned char)c;

    return (u | 0x20) - 'a' < 26 || u - '0' < 10 || u == '_' || u == ' ' || u == '$' || u >= 0x80;
}

static inline bool is_key_char(char c)
{
    return c != '\0' && c != '(' && c != '-' && c != ':' && c != '.' && c != ',' && c != '>' &&
           c != ')';
}

/* The characters of a name without a dash, at least one. */
static bool skip_identifier(struct ask_parser *s)
{
    size_t n = 0;

    while (is_identifier_char(s->text.p[s->at + n]))
        n++;
    if (n)
        ask_move(s, n);
    (void)ask_complain(s, ASK_LETTER);
    (void)ask_complain(s, ASK_DIGIT);
    return n > 0;
}

static bool skip_key(struct ask_parser *s)
{
    size_t n = 0;

    while (is_key_char(s->text.p[s->at + n]))
        n++;
    if (n)
        ask_move(s, n);
    (void)ask_complain(s, ASK_NOTHING);
    return n > 0;
}

/* piece[-piece...]; the dash of an arrow is none. */
static bool skip_dashed(struct ask_parser *s, bool (*piece)(struct ask_parser *s))
{
    if (!piece(s))
        return false;
    while (ask_peek(s) == '-') {
        if (s->text.p[s->at + 1] == '>') {
            (void)ask_refuse(s, s->at + 2, s->at + 1, ASK_NOTHING);
            return true;
        }
        ask_move(s, 1);
        (void)ask_complain(s, ASK_GREATER);
        if (!piece(s))
            return false;
        if (ask_peek(s) != '-')
            ask_turn(s);
    }
    (void)ask_complain(s, ASK_DASH);
    return true;
}

bool ask_quoted(struct ask_parser *s, struct ask_span *ret_span)
{
    const char *p = s->text.p;
    size_t at = s->at + 1;

    ret_span->from = s->at;
    if (!ask_char(s, '"', ASK_QUOTE))
        return false;
    while (p[at] && p[at] != '"') {
        if (p[at] == '\\' && !p[at + 1]) {
            ask_move(s, at + 1 - s->at);
            return ask_complain(s, ASK_NOTHING);
        }
        at += p[at] == '\\' ? 2 : 1;
    }
    if (!p[at]) {
        ask_move(s, at - s->at);
        (void)ask_complain(s, ASK_BACKSLASH);
        return ask_complain(s, ASK_QUOTE);
    }
    ask_move(s, at + 1 - s->at);
    ret_span->to = s->at;
    return true;
}

bool ask_quoted_alone(struct ask_parser *s, struct ask_span *ret_span)
{
    struct ask_mark mark = ask_mark(s);
    char next;

    if (!ask_quoted(s, ret_span))
        return ask_back(s, &mark);
    next = ask_peek(s);
    if (next && next != ',' && next != ')') {
        (void)ask_refuse(s, s->at + 1, s->at, ASK_NOTHING);
        return ask_back(s, &mark);
    }
    (void)ask_complain(s, ASK_NOTHING);
    return true;
}

bool ask_name(struct ask_parser *s, struct ask_span *ret_span)
{
    struct ask_mark mark;
    bool ok;

    /* An element of select is tried as this and that; its name is read once. */
    if (s->at == s->name.from && s->name.to && !s->is_telling) {
        *ret_span = s->name;
        ask_move(s, s->name.to - s->name.from);
        return true;
    }
    mark = ask_mark_label(s);
    ret_span->from = s->at;
    ok = ask_quoted(s, ret_span) || (s->at == mark.at && skip_dashed(s, skip_identifier));
    ret_span->to = s->at;
    ask_label(s, &mark, ASK_NAME);
    if (ok)
        s->name = *ret_span;
    return ok;
}

char *ask_unescape(char *to, struct hs_str inside)
{
    for (size_t i = 0; i < inside.n; i++) {
        if (inside.p[i] == '\\')
            i++;
        *to++ = inside.p[i];
    }
    return to;
}

struct hs_str ask_dup(struct ask_parser *s, struct hs_str text)
{
    struct hs_str copy = hs_arena_dup(s->arena, text);

    if (!copy.p)
        (void)ask_fail_memory(s);
    return copy;
}

struct hs_str ask_name_text(struct ask_parser *s, struct ask_span span)
{
    struct hs_str rest = hs_str_sub(s->text, span.from, span.to);
    char *text = hs_arena_alloc(s->arena, rest.n + 1);
    char *to = text;

    if (!text) {
        (void)ask_fail_memory(s);
        return HS_STR_NULL;
    }
    if (rest.n >= 2 && rest.p[0] == '"') {
        to = ask_unescape(to, hs_str_sub(rest, 1, rest.n - 1));
    } else {
        for (bool is_first = true; is_first || rest.n; is_first = false) {
            if (!is_first)
                *to++ = '-';
            to = hs_str_put(to, hs_str_trim(hs_str_cut(&rest, '-')));
        }
    }
    *to = '\0';
    return hs_strn(text, (size_t)(to - text));
}

bool ask_name_is(const struct ask_parser *s, struct ask_span span, const char *name)
{
    return hs_str_is(hs_str_trim(hs_str_sub(s->text, span.from, span.to)), name);
}

bool ask_identifier(struct ask_parser *s, struct hs_str *ret_text)
{
    size_t from = s->at;

    if (!skip_identifier(s))
        return false;
    *ret_text = ask_dup(s, hs_str_trim(hs_str_sub(s->text, from, s->at)));
    return ret_text->p;
}

/* ---- the way into JSON ---- */

static bool index_ends(struct ask_parser *s)
{
    return ask_ahead(s, "->", ASK_ARROW) || ask_ahead(s, "::", ASK_CAST) ||
           ask_ahead(s, ".", ASK_DOT) || ask_ahead(s, ",", ASK_COMMA) || ask_peek(s) == ')' ||
           ask_end(s);
}

static bool skip_index(struct ask_parser *s)
{
    struct ask_mark mark = ask_mark(s);
    size_t n;

    (void)ask_char(s, '-', ASK_DASH);
    n = strspn(s->text.p + s->at, "0123456789");
    if (n)
        ask_move(s, n);
    (void)ask_complain(s, ASK_DIGIT);
    return (n && index_ends(s)) || ask_back(s, &mark);
}

static bool skip_key_name(struct ask_parser *s)
{
    struct ask_mark mark = ask_mark(s);
    struct ask_mark label = ask_mark_label(s);
    struct ask_span span;
    bool ok = ask_quoted(s, &span) || (s->at == label.at && skip_dashed(s, skip_key));

    ask_label(s, &label, ASK_KEY);
    return ok || ask_back(s, &mark);
}

static bool read_step(struct ask_parser *s, struct rest_step *step)
{
    struct ask_span span;

    step->is_text = ask_try_string(s, "->>", ASK_ARROW_TEXT);
    if (!step->is_text && !ask_try_string(s, "->", ASK_ARROW))
        return false;
    span.from = s->at;
    step->is_index = skip_index(s);
    if (!step->is_index && !skip_key_name(s))
        return false;
    span.to = s->at;
    step->key = step->is_index ? ask_dup(s, hs_str_sub(s->text, span.from, span.to))
                               : ask_name_text(s, span);
    return step->key.p;
}

/* Out of line: most columns have no steps, and the array is large. */
static __attribute__((noinline)) bool read_steps(struct ask_parser *s, struct rest_path *path)
{
    struct rest_step steps[REST_STEPS_MAX];
    struct rest_step *copy;
    size_t n = 0;
    size_t begin = s->at;

    while (n < REST_STEPS_MAX && read_step(s, &steps[n])) {
        n++;
        begin = s->at;
    }
    if (n == REST_STEPS_MAX && ask_ahead(s, "->", ASK_ARROW))
        return ask_fail_limit(s, "steps into JSON behind one column", REST_STEPS_MAX);
    if (s->at != begin)
        return false;
    copy = n ? HS_NEW_ARRAY(s->arena, n, struct rest_step) : NULL;
    if (n && !copy)
        return ask_fail_memory(s);
    if (n)
        memcpy(copy, steps, n * sizeof(*copy));
    path->steps = copy;
    path->n_steps = n;
    return true;
}

bool ask_steps(struct ask_parser *s, struct rest_path *path)
{
    path->steps = NULL;
    path->n_steps = 0;
    if (hs_likely(ask_peek(s) != '-')) {
        (void)ask_complain(s, ASK_ARROW_TEXT);
        (void)ask_complain(s, ASK_ARROW);
        return true;
    }
    return read_steps(s, path);
}

bool ask_path(struct ask_parser *s, struct rest_path *ret_path)
{
    struct ask_span span;

    ask_space(s);
    if (!ask_name(s, &span) || !ask_steps(s, ret_path))
        return false;
    ret_path->name = ask_name_text(s, span);
    if (!ret_path->name.p)
        return false;
    ask_space(s);
    return true;
}
