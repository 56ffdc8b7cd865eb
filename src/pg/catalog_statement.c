/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements that somebody wrote, looked at by PostgreSQL itself.
 *
 *     SQL ── Parse, Describe ──> errors with their place, types of parameters and columns
 *      └──── CREATE FUNCTION pg_temp.x(types) ... BEGIN ATOMIC <SQL>; END
 *                 └──> pg_proc.prosqlbody, which the graph (catalog_graph.h) reads like any function's
 *
 * The function gives what Describe does not: the tree, with the oids of all that is read and called, so that one
 * judge serves views, policies, functions and statements. It is declared to return nothing, which makes PostgreSQL
 * leave the last query's columns alone; the functions stay until the graph was read, and go with the
 * transaction, which is rolled back: nobody else ever sees them, no event trigger's NOTIFY or message is sent, and
 * the fingerprint was taken before.
 *
 * The rule: names are looked up as they will be when the statement runs: as a role that may run it, with the search
 * path of the pool's connections. Where that path is the operator's and names $user, it could be another table for
 * each role, so nothing is known. Parsing asks for no privilege but USAGE of the schemas that are named;
 * roles that lack it pass the question on to the next one.
 *
 * Locks: parsing waits for who alters a table, and holds what it has parsed so far. So it waits shorter than
 * deadlock_timeout, lest somebody's DDL is the one that is ended; what could not be looked at is tried again.
 *
 * Source: PostgreSQL 15 manual, CREATE FUNCTION (sql_body), 55.2.3 (extended query), 53.8 (error fields);
 * src/backend/commands/functioncmds.c (interpret_AS_clause), src/backend/executor/functions.c (check_sql_fn_retval).
 */
#include "pg/catalog_int.h"

#include <stdio.h>

enum { SQL_TEXT_MAX = 1 << 20, TYPES_TEXT_MAX = 1 << 20, FUNCTION_NAME_MAX = 32 };

#define UNDO_STATEMENT "ROLLBACK TO SAVEPOINT hasten_statement; RELEASE SAVEPOINT hasten_statement"

static const char pool_path[] = "pg_catalog, public, pg_temp";

struct parse {
    struct pg_build *b;
    const char *path;     /* search_path of the pool's connections */
    bool depends_on_role; /* the path names $user */
    bool is_denied;       /* the fault of the statement is a lack of rights */
    struct hs_buf types;  /* numbers, with commas */
    struct hs_buf scratch;
};

/* ---- small statements ---- */

static hs_status run(struct parse *p, const char *sql, const char *const *params, int n,
                     struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;

    return pg_reader_query(p->b->reader, sql, params, n, &r, reterr);
}

static hs_status set(struct parse *p, const char *name, const char *value, struct hs_err *reterr)
{
    const char *params[] = {name, value};

    return run(p, "SELECT set_config($1, $2, true)", params, 2, reterr);
}

/* The operator's own search_path wins over ours, as in pg/conn_params.c. */
static hs_status choose_path(struct parse *p, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    PQconninfoOption *options = PQconninfo(p->b->reader->conn);
    bool is_given = false;
    hs_status status;

    p->path = pool_path;
    if (!options)
        return hs_fail_memory(reterr);
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        if (strcmp(o->keyword, "options") == 0 && o->val)
            is_given = strstr(o->val, "search_path") != NULL;
    }
    PQconninfoFree(options);
    if (!is_given)
        return HS_OK;
    status = pg_reader_query(p->b->reader,
                             "SELECT reset_val FROM pg_settings WHERE name = 'search_path'", NULL,
                             0, &r, reterr);
    if (status)
        return status;
    p->path = hs_arena_dup(p->b->arena, pg_cell(r, 0, 0)).p;
    if (!p->path)
        return hs_fail_memory(reterr);
    p->depends_on_role = strstr(p->path, "$user") != NULL;
    return HS_OK;
}

/* ---- what PostgreSQL says ---- */

static const char *field(const PGresult *r, int code)
{
    const char *text = PQresultErrorField(r, code);

    return text ? text : "";
}

/* A lock that somebody holds, a timeout, a lack of something: not the statement's fault. */
static bool is_passing(const char *sqlstate)
{
    return strncmp(sqlstate, "55P", 3) == 0 || strncmp(sqlstate, "57", 2) == 0 ||
           strncmp(sqlstate, "53", 2) == 0 || strncmp(sqlstate, "40", 2) == 0;
}

/* Of what several roles are told, the first counts that is not about the role's rights. */
static void take_fault(struct parse *p, const PGresult *r, struct pg_asked *to)
{
    const char *sqlstate = field(r, PG_DIAG_SQLSTATE);
    const char *detail = field(r, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = field(r, PG_DIAG_MESSAGE_HINT);
    uint64_t at = 0;

    if (to->fault.p && !p->is_denied)
        return;
    p->is_denied = strcmp(sqlstate, "42501") == 0;
    if (!hs_str_to_u64(hs_str(field(r, PG_DIAG_STATEMENT_POSITION)), &at))
        at = 0;
    to->fault_at = (size_t)at;
    to->fault = hs_arena_printf(p->b->arena, "%s%s%s%s", field(r, PG_DIAG_MESSAGE_PRIMARY),
                                detail[0] ? " (" : "", detail, detail[0] ? ")" : "");
    if (!hint[0] && strcmp(sqlstate, "42P01") == 0)
        hint = "Name tables with their schema, as in app.clients.";
    to->hint = hs_arena_dup(p->b->arena, hs_str(hint));
    p->b->is_again = p->b->is_again || is_passing(sqlstate);
}

static void add_type(struct parse *p, uint32_t oid)
{
    hs_buf_add_char(&p->types, p->types.n ? ',' : '{');
    hs_buf_add_u64(&p->types, oid);
}

static void take_shape(struct parse *p, const PGresult *r, size_t i)
{
    struct hs_arena *arena = p->b->arena;
    struct pg_asked *to = &p->b->statements[i];
    struct pg_parsed *parsed = &p->b->parsed[i];
    size_t n_params = p->b->reader->asks[i].n_params;
    size_t n = (size_t)PQnfields(r);
    struct pg_result_column *columns = HS_NEW_ARRAY(arena, n, struct pg_result_column);

    to->fault = HS_STR_NULL;
    parsed->params = HS_NEW_ARRAY(arena, n_params, uint32_t);
    parsed->columns = HS_NEW_ARRAY(arena, n, uint32_t);
    if (hs_arena_failed(arena))
        return;
    for (size_t at = 0; at < n_params; at++) {
        parsed->params[at] = at < (size_t)PQnparams(r) ? PQparamtype(r, (int)at) : 0;
        add_type(p, parsed->params[at]);
    }
    for (size_t at = 0; at < n; at++) {
        columns[at].name = hs_arena_dup(arena, hs_str(PQfname(r, (int)at)));
        parsed->columns[at] = PQftype(r, (int)at);
        add_type(p, parsed->columns[at]);
    }
    to->columns = columns;
    to->n_columns = n;
}

/* As one role. *ret_is_parsed: it can be run, as far as parsing tells. */
static hs_status describe(struct parse *p, size_t i, bool *ret_is_parsed, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    struct pg_asked *to = &p->b->statements[i];
    hs_status status = pg_reader_try(p->b->reader, p->b->reader->asks[i].sql.p,
                                     /* is_described= */ true, &r, reterr);

    if (status)
        return status;
    *ret_is_parsed = PQresultStatus(r) == PGRES_COMMAND_OK;
    if (*ret_is_parsed)
        take_shape(p, r, i);
    else
        take_fault(p, r, to);
    return hs_arena_failed(p->b->arena) ? hs_fail_memory(reterr) : HS_OK;
}

/* ---- the function ---- */

static hs_status write_types(struct parse *p, size_t i, struct hs_str *ret_types,
                             struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    size_t n = p->b->reader->asks[i].n_params;
    const char *params[1];
    hs_status status;

    hs_buf_clear(&p->scratch);
    hs_buf_add_char(&p->scratch, '{');
    for (size_t at = 0; at < n; at++)
        hs_buf_printf(&p->scratch, "%s%u", at ? "," : "", p->b->parsed[i].params[at]);
    hs_buf_add_char(&p->scratch, '}');
    params[0] = hs_buf_cstr(&p->scratch);
    if (!params[0])
        return hs_fail_memory(reterr);
    status = pg_reader_query(p->b->reader,
                             "SELECT string_agg(format_type(t, NULL), ', ' ORDER BY n)"
                             " FROM unnest($1::oid[]) WITH ORDINALITY u(t, n)",
                             params, 1, &r, reterr);
    if (status)
        return status;
    *ret_types = hs_arena_dup(p->b->arena, pg_cell(r, 0, 0));
    return HS_OK;
}

static hs_status find_function(struct parse *p, const char *name, uint32_t *ret_oid,
                               struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    const char *params[] = {name};
    hs_status status = pg_reader_query(
        p->b->reader,
        "SELECT oid FROM pg_proc WHERE proname = $1 AND pronamespace = pg_my_temp_schema()", params,
        1, &r, reterr);

    if (!status)
        *ret_oid = PQntuples(r) ? pg_cell_oid(r, 0, 0) : 0;
    return status;
}

/* Behind the statement stands a line end: it may end in a comment. */
static hs_status make_function(struct parse *p, size_t i, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    struct pg_depend *depend = &p->b->statements[i].depend;
    char name[FUNCTION_NAME_MAX];
    struct hs_str types = HS_STR("");
    hs_status status = write_types(p, i, &types, reterr);

    if (status)
        return status;
    (void)snprintf(name, sizeof(name), "hasten_named_%zu", i);
    hs_buf_clear(&p->scratch);
    hs_buf_printf(&p->scratch,
                  "CREATE FUNCTION pg_temp.%s(%.*s) RETURNS void LANGUAGE sql STABLE"
                  " BEGIN ATOMIC ",
                  name, HS_FMT(types));
    hs_buf_add(&p->scratch, p->b->reader->asks[i].sql);
    hs_buf_add_lit(&p->scratch, "\n; END");
    if (!hs_buf_cstr(&p->scratch))
        return hs_fail_memory(reterr);
    status = pg_reader_try(p->b->reader, p->scratch.p, /* is_described= */ false, &r, reterr);
    if (status)
        return status;
    if (PQresultStatus(r) == PGRES_COMMAND_OK)
        return find_function(p, name, &p->b->parsed[i].function, reterr);
    depend->why = hs_arena_printf(p->b->arena, "PostgreSQL does not show what it reads: %s",
                                  field(r, PG_DIAG_MESSAGE_PRIMARY));
    p->b->is_again = p->b->is_again || is_passing(field(r, PG_DIAG_SQLSTATE));
    return run(p, "ROLLBACK TO SAVEPOINT hasten_described", NULL, 0, reterr);
}

/* ---- one statement ---- */

static hs_status try_as(struct parse *p, size_t i, struct hs_str role, bool *ret_is_parsed,
                        struct hs_err *reterr)
{
    struct hs_err refused;
    hs_status status = run(p, "SAVEPOINT hasten_statement", NULL, 0, reterr);

    *ret_is_parsed = false;
    if (status)
        return status;
    /* A role that cannot be set is said elsewhere; the others may do. */
    status = set(p, "role", role.p ? role.p : "none", &refused);
    if (status == HS_E_PG_ERROR)
        return run(p, UNDO_STATEMENT, NULL, 0, reterr);
    if (!status)
        status = describe(p, i, ret_is_parsed, &refused);
    if (!status && !*ret_is_parsed)
        return run(p, UNDO_STATEMENT, NULL, 0, reterr);
    if (!status)
        status = run(p, "SAVEPOINT hasten_described", NULL, 0, &refused);
    if (!status && p->depends_on_role)
        p->b->statements[i].depend.why = HS_STR("search_path names $user");
    else if (!status)
        status = make_function(p, i, &refused);
    if (!status)
        status = set(p, "role", "none", &refused);
    if (!status)
        status = run(p, "RELEASE SAVEPOINT hasten_statement", NULL, 0, &refused);
    if (status && reterr)
        *reterr = refused;
    return status;
}

static hs_status parse_one(struct parse *p, size_t i, struct hs_err *reterr)
{
    const struct pg_ask *ask = &p->b->reader->asks[i];
    const struct hs_str *roles = ask->n_roles ? ask->roles : p->b->reader->roles;
    size_t n = ask->n_roles ? ask->n_roles : p->b->reader->n_roles;
    bool is_parsed = false;
    hs_status status = HS_OK;

    for (size_t at = 0; !status && !is_parsed && at < n; at++) {
        struct hs_str role = hs_arena_dup(p->b->arena, roles[at]);

        status = role.p ? try_as(p, i, role, &is_parsed, reterr) : hs_fail_memory(reterr);
    }
    /* Where there are no roles the login is who runs it. */
    if (!status && !is_parsed && !n)
        status = try_as(p, i, HS_STR_NULL, &is_parsed, reterr);
    if (!status && !is_parsed && !p->b->statements[i].fault.p)
        p->b->statements[i].fault = HS_STR("none of the roles that may run it can be set");
    return status;
}

static hs_status parse_all(struct parse *p, struct hs_err *reterr)
{
    hs_status status = choose_path(p, reterr);

    if (!status)
        status = set(p, "search_path", p->path, reterr);
    if (!status)
        status = set(p, "lock_timeout", "250ms", reterr);
    for (size_t i = 0; !status && i < p->b->reader->n_asks; i++)
        status = parse_one(p, i, reterr);
    if (!status)
        status = set(p, "search_path", "pg_catalog", reterr);
    if (status || !p->types.n)
        return status;
    hs_buf_add_char(&p->types, '}');
    if (!hs_buf_failed(&p->types))
        p->b->parsed_types = hs_arena_dup(p->b->arena, hs_buf_str(&p->types));
    return p->b->parsed_types.p ? HS_OK : hs_fail_memory(reterr);
}

hs_status pg_statements_parse(struct pg_build *b, struct hs_err *reterr)
{
    size_t n = b->reader->n_asks;
    struct parse p = {.b = b};
    hs_status status;

    if (!n)
        return HS_OK;
    b->statements = HS_NEW_ARRAY(b->arena, n, struct pg_asked);
    b->parsed = HS_NEW_ARRAY(b->arena, n, struct pg_parsed);
    if (hs_arena_failed(b->arena))
        return hs_fail_memory(reterr);
    b->whole->pub.statements = b->statements;
    b->whole->pub.n_statements = n;
    hs_buf_init(&p.types, TYPES_TEXT_MAX);
    hs_buf_init(&p.scratch, SQL_TEXT_MAX);
    status = parse_all(&p, reterr);
    hs_buf_fini(&p.types);
    hs_buf_fini(&p.scratch);
    return status;
}

/* ---- its types ---- */

static void fill_types(struct pg_build *b, size_t i)
{
    struct pg_asked *to = &b->statements[i];
    const struct pg_parsed *parsed = &b->parsed[i];
    size_t n_params = b->reader->asks[i].n_params;
    struct pg_result_column *columns = HS_NEW_ARRAY(b->arena, to->n_columns,
                                                    struct pg_result_column);
    bool is_whole = true;

    to->params = HS_NEW_ARRAY(b->arena, n_params, const struct pg_type *);
    if (!columns || !to->params)
        return;
    for (size_t at = 0; at < n_params; at++) {
        to->params[at] = pg_build_type(b, parsed->params[at]);
        is_whole = is_whole && to->params[at];
    }
    for (size_t at = 0; at < to->n_columns; at++) {
        columns[at] = (struct pg_result_column){to->columns[at].name,
                                                pg_build_type(b, parsed->columns[at])};
        is_whole = is_whole && columns[at].type;
    }
    to->columns = columns;
    if (!is_whole) {
        to->fault = HS_STR("one of its types is gone");
        b->is_again = true;
    }
}

hs_status pg_statements_fill(struct pg_build *b, struct hs_err *reterr)
{
    for (size_t i = 0; i < b->reader->n_asks; i++) {
        if (!b->statements[i].fault.p)
            fill_types(b, i);
    }
    return hs_arena_failed(b->arena) ? hs_fail_memory(reterr) : HS_OK;
}

void pg_catalog_reader_ask(struct pg_catalog_reader *reader, const struct pg_ask *asks, size_t n)
{
    HS_OBJ(reader, (uint32_t)PG_READER_MAGIC);
    reader->asks = asks;
    reader->n_asks = n;
}
