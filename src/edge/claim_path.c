/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A path becomes a row of steps once; finding walks them.
 *
 * An element that is tested by a filter is a text or does not match: no comparison of PostgREST's means
 * anything else. A slice counts characters, not bytes, since PostgREST does.
 *
 * Source: RFC 9535; PostgREST 14 and 16, "JWT Role Extraction"; regcomp(3).
 */
#include "edge/claim_path.h"

#include <jansson.h>
#include <regex.h>

enum step_kind {
    STEP_DOTTED, /* the rest of the text, as hasten writes it */
    STEP_NAME,
    STEP_INDEX,
    STEP_FILTER,
    STEP_SLICE
};

enum filter {
    FILTER_IS,
    FILTER_IS_NOT,
    FILTER_STARTS,
    FILTER_ENDS,
    FILTER_CONTAINS,
    FILTER_SEARCH
};

struct step {
    enum step_kind kind;
    struct hs_str text; /* of NAME, FILTER, DOTTED */
    enum filter filter;
    int64_t from; /* of INDEX and SLICE */
    int64_t to;
    bool has_to;
    regex_t regex; /* of FILTER_SEARCH */
};

struct edge_claim_path {
    struct step steps[EDGE_PATH_STEPS];
    size_t n;
    struct hs_str text;
};

/* ---- reading ---- */

struct reader {
    struct hs_str rest;
    struct hs_str whole;
    struct hs_arena *arena;
    struct hs_err *reterr;
};

static hs_status refuse(const struct reader *r, const char *expected)
{
    (void)hs_fail(r->reterr, HS_E_CONFIG, "auth.jwt.role_claim: \"%.*s\" is not understood",
                  HS_FMT(r->whole));
    hs_err_why(r->reterr, "At byte %zu %s was expected.", r->whole.n - r->rest.n + 1, expected);
    hs_err_hint(r->reterr, "Write app.role, or a path such as .app.roles[0].");
    return HS_E_CONFIG;
}

static bool take(struct reader *r, const char *text)
{
    if (!hs_str_starts(r->rest, hs_str(text)))
        return false;
    r->rest = hs_str_sub(r->rest, strlen(text), r->rest.n);
    return true;
}

static void skip_spaces(struct reader *r)
{
    while (take(r, " "))
        ;
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || c == '@' || (unsigned char)c >= 0x80;
}

/* 'text' or "text"; a backslash stands before the quote or another backslash. */
static bool read_quoted(struct reader *r, struct hs_str *ret_text)
{
    char quote = r->rest.n ? r->rest.p[0] : '\0';
    char *to;
    size_t n = 0;

    if (quote != '"' && quote != '\'')
        return false;
    to = hs_arena_alloc(r->arena, r->rest.n);
    for (size_t i = 1; to && i < r->rest.n; i++) {
        char c = r->rest.p[i];

        if (c == quote) {
            to[n] = '\0';
            *ret_text = hs_strn(to, n);
            r->rest = hs_str_sub(r->rest, i + 1, r->rest.n);
            return true;
        }
        if (c == '\\' && i + 1 < r->rest.n && (r->rest.p[i + 1] == quote || r->rest.p[i + 1] == c))
            c = r->rest.p[++i];
        to[n++] = c;
    }
    return false;
}

static bool read_name(struct reader *r, struct hs_str *ret_text)
{
    size_t n = 0;

    if (r->rest.n && r->rest.p[0] == '"')
        return read_quoted(r, ret_text);
    while (n < r->rest.n && is_name_byte(r->rest.p[n]))
        n++;
    *ret_text = hs_arena_dup(r->arena, hs_str_sub(r->rest, 0, n));
    r->rest = hs_str_sub(r->rest, n, r->rest.n);
    return n > 0;
}

static bool read_number(struct reader *r, int64_t *ret_v)
{
    size_t n = r->rest.n && r->rest.p[0] == '-';
    struct hs_str digits;

    while (n < r->rest.n && r->rest.p[n] >= '0' && r->rest.p[n] <= '9')
        n++;
    digits = hs_str_sub(r->rest, 0, n);
    if (!hs_str_to_i64(digits, ret_v))
        return false;
    r->rest = hs_str_sub(r->rest, n, r->rest.n);
    return true;
}

static bool read_operator(struct reader *r, enum filter *ret_filter)
{
    static const struct {
        const char *text;
        enum filter filter;
    } rows[] = {{"==^", FILTER_ENDS},
                {"^==", FILTER_STARTS},
                {"*==", FILTER_CONTAINS},
                {"!=", FILTER_IS_NOT},
                {"==", FILTER_IS}};

    for (size_t i = 0; i < HS_LEN(rows); i++) {
        if (take(r, rows[i].text)) {
            *ret_filter = rows[i].filter;
            return true;
        }
    }
    return false;
}

static hs_status read_search(struct reader *r, struct step *step)
{
    skip_spaces(r);
    if (!take(r, "@"))
        return refuse(r, "@");
    skip_spaces(r);
    if (!take(r, ","))
        return refuse(r, "a comma");
    skip_spaces(r);
    if (!read_quoted(r, &step->text))
        return refuse(r, "a regular expression in quotes");
    skip_spaces(r);
    if (!take(r, ")"))
        return refuse(r, ")");
    if (regcomp(&step->regex, step->text.p, REG_EXTENDED | REG_NOSUB) != 0)
        return refuse(r, "a regular expression before this");
    step->filter = FILTER_SEARCH;
    return HS_OK;
}

/* Behind "[?". */
static hs_status read_filter(struct reader *r, struct step *step)
{
    bool has_paren;
    hs_status status = HS_OK;

    step->kind = STEP_FILTER;
    skip_spaces(r);
    has_paren = take(r, "(");
    skip_spaces(r);
    if (take(r, "search(")) {
        status = read_search(r, step);
    } else {
        if (!take(r, "@"))
            return refuse(r, "@ or search(");
        skip_spaces(r);
        if (!read_operator(r, &step->filter))
            return refuse(r, "one of == != ^== ==^ *==");
        skip_spaces(r);
        if (!read_quoted(r, &step->text))
            return refuse(r, "a text in quotes");
    }
    skip_spaces(r);
    if (!status && has_paren && !take(r, ")"))
        status = refuse(r, ")");
    skip_spaces(r);
    return status;
}

/* Behind "[", up to "]". */
static hs_status read_bracket(struct reader *r, struct step *step)
{
    bool has_from;

    if (take(r, "?"))
        return read_filter(r, step);
    if (read_quoted(r, &step->text)) {
        step->kind = STEP_NAME;
        return HS_OK;
    }
    has_from = read_number(r, &step->from);
    step->kind = STEP_INDEX;
    if (take(r, ":")) {
        step->kind = STEP_SLICE;
        step->has_to = read_number(r, &step->to);
        return HS_OK;
    }
    return has_from ? HS_OK : refuse(r, "a position, a name in quotes or ?");
}

static hs_status read_step(struct reader *r, struct step *step)
{
    hs_status status;

    if (take(r, ".")) {
        step->kind = STEP_NAME;
        return read_name(r, &step->text) ? HS_OK : refuse(r, "a name");
    }
    if (!take(r, "["))
        return refuse(r, ". or [");
    status = read_bracket(r, step);
    if (!status && !take(r, "]"))
        status = refuse(r, "]");
    if (!status && step->kind == STEP_SLICE && r->rest.n)
        status = refuse(r, "the end");
    return status;
}

static hs_status read_steps(struct edge_claim_path *path, struct reader *r)
{
    hs_status status = HS_OK;

    if (take(r, "$") && r->rest.n == 0)
        return refuse(r, "a name");
    while (!status && r->rest.n) {
        if (path->n == EDGE_PATH_STEPS)
            return refuse(r, "the end, for there are too many steps:");
        status = read_step(r, &path->steps[path->n++]);
    }
    return status;
}

hs_status edge_claim_path_new(struct hs_str text, struct hs_arena *arena,
                              struct edge_claim_path **ret_path, struct hs_err *reterr)
{
    struct edge_claim_path *path = HS_NEW(arena, struct edge_claim_path);
    struct hs_str copy = hs_arena_dup(arena, text);
    struct reader r = {copy, copy, arena, reterr};
    hs_status status;

    if (!path || !copy.p)
        return hs_fail_memory(reterr);
    if (!text.n)
        return hs_fail(reterr, HS_E_CONFIG, "auth.jwt.role_claim is empty");
    path->text = copy;
    if (text.p[0] != '.' && text.p[0] != '$') {
        path->steps[path->n++] = (struct step){.kind = STEP_DOTTED, .text = copy};
        *ret_path = path;
        return HS_OK;
    }
    status = read_steps(path, &r);
    if (hs_arena_failed(arena))
        status = hs_fail_memory(reterr);
    if (status) {
        edge_claim_path_fini(path);
        return status;
    }
    *ret_path = path;
    return HS_OK;
}

void edge_claim_path_fini(struct edge_claim_path *path)
{
    for (size_t i = 0; path && i < path->n; i++) {
        struct step *step = &path->steps[i];

        if (step->kind == STEP_FILTER && step->filter == FILTER_SEARCH)
            regfree(&step->regex);
    }
}

struct hs_str edge_claim_path_text(const struct edge_claim_path *path)
{
    return path->text;
}

/* ---- finding ---- */

/* At each step what is left of the text is first tried as one name. */
static const json_t *find_dotted(const json_t *at, struct hs_str path)
{
    while (json_is_object(at) && path.n) {
        const json_t *whole = json_object_getn(at, path.p, path.n);
        struct hs_str name;

        if (whole)
            return whole;
        name = hs_str_cut(&path, '.');
        at = json_object_getn(at, name.p ? name.p : "", name.n);
    }
    return NULL;
}

static struct hs_str text_of(const json_t *v)
{
    return json_is_string(v) ? hs_strn(json_string_value(v), json_string_length(v)) : HS_STR_NULL;
}

static bool matches(const struct step *step, struct hs_str v)
{
    struct hs_str with = step->text;

    switch (step->filter) {
    case FILTER_IS:
        return hs_str_eq(v, with);
    case FILTER_IS_NOT:
        return !hs_str_eq(v, with);
    case FILTER_STARTS:
        return hs_str_starts(v, with);
    case FILTER_ENDS:
        return v.n >= with.n && hs_str_eq(hs_str_sub(v, v.n - with.n, v.n), with);
    case FILTER_CONTAINS:
        return with.n == 0 || memmem(v.p, v.n, with.p, with.n) != NULL;
    case FILTER_SEARCH:
        return regexec(&step->regex, v.p, 0, NULL, 0) == 0; /* a claim's text holds no NUL */
    }
    return false;
}

static const json_t *find_filtered(const json_t *at, const struct step *step)
{
    for (size_t i = 0; i < json_array_size(at); i++) {
        const json_t *v = json_array_get(at, i);

        if (json_is_string(v) && matches(step, text_of(v)))
            return v;
    }
    return NULL;
}

static const json_t *find_index(const json_t *at, int64_t index)
{
    int64_t n = (int64_t)json_array_size(at);

    if (index < 0)
        index += n;
    return index >= 0 && index < n ? json_array_get(at, (size_t)index) : NULL;
}

/* The byte at which character i begins; a negative i counts from the end. */
static size_t place_of(struct hs_str s, int64_t i)
{
    int64_t n = 0;
    size_t at = 0;

    for (size_t k = 0; k < s.n; k++)
        n += ((unsigned char)s.p[k] & 0xc0) != 0x80;
    if (i < 0)
        i = i + n < 0 ? 0 : i + n;
    while (at < s.n && i-- > 0) {
        do
            at++;
        while (at < s.n && ((unsigned char)s.p[at] & 0xc0) == 0x80);
    }
    return at;
}

static struct hs_str slice(const struct step *step, struct hs_str s)
{
    size_t from = place_of(s, step->from);
    size_t to = step->has_to ? place_of(s, step->to) : s.n;

    return hs_str_sub(s, from, to > from ? to : from);
}

struct hs_str edge_claim_path_find(const struct edge_claim_path *path, const json_t *claims)
{
    const json_t *at = claims;

    for (size_t i = 0; at && i < path->n; i++) {
        const struct step *step = &path->steps[i];

        switch (step->kind) {
        case STEP_DOTTED:
            at = find_dotted(at, step->text);
            break;
        case STEP_NAME:
            at = json_object_getn(at, step->text.p, step->text.n);
            break;
        case STEP_INDEX:
            at = find_index(at, step->from);
            break;
        case STEP_FILTER:
            at = find_filtered(at, step);
            break;
        case STEP_SLICE: /* the last one */
            return json_is_string(at) ? slice(step, text_of(at)) : HS_STR_NULL;
        }
    }
    return text_of(at);
}
