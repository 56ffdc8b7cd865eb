/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions and procedures that a caller may name, and what they take.
 *
 * The one rule: parameters are those of the call. IN, INOUT and VARIADIC are arguments, OUT, INOUT and TABLE are
 * what comes back (catalog_results.c). Defaults belong to the last pronargdefaults arguments.
 *
 * proallargtypes, proargmodes and proargnames count all parameters in the order of the declaration; proargtypes
 * only those of the call, and stands for the first where that is NULL: there are no others. In a procedure an OUT parameter is in
 * proargtypes no more than in a function, though CALL wants something in its place (tried on 15).
 *
 * Source: PostgreSQL 15 manual, 53.39 (pg_proc), 5.7 (default privileges: PUBLIC may EXECUTE).
 */
#include "pg/catalog_int.h"

#include <stdlib.h>

/* The cast and least(): ROWS is a float of any size. */
#define FUNCTIONS_SQL                                                                             \
    "WITH " PG_ENTERS                                                                             \
    " SELECT p.oid, n.nspname, p.proname, p.provolatile, p.prokind = 'p', p.proretset,"           \
    "  p.prorettype, least(p.prorows, 1e15)::int8, p.pronargdefaults, " PG_CALLERS ","            \
    "  d.description, CASE WHEN p.pronargs = 1 AND p.prokind = 'f' THEN a.typrelid ELSE 0 END,"   \
    "  t.typrelid"                                                                                \
    " FROM " PG_FUNCTIONS_NEAR " JOIN pg_namespace n ON n.oid = p.pronamespace"                   \
    " JOIN pg_type t ON t.oid = p.prorettype LEFT JOIN pg_type a ON a.oid = p.proargtypes[0]"     \
    " LEFT JOIN pg_description d ON d.objoid = p.oid AND d.classoid = 'pg_proc'::regclass"        \
    "  AND d.objsubid = 0"                                                                        \
    " WHERE " PG_FUNCTION_IS_SERVED " ORDER BY n.nspname COLLATE \"C\", p.proname COLLATE \"C\"," \
    " p.oid"

enum {
    COL_OID,
    COL_SCHEMA,
    COL_NAME,
    COL_VOLATILITY,
    COL_IS_PROCEDURE,
    COL_IS_SET,
    COL_RETURNS,
    COL_ROWS,
    COL_N_DEFAULTS,
    COL_CALLERS,
    COL_COMMENT,
    COL_OF,
    COL_ROW
};

/* Behind the parameters of a function its settings, with the mode SETTING. */
#define PARAMETERS_SQL                                                                             \
    "WITH p AS MATERIALIZED (SELECT p.oid, proargmodes, proargnames, proallargtypes, proargtypes," \
    "  proconfig FROM " PG_FUNCTIONS_NEAR " WHERE " PG_FUNCTION_IS_SERVED ")"                      \
    "SELECT p.oid, coalesce(p.proargmodes[a.position], 'i')::text, p.proargnames[a.position],"     \
    "  a.type, a.position FROM p CROSS JOIN LATERAL"                                               \
    "  unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY a(type, position)" \
    " UNION ALL SELECT p.oid, '=', s.setting, 0, 10000 + s.position FROM p CROSS JOIN LATERAL"     \
    "  unnest(p.proconfig) WITH ORDINALITY s(setting, position)"                                   \
    " ORDER BY 1, 5"

enum { PAR_OID, PAR_MODE, PAR_TEXT, PAR_TYPE };

enum { SETTING = '=' };

enum { TYPE_VOID = 2278 };

struct reading {
    struct pg_build *b;
    const PGresult *functions;
    const PGresult *parameters;
    size_t *by_oid; /* rows of functions, sorted by oid */
    size_t n;
};

/* The rows of parameters of one function. */
struct run {
    int from;
    int end;
};

static char mode_of(const PGresult *r, int row)
{
    return PQgetvalue(r, row, PAR_MODE)[0];
}

static bool is_argument(char mode)
{
    return mode == 'i' || mode == 'b' || mode == 'v';
}

static bool is_output(char mode)
{
    return mode == 'o' || mode == 'b' || mode == 't';
}

static bool is_setting(char mode)
{
    return mode == SETTING;
}

static size_t count(const PGresult *r, struct run run, bool (*is)(char mode))
{
    size_t n = 0;

    for (int row = run.from; row < run.end; row++)
        n += is(mode_of(r, row));
    return n;
}

static void fill_arguments(struct pg_build *b, struct pg_function *f, const PGresult *r,
                           struct run run, size_t n_defaults)
{
    size_t n = count(r, run, is_argument);
    struct pg_argument *arguments = HS_NEW_ARRAY(b->arena, n, struct pg_argument);
    size_t at = 0;

    for (int row = run.from; arguments && row < run.end; row++) {
        struct pg_argument *to = &arguments[at];

        if (!is_argument(mode_of(r, row)))
            continue;
        to->name = hs_arena_dup(b->arena, pg_cell(r, row, PAR_TEXT));
        if (to->name.n)
            to->quoted = pg_build_quote(b, to->name);
        to->type = pg_build_type(b, pg_cell_oid(r, row, PAR_TYPE));
        to->is_variadic = mode_of(r, row) == 'v';
        to->has_default = at + n_defaults >= n;
        at++;
    }
    f->arguments = arguments;
    f->n_arguments = at;
}

static void fill_settings(struct pg_build *b, struct pg_function *f, const PGresult *r,
                          struct run run)
{
    size_t n = count(r, run, is_setting);
    struct pg_setting *settings = n ? HS_NEW_ARRAY(b->arena, n, struct pg_setting) : NULL;
    size_t at = 0;

    for (int row = run.from; settings && row < run.end; row++) {
        if (is_setting(mode_of(r, row)))
            settings[at++] = pg_build_setting(b, pg_cell(r, row, PAR_TEXT));
    }
    f->settings = settings;
    f->n_settings = at;
}

static void fill_result(struct reading *q, struct pg_function *f, int at, struct run run)
{
    const PGresult *r = q->parameters;
    struct pg_function_facts facts = {
        .of = pg_cell_oid(q->functions, at, COL_OF),
        .row = pg_cell_oid(q->functions, at, COL_ROW),
    };
    size_t n = count(r, run, is_output);
    struct pg_output *outputs = n ? HS_NEW_ARRAY(q->b->arena, n, struct pg_output) : NULL;
    size_t filled = 0;

    for (int row = run.from; outputs && row < run.end; row++) {
        if (is_output(mode_of(r, row)))
            outputs[filled++] = (struct pg_output){
                .name = hs_arena_dup(q->b->arena, pg_cell(r, row, PAR_TEXT)),
                .type = pg_build_type(q->b, pg_cell_oid(r, row, PAR_TYPE)),
            };
    }
    pg_function_result(q->b, f, facts, outputs, filled);
}

static void fill_function(struct reading *q, int at, struct run run)
{
    struct pg_build *b = q->b;
    const PGresult *r = q->functions;
    struct pg_function *f = &b->functions[at];

    f->oid = pg_cell_oid(r, at, COL_OID);
    f->schema = hs_arena_dup(b->arena, pg_cell(r, at, COL_SCHEMA));
    f->name = hs_arena_dup(b->arena, pg_cell(r, at, COL_NAME));
    f->quoted = pg_build_quote_pair(b, f->schema, f->name);
    f->volatility = PQgetvalue(r, at, COL_VOLATILITY)[0];
    f->is_procedure = pg_cell_bool(r, at, COL_IS_PROCEDURE);
    f->is_set_returning = pg_cell_bool(r, at, COL_IS_SET);
    f->is_void = pg_cell_oid(r, at, COL_RETURNS) == TYPE_VOID;
    f->returns = pg_build_type(b, pg_cell_oid(r, at, COL_RETURNS));
    f->rows_estimate = (uint64_t)pg_cell_int(r, at, COL_ROWS);
    f->callers = (uint64_t)pg_cell_int(r, at, COL_CALLERS);
    f->comment = hs_arena_dup(b->arena, pg_cell(r, at, COL_COMMENT));
    fill_arguments(b, f, q->parameters, run, (size_t)pg_cell_int(r, at, COL_N_DEFAULTS));
    fill_settings(b, f, q->parameters, run);
    fill_result(q, f, at, run);
}

/* A type is missing only where DDL came in between: see catalog_read.c. */
static hs_status check_types(const struct pg_function *f, struct hs_err *reterr)
{
    bool is_whole = f->returns != NULL;

    for (size_t i = 0; i < f->n_arguments; i++)
        is_whole = is_whole && f->arguments[i].type;
    for (size_t i = 0; f->row && i < f->row->n_columns; i++)
        is_whole = is_whole && f->row->columns[i].type;
    if (is_whole)
        return HS_OK;
    return hs_fail(reterr, HS_E_PG_ERROR, "a type of the function %.*s is gone", HS_FMT(f->quoted));
}

static int compare_oids(const void *a, const void *b, void *arg)
{
    const struct reading *q = arg;
    uint32_t x = pg_cell_oid(q->functions, (int)*(const size_t *)a, COL_OID);
    uint32_t y = pg_cell_oid(q->functions, (int)*(const size_t *)b, COL_OID);

    return (x > y) - (x < y);
}

/* Both results, taken in the order of oids: what the second says of a function stands in one run. */
static hs_status fill_functions(struct reading *q, struct hs_err *reterr)
{
    hs_status status = HS_OK;
    int end = PQntuples(q->parameters);
    int from = 0;

    for (size_t i = 0; status == HS_OK && i < q->n; i++) {
        int at = (int)q->by_oid[i];
        uint32_t oid = pg_cell_oid(q->functions, at, COL_OID);
        struct run run;

        while (from < end && pg_cell_oid(q->parameters, from, PAR_OID) < oid)
            from++;
        run = (struct run){from, from};
        if (from < end && pg_cell_oid(q->parameters, from, PAR_OID) == oid)
            run.end = pg_cell_run(q->parameters, from, end, PAR_OID);
        fill_function(q, at, run);
        from = run.end;
        status = hs_arena_failed(q->b->arena) ? hs_fail_memory(reterr)
                                              : check_types(&q->b->functions[at], reterr);
    }
    return status;
}

static hs_status build(struct reading *q, struct hs_err *reterr)
{
    struct pg_build *b = q->b;

    q->n = (size_t)PQntuples(q->functions);
    q->by_oid = HS_NEW_ARRAY(b->arena, q->n, size_t);
    b->functions = HS_NEW_ARRAY(b->arena, q->n, struct pg_function);
    if (hs_arena_failed(b->arena))
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < q->n; i++)
        q->by_oid[i] = i;
    qsort_r(q->by_oid, q->n, sizeof(*q->by_oid), compare_oids, q);
    return fill_functions(q, reterr);
}

hs_status pg_functions_read(struct pg_build *b, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *functions = NULL;
    hs_auto(pg_reader_clear) PGresult *parameters = NULL;
    struct pg_catalog *c = &b->whole->pub;
    struct hs_str roles = pg_array_literal(b->arena, c->roles, c->n_roles);
    const char *params[] = {b->schemas, b->extra_schemas, roles.p};
    struct reading q = {.b = b};
    hs_status status = roles.p ? HS_OK : hs_fail_memory(reterr);

    if (status == HS_OK)
        status = pg_reader_query(b->reader, FUNCTIONS_SQL, params, 3, &functions, reterr);
    if (status == HS_OK)
        status = pg_reader_query(b->reader, PARAMETERS_SQL, params, 2, &parameters, reterr);
    if (status != HS_OK)
        return status;
    q.functions = functions;
    q.parameters = parameters;
    status = build(&q, reterr);
    if (status != HS_OK)
        return status;
    c->functions = b->functions;
    c->n_functions = q.n;
    return pg_computed_link(b, reterr);
}
