/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the roles set for themselves, and what the schemas are.
 *
 * A role's settings hold when it logs in, not when another login becomes it, so whoever does that for it has to
 * set them. Only those that a SET of the login will not be refused: has_parameter_privilege() says yes to SET
 * only for settings that need a grant, so those of the context "user" are asked for as well. Names that the
 * server does not know are left out: whether they are placeholders or belong to a module that would refuse
 * them is not known before that module is loaded.
 *
 * Source: PostgreSQL 15 manual, 53.15 (pg_db_role_setting), ALTER ROLE, 54.24 (pg_settings); the same set as
 * PostgREST's, and its privileges, those of the login: src/PostgREST/Config/Database.hs.
 */
#include "pg/catalog_int.h"

/* Rows S (schemas: position from 1, name, comment), R (settings of roles: position from 1, "name=value"). */
#define SETTINGS_SQL                                                                          \
    "SELECT 'S', s.position, n.nspname::text, d.description"                                  \
    "  FROM unnest($1::oid[]) WITH ORDINALITY s(oid, position)"                               \
    "  JOIN pg_namespace n ON n.oid = s.oid LEFT JOIN pg_description d"                       \
    "   ON d.objoid = n.oid AND d.classoid = 'pg_namespace'::regclass"                        \
    " UNION ALL SELECT 'R', position, setting, NULL FROM ("                                   \
    "  SELECT DISTINCT ON (o.position, p.name) o.position, v.setting"                         \
    "   FROM unnest($2::text[]) WITH ORDINALITY o(name, position)"                            \
    "   JOIN pg_roles r ON r.rolname = o.name JOIN pg_db_role_setting s ON s.setrole = r.oid" \
    "    AND s.setdatabase IN (0, (SELECT oid FROM pg_database"                               \
    "     WHERE datname = current_database()))"                                               \
    "   CROSS JOIN LATERAL unnest(s.setconfig) v(setting)"                                    \
    "   JOIN pg_settings p ON p.name = split_part(v.setting, '=', 1)"                         \
    "   WHERE p.context = 'user' OR p.context = 'superuser'"                                  \
    "    AND has_parameter_privilege(session_user, p.name, 'SET')"                            \
    "   ORDER BY o.position, p.name, s.setdatabase DESC) s"                                   \
    " ORDER BY 1 DESC, 2, 3"

enum { COL_WHAT, COL_POSITION, COL_TEXT, COL_COMMENT };

struct pg_setting pg_build_setting(const struct pg_build *b, struct hs_str text)
{
    struct hs_str name = hs_str_cut(&text, '=');

    return (struct pg_setting){hs_arena_dup(b->arena, name), hs_arena_dup(b->arena, text)};
}

static int fill_schemas(struct pg_build *b, const PGresult *r)
{
    struct pg_catalog *c = &b->whole->pub;
    struct hs_str *names;
    struct hs_str *comments;
    int n = 0;

    while (n < PQntuples(r) && PQgetvalue(r, n, COL_WHAT)[0] == 'S')
        n++;
    names = HS_NEW_ARRAY(b->arena, (size_t)n, struct hs_str);
    comments = HS_NEW_ARRAY(b->arena, (size_t)n, struct hs_str);
    for (int i = 0; names && comments && i < n; i++) {
        names[i] = hs_arena_dup(b->arena, pg_cell(r, i, COL_TEXT));
        comments[i] = hs_arena_dup(b->arena, pg_cell(r, i, COL_COMMENT));
    }
    c->schemas = names;
    c->schema_comments = comments;
    c->n_schemas = (size_t)n;
    return n;
}

static void fill_roles(struct pg_build *b, const PGresult *r, int from)
{
    struct pg_catalog *c = &b->whole->pub;
    struct pg_role_settings *roles = HS_NEW_ARRAY(b->arena, c->n_roles, struct pg_role_settings);

    while (roles && from < PQntuples(r)) {
        size_t role = (size_t)pg_cell_int(r, from, COL_POSITION) - 1;
        int end = pg_cell_run(r, from, PQntuples(r), COL_POSITION);
        size_t n = (size_t)(end - from);
        struct pg_setting *settings = HS_NEW_ARRAY(b->arena, n, struct pg_setting);

        for (size_t i = 0; settings && i < n; i++)
            settings[i] = pg_build_setting(b, pg_cell(r, from + (int)i, COL_TEXT));
        if (role < c->n_roles)
            roles[role] = (struct pg_role_settings){settings, settings ? n : 0};
        from = end;
    }
    c->role_settings = roles;
}

hs_status pg_settings_read(struct pg_build *b, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    const struct pg_catalog *c = &b->whole->pub;
    struct hs_str roles = pg_array_literal(b->arena, c->roles, c->n_roles);
    const char *params[] = {b->schemas, roles.p};
    hs_status status;

    if (!roles.p)
        return hs_fail_memory(reterr);
    status = pg_reader_query(b->reader, SETTINGS_SQL, params, 2, &r, reterr);
    if (status != HS_OK)
        return status;
    fill_roles(b, r, fill_schemas(b, r));
    return hs_arena_failed(b->arena) ? hs_fail_memory(reterr) : HS_OK;
}
