/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From files and from what PostgreSQL says of their statements to the queries that a model serves.
 *
 * The rule: one bad query is that query's fault. It is listed with the reason, which its callers get and the log
 * tells; a schema that changes under it makes nothing else unavailable.
 */
#include "api/comment.h"
#include "api/named_int.h"
#include "core/hash.h"

hs_status named_asks(struct named_source *sources, size_t n, struct hs_arena *arena,
                     const struct pg_ask **ret_asks, size_t *ret_n, struct hs_err *reterr)
{
    struct pg_ask *asks = HS_NEW_ARRAY(arena, n, struct pg_ask);

    *ret_asks = asks;
    *ret_n = 0;
    if (!asks && n)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < n; i++) {
        const struct named_file *file = &sources[i].file;

        if (sources[i].err.status)
            continue;
        sources[i].ask = *ret_n;
        asks[(*ret_n)++] = (struct pg_ask){.sql = file->sql,
                                           .n_params = file->n_params,
                                           .roles = file->roles,
                                           .n_roles = file->n_roles};
    }
    return HS_OK;
}

/* ---- one query ---- */

struct making {
    struct api_build *build;
    struct hs_arena *arena;
    const struct named_source *source;
    const struct pg_asked *said; /* NULL: PostgreSQL was not asked */
    struct api_named *to;
};

/* The reason stands in the first sentence: what clients and the log show. */
static void fault(struct making *m, size_t line, struct hs_str why, struct hs_str hint)
{
    struct hs_err *err = &m->to->fault;

    if (line)
        (void)hs_fail(err, HS_E_CONFIG, "%.*s:%zu: %.*s", HS_FMT(m->to->file), line, HS_FMT(why));
    else
        (void)hs_fail(err, HS_E_CONFIG, "%.*s: %.*s", HS_FMT(m->to->file), HS_FMT(why));
    if (hint.n)
        hs_err_hint(err, "%.*s", HS_FMT(hint));
}

static struct hs_str without_folders(struct hs_str path)
{
    size_t from = path.n;

    while (from && path.p[from - 1] != '/')
        from--;
    return hs_str_sub(path, from, path.n);
}

static void make_field(struct making *m, struct tree_field *field, struct pg_column *column,
                       struct hs_str name, const struct pg_type *type)
{
    *column = (struct pg_column){.name = name, .type = type, .typmod = -1};
    *field = (struct tree_field){.column = column, .name = name};
    (void)m;
}

static void make_param(struct making *m, size_t i)
{
    const struct named_param *from = &m->source->file.params[i];
    struct api_named_param *to = &m->to->params[i];
    struct hs_err err = {0};

    to->name = hs_arena_dup(m->arena, from->name);
    to->description = hs_arena_dup(m->arena, from->description);
    to->type = m->said->params[i];
    to->has_default = from->has_default;
    to->value = from->value.p ? hs_arena_dup(m->arena, from->value).p : NULL;
    make_field(m, &to->field, &to->column, to->name, to->type);
    make_field(m, &to->element_field, &to->element_column, to->name,
               to->type->kind == PG_KIND_ARRAY ? to->type->elem : to->type);
    if (to->value && named_value_check(m->to, to, hs_str(to->value), &err) == HS_E_BAD_VALUE)
        fault(m, 0,
              hs_arena_printf(m->arena, "the default of :%.*s is no value of type %.*s",
                              HS_FMT(to->name), HS_FMT(to->type->name)),
              HS_STR(""));
}

static bool is_name_taken(const struct api_named_column *columns, size_t n, struct hs_str name)
{
    for (size_t i = 0; i < n; i++) {
        if (hs_str_eq(columns[i].name, name))
            return true;
    }
    return false;
}

static void make_columns(struct making *m)
{
    size_t n = m->said->n_columns;
    struct api_named_column *columns = HS_NEW_ARRAY(m->arena, n, struct api_named_column);
    struct api_out_column *out = HS_NEW_ARRAY(m->arena, n, struct api_out_column);

    m->to->columns = columns;
    m->to->out = out;
    m->to->n_columns = columns && out ? n : 0;
    if (!n && m->to->is_read)
        fault(m, 0, HS_STR("it gives no columns"), HS_STR(""));
    for (size_t i = 0; i < m->to->n_columns; i++) {
        const struct pg_result_column *from = &m->said->columns[i];
        struct hs_str name = api_build_name(m->build, from->name);

        if (hs_str_is(from->name, "?column?"))
            fault(m, 0, hs_arena_printf(m->arena, "column %zu of its answer has no name", i + 1),
                  HS_STR("Give it one with AS."));
        else if (is_name_taken(columns, i, name))
            fault(m, 0,
                  hs_arena_printf(m->arena, "two columns of its answer are named \"%.*s\"",
                                  HS_FMT(name)),
                  HS_STR("Give one of them another name with AS."));
        columns[i] = (struct api_named_column){name, from->type};
        out[i] = (struct api_out_column){.key = api_build_forms(m->build, name).key,
                                         .type = from->type};
    }
}

/* What it may be asked for by; a query that writes is not repeated, nor kept. */
static void choose_methods(struct making *m)
{
    const struct named_file *file = &m->source->file;
    bool is_get = file->method == NAMED_METHOD_GET ||
                  (file->method == NAMED_METHOD_AUTO && file->is_read);

    m->to->methods = is_get ? HTTP_GET | HTTP_HEAD : HTTP_POST;
    /* A SELECT by POST may call what writes, unless all that it calls is known. */
    m->to->is_read = is_get || (file->is_read && m->said && m->said->depend.is_known);
}

static void choose_roles(struct making *m)
{
    const struct pg_catalog *c = m->build->model->catalog;
    const struct named_file *file = &m->source->file;

    if (!file->n_roles)
        m->to->roles = UINT64_MAX;
    for (size_t i = 0; i < file->n_roles; i++) {
        uint64_t bit = pg_catalog_reader_bit(c, file->roles[i]);

        m->to->roles |= bit;
        if (!bit)
            fault(m, 0,
                  hs_arena_printf(m->arena, "the role \"%.*s\" is not among auth.roles",
                                  HS_FMT(file->roles[i])),
                  HS_STR(""));
    }
}

/* On a line of its own: a statement may end in a comment. */
static void make_text(struct making *m)
{
    enum api_comment comment = m->build->model->rules.comment;
    struct hs_str route = m->to->table.comment_list;

    m->to->sql = comment == API_COMMENT_ROUTE && route.p
                     ? hs_arena_printf(m->arena, "%.*s\n/*%.*s*/", HS_FMT(m->source->file.sql),
                                       HS_FMT(route))
                     : hs_arena_dup(m->arena, m->source->file.sql);
    m->to->sql_hash = hs_hash(m->to->sql);
}

static void make_route(struct making *m)
{
    struct api_model *model = m->build->model;
    struct hs_str route = hs_arena_printf(m->arena, "%.*s/q/%.*s", HS_FMT(model->path),
                                          HS_FMT(m->to->name));

    m->to->route = hs_metric_route(route);
    if (model->rules.comment != API_COMMENT_NONE)
        m->to->table.comment_list = api_comment_route(m->arena, route);
    m->to->table.name = hs_arena_printf(m->arena, "q/%.*s", HS_FMT(m->to->name));
    m->to->keep = (struct api_keep){.name = m->to->table.name,
                                    .has_rls = true,
                                    .ttl_max = UINT64_MAX,
                                    .cache_control = HS_STR("private, no-cache")};
}

static void take_statement(struct making *m)
{
    const struct pg_asked *said = m->said;
    const struct named_file *file = &m->source->file;

    if (said->fault.p) {
        fault(m, said->fault_at ? named_file_line(file, said->fault_at) : 0, said->fault,
              said->hint);
        return;
    }
    m->to->depend = &said->depend;
    m->to->is_shareable = said->is_shareable;
    m->to->params = HS_NEW_ARRAY(m->arena, file->n_params, struct api_named_param);
    m->to->n_params = m->to->params ? file->n_params : 0;
    for (size_t i = 0; i < m->to->n_params; i++)
        make_param(m, i);
    make_columns(m);
    make_text(m);
}

static void make_named(struct making *m)
{
    const struct named_file *file = &m->source->file;
    const struct api_rules *rules = &m->build->model->rules;

    m->to->name = hs_arena_dup(m->arena, file->name);
    m->to->description = hs_arena_dup(m->arena, file->description);
    m->to->file = hs_arena_dup(m->arena, without_folders(file->path));
    m->to->is_one = file->is_one;
    m->to->ttl = file->has_ttl ? file->ttl : rules->ttl_analytics;
    m->to->fault = m->source->err;
    make_route(m);
    choose_methods(m);
    if (m->source->err.status) {
        m->to->roles = UINT64_MAX;
        m->to->methods = HTTP_GET | HTTP_HEAD | HTTP_POST;
        return;
    }
    take_statement(m);
    choose_roles(m);
}

/* ---- all of them ---- */

struct api_named *api_named_find(const struct api_model *model, struct hs_str name)
{
    for (size_t i = 0; i < model->n_named; i++) {
        if (hs_str_eq(model->named[i].name, name))
            return &model->named[i];
    }
    return NULL;
}

bool api_named_is_for(const struct api_named *named, uint64_t reader)
{
    return named->roles == UINT64_MAX || (named->roles & reader) != 0;
}

hs_status api_build_named(struct api_build *build, struct hs_err *reterr)
{
    const struct api_setup *setup = build->setup;
    struct api_model *model = build->model;

    model->named = HS_NEW_ARRAY(&model->arena, setup->n_named, struct api_named);
    for (size_t i = 0; model->named && i < setup->n_named; i++) {
        const struct named_source *source = &setup->named[i];
        struct making m = {.build = build, .arena = &model->arena, .source = source};

        if (source->is_double)
            continue;
        if (!source->err.status && source->ask < model->catalog->n_statements)
            m.said = &model->catalog->statements[source->ask];
        m.to = &model->named[model->n_named++];
        make_named(&m);
    }
    return hs_arena_failed(&model->arena) ? hs_fail_memory(reterr) : HS_OK;
}
