/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparisons (operator.value) and the trees of and=(...) and or=(...).
 *
 * An operator's name with '.' right behind it is found in one look; anything else, a quantifier, a
 * configuration or a mistake, goes through the table row by row, so that the complaint is PostgREST's.
 * Values are not judged here: what stands behind "eq." is a text, whatever it is. Lists become array
 * literals, so that a list of any length is one parameter (PostgreSQL manual, 8.15.6).
 */
#include "rest/ask_int.h"

enum form { FORM_VALUE, FORM_LIST, FORM_IS, FORM_FTS, FORM_QUANTIFIED };

/* In PostgREST's order of trying: a word stands before those that it begins with. */
static const struct row {
    struct hs_str name;
    enum rest_op op;
    enum form form;
} operators[] = {
#define OPERATOR(name, op, form)                         \
    {                                                    \
        {name, sizeof(name) - 1}, REST_##op, FORM_##form \
    }
    OPERATOR("in", IN, LIST),
    OPERATOR("is", IS, IS),
    OPERATOR("isdistinct", ISDISTINCT, VALUE),
    OPERATOR("fts", FTS, FTS),
    OPERATOR("plfts", PLFTS, FTS),
    OPERATOR("phfts", PHFTS, FTS),
    OPERATOR("wfts", WFTS, FTS),
    OPERATOR("neq", NEQ, VALUE),
    OPERATOR("cs", CS, VALUE),
    OPERATOR("cd", CD, VALUE),
    OPERATOR("ov", OV, VALUE),
    OPERATOR("sl", SL, VALUE),
    OPERATOR("sr", SR, VALUE),
    OPERATOR("nxr", NXR, VALUE),
    OPERATOR("nxl", NXL, VALUE),
    OPERATOR("adj", ADJ, VALUE),
    OPERATOR("eq", EQ, QUANTIFIED),
    OPERATOR("gte", GTE, QUANTIFIED),
    OPERATOR("gt", GT, QUANTIFIED),
    OPERATOR("lte", LTE, QUANTIFIED),
    OPERATOR("lt", LT, QUANTIFIED),
    OPERATOR("like", LIKE, QUANTIFIED),
    OPERATOR("ilike", ILIKE, QUANTIFIED),
    OPERATOR("match", MATCH, QUANTIFIED),
    OPERATOR("imatch", IMATCH, QUANTIFIED),
#undef OPERATOR
};

/* ---- operators ---- */

static const struct row *find_plain(struct ask_parser *s)
{
    struct hs_str rest = hs_str_sub(s->text, s->at, s->text.n);
    struct hs_str word = hs_str_sub(rest, 0, hs_str_find(rest, '.'));

    if (word.n == rest.n)
        return NULL;
    for (size_t i = 0; i < HS_LEN(operators); i++) {
        if (hs_str_eq(word, operators[i].name)) {
            ask_move(s, word.n + 1);
            return &operators[i];
        }
    }
    return NULL;
}

/* (english), or nothing. */
static void read_config(struct ask_parser *s, struct hs_str *ret_config)
{
    struct ask_mark mark = ask_mark(s);
    struct hs_str config;

    if (ask_char(s, '(', ASK_OPEN) && ask_identifier(s, &config) && ask_char(s, ')', ASK_CLOSE))
        *ret_config = config;
    else
        (void)ask_back(s, &mark);
}

/* (any), (all), or nothing. */
static void read_quantifier(struct ask_parser *s, enum rest_quantifier *ret_quantifier)
{
    struct ask_mark mark = ask_mark(s);
    enum rest_quantifier quantifier = REST_ONE;

    if (ask_char(s, '(', ASK_OPEN)) {
        if (ask_try_string(s, "any", ASK_NOTHING))
            quantifier = REST_ANY;
        else if (ask_string(s, "all", ASK_NOTHING))
            quantifier = REST_ALL;
        if (quantifier && ask_char(s, ')', ASK_CLOSE)) {
            *ret_quantifier = quantifier;
            return;
        }
    }
    (void)ask_back(s, &mark);
}

static const struct row *find_slow(struct ask_parser *s, struct rest_node *node)
{
    struct ask_mark label = ask_mark_label(s);

    for (size_t i = 0; i < HS_LEN(operators); i++) {
        struct ask_mark mark = ask_mark(s);

        if (ask_try_string(s, operators[i].name.p, ASK_NOTHING)) {
            if (operators[i].form == FORM_FTS)
                read_config(s, &node->config);
            else if (operators[i].form == FORM_QUANTIFIED)
                read_quantifier(s, &node->quantifier);
            if (ask_delimiter(s))
                return &operators[i];
            node->config = HS_STR_NULL;
            node->quantifier = REST_ONE;
            (void)ask_back(s, &mark);
        }
    }
    ask_label(s, &label, ASK_OPERATOR);
    return NULL;
}

/* not. */
static bool read_not(struct ask_parser *s)
{
    struct ask_mark mark = ask_mark(s);

    return (ask_try_string(s, "not", ASK_NOT) && ask_delimiter(s)) || ask_back(s, &mark);
}

/* ---- values ---- */

/* null, true ...: in any case of letters. */
static bool read_is(struct ask_parser *s, struct hs_str *ret_value)
{
    static const char *const words[] = {"null", "not_null", "true", "false", "unknown"};
    struct ask_mark mark = ask_mark_label(s);
    const char *p = s->text.p + s->at;

    for (size_t i = 0; i < HS_LEN(words); i++) {
        size_t n = 0;

        while (words[i][n] && (p[n] | (words[i][n] == '_' ? 0 : 0x20)) == words[i][n])
            n++;
        if (!words[i][n]) {
            ask_move(s, n);
            *ret_value = hs_str(words[i]);
            return true;
        }
        (void)ask_complain_of(s, s->at + n, s->at + n, ASK_NOTHING);
    }
    ask_label(s, &mark, ASK_IS_VALUE);
    return false;
}

static struct hs_str read_plain(struct ask_parser *s)
{
    size_t n = strcspn(s->text.p + s->at, ",)");
    struct hs_str plain = hs_str_sub(s->text, s->at, s->at + n);

    if (n)
        ask_move(s, n);
    (void)ask_complain(s, ASK_NOTHING);
    return plain;
}

/* One element of a list: in quotes, or all up to a comma or ')'. ret_inside without the quotes. */
static bool skip_element(struct ask_parser *s, struct hs_str *ret_inside)
{
    struct ask_span span;

    if (!ask_quoted_alone(s, &span)) {
        *ret_inside = read_plain(s);
        return false;
    }
    *ret_inside = hs_str_sub(s->text, span.from + 1, span.to - 1);
    return true;
}

/* The list's elements again, each in quotes as an array literal has them. The text is known to be good. */
static struct hs_str write_list(struct ask_parser *s, size_t from, size_t n, size_t bytes)
{
    struct ask_parser again = {.text = s->text, .at = from};
    char *text = hs_arena_alloc(s->arena, bytes);
    char *to = text;

    if (!text) {
        (void)ask_fail_memory(s);
        return HS_STR_NULL;
    }
    for (size_t i = 0; i < n; i++) {
        struct hs_str inside;
        bool is_quoted = skip_element(&again, &inside);

        *to++ = i ? ',' : '{';
        *to++ = '"';
        for (size_t k = 0; k < inside.n; k++) {
            if (is_quoted && inside.p[k] == '\\')
                k++;
            if (inside.p[k] == '"' || inside.p[k] == '\\')
                *to++ = '\\';
            *to++ = inside.p[k];
        }
        *to++ = '"';
        again.at++;
    }
    *to++ = '}';
    *to = '\0';
    return hs_strn(text, (size_t)(to - text));
}

/* (a,"b,c",d); () is a list of nothing. */
static bool read_list(struct ask_parser *s, struct rest_node *node)
{
    enum { AROUND_LIST = 3, AROUND_ELEMENT = 3 }; /* {, } and NUL; quotes and a comma */
    size_t bytes = AROUND_LIST;
    struct hs_str inside = {0};
    size_t from;
    size_t n = 0;

    if (!ask_spaced_char(s, '(', ASK_OPEN))
        return false;
    from = s->at;
    do {
        if (n == REST_VALUES_MAX)
            return ask_fail_limit(s, "values in one list", REST_VALUES_MAX);
        (void)skip_element(s, &inside);
        bytes += 2 * inside.n + AROUND_ELEMENT;
        n++;
        if (n > 1)
            ask_turn(s);
    } while (ask_char(s, ',', ASK_COMMA));
    if (n == 1 && !inside.n) {
        node->value = HS_STR("{}");
    } else {
        node->value = write_list(s, from, n, bytes);
        node->n_values = n;
    }
    return node->value.p && ask_spaced_char(s, ')', ASK_CLOSE);
}

/* How many elements has this array literal? The client wrote it; PostgreSQL will judge it. */
static size_t count_elements(struct hs_str literal)
{
    bool is_quoted = false;
    size_t n = 1;

    for (size_t i = 0; i < literal.n; i++) {
        if (literal.p[i] == '\\')
            i++;
        else if (literal.p[i] == '"')
            is_quoted = !is_quoted;
        else if (literal.p[i] == ',' && !is_quoted)
            n++;
    }
    return hs_str_is(literal, "{}") ? 0 : n;
}

/* All the rest of a parameter. */
static bool read_rest(struct ask_parser *s, struct hs_str *ret_value)
{
    *ret_value = hs_str_sub(s->text, s->at, s->text.n);
    ask_move(s, ret_value->n);
    return true;
}

/* {...} without braces inside. */
static bool read_array(struct ask_parser *s, struct hs_str *ret_array)
{
    struct ask_mark mark = ask_mark(s);
    size_t n;

    if (!ask_char(s, '{', ASK_BRACE))
        return false;
    n = strcspn(s->text.p + s->at, "{}");
    if (n)
        ask_move(s, n);
    (void)ask_complain(s, ASK_NOTHING);
    if (!ask_char(s, '}', ASK_BRACE_END))
        return ask_back(s, &mark);
    *ret_array = hs_str_sub(s->text, mark.at, s->at);
    return true;
}

/* Within and/or: in quotes, an array in braces, or all up to a comma or ')'. */
static bool read_member(struct ask_parser *s, struct hs_str *ret_value)
{
    struct ask_span span;
    struct hs_str plain;

    if (ask_quoted_alone(s, &span)) {
        *ret_value = ask_name_text(s, span);
    } else {
        if (!read_array(s, &plain))
            plain = read_plain(s);
        *ret_value = ask_dup(s, plain);
    }
    return ret_value->p;
}

static bool star_to_percent(struct ask_parser *s, struct hs_str *value)
{
    char *text;

    if (hs_str_find(*value, '*') == value->n)
        return true;
    text = hs_arena_alloc(s->arena, value->n + 1);
    if (!text)
        return ask_fail_memory(s);
    for (size_t i = 0; i < value->n; i++)
        text[i] = (char)(value->p[i] == '*' ? '%' : value->p[i]);
    text[value->n] = '\0';
    value->p = text;
    return true;
}

/* ---- comparisons ---- */

static bool read_operation(struct ask_parser *s, bool is_member, struct rest_node *node)
{
    const struct row *row;

    node->kind = REST_NODE_COMPARE;
    node->is_negated = read_not(s);
    row = find_plain(s);
    if (!row)
        row = find_slow(s, node);
    if (!row)
        return false;
    if (s->counts->filters++ == REST_FILTERS_MAX)
        return ask_fail_limit(s, "filters", REST_FILTERS_MAX);
    node->op = row->op;
    if (row->form == FORM_LIST)
        return read_list(s, node);
    if (row->form == FORM_IS)
        return read_is(s, &node->value);
    if (!(is_member ? read_member(s, &node->value) : read_rest(s, &node->value)))
        return false;
    if (node->quantifier)
        node->n_values = count_elements(node->value);
    if (node->n_values > REST_VALUES_MAX)
        return ask_fail_limit(s, "values in one list", REST_VALUES_MAX);
    return (node->op != REST_LIKE && node->op != REST_ILIKE) || star_to_percent(s, &node->value);
}

bool ask_operation(struct ask_parser *s, struct rest_node *node)
{
    return read_operation(s, /* is_member= */ false, node);
}

/* ---- and, or ---- */

static bool read_compare(struct ask_parser *s, struct rest_node *node)
{
    struct ask_mark mark = ask_mark(s);

    return (ask_path(s, &node->path) && ask_delimiter(s) &&
            read_operation(s, /* is_member= */ true, node)) ||
           ask_back(s, &mark);
}

static bool read_members(struct ask_parser *s, struct rest_node **ret_first)
{
    struct rest_node **end = ret_first;
    size_t begin;

    if (!ask_spaced_char(s, '(', ASK_OPEN))
        return false;
    for (bool is_first = true;; is_first = false) {
        if (!ask_logic(s, end))
            return false;
        end = &(*end)->next;
        if (!is_first)
            ask_turn(s);
        begin = s->at;
        if (!ask_spaced_char(s, ',', ASK_COMMA))
            break;
    }
    return s->at == begin && ask_spaced_char(s, ')', ASK_CLOSE);
}

static bool read_junction(struct ask_parser *s, struct rest_node *node)
{
    struct ask_mark mark = ask_mark_label(s);
    bool ok;

    node->is_negated = read_not(s);
    ask_label(s, &mark, ASK_NEGATION);
    mark = ask_mark_label(s);
    node->kind = REST_NODE_AND;
    ok = ask_try_string(s, "and", ASK_NOTHING);
    if (!ok) {
        node->kind = REST_NODE_OR;
        ok = ask_string(s, "or", ASK_NOTHING);
    }
    ask_label(s, &mark, ASK_LOGIC);
    if (!ok)
        return false;
    if (s->depth == REST_DEPTH_MAX)
        return ask_fail_limit(s, "and/or in each other", REST_DEPTH_MAX);
    s->depth++;
    ok = read_members(s, &node->first);
    s->depth--;
    return ok;
}

bool ask_logic(struct ask_parser *s, struct rest_node **ret_node)
{
    struct rest_node *node = HS_NEW(s->arena, struct rest_node);

    *ret_node = node;
    if (!node)
        return ask_fail_memory(s);
    if (read_compare(s, node))
        return true;
    *node = (struct rest_node){0};
    return read_junction(s, node);
}
