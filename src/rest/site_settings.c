/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs before a statement, as far as it is the same for every request: the statement that sets the request's
 * settings, those of the roles, the operator's check.
 *
 * The rule: names of settings and values are parameters, as everything is; the text only counts them.
 */
#include "rest/site.h"

/* Settings that bound how long something may take, but not what an answer looks like. */
static const struct hs_str bounds[] = {
    {"statement_timeout", 17},
    {"lock_timeout", 12},
    {"idle_in_transaction_session_timeout", 35},
    {"default_transaction_isolation", 29},
    {"default_transaction_read_only", 29},
};

static struct hs_str keep(struct rest_site *site, struct hs_buf *scratch)
{
    struct hs_str kept = hs_arena_dup(&site->arena, hs_buf_str(scratch));

    if (hs_buf_failed(scratch))
        site->arena.failed = true;
    hs_buf_clear(scratch);
    return kept;
}

static void add_identifier(struct hs_buf *out, struct hs_str name)
{
    hs_buf_add_char(out, '"');
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '"')
            hs_buf_add_char(out, '"');
        hs_buf_add_char(out, name.p[i]);
    }
    hs_buf_add_char(out, '"');
}

/* As a list of identifiers, each behind a comma. */
static void build_search_path(struct rest_site *site, struct hs_buf *scratch)
{
    for (size_t i = 0; i < site->rules.n_extra_search_path; i++) {
        hs_buf_add_lit(scratch, ", ");
        add_identifier(scratch, site->rules.extra_search_path[i]);
    }
    site->search_path = keep(site, scratch);
}

/* n calls of set_config() for parameters from $first on. */
static void add_calls(struct hs_buf *out, size_t first, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hs_buf_printf(out, "%sset_config($%zu, $%zu, true)", i || first > 1 ? ", " : "",
                      first + 2 * i, first + 2 * i + 1);
}

/* What the request itself sets stands first: search_path, method, path, headers, cookies. */
static void build_settings(struct rest_site *site, struct hs_buf *scratch)
{
    const struct rest_rules *rules = &site->rules;

    site->app_values = HS_NEW_ARRAY(&site->arena, 2 * rules->n_app_settings + 1, const char *);
    for (size_t i = 0; site->app_values && i < rules->n_app_settings; i++) {
        struct hs_str value = rules->app_settings[i];
        struct hs_str name = hs_str_trim(hs_str_cut(&value, ':'));

        site->app_values[site->n_app_values++] = hs_arena_dup(&site->arena, name).p;
        site->app_values[site->n_app_values++] = hs_arena_dup(&site->arena, hs_str_trim(value)).p;
    }
    hs_buf_add_lit(scratch, "SELECT set_config('search_path', $1, true), "
                            "set_config('request.method', $2, true), "
                            "set_config('request.path', $3, true), "
                            "set_config('request.headers', $4, true), "
                            "set_config('request.cookies', $5, true)");
    add_calls(scratch, 6, site->n_app_values / 2);
    site->settings = keep(site, scratch);
}

static void build_pre_request(struct rest_site *site, struct hs_buf *scratch)
{
    struct hs_str name = site->rules.pre_request;
    struct hs_str schema = hs_str_cut(&name, '.');

    if (!site->rules.pre_request.n)
        return;
    hs_buf_add_lit(scratch, "SELECT ");
    add_identifier(scratch, schema);
    if (name.n) {
        hs_buf_add_char(scratch, '.');
        add_identifier(scratch, name);
    }
    hs_buf_add_lit(scratch, "()");
    site->pre_request = keep(site, scratch);
}

static bool is_bound(struct hs_str name)
{
    for (size_t i = 0; i < HS_LEN(bounds); i++) {
        if (hs_str_eq(bounds[i], name))
            return true;
    }
    return false;
}

enum pg_isolation rest_read_isolation(struct hs_str name)
{
    if (hs_str_ieq(name, HS_STR("repeatable read")))
        return PG_REPEATABLE_READ;
    return hs_str_ieq(name, HS_STR("serializable")) ? PG_SERIALIZABLE : PG_ISOLATION_DEFAULT;
}

/* What the pool sets by itself; false: it is something else. */
static bool take_bound(const struct pg_setting *setting, struct rest_role_bounds *to)
{
    if (hs_str_is(setting->name, "statement_timeout"))
        to->statement_timeout_ms = rest_read_timeout(setting->value);
    else if (hs_str_is(setting->name, "default_transaction_isolation"))
        to->isolation = rest_read_isolation(setting->value);
    else
        return false;
    return true;
}

static void build_role(struct rest_site *site, size_t role, struct hs_buf *scratch)
{
    const struct pg_role_settings *of = &site->catalog->role_settings[role];
    const char **values = HS_NEW_ARRAY(&site->arena, 2 * of->n_settings + 1, const char *);
    size_t n = 0;

    for (size_t i = 0; values && i < of->n_settings; i++) {
        if (take_bound(&of->settings[i], &site->role_bounds[role]))
            continue;
        values[n++] = hs_arena_dup(&site->arena, of->settings[i].name).p;
        values[n++] = hs_arena_dup(&site->arena, of->settings[i].value).p;
        site->role_matters[role] |= !is_bound(of->settings[i].name);
    }
    if (!n)
        return;
    hs_buf_add_lit(scratch, "SELECT ");
    add_calls(scratch, 1, n / 2);
    /* What only the login may set, as GRANT SET ON PARAMETER has it, is set as the login. */
    site->role_steps[role] = (struct pg_prelude_step){
        .sql = keep(site, scratch), .params = values, .n_params = n, .is_before = true};
}

hs_status rest_site_settings(struct rest_site *site, struct hs_buf *scratch, struct hs_err *reterr)
{
    size_t n_roles = site->catalog->n_roles;

    build_search_path(site, scratch);
    build_settings(site, scratch);
    build_pre_request(site, scratch);
    site->role_steps = HS_NEW_ARRAY(&site->arena, n_roles + 1, struct pg_prelude_step);
    site->role_matters = HS_NEW_ARRAY(&site->arena, n_roles + 1, bool);
    site->role_bounds = HS_NEW_ARRAY(&site->arena, n_roles + 1, struct rest_role_bounds);
    for (size_t i = 0;
         !hs_arena_failed(&site->arena) && site->catalog->role_settings && i < n_roles; i++)
        build_role(site, i, scratch);
    return hs_arena_failed(&site->arena) ? hs_fail_memory(reterr) : HS_OK;
}
