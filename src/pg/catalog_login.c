/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May this login serve? Asked at every read of the catalog, since roles change too.
 *
 * The one rule: row-level security must hold for whatever hasten runs. It does not for superusers,
 * roles with BYPASSRLS and (without FORCE) owners of a table or whoever inherits from one; so neither the
 * login nor a role that a token may name can be one of these, unless database.allow_login names it.
 *
 * Where all roles are asked for, those that stand above it are not among them, rather than being a fault: nobody
 * has named them.
 *
 * Poolers: PgBouncer and its kin answer with a process id of their own invention in BackendKeyData. Where
 * that differs from pg_backend_pid(), a pooler stands between, and a second connection finds out whether
 * it hands our server process to others between transactions. Such a pooler breaks prepared statements
 * and LISTEN, and two tenants' settings would meet in one session. One that pools whole sessions is fine.
 *
 * Source: PostgreSQL 15 manual, 5.8 (row security), 9.26 (pg_has_role), 55.7 (BackendKeyData);
 * PgBouncer 1.18 manual, pool_mode.
 */
#include "pg/catalog_int.h"

#include <stdio.h>

#include "core/buf.h"

enum { PROBE_ROUNDS = 4 };

struct login_row {
    const char *name;
    bool exists;
    bool is_member;
    bool is_superuser;
    bool bypasses;
    const char *owned; /* a served relation, or NULL */
};

/* Row 0 is the login itself. MEMBER is the right to SET ROLE; PostgreSQL 16 names it SET. */
#define LOGIN_SQL                                                                              \
    "SELECT s.name, r.oid IS NOT NULL,"                                                        \
    " r.oid IS NOT NULL AND pg_has_role(session_user, r.oid, $3), r.rolsuper, r.rolbypassrls," \
    " (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c"                           \
    "   JOIN pg_namespace n ON n.oid = c.relnamespace"                                         \
    "   WHERE c.relnamespace = ANY ($1::oid[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"     \
    "   AND NOT c.relispartition AND pg_has_role(r.oid, c.relowner, 'USAGE')"                  \
    "   ORDER BY c.relname LIMIT 1)"                                                           \
    " FROM unnest(ARRAY[session_user::text] || $2::text[]) WITH ORDINALITY s(name, position)"  \
    " LEFT JOIN pg_roles r ON r.rolname = s.name ORDER BY s.position"

/* $1 schemas, $2 the right, $3 database.allow_login, $4 those that are named. One more than fits tells that. */
#define ALL_SQL                                                                            \
    "SELECT r.rolname FROM pg_roles r"                                                     \
    " WHERE pg_has_role(session_user, r.oid, $2) AND r.rolname <> session_user"            \
    " AND NOT r.rolsuper AND r.rolname !~ '^pg_' AND r.rolname <> ALL ($4::text[])"        \
    " AND (r.rolname = $3 OR (NOT r.rolbypassrls AND NOT EXISTS (SELECT FROM pg_class c"   \
    "   WHERE c.relnamespace = ANY ($1::oid[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')" \
    "   AND NOT c.relispartition AND pg_has_role(r.oid, c.relowner, 'USAGE'))))"           \
    " ORDER BY r.rolname LIMIT 65"

static hs_status too_many_roles(struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_PG_LOGIN, "the login may become more than %d roles", HS_ROLES_MAX);
    hs_err_why(reterr, "auth.roles asks for all of them (*).");
    hs_err_hint(reterr, "Name those that serve in auth.roles, or grant the login fewer.");
    return HS_E_PG_LOGIN;
}

/* reader->roles: what the setup names, and with all_roles what the login may become. */
static hs_status resolve_roles(struct pg_catalog_reader *reader, const char *schemas,
                               const char *right, struct hs_arena *scratch, struct hs_err *reterr)
{
    const struct pg_catalog_setup *setup = &reader->setup;
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    struct hs_str named = pg_array_literal(scratch, setup->roles, setup->n_roles);
    struct hs_str allowed = hs_arena_dup(scratch, setup->allow_login);
    const char *params[] = {schemas, right, allowed.p, named.p};
    struct hs_str *roles = HS_NEW_ARRAY(scratch, HS_ROLES_MAX + 1, struct hs_str);
    hs_status status = HS_OK;
    size_t n;

    reader->roles = roles;
    reader->n_roles = setup->n_roles;
    if (!named.p || !allowed.p || !roles)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < setup->n_roles; i++)
        roles[i] = setup->roles[i];
    if (!setup->all_roles)
        return HS_OK;
    status = pg_reader_query(reader, ALL_SQL, params, 4, &r, reterr);
    if (status)
        return status;
    n = (size_t)PQntuples(r);
    if (setup->n_roles + n > HS_ROLES_MAX)
        return too_many_roles(reterr);
    for (size_t i = 0; i < n; i++)
        roles[reader->n_roles++] = hs_arena_dup(scratch, pg_cell(r, (int)i, 0));
    return hs_arena_failed(scratch) ? hs_fail_memory(reterr) : HS_OK;
}

static struct login_row row_at(const PGresult *r, int row)
{
    return (struct login_row){
        .name = PQgetvalue(r, row, 0),
        .exists = pg_cell_bool(r, row, 1),
        .is_member = pg_cell_bool(r, row, 2),
        .is_superuser = pg_cell_bool(r, row, 3),
        .bypasses = pg_cell_bool(r, row, 4),
        .owned = PQgetisnull(r, row, 5) ? NULL : PQgetvalue(r, row, 5),
    };
}

static hs_status check_powers(const struct login_row *row, const char *kind, struct hs_err *reterr)
{
    if (!row->is_superuser && !row->bypasses && !row->owned)
        return HS_OK;
    (void)hs_fail(reterr, HS_E_PG_LOGIN, "the %s \"%s\" stands above row-level security", kind,
                  row->name);
    if (row->is_superuser)
        hs_err_why(reterr, "it is a superuser");
    else if (row->bypasses)
        hs_err_why(reterr, "it has the attribute BYPASSRLS");
    else
        hs_err_why(reterr, "it owns %s, or inherits from the role that does", row->owned);
    hs_err_hint(reterr, "Use a role that owns nothing and bypasses nothing,"
                        " or name it in database.allow_login if that is what you want.");
    return HS_E_PG_LOGIN;
}

static hs_status check_role(const struct login_row *row, const char *login, struct hs_err *reterr)
{
    if (!row->exists) {
        (void)hs_fail(reterr, HS_E_PG_LOGIN, "the role \"%s\" does not exist", row->name);
        hs_err_hint(reterr, "Create it, or take it out of auth.roles and auth.anonymous_role.");
        return HS_E_PG_LOGIN;
    }
    if (!row->is_member) {
        (void)hs_fail(reterr, HS_E_PG_LOGIN, "the login \"%s\" may not become the role \"%s\"",
                      login, row->name);
        hs_err_hint(reterr, "GRANT \"%s\" TO \"%s\";", row->name, login);
        return HS_E_PG_LOGIN;
    }
    return HS_OK;
}

hs_status pg_login_check(struct pg_catalog_reader *reader, const char *schemas,
                         struct hs_arena *scratch, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    const char *right = PQserverVersion(reader->conn) >= 160000 ? "SET" : "MEMBER";
    hs_status status = resolve_roles(reader, schemas, right, scratch, reterr);
    struct hs_str roles;
    const char *params[] = {schemas, NULL, right};

    if (status)
        return status;
    roles = pg_array_literal(scratch, reader->roles, reader->n_roles);
    if (!roles.p)
        return hs_fail_memory(reterr);
    params[1] = roles.p;
    status = pg_reader_query(reader, LOGIN_SQL, params, 3, &r, reterr);
    for (int i = 0; status == HS_OK && i < PQntuples(r); i++) {
        struct login_row row = row_at(r, i);

        if (i > 0)
            status = check_role(&row, PQgetvalue(r, 0, 0), reterr);
        if (status == HS_OK && !hs_str_is(reader->setup.allow_login, row.name))
            status = check_powers(&row, i == 0 ? "login" : "role", reterr);
    }
    return status;
}

/* The server process that runs a statement of its own; 0 = it could not be asked. */
static int process_of(struct pg_catalog_reader *reader, PGconn *conn, const char *before,
                      struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *begun = NULL;
    hs_auto(pg_reader_clear) PGresult *r = NULL;

    if (before && pg_reader_query_on(reader, conn, before, NULL, 0, &begun, reterr) != HS_OK)
        return 0;
    if (pg_reader_query_on(reader, conn, "SELECT pg_backend_pid()", NULL, 0, &r, reterr) != HS_OK)
        return 0;
    return (int)pg_cell_int(r, 0, 0);
}

/*
 * While a second connection holds a transaction open, does it run in the process that ran ours, or do we
 * move? A pooler that gives out the last or the oldest idle process is found in the first or second round.
 */
static bool is_shared(struct pg_catalog_reader *reader, int first)
{
    PGconn *other = NULL;
    struct hs_err ignored;
    bool shared = false;

    if (pg_reader_open(reader, &other, &ignored) != HS_OK)
        return false;
    for (int round = 0; round < PROBE_ROUNDS && !shared; round++) {
        hs_auto(pg_reader_clear) PGresult *ended = NULL;
        int theirs = process_of(reader, other, "BEGIN", &ignored);
        int ours = process_of(reader, reader->conn, NULL, &ignored);

        /* Statement mode refuses BEGIN and closes the connection. */
        shared = theirs == 0 || theirs == first || ours != first;
        if (pg_reader_query_on(reader, other, "ROLLBACK", NULL, 0, &ended, &ignored) != HS_OK)
            break;
    }
    PQfinish(other);
    return shared;
}

hs_status pg_pooler_check(struct pg_catalog_reader *reader, struct hs_err *reterr)
{
    int first = process_of(reader, reader->conn, NULL, reterr);

    if (first == 0)
        return reterr && reterr->status != HS_OK ? reterr->status : HS_E_PG_DOWN;
    if (first == PQbackendPID(reader->conn) || !is_shared(reader, first))
        return HS_OK;
    (void)hs_fail(reterr, HS_E_PG_LOGIN,
                  "a connection pooler in transaction mode stands between hasten and PostgreSQL");
    hs_err_why(reterr,
               "a connection does not keep a server process to itself, so it has no session for"
               " prepared statements and LISTEN");
    hs_err_hint(reterr, "Let database.url lead to PostgreSQL itself: hasten pools by itself.");
    return HS_E_PG_LOGIN;
}
