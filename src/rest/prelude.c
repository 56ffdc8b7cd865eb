/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request looks like from inside the database: settings for the time of its transaction.
 *
 * Source: PostgREST reference, transaction-scoped settings.
 */
#include "core/json.h"
#include "rest/call.h"

enum { TEXT_MAX = 1 << 20, OF_REQUEST = 5 };

static const char *keep(struct hs_arena *arena, struct hs_buf *text)
{
    const char *kept = hs_buf_failed(text) ? NULL : hs_arena_dup(arena, hs_buf_str(text)).p;

    hs_buf_clear(text);
    return kept;
}

static void add_lower(struct hs_buf *out, struct hs_str name)
{
    char *to = hs_buf_room(out, name.n);

    for (size_t i = 0; to && i < name.n; i++) {
        char c = name.p[i];

        to[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    if (to)
        hs_buf_added(out, name.n);
}

/* The name is a token (RFC 9110, 5.6.2): nothing in it needs to be escaped. */
static void add_member(struct hs_buf *out, struct hs_str name, struct hs_str value, bool *is_first)
{
    hs_buf_add(out, *is_first ? HS_STR("\"") : HS_STR(",\""));
    add_lower(out, name);
    hs_buf_add_lit(out, "\":");
    hs_json_string(out, value);
    *is_first = false;
}

/* Does a header of that name come later? The last of a name counts, as in PostgREST. */
static bool is_repeated(const struct http_req *req, size_t at)
{
    for (size_t i = at + 1; i < req->n_headers; i++) {
        if (hs_str_ieq(req->headers[i].name, req->headers[at].name))
            return true;
    }
    return false;
}

static void write_headers(const struct http_req *req, struct hs_buf *out)
{
    bool is_first = true;

    hs_buf_add_char(out, '{');
    for (size_t i = 0; i < req->n_headers; i++) {
        if (!hs_str_ieq(req->headers[i].name, HS_STR("cookie")) && !is_repeated(req, i))
            add_member(out, req->headers[i].name, req->headers[i].value, &is_first);
    }
    hs_buf_add_char(out, '}');
}

static void write_cookies(const struct http_req *req, struct hs_buf *out)
{
    struct hs_str rest = http_req_header(req, HS_STR("cookie"));
    bool is_first = true;

    hs_buf_add_char(out, '{');
    while (rest.n) {
        struct hs_str value = hs_str_trim(hs_str_cut(&rest, ';'));
        struct hs_str name = hs_str_cut(&value, '=');

        if (!name.n)
            continue;
        hs_buf_add(out, is_first ? HS_STR("") : HS_STR(","));
        hs_json_string(out, name);
        hs_buf_add_char(out, ':');
        hs_json_string(out, value);
        is_first = false;
    }
    hs_buf_add_char(out, '}');
}

/* As a list of identifiers. */
static void write_search_path(const struct rest_request *q, struct hs_buf *out)
{
    hs_buf_add_char(out, '"');
    for (size_t i = 0; i < q->schema.n; i++) {
        if (q->schema.p[i] == '"')
            hs_buf_add_char(out, '"');
        hs_buf_add_char(out, q->schema.p[i]);
    }
    hs_buf_add_char(out, '"');
    hs_buf_add(out, q->site->search_path);
}

static size_t role_of(const struct rest_request *q)
{
    return pg_catalog_role(q->site->catalog, q->r.req->identity->role);
}

static bool is_builtin(const struct pg_catalog *catalog, struct hs_str config)
{
    for (size_t i = 0; i < catalog->n_text_configs; i++) {
        const struct pg_text_config *c = &catalog->text_configs[i];

        if (hs_str_is(c->schema, "pg_catalog") && hs_str_eq(c->name, config))
            return true;
    }
    return false;
}

/* Is there a text search configuration that only search_path finds? As deep as the grammar lets it be. */
static bool names_config(const struct pg_catalog *catalog, const struct rest_node *node)
{
    for (; node; node = node->next) {
        if ((node->config.p && !is_builtin(catalog, node->config)) ||
            names_config(catalog, node->first))
            return true;
    }
    return false;
}

static bool has_config(const struct rest_request *q)
{
    for (const struct rest_scope *s = q->ask.scopes; s; s = s->next) {
        if (names_config(q->site->catalog, s->where))
            return true;
    }
    return false;
}

bool rest_wants_prelude(const struct rest_request *q)
{
    size_t role = role_of(q);

    return q->prefer.timezone.p || q->site->pre_request.p || has_config(q) ||
           (role < q->site->catalog->n_roles && q->site->role_matters[role]);
}

/* Values of the request's own settings, in their order. false: no memory. */
static bool fill_values(const struct rest_request *q, const char **values)
{
    const struct http_req *req = q->r.req;
    struct hs_arena *arena = req->arena;
    struct hs_buf text;

    hs_buf_init(&text, TEXT_MAX);
    write_search_path(q, &text);
    values[0] = keep(arena, &text);
    values[1] = hs_arena_dup(arena, req->method_name).p;
    values[2] = hs_arena_printf(arena, "/%.*s", HS_FMT(req->path_rest)).p;
    write_headers(req, &text);
    values[3] = keep(arena, &text);
    write_cookies(req, &text);
    values[4] = keep(arena, &text);
    hs_buf_fini(&text);
    return !hs_arena_failed(arena) && values[0] && values[3] && values[4];
}

/* ---- settings of the function that is called ---- */

/* rest.hoisted_settings: those that hold for the whole transaction. */
static bool is_hoisted(const struct rest_request *q, struct hs_str name)
{
    for (size_t i = 0; i < q->site->rules.n_hoisted_settings; i++) {
        if (hs_str_ieq(q->site->rules.hoisted_settings[i], name))
            return true;
    }
    return false;
}

/* NULL: it has none, or it does not count. */
static const struct pg_setting *hoisted(const struct rest_request *q, const char *name)
{
    const struct pg_function *f = q->call ? q->call->function : NULL;

    for (size_t i = 0; f && i < f->n_settings; i++) {
        if (hs_str_is(f->settings[i].name, name) && is_hoisted(q, f->settings[i].name))
            return &f->settings[i];
    }
    return NULL;
}

/* What the pool does not set by itself. */
static bool is_further(const struct rest_request *q, const struct pg_setting *setting)
{
    return is_hoisted(q, setting->name) && !hs_str_is(setting->name, "statement_timeout") &&
           !hs_str_is(setting->name, "default_transaction_isolation");
}

static size_t count_further(const struct rest_request *q)
{
    const struct pg_function *f = q->call ? q->call->function : NULL;
    size_t n = 0;

    for (size_t i = 0; f && i < f->n_settings; i++)
        n += is_further(q, &f->settings[i]);
    return n;
}

/* More of them behind the statement's, whose n values are there. p == NULL: no memory. */
static struct hs_str add_setting(struct hs_arena *arena, struct hs_str sql, const char **values,
                                 size_t *n, struct hs_str name, struct hs_str value)
{
    values[(*n)++] = hs_arena_dup(arena, name).p;
    values[(*n)++] = hs_arena_dup(arena, value).p;
    return hs_arena_printf(arena, "%.*s, set_config($%zu, $%zu, true)", HS_FMT(sql), *n - 1, *n);
}

static struct hs_str add_further(const struct rest_request *q, struct hs_str sql,
                                 const char **values, size_t *n)
{
    const struct pg_function *f = q->call ? q->call->function : NULL;

    for (size_t i = 0; f && i < f->n_settings; i++) {
        if (is_further(q, &f->settings[i]))
            sql = add_setting(q->r.req->arena, sql, values, n, f->settings[i].name,
                              f->settings[i].value);
    }
    return sql;
}

void rest_bound_time(struct rest_request *q)
{
    const struct pg_setting *own = hoisted(q, "statement_timeout");
    size_t role = role_of(q);

    if (own)
        q->r.query.statement_timeout_ms = rest_read_timeout(own->value);
    else if (role < q->site->catalog->n_roles)
        q->r.query.statement_timeout_ms = q->site->role_bounds[role].statement_timeout_ms;
}

static enum pg_isolation isolation_of(const struct rest_request *q, size_t role)
{
    const struct pg_setting *own = hoisted(q, "default_transaction_isolation");

    if (own)
        return rest_read_isolation(own->value);
    return role < q->site->catalog->n_roles ? q->site->role_bounds[role].isolation
                                            : PG_ISOLATION_DEFAULT;
}

/* ---- the steps ---- */

static void add_step(struct rest_request *q, struct pg_prelude_step step)
{
    HS_BUG_ON(q->prelude.n >= PG_PRELUDE_MAX);
    q->prelude.step[q->prelude.n++] = step;
}

hs_status rest_prelude(struct rest_request *q, struct hs_err *reterr)
{
    const struct rest_site *site = q->site;
    struct hs_arena *arena = q->r.req->arena;
    size_t n = OF_REQUEST + site->n_app_values;
    const char **values = HS_NEW_ARRAY(arena, n + 2 * (1 + count_further(q)), const char *);
    struct hs_str sql = site->settings;
    size_t role = role_of(q);

    if (!values || !fill_values(q, values))
        return hs_fail_memory(reterr);
    memcpy(values + OF_REQUEST, site->app_values, site->n_app_values * sizeof(*values));
    if (q->prefer.timezone.p)
        sql = add_setting(arena, sql, values, &n, HS_STR("TimeZone"), q->prefer.timezone);
    sql = add_further(q, sql, values, &n);
    if (hs_arena_failed(arena))
        return hs_fail_memory(reterr);
    if (role < site->catalog->n_roles && site->role_steps[role].sql.p)
        add_step(q, site->role_steps[role]);
    add_step(q, (struct pg_prelude_step){.sql = sql, .params = values, .n_params = n});
    if (site->pre_request.p)
        add_step(q, (struct pg_prelude_step){.sql = site->pre_request});
    q->prelude.isolation = isolation_of(q, role);
    q->r.query.prelude = &q->prelude;
    q->r.query.flags &= ~(unsigned)PG_SHARED;
    q->r.query.gather = NULL;
    return HS_OK;
}
