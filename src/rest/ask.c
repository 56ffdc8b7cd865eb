/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parameters become scopes.
 *
 * What a parameter is, its last word tells: "a.b.order" orders the embed b of the embed a. Everything
 * that has no such word and is none of select, columns and on_conflict is a filter on a column of that
 * name. The parameters are read kind by kind, not one by one, because of several mistakes PostgREST tells
 * the one of the kind that it reads first.
 *
 * Of a parameter that is given twice, filters and trees count both, select, columns, on_conflict and
 * order the first, limit and offset the last. One without '=' says nothing.
 *
 * Source: PostgREST, ApiRequest/QueryParams; http-types, parseQueryReplacePlus (';' parts pairs too).
 */
#include "api/url.h"
#include "rest/ask_int.h"

enum kind {
    KIND_ORDER,
    KIND_LOGIC,
    KIND_COLUMNS,
    KIND_SELECT,
    KIND_FILTER,
    KIND_ON_CONFLICT,
    KIND_LIMIT,
    KIND_OFFSET,
    KINDS
};

enum {
    PARAMETERS_MAX = 4000
}; /* filters, orders and limits of the greatest request, and arguments */

struct parameter {
    struct hs_str key;
    struct hs_str value;
    enum kind kind;
};

struct reader {
    enum rest_use use;
    bool is_telling;
    struct hs_arena *arena;
    struct ask_counts counts;
    struct rest_ask *ask;
    struct rest_scope **scopes_end;
    struct rest_argument **arguments_end;
    size_t n_scopes;
    struct parameter *parameters;
    size_t n_parameters;
    struct hs_err *reterr;
};

/* ---- pairs ---- */

static enum kind classify(struct hs_str key)
{
    static const struct {
        struct hs_str name;
        enum kind kind;
        bool is_alone; /* the whole key, or only its last word */
    } rows[] = {
        {{"select", 6}, KIND_SELECT, true},
        {{"columns", 7}, KIND_COLUMNS, true},
        {{"on_conflict", 11}, KIND_ON_CONFLICT, true},
        {{"order", 5}, KIND_ORDER, false},
        {{"limit", 5}, KIND_LIMIT, false},
        {{"offset", 6}, KIND_OFFSET, false},
        {{"and", 3}, KIND_LOGIC, false},
        {{"or", 2}, KIND_LOGIC, false},
    };
    size_t from = key.n;
    struct hs_str last;

    while (from && key.p[from - 1] != '.')
        from--;
    last = hs_str_sub(key, from, key.n);
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        if (hs_str_eq(rows[i].is_alone ? key : last, rows[i].name))
            return rows[i].kind;
    }
    return KIND_FILTER;
}

/* The first of these counts, even where it says nothing. */
static bool is_known(const struct reader *r, enum kind kind)
{
    if (kind != KIND_SELECT && kind != KIND_COLUMNS && kind != KIND_ON_CONFLICT)
        return false;
    for (size_t i = 0; i < r->n_parameters; i++) {
        if (r->parameters[i].kind == kind)
            return true;
    }
    return false;
}

static hs_status read_pair(struct reader *r, struct hs_str raw)
{
    struct parameter *parameter = &r->parameters[r->n_parameters];
    bool has_value = hs_str_find(raw, '=') < raw.n;
    struct hs_str key = hs_str_cut(&raw, '=');
    hs_status status;

    *parameter = (struct parameter){0};
    status = url_decode(r->arena, URL_QUERY_LENIENT, key, &parameter->key, r->reterr);
    if (!status && has_value)
        status = url_decode(r->arena, URL_QUERY_LENIENT, raw, &parameter->value, r->reterr);
    if (status)
        return status;
    parameter->kind = classify(parameter->key);
    r->n_parameters += !is_known(r, parameter->kind);
    return HS_OK;
}

static hs_status read_pairs(struct reader *r, struct hs_str query)
{
    size_t n = 1;
    hs_status status = HS_OK;

    for (size_t i = 0; i < query.n; i++)
        n += query.p[i] == '&' || query.p[i] == ';';
    if (n > PARAMETERS_MAX) {
        (void)hs_fail(r->reterr, HS_E_PGRST100, "the query has too many parameters");
        hs_err_why(r->reterr, "At most %u are read.", PARAMETERS_MAX);
        return HS_E_PGRST100;
    }
    r->parameters = HS_NEW_ARRAY(r->arena, n, struct parameter);
    if (!r->parameters)
        return hs_fail_memory(r->reterr);
    while (query.n && !status) {
        size_t amp = hs_str_find(query, '&');
        struct hs_str raw = hs_str_sub(query, 0, amp);
        size_t semicolon = hs_str_find(raw, ';');
        size_t end = semicolon < raw.n ? semicolon : amp;

        raw = hs_str_sub(raw, 0, end);
        query = hs_str_sub(query, end + 1, query.n);
        if (raw.n)
            status = read_pair(r, raw);
    }
    return status;
}

static inline struct ask_parser parser(struct reader *r, struct hs_str text)
{
    return (struct ask_parser){.text = text,
                               .is_telling = r->is_telling,
                               .arena = r->arena,
                               .counts = &r->counts,
                               .reterr = r->reterr};
}

/* ---- keys and scopes ---- */

/* The names of a key that stand between dots. */
struct key {
    struct hs_str names[REST_DEPTH_MAX + 1];
    size_t n;
};

static bool read_key(struct ask_parser *s, struct key *ret_key)
{
    size_t begin;

    ret_key->n = 0;
    for (;;) {
        struct ask_span span;

        if (!ask_name(s, &span))
            return false;
        if (ret_key->n == HS_LEN(ret_key->names))
            return ask_fail_limit(s, "embeds in each other", REST_DEPTH_MAX);
        ret_key->names[ret_key->n++] = ask_name_text(s, span);
        if (ret_key->n > 1)
            ask_turn(s);
        begin = s->at;
        if (!ask_delimiter(s))
            return s->at == begin;
    }
}

static bool is_scope(const struct rest_scope *scope, const struct hs_str *segments, size_t n)
{
    if (scope->n_segments != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!hs_str_eq(scope->segments[i], segments[i]))
            return false;
    }
    return true;
}

const struct rest_scope *rest_ask_scope(const struct rest_ask *ask, const struct hs_str *segments,
                                        size_t n_segments)
{
    for (const struct rest_scope *scope = ask->scopes; scope; scope = scope->next) {
        if (is_scope(scope, segments, n_segments))
            return scope;
    }
    return NULL;
}

/* The scope of these names, made if it is new. */
static hs_status find_scope(struct reader *r, const struct hs_str *names, size_t n,
                            struct rest_scope **ret_scope)
{
    struct rest_scope *scope = r->ask->scopes;
    struct hs_str *segments;

    while (scope && !is_scope(scope, names, n))
        scope = scope->next;
    if (!scope) {
        if (r->n_scopes++ == REST_SCOPES_MAX) {
            (void)hs_fail(r->reterr, HS_E_PGRST100, "the query speaks of too many embeds");
            hs_err_why(r->reterr, "At most %u have filters, an order or a limit.", REST_SCOPES_MAX);
            return HS_E_PGRST100;
        }
        scope = HS_NEW(r->arena, struct rest_scope);
        segments = n ? HS_NEW_ARRAY(r->arena, n, struct hs_str) : NULL;
        if (!scope || (n && !segments))
            return hs_fail_memory(r->reterr);
        if (n)
            memcpy(segments, names, n * sizeof(*segments));
        scope->segments = segments;
        scope->n_segments = n;
        *r->scopes_end = scope;
        r->scopes_end = &scope->next;
    }
    *ret_scope = scope;
    return HS_OK;
}

/* a.b.column->c: the last name begins the path, those before it are left in the key. */
static hs_status read_tree_path(struct reader *r, struct hs_str text, struct key *ret_key,
                                struct rest_path *ret_path)
{
    struct ask_parser s = parser(r, text);

    if (!read_key(&s, ret_key) || !ask_steps(&s, ret_path) || ask_failed(&s))
        return ask_fail(&s, "tree path", text);
    ret_path->name = ret_key->names[--ret_key->n];
    return HS_OK;
}

static void append_node(struct rest_scope *scope, struct rest_node *node)
{
    struct rest_node **end = &scope->where;

    while (*end)
        end = &(*end)->next;
    *end = node;
}

/* ---- one parameter of each kind ---- */

static hs_status read_order(struct reader *r, const struct parameter *parameter)
{
    struct ask_parser s = parser(r, parameter->value);
    struct rest_order *order;
    struct rest_scope *scope;
    struct rest_path ignored;
    struct key key;
    hs_status status = read_tree_path(r, parameter->key, &key, &ignored);

    if (status)
        return status;
    if (!ask_order(&s, &order) || ask_failed(&s))
        return ask_fail(&s, "order", parameter->value);
    status = find_scope(r, key.names, key.n, &scope);
    if (!status && !scope->order)
        scope->order = order;
    return status;
}

/*
 * a.not.or=(...): "not" may stand anywhere before the last word. The value is read with the operator
 * put before it, as the columns in complaints have it.
 */
static hs_status read_logic(struct reader *r, const struct parameter *parameter)
{
    struct ask_parser s = parser(r, parameter->key);
    struct rest_scope *scope;
    struct rest_node *node;
    struct key key;
    size_t n = 0;
    hs_status status;

    if (!read_key(&s, &key) || ask_failed(&s))
        return ask_fail(&s, "logic path", parameter->key);
    for (size_t i = 0; i + 1 < key.n; i++) {
        if (!hs_str_is(key.names[i], "not"))
            key.names[n++] = key.names[i];
    }
    s = parser(r, hs_arena_printf(r->arena, "%s%s%s", n + 1 < key.n ? "not." : "",
                                  key.names[key.n - 1].p, parameter->value.p));
    if (!s.text.p)
        return hs_fail_memory(r->reterr);
    if (!ask_logic(&s, &node) || ask_failed(&s))
        return ask_fail(&s, "logic tree", parameter->value);
    status = find_scope(r, key.names, n, &scope);
    if (!status)
        append_node(scope, node);
    return status;
}

static hs_status read_filter(struct reader *r, const struct parameter *parameter)
{
    struct ask_parser s = parser(r, parameter->value);
    struct rest_node *node = HS_NEW(r->arena, struct rest_node);
    struct rest_argument *argument;
    struct rest_scope *scope;
    struct key key;
    hs_status status;

    if (!node)
        return hs_fail_memory(r->reterr);
    status = read_tree_path(r, parameter->key, &key, &node->path);
    if (status)
        return status;
    if (ask_operation(&s, node) && !ask_failed(&s)) {
        status = find_scope(r, key.names, key.n, &scope);
        if (!status)
            append_node(scope, node);
        return status;
    }
    /* What begins like an operator and ends otherwise is a mistake; what begins otherwise, an argument. */
    if (r->use != REST_FOR_CALL || s.at != 0 || ask_failed(&s))
        return ask_fail(&s, "filter", parameter->value);
    argument = HS_NEW(r->arena, struct rest_argument);
    if (!argument)
        return hs_fail_memory(r->reterr);
    argument->name = node->path.name;
    argument->value = parameter->value;
    *r->arguments_end = argument;
    r->arguments_end = &argument->next;
    return HS_OK;
}

static hs_status read_names(struct reader *r, const struct parameter *parameter, const char *what,
                            const struct hs_str **ret_names, size_t *ret_n)
{
    struct ask_parser s = parser(r, parameter->value);

    if (!ask_columns(&s, ret_names, ret_n) || ask_failed(&s))
        return ask_fail(&s, what, parameter->value);
    return HS_OK;
}

static hs_status read_select(struct reader *r, const struct parameter *parameter)
{
    struct ask_parser s = parser(r, parameter->value);

    r->ask->has_select = true;
    if (!ask_select(&s, &r->ask->select) || ask_failed(&s))
        return ask_fail(&s, "select parameter", parameter->value);
    return HS_OK;
}

/* A number as Haskell reads one, but in decimal: spaces around, perhaps a '-'. Else it says nothing. */
static bool read_number(struct hs_str text, bool *ret_is_negative, uint64_t *ret_n)
{
    text = hs_str_trim(text);
    *ret_is_negative = text.n > 0 && text.p[0] == '-';
    text = hs_str_trim(hs_str_sub(text, *ret_is_negative, text.n));
    if (!text.n || strspn(text.p, "0123456789") < text.n)
        return false;
    if (!hs_str_to_u64(text, ret_n) || *ret_n > INT64_MAX)
        *ret_n = INT64_MAX; /* PostgreSQL counts rows in bigint */
    return true;
}

static hs_status read_range(struct reader *r, const struct parameter *parameter)
{
    struct rest_scope *scope;
    struct rest_path ignored;
    struct key key;
    bool is_negative;
    uint64_t n;
    hs_status status = read_tree_path(r, parameter->key, &key, &ignored);

    if (!status)
        status = find_scope(r, key.names, key.n, &scope);
    if (status || !read_number(parameter->value, &is_negative, &n))
        return status;
    if (parameter->kind == KIND_OFFSET) {
        scope->has_offset = true;
        scope->offset = is_negative ? 0 : n;
        return HS_OK;
    }
    if (is_negative && n) {
        (void)hs_fail(r->reterr, HS_E_PGRST103, "Requested range not satisfiable");
        hs_err_why(r->reterr, "Limit should be greater than or equal to zero.");
        return HS_E_PGRST103;
    }
    scope->has_limit = true;
    scope->limit = n;
    return HS_OK;
}

static hs_status read_parameter(struct reader *r, const struct parameter *parameter)
{
    struct rest_ask *ask = r->ask;

    switch (parameter->kind) {
    case KIND_ORDER:
        return read_order(r, parameter);
    case KIND_LOGIC:
        return read_logic(r, parameter);
    case KIND_COLUMNS:
        ask->has_columns = true;
        return read_names(r, parameter, "columns parameter", &ask->columns, &ask->n_columns);
    case KIND_SELECT:
        return read_select(r, parameter);
    case KIND_FILTER:
        return read_filter(r, parameter);
    case KIND_ON_CONFLICT:
        ask->has_on_conflict = true;
        return read_names(r, parameter, "on_conflict parameter", &ask->on_conflict,
                          &ask->n_on_conflict);
    case KIND_LIMIT:
    case KIND_OFFSET:
    case KINDS:
        break;
    }
    return read_range(r, parameter);
}

static hs_status read_all(struct reader *r, struct hs_str query)
{
    struct rest_scope *rows;
    hs_status status;

    *r->ask = (struct rest_ask){0};
    r->scopes_end = &r->ask->scopes;
    r->arguments_end = &r->ask->arguments;
    status = find_scope(r, NULL, 0, &rows);
    if (!status)
        status = read_pairs(r, query);
    for (unsigned kind = 0; kind < KINDS && !status; kind++) {
        for (size_t i = 0; i < r->n_parameters && !status; i++) {
            if (r->parameters[i].kind == (enum kind)kind && r->parameters[i].value.p)
                status = read_parameter(r, &r->parameters[i]);
        }
    }
    return status;
}

hs_status rest_ask_read(enum rest_use use, struct hs_str query, struct hs_arena *arena,
                        struct rest_ask *ret_ask, struct hs_err *reterr)
{
    struct reader r = {.use = use, .arena = arena, .ask = ret_ask, .reterr = reterr};
    hs_status status = read_all(&r, query);

    /* Again, to say why. */
    if (status == HS_E_PGRST100 && reterr) {
        r = (struct reader){
            .use = use, .is_telling = true, .arena = arena, .ask = ret_ask, .reterr = reterr};
        status = read_all(&r, query);
    }
    return status;
}
