/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fingerprint: one number that changes whenever the snapshot would.
 *
 * The one rule: everything that a snapshot is made from is in it, and nothing that changes by itself. The
 * xmin of a catalog row is new after each ordinary update; VACUUM and ANALYZE write reltuples and
 * relfrozenxid in place and leave xmin alone. pg_class is taken by its columns instead, since TRUNCATE,
 * REFRESH and CLUSTER write a new row there for a new file. Each row's hash is XORed with the others, so
 * no sort is needed and one pass over each table is all.
 *
 * Functions, operators, casts, rules, policies, collations and text search are taken over all schemas, because
 * is_shareable and pg_depend follow them wherever they lead; built-in ones (below FirstNormalObjectId,
 * 16384) do not change, but for text search configurations and dictionaries, which may be altered. Relations of
 * other schemas are taken if a view, policy or function names them, or if they are children: a table that comes and
 * goes elsewhere is nobody's business. Sequences are taken by their names, which stand in the texts of defaults.
 *
 * Source: PostgreSQL 15 manual, 53 (catalogs); src/backend/access/heap, heap_inplace_update().
 */
#include "pg/catalog_int.h"

#include "core/buf.h"
#include "core/hash.h"

/* SQL: what of a table's rows changes with them, and which rows. */
static const struct {
    const char *columns;
    const char *from;
} parts[] = {
    {"oid, relname, relnamespace, relkind, relpersistence, relowner, relacl, reloptions,"
     " relrowsecurity, relforcerowsecurity, relispartition, relreplident, relnatts",
     "class"},
    {"a.xmin, a.attrelid, a.attnum",
     "served s JOIN pg_attribute a ON a.attrelid = s.oid AND a.attnum > 0"},
    {"a.xmin, a.attrelid, a.attnum",
     "pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relkind = 'c'"},
    {"i.xmin, i.indexrelid", "served s JOIN pg_index i ON i.indrelid = s.oid"},
    {"d.xmin, d.objoid, d.objsubid", "served s JOIN pg_description d ON d.objoid = s.oid"
                                     " AND d.classoid = 'pg_class'::regclass"},
    {"xmin, objoid, classoid", "pg_description WHERE classoid = 'pg_namespace'::regclass"
                               " OR classoid = 'pg_proc'::regclass AND objoid >= 16384"},
    {"xmin, oid", "pg_constraint WHERE contypid <> 0 OR contype IN ('f', 'p', 'u', 'c')"},
    {"xmin, oid", "pg_type WHERE oid >= 16384 AND typtype <> 'c' AND typelem = 0"},
    {"xmin, oid", "pg_enum"},
    {"xmin, rngtypid", "pg_range WHERE rngtypid >= 16384"},
    {"xmin, oid", "pg_proc WHERE oid >= 16384"},
    {"xmin, aggfnoid", "pg_aggregate WHERE aggfnoid >= 16384"},
    {"xmin, oid", "pg_operator WHERE oid >= 16384"},
    {"xmin, oid", "pg_cast WHERE oid >= 16384"},
    {"xmin, oid", "pg_opclass WHERE oid >= 16384"},
    {"xmin, oid", "pg_amproc WHERE oid >= 16384"},
    {"xmin, oid", "pg_amop WHERE oid >= 16384"},
    {"xmin, oid", "pg_conversion WHERE oid >= 16384"},
    {"xmin, oid", "pg_collation WHERE oid >= 16384"},
    {"xmin, oid", "pg_ts_config"},
    {"xmin, mapcfg, maptokentype, mapseqno", "pg_ts_config_map"},
    {"xmin, oid", "pg_ts_dict"},
    {"xmin, oid", "pg_extension"},
    {"xmin, oid", "pg_rewrite WHERE oid >= 16384"},
    {"xmin, oid", "pg_policy"},
    {"inhrelid, inhparent, inhdetachpending", "pg_inherits"},
    {"oid, relname, relnamespace", "pg_class WHERE relkind = 'S' AND relpersistence <> 't'"},
    {"xmin, oid", "pg_namespace WHERE nspname NOT LIKE 'pg\\_%temp\\_%'"},
    {"oid, rolname, rolsuper, rolinherit, rolbypassrls, rolcanlogin, rolconfig", "pg_roles"},
    {"xmin, roleid, member", "pg_auth_members"},
    {"xmin, setdatabase, setrole", "pg_db_role_setting"},
    {"xmin, oid", "pg_parameter_acl"},
};

enum { SQL_MAX = 16384 };

/* The settings at the end are those that a reload of the server changes under all sessions. */
void pg_print_sql(struct hs_buf *to, const char *schemas, bool is_whole)
{
    hs_buf_printf(
        to,
        "WITH class AS MATERIALIZED (SELECT * FROM pg_class WHERE oid >= 16384"
        "  AND relkind IN ('r', 'p', 'v', 'm', 'f') AND relpersistence <> 't'"
        "  AND (relnamespace = ANY (%s)"
        "   OR oid IN (SELECT inhrelid FROM pg_inherits)"
        "   OR oid IN (SELECT refobjid FROM pg_depend"
        "    WHERE refclassid = 'pg_class'::regclass AND classid IN"
        "    ('pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_proc'::regclass)))),"
        " served AS MATERIALIZED (SELECT * FROM class WHERE %s OR relnamespace = ANY (%s))"
        " SELECT ",
        schemas, is_whole ? "true" : "false", schemas);
    for (size_t i = 0; i < HS_LEN(parts); i++)
        hs_buf_printf(to, "(SELECT bit_xor(hash_record_extended(ROW(%s), 0)) FROM %s), ",
                      parts[i].columns, parts[i].from);
    hs_buf_printf(to,
                  "current_setting('lc_monetary'), current_setting('lc_numeric'),"
                  " current_setting('lc_time'), current_setting('default_text_search_config'),"
                  " (%s)::text, current_setting('server_version')",
                  schemas);
}

/* Without the process's key: nodes that read the same catalog must come to the same number. */
uint64_t pg_print_hash(const PGresult *r, int n)
{
    uint64_t hash = 0;

    for (int i = 0; i < n; i++)
        hash = hs_digest_more(hash, pg_cell(r, 0, i));
    return hash;
}

hs_status pg_fingerprint_read(struct pg_catalog_reader *reader, const char *schemas,
                              uint64_t *ret_fingerprint, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    hs_auto(hs_buf_fini) struct hs_buf sql;
    const char *params[] = {schemas};
    hs_status status;

    hs_buf_init(&sql, SQL_MAX);
    pg_print_sql(&sql, "$1::oid[]", /* is_whole= */ false);
    if (!hs_buf_cstr(&sql))
        return hs_fail_memory(reterr);
    status = pg_reader_query(reader, sql.p, params, 1, &r, reterr);
    if (status == HS_OK)
        *ret_fingerprint = pg_print_hash(r, PQnfields(r));
    return status;
}

hs_status pg_schemas_read(struct pg_catalog_reader *reader, struct hs_arena *arena,
                          struct hs_str *ret_schemas, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    struct hs_str names = pg_array_literal(arena, reader->setup.schemas, reader->setup.n_schemas);
    const char *params[] = {names.p};
    struct hs_buf list;
    hs_status status;

    if (!names.p)
        return hs_fail_memory(reterr);
    status = pg_reader_query(
        reader,
        "SELECT s.name, n.oid FROM unnest($1::text[]) WITH ORDINALITY s(name, position)"
        " LEFT JOIN pg_namespace n ON n.nspname = s.name ORDER BY s.position",
        params, 1, &r, reterr);
    if (status != HS_OK)
        return status;
    hs_buf_init(&list, /* max= */ 1 << 16);
    for (int i = 0; i < PQntuples(r); i++) {
        if (PQgetisnull(r, i, 1)) {
            hs_buf_fini(&list);
            (void)hs_fail(reterr, HS_E_CONFIG, "the schema \"%s\" does not exist",
                          PQgetvalue(r, i, 0));
            hs_err_hint(reterr, "Correct database.schemas, or create the schema.");
            return HS_E_CONFIG;
        }
        hs_buf_add_char(&list, i ? ',' : '{');
        hs_buf_add(&list, pg_cell(r, i, 1));
    }
    hs_buf_add(&list, PQntuples(r) ? HS_STR("}") : HS_STR("{}"));
    *ret_schemas = hs_buf_failed(&list) ? HS_STR_NULL : hs_arena_dup(arena, hs_buf_str(&list));
    hs_buf_fini(&list);
    return ret_schemas->p ? HS_OK : hs_fail_memory(reterr);
}
